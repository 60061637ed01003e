//! One node's mind for one queue manager (L2): single owner of everything volatile, never waits.
//!
//! A *turn* is [`Replica::begin_turn`], [`Replica::handle`] for each event, [`Replica::end_turn`]. The parts
//! (`sessions`, `units`, `waiters`, `proposals`, `loads` and others) are plain structs that do their own bookkeeping only; this file and the
//! `impl Replica` blocks of the others, a story each, conduct them:
//!
//! ```text
//! admission      who is let in, and may do what
//! calls          a call arrives: answered at once, parked in its session, or given to its story; sessions take turns
//! handles        open, close, inquire
//! dynamic        queues that are made by an open, and go with who made them
//! leaving        what sessions leave whose clients are gone
//! puts           is there room, was it put before; into the log, into memory, or into the unit
//! repeats        a put that was put before
//! reports        what messages ask to be told of their fate
//! staging        large bodies and large units go ahead in parts
//! gets           which message it is, and what happens when there is none
//! withdrawals    waits where gets are not let in any more
//! delivery       messages on their way to those who get or browse them
//! commits        the end of a unit of work
//! endings        what takes longer than a turn of that
//! backout_queue  messages that were backed out too often move
//! expiry         messages whose time is over leave
//! defining       changes of definitions that are under way
//! administer     definitions, views of queues
//! system_objects what a queue manager has when nobody has defined anything
//! channels       who gets an instance of a channel, and who ends with it
//! applier        committed entries → queue manager → answers, wake-ups
//! leading        what only the leader has, as one value
//! leadership     follower → elected → serving; what happens when that ends
//! failovers      how this node came to serve, for the record
//! events         what administrators ask for is told on queues of events
//! depths         queues that are full, high or low are told of there
//! monitored      when queues were used last, and how long messages lie on them
//! trail          what administrators changed, as it is shown
//! canary         what canaries saw, into the log
//! placement      who should lead: moves, nodes in maintenance, the preferred node
//! maintenance    which nodes are in maintenance, and when that is refused
//! running        the queue manager is started and ended
//! compaction     how far the store and the log move
//! room           room on the disks: who takes puts, and who should lead
//! stalls         a disk that hangs: another node should lead
//! reach          clients do not reach this node: another one should lead
//! peers          what other nodes say, and what each is told
//! clocks         the time of the log, and whose clock is wrong
//! comparison     whether all copies are in the same state
//! history        a node that has what its leader does not have
//! recovery       a node that lost part of its log, or is new, earns its vote
//! members        membership changes, step by step
//! raising        the version that everybody speaks is raised
//! registering    which queue managers the cluster has
//! arranging      where they should be: addresses, preferred nodes, canaries
//! listeners      the listeners that are defined, for whoever opens ports
//! status         what administrators see
//! inspect        what judges see
//! holds          what must hold between all of these
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod event;
mod budget;
mod inbox;
mod inboxes;
mod outbox;
mod turn;
mod line;
mod sessions;
mod units;
mod free;
mod searches;
mod waiters;
mod withdrawals;
mod offers;
mod proposals;
mod protection;
mod loads;
mod instances;
mod channels;
mod listeners;
mod locks;
mod admission;
mod calls;
mod handles;
mod dynamic;
mod leaving;
mod puts;
mod repeats;
mod reports;
mod staging;
mod gets;
mod delivery;
mod commits;
mod endings;
mod backout_queue;
mod expiry;
mod defining;
mod administer;
mod system_objects;
mod registering;
mod arranging;
mod applier;
mod leading;
mod holdings;
mod leadership;
mod placement;
mod maintenance;
mod running;
mod compaction;
mod room;
mod reach;
mod stalls;
mod peers;
mod clocks;
mod comparison;
mod failovers;
mod depths;
mod monitored;
mod events;
mod refreshing;
mod trail;
mod canary;
mod history;
mod recovery;
mod members;
mod raising;
mod stats;
mod status;
mod inspect;
mod holds;

#[cfg(test)]
mod group_test;
#[cfg(test)]
mod replica_test;

