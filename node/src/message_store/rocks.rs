//! The message store over RocksDB, its own write-ahead log off: the Raft log is the log. One column family a
//! [`Family`]; the applied index travels in the same batch as the rows, and the families are flushed as one.
//!
//! Bodies lie in blob files: written once when they are flushed, moved again only when a file is mostly garbage.
//! Iterators have both bounds; nothing is ever scanned from a queue's beginning over what was removed there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    ColumnFamily, CompactOptions, DB, DBRawIterator, FlushOptions, ReadOptions, WriteBatch, WriteOptions,
};

use super::fault::{self, Fault};
use super::keys::{ResumeKey, decode_meta, encode_meta, meta_key, range_of};
use super::{MessageStore, StoreError};
use crate::qmgr::{Family, LoadRequest, RowChange, RowSource, StoreBatch, StoreReadError};
use crate::types::{Index, QueueManagerId, SnapshotMeta};

/// How the store asks for free bytes; tests answer themselves.
type FreeBytes = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

#[derive(Clone)]
pub struct StoreOptions {
    pub directory: PathBuf,
    /// Memory for rows that are not flushed yet, all families together; about half of it is a flush.
    pub write_buffer_bytes: usize,
    pub block_cache_bytes: usize,
    /// Bodies from this size on go to blob files.
    pub blob_from_bytes: u64,
    pub blob_file_bytes: u64,
    /// A batch is refused when the device would have less than this after the next flush. Far below the mark at
    /// which puts are refused: batches that remove must get through.
    pub reserve_bytes: u64,
    pub free_bytes: FreeBytes,
    /// How long an answer of `free_bytes` is believed.
    pub room_check_every: Duration,
    /// RocksDB compacts when it sees fit. Otherwise nothing happens to the files but what is asked for
    /// ([`RocksStore::compact`]).
    pub compacts_by_itself: bool,
}

impl StoreOptions {
    pub fn new(directory: impl Into<PathBuf>, free_bytes: FreeBytes) -> StoreOptions {
        StoreOptions {
            directory: directory.into(),
            write_buffer_bytes: 64 << 20,
            block_cache_bytes: 32 << 20,
            blob_from_bytes: 256,
            blob_file_bytes: 64 << 20,
            reserve_bytes: 8 << 20,
            free_bytes,
            room_check_every: Duration::from_secs(1),
            compacts_by_itself: true,
        }
    }

    /// Little memory, and nothing that depends on the clock or on threads: for simulations.
    pub fn small(directory: impl Into<PathBuf>, free_bytes: FreeBytes) -> StoreOptions {
        StoreOptions {
            block_cache_bytes: 1 << 20,
            room_check_every: Duration::ZERO,
            compacts_by_itself: false,
            ..StoreOptions::new(directory, free_bytes)
        }
    }
}

/// The store of a node. Clones are the same store.
#[derive(Clone)]
pub struct RocksStore {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub db: DB,
    pub options: StoreOptions,
    changing: Mutex<Changing>,
    /// Batches wait while rows are replaced.
    pub install: RwLock<()>,
}

#[derive(Default)]
struct Changing {
    applied: BTreeMap<QueueManagerId, Index>,
    flushed: BTreeMap<QueueManagerId, Index>,
    unflushed_bytes: usize,
    batches_written: u64,
    bytes_written: u64,
    room_checked: Option<Instant>,
    bytes_since_check: usize,
    /// Bodies were removed since the last reclaim.
    bodies_removed: bool,
    /// When the last reclaim ended and how long it took.
    reclaimed: Option<(Instant, Duration)>,
}

/// What the store takes, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUse {
    pub table_bytes: u64,
    pub blob_bytes: u64,
    pub blob_garbage_bytes: u64,
    pub memory_bytes: u64,
    pub unflushed_bytes: u64,
    /// Since the store was opened.
    pub batches_written: u64,
    pub bytes_written: u64,
}

pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::State => "state",
        Family::Heads => "heads",
        Family::Bodies => "bodies",
    }
}

