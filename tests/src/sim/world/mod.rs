//! The world: everything that happens, one thing after the other, in the order of virtual time.
//!
//! A step takes the next thing due, hands it to whom it concerns, and carries out what comes back. The actions of a
//! replica are interpreted here exactly as `runtime/driver.rs` interprets them with threads and real disks.
//! True time is microseconds since the start of the run; nodes only ever see their own clocks.

mod addresses;
mod canaries;
mod channels;
mod disks;
mod life;
mod pauses;
mod programs;
mod registers;
mod servers;
mod streams;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use trimaran_node::consensus::Entry;
use trimaran_node::mqi::Call;
use trimaran_node::replica::{Action, DiskRoom, Event};
use trimaran_node::types::{
    Instant, Membership, NodeId, NodeInfo, QueueManagerId, RequestId, Token, Version, WriteNumber,
};
use trimaran_node::vip::policy::Order;
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

use super::address::Flaw;
use super::clock::{Clock, TICK_US};
use super::counters::Counters;
use super::depth_b::StoresOnDisk;
use super::disk::{Depth, Disk, Failure, MemoryDisk, StoredRows};
use super::net::{Net, Quality};
use super::node::{Node, Setup};
use super::rng::Rng;
use super::schedule::{Fault, FaultEnd, Schedule};
use super::trace::Trace;
use crate::check::answered;
use crate::check::instant::InstantChecks;
use crate::model::administrator::Administrator;
use crate::model::app::{App, Input};
use crate::model::canary::Canary;
use crate::model::commander::Commander;
use crate::model::history::History;
use crate::model::operator::Operator;
use crate::model::registrar::Registrar;
use crate::script::puppet::Puppet;

pub use pauses::Paused;
pub use registers::Registers;
pub use servers::{SERVERS_FROM, Servers};

/// A replica without events has a turn at least this often, as under `runtime/driver.rs`.
const IDLE_TURN_US: u64 = 50_000;
const EVENTS_PER_TURN_MAX: usize = 256;
/// As `log_store` and `message_store` have it: how often a full device is asked again.
const LOG_RETRY_US: u64 = 100_000;
const STORE_RETRY_US: u64 = 500_000;

/// Somebody who calls: a simulated program, an administrator, or a hand on a script.
pub enum Program {
    App(Box<App>),
    Administrator(Box<Administrator>),
    Operator(Operator),
    Registrar(Box<Registrar>),
    Commander(Box<Commander>),
    Canary(Canary),
    Puppet(Puppet),
}

impl Program {
    pub fn queue_manager(&self) -> usize {
        match self {
            Program::App(app) => app.queue_manager,
            Program::Administrator(administrator) => administrator.queue_manager,
            Program::Operator(operator) => operator.queue_manager,
            // Whose records it is about.
            Program::Registrar(_) => 0,
            Program::Commander(commander) => commander.queue_manager,
            Program::Canary(canary) => canary.queue_manager,
            Program::Puppet(puppet) => puppet.queue_manager,
        }
    }
}

/// A program's end of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub session: u64,
    pub node: u64,
    pub incarnation: u64,
    /// Requests and answers stay in order, each way.
    to_node_at: u64,
    to_program_at: u64,
}

