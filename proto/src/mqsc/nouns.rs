//! Verbs and what they are said of, with the short forms that MQ takes.

use crate::attribute::Kind;

/// The verbs, each with its short form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Define,
    Alter,
    Display,
    Delete,
    Clear,
    Set,
    Start,
    Stop,
    Ping,
    Reset,
    Refresh,
    Resolve,
    Resume,
    Suspend,
    End,
}

pub const VERBS: &[(Verb, &str, &str)] = &[
    (Verb::Alter, "ALTER", "ALT"),
    (Verb::Clear, "CLEAR", ""),
    (Verb::Define, "DEFINE", "DEF"),
    (Verb::Delete, "DELETE", ""),
    (Verb::Display, "DISPLAY", "DIS"),
    (Verb::End, "END", ""),
    (Verb::End, "EXIT", ""),
    (Verb::Ping, "PING", ""),
    (Verb::End, "QUIT", ""),
    (Verb::Refresh, "REFRESH", "REF"),
    (Verb::Reset, "RESET", ""),
    (Verb::Resolve, "RESOLVE", "RES"),
    (Verb::Resume, "RESUME", ""),
    (Verb::Set, "SET", ""),
    (Verb::Start, "START", "STA"),
    (Verb::Stop, "STOP", ""),
    (Verb::Suspend, "SUSPEND", ""),
];

/// What a verb can be said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    Object(Kind),
    /// Queues of all types.
    Queue,
    QueueStatus,
    ManagerStatus,
    Connection,
    ChannelStatus,
    ListenerStatus,
    Security,
    /// MQ has it, and this product has not, for the reason in this sentence.
    Missing(&'static str),
}

const NO_TRIGGERS: &str =
    "There are no processes: trigger messages are not written; a program waits for messages with a get.";
const NO_NAMELISTS: &str =
    "There are no namelists: what uses them in MQ, clusters and lists of servers, is not here.";
const NO_SERVICES: &str = "There are no services: programs are started by the system the nodes run on.";
const NO_MULTICAST: &str = "There is no communication information: publications are not multicast.";
const NO_CLUSTERS: &str =
    "A queue manager is no member of an MQ cluster; its own nodes make it available: `trimaran status`.";
const NO_PUBLISHING: &str = "Nothing is published or subscribed to yet, so there is no status of it.";
const NO_OAM: &str = "Authorities are kept and displayed, and not enforced yet, so there is nothing to ask.";
const NO_POLICIES: &str = "Messages are not protected by policies.";
const NOT_ON_THIS_PLATFORM: &str = "That is for queue managers on z/OS.";
const NO_STATISTICS: &str = "Figures are on the metrics page of each node; they are not reset.";

