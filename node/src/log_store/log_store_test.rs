//! The log as its callers see it: what was written is there after a reopen, and what is not there is said.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ::raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};
use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::consensus::{EntryKind, HardState, Parted};
use crate::types::{Inspected, Membership, NodeId, SnapshotMeta, Term, TermStarts, WriteNumber};

pub(super) const QM: QueueManagerId = QueueManagerId(7);

pub(super) fn meta(index: u64, term: u64) -> SnapshotMeta {
    SnapshotMeta {
        queue_manager: QM,
        index: Index(index),
        term: Term(term),
        membership: Membership::default(),
        terms: TermStarts::default(),
        installed: true,
    }
}

/// Bytes that do not compress and are different for every index and term.
pub(super) fn entry(index: u64, term: u64, bytes: usize) -> Entry {
    let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ term;
    let data: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    let crc = crc32c::crc32c(&data);
    Entry { kind: EntryKind::Normal, term: Term(term), index: Index(index), data: Bytes::from(data), crc }
}

pub(super) fn write(number: u64, term: u64, entries: Vec<Entry>) -> LogWrite {
    let commit = entries.first().map_or(Index(1), |entry| Index(entry.index.0 - 1));
    LogWrite {
        queue_manager: QM,
        number: WriteNumber(number),
        hard_state: Some(HardState { term: Term(term), vote: Some(NodeId(2)), commit }),
        restart_after: None,
        entries,
        sync: true,
    }
}

fn open(directory: &Path) -> RaftEngineLog {
    RaftEngineLog::open(LogOptions::small(directory)).unwrap()
}

fn indexes(entries: &[Entry]) -> Vec<(u64, u64)> {
    entries.iter().map(|entry| (entry.index.0, entry.term.0)).collect()
}

/// A log with entries 2 to `last`, of `bytes` each, stopped in order.
fn filled(directory: &Path, last: u64, bytes: usize) {
    let mut log = open(directory);
    log.recover(QM, &meta(1, 1)).unwrap();
    for index in 2..=last {
        log.write_batch(&mut vec![write(index, 3, vec![entry(index, 3, bytes)])]).unwrap();
    }
    log.write_mark(true).unwrap();
}

fn newest_file(directory: &Path) -> std::path::PathBuf {
    super::files::files_of(&directory.join("engine"), ".raftlog").unwrap().pop().unwrap().1
}

#[test]
fn a_new_node_is_recovering_until_it_caught_up_or_voted() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let recovered = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
        assert!(!recovered.complete);
        assert!(recovered.entries.is_empty());
        assert_eq!(recovered.acknowledged, Some(Index(1)), "it remembers none");
        assert_eq!(recovered.hard_state, HardState { term: Term(1), vote: None, commit: Index(1) });
        assert_eq!(recovered.sentences.len(), 0, "{:?}", recovered.sentences);
    }
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    let mut follow = write(1, 5, vec![entry(2, 5, 10)]);
    follow.hard_state.as_mut().unwrap().vote = None;
    log.write_batch(&mut vec![follow]).unwrap();
    log.write_mark(true).unwrap();
    drop(log);
    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(1, 1)).unwrap();
    assert!(!recovered.complete, "it has entries, but was never told that they are all");
    assert_eq!(recovered.acknowledged, None, "nor what was on the disks that these may have replaced");
    log.caught_up(QM).unwrap();
    drop(log);
    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(1, 1)).unwrap();
    assert_eq!((recovered.complete, recovered.acknowledged), (true, Some(Index(2))));

    let other = tempfile::tempdir().unwrap();
    let mut log = open(other.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    log.write_batch(&mut vec![write(1, 2, vec![])]).unwrap();
    drop(log); // without its mark
    let recovered = open(other.path()).recover(QM, &meta(1, 1)).unwrap();
    assert!(recovered.complete, "a node that votes is not recovering: {:?}", recovered.sentences);
    assert_eq!(recovered.hard_state.vote, Some(NodeId(2)));
}

