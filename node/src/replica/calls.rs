//! A call arrives: it is answered at once, waits in its session, or goes to the file that knows its story.

use super::handles::Wanted;
use super::proposals::Waiting;
use super::sessions::Session;
use super::turn::{CALL, LOOK};
use super::{Action, Replica};
use crate::mqi::{
    Call, CloseOption, Completion, Data, OpenOptions, Operate, Put, PutTarget, Refusal, RunRequest,
};
use crate::qmgr::{Command, LoadRequest, Object};
use crate::types::{SessionId, Token, limits};

/// Batches that wait for consensus; more calls are parked until there are fewer.
pub(super) const BACKLOG_BYTES_MAX: usize = 8 << 20;
const _: () = assert!(BACKLOG_BYTES_MAX > limits::ENTRY_BYTES_MAX, "one batch that waits holds nobody up");

impl Replica {
    pub(super) fn on_call(&mut self, session: SessionId, token: Token, call: Call) {
        let is_late = self.turn.is_over() || self.is_half_applied();
        let is_late = is_late && self.standing.serving().is_some();
        let Some(state) = self.sessions.get_mut(session) else { return };
        if is_late || !state.parked.is_empty() {
            return self.park(session, token, call);
        }
        if let Some(held) = self.dispatch(session, token, call) {
            self.park(session, token, held);
        }
    }

    /// Sessions whose calls wait have their turns: one call each, and then from the front again for as long as the turn
    /// of the replica goes on.
    pub(super) fn take_turns(&mut self) {
        if self.is_half_applied() {
            return;
        }
        self.rounds += 1;
        self.turn.next_phase();
        let mut held = Vec::new();
        while let Some(leading) = self.standing.leading_mut()
            && let Some(session) = leading.line.next()
        {
            let Some(state) = self.sessions.get_mut(session) else { continue };
            let Some((token, call)) = state.parked.pop_front() else { continue };
            debug_assert!(
                state.search.is_none_or(|search| search.token == token),
                "a search goes on with the call that began it"
            );
            self.turn.next_search();
            let call = self.dispatch(session, token, call);
            let Some(state) = self.sessions.get_mut(session) else { continue };
            match call {
                Some(call) => {
                    state.parked.push_front((token, call));
                    held.push(session);
                }
                None if state.parked.is_empty() => {}
                None => self.join_line(session),
            }
            if self.turn.is_over() || self.is_half_applied() {
                break;
            }
        }
        self.is_not_done |= self.line().0 > 0;
        held.into_iter().for_each(|session| self.join_line(session));
    }

    pub(super) fn park(&mut self, session: SessionId, token: Token, call: Call) {
        debug_assert!(self.is_serving(), "a call that no node will carry out does not wait");
        if let Some(state) = self.sessions.get_mut(session) {
            state.parked.push_back((token, call));
            self.join_line(session);
        }
    }

    fn join_line(&mut self, session: SessionId) {
        if let Some(leading) = self.standing.leading_mut() {
            leading.line.join(session, self.rounds);
        }
    }

    /// Gives the call back when it has to wait.
    fn dispatch(&mut self, session: SessionId, token: Token, call: Call) -> Option<Call> {
        let asked = call.check().and_then(|()| self.may_call(session, &call));
        if let Err(refusal) = asked.and_then(|()| self.check_runs(session, &call)) {
            self.turn.spend(CALL);
            self.answer(session, token, refusal.into());
            return None;
        }
        if self.must_wait(session, &call) {
            self.turn.spend(LOOK);
            return Some(call);
        }
        self.turn.spend(CALL);
        match call {
            // Every node answers these.
            Call::Ping => self.answer(session, token, Completion::done()),
            Call::Operate(Operate::Status) => {
                let status = self.status();
                self.answer(session, token, Completion::ok(Data::Status(Box::new(status))));
            }
            Call::Operate(Operate::Failovers { after }) => self.on_failovers(session, token, after),
            Call::Operate(Operate::Trail { after }) => self.on_trail(session, token, after),
            Call::Operate(Operate::Recover(request)) => {
                let completion = self.on_recover(request);
                self.answer(session, token, completion);
            }
            _ if !self.is_serving() => {
                let leader = self.consensus.leader().filter(|leader| *leader != self.options.node);
                self.answer(session, token, Completion::not_serving(leader));
            }
            Call::Open { handle, queue, options, dynamic, selector } => {
                let wanted = Wanted { handle, queue, options, dynamic, selector };
                return self.on_open(session, token, wanted).map(Wanted::into_call);
            }
            Call::OpenManager { handle, options } => self.on_open_manager(session, token, handle, options),
            Call::Close { handle, close } => return self.on_close(session, token, handle, close),
            Call::Put(put) => self.on_put(session, token, put),
            Call::Get(get) => return self.on_get(session, token, get).map(Call::Get),
            Call::CancelGet { token: of } => self.on_cancel_get(session, token, of),
            Call::Commit { unit, units_decided } => self.on_commit(session, token, unit, units_decided),
            Call::Backout => self.on_backout(session, token),
            Call::UnitOutcome { unit, units_decided } => {
                self.on_unit_outcome(session, token, unit, units_decided)
            }
            Call::Inquire { handle } => self.on_inquire(session, token, handle),
            Call::Set { handle, changes } => match self.set_by_handle(session, handle, &changes) {
                Ok(alter) => self.on_admin(session, token, alter),
                Err(refused) => self.answer(session, token, refused.into()),
            },
            Call::Admin(admin) => self.on_admin(session, token, admin),
            Call::Operate(Operate::Classify(said)) => self.on_classify(session, token, said),
            Call::Operate(Operate::Move { to, units_within }) => {
                self.on_move(session, token, to, units_within)
            }
            Call::Operate(Operate::Maintain { node, begins, force }) => {
                self.on_maintain(session, token, node, begins, force)
            }
            Call::Operate(Operate::Run(request)) => self.on_run(session, token, request),
            Call::Operate(Operate::Create(request)) => self.on_create(session, token, *request),
            Call::Operate(Operate::Arrange(request)) => self.on_arrange(session, token, *request),
            Call::Operate(Operate::Delete { name }) => self.on_delete_queue_manager(session, token, &name),
            Call::Operate(Operate::Raise { to }) => self.on_raise(session, token, to),
            Call::Operate(Operate::Members(request)) => self.on_change_membership(session, token, request),
        }
        None
    }

