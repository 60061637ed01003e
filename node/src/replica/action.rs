//! Everything a replica can ask of the world. The runtime carries these out in order; so does the simulator.

use std::sync::Arc;

use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::replica::v1::Registered;
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

use crate::consensus::{LogWrite, Parted};
use crate::mqi::{Completion, Refusal, Terms};
use crate::qmgr::{LoadRequest, StoreBatch};
use crate::types::definition::Definition;
use crate::types::{Index, NodeId, Reason, RequestId, RoleView, SessionId, Token, Version};

#[derive(Debug)]
pub enum Action {
    /// Answered by `LogPersisted`. Several may be on their way; they are carried out in order.
    Persist(LogWrite),
    /// Best effort and in order while the connection lasts. Never waits: what does not fit is dropped, Raft repeats it.
    Send {
        to: NodeId,
        message: PeerMessage,
    },
    /// Stream the store's rows of this queue manager, at its newest flushed index, to a peer that needs more than
    /// the log has. Answered by `SnapshotSent`. `term` is this leader's term.
    SendSnapshot {
        to: NodeId,
        term: u64,
    },
    /// Answers `Event::Connect`. Who is refused has no session.
    Admit {
        session: SessionId,
        admitted: Result<Terms, Refusal>,
    },
    Complete {
        session: SessionId,
        token: Token,
        completion: Completion,
    },
    /// May lag; answered by `StoreFlushed`.
    Store(StoreBatch),
    /// Answered by `RowsLoaded`.
    LoadRows(LoadRequest),
    /// Old entries for a peer that lags: at most `bytes_max`, at least one. Answered by `EntriesLoaded`.
    LoadEntries {
        request: RequestId,
        first: Index,
        until: Index,
        bytes_max: usize,
    },
    /// The session's listener ends it with this reason (2009 when the queue manager moved away).
    CloseSession {
        session: SessionId,
        reason: Reason,
        /// A call of it that is not answered did not happen: it never came, or was not begun.
        all_answered: bool,
    },
    /// Published whenever it changes.
    PublishRole(RoleView),
    /// The listeners that are defined, in the order of their names: before the role of a node that begins to serve, and
    /// while it does, whenever they change.
    PublishListeners(Arc<Vec<Definition>>),
    /// Which queue managers the cluster has and had, in the order of their ids: at the start of the nodes' own, and whenever that
    /// changes. What may have been deleted, which is not known yet, is not among them.
    PublishRegister(Arc<Vec<Registered>>),
    /// The version of the queue manager, when it was raised. Who does not speak it is no peer any more.
    PublishVersion(Version),
    /// A committed entry cannot be applied by this program, because a newer one wrote it. The process ends with this
    /// sentence; nothing is damaged, and the newer release goes on from here.
    Stuck {
        sentence: String,
    },
    /// Nothing at or below is needed any more.
    TruncateLog {
        upto: Index,
    },
    /// This node has committed entries that a leader does not have, or no longer so: kept beside the log, so that a restart
    /// knows it while nobody leads.
    NoteParted {
        parted: Option<Parted>,
    },
    /// Addresses of the group's nodes changed; connect to these.
    PublishMembership(crate::types::Membership),
    /// The node was removed from the group for good.
    Removed,
    /// This record of the audit trail is not kept any more: for the log of the node.
    TrailEnds(Box<AuditRecord>),
    /// For the error log.
    Report {
        sentence: String,
    },
    /// The store is not trusted any more: it is set aside, and got again from the log and the peers.
    GetStateAgain {
        reason: String,
    },
}