#[test]
fn what_was_written_comes_back_over_files_and_reopens() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 300, 1000);
    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(1, 1)).unwrap();
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert_eq!(recovered.entries.len(), 299);
    for (got, index) in recovered.entries.iter().zip(2..) {
        assert_eq!(*got, entry(index, 3, 1000));
    }
    assert_eq!(recovered.hard_state.term, Term(3));

    // Behind a store that is further on only the rest is read.
    let recovered = log.recover(QM, &meta(250, 3)).unwrap();
    assert_eq!(recovered.entries.first().unwrap().index, Index(251));

    // Reads are bounded by bytes and by what was cut.
    log.truncate(QM, Index(100)).unwrap();
    log.purge().unwrap();
    assert!(log.read(QM, Index(100), Index(105), 1 << 20).unwrap().is_empty());
    assert_eq!(
        indexes(&log.read(QM, Index(101), Index(104), 1 << 20).unwrap()),
        [(101, 3), (102, 3), (103, 3)]
    );
    assert_eq!(log.read(QM, Index(101), Index(200), 2500).unwrap().len(), 2);
    assert!(log.read(QM, Index(301), Index(400), 1 << 20).unwrap().is_empty());
    let mut at = Index(0);
    while let (damage, Some(next)) = log.reader().scrub(QM, at, 100_000) {
        assert!(damage.is_empty());
        at = next;
    }
    assert!(at > Index(200));
}

#[test]
fn a_new_leader_overwrites_the_end_and_a_snapshot_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 100);
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    let replaced = vec![entry(15, 4, 50), entry(16, 4, 50)];
    log.write_batch(&mut vec![write(1, 4, replaced), write(2, 4, vec![entry(17, 4, 10)])]).unwrap();
    log.write_mark(true).unwrap();
    drop(log);

    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(13, 3)).unwrap();
    assert!(recovered.complete, "an overwritten end is not a lost one: {:?}", recovered.sentences);
    assert_eq!(indexes(&recovered.entries), [(14, 3), (15, 4), (16, 4), (17, 4)]);

    let mut restart = write(3, 5, vec![entry(101, 5, 10)]);
    restart.restart_after = Some((Index(100), Term(4)));
    log.write_batch(&mut vec![restart]).unwrap();
    log.write_mark(true).unwrap();
    drop(log);
    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(100, 4)).unwrap();
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert_eq!(indexes(&recovered.entries), [(101, 5)]);
    assert_eq!(recovered.hard_state.vote, Some(NodeId(2)), "the hard state survives the new beginning");

    // The store that got the snapshot is gone: what the log has does not begin where the group began.
    let recovered = log.recover(QM, &meta(1, 1)).unwrap();
    assert!(!recovered.complete);
    assert!(recovered.entries.is_empty());
    assert!(recovered.sentences[0].contains("what lies between is lost"), "{:?}", recovered.sentences);
}

#[test]
fn a_torn_end_that_was_never_acknowledged_is_nothing_to_talk_about() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    // The mark ends at 20; 21 was being written when the power went.
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    let mark = std::fs::read(directory.path().join("mark")).unwrap();
    log.write_batch(&mut vec![write(21, 3, vec![entry(21, 3, 1000)])]).unwrap();
    drop(log);
    std::fs::write(directory.path().join("mark"), mark).unwrap();
    let newest = newest_file(directory.path());
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() - 500]).unwrap();

    let recovered = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert_eq!(recovered.entries.last().unwrap().index, Index(20));
    assert!(recovered.sentences.is_empty(), "{:?}", recovered.sentences);
}

#[test]
fn what_a_node_acknowledged_is_not_known_where_its_mark_was_lost() {
    let with_log = tempfile::tempdir().unwrap();
    filled(with_log.path(), 20, 1000);
    std::fs::remove_file(with_log.path().join("mark")).unwrap();
    // Nothing is left here but the message store, which has entries.
    let without = tempfile::tempdir().unwrap();
    // Nor that, but both copies of its mark are damaged: it is not new.
    let damaged = tempfile::tempdir().unwrap();
    filled(damaged.path(), 20, 1000);
    std::fs::remove_dir_all(damaged.path().join("engine")).unwrap();
    let mut mark = std::fs::read(damaged.path().join("mark")).unwrap();
    mark.iter_mut().skip(33).step_by(4096).for_each(|byte| *byte ^= 1);
    std::fs::write(damaged.path().join("mark"), mark).unwrap();
    for (directory, store) in [(&with_log, meta(1, 1)), (&without, meta(3, 20)), (&damaged, meta(1, 1))] {
        for round in 0..2 {
            let recovered = open(directory.path()).recover(QM, &store).unwrap();
            assert!(!recovered.complete);
            assert_eq!(recovered.acknowledged, None);
            let told = |text| recovered.sentences.iter().any(|sentence| sentence.contains(text));
            assert!(
                told("the mark of what it acknowledged is missing") || round > 0,
                "{:?}",
                recovered.sentences
            );
            assert!(!told("an older log"), "it may be the same: {:?}", recovered.sentences);
        }
    }
}

