//! A node's stores at depth B: the production log and message store, driven in virtual time.
//!
//! Beside them goes a model of what the log was told, and of what of it was synced. At every start it is compared with
//! what recovery made of the files: what was synced is there, or the node says that it is not whole.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use trimaran_node::consensus::{Entry, LogWrite, Parted, Recovered};
use trimaran_node::log_store::{
    BlockFs, LogJob, LogOptions, LogReader, LogThreadOptions, LogWork, RaftEngineLog, Written,
};
use trimaran_node::message_store::{
    Attempt, MessageStore, RocksStore, StoreOptions, StoreThreadOptions, StoreWork,
};
use trimaran_node::peer::SnapshotStore;
use trimaran_node::qmgr::{Family, LoadError, LoadRequest, RowSource, StoreBatch};
use trimaran_node::runtime::recover::{self, Expected, RecoverError, Started};
use trimaran_node::runtime::snapshots::Snapshots;
use trimaran_node::types::{Index, ObjectName, QueueManagerId, Term, WriteNumber};
use trimaran_proto::replica::v1::Row;

use super::block_cache::Process;
use super::crash_dir::{self, Before, Reached};
use super::crash_fs::CrashFs;
use crate::sim::disk::{
    Disk, DiskFailed, DurableAt, Failure, Installed, Region, Room, Rows, Sites, StartFailed, StoredRows,
};
use crate::sim::rng::Rng;

/// Rows of a snapshot that travel together.
const CHUNK_BYTES: usize = 64 << 10;
/// RocksDB compacts when it is told to, so that files and trace repeat.
const FLUSHES_PER_COMPACTION: u64 = 24;
/// Starts in a row that do not come to their end.
const STARTS_IN_VAIN_MAX: usize = 3;
/// More of the newest log than this is not looked at for a bit to flip.
const ENTRY_BYTES: u64 = 300;

/// What the log was told, and what of it is on the device.
#[derive(Clone, Debug, Default)]
struct Told {
    durable: BTreeMap<u32, Region>,
    unsynced: Vec<Operation>,
}

#[derive(Clone, Debug)]
enum Operation {
    Write(LogWrite),
    Cut(QueueManagerId, Index),
}

impl Operation {
    fn queue_manager(&self) -> u32 {
        match self {
            Operation::Write(write) => write.queue_manager.0,
            Operation::Cut(queue_manager, _) => queue_manager.0,
        }
    }

    fn carry_out(&self, region: &mut Region) {
        match self {
            Operation::Write(write) => region.write(write),
            Operation::Cut(_, upto) => region.cut(*upto),
        }
    }
}

impl Told {
    fn sync(&mut self) {
        for operation in self.unsynced.drain(..) {
            operation.carry_out(self.durable.entry(operation.queue_manager()).or_default());
        }
    }

    /// Some moment since the last sync is what came back.
    fn has(&self, id: u32, recovered: &Recovered) -> bool {
        let mut region = self.durable.get(&id).cloned().unwrap_or_default();
        if is_same(&region, recovered) {
            return true;
        }
        self.unsynced.iter().filter(|operation| operation.queue_manager() == id).any(|operation| {
            operation.carry_out(&mut region);
            is_same(&region, recovered)
        })
    }

    /// From now on the truth is what came back; only what was durable before is, unless everything is.
    fn begin(&mut self, id: u32, recovered: &Recovered, is_clean: bool) {
        let snapshot = &recovered.snapshot;
        let mut region = Region {
            hard_state: recovered.hard_state,
            before: (snapshot.index, snapshot.term),
            entries: recovered.entries.iter().cloned().collect(),
            written: true,
        };
        self.unsynced.retain(|operation| operation.queue_manager() != id);
        if !is_clean {
            let old = self.durable.get(&id).cloned().unwrap_or_default();
            let is_durable = |entry: &Entry| old.term_at(entry.index) == DurableAt::Term(entry.term);
            let durable = region.entries.iter().take_while(|entry| is_durable(entry)).count();
            let entries: VecDeque<Entry> = region.entries.split_off(durable);
            region.hard_state = old.hard_state;
            self.unsynced.push(Operation::Write(LogWrite {
                queue_manager: QueueManagerId(id),
                number: WriteNumber(0),
                hard_state: Some(recovered.hard_state),
                restart_after: None,
                entries: entries.into(),
                sync: false,
            }));
        }
        self.durable.insert(id, region);
    }
}

