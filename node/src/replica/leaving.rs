//! Sessions whose clients are gone. Nothing is given to them from then on; what they leave, gets that wait, handles and calls
//! that were not begun, is taken away as turns have time for it: a connection may end with a hundred sessions that have
//! ten thousand gets each.

use super::administer::by_of;
use super::sessions::Session;
use super::turn::{CALL, LEAVE};
use super::{Action, Replica};
use crate::types::{Reason, SessionId};

/// Gets, handles and calls that are taken away before the turn is looked at again.
const PIECE: usize = 64;

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
            let calls = session.parked.drain(..session.parked.len().min(PIECE)).count();
            let mut handles = 0;
            while handles < PIECE
                && let Some((_, handle)) = session.handles.pop_first()
            {
                self.sessions.note_close(&handle);
                if handle.made {
                    self.doom(handle.queue, by_of(session));
                }
                handles += 1;
            }
            let taken = gets + calls + handles;
            if taken == 0 {
                return true;
            }
            self.turn.spend(LEAVE * taken as u64);
        }
        false
    }

    /// Leadership is lost: all sessions end.
    pub(super) fn end_sessions(&mut self) {
        for left in std::mem::take(&mut self.left) {
            left.session.handles.values().for_each(|handle| self.sessions.note_close(handle));
        }
        let sessions: Vec<SessionId> = self.sessions.by_id.keys().copied().collect();
        for session in sessions {
            let parked = self.sessions.get_mut(session).map(|of| std::mem::take(&mut of.parked));
            for (token, _) in parked.unwrap_or_default() {
                self.answer(session, token, self.lost(Reason::ConnectionBroken));
            }
            let reason = Reason::ConnectionBroken;
            self.out.push(Action::CloseSession { session, reason, all_answered: true });
            self.sessions.close(session);
        }
        assert!(self.sessions.is_all_closed(), "no queue is open when no session is");
    }
}
