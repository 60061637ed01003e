//! A node's clocks as a function of true time: a monotonic one that drifts, a wall clock that also jumps.

use trimaran_node::types::{Instant, Now, WallTime};

#[derive(Clone, Debug)]
pub struct Clock {
    /// True time at which `local_base` was read.
    true_base: u64,
    local_base: u64,
    drift_ppm: i64,
    wall_offset_ms: i64,
}

/// One tick of a run, as figures count them: 10 ms of virtual time.
pub const TICK_US: u64 = 10_000;

/// 2026-01-01 in milliseconds: where every run begins.
pub const EPOCH_MS: i64 = 1_767_225_600_000;

impl Clock {
    pub fn new(local_base: u64, drift_ppm: i64) -> Clock {
        Clock { true_base: 0, local_base, drift_ppm, wall_offset_ms: 0 }
    }

    /// Monotonic microseconds of the node at this true time.
    pub fn local(&self, at: u64) -> u64 {
        let elapsed = at.saturating_sub(self.true_base) as i128;
        (self.local_base as i128 + elapsed + elapsed * self.drift_ppm as i128 / 1_000_000) as u64
    }

    /// The earliest true time at which the node's clock shows `local` or more.
    pub fn true_time(&self, local: u64) -> u64 {
        let ahead = local.saturating_sub(self.local_base) as i128;
        let mut at = self.true_base + (ahead * 1_000_000 / (1_000_000 + self.drift_ppm as i128)) as u64;
        while self.local(at) < local {
            at += 1;
        }
        at
    }

    pub fn now(&self, at: u64) -> Now {
        let local = self.local(at);
        let wall = EPOCH_MS + ((local - self.local_base.min(local)) / 1000) as i64 + self.wall_offset_ms;
        Now { instant: Instant(local), wall: WallTime(wall) }
    }

    pub fn drift(&mut self, at: u64, drift_ppm: i64) {
        let wall = self.now(at).wall.0;
        self.local_base = self.local(at);
        self.true_base = at;
        self.drift_ppm = drift_ppm;
        self.wall_offset_ms = wall - EPOCH_MS;
    }

    pub fn jump_wall(&mut self, by_ms: i64) {
        self.wall_offset_ms += by_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drifting_clock_never_goes_back_and_converts_both_ways() {
        let mut clock = Clock::new(5_000_000, 4_000);
        let mut last = clock.now(0);
        for at in (0..10_000_000).step_by(333_333) {
            if at == 3_333_330 {
                clock.drift(at, -4_000);
            }
            let now = clock.now(at);
            assert!(now.instant >= last.instant && now.wall >= last.wall);
            assert!(clock.local(clock.true_time(now.instant.0 + 700)) >= now.instant.0 + 700);
            last = now;
        }
    }
}
