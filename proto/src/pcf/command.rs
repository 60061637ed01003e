//! A command in PCF, understood as what MQSC would say (IBM MQ Reference, "Definitions of the Programmable Command Formats").
//!
//! One table says which parameter names the object, which lists what is wanted, and what else there may be; attributes are the table
//! of [`crate::attribute`]. What comes of it is a command of [`crate::mqsc`], so that nothing is decided here that is decided there.

use super::attributes::{hexadecimal, queue_type, said, text_of, type_selector, unknown};
use super::numbers::{command as number, parameter as id, reason};
use super::said::{Said, not_a_value};
use super::status::{self, CURRENT_CHANNEL};
use super::structure::{Fault, Message, Parameter, Value, kind};
use super::table::{About, COMMANDS, Verb, What};
use crate::attribute::Kind;
use crate::mqsc::{self, Command, Display, Filter, Subject, Wanted};

/// MQQT_ALL and MQCHT_ALL: of all types.
const ALL_QUEUES: i32 = 1001;
const ALL_CHANNELS: i32 = 5;
/// MQTOPT_ALL and MQAIT_ALL.
const ALL_TOPICS: i32 = 2;
const ALL_AUTH_INFO: i32 = 0;
const SVRCONN: i32 = 7;
const QUEUES: [Kind; 4] = [Kind::LocalQueue, Kind::AliasQueue, Kind::RemoteQueue, Kind::ModelQueue];
/// MQET_MQSC.
const MQSC: i32 = 1;
/// MQSECTYPE: of what is kept about who may do what.
const AUTHSERV: i32 = 1;
const SSL: i32 = 2;
const CLASSES: i32 = 3;
const CONNAUTH: i32 = 4;
/// MQCHS_INACTIVE and MQCHS_STOPPED.
const INACTIVE: i32 = 0;
const STOPPED: i32 = 6;
/// MQRT_PROXYSUB.
const PROXY_SUBSCRIPTIONS: i32 = 4;
/// MQOT: what a refresh tells, by the words of MQSC.
const ALL_OBJECTS: (i32, &str) = (1001, "ALL");
#[rustfmt::skip]
const OBJECTS: &[(i32, &str)] = &[
    ALL_OBJECTS, (1, "QUEUE"), (1002, "QALIAS"), (1003, "QMODEL"), (1004, "QLOCAL"), (1005, "QREMOTE"), (5, "QMGR"),
    (6, "CHANNEL"), (7, "AUTHINFO"), (8, "TOPIC"), (11, "LISTENER"), (1016, "CHLAUTH"), (1022, "AUTHREC"),
];
/// Of RefreshInterval.
const MINUTES_MOST: u32 = 999_999;
/// Bytes of a connection id, and those in front of them that all of a queue manager have.
const CONNECTION_BYTES: usize = 24;
const EXTENSION_BYTES: usize = 16;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub does: Does,
    pub tells: Tells,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Does {
    This(Command),
    /// Something to a queue of which only the name is known: of which kind it is has to be looked up.
    ToQueue {
        name: String,
        parameters: Vec<Parameter>,
        deletes: bool,
    },
    /// Nothing: the text is no MQSC, and these lines say why.
    NotUnderstood(Vec<String>),
}

/// How it is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tells {
    /// That it was done.
    Done,
    /// A message for each thing that is found, with these parameters, None for all; and beside them what is the same for each.
    Each { wanted: Option<Vec<i32>>, beside: Vec<Parameter> },
    /// One message with names, and with types where they have any.
    Names { names: i32, types: Option<i32> },
    /// Text, as MQSC answers.
    Text,
}

