//! Units of work in flight on this leader: puts nobody sees yet and gets nobody else may take.
//!
//! Volatile by design. A unit that loses its leader is backed out, as MQ programs expect; only the outcome of a
//! committed unit is replicated. Called by `calls` and `applier`.

use std::collections::BTreeMap;

use crate::qmgr::{Place, Queue, Removal};
use crate::types::planted::{self, Bug};
use crate::types::{
    LookupMap, Message, MessageId, Position, ProducerId, QueueId, Selection, SessionId, WallTime,
};

/// What a session has done under syncpoint since its last commit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub puts: Vec<UnitPut>,
    pub gets: Vec<(QueueId, Position)>,
    /// Of the bodies that were put.
    pub bytes: usize,
    /// The highest sequence of each producer: programs count upwards, so that one look nearly always tells.
    highest: BTreeMap<ProducerId, u64>,
}

#[derive(Debug)]
pub(super) enum UnitPut {
    Persistent(Place),
    NotPersistent { queue: QueueId, message: Box<Message>, producer: Option<(ProducerId, u64)> },
}

impl UnitPut {
    pub fn queue(&self) -> QueueId {
        match self {
            UnitPut::Persistent(place) => place.queue,
            UnitPut::NotPersistent { queue, .. } => *queue,
        }
    }

    fn message(&self) -> &Message {
        match self {
            UnitPut::Persistent(place) => &place.message,
            UnitPut::NotPersistent { message, .. } => message,
        }
    }

    fn producer(&self) -> Option<&(ProducerId, u64)> {
        match self {
            UnitPut::Persistent(Place { producer, .. }) | UnitPut::NotPersistent { producer, .. } => {
                producer.as_ref()
            }
        }
    }
}

impl Unit {
    pub fn put(&mut self, put: UnitPut) {
        if let Some((producer, sequence)) = put.producer() {
            let highest = self.highest.entry(producer.clone()).or_default();
            *highest = (*highest).max(*sequence);
        }
        self.puts.push(put);
    }

    /// The message that was put in this unit with the same sequence.
    pub fn repeated(&self, producer: &ProducerId, sequence: u64) -> Option<MessageId> {
        if self.highest.get(producer).is_none_or(|highest| *highest < sequence) {
            return None;
        }
        let same =
            |put: &&UnitPut| put.producer().is_some_and(|(own, at)| own == producer && *at == sequence);
        self.puts.iter().find(same).map(|put| put.message().descriptor.message_id)
    }

    pub fn messages(&self) -> usize {
        self.puts.len() + self.gets.len()
    }
}

/// Positions by queue, as removals for the log; those that are not persistent apart.
pub(super) fn as_removals(gets: &[(QueueId, Position)]) -> (Vec<Removal>, Vec<(QueueId, Position)>) {
    let mut by_queue: BTreeMap<QueueId, Vec<Position>> = BTreeMap::new();
    let mut not_persistent = Vec::new();
    for (queue, position) in gets {
        if position.is_persistent() {
            by_queue.entry(*queue).or_default().push(*position);
        } else {
            not_persistent.push((*queue, *position));
        }
    }
    let removals = by_queue.into_iter().map(|(queue, positions)| Removal { queue, positions }).collect();
    (removals, not_persistent)
}

/// Who may take a reserved message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Session(SessionId),
    /// The queue manager itself: a message that is being moved to its backout queue.
    Mover,
}

/// Which messages are reserved, and where the first free one is.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    queues: LookupMap<QueueId, OfQueue>,
}

#[derive(Debug)]
struct OfQueue {
    reserved: BTreeMap<Position, Owner>,
    /// Every message of a rank in front of this is reserved; so a get does not look at them again.
    free_from: [Position; RANKS],
    /// Bit r: rank r may have a free message at or behind `free_from[r]`.
    may_have: u16,
}

const RANKS: usize = 10;

impl Default for OfQueue {
    fn default() -> OfQueue {
        OfQueue {
            reserved: BTreeMap::new(),
            free_from: std::array::from_fn(|rank| Position { rank: rank as u8, sequence: 0, minor: 0 }),
            may_have: (1 << RANKS) - 1,
        }
    }
}

impl Reservations {
    pub fn owner(&self, queue: QueueId, position: Position) -> Option<Owner> {
        self.queues.get(&queue)?.reserved.get(&position).copied()
    }

