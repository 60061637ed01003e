//! The log over raft-engine: one region a queue manager, generic over the file system so that the simulator can run
//! this very code on a disk that forgets.
//!
//! raft-engine 0.4.2 needs three things built around it, all here: reads and purges exclude each other (its files
//! vanish under a reader otherwise), its files are verified before it opens them (it verifies headers only), and a
//! failed sync is noticed through the file system (it panics).

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use raft_engine::env::FileSystem;
use raft_engine::{Command, Config, Engine, LogBatch, ReadableSize, RecoveryMode};

use super::direct::{self, LogFs};
use super::entry_codec::{StoredEntry, StoredEntryExt, check_entry};
use super::files::{self, Checked};
use super::fs::{Watch, WatchedFs};
use super::mark::{Acknowledged, MarkFile, sync_names};
use super::room::Ballast;
use super::{Damage, LogError, LogOptions, LogStore};
use crate::consensus::{Entry, HardState, LogWrite, Parted};
use crate::types::{Index, NodeId, QueueManagerId, Term};

/// Key of the hard state in a region.
const HARD_STATE: &[u8] = b"h";
/// Entries looked up at a time: the engine makes a list of all it is asked for.
const READ_ENTRIES_MAX: u64 = 1024;

type EngineOver<F> = Engine<WatchedFs<F>>;

pub struct RaftEngineLog<F: FileSystem = LogFs> {
    shared: Arc<Shared<F>>,
    marks: MarkFile<F>,
    watch: Arc<Watch>,
    regions: BTreeMap<QueueManagerId, Region>,
    /// Files that were opened found these; told with the first recovery.
    pub(super) checked: Checked,
    /// The log directory could not be used and is empty now.
    pub(super) begun_anew: bool,
    batch: LogBatch,
    scratch: Vec<StoredEntry>,
    purged_at_bytes: u64,
    /// A replica that gave a vote is not recovering any more: soon durable, or a power cut of all nodes of a new
    /// group leaves nodes that voted and may not.
    mark_is_urgent: bool,
    options: LogOptions,
}

pub(super) struct Shared<F: FileSystem> {
    engine: EngineOver<F>,
    /// Readers share it, `purge` has it alone.
    purge: RwLock<()>,
    directory: PathBuf,
}

/// What is in the log of one queue manager, as this process wrote or read it.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    hard_state: HardState,
    last: (Term, Index),
    /// Synced up to here; the mark follows this, not `last`.
    synced: Acknowledged,
    /// The first entry that was kept at the last purge.
    purged_before: u64,
}

impl RaftEngineLog<LogFs> {
    pub fn open(options: LogOptions) -> Result<Self, LogError> {
        RaftEngineLog::open_with(options, Arc::new(direct::log_files()))
    }
}

