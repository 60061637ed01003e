//! Event messages, as scripts show them.

use trimaran_proto::attribute::Kind;
use trimaran_proto::mq::characters::Written;
use trimaran_proto::pcf::{self, Parameter, Value};

/// MQIACF_COMMAND and MQIACF_OBJECT_TYPE.
const COMMAND: i32 = 1021;
const OBJECT_TYPE: i32 = 1016;
/// Of an object only these are shown: MAXDEPTH, DESCR, PORT, USERLIST.
const SHOWN: [i32; 4] = [15, 2013, 1522, 3568];

/// The reason and, of two messages, which it is; who asked for it; what it says.
pub fn text(body: &[u8]) -> String {
    let event = match pcf::read(body, Written { ccsid: 1208, is_big: false }) {
        Ok(event) => event,
        Err(fault) => return format!("an event that cannot be read: {fault}"),
    };
    let part = match (event.header.sequence, event.header.is_last) {
        (1, true) => "",
        (1, false) => " before",
        _ => " after",
    };
    let mut text = format!("event {}{part}", event.header.reason);
    let is_object = event.parameters.iter().any(|parameter| parameter.id == OBJECT_TYPE);
    let mut is_of_object = false;
    for parameter in event.parameters.iter().flat_map(opened) {
        let is_name = Kind::ALL.iter().any(|facts| facts.name_selector as i32 == parameter.id);
        let is_shown = !is_of_object || is_name || SHOWN.contains(&parameter.id);
        is_of_object |= is_object && parameter.id == OBJECT_TYPE;
        if let Some(value) = shown(&parameter.trimmed()).filter(|_| is_shown) {
            text.push_str(&format!(" {}={value}", word(parameter.id)));
        }
    }
    text
}

fn opened(parameter: &Parameter) -> Vec<&Parameter> {
    match &parameter.value {
        Value::Group(parameters) => parameters.iter().collect(),
        _ => vec![parameter],
    }
}

/// None for what says nothing.
fn shown(parameter: &Parameter) -> Option<String> {
    match &parameter.value {
        Value::Text(text) if text.is_empty() => None,
        Value::Text(text) => Some(text.clone()),
        Value::Texts(texts) if texts.is_empty() => None,
        Value::Texts(texts) => Some(texts.join(",")),
        Value::Number(number) => Some(number.to_string()),
        Value::Bytes(bytes) if bytes.iter().all(|byte| *byte == 0) => None,
        other => Some(format!("{other:?}")),
    }
}

fn word(id: i32) -> String {
    let known = match id {
        COMMAND => "command",
        OBJECT_TYPE => "object",
        1010 => "appltype",
        1011 => "origin",
        2002 => "queue",
        35 => "seconds",
        36 => "highest",
        37 => "put",
        38 => "got",
        3045 => "user",
        3047 | 2015 => "qmgr",
        3050 => "application",
        2016 => "queue",
        3501 => "channel",
        3067 => "profile",
        other => return other.to_string(),
    };
    known.to_string()
}
