//! Raft in our words; raft-rs is inside and its types stay here (L1).
//!
//! `Consensus` owns term, vote, log positions, membership and the leader's lease of one queue manager on one node.
//! It does nothing by itself: a turn of the replica tells it the time, what arrived and what to propose, and `ready`
//! says what is to be done now. What entries mean is not its business.
//!
//! Things raft-rs 0.7 leaves to its user, and where they are kept here:
//! * entries are readable ([`tail`]) before raft-rs hears that they are being written (`take_ready`);
//! * `RawNode::advance` is never called: applied moves on its own, after changes of membership (`move_applied`);
//! * votes, terms and acknowledged entries leave the node only after they are on disk (`held`);
//! * a new leader that finds a joint configuration leaves it (`leave_joint`), a leader that was removed steps down;
//! * election timeouts come from the seed (`settle`, [`timeouts`]);
//! * nothing a peer can send stops the process ([`convert`], `admit`);
//! * a leader that lacks what is committed here is not followed ([`history`]);
//! * the lease is our own ([`lease`] has the argument), and heartbeats carry clocks as well ([`clocks`]).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod entry;
mod meta;
mod tail;
mod convert;
mod membership;
mod lease;
mod clocks;
mod history;
mod timeouts;
mod elections;
mod ready;
mod questions;

#[cfg(test)]
mod cluster_test;
#[cfg(test)]
mod scenario_test;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use raft::eraftpb::{self, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};
use trimaran_proto::replica::v1::{MembershipChange, RaftMessage};

use self::clocks::Clocks;
use self::history::Compared;
use self::lease::{Lease, Promise};
use self::tail::Tail;
use self::timeouts::{Ticks, Timing, draw};
use crate::types::{
    Index, Instant, Membership, NodeId, Now, QueueManagerId, RequestId, SnapshotMeta, Term, TermStarts,
    WallTime, WriteNumber,
};

pub use clocks::Majority;
pub use entry::*;
pub use history::Parted;
pub use meta::{
    membership_from_wire, membership_to_wire, meta_from_wire, meta_to_wire, terms_from_wire, terms_to_wire,
};

/// How raft-rs marks the candidacy of a node that was asked to take over.
const HANDED_OVER: &[u8] = b"CampaignTransfer";

/// A commit index that no entry came behind is written by itself after so long.
const COMMIT_QUIET: Duration = Duration::from_millis(100);

/// For how many election timeouts a node in maintenance leaves it to the others to stand for election.
const RELUCTANCE: u32 = 4;

/// For how long a node whose damaged log was accepted repeats its request for the votes of the others.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub node: NodeId,
    /// Every wait that wants chance is drawn from it: same seed, same run.
    pub seed: u64,
    pub heartbeat: Duration,
    /// How long a follower waits at least for its leader before it stands for election. The lease is a little less.
    pub election: Duration,
    /// The wait is longer by up to this much, drawn anew each time: enough that two followers seldom stand at once, and little enough that
    /// a leader that hangs is replaced within 1.6 s.
    pub election_spread: Duration,
    /// The step in which the three above are counted.
    pub tick: Duration,
    /// How much faster one node's clock may run than another's.
    pub lease_drift_percent: u32,
    /// A follower stands for election within this time after its leader's process is known to be dead, and again within
    /// twice this time after a vote was refused.
    pub gone_spread: Duration,
    /// Applied and written entries leave memory beyond this.
    pub tail_bytes_max: usize,
    /// At a start a follower stands for election so much later: where several nodes start at once, another one leads.
    pub start_delay: Duration,
    /// The group begins now, here and elsewhere: no leader is waited for.
    pub is_new_group: bool,
    /// Entries of one message to a peer.
    pub message_bytes_max: usize,
    /// Messages with entries on their way to one peer. When it is reached, the next one carries what gathered.
    pub messages_in_flight_max: usize,
    /// Proposals that are not committed yet; more are refused as busy.
    pub uncommitted_bytes_max: usize,
    /// Old entries read back from the log at a time, for a peer that lags.
    pub load_bytes_max: usize,
    /// A transfer of leadership begins only when the other node lacks at most so many entries.
    pub transfer_lag_max: u64,
}

impl Options {
    /// How long a lease is good after the round of heartbeats that confirmed it.
    pub fn lease(&self) -> Duration {
        Lease::length(self.election, self.lease_drift_percent)
    }

    /// How long a leader waits for whoever it asked to take over: one that was there a moment ago stands at once, which is a write on its
    /// disk and two ways over the network.
    pub fn takes_over_within(&self) -> Duration {
        self.election / 3
    }
}

impl Options {
    /// What these are unless a configuration says otherwise.
    pub const HEARTBEAT: Duration = Duration::from_millis(100);
    pub const ELECTION: Duration = Duration::from_millis(1250);
}

