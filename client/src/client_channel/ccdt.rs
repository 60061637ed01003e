//! A client channel definition table in JSON, as IBM MQ has it since 9.1.2.
//!
//! ```text
//!   {"channel": [{"name": "APP.SVRCONN", "type": "clientConnection",
//!                 "clientConnection": {"connection": [{"host": "h", "port": 1414}], "queueManager": "QM1"},
//!                 "transmissionSecurity": {"cipherSpecification": "ANY_TLS12_OR_HIGHER"},
//!                 "connectionManagement": {"clientWeight": 0, "affinity": "preferred"}}]}
//! ```
//!
//! Keys that decide where messages go and whether they go in the clear are read strictly: one that is misspelt there is refused.
//! Elsewhere MQ's keys that say nothing to this client are passed over.

use serde_json::{Map, Value};
use trimaran_proto::plain;

use super::definition::{Affinity, Definition, PORT, address, check_host, check_name};
use crate::error::{Error, Result};

const HOW: &str = r#"{"channel": [{"name": "APP.SVRCONN", "type": "clientConnection", "clientConnection": {"connection": [{"host": "mq.example.com", "port": 1414}], "queueManager": "QM1"}}]}"#;

/// The entries of a table in their order. `file` is what people know it by.
pub(super) fn definitions(file: &str, text: &[u8]) -> Result<Vec<Definition>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.contains(&0) {
        return Err(Error::Invalid(format!(
            "{file} is a binary table, which only IBM's own clients read; write it as JSON: {HOW}"
        )));
    }
    let root: Value = serde_json::from_slice(text).map_err(|error| {
        Error::Invalid(format!("{file} is no JSON: {}; write {HOW}", plain::error(error)))
    })?;
    let entries = root.get("channel").and_then(Value::as_array);
    let entries = entries.filter(|entries| !entries.is_empty());
    let entries =
        entries.ok_or(Error::Invalid(format!("{file} has no list \"channel\" with entries; write {HOW}")))?;
    entries
        .iter()
        .enumerate()
        .map(|(number, entry)| Entry::new(file, number + 1, entry)?.definition())
        .collect()
}

/// One of the list, with where it stands.
struct Entry<'a> {
    place: String,
    keys: &'a Map<String, Value>,
}

/// An object within an entry; nothing is in one that is not there.
struct Group<'a> {
    entry: &'a Entry<'a>,
    name: &'static str,
    keys: Option<&'a Map<String, Value>>,
}

