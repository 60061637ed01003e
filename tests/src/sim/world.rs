//! The world: everything that happens, one thing after the other, in the order of virtual time.
//!
//! A step takes the next thing due, hands it to whom it concerns, and carries out what comes back. The actions of a
//! replica are interpreted here exactly as `runtime/driver.rs` interprets them with threads and real disks.
//! True time is microseconds since the start of the run; nodes only ever see their own clocks.

use std::collections::{BTreeMap, BTreeSet};

use trimaran_node::consensus::Entry;
use trimaran_node::mqi::Call;
use trimaran_node::replica::{Action, DiskRoom, Event, Identity, Stats};
use trimaran_node::types::{
    Index, Instant, Membership, NodeId, NodeInfo, QueueManagerId, Reason, RequestId, RoleView, SessionId,
    Token, WriteNumber,
};
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

use super::clock::Clock;
use super::depth_b::StoresOnDisk;
use super::disk::{Depth, Disk, DiskFailed, Failure, Installed, MemoryDisk, Room, StartFailed, StoredRows};
use super::nemesis::FaultEnd;
use super::net::{Net, Quality};
use super::node::{Node, OpenSession, Setup, queue_manager_id};
use super::rng::Rng;
use super::schedule::{Fault, FaultCounts, Schedule};
use super::trace::Trace;
use super::wire::{Passed, Wire};
use crate::check::instant::InstantChecks;
use crate::check::{answered, log_and_store};
use crate::model::app::{App, Input, Output};
use crate::model::history::History;
use crate::model::operator::Operator;
use crate::script::puppet::Puppet;

/// One tick of a run, as figures count them: 10 ms of virtual time.
pub const TICK_US: u64 = 10_000;
/// A replica without events has a turn at least this often, as under `runtime/driver.rs`.
const IDLE_TURN_US: u64 = 50_000;
const EVENTS_PER_TURN_MAX: usize = 256;
/// As `log_store` and `message_store` have it: how often a full device is asked again.
const LOG_RETRY_US: u64 = 100_000;
const STORE_RETRY_US: u64 = 500_000;

/// Somebody who calls: a simulated program, an administrator, or a hand on a script.
pub enum Program {
    App(Box<App>),
    Operator(Operator),
    Puppet(Puppet),
}

impl Program {
    pub fn queue_manager(&self) -> usize {
        match self {
            Program::App(app) => app.queue_manager,
            Program::Operator(operator) => operator.queue_manager,
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
    pub restart_us: (u64, u64),
    pub keeps_address: bool,
    /// Calls and bytes of a session that are not answered; what comes then is not read.
    pub session_calls_max: usize,
    pub session_bytes_max: usize,
    /// Who may lose a disk; empty: anybody.
    pub victims: Vec<u64>,
    /// Lets this call to this node's disk fail.
    pub disk_failure: Option<(u64, u64, Failure)>,
}

#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub turns: u64,
    pub events: u64,
    pub messages: u64,
    pub calls: u64,
    pub starts: u64,
    pub faults: FaultCounts,
    /// Outcome name to count.
    pub outcomes: BTreeMap<String, u64>,
    /// Coverage marks: interesting things that happened.
    pub marks: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub fn mark(&mut self, mark: &'static str) {
        *self.marks.entry(mark).or_default() += 1;
    }

    /// What a replica counted in its life.
    pub fn add_stats(&mut self, stats: &Stats) {
        self.marks_add("duplicates suppressed", stats.duplicates_suppressed);
        self.marks_add("messages expired", stats.expired);
        self.marks_add("elections won", stats.elections_won);
        self.marks_add("units backed out", stats.backouts);
        self.marks_add("units committed", stats.commits);
        self.marks_add("waits", stats.waits);
        self.marks_add("entries applied", stats.entries_applied);
        self.marks_add("puts", stats.puts);
        self.marks_add("gets", stats.gets);
        self.marks_add("browses", stats.browses);
    }

    pub fn merge(&mut self, other: &Counters) {
        self.turns += other.turns;
        self.events += other.events;
        self.messages += other.messages;
        self.calls += other.calls;
        self.starts += other.starts;
        self.faults.merge(&other.faults);
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        for (mark, count) in &other.marks {
            self.marks_add(mark, *count);
        }
    }

    pub fn marks_add(&mut self, mark: &'static str, count: u64) {
        if count > 0 {
            *self.marks.entry(mark).or_default() += count;
        }
    }
}

pub struct World {
    pub plan: Plan,
    pub now: u64,
    order: u64,
    steps: BTreeMap<(u64, u64), Step>,
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
        let number = self.add_program(Program::App(Box::new(app)));
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