/// With less in blob files, garbage is left to the compactions that come by themselves.
const RECLAIM_FROM_BYTES: u64 = 64 << 20;
/// The same where the device has not room for twice as much again.
const RECLAIM_FROM_BYTES_TIGHT: u64 = 4 << 20;
const RECLAIM_PAUSE: Duration = Duration::from_secs(300);
/// The same where the device has not room for twice as much again.
const RECLAIM_PAUSE_TIGHT: Duration = Duration::from_secs(10);
pub(super) const DATABASE: &str = "store";
/// Says that the store must not be used again, and why.
pub(super) const CONDEMNED: &str = "store.condemned";

impl RocksStore {
    /// The next open moves the store aside; the process should end soon. Damage that RocksDB finds itself, in a read,
    /// a write or a compaction, condemns the store by itself. False, and nothing is done, when the reason says nothing
    /// of what lies there: then the process should end too, and nothing be set aside.
    pub fn condemn(&self, reason: &str) -> bool {
        let is_damage = fault::of(reason) == Fault::Damage;
        if is_damage {
            self.inner.condemn(reason);
        }
        is_damage
    }

    pub fn directory(&self) -> &Path {
        &self.inner.options.directory
    }

    /// The rows of one queue manager, for `QueueManager::load`.
    pub fn rows(&self, queue_manager: QueueManagerId) -> Rows {
        Rows { store: self.clone(), queue_manager }
    }

    /// Bytes that were applied and not flushed.
    pub fn unflushed_bytes(&self) -> usize {
        self.inner.changing.lock().unflushed_bytes
    }

    pub fn in_use(&self) -> StoreUse {
        let number = |name: &str| -> u64 {
            let of =
                |family| self.inner.db.property_int_value_cf(self.inner.family(family), name).ok().flatten();
            Family::ALL.into_iter().filter_map(of).sum()
        };
        let changing = self.inner.changing.lock();
        StoreUse {
            table_bytes: number("rocksdb.total-sst-files-size"),
            blob_bytes: number("rocksdb.total-blob-file-size"),
            blob_garbage_bytes: number("rocksdb.live-blob-file-garbage-size"),
            memory_bytes: number("rocksdb.size-all-mem-tables"),
            unflushed_bytes: changing.unflushed_bytes as u64,
            batches_written: changing.batches_written,
            bytes_written: changing.bytes_written,
        }
    }

    /// Compacts everything, and waits for it.
    pub fn compact(&self) {
        for family in Family::ALL {
            self.inner.db.compact_range_cf(self.inner.family(family), None::<&[u8]>, None::<&[u8]>);
        }
    }

