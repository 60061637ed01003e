//! The floating addresses of a cluster file: which queue manager has which, and how this node holds them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use toml::Spanned;

use super::{Config, file, resolve};
use crate::types::{InNetwork, ObjectName, QueueManagerId};
use crate::vip::{Address, Mode, Options};

/// A sentence, and where in the file it belongs.
pub(super) type Problem = (std::ops::Range<usize>, String);

/// All that clients know, of every queue manager. What is no address is a problem of its own.
pub(super) fn floating(file: &file::File) -> BTreeMap<IpAddr, QueueManagerId> {
    let written = file.queue_managers.iter().flat_map(|one| {
        let id = QueueManagerId(*one.id.get_ref());
        one.address.iter().chain(&one.addresses).map(move |written| (written, id))
    });
    written.filter_map(|(written, id)| Some((InNetwork::parse(written.get_ref())?.ip, id))).collect()
}

/// None where no address is configured and nothing says how one would be held, or none is to be held.
pub(super) fn read(file: &file::File, node: &str, problems: &mut Vec<Problem>) -> Option<Options> {
    let addresses = addresses(file, problems);
    let mode = mode(&file.address, problems)?;
    let is_said = file.address.mode.is_some() || file.address.program.is_some();
    if addresses.is_empty() && !is_said {
        return None;
    }
    if mode == Mode::Exec && file.address.program.is_none() {
        let span = file.address.mode.as_ref().map_or(0..0, Spanned::span);
        problems.push((span, "mode = \"exec\" needs program = \"/path/to/it\" under [address]".to_owned()));
    }
    let this = file.nodes.iter().find(|other| other.name.get_ref() == node);
    let others = file.nodes.iter().filter(|other| other.name.get_ref() != node);
    let peers = others.filter_map(|other| other.peer.get_ref().to_socket_addrs().ok()).flatten();
    Some(Options {
        mode,
        addresses,
        interface: this.and_then(|this| this.interface.as_ref()).map(|name| name.get_ref().clone()),
        program: file.address.program.as_ref().map(|program| program.get_ref().clone()),
        program_limit: Duration::from_millis(
            file.address.program_ms.as_ref().map_or(5_000, |ms| *ms.get_ref()),
        ),
        peers: peers.map(|peer| peer.ip()).collect(),
    })
}

fn mode(address: &file::Address, problems: &mut Vec<Problem>) -> Option<Mode> {
    let Some(written) = &address.mode else { return Some(Mode::Kernel) };
    match written.get_ref().as_str() {
        "kernel" => Some(Mode::Kernel),
        "fast" => Some(Mode::Fast),
        "exec" => Some(Mode::Exec),
        "dry-run" => Some(Mode::DryRun),
        "none" => None,
        other => {
            let text =
                format!("mode = {other:?}: use \"kernel\", \"fast\", \"exec\", \"dry-run\" or \"none\"");
            problems.push((written.span(), text));
            None
        }
    }
}

fn addresses(file: &file::File, problems: &mut Vec<Problem>) -> Vec<Address> {
    let mut addresses = Vec::new();
    let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
    let any = file.queue_managers.iter().any(|one| one.address.is_some() || !one.addresses.is_empty());
    let machines = if any { machines(file) } else { BTreeMap::new() };
    for queue_manager in &file.queue_managers {
        let name = queue_manager.name.get_ref();
        for written in queue_manager.address.iter().chain(&queue_manager.addresses) {
            let Some(found) = InNetwork::parse(written.get_ref()) else {
                let text = format!(
                    "address = {:?}: write an address and the length of its network, for example \"10.0.0.50/24\"",
                    written.get_ref()
                );
                problems.push((written.span(), text));
                continue;
            };
            let InNetwork { ip, prefix } = found;
            if let Some(why) = found.why_not_floating() {
                problems.push((written.span(), format!("address = \"{}\"{why}", written.get_ref())));
            }
            if let Some(whose) = machines.get(&ip) {
                let text = format!(
                    "address = \"{ip}\" is {whose}: a floating address belongs to no machine, write one that none has"
                );
                problems.push((written.span(), text));
            }
            if let Some(other) = owners.insert(ip, name.clone()) {
                let text = format!("address {ip} is also queue manager {other}'s: give each its own");
                problems.push((written.span(), text));
            }
            let id = QueueManagerId(*queue_manager.id.get_ref());
            // A wrong name is a problem of its own.
            if let Ok(name) = ObjectName::new(name) {
                addresses.push(Address { queue_manager: id, name, ip, prefix, number: addresses.len() });
            }
        }
    }
    addresses
}

