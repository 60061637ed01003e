//! `amqsput`, `amqsget`, `amqsgbr` and `amqsbcg`, as scripts and fingers know them: positional arguments and MQ's variables, MQ's
//! lines on standard output, MQ's exit codes. What we say besides, and what to do, goes to standard error.
//!
//! All of them are clients, so `amqsputc` and the other client forms are the same. `connecting` finds the queue manager, `input`
//! has what is typed; each of the others is one program.

mod input;
mod connecting;
mod put;
mod get;
mod browse;
mod dump;

pub use browse::run as browse;
pub use dump::run as dump;
pub use get::run as get;
pub use put::run as put;

use trimaran_client::Error;
use trimaran_client::channel::{Channel, Got, Login};
use trimaran_client::proto::mq::constants::close;
use trimaran_client::proto::mq::object::OdFields;

use crate::arguments::Global;
use crate::output::{self, Failure};
use crate::say;

/// MQ's programs end with it when they are given no queue.
const NO_QUEUE: i32 = 99;
/// The room that they have for a message.
const BUFFER_BYTES: u32 = 65_535;

/// The queue, which has to be given, cut to MQ's length.
fn required(queue: &Option<String>) -> Result<String, Failure> {
    match queue {
        Some(queue) => Ok(cut(queue)),
        None => {
            say!("Required parameter missing - queue name");
            Err(Failure::Control { code: NO_QUEUE, text: String::new() })
        }
    }
}

/// The queue manager that was named, as MQ's programs have it behind the queue, or in our way.
fn queue_manager<'a>(global: &'a Global, given: &'a Option<String>) -> &'a str {
    given.as_deref().or(global.queue_manager.as_deref()).unwrap_or_default()
}

/// Connects, or says with which reason `call` ended, which is the exit code then.
async fn connected(
    global: &Global,
    program: &str,
    call: &str,
    queue_manager: &str,
    login: Option<&Login>,
) -> Result<Channel, Failure> {
    connecting::connect(global, program, queue_manager, login).await.map_err(|refusal| {
        say!("{call} ended with reason code {}", refusal.reason);
        Failure::Control { code: refusal.reason as i32, text: refusal.text }
    })
}

/// MQOPEN; None when it failed, which was said.
async fn opened(channel: &mut Channel, object: OdFields, options: u32, what_for: &str) -> Option<i32> {
    match channel.open_object(object, options).await {
        Ok(handle) => Some(handle),
        Err(error) => {
            tell("MQOPEN", &error);
            say!("unable to open queue for {what_for}");
            None
        }
    }
}

/// As much of a name as a queue can have.
fn cut(name: &str) -> String {
    let end = name.char_indices().map(|(at, _)| at).chain([name.len()]).take_while(|at| *at <= 48).last();
    name[..end.unwrap_or(0)].to_string()
}

/// MQ's reason code of an error; those of the network have one too.
fn reason_of(error: &Error) -> u32 {
    match error {
        Error::Refused { reason, .. } => *reason,
        Error::Unreachable { .. } => trimaran_client::reason::HOST_NOT_AVAILABLE,
        _ => trimaran_client::reason::UNEXPECTED_ERROR,
    }
}

/// MQ's line of a call that failed, and our sentence.
fn tell(call: &str, error: &Error) {
    tell_reason(call, reason_of(error), error);
}

fn tell_reason(call: &str, reason: u32, sentence: impl std::fmt::Display) {
    say!("{call} ended with reason code {reason}");
    eprintln!("trimaran: {sentence}");
}

/// MQCLOSE, where a queue was opened, and MQDISC.
async fn end(mut channel: Channel, handle: Option<i32>, close_options: Option<u32>) {
    if let Some(handle) = handle {
        if let Some(options) = close_options {
            say!("close options are {options}");
        }
        if let Err(error) = channel.close_with(handle, close_options.unwrap_or(close::NONE)).await {
            tell("MQCLOSE", &error);
        }
    }
    if let Err(error) = channel.disconnect().await {
        tell("MQDISC", &error);
    }
}

/// A line with a text in angle brackets: up to its first NUL, as programs in C print it.
fn write_text(before: &str, got: &Got) {
    let end = got.body.iter().position(|byte| *byte == 0).unwrap_or(got.body.len());
    let line = [before.as_bytes(), b" <", &got.body[..end], b">\n"].concat();
    output::write_body(&line);
}

/// What a warning about a message means, where MQ's programs say its number only.
fn sentence_of(got: &Got) -> String {
    let name = trimaran_client::name_of(got.reason);
    match got.reason {
        trimaran_client::reason::TRUNCATED_MSG_FAILED => format!(
            "the message has {} bytes and stays on the queue: this program takes {BUFFER_BYTES}, `trimaran get` any message \
             (reason {} {name})",
            got.message_bytes, got.reason
        ),
        reason => format!("the message is shown as it came (reason {reason} {name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_to_48_bytes_and_not_within_a_letter() {
        assert_eq!(cut("HA.QUEUE"), "HA.QUEUE");
        assert_eq!(cut(&"Q".repeat(60)), "Q".repeat(48));
        assert_eq!(cut(&format!("{}é", "Q".repeat(47))), "Q".repeat(47));
        assert_eq!(cut(""), "");
    }

    #[test]
    fn nobody_there_has_a_reason_code_too() {
        let nobody = Error::Unreachable {
            queue_manager: "QM1".into(),
            within_s: 0.0,
            is_lasting: false,
            text: "refused".into(),
        };
        assert_eq!(reason_of(&nobody), 2538);
        assert_eq!(reason_of(&Error::Closed), 2195);
    }
}
