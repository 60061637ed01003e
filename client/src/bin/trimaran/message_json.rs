//! Messages as JSON, with every field of MQMD version 2: `get` and `browse` print it, `put --json-lines` reads it.
//! `trimaran help json-lines` is its description.

use serde::Deserialize;
use serde_json::{Value, json};
use trimaran_client::{Descriptor, Message, hex, unhex};

use crate::{dead_letter::DeadLetter, output::timestamp};

/// Ids, tokens and bodies that are not text are hexadecimal. What has MQ's default is left out.
pub fn message_json(message: &Message) -> Value {
    let descriptor = &message.descriptor;
    let mut value = json!({
        "message_id": hex(&descriptor.message_id),
        "priority": descriptor.priority.unwrap_or_default(),
        "persistent": message.is_persistent(),
        "put_time": timestamp(descriptor.put_time_ms),
        "backout_count": descriptor.backout_count,
    });
    match message.as_text() {
        Some(text) => {
            value["text"] = json!(text);
            // Said even if it is blank: whoever writes a line by hand need not say that a text is MQSTR.
            value["format"] = json!(descriptor.format.trim_end());
        }
        None => value["body_hex"] = json!(hex(&message.body)),
    }
    add_if_set(&mut value, descriptor);
    if let Some(dead) = DeadLetter::of(message) {
        value["dead_letter"] = dead.as_json();
        if let Some(text) = dead.message.as_text() {
            value["dead_letter"]["text"] = json!(text);
        }
    }
    value
}

fn add_if_set(value: &mut Value, descriptor: &Descriptor) {
    let bytes = [
        ("correlation_id", &descriptor.correlation_id),
        ("group_id", &descriptor.group_id),
        ("accounting_token", &descriptor.accounting_token),
    ];
    for (name, id) in bytes.into_iter().filter(|(_, id)| !id.is_empty()) {
        value[name] = json!(hex(id));
    }
    let texts = [
        ("format", &descriptor.format),
        ("reply_to_queue", &descriptor.reply_to_queue),
        ("reply_to_queue_manager", &descriptor.reply_to_queue_manager),
        ("user_identifier", &descriptor.user_identifier),
        ("application_identity_data", &descriptor.application_identity_data),
        ("put_application_name", &descriptor.put_application_name),
        ("application_origin_data", &descriptor.application_origin_data),
    ];
    for (name, text) in texts.map(|(name, text)| (name, text.trim_end())) {
        if !text.is_empty() {
            value[name] = json!(text);
        }
    }
    if let Some(expiry) = descriptor.expiry {
        value["expiry_ms"] = json!(u64::from(expiry) * 100);
    }
    let numbers = [
        ("report", (descriptor.report != 0).then_some(i64::from(descriptor.report))),
        ("message_type", descriptor.message_type.map(i64::from)),
        ("feedback", (descriptor.feedback != 0).then_some(i64::from(descriptor.feedback))),
        ("encoding", descriptor.encoding.map(i64::from)),
        ("coded_character_set", descriptor.coded_character_set.map(i64::from)),
        (
            "put_application_type",
            (descriptor.put_application_type != 0).then_some(i64::from(descriptor.put_application_type)),
        ),
        ("message_sequence_number", descriptor.message_sequence_number.map(i64::from)),
        ("offset", (descriptor.offset != 0).then_some(i64::from(descriptor.offset))),
        ("message_flags", (descriptor.message_flags != 0).then_some(i64::from(descriptor.message_flags))),
        ("original_length", descriptor.original_length.map(i64::from)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            value[name] = json!(number);
        }
    }
}

/// A message as [`message_json`] makes it. What only the queue manager sets is read and left aside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonMessage {
    text: Option<String>,
    body_hex: Option<String>,
    message_id: Option<String>,
    correlation_id: Option<String>,
    group_id: Option<String>,
    priority: Option<u32>,
    persistent: Option<bool>,
    expiry_ms: Option<u64>,
    format: Option<String>,
    message_type: Option<u32>,
    report: Option<u32>,
    feedback: Option<u32>,
    encoding: Option<i32>,
    coded_character_set: Option<i32>,
    reply_to_queue: Option<String>,
    reply_to_queue_manager: Option<String>,
    accounting_token: Option<String>,
    application_identity_data: Option<String>,
    put_application_type: Option<u32>,
    application_origin_data: Option<String>,
    message_sequence_number: Option<u32>,
    offset: Option<u32>,
    message_flags: Option<u32>,
    original_length: Option<u32>,
    #[serde(rename = "put_time")]
    _put_time: Option<String>,
    #[serde(rename = "backout_count")]
    _backout_count: Option<u32>,
    #[serde(rename = "user_identifier")]
    _user_identifier: Option<String>,
    #[serde(rename = "put_application_name")]
    _put_application_name: Option<String>,
    /// Of a message with an MQDLH: the header is in the body.
    #[serde(rename = "dead_letter")]
    _dead_letter: Option<Value>,
    /// Of what `receive --json` prints.
    #[serde(rename = "received")]
    _received: Option<bool>,
}

