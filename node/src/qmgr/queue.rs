//! One local queue: which messages it has and in which order they are delivered.
//!
//! A slot holds what order, selection and expiry need; the message itself is in it while it is young or near the
//! head, else only in the message store. Messages that are not persistent have slots too, on the active node only
//! (their positions have a `minor`); no replicated fact depends on them.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;

use super::keys::PackKey;
use super::order::Order;
use super::packs::{Pack, Packs};
use super::rules::QueueRules;
use super::slot::Slot;
use crate::types::{
    Body, CorrelationId, Message, MessageId, ObjectName, Position, QueueId, Selection, WallTime,
};

#[derive(Debug)]
pub struct Queue {
    pub id: QueueId,
    pub name: ObjectName,
    /// What its definition means; the definition itself is in the catalog.
    pub rules: QueueRules,
    slots: Order<Slot>,
    next_sequence: u64,
    next_minor: u64,
    not_persistent: u64,
    /// Built by the first selection of its kind; most queues are never selected from.
    by_message_id: Option<BTreeSet<(MessageId, Position)>>,
    by_correlation_id: Option<BTreeSet<(CorrelationId, Position)>>,
    by_expiry: BTreeSet<(WallTime, Position)>,
    packs: Packs,
}

impl Queue {
    pub fn new(id: QueueId, name: ObjectName, rules: QueueRules, next_sequence: u64) -> Queue {
        Queue {
            id,
            name,
            rules,
            slots: Order::default(),
            next_sequence,
            next_minor: 1,
            not_persistent: 0,
            by_message_id: None,
            by_correlation_id: None,
            by_expiry: BTreeSet::new(),
            packs: Packs::default(),
        }
    }

    /// All messages, also those that are not persistent.
    pub fn depth(&self) -> u64 {
        self.slots.len() as u64
    }

    pub fn not_persistent(&self) -> u64 {
        self.not_persistent
    }

    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// 9 - priority, or one rank for all when the queue is FIFO.
    pub fn rank(&self, priority: u8) -> u8 {
        9 - if self.rules.msgdlvsq_fifo { self.rules.defprty } else { priority }
    }

    /// At the end of its rank.
    pub fn place(&mut self, message: Box<Message>) -> Position {
        let rank = self.rank(message.descriptor.priority.unwrap_or(self.rules.defprty));
        let position = Position { rank, sequence: self.next_sequence, minor: 0 };
        self.next_sequence += 1;
        self.insert(position, Slot::new(message));
        position
    }

    /// Behind the newest persistent message, in memory only.
    pub fn place_not_persistent(&mut self, message: Box<Message>) -> Position {
        let rank = self.rank(message.descriptor.priority.unwrap_or(self.rules.defprty));
        let position = Position { rank, sequence: self.next_sequence - 1, minor: self.next_minor };
        self.next_minor += 1;
        self.not_persistent += 1;
        self.insert(position, Slot::new(message));
        position
    }

    pub fn insert(&mut self, position: Position, slot: Slot) {
        if let Some(index) = &mut self.by_message_id {
            index.insert((slot.message_id, position));
        }
        if let Some(index) = &mut self.by_correlation_id {
            index.insert((slot.correlation_id(), position));
        }
        if let Some(at) = slot.expires() {
            self.by_expiry.insert((at, position));
        }
        let is_new = self.slots.insert(position, slot);
        assert!(is_new, "{position:?} of queue {} was taken", self.name);
    }

    pub fn remove(&mut self, position: Position) -> Option<Slot> {
        let slot = self.slots.remove(position)?;
        if let Some(index) = &mut self.by_message_id {
            index.remove(&(slot.message_id, position));
        }
        if let Some(index) = &mut self.by_correlation_id {
            index.remove(&(slot.correlation_id(), position));
        }
        if let Some(at) = slot.expires() {
            self.by_expiry.remove(&(at, position));
        }
        if !position.is_persistent() {
            self.not_persistent -= 1;
        }
        if let Some(packed) = slot.packed {
            self.packs.leave(packed.key(self.id, position), packed, slot.body_length);
        }
        Some(slot)
    }

    /// Everything that is in memory only is gone: the node stopped serving.
    pub fn drop_not_persistent(&mut self) {
        if self.not_persistent == 0 {
            return;
        }
        let gone: Vec<Position> = self.iter().map(|(at, _)| at).filter(|at| !at.is_persistent()).collect();
        for position in gone {
            self.remove(position);
        }
    }

    /// All messages go; returns how many.
    pub fn clear(&mut self) -> u64 {
        let depth = self.depth();
        self.slots.clear();
        self.by_message_id = None;
        self.by_correlation_id = None;
        self.by_expiry.clear();
        self.packs.clear();
        self.not_persistent = 0;
        depth
    }

    pub fn slot(&self, position: Position) -> Option<&Slot> {
        self.slots.get(position)
    }

    pub fn slot_mut(&mut self, position: Position) -> Option<&mut Slot> {
        self.slots.get_mut(position)
    }

