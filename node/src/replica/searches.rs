//! Searches that go on from one turn to the next. What becomes free meanwhile may stand in front of where such a search
//! is; a get that then begins to wait is offered it, or it would wait beside a message that it could have.

use std::collections::{BTreeMap, VecDeque};

use crate::types::{Position, QueueId, Token};

/// What became free is remembered up to so many messages of a queue. A search during which more did begins anew.
const FREED_MAX: usize = 50_000;

/// Where the search of a session's first parked call goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    pub token: Token,
    pub queue: QueueId,
    /// When it began: see [`Searches::begin`].
    pub since: u64,
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
    /// The newest, in the order in which they became free, for all searches together.
    freed: VecDeque<Position>,
    /// How many were forgotten.
    forgotten: u64,
}

impl OfQueue {
    fn now(&self) -> u64 {
        self.forgotten + self.freed.len() as u64
    }
}

impl Searches {
    /// How many messages have become free before: what does so from now on, does so since.
    pub fn begin(&mut self, queue: QueueId) -> u64 {
        let of = self.queues.entry(queue).or_default();
        of.under_way += 1;
        of.now()
    }

    pub fn end(&mut self, queue: QueueId) {
        let Some(of) = self.queues.get_mut(&queue) else { return };
        assert!(of.under_way > 0, "a search that ends has begun");
        of.under_way -= 1;
        if of.under_way == 0 {
            self.queues.remove(&queue);
        }
    }

    /// What became free since a search began, in that order; or from when on it has to search once more, where that was too much to be
    /// remembered.
    pub fn freed_since(&self, queue: QueueId, since: u64) -> Result<Vec<Position>, u64> {
        let Some(of) = self.queues.get(&queue) else { return Ok(Vec::new()) };
        debug_assert!(since <= of.now(), "a search began before it ends");
        match since.checked_sub(of.forgotten) {
            Some(known) => Ok(of.freed.range(known as usize..).copied().collect()),
            None => Err(of.now()),
        }
    }

    /// How many there are on each queue.
    pub fn under_way(&self) -> BTreeMap<QueueId, usize> {
        self.queues.iter().map(|(queue, of)| (*queue, of.under_way)).collect()
    }

    pub fn assert_holds(&self) {
        debug_assert!(
            self.queues.values().all(|of| of.under_way > 0 && of.freed.len() <= FREED_MAX),
            "what became free is remembered while somebody searches, and not without end"
        );
    }

    pub fn note_free(&mut self, queue: QueueId, position: Position) {
        if let Some(of) = self.queues.get_mut(&queue) {
            of.freed.push_back(position);
            if of.freed.len() > FREED_MAX {
                of.freed.pop_front();
                of.forgotten += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueId = QueueId(1);

    fn position(sequence: u64) -> Position {
        Position { sequence, ..Position::default() }
    }

    #[test]
    fn a_search_is_told_what_became_free_since_it_began_itself() {
        let mut searches = Searches::default();
        searches.note_free(QUEUE, position(1));
        let first = searches.begin(QUEUE);
        searches.note_free(QUEUE, position(2));
        let second = searches.begin(QUEUE);
        searches.note_free(QUEUE, position(3));
        assert_eq!(searches.freed_since(QUEUE, first), Ok(vec![position(2), position(3)]));
        assert_eq!(searches.freed_since(QUEUE, second), Ok(vec![position(3)]));
        searches.end(QUEUE);
        searches.end(QUEUE);
        assert!(searches.under_way().is_empty());
        assert_eq!(searches.freed_since(QUEUE, 0), Ok(vec![]), "nothing is kept when nobody searches");
    }

    #[test]
    fn what_became_free_is_bounded_and_a_search_that_was_too_long_begins_anew() {
        let mut searches = Searches::default();
        let early = searches.begin(QUEUE);
        (0..FREED_MAX as u64).for_each(|at| searches.note_free(QUEUE, position(at)));
        assert_eq!(searches.freed_since(QUEUE, early).map(|freed| freed.len()), Ok(FREED_MAX));
        searches.note_free(QUEUE, position(0));
        let anew = searches.freed_since(QUEUE, early).unwrap_err();
        assert_eq!(searches.freed_since(QUEUE, anew), Ok(vec![]));
        searches.note_free(QUEUE, position(5));
        assert_eq!(searches.freed_since(QUEUE, anew), Ok(vec![position(5)]));
        searches.assert_holds();
    }
}
