//! The queue manager: every replicated fact, as a pure function of the log (L1).
//!
//! [`QueueManager::apply`] is the only way a replicated fact changes. What changed since the last
//! [`QueueManager::take_store_batch`] is remembered, so that the message store can be moved to exactly this state; a
//! message that was placed and removed in between leaves no trace there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod store_batch;
pub mod keys;
mod slot;
mod order;
mod pack_rows;
pub mod packs;
mod queue;
mod producers;
mod outcomes;
pub mod command;
pub mod dead_letter;
mod catalog;
mod staged;
mod unwritten;
mod rows;
mod check;

pub use command::{BatchEncoder, Command, DecodeError, Place, Removal};
pub use keys::PackKey;
pub use producers::{Producers, Seen};
pub use queue::Queue;
pub use slot::Slot;
pub use store_batch::*;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::types::{
    Body, MessageId, ObjectName, Position, QueueId, QueueManagerId, Reason, StagedBodyId, UnitId, WallTime,
    limits,
};
use outcomes::Outcomes;
use unwritten::Unwritten;

#[cfg(test)]
mod packs_test;

#[derive(Debug)]
pub struct QueueManager {
    id: QueueManagerId,
    name: ObjectName,
    queues: BTreeMap<QueueId, Queue>,
    by_name: BTreeMap<ObjectName, QueueId>,
    next_queue: QueueId,
    /// DEADQ.
    deadq: Option<ObjectName>,
    /// MAXUMSGS.
    maxumsgs: u32,
    producers: Producers,
    outcomes: Outcomes,
    staged: BTreeMap<StagedBodyId, Vec<Bytes>>,
    /// Time of the newest entry; never goes back.
    at: WallTime,
    /// Packs that are mostly gone.
    sparse: BTreeSet<PackKey>,
    unwritten: Unwritten,
}

/// What became of a command. Refusals are as deterministic as everything else.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Done,
    Placed {
        queue: QueueId,
        position: Position,
        message_id: MessageId,
    },
    /// A producer sequence that was placed before.
    Duplicate {
        message_id: MessageId,
    },
    /// The messages as they left.
    Removed(Vec<(Position, Slot)>),
    Committed(Committed),
    Sealed {
        committed: bool,
    },
    Created(QueueId),
    Cleared {
        messages: u64,
    },
    Refused(Reason),
}

/// What a committed unit did.
#[derive(Debug, Default, PartialEq)]
pub struct Committed {
    pub placed: Vec<(QueueId, Position)>,
    pub removed: Vec<(QueueId, Position)>,
}

impl QueueManager {
    /// A queue manager nobody has used yet.
    pub fn new(id: QueueManagerId, name: ObjectName) -> QueueManager {
        QueueManager {
            id,
            name,
            queues: BTreeMap::new(),
            by_name: BTreeMap::new(),
            next_queue: QueueId(1),
            deadq: None,
            maxumsgs: limits::UNIT_MESSAGES_DEFAULT,
            producers: Producers::default(),
            outcomes: Outcomes::default(),
            staged: BTreeMap::new(),
            at: WallTime(0),
            sparse: BTreeSet::new(),
            unwritten: Unwritten::default(),
        }
    }

    /// The queue manager whose rows `source` has.
    pub fn load(
        id: QueueManagerId,
        name: ObjectName,
        source: &dyn RowSource,
    ) -> Result<QueueManager, StoreReadError> {
        let mut manager = QueueManager::new(id, name);
        if source.meta()?.is_some() {
            rows::load(&mut manager, source)?;
            manager.unwritten.outcomes_from = manager.outcomes.next();
            manager.unwritten.outcomes_first = manager.outcomes.first();
            manager.unwritten.staged = manager.staged.iter().map(|(id, parts)| (*id, parts.len())).collect();
        }
        Ok(manager)
    }

    pub fn id(&self) -> QueueManagerId {
        self.id
    }

    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    pub fn deadq(&self) -> Option<&ObjectName> {
        self.deadq.as_ref()
    }

    pub fn maxumsgs(&self) -> u32 {
        self.maxumsgs
    }

    /// Time of the newest applied entry.
    pub fn at(&self) -> WallTime {
        self.at
    }

