//! The queue manager as rows of the message store, and back. `keys` draws where they lie.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use trimaran_proto::admin::v1::{AuditRecord, Canary, Classified, Failover};
use trimaran_proto::replica::v1::{self as wire, Registered};

use super::command::{run_state_from_wire, run_state_to_wire};
use super::definition_codec::{definition_from_wire, definition_to_wire};
use super::keys::{PackKey, definition_key, message_state_key, queue_prefix, state_key};
use super::outcomes::Decided;
use super::packs;
use super::producer_names::{Gone, NameHash};
use super::producers::Producer;
use super::queue::{Queue, RANK_MAX};
use super::slot::Slot;
use super::told::{Stretch, Stretches, Told};
use super::{Family, LoadError, QueueManager, RowChange, RowSource, StoreReadError};
use crate::types::definition::{Definition, ObjectKind, ObjectRef};
use crate::types::{
    GroupId, InGroup, MessageId, NodeId, Position, ProducerId, QueueId, QueueManagerId, Reason, RunState,
    Speaks, StagedBodyId, UnitId, UnitState, Version, WallTime,
};

/// What is counted in rows never gets this far: higher numbers are damage.
const NUMBER_MAX: u64 = 1 << 62;

pub(super) fn manager_row(manager: &QueueManager) -> RowChange {
    let row = wire::ManagerRow {
        next_queue: manager.next_queue.0,
        at_ms: manager.at.0,
        next_outcome: manager.outcomes.next(),
        refusals_forgotten: manager.outcomes.refusals_forgotten(),
        producers_forgotten: manager.producers.names().any_forgotten(),
        version: manager.version.0,
        served_by: manager.failovers.served_by().map_or(0, |node| node.0),
        takeovers: manager.failovers.takeovers(),
        handing_over: manager.failovers.handing_over().cloned(),
        maintained: manager.maintained.iter().map(|node| node.0).collect(),
        run_state: run_state_to_wire(manager.run).into(),
    };
    put_state(state_key(manager.id, b'M', &[]), row.encode_to_vec())
}

/// Of everything but local queues, whose rows have their definitions.
pub(super) fn definition_row(
    manager: QueueManagerId,
    object: &ObjectRef,
    definition: Option<&Definition>,
) -> RowChange {
    let key = definition_key(manager, object);
    match definition {
        Some(definition) => put_state(key, definition_to_wire(definition).encode_to_vec()),
        None => RowChange::Delete { family: Family::State, key },
    }
}

pub(super) fn queue_row(manager: QueueManagerId, queue: &Queue, definition: &Definition) -> RowChange {
    let row = wire::QueueRow {
        id: queue.id.0,
        definition: Some(definition_to_wire(definition)),
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
    for tag in [b'b', b't'] {
        changes.push(RowChange::DeleteRange {
            family: Family::State,
            from: state_key(manager, tag, &queue.0.to_be_bytes()),
            until: state_key(manager, tag, &(queue.0 + 1).to_be_bytes()),
        });
    }
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
        used_at_ms: producer.used_at.0,
        told: producer.told.iter().map(|(first, stretch)| told_row(first, stretch)).collect(),
        told_behind: producer.told_behind,
    };
    put_state(key, row.encode_to_vec())
}

fn told_row(first: u64, Stretch { last, told }: &Stretch) -> wire::ToldRow {
    let row = wire::ToldRow {
        first,
        last: *last,
        warning: told.warning.map_or(0, Reason::number),
        ..wire::ToldRow::default()
    };
    let Some(InGroup { group_id, sequence_number, is_last }) = told.in_group else { return row };
    wire::ToldRow {
        group_id: Bytes::copy_from_slice(&group_id.0),
        message_sequence_number: sequence_number,
        last_in_group: is_last,
        ..row
    }
}

fn load_told(rows: Vec<wire::ToldRow>, placed: &BTreeMap<u64, MessageId>) -> Result<Stretches, String> {
    let mut told = Stretches::default();
    for row in rows {
        let warning = match row.warning {
            0 => None,
            reason => Some(Reason::from_number(reason).ok_or("a warning that nobody knows")?),
        };
        let in_group = match row.group_id.is_empty() {
            true => None,
            false => Some(InGroup {
                group_id: GroupId(row.group_id[..].try_into().map_err(|_| "a group id of wrong length")?),
                sequence_number: row.message_sequence_number,
                is_last: row.last_in_group,
            }),
        };
        let stretch = Stretch { last: row.last, told: Told { warning, in_group } };
        let count = row.last.saturating_sub(row.first).saturating_add(1);
        let is_whole = told.restore(row.first, stretch)
            && placed.range(row.first..=row.last).take(placed.len()).count() as u64 == count;
        if !is_whole {
            return Err("what was told of other sequences".into());
        }
    }
    Ok(told)
}

