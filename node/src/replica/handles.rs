//! Opening a queue, closing it, and asking about it: what a session does before it puts or gets.

use std::sync::Arc;

use super::Replica;
use super::free::Passed;
use super::sessions::{Handle, Selecting, Session};
use super::turn::{DESCRIBE, LEAVE, SELECTOR_BYTES_A_LOOK};
use crate::mqi::{
    Admin, Call, CloseOption, Completion, Data, Groups, ObjectView, OpenOptions, Opened, Refusal,
};
use crate::qmgr::Target;
use crate::types::definition::{
    Changes, DEFPRESP, DEFREADA, DEFTYPE, ObjectKind, ObjectRef, PERMANENT_DYNAMIC, TEMPORARY_DYNAMIC,
};
use crate::types::{HandleId, MessageSelector, ObjectName, Reason, SessionId, Token};

/// What a program asked for with an open.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub handle: HandleId,
    pub queue: ObjectName,
    pub options: OpenOptions,
    /// How a queue shall be called that is made for it, if `queue` is a model.
    pub dynamic: String,
    pub selector: Option<Arc<MessageSelector>>,
}

impl Wanted {
    pub fn into_call(self) -> Call {
        let Wanted { handle, queue, options, dynamic, selector } = self;
        Call::Open { handle, queue, options, dynamic, selector }
    }
}

impl Replica {
    /// Gives the call back when it has to wait.
    pub(super) fn on_open(&mut self, session: SessionId, token: Token, wanted: Wanted) -> Option<Wanted> {
        let opened = match self.state.catalog().model(&wanted.queue) {
            // One of that name may be about to go: whoever comes back after a failover asks for its queue again. Or it is being
            // made, or the model changed.
            Some(_) if self.is_going(&wanted.dynamic) || self.is_defining(&wanted) => return Some(wanted),
            Some(model) => match self.make_dynamic(session, token, wanted, &model.clone()) {
                Ok(()) => return None,
                Err(refused) => Err(refused),
            },
            None => self.open(session, wanted),
        };
        let completion = match opened {
            Ok(opened) => Completion::ok(Data::Opened(opened)),
            Err(refused) => refused.into(),
        };
        self.answer(session, token, completion);
        None
    }

    /// MQOPEN of the queue manager itself.
    pub(super) fn on_open_manager(
        &mut self,
        session: SessionId,
        token: Token,
        handle: HandleId,
        options: OpenOptions,
    ) {
        let opened = self.open_manager(session, handle, options);
        let completion = opened.map_or_else(Completion::from, |()| Completion::done());
        self.answer(session, token, completion);
    }

    fn open_manager(
        &mut self,
        session: SessionId,
        handle: HandleId,
        options: OpenOptions,
    ) -> Result<(), Refusal> {
        let most = self.state.maxhands();
        let state = self.sessions.get_mut(session).ok_or(Reason::HconnError)?;
        state.check_handle(handle, most)?;
        let held = state.hold_handle(&self.options.account)?;
        state.managers.insert(handle, (options, held));
        Ok(())
    }

    fn is_going(&self, name: &str) -> bool {
        let named = ObjectName::new(name).ok().and_then(|name| self.state.queue_id(&name));
        named.is_some_and(|queue| self.standing.own().doomed.contains_key(&queue))
    }

    fn is_defining(&self, wanted: &Wanted) -> bool {
        debug_assert!(self.is_serving(), "queues are made by whoever serves");
        let of = |kind, name: &str| self.standing.own().defining.has(&ObjectRef::new(kind, name));
        let default = ObjectKind::LocalQueue.facts().default_object;
        of(ObjectKind::ModelQueue, wanted.queue.as_str())
            || [default, &wanted.dynamic].iter().any(|name| of(ObjectKind::LocalQueue, name))
    }

