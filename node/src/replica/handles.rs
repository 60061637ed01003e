//! Opening a queue, closing it, and asking about it: what a session does before it puts or gets.

use super::Replica;
use super::sessions::Handle;
use super::turn::LEAVE;
use crate::mqi::{Completion, Data, OpenOptions, Refusal};
use crate::qmgr::Target;
use crate::types::{HandleId, ObjectName, Reason, SessionId, Token};

impl Replica {
    pub(super) fn on_open(
        &mut self,
        session: SessionId,
        token: Token,
        handle: HandleId,
        name: ObjectName,
        options: OpenOptions,
    ) {
        let completion = match self.open(session, handle, name, options) {
            Ok(()) => Completion::done(),
            Err(refused) => refused.into(),
        };
        self.answer(session, token, completion);
    }

    fn open(
        &mut self,
        session: SessionId,
        handle: HandleId,
        name: ObjectName,
        options: OpenOptions,
    ) -> Result<(), Refusal> {
        let Target { queue, alias } = self.state.resolve(&name)?;
        if self.standing.own().locked.contains(&queue) {
            return Err(Reason::ObjectInUse.into());
        }
        let share = self.state.queue(queue).expect("resolved").rules.share;
        let options = OpenOptions { exclusive: options.input && (options.exclusive || !share), ..options };
        self.sessions.check_open(queue, options, share)?;
        let state = self.sessions.get_mut(session).ok_or(Reason::HconnError)?;
        let handle_of = Handle { queue, name, is_alias: alias.is_some(), options, cursor: None };
        state.open(handle, handle_of)?;
        self.sessions.note_open(queue, options);
        Ok(())
    }

    pub(super) fn on_close(&mut self, session: SessionId, token: Token, handle: HandleId) {
        let closed = self.sessions.get_mut(session).and_then(|session| session.handles.remove(&handle));
        let completion = match closed {
            Some(closed) => {
                self.sessions.note_close(&closed);
                let waiters = self.standing.own_mut().waiters.take_handle(session, handle);
                self.turn.spend(LEAVE * waiters.len() as u64);
                for waiter in waiters {
                    debug_assert_eq!(waiter.queue, closed.queue, "who waits by a handle waits at its queue");
                    self.answer(session, waiter.token, Completion::failed(Reason::HobjError));
                }
                Completion::done()
            }
            None => Completion::failed(Reason::HobjError),
        };
        self.answer(session, token, completion);
    }

    pub(super) fn on_inquire(&mut self, session: SessionId, token: Token, handle: HandleId) {
        let view = self.sessions.get(session).ok_or(Reason::HconnError).and_then(|session| {
            let handle = session.handle(handle)?;
            let options = handle.options;
            if !(options.inquire || options.browse || options.input) {
                return Err(Reason::NotOpenForInquire);
            }
            self.queue_view(handle.queue).ok_or(Reason::QDeleted)
        });
        let completion = match view {
            Ok(view) => Completion::ok(Data::Queues(vec![view])),
            Err(reason) => Completion::failed(reason),
        };
        self.answer(session, token, completion);
    }
}