/// Understands a command.
///
/// # Errors
/// What is wrong with its header or its parameters.
pub(super) fn asked(message: &Message) -> Result<Asked, Fault> {
    let header = &message.header;
    if !matches!(header.kind, kind::COMMAND | kind::COMMAND_XR) {
        let why = format!(
            "A command is of type {} or {} and not {}.",
            kind::COMMAND,
            kind::COMMAND_XR,
            header.kind
        );
        return Err(Fault::new(reason::CFH_TYPE_ERROR, why));
    }
    if header.sequence != 1 {
        return Err(Fault::new(
            reason::CFH_MSG_SEQ_NUMBER_ERR,
            "A command is one message, and its number is 1.",
        ));
    }
    if !header.is_last {
        return Err(Fault::new(reason::CFH_CONTROL_ERROR, "A command is one message, and the last one."));
    }
    let parameters: Vec<Parameter> = message.parameters.iter().map(Parameter::trimmed).collect();
    let mut said = Said::new(&parameters)?;
    if let Some(about) = COMMANDS.iter().find(|about| about.command == header.command) {
        return said.about(about);
    }
    match header.command {
        number::PING_Q_MGR => said.nothing_more(Command::Ping),
        number::REFRESH_SECURITY => said.refresh(),
        number::REFRESH_Q_MGR => said.refresh_manager(),
        number::ESCAPE => said.escape(),
        number::SET_CHLAUTH_REC => said.set_channel_auth(),
        number::INQUIRE_CHLAUTH_RECS => said.inquire_channel_auth(),
        number::SET_AUTH_REC => said.set_authority(),
        number::DELETE_AUTH_REC => said.delete_authority(),
        number::INQUIRE_AUTH_RECS => said.inquire_authorities(),
        number::CLEAR_Q => {
            let queue = said.needed(id::Q_NAME)?;
            said.nothing_more(Command::Clear { queue })
        }
        number::INQUIRE_Q_STATUS => said.queue_status(),
        number::INQUIRE_CHANNEL_STATUS => said.channel_status(),
        number::INQUIRE_CONNECTION => said.connections(),
        number::INQUIRE_LISTENER_STATUS => {
            let name = said.needed(id::LISTENER_NAME)?;
            said.status(Subject::ListenerStatus, name, id::LISTENER_STATUS_ATTRS)
        }
        number::INQUIRE_Q_MGR_STATUS => {
            let subject = match said.number(id::Q_MGR_STATUS_INFO_TYPE)? {
                None | Some(id::Q_MGR_STATUS_INFO_Q_MGR) => Subject::ManagerStatus,
                Some(id::Q_MGR_STATUS_INFO_NHA) => Subject::Instances,
                Some(other) => return Err(not_a_value(id::Q_MGR_STATUS_INFO_TYPE, other)),
            };
            said.status(subject, String::new(), id::Q_MGR_STATUS_ATTRS)
        }
        number::START_CHANNEL => said.control_channel(false),
        number::STOP_CHANNEL => said.control_channel(true),
        number::START_CHANNEL_LISTENER => said.control_listener(false),
        number::STOP_CHANNEL_LISTENER => said.control_listener(true),
        other => {
            let why = format!("The command {other} is none, or none that is done here.");
            Err(Fault::new(reason::CFH_COMMAND_ERROR, why))
        }
    }
}

/// What the queue's kind makes of a change or deletion that did not say it.
pub(super) fn to_queue(
    kind: Kind,
    name: String,
    parameters: &[Parameter],
    deletes: bool,
) -> Result<Command, Fault> {
    let mut said = Said { left: parameters.iter().collect() };
    if deletes { said.delete(kind, name) } else { said.change(kind, name) }
}

