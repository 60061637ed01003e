//! The records of what administrators changed, which are a chain ([`crate::chain`]), in the words of MQSC.

use bytes::Bytes;
use serde_json::json;

use crate::admin::v1::audit_record::Verb;
use crate::admin::v1::audit_value::Value as Wire;
use crate::admin::v1::{AuditChange, AuditRecord, AuditTexts, AuditValue, Tongue};
use crate::attribute::{Attribute, Kind, Selector, Value};
use crate::calendar::Moment;
use crate::chain::Link;

/// The version of a queue manager since which changes are kept.
pub const SINCE: u32 = 4;
/// How many of the newest records every node keeps, and how many bytes of them.
pub const KEPT: usize = 10_000;
pub const KEPT_BYTES: usize = 4 << 20;
/// How many records an answer has at most, and about how many bytes.
pub const A_PAGE: usize = 200;
pub const A_PAGE_BYTES: usize = 1 << 20;
/// Attributes whose values are in no record: LDAPPWD. That they were changed is.
pub const SECRETS: [Selector; 1] = [2048];
/// What stands for such a value.
pub const SECRET: &str = "********";

impl Link for AuditRecord {
    fn number(&self) -> u64 {
        self.number
    }

    fn sealed_before(&self) -> &Bytes {
        &self.sealed_before
    }

    fn seal(&self) -> &Bytes {
        &self.seal
    }

    fn sealed(self, seal: Bytes) -> AuditRecord {
        AuditRecord { seal, ..self }
    }
}