pub use action::*;
pub use budget::Weight;
pub use event::*;
pub use inbox::*;
pub use inboxes::Inboxes;
pub use inspect::WaitView;
pub use outbox::{Backlog, Delivery, Outbox, OutboxSender, answer_bytes};
pub use placement::{FailBack, Placement};
pub use registering::{BeginsWith, may_be_deleted};
pub use stats::Stats;
pub use turn::TURN_WORK;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use trimaran_proto::admin::v1::moment::Step;
use trimaran_proto::replica::v1::Registered;

use self::history::Parting;
use crate::consensus::{self, Consensus, Majority, Recovered};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Applied, QueueManager, Retention};
use crate::types::definition::Definition;
use crate::types::planted::{self, Bug};
use crate::types::{
    Account, Instant, NodeId, Now, ObjectName, QueueManagerId, Reason, RoleView, SessionId, Speaks, Token,
    Version,
};
use applier::Applying;
use arranging::Arranging;
use clocks::ClockWatch;
use compaction::Compaction;
use comparison::Comparison;
use failovers::Witness;
use holdings::Holdings;
use leading::Standing;
use leaving::{Left, Remains};
use loads::{Loads, Residents};
use peers::Peers;
use reach::Reach;
use recovery::Recovery;
use registering::Registering;
use room::Room;
use sessions::Sessions;
use stalls::Stalls;
use turn::{SWEEP, Turn};

/// Enough for a unit of work that is on its way; a program that sleeps in one is not waited for.
const UNITS_WITHIN: Duration = Duration::from_secs(2);
/// Nodes that have lost each other dial again within a second.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(3);
const TENURE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Options {
    pub queue_manager: QueueManagerId,
    pub name: ObjectName,
    pub node: NodeId,
    /// What this program can read and write.
    pub speaks: Speaks,
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
    /// Units of work and messages that are not persistent take their memory from it.
    pub account: Arc<Account>,
    /// How much is remembered for programs that ask again; the same on every node of the group.
    pub retention: Retention,
    /// What new calls may do in a turn, and everything else by half as much; the rest comes in the next. In looks at a
    /// message (`turn.rs`).
    pub turn_work: u64,
    /// Whether a queue manager that has none of MQ's system and default objects gets them.
    pub system_objects: bool,
    /// Whether there are canaries, which want a queue of their own.
    pub canary: bool,
    /// Of the nodes' own queue manager: the records of those that this node's cluster file names. None for all others.
    pub register: Option<Arc<Vec<Registered>>>,
    /// Of the nodes' own: why no queue manager can have canaries, as a sentence; None where one can.
    pub no_canaries: Option<String>,
    /// A number that this node drew when its disk had nothing of it; 0: it did not.
    pub disk: u64,
    /// One that is new raises itself to the newest version that all of its nodes speak.
    pub raises_itself: bool,
    /// If it is new and has the system objects.
    pub begins_with: Option<BeginsWith>,
    /// How long after the end of a lease the floating address may still be there (`vip/policy.rs`). None when the queue
    /// manager has none.
    pub address_tail: Option<Duration>,
    /// How long a planned move waits to hear that the floating address is gone, where a program of the user's takes it away: nothing else
    /// does.
    pub address_goes_within: Duration,
    /// How long open units of work may go on before a planned move, unless whoever asks for it says how long.
    pub units_within: Duration,
    /// How long a leader that stops serves on where no other node could serve without it.
    pub successor_within: Duration,
    pub placement: Placement,
    /// A leader serves for so long at least before a fail-back.
    pub tenure: Duration,
}

impl Options {
    /// What these are unless a configuration says otherwise.
    pub const WINDOW_BYTES: usize = 32 << 20;
    pub const LOG_RETAIN_BYTES: usize = 128 << 20;

