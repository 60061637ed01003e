//! Which port is open where: wanted against actual, from the listeners (LISTENER objects) of the queue managers that this
//! node serves. Pure; `runtime/ports.rs` opens and closes, and publishes a [`PortView`] of each listener for status.
//!
//! What the cluster file says is always open, and given here as it is: it opens nothing twice. Level-triggered: what is
//! wanted follows from what is there now, however it came about.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::types::ObjectName;
use crate::types::definition::{self as selector, Definition};

/// MQ's own, where a listener says 0.
const PORT: u16 = 1414;
/// Connections that may wait to be taken, where a listener says 0.
const BACKLOG: u32 = 1024;
/// Ports that the listeners of a queue manager have open at most. Each is a file of the process.
pub const PORTS_MAX: usize = 128;

/// A queue manager that this node serves, and its listeners in the order of their names.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    pub queue_manager: &'a ObjectName,
    pub listeners: &'a [Definition],
}

/// A port that is open for a queue manager: for a listener, or for none, because the cluster file says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub queue_manager: ObjectName,
    pub listener: Option<String>,
    /// All addresses of the machine are `[::]`.
    pub address: SocketAddr,
    pub backlog: u32,
}

/// What a listener is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its port is to be open.
    Open(Port),
    /// The cluster file has it open already, for the same queue manager.
    OpenAnyway,
    /// Nobody has started it, or somebody has stopped it.
    Stopped,
    /// It should run and may not, for the reason in this sentence.
    Refused(String),
}

/// How a listener is, for status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortView {
    pub queue_manager: ObjectName,
    pub listener: Definition,
    pub state: PortState,
    /// A sentence for people where there is more to say.
    pub reason: String,
    /// Since when it is open, by this node's clock, milliseconds since 1970; 0 when it is not.
    pub started_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    Running,
    /// Its port is not open yet, for a moment until now.
    Starting,
    /// It was stopped, and its port is open for a moment yet.
    Stopping,
    /// It could not be opened, and is tried again.
    Retrying,
    Stopped,
}

impl PortState {
    pub fn as_str(self) -> &'static str {
        match self {
            PortState::Running => "running",
            PortState::Starting => "starting",
            PortState::Stopping => "stopping",
            PortState::Retrying => "retrying",
            PortState::Stopped => "stopped",
        }
    }
}

/// What a node's ports may be, whatever listeners say.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Clients may come from other machines.
    pub strangers: bool,
    /// Ports that all its listeners have open at most, by the files that the process may open.
    pub ports_max: usize,
}

/// The part of each listener, in the order of `served`. Where two want the same address, or more want one than there may be,
/// those that are `open` stay, and else the first have it.
pub fn wanted(served: &[Served<'_>], fixed: &[Port], open: &[Port], bounds: Bounds) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for Served { queue_manager, listeners } in served {
        parts.extend(
            listeners.iter().map(|listener| own_part(queue_manager, listener, fixed, bounds.strangers)),
        );
    }
    let mut taken = Taken::default();
    let own: BTreeSet<&Port> = parts.iter().filter_map(Part::port).collect();
    open.iter().filter(|port| own.contains(port)).for_each(|port| taken.add(port.clone()));
    for part in &mut parts {
        let Part::Open(port) = &*part else { continue };
        if taken.has(port) {
            continue;
        }
        match taken.refuses(port, bounds.ports_max) {
            Some(sentence) => *part = Part::Refused(sentence),
            None => taken.add(port.clone()),
        }
    }
    parts
}

impl Part {
    /// That is to be open.
    pub fn port(&self) -> Option<&Port> {
        match self {
            Part::Open(port) => Some(port),
            _ => None,
        }
    }
}

/// Ports that have their place, found by what would be in their way: there may be many listeners, and it is asked for each.
#[derive(Debug, Default)]
struct Taken {
    by_address: BTreeMap<(u16, IpAddr), Port>,
    of: BTreeMap<ObjectName, usize>,
}

impl Taken {
    fn add(&mut self, port: Port) {
        debug_assert!(self.in_the_way(port.address).is_none(), "an address is wanted once");
        *self.of.entry(port.queue_manager.clone()).or_default() += 1;
        self.by_address.insert((port.address.port(), port.address.ip()), port);
    }

    fn has(&self, port: &Port) -> bool {
        self.by_address.get(&(port.address.port(), port.address.ip())) == Some(port)
    }

