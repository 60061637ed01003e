//! MQ's messages to administrators, by number (IBM MQ Messages, "AMQ8xxx: Administration").

use super::command::{Command, Subject};
use crate::attribute::Kind;

macro_rules! numbers {
    ($($number:literal $rust:ident $name:ident $text:literal)*) => {
        #[allow(dead_code)]
        mod number {
            $(pub const $name: u32 = $number;)*
        }
    };
}

crate::reasons!(numbers);

/// What a command that was done says.
pub fn done(command: &Command) -> &'static str {
    use Kind::*;
    match command {
        Command::Define { kind, .. } => match kind {
            Channel => "AMQ8014I: IBM MQ channel created.",
            Listener => "AMQ8626I: IBM MQ listener created.",
            Topic => "AMQ8690I: IBM MQ topic created.",
            Subscription => "AMQ8094I: IBM MQ subscription created.",
            AuthInfo => "AMQ8563I: IBM MQ authentication information object created.",
            _ => "AMQ8006I: IBM MQ queue created.",
        },
        Command::Alter { kind, .. } => match kind {
            QueueManager => "AMQ8005I: IBM MQ queue manager changed.",
            Channel => "AMQ8016I: IBM MQ channel changed.",
            Listener => "AMQ8623I: IBM MQ listener changed.",
            Topic => "AMQ8691I: IBM MQ topic changed.",
            Subscription => "AMQ8093I: IBM MQ subscription changed.",
            AuthInfo => "AMQ8567I: IBM MQ authentication information changed.",
            _ => "AMQ8008I: IBM MQ queue changed.",
        },
        Command::Delete { kind, .. } => match kind {
            Channel => "AMQ8015I: IBM MQ channel deleted.",
            Listener => "AMQ8628I: IBM MQ listener object deleted.",
            Topic => "AMQ8692I: IBM MQ topic object deleted.",
            Subscription => "AMQ8095I: IBM MQ subscription deleted.",
            AuthInfo => "AMQ8564I: IBM MQ authentication information object deleted.",
            _ => "AMQ8007I: IBM MQ queue deleted.",
        },
        Command::Clear { .. } => "AMQ8022I: IBM MQ queue cleared.",
        Command::Set { kind: ChannelAuth, .. } => "AMQ8877I: IBM MQ channel authentication record set.",
        Command::Set { deletes: true, .. } => "AMQ8863I: IBM MQ authority record deleted.",
        Command::Set { .. } => "AMQ8862I: IBM MQ authority record set.",
        Command::Control { kind: Listener, stops: false, .. } => {
            "AMQ8021I: Request to start IBM MQ listener accepted."
        }
        Command::Control { kind: Listener, .. } => "AMQ8706I: Request to stop IBM MQ listener accepted.",
        Command::Control { stops: false, .. } => "AMQ8018I: Start IBM MQ channel accepted.",
        Command::Control { .. } => "AMQ8019I: Stop IBM MQ channel accepted.",
        Command::Ping => "AMQ8415I: Ping IBM MQ Queue Manager command complete.",
        // Under which number MQ says it is not known here.
        Command::Refreshed { .. } => "IBM MQ queue manager refreshed.",
        Command::Refresh => "AMQ8560I: IBM MQ security cache refreshed.",
        Command::Display(_) | Command::NotHere(_) | Command::Help(_) | Command::End => "",
    }
}

/// What is said when there was nothing to start or to stop.
pub fn already(stops: bool) -> &'static str {
    if stops { "AMQ8731W: Listener not active." } else { "AMQ8730W: Listener already active." }
}

/// What stands above each object that is displayed.
pub fn details(subject: Subject) -> &'static str {
    match subject {
        Subject::Object(Kind::QueueManager) => "AMQ8408I: Display Queue Manager details.",
        Subject::Object(Kind::Channel) => "AMQ8414I: Display Channel details.",
        Subject::Object(Kind::Listener) => "AMQ8630I: Display listener information details.",
        Subject::Object(Kind::Topic) => "AMQ8633I: Display topic details.",
        Subject::Object(Kind::Subscription) => "AMQ8096I: IBM MQ subscription inquired.",
        Subject::Object(Kind::AuthInfo) => "AMQ8566I: Display authentication information details.",
        Subject::Object(Kind::ChannelAuth) => "AMQ8878I: Display channel authentication record details.",
        Subject::Object(Kind::Authority) => "AMQ8864I: Display authority record details.",
        Subject::Object(_) | Subject::Queues => "AMQ8409I: Display Queue details.",
        Subject::QueueStatus | Subject::QueueHandles => "AMQ8450I: Display queue status details.",
        Subject::ManagerStatus => "AMQ8705I: Display Queue Manager Status Details.",
        Subject::Instances => "AMQ8875I: Display Native HA status details.",
        Subject::Connections => "AMQ8276I: Display Connection details.",
        Subject::ChannelStatus => "AMQ8417I: Display Channel Status details.",
        Subject::ListenerStatus => "AMQ8631I: Display listener status details.",
    }
}

