//! What IBM's API calls the attributes of objects: in which group, by which name and in which words (IBM MQ Reference, "REST API and PCF
//! equivalents"). What an attribute is and may be says the one table (`trimaran_proto::attribute`); here are names, by its selectors. One
//! that has none is in the group `extended`, as MQSC calls it: none is missing.

use serde_json::{Map, Value, json};
use trimaran_proto::attribute::{Attribute, Form, Kind, Selector, State, Value as Set};

/// How a value is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Numbers and texts as they are, words in lower case; but for these words of MQSC, which are others. A word that is empty is not
    /// told.
    Words(&'static [(&'static str, &'static str)]),
    /// True for this number, false for the other one.
    Switch(i32),
    /// One of several names of an attribute: true for this number. That none of them is true is 0.
    Is(i32),
    /// A word, as the only member of a list.
    Member,
}

const PLAIN: How = How::Words(&[]);
const ON: How = How::Switch(1);
const AS_MANAGER: How = How::Words(&[("QMGR", "asQmgr")]);
const DYNAMIC: How =
    How::Words(&[("PREDEFINED", ""), ("PERMDYN", "permanentDynamic"), ("TEMPDYN", "temporaryDynamic")]);

type Row = (Selector, &'static str, How);

#[rustfmt::skip]
const QUEUE: &[Row] = &[
    (2013, "general.description", PLAIN),
    (9, "general.inhibitGet", ON),
    (10, "general.inhibitPut", ON),
    (12, "general.isTransmissionQueue", ON),
    (2017, "remote.qmgrName", PLAIN),
    (2018, "remote.queueName", PLAIN),
    (2024, "remote.transmissionQueueName", PLAIN),
    (2002, "alias.targetName", PLAIN),
    (193, "alias.targetType", PLAIN),
    (7, "model.type", DYNAMIC),
    (7, "dynamic.type", DYNAMIC),
    (2029, "cluster.name", PLAIN),
    (2030, "cluster.namelist", PLAIN),
    (2124, "cluster.transmissionQueueForChannelName", PLAIN),
    (96, "cluster.workloadPriority", PLAIN),
    (95, "cluster.workloadRank", PLAIN),
    (98, "cluster.workloadQueueUse", AS_MANAGER),
    (2023, "trigger.data", PLAIN),
    (29, "trigger.depth", PLAIN),
    (24, "trigger.enabled", ON),
    (2008, "trigger.initiationQueueName", PLAIN),
    (26, "trigger.messagePriority", PLAIN),
    (2012, "trigger.processName", PLAIN),
    (28, "trigger.type", PLAIN),
    (42, "events.depth.fullEnabled", ON),
    (43, "events.depth.highEnabled", ON),
    (40, "events.depth.highPercentage", PLAIN),
    (44, "events.depth.lowEnabled", ON),
    (41, "events.depth.lowPercentage", PLAIN),
    (54, "events.serviceInterval.duration", PLAIN),
    (46, "events.serviceInterval.highEnabled", How::Is(1)),
    (46, "events.serviceInterval.okEnabled", How::Is(2)),
    (61, "applicationDefaults.clusterBind", How::Words(&[("OPEN", "onOpen"), ("NOTFIXED", "notFixed"), ("GROUP", "onGroup")])),
    (5, "applicationDefaults.messagePersistence", How::Words(&[("NO", "nonPersistent"), ("YES", "persistent")])),
    (6, "applicationDefaults.messagePriority", PLAIN),
    (190, "applicationDefaults.messagePropertyControl", How::Words(&[("COMPAT", "compatible"), ("V6COMPAT", "version6Compatible")])),
    (184, "applicationDefaults.putResponse", How::Words(&[("SYNC", "synchronous"), ("ASYNC", "asynchronous")])),
    (188, "applicationDefaults.readAhead", PLAIN),
    (4, "applicationDefaults.sharedInput", How::Switch(2)),
    (134, "dataCollection.accounting", AS_MANAGER),
    (123, "dataCollection.monitoring", AS_MANAGER),
    (128, "dataCollection.statistics", AS_MANAGER),
    (23, "extended.allowSharedInput", ON),
    (2019, "extended.backoutRequeueQueueName", PLAIN),
    (22, "extended.backoutThreshold", PLAIN),
    (2119, "extended.custom", PLAIN),
    (272, "extended.enableMediaImageOperations", AS_MANAGER),
    (8, "extended.hardenGetBackout", ON),
    (34, "extended.supportDistributionLists", ON),
    (15, "storage.maximumDepth", PLAIN),
    (13, "storage.maximumMessageLength", PLAIN),
    (16, "storage.messageDeliverySequence", PLAIN),
    (78, "storage.nonPersistentMessageClass", PLAIN),
];

/// IBM's API shows channels between queue managers only; of those by which programs connect the names are those of its channel
/// definition tables in JSON.
#[rustfmt::skip]
const CHANNEL: &[Row] = &[
    (3502, "general.description", PLAIN),
    (1510, "general.maximumMessageLength", PLAIN),
    (1501, "general.transportType", PLAIN),
    (3527, "channelAgent.userId", PLAIN),
    (1503, "connectionManagement.disconnectInterval", PLAIN),
    (1563, "connectionManagement.heartbeatInterval", PLAIN),
    (1566, "connectionManagement.keepAliveInterval", PLAIN),
    (1618, "connectionManagement.maximumInstances", PLAIN),
    (1619, "connectionManagement.maximumInstancesPerClient", PLAIN),
    (1615, "connectionManagement.sharedConversations", PLAIN),
    (3544, "transmissionSecurity.cipherSpecification", PLAIN),
    (2121, "transmissionSecurity.certificateLabel", PLAIN),
    (3545, "transmissionSecurity.certificatePeerName", PLAIN),
    (1568, "transmissionSecurity.requirePartnerCertificate", How::Switch(0)),
    (1575, "compression.header", How::Member),
    (1576, "compression.message", How::Member),
    (122, "dataCollection.monitoring", AS_MANAGER),
    (3508, "exits.security.name", PLAIN),
    (3513, "exits.security.userData", PLAIN),
    (3510, "exits.send.name", PLAIN),
    (3515, "exits.send.userData", PLAIN),
    (3511, "exits.receive.name", PLAIN),
    (3516, "exits.receive.userData", PLAIN),
];

#[rustfmt::skip]
const SUBSCRIPTION: &[Row] = &[
    (7016, "id", PLAIN),
    (2094, "topic.definedString", PLAIN),
    (2092, "topic.name", PLAIN),
    (3160, "selector.value", PLAIN),
    (1273, "destination.isManaged", ON),
    (3153, "destination.qmgrName", PLAIN),
    (3154, "destination.name", PLAIN),
    (7015, "destination.correlationId", PLAIN),
    (7010, "user.accountingToken", PLAIN),
    (3135, "user.applicationIdentityData", PLAIN),
    (3156, "user.name", PLAIN),
    (1274, "general.isDurable", ON),
    (1289, "general.type", How::Words(&[("ADMIN", "administrative")])),
    (1288, "general.usesCharacterWildcard", ON),
    (1280, "extended.deliverOnRequest", ON),
    (1244, "extended.expiry", PLAIN),
    (1307, "extended.level", PLAIN),
    (1283, "extended.messagePriority", How::Words(&[("ASPUB", "asPublished"), ("ASQDEF", "asQueue")])),
    (1271, "extended.messagePropertyControl", How::Words(&[("COMPAT", "compatible"), ("MSGPROP", "messageProperties")])),
    (1275, "extended.networkScope", PLAIN),
    (3159, "extended.userData", PLAIN),
];

/// TYPE and CHLTYPE, which stand beside the name of an object.
const TYPES: [Selector; 2] = [20, 1511];

/// An attribute, and where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    /// Groups and the name, with dots between them.
    pub path: String,
    pub attribute: &'static Attribute,
    how: How,
}