    pub fn ask_operator(&mut self, queue_manager: usize, call: trimaran_node::mqi::Admin, once: bool) {
        self.operator(queue_manager).ask(call, once);
        let program = self.operators[queue_manager];
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
        if let Some(later) = self.held_back(&step) {
            self.schedule(later, step);
            return true;
        }
        match step {
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

    /// A paused process does nothing; what comes in waits for it.
    fn held_back(&self, step: &Step) -> Option<u64> {
        let node = match step {
            Step::Turn { node, .. }
            | Step::LogWritten { node, .. }
            | Step::Stored { node, .. }
            | Step::Flush { node, .. }
            | Step::RowsRead { node, .. }
            | Step::EntriesRead { node, .. }
            | Step::SnapshotSent { node, .. }
            | Step::Connect { node, .. }
            | Step::CallArrives { node, .. }
            | Step::SessionEnds { node, .. } => *node,
            Step::Deliver { to, .. } | Step::SnapshotArrives { to, .. } => *to,
            _ => return None,
        };
        let until = self.nodes.get(&node)?.paused_until?;
        (self.now < until).then_some(until)
    }

    pub fn start_node(&mut self, id: u64) {
        let seed = self.rng.number();
        let (now, setup) = (self.now, self.plan.setup.clone());
        let node = self.node_mut(id);
        if node.is_running() || node.retired {
            return;
        }
        node.paused_until = None;
        match node.start(&setup, now, seed) {
            Ok(start) => {
                let recovering = node.recovering.len() as u64;
                self.counters.starts += 1;
                self.counters.marks_add("started recovering", recovering);
                self.counters.marks_add("entries replayed at start", start.replayed);
                let low = self.node(id).disk_low;
                self.trace.line(now, || format!("node {id} starts: {start:?}"));
                for mind in 0..setup.queue_managers {
                    let process = self.nodes[&id].process.as_ref().expect("just started");
                    if let Some((checker, sentence)) = self.checks.on_start(id, mind, process) {
                        self.fail(checker, sentence);
                    }
                    self.hand_in(id, mind, Event::Disk { room: room(low) });
                }
                self.schedule(now + 200, Step::Connector { regular: false });
            }
            Err(StartFailed::Disk(failed)) => {
                self.trace.line(now, || format!("node {id} does not start: {failed:?}"));
                self.counters.mark("start failed because the disk failed");
                self.counters.mark(failed.call);
                let mut rng = self.rng.fork(id);
                let node = self.node_mut(id);
                node.machine_up = failed.how != Failure::Crash;
                node.down_since = now;
                node.disk.crash(failed.how == Failure::Crash, &mut rng);
                self.restart_later(id);
            }
            Err(StartFailed::Broken(error)) => {
                self.fail("recovery", format!("node {id} cannot start: {error}"))
            }
        }
    }

    /// The process ends at once; with `power_cut` the machine too.
    pub fn crash(&mut self, id: u64, power_cut: bool) {
        let mut rng = self.rng.fork(id);
        let now = self.now;
        let detect = if power_cut { rng.between(800_000, 4_000_000) } else { rng.between(300, 3_000) };
        let node = self.node_mut(id);
        let Some(process) = node.process.take() else { return };
        process.minds.iter().for_each(|mind| self.counters.add_stats(mind.replica.stats()));
        let node = self.node_mut(id);
        node.paused_until = None;
        node.machine_up = !power_cut;
        node.down_since = now;
        node.disk.crash(power_cut, &mut rng);
        self.trace.line(now, || format!("node {id} {}", if power_cut { "loses power" } else { "is killed" }));
        for (session, open) in process.sessions {
            let input = Box::new(Input::Broken { reason: Reason::ConnectionBroken });
            self.schedule(now + detect, Step::ToProgram { program: open.program, session, input });
        }
        self.schedule(now + 600, Step::Connector { regular: false });
    }

    pub fn hand_in(&mut self, id: u64, mind: usize, event: Event) {
        let turn_us = self.nodes.get(&id).map_or(self.plan.turn_us, |node| node.turn_us);
        let delay = self.rng.between(turn_us.0, turn_us.1);
        let due = self.now + delay;
        let Some(process) = self.node_mut(id).process.as_mut() else { return };
        process.minds[mind].inbox.push_back(event);
        self.schedule_turn(id, mind, due);
    }

    fn hand_in_all(&mut self, id: u64, event: impl Fn() -> Event) {
        for mind in 0..self.plan.setup.queue_managers {
            self.hand_in(id, mind, event());
        }
    }

    fn schedule_turn(&mut self, id: u64, mind: usize, due: u64) {
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let Some(process) = node.process.as_mut() else { return };
        let slot = &mut process.minds[mind].turn_at;
        if slot.is_some_and(|at| at <= due) {
            return;
        }
        *slot = Some(due);
        self.schedule(due, Step::Turn { node: id, incarnation, mind });
    }

    fn turn(&mut self, id: u64, number: usize) {
        let now = self.now;
        let queue_manager = queue_manager_id(number).0;
        let node = self.nodes.get_mut(&id).expect("checked by the caller");
        let local = node.clock.now(now);
        let process = node.process.as_mut().expect("checked by the caller");
        let mind = &mut process.minds[number];
        // A turn that was brought forward leaves its old step behind.
        if mind.turn_at.is_none_or(|at| at > now) || mind.removed {
            return;
        }
        mind.turn_at = None;
        self.counters.turns += 1;
        mind.replica.begin_turn(local);
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(event) = mind.inbox.pop_front() else { break };
            self.trace.event(now, id, queue_manager, &event);
            self.counters.events += 1;
            if let Event::SessionClosed { session } = &event {
                process.sessions.remove(&session.0);
            }
            mind.replica.handle(event);
        }
        let mut actions = std::mem::take(&mut self.actions);
        mind.replica.end_turn(&mut actions);
        let more = !mind.inbox.is_empty();
        let deadline = mind.replica.next_deadline().map(|at| node.clock.true_time(at.0));
        for action in actions.drain(..) {
            self.trace.action(now, id, queue_manager, &action);
            self.carry_out(id, number, action);
            if !self.nodes[&id].is_running() {
                break;
            }
        }
        actions.clear();
        self.actions = actions;
        if !self.nodes[&id].is_running() {
            return;
        }
        if let Some((checker, sentence)) =
            self.checks.after_turn(id, number, &mut self.nodes, &mut self.counters)
        {
            self.fail(checker, sentence);
        }
        let due = match deadline {
            _ if more => now + 1,
            Some(deadline) => deadline.clamp(now + 1, now + IDLE_TURN_US),
            None => now + IDLE_TURN_US,
        };
        self.schedule_turn(id, number, due);
    }

    fn carry_out(&mut self, id: u64, number: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Persist(write) => {
                let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
                process.log_queue.push_back((number, write));
                if !process.log_busy {
                    self.write_log(id);
                }
            }
            Action::Send { to, message } => self.send(id, to.0, number, message),
            Action::SendSnapshot { to, term } => self.send_snapshot(id, to.0, number, term),
            Action::Complete { session, token, completion } => {
                self.on_complete(id, session.0, token, completion);
            }
            Action::Store(batch) => {
                let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
                process.minds[number].store_moved = true;
                process.store_queue.push_back(batch);
                self.counters.mark("rows stored");
                self.start_store(id);
            }
            Action::LoadRows(load) => {
                let delay = self.rng.skewed(20, 3_000);
                let request = load.request;
                let node = self.node_mut(id);
                let incarnation = node.incarnation;
                node.process.as_mut().expect("it is having a turn").loads.insert((number, request), load);
                self.counters.mark("rows loaded");
                self.schedule(now + delay, Step::RowsRead { node: id, incarnation, mind: number, request });
            }
            Action::LoadEntries { request, first, until, bytes_max } => {
                let delay = self.rng.skewed(20, 3_000);
                let node = self.node_mut(id);
                let incarnation = node.incarnation;
                let entries = node.disk.read_log(queue_manager_id(number), first, until, bytes_max);
                self.counters.mark("old entries loaded for a peer");
                let step = Step::EntriesRead { node: id, incarnation, mind: number, request, entries };
                self.schedule(now + delay, step);
            }
            Action::CloseSession { session, reason } => {
                let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
                if let Some(mut open) = process.sessions.remove(&session.0) {
                    self.counters.mark("session closed by its node");
                    if !open.stuck {
                        let left = open.wire.as_mut().map_or(Ok(Vec::new()), |wire| wire.close(reason));
                        let left = left.unwrap_or_else(|sentence| {
                            self.fail("conversation", format!("session {session}: {sentence}"));
                            Vec::new()
                        });
                        for (token, completion) in left {
                            self.counters.mark("call left when its session ended");
                            let input = Input::Answer { token, completion };
                            self.tell_program(id, open.program, session.0, input);
                        }
                        self.tell_program(id, open.program, session.0, Input::Broken { reason });
                    }
                }
            }
            Action::PublishRole(role) => self.on_role(id, number, role),
            Action::TruncateLog { upto } => {
                let queue_manager = queue_manager_id(number);
                let node = self.node_mut(id);
                let flushed = node.disk.flushed_index(queue_manager);
                self.counters.mark("log cut");
                if let Some(sentence) = log_and_store::cut(id, queue_manager, upto, flushed) {
                    self.fail(log_and_store::NAME, sentence);
                }
                if let Err(failed) = self.node_mut(id).disk.cut_log(queue_manager, upto) {
                    self.on_disk_failed(id, failed);
                }
            }
            Action::PublishMembership(membership) => {
                let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
                process.known.extend(membership.nodes.keys().map(|node| node.0));
                process.known.remove(&id);
                process.minds[number].membership = membership;
                self.counters.mark("membership published");
                self.schedule(now + 300, Step::Connector { regular: false });
            }
            Action::Removed => {
                let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
                process.minds[number].removed = true;
                process.minds[number].role = RoleView::Removed;
                self.counters.mark("node learned of its removal");
            }
        }
    }