    pub fn new(queue_manager: QueueManagerId, name: ObjectName, consensus: consensus::Options) -> Options {
        Options {
            queue_manager,
            name,
            node: consensus.node,
            speaks: Speaks::RELEASE,
            consensus,
            window_bytes: Options::WINDOW_BYTES,
            resident_bytes_max: 64 << 20,
            log_retain_bytes: Options::LOG_RETAIN_BYTES,
            log_retain_present_bytes: 4 << 30,
            repack_from_bytes: 4 << 20,
            account: Account::new(1 << 40),
            retention: Retention::default(),
            turn_work: TURN_WORK,
            system_objects: false,
            canary: false,
            register: None,
            no_canaries: None,
            disk: 0,
            raises_itself: true,
            begins_with: None,
            address_tail: None,
            address_goes_within: Duration::ZERO,
            units_within: UNITS_WITHIN,
            successor_within: SUCCESSOR_WITHIN,
            placement: Placement::default(),
            tenure: TENURE,
        }
    }
}

/// One node's copy and mind of one queue manager.
pub struct Replica {
    options: Options,
    now: Now,
    /// What the group's clocks said when this turn began; None where this node does not lead, or does not know them yet.
    time: Option<Majority>,
    turn: Turn,
    /// The turn leaves something to the next that needs nothing else to happen first.
    is_not_done: bool,
    consensus: Consensus,
    state: QueueManager,
    standing: Standing,
    published: Option<RoleView>,
    listeners_published: Arc<Vec<Definition>>,
    version_published: Version,
    /// The next entry cannot be applied by this program. Nothing is, from there on; the process is about to end.
    is_stuck: bool,

    sessions: Sessions,
    /// What is left of sessions whose clients are gone.
    left: VecDeque<Left>,
    remains: Remains,
    loads: Loads,
    residents: Residents,
    holdings: Holdings,
    next_repack: Instant,

    peers: Peers,
    clocks: ClockWatch,
    comparison: Comparison,
    registering: Registering,
    arranging: Arranging,
    witness: Witness,
    parting: Parting,
    recovery: Recovery,
    compaction: Compaction,
    room: Room,
    stalls: Stalls,
    reach: Reach,
    /// The node is stopping.
    draining: bool,
    /// While it does, open units of work may go on until then.
    drain_units_until: Instant,
    successor_until: Instant,
    /// Who was asked last to take over and did not, and when that was clear.
    let_down: Option<(NodeId, Instant)>,
    /// Until then this node may have the floating address.
    address_until: Instant,
    /// A planned move waits until then for the address, unless it is said to be gone.
    address_awaited: Instant,
    /// The node was removed from the group.
    removed: bool,

    /// A peer waits for a snapshot that is newer than what the store has.
    store_wanted: bool,
    leader_known: Option<NodeId>,
    next_stats: Instant,
    noted_stats: Instant,
    stats: Stats,
    applying: Applying,
    /// Turns in which sessions whose calls wait had theirs.
    rounds: u64,
    /// What the command that is being applied did; kept for its memory.
    applied: Applied,
    out: Vec<Action>,
}