    pub(super) fn over(db: DB, options: StoreOptions) -> RocksStore {
        let (changing, install) = (Mutex::default(), RwLock::new(()));
        RocksStore { inner: Arc::new(Inner { db, options, changing, install }) }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// A snapshot never takes the store back.
    pub(super) fn check_newer(&self, meta: &SnapshotMeta) -> Result<(), StoreError> {
        let applied = self.inner.applied(meta.queue_manager)?;
        if applied <= meta.index {
            return Ok(());
        }
        let directory = self.inner.options.directory.clone();
        let reason =
            format!("a snapshot at index {} came when the store was at {applied} already", meta.index);
        Err(StoreError::Io { directory, reason })
    }

    /// Everything was replaced by an installation that is flushed.
    pub(super) fn set_installed(&self, meta: &SnapshotMeta) {
        let mut changing = self.inner.changing.lock();
        changing.applied.insert(meta.queue_manager, meta.index);
        changing.flushed.insert(meta.queue_manager, meta.index);
    }

    fn check_room(&self, changing: &mut Changing, batch_bytes: usize) -> Result<(), StoreError> {
        let options = &self.inner.options;
        let is_recent = changing.room_checked.is_some_and(|at| at.elapsed() < options.room_check_every);
        if is_recent && changing.bytes_since_check + batch_bytes < 8 << 20 {
            changing.bytes_since_check += batch_bytes;
            return Ok(());
        }
        let free = (options.free_bytes)(&options.directory).unwrap_or(u64::MAX);
        // A batch that brings little gives room back: rows go, and with them the log in front of it.
        let is_small = batch_bytes as u64 <= options.reserve_bytes / 8;
        let reserve = if is_small { options.reserve_bytes / 4 } else { options.reserve_bytes };
        let needed = reserve + (changing.unflushed_bytes + batch_bytes) as u64;
        if free < needed {
            changing.room_checked = None;
            let reason = format!("{} MiB are left and {} MiB are needed", free >> 20, (needed >> 20) + 1);
            return Err(no_room(options, &reason));
        }
        changing.room_checked = Some(Instant::now());
        changing.bytes_since_check = 0;
        Ok(())
    }
}

impl MessageStore for RocksStore {
    fn apply(&self, batch: &StoreBatch) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let _not_installing = inner.install.read();
        let changing = &mut *inner.changing.lock();
        let queue_manager = batch.meta.queue_manager;
        let applied = match changing.applied.get(&queue_manager) {
            Some(applied) => *applied,
            None => inner.applied(queue_manager)?,
        };
        if applied != batch.base {
            // The difference is to another state: a snapshot was installed meanwhile.
            return Ok(());
        }
        let mut rows = WriteBatch::with_capacity_bytes(batch.bytes());
        let mut joined = Vec::new();
        for change in &batch.changes {
            match change {
                RowChange::Put { family, key, value } => rows.put_cf(inner.family(*family), key, value),
                RowChange::PutParts { family, key, parts } => {
                    joined.clear();
                    parts.iter().for_each(|part| joined.extend_from_slice(part));
                    rows.put_cf(inner.family(*family), key, &joined);
                }
                RowChange::Delete { family, key } => rows.delete_cf(inner.family(*family), key),
                RowChange::DeleteRange { family, from, until } => {
                    rows.delete_range_cf(inner.family(*family), from, until)
                }
            }
        }
        rows.put_cf(inner.family(Family::State), meta_key(queue_manager), encode_meta(&batch.meta));
        let bytes = rows.size_in_bytes();
        self.check_room(changing, bytes)?;
        inner.write(rows)?;
        changing.applied.insert(queue_manager, batch.meta.index);
        changing.unflushed_bytes += bytes;
        changing.batches_written += 1;
        changing.bytes_written += bytes as u64;
        changing.bodies_removed |= batch.changes.iter().any(|change| match change {
            RowChange::Put { .. } | RowChange::PutParts { .. } => false,
            RowChange::Delete { family, .. } | RowChange::DeleteRange { family, .. } => {
                *family == Family::Bodies
            }
        });
        Ok(())
    }

    fn flush(&self) -> Result<Vec<(QueueManagerId, Index)>, StoreError> {
        let (applied, bytes) = {
            let changing = self.inner.changing.lock();
            (changing.applied.clone(), changing.unflushed_bytes)
        };
        if bytes > 0 {
            self.inner.flush()?;
        }
        let mut changing = self.inner.changing.lock();
        changing.unflushed_bytes -= bytes;
        let moved: Vec<_> = applied
            .into_iter()
            .filter(|(queue_manager, index)| changing.flushed.get(queue_manager) != Some(index))
            .collect();
        changing.flushed.extend(moved.iter().copied());
        Ok(moved)
    }

