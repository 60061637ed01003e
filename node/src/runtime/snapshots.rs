//! State transfer between the message store and the peers: `peer` asks, `message_store` has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use trimaran_proto::replica::v1::Row;

use crate::message_store::{Incoming, MessageStore, ResumeKey, RocksStore, StoreSnapshot};
use crate::peer::{SnapshotReader, SnapshotStore, SnapshotWriter};
use crate::qmgr::{QueueManager, StoreReadError};
use crate::types::{ObjectName, QueueManagerId, SnapshotMeta, Speaks};

/// The store of this node as `peer` sees it.
pub struct Snapshots {
    store: RocksStore,
    names: Arc<Names>,
    streams: AtomicU64,
    unreadable: Arc<Unreadable>,
}

/// The name of a queue manager that is one of this node now.
type Names = dyn Fn(QueueManagerId) -> Option<ObjectName> + Send + Sync;

/// Told why the store cannot be read: it is condemned and the process should end. Going on would leave a peer that
/// lags waiting for rows that never come.
type Unreadable = dyn Fn(&str) + Send + Sync;

impl Snapshots {
    pub fn new(store: RocksStore, names: Arc<Names>, unreadable: Box<Unreadable>) -> Snapshots {
        Snapshots { store, names, streams: AtomicU64::new(1), unreadable: unreadable.into() }
    }
}

fn give_up(store: &RocksStore, unreadable: &Unreadable, error: StoreReadError) -> String {
    let reason = error.to_string();
    store.condemn(&reason);
    unreadable(&reason);
    reason
}

impl SnapshotStore for Snapshots {
    fn open(&self, queue_manager: QueueManagerId) -> Result<Box<dyn SnapshotReader>, String> {
        match self.store.snapshot(queue_manager) {
            Ok(Some(snapshot)) => {
                let (store, unreadable) = (self.store.clone(), self.unreadable.clone());
                Ok(Box::new(Outgoing { snapshot, after: None, store, unreadable }))
            }
            Ok(None) => Err(format!("the message store has nothing of queue manager {queue_manager} yet")),
            Err(error) => Err(give_up(&self.store, &*self.unreadable, error)),
        }
    }

    fn begin(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotWriter>, String> {
        let Some(name) = (self.names)(meta.queue_manager) else {
            return Err(format!("queue manager {} is not one of this node", meta.queue_manager));
        };
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let incoming = self.store.receive(meta, stream).map_err(|error| {
            format!("make a file for a snapshot in {}: {error}", self.store.directory().display())
        })?;
        Ok(Box::new(Arriving { incoming, name, names: self.names.clone(), store: self.store.clone() }))
    }
}

struct Outgoing {
    snapshot: StoreSnapshot,
    after: Option<ResumeKey>,
    store: RocksStore,
    unreadable: Arc<Unreadable>,
}

impl SnapshotReader for Outgoing {
    fn meta(&self) -> SnapshotMeta {
        self.snapshot.meta().clone()
    }

    fn bytes_estimate(&self) -> u64 {
        self.snapshot.bytes_estimate()
    }

    fn next_rows(&mut self, bytes_max: usize) -> Result<Vec<Row>, String> {
        let (rows, last) = self
            .snapshot
            .rows(self.after.as_ref(), bytes_max)
            .map_err(|error| give_up(&self.store, &*self.unreadable, error))?;
        self.after = last.or(self.after.take());
        Ok(rows)
    }
}

struct Arriving {
    incoming: Incoming,
    name: ObjectName,
    names: Arc<Names>,
    store: RocksStore,
}

impl SnapshotWriter for Arriving {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), String> {
        self.incoming.write(rows)
    }

    fn install(self: Box<Self>) -> Result<Option<Box<QueueManager>>, String> {
        // One that came late must not take the place of a newer state: the log has let go of what lies between.
        let offered = self.incoming.meta().clone();
        if (self.names)(offered.queue_manager).is_none() {
            return Err(format!("queue manager {} was deleted meanwhile", self.name));
        }
        let here =
            MessageStore::meta(&self.store, offered.queue_manager).map_err(|error| error.to_string())?;
        if here.is_some_and(|here| here.index >= offered.index) {
            return Ok(None);
        }
        let meta = self.incoming.install().map_err(|error| error.to_string())?;
        let rows = self.store.rows(meta.queue_manager);
        // Its version was looked at before it came.
        QueueManager::load(meta.queue_manager, self.name, &rows, Speaks::RELEASE)
            .map(|state| Some(Box::new(state)))
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use bytes::Bytes;

    use super::*;
    use crate::message_store::StoreOptions;
    use crate::qmgr::{Family, RowChange, StoreBatch};
    use crate::types::{Index, Membership, Term, TermStarts};

    #[test]
    fn rows_that_cannot_be_read_condemn_the_store_and_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let id = QueueManagerId(1);
        let options = StoreOptions::small(directory.path(), Arc::new(|_| Ok(1 << 40)));
        let (store, _) = RocksStore::open(options).unwrap();
        let meta = SnapshotMeta {
            queue_manager: id,
            index: Index(9),
            term: Term(2),
            membership: Membership::default(),
            terms: TermStarts::default(),
            installed: false,
        };
        let put = |number: u32| RowChange::Put {
            family: Family::Bodies,
            key: Bytes::from([id.0.to_be_bytes(), number.to_be_bytes()].concat()),
            value: Bytes::from(vec![7; 5000]),
        };
        store.apply(&StoreBatch { base: Index(1), meta, changes: (0..9).map(put).collect() }).unwrap();
        store.flush().unwrap();
        let files = std::fs::read_dir(directory.path().join("store")).unwrap().flatten();
        let blob = files.map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "blob"));
        let blob = blob.expect("bodies lie in a blob file");
        let mut bytes = std::fs::read(&blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&blob, bytes).unwrap();

        let told = Arc::new(AtomicBool::new(false));
        let tell = told.clone();
        let unreadable = Box::new(move |_: &str| tell.store(true, Ordering::Relaxed));
        let snapshots = Snapshots::new(store, Arc::new(|_| None), unreadable);
        let mut reader = snapshots.open(id).unwrap();
        assert!(reader.next_rows(1 << 20).is_err());
        assert!(told.load(Ordering::Relaxed));
        assert!(directory.path().join("store.condemned").exists());
    }
}
