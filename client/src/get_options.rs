//! Which message a get asks for, and what it means that there was none.

use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::{message::v1::Descriptor, queue::v1 as wire};

use crate::{
    error::{Error, Result},
    message::Message,
    reasons::reason,
    session::Answer,
};

/// Pass as the time to wait for a message to wait until there is one.
pub const FOREVER: Duration = Duration::MAX;

/// Which message to get and how long to wait for it.
///
/// ```
/// use std::time::Duration;
/// use trimaran_client::GetOptions;
///
/// let reply = GetOptions::new().wait(Duration::from_secs(5)).correlation_id("request 1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct GetOptions {
    pub(crate) wait: Duration,
    pub(crate) message_id: Bytes,
    pub(crate) correlation_id: Bytes,
    pub(crate) group_id: Bytes,
    pub(crate) max_length: u32,
    pub(crate) accept_truncated: bool,
    pub(crate) selector: String,
    pub(crate) logical_order: bool,
    pub(crate) all_messages_available: bool,
}

impl GetOptions {
    /// Any message of any length, without waiting.
    pub fn new() -> GetOptions {
        GetOptions::default()
    }

    /// How long to wait for a message; [`FOREVER`] for as long as it takes. Default: not at all.
    pub fn wait(mut self, wait: Duration) -> GetOptions {
        self.wait = wait;
        self
    }

    /// Only the message with this id.
    pub fn message_id(mut self, id: impl AsRef<[u8]>) -> GetOptions {
        self.message_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// Only messages with this correlation id.
    pub fn correlation_id(mut self, id: impl AsRef<[u8]>) -> GetOptions {
        self.correlation_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// Only messages of this group.
    pub fn group_id(mut self, id: impl AsRef<[u8]>) -> GetOptions {
        self.group_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// A longer body is refused with 2080, and the message stays.
    pub fn max_length(mut self, bytes: u32) -> GetOptions {
        self.max_length = bytes;
        self
    }

    /// With [`GetOptions::max_length`]: a longer body is cut instead.
    pub fn accept_truncated(mut self) -> GetOptions {
        self.accept_truncated = true;
        self
    }

    /// Only messages that this message selector selects, as in JMS: SQL92 conditions over properties, JMS header fields and
    /// `Root.MQMD.*`. At most 10,240 bytes; a malformed one is refused with 2459.
    ///
    /// ```
    /// use trimaran_client::GetOptions;
    ///
    /// let red = GetOptions::new().selector("colour = 'red' AND JMSPriority > 4");
    /// ```
    pub fn selector(mut self, selector: impl Into<String>) -> GetOptions {
        self.selector = selector.into();
        self
    }

    /// MQGMO_LOGICAL_ORDER: a message of no group, or the first of a group, and then the messages of that group one by one to its
    /// end. Where a queue has come to in a group is known by its gets with the same selector, those of units of work apart, as long as
    /// the connection lasts: get a group in one unit of work.
    pub fn logical_order(mut self) -> GetOptions {
        self.logical_order = true;
        self
    }

    /// MQGMO_ALL_MSGS_AVAILABLE: of groups only those of which all messages are there.
    pub fn all_messages_available(mut self) -> GetOptions {
        self.all_messages_available = true;
        self
    }

    pub(crate) fn to_wire(&self, handle: u32) -> wire::Get {
        wire::Get {
            handle,
            syncpoint: false,
            wait_ms: wait_ms(self.wait),
            browse: wire::Browse::None as i32,
            under_cursor: false,
            message_id: self.message_id.clone(),
            correlation_id: self.correlation_id.clone(),
            group_id: self.group_id.clone(),
            max_length: self.max_length,
            accept_truncated: self.accept_truncated,
            logical_order: self.logical_order,
            all_messages_available: self.all_messages_available,
            ..wire::Get::default()
        }
    }

    pub(crate) fn matches(&self, descriptor: &Descriptor) -> bool {
        let same = |wanted: &Bytes, found: &Bytes| wanted.is_empty() || trimmed(wanted) == trimmed(found);
        same(&self.message_id, &descriptor.message_id)
            && same(&self.correlation_id, &descriptor.correlation_id)
            && same(&self.group_id, &descriptor.group_id)
    }
}

impl From<Duration> for GetOptions {
    fn from(wait: Duration) -> GetOptions {
        GetOptions::new().wait(wait)
    }
}

/// Ids are padded with zeros to 24 bytes.
fn trimmed(id: &[u8]) -> &[u8] {
    let end = id.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &id[..end]
}

fn wait_ms(wait: Duration) -> i32 {
    match i32::try_from(wait.as_millis()) {
        Ok(0) if !wait.is_zero() => 1,
        Ok(ms) => ms,
        Err(_) if wait == FOREVER => -1,
        Err(_) => i32::MAX,
    }
}

/// A get's answer as a message; "there is none" is no error.
pub(crate) fn none_if_no_message(answer: Result<Answer>) -> Result<Option<Message>> {
    match answer {
        Ok(Answer { data: Some(wire::completion::Data::Got(got)), parts, .. }) => {
            message_of(got, parts).map(Some)
        }
        Ok(_) => Err(unexpected("a message")),
        Err(error) => match error.reason() {
            Some(reason::NO_MSG_AVAILABLE | reason::NO_MSG_UNDER_CURSOR) => Ok(None),
            _ => Err(error),
        },
    }
}

pub(crate) fn message_of(got: wire::Got, parts: Vec<Bytes>) -> Result<Message> {
    if (got.body_parts != 0) == parts.is_empty() {
        let text =
            format!("{} parts of a body came for a message that names body {}.", parts.len(), got.body_parts);
        return Err(Error::refused(reason::UNEXPECTED_ERROR, text));
    }
    Message::from_wire(got.message.unwrap_or_default(), parts, got.body_length)
}

pub(crate) fn unexpected(wanted: &str) -> Error {
    Error::refused(reason::UNEXPECTED_ERROR, format!("The queue manager answered without {wanted}."))
}
