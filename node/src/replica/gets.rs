//! A get or a browse: which message it is, what is done with it, and what happens when there is none.

use std::time::Duration;

use super::Replica;
use super::units::Owner;
use super::waiters::Waiter;
use crate::mqi::{Call, Completion, Data, Get, GetMode, Wait};
use crate::types::{Position, QueueId, Reason, SessionId, Token};

impl Replica {
    pub(super) fn on_get(&mut self, session: SessionId, token: Token, get: Get) {
        let queue = match self.check_get(session, &get) {
            Ok(queue) => queue,
            Err(reason) => return self.answer(session, token, Completion::failed(reason)),
        };
        if self.try_get(session, token, queue, &get) {
            return;
        }
        let until = match get.wait {
            Wait::No => return self.answer(session, token, Completion::failed(Reason::NoMsgAvailable)),
            Wait::For(duration) => Some(self.now.instant + duration.min(Duration::from_secs(1 << 31))),
            Wait::Forever => None,
        };
        if matches!(get.mode, GetMode::UnderCursor | GetMode::BrowseUnderCursor) {
            return self.answer(session, token, Completion::failed(Reason::NoMsgUnderCursor));
        }
        self.stats.waits += 1;
        self.standing.own_mut().waiters.add(Waiter { session, token, queue, get, until });
    }

    fn check_get(&self, session: SessionId, get: &Get) -> Result<QueueId, Reason> {
        let state = self.sessions.get(session).ok_or(Reason::HconnError)?;
        let handle = state.handle(get.handle)?;
        if get.mode.is_browse() && !handle.options.browse {
            return Err(Reason::NotOpenForBrowse);
        }
        if !get.mode.is_browse() && !handle.options.input {
            return Err(Reason::NotOpenForInput);
        }
        if get.mode == GetMode::UnderCursor && !handle.options.browse {
            return Err(Reason::NotOpenForBrowse);
        }
        let queue = self.state.queue(handle.queue).ok_or(Reason::QDeleted)?;
        let alias = self.state.catalog().alias_rules(&handle.name).filter(|_| handle.is_alias);
        if !queue.rules.get_enabled || alias.is_some_and(|alias| !alias.get_enabled) {
            return Err(Reason::GetInhibited);
        }
        if self.standing.own().locked.contains(&queue.id) {
            return Err(Reason::ObjectInUse);
        }
        if get.is_in_unit(true) && state.unit.messages() >= self.state.maxumsgs() as usize {
            return Err(Reason::SyncpointLimitReached);
        }
        Ok(queue.id)
    }

    /// False when there is no message now. Everything else is answered, now or when the message is loaded or its
    /// removal applied.
    pub(super) fn try_get(&mut self, session: SessionId, token: Token, queue: QueueId, get: &Get) -> bool {
        let now = self.wall();
        let cursor = self.sessions.get(session).and_then(|session| session.handles.get(&get.handle)?.cursor);
        let Some(contents) = self.state.queue_mut(queue) else {
            self.answer(session, token, Completion::failed(Reason::QDeleted));
            return true;
        };
        let reservations = &mut self.standing.own_mut().reservations;
        let free = |position: &Position| !reservations.is_reserved(queue, *position);
        let found = match get.mode {
            GetMode::Destructive => reservations.first_free(contents, &get.selection, now),
            GetMode::UnderCursor | GetMode::BrowseUnderCursor => cursor
                .filter(|position| contents.slot(*position).is_some_and(|slot| !slot.is_expired(now)))
                .filter(free),
            GetMode::BrowseFirst | GetMode::BrowseNext => {
                let after = cursor.filter(|_| get.mode == GetMode::BrowseNext);
                let shows = |contents: &crate::qmgr::Queue, position: &Position| {
                    contents.slot(*position).is_some_and(|slot| !slot.is_expired(now)) && free(position)
                };
                if get.selection.is_any() {
                    contents
                        .after(after)
                        .find(|(position, slot)| !slot.is_expired(now) && free(position))
                        .map(|(position, _)| position)
                } else {
                    let matching = contents.matching(&get.selection, after);
                    matching.into_iter().find(|position| shows(contents, position))
                }
            }
        };
        let Some(position) = found else { return false };
        let length = contents.slot(position).expect("found").body_length as usize;
        let cut = get.max_length.filter(|max| *max < length);
        if get.mode.is_browse() {
            // MQ moves the cursor even if the message does not fit.
            let handle =
                self.sessions.get_mut(session).and_then(|session| session.handles.get_mut(&get.handle));
            handle.expect("checked").cursor = Some(position);
        }
        if cut.is_some() && !get.accept_truncated {
            let detail = format!("the body has {length} bytes");
            let data = Data::TooLong { body_length: length };
            let completion =
                Completion { data, ..Completion::failed_because(Reason::TruncatedMsgFailed, detail) };
            self.answer(session, token, completion);
            return true;
        }
        if get.mode.is_browse() {
            self.stats.browses += 1;
            self.show(session, token, queue, position, cut, true);
            return true;
        }
        self.stats.gets += 1;
        self.stats.get_bytes += length as u64;
        self.standing.own_mut().reservations.reserve(queue, position, Owner::Session(session));
        if get.is_in_unit(position.is_persistent()) {
            self.sessions.get_mut(session).expect("checked").unit.gets.push((queue, position));
            self.show(session, token, queue, position, cut, false);
        } else {
            self.take(session, token, queue, position, cut);
        }
        true
    }

    pub(super) fn on_cancel_get(&mut self, session: SessionId, token: Token, of: Token) {
        if let Some(waiter) = self.standing.own_mut().waiters.cancel(session, of) {
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::NoMsgAvailable));
        } else if let Some(state) = self.sessions.get_mut(session) {
            // It may be parked: then it is found without waiting.
            for (token, call) in &mut state.parked {
                if let (true, Call::Get(get)) = (*token == of, call) {
                    get.wait = Wait::No;
                }
            }
        }
        self.answer(session, token, Completion::done());
    }

    pub(super) fn end_waits(&mut self) {
        let now = self.now.instant;
        while let Some(waiter) = self.standing.leading_mut().and_then(|leading| leading.waiters.take_due(now))
        {
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::NoMsgAvailable));
        }
    }
}