    fn on_role(&mut self, id: u64, number: usize, role: RoleView) {
        let now = self.now;
        let keeps = self.plan.keeps_address;
        let node = self.nodes.get_mut(&id).expect("it is having a turn");
        let local = Instant(node.clock.local(now));
        let process = node.process.as_mut().expect("it is having a turn");
        let mind = &mut process.minds[number];
        mind.address.follow(&role, local, keeps);
        let mut caught_up = false;
        if let RoleView::NotServing { recovering: false, .. }
        | RoleView::Serving { .. }
        | RoleView::Elected { .. } = &role
        {
            // What the runtime keeps beside the log: this node may vote again, also after a restart.
            caught_up = node.recovering.remove(&queue_manager_id(number).0);
        }
        let was_serving = mind.role.is_serving();
        let is_serving = role.is_serving();
        mind.role = role.clone();
        if is_serving && !was_serving {
            self.counters.mark("began to serve");
            self.history.serving_begun.push((number as u32, now));
        }
        if let Some((checker, sentence)) = self.checks.on_role(id, number, &role, now, keeps, &self.nodes) {
            self.fail(checker, sentence);
        }
        if caught_up && let Err(failed) = self.node_mut(id).disk.caught_up(queue_manager_id(number)) {
            self.on_disk_failed(id, failed);
        }
    }

