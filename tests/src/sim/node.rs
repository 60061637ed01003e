//! A simulated node: clock, disk and, while it runs, a process with one replica for each queue manager.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use trimaran_node::consensus::LogWrite;
use trimaran_node::qmgr::{LoadRequest, Retention, StoreBatch};
use trimaran_node::replica::{Event, Placement, Replica};
use trimaran_node::runtime::recover::{Expected, Started};
use trimaran_node::types::{
    Index, Membership, NodeId, ObjectName, QueueManagerId, RequestId, RoleView, Speaks, Term, Version,
};
use trimaran_node::vip::Mode;
use trimaran_node::vip::policy::{self, Policy};
use trimaran_node::vip::pulse::Pulse;

use super::address::Agent;
use super::clock::Clock;
use super::disk::{Disk, StartFailed, initial_snapshot};
use super::wire::Wire;

pub struct Node {
    pub id: u64,
    pub clock: Clock,
    pub disk: Box<dyn Disk>,
    /// Grows with every start of the process, so that what was meant for an earlier one is told apart.
    pub incarnation: u64,
    pub process: Option<Process>,
    /// The agents of the queue managers' addresses. They outlive the process, and not the machine.
    pub agents: Vec<Agent>,
    /// Agents do nothing from then until then.
    pub agents_paused_from: u64,
    pub agents_paused_until: u64,
    /// The kernel answers: a dead process refuses connections, a dead machine says nothing.
    pub machine_up: bool,
    pub down_since: u64,
    /// The process does nothing until then.
    pub paused_until: u64,
    /// It was told to hand over, and its process ends then.
    pub ends_at: Option<u64>,
    /// Queue managers on this node that lost what they had and have not caught up, as the disk remembers it.
    pub recovering: BTreeSet<u32>,
    /// Part of the group, as far as the nemesis knows.
    pub member: bool,
    pub retired: bool,
    /// How long something that came waits for its turn.
    pub turn_us: (u64, u64),
    pub sync_us: (u64, u64),
    pub flush_us: (u64, u64),
    pub disk_low: bool,
    /// The newest version that the installed program speaks.
    pub newest: Version,
    pub store_full: bool,
    /// An older copy of the disk, for a restore from a backup.
    pub backup: Option<Box<dyn std::any::Any>>,
    pub row_damage_per_mille: u64,
}

pub struct Process {
    pub minds: Vec<Mind>,
    pub log_queue: VecDeque<(usize, LogWrite)>,
    pub log_busy: bool,
    pub store_queue: VecDeque<StoreBatch>,
    pub store_busy: bool,
    pub flush_due: bool,
    pub loads: BTreeMap<(usize, RequestId), LoadRequest>,
    pub sessions: BTreeMap<u64, OpenSession>,
    /// Nodes this one keeps a stream to.
    pub known: BTreeSet<u64>,
    /// Streams that were up once in this incarnation, and peers whose death was told.
    pub was_connected: BTreeSet<u64>,
    pub told_gone: BTreeSet<u64>,
    /// What it knows of its agents.
    pub pulse: Pulse,
}

#[derive(Debug)]
pub struct OpenSession {
    pub program: usize,
    pub queue_manager: usize,
    /// None: calls come as they are, from scripts and administrators.
    pub wire: Option<Wire>,
    /// Calls that were handed in and not answered, and when they should be at the latest, in good times.
    pub calls: BTreeMap<u64, u64>,
    /// A network fault ate something of it: nothing passes any more.
    pub stuck: bool,
    /// Of a connection through a channel: whether it is the instance, or the program's own session.
    pub part: Part,
}

/// A connection through a channel is two sessions: its instance of the channel, and the one of its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A connection with frames has one session.
    Whole,
    /// From where it comes, and its program's session, when that is connected. A place is settled when its turn comes.
    Instance { host: u8, place: Option<bool>, of: Option<u64> },
    /// With its instance.
    Program { instance: u64 },
}

