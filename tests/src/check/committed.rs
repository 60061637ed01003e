//! Committed entries never change: at every index all nodes commit the same entry, told by its term, whenever they do.

use std::collections::BTreeMap;

use trimaran_node::types::{Index, Term};

#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// By index, of each queue manager: the term, and which node said it first.
    entries: BTreeMap<usize, Vec<Option<(Term, u64)>>>,
}

impl Committed {
    /// What was committed behind this entry is not any more: it was lost, and that was told.
    pub fn forget_behind(&mut self, queue_manager: usize, kept: Index) {
        self.entries.entry(queue_manager).or_default().truncate(kept.0 as usize + 1);
    }

    /// A node learned that everything in `from..=upto` is committed. Terms that its log does not have any more are None.
    pub fn note(
        &mut self,
        node: u64,
        queue_manager: usize,
        from: Index,
        upto: Index,
        term_at: impl Fn(Index) -> Option<Term>,
    ) -> Option<String> {
        let entries = self.entries.entry(queue_manager).or_default();
        if entries.len() <= upto.0 as usize {
            entries.resize(upto.0 as usize + 1, None);
        }
        (from.0..=upto.0).find_map(|index| {
            let term = term_at(Index(index))?;
            let (first_term, first) = *entries[index as usize].get_or_insert((term, node));
            (first_term != term).then(|| {
                format!(
                    "entry {index} of queue manager {queue_manager} was committed with term {first_term} on node {first} and is with term {term} on node {node}"
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_another_term_at_a_committed_index_is_flagged() {
        let mut committed = Committed::default();
        let of = |term| move |_: Index| Some(Term(term));
        assert_eq!(committed.note(1, 0, Index(1), Index(5), of(2)), None);
        assert_eq!(committed.note(2, 0, Index(3), Index(4), of(2)), None);
        assert_eq!(committed.note(2, 1, Index(3), Index(4), of(3)), None, "another queue manager's");
        assert!(committed.note(2, 0, Index(5), Index(6), of(3)).is_some());
    }
}
