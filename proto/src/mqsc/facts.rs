//! What is known of an object: what was set, and what the queue manager knows besides, as it is displayed and compared.

use super::dates::day_and_time;
use super::filter::Filter;
use super::layout::Cell;
use crate::admin::v1::ObjectDetails;
use crate::attribute::{Attribute, Form, Kind, State, Value};

/// What is known of one object: names and values as they can be displayed and compared.
pub struct Facts {
    pub kind: Kind,
    /// QUEUE, CHANNEL, ...: how the display calls the name.
    pub label: &'static str,
    pub name: String,
    pub values: Vec<Fact>,
}

pub struct Fact {
    /// By the table.
    pub name: &'static str,
    /// As it is displayed: a flag is its name alone.
    pub cell: Cell,
    /// As it is compared.
    pub value: String,
}

/// What was set, and what is known besides.
pub fn facts_of(object: &ObjectDetails, queue_manager: &str) -> Facts {
    let kind = Kind::named(&object.kind).unwrap_or(Kind::LocalQueue);
    let facts = kind.facts();
    let set = object.attributes.iter().filter_map(|said| {
        let attribute = kind.attribute_named(&said.name)?;
        Some(fact(attribute, &said.value))
    });
    let besides = Known::of(object, kind);
    let known = kind.attributes().filter(|attribute| attribute.state == State::Live);
    let known = known
        .filter_map(|attribute| Some(fact(attribute, &attribute.text(&live(kind, attribute, &besides)?))));
    let name = if kind == Kind::QueueManager { queue_manager } else { &object.name };
    Facts { kind, label: facts.name_label, name: name.to_string(), values: set.chain(known).collect() }
}

/// An attribute that an object has not is not met by any filter. Nothing is worded but what is looked at.
pub fn meets(object: &ObjectDetails, queue_manager: &str, filters: &[Filter]) -> bool {
    if filters.is_empty() {
        return true;
    }
    let kind = Kind::named(&object.kind).unwrap_or(Kind::LocalQueue);
    let besides = Known::of(object, kind);
    filters.iter().all(|filter| {
        if filter.attribute == kind.facts().name_label {
            let name = if kind == Kind::QueueManager { queue_manager } else { &object.name };
            return filter.holds(name);
        }
        let Some(attribute) = kind.attribute_named(&filter.attribute) else { return false };
        let set = object.attributes.iter().find(|said| said.name == attribute.name);
        match set {
            Some(said) => filter.holds(&said.value),
            None if attribute.state == State::Live => {
                live(kind, attribute, &besides).is_some_and(|value| filter.holds(&attribute.text(&value)))
            }
            None => false,
        }
    })
}

fn fact(attribute: &'static Attribute, value: &str) -> Fact {
    let cell = match attribute.form {
        Form::Flag { .. } if value == "YES" => Cell::keyword(attribute.name),
        Form::Flag { off } => Cell::keyword(off),
        // A fact of the queue manager that MQ shows as a word.
        _ if attribute.name == "SYNCPT" => Cell::keyword(attribute.name),
        _ => Cell::new(attribute.name, value),
    };
    Fact { name: attribute.name, cell, value: value.to_string() }
}

/// What an object is besides what was set of it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// When it was defined and last altered, in milliseconds since 1970; 0 where nobody knows.
    pub created_ms: i64,
    pub altered_ms: i64,
    /// Of a local queue: how it came to be (DEFTYPE).
    pub definition_type: i32,
    /// Of a local queue: messages, and handles that have it open for input and for output.
    pub counts: Option<(u64, u32, u32)>,
    /// Of a queue manager (QMID).
    pub identifier: Option<String>,
}

impl Known {
    fn of(object: &ObjectDetails, kind: Kind) -> Known {
        let status = object.status.as_ref();
        // A word, as an administrator reads it; the table has its number.
        let words = kind.attribute_named("DEFTYPE").filter(|_| kind == Kind::LocalQueue);
        let dynamic = status.map(|status| status.dynamic.as_str()).filter(|word| !word.is_empty());
        let parsed = words.zip(dynamic).and_then(|(of, word)| of.parse("DEFTYPE", word).ok());
        Known {
            created_ms: object.created_ms,
            altered_ms: object.altered_ms,
            definition_type: match parsed {
                Some(Value::Number(number)) => number,
                _ => PREDEFINED,
            },
            counts: status.map(|status| (status.depth, status.open_input, status.open_output)),
            identifier: None,
        }
    }
}

/// MQQDT_PREDEFINED.
const PREDEFINED: i32 = 1;

/// What nobody sets, for displays and inquiries; None for what nobody here knows.
pub fn live(kind: Kind, attribute: &Attribute, known: &Known) -> Option<Value> {
    let text = |text: String| Some(Value::Text(text));
    let count = |count: u64| Some(Value::Number(i32::try_from(count).unwrap_or(i32::MAX)));
    // A queue manager that nobody altered does not know since when it is there.
    let moment = |ms: i64| if ms == 0 { Default::default() } else { day_and_time(ms) };
    match attribute.name {
        "TYPE" => attribute.parse("TYPE", kind.facts().name).ok(),
        "DEFTYPE" => Some(Value::Number(known.definition_type)),
        "CURDEPTH" => count(known.counts?.0),
        "IPPROCS" => count(known.counts?.1.into()),
        "OPPROCS" => count(known.counts?.2.into()),
        "CRDATE" => text(moment(known.created_ms).0),
        "CRTIME" => text(moment(known.created_ms).1),
        "ALTDATE" => text(moment(known.altered_ms).0),
        "ALTTIME" => text(moment(known.altered_ms).1),
        "QMID" => text(known.identifier.clone()?),
        "VERSION" => text(version()),
        // The same for every one: as the table has it.
        "DURABLE" | "SUBTYPE" | "COMMANDQ" | "CMDLEVEL" | "PLATFORM" | "MAXPRTY" | "SYNCPT" | "DISTL"
        | "XRCAP" | "AMQPCAP" | "SPLCAP" | "ADVCAP" => Some(attribute.default_value()),
        _ => None,
    }
}

/// Two digits each, as MQ writes it: version, release, modification, fix.
fn version() -> String {
    let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut text: String = parts.map(|part| format!("{part:02}")).collect();
    text.push_str("00");
    text
}