const NOUNS: &[(&str, &str, Noun)] = &[
    ("QLOCAL", "QL", Noun::Object(Kind::LocalQueue)),
    ("QALIAS", "QA", Noun::Object(Kind::AliasQueue)),
    ("QREMOTE", "QR", Noun::Object(Kind::RemoteQueue)),
    ("QMODEL", "QM", Noun::Object(Kind::ModelQueue)),
    ("QUEUE", "Q", Noun::Queue),
    ("QMGR", "", Noun::Object(Kind::QueueManager)),
    ("CHANNEL", "CHL", Noun::Object(Kind::Channel)),
    ("LISTENER", "LSTR", Noun::Object(Kind::Listener)),
    ("TOPIC", "", Noun::Object(Kind::Topic)),
    ("SUB", "", Noun::Object(Kind::Subscription)),
    ("AUTHINFO", "", Noun::Object(Kind::AuthInfo)),
    ("CHLAUTH", "", Noun::Object(Kind::ChannelAuth)),
    ("AUTHREC", "", Noun::Object(Kind::Authority)),
    ("QSTATUS", "QS", Noun::QueueStatus),
    ("QMSTATUS", "", Noun::ManagerStatus),
    ("CONN", "", Noun::Connection),
    ("CHSTATUS", "CHS", Noun::ChannelStatus),
    ("LSSTATUS", "", Noun::ListenerStatus),
    ("SECURITY", "SEC", Noun::Security),
    ("PROCESS", "PRO", Noun::Missing(NO_TRIGGERS)),
    ("NAMELIST", "NL", Noun::Missing(NO_NAMELISTS)),
    ("SERVICE", "", Noun::Missing(NO_SERVICES)),
    ("SVSTATUS", "", Noun::Missing(NO_SERVICES)),
    ("COMMINFO", "", Noun::Missing(NO_MULTICAST)),
    ("QCLUSTER", "QC", Noun::Missing(NO_CLUSTERS)),
    ("TCLUSTER", "", Noun::Missing(NO_CLUSTERS)),
    ("CLUSQMGR", "", Noun::Missing(NO_CLUSTERS)),
    ("CLUSTER", "", Noun::Missing(NO_CLUSTERS)),
    ("APSTATUS", "", Noun::Missing(NO_CLUSTERS)),
    ("SBSTATUS", "", Noun::Missing(NO_PUBLISHING)),
    ("TPSTATUS", "TPS", Noun::Missing(NO_PUBLISHING)),
    ("TOPICSTR", "", Noun::Missing(NO_PUBLISHING)),
    ("PUBSUB", "", Noun::Missing(NO_PUBLISHING)),
    ("ENTAUTH", "", Noun::Missing(NO_OAM)),
    ("AUTHSERV", "", Noun::Missing(NO_OAM)),
    ("POLICY", "", Noun::Missing(NO_POLICIES)),
    ("QSTATS", "", Noun::Missing(NO_STATISTICS)),
    ("STGCLASS", "STC", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("CFSTRUCT", "", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("BUFFPOOL", "BP", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("PSID", "", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("LOG", "", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("ARCHIVE", "ARC", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("USAGE", "", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    ("THREAD", "THD", Noun::Missing(NOT_ON_THIS_PLATFORM)),
    (
        "CHINIT",
        "CHI",
        Noun::Missing("Channels need no initiator here: a node takes connections while it serves."),
    ),
    (
        "CMDSERV",
        "CS",
        Noun::Missing(
            "The command server runs while SCMDSERV of the queue manager says so; DISPLAY QMSTATUS CMDSERV shows it.",
        ),
    ),
    ("TRACE", "", Noun::Missing("There is no trace; the log of a node says more with RUST_LOG.")),
];

impl Verb {
    pub fn named(name: &str) -> Option<Verb> {
        VERBS.iter().find(|(_, long, short)| *long == name || *short == name).map(|(verb, ..)| *verb)
    }

    pub fn name(self) -> &'static str {
        let found = VERBS.iter().find(|(verb, ..)| *verb == self);
        found.map_or("", |(_, long, _)| long)
    }

    /// Whether MQ has the verb for such a thing.
    pub fn takes(self, noun: Noun) -> bool {
        let is_object = matches!(noun, Noun::Object(_) | Noun::Missing(_));
        let is_record = matches!(noun, Noun::Object(Kind::ChannelAuth | Kind::Authority));
        let is_manager = noun == Noun::Object(Kind::QueueManager);
        match self {
            Verb::Define => is_object && !is_record && !is_manager,
            Verb::Alter => is_object && !is_record,
            Verb::Delete => is_object && !is_manager && noun != Noun::Object(Kind::ChannelAuth),
            Verb::Display => noun != Noun::Security,
            Verb::Clear => {
                matches!(noun, Noun::Object(Kind::LocalQueue)) || noun == Noun::Missing(NO_PUBLISHING)
            }
            Verb::Set => is_record || matches!(noun, Noun::Missing(_)),
            Verb::Start | Verb::Stop => {
                matches!(noun, Noun::Object(Kind::Channel | Kind::Listener) | Noun::Missing(_))
                    || (self == Verb::Stop && noun == Noun::Connection)
            }
            Verb::Ping => matches!(noun, Noun::Object(Kind::Channel | Kind::QueueManager)),
            Verb::Reset | Verb::Refresh => {
                matches!(
                    noun,
                    Noun::Object(Kind::Channel | Kind::QueueManager) | Noun::Security | Noun::Missing(_)
                )
            }
            Verb::Resolve => matches!(noun, Noun::Object(Kind::Channel)),
            Verb::Resume | Verb::Suspend => is_manager,
            Verb::End => false,
        }
    }

    /// Names of what the verb is said of here.
    pub fn nouns(self) -> impl Iterator<Item = &'static str> {
        let taken = NOUNS.iter().filter(move |(_, _, noun)| self.takes(*noun));
        taken.filter(|(_, _, noun)| !matches!(noun, Noun::Missing(_))).map(|(long, ..)| *long)
    }
}

impl Noun {
    pub fn named(name: &str) -> Option<Noun> {
        let found =
            NOUNS.iter().find(|(long, short, _)| *long == name || (!short.is_empty() && *short == name));
        found.map(|(_, _, noun)| *noun)
    }

    pub fn name(self) -> &'static str {
        let found = NOUNS.iter().find(|(_, _, noun)| *noun == self);
        found.map_or("", |(long, ..)| long)
    }
}
