//! Searches that go on from one turn to the next. What becomes free meanwhile may stand in front of where such a search
//! is; a get that then begins to wait is offered it, or it would wait beside a message that it could have.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Position, QueueId, Token};

/// Where the search of a session's first parked call goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    pub token: Token,
    pub queue: QueueId,
    pub behind: Option<Position>,
    /// A message that was read for its selector, and whether that selects it: it may have left memory again.
    pub judged: Option<(Position, bool)>,
}

#[derive(Debug, Default)]
pub(super) struct Searches {
    queues: BTreeMap<QueueId, OfQueue>,
}

#[derive(Debug, Default)]
struct OfQueue {
    under_way: usize,
    freed: BTreeSet<Position>,
}

impl Searches {
    pub fn begin(&mut self, queue: QueueId) {
        self.queues.entry(queue).or_default().under_way += 1;
    }

    /// What became free since it began, and perhaps more.
    pub fn end(&mut self, queue: QueueId) -> BTreeSet<Position> {
        let Some(of) = self.queues.get_mut(&queue) else { return BTreeSet::new() };
        assert!(of.under_way > 0, "a search that ends has begun");
        of.under_way -= 1;
        if of.under_way > 0 {
            return of.freed.clone();
        }
        self.queues.remove(&queue).map(|of| of.freed).unwrap_or_default()
    }

    /// How many there are on each queue.
    pub fn under_way(&self) -> BTreeMap<QueueId, usize> {
        self.queues.iter().map(|(queue, of)| (*queue, of.under_way)).collect()
    }

    pub fn assert_holds(&self) {
        debug_assert!(
            self.queues.values().all(|of| of.under_way > 0),
            "what became free is remembered while somebody searches"
        );
    }

    pub fn note_free(&mut self, queue: QueueId, position: Position) {
        if let Some(of) = self.queues.get_mut(&queue) {
            of.freed.insert(position);
        }
    }
}
