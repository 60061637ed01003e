//! One local queue: which messages it has and in which order they are delivered.
//!
//! A slot holds what order, selection and expiry need; the message itself is in it while it is young or near the
//! head, else only in the message store. Messages that are not persistent have slots too, on the active node only
//! (their positions have a `minor`); no replicated fact depends on them.

use std::ops::Bound;

use bytes::Bytes;

use super::digest::Digest;
use super::expiries::Expiries;
use super::keys::PackKey;
use super::order::Order;
use super::packs::{Pack, Packs};
use super::rubbish::Rubbish;
use super::rules::QueueRules;
use super::slot::Slot;
use super::sums::Sums;
use crate::types::{Body, Message, ObjectName, Position, QueueId, WallTime};

/// Ranks are 9 minus priorities.
pub(super) const RANK_MAX: u8 = 9;

/// What a message that is not persistent takes in memory: its body, and about so much around it.
pub fn not_persistent_weight(body_bytes: usize) -> u64 {
    body_bytes as u64 + 512
}

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
    not_persistent_bytes: u64,
    expiries: Expiries,
    packs: Packs,
    /// Of the persistent messages.
    digest: Digest,
    /// Of the queue's id and name.
    own: Digest,
}

impl Queue {
    pub fn new(id: QueueId, name: ObjectName, rules: QueueRules, next_sequence: u64) -> Queue {
        assert!(id > QueueId(0), "queues are numbered from 1 on");
        assert!(next_sequence > 0, "messages are numbered from 1 on");
        Queue {
            own: Digest::of_one((id, &name)),
            id,
            name,
            rules,
            slots: Order::default(),
            next_sequence,
            next_minor: 1,
            not_persistent: 0,
            not_persistent_bytes: 0,
            expiries: Expiries::default(),
            packs: Packs::default(),
            digest: Digest::default(),
        }
    }

    pub(super) fn sums(&self) -> Sums {
        let mut digest = self.own.times(self.next_sequence);
        digest.add_all(self.digest);
        Sums {
            messages: self.depth(),
            not_persistent: self.not_persistent,
            not_persistent_bytes: self.not_persistent_bytes,
            digest,
        }
    }

    /// All messages, also those that are not persistent.
    pub fn depth(&self) -> u64 {
        debug_assert!(
            self.not_persistent <= self.slots.len() as u64,
            "who is not persistent is counted in the depth"
        );
        self.slots.len() as u64
    }

    pub fn not_persistent(&self) -> u64 {
        self.not_persistent
    }

    /// What they take in memory, about.
    pub fn not_persistent_bytes(&self) -> u64 {
        debug_assert_eq!(
            self.not_persistent == 0,
            self.not_persistent_bytes == 0,
            "whoever is in memory only takes some of it"
        );
        self.not_persistent_bytes
    }

    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// 9 - priority, or one rank for all when the queue is FIFO.
    pub fn rank(&self, priority: u8) -> u8 {
        debug_assert!(priority <= RANK_MAX && self.rules.defprty <= RANK_MAX, "priorities go from 0 to 9");
        RANK_MAX - if self.rules.msgdlvsq_fifo { self.rules.defprty } else { priority }
    }

    /// Where the newest message of a rank stands at most: whatever is placed from now on stands behind it.
    pub fn newest(&self, rank: u8) -> Position {
        debug_assert!(rank <= RANK_MAX, "there are ten ranks");
        Position { rank, sequence: self.next_sequence - 1, minor: self.next_minor - 1 }
    }

    /// At the end of its rank.
    pub fn place(&mut self, message: Box<Message>) -> Position {
        let rank = self.rank(message.descriptor.priority.unwrap_or(self.rules.defprty));
        let position = Position { rank, sequence: self.next_sequence, minor: 0 };
        self.next_sequence += 1;
        self.insert(position, Slot::new(message));
        debug_assert!(position.sequence < self.next_sequence, "no sequence is given twice");
        position
    }

    /// Behind the newest persistent message, in memory only.
    pub fn place_not_persistent(&mut self, message: Box<Message>) -> Position {
        let rank = self.rank(message.descriptor.priority.unwrap_or(self.rules.defprty));
        let position = Position { rank, sequence: self.next_sequence - 1, minor: self.next_minor };
        debug_assert!(!position.is_persistent(), "whoever is in memory only has a minor");
        self.next_minor += 1;
        self.not_persistent += 1;
        self.not_persistent_bytes += not_persistent_weight(message.body.len());
        self.insert(position, Slot::new(message));
        position
    }

    pub fn insert(&mut self, position: Position, slot: Slot) {
        debug_assert!(position.sequence < self.next_sequence, "a message stands before the next one's place");
        debug_assert!(
            slot.message.is_some() || slot.packed.is_some(),
            "a message is in memory or in the store"
        );
        debug_assert!(
            slot.packed.is_none_or(|packed| self.packs.get(packed.key(self.id, position)).is_some()),
            "a message that is packed is in a pack of its queue"
        );
        debug_assert!(
            slot.message.as_ref().is_none_or(|message| message.body.len() == slot.body_length as usize),
            "a slot knows how long its message is"
        );
        if let Some(at) = slot.expires() {
            self.expiries.insert((at, position));
        }
        if position.is_persistent() {
            self.digest.add((self.id, position, slot.facts()));
        }
        let is_new = self.slots.insert(position, slot);
        assert!(is_new, "{position:?} of queue {} was taken", self.name);
    }

