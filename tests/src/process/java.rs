//! IBM's own client libraries, unchanged: programs of `tests/java` over `com.ibm.mq.allclient`, and those of `tests/java/jakarta` over
//! `com.ibm.mq.jakarta.client` and Spring.
//!
//! The libraries are got from Maven Central at test time into the target directory, where they stay; the licence of IBM's lets
//! anybody use them and nobody pass them on. They are run, and never looked into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::tools::check;

/// One class path: what Maven is asked for, and the programs over it.
struct Kind {
    /// Directory of the libraries in the target directory.
    libraries: &'static str,
    /// Directory of the programs.
    programs: &'static str,
    /// Group, artefact, version. The first is IBM's; its version is that which the answers in `listener/mq` were settled with.
    artefacts: &'static [[&'static str; 3]],
}

/// Base classes and JMS 2.
const CLIENT: Kind = Kind {
    libraries: "process-java",
    programs: "java",
    artefacts: &[["com.ibm.mq", "com.ibm.mq.allclient", "9.4.1.0"]],
};

/// Jakarta Messaging, and Spring over it. Both clients have classes of the same names, so they are on paths of their own.
const JAKARTA: Kind = Kind {
    libraries: "process-jakarta",
    programs: "java/jakarta",
    artefacts: &[
        ["com.ibm.mq", "com.ibm.mq.jakarta.client", "9.4.1.0"],
        ["org.springframework", "spring-jms", "6.2.19"],
        ["org.springframework", "spring-context", "6.2.19"],
    ],
};

pub struct Java {
    libraries: PathBuf,
    classes: tempfile::TempDir,
}

impl Java {
    /// Gets the libraries of base classes and JMS and compiles the programs, or says what this machine lacks.
    pub fn prepare() -> Result<Java, String> {
        Java::of(&CLIENT)
    }

    /// The same for Jakarta Messaging with Spring.
    pub fn jakarta() -> Result<Java, String> {
        Java::of(&JAKARTA)
    }

    fn of(kind: &Kind) -> Result<Java, String> {
        let libraries = std::env::current_exe()
            .ok()
            .and_then(|test| Some(test.ancestors().nth(3)?.join(kind.libraries)))
            .ok_or("there is no target directory to keep Java's libraries in")?;
        if !kind.artefacts.iter().all(|[_, artefact, version]| has(&libraries, artefact, version)) {
            fs::create_dir_all(&libraries).map_err(|error| format!("{}: {error}", libraries.display()))?;
            fs::write(libraries.join("pom.xml"), kind.pom()).map_err(|error| error.to_string())?;
            let got = Command::new("mvn")
                .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."])
                .current_dir(&libraries)
                .output()
                .map_err(|error| format!("mvn: {error}; install it (Debian: apt install maven)"))?;
            let wanted =
                kind.artefacts.iter().map(|[_, artefact, _]| *artefact).collect::<Vec<_>>().join(", ");
            let text =
                format!("Maven cannot get {wanted}; it needs a way to a repository (see ~/.m2/settings.xml)");
            check(&got, &text)?;
        }
        let classes = tempfile::tempdir().map_err(|error| error.to_string())?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind.programs);
        let java = Java { libraries, classes };
        let programs = fs::read_dir(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
        let compiled = Command::new("javac")
            .arg("-nowarn")
            .arg("-cp")
            .arg(java.class_path())
            .arg("-d")
            .arg(java.classes.path())
            .args(programs.flatten().map(|program| program.path()).filter(|path| path.is_file()))
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

    /// Starts a program; what it prints can be read while it runs, and its standard input ended.
    pub fn start(&self, class: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(class, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().unwrap_or_else(|error| panic!("java {class}: {error}"))
    }
}

impl Kind {
    fn pom(&self) -> String {
        let dependencies = self.artefacts.iter().map(|[group, artefact, version]| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artefact}</artifactId><version>{version}</version></dependency>\n"
            )
        });
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n<modelVersion>4.0.0</modelVersion>\n\
             <groupId>trimaran</groupId>\n<artifactId>clients</artifactId>\n<version>1</version>\n\
             <dependencies>\n{}</dependencies>\n</project>\n",
            dependencies.collect::<String>()
        )
    }
}

fn has(libraries: &Path, artefact: &str, version: &str) -> bool {
    libraries.join(format!("{artefact}-{version}.jar")).is_file()
}
