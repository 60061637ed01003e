//! What a command says when it was asked.

use super::command::{Command, Display, Reply, Subject, Wanted};
use super::facts::{Fact, Facts, facts_of, meets};
use super::layout::{self, Cell};
use super::{message, order, status};
use crate::admin::v1::ObjectDetails;

/// The lines of an answer, and whether the command was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub lines: Vec<String>,
    pub failed: bool,
    /// These lines are what a display says that found nothing: of one that comes in pages, only when all of them are so.
    pub found_nothing: bool,
}

impl Answer {
    fn done(line: impl Into<String>) -> Answer {
        Answer { lines: vec![line.into()], ..Answer::default() }
    }

    fn failed(lines: Vec<String>) -> Answer {
        Answer { lines, failed: true, found_nothing: false }
    }

    /// Of a command and what came back for the last of its requests that was asked; None when it has none.
    pub fn of(command: &Command, reply: Option<&Reply>, queue_manager: &str) -> Answer {
        match (command, reply) {
            (Command::Help(lines), _) => Answer { lines: lines.clone(), ..Answer::default() },
            (Command::NotHere(why), _) => {
                Answer::failed(message::refused(command, FUNCTION_NOT_SUPPORTED, why))
            }
            (Command::Delete { missing_is_fine: true, .. }, Some(Reply::Refused { reason: 2085, .. })) => {
                Answer::done(message::done(command))
            }
            (_, Some(Reply::Refused { reason, text })) => {
                Answer::failed(message::refused(command, *reason, text))
            }
            (Command::Control { stops, .. }, Some(reply)) if command.ends_with(reply, queue_manager) => {
                Answer::failed(vec![message::already(*stops).to_string()])
            }
            (Command::Display(display), Some(reply)) => displayed(display, reply, queue_manager),
            _ => Answer::done(message::done(command)),
        }
    }
}

const FUNCTION_NOT_SUPPORTED: u32 = 2298;

/// What a display finds among objects, with all that has a meaning for each of them.
pub fn found<'a>(
    display: &'a Display,
    objects: &'a [ObjectDetails],
    queue_manager: &'a str,
) -> impl Iterator<Item = Facts> + 'a {
    let shown = objects.iter().filter(move |object| meets(object, queue_manager, &display.filters));
    shown.map(move |object| {
        let mut facts = facts_of(object, queue_manager);
        let (kind, of_type) = (facts.kind, of_type(&facts).to_string());
        facts.values.retain(|fact| order::applies(kind, &of_type, fact.name));
        facts
    })
}

fn of_type(facts: &Facts) -> &str {
    let found = facts.values.iter().find(|fact| matches!(fact.name, "TYPE" | "AUTHTYPE"));
    found.map_or("", |fact| fact.value.as_str())
}

fn displayed(display: &Display, reply: &Reply, queue_manager: &str) -> Answer {
    let blocks: Vec<Vec<Cell>> = match (display.subject, reply) {
        (Subject::Object(_) | Subject::Queues, Reply::Objects(objects)) => {
            let shown = objects.iter().filter(|object| meets(object, queue_manager, &display.filters));
            shown.map(|object| cells_of(display, &facts_of(object, queue_manager))).collect()
        }
        (_, reply) => status::blocks(display, reply, queue_manager),
    };
    if let (true, Subject::QueueHandles, Reply::Sessions(_)) = (blocks.is_empty(), display.subject, reply) {
        let heading = message::details(display.subject).to_string();
        let lines = vec![heading, message::why(&nobody_has(display))];
        return Answer { lines, failed: false, found_nothing: true };
    }
    if blocks.is_empty() {
        let lines = vec![message::not_found(display.subject, &display.name)];
        return Answer { lines, failed: true, found_nothing: true };
    }
    let mut lines = Vec::new();
    for cells in blocks {
        lines.push(message::details(display.subject).to_string());
        lines.extend(layout::lines(&cells));
    }
    Answer { lines, ..Answer::default() }
}

/// The queue is there, and its handles are none.
fn nobody_has(display: &Display) -> String {
    match (display.name.as_str(), display.filters.is_empty()) {
        ("" | "*", true) => "Nobody has a queue open.".to_string(),
        (name, true) => format!("Nobody has {name} open."),
        (_, false) => "No handle is as it is asked for.".to_string(),
    }
}

fn cells_of(display: &Display, facts: &Facts) -> Vec<Cell> {
    let kind = facts.kind;
    let (always, of_several) = order::usual(kind);
    let is_usual = display.wanted == Wanted::Usual;
    let of_type = of_type(facts);
    let mut shown: Vec<&Fact> = facts
        .values
        .iter()
        .filter(|fact| {
            let is_beside = always.contains(&fact.name) || (is_usual && of_several.contains(&fact.name));
            let is_wanted = is_beside || display.wants(fact.name);
            // A record says nothing of what it does not look at; several records do not say what is empty either.
            let has_meaning = order::applies(kind, of_type, fact.name)
                && (!is_usual
                    || !of_several.contains(&fact.name)
                    || !fact.value.is_empty()
                    || display.shows_all());
            is_wanted && has_meaning
        })
        .collect();
    shown.sort_by_key(|fact| order::place(kind, &fact.cell.name));
    let mut cells = vec![Cell::new(facts.label, facts.name.clone())];
    cells.extend(shown.into_iter().map(|fact| fact.cell.clone()));
    cells
}
