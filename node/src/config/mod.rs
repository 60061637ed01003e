//! The cluster file as it is meant: every module's own options, checked as a whole (L5).
//!
//! No module below reads files. `file` is the text's shape; `reader` makes of it what is meant, with `options` for the sections that
//! hold options, `addresses` for floating addresses, `placement` for preferred nodes, `canary` for canaries, `network` for names of hosts, `machine` for what there is of memory and
//! descriptors, and `problems` for all that is wrong. `owner` says whose a directory is, `reserves` what is
//! held back for full disks, `check` is `trimaran-node check`.

mod file;
mod reader;
mod problems;
mod options;
mod addresses;
mod placement;
mod canary;
mod network;
mod machine;
mod owner;
mod reserves;
mod check;

pub use canary::Canaries;
pub use check::{CheckReport, Finding, check, peer_tls};
pub use machine::{Descriptors, MONITOR_CONNECTIONS_MAX, PEER_CONNECTIONS_MAX};
pub use network::{is_loopback, resolve};
pub use owner::{OWNER_COPY, OWNER_FILE, Owner};
pub use reserves::{ReserveFile, lacking};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::metrics::Shown;
use crate::replica::Placement;
use crate::types::{
    Index, Membership, NodeId, NodeInfo, ObjectName, QueueManagerId, SnapshotMeta, Speaks, Term, TermStarts,
};
use crate::vip;

/// In each directory of a node: locked while its process lives.
pub const LOCK_FILE: &str = "trimaran.lock";

/// Everything a node is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: String,
    pub node: NodeId,
    pub name: String,
    /// What this program reads and writes.
    pub speaks: Speaks,
    pub threads: usize,
    /// Every node of the file, this one too.
    pub nodes: BTreeMap<NodeId, NodeConfig>,
    pub queue_managers: BTreeMap<QueueManagerId, ObjectName>,
    /// Where each of them should be served.
    pub placements: BTreeMap<QueueManagerId, Placement>,
    pub canaries: Canaries,
    pub log_directory: PathBuf,
    pub data_directory: PathBuf,
    pub tls: Option<TlsFiles>,
    /// Set with `insecure = true`: plain listeners on any address.
    pub insecure: bool,
    pub timing: Timing,
    pub limits: Limits,
    pub log: LogOptions,
    /// Queues that have metrics of their own.
    pub queues_shown: Shown,
    /// None when this node holds none.
    pub addresses: Option<vip::Options>,
    /// Of all queue managers of the file, whoever holds them, and whose: they may be on another machine.
    pub floating: BTreeMap<IpAddr, QueueManagerId>,
}

#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub info: NodeInfo,
    pub http_address: String,
    pub peer_listen: String,
    pub client_listen: String,
    pub http_listen: String,
    /// Where its REST API is reached, and where it listens for that; None where it has none.
    pub rest: Option<Rest>,
    /// Where the channels of a queue manager are listened for.
    pub mq_listen: BTreeMap<String, String>,
    /// Has no part in the first membership.
    pub joins: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    pub address: String,
    pub listen: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate.
    pub clients_required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat: Duration,
    pub election: Duration,
    pub stop: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub window_bytes: usize,
    pub log_retain_bytes: usize,
    pub unanswered_bytes: usize,
    pub disk_reserve_bytes: u64,
    pub peer_unsent_bytes: usize,
    pub snapshot_bytes_per_second: u64,
    pub store_cache_bytes: usize,
    pub connections: usize,
    pub sessions: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    pub json: bool,
    pub level: String,
}

/// What is wrong with a cluster file: all of it at once, one sentence a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ConfigError {
    pub text: String,
}

impl NodeConfig {
    /// Its listeners but those of channels, by the keys that name them.
    fn listens(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let always =
            [("peer", &self.peer_listen), ("client", &self.client_listen), ("http", &self.http_listen)];
        always.into_iter().chain(self.rest.as_ref().map(|rest| ("rest", &rest.listen)))
    }
}

impl Config {
    /// Whether clients of channels may come from other machines: with certificates each can show who it is, and who does not is
    /// let in nowhere but here; or an operator has accepted that nobody does.
    pub fn lets_strangers_in(&self) -> bool {
        self.insecure || self.tls.is_some()
    }

    /// Reads the file, applies `--set`s, and picks the node. Relative paths in it begin where the file is, so that a node
    /// finds its messages whatever directory it is started from.
    pub fn load(path: &Path, node: Option<&str>, settings: &[String]) -> Result<Config, ConfigError> {
        let named = |text: String| ConfigError { text: format!("{}: {text}", path.display()) };
        let unread = |error: std::io::Error| {
            named(format!(
                "{error}; name the cluster file with --config, or write one with `trimaran cluster init`"
            ))
        };
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let place = std::path::absolute(path).map_err(unread)?;
        let config = Config::parse_with(&text, node, settings).map_err(|error| named(error.text))?;
        Ok(config.relative_to(place.parent().unwrap_or(Path::new("/"))))
    }

