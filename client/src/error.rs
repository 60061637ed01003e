//! What can go wrong, as a program wants to tell it apart.

use crate::reasons::{name_of, reason};

/// What most calls of this library give back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything a call of this library can fail with.
///
/// What the queue manager refuses is always [`Error::Refused`] with MQ's reason code, so a program that knows MQ
/// knows what to do. The other cases never reached a queue manager, or are about what came back.
///
/// ```
/// use trimaran_client::{reason, Error};
///
/// fn is_worth_another_try(error: &Error) -> bool {
///     matches!(error.reason(), Some(reason::Q_FULL | reason::RESOURCE_PROBLEM)) || error.is_backed_out()
/// }
/// # assert!(!is_worth_another_try(&Error::Closed));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The queue manager said no, or the fate of a call is not known (2549) or was decided by a lost connection
    /// (2003).
    #[error("{text} (completion code {code}, reason {reason} {name})")]
    Refused {
        /// MQ's completion code: 1 warning, 2 failed.
        code: u32,
        /// MQ's reason code, MQRC_*.
        reason: u32,
        /// Name of the reason without the MQRC_ prefix.
        name: &'static str,
        /// What is wrong and what to do about it.
        text: String,
    },
    /// No node that serves the queue manager could be found in the time that was given.
    #[error("cannot reach a node that serves {queue_manager}{}: {text}", within(*within_s))]
    Unreachable {
        queue_manager: String,
        /// 0 where it was tried once.
        within_s: f64,
        /// Waiting does not mend it: what answers there is no queue manager, or TLS is not agreed on.
        is_lasting: bool,
        text: String,
    },
    /// The body that arrived is not the body that was put.
    #[error(
        "the body of message {message_id} is damaged: its checksum is {found:08x}, its producer said {expected:08x}"
    )]
    Damaged { message_id: String, expected: u32, found: u32 },
    /// Something this program handed in cannot be used: an address, a certificate, a combination of options.
    #[error("{0}")]
    Invalid(String),
    /// The program closed the connection, or dropped it, while the call was under way.
    #[error("the connection was closed by this program")]
    Closed,
}

impl Error {
    /// A refusal (completion code 2) that the caller makes itself, as the server would: the name of `reason` is from the
    /// table of [`name_of`].
    pub fn refused(reason: u32, text: impl Into<String>) -> Error {
        Error::Refused { code: 2, reason, name: name_of(reason), text: text.into() }
    }

    /// A refusal with the name of what it is about in front, where its sentence has it not.
    pub(crate) fn about(self, object: &str) -> Error {
        match self {
            Error::Refused { code, reason, name, text } if !object.is_empty() && !text.contains(object) => {
                Error::Refused { code, reason, name, text: format!("{object}: {text}") }
            }
            other => other,
        }
    }

    /// MQ's reason code, if the queue manager (or a lost connection) refused the call.
    pub fn reason(&self) -> Option<u32> {
        match self {
            Error::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// The unit of work was backed out as a whole (2003): do its calls again.
    pub fn is_backed_out(&self) -> bool {
        self.reason() == Some(reason::BACKED_OUT)
    }

    /// The connection was lost while the call was under way and nobody can say whether it was carried out (2549).
    pub fn is_interrupted(&self) -> bool {
        self.reason() == Some(reason::CALL_INTERRUPTED)
    }

    /// No node could be reached, in contrast to a node that refused.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Unreachable { .. })
    }
}

fn within(seconds: f64) -> String {
    if seconds < 0.05 { String::new() } else { format!(" within {seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_it_is_about_once() {
        let refused = |text: &str| Error::refused(reason::UNKNOWN_OBJECT_NAME, text).about("A.B").to_string();
        assert!(
            refused("There is no queue of this name.").starts_with("A.B: There is no queue of this name. (")
        );
        assert!(refused("There is no queue A.B.").starts_with("There is no queue A.B. ("));
    }
}
