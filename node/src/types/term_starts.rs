//! Where each term begins in what is committed.
//!
//! A log is cut at its beginning, and a snapshot has no entries at all. What both keep is this: a few bytes for each election. So
//! anybody can say later of which term an entry was, and two nodes can tell up to where they have the same entries: those of
//! one term at one index are the same, and everything before them (Ongaro's thesis, 3.5).

use super::{Index, Term};

/// How many terms are remembered. What was committed before them cannot be compared any more.
const TERMS_MAX: usize = 1024;

/// First entry of each term, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermStarts(Vec<(Term, Index)>);

impl TermStarts {
    /// None where they do not go up together, or are more than anybody remembers.
    pub fn from_runs(runs: Vec<(Term, Index)>) -> Option<TermStarts> {
        let goes_up = |pair: &[(Term, Index)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        (runs.len() <= TERMS_MAX && runs.windows(2).all(goes_up)).then_some(TermStarts(runs))
    }

    /// Oldest first: each term, and the index of its first entry.
    pub fn runs(&self) -> &[(Term, Index)] {
        &self.0
    }

    /// The newest of them.
    pub fn last(&self, count: usize) -> TermStarts {
        TermStarts(self.0[self.0.len().saturating_sub(count)..].to_vec())
    }

    /// This entry is committed. What is known already changes nothing.
    pub fn note(&mut self, term: Term, index: Index) {
        let Some((newest, first)) = self.0.last().copied() else { return self.0.push((term, index)) };
        if newest >= term {
            return;
        }
        debug_assert!(first < index, "a later term has later entries");
        if first >= index {
            return; // what is kept must be in order, or nobody reads it again
        }
        debug_assert!(self.0.len() <= TERMS_MAX, "no more come from rows and peers either");
        if self.0.len() == TERMS_MAX {
            self.0.remove(0);
        }
        self.0.push((term, index));
        debug_assert_eq!(self.at(index), Some(term), "the term of an entry that was noted is known");
    }

    /// As they were when this entry was the last one.
    pub fn upto(&self, index: Index) -> TermStarts {
        let upto = TermStarts(self.0[..self.begun_by(index)].to_vec());
        debug_assert_eq!(
            upto.at(index),
            self.at(index),
            "the last entry is of the same term in what it ends"
        );
        upto
    }

    /// The term of a committed entry.
    pub fn at(&self, index: Index) -> Option<Term> {
        let run = self.begun_by(index).checked_sub(1)?;
        Some(self.0[run].0)
    }

    /// The last entry that both have, of logs that end here and there. None where it is older than what they remember.
    pub fn last_common(&self, end: Index, other: &TermStarts, others_end: Index) -> Option<Index> {
        let spans = |terms: &TermStarts, end: Index| {
            let runs = terms.upto(end).0;
            let ends: Vec<Index> = runs.iter().skip(1).map(|next| Index(next.1.0 - 1)).chain([end]).collect();
            runs.into_iter().zip(ends).map(|((term, first), last)| (term, first, last)).collect::<Vec<_>>()
        };
        let theirs = spans(other, others_end);
        let common = spans(self, end).into_iter().rev().find_map(|(term, first, last)| {
            let same = theirs.iter().find(|run| run.0 == term)?;
            let common = last.min(same.2);
            (common >= first.max(same.1)).then_some(common)
        });
        debug_assert!(
            common.is_none_or(|common| common <= end.min(others_end)),
            "what both have is in front of where either ends"
        );
        debug_assert!(
            common.is_none_or(|common| self.at(common).is_some() && self.at(common) == other.at(common)),
            "what both have is of one term here and there"
        );
        common
    }

    fn begun_by(&self, index: Index) -> usize {
        debug_assert!(
            self.0.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1),
            "terms begin one behind the other"
        );
        self.0.partition_point(|(_, first)| *first <= index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(runs: &[(u64, u64)]) -> TermStarts {
        TermStarts::from_runs(runs.iter().map(|(term, first)| (Term(*term), Index(*first))).collect())
            .unwrap()
    }

    #[test]
    fn a_committed_entry_s_term_is_known_for_good() {
        let mut noted = TermStarts::default();
        for (term, index) in [(1, 1), (2, 2), (2, 3), (2, 4), (5, 5), (5, 6), (2, 3)] {
            noted.note(Term(term), Index(index));
        }
        assert_eq!(noted, terms(&[(1, 1), (2, 2), (5, 5)]));
        assert_eq!(
            [0, 1, 3, 4, 5, 900].map(|index| noted.at(Index(index)).map(|term| term.0)),
            [None, Some(1), Some(2), Some(2), Some(5), Some(5)]
        );
        assert_eq!(noted.upto(Index(4)), terms(&[(1, 1), (2, 2)]));
    }

    #[test]
    fn two_logs_have_the_same_entries_up_to_the_last_of_a_term_that_both_have() {
        let common = |ours: &[(u64, u64)], end, theirs: &[(u64, u64)], others_end| {
            let common = terms(ours).last_common(Index(end), &terms(theirs), Index(others_end));
            assert_eq!(common, terms(theirs).last_common(Index(others_end), &terms(ours), Index(end)));
            common.map(|index| index.0)
        };
        // The other went on in a later term from the middle of what is here.
        assert_eq!(common(&[(1, 1), (2, 2)], 90, &[(1, 1), (2, 2), (4, 31)], 50), Some(30));
        // The other simply ends earlier.
        assert_eq!(common(&[(1, 1), (2, 2)], 90, &[(1, 1), (2, 2)], 40), Some(40));
        assert_eq!(common(&[(1, 1), (3, 20)], 90, &[(1, 1), (4, 31)], 50), Some(19));
        // What is remembered does not go back far enough.
        assert_eq!(common(&[(3, 20)], 90, &[(4, 31)], 50), None);
    }

    #[test]
    fn the_oldest_are_forgotten_at_last() {
        let mut noted = TermStarts::default();
        (1..=TERMS_MAX as u64 + 1).for_each(|term| noted.note(Term(term), Index(10 * term)));
        assert_eq!(noted.at(Index(19)), None);
        assert_eq!(noted.at(Index(20)), Some(Term(2)));
        assert_eq!(TermStarts::from_runs(vec![(Term(2), Index(5)), (Term(1), Index(9))]), None);
        let runs = |count: u64| (1..=count).map(|term| (Term(term), Index(term))).collect();
        assert!(TermStarts::from_runs(runs(TERMS_MAX as u64)).is_some());
        assert_eq!(TermStarts::from_runs(runs(TERMS_MAX as u64 + 1)), None, "nobody remembers so many");
    }
}
