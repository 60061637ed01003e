//! What administrators and operators may ask, whatever protocol brought it: names, nodes, addresses, times. What fits to what is
//! there is the mind's to say.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Admin, ArrangeRequest, CreateRequest, MembershipRequest, Operate, Refresh, Refusal};
use crate::types::definition::{ObjectKind, sentence};
use crate::types::{InNetwork, Membership, NodeId, NodeInfo, ObjectName, Reason};

/// The longest name of a host (RFC 1035), a colon and a port.
const ADDRESS_BYTES_MAX: usize = 253 + 6;
/// Of a node's name, in bytes.
const NODE_NAME_BYTES_MAX: usize = 48;
/// How long open units of work may go on before a move at most: as long as programs are waited for.
const UNITS_WITHIN_MAX: Duration = Duration::from_secs(600);
/// Floating addresses of one queue manager.
const ADDRESSES_MAX: usize = 8;

/// The object of this name, where a command is about one.
///
/// # Errors
/// 2152 when no object can have it.
pub fn object_named(name: &str) -> Result<ObjectName, Refusal> {
    let named = ObjectName::new(name)
        .map_err(|error| Refusal::because(Reason::ObjectNameError, sentence(&error.to_string())));
    debug_assert!(named.as_ref().map_or(true, |named| named.as_str() == name), "a name is what was said");
    named
}

/// The queue manager of this name.
///
/// # Errors
/// 2058 when none can have it.
pub fn queue_manager_named(name: &str) -> Result<ObjectName, Refusal> {
    let named = ObjectName::new(name)
        .map_err(|error| Refusal::because(Reason::QMgrNameError, format!("{name:?}: {error}.")));
    debug_assert!(named.as_ref().map_or(true, |named| named.as_str() == name), "a name is what was said");
    named
}

/// The kind of object that goes by this name in MQSC.
///
/// # Errors
/// 2043 with all that there are.
pub fn kind_named(kind: &str) -> Result<ObjectKind, Refusal> {
    ObjectKind::named(kind).ok_or_else(|| {
        let names: Vec<&str> = ObjectKind::ALL.iter().map(|facts| facts.name).collect();
        debug_assert!(!names.contains(&kind), "what is not there is not among those that are");
        let detail = format!("There is no kind of object {kind:?}; there are {}.", names.join(", "));
        Refusal::because(Reason::ObjectTypeError, detail)
    })
}

/// What a display is asked for; QUEUE means queues of all types.
///
/// # Errors
/// 2043.
pub fn kinds_named(kind: &str) -> Result<Vec<ObjectKind>, Refusal> {
    if kind.eq_ignore_ascii_case("QUEUE") {
        let kinds = ObjectKind::ALL.iter().map(|facts| facts.kind);
        let queues: Vec<ObjectKind> = kinds.filter(|kind| kind.is_queue()).collect();
        debug_assert!(queues.contains(&ObjectKind::LocalQueue), "local queues are among all queues");
        return Ok(queues);
    }
    kind_named(kind).map(|kind| vec![kind])
}

/// Of what REFRESH QMGR tells; ALL means all that MQ has events about.
///
/// # Errors
/// 2043.
pub fn kinds_told(kind: &str) -> Result<Vec<ObjectKind>, Refusal> {
    if !kind.eq_ignore_ascii_case("ALL") {
        return kinds_named(kind);
    }
    let kinds = ObjectKind::ALL.iter().map(|facts| facts.kind);
    let kinds: Vec<ObjectKind> = kinds.filter(|kind| *kind != ObjectKind::Subscription).collect();
    debug_assert!(kinds.contains(&ObjectKind::QueueManager), "the queue manager is told too");
    Ok(kinds)
}

/// The port of a listener; 0 is none.
///
/// # Errors
/// 4005 above 65535.
pub fn port_numbered(number: u32) -> Result<u16, Refusal> {
    u16::try_from(number).map_err(|_| bad_value(format!("There is no port {number}: 65535 is the last.")))
}

fn bad_value(detail: String) -> Refusal {
    debug_assert!(!detail.is_empty(), "a value is refused with what is wrong with it");
    Refusal::because(Reason::AttrValueError, detail)
}

impl Admin {
    /// # Errors
    /// 2152 for a list of queues by a name that none can have: the beginning of names ends with `*`.
    pub fn check(&self) -> Result<(), Refusal> {
        let (Admin::Display { kinds, pattern, after }
        | Admin::Refresh(Refresh { kinds, pattern, after, .. })) = self
        else {
            return Ok(());
        };
        debug_assert!(!kinds.is_empty(), "what is listed is of some kind");
        // Names of what else is listed may have other characters.
        if !kinds.iter().all(|kind| kind.is_queue()) {
            return Ok(());
        }
        let names = [pattern.strip_suffix('*').unwrap_or(pattern), after].into_iter();
        names.filter(|name| !name.is_empty()).try_for_each(|name| object_named(name).map(drop))
    }
}

