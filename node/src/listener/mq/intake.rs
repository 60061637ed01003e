//! What has arrived of calls that are not complete: held in the node's account, and has to arrive in time.
//!
//! The first segment of a put says how long its data is, and so much is taken from the account before the next is read: who
//! has a part waits for nobody, who has none waits. Once complete, a call is counted where all calls that wait are; what is kept
//! of many to answer them is held here, too.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::arrival::{
    COUNTED_BYTES, LONG_BYTES, LOOK_EVERY, LOOK_FOR_ROOM_EVERY, ROOM_PATIENCE, is_too_slow,
};
use crate::types::{Account, Held, Share};

/// What is kept of the few calls that a program has at a time is part of its connection.
const KEPT_BYTES: usize = 16 * 1024;

/// Calls of which a part has come, all conversations of a socket together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// The number of the one that began first; 0 where there is none.
    pub oldest: u64,
    pub arrived: usize,
    /// What they will be when they are complete, as far as they say; no less than what has arrived.
    pub whole: usize,
}

/// The node's side of them.
#[derive(Debug)]
pub struct Intake {
    account: Arc<Account>,
    /// Short ones, and what is kept of calls that are complete.
    receiving: Held,
    /// Long ones.
    bodies: Held,
    unfinished: Unfinished,
    /// Bytes of what waits for answers.
    kept: u64,
    /// Since when the oldest is.
    since: Instant,
    no_room_since: Option<Instant>,
    look_at: Instant,
}

impl Intake {
    pub fn new(account: Arc<Account>) -> Intake {
        let receiving = Held::nothing(account.clone(), Share::Receiving);
        let bodies = Held::nothing(account.clone(), Share::Bodies);
        let now = Instant::now();
        let unfinished = Unfinished::default();
        Intake {
            account,
            receiving,
            bodies,
            unfinished,
            kept: 0,
            since: now,
            no_room_since: None,
            look_at: now,
        }
    }

    /// Holds what is unfinished now, and what is `kept` of calls that are not answered. Whether there is room for it, so that
    /// more may be read.
    pub fn hold(&mut self, unfinished: Unfinished, kept: usize) -> bool {
        debug_assert!(unfinished.arrived <= unfinished.whole, "a part is no more than the whole");
        debug_assert_eq!(
            unfinished.oldest == 0,
            unfinished.whole == 0,
            "who sends nothing has nothing unfinished"
        );
        let now = Instant::now();
        if unfinished.oldest != self.unfinished.oldest {
            (self.since, self.look_at) = (now, now + LOOK_EVERY);
        }
        self.unfinished = unfinished;
        self.kept = if kept < KEPT_BYTES { 0 } else { kept as u64 };
        let has_room = self.takes_room();
        match has_room {
            true => self.no_room_since = None,
            false => _ = self.no_room_since.get_or_insert(now),
        }
        has_room
    }

    fn takes_room(&mut self) -> bool {
        let whole = self.unfinished.whole;
        let (short, long) = match (self.unfinished.arrived < COUNTED_BYTES, whole > LONG_BYTES) {
            (true, _) => (0, 0),
            (false, false) => (whole as u64, 0),
            // Several conversations may send more at once than one message may have.
            (false, true) => (0, (whole as u64).min(self.account.limit(Share::Bodies))),
        };
        self.receiving.hold_beside(short + self.kept) && self.bodies.hold_beside(long)
    }

    /// When to look at [`Intake::is_over`]; None while nothing is unfinished.
    pub fn look_at(&self) -> Option<Instant> {
        match self.no_room_since {
            Some(_) => Some(Instant::now() + LOOK_FOR_ROOM_EVERY),
            None => (self.unfinished.oldest != 0).then_some(self.look_at),
        }
    }

    /// Whether what is unfinished takes too long, or waits too long for its memory.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.look_at = now + LOOK_EVERY;
        if let Some(since) = self.no_room_since {
            return now - since > ROOM_PATIENCE;
        }
        let tight = (self.bodies.bytes() > 0 && self.account.is_tight(Share::Bodies))
            || (self.receiving.bytes() > 0 && self.account.is_tight(Share::Receiving));
        self.unfinished.oldest != 0 && is_too_slow(self.unfinished.arrived, now - self.since, tight)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn part(oldest: u64, arrived: usize, whole: usize) -> Unfinished {
        Unfinished { oldest, arrived, whole }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unfinished_is_held_as_a_whole_and_given_back() {
        let account = Account::new(1 << 30);
        let mut intake = Intake::new(account.clone());
        assert!(intake.hold(part(1, 100, 3_000_000), 0), "not worth counting yet");
        assert_eq!(account.used(Share::Bodies), 0);
        assert!(intake.hold(part(1, 30_000, 3_000_000), 0));
        assert_eq!(account.used(Share::Bodies), 3_000_000);
        assert!(intake.hold(part(2, 30_000, 300_000), 0), "the next one is short");
        assert_eq!((account.used(Share::Bodies), account.used(Share::Receiving)), (0, 300_000));
        assert!(intake.hold(Unfinished::default(), 0));
        assert_eq!(account.used(Share::Receiving), 0);
        assert_eq!(intake.look_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_of_many_calls_is_held_and_of_a_few_is_not() {
        let account = Account::new(1 << 30);
        let mut intake = Intake::new(account.clone());
        assert!(intake.hold(Unfinished::default(), 10_000));
        assert_eq!(account.used(Share::Receiving), 0);
        assert!(intake.hold(part(1, 30_000, 100_000), 2_000_000));
        assert_eq!(account.used(Share::Receiving), 2_100_000);
        let limit = account.limit(Share::Receiving) as usize;
        assert!(!intake.hold(Unfinished::default(), limit + 1), "no more is read");
        assert!(Intake::new(account.clone()).hold(Unfinished::default(), 10_000), "who has few is");
        assert!(intake.hold(Unfinished::default(), 0));
        assert_eq!(account.used(Share::Receiving), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_in_the_middle_is_over_and_who_sends_one_after_the_other_is_not() {
        let mut intake = Intake::new(Account::new(1 << 30));
        for call in 1..100 {
            assert!(intake.hold(part(call, 30_000, 100_000), 0));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!intake.is_over());
        }
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert!(intake.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_room_waits_and_gets_it_from_those_who_stopped() {
        let account = Account::new(1 << 30);
        let whole = account.limit(Share::Bodies) as usize / 5 * 4;
        let (mut stopped, mut other) = (Intake::new(account.clone()), Intake::new(account.clone()));
        assert!(stopped.hold(part(1, 30_000, whole), 0));
        assert!(!other.hold(part(1, 30_000, whole), 0));
        let began = Instant::now();
        while !stopped.is_over() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!other.hold(part(1, 30_000, whole), 0) && !other.is_over());
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drop(stopped);
        assert!(other.hold(part(1, 30_000, whole), 0));
        let mut third = Intake::new(account);
        assert!(!third.hold(part(1, 30_000, whole), 0));
        tokio::time::sleep(ROOM_PATIENCE + Duration::from_secs(1)).await;
        assert!(third.is_over(), "nobody waits for ever");
    }
}
