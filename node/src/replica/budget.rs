//! Bytes of calls that are not answered yet: which more of a session are let in, and who is told when there is room.
//!
//! Gets that may wait for a message hold theirs for as long as they like. So they have a pool of their own, and no other call ever
//! stands behind them. In both pools whoever has or wants much leaves room to those who need little, by the rule of
//! `types::account`, and a little is let in whatever there is: a session has a place, and so have its first calls. So a session that
//! is kept waiting waits alone, and there is no queue in which others would stand behind it. When something is given back, the
//! one is told that needs least, and it tells the next.
//!
//! Pure; `inbox` has it behind a lock.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::task::Waker;

use crate::mqi::{Call, Get, Wait};
use crate::types::account::most_beside;
use crate::types::{LookupMap, SessionId};

/// There is room for one body of the largest size, and its call.
pub(super) const BYTES_MIN: u64 = crate::types::limits::BODY_BYTES_MAX as u64 + 4096;
/// The part of all that gets that may wait have to themselves.
const WAITS_PART: u64 = 3;

/// What a session may hold in any case, of each pool. There are as many sessions as a node has places for (20,000).
const LITTLE: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pool {
    Work,
    Waits,
}

/// What calls hold until they are answered, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    work: u64,
    waits: u64,
}

impl Weight {
    pub fn of(call: &Call) -> Weight {
        // Longer bodies than any queue takes are refused by the mind.
        let bytes = (call.weight() as u64).min(BYTES_MIN);
        debug_assert!(bytes > 0, "what is not answered takes memory");
        match call {
            Call::Get(Get { wait: Wait::For(_) | Wait::Forever, .. }) => Weight { work: 0, waits: bytes },
            _ => Weight { work: bytes, waits: 0 },
        }
    }

    pub fn bytes(self) -> u64 {
        self.work + self.waits
    }

    pub fn plus(self, other: Weight) -> Weight {
        Weight { work: self.work + other.work, waits: self.waits + other.waits }
    }

    /// # Panics
    /// When it is less.
    pub fn minus(self, other: Weight) -> Weight {
        assert!(self.work >= other.work && self.waits >= other.waits, "no more is taken away than is there");
        Weight { work: self.work - other.work, waits: self.waits - other.waits }
    }

    fn get(self, pool: Pool) -> u64 {
        match pool {
            Pool::Work => self.work,
            Pool::Waits => self.waits,
        }
    }
}

#[derive(Debug)]
pub(super) struct Budget {
    limits: Weight,
    used: Weight,
    /// Those that hold something, or wait for room.
    sessions: LookupMap<SessionId, OfSession>,
    /// Who waits for room, who needs least first: by how much may be held where its next call has room.
    waiting: BTreeMap<(Pool, Reverse<u64>, SessionId), Waker>,
}

#[derive(Debug, Default)]
struct OfSession {
    held: Weight,
    waits_for: Option<(Pool, Reverse<u64>)>,
}

impl Budget {
    /// Of `bytes_max`; there is room for a body of the largest size in any case, whoever waits.
    pub fn new(bytes_max: u64) -> Budget {
        let waits = bytes_max.max(BYTES_MIN) / WAITS_PART;
        let limits = Weight { work: bytes_max.saturating_sub(waits).max(BYTES_MIN), waits };
        debug_assert!(limits.waits > LITTLE, "there is room for those who need little");
        Budget { limits, used: Weight::default(), sessions: LookupMap::default(), waiting: BTreeMap::new() }
    }

    /// What may still be held of calls that do not wait.
    pub fn free(&self) -> u64 {
        self.limits.work.saturating_sub(self.used.work)
    }

