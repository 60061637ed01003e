//! A queue manager's Raft group as data: its nodes, who votes, and what a snapshot is a snapshot of.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, NodeId, QueueManagerId, Term, TermStarts};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    pub name: String,
    pub peer_address: String,
    pub client_address: String,
}

/// Who has part in a queue manager's group, and where they are. Joint while `voters_outgoing` is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    pub voters: BTreeSet<NodeId>,
    pub voters_outgoing: BTreeSet<NodeId>,
    pub learners: BTreeSet<NodeId>,
    pub learners_next: BTreeSet<NodeId>,
    pub auto_leave: bool,
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// Ids that were removed; they never come back.
    pub removed: BTreeSet<NodeId>,
}

/// What a snapshot is a snapshot of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    pub queue_manager: QueueManagerId,
    pub index: Index,
    pub term: Term,
    pub membership: Membership,
    /// Of all that is in it.
    pub terms: TermStarts,
    /// It came whole from a leader, so that the log beside it need not reach so far.
    pub installed: bool,
}