fn is_same(region: &Region, recovered: &Recovered) -> bool {
    let snapshot = &recovered.snapshot;
    // What lies before the region was behind the store when the model began with it.
    let after = snapshot.index.max(region.before.0);
    let of = |entry: &Entry| (entry.index, entry.term, entry.crc);
    let told = region.entries.iter().filter(|entry| entry.index > after).map(of);
    let found = recovered.entries.iter().filter(|entry| entry.index > after).map(of);
    let last = recovered.entries.last().map_or(snapshot.term, |entry| entry.term);
    let mut promised = (region.hard_state.term, region.hard_state.vote);
    if promised.0 < last {
        promised = (last, None);
    }
    promised == (recovered.hard_state.term, recovered.hard_state.vote) && told.eq(found)
}

/// The stores of a process, as `runtime/stores.rs` holds them.
struct Running {
    process: Process,
    log: LogWork<BlockFs<CrashFs>>,
    reader: LogReader<BlockFs<CrashFs>>,
    store: RocksStore,
    store_work: StoreWork<RocksStore>,
    snapshots: Snapshots,
    /// A peer's snapshot could not be read.
    unreadable: Arc<Mutex<Option<String>>>,
}

/// A bit that is not what it was.
#[derive(Clone, Debug)]
struct Damage {
    file: PathBuf,
    offset: usize,
    bits: u8,
}

/// A backup.
struct Copy {
    log: BTreeMap<PathBuf, Vec<u8>>,
    store: TempDir,
    told: Told,
    recovering: BTreeSet<u32>,
}

pub struct StoresOnDisk {
    root: TempDir,
    fs: CrashFs,
    rng: Rng,
    running: Option<Running>,
    /// The batch that is being written.
    batch: Vec<LogWrite>,
    caught_up: Vec<QueueManagerId>,
    told: Told,
    /// Queue managers whose log does not count, as their last start said.
    recovering: BTreeSet<u32>,
    /// Something was done to the files that no crash does: the next start may find less.
    tampered: bool,
    applied: BTreeMap<u32, Index>,
    flushed: BTreeMap<u32, Index>,
    unflushed: bool,
    flushes: u64,
    has_room: Arc<AtomicBool>,
    /// What the last start did to the log's files.
    start_calls: u64,
    damage: Option<Damage>,
    /// The process died in the middle of an installation: what there was before.
    torn: Option<(Before, Vec<(PathBuf, Vec<u8>)>)>,
    complaint: Option<String>,
    marks: Vec<&'static str>,
}

impl StoresOnDisk {
    pub fn new(mut rng: Rng) -> StoresOnDisk {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let root = tempfile::Builder::new().prefix("trimaran-sim-").tempdir_in(&place);
        let root = root.unwrap_or_else(|error| panic!("make a directory in {}: {error}", place.display()));
        StoresOnDisk {
            root,
            fs: CrashFs::new(rng.number()),
            rng,
            running: None,
            batch: Vec::new(),
            caught_up: Vec::new(),
            told: Told::default(),
            recovering: BTreeSet::new(),
            tampered: false,
            applied: BTreeMap::new(),
            flushed: BTreeMap::new(),
            unflushed: false,
            flushes: 0,
            has_room: Arc::new(AtomicBool::new(true)),
            start_calls: 0,
            damage: None,
            torn: None,
            complaint: None,
            marks: Vec::new(),
        }
    }

