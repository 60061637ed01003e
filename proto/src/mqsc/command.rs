//! A command that was understood, and what has to be asked for it.

use super::filter::Filter;
use crate::admin::v1::set_request::Action;
use crate::admin::v1::{
    AlterRequest, Attribute, ClearRequest, DefineRequest, DeleteRequest, DisplayRequest, ObjectDetails,
    RefreshRequest, SessionDetails, SetRequest, StatusResponse,
};
use crate::attribute::Kind;

/// Names and values by which something is set.
pub type Said = Vec<(&'static str, String)>;

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Define {
        kind: Kind,
        name: String,
        like: String,
        replace: bool,
        said: Said,
    },
    Alter {
        kind: Kind,
        name: String,
        said: Said,
    },
    /// That the object is not there is success with `missing_is_fine`.
    Delete {
        kind: Kind,
        name: String,
        purge: bool,
        missing_is_fine: bool,
    },
    Clear {
        queue: String,
    },
    /// SET CHLAUTH, SET AUTHREC and DELETE AUTHREC: what is done to records of one profile, one after the other.
    Set {
        kind: Kind,
        profile: String,
        steps: Vec<(Action, Said)>,
        deletes: bool,
    },
    /// START and STOP of a channel or listener: the states it goes through, one after the other. That it is in its state
    /// already is success with `already_is_fine`; it always is for a channel.
    Control {
        kind: Kind,
        name: String,
        stops: bool,
        states: Vec<&'static str>,
        already_is_fine: bool,
    },
    Display(Display),
    /// PING QMGR.
    Ping,
    /// REFRESH QMGR TYPE(CONFIGEV): what is told in events. The kind is a word of OBJECT.
    Refreshed {
        kind: String,
        /// Empty for all, may end in `*`.
        name: String,
        /// Made or altered so long ago at most; 0 for all.
        within_minutes: u32,
    },
    /// REFRESH SECURITY of what is never kept: that the queue manager answers is all there is to it.
    Refresh,
    /// MQ has it and this product has not, for the reason in this sentence.
    NotHere(String),
    /// What a command may say: the text of `?`.
    Help(Vec<String>),
    End,
}

/// DISPLAY.
#[derive(Clone, Debug, PartialEq)]
pub struct Display {
    pub subject: Subject,
    /// Empty for all, may end in `*`.
    pub name: String,
    pub wanted: Wanted,
    /// All must hold: WHERE, and what restricts a display by a value, as TYPE(QLOCAL).
    pub filters: Vec<Filter>,
}

/// What is displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Object(Kind),
    /// Queues of all types.
    Queues,
    /// QSTATUS TYPE(QUEUE) and TYPE(HANDLE).
    QueueStatus,
    QueueHandles,
    /// QMSTATUS, and its TYPE(NATIVEHA).
    ManagerStatus,
    Instances,
    Connections,
    ChannelStatus,
    ListenerStatus,
}

/// Which attributes are displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing was said: all of one object, the main ones of several.
    Usual,
    All,
    /// These, by the names in the tables.
    Named(Vec<String>),
}

/// What is asked of the queue manager; the name of the queue manager is left to who asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Define(DefineRequest),
    Alter(AlterRequest),
    Delete(DeleteRequest),
    Clear(ClearRequest),
    Set(SetRequest),
    /// All pages of it.
    Display(DisplayRequest),
    /// All of it.
    Refresh(RefreshRequest),
    /// Who is connected, and what they have open: all pages of it. Who asks page by page asks for what the subject needs, behind
    /// this session and this handle of it.
    Sessions {
        of: Subject,
        after: u64,
        handle: u32,
    },
    /// Of the node that serves.
    Status,
}

/// What came back for a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    Refused { reason: u32, text: String },
    Objects(Vec<ObjectDetails>),
    Sessions(Vec<SessionDetails>),
    Status(StatusResponse),
}

impl Display {
    pub fn is_generic(&self) -> bool {
        self.name.is_empty() || self.name.ends_with('*')
    }

    /// Whether everything about what is found is shown.
    pub fn shows_all(&self) -> bool {
        match self.wanted {
            Wanted::All => true,
            Wanted::Usual => !self.is_generic() || self.subject == Subject::Object(Kind::QueueManager),
            Wanted::Named(_) => false,
        }
    }

    pub fn wants(&self, name: &str) -> bool {
        let is_named =
            matches!(&self.wanted, Wanted::Named(names) if names.iter().any(|wanted| wanted == name));
        is_named || self.shows_all() || self.filters.iter().any(|filter| filter.attribute == name)
    }
}

