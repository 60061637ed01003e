//! The queue manager: every replicated fact, as a pure function of the log (L1).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod store_batch;

pub use store_batch::*;

use crate::types::{ObjectName, QueueManagerId};

#[derive(Debug)]
pub struct QueueManager {
    id: QueueManagerId,
    name: ObjectName,
}

impl QueueManager {
    /// A queue manager nobody has used yet.
    pub fn new(id: QueueManagerId, name: ObjectName) -> QueueManager {
        QueueManager { id, name }
    }

    /// The queue manager whose rows `source` has.
    pub fn load(id: QueueManagerId, name: ObjectName, source: &dyn RowSource) -> Result<QueueManager, StoreReadError> {
        source.meta()?;
        Ok(QueueManager::new(id, name))
    }

    pub fn id(&self) -> QueueManagerId {
        self.id
    }

    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// A hash of every replicated fact: equal on every node at the same applied index.
    pub fn digest(&self) -> u64 {
        0
    }
}
