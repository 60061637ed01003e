//! What a client can ask. Names are MQI's; options are fields, not bits.

use std::sync::Arc;
use std::time::Duration;

use super::{Admin, Operate};
use crate::types::definition::Changes;
use crate::types::{
    HandleId, Message, MessageSelector, ObjectName, ProducerSequence, Selection, Token, UnitId,
};

/// One call of a session. Every call is answered exactly once, by its token.
#[derive(Clone, Debug)]
pub enum Call {
    /// MQOPEN. The handle is the client's choice, so that calls can follow without waiting for the answer.
    Open {
        handle: HandleId,
        queue: ObjectName,
        options: OpenOptions,
        /// How a queue shall be called that is made because `queue` is a model: a name, or the beginning of one with a star at
        /// its end, in whose place come 16 digits (MQOD, DynamicQName). Empty for `AMQ.*`.
        dynamic: String,
        /// Gets and browses by this handle are about messages that it selects, and no others.
        selector: Option<Arc<MessageSelector>>,
    },
    /// MQOPEN of the queue manager itself, so that it can be inquired. Its handle is one of the session's.
    OpenManager {
        handle: HandleId,
        options: OpenOptions,
    },
    /// MQCLOSE.
    Close {
        handle: HandleId,
        close: CloseOption,
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
        /// How many units had been decided when its program sent this, if that knows.
        units_decided: Option<u64>,
    },
    /// MQBACK.
    Backout,
    /// What became of a unit whose commit was not answered; the answer is final.
    UnitOutcome {
        unit: UnitId,
        /// How many units had been decided before its commit was sent, as far as its program knows; 0 else.
        units_decided: u64,
    },
    /// MQINQ. Of an alias these are its own attributes.
    Inquire {
        handle: HandleId,
    },
    /// MQSET. Of an alias these are its own attributes.
    Set {
        handle: HandleId,
        changes: Changes,
    },
    Ping,
    Admin(Admin),
    Operate(Operate),
}

impl From<Admin> for Call {
    fn from(admin: Admin) -> Call {
        Call::Admin(admin)
    }
}

impl From<Get> for Call {
    fn from(get: Get) -> Call {
        Call::Get(get)
    }
}

impl From<Operate> for Call {
    fn from(operate: Operate) -> Call {
        Call::Operate(operate)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    pub output: bool,
    pub input: bool,
    /// MQOO_INPUT_EXCLUSIVE; with `input`.
    pub exclusive: bool,
    /// MQOO_INPUT_AS_Q_DEF: exclusive where DEFSOPT of the queue says so; with `input`.
    pub as_defined: bool,
    pub browse: bool,
    pub inquire: bool,
    pub set: bool,
    /// What puts by the handle may say of who their message is from.
    pub context: Context,
    /// MQOO_ALTERNATE_USER_AUTHORITY: leave is asked for it, and the rights stay those of the session's user.
    pub alternate_user: bool,
}

/// What is set of the context of a message, beside what its session says (MQOO_SET_*, MQPMO_SET_*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    #[default]
    Default,
    /// Whose message it is: user, accounting token, application's data of it.
    Identity,
    /// That, and which program put it.
    All,
}

/// What becomes of a dynamic queue when its handle is closed (MQCO_*). A temporary one goes with the handle that made it
/// whatever is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseOption {
    #[default]
    Keep,
    /// It is deleted if it has no messages (else 2055), nothing of it is in a unit of work and nobody else has it open (2042).
    Delete,
    /// It is deleted with its messages.
    Purge,
}

#[derive(Clone, Debug)]
pub struct Put {
    pub to: PutTarget,
    /// In the memory in which it will be on its queue: a call is handed on often.
    pub message: Box<Message>,
    pub syncpoint: bool,
    /// MQPMO_LOGICAL_ORDER: the queue manager gives messages of a group their places in it.
    pub logical_order: bool,
    /// A repeated put with the same pair is answered with the original and stored once.
    pub producer: Option<ProducerSequence>,
    /// What cannot be placed goes to the dead-letter queue with an MQDLH; outside syncpoint only.
    pub dead_letter: bool,
    /// What the program asks leave to say of its context. Over gRPC no leave is asked for it.
    pub context: Context,
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
