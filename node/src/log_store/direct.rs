//! Log files past the page cache: what is written once, synced at once and hardly ever read again should not be copied
//! into pages that have to be found, cleared and given back. On a virtual machine that costs more than the write.
//!
//! A sync that follows a write into blocks that were only allocated has to change the file system's own tables too,
//! and waits for its journal: two to four more trips to the device. So small writes, whose sync somebody waits for
//! alone, take zeros along for the blocks behind them, and most syncs find blocks that were written before.
//!
//! Only appending is direct. Reading, truncating and allocating go through raft-engine's own file system, and so
//! does everything on a device that cannot do it (tmpfs, some network file systems). `open(2)`, section O_DIRECT:
//! buffer, offset and length are multiples of the logical block size; 4096 is one on every device we know.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

const BLOCK: usize = 4096;
/// Bytes handed to the device at a time.
const RUN: usize = 1 << 20;
/// A write up to this size is a small one. With larger ones the journal's share is small, and zeros would be dear.
const SMALL: usize = 16 << 10;
/// How far small writes prepare the blocks behind them.
const PREPARED: usize = 256 << 10;

type Inner = DefaultFileSystem;
type InnerHandle = <Inner as FileSystem>::Handle;
type InnerFile = <Inner as FileSystem>::Writer;

/// raft-engine's file system, with log files appended to directly.
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
    blocks: Blocks,
    /// Where the block that `blocks` begins with lies, if it holds all bytes of it before `at`.
    held: Option<u64>,
    /// Allocated, and not written since.
    fresh: Range<u64>,
    /// The device refused: this file is written through the page cache from now on.
    refused: bool,
}

impl DirectHandle {
    fn over(inner: InnerHandle, path: &Path, permission: Permission) -> DirectHandle {
        let is_log = path.extension().is_some_and(|extension| extension == "raftlog");
        let wanted = is_log && permission == Permission::ReadWrite;
        let open = || OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok();
        DirectHandle { inner: Arc::new(inner), direct: if wanted { open() } else { None } }
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
        Ok(DirectWriter {
            handle,
            buffered,
            at: 0,
            blocks: Blocks::default(),
            held: None,
            fresh: 0..0,
            refused: false,
        })
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

impl DirectWriter {
    /// Appends through `blocks`, in whole blocks: the last one is filled up with zeros and written again when more
    /// comes. Nothing is written behind the end of the file that way, because the engine believes in its length.
    fn write_direct(&mut self, device: &File, mut bytes: &[u8]) -> io::Result<()> {
        let end = self.handle.inner.file_size()? as u64;
        while !bytes.is_empty() {
            let first = self.at - self.at % BLOCK as u64;
            let before = (self.at - first) as usize;
            if self.held != Some(first) && before > 0 {
                self.buffered.seek(SeekFrom::Start(first))?;
                self.buffered.read_exact(&mut self.blocks.bytes()[..before])?;
            }
            self.held = None;

            let taken = bytes.len().min(RUN - before);
            let filled = before + taken;
            let blocks = self.blocks.bytes();
            blocks[before..filled].copy_from_slice(&bytes[..taken]);
            let mut written = filled.next_multiple_of(BLOCK);
            if taken <= SMALL && self.fresh.contains(&(first + written as u64 - 1)) {
                let prepared = (self.fresh.end - first).min(PREPARED as u64) as usize;
                written = written.max(prepared - prepared % BLOCK);
            }
            blocks[filled..written].fill(0);
            if first + written as u64 > end {
                written = filled - filled % BLOCK;
            }
            device.write_all_at(&blocks[..written], first)?;
            self.fresh.start = self.fresh.start.max(first + written as u64);
            if written < filled {
                self.buffered.seek(SeekFrom::Start(first + written as u64))?;
                self.buffered.write_all(&self.blocks.bytes()[written..filled])?;
            }

            let last = filled - filled % BLOCK;
            self.blocks.bytes().copy_within(last..filled, 0);
            self.held = Some(first + last as u64);
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
        Ok(())
    }
}

impl Write for DirectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let handle = self.handle.clone();
        if let Some(device) = handle.direct.as_ref().filter(|_| !self.refused) {
            let begin = self.at;
            match self.write_direct(device, bytes) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.refused = true;
                    self.at = begin;
                }
                result => return result,
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
        let to = match position {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(_) => self.buffered.seek(position)?,
        };
        if to != self.at {
            self.held = None;
        }
        self.at = to;
        Ok(to)
    }
}

impl WriteExt for DirectWriter {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.held = None;
        self.at = offset as u64;
        self.fresh.end = self.fresh.end.min(offset as u64);
        self.buffered.truncate(offset)
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.buffered.allocate(offset, size)?;
        if self.fresh.is_empty() {
            self.fresh.start = offset as u64;
        }
        self.fresh.end = (offset + size) as u64;
        Ok(())
    }
}