impl<F: FileSystem> RaftEngineLog<F> {
    /// Opens the log. A directory that cannot be used is moved aside, with a sentence, and the log begins anew;
    /// `recover` then says so. An error means that the device itself does not answer.
    pub fn open_with(options: LogOptions, fs: Arc<F>) -> Result<RaftEngineLog<F>, LogError> {
        let open_error = |reason: String| LogError::Open { directory: options.directory.clone(), reason };
        let directory = options.directory.join("engine");
        std::fs::create_dir_all(&options.directory)
            .map_err(|error| open_error(format!("create it: {error}")))?;
        let ballast = Ballast::prepare(options.directory.join("ballast"), options.ballast_bytes);
        let watch = Arc::new(Watch::new(ballast));
        let watched = Arc::new(WatchedFs { inner: fs.clone(), watch: watch.clone() });

        let mut sentences = Vec::new();
        let mark_path = options.directory.join("mark");
        let mut marks = MarkFile::open(fs.as_ref(), &mark_path, &mut sentences)
            .map_err(|error| LogError::mark(&mark_path, error))?;

        let aside = free_name(&options.directory);
        let opened = files::check_directory(watched.as_ref(), &directory, &aside, &mut || marks.distrust())
            .map_err(Unusable::from)
            .and_then(|checked| Ok((checked, open_engine(&options, &directory, &watched)?)));
        if let Some(reason) = watch.sync_failed.lock().take() {
            return Err(LogError::Sync { directory, reason });
        }
        let (mut checked, engine, begun_anew) = match opened {
            Ok((checked, engine)) => (checked, engine, false),
            Err(Unusable::Device(reason)) => return Err(open_error(reason)),
            Err(Unusable::Content(reason)) => {
                marks.distrust().map_err(|error| LogError::mark(&mark_path, error))?;
                let aside = free_name(&options.directory);
                std::fs::rename(&directory, &aside).map_err(|error| {
                    open_error(format!(
                        "it cannot be used ({reason}) and cannot be moved to {}: {error}",
                        aside.display()
                    ))
                })?;
                sentences.push(format!(
                    "the log in {} cannot be used ({reason}); it was moved to {} and begins anew",
                    directory.display(),
                    aside.display()
                ));
                let engine = open_engine(&options, &directory, &watched);
                (Checked::default(), engine.map_err(|error| open_error(error.into_reason()))?, true)
            }
        };
        sentences.append(&mut checked.sentences);
        checked.sentences = sentences;
        if let Some(reason) = watch.sync_failed.lock().take() {
            return Err(LogError::Sync { directory, reason });
        }
        // The engine syncs the names of files that it begins later, and not those of its first ones.
        for directory in [&directory, &options.directory] {
            sync_names(directory).map_err(|error| open_error(format!("sync it: {error}")))?;
        }
        let shared = Arc::new(Shared { engine, purge: RwLock::new(()), directory });
        Ok(RaftEngineLog {
            shared,
            marks,
            watch,
            regions: BTreeMap::new(),
            checked,
            begun_anew,
            batch: LogBatch::default(),
            scratch: Vec::new(),
            purged_at_bytes: 0,
            mark_is_urgent: false,
            options,
        })
    }

    /// Reads while another thread writes.
    pub fn reader(&self) -> LogReader<F> {
        LogReader { shared: self.shared.clone() }
    }

    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    /// Bytes written to log files and syncs of them since the log was opened.
    pub fn written(&self) -> (u64, u64) {
        (self.watch.bytes_written.load(Ordering::Relaxed), self.watch.syncs.load(Ordering::Relaxed))
    }

    /// Bytes of files that a purge has not given back yet.
    pub fn used_bytes(&self) -> u64 {
        self.shared.engine.get_used_size() as u64
    }

    /// So much was written since somebody looked that another purge should not wait.
    pub fn is_purge_due(&self) -> bool {
        self.written().0 - self.purged_at_bytes >= self.options.file_bytes
    }

    /// Purges when that would give files back, and otherwise is not due again before as much more was written.
    pub fn purge_if_worth_it(&mut self) -> Result<(), LogError> {
        self.purged_at_bytes = self.written().0;
        if self.is_purge_worth_it() { self.purge() } else { Ok(()) }
    }

    /// With less than a quarter of the log cut off, the engine would begin to copy what is kept to other files, and a log
    /// that is kept for a peer would be written twice.
    fn is_purge_worth_it(&self) -> bool {
        let (mut gone, mut kept) = (0, 0);
        for (queue_manager, region) in &self.regions {
            let (first, count) = self.kept(*queue_manager, region);
            gone += first.saturating_sub(region.purged_before);
            kept += count;
        }
        gone * 3 >= kept
    }

    /// The first entry that is kept, and how many are.
    fn kept(&self, queue_manager: QueueManagerId, region: &Region) -> (u64, u64) {
        match self.span(queue_manager) {
            Some((first, last)) => (first.0, last.0 + 1 - first.0),
            None => (region.last.1.0 + 1, 0),
        }
    }

