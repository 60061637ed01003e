//! A message as a program holds it: MQ's descriptor and a body.

use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::message::v1 as wire;

use crate::error::Error;

pub use trimaran_proto::message::v1::{Descriptor, Persistence};

/// A message: a descriptor (MQMD version 2, every field of it) and a body of up to 100 MiB.
///
/// ```
/// use std::time::Duration;
/// use trimaran_client::Message;
///
/// let order = Message::text("two of everything")
///     .priority(7)
///     .correlation_id("order 4711")
///     .expiry(Duration::from_secs(3600));
/// assert_eq!(order.as_text(), Some("two of everything"));
/// ```
///
/// Messages are persistent unless the program says otherwise: acknowledged after they are on disk on a majority of
/// nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// What [`Message`]'s own methods do not set can be set here. Lengths are checked by the queue manager.
    pub descriptor: Descriptor,
    /// At most 100 MiB, and no more than MAXMSGL of the queue.
    pub body: Bytes,
}

impl Message {
    /// A persistent message with this body and no format.
    pub fn new(body: impl Into<Bytes>) -> Message {
        let descriptor = Descriptor { persistence: Persistence::Persistent as i32, ..Descriptor::default() };
        Message { descriptor, body: body.into() }
    }

    /// A persistent message of text in UTF-8 (format MQSTR).
    pub fn text(text: impl Into<String>) -> Message {
        Message::new(Bytes::from(text.into())).format("MQSTR")
    }

    /// False: kept in the active node's memory only, lost when the queue manager moves or stops, and faster.
    pub fn persistent(mut self, persistent: bool) -> Message {
        let persistence = if persistent { Persistence::Persistent } else { Persistence::NotPersistent };
        self.descriptor.persistence = persistence as i32;
        self
    }

    /// Persistence as DEFPSIST of the queue says.
    pub fn persistence_as_queue(mut self) -> Message {
        self.descriptor.persistence = Persistence::AsQueue as i32;
        self
    }

    /// 0 (lowest) to 9; without it DEFPRTY of the queue.
    pub fn priority(mut self, priority: u32) -> Message {
        self.descriptor.priority = Some(priority);
        self
    }

    /// The message vanishes when nobody got it for so long. MQ counts in tenths of a second; rounded up.
    pub fn expiry(mut self, expiry: Duration) -> Message {
        let tenths = expiry.as_millis().div_ceil(100).min(u128::from(u32::MAX - 1)) as u32;
        self.descriptor.expiry = Some(tenths);
        self
    }

    /// At most 24 bytes. Without it the queue manager makes one.
    pub fn message_id(mut self, id: impl AsRef<[u8]>) -> Message {
        self.descriptor.message_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// At most 24 bytes.
    pub fn correlation_id(mut self, id: impl AsRef<[u8]>) -> Message {
        self.descriptor.correlation_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// At most 24 bytes.
    pub fn group_id(mut self, id: impl AsRef<[u8]>) -> Message {
        self.descriptor.group_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// Makes the message a request whose reply is expected on this queue.
    pub fn reply_to(mut self, queue: impl Into<String>) -> Message {
        self.descriptor.reply_to_queue = queue.into();
        self.descriptor.message_type = Some(1);
        self
    }

    /// Format name of the body, at most 8 characters, for example MQSTR.
    pub fn format(mut self, format: impl Into<String>) -> Message {
        self.descriptor.format = format.into();
        self
    }

    /// The body as text, when it is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// MsgId in hexadecimal, as it is shown to people.
    pub fn message_id_hex(&self) -> String {
        hex(&self.descriptor.message_id)
    }

    /// How often a unit of work that got this message was backed out.
    pub fn backout_count(&self) -> u32 {
        self.descriptor.backout_count
    }

    /// Whether it survives a failover; of a message that was got.
    pub fn is_persistent(&self) -> bool {
        self.descriptor.persistence == Persistence::Persistent as i32
    }

    /// With the checksum that every node checks, made here, where the body is known to be good.
    pub(crate) fn into_wire(self) -> wire::Message {
        let body_crc32c = Some(crc32c::crc32c(&self.body));
        wire::Message { descriptor: Some(Box::new(self.descriptor)), body: self.body, body_crc32c }
    }

    /// Puts the parts of a big body together and checks the checksum, unless the body was truncated on request.
    pub(crate) fn from_wire(
        message: wire::Message,
        parts: Vec<Bytes>,
        body_length: u64,
    ) -> Result<Message, Error> {
        let body = match parts.len() {
            0 => message.body,
            1 => parts.into_iter().next().expect("there is one"),
            _ => {
                let mut body = Vec::with_capacity(parts.iter().map(Bytes::len).sum());
                parts.iter().for_each(|part| body.extend_from_slice(part));
                body.into()
            }
        };
        let descriptor = message.descriptor.unwrap_or_default();
        let whole = body.len() as u64 >= body_length;
        if let (true, Some(expected)) = (whole, message.body_crc32c) {
            let found = crc32c::crc32c(&body);
            if found != expected {
                let message_id = hex(&descriptor.message_id);
                return Err(Error::Damaged { message_id, expected, found });
            }
        }
        Ok(Message { descriptor: *descriptor, body })
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(body: Vec<u8>) -> Message {
        Message::new(body)
    }
}

impl From<Bytes> for Message {
    fn from(body: Bytes) -> Message {
        Message::new(body)
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// The reverse of [`hex`]; None when the text is not hexadecimal.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            pair.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_changed_on_the_way_is_not_handed_out() {
        let mut message = Message::text("ten barrels").into_wire();
        message.body = Bytes::from_static(b"two barrels");
        let error = Message::from_wire(message, Vec::new(), 11).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }

    #[test]
    fn a_truncated_body_has_no_checksum_to_check() {
        let mut message = Message::text("ten barrels").into_wire();
        message.body = Bytes::from_static(b"ten");
        assert_eq!(Message::from_wire(message, Vec::new(), 11).unwrap().as_text(), Some("ten"));
    }

    #[test]
    fn expiry_is_rounded_up_to_tenths_of_a_second() {
        assert_eq!(Message::text("").expiry(Duration::from_millis(1)).descriptor.expiry, Some(1));
        assert_eq!(Message::text("").expiry(Duration::from_millis(1050)).descriptor.expiry, Some(11));
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(unhex(&hex(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
        assert_eq!(unhex("+1"), None);
        assert_eq!(unhex("abc"), None);
    }
}