impl<'a> Entry<'a> {
    fn new(file: &str, number: usize, entry: &'a Value) -> Result<Entry<'a>> {
        let Some(keys) = entry.as_object() else {
            return Err(Error::Invalid(format!("entry {number} of {file} is no object; write {HOW}")));
        };
        let place = match keys.get("name").and_then(Value::as_str) {
            Some(name) => format!("entry {number} ({name}) of {file}"),
            None => format!("entry {number} of {file}"),
        };
        Ok(Entry { place, keys })
    }

    fn definition(&self) -> Result<Definition> {
        let top = Group { entry: self, name: "", keys: Some(self.keys) };
        let channel = top.text("name")?.unwrap_or_default();
        check_name(channel).map_err(|what| {
            self.wrong(format!("\"{channel}\" as its name, which {what}"), "name the channel")
        })?;
        match top.text("type")? {
            Some("clientConnection") => {}
            Some(other) => {
                return Err(
                    self.wrong(format!("the type {other}"), "a client uses \"type\": \"clientConnection\"")
                );
            }
            None => return Err(self.wrong("no type", "write \"type\": \"clientConnection\"")),
        }
        let connection = self.group("clientConnection")?;
        connection.knows(&["connection", "queueManager"])?;
        let security = self.group("transmissionSecurity")?;
        security.knows(&["cipherSpecification", "certificateLabel", "certificatePeerName"])?;
        let management = self.group("connectionManagement")?;
        // What these say is about sharing a connection and keeping an idle one alive, and these programs do neither.
        management.number("sharedConversations", 999_999_999)?;
        management.number("heartbeatInterval", 999_999)?;
        Ok(Definition {
            queue_manager: connection.text("queueManager")?.unwrap_or_default().trim().to_string(),
            cipher: security.text("cipherSpecification")?.unwrap_or_default().trim().to_string(),
            weight: management.number("clientWeight", 99)?.unwrap_or(0) as u8,
            affinity: self.affinity(&management)?,
            not_done: self.not_done(&management),
            ..Definition::plain(&self.place, channel, self.addresses(&connection)?)
        })
    }

    fn affinity(&self, management: &Group<'_>) -> Result<Affinity> {
        match management.text("affinity")? {
            None | Some("preferred") => Ok(Affinity::Preferred),
            Some("none") => Ok(Affinity::None),
            Some(other) => {
                let has = format!("\"{other}\" as connectionManagement.affinity");
                Err(self.wrong(has, "write \"preferred\" or \"none\""))
            }
        }
    }

    fn addresses(&self, connection: &Group<'_>) -> Result<Vec<String>> {
        const TO_DO: &str = "write \"connection\": [{\"host\": \"mq.example.com\", \"port\": 1414}]";
        let lacks = || self.wrong("no clientConnection.connection with a host", TO_DO);
        let list = connection.get("connection").ok_or_else(lacks)?;
        let list = list.as_array().filter(|list| !list.is_empty()).ok_or_else(lacks)?;
        list.iter()
            .map(|each| {
                let keys = each.as_object().ok_or_else(lacks)?;
                let each = Group { entry: self, name: "clientConnection.connection", keys: Some(keys) };
                each.knows(&["host", "port"])?;
                let host = each.text("host")?.ok_or_else(lacks)?.trim();
                check_host(host)
                    .map_err(|what| self.wrong(format!("a connection that cannot be: {what}"), TO_DO))?;
                match each.number("port", u64::from(u16::MAX))?.unwrap_or(u64::from(PORT)) {
                    0 => {
                        Err(self
                            .wrong("0 as clientConnection.connection.port", "write a port from 1 to 65535"))
                    }
                    port => Ok(address(host, port as u16)),
                }
            })
            .collect()
    }

    /// What the entry asks for and is not there, so that it is not passed over in silence.
    fn not_done(&self, management: &Group<'_>) -> Option<&'static str> {
        let is_said = |value: Option<&Value>| match value {
            None | Some(Value::Null) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(keys)) => !keys.is_empty(),
            Some(_) => true,
        };
        if is_said(self.keys.get("exits")) {
            return Some("exits");
        }
        is_said(management.get("localAddress")).then_some("connectionManagement.localAddress")
    }

    fn group(&self, name: &'static str) -> Result<Group<'_>> {
        let keys = match self.keys.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::Object(keys)) => Some(keys),
            Some(_) => {
                return Err(self.wrong(format!("something else than an object as {name}"), "write {…}"));
            }
        };
        Ok(Group { entry: self, name, keys })
    }

    fn wrong(&self, has: impl std::fmt::Display, to_do: &str) -> Error {
        Error::Invalid(format!("{} has {has}; {to_do}", self.place))
    }
}

