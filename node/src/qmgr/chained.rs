//! What is kept of a chain of records: the newest, numbered without gaps.

use std::collections::VecDeque;

use bytes::Bytes;
use trimaran_proto::chain::{Broken, Link, verify};

#[derive(Debug)]
pub(super) struct Chained<L> {
    records: VecDeque<L>,
}

impl<L> Default for Chained<L> {
    fn default() -> Chained<L> {
        Chained { records: VecDeque::new() }
    }
}

impl<L: Link> Chained<L> {
    /// The number that the next record gets.
    pub fn next(&self) -> u64 {
        let next = self.last().map_or(1, |last| last.number() + 1);
        debug_assert!(next > 0, "records are numbered from 1 on");
        next
    }

    /// The number of the oldest record that is kept.
    pub fn first(&self) -> u64 {
        self.records.front().map_or(1, Link::number)
    }

    pub fn last(&self) -> Option<&L> {
        self.records.back()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Records from this number on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &L> {
        debug_assert_eq!(
            self.next() - self.first(),
            self.records.len() as u64,
            "records are numbered without gaps"
        );
        let skipped = number.saturating_sub(self.first()) as usize;
        self.records.iter().skip(skipped)
    }

    /// Whether a record may come next, behind a last one that is sealed.
    pub fn is_followed_by(&self, record: &L) -> bool {
        self.last().is_none_or(|last| last.number() + 1 == record.number() && !last.seal().is_empty())
    }

    /// What the next record is sealed to: empty for the first.
    pub fn sealed_before(&self) -> Bytes {
        debug_assert!(
            self.last().is_none_or(|last| !last.seal().is_empty()),
            "a record is sealed before the next one begins"
        );
        self.last().map(|last| last.seal().clone()).unwrap_or_default()
    }

    pub fn push(&mut self, record: L) {
        debug_assert!(
            self.is_followed_by(&record),
            "records are numbered without gaps, and only the last may be open"
        );
        self.records.push_back(record);
    }

    pub fn pop_first(&mut self) -> Option<L> {
        let oldest = self.records.pop_front();
        debug_assert!(
            oldest.as_ref().is_none_or(|oldest| self.records.is_empty() || oldest.number() < self.first()),
            "what goes is older than what stays"
        );
        oldest
    }

    /// The last one, while more of it is to come.
    pub fn open(&mut self) -> Option<&mut L> {
        debug_assert!(
            self.records.iter().rev().skip(1).take(2).all(|record| !record.seal().is_empty()),
            "only the last record may be open"
        );
        self.records.back_mut().filter(|last| last.seal().is_empty())
    }

    /// Whether the newest are a chain. It is asked often, and all of them would take long.
    pub fn check(&self) -> Result<(), Broken> {
        let newest: Vec<L> = self.from(self.next().saturating_sub(3)).cloned().collect();
        verify(&newest)
    }
}