impl Default for Options {
    fn default() -> Options {
        Options {
            node: NodeId(0),
            seed: 0,
            heartbeat: Options::HEARTBEAT,
            election: Options::ELECTION,
            election_spread: Duration::from_millis(250),
            tick: Duration::from_millis(50),
            lease_drift_percent: 10,
            gone_spread: Duration::from_millis(150),
            start_delay: Duration::ZERO,
            is_new_group: false,
            tail_bytes_max: 64 * 1024 * 1024,
            message_bytes_max: 1024 * 1024,
            messages_in_flight_max: 64,
            uncommitted_bytes_max: 64 * 1024 * 1024,
            load_bytes_max: 4 * 1024 * 1024,
            transfer_lag_max: 64,
        }
    }
}

/// Why a proposal was not appended. Nothing of it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProposed {
    #[error("this node does not lead")]
    NotLeader,
    #[error("leadership is being handed over")]
    Transferring,
    #[error("too much is proposed and not committed yet, or another change of membership is under way")]
    Busy,
    #[error("{why}")]
    Refused { why: &'static str },
}

/// Everything there is to do now. Carry it out, then call `applied`; the rest answers by itself.
#[derive(Debug, Default)]
pub struct Ready {
    /// Answered by `persisted`. Several may be on their way, in order.
    pub write: Option<LogWrite>,
    pub messages: Vec<(NodeId, RaftMessage)>,
    /// To be applied in order, without gaps. Entries of kind `Membership` go through `apply_membership`.
    pub committed: Vec<Entry>,
    /// Peers that need more than the log has; each answered by `snapshot_sent`.
    pub snapshots_wanted: Vec<NodeId>,
    /// Answered by `entries_loaded`.
    pub load: Option<LoadEntries>,
    /// Term, leader or own role are not what they were at the last `ready`.
    pub role_changed: bool,
    /// A member waits for a snapshot that knows of its membership: flush the message store soon, then `store_snapshot`.
    pub flush_wanted: bool,
}

/// Old entries that a peer needs: from the log on disk, `first` to before `until`, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadEntries {
    pub request: RequestId,
    pub first: Index,
    pub until: Index,
    pub bytes_max: usize,
}

/// What the leader knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    pub node: NodeId,
    pub voter: bool,
    /// On its disk up to here, as far as it told this leader.
    pub matched: Index,
    /// It answered within the last election timeout, and its process is not known to be dead.
    pub active: bool,
    /// A snapshot is on its way to it.
    pub snapshot: bool,
    /// What it will ask for next lies behind this entry.
    pub wants_behind: Index,
    /// What it knows to be committed, as far as it told this leader.
    pub commit: Index,
    /// Entries it lacks.
    pub lag: u64,
    /// From a heartbeat to its answer, averaged over the last few, both nodes' turns included; None before the first.
    pub round_trip: Option<Duration>,
}

pub struct Consensus {
    options: Options,
    timing: Timing,
    queue_manager: QueueManagerId,
    raw: RawNode<Tail>,
    /// As of the last applied change.
    membership: Membership,

    /// The time of this turn; None before the first.
    now: Option<Instant>,
    wall: WallTime,
    ticks: Ticks,
    lease: Lease,
    clocks: Clocks,
    promise: Option<Promise>,
    /// Never had part in anything: no promise to keep after the start.
    fresh: bool,
    since_start: Duration,
    /// Voters whose processes are dead, until they are heard again.
    gone: BTreeSet<NodeId>,
    /// When each of them answered this node last, in the present term, as its leader.
    heard: BTreeMap<NodeId, Instant>,
    /// When to stand for election without waiting for a timeout, and until when to repeat it: the leader is gone, what was
    /// promised before the start has ended, or a vote was refused.
    campaign: Option<(Instant, Instant)>,
    /// Somebody refused a vote since this role began.
    refused: bool,
    recovering: bool,
    /// A recovering node votes for this one all the same, if for anybody: somebody decided that its log is the best.
    trusted: Option<NodeId>,
    /// The leader of this term, or of an earlier one, does not have what is committed here.
    parted: Option<Parted>,
    /// Of all that was handed out as committed.
    terms: TermStarts,
    /// Of whom this leader knows that they have another history, or another state.
    excluded: BTreeSet<NodeId>,
    /// Stopping, or removed: votes and follows, and stands for nothing any more.
    withdrawn: bool,
    /// In maintenance: another node should lead.
    reluctant: bool,
    /// Since when it would have stood for election if it were not reluctant, and no leader was heard.
    held_back_since: Option<Instant>,
    /// How far appends of this term's leader have confirmed our log: (term, index). What a recovering node believes.
    confirmed: (u64, u64),
    keep_behind: Index,
    /// The highest round of heartbeats seen: (term, round).
    round_seen: (u64, u64),
    transferring: Option<NodeId>,

    /// (term, role) at the end of the last step, how often it changed, and the election timeout drawn for it.
    role: (u64, StateRole),
    role_changes: u64,
    timeout: usize,
    /// (term, leader, role) at the last `ready`.
    reported: (u64, u64, StateRole),

