//! Sessions whose clients are gone. Nothing is given to them from then on; what they leave, gets that wait, handles and calls
//! that were not begun, is taken away as turns have time for it: a connection may end with a hundred sessions that have
//! ten thousand gets each.
//!
//! So it is with all sessions where leadership is lost. That they end is said in the turn in which it is, and with it what
//! became of their calls; only memory is left.

use std::collections::VecDeque;

use super::administer::by_of;
use super::free::Litter;
use super::locks::{Lock, locks_of};
use super::sessions::{Handle, Session};
use super::turn::{CALL, LEAVE, SELECTOR_BYTES_A_LOOK, Turn, UNIT};
use super::waiters::Waiters;
use super::{Action, Replica};
use crate::mqi::Call;
use crate::types::{Reason, SessionId};

/// Gets, calls and messages that are taken away before the turn is looked at again.
const PIECE: usize = 64;
/// The same of handles: they are, until they cost so much, in looks at a message.
const HANDLES: u64 = LEAVE * PIECE as u64;

/// What is left of a session.
#[derive(Debug)]
pub(super) struct Left {
    id: SessionId,
    session: Session,
}

impl Left {
    pub fn is_of(&self, session: SessionId) -> bool {
        self.id == session
    }

    pub fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.session.handles.values().map(Box::as_ref)
    }

    /// What is still locked by them.
    pub fn locks(&self) -> impl Iterator<Item = Lock> {
        locks_of(self.id, &self.session.handles)
    }
}

/// What is left of leaderships that were lost, and nobody asks for.
#[derive(Debug, Default)]
pub(super) struct Remains {
    waiters: VecDeque<Waiters>,
    sessions: VecDeque<Session>,
    litter: Vec<Litter>,
}

impl Remains {
    pub fn add(&mut self, waiters: Waiters, litter: Vec<Litter>) {
        self.waiters.push_back(waiters);
        self.litter.extend(litter);
    }

    /// Gives back some memory. False when the turn is over before all of it is.
    pub fn sweep(&mut self, turn: &mut Turn) -> bool {
        while let Some(waiters) = self.waiters.front_mut() {
            if !waiters.take_apart(PIECE) {
                self.waiters.pop_front();
            } else if !turn.may(LEAVE * PIECE as u64) {
                return false;
            }
        }
        while let Some(session) = self.sessions.front_mut() {
            let work = take_apart(session);
            if work == 0 {
                self.sessions.pop_front();
            } else if !turn.may(work) {
                return false;
            }
        }
        Litter::sweep(&mut self.litter, turn)
    }
}

impl Replica {
    /// The client is gone: its unit is backed out. What it had proposed goes on; nobody is told.
    pub(super) fn on_session_closed(&mut self, id: SessionId) {
        let Some(mut session) = self.sessions.leave(id) else { return };
        debug_assert!(self.sessions.get(id).is_none(), "nothing is given to who has left");
        self.turn.spend(CALL);
        if let Some(leading) = self.standing.leading_mut() {
            leading.line.leave(id);
            // Who does not wait any more has given it up.
            leading.raising.take_if(|raising| raising.caller().0 == id);
            if let Some(search) = session.search.take() {
                leading.searches.end(search.queue);
            }
        }
        let unit = std::mem::take(&mut session.unit);
        let mut left = Left { id, session };
        if !self.take_away(&mut left) {
            self.left.push_back(left);
        }
        self.back_out(unit, None);
    }

    /// Goes on with those that are not done.
    pub(super) fn take_away_more(&mut self) {
        if self.left.is_empty() {
            return;
        }
        self.turn.next_phase();
        while let Some(mut left) = self.left.pop_front() {
            if !self.take_away(&mut left) {
                self.left.push_front(left);
                self.is_not_done = true;
                return;
            }
        }
    }

    /// Whether nothing is left, or the turn is over before.
    fn take_away(&mut self, Left { id, session }: &mut Left) -> bool {
        while !self.turn.is_over() {
            let gets = self.standing.leading_mut().map_or(0, |leading| leading.waiters.take_away(*id, PIECE));
            let mut work = LEAVE * gets as u64 + drop_calls(session);
            while work < HANDLES
                && let Some((_, handle)) = session.handles.pop_first()
            {
                self.end_lock_of(&handle);
                self.sessions.note_close(&handle);
                if handle.made {
                    self.doom(handle.queue, by_of(session));
                }
                work += handle.burden();
            }
            if work == 0 {
                return true;
            }
            self.turn.spend(work);
        }
        false
    }

    /// Leadership is lost: all sessions end. Calls that were not begun are told so, as many as the turn has time for; the
    /// end of their session says the same of all others.
    pub(super) fn end_sessions(&mut self) {
        let sessions: Vec<SessionId> = self.sessions.by_id.keys().copied().collect();
        for session in sessions {
            while !self.turn.is_over()
                && let Some((token, _)) =
                    self.sessions.get_mut(session).and_then(|session| session.parked.pop_front())
            {
                self.turn.spend(LEAVE);
                self.answer(session, token, self.lost(Reason::ConnectionBroken));
            }
            let reason = Reason::ConnectionBroken;
            self.out.push(Action::CloseSession { session, reason, all_answered: true });
        }
        self.remains.sessions.extend(self.sessions.end_all());
        self.remains.sessions.extend(std::mem::take(&mut self.left).into_iter().map(|left| left.session));
    }
}

/// Gives back a piece of what nobody asks for any more. What that cost, in looks at a message; 0 when nothing was left.
fn take_apart(session: &mut Session) -> u64 {
    let mut work = drop_calls(session) + UNIT * session.unit.take_apart(PIECE) as u64;
    while work < HANDLES
        && let Some((_, handle)) = session.handles.pop_first()
    {
        work += handle.burden();
    }
    work
}

/// The same of calls that were not begun.
fn drop_calls(session: &mut Session) -> u64 {
    let burden = |call: Call| match call {
        Call::Open { selector: Some(selector), .. } => LEAVE + selector.weight() / SELECTOR_BYTES_A_LOOK,
        _ => LEAVE,
    };
    let calls = session.parked.len().min(PIECE);
    session.parked.drain(..calls).map(|(_, call)| burden(call)).sum()
}