/// What a value looks like in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Number,
    Text,
    Switch,
}

/// Those of a kind.
#[derive(Clone, Debug)]
pub struct Names {
    kind: Kind,
    all: Vec<Name>,
}

impl Names {
    pub fn of(kind: Kind) -> Names {
        let rows = match kind {
            Kind::Channel => CHANNEL,
            Kind::Subscription => SUBSCRIPTION,
            _ => QUEUE,
        };
        let named = rows.iter().filter(|(_, path, _)| has_group(kind, path));
        let mut all: Vec<Name> = named
            .filter_map(|(selector, path, how)| {
                let attribute = kind.attribute(*selector)?;
                Some(Name { path: (*path).to_owned(), attribute, how: *how })
            })
            .collect();
        let is_other = |attribute: &&Attribute| {
            attribute.state != State::Live
                && !TYPES.contains(&attribute.selector)
                && !rows.iter().any(|(selector, ..)| *selector == attribute.selector)
        };
        let others = kind.attributes().filter(is_other);
        all.extend(others.map(|attribute| Name {
            path: format!("extended.{}", in_camels(attribute.name)),
            attribute,
            how: if matches!(attribute.form, Form::Flag { .. }) { ON } else { PLAIN },
        }));
        Names { kind, all }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.all.iter()
    }