/// The addresses by which nodes are found, and whose each is. A name that nobody knows now is a problem of its own.
fn machines(file: &file::File) -> BTreeMap<IpAddr, String> {
    let mut machines = BTreeMap::new();
    for node in &file.nodes {
        for (what, written) in [("peer", &node.peer), ("client", &node.client)] {
            for found in written.get_ref().to_socket_addrs().into_iter().flatten() {
                machines.insert(found.ip(), format!("{what} of node {}", node.name.get_ref()));
            }
        }
    }
    machines
}

impl Config {
    /// What the file says of the addresses of a queue manager.
    pub fn floating_of(&self, queue_manager: QueueManagerId) -> Vec<String> {
        let own = self.floating.iter().filter(|(_, whose)| **whose == queue_manager);
        own.map(|(ip, _)| ip.to_string()).collect()
    }

    /// A sentence on each floating address at which this node would listen nowhere, as far as the cluster file says where it listens.
    pub fn unheard_addresses(&self) -> Vec<String> {
        let this = self.this();
        let addresses = self.addresses.iter().flat_map(|options| &options.addresses);
        let is_unheard = |address: &&Address| {
            let channels = this.mq_listen.get(address.name.as_str());
            !reaches(&this.client_listen, address.ip) && !channels.is_some_and(|at| reaches(at, address.ip))
        };
        let sentence = |address: &Address| {
            let (all, ip) = match address.ip {
                IpAddr::V4(ip) => ("0.0.0.0", ip.to_string()),
                IpAddr::V6(ip) => ("[::]", format!("[{ip}]")),
            };
            format!(
                "address {} of queue manager {}: client_listen = \"{}\" does not reach it, and no mq of the queue manager does: \
                 unless a LISTENER is there, clients find nobody at it; write client_listen = \"{all}:…\", or mq = {{ \"{}\" = \
                 \"{ip}:1414\" }}",
                address.ip, address.name, this.client_listen, address.name
            )
        };
        addresses.filter(is_unheard).map(sentence).collect()
    }
}

