//! All local queues, and sums over them that cost the same to ask for beside ten queues and beside a million.

use std::collections::BTreeMap;

use super::queue::Queue;
use super::sums::Sums;
use crate::types::QueueId;

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_id: BTreeMap<QueueId, Queue>,
    /// Of all queues as they are, but for the one that changes.
    sums: Sums,
    /// Whose messages came and went last, and what `sums` has of it: one queue changes many times before another does.
    changing: Option<(QueueId, Sums)>,
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
    pub fn change(&mut self, id: QueueId) -> Option<&mut Queue> {
        debug_assert!(
            self.changing.is_none_or(|(changing, _)| self.by_id.contains_key(&changing)),
            "a queue that goes takes its sums along"
        );
        if self.changing.is_none_or(|(changing, _)| changing != id) {
            self.sums = self.sums();
            self.changing = self.by_id.get(&id).map(|queue| (id, queue.sums()));
        }
        self.by_id.get_mut(&id)
    }

    pub fn insert(&mut self, queue: Queue) {
        debug_assert_eq!(queue.depth(), 0, "a queue begins without messages");
        self.sums.add(queue.sums());
        let before = self.by_id.insert(queue.id, queue);
        assert!(before.is_none(), "ids of queues are never used again");
    }

    pub fn remove(&mut self, id: QueueId) -> Option<Queue> {
        self.sums = self.sums();
        self.changing = None;
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
        let Some((id, before)) = self.changing else { return self.sums };
        let mut sums = self.sums;
        sums.take(before);
        sums.add(self.by_id[&id].sums());
        sums
    }

    pub fn recount(&self) -> Sums {
        let mut sums = Sums::default();
        self.iter().for_each(|queue| sums.add(queue.sums()));
        sums
    }
}
