//! What became of units of work, for programs whose commit was not answered.

use std::collections::BTreeMap;

use super::digest::Digest;
use crate::types::{UnitId, limits};

/// The newest [`limits::OUTCOMES_MAX`] outcomes, numbered in the order they were decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    by_unit: BTreeMap<UnitId, (u64, bool)>,
    by_number: BTreeMap<u64, UnitId>,
    next: u64,
    digest: Digest,
}

impl Outcomes {
    /// Whether the unit was committed; None when nothing is known of it.
    pub fn committed(&self, unit: &UnitId) -> Option<bool> {
        self.by_unit.get(unit).map(|(_, committed)| *committed)
    }

    pub fn decide(&mut self, unit: &UnitId, committed: bool) {
        assert!(!self.by_unit.contains_key(unit), "an outcome is final");
        self.restore(self.next, unit.clone(), committed);
        while self.by_number.len() > limits::OUTCOMES_MAX {
            let (number, oldest) = self.by_number.pop_first().expect("more than the limit");
            if let Some((_, committed)) = self.by_unit.remove(&oldest) {
                self.digest.take((number, &oldest, committed));
            }
        }
    }

    pub fn restore(&mut self, number: u64, unit: UnitId, committed: bool) {
        self.digest.add((number, &unit, committed));
        self.by_unit.insert(unit.clone(), (number, committed));
        self.by_number.insert(number, unit);
        self.next = self.next.max(number + 1);
    }

    /// Kept up to date, and counted anew.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn recount_digest(&self) -> Digest {
        Digest::of(self.from(0))
    }

    /// The number the next outcome gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Keeps numbers unique when everything that was decided has been forgotten since.
    pub fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// The smallest number that is still remembered.
    pub fn first(&self) -> u64 {
        self.by_number.first_key_value().map_or(self.next, |(number, _)| *number)
    }

    pub fn from(&self, number: u64) -> impl Iterator<Item = (u64, &UnitId, bool)> {
        self.by_number.range(number..).map(|(number, unit)| (*number, unit, self.by_unit[unit].1))
    }
}
