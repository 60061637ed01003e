//! What a client can ask. Names are MQI's; options are fields, not bits.

use std::sync::Arc;
use std::time::Duration;

use super::{Admin, Operate};
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
    /// MQINQ.
    Inquire {
        handle: HandleId,
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
    pub browse: bool,
    pub inquire: bool,
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
    /// The same, ahead of a program that has not asked for it yet (MQ's read ahead): a message that is persistent stays, and the get is
    /// answered with [`super::Data::NotAhead`].
    Ahead,
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
