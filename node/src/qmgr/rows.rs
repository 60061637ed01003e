//! The queue manager as rows of the message store, and back.
//!
//! ```text
//! State   id(4) 'M'                                          ManagerRow
//!         id(4) 'q' queue(4)                                 QueueRow
//!         id(4) 'p' producer                                 ProducerRow
//!         id(4) 'o' number(8)                                OutcomeRow
//!         id(4) 's' number(8) chunk(4)                       staged bytes
//!         id(4) 'b' queue(4) rank(1) sequence(8)             backout count(4), where it grew after the head was written
//!         id(4) "meta"                                       SnapshotMeta, written by the store itself
//! Heads   id(4) queue(4) rank(1) sequence(8)                 HeadRow
//! Bodies  id(4) queue(4) rank(1) sequence(8) chunk(4)        body bytes
//! ```
//! All numbers are big-endian, so that the order of keys is the order of delivery.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use trimaran_proto::replica::v1 as wire;

use super::command::{definition_from_wire, definition_to_wire, optional_name};
use super::producers::Producer;
use super::queue::{Queue, Slot};
use super::{Family, QueueManager, RowChange, RowSource, StoreReadError};
use crate::types::{
    Body, Descriptor, Message, MessageId, ObjectName, Position, ProducerId, QueueId, QueueManagerId,
    StagedBodyId, UnitId, WallTime, limits,
};

/// Runs of removed messages from this length on go with one range delete.
const RANGE_DELETE_MIN: usize = 32;

pub fn state_key(id: QueueManagerId, tag: u8, rest: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(5 + rest.len());
    key.put_u32(id.0);
    key.put_u8(tag);
    key.put_slice(rest);
    key.freeze()
}

const HEAD_KEY_BYTES: usize = 17;
const BODY_KEY_BYTES: usize = HEAD_KEY_BYTES + 4;

pub fn head_key(id: QueueManagerId, queue: QueueId, position: Position) -> Bytes {
    message_key(&mut BytesMut::with_capacity(HEAD_KEY_BYTES), id, queue, position, None)
}

pub fn body_key(id: QueueManagerId, queue: QueueId, position: Position, chunk: u32) -> Bytes {
    message_key(&mut BytesMut::with_capacity(BODY_KEY_BYTES), id, queue, position, Some(chunk))
}

/// Appends to `memory` and takes it out of there.
fn message_key(
    memory: &mut BytesMut,
    id: QueueManagerId,
    queue: QueueId,
    position: Position,
    chunk: Option<u32>,
) -> Bytes {
    memory.put_u32(id.0);
    memory.put_u32(queue.0);
    memory.put_u8(position.rank);
    memory.put_u64(position.sequence);
    if let Some(chunk) = chunk {
        memory.put_u32(chunk);
    }
    memory.split().freeze()
}

fn queue_prefix(id: QueueManagerId, queue: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(8);
    key.put_u64((u64::from(id.0) << 32) + queue);
    key.freeze()
}

/// How many body rows a body of this length has.
pub fn chunks(body_length: usize) -> u32 {
    body_length.div_ceil(limits::CHUNK_BYTES) as u32
}

pub(super) fn manager_row(manager: &QueueManager) -> RowChange {
    let row = wire::ManagerRow {
        next_queue: manager.next_queue.0,
        deadq: manager.deadq.as_ref().map(ObjectName::to_string).unwrap_or_default(),
        maxumsgs: manager.maxumsgs,
        at_ms: manager.at.0,
        next_outcome: manager.outcomes.next(),
    };
    put_state(state_key(manager.id, b'M', &[]), row.encode_to_vec())
}

pub(super) fn queue_row(manager: QueueManagerId, queue: &Queue) -> RowChange {
    let row = wire::QueueRow {
        id: queue.id.0,
        definition: Some(definition_to_wire(&queue.definition)),
        next_sequence: queue.next_sequence(),
    };
    put_state(state_key(manager, b'q', &queue.id.0.to_be_bytes()), row.encode_to_vec())
}

pub(super) fn queue_gone(manager: QueueManagerId, queue: QueueId, changes: &mut Vec<RowChange>) {
    changes.push(RowChange::Delete {
        family: Family::State,
        key: state_key(manager, b'q', &queue.0.to_be_bytes()),
    });
    queue_cleared(manager, queue, changes);
}

