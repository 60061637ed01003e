//! A node that lost part of its log, or is new, earns its vote (reliability rules 2, 3 and 5).
//!
//! Raft assumes that what a node acknowledged stays in its log. A node that cannot be sure of that (its log is
//! shorter than its own mark, was damaged, or a peer remembers more) accepts entries but neither votes nor campaigns,
//! and what it acknowledges commits nothing, until its log has reached an entry that the leader proposed after this
//! node's start and committed without it. So the leader it follows is not one that was replaced with a vote that this
//! node has forgotten.
//!
//! A node with empty disks is in the same position: it may be new, or it may have lost its disk. It takes part in
//! the first election only when every initial member says that the group is not established yet. One whose log is empty
//! and whose mark remembers entries has lost them: it says that there was a group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trimaran_proto::replica::v1::Greeting;

use super::Replica;
use crate::consensus::{EntryKind, Recovered};
use crate::mqi::{Completion, RecoverRequest};
use crate::qmgr::{Applied, QueueManager, command};
use crate::types::{Index, Instant, NodeId, Reason, SnapshotMeta, Term, WaitsFor};

#[derive(Debug)]
pub(super) struct Recovery {
    /// This node has no entry and never acknowledged one: it may have voted.
    blank: bool,
    /// Initial members that said that they are blank too, and their terms.
    blank_peers: BTreeMap<NodeId, Term>,
    initial: BTreeSet<NodeId>,
    /// What the leader of this term proposed after this node had asked it.
    target: Option<(Term, Index)>,
    /// The leader that was asked last, and its term.
    asked: Option<(Term, NodeId)>,
    next_greeting: Instant,
    /// The highest entry this node acknowledged before its start; None where its mark was lost, or its disks are empty: they
    /// may be new, or in the place of others. What it has counts when it caught up, or a group was seen to be new, or a
    /// person decided to go on with that.
    promised: Option<Index>,
}

/// How often a recovering node asks again.
const GREETING_INTERVAL: Duration = Duration::from_millis(500);

impl Recovery {
    pub fn new(recovered: &Recovered, node: NodeId) -> Recovery {
        let blank = recovered.entries.is_empty()
            && recovered.snapshot.index <= Index(1)
            && recovered.acknowledged.is_some_and(|index| index <= Index(1));
        let mut initial = recovered.snapshot.membership.voters.clone();
        initial.remove(&node);
        Recovery {
            blank,
            blank_peers: BTreeMap::new(),
            initial,
            target: None,
            asked: None,
            next_greeting: Instant(0),
            promised: recovered.acknowledged.filter(|_| !blank),
        }
    }

    pub fn assert_holds(&self, term: Term) {
        debug_assert!(
            self.target.is_none_or(|(of, _)| of <= term),
            "a leader to catch up with led in a term that was reached"
        );
        debug_assert!(
            self.asked.is_none_or(|(of, _)| of <= term),
            "a leader that was asked led in a term that was reached"
        );
    }

    /// Whether this node's log is empty: it may be new, or may have lost its disk.
    pub fn is_blank(&self) -> bool {
        self.blank
    }
}

impl Replica {
    /// What the greeting says of this node's log, and of the group it wants to belong to.
    pub(super) fn learn_from(&mut self, from: NodeId, greeting: &Greeting) {
        if !self.consensus.is_recovering() {
            let lost = Index(greeting.you_acknowledged) > self.consensus.last_index();
            if lost && !self.consensus.is_leader() {
                self.consensus.set_recovering(true);
                self.recovery.target = None;
            }
            return;
        }
        if !greeting.established {
            self.recovery.blank_peers.insert(from, Term(greeting.term));
        }
        let term = self.consensus.term();
        if greeting.proposed_since
            && self.consensus.leader() == Some(from)
            && Term(greeting.term) == term
            && self.recovery.target.is_none_or(|(before, _)| before != term)
        {
            self.recovery.target = Some((term, Index(greeting.last_index)));
        }
    }

    pub(super) fn drive_recovery(&mut self) {
        let recovery = &mut self.recovery;
        if recovery.blank {
            recovery.blank = self.consensus.last_index() <= Index(1);
        }
        if !self.consensus.is_recovering() || self.removed {
            return;
        }
        let all_are_blank = recovery.initial.iter().all(|node| recovery.blank_peers.contains_key(node));
        let fresh_group = recovery.blank && all_are_blank;
        let caught_up = recovery.target.is_some_and(|(term, target)| {
            term == self.consensus.term()
                && self.consensus.commit_index() >= target
                && self.consensus.applied_index() >= target
        });
        if fresh_group || caught_up {
            if !caught_up {
                self.forget_terms_of_the_blank();
            }
            self.consensus.set_recovering(false);
            self.recovery.promised = Some(self.consensus.persisted_index());
            return self.greet_all();
        }
        let leader = self.consensus.leader().map(|leader| (self.consensus.term(), leader));
        if self.now.instant >= recovery.next_greeting || (leader.is_some() && leader != recovery.asked) {
            recovery.asked = leader;
            recovery.next_greeting = self.now.instant + GREETING_INTERVAL;
            self.greet_all();
        }
    }

