//! What a client is told: MQ's completion code and reason, and the data of the call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use trimaran_proto::admin::v1::{AuditRecord, Canary, Classified, Failover};

use super::call::OpenOptions;
use super::secured::Secured;
use crate::types::definition::Definition;
use crate::types::{
    ClocksDiffer, CompletionCode, HandleId, InGroup, Index, Membership, Message, MessageId, NodeId,
    ObjectName, OutOfSync, Reason, Role, RunState, SessionId, Speaks, Term, UnitState, Version, WaitsFor,
    WallTime, limits,
};

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// MQCC_*.
    pub code: CompletionCode,
    /// MQRC_*: [`Reason::None`] where the code is OK, and only there.
    pub reason: Reason,
    /// What was asked for, or where to go instead; mostly nothing where the call failed.
    pub data: Data,
    /// More than the reason's own text where more is known: which file, which limit, which name.
    pub detail: Option<String>,
}

/// What an answer has beside code and reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Data {
    /// There is nothing to say beside code and reason.
    #[default]
    Nothing,
    /// A put: what was given to its message.
    Placed {
        /// MsgId: the program's, or one that was made.
        message_id: MessageId,
        /// Where in its group, if it is in one.
        in_group: Option<InGroup>,
        /// An earlier try of the same put had stored the message: this is the answer to that one.
        duplicate: bool,
        /// Of a duplicate: whatever else the first answer said is not known.
        only_id_known: bool,
    },
    /// An open of a queue.
    Opened(Opened),
    /// A get or browse: the message, and the bytes that its whole body has; the message has fewer with 2079 only.
    Got { message: Box<Message>, body_length: usize },
    /// The message is longer than asked for and was left where it is (2080).
    TooLong { body_length: usize },
    /// The message is persistent and was left where it is, because the get is ahead of its program.
    NotAhead,
    /// What became of a unit of work, by its id.
    Unit {
        state: UnitState,
        /// Nothing was known of it before it was asked for: that settled it.
        sealed: bool,
    },
    /// What a handle stands for, as inquired (MQINQ).
    Inquired(Box<ObjectView>),
    /// What is displayed, by kind and name.
    Objects(Box<Listing>),
    /// Who is connected, in the order in which they came.
    Sessions(Box<Connected>),
    /// Objects up to this name were told in events; None: to the last one.
    Refreshed { upto: Option<String> },
    /// What this node knows of the queue manager.
    Status(Box<StatusView>),
    /// A page of the records of failovers that this node has.
    Failovers(Box<KeptFailovers>),
    /// A page of the audit trail that this node has.
    Trail(Box<KeptTrail>),
    /// Not the answer yet: a step of a long call, and how far it is, 0.0 to 1.0.
    Progress { step: String, fraction: f64 },
    /// This node does not serve; this one does, if anybody.
    NotServing { leader: Option<NodeId> },
}

/// A page of the records of failovers, in the order of their numbers, what people said of these, and what canaries saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptFailovers {
    /// At most `trimaran_proto::failover::A_PAGE`.
    pub records: Vec<Failover>,
    /// Of these records.
    pub classified: Vec<Classified>,
    /// None where no canary was ever heard of.
    pub canary: Option<Canary>,
}

/// A page of the audit trail, in the order of the records' numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptTrail {
    /// At most `trimaran_proto::audit::A_PAGE`, and about `A_PAGE_BYTES` bytes; one at least, where there are any.
    pub records: Vec<AuditRecord>,
    /// There are records behind these.
    pub more: bool,
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
    /// What clients do that do not say: DEFREADA and DEFPRESP of the queue, by MQ's numbers.
    pub read_ahead: i32,
    /// MQPRT_*: 1 waits for the answer, 2 does not.
    pub put_response: i32,
}

/// An object or record as displayed or inquired.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectView {
    /// As it is set; of another name of a queue its own attributes.
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

/// A page of what a display lists, in the order of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    pub objects: Vec<ObjectView>,
    /// There are others behind the last of them.
    pub more: bool,
}

/// A page of those who are connected, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connected {
    pub sessions: Vec<SessionView>,
    /// Where the next page begins, as it is asked for (`Admin::Sessions`); None behind the last one.
    pub more: Option<(SessionId, Option<HandleId>)>,
}

/// What one answer lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// As many as it may have.
    most: usize,
    objects: usize,
    bytes: usize,
}

impl Page {
    /// Nothing so far. At most so many objects, and never more than `limits::OBJECTS_A_PAGE`.
    pub fn new(most: usize) -> Page {
        debug_assert!(most > 0, "a page goes on");
        Page { most: most.min(limits::OBJECTS_A_PAGE), objects: 0, bytes: 0 }
    }

