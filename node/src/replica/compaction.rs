//! How far the message store and the log move.
//!
//! The store is moved to the applied state each time a window of log has been applied: what was put and consumed
//! within the window never reaches it. The log may be cut up to what the store has on disk, and is kept a while
//! longer for peers that were away.

use std::collections::VecDeque;
use std::time::Duration;

use super::delivery::MESSAGE_WEIGHT;
use super::loads::Wanted;
use super::{Action, Options, Replica};
use crate::qmgr::PackKey;
use crate::types::planted::{self, Bug};
use crate::types::{Index, Instant, SnapshotMeta, limits};

#[derive(Debug)]
pub(super) struct Compaction {
    /// Bytes of log applied since the store was last asked to move.
    window: usize,
    /// All bytes of log applied since start.
    total: usize,
    /// `total` when the move began that the store has on disk.
    stored: usize,
    /// Moves under way and done, with `total` at the time; the log is cut at one of them.
    moves: VecDeque<(SnapshotMeta, usize)>,
    flushed: SnapshotMeta,
    /// Where the newest move, done or under way, leads, and when it began.
    newest: Index,
    moved_at: Instant,
    /// Packs of moves that are not on disk yet: their messages must stay in memory until they are.
    unflushed: VecDeque<(Index, Vec<PackKey>)>,
    /// A move that the store had no room for: it is tried again by the store itself.
    refused: Option<Index>,
    /// The log has damage up to here: it goes as soon as the store is past it.
    damaged: Option<Index>,
    behind: bool,
}

/// What an entry takes besides its data, so that entries without data count too.
const ENTRY_OVERHEAD: usize = 64;
/// How much longer a window becomes at most for bodies that are still on their way into the log.
const STAGED_WAIT_MAX: usize = limits::BODY_BYTES_MAX;
/// Moves that the store may have taken and not flushed. It flushes each second at the latest, and sooner when much has
/// gathered: a store that lags by more than this is in trouble, and puts wait for it.
const MOVES_MAX: usize = 16;
/// What was applied is moved after so long, however little it is: what was removed comes back as room, and a peer that
/// needs the store's rows gets no more than there is.
const MOVE_INTERVAL: Duration = Duration::from_secs(10);
/// The same where room is what is missing.
const MOVE_INTERVAL_WITHOUT_ROOM: Duration = Duration::from_secs(1);
/// A window has no more rows than this that are made at once: outcomes, sequences, backout counts, or about 10 ms of definitions.
const ROWS_MAX: usize = 8_000;
const REPACK_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of bodies that are packed anew at once; they pass through memory.
const REPACK_BYTES: u64 = 8 << 20;

/// With how much the first window begins, so that the nodes' windows are full one after the other.
fn head_start(options: &Options) -> usize {
    (options.node.0 % STEPS) as usize * (options.window_bytes / STEPS as usize)
}

/// Nodes that move at different times. With more of them than three some move together.
const STEPS: u64 = 3;

impl Compaction {
    pub fn new(flushed: SnapshotMeta, options: &Options) -> Compaction {
        Compaction {
            window: head_start(options),
            total: 0,
            stored: 0,
            moves: VecDeque::new(),
            newest: flushed.index,
            moved_at: Instant::default(),
            flushed,
            unflushed: VecDeque::new(),
            refused: None,
            damaged: None,
            behind: false,
        }
    }

    pub fn note_applied(&mut self, bytes: usize) {
        self.window += bytes + ENTRY_OVERHEAD;
        self.total += bytes + ENTRY_OVERHEAD;
    }

    pub fn on_refused(&mut self, upto: Index) {
        self.refused = Some(upto);
    }

    /// The store has no room: no more puts.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// The store is slow: puts wait.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// The store has the state at this index on disk.
    pub fn flushed_index(&self) -> Index {
        self.flushed.index
    }