impl Said<'_> {
    fn nothing_more(&self, command: Command) -> Result<Asked, Fault> {
        self.nothing_left().map(|()| Asked { does: Does::This(command), tells: Tells::Done })
    }

    fn about(&mut self, about: &About) -> Result<Asked, Fault> {
        let what = &about.what;
        match about.verb {
            Verb::Inquire => {
                let name = self.name_of(what)?;
                let wanted = self.wanted(what.wanted)?;
                self.inquire(what, name, each(wanted))
            }
            Verb::Names => {
                let name = self.name_of(what)?;
                let (names, types) = what.names;
                self.inquire(what, name, Tells::Names { names, types })
            }
            Verb::Create => {
                let name = self.needed(what.name)?;
                let kind = self.kind_of(what)?;
                self.define(kind, name, String::new())
            }
            Verb::Copy => {
                let (from, to) = (self.needed(what.copy.0)?, self.needed(what.copy.1)?);
                let kind = self.kind_of(what)?;
                self.define(kind, to, from)
            }
            Verb::Change | Verb::Delete => self.change_or_delete(what, about.verb == Verb::Delete),
        }
    }

    fn name_of(&mut self, what: &What) -> Result<String, Fault> {
        if what.kind == Some(Kind::QueueManager) { Ok(String::new()) } else { self.needed(what.name) }
    }

    /// Of what is made: a queue says its kind.
    fn kind_of(&mut self, what: &What) -> Result<Kind, Fault> {
        match what.kind {
            Some(kind) => Ok(kind),
            None => match self.number(id::Q_TYPE)? {
                Some(number) => queue_kind(number),
                None => Err(self.missing(id::Q_TYPE)),
            },
        }
    }

    fn inquire(&mut self, what: &What, name: String, tells: Tells) -> Result<Asked, Fault> {
        let mut filters = Vec::new();
        let subject = match what.kind {
            None => match self.number(id::Q_TYPE)? {
                None | Some(ALL_QUEUES) => Subject::Queues,
                Some(number) => Subject::Object(queue_kind(number)?),
            },
            Some(kind) => {
                filters.extend(self.of_type(kind)?);
                Subject::Object(kind)
            }
        };
        let kinds: Vec<Kind> = what.kind.map_or_else(|| QUEUES.to_vec(), |kind| vec![kind]);
        filters.extend(self.filters(|parameter| compared(&kinds, parameter))?);
        Ok(Asked { does: display(subject, name, filters), tells })
    }

    /// An inquiry may be about objects of one type.
    fn of_type(&mut self, kind: Kind) -> Result<Option<Filter>, Fault> {
        let all = match kind {
            Kind::Channel => ALL_CHANNELS,
            Kind::Topic => ALL_TOPICS,
            Kind::AuthInfo => ALL_AUTH_INFO,
            _ => return Ok(None),
        };
        let attribute = type_selector(kind).and_then(|selector| kind.attribute(selector));
        let attribute = attribute.expect("what tells objects apart is an attribute");
        let id = attribute.selector as i32;
        let Some(number) = self.number(id)?.filter(|number| *number != all) else { return Ok(None) };
        let value = attribute.text(&crate::attribute::Value::Number(number));
        match attribute.parse(attribute.name, &value) {
            Ok(_) => Ok(Some(equal(attribute.name, value))),
            Err(why) if kind == Kind::Channel => Err(Fault::new(reason::CHANNEL_TYPE_ERROR, why).at(id)),
            Err(why) => Err(Fault::new(reason::PARM_VALUE_ERROR, why).at(id)),
        }
    }

    fn define(&mut self, kind: Kind, name: String, like: String) -> Result<Asked, Fault> {
        let replace = self.flag(id::REPLACE)?;
        if kind == Kind::Channel
            && like.is_empty()
            && !self.left.iter().any(|said| said.id == id::CHANNEL_TYPE)
        {
            return Err(
                Fault::new(reason::PARM_MISSING, "The type of a channel is said.").at(id::CHANNEL_TYPE)
            );
        }
        self.check_channel(kind)?;
        let said = self.attributes(kind)?;
        let command = Command::Define { kind, name, like, replace, said };
        Ok(Asked { does: Does::This(command), tells: Tells::Done })
    }

    /// There are channels of one type only.
    fn check_channel(&self, kind: Kind) -> Result<(), Fault> {
        let said = self.left.iter().find(|said| kind == Kind::Channel && said.id == id::CHANNEL_TYPE);
        match said.map(|said| &said.value) {
            None | Some(Value::Number(SVRCONN)) => Ok(()),
            Some(_) => {
                let why = "Only channels of type SVRCONN are there: messages do not travel between queue managers yet.";
                Err(Fault::new(reason::CHANNEL_TYPE_ERROR, why).at(id::CHANNEL_TYPE))
            }
        }
    }

    /// Everything that is left is an attribute.
    fn attributes(&mut self, kind: Kind) -> Result<Vec<(&'static str, String)>, Fault> {
        std::mem::take(&mut self.left).into_iter().map(|parameter| said(kind, parameter)).collect()
    }

    fn change_or_delete(&mut self, what: &What, deletes: bool) -> Result<Asked, Fault> {
        let name = self.name_of(what)?;
        let kind = match what.kind {
            Some(kind) => Some(kind),
            None => match self.number(id::Q_TYPE)? {
                None | Some(ALL_QUEUES) => None,
                Some(number) => Some(queue_kind(number)?),
            },
        };
        let does = match kind {
            Some(kind) if deletes => Does::This(self.delete(kind, name)?),
            Some(kind) => Does::This(self.change(kind, name)?),
            None => {
                let parameters = std::mem::take(&mut self.left).into_iter().cloned().collect();
                Does::ToQueue { name, parameters, deletes }
            }
        };
        Ok(Asked { does, tells: Tells::Done })
    }

    /// What is in use is changed all the same: handles see it at their next call.
    fn change(&mut self, kind: Kind, name: String) -> Result<Command, Fault> {
        if kind.is_queue() || kind == Kind::QueueManager {
            self.flag(id::FORCE)?;
        }
        self.check_channel(kind)?;
        if let Some(selector) = type_selector(kind).filter(|_| !kind.is_queue()) {
            // It says what is changed, and is no change.
            self.number(selector as i32)?;
        }
        Ok(Command::Alter { kind, name, said: self.attributes(kind)? })
    }

    fn delete(&mut self, kind: Kind, name: String) -> Result<Command, Fault> {
        let purge = kind.is_queue() && self.flag(id::PURGE)?;
        let missing_is_fine = self.flag(id::IGNORE_STATE)?;
        if self.flag(id::REMOVE_AUTHREC)? {
            let why = "Authority records are deleted by a command of their own.";
            return Err(Fault::new(reason::FUNCTION_NOT_SUPPORTED, why).at(id::REMOVE_AUTHREC));
        }
        if kind == Kind::Channel {
            self.check_channel(kind)?;
            self.number(id::CHANNEL_TYPE)?;
            self.number(id::CHANNEL_TABLE)?;
        }
        self.nothing_left()?;
        let purge = purge && kind == Kind::LocalQueue;
        Ok(Command::Delete { kind, name, purge, missing_is_fine })
    }

    fn status(&mut self, subject: Subject, name: String, wanted: i32) -> Result<Asked, Fault> {
        let wanted = self.wanted(wanted)?;
        let filters = self.filters(|parameter| status::compared(subject, parameter.id, &parameter.value))?;
        Ok(Asked { does: display(subject, name, filters), tells: each(wanted) })
    }

    fn queue_status(&mut self) -> Result<Asked, Fault> {
        let name = self.needed(id::Q_NAME)?;
        let subject = match self.number(id::Q_STATUS_TYPE)? {
            None | Some(id::Q_STATUS) => Subject::QueueStatus,
            Some(id::Q_HANDLE) => Subject::QueueHandles,
            Some(other) => return Err(not_a_value(id::Q_STATUS_TYPE, other)),
        };
        self.status(subject, name, id::Q_STATUS_ATTRS)
    }

    fn channel_status(&mut self) -> Result<Asked, Fault> {
        let name = self.needed(id::CHANNEL_NAME)?;
        match self.number(id::CHANNEL_INSTANCE_TYPE)? {
            None | Some(CURRENT_CHANNEL) => {}
            Some(other) => {
                let why = format!(
                    "Status of channels is that of now ({CURRENT_CHANNEL}), and {other} is kept by nobody."
                );
                return Err(Fault::new(reason::CHL_INST_TYPE_ERROR, why).at(id::CHANNEL_INSTANCE_TYPE));
            }
        }
        let from = self.text(id::CONNECTION_NAME)?;
        let mut asked = self.status(Subject::ChannelStatus, name, id::CHANNEL_INSTANCE_ATTRS)?;
        if let (Some(from), Does::This(Command::Display(display))) = (from, &mut asked.does) {
            display.filters.push(equal("CONNAME", from));
        }
        Ok(asked)
    }

    fn connections(&mut self) -> Result<Asked, Fault> {
        let (one, several) = (self.take(id::CONNECTION_ID), self.take(id::GENERIC_CONNECTION_ID));
        let (name, filters) = match (one, several) {
            (Some(Parameter { value: Value::Bytes(bytes), .. }), None) if bytes.len() == CONNECTION_BYTES => {
                let (front, own) = bytes.split_at(EXTENSION_BYTES);
                (hexadecimal(own), vec![equal("EXTCONN", hexadecimal(front))])
            }
            (None, Some(Parameter { value: Value::Bytes(bytes), .. })) if bytes.len() <= CONNECTION_BYTES => {
                (String::new(), begin_so(bytes))
            }
            (Some(Parameter { value: Value::Bytes(_), .. }), None)
            | (None, Some(Parameter { value: Value::Bytes(_), .. })) => {
                let why = format!("A connection has an id of {CONNECTION_BYTES} bytes.");
                return Err(Fault::new(reason::CONNECTION_ID_ERROR, why).at(id::CONNECTION_ID));
            }
            (Some(other), _) | (None, Some(other)) => return Err(unknown(other)),
            (None, None) => return Err(self.missing(id::CONNECTION_ID)),
        };
        match self.number(id::CONN_INFO_TYPE)? {
            None | Some(id::CONN_INFO_CONN) => {}
            Some(other) => return Err(not_a_value(id::CONN_INFO_TYPE, other)),
        }
        let mut asked = self.status(Subject::Connections, name, id::CONNECTION_ATTRS)?;
        if let Does::This(Command::Display(display)) = &mut asked.does {
            display.filters.extend(filters);
        }
        Ok(asked)
    }

    /// Whichever mode: what was not committed is backed out.
    fn control_channel(&mut self, stops: bool) -> Result<Asked, Fault> {
        let name = self.needed(id::CHANNEL_NAME)?;
        let mut states = vec![if stops { "STOPPED" } else { "STARTED" }];
        if stops {
            if let Some(mode) = self.number(id::MODE)?.filter(|mode| !(0..=2).contains(mode)) {
                return Err(not_a_value(id::MODE, mode));
            }
            match self.number(id::CHANNEL_STATUS)? {
                None | Some(STOPPED) => {}
                // Who is connected goes, and may come again.
                Some(INACTIVE) => states = vec!["STOPPED", "STARTED"],
                Some(other) => return Err(not_a_value(id::CHANNEL_STATUS, other)),
            }
        }
        self.flag(id::IGNORE_STATE)?;
        self.number(id::CHANNEL_TYPE)?;
        let command = Command::Control { kind: Kind::Channel, name, stops, states, already_is_fine: true };
        self.nothing_more(command)
    }

    fn control_listener(&mut self, stops: bool) -> Result<Asked, Fault> {
        let name = self.needed(id::LISTENER_NAME)?;
        let already_is_fine = self.flag(id::IGNORE_STATE)?;
        let states = vec![if stops { "STOPPED" } else { "STARTED" }];
        self.nothing_more(Command::Control { kind: Kind::Listener, name, stops, states, already_is_fine })
    }

    /// Certificates are the only thing that is kept, and each node reads its own again.
    fn refresh(&mut self) -> Result<Asked, Fault> {
        match self.number(id::SECURITY_TYPE)? {
            None | Some(AUTHSERV | CLASSES | CONNAUTH) => self.nothing_more(Command::Refresh),
            Some(SSL) => {
                let why = "Each node reads its certificates again with `systemctl reload`.";
                Err(Fault::new(reason::FUNCTION_NOT_SUPPORTED, why).at(id::SECURITY_TYPE))
            }
            Some(other) => Err(not_a_value(id::SECURITY_TYPE, other)),
        }
    }

    /// REFRESH QMGR TYPE(CONFIGEV).
    fn refresh_manager(&mut self) -> Result<Asked, Fault> {
        match self.number(id::REFRESH_TYPE)? {
            Some(id::REFRESH_CONFIGURATION) => {}
            Some(PROXY_SUBSCRIPTIONS) => {
                let why = "Nothing is published or subscribed to yet.";
                return Err(Fault::new(reason::FUNCTION_NOT_SUPPORTED, why).at(id::REFRESH_TYPE));
            }
            Some(other) => return Err(not_a_value(id::REFRESH_TYPE, other)),
            None => return Err(self.missing(id::REFRESH_TYPE)),
        }
        let kind = match self.number(id::OBJECT_TYPE)? {
            None => ALL_OBJECTS.1,
            Some(number) => {
                let found = OBJECTS.iter().find(|(known, _)| *known == number);
                found.ok_or_else(|| not_a_value(id::OBJECT_TYPE, number))?.1
            }
        };
        let name = self.text(id::OBJECT_NAME)?.filter(|name| name != "*").unwrap_or_default();
        let minutes = self.number(id::REFRESH_INTERVAL)?.unwrap_or(0);
        let within_minutes = match u32::try_from(minutes) {
            Ok(minutes) if minutes <= MINUTES_MOST => minutes,
            _ => return Err(not_a_value(id::REFRESH_INTERVAL, minutes)),
        };
        self.nothing_more(Command::Refreshed { kind: kind.to_string(), name, within_minutes })
    }

    fn escape(&mut self) -> Result<Asked, Fault> {
        match self.number(id::ESCAPE_TYPE)? {
            Some(MQSC) => {}
            Some(other) => {
                let why = format!("What escapes is MQSC ({MQSC}), and not {other}.");
                return Err(Fault::new(reason::ESCAPE_TYPE_ERROR, why).at(id::ESCAPE_TYPE));
            }
            None => return Err(self.missing(id::ESCAPE_TYPE)),
        }
        let text = self.needed(id::ESCAPE_TEXT)?;
        self.nothing_left()?;
        let does = match mqsc::parse(&text) {
            Ok(command) => Does::This(command),
            Err(fault) => Does::NotUnderstood(mqsc::not_understood(&text, &fault)),
        };
        Ok(Asked { does, tells: Tells::Text })
    }
}