    /// In delivery order.
    pub fn iter(&self) -> impl Iterator<Item = (Position, &Slot)> {
        self.slots.iter()
    }

    /// In delivery order, from behind `after`.
    pub fn after(&self, after: Option<Position>) -> impl Iterator<Item = (Position, &Slot)> {
        self.slots.iter_from(after.map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// In delivery order, `from` included.
    pub fn from(&self, from: Position) -> impl Iterator<Item = (Position, &Slot)> {
        self.slots.iter_from(Bound::Included(from))
    }

    /// In delivery order, of one rank only, `from` included.
    pub fn from_in_rank(&self, from: Position) -> impl Iterator<Item = (Position, &Slot)> {
        self.from(from).take_while(move |(position, _)| position.rank == from.rank)
    }

    /// Positions behind `after` that match, in delivery order, through an index where one helps.
    pub fn matching(&mut self, selection: &Selection, after: Option<Position>) -> Vec<Position> {
        let behind = |position: &Position| after.is_none_or(|after| *position > after);
        let first = Position::default();
        let last = Position { rank: u8::MAX, sequence: u64::MAX, minor: u64::MAX };
        let candidates: Vec<Position> = if let Some(id) = selection.message_id {
            let slots = &self.slots;
            let index = self
                .by_message_id
                .get_or_insert_with(|| slots.iter().map(|(at, slot)| (slot.message_id, at)).collect());
            index.range((id, first)..=(id, last)).map(|(_, at)| *at).collect()
        } else if let Some(id) = selection.correlation_id {
            let slots = &self.slots;
            let index = self
                .by_correlation_id
                .get_or_insert_with(|| slots.iter().map(|(at, slot)| (slot.correlation_id(), at)).collect());
            index.range((id, first)..=(id, last)).map(|(_, at)| *at).collect()
        } else {
            self.slots.iter().filter(|(_, slot)| slot.matches(selection)).map(|(at, _)| at).collect()
        };
        let matches = |at: &Position| self.slots.get(*at).is_some_and(|slot| slot.matches(selection));
        candidates.into_iter().filter(behind).filter(matches).collect()
    }

    /// Messages whose time is over, oldest deadline first.
    pub fn expired(&self, now: WallTime) -> impl Iterator<Item = Position> {
        self.by_expiry.iter().take_while(move |(at, _)| *at <= now).map(|(_, position)| *position)
    }

    /// When the next message's time will be over.
    pub fn next_expiry(&self) -> Option<WallTime> {
        self.by_expiry.first().map(|(at, _)| *at)
    }

    pub fn oldest_put(&self) -> Option<WallTime> {
        // The head is the oldest of its rank; ten ranks at most.
        (0..=9)
            .filter_map(|rank| self.from_in_rank(Position { rank, sequence: 0, minor: 0 }).next())
            .map(|(_, slot)| slot.put_at)
            .min()
    }

    /// The messages of a pack that are still there.
    pub fn packed_in(&self, key: PackKey) -> impl Iterator<Item = (Position, &Slot)> {
        let live = self.packs.get(key).map_or(0, Pack::live) as usize;
        let slots = self.from_in_rank(beginning(key));
        slots.filter(move |(at, slot)| slot.is_in(key, *at)).take(live)
    }

    /// The messages of a pack that are still there.
    pub fn packed_in_mut(&mut self, key: PackKey) -> impl Iterator<Item = (Position, &mut Slot)> {
        let live = self.packs.get(key).map_or(0, Pack::live) as usize;
        let slots = self.slots.iter_mut_from(beginning(key));
        slots
            .take_while(move |(at, _)| at.rank == key.rank)
            .filter(move |(at, slot)| slot.is_in(key, *at))
            .take(live)
    }

    /// Gives the messages of a pack memory of their own. A body is a slice of the entry it came in; the last one of an
    /// entry that is kept keeps all of it. Where most of an entry is kept anyway, that costs less than to copy.
    pub(super) fn detach(&mut self, key: PackKey) {
        for message in self.packed_in_mut(key).filter_map(|(_, slot)| slot.message.as_mut()) {
            if let [part] = message.body.parts() {
                message.body = Body::from(Bytes::copy_from_slice(part));
            }
            message.descriptor.rest = Bytes::copy_from_slice(&message.descriptor.rest);
        }
    }

    /// The message, which is in memory, leaves its pack and stays on the queue.
    pub(super) fn unpack(&mut self, position: Position) {
        let slot = self.slots.get_mut(position).expect("the caller found it");
        let packed = slot.packed.take().expect("it is in a pack");
        self.packs.leave(packed.key(self.id, position), packed, slot.body_length);
    }

    /// How the store has this queue's messages.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    pub(super) fn packs_mut(&mut self) -> &mut Packs {
        &mut self.packs
    }
}

/// Where the messages of a pack begin.
fn beginning(pack: PackKey) -> Position {
    Position { rank: pack.rank, sequence: pack.first, minor: 0 }
}
