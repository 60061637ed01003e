//! A get or a browse: which message it is, what is done with it, and what happens when there is none.

use std::time::Duration;

use super::Replica;
use super::free::{Found, Owner, Search};
use super::loads::Recipient;
use super::searches::UnderWay;
use super::sessions::{Handle, Selecting, Unsaid};
use super::turn::{LEAVE, LOOK};
use super::waiters::Waiter;
use crate::mqi::{Completion, Data, Get, GetMode, GroupCall, Wait, Which};
use crate::qmgr::Queue;
use crate::types::{Position, QueueId, Reason, SessionId, Token};

impl Replica {
    /// Gives the get back when the turn was too short to find its message.
    pub(super) fn on_get(&mut self, session: SessionId, token: Token, mut get: Get) -> Option<Get> {
        if get.mode == GetMode::Unlock {
            let completion = self.unlock(session, get.handle);
            self.answer(session, token, completion);
            return None;
        }
        let mut begun = self.sessions.get_mut(session).and_then(|state| state.search.take());
        debug_assert!(begun.is_none_or(|begun| begun.token == token), "a search that nobody goes on with");
        let checked = self.check_get(session, &mut get);
        let mut found = match checked {
            Ok(queue) => {
                let found = self.find(session, queue, &mut get, begun);
                self.or_locked(session, &get, found)
            }
            Err(_) => Found::Nothing,
        };
        let searches = &mut self.standing.own_mut().searches;
        let mut freed = Vec::new();
        if let (Some(begun), Found::Nothing, Ok(_)) = (&mut begun, found, checked)
            && get.wait != Wait::No
        {
            match searches.freed_since(begun.queue, begun.since) {
                Ok(since) => freed = since,
                Err(anew) => (begun.since, begun.judged, found) = (anew, None, Found::NotYet(None)),
            }
        }
        let since = match (begun, found, checked) {
            (None, Found::NotYet(_) | Found::Unread { .. }, Ok(queue)) => searches.begin(queue),
            (Some(begun), Found::Message(_) | Found::Nothing, _) => {
                searches.end(begun.queue);
                begun.since
            }
            _ => begun.map_or(0, |begun| begun.since),
        };
        match (checked, found) {
            (Err(reason), _) => self.answer(session, token, Completion::failed(reason)),
            (Ok(queue), Found::Message(at)) => self.give(session, token, queue, at, &get),
            (Ok(queue), Found::Nothing) => self.wait(session, token, queue, get, freed),
            (Ok(queue), Found::NotYet(behind)) => {
                let judged = begun.and_then(|begun| begun.judged);
                let state = self.sessions.get_mut(session).expect("just checked");
                state.search = Some(UnderWay { token, queue, since, behind, judged });
                self.is_not_done = true;
                return Some(get);
            }
            // It goes on when the message is there; until then the session's calls wait.
            (Ok(queue), Found::Unread { at, behind }) => {
                let state = self.sessions.get_mut(session).expect("just checked");
                state.search = Some(UnderWay { token, queue, since, behind, judged: None });
                self.load(queue, at, Recipient::Judge { session, token });
                return Some(get);
            }
        }
        None
    }

    /// There is no message now. Those that became free while it was looked for are offered once more.
    fn wait(&mut self, session: SessionId, token: Token, queue: QueueId, get: Get, freed: Vec<Position>) {
        if matches!(get.mode, GetMode::UnderCursor | GetMode::BrowseUnderCursor) {
            return self.answer(session, token, Completion::failed(Reason::NoMsgUnderCursor));
        }
        if get.mode.is_browse() {
            self.end_lock(session, get.handle);
        }
        let until = match get.wait {
            Wait::No => return self.answer(session, token, Completion::failed(Reason::NoMsgAvailable)),
            Wait::For(duration) => Some(self.now.instant + duration.min(Duration::from_secs(1 << 31))),
            Wait::Forever => None,
        };
        self.stats.waits += 1;
        debug_assert!(until.is_none_or(|until| until >= self.now.instant), "a wait ends later");
        let leading = self.standing.own_mut();
        let looks_again = get.selection.wants_whole() && !freed.is_empty();
        leading.waiters.add(Waiter { session, token, queue, get, until });
        if looks_again {
            leading.regrouped.insert(queue, leading.waiters.pass(false));
        }
        self.turn.spend(LOOK * freed.len() as u64);
        freed.into_iter().for_each(|position| leading.offers.add(queue, position));
    }

