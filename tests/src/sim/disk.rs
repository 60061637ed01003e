//! What a simulated node has for disks: the log and the message store, with honest rules for what a crash leaves.
//!
//! [`Disk`] is what the world asks for. [`MemoryDisk`] is depth A: what was written and not synced may be there after
//! a crash in any prefix, or not at all; what was synced is there, unless a fault of its own damages it. Depth B, the
//! production stores, is in `depth_b`.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use trimaran_node::consensus::{Entry, HardState, LogWrite, Parted, Recovered};
use trimaran_node::qmgr::{
    Family, LoadError, LoadRequest, QueueManager, RowChange, RowSource, StoreBatch, StoreReadError,
};
use trimaran_node::runtime::recover::{Expected, Started};
use trimaran_node::types::{
    Index, Membership, ObjectName, QueueManagerId, SnapshotMeta, Speaks, Term, TermStarts,
};

use super::rng::Rng;

pub type Rows = BTreeMap<(Family, Bytes), Bytes>;

/// What a node finds at start, before consensus looks at it.
struct Found {
    hard_state: HardState,
    entries: Vec<Entry>,
    /// Less is there than the node acknowledged, or something was damaged.
    damaged: bool,
    /// Nothing was ever written here.
    empty: bool,
    /// The highest entry that it acknowledged, as its mark has it.
    acknowledged: Index,
    rows: StoredRows,
}

/// How deep a run goes below the replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Stores in memory.
    #[default]
    A,
    /// The production stores: raft-engine over a file system that forgets, RocksDB in a temporary directory.
    B,
}

/// A consistent picture of one queue manager's rows.
#[derive(Clone, Debug, Default)]
pub struct StoredRows {
    pub meta: Option<SnapshotMeta>,
    pub rows: Rows,
}

impl StoredRows {
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|((_, key), value)| key.len() + value.len()).sum()
    }
}

impl RowSource for StoredRows {
    fn scan(&self, family: Family, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreReadError> {
        for ((_, key), value) in
            self.rows.range((family, Bytes::new())..).take_while(|((f, _), _)| *f == family)
        {
            row(key, value);
        }
        Ok(())
    }

    fn meta(&self) -> Result<Option<SnapshotMeta>, StoreReadError> {
        Ok(self.meta.clone())
    }
}

/// The calls that can fail. At depth B those of the log are the calls to its files.
pub fn calls(depth: Depth) -> &'static [&'static str] {
    match depth {
        Depth::A => &[
            "open the stores",
            "write the log",
            "sync the log",
            "cut the log",
            "read the log",
            "write the mark",
            "write the message store",
            "flush the message store",
            "read the message store",
            "read a snapshot",
            "install a snapshot",
        ],
        Depth::B => &[
            "log: create a file",
            "log: open a file",
            "log: read a file",
            "log: write a file",
            "log: sync a file",
            "log: rename a file",
            "log: truncate a file",
            "log: delete a file",
            "write the message store",
            "flush the message store",
            "read the message store",
            "read a snapshot",
            "install a snapshot",
        ],
    }
}

/// The numbers of the calls of each kind.
#[derive(Clone, Debug, Default)]
pub struct Sites(pub BTreeMap<&'static str, Vec<u64>>);

impl Sites {
    pub fn note(&mut self, call: &'static str, number: u64) {
        self.0.entry(call).or_default().push(number);
    }
}

/// A call to the disk failed and the process must end (EIO, or no space where there must be some).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFailed {
    pub call: &'static str,
    pub how: Failure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    Error,
    NoSpace,
    ShortWrite,
    Crash,
}

impl Failure {
    pub const ALL: [Failure; 4] = [Failure::Error, Failure::NoSpace, Failure::ShortWrite, Failure::Crash];
}

/// Why a process did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailed {
    /// The disk failed once more: whoever starts processes tries again.
    Disk(DiskFailed),
    /// A newer program wrote what is there.
    Version(String),
    /// What no disk may do to a node.
    Broken(String),
}

/// What became of something that needs room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// Nothing was done; to be tried again. `is_news`: the first time.
    Lacking {
        is_news: bool,
    },
}