    /// Whether there is such a group.
    pub fn has_group(&self, path: &str) -> bool {
        let is_in = |name: &Name| name.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.all.iter().any(is_in)
    }

    pub fn at(&self, path: &str) -> Option<&Name> {
        self.all.iter().find(|name| name.path == path)
    }
}

/// Some groups are of one kind each.
fn has_group(kind: Kind, path: &str) -> bool {
    match path.split('.').next() {
        Some("model") => kind == Kind::ModelQueue,
        Some("dynamic") => kind == Kind::LocalQueue,
        _ => true,
    }
}

/// BACKOUT_MOVE is backoutMove.
fn in_camels(name: &str) -> String {
    let mut camels = String::new();
    for (at, word) in name.split('_').enumerate() {
        let (first, rest) = word.split_at(if at == 0 { 0 } else { word.len().min(1) });
        camels.push_str(first);
        camels.push_str(&rest.to_ascii_lowercase());
    }
    camels
}

impl Name {
    /// A value as MQSC has it, in JSON; None for one that is not told.
    pub fn told(&self, text: &str) -> Option<Value> {
        let value = self.attribute.parse(self.attribute.name, text);
        let number = match value {
            Ok(Set::Number(number)) => number,
            // What somebody set is a value; a fact may be blank.
            _ => return Some(text.into()),
        };
        let word = self.word(number);
        Some(match self.how {
            How::Switch(on) | How::Is(on) => (number == on).into(),
            How::Member => json!([word?]),
            How::Words(_) => match word {
                Some(word) if word.is_empty() => return None,
                Some(word) => word.into(),
                None => number.into(),
            },
        })
    }

    /// The word of IBM's API for a number.
    fn word(&self, number: i32) -> Option<String> {
        let word = self.words().iter().find(|(_, of)| *of == number).map(|(word, _)| *word)?;
        let others = if let How::Words(others) = self.how { others } else { &[] };
        let other = others.iter().find(|(ours, _)| *ours == word);
        Some(other.map_or_else(|| word.to_ascii_lowercase(), |(_, other)| (*other).to_owned()))
    }

