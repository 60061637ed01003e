//! A queue manager that has some of everything: what targets begin with.

use std::time::Duration;

use bytes::Bytes;
use trimaran_node::qmgr::command::encode_one;
use trimaran_node::qmgr::{Command, Place, QueueManager, Removal};
use trimaran_node::types::definition::{By, Changes, ObjectKind, ObjectRef, RecordAction, Tongue};
use trimaran_node::types::{
    Body, Descriptor, Index, Membership, Message, MessageId, NodeId, ObjectName, Persistence, Position,
    ProducerId, ProducerSequence, QueueId, QueueManagerId, Reason, RunState, SnapshotMeta, StagedBodyId,
    Term, UnitId, Version, WallTime,
};
use trimaran_proto::admin::v1::classified::Class;
use trimaran_proto::admin::v1::failover_account::Cause;
use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::admin::v1::{Classified, FailoverAccount, HandingOver};
use trimaran_proto::replica::v1::{Arrange, FloatingAddresses, Registered};

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
    let by = || Box::new(By { user: "joe".into(), application: "test".into(), ..By::default() });
    let told = || Box::new(By { tongue: Tongue::Pcf, ..*by() });
    let handing_over = |why: Why| HandingOver { why: why.into(), ..HandingOver::default() };
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
    let late = Some((unit("late"), 0));
    let staged = encode_one(Command::CommitUnit { unit: late, places: vec![place(6)], removals: Vec::new() });
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
        Command::Raise { to: Version::RECORDS, leader: (NodeId(1), Term(2)), by: by() },
        Command::HandOver { said: handing_over(Why::Stop), by: Box::default(), to: String::new() },
        Command::BeginTerm { leader: Some((NodeId(2), Term(3))) },
        Command::Account { term: Term(3), account: Box::default(), is_last: false },
        Command::Account {
            term: Term(3),
            account: Box::new(FailoverAccount { cause: Cause::Crash.into(), ..FailoverAccount::default() }),
            is_last: true,
        },
        Command::HandOver { said: handing_over(Why::Drain), by: Box::default(), to: String::new() },
        Command::Classify(Box::new(Classified {
            number: 1,
            class: Class::Human.into(),
            because: "a cable".into(),
            ..Classified::default()
        })),
        Command::Maintain { node: NodeId(2), begins: true, by: by(), name: String::new() },
        Command::Maintain { node: NodeId(1), begins: false, by: by(), name: String::new() },
        Command::CanaryGood { node: NodeId(1), silent: None },
        Command::CanaryGood { node: NodeId(2), silent: Some(Duration::from_millis(1_003)) },
        Command::CanaryLapsed,
        Command::Register(Box::new(Registered { name: "QM2".into(), ..Registered::default() })),
        Command::Register(Box::new(Registered { name: "QM3".into(), ..Registered::default() })),
        Command::Deregister { id: QueueManagerId(65_536), by: by() },
        Command::Run { state: RunState::EndedNormally, by: by() },
        Command::Raise { to: Version::TRAIL, leader: (NodeId(2), Term(3)), by: by() },
        Command::HandOver { said: handing_over(Why::Move), by: told(), to: "b".into() },
        Command::Maintain { node: NodeId(2), begins: true, by: told(), name: "b".into() },
        Command::Alter { object: queue(), changes: Changes::default(), by: told() },
        Command::Delete { object: ObjectRef::new(ObjectKind::AliasQueue, "ALIAS"), purge: false, by: told() },
        Command::Raise { to: Version::PLACES, leader: (NodeId(2), Term(3)), by: by() },
        Command::Register(Box::new(Registered {
            name: "QM4".into(),
            addresses: vec!["10.0.0.50/24".into()],
            ..Registered::default()
        })),
        Command::Arrange(Box::new(Arrange {
            id: 65_537,
            addresses: Some(FloatingAddresses { addresses: vec!["10.0.0.51/24".into()] }),
            canary: Some(true),
            ..Arrange::default()
        })),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A number for each kind: a new one gets the next, and its place in [`everything`].
    fn kind_of(command: &Command) -> usize {
        match command {
            Command::Place(_) => 0,
            Command::Remove(_) => 1,
            Command::CommitUnit { .. } => 2,
            Command::Backout(_) => 3,
            Command::Expire(_) => 4,
            Command::SealUnit { .. } => 5,
            Command::StageBody { .. } => 6,
            Command::DropStaged(_) => 7,
            Command::Define { .. } => 8,
            Command::Alter { .. } => 9,
            Command::Delete { .. } => 10,
            Command::Clear { .. } => 11,
            Command::SetRecord { .. } => 12,
            Command::BeginTerm { leader: None } => 13,
            Command::BeginTerm { leader: Some(_) } => 14,
            Command::HandOver { .. } => 15,
            Command::Account { .. } => 16,
            Command::Raise { .. } => 17,
            Command::Maintain { .. } => 18,
            Command::Run { .. } => 19,
            Command::Classify(_) => 20,
            Command::CanaryGood { .. } => 21,
            Command::CanaryLapsed => 22,
            Command::Staged { .. } => 23,
            Command::Register(_) => 24,
            Command::Deregister { .. } => 25,
            Command::Arrange(_) => 26,
        }
    }

    #[test]
    fn everything_has_commands_of_every_kind_and_each_is_carried_out() {
        let kinds: BTreeSet<usize> = everything().iter().map(kind_of).collect();
        assert_eq!(kinds, (0..=26).collect());
        let mut manager = manager();
        for command in everything() {
            let said = format!("{command:?}");
            assert!(manager.apply(command).verdict.is_ok(), "{said}");
        }
    }
}
