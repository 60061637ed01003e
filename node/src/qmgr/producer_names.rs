//! Producers that were quiet for so long that their sequences were forgotten: their names and how far they had come.
//!
//! A put of such a producer with a sequence that it had reached cannot be judged and is refused; its next one is new.
//! A name is a hash of 16 bytes: two producers with the same one would at most be refused a put.

use std::collections::BTreeMap;

use super::digest::Digest;
use crate::types::ProducerId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameHash(pub u128);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducerNames {
    by_name: BTreeMap<NameHash, Gone>,
    by_age: BTreeMap<u64, NameHash>,
    /// Some name was forgotten, too: from then on an unknown producer may be one of those.
    any_forgotten: bool,
    digest: Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gone {
    /// The highest sequence that was placed.
    pub upto: u64,
    /// Larger came later.
    pub number: u64,
}

impl NameHash {
    /// FNV-1a.
    pub fn of(producer: &ProducerId) -> NameHash {
        let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul((1 << 88) + 0x13b);
        NameHash(producer.0.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step))
    }
}

impl ProducerNames {
    /// The highest sequence that this producer had reached.
    pub fn upto(&self, producer: &ProducerId) -> Option<u64> {
        if self.by_name.is_empty() {
            return None;
        }
        self.by_name.get(&NameHash::of(producer)).map(|gone| gone.upto)
    }

    /// Whether some name has this number.
    pub fn is_taken(&self, number: u64) -> bool {
        self.by_age.contains_key(&number)
    }

    pub fn get(&self, name: NameHash) -> Option<Gone> {
        self.by_name.get(&name).copied()
    }

    /// Of memory, about.
    pub fn bytes(&self) -> u64 {
        const NAME_BYTES: u64 = 96;
        self.by_name.len() as u64 * NAME_BYTES
    }

    pub fn any_forgotten(&self) -> bool {
        self.any_forgotten
    }

    pub fn note_forgotten(&mut self, any: bool) {
        self.any_forgotten |= any;
    }

    /// The producer has come back: what is left of it here goes.
    pub fn take(&mut self, producer: &ProducerId) -> Option<(NameHash, u64)> {
        if self.by_name.is_empty() {
            return None;
        }
        let name = NameHash::of(producer);
        let gone = self.by_name.remove(&name)?;
        let of_age = self.by_age.remove(&gone.number);
        debug_assert_eq!(of_age, Some(name), "a name is as old as it is known to be");
        self.digest.take((name, gone));
        Some((name, gone.upto))
    }

    pub fn add(&mut self, producer: &ProducerId, upto: u64) -> NameHash {
        let name = NameHash::of(producer);
        let number = self.by_age.last_key_value().map_or(0, |(number, _)| *number + 1);
        let upto = self.by_name.get(&name).map_or(upto, |same| same.upto.max(upto));
        self.restore(name, Gone { upto, number });
        debug_assert!(
            self.by_age.last_key_value().is_some_and(|(_, last)| *last == name),
            "who came last is the youngest"
        );
        name
    }

    /// Forgets the oldest while there are more than this.
    pub fn forget_over(&mut self, names_max: usize) -> Option<NameHash> {
        if self.by_name.len() <= names_max {
            return None;
        }
        let (number, name) = self.by_age.pop_first()?;
        let gone = self.by_name.remove(&name);
        debug_assert_eq!(gone.map(|gone| gone.number), Some(number), "the oldest name is as old as it says");
        if let Some(gone) = gone {
            self.digest.take((name, gone));
        }
        self.any_forgotten = true;
        debug_assert_eq!(self.by_name.len(), self.by_age.len(), "a name has one age");
        Some(name)
    }

    pub fn restore(&mut self, name: NameHash, gone: Gone) {
        self.digest.add((name, gone));
        if let Some(before) = self.by_name.insert(name, gone) {
            self.by_age.remove(&before.number);
            self.digest.take((name, before));
        }
        let before = self.by_age.insert(gone.number, name);
        assert!(before.is_none(), "a number is given to one name");
        debug_assert_eq!(self.by_name.len(), self.by_age.len(), "a name has one age");
    }

    /// Kept up to date, and counted anew.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn recount_digest(&self) -> Digest {
        Digest::of(self.by_name.iter().map(|(name, gone)| (*name, *gone)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hashed_as_fnv_1a_says() {
        let known = NameHash(0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(NameHash::of(&ProducerId("a".into())), known);
    }
}
