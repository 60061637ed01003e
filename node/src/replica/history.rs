//! A node with another history: it has committed entries that its leader does not have (`consensus/history.rs` says how
//! that is found, and what such a node does not do any more).
//!
//! Somebody's disk was taken back to an older image, and whoever was elected then did not know what was lost. What only
//! this node still has was acknowledged to programs: it is not given up by a program. The node and its leader say it,
//! in the error log, in status and on the page of metrics, until a person decided which of the two goes on.

use trimaran_proto::replica::v1::{self as wire, Greeting};

use super::{Action, Replica};
use crate::consensus::Parted;
use crate::types::planted::{self, Bug};
use crate::types::{Index, NodeId, OutOfSync, Term};

/// What this node last said of its own history.
#[derive(Debug, Default)]
pub(super) struct Parting {
    said: Option<Parted>,
    /// The leader that was told, and its term.
    told: Option<(Term, NodeId)>,
}

impl Parting {
    pub fn is_parted(&self) -> bool {
        self.said.is_some()
    }

    /// Whether this is what was said last.
    pub fn says(&self, parted: Option<Parted>) -> bool {
        self.said == parted
    }
}

impl Replica {
    /// Something was heard that this node did not know before: it says so.
    pub(super) fn note_parted(&mut self) {
        let parted = self.consensus.parted();
        if parted == self.parting.said {
            return self.say_it_to_the_next_leader();
        }
        self.parting.said = parted;
        self.out.push(Action::NoteParted { parted });
        match parted {
            Some(parted) => self.report(sentence(self.options.node, parted)),
            None => self.report("the history of this node is the one of its leader".into()),
        }
        self.greet_all();
    }

    /// Who leads next may not see it: it takes this node for one that only lags.
    fn say_it_to_the_next_leader(&mut self) {
        let leads = self.consensus.leader().map(|leader| (self.consensus.term(), leader));
        let knows = self.parting.said.is_none_or(|parted| leads.is_none_or(|(term, _)| parted.term == term));
        if !knows && leads != self.parting.told {
            self.parting.told = leads;
            self.greet_all();
        }
    }

    /// What this node, and a leader of its peer, says of the two histories.
    pub(super) fn parted_with(&self, peer: NodeId) -> Option<wire::Parted> {
        if self.consensus.is_leader() {
            return self.peers.parted(peer);
        }
        self.parting.said.map(|parted| wire::Parted {
            leader: parted.leader.0,
            term: parted.term.0,
            index: parted.index.0,
            own_term: parted.own.0,
            leaders_term: parted.theirs.unwrap_or_default().0,
            not_known: parted.theirs.is_none(),
            commit: parted.commit.0,
        })
    }

    /// What a greeting says of the history over there. A leader counts for nothing who has another one.
    pub(super) fn compare_history(&mut self, from: NodeId, greeting: &Greeting) {
        if planted::is(Bug::FollowAnyHistory) {
            return;
        }
        let committed = (Term(greeting.commit_term), Index(greeting.commit));
        if self.consensus.is_leader() {
            return self.compare_with(from, Term(greeting.term), greeting.parted);
        }
        if self.consensus.leader() == Some(from) && committed.0 != Term(0) {
            let (theirs, index) = committed;
            self.consensus.compare_committed(from, Term(greeting.term), (Some(theirs), index));
        }
        match greeting.parted.filter(|told| told.leader == from.0) {
            Some(told) => {
                let theirs = (!told.not_known).then_some(Term(told.leaders_term));
                self.consensus.compare_committed(from, Term(told.term), (theirs, Index(told.index)));
            }
            None => {
                let theirs = (Term(greeting.term_at_your_commit), Index(greeting.your_commit));
                self.consensus.confirm_history(Term(greeting.term), theirs);
            }
        }
    }

    /// A new leader compares what the others said before it was one.
    pub(super) fn compare_with_all(&mut self) {
        if planted::is(Bug::FollowAnyHistory) {
            return;
        }
        self.peers.heard().into_iter().for_each(|peer| self.compare_with(peer, Term(0), None));
    }

