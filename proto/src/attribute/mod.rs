//! Every attribute of every kind of object: its number and name in MQ, what it may be, what it is unless somebody says
//! otherwise, and what this product does with it.
//!
//! Parsing, checking, merging, displaying, flags, help and JSON of node and client are loops over these tables; how a
//! value is read and written is in `value`. The numbers are MQ's own selectors (MQIA_*, MQCA_* and the channel's, listener's and subscription's PCF
//! parameters), so that one number serves the log, the store, MQINQ and PCF. Names, ranges and defaults: IBM MQ
//! Reference, "MQSC commands". A default never changes once it is released: what is stored is what differs from it.

mod authinfo;
mod channel;
mod listener;
mod manager;
mod queue;
mod record;
mod subscription;
mod system;
mod topic;
mod value;

pub use system::SYSTEM_OBJECTS;
pub use value::{NAME_LENGTH_MAX, NameError, Value, check_name};

/// MQ's number of an attribute.
pub type Selector = u32;

/// One attribute of one or several kinds.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    pub selector: Selector,
    /// As MQSC has it.
    pub name: &'static str,
    pub of: &'static [Kind],
    pub form: Form,
    pub default: Initial,
    pub state: State,
    /// Whether ALTER may change it.
    pub alter: bool,
    /// Of a record: part of what tells it from others.
    pub key: bool,
    /// Of a text.
    pub content: Content,
    /// A sentence.
    pub help: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// From `least` to `most`, or one of the words.
    Number { least: i32, most: i32, words: Words },
    /// One of the words, each with MQ's number for it.
    Word(Words),
    /// Its name alone for 1, this name for 0; no value in brackets.
    Flag { off: &'static str },
    /// At most this many characters.
    Text { most: usize },
    /// Empty, or the name of an object with at most so many characters.
    Name { most: usize },
    /// At most `members` texts of at most `most` characters each.
    List { most: usize, members: usize },
}

/// What a text has to be, blank aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Any,
    /// An address, IPv4 or IPv6.
    Address,
    /// The name of a CipherSpec.
    CipherSpec,
    /// A pattern of names in certificates.
    PeerName,
}

pub type Words = &'static [(&'static str, i32)];

/// What an attribute is that nobody set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    Number(i32),
    Text(&'static str),
    /// A list without members.
    Nothing,
    /// Whoever defines an object says it.
    Needed,
}

/// What is done with a value. Nothing is accepted and ignored in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does what its help says.
    Obeyed,
    /// It is kept and displayed, and nothing depends on it.
    Stored,
    /// Only the default is accepted, for the reason in this sentence.
    Refused(&'static str),
    /// A fact that is displayed and cannot be set.
    Live,
}

/// The kinds of objects and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    QueueManager = 1,
    LocalQueue = 2,
    AliasQueue = 3,
    RemoteQueue = 4,
    ModelQueue = 5,
    Channel = 6,
    Listener = 7,
    Topic = 8,
    Subscription = 9,
    AuthInfo = 10,
    /// A record of channel authentication.
    ChannelAuth = 11,
    /// An authority record.
    Authority = 12,
}

/// What is to be known of a kind.
#[derive(Clone, Copy, Debug)]
pub struct KindFacts {
    pub kind: Kind,
    /// As MQSC has it behind a verb.
    pub name: &'static str,
    /// For sentences.
    pub words: &'static str,
    /// The selector of its name, and how the display calls it.
    pub name_selector: Selector,
    pub name_label: &'static str,
    /// Characters a name has at most.
    pub name_most: usize,
    /// The object whose attributes a new one takes, if it is there.
    pub default_object: &'static str,
}

