//! Where a database is damaged: file and offset. RocksDB says so of the blocks of its tables and of little else, so
//! its other files are verified here, byte for byte, once a store cannot be used; and whenever somebody inspects it.
//!
//! ```text
//! CURRENT    "MANIFEST-000005\n"
//! MANIFEST   blocks of 32 KiB; records [crc u32][length u16][type u8][payload], none over the end of a block
//! *.blob     [magic u32][version u32][family u32][flags u8][compression u8][expiry 16 bytes];
//!            records [key length u64][value length u64][expiry u64][crc of these u32][crc of key and value u32][key][value];
//!            [magic u32][count u64][expiry 16 bytes][crc u32]
//! *.sst      .. [magic u64]; its blocks are RocksDB's to verify
//! all little-endian; crc: CRC-32C, masked as `mask` does
//! ```

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::qmgr::Family;

/// The first bytes that are not what was written, or where a file ends too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: PathBuf,
    pub offset: u64,
    pub reason: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}, offset {}: {}", self.file.display(), self.offset, self.reason)
    }
}

/// What RocksDB says, with the place put before it if RocksDB does not name it. Reads the whole database for that:
/// the node is about to fetch all of it from its peers.
pub(super) fn located(database: &Path, reason: &str) -> String {
    if reason.contains(" offset ") {
        return reason.to_string();
    }
    let places = find(database).unwrap_or_default();
    if places.is_empty() {
        return reason.to_string();
    }
    let places: Vec<String> = places.iter().map(Place::to_string).collect();
    format!("{}; RocksDB says: {reason}", named(&places))
}

/// The first of them.
pub(super) fn named(places: &[String]) -> String {
    let more = places.len().saturating_sub(PLACES_NAMED);
    let more = match more {
        0 => String::new(),
        1 => "; and 1 more file".to_string(),
        _ => format!("; and {more} more files"),
    };
    format!("{}{more}", places[..places.len().min(PLACES_NAMED)].join("; "))
}

const PLACES_NAMED: usize = 3;

/// Every file that is damaged, with its first damaged place. A node that was killed may leave a blob file that nobody
/// lists and that ends early: so this is for a store that is known to be damaged.
pub(super) fn find(database: &Path) -> io::Result<Vec<Place>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(database)?.map(|file| file.map(|file| file.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut places = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let verify = match name.rsplit_once('.') {
            None if name == "CURRENT" => current,
            None if name.starts_with("MANIFEST-") => manifest,
            Some((_, "blob")) => blob_file,
            Some((_, "sst")) => table_end,
            _ => continue,
        };
        if let Some((offset, reason)) = verify(&path)? {
            places.push(Place { file: path, offset, reason });
        }
    }
    Ok(places)
}

type Found = Option<(u64, &'static str)>;

/// RocksDB's way to keep a checksum of bytes that hold checksums from being a likely one.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("4 bytes"))
}

fn long(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))
}

fn current(path: &Path) -> io::Result<Found> {
    let content = fs::read(path)?;
    let manifest = content.strip_suffix(b"\n").and_then(|name| std::str::from_utf8(name).ok());
    let exists =
        manifest.is_some_and(|name| name.starts_with("MANIFEST-") && path.with_file_name(name).is_file());
    Ok((!exists).then_some((0, "it does not name a list of files that is there")))
}

fn manifest(path: &Path) -> io::Result<Found> {
    const BLOCK: usize = 32 << 10;
    const HEADER: usize = 7;
    let bytes = fs::read(path)?;
    let mut at = 0;
    while at < bytes.len() {
        let left = BLOCK - at % BLOCK;
        if left < HEADER {
            at += left;
            continue;
        }
        let Some(header) = bytes.get(at..at + HEADER) else {
            return Ok(Some((at as u64, "it ends in the middle of a record")));
        };
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let kind = header[6];
        // Those that tell a file that is used again from what was in it before have four bytes more.
        let header_bytes = if (5..=8).contains(&kind) || kind == 11 { HEADER + 4 } else { HEADER };
        if header_bytes + length > left {
            return Ok(Some((at as u64, "a record of the list of files is damaged")));
        }
        let Some(content) = bytes.get(at + 6..at + header_bytes + length) else {
            return Ok(Some((at as u64, "it ends in the middle of a record")));
        };
        if mask(crc32c::crc32c(content)) != word(header) {
            return Ok(Some((at as u64, "the checksum of a record of the list of files does not match")));
        }
        at += header_bytes + length;
    }
    Ok(None)
}

