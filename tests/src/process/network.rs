//! A network of its own for a cluster: a namespace for each node, one for the test, a bridge between them. Gone with the
//! processes that hold the namespaces. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trimaran_node::vip::frames;
use trimaran_node::vip::netlink::Route;
use trimaran_node::vip::packet::Packets;

use super::namespace::Holder;

/// The test's own end of the bridge, and where clients are.
const BRIDGE: &str = "bridge";
const SECOND_BRIDGE: &str = "second";
pub const FLOATING: &str = "10.231.0.50";
/// Of a second queue manager.
pub const FLOATING_SIX: &str = "fd00:231::50";
const PROBE_EVERY: Duration = Duration::from_millis(10);

/// Takes the thread, and all that it starts from now on, into a network namespace of its own.
pub fn enter_own_namespace() {
    // SAFETY: it changes this thread alone, which has no socket yet.
    let left = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(left, 0, "a network namespace can be made: {}", std::io::Error::last_os_error());
    ip(&["link", "set", "lo", "up"]);
    // Without one of its own a bridge has the lowest address of its ports, and another one when a port goes.
    let own = ["link", "add", BRIDGE, "address", "02:00:00:00:00:fe"];
    ip(&[&own[..], &["type", "bridge", "stp_state", "0", "forward_delay", "0"]].concat());
    ip(&["addr", "add", "10.231.0.254/24", "dev", BRIDGE]);
    ip(&["addr", "add", "fd00:231::254/64", "dev", BRIDGE, "nodad"]);
    ip(&["link", "set", BRIDGE, "up"]);
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program is there (packages iproute2, nftables, util-linux)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// See [`Network::second_line`].
pub fn second_address_of(node: usize) -> String {
    format!("10.232.0.{}", node + 1)
}

pub fn address_of(node: usize) -> String {
    format!("10.231.0.{}", node + 1)
}

/// What goes through a node's cable one way only, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The node sends, and hears nothing.
    Deaf,
    /// The node hears, and what it sends is lost.
    Mute,
    /// The node and the others do not hear each other; clients hear all of them.
    FromPeers,
}

/// The namespaces of a cluster's nodes, each with `eth0` on the bridge.
pub struct Network {
    /// None where the power is off.
    holders: Vec<Option<Holder>>,
}

impl Network {
    pub fn new(nodes: usize) -> Network {
        let mut network = Network { holders: (0..nodes).map(|_| None).collect() };
        (0..nodes).for_each(|node| network.power_on(node));
        network
    }

    pub fn power_on(&mut self, node: usize) {
        let holder = Holder::start(&["--net"], "true", &[] as &[&str]);
        let (port, holder_id) = (port_of(node), holder.id().to_string());
        self.holders[node] = Some(holder);
        // As a machine that starts again has it: what others know of its neighbours stays true.
        let hardware = format!("02:00:00:00:01:{node:02x}");
        let peer = ["peer", "name", "eth0", "address", &hardware, "netns", &holder_id];
        ip(&[&["link", "add", &port, "type", "veth"], &peer[..]].concat());
        ip(&["link", "set", &port, "master", BRIDGE, "up"]);
        let (own, six) = (format!("{}/24", address_of(node)), format!("fd00:231::{}/64", node + 1));
        for arguments in [
            ["link", "set", "lo", "up"].as_slice(),
            &["addr", "add", &own, "dev", "eth0"],
            &["addr", "add", &six, "dev", "eth0", "nodad"],
            &["link", "set", "eth0", "up"],
        ] {
            self.ip(node, arguments);
        }
    }