impl Group<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.keys.and_then(|keys| keys.get(key)).filter(|value| !value.is_null())
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self
                .entry
                .wrong(format!("{other} as {}, which is text", self.path(key)), "write it in quotes")),
        }
    }

    fn number(&self, key: &str, most: u64) -> Result<Option<u64>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|number| *number <= most) {
                Some(number) => Ok(Some(number)),
                None => {
                    let to_do = format!("write a number from 0 to {most}, without quotes");
                    Err(self.entry.wrong(format!("{value} as {}", self.path(key)), &to_do))
                }
            },
        }
    }

    /// Refuses what is misspelt.
    fn knows(&self, known: &[&str]) -> Result<()> {
        let stranger =
            self.keys.iter().flat_map(|keys| keys.keys()).find(|key| !known.contains(&key.as_str()));
        match stranger {
            None => Ok(()),
            Some(stranger) => {
                let has = format!("a key {} that is not known", self.path(stranger));
                Err(self.entry.wrong(has, &format!("known are {}", known.join(", "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry with this in place of, or besides, what a good one has.
    fn entry(change: &str) -> Result<Vec<Definition>> {
        let good = r#"{"name": "APP.SVRCONN", "type": "clientConnection",
            "clientConnection": {"connection": [{"host": "one", "port": 1415}, {"host": "::1"}], "queueManager": "QM1"}}"#;
        let mut good: Value = serde_json::from_str(good).unwrap();
        let change: Value = serde_json::from_str(change).unwrap();
        for (key, value) in change.as_object().unwrap() {
            good[key] = value.clone();
        }
        definitions(
            "ccdt.json",
            serde_json::to_vec(&serde_json::json!({ "channel": [good] })).unwrap().as_slice(),
        )
    }

    #[test]
    fn an_entry_has_addresses_a_queue_manager_a_cipher_and_a_weight() {
        let found = entry(
            r#"{"general": {"description": "for the shop", "maximumMessageLength": 4194304},
                "transmissionSecurity": {"cipherSpecification": "ANY_TLS12_OR_HIGHER", "certificateLabel": "me"},
                "connectionManagement": {"sharedConversations": 10, "heartbeatInterval": 300, "clientWeight": 7,
                    "affinity": "none", "defaultReconnect": "yes"},
                "compression": {"header": ["none"]}, "timestamps": {"altered": "2026-11-29T00:00:00.000Z"}, "exits": {}}"#,
        );
        assert_eq!(
            found.unwrap(),
            [Definition {
                place: "entry 1 (APP.SVRCONN) of ccdt.json".into(),
                channel: "APP.SVRCONN".into(),
                addresses: vec!["one:1415".into(), "[::1]:1414".into()],
                queue_manager: "QM1".into(),
                cipher: "ANY_TLS12_OR_HIGHER".into(),
                weight: 7,
                affinity: Affinity::None,
                not_done: None,
            }]
        );
        let plain = entry("{}").unwrap().remove(0);
        assert_eq!((plain.cipher.as_str(), plain.weight, plain.affinity), ("", 0, Affinity::Preferred));
    }

    #[test]
    fn what_is_wrong_in_an_entry_is_named_with_what_to_do() {
        for (change, what, to_do) in [
            (r#"{"name": ""}"#, "\"\" as its name", "name the channel"),
            (r#"{"name": 7}"#, "7 as name, which is text", "in quotes"),
            (r#"{"type": null}"#, "no type", "clientConnection"),
            (r#"{"type": "sender"}"#, "the type sender", "clientConnection"),
            (r#"{"clientConnection": {}}"#, "no clientConnection.connection", "\"host\""),
            (r#"{"clientConnection": {"connection": []}}"#, "no clientConnection.connection", "\"host\""),
            (r#"{"clientConnection": {"connection": [{"port": 1414}]}}"#, "with a host", "\"host\""),
            (r#"{"clientConnection": {"connection": [{"host": "h:1414"}]}}"#, "behind a colon", "\"port\""),
            (
                r#"{"clientConnection": {"connection": [{"host": "h", "port": 0}]}}"#,
                "0 as clientConnection",
                "from 1",
            ),
            (
                r#"{"clientConnection": {"connection": [{"host": "h", "port": "1414"}]}}"#,
                "\"1414\" as",
                "without quotes",
            ),
            (
                r#"{"clientConnection": {"conection": []}}"#,
                "clientConnection.conection that is not known",
                "queueManager",
            ),
            (r#"{"clientConnection": 1}"#, "something else than an object", "{…}"),
            (
                r#"{"transmissionSecurity": {"cypherSpecification": "X"}}"#,
                "cypherSpecification",
                "cipherSpecification",
            ),
            (r#"{"transmissionSecurity": {"cipherSpecification": true}}"#, "true as", "in quotes"),
            (r#"{"connectionManagement": {"clientWeight": 100}}"#, "100 as", "from 0 to 99"),
            (r#"{"connectionManagement": {"affinity": "always"}}"#, "\"always\" as", "\"none\""),
            (r#"{"connectionManagement": {"sharedConversations": -1}}"#, "-1 as", "from 0"),
            (r#"{"connectionManagement": {"heartbeatInterval": "5"}}"#, "\"5\" as", "without quotes"),
        ] {
            let error = entry(change).unwrap_err().to_string();
            assert!(
                error.starts_with("entry 1 ") && error.contains("of ccdt.json has ") && error.contains(what),
                "{change}: {error}"
            );
            assert!(
                error.split_once("; ").is_some_and(|(_, rest)| rest.contains(to_do)),
                "{change}: {error}"
            );
        }
    }

    #[test]
    fn what_is_no_table_is_said_to_be_none() {
        for (text, what) in [
            (&b"AMQR\0\0\0\x02"[..], "is a binary table"),
            (b"{\"channel\": [}", "is no JSON: expected value at line 1 column 14"),
            (b"", "is no JSON"),
            (b"[]", "has no list \"channel\""),
            (b"{\"channel\": []}", "has no list \"channel\""),
            (b"\xef\xbb\xbf{\"channel\": [1]}", "entry 1 of ccdt.json is no object"),
        ] {
            let error = definitions("ccdt.json", text).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("ccdt.json") && error.contains(HOW), "{error}");
        }
    }

    #[test]
    fn what_is_not_done_waits_until_it_is_used() {
        for (change, what) in [
            (r#"{"exits": {"send": [{"name": "x"}]}}"#, Some("exits")),
            (
                r#"{"connectionManagement": {"localAddress": [{"host": "h"}]}}"#,
                Some("connectionManagement.localAddress"),
            ),
            (r#"{"exits": {}, "connectionManagement": {"localAddress": []}}"#, None),
        ] {
            assert_eq!(entry(change).unwrap()[0].not_done, what, "{change}");
        }
    }
}
