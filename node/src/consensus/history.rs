//! Whether a leader's log agrees with what this node knows to be committed.
//!
//! Raft needs no such question: a leader has every committed entry. It asks for disks that keep what was written. After
//! a disk was taken back to an older image, a leader may be elected that lacks committed entries, and put others in
//! their place. raft-rs answers an append below the commit index as accepted without a look at it, so the node that
//! still has the old entries would count as one that has the new ones: [`Consensus::check_history`] looks first.
//!
//! Appends carry (index, term) of the entry before and of each entry, greetings (`replica/peers.rs`) those of the commit index; of two
//! logs with the same term at one index everything before is equal (Ongaro's thesis, 3.5). Of what was cut off the terms are still known
//! (`types/term_starts.rs`), so that a leader is asked before it sends a snapshot that would take the place of what it lacks. What a node has not compared
//! it does not acknowledge. A node that has parted from its leader neither votes, stands, acknowledges nor renews a
//! lease, and its leader counts it for nothing: until a leader of a later term is found to have what is committed here,
//! or somebody decided which of the two histories goes on.

use raft::eraftpb::{self, MessageType};

use super::Consensus;
use crate::types::planted::{self, Bug};
use crate::types::{Index, NodeId, Term};

/// This node has a committed entry that its leader does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parted {
    pub leader: NodeId,
    /// In which that leader leads.
    pub term: Term,
    /// The first entry that is known to differ, its term here and its term there (0: it has none; None: that leader does not
    /// remember so many elections, and nobody can compare).
    pub index: Index,
    pub own: Term,
    pub theirs: Option<Term>,
    /// What is committed here.
    pub commit: Index,
}

/// What became of an append before raft-rs sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Nothing committed here differs, as far as it was compared: to this index, the commit index at most.
    Upto(u64),
    Parted,
}

impl Consensus {
    pub fn parted(&self) -> Option<Parted> {
        self.parted
    }

    /// What this node has and is committed: where, and of which term.
    pub fn committed(&self) -> (Term, Index) {
        let commit = self.commit_index();
        debug_assert!(commit <= self.last_index(), "what is committed here is in the log here");
        (self.term_at(commit).unwrap_or_default(), commit)
    }

    /// A peer says what is committed there. True when this node leads and its log has another entry in its place, or
    /// none: one of the two lost what it had.
    pub fn lacks_committed(&self, (term, index): (Term, Index)) -> bool {
        self.is_leader()
            && term != Term(0)
            && match self.term_at(index) {
                Some(own) => own != term,
                None => index > self.last_index(),
            }
    }

    /// Whoever leads in `term` says which entry it has at this index; Term 0: none; None: it cannot say. Where another one is
    /// committed here, that leader does not have what it should.
    pub fn compare_committed(&mut self, leader: NodeId, term: Term, (theirs, index): (Option<Term>, Index)) {
        let commit = self.commit_index();
        let is_known = self.parted.is_some_and(|parted| parted.term >= term);
        if self.is_leader() || is_known || term < self.term() || index > commit {
            return;
        }
        debug_assert!(commit <= self.last_index(), "what is committed here is in the log here");
        if let Some(own) = self.term_at(index).filter(|own| Some(*own) != theirs) {
            self.parted = Some(Parted { leader, term, index, own, theirs, commit });
            self.raise_term(term);
            debug_assert_ne!(leader, self.node(), "nobody parts from itself");
            debug_assert!(!self.is_leader(), "who parted from a leader does not lead in its term");
        }
    }

    /// Whoever leads in `term` says which entry it has where what is committed here ends. The same one makes the two histories
    /// one.
    pub fn confirm_history(&mut self, term: Term, (theirs, index): (Term, Index)) {
        let is_later = self.parted.is_some_and(|parted| parted.term < term) && term >= self.term();
        if is_later && index == self.commit_index() && self.term_at(index) == Some(theirs) {
            self.parted = None;
        }
    }

    /// Whether this log has what a peer says is committed there, as far as anybody can tell.
    pub fn has_committed(&self, (term, index): (Term, Index)) -> bool {
        term != Term(0) && self.term_at(index) == Some(term)
    }

    pub fn is_excluded(&self, node: NodeId) -> bool {
        self.excluded.contains(&node)
    }

    /// What `node` says counts for nothing, and it gets no entries; or does again.
    pub fn exclude(&mut self, node: NodeId, excluded: bool) {
        debug_assert!(!excluded || node != self.node(), "a leader counts itself");
        if excluded {
            self.excluded.insert(node);
            self.heard.remove(&node);
            self.lease.on_peer_gone(node);
        } else if self.excluded.remove(&node) {
            self.forget_progress(node);
        }
    }

    /// Compares an append of a current leader with what is committed here.
    pub(super) fn check_history(&mut self, from: NodeId, append: &eraftpb::Message) -> Compared {
        let committed = self.raw.raft.raft_log.committed;
        debug_assert!(append.term >= self.raw.raft.term, "an append of an earlier term is nobody's history");
        if planted::is(Bug::FollowAnyHistory) {
            return Compared::Upto(committed);
        }
        if self.parted.is_some_and(|parted| parted.term == Term(append.term)) {
            return Compared::Parted;
        }
        let before = std::iter::once((append.index, append.log_term));
        let entries = append.entries.iter().map(|entry| (entry.index, entry.term));
        let mut upto = 0;
        for (index, theirs) in before.chain(entries).take_while(|(index, _)| *index <= committed) {
            upto = index;
            match self.term_at(Index(index)) {
                Some(Term(own)) if own != theirs => {
                    self.parted = Some(Parted {
                        leader: from,
                        term: Term(append.term),
                        index: Index(index),
                        own: Term(own),
                        theirs: Some(Term(theirs)),
                        commit: Index(committed),
                    });
                    return Compared::Parted;
                }
                // What was cut off here cannot be compared; something behind it will be.
                Some(_) | None => {}
            }
        }
        debug_assert!(upto <= committed, "only what is committed here is compared");
        let is_whole = upto == committed && self.term_at(Index(committed)).is_some();
        if is_whole && self.parted.is_some_and(|parted| parted.term < Term(append.term)) {
            self.parted = None;
        }
        if self.parted.is_some() { Compared::Parted } else { Compared::Upto(upto) }
    }

    /// raft-rs answers what lies below the commit index as if it had all of that. What was compared is less.
    pub(super) fn answer_what_was_compared(&mut self, to: NodeId, upto: u64) {
        debug_assert!(upto <= self.raw.raft.raft_log.committed, "only what is committed here is compared");
        let answer = self.raw.raft.msgs.last_mut().filter(|answer| {
            answer.msg_type == MessageType::MsgAppendResponse && answer.to == to.0 && !answer.reject
        });
        if let Some(answer) = answer {
            answer.index = answer.index.min(upto);
        }
    }
}
