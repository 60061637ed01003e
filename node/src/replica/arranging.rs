//! Where queue managers that were created should be: floating addresses, preferred node, canaries (`qmgr/register.rs` keeps them).
//!
//! An address is refused that no node could hold: each node says of its agent what it can (`AddressAgent`, in greetings of the nodes'
//! own group). One that is away is not waited for; it says in its status what it cannot.
//!
//! **Never two holders**, whoever follows the records late. A node holds an address of a queue manager that it leads, as its own copy of the
//! records has it. So an address that was given up is given to another queue manager only when every node has followed the records
//! since, and its agent has taken away what went (`Event::RegisterFollowed`). What a node said of that stays so: after a start it
//! publishes no addresses until everything is applied that was in its log, nor while it recovers or has no vote yet, as it may lack entries then
//! that it had followed before.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use trimaran_proto::replica::v1::{AddressAgent, Arrange, FloatingAddresses, Registered};

use super::proposals::Waiting;
use super::{FailBack, Placement, Replica};
use crate::consensus::Entry;
use crate::mqi::{ArrangeRequest, Refusal};
use crate::qmgr::register::{Taken, floating};
use crate::qmgr::{Command, by_to_wire};
use crate::types::network::{is_near, network_of};
use crate::types::planted::{self, Bug};
use crate::types::{InNetwork, Index, NodeId, QueueManagerId, Reason, SessionId, Token, Version};

/// What this node knows of the addresses.
#[derive(Debug, Default)]
pub(super) struct Arranging {
    /// None until it is told.
    agent: Option<AddressAgent>,
    /// All that went by this change of the records is gone here.
    followed: u64,
    /// What a node was that it may have followed before its start ends here.
    known_from: Index,
    /// Whether addresses are published.
    pub is_known: bool,
}

impl Arranging {
    /// Of entries that are not applied.
    pub fn new(entries: &[Entry]) -> Arranging {
        let known_from = entries.last().map_or(Index(0), |entry| entry.index);
        Arranging { known_from, ..Arranging::default() }
    }

    pub fn agent(&self) -> Option<AddressAgent> {
        self.agent.clone()
    }

    pub fn followed(&self) -> u64 {
        self.followed
    }
}

/// What an address agent says of an address, where it is none of its own.
fn why_nowhere(agent: &AddressAgent, node: &str, address: InNetwork) -> Option<String> {
    debug_assert!(agent.refusal.is_empty() || !agent.anywhere, "who holds none holds none anywhere");
    if !agent.refusal.is_empty() {
        return Some(format!("Node {node} {}.", agent.refusal));
    }
    let mut own = floating(&agent.own);
    if agent.anywhere || own.any(|own| is_near(address.ip, address.prefix, own.ip)) {
        return None;
    }
    let network = network_of(address.ip, address.prefix);
    let has = match agent.own.as_slice() {
        [] => "it has none".to_owned(),
        own => format!("it has {}", own.join(", ")),
    };
    Some(format!(
        "No interface of node {node} has an address in {network}; {has}: give the queue manager another address, or write \
         interface = \"…\" at the node in its cluster file and start it again."
    ))
}

impl Replica {
    pub(super) fn on_arrange(&mut self, session: SessionId, token: Token, request: ArrangeRequest) {
        debug_assert!(self.is_serving(), "whoever leads proposes what is replicated");
        match self.arrangement_of(session, request) {
            Ok(said) => {
                let waiting = Waiting::Admin { session, token, queue: None };
                self.propose(Command::Arrange(Box::new(said)), waiting);
            }
            Err(refusal) => self.answer(session, token, refusal.into()),
        }
    }

