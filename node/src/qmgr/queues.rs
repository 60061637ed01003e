//! All local queues, and sums over them that cost the same to ask for beside ten queues and beside a million.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::queue::Queue;
use super::sums::Sums;
use crate::types::QueueId;

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_id: BTreeMap<QueueId, Queue>,
    sums: Sums,
}

/// A queue whose messages come and go. The sums of all know of it when this is dropped.
pub struct Changing<'a> {
    queue: &'a mut Queue,
    before: Sums,
    all: &'a mut Sums,
}

impl Deref for Changing<'_> {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        self.queue
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Queue {
        self.queue
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.all.take(self.before);
        self.all.add(self.queue.sums());
        debug_assert!(
            self.all.messages >= self.queue.depth(),
            "what is on a queue is part of what is on all"
        );
    }
}

impl Queues {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn contains(&self, id: QueueId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub fn get(&self, id: QueueId) -> Option<&Queue> {
        self.by_id.get(&id)
    }

    /// For what no sum is about: rules, packs, messages in memory.
    pub fn get_mut(&mut self, id: QueueId) -> Option<&mut Queue> {
        self.by_id.get_mut(&id)
    }

    /// For messages that come and go.
    pub fn change(&mut self, id: QueueId) -> Option<Changing<'_>> {
        let queue = self.by_id.get_mut(&id)?;
        Some(Changing { before: queue.sums(), queue, all: &mut self.sums })
    }

    pub fn insert(&mut self, queue: Queue) {
        debug_assert_eq!(queue.depth(), 0, "a queue begins without messages");
        self.sums.add(queue.sums());
        let before = self.by_id.insert(queue.id, queue);
        assert!(before.is_none(), "ids of queues are never used again");
    }

    pub fn remove(&mut self, id: QueueId) -> Option<Queue> {
        let queue = self.by_id.remove(&id)?;
        self.sums.take(queue.sums());
        debug_assert!(
            !self.by_id.is_empty() || self.sums == Sums::default(),
            "without queues there is nothing to sum up"
        );
        Some(queue)
    }

    pub fn into_all(self) -> impl Iterator<Item = Queue> {
        self.by_id.into_values()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.by_id.values()
    }

    /// Kept up to date, and counted anew.
    pub fn sums(&self) -> Sums {
        self.sums
    }

    pub fn recount(&self) -> Sums {
        let mut sums = Sums::default();
        self.iter().for_each(|queue| sums.add(queue.sums()));
        sums
    }
}
