//! The message store (L3): what outlives the log window, as rows, behind the log.
//!
//! Reading order: [`MessageStore`] here, `keys`, `rocks` (the store over RocksDB), `open`, `snapshot` (rows leaving), `install`
//! (rows arriving), `work` (batch by batch), `writer` (the thread that does it), `reader`, `fault` (what an error
//! means), `damage` (where it is), `inspect`.
//!
//! The promise: after any crash the rows of a queue manager are exactly those of one index, the one in its meta row,
//! and that index is not below what `flush` answered. A damaged store is moved aside and empty, never half served.

mod damage;
mod fault;
pub mod inspect;
mod install;
mod keys;
mod open;
mod reader;
mod rocks;
mod snapshot;
mod work;
mod writer;

#[cfg(test)]
mod message_store_test;

pub use self::install::Incoming;
pub use self::keys::ResumeKey;
pub use self::reader::{Loaded, StoreReaderOptions, StoreReaders};
pub use self::rocks::{RocksStore, Rows, StoreOptions, StoreUse};
pub use self::snapshot::StoreSnapshot;
pub use self::work::{Attempt, StoreThreadOptions, StoreWork};
pub use self::writer::{StoreAnswers, StoreHandle, StoreThread};

use std::path::PathBuf;

use bytes::Bytes;

use crate::qmgr::{LoadRequest, StoreBatch, StoreReadError};
use crate::types::{Index, QueueManagerId, SnapshotMeta};

/// Rows of every queue manager of a node.
pub trait MessageStore {
    /// Applies a batch as a whole, if its base is where the store is; another changes nothing. It is visible at once
    /// and durable with the next flush. After [`StoreError::NoRoom`] nothing of it was applied and it may be tried
    /// again.
    fn apply(&self, batch: &StoreBatch) -> Result<(), StoreError>;

    /// Makes everything that was applied durable. Answers the queue managers that moved.
    fn flush(&self) -> Result<Vec<(QueueManagerId, Index)>, StoreError>;

    /// The rows in the order they were asked for; None for a row that is not there.
    fn load(&self, request: &LoadRequest) -> Result<Vec<Option<Bytes>>, StoreReadError>;

    /// What the rows of a queue manager are the state of; None when it has none.
    fn meta(&self, queue_manager: QueueManagerId) -> Result<Option<SnapshotMeta>, StoreReadError>;

    /// Reads rows and verifies them, about `bytes_max` of them, behind `after`. Answers where to go on; None at the end.
    fn scrub(&self, after: Option<&ResumeKey>, bytes_max: usize)
    -> Result<Option<ResumeKey>, StoreReadError>;

    /// Removes every row of a queue manager that is deleted. Durable on return; what arrives for it later must not be put in place.
    fn forget(&self, queue_manager: QueueManagerId) -> Result<(), StoreError>;

    /// Gives room back that removed rows still take, if it is worth it. Reads and writes go on; may take seconds.
    fn reclaim(&self);
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{text}")]
    NoRoom { text: String },
    #[error(
        "message store {directory}: {reason}; the node rebuilds it from its log and its peers when it is started again"
    )]
    Damaged { directory: PathBuf, reason: String },
    #[error("message store {directory}: {reason}")]
    Io { directory: PathBuf, reason: String },
}