    /// Takes the reserve again when there is room for it.
    pub fn restore_ballast(&self) {
        self.watch.ballast.restore();
    }

    /// Syncs the mark's file from another thread, after `write_mark`.
    pub(super) fn mark_sync(&mut self) -> super::mark::MarkSync<F> {
        self.marks.sync_elsewhere()
    }

    pub(super) fn mark_is_unsynced(&self) -> bool {
        self.marks.is_unsynced()
    }

    pub(super) fn marks(&self) -> &MarkFile<F> {
        &self.marks
    }

    pub(super) fn set_mark(
        &mut self,
        queue_manager: QueueManagerId,
        mark: Acknowledged,
    ) -> Result<(), LogError> {
        self.change_marks(|marks| marks.set(queue_manager, mark))
    }

    /// A mark that is the first of its queue manager needs room: on a device that is full the ballast is given up for it.
    fn change_marks(&mut self, change: impl Fn(&mut MarkFile<F>) -> io::Result<()>) -> Result<(), LogError> {
        let mut changed = change(&mut self.marks);
        let is_full = matches!(&changed, Err(error) if error.kind() == io::ErrorKind::StorageFull);
        if is_full && self.watch.ballast.release() {
            changed = change(&mut self.marks);
        }
        changed.map_err(|error| LogError::mark(self.marks.path(), error))
    }

    pub(super) fn span(&self, queue_manager: QueueManagerId) -> Option<(Index, Index)> {
        self.shared.span(queue_manager)
    }

    pub(super) fn stored_hard_state(&self, queue_manager: QueueManagerId) -> Option<HardState> {
        self.shared.engine.get(region(queue_manager), HARD_STATE).and_then(|value| decode_hard_state(&value))
    }

    /// Entries of an inclusive range, one read after the other, up to the first that cannot be read.
    pub(super) fn read_good(
        &self,
        queue_manager: QueueManagerId,
        first: Index,
        last: Index,
    ) -> (Vec<Entry>, Option<(Index, String)>) {
        let mut entries: Vec<Entry> =
            Vec::with_capacity((last.0 + 1).saturating_sub(first.0).min(1 << 20) as usize);
        let mut next = first;
        while next <= last {
            match self.shared.read(queue_manager, next, last.next(), 8 << 20) {
                Ok(run) if run.is_empty() => return (entries, Some((next, "it is not in the log".into()))),
                Ok(run) => {
                    for entry in run {
                        if entries.last().is_some_and(|before| before.term > entry.term) {
                            return (
                                entries,
                                Some((entry.index, "its term is older than its predecessor's".into())),
                            );
                        }
                        next = entry.index.next();
                        entries.push(entry);
                    }
                }
                Err((index, reason)) => {
                    // What can be read before it, entry by entry.
                    while next < index {
                        match self.shared.read_one(queue_manager, next) {
                            Ok(Some(entry)) => entries.push(entry),
                            _ => return (entries, Some((next, reason))),
                        }
                        next = next.next();
                    }
                    return (entries, Some((index, reason)));
                }
            }
        }
        (entries, None)
    }

    /// Makes the region exactly this, in one synced write.
    pub(super) fn rewrite_region(
        &mut self,
        queue_manager: QueueManagerId,
        hard_state: HardState,
        entries: &[Entry],
    ) -> Result<(), LogError> {
        let id = region(queue_manager);
        let mut batch = LogBatch::default();
        batch.add_command(id, Command::Clean);
        put_hard_state(&mut batch, id, &hard_state);
        let stored: Vec<StoredEntry> = entries.iter().cloned().map(StoredEntry).collect();
        let added = batch.add_entries::<StoredEntryExt>(id, &stored);
        added.map_err(|error| self.write_error(error.to_string()))?;
        self.write_engine(&mut batch, true)
    }