#[derive(Debug)]
pub enum Step {
    Turn {
        node: u64,
        incarnation: u64,
        mind: usize,
    },
    Deliver {
        from: u64,
        to: u64,
        stream: u64,
        mind: usize,
        message: Box<PeerMessage>,
    },
    /// A regular one comes back; others look once, soon after something changed.
    Connector {
        regular: bool,
    },
    LogWritten {
        node: u64,
        incarnation: u64,
        sync: bool,
        done: Vec<(usize, WriteNumber)>,
    },
    Stored {
        node: u64,
        incarnation: u64,
    },
    Flush {
        node: u64,
        incarnation: u64,
    },
    RowsRead {
        node: u64,
        incarnation: u64,
        mind: usize,
        request: RequestId,
    },
    EntriesRead {
        node: u64,
        incarnation: u64,
        mind: usize,
        request: RequestId,
        entries: Vec<Entry>,
    },
    /// An order reaches the agent of an address; None: it finds that the node's process is gone.
    Agent {
        node: u64,
        incarnation: u64,
        mind: usize,
        order: Option<Order>,
    },
    /// A node looks whether its agents answer.
    Pulse {
        node: u64,
        incarnation: u64,
    },
    /// A command server of the node goes on.
    Serve {
        node: u64,
        incarnation: u64,
    },
    /// What went with a publication of the records is gone, on this node.
    RegisterFollowed {
        node: u64,
        incarnation: u64,
        publication: u64,
        revision: u64,
    },
    /// The agents are asked what they hold.
    Asked {
        node: u64,
        incarnation: u64,
    },
    /// The kernel has removed what agents held that were ended.
    AgentsGone {
        node: u64,
        incarnation: u64,
    },
    SnapshotArrives {
        from: u64,
        incarnation: u64,
        to: u64,
        mind: usize,
        term: u64,
        rows: Box<StoredRows>,
        broken: bool,
    },
    SnapshotSent {
        node: u64,
        incarnation: u64,
        mind: usize,
        to: u64,
        arrived: bool,
    },
    Connect {
        program: usize,
        node: u64,
    },
    Refused {
        program: usize,
        hint: Option<u64>,
    },
    Connected {
        program: usize,
        session: u64,
    },
    CallArrives {
        node: u64,
        incarnation: u64,
        session: u64,
        token: Token,
        call: Box<Call>,
    },
    SessionEnds {
        node: u64,
        incarnation: u64,
        session: u64,
    },
    ToProgram {
        program: usize,
        session: u64,
        input: Box<Input>,
    },
    Wake {
        program: usize,
    },
    /// Whoever is paused goes on, unless the pause became longer.
    Resumes {
        who: Paused,
    },
    Nemesis,
    FaultEnds(FaultEnd),
    Check,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: u64,
    pub checker: &'static str,
    pub sentence: String,
}

/// What a run is, before it begins. Everything in it comes from the seed or from whoever wrote a scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub depth: Depth,
    pub nodes: u64,
    pub setup: Setup,
    pub schedule: Schedule,
    pub fault_ticks: u64,
    pub quality: Quality,
    pub sync_us: (u64, u64),
    pub flush_us: (u64, u64),
    pub drift_ppm_max: i64,
    pub stream_timeout_us: u64,
    pub turn_us: (u64, u64),
    /// How long a look at a message takes.
    pub look_us: u64,
    pub restart_us: (u64, u64),
    pub agents_flaw: Flaw,
    /// A node takes for granted that its agents go on.
    pub agents_trusted: bool,
    /// Calls and bytes of a session that are not answered; what comes then is not read.
    pub session_calls_max: usize,
    pub session_bytes_max: usize,
    /// Who may lose a disk; empty: anybody.
    pub victims: Vec<u64>,
    /// Lets this call to this node's disk fail.
    pub disk_failure: Option<(u64, u64, Failure)>,
    /// What the nodes' programs speak at first.
    pub newest: Version,
}

/// Where the numbers of steps begin that do not come first.
const ORDINARY: u64 = 1 << 60;

pub struct World {
    pub plan: Plan,
    pub now: u64,
    order: u64,
    steps: BTreeMap<(u64, u64), Step>,
    /// What came for those who are paused, in its order.
    held: BTreeMap<Paused, Vec<Step>>,
    pub rng: Rng,
    pub nodes: BTreeMap<u64, Node>,
    pub net: Net,
    pub programs: Vec<Program>,
    pub connections: BTreeMap<usize, Connection>,
    wakes: BTreeMap<usize, u64>,
    session_last: u64,
    pub history: History,
    pub trace: Trace,
    pub counters: Counters,
    pub checks: InstantChecks,
    pub violations: Vec<Violation>,
    pub nemesis_on: bool,
    /// Since when there are no faults any more.
    pub healed_at: Option<u64>,
    pub members: BTreeSet<u64>,
    /// The last node whose disk went back to an older state.
    pub rolled_back: Option<u64>,
    /// Numbers of the operators among the programs, one for each queue manager.
    pub operators: Vec<usize>,
    /// Of days that are about them.
    pub registers: Option<Registers>,
    pub servers: Option<Servers>,
    actions: Vec<Action>,
}

