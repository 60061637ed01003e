//! The message: its descriptor (MQMD version 2) and its body.

use bytes::Bytes;
use trimaran_proto::message::v1 as wire;

use super::{Reason, WallTime};

macro_rules! padded_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 24]);

        impl $name {
            /// Pads with zeros, as MQ does. None when there are more than 24 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<$name> {
                let mut id = [0; 24];
                id.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some($name(id))
            }

            /// All zeros: MQMI_NONE, MQCI_NONE, MQGI_NONE.
            pub fn is_none(&self) -> bool {
                self.0 == [0; 24]
            }

            /// Without the zeros at the end; empty when none.
            pub fn trimmed(&self) -> &[u8] {
                let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                &self.0[..end]
            }
        }
    };
}

padded_id!(/// MsgId.
    MessageId);
padded_id!(/// CorrelId.
    CorrelationId);
padded_id!(/// GroupId.
    GroupId);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persistence {
    /// As DEFPSIST of the queue says; never on a message that was placed.
    #[default]
    AsQueue,
    Persistent,
    NotPersistent,
}

/// A body in one piece (the usual case) or in the chunks it was staged in. Cloning copies no bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    parts: Vec<Bytes>,
    length: usize,
}

impl Body {
    pub fn from_parts(parts: Vec<Bytes>) -> Body {
        let length = parts.iter().map(Bytes::len).sum();
        Body { parts, length }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// One piece; copies only when there are several.
    pub fn to_bytes(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut joined = Vec::with_capacity(self.length);
                many.iter().for_each(|part| joined.extend_from_slice(part));
                joined.into()
            }
        }
    }

    pub fn crc32c(&self) -> u32 {
        self.parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
    }

    /// The first `length` bytes.
    pub fn truncated(&self, length: usize) -> Body {
        let mut left = length;
        let mut parts = Vec::new();
        for part in &self.parts {
            if left == 0 {
                break;
            }
            let taken = part.slice(..part.len().min(left));
            left -= taken.len();
            parts.push(taken);
        }
        Body::from_parts(parts)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        let length = bytes.len();
        Body { parts: if length == 0 { Vec::new() } else { vec![bytes] }, length }
    }
}

/// MQMD version 2 in the form the node works with. What it does not look into stays as it came (`rest`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descriptor {
    pub message_id: MessageId,
    pub correlation_id: CorrelationId,
    pub group_id: GroupId,
    /// None: DEFPRTY of the queue. Always Some on a message that was placed.
    pub priority: Option<u8>,
    pub persistence: Persistence,
    /// Tenths of a second from the put; None is unlimited.
    pub expiry: Option<u32>,
    pub backout_count: u32,
    pub put_at: WallTime,
    /// Every other field; those above are at their defaults in it.
    pub rest: Box<wire::Descriptor>,
}

impl Descriptor {
    /// Checks what MQ checks. The reason says which field is wrong.
    pub fn from_wire(mut wire: wire::Descriptor) -> Result<Descriptor, Reason> {
        let message_id = MessageId::from_slice(&wire.message_id).ok_or(Reason::MsgIdError)?;
        let correlation_id = CorrelationId::from_slice(&wire.correlation_id).ok_or(Reason::CorrelIdError)?;
        let group_id = GroupId::from_slice(&wire.group_id).ok_or(Reason::GroupIdError)?;
        let priority = match wire.priority {
            None => None,
            Some(priority @ 0..=9) => Some(priority as u8),
            Some(_) => return Err(Reason::PriorityError),
        };
        if wire.expiry == Some(0) {
            return Err(Reason::ExpiryError);
        }
        if wire.format.len() > 8 {
            return Err(Reason::FormatError);
        }
        let too_long = wire.reply_to_queue.len() > 48
            || wire.reply_to_queue_manager.len() > 48
            || wire.user_identifier.len() > 12
            || wire.accounting_token.len() > 32
            || wire.application_identity_data.len() > 32
            || wire.put_application_name.len() > 28
            || wire.application_origin_data.len() > 4;
        if too_long {
            return Err(Reason::MdError);
        }
        let persistence = match wire.persistence {
            0 => Persistence::AsQueue,
            1 => Persistence::Persistent,
            2 => Persistence::NotPersistent,
            _ => return Err(Reason::PersistenceError),
        };
        let descriptor = Descriptor {
            message_id,
            correlation_id,
            group_id,
            priority,
            persistence,
            expiry: wire.expiry,
            backout_count: wire.backout_count,
            put_at: WallTime(wire.put_time_ms),
            rest: {
                // The ids are slices of the frame they came in; kept, they would keep the whole frame alive.
                wire.message_id = Bytes::new();
                wire.correlation_id = Bytes::new();
                wire.group_id = Bytes::new();
                wire.priority = None;
                wire.persistence = 0;
                wire.expiry = None;
                wire.backout_count = 0;
                wire.put_time_ms = 0;
                Box::new(wire)
            },
        };
        Ok(descriptor)
    }

    pub fn to_wire(&self) -> wire::Descriptor {
        let mut wire = (*self.rest).clone();
        self.complete(&mut wire);
        wire
    }

    pub fn into_wire(mut self) -> wire::Descriptor {
        let mut wire = std::mem::take(&mut *self.rest);
        self.complete(&mut wire);
        wire
    }

    /// Sets the fields that are not in `rest`.
    fn complete(&self, wire: &mut wire::Descriptor) {
        wire.message_id = Bytes::copy_from_slice(self.message_id.trimmed());
        wire.correlation_id = Bytes::copy_from_slice(self.correlation_id.trimmed());
        wire.group_id = Bytes::copy_from_slice(self.group_id.trimmed());
        wire.priority = self.priority.map(u32::from);
        wire.persistence = match self.persistence {
            Persistence::AsQueue => 0,
            Persistence::Persistent => 1,
            Persistence::NotPersistent => 2,
        };
        wire.expiry = self.expiry;
        wire.backout_count = self.backout_count;
        wire.put_time_ms = self.put_at.0;
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub descriptor: Descriptor,
    pub body: Body,
    /// CRC-32C of the body as its producer (or the first node) made it.
    pub body_crc: u32,
}

impl Message {
    /// An approximation of what the message takes in memory and in the log.
    pub fn weight(&self) -> usize {
        self.body.len() + 128
    }
}
