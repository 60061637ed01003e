//! Whatever is said of objects, and done with messages: the log gives it back, the store keeps it, and what is read is what is
//! displayed.

use bytes::Bytes;
use proptest::prelude::*;
use trimaran_proto::mq::cipher_spec::CipherSpec;

use super::packs_test::Store;
use super::{BatchEncoder, Command, Place, QueueManager, Removal, Retention, command};
use crate::types::definition::{
    Attribute, By, Changes, Content, Form, Initial, ObjectKind, ObjectRef, RecordAction, State, Tongue, Value,
};
use crate::types::{
    Body, Descriptor, GroupId, InGroup, Index, Membership, Message, MessageId, NodeId, ObjectName,
    Persistence, Position, ProducerId, ProducerSequence, QueueId, QueueManagerId, Reason, SnapshotMeta,
    Speaks, Term, TermStarts, UnitId, Version, WallTime,
};

fn meta(queue_manager: QueueManagerId, index: Index) -> SnapshotMeta {
    let (membership, terms) = (Membership::default(), TermStarts::default());
    SnapshotMeta { queue_manager, index, term: Term(1), membership, terms, installed: false }
}

fn kind() -> impl Strategy<Value = ObjectKind> {
    let kinds: Vec<ObjectKind> = ObjectKind::ALL.iter().map(|facts| facts.kind).collect();
    prop::sample::select(kinds)
}

fn attribute(kind: ObjectKind) -> impl Strategy<Value = &'static Attribute> {
    let settable =
        kind.attributes().filter(|attribute| matches!(attribute.state, State::Obeyed | State::Stored));
    prop::sample::select(settable.collect::<Vec<_>>())
}

/// A text that the attribute takes.
fn text_for(attribute: &'static Attribute) -> BoxedStrategy<String> {
    match attribute.form {
        Form::Number { least, most, .. } => (least..=most).prop_map(|number| number.to_string()).boxed(),
        Form::Word(words) => {
            prop::sample::select(words.iter().map(|(word, _)| word.to_string()).collect::<Vec<_>>()).boxed()
        }
        Form::Flag { .. } => prop::sample::select(vec!["YES".to_string(), "NO".to_string()]).boxed(),
        Form::Text { .. } if attribute.content == Content::Address => {
            prop::sample::select(vec!["10.0.0.50".to_string(), "::1".to_string(), " ".to_string()]).boxed()
        }
        Form::Text { .. } if attribute.content == Content::CipherSpec => {
            prop::sample::select(CipherSpec::names().map(str::to_lowercase).collect::<Vec<_>>()).boxed()
        }
        Form::Text { .. } if attribute.content == Content::PeerName => {
            "CN=[a-z* ]{1,8}([,;] ?OU=[a-z]{1,5}){0,3}".boxed()
        }
        Form::Text { most } => {
            prop::string::string_regex(&format!("[a-z(') ]{{0,{}}}", most.min(20))).unwrap().boxed()
        }
        Form::Name { .. } => "[A-Z][A-Z.]{0,10}".boxed(),
        Form::List { .. } => "[A-Z]{1,5}(,[a-z]{1,5}){0,3}".boxed(),
    }
}

fn changes(kind: ObjectKind) -> impl Strategy<Value = Changes> {
    let one = attribute(kind).prop_flat_map(|attribute| (Just(attribute), text_for(attribute)));
    prop::collection::vec(one, 0..5).prop_map(move |said| {
        let parsed = said.iter().map(|(attribute, text)| {
            let value = attribute.parse(attribute.name, text).expect("the attribute takes it");
            (attribute.selector, (!attribute.is_default(&value)).then_some(value))
        });
        parsed.collect()
    })
}

fn object(kind: ObjectKind, number: u32, changes: &Changes) -> ObjectRef {
    match kind {
        ObjectKind::QueueManager => ObjectRef::manager(),
        kind if kind.is_record() => ObjectRef::record(kind, format!("P{number}.*"), changes),
        kind => ObjectRef::new(kind, format!("O{number}")),
    }
}

fn said() -> impl Strategy<Value = Command> {
    let parts = kind().prop_flat_map(|kind| (Just(kind), 0..3u32, changes(kind), 0..6u8, any::<bool>()));
    parts.prop_map(|(kind, number, changes, verb, flag)| {
        let object = object(kind, number, &changes);
        let by = Box::new(By {
            user: "joe".into(),
            application: "test".into(),
            address: "10.0.0.1:5000".into(),
            channel: "APP.SVRCONN".into(),
            tongue: Tongue::Mqsc,
        });
        let like = if flag { format!("O{}", number + 1) } else { String::new() };
        match verb {
            0 | 1 if !kind.is_record() => Command::Define { object, like, replace: flag, changes, by },
            2 | 3 if !kind.is_record() => Command::Alter { object, changes, by },
            4 if !kind.is_record() => Command::Delete { object, purge: flag, by },
            _ if !kind.is_record() => Command::Clear { object, by },
            0 | 1 => Command::SetRecord { record: object, action: RecordAction::Add, changes, by },
            2 => Command::SetRecord { record: object, action: RecordAction::Replace, changes, by },
            3 | 4 => Command::SetRecord { record: object, action: RecordAction::Remove, changes, by },
            _ => Command::SetRecord { record: object, action: RecordAction::RemoveAll, changes, by },
        }
    })
}

