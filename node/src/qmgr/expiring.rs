//! Queues whose messages expire, by when the next one's time will be over, so that a look costs what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::types::{QueueId, WallTime};

#[derive(Debug, Default)]
pub struct Expiring {
    /// Nothing of the queue is due before this. What was to be due then may have left since.
    by_time: BTreeSet<(WallTime, QueueId)>,
    times: BTreeMap<QueueId, WallTime>,
    /// Of those, the ones whose time had come when it was looked last.
    due: BTreeSet<QueueId>,
}

impl Expiring {
    /// A message of the queue expires then.
    pub fn note(&mut self, queue: QueueId, at: WallTime) {
        if self.times.get(&queue).is_none_or(|known| at < *known) {
            self.set(queue, Some(at));
        }
        debug_assert!(self.knows(queue, at), "a message is not due before its queue is looked at");
    }

    /// Whether the queue is looked at when it is `at`.
    pub fn knows(&self, queue: QueueId, at: WallTime) -> bool {
        self.times.get(&queue).is_some_and(|known| *known <= at)
    }

    /// The next queue behind `last`, by its number, that has messages whose time is over; `next_of` says when the next one's of a
    /// queue is.
    pub fn next_due(
        &mut self,
        now: WallTime,
        last: QueueId,
        next_of: impl Fn(QueueId) -> Option<WallTime>,
    ) -> Option<QueueId> {
        while let Some((_, queue)) = self.by_time.first().copied().filter(|(at, _)| *at <= now) {
            self.by_time.pop_first();
            let is_new = self.due.insert(queue);
            debug_assert!(is_new, "a queue that is due waits for no time");
        }
        while let Some(queue) = self.due.range((Excluded(last), Unbounded)).next().copied() {
            match next_of(queue) {
                Some(at) if at <= now => {
                    debug_assert!(queue > last, "queues are looked at in their order");
                    return Some(queue);
                }
                other => self.set(queue, other),
            }
        }
        None
    }

    /// When it is looked at next; None: nothing of it expires.
    fn set(&mut self, queue: QueueId, at: Option<WallTime>) {
        let before = match at {
            Some(at) => self.times.insert(queue, at),
            None => self.times.remove(&queue),
        };
        let was_due = self.due.remove(&queue);
        if let Some(before) = before.filter(|_| !was_due) {
            self.by_time.remove(&(before, queue));
        }
        if let Some(at) = at {
            self.by_time.insert((at, queue));
        }
        debug_assert_eq!(self.times.len(), self.by_time.len() + self.due.len(), "each queue is in one place");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_look_costs_what_is_due_however_many_queues_have_messages_that_expire() {
        let mut expiring = Expiring::default();
        let asked = Cell::new(0);
        let next_of = |queue: QueueId| {
            asked.set(asked.get() + 1);
            Some(WallTime(queue.0.into()))
        };
        (1..=1_000).for_each(|queue| expiring.note(QueueId(queue), WallTime(queue.into())));
        let mut due = Vec::new();
        let mut last = QueueId(0);
        while let Some(queue) = expiring.next_due(WallTime(3), last, next_of) {
            due.push(queue.0);
            last = queue;
        }
        assert_eq!((due, asked.get()), (vec![1, 2, 3], 3));
        assert_eq!(expiring.next_due(WallTime(2), QueueId(2), next_of), None, "clocks may go back");
        assert_eq!(expiring.next_due(WallTime(3), QueueId(2), next_of), Some(QueueId(3)));
    }

    #[test]
    fn a_queue_is_known_until_nothing_of_it_expires() {
        let mut expiring = Expiring::default();
        expiring.note(QueueId(7), WallTime(50));
        expiring.note(QueueId(7), WallTime(20));
        expiring.note(QueueId(7), WallTime(90));
        assert!(expiring.knows(QueueId(7), WallTime(20)) && !expiring.knows(QueueId(7), WallTime(19)));
        let then = |at| move |_| at;
        assert_eq!(expiring.next_due(WallTime(30), QueueId(0), then(Some(WallTime(90)))), None);
        assert!(
            !expiring.knows(QueueId(7), WallTime(50)),
            "what was due has left, and the next one is later"
        );
        assert_eq!(expiring.next_due(WallTime(90), QueueId(0), then(None)), None);
        assert!(!expiring.knows(QueueId(7), WallTime(i64::MAX)));
        expiring.note(QueueId(7), WallTime(95));
        assert_eq!(expiring.next_due(WallTime(95), QueueId(0), then(Some(WallTime(95)))), Some(QueueId(7)));
    }
}