    /// Commands ask for each object; what is done with a handle was asked for when it was opened.
    fn may_call(&self, session: SessionId, call: &Call) -> Result<(), Refusal> {
        match call {
            Call::Open { queue, options, .. } => self.may_open(session, queue, *options),
            Call::OpenManager { options, .. } => self.may_open_as(session, Object::QueueManager, *options),
            Call::Put(Put { to: PutTarget::Queue(queue), context, .. }) => {
                self.may_open(session, queue, OpenOptions::for_put(*context))
            }
            Call::Close { handle, close } if *close != CloseOption::Keep => {
                self.may_delete_by(session, *handle)
            }
            Call::Admin(admin) => self.may_administer(session, admin),
            Call::Operate(operate) => self.may_operate(session, operate),
            Call::Put(_)
            | Call::Close { .. }
            | Call::Get(_)
            | Call::CancelGet { .. }
            | Call::Commit { .. }
            | Call::Backout
            | Call::UnitOutcome { .. }
            | Call::Inquire { .. }
            | Call::Set { .. }
            | Call::Ping => Ok(()),
        }
    }

    /// Nothing grows without bound: while the log or the store cannot take more, or the lease is not confirmed, or an
    /// earlier body of the session is still on its way, calls wait in their session.
    fn must_wait(&self, session: SessionId, call: &Call) -> bool {
        // A handover lasts for moments: then the call goes on here, or the session ends and it never happened.
        let moving = |session: &Session| {
            let awaits = session.staging > 0 || session.loading > 0 || session.opening > 0;
            awaits || session.is_sent_away
        };
        let Some(leading) = self.standing.serving() else { return false };
        // A new leader that has heard no majority of clocks does not know what time it is. It hears them with its lease.
        let held = leading.handover.is_some_and(|handover| self.waits_for_handover(&handover, session, call))
            || self.time.is_none()
            || self.sessions.get(session).is_some_and(moving);
        match call {
            Call::Ping
            | Call::Operate(
                Operate::Status | Operate::Failovers { .. } | Operate::Trail { .. } | Operate::Recover(_),
            ) => false,
            Call::Put(put) => {
                held || self.repeats_under_way(put)
                    || leading.proposals.backlog_bytes() > BACKLOG_BYTES_MAX
                    || self.compaction.is_behind()
            }
            Call::Commit { .. } | Call::Backout => {
                held || leading.proposals.backlog_bytes() > BACKLOG_BYTES_MAX
            }
            // What it ends, a start does not find in its middle.
            Call::Operate(Operate::Run(RunRequest::Start)) => {
                held || !self.has_lease() || self.is_ending_programs()
            }
            Call::Get(_) | Call::Inquire { .. } | Call::UnitOutcome { .. } | Call::Operate(_) => {
                held || !self.has_lease()
            }
            Call::Admin(admin) => held || !self.has_lease() || leading.defining.holds_up(admin),
            // Whatever is wrong with it is said at once.
            Call::Set { handle, changes } => {
                let alter = self.set_by_handle(session, *handle, changes);
                held || !self.has_lease() || alter.is_ok_and(|alter| leading.defining.holds_up(&alter))
            }
            Call::Open { .. } | Call::OpenManager { .. } | Call::Close { .. } | Call::CancelGet { .. } => {
                held
            }
        }
    }

    pub(super) fn propose(&mut self, command: Command, waiting: Waiting) {
        let at = self.wall();
        self.stats.commands_proposed += 1;
        self.standing.own_mut().proposals.add(command, at, waiting);
    }

    pub(super) fn load_rows(&mut self, request: LoadRequest) {
        debug_assert!(!request.keys.is_empty(), "a request names rows");
        self.out.push(Action::LoadRows(request));
    }
}