    fn send(&mut self, from: u64, to: u64, number: usize, message: PeerMessage) {
        let Some(stream) = self.net.stream(from, to) else { return };
        if from == to || self.nodes[&from].incarnation != stream.from_incarnation {
            return;
        }
        self.checks.on_sent(from, number, &message);
        let sent = self.net.send(from, to, self.now, &mut self.rng);
        self.counters.messages += 1;
        let mut message = Some(message);
        for (place, at) in sent.arrivals.iter().enumerate() {
            let copy = if place + 1 == sent.arrivals.len() { message.take() } else { message.clone() };
            let message = Box::new(copy.expect("taken with the last arrival only"));
            self.schedule(*at, Step::Deliver { from, to, stream: stream.number, mind: number, message });
        }
    }

    fn send_snapshot(&mut self, from: u64, to: u64, number: usize, term: u64) {
        let queue_manager = queue_manager_id(number);
        let node = self.node_mut(from);
        let incarnation = node.incarnation;
        let rows = match node.disk.snapshot(queue_manager) {
            Ok(rows) => rows,
            Err(reason) => return self.on_unreadable(from, reason),
        };
        let reachable = self.net.stream(from, to).is_some();
        let Some(rows) = rows.filter(|_| reachable) else {
            let step = Step::SnapshotSent { node: from, incarnation, mind: number, to, arrived: false };
            let delay = self.rng.between(100, 5_000);
            self.schedule(self.now + delay, step);
            return;
        };
        self.counters.mark("snapshot begun");
        let delay = self.rng.skewed(2_000, 200_000) + rows.bytes() as u64 / 50;
        let broken = self.nemesis_on && self.rng.chance(100);
        let rows = Box::new(rows);
        let step = Step::SnapshotArrives { from, incarnation, to, mind: number, term, rows, broken };
        self.schedule(self.now + delay, step);
    }

    fn on_snapshot(
        &mut self,
        from: u64,
        incarnation: u64,
        to: u64,
        number: usize,
        term: u64,
        rows: StoredRows,
        broken: bool,
    ) {
        let meta = rows.meta.clone().expect("checked when it was sent");
        let alive = self.nodes.get(&to).is_some_and(Node::is_running) && self.is_current(from, incarnation);
        let mut arrives =
            alive && !broken && self.net.stream(from, to).is_some() && !self.net.is_cut(from, to);
        if broken {
            self.counters.mark("snapshot broke on its way");
        }
        if arrives {
            let name = super::node::queue_manager_name(number);
            match self.node_mut(to).disk.install(&rows, name) {
                Ok(Installed::Done(state)) => {
                    self.counters.mark("snapshot installed");
                    if let Some(process) = &mut self.node_mut(to).process {
                        process.minds[number].installed = meta.index;
                    }
                    let event = Event::SnapshotInstalled { from: NodeId(from), term, meta, state };
                    self.hand_in(to, number, event);
                }
                // The sender goes on behind it, or it would send the same again and again.
                Ok(Installed::Late) => self.counters.mark("snapshot came late"),
                // The sender sees its stream break.
                Err(failed) => {
                    self.on_disk_failed(to, failed);
                    arrives = false;
                }
            }
        }
        let delay = self.rng.between(100, 5_000);
        let step = Step::SnapshotSent { node: from, incarnation, mind: number, to, arrived: arrives };
        self.schedule(self.now + delay, step);
    }

    // --- disks ---

