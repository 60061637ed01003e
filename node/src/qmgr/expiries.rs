//! When the messages of one queue expire: only those that do are in it, so that most queues pay nothing.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::types::{Position, WallTime};

/// A message and when its time is over. Ordered by that time.
pub type Due = (WallTime, Position);

#[derive(Debug, Default)]
pub struct Expiries {
    by_time: BTreeSet<Due>,
}

impl Expiries {
    pub fn insert(&mut self, due: Due) {
        let is_new = self.by_time.insert(due);
        debug_assert!(is_new, "a message expires once");
    }

    pub fn remove(&mut self, due: Due) {
        let was_there = self.by_time.remove(&due);
        debug_assert!(was_there, "who has a time to expire at is known here");
    }

    /// Forgets this many of them. False when none are left.
    pub fn drop_first(&mut self, count: usize) -> bool {
        for _ in 0..count {
            if self.by_time.pop_first().is_none() {
                return false;
            }
        }
        !self.by_time.is_empty()
    }

    /// When the next message's time will be over.
    pub fn next(&self) -> Option<WallTime> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Messages whose time is over, the one that is over for longest first, from behind `after`.
    pub fn due(&self, now: WallTime, after: Option<Due>) -> impl Iterator<Item = Due> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_time.range((behind, Bound::Unbounded)).copied().take_while(move |(at, _)| *at <= now)
    }
}
