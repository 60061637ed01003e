//! Text and PCF that a program wants in a character set and byte order of its own (MQGMO_CONVERT).
//!
//! What is short is converted at once, the rest where it keeps nobody waiting: the queue manager may run on the worker that
//! the conversation is on, and 100 MiB take longer than it can wait.

use bytes::Bytes;
use trimaran_proto::mq::characters::{self, Written};
use trimaran_proto::mq::constants::reason;
use trimaran_proto::mq::message::Md;
use trimaran_proto::pcf;

use super::convert::{CCSID, Code, ENCODING};
use crate::mqi::Get;
use crate::types::{Body, Message};

/// A longer body is converted elsewhere.
const CONVERTED_HERE_BYTES: usize = 32 * 1024;

/// What a program wants of the text that it gets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub ccsid: i32,
    pub encoding: i32,
    /// Bytes of the message that it has room for; None for no limit.
    pub room: Option<usize>,
    /// MQGMO_ACCEPT_TRUNCATED_MSG.
    pub accepts_truncated: bool,
    /// Its MQMD is of version 1: of the room an MQMDE takes its part, where the message is in a group.
    pub is_extended: bool,
}

/// A body that has to be converted.
#[derive(Debug)]
pub struct Conversion {
    body: Body,
    is_pcf: bool,
    from: Written,
    to: Wanted,
    /// Bytes that there is room for.
    room: usize,
}

/// What became of it.
#[derive(Debug)]
pub struct Converted {
    pub body: Body,
    /// Of the whole text, where that was cut.
    pub length: usize,
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
        if let Some(Wanted { ccsid, encoding, .. }) = self.now {
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
        let is_extended = wanted.is_extended && message.descriptor.in_group().is_some();
        let taken = if is_extended { Get::EXTENSION_BYTES } else { 0 };
        let room = wanted.room.map_or(usize::MAX, |room| room.saturating_sub(taken));
        let encoding = rest.encoding.unwrap_or(ENCODING);
        let from = Written { ccsid, is_big: is_big(encoding) };
        match rest.format.trim_end_matches([' ', '\0']) {
            "MQADMIN" | "MQEVENT" | "MQPCF" if ccsid != to.ccsid || from.is_big != is_big(to.encoding) => {
                Ok(Conversion { body: std::mem::take(&mut message.body), is_pcf: true, from, to, room })
            }
            _ if ccsid == to.ccsid => Err(reason::NONE),
            "" => Err(reason::NONE),
            "MQSTR" => {
                Ok(Conversion { body: std::mem::take(&mut message.body), is_pcf: false, from, to, room })
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

    /// Does it. The length of the body may change; one that cannot be converted stays as it is. So does one that has no room then (2120);
    /// text is cut where that is accepted (2079).
    pub fn run(self) -> Converted {
        let to = Written { ccsid: self.to.ccsid, is_big: is_big(self.to.encoding) };
        let bytes = self.body.to_bytes();
        let converted = match self.is_pcf {
            true => converted_pcf(&bytes, self.from, to),
            false => characters::converted(&bytes, self.from, to),
        };
        match converted {
            Some(text) if text.len() > self.room && (self.is_pcf || !self.to.accepts_truncated) => {
                Converted::not(self.body, reason::CONVERTED_MSG_TOO_BIG)
            }
            Some(text) => {
                let code = if text.len() > self.room { reason::TRUNCATED_MSG_ACCEPTED } else { reason::NONE };
                let (length, told) = (text.len(), Told { code, now: Some(self.to) });
                Converted { body: Body::from(text).truncated(self.room.min(length)), length, told }
            }
            None => Converted::not(self.body, reason::NOT_CONVERTED),
        }
    }
}

impl Converted {
    /// It stays as it is.
    fn not(body: Body, code: Code) -> Converted {
        Converted { length: body.len(), body, told: Told { code, now: None } }
    }
}

/// Structure by structure; None for what is no PCF, or in a character set that is not known here.
fn converted_pcf(bytes: &[u8], from: Written, to: Written) -> Option<Bytes> {
    let message = pcf::read(bytes, from).ok().filter(|_| pcf::can_write(to.ccsid))?;
    Some(message.write(to).freeze())
}

/// MQENC_INTEGER_NORMAL: big-endian.
fn is_big(encoding: i32) -> bool {
    encoding & 0xF == 1
}

#[cfg(test)]
mod tests {
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
        Wanted { ccsid, encoding: 273, ..Wanted::default() }
    }

    #[test]
    fn text_is_converted_and_what_is_no_text_is_not() {
        let Converted { body, told, .. } =
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
    fn pcf_is_converted_number_by_number_and_text_by_text() {
        let parameters = vec![pcf::Parameter::number(20, 1), pcf::Parameter::text(2013, "é")];
        let reply = pcf::Message { header: pcf::Header::command(13), parameters };
        let (big, little) = (Written { ccsid: 1208, is_big: true }, Written { ccsid: 819, is_big: false });
        let mut message = message("MQADMIN", 1208, "");
        let mut rest = message.descriptor.rest();
        rest.encoding = Some(273);
        message.descriptor.set_rest(&rest);
        assert_eq!(Conversion::of(&mut message, wanted(1208)).unwrap_err(), reason::NONE, "as it is wanted");
        message.body = reply.write(big).freeze().into();
        let Converted { body, told, .. } =
            Conversion::of(&mut message, Wanted { encoding: 546, ..wanted(819) }).unwrap().run();
        assert_eq!(pcf::read(&body.to_bytes(), little), Ok(reply));
        assert_eq!((told.code, told.now.unwrap().encoding), (reason::NONE, 546));
        message.body = Bytes::from_static(b"no PCF").into();
        let kept = Conversion::of(&mut message, wanted(819)).unwrap().run();
        assert_eq!((&kept.body.to_bytes()[..], kept.told.code), (&b"no PCF"[..], reason::NOT_CONVERTED));
    }

    /// "é" is one byte in one set and two in the other.
    #[test]
    fn text_that_outgrows_its_room_is_got_as_it_is_or_cut() {
        let mut latin = Conversion::of(&mut message("MQSTR", 1208, "ééé"), wanted(819)).unwrap().run().body;
        let mut run = |room: usize, accepts_truncated: bool| {
            let mut message = message("MQSTR", 819, "");
            message.body = std::mem::take(&mut latin);
            let wanted = Wanted { room: Some(room), accepts_truncated, ..wanted(1208) };
            let converted = Conversion::of(&mut message, wanted).unwrap().run();
            latin = Body::from(Bytes::from_static(&[0xE9; 3]));
            converted
        };
        let fits = run(6, false);
        assert_eq!((fits.body.len(), fits.length, fits.told.code), (6, 6, reason::NONE));
        let kept = run(5, false);
        assert_eq!((&kept.body.to_bytes()[..], kept.length), (&[0xE9; 3][..], 3));
        assert!(kept.told.code == reason::CONVERTED_MSG_TOO_BIG && kept.told.now.is_none());
        let cut = run(4, true);
        assert_eq!((cut.body.to_bytes().as_ref(), cut.length), ("éé".as_bytes(), 6));
        assert!(cut.told.code == reason::TRUNCATED_MSG_ACCEPTED && cut.told.now.unwrap().ccsid == 1208);
    }

    #[test]
    fn what_cannot_be_converted_is_got_as_it_is() {
        let Converted { body, told, .. } =
            Conversion::of(&mut message("MQSTR", 500, "é"), wanted(1208)).unwrap().run();
        assert_eq!(body.to_bytes(), "é".as_bytes());
        assert!(told.code == reason::NOT_CONVERTED && told.now.is_none());
    }
}
