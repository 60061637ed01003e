//! One node's mind for one queue manager (L2): single owner of everything volatile, never waits.
//!
//! A *turn* is [`Replica::begin_turn`], [`Replica::handle`] for each event, [`Replica::end_turn`]. The parts
//! (sessions, units, waiters, proposals, loads) are plain structs that do not know each other; this file and the
//! `impl Replica` blocks of `calls`, `applier`, `leadership`, `recovery` and `members` conduct them:
//!
//! ```text
//! calls       a call arrives: may it, is there room, what must be proposed
//! applier     committed entries → queue manager → answers, wake-ups
//! delivery    messages on their way to those who get or browse them
//! leadership  follower → elected → serving; what happens when that ends
//! compaction  how far the store and the log move
//! recovery    a node that lost part of its log, or is new, earns its vote
//! members     membership changes, step by step
//! status      what administrators see
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod applier;
mod calls;
mod compaction;
mod delivery;
mod event;
mod inbox;
mod outbox;
mod leadership;
mod loads;
mod members;
mod proposals;
mod recovery;
mod sessions;
mod stats;
mod status;
mod units;
mod waiters;

#[cfg(test)]
mod group_test;
#[cfg(test)]
mod replica_test;

pub use action::*;
pub use event::*;
pub use inbox::*;
pub use outbox::{Backlog, Outbox, OutboxSender};
pub use stats::Stats;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::consensus::{self, Consensus, Recovered};
use crate::mqi::Completion;
use crate::qmgr::{Producers, QueueManager};
use crate::types::planted::{self, Bug};
use crate::types::{
    Instant, LookupMap, NodeId, Now, ObjectName, Position, QueueId, QueueManagerId, RoleView, SessionId,
    Token, WallTime,
};
use compaction::Compaction;
use leadership::Standing;
use loads::{Loads, Residents};
use members::MembershipOperation;
use proposals::Proposals;
use recovery::Recovery;
use sessions::Sessions;
use units::Reservations;
use waiters::Waiters;

#[derive(Clone, Debug)]
pub struct Options {
    pub queue_manager: QueueManagerId,
    pub name: ObjectName,
    pub node: NodeId,
    pub consensus: consensus::Options,
    /// Log that is applied between two moves of the message store; what is consumed within never reaches it.
    pub window_bytes: usize,
    /// Messages that the store has and that stay in memory too.
    pub resident_bytes_max: usize,
    /// How much applied log is kept on disk for peers that were away. A start reads and verifies all of it.
    pub log_retain_bytes: usize,
    /// The same for a peer that is there and catches up. One that got a snapshot while others put would need another one
    /// when it has it, and never be done, if what came meanwhile were not kept.
    pub log_retain_present_bytes: usize,
    /// From here on the room that a queue's removed messages still take in the store is given back.
    pub repack_from_bytes: u64,
}

impl Options {
    pub fn new(queue_manager: QueueManagerId, name: ObjectName, consensus: consensus::Options) -> Options {
        Options {
            queue_manager,
            name,
            node: consensus.node,
            consensus,
            window_bytes: 32 << 20,
            resident_bytes_max: 64 << 20,
            log_retain_bytes: 128 << 20,
            log_retain_present_bytes: 4 << 30,
            repack_from_bytes: 4 << 20,
        }
    }
}

/// One node's copy and mind of one queue manager.
pub struct Replica {
    options: Options,
    now: Now,
    consensus: Consensus,
    state: QueueManager,
    standing: Standing,
    published: Option<RoleView>,

    sessions: Sessions,
    reservations: Reservations,
    waiters: Waiters,
    proposals: Proposals,
    loads: Loads,
    residents: Residents,
    /// Sessions that have parked calls.
    parked: BTreeSet<SessionId>,
    /// Free messages that nobody was offered yet.
    stirred: VecDeque<(QueueId, Position)>,
    /// Queues an administrator is emptying or deleting.
    locked: BTreeSet<QueueId>,
    /// Puts that were let in and are not applied, by queue: they count for MAXDEPTH.
    incoming: LookupMap<QueueId, u64>,
    staging: calls::Stagings,
    /// Sequences of puts that are not persistent, and so not in the log.
    volatile_producers: Producers,
    next_unique: u64,
    next_expiry_scan: Instant,
    next_repack: Instant,

