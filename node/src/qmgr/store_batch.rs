//! What the message store must hold, as data. The store at index W is exactly the queue manager at W.
//!
//! Rows are opaque to the store: families, keys, values. Keys begin with the queue manager's id (big-endian u32),
//! so that a queue manager is one contiguous range of each family.

use bytes::Bytes;

use crate::types::{Index, NotSpoken, QueueManagerId, RequestId, SnapshotMeta};

/// Column families of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Definitions, producers, outcomes, staged bodies, and the applied index with the membership (key `meta`).
    State = 0,
    /// One row a pack of messages: their descriptors. Read whole at start.
    Heads = 1,
    /// One row a pack (several if its one message has a large body): their bodies. Read when delivered.
    Bodies = 2,
}

impl Family {
    pub const ALL: [Family; 3] = [Family::State, Family::Heads, Family::Bodies];

    pub fn from_number(number: u32) -> Option<Family> {
        Family::ALL.into_iter().find(|family| *family as u32 == number)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    Put {
        family: Family,
        key: Bytes,
        value: Bytes,
    },
    /// The value is these parts, one behind the other.
    PutParts {
        family: Family,
        key: Bytes,
        parts: Vec<Bytes>,
    },
    Delete {
        family: Family,
        key: Bytes,
    },
    /// Half open: `from` included, `until` not.
    DeleteRange {
        family: Family,
        from: Bytes,
        until: Bytes,
    },
}

/// Applied atomically. After it the store holds the state at `meta.index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreBatch {
    /// What the changes are a difference from: the index of the batch (or snapshot) before. A store that is
    /// elsewhere, because a snapshot was installed meanwhile, drops the batch.
    pub base: Index,
    pub meta: SnapshotMeta,
    pub changes: Vec<RowChange>,
}

impl StoreBatch {
    /// About what the changes take when they are written down.
    pub fn bytes(&self) -> usize {
        let bytes = |change: &RowChange| match change {
            RowChange::Put { key, value, .. } => key.len() + value.len(),
            RowChange::PutParts { key, parts, .. } => key.len() + parts.iter().map(Bytes::len).sum::<usize>(),
            RowChange::Delete { key, .. } => key.len(),
            RowChange::DeleteRange { from, until, .. } => from.len() + until.len(),
        };
        self.changes.iter().map(|change| 16 + bytes(change)).sum()
    }
}

/// Rows to read, answered in the same order; None for a row that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    pub queue_manager: QueueManagerId,
    pub request: RequestId,
    pub keys: Vec<(Family, Bytes)>,
}

/// Where the store's rows of one queue manager come from at start and after a snapshot: a bounded read in key
/// order, implemented by the message store and by the simulator's.
pub trait RowSource {
    /// Calls `row` for every row of the family, in key order. An error names file and reason.
    fn scan(&self, family: Family, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreReadError>;
    /// What the rows are the state of; None when the store has never heard of the queue manager.
    fn meta(&self) -> Result<Option<SnapshotMeta>, StoreReadError>;
}

#[derive(Debug, thiserror::Error)]
#[error("read the message store at {place}: {reason}; the node rebuilds it from its peers")]
pub struct StoreReadError {
    pub place: String,
    pub reason: String,
}

/// Why a queue manager cannot be made of its rows.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Damage: the rows come again from the peers.
    #[error(transparent)]
    Read(#[from] StoreReadError),
    /// Another release wrote them, and they are as they should be.
    #[error(transparent)]
    Version(#[from] NotSpoken),
}

/// The store never goes back, so the newest flushed index is all that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    pub upto: Index,
}
