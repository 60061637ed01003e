//! State transfer between the message store and the peers: `peer` asks, `message_store` has.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use trimaran_proto::replica::v1::Row;

use crate::message_store::{Incoming, MessageStore, ResumeKey, RocksStore, StoreSnapshot};
use crate::peer::{SnapshotReader, SnapshotStore, SnapshotWriter};
use crate::qmgr::QueueManager;
use crate::types::{ObjectName, QueueManagerId, SnapshotMeta};

/// The store of this node as `peer` sees it.
pub struct Snapshots {
    store: RocksStore,
    names: BTreeMap<QueueManagerId, ObjectName>,
    streams: AtomicU64,
}

impl Snapshots {
    pub fn new(store: RocksStore, names: BTreeMap<QueueManagerId, ObjectName>) -> Snapshots {
        Snapshots { store, names, streams: AtomicU64::new(1) }
    }
}

impl SnapshotStore for Snapshots {
    fn open(&self, queue_manager: QueueManagerId) -> Result<Box<dyn SnapshotReader>, String> {
        match self.store.snapshot(queue_manager) {
            Ok(Some(snapshot)) => Ok(Box::new(Outgoing { snapshot, after: None })),
            Ok(None) => Err(format!("the message store has nothing of queue manager {queue_manager} yet")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn begin(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotWriter>, String> {
        let Some(name) = self.names.get(&meta.queue_manager).cloned() else {
            return Err(format!("queue manager {} is not one of this node", meta.queue_manager));
        };
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let incoming = self.store.receive(meta, stream).map_err(|error| {
            format!("make a file for a snapshot in {}: {error}", self.store.directory().display())
        })?;
        Ok(Box::new(Arriving { incoming, name, store: self.store.clone() }))
    }
}

struct Outgoing {
    snapshot: StoreSnapshot,
    after: Option<ResumeKey>,
}

impl SnapshotReader for Outgoing {
    fn meta(&self) -> SnapshotMeta {
        self.snapshot.meta().clone()
    }

    fn bytes_estimate(&self) -> u64 {
        self.snapshot.bytes_estimate()
    }

    fn next_rows(&mut self, bytes_max: usize) -> Result<Vec<Row>, String> {
        let (rows, last) =
            self.snapshot.rows(self.after.as_ref(), bytes_max).map_err(|error| error.to_string())?;
        self.after = last.or(self.after.take());
        Ok(rows)
    }
}

struct Arriving {
    incoming: Incoming,
    name: ObjectName,
    store: RocksStore,
}

impl SnapshotWriter for Arriving {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), String> {
        self.incoming.write(rows)
    }

    fn install(self: Box<Self>) -> Result<Box<QueueManager>, String> {
        // One that came late must not take the place of a newer state: the log has let go of what lies between.
        let offered = self.incoming.meta().clone();
        let here =
            MessageStore::meta(&self.store, offered.queue_manager).map_err(|error| error.to_string())?;
        if let Some(here) = here.filter(|here| here.index >= offered.index) {
            return Err(format!(
                "the snapshot of index {} is not newer than index {} here",
                offered.index, here.index
            ));
        }
        let meta = self.incoming.install().map_err(|error| error.to_string())?;
        let rows = self.store.rows(meta.queue_manager);
        QueueManager::load(meta.queue_manager, self.name, &rows)
            .map(Box::new)
            .map_err(|error| error.to_string())
    }
}
