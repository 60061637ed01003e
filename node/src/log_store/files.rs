//! raft-engine's files, read without raft-engine: every header, footer and entry block is verified before the engine
//! opens them, so that damage is named by file and offset and is never skipped in silence.
//!
//! The engine itself looks at headers and footers only, ends a file at the first one it does not like, and goes on
//! with the next file.
//!
//! ```text
//! file    "RAFT-LOG-FILE-HEADER-9986…" (53)  version u64 = 2  alignment u64 = 0   then batches
//! batch   len<<8 | compression  u64   footer offset u64   entries  crc32   footer  crc32 ^ file number
//! footer  count { region kind item }   kind 1 entries, 2 command, 3 key and value; numbers are varints
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_engine::env::{FileSystem, Handle, Permission};
use std::io::{self, Seek, SeekFrom, Write};

use super::fs::read_file;
use crate::types::planted::{self, Bug};

const MAGIC: &[u8; 53] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
const FILE_HEADER: usize = 69;
const BATCH_HEADER: usize = 16;

/// What a batch says about one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Entries { region: u64, first: u64, count: u64 },
    Clean { region: u64 },
    Compact { region: u64, until: u64 },
    Put { region: u64, key: Vec<u8>, value: Vec<u8> },
    Delete { region: u64, key: Vec<u8> },
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub offset: usize,
    pub bytes: usize,
    pub items: Vec<Item>,
    /// Why the entries cannot be read, although the rest of the batch can.
    pub damage: Option<String>,
}

/// Where a file stops making sense.
#[derive(Clone, Debug)]
pub(super) struct FileEnd {
    pub header_damaged: bool,
    /// Every byte before is part of a valid header or batch.
    pub good: usize,
    pub bytes: usize,
    /// Why it ends there; None when it is simply over.
    pub reason: Option<&'static str>,
    /// Nothing but zeros follows: room that was allocated ahead.
    pub blank: bool,
}

pub(super) fn read_batches(bytes: &[u8], number: u64, each: &mut dyn FnMut(Batch)) -> FileEnd {
    let header_damaged = !bytes.starts_with(&file_header());
    let mut at = FILE_HEADER.min(bytes.len());
    let mut reason = None;
    while at < bytes.len() {
        match read_batch(bytes, at, number) {
            Ok(batch) => {
                at += batch.bytes;
                each(batch);
            }
            Err(why) => {
                reason = Some(why);
                break;
            }
        }
    }
    if header_damaged && at <= FILE_HEADER {
        at = 0;
        reason = Some("its header is damaged");
    }
    let blank = bytes[at..].iter().all(|byte| *byte == 0);
    FileEnd { header_damaged, good: at, bytes: bytes.len(), reason, blank }
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The bytes before the last four, if the last four are their checksum.
fn checked(bytes: &[u8], signature: u32) -> Option<&[u8]> {
    let (content, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let expected = u32::from_le_bytes(crc.try_into().ok()?) ^ signature;
    (!content.is_empty() && crc32fast::hash(content) == expected).then_some(content)
}

fn read_batch(bytes: &[u8], at: usize, number: u64) -> Result<Batch, &'static str> {
    const HEADER: &str = "no batch begins there, or its header is damaged";
    let length = long(bytes, at).ok_or(HEADER)?;
    let footer = long(bytes, at + 8).ok_or(HEADER)? as usize;
    let (compression, length) = (length as u8, (length >> 8) as usize);
    if compression > 1 || footer < BATCH_HEADER || footer > length || length > bytes.len() - at {
        return Err(HEADER);
    }
    let footer_bytes = checked(&bytes[at + footer..at + length], number as u32)
        .ok_or("the checksum of the batch's list does not match")?;
    let (items, entry_bytes) = read_items(footer_bytes).ok_or("the batch's list cannot be read")?;

    let block = &bytes[at + BATCH_HEADER..at + footer];
    let damage = if entry_bytes == 0 {
        (!block.is_empty()).then(|| "entries that nobody lists".to_string())
    } else {
        match checked(block, 0) {
            None => Some("the checksum of the entries does not match".to_string()),
            Some(content) => {
                let says = match compression {
                    0 => Some(content.len()),
                    _ => {
                        content.get(..4).map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes")) as usize)
                    }
                };
                (says != Some(entry_bytes)).then(|| "the entries are not as long as listed".to_string())
            }
        }
    };
    Ok(Batch { offset: at, bytes: length, items, damage })
}

fn read_items(mut footer: &[u8]) -> Option<(Vec<Item>, usize)> {
    let buf = &mut footer;
    let count = varint(buf)?;
    let mut items = Vec::with_capacity(count.min(64) as usize);
    let mut entry_bytes = 0;
    for _ in 0..count {
        let region = varint(buf)?;
        let item = match byte(buf)? {
            1 => {
                let count = varint(buf)?;
                let first = if count > 0 { varint(buf)? } else { 0 };
                for _ in 0..count {
                    let end = varint(buf)?;
                    if end < entry_bytes {
                        return None;
                    }
                    entry_bytes = end;
                }
                Item::Entries { region, first, count }
            }
            2 => match byte(buf)? {
                1 => Item::Clean { region },
                2 => Item::Compact { region, until: varint(buf)? },
                _ => return None,
            },
            3 => match byte(buf)? {
                1 => Item::Put { region, key: counted(buf)?, value: counted(buf)? },
                2 => Item::Delete { region, key: counted(buf)? },
                _ => return None,
            },
            _ => return None,
        };
        items.push(item);
    }
    Some((items, entry_bytes as usize))
}

fn byte(buf: &mut &[u8]) -> Option<u8> {
    let (first, rest) = buf.split_first()?;
    *buf = rest;
    Some(*first)
}

fn varint(buf: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(buf)?;
        value |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Some(value);
        }
    }
    None
}