    recovery: Recovery,
    members: Option<MembershipOperation>,
    compaction: Compaction,
    disk: DiskRoom,
    handover: Option<leadership::Handover>,
    /// The node is stopping.
    draining: bool,
    /// The node was removed from the group.
    removed: bool,

    /// When each peer last had everything, and since when this node has been asking.
    in_sync_at: BTreeMap<NodeId, Instant>,
    /// A peer waits for a snapshot that is newer than what the store has.
    store_wanted: bool,
    led_since: Instant,
    leader_known: Option<NodeId>,
    next_stats: Instant,
    stats: Stats,
    out: Vec<Action>,
}

/// How often a serving replica looks for messages whose time is over. A get never shows one, however late the scan.
const EXPIRY_SCAN_INTERVAL: Duration = Duration::from_secs(1);

impl Replica {
    /// `recovered` and `state` come from the same stores. `seed` decides election timeouts and nothing else.
    pub fn new(options: Options, recovered: Recovered, state: QueueManager, seed: u64) -> Replica {
        let consensus_options = consensus::Options { seed, ..options.consensus.clone() };
        let mut consensus = Consensus::new(consensus_options, &recovered);
        // What the store does not have is in memory: a snapshot that comes late is brought up to date with it.
        consensus.keep_behind(recovered.snapshot.index);
        let recovery = Recovery::new(&recovered, options.node);
        let compaction = Compaction::new(recovered.snapshot.clone(), compaction::head_start(&options));
        let was_removed = recovered.snapshot.membership.removed.contains(&options.node);
        let residents = Residents::new(options.resident_bytes_max);
        let mut replica = Replica {
            options,
            now: Now::default(),
            consensus,
            state,
            standing: Standing::Following,
            published: None,
            sessions: Sessions::default(),
            reservations: Reservations::default(),
            waiters: Waiters::default(),
            proposals: Proposals::default(),
            loads: Loads::default(),
            residents,
            parked: BTreeSet::new(),
            stirred: VecDeque::new(),
            locked: BTreeSet::new(),
            incoming: LookupMap::default(),
            staging: calls::Stagings::default(),
            volatile_producers: Producers::default(),
            next_unique: 0,
            next_expiry_scan: Instant(0),
            next_repack: Instant(0),
            recovery,
            members: None,
            compaction,
            disk: DiskRoom::Enough,
            handover: None,
            draining: false,
            removed: false,
            in_sync_at: BTreeMap::new(),
            store_wanted: false,
            led_since: Instant(0),
            leader_known: None,
            next_stats: Instant(0),
            stats: Stats::default(),
            out: Vec::new(),
        };
        if was_removed {
            replica.on_removed();
        }
        replica
    }

    /// Takes the time of the turn. Elapsed time is turned into ticks before any event is handled, so that a process
    /// that was paused first learns that its lease is over and only then looks at its mail.
    pub fn begin_turn(&mut self, now: Now) {
        self.now = now;
        self.stats.turns += 1;
        self.consensus.advance_time(now.instant);
        self.follow_leadership();
    }

    pub fn handle(&mut self, event: Event) {
        self.stats.events += 1;
        match event {
            Event::Call { session, token, call } => self.on_call(session, token, call),
            Event::SessionOpened { session, identity, application } => {
                self.on_session_opened(session, identity, application)
            }
            Event::SessionClosed { session } => self.on_session_closed(session),
            Event::Peer { from, message } => self.on_peer_message(from, message),
            Event::PeerConnected { node } => self.on_peer_connected(node),
            Event::PeerLost { node } => self.recovery.on_peer_lost(node),
            Event::PeerGone { node } => self.on_peer_gone(node),
            Event::LogPersisted { write } => self.consensus.persisted(write),
            Event::StoreFlushed { upto } => self.on_store_flushed(upto),
            Event::LogDamaged { upto } => self.on_log_damaged(upto),
            Event::StoreRefused { upto } => self.compaction.on_refused(upto),
            Event::RowsLoaded { request, rows, damaged } => self.on_rows_loaded(request, rows, damaged),
            Event::EntriesLoaded { request, entries } => self.consensus.entries_loaded(request, entries),
            Event::SnapshotSent { to, arrived } => self.consensus.snapshot_sent(to, arrived),
            Event::SnapshotInstalled { from, term, meta, state } => {
                self.on_snapshot_installed(from, term, meta, *state)
            }
            Event::Removed => self.on_removed(),
            Event::Disk { room } => self.on_disk(room),
            Event::Drain => self.on_drain(),
        }
    }

