//! MQINQ and MQSET: attributes of queue managers and queues by their selectors (MQIA_*, MQCA_*).
//!
//! Selectors up to 2000 are integers, above them are characters of a fixed length.

use bytes::{BufMut, BytesMut};
use trimaran_proto::mq::call::Attributes;
use trimaran_proto::mq::constants::reason;

use super::convert::{CCSID, Code};
use super::terms::Terms;
use crate::mqi::QueueView;
use crate::types::definition::{
    Changes, DEFTYPE, Definition, Form, INHIBIT_GET, INHIBIT_PUT, Selector, State, Value as Set,
};
use crate::types::limits;

/// The highest selector of an integer (MQIA_LAST).
const INTEGERS_LAST: i32 = 2000;
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

/// What a queue manager says of itself (IBM MQ Reference, "MQINQ").
pub fn of_queue_manager(terms: &Terms, selector: i32) -> Option<Value> {
    let text = |text: &str| Some(Text(text.to_string(), 48));
    match selector {
        2 => Some(Integer(CCSID)), // CODED_CHAR_SET_ID
        11 => Some(Integer(limits::HANDLES_MAX as i32)),
        13 => Some(Integer(limits::BODY_BYTES_MAX as i32)),
        14 => Some(Integer(9)),           // MAX_PRIORITY
        25 => Some(Integer(999_999_999)), // TRIGGER_INTERVAL
        30 => Some(Integer(1)),           // SYNCPOINT
        31 => Some(Integer(trimaran_proto::mqsc::CMDLEVEL)),
        32 => Some(Integer(3)), // PLATFORM: MQPL_UNIX
        33 => Some(Integer(limits::UNIT_MESSAGES_DEFAULT as i32)),
        34 => Some(Integer(0)),                          // DIST_LISTS
        47..=50 | 52 | 53 | 55 | 73 => Some(Integer(0)), // events
        68 => Some(Integer(5000)),                       // MSG_MARK_BROWSE_INTERVAL
        187 => Some(Integer(0)),                         // PUBSUB_MODE: MQPSM_DISABLED
        192 => Some(Integer(-1)),                        // MAX_PROPERTIES_LENGTH
        251 | 273 => Some(Integer(0)),                   // PROT_POLICY_CAPABILITY, ADVANCED_CAPABILITY
        2003 => text("SYSTEM.ADMIN.COMMAND.QUEUE"),
        2006 | 2025 | 2035 | 2036 => text(""), // DEAD_LETTER_Q_NAME and others
        2014 => Some(Text(String::new(), 64)),
        2015 => text(terms.queue_manager.as_str()),
        2032 => text(&terms.identifier),
        _ => None,
    }
}

/// What is said of a queue: what is counted, and what its definition has, by the table of attributes.
pub fn of_queue(view: &QueueView, selector: i32) -> Option<Value> {
    let number = |number: u64| Some(Integer(i32::try_from(number).unwrap_or(i32::MAX)));
    match selector {
        3 => number(view.depth),
        7 => Some(Integer(view.definition.number(DEFTYPE))), // DEFINITION_TYPE
        20 => Some(Integer(1)),                              // Q_TYPE: local
        17 => number(u64::from(view.open_input)),
        18 => number(u64::from(view.open_output)),
        2016 => Some(Text(view.definition.object.name.clone(), 48)),
        // BASE_OBJECT_NAME and others that only queues of other types have.
        2002 | 2017 | 2018 | 2024 => Some(Text(String::new(), 48)),
        _ => defined(&view.definition, Selector::try_from(selector).ok()?),
    }
}

fn defined(definition: &Definition, selector: Selector) -> Option<Value> {
    let attribute =
        definition.kind().attribute(selector).filter(|attribute| attribute.state != State::Live)?;
    match (definition.value(selector)?, attribute.form) {
        (Set::Number(number), _) => Some(Integer(number)),
        (Set::Text(text), Form::Text { most } | Form::Name { most }) => Some(Text(text, most)),
        _ => None,
    }
}