    pub(super) fn open(&mut self, session: SessionId, wanted: Wanted) -> Result<Opened, Refusal> {
        let Wanted { handle, queue: name, options, selector, .. } = wanted;
        let Target { queue, alias } = self.state.resolve(&name)?;
        if self.standing.own().doomed.contains_key(&queue) {
            return Err(Reason::UnknownObjectName.into());
        }
        if self.standing.own().locked.contains(&queue) {
            return Err(Reason::ObjectInUse.into());
        }
        let of = self.state.queue(queue).expect("resolved");
        let (share, resolved) = (of.rules.share, of.name.clone());
        let is_alone = options.exclusive || !share || (options.as_defined && of.rules.opened_exclusive);
        let defpsist = alias.map_or(of.rules.defpsist, |alias| alias.defpsist);
        let definition = self.state.definition_of(of);
        let (read_ahead, put_response) = (definition.number(DEFREADA), definition.number(DEFPRESP));
        let options = OpenOptions { exclusive: options.input && is_alone, ..options };
        self.sessions.check_open(queue, options, share)?;
        let weight = selector.as_ref().map_or(0, |selector| selector.weight());
        self.turn.spend(weight / SELECTOR_BYTES_A_LOOK);
        let account = &self.options.account;
        let others = self.sessions.get(session).map_or(0, Session::selectors_bytes);
        let selecting = selector.map(|selector| Selecting::new(selector, others, account)).transpose()?;
        let most = self.state.maxhands();
        let state = self.sessions.get_mut(session).ok_or(Reason::HconnError)?;
        state.check_handle(handle, most)?;
        let held = state.hold_handle(account)?;
        let is_alias = alias.is_some();
        let passed = Passed::default();
        let (cursor, locked, anchor, groups) = (None, None, None, Groups::default());
        let opened = Handle {
            held,
            queue,
            name,
            is_alias,
            options,
            selecting,
            passed,
            cursor,
            locked,
            anchor,
            groups,
            put_upto: None,
            made: false,
        };
        state.open(handle, opened);
        self.sessions.note_open(queue, options);
        Ok(Opened { made: None, resolved, defpsist, read_ahead, put_response })
    }

    /// Gives the call back when the turn is too short to tell all who wait by the handle. Until they are, the handle is open.
    pub(super) fn on_close(
        &mut self,
        session: SessionId,
        token: Token,
        handle: HandleId,
        close: CloseOption,
    ) -> Option<Call> {
        let managers = self.sessions.get_mut(session).map(|session| &mut session.managers);
        if managers.is_some_and(|managers| managers.remove(&handle).is_some()) {
            self.answer(session, token, Completion::done());
            return None;
        }
        if let Err(refused) = self.check_close(session, handle, close) {
            self.answer(session, token, refused.into());
            return None;
        }
        if !self.end_waits_of(session, handle) {
            self.is_not_done = true;
            return Some(Call::Close { handle, close });
        }
        let closed = self.sessions.get_mut(session).and_then(|session| session.handles.remove(&handle));
        let closed = closed.expect("just seen");
        self.end_lock_of(&closed);
        self.sessions.note_close(&closed);
        self.turn.spend(closed.burden());
        if closed.made || close != CloseOption::Keep {
            let by = self.by(session);
            self.doom(closed.queue, by);
        }
        let completion = match closed.groups.warning_of_close() {
            Some(reason) => Completion::warning(reason, Data::Nothing),
            None => Completion::done(),
        };
        self.answer(session, token, completion);
        None
    }

    /// Whether all who wait by the handle are told that it is closed, or the turn is over before.
    fn end_waits_of(&mut self, session: SessionId, handle: HandleId) -> bool {
        while let Some(ticket) = self.standing.own().waiters.first_by(session, handle) {
            if !self.turn.may(LEAVE) {
                return false;
            }
            let waiter = self.standing.own_mut().waiters.remove(ticket).expect("just seen");
            debug_assert_eq!(
                (waiter.session, waiter.get.handle),
                (session, handle),
                "who waits by another handle waits on"
            );
            self.answer(session, waiter.token, Completion::failed(Reason::HobjError));
        }
        true
    }

