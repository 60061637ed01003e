//! A start is attacked, too: it is killed at each of its changes to the disk, and so is the start after it. What was
//! acknowledged is there at the end, or the log says that it is not.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

use super::damage_test::copy;
use super::log_store_test::{QM, entry, meta, write};
use super::*;
use crate::types::SnapshotMeta;

/// The disk of the machine, for a process that is killed after so many changes: a write that is the last one may have
/// been half of it.
#[derive(Clone)]
struct MortalFs {
    changes_left: Arc<AtomicU64>,
}

struct Mortal<T> {
    inner: T,
    fs: MortalFs,
}

type RealHandle = <DefaultFileSystem as FileSystem>::Handle;
type RealFile = <DefaultFileSystem as FileSystem>::Writer;

fn killed() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl MortalFs {
    fn after(changes: u64) -> MortalFs {
        MortalFs { changes_left: Arc::new(AtomicU64::new(changes)) }
    }

    fn is_dead(&self) -> bool {
        self.changes_left.load(Ordering::SeqCst) == 0
    }

    fn change(&self) -> io::Result<()> {
        let less = |left: u64| left.checked_sub(1);
        match self.changes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(killed()),
        }
    }

    fn wrap<T>(&self, inner: T) -> Mortal<T> {
        Mortal { inner, fs: self.clone() }
    }
}

impl FileSystem for MortalFs {
    type Handle = Mortal<Arc<RealHandle>>;
    type Reader = RealFile;
    type Writer = Mortal<RealFile>;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<Self::Handle> {
        self.change()?;
        Ok(self.wrap(Arc::new(DefaultFileSystem.create(path)?)))
    }
    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> io::Result<Self::Handle> {
        Ok(self.wrap(Arc::new(DefaultFileSystem.open(path, permission)?)))
    }
    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.change()?;
        DefaultFileSystem.delete(path)
    }
    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        self.change()?;
        DefaultFileSystem.rename(from, to)
    }
    fn new_reader(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Reader> {
        DefaultFileSystem.new_reader(handle.inner.clone())
    }
    fn new_writer(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Writer> {
        Ok(self.wrap(DefaultFileSystem.new_writer(handle.inner.clone())?))
    }
}

impl Handle for Mortal<Arc<RealHandle>> {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        self.fs.change()?;
        Handle::truncate(&*self.inner, offset)
    }
    fn file_size(&self) -> io::Result<usize> {
        self.inner.file_size()
    }
    /// Nothing that a kill can tell apart.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for Mortal<RealFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fs.change()?;
        if self.fs.is_dead() {
            self.inner.write_all(&bytes[..bytes.len() / 2])?;
            return Err(killed());
        }
        self.inner.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Mortal<RealFile> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.inner.read(bytes)
    }
}

impl Seek for Mortal<RealFile> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

impl WriteExt for Mortal<RealFile> {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.fs.change()?;
        self.inner.truncate(offset)
    }
    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.fs.change()?;
        self.inner.allocate(offset, size)
    }
}

/// Opens and recovers with the writes that a device gets. None: killed in between.
fn start_until(directory: &Path, changes: u64, store: &SnapshotMeta) -> Option<RecoveredLog> {
    let mortal = MortalFs::after(changes);
    let fs = Arc::new(BlockFs::over(mortal.clone(), |_| true));
    let opened = RaftEngineLog::open_with(LogOptions::small(directory), fs);
    let recovered = opened.and_then(|mut log| log.recover(QM, store));
    match recovered {
        _ if mortal.is_dead() => None,
        Ok(recovered) => Some(recovered),
        Err(error) => panic!("a start that was not killed failed: {error}"),
    }
}

/// Entries 2 to `last`, as a process leaves them that is killed: the newest file has room ahead.
fn killed_log(directory: &Path, last: u64) {
    let mut log = RaftEngineLog::open(LogOptions::small(directory)).unwrap();
    log.recover(QM, &meta(1, 1)).unwrap();
    for index in 2..=last {
        log.write_batch(&mut vec![write(index, 3, vec![entry(index, 3, 900)])]).unwrap();
    }
    log.write_mark(true).unwrap();
    let engine = directory.join("engine");
    let newest = files::files_of(&engine, ".raftlog").unwrap().pop().unwrap().1;
    drop(log);
    let file = std::fs::OpenOptions::new().write(true).open(newest).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length + 100_000).unwrap();
}

/// Kills a start at each of its changes, the next one at some, and judges the one that is let go on.
fn flap(original: &Path, store: &SnapshotMeta, judge: &dyn Fn(&str, RecoveredLog)) {
    for first in 0.. {
        let mut is_over = false;
        for second in [u64::MAX, first, first / 2, first + 1] {
            let directory = tempfile::tempdir().unwrap();
            copy(original, directory.path());
            let what = format!("killed after {first} changes, and after {second}");
            is_over = start_until(directory.path(), first, store).is_some();
            start_until(directory.path(), second, store);
            let recovered = start_until(directory.path(), u64::MAX, store).expect("nobody kills it");
            judge(&what, recovered);
        }
        if is_over {
            assert!(first > 3, "only {first} changes: nothing was attacked");
            return;
        }
    }
}

#[test]
fn a_start_that_is_killed_at_any_of_its_writes_loses_nothing() {
    let original = tempfile::tempdir().unwrap();
    killed_log(original.path(), 120);
    flap(original.path(), &meta(1, 1), &|what, recovered| {
        assert!(recovered.complete, "{what}: {:?}", recovered.sentences);
        assert_eq!(recovered.entries.len(), 119, "{what}");
        assert!(recovered.entries.iter().zip(2..).all(|(got, index)| *got == entry(index, 3, 900)), "{what}");
    });
}

#[test]
fn a_header_is_written_again_and_the_content_behind_it_stays_whenever_that_ends() {
    let original = tempfile::tempdir().unwrap();
    killed_log(original.path(), 200);
    for (_, path) in files::files_of(&original.path().join("engine"), ".raftlog").unwrap() {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    flap(original.path(), &meta(1, 1), &|what, recovered| {
        assert!(recovered.complete, "{what}: {:?}", recovered.sentences);
        assert_eq!(recovered.entries.len(), 199, "{what}");
    });
}

/// The mark is synced now and then: after a power cut it may know of less than was acknowledged.
#[test]
fn a_damaged_log_is_not_taken_for_whole_by_the_start_that_follows_one_that_was_killed() {
    let original = tempfile::tempdir().unwrap();
    killed_log(original.path(), 40);
    let mark = std::fs::read(original.path().join("mark")).unwrap();
    let mut log = RaftEngineLog::open(LogOptions::small(original.path())).unwrap();
    log.recover(QM, &meta(1, 1)).unwrap();
    for index in 41..=50 {
        log.write_batch(&mut vec![write(index, 3, vec![entry(index, 3, 900)])]).unwrap();
    }
    drop(log);
    std::fs::write(original.path().join("mark"), mark).unwrap();
    let newest = files::files_of(&original.path().join("engine"), ".raftlog").unwrap().pop().unwrap().1;
    let mut bytes = std::fs::read(&newest).unwrap();
    let place = entry(45, 3, 900).data;
    let at = bytes.windows(place.len()).position(|window| window == place).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    flap(original.path(), &meta(1, 1), &|what, recovered| {
        assert!(!recovered.complete, "{what}: entries 45 to 50 are gone, and nobody says so");
        assert_eq!(recovered.entries.last().unwrap().index, Index(44), "{what}");
    });
}
