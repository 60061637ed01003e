//! The cluster file as it is meant: every module's own options, checked as a whole (L5).
//!
//! No module below reads files. `file` is the text's shape, `addresses` its floating addresses, `machine` what there is of memory and descriptors, `owner`
//! says whose a directory is, `check` is `trimaran-node check`.

mod file;
mod addresses;
mod machine;
mod owner;
mod check;

pub use check::{CheckReport, Finding, check, peer_tls};
pub use machine::{Descriptors, MONITOR_CONNECTIONS_MAX, PEER_CONNECTIONS_MAX};
pub use owner::{OWNER_COPY, OWNER_FILE, Owner};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use crate::types::{
    Index, Membership, NodeId, NodeInfo, ObjectName, QueueManagerId, Share, SnapshotMeta, Term, limits,
};
use crate::vip;

/// Everything a node is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: String,
    pub node: NodeId,
    pub name: String,
    pub threads: usize,
    /// Every node of the file, this one too.
    pub nodes: BTreeMap<NodeId, NodeConfig>,
    pub queue_managers: BTreeMap<QueueManagerId, ObjectName>,
    pub log_directory: PathBuf,
    pub data_directory: PathBuf,
    pub tls: Option<TlsFiles>,
    /// Set with `insecure = true`: plain listeners on any address.
    pub insecure: bool,
    pub timing: Timing,
    pub limits: Limits,
    pub log: LogOptions,
    /// None when this node holds none.
    pub addresses: Option<vip::Options>,
}

#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub info: NodeInfo,
    pub http_address: String,
    pub peer_listen: String,
    pub client_listen: String,
    pub http_listen: String,
    /// Where the channels of a queue manager are listened for.
    pub mq_listen: BTreeMap<String, String>,
    /// Has no part in the first membership.
    pub joins: bool,
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

impl Config {
    /// Reads the file, applies `--set`s, and picks the node.
    pub fn load(path: &Path, node: Option<&str>, settings: &[String]) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            text: format!("{}: {error}; name the cluster file with --config", path.display()),
        })?;
        let named = |text: String| ConfigError { text: format!("{}: {text}", path.display()) };
        Config::parse_with(&text, node, settings).map_err(|error| named(error.text))
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
                .map_err(|error| ConfigError { text: error.message().trim_end().to_owned() })?;
            Reader { text: "", problems: Vec::new() }.config(file, node)
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
            .map_err(|error| ConfigError { text: error.to_string().trim_end().to_owned() })?;
        Reader { text, problems: Vec::new() }.config(file, node)
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
        SnapshotMeta { queue_manager, index: Index(1), term: Term(1), membership }
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
        }
        if self.tls.as_ref().is_some_and(|tls| !tls.clients_required) {
            warnings.push(
                "client_certificates = \"optional\": whoever reaches the clients' port is let in without a certificate, \
                 as user anonymous, and may do everything. Take the line out of [tls], or write \"required\""
                    .to_owned(),
            );
        }
        let voters = self.nodes.values().filter(|node| !node.joins).count();
        if voters < 3 {
            warnings.push(format!(
                "{voters} of the cluster's nodes vote: none may fail without an interruption. Three is the least for \
                 high availability"
            ));
        } else if voters % 2 == 0 {
            warnings.push(format!(
                "{voters} nodes vote: an even number survives no more failures than {}",
                voters - 1
            ));
        }
        warnings
    }

    /// This node's listeners that are reachable from other machines, as "client 0.0.0.0:7201".
    fn open_listeners(&self) -> Vec<String> {
        let this = self.this();
        [("peer", &this.peer_listen), ("client", &this.client_listen), ("http", &this.http_listen)]
            .into_iter()
            .filter(|(_, address)| !is_loopback(address))
            .map(|(what, address)| format!("{what} {address}"))
            .collect()
    }
}

/// `0.0.0.0:7101` or `[::]:7101`: every address of this machine, and none of another one's.
fn is_unspecified(address: &str) -> bool {
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
}