pub struct Mind {
    pub replica: Replica,
    pub inbox: VecDeque<Event>,
    pub turn_at: Option<u64>,
    /// The turn it had takes until then.
    pub busy_until: u64,
    pub role: RoleView,
    /// When it began to serve, or began again, for the last time.
    pub served_from: u64,
    /// Since when it has had a lease, if it has one.
    pub leased_from: u64,
    pub policy: Policy,
    pub removed: bool,
    pub applied: Index,
    pub commit: Index,
    /// The newest snapshot that was installed: the log begins behind it from the next write on.
    pub installed: Index,
    pub term: Term,
    pub membership: Membership,
    /// As it was before the turn that is under way.
    pub members_before: Membership,
    /// The message store was asked to move in the turn that is under way.
    pub store_moved: bool,
}

pub fn queue_manager_id(number: usize) -> QueueManagerId {
    QueueManagerId(number as u32 + 1)
}

pub fn queue_manager_name(number: usize) -> ObjectName {
    ObjectName::new(["ha.queue.manager", "second.queue.manager", "third"][number % 3]).expect("valid names")
}

/// Microseconds that opening the stores may take.
const OPENING_MAX: u64 = 2_000_000;

/// How replicas of this run are set up; the same for every node.
#[derive(Clone, Debug)]
pub struct Setup {
    pub queue_managers: usize,
    pub initial: Membership,
    pub window_bytes: usize,
    pub log_retain_bytes: usize,
    /// Of the log in memory: a peer that needs older entries has them read from disk.
    pub tail_bytes_max: usize,
    /// How much is remembered for programs that ask again.
    pub retention: Retention,
    pub fast_timing: bool,
    /// How the queue managers' addresses are held.
    pub address_mode: Mode,
    pub forgets_term: bool,
    /// As the replica's options.
    pub turn_work: u64,
    pub system_objects: bool,
    pub units_within: Duration,
    /// Of each queue manager.
    pub placements: Vec<Placement>,
    pub tenure: Duration,
    /// Whether there are canaries.
    pub canaries: bool,
}

/// What a start found, for the report and the marks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    pub recovering: u32,
    pub replayed: u64,
}

