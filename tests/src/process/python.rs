//! A client written by a stranger: Python, the published protos, and nothing of ours.
//!
//! The stubs are generated at test time with grpcio-tools from `proto/proto`, in an environment that is made once in the
//! target directory and kept there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::tools::check;
use crate::sources::root;

/// What pip is asked for: gRPC, its compiler, and the standard clients of health and reflection.
const PACKAGES: [&str; 4] = ["grpcio", "grpcio-tools", "grpcio-health-checking", "grpcio-reflection"];
const PROTOS: [&str; 6] = [
    "trimaran/message/v1/message.proto",
    "trimaran/queue/v1/queue.proto",
    "trimaran/admin/v1/audit.proto",
    "trimaran/admin/v1/failover.proto",
    "trimaran/admin/v1/run.proto",
    "trimaran/admin/v1/admin.proto",
];

/// An interpreter with those packages.
pub struct Python {
    interpreter: PathBuf,
}

/// The stranger's program, beside the stubs it imports.
pub struct Stranger {
    python: Python,
    stubs: tempfile::TempDir,
}

impl Python {
    /// Makes the environment if it is not there, or says what this machine lacks.
    pub fn environment() -> Result<Python, String> {
        let directory = std::env::current_exe()
            .ok()
            .and_then(|test| Some(test.ancestors().nth(3)?.join("process-python")))
            .ok_or("there is no target directory to keep Python's packages in")?;
        Python::environment_in(
            &directory,
            &PACKAGES,
            "grpc, grpc_tools, grpc_health.v1, grpc_reflection.v1alpha",
        )
    }

    /// An environment in this directory with these packages, from which these modules can be imported.
    pub fn environment_in(directory: &Path, packages: &[&str], modules: &str) -> Result<Python, String> {
        let interpreter = directory.join("bin/python");
        let import = format!("import {modules}");
        let is_ready = Command::new(&interpreter).args(["-c", &import]).output();
        if !is_ready.is_ok_and(|output| output.status.success()) {
            let make = Command::new("python3").args(["-m", "venv", "--clear"]).arg(directory).output();
            let make = make.map_err(|error| {
                format!("python3: {error}; install it (Debian: apt install python3 python3-venv)")
            })?;
            check(&make, "python3 -m venv fails; install it (Debian: apt install python3-venv)")?;
            let install = Command::new(&interpreter)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(packages)
                .output()
                .map_err(|error| format!("{}: {error}", interpreter.display()))?;
            let text = format!(
                "pip cannot install {}; it needs a way to a package index (see PIP_INDEX_URL, HTTPS_PROXY)",
                packages.join(", ")
            );
            check(&install, &text)?;
        }
        Ok(Python { interpreter })
    }

    pub fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// Writes the stubs of the published protos to a directory.
    pub fn generate(&self, directory: &Path) -> Result<(), String> {
        let generated = Command::new(&self.interpreter)
            .args(["-m", "grpc_tools.protoc"])
            .arg(format!("-I{}", root().join("proto/proto").display()))
            .arg(format!("--python_out={}", directory.display()))
            .arg(format!("--grpc_python_out={}", directory.display()))
            .args(PROTOS)
            .output()
            .map_err(|error| format!("{}: {error}", self.interpreter.display()))?;
        check(&generated, "the published protos cannot be compiled for Python")
    }
}

impl Stranger {
    pub fn prepare() -> Result<Stranger, String> {
        let python = Python::environment()?;
        let stubs = tempfile::tempdir().map_err(|error| error.to_string())?;
        python.generate(stubs.path())?;
        fs::copy(root().join("tests/python/stranger.py"), stubs.path().join("stranger.py"))
            .map_err(|error| format!("tests/python/stranger.py: {error}"))?;
        Ok(Stranger { python, stubs })
    }

    /// Runs the program with these nodes.
    pub fn run(&self, addresses: &[String]) -> Output {
        Command::new(&self.python.interpreter)
            .arg("stranger.py")
            .args(addresses)
            .current_dir(self.stubs.path())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.python.interpreter.display()))
    }
}
