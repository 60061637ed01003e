//! How messages are got on a multiplexed channel: a client requests them for a handle, they come one by one.

use bytes::Bytes;

use super::message::Md;
use super::wire::{Field, Malformed, Raw, Reader, Writer, layout};

/// Flags of [`RequestMessages`]. A selection follows.
pub const WITH_SELECTION: u32 = 0x10;
/// A program waits for the message: an MQGET. Without it a program is called when there is a message (MQCB, a JMS listener).
pub const SYNCHRONOUS: u32 = 0x08;
/// Callbacks of the client's connection run. A client that is about to stop them (MQCTL) asks without it.
pub const STARTED: u32 = 0x01;

/// MQMO_*: which of the ids of a [`Selection`] are there.
pub mod matching {
    pub const MESSAGE_ID: u32 = 0x01;
    pub const CORRELATION_ID: u32 = 0x02;
    pub const GROUP_ID: u32 = 0x04;
    pub const SEQUENCE_NUMBER: u32 = 0x08;
    pub const OFFSET: u32 = 0x10;
    pub const TOKEN: u32 = 0x20;
}

/// Bits of [`FirstFields::status`], from which a client makes GroupStatus, SegmentStatus and Segmentation of its MQGMO. There are more,
/// for segments.
pub mod status {
    pub const MESSAGE: u16 = 0x01;
    pub const IN_GROUP: u16 = 0x10;
    pub const LAST_IN_GROUP: u16 = 0x20;
}

layout! {
    RequestFields {
        version: u32, 1;
        handle: i32, 1;
        /// What the client consumed since its last request for the handle.
        received_bytes: u32, 1;
        /// What it has room for; 1 is one message.
        requested_bytes: u32, 1;
        /// -1 for any.
        message_bytes_max: i32, 1;
        /// MQGMO_*.
        options: u32, 1;
        /// Milliseconds; -1 is for ever.
        wait_interval: i32, 1;
        queue_status: u32, 1;
        flags: u32, 1;
        /// The last one that was received.
        global_index: u32, 1;
    }
}

layout! {
    SelectionFields {
        index: u16, 1;
        /// The version of MQMD that is wanted.
        md_version: u16, 1;
        ccsid: i32, 1;
        encoding: i32, 1;
        sequence_number: i32, 1;
        offset: i32, 1;
        /// Bits of [`matching`].
        match_options: u32, 1;
    }
}

/// Which messages, and in which form; in force until the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub fields: SelectionFields,
    pub message_id: Raw<24>,
    pub correlation_id: Raw<24>,
    pub group_id: Raw<24>,
    pub token: Raw<16>,
}

/// REQUEST_MSGS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMessages {
    pub fields: RequestFields,
    pub selection: Option<Selection>,
}

impl RequestMessages {
    pub fn read(from: &mut Reader) -> Result<RequestMessages, Malformed> {
        let fields = RequestFields::read_fields(from, 1)?;
        let selection = match fields.flags & WITH_SELECTION {
            0 => None,
            _ => Some(Selection::read(from)?),
        };
        Ok(RequestMessages { fields, selection })
    }

    pub fn write(&self, into: &mut Writer) {
        self.fields.write_fields(into, 1);
        if let Some(selection) = &self.selection {
            selection.write(into);
        }
    }
}

impl Selection {
    fn read(from: &mut Reader) -> Result<Selection, Malformed> {
        let fields = SelectionFields::read_fields(from, 1)?;
        fn some<F: Field + Default>(from: &mut Reader, is_there: bool) -> Result<F, Malformed> {
            if is_there { from.get() } else { Ok(F::default()) }
        }
        let has = |bit| fields.match_options & bit != 0;
        Ok(Selection {
            message_id: some(from, has(matching::MESSAGE_ID))?,
            correlation_id: some(from, has(matching::CORRELATION_ID))?,
            group_id: some(from, has(matching::GROUP_ID))?,
            token: some(from, has(matching::TOKEN))?,
            fields,
        })
    }

    fn write(&self, into: &mut Writer) {
        self.fields.write_fields(into, 1);
        let has = |bit| self.fields.match_options & bit != 0;
        if has(matching::MESSAGE_ID) {
            into.put(&self.message_id);
        }
        if has(matching::CORRELATION_ID) {
            into.put(&self.correlation_id);
        }
        if has(matching::GROUP_ID) {
            into.put(&self.group_id);
        }
        if has(matching::TOKEN) {
            into.put(&self.token);
        }
    }
}

layout! {
    /// What every segment of a message begins with.
    PartFields {
        version: u32, 1;
        handle: i32, 1;
        index: u32, 1;
        global_index: u32, 1;
        /// Bytes of message data in this segment.
        data_bytes: u32, 1;
        /// 0 for the first segment of a message.
        segment_index: u16, 1;
        selection_index: u16, 1;
    }
}

layout! {
    /// What the first segment has more.
    FirstFields {
        reason: i32, 1;
        /// Bytes that are delivered, in all segments: 0 with a reason why nothing is.
        delivered_bytes: u32, 1;
        /// Bytes of the message on the queue. A client that is told fewer than it needs asks for as many again, for ever.
        message_bytes: u32, 1;
        token: Raw<16>, 1;
        status: u16, 1;
    }
}

/// ASYNC_MESSAGE: a message, or one segment of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsyncMessage {
    pub part: PartFields,
    /// In the first segment only.
    pub first: Option<First>,
    pub data: Bytes,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct First {
    pub fields: FirstFields,
    pub resolved_queue: Bytes,
    /// None when no message comes, but a reason.
    pub md: Option<Md>,
}

impl AsyncMessage {
    pub fn read(from: &mut Reader) -> Result<AsyncMessage, Malformed> {
        let part = PartFields::read_fields(from, 1)?;
        let first = if part.segment_index == 0 { Some(First::read(from)?) } else { None };
        Ok(AsyncMessage { data: from.bytes(part.data_bytes as usize)?, part, first })
    }

    pub fn write(&self, into: &mut Writer) {
        self.part.write_fields(into, 1);
        if let Some(first) = &self.first {
            first.write(into);
        }
        into.bytes(&self.data);
    }
}

impl First {
    fn read(from: &mut Reader) -> Result<First, Malformed> {
        let fields = FirstFields::read_fields(from, 1)?;
        let length: u8 = from.get()?;
        let resolved_queue = from.bytes(usize::from(length))?;
        // Whatever is there up to a multiple of 4.
        from.bytes(from.at().next_multiple_of(4) - from.at())?;
        let md = if from.sees(b"MD  ") { Some(Md::read(from)?) } else { None };
        Ok(First { fields, resolved_queue, md })
    }

    fn write(&self, into: &mut Writer) {
        self.fields.write_fields(into, 1);
        into.put(&(self.resolved_queue.len() as u8));
        into.bytes(&self.resolved_queue);
        into.pad(0);
        if let Some(md) = &self.md {
            md.write(into);
        }
    }
}