    /// Bytes of log that were applied and are not in the store on disk.
    pub fn unstored_bytes(&self) -> u64 {
        assert!(self.stored <= self.total, "the store has what was applied");
        (self.total - self.stored) as u64
    }

    fn under_way(&self) -> usize {
        debug_assert!(self.flushed.index <= self.newest, "a move is on disk after it began");
        self.moves.iter().filter(|(meta, _)| meta.index > self.flushed.index).count()
    }
}

impl Replica {
    /// A window is full. What is staged becomes a message soon, in most cases: it is written once then, not twice.
    fn is_window_full(&self) -> bool {
        let (window, full) = (self.compaction.window, self.options.window_bytes);
        window >= full && window - full >= self.state.staged_bytes().min(STAGED_WAIT_MAX)
    }

    /// A window is full, or it is time.
    pub(super) fn is_move_due(&self) -> bool {
        let (applied, newest) = (self.consensus.applied_index(), self.compaction.newest);
        let damage_due =
            self.compaction.damaged.is_some_and(|damaged| applied >= damaged && damaged > newest);
        let interval = if self.lack_of_room().is_some() { MOVE_INTERVAL_WITHOUT_ROOM } else { MOVE_INTERVAL };
        let is_old = applied > newest && self.now.instant.since(self.compaction.moved_at) >= interval;
        let is_much = self.state.unwritten_rows() > ROWS_MAX;
        let is_due = self.is_window_full() || is_much || is_old || self.store_wanted || damage_due;
        is_due && !self.state.is_moving() && self.compaction.under_way() < MOVES_MAX
    }

    /// Moves the store when that is due, to whole entries, and goes on with a move that was begun.
    pub(super) fn move_store(&mut self) {
        let window = self.compaction.window;
        self.compaction.behind = window.saturating_sub(STAGED_WAIT_MAX) / 4 > self.options.window_bytes;
        if !self.state.is_moving() && !self.begin_move() {
            return;
        }
        self.turn.next_phase();
        let share = self.turn.left() as usize;
        let mut work = share;
        let made = self.state.go_on_with_store_batch(&mut work);
        self.turn.spend((share - work) as u64);
        match made {
            Some((batch, written)) => {
                self.compaction.unflushed.push_back((batch.meta.index, written));
                self.out.push(Action::Store(batch));
            }
            None => self.is_not_done = true,
        }
    }

    /// The store moves to the state of this moment, if that is due; its rows take as many turns as they need.
    fn begin_move(&mut self) -> bool {
        if self.applying.is_in_entry() || !self.is_move_due() {
            return false;
        }
        let is_full = self.is_window_full();
        self.store_wanted = false;
        let index = self.consensus.applied_index();
        let Some(term) = self.consensus.term_at(index) else { return false };
        if index <= self.compaction.newest {
            return false;
        }
        let meta = SnapshotMeta {
            queue_manager: self.options.queue_manager,
            index,
            term,
            membership: self.consensus.membership().clone(),
            terms: self.consensus.terms_upto(index),
            installed: false,
        };
        self.state.begin_store_batch(self.compaction.newest, meta.clone());
        self.compaction.newest = index;
        self.compaction.moved_at = self.now.instant;
        // Time moves all nodes at once, a full window each at its own time.
        self.compaction.window = if is_full { 0 } else { head_start(&self.options) };
        self.compaction.moves.push_back((meta, self.compaction.total));
        true
    }

