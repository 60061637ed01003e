//! Time as a value. The runtime reads clocks; everything below is told.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time of this node in microseconds, counting time spent suspended. Never compared between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

/// Milliseconds since 1970-01-01 UTC. Safety never depends on it; expiry and put times do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// The time of one turn, read once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub instant: Instant,
    pub wall: WallTime,
}

impl Instant {
    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        let later = Instant(self.0.saturating_add(duration.as_micros() as u64));
        debug_assert!(later >= self, "time that is added is not taken");
        later
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, duration: Duration) -> Instant {
        let earlier = Instant(self.0.saturating_sub(duration.as_micros() as u64));
        debug_assert!(earlier <= self, "time that is taken is not added");
        earlier
    }
}
