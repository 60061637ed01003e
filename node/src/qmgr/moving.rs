//! The message store moves: the difference between two states becomes rows, over as many turns as that takes.
//!
//! The rows are those of the state at which the move began, whatever is applied meanwhile. Most are made at once. Packs,
//! of which there may be a hundred thousand, come piece by piece: whoever changes what is still to be written has it
//! written first (a pack that another message leaves), or kept as it was (a message that leaves before it is packed).

use std::collections::{BTreeMap, BTreeSet};

use super::keys::Packed;
use super::packs::{Closed, Packer};
use super::rubbish::Rubbish;
use super::unwritten::Unwritten;
use super::{PackKey, QueueManager, RowChange, Slot, StoreBatch, rows};
use crate::types::{Index, Pieces, Position, QueueId, SnapshotMeta};

/// A message that is packed, a message that is gone already, and a pack that messages left, in looks at a message.
const PACK: usize = 8;
const GONE: usize = 1;
const TOUCHED: usize = 4;
/// Bytes that cost as much as a look to copy.
const BYTES_A_LOOK: usize = 1024;
/// Packs whose rows are made together, so that neighbours go with one row.
const TOGETHER: usize = 1024;
/// Messages that are fetched from memory together.
const FETCHED: usize = 32;

#[derive(Debug)]
pub(super) struct Moving {
    base: Index,
    meta: SnapshotMeta,
    changes: Vec<RowChange>,
    /// Packs that messages had left, whose rows are still to be made.
    touched: BTreeSet<PackKey>,
    /// Messages that are packed anew, and those that came; in order.
    repacked: Pieces<(QueueId, Position)>,
    placed: Pieces<(QueueId, Position)>,
    /// Messages of these queues from these sequences on came after the move began.
    until: BTreeMap<QueueId, u64>,
    packer: Packer,
    written: Vec<PackKey>,
    /// Few messages survive: their bodies are copied out of the entries, or packs, they came in.
    detaches: bool,
    /// Messages that left since, before their pack was full.
    kept: BTreeMap<(QueueId, Position), Slot>,
    /// How often messages that are not in a pack yet had been backed out, if they were again since.
    counts: BTreeMap<(QueueId, Position), u32>,
    /// What was on queues that were cleared or deleted since.
    cleared: BTreeMap<QueueId, Vec<Rubbish>>,
}

impl Moving {
    fn has(&self, queue: QueueId, position: Position) -> bool {
        position.is_persistent() && self.until.get(&queue).is_some_and(|until| position.sequence < *until)
    }
}

impl QueueManager {
    /// Everything that changed since the last batch, as rows; after it the store is the state at `meta.index`. Returns the
    /// packs that are new with it, oldest first.
    pub fn take_store_batch(&mut self, base: Index, meta: SnapshotMeta) -> (StoreBatch, Vec<PackKey>) {
        self.begin_store_batch(base, meta);
        let mut work = usize::MAX;
        self.go_on_with_store_batch(&mut work).expect("it may do all of it")
    }

    /// A batch was begun and is not done.
    pub fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Begins a batch: the state is the one at `meta.index` now.
    pub fn begin_store_batch(&mut self, base: Index, meta: SnapshotMeta) {
        assert!(base <= meta.index, "the message store moves forward");
        assert_eq!(meta.queue_manager, self.id, "a queue manager writes its own rows");
        assert!(self.moving.is_none(), "one move is made after the other");
        let mut unwritten = std::mem::take(&mut self.unwritten);
        let repacked = self.unpack_all(&mut unwritten);
        let mut changes = Vec::new();
        self.rows_at_once(&unwritten, &mut changes);
        let left = unwritten.packs.iter().map(|pack| pack.queue);
        let changed = unwritten.queues.iter().copied().chain(repacked.iter().map(|(queue, _)| *queue));
        let mut until = BTreeMap::new();
        let mut last = None;
        for queue in changed.chain(left) {
            if last.replace(queue) != Some(queue) {
                until.extend(self.queues.get(queue).map(|contents| (queue, contents.next_sequence())));
            }
        }
        self.unwritten.outcomes_from = self.outcomes.next();
        self.unwritten.outcomes_first = self.outcomes.first();
        self.unwritten.failovers_from = self.first_unsealed();
        self.unwritten.failovers_first = self.failovers.first();
        (self.unwritten.trail_from, self.unwritten.trail_first) = (self.trail.next(), self.trail.first());
        self.unwritten.staged = self.staged_parts();
        self.moving = Some(Box::new(Moving {
            base,
            changes,
            touched: unwritten.packs,
            // What survives of few entries, or of few packs, would keep all of them in memory.
            detaches: unwritten.gone_bytes > unwritten.placed_bytes / 2 || !repacked.is_empty(),
            repacked: repacked.into_iter().collect(),
            placed: unwritten.placed,
            until,
            packer: Packer::new(self.id, meta.index),
            written: Vec::new(),
            kept: BTreeMap::new(),
            counts: BTreeMap::new(),
            cleared: BTreeMap::new(),
            meta,
        }));
    }