impl Kind {
    pub const ALL: &'static [KindFacts] = &[
        facts(Kind::QueueManager, "QMGR", "queue manager", 2015, "QMNAME", 48, ""),
        facts(Kind::LocalQueue, "QLOCAL", "local queue", 2016, "QUEUE", 48, "SYSTEM.DEFAULT.LOCAL.QUEUE"),
        facts(Kind::AliasQueue, "QALIAS", "alias queue", 2016, "QUEUE", 48, "SYSTEM.DEFAULT.ALIAS.QUEUE"),
        facts(Kind::RemoteQueue, "QREMOTE", "remote queue", 2016, "QUEUE", 48, "SYSTEM.DEFAULT.REMOTE.QUEUE"),
        facts(Kind::ModelQueue, "QMODEL", "model queue", 2016, "QUEUE", 48, "SYSTEM.DEFAULT.MODEL.QUEUE"),
        facts(Kind::Channel, "CHANNEL", "channel", 3501, "CHANNEL", 20, "SYSTEM.DEF.SVRCONN"),
        facts(Kind::Listener, "LISTENER", "listener", 3554, "LISTENER", 48, "SYSTEM.DEFAULT.LISTENER.TCP"),
        facts(Kind::Topic, "TOPIC", "topic", 2092, "TOPIC", 48, "SYSTEM.DEFAULT.TOPIC"),
        facts(Kind::Subscription, "SUB", "subscription", 3152, "SUB", 10_240, "SYSTEM.DEFAULT.SUB"),
        facts(Kind::AuthInfo, "AUTHINFO", "authentication information", 2045, "AUTHINFO", 48, ""),
        facts(Kind::ChannelAuth, "CHLAUTH", "channel authentication record", 3501, "CHLAUTH", 20, ""),
        facts(Kind::Authority, "AUTHREC", "authority record", 3067, "PROFILE", 48, ""),
    ];

    pub fn facts(self) -> &'static KindFacts {
        &Kind::ALL[self as usize - 1]
    }

    /// The kind of this MQSC name, in any case.
    pub fn named(name: &str) -> Option<Kind> {
        let found = Kind::ALL.iter().find(|facts| facts.name.eq_ignore_ascii_case(name));
        found.map(|facts| facts.kind)
    }

    pub fn from_number(number: u32) -> Option<Kind> {
        Kind::ALL.iter().map(|facts| facts.kind).find(|kind| *kind as u32 == number)
    }

    pub fn is_queue(self) -> bool {
        matches!(self, Kind::LocalQueue | Kind::AliasQueue | Kind::RemoteQueue | Kind::ModelQueue)
    }

    /// Records have no name of their own: they are told apart by their profile and their key attributes.
    pub fn is_record(self) -> bool {
        matches!(self, Kind::ChannelAuth | Kind::Authority)
    }

    /// In the order of the display.
    pub fn attributes(self) -> impl Iterator<Item = &'static Attribute> {
        self.table().iter().filter(move |attribute| attribute.of.contains(&self))
    }

    /// The attribute with this selector.
    pub fn attribute(self, selector: Selector) -> Option<&'static Attribute> {
        self.attributes().find(|attribute| attribute.selector == selector)
    }

    /// The attribute with this MQSC name, in any case; also by the name that switches a flag off.
    pub fn attribute_named(self, name: &str) -> Option<&'static Attribute> {
        self.attributes().find(|attribute| {
            let off = matches!(attribute.form, Form::Flag { off } if off.eq_ignore_ascii_case(name));
            off || attribute.name.eq_ignore_ascii_case(name)
        })
    }

    fn table(self) -> &'static [Attribute] {
        match self {
            Kind::QueueManager => manager::TABLE,
            Kind::LocalQueue | Kind::AliasQueue | Kind::RemoteQueue | Kind::ModelQueue => queue::TABLE,
            Kind::Channel => channel::TABLE,
            Kind::Listener => listener::TABLE,
            Kind::Topic => topic::TABLE,
            Kind::Subscription => subscription::TABLE,
            Kind::AuthInfo => authinfo::TABLE,
            Kind::ChannelAuth | Kind::Authority => record::TABLE,
        }
    }
}

const fn facts(
    kind: Kind,
    name: &'static str,
    words: &'static str,
    name_selector: Selector,
    name_label: &'static str,
    name_most: usize,
    default_object: &'static str,
) -> KindFacts {
    KindFacts { kind, name, words, name_selector, name_label, name_most, default_object }
}

// The words that many attributes share, and rows short enough to be read as a table.

/// The level of MQ's commands that is understood here (MQIA_COMMAND_LEVEL).
pub const CMDLEVEL: i32 = 943;
/// Characters that a day and a time of day have in an inquiry (MQ_DATE_LENGTH, MQ_TIME_LENGTH).
const DAY: usize = 12;
const TIME: usize = 8;