/// What is said when there is nothing to display.
pub fn not_found(subject: Subject, name: &str) -> String {
    let name = if name.is_empty() { "*" } else { name };
    match subject {
        Subject::ChannelStatus => "AMQ8420I: Channel Status not found.".to_string(),
        Subject::Connections => format!("AMQ8461I: Connection identifier {name} not found."),
        Subject::Object(Kind::ChannelAuth) => {
            "AMQ8884E: Channel authentication record not found.".to_string()
        }
        Subject::Object(Kind::Authority) => "AMQ8958E: Authority record not found.".to_string(),
        _ => format!("AMQ8147E: IBM MQ object {name} not found."),
    }
}

/// What a refusal says: MQ's message where it has one, and the queue manager's sentence where that says more.
pub fn refused(command: &Command, reason: u32, text: &str) -> Vec<String> {
    let name = named(command);
    let is_channel = command.is_of_channel();
    let plain = |message: String| vec![message];
    match (reason, command) {
        (number::UNKNOWN_OBJECT_NAME, Command::Set { kind: Kind::ChannelAuth, .. }) => {
            plain("AMQ8884E: Channel authentication record not found.".into())
        }
        (number::UNKNOWN_OBJECT_NAME, Command::Set { .. }) => {
            plain("AMQ8958E: Authority record not found.".into())
        }
        (number::UNKNOWN_OBJECT_NAME, Command::Define { like, .. }) if !like.is_empty() => {
            plain(format!("AMQ8147E: IBM MQ object {like} not found."))
        }
        (number::UNKNOWN_OBJECT_NAME, _) if is_channel => {
            plain(format!("AMQ8227E: Channel {name} not found."))
        }
        (number::UNKNOWN_OBJECT_NAME, _) => plain(format!("AMQ8147E: IBM MQ object {name} not found.")),
        (number::OBJECT_ALREADY_EXISTS, Command::Set { .. }) => {
            plain("AMQ8883E: Channel authentication record already exists.".into())
        }
        (number::OBJECT_ALREADY_EXISTS, _) if is_channel => {
            plain(format!("AMQ8226E: IBM MQ channel {name} cannot be created because it already exists."))
        }
        (number::OBJECT_ALREADY_EXISTS, _) => {
            plain(format!("AMQ8150E: IBM MQ object {name} already exists."))
        }
        (number::OBJECT_IN_USE, _) => plain("AMQ8148E: IBM MQ object in use.".into()),
        (number::Q_NOT_EMPTY, _) => plain("AMQ8143E: IBM MQ queue not empty.".into()),
        (number::NOT_AUTHORIZED, _) => plain("AMQ8135E: Not authorized.".into()),
        (number::OBJECT_DAMAGED, _) => plain("AMQ8149S: IBM MQ object damaged.".into()),
        (number::CONNECTION_BROKEN, _) => vec!["AMQ8145E: Connection broken.".into(), why(text)],
        (number::Q_MGR_NOT_AVAILABLE, _) => {
            vec!["AMQ8146E: IBM MQ queue manager not available.".into(), why(text)]
        }
        _ => vec![format!("AMQ8101S: IBM MQ error ({reason:X}) has occurred."), why(text)],
    }
}

/// A sentence below a message.
pub fn why(text: &str) -> String {
    format!("   {text}")
}

fn named(command: &Command) -> &str {
    match command {
        Command::Define { name, .. } | Command::Alter { name, .. } | Command::Delete { name, .. } => name,
        Command::Clear { queue } => queue,
        Command::Control { name, .. } => name,
        Command::Set { profile, .. } => profile,
        Command::Display(display) => &display.name,
        _ => "",
    }
}
