//! A transmission segment: its header (TSH) and its body.
//!
//! ```text
//!   0  eyecatcher "TSH ", "TSHM" (multiplexed) or "TSHC" (socket action)
//!   4  length, big-endian, header included
//!   8  conversation id, request id: big-endian, TSHM only
//!   8  byte order, type, control flags 1 and 2          (TSHM: 16)
//!  12  logical unit of work id, 8 bytes
//!  20  encoding      24  CCSID      26  reserved
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::wire::{Field, Malformed, Order, Raw, Reader, Writer};

/// The negotiated maximum of both ends that we know, and the default. It counts a plain header.
pub const SEGMENT_BYTES_MAX: usize = 32_748;
/// What TSHM has more than a plain header.
const MULTIPLEXED_MORE: usize = 8;
const PLAIN_BYTES: usize = 28;

/// Control flags 1.
pub mod flags {
    pub const CONFIRM: u8 = 0x01;
    pub const ERROR: u8 = 0x02;
    pub const CLOSE: u8 = 0x08;
    pub const FIRST: u8 = 0x10;
    pub const LAST: u8 = 0x20;
    pub const ACCEPTED: u8 = 0x40;
    /// A message that fits into one segment.
    pub const WHOLE: u8 = FIRST | LAST;
}

/// Types of segments. Replies to calls are `request + 0x10`.
pub mod types {
    pub const INITIAL: u8 = 0x01;
    pub const STATUS: u8 = 0x05;
    pub const SECURITY: u8 = 0x06;
    pub const PING: u8 = 0x07;
    pub const USER_ID: u8 = 0x08;
    pub const HEARTBEAT: u8 = 0x09;
    pub const CONAUTH: u8 = 0x0A;
    pub const SOCKET_ACTION: u8 = 0x0C;
    pub const ASYNC_MESSAGE: u8 = 0x0D;
    pub const REQUEST_MESSAGES: u8 = 0x0E;
    pub const NOTIFICATION: u8 = 0x0F;
    pub const CONN: u8 = 0x81;
    pub const DISC: u8 = 0x82;
    pub const OPEN: u8 = 0x83;
    pub const CLOSE: u8 = 0x84;
    pub const GET: u8 = 0x85;
    pub const PUT: u8 = 0x86;
    pub const PUT1: u8 = 0x87;
    pub const SET: u8 = 0x88;
    pub const INQ: u8 = 0x89;
    pub const CMIT: u8 = 0x8A;
    pub const BACK: u8 = 0x8B;
    pub const SPI: u8 = 0x8C;
    pub const STAT: u8 = 0x8D;
    pub const SUB: u8 = 0x8E;
    pub const SUBRQ: u8 = 0x8F;
    /// What a reply has more than its request.
    pub const REPLY: u8 = 0x10;
    /// From here on types are calls and their replies.
    pub const CALLS: u8 = 0x81;
    /// From here on they are calls of XA.
    pub const XA: u8 = 0xA1;
    /// The last type there is.
    pub const LAST: u8 = 0xBA;
}

/// Which of the three headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `TSH `: before a channel is multiplexed, and on one that never is.
    Plain,
    /// `TSHM`: with a conversation and a request.
    Multiplexed { conversation: u32, request: u32 },
    /// `TSHC`: a client's socket action; the conversation is in the body.
    Socket,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub order: Order,
    /// One of [`types`].
    pub segment: u8,
    pub flags: u8,
    pub flags2: u8,
    pub luwid: Raw<8>,
    /// MQENC of the sender's platform. Not what integers are read with: that is `order`.
    pub encoding: u32,
    /// CCSID of the characters in the body.
    pub ccsid: u16,
    pub reserved: u16,
}

impl Header {
    pub fn length(&self) -> usize {
        match self.kind {
            Kind::Multiplexed { .. } => PLAIN_BYTES + MULTIPLEXED_MORE,
            Kind::Plain | Kind::Socket => PLAIN_BYTES,
        }
    }

    pub fn conversation(&self) -> Option<u32> {
        match self.kind {
            Kind::Multiplexed { conversation, .. } => Some(conversation),
            Kind::Plain | Kind::Socket => None,
        }
    }

    /// The number of the request; 0 where segments have none.
    pub fn request(&self) -> u32 {
        match self.kind {
            Kind::Multiplexed { request, .. } => request,
            Kind::Plain | Kind::Socket => 0,
        }
    }

    /// The header of an answer: of the same conversation and request, in the same order and character set.
    pub fn answer(&self, segment: u8, flags: u8) -> Header {
        Header { segment, flags, flags2: 0, ..self.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub header: Header,
    pub body: Bytes,
}

/// Why bytes are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Not the begin of a header, or one in EBCDIC.
    Eyecatcher,
    /// Shorter than its header, or longer than was agreed.
    Length(u32),
    /// The byte order is neither 1 nor 2.
    Order(u8),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Eyecatcher => write!(f, "no segment begins here"),
            Broken::Length(length) => write!(f, "a segment of {length} bytes"),
            Broken::Order(order) => write!(f, "there is no byte order {order}"),
        }
    }
}

impl std::error::Error for Broken {}