    /// There may have been an election that came to nothing, and this node may have lost the vote it gave. Whoever got
    /// it has a term that is at least as high, and said so.
    fn forget_terms_of_the_blank(&mut self) {
        let known = self.recovery.blank_peers.values().copied().fold(self.consensus.term(), Term::max);
        if known > Term(1) {
            self.consensus.raise_term(Term(known.0 + 1));
        }
    }

    /// Whom this node must hear before there can be a leader.
    pub fn waits_for(&self) -> WaitsFor {
        if self.removed || self.consensus.leader().is_some() {
            return WaitsFor::default();
        }
        let others = || self.consensus.membership().voters.iter().filter(|node| **node != self.options.node);
        let is_blank = |node: &NodeId| self.recovery.blank_peers.contains_key(node);
        let is_recovering = self.consensus.is_recovering();
        // Who runs and greets nobody does not know the queue manager: its cluster file is another one.
        let begins = is_recovering && self.recovery.blank;
        let is_there = |node: NodeId| self.peers.is_connected(node) && (!begins || self.peers.is_heard(node));
        let nodes: BTreeSet<NodeId> = others().filter(|node| !is_there(**node)).copied().collect();
        // Whoever is there and is not blank has a group: then this node has to catch up with it.
        let present_are_blank = others().all(|node| nodes.contains(node) || is_blank(node));
        if begins && present_are_blank {
            return WaitsFor { nodes, to_begin: true };
        }
        let voters = self.consensus.membership().voters.len();
        let counted = voters - nodes.len() - usize::from(is_recovering);
        match counted > voters / 2 {
            true => WaitsFor::default(),
            false => WaitsFor { nodes, to_begin: false },
        }
    }

    /// The highest entry this node ever acknowledged; None while nobody knows.
    pub(super) fn acknowledged(&self) -> Option<Index> {
        let persisted = self.consensus.persisted_index();
        match self.recovery.promised {
            None if self.consensus.is_recovering() => None,
            promised => Some(promised.unwrap_or_default().max(persisted)),
        }
    }

    /// Where this node's log ends.
    pub(super) fn log_end(&self) -> (Term, Index) {
        let last = self.consensus.last_index();
        (self.consensus.term_at(last).unwrap_or_default(), last)
    }

    /// Somebody decided to go on with the best log that is left (rule 4). Refused when there is a better one.
    pub(super) fn on_recover(&mut self, request: RecoverRequest) -> Completion {
        let refused = |detail: String| Completion::failed_because(Reason::OptionsError, detail);
        match self.consensus.leader() {
            Some(leader) if leader != request.from => {
                return refused(format!("Node {leader} leads, and has what there is: name it as the best."));
            }
            // It has everything and lives: it vouches for those whose logs are damaged, so that they count again.
            Some(_) => {
                self.consensus.trust(request.from);
                return Completion::done();
            }
            None => {}
        }
        if let Some(refusal) = self.other_history_than(request.from) {
            return refused(refusal);
        }
        let own = self.log_end();
        let is_best = request.from == self.options.node;
        if own > request.last || (is_best && own != request.last) {
            return refused(format!(
                "The log of this node ends at entry {} of term {} and not before entry {} of term {}: look at all \
                 nodes again.",
                own.1, own.0, request.last.1, request.last.0
            ));
        }
        // A vote in a term that may have seen one already is none.
        self.consensus.raise_term(request.term);
        match is_best {
            true => {
                self.consensus.accept_own_log();
                self.recovery.promised = Some(self.consensus.persisted_index());
            }
            false => self.consensus.trust(request.from),
        }
        Completion::done()
    }

    /// The store was replaced by a newer state than it had; usually the log could not have given it.
    pub(super) fn on_snapshot_installed(
        &mut self,
        from: NodeId,
        term: u64,
        meta: SnapshotMeta,
        mut state: QueueManager,
    ) {
        state.set_retention(self.options.retention);
        let applied = self.consensus.applied_index();
        if self.consensus.snapshot_installed(from, Term(term), meta.clone()) {
            let needless = self.applying.drop_upto(meta.index);
            needless.iter().for_each(|entry| self.consensus.skip(entry));
        } else {
            // It came too late: the log has brought this node further. The store must be what its next batch is a
            // difference from, so the entries behind the snapshot are applied once more, to the snapshot's state.
            for index in meta.index.0 + 1..=applied.0 {
                let entry = self.consensus.tail_entry(Index(index));
                let entry =
                    entry.expect("entries that the store does not have are in memory or the node restarts");
                if entry.kind == EntryKind::Membership {
                    if let Some(change) = self.applying.members_by(entry.index) {
                        state.note_members(change, &mut Applied::default());
                    }
                } else if !entry.data.is_empty() {
                    let (at, commands) =
                        command::decode(entry.data, self.options.speaks).expect("applied before");
                    state.set_time(at);
                    for command in commands {
                        state.apply(command);
                    }
                }
            }
            self.applying.catch_up(&mut state);
        }
        debug_assert!(self.consensus.applied_index() >= meta.index, "a snapshot takes nothing back");
        self.state.replace(state);
        self.registering.note_changed();
        self.residents.clear();
        self.restart_compaction(meta.clone());
        self.publish_membership();
    }
}