    /// Another cable for each node, `eth1`, to a bridge of its own, for what nodes say to each other.
    pub fn second_line(&self) {
        ip(&["link", "add", SECOND_BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0"]);
        ip(&["link", "set", SECOND_BRIDGE, "up"]);
        for (node, holder) in self.holders.iter().enumerate() {
            let holder = holder.as_ref().expect("the power is on").id().to_string();
            let (port, own) = (format!("second{node}"), format!("{}/24", second_address_of(node)));
            ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth1", "netns", &holder]);
            ip(&["link", "set", &port, "master", SECOND_BRIDGE, "up"]);
            self.ip(node, &["addr", "add", &own, "dev", "eth1"]);
            self.ip(node, &["link", "set", "eth1", "up"]);
        }
    }

    /// The cable goes first, so that nothing comes from the node any more, not even what its kernel says for processes that
    /// end. These are the caller's.
    pub fn unplug_for_good(&self, node: usize) {
        ip(&["link", "del", &port_of(node)]);
    }

    pub fn power_off(&mut self, node: usize) {
        self.holders[node] = None;
    }

    /// The program, in the namespace of a node.
    pub fn command(&self, node: usize, program: &Path) -> Command {
        let holder = self.holders[node].as_ref().expect("the power is on");
        let mut command = Command::new("nsenter");
        command.args(["--target", &holder.id().to_string(), "--net"]).arg(program);
        command
    }

    /// `ip`, at the node.
    pub fn ip(&self, node: usize, arguments: &[&str]) {
        run(self.command(node, Path::new("ip")).args(arguments));
    }

    /// Pulls the node's cable, or puts it back.
    pub fn plug(&self, node: usize, is_in: bool) {
        ip(&["link", "set", &port_of(node), if is_in { "up" } else { "down" }]);
    }

    /// From now on until [`Network::heal`].
    pub fn lose(&self, node: usize, loss: Loss) {
        let others: Vec<String> =
            (0..self.holders.len()).filter(|other| *other != node).map(address_of).collect();
        let others = others.join(", ");
        let (heard, said) = match loss {
            Loss::Deaf => ("drop".to_owned(), "accept".to_owned()),
            Loss::Mute => ("accept".to_owned(), "drop".to_owned()),
            Loss::FromPeers => {
                (format!("ip saddr {{ {others} }} drop"), format!("ip daddr {{ {others} }} drop"))
            }
        };
        self.filter(
            node,
            &format!(
                "table netdev lossy {{ chain heard {{ type filter hook ingress device eth0 priority 0; {heard}; }}; chain \
                 said {{ type filter hook egress device eth0 priority 0; {said}; }}; }}"
            ),
        );
    }

    pub fn heal(&self, node: usize) {
        self.filter(node, "delete table netdev lossy");
    }

    /// Whoever takes the address over says nothing to its clients: see `vip/tickle.rs`.
    pub fn lose_tickles(&self, node: usize) {
        let rule = format!(
            "ip saddr {FLOATING} tcp flags & (fin|syn|rst|psh|ack) == ack tcp sequence {{ 0, 2147483648 }} drop"
        );
        self.filter(
            node,
            &format!("table netdev lossy {{ chain said {{ type filter hook egress device eth0 priority 0; {rule}; }}; }}"),
        );
    }

    /// `nft`, at the node.
    pub fn filter(&self, node: usize, text: &str) {
        run(self.command(node, Path::new("nft")).arg(text));
    }

    /// What passes at the node and what does not.
    pub fn rules(&self, node: usize) -> String {
        let output = self.command(node, Path::new("nft")).args(["list", "ruleset"]).output();
        String::from_utf8_lossy(&output.expect("nft starts").stdout).into_owned()
    }

    /// What `ip` says of the node's interface.
    pub fn addresses(&self, node: usize) -> String {
        let output = self.command(node, Path::new("ip")).args(["addr", "show", "dev", "eth0"]).output();
        String::from_utf8_lossy(&output.expect("ip starts").stdout).into_owned()
    }

    /// Whether any interface of the node has it, as whatever network.
    pub fn has_anywhere(&self, node: usize, address: &str) -> bool {
        let output = self.command(node, Path::new("ip")).args(["-oneline", "addr", "show"]).output();
        let shown = output.expect("ip starts").stdout;
        String::from_utf8_lossy(&shown).contains(&format!(" {address}/"))
    }

    pub fn has(&self, node: usize, address: &str) -> bool {
        self.holders[node].is_some() && self.addresses(node).contains(&format!(" {address}/"))
    }

    /// The hardware address of the node's interface, as frames have it.
    pub fn hardware(&self, node: usize) -> [u8; 6] {
        let shown = self.addresses(node);
        let word = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
        let bytes = word.expect("an interface has one").split(':').map(|byte| u8::from_str_radix(byte, 16));
        let bytes: Vec<u8> = bytes.map(|byte| byte.expect("hexadecimal")).collect();
        bytes.try_into().expect("six bytes")
    }
}

impl Drop for Network {
    /// Namespaces go when the kernel comes to it; the names of their ports are wanted again at once.
    fn drop(&mut self) {
        for (node, _) in self.holders.iter().enumerate().filter(|(_, holder)| holder.is_some()) {
            let _ = Command::new("ip").args(["link", "del", &port_of(node)]).output();
        }
    }
}

fn port_of(node: usize) -> String {
    format!("port{node}")
}

/// Of these nodes the test hears nothing from now on, and they nothing of it; they go on among themselves.
pub fn hide(nodes: &[usize]) {
    let ports: Vec<String> = nodes.iter().map(|node| format!("\"{}\"", port_of(*node))).collect();
    let ports = ports.join(", ");
    run(Command::new("nft").arg(format!(
        "table bridge hidden {{ chain heard {{ type filter hook input priority 0; iifname {{ {ports} }} drop; }}; chain said \
         {{ type filter hook output priority 0; oifname {{ {ports} }} drop; }}; }}"
    )));
}

/// The end of [`hide`].
pub fn show() {
    run(Command::new("nft").arg("delete table bridge hidden"));
}

/// A machine that is no node has the floating address, or gives it up.
pub fn stranger(has_it: bool) {
    ip(&["addr", if has_it { "add" } else { "del" }, &format!("{FLOATING}/32"), "dev", BRIDGE]);
}

/// As [`stranger`], of the address of the second queue manager.
pub fn stranger_six(has_it: bool) {
    let address = format!("{FLOATING_SIX}/128");
    match has_it {
        true => ip(&["addr", "add", &address, "dev", BRIDGE, "nodad"]),
        false => ip(&["addr", "del", &address, "dev", BRIDGE]),
    }
}

/// Asks all the time who has the floating address, as any other machine of the network would.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    probes: u64,
    /// Who answered the newest probe.
    holder: Option<[u8; 6]>,
    /// When each was heard last.
    heard: BTreeMap<[u8; 6], Instant>,
    /// Probes that two answered.
    doubles: Vec<String>,
}

impl Watch {
    pub fn start() -> Watch {
        Watch::on(FLOATING)
    }