impl Operate {
    /// # Errors
    /// 4005 for a node that nobody could reach and a move that waits for too long, 2152 for a dead-letter queue that cannot be.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Operate::Move { units_within: Some(within), .. } if *within > UNITS_WITHIN_MAX => {
                let most = UNITS_WITHIN_MAX.as_secs();
                Err(bad_value(format!("Open units of work are waited for at most {most} s.")))
            }
            Operate::Members(request) => request.check(),
            Operate::Create(request) => request.check(),
            Operate::Arrange(request) => request.check(),
            _ => Ok(()),
        }
    }
}

impl CreateRequest {
    /// # Errors
    /// 2152 for the name of its dead-letter queue, 4005 for what is no floating address.
    pub fn check(&self) -> Result<(), Refusal> {
        check_floating(&self.addresses)?;
        match self.dead_letter_queue.as_str() {
            "" => Ok(()),
            name => object_named(name).map(drop),
        }
    }
}

impl ArrangeRequest {
    /// # Errors
    /// 4005 for what is no floating address.
    pub fn check(&self) -> Result<(), Refusal> {
        check_floating(self.addresses.as_deref().unwrap_or_default())
    }
}

/// Addresses that a queue manager is to have, as they are written.
fn check_floating(addresses: &[String]) -> Result<(), Refusal> {
    if addresses.len() > ADDRESSES_MAX {
        return Err(bad_value(format!("A queue manager has at most {ADDRESSES_MAX} floating addresses.")));
    }
    for (number, text) in addresses.iter().enumerate() {
        let Some(address) = InNetwork::parse(text) else {
            let shown: String = text.chars().take(64).collect();
            return Err(bad_value(format!(
                "{shown:?} is no floating address: write an address and the length of its network, for example 10.0.0.50/24."
            )));
        };
        if let Some(why) = address.why_not_floating() {
            return Err(bad_value(format!("Address {text}{why}.")));
        }
        if addresses[..number]
            .iter()
            .filter_map(|before| InNetwork::parse(before))
            .any(|it| it.ip == address.ip)
        {
            return Err(bad_value(format!("Address {} is said twice.", address.ip)));
        }
    }
    Ok(())
}

impl MembershipRequest {
    /// # Errors
    /// 4005 for a node without an id, or one that the others could not reach.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            MembershipRequest::Add { node, info } | MembershipRequest::Replace { node, info, .. } => {
                if *node == NodeId(0) {
                    return Err(bad_value("A node's id is any number but 0.".into()));
                }
                check_place(info)
            }
            MembershipRequest::Remove { .. } => Ok(()),
        }
    }
}

/// A node that is to join, looked at for what would make it unreachable.
fn check_place(info: &NodeInfo) -> Result<(), Refusal> {
    let NodeInfo { name, peer_address, client_address } = info;
    let is_named = (1..=NODE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_named {
        return Err(bad_value(format!(
            "A node's name has 1 to {NODE_NAME_BYTES_MAX} of A-Z a-z 0-9 - _ . and is not {name:?}."
        )));
    }
    check_address("peer_address", peer_address)?;
    check_address("client_address", client_address)
}

fn check_address(field: &str, address: &str) -> Result<(), Refusal> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    if !matches!(port.map(str::parse::<u16>), Some(Ok(1..))) {
        return Err(bad_value(format!("{field} is host:port, not {address:?}.")));
    }
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(bad_value(format!("{field} has at most {ADDRESS_BYTES_MAX} characters.")));
    }
    if address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified()) {
        return Err(bad_value(format!(
            "{field} {address} is an address to listen on, and others cannot reach it: name one that they reach."
        )));
    }
    debug_assert!(address.contains(':'), "an address that is reached has a port");
    Ok(())
}