impl AuditRecord {
    /// One line of `trimaran --json audit`, and of the file that stays of a queue manager which was deleted.
    pub fn as_json(&self) -> serde_json::Value {
        let changes = self.changes_in_words();
        let changes =
            changes.map(|(name, before, after)| json!({ "name": name, "before": before, "after": after }));
        json!({
            "number": self.number,
            "at": Moment::of(self.at_ms).to_string(),
            "user": self.user,
            "application": self.application,
            "address": self.address,
            "channel": self.channel,
            "by": tongue_in_words(self.tongue()),
            "command": verb_in_words(self.verb()),
            "object": self.object(),
            "name": self.name,
            "changes": changes.collect::<Vec<_>>(),
            "sealed_before": hex(&self.sealed_before),
            "seal": hex(&self.seal),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl AuditValue {
    pub fn of(value: &Value) -> AuditValue {
        AuditValue {
            value: Some(match value {
                Value::Number(number) => Wire::Number(i64::from(*number)),
                Value::Text(text) => Wire::Text(text.clone()),
                Value::List(texts) => Wire::List(AuditTexts { texts: texts.clone() }),
            }),
        }
    }

    /// A number that is no attribute's, or is one that is counted.
    pub fn number(number: u64) -> AuditValue {
        AuditValue { value: Some(Wire::Number(i64::try_from(number).unwrap_or(i64::MAX))) }
    }

    pub fn text(text: impl Into<String>) -> AuditValue {
        AuditValue { value: Some(Wire::Text(text.into())) }
    }

    fn in_words(&self, attribute: Option<&Attribute>) -> String {
        let value = match &self.value {
            None => return String::new(),
            Some(Wire::Number(number)) => match i32::try_from(*number) {
                Ok(number) => Value::Number(number),
                Err(_) => return number.to_string(),
            },
            Some(Wire::Text(text)) => Value::Text(text.clone()),
            Some(Wire::List(list)) => Value::List(list.texts.clone()),
        };
        match (attribute, value) {
            (Some(attribute), value) => attribute.text(&value),
            (None, Value::Number(number)) => number.to_string(),
            (None, Value::Text(text)) => text,
            (None, Value::List(texts)) => texts.join(","),
        }
    }
}

impl AuditRecord {
    /// None where it is about no object or record, or of a kind that only a newer program knows.
    pub fn of_kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }

    /// What was changed, as MQSC names it: QLOCAL(ORDERS), CHLAUTH(APP.*) TYPE(USERMAP); a node or a queue manager by its name.
    pub fn object(&self) -> String {
        match self.of_kind() {
            Some(Kind::QueueManager) => "QMGR".to_string(),
            Some(kind) => {
                let key = if self.key.is_empty() { String::new() } else { format!(" {}", self.key) };
                format!("{}({}){key}", kind.facts().name, self.name)
            }
            None => self.name.clone(),
        }
    }

    /// What each change is about, and its values before and after; None where there was none.
    pub fn changes_in_words(&self) -> impl Iterator<Item = (String, Option<String>, Option<String>)> {
        self.changes.iter().map(|change| self.in_words(change))
    }

    fn in_words(&self, change: &AuditChange) -> (String, Option<String>, Option<String>) {
        let attribute = self.of_kind().and_then(|kind| kind.attribute(change.selector));
        let name = match (change.selector, attribute) {
            (0, _) => change.word.clone(),
            (_, Some(attribute)) => attribute.name.to_string(),
            (selector, None) => format!("attribute {selector}"),
        };
        let name = if change.key.is_empty() { name } else { format!("{name} of {}", change.key) };
        // What is altered is there: it is as it is by default where it does not say.
        let default = attribute.filter(|_| self.verb() == Verb::Alter);
        let default = || default.map(|attribute| attribute.text(&attribute.default_value()));
        let value = |value: &Option<AuditValue>| match value {
            Some(value) => Some(value.in_words(attribute)),
            None => default(),
        };
        (name, value(&change.before), value(&change.after))
    }
}

/// The command, as an administrator types it.
pub fn verb_in_words(verb: Verb) -> &'static str {
    match verb {
        Verb::None => "unknown",
        Verb::Define => "DEFINE",
        Verb::Alter => "ALTER",
        Verb::Delete => "DELETE",
        Verb::Clear => "CLEAR",
        Verb::Set => "SET",
        Verb::Upgrade => "cluster upgrade",
        Verb::Start => "strmqm",
        Verb::End => "endmqm",
        Verb::Move => "move",
        Verb::Drain => "node drain",
        Verb::Resume => "node resume",
        Verb::AddNode => "node add",
        Verb::RemoveNode => "node remove",
        Verb::ReplaceNode => "node replace",
        Verb::Create => "crtmqm",
        Verb::Drop => "dltmqm",
        Verb::Arrange => "place",
        Verb::Classify => "failovers classify",
    }
}

pub fn tongue_in_words(tongue: Tongue) -> &'static str {
    match tongue {
        Tongue::None => "-",
        Tongue::Grpc => "gRPC",
        Tongue::Mqsc => "MQSC",
        Tongue::Pcf => "PCF",
        Tongue::Channel => "channel",
        Tongue::Rest => "REST",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Broken, differs, seal_of, verify};

    fn record(number: u64, before: Option<&AuditRecord>) -> AuditRecord {
        let sealed_before = before.map(|before| before.seal.clone()).unwrap_or_default();
        let maxdepth = Kind::LocalQueue.attribute_named("MAXDEPTH").expect("an attribute of queues").selector;
        let change = AuditChange {
            selector: maxdepth,
            after: Some(AuditValue::of(&Value::Number(7))),
            ..AuditChange::default()
        };
        let record = AuditRecord {
            number,
            kind: Kind::LocalQueue as u32,
            name: "ORDERS".into(),
            changes: vec![change],
            sealed_before,
            ..AuditRecord::default()
        };
        let seal = seal_of(&record);
        record.sealed(seal)
    }

    #[test]
    fn a_record_is_read_in_the_words_of_mqsc() {
        let of_queue = record(1, None);
        assert_eq!(of_queue.object(), "QLOCAL(ORDERS)");
        let words: Vec<_> = of_queue.changes_in_words().collect();
        assert_eq!(words, [("MAXDEPTH".to_string(), None, Some("7".to_string()))]);
        let manager = AuditRecord { kind: Kind::QueueManager as u32, ..AuditRecord::default() };
        assert_eq!(manager.object(), "QMGR");
        let unknown = AuditRecord { kind: 999, name: "X".into(), ..of_queue };
        assert_eq!(unknown.object(), "X", "of a newer release");
        assert!(unknown.changes_in_words().all(|(name, ..)| name.starts_with("attribute ")));
    }

    #[test]
    fn who_changes_a_record_or_takes_one_out_is_seen() {
        let first = record(1, None);
        let second = record(2, Some(&first));
        let third = record(3, Some(&second));
        let chain = [first.clone(), second.clone(), third.clone()];
        assert_eq!(verify(&chain), Ok(()));
        assert_eq!(verify(&[first.clone(), third.clone()]), Err(Broken::Missing { number: 3 }));
        let forged = AuditRecord { user: "nobody".into(), ..second.clone() };
        assert_eq!(verify(&[first, forged.clone(), third]), Err(Broken::Changed { number: 2 }));
        let resealed = AuditRecord { seal: seal_of(&forged), ..forged };
        let other = [resealed];
        assert_eq!(differs(&chain, &other).map(|record| record.number), Some(2));
        assert_eq!(differs(&chain, &[second]), None);
    }
}