/// What became of a snapshot.
pub enum Installed {
    Done(Box<QueueManager>),
    /// The store has moved on: nothing was done.
    Late,
}

/// What the stores of a node do for a replica. Calls that reach the device count, so that each can be made to fail.
pub trait Disk {
    /// A process starts on what is there.
    fn start(&mut self, expected: &[Expected]) -> Result<Vec<Started>, StartFailed>;

    /// Not durable before [`Disk::finish_log`].
    fn write_log(&mut self, write: &LogWrite) -> Result<(), DiskFailed>;
    /// Ends the batch that was written; with `sync` it is durable then.
    fn finish_log(&mut self, sync: bool) -> Result<Room, DiskFailed>;
    fn cut_log(&mut self, queue_manager: QueueManagerId, upto: Index) -> Result<(), DiskFailed>;
    /// The node has everything again that it once acknowledged.
    fn caught_up(&mut self, queue_manager: QueueManagerId) -> Result<(), DiskFailed>;
    /// The node has another history than a leader, or no longer so.
    fn note_parted(
        &mut self,
        queue_manager: QueueManagerId,
        parted: Option<Parted>,
    ) -> Result<(), DiskFailed>;
    /// What a process does now and then.
    fn tend(&mut self, _now: u64) -> Result<(), DiskFailed> {
        Ok(())
    }
    fn read_log(
        &mut self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Vec<Entry>;

    /// Visible to reads at once, not durable before [`Disk::flush_store`]. Nothing happens to a batch that is the
    /// difference to another state than the store is in.
    fn store(&mut self, batch: &StoreBatch, now: u64) -> Result<Room, DiskFailed>;
    /// Durable indexes, one for each queue manager that moved.
    fn flush_store(&mut self) -> Result<Vec<(QueueManagerId, Index)>, DiskFailed>;
    /// An error is a damaged row: the process must end.
    fn load(&mut self, request: &LoadRequest) -> Result<Vec<Option<Bytes>>, String>;
    /// What a peer gets. An error is a damaged row: the process must end.
    fn snapshot(&mut self, queue_manager: QueueManagerId) -> Result<Option<StoredRows>, String>;
    /// Rows that must be exactly the state at [`Disk::rows_index`].
    fn rows(&mut self, queue_manager: QueueManagerId) -> StoredRows;
    fn rows_index(&self, queue_manager: QueueManagerId) -> Index;
    /// The index of everything that was given to [`Disk::store`].
    fn stored_index(&mut self, queue_manager: QueueManagerId) -> Index;
    /// Replaces a queue manager's rows as a whole, durably.
    fn install(&mut self, rows: &StoredRows, name: ObjectName) -> Result<Installed, DiskFailed>;

    /// The process ended; with `power_cut` what the kernel had not written went with it.
    fn crash(&mut self, power_cut: bool, rng: &mut Rng);

    /// The newest durable index of the log and its term, for the checks.
    fn durable_last(&self, queue_manager: QueueManagerId) -> (Index, Term);
    fn durable_term_at(&self, queue_manager: QueueManagerId, index: Index) -> DurableAt;
    fn flushed_index(&self, queue_manager: QueueManagerId) -> Index;
    /// What the stores did that no disk fault explains.
    fn complaint(&mut self) -> Option<String> {
        None
    }
    /// Things worth counting that happened since the last time.
    fn take_marks(&mut self) -> Vec<&'static str>;

    /// Faults.
    fn lose_everything(&mut self);
    fn lose_store(&mut self);
    /// Bits flip in the log so that it ends early: about `entries` of its newest entries are gone.
    fn shorten_log(&mut self, queue_manager: QueueManagerId, entries: u64) -> bool;
    /// Damages stored rows where they lie, until [`Disk::mend_rows`]. False: nothing is there, or this disk leaves it
    /// to the world.
    fn damage_rows(&mut self) -> bool {
        false
    }
    fn mend_rows(&mut self) {}
    fn has_damaged_rows(&self) -> bool {
        false
    }
    /// Space ends, or is there again. False: this disk leaves it to the world.
    fn set_store_room(&mut self, _room: bool) -> bool {
        false
    }
    /// A backup of what is durable, to be restored later.
    fn copy(&self) -> Box<dyn Any>;
    fn restore(&mut self, copy: &dyn Any);
    fn plan_failure(&mut self, call_number: u64, how: Failure);
    /// A failure is planned and has not happened.
    fn is_failure_due(&self) -> bool;
    fn calls_made(&self) -> u64;
    fn sites(&self) -> Sites;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurableAt {
    Term(Term),
    /// Below what the log still has; it is in the flushed store.
    Cut,
    Missing,
}

/// What the log of one queue manager holds, as a log without files would have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Region {
    pub hard_state: HardState,
    /// Index and term just before the first entry.
    pub before: (Index, Term),
    pub entries: VecDeque<Entry>,
    pub written: bool,
}

impl Region {
    pub fn last(&self) -> (Index, Term) {
        self.entries.back().map_or(self.before, |entry| (entry.index, entry.term))
    }

