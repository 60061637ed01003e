//! The queue manager: every replicated fact, as a pure function of the log (L1).
//!
//! [`QueueManager::apply`] is the only way a replicated fact changes. What changed since the last
//! [`QueueManager::take_store_batch`] is remembered, so that the message store can be moved to exactly this state; a
//! message that was placed and removed in between leaves no trace there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod command;
pub mod dead_letter;
mod outcomes;
mod order;
pub mod packs;
mod producers;
mod queue;
pub mod rows;
mod store_batch;

pub use command::{BatchEncoder, Command, DecodeError, Place, Removal};
pub use packs::PackKey;
pub use producers::{Producers, Seen};
pub use queue::{Queue, Slot};
pub use store_batch::*;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::types::{
    Body, Index, MessageId, ObjectName, Position, ProducerId, QueueId, QueueManagerId, Reason, SnapshotMeta,
    StagedBodyId, UnitId, WallTime, limits,
};
use outcomes::Outcomes;

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

/// What the message store does not know yet.
#[derive(Debug, Default)]
struct Unwritten {
    manager: bool,
    queues: BTreeSet<QueueId>,
    queues_gone: BTreeSet<QueueId>,
    queues_cleared: BTreeSet<QueueId>,
    placed: Vec<(QueueId, Position)>,
    /// Bytes of the bodies of these, also of those that are gone meanwhile.
    placed_bytes: usize,
    /// Packs that messages left.
    packs: BTreeSet<PackKey>,
    /// Packs whose messages should be packed again.
    repack: BTreeSet<PackKey>,
    /// Packed messages whose backout count grew.
    heads: BTreeSet<(QueueId, Position)>,
    backouts_gone: BTreeSet<(QueueId, Position)>,
    producers: BTreeSet<ProducerId>,
    /// Outcomes from this number on are not written; numbers below `outcomes_first` are still there.
    outcomes_from: u64,
    outcomes_first: u64,
    /// Parts of a staged body that are written.
    staged: BTreeMap<StagedBodyId, usize>,
    staged_gone: BTreeSet<StagedBodyId>,
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