fn counted(buf: &mut &[u8]) -> Option<Vec<u8>> {
    let len = varint(buf)? as usize;
    let (head, rest) = buf.split_at_checked(len)?;
    *buf = rest;
    Some(head.to_vec())
}

/// Entries that are listed and cannot be read.
#[derive(Clone, Debug)]
pub(super) struct DamagedEntries {
    pub region: u64,
    pub first: u64,
    pub last: u64,
    /// File, offset and reason.
    pub place: String,
}

/// What the look at a directory found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub damaged: Vec<DamagedEntries>,
    /// Where the log ends and why, when it does not end with its last file.
    pub tail: Option<String>,
    /// For the operator.
    pub sentences: Vec<String>,
}

/// Numbers and paths of the files of one kind, in order.
pub(super) fn files_of(directory: &Path, suffix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(suffix).filter(|n| n.len() == 16).and_then(|n| n.parse().ok())
        {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Verifies every file and leaves the directory in a state the engine reads without losing anything but what the
/// sentences say. Files that had to be taken out go to `aside`, after `distrust` has noted for good that the log is not
/// whole: what is left looks as if it had never been more. An error: the directory cannot be used at all.
///
/// Every change may be the last one. Cuts and moves take away what cannot be read, the newest file first, so that a
/// start that follows finds the same log and ends; what is written is what was read.
pub(super) fn check_directory<F: FileSystem>(
    fs: &F,
    directory: &Path,
    aside: &Path,
    distrust: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Checked> {
    let mut checked = Checked::default();
    if !directory.exists() {
        return Ok(checked);
    }
    let mut bytes = Vec::new();
    // The entry each region goes on with. A file that was cut between two batches looks whole; what follows it does not.
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    for (suffix, is_append) in [(".raftlog", true), (".rewrite", false)] {
        let mut files = files_of(directory, suffix)?;
        let hole = (1..files.len()).rev().find(|place| files[*place].0 != files[place - 1].0 + 1);
        if let Some(place) = hole {
            if !is_append {
                return Err(io::Error::other(format!("file number {} is missing", files[place].0 - 1)));
            }
            // Files that were purged keep their names until they are used again, and a process that is killed leaves
            // them; some were deleted or used already. Should one be missing for another reason, what follows it
            // does not go on where the store ends, or falls short of the mark: recovery says so.
            for (_, path) in files.drain(..place) {
                fs.delete(&path)?;
            }
        }
        let newest = files.len().saturating_sub(1);
        for (position, (number, path)) in files.iter().enumerate() {
            read_file(fs, path, &mut bytes)?;
            let mut damaged: Vec<(usize, Batch)> = Vec::new();
            let mut last_offset = 0;
            let mut hole = None;
            let mut end = read_batches(&bytes, *number, &mut |batch| {
                if hole.is_some() || (is_append && !goes_on(&mut next, &batch.items)) {
                    hole.get_or_insert(batch.offset);
                    return;
                }
                last_offset = batch.offset;
                if batch.damage.is_some() {
                    damaged.push((batch.offset, batch));
                }
            });
            if let Some(offset) = hole {
                end.good = offset;
                end.blank = false;
                end.reason = Some("entries are missing before it");
            }
            if end.header_damaged && end.good > FILE_HEADER {
                settle(fs, path, &mut bytes, end.good)?;
                checked.sentences.push(format!(
                    "the header of log file {} was damaged and has been written again; its content is whole",
                    path.display()
                ));
            }
            // The engine drops a file's last batch when its entries are damaged, and goes on with the next file.
            if damaged.last().is_some_and(|(offset, _)| *offset == last_offset) {
                let (offset, batch) = damaged.pop().expect("just seen");
                end.good = offset;
                end.blank = false;
                end.reason = Some("the entries of its last batch are damaged");
                remember(&mut checked, path, batch);
            }
            for (_, batch) in damaged {
                remember(&mut checked, path, batch);
            }
            if end.good < end.bytes || end.good == 0 {
                let place = format!(
                    "file {}, offset {}: {}",
                    path.display(),
                    end.good,
                    end.reason.unwrap_or("it ends there")
                );
                if position == newest {
                    // What a crash leaves behind, or damage: the mark tells which.
                    if !end.blank {
                        checked.tail = Some(place);
                    }
                    if end.good == 0 || hole.is_some() {
                        cut(fs, path, end.good)?;
                    }
                } else if is_append {
                    checked.sentences.push(format!(
                        "the log is damaged ({place}); everything behind it was moved to {}",
                        aside.display()
                    ));
                    distrust()?;
                    move_aside(fs, &files[position + 1..], aside)?;
                    if end.good == 0 {
                        move_aside(fs, &files[position..=position], aside)?;
                    } else {
                        cut(fs, path, end.good)?;
                    }
                    checked.tail = Some(place);
                    break;
                } else {
                    return Err(io::Error::other(place));
                }
            }
            // One without a header too: the engine would begin it in an older format, which nobody verifies.
            if position == newest {
                settle(fs, path, &mut bytes, end.good)?;
            }
        }
    }
    Ok(checked)
}

/// Follows what the engine will make of the items. False: it would find a hole.
fn goes_on(next: &mut BTreeMap<u64, u64>, items: &[Item]) -> bool {
    for item in items {
        match item {
            Item::Entries { region, first, count } => {
                if next.get(region).is_some_and(|next| first > next) {
                    return false;
                }
                next.insert(*region, first + count);
            }
            Item::Clean { region } => {
                next.remove(region);
            }
            Item::Compact { region, until } => {
                if next.get(region).is_some_and(|next| until >= next) {
                    next.remove(region);
                }
            }
            Item::Put { .. } | Item::Delete { .. } => {}
        }
    }
    true
}

fn remember(checked: &mut Checked, path: &Path, batch: Batch) {
    let reason = batch.damage.unwrap_or_default();
    for item in batch.items {
        if let Item::Entries { region, first, count } = item {
            checked.damaged.push(DamagedEntries {
                region,
                first,
                last: first + count.saturating_sub(1),
                place: format!("file {}, offset {}: {reason}", path.display(), batch.offset),
            });
        }
    }
}

fn cut<F: FileSystem>(fs: &F, path: &Path, at: usize) -> io::Result<()> {
    let handle = fs.open(path, Permission::ReadWrite)?;
    handle.truncate(at)?;
    handle.sync()
}

/// Writes again what was read, with a good header, and syncs it. What a process reads need not be on the device: the
/// one before it may have been killed between write and sync, and after a sync that failed the kernel keeps pages that
/// count as written and never will be. From here on this process answers for every entry it read.
///
/// In one piece: wherever it ends too early, every byte is what it was, or what it is to be.
fn settle<F: FileSystem>(fs: &F, path: &Path, bytes: &mut Vec<u8>, good: usize) -> io::Result<()> {
    let good = good.max(FILE_HEADER);
    bytes.resize(bytes.len().max(good), 0);
    bytes[..FILE_HEADER].copy_from_slice(&file_header());
    let handle = Arc::new(fs.open(path, Permission::ReadWrite)?);
    let mut writer = fs.new_writer(handle.clone())?;
    if planted::is(Bug::ZerosOverContent) {
        writer.write_all(&bytes[..FILE_HEADER])?;
        writer.seek(SeekFrom::Start(FILE_HEADER as u64))?;
        writer.write_all(&bytes[FILE_HEADER..good])?;
    } else {
        writer.write_all(&bytes[..good])?;
    }
    handle.sync()
}

fn file_header() -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&2u64.to_be_bytes());
    header.extend_from_slice(&0u64.to_be_bytes());
    header
}

/// Newest first, so that a crash in between leaves no hole.
fn move_aside<F: FileSystem>(fs: &F, files: &[(u64, PathBuf)], aside: &Path) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(aside)?;
    for (_, path) in files.iter().rev() {
        let name = path.file_name().expect("it was listed by its name");
        fs.rename(path.as_path(), aside.join(name).as_path())?;
    }
    Ok(())
}