    fn last_in_order(&self) -> (Term, Index) {
        let (index, term) = self.last();
        (term, index)
    }

    pub fn write(&mut self, write: &LogWrite) {
        self.written = true;
        if let Some(hard) = write.hard_state {
            self.hard_state = hard;
        }
        if let Some((index, term)) = write.restart_after {
            self.entries.clear();
            self.before = (index, term);
        }
        if let Some(first) = write.entries.first() {
            while self.entries.back().is_some_and(|entry| entry.index >= first.index) {
                self.entries.pop_back();
            }
            if self.entries.is_empty() && self.before.0.next() != first.index {
                assert!(
                    first.index <= self.before.0 || self.before == (Index(0), Term(0)),
                    "the log is asked to continue at {} after {}",
                    first.index,
                    self.before.0
                );
                self.before = (Index(first.index.0 - 1), Term(0));
            }
            assert_eq!(self.last().0.next(), first.index, "the log is asked to keep a gap");
            self.entries.extend(write.entries.iter().cloned());
        }
    }

    pub fn cut(&mut self, upto: Index) {
        while self.entries.front().is_some_and(|entry| entry.index <= upto) {
            let entry = self.entries.pop_front().expect("just looked at");
            self.before = (entry.index, entry.term);
        }
    }

    pub fn term_at(&self, index: Index) -> DurableAt {
        if index <= self.before.0 {
            return DurableAt::Cut;
        }
        match self.entries.get((index.0 - self.before.0.0 - 1) as usize) {
            Some(entry) => DurableAt::Term(entry.term),
            None => DurableAt::Missing,
        }
    }
}

/// Highest (term, index) ever acknowledged, in Raft's order of logs, and the newest term and vote.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    last: (Term, Index),
    hard_state: HardState,
}

impl Mark {
    fn raise(&mut self, other: Mark) {
        self.last = self.last.max(other.last);
        if (other.hard_state.term, other.hard_state.vote) >= (self.hard_state.term, self.hard_state.vote) {
            self.hard_state = other.hard_state;
        }
    }
}

#[derive(Clone, Debug)]
enum LogOperation {
    Write(LogWrite),
    Cut(QueueManagerId, Index),
}

#[derive(Clone, Debug, Default)]
struct Log {
    current: BTreeMap<u32, Region>,
    durable: BTreeMap<u32, Region>,
    unsynced: Vec<LogOperation>,
    /// The acknowledged high-water mark, kept outside the log and written one sync late.
    mark: BTreeMap<u32, Mark>,
    mark_next: BTreeMap<u32, Mark>,
}

fn carry_out(regions: &mut BTreeMap<u32, Region>, operation: &LogOperation) {
    match operation {
        LogOperation::Write(write) => regions.entry(write.queue_manager.0).or_default().write(write),
        LogOperation::Cut(queue_manager, upto) => regions.entry(queue_manager.0).or_default().cut(*upto),
    }
}

#[derive(Clone, Debug, Default)]
struct Store {
    rows: Rows,
    metas: BTreeMap<u32, SnapshotMeta>,
}

