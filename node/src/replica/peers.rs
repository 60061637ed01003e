//! The other nodes: what each says of itself, what each is told, and the door for all that they send.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trimaran_proto::replica::v1::{AddressAgent, Greeting, Parted, peer_message::Message as PeerMessage};

use super::{Action, Replica};
use crate::consensus::{terms_from_wire, terms_to_wire};
use crate::types::{Index, Instant, NodeId, Speaks, Term, TermStarts, Version};

/// How many terms a greeting tells of at most.
const TERMS_TOLD: usize = 64;

/// What is known of the peers, by their own word.
#[derive(Debug, Default)]
pub(super) struct Peers {
    connected: BTreeSet<NodeId>,
    /// What each peer said of itself since this node's connection to it came up.
    heard: BTreeMap<NodeId, Heard>,
    /// The most each peer was ever told, by this node or by itself: the peers remember.
    acknowledged: BTreeMap<NodeId, Index>,
    /// What each peer said last of its disk, also who is away now.
    disks: BTreeMap<NodeId, u64>,
    /// Who cannot be talked with for that, and what it speaks.
    too_old: BTreeMap<NodeId, Speaks>,
    /// Who says that this node was removed.
    say_removed: BTreeSet<NodeId>,
    /// Who has answered since a peer said last that it stops.
    answered: BTreeSet<NodeId>,
}

#[derive(Clone, Debug)]
struct Heard {
    recovering: bool,
    stopping: bool,
    lacks_room: bool,
    interface_down: bool,
    address_agent: Option<AddressAgent>,
    register_followed: u64,
    /// Since when it is not, if it was.
    interface_up: Instant,
    /// Whom it has heard since it was told that this node stops; None: it was not.
    reaches: Option<BTreeSet<NodeId>>,
    committed: Committed,
    speaks: Speaks,
    /// It has committed entries that this leader does not have.
    parted: Option<Parted>,
}

/// What is committed at a peer, when it said so: the last entry, and where the newest terms begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    pub last: (Term, Index),
    pub terms: TermStarts,
}

impl Peers {
    pub fn on_lost(&mut self, node: NodeId) {
        self.connected.remove(&node);
        self.heard.remove(&node);
        self.answered.remove(&node);
    }

    /// It answered at the peers' port, and nothing else will be heard of it until another release runs there.
    pub fn on_too_old(&mut self, node: NodeId, speaks: Speaks) {
        self.too_old.insert(node, speaks);
    }

    pub fn is_connected(&self, node: NodeId) -> bool {
        self.connected.contains(&node)
    }

    /// The versions that the peer's program reads and writes.
    pub fn speaks(&self, node: NodeId) -> Option<Speaks> {
        self.heard.get(&node).map(|heard| heard.speaks).or_else(|| self.too_old.get(&node).copied())
    }

    /// What the peer said last of its disk.
    pub fn disk(&self, node: NodeId) -> Option<u64> {
        self.disks.get(&node).copied()
    }

    /// Whether the peer said that it may not vote.
    pub fn recovers(&self, node: NodeId) -> bool {
        self.heard.get(&node).is_some_and(|heard| heard.recovering)
    }

    /// Whether the peer said that it stops.
    pub fn is_stopping(&self, node: NodeId) -> bool {
        self.heard.get(&node).is_some_and(|heard| heard.stopping)
    }

    /// Whether the peer has a vote, as far as it said, and does not stop.
    pub fn stays(&self, node: NodeId) -> bool {
        self.connected.contains(&node) && self.may_vote(node) && !self.is_stopping(node)
    }

    /// Whom the peer has heard since it was told that this node stops.
    pub fn reached_by(&self, node: NodeId) -> Option<&BTreeSet<NodeId>> {
        self.heard.get(&node).and_then(|heard| heard.reaches.as_ref())
    }

    /// The connected ones that said that they stop.
    fn stopping(&self) -> Vec<NodeId> {
        self.connected.iter().copied().filter(|node| self.is_stopping(*node)).collect()
    }

    /// Whether the peer said that it may vote. One that was not heard yet may or may not.
    pub fn may_vote(&self, node: NodeId) -> bool {
        self.heard.get(&node).is_some_and(|heard| !heard.recovering)
    }

    /// Whether the peer said that its disks have room.
    pub fn has_room(&self, node: NodeId) -> bool {
        self.heard.get(&node).is_some_and(|heard| !heard.lacks_room)
    }

    /// Whether clients reach the peer at the floating address, as far as it said.
    pub fn is_reached(&self, node: NodeId) -> bool {
        self.heard.get(&node).is_none_or(|heard| !heard.interface_down)
    }

    /// What the peer's address agent can hold, as far as it said.
    pub fn address_agent(&self, node: NodeId) -> Option<AddressAgent> {
        self.heard.get(&node).and_then(|heard| heard.address_agent.clone())
    }

    /// The change of addresses up to which the peer has followed the records; 0 while it is not heard.
    pub fn register_followed(&self, node: NodeId) -> u64 {
        self.heard.get(&node).map_or(0, |heard| heard.register_followed)
    }

