//! Definitions of objects and records as values: what was set, what holds, what may be set.
//!
//! Which attributes there are, what they may be and what they are by default says one table, under node and client
//! (`trimaran_proto::attribute`). Everything here is a loop over it.

use std::collections::BTreeMap;
use std::fmt;

pub use trimaran_proto::admin::v1::Tongue;
pub use trimaran_proto::attribute::{
    Attribute, Content, Form, Initial, Kind as ObjectKind, Selector, State, Value,
};

use super::{ObjectName, Reason, Version, WallTime, limits};

/// What a definition weighs besides what it says: its places in the catalogue.
const AROUND_BYTES: usize = 400;
/// What a value weighs besides its texts, and a text of a list besides its characters.
const VALUE_BYTES: usize = 64;
const MEMBER_BYTES: usize = 32;

/// Which object or record is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Objects of two kinds may have one name, but for queues: they share their names, whatever kind they are of.
    pub kind: ObjectKind,
    /// Of a record its profile; of the queue manager empty.
    pub name: String,
    /// What tells records of one profile apart, as `TYPE(USERMAP) CLNTUSER(joe)`; else empty.
    pub key: String,
}

/// Values that differ from the defaults. A selector that this program does not know is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<Selector, Value>);

/// What DEFINE, ALTER or SET says: a value for an attribute, or None for what it is by default. Merged with a
/// definition when it is applied, so that changes that were under way at the same time are all there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<Selector, Option<Value>>);

/// Who changed a definition, with what, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// Whose rights counted; empty for the queue manager itself.
    pub user: String,
    /// What the program calls itself.
    pub application: String,
    /// host:port; empty for what comes from inside a node.
    pub address: String,
    /// Empty where the protocol has no channels.
    pub channel: String,
    /// None where nobody asked, and in a queue manager older than [`Version::TRAIL`].
    pub tongue: Tongue,
}

impl By {
    /// Bytes of what it says.
    pub fn weight(&self) -> usize {
        let weight = self.user.len() + self.application.len() + self.address.len() + self.channel.len();
        debug_assert!(
            (weight == 0) == (By { tongue: Tongue::None, ..self.clone() } == By::default()),
            "who is nobody weighs nothing"
        );
        weight
    }

    /// Of whom it is not said in which language.
    pub fn silent(self) -> By {
        By { tongue: Tongue::None, ..self }
    }

    /// The version of queue managers that can be told of it.
    pub fn since(&self) -> Version {
        if self.tongue == Tongue::None { Version::FIRST } else { Version::TRAIL }
    }
}

/// What SET does with a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordAction {
    /// Lists grow, other attributes are set; a record that is not there is made.
    #[default]
    Add,
    /// What it said before is gone.
    Replace,
    /// Lists shrink; a record that says nothing any more is gone.
    Remove,
    /// All records of the profile are gone.
    RemoveAll,
}

/// An object or record as it was defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Which object or record it is.
    pub object: ObjectRef,
    /// What differs from the defaults of the kind.
    pub settings: Settings,
    /// By the clock of the log.
    pub created: WallTime,
    /// By the same; of what was never altered as `created`.
    pub altered: WallTime,
    /// Who altered it last, or defined it; nobody is known where the queue manager was older than version 3 then.
    pub altered_by: By,
}

/// Why something cannot be set: MQ's reason, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Never none.
    pub reason: Reason,
    /// A sentence that names the attribute and what it may be.
    pub text: String,
}

impl Fault {
    /// `text` is what the user reads: a sentence with its full stop.
    pub fn new(reason: Reason, text: impl Into<String>) -> Fault {
        debug_assert_ne!(reason, Reason::None, "a fault has a reason of MQ's");
        Fault { reason, text: text.into() }
    }
}

impl ObjectRef {
    /// An object of a kind whose names say all; see [`ObjectRef::record`] for others.
    pub fn new(kind: ObjectKind, name: impl Into<String>) -> ObjectRef {
        debug_assert!(!kind.is_record(), "a record has a key");
        ObjectRef { kind, name: name.into(), key: String::new() }
    }

    /// The queue manager itself, which has no name among its objects.
    pub fn manager() -> ObjectRef {
        ObjectRef::new(ObjectKind::QueueManager, "")
    }