    /// One more is on it.
    pub fn add(&mut self, object: &ObjectView) {
        self.objects += 1;
        self.bytes += object.weight();
        debug_assert!(self.bytes >= self.objects, "every object counts");
    }

    /// There may be more behind it.
    pub fn is_full(&self) -> bool {
        self.objects >= self.most || self.bytes >= limits::PAGE_BYTES
    }
}

/// Somebody who is connected, and what is open.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// What comes behind it on the next page is asked for with it.
    pub session: SessionId,
    /// Whose rights it has.
    pub user: String,
    /// What the program calls itself, at most 28 characters; empty for an instance.
    pub application: String,
    /// Where it comes from; None for what comes from inside the node.
    pub address: Option<SocketAddr>,
    /// The channel it came through, where the protocol has channels.
    pub channel: Option<ObjectName>,
    /// It is an instance of that channel, and no program.
    pub is_instance: bool,
    /// How the channel is protected; None without TLS.
    pub secured: Option<Arc<Secured>>,
    /// What it has open; at most `limits::HANDLES_MAX`.
    pub handles: Vec<HandleView>,
}

/// What a program has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleView {
    /// As it was named when it was opened.
    pub queue: ObjectName,
    /// MQOO_*: for what it is open.
    pub options: OpenOptions,
    /// A get through it waits for a message.
    pub waits: bool,
}

impl SessionView {
    /// What it counts for on a page: itself and its handles.
    pub fn described(&self) -> usize {
        debug_assert!(self.handles.len() < limits::OBJECTS_A_PAGE, "the others are on the next pages");
        1 + self.handles.len()
    }
}

/// A local queue as inquired, at whoever serves (IBM MQ Reference, "DISPLAY QSTATUS").
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    /// Of the queue itself, under whatever name it is inquired.
    pub definition: Definition,
    /// CURDEPTH: messages on it, those that an open unit of work has got included, those that one has put not.
    pub depth: u64,
    /// How many of these are not persistent, so that they are on the active node only.
    pub not_persistent: u64,
    /// UNCOM: messages that are on their way to it or from it, in units of work and in the log.
    pub uncommitted: u64,
    /// IPPROCS: handles that are open for input.
    pub open_input: u32,
    /// OPPROCS: handles that are open for output.
    pub open_output: u32,
    /// MSGAGE: since when the oldest message was put, in whole milliseconds; 0 where there is none.
    pub oldest_age: Duration,
    /// What happened to it.
    pub activity: QueueActivity,
}

/// What happened to a queue since its queue manager is served where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueActivity {
    /// Messages put, those of units of work that were backed out included.
    pub puts: u64,
    /// Messages that programs were given and did not only browse, those that came back included.
    pub gets: u64,
    /// LPUTTIME, as an age; None: none was put.
    pub since_put: Option<Duration>,
    /// LGETTIME, likewise.
    pub since_get: Option<Duration>,
    /// LPUTDATE and LPUTTIME, by the clock of whoever serves; None: none was put.
    pub last_put: Option<WallTime>,
    /// LGETDATE and LGETTIME, likewise.
    pub last_get: Option<WallTime>,
    /// QTIME: for how long messages that were got had been there, over the last few and over more of them, to the millisecond
    /// of each; None: none was got.
    pub lain: Option<(Duration, Duration)>,
}

/// What one node knows of one queue manager.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusView {
    /// The part that this node has in it.
    pub role: Role,
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// For how long it has been active; 0 where it is not.
    pub serving_for: Duration,
    /// Raft's, of this node.
    pub term: Term,
    /// The last entry that a majority has, as far as this node knows.
    pub commit: Index,
    /// The last entry that is in this node's state; what follows is of that state.
    pub applied: Index,
    /// Voters that are there and have what is committed, this node included; 0 where it does not lead.
    pub quorum_live: u32,
    /// Voters in all.
    pub quorum_of: u32,
    /// Who has part in it, as far as this node knows.
    pub membership: Membership,
    /// By node; of a node that does not lead, only itself.
    pub instances: Vec<InstanceView>,
    /// Local queues.
    pub queues: u64,
    /// On all queues.
    pub messages: u64,
    /// How many of these are not persistent.
    pub not_persistent: u64,
    /// Programs that are connected to this node; instances of channels are none.
    pub sessions: u64,
    /// DEADQ; None where there is none.
    pub dead_letter_queue: Option<ObjectName>,
    /// Why puts are refused for lack of room, in words; None while they are let in.
    pub puts_refused: Option<String>,
    /// Who must come before there can be a leader.
    pub waits_for: WaitsFor,
    /// The end of this node's log.
    pub last: (Term, Index),
    /// The highest entry this node ever acknowledged; None where its note of that was lost and it has not caught up since.
    pub acknowledged: Option<Index>,
    /// The version in which the queue manager is written.
    pub version: Version,
    /// Whether it serves programs, as an operator wants it.
    pub run: RunState,
    /// How often another node than before began to serve.
    pub takeovers: u64,
    /// For how long nobody has served it, as far as this node knows.
    pub unserved_for: Duration,
    /// No majority of clocks agrees. The leader knows.
    pub clocks_differ: Option<ClocksDiffer>,
    /// The node that should serve it; None: any.
    pub preferred: Option<NodeId>,
    /// When it moves back there, as a cluster file has it; empty: never.
    pub fail_back: String,
    /// Whether canaries try it.
    pub canary: bool,
}