#[test]
fn that_it_parted_from_a_leader_is_known_after_a_restart_for_as_long_as_the_log_has_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 9, 1000);
    let parted = |index: u64| Parted {
        leader: NodeId(3),
        term: Term(4),
        index: Index(index),
        own: Term(3),
        theirs: Some(Term(4)),
        commit: Index(9),
    };
    let mut log = open(directory.path());
    assert_eq!(log.recover(QM, &meta(1, 1)).unwrap().parted, None);
    log.note_parted(QM, Some(parted(6))).unwrap();
    drop(log);
    for _ in 0..2 {
        let found = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
        assert_eq!((found.parted, found.complete), (Some(parted(6)), true));
        assert_eq!(found.hard_state.commit, Index(9), "nobody replaces what was committed then");
    }
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    log.note_parted(QM, Some(parted(12))).unwrap();
    drop(log);
    let mut log = open(directory.path());
    assert_eq!(log.recover(QM, &meta(1, 1)).unwrap().parted, None, "there is no such entry here");
    log.note_parted(QM, Some(parted(6))).unwrap();
    log.note_parted(QM, None).unwrap();
    drop(log);
    assert_eq!(open(directory.path()).recover(QM, &meta(1, 1)).unwrap().parted, None);
}

#[test]
fn a_log_directory_that_was_taken_back_to_before_the_message_store_lost_its_end() {
    for (installed, complete) in [(false, false), (true, true)] {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path(), 20, 1000);
        let store = SnapshotMeta { installed, ..meta(40, 3) };
        let recovered = open(directory.path()).recover(QM, &store).unwrap();
        assert_eq!(recovered.complete, complete, "{:?}", recovered.sentences);
        let told =
            recovered.sentences.iter().any(|sentence| sentence.contains("the message store is at entry 40"));
        assert_eq!(told, !complete);
    }
}

#[test]
fn a_log_that_lost_its_end_says_so_until_it_caught_up() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    let newest = newest_file(directory.path());
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() - 500]).unwrap();
    for round in 0..2 {
        let mut log = open(directory.path());
        let recovered = log.recover(QM, &meta(1, 1)).unwrap();
        assert!(!recovered.complete);
        assert_eq!(recovered.entries.len(), if round == 0 { 18 } else { 19 });
        let sentence = &recovered.sentences[0];
        if round == 0 {
            assert!(sentence.contains("acknowledged entry 20") && sentence.contains("offset"), "{sentence}");
        }
        // A leader sends one entry again; the mark still remembers 20.
        let index = 20 + round;
        let mut follow = write(1, 3, vec![entry(index, 3, 1000)]);
        follow.hard_state = None;
        log.write_batch(&mut vec![follow]).unwrap();
        if round == 1 {
            log.caught_up(QM).unwrap();
        }
        log.write_mark(true).unwrap();
    }
    assert!(open(directory.path()).recover(QM, &meta(1, 1)).unwrap().complete);
}

#[test]
fn damage_below_the_store_costs_nothing_and_above_it_only_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 50, 1000);
    let newest = newest_file(directory.path());
    let mut bytes = std::fs::read(&newest).unwrap();
    let place = entry(30, 3, 1000).data;
    let at = bytes.windows(place.len()).position(|window| window == place).unwrap();
    bytes[at + 10] ^= 4;
    std::fs::write(&newest, &bytes).unwrap();
    let other = tempfile::tempdir().unwrap();
    super::damage_test::copy(directory.path(), other.path());

    let mut log = open(other.path());
    let recovered = log.recover(QM, &meta(30, 3)).unwrap();
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert_eq!(recovered.entries.len(), 20);
    // A peer that lags gets a snapshot: the log begins behind the damage.
    assert!(log.read(QM, Index(30), Index(31), 100).unwrap().is_empty());
    assert_eq!(log.reader().scrub(QM, Index(30), 100).0.len(), 0);

    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(10, 3)).unwrap();
    assert!(!recovered.complete);
    assert_eq!(recovered.entries.last().unwrap().index, Index(29));
    let sentence = &recovered.sentences[0];
    assert!(sentence.contains("entry 30 cannot be read (file ") && sentence.contains("offset"), "{sentence}");
    // It is cut on disk, so that the next leader's entries follow the good prefix.
    log.write_batch(&mut vec![write(1, 3, vec![entry(30, 3, 10)])]).unwrap();
    assert_eq!(indexes(&log.read(QM, Index(29), Index(40), 1 << 20).unwrap()), [(29, 3), (30, 3)]);

    let mut text = String::new();
    let mut report = |found: Inspected| {
        text += &format!("{found}\n");
        Ok(())
    };
    let damaged = inspect::inspect(directory.path(), Some(QM), &mut report).unwrap();
    assert_eq!(damaged, 1, "{text}");
    assert!(
        text.contains("entries 30..=30") && text.contains("begins anew") && text.contains("recovering"),
        "{text}"
    );
}