    fn write_log(&mut self, id: u64) {
        let now = self.now;
        let mut rng = self.rng.fork(2);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let process = node.process.as_mut().expect("called for running nodes");
        if process.log_queue.is_empty() {
            process.log_busy = false;
            return;
        }
        process.log_busy = true;
        let (mut done, mut sync, mut bytes) = (Vec::new(), false, 0);
        while let Some((mind, write)) = process.log_queue.pop_front() {
            sync |= write.sync;
            bytes += write.entries.iter().map(|entry| entry.data.len()).sum::<usize>();
            done.push((mind, write.number));
            if let Err(failed) = node.disk.write_log(&write) {
                self.on_disk_failed(id, failed);
                return;
            }
        }
        let delay = if sync { rng.skewed(node.sync_us.0, node.sync_us.1) + bytes as u64 / 500 } else { 5 };
        self.schedule(now + delay, Step::LogWritten { node: id, incarnation, sync, done });
    }

    fn on_log_written(&mut self, id: u64, sync: bool, done: Vec<(usize, WriteNumber)>) {
        match self.node_mut(id).disk.finish_log(sync) {
            Ok(Room::Enough) => {}
            Ok(Room::Lacking { .. }) => {
                self.counters.mark("log waited for room");
                let incarnation = self.nodes[&id].incarnation;
                let again = Step::LogWritten { node: id, incarnation, sync, done };
                return self.schedule(self.now + LOG_RETRY_US, again);
            }
            Err(failed) => return self.on_disk_failed(id, failed),
        }
        for (mind, write) in done {
            self.hand_in(id, mind, Event::LogPersisted { write });
        }
        self.write_log(id);
    }

    /// What `runtime::fatal` does: the process ends, and the disk's promises are those of a crash.
    fn on_disk_failed(&mut self, id: u64, failed: DiskFailed) {
        self.trace.line(self.now, || format!("node {id} ends: {failed:?}"));
        self.counters.mark("process ended because its disk failed");
        self.counters.mark(failed.call);
        let power_cut = failed.how == Failure::Crash;
        self.crash(id, power_cut);
        self.restart_later(id);
    }

    /// What `runtime/stores.rs` does: the store is condemned and the process ends.
    fn on_unreadable(&mut self, id: u64, reason: String) {
        self.trace.line(self.now, || format!("node {id} ends: {reason}"));
        self.counters.mark("process ended because a row was damaged");
        self.crash(id, false);
        self.checks.on_damage(id, &self.nodes);
        self.restart_later(id);
    }

    pub fn restart_later(&mut self, id: u64) {
        let delay = self.rng.between(self.plan.restart_us.0, self.plan.restart_us.1);
        self.schedule(self.now + delay, Step::FaultEnds(FaultEnd::Start { node: id }));
    }

    fn start_store(&mut self, id: u64) {
        let delay = self.rng.skewed(30, 5_000);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let full = node.store_full;
        let Some(process) = node.process.as_mut() else { return };
        if process.store_busy || process.store_queue.is_empty() || full {
            return;
        }
        process.store_busy = true;
        self.schedule(self.now + delay, Step::Stored { node: id, incarnation });
    }

    fn on_stored(&mut self, id: u64) {
        let now = self.now;
        let mut rng = self.rng.fork(3);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let full = node.store_full;
        let process = node.process.as_mut().expect("checked by the caller");
        process.store_busy = false;
        if full {
            return;
        }
        if let Some(batch) = process.store_queue.pop_front() {
            match node.disk.store(&batch, now) {
                Ok(Room::Enough) => {}
                Ok(Room::Lacking { is_news }) => {
                    process.store_busy = true;
                    let (queue_manager, upto) = (batch.meta.queue_manager, batch.meta.index);
                    process.store_queue.push_front(batch);
                    self.schedule(now + STORE_RETRY_US, Step::Stored { node: id, incarnation });
                    if is_news {
                        self.counters.mark("store refused for lack of space");
                        self.hand_in(id, queue_manager.0 as usize - 1, Event::StoreRefused { upto });
                    }
                    return;
                }
                Err(failed) => return self.on_disk_failed(id, failed),
            }
            if !process.flush_due {
                process.flush_due = true;
                let delay = rng.skewed(node.flush_us.0, node.flush_us.1);
                self.schedule(now + delay, Step::Flush { node: id, incarnation });
            }
        }
        self.start_store(id);
    }

    fn on_flush(&mut self, id: u64) {
        let node = self.node_mut(id);
        node.process.as_mut().expect("checked by the caller").flush_due = false;
        match node.disk.flush_store() {
            Ok(moved) => {
                for (queue_manager, upto) in moved {
                    self.hand_in(id, queue_manager.0 as usize - 1, Event::StoreFlushed { upto });
                }
                self.counters.mark("store flushed");
            }
            Err(failed) => self.on_disk_failed(id, failed),
        }
    }

    pub fn set_disk_low(&mut self, id: u64, low: bool) {
        self.node_mut(id).disk_low = low;
        self.hand_in_all(id, || Event::Disk { room: room(low) });
    }

