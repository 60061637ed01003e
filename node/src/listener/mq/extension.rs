//! MQMDE: what an MQMD of version 1 has no fields for, in front of the data (IBM MQ Reference, "MQMDE").
//!
//! A put may bring one; it becomes part of the descriptor. A get with an MQMD of version 1 is given one where the message is in a group:
//! there are no segments, so nothing of what is in it is other than by default where it is in none.

use bytes::Bytes;
use trimaran_proto::mq::message::{Md, Mde};
use trimaran_proto::mq::wire::{Reader, Writer};
use trimaran_proto::mq::{Order, Text};

use super::conversion::Wanted;
use super::convert::{CCSID, Code, ENCODING, IN_GROUP};
use crate::mqi::Get;
use crate::types::{Body, Reason};

const _: () = assert!(Mde::BYTES == Get::EXTENSION_BYTES, "what an MQMDE takes is said in one way");

/// MQMDE_VERSION_2.
const VERSION: u32 = 2;

/// The MQMD, and the data behind the MQMDE, where a put has one that counts. One that is not in the queue manager's encoding and character
/// set, or of another version, or beside an MQMD that says these things itself, is data.
///
/// # Errors
/// 2248 for one that is too short, or does not begin as an MQMDE does. What is wrong with its fields is seen as in an MQMD.
pub fn taken_off(md: &Md, body: &Body) -> Result<Option<(Md, Body)>, Code> {
    let is_local = md.encoding == ENCODING && matches!(md.ccsid, 0 | CCSID);
    if md.format.text() != Mde::FORMAT || !is_local || says_more(md) {
        return Ok(None);
    }
    let wrong = || Reason::MdeError.number() as Code;
    let head = body.slice(0, body.len().min(Mde::BYTES)).to_bytes();
    let (eyecatcher, version) = (head.get(..4), head.get(4..8));
    if eyecatcher != Some(b"MDE ".as_slice()) {
        return Err(wrong());
    }
    if version != Some(VERSION.to_le_bytes().as_slice()) {
        return Ok(None);
    }
    let mde = Mde::read(&mut Reader::new(head, Order::Little)).map_err(|_| wrong())?;
    if mde.length != Mde::BYTES as i32 {
        return Err(wrong());
    }
    let md = Md {
        version: 2,
        encoding: mde.encoding,
        ccsid: mde.ccsid,
        format: mde.format,
        group_id: mde.group_id,
        sequence_number: mde.sequence_number,
        offset: mde.offset,
        message_flags: mde.message_flags,
        original_length: mde.original_length,
        ..md.clone()
    };
    Ok(Some((md, body.slice(Mde::BYTES, body.len()))))
}

/// Whether the MQMD itself says something of what an MQMDE is for.
fn says_more(md: &Md) -> bool {
    let by_default = md.group_id.is_zero()
        && md.sequence_number == 1
        && md.offset == 0
        && md.message_flags == 0
        && md.original_length == -1;
    md.version >= 2 && !by_default
}

/// The data, and its whole length, of a message that is got: behind an MQMDE where the MQMD has no room for its group. It is in the queue
/// manager's encoding, or in the one that is `wanted`.
pub fn put_on(md: &mut Md, body: Body, body_length: usize, wanted: Option<Wanted>) -> (Body, usize) {
    if md.version >= 2 || md.message_flags & IN_GROUP == 0 {
        return (body, body_length);
    }
    let mde = Mde {
        version: VERSION,
        length: Mde::BYTES as i32,
        encoding: md.encoding,
        ccsid: md.ccsid,
        format: md.format,
        flags: 0,
        group_id: md.group_id,
        sequence_number: md.sequence_number,
        offset: md.offset,
        message_flags: md.message_flags,
        original_length: md.original_length,
    };
    let encoding = wanted.map_or(ENCODING, |wanted| wanted.encoding);
    (md.encoding, md.ccsid, md.format) = (encoding, CCSID, Text::new(Mde::FORMAT));
    // MQENC_INTEGER_NORMAL is big-endian.
    let order = if encoding & 0xF == 1 { Order::Big } else { Order::Little };
    let mut head = Writer::new(order);
    mde.write(&mut head);
    debug_assert_eq!(head.out.len(), Mde::BYTES, "an MQMDE of version 2 has one length");
    let parts: Vec<Bytes> = std::iter::once(head.out.freeze()).chain(body.parts().iter().cloned()).collect();
    (Body::from_parts(parts), Mde::BYTES + body_length)
}

