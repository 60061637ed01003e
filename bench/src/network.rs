//! A network that can be cut: a namespace for each server, joined by a bridge, made for one cluster and removed with it.
//!
//! ```text
//! this program ── bridge ─┬─ veth ── server 0
//!                         ├─ veth ── server 1
//!                         └─ veth ── server 2
//! ```
//!
//! A cut takes the bridge's end of a server's cable down. Connections stay open on both sides and nothing answers, as when a
//! switch dies: nobody's kernel says goodbye, which it does when a process dies. Needs root and Debian's package iproute2.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Namespaces, the bridge and cables begin with this and the process id of their maker.
const PREFIX: &str = "tb";
const NAMESPACES: &str = "/run/netns";

pub struct Network {
    bridge: String,
    /// The first three numbers of all addresses. 198.18.0.0/15 is set aside for benchmarks (RFC 2544).
    subnet: String,
    namespaces: Vec<String>,
}

impl Network {
    pub fn make(servers: usize) -> Result<Network> {
        // SAFETY: asks for the user's number.
        ensure!(unsafe { libc::geteuid() } == 0, "only root can make a network to cut");
        remove_abandoned();
        let id = std::process::id();
        let mut network = Network {
            bridge: format!("{PREFIX}{id}"),
            subnet: format!("198.18.{}", id % 256),
            namespaces: Vec::new(),
        };
        let (bridge, subnet) = (network.bridge.clone(), network.subnet.clone());
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("address add {subnet}.1/24 dev {bridge}"))?;
        ip(&format!("link set {bridge} up"))?;
        for index in 0..servers {
            let name = format!("{bridge}n{index}");
            ip(&format!("netns add {name}"))?;
            network.namespaces.push(name.clone());
            ip(&format!("link add {} type veth peer name eth0 netns {name}", network.cable(index)))?;
            ip(&format!("link set {} master {bridge} up", network.cable(index)))?;
            ip(&format!("-n {name} address add {}/24 dev eth0", network.address(index)))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        Ok(network)
    }

    pub fn address(&self, server: usize) -> String {
        format!("{}.{}", self.subnet, 11 + server)
    }

    fn cable(&self, server: usize) -> String {
        format!("{}v{server}", self.bridge)
    }

    pub fn cut(&self, server: usize) -> Result<()> {
        ip(&format!("link set {} down", self.cable(server)))
    }

    /// The command will run in the server's namespace.
    pub fn move_in(&self, server: usize, command: &mut Command) -> Result<()> {
        let path = Path::new(NAMESPACES).join(&self.namespaces[server]);
        let namespace = File::open(&path).with_context(|| path.display().to_string())?;
        // SAFETY: between fork and exec only setns is called, which touches neither memory nor locks of this process.
        unsafe {
            command.pre_exec(move || match libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.namespaces {
            let _ = ip(&format!("netns delete {name}"));
        }
        // A cable lives until the last process of its namespace has ended; here it goes at once.
        for index in 0..self.namespaces.len() {
            let _ = ip(&format!("link delete {}", self.cable(index)));
        }
        let _ = ip(&format!("link delete {}", self.bridge));
    }
}

fn ip(line: &str) -> Result<()> {
    let output = Command::new("ip").args(line.split(' ')).output();
    let output = output.context("start ip (Debian's package iproute2)")?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// What benchmarks left that were killed.
fn remove_abandoned() {
    let names = |directory: &str| -> Vec<String> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    for name in names(NAMESPACES).iter().filter(|name| is_abandoned(name)) {
        let _ = ip(&format!("netns delete {name}"));
    }
    for name in names("/sys/class/net").iter().filter(|name| is_abandoned(name)) {
        let _ = ip(&format!("link delete {name}"));
    }
}

/// Named after a process that is gone.
fn is_abandoned(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mut after = rest[digits..].chars();
    let ours = match (after.next(), after.as_str()) {
        (None, _) => true,
        (Some('n' | 'v'), number) => number.parse::<u8>().is_ok(),
        _ => false,
    };
    digits > 0 && ours && !Path::new("/proc").join(&rest[..digits]).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_benchmark_made_is_abandoned() {
        // No process has a number so large.
        for name in ["tb99999999", "tb99999999n0", "tb99999999v2"] {
            assert!(is_abandoned(name), "{name}");
        }
        let alive = format!("tb{}n0", std::process::id());
        for name in [&alive, "tb", "tbench", "tb99999999x", "tb99999999n", "eth0", "lo"] {
            assert!(!is_abandoned(name), "{name}");
        }
    }
}