    fn forget(&self, queue_manager: QueueManagerId) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let _not_installing = inner.install.write();
        let is_there = |family| {
            let mut rows = inner.iterate(family, queue_manager, None, None);
            rows.seek_to_first();
            rows.valid() || rows.status().is_err()
        };
        if Family::ALL.into_iter().any(is_there) {
            let mut rows = WriteBatch::default();
            inner.clear(queue_manager, &mut rows);
            inner.write(rows)?;
            inner.flush()?;
        }
        let mut changing = inner.changing.lock();
        changing.applied.remove(&queue_manager);
        changing.flushed.remove(&queue_manager);
        changing.bodies_removed = true;
        Ok(())
    }

    fn load(&self, request: &LoadRequest) -> Result<Vec<Option<Bytes>>, StoreReadError> {
        let inner = &*self.inner;
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        // Bodies are read once, when they are delivered.
        options.fill_cache(false);
        let keys = request.keys.iter().map(|(family, key)| (inner.family(*family), key));
        let rows = inner.db.multi_get_cf_opt(keys, &options);
        rows.into_iter()
            .map(|row| row.map(|row| row.map(Bytes::from)).map_err(|error| inner.read_error(error)))
            .collect()
    }

    fn meta(&self, queue_manager: QueueManagerId) -> Result<Option<SnapshotMeta>, StoreReadError> {
        let inner = &*self.inner;
        let row = inner.db.get_pinned_cf(inner.family(Family::State), meta_key(queue_manager));
        let row = row.map_err(|error| inner.read_error(error))?;
        row.map(|row| decode_meta(&row)).transpose().map_err(|error| StoreReadError {
            place: format!("{} (meta of queue manager {queue_manager})", inner.options.directory.display()),
            reason: error.to_string(),
        })
    }

    fn scrub(
        &self,
        after: Option<&ResumeKey>,
        bytes_max: usize,
    ) -> Result<Option<ResumeKey>, StoreReadError> {
        let inner = &*self.inner;
        let mut bytes = 0;
        for family in Family::ALL {
            let mut options = ReadOptions::default();
            options.set_verify_checksums(true);
            options.fill_cache(false);
            match after {
                Some(after) if after.family > family => continue,
                Some(after) if after.family == family => {
                    // The smallest key behind it.
                    options.set_iterate_lower_bound([&after.key[..], &[0]].concat());
                }
                _ => {}
            }
            let mut rows = inner.db.raw_iterator_cf_opt(inner.family(family), options);
            rows.seek_to_first();
            while let Some((key, value)) = rows.item() {
                bytes += key.len() + value.len();
                if bytes >= bytes_max {
                    return Ok(Some(ResumeKey { family, key: Bytes::copy_from_slice(key) }));
                }
                rows.next();
            }
            rows.status().map_err(|error| inner.read_error(error))?;
        }
        Ok(None)
    }

    /// Removed bodies count as garbage only when a compaction met their removal, so what RocksDB says of garbage is
    /// no reason to wait. The tables of keys it goes through are small; the blob files go as a whole.
    fn reclaim(&self) {
        let (removed, before) = {
            let changing = self.inner.changing.lock();
            (changing.bodies_removed, changing.reclaimed)
        };
        let bytes = if removed { self.in_use().blob_bytes } else { 0 };
        if bytes < RECLAIM_FROM_BYTES_TIGHT {
            return;
        }
        let options = &self.inner.options;
        let tight = (options.free_bytes)(&options.directory).is_ok_and(|free| free < 2 * bytes);
        let (from, pause) = match tight {
            true => (RECLAIM_FROM_BYTES_TIGHT, RECLAIM_PAUSE_TIGHT),
            false => (RECLAIM_FROM_BYTES, RECLAIM_PAUSE),
        };
        if bytes < from {
            return;
        }
        if before.is_some_and(|(at, took)| at.elapsed() < pause.max(20 * took)) {
            return;
        }
        self.inner.changing.lock().bodies_removed = false;
        let begun = Instant::now();
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        let bodies = self.inner.family(Family::Bodies);
        self.inner.db.compact_range_cf_opt(bodies, None::<&[u8]>, None::<&[u8]>, &options);
        self.inner.changing.lock().reclaimed = Some((Instant::now(), begun.elapsed()));
    }
}

/// One queue manager's rows, as they are while they are read.
pub struct Rows {
    store: RocksStore,
    queue_manager: QueueManagerId,
}