    ready_number: u64,
    write_number: u64,
    persisted: u64,
    /// The commit index in the newest write.
    commit_written: u64,
    /// The commit index as it was seen last, and when it was seen first.
    commit_seen: (u64, Instant),
    /// The last write with a new term or vote.
    vote_write: u64,
    vote_written: (u64, u64),
    /// Messages that say what these writes make true.
    held: VecDeque<(u64, Vec<(NodeId, RaftMessage)>)>,
    released: Vec<(NodeId, RaftMessage)>,
    /// What the replica's state is at.
    applied: u64,
    /// Handed out to be applied up to here.
    emitted: u64,
    /// The replica's state came from a snapshot while the log reaches over it: entries up to here are not handed out.
    skip_upto: u64,
    requests: u64,
}

impl Consensus {
    /// Starts from what the disks gave back: its entries go to the tail, applied is the snapshot's index. A snapshot
    /// at index 0 without members makes a node that waits to be added and sent a snapshot.
    pub fn new(options: Options, recovered: &Recovered) -> Consensus {
        assert!(options.node.0 != 0, "node ids begin at 1");
        let timing = Timing::new(&options);
        let snapshot = &recovered.snapshot;
        let entries: Vec<eraftpb::Entry> = recovered.entries.iter().map(convert::entry_in).collect();
        let last = entries.last().map_or(snapshot.index.0, |entry| entry.index);
        let last_term = entries.last().map_or(snapshot.term.0, |entry| entry.term);

        let mut hard_state = eraftpb::HardState::default();
        // A term that is in the log was reached, whatever the hard state says. Term 0 means "not from a peer" to
        // raft-rs, so nobody stays there.
        hard_state.term = recovered.hard_state.term.0.max(last_term).max(1);
        if hard_state.term == recovered.hard_state.term.0 {
            hard_state.vote = recovered.hard_state.vote.map_or(0, |node| node.0);
        }
        hard_state.commit = recovered.hard_state.commit.0.clamp(snapshot.index.0, last);
        let vote_written = (recovered.hard_state.term.0, recovered.hard_state.vote.map_or(0, |node| node.0));
        // A store that is as far as the log, in a term in which this node did not vote, is no sign of it: it may have followed.
        let fresh = entries.is_empty()
            && recovered.hard_state.vote.is_none()
            && recovered.hard_state.term.max(snapshot.term) <= Term(1);

        let config = raft::Config {
            id: options.node.0,
            election_tick: timing.election,
            heartbeat_tick: timing.heartbeat,
            min_election_tick: timing.election,
            max_election_tick: timing.candidacy + timing.spread,
            applied: snapshot.index.0,
            max_size_per_msg: options.message_bytes_max as u64,
            max_inflight_msgs: options.messages_in_flight_max.max(1),
            max_uncommitted_size: options.uncommitted_bytes_max.max(options.message_bytes_max) as u64,
            check_quorum: true,
            pre_vote: true,
            // The commit index travels with the next append or heartbeat; only the leader waits for it.
            skip_bcast_commit: true,
            ..raft::Config::default()
        };
        assert!(hard_state.term >= last_term, "a term that is in the log was reached");
        assert!(hard_state.commit <= last, "what is committed here is in the log here");
        let commit = hard_state.commit;
        let role = (hard_state.term, StateRole::Follower);
        let tail = Tail::new(hard_state, snapshot.clone(), entries, options.load_bytes_max);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, tail, &logger).expect("the configuration was made above");
        let mut consensus = Consensus {
            timing,
            queue_manager: snapshot.queue_manager,
            raw,
            membership: snapshot.membership.clone(),
            now: None,
            wall: WallTime(0),
            ticks: Ticks::new(options.tick, timing),
            lease: Lease::new(options.election, options.lease_drift_percent),
            clocks: Clocks::default(),
            promise: None,
            fresh,
            since_start: recovered.since_start,
            gone: BTreeSet::new(),
            heard: BTreeMap::new(),
            campaign: None,
            refused: false,
            recovering: recovered.recovering,
            trusted: None,
            parted: recovered.parted,
            terms: with_its_last(snapshot),
            excluded: BTreeSet::new(),
            withdrawn: false,
            reluctant: false,
            held_back_since: None,
            confirmed: (0, 0),
            keep_behind: Index(u64::MAX),
            round_seen: (0, 0),
            transferring: None,
            role,
            role_changes: 0,
            timeout: 0,
            reported: (role.0, 0, role.1),
            ready_number: 0,
            write_number: 0,
            commit_written: commit,
            commit_seen: (commit, Instant::default()),
            persisted: 0,
            vote_write: 0,
            vote_written,
            held: VecDeque::new(),
            released: Vec::new(),
            applied: snapshot.index.0,
            emitted: snapshot.index.0,
            skip_upto: 0,
            requests: 0,
            options,
        };
        consensus.timeout = consensus.draw_timeout();
        consensus.settle();
        consensus
    }

    // ---- time -------------------------------------------------------------------------------------------------

    /// Begins a turn. Elapsed time becomes ticks before anything else is handled, so a process that was paused first
    /// learns that it does not lead any more. Read the clock after taking the turn's events from the inbox.
    pub fn advance_time(&mut self, now: Now) {
        self.wall = now.wall;
        let now = now.instant;
        if self.now.is_none() {
            self.ticks.start(now);
            if !self.fresh {
                let term = self.raw.raft.term;
                let until = now + self.options.election.saturating_sub(self.since_start);
                self.promise = Some(Promise { to: None, term, until });
                // After that nobody leads who is not heard of: a cluster that was started as a whole need not wait for
                // each other's election timeouts as well.
                self.campaign = Some((until + self.start_delay(), until + self.options.election));
            } else if self.options.is_new_group && !self.recovering {
                self.campaign = Some((now + self.start_delay(), now + self.options.election));
            }
        }
        self.now = Some(self.now.map_or(now, |before| before.max(now)));
        for _ in 0..self.ticks.owed(now) {
            self.tick();
        }
        if self.campaign.is_some_and(|(at, _)| at <= now) {
            self.campaign_again(now);
        }
        if self.lease.disarming_since().is_some_and(|since| now.since(since) > self.options.election) {
            self.step_down();
        }
        self.settle();
    }

    fn tick(&mut self) {
        let raft = &self.raw.raft;
        let leads = raft.state == StateRole::Leader;
        let due = raft.election_elapsed + 1 >= raft.randomized_election_timeout();
        // A node that may not stand, or whose log is not on disk yet, waits at the brink.
        if !leads && due && (self.may_not_vote() || self.withdrawn || !self.log_is_on_disk()) {
            return;
        }
        if !leads && due && self.reluctant {
            self.held_back_since = self.held_back_since.or(self.now);
            if self.holds_back() {
                return;
            }
        }
        self.raw.tick();
        self.settle();
    }

    /// The next moment at which `advance_time` has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.now?;
        let next = self.ticks.next();
        Some(self.campaign.map_or(next, |(at, _)| at.min(next)))
    }

    // ---- what arrives -----------------------------------------------------------------------------------------

    /// A message of a peer. What is malformed, damaged, stale or for somebody else is dropped.
    pub fn step(&mut self, from: NodeId, message: RaftMessage) {
        let Some(mut message) = convert::message_in(from, self.options.node, message) else { return };
        let leads = matches!(message.msg_type, MessageType::MsgAppend | MessageType::MsgHeartbeat);
        // What was still on its way from a leader whose process is dead: nobody leads in that term any more.
        if leads && self.gone.contains(&from) && message.term <= self.raw.raft.term {
            return;
        }
        self.gone.remove(&from);
        if !self.admit(from, &mut message) {
            return;
        }
        let mut compared = None;
        if message.msg_type == MessageType::MsgAppend && message.term >= self.raw.raft.term {
            match self.check_history(from, &message) {
                Compared::Upto(upto) => compared = Some(upto),
                Compared::Parted => return self.raise_term(Term(message.term)),
            }
        }
        let answers =
            matches!(message.msg_type, MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse);
        if answers && message.term == self.raw.raft.term {
            self.heard.insert(from, self.now.unwrap_or_default());
        }
        let term = message.term;
        let round = match message.msg_type {
            MessageType::MsgHeartbeat => convert::round_in(&message.context),
            _ => None,
        };
        let confirms = match message.msg_type {
            // Below the commit index raft-rs does not look at the entries.
            MessageType::MsgAppend if message.index >= self.raw.raft.raft_log.committed => {
                Some((message.index, message.log_term, message.entries.len() as u64))
            }
            _ => None,
        };
        let refused = message.reject
            && matches!(
                message.msg_type,
                MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse
            );
        let stood = self.stands();
        let below = message.index < self.raw.raft.raft_log.committed;
        // raft-rs answers every way in which a message can be out of date; there is no error to handle.
        let _ = self.raw.step(message);
        if let Some(upto) = compared.filter(|_| below) {
            self.answer_what_was_compared(from, upto);
        }
        if refused && stood {
            self.on_vote_refused();
        }

        let raft = &self.raw.raft;
        if leads && raft.term == term && raft.leader_id == from.0 && raft.state == StateRole::Follower {
            let until = self.now.unwrap_or_default() + self.options.election;
            self.promise = Some(Promise { to: Some(from), term, until });
            self.campaign = None;
            self.held_back_since = None;
            if let Some(round) = round {
                self.round_seen = self.round_seen.max((term, round));
            }
            if let Some((index, log_term, count)) = confirms
                && raft.raft_log.match_term(index, log_term)
                && index + count <= raft.raft_log.last_index()
            {
                self.confirmed = self.confirmed.max((term, index + count));
            }
        }
        self.settle();
    }

    /// Keeps from raft-rs what would break a promise, or what it holds for impossible.
    fn admit(&mut self, from: NodeId, message: &mut eraftpb::Message) -> bool {
        let raft = &self.raw.raft;
        match message.msg_type {
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => {
                let handed_over = message.context == HANDED_OVER;
                let Some(now) = self.now else { return false };
                let forbidden = self.promise.is_some_and(|promise| {
                    let (me, members) = (self.options.node, &self.membership);
                    promise.forbids(from, message.term, handed_over, me, members, &self.gone, now)
                });
                let may_vote = !self.may_not_vote() || self.trusted == Some(from);
                may_vote && !forbidden && !self.membership.removed.contains(&from)
            }
            MessageType::MsgTimeoutNow => {
                // Only the leader we know, heard of lately, and not an order from before its newest heartbeats.
                let round = convert::round_in(&message.context).unwrap_or(0);
                let now = self.now.unwrap_or_default();
                let lately = self.promise.is_some_and(|p| p.to == Some(from) && now < p.until);
                let current = message.term == raft.term && raft.leader_id == from.0;
                let heard = self.round_seen.0 < message.term || round >= self.round_seen.1;
                !self.may_not_vote() && !self.withdrawn && lately && current && heard && self.log_is_on_disk()
            }
            MessageType::MsgHeartbeat => {
                // The leader says how far it knows our log to be equal to its own and committed. A log that lost its
                // end may be shorter, or hold older entries again: it believes only what this term's appends confirm.
                let equal = match self.recovering {
                    true if self.confirmed.0 == message.term => self.confirmed.1,
                    true => 0,
                    false if self.parted.is_some() => 0,
                    false => raft.raft_log.last_index(),
                };
                if message.commit > equal {
                    message.commit = if self.recovering { equal } else { 0 };
                }
                true
            }
            MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse
                if self.excluded.contains(&from) =>
            {
                false
            }
            MessageType::MsgAppendResponse => {
                let beyond = message.index > raft.raft_log.last_index() && !message.reject;
                raft.state != StateRole::Leader || message.term != raft.term || !beyond
            }
            MessageType::MsgHeartbeatResponse => {
                let answer = convert::answer_in(&std::mem::take(&mut message.context));
                if raft.state == StateRole::Leader
                    && message.term == raft.term
                    && let Some((round, wall)) = answer
                    && let Some(asked) = self.lease.on_answer(from, round)
                {
                    let now = self.now.unwrap_or_default();
                    self.clocks.hear(from, wall, asked, now);
                    self.lease.note_round_trip(from, now.since(asked));
                }
                true
            }
            _ => true,
        }
    }

    /// This write and all before it are on disk.
    pub fn persisted(&mut self, write: WriteNumber) {
        assert!(write.0 <= self.write_number, "write {write} was never asked for");
        if write.0 <= self.persisted {
            return;
        }
        assert!(self.persisted < self.write_number, "only what is not on disk yet gets there");
        self.persisted = write.0;
        // Readies behind the last write had nothing to write.
        let number = if write.0 == self.write_number { self.ready_number } else { write.0 };
        self.raw.on_persist_ready(number);
        while self.held.front().is_some_and(|(needs, _)| *needs <= self.persisted) {
            let (_, messages) = self.held.pop_front().expect("seen above");
            self.released.extend(messages);
        }
        debug_assert!(
            self.held.iter().all(|(needs, _)| *needs > self.persisted),
            "what waits for a write waits for one that is under way"
        );
        self.move_applied();
        self.settle();
    }

    /// The process of `node` answers, again or still.
    pub fn on_peer_connected(&mut self, node: NodeId) {
        self.gone.remove(&node);
    }

    /// The process of `node` is dead: its connection closed and its port refuses new ones. If it led, nobody owes it
    /// anything any more, and an election begins at once.
    pub fn on_peer_gone(&mut self, node: NodeId) {
        self.gone.insert(node);
        self.heard.remove(&node);
        if self.transferring == Some(node) {
            self.raw.raft.abort_leader_transfer();
            self.settle();
        }
        self.lease.on_peer_gone(node);
        if self.raw.raft.state == StateRole::Leader {
            self.raw.report_unreachable(node.0);
            return;
        }
        if self.promise.is_some_and(|promise| promise.to == Some(node)) {
            self.promise = None;
        }
        let led = self.raw.raft.leader_id == node.0;
        if led {
            self.raw.raft.leader_id = 0;
        }
        if let Some(now) = self.now
            && (led || (self.raw.raft.leader_id == 0 && self.campaign.is_none()))
        {
            self.campaign = Some((now + self.campaign_delay(), now + self.options.election));
        }
        self.settle();
    }

    // ---- proposals --------------------------------------------------------------------------------------------

    /// Appends an entry to the own log and says where. Whether it will be committed there is for `Ready::committed`
    /// to say: a later leader may put another entry of another term in its place.
    pub fn propose(&mut self, data: Bytes) -> Result<Index, NotProposed> {
        self.propose_entry(EntryKind::Normal, data)
    }

    /// Begins a change of membership by joint consensus. The second half follows by itself when the first is applied.
    pub fn propose_membership(&mut self, change: MembershipChange) -> Result<Index, NotProposed> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return Err(NotProposed::NotLeader);
        }
        if raft.has_pending_conf() || !self.membership.voters_outgoing.is_empty() {
            return Err(NotProposed::Busy);
        }
        if let Some(why) = membership::refuse(&self.membership, &change) {
            return Err(NotProposed::Refused { why });
        }
        let data = membership::encode(&change);
        let decoded = membership::decode(&data);
        let changer = raft::Changer::new(raft.prs());
        if decoded.is_none_or(|(change, _)| changer.enter_joint(true, change.get_changes()).is_err()) {
            return Err(NotProposed::Refused { why: "the change leaves no voter" });
        }
        self.propose_entry(EntryKind::Membership, data)
    }

    fn propose_entry(&mut self, kind: EntryKind, data: Bytes) -> Result<Index, NotProposed> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader || !raft.promotable() {
            return Err(NotProposed::NotLeader);
        }
        if raft.lead_transferee.is_some() {
            return Err(NotProposed::Transferring);
        }
        let message = eraftpb::Message {
            msg_type: MessageType::MsgPropose,
            from: self.options.node.0,
            entries: vec![convert::new_entry(kind, data)].into(),
            ..Default::default()
        };
        let before = self.last_index();
        match self.raw.step(message) {
            Ok(()) => {
                assert_eq!(self.last_index(), before.next(), "a proposal is one entry");
                Ok(self.last_index())
            }
            Err(_) => Err(NotProposed::Busy),
        }
    }

    /// raft-rs leaves a joint configuration when the leader who entered it applies it. If that leader lost its role
    /// in between, its successor does it here.
    fn leave_joint(&mut self) {
        let raft = &self.raw.raft;
        if raft.state == StateRole::Leader
            && !self.membership.voters_outgoing.is_empty()
            && !raft.has_pending_conf()
            && raft.lead_transferee.is_none()
        {
            let _ = self.propose_entry(EntryKind::Membership, Bytes::new());
        }
    }

    // ---- applying ---------------------------------------------------------------------------------------------

    /// A snapshot that was just installed has what the entry says, our membership too: raft-rs has only the log's, unless
    /// the log was given up for the snapshot.
    pub fn skip(&mut self, entry: &Entry) {
        debug_assert!(entry.index.0 <= self.skip_upto, "only what a snapshot has is skipped");
        if entry.kind == EntryKind::Membership
            && self.raw.raft.snap().is_none()
            && let Some((theirs, _)) = membership::decode(&entry.data)
        {
            let _ = self.raw.apply_conf_change(&theirs);
        }
    }

    /// The replica's state is at `upto`, changes of membership among it went through `apply_membership`.
    pub fn applied(&mut self, upto: Index) {
        assert!(upto.0 <= self.emitted.max(self.applied), "entry {upto} was not handed out");
        self.applied = self.applied.max(upto.0);
        self.move_applied();
        self.release_tail();
        self.settle();
    }

    fn move_applied(&mut self) {
        let log = &self.raw.raft.raft_log;
        debug_assert!(log.applied <= log.committed, "only what is committed is applied");
        let to = self.applied.min(self.emitted).min(log.persisted).min(log.committed);
        if to > log.applied {
            self.raw.advance_apply_to(to);
        }
    }

    /// Applies a committed entry of kind `Membership`; the answer is the same on every node.
    pub fn apply_membership(&mut self, entry: &Entry) -> Membership {
        assert_eq!(entry.kind, EntryKind::Membership, "entry {}", entry.index);
        let Some((theirs, ours)) = membership::decode(&entry.data) else { return self.membership.clone() };
        // A change that raft-rs refuses here is refused by all, because all are at the same configuration.
        if let Ok(state) = self.raw.apply_conf_change(&theirs) {
            self.membership = membership::after(&self.membership, &state, &ours);
        }
        debug_assert!(
            self.skip_upto > 0 // what was in a snapshot is a peer's word
                || membership::is_of(&self.membership, &self.raw.raft.prs().conf().to_conf_state()),
            "raft-rs counts the votes of those who have one"
        );
        self.step_down_when_removed();
        self.settle();
        self.membership.clone()
    }

    /// What the entry, of kind `Membership`, was to change, where it has come true: all who are to vote do, and nobody who was removed
    /// is there. None for the second half of a change.
    pub fn membership_change(&self, entry: &Entry) -> Option<MembershipChange> {
        debug_assert_eq!(entry.kind, EntryKind::Membership, "entry {}", entry.index);
        let (_, change) = membership::decode(&entry.data)?;
        let votes = |node: &u64| self.membership.voters.contains(&NodeId(*node));
        let is_gone = |node: &u64| self.membership.removed.contains(&NodeId(*node)) || !votes(node);
        (change.add_voters.iter().all(votes) && change.remove.iter().all(is_gone)).then_some(change)
    }

    /// raft-rs lets a removed leader go on leading. The voter that has most is asked to stand at once.
    fn step_down_when_removed(&mut self) {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Leader || raft.promotable() {
            return;
        }
        let matched = |node: &NodeId| raft.prs().get(node.0).map_or(0, |progress| progress.matched);
        let best = self.membership.voters.iter().copied().max_by_key(|node| (matched(node), node.0));
        if let Some(best) = best {
            raft.bcast_append();
            raft.send_timeout_now(best.0);
        }
        let term = raft.term;
        raft.become_follower(term, 0);
    }

    // ---- log and snapshots ------------------------------------------------------------------------------------

    /// Answers `LoadEntries`. Empty when the log does not have them: the peer gets a snapshot.
    pub fn entries_loaded(&mut self, request: RequestId, entries: Vec<Entry>) {
        let Some(want) = self.raw.mut_store().take_want(request) else { return };
        let tail = self.raw.store();
        let intact: Vec<eraftpb::Entry> = entries
            .iter()
            .zip(want.first..want.until)
            .take_while(|(entry, index)| {
                entry.index.0 == *index
                    && tail.term_of(*index) == Some(entry.term.0)
                    && crc32c::crc32c(&entry.data) == entry.crc
            })
            .map(|(entry, _)| convert::entry_in(entry))
            .collect();
        let tail = self.raw.mut_store();
        if intact.is_empty() {
            tail.give_up_below(want.first);
        } else {
            tail.keep_loaded(intact);
        }
        for waiting in want.waiting {
            self.raw.on_entries_fetched(waiting);
        }
        self.settle();
    }

    /// A snapshot sent by the leader of `term` is in the message store. True: `applied_index` is the snapshot's now,
    /// the replica's state must become what it says, and entries beyond it follow as usual (the log may have them).
    /// False: this node had applied more already.
    pub fn snapshot_installed(&mut self, from: NodeId, term: Term, meta: SnapshotMeta) -> bool {
        let index = meta.index.0;
        if index <= self.applied || from == self.options.node {
            return false;
        }
        let raft = &mut self.raw.raft;
        let snapshot = tail::snapshot_of(&meta);
        if term.0 > raft.term || (term.0 == raft.term && raft.state != StateRole::Leader) {
            let mut message = eraftpb::Message {
                msg_type: MessageType::MsgSnapshot,
                from: from.0,
                to: self.options.node.0,
                term: term.0,
                ..Default::default()
            };
            message.set_snapshot(snapshot);
            let _ = self.raw.step(message);
        } else {
            // Its leader was deposed meanwhile. The state is committed all the same, and the store has it.
            if raft.state != StateRole::Follower {
                let term = raft.term;
                raft.become_follower(term, 0);
            }
            raft.restore(snapshot);
        }
        let pending = self.raw.raft.snap().map(|snapshot| snapshot.get_metadata().index);
        if pending == Some(index) {
            self.confirmed = self.confirmed.max((term.0, index));
        }
        // Otherwise the log reaches over it: what it has still to hand out up to here is in the state already.
        self.skip_upto = index;
        self.applied = index;
        self.membership = meta.membership.clone();
        let known = std::mem::replace(&mut self.terms, with_its_last(&meta));
        known.runs().iter().for_each(|(term, index)| self.terms.note(*term, *index));
        self.raw.mut_store().store_snapshot(meta);
        debug_assert_eq!(
            self.raw.store().snapshot_meta().index.0,
            index,
            "a snapshot that is installed is newer than what the store had"
        );
        self.settle();
        true
    }

    /// Answers `snapshots_wanted`.
    pub fn snapshot_sent(&mut self, to: NodeId, arrived: bool) {
        let status = if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.raw.report_snapshot(to.0, status);
        self.settle();
    }

    /// The log on disk is cut up to here. Never further than the last `store_snapshot`.
    pub fn compact(&mut self, upto: Index) {
        let applied = self.raw.raft.raft_log.applied;
        self.raw.mut_store().compact(upto.0.min(applied));
    }

    /// What a peer would get as a snapshot from now on: the message store's newest flushed state.
    pub fn store_snapshot(&mut self, meta: SnapshotMeta) {
        debug_assert!(meta.index.0 <= self.applied, "the store has what was applied, and no more");
        self.raw.mut_store().store_snapshot(meta);
    }

    /// After a start: the log on disk goes further back than the recovered entries, to `first`. `runs` are its terms
    /// as (index, term) of each first entry of a term, beginning with the entry before `first`. Lets lagging peers be
    /// served from the log instead of by snapshot.
    pub fn extend_log_down(&mut self, first: Index, runs: Vec<(Index, Term)>) {
        let runs = runs.into_iter().map(|(index, term)| (index.0, term.0)).collect();
        self.raw.mut_store().extend_down(first.0, runs);
    }

    /// Entries behind this one stay in memory whatever the bound says, until this is called again.
    pub fn keep_behind(&mut self, index: Index) {
        self.keep_behind = index;
    }

    /// Applied and written entries leave memory beyond the bound. `applied` does it too.
    pub fn release_tail(&mut self) {
        let log = &self.raw.raft.raft_log;
        let upto = log.applied.min(log.persisted).min(self.keep_behind.0);
        debug_assert!(upto <= log.last_index(), "nothing behind the end leaves memory");
        let bytes_max = self.options.tail_bytes_max;
        self.raw.mut_store().release(upto, bytes_max);
    }

    /// The entry, when it is in memory.
    pub fn tail_entry(&self, index: Index) -> Option<Entry> {
        self.raw.store().entry(index.0).map(convert::entry_out)
    }

    /// Bytes of the entries behind this one, as far as they are in memory.
    pub fn bytes_after(&self, index: Index) -> usize {
        self.raw.store().bytes_after(index.0)
    }

    pub fn tail_bytes(&self) -> usize {
        self.raw.store().bytes()
    }

    /// A member says that it lost part of its log: what it acknowledged does not count any more.
    pub fn forget_progress(&mut self, node: NodeId) {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Leader || node == self.options.node {
            return;
        }
        let next = raft.raft_log.last_index() + 1;
        let Some(progress) = raft.mut_prs().get_mut(node.0) else { return };
        progress.matched = 0;
        if progress.state == raft::ProgressState::Snapshot {
            return; // one is on its way, and says where to go on
        }
        progress.become_probe();
        // It answers with its own last index, which is a better start than 1.
        progress.next_idx = next;
        raft.send_append(node.0);
        self.settle();
    }

    // ---- after every step -------------------------------------------------------------------------------------

    /// Whatever happened, afterwards: the election timeout is ours, and a change of role has its consequences.
    fn settle(&mut self) {
        let raft = &self.raw.raft;
        let role = (raft.term, raft.state);
        if role != self.role {
            let led = self.role.1 == StateRole::Leader;
            self.role = role;
            self.role_changes += 1;
            self.refused = false;
            self.timeout = self.draw_timeout();
            self.excluded.clear();
            if led {
                self.lease.begin();
                self.raw.mut_store().drop_loaded();
            }
            if role.1 == StateRole::Leader {
                self.lease.begin();
                self.clocks.begin();
                self.campaign = None;
                self.promise = None;
                self.raw.ping(); // the first round, for the lease
            }
            self.transferring = None;
        }
        let raft = &mut self.raw.raft;
        if raft.randomized_election_timeout() != self.timeout {
            raft.set_randomized_election_timeout(self.timeout);
        }
        if let Some(node) = self.transferring
            && raft.lead_transferee.is_none()
        {
            self.transferring = None;
            self.lease.disarm(node, self.now.unwrap_or_default());
        }
        self.assert_holds();
    }

    /// What must hold between the parts after every step.
    fn assert_holds(&self) {
        let raft = &self.raw.raft;
        let log = &raft.raft_log;
        let leads = self.role.1 == StateRole::Leader;
        debug_assert!(self.promise.is_none() || !leads, "a leader protects nobody else");
        debug_assert!(self.transferring.is_none() || leads, "only a leader hands over");
        debug_assert!(
            !self.recovering || self.role.1 == StateRole::Follower,
            "whoever recovers stands for nothing"
        );
        debug_assert!(self.campaign.is_none() || !leads, "whoever leads has no election to come");
        debug_assert!(
            self.lease.disarming_since().is_none() || leads,
            "only a leader waits for an order of its own to be void"
        );
        debug_assert_eq!(
            raft.lead_transferee,
            self.transferring.map(|node| node.0),
            "raft-rs hands over to whom it was told to"
        );
        debug_assert!(
            self.promise.is_none_or(|promise| promise.term <= raft.term),
            "nothing was promised to a leader of a term that is to come"
        );
        debug_assert!(
            self.confirmed.0 <= raft.term && self.round_seen.0 <= raft.term,
            "what was heard from a leader was heard in a term that was reached"
        );
        debug_assert!(log.applied <= self.applied, "raft-rs takes for applied what the replica applied");
        debug_assert!(self.emitted <= log.committed, "only what is committed is handed out");
        debug_assert!(self.vote_write <= self.write_number, "a vote is in a write that was asked for");
        debug_assert!(
            self.vote_written.0 <= raft.term,
            "a term that is on disk, or on its way there, was reached"
        );
    }

    fn draw_timeout(&self) -> usize {
        let parts = [self.options.node.0, self.raw.raft.term, self.role_changes];
        debug_assert!(self.timing.candidacy > self.timing.election, "others may vote before somebody stands");
        self.timing.candidacy + draw(self.options.seed, parts, self.timing.spread as u64) as usize
    }

    fn role_now(&self) -> (u64, u64, StateRole) {
        let raft = &self.raw.raft;
        (raft.term, raft.leader_id, raft.state)
    }
}

/// What a snapshot says of the terms in it, and its own at least.
fn with_its_last(snapshot: &SnapshotMeta) -> TermStarts {
    let mut terms = snapshot.terms.clone();
    if snapshot.index > Index(0) {
        terms.note(snapshot.term, snapshot.index);
    }
    terms
}
