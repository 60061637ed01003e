//! What a client is told: MQ's completion code and reason, and the data of the call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use trimaran_proto::admin::v1::{Canary, Classified, Failover};

use super::call::OpenOptions;
use super::secured::Secured;
use crate::types::definition::Definition;
use crate::types::{
    ClocksDiffer, CompletionCode, InGroup, Index, Membership, Message, MessageId, NodeId, ObjectName,
    OutOfSync, Reason, Role, RunState, SessionId, Speaks, Term, UnitState, Version, WaitsFor, limits,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    pub code: CompletionCode,
    pub reason: Reason,
    pub data: Data,
    /// More than the reason's own text where more is known: which file, which limit, which name.
    pub detail: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Data {
    #[default]
    Nothing,
    Placed {
        message_id: MessageId,
        /// Where in its group, if it is in one.
        in_group: Option<InGroup>,
        duplicate: bool,
        /// Of a duplicate: whatever else the first answer said is not known.
        only_id_known: bool,
    },
    Opened(Opened),
    Got {
        message: Box<Message>,
        body_length: usize,
    },
    /// The message is longer than asked for and was left where it is (2080).
    TooLong {
        body_length: usize,
    },
    Unit {
        state: UnitState,
        /// Nothing was known of it before it was asked for: that settled it.
        sealed: bool,
    },
    /// What a handle stands for, as inquired (MQINQ).
    Inquired(Box<ObjectView>),
    /// What is displayed, by kind and name.
    Objects(Vec<ObjectView>),
    /// Who is connected, in the order in which they came.
    Sessions(Vec<SessionView>),
    Status(Box<StatusView>),
    Failovers(Box<KeptFailovers>),
    /// Not the answer yet: a step of a long call, and how far it is, 0.0 to 1.0.
    Progress {
        step: String,
        fraction: f64,
    },
    /// This node does not serve; this one does, if anybody.
    NotServing {
        leader: Option<NodeId>,
    },
}

/// A page of the records of failovers, in the order of their numbers, what people said of these, and what canaries saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptFailovers {
    pub records: Vec<Failover>,
    pub classified: Vec<Classified>,
    pub canary: Option<Canary>,
}

/// What a program is told of a queue that it has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The queue that was made, if it was a model that was opened.
    pub made: Option<ObjectName>,
    /// Where the messages are.
    pub resolved: ObjectName,
    /// Whether messages are persistent that do not say: as the name says by which it was opened.
    pub defpsist: bool,
}

/// An object or record as displayed or inquired.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectView {
    pub definition: Definition,
    /// Of a local queue; where another name of one is inquired, of the queue that it stands for.
    pub queue: Option<QueueView>,
}

impl ObjectView {
    /// What it counts for on a page.
    pub fn weight(&self) -> usize {
        self.definition.weight() * if self.queue.is_some() { 2 } else { 1 }
    }
}

/// Objects that one answer lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    objects: usize,
    bytes: usize,
}

impl Page {
    pub fn of(objects: &[ObjectView]) -> Page {
        let mut page = Page::default();
        objects.iter().for_each(|object| page.add(object));
        page
    }

    pub fn add(&mut self, object: &ObjectView) {
        self.objects += 1;
        self.bytes += object.weight();
        debug_assert!(self.bytes >= self.objects, "every object counts");
    }

    /// There may be more behind it.
    pub fn is_full(&self) -> bool {
        self.objects >= limits::OBJECTS_A_PAGE || self.bytes >= limits::PAGE_BYTES
    }
}

/// Somebody who is connected, and what is open.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    pub session: SessionId,
    pub user: String,
    pub application: String,
    /// Where it comes from; None for what comes from inside the node.
    pub address: Option<SocketAddr>,
    /// The channel it came through, where the protocol has channels.
    pub channel: Option<ObjectName>,
    /// It is an instance of that channel, and no program.
    pub is_instance: bool,
    /// How the channel is protected; None without TLS.
    pub secured: Option<Arc<Secured>>,
    pub handles: Vec<HandleView>,
}

/// What a program has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleView {
    pub queue: ObjectName,
    pub options: OpenOptions,
    /// A get through it waits for a message.
    pub waits: bool,
}

impl SessionView {
    /// What it counts for on a page: itself and its handles.
    pub fn described(&self) -> usize {
        debug_assert!(self.handles.len() <= limits::HANDLES_MAX, "a session has so many handles at most");
        1 + self.handles.len()
    }
}