    fn log_directory(&self) -> PathBuf {
        self.root.path().join("log")
    }

    fn data_directory(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data_directory().join("store")
    }

    fn running(&mut self) -> &mut Running {
        let running = self.running.as_mut().expect("the process runs");
        running.process.takes_over();
        running
    }

    /// A store said that it cannot go on. When nothing was done to its disk that is a bug.
    fn failed(&mut self, call: &'static str, error: &dyn std::fmt::Display) -> DiskFailed {
        self.fs.take_failed().unwrap_or_else(|| {
            if !self.has_damaged_rows() {
                self.complaint.get_or_insert(format!("\"{call}\" failed on a disk that did not: {error}"));
            }
            DiskFailed { call, how: Failure::Error }
        })
    }

    /// The stores of a new process, which does not come further than `dies_in` calls.
    fn open(
        &mut self,
        expected: &[Expected],
        dies_in: Option<u64>,
    ) -> Result<(Running, Vec<Started>, Vec<String>), StartFailed> {
        let process = Process::begin();
        process.takes_over();
        let fs = self.fs.for_process();
        if let Some(calls) = dies_in {
            fs.die_in(calls);
        }
        let fs = Arc::new(BlockFs::over(fs, |_| true));
        let mut log = RaftEngineLog::open_with(LogOptions::small(self.log_directory()), fs)
            .map_err(|error| StartFailed::Broken(error.to_string()))?;
        let has_room = self.has_room.clone();
        let free_bytes = move |_: &Path| Ok(if has_room.load(Ordering::Relaxed) { 1 << 40 } else { 0 });
        let options = StoreOptions::small(self.data_directory(), Arc::new(free_bytes));
        let started = recover::start(&mut log, options, expected).map_err(|error| match error {
            RecoverError::Load(LoadError::Version(error)) => StartFailed::Version(error.to_string()),
            error => StartFailed::Broken(error.to_string()),
        });
        let (store, started, sentences) = started?;
        let names: BTreeMap<QueueManagerId, ObjectName> =
            expected.iter().map(|one| (one.id, one.name.clone())).collect();
        let names = Arc::new(move |id| names.get(&id).cloned());
        let unreadable = Arc::new(Mutex::new(None));
        let told = unreadable.clone();
        let damaged =
            move |reason: &str| *told.lock().expect("nothing panics with it") = Some(reason.to_string());
        let running = Running {
            process,
            reader: log.reader(),
            log: LogWork::new(log, LogThreadOptions::default(), Duration::ZERO),
            store_work: StoreWork::new(store.clone(), StoreThreadOptions::default()),
            snapshots: Snapshots::new(store.clone(), names, Box::new(damaged)),
            store,
            unreadable,
        };
        Ok((running, started, sentences))
    }

    /// Starts that are killed at one of their calls, with or without the power: each may be the one that destroys what
    /// is good.
    fn start_in_vain(&mut self, expected: &[Expected]) -> Result<(), DiskFailed> {
        for _ in 0..STARTS_IN_VAIN_MAX {
            if !self.rng.chance(300) {
                break;
            }
            let calls = self.rng.below(self.start_calls + 1);
            let opened = self.open(expected, Some(calls));
            self.fs.kill();
            drop(opened);
            if let Some(failed) = self.fs.take_failed() {
                return Err(failed);
            }
            self.marks.push("process ended in its start");
            // Nobody could tell a log that lost its end from one that never had it while the mark is not on the device: a
            // start puts it there first of all.
            let knows_its_end = !self.tampered || self.fs.is_synced(&self.log_directory().join("mark"));
            if self.rng.chance(500) && knows_its_end {
                self.fs.cut_power(&mut self.rng);
            }
        }
        Ok(())
    }

