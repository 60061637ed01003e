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
    OpenManager { handle: HandleId, options: OpenOptions },
    /// MQCLOSE.
    Close { handle: HandleId, close: CloseOption },
    /// MQPUT and MQPUT1.
    Put(Put),
    /// MQGET in all its forms.
    Get(Get),
    /// Ends the wait of an earlier get of this session: that get is answered with 2033.
    CancelGet { token: Token },
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
    Inquire { handle: HandleId },
    /// MQSET. Of an alias these are its own attributes.
    Set { handle: HandleId, changes: Changes },
    /// Answered by every node, whether it serves or not.
    Ping,
    /// About what is defined: at whoever serves.
    Admin(Admin),
    /// About the nodes: at whoever serves, but for what says that every node answers it.
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

/// For what an object is opened (IBM MQ Reference, "MQOPEN", Options): for one thing at least, else 2046.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// MQOO_OUTPUT: to put.
    pub output: bool,
    /// MQOO_INPUT_*: to get. 2042 where somebody has the queue exclusively.
    pub input: bool,
    /// MQOO_INPUT_EXCLUSIVE: nobody else may have it open for `input`, else 2042. With `input` only.
    pub exclusive: bool,
    /// MQOO_INPUT_AS_Q_DEF: exclusive where DEFSOPT of the queue says so; with `input`.
    pub as_defined: bool,
    /// MQOO_BROWSE: to look at messages. The handle has a browse cursor of its own.
    pub browse: bool,
    /// MQOO_INQUIRE: to ask for its attributes.
    pub inquire: bool,
    /// MQOO_SET: to inhibit gets or puts (MQSET).
    pub set: bool,
    /// What puts by the handle may say of who their message is from: nothing, or what is [`Context::Identity`] or [`Context::All`].
    pub context: Context,
    /// What they may pass on of that, of a message that was got: nothing, [`Context::PassIdentity`] or [`Context::PassAll`].
    pub passes: Context,
    /// MQOO_ALTERNATE_USER_AUTHORITY: leave is asked for it, and the rights stay those of the session's user.
    pub alternate_user: bool,
}

/// Who says what of the context of a message, beside what its session says (MQOO_SET_*, MQOO_PASS_*, MQPMO_*_CONTEXT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Context {
    /// MQPMO_DEFAULT_CONTEXT: nothing; what the message does not say itself comes from the session.
    #[default]
    Default,
    /// MQPMO_NO_CONTEXT: nobody says anything.
    Blank,
    /// What is [`Context::Identity`], of a message that was got.
    PassIdentity,
    /// What is [`Context::All`], of a message that was got.
    PassAll,
    /// Whose message it is: user, accounting token, application's data of it.
    Identity,
    /// That, and which program put it.
    All,
}

/// What becomes of a dynamic queue when its handle is closed (MQCO_*). A temporary one goes with the handle that made it
/// whatever is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseOption {
    /// MQCO_NONE.
    #[default]
    Keep,
    /// It is deleted if it has no messages (else 2055), nothing of it is in a unit of work and nobody else has it open (2042).
    Delete,
    /// It is deleted with its messages.
    Purge,
}

/// A message for a queue (IBM MQ Reference, "MQPUT", "MQPMO").
#[derive(Clone, Debug)]
pub struct Put {
    /// Where it goes.
    pub to: PutTarget,
    /// In the memory in which it will be on its queue: a call is handed on often.
    pub message: Box<Message>,
    /// MQPMO_SYNCPOINT: nobody sees it before the commit. Else it is there when the put is answered.
    pub syncpoint: bool,
    /// MQPMO_LOGICAL_ORDER: the queue manager gives messages of a group their places in it.
    pub logical_order: bool,
    /// A repeated put with the same pair is answered with the original and stored once.
    pub producer: Option<ProducerSequence>,
    /// What cannot be placed goes to the dead-letter queue with an MQDLH; outside syncpoint only.
    pub dead_letter: bool,
    /// What the program asks leave to say of its context, which the message says already. Over gRPC no leave is asked for it.
    pub context: Context,
}

/// Where a message is put.
#[derive(Clone, Debug)]
pub enum PutTarget {
    /// Of this session, open for output (else 2019, 2039).
    Handle(HandleId),
    /// MQPUT1.
    Queue(ObjectName),
}

/// Which message is got or looked at, and how (IBM MQ Reference, "MQGET", "MQGMO").
#[derive(Clone, Debug)]
pub struct Get {
    /// Of this session, open for input, or for a browse for that (else 2037, 2036).
    pub handle: HandleId,
    /// MQGMO_SYNCPOINT: the message goes for good with the commit, and comes back with the back-out.
    pub syncpoint: bool,
    /// MQGMO_SYNCPOINT_IF_PERSISTENT; without `syncpoint`.
    pub syncpoint_if_persistent: bool,
    /// For how long, where no message is there.
    pub wait: Wait,
    /// Whether the message is taken or looked at, and from where on it is looked for.
    pub mode: GetMode,
    /// Which messages it is about, besides those that the handle selects.
    pub selection: Selection,
    /// Longest body wanted, in bytes; None for no limit.
    pub max_length: Option<usize>,
    /// MQGMO_ACCEPT_TRUNCATED_MSG: of a longer one its beginning is given, and the message goes (2079). Else it stays (2080).
    pub accept_truncated: bool,
    /// The program's MQMD is of version 1: a message of a group has an MQMDE in front of its body, which takes room, too.
    pub extended: bool,
    /// MQGMO_LOCK, of a browse: the message is there for this handle only, until it takes it, browses another one, is unlocked or
    /// closed. A handle has one message locked at most.
    pub lock: bool,
}

impl Get {
    /// Bytes of the MQMDE that is in front of a message of a group for such a program.
    pub const EXTENSION_BYTES: usize = 72;

    /// Whether it makes such a message part of the unit of work.
    pub fn is_in_unit(&self, is_persistent: bool) -> bool {
        self.syncpoint || (self.syncpoint_if_persistent && is_persistent)
    }
}

/// How long a get waits for a message (MQGMO, WaitInterval).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// MQGMO_NO_WAIT: 2033 at once.
    #[default]
    No,
    /// More than nothing; programs say whole milliseconds. Then 2033.
    For(Duration),
    /// MQWI_UNLIMITED.
    Forever,
}

/// What a get does with the message, and from where on it looks for one.
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
    /// MQGMO_BROWSE_FIRST: looked at, from the beginning of the queue on.
    BrowseFirst,
    /// MQGMO_BROWSE_NEXT: looked at, behind the browse cursor.
    BrowseNext,
    /// MQGMO_BROWSE_MSG_UNDER_CURSOR: looked at once more.
    BrowseUnderCursor,
    /// MQGMO_UNLOCK: no message is got. What the handle has locked is there for others again; 2209, a warning, where that is nothing.
    Unlock,
}

impl GetMode {
    /// Whether the message stays where it is.
    pub fn is_browse(self) -> bool {
        matches!(self, GetMode::BrowseFirst | GetMode::BrowseNext | GetMode::BrowseUnderCursor)
    }

    /// Whether the message leaves its queue.
    pub fn takes(self) -> bool {
        matches!(self, GetMode::Destructive | GetMode::Ahead | GetMode::UnderCursor)
    }
}
