//! Where things lie in the message store: the keys of all rows.
//!
//! ```text
//! State   id(4) 'M'                                          ManagerRow
//!         id(4) 'q' queue(4)                                 QueueRow
//!         id(4) 'd' kind(1) name 0 key                       Definition, of everything but local queues
//!         id(4) 'p' producer                                 ProducerRow
//!         id(4) 'f' hash of a producer's name(16)            ProducerNameRow
//!         id(4) 'o' number(8)                                OutcomeRow
//!         id(4) 's' number(8) chunk(4)                       staged bytes
//!         id(4) 'v' number(8)                                Failover
//!         id(4) 'w' number(8)                                Classified, of the failover of that number
//!         id(4) 'a' number(8)                                AuditRecord
//!         id(4) 'c'                                          Canary
//!         id(4) 'g' id of a queue manager(4)                 Registered
//!         id(4) 'b' queue(4) rank(1) sequence(8)             backout count(4), where it grew after the pack was written
//!         id(4) 't' queue(4) rank(1) first(8)                one bit a message of the pack that is still there(8)
//!         id(4) "meta"                                       SnapshotMeta, written by the store itself
//! Heads   id(4) queue(4) rank(1) first(8)                    PackRow; first is the sequence of its first message
//! Bodies  id(4) queue(4) rank(1) first(8) chunk(4)           bodies of the pack, one behind the other
//! ```
//! All numbers are big-endian, so that the order of keys is the order of delivery.

use std::num::NonZeroU64;

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::definition::ObjectRef;
use crate::types::{Position, QueueId, QueueManagerId, limits};

/// Messages of a pack: as many as the bits that say which of them are there.
pub(super) const MESSAGES_MAX: usize = 64;
const _: () = assert!(MESSAGES_MAX == u64::BITS as usize, "each message of a pack has a bit");
const _: () = assert!(
    Position::SEQUENCE_MAX < u64::MAX / MESSAGES_MAX as u64,
    "a sequence shares a number with a member"
);
/// A pack's name: its queue, its rank, the sequence of its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackKey {
    pub queue: QueueId,
    pub rank: u8,
    pub first: u64,
}

/// Which message of which pack: the sequence of the pack's first, and the member, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed(NonZeroU64);

impl Packed {
    pub(super) fn new(first: u64, member: usize) -> Packed {
        assert!(
            first <= Position::SEQUENCE_MAX && member < MESSAGES_MAX,
            "member {member} of a pack at {first}"
        );
        let number = first * MESSAGES_MAX as u64 + member as u64;
        Packed(NonZeroU64::new(number).expect("sequences begin at 1"))
    }

    pub(super) fn member(self) -> u32 {
        (self.0.get() % MESSAGES_MAX as u64) as u32
    }

    /// The pack of a message that stands here.
    pub fn key(&self, queue: QueueId, position: Position) -> PackKey {
        let first = self.0.get() / MESSAGES_MAX as u64;
        debug_assert!(first <= position.sequence, "a pack begins with its first message");
        PackKey { queue, rank: position.rank, first }
    }
}

pub fn state_key(id: QueueManagerId, tag: u8, rest: &[u8]) -> Bytes {
    debug_assert_ne!(tag, b'm', "what a snapshot is of is the store's own row");
    let mut key = BytesMut::with_capacity(5 + rest.len());
    key.put_u32(id.0);
    key.put_u8(tag);
    key.put_slice(rest);
    key.freeze()
}

/// Of the row of a definition. Names and keys have no zero byte.
pub fn definition_key(id: QueueManagerId, object: &ObjectRef) -> Bytes {
    let mut rest = BytesMut::with_capacity(2 + object.name.len() + object.key.len());
    rest.put_u8(object.kind as u8);
    rest.put_slice(object.name.as_bytes());
    rest.put_u8(0);
    rest.put_slice(object.key.as_bytes());
    debug_assert_eq!(
        rest.iter().filter(|byte| **byte == 0).count(),
        1,
        "a zero ends the name, and only that"
    );
    state_key(id, b'd', &rest)
}

/// Of the row of a pack's heads.
pub fn heads_key(id: QueueManagerId, pack: PackKey) -> Bytes {
    pack_key(id, pack, None)
}

/// Of one of the rows of a pack's bodies.
pub fn bodies_key(id: QueueManagerId, pack: PackKey, chunk: u32) -> Bytes {
    pack_key(id, pack, Some(chunk))
}

fn pack_key(id: QueueManagerId, pack: PackKey, chunk: Option<u32>) -> Bytes {
    debug_assert!(pack.first > 0, "messages are numbered from 1 on");
    let mut key = BytesMut::with_capacity(21);
    key.put_u32(id.0);
    key.put_u32(pack.queue.0);
    key.put_u8(pack.rank);
    key.put_u64(pack.first);
    if let Some(chunk) = chunk {
        key.put_u32(chunk);
    }
    key.freeze()
}

pub(super) fn queue_prefix(id: QueueManagerId, queue: u64) -> Bytes {
    debug_assert!(queue <= u64::from(u32::MAX) + 1, "a prefix ends behind the last queue at most");
    let mut key = BytesMut::with_capacity(8);
    key.put_u64((u64::from(id.0) << 32) + queue);
    key.freeze()
}

/// How many body rows a pack with so many bytes of bodies has.
pub fn chunks(bytes: u64) -> u32 {
    bytes.div_ceil(limits::CHUNK_BYTES as u64) as u32
}

pub(super) fn message_state_key(
    manager: QueueManagerId,
    tag: u8,
    queue: QueueId,
    rank: u8,
    sequence: u64,
) -> Bytes {
    debug_assert!(tag == b'b' || tag == b't', "beside messages lie backout counts and what is thinned");
    debug_assert!(sequence > 0, "messages are numbered from 1 on");
    let mut key = BytesMut::with_capacity(18);
    key.put_u32(manager.0);
    key.put_u8(tag);
    key.put_u32(queue.0);
    key.put_u8(rank);
    key.put_u64(sequence);
    key.freeze()
}
