//! MQINQ and MQSET: attributes of queue managers and queues by their selectors (MQIA_*, MQCA_*).
//!
//! Integers come apart from texts, and texts are padded to their length.

use bytes::{BufMut, BytesMut};
use trimaran_proto::mq::call::Attributes;
use trimaran_proto::mq::constants::reason;
use trimaran_proto::mqsc::{Known, live};

use super::convert::Code;
use super::terms::Terms;
use crate::mqi::ObjectView;
use crate::types::definition::{
    Attribute, Changes, DEFTYPE, Form, ObjectKind, Selector, State, Value as Set,
};

/// Selectors of one call.
const SELECTORS_MAX: usize = 256;

/// One attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Integer(i32),
    /// With the length that it is padded to.
    Text(String, usize),
}

use Value::{Integer, Text};

/// What is found under a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Is(Value),
    /// Queues of another type have it; this is said in its place.
    NotForType(Value),
}

/// What is said of an object: by the table of attributes, and what is known of it besides.
pub fn of_object(view: &ObjectView, terms: &Terms, selector: i32) -> Option<Found> {
    let kind = view.definition.kind();
    let selector = Selector::try_from(selector).ok()?;
    let facts = kind.facts();
    if selector == facts.name_selector {
        let is_manager = kind == ObjectKind::QueueManager;
        let name = if is_manager { terms.queue_manager.as_str() } else { &view.definition.object.name };
        return Some(Found::Is(Text(name.to_string(), facts.name_most)));
    }
    match kind.attribute(selector) {
        Some(attribute) => value_of(view, terms, attribute).map(Found::Is),
        None if kind.is_queue() => not_of_type(selector),
        None => None,
    }
}

fn value_of(view: &ObjectView, terms: &Terms, attribute: &Attribute) -> Option<Value> {
    let value = match attribute.state {
        State::Live => {
            let known = known_of(view, terms);
            live(view.definition.kind(), attribute, &known).unwrap_or_else(|| attribute.default_value())
        }
        _ => view.definition.value(attribute.selector)?,
    };
    match (value, attribute.form) {
        (Set::Number(number), _) => Some(Integer(number)),
        (Set::Text(text), Form::Text { most } | Form::Name { most }) => Some(Text(text, most)),
        _ => None,
    }
}

fn known_of(view: &ObjectView, terms: &Terms) -> Known {
    let definition = &view.definition;
    let is_local = definition.kind() == ObjectKind::LocalQueue;
    Known {
        created_ms: definition.created.0,
        altered_ms: definition.altered.0,
        definition_type: if is_local { definition.number(DEFTYPE) } else { 0 },
        counts: view.queue.as_ref().map(|queue| (queue.depth, queue.open_input, queue.open_output)),
        identifier: Some(terms.identifier.clone()),
    }
}

/// MQIAV_NOT_APPLICABLE, or asterisks, where queues of another type have the attribute.
fn not_of_type(selector: Selector) -> Option<Found> {
    let queues = ObjectKind::ALL.iter().map(|facts| facts.kind).filter(|kind| kind.is_queue());
    let attribute = queues.filter_map(|kind| kind.attribute(selector)).next()?;
    Some(Found::NotForType(match attribute.form {
        Form::Text { most } | Form::Name { most } => Text("*".repeat(most), most),
        _ => Integer(-1),
    }))
}

/// Answers an inquiry: the values, and the reason of a warning or a failure. Of several warnings the first one in MQ's order
/// is told: 2068, 2022, 2008 (IBM MQ Reference, "MQINQ", usage notes).
pub fn inquire(asked: &Attributes, of: impl Fn(i32) -> Option<Found>) -> (Attributes, Code) {
    let mut told = asked.clone();
    let refused = |reason| (Attributes::default(), reason);
    if asked.selectors.len() > SELECTORS_MAX {
        return refused(reason::SELECTOR_LIMIT_EXCEEDED);
    }
    let mut characters = BytesMut::new();
    let mut warnings = Vec::new();
    for selector in &asked.selectors {
        let value = match of(*selector) {
            Some(Found::Is(value)) => value,
            Some(Found::NotForType(instead)) => {
                warnings.push(reason::SELECTOR_NOT_FOR_TYPE);
                instead
            }
            None => return refused(reason::SELECTOR_ERROR),
        };
        match value {
            Integer(value) => told.integers.push(value),
            Text(text, length) => put_text(&text, length, &mut characters),
        }
    }
    if told.integers.len() > asked.integer_count as usize {
        told.integers.truncate(asked.integer_count as usize);
        warnings.push(reason::INT_ATTR_COUNT_TOO_SMALL);
    }
    if characters.len() > asked.character_length as usize {
        characters.truncate(asked.character_length as usize);
        warnings.push(reason::CHAR_ATTRS_TOO_SHORT);
    }
    told.integer_count = told.integers.len() as u32;
    told.character_length = characters.len() as u32;
    told.characters = characters.freeze();
    (told, warnings.first().copied().unwrap_or(reason::NONE))
}

/// Cut to its length, padded with blanks.
fn put_text(text: &str, length: usize, into: &mut BytesMut) {
    let cut = text.len().min(length);
    into.put_slice(&text.as_bytes()[..cut]);
    into.put_bytes(b' ', length - cut);
}

