//! A network of its own for a cluster: a namespace for each node, one for the test, a bridge between them. Gone with the
//! processes that hold the namespaces. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
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
pub const FLOATING: &str = "10.231.0.50";
const PROBE_EVERY: Duration = Duration::from_millis(10);

/// Takes the thread, and all that it starts from now on, into a network namespace of its own.
pub fn enter_own_namespace() {
    // SAFETY: it changes this thread alone, which has no socket yet.
    let left = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(left, 0, "a network namespace can be made: {}", std::io::Error::last_os_error());
    ip(&["link", "set", "lo", "up"]);
    ip(&["link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0"]);
    ip(&["addr", "add", "10.231.0.254/24", "dev", BRIDGE]);
    ip(&["link", "set", BRIDGE, "up"]);
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn run(command: &mut Command) {
    let output = command.output().expect("ip and nsenter are there (packages iproute2, util-linux)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

pub fn address_of(node: usize) -> String {
    format!("10.231.0.{}", node + 1)
}

/// The namespaces of a cluster's nodes, each with `eth0` on the bridge.
pub struct Network {
    holders: Vec<Holder>,
}

impl Network {
    pub fn new(nodes: usize) -> Network {
        let mut network = Network { holders: Vec::new() };
        for node in 0..nodes {
            let holder = Holder::start(&["--net"], "true", &[] as &[&str]);
            let (port, holder_id) = (port_of(node), holder.id().to_string());
            network.holders.push(holder);
            ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &holder_id]);
            ip(&["link", "set", &port, "master", BRIDGE, "up"]);
            let own = format!("{}/24", address_of(node));
            for arguments in [
                ["link", "set", "lo", "up"].as_slice(),
                &["addr", "add", &own, "dev", "eth0"],
                &["link", "set", "eth0", "up"],
            ] {
                run(network.command(node, Path::new("ip")).args(arguments));
            }
        }
        network
    }

    /// The program, in the namespace of a node.
    pub fn command(&self, node: usize, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holders[node].id().to_string(), "--net"]).arg(program);
        command
    }

    /// Pulls the node's cable, or puts it back.
    pub fn plug(&self, node: usize, is_in: bool) {
        ip(&["link", "set", &port_of(node), if is_in { "up" } else { "down" }]);
    }

    /// What `ip` says of the node's interface.
    pub fn addresses(&self, node: usize) -> String {
        let output = self.command(node, Path::new("ip")).args(["addr", "show", "dev", "eth0"]).output();
        String::from_utf8_lossy(&output.expect("ip starts").stdout).into_owned()
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

fn port_of(node: usize) -> String {
    format!("port{node}")
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
        let interfaces =
            Route::open().and_then(|mut route| route.interfaces()).expect("interfaces can be listed");
        let own = interfaces.into_iter().find(|found| found.name == BRIDGE).expect("the bridge is there");
        let packets = Packets::open(&own).expect("root may open a packet socket");
        let address: Ipv4Addr = FLOATING.parse().expect("an address");
        let probe = frames::probe(IpAddr::V4(address), own.hardware).expect("there are probes of IPv4");
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
