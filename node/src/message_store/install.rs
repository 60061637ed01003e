//! Rows that arrive from a peer: staged in a file, then put in the place of a queue manager's state as a whole.
//!
//! ```text
//! incoming/<queue manager>-<stream>   { length u32, CRC-32C u32, bytes }*   bytes: an encoded SnapshotChunk with rows
//! marker, family default: id(4) "installing" = name of the staging, its records, encoded meta
//! ```
//! The staging is synced with its name before the marker, the marker is flushed before the first row is touched, and the
//! last batch removes it together with the new meta row: a crash in between is finished at the next open, as often as
//! it takes. The staging goes when the rows are flushed.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use rocksdb::WriteBatch;
use trimaran_proto::replica::v1::{Row, SnapshotChunk};

use super::StoreError;
use super::keys::{decode_meta, encode_meta, meta_key};
use super::rocks::{Inner, RocksStore, sync_names};
use crate::qmgr::Family;
use crate::types::{QueueManagerId, SnapshotMeta};

const BATCH_BYTES: usize = 1 << 20;
/// No record is longer: chunks are 256 KiB and one row.
const RECORD_BYTES_MAX: usize = 160 << 20;

/// A snapshot that is arriving. Dropped without `install`, it never was.
pub struct Incoming {
    store: RocksStore,
    meta: SnapshotMeta,
    path: PathBuf,
    file: BufWriter<File>,
    records: u64,
    rows: u64,
    keep: bool,
}

impl RocksStore {
    /// Begins to receive a queue manager's state; an unfinished one from before is forgotten.
    pub fn receive(&self, meta: &SnapshotMeta, stream: u64) -> io::Result<Incoming> {
        let directory = self.directory().join("incoming");
        fs::create_dir_all(&directory)?;
        sync_names(self.directory())?;
        let prefix = format!("{}-", meta.queue_manager);
        for old in fs::read_dir(&directory)?.flatten() {
            if old.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = fs::remove_file(old.path());
            }
        }
        let path = directory.join(format!("{prefix}{stream}"));
        let file = BufWriter::with_capacity(256 << 10, File::create(&path)?);
        Ok(Incoming { store: self.clone(), meta: meta.clone(), path, file, records: 0, rows: 0, keep: false })
    }
}

impl Incoming {
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the next rows. They must be of this queue manager.
    pub fn write(&mut self, rows: Vec<Row>) -> Result<(), String> {
        let prefix = self.meta.queue_manager.0.to_be_bytes();
        let meta = meta_key(self.meta.queue_manager);
        for row in &rows {
            if !row.key.starts_with(&prefix)
                || Family::from_number(row.family).is_none()
                || row.key == meta[..]
            {
                return Err(format!(
                    "a row of family {} with key {:02x?} is not one of queue manager {}",
                    row.family,
                    &row.key[..],
                    self.meta.queue_manager
                ));
            }
        }
        self.rows += rows.len() as u64;
        self.records += 1;
        let bytes = SnapshotChunk { rows, ..SnapshotChunk::default() }.encode_to_vec();
        let write = |file: &mut BufWriter<File>| -> io::Result<()> {
            file.write_all(&(bytes.len() as u32).to_le_bytes())?;
            file.write_all(&crc32c::crc32c(&bytes).to_le_bytes())?;
            file.write_all(&bytes)
        };
        write(&mut self.file).map_err(|error| format!("write {}: {error}", self.path.display()))
    }