impl Membership {
    /// The member of this name.
    ///
    /// # Errors
    /// 4005 with all that there are.
    pub fn named(&self, name: &str) -> Result<NodeId, Refusal> {
        let found = self.nodes.iter().find(|(_, info)| info.name == name);
        found.map(|(node, _)| *node).ok_or_else(|| {
            let names: Vec<&str> = self.nodes.values().map(|info| info.name.as_str()).collect();
            bad_value(format!("There is no node {name:?}; the nodes are {}.", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(checked: Result<(), Refusal>) -> (u32, String) {
        let refusal = checked.unwrap_err();
        (refusal.reason.number(), refusal.detail.unwrap_or_default())
    }

    #[test]
    fn queues_are_listed_by_names_that_they_can_have() {
        let queues = kinds_named("queue").unwrap();
        assert_eq!(queues.len(), 4);
        let list = |pattern: &str, after: &str| {
            let (kinds, pattern, after) = (queues.clone(), pattern.to_string(), after.to_string());
            Admin::Display { kinds, pattern, after }.check()
        };
        assert_eq!(refused(list("A B*", "")).0, 2152);
        assert_eq!(refused(list("", "A B")).0, 2152);
        assert!(list("HA.*", "HA.QUEUE").is_ok() && list("*", "").is_ok() && list("", "").is_ok());
        let records = Admin::Display {
            kinds: kinds_named("CHLAUTH").unwrap(),
            pattern: "A B*".to_string(),
            after: String::new(),
        };
        assert_eq!(records.check(), Ok(()));
        let shelf = kind_named("SHELF").unwrap_err();
        assert!(
            shelf.reason.number() == 2043 && shelf.detail.unwrap().contains("no kind of object \"SHELF\"")
        );
    }

    #[test]
    fn nodes_that_could_not_be_reached_are_refused() {
        let add = |id: u64, name: &str, peer: &str| {
            let info =
                NodeInfo { name: name.into(), peer_address: peer.into(), client_address: "host:7201".into() };
            Operate::Members(MembershipRequest::Add { node: NodeId(id), info }).check()
        };
        assert_eq!(add(4, "d", "10.0.0.4:7101"), Ok(()));
        assert_eq!(add(4, "d", "[::1]:7101"), Ok(()));
        let long = format!("{}:7101", "h".repeat(255));
        for (id, name, peer, words) in [
            (0, "d", "10.0.0.4:7101", "any number but 0"),
            (4, "", "h:1", "A node's name"),
            (4, "d", "10.0.0.4", "peer_address is host:port"),
            (4, "d", "10.0.0.4:0", "peer_address is host:port"),
            (4, "d", ":7101", "peer_address is host:port"),
            (4, "d", "0.0.0.0:7101", "an address to listen on"),
            (4, "d", long.as_str(), "at most 259 characters"),
        ] {
            let (reason, text) = refused(add(id, name, peer));
            assert!(reason == 4005 && text.contains(words), "{reason} {text}");
        }
        let unknown = Membership::default().named("x").unwrap_err();
        assert!(unknown.detail.unwrap().contains("There is no node \"x\""));
    }

    #[test]
    fn a_move_waits_for_ten_minutes_at_most() {
        let within =
            |seconds| Operate::Move { to: None, units_within: Some(Duration::from_secs(seconds)) }.check();
        assert_eq!(within(600), Ok(()));
        assert!(refused(within(601)).1.contains("at most 600 s"));
    }

    #[test]
    fn a_queue_manager_is_created_with_names_that_can_be() {
        assert_eq!(queue_manager_named("A B").unwrap_err().reason.number(), 2058);
        let create = |dead_letter_queue: &str, addresses: &[&str]| {
            let request = CreateRequest {
                name: queue_manager_named("QM").unwrap(),
                preferred: String::new(),
                fail_back: String::new(),
                dead_letter_queue: dead_letter_queue.to_string(),
                port: port_numbered(1414).unwrap(),
                addresses: addresses.iter().map(ToString::to_string).collect(),
                canary: false,
            };
            Operate::Create(Box::new(request)).check()
        };
        assert!(create("", &[]).is_ok() && create("DEAD.LETTERS", &[]).is_ok());
        assert_eq!(refused(create("DEAD LETTERS", &[])).0, 2152);
        assert!(create("", &["10.0.0.50/24", "fd00::50/64"]).is_ok());
        for (addresses, words) in [
            (&["10.0.0.50/33"][..], "for example 10.0.0.50/24."),
            (&["10.0.0.255/24"], "the broadcast address of the network 10.0.0.0/24"),
            (&["fe80::1/64"], "is link-local"),
            (&["10.0.0.50/24", "10.0.0.50/16"], "10.0.0.50 is said twice"),
            (&["10.0.0.50"; 9], "at most 8"),
        ] {
            let (reason, text) = refused(create("", addresses));
            assert!(reason == 4005 && text.contains(words), "{text}");
        }
        assert_eq!(port_numbered(65_536).unwrap_err().reason.number(), 4005);
    }
}
