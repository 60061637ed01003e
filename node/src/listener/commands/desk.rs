//! Where the replies to a command are put, and what becomes of those that have no place.

use trimaran_proto::pcf;

use super::reply::Incoming;
use super::session::{Session, is_for_the_next, put};
use crate::listener::wording::{PART, Wording};
use crate::types::planted::{self, Bug};
use crate::types::{CompletionCode, Message, ObjectName, Reason};

/// Replies that are put in one go.
const AT_ONCE: usize = 100;

/// Puts the replies to one command.
pub struct Desk<'a> {
    queue_manager: &'a ObjectName,
    command: &'a Incoming,
    wording: &'a Wording,
    /// They are on their queue when the command is gone.
    pub in_unit: bool,
    /// Until one of them could not be put.
    pub has_place: bool,
}

impl<'a> Desk<'a> {
    pub fn new(queue_manager: &'a ObjectName, command: &'a Incoming, wording: &'a Wording) -> Desk<'a> {
        Desk { queue_manager, command, wording, in_unit: !planted::is(Bug::ReplyBeside), has_place: true }
    }

    pub fn command(&self) -> &'a Incoming {
        self.command
    }

    pub async fn put(&mut self, session: &mut Session, replies: Vec<pcf::Message>) -> Result<(), Reason> {
        let Some(to) = self.command.replies_to() else { return Ok(()) };
        for replies in replies.chunks(AT_ONCE) {
            if !self.has_place {
                return Ok(());
            }
            let messages = self.written(replies).await;
            if let Err(reason) = self.check_manager() {
                return self.has_none(session, to, messages, reason).await;
            }
            let Ok(queue) = ObjectName::new(to) else {
                return self.has_none(session, to, messages, Reason::UnknownObjectName).await;
            };
            self.put_on(session, queue, messages).await?;
        }
        Ok(())
    }

    async fn written(&self, replies: &[pcf::Message]) -> Vec<Message> {
        let mut messages = Vec::with_capacity(replies.len());
        for piece in replies.chunks(PART) {
            self.wording.turn().await;
            messages.extend(piece.iter().map(|reply| self.command.reply(reply)));
        }
        messages
    }

    fn check_manager(&self) -> Result<(), Reason> {
        let (said, own) = (self.command.replies_to_manager(), self.queue_manager.as_str());
        if ["", own].contains(&said) { Ok(()) } else { Err(Reason::UnknownRemoteQMgr) }
    }

    async fn put_on(
        &mut self,
        session: &mut Session,
        queue: ObjectName,
        messages: Vec<Message>,
    ) -> Result<(), Reason> {
        let put_one = |message: &Message| put(queue.clone(), message.clone(), self.in_unit);
        let calls = messages.iter().map(put_one).collect();
        let tokens = session.send(calls).await?;
        let mut failed: Vec<(Message, Reason)> = Vec::new();
        for (token, message) in tokens.into_iter().zip(messages) {
            let completion = session.answer(token).await?;
            if completion.code == CompletionCode::Failed {
                failed.push((message, completion.reason));
            }
        }
        let Some((_, reason)) = failed.first() else { return Ok(()) };
        let reason = *reason;
        if reason == Reason::SyncpointLimitReached && self.in_unit {
            // MAXUMSGS allows fewer than a command has replies.
            self.in_unit = false;
            let messages = failed.into_iter().map(|(message, _)| message).collect();
            return Box::pin(self.put_on(session, queue, messages)).await;
        }
        let messages = failed.into_iter().map(|(message, _)| message).collect();
        self.has_none(session, queue.as_str(), messages, reason).await
    }

    /// The first reply that has no place goes to the dead-letter queue, unless its program said that it is to be dropped; there are
    /// no others behind it. Whatever the reason is: a command that was carried out is not carried out again for it.
    async fn has_none(
        &mut self,
        session: &mut Session,
        queue: &str,
        messages: Vec<Message>,
        reason: Reason,
    ) -> Result<(), Reason> {
        if is_for_the_next(reason) {
            return Err(reason);
        }
        self.has_place = false;
        let queue_manager = self.queue_manager;
        tracing::info!(%queue_manager, queue, %reason, "the replies to a command have no place");
        match messages.into_iter().next() {
            Some(first) if !self.command.drops_replies() => {
                session.bury(queue_manager, first, queue, reason).await
            }
            _ => Ok(()),
        }
    }
}
