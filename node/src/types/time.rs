//! Time as a value. The runtime reads clocks; everything below is told.

use std::ops::{Add, Sub};
use std::time::Duration;

use trimaran_proto::calendar::Moment;

/// Monotonic time of this node in microseconds, counting time spent suspended. Never compared between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

/// Milliseconds since 1970-01-01 UTC. Safety never depends on it; expiry and put times do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// The time of one turn, read once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, in microseconds: for leases, waits and everything that is decided by time.
    pub instant: Instant,
    /// The machine's clock, in milliseconds since 1970: for people.
    pub wall: WallTime,
}

impl Instant {
    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl WallTime {
    /// YYYYMMDD and HHMMSSTH in UTC, as MQ writes PutDate and PutTime.
    pub fn date_and_time(self) -> (String, String) {
        let Moment { year, month, day, hour, minute, second, millisecond } = Moment::of(self.0);
        let hundredth = millisecond / 10;
        (format!("{year:04}{month:02}{day:02}"), format!("{hour:02}{minute:02}{second:02}{hundredth:02}"))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(micros(duration)))
    }
}

/// What is longer than can be counted is as long as can be.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(WallTime(0).date_and_time(), ("19700101".into(), "00000000".into()));
        assert_eq!(WallTime(1_709_210_096_780).date_and_time(), ("20240229".into(), "12345678".into()));
    }
}