    /// Settles which messages it is about, too.
    fn check_get(&self, session: SessionId, get: &mut Get) -> Result<QueueId, Reason> {
        let state = self.sessions.get(session).ok_or(Reason::HconnError)?;
        let not_so = if get.mode.is_browse() { Reason::NotOpenForBrowse } else { Reason::NotOpenForInput };
        let handle = state.handle(get.handle, not_so)?;
        if get.mode.is_browse() && !handle.options.browse {
            return Err(Reason::NotOpenForBrowse);
        }
        if !get.mode.is_browse() && !handle.options.input {
            return Err(Reason::NotOpenForInput);
        }
        if get.mode == GetMode::UnderCursor && !handle.options.browse {
            return Err(Reason::NotOpenForBrowse);
        }
        let queue = self.source(handle)?;
        if self.standing.own().locked.contains(&queue.id) {
            return Err(Reason::ObjectInUse);
        }
        if get.is_in_unit(true) && state.unit.messages() >= self.state.maxumsgs() as usize {
            return Err(Reason::SyncpointLimitReached);
        }
        if get.selection.logical_order && self.standing.own().waiters.waits(session, get.handle) {
            return Err(Reason::CallInProgress);
        }
        get.selection = handle.groups.seek(get)?;
        Ok(queue.id)
    }

    /// The queue that a handle stands for, if gets are let in there.
    pub(super) fn source(&self, handle: &Handle) -> Result<&Queue, Reason> {
        let queue = self.state.queue(handle.queue).ok_or(Reason::QDeleted)?;
        let alias = handle.is_alias.then(|| self.state.alias_of(queue, &handle.name)).transpose()?;
        if !queue.rules.get_enabled || alias.is_some_and(|alias| !alias.get_enabled) {
            return Err(Reason::GetInhibited);
        }
        Ok(queue)
    }

    /// The message that a get is about.
    fn find(&mut self, session: SessionId, queue: QueueId, get: &mut Get, begun: Option<UnderWay>) -> Found {
        let (now, instant) = (self.wall(), self.now.instant);
        let behind = begun.and_then(|begun| begun.behind);
        let handle = self.sessions.get_mut(session).and_then(|session| session.handles.get_mut(&get.handle));
        let handle = handle.expect("checked");
        let (cursor, locked, upto) = (handle.cursor, handle.locked, handle.browsed_upto(get));
        let Handle { selecting, passed, .. } = &mut **handle;
        let selector = selecting.as_deref().map(Selecting::selector);
        // In logical order, what is next is settled.
        if let Some(selector) = selector.filter(|_| !get.selection.logical_order) {
            get.selection = get.selection.and(selector.implied());
        }
        let contents = self.state.queue(queue).expect("checked");
        let reservations = &mut self.standing.own_mut().reservations;
        let behind = match get.mode {
            GetMode::Destructive | GetMode::Ahead | GetMode::BrowseFirst => behind,
            GetMode::BrowseNext => behind.or(upto),
            GetMode::Unlock => return Found::Nothing,
            GetMode::UnderCursor | GetMode::BrowseUnderCursor => {
                let is_there = |at: &Position| {
                    (locked == Some(*at) || !reservations.is_reserved(queue, *at))
                        && contents.slot(*at).is_some_and(|slot| !slot.is_expired(now))
                };
                return cursor.filter(is_there).map_or(Found::Nothing, Found::Message);
            }
        };
        let judged = begun.and_then(|begun| begun.judged);
        let search = Search { selection: &get.selection, selector, judged, behind, now, instant };
        reservations.first_free(contents, search, passed, &mut self.turn)
    }

