//! Turns: what waits is handed to a replica, and what it asks for is carried out, as `runtime/driver.rs` does it.

use trimaran_node::replica::{Action, Event};
use trimaran_node::types::{Instant, Reason, RoleView, SessionId};

use super::{EVENTS_PER_TURN_MAX, IDLE_TURN_US, Step, World};

use crate::check::{instances, log_and_store, placement, turns, versions};
use crate::model::app::Input;
use crate::sim::address::may_serve;
use crate::sim::node::{Part, queue_manager_id};

impl World {
    pub fn hand_in(&mut self, id: u64, mind: usize, event: Event) {
        let turn_us = self.nodes.get(&id).map_or(self.plan.turn_us, |node| node.turn_us);
        let delay = self.rng.between(turn_us.0, turn_us.1);
        let due = self.now + delay;
        let Some(process) = self.node_mut(id).process.as_mut() else { return };
        process.minds[mind].inbox.push_back(event);
        self.schedule_turn(id, mind, due);
    }

    pub(super) fn hand_in_all(&mut self, id: u64, event: impl Fn() -> Event) {
        for mind in 0..self.plan.setup.queue_managers {
            self.hand_in(id, mind, event());
        }
    }

    pub(super) fn schedule_turn(&mut self, id: u64, mind: usize, due: u64) {
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let Some(process) = node.process.as_mut() else { return };
        let due = due.max(process.minds[mind].busy_until);
        let slot = &mut process.minds[mind].turn_at;
        if slot.is_some_and(|at| at <= due) {
            return;
        }
        *slot = Some(due);
        self.schedule(due, Step::Turn { node: id, incarnation, mind });
    }

    pub(super) fn turn(&mut self, id: u64, number: usize) {
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
            match &event {
                Event::SessionClosed { session } => drop(process.sessions.remove(&session.0)),
                Event::Connect { session, .. } => instances::settle(&mut process.sessions, session.0),
                _ => {}
            }
            mind.replica.handle(event);
        }
        let mut actions = std::mem::take(&mut self.actions);
        mind.replica.end_turn(&mut actions);
        mind.busy_until = now + turns::duration_us(&mind.replica, self.plan.look_us);
        let more = !mind.inbox.is_empty();
        let deadline = mind.replica.next_deadline().map(|at| node.clock.true_time(at.0));
        if let Some(sentence) = self.checks.versions.after_turn(id, number, &self.nodes) {
            self.fail(versions::NAME, sentence);
        }
        let setup = &self.plan.setup;
        if let Some(sentence) = self.checks.placements.after_turn(&self.nodes[&id], number, setup, now) {
            self.fail(placement::NAME, sentence);
        }
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
        let (look_us, healed_at) = (self.plan.look_us, self.healed_at);
        let (nodes, counters) = (&mut self.nodes, &mut self.counters);
        if let Some((checker, sentence)) =
            self.checks.after_turn(id, number, look_us, healed_at, nodes, counters)
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

    pub(super) fn carry_out(&mut self, id: u64, number: usize, action: Action) {
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
                let answer = (token, completion);
                if !self.answers_server(id, number, session, &answer) {
                    self.on_complete(id, session.0, answer.0, answer.1);
                }
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
            // Programs send their calls right behind the connect. Who comes through a channel waits for a place first; who hands
            // over lets nobody in; nobody else is refused in the simulator's worlds.
            Action::Admit { session, admitted } if self.admits_server(id, number, session, &admitted) => {}
            Action::Admit { session, admitted } => {
                let process = self.node(id).process.as_ref().expect("it is having a turn");
                let part = process.sessions.get(&session.0).map(|open| open.part);
                match (part, admitted) {
                    (Some(Part::Instance { .. }), admitted) => self.on_instance(id, session.0, admitted),
                    (_, Ok(_)) => {}
                    (_, Err(refusal)) if refusal.reason == Reason::QMgrNotAvailable => {
                        self.counters.mark("session refused by a node that hands over");
                        self.end_session(id, number, session, Reason::ConnectionBroken, true);
                    }
                    (_, Err(refusal)) => {
                        self.fail("admission", format!("session {session} was refused: {refusal:?}"));
                    }
                }
            }
            Action::CloseSession { session, reason, all_answered } => {
                self.counters.mark("session closed by its node");
                if !self.ends_server(id, number, session, reason, all_answered) {
                    self.end_session(id, number, session, reason, all_answered);
                }
            }
            Action::PublishRole(role) => self.on_role(id, number, role),
            // There are no ports in this world.
            Action::PublishListeners(_) => {}
            // No mind comes or goes for it in this world.
            Action::PublishRegister(records) => self.on_register(id, number, &records),
            Action::PublishVersion(_) => self.counters.mark("version followed"),
            Action::Stuck { sentence } => self.on_stuck(id, sentence),
            Action::Report { .. } => self.counters.mark("sentence for the error log"),
            Action::TrailEnds(_) => self.counters.mark("record of the trail gone"),
            Action::GetStateAgain { .. } => {
                self.counters.mark("process ended because its state was another one");
                self.crash(id, false);
                self.node_mut(id).disk.lose_store();
                self.checks.on_damage(id, &self.nodes);
                self.restart_later(id);
            }
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
            Action::NoteParted { parted } => {
                if let Err(failed) = self.node_mut(id).disk.note_parted(queue_manager_id(number), parted) {
                    self.on_disk_failed(id, failed);
                }
            }
            Action::Removed => {
                let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
                process.minds[number].removed = true;
                process.minds[number].role = RoleView::Removed;
                self.counters.mark("node learned of its removal");
            }
        }
    }

    fn end_session(&mut self, id: u64, mind: usize, session: SessionId, reason: Reason, all_answered: bool) {
        let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
        let Some(mut open) = process.sessions.remove(&session.0) else { return };
        if !open.stuck {
            let left = open.wire.as_mut().map_or(Ok(Vec::new()), |wire| wire.close(reason, all_answered));
            let left = left.unwrap_or_else(|sentence| {
                self.fail("conversation", format!("session {session}: {sentence}"));
                Vec::new()
            });
            for (token, completion) in left {
                self.counters.mark("call left when its session ended");
                let input = Input::Answer { token, completion, units_decided: 0 };
                self.tell_program(id, open.program, session.0, input);
            }
            self.tell_program(id, open.program, session.0, Input::Broken { reason });
        }
        self.end_other_part(id, mind, open.part);
    }

    pub(super) fn on_role(&mut self, id: u64, number: usize, role: RoleView) {
        let now = self.now;
        self.order_address(id, number, &role);
        self.tell_server_role(id, number, &role);
        let node = self.nodes.get_mut(&id).expect("it is having a turn");
        let local = Instant(node.clock.local(now));
        let process = node.process.as_mut().expect("it is having a turn");
        let mind = &mut process.minds[number];
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
        if is_serving && !may_serve(&mind.role, local) {
            mind.leased_from = now;
        }
        mind.role = role.clone();
        if is_serving && !was_serving {
            mind.served_from = now;
            self.counters.mark("began to serve");
            self.history.serving_begun.push((number as u32, now));
        }
        if let Some((checker, sentence)) = self.checks.on_role(id, number, &role, now, &self.nodes) {
            self.fail(checker, sentence);
        }
        if caught_up && let Err(failed) = self.node_mut(id).disk.caught_up(queue_manager_id(number)) {
            self.on_disk_failed(id, failed);
        }
    }
}