    /// All rows but those of packs.
    fn rows_at_once(&self, unwritten: &Unwritten, changes: &mut Vec<RowChange>) {
        changes.push(rows::manager_row(self));
        for object in &unwritten.definitions {
            changes.push(rows::definition_row(self.id, object, self.catalog.get(object)));
        }
        for queue in &unwritten.queues_gone {
            rows::queue_gone(self.id, *queue, changes);
        }
        for queue in &unwritten.queues_cleared {
            rows::queue_cleared(self.id, *queue, changes);
        }
        for (queue, position) in &unwritten.backouts_gone {
            changes.push(rows::backout_gone(self.id, *queue, *position));
        }
        for (queue, position) in &unwritten.heads {
            if let Some(slot) = self.queues.get(*queue).and_then(|queue| queue.slot(*position)) {
                changes.push(rows::backout_row(self.id, *queue, *position, slot.backout_count));
            }
        }
        for queue in unwritten.queues.iter().filter_map(|id| self.queues.get(*id)) {
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
        if self.failovers.first() > unwritten.failovers_first {
            changes.extend(rows::failovers_forgotten(self.id, self.failovers.first()));
        }
        for record in self.failovers.from(unwritten.failovers_from) {
            changes.push(rows::failover_row(self.id, record));
        }
        if self.trail.first() > unwritten.trail_first {
            changes.push(rows::trail_forgotten(self.id, self.trail.first()));
        }
        for record in self.trail.from(unwritten.trail_from) {
            changes.push(rows::trail_row(self.id, record));
        }
        for said in unwritten.classified.iter().filter_map(|number| self.failovers.classified(*number).next())
        {
            changes.push(rows::classified_row(self.id, said));
        }
        if let Some(canary) = self.canary.as_ref().filter(|_| unwritten.canary) {
            changes.push(rows::canary_row(self.id, canary));
        }
        for record in unwritten.registered.iter().filter_map(|id| self.register.get(*id)) {
            changes.push(rows::registered_row(self.id, record));
        }
        for number in &unwritten.staged_gone {
            changes.push(rows::staged_gone(self.id, *number));
        }
        for (number, body) in self.staged.iter() {
            let from = unwritten.staged.get(&number).copied().unwrap_or(0);
            rows::staged_rows(self.id, number, &body.parts, from, changes);
        }
        assert!(unwritten.outcomes_from <= self.outcomes.next(), "outcomes are numbered upwards");
    }

    /// Goes on with the batch for about so much work, in looks at a message, of which what was done is taken. None: it is not
    /// done.
    pub fn go_on_with_store_batch(&mut self, work: &mut usize) -> Option<(StoreBatch, Vec<PackKey>)> {
        let mut moving = self.moving.take().expect("the caller began it");
        if !self.go_on_moving(&mut moving, work) {
            self.moving = Some(moving);
            return None;
        }
        self.rubbish.extend(std::mem::take(&mut moving.cleared).into_values().flatten());
        let Moving { base, meta, changes, written, .. } = *moving;
        Some((StoreBatch { base, meta, changes }, written))
    }

    /// Whether all is made.
    fn go_on_moving(&mut self, moving: &mut Moving, work: &mut usize) -> bool {
        while *work > 0
            && let Some(first) = moving.touched.first().copied()
        {
            let of_queue = moving.touched.iter().take_while(|key| key.queue == first.queue);
            let keys: Vec<PackKey> = of_queue.take(TOGETHER.min(work.div_ceil(TOUCHED))).copied().collect();
            *work = work.saturating_sub(TOUCHED * keys.len());
            self.write_touched(moving, &keys);
        }
        while *work > 0 && !(moving.repacked.is_empty() && moving.placed.is_empty()) {
            self.pack_some(moving, work);
        }
        while *work > 0 && moving.repacked.is_empty() && moving.placed.is_empty() {
            let Some(last) = moving.packer.close_first(&mut moving.changes) else { return true };
            *work = work.saturating_sub(PACK);
            self.settle(moving, last);
        }
        false
    }

    /// Brings the rows of packs of one queue that messages left up to date.
    fn write_touched(&mut self, moving: &mut Moving, keys: &[PackKey]) {
        let [first, ..] = keys else { return };
        debug_assert!(keys.iter().all(|key| key.queue == first.queue), "packs of one queue");
        debug_assert!(
            keys.iter().all(|key| moving.touched.contains(key)),
            "the rows of a pack are made once"
        );
        for key in keys {
            moving.touched.remove(key);
        }
        let queue = self.queues.get_mut(first.queue).expect("before a queue goes its packs are written");
        queue.packs_mut().take_rows(self.id, keys, &mut self.sparse, &mut moving.changes);
    }

    /// The next messages, of one queue, go into their packs, for about so much work.
    fn pack_some(&mut self, moving: &mut Moving, work: &mut usize) {
        let Moving { repacked, placed, packer, changes, kept, cleared, counts, .. } = moving;
        let coming = if repacked.is_empty() { placed } else { repacked };
        let Some((queue, _)) = coming.front().copied() else { return };
        let of_queue = coming.iter().take_while(|(of, _)| *of == queue).map(|(_, position)| *position);
        let positions: Vec<Position> = of_queue.take(TOGETHER.min(*work)).collect();
        let cleared = cleared.get(&queue).map_or(&[][..], Vec::as_slice);
        let (mut full, mut packed) = (Vec::new(), 0);
        let mut pack = |position, there: Option<&Slot>| {
            // As it was when the move began, if it was there then.
            let gone = || cleared.iter().find_map(|rubbish| rubbish.slots.get(position));
            let cost = match there.or_else(|| kept.get(&(queue, position))).or_else(gone) {
                Some(slot) => {
                    let count = counts.get(&(queue, position)).copied().unwrap_or(slot.backout_count);
                    full.extend(packer.append(queue, position, slot, count, changes));
                    PACK + if moving.detaches { slot.body_length as usize / BYTES_A_LOOK } else { 0 }
                }
                None => GONE,
            };
            packed += 1;
            *work = work.saturating_sub(cost);
            *work > 0
        };
        match self.queues.get(queue) {
            Some(contents) => positions.chunks(FETCHED).all(|next| {
                contents.fetch(next);
                contents.each_slot(next.iter().copied(), &mut pack)
            }),
            None => positions.iter().all(|position| pack(*position, None)),
        };
        debug_assert!(packed <= positions.len(), "what is packed was among those that come");
        coming.take_front(packed).for_each(drop);
        full.into_iter().for_each(|closed| self.settle(moving, closed));
    }

    /// A pack is full: its messages learn where they are, and it where messages are gone.
    fn settle(&mut self, moving: &mut Moving, Closed { key, mut pack, members }: Closed) {
        assert_eq!(pack.live() as usize, members.len(), "a pack that is closed has all its messages");
        debug_assert!(
            members.iter().all(|at| moving.has(key.queue, *at)),
            "what came since belongs to the next move"
        );
        moving.written.push(key);
        if moving.cleared.contains_key(&key.queue) {
            // All that the queue had goes with the next batch.
            return;
        }
        let queue = self.queues.get_mut(key.queue).expect("it was not deleted");
        let mut member = 0;
        queue.each_slot_mut(members, |position, slot| {
            let packed = Packed::new(key.first, member);
            member += 1;
            if let Some(slot) = slot {
                slot.packed = Some(packed);
                if moving.counts.remove(&(key.queue, position)).is_some() {
                    self.unwritten.heads.insert((key.queue, position));
                }
            } else {
                let slot = moving.kept.remove(&(key.queue, position)).expect("who left since was kept");
                pack.forget(packed, slot.body_length);
                self.unwritten.packs.insert(key);
                // One that is packed anew has a row of its own that says how often it was backed out.
                if slot.backout_count > 0 {
                    self.unwritten.backouts_gone.insert((key.queue, position));
                }
            }
        });
        queue.packs_mut().insert(key, pack);
        if moving.detaches {
            queue.detach(key);
        }
    }

    /// A message is about to leave: what the move that is under way has still to say of it is said, or kept. Whether it came
    /// before the move began and is in no pack.
    pub(super) fn keep_for_move(&mut self, queue: QueueId, position: Position) -> bool {
        let Some(mut moving) = self.moving.take_if(|moving| moving.has(queue, position)) else {
            return false;
        };
        let slot = self.queues.get(queue).and_then(|queue| queue.slot(position));
        let packed = slot.and_then(|slot| slot.packed).map(|packed| packed.key(queue, position));
        let is_unpacked = slot.is_some() && packed.is_none();
        match (slot, packed) {
            (Some(_), Some(pack)) if moving.touched.contains(&pack) => {
                self.write_touched(&mut moving, &[pack])
            }
            (Some(slot), None) => drop(moving.kept.insert((queue, position), slot.clone())),
            _ => {}
        }
        self.moving = Some(moving);
        is_unpacked
    }

    /// A message is about to be backed out.
    pub(super) fn count_for_move(&mut self, queue: QueueId, position: Position) {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.has(queue, position)) else { return };
        let slot = self.queues.get(queue).and_then(|queue| queue.slot(position));
        if let Some(slot) = slot.filter(|slot| slot.packed.is_none()) {
            moving.counts.entry((queue, position)).or_insert(slot.backout_count);
        }
    }

    /// A queue is about to be cleared or deleted.
    pub(super) fn write_before_clear(&mut self, queue: QueueId) {
        let Some(mut moving) = self.moving.take() else { return };
        let from = PackKey { queue, rank: 0, first: 0 };
        let of_queue = moving.touched.range(from..).take_while(|key| key.queue == queue);
        let keys: Vec<PackKey> = of_queue.copied().collect();
        self.write_touched(&mut moving, &keys);
        debug_assert!(
            moving.touched.iter().all(|key| key.queue != queue),
            "nothing is written of a queue that is gone"
        );
        self.moving = Some(moving);
    }

    /// What was on a queue that was cleared or deleted.
    pub(super) fn discard(&mut self, queue: QueueId, rubbish: Option<Rubbish>) {
        match &mut self.moving {
            Some(moving) => moving.cleared.entry(queue).or_default().extend(rubbish),
            None => self.rubbish.extend(rubbish),
        }
    }
}
