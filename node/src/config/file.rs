//! The cluster file as it is written: one TOML text, the same on every node except for `node`.
//!
//! Every key is checked where it stands, and a refusal names line, key, what was found and what to write instead.
//! [`super::Config`] is what it means.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Names the cluster; nodes of another cluster are refused, and certificates carry it.
    pub cluster: Spanned<String>,
    /// Which of `nodes` this one is. May be given as `--node` instead.
    pub node: Option<Spanned<String>>,
    /// For tests of upgrades: the newest version that this node speaks (`types/version.rs`). An older one than the program's only
    /// with the feature `next-version`.
    pub speaks: Option<Spanned<u32>>,
    /// Threads that serve clients and peers. Default: 1 up to 4 CPUs, then one for every 4.
    pub threads: Option<Spanned<usize>>,
    pub nodes: Vec<Node>,
    /// Those that the cluster begins with, and what only the file can say of others. There may be none: `crtmqm` makes them.
    #[serde(default)]
    pub queue_managers: Vec<QueueManager>,
    pub directories: Directories,
    #[serde(default)]
    pub tls: Tls,
    #[serde(default)]
    pub timing: Timing,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub log: Log,
    #[serde(default)]
    pub metrics: Metrics,
    #[serde(default)]
    pub address: Address,
    #[serde(default)]
    pub canary: Canary,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub name: Spanned<String>,
    /// 1 or more; never given to another node later.
    pub id: Spanned<u64>,
    /// `host:port` where the other nodes reach this one.
    pub peer: Spanned<String>,
    /// `host:port` where clients reach it.
    pub client: Spanned<String>,
    /// `host:port` of health and metrics.
    pub http: Spanned<String>,
    /// `host:port` of the REST API (port 9443 is MQ's). Default: it is not served.
    pub rest: Option<Spanned<String>>,
    /// Where to listen, if it is not the address the others use (for example `0.0.0.0:7101`).
    pub peer_listen: Option<Spanned<String>>,
    pub client_listen: Option<Spanned<String>>,
    pub http_listen: Option<Spanned<String>>,
    pub rest_listen: Option<Spanned<String>>,
    /// `host:port` where the channels of a queue manager are listened for (port 1414 is MQ's), by the queue manager's name.
    /// None that is not here is listened for.
    #[serde(default)]
    pub mq: BTreeMap<String, Spanned<String>>,
    /// Where floating addresses go on this machine. Default: the interface that has an address in the same network.
    pub interface: Option<Spanned<String>>,
    /// The node comes later, with `trimaran node add`: it has no part in the first membership.
    #[serde(default)]
    pub joins: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueManager {
    pub name: Spanned<String>,
    pub id: Spanned<u32>,
    /// A floating address, with the length of its network: it is on the node that serves the queue manager.
    pub address: Option<Spanned<String>>,
    /// More of them.
    #[serde(default)]
    pub addresses: Vec<Spanned<String>>,
    /// The node that should serve it, when it can.
    pub preferred: Option<Spanned<String>>,
    /// When it moves back there by itself: "never" (the default), "now", or a part of the day in UTC, "02:00-04:00".
    pub fail_back: Option<Spanned<String>>,
    /// Each second, nodes that do not serve it put a small persistent message through it and get it, as clients do. Default: false.
    pub canary: Option<Spanned<bool>>,
}

/// As whom canaries connect. `{node}` is replaced by the node's name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// A user's certificate and key, where clients must show one.
    pub certificate: Option<Spanned<PathBuf>>,
    pub key: Option<Spanned<PathBuf>>,
}

/// How floating addresses are held, those of the file and those of queue managers that are created while the nodes run.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// "kernel" (the default: on an interface of the node), "fast" (the same behind a fence of nftables, for short elections),
    /// "exec" (by `program`), "dry-run" (only said in the log) or "none".
    pub mode: Option<Spanned<String>>,
    /// Called with `acquire` or `release`, the address, the queue manager, the term and the milliseconds left.
    pub program: Option<Spanned<PathBuf>>,
    /// It is ended when it takes longer.
    pub program_ms: Option<Spanned<u64>>,
}

/// `{node}` is replaced by the node's name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directories {
    pub log: Spanned<PathBuf>,
    pub data: Spanned<PathBuf>,
}