#[test]
fn a_file_that_was_cut_between_two_batches_does_not_pass_for_whole() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 200, 1000);
    let files = super::files::files_of(&directory.path().join("engine"), ".raftlog").unwrap();
    assert!(files.len() > 2);
    let (number, path) = &files[1];
    let bytes = std::fs::read(path).unwrap();
    let mut offsets = Vec::new();
    super::files::read_batches(&bytes, *number, &mut |batch| offsets.push(batch.offset));
    std::fs::write(path, &bytes[..*offsets.last().unwrap()]).unwrap();

    let recovered = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
    assert!(!recovered.complete);
    let last = recovered.entries.last().unwrap().index;
    assert!(last > Index(50) && last < Index(199), "{last}");
    assert!(recovered.sentences.iter().any(|s| s.contains("entries are missing before it")), "{recovered:?}");
}

#[test]
fn a_log_directory_that_cannot_be_used_is_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    // A rewrite file that is not one, followed by another.
    for number in 1..3 {
        std::fs::write(directory.path().join(format!("engine/{number:016}.rewrite")), b"not a log file")
            .unwrap();
    }
    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(15, 3)).unwrap();
    assert!(!recovered.complete);
    assert!(recovered.entries.is_empty());
    assert_eq!(recovered.hard_state.vote, Some(NodeId(2)), "the mark remembers the vote");
    assert!(recovered.sentences[0].contains("engine.damaged-1"), "{:?}", recovered.sentences);
    assert!(directory.path().join("engine.damaged-1").is_dir());
}

/// The disk of the machine, with a wish list.
struct FaultyFs {
    sync_fails: Arc<AtomicBool>,
    read_fails: AtomicBool,
    room: Arc<AtomicU64>,
}

struct Faulty<T> {
    inner: T,
    sync_fails: Arc<AtomicBool>,
    room: Arc<AtomicU64>,
}

type RealHandle = <DefaultFileSystem as FileSystem>::Handle;
type RealFile = <DefaultFileSystem as FileSystem>::Writer;

impl FaultyFs {
    fn wrap<T>(&self, inner: T) -> Faulty<T> {
        Faulty { inner, sync_fails: self.sync_fails.clone(), room: self.room.clone() }
    }
}

impl FileSystem for FaultyFs {
    type Handle = Faulty<Arc<RealHandle>>;
    type Reader = RealFile;
    type Writer = Faulty<RealFile>;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<Self::Handle> {
        Ok(self.wrap(Arc::new(DefaultFileSystem.create(path)?)))
    }
    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> io::Result<Self::Handle> {
        Ok(self.wrap(Arc::new(DefaultFileSystem.open(path, permission)?)))
    }
    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        DefaultFileSystem.delete(path)
    }
    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        DefaultFileSystem.rename(from, to)
    }
    fn new_reader(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Reader> {
        if self.read_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        DefaultFileSystem.new_reader(handle.inner.clone())
    }
    fn new_writer(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Writer> {
        Ok(self.wrap(DefaultFileSystem.new_writer(handle.inner.clone())?))
    }
}

impl Handle for Faulty<Arc<RealHandle>> {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        Handle::truncate(&*self.inner, offset)
    }
    fn file_size(&self) -> io::Result<usize> {
        self.inner.file_size()
    }
    fn sync(&self) -> io::Result<()> {
        match self.sync_fails.load(Ordering::SeqCst) {
            true => Err(io::Error::from_raw_os_error(libc::EIO)),
            false => self.inner.sync(),
        }
    }
}

impl Write for Faulty<RealFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.load(Ordering::SeqCst) as usize;
        if room < bytes.len() {
            // A full device takes what fits, then refuses.
            self.inner.write_all(&bytes[..room])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.fetch_sub(bytes.len() as u64, Ordering::SeqCst);
        self.inner.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Faulty<RealFile> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.inner.read(bytes)
    }
}

