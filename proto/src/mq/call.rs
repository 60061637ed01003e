//! Calls and their replies: a header with completion code, reason and handle, and a body that has the same form both ways.
//!
//! ```text
//!   0  length, big-endian    4  completion code    8  reason    12  object handle
//! ```

use bytes::Bytes;

use super::message::{Gmo, Md, Pmo};
use super::object::{Fopa, Od};
use super::segment::types;
use super::spi::Spi;
use super::stat::Stat;
use super::wire::{Malformed, Raw, Reader, Text, Writer, layout};

/// What the length of a reply has more than the bytes behind the segment header.
pub const REPLY_LENGTH_MORE: usize = 28;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Of a request: how long a reply may be. Of a reply: its length. Nobody needs either.
    pub length: u32,
    pub completion: i32,
    pub reason: i32,
    pub handle: i32,
    pub body: Body,
}

/// What goes with a call; the type is in the segment header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// MQDISC, MQCMIT, MQBACK, and the answer to a call that is not served.
    #[default]
    Nothing,
    Conn(Box<Conn>),
    Open(Box<Open>),
    /// The options of an MQCLOSE; its reply has none.
    Close(u32),
    Put(Box<Put>),
    Get(Box<Get>),
    Attributes(Attributes),
    Spi(Box<Spi>),
    Stat(Box<Stat>),
    /// Of a call that is not known here.
    Other(Bytes),
}

impl Call {
    /// Reads a whole logical call of this segment type.
    pub fn read(from: &mut Reader, segment: u8) -> Result<Call, Malformed> {
        let length = from.big_u32()?;
        let (completion, reason, handle) = (from.get()?, from.get()?, from.get()?);
        let is_reply = segment & types::REPLY != 0;
        let body = match segment & !types::REPLY {
            types::CONN => Body::Conn(Box::new(Conn::read(from)?)),
            types::DISC | types::CMIT | types::BACK => Body::Nothing,
            _ if is_reply && from.left() == 0 => Body::Nothing,
            types::OPEN => Body::Open(Box::new(Open::read(from)?)),
            types::CLOSE => Body::Close(from.get()?),
            types::PUT => Body::Put(Box::new(Put::read(from, false)?)),
            types::PUT1 => Body::Put(Box::new(Put::read(from, true)?)),
            types::GET => Body::Get(Box::new(Get::read(from)?)),
            types::INQ => Body::Attributes(Attributes::read(from, is_reply)?),
            types::SET => Body::Attributes(Attributes::read(from, !is_reply)?),
            types::SPI => Body::Spi(Box::new(Spi::read(from, is_reply)?)),
            types::STAT => Body::Stat(Box::new(Stat::read(from)?)),
            _ => Body::Other(from.rest()),
        };
        Ok(Call { length, completion, reason, handle, body })
    }

    pub fn write(&self, into: &mut Writer, segment: u8) {
        into.big_u32(self.length);
        into.put(&self.completion);
        into.put(&self.reason);
        into.put(&self.handle);
        let is_reply = segment & types::REPLY != 0;
        match &self.body {
            Body::Nothing => {}
            Body::Conn(conn) => conn.write(into),
            Body::Open(open) => open.write(into),
            Body::Close(options) => into.put(options),
            Body::Put(put) => put.write(into),
            Body::Get(get) => get.write(into),
            Body::Attributes(attributes) => attributes.write(into),
            Body::Spi(spi) => spi.write(into, is_reply),
            Body::Stat(stat) => stat.write(into),
            Body::Other(bytes) => into.bytes(bytes),
        }
    }

    /// Writes it as a reply that `data_bytes` follow, with the length that such a reply has.
    pub fn write_reply(&mut self, into: &mut Writer, segment: u8, data_bytes: usize) {
        let begin = into.out.len();
        self.write(into, segment);
        self.length = (into.out.len() - begin + data_bytes + REPLY_LENGTH_MORE) as u32;
        into.out[begin..begin + 4].copy_from_slice(&self.length.to_be_bytes());
    }
}

layout! {
    /// The body of MQCONN.
    ConnFields {
        queue_manager: Text<48>, 1;
        application: Text<28>, 1;
        application_type: i32, 1;
        accounting_token: Raw<32>, 1;
        options: u32, 1;
        /// MQCNO_*.
        connect_options: u32, 1;
    }
}