/// `{node}` is replaced by the node's name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub ca: Option<Spanned<PathBuf>>,
    pub certificate: Option<Spanned<PathBuf>>,
    pub key: Option<Spanned<PathBuf>>,
    /// Whether clients must show a certificate: "required" (the default), or "optional": then whoever reaches the port
    /// is let in, too, as user anonymous.
    pub client_certificates: Option<Spanned<String>>,
    /// Listen without TLS on addresses that are not loopback. Anybody on the network can then read and write.
    #[serde(default)]
    pub insecure: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// "normal" (heartbeat 100 ms, election 1250 ms) or "fast" (50 ms, 400 ms).
    pub profile: Option<Spanned<String>>,
    pub heartbeat_ms: Option<Spanned<u64>>,
    pub election_ms: Option<Spanned<u64>>,
    /// How long a stop may take to hand over and finish; open units of work have at most half of it.
    pub stop_ms: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Messages and log kept in memory for each queue manager.
    pub window_bytes: Option<Spanned<Bytes>>,
    /// Log kept on disk for nodes that were away, for each queue manager. A start reads and verifies all of it. For a node
    /// that is there and catches up, up to an eighth of the device is kept.
    pub log_retain_bytes: Option<Spanned<Bytes>>,
    /// Memory for what clients and peers make the node hold: connections, what is half received or not answered, answers
    /// that are not read, open units of work, messages that are not persistent, snapshots. Each has its share; metrics
    /// and status show them. Default: half of what the machine, or the control group of the process, has, and at most
    /// 2 GiB: three nodes stay below 4 GB whatever clients do.
    pub memory_bytes: Option<Spanned<Bytes>>,
    /// Bodies of puts that are not answered yet, for each queue manager.
    pub unanswered_bytes: Option<Spanned<Bytes>>,
    /// Puts are refused (reason 2192) when the log or data directory has less free space than this, besides what the
    /// message store has yet to write of what was taken.
    pub disk_reserve_bytes: Option<Spanned<Bytes>>,
    /// Unsent bytes for each peer; what is over it is dropped and sent again by Raft.
    pub peer_unsent_bytes: Option<Spanned<Bytes>>,
    /// Snapshot bytes a second for each peer that needs one.
    pub snapshot_bytes_per_second: Option<Spanned<Bytes>>,
    /// Memory of the message store's block cache.
    pub store_cache_bytes: Option<Spanned<Bytes>>,
    pub connections: Option<Spanned<usize>>,
    pub sessions: Option<Spanned<usize>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// "text" (default) or "json".
    pub format: Option<Spanned<String>>,
    /// "error", "warn", "info" (default), "debug", or a filter like "info,trimaran_node::peer=debug".
    pub level: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Queues that have lines of their own on the page of metrics, as "APP.*,!APP.TEST.*". Default: all; of more than 1,000
    /// those with messages or handles first.
    pub queues: Option<Spanned<String>>,
}

