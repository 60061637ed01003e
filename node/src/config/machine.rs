//! What the machine gives this process: file descriptors and memory. Defaults and connection limits follow from it.

use std::fs;
use std::io;

/// More descriptors than this are of no use: connections are limited to 1,000,000.
const DESCRIPTORS_MAX: u64 = 1 << 20;
/// Kept for the message store (512 tables), the log's files, the peers and monitors, before a client has one.
const RESERVE: u64 = 1024;
/// Ports of LISTENER objects that a node has open at most, and the part of all descriptors that they may be.
const PORTS_MAX: u64 = 1024;
const PORTS_PART: u64 = 16;
/// A node that cannot let in so many clients should not be overlooked.
const FEW_CONNECTIONS: usize = 2000;
/// Of the peers' port: both ends of every pair have a few, and strangers some until they are told apart.
pub const PEER_CONNECTIONS_MAX: usize = 128;
/// Of the monitors' port.
pub const MONITOR_CONNECTIONS_MAX: usize = 128;

/// How the descriptors are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// What this process may have.
    pub limit: u64,
    /// Connections of clients: as many as were configured, or what the reserve leaves.
    pub connections: usize,
    /// Ports of listeners that may be open: they have nothing of what the stores and the connections need.
    pub ports: usize,
}

impl Descriptors {
    /// Of a process that may have `limit`; with few of them half is the reserve.
    pub fn share(limit: u64, configured: usize) -> Descriptors {
        let reserve = RESERVE.min(limit / 2);
        let others = (PEER_CONNECTIONS_MAX + MONITOR_CONNECTIONS_MAX) as u64;
        let ports = PORTS_MAX.min(limit / PORTS_PART);
        let left = limit.saturating_sub(reserve + others + ports).max(16);
        let connections = usize::try_from(left).unwrap_or(usize::MAX).min(configured);
        Descriptors { limit, connections, ports: ports as usize }
    }

    /// What there is once the soft limit is raised.
    pub fn look(configured: usize) -> io::Result<Descriptors> {
        limits().map(|(_, hard)| Descriptors::share(hard.min(DESCRIPTORS_MAX), configured))
    }

    /// Raises the soft limit as far as the hard one lets it.
    pub fn raise(configured: usize) -> io::Result<Descriptors> {
        let (soft, hard) = limits()?;
        let wanted = hard.min(DESCRIPTORS_MAX);
        if soft < wanted {
            let limit = libc::rlimit { rlim_cur: wanted, rlim_max: hard };
            // SAFETY: the call reads a structure that lives until it returns.
            if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Descriptors::share(wanted.max(soft), configured))
    }

    /// Few enough for clients to notice.
    pub fn are_few(&self) -> bool {
        self.connections < FEW_CONNECTIONS
    }

    /// A sentence for whoever configured more connections than there can be; None when there are enough.
    pub fn shortage(&self, configured: usize) -> Option<String> {
        (self.connections < configured).then(|| {
            format!(
                "this process may open {} files: {} connections of clients instead of the {configured} of \
                 limits.connections; raise it with LimitNOFILE in the unit, or ulimit -Hn",
                self.limit, self.connections
            )
        })
    }
}

fn limits() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes the structure it is given.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bytes of memory of this machine, or what the control group of this process leaves of it.
pub fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit(&text));
    // A machine that says nothing of itself is taken for a small one.
    machine.into_iter().chain(group).min().unwrap_or(2 << 30)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// The least `memory.max` from the process's own group up to the root (cgroup v2), or the limit of its memory group
/// (v1, and containers of it, whose root is their own group).
fn group_limit(groups: &str) -> Option<u64> {
    let read = |path: String| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let ancestors = std::path::Path::new(own).ancestors().map(|group| group.display().to_string());
    let limits = ancestors.filter_map(|group| {
        let group = group.trim_end_matches('/');
        read(format!("/sys/fs/cgroup{group}/memory.max"))
    });
    limits.chain(read("/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned())).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_and_peers_have_descriptors_before_a_client_has_one() {
        // Debian's soft limit as the hard one, a shell's, the unit's.
        for (limit, connections, ports) in
            [(1024, 192, 64), (4096, 2560, 256), (1_048_576, 20_000, 1024), (64, 16, 4)]
        {
            let shares = Descriptors::share(limit, 20_000);
            assert_eq!((shares.connections, shares.ports), (connections, ports), "{limit}");
        }
        let few = Descriptors::share(1024, 20_000);
        assert!(few.shortage(20_000).unwrap().contains("192 connections of clients instead of the 20000"));
        assert!(few.are_few() && !Descriptors::share(4096, 20_000).are_few());
        assert_eq!(Descriptors::share(4096, 100).shortage(100), None);
    }

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:        4030464 kB\n"), Some(4_030_464 << 10));
        assert_eq!(total_of(""), None);
        assert!(memory_bytes() > 64 << 20);
        assert!(Descriptors::look(1).unwrap().limit > 0);
    }
}
