//! A queue manager that has some of everything: what targets begin with.

use bytes::Bytes;
use trimaran_node::qmgr::command::encode_one;
use trimaran_node::qmgr::{Command, Place, QueueManager, Removal};
use trimaran_node::types::definition::{By, Changes, ObjectKind, ObjectRef, RecordAction};
use trimaran_node::types::{
    Body, Descriptor, Index, Membership, Message, MessageId, ObjectName, Persistence, Position, ProducerId,
    ProducerSequence, QueueId, QueueManagerId, Reason, SnapshotMeta, StagedBodyId, UnitId, WallTime,
};

use crate::sim::disk::{StoredRows, apply_changes, initial_snapshot};

pub const ID: QueueManagerId = QueueManagerId(7);

pub fn name() -> ObjectName {
    ObjectName::new("QM").expect("a name")
}

pub fn meta() -> SnapshotMeta {
    initial_snapshot(ID, &Membership::default())
}

pub fn manager() -> QueueManager {
    QueueManager::new(ID, name())
}

/// The store of a queue manager that has some of everything.
pub fn written_store() -> StoredRows {
    let mut manager = manager();
    let mut store = StoredRows { meta: Some(meta()), ..StoredRows::default() };
    for command in everything() {
        manager.apply(command);
        apply_changes(&mut store.rows, &manager.take_store_batch(Index(1), meta()).0.changes);
    }
    store
}

/// Commands of every kind, which leave some of everything behind.
pub fn everything() -> Vec<Command> {
    let queue = || ObjectRef::new(ObjectKind::LocalQueue, "ORDERS");
    let by = || By { user: "joe".into(), application: "test".into(), ..By::default() };
    let define = |object| Command::Define {
        object,
        like: String::new(),
        replace: false,
        changes: Changes::default(),
        by: by(),
    };
    let first =
        |rank| Removal { queue: QueueId(1), positions: vec![Position { rank, sequence: 1, minor: 0 }] };
    let record = |action| {
        let record = ObjectRef::record(ObjectKind::Authority, "ORDERS", &Changes::default());
        Command::SetRecord { record, action, changes: Changes::default(), by: by() }
    };
    let staged = encode_one(Command::SealUnit { unit: unit("late"), units_decided: 0 });
    vec![
        Command::BeginTerm { leader: None },
        define(queue()),
        define(ObjectRef::new(ObjectKind::LocalQueue, "GONE")),
        define(ObjectRef::new(ObjectKind::AliasQueue, "ALIAS")),
        Command::Alter { object: ObjectRef::manager(), changes: Changes::default(), by: by() },
        record(RecordAction::Add),
        Command::Place(place(1)),
        Command::Place(Place { warning: Some(Some(Reason::QFull)), ..place(2) }),
        Command::Place(Place { producer: None, unique: Some(3), ..place(3) }),
        Command::Backout(vec![first(4)]),
        Command::Remove(first(4)),
        Command::Expire(vec![first(5)]),
        Command::CommitUnit {
            unit: Some((unit("one"), 0)),
            places: vec![place(4), place(5)],
            removals: vec![Removal { queue: QueueId(1), positions: Vec::new() }],
        },
        Command::SealUnit { unit: unit("two"), units_decided: 1 },
        Command::StageBody { number: StagedBodyId(1), data: staged.clone() },
        Command::Staged { number: StagedBodyId(1), length: staged.len() },
        Command::StageBody { number: StagedBodyId(2), data: Bytes::from_static(b"a part") },
        Command::StageBody { number: StagedBodyId(3), data: Bytes::from_static(b"another") },
        Command::DropStaged(vec![StagedBodyId(3)]),
        Command::Clear { object: ObjectRef::new(ObjectKind::LocalQueue, "GONE"), by: by() },
        Command::Delete { object: ObjectRef::new(ObjectKind::LocalQueue, "GONE"), purge: false, by: by() },
    ]
}

fn unit(name: &str) -> UnitId {
    UnitId(Bytes::copy_from_slice(name.as_bytes()))
}

fn place(number: u64) -> Place {
    let body = Body::from(Bytes::from(format!("message {number}")));
    let message = Message {
        descriptor: Descriptor {
            message_id: MessageId([number as u8; 24]),
            priority: Some(5),
            persistence: Persistence::Persistent,
            expiry: Some(number as u32 * 100),
            put_at: WallTime(7),
            ..Descriptor::default()
        },
        body_crc: body.crc32c(),
        body,
    };
    let producer = ProducerId(Bytes::from_static(b"shop"));
    let producer = Some(ProducerSequence { producer, sequence: number, repeated: false });
    let message = Box::new(message);
    Place { queue: QueueId(1), message, unique: None, producer, warning: None, staged: None, report: None }
}