impl RowSource for Rows {
    fn scan(&self, family: Family, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreReadError> {
        let inner = &*self.store.inner;
        let meta = meta_key(self.queue_manager);
        let mut rows = inner.iterate(family, self.queue_manager, None, None);
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            if family != Family::State || key != meta {
                row(key, value);
            }
            rows.next();
        }
        rows.status().map_err(|error| inner.read_error(error))
    }

    fn meta(&self) -> Result<Option<SnapshotMeta>, StoreReadError> {
        MessageStore::meta(&self.store, self.queue_manager)
    }
}

impl Inner {
    pub fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family_name(family)).expect("opened with the database")
    }

    fn condemn(&self, reason: &str) {
        let path = self.options.directory.join(CONDEMNED);
        if path.exists() {
            return;
        }
        let note = || {
            fs::write(&path, reason)?;
            fs::File::open(&path)?.sync_all()?;
            sync_names(&self.options.directory)
        };
        if let Err(error) = note() {
            tracing::error!(path = %path.display(), %error, "cannot note that the message store is damaged");
        }
    }

    /// The index the rows of a queue manager are at: that of a new group when there are none.
    pub fn applied(&self, queue_manager: QueueManagerId) -> Result<Index, StoreError> {
        let damaged = |reason| StoreError::Damaged { directory: self.options.directory.clone(), reason };
        let row = self.db.get_pinned_cf(self.family(Family::State), meta_key(queue_manager));
        match row.map_err(|error| damaged(self.read_error(error).reason))? {
            None => Ok(Index(1)),
            Some(row) => decode_meta(&row).map(|meta| meta.index).map_err(|error| damaged(error.to_string())),
        }
    }

    pub fn iterate<'a>(
        &'a self,
        family: Family,
        queue_manager: QueueManagerId,
        from: Option<&[u8]>,
        snapshot: Option<&rocksdb::Snapshot<'_>>,
    ) -> DBRawIterator<'a> {
        let (first, until) = range_of(queue_manager);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from.map_or(first.to_vec(), <[u8]>::to_vec));
        options.set_iterate_upper_bound(until);
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_readahead_size(2 << 20);
        if let Some(snapshot) = snapshot {
            options.set_snapshot(snapshot);
        }
        self.db.raw_iterator_cf_opt(self.family(family), options)
    }

    /// Every row of a queue manager goes with the batch.
    pub fn clear(&self, queue_manager: QueueManagerId, rows: &mut WriteBatch) {
        let (first, until) = range_of(queue_manager);
        for family in Family::ALL {
            rows.delete_range_cf(self.family(family), &first[..], &until[..]);
        }
    }

    pub fn write(&self, rows: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(rows, &options).map_err(|error| self.write_error(error))
    }

    /// All families as one: none is ever newer than another on disk.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families = Family::ALL.map(|family| self.family(family));
        let default = self.db.cf_handle("default").expect("every database has it");
        let families = [families[0], families[1], families[2], default];
        self.db.flush_cfs_opt(&families, &options).map_err(|error| self.write_error(error))
    }

    fn write_error(&self, error: rocksdb::Error) -> StoreError {
        let directory = self.options.directory.clone();
        let reason = error.into_string();
        match fault::of(&reason) {
            Fault::NoRoom => no_room(&self.options, &reason),
            Fault::Damage => {
                self.condemn(&reason);
                StoreError::Damaged { directory, reason }
            }
            Fault::Device => StoreError::Io { directory, reason },
        }
    }

    pub fn read_error(&self, error: rocksdb::Error) -> StoreReadError {
        if fault::of(error.as_ref()) == Fault::Damage {
            self.condemn(error.as_ref());
        }
        StoreReadError { place: self.options.directory.display().to_string(), reason: error.into_string() }
    }
}

pub(super) fn no_room(options: &StoreOptions, reason: &str) -> StoreError {
    let directory = options.directory.display();
    StoreError::NoRoom {
        text: format!("no room for the message store in {directory} ({reason}): free some space"),
    }
}

/// What is made, renamed or removed in a directory is so for good when this returned.
pub(super) fn sync_names(directory: &Path) -> std::io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
