//! How long somebody who is slow is waited for: the one rule for answers that a client does not take, wherever they lie.

use std::time::Duration;

use tokio::time::Instant;

/// Whoever is waited for has so long for every so many bytes. A byte now and then is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub time: Duration,
    pub bytes: u64,
}

/// Somebody who is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// When it had taken enough, or what it takes was there.
    since: Instant,
    /// Bytes that had been taken by then.
    taken: u64,
}

impl Patience {
    /// So long for all of it, however much is taken meanwhile.
    pub const fn once(time: Duration) -> Patience {
        Patience { time, bytes: u64::MAX }
    }

    /// Whether it has ended for somebody who has taken so many bytes, ever, until now.
    pub fn is_over(&self, waiting: &mut Waiting, taken: u64, now: Instant) -> bool {
        if taken - waiting.taken >= self.bytes {
            *waiting = Waiting::new(taken, now);
        }
        now >= self.end(waiting)
    }

    /// When it ends if nothing more is taken.
    pub fn end(&self, waiting: &Waiting) -> Instant {
        waiting.since + self.time
    }
}

impl Waiting {
    pub fn new(taken: u64, now: Instant) -> Waiting {
        Waiting { since: now, taken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_enough_is_waited_for_again_and_a_byte_now_and_then_is_not_enough() {
        let began = Instant::now();
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        let patience = Patience { time: Duration::from_secs(10), bytes: 100 };
        let mut waiting = Waiting::new(7, began);
        assert!(!patience.is_over(&mut waiting, 7, after(9)));
        assert!(!patience.is_over(&mut waiting, 107, after(10)));
        assert!(!patience.is_over(&mut waiting, 107, after(19)));
        assert!(patience.is_over(&mut waiting, 206, after(20)));
        let mut waiting = Waiting::new(0, began);
        assert!(Patience::once(patience.time).is_over(&mut waiting, 1 << 40, after(10)));
    }
}
