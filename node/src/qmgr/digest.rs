//! A digest of many facts that is kept up to date as they come and go, whatever their order.
//!
//! It is the sum of the facts' hashes: to add or to take one costs the same beside ten and beside a million others. For
//! copies that differ by accident, not for somebody who looks for two states with one sum.

use std::hash::{Hash, Hasher};

use crate::types::FixedHasher;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Digest(u64);

impl Digest {
    pub fn add(&mut self, fact: impl Hash) {
        self.0 = self.0.wrapping_add(hash(fact));
    }

    /// The fact, as it was added, is none any more.
    pub fn take(&mut self, fact: impl Hash) {
        self.0 = self.0.wrapping_sub(hash(fact));
    }

    pub fn add_all(&mut self, facts: Digest) {
        self.0 = self.0.wrapping_add(facts.0);
    }

    pub fn take_all(&mut self, facts: Digest) {
        self.0 = self.0.wrapping_sub(facts.0);
    }

    pub fn of_one(fact: impl Hash) -> Digest {
        Digest(hash(fact))
    }

    /// Of a fact that is there so many times: a number that grows by one each time costs an addition each time.
    pub fn times(self, times: u64) -> Digest {
        Digest(self.0.wrapping_mul(times))
    }

    /// Of all these facts.
    pub fn of<F: Hash>(facts: impl Iterator<Item = F>) -> Digest {
        let mut digest = Digest::default();
        facts.for_each(|fact| digest.add(fact));
        digest
    }
}

/// Mixed once more: in a sum, hashes of facts that are alike must not be alike.
fn hash(fact: impl Hash) -> u64 {
    let mut hasher = FixedHasher::default();
    fact.hash(&mut hasher);
    let mut mixed = hasher.finish();
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_and_taken_leaves_no_trace_and_order_does_not_matter() {
        let mut one = Digest::of([1, 2, 3].iter());
        one.take(2);
        one.add(4);
        assert_eq!(one, Digest::of([4, 3, 1].iter()));
        assert_ne!(one, Digest::of([4, 3, 2].iter()));
        assert_ne!(Digest::of([1, 4].iter()), Digest::of([2, 3].iter()));
    }
}
