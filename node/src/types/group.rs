//! A queue manager's Raft group as data: its nodes, who votes, and what a snapshot is a snapshot of.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, NodeId, QueueManagerId, Term, TermStarts};

/// How a node is called and found, as the cluster file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// 1 to 48 of A-Z a-z 0-9 - _ . and no other node's.
    pub name: String,
    /// Host and port for other nodes.
    pub peer_address: String,
    /// Host and port for programs that speak gRPC.
    pub client_address: String,
}

/// Who has part in a queue manager's group, and where they are. Joint while `voters_outgoing` is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// A majority of them decides.
    pub voters: BTreeSet<NodeId>,
    /// Those that voted before a change that is under way: a majority of them is needed too.
    pub voters_outgoing: BTreeSet<NodeId>,
    /// They have the log and do not vote.
    pub learners: BTreeSet<NodeId>,
    /// Voters that learn as soon as the change is over.
    pub learners_next: BTreeSet<NodeId>,
    /// The leader ends the change by itself.
    pub auto_leave: bool,
    /// Of all voters and learners.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// Ids that were removed; they never come back.
    pub removed: BTreeSet<NodeId>,
}

/// What a snapshot is a snapshot of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// Whose state it is.
    pub queue_manager: QueueManagerId,
    /// The last entry that is in it.
    pub index: Index,
    /// Of that entry.
    pub term: Term,
    /// As of that entry.
    pub membership: Membership,
    /// Of all that is in it.
    pub terms: TermStarts,
    /// It came whole from a leader, so that the log beside it need not reach so far.
    pub installed: bool,
}