    /// Puts the rows in the place of the queue manager's state, durably. An error: the state is what it was, or the
    /// next open finishes this.
    pub fn install(mut self) -> Result<SnapshotMeta, StoreError> {
        let store = self.store.clone();
        let inner = store.inner();
        let io = |error: io::Error| -> StoreError {
            let directory = inner.options.directory.clone();
            let reason = format!("{}: {error}", self.path.display());
            if error.kind() == io::ErrorKind::StorageFull {
                let directory = directory.display();
                return StoreError::NoRoom {
                    text: format!("no room to receive a snapshot in {directory} ({reason})"),
                };
            }
            StoreError::Io { directory, reason }
        };
        self.file.flush().map_err(io)?;
        self.file.get_ref().sync_all().map_err(io)?;
        sync_names(self.path.parent().expect("in its directory")).map_err(io)?;
        // Read back before anything is given up for it.
        read_staging(&self.path, self.records, &mut |_| Ok(()))?;

        let _alone = inner.install.write();
        store.check_newer(&self.meta)?;
        let name = self.path.file_name().expect("it has one").to_string_lossy().into_owned();
        let mut marker = WriteBatch::default();
        marker.put_cf(
            default_family(inner),
            marker_key(self.meta.queue_manager),
            encode_marker(&name, self.records, &self.meta),
        );
        inner.write(marker)?;
        inner.flush()?;
        self.keep = true;
        put_in_place(&store, &self.path, self.records, &self.meta)?;
        self.keep = false;
        Ok(self.meta.clone())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn default_family(inner: &Inner) -> &rocksdb::ColumnFamily {
    inner.db.cf_handle("default").expect("every database has it")
}

fn marker_key(queue_manager: QueueManagerId) -> Vec<u8> {
    [&queue_manager.0.to_be_bytes()[..], b"installing"].concat()
}

fn encode_marker(name: &str, records: u64, meta: &SnapshotMeta) -> Vec<u8> {
    let mut marker = (name.len() as u32).to_be_bytes().to_vec();
    marker.extend_from_slice(name.as_bytes());
    marker.extend_from_slice(&records.to_be_bytes());
    marker.extend_from_slice(&encode_meta(meta));
    marker
}

fn decode_marker(marker: &[u8]) -> Option<(String, u64, SnapshotMeta)> {
    let (len, rest) = marker.split_at_checked(4)?;
    let (name, rest) = rest.split_at_checked(u32::from_be_bytes(len.try_into().ok()?) as usize)?;
    let (records, meta) = rest.split_at_checked(8)?;
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some((name, u64::from_be_bytes(records.try_into().ok()?), decode_meta(meta).ok()?))
}

fn put_in_place(
    store: &RocksStore,
    staging: &Path,
    records: u64,
    meta: &SnapshotMeta,
) -> Result<(), StoreError> {
    let inner = store.inner();
    let mut rows = WriteBatch::default();
    inner.clear(meta.queue_manager, &mut rows);
    read_staging(staging, records, &mut |chunk| {
        for row in chunk {
            let family = Family::from_number(row.family).expect("checked when it arrived");
            rows.put_cf(inner.family(family), &row.key, &row.value);
        }
        if rows.size_in_bytes() >= BATCH_BYTES {
            inner.write(std::mem::take(&mut rows))?;
        }
        Ok(())
    })?;
    let meta = SnapshotMeta { installed: true, ..meta.clone() };
    rows.put_cf(inner.family(Family::State), meta_key(meta.queue_manager), encode_meta(&meta));
    rows.delete_cf(default_family(inner), marker_key(meta.queue_manager));
    inner.write(rows)?;
    inner.flush()?;
    store.set_installed(&meta);
    let _ = fs::remove_file(staging);
    Ok(())
}

fn read_staging(
    path: &Path,
    records: u64,
    each: &mut dyn FnMut(Vec<Row>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let damaged = |reason: String| StoreError::Damaged { directory: path.to_path_buf(), reason };
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => damaged(error.to_string()),
        _ => StoreError::Io { directory: path.to_path_buf(), reason: error.to_string() },
    };
    let mut file = BufReader::with_capacity(256 << 10, File::open(path).map_err(io)?);
    for number in 0..records {
        let mut head = [0; 8];
        file.read_exact(&mut head).map_err(|error| damaged(format!("record {number}: {error}")))?;
        let length = u32::from_le_bytes(head[..4].try_into().expect("4 bytes")) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(damaged(format!("record {number} is damaged")));
        }
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(|error| damaged(format!("record {number}: {error}")))?;
        if crc32c::crc32c(&bytes).to_le_bytes() != head[4..] {
            return Err(damaged(format!("record {number}: its checksum does not match")));
        }
        let chunk = SnapshotChunk::decode(&bytes[..]).map_err(|error| damaged(error.to_string()))?;
        each(chunk.rows)?;
    }
    Ok(())
}

/// Finishes what a crash interrupted. When that cannot be, the queue manager has no rows: never half of them.
pub(super) fn finish_interrupted(store: &RocksStore, sentences: &mut Vec<String>) -> Result<(), StoreError> {
    let inner = store.inner();
    let incoming = inner.options.directory.join("incoming");
    let mut markers = Vec::new();
    let mut rows = inner.db.raw_iterator_cf(default_family(inner));
    rows.seek_to_first();
    while let Some((key, value)) = rows.item() {
        markers.push((key.to_vec(), value.to_vec()));
        rows.next();
    }
    if let Err(error) = rows.status() {
        let directory = inner.options.directory.clone();
        return Err(StoreError::Damaged { directory, reason: error.into_string() });
    }
    drop(rows);
    for (key, value) in markers {
        let id = key.get(..4).map_or(0, |id| u32::from_be_bytes(id.try_into().expect("4 bytes")));
        let queue_manager = QueueManagerId(id);
        let finished = match decode_marker(&value) {
            None => Err("its marker cannot be read".to_string()),
            Some((name, records, meta)) => {
                let staging = incoming.join(name);
                match read_staging(&staging, records, &mut |_| Ok(()))
                    .and_then(|()| put_in_place(store, &staging, records, &meta))
                {
                    Err(StoreError::Damaged { reason, .. }) => Err(reason),
                    // The device is full or does not answer: the next open finishes it.
                    result => Ok(result?),
                }
            }
        };
        match finished {
            Ok(()) => sentences.push(format!(
                "queue manager {queue_manager}: the snapshot that was being installed when the node ended is in place"
            )),
            Err(reason) => {
                sentences.push(format!(
                    "queue manager {queue_manager}: the snapshot that was being installed when the node ended cannot be \
                     used ({reason}); its rows were removed and come again from the peers"
                ));
                let mut rows = WriteBatch::default();
                inner.clear(queue_manager, &mut rows);
                rows.delete_cf(default_family(inner), key);
                inner.write(rows)?;
                inner.flush()?;
            }
        }
    }
    // What was not marked never was.
    let _ = fs::remove_dir_all(&incoming);
    Ok(())
}

/// A crash right behind the marker, for tests.
#[cfg(test)]
pub(super) fn interrupt(mut incoming: Incoming) -> PathBuf {
    incoming.file.flush().expect("the staging is written");
    let inner = incoming.store.inner().clone();
    let name = incoming.path.file_name().expect("it has one").to_string_lossy().into_owned();
    let mut marker = WriteBatch::default();
    let value = encode_marker(&name, incoming.records, &incoming.meta);
    marker.put_cf(default_family(&inner), marker_key(incoming.meta.queue_manager), value);
    inner.write(marker).expect("the marker is written");
    inner.flush().expect("and flushed");
    incoming.keep = true;
    incoming.path.clone()
}