    /// Messages of packs that are mostly gone are packed anew, a little each second, so that the room of what was
    /// removed comes back: they are loaded first, and move with the store when they are there.
    pub(super) fn repack(&mut self) {
        if self.now.instant < self.next_repack {
            return;
        }
        self.next_repack = self.now.instant + REPACK_INTERVAL;
        // A peer that it was kept for may have it now, or be away, while nothing is applied.
        self.cut_log();
        if self.compaction.under_way() > 0 {
            return;
        }
        let mut there = Vec::new();
        let mut missing = Vec::new();
        let mut bytes = 0;
        for key in self.state.sparse_packs(self.options.repack_from_bytes) {
            let queue = self.state.queue(key.queue).expect("it has the pack");
            let pack = queue.packs().get(key).expect("it is sparse");
            if bytes > REPACK_BYTES {
                break;
            }
            bytes += pack.live_bytes();
            if queue.packed_in(key).all(|(_, slot)| slot.message.is_some()) {
                there.push(key);
            } else if !self.loads.is_loading(key) {
                missing.push(Wanted::new(key, pack));
            }
        }
        self.store_wanted |= !there.is_empty();
        self.stats.packs_repacked += there.len() as u64;
        there.into_iter().for_each(|key| self.state.repack(key));
        if !missing.is_empty() {
            self.load_packs(missing);
        }
    }

    pub(super) fn on_store_flushed(&mut self, upto: Index) {
        let compaction = &mut self.compaction;
        if compaction.refused.is_some_and(|refused| refused <= upto) {
            compaction.refused = None;
        }
        let newest = compaction.moves.iter().rev().find(|(meta, _)| meta.index <= upto);
        let Some((meta, stored)) = newest else { return };
        if meta.index <= compaction.flushed.index {
            return;
        }
        compaction.stored = *stored;
        compaction.flushed = meta.clone();
        self.consensus.store_snapshot(meta.clone());
        self.consensus.keep_behind(meta.index);
        while compaction.unflushed.front().is_some_and(|(index, _)| *index <= upto) {
            let (_, packs) = compaction.unflushed.pop_front().expect("just seen");
            for key in packs {
                // Gone meanwhile, or moved again.
                let Some(pack) = self.state.queue(key.queue).and_then(|queue| queue.packs().get(key)) else {
                    continue;
                };
                self.residents.add_survivor(key, pack.bytes() + u64::from(pack.live()) * MESSAGE_WEIGHT);
            }
        }
        self.release_residents();
        self.cut_log();
    }

    /// What is behind the damage is in memory: the store is brought past it, and the log begins there. A restart before
    /// that fetches it from the peers; peers that need what was before get a snapshot.
    pub(super) fn on_log_damaged(&mut self, upto: Index) {
        self.compaction.damaged = self.compaction.damaged.max(Some(upto));
        self.cut_log();
    }

    pub(super) fn cut_log(&mut self) {
        // A peer that was away for longer gets a snapshot then.
        let (retain, retain_present) = match self.lack_of_room() {
            Some(_) => (0, 0),
            None => (self.options.log_retain_bytes, self.options.log_retain_present_bytes),
        };
        let present = self.consensus.progress().into_iter().filter(|peer| peer.active);
        let wanted_behind = present.map(|peer| peer.wants_behind).min();
        let compaction = &mut self.compaction;
        let flushed = match planted::is(Bug::CutLogEarly) {
            true => compaction.newest,
            false => compaction.flushed.index,
        };
        let total = compaction.total;
        let mut cut = None;
        while let Some((meta, at)) = compaction.moves.front() {
            let is_wanted = wanted_behind.is_some_and(|behind| meta.index > behind);
            let kept = if is_wanted { retain_present.max(retain) } else { retain };
            if meta.index > flushed || total - at < kept {
                break;
            }
            cut = Some(meta.index);
            compaction.moves.pop_front();
        }
        if compaction.damaged.is_some_and(|damaged| damaged <= flushed) {
            compaction.damaged = None;
            compaction.moves.retain(|(meta, _)| meta.index > flushed);
            cut = Some(flushed);
        }
        if let Some(upto) = cut {
            self.consensus.compact(upto);
            self.out.push(Action::TruncateLog { upto });
        }
    }

    /// A snapshot took the place of everything before it.
    pub(super) fn restart_compaction(&mut self, meta: SnapshotMeta) {
        self.consensus.keep_behind(meta.index);
        self.compaction = Compaction::new(meta, &self.options);
    }
}
