//! MQ's commands as administrators type them: by links of their names, in a directory for files.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Cluster, program};

const NAMES: [&str; 14] = [
    "trimaran", "crtmqm", "dltmqm", "dmpmqaut", "dmpmqcfg", "dmpmqmsg", "dspmq", "dspmqaut", "dspmqver",
    "endmqm", "mqrc", "runmqsc", "setmqaut", "strmqm",
];

pub struct Typed {
    directory: TempDir,
    addresses: String,
}

impl Typed {
    /// For the nodes of this cluster.
    pub fn of(cluster: &Cluster) -> Typed {
        let directory = tempfile::tempdir().expect("a directory");
        for name in NAMES {
            std::os::unix::fs::symlink(program("trimaran"), directory.path().join(name)).expect("a link");
        }
        Typed { directory, addresses: cluster.addresses().join(",") }
    }

    /// Words between blanks; a file is in the directory.
    pub fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(self.directory.path().join(words.next().expect("a command")));
        command.env("TRIMARAN_CONNECT", &self.addresses).args(words).current_dir(self.directory.path());
        command.stdin(Stdio::null());
        command
    }

    /// Its exit code, and what it printed to both.
    pub fn run(&self, line: &str) -> (i32, String) {
        let output = self.command(line).output().expect("the program starts");
        let shown = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.code().expect("it ends"), shown.concat())
    }

    /// What it printed: all of these are among it.
    pub fn expect(&self, line: &str, code: i32, said: &[&str]) -> String {
        let (ended, shown) = self.run(line);
        assert_eq!(ended, code, "{line}: {shown}");
        said.iter().for_each(|part| assert!(shown.contains(part), "{line}: {part}\nis missing in\n{shown}"));
        shown
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }
}