/// What is known of one node's copy of a queue manager: by its leader, or by that node of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// Whose instance it is.
    pub node: NodeId,
    /// Whether it counts for a majority; else it learns.
    pub voter: bool,
    /// None: it has all that is committed, or nearly so.
    pub out_of_sync: Option<OutOfSync>,
    /// Entries of the log that it does not have; of a node itself, entries that are committed and not in its state.
    pub backlog_entries: u64,
    /// Bytes of those that the leader has in memory.
    pub backlog_bytes: u64,
    /// For how long it has not had everything; 0 where it has. To about 100 ms.
    pub backlog: Duration,
    /// By how many milliseconds its wall clock is ahead of (or behind, below 0) what a majority says; 0 when that is
    /// little, not known, or no majority agrees.
    pub clock_off_ms: i64,
    /// None: it was not heard.
    pub speaks: Option<Speaks>,
    /// It leads only where no other node could.
    pub in_maintenance: bool,
    /// From a heartbeat to its answer, averaged over the last few. None where nobody knows, and of the leader itself.
    pub round_trip: Option<Duration>,
    /// Of the time for which this leader leads, the share in which it was there and lacked something, in percent. None where
    /// nobody knows, and of the leader itself.
    pub catching_up_percent: Option<f64>,
}

impl Completion {
    /// MQCC_OK.
    pub fn ok(data: Data) -> Completion {
        debug_assert!(
            !matches!(data, Data::TooLong { .. } | Data::NotAhead | Data::NotServing { .. }),
            "who is told OK was given what was asked for"
        );
        Completion { code: CompletionCode::Ok, reason: Reason::None, data, detail: None }
    }

    /// MQCC_OK, and nothing to say beside it.
    pub fn done() -> Completion {
        Completion::ok(Data::Nothing)
    }

    /// MQCC_WARNING: it was done, though not quite as asked for.
    pub fn warning(reason: Reason, data: Data) -> Completion {
        debug_assert_ne!(reason, Reason::None, "a warning says of what");
        Completion { code: CompletionCode::Warning, reason, data, detail: None }
    }

    /// MQCC_FAILED: nothing was done.
    ///
    /// # Panics
    /// When the reason is none.
    pub fn failed(reason: Reason) -> Completion {
        assert_ne!(reason, Reason::None, "what failed has a reason");
        Completion { code: CompletionCode::Failed, reason, data: Data::Nothing, detail: None }
    }

    /// The same, with sentences for the user on what was in the way.
    pub fn failed_because(reason: Reason, detail: impl Into<String>) -> Completion {
        let detail = detail.into();
        debug_assert!(!detail.is_empty(), "a detail says something");
        Completion { detail: Some(detail), ..Completion::failed(reason) }
    }

    /// Whether nothing was done.
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
            Data::Placed { in_group, duplicate, only_id_known, .. } => {
                debug_assert!(!failed, "a put that failed has placed nothing");
                debug_assert!(
                    *duplicate || !only_id_known,
                    "a put of which something is not known is repeated"
                );
                debug_assert!(
                    in_group.is_none_or(|group| group.sequence_number > 0),
                    "messages of a group have numbers"
                );
            }
            Data::Opened { .. } | Data::Unit { .. } => {
                debug_assert!(!failed, "who failed was given nothing");
            }
            Data::TooLong { .. } | Data::NotAhead | Data::NotServing { .. } => {
                debug_assert!(failed, "who is told what is in the way was not given what was asked for");
            }
            Data::Progress { fraction, .. } => {
                debug_assert!((0.0..=1.0).contains(fraction), "a step is somewhere between nothing and all");
            }
            _ => {}
        }
    }
}