/// What MQ's counters and intervals are at most.
const MOST: i32 = 999_999_999;
/// MQ's longest message, 100 MiB.
const MESSAGE_MOST: i32 = 104_857_600;

const NO_YES: Words = &[("NO", 0), ("YES", 1)];
const DISABLED_ENABLED: Words = &[("DISABLED", 0), ("ENABLED", 1)];
const OFF_ON: Words = &[("OFF", 0), ("ON", 1)];

const NOT_BETWEEN: &str = "Messages do not travel between queue managers yet.";
const NO_MQ_CLUSTERS: &str =
    "A queue manager is no member of an MQ cluster; its own nodes make it available.";
const NO_EVENTS: &str =
    "Of events only those of depths, definitions and commands are written; the metrics have more.";
const NO_ACCOUNTING: &str =
    "Accounting and statistics messages are not written; the metrics have the figures.";
const NO_EXITS: &str = "Exit programs are not called.";
const NO_COMPRESSION: &str = "Channels do not compress.";
const NO_PUBLISHING: &str = "Nothing is published or subscribed to yet.";

const fn row(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    form: Form,
    default: Initial,
    state: State,
    help: &'static str,
) -> Attribute {
    let alter = !matches!(state, State::Live);
    Attribute { selector, name, of, form, default, state, alter, key: false, content: Content::Any, help }
}

const fn number(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    (least, most): (i32, i32),
    default: i32,
    state: State,
    help: &'static str,
) -> Attribute {
    row(selector, name, of, Form::Number { least, most, words: &[] }, Initial::Number(default), state, help)
}

const fn word(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    words: Words,
    default: i32,
    state: State,
    help: &'static str,
) -> Attribute {
    row(selector, name, of, Form::Word(words), Initial::Number(default), state, help)
}

const fn flag(
    selector: Selector,
    (name, off): (&'static str, &'static str),
    of: &'static [Kind],
    default: i32,
    state: State,
    help: &'static str,
) -> Attribute {
    row(selector, name, of, Form::Flag { off }, Initial::Number(default), state, help)
}

const fn text(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    most: usize,
    state: State,
    help: &'static str,
) -> Attribute {
    row(selector, name, of, Form::Text { most }, Initial::Text(""), state, help)
}

/// Of an object with a name of 48 characters.
const fn name(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    state: State,
    help: &'static str,
) -> Attribute {
    row(selector, name, of, Form::Name { most: 48 }, Initial::Text(""), state, help)
}

const fn list(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    (members, most): (usize, usize),
    state: State,
    help: &'static str,
) -> Attribute {
    row(selector, name, of, Form::List { most, members }, Initial::Nothing, state, help)
}

/// A number that the queue manager knows and nobody sets.
const fn fact(selector: Selector, name: &'static str, of: &'static [Kind], help: &'static str) -> Attribute {
    number(selector, name, of, (0, i32::MAX), 0, State::Live, help)
}

/// A text that the queue manager knows and nobody sets, of so many characters at most.
const fn fact_text(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    most: usize,
    help: &'static str,
) -> Attribute {
    text(selector, name, of, most, State::Live, help)
}

/// A number that is the same for every queue manager of this product.
const fn constant(
    selector: Selector,
    name: &'static str,
    of: &'static [Kind],
    value: i32,
    help: &'static str,
) -> Attribute {
    number(selector, name, of, (value, value), value, State::Live, help)
}

impl Attribute {
    /// ALTER may not change it.
    const fn fixed(self) -> Attribute {
        Attribute { alter: false, ..self }
    }

    /// Nothing but this, or none, is taken.
    const fn of_content(self, content: Content) -> Attribute {
        Attribute { content, ..self }
    }

    /// Tells a record from others.
    const fn key(self) -> Attribute {
        Attribute { alter: false, key: true, ..self }
    }

    const fn needed(self) -> Attribute {
        Attribute { default: Initial::Needed, ..self }
    }

    /// What it is unless somebody says otherwise.
    const fn usually(self, text: &'static str) -> Attribute {
        Attribute { default: Initial::Text(text), ..self }
    }

    /// A number may also be one of these words.
    const fn or(self, words: Words) -> Attribute {
        match self.form {
            Form::Number { least, most, .. } => {
                Attribute { form: Form::Number { least, most, words }, ..self }
            }
            _ => self,
        }
    }
}