fn each(wanted: Option<Vec<i32>>) -> Tells {
    Tells::Each { wanted, beside: Vec::new() }
}

fn queue_kind(number: i32) -> Result<Kind, Fault> {
    let found = QUEUES.into_iter().find(|kind| queue_type(*kind) == Some(number));
    found.ok_or_else(|| {
        Fault::new(reason::Q_TYPE_ERROR, format!("There is no type {number} of queues.")).at(id::Q_TYPE)
    })
}

pub(super) fn display(subject: Subject, name: String, filters: Vec<Filter>) -> Does {
    Does::This(Command::Display(Display { subject, name, wanted: Wanted::All, filters }))
}

pub(super) fn equal(attribute: &str, value: String) -> Filter {
    Filter { attribute: attribute.to_string(), operator: mqsc::Operator::Equal, value }
}

/// Connections whose ids begin with these bytes; zeros are all.
fn begin_so(bytes: &[u8]) -> Vec<Filter> {
    let like = |attribute: &str, bytes: &[u8]| Filter {
        operator: mqsc::Operator::Like,
        ..equal(attribute, format!("{}*", hexadecimal(bytes)))
    };
    match bytes.split_at_checked(EXTENSION_BYTES) {
        _ if bytes.iter().all(|byte| *byte == 0) => Vec::new(),
        None => vec![like("EXTCONN", bytes)],
        Some((front, own)) => vec![equal("EXTCONN", hexadecimal(front)), like("CONN", own)],
    }
}

/// What a filter compares: an attribute of one of these kinds, and its value as MQSC has it.
pub(super) fn compared(kinds: &[Kind], parameter: &Parameter) -> Option<(&'static str, String)> {
    let value = match &parameter.value {
        Value::NumberFilter(_, number) => Value::Number(*number),
        Value::TextFilter(_, text) => Value::Text(text.clone()),
        _ => return None,
    };
    kinds.iter().find_map(|kind| {
        let facts = kind.facts();
        if facts.name_selector as i32 == parameter.id {
            let Value::Text(name) = &value else { return None };
            return Some((facts.name_label, name.clone()));
        }
        let attribute = kind.attribute(u32::try_from(parameter.id).ok()?)?;
        Some((attribute.name, text_of(attribute, &value)?))
    })
}
