//! Packs: how the message store has messages, many of them in one row.
//!
//! A row of its own for each message costs the store more than its body does. What survives a window of log is
//! therefore packed: messages of one queue and rank, in order, as one row of heads and one row of bodies
//! (`keys` draws them). A pack never changes. Which of its messages are gone is noted in a small row beside it, and the
//! pack goes when the last of them does; packs that are mostly gone are packed again (`QueueManager::repack`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use trimaran_proto::replica::v1 as wire;

use super::RowChange;
use super::command::{begin_field, field_length};
use super::keys::{self, MESSAGES_MAX, PackKey, Packed};
use super::pack_rows;
use super::slot::Slot;
use crate::types::fields::{Field, Fields, Malformed};
use crate::types::{Body, Descriptor, Index, Message, Position, QueueId, QueueManagerId, WallTime, limits};

/// A pack of several messages has no more bytes of bodies than this.
const BYTES_MAX: usize = 64 << 10;

/// What is known of a pack in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// One bit a message that is there.
    live: u64,
    /// Bytes of bodies, also of those that are gone.
    bytes: u64,
    /// Bytes of the bodies that are there.
    live_bytes: u64,
    /// The state whose rows it is first part of; 0 when it was there at start.
    written: Index,
    /// A row says which messages are gone.
    thinned: bool,
}

/// The packs of one queue.
#[derive(Debug, Default)]
pub struct Packs {
    packs: BTreeMap<PackKey, Pack>,
    /// Of all packs.
    bytes: u64,
    live_bytes: u64,
}

impl Packs {
    pub fn get(&self, key: PackKey) -> Option<&Pack> {
        self.packs.get(&key)
    }

    pub(super) fn insert(&mut self, key: PackKey, pack: Pack) {
        debug_assert!(pack.live_bytes <= pack.bytes, "what is there of a pack is a part of it");
        self.bytes += pack.bytes;
        self.live_bytes += pack.live_bytes;
        let before = self.packs.insert(key, pack);
        assert!(before.is_none(), "there was a pack {key:?} before");
    }

    /// The message left its pack. An empty pack stays until [`Packs::take_rows`] has its rows deleted.
    pub(super) fn leave(&mut self, key: PackKey, packed: Packed, body_length: u32) {
        let pack = self.packs.get_mut(&key).expect("a packed message has a pack");
        assert!(pack.live & (1 << packed.member()) != 0, "a message leaves its pack once");
        assert!(pack.live_bytes >= u64::from(body_length), "a pack has the bytes of those that are there");
        pack.live &= !(1 << packed.member());
        pack.live_bytes -= u64::from(body_length);
        self.live_bytes -= u64::from(body_length);
    }

    /// What is gone takes more room than what is there, by more than this.
    pub fn waste_more_than(&self, bytes: u64) -> bool {
        debug_assert!(self.live_bytes <= self.bytes, "what is there of all packs is a part of them");
        self.bytes > 2 * self.live_bytes + bytes
    }

    /// Forgets this many packs, and nothing of them is counted any more. False when none are left.
    pub(super) fn drop_first(&mut self, count: usize) -> bool {
        for _ in 0..count {
            if self.packs.pop_first().is_none() {
                return false;
            }
        }
        !self.packs.is_empty()
    }

