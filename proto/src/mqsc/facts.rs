//! What is known of an object: what was set, and what the queue manager knows besides, as it is displayed and compared.

use super::dates::day_and_time;
use super::layout::Cell;
use crate::admin::v1::ObjectDetails;
use crate::attribute::{Attribute, Form, Kind, State};

/// The level of MQ's commands that is understood here (MQIA_COMMAND_LEVEL).
pub const CMDLEVEL: i32 = 943;

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
        // Nobody reads a password out of a display.
        let hidden = attribute.name == "LDAPPWD" && !said.value.is_empty();
        let value = if hidden { "********" } else { said.value.as_str() };
        Some(fact(attribute, value))
    });
    let known = kind.attributes().filter(|attribute| attribute.state == State::Live);
    let known = known.filter_map(|attribute| Some(fact(attribute, &live(object, kind, attribute)?)));
    let name = if kind == Kind::QueueManager { queue_manager } else { &object.name };
    Facts { kind, label: facts.name_label, name: name.to_string(), values: set.chain(known).collect() }
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

/// What is not set; None for what nobody here knows.
fn live(object: &ObjectDetails, kind: Kind, attribute: &Attribute) -> Option<String> {
    let status = object.status.as_ref();
    let value = match attribute.name {
        "TYPE" => kind.facts().name.to_string(),
        "DEFTYPE" => match status.map(|status| status.dynamic.as_str()) {
            None | Some("") => "PREDEFINED".to_string(),
            Some(dynamic) => dynamic.to_string(),
        },
        "CURDEPTH" => status?.depth.to_string(),
        "IPPROCS" => status?.open_input.to_string(),
        "OPPROCS" => status?.open_output.to_string(),
        // A queue manager that nobody altered does not know since when it is there.
        "CRDATE" | "CRTIME" if object.created_ms == 0 => String::new(),
        "ALTDATE" | "ALTTIME" if object.altered_ms == 0 => String::new(),
        "CRDATE" => day_and_time(object.created_ms).0,
        "CRTIME" => day_and_time(object.created_ms).1,
        "ALTDATE" => day_and_time(object.altered_ms).0,
        "ALTTIME" => day_and_time(object.altered_ms).1,
        "DURABLE" => "YES".to_string(),
        "SUBTYPE" => "ADMIN".to_string(),
        "COMMANDQ" => "SYSTEM.ADMIN.COMMAND.QUEUE".to_string(),
        "CMDLEVEL" => CMDLEVEL.to_string(),
        "PLATFORM" => "UNIX".to_string(),
        "MAXPRTY" => "9".to_string(),
        "SYNCPT" => "YES".to_string(),
        "DISTL" | "XRCAP" | "AMQPCAP" => "NO".to_string(),
        "SPLCAP" | "ADVCAP" => "DISABLED".to_string(),
        "VERSION" => version(),
        _ => return None,
    };
    Some(value)
}

/// Two digits each, as MQ writes it: version, release, modification, fix.
fn version() -> String {
    let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut text: String = parts.map(|part| format!("{part:02}")).collect();
    text.push_str("00");
    text
}
