//! A small device of a node's own, which outlives the node's process: a tmpfs in a mount namespace that another process
//! holds. Gone with that process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct SmallDisk {
    directory: PathBuf,
    holder: Child,
}

/// Whether this process may mount without a user namespace.
fn is_root() -> bool {
    // SAFETY: asks for the effective user, and touches nothing.
    unsafe { libc::geteuid() == 0 }
}

impl SmallDisk {
    /// Of so many bytes, to be found below `directory`.
    pub fn new(directory: &Path, bytes: u64) -> SmallDisk {
        std::fs::create_dir_all(directory).expect("the directory can be written");
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = "mount -t tmpfs -o size=\"$1\" trimaran \"$2\" && echo mounted && exec cat";
        command.args(["--mount", "sh", "-c", script, "small-disk", &bytes.to_string()]).arg(directory);
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts (package util-linux)");
        let mut line = String::new();
        let answer = holder.stdout.as_mut().expect("it is piped");
        BufReader::new(answer).read_line(&mut line).expect("a pipe can be read");
        assert_eq!(line, "mounted\n", "a tmpfs can be mounted in a namespace");
        SmallDisk { directory: directory.to_path_buf(), holder }
    }

    /// The program, where it sees the device.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }

    /// Its content, as this process sees it.
    pub fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.directory.strip_prefix("/").unwrap_or(&self.directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
