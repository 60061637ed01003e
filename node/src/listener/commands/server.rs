//! One queue manager's command server: a command is got, done and answered, then the next.

use std::time::Duration;

use trimaran_proto::pcf::{self, Asking};

use super::Sleep;
use super::asking::{Answered, ask};
use super::desk::Desk;
use super::reply::{APPLICATION, Incoming, Read};
use super::session::{COMMAND_QUEUE, LOOK_EVERY, Session};
use crate::listener::Listener;
use crate::listener::errand::Errand;
use crate::mqi::Call;
use crate::replica::Inbox;
use crate::types::Reason;

/// Before another try: the first time, and at most.
const AGAIN_FIRST: Duration = Duration::from_millis(200);
const AGAIN_MOST: Duration = Duration::from_secs(10);
/// A command that was backed out so often is not done any more.
const TRIES: u32 = 5;
/// Replies that are put in the unit of work of their command, at most.
const IN_UNIT_MAX: usize = 100;

pub struct Server {
    listener: Listener,
    inbox: Inbox,
    sleep: Sleep,
}

impl Server {
    pub fn new(listener: Listener, inbox: Inbox, sleep: Sleep) -> Server {
        Server { listener, inbox, sleep }
    }

    /// For as long as the queue manager is here.
    pub async fn run(self) {
        let mut role = self.inbox.published().role.clone();
        let mut again_after = AGAIN_FIRST;
        let mut told = None;
        while role.wait_for(|role| role.is_serving()).await.is_ok() {
            let mut has_served = false;
            let ended = self.serve(&mut has_served).await;
            self.say_running(false);
            let is_served = role.borrow().is_serving();
            // A new queue manager serves a moment before it has its SYSTEM objects: the first try may come too early.
            let is_again = again_after > AGAIN_FIRST;
            match ended {
                Err(Reason::QMgrQuiescing | Reason::QMgrStopping) => {}
                Err(reason) if is_served && is_again && told != Some(reason) => {
                    let (queue_manager, queue) = (self.inbox.name(), COMMAND_QUEUE);
                    tracing::warn!(%queue_manager, queue, %reason, "no commands are taken; it is tried again");
                    told = Some(reason);
                }
                _ => {}
            }
            if has_served {
                (again_after, told) = (AGAIN_FIRST, told.filter(|_| ended.is_err()));
            }
            (self.sleep)(again_after).await;
            again_after = (again_after * 2).min(AGAIN_MOST);
        }
    }

    fn say_running(&self, runs: bool) {
        let id = self.inbox.queue_manager();
        self.listener.command_servers.send_modify(|all| {
            let _ = if runs { all.insert(id) } else { all.remove(&id) };
        });
    }

    /// Until the session ends, or no commands are to be taken.
    async fn serve(&self, has_served: &mut bool) -> Result<(), Reason> {
        let session = Errand::of_server(&self.listener, &self.inbox, APPLICATION).await;
        let mut session = Session::new(session.map_err(|refused| refused.reason)?, self.sleep.clone());
        session.open_manager().await?;
        let mut manager = session.manager().await?;
        *has_served = !manager.takes_commands;
        while !manager.takes_commands {
            (self.sleep)(LOOK_EVERY).await;
            manager = session.manager().await?;
        }
        session.open_commands().await?;
        self.say_running(true);
        while manager.takes_commands {
            if let Some(message) = session.command().await? {
                self.carry_out(&mut session, Incoming::new(message)).await?;
                session.done(Call::Commit { unit: None, units_decided: None }).await?;
            }
            *has_served = true;
            manager = session.manager().await?;
        }
        Ok(())
    }

    /// Does the command and puts its replies; the commit is left to the caller.
    async fn carry_out(&self, session: &mut Session, command: Incoming) -> Result<(), Reason> {
        if command.message.descriptor.backout_count >= TRIES {
            let why = format!("it was tried {TRIES} times");
            return self.is_none(session, command, Reason::BackoutThresholdReached, &why).await;
        }
        let mut desk = Desk::new(self.inbox.name(), &command, &self.listener.wording);
        match command.read() {
            Read::Command(message) => match Asking::begin(&message, self.inbox.name().as_str()) {
                Ok(asking) => self.converse(session, &mut desk, asking).await,
                Err(replies) => desk.put(session, replies).await,
            },
            Read::Refused { command: number, fault } if command.replies_to().is_some() => {
                desk.put(session, pcf::refusal(number, &fault)).await
            }
            Read::Refused { fault, .. } | Read::Nothing(fault) => {
                let reason = Reason::from_number(fault.reason).unwrap_or(Reason::UnexpectedError);
                self.is_none(session, command, reason, &fault.why).await
            }
        }
    }

    async fn converse(
        &self,
        session: &mut Session,
        desk: &mut Desk<'_>,
        mut asking: Asking,
    ) -> Result<(), Reason> {
        let (identity, application) = (desk.command().identity(), desk.command().application());
        let errand = Errand::of_command(&self.listener, &self.inbox, identity, application).await;
        let mut errand = match errand {
            Ok(errand) => errand,
            Err(refused) if refused.reason == Reason::NotAuthorized => {
                asking.fail(refused.reason.number());
                return desk.put(session, asking.replies()).await;
            }
            Err(refused) => return Err(refused.reason),
        };
        let mut next = asking.next_request();
        while let Some(request) = next.take() {
            let Answered { mut pieces, more } =
                ask(&self.listener, &self.inbox, &mut errand, request).await?;
            let takes_pages = asking.takes_pages();
            let more = more.filter(|_| takes_pages);
            let mut replies = Vec::new();
            while let Some(reply) = pieces.next().await {
                asking.on_reply(&reply, more.is_some() || (takes_pages && !pieces.is_over()));
                replies.extend(asking.replies());
                if !takes_pages {
                    break;
                }
            }
            // Where there is more than one page, there would be too many for a unit of work.
            desk.in_unit &= more.is_none() && replies.len() <= IN_UNIT_MAX;
            desk.put(session, replies).await?;
            next = more.or_else(|| asking.next_request()).filter(|_| desk.has_place);
        }
        desk.put(session, asking.replies()).await
    }

    /// What is no command goes to the dead-letter queue, with the reason in its header.
    async fn is_none(
        &self,
        session: &mut Session,
        command: Incoming,
        reason: Reason,
        why: &str,
    ) -> Result<(), Reason> {
        let (queue_manager, user) = (self.inbox.name(), command.identity().user);
        tracing::warn!(
            %queue_manager,
            queue = COMMAND_QUEUE,
            user,
            application = command.application(),
            %reason,
            why,
            "a message is no command that is done"
        );
        let mut message = *command.message;
        message.descriptor.backout_count = 0;
        session.bury(queue_manager, message, COMMAND_QUEUE, reason).await
    }
}
