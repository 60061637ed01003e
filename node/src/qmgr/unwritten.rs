//! What the message store does not know yet: the difference between two states (`moving` makes rows of it).

use std::collections::{BTreeMap, BTreeSet};

use super::producer_names::NameHash;
use super::{PackKey, QueueManager, Slot};
use crate::types::definition::ObjectRef;
use crate::types::{Pieces, Position, ProducerId, QueueId, QueueManagerId, StagedBodyId};

/// What the message store does not know yet.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Objects other than local queues that changed or are gone.
    pub(super) definitions: BTreeSet<ObjectRef>,
    pub(super) queues: BTreeSet<QueueId>,
    pub(super) queues_gone: BTreeSet<QueueId>,
    pub(super) queues_cleared: BTreeSet<QueueId>,
    pub(super) placed: Pieces<(QueueId, Position)>,
    /// Where the newest of these is.
    pub(super) last_queue: Option<QueueId>,
    /// Bytes of the bodies of these, also of those that are gone meanwhile.
    pub(super) placed_bytes: usize,
    /// Of those that are gone.
    pub(super) gone_bytes: usize,
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
    /// Records of failovers from this number on are not written as they are; numbers below `failovers_first` are still there.
    pub(super) failovers_from: u64,
    pub(super) failovers_first: u64,
    /// The same of the audit trail, whose records are sealed when they are made.
    pub(super) trail_from: u64,
    pub(super) trail_first: u64,
    /// Records of which people said something.
    pub(super) classified: BTreeSet<u64>,
    pub(super) canary: bool,
    /// Records of queue managers that changed.
    pub(super) registered: BTreeSet<QueueManagerId>,
    /// Parts of a staged body that are written.
    pub(super) staged: BTreeMap<StagedBodyId, usize>,
    pub(super) staged_gone: BTreeSet<StagedBodyId>,
}

impl Unwritten {
    pub(super) fn note_placed(&mut self, queue: QueueId, position: Position, bytes: usize) {
        debug_assert!(position.is_persistent(), "the store has persistent messages only");
        if self.last_queue != Some(queue) {
            self.last_queue = Some(queue);
            self.queues.insert(queue);
        }
        self.placed_bytes += bytes;
        self.placed.push((queue, position));
    }

    pub(super) fn note_removed(&mut self, queue: QueueId, position: Position, slot: &Slot) {
        debug_assert!(
            position.is_persistent() || slot.packed.is_none(),
            "only persistent messages are packed"
        );
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
    /// About how many rows a batch begins with, packs aside.
    pub fn unwritten_rows(&self) -> usize {
        let unwritten = &self.unwritten;
        let outcomes = self.outcomes.next() - unwritten.outcomes_from;
        unwritten.queues.len()
            + unwritten.definitions.len()
            + unwritten.heads.len()
            + unwritten.backouts_gone.len()
            + unwritten.producers.len()
            + unwritten.producer_names.len()
            + outcomes as usize
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
        debug_assert!(pack.first > 0, "messages are numbered from 1 on");
        self.unwritten.repack.insert(pack);
    }

    /// The messages that are packed anew leave their packs. In order.
    pub(super) fn unpack_all(&mut self, unwritten: &mut Unwritten) -> Vec<(QueueId, Position)> {
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
        debug_assert!(messages.windows(2).all(|pair| pair[0] < pair[1]), "a message is in one pack only");
        messages
    }
}
