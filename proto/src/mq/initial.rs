//! INITIAL DATA: what both ends of a channel can, and what they agree on.

use super::wire::{Field, Malformed, Raw, Reader, Text, Writer, layout};

/// Capability flags 1.
pub const CAN_CONVERT: u8 = 0x02;
pub const CAN_SPLIT: u8 = 0x04;
/// This is an MQI channel: a client's, not another queue manager's.
pub const MQ_REQUEST: u8 = 0x20;
/// Capability flags 2.
pub const DISTRIBUTION_LISTS: u8 = 0x01;
pub const XA_REQUEST: u8 = 0x10;
pub const SPI_REQUEST: u8 = 0x40;
/// Capability flags 3.
pub const SYNCHRONOUS_GET: u8 = 0x08;
pub const GENERATES_TAG: u8 = 0x20;

/// Initial error flags 1: these values were not acceptable.
pub const WRONG_CCSID: u8 = 0x01;
pub const WRONG_SEGMENT_BYTES: u8 = 0x04;
pub const WRONG_FAP: u8 = 0x08;
pub const WRONG_MESSAGE_BYTES: u8 = 0x10;
pub const WRONG_HEARTBEAT: u8 = 0x80;

/// How large an ID structure is: it grew with the protocol. Told by its length, not by its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// 44 bytes, levels 1 to 3.
    First = 1,
    /// 102 bytes, levels 4 to 8.
    WithHeartbeat,
    /// 208 bytes, levels 9 to 12.
    WithConversations,
    /// 240 bytes, level 13 and later.
    #[default]
    WithProtection,
}

impl Size {
    /// The size that belongs to a level.
    pub fn of_level(level: u8) -> Size {
        match level {
            0..=3 => Size::First,
            4..=8 => Size::WithHeartbeat,
            9..=12 => Size::WithConversations,
            _ => Size::WithProtection,
        }
    }

    fn of_length(length: usize) -> Option<Size> {
        match length {
            44..=101 => Some(Size::First),
            102..=207 => Some(Size::WithHeartbeat),
            208..=239 => Some(Size::WithConversations),
            240.. => Some(Size::WithProtection),
            _ => None,
        }
    }
}

layout! {
    /// The fields of an ID structure. What is said of both ends is in the names of the specification of channels
    /// (MQCD): MaxMsgLength, HeartbeatInterval, SharingConversations.
    Fields {
        /// The level of the protocol.
        fap: u8, 1;
        capabilities1: u8, 1;
        /// Capabilities of the other end that this end refuses.
        refused1: u8, 1;
        errors1: u8, 1;
        reserved1: u16, 1;
        batch_messages_max: u16, 1;
        segment_bytes_max: u32, 1;
        message_bytes_max: u32, 1;
        sequence_wrap: u32, 1;
        channel: Text<20>, 1;
        capabilities2: u8, 2;
        refused2: u8, 2;
        ccsid: u16, 2;
        queue_manager: Text<48>, 2;
        /// Seconds; 0 switches heartbeats off.
        heartbeat: u32, 2;
        /// Bytes that follow, as some ends say them.
        more_bytes: u16, 2;
        errors2: u8, 3;
        reserved2: u8, 3;
        /// Codes in order of preference; 0 is none, 0xFF an empty place.
        header_compression: Raw<2>, 3;
        message_compression: Raw<16>, 3;
        reserved3: u16, 3;
        key_reset_count: u32, 3;
        /// SHARECNV.
        conversations: i32, 3;
        capabilities3: u8, 3;
        refused3: u8, 3;
        reserved4: u16, 3;
        process: u32, 3;
        thread: u32, 3;
        trace: u32, 3;
        /// Four letters and VVRRMMFF.
        product: Text<12>, 3;
        /// The queue manager's identifier (QMID).
        identifier: Text<48>, 3;
        /// Ways to protect a password, ten numbers in order of preference; 0xFFFF is an empty place.
        protections: Protections, 4;
        /// What this end adds to them at random.
        protection_salt: Raw<12>, 4;
    }
}

/// The list of [`Fields::protections`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protections(pub [u16; 10]);

impl Default for Protections {
    fn default() -> Protections {
        Protections([0xFFFF; 10])
    }
}

impl Field for Protections {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let mut list = Protections::default();
        for place in &mut list.0 {
            *place = from.get()?;
        }
        Ok(list)
    }

    fn write(&self, into: &mut Writer) {
        self.0.iter().for_each(|algorithm| into.put(algorithm));
    }
}

/// The body of INITIAL DATA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initial {
    pub size: Size,
    pub fields: Fields,
}

impl Initial {
    pub fn read(from: &mut Reader) -> Result<Initial, Malformed> {
        let size = Size::of_length(from.left()).ok_or(from.malformed("an ID has 44 bytes at least"))?;
        from.eyecatcher(b"ID  ", "no ID begins here")?;
        Ok(Initial { size, fields: Fields::read_fields(from, size as u32)? })
    }

    pub fn write(&self, into: &mut Writer) {
        into.bytes(b"ID  ");
        self.fields.write_fields(into, self.size as u32);
    }
}