layout! {
    /// FCNO, the head of what newer levels add to MQCONN.
    FcnoFields {
        version: u32, 1;
        capabilities: u32, 1;
        /// The program's tag in a request, the connection id in a reply.
        tag: Raw<128>, 1;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conn {
    pub fields: ConnFields,
    pub more: Option<Fcno>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fcno {
    pub fields: FcnoFields,
    /// The second tag and what follows: 0, 72, 200 or 212 bytes, depending on the level.
    pub rest: Bytes,
}

impl Conn {
    fn read(from: &mut Reader) -> Result<Conn, Malformed> {
        let fields = ConnFields::read_fields(from, 1)?;
        let more = match from.left() {
            0 => None,
            _ => {
                from.eyecatcher(b"FCNO", "no FCNO begins here")?;
                Some(Fcno { fields: FcnoFields::read_fields(from, 1)?, rest: from.rest() })
            }
        };
        Ok(Conn { fields, more })
    }

    fn write(&self, into: &mut Writer) {
        self.fields.write_fields(into, 1);
        if let Some(more) = &self.more {
            into.bytes(b"FCNO");
            more.fields.write_fields(into, 1);
            into.bytes(&more.rest);
        }
    }
}

/// MQOPEN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub od: Od,
    pub options: u32,
    pub fopa: Option<Fopa>,
    /// More data, FCMI: as it came.
    pub rest: Bytes,
}

impl Open {
    fn read(from: &mut Reader) -> Result<Open, Malformed> {
        let od = Od::read(from, None)?;
        let options = from.get()?;
        let fopa = if from.sees(b"FOPA") { Some(Fopa::read(from)?) } else { None };
        Ok(Open { od, options, fopa, rest: from.rest() })
    }

    fn write(&self, into: &mut Writer) {
        self.od.write(into);
        into.put(&self.options);
        if let Some(fopa) = &self.fopa {
            fopa.write(into);
        }
        into.bytes(&self.rest);
    }
}

/// MQPUT, and MQPUT1 with an object. A reply has the length of the data and no data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    pub od: Option<Od>,
    pub md: Md,
    pub pmo: Pmo,
    pub length: u32,
    /// As much of it as is in this segment.
    pub data: Bytes,
}

impl Put {
    fn read(from: &mut Reader, with_object: bool) -> Result<Put, Malformed> {
        let od = if with_object { Some(Od::read(from, None)?) } else { None };
        let (md, pmo) = (Md::read(from)?, Pmo::read(from)?);
        Ok(Put { od, md, pmo, length: from.get()?, data: from.rest() })
    }

    fn write(&self, into: &mut Writer) {
        if let Some(od) = &self.od {
            od.write(into);
        }
        self.md.write(into);
        self.pmo.write(into);
        into.put(&self.length);
        into.bytes(&self.data);
    }
}

/// MQGET on a channel that is not multiplexed: the length of the buffer in a request, of the message in a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Get {
    pub md: Md,
    pub gmo: Gmo,
    pub length: u32,
    pub data: Bytes,
}

impl Get {
    fn read(from: &mut Reader) -> Result<Get, Malformed> {
        Ok(Get { md: Md::read(from)?, gmo: Gmo::read(from)?, length: from.get()?, data: from.rest() })
    }

    fn write(&self, into: &mut Writer) {
        self.md.write(into);
        self.gmo.write(into);
        into.put(&self.length);
        into.bytes(&self.data);
    }
}

/// MQINQ and MQSET. Values are there in the reply of the one and in the request of the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub selectors: Vec<i32>,
    pub integer_count: u32,
    pub character_length: u32,
    pub integers: Vec<i32>,
    pub characters: Bytes,
}

impl Attributes {
    fn read(from: &mut Reader, with_values: bool) -> Result<Attributes, Malformed> {
        let (count, integer_count, character_length): (u32, u32, u32) =
            (from.get()?, from.get()?, from.get()?);
        let selectors = Attributes::numbers(from, count)?;
        let mut attributes =
            Attributes { selectors, integer_count, character_length, ..Attributes::default() };
        if with_values {
            attributes.integers = Attributes::numbers(from, integer_count)?;
            attributes.characters = from.bytes(character_length as usize)?;
        }
        Ok(attributes)
    }

    fn numbers(from: &mut Reader, count: u32) -> Result<Vec<i32>, Malformed> {
        if count as usize > from.left() / 4 {
            return Err(from.malformed("there are fewer numbers than it says"));
        }
        (0..count).map(|_| from.get()).collect()
    }

    fn write(&self, into: &mut Writer) {
        into.put(&(self.selectors.len() as u32));
        into.put(&self.integer_count);
        into.put(&self.character_length);
        self.selectors.iter().chain(&self.integers).for_each(|number| into.put(number));
        into.bytes(&self.characters);
    }
}
