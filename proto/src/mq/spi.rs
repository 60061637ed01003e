//! SPI calls: what clients ask beside the MQI. They use four of them, QUERY, OPEN, RESERVE and NOTIFY.
//!
//! ```text
//!   verb  version  length hint     "SPxU" 1 12     "SPxI" or "SPxO", version, length of it with its contents, contents
//! ```

use bytes::Bytes;

use super::object::{Lpoo, Od};
use super::wire::{Malformed, Raw, Reader, Writer, layout};

pub mod verb {
    pub const QUERY: u32 = 1;
    pub const RESERVE: u32 = 6;
    pub const NOTIFY: u32 = 11;
    pub const OPEN: u32 = 12;
}

layout! {
    Envelope {
        /// One of [`verb`].
        verb: u32, 1;
        /// The version of the answer that is wanted.
        version: u32, 1;
        length_hint: u32, 1;
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spi {
    pub envelope: Envelope,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Query(Query),
    Open(Open),
    ReserveRequest(ReserveRequest),
    ReserveReply(ReserveReply),
    NotifyRequest(NotifyRequest),
    NotifyReply,
    /// Of a verb that is not known here.
    Other(Bytes),
}

/// Which verbs there are, and in which versions; empty in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub version: u32,
    /// Verb, highest versions of its three structures, flags.
    pub verbs: Vec<[u32; 5]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub version: u32,
    pub lpoo: Lpoo,
    pub od: Od,
    /// PCF of 216 bytes about the protection of messages, in replies of real queue managers.
    pub more: Bytes,
}

layout! {
    /// A client wants message ids of its own, to put without waiting for answers.
    ReserveRequest {
        /// Bytes of an id.
        id_bytes: u32, 1;
        count: u32, 1;
    }
}

layout! {
    /// The ids that are the client's: the first one, and where in it to count on.
    ReserveReply {
        count: u32, 1;
        /// Of a big-endian number in the id.
        increment_offset: u32, 1;
        first: Raw<24>, 1;
    }
}

layout! {
    /// Ends the get that waits in a connection, from another thread of its program.
    NotifyRequest {
        /// 1, from the clients that were seen.
        options: u32, 1;
        /// 2107 (MQRC_XWAIT_CANCELED), from them.
        reason: u32, 1;
        connection_id: Raw<24>, 1;
    }
}

/// Bytes of a head of four letters, version and length.
const HEAD_BYTES: usize = 12;

impl Spi {
    pub fn read(from: &mut Reader, is_reply: bool) -> Result<Spi, Malformed> {
        let envelope = Envelope::read_fields(from, 1)?;
        let body = match envelope.verb {
            verb::QUERY => {
                let (version, length) =
                    Spi::read_heads(from, b"SPQU", if is_reply { b"SPQO" } else { b"SPQI" })?;
                let mut verbs = Vec::new();
                if length > HEAD_BYTES {
                    let count: u32 = from.get()?;
                    if count as usize > from.left() / 20 {
                        return Err(from.malformed("there are fewer verbs than it says"));
                    }
                    for _ in 0..count {
                        verbs.push([from.get()?, from.get()?, from.get()?, from.get()?, from.get()?]);
                    }
                }
                Body::Query(Query { version, verbs })
            }
            verb::OPEN => {
                let (version, length) =
                    Spi::read_heads(from, b"SPOU", if is_reply { b"SPOO" } else { b"SPOI" })?;
                let lpoo = Lpoo::read(from)?;
                let more = if is_reply { lpoo.fields.more_length as usize } else { 0 };
                let around = HEAD_BYTES + lpoo.encoded_bytes() + more;
                let od = Od::read(from, Some(length.saturating_sub(around)))?;
                Body::Open(Open { version, lpoo, od, more: from.bytes(more)? })
            }
            verb::RESERVE if is_reply => {
                Spi::read_heads(from, b"SPRU", b"SPRO")?;
                Body::ReserveReply(ReserveReply::read_fields(from, 1)?)
            }
            verb::RESERVE => {
                Spi::read_heads(from, b"SPRU", b"SPRI")?;
                Body::ReserveRequest(ReserveRequest::read_fields(from, 1)?)
            }
            verb::NOTIFY if is_reply => {
                Spi::read_heads(from, b"SPNU", b"SPNO")?;
                Body::NotifyReply
            }
            verb::NOTIFY => {
                Spi::read_heads(from, b"SPNU", b"SPNI")?;
                Body::NotifyRequest(NotifyRequest::read_fields(from, 1)?)
            }
            _ => Body::Other(from.rest()),
        };
        Ok(Spi { envelope, body })
    }

    /// Version and length of the second structure.
    fn read_heads(from: &mut Reader, both: &[u8; 4], second: &[u8; 4]) -> Result<(u32, usize), Malformed> {
        from.eyecatcher(both, "the SPI's structure for both ways does not begin here")?;
        let (_version, _length): (u32, u32) = (from.get()?, from.get()?);
        from.eyecatcher(second, "the SPI's structure for one way does not begin here")?;
        let (version, length): (u32, u32) = (from.get()?, from.get()?);
        Ok((version, length as usize))
    }

    pub fn write(&self, into: &mut Writer, is_reply: bool) {
        self.envelope.write_fields(into, 1);
        match &self.body {
            Body::Query(query) => {
                let length = if is_reply { HEAD_BYTES + 4 + query.verbs.len() * 20 } else { HEAD_BYTES };
                let second = if is_reply { b"SPQO" } else { b"SPQI" };
                Spi::write_heads(into, b"SPQU", second, query.version, length);
                if is_reply {
                    into.put(&(query.verbs.len() as u32));
                    query.verbs.iter().flatten().for_each(|number| into.put(number));
                }
            }
            Body::Open(open) => {
                let length =
                    HEAD_BYTES + open.lpoo.encoded_bytes() + open.od.encoded_bytes() + open.more.len();
                let second = if is_reply { b"SPOO" } else { b"SPOI" };
                Spi::write_heads(into, b"SPOU", second, open.version, length);
                open.lpoo.write(into);
                open.od.write(into);
                into.bytes(&open.more);
            }
            Body::ReserveRequest(request) => {
                Spi::write_heads(into, b"SPRU", b"SPRI", 1, HEAD_BYTES + 8);
                request.write_fields(into, 1);
            }
            Body::ReserveReply(reply) => {
                Spi::write_heads(into, b"SPRU", b"SPRO", 1, HEAD_BYTES + 32);
                reply.write_fields(into, 1);
            }
            Body::NotifyRequest(request) => {
                Spi::write_heads(into, b"SPNU", b"SPNI", 1, HEAD_BYTES + 32);
                request.write_fields(into, 1);
            }
            Body::NotifyReply => Spi::write_heads(into, b"SPNU", b"SPNO", 1, HEAD_BYTES),
            Body::Other(bytes) => into.bytes(bytes),
        }
    }

    fn write_heads(into: &mut Writer, both: &[u8; 4], second: &[u8; 4], version: u32, length: usize) {
        into.bytes(both);
        into.put(&1u32);
        into.put(&(HEAD_BYTES as u32));
        into.bytes(second);
        into.put(&version);
        into.put(&(length as u32));
    }
}
