//! What must hold at every moment: conducts the checks that look at nodes.

use std::collections::BTreeMap;

use trimaran_node::types::{Index, RoleView, Term};
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

use super::canaries::{self, Canaries};
use super::committed::Committed;
use super::equal_states::EqualStates;
use super::expiry::{self, Expiry};
use super::failovers::{self, Failovers};
use super::never_back::NeverBack;
use super::one_leader::OneLeader;
use super::placement::{self, Placements};
use super::replay::Replay;
use super::versions::Versions;
use super::waits::{self, Waits};
use super::{log_and_store, one_server, quorum, turns};
use crate::sim::counters::Counters;
use crate::sim::node::{Node, Process, queue_manager_id};

pub type Broken = Option<(&'static str, String)>;

/// States are compared at every so many indexes, and at some of those that the store moved to.
const HASH_EVERY: u64 = 64;
const HASH_MOVED_EVERY: u64 = 8;

#[derive(Clone, Debug, Default)]
pub struct InstantChecks {
    pub leaders: OneLeader,
    pub states: EqualStates,
    pub replay: Replay,
    pub versions: Versions,
    pub placements: Placements,
    pub canaries: Canaries,
    failovers: Failovers,
    back: NeverBack,
    committed: Committed,
    expiry: Expiry,
    waits: Waits,
    /// Where the logs ended when a node lost some of its own: until it is there again, nobody else may lose any.
    damage: BTreeMap<u64, Vec<Index>>,
    /// A node whose history was given up: what it has says nothing of the others.
    apart: Option<u64>,
}

impl InstantChecks {
    pub fn on_start(&mut self, node: u64, queue_manager: usize, process: &Process) -> Broken {
        let term = process.minds[queue_manager].term;
        let lost = self.damage.contains_key(&node);
        self.back.on_start(node, queue_manager, term, lost).map(|sentence| ("never back", sentence))
    }

    /// A message left a node. Pre-votes name a term that nobody has.
    pub fn on_sent(&mut self, node: u64, queue_manager: usize, message: &PeerMessage) {
        const PRE_VOTE: u32 = 17;
        const PRE_VOTE_ANSWER: u32 = 18;
        if let PeerMessage::Raft(raft) = message
            && raft.kind != PRE_VOTE
            && raft.kind != PRE_VOTE_ANSWER
        {
            self.back.on_sent(node, queue_manager, Term(raft.term));
        }
    }

    pub fn on_damage(&mut self, node: u64, nodes: &BTreeMap<u64, Node>) {
        let queue_managers = nodes.values().filter_map(|n| n.process.as_ref()).map(|p| p.minds.len()).max();
        let ends = (0..queue_managers.unwrap_or(0))
            .map(|number| {
                let id = queue_manager_id(number);
                nodes.values().map(|node| node.disk.durable_last(id).0).max().unwrap_or_default()
            })
            .collect();
        self.damage.insert(node, ends);
    }

    /// Somebody's disk was taken back while nobody was there who knew: what was committed behind `kept` is so no more,
    /// except on the node that still has it.
    pub fn on_taken_back(&mut self, queue_manager: usize, kept: Index, apart: u64) {
        self.committed.forget_behind(queue_manager, kept);
        self.states.forget_behind(queue_manager, kept);
        self.apart = Some(apart);
    }

    /// That node begins anew.
    pub fn on_decided(&mut self, node: u64) {
        if self.apart == Some(node) {
            self.apart = None;
        }
    }

    /// Whether a node that lost something has not got it back yet.
    pub fn damage_open(&self, nodes: &BTreeMap<u64, Node>) -> bool {
        self.damage.keys().any(|node| self.is_damaged(*node, nodes))
    }

    pub fn is_damaged(&self, node: u64, nodes: &BTreeMap<u64, Node>) -> bool {
        self.damage.get(&node).is_some_and(|ends| {
            let Some(node) = nodes.get(&node).filter(|node| !node.retired) else { return false };
            ends.iter().enumerate().any(|(number, end)| {
                let id = queue_manager_id(number);
                let has = node.disk.durable_last(id).0.max(node.disk.flushed_index(id));
                has < *end || !node.recovering.is_empty() || node.process.is_none()
            })
        })
    }

    pub fn on_role(
        &mut self,
        node: u64,
        queue_manager: usize,
        role: &RoleView,
        now: u64,
        nodes: &BTreeMap<u64, Node>,
    ) -> Broken {
        if let Some(sentence) = self.leaders.on_role(node, queue_manager, role) {
            return Some(("one leader per term", sentence));
        }
        if let Some(sentence) = one_server::on_role(queue_manager, now, nodes) {
            return Some(("one node serves", sentence));
        }
        let mind = nodes.get(&node).and_then(|node| node.process.as_ref()?.minds.get(queue_manager));
        if let Some(sentence) = mind.and_then(|mind| waits::on_role(node, role, &mind.replica)) {
            return Some((waits::NAME, sentence));
        }
        self.placements.on_role(node, queue_manager, role, now);
        self.on_address(now, nodes)
    }

    pub fn on_address(&self, now: u64, nodes: &BTreeMap<u64, Node>) -> Broken {
        one_server::address(now, nodes).map(|sentence| ("address only where served", sentence))
    }

    pub fn after_turn(
        &mut self,
        id: u64,
        number: usize,
        look_us: u64,
        healed_at: Option<u64>,
        nodes: &mut BTreeMap<u64, Node>,
        counters: &mut Counters,
    ) -> Broken {
        let node = nodes.get_mut(&id).expect("it just had a turn");
        let process = node.process.as_mut().expect("it just had a turn");
        let sessions = process.sessions.len();
        let mind = &mut process.minds[number];
        if let Some(sentence) = turns::after_turn(id, sessions, &mind.replica, look_us) {
            return Some((turns::NAME, sentence));
        }
        if let Some(sentence) = self.failovers.after_turn(id, number, &mind.role, &mind.replica) {
            return Some((failovers::NAME, sentence));
        }
        if let Some(sentence) = self.canaries.after_turn(number, mind.replica.queue_manager(), healed_at) {
            return Some((canaries::NAME, sentence));
        }
        let consensus = mind.replica.consensus();
        let (term, commit, applied) = (consensus.term(), consensus.commit_index(), consensus.applied_index());
        let is_apart = self.apart == Some(id);
        if commit > mind.commit && !is_apart {
            let term_at = |index| consensus.term_at(index);
            let from = mind.commit.next().max(consensus.first_index());
            if let Some(sentence) = self.committed.note(id, number, from, commit, term_at) {
                return Some(("committed entries stay", sentence));
            }
        }
        if let Some(sentence) = self.back.after_turn(id, number, term, commit, applied) {
            return Some(("never back", sentence));
        }
        let moved = std::mem::take(&mut mind.store_moved);
        // Hashing a state costs as much as it is large. Which indexes are hashed depends on the index alone, so that
        // all nodes choose the same; two states that differ once go on to differ.
        let is_due = applied.0.is_multiple_of(HASH_EVERY)
            || moved && (applied.0 ^ applied.0 >> 3).is_multiple_of(HASH_MOVED_EVERY);
        if applied != mind.applied && is_due && mind.replica.is_between_entries() && !is_apart {
            let digest = mind.replica.queue_manager().digest();
            counters.mark("states hashed");
            if let Some(sentence) = self.states.note(id, number, applied, digest) {
                return Some(("equal states", sentence));
            }
        }
        mind.applied = applied;
        mind.term = term;
        let leads = matches!(mind.role, RoleView::Serving { .. } | RoleView::Elected { .. });
        if commit > mind.commit {
            mind.commit = commit;
            if leads {
                // A change of members that was applied in this turn was committed by those before it.
                let (before, after) = (mind.members_before.clone(), mind.membership.clone());
                // A node that lost its disk may have had the entry when it said so.
                let damaged: Vec<u64> =
                    self.damage.keys().copied().filter(|node| self.is_damaged(*node, nodes)).collect();
                let counted = [before, after]
                    .map(|members| quorum::check(id, number, commit, &members, &damaged, nodes));
                if let [Some(sentence), Some(_)] = counted {
                    return Some(("commit is on a quorum", sentence));
                }
            }
        }
        let mind = &mut nodes.get_mut(&id)?.process.as_mut()?.minds[number];
        if mind.members_before != mind.membership {
            mind.members_before = mind.membership.clone();
        }
        None
    }

    pub fn check_replay(&mut self, queue_manager: usize, nodes: &mut BTreeMap<u64, Node>) -> Option<String> {
        self.replay.check(queue_manager, &self.states, self.apart, nodes)
    }

    /// The states of all that run, whatever index they are at.
    pub fn compare_states(&mut self, nodes: &BTreeMap<u64, Node>) -> Broken {
        for (id, node) in nodes {
            for (number, mind) in node.process.iter().flat_map(|process| &process.minds).enumerate() {
                if !mind.replica.is_between_entries() {
                    continue;
                }
                let digest = mind.replica.queue_manager().digest();
                if let Some(sentence) = self.states.note(*id, number, mind.applied, digest) {
                    return Some(("equal states", sentence));
                }
            }
        }
        None
    }

    pub fn every_tick(&mut self, now: u64, healed_at: Option<u64>, nodes: &BTreeMap<u64, Node>) -> Broken {
        if let Some(sentence) = log_and_store::check(nodes) {
            return Some((log_and_store::NAME, sentence));
        }
        if let Some(sentence) = self.expiry.check(now, nodes) {
            return Some((expiry::NAME, sentence));
        }
        if let Some(sentence) = self.waits.every_tick(now, nodes) {
            return Some((waits::NAME, sentence));
        }
        if let Some(sentence) = one_server::address_missing(now, healed_at, nodes) {
            return Some(("address where served", sentence));
        }
        if let Some(sentence) = one_server::unreached(now, nodes) {
            return Some(("served where reached", sentence));
        }
        if let Some(sentence) = self.placements.every_tick(now, healed_at, nodes) {
            return Some((placement::NAME, sentence));
        }
        self.on_address(now, nodes)
    }
}
