//! Free messages that those who wait were not offered yet.

use std::collections::{BTreeMap, BTreeSet};

use super::waiters::Ticket;
use crate::types::{Position, QueueId};

#[derive(Debug, Default)]
pub(super) struct Offers {
    /// In order of delivery, whatever order they came in.
    stirred: BTreeSet<(QueueId, Position)>,
    /// Of those of which the offer was begun: who was asked last.
    asked: BTreeMap<(QueueId, Position), Ticket>,
    /// Queues whose next message is read first, because a selector has to see it.
    reading: BTreeSet<QueueId>,
}

impl Offers {
    /// The message is free.
    pub fn add(&mut self, queue: QueueId, position: Position) {
        self.stirred.insert((queue, position));
    }

    /// It is free as before, and now those may have it who could not when they were asked.
    pub fn add_again(&mut self, queue: QueueId, position: Position) {
        self.asked.remove(&(queue, position));
        self.stirred.insert((queue, position));
    }

    pub fn is_empty(&self) -> bool {
        debug_assert!(self.asked.is_empty() || !self.stirred.is_empty(), "what was begun is not done");
        self.stirred.is_empty()
    }

    /// The next one at or behind this, of a queue that is not waited for.
    pub fn next(
        &self,
        from: (QueueId, Position),
        is_held: impl Fn(QueueId) -> bool,
    ) -> Option<(QueueId, Position)> {
        let mut from = from;
        // Queues that are locked may have a million messages each.
        while let Some(&(queue, position)) = self.stirred.range(from..).next() {
            if !is_held(queue) && !self.reading.contains(&queue) {
                return Some((queue, position));
            }
            from = (QueueId(queue.0 + 1), Position::default());
        }
        None
    }

    /// The message is offered now, behind who was asked before. None when it was not to be offered.
    pub fn take(&mut self, queue: QueueId, position: Position) -> Option<Ticket> {
        let asked = self.asked.remove(&(queue, position));
        let was_there = self.stirred.remove(&(queue, position));
        debug_assert!(was_there || asked.is_none(), "an offer that was begun goes on");
        was_there.then(|| asked.unwrap_or_default())
    }

    /// The offer is not done: it goes on behind who was asked.
    pub fn put_back(&mut self, queue: QueueId, position: Position, asked: Ticket) {
        self.stirred.insert((queue, position));
        self.asked.insert((queue, position), asked);
    }

    pub fn begin_reading(&mut self, queue: QueueId) {
        let is_first = self.reading.insert(queue);
        debug_assert!(is_first, "one message of a queue is read at a time");
    }

    pub fn end_reading(&mut self, queue: QueueId) {
        let was_reading = self.reading.remove(&queue);
        debug_assert!(was_reading, "what was read was waited for");
    }

    /// Queues that wait for a message to be read.
    pub fn reading(&self) -> usize {
        self.reading.len()
    }

    pub fn assert_holds(&self) {
        debug_assert!(
            self.asked.keys().all(|message| self.stirred.contains(message)),
            "an offer that was begun goes on"
        );
    }
}
