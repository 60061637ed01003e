//! Browse locks (MQGMO_LOCK): what a handle has browsed so is there for itself only, until it takes it, browses another message, is
//! told to unlock it (MQGMO_UNLOCK), or is closed with or without its session.
//!
//! A lock is a reservation, so whoever searches passes the message as one that is in a unit of work. It is on the active node only, as the
//! cursor is that it belongs to.

use std::collections::BTreeMap;

use super::Replica;
use super::free::{Found, Owner};
use super::sessions::Handle;
use crate::mqi::{Completion, Data, Get, GetMode};
use crate::types::{HandleId, Position, QueueId, Reason, SessionId};

/// A message that is locked, and by whom.
pub(super) type Lock = (QueueId, Position, Owner);

/// What these handles of a session have locked.
pub(super) fn locks_of(
    session: SessionId,
    handles: &BTreeMap<HandleId, Box<Handle>>,
) -> impl Iterator<Item = Lock> {
    handles.iter().filter_map(move |(id, of)| Some((of.queue, of.locked?, Owner::Lock(session, *id))))
}

impl Replica {
    /// MQGMO_UNLOCK.
    pub(super) fn unlock(&mut self, session: SessionId, handle: HandleId) -> Completion {
        let state = self.sessions.get(session).ok_or(Reason::HconnError);
        let known = state.and_then(|state| state.handle(handle, Reason::NotOpenForBrowse).map(drop));
        match known {
            Err(reason) => Completion::failed(reason),
            Ok(()) if self.end_lock(session, handle) => Completion::done(),
            Ok(()) => Completion::warning(Reason::NoMsgLocked, Data::Nothing),
        }
    }

    /// A browse has found this message: what the handle had locked before is free again, and this one is locked if it says so.
    pub(super) fn lock(&mut self, session: SessionId, queue: QueueId, position: Position, get: &Get) {
        debug_assert!(get.mode.is_browse(), "what is locked is browsed");
        self.end_lock(session, get.handle);
        let handle = self.sessions.get_mut(session).and_then(|session| session.handles.get_mut(&get.handle));
        let Some(handle) = handle.filter(|_| get.lock) else { return };
        handle.locked = Some(position);
        let contents = self.state.queue(queue).expect("the message was found there");
        let owner = Owner::Lock(session, get.handle);
        self.standing.own_mut().reservations.reserve(contents, position, owner);
    }

    /// Whether something was locked; it is free again.
    pub(super) fn end_lock(&mut self, session: SessionId, handle: HandleId) -> bool {
        let handle = self.sessions.get_mut(session).and_then(|session| session.handles.get_mut(&handle));
        let locked = handle.and_then(|handle| Some((handle.queue, handle.locked.take()?)));
        locked.into_iter().for_each(|(queue, position)| self.free_locked(queue, position));
        locked.is_some()
    }

    /// The handle is closed.
    pub(super) fn end_lock_of(&mut self, handle: &Handle) {
        handle.locked.into_iter().for_each(|position| self.free_locked(handle.queue, position));
    }

    fn free_locked(&mut self, queue: QueueId, position: Position) {
        // What was locked went with the leadership, or with its queue.
        let owner = self.standing.leading().and_then(|leading| leading.reservations.owner(queue, position));
        if matches!(owner, Some(Owner::Lock(..))) {
            self.free(queue, position);
        }
    }

    /// What a get finds to whose handle the message that it has locked is there as any other.
    pub(super) fn or_locked(&self, session: SessionId, get: &Get, found: Found) -> Found {
        let from_the_beginning =
            matches!(get.mode, GetMode::Destructive | GetMode::Ahead | GetMode::BrowseFirst);
        let handle = self.sessions.get(session).and_then(|session| session.handles.get(&get.handle));
        let Some((queue, locked)) = handle
            .filter(|_| from_the_beginning && !get.selection.wants_whole())
            .and_then(|handle| Some((handle.queue, handle.locked?)))
        else {
            return found;
        };
        // That its selector selects it was seen when it was browsed.
        let slot = self.state.queue(queue).and_then(|queue| queue.slot(locked));
        let is_one = slot.is_some_and(|slot| !slot.is_expired(self.wall()) && slot.matches(&get.selection));
        match found {
            Found::Nothing if is_one => Found::Message(locked),
            Found::Message(free) if is_one && locked < free => Found::Message(locked),
            other => other,
        }
    }
}