    /// Space for the message store ends, or is there again.
    pub fn set_store_full(&mut self, id: u64, full: bool) {
        if self.node_mut(id).disk.set_store_room(!full) {
            return;
        }
        self.node_mut(id).store_full = full;
        if full {
            let Some(process) = &self.node(id).process else { return };
            let refused: BTreeMap<u32, Index> = process
                .store_queue
                .iter()
                .map(|batch| (batch.meta.queue_manager.0, batch.meta.index))
                .collect();
            for (queue_manager, upto) in refused {
                self.counters.mark("store refused for lack of space");
                self.hand_in(id, queue_manager as usize - 1, Event::StoreRefused { upto });
            }
        } else {
            self.start_store(id);
        }
    }

    fn on_rows_read(&mut self, id: u64, number: usize, request: RequestId) {
        let damage = self.nodes[&id].row_damage_per_mille;
        let damaged = damage > 0 && self.rng.chance(damage);
        let node = self.node_mut(id);
        let process = node.process.as_mut().expect("checked by the caller");
        let Some(load) = process.loads.remove(&(number, request)) else { return };
        let mut rows = match node.disk.load(&load) {
            Ok(rows) => rows,
            Err(reason) => return self.on_unreadable(id, reason),
        };
        let mut place = None;
        if damaged {
            rows[0] = None;
            place = Some(format!("node {id}: checksum of block 7 of the message store"));
            self.counters.mark("damaged row read");
        }
        self.hand_in(id, number, Event::RowsLoaded { request, rows, damaged: place });
    }

    // --- streams between nodes ---

    /// What every node's `peer` module does all the time: keeps streams up and tells when they break.
    fn connect_streams(&mut self, regular: bool) {
        let now = self.now;
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for &from in &ids {
            let Some(process) = &self.nodes[&from].process else { continue };
            if self.nodes[&from].is_paused(now) {
                continue;
            }
            let from_incarnation = self.nodes[&from].incarnation;
            for to in process.known.iter().copied().collect::<Vec<_>>() {
                if self.nodes.contains_key(&to) {
                    self.tend_stream(from, from_incarnation, to);
                }
            }
        }
        if regular {
            self.schedule(now + 20_000, Step::Connector { regular });
        }
    }

    fn tend_stream(&mut self, from: u64, from_incarnation: u64, to: u64) {
        let now = self.now;
        let timeout = self.plan.stream_timeout_us;
        let target = &self.nodes[&to];
        let (running, incarnation, machine_up) = (target.is_running(), target.incarnation, target.machine_up);
        let (down_since, paused) = (target.down_since, target.is_paused(now));
        let cut_since = self.net.cut_since(from, to);
        match self.net.stream(from, to) {
            Some(stream) => {
                let own = stream.from_incarnation == from_incarnation;
                let dead = !running || incarnation != stream.to_incarnation;
                // A dead process' kernel resets the connection, if the reset gets through.
                let reset = dead && machine_up && cut_since.is_none();
                let silent = cut_since.is_some_and(|since| now > since + timeout)
                    || (dead && !machine_up && now > down_since + timeout);
                if !own || reset || silent {
                    self.net.disconnect(from, to);
                    if own {
                        self.hand_in_all(from, || Event::PeerLost { node: NodeId(to) });
                    }
                    if own && reset && !running {
                        self.tell_gone(from, to);
                    }
                }
            }
            None if cut_since.is_none() && running && !paused => {
                self.net.connect(from, from_incarnation, to, incarnation);
                let from_process = self.node_mut(from).process.as_mut().expect("checked by the caller");
                from_process.was_connected.insert(to);
                from_process.told_gone.remove(&to);
                if let Some(to_process) = self.node_mut(to).process.as_mut() {
                    to_process.known.insert(from);
                }
                self.hand_in_all(from, || Event::PeerConnected { node: NodeId(to) });
            }
            None if cut_since.is_none() && !running && machine_up => self.tell_gone(from, to),
            None => {}
        }
    }

    /// The port refuses connections: said once for each death.
    fn tell_gone(&mut self, from: u64, to: u64) {
        let process = self.node_mut(from).process.as_mut().expect("checked by the caller");
        if process.was_connected.contains(&to) && process.told_gone.insert(to) {
            self.counters.mark("peer's process found gone");
            self.hand_in_all(from, || Event::PeerGone { node: NodeId(to) });
        }
    }

    // --- programs ---

    pub fn tell(&mut self, program: usize, input: Input) {
        let mut out = Vec::new();
        match &mut self.programs[program] {
            Program::App(app) => {
                app.handle(self.now, input, &mut self.history, &mut out);
                if let Some(complaint) = app.complaints.pop() {
                    self.fail("bodies", complaint);
                }
            }
            Program::Operator(operator) => operator.handle(self.now, input, &mut out),
            Program::Puppet(puppet) => puppet.handle(self.now, input),
        }
        for output in out {
            self.carry(program, output);
        }
    }