    pub fn remove(&mut self, position: Position) -> Option<Slot> {
        let slot = self.slots.remove(position)?;
        debug_assert!(
            slot.message.as_ref().is_none_or(|of| of.descriptor.backout_count == slot.backout_count),
            "a message leaves with the back-outs that its slot counted"
        );
        if let Some(at) = slot.expires() {
            self.expiries.remove((at, position));
        }
        match position.is_persistent() {
            true => self.digest.take((self.id, position, slot.facts())),
            false => {
                assert!(self.not_persistent > 0, "whoever is not persistent was counted");
                debug_assert!(slot.packed.is_none(), "what is not persistent is never in the store");
                self.not_persistent -= 1;
                self.not_persistent_bytes -= not_persistent_weight(slot.body_length as usize);
            }
        }
        if let Some(packed) = slot.packed {
            self.packs.leave(packed.key(self.id, position), packed, slot.body_length);
        }
        debug_assert!(
            self.not_persistent < self.depth() || self.digest == Digest::default(),
            "where nothing is persistent, there is nothing to agree on"
        );
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
        assert_eq!(self.not_persistent, 0, "all that are not persistent are gone");
        assert_eq!(self.not_persistent_bytes, 0, "the memory of all that are not persistent is given back");
    }

    /// All messages go at once. What is left of them is to be swept; None when there were none.
    pub(super) fn clear(&mut self) -> Option<Rubbish> {
        let before = self.depth();
        self.digest = Digest::default();
        self.not_persistent = 0;
        self.not_persistent_bytes = 0;
        let rubbish = Rubbish {
            slots: std::mem::take(&mut self.slots),
            expiries: std::mem::take(&mut self.expiries),
            packs: std::mem::take(&mut self.packs),
        };
        debug_assert_eq!(
            self.sums().digest,
            self.own.times(self.next_sequence),
            "an empty queue is a name and a count"
        );
        (before > 0).then_some(rubbish)
    }

    pub fn slot(&self, position: Position) -> Option<&Slot> {
        self.slots.get(position)
    }

    /// Each of these, or None where it is not there, until `with` says false; whether it never did.
    pub(super) fn each_slot(
        &self,
        positions: impl IntoIterator<Item = Position>,
        with: impl FnMut(Position, Option<&Slot>) -> bool,
    ) -> bool {
        self.slots.each(positions, with)
    }

    /// Brings what is written of these messages into the processor's cache, of all of them at the same time. They lie where their entries
    /// came in, a window of log ago: whoever goes from one to the next waits for memory at each.
    pub(super) fn fetch(&self, positions: &[Position]) {
        debug_assert!(!positions.is_empty(), "something is fetched");
        let mut seen = 0u8;
        self.each_slot(positions.iter().copied(), |_, slot| {
            let rest = slot.and_then(|slot| slot.message.as_ref()).map(|message| &message.descriptor.rest);
            seen ^= rest.and_then(|rest| rest.first()).copied().unwrap_or(0);
            true
        });
        std::hint::black_box(seen);
    }

    /// For what is not replicated.
    pub fn slot_mut(&mut self, position: Position) -> Option<&mut Slot> {
        self.slots.get_mut(position)
    }

    /// The same for each of these, in order.
    pub fn each_slot_mut(&mut self, positions: Vec<Position>, with: impl FnMut(Position, Option<&mut Slot>)) {
        self.slots.each_mut(positions, with);
    }

    /// A unit that got the message was backed out: its backout count grows.
    pub(super) fn back_out(&mut self, position: Position) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(position)?;
        if position.is_persistent() {
            self.digest.take((self.id, position, slot.facts()));
        }
        slot.backout_count = slot.backout_count.saturating_add(1);
        if let Some(message) = &mut slot.message {
            message.descriptor.backout_count = slot.backout_count;
        }
        debug_assert!(slot.backout_count > 0, "who was backed out was backed out once at least");
        if position.is_persistent() {
            self.digest.add((self.id, position, slot.facts()));
        }
        Some(slot)
    }

    /// Of the persistent messages, kept up to date and counted anew.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn recount_digest(&self) -> Digest {
        let persistent = self.iter().filter(|(position, _)| position.is_persistent());
        Digest::of(persistent.map(|(position, slot)| (self.id, position, slot.facts())))
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

    /// In delivery order, of one rank only, from behind `after`.
    pub fn behind_in_rank(&self, after: Position) -> impl Iterator<Item = (Position, &Slot)> {
        self.after(Some(after)).take_while(move |(position, _)| position.rank == after.rank)
    }

    /// In delivery order, of one rank only, `from` included.
    pub fn from_in_rank(&self, from: Position) -> impl Iterator<Item = (Position, &Slot)> {
        self.from(from).take_while(move |(position, _)| position.rank == from.rank)
    }

    /// When its messages expire.
    pub fn expiries(&self) -> &Expiries {
        &self.expiries
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
        debug_assert_eq!(key.queue, self.id, "a queue is asked for its own packs");
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
        assert!(slot.message.is_some(), "a message that leaves its pack is in memory");
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
    debug_assert!(pack.rank <= RANK_MAX, "a pack has messages of one of ten ranks");
    Position { rank: pack.rank, sequence: pack.first, minor: 0 }
}