// ---- messages, units of work, and what is remembered of programs ----

fn message() -> impl Strategy<Value = Message> {
    let parts = (0..10u8, 0..100usize, prop::option::of(1..50u32), prop::option::of((1..3u8, 1..4u32)));
    parts.prop_map(|(priority, length, expiry, group)| {
        let body = Body::from(Bytes::from(vec![priority; length]));
        let mut descriptor = Descriptor {
            message_id: MessageId([7; 24]),
            priority: Some(priority),
            persistence: Persistence::Persistent,
            expiry,
            put_at: WallTime(3),
            ..Descriptor::default()
        };
        if let Some((group, sequence_number)) = group {
            let group_id = GroupId([group; 24]);
            descriptor.set_in_group(InGroup { group_id, sequence_number, is_last: sequence_number == 3 });
        }
        Message { descriptor, body_crc: body.crc32c(), body }
    })
}

/// Mostly for the queue that is there, and by few producers, so that they put the same once more.
fn place() -> impl Strategy<Value = Place> {
    let producer = prop::option::of((0..4u8, 1..9u64, any::<bool>()));
    let warning = prop::sample::select(vec![None, Some(None), Some(Some(Reason::QFull))]);
    let parts = (1..3u32, message(), producer, warning);
    parts.prop_map(|(queue, message, producer, warning)| {
        let producer = producer.map(|(producer, sequence, repeated)| {
            let producer = ProducerId(Bytes::from(vec![b'p', producer]));
            ProducerSequence { producer, sequence, repeated }
        });
        let warning = warning.filter(|_| producer.is_some());
        let (queue, message) = (QueueId(queue), Box::new(message));
        Place { queue, message, unique: None, producer, warning, staged: None, report: None }
    })
}

/// Of messages that may be there.
fn removal() -> impl Strategy<Value = Removal> {
    let position = (0..10u8, 1..30u64).prop_map(|(rank, sequence)| Position { rank, sequence, minor: 0 });
    let positions = prop::collection::vec(position, 0..4);
    positions.prop_map(|positions| Removal { queue: QueueId(1), positions })
}

fn unit() -> impl Strategy<Value = UnitId> {
    (0..6u8).prop_map(|unit| UnitId(Bytes::from(vec![b'u', unit])))
}

fn done() -> impl Strategy<Value = Command> {
    let places = || prop::collection::vec(place(), 0..4);
    let removals = || prop::collection::vec(removal(), 0..2);
    let unit_of_work = (prop::option::of((unit(), 0..4u64)), places(), removals());
    prop_oneof![
        4 => place().prop_map(Command::Place),
        1 => removal().prop_map(Command::Remove),
        1 => removals().prop_map(Command::Backout),
        1 => removals().prop_map(Command::Expire),
        2 => unit_of_work
            .prop_map(|(unit, places, removals)| Command::CommitUnit { unit, places, removals }),
        1 => (unit(), 0..4u64).prop_map(|(unit, units_decided)| Command::SealUnit { unit, units_decided }),
    ]
}

/// So little that much is forgotten.
fn little() -> Retention {
    Retention {
        outcomes_min: 1,
        outcomes_max: 3,
        producers_min: 1,
        producers_max: 2,
        sequences_max: 3,
        sequences_in_all_max: 5,
        names_max: 1,
        age_ms: 4,
    }
}

fn raise() -> Command {
    Command::Raise { to: Version::TRAIL, leader: (NodeId(1), Term(2)), by: Box::default() }
}

fn first_commands() -> [Command; 2] {
    let define = Command::Define {
        object: ObjectRef::new(ObjectKind::LocalQueue, "ORDERS"),
        like: String::new(),
        replace: false,
        changes: Changes::default(),
        by: Box::default(),
    };
    [define, raise()]
}

