//! The real clock. Read once a turn; everything below is told.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::types::{Instant, Now, WallTime};

/// See [`thread_cpu_us_lately`].
const LATELY: Duration = Duration::from_millis(1);

/// Both times, now.
pub fn now() -> Now {
    Now { instant: instant(), wall: wall() }
}

/// Time that goes on while the machine is suspended: a node that slept must know that its lease is over.
pub fn instant() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into a timespec of ours. CLOCK_BOOTTIME exists since Linux 2.6.39.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    assert_eq!(result, 0, "CLOCK_BOOTTIME can be read");
    Instant(time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000)
}

/// Processor time that this thread has used, in microseconds.
pub fn thread_cpu_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into a timespec of ours. CLOCK_THREAD_CPUTIME_ID exists since Linux 2.6.12.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "CLOCK_THREAD_CPUTIME_ID can be read");
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// The same as of now, or of a moment less than [`LATELY`] before it. Asking the kernel takes longer than many a turn's own part.
pub fn thread_cpu_us_lately(now: Instant) -> u64 {
    thread_local! {
        static READ: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
    }
    match READ.get() {
        Some((at, us)) if now.since(at) < LATELY => us,
        _ => {
            let us = thread_cpu_us();
            READ.set(Some((now, us)));
            us
        }
    }
}

pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    WallTime(since.map_or(0, |since| since.as_millis() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let first = now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = now();
        assert!(second.instant.since(first.instant).as_micros() >= 2000);
        assert!(second.wall >= first.wall && first.wall.0 > 1_600_000_000_000);
    }

    #[test]
    fn what_a_thread_used_is_read_once_for_many_short_turns() {
        let (begun, at) = (thread_cpu_us(), now().instant);
        let first = thread_cpu_us_lately(at);
        while thread_cpu_us() < begun + 3_000 {}
        assert_eq!(thread_cpu_us_lately(Instant(at.0 + 999)), first);
        assert!(thread_cpu_us_lately(Instant(at.0 + 1_000)) >= first + 2_000);
    }
}