pub(super) fn producer_name_row(manager: QueueManagerId, name: NameHash, gone: Option<Gone>) -> RowChange {
    let key = state_key(manager, b'f', &name.0.to_be_bytes());
    match gone {
        Some(Gone { upto, number }) => put_state(key, wire::ProducerNameRow { upto, number }.encode_to_vec()),
        None => RowChange::Delete { family: Family::State, key },
    }
}

pub(super) fn outcome_row(manager: QueueManagerId, number: u64, decided: &Decided) -> RowChange {
    let row = wire::OutcomeRow {
        unit_id: decided.unit.0.clone(),
        committed: decided.state == UnitState::Committed,
        forgotten: decided.state == UnitState::Forgotten,
        at_ms: decided.at.0,
    };
    put_state(state_key(manager, b'o', &number.to_be_bytes()), row.encode_to_vec())
}

pub(super) fn outcomes_forgotten(manager: QueueManagerId, until: u64) -> RowChange {
    forgotten(manager, b'o', until)
}

pub(super) fn failover_row(manager: QueueManagerId, record: &Failover) -> RowChange {
    put_state(state_key(manager, b'v', &record.number.to_be_bytes()), record.encode_to_vec())
}

/// With what people said of them.
pub(super) fn failovers_forgotten(manager: QueueManagerId, until: u64) -> [RowChange; 2] {
    [b'v', b'w'].map(|tag| forgotten(manager, tag, until))
}

pub(super) fn classified_row(manager: QueueManagerId, said: &Classified) -> RowChange {
    put_state(state_key(manager, b'w', &said.number.to_be_bytes()), said.encode_to_vec())
}

pub(super) fn trail_row(manager: QueueManagerId, record: &AuditRecord) -> RowChange {
    put_state(state_key(manager, b'a', &record.number.to_be_bytes()), record.encode_to_vec())
}

pub(super) fn trail_forgotten(manager: QueueManagerId, until: u64) -> RowChange {
    forgotten(manager, b'a', until)
}

pub(super) fn canary_row(manager: QueueManagerId, canary: &Canary) -> RowChange {
    put_state(state_key(manager, b'c', &[]), canary.encode_to_vec())
}

pub(super) fn registered_row(manager: QueueManagerId, record: &Registered) -> RowChange {
    put_state(state_key(manager, b'g', &record.id.to_be_bytes()), record.encode_to_vec())
}