    /// The message is free and the one that the get is about. It is answered now, or when the message is loaded or its
    /// removal applied.
    pub(super) fn give(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        position: Position,
        get: &Get,
    ) {
        let maxumsgs = self.state.maxumsgs() as usize;
        let (decided, wall) = (self.state.units_decided(), self.wall());
        let contents = self.state.queue(queue).expect("checked");
        let state = self.sessions.get_mut(session).expect("checked");
        if get.mode == GetMode::Ahead && position.is_persistent() {
            let completion =
                Completion { data: Data::NotAhead, ..Completion::failed(Reason::NoMsgAvailable) };
            return self.answer(session, token, completion);
        }
        // Other gets of the session may have been answered while this one waited.
        if get.is_in_unit(position.is_persistent()) && state.unit.messages() >= maxumsgs {
            return self.answer(session, token, Completion::failed(Reason::SyncpointLimitReached));
        }
        let slot = contents.slot(position).expect("found");
        let is_extended = get.extended && slot.in_group().is_some();
        let extension = if is_extended { Get::EXTENSION_BYTES } else { 0 };
        let length = slot.body_length as usize + extension;
        let cut = get.max_length.filter(|max| *max < length).map(|max| max.saturating_sub(extension));
        let handle = state.handles.get_mut(&get.handle).expect("checked");
        let call = GroupCall {
            in_logical_order: get.selection.logical_order,
            in_unit: get.is_in_unit(position.is_persistent()),
            is_persistent: position.is_persistent(),
        };
        if get.mode.is_browse() {
            // MQ moves the cursor even if the message does not fit.
            handle.browsed(get, position, slot.in_group());
            handle.groups.note_got(get, slot.in_group(), call);
        }
        if cut.is_some() && !get.accept_truncated {
            let detail = format!("The body has {length} bytes.");
            let data = Data::TooLong { body_length: length };
            let completion =
                Completion { data, ..Completion::failed_because(Reason::TruncatedMsgFailed, detail) };
            return self.answer(session, token, completion);
        }
        if get.mode.is_browse() {
            self.stats.browses += 1;
            self.lock(session, queue, position, get);
            return self.show(session, token, queue, position, cut, Some(get));
        }
        self.stats.gets += 1;
        self.stats.get_bytes += length as u64;
        let lain_ms = (wall.0 - slot.put_at.0).max(0) as u64;
        let (leading, now) = (self.standing.own_mut(), self.now.instant);
        leading.monitored.note_got(queue, now, Duration::from_millis(lain_ms));
        let GroupCall { in_unit, .. } = call;
        let before = handle.groups;
        handle.groups.note_got(get, slot.in_group(), call);
        let warning = before.warning_of_get(get);
        if in_unit {
            state.unit.note_groups(get.handle, Which::Got, before, &handle.groups);
        }
        if warning.is_some() || handle.groups.differs(Which::Got, &before) {
            state.unsaid.insert(token, Unsaid { handle: get.handle, before, warning });
        }
        let owner = if in_unit { Owner::Unit(session) } else { Owner::Get(session) };
        let reservations = &mut self.standing.own_mut().reservations;
        if handle.locked.take_if(|locked| *locked == position).is_some() {
            reservations.release(queue, position);
        }
        reservations.reserve(contents, position, owner);
        if in_unit {
            state.unit.begin(decided);
            state.unit.gets.push((queue, position));
            self.show(session, token, queue, position, cut, None);
        } else {
            self.take(session, token, queue, position, cut);
        }
    }

    pub(super) fn on_cancel_get(&mut self, session: SessionId, token: Token, of: Token) {
        debug_assert!(self.is_serving(), "gets wait at whoever serves");
        // Calls of a session are carried out in their order, so a get that came before waits by now, or is answered.
        if let Some(waiter) = self.standing.own_mut().waiters.cancel(session, of) {
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::NoMsgAvailable));
        }
        self.answer(session, token, Completion::done());
    }

    /// Those whose time is over are told, in the order in which it was, as many as a turn has time for. Whose turn has not come may
    /// still be given a message that comes meanwhile: nobody was told that there is none.
    pub(super) fn end_waits(&mut self) {
        if !self.has_due_waits() {
            return;
        }
        let now = self.now.instant;
        self.turn.next_phase();
        while !self.turn.is_over()
            && let Some(waiter) = self.standing.own_mut().waiters.take_due(now)
        {
            self.turn.spend(LEAVE);
            debug_assert!(
                waiter.until.is_some_and(|until| until <= now),
                "only whose time is over is told so"
            );
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::NoMsgAvailable));
        }
        self.is_not_done |= self.has_due_waits();
    }

    fn has_due_waits(&self) -> bool {
        let next = self.standing.leading().and_then(|leading| leading.waiters.next_deadline());
        next.is_some_and(|until| until <= self.now.instant)
    }
}
