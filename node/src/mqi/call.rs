//! What a client can ask. Names are MQI's; options are fields, not bits.

use std::time::Duration;

use crate::types::{
    HandleId, Index, Message, NodeId, NodeInfo, ObjectName, ProducerId, QueueDefinition, Selection, Term,
    Token, UnitId,
};

/// One call of a session. Every call is answered exactly once, by its token.
#[derive(Clone, Debug)]
pub enum Call {
    /// MQOPEN. The handle is the client's choice, so that calls can follow without waiting for the answer.
    Open {
        handle: HandleId,
        queue: ObjectName,
        options: OpenOptions,
    },
    /// MQCLOSE.
    Close {
        handle: HandleId,
    },
    /// MQPUT and MQPUT1.
    Put(Put),
    /// MQGET in all its forms.
    Get(Get),
    /// Ends the wait of an earlier get of this session: that get is answered with 2033.
    CancelGet {
        token: Token,
    },
    /// MQCMIT. With an id the outcome is remembered for [`Call::UnitOutcome`].
    Commit {
        unit: Option<UnitId>,
    },
    /// MQBACK.
    Backout,
    /// What became of a unit whose commit was not answered; the answer is final.
    UnitOutcome {
        unit: UnitId,
    },
    /// MQINQ.
    Inquire {
        handle: HandleId,
    },
    Ping,
    Admin(Admin),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    pub output: bool,
    pub input: bool,
    /// MQOO_INPUT_EXCLUSIVE; with `input`.
    pub exclusive: bool,
    pub browse: bool,
    pub inquire: bool,
}

#[derive(Clone, Debug)]
pub struct Put {
    pub to: PutTarget,
    pub message: Message,
    pub syncpoint: bool,
    /// A repeated put with the same pair is answered with the original and stored once.
    pub producer: Option<(ProducerId, u64)>,
    /// What cannot be placed goes to the dead-letter queue with an MQDLH; outside syncpoint only.
    pub dead_letter: bool,
}

#[derive(Clone, Debug)]
pub enum PutTarget {
    Handle(HandleId),
    /// MQPUT1.
    Queue(ObjectName),
}

#[derive(Clone, Debug)]
pub struct Get {
    pub handle: HandleId,
    pub syncpoint: bool,
    /// MQGMO_SYNCPOINT_IF_PERSISTENT; without `syncpoint`.
    pub syncpoint_if_persistent: bool,
    pub wait: Wait,
    pub mode: GetMode,
    pub selection: Selection,
    /// Longest body wanted, None for no limit.
    pub max_length: Option<usize>,
    pub accept_truncated: bool,
}

impl Get {
    /// Whether it makes such a message part of the unit of work.
    pub fn is_in_unit(&self, is_persistent: bool) -> bool {
        self.syncpoint || (self.syncpoint_if_persistent && is_persistent)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    #[default]
    No,
    For(Duration),
    /// MQWI_UNLIMITED.
    Forever,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GetMode {
    /// The first message that matches, destructively.
    #[default]
    Destructive,
    /// MQGMO_MSG_UNDER_CURSOR: the message the browse cursor stands on, destructively.
    UnderCursor,
    BrowseFirst,
    BrowseNext,
    BrowseUnderCursor,
}

impl GetMode {
    pub fn is_browse(self) -> bool {
        matches!(self, GetMode::BrowseFirst | GetMode::BrowseNext | GetMode::BrowseUnderCursor)
    }
}

/// Calls of administrators.
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
    /// A name, a prefix with `*`, or empty for all.
    ShowQueues {
        pattern: String,
    },
    AlterQueueManager {
        deadq: Option<Option<ObjectName>>,
        maxumsgs: Option<u32>,
    },
    Status,
    /// Moves the active instance; None picks the one that is most up to date.
    Switch {
        to: Option<NodeId>,
    },
    ChangeMembership(MembershipRequest),
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