pub(super) fn queue_cleared(manager: QueueManagerId, queue: QueueId, changes: &mut Vec<RowChange>) {
    for family in [Family::Heads, Family::Bodies] {
        let from = queue_prefix(manager, u64::from(queue.0));
        let until = queue_prefix(manager, u64::from(queue.0) + 1);
        changes.push(RowChange::DeleteRange { family, from, until });
    }
    changes.push(RowChange::DeleteRange {
        family: Family::State,
        from: state_key(manager, b'b', &queue.0.to_be_bytes()),
        until: state_key(manager, b'b', &(queue.0 + 1).to_be_bytes()),
    });
}

pub(super) fn producer_row(
    manager: QueueManagerId,
    id: &ProducerId,
    producer: Option<&Producer>,
) -> RowChange {
    let key = state_key(manager, b'p', &id.0);
    let Some(producer) = producer else { return RowChange::Delete { family: Family::State, key } };
    let mut ids = BytesMut::with_capacity(producer.placed.len() * 24);
    producer.placed.values().for_each(|id| ids.put_slice(&id.0));
    let row = wire::ProducerRow {
        forgotten_upto: producer.forgotten_upto,
        sequences: producer.placed.keys().copied().collect(),
        message_ids: ids.freeze(),
        used: producer.used,
    };
    put_state(key, row.encode_to_vec())
}

pub(super) fn outcome_row(manager: QueueManagerId, number: u64, unit: &UnitId, committed: bool) -> RowChange {
    let row = wire::OutcomeRow { unit_id: unit.0.clone(), committed };
    put_state(state_key(manager, b'o', &number.to_be_bytes()), row.encode_to_vec())
}

pub(super) fn outcomes_forgotten(manager: QueueManagerId, until: u64) -> RowChange {
    RowChange::DeleteRange {
        family: Family::State,
        from: state_key(manager, b'o', &0u64.to_be_bytes()),
        until: state_key(manager, b'o', &until.to_be_bytes()),
    }
}

pub(super) fn staged_rows(
    manager: QueueManagerId,
    number: StagedBodyId,
    parts: &[Bytes],
    from: usize,
    changes: &mut Vec<RowChange>,
) {
    for (chunk, part) in parts.iter().enumerate().skip(from) {
        let mut rest = number.0.to_be_bytes().to_vec();
        rest.extend_from_slice(&(chunk as u32).to_be_bytes());
        changes.push(RowChange::Put {
            family: Family::State,
            key: state_key(manager, b's', &rest),
            value: part.clone(),
        });
    }
}

pub(super) fn staged_gone(manager: QueueManagerId, number: StagedBodyId) -> RowChange {
    RowChange::DeleteRange {
        family: Family::State,
        from: state_key(manager, b's', &number.0.to_be_bytes()),
        until: state_key(manager, b's', &(number.0 + 1).to_be_bytes()),
    }
}

fn put_state(key: Bytes, value: Vec<u8>) -> RowChange {
    RowChange::Put { family: Family::State, key, value: value.into() }
}

pub(super) fn backout_row(
    manager: QueueManagerId,
    queue: QueueId,
    position: Position,
    count: u32,
) -> RowChange {
    put_state(backout_key(manager, queue, position), count.to_be_bytes().to_vec())
}

pub(super) fn backout_gone(manager: QueueManagerId, queue: QueueId, position: Position) -> RowChange {
    RowChange::Delete { family: Family::State, key: backout_key(manager, queue, position) }
}

fn backout_key(manager: QueueManagerId, queue: QueueId, position: Position) -> Bytes {
    state_key(manager, b'b', &head_key(manager, queue, position)[4..])
}

/// Makes the rows of placed messages, their keys and heads in a few large pieces of memory: a window has tens of
/// thousands of them, and they all go at once.
pub(super) struct MessageRows {
    manager: QueueManagerId,
    memory: BytesMut,
}

impl MessageRows {
    pub fn new(manager: QueueManagerId) -> MessageRows {
        MessageRows { manager, memory: BytesMut::new() }
    }