    /// What was synced is there, or the node does not trust its log; and it trusts it when nothing happened to it.
    fn judge(&self, id: u32, recovered: &Recovered, sentences: &[String]) -> Option<String> {
        let has_all = self.told.has(id, recovered);
        let is_new = self.told.durable.get(&id).is_none_or(|region| !region.written);
        let durable = self.told.durable.get(&id).map(Region::last).unwrap_or_default();
        let found = recovered.entries.last().map_or(recovered.snapshot.index, |entry| entry.index);
        let said = sentences.join("; ");
        match (has_all, recovered.recovering) {
            (true, false) => None,
            (true, true) if is_new || self.tampered || self.recovering.contains(&id) => None,
            (true, true) => Some(format!(
                "queue manager {id} has all of its log up to {found} and does not trust it: {said}"
            )),
            (false, true) if self.tampered => None,
            (false, true) => Some(format!(
                "queue manager {id} had a durable log up to {} and has {found} after a mere crash: {said}",
                durable.0
            )),
            (false, false) => Some(format!(
                "queue manager {id} had a durable log up to {} of term {} and takes one up to {found}, with {:?}, for whole",
                durable.0, durable.1, recovered.hard_state
            )),
        }
    }

    /// After the writes of a batch, or when there are none.
    fn follow_up(&mut self) -> Result<(), DiskFailed> {
        if let Err(error) = self.running().log.follow_up() {
            return Err(self.failed("write the log", &error));
        }
        for queue_manager in std::mem::take(&mut self.caught_up) {
            self.recovering.remove(&queue_manager.0);
        }
        Ok(())
    }

    fn forget_aside(&self) {
        for directory in [self.log_directory(), self.data_directory()] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn incoming(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.data_directory().join("incoming")).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.path(), fs::read(entry.path()).ok()?))).collect()
    }

    fn change_bit(&self, damage: &Damage) -> bool {
        use std::os::unix::fs::FileExt;
        let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(&damage.file) else { return false };
        let mut byte = [0];
        file.read_exact_at(&mut byte, damage.offset as u64).is_ok()
            && file.write_all_at(&[byte[0] ^ damage.bits], damage.offset as u64).is_ok()
    }
}

impl Disk for StoresOnDisk {
    fn start(&mut self, expected: &[Expected]) -> Result<Vec<Started>, StartFailed> {
        self.start_in_vain(expected).map_err(StartFailed::Disk)?;
        let calls = self.fs.calls();
        let (running, started, sentences) = match self.open(expected, None) {
            Ok(opened) => opened,
            Err(error) => {
                return Err(match self.fs.take_failed() {
                    Some(failed) => StartFailed::Disk(failed),
                    None => error,
                });
            }
        };
        self.running = Some(running);
        self.start_calls = self.fs.calls() - calls;
        let is_clean = self.fs.is_clean();
        let mut broken = None;
        (self.applied, self.flushed) = Default::default();
        for one in &started {
            let id = one.queue_manager.id().0;
            broken = broken.or_else(|| self.judge(id, &one.recovered, &sentences));
            self.told.begin(id, &one.recovered, is_clean);
            match one.recovered.recovering {
                true => self.recovering.insert(id),
                false => self.recovering.remove(&id),
            };
            let rows = self.running.as_ref().expect("just set").store.rows(QueueManagerId(id));
            if let Ok(Some(meta)) = rows.meta() {
                self.applied.insert(id, meta.index);
                self.flushed.insert(id, meta.index);
            }
        }
        self.tampered = false;
        self.unflushed = false;
        if self.damage.as_ref().is_some_and(|damage| !damage.file.exists()) {
            self.damage = None;
        }
        self.forget_aside();
        match broken {
            Some(sentence) => Err(StartFailed::Broken(sentence)),
            None => Ok(started),
        }
    }

    fn write_log(&mut self, write: &LogWrite) -> Result<(), DiskFailed> {
        self.running().log.take(LogJob::Write(write.clone()));
        self.batch.push(write.clone());
        Ok(())
    }