impl Seek for Faulty<RealFile> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

impl WriteExt for Faulty<RealFile> {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.inner.truncate(offset)
    }
    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.inner.allocate(offset, size)
    }
}

fn faulty() -> (Arc<FaultyFs>, Arc<AtomicBool>, Arc<AtomicU64>) {
    let (sync_fails, room) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1 << 40)));
    let fs =
        FaultyFs { sync_fails: sync_fails.clone(), read_fails: AtomicBool::new(false), room: room.clone() };
    (Arc::new(fs), sync_fails, room)
}

#[test]
fn a_full_device_gets_the_ballast_then_refuses_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let (fs, _, room) = faulty();
    let options = LogOptions { ballast_bytes: 1 << 20, ..LogOptions::small(directory.path()) };
    let mut log = RaftEngineLog::open_with(options, fs).unwrap();
    log.recover(QM, &meta(1, 1)).unwrap();
    log.write_batch(&mut vec![write(2, 3, vec![entry(2, 3, 1000)])]).unwrap();
    assert!(directory.path().join("ballast").exists());

    room.store(100, Ordering::SeqCst);
    let mut writes = vec![write(3, 3, vec![entry(3, 3, 1000)])];
    for _ in 0..3 {
        assert!(matches!(log.write_batch(&mut writes), Err(LogError::NoRoom { .. })));
    }
    assert!(!directory.path().join("ballast").exists(), "the reserve was given up first");
    assert_eq!(log.read(QM, Index(2), Index(9), 1 << 20).unwrap().len(), 1);

    room.store(1 << 40, Ordering::SeqCst);
    log.write_batch(&mut writes).unwrap();
    log.restore_ballast();
    assert!(directory.path().join("ballast").exists());
    log.write_mark(true).unwrap();
    drop(log);
    let recovered = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
    assert_eq!(indexes(&recovered.entries), [(2, 3), (3, 3)]);
    assert!(recovered.complete, "{:?}", recovered.sentences);
}

#[test]
fn the_mark_of_a_new_queue_manager_gets_the_ballast_of_a_full_device() {
    let directory = tempfile::tempdir().unwrap();
    let (fs, _, room) = faulty();
    let options = LogOptions { ballast_bytes: 1 << 20, ..LogOptions::small(directory.path()) };
    let mut log = RaftEngineLog::open_with(options, fs).unwrap();
    log.recover(QM, &meta(1, 1)).unwrap();
    let (other, begun) = (QueueManagerId(9), SnapshotMeta { queue_manager: QueueManagerId(9), ..meta(1, 1) });
    room.store(0, Ordering::SeqCst);
    assert!(matches!(log.begin(other, &begun), Err(LogError::Mark { .. })));
    assert!(!directory.path().join("ballast").exists(), "the reserve was given up for it");
    room.store(1 << 40, Ordering::SeqCst);
    assert!(log.begin(other, &begun).unwrap().complete);
    drop(log);
    let mut log = open(directory.path());
    assert!(log.recover(other, &begun).unwrap().complete && log.recover(QM, &meta(1, 1)).is_ok());
}

#[test]
fn a_failed_sync_is_an_error_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let (fs, sync_fails, _) = faulty();
    let mut log = RaftEngineLog::open_with(LogOptions::small(directory.path()), fs).unwrap();
    log.recover(QM, &meta(1, 1)).unwrap();
    log.write_batch(&mut vec![write(2, 3, vec![entry(2, 3, 10)])]).unwrap();
    sync_fails.store(true, Ordering::SeqCst);
    let mut writes = vec![write(3, 3, vec![entry(3, 3, 10)])];
    assert!(matches!(log.write_batch(&mut writes), Err(LogError::Sync { .. })));
    sync_fails.store(false, Ordering::SeqCst);
    assert!(
        matches!(log.write_batch(&mut writes), Err(LogError::Sync { .. })),
        "the next sync proves nothing"
    );
}