    fn words(&self) -> &'static [(&'static str, i32)] {
        match self.attribute.form {
            Form::Word(words) | Form::Number { words, .. } => words,
            _ => &[],
        }
    }

    /// The number that is set where a switch is on or off.
    fn switched(&self, on: i32, is_on: bool) -> i32 {
        if is_on {
            return on;
        }
        match self.attribute.form {
            Form::Word(words) => words.iter().map(|(_, number)| *number).find(|number| *number != on),
            _ => None,
        }
        .unwrap_or(1 - on)
    }

    /// The value as MQSC has it.
    ///
    /// # Errors
    /// A sentence that says what it can be.
    pub fn read(&self, value: &Value) -> Result<String, String> {
        let path = &self.path;
        let text = |number| Ok(self.attribute.text(&Set::Number(number)));
        match (self.how, value) {
            (How::Switch(on), Value::Bool(is_on)) => text(self.switched(on, *is_on)),
            (How::Is(number), Value::Bool(is)) => text(if *is { number } else { 0 }),
            (How::Switch(_) | How::Is(_), other) => Err(format!("{path} is true or false, not {other}.")),
            (How::Member, Value::Array(members)) if members.len() == 1 => self.worded(&members[0]),
            (How::Member, other) => Err(format!("{path} is a list of one word, not {other}.")),
            (How::Words(_), value) => self.worded(value),
        }
    }

    fn worded(&self, value: &Value) -> Result<String, String> {
        let (path, attribute) = (&self.path, self.attribute);
        let said = match (attribute.form, value) {
            (Form::Number { .. }, Value::Number(number)) => match whole(number) {
                Some(number) => number.to_string(),
                None => return Err(format!("{path} is {}, not {number}.", self.range())),
            },
            (Form::Number { .. } | Form::Word(_), Value::String(word)) => {
                let found = self.words().iter().find(|(_, number)| self.word(*number).as_ref() == Some(word));
                let found = found.filter(|_| !word.is_empty()).map(|(_, number)| *number);
                let number = found.ok_or_else(|| format!("{path} is {}, not {word:?}.", self.range()))?;
                attribute.text(&Set::Number(number))
            }
            (Form::Text { .. } | Form::Name { .. }, Value::String(text)) => text.clone(),
            (_, other) => return Err(format!("{path} is {}, not {other}.", self.range())),
        };
        attribute.parse(attribute.name, &said).map_err(|why| format!("{path}: {why}"))?;
        Ok(said)
    }

    /// What it can be, in words.
    fn range(&self) -> String {
        let words = self.words().iter().filter_map(|(_, number)| self.word(*number));
        let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
        match self.attribute.form {
            Form::Number { least, most, .. } if words.is_empty() => format!("{least} to {most}"),
            Form::Number { least, most, .. } => format!("{least} to {most} or {}", words.join(", ")),
            Form::Word(_) => words.join(", "),
            _ => "a text".to_owned(),
        }
    }

    pub fn shape(&self) -> Shape {
        match (self.how, self.attribute.form) {
            (How::Switch(_) | How::Is(_), _) => Shape::Switch,
            (_, Form::Number { words: &[], .. }) => Shape::Number,
            _ => Shape::Text,
        }
    }

    /// Whether several names tell it, of which at most one is true.
    #[cfg(test)]
    fn is_one_of_several(&self) -> bool {
        matches!(self.how, How::Is(_))
    }

    /// What a program that describes itself says of it (JSON Schema): what somebody may set, or what may be told.
    #[cfg(test)]
    pub fn schema(&self) -> Value {
        let attribute = self.attribute;
        let only_default = matches!(attribute.state, State::Refused(_));
        let default = || self.told(&attribute.text(&attribute.default_value()));
        let words = || -> Vec<String> {
            let words = self.words().iter().filter_map(|(_, number)| self.word(*number));
            words.filter(|word| !word.is_empty()).collect()
        };
        let mut schema = match (self.how, attribute.form) {
            _ if only_default => json!({ "enum": [default()] }),
            (How::Switch(_) | How::Is(_), _) => json!({ "type": "boolean" }),
            (_, Form::Number { least, most, words: &[] }) => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            (_, Form::Number { least, most, .. }) => {
                let number = json!({ "type": "integer", "minimum": least, "maximum": most });
                json!({ "oneOf": [number, { "type": "string", "enum": words() }] })
            }
            (_, Form::Word(_)) => json!({ "type": "string", "enum": words() }),
            (_, Form::Name { most }) => {
                json!({ "type": "string", "pattern": format!("^[A-Za-z0-9._%/]{{0,{most}}}$") })
            }
            (_, Form::Text { most }) => {
                json!({ "type": "string", "maxLength": most, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$" })
            }
            (how, form) => panic!("{how:?} {form:?} has no schema"),
        };
        schema["description"] = format!("{}: {}", attribute.name, attribute.help).into();
        schema
    }
}

/// JSON has one kind of numbers: 9.0 is whole.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
    number.as_i64().or_else(|| float().map(|float| float as i64))
}

/// Puts a value where it stands.
pub fn put_at(map: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((group, rest)) => {
            let group = map.entry(group).or_insert_with(|| json!({}));
            let Value::Object(group) = group else { unreachable!("{path}: a group is an object") };
            put_at(group, rest, value);
        }
    }
}

/// What stands there.
pub fn value_at<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => map.get(path),
        Some((group, rest)) => value_at(map.get(group)?.as_object()?, rest),
    }
}

