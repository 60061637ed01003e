//! A node with another history: it has committed entries that its leader does not have (`consensus/history.rs` says how
//! that is found, and what such a node does not do any more).
//!
//! Somebody's disk was taken back to an older image, and whoever was elected then did not know what was lost. What only
//! this node still has was acknowledged to programs: it is not given up by a program. The node and its leader say it,
//! in the error log, in status and on the page of metrics, until a person decided which of the two goes on.

use trimaran_proto::replica::v1::{self as wire, Greeting};

use super::Replica;
use crate::consensus::Parted;
use crate::types::planted::{self, Bug};
use crate::types::{Index, NodeId, OutOfSync, Term};

impl Replica {
    /// Something was heard that this node did not know before: it says so.
    pub(super) fn note_parted(&mut self) {
        let parted = self.consensus.parted();
        if parted == self.parted {
            return;
        }
        self.parted = parted;
        match parted {
            Some(parted) => self.report(sentence(self.options.node, parted)),
            None => self.report("the history of this node is the one of its leader".into()),
        }
        self.greet_all();
    }

    /// What this node, and a leader of its peer, says of the two histories.
    pub(super) fn parted_with(&self, peer: NodeId) -> Option<wire::Parted> {
        if self.consensus.is_leader() {
            return self.peers.parted(peer);
        }
        self.parted.map(|parted| wire::Parted {
            leader: parted.leader.0,
            term: parted.term.0,
            index: parted.index.0,
            own_term: parted.own.0,
            leaders_term: parted.theirs.0,
            commit: parted.commit.0,
        })
    }

    /// What a greeting says of the history over there. A leader counts for nothing who has another one.
    pub(super) fn compare_history(&mut self, from: NodeId, greeting: &Greeting) {
        if planted::is(Bug::FollowAnyHistory) {
            return;
        }
        let (me, term) = (self.options.node, self.consensus.term());
        let committed = (Term(greeting.commit_term), Index(greeting.commit));
        if !self.consensus.is_leader() {
            if self.consensus.leader() == Some(from) && committed.0 != Term(0) {
                self.consensus.compare_committed(from, Term(greeting.term), committed);
            }
            if let Some(told) = greeting.parted.filter(|told| told.leader == from.0) {
                let theirs = (Term(told.leaders_term), Index(told.index));
                self.consensus.compare_committed(from, Term(told.term), theirs);
            }
            return;
        }
        let mut parted = greeting.parted.filter(|parted| parted.leader == me.0 && parted.term == term.0);
        // What was committed in a later term this leader need not have: it is none any more.
        let lacks = Term(greeting.term) <= term && self.consensus.lacks_committed(committed);
        if lacks && parted.is_none() {
            let leaders_term = self.consensus.term_at(committed.1).unwrap_or_default().0;
            parted = Some(wire::Parted {
                leader: me.0,
                term: term.0,
                index: greeting.commit,
                own_term: greeting.commit_term,
                leaders_term,
                commit: greeting.commit,
            });
        }
        let was_known = self.peers.parted(from).is_some();
        self.peers.set_parted(from, parted);
        self.consensus.exclude(from, parted.is_some());
        if let Some(parted) = parted.filter(|_| !was_known) {
            self.report(sentence(from, from_wire(parted)));
            // It may not know itself: its leader tells it what it would have to have.
            self.greet(from);
        }
    }

    /// Whether the peer's copy is another one than this leader's, in whatever way.
    pub(super) fn is_another(&self, node: NodeId) -> Option<OutOfSync> {
        if self.peers.parted(node).is_some() {
            return Some(OutOfSync::OtherHistory);
        }
        self.comparison.differs_at(node).map(|_| OutOfSync::OtherState)
    }
}

fn from_wire(parted: wire::Parted) -> Parted {
    Parted {
        leader: NodeId(parted.leader),
        term: Term(parted.term),
        index: Index(parted.index),
        own: Term(parted.own_term),
        theirs: Term(parted.leaders_term),
        commit: Index(parted.commit),
    }
}

/// For whoever reads the error log, on the node that parted and on its leader.
fn sentence(node: NodeId, parted: Parted) -> String {
    let Parted { leader, index, own, theirs, commit, .. } = parted;
    let theirs = match theirs {
        Term(0) => "has none there".to_owned(),
        Term(theirs) => format!("has one of term {theirs} there"),
    };
    format!(
        "node {node} has another history than node {leader}, which leads: entry {index} of term {own} was committed on node \
         {node}, node {leader} {theirs}. A disk was taken back to an older state. What programs were told of entries {index} to \
         {commit} is on node {node} only, which counts for nothing now. To go on with what node {leader} has: stop node {node}, move its \
         directories away, keep them, and start it empty. To go on with what node {node} has: do that with the others"
    )
}
