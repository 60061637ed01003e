//! What consensus asks to be written, and what it is given back at start.

use std::time::Duration;

use bytes::Bytes;

use super::history::Parted;
use crate::types::{Index, NodeId, QueueManagerId, SnapshotMeta, Term, WriteNumber};

/// One item of the log, encoded once by the leader and stored by followers as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub term: Term,
    pub index: Index,
    pub data: Bytes,
    /// CRC-32C of `data`, made by the leader.
    pub crc: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Data is a `replica.v1.Batch`, or empty (a new leader's first entry).
    Normal,
    /// Data is for `Consensus::apply_membership`.
    Membership,
}

/// Term and vote must be durable before any message of that term leaves; commit is a hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    pub term: Term,
    pub vote: Option<NodeId>,
    pub commit: Index,
}

/// One turn's write. Hard state first, then `restart_after`, then entries; entries replace what the log has from
/// their first index on. Answered by `Event::LogPersisted` after the sync (or at once when `sync` is false).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWrite {
    pub queue_manager: QueueManagerId,
    pub number: WriteNumber,
    pub hard_state: Option<HardState>,
    /// A snapshot was installed: the log begins anew behind its index.
    pub restart_after: Option<(Index, Term)>,
    pub entries: Vec<Entry>,
    /// False when nothing in here was promised to anybody (a moved commit index only).
    pub sync: bool,
}

/// What the stores gave back at start.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub hard_state: HardState,
    /// The applied state in the message store: where the log's replay begins.
    pub snapshot: SnapshotMeta,
    /// Entries behind the snapshot, in order, without a gap.
    pub entries: Vec<Entry>,
    /// The log is shorter than what this node acknowledged, or was damaged, or the node is new to a group that may
    /// be established: it may not vote before it has caught up (reliability rule 3).
    pub recovering: bool,
    /// How long the process has run before the first turn, at least: reading a large store takes its time, and what
    /// this node promised before it was started is as much older by then.
    pub since_start: Duration,
    /// The highest entry this node ever acknowledged, also when its log does not have it any more; None where nobody
    /// knows.
    pub acknowledged: Option<Index>,
    /// It had committed entries that a leader did not have. It goes on knowing that, until a leader has them or a person
    /// decided.
    pub parted: Option<Parted>,
}
