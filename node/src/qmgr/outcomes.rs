//! What became of units of work, for programs whose commit was not answered.
//!
//! Outcomes are numbered in the order they were decided, and forgotten in that order. A program that says how many had
//! been decided before it sent its commit is told the truth for certain: if nothing since then was forgotten, a unit
//! that is not known was never committed.

use std::collections::BTreeMap;

use super::Retention;
use super::digest::Digest;
use crate::types::planted::{self, Bug};
use crate::types::{UnitId, UnitState, WallTime};

/// With each outcome so many are forgotten at most: a million that grew old in one minute leave over many turns, and there
/// are never more than there may be.
const FORGOTTEN_A_TIME: usize = 16;

/// The newest outcomes, as many as [`Retention`] says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    by_unit: BTreeMap<UnitId, u64>,
    by_number: BTreeMap<u64, Decided>,
    next: u64,
    /// Every outcome that was forgotten and was not "committed" has a number below.
    refusals_forgotten: u64,
    digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Decided {
    pub unit: UnitId,
    pub state: UnitState,
    pub at: WallTime,
}

impl Outcomes {
    /// None when nothing is known of it.
    pub fn state(&self, unit: &UnitId) -> Option<UnitState> {
        let number = self.by_unit.get(unit)?;
        let decided = &self.by_number[number];
        debug_assert_eq!(decided.unit, *unit, "a unit's number is that of its outcome");
        Some(decided.state)
    }

    /// What an unknown unit is whose commit was sent when `decided` outcomes had been decided, or later.
    pub fn judge_unknown(&self, decided: u64) -> UnitState {
        debug_assert!(self.first() <= self.next, "what is remembered was decided");
        let all_remembered = self.first() <= decided || planted::is(Bug::SealForgotten);
        if all_remembered { UnitState::BackedOut } else { UnitState::Forgotten }
    }

    /// Whether a unit whose commit was sent when `decided` outcomes had been decided, or later, may still be committed:
    /// nobody can have been told that it was backed out.
    pub fn may_commit(&self, unit: &UnitId, decided: u64) -> bool {
        debug_assert!(self.refusals_forgotten <= self.next, "what was forgotten was decided");
        !self.by_unit.contains_key(unit) && self.refusals_forgotten <= decided
    }

    pub fn decide(&mut self, unit: &UnitId, state: UnitState, at: WallTime, keep: &Retention) {
        assert!(!self.by_unit.contains_key(unit), "an outcome is final");
        self.restore(self.next, Decided { unit: unit.clone(), state, at });
        assert_eq!(self.by_unit.len(), self.by_number.len(), "a unit has one outcome");
        for _ in 0..FORGOTTEN_A_TIME {
            let Some((_, oldest)) = self.by_number.first_key_value() else { return };
            let count = self.by_number.len();
            let is_young = oldest.at.0.saturating_add(keep.age_ms) > at.0;
            if count <= keep.outcomes_min || (is_young && count <= keep.outcomes_max) {
                return;
            }
            let (number, oldest) = self.by_number.pop_first().expect("just seen");
            self.digest.take((number, &oldest));
            let was_known = self.by_unit.remove(&oldest.unit);
            debug_assert_eq!(
                was_known,
                Some(number),
                "a unit is known by the number that is forgotten with it"
            );
            if oldest.state != UnitState::Committed {
                assert!(self.refusals_forgotten <= number, "outcomes are forgotten in order");
                self.refusals_forgotten = number + 1;
            }
        }
    }

    pub fn restore(&mut self, number: u64, decided: Decided) {
        debug_assert!(!self.by_number.contains_key(&number), "a number is that of one outcome");
        self.digest.add((number, &decided));
        self.by_unit.insert(decided.unit.clone(), number);
        self.by_number.insert(number, decided);
        self.next = self.next.max(number + 1);
        debug_assert!(
            self.by_number.last_key_value().is_some_and(|(last, _)| *last < self.next),
            "the next number is a new one"
        );
    }

    /// Kept up to date, and counted anew.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn recount_digest(&self) -> Digest {
        Digest::of(self.from(0))
    }

    /// How many were ever decided: the number the next outcome gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn refusals_forgotten(&self) -> u64 {
        self.refusals_forgotten
    }

    /// What the rows of single outcomes do not say.
    pub fn restore_counts(&mut self, next: u64, refusals_forgotten: u64) {
        self.next = self.next.max(next);
        self.refusals_forgotten = refusals_forgotten;
    }

    /// The smallest number that is still remembered.
    pub fn first(&self) -> u64 {
        self.by_number.first_key_value().map_or(self.next, |(number, _)| *number)
    }

    pub fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Decided)> {
        self.by_number.range(number..).map(|(number, decided)| (*number, decided))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: Retention = Retention {
        outcomes_min: 2,
        outcomes_max: 4,
        age_ms: 1_000,
        producers_min: 1,
        producers_max: 1,
        sequences_max: 1,
        sequences_in_all_max: 1,
        names_max: 1,
    };

    fn unit(number: u64) -> UnitId {
        UnitId(format!("unit {number}").into())
    }

    fn decide(outcomes: &mut Outcomes, number: u64, state: UnitState, at: i64) {
        outcomes.decide(&unit(number), state, WallTime(at), &LITTLE);
    }

    fn known(outcomes: &Outcomes) -> Vec<u64> {
        (0..100).filter(|number| outcomes.state(&unit(*number)).is_some()).collect()
    }

    #[test]
    fn what_is_young_stays_while_there_is_room_and_so_does_the_smallest_number() {
        let mut outcomes = Outcomes::default();
        (0..4).for_each(|number| decide(&mut outcomes, number, UnitState::Committed, 0));
        assert_eq!(known(&outcomes), [0, 1, 2, 3], "all are young");
        decide(&mut outcomes, 4, UnitState::Committed, 0);
        assert_eq!(known(&outcomes), [1, 2, 3, 4], "there are never more");
        decide(&mut outcomes, 5, UnitState::Committed, 1_000);
        assert_eq!(known(&outcomes), [4, 5], "the two newest stay, however old");
    }

    #[test]
    fn a_unit_that_is_not_known_was_never_committed_if_nothing_since_was_forgotten() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.judge_unknown(0), UnitState::BackedOut, "nothing was ever forgotten");
        (0..5).for_each(|number| decide(&mut outcomes, number, UnitState::Committed, 0));
        assert_eq!(outcomes.judge_unknown(0), UnitState::Forgotten, "number 0 may have been it");
        assert_eq!(outcomes.judge_unknown(1), UnitState::BackedOut);
    }

    #[test]
    fn a_commit_that_comes_after_its_refusal_was_forgotten_is_refused() {
        let mut outcomes = Outcomes::default();
        decide(&mut outcomes, 0, UnitState::BackedOut, 0);
        assert!(!outcomes.may_commit(&unit(0), 0), "it was refused");
        (1..6).for_each(|number| decide(&mut outcomes, number, UnitState::Committed, 0));
        assert_eq!(outcomes.state(&unit(0)), None);
        assert!(!outcomes.may_commit(&unit(0), 0), "who was told so may not see it come");
        assert!(outcomes.may_commit(&unit(9), 1), "this one came later");
    }
}