/// Of rows that are numbered, those in front of this number.
fn forgotten(manager: QueueManagerId, tag: u8, until: u64) -> RowChange {
    RowChange::DeleteRange {
        family: Family::State,
        from: state_key(manager, tag, &0u64.to_be_bytes()),
        until: state_key(manager, tag, &until.to_be_bytes()),
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
        until: match number.0.checked_add(1) {
            Some(next) => state_key(manager, b's', &next.to_be_bytes()),
            None => state_key(manager, b's' + 1, &[]),
        },
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
    message_state_key(manager, b'b', queue, position.rank, position.sequence)
}

pub(super) fn load(
    manager: &mut QueueManager,
    source: &dyn RowSource,
    speaks: Speaks,
) -> Result<(), LoadError> {
    let mut bad: Option<StoreReadError> = None;
    let mut note = |place: String, reason: String| {
        bad.get_or_insert(StoreReadError { place, reason });
    };
    let mut beside = Beside::default();
    source.scan(Family::State, &mut |key, value| {
        if let Err(reason) = load_state_row(manager, key, value, &mut beside) {
            note(format!("state row {key:02x?}"), reason);
        }
    })?;
    // Rows of another version may well be of kinds that are not known here.
    speaks.check(format_args!("queue manager {} in the message store", manager.name), manager.version)?;
    source.scan(Family::Heads, &mut |key, value| {
        if let Err(reason) = load_pack_row(manager, key, value, &beside) {
            note(format!("pack row {key:02x?}"), reason);
        }
    })?;
    bad.map_or(Ok(()), |bad| Err(bad.into()))
}

/// A number of a row that others are counted on from.
fn number(number: u64) -> Result<u64, String> {
    match number {
        0..=NUMBER_MAX => Ok(number),
        _ => Err(format!("the number {number} is beyond all that is counted")),
    }
}

/// What became of messages after their pack was written, by the rest of the row's key.
#[derive(Default)]
struct Beside {
    backouts: BTreeMap<Bytes, u32>,
    thinned: BTreeMap<Bytes, u64>,
}

fn load_state_row(
    manager: &mut QueueManager,
    key: &[u8],
    value: &[u8],
    beside: &mut Beside,
) -> Result<(), String> {
    let rest = key.get(5..).ok_or("short key")?;
    let text = |error: prost::DecodeError| error.to_string();
    match key[4] {
        b'M' => {
            let row = wire::ManagerRow::decode(value).map_err(text)?;
            manager.version = Version(row.version);
            let served_by = (row.served_by != 0).then_some(NodeId(row.served_by));
            if (served_by.is_some() || row.handing_over.is_some()) && manager.version < Version::RECORDS {
                return Err(format!("version {} knows nobody who serves", manager.version));
            }
            manager.failovers.restore(served_by, row.takeovers, row.handing_over)?;
            if !row.maintained.is_empty() && manager.version < Version::RECORDS {
                return Err(format!("version {} has no nodes in maintenance", manager.version));
            }
            manager.run = run_state_from_wire(row.run_state).ok_or("a state to run in that is none")?;
            if manager.run != RunState::Running && manager.version < Version::RECORDS {
                return Err(format!("version {} is not ended", manager.version));
            }
            manager.maintained = row.maintained.into_iter().map(NodeId).collect();
            if row.next_queue == 0 {
                return Err("queues are numbered from 1 on".into());
            }
            manager.next_queue = QueueId(row.next_queue);
            manager.at = WallTime(row.at_ms);
            let next_outcome = number(row.next_outcome)?;
            if row.refusals_forgotten > next_outcome {
                return Err("an outcome is forgotten that was never decided".into());
            }
            manager.outcomes.restore_counts(next_outcome, row.refusals_forgotten);
            manager.producers.names_mut().note_forgotten(row.producers_forgotten);
        }
        b'q' => {
            let row = wire::QueueRow::decode(value).map_err(text)?;
            let definition = definition_from_wire(row.definition).map_err(|error| error.to_string())?;
            let id = QueueId(row.id);
            let is_named = manager.catalog().queue_named(&definition.object.name).is_some();
            let is_new = !is_named && !manager.queues.contains(id) && id != QueueId(0);
            if definition.kind() != ObjectKind::LocalQueue || !is_new || id >= manager.next_queue {
                return Err(format!("{} cannot be queue {}", definition.object, row.id));
            }
            // Half of them are to come.
            if !(1..=Position::SEQUENCE_MAX / 2).contains(&row.next_sequence) {
                return Err(format!("the next sequence cannot be {}", row.next_sequence));
            }
            manager.load_queue(id, definition, row.next_sequence);
        }
        b'd' => {
            let definition = wire::Definition::decode(value).map_err(text)?;
            let definition = definition_from_wire(Some(definition)).map_err(|error| error.to_string())?;
            if definition.kind() == ObjectKind::LocalQueue {
                return Err("a local queue without its number".into());
            }
            manager.load_definition(definition);
        }
        b'p' => {
            let row = wire::ProducerRow::decode(value).map_err(text)?;
            let ids = row.message_ids.chunks_exact(24).map(|id| MessageId(id.try_into().expect("24 bytes")));
            let is_used = row.used == 0 || manager.producers.is_used(number(row.used)?);
            if row.sequences.len() != ids.len() || is_used {
                return Err("sequences without messages, or two producers of one use".into());
            }
            let placed = row.sequences.iter().copied().zip(ids).collect();
            if (row.told_behind.is_some() && manager.version < Version::RECORDS)
                || (row.told_behind.is_none() && !row.told.is_empty())
            {
                return Err("what nobody remembered was told".into());
            }
            let producer = Producer {
                forgotten_upto: row.forgotten_upto,
                told: load_told(row.told, &placed)?,
                told_behind: row.told_behind,
                placed,
                used: row.used,
                used_at: WallTime(row.used_at_ms),
            };
            manager.producers.restore(ProducerId(Bytes::copy_from_slice(rest)), producer);
        }
        b'o' => {
            let row = wire::OutcomeRow::decode(value).map_err(text)?;
            let number = number(u64::from_be_bytes(rest.try_into().map_err(|_| "short key")?))?;
            if number < manager.outcomes.refusals_forgotten() {
                return Err("outcomes are forgotten in order".into());
            }
            let state = match (row.committed, row.forgotten) {
                (true, _) => UnitState::Committed,
                (false, true) => UnitState::Forgotten,
                (false, false) => UnitState::BackedOut,
            };
            let decided = Decided { unit: UnitId(row.unit_id), state, at: WallTime(row.at_ms) };
            if manager.outcomes.state(&decided.unit).is_some() {
                return Err("a unit with two outcomes".into());
            }
            manager.outcomes.restore(number, decided);
        }
        b'f' => {
            let row = wire::ProducerNameRow::decode(value).map_err(text)?;
            let name = NameHash(u128::from_be_bytes(rest.try_into().map_err(|_| "a key of wrong length")?));
            if manager.producers.names().is_taken(row.number) {
                return Err("two producers that went at one time".into());
            }
            manager.producers.names_mut().restore(name, Gone { upto: row.upto, number: number(row.number)? });
        }
        b'v' | b'w' if manager.version < Version::RECORDS => {
            return Err(format!("version {} has no records", manager.version));
        }
        b'v' => {
            let row = Failover::decode(value).map_err(text)?;
            let place = u64::from_be_bytes(rest.try_into().map_err(|_| "a key of wrong length")?);
            if place == 0 || number(row.number)? != place {
                return Err("a record of another number".into());
            }
            manager.failovers.restore_record(row)?;
        }
        b'w' => {
            let row = Classified::decode(value).map_err(text)?;
            let place = u64::from_be_bytes(rest.try_into().map_err(|_| "a key of wrong length")?);
            if row.number != place {
                return Err("what was said of another record".into());
            }
            manager.failovers.restore_classified(row)?;
        }
        b'a' if manager.version < Version::TRAIL => {
            return Err(format!("version {} has no audit trail", manager.version));
        }
        b'a' => {
            let row = AuditRecord::decode(value).map_err(text)?;
            let place = u64::from_be_bytes(rest.try_into().map_err(|_| "a key of wrong length")?);
            if place == 0 || number(row.number)? != place {
                return Err("a record of another number".into());
            }
            manager.trail.restore(row)?;
        }
        b'c' if manager.version < Version::RECORDS => {
            return Err(format!("version {} has no canaries", manager.version));
        }
        b'c' => manager.canary = Some(super::canary::load(value)?),
        b'g' if manager.version < Version::RECORDS => {
            return Err(format!("version {} has no records of queue managers", manager.version));
        }
        b'g' => {
            let record = Registered::decode(value).map_err(text)?;
            if rest != record.id.to_be_bytes() {
                return Err("a record of another queue manager".into());
            }
            let is_placed = record.canary || record.revision != 0 || !record.addresses.is_empty();
            if is_placed && manager.version < Version::PLACES {
                return Err(format!("version {} has no addresses of queue managers", manager.version));
            }
            manager.register.restore(record)?;
        }
        b's' => {
            let number = u64::from_be_bytes(rest.get(..8).ok_or("short key")?.try_into().expect("8 bytes"));
            manager.staged.push(StagedBodyId(number), Bytes::copy_from_slice(value));
        }
        b'b' => {
            let count = u32::from_be_bytes(value.try_into().map_err(|_| "a count of wrong length")?);
            beside.backouts.insert(Bytes::copy_from_slice(rest), count);
        }
        b't' => {
            let live = u64::from_be_bytes(value.try_into().map_err(|_| "bits of wrong length")?);
            beside.thinned.insert(Bytes::copy_from_slice(rest), live);
        }
        // "meta" is the store's own.
        b'm' => {}
        _ => return Err("unknown kind of row".into()),
    }
    Ok(())
}

fn load_pack_row(
    manager: &mut QueueManager,
    key: &[u8],
    value: &[u8],
    beside: &Beside,
) -> Result<(), String> {
    if key.len() != 17 {
        return Err("a key of wrong length".into());
    }
    let rank = key[8];
    let pack_key = PackKey {
        queue: QueueId(u32::from_be_bytes(key[4..8].try_into().expect("4 bytes"))),
        rank,
        first: u64::from_be_bytes(key[9..17].try_into().expect("8 bytes")),
    };
    let (pack, slots) = packs::load(pack_key.first, value, beside.thinned.get(&key[4..]).copied())?;
    let queue = manager.queues.change(pack_key.queue).ok_or("messages of a queue that does not exist")?;
    let is_behind = |(sequence, _): &(u64, Slot)| *sequence >= queue.next_sequence();
    if rank > RANK_MAX || slots.iter().any(is_behind) {
        return Err("messages where the queue has none".into());
    }
    let is_there = |sequence| queue.slot(Position { rank, sequence, minor: 0 }).is_some();
    if slots.iter().any(|(sequence, _)| is_there(*sequence)) {
        return Err("messages that are in another pack too".into());
    }
    if pack.is_sparse() {
        manager.sparse.insert(pack_key);
    }
    queue.packs_mut().insert(pack_key, pack);
    for (sequence, mut slot) in slots {
        if !beside.backouts.is_empty() {
            let mut at = [0; 13];
            at[..5].copy_from_slice(&key[4..9]);
            at[5..].copy_from_slice(&sequence.to_be_bytes());
            slot.backout_count = beside.backouts.get(&at[..]).copied().unwrap_or(slot.backout_count);
        }
        queue.insert(Position { rank, sequence, minor: 0 }, slot);
    }
    Ok(())
}