/// A number of bytes, or a text with a unit: "64MiB", "1.5 GB".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Bytes {
    fn parse(text: &str) -> Option<Bytes> {
        let text = text.trim();
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let number: f64 = text[..split].parse().ok()?;
        let unit = match text[split..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            "kib" | "k" => 1024.0,
            "mib" | "m" => 1024.0 * 1024.0,
            "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
            "tib" | "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            _ => return None,
        };
        Some(Bytes((number * unit) as u64))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like 67108864 or \"64MiB\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Bytes, E> {
                let bytes = u64::try_from(value);
                bytes.map(Bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Bytes, E> {
                Ok(Bytes(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Bytes, E> {
                Bytes::parse(value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(BytesVisitor)
    }
}

/// What the reader of TOML says, in the words of this file: whoever reads it need not know Rust.
pub fn in_our_words(said: &str) -> String {
    let words = [
        ("` as i128", "`"),
        ("` as u128", "`"),
        ("expected u64", "expected a whole number from 0 on"),
        ("expected u32", "expected a whole number from 0 on"),
        ("expected usize", "expected a whole number from 0 on"),
        ("expected a sequence", "expected a list, like [[nodes]]"),
        ("expected a boolean", "expected true or false"),
        ("expected path string", "expected a path in quotes"),
        ("expected a string", "expected a text in quotes"),
        ("invalid type: sequence", "a list"),
        ("invalid type: map", "a table"),
        ("invalid type: ", ""),
        ("invalid value: ", ""),
        ("integer `", "the number `"),
        ("floating point `", "the number `"),
        ("boolean `", "`"),
        ("string \"", "the text \""),
        ("unknown field `", "there is no key `"),
        ("missing field `", "missing key `"),
        ("expected struct File", "expected the keys of a cluster file"),
        ("expected struct Node", "expected a table, like [[nodes]]"),
        ("expected struct QueueManager", "expected a table, like [[queue_managers]]"),
        ("expected struct Directories", "expected a table, [directories]"),
        ("expected struct Tls", "expected a table, [tls]"),
        ("expected struct Timing", "expected a table, [timing]"),
        ("expected struct Limits", "expected a table, [limits]"),
        ("expected struct Log", "expected a table, [log]"),
        ("expected struct Address", "expected a table, [address]"),
        ("expected struct Canary", "expected a table, [canary]"),
        ("expected a map", "expected a table"),
    ];
    words.iter().fold(said.trim_end().to_owned(), |said, (theirs, ours)| said.replace(theirs, ours))
}

/// Applies `--set key=value` to the text: `limits.window_bytes=32MiB`, `nodes.0.client=127.0.0.1:9000`. A value that
/// is no TOML is taken as a string.
pub fn with_settings(text: &str, settings: &[String]) -> Result<String, String> {
    if settings.is_empty() {
        return Ok(text.to_owned());
    }
    let mut root: toml::Value = toml::Value::Table(
        toml::from_str(text).map_err(|error: toml::de::Error| in_our_words(&error.to_string()))?,
    );
    for setting in settings {
        let (path, value) = setting.split_once('=').ok_or_else(|| {
            format!("--set {setting}: write it as key=value, for example limits.sessions=2000")
        })?;
        let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let mut place = &mut root;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            let last = keys.peek().is_none();
            place = match place {
                toml::Value::Table(table) if last => {
                    table.insert(key.to_owned(), value.clone());
                    break;
                }
                toml::Value::Table(table) => {
                    table.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()))
                }
                toml::Value::Array(array) => {
                    let length = array.len();
                    let item = key.parse::<usize>().ok().and_then(|index| array.get_mut(index));
                    item.ok_or_else(|| {
                        format!("--set {setting}: {key} is not one of 0 to {}", length.max(1) - 1)
                    })?
                }
                _ => return Err(format!("--set {setting}: there is no table before {key}")),
            };
        }
    }
    toml::to_string(&root).map_err(|error| format!("--set {}: {error}", settings.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1.5 GB", 1_500_000_000), ("10", 10), ("2k", 2048)] {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
        }
        assert_eq!(Bytes::parse("64 apples"), None);
        assert_eq!(Bytes::parse(""), None);
    }

    #[test]
    fn no_table_is_called_by_the_name_it_has_in_the_program() {
        for (name, shown) in [
            ("address", "[address]"),
            ("tls", "[tls]"),
            ("nodes", "[[nodes]]"),
            ("directories", "[directories]"),
        ] {
            let value = if name == "nodes" { "[1]" } else { "1" };
            let said = toml::from_str::<File>(&format!("{name} = {value}")).unwrap_err().to_string();
            let said = in_our_words(&said);
            assert!(said.contains(shown) && !said.contains("struct"), "{said}");
        }
    }

    #[test]
    fn a_number_that_is_too_large_has_no_type() {
        let said = toml::from_str::<File>("[[nodes]]\nid = 99999999999999999999").unwrap_err().to_string();
        let said = in_our_words(&said);
        assert!(said.contains("the number `99999999999999999999`") && !said.contains("128"), "{said}");
    }

    #[test]
    fn a_setting_replaces_what_the_file_says() {
        let text = "cluster = \"x\"\n[[nodes]]\nname = \"a\"\n";
        let set = ["limits.sessions=7".to_owned(), "nodes.0.name=b".to_owned()];
        let changed: toml::Table = toml::from_str(&with_settings(text, &set).unwrap()).unwrap();
        assert_eq!(changed["limits"]["sessions"].as_integer(), Some(7));
        assert_eq!(changed["nodes"][0]["name"].as_str(), Some("b"));
        assert!(with_settings(text, &["nodes.9.name=b".to_owned()]).unwrap_err().contains("nodes.9.name"));
    }
}
