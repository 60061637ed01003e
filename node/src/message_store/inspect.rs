//! What is in a data directory, in words: for `trimaran-node inspect-store`. Reads only, also beside a running node,
//! whose unflushed rows it does not see. Every row is read, so every checksum is checked.

use std::io;
use std::path::Path;

use rocksdb::{DB, IteratorMode, Options, ReadOptions};

use super::damage;
use super::keys::{decode_meta, meta_key};
use super::rocks::{DATABASE, family_name};
use crate::qmgr::Family;
use crate::types::{Inspected, Inspector, QueueManagerId};

/// Reports the rows of every queue manager, or of the one that is asked for, as counts and bytes, and what they are
/// the state of. Returns how many places are damaged.
pub fn inspect(directory: &Path, only: Option<QueueManagerId>, report: Inspector<'_>) -> io::Result<usize> {
    let path = directory.join(DATABASE);
    if !path.exists() {
        let text = "there is no message store; name the data directory of a node";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let families = Family::ALL.map(family_name);
    let db = match DB::open_cf_for_read_only(&Options::default(), &path, families, false) {
        Ok(db) => db,
        Err(error) => {
            report(Inspected { file: path.clone(), ..damage_of(error.to_string()) })?;
            return report_places(&path, 1, report);
        }
    };
    let mut damaged = 0;
    for family in Family::ALL {
        let name = family_name(family);
        let handle = db.cf_handle(name).expect("opened with this family");
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut current: Option<Rows> = None;
        for row in db.iterator_cf_opt(&handle, options, IteratorMode::Start) {
            let (key, value) = match row {
                Ok(row) => row,
                Err(error) => {
                    damaged += 1;
                    report(Inspected { file: path.clone(), ..damage_of(format!("{name}: {error}")) })?;
                    break;
                }
            };
            let Some(id) = key.first_chunk::<4>().map(|id| QueueManagerId(u32::from_be_bytes(*id))) else {
                damaged += 1;
                let text = format!("{name}: a key of {} bytes", key.len());
                report(Inspected { file: path.clone(), ..damage_of(text) })?;
                continue;
            };
            if only.is_some_and(|only| only != id) {
                continue;
            }
            if family == Family::State && *key == meta_key(id) {
                damaged += report_meta(id, &value, report)?;
                continue;
            }
            match &mut current {
                Some(rows) if rows.queue_manager == id => rows.add(&key, &value),
                _ => {
                    if let Some(rows) = current.take() {
                        report(rows.said(name))?;
                    }
                    let mut rows = Rows { queue_manager: id, count: 0, bytes: 0 };
                    rows.add(&key, &value);
                    current = Some(rows);
                }
            }
        }
        if let Some(rows) = current {
            report(rows.said(name))?;
        }
    }
    if damaged > 0 {
        return report_places(&path, damaged, report);
    }
    Ok(0)
}

/// RocksDB ends at the first damage and does not always say where: the files say. Returns how many places there are.
fn report_places(path: &Path, known: usize, report: Inspector<'_>) -> io::Result<usize> {
    let places = damage::find(path)?;
    for place in &places {
        report(damage_of(place.to_string()))?;
    }
    Ok(known.max(places.len()))
}

struct Rows {
    queue_manager: QueueManagerId,
    count: u64,
    bytes: u64,
}

impl Rows {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        self.bytes += (key.len() + value.len()) as u64;
    }

    fn said(&self, family: &str) -> Inspected {
        let Rows { queue_manager, count, bytes } = self;
        found(format!("queue manager {queue_manager}: {family}: {count} rows, {bytes} bytes"))
    }
}

fn found(text: String) -> Inspected {
    Inspected { text, ..Inspected::default() }
}

fn damage_of(text: String) -> Inspected {
    Inspected { damaged: true, ..found(text) }
}

fn report_meta(id: QueueManagerId, value: &[u8], report: Inspector<'_>) -> io::Result<usize> {
    match decode_meta(value) {
        Ok(meta) => {
            let names = |nodes: &std::collections::BTreeSet<crate::types::NodeId>| {
                nodes.iter().map(|node| node.to_string()).collect::<Vec<_>>().join(" ")
            };
            let membership = &meta.membership;
            report(found(format!(
                "queue manager {id}: state at entry {} of term {}; nodes that vote: {}; learners: {}; removed: {}",
                meta.index,
                meta.term,
                names(&membership.voters),
                names(&membership.learners),
                names(&membership.removed)
            )))?;
            Ok(0)
        }
        Err(error) => {
            let text =
                format!("queue manager {id}: the row that says what the rows are the state of: {error}");
            report(damage_of(text))?;
            Ok(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::message_store::{MessageStore, RocksStore, StoreOptions};
    use crate::qmgr::{RowChange, StoreBatch};
    use crate::types::{Index, Membership, SnapshotMeta, Term, TermStarts};

    #[test]
    fn rows_are_counted_by_queue_manager_and_family() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(directory.path(), Arc::new(|_| Ok(1 << 40)));
        let (store, _) = RocksStore::open(options).unwrap();
        let row = |family, number: u32| RowChange::Put {
            family,
            key: Bytes::from([1u32.to_be_bytes(), number.to_be_bytes()].concat()),
            value: Bytes::from(vec![7; 1000]),
        };
        let meta = SnapshotMeta {
            queue_manager: QueueManagerId(1),
            index: Index(9),
            term: Term(2),
            membership: Membership::default(),
            terms: TermStarts::default(),
            installed: false,
        };
        let changes = vec![row(Family::Bodies, 1), row(Family::Bodies, 2), row(Family::Heads, 1)];
        store.apply(&StoreBatch { base: Index(1), meta, changes }).unwrap();
        store.flush().unwrap();

        let mut text = String::new();
        let mut report = |found: Inspected| {
            text += &format!("{found}\n");
            Ok(())
        };
        assert_eq!(inspect(directory.path(), None, &mut report).unwrap(), 0);
        assert!(text.contains("queue manager 1: state at entry 9 of term 2"), "{text}");
        assert!(text.contains("queue manager 1: bodies: 2 rows, 2016 bytes"), "{text}");
        assert!(text.contains("queue manager 1: heads: 1 rows"), "{text}");
        let nothing = inspect(&directory.path().join("nowhere"), None, &mut |_| Ok(())).unwrap_err();
        assert!(nothing.to_string().contains("there is no message store"), "{nothing}");
    }
}
