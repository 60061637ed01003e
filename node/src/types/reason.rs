//! MQ's completion codes and reason codes: one table, from which names and texts come.
//!
//! Numbers and names: IBM MQ Messages and Codes, "API completion and reason codes" (MQRC_*) and, from 3001 on, "PCF reason
//! codes" (MQRCCF_*). The texts are ours and say what to do.

use std::fmt;

/// MQCC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompletionCode {
    #[default]
    Ok = 0,
    Warning = 1,
    Failed = 2,
}

macro_rules! reasons {
    ($($number:literal $name:ident $mq:literal $text:literal)*) => {
        /// MQRC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Reason { $($name = $number),* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// MQ's name without the MQRC_ prefix.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$name => $mq),* }
            }

            /// What is wrong and what to do, one sentence or two.
            pub fn text(self) -> &'static str {
                match self { $(Reason::$name => $text),* }
            }

            pub fn from_number(number: u32) -> Option<Reason> {
                match number { $($number => Some(Reason::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    0    None                    "NONE"                        "Done."
    2002 AlreadyConnected        "ALREADY_CONNECTED"           "The session is connected already; open a second session instead."
    2003 BackedOut               "BACKED_OUT"                  "The unit of work was backed out as a whole; do its calls again and commit again."
    2009 ConnectionBroken        "CONNECTION_BROKEN"           "The connection was lost; connect again. An uncommitted unit of work is backed out."
    2010 DataLengthError         "DATA_LENGTH_ERROR"           "The length of the data is not valid for this call."
    2013 ExpiryError             "EXPIRY_ERROR"                "Expiry must be unlimited or greater than zero tenths of a second."
    2016 GetInhibited            "GET_INHIBITED"               "Gets are switched off for the queue; alter it to GET(ENABLED)."
    2017 HandleNotAvailable      "HANDLE_NOT_AVAILABLE"        "The session has as many open handles as it may have; close some."
    2018 HconnError              "HCONN_ERROR"                 "The session is not connected; the first call must be a connect."
    2019 HobjError               "HOBJ_ERROR"                  "The handle is not open, or is open already."
    2024 SyncpointLimitReached   "SYNCPOINT_LIMIT_REACHED"     "The unit of work has as many messages as MAXUMSGS allows; commit or back out first."
    2025 MaxConnsLimitReached    "MAX_CONNS_LIMIT_REACHED"     "The node has as many sessions as it may have; try again later or raise the limit."
    2026 MdError                 "MD_ERROR"                    "A field of the message descriptor is not valid."
    2029 MsgTypeError            "MSG_TYPE_ERROR"              "The message type must be 1 (request), 2 (reply), 4 (report), 8 (datagram) or a program's own from 65536 on."
    2030 MsgTooBigForQ           "MSG_TOO_BIG_FOR_Q"           "The message is longer than MAXMSGL of the queue."
    2031 MsgTooBigForQMgr        "MSG_TOO_BIG_FOR_Q_MGR"       "The message is longer than the queue manager takes (100 MiB)."
    2033 NoMsgAvailable          "NO_MSG_AVAILABLE"            "There is no message that matches."
    2034 NoMsgUnderCursor        "NO_MSG_UNDER_CURSOR"         "The browse cursor stands on no message, or its message is gone; browse again."
    2035 NotAuthorized           "NOT_AUTHORIZED"              "Not a user of this cluster. There are no rights yet: every user who is let in is an administrator."
    2036 NotOpenForBrowse        "NOT_OPEN_FOR_BROWSE"         "The handle was not opened for browse."
    2037 NotOpenForInput         "NOT_OPEN_FOR_INPUT"          "The handle was not opened for input."
    2038 NotOpenForInquire       "NOT_OPEN_FOR_INQUIRE"        "The handle was not opened for inquire."
    2039 NotOpenForOutput        "NOT_OPEN_FOR_OUTPUT"         "The handle was not opened for output."
    2041 ObjectChanged           "OBJECT_CHANGED"              "The queue was changed or deleted after it was opened; open it again."
    2042 ObjectInUse             "OBJECT_IN_USE"               "The queue is open elsewhere in a way that excludes this call, or messages of it are in a unit of work."
    2043 ObjectTypeError         "OBJECT_TYPE_ERROR"           "The object has another type than the call needs."
    2046 OptionsError            "OPTIONS_ERROR"               "The options exclude each other, or one is not valid for this call."
    2047 PersistenceError        "PERSISTENCE_ERROR"           "Persistence is not valid."
    2048 PersistentNotAllowed    "PERSISTENT_NOT_ALLOWED"      "The queue does not take persistent messages."
    2050 PriorityError           "PRIORITY_ERROR"              "Priority must be 0 to 9, or left to the queue."
    2051 PutInhibited            "PUT_INHIBITED"               "Puts are switched off for the queue; alter it to PUT(ENABLED)."
    2052 QDeleted                "Q_DELETED"                   "The queue was deleted after it was opened."
    2053 QFull                   "Q_FULL"                      "The queue holds MAXDEPTH messages; get some or raise MAXDEPTH."
    2055 QNotEmpty               "Q_NOT_EMPTY"                 "The queue has messages or uncommitted work; clear it first, or delete with purge."
    2056 QSpaceNotAvailable      "Q_SPACE_NOT_AVAILABLE"       "There is no room for the queue's messages just now; try again."
    2058 QMgrNameError           "Q_MGR_NAME_ERROR"            "There is no queue manager of this name here, or no name was given and there are several."
    2059 QMgrNotAvailable        "Q_MGR_NOT_AVAILABLE"         "Nobody serves the queue manager just now; an election may be under way, try again."
    2061 ReportOptionsError      "REPORT_OPTIONS_ERROR"        "A report option is not known and may not be ignored."
    2063 SecurityError           "SECURITY_ERROR"              "The identity could not be checked."
    2079 TruncatedMsgAccepted    "TRUNCATED_MSG_ACCEPTED"      "The message was longer than asked for and was cut; the rest is gone."
    2080 TruncatedMsgFailed      "TRUNCATED_MSG_FAILED"        "The message is longer than asked for and stays on the queue; ask for more, or accept truncation."
    2085 UnknownObjectName       "UNKNOWN_OBJECT_NAME"         "There is no queue of this name; names are case-sensitive."
    2100 ObjectAlreadyExists     "OBJECT_ALREADY_EXISTS"       "There is an object of this name already."
    2101 ObjectDamaged           "OBJECT_DAMAGED"              "The message or object is damaged on this node and is being fetched from another; try again."
    2102 ResourceProblem         "RESOURCE_PROBLEM"            "The node has no resources for this just now (disk, memory or log); try again."
    2110 FormatError             "FORMAT_ERROR"                "The format name is not valid."
    2141 DlhError                "DLH_ERROR"                   "The dead-letter header is not valid."
    2142 HeaderError             "HEADER_ERROR"                "A header in the message is not valid."
    2152 ObjectNameError         "OBJECT_NAME_ERROR"           "The name is longer than 48 characters or has characters that a name cannot have."
    2161 QMgrQuiescing           "Q_MGR_QUIESCING"             "The queue manager is stopping or moving; connect again in a moment."
    2162 QMgrStopping            "Q_MGR_STOPPING"              "The queue manager stops now; connect again in a moment."
    2192 StorageMediumFull       "STORAGE_MEDIUM_FULL"         "The disk of a node is full; free some space. Gets still work."
    2195 UnexpectedError         "UNEXPECTED_ERROR"            "The call cannot be done as asked; the text of the answer or the error log says why."
    2197 UnknownDefXmitQ         "UNKNOWN_DEF_XMIT_Q"          "The default transmission queue does not exist."
    2207 CorrelIdError           "CORREL_ID_ERROR"             "The correlation id is not valid."
    2206 MsgIdError              "MSG_ID_ERROR"                "The message id is not valid."
    2219 CallInProgress          "CALL_IN_PROGRESS"            "A call of this session that excludes this one is under way; wait for its answer."
    2249 MsgFlagsError           "MSG_FLAGS_ERROR"             "A message flag is not known and may not be ignored."
    2250 MsgSeqNumberError       "MSG_SEQ_NUMBER_ERROR"        "The message sequence number must be 1 to 999999999."
    2251 OffsetError             "OFFSET_ERROR"                "The offset must be 0 to 999999999."
    2255 UowNotAvailable         "UOW_NOT_AVAILABLE"           "The unit of work is not available to this call."
    2258 GroupIdError            "GROUP_ID_ERROR"              "The group id is not valid."
    2298 FunctionNotSupported    "FUNCTION_NOT_SUPPORTED"      "The function is not supported."
    2362 BackoutThresholdReached "BACKOUT_THRESHOLD_REACHED"   "The message was backed out BOTHRESH times and was moved."
    2543 StandbyQMgr             "STANDBY_Q_MGR"               "This node is a replica; connect to the node that serves."
    2549 CallInterrupted         "CALL_INTERRUPTED"            "The connection was lost while the call was under way; ask for the outcome, or repeat it with the same producer sequence."
    2067 SelectorError           "SELECTOR_ERROR"              "The attribute selector is not valid."
    2105 StorageClassError       "STORAGE_CLASS_ERROR"         "The storage class is not valid."
    4005 AttributeValueError     "ATTR_VALUE_ERROR"            "An attribute has a value it cannot have."
}

impl Reason {
    pub fn number(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_number_and_a_text() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert!(reason.text().ends_with('.'), "{reason} wants a sentence");
        }
    }
}