    /// Appends what the world is asked to do, in the order it must be carried out. Always does the same things in
    /// the same order; all of them are cheap when there is nothing to do.
    pub fn end_turn(&mut self, actions: &mut Vec<Action>) {
        self.follow_leadership();
        self.propose_all();
        self.drive_consensus();
        self.follow_leadership();
        self.serve_stirred();
        self.end_waits();
        self.retry_parked();
        self.stage_more();
        self.expire();
        self.drive_handover();
        self.drive_membership();
        self.drive_recovery();
        // What the steps above proposed leaves in this turn too, so that a quiet node answers at once.
        if self.propose_all() {
            self.drive_consensus();
            self.serve_stirred();
        }
        self.repack();
        self.move_store();
        self.publish_role();
        self.note_stats();
        if cfg!(debug_assertions) && self.is_check_due() {
            assert_eq!(self.state.check_invariants(), Ok(()));
        }
        actions.append(&mut self.out);
    }

    /// Every turn while there is little to look at, and about 16 messages a turn from there on. Looking at 100,000
    /// messages in every turn would make elections take longer than their timeouts.
    fn is_check_due(&self) -> bool {
        let messages: u64 = self.state.queues().map(|queue| queue.depth()).sum();
        self.stats.turns.is_multiple_of(1 + messages / 16)
    }

    /// When a turn must begin even if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.consensus.next_deadline(), self.waiters.next_deadline(), self.members_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The replicated state, for digests and inspection.
    pub fn queue_manager(&self) -> &QueueManager {
        &self.state
    }

    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The time that goes into entries: never behind the log's own.
    fn wall(&self) -> WallTime {
        self.now.wall.max(self.state.at())
    }

    fn answer(&mut self, session: SessionId, token: Token, completion: Completion) {
        self.stats.calls_failed += u64::from(completion.is_failed());
        // A session that is gone is not answered.
        if self.sessions.get(session).is_some() {
            self.out.push(Action::Complete { session, token, completion });
        }
    }

    /// Gives closed batches to consensus; whether any went.
    fn propose_all(&mut self) -> bool {
        self.proposals.close();
        let mut any = false;
        while let Some(data) = self.proposals.next() {
            let bytes = data.len();
            match self.consensus.propose(data) {
                Ok(index) => {
                    any = true;
                    self.stats.entries_proposed += 1;
                    self.stats.log_bytes_proposed += bytes as u64;
                    self.proposals.taken(index);
                }
                // Not now: a transfer is under way, or too much is uncommitted. They stay where they are.
                Err(_) => break,
            }
        }
        any
    }

    fn drive_consensus(&mut self) {
        loop {
            let ready = self.consensus.ready();
            if let Some(mut write) = ready.write {
                write.queue_manager = self.options.queue_manager;
                let number = write.number;
                self.out.push(Action::Persist(write));
                if planted::is(Bug::AckBeforeSync) {
                    self.consensus.persisted(number);
                }
            }
            for (to, message) in ready.messages {
                let message = trimaran_proto::replica::v1::peer_message::Message::Raft(message);
                self.out.push(Action::Send { to, message });
            }
            for to in ready.snapshots_wanted {
                self.out.push(Action::SendSnapshot { to, term: self.consensus.term().0 });
            }
            if let Some(load) = ready.load {
                self.out.push(Action::LoadEntries {
                    request: load.request,
                    first: load.first,
                    until: load.until,
                    bytes_max: load.bytes_max,
                });
            }
            self.store_wanted |= ready.flush_wanted;
            if ready.committed.is_empty() {
                return;
            }
            self.apply_all(ready.committed);
        }
    }
}
