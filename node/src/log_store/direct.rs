//! Log files past the page cache: what is written once, synced at once and hardly ever read again should not be copied
//! into pages that have to be found, cleared and given back. On a virtual machine that costs more than the write.
//!
//! Only whole blocks are written so ([`BlockFs`] makes them). Reading, truncating, allocating and the end of a file
//! that ends within a block go through raft-engine's own file system, and so does everything on a device that cannot
//! do it (tmpfs, some network file systems). `open(2)`, section O_DIRECT: buffer, offset and length are multiples of
//! the logical block size; 4096 is one on every device we know.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

use super::blocks::{BLOCK, BlockFs, is_appended_to};

type Inner = DefaultFileSystem;
type InnerHandle = <Inner as FileSystem>::Handle;
type InnerFile = <Inner as FileSystem>::Writer;

/// The file system of a node's log.
pub type LogFs = BlockFs<DirectFs>;

pub fn log_files() -> LogFs {
    BlockFs::over(DirectFs, |handle| handle.direct.is_some())
}

/// raft-engine's file system, in which whole blocks of log files are written directly.
pub struct DirectFs;

pub struct DirectHandle {
    inner: Arc<InnerHandle>,
    /// The same file, when the device allows it.
    direct: Option<File>,
}

pub struct DirectWriter {
    handle: Arc<DirectHandle>,
    buffered: InnerFile,
    at: u64,
    /// The device refused: this file is written through the page cache from now on.
    refused: bool,
}

impl DirectHandle {
    fn over(inner: InnerHandle, path: &Path, permission: Permission) -> DirectHandle {
        let open = || OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok();
        let direct = if is_appended_to(path, permission) { open() } else { None };
        DirectHandle { inner: Arc::new(inner), direct }
    }
}

impl FileSystem for DirectFs {
    type Handle = DirectHandle;
    type Reader = <Inner as FileSystem>::Reader;
    type Writer = DirectWriter;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<DirectHandle> {
        let inner = DefaultFileSystem.create(path.as_ref())?;
        Ok(DirectHandle::over(inner, path.as_ref(), Permission::ReadWrite))
    }

    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> io::Result<DirectHandle> {
        let inner = DefaultFileSystem.open(path.as_ref(), permission)?;
        Ok(DirectHandle::over(inner, path.as_ref(), permission))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        DefaultFileSystem.delete(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        DefaultFileSystem.rename(from, to)
    }

    fn new_reader(&self, handle: Arc<DirectHandle>) -> io::Result<Self::Reader> {
        DefaultFileSystem.new_reader(handle.inner.clone())
    }

    fn new_writer(&self, handle: Arc<DirectHandle>) -> io::Result<DirectWriter> {
        let buffered = DefaultFileSystem.new_writer(handle.inner.clone())?;
        Ok(DirectWriter { handle, buffered, at: 0, refused: false })
    }
}

impl Handle for DirectHandle {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        Handle::truncate(&*self.inner, offset)
    }

    fn file_size(&self) -> io::Result<usize> {
        self.inner.file_size()
    }

    /// Of data and size, for both ways of writing.
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

/// Whether the device takes it as it is.
fn is_blocks(bytes: &[u8], at: u64) -> bool {
    let is_multiple = |number: usize| number.is_multiple_of(BLOCK);
    is_multiple(bytes.len()) && is_multiple(at as usize) && is_multiple(bytes.as_ptr() as usize)
}

impl Write for DirectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let device = self.handle.direct.as_ref().filter(|_| !self.refused && is_blocks(bytes, self.at));
        if let Some(device) = device {
            match device.write_all_at(bytes, self.at) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.refused = true,
                result => {
                    result?;
                    self.at += bytes.len() as u64;
                    return Ok(());
                }
            }
        }
        self.buffered.seek(SeekFrom::Start(self.at))?;
        self.buffered.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.buffered.flush()
    }
}

impl Seek for DirectWriter {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.at = match position {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(_) => self.buffered.seek(position)?,
        };
        Ok(self.at)
    }
}

impl WriteExt for DirectWriter {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.at = offset as u64;
        self.buffered.truncate(offset)
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.buffered.allocate(offset, size)
    }
}