    /// What a program asked for.
    pub fn carry(&mut self, program: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Connect { node } => {
                let guess = self.rng.chance(100);
                let members: Vec<u64> = self.members.iter().copied().collect();
                let any = *self.rng.pick(&members).expect("there is always a member");
                let node = node.filter(|node| !guess && self.nodes.contains_key(node)).unwrap_or(any);
                let target = &self.nodes[&node];
                let delay = self.rng.between(60, 1_500);
                if target.is_running() && self.net.clients_reach(node) {
                    self.schedule(now + delay, Step::Connect { program, node });
                } else {
                    let refused = target.machine_up && self.net.clients_reach(node);
                    let delay = if refused { delay } else { 700_000 };
                    self.schedule(now + delay, Step::Refused { program, hint: None });
                }
            }
            Output::Disconnect => {
                if let Some(connection) = self.connections.remove(&program) {
                    let reached = self.net.clients_reach(connection.node);
                    let delay = if reached {
                        self.rng.between(60, 1_500)
                    } else {
                        self.rng.between(500_000, 4_000_000)
                    };
                    let step = Step::SessionEnds {
                        node: connection.node,
                        incarnation: connection.incarnation,
                        session: connection.session,
                    };
                    self.schedule((now + delay).max(connection.to_node_at + 1), step);
                }
            }
            Output::Call { token, call } => {
                let delay = self.rng.skewed(60, 1_500);
                let Some(connection) = self.connections.get_mut(&program) else { return };
                let at = (now + delay).max(connection.to_node_at + 1);
                connection.to_node_at = at;
                let Connection { session, node, incarnation, .. } = *connection;
                if !self.net.clients_reach(node) {
                    self.stick(node, session);
                }
                let call = Box::new(call);
                self.schedule(at, Step::CallArrives { node, incarnation, session, token, call });
            }
            Output::Wake { at } => {
                if self.wakes.get(&program).is_none_or(|earlier| *earlier > at || *earlier < now) {
                    self.wakes.insert(program, at);
                    self.schedule(at, Step::Wake { program });
                }
            }
        }
    }

    /// A connection that a fault has eaten from carries nothing any more; both ends find out by and by.
    fn stick(&mut self, node: u64, session: u64) {
        let (to_program, to_node) =
            (self.rng.between(400_000, 3_000_000), self.rng.between(400_000, 4_000_000));
        let now = self.now;
        let target = self.node_mut(node);
        let incarnation = target.incarnation;
        let Some(open) = target.process.as_mut().and_then(|process| process.sessions.get_mut(&session))
        else {
            return;
        };
        if std::mem::replace(&mut open.stuck, true) {
            return;
        }
        let program = open.program;
        let input = Box::new(Input::Broken { reason: Reason::ConnectionBroken });
        self.schedule(now + to_program, Step::ToProgram { program, session, input });
        self.schedule(now + to_node, Step::SessionEnds { node, incarnation, session });
    }

    pub fn has_stuck_sessions(&self) -> bool {
        let processes = self.nodes.values().filter_map(|node| node.process.as_ref());
        processes.flat_map(|process| process.sessions.values()).any(|session| session.stuck)
    }

    pub fn break_session(&mut self, node: u64, session: u64) {
        self.stick(node, session);
    }

    fn on_connect(&mut self, program: usize, node: u64) {
        let now = self.now;
        let delay = self.rng.between(60, 1_500);
        let queue_manager = self.programs[program].queue_manager();
        let dare = self.nemesis_on && self.rng.chance(50);
        let Some(process) = &self.nodes[&node].process else {
            return self.schedule(now + delay, Step::Refused { program, hint: None });
        };
        let mind = &process.minds[queue_manager];
        let hint = match &mind.role {
            RoleView::NotServing { leader, .. } => leader.map(|leader| leader.0),
            _ => None,
        };
        // A listener refuses when its node does not serve; some calls are on their way when that changes.
        if (!mind.role.is_serving() && !dare) || mind.removed {
            return self.schedule(now + delay, Step::Refused { program, hint });
        }
        let wire = match self.programs[program] {
            Program::App(_) => match Wire::new(self.plan.session_calls_max, self.plan.session_bytes_max) {
                Ok(wire) => Some(wire),
                Err(sentence) => return self.fail("conversation", sentence),
            },
            _ => None,
        };
        self.session_last += 1;
        let session = self.session_last;
        let target = self.node_mut(node);
        let incarnation = target.incarnation;
        let process = target.process.as_mut().expect("just looked at");
        process.sessions.insert(
            session,
            OpenSession { program, queue_manager, wire, calls: BTreeMap::new(), stuck: false },
        );
        let connection =
            Connection { session, node, incarnation, to_node_at: now, to_program_at: now + delay };
        self.connections.insert(program, connection);
        let identity = Identity { user: format!("user{program}") };
        let event = Event::SessionOpened {
            session: SessionId(session),
            identity,
            application: format!("program {program}"),
        };
        self.hand_in(node, queue_manager, event);
        self.schedule(now + delay, Step::Connected { program, session });
    }