    /// The slot has its message.
    pub fn append(&mut self, queue: QueueId, position: Position, slot: &Slot, changes: &mut Vec<RowChange>) {
        const PIECE: usize = 64 << 10;
        let message = slot.message.as_deref().expect("not released before it is stored");
        let mut descriptor = message.descriptor.to_wire();
        descriptor.backout_count = slot.backout_count;
        let row = wire::HeadRow {
            descriptor: Some(descriptor),
            body_length: u64::from(slot.body_length),
            body_crc32c: message.body_crc,
            chunks: chunks(slot.body_length as usize),
            expires_ms: slot.expires.map_or(0, |at| at.0),
        };
        let needed = row.encoded_len() + HEAD_KEY_BYTES + row.chunks as usize * BODY_KEY_BYTES;
        if self.memory.capacity() < needed {
            self.memory = BytesMut::with_capacity(needed.max(PIECE));
        }
        let key = message_key(&mut self.memory, self.manager, queue, position, None);
        row.encode(&mut self.memory).expect("BytesMut grows");
        changes.push(RowChange::Put { family: Family::Heads, key, value: self.memory.split().freeze() });
        self.append_body(queue, position, &message.body, changes);
    }

    fn append_body(&mut self, queue: QueueId, position: Position, body: &Body, changes: &mut Vec<RowChange>) {
        let mut chunk = 0;
        // Bodies of several parts were staged in parts of exactly CHUNK_BYTES; a body of one part may be longer only
        // by what an entry can hold.
        for part in body.parts() {
            for start in (0..part.len()).step_by(limits::CHUNK_BYTES) {
                changes.push(RowChange::Put {
                    family: Family::Bodies,
                    key: message_key(&mut self.memory, self.manager, queue, position, Some(chunk)),
                    value: part.slice(start..part.len().min(start + limits::CHUNK_BYTES)),
                });
                chunk += 1;
            }
        }
    }
}

/// Deletes the rows of removed messages, runs of them with one range. `removed` is sorted and says how many body rows
/// each message has.
pub(super) fn messages_gone(
    manager: QueueManagerId,
    queue: QueueId,
    contents: Option<&Queue>,
    removed: &[(Position, u32)],
    changes: &mut Vec<RowChange>,
) {
    let mut start = 0;
    while start < removed.len() {
        let mut end = start + 1;
        while end < removed.len()
            && !contents.is_some_and(|queue| queue.has_stored_between(removed[end - 1].0, removed[end].0))
        {
            end += 1;
        }
        let run = &removed[start..end];
        if run.len() >= RANGE_DELETE_MIN {
            let (first, behind) = (run[0].0, behind(run[run.len() - 1].0));
            changes.push(RowChange::DeleteRange {
                family: Family::Heads,
                from: head_key(manager, queue, first),
                until: head_key(manager, queue, behind),
            });
            changes.push(bodies_gone(manager, queue, first, behind));
        } else {
            for (position, chunks) in run {
                changes.push(RowChange::Delete {
                    family: Family::Heads,
                    key: head_key(manager, queue, *position),
                });
                match chunks {
                    0 => {}
                    1 => changes.push(RowChange::Delete {
                        family: Family::Bodies,
                        key: body_key(manager, queue, *position, 0),
                    }),
                    _ => changes.push(bodies_gone(manager, queue, *position, behind(*position))),
                }
            }
        }
        start = end;
    }
}

fn behind(position: Position) -> Position {
    Position { sequence: position.sequence + 1, ..position }
}

fn bodies_gone(manager: QueueManagerId, queue: QueueId, from: Position, until: Position) -> RowChange {
    RowChange::DeleteRange {
        family: Family::Bodies,
        from: body_key(manager, queue, from, 0),
        until: body_key(manager, queue, until, 0),
    }
}

/// The message of a head row and its body rows. An error says what is wrong.
pub fn message_from_rows(head: &[u8], bodies: Vec<Bytes>) -> Result<Message, String> {
    let head = wire::HeadRow::decode(head).map_err(|error| format!("head row: {error}"))?;
    let descriptor = Descriptor::from_wire(head.descriptor.unwrap_or_default())
        .map_err(|reason| format!("descriptor: {reason}"))?;
    let body = Body::from_parts(bodies);
    if body.len() as u64 != head.body_length {
        return Err(format!("the body has {} bytes and should have {}", body.len(), head.body_length));
    }
    if body.crc32c() != head.body_crc32c {
        return Err("the body does not have the checksum it was put with".into());
    }
    Ok(Message { descriptor, body, body_crc: head.body_crc32c })
}