    /// One whose address overlaps this one.
    fn in_the_way(&self, address: SocketAddr) -> Option<&Port> {
        let number = address.port();
        let (all_v4, all_v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let (last_v4, last_v6) = (IpAddr::V4(Ipv4Addr::BROADCAST), IpAddr::V6(Ipv6Addr::from(u128::MAX)));
        let within = |first, last| self.by_address.range((number, first)..=(number, last)).next();
        let found = match address.ip() {
            // Addresses of the fourth version come first in their order.
            ip if ip == all_v6 => within(all_v4, last_v6),
            ip if ip == all_v4 => within(all_v4, last_v4).or_else(|| within(all_v6, all_v6)),
            ip => within(ip, ip)
                .or_else(|| within(all_v4, all_v4).filter(|_| ip.is_ipv4()))
                .or_else(|| within(all_v6, all_v6)),
        };
        let found = found.map(|(_, port)| port);
        debug_assert!(found.is_none_or(|other| overlap(other.address, address)), "it is in the way");
        found
    }

    /// Why this one has no place, in a sentence.
    fn refuses(&self, port: &Port, ports_max: usize) -> Option<String> {
        if let Some(other) = self.in_the_way(port.address) {
            return Some(has_it_already(other, port));
        }
        let Port { queue_manager, .. } = port;
        if self.of.get(queue_manager).is_some_and(|ports| *ports >= PORTS_MAX) {
            return Some(format!(
                "{PORTS_MAX} listeners of queue manager {queue_manager} have their ports open, which is the limit. When another \
                 one ends (STOP LISTENER), this one has its place."
            ));
        }
        (self.by_address.len() >= ports_max).then(|| {
            format!(
                "The listeners of this node have {ports_max} ports open, and the files that its process may open leave no more. \
                 When another one ends (STOP LISTENER), this one has its place; or raise LimitNOFILE in the unit, or ulimit -Hn."
            )
        })
    }
}

/// What a listener is to do if no other listener is in its way.
fn own_part(queue_manager: &ObjectName, listener: &Definition, fixed: &[Port], strangers: bool) -> Part {
    if !is_started(listener) {
        return Part::Stopped;
    }
    let name = &listener.object.name;
    let address = match address(listener) {
        Ok(address) => address,
        Err(written) => {
            return Part::Refused(format!(
                "IPADDR({written}) is no address: names are not looked up, because each node would find its own. ALTER \
                 LISTENER({name}) TRPTYPE(TCP) IPADDR('10.0.0.50'), or IPADDR(' ') for all addresses."
            ));
        }
    };
    let backlog = backlog(listener);
    let port = Port { queue_manager: queue_manager.clone(), listener: Some(name.clone()), address, backlog };
    if let Some(other) = fixed.iter().find(|other| overlap(other.address, address)) {
        if other.queue_manager == *queue_manager && covers(other.address, address) {
            return Part::OpenAnyway;
        }
        return Part::Refused(has_it_already(other, &port));
    }
    if !strangers && !address.ip().is_loopback() {
        return Part::Refused(format!(
            "It would be open to other machines ({}), and no client can show a certificate here, so that anybody could say that \
             he is somebody else. Make certificates with: trimaran certs init, and write [tls] ca, certificate and key into the \
             cluster file; or accept it with [tls] insecure = true; or ALTER LISTENER({name}) TRPTYPE(TCP) IPADDR('127.0.0.1').",
            place(address)
        ));
    }
    Part::Open(port)
}

/// The listeners of a queue manager for status: those that are defined, as what was said last is on the way for them where whoever opens
/// ports has not looked since. `views` are of the last look.
pub fn status(queue_manager: &ObjectName, listeners: &[Definition], views: &[PortView]) -> Vec<PortView> {
    let own = views.iter().filter(|view| view.queue_manager == *queue_manager);
    let seen: BTreeMap<&str, &PortView> =
        own.map(|view| (view.listener.object.name.as_str(), view)).collect();
    let of = |listener: &Definition| {
        let seen = seen.get(listener.object.name.as_str()).copied();
        if let Some(seen) = seen
            && is_started(&seen.listener) == is_started(listener)
        {
            return seen.clone();
        }
        let state = match (is_started(listener), seen.map(|view| view.state)) {
            (true, _) => PortState::Starting,
            (false, None | Some(PortState::Stopped)) => PortState::Stopped,
            (false, _) => PortState::Stopping,
        };
        let (queue_manager, listener) = (queue_manager.clone(), listener.clone());
        PortView { queue_manager, listener, state, reason: String::new(), started_ms: 0 }
    };
    listeners.iter().map(of).collect()
}

/// START and STOP LISTENER hold until the other is said; before, CONTROL says whether it starts with the queue manager.
fn is_started(listener: &Definition) -> bool {
    const MANUAL: i32 = 2;
    match listener.number(selector::LISTENER_STATE) {
        1 => true,
        2 => false,
        _ => listener.number(selector::LISTENER_CONTROL) != MANUAL,
    }
}

/// Where it listens; what it says, when that is no address.
fn address(listener: &Definition) -> Result<SocketAddr, String> {
    let written = listener.text(selector::LISTENER_IPADDR).trim();
    let ip = match written {
        "" | "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        written => written.parse().map_err(|_| written.to_string())?,
    };
    Ok(SocketAddr::new(ip, port(listener)))
}

/// The port that it listens on.
pub fn port(listener: &Definition) -> u16 {
    match u16::try_from(listener.number(selector::LISTENER_PORT)) {
        Ok(0) | Err(_) => PORT,
        Ok(port) => port,
    }
}

/// How many connections may wait to be taken.
pub fn backlog(listener: &Definition) -> u32 {
    match u32::try_from(listener.number(selector::LISTENER_BACKLOG)) {
        Ok(0) | Err(_) => BACKLOG,
        Ok(backlog) => backlog,
    }
}

/// Whether whoever listens on `wide` is reached at `narrow`.
fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    let is_everywhere =
        wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4() || narrow.ip().is_unspecified());
    wide.port() == narrow.port() && (is_everywhere || wide.ip() == narrow.ip())
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    covers(one, other) || covers(other, one)
}