    pub(super) fn write_hard_state(
        &mut self,
        queue_manager: QueueManagerId,
        hard_state: &HardState,
    ) -> Result<(), LogError> {
        let mut batch = LogBatch::default();
        put_hard_state(&mut batch, region(queue_manager), hard_state);
        self.write_engine(&mut batch, true)
    }

    /// What recovery decided is what this process goes on from.
    pub(super) fn begin_region(
        &mut self,
        queue_manager: QueueManagerId,
        last: (Term, Index),
        hard_state: HardState,
    ) {
        let acknowledged = self.marks.get(queue_manager).copied().unwrap_or_default();
        self.regions
            .insert(queue_manager, Region { hard_state, last, synced: acknowledged, purged_before: 0 });
    }

    fn write_error(&self, reason: String) -> LogError {
        LogError::Write { directory: self.shared.directory.clone(), reason }
    }

    fn write_engine(&self, batch: &mut LogBatch, sync: bool) -> Result<(), LogError> {
        *self.watch.no_room.lock() = false;
        let result = self.shared.engine.write(batch, sync);
        if let Some(reason) = self.watch.sync_failed.lock().clone() {
            return Err(LogError::Sync { directory: self.shared.directory.clone(), reason });
        }
        match result {
            Ok(_) => Ok(()),
            Err(_) if *self.watch.no_room.lock() => {
                Err(LogError::NoRoom { directory: self.shared.directory.clone() })
            }
            Err(error) => Err(self.write_error(error.to_string())),
        }
    }
}

impl<F: FileSystem> LogStore for RaftEngineLog<F> {
    fn write_batch(&mut self, writes: &mut Vec<LogWrite>) -> Result<(), LogError> {
        let mut sync = false;
        for (position, write) in writes.iter().enumerate() {
            let id = region(write.queue_manager);
            let known = self.regions.get(&write.queue_manager).expect("recover came before the first write");
            let hard_state = write.hard_state.unwrap_or(known.hard_state);
            sync |= write.sync;
            // The hard state goes first: an entry of term 5 on disk under term 4 would let the old leader overwrite
            // it after a crash, although it was counted towards a quorum. The whole batch is atomic besides.
            // A moved commit index alone is a hint: the mark carries it.
            if write.restart_after.is_some() {
                self.batch.add_command(id, Command::Clean);
                put_hard_state(&mut self.batch, id, &hard_state);
            } else if write.hard_state.is_some() && is_news(&writes[..=position], &known.hard_state) {
                put_hard_state(&mut self.batch, id, &hard_state);
            }
            if !write.entries.is_empty() {
                self.scratch.extend(write.entries.iter().cloned().map(StoredEntry));
                let added = self.batch.add_entries::<StoredEntryExt>(id, &self.scratch);
                self.scratch.clear();
                if let Err(error) = added {
                    self.batch = LogBatch::default();
                    return Err(self.write_error(error.to_string()));
                }
            }
        }

        let mut batch = std::mem::take(&mut self.batch);
        let written = if batch.is_empty() { Ok(()) } else { self.write_engine(&mut batch, sync) };
        if written.is_ok() {
            // Its buffer is kept; a failed batch is not, because what state it is in is the engine's secret.
            self.batch = batch;
        }
        written?;

        for write in writes.iter() {
            let known = self.regions.get_mut(&write.queue_manager).expect("looked up above");
            if let Some(hard_state) = write.hard_state {
                known.hard_state = hard_state;
            }
            if let Some((index, term)) = write.restart_after {
                known.last = (term, index);
            }
            if let Some(entry) = write.entries.last() {
                known.last = (entry.term, entry.index);
            }
            if sync {
                known.synced.last = known.synced.last.max(known.last);
                known.synced.hard_state = known.hard_state;
            } else if (known.synced.hard_state.term, known.synced.hard_state.vote)
                == (known.hard_state.term, known.hard_state.vote)
            {
                known.synced.hard_state.commit = known.hard_state.commit;
            }
            let synced = known.synced;
            let was_recovering = self.marks.get(write.queue_manager).is_some_and(Acknowledged::is_recovering);
            self.marks.update(write.queue_manager, |mark| {
                mark.last = synced.last;
                mark.hard_state = synced.hard_state;
                if !mark.is_recovering() {
                    mark.recovering = None;
                    self.mark_is_urgent |= was_recovering;
                }
            });
        }
        Ok(())
    }