    /// How many calls of a session are let in now. `sums`: what they hold together up to each, `base` included.
    pub fn take(&mut self, session: SessionId, base: Weight, sums: &[Weight]) -> usize {
        self.stop_waiting(session);
        debug_assert!(sums.is_sorted_by_key(|sum| sum.bytes()), "more calls hold more");
        let held = self.sessions.get(&session).map(|of| of.held).unwrap_or_default();
        let all = sums.last().map_or(base, |last| *last).minus(base);
        let count = sums.partition_point(|sum| {
            let more = sum.minus(base);
            let fits = |pool| more.get(pool) == 0 || self.used.get(pool) <= self.most(pool, held, more, all);
            fits(Pool::Work) && fits(Pool::Waits)
        });
        if let Some(last) = count.checked_sub(1) {
            let more = sums[last].minus(base);
            self.used = self.used.plus(more);
            let of = self.sessions.entry(session).or_default();
            of.held = of.held.plus(more);
            debug_assert!(of.held.bytes() <= self.used.bytes(), "what a session holds is held");
        }
        count
    }

    /// What may be held by all where so much more of a session has room, which wants `all` together.
    fn most(&self, pool: Pool, held: Weight, more: Weight, all: Weight) -> u64 {
        let (held, more, all) = (held.get(pool), more.get(pool), all.get(pool));
        debug_assert!(more <= all, "what is let in was asked for");
        if held + more <= LITTLE {
            return u64::MAX;
        }
        most_beside(more, held + all, self.limits.get(pool)).unwrap_or(0)
    }

    /// None of the session's calls has room: it is told when that may be so for the first of them.
    pub fn wait(&mut self, session: SessionId, base: Weight, sums: &[Weight], waker: Waker) {
        let (Some(first), Some(all)) = (sums.first(), sums.last()) else { return };
        let (first, all) = (first.minus(base), all.minus(base));
        let pool = if first.waits > 0 { Pool::Waits } else { Pool::Work };
        let held = self.sessions.get(&session).map(|of| of.held).unwrap_or_default();
        let most = Reverse(self.most(pool, held, first, all));
        debug_assert!(self.used.get(pool) > most.0, "nobody waits for room that there is");
        let of = self.sessions.entry(session).or_default();
        debug_assert!(of.waits_for.is_none(), "a session sends one batch after the other");
        of.waits_for = Some((pool, most));
        self.waiting.insert((pool, most, session), waker);
    }

    /// Whether it waits for room for a get that may wait: there may never be any.
    pub fn waits_for_waits(&self, session: SessionId) -> bool {
        let waits_for = self.sessions.get(&session).and_then(|of| of.waits_for);
        waits_for.is_some_and(|(pool, _)| pool == Pool::Waits)
    }

    /// It has come to look itself, or has given up.
    pub fn stop_waiting(&mut self, session: SessionId) -> Option<Waker> {
        let of = self.sessions.get_mut(&session)?;
        let waits = of.waits_for.is_some();
        let waker = of.waits_for.take().and_then(|(pool, most)| self.waiting.remove(&(pool, most, session)));
        debug_assert_eq!(waker.is_some(), waits, "whoever waits for room can be told");
        if of.held == Weight::default() {
            self.sessions.remove(&session);
        }
        waker
    }

    /// Calls are answered. To be woken: whoever they were of, since it needs less now. Then [`Budget::next`].
    pub fn give_back(&mut self, session: SessionId, weight: Weight) -> Option<Waker> {
        self.used = self.used.minus(weight);
        let of = self.sessions.get_mut(&session).expect("what is given back was taken");
        of.held = of.held.minus(weight);
        debug_assert!(of.held.bytes() <= self.used.bytes(), "what a session holds is held");
        self.stop_waiting(session)
    }