impl World {
    pub fn new(plan: Plan, trace: Trace) -> World {
        let mut rng = Rng::new(plan.seed);
        let mut nodes = BTreeMap::new();
        for id in 1..=plan.nodes {
            let node = new_node(id, &plan, &mut rng);
            nodes.insert(id, node);
        }
        let members = nodes.keys().copied().collect();
        let net = Net::new(plan.quality.clone());
        let mut world = World {
            plan,
            now: 0,
            order: 0,
            steps: BTreeMap::new(),
            held: BTreeMap::new(),
            rng,
            nodes,
            net,
            programs: Vec::new(),
            connections: BTreeMap::new(),
            wakes: BTreeMap::new(),
            session_last: 0,
            history: History::default(),
            trace,
            counters: Counters::default(),
            checks: InstantChecks::default(),
            violations: Vec::new(),
            nemesis_on: false,
            healed_at: None,
            members,
            rolled_back: None,
            operators: Vec::new(),
            registers: None,
            servers: None,
            actions: Vec::new(),
        };
        for id in world.nodes.keys().copied().collect::<Vec<_>>() {
            if let Some((node, call, how)) = world.plan.disk_failure
                && node == id
            {
                world.node_mut(id).disk.plan_failure(call, how);
            }
            world.start_node(id);
        }
        for queue_manager in 0..world.plan.setup.queue_managers {
            let number = world.add_program(Program::Operator(Operator::new(queue_manager)));
            world.operators.push(number);
        }
        world.schedule(0, Step::Connector { regular: true });
        world.schedule(TICK_US, Step::Check);
        world
    }

    pub fn node(&self, id: u64) -> &Node {
        &self.nodes[&id]
    }