    /// A queue that has messages.
    pub fn local_queue(name: &ObjectName) -> ObjectRef {
        let object = ObjectRef::new(ObjectKind::LocalQueue, name.as_str());
        debug_assert_eq!(object.check(), Ok(()), "a checked name is one that a queue can have");
        object
    }

    /// The record of this profile that these key attributes name.
    pub fn record(kind: ObjectKind, profile: impl Into<String>, changes: &Changes) -> ObjectRef {
        debug_assert!(kind.is_record(), "only records have keys");
        let keys = kind.attributes().filter(|attribute| attribute.key);
        let said = keys.filter_map(|attribute| match changes.0.get(&attribute.selector) {
            Some(Some(value)) => Some(attribute.display(value)),
            _ => None,
        });
        let key = said.collect::<Vec<_>>().join(" ");
        debug_assert!(
            !key.contains('\0'),
            "a zero ends the name of an object in the store, and is in no key"
        );
        ObjectRef { kind, name: profile.into(), key }
    }

    /// Whether the name is one that an object of the kind can have.
    ///
    /// # Errors
    /// 2152 with a sentence.
    pub fn check(&self) -> Result<(), Fault> {
        let facts = self.kind.facts();
        let refused = |text: String| Err(Fault::new(Reason::ObjectNameError, text));
        if self.name.chars().count() > facts.name_most {
            return refused(format!(
                "The name of a {} has at most {} characters.",
                facts.words, facts.name_most
            ));
        }
        match self.kind {
            ObjectKind::QueueManager => Ok(()),
            ObjectKind::Subscription if self.name.is_empty() || self.name.chars().any(char::is_control) => {
                refused("A subscription has a name, without control characters.".into())
            }
            ObjectKind::Subscription => Ok(()),
            // Profiles have wildcards.
            kind => {
                let plain =
                    if kind.is_record() { self.name.replace(['*', '?'], "_") } else { self.name.clone() };
                match ObjectName::new(&plain) {
                    Ok(_) => Ok(()),
                    Err(error) => refused(sentence(&error.to_string())),
                }
            }
        }
    }

    /// Whether `pattern`, which may end in `*`, names this object. Empty means all.
    pub fn matches(&self, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(prefix) => self.name.starts_with(prefix),
            None => pattern.is_empty() || self.name == pattern,
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.kind.facts().name, self.name)?;
        if self.key.is_empty() { Ok(()) } else { write!(f, " {}", self.key) }
    }
}

impl Settings {
    /// None where the attribute has its default.
    pub fn get(&self, selector: Selector) -> Option<&Value> {
        self.0.get(&selector)
    }

    /// In the order of selectors.
    pub fn iter(&self) -> impl Iterator<Item = (Selector, &Value)> {
        self.0.iter().map(|(selector, value)| (*selector, value))
    }

    /// With this attribute as it is by default.
    pub fn without(mut self, selector: Selector) -> Settings {
        self.0.remove(&selector);
        self
    }

    /// With this attribute as it is there.
    pub fn with_that_of(mut self, other: &Settings, selector: Selector) -> Settings {
        match other.get(selector) {
            Some(value) => self.0.insert(selector, value.clone()),
            None => self.0.remove(&selector),
        };
        self
    }

    /// Applies changes: what they say counts, and all else stays.
    pub fn merge(&mut self, changes: &Changes) {
        for (selector, value) in &changes.0 {
            match value {
                Some(value) => self.0.insert(*selector, value.clone()),
                None => self.0.remove(selector),
            };
        }
        debug_assert!(
            changes.iter().all(|(selector, value)| self.get(selector) == value),
            "what was changed is what is set"
        );
    }
}

impl FromIterator<(Selector, Value)> for Settings {
    fn from_iter<I: IntoIterator<Item = (Selector, Value)>>(values: I) -> Settings {
        Settings(values.into_iter().collect())
    }
}

impl FromIterator<(Selector, Option<Value>)> for Changes {
    fn from_iter<I: IntoIterator<Item = (Selector, Option<Value>)>>(values: I) -> Changes {
        Changes(values.into_iter().collect())
    }
}