    /// The leader's side: what is committed at `peer`, which is in `peers_term`, beside this log; and what the peer thinks of
    /// the leader that it follows or followed.
    fn compare_with(&mut self, peer: NodeId, peers_term: Term, told: Option<wire::Parted>) {
        let Some(committed) = self.peers.committed(peer).map(|committed| committed.last) else { return };
        let (me, term) = (self.options.node, self.consensus.term());
        let mut parted = told.filter(|told| told.leader == me.0 && told.term == term.0);
        // What was committed in a later term this leader need not have: it is none any more.
        let lacks = peers_term <= term && self.consensus.lacks_committed(committed);
        if lacks && parted.is_none() {
            let index = self.first_difference(peer, committed.1).unwrap_or(committed.1);
            let own_term = self.peers.committed(peer).and_then(|committed| committed.terms.at(index));
            parted = Some(wire::Parted {
                leader: me.0,
                term: term.0,
                index: index.0,
                own_term: own_term.unwrap_or(committed.0).0,
                leaders_term: self.consensus.term_at(index).unwrap_or_default().0,
                not_known: false,
                commit: committed.1.0,
            });
        }
        // It parted from an earlier leader. This one is seen to have what is committed there, and says so; or it does not
        // remember so many elections, nobody can compare any more, and the two go on as parted. What the earlier leader had
        // there says nothing of this one.
        if let (None, Some(earlier)) = (parted, told.filter(|earlier| earlier.leader != peer.0)) {
            match self.consensus.has_committed(committed) {
                true => self.greet(peer),
                false if peers_term > term => parted = self.peers.parted(peer),
                false => {
                    let (leaders_term, not_known) = (0, true);
                    parted =
                        Some(wire::Parted { leader: me.0, term: term.0, leaders_term, not_known, ..earlier });
                }
            }
        }
        assert!(peer != me, "nobody compares itself with itself");
        debug_assert!(self.consensus.is_leader(), "a leader compares others with itself");
        debug_assert!(
            parted.is_none_or(|parted| parted.leader == me.0),
            "a leader says what others have and it has not"
        );
        let was_known = self.peers.parted(peer).is_some();
        self.peers.set_parted(peer, parted);
        self.consensus.exclude(peer, parted.is_some() || self.comparison.is_shut_out(peer));
        if let Some(parted) = parted.filter(|_| !was_known) {
            self.report(sentence(peer, from_wire(parted)));
            // It may not know itself: its leader tells it what it would have to have.
            self.greet(peer);
        }
    }

    /// Why this node cannot go on with what `best` has: something is committed here that would be given up in silence.
    pub(super) fn other_history_than(&self, best: NodeId) -> Option<String> {
        let commit = self.consensus.commit_index();
        let theirs = self.peers.committed(best)?.last.1;
        let differs_at = self.first_difference(best, theirs).filter(|index| *index <= commit.min(theirs))?;
        let me = self.options.node;
        Some(format!(
            "node {me} has another history than node {best}: entries {differs_at} to {commit} are committed on node {me} only. To give \
             them up, stop node {me}, move its directories away, keep them, start it empty, and say this again. To keep them, do \
             that with the others"
        ))
    }

    /// Where what is committed at a peer, up to `commit`, begins to be something else than this log.
    fn first_difference(&self, peer: NodeId, commit: Index) -> Option<Index> {
        let theirs = &self.peers.committed(peer)?.terms;
        let end = self.consensus.commit_index();
        let common = self.consensus.committed_terms().last_common(end, theirs, commit)?;
        Some(common.next())
    }

    /// Whether the peer's copy is another one than this leader's, in whatever way.
    pub(super) fn is_another(&self, node: NodeId) -> Option<OutOfSync> {
        if self.peers.parted(node).is_some() {
            return Some(OutOfSync::OtherHistory);
        }
        self.comparison.differs(node)
    }
}

fn from_wire(parted: wire::Parted) -> Parted {
    Parted {
        leader: NodeId(parted.leader),
        term: Term(parted.term),
        index: Index(parted.index),
        own: Term(parted.own_term),
        theirs: (!parted.not_known).then_some(Term(parted.leaders_term)),
        commit: Index(parted.commit),
    }
}

/// For whoever reads the error log, on the node that parted and on its leader.
fn sentence(node: NodeId, parted: Parted) -> String {
    let Parted { leader, term, index, own, theirs, commit } = parted;
    let what = match theirs {
        None => format!(
            "node {node} parted from an earlier leader at entry {index} of term {own}, and whether node {leader}, which leads since \
             term {term}, has the same entries as node {node} cannot be said any more: it was more elections ago than are \
             remembered"
        ),
        Some(theirs) => format!(
            "node {node} has another history than node {leader}, which leads in term {term}: entry {index} of term {own} was committed \
             on node {node}, node {leader} {}. A disk was taken back to an older state",
            match theirs {
                Term(0) => "has none there".to_owned(),
                Term(theirs) => format!("has one of term {theirs} there"),
            }
        ),
    };
    let only = match theirs {
        None => "may be",
        Some(_) => "is",
    };
    format!(
        "{what}. What programs were told of entries {index} to {commit} {only} on node {node} only, which counts for nothing now. To \
         go on with what node {leader} has: stop node {node}, move its directories away, keep them, and start it empty. To go on \
         with what node {node} has: do that with the others, and then say `trimaran recover --from-best`"
    )
}
