//! Whatever is said of objects: the log gives it back, the store keeps it, and what is read is what is displayed.

use proptest::prelude::*;
use trimaran_proto::mq::cipher_spec::CipherSpec;

use super::packs_test::Store;
use super::{BatchEncoder, Command, QueueManager, command};
use crate::types::definition::{
    Attribute, By, Changes, Content, Form, Initial, ObjectKind, ObjectRef, RecordAction, State, Value,
};
use crate::types::{
    Index, Membership, ObjectName, QueueManagerId, SnapshotMeta, Speaks, Term, TermStarts, WallTime,
};

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
        let by = By {
            user: "joe".into(),
            application: "test".into(),
            address: "10.0.0.1:5000".into(),
            channel: "APP.SVRCONN".into(),
        };
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

proptest! {
    #[test]
    fn a_command_comes_back_from_the_log_as_it_was(commands in prop::collection::vec(said(), 1..20)) {
        let mut encoder = BatchEncoder::default();
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
        for (number, command) in commands.into_iter().enumerate() {
            manager.set_time(WallTime(number as i64));
            manager.apply(command);
            manager.check_invariants().unwrap();
            manager.check_rules().unwrap();
            if number % moves_every == 0 {
                let (base, index) = (Index(number as u64), Index(number as u64 + 1));
                let membership = Membership::default();
                let meta = SnapshotMeta { queue_manager: id, index, term: Term(1), membership, terms: TermStarts::default(), installed: false };
                store.apply(manager.take_store_batch(base, meta).0);
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
