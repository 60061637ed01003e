//! Everything that can happen to a replica. Nothing else wakes it.

use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::replica::v1::AddressAgent;
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

use super::Placement;
use crate::consensus::Entry;
use crate::mqi::{Call, Connect};
use crate::qmgr::QueueManager;
use crate::types::{Index, Instant, NodeId, RequestId, SessionId, SnapshotMeta, Speaks, Token, WriteNumber};

#[derive(Debug)]
pub enum Event {
    /// A client asks for a session with this queue manager. Answered by `Action::Admit`.
    Connect {
        session: SessionId,
        connect: Connect,
    },
    /// The client is gone: its unit is backed out, its handles are closed, its waits end without an answer.
    SessionClosed {
        session: SessionId,
    },
    Call {
        session: SessionId,
        token: Token,
        call: Call,
    },

    Peer {
        from: NodeId,
        message: PeerMessage,
    },
    /// The connection to this peer is up.
    PeerConnected {
        node: NodeId,
    },
    /// The connection to this peer broke. It may be slow, cut off or dead.
    PeerLost {
        node: NodeId,
    },
    /// The peer's process is gone: its connection closed and its port refuses new ones.
    PeerGone {
        node: NodeId,
    },

    /// The peer cannot be talked with: it does not speak what a queue manager of this node was raised to.
    PeerTooOld {
        node: NodeId,
        speaks: Speaks,
    },

    /// This peer says that this node was removed from every group there is.
    RemovedSays {
        node: NodeId,
    },

    /// Everything up to this write is on disk.
    LogPersisted {
        write: WriteNumber,
    },
    /// The message store is on disk up to here.
    StoreFlushed {
        upto: Index,
    },
    /// Answers `Action::LoadRows`; None for rows that are not there or were damaged (then `damaged` says where).
    RowsLoaded {
        request: RequestId,
        rows: Vec<Option<Bytes>>,
        damaged: Option<String>,
    },
    /// Answers `Action::LoadEntries`: a run without gaps from the first index asked for, possibly shorter; empty
    /// when the log was cut meanwhile.
    EntriesLoaded {
        request: RequestId,
        entries: Vec<Entry>,
    },

    /// Answers `Action::SendSnapshot`.
    SnapshotSent {
        to: NodeId,
        arrived: bool,
    },
    /// A snapshot from the leader of `term` was installed in the message store; this is its state.
    SnapshotInstalled {
        from: NodeId,
        term: u64,
        meta: SnapshotMeta,
        state: Box<QueueManager>,
    },

    /// How much room the disks have; sent when it changes and at start.
    Disk {
        room: DiskRoom,
    },
    /// An entry in the log, this one at the highest, cannot be read any more.
    LogDamaged {
        upto: Index,
    },
    /// A batch could not be written for lack of space and was not written at all; said once until it fits.
    /// The log keeps a reserve, so this is for the message store.
    StoreRefused {
        upto: Index,
    },

    /// The floating address, which was to be gone by this deadline of the policy's newest order to hold it, is gone.
    AddressGone {
        deadline: Instant,
    },

    /// The floating address was put here, and announced to the network, at these times.
    AddressHere {
        taken: Instant,
        announced: Instant,
    },

    /// The interface that the floating address belongs on can be used, or cannot any more. Said when it changes; it can, until it
    /// is said.
    Interface {
        is_up: bool,
    },

    /// This node's canary got a message through the queue manager as clients do. For how long none did before; None for the first.
    CanaryGood {
        silent: Option<Duration>,
    },

    /// The cluster's record of this queue manager says something else of its place than it began with.
    Arranged {
        placement: Placement,
        canary: bool,
    },

    /// Of the nodes' own: which floating addresses this node could hold. Said at the start, and when it changes.
    AddressAgent(Box<AddressAgent>),

    /// Of the nodes' own: what was published of the records is so on this node up to this change of addresses. What was given up is gone.
    RegisterFollowed {
        revision: u64,
    },

    /// Hand leadership over, refuse new sessions, then publish `RoleView::NotServing`: the node is stopping.
    Drain,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DiskRoom {
    #[default]
    Enough,
    /// Puts are refused with 2192; the text says which directory has how much.
    Low { text: String },
}
