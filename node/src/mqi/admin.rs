//! What administrators ask about objects, and what operators ask of the nodes.

use std::time::Duration;

use trimaran_proto::admin::v1::Classified;

use crate::types::definition::{Changes, ObjectKind, ObjectRef, RecordAction};
use crate::types::{HandleId, Index, NodeId, NodeInfo, ObjectName, SessionId, Term, Version};

/// Calls of administrators: what is defined.
#[derive(Clone, Debug)]
pub enum Admin {
    /// DEFINE.
    Define {
        object: ObjectRef,
        /// The name of an object of the same kind; empty for the kind's default object.
        like: String,
        replace: bool,
        changes: Changes,
    },
    /// ALTER.
    Alter { object: ObjectRef, changes: Changes },
    /// DELETE. With `purge` a local queue may have messages.
    Delete { object: ObjectRef, purge: bool },
    /// CLEAR QLOCAL.
    Clear { queue: ObjectName },
    /// SET CHLAUTH, SET AUTHREC.
    SetRecord { record: ObjectRef, action: RecordAction, changes: Changes },
    /// DISPLAY.
    Display {
        kinds: Vec<ObjectKind>,
        /// A name, a prefix with `*`, or empty for all. In the order of names, those behind `after`; as many as a page has
        /// ([`super::Page`]) and a turn has work for, or more where several have one name: they are on one page.
        pattern: String,
        /// Empty for all.
        after: String,
    },
    /// REFRESH QMGR TYPE(CONFIGEV): objects are told in events, as many as one call tells ([`super::Data::Refreshed`]).
    Refresh(Refresh),
    /// DISPLAY CONN: who is connected, and what they have open. In the order in which they came, those behind `after`; with
    /// their handles as many as a page has. One that has more handles is on several pages, with those that it has not told yet.
    Sessions {
        /// The default for all.
        after: SessionId,
        /// None: what they have open is not told. Where it is not 0, the handles behind it of the session `after` come first.
        handles: Option<HandleId>,
    },
}

/// Which objects are told in events.
#[derive(Clone, Debug, Default)]
pub struct Refresh {
    pub kinds: Vec<ObjectKind>,
    /// As of a display.
    pub pattern: String,
    pub after: String,
    /// Only what was made or altered so long ago at most; None for all.
    pub within: Option<Duration>,
}

/// Calls of operators: what a node or the group of nodes is and does, whatever is defined there.
#[derive(Clone, Debug)]
pub enum Operate {
    /// Answered by every node, whether it serves or not.
    Status,
    /// Records of failovers behind this number, a page of them. Answered by every node.
    Failovers { after: u64 },
    /// Records of the audit trail behind this number, a page of them. Answered by every node.
    Trail { after: u64 },
    /// A person says what a record of a failover counts as, and why.
    Classify(Classified),
    /// Moves the active instance; `to` None picks the one that is most up to date. Units of work that are open may go on
    /// for so long; None: as long as the replica's options say.
    Move { to: Option<NodeId>, units_within: Option<Duration> },
    /// The node goes into maintenance, or comes back; see `replica/placement.rs`. With `force` also where the others are no
    /// majority that is in sync.
    Maintain { node: NodeId, begins: bool, force: bool },
    /// Starts or ends the queue manager.
    Run(RunRequest),
    /// A queue manager is created on all nodes. For the nodes' own, which has records of them.
    Create(Box<CreateRequest>),
    /// Where a queue manager that was created should be is changed. For the nodes' own, too.
    Arrange(Box<ArrangeRequest>),
    /// The queue manager is deleted with all that it has. Whoever asks has seen that it was ended.
    Delete { name: ObjectName },
    /// A node joins, leaves or takes another one's place.
    Members(MembershipRequest),
    /// Raises the version in which log, store and frames are written; None: to the newest that any node speaks. Refused
    /// while a node does not speak it or is not there. There is no way back.
    Raise { to: Option<Version> },
    /// Goes on with what `from` has left; carried out by every node, see [`RecoverRequest`].
    Recover(RecoverRequest),
}