    fn arrangement_of(&self, session: SessionId, request: ArrangeRequest) -> Result<Arrange, Refusal> {
        let ArrangeRequest { name, addresses, preferred, fail_back, canary } = request;
        self.check_register()?;
        self.check_places()?;
        let Some(record) = self.state.register().named(name.as_str()) else {
            let detail = format!("There is no queue manager {name}.");
            return Err(Refusal::because(Reason::QMgrNameError, detail));
        };
        let id = QueueManagerId(record.id);
        debug_assert!(!record.deleted, "a name is of one that is there");
        if self.of_file().any(|of_file| of_file.id == record.id) {
            let detail = format!(
                "Queue manager {name} is in the cluster file, and so is where it should be: change it there, on every node, and \
                 start them again one after the other."
            );
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        if let Some(addresses) = &addresses {
            self.check_addresses(Some(id), addresses)?;
        }
        let preferred = preferred.map(|wanted| self.preferred_named(&wanted)).transpose()?;
        let prefers = preferred.unwrap_or(record.preferred) != 0;
        // Who prefers nobody any more moves back to nobody.
        let fail_back = fail_back.or_else(|| (!prefers).then(String::new));
        self.check_fail_back(fail_back.as_deref().unwrap_or_default(), prefers)?;
        if canary == Some(true) {
            self.check_canary()?;
        }
        Ok(Arrange {
            id: id.0,
            addresses: addresses.map(|addresses| FloatingAddresses { addresses: written(&addresses) }),
            preferred,
            fail_back,
            canary,
            followed: self.followed_by_all(),
            by: Some(by_to_wire(self.by(session))),
        })
    }

    /// Whether records have addresses and canaries.
    pub(super) fn check_places(&self) -> Result<(), Refusal> {
        let version = self.state.version();
        if version >= Version::PLACES {
            return Ok(());
        }
        let detail = format!(
            "Addresses and canaries of queue managers that are created came with version {}, and {} has version {version}: when every \
             node runs this release, raise it with `trimaran cluster upgrade`.",
            Version::PLACES,
            self.options.name
        );
        Err(Refusal::because(Reason::FunctionNotSupported, detail))
    }

    /// The id of the node that should serve; 0 for any.
    pub(super) fn preferred_named(&self, wanted: &str) -> Result<u64, Refusal> {
        let membership = self.consensus.membership();
        let is_it = |node: &NodeId, name: &str| name == wanted && membership.voters.contains(node);
        let found = membership.nodes.iter().find(|(node, info)| is_it(node, &info.name));
        match (wanted, found) {
            ("", _) => Ok(0),
            (_, Some((node, _))) => Ok(node.0),
            (_, None) => {
                let detail = format!("There is no node {wanted} that it could prefer.");
                Err(Refusal::because(Reason::AttrValueError, detail))
            }
        }
    }

    pub(super) fn check_fail_back(&self, fail_back: &str, prefers: bool) -> Result<(), Refusal> {
        if fail_back.is_empty() {
            return Ok(());
        }
        if !prefers {
            let detail = "It says when it moves back to the node that it prefers: name one.";
            return Err(Refusal::because(Reason::AttrValueError, detail));
        }
        FailBack::parse(fail_back).map(drop).map_err(|what| {
            let detail = format!("It moves back {fail_back:?}: {what}.");
            Refusal::because(Reason::AttrValueError, detail)
        })
    }

    pub(super) fn check_canary(&self) -> Result<(), Refusal> {
        match &self.options.no_canaries {
            Some(why) => Err(Refusal::because(Reason::AttrValueError, why.clone())),
            None => Ok(()),
        }
    }

    /// Whether a queue manager may have these addresses, and nodes could hold them.
    pub(super) fn check_addresses(
        &self,
        own: Option<QueueManagerId>,
        addresses: &[String],
    ) -> Result<(), Refusal> {
        let bad = |detail: String| Err(Refusal::because(Reason::AttrValueError, detail));
        let has = own.and_then(|own| self.state.register().get(own));
        debug_assert!(has.is_some() == own.is_some(), "whoever is changed has a record");
        let has = has.map(|record| record.addresses.as_slice()).unwrap_or_default();
        let machines = self.addresses_of_nodes();
        for address in floating(addresses) {
            let ip = address.ip;
            if let Some(whose) = machines.get(&ip) {
                return bad(format!(
                    "Address {ip} is {whose}: a floating address belongs to no machine, name one that none has."
                ));
            }
            let mut of_file = self.of_file();
            if let Some(other) = of_file.find(|other| floating(&other.addresses).any(|of| of.ip == ip)) {
                return bad(format!(
                    "Address {ip} is queue manager {}'s, as the cluster file says.",
                    other.name
                ));
            }
            match self.state.register().taken(ip, own, self.followed_by_all()) {
                Some(Taken::By(other)) => {
                    return bad(format!(
                        "Address {ip} is queue manager {}'s: give each its own.",
                        other.name
                    ));
                }
                Some(Taken::Before(other)) => return Err(self.may_be_held(ip, other)),
                None => {}
            }
            // What it has it may keep, wherever nodes can hold it.
            if floating(has).any(|had| had == address) {
                continue;
            }
            for node in self.consensus.membership().voters.clone() {
                let agent = match node == self.options.node {
                    true => self.arranging.agent(),
                    false => self.peers.address_agent(node),
                };
                let why = agent.and_then(|agent| why_nowhere(&agent, &self.name_of(node), address));
                if let Some(why) = why {
                    return bad(why);
                }
            }
        }
        Ok(())
    }

    /// The address was another queue manager's, and a node may hold it for that.
    fn may_be_held(&self, ip: IpAddr, before: &Registered) -> Refusal {
        let behind = |node: &NodeId| self.followed_by(*node) < before.revision;
        let nodes: Vec<NodeId> = self.consensus.membership().nodes.keys().copied().filter(behind).collect();
        debug_assert!(!nodes.is_empty(), "where every node has followed nobody may hold it");
        let is_away = |node: &NodeId| *node != self.options.node && !self.peers.is_connected(*node);
        let is_waited_for = !nodes.iter().any(is_away);
        let names: Vec<String> = nodes.into_iter().map(|node| self.name_of(node)).collect();
        let what = format!(
            "Address {ip} was queue manager {}'s, and may be on {} yet",
            before.name,
            names.join(", ")
        );
        match is_waited_for {
            true => Refusal::because(Reason::CallInProgress, format!("{what}: ask again in a moment.")),
            false => {
                let detail =
                    format!("{what}, which is not connected: ask again when it is back, or was removed.");
                Refusal::because(Reason::HostNotAvailable, detail)
            }
        }
    }

    /// Those by which nodes are found, where they are no names, and whose each is.
    fn addresses_of_nodes(&self) -> BTreeMap<IpAddr, String> {
        let mut machines = BTreeMap::new();
        for info in self.consensus.membership().nodes.values() {
            for (what, written) in [("peer", &info.peer_address), ("client", &info.client_address)] {
                if let Ok(found) = written.parse::<SocketAddr>() {
                    machines.insert(found.ip(), format!("{what} of node {}", info.name));
                }
            }
        }
        machines
    }

    fn followed_by(&self, node: NodeId) -> u64 {
        match node == self.options.node {
            true => self.arranging.followed(),
            false => self.peers.register_followed(node),
        }
    }

    /// The change of the records that every node has followed, also those that learn.
    pub(super) fn followed_by_all(&self) -> u64 {
        if planted::is(Bug::GiveAwayAtOnce) {
            return u64::MAX;
        }
        let nodes = self.consensus.membership().nodes.keys();
        let followed = nodes.map(|node| self.followed_by(*node)).min().unwrap_or(0);
        debug_assert!(followed <= self.state.register().revision(), "nobody follows what is not");
        followed
    }

    pub(super) fn on_address_agent(&mut self, agent: AddressAgent) {
        debug_assert!(self.options.register.is_some(), "the nodes' own has the records");
        if self.arranging.agent.as_ref() != Some(&agent) {
            self.arranging.agent = Some(agent);
            self.greet_all();
        }
    }

    pub(super) fn on_register_followed(&mut self, revision: u64) {
        debug_assert!(revision <= self.state.register().revision(), "what is followed was published");
        if revision > self.arranging.followed {
            self.arranging.followed = revision;
            self.greet_all();
        }
    }

    /// Whether addresses are published from now on and were not before.
    pub(super) fn addresses_become_known(&mut self) -> bool {
        if self.arranging.is_known {
            return false;
        }
        let has_vote = self.consensus.membership().voters.contains(&self.options.node);
        let last = self.consensus.last_index();
        let may_lack = self.consensus.is_recovering() || !has_vote;
        // What was never committed may be gone from the log.
        let from = if may_lack { last } else { self.arranging.known_from.min(last) };
        self.arranging.known_from = from;
        debug_assert!(from <= last, "what is gone from the log is not waited for");
        self.arranging.is_known = !may_lack && self.consensus.applied_index() >= from;
        self.arranging.is_known
    }

    /// Its record says something else of the place of this queue manager than it began with.
    pub(super) fn on_arranged(&mut self, placement: Placement, canary: bool) {
        debug_assert_ne!(self.options.queue_manager, QueueManagerId::CLUSTER, "the nodes' own has no place");
        self.options.placement = placement;
        self.options.canary = canary;
        if self.standing.serving().is_some_and(|leading| !leading.objects_due) {
            self.define_canary_queue();
        }
    }
}

/// As records have them.
pub(super) fn written(addresses: &[String]) -> Vec<String> {
    let written: Vec<String> = floating(addresses).map(|address| address.to_string()).collect();
    debug_assert_eq!(written.len(), addresses.len(), "they were looked at when they came");
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_place_for_an_address_says_what_it_has() {
        let address = InNetwork::parse("10.67.0.50/24").unwrap();
        let own =
            AddressAgent { own: vec!["10.66.0.2/24".into(), "fd00::2/64".into()], ..Default::default() };
        let why = why_nowhere(&own, "b", address).unwrap();
        assert!(
            why.contains("node b has an address in 10.67.0.0/24; it has 10.66.0.2/24, fd00::2/64"),
            "{why}"
        );
        assert_eq!(why_nowhere(&own, "b", InNetwork::parse("10.66.0.50/24").unwrap()), None);
        assert_eq!(why_nowhere(&AddressAgent { anywhere: true, ..Default::default() }, "b", address), None);
        let none = AddressAgent { refusal: "holds none".into(), ..Default::default() };
        assert_eq!(why_nowhere(&none, "b", address).as_deref(), Some("Node b holds none."));
    }
}