    fn finish_log(&mut self, _: bool) -> Result<Room, DiskFailed> {
        match self.running().log.write() {
            Ok(Written::Done) => {
                let sync = self.batch.iter().any(|write| write.sync);
                self.told.unsynced.extend(self.batch.drain(..).map(Operation::Write));
                if sync {
                    self.told.sync();
                }
                self.running().log.persisted().for_each(drop);
                self.follow_up()?;
                Ok(Room::Enough)
            }
            Ok(Written::NoRoom { sentence }) => {
                if self.fs.take_failed().is_none() {
                    self.complaint.get_or_insert("the log found no room where there was some".to_string());
                }
                Ok(Room::Lacking { is_news: sentence.is_some() })
            }
            Err(error) => Err(self.failed("write the log", &error)),
        }
    }

    fn cut_log(&mut self, queue_manager: QueueManagerId, upto: Index) -> Result<(), DiskFailed> {
        self.running().log.take(LogJob::Truncate { queue_manager, upto });
        self.told.unsynced.push(Operation::Cut(queue_manager, upto));
        if self.batch.is_empty() { self.follow_up() } else { Ok(()) }
    }

    fn caught_up(&mut self, queue_manager: QueueManagerId) -> Result<(), DiskFailed> {
        self.running().log.take(LogJob::CaughtUp { queue_manager });
        self.caught_up.push(queue_manager);
        if self.batch.is_empty() { self.follow_up() } else { Ok(()) }
    }

    fn note_parted(
        &mut self,
        queue_manager: QueueManagerId,
        parted: Option<Parted>,
    ) -> Result<(), DiskFailed> {
        self.running().log.take(LogJob::NoteParted { queue_manager, parted });
        if self.batch.is_empty() { self.follow_up() } else { Ok(()) }
    }