    /// Brings the rows of packs that messages left up to date: `touched`, in order. `sparse` learns which of them are
    /// mostly gone.
    pub(super) fn take_rows(
        &mut self,
        manager: QueueManagerId,
        touched: &[PackKey],
        sparse: &mut BTreeSet<PackKey>,
        changes: &mut Vec<RowChange>,
    ) {
        debug_assert!(touched.is_sorted(), "packs are touched in order");
        let mut gone: Vec<(PackKey, Pack)> = Vec::new();
        for key in touched {
            let Some(pack) = self.packs.get_mut(key) else { continue };
            if pack.live == 0 {
                let pack = self.packs.remove(key).expect("just seen");
                assert_eq!(pack.live_bytes, 0, "nothing is there of a pack whose messages are all gone");
                self.bytes -= pack.bytes;
                sparse.remove(key);
                gone.push((*key, pack));
            } else {
                pack.thinned = true;
                if pack.is_sparse() {
                    sparse.insert(*key);
                }
                changes.push(pack_rows::pack_thinned(manager, *key, pack.live));
            }
        }
        let mut rest = gone.as_slice();
        while let [(first, pack), ..] = rest {
            let neighbours = rest.windows(2).take_while(|pair| self.are_neighbours(pair[0].0, pair[1].0));
            let (run, behind) = rest.split_at(1 + neighbours.count());
            match run {
                [.., (last, _)] if run.len() > 1 => pack_rows::packs_gone(manager, *first, *last, changes),
                _ => pack_rows::pack_gone(manager, *first, keys::chunks(pack.bytes), changes),
            }
            for (key, _) in run.iter().filter(|(_, pack)| pack.thinned) {
                changes.push(pack_rows::pack_thinned_gone(manager, *key));
            }
            rest = behind;
        }
    }

    /// No pack lies between.
    fn are_neighbours(&self, one: PackKey, next: PackKey) -> bool {
        debug_assert!(one <= next, "neighbours are asked for in order");
        self.packs.range(one..next).next().is_none()
    }

    /// What must hold: says what does not.
    pub fn check<'a>(
        &self,
        queue: QueueId,
        slots: impl Iterator<Item = (Position, &'a Slot)>,
    ) -> Result<(), String> {
        let mut seen: BTreeMap<PackKey, (u64, u64)> = BTreeMap::new();
        for (position, slot) in slots {
            if let Some(packed) = slot.packed {
                let (live, bytes) = seen.entry(packed.key(queue, position)).or_default();
                *live |= 1 << packed.member();
                *bytes += u64::from(slot.body_length);
            }
        }
        for (key, pack) in &self.packs {
            let (live, bytes) = seen.remove(key).unwrap_or_default();
            if (live, bytes) != (pack.live, pack.live_bytes) {
                return Err(format!("{key:?} is {pack:?} and the queue has {live:b}, {bytes} bytes"));
            }
        }
        seen.first_key_value().map_or(Ok(()), |(key, _)| Err(format!("{key:?} is not there")))
    }
}

impl Pack {
    pub fn live(&self) -> u32 {
        self.live.count_ones()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// A message left before its pack was there.
    pub(super) fn forget(&mut self, packed: Packed, body_length: u32) {
        debug_assert!(self.live & (1 << packed.member()) != 0, "a message leaves its pack once");
        assert!(self.live_bytes >= u64::from(body_length), "a pack has the bytes of those that are there");
        self.live &= !(1 << packed.member());
        self.live_bytes -= u64::from(body_length);
    }

    /// Half of it or more is gone.
    pub(super) fn is_sparse(&self) -> bool {
        self.thinned && self.live_bytes <= self.bytes / 2
    }

    /// Its rows are part of the state at this index, and of later ones.
    pub fn written(&self) -> Index {
        self.written
    }
}

/// Packs messages of many queues, each queue and rank in the order in which they are appended.
#[derive(Debug, Default)]
pub(super) struct Packer {
    manager: QueueManagerId,
    /// The state whose rows are made.
    index: Index,
    open: BTreeMap<(QueueId, u8), OpenPack>,
    /// Where the heads of all packs are written, a large piece at a time: a window has tens of thousands of them, and
    /// they all go at once.
    memory: BytesMut,
}

#[derive(Debug)]
struct OpenPack {
    first: u64,
    heads: Vec<u8>,
    bodies: Vec<Bytes>,
    members: Vec<Position>,
    bytes: usize,
}

/// A pack whose rows are made, with all its messages.
pub(super) struct Closed {
    pub key: PackKey,
    pub pack: Pack,
    pub members: Vec<Position>,
}

impl Packer {
    pub fn new(manager: QueueManagerId, index: Index) -> Packer {
        debug_assert!(index > Index(0), "rows are of a state behind some entry");
        Packer { manager, index, open: BTreeMap::new(), memory: BytesMut::new() }
    }