impl Replica {
    /// `recovered` and `state` come from the same stores. `seed` decides election timeouts and nothing else.
    pub fn new(options: Options, recovered: Recovered, mut state: QueueManager, seed: u64) -> Replica {
        assert_eq!(state.id(), options.queue_manager, "a mind has the state of its own queue manager");
        assert_eq!(*state.name(), options.name, "a queue manager has the name that it is told");
        state.set_retention(options.retention);
        let consensus_options = consensus::Options { seed, ..options.consensus.clone() };
        let mut consensus = Consensus::new(consensus_options, &recovered);
        // What the store does not have is in memory: a snapshot that comes late is brought up to date with it.
        consensus.keep_behind(recovered.snapshot.index);
        let recovery = Recovery::new(&recovered, options.node);
        let compaction = Compaction::new(recovered.snapshot.clone(), &options);
        let was_removed = recovered.snapshot.membership.removed.contains(&options.node);
        let residents = Residents::new(options.resident_bytes_max);
        let holdings = Holdings::new(&options.account);
        let mut replica = Replica {
            turn: Turn::new(options.turn_work),
            is_not_done: false,
            options,
            now: Now::default(),
            time: None,
            consensus,
            version_published: state.version(),
            state,
            standing: Standing::Following,
            published: None,
            listeners_published: Arc::default(),
            is_stuck: false,
            sessions: Sessions::default(),
            left: VecDeque::new(),
            remains: Remains::default(),
            loads: Loads::default(),
            residents,
            holdings,
            next_repack: Instant(0),
            peers: Peers::default(),
            clocks: ClockWatch::default(),
            comparison: Comparison::default(),
            registering: Registering::new(&recovered.entries),
            arranging: Arranging::new(&recovered.entries),
            witness: Witness::default(),
            parting: Parting::default(),
            recovery,
            compaction,
            room: Room::default(),
            stalls: Stalls::default(),
            reach: Reach::default(),
            draining: false,
            drain_units_until: Instant(0),
            successor_until: Instant(0),
            let_down: None,
            address_until: Instant(0),
            address_awaited: Instant(0),
            removed: false,
            store_wanted: false,
            leader_known: None,
            next_stats: Instant(0),
            noted_stats: Instant(0),
            stats: Stats::default(),
            applying: Applying::default(),
            rounds: 0,
            applied: Applied::default(),
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
        debug_assert!(now.instant >= self.now.instant, "turns come one after the other");
        self.witness.begin_turn(self.now.instant, now.instant);
        self.now = now;
        self.turn.begin();
        self.is_not_done = false;
        self.stats.turns += 1;
        self.consensus.advance_time(now);
        self.time = self.consensus.time();
        self.follow_leadership();
    }

    pub fn handle(&mut self, event: Event) {
        self.stats.events += 1;
        match event {
            Event::Call { session, token, call } => self.on_call(session, token, call),
            Event::Connect { session, connect } => self.on_connect(session, connect),
            Event::SessionClosed { session } => self.on_session_closed(session),
            Event::Peer { from, message } => self.on_peer_message(from, message),
            Event::PeerConnected { node } => self.on_peer_connected(node),
            Event::PeerLost { node } => self.on_peer_lost(node),
            Event::PeerGone { node } => self.on_peer_gone(node),
            Event::PeerTooOld { node, speaks } => self.peers.on_too_old(node, speaks),
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
            Event::RemovedSays { node } => self.on_removed_said(node, true),
            Event::Disk { room } => self.on_disk(room),
            Event::AddressGone { deadline } => self.on_address_gone(deadline),
            Event::AddressHere { taken, announced } => {
                self.note_moment(Step::Address, taken);
                self.note_moment(Step::Announced, announced);
            }
            Event::Interface { is_up } => self.on_interface(is_up),
            Event::CanaryGood { silent } => self.on_canary_good(silent),
            Event::Arranged { placement, canary } => self.on_arranged(placement, canary),
            Event::AddressAgent(agent) => self.on_address_agent(*agent),
            Event::RegisterFollowed { revision } => self.on_register_followed(revision),
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
        self.end_withdrawn();
        self.serve_stirred();
        self.end_waits();
        self.take_turns();
        self.take_away_more();
        self.stage_more();
        self.undo_more();
        self.expire();
        self.drive_room();
        self.drive_stalls();
        self.drive_reach();
        self.drive_placement();
        self.define_system_objects();
        self.register_of_file();
        self.end_stopped_channels();
        self.delete_doomed();
        self.drive_running();
        self.drive_handover();
        self.drive_membership();
        self.drive_raising();
        self.drive_recovery();
        self.drive_comparison();
        self.drive_failovers();
        self.drive_canary();
        self.drive_depths();
        self.watch_clocks();
        self.note_parted();
        // What the steps above proposed leaves in this turn too, so that a quiet node answers at once.
        if self.propose_all() {
            self.drive_consensus();
            self.end_withdrawn();
            self.serve_stirred();
        }
        self.note_stirred();
        self.repack();
        self.move_store();
        self.sweep();
        self.publish_listeners();
        self.publish_register();
        self.publish_role();
        self.follow_version();
        self.stats.turn_work_max = self.stats.turn_work_max.max(self.turn.done() + self.turn.applied());
        self.note_stats();
        debug_assert!(
            self.compaction.flushed_index() <= self.consensus.applied_index(),
            "the store has what was applied"
        );
        if cfg!(debug_assertions) && self.is_check_due() {
            assert_eq!(self.state.check_invariants(), Ok(()));
            self.assert_holds();
        }
        actions.append(&mut self.out);
    }

    /// Every turn while there is little to look at, and about 16 messages, sessions or definitions a turn from there on. Looking at
    /// 100,000 messages in every turn would make elections take longer than their timeouts.
    fn is_check_due(&self) -> bool {
        const DEFINITION_BYTES: u64 = 256;
        let definitions = self.state.catalog().weight() / DEFINITION_BYTES;
        let things = self.state.sums().messages + self.sessions.by_id.len() as u64 + definitions;
        self.stats.turns.is_multiple_of(1 + things / 16)
    }

    /// When a turn must begin even if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waits = self.standing.leading().and_then(|leading| leading.waiters.next_deadline());
        let now = self.is_not_done.then_some(self.now.instant);
        let own = [now, waits, self.members_deadline(), self.raising_deadline(), self.expiry_deadline()];
        let own = own.into_iter().chain([self.farewell_deadline()]);
        own.into_iter().chain([self.consensus.next_deadline()]).flatten().min()
    }

    /// Whether the next turn has something to do even if nothing happens before.
    pub fn is_not_done(&self) -> bool {
        self.is_not_done
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How much processor time the turn took that has just ended: what is counted stands for it, and this says how well.
    pub fn note_turn_cpu(&mut self, us: u64) {
        self.stats.turn_cpu_us_max = self.stats.turn_cpu_us_max.max(us);
    }

    /// The replicated state, for digests and inspection.
    pub fn queue_manager(&self) -> &QueueManager {
        &self.state
    }

    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    fn answer(&mut self, session: SessionId, token: Token, completion: Completion) {
        self.stats.calls_failed += u64::from(completion.is_failed());
        self.stats.gets_failed += u64::from(is_failed_get(&completion));
        // A session that is gone is not answered.
        if let Some(state) = self.sessions.get_mut(session) {
            if completion.is_failed() {
                state.end_get(token, true);
            }
            self.out.push(Action::Complete { session, token, completion });
        }
    }

    /// What somebody should read.
    fn report(&mut self, sentence: String) {
        self.out.push(Action::Report { sentence });
    }

    /// Gives closed batches to consensus; whether any went.
    fn propose_all(&mut self) -> bool {
        let Some(leading) = self.standing.leading_mut() else { return false };
        leading.proposals.close();
        let mut any = false;
        while let Some(data) = leading.proposals.next() {
            let bytes = data.len();
            match self.consensus.propose(data) {
                Ok(index) => {
                    any = true;
                    self.stats.entries_proposed += 1;
                    self.stats.log_bytes_proposed += bytes as u64;
                    leading.proposals.taken(index);
                    debug_assert_eq!(
                        self.consensus.term_at(index),
                        Some(leading.term),
                        "an entry is of the term in which its leader leads"
                    );
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
            self.applying.add(ready.committed);
            if !self.apply_some() {
                return;
            }
        }
    }

    /// Memory of queues that were cleared or deleted comes back, and of leaderships that were lost.
    fn sweep(&mut self) {
        const PIECE: usize = 256;
        self.turn.next_phase();
        self.is_not_done |= !self.remains.sweep(&mut self.turn);
        while self.state.sweep(PIECE) {
            if !self.turn.may(SWEEP * PIECE as u64) {
                self.is_not_done = true;
                return;
            }
        }
    }
}

/// Reasons that only a get fails with. What a session is told otherwise fails its other calls as well.
fn is_failed_get(completion: &Completion) -> bool {
    const OF_GETS: [Reason; 6] = [
        Reason::NoMsgAvailable,
        Reason::NoMsgUnderCursor,
        Reason::TruncatedMsgFailed,
        Reason::GetInhibited,
        Reason::NotOpenForInput,
        Reason::NotOpenForBrowse,
    ];
    debug_assert!(!OF_GETS.contains(&Reason::None), "a get that is answered well has not failed");
    // A message that may not be read ahead is asked for again.
    !matches!(completion.data, Data::NotAhead) && OF_GETS.contains(&completion.reason)
}