impl Node {
    pub fn speaks(&self, version: Version) -> bool {
        Speaks::up_to(self.newest).has(version)
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// By what its disk says, or because a peer remembered more than it has.
    pub fn is_recovering(&self) -> bool {
        let says_so = |mind: &Mind| matches!(mind.role, RoleView::NotServing { recovering: true, .. });
        !self.recovering.is_empty()
            || self.process.as_ref().is_some_and(|process| process.minds.iter().any(says_so))
    }

    pub fn is_about_to_end(&self, now: u64) -> bool {
        self.ends_at.is_some_and(|ends| now <= ends)
    }

    pub fn is_paused(&self, now: u64) -> bool {
        now < self.paused_until
    }

    /// A process that died is known to be dead when its port refuses connections.
    pub fn refuses_connections(&self) -> bool {
        self.machine_up && !self.is_running() && !self.agents.iter().any(|agent| agent.has_port)
    }

    /// Starts the process on what the disk has. `seed` decides election timeouts.
    pub fn start(&mut self, setup: &Setup, now: u64, seed: u64) -> Result<Start, StartFailed> {
        self.incarnation += 1;
        self.machine_up = true;
        let mut start = Start::default();
        // The process began before its stores were open.
        let since_start = match self.incarnation {
            1 => Duration::ZERO,
            _ => Duration::from_micros((seed % OPENING_MAX).min(now.saturating_sub(self.down_since))),
        };
        let mut minds = Vec::new();
        let mut known: BTreeSet<u64> = setup.initial.voters.iter().map(|node| node.0).collect();
        let expected: Vec<Expected> = (0..setup.queue_managers)
            .map(|number| {
                let id = queue_manager_id(number);
                Expected {
                    id,
                    name: queue_manager_name(number),
                    initial: initial_snapshot(id, &setup.initial),
                    speaks: Speaks::up_to(self.newest),
                }
            })
            .collect();
        for (number, found) in self.disk.start(&expected)?.into_iter().enumerate() {
            let Started { mut recovered, queue_manager } = found;
            if setup.forgets_term {
                recovered.hard_state.vote = None;
                recovered.hard_state.term = recovered.entries.last().map_or(Term(1), |entry| entry.term);
            }
            let recovering = recovered.recovering;
            match recovering {
                true => self.recovering.insert(queue_manager.id().0),
                false => self.recovering.remove(&queue_manager.id().0),
            };
            start.recovering += u32::from(recovering);
            start.replayed += recovered.entries.len() as u64;
            let membership = recovered.snapshot.membership.clone();
            known.extend(membership.nodes.keys().map(|node| node.0));
            let applied = recovered.snapshot.index;
            let term = recovered.hard_state.term;
            recovered.since_start = since_start;
            let replica = Replica::new(
                replica_options(setup, self.id, self.newest, number),
                recovered,
                queue_manager,
                seed.wrapping_add(number as u64),
            );
            minds.push(Mind {
                replica,
                inbox: VecDeque::new(),
                turn_at: None,
                served_from: 0,
                leased_from: 0,
                busy_until: now,
                role: RoleView::NotServing { term, leader: None, recovering },
                policy: Policy::new(address_tail(setup)),
                removed: false,
                applied,
                commit: Index(0),
                installed: Index(0),
                term,
                members_before: membership.clone(),
                membership,
                store_moved: false,
            });
        }
        known.remove(&self.id);
        self.process = Some(Process {
            minds,
            log_queue: VecDeque::new(),
            log_busy: false,
            store_queue: VecDeque::new(),
            store_busy: false,
            flush_due: false,
            loads: BTreeMap::new(),
            sessions: BTreeMap::new(),
            known,
            was_connected: BTreeSet::new(),
            told_gone: BTreeSet::new(),
            pulse: Pulse::default(),
        });
        Ok(start)
    }
}

fn consensus_options(setup: &Setup, node: u64) -> trimaran_node::consensus::Options {
    let millis = Duration::from_millis;
    let mut consensus = trimaran_node::consensus::Options {
        node: NodeId(node),
        tail_bytes_max: setup.tail_bytes_max,
        ..Default::default()
    };
    if setup.fast_timing {
        (consensus.election, consensus.election_spread) = (millis(400), millis(300));
    }
    consensus
}

/// As `runtime` has it.
fn address_tail(setup: &Setup) -> Duration {
    policy::tail(setup.address_mode.lifetime(), consensus_options(setup, 1).lease())
}

fn replica_options(
    setup: &Setup,
    node: u64,
    newest: Version,
    number: usize,
) -> trimaran_node::replica::Options {
    let consensus = consensus_options(setup, node);
    trimaran_node::replica::Options {
        window_bytes: setup.window_bytes,
        log_retain_bytes: setup.log_retain_bytes,
        log_retain_present_bytes: 16 * setup.log_retain_bytes.max(setup.window_bytes),
        resident_bytes_max: setup.window_bytes,
        retention: setup.retention,
        repack_from_bytes: 0,
        turn_work: setup.turn_work,
        speaks: Speaks::up_to(newest),
        system_objects: setup.system_objects,
        address_tail: Some(address_tail(setup)),
        units_within: setup.units_within,
        placement: setup.placements.get(number).copied().unwrap_or_default(),
        tenure: setup.tenure,
        canary: setup.canaries,
        // Whoever is asked to has records here, and no mind comes or goes for it.
        register: Some(Arc::default()),
        disk: node,
        ..trimaran_node::replica::Options::new(
            queue_manager_id(number),
            queue_manager_name(number),
            consensus,
        )
    }
}
