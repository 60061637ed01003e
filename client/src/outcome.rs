//! How the answers of a queue manager become results of this library.

use std::fmt;

use bytes::Bytes;
use trimaran_proto::queue::v1 as wire;

use crate::error::Error;
use crate::reasons::{name_of, reason};

/// The answer to a put that was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// MsgId: the program's, or the one the queue manager made.
    pub message_id: Bytes,
    /// An earlier try of the same put had stored the message; this is its answer. Only a program that numbers its
    /// puts itself needs to look: the library's own repetitions are exactly-once by themselves.
    pub duplicate: bool,
    /// 2049 ([`reason::PRIORITY_EXCEEDS_MAXIMUM`]) when the priority was above 9 and the message was put with 9. Another one,
    /// and not 0, when the message went to the dead-letter queue instead: the reason it was dead-lettered for.
    pub warning: u32,
    /// Of a duplicate: whether its first answer had a warning is not known (see `Placed.only_id_known` of the protos), so it may be on the
    /// dead-letter queue although `warning` is 0.
    pub only_id_known: bool,
}

/// What became of a unit of work. Final: what is not committed now can not be committed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitOutcome {
    /// All of it happened, and is safe.
    Committed,
    /// Nothing of it happened, so it may be done again.
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
    reason::says_not_served(reason) || reason == reason::CALL_INTERRUPTED
}

/// A gRPC status in our words: what is not MQ's business still gets the reason code that fits.
pub(crate) fn from_status(status: &tonic::Status) -> Error {
    let text = match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_string(),
    };
    let reason = match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => reason::NOT_AUTHORIZED,
        tonic::Code::ResourceExhausted => reason::MAX_CONNS_LIMIT_REACHED,
        tonic::Code::Unimplemented => reason::FUNCTION_NOT_SUPPORTED,
        _ => reason::CONNECTION_BROKEN,
    };
    // A node says the number in front, for clients that know nothing of reasons.
    let text = text.strip_prefix(&format!("{reason}: ")).unwrap_or(&text);
    Error::refused(reason, text)
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
    fn the_number_of_a_reason_is_said_once() {
        let error = from_status(&tonic::Status::unauthenticated("2035: The certificate is no user's."));
        assert_eq!(error.reason(), Some(reason::NOT_AUTHORIZED));
        assert!(error.to_string().starts_with("The certificate is no user's. (completion code"), "{error}");
    }

    #[test]
    fn a_warning_is_no_error() {
        let outcome = wire::Outcome { code: 1, reason: 2079, text: String::new() };
        assert_eq!(check(Some(outcome)).unwrap(), 2079);
        assert_eq!(check(None).unwrap(), 0);
    }
}