    /// Whether the queue may go with the handle: a permanent dynamic one that nobody else uses.
    fn check_close(&self, session: SessionId, handle: HandleId, close: CloseOption) -> Result<(), Refusal> {
        let of = self.sessions.get(session).ok_or(Reason::HconnError)?.handle(handle, Reason::HobjError)?;
        let Some(queue) = self.state.queue(of.queue).filter(|_| close != CloseOption::Keep) else {
            return Ok(());
        };
        if of.made {
            return Ok(());
        }
        match self.state.definition_of(queue).number(DEFTYPE) {
            PERMANENT_DYNAMIC => {}
            TEMPORARY_DYNAMIC => {
                let detail =
                    "A temporary dynamic queue goes with the handle that made it, and with no other.";
                return Err(Refusal::because(Reason::OptionNotValidForType, detail));
            }
            _ => {
                let detail = "Only dynamic queues are deleted with their handle.";
                return Err(Refusal::because(Reason::OptionNotValidForType, detail));
            }
        }
        if self.standing.own().is_busy(of.queue) || self.sessions.counts(of.queue).handles > 1 {
            return Err(Reason::ObjectInUse.into());
        }
        match queue.depth() > 0 && close == CloseOption::Delete {
            true => Err(Refusal::not_empty(queue.depth())),
            false => Ok(()),
        }
    }

    pub(super) fn on_inquire(&mut self, session: SessionId, token: Token, handle: HandleId) {
        let completion = match self.inquired(session, handle) {
            Ok(object) => {
                self.turn.spend(DESCRIBE);
                self.turn.spend_bytes(object.weight());
                Completion::ok(Data::Inquired(Box::new(object)))
            }
            Err(reason) => Completion::failed(reason),
        };
        self.answer(session, token, completion);
    }

    /// What a handle stands for: the queue manager, or what has the name by which a queue was opened.
    fn inquired(&self, session: SessionId, handle: HandleId) -> Result<ObjectView, Reason> {
        let state = self.sessions.get(session).ok_or(Reason::HconnError)?;
        if let Some((options, _)) = state.managers.get(&handle) {
            debug_assert_eq!(options.check_manager(), Ok(()), "the queue manager is open for inquiring");
            let definition = self.state.catalog().manager().clone();
            return if options.inquire {
                Ok(ObjectView { definition, queue: None })
            } else {
                Err(Reason::NotOpenForInquire)
            };
        }
        let handle = state.handle(handle, Reason::NotOpenForInquire)?;
        if !handle.options.inquire {
            return Err(Reason::NotOpenForInquire);
        }
        let queue = self.queue_view(handle.queue).ok_or(Reason::QDeleted)?;
        let definition = match handle.is_alias {
            false => queue.definition.clone(),
            true => {
                self.state.alias_of(self.state.queue(handle.queue).expect("just seen"), &handle.name)?;
                self.state.catalog().queue_named(handle.name.as_str()).expect("an alias").clone()
            }
        };
        Ok(ObjectView { definition, queue: Some(queue) })
    }

    /// The change that an MQSET asks for: of what has the name by which the queue was opened.
    pub(super) fn set_by_handle(
        &self,
        session: SessionId,
        handle: HandleId,
        changes: &Changes,
    ) -> Result<Admin, Refusal> {
        let state = self.sessions.get(session).ok_or(Reason::HconnError)?;
        let handle = state.handle(handle, Reason::NotOpenForSet)?;
        if !handle.options.set {
            return Err(Reason::NotOpenForSet.into());
        }
        let definition =
            self.state.catalog().queue_named(handle.name.as_str()).ok_or(Reason::ObjectChanged)?;
        if changes.iter().any(|(selector, _)| definition.kind().attribute(selector).is_none()) {
            return Err(Reason::SelectorNotForType.into());
        }
        Ok(Admin::Alter { object: definition.object.clone(), changes: changes.clone() })
    }
}
