//! Numbers of the MQI with their names. Source: IBM's public headers (cmqc.h).

/// MQOO_*: options of an open.
pub mod open {
    pub const INPUT_AS_Q_DEF: u32 = 0x1;
    pub const INPUT_SHARED: u32 = 0x2;
    pub const INPUT_EXCLUSIVE: u32 = 0x4;
    pub const BROWSE: u32 = 0x8;
    pub const OUTPUT: u32 = 0x10;
    pub const INQUIRE: u32 = 0x20;
    pub const SET: u32 = 0x40;
    pub const SAVE_ALL_CONTEXT: u32 = 0x80;
    pub const PASS_IDENTITY_CONTEXT: u32 = 0x100;
    pub const PASS_ALL_CONTEXT: u32 = 0x200;
    pub const SET_IDENTITY_CONTEXT: u32 = 0x400;
    pub const SET_ALL_CONTEXT: u32 = 0x800;
    pub const ALTERNATE_USER_AUTHORITY: u32 = 0x1000;
    pub const FAIL_IF_QUIESCING: u32 = 0x2000;
    pub const RESOLVE_LOCAL_Q: u32 = 0x40000;
    /// All there are.
    pub const ALL: u32 = 0x7FFFFF;
}

/// MQCO_*: options of a close.
pub mod close {
    pub const NONE: u32 = 0;
    pub const DELETE: u32 = 1;
    pub const DELETE_PURGE: u32 = 2;
    pub const QUIESCE: u32 = 32;
}

/// MQPMO_*: options of a put.
pub mod put {
    pub const SYNCPOINT: u32 = 0x2;
    pub const NO_SYNCPOINT: u32 = 0x4;
    pub const DEFAULT_CONTEXT: u32 = 0x20;
    pub const NEW_MSG_ID: u32 = 0x40;
    pub const NEW_CORREL_ID: u32 = 0x80;
    pub const PASS_IDENTITY_CONTEXT: u32 = 0x100;
    pub const PASS_ALL_CONTEXT: u32 = 0x200;
    pub const SET_IDENTITY_CONTEXT: u32 = 0x400;
    pub const SET_ALL_CONTEXT: u32 = 0x800;
    pub const ALTERNATE_USER_AUTHORITY: u32 = 0x1000;
    pub const FAIL_IF_QUIESCING: u32 = 0x2000;
    pub const NO_CONTEXT: u32 = 0x4000;
    pub const LOGICAL_ORDER: u32 = 0x8000;
    pub const ASYNC_RESPONSE: u32 = 0x10000;
    pub const SYNC_RESPONSE: u32 = 0x20000;
    pub const RESOLVE_LOCAL_Q: u32 = 0x40000;
    pub const MD_FOR_OUTPUT_ONLY: u32 = 0x800000;
}

/// MQGMO_*: options of a get.
pub mod get {
    pub const WAIT: u32 = 0x1;
    pub const SYNCPOINT: u32 = 0x2;
    pub const NO_SYNCPOINT: u32 = 0x4;
    pub const SET_SIGNAL: u32 = 0x8;
    pub const BROWSE_FIRST: u32 = 0x10;
    pub const BROWSE_NEXT: u32 = 0x20;
    pub const ACCEPT_TRUNCATED_MSG: u32 = 0x40;
    pub const MSG_UNDER_CURSOR: u32 = 0x100;
    pub const LOCK: u32 = 0x200;
    pub const UNLOCK: u32 = 0x400;
    pub const BROWSE_MSG_UNDER_CURSOR: u32 = 0x800;
    pub const SYNCPOINT_IF_PERSISTENT: u32 = 0x1000;
    pub const FAIL_IF_QUIESCING: u32 = 0x2000;
    pub const CONVERT: u32 = 0x4000;
    pub const LOGICAL_ORDER: u32 = 0x8000;
    pub const COMPLETE_MSG: u32 = 0x10000;
    pub const ALL_MSGS_AVAILABLE: u32 = 0x20000;
    pub const ALL_SEGMENTS_AVAILABLE: u32 = 0x40000;
    pub const MARK_BROWSE_HANDLE: u32 = 0x100000;
    pub const MARK_BROWSE_CO_OP: u32 = 0x200000;
    pub const UNMARK_BROWSE_CO_OP: u32 = 0x400000;
    pub const UNMARK_BROWSE_HANDLE: u32 = 0x800000;
    pub const UNMARKED_BROWSE_MSG: u32 = 0x1000000;
    pub const PROPERTIES_FORCE_MQRFH2: u32 = 0x2000000;
    pub const NO_PROPERTIES: u32 = 0x4000000;
    pub const PROPERTIES_IN_HANDLE: u32 = 0x8000000;
    pub const PROPERTIES_COMPATIBILITY: u32 = 0x10000000;
}

/// MQCNO_*: options of a connect that reach a queue manager.
pub mod connect {
    pub const GENERATE_CONN_TAG: u32 = 0x200000;
}

/// MQOT_*: types of objects.
pub mod object {
    pub const QUEUE: i32 = 1;
    pub const QUEUE_MANAGER: i32 = 5;
    pub const TOPIC: i32 = 8;
    pub const LOCAL_QUEUE: i32 = 1004;
}

/// MQAT_*: kinds of programs.
pub mod application {
    pub const UNIX: i32 = 6;
}

macro_rules! numbers {
    ($($number:literal $rust:ident $name:ident $text:literal)*) => {
        /// MQRC_* as channels write them, out of the one table ([`crate::reason`]).
        pub mod reason {
            $(pub const $name: i32 = $number;)*
        }
    };
}

crate::reasons!(numbers);

/// MQCC_*.
pub mod completion {
    pub const OK: i32 = 0;
    pub const WARNING: i32 = 1;
    pub const FAILED: i32 = 2;
}