/// Purged files keep their names until they are used again: a killed process leaves them, some of them deleted.
#[test]
fn files_that_a_purge_gave_back_do_not_stand_in_the_way_of_those_after_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    log.caught_up(QM).unwrap();
    let mut had_holes = 0;
    for index in 2..=300 {
        log.write_batch(&mut vec![write(index, 3, vec![entry(index, 3, 20_000)])]).unwrap();
        log.write_mark(true).unwrap();
        if index % 60 == 0 {
            log.truncate(QM, Index(index - 10)).unwrap();
            log.purge().unwrap();
        }
        if index % 9 == 0 {
            let killed = tempfile::tempdir().unwrap();
            super::damage_test::copy(directory.path(), killed.path());
            let files = super::files::files_of(&killed.path().join("engine"), ".raftlog").unwrap();
            had_holes += u64::from(files.windows(2).any(|pair| pair[0].0 + 1 != pair[1].0));
            let recovered = open(killed.path()).recover(QM, &meta(index - 5, 3)).unwrap();
            assert!(recovered.complete, "at {index}: {:?}", recovered.sentences);
            assert_eq!(recovered.entries.len(), 5, "at {index}");
            assert!(recovered.sentences.is_empty(), "at {index}: {:?}", recovered.sentences);
        }
    }
    assert!(had_holes > 0, "no purge left a hole");
}

#[test]
fn a_damaged_entry_that_nobody_needs_does_not_end_every_purge() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    let file = newest_file(directory.path());
    let mut bytes = std::fs::read(&file).unwrap();
    let one = entry(5, 3, 1000).data;
    let at = bytes.windows(one.len()).position(|window| window == one).expect("it is not compressed");
    bytes[at + 7] ^= 4;
    std::fs::write(&file, bytes).unwrap();

    let other = QueueManagerId(8);
    let mut log = open(directory.path());
    let recovered = log.recover(QM, &meta(10, 3)).unwrap();
    assert_eq!(recovered.entries.len(), 10);
    log.recover(other, &SnapshotMeta { queue_manager: other, ..meta(1, 1) }).unwrap();
    for index in 2..=100 {
        let entries = vec![entry(index, 3, 10_000)];
        log.write_batch(&mut vec![LogWrite { queue_manager: other, ..write(index, 3, entries) }]).unwrap();
    }
    log.truncate(other, Index(99)).unwrap();
    log.purge().unwrap();
    assert_eq!(log.read(QM, Index(11), Index(21), 1 << 20).unwrap().len(), 10);
}

/// The engine does not sync the header of a file it has nothing to write to yet.
#[test]
fn a_file_that_lost_its_header_in_a_power_cut_is_begun_again_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    let rewrite =
        super::files::files_of(&directory.path().join("engine"), ".rewrite").unwrap().pop().unwrap().1;
    std::fs::write(&rewrite, b"").unwrap();

    let other = QueueManagerId(8);
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    log.recover(other, &SnapshotMeta { queue_manager: other, ..meta(1, 1) }).unwrap();
    for index in 2..=100 {
        let entries = vec![entry(index, 3, 10_000)];
        log.write_batch(&mut vec![LogWrite { queue_manager: other, ..write(index, 3, entries) }]).unwrap();
    }
    log.truncate(other, Index(99)).unwrap();
    log.purge().unwrap();
    log.write_mark(true).unwrap();
    assert!(std::fs::metadata(&rewrite).unwrap().len() > 19_000, "its entries were moved there");
    drop(log);
    let recovered = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert_eq!(recovered.entries.len(), 19);
}

/// A process that was killed between write and sync leaves entries that can be read and are not on the device.
#[test]
fn what_an_open_reads_it_brings_to_the_device() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    let (fs, sync_fails, room) = faulty();
    let before = room.load(Ordering::SeqCst);
    drop(RaftEngineLog::open_with(LogOptions::small(directory.path()), fs.clone()).unwrap());
    let written = before - room.load(Ordering::SeqCst);
    assert!(written > 19 * 1000, "only {written} bytes were written again");
    sync_fails.store(true, Ordering::SeqCst);
    let opened = RaftEngineLog::open_with(LogOptions::small(directory.path()), fs);
    // The mark comes first: it has to know where the log ended.
    assert!(matches!(opened.err(), Some(LogError::Mark { .. })));
    let recovered = open(directory.path()).recover(QM, &meta(1, 1)).unwrap();
    assert_eq!(recovered.entries.len(), 19);
    assert!(recovered.complete, "{:?}", recovered.sentences);
}