/// Makes a batch's changes in rows.
pub fn apply_changes(rows: &mut Rows, changes: &[RowChange]) {
    for change in changes {
        match change {
            RowChange::Put { family, key, value } => {
                rows.insert((*family, key.clone()), value.clone());
            }
            RowChange::PutParts { family, key, parts } => {
                rows.insert((*family, key.clone()), parts.concat().into());
            }
            RowChange::Delete { family, key } => {
                rows.remove(&(*family, key.clone()));
            }
            RowChange::DeleteRange { family, from, until } => {
                let doomed: Vec<_> = rows
                    .range((*family, from.clone())..(*family, until.clone()))
                    .map(|(key, _)| key.clone())
                    .collect();
                doomed.iter().for_each(|key| {
                    rows.remove(key);
                });
            }
        }
    }
}

impl Store {
    fn apply(&mut self, batch: &StoreBatch) {
        apply_changes(&mut self.rows, &batch.changes);
        self.metas.insert(batch.meta.queue_manager.0, batch.meta.clone());
    }

    fn of(&self, queue_manager: QueueManagerId) -> StoredRows {
        let prefix = queue_manager.0.to_be_bytes();
        let mut rows = Rows::new();
        for family in Family::ALL {
            let from = Bytes::copy_from_slice(&prefix);
            for (key, value) in self.rows.range((family, from)..) {
                if key.0 != family || !key.1.starts_with(&prefix) {
                    break;
                }
                rows.insert(key.clone(), value.clone());
            }
        }
        StoredRows { meta: self.metas.get(&queue_manager.0).cloned(), rows }
    }

    fn replace(&mut self, new: &StoredRows) {
        let Some(meta) = &new.meta else { return };
        let prefix = meta.queue_manager.0.to_be_bytes();
        self.rows.retain(|(_, key), _| !key.starts_with(&prefix));
        self.rows.extend(new.rows.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.metas.insert(meta.queue_manager.0, meta.clone());
    }
}

/// Depth A.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    log: Log,
    store: Store,
    flushed: Store,
    unflushed: Vec<StoreBatch>,
    /// Queue managers that lost what they had and have not caught up. In production the mark says so.
    recovering: BTreeSet<u32>,
    parted: BTreeMap<u32, Parted>,
    calls: u64,
    sites: Sites,
    failure: Option<(u64, Failure)>,
    marks: Vec<&'static str>,
}

impl MemoryDisk {
    fn call(&mut self, call: &'static str) -> Result<(), DiskFailed> {
        self.calls += 1;
        self.sites.note(call, self.calls);
        match self.failure {
            Some((number, how)) if number == self.calls => Err(DiskFailed { call, how }),
            _ => Ok(()),
        }
    }

    /// The device with other contents: what was counted and what is planned stays.
    fn with_files_of(&mut self, other: MemoryDisk) -> MemoryDisk {
        let (sites, marks) = (std::mem::take(&mut self.sites), std::mem::take(&mut self.marks));
        MemoryDisk { calls: self.calls, failure: self.failure, sites, marks, ..other }
    }

    /// A store that could not be read is not trusted any more, as in production: the process ends, and the next one
    /// begins without it.
    fn read_store(&mut self, call: &'static str) -> Result<(), String> {
        self.call(call).map_err(|failed| {
            self.marks.push(call);
            self.lose_store();
            format!("{call}: {:?}", failed.how)
        })
    }