    pub fn is_reserved(&self, queue: QueueId, position: Position) -> bool {
        self.owner(queue, position).is_some()
    }

    pub fn count(&self, queue: QueueId) -> usize {
        self.queues.get(&queue).map_or(0, |of| of.reserved.len())
    }

    pub fn reserve(&mut self, queue: QueueId, position: Position, owner: Owner) {
        let before = self.queues.entry(queue).or_default().reserved.insert(position, owner);
        assert!(
            before.is_none() || planted::is(Bug::NoOwnerCheck),
            "{position:?} of queue {queue} was reserved already"
        );
    }

    /// The message is gone, or free again (then call [`Reservations::note_free`] too).
    pub fn release(&mut self, queue: QueueId, position: Position) {
        if let Some(of) = self.queues.get_mut(&queue) {
            of.reserved.remove(&position);
        }
    }

    /// A message was placed, or a reservation ended with the message still there.
    pub fn note_free(&mut self, queue: QueueId, position: Position) {
        let Some(of) = self.queues.get_mut(&queue) else { return };
        let rank = usize::from(position.rank);
        of.may_have |= 1 << rank;
        of.free_from[rank] = of.free_from[rank].min(position);
    }

    /// The first message that nobody reserved, that matches and that has not expired.
    pub fn first_free(
        &mut self,
        queue: &mut Queue,
        selection: &Selection,
        now: WallTime,
    ) -> Option<Position> {
        let of = self.queues.entry(queue.id).or_default();
        if !selection.is_any() {
            let matching = queue.matching(selection, None);
            let free = |position: &Position| {
                !of.reserved.contains_key(position)
                    && queue.slot(*position).is_some_and(|slot| !slot.is_expired(now))
            };
            return matching.into_iter().find(free);
        }
        let mut ranks = of.may_have;
        while ranks != 0 {
            let rank = ranks.trailing_zeros() as usize;
            ranks &= ranks - 1;
            let mut first_unreserved = None;
            for (position, slot) in queue.from_in_rank(of.free_from[rank]) {
                if of.reserved.contains_key(&position) && !planted::is(Bug::NoOwnerCheck) {
                    continue;
                }
                first_unreserved.get_or_insert(position);
                if !slot.is_expired(now) {
                    of.free_from[rank] = first_unreserved.expect("just set");
                    return Some(position);
                }
            }
            match first_unreserved {
                // Only expired ones: they leave with the next scan.
                Some(position) => of.free_from[rank] = position,
                None => of.may_have &= !(1 << rank),
            }
        }
        None
    }

    pub fn forget_queue(&mut self, queue: QueueId) {
        self.queues.remove(&queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmgr::QueueRules;
    use crate::types::{Descriptor, ObjectName};

    fn queue(messages: &[u8]) -> Queue {
        let mut queue = Queue::new(QueueId(1), ObjectName::new("Q").unwrap(), QueueRules::default(), 1);
        for priority in messages {
            let descriptor = Descriptor { priority: Some(*priority), ..Descriptor::default() };
            queue.place(Box::new(Message { descriptor, ..Message::default() }));
        }
        queue
    }

    #[test]
    fn the_first_free_message_has_the_highest_priority_and_is_the_oldest_of_it() {
        let mut queue = queue(&[0, 5, 5]);
        let mut reservations = Reservations::default();
        let mut order = Vec::new();
        while let Some(position) = reservations.first_free(&mut queue, &Selection::default(), WallTime(0)) {
            reservations.reserve(queue.id, position, Owner::Mover);
            order.push(position.sequence);
        }
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn a_released_message_is_found_again_in_its_old_place() {
        let mut queue = queue(&[0, 0, 0]);
        let mut reservations = Reservations::default();
        let any = Selection::default();
        let first = reservations.first_free(&mut queue, &any, WallTime(0)).unwrap();
        reservations.reserve(queue.id, first, Owner::Mover);
        let second = reservations.first_free(&mut queue, &any, WallTime(0)).unwrap();
        assert!(second > first);
        reservations.release(queue.id, first);
        reservations.note_free(queue.id, first);
        assert_eq!(reservations.first_free(&mut queue, &any, WallTime(0)), Some(first));
    }
}