/// Answers an inquiry: the values, and the reason of a warning or a failure.
pub fn inquire(asked: &Attributes, of: impl Fn(i32) -> Option<Value>) -> (Attributes, Code) {
    let mut told = asked.clone();
    let refused = |reason| (Attributes::default(), reason);
    if asked.selectors.len() > SELECTORS_MAX {
        return refused(reason::SELECTOR_LIMIT_EXCEEDED);
    }
    let mut characters = BytesMut::new();
    let mut warning = reason::NONE;
    for selector in &asked.selectors {
        match of(*selector) {
            Some(Integer(value)) => told.integers.push(value),
            Some(Text(text, length)) => put_text(&text, length, &mut characters),
            None if !(1..=4000).contains(selector) => return refused(reason::SELECTOR_ERROR),
            None => {
                warning = reason::SELECTOR_NOT_FOR_TYPE;
                match *selector <= INTEGERS_LAST {
                    true => told.integers.push(-1),
                    false => characters.put_bytes(b'*', 48),
                }
            }
        }
    }
    if told.integers.len() > asked.integer_count as usize {
        told.integers.truncate(asked.integer_count as usize);
        warning = reason::INT_ATTR_COUNT_TOO_SMALL;
    }
    if characters.len() > asked.character_length as usize {
        characters.truncate(asked.character_length as usize);
        warning = reason::CHAR_ATTRS_TOO_SHORT;
    }
    told.integer_count = told.integers.len() as u32;
    told.character_length = characters.len() as u32;
    told.characters = characters.freeze();
    (told, warning)
}

/// Cut to its length, padded with blanks.
fn put_text(text: &str, length: usize, into: &mut BytesMut) {
    let cut = text.len().min(length);
    into.put_slice(&text.as_bytes()[..cut]);
    into.put_bytes(b' ', length - cut);
}

/// What an MQSET asks to change.
pub fn changes(asked: &Attributes) -> Result<Changes, Code> {
    let mut values = asked.integers.iter();
    let one = |selector: &i32| {
        let value = match values.next() {
            // What is allowed is so by default.
            Some(0) => None,
            Some(1) => Some(Set::Number(1)),
            _ => return Err(reason::INHIBIT_VALUE_ERROR),
        };
        match Selector::try_from(*selector) {
            Ok(selector @ (INHIBIT_GET | INHIBIT_PUT)) => Ok((selector, value)),
            _ => Err(reason::SELECTOR_ERROR),
        }
    };
    asked.selectors.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ObjectName;
    use crate::types::definition::ObjectKind;

    fn asked(selectors: &[i32], integer_count: u32, character_length: u32) -> Attributes {
        Attributes { selectors: selectors.to_vec(), integer_count, character_length, ..Attributes::default() }
    }

    #[test]
    fn values_come_in_the_order_of_their_selectors() {
        let terms = Terms::new(ObjectName::new("QM1").unwrap(), "cluster");
        let of = |selector| of_queue_manager(&terms, selector);
        let (told, reason) = inquire(&asked(&[31, 2015, 32, 2006], 4, 100), of);
        assert_eq!((reason, &told.integers[..]), (0, &[943, 3][..]));
        assert_eq!((told.character_length, told.characters.trim_ascii_end()), (96, &b"QM1"[..]));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_what_does_not_exist_is_refused() {
        let terms = Terms::new(ObjectName::new("QM1").unwrap(), "cluster");
        let of = |selector| of_queue_manager(&terms, selector);
        assert_eq!(inquire(&asked(&[31, 32], 1, 0), of).1, 2022);
        assert_eq!(inquire(&asked(&[2015], 0, 10), of).1, 2008);
        assert_eq!(inquire(&asked(&[3], 1, 0), of).1, 2068);
        assert_eq!(inquire(&asked(&[5000], 1, 0), of).1, 2067);
    }

    #[test]
    fn a_set_inhibits_and_nothing_else() {
        let set = |selectors: &[i32], integers: &[i32]| {
            changes(&Attributes { integers: integers.to_vec(), ..asked(selectors, 0, 0) })
        };
        let kind = ObjectKind::LocalQueue;
        let changed = Changes::default().with(kind, "GET", "DISABLED").with(kind, "PUT", "ENABLED");
        assert_eq!(set(&[9, 10], &[1, 0]), Ok(changed));
        assert_eq!(set(&[9], &[2]), Err(2020));
        assert_eq!(set(&[15], &[1]), Err(2067));
    }
}