impl Changes {
    /// Reads names and values as MQSC has them; a flag's value may be empty, YES or NO.
    ///
    /// # Errors
    /// 2067 for a name that nothing has, 2068 for one that this kind has not, 4005 for a value that cannot be, each
    /// with a sentence.
    pub fn parse<'a>(
        kind: ObjectKind,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Changes, Fault> {
        let mut changes = Changes::default();
        for (name, text) in attributes {
            let attribute = named(kind, name)?;
            let value = attribute.parse(name, text).map_err(wrong)?;
            let said_before =
                changes.0.insert(attribute.selector, (!attribute.is_default(&value)).then_some(value));
            if said_before.is_some() {
                return Err(wrong(format!("{} is there twice.", attribute.name)));
            }
        }
        debug_assert!(
            changes.iter().all(|(selector, value)| {
                let attribute = kind.attribute(selector);
                attribute.is_some_and(|attribute| value.is_none_or(|value| !attribute.is_default(value)))
            }),
            "what is said is an attribute of the kind, and a value only where that is not the default"
        );
        Ok(changes)
    }

    /// One attribute, for those who know that it is there.
    ///
    /// # Panics
    /// When the kind has no such attribute or it cannot have the value.
    pub fn with(mut self, kind: ObjectKind, name: &str, value: impl ToString) -> Changes {
        let value = value.to_string();
        let one =
            Changes::parse(kind, [(name, value.as_str())]).unwrap_or_else(|fault| panic!("{}", fault.text));
        self.0.extend(one.0);
        self
    }

