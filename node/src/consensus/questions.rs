//! What others may know of a consensus: they ask, and change nothing.

use std::collections::BTreeMap;

use raft::StateRole;

use super::{Consensus, Majority, PeerProgress};
use crate::types::{ClocksDiffer, Index, Instant, Membership, NodeId, Now, Term, TermStarts};

impl Consensus {
    pub fn node(&self) -> NodeId {
        self.options.node
    }

    pub fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    pub fn leader(&self) -> Option<NodeId> {
        let leader = self.raw.raft.leader_id;
        (leader != 0).then_some(NodeId(leader))
    }

    pub fn term(&self) -> Term {
        Term(self.raw.raft.term)
    }

    pub fn commit_index(&self) -> Index {
        Index(self.raw.raft.raft_log.committed)
    }

    pub fn applied_index(&self) -> Index {
        Index(self.applied)
    }

    /// Of the own log, whether on disk or not.
    pub fn last_index(&self) -> Index {
        Index(self.raw.raft.raft_log.last_index())
    }

    /// Of the own log on disk.
    pub fn first_index(&self) -> Index {
        Index(self.raw.store().first())
    }

    /// On disk up to here.
    pub fn persisted_index(&self) -> Index {
        debug_assert!(self.persisted <= self.write_number, "only what was asked for is on disk");
        Index(self.raw.raft.raft_log.persisted)
    }

    /// Of an entry in the log, or of one that was committed, cut off or not.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        let log = &self.raw.raft.raft_log;
        if index.0 > log.last_index() {
            return None;
        }
        if index.0 + 1 < log.first_index() {
            return self.terms.at(index);
        }
        log.term(index.0).ok().map(Term)
    }

    /// Where terms begin in all that is committed here, handed out or not.
    pub fn committed_terms(&self) -> TermStarts {
        self.with_what_was_not_handed_out(self.terms.clone())
    }

    /// The newest of them, without a copy of the others.
    pub fn newest_committed_terms(&self, count: usize) -> TermStarts {
        self.with_what_was_not_handed_out(self.terms.last(count)).last(count)
    }

    pub(super) fn with_what_was_not_handed_out(&self, mut terms: TermStarts) -> TermStarts {
        let commit = self.commit_index();
        let mut next = Index(self.emitted).next();
        while let Some(term) = self.term_at(next).filter(|_| next <= commit) {
            terms.note(term, next);
            // Terms only go up: the next one is found by halves.
            let (mut begun, mut end) = (next.0 + 1, commit.0 + 1);
            while begun < end {
                let middle = begun + (end - begun) / 2;
                match self.term_at(Index(middle)) == Some(term) {
                    true => begun = middle + 1,
                    false => end = middle,
                }
            }
            next = Index(begun);
        }
        terms
    }

    /// Where terms begin, as far as this entry, which was handed out.
    pub fn terms_upto(&self, index: Index) -> TermStarts {
        self.terms.upto(index)
    }

    /// Until when this leader may be sure that it is the only one. None for others, and while leadership is being
    /// handed over. Compare with a time that was read after the answer it guards was decided.
    pub fn lease_until(&self) -> Option<Instant> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader || raft.lead_transferee.is_some() || self.transferring.is_some() {
            return None;
        }
        self.lease.until(self.options.node, &self.membership, self.now?)
    }

    /// The time of this leader's group. None for others, and as long as too few clocks are known.
    pub fn time(&self) -> Option<Majority> {
        self.is_leader().then(|| self.clocks.majority(self.options.node, &self.membership, self.clock()))?
    }

    /// By how many milliseconds clocks of members are ahead, or behind, of what a majority says, where that is too much.
    pub fn clocks_off(&self) -> BTreeMap<NodeId, i64> {
        match self.is_leader() {
            true => self.clocks.off(self.options.node, &self.membership, self.clock()),
            false => BTreeMap::new(),
        }
    }

    /// Which clocks differ, where no majority of them agrees.
    pub fn clocks_undecided(&self) -> Option<ClocksDiffer> {
        self.is_leader().then(|| self.clocks.undecided(self.options.node, &self.membership, self.clock()))?
    }

    pub(super) fn clock(&self) -> Now {
        Now { instant: self.now.unwrap_or_default(), wall: self.wall }
    }

    pub fn is_transferring(&self) -> bool {
        self.raw.raft.lead_transferee.is_some()
    }

    /// Whether this leader has an answer of the node to a round of heartbeats that left then or later.
    pub fn has_answered(&self, node: NodeId, since: Instant) -> bool {
        debug_assert!(self.is_leader(), "only a leader is answered");
        self.lease.answered(node).is_some_and(|sent| sent >= since)
    }

    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(super) fn is_voter(&self, node: NodeId) -> bool {
        self.membership.voters.contains(&node) || self.membership.voters_outgoing.contains(&node)
    }

    pub(super) fn is_heard(&self, node: NodeId) -> bool {
        let now = self.now.unwrap_or_default();
        debug_assert!(
            self.heard.get(&node).is_none_or(|heard| *heard <= now),
            "nobody was heard later than now"
        );
        self.heard.get(&node).is_some_and(|heard| now.since(*heard) <= self.options.election)
    }

    /// A change of membership is in the log and not applied, or half done.
    pub fn membership_changes(&self) -> bool {
        self.raw.raft.has_pending_conf() || !self.membership.voters_outgoing.is_empty()
    }

    /// The other members, by id. Empty when this node does not lead.
    pub fn progress(&self) -> Vec<PeerProgress> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return Vec::new();
        }
        let mut all: Vec<PeerProgress> = raft
            .prs()
            .iter()
            .filter(|(node, _)| **node != self.options.node.0)
            .map(|(node, progress)| PeerProgress {
                node: NodeId(*node),
                voter: self.is_voter(NodeId(*node)),
                matched: Index(progress.matched),
                active: self.is_heard(NodeId(*node)),
                snapshot: progress.state == raft::ProgressState::Snapshot,
                wants_behind: Index(match progress.state {
                    raft::ProgressState::Snapshot => progress.pending_snapshot.max(progress.matched),
                    raft::ProgressState::Probe | raft::ProgressState::Replicate => progress.matched,
                }),
                commit: Index(progress.committed_index),
                lag: raft.raft_log.last_index().saturating_sub(progress.matched),
                round_trip: self.lease.round_trip(NodeId(*node)),
            })
            .collect();
        all.sort_unstable_by_key(|progress| progress.node);
        debug_assert!(
            all.iter().all(|peer| peer.node != self.options.node),
            "a leader is no peer of its own"
        );
        debug_assert!(
            all.iter().all(|peer| peer.matched <= self.last_index()),
            "a peer has no more of a leader's log than the leader"
        );
        all
    }
}