    pub fn node_mut(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).expect("the id comes from the world's own list")
    }

    pub fn schedule(&mut self, at: u64, step: Step) {
        self.order += 1;
        self.steps.insert((at.max(self.now), ORDINARY + self.order), step);
    }

    /// Before everything that is scheduled for then in the ordinary way.
    fn schedule_first(&mut self, at: u64, step: Step) {
        self.order += 1;
        self.steps.insert((at.max(self.now), self.order), step);
    }

    pub fn fail(&mut self, checker: &'static str, sentence: String) {
        let at = self.now;
        self.trace.line(at, || format!("VIOLATION {checker}: {sentence}"));
        self.violations.push(Violation { at, checker, sentence });
    }

    pub fn add_program(&mut self, program: Program) -> usize {
        self.programs.push(program);
        self.programs.len() - 1
    }

    pub fn add_app(&mut self, app: App) -> usize {
        self.add_and_wake(Program::App(Box::new(app)))
    }

    /// It begins within a third of a second.
    pub fn add_and_wake(&mut self, program: Program) -> usize {
        let number = self.add_program(program);
        let at = self.now + self.rng.between(0, 300_000);
        self.schedule(at, Step::Wake { program: number });
        number
    }

    pub fn operator(&mut self, queue_manager: usize) -> &mut Operator {
        match &mut self.programs[self.operators[queue_manager]] {
            Program::Operator(operator) => operator,
            _ => unreachable!("the operators' numbers lead to operators"),
        }
    }

    pub fn ask_operator(
        &mut self,
        queue_manager: usize,
        call: impl Into<trimaran_node::mqi::Call>,
        once: bool,
    ) {
        self.operator(queue_manager).ask(call.into(), once);
        let program = self.operators[queue_manager];
        self.schedule(self.now, Step::Wake { program });
    }

    /// Somebody else asks for this at the same time, once.
    pub fn ask_another_operator(&mut self, queue_manager: usize, call: impl Into<trimaran_node::mqi::Call>) {
        let mut operator = Operator::new(queue_manager);
        operator.ask(call.into(), true);
        let program = self.add_program(Program::Operator(operator));
        self.schedule(self.now, Step::Wake { program });
    }

    /// Runs until the time or the first broken promise.
    pub fn run_until(&mut self, until: u64) {
        while self.violations.is_empty() {
            let Some((&(at, _), _)) = self.steps.first_key_value() else { break };
            if at > until {
                break;
            }
            self.step();
        }
        self.now = self.now.max(until);
    }

    /// One step; false when nothing is left to do.
    pub fn step(&mut self) -> bool {
        let Some(((at, _), step)) = self.steps.pop_first() else { return false };
        self.now = self.now.max(at);
        if let Some(who) = self.held_back(&step) {
            self.held.entry(who).or_default().push(step);
            return true;
        }
        match step {
            Step::Resumes { who } => self.resume_if_due(who),
            Step::Turn { node, incarnation, mind } => {
                if self.is_current(node, incarnation) {
                    self.turn(node, mind);
                }
            }
            Step::Deliver { from, to, stream, mind, message } => {
                if self.net.stream(from, to).is_some_and(|up| up.number == stream)
                    && self.nodes.get(&to).is_some_and(Node::is_running)
                {
                    self.hand_in(to, mind, Event::Peer { from: NodeId(from), message: *message });
                }
            }
            Step::Connector { regular } => self.connect_streams(regular),
            Step::LogWritten { node, incarnation, sync, done } => {
                if self.is_current(node, incarnation) {
                    self.on_log_written(node, sync, done);
                }
            }
            Step::Stored { node, incarnation } => {
                if self.is_current(node, incarnation) {
                    self.on_stored(node);
                }
            }
            Step::Flush { node, incarnation } => {
                if self.is_current(node, incarnation) {
                    self.on_flush(node);
                }
            }
            Step::RowsRead { node, incarnation, mind, request } => {
                if self.is_current(node, incarnation) {
                    self.on_rows_read(node, mind, request);
                }
            }
            Step::EntriesRead { node, incarnation, mind, request, entries } => {
                if self.is_current(node, incarnation) {
                    self.hand_in(node, mind, Event::EntriesLoaded { request, entries });
                }
            }
            Step::SnapshotArrives { from, incarnation, to, mind, term, rows, broken } => {
                self.on_snapshot(from, incarnation, to, mind, term, *rows, broken)
            }
            Step::SnapshotSent { node, incarnation, mind, to, arrived } => {
                if self.is_current(node, incarnation) {
                    self.hand_in(node, mind, Event::SnapshotSent { to: NodeId(to), arrived });
                }
            }
            Step::Agent { node, incarnation, mind, order } => self.on_agent(node, incarnation, mind, order),
            Step::Pulse { node, incarnation } => {
                if self.is_current(node, incarnation) {
                    self.on_pulse(node);
                }
            }
            Step::Asked { node, incarnation } => {
                if self.is_current(node, incarnation) {
                    self.on_asked(node);
                }
            }
            Step::AgentsGone { node, incarnation } => {
                if self.is_current(node, incarnation) {
                    self.on_agents_gone(node);
                }
            }
            Step::Connect { program, node } => self.on_connect(program, node),
            Step::Refused { program, hint } => self.tell(program, Input::NotConnected { hint }),
            Step::Connected { program, session } => {
                if self.connections.get(&program).is_some_and(|connection| connection.session == session) {
                    self.tell(program, Input::Connected { session });
                }
            }
            Step::CallArrives { node, incarnation, session, token, call } => {
                if self.is_current(node, incarnation) {
                    self.on_call_arrives(node, session, token, *call);
                }
            }
            Step::SessionEnds { node, incarnation, session } => {
                if self.is_current(node, incarnation) {
                    self.on_session_ends(node, session);
                }
            }
            Step::ToProgram { program, session, input } => {
                if self.connections.get(&program).is_some_and(|connection| connection.session == session) {
                    if matches!(*input, Input::Broken { .. }) {
                        self.connections.remove(&program);
                    }
                    self.tell(program, *input);
                }
            }
            Step::Wake { program } => {
                self.wakes.remove(&program);
                self.tell(program, Input::Wake);
            }
            Step::Serve { node, incarnation } => {
                if self.is_current(node, incarnation) {
                    self.serve(node);
                }
            }
            Step::RegisterFollowed { node, incarnation, publication, revision } => {
                if self.is_current(node, incarnation) {
                    self.on_register_followed(node, publication, revision);
                }
            }
            Step::Nemesis => self.strike(),
            Step::FaultEnds(end) => self.end_fault(end),
            Step::Check => {
                self.check_now();
                self.schedule(self.now + TICK_US, Step::Check);
            }
        }
        true
    }

    fn is_current(&self, node: u64, incarnation: u64) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.is_running() && node.incarnation == incarnation)
    }

    fn check_now(&mut self) {
        self.trace.number(self.now);
        if let Some((checker, sentence)) = self.checks.every_tick(self.now, self.healed_at, &self.nodes) {
            self.fail(checker, sentence);
        }
        if let Some(sentence) = answered::overdue(self.now, self.healed_at, &self.nodes) {
            self.fail(answered::NAME, sentence);
        }
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.tend_disk(id);
        }
    }

    /// The node that serves a queue manager just now, by its own clock.
    pub fn serving(&self, queue_manager: usize) -> Option<u64> {
        self.nodes.values().find_map(|node| {
            let local = Instant(node.clock.local(self.now));
            let mind = &node.process.as_ref()?.minds[queue_manager];
            super::address::may_serve(&mind.role, local).then_some(node.id)
        })
    }

    pub fn steps_mention_retirement(&self, id: u64) -> bool {
        self.steps
            .values()
            .any(|step| matches!(step, Step::FaultEnds(FaultEnd::Retire { node, .. }) if *node == id))
    }

    pub fn kick_nemesis(&mut self) {
        self.healed_at = None;
        self.nemesis_on = true;
        self.schedule(self.now + 1, Step::Nemesis);
    }

    pub fn count_fault(&mut self, fault: Fault) {
        self.counters.faults.count(fault);
    }
}

