//! Whether all copies are in the same state. Raft makes sure of the log; what made a state of it may have had a bug, or
//! bad memory, or a damaged store.
//!
//! Now and then the leader names an entry, and everybody who has applied exactly that one says the digest of its state
//! (`qmgr/digest.rs`), which is kept up to date and costs the same to ask for however much there is. The entry is the newest of the leader's log: nobody can have applied more when the question is
//! sent, and questions keep their place among the messages to a peer. Who missed it is asked again with the next one.
//!
//! Where a majority of the voters is in one state, whoever is in another one is named, counts for nothing, and gets its
//! state again from its log and the others. Where no majority answers alike nobody knows who is right, and nothing
//! is done but to name them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trimaran_proto::replica::v1::{self as wire, peer_message::Message as PeerMessage};

use super::{Action, Replica};
use crate::types::{Index, Instant, NodeId, OutOfSync, Term};

/// From one question to the next. What differs is named within twice this time, if the nodes hear each other.
const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Who wants this node's digest, in which term, where.
    wanted: Option<(NodeId, Term, Index)>,
    /// The leader's newest question, and who answered what; its own answer too.
    asked: Option<(Term, Index)>,
    digests: BTreeMap<NodeId, u64>,
    next: Instant,
    /// Whose state was another one when it was compared last, and in what way.
    differing: BTreeMap<NodeId, OutOfSync>,
    /// Who was told that its state is wrong, and has not ended since: it counts for nothing, whatever else it says.
    shut_out: BTreeSet<NodeId>,
}

impl Comparison {
    /// Whether the node's state is another one than a majority's; or than this leader's, where nobody knows who is right.
    pub fn differs(&self, node: NodeId) -> Option<OutOfSync> {
        self.differing.get(&node).copied()
    }

    pub fn assert_holds(&self, term: Term) {
        debug_assert!(
            self.asked.is_none_or(|(asked, _)| asked <= term),
            "a question is of a term that was reached"
        );
        debug_assert!(
            self.wanted.is_none_or(|(_, wanted, _)| wanted <= term),
            "an answer is owed in a term that was reached"
        );
        debug_assert!(self.asked.is_some() || self.digests.is_empty(), "answers are to a question");
    }

    pub fn is_shut_out(&self, node: NodeId) -> bool {
        self.shut_out.contains(&node)
    }

    /// The process over there has ended, and with it its state: it starts with another one. If it was the connection only,
    /// that is seen when the two are compared, which is soon.
    pub fn on_peer_lost(&mut self, node: NodeId) {
        if self.shut_out.remove(&node) {
            self.next = Instant(0);
        }
    }
}

impl Replica {
    /// Asks when it is time.
    pub(super) fn drive_comparison(&mut self) {
        if !self.is_serving() || self.now.instant < self.comparison.next {
            return;
        }
        self.comparison.next = self.now.instant + INTERVAL;
        let (me, term, index) = (self.options.node, self.consensus.term(), self.consensus.last_index());
        debug_assert!(self.consensus.is_leader(), "only a leader asks for digests");
        debug_assert!(self.consensus.applied_index() <= index, "nobody has applied more than the log has");
        self.comparison.asked = Some((term, index));
        self.comparison.digests.clear();
        for peer in self.consensus.progress() {
            self.say(
                peer.node,
                wire::Comparison { term: term.0, index: index.0, ..wire::Comparison::default() },
            );
        }
        self.want_digest(me, term, index);
    }

    pub(super) fn on_comparison(&mut self, from: NodeId, said: wire::Comparison) {
        let (term, index) = (Term(said.term), Index(said.index));
        if term != self.consensus.term() {
            return;
        }
        match said.digest {
            Some(digest) if self.comparison.asked == Some((term, index)) => {
                self.comparison.digests.insert(from, digest);
                self.judge_digests(index);
            }
            None if self.consensus.leader() == Some(from) && said.differs => self.get_state_again(index),
            None if self.consensus.leader() == Some(from) => self.want_digest(from, term, index),
            _ => {}
        }
    }

    fn want_digest(&mut self, who: NodeId, term: Term, index: Index) {
        self.comparison.wanted = Some((who, term, index));
        self.answer_comparison(self.consensus.applied_index());
    }

    /// The state is at this index now: is its digest wanted here?
    pub(super) fn answer_comparison(&mut self, applied: Index) {
        let Some((who, term, index)) = self.comparison.wanted else { return };
        if applied < index {
            return;
        }
        self.comparison.wanted = None;
        if applied > index || self.applying.is_in_entry() || term != self.consensus.term() {
            return;
        }
        let digest = self.state.digest();
        if who == self.options.node {
            self.comparison.digests.insert(who, digest);
            self.judge_digests(index);
        } else {
            let digest = Some(digest);
            self.say(
                who,
                wire::Comparison { term: term.0, index: index.0, digest, ..wire::Comparison::default() },
            );
        }
    }

    fn say(&mut self, to: NodeId, comparison: wire::Comparison) {
        debug_assert_ne!(to, self.options.node, "nobody compares itself with itself over the line");
        self.out.push(Action::Send { to, message: PeerMessage::Comparison(comparison) });
    }

    /// The leader has one more answer.
    fn judge_digests(&mut self, index: Index) {
        debug_assert_eq!(
            self.comparison.asked.map(|(_, asked)| asked),
            Some(index),
            "answers to the newest question are judged"
        );
        let me = self.options.node;
        let Some(own) = self.comparison.digests.get(&me).copied() else { return };
        let digests: Vec<(NodeId, u64)> =
            self.comparison.digests.iter().map(|(node, digest)| (*node, *digest)).collect();
        let voters = &self.consensus.membership().voters;
        let alike = |wanted: u64| {
            digests.iter().filter(|(node, digest)| *digest == wanted && voters.contains(node)).count()
        };
        let majority =
            digests.iter().map(|(_, digest)| *digest).find(|digest| alike(*digest) > voters.len() / 2);
        for (node, digest) in digests {
            if digest == majority.unwrap_or(own) {
                if !self.comparison.is_shut_out(node) {
                    self.comparison.differing.remove(&node);
                }
                continue;
            }
            let (differs, whose) = match majority {
                Some(_) => (OutOfSync::OtherState, "a majority"),
                None => (
                    OutOfSync::StatesDiffer,
                    "the active node; which of them is right is not known before more copies are compared",
                ),
            };
            if self.comparison.differing.insert(node, differs) != Some(differs) {
                self.report(format!("the state of node {node} at entry {index} is not the one of {whose}"));
            }
            match majority {
                Some(_) if node == me => self.get_state_again(index),
                Some(right) if right == own => {
                    let term = self.consensus.term().0;
                    self.comparison.shut_out.insert(node);
                    self.consensus.exclude(node, true);
                    self.say(node, wire::Comparison { term, index: index.0, digest: None, differs: true });
                }
                // The next leader says it to the others: this one is wrong itself.
                Some(_) | None => {}
            }
        }
    }

    /// A majority is in another state. What this node has is set aside, and got again from its log and its peers.
    fn get_state_again(&mut self, index: Index) {
        let reason = format!(
            "at entry {index} the state of this node is not the one of a majority. It gets it again from its log and the others; if \
             this comes again after that, its log is not the one of this queue manager either: stop the node, move what is in its \
             log and its data directory away, and start it empty: it gets everything from the others"
        );
        self.out.push(Action::GetStateAgain { reason });
    }
}