    fn find(&mut self, queue_manager: QueueManagerId) -> Found {
        let mut rows = self.flushed.of(queue_manager);
        let region = self.log.current.entry(queue_manager.0).or_default();
        let mark = self.log.mark.get(&queue_manager.0).copied().unwrap_or_default();
        let empty = !region.written && rows.meta.is_none();
        let mut damaged = false;
        let stored = rows.meta.as_ref().map_or((Index(0), Term(0)), |meta| (meta.index, meta.term));
        let begins_at = if stored.0 == Index(0) { Index(2) } else { stored.0.next() };
        let mut entries: Vec<Entry> =
            region.entries.iter().filter(|entry| entry.index >= begins_at).cloned().collect();
        // A gap between store and log, because the store was lost after the log was cut: it cannot be replayed.
        if region.before.0.next() > begins_at {
            damaged |= region.written;
            entries.clear();
            rows = if stored.0 == Index(0) { StoredRows::default() } else { rows };
        }
        if entries.is_empty() {
            region.entries.clear();
            region.before = if stored.0 == Index(0) { (Index(1), Term(1)) } else { stored };
        }
        let last = entries.last().map_or((stored.1, stored.0), |entry| (entry.term, entry.index));
        // What every log begins behind was never written, and is there all the same.
        damaged |= last.max((Term(1), Index(1))) < mark.last;
        let mut hard_state = region.hard_state;
        if hard_state.term < last.0 {
            hard_state = HardState { term: last.0, vote: None, ..hard_state };
        }
        if (hard_state.term, hard_state.vote) < (mark.hard_state.term, mark.hard_state.vote) {
            damaged = true;
            hard_state = mark.hard_state;
        }
        hard_state.commit = hard_state.commit.min(last.1).max(stored.0);
        region.hard_state = hard_state;
        let region = region.clone();
        self.log.durable.insert(queue_manager.0, region);
        Found { hard_state, entries, damaged, empty, acknowledged: mark.last.1.max(last.1), rows }
    }
}

impl Disk for MemoryDisk {
    fn write_log(&mut self, write: &LogWrite) -> Result<(), DiskFailed> {
        let result = self.call("write the log");
        if result.as_ref().is_err_and(|failed| matches!(failed.how, Failure::Error | Failure::NoSpace)) {
            return result;
        }
        if result.is_ok() {
            let operation = LogOperation::Write(write.clone());
            carry_out(&mut self.log.current, &operation);
            self.log.unsynced.push(operation);
        }
        // A short write leaves a torn batch, which recovery drops: the same as none.
        result
    }

    fn finish_log(&mut self, sync: bool) -> Result<Room, DiskFailed> {
        if !sync {
            return Ok(Room::Enough);
        }
        self.call("sync the log")?;
        let log = &mut self.log;
        // The mark of the sync before this one becomes durable with it; what is overwritten now is not promised.
        for (queue_manager, mark) in std::mem::take(&mut log.mark_next) {
            log.mark.entry(queue_manager).or_default().raise(mark);
        }
        for operation in log.unsynced.drain(..) {
            carry_out(&mut log.durable, &operation);
            if let LogOperation::Write(write) = &operation {
                let region = &log.durable[&write.queue_manager.0];
                let mark = log.mark_next.entry(write.queue_manager.0).or_default();
                mark.last = mark.last.max(region.last_in_order());
                mark.hard_state = region.hard_state;
            }
        }
        Ok(Room::Enough)
    }

    fn cut_log(&mut self, queue_manager: QueueManagerId, upto: Index) -> Result<(), DiskFailed> {
        self.call("cut the log")?;
        let operation = LogOperation::Cut(queue_manager, upto);
        carry_out(&mut self.log.current, &operation);
        self.log.unsynced.push(operation);
        Ok(())
    }

    fn caught_up(&mut self, queue_manager: QueueManagerId) -> Result<(), DiskFailed> {
        self.call("write the mark")?;
        self.recovering.remove(&queue_manager.0);
        Ok(())
    }

    fn note_parted(
        &mut self,
        queue_manager: QueueManagerId,
        parted: Option<Parted>,
    ) -> Result<(), DiskFailed> {
        match parted {
            _ if self.parted.get(&queue_manager.0) == parted.as_ref() => return Ok(()),
            Some(parted) => self.parted.insert(queue_manager.0, parted),
            None => self.parted.remove(&queue_manager.0),
        };
        self.call("write the mark")
    }

