//! What administrators ask about objects, and what operators ask of the nodes.

use crate::types::{Index, NodeId, NodeInfo, ObjectName, QueueDefinition, Term};

/// Calls of administrators: what is defined.
#[derive(Clone, Debug)]
pub enum Admin {
    CreateQueue(QueueDefinition),
    AlterQueue {
        queue: ObjectName,
        changes: QueueChanges,
    },
    DeleteQueue {
        queue: ObjectName,
        purge: bool,
    },
    ClearQueue {
        queue: ObjectName,
    },
    /// A name, a prefix with `*`, or empty for all. In the order of names, those behind `after`; as many as a page has
    /// (`limits::QUEUES_A_PAGE`) when there may be more.
    ShowQueues {
        pattern: String,
        after: Option<ObjectName>,
    },
    AlterQueueManager {
        deadq: Option<Option<ObjectName>>,
        maxumsgs: Option<u32>,
    },
}

/// Calls of operators: what a node or the group of nodes is and does, whatever is defined there.
#[derive(Clone, Debug)]
pub enum Operate {
    /// Answered by every node, whether it serves or not.
    Status,
    /// Moves the active instance; None picks the one that is most up to date.
    Switch {
        to: Option<NodeId>,
    },
    Members(MembershipRequest),
    /// Goes on with what `from` has left; carried out by every node, see [`RecoverRequest`].
    Recover(RecoverRequest),
}

/// Too many logs are damaged for an election, and somebody decided to go on with the best of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverRequest {
    pub from: NodeId,
    /// Where the log of `from` ends.
    pub last: (Term, Index),
    /// The highest term any node knows.
    pub term: Term,
}

/// Attributes to set; None keeps the value (ALTER) or the default (DEFINE).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueChanges {
    pub descr: Option<String>,
    pub maxdepth: Option<u32>,
    pub maxmsgl: Option<u32>,
    pub put_enabled: Option<bool>,
    pub get_enabled: Option<bool>,
    pub defpsist: Option<bool>,
    pub defprty: Option<u8>,
    pub msgdlvsq_fifo: Option<bool>,
    pub share: Option<bool>,
    pub bothresh: Option<u32>,
    pub boqname: Option<Option<ObjectName>>,
    pub backout_move: Option<bool>,
}

impl QueueChanges {
    pub fn apply_to(&self, definition: &mut QueueDefinition) {
        macro_rules! set {
            ($($field:ident),*) => { $(if let Some(value) = &self.$field { definition.$field = value.clone(); })* };
        }
        set!(descr, maxdepth, maxmsgl, put_enabled, get_enabled, defpsist, defprty, msgdlvsq_fifo, share);
        set!(bothresh, boqname, backout_move);
    }
}

/// A membership change as an administrator asks for it. Answered when it is complete; [`crate::mqi::Completion`]
/// with `Data::Progress` comes before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipRequest {
    Add { node: NodeId, info: NodeInfo },
    Remove { node: NodeId },
    Replace { old: NodeId, node: NodeId, info: NodeInfo },
}