/// crtmqm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// One that no other queue manager of the cluster has.
    pub name: ObjectName,
    /// The node that should serve it; empty: any.
    pub preferred: String,
    /// When it moves back there, as a cluster file has it; empty: never.
    pub fail_back: String,
    /// Its DEADQ; empty: none.
    pub dead_letter_queue: String,
    /// Of its first listener; 0: none.
    pub port: u16,
    /// Its floating addresses, each with the length of its network, as a cluster file has them.
    pub addresses: Vec<String>,
    /// Whether canaries try it.
    pub canary: bool,
}

/// `trimaran place`: what is None stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrangeRequest {
    /// Of one that was created.
    pub name: ObjectName,
    /// All that it has from then on.
    pub addresses: Option<Vec<String>>,
    /// Empty: any node.
    pub preferred: Option<String>,
    /// Empty: never.
    pub fail_back: Option<String>,
    /// Whether canaries try it.
    pub canary: Option<bool>,
}

/// strmqm and endmqm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunRequest {
    /// Of one that has ended; one that runs goes on, and one that quiesces is not called back (2161).
    Start,
    /// When the last program has left.
    EndControlled,
    /// Now. With `reconnect` programs are told that their connection broke, so that those that can connect again.
    EndImmediately { reconnect: bool },
}

/// Too many logs are damaged for an election, and somebody decided to go on with the best of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverRequest {
    /// Whose log is gone on with.
    pub from: NodeId,
    /// Where the log of `from` ends.
    pub last: (Term, Index),
    /// The highest term any node knows.
    pub term: Term,
}

impl Admin {
    /// DEFINE QLOCAL with these attributes, by their MQSC names, for those who know that they are right.
    ///
    /// # Panics
    /// When an attribute is not there or cannot have the value.
    pub fn define_local(queue: &ObjectName, attributes: &[(&str, &str)]) -> Admin {
        let changes = changes_of(ObjectKind::LocalQueue, attributes);
        Admin::Define { object: ObjectRef::local_queue(queue), like: String::new(), replace: false, changes }
    }

    /// ALTER QLOCAL, likewise.
    ///
    /// # Panics
    /// When an attribute is not there or cannot have the value.
    pub fn alter_local(queue: &ObjectName, attributes: &[(&str, &str)]) -> Admin {
        debug_assert!(!attributes.is_empty(), "whoever alters a queue says what of it");
        let changes = changes_of(ObjectKind::LocalQueue, attributes);
        Admin::Alter { object: ObjectRef::local_queue(queue), changes }
    }

    /// ALTER QMGR, likewise.
    ///
    /// # Panics
    /// When an attribute is not there or cannot have the value.
    pub fn alter_manager(attributes: &[(&str, &str)]) -> Admin {
        let changes = changes_of(ObjectKind::QueueManager, attributes);
        Admin::Alter { object: ObjectRef::manager(), changes }
    }

    /// DISPLAY QLOCAL.
    pub fn display_local(pattern: &str) -> Admin {
        Admin::Display {
            kinds: vec![ObjectKind::LocalQueue],
            pattern: pattern.to_string(),
            after: String::new(),
        }
    }
}

fn changes_of(kind: ObjectKind, attributes: &[(&str, &str)]) -> Changes {
    debug_assert!(!kind.is_record(), "records are set and not defined");
    let changes = Changes::parse(kind, attributes.iter().copied());
    let changes = changes.unwrap_or_else(|fault| panic!("{}", fault.text));
    debug_assert_eq!(changes.iter().count(), attributes.len(), "every attribute that was named is changed");
    changes
}

/// A membership change as an administrator asks for it. Answered when it is complete; [`crate::mqi::Completion`]
/// with `Data::Progress` comes before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipRequest {
    /// `node` learns first, and votes when it has caught up. 2046 for an id that another node had.
    Add { node: NodeId, info: NodeInfo },
    /// `node` leaves for good; 2046 for the last one.
    Remove { node: NodeId },
    /// `node` joins, and votes from when `old` does not any more.
    Replace { old: NodeId, node: NodeId, info: NodeInfo },
}
