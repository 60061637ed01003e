//! A process that holds namespaces of its own and does nothing else. They are gone with it, and it with its owner.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub struct Holder {
    process: Child,
}

/// Whether this process may make namespaces and mount without a user namespace.
pub fn is_root() -> bool {
    // SAFETY: asks for the effective user, and touches nothing.
    unsafe { libc::geteuid() == 0 }
}

impl Holder {
    /// `namespaces` are options of unshare(1). `setup` is shell, and sees `arguments` as $1 and so on; it is done on return.
    pub fn start<A: AsRef<OsStr>>(namespaces: &[&str], setup: &str, arguments: &[A]) -> Holder {
        let script = format!("{setup} && echo made && exec cat");
        let mut process = Command::new("unshare")
            .args(namespaces)
            .args(["sh", "-c", &script, "holder"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts (package util-linux)");
        let mut line = String::new();
        let answer = process.stdout.as_mut().expect("it is piped");
        BufReader::new(answer).read_line(&mut line).expect("a pipe can be read");
        assert_eq!(line, "made\n", "{setup:?} works in namespaces {namespaces:?}");
        Holder { process }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