    pub fn queue(&self, id: QueueId) -> Option<&Queue> {
        self.queues.get(&id)
    }

    /// For what is not replicated: messages in memory, selection indexes.
    pub fn queue_mut(&mut self, id: QueueId) -> Option<&mut Queue> {
        self.queues.get_mut(&id)
    }

    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.values()
    }

    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    pub fn message_count(&self) -> u64 {
        self.queues.values().map(Queue::depth).sum()
    }

    pub fn outcome_of(&self, unit: &UnitId) -> Option<bool> {
        self.outcomes.committed(unit)
    }

    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// The clock of the log moves forward only.
    pub fn set_time(&mut self, at: WallTime) {
        self.at = self.at.max(at);
    }

    /// Carries out one committed command. [`QueueManager::set_time`] comes first, once an entry.
    pub fn apply(&mut self, command: Command) -> Outcome {
        match command {
            Command::Place(place) => self.apply_place(place),
            Command::Remove(removal) => self.apply_remove(removal),
            Command::CommitUnit { unit, places, removals } => self.apply_commit_unit(unit, places, removals),
            Command::Backout(removals) => self.apply_backout(removals),
            Command::Expire(removals) => self.apply_expire(removals),
            Command::SealUnit(unit) => self.apply_seal_unit(unit),
            Command::StageBody { number, data } => self.apply_stage_body(number, data),
            Command::DropStaged(numbers) => self.apply_drop_staged(numbers),
            Command::CreateQueue(definition) => self.apply_create_queue(definition),
            Command::AlterQueue(definition) => self.apply_alter_queue(definition),
            Command::DeleteQueue { name, purge } => self.apply_delete_queue(name, purge),
            Command::ClearQueue { name } => self.apply_clear_queue(name),
            Command::AlterQueueManager { deadq, maxumsgs } => self.apply_alter_manager(deadq, maxumsgs),
            Command::Staged { number, length } => self.apply_staged(number, length),
            Command::BeginTerm => self.apply_drop_staged(self.staged.keys().copied().collect()),
        }
    }

    fn apply_place(&mut self, place: Place) -> Outcome {
        match self.check_place(&place) {
            Ok(None) => {
                let message_id = self.id_of(&place);
                let (queue, position) = self.place(place);
                Outcome::Placed { queue, position, message_id }
            }
            Ok(Some(message_id)) => {
                self.drop_staged_of(&place);
                Outcome::Duplicate { message_id }
            }
            Err(reason) => {
                self.drop_staged_of(&place);
                Outcome::Refused(reason)
            }
        }
    }

    /// Whether its sequence was placed before.
    fn seen(&self, place: &Place) -> Seen {
        match &place.producer {
            Some((producer, sequence)) => self.producers.seen(producer, *sequence),
            None => Seen::New,
        }
    }

    /// The id of the earlier message when this is a repetition.
    fn check_place(&self, place: &Place) -> Result<Option<MessageId>, Reason> {
        match self.seen(place) {
            Seen::New => {}
            Seen::Before(id) => return Ok(Some(id)),
            Seen::Forgotten => return Err(Reason::UnexpectedError),
        }
        if !self.queues.contains_key(&place.queue) {
            return Err(Reason::QDeleted);
        }
        if let Some((number, length)) = place.staged {
            let there: usize = self.staged.get(&number).map_or(0, |parts| parts.iter().map(Bytes::len).sum());
            if there != length {
                return Err(Reason::CallInterrupted);
            }
        }
        Ok(None)
    }

    fn id_of(&self, place: &Place) -> MessageId {
        match place.unique {
            Some(unique) => command::message_id(&self.name, unique),
            None => place.message.descriptor.message_id,
        }
    }

    fn place(&mut self, place: Place) -> (QueueId, Position) {
        let message_id = self.id_of(&place);
        let mut message = Box::new(place.message);
        message.descriptor.message_id = message_id;
        if message.descriptor.put_at == WallTime(0) {
            message.descriptor.put_at = self.at;
        }
        if let Some((number, _)) = place.staged {
            message.body = Body::from_parts(self.unstage(number));
        }
        if let Some((producer, sequence)) = &place.producer {
            if let Some(forgotten) = self.producers.remember(producer, *sequence, message_id) {
                self.unwritten.producers.insert(forgotten);
            }
            if !self.unwritten.producers.contains(producer) {
                self.unwritten.producers.insert(producer.clone());
            }
        }
        let queue = self.queues.get_mut(&place.queue).expect("checked");
        self.unwritten.placed_bytes += message.body.len();
        let position = queue.place(message);
        self.unwritten.placed.push((place.queue, position));
        (place.queue, position)
    }

    fn apply_remove(&mut self, removal: Removal) -> Outcome {
        let Some(queue) = self.queues.get_mut(&removal.queue) else {
            return Outcome::Refused(Reason::QDeleted);
        };
        if removal.positions.iter().any(|position| queue.slot(*position).is_none()) {
            return Outcome::Refused(Reason::NoMsgAvailable);
        }
        let mut removed = Vec::with_capacity(removal.positions.len());
        for position in removal.positions {
            let slot = queue.remove(position).expect("looked up above; positions of a removal are distinct");
            self.unwritten.note_removed(removal.queue, position, &slot);
            removed.push((position, slot));
        }
        Outcome::Removed(removed)
    }

    fn apply_commit_unit(
        &mut self,
        unit: Option<UnitId>,
        places: Vec<Place>,
        removals: Vec<Removal>,
    ) -> Outcome {
        if unit.as_ref().is_some_and(|unit| self.outcomes.committed(unit).is_some()) {
            // A unit has one outcome. This is a second unit under the same name, or one that was sealed before.
            places.iter().for_each(|place| self.drop_staged_of(place));
            return Outcome::Refused(Reason::BackedOut);
        }
        let all_fit = places.iter().all(|place| self.check_place(place).is_ok());
        let all_there = removals.iter().all(|removal| {
            let queue = self.queues.get(&removal.queue);
            removal.positions.iter().all(|at| queue.is_some_and(|queue| queue.slot(*at).is_some()))
        });
        if !all_there || !all_fit {
            places.iter().for_each(|place| self.drop_staged_of(place));
            self.decide(unit, false);
            return Outcome::Refused(Reason::BackedOut);
        }
        let mut committed = Committed::default();
        for removal in removals {
            for position in &removal.positions {
                let queue = self.queues.get_mut(&removal.queue).expect("checked");
                let Some(slot) = queue.remove(*position) else { continue };
                self.unwritten.note_removed(removal.queue, *position, &slot);
                committed.removed.push((removal.queue, *position));
            }
        }
        for place in places {
            // The unit may have it twice itself.
            match self.seen(&place) {
                Seen::Before(_) => self.drop_staged_of(&place),
                Seen::New | Seen::Forgotten => committed.placed.push(self.place(place)),
            }
        }
        self.decide(unit, true);
        Outcome::Committed(committed)
    }

    fn decide(&mut self, unit: Option<UnitId>, committed: bool) {
        if let Some(unit) = unit {
            self.outcomes.decide(&unit, committed);
        }
    }

    fn apply_backout(&mut self, removals: Vec<Removal>) -> Outcome {
        for removal in removals {
            let Some(queue) = self.queues.get_mut(&removal.queue) else { continue };
            for position in removal.positions {
                let Some(slot) = queue.slot_mut(position) else { continue };
                slot.backout_count += 1;
                if let Some(message) = &mut slot.message {
                    message.descriptor.backout_count = slot.backout_count;
                }
                if slot.packed.is_some() {
                    self.unwritten.heads.insert((removal.queue, position));
                }
            }
        }
        Outcome::Done
    }

    fn apply_expire(&mut self, removals: Vec<Removal>) -> Outcome {
        let mut removed = Vec::new();
        for removal in removals {
            let Some(queue) = self.queues.get_mut(&removal.queue) else { continue };
            for position in removal.positions {
                let Some(slot) = queue.remove(position) else { continue };
                self.unwritten.note_removed(removal.queue, position, &slot);
                removed.push((position, slot));
            }
        }
        Outcome::Removed(removed)
    }

    fn apply_seal_unit(&mut self, unit: UnitId) -> Outcome {
        let committed = self.outcomes.committed(&unit);
        if committed.is_none() {
            self.outcomes.decide(&unit, false);
        }
        Outcome::Sealed { committed: committed == Some(true) }
    }
}
