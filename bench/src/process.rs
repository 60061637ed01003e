//! Server processes: started with a log file, stopped by their id, and never left behind.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take to stop when asked, before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub struct Server {
    child: Child,
    /// The process that does the work, when it is not the one that was started.
    adopted: Option<u32>,
    /// Its end was wanted.
    stopped: bool,
    pub log: PathBuf,
}

impl Server {
    pub fn start(mut command: Command, log: PathBuf) -> Result<Server> {
        let open = OpenOptions::new().create(true).append(true).open(&log);
        let file = open.with_context(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let parent = std::process::id();
        // SAFETY: between fork and exec only prctl, getppid and _exit are called, which touch neither memory nor locks
        // of this process.
        unsafe {
            command.pre_exec(move || {
                // A benchmark that is killed shall not leave servers behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() as u32 != parent {
                    libc::_exit(1);
                }
                Ok(())
            });
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {program}"))?;
        Ok(Server { child, adopted: None, stopped: false, log })
    }

    /// The process that does the work.
    pub fn pid(&self) -> u32 {
        self.adopted.unwrap_or(self.child.id())
    }

    /// A descendant of what was started, which ends when this process does.
    pub fn adopt(&mut self, pid: u32) {
        self.adopted = Some(pid);
    }

    /// An error with the end of its log when the process has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        if self.stopped {
            return Ok(());
        }
        if let Some(status) = self.child.try_wait()? {
            bail!("process {} ended with {status}: {}", self.child.id(), tail(&self.log));
        }
        Ok(())
    }

    pub fn ask_to_stop(&mut self) -> Result<()> {
        self.stopped = true;
        if self.child.try_wait()?.is_none() {
            // A descendant may be gone a moment before what was started.
            let _ = signal(self.pid(), libc::SIGCONT);
            let _ = signal(self.pid(), libc::SIGTERM);
        }
        Ok(())
    }

    /// Asks, waits, kills.
    pub fn stop(&mut self) -> Result<()> {
        self.ask_to_stop()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(adopted) = self.adopted
            && let Ok(None) = self.child.try_wait()
        {
            let _ = signal(adopted, libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(pid: u32, signal: i32) -> Result<()> {
    // SAFETY: sends a signal to a process that this program started.
    match unsafe { libc::kill(pid as libc::pid_t, signal) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).with_context(|| format!("signal process {pid}")),
    }
}

/// The end of a server's log, for errors.
pub fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(2000);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

/// Ports of the loopback interface that were free a moment ago.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<std::net::TcpListener> =
        (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// The process that listens on a port of the network that `neighbour` is in, found through the kernel's tables.
pub fn listener_of(port: u16, neighbour: u32) -> Result<u32> {
    let mut inodes = Vec::new();
    for table in ["tcp", "tcp6"].map(|name| format!("/proc/{neighbour}/net/{name}")) {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(3) == Some(&"0A");
            let here = fields.get(1).is_some_and(|address| address.ends_with(&format!(":{port:04X}")));
            if listens && here {
                inodes.push(format!("socket:[{}]", fields[9]));
            }
        }
    }
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            if inodes.iter().any(|inode| Path::new(inode) == target) {
                return Ok(pid);
            }
        }
    }
    bail!("nobody listens on port {port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listener_of(port, std::process::id()).unwrap(), std::process::id());
    }

    #[test]
    fn a_server_that_ends_is_noticed_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such disk; exit 3"]);
        let mut server = Server::start(command, directory.path().join("log")).unwrap();
        let error = loop {
            match server.check_alive() {
                Ok(()) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("no such disk"), "{error}");
    }
}