    /// Of another one, of IPv4.
    pub fn on(address: &str) -> Watch {
        let interfaces =
            Route::open().and_then(|mut route| route.interfaces()).expect("interfaces can be listed");
        let own = interfaces.into_iter().find(|found| found.name == BRIDGE).expect("the bridge is there");
        let address: IpAddr = address.parse().expect("an address");
        let packets = Packets::open(&own, address).expect("root may open a packet socket");
        let probe = frames::probe(address, own.hardware);
        let (seen, ends) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (shared, told) = (seen.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                packets.send(&probe).expect("the bridge is up");
                std::thread::sleep(PROBE_EVERY);
                let (mut buffer, mut answered) = ([0; 128], BTreeSet::new());
                while let Some(frame) = packets.hear(&mut buffer) {
                    // Answers to the probe are for us alone; announcements are for everybody.
                    let is_answer = frame[..6] == own.hardware;
                    answered.extend(
                        frames::claim(frame)
                            .filter(|(_, claimed)| is_answer && *claimed == address)
                            .map(|(hardware, _)| hardware),
                    );
                }
                shared.lock().expect("nobody panics with it").note(answered);
            }
        });
        Watch { seen, ends, thread: Some(thread) }
    }

    pub fn holder(&self) -> Option<[u8; 6]> {
        self.seen().holder
    }

    /// How long ago the node was last heard to have the address.
    pub fn silent_for(&self, hardware: [u8; 6]) -> Option<Duration> {
        self.seen().heard.get(&hardware).map(Instant::elapsed)
    }

    /// Probes so far. Panics if two nodes ever answered one.
    pub fn assert_never_two(&self) -> u64 {
        let seen = self.seen();
        assert!(seen.doubles.is_empty(), "two nodes had the address: {:?}", seen.doubles);
        seen.probes
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics with it")
    }
}

impl Seen {
    fn note(&mut self, answered: BTreeSet<[u8; 6]>) {
        self.probes += 1;
        if answered.len() > 1 {
            self.doubles.push(format!("probe {}: {answered:x?}", self.probes));
        }
        self.holder = answered.first().copied();
        self.heard.extend(answered.into_iter().map(|hardware| (hardware, Instant::now())));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
