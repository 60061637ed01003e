//! What a command says when it was asked.

use super::command::{Command, Display, Subject};
use super::dates::day_and_time;
use super::layout::{self, Cell};
use super::{message, order, status};
use crate::admin::v1::{ObjectDetails, SessionDetails, StatusResponse};
use crate::attribute::{Attribute, Form, Kind, State};

/// What came back for a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    Refused { reason: u32, text: String },
    Objects(Vec<ObjectDetails>),
    Sessions(Vec<SessionDetails>),
    Status(StatusResponse),
}

/// The lines of an answer, and whether the command was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub lines: Vec<String>,
    pub failed: bool,
}

impl Answer {
    fn done(line: impl Into<String>) -> Answer {
        Answer { lines: vec![line.into()], failed: false }
    }

    fn failed(lines: Vec<String>) -> Answer {
        Answer { lines, failed: true }
    }

    /// Of a command and what came back for the last of its requests that was asked; None when it has none.
    pub fn of(command: &Command, reply: Option<&Reply>, queue_manager: &str) -> Answer {
        match (command, reply) {
            (Command::Help(lines), _) => Answer { lines: lines.clone(), failed: false },
            (Command::NotHere(why), _) => {
                Answer::failed(message::refused(command, FUNCTION_NOT_SUPPORTED, why))
            }
            (Command::Delete { missing_is_fine: true, .. }, Some(Reply::Refused { reason: 2085, .. })) => {
                Answer::done(message::done(command))
            }
            (_, Some(Reply::Refused { reason, text })) => Answer::failed(message::refused(command, *reason, text)),
            (Command::Display(display), Some(reply)) => displayed(display, reply, queue_manager),
            _ => Answer::done(message::done(command)),
        }
    }
}

const FUNCTION_NOT_SUPPORTED: u32 = 2298;

/// What is known of one object: names and values as they can be displayed and compared.
pub(super) struct Facts {
    pub kind: Kind,
    /// QUEUE, CHANNEL, ...: how the display calls the name.
    pub label: &'static str,
    pub name: String,
    pub values: Vec<Fact>,
}

pub(super) struct Fact {
    /// By the table.
    pub name: &'static str,
    /// As it is displayed: a flag is its name alone.
    pub cell: Cell,
    /// As it is compared.
    pub value: String,
}

fn displayed(display: &Display, reply: &Reply, queue_manager: &str) -> Answer {
    let blocks: Vec<Vec<Cell>> = match (display.subject, reply) {
        (Subject::Object(_) | Subject::Queues, Reply::Objects(objects)) => objects
            .iter()
            .map(|object| facts_of(object, queue_manager))
            .filter(|facts| passes(display, facts))
            .map(|facts| cells_of(display, &facts))
            .collect(),
        (_, reply) => status::blocks(display, reply, queue_manager),
    };
    if blocks.is_empty() {
        return Answer::failed(vec![message::not_found(display.subject, &display.name)]);
    }
    let mut lines = Vec::new();
    for cells in blocks {
        lines.push(message::details(display.subject).to_string());
        lines.extend(layout::lines(&cells));
    }
    Answer { lines, failed: false }
}

/// An attribute that an object has not is not met by any filter.
fn passes(display: &Display, facts: &Facts) -> bool {
    display.filters.iter().all(|filter| {
        if filter.attribute == facts.label {
            return filter.holds(&facts.name);
        }
        let found = facts.values.iter().find(|fact| fact.name == filter.attribute);
        found.is_some_and(|fact| filter.holds(&fact.value))
    })
}

fn cells_of(display: &Display, facts: &Facts) -> Vec<Cell> {
    let kind = facts.kind;
    let (always, of_several) = order::usual(kind);
    let is_usual = display.wanted == super::command::Wanted::Usual;
    let of_type = facts.values.iter().find(|fact| matches!(fact.name, "TYPE" | "AUTHTYPE"));
    let of_type = of_type.map_or("", |fact| fact.value.as_str());
    let mut shown: Vec<&Fact> = facts
        .values
        .iter()
        .filter(|fact| {
            let is_beside = always.contains(&fact.name) || (is_usual && of_several.contains(&fact.name));
            let is_wanted = is_beside || display.wants(fact.name);
            // A record says nothing of what it does not look at; several records do not say what is empty either.
            let has_meaning = order::applies(kind, of_type, fact.name)
                && (!is_usual || !of_several.contains(&fact.name) || !fact.value.is_empty() || display.shows_all());
            is_wanted && has_meaning
        })
        .collect();
    shown.sort_by_key(|fact| order::place(kind, &fact.cell.name));
    let mut cells = vec![Cell::new(facts.label, facts.name.clone())];
    cells.extend(shown.into_iter().map(|fact| fact.cell.clone()));
    cells
}

/// What was set, and what is known besides.
pub(super) fn facts_of(object: &ObjectDetails, queue_manager: &str) -> Facts {
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
        "DEFTYPE" => "PREDEFINED".to_string(),
        "CURDEPTH" => status?.depth.to_string(),
        "IPPROCS" => status?.open_input.to_string(),
        "OPPROCS" => status?.open_output.to_string(),
        "CRDATE" => day_and_time(object.created_ms).0,
        "CRTIME" => day_and_time(object.created_ms).1,
        "ALTDATE" => day_and_time(object.altered_ms).0,
        "ALTTIME" => day_and_time(object.altered_ms).1,
        "DURABLE" => "YES".to_string(),
        "SUBTYPE" => "ADMIN".to_string(),
        "COMMANDQ" => "SYSTEM.ADMIN.COMMAND.QUEUE".to_string(),
        "CMDLEVEL" => super::CMDLEVEL.to_string(),
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