    /// The slot has its message, which was backed out so often. A pack that is full without it comes back.
    pub fn append(
        &mut self,
        queue: QueueId,
        position: Position,
        slot: &Slot,
        backout_count: u32,
        changes: &mut Vec<RowChange>,
    ) -> Option<Closed> {
        let message = slot.message.as_deref().expect("not released before it is packed");
        assert!(position.is_persistent(), "only persistent messages are packed");
        debug_assert!(slot.packed.is_none(), "a message is in one pack at a time");
        let length = message.body.len();
        let rank = position.rank;
        let mut full = None;
        if let Some(open) = self.open.get(&(queue, rank))
            && (open.members.len() == MESSAGES_MAX || open.bytes + length > BYTES_MAX)
        {
            full = self.close(queue, rank, changes);
        }
        let open = self.open.entry((queue, rank)).or_insert_with(|| OpenPack {
            first: position.sequence,
            heads: Vec::with_capacity(4 << 10),
            bodies: Vec::with_capacity(MESSAGES_MAX),
            members: Vec::with_capacity(MESSAGES_MAX),
            bytes: 0,
        });
        assert!(position.sequence >= open.first, "the messages of a pack are appended in order");
        let expires_ms = slot.expires().map_or(0, |at| at.0);
        let behind = position.sequence - open.first;
        encode_head(message, backout_count, expires_ms, behind, &mut open.heads);
        open.bodies.extend(message.body.parts().iter().cloned());
        open.members.push(position);
        open.bytes += length;
        debug_assert!(
            open.members.len() == 1 || open.bytes <= BYTES_MAX,
            "a pack of several messages is short"
        );
        full
    }

    fn close(&mut self, queue: QueueId, rank: u8, changes: &mut Vec<RowChange>) -> Option<Closed> {
        let open = self.open.remove(&(queue, rank))?;
        let messages = open.members.len();
        assert!((1..=MESSAGES_MAX).contains(&messages), "a pack that is open has messages");
        let live = u64::MAX >> (MESSAGES_MAX - messages);
        const PIECE: usize = 256 << 10;
        if self.memory.capacity() < open.heads.len() {
            self.memory = BytesMut::with_capacity(open.heads.len().max(PIECE));
        }
        self.memory.put_slice(&open.heads);
        let heads = self.memory.split().freeze();
        let key = PackKey { queue, rank, first: open.first };
        pack_rows::pack_rows(self.manager, key, heads, open.bodies, changes);
        let bytes = open.bytes as u64;
        let pack = Pack { live, bytes, live_bytes: bytes, written: self.index, thinned: false };
        Some(Closed { key, pack, members: open.members })
    }

    /// Closes one that is open; None when none is.
    pub fn close_first(&mut self, changes: &mut Vec<RowChange>) -> Option<Closed> {
        let (queue, rank) = *self.open.first_key_value()?.0;
        self.close(queue, rank, changes)
    }
}

/// Appends one `HeadRow` of a `PackRow`, without making a descriptor that is encoded once and dropped.
fn encode_head(message: &Message, backout_count: u32, expires_ms: i64, behind: u64, into: &mut Vec<u8>) {
    let rest = wire::HeadRow {
        descriptor: None,
        body_length: message.body.len() as u64,
        body_crc32c: message.body_crc,
        expires_ms,
        behind,
    };
    let descriptor = message.descriptor.encoded(backout_count);
    begin_field(1, field_length(descriptor.len()) + rest.encoded_len(), into);
    begin_field(1, descriptor.len(), into);
    descriptor.put(into);
    rest.encode_raw(into);
}

/// A head as it was written by [`encode_head`].
struct Head {
    descriptor: Descriptor,
    body_length: u64,
    body_crc: u32,
    expires_ms: i64,
    behind: u64,
}

/// The heads of a `PackRow`. An error says what is wrong.
fn decode_heads(row: &Bytes) -> Result<Vec<Head>, String> {
    let text = |error: Malformed| format!("pack row: {error}");
    let mut heads = Vec::with_capacity(MESSAGES_MAX);
    for field in Fields::of(row) {
        let field = field.map_err(text)?;
        if field.tag == 1 {
            heads.push(decode_head(row, field.value.bytes()).map_err(text)?);
        }
    }
    let is_none = |head: &Head| {
        head.body_length > limits::BODY_BYTES_MAX as u64 || head.behind > Position::SEQUENCE_MAX
    };
    let follow = heads.windows(2).all(|pair| pair[0].behind < pair[1].behind);
    if !follow || heads.iter().any(is_none) {
        return Err("pack row: its messages do not fit together".into());
    }
    Ok(heads)
}

fn decode_head(row: &Bytes, at: &[u8]) -> Result<Head, Malformed> {
    let mut head =
        Head { descriptor: Descriptor::default(), body_length: 0, body_crc: 0, expires_ms: 0, behind: 0 };
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => head.descriptor = Descriptor::from_encoded(row, value.bytes())?,
            2 => head.body_length = value.number(),
            3 => head.body_crc = value.number() as u32,
            5 => head.expires_ms = value.number() as i64,
            6 => head.behind = value.number(),
            _ => {}
        }
    }
    Ok(head)
}

