//! Term never goes back, not even over a restart; commit and applied never while the process lives.

use std::collections::BTreeMap;

use trimaran_node::types::{Index, Term};

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    term: Term,
    commit: Index,
    applied: Index,
}

#[derive(Clone, Debug, Default)]
pub struct NeverBack {
    seen: BTreeMap<(u64, usize), Seen>,
    told: BTreeMap<(u64, usize), Term>,
}

impl NeverBack {
    /// A restart may forget commit and applied, which are rebuilt, and never a term that anybody was told of.
    /// `lost_data`: the disk did not keep what it was given, so nothing can be said.
    pub fn on_start(
        &mut self,
        node: u64,
        queue_manager: usize,
        term: Term,
        lost_data: bool,
    ) -> Option<String> {
        self.seen.insert((node, queue_manager), Seen { term, ..Seen::default() });
        let told = self.told.entry((node, queue_manager)).or_default();
        if lost_data {
            *told = term;
        }
        (term < *told).then(|| {
            format!("node {node} told its peers of term {told} of queue manager {queue_manager} and starts with term {term}")
        })
    }

    /// A message of this term left the node.
    pub fn on_sent(&mut self, node: u64, queue_manager: usize, term: Term) {
        let told = self.told.entry((node, queue_manager)).or_default();
        *told = (*told).max(term);
    }

    pub fn after_turn(
        &mut self,
        node: u64,
        queue_manager: usize,
        term: Term,
        commit: Index,
        applied: Index,
    ) -> Option<String> {
        let seen = self.seen.entry((node, queue_manager)).or_default();
        let at = format!("on node {node}, queue manager {queue_manager}");
        let wrong = if term < seen.term {
            Some(format!("the term went back from {} to {term} {at}", seen.term))
        } else if commit < seen.commit {
            Some(format!("the commit index went back from {} to {commit} {at}", seen.commit))
        } else if applied < seen.applied {
            Some(format!("the applied index went back from {} to {applied} {at}", seen.applied))
        } else if applied > commit {
            Some(format!("index {applied} is applied and only {commit} is committed {at}"))
        } else {
            None
        };
        *seen = Seen { term, commit, applied };
        wrong
    }
}
