//! What judges look at and no client is told: who waits, and whose turn it is.

use super::Replica;
use crate::mqi::Get;
use crate::types::{MessageSelector, Position, QueueId, SessionId, Token};

/// A get that waits for a message.
#[derive(Clone, Copy, Debug)]
pub struct WaitView<'a> {
    pub session: SessionId,
    pub token: Token,
    pub queue: QueueId,
    pub get: &'a Get,
    /// That of its handle.
    pub selector: Option<&'a MessageSelector>,
    /// What a browse of the next message has behind it.
    pub cursor: Option<Position>,
}

impl Replica {
    /// Gets that wait, in the order in which they came. None where no message may be given just now.
    pub fn waits(&self) -> impl Iterator<Item = WaitView<'_>> {
        let may_give = self.has_lease() && !self.is_half_applied();
        let leading = self.standing.serving().filter(|_| may_give);
        let waiters = leading.into_iter().flat_map(|leading| leading.waiters.iter());
        // Nobody waits any more whose session is gone.
        waiters.filter_map(|waiter| {
            let (session, token, queue, get) = (waiter.session, waiter.token, waiter.queue, &waiter.get);
            let handle = self.sessions.get(session)?.handles.get(&get.handle);
            let (selector, cursor) = (
                handle.and_then(|handle| handle.selector()),
                handle.and_then(|handle| handle.browsed_upto(get)),
            );
            Some(WaitView { session, token, queue, get, selector, cursor })
        })
    }

    /// Whether a get may have the message now.
    pub fn is_free(&self, queue: QueueId, position: Position) -> bool {
        let slot = self.state.queue(queue).and_then(|queue| queue.slot(position));
        slot.is_some_and(|slot| !slot.is_expired(self.wall()))
            && self.standing.serving().is_some_and(|leading| {
                !leading.reservations.is_reserved(queue, position) && !leading.locked.contains(&queue)
            })
    }

    /// Whether the state is the one at an entry of the log, and not in the middle of one.
    pub fn is_between_entries(&self) -> bool {
        !self.applying.is_in_entry()
    }

    /// Sessions whose calls wait for their turn, and for how many rounds of turns the first of them has.
    pub fn line(&self) -> (usize, u64) {
        let line = self.standing.leading().map(|leading| &leading.line);
        line.map_or((0, 0), |line| (line.len(), line.first_joined().map_or(0, |at| self.rounds - at)))
    }

    /// What the turn did for clients, in looks at a message: their calls, and the applying of what they proposed.
    pub fn turn_work(&self) -> (u64, u64) {
        (self.turn.done(), self.turn.applied())
    }
}