    /// Since when they do, if they did not before.
    pub fn reached_since(&self, node: NodeId) -> Instant {
        self.heard.get(&node).map_or(Instant(0), |heard| heard.interface_up)
    }

    /// Where the peer has another history than this leader.
    pub fn parted(&self, node: NodeId) -> Option<Parted> {
        self.heard.get(&node).and_then(|heard| heard.parted)
    }

    pub fn committed(&self, node: NodeId) -> Option<&Committed> {
        self.heard.get(&node).map(|heard| &heard.committed)
    }

    /// It greeted, since it connected.
    pub fn is_heard(&self, node: NodeId) -> bool {
        self.heard.contains_key(&node)
    }

    pub fn heard(&self) -> Vec<NodeId> {
        self.heard.keys().copied().collect()
    }

    pub fn set_parted(&mut self, node: NodeId, parted: Option<Parted>) {
        debug_assert!(
            parted.is_none() || self.heard.contains_key(&node),
            "only a peer that was heard is known to have parted"
        );
        if let Some(heard) = self.heard.get_mut(&node) {
            heard.parted = parted;
        }
    }

    /// Whether the peer could take over, as far as this node was told.
    pub fn may_lead(&self, node: NodeId) -> bool {
        let heard = self.heard.get(&node);
        let is_fit = |heard: &Heard| !heard.recovering && !heard.stopping && heard.parted.is_none();
        self.connected.contains(&node) && heard.is_none_or(is_fit)
    }
}

impl Replica {
    pub(super) fn on_peer_connected(&mut self, node: NodeId) {
        self.peers.connected.insert(node);
        self.peers.too_old.remove(&node);
        self.consensus.on_peer_connected(node);
        self.greet(node);
        self.tell_who_stops();
    }

    /// Whoever comes next may have another history, and another state: it says so itself.
    pub(super) fn on_peer_lost(&mut self, node: NodeId) {
        self.peers.on_lost(node);
        self.note_lost(node, false);
        self.tell_who_stops();
        self.comparison.on_peer_lost(node);
        self.consensus.exclude(node, false);
    }

    pub(super) fn on_peer_gone(&mut self, node: NodeId) {
        self.on_peer_lost(node);
        self.note_lost(node, true);
        self.consensus.on_peer_gone(node);
    }

    pub(super) fn greet_all(&mut self) {
        let connected: Vec<NodeId> = self.peers.connected.iter().copied().collect();
        connected.into_iter().for_each(|node| self.greet(node));
    }

    /// Whoever stops and leads wants to know who could serve without it: who reaches whom.
    fn tell_who_stops(&mut self) {
        if !self.consensus.is_recovering() {
            self.peers.stopping().into_iter().for_each(|node| self.greet(node));
        }
    }

    /// The peer stops, and may be the one that leads: who is there without it?
    fn ask_who_is_there(&mut self, without: NodeId) {
        debug_assert!(self.peers.is_stopping(without), "it has just said so");
        self.peers.answered.clear();
        let others: Vec<NodeId> =
            self.peers.connected.iter().copied().filter(|node| *node != without).collect();
        others.into_iter().for_each(|node| self.greet_and_ask(node, true));
    }

    pub(super) fn greet(&mut self, to: NodeId) {
        let unheard = !self.peers.heard.contains_key(&to);
        self.greet_and_ask(to, unheard);
    }

    pub(super) fn greet_and_ask(&mut self, to: NodeId, answer: bool) {
        self.send_greeting(to, answer, false, 0);
    }

    /// What it says in return is about the process that runs there now.
    pub(super) fn ask_what_it_speaks(&mut self, to: NodeId, question: u64) {
        self.send_greeting(to, true, false, question);
    }

    /// How far the peer acknowledged this leader's log.
    fn matched(&self, node: NodeId) -> Index {
        let progress = self.consensus.progress();
        progress.iter().find(|peer| peer.node == node).map_or(Index(0), |peer| peer.matched)
    }

