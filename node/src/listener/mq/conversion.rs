//! Text that a program wants in a character set of its own (MQGMO_CONVERT).
//!
//! What is short is converted at once, the rest where it keeps nobody waiting: the queue manager may run on the worker that
//! the conversation is on, and 100 MiB take longer than it can wait.

use trimaran_proto::mq::constants::reason;
use trimaran_proto::mq::message::Md;

use super::characters::{self, Written};
use super::convert::{CCSID, Code, ENCODING};
use crate::types::{Body, Message};

/// A longer body is converted elsewhere.
const CONVERTED_HERE_BYTES: usize = 32 * 1024;

/// What a program wants of the text that it gets.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub ccsid: i32,
    pub encoding: i32,
}

/// A body that has to be converted.
#[derive(Debug)]
pub struct Conversion {
    body: Body,
    from: Written,
    to: Wanted,
}

/// What became of it.
#[derive(Debug)]
pub struct Converted {
    pub body: Body,
    pub told: Told,
}

/// What the answer says of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// The reason of the warning when it could not be done.
    pub code: Code,
    /// What the MQMD says of the body that is got, if that is another one.
    pub now: Option<Wanted>,
}

impl Told {
    /// Says it in the MQMD.
    pub fn describe(&self, md: &mut Md) {
        if let Some(Wanted { ccsid, encoding }) = self.now {
            (md.ccsid, md.encoding) = (ccsid, encoding);
        }
    }
}

impl Conversion {
    /// Takes the body of a message that is not as it is wanted.
    ///
    /// # Errors
    /// Nothing is to be converted: the reason of the warning, or none where the message is as it is wanted.
    pub fn of(message: &mut Message, wanted: Wanted) -> Result<Conversion, Code> {
        let rest = message.descriptor.rest();
        let ccsid = rest.coded_character_set.unwrap_or(CCSID);
        let to = Wanted { ccsid: if wanted.ccsid == 0 { CCSID } else { wanted.ccsid }, ..wanted };
        match rest.format.trim_end_matches([' ', '\0']) {
            _ if ccsid == to.ccsid => Err(reason::NONE),
            "" => Err(reason::NONE),
            "MQSTR" => {
                let body = std::mem::take(&mut message.body);
                let from = Written { ccsid, is_big: is_big(rest.encoding.unwrap_or(ENCODING)) };
                Ok(Conversion { body, from, to })
            }
            _ => Err(reason::NOT_CONVERTED),
        }
    }

    /// Whether others would wait for it too long.
    pub fn is_long(&self) -> bool {
        self.body.len() > CONVERTED_HERE_BYTES
    }

    /// Bytes of the body as it is.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Does it. The length of the body may change; one that cannot be converted stays as it is.
    pub fn run(self) -> Converted {
        let to = Written { ccsid: self.to.ccsid, is_big: is_big(self.to.encoding) };
        match characters::converted(&self.body.to_bytes(), self.from, to) {
            Some(text) => {
                let told = Told { code: reason::NONE, now: Some(self.to) };
                Converted { body: Body::from(text), told }
            }
            None => Converted { body: self.body, told: Told { code: reason::NOT_CONVERTED, now: None } },
        }
    }
}

/// MQENC_INTEGER_NORMAL: big-endian.
fn is_big(encoding: i32) -> bool {
    encoding & 0xF == 1
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::types::Descriptor;

    fn message(format: &str, ccsid: i32, text: &'static str) -> Message {
        let mut descriptor = Descriptor::default();
        let mut rest = descriptor.rest();
        (rest.format, rest.coded_character_set) = (format.to_string(), Some(ccsid));
        descriptor.set_rest(&rest);
        Message { descriptor, body: Bytes::from(text).into(), ..Message::default() }
    }

    fn wanted(ccsid: i32) -> Wanted {
        Wanted { ccsid, encoding: 273 }
    }

    #[test]
    fn text_is_converted_and_what_is_no_text_is_not() {
        let Converted { body, told } =
            Conversion::of(&mut message("MQSTR", 1208, "é"), wanted(819)).unwrap().run();
        assert_eq!(body.to_bytes(), &[0xE9][..]);
        assert_eq!((told.code, told.now.unwrap().ccsid), (reason::NONE, 819));
        let refused =
            |format, ccsid| Conversion::of(&mut message(format, ccsid, "é"), wanted(0)).unwrap_err();
        assert_eq!(refused("MQHRF2", 819), reason::NOT_CONVERTED);
        assert_eq!(refused("", 819), reason::NONE);
        assert_eq!(refused("MQSTR", 1208), reason::NONE, "0 is the queue manager's own");
    }

    #[test]
    fn what_cannot_be_converted_is_got_as_it_is() {
        let Converted { body, told } =
            Conversion::of(&mut message("MQSTR", 500, "é"), wanted(1208)).unwrap().run();
        assert_eq!(body.to_bytes(), "é".as_bytes());
        assert!(told.code == reason::NOT_CONVERTED && told.now.is_none());
    }
}
