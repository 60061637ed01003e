//! Elapsed time into raft's ticks, and every wait that wants chance drawn from the node's seed.
//!
//! raft-rs draws its election timeout from the thread's random numbers; `Consensus` overwrites it with a number
//! from here after every step, so that a run repeats to the bit.

use std::time::Duration;

use super::Options;
use crate::types::Instant;

/// How long things take, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub heartbeat: usize,
    /// One more than the time is long: a tick may follow the leader's message at once, and a follower must have
    /// waited the whole time before it stands for election (the leader's lease rests on that).
    pub election: usize,
    /// When a follower stands for election at the earliest: a tick later than the others may vote. They heard of the
    /// leader at about the same time, and a candidate that comes a moment too soon would wait for its whole timeout
    /// again.
    pub candidacy: usize,
    pub spread: usize,
}

impl Timing {
    pub fn new(options: &Options) -> Timing {
        let ticks = |time: Duration| time.as_micros().div_ceil(options.tick.as_micros().max(1)) as usize;
        let heartbeat = ticks(options.heartbeat).max(1);
        let election = (ticks(options.election) + 1).max(heartbeat + 1);
        let spread = ticks(options.election_spread).max(1);
        assert!(heartbeat < election, "a leader is heard before its followers stand for election");
        Timing { heartbeat, election, candidacy: election + 1, spread }
    }
}

/// Hands out the ticks that time owes.
#[derive(Debug)]
pub(super) struct Ticks {
    tick: Duration,
    next: Instant,
    /// More than these at once change nothing: every timeout has passed several times.
    owed_max: u32,
}

impl Ticks {
    pub fn new(tick: Duration, timing: Timing) -> Ticks {
        Ticks { tick, next: Instant(0), owed_max: 4 * (timing.election + timing.spread) as u32 }
    }

    pub fn start(&mut self, now: Instant) {
        self.next = now + self.tick;
    }

    pub fn next(&self) -> Instant {
        debug_assert!(self.next > Instant(0), "ticks have begun before somebody waits for one");
        self.next
    }

    /// The ticks between the last call and `now`.
    pub fn owed(&mut self, now: Instant) -> u32 {
        if now < self.next {
            return 0;
        }
        let tick = self.tick.as_micros().max(1) as u64;
        let owed = now.since(self.next).as_micros() as u64 / tick + 1;
        self.next = Instant(self.next.0 + owed * tick);
        debug_assert!(self.next > now, "all ticks that were owed are paid");
        debug_assert!(self.next.0 - now.0 <= tick, "the next tick is one tick away at most");
        owed.min(u64::from(self.owed_max)) as u32
    }
}

/// A number below `bound`; the same for the same arguments, unrelated for others (splitmix64).
pub(super) fn draw(seed: u64, parts: [u64; 3], bound: u64) -> u64 {
    let mut mixed = seed;
    for part in parts {
        mixed = (mixed ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed % bound.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn options() -> Options {
        Options { node: NodeId(1), ..Options::default() }
    }

    #[test]
    fn an_election_takes_at_least_the_promised_time_in_ticks() {
        let timing = Timing::new(&options());
        assert_eq!(timing, Timing { heartbeat: 2, election: 26, candidacy: 27, spread: 5 });
        // The first tick may come at once: 25 whole ticks of 50 ms remain.
        assert!((timing.election - 1) as u32 * options().tick >= options().election);
    }

    #[test]
    fn a_pause_owes_all_its_ticks_but_not_forever() {
        let timing = Timing::new(&options());
        let mut ticks = Ticks::new(Duration::from_millis(50), timing);
        ticks.start(Instant(1_000_000));
        assert_eq!(ticks.owed(Instant(1_049_999)), 0);
        assert_eq!(ticks.owed(Instant(1_050_000)), 1);
        assert_eq!(ticks.owed(Instant(1_050_000)), 0);
        assert_eq!(ticks.owed(Instant(1_349_999)), 5);
        assert_eq!(ticks.next(), Instant(1_350_000));
        assert_eq!(ticks.owed(Instant(3_600_000_000)), 4 * 31);
        assert!(ticks.next() > Instant(3_600_000_000));
    }

    #[test]
    fn draws_repeat_and_spread() {
        assert_eq!(draw(7, [1, 2, 3], 1000), draw(7, [1, 2, 3], 1000));
        let mut seen = [false; 10];
        for term in 0..100 {
            seen[draw(7, [1, term, 3], 10) as usize] = true;
        }
        assert!(seen.iter().all(|x| *x));
        assert_eq!(draw(7, [1, 2, 3], 0), 0);
    }
}
