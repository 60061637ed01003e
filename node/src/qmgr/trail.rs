//! The audit trail: what administrators changed, alike on every node, each record sealed to the one before.
//!
//! A record is made by the command that makes the change, when it is applied (`administered.rs`), so that one is there of each change
//! that was acknowledged, wherever it was asked for and whoever served then. The newest are kept; who applies a command is told
//! which went with it.

use prost::Message as _;
use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::audit::{KEPT, KEPT_BYTES};
use trimaran_proto::chain::{Link, seal_of};

use super::chained::Chained;

#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The newest [`KEPT`], or as many of them as have [`KEPT_BYTES`], and always the last.
    records: Chained<AuditRecord>,
    /// Of their encodings.
    bytes: usize,
}

impl Trail {
    /// A record from the message store. In the order of their numbers.
    pub fn restore(&mut self, record: AuditRecord) -> Result<(), String> {
        let number = record.number;
        if record.seal.is_empty() || !self.records.is_followed_by(&record) {
            return Err(format!("record {number} is not sealed, or does not follow the one before"));
        }
        if self.records.len() == KEPT {
            return Err(format!("more than {KEPT} records are kept"));
        }
        self.keep(record);
        debug_assert_eq!(self.next(), number + 1, "the next one follows what was read last");
        Ok(())
    }

    /// The number that the next record gets.
    pub fn next(&self) -> u64 {
        self.records.next()
    }

    /// The number of the oldest record that is kept.
    pub fn first(&self) -> u64 {
        self.records.first()
    }

    /// Records from this number on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &AuditRecord> {
        self.records.from(number)
    }

    /// One more, which is numbered and sealed here. The oldest that are too many for it are `gone`.
    pub fn add(&mut self, record: AuditRecord, gone: &mut Vec<AuditRecord>) {
        let sealed_before = self.records.sealed_before();
        let record = AuditRecord { number: self.next(), sealed_before, ..record };
        let seal = seal_of(&record);
        self.keep(record.sealed(seal));
        while self.records.len() > KEPT || (self.bytes > KEPT_BYTES && self.records.len() > 1) {
            let oldest = self.records.pop_first().expect("there are too many");
            self.bytes -= oldest.encoded_len();
            gone.push(oldest);
        }
        debug_assert!(self.records.last().is_some(), "what was done last is kept");
        debug_assert!(
            gone.last().is_none_or(|gone| gone.number < self.first()),
            "what is gone is older than what is kept"
        );
    }

    fn keep(&mut self, record: AuditRecord) {
        debug_assert!(!record.seal.is_empty(), "a record is sealed when it is made");
        self.bytes += record.encoded_len();
        self.records.push(record);
    }

    /// Whether the newest are a chain. Says what is not.
    pub fn check(&self) -> Result<(), String> {
        self.records.check().map_err(|broken| format!("of the audit trail {broken}"))
    }

    /// Everything that copies have alike: what was before is in the last seal. None where there is no record.
    pub fn digest(&self) -> Option<impl std::hash::Hash + use<>> {
        let last = self.records.last()?;
        debug_assert!(!last.seal.is_empty(), "all that was before is in a seal");
        Some((self.first(), last.number, last.seal.clone()))
    }
}

#[cfg(test)]
mod tests {
    use trimaran_proto::chain::verify;

    use super::*;

    fn of(user: &str) -> AuditRecord {
        AuditRecord { user: user.into(), ..AuditRecord::default() }
    }

    fn all(trail: &Trail) -> Vec<AuditRecord> {
        trail.from(0).cloned().collect()
    }

    #[test]
    fn the_oldest_go_and_are_told_and_numbers_go_on() {
        let (mut trail, mut gone) = (Trail::default(), Vec::new());
        for _ in 0..KEPT + 3 {
            trail.add(of("joe"), &mut gone);
        }
        assert_eq!(gone.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((trail.first(), trail.next()), (4, KEPT as u64 + 4));
        assert_eq!(verify(&all(&trail)), Ok(()));
        assert_eq!(trail.check(), Ok(()));
    }

    #[test]
    fn long_records_are_fewer_and_the_last_is_kept_however_long_it_is() {
        let (mut trail, mut gone) = (Trail::default(), Vec::new());
        let long = "x".repeat(KEPT_BYTES / 4);
        for _ in 0..4 {
            trail.add(of(&long), &mut gone);
        }
        assert_eq!(trail.from(0).count(), 3);
        trail.add(of(&"y".repeat(KEPT_BYTES + 1)), &mut gone);
        assert_eq!(all(&trail).iter().map(|record| record.number).collect::<Vec<_>>(), [5]);
        assert_eq!((gone.len(), trail.check()), (4, Ok(())));
    }

    #[test]
    fn records_of_a_store_are_sealed_and_follow_each_other() {
        let (mut trail, mut gone) = (Trail::default(), Vec::new());
        (0..3).for_each(|_| trail.add(of("joe"), &mut gone));
        let records = all(&trail);
        let mut read = Trail::default();
        assert!(read.restore(records[0].clone().sealed(Default::default())).is_err());
        assert_eq!(read.restore(records[0].clone()), Ok(()));
        assert!(read.restore(records[2].clone()).is_err(), "one is missing");
        assert_eq!(read.restore(records[1].clone()), Ok(()));
        assert_eq!(read.restore(records[2].clone()), Ok(()));
        assert_eq!((all(&read), read.bytes), (records, trail.bytes));
    }
}
