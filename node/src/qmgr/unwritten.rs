//! What the message store does not know yet, and how it becomes rows: the difference between two states.

use std::collections::{BTreeMap, BTreeSet};

use super::packs::Packer;
use super::producer_names::NameHash;
use super::{PackKey, QueueManager, Slot, StoreBatch, rows};
use crate::types::definition::ObjectRef;
use crate::types::{Index, Position, ProducerId, QueueId, SnapshotMeta, StagedBodyId};

/// What the message store does not know yet.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Objects other than local queues that changed or are gone.
    pub(super) definitions: BTreeSet<ObjectRef>,
    pub(super) queues: BTreeSet<QueueId>,
    pub(super) queues_gone: BTreeSet<QueueId>,
    pub(super) queues_cleared: BTreeSet<QueueId>,
    pub(super) placed: Vec<(QueueId, Position)>,
    /// Bytes of the bodies of these, also of those that are gone meanwhile.
    pub(super) placed_bytes: usize,
    /// Packs that messages left.
    pub(super) packs: BTreeSet<PackKey>,
    /// Packs whose messages should be packed again.
    pub(super) repack: BTreeSet<PackKey>,
    /// Packed messages whose backout count grew.
    pub(super) heads: BTreeSet<(QueueId, Position)>,
    pub(super) backouts_gone: BTreeSet<(QueueId, Position)>,
    pub(super) producers: BTreeSet<ProducerId>,
    pub(super) producer_names: BTreeSet<NameHash>,
    /// Outcomes from this number on are not written; numbers below `outcomes_first` are still there.
    pub(super) outcomes_from: u64,
    pub(super) outcomes_first: u64,
    /// Parts of a staged body that are written.
    pub(super) staged: BTreeMap<StagedBodyId, usize>,
    pub(super) staged_gone: BTreeSet<StagedBodyId>,
}

impl Unwritten {
    pub(super) fn note_removed(&mut self, queue: QueueId, position: Position, slot: &Slot) {
        if let Some(packed) = slot.packed {
            self.packs.insert(packed.key(queue, position));
            self.heads.remove(&(queue, position));
            if slot.backout_count > 0 {
                self.backouts_gone.insert((queue, position));
            }
        }
    }

    pub(super) fn forget_messages_of(&mut self, queue: QueueId) {
        self.packs.retain(|pack| pack.queue != queue);
        self.repack.retain(|pack| pack.queue != queue);
        self.heads.retain(|(of, _)| *of != queue);
        self.backouts_gone.retain(|(of, _)| *of != queue);
        // Placed messages are looked up by position when the batch is made; sequences never repeat.
    }
}

impl QueueManager {
    /// Everything that changed since the last batch, as rows; after it the store is the state at `meta.index`. Where
    /// few messages survive, their bodies are copied out of the entries they came in, so that a survivor does not keep
    /// a whole entry in memory. Returns the packs that are new with it, oldest first.
    pub fn take_store_batch(&mut self, base: Index, meta: SnapshotMeta) -> (StoreBatch, Vec<PackKey>) {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        let repacked = self.unpack_all(&mut unwritten);
        let mut changes = Vec::new();
        changes.push(rows::manager_row(self));
        for object in &unwritten.definitions {
            changes.push(rows::definition_row(self.id, object, self.catalog.get(object)));
        }
        for queue in &unwritten.queues_gone {
            rows::queue_gone(self.id, *queue, &mut changes);
        }
        for queue in &unwritten.queues_cleared {
            rows::queue_cleared(self.id, *queue, &mut changes);
        }
        let packs: Vec<PackKey> = unwritten.packs.into_iter().collect();
        for packs in packs.chunk_by(|one, next| one.queue == next.queue) {
            let queue = self.queues.get_mut(packs[0].queue).expect("a queue that goes takes its packs along");
            queue.packs_mut().take_rows(self.id, packs, &mut self.sparse, &mut changes);
        }
        for (queue, position) in unwritten.backouts_gone {
            changes.push(rows::backout_gone(self.id, queue, position));
        }
        let mut touched = unwritten.queues;
        let mut survived = 0;
        let mut packer = Packer::new(self.id, meta.index);
        let mut packed = Vec::new();
        for (queue, position) in &repacked {
            let slot =
                self.queues.get_mut(*queue).and_then(|queue| queue.slot_mut(*position)).expect("just seen");
            packed.extend(packer.append(*queue, *position, slot, &mut changes));
        }
        for (queue, position) in unwritten.placed {
            let Some(contents) = self.queues.get_mut(queue) else { continue };
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
            let queue = self.queues.get_mut(key.queue).expect("it has the messages");
            queue.packs_mut().insert(key, pack);
            if detached {
                queue.detach(key);
            }
        }
        for (queue, position) in unwritten.heads {
            let Some(slot) = self.queues.get_mut(queue).and_then(|queue| queue.slot_mut(position)) else {
                continue;
            };
            changes.push(rows::backout_row(self.id, queue, position, slot.backout_count));
        }
        for queue in touched.iter().filter_map(|id| self.queues.get(*id)) {
            changes.push(rows::queue_row(self.id, queue, self.definition_of(queue)));
        }
        for producer in &unwritten.producers {
            changes.push(rows::producer_row(self.id, producer, self.producers.get(producer)));
        }
        for name in &unwritten.producer_names {
            changes.push(rows::producer_name_row(self.id, *name, self.producers.names().get(*name)));
        }
        if self.outcomes.first() > unwritten.outcomes_first {
            changes.push(rows::outcomes_forgotten(self.id, self.outcomes.first()));
        }
        for (number, decided) in self.outcomes.from(unwritten.outcomes_from) {
            changes.push(rows::outcome_row(self.id, number, decided));
        }
        for number in &unwritten.staged_gone {
            changes.push(rows::staged_gone(self.id, *number));
        }
        for (number, body) in self.staged.iter() {
            let from = unwritten.staged.get(&number).copied().unwrap_or(0);
            rows::staged_rows(self.id, number, &body.parts, from, &mut changes);
        }
        self.unwritten.outcomes_from = self.outcomes.next();
        self.unwritten.outcomes_first = self.outcomes.first();
        self.unwritten.staged = self.staged_parts();
        (StoreBatch { base, meta, changes }, written)
    }

    /// Packs that are mostly gone, of queues where that wastes more room than this.
    pub fn sparse_packs(&self, waste_bytes: u64) -> impl Iterator<Item = PackKey> {
        let wastes = move |key: &&PackKey| {
            self.queues.get(key.queue).is_some_and(|queue| queue.packs().waste_more_than(waste_bytes))
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
            let Some(queue) = self.queues.get_mut(key.queue) else { continue };
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
}
