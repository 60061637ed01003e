//! The samples of clients in other languages (`client/samples`), built as their README says, each with its own tools. What they
//! download and compile is kept in `$TRIMARAN_CACHE`; in the source tree they leave nothing.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::python::Python;
use super::tools::{cache, check};
use crate::sources::root;

/// What generates Go from protos, in the versions that `client/samples/go/go.mod` goes with.
const GO_PLUGINS: [&str; 2] = [
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.5",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1",
];
/// What the samples speak.
const PROTOS: [&str; 2] = ["message", "queue"];

/// A sample that can be run: always with the same verbs and options, whatever it is written in.
pub struct Sample {
    program: Vec<OsString>,
    /// Where it was built.
    _directory: tempfile::TempDir,
}

impl Sample {
    pub fn python() -> Result<Sample, String> {
        let directory = copied(SAMPLES, "python")?;
        let python = Python::environment()?;
        python.generate(directory.path())?;
        let program = vec![python.interpreter().into(), directory.path().join("sample.py").into()];
        Ok(Sample { program, _directory: directory })
    }

    pub fn go() -> Result<Sample, String> {
        let directory = copied(SAMPLES, "go")?;
        let kept = kept_for_go()?;
        let run = |program: &str, arguments: &[String]| with_go(directory.path(), program, arguments);
        for plugin in GO_PLUGINS {
            let name = plugin.rsplit(['/', '@']).nth(1).expect("a path and a version");
            if !kept.join("bin").join(name).exists() {
                run("go", &["install".into(), plugin.into()])?;
            }
        }
        let mut arguments = vec![format!("-I{}", root().join("proto/proto").display())];
        for kind in ["go", "go-grpc"] {
            arguments
                .extend([format!("--{kind}_out=."), format!("--{kind}_opt=module=trimaran.example/sample")]);
            let of = |proto| {
                format!(
                    "--{kind}_opt=Mtrimaran/{proto}/v1/{proto}.proto=trimaran.example/sample/pb/{proto}v1"
                )
            };
            arguments.extend(PROTOS.map(of));
        }
        arguments.extend(PROTOS.map(|proto| format!("trimaran/{proto}/v1/{proto}.proto")));
        run("protoc", &arguments)?;
        run("go", &["vet".into(), "./...".into()])?;
        run("go", &["build".into(), "-o".into(), "sample".into(), ".".into()])?;
        let program = vec![directory.path().join("sample").into()];
        Ok(Sample { program, _directory: directory })
    }

    pub fn java() -> Result<Sample, String> {
        let directory = copied(SAMPLES, "java")?;
        let built = Command::new("mvn")
            .args(["-q", "-B", "package"])
            .arg(format!("-Dmaven.repo.local={}", cache()?.join("samples/maven").display()))
            .arg(format!("-Dprotos={}", root().join("proto/proto").display()))
            .current_dir(directory.path())
            .output()
            .map_err(|error| {
                format!("mvn: {error}; install it (Debian: apt install maven default-jdk-headless)")
            })?;
        check(&built, "Maven cannot build client/samples/java")?;
        let jar = directory.path().join("target/sample.jar");
        let program = ["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-jar"].map(OsString::from);
        Ok(Sample { program: program.into_iter().chain([jar.into()]).collect(), _directory: directory })
    }

    /// Starts it; its input and output can be written and read while it runs.
    pub fn start(&self, arguments: &[&str]) -> Child {
        Command::new(&self.program[0])
            .args(&self.program[1..])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.program))
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.start(arguments).wait_with_output().expect("a child can be waited for")
    }
}

/// Reads a page of metrics and says what Prometheus' own `promtool check metrics` says, by the same library.
pub fn promlint() -> Result<Sample, String> {
    let directory = copied("tests/go", "promlint")?;
    with_go(directory.path(), "go", &["build".into(), "-o".into(), "promlint".into(), ".".into()])?;
    let program = vec![directory.path().join("promlint").into()];
    Ok(Sample { program, _directory: directory })
}

fn kept_for_go() -> Result<PathBuf, String> {
    Ok(cache()?.join("samples/go"))
}

/// Runs a program of Go's or one that it has installed.
fn with_go(directory: &Path, program: &str, arguments: &[String]) -> Result<(), String> {
    let kept = kept_for_go()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(kept.join("bin")).chain(std::env::split_paths(&path));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("PATH", std::env::join_paths(path).map_err(|error| error.to_string())?)
        .env("GOBIN", kept.join("bin"))
        .env("GOMODCACHE", kept.join("mod"))
        .env("GOCACHE", kept.join("cache"))
        .env("GOFLAGS", "-modcacherw")
        .output()
        .map_err(|error| {
            format!(
                "{program}: {error}; install Go 1.22 or newer and protoc (Debian: golang-go, protobuf-compiler)"
            )
        })?;
    check(&output, &format!("{program} {} fails", arguments.join(" ")))
}

const SAMPLES: &str = "client/samples";

/// A place to build in, with the sources.
fn copied(from: &str, name: &str) -> Result<tempfile::TempDir, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let sources = root().join(from).join(name);
    copy_all(&sources, directory.path()).map_err(|error| format!("{}: {error}", sources.display()))?;
    Ok(directory)
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target: PathBuf = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_all(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}