#[test]
fn a_device_that_does_not_answer_is_no_reason_to_give_the_log_up() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    let (fs, _, _) = faulty();
    fs.read_fails.store(true, Ordering::SeqCst);
    let opened = RaftEngineLog::open_with(LogOptions::small(directory.path()), fs.clone());
    assert!(opened.is_err());
    fs.read_fails.store(false, Ordering::SeqCst);
    let mut log = RaftEngineLog::open_with(LogOptions::small(directory.path()), fs).unwrap();
    let recovered = log.recover(QM, &meta(1, 1)).unwrap();
    assert_eq!(recovered.entries.len(), 19);
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert!(!directory.path().join("engine.damaged-1").exists());
}

#[test]
fn the_mark_is_synced_also_when_nobody_else_has_time_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (fs, sync_fails, _) = faulty();
    let mut log = RaftEngineLog::open_with(LogOptions::small(directory.path()), fs).unwrap();
    log.recover(QM, &meta(1, 1)).unwrap();
    log.write_batch(&mut vec![write(1, 3, vec![entry(2, 3, 10)])]).unwrap();
    log.write_mark(true).unwrap();
    let (said, heard) = crossbeam_channel::bounded(1);
    let thread = LogThread::start(
        log,
        Box::new(|| vec![QM]),
        LogThreadOptions::default(),
        Box::new(|_, _| {}),
        Arc::new(move |error| drop(said.try_send(error))),
        Arc::new(|_| {}),
        Box::new(|_, _| {}),
    )
    .unwrap();
    let handle = thread.handle();
    // The reading thread is stuck with the first answer, and its queue is full.
    let (go_on, stuck) = crossbeam_channel::bounded::<()>(0);
    handle.read(
        QM,
        Index(2),
        Index(3),
        1,
        Box::new(move |_| {
            let _ = stuck.recv();
        }),
    );
    let (refused, refusal) = crossbeam_channel::bounded(1);
    while refusal.is_empty() {
        let refused = refused.clone();
        handle.read(
            QM,
            Index(2),
            Index(3),
            1,
            Box::new(move |entries| {
                if entries.is_empty() {
                    let _ = refused.try_send(());
                }
            }),
        );
    }
    // Its commit index is news for the mark only.
    sync_fails.store(true, Ordering::SeqCst);
    let mut news = write(2, 3, vec![]);
    news.hard_state = Some(HardState { term: Term(3), vote: Some(NodeId(2)), commit: Index(2) });
    news.sync = false;
    handle.write(news);
    let error = heard.recv_timeout(Duration::from_secs(20)).expect("the sync of the mark was tried");
    assert!(matches!(error, LogError::Mark { .. }), "{error}");
    drop(go_on);
    thread.stop();
}

#[test]
fn the_log_thread_answers_everything_and_leaves_a_durable_mark() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    let (said, heard) = crossbeam_channel::unbounded();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let report = reports.clone();
    let thread = LogThread::start(
        log,
        Box::new(|| vec![QM]),
        LogThreadOptions { scrub_every: Duration::from_millis(20), ..LogThreadOptions::default() },
        Box::new(move |queue_manager, number| said.send((queue_manager, number)).unwrap()),
        Arc::new(|error| panic!("{error}")),
        Arc::new(move |sentence| report.lock().push(sentence)),
        Box::new(|_, index| panic!("entry {index} is not damaged")),
    )
    .unwrap();
    let handle = thread.handle();
    for index in 2..=500 {
        handle.write(write(index, 3, vec![entry(index, 3, 500)]));
    }
    let mut newest = WriteNumber(0);
    while newest < WriteNumber(500) {
        let (queue_manager, number) = heard.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(queue_manager == QM && number > newest);
        newest = number;
    }
    let (answer, answered) = crossbeam_channel::bounded(1);
    handle.read(QM, Index(2), Index(100), 1 << 20, Box::new(move |entries| answer.send(entries).unwrap()));
    assert_eq!(answered.recv_timeout(Duration::from_secs(20)).unwrap().len(), 98);
    handle.caught_up(QM);
    handle.truncate(QM, Index(50));
    thread.stop();
    let recovered = open(directory.path()).recover(QM, &meta(50, 3)).unwrap();
    assert!(recovered.complete, "{:?}", recovered.sentences);
    assert_eq!(recovered.entries.len(), 450);
    assert!(reports.lock().is_empty(), "{:?}", reports.lock());
}