    fn on_call_arrives(&mut self, node: u64, session: u64, token: Token, call: Call) {
        let process = self.node_mut(node).process.as_mut().expect("checked by the caller");
        let Some(open) = process.sessions.get_mut(&session) else { return };
        if open.stuck {
            return;
        }
        let arrived = match &mut open.wire {
            Some(wire) => wire.arrives(token, call),
            None => Ok(Passed { calls: vec![(token, call)], ..Passed::default() }),
        };
        self.pass(node, session, arrived);
    }

    /// Calls go to the replica, answers to the program.
    fn pass(&mut self, node: u64, session: u64, passed: Result<Passed, String>) {
        let Passed { calls, answers } = match passed {
            Ok(passed) => passed,
            Err(sentence) => return self.fail("conversation", format!("session {session}: {sentence}")),
        };
        let now = self.now;
        for (token, call) in calls {
            let process = self.node_mut(node).process.as_mut().expect("it carries the session");
            let Some(open) = process.sessions.get_mut(&session) else { return };
            open.calls.insert(token.0, now + answered::due_after(&call));
            let queue_manager = open.queue_manager;
            self.counters.calls += 1;
            self.hand_in(node, queue_manager, Event::Call { session: SessionId(session), token, call });
        }
        for (token, completion) in answers {
            let process = self.node_mut(node).process.as_mut().expect("it carries the session");
            let Some(open) = process.sessions.get(&session).filter(|open| !open.stuck) else { return };
            let program = open.program;
            self.tell_program(node, program, session, Input::Answer { token, completion });
        }
    }

    fn on_session_ends(&mut self, node: u64, session: u64) {
        let process = self.node_mut(node).process.as_mut().expect("checked by the caller");
        if let Some(open) = process.sessions.get(&session) {
            let queue_manager = open.queue_manager;
            self.hand_in(node, queue_manager, Event::SessionClosed { session: SessionId(session) });
        }
    }

    fn on_complete(
        &mut self,
        node: u64,
        session: u64,
        token: Token,
        completion: trimaran_node::mqi::Completion,
    ) {
        let process = self.node_mut(node).process.as_mut().expect("it is having a turn");
        // The session may be gone: its listener drops what is for it.
        let Some(open) = process.sessions.get_mut(&session) else { return };
        let progress = matches!(completion.data, trimaran_node::mqi::Data::Progress { .. });
        if !progress && open.calls.remove(&token.0).is_none() {
            return self.fail(answered::NAME, answered::twice(node, session, token, completion.reason));
        }
        let outcome = format!("{}", completion.reason);
        let answered = match &mut open.wire {
            _ if open.stuck => Ok(Passed::default()),
            Some(wire) => wire.answer(token, completion),
            None => Ok(Passed { answers: vec![(token, completion)], ..Passed::default() }),
        };
        *self.counters.outcomes.entry(outcome).or_default() += 1;
        self.pass(node, session, answered);
    }

    fn tell_program(&mut self, node: u64, program: usize, session: u64, input: Input) {
        if !self.net.clients_reach(node) {
            return self.stick(node, session);
        }
        let delay = self.rng.skewed(60, 1_500);
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&program) else { return };
        if connection.session != session {
            return;
        }
        let at = (now + delay).max(connection.to_program_at + 1);
        connection.to_program_at = at;
        self.schedule(at, Step::ToProgram { program, session, input: Box::new(input) });
    }

    // --- looking ---

    fn check_now(&mut self) {
        self.trace.number(self.now);
        let keeps = self.plan.keeps_address;
        if let Some((checker, sentence)) = self.checks.every_tick(self.now, keeps, &self.nodes) {
            self.fail(checker, sentence);
        }
        if let Some(sentence) = answered::overdue(self.now, self.healed_at, &self.nodes) {
            self.fail(answered::NAME, sentence);
        }
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.tend_disk(id);
        }
    }

    fn tend_disk(&mut self, id: u64) {
        let now = self.now;
        let node = self.node_mut(id);
        if node.is_running()
            && !node.is_paused(now)
            && let Err(failed) = node.disk.tend(now)
        {
            self.on_disk_failed(id, failed);
        }
        let disk = &mut self.node_mut(id).disk;
        let (marks, complaint, calls) = (disk.take_marks(), disk.complaint(), disk.calls_made());
        if self.plan.depth == Depth::B {
            self.trace.number(calls);
        }
        marks.into_iter().for_each(|mark| self.counters.mark(mark));
        if let Some(sentence) = complaint {
            self.fail("stores", format!("node {id}: {sentence}"));
        }
    }

    /// The node that serves a queue manager just now, by its own clock.
    pub fn serving(&self, queue_manager: usize) -> Option<u64> {
        self.nodes.values().find_map(|node| {
            let local = Instant(node.clock.local(self.now));
            let mind = &node.process.as_ref()?.minds[queue_manager];
            super::address::may_hold(&mind.role, local).then_some(node.id)
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
        machine_up: true,
        down_since: 0,
        paused_until: None,
        recovering: BTreeSet::new(),
        member: true,
        retired: false,
        turn_us: plan.turn_us,
        sync_us: plan.sync_us,
        flush_us: plan.flush_us,
        disk_low: false,
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