/// Memory that begins at a block boundary.
#[derive(Default)]
struct Blocks {
    memory: Vec<u8>,
}

impl Blocks {
    fn bytes(&mut self) -> &mut [u8] {
        if self.memory.is_empty() {
            self.memory.resize(RUN + BLOCK, 0);
        }
        let skew = self.memory.as_ptr().align_offset(BLOCK);
        &mut self.memory[skew..skew + RUN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes pieces of many lengths with a seek back in between, both ways.
    fn fill<F: FileSystem>(fs: &F, path: &Path) {
        let handle = Arc::new(fs.create(path).unwrap());
        let mut writer = fs.new_writer(handle.clone()).unwrap();
        writer.allocate(0, 200_000).unwrap();
        let mut value = 0u32;
        let mut piece = |length: usize| -> Vec<u8> {
            let mut next = || {
                value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (value >> 24) as u8
            };
            (0..length).map(|_| next()).collect()
        };
        let mut at = 0;
        for length in [69, 1, 4026, 4096, 5, 100_000, 1, 3 << 20, 4095, 1] {
            let bytes = piece(length);
            writer.write_all(&bytes).unwrap();
            at += length as u64;
            assert_eq!(writer.stream_position().unwrap(), at);
        }
        // The engine goes back to where the last good write ended.
        writer.seek(SeekFrom::Start(at - 4000)).unwrap();
        writer.write_all(&piece(9000)).unwrap();
        handle.sync().unwrap();
    }

    #[test]
    fn what_is_written_directly_is_what_is_written_through_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let (direct, cached) = (directory.path().join("1.raftlog"), directory.path().join("2.raftlog"));
        fill(&DirectFs, &direct);
        fill(&DefaultFileSystem, &cached);
        assert!(std::fs::read(direct).unwrap() == std::fs::read(cached).unwrap());
    }

    #[test]
    fn a_reader_sees_what_was_just_written() {
        let directory = tempfile::tempdir().unwrap();
        let handle = Arc::new(DirectFs.create(directory.path().join("1.raftlog")).unwrap());
        let mut writer = DirectFs.new_writer(handle.clone()).unwrap();
        let mut reader = DirectFs.new_reader(handle).unwrap();
        writer.allocate(0, 1 << 16).unwrap();
        for round in 1..20u8 {
            writer.write_all(&[round; 1000]).unwrap();
            let mut seen = [0; 1000];
            reader.read_exact(&mut seen).unwrap();
            assert_eq!(seen, [round; 1000]);
        }
    }

    /// Where the first block lies that was allocated and never written.
    fn first_hole(path: &Path) -> u64 {
        use std::os::fd::AsRawFd;
        let file = File::open(path).unwrap();
        // SAFETY: the descriptor is open as long as `file` is.
        let at = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_HOLE) };
        at as u64
    }

    #[test]
    fn small_writes_find_blocks_that_were_written_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1.raftlog");
        let handle = Arc::new(DirectFs.create(&path).unwrap());
        let mut writer = DirectFs.new_writer(handle.clone()).unwrap();
        writer.allocate(0, 2 << 20).unwrap();
        writer.write_all(&[7; 1000]).unwrap();
        handle.sync().unwrap();
        let holes_show = handle.direct.is_some() && !writer.refused;
        if holes_show {
            assert_eq!(first_hole(&path), PREPARED as u64);
        }
        // A large write that ends in fresh blocks prepares nothing.
        writer.write_all(&vec![7; PREPARED]).unwrap();
        handle.sync().unwrap();
        if holes_show {
            assert_eq!(first_hole(&path), (PREPARED + BLOCK) as u64);
        }
        let mut expected = vec![7; 1000 + PREPARED];
        expected.resize(2 << 20, 0);
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    #[test]
    fn nothing_lies_behind_the_last_byte() {
        let directory = tempfile::tempdir().unwrap();
        let handle = Arc::new(DirectFs.create(directory.path().join("1.raftlog")).unwrap());
        let mut writer = DirectFs.new_writer(handle.clone()).unwrap();
        writer.write_all(&[7; 5000]).unwrap();
        assert_eq!(handle.file_size().unwrap(), 5000);
    }
}