impl Segment {
    /// Takes the next segment from what was received; None while it is not complete. `bytes_max` is the agreed maximum
    /// transmission size.
    pub fn take(received: &mut BytesMut, bytes_max: usize) -> Result<Option<Segment>, Broken> {
        if received.len() < 8 {
            let expected = &b"TSH"[..received.len().min(3)];
            return if received.starts_with(expected) { Ok(None) } else { Err(Broken::Eyecatcher) };
        }
        let multiplexed = match &received[..4] {
            b"TSH " | b"TSHC" => false,
            b"TSHM" => true,
            _ => return Err(Broken::Eyecatcher),
        };
        let length = u32::from_be_bytes([received[4], received[5], received[6], received[7]]);
        let least = PLAIN_BYTES + if multiplexed { MULTIPLEXED_MORE } else { 0 };
        if !(least..=bytes_max + MULTIPLEXED_MORE).contains(&(length as usize)) {
            return Err(Broken::Length(length));
        }
        if received.len() < length as usize {
            return Ok(None);
        }
        let mut bytes = received.split_to(length as usize).freeze();
        let kind = match &bytes[..4] {
            b"TSH " => Kind::Plain,
            b"TSHC" => Kind::Socket,
            _ => Kind::Multiplexed { conversation: 0, request: 0 },
        };
        bytes.advance(8);
        let kind = match kind {
            Kind::Multiplexed { .. } => {
                Kind::Multiplexed { conversation: bytes.get_u32(), request: bytes.get_u32() }
            }
            other => other,
        };
        let order = match bytes[0] {
            1 => Order::Big,
            2 => Order::Little,
            other => return Err(Broken::Order(other)),
        };
        let (segment, flags, flags2) = (bytes[1], bytes[2], bytes[3]);
        let body = bytes.split_off(PLAIN_BYTES - 8);
        bytes.advance(4);
        let mut rest = Reader::new(bytes, order);
        let fields = (|| Ok::<_, Malformed>((rest.get()?, rest.get()?, rest.get()?, rest.get()?)))();
        let (luwid, encoding, ccsid, reserved) = fields.map_err(|_| Broken::Length(length))?;
        let header = Header { kind, order, segment, flags, flags2, luwid, encoding, ccsid, reserved };
        Ok(Some(Segment { header, body }))
    }

    /// Appends the header of a segment whose body has `body_bytes` bytes.
    pub fn put_header(header: &Header, body_bytes: usize, out: &mut BytesMut) {
        out.reserve(header.length() + body_bytes);
        let length = (header.length() + body_bytes) as u32;
        match header.kind {
            Kind::Plain => {
                out.put_slice(b"TSH ");
                out.put_u32(length);
            }
            Kind::Socket => {
                out.put_slice(b"TSHC");
                out.put_u32(length);
            }
            Kind::Multiplexed { conversation, request } => {
                out.put_slice(b"TSHM");
                out.put_u32(length);
                out.put_u32(conversation);
                out.put_u32(request);
            }
        }
        out.put_slice(&[header.order as u8, header.segment, header.flags, header.flags2]);
        let mut writer = Writer { out: std::mem::take(out), order: header.order };
        header.luwid.write(&mut writer);
        header.encoding.write(&mut writer);
        header.ccsid.write(&mut writer);
        header.reserved.write(&mut writer);
        *out = writer.out;
    }

    pub fn encode(&self, out: &mut BytesMut) {
        Segment::put_header(&self.header, self.body.len(), out);
        out.put_slice(&self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind) -> Header {
        Header {
            kind,
            order: Order::Little,
            segment: types::CMIT,
            flags: flags::WHOLE,
            flags2: 0,
            luwid: Raw::default(),
            encoding: 273,
            ccsid: 819,
            reserved: 0,
        }
    }

    #[test]
    fn a_segment_is_taken_when_its_last_byte_has_come() {
        for kind in [Kind::Plain, Kind::Socket, Kind::Multiplexed { conversation: 3, request: 7 }] {
            let segment = Segment { header: header(kind), body: Bytes::from_static(b"abc") };
            let mut whole = BytesMut::new();
            segment.encode(&mut whole);
            for cut in 0..whole.len() {
                assert_eq!(Segment::take(&mut BytesMut::from(&whole[..cut]), 32_748), Ok(None));
            }
            whole.put_slice(b"TSH");
            assert_eq!(Segment::take(&mut whole, 32_748), Ok(Some(segment)));
            assert_eq!(whole, "TSH");
        }
    }

    #[test]
    fn a_length_that_was_not_agreed_is_refused_before_anything_is_read() {
        let of = |length: u32| {
            let mut bytes = BytesMut::from(&b"TSHM"[..]);
            bytes.put_u32(length);
            Segment::take(&mut bytes, 1000)
        };
        assert_eq!(of(35), Err(Broken::Length(35)));
        assert_eq!(of(1009), Err(Broken::Length(1009)));
        assert_eq!(of(1008), Ok(None));
        assert_eq!(Segment::take(&mut BytesMut::from(&b"GET / HT"[..]), 1000), Err(Broken::Eyecatcher));
    }
}