    pub fn queue_id(&self, name: &ObjectName) -> Option<QueueId> {
        self.by_name.get(name).copied()
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

    /// In the order of names.
    pub fn queues_by_name(&self) -> impl Iterator<Item = &Queue> {
        self.by_name.values().map(|id| &self.queues[id])
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

    fn apply_stage_body(&mut self, number: StagedBodyId, data: Bytes) -> Outcome {
        let parts = self.staged.entry(number).or_default();
        let there: usize = parts.iter().map(Bytes::len).sum();
        if there + data.len() > limits::BODY_BYTES_MAX {
            return Outcome::Refused(Reason::MsgTooBigForQMgr);
        }
        parts.push(data);
        Outcome::Done
    }

    /// Bytes of bodies that no message has yet.
    pub fn staged_bytes(&self) -> usize {
        self.staged.values().flatten().map(Bytes::len).sum()
    }

    fn apply_drop_staged(&mut self, numbers: Vec<StagedBodyId>) -> Outcome {
        for number in numbers {
            self.unstage(number);
        }
        Outcome::Done
    }

    fn apply_staged(&mut self, number: StagedBodyId, length: usize) -> Outcome {
        let encoded = Body::from_parts(self.unstage(number));
        if encoded.len() != length {
            return Outcome::Refused(Reason::BackedOut);
        }
        match command::decode_one(encoded.to_bytes()) {
            Ok(Command::Staged { .. }) | Err(_) => Outcome::Refused(Reason::BackedOut),
            Ok(command) => self.apply(command),
        }
    }

    fn drop_staged_of(&mut self, place: &Place) {
        if let Some((number, _)) = place.staged {
            self.unstage(number);
        }
    }

    fn unstage(&mut self, number: StagedBodyId) -> Vec<Bytes> {
        if self.unwritten.staged.remove(&number).is_some() {
            self.unwritten.staged_gone.insert(number);
        }
        self.staged.remove(&number).unwrap_or_default()
    }

    fn apply_create_queue(&mut self, definition: crate::types::QueueDefinition) -> Outcome {
        if self.by_name.contains_key(&definition.name) {
            return Outcome::Refused(Reason::ObjectAlreadyExists);
        }
        if self.queues.len() >= limits::QUEUES_MAX {
            return Outcome::Refused(Reason::ResourceProblem);
        }
        let id = self.next_queue;
        self.next_queue = QueueId(id.0 + 1);
        self.by_name.insert(definition.name.clone(), id);
        self.queues.insert(id, Queue::new(id, definition, 1));
        self.unwritten.manager = true;
        self.unwritten.queues.insert(id);
        Outcome::Created(id)
    }

    fn apply_alter_queue(&mut self, definition: crate::types::QueueDefinition) -> Outcome {
        let Some(id) = self.queue_id(&definition.name) else {
            return Outcome::Refused(Reason::UnknownObjectName);
        };
        self.queues.get_mut(&id).expect("named").definition = definition;
        self.unwritten.queues.insert(id);
        Outcome::Done
    }

    fn apply_delete_queue(&mut self, name: ObjectName, purge: bool) -> Outcome {
        let Some(id) = self.queue_id(&name) else { return Outcome::Refused(Reason::UnknownObjectName) };
        let queue = &self.queues[&id];
        // Messages that are not persistent are not replicated: whether they are there must not decide.
        if queue.depth() > queue.not_persistent() && !purge {
            return Outcome::Refused(Reason::QNotEmpty);
        }
        self.by_name.remove(&name);
        self.queues.remove(&id);
        self.unwritten.forget_messages_of(id);
        self.sparse.retain(|pack| pack.queue != id);
        self.unwritten.queues.remove(&id);
        self.unwritten.queues_cleared.remove(&id);
        self.unwritten.queues_gone.insert(id);
        Outcome::Done
    }

    fn apply_clear_queue(&mut self, name: ObjectName) -> Outcome {
        let Some(id) = self.queue_id(&name) else { return Outcome::Refused(Reason::UnknownObjectName) };
        let messages = self.queues.get_mut(&id).expect("named").clear();
        self.unwritten.forget_messages_of(id);
        self.sparse.retain(|pack| pack.queue != id);
        self.unwritten.queues_cleared.insert(id);
        self.unwritten.queues.insert(id);
        Outcome::Cleared { messages }
    }

    fn apply_alter_manager(&mut self, deadq: Option<Option<ObjectName>>, maxumsgs: Option<u32>) -> Outcome {
        if let Some(deadq) = deadq {
            self.deadq = deadq;
        }
        if let Some(maxumsgs) = maxumsgs {
            self.maxumsgs = maxumsgs;
        }
        self.unwritten.manager = true;
        Outcome::Done
    }

    /// Everything that changed since the last batch, as rows; after it the store is the state at `meta.index`. Where
    /// few messages survive, their bodies are copied out of the entries they came in, so that a survivor does not keep
    /// a whole entry in memory. Returns the packs that are new with it, oldest first.
    pub fn take_store_batch(&mut self, base: Index, meta: SnapshotMeta) -> (StoreBatch, Vec<PackKey>) {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        let repacked = self.unpack_all(&mut unwritten);
        let mut changes = Vec::new();
        changes.push(rows::manager_row(self));
        for queue in &unwritten.queues_gone {
            rows::queue_gone(self.id, *queue, &mut changes);
        }
        for queue in &unwritten.queues_cleared {
            rows::queue_cleared(self.id, *queue, &mut changes);
        }
        let packs: Vec<PackKey> = unwritten.packs.into_iter().collect();
        for packs in packs.chunk_by(|one, next| one.queue == next.queue) {
            let queue =
                self.queues.get_mut(&packs[0].queue).expect("a queue that goes takes its packs along");
            queue.packs_mut().take_rows(self.id, packs, &mut self.sparse, &mut changes);
        }
        for (queue, position) in unwritten.backouts_gone {
            changes.push(rows::backout_gone(self.id, queue, position));
        }
        let mut touched = unwritten.queues;
        let mut survived = 0;
        let mut packer = packs::Packer::new(self.id, meta.index);
        let mut packed = Vec::new();
        for (queue, position) in &repacked {
            let slot =
                self.queues.get_mut(queue).and_then(|queue| queue.slot_mut(*position)).expect("just seen");
            packed.extend(packer.append(*queue, *position, slot, &mut changes));
        }
        for (queue, position) in unwritten.placed {
            let Some(contents) = self.queues.get_mut(&queue) else { continue };
            touched.insert(queue);
            let Some(slot) = contents.slot_mut(position) else { continue };
            survived += slot.body_length as usize;
            packed.extend(packer.append(queue, position, slot, &mut changes));
        }
        packed.extend(packer.finish(&mut changes));
        // What survives of few entries, or of few packs, would keep all of them in memory.
        let detached = survived < unwritten.placed_bytes / 2 || !repacked.is_empty();
        let written: Vec<PackKey> = packed.iter().map(|(key, _)| *key).collect();
        for (key, pack) in packed {
            let queue = self.queues.get_mut(&key.queue).expect("it has the messages");
            queue.packs_mut().insert(key, pack);
            if detached {
                queue.detach(key);
            }
        }
        for (queue, position) in unwritten.heads {
            let Some(slot) = self.queues.get_mut(&queue).and_then(|queue| queue.slot_mut(position)) else {
                continue;
            };
            changes.push(rows::backout_row(self.id, queue, position, slot.backout_count));
        }
        for queue in touched.iter().filter_map(|id| self.queues.get(id)) {
            changes.push(rows::queue_row(self.id, queue));
        }
        for producer in &unwritten.producers {
            changes.push(rows::producer_row(self.id, producer, self.producers.get(producer)));
        }
        if self.outcomes.first() > unwritten.outcomes_first {
            changes.push(rows::outcomes_forgotten(self.id, self.outcomes.first()));
        }
        for (number, unit, committed) in self.outcomes.from(unwritten.outcomes_from) {
            changes.push(rows::outcome_row(self.id, number, unit, committed));
        }
        for number in &unwritten.staged_gone {
            changes.push(rows::staged_gone(self.id, *number));
        }
        for (number, parts) in &self.staged {
            let from = unwritten.staged.get(number).copied().unwrap_or(0);
            rows::staged_rows(self.id, *number, parts, from, &mut changes);
        }
        self.unwritten.outcomes_from = self.outcomes.next();
        self.unwritten.outcomes_first = self.outcomes.first();
        self.unwritten.staged = self.staged.iter().map(|(id, parts)| (*id, parts.len())).collect();
        (StoreBatch { base, meta, changes }, written)
    }

    /// Packs that are mostly gone, of queues where that wastes more room than this.
    pub fn sparse_packs(&self, waste_bytes: u64) -> impl Iterator<Item = PackKey> {
        let wastes = move |key: &&PackKey| {
            self.queues.get(&key.queue).is_some_and(|queue| queue.packs().waste_more_than(waste_bytes))
        };
        self.sparse.iter().filter(wastes).copied()
    }

    /// Has the messages of a pack packed anew with the next batch, if they are all in memory then.
    pub fn repack(&mut self, pack: PackKey) {
        self.unwritten.repack.insert(pack);
    }

    /// The messages that are packed anew leave their packs. In order.
    fn unpack_all(&mut self, unwritten: &mut Unwritten) -> Vec<(QueueId, Position)> {
        let mut messages = Vec::new();
        for key in std::mem::take(&mut unwritten.repack) {
            let Some(queue) = self.queues.get_mut(&key.queue) else { continue };
            if queue.packed_in(key).any(|(_, slot)| slot.message.is_none()) {
                continue;
            }
            let positions: Vec<Position> = queue.packed_in(key).map(|(position, _)| position).collect();
            for position in &positions {
                queue.unpack(*position);
            }
            messages.extend(positions.into_iter().map(|position| (key.queue, position)));
            unwritten.packs.insert(key);
        }
        messages.sort_unstable();
        messages
    }

    /// A hash of every replicated fact: equal on every node at the same applied index.
    pub fn digest(&self) -> u64 {
        use std::hash::{Hash, Hasher};
        let mut hasher = crate::types::FixedHasher::default();
        (self.next_queue, &self.deadq, self.maxumsgs, self.at).hash(&mut hasher);
        for queue in self.queues.values() {
            (queue.id, format!("{:?}", queue.definition), queue.next_sequence()).hash(&mut hasher);
            for (position, slot) in queue.iter().filter(|(position, _)| position.is_persistent()) {
                (position, slot.message_id, slot.correlation_id(), slot.group_id()).hash(&mut hasher);
                (slot.body_length, slot.backout_count, slot.put_at, slot.expires()).hash(&mut hasher);
            }
        }
        for (id, producer) in self.producers.iter() {
            (id, producer.forgotten_upto, &producer.placed).hash(&mut hasher);
        }
        for outcome in self.outcomes.from(0) {
            outcome.hash(&mut hasher);
        }
        for (number, parts) in &self.staged {
            (number, parts).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What must hold whatever happened. Says what does not.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (name, id) in &self.by_name {
            match self.queues.get(id) {
                Some(queue) if queue.definition.name == *name => {}
                _ => return Err(format!("{name} does not name its queue")),
            }
        }
        for queue in self.queues.values() {
            let name = &queue.definition.name;
            for (position, slot) in queue.iter() {
                if position.sequence >= queue.next_sequence() {
                    return Err(format!("{name} has {position:?} at or behind {}", queue.next_sequence()));
                }
                if slot.message.is_none() && slot.packed.is_none() {
                    return Err(format!("the message at {position:?} of {name} is nowhere"));
                }
            }
            queue.packs().check(queue.id, queue.iter()).map_err(|text| format!("{name}: {text}"))?;
            let counted = queue.iter().filter(|(position, _)| !position.is_persistent()).count() as u64;
            if counted != queue.not_persistent() {
                return Err(format!(
                    "{name} counts {} not persistent and has {counted}",
                    queue.not_persistent()
                ));
            }
        }
        Ok(())
    }
}

impl Unwritten {
    fn note_removed(&mut self, queue: QueueId, position: Position, slot: &Slot) {
        if let Some(packed) = slot.packed {
            self.packs.insert(packed.key(queue, position));
            self.heads.remove(&(queue, position));
            if slot.backout_count > 0 {
                self.backouts_gone.insert((queue, position));
            }
        }
    }

    fn forget_messages_of(&mut self, queue: QueueId) {
        self.packs.retain(|pack| pack.queue != queue);
        self.repack.retain(|pack| pack.queue != queue);
        self.heads.retain(|(of, _)| *of != queue);
        self.backouts_gone.retain(|(of, _)| *of != queue);
        // Placed messages are looked up by position when the batch is made; sequences never repeat.
    }
}