    fn read(
        &self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.reader().read(queue_manager, first, until, bytes_max)
    }

    fn truncate(&mut self, queue_manager: QueueManagerId, upto: Index) -> Result<(), LogError> {
        let Some((first, last)) = self.span(queue_manager) else { return Ok(()) };
        if upto < first {
            return Ok(());
        }
        let mut batch = LogBatch::default();
        batch.add_command(region(queue_manager), Command::Compact { index: upto.min(last).next().0 });
        self.write_engine(&mut batch, false)
    }

    fn purge(&mut self) -> Result<(), LogError> {
        self.purged_at_bytes = self.written().0;
        *self.watch.no_room.lock() = false;
        let purged = {
            let _alone = self.shared.purge.write();
            self.shared.engine.purge_expired_files()
        };
        if let Some(reason) = self.watch.sync_failed.lock().clone() {
            return Err(LogError::Sync { directory: self.shared.directory.clone(), reason });
        }
        if purged.is_err() && *self.watch.no_room.lock() {
            return Err(LogError::NoRoom { directory: self.shared.directory.clone() });
        }
        // A region that keeps more than its share is reported; the engine moves it itself in the end.
        purged.map_err(|error| self.write_error(format!("give files back: {error}")))?;
        let firsts: Vec<u64> = self.regions.iter().map(|(id, region)| self.kept(*id, region).0).collect();
        for (region, first) in self.regions.values_mut().zip(firsts) {
            region.purged_before = first;
        }
        Ok(())
    }

    fn caught_up(&mut self, queue_manager: QueueManagerId) -> Result<(), LogError> {
        let Some(mark) = self.marks.get(queue_manager).copied() else { return Ok(()) };
        if mark.recovering.is_none() {
            return Ok(());
        }
        self.set_mark(queue_manager, Acknowledged { recovering: None, forgot: false, ..mark })
    }