/// Whether every address that the name stands for stays on this machine. A name that nobody knows does not.
pub fn is_loopback(address: &str) -> bool {
    match resolve(address) {
        Ok(addresses) => addresses.iter().all(|address| address.ip().is_loopback()),
        Err(_) => false,
    }
}

/// The addresses that `host:port` stands for; at least one.
pub fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let addresses: Vec<SocketAddr> = match address.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(format!("{address}: {error}; write it as host:port and check the name")),
    };
    if addresses.is_empty() { Err(format!("{address}: the name has no address")) } else { Ok(addresses) }
}

/// Turns the written into the meant and collects everything that is wrong.
struct Reader<'a> {
    text: &'a str,
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn config(mut self, file: file::File, node: Option<&str>) -> Result<Config, ConfigError> {
        self.check_name("cluster", &file.cluster);
        let mut nodes = BTreeMap::new();
        let mut names = BTreeMap::new();
        let mut addresses: BTreeMap<String, String> = BTreeMap::new();
        if file.nodes.is_empty() {
            self.problem(0..0, "there are no [[nodes]]: list every node of the cluster");
        }
        for node in &file.nodes {
            self.check_name("node name", &node.name);
            let id = NodeId(*node.id.get_ref());
            if id.0 == 0 {
                self.problem(node.id.span(), "node id 0: ids begin at 1");
            }
            if names.insert(node.name.get_ref().clone(), id).is_some() {
                self.problem(node.name.span(), format!("two nodes are named {:?}", node.name.get_ref()));
            }
            for (what, address) in [("peer", &node.peer), ("client", &node.client), ("http", &node.http)] {
                self.check_address(what, address);
                // Nobody is told where health and metrics are.
                if what != "http" && is_unspecified(address.get_ref()) {
                    let problem = format!(
                        "{what} = {:?} is an address to listen on, and others cannot reach it: write there what they \
                         reach this node by, and this one into {what}_listen",
                        address.get_ref()
                    );
                    self.problem(address.span(), problem);
                }
                let owner = format!("{what} of node {}", node.name.get_ref());
                if let Some(other) = addresses.insert(address.get_ref().clone(), owner) {
                    self.problem(
                        address.span(),
                        format!("{what} = {:?} is also {other}: give each its own port", address.get_ref()),
                    );
                }
            }
            let listens = [
                ("peer_listen", &node.peer_listen),
                ("client_listen", &node.client_listen),
                ("http_listen", &node.http_listen),
            ];
            for (what, address) in listens {
                if let Some(address) = address {
                    self.check_address(what, address);
                }
            }
            let listen = |listen: &Option<Spanned<String>>, address: &Spanned<String>| {
                listen.as_ref().unwrap_or(address).get_ref().clone()
            };
            let config = NodeConfig {
                info: NodeInfo {
                    name: node.name.get_ref().clone(),
                    peer_address: node.peer.get_ref().clone(),
                    client_address: node.client.get_ref().clone(),
                },
                http_address: node.http.get_ref().clone(),
                peer_listen: listen(&node.peer_listen, &node.peer),
                client_listen: listen(&node.client_listen, &node.client),
                http_listen: listen(&node.http_listen, &node.http),
                mq_listen: self.mq_listen(&file, &node.mq, &mut addresses),
                joins: node.joins,
            };
            if nodes.insert(id, config).is_some() {
                self.problem(
                    node.id.span(),
                    format!("two nodes have the id {id}: ids are given once and never again"),
                );
            }
        }
        if !file.nodes.is_empty() && file.nodes.iter().all(|node| node.joins) {
            self.problem(
                file.nodes[0].name.span(),
                "every node has joins = true: a new cluster needs nodes to begin with",
            );
        }

        let mut queue_managers = BTreeMap::new();
        let mut taken = BTreeSet::new();
        if file.queue_managers.is_empty() {
            self.problem(0..0, "there are no [[queue_managers]]: name at least one");
        }
        for queue_manager in &file.queue_managers {
            let (name, id) = (&queue_manager.name, &queue_manager.id);
            match ObjectName::new(name.get_ref()) {
                Err(error) => {
                    self.problem(name.span(), format!("queue manager {:?}: {error}", name.get_ref()))
                }
                Ok(checked) => {
                    if !taken.insert(name.get_ref().clone()) {
                        self.problem(name.span(), format!("two queue managers are named {checked}"));
                    }
                    if queue_managers.insert(QueueManagerId(*id.get_ref()), checked).is_some() {
                        let text = format!("two queue managers have the id {}", id.get_ref());
                        self.problem(id.span(), text);
                    }
                }
            }
            if *id.get_ref() == 0 {
                self.problem(id.span(), "queue manager id 0: ids begin at 1");
            }
        }

        let known = || names.keys().cloned().collect::<Vec<_>>().join(", ");
        let (name, node_id) = match (node, &file.node) {
            (Some(name), _) => match names.get(name) {
                Some(id) => (name.to_owned(), *id),
                None => {
                    let text = format!("--node {name}: the file has the nodes {}", known());
                    self.problem(0..0, text);
                    (String::new(), NodeId(0))
                }
            },
            (None, Some(name)) => match names.get(name.get_ref()) {
                Some(id) => (name.get_ref().clone(), *id),
                None => {
                    let text = format!("node = {:?}: the file has the nodes {}", name.get_ref(), known());
                    self.problem(name.span(), text);
                    (String::new(), NodeId(0))
                }
            },
            (None, None) => {
                let text = format!("which node is this? Write node = \"…\" or --node, one of {}", known());
                self.problem(0..0, text);
                (String::new(), NodeId(0))
            }
        };

        let tls = self.tls(&file.tls, &name);
        let timing = self.timing(&file.timing);
        let limits = self.limits(&file.limits, file.queue_managers.len());
        let log = self.log(&file.log);
        if let Some(limit) = &file.address.program_ms {
            self.check_range("program_ms", limit, 10, 60_000);
        }
        let mut problems = Vec::new();
        let addresses = addresses::read(&file, &name, &mut problems);
        problems.into_iter().for_each(|(span, text)| self.problem(span, text));
        let threads = match &file.threads {
            None => std::thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(4)),
            Some(threads) => {
                self.check_range("threads", threads, 1, 256);
                *threads.get_ref()
            }
        };
        let log_directory = expand(file.directories.log.get_ref(), &name);
        let data_directory = expand(file.directories.data.get_ref(), &name);
        if log_directory == data_directory {
            self.problem(
                file.directories.data.span(),
                "log and data need a directory each, not the same one",
            );
        }
        let config = Config {
            cluster: file.cluster.get_ref().clone(),
            node: node_id,
            name,
            threads,
            nodes,
            queue_managers,
            log_directory,
            data_directory,
            tls,
            insecure: file.tls.insecure,
            timing,
            limits,
            log,
            addresses,
        };
        if self.problems.is_empty() && config.tls.is_none() && !config.insecure {
            for listener in config.open_listeners() {
                let text = format!(
                    "{listener} is not loopback and there is no [tls]: other machines could read and write messages. \
                     Make certificates with: trimaran certs init, and write [tls] ca, certificate and key; or accept \
                     it with [tls] insecure = true"
                );
                self.problem(0..0, text);
            }
        }
        for (queue_manager, address) in
            &config.this_or_none().map_or(BTreeMap::new(), |node| node.mq_listen.clone())
        {
            let certain = config.tls.as_ref().is_some_and(|tls| tls.clients_required);
            if !is_loopback(address) && !certain && !config.insecure {
                let text = format!(
                    "mq.{queue_manager} = {address:?} is not loopback, and channels believe a client who it is: write \
                     [tls] client_certificates = \"required\"; or accept it with [tls] insecure = true"
                );
                self.problem(0..0, text);
            }
        }
        self.finish(config)
    }

    /// The addresses of channels, each of a queue manager that is there.
    fn mq_listen(
        &mut self,
        file: &file::File,
        listens: &BTreeMap<String, Spanned<String>>,
        addresses: &mut BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        for (queue_manager, address) in listens {
            self.check_address("mq", address);
            if !file.queue_managers.iter().any(|known| known.name.get_ref() == queue_manager) {
                let text = format!("mq.{queue_manager}: there is no queue manager of this name in the file");
                self.problem(address.span(), text);
            }
            let owner = format!("mq of queue manager {queue_manager}");
            if let Some(other) = addresses.insert(address.get_ref().clone(), owner) {
                let text = format!("mq = {:?} is also {other}: give each its own port", address.get_ref());
                self.problem(address.span(), text);
            }
        }
        listens.iter().map(|(name, address)| (name.clone(), address.get_ref().clone())).collect()
    }

    fn finish(mut self, config: Config) -> Result<Config, ConfigError> {
        if self.problems.is_empty() {
            return Ok(config);
        }
        self.problems.sort_by_key(|(line, _)| *line);
        let mut text = String::new();
        for (line, problem) in &self.problems {
            let separator = if text.is_empty() { "" } else { "\n" };
            let _ = match line {
                0 => write!(text, "{separator}{problem}"),
                line => write!(text, "{separator}line {line}: {problem}"),
            };
        }
        Err(ConfigError { text })
    }

    fn problem(&mut self, span: Range<usize>, text: impl Into<String>) {
        let line = match span.end {
            0 => 0,
            _ => self.text.get(..span.start).map_or(0, |before| before.matches('\n').count() + 1),
        };
        self.problems.push((line, text.into()));
    }

    /// Names go into certificates, directories and log lines.
    fn check_name(&mut self, what: &str, name: &Spanned<String>) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let text = name.get_ref();
        if text.is_empty() || text.len() > 48 || !text.chars().all(fits) || text.starts_with('.') {
            let text = format!("{what} {text:?}: use 1 to 48 of A-Z a-z 0-9 - _ . and begin with no dot");
            self.problem(name.span(), text);
        }
    }

    fn check_address(&mut self, what: &str, address: &Spanned<String>) {
        let text = address.get_ref();
        let port = text.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
        if !matches!(port, Some((true, Ok(port))) if port > 0) {
            let text = format!("{what} = {text:?}: write it as host:port, for example \"127.0.0.1:7101\"");
            self.problem(address.span(), text);
        }
    }

    fn check_range<T: PartialOrd + std::fmt::Display>(
        &mut self,
        what: &str,
        value: &Spanned<T>,
        least: T,
        most: T,
    ) {
        if *value.get_ref() < least || *value.get_ref() > most {
            let text = format!("{what} = {}: use a value from {least} to {most}", value.get_ref());
            self.problem(value.span(), text);
        }
    }

    fn tls(&mut self, tls: &file::Tls, node: &str) -> Option<TlsFiles> {
        let mut clients_required = true;
        if let Some(certificates) = &tls.client_certificates {
            match certificates.get_ref().as_str() {
                "optional" => clients_required = false,
                "required" => {}
                other => {
                    let text = format!("client_certificates = {other:?}: use \"optional\" or \"required\"");
                    self.problem(certificates.span(), text);
                }
            }
        }
        match (&tls.ca, &tls.certificate, &tls.key) {
            (None, None, None) => {
                if let Some(written) = &tls.client_certificates {
                    self.problem(
                        written.span(),
                        "client_certificates needs ca, certificate and key in [tls]",
                    );
                }
                None
            }
            (Some(ca), Some(certificate), Some(key)) => Some(TlsFiles {
                ca: expand(ca.get_ref(), node),
                certificate: expand(certificate.get_ref(), node),
                key: expand(key.get_ref(), node),
                clients_required,
            }),
            (ca, certificate, key) => {
                let span = ca.iter().chain(certificate).chain(key).next().map_or(0..0, Spanned::span);
                self.problem(span, "[tls] needs all three: ca, certificate and key");
                None
            }
        }
    }

    fn timing(&mut self, timing: &file::Timing) -> Timing {
        let (mut heartbeat, mut election) = (100, 1250);
        if let Some(profile) = &timing.profile {
            match profile.get_ref().as_str() {
                "normal" => {}
                "fast" => (heartbeat, election) = (50, 400),
                other => {
                    let text = format!("profile = {other:?}: use \"normal\" or \"fast\"");
                    self.problem(profile.span(), text);
                }
            }
        }
        if let Some(value) = &timing.heartbeat_ms {
            self.check_range("heartbeat_ms", value, 10, 10_000);
            heartbeat = *value.get_ref();
        }
        if let Some(value) = &timing.election_ms {
            self.check_range("election_ms", value, 100, 120_000);
            election = *value.get_ref();
        }
        if election < heartbeat * 4 {
            let span =
                timing.election_ms.as_ref().or(timing.heartbeat_ms.as_ref()).map_or(0..0, Spanned::span);
            let text = format!(
                "election_ms = {election} is less than four heartbeats of {heartbeat} ms: a lost packet or two would \
                 move the queue manager"
            );
            self.problem(span, text);
        }
        let mut stop = 2_000;
        if let Some(value) = &timing.stop_ms {
            self.check_range("stop_ms", value, 100, 60_000);
            stop = *value.get_ref();
        }
        Timing {
            heartbeat: Duration::from_millis(heartbeat),
            election: Duration::from_millis(election),
            stop: Duration::from_millis(stop),
        }
    }

    fn limits(&mut self, file: &file::Limits, queue_managers: usize) -> Limits {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let half = machine::memory_bytes() / 2;
        let memory_bytes =
            self.bytes("memory_bytes", &file.memory_bytes, half.max(256 * MIB), 256 * MIB, 1024 * GIB);
        let unanswered_least = limits::BODY_BYTES_MAX as u64 + MIB;
        let calls = Share::Calls.of(memory_bytes) / queue_managers.max(1) as u64;
        Limits {
            memory_bytes,
            window_bytes: self.bytes("window_bytes", &file.window_bytes, 32 * MIB, MIB, 64 * GIB) as usize,
            log_retain_bytes: self.bytes("log_retain_bytes", &file.log_retain_bytes, 128 * MIB, 0, 1024 * GIB)
                as usize,
            unanswered_bytes: self.bytes(
                "unanswered_bytes",
                &file.unanswered_bytes,
                calls.clamp(unanswered_least, 256 * MIB),
                unanswered_least,
                4 * GIB - 1,
            ) as usize,
            disk_reserve_bytes: self.bytes(
                "disk_reserve_bytes",
                &file.disk_reserve_bytes,
                512 * MIB,
                MIB,
                1024 * GIB,
            ),
            peer_unsent_bytes: self.bytes(
                "peer_unsent_bytes",
                &file.peer_unsent_bytes,
                32 * MIB,
                4 * MIB,
                4 * GIB,
            ) as usize,
            snapshot_bytes_per_second: self.bytes(
                "snapshot_bytes_per_second",
                &file.snapshot_bytes_per_second,
                256 * MIB,
                MIB,
                100 * GIB,
            ),
            store_cache_bytes: self.bytes(
                "store_cache_bytes",
                &file.store_cache_bytes,
                64 * MIB,
                MIB,
                256 * GIB,
            ) as usize,
            connections: self.count("connections", &file.connections, 20_000),
            sessions: self.count("sessions", &file.sessions, 20_000),
        }
    }

    fn bytes(
        &mut self,
        what: &str,
        value: &Option<Spanned<file::Bytes>>,
        default: u64,
        least: u64,
        most: u64,
    ) -> u64 {
        let Some(value) = value else { return default };
        let bytes = value.get_ref().0;
        if bytes < least || bytes > most {
            let text = format!("{what} = {bytes}: use a size from {least} to {most} bytes");
            self.problem(value.span(), text);
        }
        bytes
    }

    fn count(&mut self, what: &str, value: &Option<Spanned<usize>>, default: usize) -> usize {
        let Some(value) = value else { return default };
        self.check_range(what, value, 1, 1_000_000);
        *value.get_ref()
    }

    fn log(&mut self, log: &file::Log) -> LogOptions {
        let mut json = false;
        if let Some(format) = &log.format {
            match format.get_ref().as_str() {
                "text" => {}
                "json" => json = true,
                other => {
                    let text = format!("format = {other:?}: use \"text\" or \"json\"");
                    self.problem(format.span(), text);
                }
            }
        }
        let level = log.level.as_ref().map_or("info", |level| level.get_ref());
        if let (Some(written), Err(reason)) = (&log.level, check_level(level)) {
            let text = format!("level = {level:?}: {reason}; use error, warn, info, debug or trace");
            self.problem(written.span(), text);
        }
        LogOptions { json, level: level.to_owned() }
    }
}