pub(super) fn load(manager: &mut QueueManager, source: &dyn RowSource) -> Result<(), StoreReadError> {
    let mut bad: Option<StoreReadError> = None;
    let mut note = |place: String, reason: String| {
        bad.get_or_insert(StoreReadError { place, reason });
    };
    let mut backouts: BTreeMap<Bytes, u32> = BTreeMap::new();
    source.scan(Family::State, &mut |key, value| {
        if let Err(reason) = load_state_row(manager, key, value, &mut backouts) {
            note(format!("state row {key:02x?}"), reason);
        }
    })?;
    source.scan(Family::Heads, &mut |key, value| {
        let backout = backouts.get(key.get(4..).unwrap_or_default()).copied();
        if let Err(reason) = load_head_row(manager, key, value, backout) {
            note(format!("head row {key:02x?}"), reason);
        }
    })?;
    bad.map_or(Ok(()), Err)
}

fn load_state_row(
    manager: &mut QueueManager,
    key: &[u8],
    value: &[u8],
    backouts: &mut BTreeMap<Bytes, u32>,
) -> Result<(), String> {
    let rest = key.get(5..).ok_or("short key")?;
    let text = |error: prost::DecodeError| error.to_string();
    match key[4] {
        b'M' => {
            let row = wire::ManagerRow::decode(value).map_err(text)?;
            manager.next_queue = QueueId(row.next_queue);
            manager.deadq = optional_name(&row.deadq).map_err(|error| error.to_string())?;
            manager.maxumsgs = row.maxumsgs;
            manager.at = WallTime(row.at_ms);
            manager.outcomes.skip_to(row.next_outcome);
        }
        b'q' => {
            let row = wire::QueueRow::decode(value).map_err(text)?;
            let definition = definition_from_wire(row.definition).map_err(|error| error.to_string())?;
            let id = QueueId(row.id);
            manager.by_name.insert(definition.name.clone(), id);
            manager.queues.insert(id, Queue::new(id, definition, row.next_sequence));
        }
        b'p' => {
            let row = wire::ProducerRow::decode(value).map_err(text)?;
            let ids = row.message_ids.chunks_exact(24).map(|id| MessageId(id.try_into().expect("24 bytes")));
            let producer = Producer {
                forgotten_upto: row.forgotten_upto,
                placed: row.sequences.iter().copied().zip(ids).collect(),
                used: row.used,
            };
            manager.producers.restore(ProducerId(Bytes::copy_from_slice(rest)), producer);
        }
        b'o' => {
            let row = wire::OutcomeRow::decode(value).map_err(text)?;
            let number = u64::from_be_bytes(rest.try_into().map_err(|_| "short key")?);
            manager.outcomes.restore(number, UnitId(row.unit_id), row.committed);
        }
        b's' => {
            let number = u64::from_be_bytes(rest.get(..8).ok_or("short key")?.try_into().expect("8 bytes"));
            let parts = manager.staged.entry(StagedBodyId(number)).or_default();
            parts.push(Bytes::copy_from_slice(value));
        }
        b'b' => {
            let count = u32::from_be_bytes(value.try_into().map_err(|_| "a count of wrong length")?);
            backouts.insert(Bytes::copy_from_slice(rest), count);
        }
        // "meta" is the store's own.
        b'm' => {}
        _ => return Err("unknown kind of row".into()),
    }
    Ok(())
}

fn load_head_row(
    manager: &mut QueueManager,
    key: &[u8],
    value: &[u8],
    backout: Option<u32>,
) -> Result<(), String> {
    if key.len() != 17 {
        return Err("a key of wrong length".into());
    }
    let queue = QueueId(u32::from_be_bytes(key[4..8].try_into().expect("4 bytes")));
    let sequence = u64::from_be_bytes(key[9..17].try_into().expect("8 bytes"));
    let position = Position { rank: key[8], sequence, minor: 0 };
    let row = wire::HeadRow::decode(value).map_err(|error| error.to_string())?;
    let descriptor = row.descriptor.unwrap_or_default();
    let id = |bytes: &[u8]| MessageId::from_slice(bytes).ok_or("an id of more than 24 bytes");
    let group = crate::types::GroupId(id(&descriptor.group_id)?.0);
    let slot = Slot {
        message_id: id(&descriptor.message_id)?,
        correlation_id: crate::types::CorrelationId(id(&descriptor.correlation_id)?.0),
        group_id: (!group.is_none()).then(|| Box::new(group)),
        body_length: row.body_length as u32,
        backout_count: backout.unwrap_or(descriptor.backout_count),
        put_at: WallTime(descriptor.put_time_ms),
        expires: (row.expires_ms != 0).then_some(WallTime(row.expires_ms)),
        stored: true,
        message: None,
    };
    let queue = manager.queues.get_mut(&queue).ok_or("a message of a queue that does not exist")?;
    queue.insert(position, slot);
    Ok(())
}
