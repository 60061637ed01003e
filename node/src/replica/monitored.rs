//! What happened to queues since this node began to serve: how often, when last, and how long messages had lain there (IBM MQ
//! Reference, "DISPLAY QSTATUS", LPUTTIME, LGETTIME, QTIME). For metrics; nothing follows from it.
//!
//! Volatile, and the leader's. A queue is here from its first message on, until it is deleted.

use std::time::Duration;

use crate::mqi::QueueActivity;
use crate::types::{Instant, LookupMap, QueueId, WallTime};

/// How much of QTIME's averages a message is: of the short one an eighth, of the long one a sixty-fourth.
const SHORT: i64 = 8;
const LONG: i64 = 64;

#[derive(Debug, Default)]
pub(super) struct Monitored(LookupMap<QueueId, Figures>);

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    puts: u64,
    gets: u64,
    put_at: Option<Instant>,
    got_at: Option<Instant>,
    /// Averages of QTIME, in microseconds.
    short_us: i64,
    long_us: i64,
}

impl Monitored {
    /// A put was let in.
    pub fn note_put(&mut self, queue: QueueId, now: Instant) {
        let figures = self.0.entry(queue).or_default();
        debug_assert!(figures.put_at.is_none_or(|before| before <= now), "puts come one after the other");
        (figures.puts, figures.put_at) = (figures.puts + 1, Some(now));
    }

    /// A program was given a message that had been on the queue for so long.
    pub fn note_got(&mut self, queue: QueueId, now: Instant, had_lain: Duration) {
        let figures = self.0.entry(queue).or_default();
        let lain_us = i64::try_from(had_lain.as_micros()).unwrap_or(i64::MAX);
        if figures.gets == 0 {
            (figures.short_us, figures.long_us) = (lain_us, lain_us);
        }
        figures.short_us += (lain_us - figures.short_us) / SHORT;
        figures.long_us += (lain_us - figures.long_us) / LONG;
        debug_assert!(figures.short_us >= 0 && figures.long_us >= 0, "no message was got before it was put");
        (figures.gets, figures.got_at) = (figures.gets + 1, Some(now));
    }

    pub fn forget(&mut self, queue: QueueId) {
        self.0.remove(&queue);
    }

    /// `wall` is what the clock says `now`.
    pub fn of(&self, queue: QueueId, now: Instant, wall: WallTime) -> QueueActivity {
        let Some(figures) = self.0.get(&queue) else { return QueueActivity::default() };
        debug_assert_eq!(figures.gets > 0, figures.got_at.is_some(), "what was got was got at some time");
        let average = |us: i64| Duration::from_micros(us.max(0) as u64);
        let (since_put, since_get) =
            (figures.put_at.map(|at| now.since(at)), figures.got_at.map(|at| now.since(at)));
        let ago = |age: Duration| WallTime(wall.0 - age.as_millis() as i64);
        QueueActivity {
            puts: figures.puts,
            gets: figures.gets,
            since_put,
            since_get,
            last_put: since_put.map(ago),
            last_get: since_get.map(ago),
            lain: (figures.gets > 0).then(|| (average(figures.short_us), average(figures.long_us))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_says_when_it_was_used_last_and_how_long_messages_lie() {
        let at = |ms: u64| Instant(0) + Duration::from_millis(ms);
        let (queue, mut monitored) = (QueueId(7), Monitored::default());
        assert_eq!(monitored.of(queue, at(1), WallTime(1)), QueueActivity::default());
        monitored.note_put(queue, at(1000));
        monitored.note_put(queue, at(1500));
        monitored.note_got(queue, at(2000), Duration::from_millis(800));
        monitored.note_got(queue, at(3000), Duration::from_millis(1600));
        let activity = monitored.of(queue, at(5000), WallTime(105_000));
        assert_eq!((activity.puts, activity.gets), (2, 2));
        assert_eq!(activity.since_put, Some(Duration::from_millis(3500)));
        assert_eq!(activity.since_get, Some(Duration::from_millis(2000)));
        assert_eq!(
            (activity.last_put, activity.last_get),
            (Some(WallTime(101_500)), Some(WallTime(103_000)))
        );
        // An eighth and a sixty-fourth of the way from 800 ms to 1600 ms.
        assert_eq!(activity.lain, Some((Duration::from_millis(900), Duration::from_micros(812_500))));
        monitored.forget(queue);
        assert_eq!(monitored.of(queue, at(5000), WallTime(105_000)), QueueActivity::default());
    }
}