impl Command {
    /// In the order in which they are to be asked; the next one only when the one before was not refused and does not end it
    /// ([`Command::ends_with`]).
    pub fn requests(&self) -> Vec<Request> {
        match self {
            Command::Define { kind, name, like, replace, said } => vec![Request::Define(DefineRequest {
                kind: kind.facts().name.into(),
                name: name.clone(),
                like: like.clone(),
                replace: *replace,
                attributes: attributes(said),
                ..DefineRequest::default()
            })],
            Command::Alter { kind, name, said } => vec![Request::Alter(AlterRequest {
                kind: kind.facts().name.into(),
                name: name.clone(),
                attributes: attributes(said),
                ..AlterRequest::default()
            })],
            Command::Delete { kind, name, purge, .. } => vec![Request::Delete(DeleteRequest {
                kind: kind.facts().name.into(),
                name: name.clone(),
                purge: *purge,
                ..DeleteRequest::default()
            })],
            Command::Clear { queue } => {
                vec![Request::Clear(ClearRequest { queue: queue.clone(), ..ClearRequest::default() })]
            }
            Command::Set { kind, profile, steps, .. } => {
                let set = |(action, said): &(Action, Said)| {
                    Request::Set(SetRequest {
                        kind: kind.facts().name.into(),
                        profile: profile.clone(),
                        action: *action as i32,
                        attributes: attributes(said),
                        ..SetRequest::default()
                    })
                };
                steps.iter().map(set).collect()
            }
            Command::Display(display) => display.requests(),
            Command::Control { kind, name, states, already_is_fine, .. } => {
                let looks = (!already_is_fine).then_some(Request::Status);
                let set = |state: &&str| {
                    Request::Alter(AlterRequest {
                        kind: kind.facts().name.into(),
                        name: name.clone(),
                        attributes: vec![Attribute { name: "STATE".into(), value: state.to_string() }],
                        ..AlterRequest::default()
                    })
                };
                looks.into_iter().chain(states.iter().map(set)).collect()
            }
            Command::Refreshed { kind, name, within_minutes } => vec![Request::Refresh(RefreshRequest {
                kind: kind.clone(),
                name: name.clone(),
                within_minutes: *within_minutes,
                ..RefreshRequest::default()
            })],
            Command::Ping | Command::Refresh => vec![listed("QMGR", "")],
            Command::NotHere(_) | Command::Help(_) | Command::End => Vec::new(),
        }
    }
}

impl Command {
    /// Whether it makes, changes or runs a channel: refusals of that have messages and reasons of their own.
    pub fn is_of_channel(&self) -> bool {
        matches!(
            self,
            Command::Define { kind: Kind::Channel, .. }
                | Command::Alter { kind: Kind::Channel, .. }
                | Command::Delete { kind: Kind::Channel, .. }
                | Command::Control { kind: Kind::Channel, .. }
        )
    }

    /// Whether there is nothing more to ask after this: a listener that is to be started runs or is about to, one that is to be stopped
    /// does not or is about not to; a queue whose handles are to be shown is not there.
    pub fn ends_with(&self, reply: &Reply, queue_manager: &str) -> bool {
        if let (Command::Display(Display { subject: Subject::QueueHandles, .. }), Reply::Objects(queues)) =
            (self, reply)
        {
            return queues.is_empty();
        }
        let (Command::Control { name, stops, already_is_fine: false, .. }, Reply::Status(status)) =
            (self, reply)
        else {
            return false;
        };
        let manager = status.queue_managers.iter().find(|manager| manager.name == queue_manager);
        let listener =
            manager.and_then(|manager| manager.listeners.iter().find(|listener| listener.name == *name));
        listener.is_some_and(|listener| match listener.state.as_str() {
            "running" | "starting" => !stops,
            // What is in its way, or is to be tried again, is started and not running: it may be stopped.
            "stopped" => *stops && listener.reason.is_empty(),
            "stopping" => *stops,
            _ => false,
        })
    }
}

impl Display {
    fn requests(&self) -> Vec<Request> {
        match self.subject {
            Subject::Object(kind) => vec![self.filtered(kind.facts().name)],
            Subject::Queues => vec![self.filtered("QUEUE")],
            Subject::QueueStatus => vec![listed("QLOCAL", &self.name)],
            // A queue that nobody has open is another answer than one that is not there.
            subject @ Subject::QueueHandles => vec![listed("QLOCAL", &self.name), connected(subject)],
            subject @ (Subject::Connections | Subject::ChannelStatus) => vec![connected(subject)],
            Subject::ManagerStatus | Subject::Instances | Subject::ListenerStatus => vec![Request::Status],
        }
    }

    /// Whoever has the objects looks at them first, and does not send those that are not shown.
    fn filtered(&self, kind: &str) -> Request {
        let (kind, name) = (kind.to_string(), self.name.clone());
        let conditions = self.filters.iter().filter_map(Filter::condition).collect();
        Request::Display(DisplayRequest { kind, name, conditions, ..DisplayRequest::default() })
    }
}

fn connected(of: Subject) -> Request {
    Request::Sessions { of, after: 0, handle: 0 }
}

fn listed(kind: &str, name: &str) -> Request {
    let (kind, name) = (kind.to_string(), name.to_string());
    Request::Display(DisplayRequest { kind, name, ..DisplayRequest::default() })
}

fn attributes(said: &Said) -> Vec<Attribute> {
    said.iter().map(|(name, value)| Attribute { name: name.to_string(), value: value.clone() }).collect()
}
