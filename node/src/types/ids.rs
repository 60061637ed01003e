//! Newtypes for every number that names something, so that no two of them can be mixed up.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(/// A node of the cluster, as the configuration numbers it; never 0, never reused.
    NodeId(u64));
id!(/// A queue manager of the cluster: its Raft group, its rows, its listener's target.
    QueueManagerId(u32));
id!(/// A queue of one queue manager; given by the log, never reused.
    QueueId(u32));
id!(/// An MQCONN on this node; given by the listener, unique while the process lives.
    SessionId(u64));
id!(/// An MQOPEN of one session; chosen by the client.
    HandleId(u32));
id!(/// Names one outstanding call of one session; chosen by the client.
    Token(u64));
id!(/// A position in the log, starting at 1.
    Index(u64));
id!(/// A term of Raft.
    Term(u64));
id!(/// Numbers the log writes of one queue manager on one node, in the order they were asked for.
    WriteNumber(u64));
id!(/// Numbers the requests to the stores, so that an answer finds its question.
    RequestId(u64));
id!(/// A body that was staged in the log before the message that owns it.
    StagedBodyId(u64));

impl QueueManagerId {
    /// The nodes' own, which says which queue managers there are (`qmgr/register.rs`): no other one may have it.
    pub const CLUSTER: QueueManagerId = QueueManagerId(u32::MAX);
    /// Its name.
    pub const CLUSTER_NAME: &'static str = "SYSTEM.CLUSTER";
}

impl Index {
    /// Of the entry behind it.
    pub fn next(self) -> Index {
        debug_assert!(self.0 < u64::MAX, "the log has no last index");
        Index(self.0 + 1)
    }
}

/// Where a message stands in its queue: priority first, then the order in which it became visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 9 - priority, so that the smallest position is delivered first.
    pub rank: u8,
    /// Given when the message is applied; grows with every placement on the queue.
    pub sequence: u64,
    /// 0 for a persistent message. Others stand behind the persistent message that was newest when they came, and
    /// exist in the active node's memory only.
    pub minor: u64,
}

impl Position {
    /// At 100,000 messages a second a queue needs 89 years for so many sequences.
    pub const SEQUENCE_BITS: u32 = 48;
    /// The last that a queue gives.
    pub const SEQUENCE_MAX: u64 = (1 << Position::SEQUENCE_BITS) - 1;

    /// Whether every node has a message there. Others ride behind one on the active node.
    pub fn is_persistent(&self) -> bool {
        self.minor == 0
    }
}