    /// Whoever needs least, for each pool, if there is room for it now: it is to be woken, and asks for the next one when it has
    /// taken what it needs or gone away.
    pub fn next(&mut self) -> Option<Waker> {
        if self.waiting.is_empty() {
            return None;
        }
        let first = |pool| {
            let from = (pool, Reverse(u64::MAX), SessionId(0));
            let (&(of, most, session), _) = self.waiting.range(from..).next()?;
            (of == pool && self.used.get(pool) <= most.0).then_some(session)
        };
        let session = first(Pool::Work).or_else(|| first(Pool::Waits))?;
        let waker = self.stop_waiting(session);
        debug_assert!(waker.is_some(), "whoever is told has waited");
        waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const CALL: u64 = 1024;
    const LONG: u64 = 8 * CALL;

    fn waits(calls: u64) -> Vec<Weight> {
        (1..=calls).map(|call| Weight { work: 0, waits: call * CALL }).collect()
    }

    fn work(calls: u64, bytes: u64) -> Vec<Weight> {
        (1..=calls).map(|call| Weight { work: call * bytes, waits: 0 }).collect()
    }

    fn take(budget: &mut Budget, session: u64, sums: &[Weight]) -> usize {
        budget.take(SessionId(session), Weight::default(), sums)
    }

    #[test]
    fn whoever_waits_for_messages_in_a_hundred_sessions_keeps_nobody_out() {
        let mut budget = Budget::new(245 * MIB);
        let taken: usize = (1..=100).map(|session| take(&mut budget, session, &waits(9_990))).sum();
        assert!((50_000..70_000).contains(&taken), "{taken} gets wait");
        // What waits, and what does not, of somebody else.
        assert_eq!(take(&mut budget, 1_000, &waits(500)), 500);
        assert_eq!(take(&mut budget, 1_001, &work(1_000, 2 * CALL)), 1_000);
        assert_eq!(take(&mut budget, 1_002, &work(1, 100 * MIB)), 1);
        // And if they fill it to the brim.
        (2_000..20_000).for_each(|session| assert!(take(&mut budget, session, &waits(5)) >= 4));
        assert_eq!(take(&mut budget, 1_003, &waits(4)), 4);
    }

    #[test]
    fn of_a_frame_that_is_too_long_a_part_is_let_in_and_the_rest_when_that_is_answered() {
        let mut budget = Budget::new(245 * MIB);
        assert_eq!(take(&mut budget, 1, &work(60, MIB)), 60);
        let sums = work(1_000, 100 * CALL);
        let count = take(&mut budget, 2, &sums);
        assert!((1..1_000).contains(&count), "{count} fit beside who has much");
        let held = sums[count - 1];
        assert_eq!(budget.take(SessionId(2), held, &sums[count..]), 0);
        budget.wait(SessionId(2), held, &sums[count..], Waker::noop().clone());
        assert!(budget.next().is_none(), "there is no room for it");
        assert!(budget.give_back(SessionId(2), held).is_some(), "it has room again");
        assert!(budget.take(SessionId(2), held, &sums[count..]) > 0);
    }

    #[test]
    fn whoever_needs_least_is_told_first_and_one_after_the_other() {
        let mut budget = Budget::new(245 * MIB);
        let free = budget.free();
        assert_eq!(take(&mut budget, 1, &work(1, free)), 1, "who is alone may have all");
        for (session, bytes) in [(2, MIB), (3, LONG), (4, LONG)] {
            assert_eq!(take(&mut budget, session, &work(1, bytes)), 0);
            budget.wait(SessionId(session), Weight::default(), &work(1, bytes), Waker::noop().clone());
        }
        let mut all = budget.waiting.keys().map(|(.., session)| session.0);
        assert_eq!(all.next_back(), Some(2), "what needs most is last");
        budget.give_back(SessionId(1), work(1, 4 * LONG)[0]);
        assert!(budget.next().is_some());
        assert_eq!(take(&mut budget, 3, &work(1, LONG)), 1);
        assert!(budget.next().is_some(), "it has left room for the same once more");
        assert_eq!(take(&mut budget, 4, &work(1, LONG)), 1);
        assert!(budget.next().is_none(), "and for nobody who needs more");
        budget.stop_waiting(SessionId(2));
        assert!(budget.waiting.is_empty() && !budget.sessions.contains_key(&SessionId(2)));
    }
}