    fn tend(&mut self, now: u64) -> Result<(), DiskFailed> {
        // The log thread is busy with a batch until it is finished.
        if !self.batch.is_empty() {
            return Ok(());
        }
        let tended = self.running().log.tend(Duration::from_micros(now));
        match tended.and_then(|mark| mark.map_or(Ok(()), |mark| mark.sync())) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed("tend the log", &error)),
        }
    }

    fn read_log(
        &mut self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Vec<Entry> {
        self.running().reader.read(queue_manager, first, until, bytes_max).unwrap_or_else(|error| {
            // As the log's reading thread does: the peer gets a snapshot instead.
            let failed = self.failed("read the log", &error);
            self.marks.push(failed.call);
            self.marks.push("old entries could not be read");
            Vec::new()
        })
    }

    fn store(&mut self, batch: &StoreBatch, now: u64) -> Result<Room, DiskFailed> {
        const CALL: &str = "write the message store";
        let had_room = self.has_room.load(Ordering::Relaxed);
        match self.fs.count_call(CALL) {
            Err(failed) if failed.how == Failure::NoSpace => self.has_room.store(false, Ordering::Relaxed),
            result => result?,
        }
        let applied = self.running().store_work.apply(batch, Duration::from_micros(now));
        self.has_room.store(had_room, Ordering::Relaxed);
        match applied {
            Ok(Attempt::Done(())) => {
                let id = batch.meta.queue_manager;
                let meta = MessageStore::meta(&self.running().store, id);
                if let Ok(Some(meta)) = meta {
                    self.applied.insert(id.0, meta.index);
                }
                self.unflushed = true;
                Ok(Room::Enough)
            }
            Ok(Attempt::NoRoom { sentence }) => Ok(Room::Lacking { is_news: sentence.is_some() }),
            Err(error) => Err(self.failed(CALL, &error)),
        }
    }

    fn flush_store(&mut self) -> Result<Vec<(QueueManagerId, Index)>, DiskFailed> {
        const CALL: &str = "flush the message store";
        self.fs.count_call(CALL)?;
        let moved = match self.running().store_work.flush() {
            Ok(Attempt::Done(moved)) => moved,
            Ok(Attempt::NoRoom { sentence }) => {
                return Err(self.failed(CALL, &sentence.unwrap_or_default()));
            }
            Err(error) => return Err(self.failed(CALL, &error)),
        };
        self.unflushed = false;
        self.flushed.extend(moved.iter().map(|(id, index)| (id.0, *index)));
        self.flushes += 1;
        if self.flushes.is_multiple_of(FLUSHES_PER_COMPACTION) && !self.has_damaged_rows() {
            self.running().store.compact();
            self.marks.push("store compacted");
        }
        Ok(moved)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Vec<Option<Bytes>>, String> {
        const CALL: &str = "read the message store";
        let store = self.running().store.clone();
        let counted = self.fs.count_call(CALL).map_err(|failed| {
            self.marks.push(failed.call);
            format!("{CALL}: {:?}", failed.how)
        });
        let loaded = counted.and_then(|()| {
            store.load(request).map_err(|error| {
                self.failed(CALL, &error);
                error.to_string()
            })
        });
        loaded.inspect_err(|reason| {
            store.condemn(reason);
            self.tampered = true;
        })
    }

    fn snapshot(&mut self, queue_manager: QueueManagerId) -> Result<Option<StoredRows>, String> {
        if let Err(failed) = self.fs.count_call("read a snapshot") {
            self.marks.push(failed.call);
            let reason = format!("{}: {:?}", failed.call, failed.how);
            self.running().store.condemn(&reason);
            self.tampered = true;
            return Err(reason);
        }
        let running = self.running();
        let read = || -> Result<StoredRows, String> {
            let mut reader = running.snapshots.open(queue_manager)?;
            let mut rows = Rows::new();
            loop {
                let chunk = reader.next_rows(CHUNK_BYTES)?;
                if chunk.is_empty() {
                    return Ok(StoredRows { meta: Some(reader.meta()), rows });
                }
                for row in chunk {
                    let family = Family::from_number(row.family).ok_or("a row of no family")?;
                    rows.insert((family, row.key), row.value);
                }
            }
        };
        let rows = read();
        let unreadable = running.unreadable.lock().expect("nothing panics with it").take();
        match unreadable {
            Some(reason) => {
                self.failed("read the message store", &reason);
                self.tampered = true;
                Err(reason)
            }
            None => Ok(rows.ok()),
        }
    }

    fn rows(&mut self, queue_manager: QueueManagerId) -> StoredRows {
        let Some(running) = &self.running else { return StoredRows::default() };
        let source = running.store.rows(queue_manager);
        let mut stored = StoredRows::default();
        for family in Family::ALL {
            let scanned = source.scan(family, &mut |key, value| {
                stored.rows.insert((family, Bytes::copy_from_slice(key)), Bytes::copy_from_slice(value));
            });
            if let Err(error) = scanned {
                self.failed("read the message store", &error);
                return StoredRows::default();
            }
        }
        stored.meta = source.meta().unwrap_or_default();
        stored
    }

    fn rows_index(&self, queue_manager: QueueManagerId) -> Index {
        // What is damaged cannot be compared.
        let readable = self.running.is_some() && !self.has_damaged_rows();
        self.applied.get(&queue_manager.0).copied().filter(|_| readable).unwrap_or_default()
    }

    fn stored_index(&mut self, queue_manager: QueueManagerId) -> Index {
        self.applied.get(&queue_manager.0).copied().unwrap_or_default()
    }

    fn install(&mut self, rows: &StoredRows, _: ObjectName) -> Result<Installed, DiskFailed> {
        const CALL: &str = "install a snapshot";
        let Some(meta) = &rows.meta else { return Ok(Installed::Late) };
        let injected = self.fs.count_call(CALL);
        if let Err(failed) = &injected
            && failed.how != Failure::Crash
        {
            return Err(failed.clone());
        }
        let before = Before::look(&self.database()).ok();
        let snapshots = &self.running().snapshots;
        let arrive = || -> Result<_, String> {
            let mut writer = snapshots.begin(meta)?;
            let mut chunk = Vec::new();
            let mut bytes = 0;
            for ((family, key), value) in &rows.rows {
                bytes += key.len() + value.len();
                chunk.push(Row { family: *family as u32, key: key.clone(), value: value.clone() });
                if bytes >= CHUNK_BYTES {
                    writer.write(std::mem::take(&mut chunk))?;
                    bytes = 0;
                }
            }
            writer.write(chunk)?;
            Ok(writer)
        };
        let arrived = arrive();
        let staged = self.incoming();
        let installed = arrived.and_then(|writer| writer.install());
        if let (Err(failed), Some(before)) = (injected, before) {
            self.torn = Some((before, staged));
            return Err(failed);
        }
        match installed {
            Ok(Some(queue_manager)) => {
                self.applied.insert(meta.queue_manager.0, meta.index);
                self.flushed.insert(meta.queue_manager.0, meta.index);
                Ok(Installed::Done(queue_manager))
            }
            Ok(None) => Ok(Installed::Late),
            Err(error) => Err(self.failed(CALL, &error)),
        }
    }

    fn crash(&mut self, power_cut: bool, rng: &mut Rng) {
        let batch = std::mem::take(&mut self.batch);
        self.caught_up.clear();
        if let Some(mut running) = self.running.take() {
            // The write was under way: it got so far.
            if !batch.is_empty() && rng.chance(700) {
                self.fs.die_in(rng.below(6));
                running.process.takes_over();
                if let Ok(Written::Done) = running.log.write() {
                    let _ = running.log.follow_up();
                    self.marks.push("process ended right behind a write of the log");
                }
                self.marks.push("process ended in a write of the log");
            }
            self.told.unsynced.extend(batch.into_iter().map(Operation::Write));
            self.fs.kill();
            let torn = self.torn.take();
            let is_torn = torn.is_some();
            let before = torn.or_else(|| Some((Before::look(&self.database()).ok()?, Vec::new())));
            drop(running);
            let reached = match self.unflushed || is_torn {
                true => Reached::draw(rng),
                false => Reached::Nothing,
            };
            if let Some((before, staged)) = before {
                if reached != Reached::All {
                    for (path, bytes) in staged {
                        let _ = fs::create_dir_all(path.parent().expect("it lies in a directory"));
                        let _ = fs::write(path, bytes);
                    }
                }
                if let Err(error) = before.take_back(reached, rng) {
                    self.complaint.get_or_insert(format!("take the store back to before the crash: {error}"));
                }
                self.marks.push(match reached {
                    Reached::Nothing => "store as it was flushed",
                    Reached::Tables => "store with torn tables",
                    Reached::Manifest(_) => "store with a torn manifest",
                    Reached::All => "store flushed and not answered",
                });
            }
        }
        self.fs.kill();
        self.unflushed = false;
        self.applied.clear();
        if power_cut {
            self.fs.cut_power(rng);
        }
        self.fs.take_failed();
    }

    fn durable_last(&self, queue_manager: QueueManagerId) -> (Index, Term) {
        self.told.durable.get(&queue_manager.0).map(Region::last).unwrap_or_default()
    }

    fn durable_term_at(&self, queue_manager: QueueManagerId, index: Index) -> DurableAt {
        if index <= self.flushed_index(queue_manager) {
            return DurableAt::Cut;
        }
        self.told.durable.get(&queue_manager.0).map_or(DurableAt::Missing, |region| region.term_at(index))
    }

    fn flushed_index(&self, queue_manager: QueueManagerId) -> Index {
        self.flushed.get(&queue_manager.0).copied().unwrap_or_default()
    }

    fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }

    fn take_marks(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.marks)
    }

    fn lose_everything(&mut self) {
        self.fs.restore(&BTreeMap::new());
        let _ = fs::remove_dir_all(self.log_directory());
        self.told = Told::default();
        self.lose_store();
    }

    fn lose_store(&mut self) {
        let _ = fs::remove_dir_all(self.data_directory());
        self.flushed.clear();
        self.damage = None;
        self.tampered = true;
    }

    fn shorten_log(&mut self, _: QueueManagerId, entries: u64) -> bool {
        let in_mark = self.rng.chance(120);
        let files = self.fs.files().into_iter().map(|(path, _)| path);
        let wanted = |path: &PathBuf| match in_mark {
            true => path.file_name().is_some_and(|name| name == "mark"),
            false => path.extension().is_some_and(|extension| extension == "raftlog"),
        };
        let Some(file) = files.filter(wanted).max() else { return false };
        let bytes = self.fs.bytes(&file);
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let span = used.min(entries * ENTRY_BYTES);
        if span == 0 {
            return false;
        }
        self.tampered = true;
        let offset = used - 1 - self.rng.below(span);
        self.marks.push(if in_mark { "bit flipped in the mark" } else { "bit flipped in the log" });
        self.fs.flip(&file, offset as usize, 1 << self.rng.below(8))
    }

    fn damage_rows(&mut self) -> bool {
        // Where rows lie in any table: its first block, or the records of a blob file.
        let tables = crash_dir::tables(&self.database());
        let Some(file) = self.rng.pick(&tables).cloned() else { return false };
        let length = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let is_blob = file.extension().is_some_and(|extension| extension == "blob");
        let (from, until) = if is_blob { (30, length.saturating_sub(32)) } else { (0, length.min(60)) };
        if until <= from {
            return false;
        }
        let offset = (from + self.rng.below(until - from)) as usize;
        let damage = Damage { file, offset, bits: 1 << self.rng.below(8) };
        let changed = self.change_bit(&damage);
        self.damage = changed.then_some(damage);
        self.tampered |= changed;
        changed
    }

    fn mend_rows(&mut self) {
        if let Some(damage) = self.damage.take() {
            self.change_bit(&damage);
        }
    }

    fn has_damaged_rows(&self) -> bool {
        self.damage.is_some() || self.data_directory().join("store.condemned").exists()
    }

    fn set_store_room(&mut self, room: bool) -> bool {
        self.has_room.store(room, Ordering::Relaxed);
        true
    }

    fn copy(&self) -> Box<dyn Any> {
        let store = tempfile::Builder::new().prefix("backup-").tempdir_in(self.root.path());
        let store = store.expect("the node's own directory takes a directory");
        let copied =
            if self.database().exists() { crash_dir::copy(&self.database(), store.path()) } else { Ok(()) };
        copied.expect("a temporary directory takes a copy");
        let mut told = self.told.clone();
        told.unsynced.clear();
        Box::new(Copy { log: self.fs.copy(), store, told, recovering: self.recovering.clone() })
    }

    fn restore(&mut self, copy: &dyn Any) {
        let Some(copy) = copy.downcast_ref::<Copy>() else { return };
        self.lose_everything();
        let restored = fs::create_dir_all(self.log_directory().join("engine"))
            .and_then(|()| fs::create_dir_all(self.data_directory()))
            .and_then(|()| crash_dir::copy(copy.store.path(), &self.database()));
        restored.expect("a temporary directory takes a copy");
        self.fs.restore(&copy.log);
        self.told = copy.told.clone();
        self.recovering = copy.recovering.clone();
        self.tampered = false;
    }

    fn plan_failure(&mut self, call_number: u64, how: Failure) {
        self.fs.plan_failure(call_number, how);
    }

    fn is_failure_due(&self) -> bool {
        self.fs.is_failure_due()
    }

    fn calls_made(&self) -> u64 {
        self.fs.calls()
    }

    fn sites(&self) -> Sites {
        self.fs.sites()
    }
}