#[test]
fn a_repetition_in_a_unit_that_makes_the_first_time_forgotten_is_one_all_the_same() {
    let mut manager = QueueManager::new(QueueManagerId(7), ObjectName::new("QM").unwrap());
    manager.set_retention(little());
    let descriptor =
        Descriptor { priority: Some(0), persistence: Persistence::Persistent, ..Descriptor::default() };
    let place = |queue, producer: &'static [u8]| {
        let producer = ProducerId(Bytes::from_static(producer));
        let producer = Some(ProducerSequence { producer, sequence: 1, repeated: false });
        let message = Box::new(Message { descriptor: descriptor.clone(), ..Message::default() });
        Place {
            queue: QueueId(queue),
            message,
            unique: None,
            producer,
            warning: None,
            staged: None,
            report: None,
        }
    };
    first_commands().into_iter().for_each(|command| drop(manager.apply(command)));
    manager.apply(Command::Place(place(1, b"early")));
    manager.set_time(WallTime(100));
    // The queue that the repetition names is none, and no harm.
    let places = vec![place(1, b"late"), place(2, b"early"), place(1, b"early")];
    let applied = manager.apply(Command::CommitUnit { unit: None, places, removals: Vec::new() });
    assert!(applied.verdict.is_ok());
    assert_eq!(manager.queue(QueueId(1)).unwrap().depth(), 2);
}

proptest! {
    #[test]
    fn what_is_done_with_messages_comes_back_from_the_log_as_it_was(
        commands in prop::collection::vec(done(), 1..20),
    ) {
        let mut encoder = BatchEncoder::default();
        encoder.speak(Version::TRAIL);
        commands.iter().for_each(|command| encoder.append(command.clone(), WallTime(7)));
        let (_, decoded) = command::decode(encoder.take(), Speaks::RELEASE).unwrap();
        prop_assert_eq!(decoded, commands);
    }

    #[test]
    fn the_store_has_messages_outcomes_and_producers_as_the_queue_manager_has_them(
        commands in prop::collection::vec(done(), 1..60),
        moves_every in 1..10usize,
    ) {
        let id = QueueManagerId(7);
        let mut manager = QueueManager::new(id, ObjectName::new("QM").unwrap());
        manager.set_retention(little());
        let mut store = Store::default();
        for (number, command) in first_commands().into_iter().chain(commands).enumerate() {
            manager.set_time(WallTime(number as i64));
            manager.apply(command);
            manager.check_invariants().unwrap();
            if number % moves_every == 0 {
                let (base, index) = (Index(number as u64), Index(number as u64 + 1));
                store.apply(manager.take_store_batch(base, meta(id, index)).0);
                prop_assert_eq!(store.load().digest(), manager.digest());
            }
        }
    }

    #[test]
    fn a_command_comes_back_from_the_log_as_it_was(commands in prop::collection::vec(said(), 1..20)) {
        let mut encoder = BatchEncoder::default();
        encoder.speak(Version::TRAIL);
        commands.iter().for_each(|command| encoder.append(command.clone(), WallTime(7)));
        let (_, decoded) = command::decode(encoder.take(), Speaks::RELEASE).unwrap();
        prop_assert_eq!(decoded, commands);
    }

    #[test]
    fn the_store_has_every_definition_as_the_queue_manager_has_it(
        commands in prop::collection::vec(said(), 1..40),
        moves_every in 1..10usize,
    ) {
        let id = QueueManagerId(7);
        let mut manager = QueueManager::new(id, ObjectName::new("QM").unwrap());
        let mut store = Store::default();
        for (number, command) in [raise()].into_iter().chain(commands).enumerate() {
            manager.set_time(WallTime(number as i64));
            manager.apply(command);
            manager.check_invariants().unwrap();
            manager.check_rules().unwrap();
            if number % moves_every == 0 {
                let (base, index) = (Index(number as u64), Index(number as u64 + 1));
                store.apply(manager.take_store_batch(base, meta(id, index)).0);
                prop_assert_eq!(store.load().digest(), manager.digest());
            }
        }
    }

    #[test]
    fn what_is_read_is_what_is_displayed(
        (attribute, text) in kind().prop_flat_map(attribute).prop_flat_map(|one| (Just(one), text_for(one))),
        anything in ".{0,30}",
    ) {
        for text in [&text, &anything] {
            let Ok(value) = attribute.parse(attribute.name, text) else { continue };
            prop_assert_eq!(attribute.parse(attribute.name, &attribute.text(&value)).unwrap(), value);
        }
    }
}

#[test]
fn every_default_is_one_that_could_be_said() {
    for facts in ObjectKind::ALL {
        for attribute in facts.kind.attributes().filter(|attribute| attribute.default != Initial::Needed) {
            let value = attribute.default_value();
            let is_of_form = match (&value, attribute.form) {
                (Value::Number(number), Form::Number { least, most, words }) => {
                    (least..=most).contains(number) || words.iter().any(|(_, of)| of == number)
                }
                (Value::Number(number), Form::Word(words)) => words.iter().any(|(_, of)| of == number),
                (Value::Number(number), Form::Flag { .. }) => matches!(number, 0 | 1),
                (Value::Text(text), Form::Text { most } | Form::Name { most }) => {
                    text.chars().count() <= most
                }
                (Value::List(texts), Form::List { .. }) => texts.is_empty(),
                _ => false,
            };
            assert!(is_of_form, "{} {} is {value:?} by default", facts.name, attribute.name);
        }
    }
}