    fn read_log(
        &mut self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Vec<Entry> {
        if let Err(failed) = self.call("read the log") {
            // As the log's reading thread does: the peer gets a snapshot instead.
            self.marks.push(failed.call);
            return Vec::new();
        }
        let Some(region) = self.log.current.get(&queue_manager.0) else { return Vec::new() };
        if first <= region.before.0 {
            return Vec::new();
        }
        let mut bytes = 0;
        let mut entries = Vec::new();
        let skipped = (first.0 - region.before.0.0 - 1) as usize;
        for entry in region.entries.iter().skip(skipped).take_while(|entry| entry.index < until) {
            bytes += entry.data.len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        entries
    }

    fn store(&mut self, batch: &StoreBatch, _now: u64) -> Result<Room, DiskFailed> {
        // A snapshot that was installed meanwhile is what a batch from before is no difference from.
        let stored = self.stored_index(batch.meta.queue_manager);
        if batch.base == stored || (stored == Index(0) && batch.base <= Index(1)) {
            self.call("write the message store")?;
            self.store.apply(batch);
            self.unflushed.push(batch.clone());
        }
        Ok(Room::Enough)
    }

    fn flush_store(&mut self) -> Result<Vec<(QueueManagerId, Index)>, DiskFailed> {
        if self.unflushed.is_empty() {
            return Ok(Vec::new());
        }
        self.call("flush the message store")?;
        let mut moved = BTreeMap::new();
        for batch in self.unflushed.drain(..) {
            self.flushed.apply(&batch);
            moved.insert(batch.meta.queue_manager.0, batch.meta.index);
        }
        Ok(moved.into_iter().map(|(queue_manager, index)| (QueueManagerId(queue_manager), index)).collect())
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Vec<Option<Bytes>>, String> {
        self.read_store("read the message store")?;
        let row = |(family, key): &(Family, Bytes)| {
            self.store.rows.get(&(*family, Bytes::copy_from_slice(key))).cloned()
        };
        Ok(request.keys.iter().map(row).collect())
    }

    fn snapshot(&mut self, queue_manager: QueueManagerId) -> Result<Option<StoredRows>, String> {
        self.read_store("read a snapshot")?;
        Ok(Some(self.flushed.of(queue_manager)).filter(|rows| rows.meta.is_some()))
    }

    fn rows(&mut self, queue_manager: QueueManagerId) -> StoredRows {
        self.flushed.of(queue_manager)
    }

    fn rows_index(&self, queue_manager: QueueManagerId) -> Index {
        self.flushed_index(queue_manager)
    }

    fn stored_index(&mut self, queue_manager: QueueManagerId) -> Index {
        self.store.metas.get(&queue_manager.0).map_or(Index(0), |meta| meta.index)
    }

    fn install(&mut self, rows: &StoredRows, name: ObjectName) -> Result<Installed, DiskFailed> {
        let Some(meta) = &rows.meta else { return Ok(Installed::Late) };
        if self.stored_index(meta.queue_manager) >= meta.index {
            return Ok(Installed::Late);
        }
        self.call("install a snapshot")?;
        self.unflushed.retain(|batch| batch.meta.queue_manager != meta.queue_manager);
        self.store.replace(rows);
        self.flushed.replace(rows);
        let loaded = QueueManager::load(meta.queue_manager, name, rows, Speaks::RELEASE);
        Ok(Installed::Done(Box::new(loaded.expect("the rows are the sender's, which loads them too"))))
    }

    fn crash(&mut self, power_cut: bool, rng: &mut Rng) {
        // Without a power cut the kernel still has what was written; the store's memory is gone either way.
        let survive =
            if power_cut { rng.below(self.log.unsynced.len() as u64 + 1) as usize } else { usize::MAX };
        for operation in std::mem::take(&mut self.log.unsynced).iter().take(survive) {
            carry_out(&mut self.log.durable, operation);
        }
        self.log.current = self.log.durable.clone();
        if !power_cut {
            for (queue_manager, mark) in std::mem::take(&mut self.log.mark_next) {
                self.log.mark.entry(queue_manager).or_default().raise(mark);
            }
        }
        self.log.mark_next.clear();
        self.unflushed.clear();
        self.store = self.flushed.clone();
    }

    fn start(&mut self, expected: &[Expected]) -> Result<Vec<Started>, StartFailed> {
        self.call("open the stores").map_err(StartFailed::Disk)?;
        let start = |one: &Expected| {
            let found = self.find(one.id);
            let queue_manager = match &found.rows.meta {
                Some(_) => QueueManager::load(one.id, one.name.clone(), &found.rows, one.speaks).map_err(
                    |error| match error {
                        LoadError::Version(error) => StartFailed::Version(error.to_string()),
                        LoadError::Read(error) => StartFailed::Broken(error.to_string()),
                    },
                )?,
                None => QueueManager::new(one.id, one.name.clone()),
            };
            if found.damaged || found.empty {
                self.recovering.insert(one.id.0);
            }
            // What was committed when it parted is so, as far as it is still there.
            let last = found.entries.last().map(|entry| entry.index);
            let last = last.or_else(|| found.rows.meta.as_ref().map(|meta| meta.index)).unwrap_or_default();
            let parted = self.parted.get(&one.id.0).filter(|parted| parted.index <= last).copied();
            let commit =
                parted.map_or(Index(0), |parted| parted.commit.min(last)).max(found.hard_state.commit);
            let recovered = Recovered {
                parted,
                hard_state: HardState { commit, ..found.hard_state },
                snapshot: found.rows.meta.unwrap_or_else(|| one.initial.clone()),
                entries: found.entries,
                recovering: self.recovering.contains(&one.id.0),
                since_start: Duration::ZERO,
                acknowledged: Some(found.acknowledged),
            };
            Ok(Started { recovered, queue_manager })
        };
        expected.iter().map(start).collect()
    }

    fn durable_last(&self, queue_manager: QueueManagerId) -> (Index, Term) {
        self.log.durable.get(&queue_manager.0).map(Region::last).unwrap_or_default()
    }

    fn durable_term_at(&self, queue_manager: QueueManagerId, index: Index) -> DurableAt {
        if index <= self.flushed_index(queue_manager) {
            return DurableAt::Cut;
        }
        self.log.durable.get(&queue_manager.0).map_or(DurableAt::Missing, |region| region.term_at(index))
    }

    fn flushed_index(&self, queue_manager: QueueManagerId) -> Index {
        self.flushed.metas.get(&queue_manager.0).map_or(Index(0), |meta| meta.index)
    }

    fn take_marks(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.marks)
    }

    fn lose_everything(&mut self) {
        let recovering = std::mem::take(&mut self.recovering);
        *self = MemoryDisk { recovering, ..self.with_files_of(MemoryDisk::default()) };
    }

    fn lose_store(&mut self) {
        self.store = Store::default();
        self.flushed = Store::default();
        self.unflushed.clear();
    }

    fn shorten_log(&mut self, queue_manager: QueueManagerId, entries: u64) -> bool {
        let Some(region) = self.log.current.get_mut(&queue_manager.0) else { return false };
        let gone = entries.min(region.entries.len() as u64);
        for _ in 0..gone {
            region.entries.pop_back();
        }
        self.log.durable.insert(queue_manager.0, region.clone());
        gone > 0
    }

    fn copy(&self) -> Box<dyn Any> {
        let mut copy = self.clone();
        copy.log.unsynced.clear();
        copy.log.mark_next.clear();
        copy.log.current = copy.log.durable.clone();
        copy.store = copy.flushed.clone();
        copy.unflushed.clear();
        Box::new(copy)
    }

    fn restore(&mut self, copy: &dyn Any) {
        if let Some(copy) = copy.downcast_ref::<MemoryDisk>() {
            let recovering = std::mem::take(&mut self.recovering);
            *self = MemoryDisk { recovering, ..self.with_files_of(copy.clone()) };
        }
    }

    fn plan_failure(&mut self, call_number: u64, how: Failure) {
        self.failure = Some((call_number, how));
    }

    fn is_failure_due(&self) -> bool {
        self.failure.is_some_and(|(number, _)| number > self.calls)
    }

    fn calls_made(&self) -> u64 {
        self.calls
    }

    fn sites(&self) -> Sites {
        self.sites.clone()
    }
}

/// The membership every node's cluster file begins with.
pub fn initial_snapshot(queue_manager: QueueManagerId, membership: &Membership) -> SnapshotMeta {
    SnapshotMeta {
        queue_manager,
        index: Index(1),
        term: Term(1),
        membership: membership.clone(),
        terms: TermStarts::default(),
        installed: false,
    }
}
