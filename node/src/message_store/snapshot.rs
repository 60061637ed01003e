//! The rows of one queue manager as they are at one moment, read in pieces while the store goes on.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::Snapshot;
use trimaran_proto::replica::v1::Row;

use super::keys::{ResumeKey, decode_meta, meta_key, range_of};
use super::rocks::{Inner, RocksStore};
use crate::qmgr::{Family, StoreReadError};
use crate::types::{QueueManagerId, SnapshotMeta};

/// Holds old rows on disk while it lives: not for ever.
pub struct StoreSnapshot {
    held: Held,
    meta: SnapshotMeta,
}

struct Held {
    /// Borrows from `inner` and is dropped before it.
    snapshot: ManuallyDrop<Snapshot<'static>>,
    inner: Arc<Inner>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: dropped once, here, while `inner` still lives.
        unsafe { ManuallyDrop::drop(&mut self.snapshot) }
    }
}

impl RocksStore {
    /// A queue manager's state as it is now. None: there is none.
    pub fn snapshot(&self, queue_manager: QueueManagerId) -> Result<Option<StoreSnapshot>, StoreReadError> {
        let inner = self.inner().clone();
        // SAFETY: the database lives in the Arc that `Held` keeps beside the snapshot, and is never moved out of it;
        // `Held` drops the snapshot first, so the borrow outlives every use.
        let snapshot = unsafe { std::mem::transmute::<Snapshot<'_>, Snapshot<'static>>(inner.db.snapshot()) };
        let held = Held { snapshot: ManuallyDrop::new(snapshot), inner };
        let row = held.snapshot.get_cf(held.inner.family(Family::State), meta_key(queue_manager));
        let Some(row) = row.map_err(|error| held.inner.read_error(error))? else { return Ok(None) };
        let meta = decode_meta(&row).map_err(|error| StoreReadError {
            place: self.directory().display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Some(StoreSnapshot { held, meta }))
    }
}

impl StoreSnapshot {
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// About how much there is to send: the store's live bytes, in the proportion of this queue manager's tables.
    pub fn bytes_estimate(&self) -> u64 {
        let inner = &self.held.inner;
        let (first, until) = range_of(self.meta.queue_manager);
        let number = |family, name: &str| {
            inner.db.property_int_value_cf(inner.family(family), name).ok().flatten().unwrap_or_default()
        };
        let bytes = |family| {
            let range = rocksdb::Range::new(&first, &until);
            let ours: u64 = inner.db.get_approximate_sizes_cf(inner.family(family), &[range]).iter().sum();
            let tables = number(family, "rocksdb.live-sst-files-size");
            let blobs = number(family, "rocksdb.live-blob-file-size");
            let all = tables + blobs.saturating_sub(number(family, "rocksdb.live-blob-file-garbage-size"));
            // Small tables are reported as nothing.
            if ours == 0 || tables == 0 {
                all
            } else {
                (u128::from(all) * u128::from(ours.min(tables)) / u128::from(tables)) as u64
            }
        };
        Family::ALL.into_iter().map(bytes).sum()
    }

    /// The next rows in the order of families and keys, about `bytes_max` of them and at least one; none at the end.
    pub fn rows(
        &self,
        after: Option<&ResumeKey>,
        bytes_max: usize,
    ) -> Result<(Vec<Row>, Option<ResumeKey>), StoreReadError> {
        let meta = meta_key(self.meta.queue_manager);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        for family in Family::ALL {
            let from = match after {
                Some(after) if after.family > family => continue,
                Some(after) if after.family == family => {
                    // The smallest key behind it.
                    let mut from = after.key.to_vec();
                    from.push(0);
                    Some(from)
                }
                _ => None,
            };
            let queue_manager = self.meta.queue_manager;
            let mut source =
                self.held.inner.iterate(family, queue_manager, from.as_deref(), Some(&self.held.snapshot));
            source.seek_to_first();
            while let Some((key, value)) = source.item() {
                if family != Family::State || key != meta {
                    let size = key.len() + value.len();
                    if !rows.is_empty() && bytes + size > bytes_max {
                        return Ok((rows, last));
                    }
                    bytes += size;
                    let key = Bytes::copy_from_slice(key);
                    last = Some(ResumeKey { family, key: key.clone() });
                    rows.push(Row { family: family as u32, key, value: Bytes::copy_from_slice(value) });
                }
                source.next();
            }
            source.status().map_err(|error| self.held.inner.read_error(error))?;
        }
        Ok((rows, last))
    }
}

impl std::fmt::Debug for StoreSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSnapshot").field("meta", &self.meta).finish()
    }
}