const BLOB_HEADER: usize = 30;
const BLOB_FOOTER: u64 = 32;
/// What a file of bodies has in front of and behind its records.
pub(super) const AROUND_BODIES: u64 = BLOB_HEADER as u64 + BLOB_FOOTER;
const BLOB_RECORD_HEADER: usize = 32;
const BLOB_MAGIC: u32 = 0x0024_8f37;
const TABLE_FOOTER: u64 = 53;
const TABLE_MAGIC: u64 = 0x88e2_41b7_85f4_cff7;

/// Uncompressed bodies that do not expire, of the family that is made last.
fn blob_header() -> [u8; BLOB_HEADER] {
    let mut header = [0; BLOB_HEADER];
    header[..4].copy_from_slice(&BLOB_MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&1u32.to_le_bytes());
    header[8..12].copy_from_slice(&(Family::ALL.len() as u32).to_le_bytes());
    header
}

/// Bodies: verified from the first to the last.
fn blob_file(path: &Path) -> io::Result<Found> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes < BLOB_HEADER as u64 + BLOB_FOOTER {
        return Ok(Some((bytes, "it ends too early")));
    }
    let records_end = bytes - BLOB_FOOTER;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; BLOB_HEADER];
    file.read_exact(&mut header)?;
    // It has no checksum, but says the same in every file.
    if header != blob_header() {
        return Ok(Some((0, "its header is damaged")));
    }
    let mut at = BLOB_HEADER as u64;
    let mut content = Vec::new();
    let mut damaged = None;
    while at < records_end {
        let mut header = [0; BLOB_RECORD_HEADER];
        if at + BLOB_RECORD_HEADER as u64 > records_end {
            return Ok(damaged.or(Some((at, "it ends in the middle of a body"))));
        }
        file.read_exact(&mut header)?;
        if mask(crc32c::crc32c(&header[..24])) != word(&header[24..]) {
            return Ok(damaged.or(Some((at, "the checksum of a body's header does not match"))));
        }
        let length = long(&header).saturating_add(long(&header[8..]));
        if length > records_end - at - BLOB_RECORD_HEADER as u64 {
            return Ok(damaged.or(Some((at, "it ends in the middle of a body"))));
        }
        content.resize(length as usize, 0);
        file.read_exact(&mut content)?;
        if mask(crc32c::crc32c(&content)) != word(&header[28..]) {
            damaged = damaged.or(Some((at, "the checksum of a body does not match")));
        }
        at += BLOB_RECORD_HEADER as u64 + length;
    }
    let mut footer = [0; BLOB_FOOTER as usize];
    file.read_exact(&mut footer)?;
    if word(&footer) != BLOB_MAGIC || mask(crc32c::crc32c(&footer[..28])) != word(&footer[28..]) {
        damaged = damaged.or(Some((records_end, "the checksum of its last bytes does not match")));
    }
    Ok(damaged)
}

fn table_end(path: &Path) -> io::Result<Found> {
    use std::os::unix::fs::FileExt;
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes < TABLE_FOOTER {
        return Ok(Some((bytes, "it ends too early")));
    }
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, bytes - 8)?;
    let is_end = u64::from_le_bytes(magic) == TABLE_MAGIC;
    Ok((!is_end).then_some((bytes - TABLE_FOOTER, "its last bytes are damaged or missing")))
}