/// A level, or directives such as `info,trimaran_node::peer=debug`. A single word that is no level would be taken for
/// the name of a module, and nothing else would be logged.
fn check_level(level: &str) -> Result<(), String> {
    if let Some(word) = level.split(',').map(str::trim).find(|word| !word.contains('=')) {
        word.parse::<tracing::level_filters::LevelFilter>().map_err(|_| format!("{word:?} is no level"))?;
    }
    tracing_subscriber::EnvFilter::try_new(level).map(|_| ()).map_err(|error| error.to_string())
}

/// Replaces `{node}`.
fn expand(path: &Path, node: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => PathBuf::from(text.replace("{node}", node)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"cluster = "demo"
[[nodes]]
name = "a"
id = 1
peer = "127.0.0.1:7101"
client = "127.0.0.1:7201"
http = "127.0.0.1:7301"
[[nodes]]
name = "b"
id = 2
peer = "127.0.0.1:7102"
client = "127.0.0.1:7202"
http = "127.0.0.1:7302"
[[nodes]]
name = "c"
id = 3
peer = "127.0.0.1:7103"
client = "127.0.0.1:7203"
http = "127.0.0.1:7303"
[[queue_managers]]
name = "ha.queue.manager"
id = 1
[directories]
log = "/tmp/{node}/log"
data = "/tmp/{node}/data"
"#;

    fn refusal(text: &str) -> String {
        Config::parse(text, Some("a")).unwrap_err().text
    }

    #[test]
    fn a_file_means_what_it_says() {
        let config = Config::parse(FILE, Some("b")).unwrap();
        assert_eq!(config.node, NodeId(2));
        assert_eq!(config.log_directory, Path::new("/tmp/b/log"));
        assert_eq!(config.timing.election, Duration::from_millis(1250));
        let first = config.first_snapshot(QueueManagerId(1));
        assert_eq!(first.membership.voters.len(), 3);
        assert_eq!(first.membership.nodes[&NodeId(3)].client_address, "127.0.0.1:7203");
        assert!(config.standing_warnings().is_empty());
    }

    #[test]
    fn a_refusal_names_line_and_key_and_what_to_write() {
        let unknown = refusal(&FILE.replace("id = 2", "id = 2\ncolour = \"red\""));
        assert!(unknown.contains("line 11") && unknown.contains("colour"), "{unknown}");
        let address = refusal(&FILE.replace("127.0.0.1:7102", "7102"));
        assert!(address.contains("line 11: peer = \"7102\": write it as host:port"), "{address}");
        let kind = refusal(&FILE.replace("id = 2", "id = \"two\""));
        assert!(kind.contains("line 10"), "{kind}");
        let size = refusal(&format!("{FILE}[limits]\nwindow_bytes = \"lots\"\n"));
        assert!(size.contains("64MiB"), "{size}");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let text = FILE.replace("id = 2", "id = 1").replace("name = \"c\"", "name = \"a\"");
        let text = refusal(&text);
        assert_eq!(text.lines().count(), 2, "{text}");
        let text = refusal(&FILE.replace("127.0.0.1:7102", "127.0.0.1:7101"));
        assert!(text.contains("is also peer of node a"), "{text}");
    }

    #[test]
    fn an_address_to_listen_on_is_none_that_others_can_reach() {
        let text = refusal(&FILE.replace("client = \"127.0.0.1:7201\"", "client = \"0.0.0.0:7201\""));
        assert!(text.contains("into client_listen"), "{text}");
    }

    #[test]
    fn the_node_must_be_one_of_the_file() {
        let text = Config::parse(FILE, Some("z")).unwrap_err().text;
        assert!(text.contains("--node z") && text.contains("a, b, c"), "{text}");
        let text = Config::parse(FILE, None).unwrap_err().text;
        assert!(text.contains("which node is this?"), "{text}");
    }

    #[test]
    fn without_tls_only_loopback_listens_unless_it_is_asked_for() {
        let open = FILE.replace("client = \"127.0.0.1:7201\"", "client = \"192.0.2.1:7201\"");
        let text = refusal(&open);
        assert!(text.contains("client 192.0.2.1:7201 is not loopback"), "{text}");
        let insecure = Config::parse(&format!("{open}[tls]\ninsecure = true\n"), Some("a")).unwrap();
        assert!(insecure.standing_warnings()[0].contains("client 192.0.2.1:7201 without TLS"));
    }

    #[test]
    fn clients_show_a_certificate_unless_the_file_says_otherwise() {
        let tls = "[tls]\nca = \"c\"\ncertificate = \"n\"\nkey = \"k\"\n";
        let config = Config::parse(&format!("{FILE}{tls}"), Some("a")).unwrap();
        assert!(config.tls.as_ref().unwrap().clients_required);
        assert!(config.standing_warnings().is_empty());

        let optional = format!("{FILE}{tls}client_certificates = \"optional\"\n");
        let config = Config::parse(&optional, Some("a")).unwrap();
        assert!(!config.tls.as_ref().unwrap().clients_required);
        let warnings = config.standing_warnings();
        assert!(warnings[0].contains("may do everything"), "{warnings:?}");
    }

    #[test]
    fn a_wrong_setting_is_named_and_not_a_line_that_nobody_wrote() {
        let set = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
            Config::parse_with(FILE, Some("a"), &settings).map_err(|error| error.text)
        };
        assert_eq!(set(&["limits.sessions=7"]).unwrap().limits.sessions, 7);
        for (setting, word) in [
            ("limits.sessions=many", "usize"),
            ("limits.sessions=0", "sessions = 0"),
            ("limits.colour=red", "unknown field `colour`"),
            ("timing.heartbeat_ms=500", "four heartbeats"),
            ("cluster.name=x", "there is no table before name"),
            ("limits.sessions", "key=value"),
        ] {
            let text = set(&["timing.stop_ms=500", setting]).unwrap_err();
            assert!(text.starts_with(&format!("--set {setting}: ")), "{text}");
            assert!(text.contains(word) && !text.contains("line "), "{text}");
        }
    }

    #[test]
    fn timing_leaves_room_for_lost_heartbeats() {
        let text = refusal(&format!("{FILE}[timing]\nheartbeat_ms = 500\n"));
        assert!(text.contains("four heartbeats"), "{text}");
        let fast = Config::parse(&format!("{FILE}[timing]\nprofile = \"fast\"\n"), Some("a")).unwrap();
        assert_eq!(fast.timing.heartbeat, Duration::from_millis(50));
    }
}
