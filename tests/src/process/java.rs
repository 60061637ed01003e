//! IBM's own client libraries, unchanged: programs of `tests/java` over `com.ibm.mq.allclient`.
//!
//! The library is got from Maven Central at test time into the target directory, where it stays; its licence lets anybody use it
//! and nobody pass it on. It is run, and never looked into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::tools::check;

/// What Maven is asked for. The version is that which the answers in `listener/mq` were settled with.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>trimaran</groupId>
  <artifactId>clients</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>com.ibm.mq</groupId>
      <artifactId>com.ibm.mq.allclient</artifactId>
      <version>9.4.1.0</version>
    </dependency>
  </dependencies>
</project>
"#;

pub struct Java {
    libraries: PathBuf,
    classes: tempfile::TempDir,
}

impl Java {
    /// Gets the library and compiles the programs, or says what this machine lacks.
    pub fn prepare() -> Result<Java, String> {
        let libraries = std::env::current_exe()
            .ok()
            .and_then(|test| Some(test.ancestors().nth(3)?.join("process-java")))
            .ok_or("there is no target directory to keep Java's libraries in")?;
        if !has_client(&libraries) {
            fs::create_dir_all(&libraries).map_err(|error| format!("{}: {error}", libraries.display()))?;
            fs::write(libraries.join("pom.xml"), POM).map_err(|error| error.to_string())?;
            let got = Command::new("mvn")
                .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."])
                .current_dir(&libraries)
                .output()
                .map_err(|error| format!("mvn: {error}; install it (Debian: apt install maven)"))?;
            check(
                &got,
                "Maven cannot get com.ibm.mq.allclient; it needs a way to a repository (see ~/.m2/settings.xml)",
            )?;
        }
        let classes = tempfile::tempdir().map_err(|error| error.to_string())?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("java");
        let java = Java { libraries, classes };
        let programs = fs::read_dir(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
        let compiled = Command::new("javac")
            .arg("-nowarn")
            .arg("-cp")
            .arg(java.class_path())
            .arg("-d")
            .arg(java.classes.path())
            .args(programs.flatten().map(|program| program.path()))
            .output()
            .map_err(|error| {
                format!("javac: {error}; install it (Debian: apt install default-jdk-headless)")
            })?;
        check(&compiled, "the programs of tests/java cannot be compiled")?;
        Ok(java)
    }

    fn class_path(&self) -> String {
        format!("{}:{}/*", self.classes.path().display(), self.libraries.display())
    }

    fn command(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command
            .args(["-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp"])
            .arg(self.class_path())
            .arg(class)
            .args(arguments)
            // It writes its own log and trace files there.
            .current_dir(self.classes.path());
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, class: &str, arguments: &[&str]) -> Output {
        self.command(class, arguments).output().unwrap_or_else(|error| panic!("java {class}: {error}"))
    }

    /// Starts a program; what it prints can be read while it runs.
    pub fn start(&self, class: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(class, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().unwrap_or_else(|error| panic!("java {class}: {error}"))
    }
}

fn has_client(libraries: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libraries) else { return false };
    let is_client = |name: &str| name.starts_with("com.ibm.mq.allclient") && name.ends_with(".jar");
    entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_client))
}