/// What an MQSET asks to change; what may be set is the waist's to say. What is allowed is so by default.
pub fn changes(asked: &Attributes) -> Result<Changes, Code> {
    let mut values = asked.integers.iter();
    let one = |selector: &i32| {
        let selector = Selector::try_from(*selector).map_err(|_| reason::SELECTOR_ERROR)?;
        let value = values.next().ok_or(reason::INT_ATTR_COUNT_ERROR)?;
        Ok((selector, (*value != 0).then_some(Set::Number(*value))))
    };
    asked.selectors.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqi::QueueView;
    use crate::types::definition::{Definition, ObjectRef};
    use crate::types::{ObjectName, WallTime};

    fn asked(selectors: &[i32], integer_count: u32, character_length: u32) -> Attributes {
        Attributes { selectors: selectors.to_vec(), integer_count, character_length, ..Attributes::default() }
    }

    fn terms() -> Terms {
        Terms::new(ObjectName::new("QM1").unwrap(), "cluster")
    }

    fn inquired(view: &ObjectView, asked: &Attributes) -> (Attributes, Code) {
        inquire(asked, |selector| of_object(view, &terms(), selector))
    }

    /// The queue manager, with these attributes.
    fn manager(said: &[(&str, &str)]) -> ObjectView {
        let changes = Changes::parse(ObjectKind::QueueManager, said.iter().copied()).unwrap();
        ObjectView { definition: Definition::new(ObjectRef::manager()).with(&changes), queue: None }
    }

    fn local(name: &str) -> ObjectView {
        let definition = Definition {
            created: WallTime(1_735_734_896_789),
            ..Definition::new(ObjectRef::new(ObjectKind::LocalQueue, name))
        };
        let queue = QueueView {
            definition: definition.clone(),
            depth: 7,
            not_persistent: 0,
            uncommitted: 0,
            open_input: 2,
            open_output: 1,
            oldest_age: Default::default(),
            activity: Default::default(),
        };
        ObjectView { definition, queue: Some(queue) }
    }

    #[test]
    fn values_come_in_the_order_of_their_selectors() {
        let (told, reason) = inquired(&manager(&[]), &asked(&[31, 2015, 32, 2006], 4, 100));
        assert_eq!((reason, &told.integers[..]), (0, &[943, 3][..]));
        assert_eq!((told.character_length, told.characters.trim_ascii_end()), (96, &b"QM1"[..]));
    }

    #[test]
    fn what_was_altered_of_the_queue_manager_is_told_and_what_was_not_is_as_the_table_has_it() {
        let said = [("DEADQ", "DEAD"), ("DESCR", "Orders"), ("MAXUMSGS", "5"), ("TRIGINT", "9")];
        let (told, reason) = inquired(&manager(&said), &asked(&[33, 25, 187, 52, 2006, 2014], 4, 112));
        assert_eq!((reason, &told.integers[..]), (0, &[5, 9, 2, 1][..]));
        let texts = [&told.characters[..48], &told.characters[48..]].map(<[u8]>::trim_ascii_end);
        assert_eq!(texts, [&b"DEAD"[..], b"Orders"]);
    }

    #[test]
    fn facts_of_a_queue_are_told_beside_what_was_set() {
        let (told, reason) = inquired(&local("Q"), &asked(&[3, 17, 18, 20, 7, 15, 2016, 2004, 2005], 6, 68));
        assert_eq!((reason, &told.integers[..]), (0, &[7, 2, 1, 1, 1, 5000][..]));
        assert_eq!(&told.characters[48..], b"2025-01-01  12.34.56");
    }

    #[test]
    fn an_alias_says_its_own_attributes_and_has_no_depth() {
        let alias = Changes::parse(ObjectKind::AliasQueue, [("TARGET", "Q"), ("PUT", "DISABLED")]).unwrap();
        let definition = Definition::new(ObjectRef::new(ObjectKind::AliasQueue, "A")).with(&alias);
        let view = ObjectView { definition, ..local("Q") };
        let (told, reason) = inquired(&view, &asked(&[20, 10, 3, 2016, 2002, 2019], 3, 144));
        assert_eq!((reason, &told.integers[..]), (2068, &[3, 1, -1][..]));
        let names: Vec<_> = told.characters.chunks(48).map(<[u8]>::trim_ascii_end).collect();
        assert_eq!(names[..2], [&b"A"[..], b"Q"]);
        assert!(names[2].iter().all(|byte| *byte == b'*'));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_what_does_not_exist_is_refused() {
        let manager = manager(&[]);
        assert_eq!(inquired(&manager, &asked(&[31, 32], 1, 0)).1, 2022);
        assert_eq!(inquired(&manager, &asked(&[2015], 0, 10)).1, 2008);
        assert_eq!(inquired(&manager, &asked(&[31, 2015], 0, 10)).1, 2022);
        assert_eq!(inquired(&manager, &asked(&[3], 1, 0)).1, 2067);
        assert_eq!(inquired(&local("Q"), &asked(&[2018], 0, 10)).1, 2068);
        assert_eq!(inquired(&local("Q"), &asked(&[5000], 1, 0)).1, 2067);
    }

    #[test]
    fn a_set_says_selectors_and_their_values() {
        let set = |selectors: &[i32], integers: &[i32]| {
            changes(&Attributes { integers: integers.to_vec(), ..asked(selectors, 0, 0) })
        };
        let kind = ObjectKind::LocalQueue;
        let changed = Changes::default().with(kind, "GET", "DISABLED").with(kind, "PUT", "ENABLED");
        assert_eq!(set(&[9, 10], &[1, 0]), Ok(changed));
        assert_eq!(set(&[9], &[]), Err(2021));
    }
}