    /// Every path of the file as one that begins at `/`, if `directory` does.
    fn relative_to(mut self, directory: &Path) -> Config {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.ca, &mut tls.certificate, &mut tls.key]);
        let program = self.addresses.iter_mut().filter_map(|addresses| addresses.program.as_mut());
        let canary = self.canaries.identity.iter_mut().flat_map(|(certificate, key)| [certificate, key]);
        let paths = [&mut self.log_directory, &mut self.data_directory].into_iter().chain(tls).chain(program);
        let paths = paths.chain(canary);
        paths.for_each(|path| *path = directory.join(&*path));
        self
    }

    /// As [`Config::parse`], with `key=value` settings over what the file says. What a setting makes wrong is said of
    /// the setting: the file has no line for it.
    pub fn parse_with(text: &str, node: Option<&str>, settings: &[String]) -> Result<Config, ConfigError> {
        if settings.is_empty() {
            return Config::parse(text, node);
        }
        let with = |count: usize| {
            let changed =
                file::with_settings(text, &settings[..count]).map_err(|text| ConfigError { text })?;
            let file: file::File = toml::from_str(&changed)
                .map_err(|error| ConfigError { text: file::in_our_words(error.message()) })?;
            reader::read("", &file, node)
        };
        with(settings.len()).map_err(|error| {
            let guilty = (1..=settings.len()).find(|count| with(*count - 1).is_ok() && with(*count).is_err());
            match guilty {
                Some(count) if !error.text.starts_with("--set ") => {
                    ConfigError { text: format!("--set {}: {}", settings[count - 1], error.text) }
                }
                _ => error,
            }
        })
    }

    pub fn parse(text: &str, node: Option<&str>) -> Result<Config, ConfigError> {
        let file: file::File = toml::from_str(text)
            .map_err(|error| ConfigError { text: file::in_our_words(&error.to_string()) })?;
        reader::read(text, &file, node)
    }

    fn this_or_none(&self) -> Option<&NodeConfig> {
        self.nodes.get(&self.node)
    }

    pub fn this(&self) -> &NodeConfig {
        &self.nodes[&self.node]
    }

    /// The membership that a group begins with, as a snapshot at index 1 of term 1.
    pub fn first_snapshot(&self, queue_manager: QueueManagerId) -> SnapshotMeta {
        let first = || self.nodes.iter().filter(|(_, node)| !node.joins);
        let membership = Membership {
            voters: first().map(|(id, _)| *id).collect(),
            nodes: first().map(|(id, node)| (*id, node.info.clone())).collect(),
            ..Membership::default()
        };
        SnapshotMeta {
            queue_manager,
            index: Index(1),
            term: Term(1),
            membership,
            terms: TermStarts::default(),
            installed: false,
        }
    }

    /// Warnings that stand as long as the configuration does; status and log repeat them.
    pub fn standing_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.insecure {
            let open = self.open_listeners();
            if !open.is_empty() && self.tls.is_none() {
                warnings.push(format!(
                    "insecure = true: {} without TLS; anybody on the network can read and write messages. \
                     Make certificates with: trimaran certs init",
                    open.join(" and ")
                ));
            }
            if self.tls.is_some() {
                warnings.push(
                    "insecure = true: a client of a channel that shows no certificate is believed who it is, whichever machine \
                     it comes from. Take the line out of [tls] when all of them have certificates"
                        .to_owned(),
                );
            }
        }
        if self.tls.as_ref().is_some_and(|tls| !tls.clients_required) {
            warnings.push(
                "client_certificates = \"optional\": whoever reaches the clients' port is let in without a certificate, \
                 as user anonymous, and may do everything. Take the line out of [tls], or write \"required\""
                    .to_owned(),
            );
        }
        warnings
    }

    /// How many nodes vote before any is added or removed.
    pub fn first_voters(&self) -> usize {
        self.nodes.values().filter(|node| !node.joins).count()
    }

    /// This node's listeners that are reachable from other machines, as "client 0.0.0.0:7201".
    fn open_listeners(&self) -> Vec<String> {
        self.this()
            .listens()
            .filter(|(_, address)| !is_loopback(address))
            .map(|(what, address)| format!("{what} {address}"))
            .collect()
    }
}

/// What is to be said of so many voters; None when they are three, or five.
pub fn voters_warning(voters: usize) -> Option<String> {
    match voters {
        1 => Some(
            "1 node votes: an interruption lasts until it is back. Three is the least for high availability"
                .to_owned(),
        ),
        2 => Some(
            "2 nodes vote: none may fail without an interruption. Three is the least for high availability"
                .to_owned(),
        ),
        voters @ 4.. if voters % 2 == 0 => {
            Some(format!("{voters} nodes vote: an even number survives no more failures than {}", voters - 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod config_test;
