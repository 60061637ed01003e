//! dmpmqcfg: definitions as commands that make them again.

use super::dates::day_and_time;
use super::facts::facts_of;
use super::lines::broken;
use crate::admin::v1::ObjectDetails;
use crate::attribute::{Attribute, Form, Kind, State};
use crate::audit::SECRETS;

/// One command for each object, on several lines with `+`, or on one; no line is longer than is read.
///
/// What has its default is written too with `all`; what would be refused when it is read again is not. Records are set,
/// and everything else is defined with REPLACE, so that a dump can be read twice.
pub fn dump(object: &ObjectDetails, all: bool, one_line: bool) -> String {
    let Some(kind) = Kind::named(&object.kind) else { return String::new() };
    let mut parts = vec![head(kind, &object.name)];
    let said = object.attributes.iter().filter_map(|said| {
        let attribute = kind.attribute_named(&said.name)?;
        Some((attribute, said.value.as_str()))
    });
    let mut said: Vec<(&Attribute, &str)> =
        said.filter(|(attribute, _)| attribute.state != State::Live).collect();
    // The type of a channel comes first: what else may be said depends on it.
    said.sort_by_key(|(attribute, _)| {
        (!matches!(attribute.name, "CHLTYPE" | "AUTHTYPE" | "TYPE"), attribute.name)
    });
    match kind {
        Kind::Authority => parts.extend(authority(&said)),
        _ => parts
            .extend(said.iter().filter(|(attribute, value)| is_said(kind, attribute, value, all)).map(part)),
    }
    match kind {
        Kind::QueueManager => {}
        Kind::ChannelAuth => parts.push("ACTION(REPLACE)".to_string()),
        Kind::Authority => {}
        _ => parts.push("REPLACE".to_string()),
    }
    if one_line {
        return broken(&parts.join(" ")).join("\n");
    }
    let mut lines = vec![comment(object)];
    let last = parts.len() - 1;
    for (place, part) in parts.iter().enumerate() {
        let indent = if place == 0 { "" } else { "   " };
        let goes_on = if place == last { "" } else { " +" };
        lines.extend(broken(&format!("{indent}{part}{goes_on}")));
    }
    lines.join("\n")
}

fn comment(object: &ObjectDetails) -> String {
    let (day, time) = day_and_time(object.altered_ms);
    let facts = facts_of(object, &object.name);
    format!("* {}({}) ALTDATE({day}) ALTTIME({time})", facts.label, facts.name)
}

fn head(kind: Kind, name: &str) -> String {
    match kind {
        Kind::QueueManager => "ALTER QMGR".to_string(),
        Kind::ChannelAuth => format!("SET CHLAUTH({})", quoted(name)),
        Kind::Authority if name == "SELF" => "SET AUTHREC".to_string(),
        Kind::Authority => format!("SET AUTHREC PROFILE({})", quoted(name)),
        kind => format!("DEFINE {}({})", kind.facts().name, quoted(name)),
    }
}

fn is_said(kind: Kind, attribute: &Attribute, value: &str, all: bool) -> bool {
    // What stands for a password would be taken for it.
    if SECRETS.contains(&attribute.selector) {
        return false;
    }
    // Whether somebody started or stopped it is how it is, not what it is.
    if kind == Kind::Listener && attribute.name == "STATE" {
        return false;
    }
    // MQ wants these of every new object.
    let is_required = attribute.name == "CHLTYPE" || (kind == Kind::Listener && attribute.name == "TRPTYPE");
    let parsed = attribute.parse(attribute.name, value);
    let is_default = parsed.is_ok_and(|value| attribute.is_default(&value));
    // Blank attributes that tell records apart are no attributes of the record.
    let tells_nothing = value.is_empty() && (attribute.key || matches!(attribute.form, Form::List { .. }));
    !tells_nothing && (!is_default || all || is_required)
}

fn part((attribute, value): &(&Attribute, &str)) -> String {
    match attribute.form {
        Form::Flag { off } => if *value == "YES" { attribute.name } else { off }.to_string(),
        Form::Number { .. } | Form::Word(_) => format!("{}({value})", attribute.name),
        Form::List { .. } => {
            let members: Vec<String> = value.split(',').map(quoted).collect();
            format!("{}({})", attribute.name, members.join(","))
        }
        // An empty text is a blank one.
        Form::Text { .. } | Form::Name { .. } if value.is_empty() => format!("{}(' ')", attribute.name),
        Form::Text { .. } | Form::Name { .. } => format!("{}({})", attribute.name, quoted(value)),
    }
}

fn authority(said: &[(&Attribute, &str)]) -> Vec<String> {
    let value = |name: &str| {
        let found = said.iter().find(|(attribute, _)| attribute.name == name);
        found.map(|(_, value)| *value).unwrap_or_default()
    };
    let who = if value("ENTTYPE") == "GROUP" { "GROUP" } else { "PRINCIPAL" };
    vec![
        format!("{who}({})", quoted(value("ENTITY"))),
        format!("OBJTYPE({})", value("OBJTYPE")),
        format!("AUTHADD({})", if value("AUTHLIST").is_empty() { "NONE" } else { value("AUTHLIST") }),
    ]
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
