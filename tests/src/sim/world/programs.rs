//! Programs and their connections: what they ask for, what is carried to nodes and back, sessions that stick.

use std::collections::BTreeMap;

use trimaran_node::mqi::{Call, Completion, Connect, Data, Get, Identity, Purpose, Wait};
use trimaran_node::replica::Event;
use trimaran_node::types::definition::Tongue;
use trimaran_node::types::{Reason, RoleView, SessionId, Token};

use super::{Connection, Program, Step, World};
use crate::check::answered;
use crate::model::app::{Input, Output};
use crate::sim::node::{OpenSession, Part};
use crate::sim::wire::{Passed, Wire};

impl World {
    pub fn tell(&mut self, program: usize, input: Input) {
        let mut out = Vec::new();
        match &mut self.programs[program] {
            Program::App(app) => {
                app.handle(self.now, input, &mut self.history, &mut out);
                if let Some(complaint) = app.complaints.pop() {
                    self.fail("bodies", complaint);
                }
            }
            Program::Administrator(administrator) => {
                administrator.handle(self.now, input, &mut self.history, &mut out)
            }
            Program::Operator(operator) => operator.handle(self.now, input, &mut out),
            Program::Commander(commander) => commander.handle(self.now, input, &mut out),
            Program::Registrar(registrar) => registrar.handle(self.now, input, &mut out),
            Program::Canary(_) => self.tell_canary(program, input, &mut out),
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
                self.checks.placements.on_call(&call);
                let delay = self.rng.skewed(60, 1_500);
                let Some(connection) = self.connections.get_mut(&program) else { return };
                let at = (now + delay).max(connection.to_node_at + 1);
                connection.to_node_at = at;
                let Connection { session, node, incarnation, .. } = *connection;
                if !self.net.clients_reach(node) {
                    self.stick(node, session);
                }
                let ends_at = self.end_of_wait(program, &call).map(|wait_us| at + wait_us);
                let call = Box::new(call);
                self.schedule(at, Step::CallArrives { node, incarnation, session, token, call });
                if let Some(at) = ends_at {
                    let call = Box::new(Call::CancelGet { token });
                    self.schedule(at, Step::CallArrives { node, incarnation, session, token, call });
                }
            }
            Output::Wake { at } => {
                if self.wakes.get(&program).is_none_or(|earlier| *earlier > at || *earlier < now) {
                    self.wakes.insert(program, at);
                    self.schedule(at, Step::Wake { program });
                }
            }
        }
    }

    /// How long after it arrived a client itself ends the wait of this call.
    fn end_of_wait(&self, program: usize, call: &Call) -> Option<u64> {
        let Call::Get(Get { wait: Wait::For(time), .. }) = call else { return None };
        let Program::App(app) = &self.programs[program] else { return None };
        app.tongue.ends_its_waits().then_some(time.as_micros() as u64)
    }

    /// A connection that a fault has eaten from carries nothing any more; both ends find out by and by.
    pub(super) fn stick(&mut self, node: u64, session: u64) {
        let (to_program, to_node) =
            (self.rng.between(400_000, 3_000_000), self.rng.between(400_000, 4_000_000));
        let now = self.now;
        let target = self.node_mut(node);
        let incarnation = target.incarnation;
        let Some(process) = target.process.as_mut() else { return };
        // Nothing is said for an instance once its program is connected.
        let session = match process.sessions.get(&session).map(|open| open.part) {
            Some(Part::Instance { of: Some(program), .. }) => program,
            _ => session,
        };
        let Some(open) = process.sessions.get_mut(&session) else { return };
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

    pub(super) fn on_connect(&mut self, program: usize, node: u64) {
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
        let is_errand = matches!(&self.programs[program], Program::Puppet(puppet) if puppet.is_errand);
        let lets_in = mind.role.is_serving() || dare || (is_errand && mind.role.leads());
        if !lets_in || mind.removed {
            return self.schedule(now + delay, Step::Refused { program, hint });
        }
        let (calls_max, bytes_max) = (self.plan.session_calls_max, self.plan.session_bytes_max);
        let wire = match &self.programs[program] {
            Program::App(app) if app.tongue.is_channel() => return self.begin_instance(program, node),
            Program::App(_) => match Wire::frames(calls_max, bytes_max) {
                Ok(wire) => Some(wire),
                Err(sentence) => return self.fail("conversation", sentence),
            },
            _ => None,
        };
        let open = OpenSession {
            program,
            queue_manager,
            wire,
            calls: BTreeMap::new(),
            stuck: false,
            part: Part::Whole,
        };
        let session = self.open_session(node, open, delay);
        let identity = Identity { tongue: Tongue::Grpc, ..Identity::of(format!("user{program}")) };
        let purpose = if is_errand { Purpose::Errand } else { Purpose::Program };
        let connect = Connect { purpose, ..Connect::new(identity, format!("program {program}")) };
        let event = Event::Connect { session: SessionId(session), connect };
        self.hand_in(node, queue_manager, event);
        self.schedule(now + delay, Step::Connected { program, session });
    }

    /// The number of the session, which is its program's connection from now on.
    pub(super) fn open_session(&mut self, node: u64, open: OpenSession, delay: u64) -> u64 {
        let (now, program) = (self.now, open.program);
        self.session_last += 1;
        let session = self.session_last;
        let target = self.node_mut(node);
        let incarnation = target.incarnation;
        target.process.as_mut().expect("it runs").sessions.insert(session, open);
        let connection =
            Connection { session, node, incarnation, to_node_at: now, to_program_at: now + delay };
        self.connections.insert(program, connection);
        session
    }

    pub(super) fn on_call_arrives(&mut self, node: u64, session: u64, token: Token, call: Call) {
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
    pub(super) fn pass(&mut self, node: u64, session: u64, passed: Result<Passed, String>) {
        let Passed { calls, answers, units_decided } = match passed {
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
            let input = Input::Answer { token, completion, units_decided };
            self.tell_program(node, program, session, input);
        }
    }

    pub(super) fn on_session_ends(&mut self, node: u64, session: u64) {
        let process = self.node_mut(node).process.as_mut().expect("checked by the caller");
        if let Some(open) = process.sessions.get(&session) {
            let (queue_manager, part) = (open.queue_manager, open.part);
            self.hand_in(node, queue_manager, Event::SessionClosed { session: SessionId(session) });
            self.end_other_part(node, queue_manager, part);
        }
    }

    pub(super) fn on_complete(&mut self, node: u64, session: u64, token: Token, completion: Completion) {
        let process = self.node_mut(node).process.as_mut().expect("it is having a turn");
        // The session may be gone: its listener drops what is for it.
        let Some(open) = process.sessions.get_mut(&session) else { return };
        let progress = matches!(completion.data, Data::Progress { .. });
        if !progress && open.calls.remove(&token.0).is_none() {
            return self.fail(answered::NAME, answered::twice(node, session, token, completion.reason));
        }
        let outcome = format!("{}", completion.reason);
        let mind = &process.minds[open.queue_manager];
        let units_decided = mind.replica.queue_manager().units_decided();
        let answered = match &mut open.wire {
            _ if open.stuck => Ok(Passed::default()),
            Some(wire) => wire.answer(token, completion, units_decided),
            None => Ok(Passed { answers: vec![(token, completion)], ..Passed::default() }),
        };
        *self.counters.outcomes.entry(outcome).or_default() += 1;
        self.pass(node, session, answered);
    }

    pub(super) fn tell_program(&mut self, node: u64, program: usize, session: u64, input: Input) {
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
}
