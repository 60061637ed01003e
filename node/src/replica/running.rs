//! The queue manager is started and ended (strmqm, endmqm): a fact of its log, which every node of its group keeps.
//!
//! Ended, it is led and copied as before, and serves nobody: its leader says so in its role, by which ports are closed and the
//! floating address goes, ends every session, and carries out what operators ask for. So an end needs a majority and outlasts any
//! restart, a node that is away then learns it from the log, and a start is one entry.
//!
//! A controlled end goes by way of a queue manager that *quiesces*. Nobody is let in, and whatever is no part of an open unit of
//! work is answered 2161, waits too, as MQ answers programs that ask for it (MQGMO_FAIL_IF_QUIESCING), and the others as well:
//! a program that waits for ever would hold up the end for ever. Whoever leads when the last program has left says that it ended.

use std::time::Duration;

use super::proposals::Waiting;
use super::sessions::Session;
use super::turn::LEAVE;
use super::{Action, Replica};
use crate::mqi::{self, Call, Completion, Purpose, Refusal, RunRequest};
use crate::qmgr::Command;
use crate::types::{Reason, RunState, SessionId, Token, Version};

/// How often the leader of a queue manager that quiesces looks whether a program is left.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Replica {
    pub(super) fn on_run(&mut self, session: SessionId, token: Token, request: RunRequest) {
        debug_assert!(self.is_serving(), "whoever leads proposes what is replicated");
        let state = match request {
            RunRequest::Start => RunState::Running,
            RunRequest::EndControlled => RunState::Quiescing,
            RunRequest::EndImmediately { .. } => RunState::EndedImmediately,
        };
        if let Err(refusal) = self.check_run(state) {
            return self.answer(session, token, refusal.into());
        }
        if !self.state.run().may_become(state) {
            return self.answer(session, token, Completion::done());
        }
        if let RunRequest::EndImmediately { reconnect } = request {
            self.standing.own_mut().ending.reconnect = reconnect;
        }
        let by = self.by(session).into();
        self.propose(Command::Run { state, by }, Waiting::Admin { session, token, queue: None });
    }

    fn check_run(&self, state: RunState) -> Result<(), Refusal> {
        let version = self.state.version();
        if version < Version::RECORDS {
            let detail = format!(
                "That a queue manager was ended is a fact of version {}, and it has version {version}: when every node runs this \
                 release, raise it with `trimaran cluster upgrade`.",
                Version::RECORDS
            );
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        if state == RunState::Running && self.state.run() == RunState::Quiescing {
            let detail = "It is ending: start it when it has ended, or end it at once with endmqm -i first.";
            return Err(Refusal::because(Reason::QMgrQuiescing, detail));
        }
        Ok(())
    }

    /// Whether a program may connect.
    ///
    /// # Errors
    /// 2161 while the queue manager quiesces, 2059 when it was ended. Where this node does not serve it is not for it to say.
    pub(super) fn check_lets_in(&self) -> Result<(), Refusal> {
        match self.state.run() {
            _ if !self.is_serving() => Ok(()),
            RunState::Running => Ok(()),
            RunState::Quiescing => Err(Reason::QMgrQuiescing.into()),
            RunState::EndedNormally | RunState::EndedImmediately => Err(mqi::ended()),
        }
    }

    /// Whether the call is still carried out.
    ///
    /// # Errors
    /// As [`Replica::check_lets_in`]. A queue manager that quiesces refuses what would begin something.
    pub(super) fn check_runs(&self, session: SessionId, call: &Call) -> Result<(), Refusal> {
        let state = self.state.run();
        if state == RunState::Running || !self.is_serving() || matches!(call, Call::Operate(_) | Call::Ping) {
            return Ok(());
        }
        if state.is_ended() {
            return Err(mqi::ended());
        }
        // A search that was begun goes on, and if it finds nothing its wait ends at once.
        let is_begun = |session: &Session| session.unit.is_open() || session.search.is_some();
        let begins =
            matches!(call, Call::Open { .. } | Call::OpenManager { .. } | Call::Put(_) | Call::Get(_));
        match begins && !self.sessions.get(session).is_some_and(is_begun) {
            true => Err(Reason::QMgrQuiescing.into()),
            false => Ok(()),
        }
    }

    /// Does what is left to do of an end.
    pub(super) fn drive_running(&mut self) {
        let Some(leading) = self.standing.serving_mut() else { return };
        match self.state.run() {
            RunState::Running => leading.ending.is_proposed = false,
            RunState::Quiescing => self.drive_quiescing(),
            RunState::EndedNormally | RunState::EndedImmediately => self.end_programs(),
        }
    }

    fn drive_quiescing(&mut self) {
        debug_assert_eq!(self.state.run(), RunState::Quiescing, "who runs goes on");
        self.turn.next_phase();
        while let Some(waiter) = self.standing.own_mut().waiters.take_first() {
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::QMgrQuiescing));
            self.turn.spend(LEAVE);
            if self.turn.is_over() {
                self.is_not_done = true;
                return;
            }
        }
        debug_assert_eq!(self.standing.own().waiters.len(), 0, "nobody waits for what does not come");
        let ending = self.standing.own().ending;
        if ending.is_proposed || self.now.instant < ending.next_look {
            return;
        }
        let is_program = |session: &Session| session.purpose == Purpose::Program;
        let is_over = self.left.is_empty() && !self.sessions.by_id.values().any(is_program);
        let ending = &mut self.standing.own_mut().ending;
        ending.next_look = self.now.instant + LOOK_EVERY;
        ending.is_proposed = is_over;
        if is_over {
            let by = Default::default();
            self.propose(Command::Run { state: RunState::EndedNormally, by }, Waiting::Nobody);
        }
    }

    /// Programs are still being sent away.
    pub(super) fn is_ending_programs(&self) -> bool {
        self.state.run().is_ended() && self.sessions.by_id.values().any(is_served)
    }

    /// Every program and every connection of a channel goes, as many as a turn has time for; what was not committed is backed out.
    fn end_programs(&mut self) {
        debug_assert!(self.state.run().is_ended(), "nobody is sent away while the queue manager runs");
        let served = self.sessions.by_id.iter().filter(|(_, session)| is_served(session));
        let served: Vec<SessionId> = served.map(|(id, _)| *id).collect();
        let reason = match self.standing.own().ending.reconnect {
            true => Reason::ConnectionBroken,
            false => Reason::QMgrStopping,
        };
        self.turn.next_phase();
        for session in served {
            if self.turn.is_over() {
                self.is_not_done = true;
                return;
            }
            self.out.push(Action::CloseSession { session, reason, all_answered: false });
            self.on_session_closed(session);
        }
        debug_assert!(!self.is_ending_programs(), "nobody is served by a queue manager that was ended");
    }
}

fn is_served(session: &Session) -> bool {
    session.purpose != Purpose::Errand
}
