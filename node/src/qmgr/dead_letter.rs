//! MQDLH: the header in front of a message that could not be placed (IBM MQ Reference, "MQDLH - Dead-letter header").
//!
//! ```text
//! 'DLH ' version=1 reason(4) DestQName(48) DestQMgrName(48) Encoding(4) CodedCharSetId(4) Format(8)
//! PutApplType(4) PutApplName(28) PutDate(8) PutTime(8)                                   172 bytes, little-endian
//! ```

use bytes::{BufMut, BytesMut};

use crate::types::{Body, Message, ObjectName, Reason, WallTime, native};

pub const HEADER_BYTES: usize = 172;
/// Of a message that begins with one.
pub const FORMAT: &str = "MQDEAD";
const NAME_BYTES: usize = 48;
const _: () = assert!(ObjectName::LENGTH_MAX <= NAME_BYTES, "the name of a queue has room in an MQDLH");

/// The message with a header that says where it should have gone and why it did not. Its format becomes MQDEAD; the
/// header carries what encoding, character set and format were.
pub fn with_header(
    mut message: Box<Message>,
    queue: &str,
    queue_manager: &ObjectName,
    reason: Reason,
    at: WallTime,
) -> Box<Message> {
    let mut rest = message.descriptor.rest();
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_slice(b"DLH ");
    header.put_u32_le(1);
    header.put_u32_le(reason.number());
    put_padded(&mut header, queue, NAME_BYTES);
    put_padded(&mut header, queue_manager.as_str(), NAME_BYTES);
    header.put_i32_le(rest.encoding.unwrap_or(native::ENCODING));
    header.put_i32_le(rest.coded_character_set.unwrap_or(native::CCSID));
    put_padded(&mut header, &rest.format, 8);
    header.put_u32_le(native::MQAT_QMGR);
    put_padded(&mut header, "trimaran", 28);
    let (date, time) = at.date_and_time();
    put_padded(&mut header, &date, 8);
    put_padded(&mut header, &time, 8);
    assert_eq!(header.len(), HEADER_BYTES, "an MQDLH has 172 bytes");
    rest.encoding = None;
    rest.coded_character_set = None;
    rest.format = FORMAT.into();
    message.descriptor.set_rest(&rest);
    message.body_crc = crc32c::crc32c_combine(crc32c::crc32c(&header), message.body_crc, message.body.len());
    // Nothing is copied: a long body goes into the log in parts, and these are cut when their turn comes.
    let mut parts = vec![header.freeze()];
    parts.extend(message.body.parts().iter().cloned());
    let length = message.body.len();
    message.body = Body::from_parts(parts);
    debug_assert_eq!(
        message.body.len(),
        HEADER_BYTES + length,
        "the header stands in front of the whole body"
    );
    message
}

fn put_padded(header: &mut BytesMut, text: &str, length: usize) {
    let taken = text.len().min(length);
    header.put_slice(&text.as_bytes()[..taken]);
    debug_assert!(taken <= length, "what is too long is cut");
    header.put_bytes(b' ', length - taken);
}

#[cfg(test)]
mod tests {
    use trimaran_proto::message::v1 as wire;

    use super::*;

    #[test]
    fn the_header_is_172_bytes_and_keeps_what_the_descriptor_said() {
        let mut message = Message {
            body: Body::from(bytes::Bytes::from_static(b"body")),
            body_crc: crc32c::crc32c(b"body"),
            ..Message::default()
        };
        let format = wire::Descriptor { format: "MQSTR".into(), ..wire::Descriptor::default() };
        message.descriptor.set_rest(&format);
        let name = ObjectName::new("QM1").unwrap();
        let dead = with_header(Box::new(message), "ORDERS", &name, Reason::QFull, WallTime(0));
        let bytes = dead.body.to_bytes();
        assert_eq!(bytes.len(), HEADER_BYTES + 4);
        assert_eq!(&bytes[..12], b"DLH \x01\0\0\0\x05\x08\0\0");
        assert_eq!(&bytes[12..18], b"ORDERS");
        assert_eq!(&bytes[116..121], b"MQSTR");
        assert_eq!(dead.descriptor.rest().format, "MQDEAD");
        assert_eq!(dead.body_crc, dead.body.crc32c());
    }
}
