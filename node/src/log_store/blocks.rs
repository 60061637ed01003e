//! Appends to log files in whole blocks.
//!
//! A device takes blocks, and a write past the page cache ([`super::direct`]) must be made of them. So the last block
//! is filled up with zeros, and written again when more comes. A sync that follows a write into blocks that were only
//! allocated has to change the file system's own tables too, and waits for its journal: two to four more trips to the
//! device. So small writes, whose sync somebody waits for alone, take zeros along for the blocks behind them, and most
//! syncs find blocks that were written before.
//!
//! What zeros may take the place of: what was allocated by this writer and never written, and what lies behind an
//! append that follows another one. The first write after a seek may be into the middle of what is good: it changes no
//! byte but its own. Any write may be the last one, so nothing relies on the next to put right what this one did.
//!
//! This is a file system over another one: the simulator has it over a disk in memory, which so gets the very writes,
//! at the same offsets and with the same bytes, that a device gets.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};

use crate::types::planted::{self, Bug};

pub(super) const BLOCK: usize = 4096;
/// Bytes handed to the device at a time.
const RUN: usize = 1 << 20;
/// A write up to this size is a small one. With larger ones the journal's share is small, and zeros would be dear.
const SMALL: usize = 16 << 10;
/// How far small writes prepare the blocks behind them.
pub(super) const PREPARED: usize = 256 << 10;

/// Whether files are appended to in blocks at all; the rest of a log directory goes through as it comes.
pub(super) fn is_appended_to(path: &Path, permission: Permission) -> bool {
    permission == Permission::ReadWrite && path.extension().is_some_and(|extension| extension == "raftlog")
}

/// Another file system, whose log files are appended to in whole blocks.
pub struct BlockFs<F: FileSystem> {
    inner: F,
    /// Whether blocks are of use to this file.
    wants_blocks: fn(&F::Handle) -> bool,
}

impl<F: FileSystem> BlockFs<F> {
    pub fn over(inner: F, wants_blocks: fn(&F::Handle) -> bool) -> BlockFs<F> {
        BlockFs { inner, wants_blocks }
    }

    fn handle(&self, inner: F::Handle, path: &Path, permission: Permission) -> BlockHandle<F::Handle> {
        let in_blocks = is_appended_to(path, permission) && (self.wants_blocks)(&inner);
        BlockHandle { inner: Arc::new(inner), in_blocks }
    }
}

pub struct BlockHandle<H> {
    inner: Arc<H>,
    pub(super) in_blocks: bool,
}

pub struct BlockWriter<F: FileSystem> {
    handle: Arc<BlockHandle<F::Handle>>,
    inner: F::Writer,
    reader: F::Reader,
    at: u64,
    blocks: Blocks,
    /// Where the block that `blocks` begins with lies, if it holds all bytes of it before `at`.
    held: Option<u64>,
    /// Allocated, and not written since.
    fresh: Range<u64>,
    /// Nothing was written since the last seek.
    begins: bool,
}

impl<F: FileSystem> FileSystem for BlockFs<F> {
    type Handle = BlockHandle<F::Handle>;
    type Reader = F::Reader;
    type Writer = BlockWriter<F>;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<Self::Handle> {
        let inner = self.inner.create(path.as_ref())?;
        Ok(self.handle(inner, path.as_ref(), Permission::ReadWrite))
    }

    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> io::Result<Self::Handle> {
        let inner = self.inner.open(path.as_ref(), permission)?;
        Ok(self.handle(inner, path.as_ref(), permission))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.inner.delete(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn new_reader(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Reader> {
        self.inner.new_reader(handle.inner.clone())
    }

    fn new_writer(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Writer> {
        let inner = self.inner.new_writer(handle.inner.clone())?;
        let reader = self.inner.new_reader(handle.inner.clone())?;
        Ok(BlockWriter {
            handle,
            inner,
            reader,
            at: 0,
            blocks: Blocks::default(),
            held: None,
            fresh: 0..0,
            begins: true,
        })
    }
}

impl<H: Handle> Handle for BlockHandle<H> {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        self.inner.truncate(offset)
    }

    fn file_size(&self) -> io::Result<usize> {
        self.inner.file_size()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl<F: FileSystem> BlockWriter<F> {
    /// Nothing is written behind the end of the file, because the engine believes in its length: what lies there is
    /// written without zeros.
    fn write_in_blocks(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let end = self.handle.inner.file_size()? as u64;
        while !bytes.is_empty() {
            let first = self.at - self.at % BLOCK as u64;
            let before = (self.at - first) as usize;
            if self.held != Some(first) && before > 0 {
                self.read(first, 0..before)?;
            }
            self.held = None;

            let taken = bytes.len().min(RUN - before);
            let filled = before + taken;
            self.blocks.bytes()[before..filled].copy_from_slice(&bytes[..taken]);
            let mut written = self.fill(first, filled, taken, end)?;
            if first + written as u64 > end {
                written = filled - filled % BLOCK;
            }
            if written > 0 {
                self.inner.seek(SeekFrom::Start(first))?;
                self.inner.write_all(&self.blocks.bytes()[..written])?;
                self.fresh.start = self.fresh.start.max(first + written as u64);
            }
            if written < filled {
                self.inner.seek(SeekFrom::Start(first + written as u64))?;
                self.inner.write_all(&self.blocks.bytes()[written..filled])?;
            }

            let last = filled - filled % BLOCK;
            self.blocks.bytes().copy_within(last..filled, 0);
            self.held = Some(first + last as u64);
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
        self.begins = false;
        Ok(())
    }

    /// Completes the last block, of which this write has the bytes before `filled`. Answers how much of `blocks` is
    /// to be written: to the end of that block, or with prepared ones behind it.
    fn fill(&mut self, first: u64, filled: usize, taken: usize, end: u64) -> io::Result<usize> {
        let mut written = filled.next_multiple_of(BLOCK);
        if taken <= SMALL && self.fresh.contains(&(first + written as u64 - 1)) {
            let prepared = (self.fresh.end - first).min(PREPARED as u64) as usize;
            written = written.max(prepared - prepared % BLOCK);
        }
        let mut kept = filled;
        if self.begins && !planted::is(Bug::ZerosOverContent) {
            let end = if self.fresh.is_empty() { end } else { self.fresh.start.min(end) };
            kept = end.saturating_sub(first).clamp(filled as u64, written as u64) as usize;
            if kept > filled {
                self.read(first, filled..kept)?;
            }
        }
        self.blocks.bytes()[kept..written].fill(0);
        Ok(written)
    }

    /// The file's bytes into this part of `blocks`, which begins at `first` in the file.
    fn read(&mut self, first: u64, part: Range<usize>) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(first + part.start as u64))?;
        self.reader.read_exact(&mut self.blocks.bytes()[part])
    }
}

impl<F: FileSystem> Write for BlockWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.handle.in_blocks {
            return self.write_in_blocks(bytes);
        }
        self.inner.seek(SeekFrom::Start(self.at))?;
        self.inner.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<F: FileSystem> Seek for BlockWriter<F> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let to = match position {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(_) => self.inner.seek(position)?,
        };
        if to != self.at {
            self.held = None;
            self.begins = true;
        }
        self.at = to;
        Ok(to)
    }
}

impl<F: FileSystem> WriteExt for BlockWriter<F> {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.held = None;
        self.at = offset as u64;
        self.fresh.end = self.fresh.end.min(offset as u64);
        self.inner.truncate(offset)
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.inner.allocate(offset, size)?;
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