fn has_it_already(holder: &Port, wants: &Port) -> String {
    let of = match &holder.listener {
        Some(listener) => format!("listener {listener} of queue manager {}", holder.queue_manager),
        None => format!("queue manager {} by the cluster file", holder.queue_manager),
    };
    let name = wants.listener.as_deref().unwrap_or_default();
    format!(
        "Port {} is taken by {of} on {}; ALTER LISTENER({name}) TRPTYPE(TCP) PORT(…) or IPADDR(…).",
        wants.address.port(),
        place(holder.address)
    )
}

/// An address, for people.
pub fn place(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => format!("every address, port {}", address.port()),
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::definition::{Changes, ObjectKind, ObjectRef, Settings, Value};

    /// A node that lets strangers in and may open many files.
    const ANY: Bounds = Bounds { strangers: true, ports_max: 10_000 };

    fn listener(name: &str, said: &[(&str, &str)]) -> Definition {
        let mut settings = Settings::default();
        settings.merge(&Changes::parse(ObjectKind::Listener, said.iter().copied()).unwrap());
        let object = ObjectRef::new(ObjectKind::Listener, name);
        Definition { settings, ..Definition::new(object) }
    }

    fn named_address(address: &str) -> Changes {
        [(selector::LISTENER_IPADDR, Some(Value::Text(address.to_string())))].into_iter().collect()
    }

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).unwrap()
    }

    fn port_of(queue_manager: &str, listener: Option<&str>, address: &str) -> Port {
        Port {
            queue_manager: name(queue_manager),
            listener: listener.map(str::to_string),
            address: address.parse().unwrap(),
            backlog: BACKLOG,
        }
    }

    /// Of queue manager ONE, whose cluster file opens 0.0.0.0:1414, on a node that lets strangers in.
    fn parts(listeners: &[Definition], open: &[Port]) -> Vec<Part> {
        let one = name("ONE");
        let served = [Served { queue_manager: &one, listeners }];
        wanted(&served, &[port_of("ONE", None, "0.0.0.0:1414")], open, ANY)
    }

    fn part(said: &[(&str, &str)]) -> Part {
        parts(&[listener("L", said)], &[]).remove(0)
    }

    fn open(address: &str) -> Part {
        Part::Open(port_of("ONE", Some("L"), address))
    }

    fn refusal(part: &Part) -> &str {
        let Part::Refused(sentence) = part else { panic!("{part:?}") };
        sentence
    }

    /// Whoever opens ports looks some milliseconds later, and what is said meanwhile must not be taken for what is so.
    #[test]
    fn what_was_said_last_counts_before_the_port_is_open_or_closed() {
        let one = name("ONE");
        let states = |before: &[(&str, &str, PortState)], now: &[(&str, &str)]| -> Vec<PortState> {
            let defined = |name: &str, state: &str| listener(name, &[("STATE", state)]);
            let view = |(name, said, state): &(&str, &str, PortState)| PortView {
                queue_manager: one.clone(),
                listener: defined(name, said),
                state: *state,
                reason: "As it was.".into(),
                started_ms: 7,
            };
            let views: Vec<PortView> = before.iter().map(view).collect();
            let listeners: Vec<Definition> = now.iter().map(|(name, state)| defined(name, state)).collect();
            let states = status(&one, &listeners, &views);
            assert_eq!(status(&name("TWO"), &[], &views), [], "of another queue manager");
            states.iter().map(|view| view.state).collect()
        };
        use PortState::{Retrying, Running, Starting, Stopped, Stopping};
        let stopped = [("A", "STOPPED", Stopped)];
        assert_eq!(states(&stopped, &[("A", "STARTED")]), [Starting]);
        assert_eq!(states(&stopped, &[("A", "STOPPED")]), [Stopped]);
        assert_eq!(states(&[("A", "STARTED", Running)], &[("A", "STOPPED")]), [Stopping]);
        assert_eq!(states(&[("A", "STARTED", Retrying)], &[("A", "STARTED")]), [Retrying]);
        assert_eq!(states(&stopped, &[("B", "STARTED"), ("C", "STOPPED")]), [Starting, Stopped], "A is gone");
    }

    #[test]
    fn commands_say_whether_a_listener_runs_and_before_them_control_does() {
        let with =
            |control: &str, state: &str| part(&[("PORT", "1415"), ("CONTROL", control), ("STATE", state)]);
        for (control, state, runs) in [
            ("MANUAL", "CONTROL", false),
            ("MANUAL", "STARTED", true),
            ("MANUAL", "STOPPED", false),
            ("QMGR", "CONTROL", true),
            ("QMGR", "STARTED", true),
            ("QMGR", "STOPPED", false),
            ("STARTONLY", "CONTROL", true),
            ("STARTONLY", "STOPPED", false),
        ] {
            let expected = if runs { open("[::]:1415") } else { Part::Stopped };
            assert_eq!(with(control, state), expected, "CONTROL({control}) STATE({state})");
        }
        assert_eq!(part(&[("PORT", "0")]), Part::Stopped, "what nobody has started does not run");
    }

    #[test]
    fn a_listener_is_where_it_says() {
        let at =
            |port: &str, address: &str| part(&[("PORT", port), ("IPADDR", address), ("CONTROL", "QMGR")]);
        assert_eq!(at("1415", "127.0.0.1"), open("127.0.0.1:1415"));
        assert_eq!(at("1415", "::1"), open("[::1]:1415"));
        assert_eq!(at("1415", "*"), open("[::]:1415"));
        // What another release may have let through.
        let named = [("PORT", "1415"), ("IPADDR", "mq.example"), ("CONTROL", "QMGR")];
        assert!(
            Changes::parse(ObjectKind::Listener, named).unwrap_err().text.contains("IPADDR is an address")
        );
        let mut defined = listener("L", &[("PORT", "1415"), ("CONTROL", "QMGR")]);
        defined.settings.merge(&named_address("mq.example"));
        assert!(refusal(&parts(&[defined], &[])[0]).contains("IPADDR(mq.example) is no address"));
        let Part::Open(port) = part(&[("PORT", "1415"), ("BACKLOG", "7"), ("CONTROL", "QMGR")]) else {
            panic!()
        };
        assert_eq!(port.backlog, 7);
    }

    #[test]
    fn what_the_cluster_file_opens_is_open_for_its_queue_manager_and_taken_for_others() {
        let start = |port: &str| [("PORT", port.to_string()), ("STATE", "STARTED".to_string())];
        for said in [start("1414"), start("0")] {
            let said = said.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(part(&said), Part::OpenAnyway);
        }
        let two = name("TWO");
        let listeners = [listener("L", &[("PORT", "1414"), ("CONTROL", "QMGR")])];
        let served = [Served { queue_manager: &two, listeners: &listeners }];
        let parts = wanted(&served, &[port_of("ONE", None, "127.0.0.1:1414")], &[], ANY);
        assert!(
            refusal(&parts[0]).starts_with(
                "Port 1414 is taken by queue manager ONE by the cluster file on 127.0.0.1:1414; ALTER"
            ),
            "{parts:?}"
        );
    }

    #[test]
    fn where_two_want_an_address_who_has_it_keeps_it() {
        let (one, two) = (name("ONE"), name("TWO"));
        let first = [listener("A", &[("PORT", "1415"), ("CONTROL", "QMGR")])];
        let second = [listener("B", &[("PORT", "1415"), ("IPADDR", "127.0.0.1"), ("CONTROL", "QMGR")])];
        let served = [
            Served { queue_manager: &one, listeners: &first },
            Served { queue_manager: &two, listeners: &second },
        ];
        let a = port_of("ONE", Some("A"), "[::]:1415");
        let b = port_of("TWO", Some("B"), "127.0.0.1:1415");
        let parts = wanted(&served, &[], &[], ANY);
        assert_eq!(parts[0], Part::Open(a.clone()));
        let sentence =
            "Port 1415 is taken by listener A of queue manager ONE on every address, port 1415; ALTER";
        assert!(refusal(&parts[1]).starts_with(sentence), "{parts:?}");
        let parts = wanted(&served, &[], std::slice::from_ref(&b), ANY);
        assert_eq!(parts[1], Part::Open(b.clone()));
        assert!(refusal(&parts[0]).contains("listener B of queue manager TWO"), "{parts:?}");
        // A queue manager that is not served here any more has no port, whatever is open.
        assert_eq!(wanted(&served[..1], &[], &[b], ANY), [Part::Open(a)]);
    }

    #[test]
    fn whoever_believes_clients_listens_to_this_machine_only() {
        let one = name("ONE");
        let of = |address: &str| {
            let listeners = [listener("L", &[("PORT", "1415"), ("IPADDR", address), ("CONTROL", "QMGR")])];
            let bounds = Bounds { strangers: false, ..ANY };
            wanted(&[Served { queue_manager: &one, listeners: &listeners }], &[], &[], bounds).remove(0)
        };
        assert_eq!(of("127.0.0.1"), open("127.0.0.1:1415"));
        for address in ["", "10.0.0.50", "::"] {
            let refused = of(address);
            let sentence = refusal(&refused);
            assert!(
                sentence.starts_with("It would be open to other machines (")
                    && sentence.contains("IPADDR('127.0.0.1')"),
                "{sentence}"
            );
        }
    }

    /// So many, each with a port of its own.
    fn many(count: usize) -> Vec<Definition> {
        let said = |at: usize| [("PORT", (2000 + at).to_string()), ("CONTROL", "QMGR".to_string())];
        let of = |at: usize| {
            let said = said(at);
            let said = said.each_ref().map(|(name, value)| (*name, value.as_str()));
            listener(&format!("L{at:06}"), &said)
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn as_many_listeners_run_as_there_may_be_ports_and_those_that_run_stay() {
        let one = name("ONE");
        let listeners = many(PORTS_MAX + 2);
        let served = [Served { queue_manager: &one, listeners: &listeners }];
        let parts = wanted(&served, &[], &[], ANY);
        let runs = |parts: &[Part]| parts.iter().filter(|part| part.port().is_some()).count();
        assert_eq!(runs(&parts), PORTS_MAX);
        assert!(
            refusal(&parts[PORTS_MAX]).starts_with("128 listeners of queue manager ONE have"),
            "{parts:?}"
        );
        // The last one runs: it keeps its place, and the first that does not run has none.
        let last = port_of("ONE", Some("L000129"), "[::]:2129");
        let parts = wanted(&served, &[], std::slice::from_ref(&last), ANY);
        assert_eq!((runs(&parts), parts[PORTS_MAX + 1].port()), (PORTS_MAX, Some(&last)));
        let few = wanted(&served, &[], &[], Bounds { ports_max: 3, ..ANY });
        assert!(runs(&few) == 3 && refusal(&few[3]).contains("LimitNOFILE"), "{few:?}");
    }

    #[test]
    fn what_is_in_the_way_is_found_whatever_the_addresses_are() {
        let addresses =
            ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "10.0.0.2:1", "[::1]:1", "[fe80::1]:1", "10.0.0.1:2"];
        for one in addresses {
            let mut taken = Taken::default();
            taken.add(port_of("ONE", Some("L"), one));
            for other in addresses {
                let expected = overlap(one.parse().unwrap(), other.parse().unwrap());
                assert_eq!(taken.in_the_way(other.parse().unwrap()).is_some(), expected, "{one} and {other}");
            }
        }
    }

    /// Compared with one another, these would be looked at hundreds of millions of times.
    #[test]
    fn many_listeners_are_judged_at_once() {
        let one = name("ONE");
        let mut listeners = vec![many(1).remove(0); 20_000];
        for (at, listener) in listeners.iter_mut().enumerate() {
            listener.object.name = format!("L{at:06}");
            let [_, b, c, d] = (at as u32).to_be_bytes();
            listener.settings.merge(&named_address(&format!("127.{b}.{c}.{d}")));
        }
        let served = [Served { queue_manager: &one, listeners: &listeners }];
        let parts = wanted(&served, &[], &[], Bounds { strangers: false, ports_max: 64 });
        let open: Vec<Port> = parts.iter().filter_map(Part::port).cloned().collect();
        assert_eq!(open.len(), 64);
        assert_eq!(wanted(&served, &[], &open, Bounds { strangers: false, ports_max: 64 }), parts);
    }
}
