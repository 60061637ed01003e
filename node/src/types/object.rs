//! Definitions as data: queues, the members of a group, snapshots.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, NodeId, ObjectName, QueueManagerId, Term, limits};

/// A local queue as it was defined. Attribute names and defaults: IBM MQ Reference, "DEFINE QLOCAL".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDefinition {
    pub name: ObjectName,
    pub descr: String,
    pub maxdepth: u32,
    pub maxmsgl: u32,
    pub put_enabled: bool,
    pub get_enabled: bool,
    pub defpsist: bool,
    pub defprty: u8,
    pub msgdlvsq_fifo: bool,
    pub share: bool,
    pub bothresh: u32,
    pub boqname: Option<ObjectName>,
    /// Ours: the queue manager moves a message that reached BOTHRESH, programs need not.
    pub backout_move: bool,
}

impl QueueDefinition {
    /// MQ's defaults, except DEFPSIST(YES): losing messages is something to ask for.
    pub fn new(name: ObjectName) -> QueueDefinition {
        QueueDefinition {
            name,
            descr: String::new(),
            maxdepth: 5000,
            maxmsgl: 4 * 1024 * 1024,
            put_enabled: true,
            get_enabled: true,
            defpsist: true,
            defprty: 0,
            msgdlvsq_fifo: false,
            share: true,
            bothresh: 0,
            boqname: None,
            backout_move: false,
        }
    }

    pub fn body_bytes_max(&self) -> usize {
        (self.maxmsgl as usize).min(limits::BODY_BYTES_MAX)
    }
}

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
}