    /// With this attribute as well, whether anybody may set it or not.
    pub fn with_value(mut self, selector: Selector, value: Value) -> Changes {
        let before = self.0.insert(selector, Some(value));
        debug_assert!(before.is_none(), "an attribute is said once");
        self
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether members of a list are said.
    pub fn has_lists(&self) -> bool {
        self.0.values().flatten().any(|value| matches!(value, Value::List(_)))
    }

    /// What it is to hold or to log this: more than its encoding.
    pub fn weight(&self) -> usize {
        self.0.values().map(|value| value.as_ref().map_or(VALUE_BYTES, weight_of)).sum()
    }

    /// In the order of selectors; None is the default again.
    pub fn iter(&self) -> impl Iterator<Item = (Selector, Option<&Value>)> {
        self.0.iter().map(|(selector, value)| (*selector, value.as_ref()))
    }

    /// Whether they may be made: to a new object, or as an alteration.
    ///
    /// # Errors
    /// 2298 for what is not done here, 4005 for what cannot be set, each with a sentence.
    pub fn check(&self, kind: ObjectKind, alters: bool) -> Result<(), Fault> {
        if self.weight() > limits::DEFINITION_BYTES_MAX {
            let most = limits::DEFINITION_BYTES_MAX;
            return Err(wrong(format!(
                "At most {most} bytes are said at once, these are {}.",
                self.weight()
            )));
        }
        for (selector, value) in self.iter() {
            let Some(attribute) = kind.attribute(selector) else {
                let text = format!("{} has no attribute with number {selector}.", kind.a());
                return Err(Fault::new(Reason::SelectorNotForType, text));
            };
            let name = attribute.name;
            match attribute.state {
                State::Live => return Err(wrong(format!("{name} is a fact and cannot be set."))),
                State::Refused(why) if value.is_some() => {
                    let text = format!("{} is not supported. {why}", attribute.display_or_default(value));
                    return Err(Fault::new(Reason::FunctionNotSupported, text));
                }
                _ if alters && !attribute.alter => {
                    let what = kind.facts().words;
                    return Err(wrong(format!(
                        "{name} cannot be altered; delete the {what} and define it again."
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Definition {
    /// With every attribute at its default.
    pub fn new(object: ObjectRef) -> Definition {
        debug_assert!(object.key.is_empty() || object.kind.is_record(), "only records have keys");
        let (settings, altered_by) = (Settings::default(), By::default());
        Definition { object, settings, created: WallTime(0), altered: WallTime(0), altered_by }
    }

    /// Of its object.
    pub fn kind(&self) -> ObjectKind {
        self.object.kind
    }

    /// About the bytes that it takes in memory, and more than its encoding has: the same on every node.
    pub fn weight(&self) -> usize {
        let says: usize = self.settings.iter().map(|(_, value)| weight_of(value)).sum();
        AROUND_BYTES + self.object.name.len() + self.object.key.len() + says + self.altered_by.weight()
    }

    /// Whether what an object is to become is not too much; one that becomes less always goes.
    ///
    /// # Errors
    /// 4005 with a sentence.
    pub fn check_growth(&self, before: Option<&Definition>) -> Result<(), Fault> {
        let weight = self.weight();
        if weight <= before.map_or(0, Definition::weight) {
            return Ok(());
        }
        for (selector, value) in self.settings.iter() {
            let form = self.kind().attribute(selector).map(|attribute| (attribute.name, attribute.form));
            if let (Some((name, Form::List { members: most, .. })), Value::List(members)) = (form, value)
                && members.len() > most
            {
                let text = format!("{name} has at most {most} members, and would have {}.", members.len());
                return Err(wrong(text));
            }
        }
        if weight > limits::DEFINITION_BYTES_MAX {
            let text = format!(
                "A definition has at most {} bytes with all that it says, this one would have {weight}.",
                limits::DEFINITION_BYTES_MAX
            );
            return Err(wrong(text));
        }
        Ok(())
    }

    /// What it is set to, or by default; None when the kind has no such attribute.
    pub fn value(&self, selector: Selector) -> Option<Value> {
        match self.settings.get(selector) {
            Some(value) => Some(value.clone()),
            None => self.kind().attribute(selector).map(Attribute::default_value),
        }
    }

    /// Of an attribute that is a number; 0 when the kind has no such attribute.
    pub fn number(&self, selector: Selector) -> i32 {
        debug_assert!(
            self.kind().attribute(selector).is_none_or(|attribute| {
                matches!(attribute.form, Form::Number { .. } | Form::Word(_) | Form::Flag { .. })
            }),
            "a number is asked of an attribute that has one"
        );
        match self.settings.get(selector) {
            Some(Value::Number(number)) => *number,
            _ => match self.kind().attribute(selector).map(|attribute| attribute.default) {
                Some(Initial::Number(number)) => number,
                _ => 0,
            },
        }
    }

    /// Of an attribute that is a text or name; empty when the kind has no such attribute.
    pub fn text(&self, selector: Selector) -> &str {
        debug_assert!(
            self.kind()
                .attribute(selector)
                .is_none_or(|attribute| matches!(attribute.form, Form::Text { .. } | Form::Name { .. })),
            "a text is asked of an attribute that has one"
        );
        match self.settings.get(selector) {
            Some(Value::Text(text)) => text,
            _ => match self.kind().attribute(selector).map(|attribute| attribute.default) {
                Some(Initial::Text(text)) => text,
                _ => "",
            },
        }
    }

    /// The object that an attribute names.
    pub fn name(&self, selector: Selector) -> Option<ObjectName> {
        ObjectName::new(self.text(selector)).ok()
    }

    /// The same with these changes.
    pub fn with(&self, changes: &Changes) -> Definition {
        let mut definition = self.clone();
        definition.settings.merge(changes);
        debug_assert_eq!(definition.object, self.object, "a change of attributes is none of the name");
        definition
    }

    /// What of these changes is not so already. An attribute that cannot be altered may be said as it is: scripts name the
    /// type of a channel whenever they alter one.
    pub fn new_in(&self, changes: &Changes) -> Changes {
        let new =
            changes.0.iter().filter(|(selector, value)| self.settings.get(**selector) != value.as_ref());
        let new: Changes = new.map(|(selector, value)| (*selector, value.clone())).collect();
        debug_assert_eq!(
            self.with(&new).settings,
            self.with(changes).settings,
            "what is left out of changes would change nothing"
        );
        new
    }

    /// Changes that lead to this definition from any other of the kind.
    pub fn as_changes(&self) -> Changes {
        let settable = self.kind().attributes().filter(|attribute| attribute.alter);
        let changes: Changes = settable
            .map(|attribute| (attribute.selector, self.settings.get(attribute.selector).cloned()))
            .collect();
        debug_assert_eq!(self.with(&changes).settings, self.settings, "its own changes leave it as it is");
        changes
    }

    /// Everything that can be set, as MQSC names and values.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static Attribute, String)> {
        let settable = self.kind().attributes().filter(|attribute| attribute.state != State::Live);
        settable.map(|attribute| {
            let value = self.settings.get(attribute.selector).cloned();
            (attribute, attribute.text(&value.unwrap_or_else(|| attribute.default_value())))
        })
    }

    /// What must hold between its attributes.
    ///
    /// # Errors
    /// 4005 with a sentence.
    pub fn check(&self) -> Result<(), Fault> {
        for attribute in self.kind().attributes() {
            if attribute.default == Initial::Needed && self.settings.get(attribute.selector).is_none() {
                return Err(wrong(format!("{} needs {}.", self.kind().a(), attribute.name)));
            }
        }
        match self.kind() {
            ObjectKind::LocalQueue | ObjectKind::ModelQueue => {
                if !self.text(BOQNAME).is_empty() && self.text(BOQNAME) == self.object.name {
                    return Err(wrong("BOQNAME must be another queue."));
                }
                if self.number(QDEPTHLO) > self.number(QDEPTHHI) {
                    return Err(wrong("QDEPTHLO is not more than QDEPTHHI."));
                }
            }
            ObjectKind::AliasQueue if self.text(TARGET) == self.object.name => {
                return Err(wrong("TARGET must be another queue."));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A kind in a sentence.
pub trait KindWords {
    /// "A local queue".
    fn a(&self) -> String;
}

impl KindWords for ObjectKind {
    fn a(&self) -> String {
        let words = self.facts().words;
        let article = if words.starts_with('a') { "An" } else { "A" };
        format!("{article} {words}")
    }
}

// Selectors that code asks for by name: as MQSC calls them, with MQ's constant (IBM MQ documentation, "Constants"). Each is a row of
// the table.

/// MQIA_MAX_Q_DEPTH: messages on a queue at most.
pub const MAXDEPTH: Selector = 15;
/// MQIA_MAX_MSG_LENGTH: bytes of a body at most, of a queue or of the whole queue manager.
pub const MAXMSGL: Selector = 13;
/// MQIA_DEF_PERSISTENCE: 1 where messages are persistent that do not say.
pub const DEFPSIST: Selector = 5;
/// MQIA_DEF_PUT_RESPONSE_TYPE, MQPRT_*: 1 waits for the answer, 2 does not.
pub const DEFPRESP: Selector = 184;
/// MQIA_DEF_READ_AHEAD, MQREADA_*: 0 no, 1 yes, 2 never.
pub const DEFREADA: Selector = 188;
/// MQIA_DEFINITION_TYPE, MQQDT_*: how a local queue came to be, or what is made from a model.
pub const DEFTYPE: Selector = 7;
/// MQQDT_PERMANENT_DYNAMIC: stays until it is deleted.
pub const PERMANENT_DYNAMIC: i32 = 2;
/// MQQDT_TEMPORARY_DYNAMIC: goes with the handle that made it.
pub const TEMPORARY_DYNAMIC: i32 = 3;
/// MQIA_DEF_PRIORITY: 0 to 9, of messages that do not say.
pub const DEFPRTY: Selector = 6;
/// MQIA_INHIBIT_GET: 1 refuses gets with 2016.
pub const INHIBIT_GET: Selector = 9;
/// MQIA_INHIBIT_PUT: 1 refuses puts with 2051.
pub const INHIBIT_PUT: Selector = 10;
/// MQIA_MSG_DELIVERY_SEQUENCE, MQMDS_*: 0 by priority, 1 in the order in which they came.
pub const MSGDLVSQ: Selector = 16;
/// MQIA_BACKOUT_THRESHOLD: after so many back-outs a message is to be moved to BOQNAME; 0: never.
pub const BOTHRESH: Selector = 22;
/// MQIA_SHAREABILITY: 0 where whoever has it open for input has it alone (others are told 2042).
pub const SHARE: Selector = 23;
/// MQIA_DEF_INPUT_OPEN_OPTION: how a queue is opened for input by whoever leaves it to the queue.
pub const DEFSOPT: Selector = 4;
/// MQOO_INPUT_EXCLUSIVE, the value of DEFSOPT(EXCL).
pub const EXCLUSIVE: i32 = 4;
/// MQIA_MAX_UNCOMMITTED_MSGS: messages of one unit of work at most, else 2024.
pub const MAXUMSGS: Selector = 33;
/// MQIA_MAX_HANDLES: handles of one session at most, and never more than `limits::HANDLES_MAX`; else 2017.
pub const MAXHANDS: Selector = 11;
/// MQIA_CMD_SERVER_CONTROL, MQSVC_CONTROL_*: with 2 (MANUAL) nobody takes commands from SYSTEM.ADMIN.COMMAND.QUEUE.
pub const SCMDSERV: Selector = 120;
/// MQIA_Q_DEPTH_HIGH_LIMIT: percent of MAXDEPTH; stored, and nothing depends on it.
pub const QDEPTHHI: Selector = 40;
/// MQIA_Q_DEPTH_LOW_LIMIT: percent of MAXDEPTH, not more than QDEPTHHI; nothing else depends on it.
pub const QDEPTHLO: Selector = 41;
/// MQIA_Q_DEPTH_MAX_EVENT, MQIA_Q_DEPTH_HIGH_EVENT and MQIA_Q_DEPTH_LOW_EVENT: 1 where the next one is told.
pub const QDPMAXEV: Selector = 42;
pub const QDPHIEV: Selector = 43;
pub const QDPLOEV: Selector = 44;
/// MQIA_CONFIGURATION_EVENT, MQIA_PERFORMANCE_EVENT and MQIA_COMMAND_EVENT, of the queue manager: not 0 where there are events.
pub const CONFIGEV: Selector = 51;
pub const PERFMEV: Selector = 53;
pub const CMDEV: Selector = 99;
/// MQCA_BASE_OBJECT_NAME: the queue that an alias stands for.
pub const TARGET: Selector = 2002;
/// MQCA_DEAD_LETTER_Q_NAME, of the queue manager; blank: none.
pub const DEADQ: Selector = 2006;
/// MQCA_REMOTE_Q_MGR_NAME: where a remote definition says that its queue is.
pub const RQMNAME: Selector = 2017;
/// MQCA_REMOTE_Q_NAME: its name there.
pub const RNAME: Selector = 2018;
/// MQCA_BACKOUT_REQ_Q_NAME: where messages go that were backed out BOTHRESH times; never the queue itself.
pub const BOQNAME: Selector = 2019;
/// MQIACH_HB_INTERVAL: seconds between heartbeats while nothing else is sent; 0: none.
pub const HBINT: Selector = 1563;
/// MQIACH_SHARING_CONVERSATIONS: conversations of one connection at most; 0: its segments have no numbers, as before MQ 7.
pub const SHARECNV: Selector = 1615;
/// Where commands are taken as messages.
pub const COMMAND_QUEUE: &str = "SYSTEM.ADMIN.COMMAND.QUEUE";
/// MQIACH_MAX_INSTANCES: connections through a channel at most, else 2537.
pub const MAXINST: Selector = 1618;
/// MQIACH_MAX_INSTS_PER_CLIENT: the same of one client's.
pub const MAXINSTC: Selector = 1619;
/// MQIACH_MAX_MSG_LENGTH: bytes of a message at most through a channel; [`MAXMSGL`] is the queue's.
pub const CHANNEL_MAXMSGL: Selector = 1510;
/// MQCACH_MCA_USER_ID: whose rights count on a channel; blank: those of who connects.
pub const MCAUSER: Selector = 3527;
/// MQCACH_SSL_CIPHER_SPEC: what clients of a channel must use; blank: no TLS.
pub const SSLCIPH: Selector = 3544;
/// MQIACH_SSL_CLIENT_AUTH, MQSCA_*: 0 where a client has to have a certificate, 1 where it need not.
pub const SSLCAUTH: Selector = 1568;
/// MQCACH_SSL_PEER_NAME: names that a client's certificate must have; one that is there demands a certificate.
pub const SSLPEER: Selector = 3545;
/// Of this product: 1 where the queue manager itself moves what [`BOTHRESH`] is about.
pub const BACKOUT_MOVE: Selector = 60_001;
/// Of this product: 1 while a channel is stopped.
pub const CHANNEL_STATE: Selector = 60_002;
/// MQIACH_LISTENER_CONTROL, MQSVC_CONTROL_*: with 2 (MANUAL) it does not start with the queue manager.
pub const LISTENER_CONTROL: Selector = 1601;
/// MQIACH_PORT, of a listener; 0: 1414.
pub const LISTENER_PORT: Selector = 1522;
/// MQCACH_IP_ADDRESS, of a listener: IPv4 or IPv6; blank or `*`: all addresses.
pub const LISTENER_IPADDR: Selector = 3552;
/// MQIACH_BACKLOG: connections that may wait to be taken; 0: 1024.
pub const LISTENER_BACKLOG: Selector = 1602;
/// MQCACH_LISTENER_DESC: at most 64 characters.
pub const LISTENER_DESCR: Selector = 3555;
/// Of this product: what START (1) and STOP LISTENER (2) said last; 0: nothing yet, and [`LISTENER_CONTROL`] counts.
pub const LISTENER_STATE: Selector = 60_003;

fn weight_of(value: &Value) -> usize {
    VALUE_BYTES
        + match value {
            Value::Number(_) => 0,
            Value::Text(text) => text.len(),
            Value::List(texts) => texts.iter().map(|text| MEMBER_BYTES + text.len()).sum(),
        }
}

fn named(kind: ObjectKind, name: &str) -> Result<&'static Attribute, Fault> {
    if let Some(attribute) = kind.attribute_named(name) {
        return Ok(attribute);
    }
    let others = ObjectKind::ALL.iter().any(|other| other.kind.attribute_named(name).is_some());
    let reason = if others { Reason::SelectorNotForType } else { Reason::SelectorError };
    Err(Fault::new(reason, format!("{} has no attribute {}.", kind.a(), name.to_uppercase())))
}

fn wrong(text: impl Into<String>) -> Fault {
    let fault = Fault::new(Reason::AttrValueError, text);
    debug_assert!(fault.text.ends_with('.'), "a fault is said in a sentence");
    fault
}

/// A sentence of an error's text.
pub fn sentence(text: &str) -> String {
    debug_assert!(!text.ends_with('.'), "the text of an error has no full stop of its own");
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ObjectKind::{AliasQueue, Channel, ChannelAuth, LocalQueue, QueueManager, Topic};

    fn parse(kind: ObjectKind, name: &str, text: &str) -> Result<Changes, (u32, String)> {
        let changes = Changes::parse(kind, [(name, text)]).and_then(|changes| {
            changes.check(kind, false)?;
            Ok(changes)
        });
        changes.map_err(|fault| (fault.reason.number(), fault.text))
    }

    #[test]
    fn values_keep_to_their_ranges_and_words() {
        let long = "x".repeat(65);
        for (kind, name, text, reason, words) in [
            (LocalQueue, "DESCR", long.as_str(), 4005, "DESCR has at most 64 characters, this one has 65."),
            (LocalQueue, "maxdepth", "1000000000", 4005, "MAXDEPTH is 0 to 999999999, not 1000000000."),
            (LocalQueue, "MAXMSGL", "104857601", 4005, "MAXMSGL is 0 to 104857600"),
            (LocalQueue, "DEFPRTY", "10", 4005, "DEFPRTY is 0 to 9, not 10."),
            (LocalQueue, "DEFPRTY", "high", 4005, "DEFPRTY is 0 to 9, not high."),
            (LocalQueue, "MAXFSIZE", "1", 4005, "MAXFSIZE is 20 to 267386880 or DEFAULT, not 1."),
            (LocalQueue, "PUT", "NO", 4005, "PUT is ENABLED or DISABLED, not NO."),
            (LocalQueue, "BOQNAME", "A B", 4005, "BOQNAME is no name"),
            (LocalQueue, "NOSUCH", "1", 2067, "A local queue has no attribute NOSUCH."),
            (LocalQueue, "PORT", "1414", 2068, "A local queue has no attribute PORT."),
            (LocalQueue, "CURDEPTH", "1", 4005, "CURDEPTH is a fact and cannot be set."),
            (LocalQueue, "USAGE", "xmitq", 2298, "USAGE(XMITQ) is not supported. Messages do not travel"),
            (LocalQueue, "TRIGGER", "", 2298, "TRIGGER is not supported."),
            (QueueManager, "MAXUMSGS", "0", 4005, "MAXUMSGS is 1 to 999999999, not 0."),
            (Channel, "CHLTYPE", "SDR", 2298, "Only channels of type SVRCONN are there"),
        ] {
            let (found, told) = parse(kind, name, text).expect_err(name);
            assert!(found == reason && told.contains(words), "{name}({text}): {found} {told}");
        }
        for (kind, name, text) in [
            (LocalQueue, "NOTRIGGER", ""),
            (LocalQueue, "usage", "normal"),
            (LocalQueue, "CAPEXPRY", "NOLIMIT"),
            (Topic, "DEFPRTY", "asparent"),
            (AliasQueue, "TARGET", ""),
        ] {
            parse(kind, name, text).unwrap_or_else(|fault| panic!("{name}({text}): {fault:?}"));
        }
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        let twice = Changes::parse(LocalQueue, [("SHARE", ""), ("NOSHARE", "")]);
        assert_eq!(twice.unwrap_err().text, "SHARE is there twice.");
    }

    #[test]
    fn only_what_differs_is_kept_and_the_default_takes_a_value_back() {
        let queue = Definition::new(ObjectRef::new(LocalQueue, "Q"));
        let set = Changes::default().with(LocalQueue, "MAXDEPTH", 7).with(LocalQueue, "NOSHARE", "");
        let queue = queue.with(&set);
        assert_eq!((queue.number(MAXDEPTH), queue.number(SHARE)), (7, 0));
        assert_eq!(queue.settings.iter().count(), 2);
        let back = queue.with(&Changes::default().with(LocalQueue, "MAXDEPTH", 5000));
        assert_eq!((back.number(MAXDEPTH), back.settings.iter().count()), (5000, 1));
    }

    #[test]
    fn what_holds_between_attributes_is_checked() {
        let queue = Definition::new(ObjectRef::new(LocalQueue, "Q"));
        let own = queue.with(&Changes::default().with(LocalQueue, "BOQNAME", "Q"));
        assert_eq!(own.check().unwrap_err().text, "BOQNAME must be another queue.");
        let low = queue.with(&Changes::default().with(LocalQueue, "QDEPTHHI", 10));
        assert!(low.check().is_err() && queue.check().is_ok());
        let topic = Definition::new(ObjectRef::new(Topic, "T"));
        assert_eq!(topic.check().unwrap_err().text, "A topic needs TOPICSTR.");
    }

    #[test]
    fn a_list_has_so_many_members_and_a_definition_so_many_bytes() {
        let users = |count: usize| (0..count).map(|n| format!("user{n}")).collect::<Vec<_>>();
        let said = |count| parse(ChannelAuth, "USERLIST", &users(count).join(","));
        assert!(said(100).is_ok());
        assert_eq!(said(101).unwrap_err(), (4005, "USERLIST has at most 100 members.".to_string()));
        let record = ObjectRef { kind: ChannelAuth, name: "X".into(), key: "TYPE(BLOCKUSER)".into() };
        let with = |count| {
            let users = Changes::default().with_value(3568, Value::List(users(count)));
            Definition::new(record.clone()).with(&users)
        };
        let refused = with(101).check_growth(Some(&with(99))).unwrap_err();
        assert_eq!(refused.text, "USERLIST has at most 100 members, and would have 101.");
        assert!(with(100).check_growth(None).is_ok());
        assert!(with(101).check_growth(Some(&with(102))).is_ok(), "what becomes less goes");
        let long = Changes::default().with_value(3567, Value::Text("x".repeat(limits::DEFINITION_BYTES_MAX)));
        assert!(Definition::new(record.clone()).with(&long).check_growth(None).is_err());
        assert_eq!(long.check(ChannelAuth, false).unwrap_err().reason, Reason::AttrValueError);
    }

    #[test]
    fn a_record_is_named_by_its_keys() {
        let said = [("TYPE", "USERMAP"), ("CLNTUSER", "joe"), ("MCAUSER", "app")];
        let changes = Changes::parse(ChannelAuth, said).unwrap();
        let record = ObjectRef::record(ChannelAuth, "DEV.*", &changes);
        assert_eq!(record.to_string(), "CHLAUTH(DEV.*) TYPE(USERMAP) CLNTUSER(joe)");
        assert!(record.check().is_ok());
    }

    #[test]
    fn every_value_is_read_as_it_is_displayed() {
        for facts in ObjectKind::ALL {
            for attribute in facts.kind.attributes() {
                let value = attribute.default_value();
                if attribute.default == Initial::Needed || attribute.state == State::Live {
                    continue;
                }
                let again = attribute.parse(attribute.name, &attribute.text(&value));
                assert_eq!(again.as_ref(), Ok(&value), "{} {}", facts.name, attribute.name);
                let Form::Word(words) = attribute.form else { continue };
                for (word, number) in words {
                    assert_eq!(attribute.parse(attribute.name, word), Ok(Value::Number(*number)));
                }
            }
        }
    }
}