/// A local queue as inquired. Counts are messages and handles.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    pub definition: Definition,
    pub depth: u64,
    pub not_persistent: u64,
    pub uncommitted: u64,
    pub open_input: u32,
    pub open_output: u32,
    pub oldest_age: Duration,
}

/// What one node knows of one queue manager.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusView {
    pub role: Role,
    pub leader: Option<NodeId>,
    pub serving_for: Duration,
    pub term: Term,
    pub commit: Index,
    pub applied: Index,
    pub quorum_live: u32,
    pub quorum_of: u32,
    pub membership: Membership,
    pub instances: Vec<InstanceView>,
    pub queues: u64,
    pub messages: u64,
    pub not_persistent: u64,
    pub sessions: u64,
    pub dead_letter_queue: Option<ObjectName>,
    pub puts_refused: Option<String>,
    /// Who must come before there can be a leader.
    pub waits_for: WaitsFor,
    /// The end of this node's log.
    pub last: (Term, Index),
    /// The highest entry this node ever acknowledged; None where its note of that was lost and it has not caught up since.
    pub acknowledged: Option<Index>,
    pub version: Version,
    pub run: RunState,
    /// How often another node than before began to serve.
    pub takeovers: u64,
    /// No majority of clocks agrees. The leader knows.
    pub clocks_differ: Option<ClocksDiffer>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    pub node: NodeId,
    pub voter: bool,
    /// None: it has all that is committed, or nearly so.
    pub out_of_sync: Option<OutOfSync>,
    pub backlog_entries: u64,
    pub backlog_bytes: u64,
    pub backlog: Duration,
    /// By how many milliseconds its wall clock is ahead of (or behind, below 0) what a majority says; 0 when that is
    /// little, not known, or no majority agrees.
    pub clock_off_ms: i64,
    /// None: it was not heard.
    pub speaks: Option<Speaks>,
    /// It leads only where no other node could.
    pub in_maintenance: bool,
}

impl Completion {
    pub fn ok(data: Data) -> Completion {
        debug_assert!(
            !matches!(data, Data::TooLong { .. } | Data::NotServing { .. }),
            "who is told OK was given what was asked for"
        );
        Completion { code: CompletionCode::Ok, reason: Reason::None, data, detail: None }
    }

    pub fn done() -> Completion {
        Completion::ok(Data::Nothing)
    }

    pub fn warning(reason: Reason, data: Data) -> Completion {
        debug_assert_ne!(reason, Reason::None, "a warning says of what");
        Completion { code: CompletionCode::Warning, reason, data, detail: None }
    }

    pub fn failed(reason: Reason) -> Completion {
        assert_ne!(reason, Reason::None, "what failed has a reason");
        Completion { code: CompletionCode::Failed, reason, data: Data::Nothing, detail: None }
    }

    pub fn failed_because(reason: Reason, detail: impl Into<String>) -> Completion {
        let detail = detail.into();
        debug_assert!(!detail.is_empty(), "a detail says something");
        Completion { detail: Some(detail), ..Completion::failed(reason) }
    }

    pub fn is_failed(&self) -> bool {
        self.assert_holds();
        self.code == CompletionCode::Failed
    }

    /// Between code, reason and data: looked at by whoever answers.
    fn assert_holds(&self) {
        let failed = self.code == CompletionCode::Failed;
        debug_assert_eq!(
            self.code == CompletionCode::Ok,
            self.reason == Reason::None,
            "whoever is not told OK is told why"
        );
        match &self.data {
            Data::Got { message, body_length } => {
                debug_assert!(!failed, "who failed is given no message");
                debug_assert!(message.body.len() <= *body_length, "no more of a body is given than there is");
                debug_assert_eq!(
                    message.body.len() < *body_length,
                    self.reason == Reason::TruncatedMsgAccepted,
                    "who is given less than there is is told so"
                );
            }
            Data::Placed { .. } => {
                debug_assert!(!failed, "a put that failed has placed nothing");
            }
            Data::TooLong { .. } | Data::NotServing { .. } => {
                debug_assert!(failed, "who is told what is in the way was not given what was asked for");
            }
            Data::Progress { fraction, .. } => {
                debug_assert!((0.0..=1.0).contains(fraction), "a step is somewhere between nothing and all");
            }
            _ => {}
        }
    }
}