#[cfg(test)]
mod tests {
    use trimaran_proto::mq::Raw;

    use super::*;

    fn md() -> Md {
        Md {
            version: 1,
            encoding: ENCODING,
            ccsid: CCSID,
            format: Text::new("MQSTR"),
            group_id: Raw::new(b"group"),
            sequence_number: 3,
            message_flags: 8,
            original_length: -1,
            ..Md::default()
        }
    }

    fn extended(wanted: Option<Wanted>) -> (Md, Body) {
        let mut md = md();
        let (body, length) = put_on(&mut md, Body::from(Bytes::from_static(b"data")), 4, wanted);
        assert_eq!((length, body.len()), (76, 76));
        assert_eq!(md.format.text(), Mde::FORMAT);
        (md, body)
    }

    #[test]
    fn what_is_put_on_can_be_taken_off() {
        let (got, body) = extended(None);
        let (md, body) = taken_off(&Md { group_id: Raw::default(), ..got }, &body).unwrap().unwrap();
        assert_eq!(md, Md { version: 2, ..self::md() });
        assert_eq!(body.to_bytes(), "data");
    }

    #[test]
    fn a_message_of_no_group_and_a_program_with_fields_for_it_need_none() {
        for mut md in [Md { version: 2, ..md() }, Md { message_flags: 0, ..md() }] {
            let before = md.clone();
            let (body, length) = put_on(&mut md, Body::from(Bytes::from_static(b"data")), 9, None);
            assert_eq!((body.len(), length, md), (4, 9, before), "as it is, with the length that it has");
        }
    }

    #[test]
    fn what_does_not_count_is_data_and_what_is_wrong_is_refused() {
        let (got, body) = extended(None);
        let is_data = |md: Md| taken_off(&md, &body).unwrap().is_none();
        assert!(is_data(Md { version: 2, ..got.clone() }), "the MQMD says it itself");
        assert!(is_data(Md { encoding: 273, ..got.clone() }));
        assert!(is_data(Md { ccsid: 500, ..got.clone() }));
        assert!(is_data(md()), "another format");
        let (group_id, sequence_number) = (Raw::default(), 1);
        let by_default = Md { version: 2, group_id, sequence_number, message_flags: 0, ..got.clone() };
        assert!(!is_data(by_default), "nothing of it is said by the MQMD");
        let with = |at: usize, byte: u8| {
            let mut bytes = body.to_bytes().to_vec();
            bytes[at] = byte;
            taken_off(&got, &Body::from(Bytes::from(bytes)))
        };
        assert!(with(4, 3).unwrap().is_none(), "another version");
        let refused = Reason::MdeError.number() as Code;
        assert_eq!(with(0, b'X').unwrap_err(), refused);
        assert_eq!(with(8, 71).unwrap_err(), refused);
        assert_eq!(taken_off(&got, &body.slice(0, 71)).unwrap_err(), refused);
    }

    #[test]
    fn it_is_in_the_encoding_that_the_program_wants() {
        let (got, body) = extended(Some(Wanted { ccsid: 819, encoding: 273, ..Wanted::default() }));
        assert_eq!((got.encoding, got.ccsid), (273, CCSID), "its letters are the same");
        let mde = Mde::read(&mut Reader::new(body.to_bytes(), Order::Big)).unwrap();
        assert_eq!((mde.length, mde.sequence_number, mde.encoding), (72, 3, ENCODING));
    }
}
