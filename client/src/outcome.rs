//! MQ's reason codes by name, and how the answers of a queue manager become results of this library.

use std::fmt;

use bytes::Bytes;
use trimaran_proto::queue::v1 as wire;

use crate::error::Error;

macro_rules! reasons {
    ($($number:literal $name:ident)*) => {
        /// MQ's reason codes (MQRC_*, MQRCCF_*), as far as a Trimaran queue manager uses them.
        pub mod reason {
            $(pub const $name: u32 = $number;)*
        }

        /// Every reason code with its name without MQRC_, in the order of their numbers.
        pub const REASONS: &[(u32, &str)] = &[$(($number, stringify!($name))),*];

        /// The name of a reason without its MQRC_ prefix; "UNKNOWN" for one this library has never heard of.
        pub fn name_of(reason: u32) -> &'static str {
            match reason {
                $($number => stringify!($name),)*
                _ => "UNKNOWN",
            }
        }
    };
}

reasons! {
    0 NONE
    2002 ALREADY_CONNECTED
    2003 BACKED_OUT
    2009 CONNECTION_BROKEN
    2010 DATA_LENGTH_ERROR
    2013 EXPIRY_ERROR
    2016 GET_INHIBITED
    2017 HANDLE_NOT_AVAILABLE
    2018 HCONN_ERROR
    2019 HOBJ_ERROR
    2024 SYNCPOINT_LIMIT_REACHED
    2025 MAX_CONNS_LIMIT_REACHED
    2026 MD_ERROR
    2029 MSG_TYPE_ERROR
    2030 MSG_TOO_BIG_FOR_Q
    2031 MSG_TOO_BIG_FOR_Q_MGR
    2033 NO_MSG_AVAILABLE
    2034 NO_MSG_UNDER_CURSOR
    2035 NOT_AUTHORIZED
    2036 NOT_OPEN_FOR_BROWSE
    2037 NOT_OPEN_FOR_INPUT
    2038 NOT_OPEN_FOR_INQUIRE
    2039 NOT_OPEN_FOR_OUTPUT
    2041 OBJECT_CHANGED
    2042 OBJECT_IN_USE
    2043 OBJECT_TYPE_ERROR
    2046 OPTIONS_ERROR
    2047 PERSISTENCE_ERROR
    2048 PERSISTENT_NOT_ALLOWED
    2050 PRIORITY_ERROR
    2051 PUT_INHIBITED
    2052 Q_DELETED
    2053 Q_FULL
    2055 Q_NOT_EMPTY
    2056 Q_SPACE_NOT_AVAILABLE
    2058 Q_MGR_NAME_ERROR
    2059 Q_MGR_NOT_AVAILABLE
    2061 REPORT_OPTIONS_ERROR
    2063 SECURITY_ERROR
    2067 SELECTOR_ERROR
    2079 TRUNCATED_MSG_ACCEPTED
    2080 TRUNCATED_MSG_FAILED
    2085 UNKNOWN_OBJECT_NAME
    2100 OBJECT_ALREADY_EXISTS
    2101 OBJECT_DAMAGED
    2102 RESOURCE_PROBLEM
    2105 STORAGE_CLASS_ERROR
    2110 FORMAT_ERROR
    2141 DLH_ERROR
    2142 HEADER_ERROR
    2152 OBJECT_NAME_ERROR
    2161 Q_MGR_QUIESCING
    2162 Q_MGR_STOPPING
    2192 STORAGE_MEDIUM_FULL
    2195 UNEXPECTED_ERROR
    2197 UNKNOWN_DEF_XMIT_Q
    2206 MSG_ID_ERROR
    2207 CORREL_ID_ERROR
    2219 CALL_IN_PROGRESS
    2249 MSG_FLAGS_ERROR
    2250 MSG_SEQ_NUMBER_ERROR
    2251 OFFSET_ERROR
    2255 UOW_NOT_AVAILABLE
    2258 GROUP_ID_ERROR
    2298 FUNCTION_NOT_SUPPORTED
    2362 BACKOUT_THRESHOLD_REACHED
    2543 STANDBY_Q_MGR
    2549 CALL_INTERRUPTED
    4005 ATTR_VALUE_ERROR
}

/// The answer to a put that was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// MsgId: the program's, or the one the queue manager made.
    pub message_id: Bytes,
    /// An earlier try of the same put had stored the message; this is its answer. Only a program that numbers its
    /// puts itself needs to look: the library's own repetitions are exactly-once by themselves.
    pub duplicate: bool,
    /// Not 0 when the message went to the dead-letter queue instead: the reason it was dead-lettered for.
    pub warning: u32,
}

/// What became of a unit of work. Final: what is not committed now can not be committed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitOutcome {
    Committed,
    BackedOut,
    /// The queue manager does not know any more: look at what the unit would have done before doing it again.
    Forgotten,
}

impl fmt::Display for UnitOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnitOutcome::Committed => "committed",
            UnitOutcome::BackedOut => "backed out",
            UnitOutcome::Forgotten => "not known any more",
        })
    }
}

impl From<wire::Outcome> for Error {
    fn from(outcome: wire::Outcome) -> Error {
        let name = name_of(outcome.reason);
        let text = if outcome.text.is_empty() {
            "The queue manager refused the call.".to_string()
        } else {
            outcome.text
        };
        Error::Refused { code: outcome.code, reason: outcome.reason, name, text }
    }
}

/// Ok with the warning's reason (0: none), or the refusal.
pub(crate) fn check(outcome: Option<wire::Outcome>) -> Result<u32, Error> {
    match outcome {
        None => Ok(0),
        Some(outcome) if outcome.code < 2 => Ok(outcome.reason),
        Some(outcome) => Err(outcome.into()),
    }
}

/// Reasons that say: this node does not serve any more. The call was not carried out, except 2549, where nobody
/// knows.
pub(crate) fn says_that_service_moved(reason: u32) -> bool {
    matches!(
        reason,
        reason::CONNECTION_BROKEN
            | reason::Q_MGR_NOT_AVAILABLE
            | reason::Q_MGR_QUIESCING
            | reason::Q_MGR_STOPPING
            | reason::STANDBY_Q_MGR
            | reason::CALL_INTERRUPTED
    )
}

/// A gRPC status in our words: what is not MQ's business still gets the reason code that fits.
pub(crate) fn from_status(status: &tonic::Status) -> Error {
    let text = match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_string(),
    };
    match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
            Error::refused(reason::NOT_AUTHORIZED, text)
        }
        tonic::Code::ResourceExhausted => Error::refused(reason::MAX_CONNS_LIMIT_REACHED, text),
        tonic::Code::Unimplemented => Error::refused(reason::FUNCTION_NOT_SUPPORTED, text),
        _ => Error::refused(reason::CONNECTION_BROKEN, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_code_reason_name_and_text() {
        let outcome = wire::Outcome { code: 2, reason: 2053, text: "The queue holds 5 messages.".into() };
        let error = check(Some(outcome)).unwrap_err();
        assert_eq!(error.reason(), Some(reason::Q_FULL));
        assert_eq!(error.to_string(), "The queue holds 5 messages. (completion code 2, reason 2053 Q_FULL)");
    }

    #[test]
    fn a_warning_is_no_error() {
        let outcome = wire::Outcome { code: 1, reason: 2079, text: String::new() };
        assert_eq!(check(Some(outcome)).unwrap(), 2079);
        assert_eq!(check(None).unwrap(), 0);
    }
}