impl JsonMessage {
    /// The message of one line, or what is wrong with it.
    pub fn read(line: &str) -> Result<Message, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| match error.is_eof() {
            true => "the JSON ends too early".to_string(),
            false => format!("it is no JSON from column {} on", error.column()),
        })?;
        let Value::Object(fields) = &value else {
            return Err("write one JSON object a line; see `trimaran help json-lines`".to_string());
        };
        for (name, value) in fields {
            let alone = json!({ name: value });
            if let Err(error) = serde_json::from_value::<JsonMessage>(alone) {
                return Err(what_is_wrong(name, value, &error.to_string()));
            }
        }
        serde_json::from_value::<JsonMessage>(value).map_err(|error| error.to_string())?.into_message()
    }

    fn into_message(self) -> Result<Message, String> {
        let from_hex =
            |name: &str, text: &str| unhex(text).ok_or(format!("{name} is not hexadecimal: {text}"));
        let bytes = |name: &str, text: Option<String>| from_hex(name, &text.unwrap_or_default());
        let mut message = match (&self.text, &self.body_hex) {
            (Some(text), None) => Message::new(text.clone().into_bytes()),
            (None, Some(digits)) => Message::new(from_hex("body_hex", digits)?),
            (None, None) => return Err("there is no body: give it as text or as body_hex".to_string()),
            (Some(_), Some(_)) => return Err("give the body as text or as body_hex, not as both".to_string()),
        };
        message.descriptor = Descriptor {
            report: self.report.unwrap_or_default(),
            message_type: self.message_type,
            expiry: self.expiry_ms.map(tenths).transpose()?,
            feedback: self.feedback.unwrap_or_default(),
            encoding: self.encoding,
            coded_character_set: self.coded_character_set,
            format: self.format.unwrap_or(if self.text.is_some() { "MQSTR".into() } else { String::new() }),
            priority: self.priority,
            message_id: bytes("message_id", self.message_id)?.into(),
            correlation_id: bytes("correlation_id", self.correlation_id)?.into(),
            reply_to_queue: self.reply_to_queue.unwrap_or_default(),
            reply_to_queue_manager: self.reply_to_queue_manager.unwrap_or_default(),
            accounting_token: bytes("accounting_token", self.accounting_token)?.into(),
            application_identity_data: self.application_identity_data.unwrap_or_default(),
            put_application_type: self.put_application_type.unwrap_or_default(),
            application_origin_data: self.application_origin_data.unwrap_or_default(),
            group_id: bytes("group_id", self.group_id)?.into(),
            message_sequence_number: self.message_sequence_number,
            offset: self.offset.unwrap_or_default(),
            message_flags: self.message_flags.unwrap_or_default(),
            original_length: self.original_length,
            ..message.descriptor
        };
        Ok(match self.persistent {
            Some(persistent) => message.persistent(persistent),
            None => message.persistence_as_queue(),
        })
    }
}

/// MQ counts the life of a message in tenths of a second, in 31 bits.
fn tenths(ms: u64) -> Result<u32, String> {
    const MOST: u64 = i32::MAX as u64;
    let tenths = Some(ms.div_ceil(100)).filter(|tenths| *tenths <= MOST);
    let too_long =
        || format!("expiry_ms is {} at most; leave it out for a message that never vanishes", MOST * 100);
    tenths.map(|tenths| tenths as u32).ok_or_else(too_long)
}