/// Whatever stands in groups, by paths; a group with nothing in it stands for itself.
pub fn flattened(map: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (name, value) in map {
        match value {
            Value::Object(group) if !group.is_empty() => {
                let inner = flattened(group).into_iter();
                all.extend(inner.map(|(path, value)| (format!("{name}.{path}"), value)));
            }
            value => all.push((name.clone(), value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KINDS: [Kind; 6] = [
        Kind::LocalQueue,
        Kind::AliasQueue,
        Kind::RemoteQueue,
        Kind::ModelQueue,
        Kind::Channel,
        Kind::Subscription,
    ];

    /// The table says it all: whatever can be set has one name, and what is told sets the same.
    #[test]
    fn every_attribute_has_a_name_by_which_it_is_told_and_set() {
        for kind in KINDS {
            let names = Names::of(kind);
            let paths: BTreeSet<&str> = names.iter().map(|name| name.path.as_str()).collect();
            assert_eq!(paths.len(), names.iter().count(), "{kind:?} has a path twice");
            let set = kind.attributes().filter(|attribute| attribute.state != State::Live);
            for attribute in set.filter(|attribute| !TYPES.contains(&attribute.selector)) {
                let of: Vec<&Name> =
                    names.iter().filter(|name| name.attribute.selector == attribute.selector).collect();
                assert!(!of.is_empty(), "{kind:?} {}", attribute.name);
                let values: Vec<String> = match attribute.form {
                    Form::Word(words) => words.iter().map(|(word, _)| (*word).to_owned()).collect(),
                    Form::Flag { .. } => vec!["YES".into(), "NO".into()],
                    _ => vec![attribute.text(&attribute.default_value())],
                };
                for text in values {
                    let told: Vec<Value> = of.iter().filter_map(|name| name.told(&text)).collect();
                    let again: Vec<String> =
                        of.iter().zip(&told).map(|(name, told)| name.read(told).unwrap()).collect();
                    let is_set = if of[0].is_one_of_several() {
                        text == "NONE" || again.contains(&text)
                    } else {
                        again == [text.clone()]
                    };
                    assert!(is_set, "{kind:?} {}({text}): {told:?} {again:?}", attribute.name);
                }
            }
        }
    }

    #[test]
    fn no_row_names_what_is_not_there() {
        let queues = &KINDS[..4];
        let rows = QUEUE.iter().map(|row| (row, queues));
        let rows = rows.chain(CHANNEL.iter().map(|row| (row, &KINDS[4..5])));
        for ((selector, path, _), kinds) in rows.chain(SUBSCRIPTION.iter().map(|row| (row, &KINDS[5..]))) {
            assert!(kinds.iter().any(|kind| Names::of(*kind).at(path).is_some()), "{selector} {path}");
        }
    }

    #[test]
    fn values_are_told_as_ibms_api_tells_them() {
        let queue = Names::of(Kind::LocalQueue);
        for (path, text, told) in [
            ("general.inhibitPut", "DISABLED", json!(true)),
            ("applicationDefaults.messagePersistence", "NO", json!("nonPersistent")),
            ("applicationDefaults.sharedInput", "EXCL", json!(false)),
            ("dataCollection.monitoring", "QMGR", json!("asQmgr")),
            ("storage.messageDeliverySequence", "PRIORITY", json!("priority")),
            ("storage.maximumDepth", "5000", json!(5000)),
            ("events.serviceInterval.okEnabled", "OK", json!(true)),
            ("events.serviceInterval.highEnabled", "OK", json!(false)),
            ("extended.backoutMove", "YES", json!("yes")),
            ("extended.maxfsize", "DEFAULT", json!("default")),
        ] {
            assert_eq!(queue.at(path).unwrap_or_else(|| panic!("{path}")).told(text), Some(told), "{path}");
        }
        assert_eq!(queue.at("dynamic.type").unwrap().told("PREDEFINED"), None);
        assert_eq!(queue.at("dynamic.type").unwrap().told("PERMDYN"), Some(json!("permanentDynamic")));
        assert!(queue.at("model.type").is_none() && queue.at("alias.targetName").is_none());
        let compression = Names::of(Kind::Channel);
        assert_eq!(compression.at("compression.header").unwrap().told("NONE"), Some(json!(["none"])));
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        let depth = Names::of(Kind::LocalQueue);
        let depth = depth.at("storage.maximumDepth").unwrap();
        assert_eq!((depth.read(&json!(9)), depth.read(&json!(9.0))), (Ok("9".into()), Ok("9".into())));
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_what_it_can_be() {
        let queue = Names::of(Kind::LocalQueue);
        for (path, value, words) in [
            ("general.inhibitPut", json!("yes"), "is true or false, not \"yes\"."),
            ("storage.maximumDepth", json!("7"), "is 0 to 999999999, not \"7\"."),
            ("storage.maximumDepth", json!(7.5), "is 0 to 999999999, not 7.5."),
            ("storage.maximumDepth", json!(-1), "MAXDEPTH is 0 to 999999999, not -1."),
            ("storage.messageDeliverySequence", json!("FIFO"), "is priority, fifo, not \"FIFO\"."),
            ("general.description", json!(null), "is a text, not null."),
            ("extended.backoutRequeueQueueName", json!("A B"), "BOQNAME is no name"),
        ] {
            let why = queue.at(path).unwrap().read(&value).unwrap_err();
            assert!(why.contains(words), "{path}: {why}");
        }
    }

    #[test]
    fn groups_are_taken_apart_and_put_together() {
        let mut map = Map::new();
        put_at(&mut map, "events.depth.highEnabled", true.into());
        put_at(&mut map, "events.serviceInterval.duration", 7.into());
        put_at(&mut map, "name", "Q".into());
        let paths: Vec<String> = flattened(&map).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["events.depth.highEnabled", "events.serviceInterval.duration", "name"]);
        assert_eq!(value_at(&map, "events.serviceInterval.duration"), Some(&json!(7)));
        assert_eq!(value_at(&map, "events.depth.lowEnabled"), None);
    }
}