    /// `proposed`: the last entry of this leader's log was proposed since the other one said that it recovers.
    fn send_greeting(&mut self, to: NodeId, answer: bool, proposed: bool, question: u64) {
        // What was acknowledged and never committed may be replaced by a later leader, and nothing is lost with it.
        let matched = self.matched(to).min(self.consensus.commit_index());
        let remembered = self.peers.acknowledged.entry(to).or_default();
        *remembered = matched.max(*remembered);
        let you_acknowledged = remembered.0;
        debug_assert!(
            *remembered <= self.consensus.commit_index(),
            "nobody is told to have acknowledged more than is committed"
        );
        let leads = self.consensus.is_leader();
        let theirs =
            self.peers.committed(to).filter(|_| leads).map_or(Index(0), |committed| committed.last.1);
        let terms = self.consensus.newest_committed_terms(TERMS_TOLD);
        let own = self.witness.own(self.now.instant);
        let greeting = Greeting {
            established: !self.recovery.is_blank(),
            term: self.consensus.term().0,
            last_index: self.consensus.last_index().0,
            commit: self.consensus.commit_index().0,
            commit_term: self.consensus.committed().0.0,
            parted: self.parted_with(to),
            you_acknowledged,
            recovering: self.consensus.is_recovering(),
            stopping: self.draining,
            answer,
            removed: self.consensus.membership().removed.contains(&to),
            proposed_since: proposed,
            lacks_room: self.lack_of_room().is_some(),
            interface_down: self.reach.is_down(),
            terms: terms_to_wire(&terms),
            your_commit: theirs.0,
            term_at_your_commit: self.consensus.term_at(theirs).unwrap_or_default().0,
            version: self.options.speaks.newest.0,
            oldest_version: self.options.speaks.oldest.0,
            question,
            running_ms: own.running_ms,
            stalled_ms: own.stalled_ms,
            since_stall_ms: own.since_stall_ms,
            disk: self.options.disk,
            heard_you_stop: self.peers.is_stopping(to),
            reaches: self.peers.answered.intersection(&self.peers.connected).map(|node| node.0).collect(),
            address_agent: self.arranging.agent(),
            register_followed: self.arranging.followed(),
            unserved_ms: own.unserved_ms,
        };
        self.out.push(Action::Send { to, message: PeerMessage::Greeting(greeting) });
    }

    pub(super) fn on_peer_message(&mut self, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::Raft(message) => {
                self.consensus.step(from, message);
                self.note_heard(from);
                if self.time.is_none() {
                    self.time = self.consensus.time();
                }
            }
            PeerMessage::Greeting(greeting) => self.on_greeting(from, greeting),
            PeerMessage::Comparison(comparison) => self.on_comparison(from, comparison),
            PeerMessage::Service(service) => self.witness.on_service(from, service),
            PeerMessage::Watched(watched) => self.on_watched(from, &watched),
        }
    }

    /// A peer says that this node was removed, or that it was not. One alone may be wrong, or not be the one that it says it
    /// is: this node goes when a majority of the others that it knows to have a vote agree.
    pub(super) fn on_removed_said(&mut self, from: NodeId, removed: bool) {
        match removed {
            true => self.peers.say_removed.insert(from),
            false => self.peers.say_removed.remove(&from),
        };
        let membership = self.consensus.membership();
        let mut others: BTreeSet<NodeId> = &membership.voters | &membership.voters_outgoing;
        others.remove(&self.options.node);
        let agree = others.intersection(&self.peers.say_removed).count();
        if agree > others.len() / 2 {
            self.on_removed();
        }
    }

    fn on_greeting(&mut self, from: NodeId, greeting: Greeting) {
        let begins_to_stop = greeting.stopping && !self.peers.is_stopping(from);
        let reaches = greeting.reaches.iter().map(|node| NodeId(*node));
        let interface_up = match self.peers.is_reached(from) {
            true => self.peers.reached_since(from),
            false => self.now.instant,
        };
        let heard = Heard {
            recovering: greeting.recovering,
            stopping: greeting.stopping,
            lacks_room: greeting.lacks_room,
            interface_down: greeting.interface_down,
            address_agent: greeting.address_agent.clone(),
            register_followed: greeting.register_followed,
            interface_up,
            reaches: greeting.heard_you_stop.then(|| reaches.collect()),
            committed: Committed {
                last: (Term(greeting.commit_term), Index(greeting.commit)),
                terms: terms_from_wire(greeting.terms.clone()).unwrap_or_default(),
            },
            speaks: Speaks { oldest: Version(greeting.oldest_version), newest: Version(greeting.version) },
            parted: self.peers.parted(from),
        };
        self.peers.heard.insert(from, heard);
        self.peers.disks.insert(from, greeting.disk);
        if let Some(raising) = self.standing.leading_mut().and_then(|leading| leading.raising.as_mut())
            && !greeting.answer
        {
            raising.on_answer(from, greeting.question);
        }
        self.note_what_became_of(from, &greeting);
        self.compare_history(from, &greeting);
        self.on_removed_said(from, greeting.removed);
        if greeting.recovering {
            self.consensus.forget_progress(from);
            self.peers.acknowledged.remove(&from);
        } else if self.matched(from) > Index(greeting.last_index) {
            // It begins again on an older image of its disk. What it acknowledged and nobody committed yet is nothing that it lost (it is
            // told what it did), and must not be committed for its sake.
            self.consensus.forget_progress(from);
        }
        // Two that recover have nothing new for each other until one of them asks again.
        if greeting.answer || (greeting.recovering && !self.consensus.is_recovering()) {
            let proposed = greeting.recovering && self.consensus.propose(Bytes::new()).is_ok();
            self.send_greeting(from, false, proposed, greeting.question);
        }
        if begins_to_stop && !self.consensus.is_recovering() {
            self.ask_who_is_there(from);
        } else if !greeting.answer && !self.peers.stopping().is_empty() && self.peers.answered.insert(from) {
            self.tell_who_stops();
        }
        self.learn_from(from, &greeting);
    }
}
