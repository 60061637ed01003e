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

/// MQRC_*: reasons that a channel gives by itself.
pub mod reason {
    pub const NONE: i32 = 0;
    pub const BUFFER_LENGTH_ERROR: i32 = 2005;
    pub const CHAR_ATTRS_TOO_SHORT: i32 = 2008;
    pub const ENVIRONMENT_ERROR: i32 = 2012;
    pub const EXPIRY_ERROR: i32 = 2013;
    pub const HCONN_ERROR: i32 = 2018;
    pub const HOBJ_ERROR: i32 = 2019;
    pub const INT_ATTR_COUNT_TOO_SMALL: i32 = 2022;
    pub const MD_ERROR: i32 = 2026;
    pub const MSG_TYPE_ERROR: i32 = 2029;
    pub const NO_MSG_AVAILABLE: i32 = 2033;
    pub const NOT_AUTHORIZED: i32 = 2035;
    pub const NOT_OPEN_FOR_SET: i32 = 2040;
    pub const OBJECT_TYPE_ERROR: i32 = 2043;
    pub const OD_ERROR: i32 = 2044;
    pub const OPTION_NOT_VALID_FOR_TYPE: i32 = 2045;
    pub const OPTIONS_ERROR: i32 = 2046;
    pub const PERSISTENCE_ERROR: i32 = 2047;
    pub const PRIORITY_ERROR: i32 = 2050;
    pub const Q_MGR_NAME_ERROR: i32 = 2058;
    pub const Q_MGR_NOT_AVAILABLE: i32 = 2059;
    pub const SELECTOR_ERROR: i32 = 2067;
    pub const SELECTOR_NOT_FOR_TYPE: i32 = 2068;
    pub const TRUNCATED_MSG_FAILED: i32 = 2080;
    pub const UNKNOWN_OBJECT_NAME: i32 = 2085;
    pub const UNKNOWN_OBJECT_Q_MGR: i32 = 2086;
    pub const WAIT_INTERVAL_ERROR: i32 = 2090;
    pub const NOT_OPEN_FOR_SET_ALL: i32 = 2095;
    pub const NOT_OPEN_FOR_SET_IDENT: i32 = 2096;
    pub const SOURCE_CCSID_ERROR: i32 = 2111;
    pub const NOT_CONVERTED: i32 = 2119;
    pub const OBJECT_NAME_ERROR: i32 = 2152;
    pub const RECS_PRESENT_ERROR: i32 = 2154;
    pub const Q_MGR_QUIESCING: i32 = 2161;
    pub const UNEXPECTED_ERROR: i32 = 2195;
    pub const CONNECTION_QUIESCING: i32 = 2202;
    pub const MSG_TOO_BIG_FOR_CHANNEL: i32 = 2218;
    pub const CALL_IN_PROGRESS: i32 = 2219;
    pub const FUNCTION_NOT_SUPPORTED: i32 = 2298;
    pub const STS_ERROR: i32 = 2426;
    pub const STAT_TYPE_ERROR: i32 = 2430;
}

/// MQCC_*.
pub mod completion {
    pub const OK: i32 = 0;
    pub const WARNING: i32 = 1;
    pub const FAILED: i32 = 2;
}
