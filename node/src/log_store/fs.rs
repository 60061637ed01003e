//! The file system under raft-engine, watched: a failed sync is remembered instead of a panic deep inside the engine,
//! and nothing is changed any more from there on; a full device gets the ballast before anybody hears of it, and what
//! is written is counted.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};

use super::room::Ballast;

/// Shared by every file of one log.
pub(super) struct Watch {
    pub ballast: Ballast,
    /// The first sync that failed. Never cleared: the process ends.
    pub sync_failed: Mutex<Option<String>>,
    /// The device was full and the ballast did not help; cleared by whoever tries again.
    pub no_room: Mutex<bool>,
    pub bytes_written: AtomicU64,
    pub syncs: AtomicU64,
}

impl Watch {
    pub fn new(ballast: Ballast) -> Watch {
        Watch {
            ballast,
            sync_failed: Mutex::new(None),
            no_room: Mutex::new(false),
            bytes_written: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }
    }

    /// What was written is on the device or may still get there. After a sync that failed it is not, and the engine
    /// does not know: it would delete the files whose content it has just copied to another one.
    fn allow_change(&self) -> io::Result<()> {
        match &*self.sync_failed.lock() {
            None => Ok(()),
            Some(_) => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }
}

pub(super) struct WatchedFs<F> {
    pub inner: Arc<F>,
    pub watch: Arc<Watch>,
}

pub(super) struct WatchedHandle<H> {
    inner: Arc<H>,
    watch: Arc<Watch>,
}

pub(super) struct WatchedWriter<W> {
    inner: W,
    watch: Arc<Watch>,
}

impl<F: FileSystem> FileSystem for WatchedFs<F> {
    type Handle = WatchedHandle<F::Handle>;
    type Reader = F::Reader;
    type Writer = WatchedWriter<F::Writer>;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<Self::Handle> {
        self.watch.allow_change()?;
        let inner = Arc::new(self.inner.create(path)?);
        Ok(WatchedHandle { inner, watch: self.watch.clone() })
    }

    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> io::Result<Self::Handle> {
        let inner = Arc::new(self.inner.open(path, permission)?);
        Ok(WatchedHandle { inner, watch: self.watch.clone() })
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.watch.allow_change()?;
        self.inner.delete(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        self.watch.allow_change()?;
        self.inner.rename(from, to)
    }

    fn reuse<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        self.watch.allow_change()?;
        self.inner.reuse(from, to)
    }

    fn delete_metadata<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.inner.delete_metadata(path)
    }

    fn exists_metadata<P: AsRef<Path>>(&self, path: P) -> bool {
        self.inner.exists_metadata(path)
    }

    fn new_reader(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Reader> {
        self.inner.new_reader(handle.inner.clone())
    }

    fn new_writer(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Writer> {
        let inner = self.inner.new_writer(handle.inner.clone())?;
        Ok(WatchedWriter { inner, watch: self.watch.clone() })
    }
}

impl<H: Handle> Handle for WatchedHandle<H> {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        self.watch.allow_change()?;
        self.inner.truncate(offset)
    }

    fn file_size(&self) -> io::Result<usize> {
        self.inner.file_size()
    }

    /// raft-engine panics when this fails. The failure is kept for `write_batch`, which looks before it answers.
    fn sync(&self) -> io::Result<()> {
        self.watch.syncs.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.inner.sync() {
            self.watch.sync_failed.lock().get_or_insert_with(|| error.to_string());
        }
        Ok(())
    }
}

impl<W: Write + Seek> Write for WatchedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watch.allow_change()?;
        let written = self.inner.write(bytes)?;
        self.watch.bytes_written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.watch.allow_change()?;
        let at = self.inner.stream_position()?;
        let mut result = self.inner.write_all(bytes);
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::StorageFull)
            && self.watch.ballast.release()
        {
            self.inner.seek(SeekFrom::Start(at))?;
            result = self.inner.write_all(bytes);
        }
        match result {
            Ok(()) => {
                self.watch.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                *self.watch.no_room.lock() = true;
                // In words of ours: at raft-engine's own word for it, the engine would begin another file.
                Err(io::Error::new(io::ErrorKind::StorageFull, "device full"))
            }
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Seek> Seek for WatchedWriter<W> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

impl<W: WriteExt> WriteExt for WatchedWriter<W> {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.watch.allow_change()?;
        self.inner.truncate(offset)
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.inner.allocate(offset, size)
    }
}

/// The whole file, through the file system.
pub(super) fn read_file<F: FileSystem>(fs: &F, path: &Path, into: &mut Vec<u8>) -> io::Result<()> {
    let handle = Arc::new(fs.open(path, Permission::ReadOnly)?);
    let size = handle.file_size()?;
    let mut reader = fs.new_reader(handle)?;
    reader.seek(SeekFrom::Start(0))?;
    // Not cleared: what is there is written over.
    into.resize(size, 0);
    let mut filled = 0;
    while filled < size {
        match reader.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    into.truncate(filled);
    Ok(())
}