/// One message of a pack. An error says what is wrong with it.
#[derive(Debug)]
pub struct Unpacked {
    pub sequence: u64,
    pub message: Result<Message, String>,
}

/// The messages of a pack's rows. An error says what is wrong with all of them.
pub fn unpack(first: u64, heads: &Bytes, bodies: Vec<Bytes>) -> Result<Vec<Unpacked>, String> {
    let heads = decode_heads(heads)?;
    let bodies = Body::from_parts(bodies);
    let packed: u64 = heads.iter().map(|head| head.body_length).sum();
    if packed != bodies.len() as u64 {
        return Err(format!("the bodies of the pack have {} bytes and should have {packed}", bodies.len()));
    }
    let mut from = 0;
    let message = |head: Head| {
        let body = bodies.slice(from, head.body_length as usize);
        from += head.body_length as usize;
        let message = match body.crc32c() == head.body_crc {
            true => Ok(Message { descriptor: head.descriptor, body, body_crc: head.body_crc }),
            false => Err("the body does not have the checksum it was put with".into()),
        };
        Unpacked { sequence: first + head.behind, message }
    };
    Ok(heads.into_iter().map(message).collect())
}

/// The pack of a row of heads at start, and the slots of those of its messages that are there. `live` is what
/// [`pack_rows::pack_thinned`] wrote, if it did.
pub(super) fn load(first: u64, heads: &[u8], live: Option<u64>) -> Result<(Pack, Vec<(u64, Slot)>), String> {
    let heads = decode_heads(&Bytes::copy_from_slice(heads))?;
    if heads.is_empty() || heads.len() > MESSAGES_MAX || !(1..=Position::SEQUENCE_MAX).contains(&first) {
        return Err(format!("a pack of {} messages at {first}", heads.len()));
    }
    let all = u64::MAX >> (MESSAGES_MAX - heads.len());
    let live_or_all = live.unwrap_or(all);
    if live_or_all & !all != 0 {
        return Err(format!("of a pack of {} messages are there {live_or_all:b}", heads.len()));
    }
    let mut pack = Pack {
        live: live_or_all,
        bytes: heads.iter().map(|head| head.body_length).sum(),
        live_bytes: 0,
        written: Index(0),
        thinned: live.is_some(),
    };
    let mut slots = Vec::with_capacity(heads.len());
    for (member, head) in heads.into_iter().enumerate() {
        if pack.live & (1 << member) != 0 {
            pack.live_bytes += head.body_length;
            slots.push((first + head.behind, slot_of(head, Packed::new(first, member))));
        }
    }
    Ok((pack, slots))
}

fn slot_of(head: Head, packed: Packed) -> Slot {
    let expires = (head.expires_ms != 0).then_some(WallTime(head.expires_ms));
    let mut slot = Slot::of(&head.descriptor, head.body_length as u32, expires);
    slot.packed = Some(packed);
    slot
}