fn room(low: bool) -> DiskRoom {
    if low {
        DiskRoom::Low { text: "the log directory has 40 MiB left, its reserve is 64 MiB".to_string() }
    } else {
        DiskRoom::Enough
    }
}

pub fn new_node(id: u64, plan: &Plan, rng: &mut Rng) -> Node {
    let drift = plan.drift_ppm_max;
    let drift_ppm = rng.below(2 * drift as u64 + 1) as i64 - drift;
    let disk: Box<dyn Disk> = match plan.depth {
        Depth::A => Box::new(MemoryDisk::default()),
        Depth::B => Box::new(StoresOnDisk::new(Rng::new(plan.seed ^ id << 48))),
    };
    Node {
        id,
        clock: Clock::new(rng.between(1_000_000, 900_000_000), drift_ppm),
        disk,
        incarnation: 0,
        process: None,
        agents: Vec::new(),
        agents_paused_from: 0,
        agents_paused_until: 0,
        machine_up: true,
        down_since: 0,
        paused_until: 0,
        ends_at: None,
        recovering: BTreeSet::new(),
        member: true,
        retired: false,
        turn_us: plan.turn_us,
        sync_us: plan.sync_us,
        flush_us: plan.flush_us,
        disk_low: false,
        newest: plan.newest,
        store_full: false,
        backup: None,
        row_damage_per_mille: 0,
    }
}

pub fn node_info(id: u64) -> NodeInfo {
    NodeInfo {
        name: format!("n{id}"),
        peer_address: format!("node-{id}:7101"),
        client_address: format!("node-{id}:7201"),
    }
}

/// Every node of a new cluster as a voter.
pub fn initial_membership(nodes: u64) -> Membership {
    Membership {
        voters: (1..=nodes).map(NodeId).collect(),
        nodes: (1..=nodes).map(|id| (NodeId(id), node_info(id))).collect(),
        ..Membership::default()
    }
}

/// For messages about queue managers.
pub fn queue_manager_number(id: QueueManagerId) -> usize {
    id.0 as usize - 1
}
