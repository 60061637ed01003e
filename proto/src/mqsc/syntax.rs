//! What is said of a command that makes no sense: how far it did, and what would.

use super::nouns::{Noun, VERBS, Verb};
use crate::attribute::{Attribute, Form, Kind, State};

/// A command that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How much of the text there was when it went wrong.
    pub until: usize,
    /// Why, where that is not plain to see.
    pub why: String,
    pub help: Help,
}

/// What would have been possible there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// What is wrong says it all.
    Nothing,
    Verbs,
    Nouns(Verb),
    Command(Verb, Noun),
}

impl Help {
    /// The message with its lines.
    pub fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        match self {
            Help::Nothing => {}
            Help::Verbs => {
                lines.extend(["AMQ8426I: Valid MQSC commands are:".to_string(), String::new()]);
                lines.extend(VERBS.iter().map(|(_, long, _)| format!("    {long}")));
            }
            Help::Nouns(verb) => {
                lines.extend(["AMQ8426I: Valid MQSC commands are:".to_string(), String::new()]);
                lines.extend(verb.nouns().map(|noun| format!("    {} {noun}", verb.name())));
            }
            Help::Command(verb, noun) => {
                lines.extend(["AMQ8427I: Valid syntax for the MQSC command:".to_string(), String::new()]);
                lines.push(first_line(verb, noun));
                lines.extend(said_of(verb, noun).into_iter().map(|part| format!("   [ {part} ]")));
            }
        }
        lines
    }
}

fn first_line(verb: Verb, noun: Noun) -> String {
    let name = match noun {
        Noun::Object(Kind::QueueManager) | Noun::ManagerStatus | Noun::Security => "",
        Noun::Object(Kind::Authority) => "",
        Noun::Object(Kind::Channel) | Noun::ChannelStatus => "( channel_name )",
        Noun::Object(Kind::ChannelAuth) => "( channel_profile )",
        Noun::Object(Kind::Listener) | Noun::ListenerStatus => "( listener_name )",
        Noun::Object(Kind::Topic) => "( topic_name )",
        Noun::Object(Kind::Subscription) => "( subscription_name )",
        Noun::Object(Kind::AuthInfo) => "( authinfo_name )",
        Noun::Connection => "( connection_id )",
        _ => "( q_name )",
    };
    format!("{} {}{name}", verb.name(), noun.name())
}

fn said_of(verb: Verb, noun: Noun) -> Vec<String> {
    let own = |part: &str| part.to_string();
    match (verb, noun) {
        (Verb::Define, Noun::Object(kind)) => {
            let mut parts = settable(kind);
            parts.extend([own("LIKE( name )"), own("NOREPLACE | REPLACE")]);
            parts
        }
        (Verb::Alter, Noun::Object(kind)) => settable(kind),
        (Verb::Set, Noun::Object(Kind::ChannelAuth)) => {
            let mut parts = settable(Kind::ChannelAuth);
            parts.push(own("ACTION( ADD | REPLACE | REMOVE | REMOVEALL )"));
            parts
        }
        (Verb::Set, Noun::Object(Kind::Authority)) => vec![
            own("PROFILE( profile )"),
            own("PRINCIPAL( names ) | GROUP( names )"),
            own("OBJTYPE( type )"),
            own("AUTHADD( authorities )"),
            own("AUTHRMV( authorities )"),
        ],
        (Verb::Delete, Noun::Object(Kind::LocalQueue)) => {
            vec![own("NOPURGE | PURGE"), own("IGNSTATE( NO | YES )")]
        }
        (Verb::Delete, _) => vec![own("IGNSTATE( NO | YES )")],
        (Verb::Display, Noun::Object(kind)) => displayed(kind.attributes()),
        (Verb::Display, Noun::Queue) => {
            let kinds = [Kind::LocalQueue, Kind::AliasQueue, Kind::RemoteQueue, Kind::ModelQueue];
            let mut parts = displayed(kinds.into_iter().flat_map(Kind::attributes));
            parts.sort();
            parts.dedup();
            parts
        }
        (Verb::Display, Noun::QueueStatus) => {
            vec![own("TYPE( QUEUE | HANDLE )"), own("ALL"), own("WHERE( filter )")]
        }
        (Verb::Refresh, Noun::Object(Kind::QueueManager)) => vec![
            own("TYPE( CONFIGEV )"),
            own("OBJECT( type )"),
            own("NAME( name )"),
            own("INCLINT( integer )"),
        ],
        (Verb::Stop, Noun::Object(Kind::Channel)) => {
            vec![
                own("MODE( QUIESCE | FORCE | TERMINATE )"),
                own("STATUS( STOPPED | INACTIVE )"),
                own("IGNSTATE( YES | NO )"),
            ]
        }
        (Verb::Stop, Noun::Object(Kind::Listener)) => vec![own("IGNSTATE( YES | NO )")],
        (Verb::Start, Noun::Object(Kind::Channel | Kind::Listener)) => vec![own("IGNSTATE( YES | NO )")],
        (Verb::Display, Noun::ManagerStatus) => vec![own("TYPE( QMGR | NATIVEHA )"), own("ALL")],
        (Verb::Display, _) => vec![own("ALL"), own("WHERE( filter )")],
        _ => Vec::new(),
    }
}

fn settable(kind: Kind) -> Vec<String> {
    let set = kind.attributes().filter(|attribute| attribute.state != State::Live);
    let mut parts: Vec<String> = set.map(form).collect();
    parts.sort();
    parts
}

fn form(attribute: &Attribute) -> String {
    let name = attribute.name;
    let either = |words: &[(&str, i32)]| words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" | ");
    match attribute.form {
        Form::Number { words: [], .. } => format!("{name}( integer )"),
        Form::Number { words, .. } => format!("{name}( integer | {} )", either(words)),
        Form::Word(words) => format!("{name}( {} )", either(words)),
        Form::Flag { off } => format!("{name} | {off}"),
        Form::Text { .. } => format!("{name}( string )"),
        Form::Name { .. } => format!("{name}( name )"),
        Form::List { .. } => format!("{name}( list )"),
    }
}

fn displayed(attributes: impl Iterator<Item = &'static Attribute>) -> Vec<String> {
    let mut names: Vec<String> = attributes.map(|attribute| attribute.name.to_string()).collect();
    names.sort();
    names.extend(["ALL".to_string(), "WHERE( filter )".to_string()]);
    names
}