/// What one write costs its thread; more by hand: `TRIMARAN_COSTS=1000`.
#[test]
fn a_write_costs_little_more_than_its_bytes() {
    let rounds = std::env::var("TRIMARAN_COSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(40u64).min(2000);
    let io = || -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
    };
    let cpu_us = || {
        // SAFETY: all-zero is a valid value of this plain C struct, and the call writes nothing else.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
            usage
        };
        let us = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        us(usage.ru_utime) + us(usage.ru_stime)
    };
    for (bytes, compress_from_bytes, prefill_bytes) in [
        (1 << 10, 0, 0),
        (64 << 10, 0, 0),
        (512 << 10, 0, 0),
        (512 << 10, 8 << 10, 0),
        (64 << 10, 0, 128 << 20),
    ] {
        let directory =
            tempfile::tempdir_in(std::env::var("TRIMARAN_COSTS_DIR").unwrap_or(".".into())).unwrap();
        let options = LogOptions {
            compress_from_bytes,
            prefill_bytes,
            ballast_bytes: 0,
            ..LogOptions::new(directory.path())
        };
        let begun = std::time::Instant::now();
        let mut log = RaftEngineLog::open(options.clone()).unwrap();
        let opened = begun.elapsed();
        log.recover(QM, &meta(1, 1)).unwrap();
        let one = entry(0, 3, bytes);
        let mut writes = Vec::with_capacity(1);
        let (cpu, disk, begun) = (cpu_us(), io(), std::time::Instant::now());
        for index in 2..rounds + 2 {
            writes.push(write(index, 3, vec![Entry { index: Index(index), ..one.clone() }]));
            log.write_batch(&mut writes).unwrap();
            writes.clear();
            log.write_mark(false).unwrap();
        }
        let each = rounds as f64;
        println!(
            "entries of {bytes} bytes, LZ4 from {compress_from_bytes}, prefill {prefill_bytes} (open {opened:?}): a write \
             takes {:.0} us of CPU, {:.0} us, {:.3} disk bytes a byte",
            (cpu_us() - cpu) as f64 / each,
            begun.elapsed().as_micros() as f64 / each,
            (io() - disk) as f64 / each / bytes as f64
        );
        drop(log);
        let begun = std::time::Instant::now();
        let mut log = RaftEngineLog::open(options).unwrap();
        let opened = begun.elapsed();
        let recovered = log.recover(QM, &meta(1, 1)).unwrap();
        println!(
            "   open again {opened:?}, {} entries read back in {:?}",
            recovered.entries.len(),
            begun.elapsed() - opened
        );
        assert_eq!(recovered.entries.len() as u64, rounds);
    }
}

#[test]
fn one_that_is_younger_than_the_disk_votes_at_once_where_nothing_of_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let begun = open(directory.path()).begin(QM, &meta(1, 1)).unwrap();
    assert!(begun.complete && begun.entries.is_empty() && begun.sentences.is_empty());
    assert!(open(directory.path()).recover(QM, &meta(1, 1)).unwrap().complete, "the next start knows it");

    // Whatever was there before counts more than that.
    let lost = tempfile::tempdir().unwrap();
    filled(lost.path(), 20, 1000);
    std::fs::remove_dir_all(lost.path().join("engine")).unwrap();
    assert!(!open(lost.path()).begin(QM, &meta(1, 1)).unwrap().complete);
}

#[test]
fn nothing_is_left_of_one_that_was_deleted_and_others_keep_what_they_have() {
    const OTHER: QueueManagerId = QueueManagerId(8);
    let of_other = || SnapshotMeta { queue_manager: OTHER, ..meta(1, 1) };
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 20, 1000);
    let mut log = open(directory.path());
    log.recover(QM, &meta(1, 1)).unwrap();
    log.recover(OTHER, &of_other()).unwrap();
    let others = LogWrite { queue_manager: OTHER, ..write(1, 3, vec![entry(2, 3, 10)]) };
    log.write_batch(&mut vec![others]).unwrap();
    for _ in 0..2 {
        log.forget(QM).unwrap();
        assert!(log.read(QM, Index(2), Index(21), 1 << 20).unwrap().is_empty());
    }
    log.write_mark(true).unwrap();
    drop(log);
    let mut log = open(directory.path());
    let other = log.recover(OTHER, &of_other()).unwrap();
    assert!(other.complete && other.entries.len() == 1, "{:?}", other.sentences);
    let again = log.recover(QM, &meta(1, 1)).unwrap();
    assert_eq!((again.entries.len(), again.hard_state.term), (0, Term(1)), "no entry and no vote");
    assert!(again.sentences.is_empty(), "and no loss: {:?}", again.sentences);
}