/// One field, with what it wants in the words of JSON in place of those of serde.
fn what_is_wrong(name: &str, value: &Value, error: &str) -> String {
    if error.starts_with("unknown field") {
        return format!("there is no field {name:?}; see `trimaran help json-lines`");
    }
    let wants = match error.rsplit_once("expected ").map(|(_, wanted)| wanted) {
        Some("a string") => "text in double quotes",
        Some("a boolean") => "true or false",
        Some("i32") => "a whole number",
        _ => "a whole number from 0 on",
    };
    format!("{name} is {wants}, not {value}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn again(message: &Message) -> Message {
        let line = message_json(message).to_string();
        JsonMessage::read(&line).unwrap()
    }

    #[test]
    fn what_is_printed_as_json_can_be_put_again() {
        let message = Message::text("Hello")
            .priority(4)
            .message_id("order 1")
            .correlation_id([0, 0xff])
            .group_id("group")
            .reply_to("REPLIES")
            .expiry(Duration::from_secs(3))
            .persistent(false);
        assert_eq!(again(&message), message);

        let binary = Message::new(vec![0xff, 0xfe]).priority(0);
        assert_eq!(again(&binary), binary);
    }

    #[test]
    fn what_is_printed_has_its_format_again_also_none() {
        for body in ["", "Hello", "\n\r\0 \"x\"\u{2028}"] {
            for format in ["", "MQSTR", "MQDEAD"] {
                let message = Message::new(body.as_bytes().to_vec()).priority(4).format(format);
                assert_eq!(again(&message), message);
            }
        }
        let binary = Message::new(vec![0xff]).priority(4).format("MQSTR");
        assert_eq!(again(&binary), binary);
        assert_eq!(JsonMessage::read(r#"{"text":"by hand"}"#).unwrap().descriptor.format, "MQSTR");
        assert_eq!(JsonMessage::read(r#"{"body_hex":"ff"}"#).unwrap().descriptor.format, "");
    }

    #[test]
    fn numbers_travel_to_their_ends() {
        let (most, least) = (u32::MAX, 0);
        for number in [least, 1, most] {
            let mut message = Message::text("Hello").priority(4);
            let descriptor = &mut message.descriptor;
            descriptor.report = number;
            descriptor.message_type = Some(number);
            descriptor.expiry = Some(number.min(i32::MAX as u32));
            descriptor.feedback = number;
            descriptor.encoding = Some(number as i32);
            descriptor.coded_character_set = Some(number as i32);
            descriptor.put_application_type = number;
            descriptor.message_sequence_number = Some(number);
            descriptor.offset = number;
            descriptor.message_flags = number;
            descriptor.original_length = Some(number);
            assert_eq!(again(&message), message);
        }
    }

    #[test]
    fn every_field_that_a_program_can_set_travels() {
        let mut message = Message::text("Hello").priority(4);
        let descriptor = &mut message.descriptor;
        descriptor.report = 0x0300;
        descriptor.message_type = Some(4);
        descriptor.feedback = 259;
        descriptor.encoding = Some(273);
        descriptor.coded_character_set = Some(819);
        descriptor.reply_to_queue_manager = "OTHER".into();
        descriptor.accounting_token = vec![1, 2, 3].into();
        descriptor.application_identity_data = "identity".into();
        descriptor.put_application_type = 28;
        descriptor.application_origin_data = "orig".into();
        descriptor.message_sequence_number = Some(7);
        descriptor.offset = 100;
        descriptor.message_flags = 0x18;
        descriptor.original_length = Some(2000);
        assert_eq!(again(&message), message);
    }

    #[test]
    fn json_with_a_mistake_is_told_apart() {
        for (line, said) in [
            (r#"{"text":"a","prio":1}"#, "there is no field \"prio\"; see `trimaran help json-lines`"),
            (r#"{"priority":1}"#, "there is no body: give it as text or as body_hex"),
            (r#"{"text":"a","body_hex":"00"}"#, "give the body as text or as body_hex, not as both"),
            (r#"["hello"]"#, "write one JSON object a line; see `trimaran help json-lines`"),
            (r#"{"text":1}"#, "text is text in double quotes, not 1"),
            (r#"{"text":"a","priority":"high"}"#, "priority is a whole number from 0 on, not \"high\""),
            (r#"{"text":"a","priority":-1}"#, "priority is a whole number from 0 on, not -1"),
            (r#"{"text":"a","encoding":true}"#, "encoding is a whole number, not true"),
            (r#"{"text":"a","persistent":"yes"}"#, "persistent is true or false, not \"yes\""),
            ("hello", "it is no JSON from column 1 on"),
            (r#"{"text":"#, "the JSON ends too early"),
        ] {
            assert_eq!(JsonMessage::read(line).unwrap_err(), said, "{line}");
        }
    }
}
