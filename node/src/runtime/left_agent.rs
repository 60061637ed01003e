//! An address agent that outlived its node: it hangs, and its node was killed, so that nobody was left who would end it. It has the port of
//! the peers still, which an agent keeps on purpose until it has removed the addresses (`vip/agent.rs`), and no node could start
//! beside it.
//!
//! Each agent locks a file in the data directory for as long as it is there; the kernel says who has the lock. A node looks when the
//! directories are its own, so that whoever has it then is left over.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

const FILE: &str = "trimaran.agent";
/// An agent that does not hang removes what it holds, and ends, in less.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is killed is gone by then, or cannot be killed.
const GONE_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// For the agent: nobody takes it for one that is gone while this is kept.
pub fn lock(data: &Path) -> io::Result<File> {
    let file = open(data)?;
    record(&file, libc::F_SETLK)?;
    Ok(file)
}

/// For a node that starts. `more`: what an agent may take besides, for a program of the user's.
///
/// # Errors
/// A sentence: it cannot be ended.
pub fn end(data: &Path, more: Duration) -> Result<(), String> {
    let file = match open(data) {
        Ok(file) => file,
        // A disk that is full, or not this user's, is somebody else's to say.
        Err(error) => {
            tracing::debug!(%error, "it is not known whether an address agent is left");
            return Ok(());
        }
    };
    let began = Instant::now();
    let mut is_killed = false;
    while let Some(agent) = holder(&file) {
        let waited = began.elapsed();
        if waited >= PATIENCE + more && !is_killed {
            tracing::warn!(agent, "an address agent of a node that is gone does not end: it is killed");
            // SAFETY: it only sends a signal, to whoever has the lock of an agent of this node's just now.
            unsafe { libc::kill(agent, libc::SIGKILL) };
            is_killed = true;
        }
        if waited >= PATIENCE + more + GONE_WITHIN {
            return Err(format!(
                "process {agent}, the address agent of a node that was here before, does not end: kill -9 {agent}"
            ));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn open(data: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600).open(data.join(FILE))
}

/// Who has the lock, in this process's numbers of processes.
fn holder(file: &File) -> Option<libc::pid_t> {
    let found = record(file, libc::F_GETLK).ok()?;
    (found.l_type != libc::F_UNLCK as libc::c_short && found.l_pid > 0).then_some(found.l_pid)
}

/// Of the whole file. It is the process's, and ends with it.
fn record(file: &File, command: libc::c_int) -> io::Result<libc::flock> {
    // SAFETY: all zeros is a value of it.
    let mut record: libc::flock = unsafe { std::mem::zeroed() };
    (record.l_type, record.l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    // SAFETY: the kernel reads and writes the record that it is given.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &mut record) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_left_is_ended_and_where_there_is_none_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        end(directory.path(), Duration::ZERO).unwrap();
        assert!(begun.elapsed() < PATIENCE, "there never was one");
        assert_eq!(holder(&lock(directory.path()).unwrap()), None, "a process does not wait for itself");

        // Another process that has the lock, and does nothing.
        let file = open(directory.path()).unwrap();
        // SAFETY: the child calls nothing but the kernel, and never returns.
        let left = match unsafe { libc::fork() } {
            0 => unsafe {
                let _ = record(&file, libc::F_SETLK);
                loop {
                    libc::pause();
                }
            },
            child => child,
        };
        while holder(&file) != Some(left) {
            std::thread::sleep(LOOK_EVERY);
        }
        end(directory.path(), Duration::ZERO).unwrap();
        let mut status = 0;
        // SAFETY: the child is this process's own, and waited for once.
        assert_eq!(unsafe { libc::waitpid(left, &mut status, 0) }, left);
        assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
    }
}