    fn note_parted(&mut self, queue_manager: QueueManagerId, parted: Option<Parted>) -> Result<(), LogError> {
        match self.marks.get(queue_manager).copied() {
            Some(mark) if mark.parted != parted => {
                self.set_mark(queue_manager, Acknowledged { parted, ..mark })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn forget(&mut self, queue_manager: QueueManagerId) -> Result<(), LogError> {
        let id = region(queue_manager);
        if self.span(queue_manager).is_some() || self.stored_hard_state(queue_manager).is_some() {
            let mut batch = LogBatch::default();
            batch.add_command(id, Command::Clean);
            self.write_engine(&mut batch, true)?;
        }
        self.regions.remove(&queue_manager);
        let forgotten = self.marks.forget(queue_manager);
        forgotten.map_err(|error| LogError::mark(self.marks.path(), error))
    }

    fn write_mark(&mut self, sync: bool) -> Result<(), LogError> {
        self.change_marks(MarkFile::write)?;
        if sync || std::mem::take(&mut self.mark_is_urgent) {
            self.change_marks(MarkFile::sync)?;
        }
        Ok(())
    }
}

impl<F: FileSystem> Shared<F> {
    fn span(&self, queue_manager: QueueManagerId) -> Option<(Index, Index)> {
        let id = region(queue_manager);
        let first = self.engine.first_index(id)?;
        let last = self.engine.last_index(id)?;
        (first <= last).then_some((Index(first), Index(last)))
    }

    fn read_one(&self, queue_manager: QueueManagerId, index: Index) -> Result<Option<Entry>, String> {
        let _shared = self.purge.read();
        match self.engine.get_entry::<StoredEntryExt>(region(queue_manager), index.0) {
            Ok(Some(StoredEntry(entry))) => check_entry(&entry).map(|()| Some(entry)),
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// An error names the first entry that cannot be read.
    fn read(
        &self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, (Index, String)> {
        let fetched = {
            let _shared = self.purge.read();
            let Some((begin, last)) = self.span(queue_manager) else { return Ok(Vec::new()) };
            if first < begin || first > last {
                return Ok(Vec::new());
            }
            let end = until.min(last.next()).min(Index(first.0 + READ_ENTRIES_MAX));
            let mut stored = Vec::new();
            let id = region(queue_manager);
            let size = Some(bytes_max);
            match self.engine.fetch_entries_to::<StoredEntryExt>(id, first.0, end.0, size, &mut stored) {
                Ok(_) => Ok(stored),
                Err(raft_engine::Error::EntryCompacted) => return Ok(Vec::new()),
                Err(error) => Err((Index(first.0 + stored.len() as u64), error.to_string())),
            }
        };
        let mut entries = Vec::new();
        for (StoredEntry(entry), expected) in fetched?.into_iter().zip(first.0..) {
            if entry.index.0 != expected {
                return Err((Index(expected), format!("entry {} is in its place", entry.index)));
            }
            if let Err(reason) = check_entry(&entry) {
                return Err((entry.index, reason));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Reads the log beside its writer.
pub struct LogReader<F: FileSystem = LogFs> {
    shared: Arc<Shared<F>>,
}

impl<F: FileSystem> Clone for LogReader<F> {
    fn clone(&self) -> LogReader<F> {
        LogReader { shared: self.shared.clone() }
    }
}

impl<F: FileSystem> LogReader<F> {
    /// See [`LogStore::read`].
    pub fn read(
        &self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        if until <= first {
            return Ok(Vec::new());
        }
        self.shared.read(queue_manager, first, until, bytes_max).map_err(|(index, reason)| {
            LogError::Damaged {
                queue_manager,
                index,
                place: format!("region {queue_manager} in {}", self.shared.directory.display()),
                reason,
            }
        })
    }

    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// First and last index in the log.
    pub fn span(&self, queue_manager: QueueManagerId) -> Option<(Index, Index)> {
        self.shared.span(queue_manager)
    }

    /// Reads and verifies about `bytes_max` from `from` on. Returns where to go on, None at the end.
    pub fn scrub(
        &self,
        queue_manager: QueueManagerId,
        from: Index,
        bytes_max: usize,
    ) -> (Vec<Damage>, Option<Index>) {
        let Some((first, last)) = self.shared.span(queue_manager) else { return (Vec::new(), None) };
        let from = from.max(first);
        match self.shared.read(queue_manager, from, last.next(), bytes_max) {
            Ok(entries) => {
                let next = entries.last().map(|entry| entry.index.next());
                (Vec::new(), next.filter(|next| *next <= last))
            }
            Err((index, reason)) => {
                let text = format!(
                    "entry {index} of queue manager {queue_manager} in {} is damaged: {reason}; \
                     the log is cut behind it when the message store is past it, and peers that need it get a snapshot",
                    self.shared.directory.display()
                );
                let damage = Damage { queue_manager, first: index, last: index, text };
                (vec![damage], Some(index.next()).filter(|next| *next <= last))
            }
        }
    }
}

pub(super) fn region(queue_manager: QueueManagerId) -> u64 {
    u64::from(queue_manager.0)
}

/// The last of `writes` has a term or vote that is not what the log will hold before it.
fn is_news(writes: &[LogWrite], stored: &HardState) -> bool {
    let Some((write, before)) = writes.split_last() else { return false };
    let promise = |hard_state: &HardState| (hard_state.term, hard_state.vote);
    let same = before.iter().rev().filter(|other| other.queue_manager == write.queue_manager);
    let known = same.filter_map(|other| other.hard_state.as_ref()).next().unwrap_or(stored);
    write.hard_state.as_ref().is_some_and(|hard_state| promise(hard_state) != promise(known))
}

fn put_hard_state(batch: &mut LogBatch, region: u64, hard_state: &HardState) {
    let mut value = Vec::with_capacity(28);
    value.extend_from_slice(&hard_state.term.0.to_le_bytes());
    value.extend_from_slice(&hard_state.vote.map_or(0, |node| node.0).to_le_bytes());
    value.extend_from_slice(&hard_state.commit.0.to_le_bytes());
    let crc = crc32c::crc32c(&value);
    value.extend_from_slice(&crc.to_le_bytes());
    batch.put(region, HARD_STATE.to_vec(), value).expect("our key is not one of the engine's own");
}

pub(super) fn decode_hard_state(value: &[u8]) -> Option<HardState> {
    let (numbers, crc) = value.split_at_checked(24)?;
    if crc != crc32c::crc32c(numbers).to_le_bytes() {
        return None;
    }
    let number = |at: usize| u64::from_le_bytes(numbers[at..at + 8].try_into().expect("8 of 24 bytes"));
    let vote = Some(NodeId(number(8))).filter(|node| node.0 != 0);
    Some(HardState { term: Term(number(0)), vote, commit: Index(number(16)) })
}

/// A name for what is moved aside that is not taken yet.
fn free_name(directory: &Path) -> PathBuf {
    let name = |n: u32| directory.join(format!("engine.damaged-{n}"));
    (1..).map(name).find(|path| !path.exists()).expect("numbers do not run out")
}

fn open_engine<F: FileSystem>(
    options: &LogOptions,
    directory: &Path,
    fs: &Arc<WatchedFs<F>>,
) -> Result<EngineOver<F>, Unusable> {
    let dir = directory.to_str().ok_or(Unusable::Device("its name is not UTF-8".to_string()))?.to_string();
    let config = Config {
        dir,
        recovery_mode: RecoveryMode::TolerateTailCorruption,
        recovery_read_block_size: ReadableSize::kb(16),
        recovery_threads: options.recovery_threads,
        batch_compression_threshold: ReadableSize(options.compress_from_bytes),
        target_file_size: ReadableSize(options.file_bytes),
        purge_threshold: ReadableSize(options.purge_bytes.max(options.file_bytes)),
        enable_log_recycle: true,
        prefill_for_recycle: options.prefill_bytes > 0,
        prefill_limit: (options.prefill_bytes > 0).then_some(ReadableSize(options.prefill_bytes)),
        ..Config::default()
    };
    // The files were verified; should they still not fit together, the engine panics rather than say so.
    match catch_unwind(AssertUnwindSafe(|| Engine::open_with_file_system(config, fs.clone()))) {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(raft_engine::Error::Io(error))) => Err(error.into()),
        // Another process has it open.
        Ok(Err(error)) if error.to_string().contains("Failed to lock file") => {
            Err(Unusable::Device(error.to_string()))
        }
        Ok(Err(error)) => Err(Unusable::Content(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err(Unusable::Content(text.unwrap_or("its files contradict each other").to_string()))
        }
    }
}

/// Why a log directory could not be opened.
enum Unusable {
    /// The device does not answer, or not now: what lies there may be whole, and the next start may read it.
    Device(String),
    /// What lies there makes no sense.
    Content(String),
}

impl Unusable {
    fn into_reason(self) -> String {
        match self {
            Unusable::Device(reason) | Unusable::Content(reason) => reason,
        }
    }
}

impl From<std::io::Error> for Unusable {
    /// `Other` is what we say of content ourselves; the rest comes from the system.
    fn from(error: std::io::Error) -> Unusable {
        match error.kind() {
            std::io::ErrorKind::Other => Unusable::Content(error.to_string()),
            _ => Unusable::Device(error.to_string()),
        }
    }
}