/// Whether who listens at `listen` is found at this address, once it is here. All addresses of IPv6 are those of IPv4, too, as Linux
/// has it.
pub(super) fn reaches(listen: &str, ip: IpAddr) -> bool {
    let is_heard =
        |at: &SocketAddr| at.ip() == ip || at.ip().is_unspecified() && (at.is_ipv6() || ip.is_ipv4());
    resolve(listen).is_ok_and(|found| found.iter().any(is_heard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const FILE: &str = r#"cluster = "demo"
[[nodes]]
name = "a"
id = 1
peer = "127.0.0.1:7101"
client = "127.0.0.1:7201"
http = "127.0.0.1:7301"
interface = "eth1"
[[queue_managers]]
name = "ONE"
id = 1
address = "10.0.0.50/24"
[[queue_managers]]
name = "TWO"
id = 2
addresses = ["10.0.0.51/24", "fd00::51/64"]
[directories]
log = "/tmp/{node}/log"
data = "/tmp/{node}/data"
"#;

    fn refusal(from: &str, to: &str) -> String {
        Config::parse(&FILE.replace(from, to), Some("a")).unwrap_err().text
    }

    #[test]
    fn each_queue_manager_has_its_own_addresses() {
        let options = Config::parse(FILE, Some("a")).unwrap().addresses.unwrap();
        assert_eq!((options.mode, options.interface.as_deref()), (Mode::Kernel, Some("eth1")));
        let of = |id| {
            options.of(QueueManagerId(id)).map(|a| (a.ip.to_string(), a.prefix, a.number)).collect::<Vec<_>>()
        };
        assert_eq!(of(1), [("10.0.0.50".to_owned(), 24, 0)]);
        assert_eq!(of(2), [("10.0.0.51".to_owned(), 24, 1), ("fd00::51".to_owned(), 64, 2)]);
        let without: String = FILE
            .lines()
            .filter(|line| !line.starts_with("address"))
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(Config::parse(&without, Some("a")).unwrap().addresses, None);
        let created = Config::parse(&format!("{without}[address]\nmode = \"fast\"\n"), Some("a")).unwrap();
        let created = created.addresses.expect("queue managers that are created may have some");
        assert_eq!((created.mode, created.addresses), (Mode::Fast, Vec::new()));
        let none = Config::parse(&format!("{FILE}[address]\nmode = \"none\"\n"), Some("a")).unwrap();
        assert_eq!(none.addresses, None);
        let floating: Vec<String> = none.floating.keys().map(IpAddr::to_string).collect();
        assert_eq!(floating, ["10.0.0.50", "10.0.0.51", "fd00::51"], "clients know them all the same");
    }

    /// As README has it: whoever has the address listens there.
    #[test]
    fn channels_are_at_the_floating_address_on_every_node() {
        let file = |mq: &str| {
            let node = |number: u32| {
                format!(
                    "interface = \"eth1\"\nmq = {{ {mq} }}\n[[nodes]]\nname = \"n{number}\"\nid = {number}\n\
                     peer = \"127.0.0.1:71{number:02}\"\nclient = \"127.0.0.1:72{number:02}\"\nhttp = \"127.0.0.1:73{number:02}\"\n"
                )
            };
            let more = format!("{}{}mq = {{ {mq} }}\n", node(11), node(12));
            let text = FILE.replace("interface = \"eth1\"\n", &more) + "[tls]\ninsecure = true\n";
            Config::parse(&text, Some("a"))
        };
        let own = r#"ONE = "10.0.0.50:1414", TWO = "[fd00::51]:1414""#;
        let config = file(own).unwrap();
        assert!(config.nodes.values().all(|node| node.mq_listen["ONE"] == "10.0.0.50:1414"));
        assert!(file(r#"ONE = "0.0.0.0:1414""#).is_ok(), "each machine has its own");
        let here = file(r#"ONE = "127.0.0.1:1414""#).unwrap_err().text;
        assert!(here.contains("is also mq of queue manager ONE: give each its own port"), "{here}");
        let mistyped = file(r#"ONE = "10.0.0.5:1414""#).unwrap_err().text;
        let cause = "at another node, and 10.0.0.5 is no floating address of ONE, which has 10.0.0.50: correct the one or the other";
        assert!(mistyped.lines().all(|line| line.contains(cause)), "{mistyped}");
    }

    #[test]
    fn an_address_that_a_machine_or_a_network_has_floats_nowhere() {
        let own = refusal("10.0.0.50/24", "127.0.0.1/24");
        assert!(own.contains("is peer of node a") || own.contains("is client of node a"), "{own}");
        for (reserved, role) in [
            ("10.0.0.255/24", "the broadcast address of the network 10.0.0.0/24"),
            ("10.0.0.0/24", "the address of the network itself"),
            ("fd00::/64", "the address of all routers"),
        ] {
            let text = refusal("10.0.0.50/24", reserved);
            assert!(text.starts_with("line 12: ") && text.contains(role), "{text}");
        }
        for fine in ["10.0.0.255/16", "10.0.0.255", "10.0.0.254/31"] {
            assert!(Config::parse(&FILE.replace("10.0.0.50/24", fine), Some("a")).is_ok(), "{fine}");
        }
    }

    #[test]
    fn an_address_at_which_nobody_listens_is_named() {
        let unheard = |listen: &str, mq: &str| {
            let more = format!("interface = \"eth1\"\nclient_listen = \"{listen}\"\nmq = {{ {mq} }}\n");
            let text = FILE.replace("interface = \"eth1\"\n", &more) + "[tls]\ninsecure = true\n";
            Config::parse(&text, Some("a")).unwrap().unheard_addresses()
        };
        assert_eq!(unheard("[::]:7201", ""), [""; 0], "all addresses");
        let four = unheard("0.0.0.0:7201", "");
        assert!(four.len() == 1 && four[0].contains("address fd00::51 of queue manager TWO"), "{four:?}");
        assert!(
            four[0].contains("write client_listen = \"[::]:…\"") && four[0].contains("\"[fd00::51]:1414\"")
        );
        assert_eq!(unheard("0.0.0.0:7201", r#"TWO = "[fd00::51]:1414""#), [""; 0]);
        assert_eq!(
            unheard("127.0.0.1:7201", r#"ONE = "10.0.0.50:1414""#).len(),
            2,
            "another's port is no help"
        );
    }

    #[test]
    fn a_wrong_address_is_answered_with_what_to_write() {
        for wrong in ["10.0.0.50/33", "10.0.0/24", "eth0", "10.0.0.50/0"] {
            let text = refusal("10.0.0.50/24", wrong);
            assert!(text.starts_with("line 12: address = ") && text.contains("\"10.0.0.50/24\""), "{text}");
        }
        assert!(refusal("10.0.0.50/24", "127.0.0.2/8").contains("move from machine to machine"));
        for local in ["fe80::50/64", "fe80::50", "febf::1/10"] {
            assert!(refusal("10.0.0.50/24", local).contains("is link-local"), "{local}");
        }
        let text = refusal("10.0.0.51/24", "10.0.0.50/24");
        assert!(text.contains("line 16: address 10.0.0.50 is also queue manager ONE's"), "{text}");
        let exec = refusal("[directories]", "[address]\nmode = \"exec\"\n[directories]");
        assert!(exec.contains("needs program"), "{exec}");
        let mode = refusal("[directories]", "[address]\nmode = \"magic\"\n[directories]");
        assert!(mode.contains("\"dry-run\" or \"none\""), "{mode}");
    }
}
