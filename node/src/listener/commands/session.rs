//! The session in which a command server gets and puts.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use super::Sleep;
use crate::listener::errand::Errand;
use crate::mqi::{
    Call, Completion, Context, Data, Get, GetMode, OpenOptions, Put, PutTarget, Selection, Wait,
};
use crate::qmgr::dead_letter;
use crate::types::definition as selector;
pub use crate::types::definition::COMMAND_QUEUE;
use crate::types::{CompletionCode, HandleId, Message, ObjectName, Reason, Token, WallTime};

/// So often it is looked whether commands are to be taken.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
const MANAGER: HandleId = HandleId(1);
const COMMANDS: HandleId = HandleId(2);
const SCMDSERV_MANUAL: i32 = 2;

/// What the queue manager says that counts here.
pub struct Manager {
    pub takes_commands: bool,
    pub dead_letter_queue: Option<ObjectName>,
}

/// The session of the command server.
pub struct Session {
    errand: Errand,
    /// Answers that came before they were asked for.
    early: BTreeMap<Token, Completion>,
    /// A get that waits for a command.
    get: Option<Token>,
    sleep: Sleep,
}

impl Session {
    pub fn new(errand: Errand, sleep: Sleep) -> Session {
        Session { errand, early: BTreeMap::new(), get: None, sleep }
    }

    pub async fn send(&mut self, calls: Vec<Call>) -> Result<Vec<Token>, Reason> {
        self.errand.send(calls).await.map_err(|refused| refused.reason)
    }

    /// Nothing is lost where the caller does not wait for it.
    pub async fn answer(&mut self, token: Token) -> Result<Completion, Reason> {
        loop {
            if let Some(completion) = self.early.remove(&token) {
                return Ok(completion);
            }
            let (answered, completion) = self.errand.next().await.map_err(|refused| refused.reason)?;
            self.early.insert(answered, completion);
        }
    }

    /// A call that must not fail.
    pub async fn done(&mut self, call: Call) -> Result<Data, Reason> {
        let token = self.send(vec![call]).await?[0];
        let Completion { code, reason, data, .. } = self.answer(token).await?;
        if code == CompletionCode::Failed { Err(reason) } else { Ok(data) }
    }

    pub async fn manager(&mut self) -> Result<Manager, Reason> {
        let data = self.done(Call::Inquire { handle: MANAGER }).await?;
        let Data::Inquired(view) = data else { return Err(Reason::UnexpectedError) };
        let definition = &view.definition;
        Ok(Manager {
            takes_commands: definition.number(selector::SCMDSERV) != SCMDSERV_MANUAL,
            dead_letter_queue: ObjectName::new(definition.text(selector::DEADQ).trim()).ok(),
        })
    }

    /// The queue manager and its command queue, as long as the session lasts.
    pub async fn open_manager(&mut self) -> Result<(), Reason> {
        let options = OpenOptions { inquire: true, ..OpenOptions::default() };
        self.done(Call::OpenManager { handle: MANAGER, options }).await.map(drop)
    }

    pub async fn open_commands(&mut self) -> Result<(), Reason> {
        let queue = ObjectName::new(COMMAND_QUEUE).expect("it is a name");
        let options = OpenOptions { input: true, ..OpenOptions::default() };
        let open = Call::Open { handle: COMMANDS, queue, options, dynamic: String::new(), selector: None };
        self.done(open).await.map(drop)
    }

    /// The next message on the command queue; None when it is time to look at something else, while the get waits on.
    pub async fn command(&mut self) -> Result<Option<Box<Message>>, Reason> {
        let token = match self.get {
            Some(token) => token,
            None => self.send(vec![next_command()]).await?[0],
        };
        self.get = Some(token);
        let look = (self.sleep)(LOOK_EVERY);
        let answered = match select(pin!(self.answer(token)), look).await {
            Either::Left((answered, _)) => answered,
            Either::Right(_) => return Ok(None),
        };
        self.get = None;
        match answered? {
            Completion { data: Data::Got { message, .. }, .. } => Ok(Some(message)),
            Completion { reason, .. } => Err(reason),
        }
    }

    /// Puts a message on the dead-letter queue, in the unit of work. Without one, or where that does not take it, it is gone, as with
    /// MQ: what it is about is done, and is not done again because nobody can be told.
    pub async fn bury(
        &mut self,
        queue_manager: &ObjectName,
        message: Message,
        queue: &str,
        reason: Reason,
    ) -> Result<(), Reason> {
        let dead_letter_queue = self.manager().await?.dead_letter_queue;
        // There it would come back as a command that is none.
        let Some(dead_letter_queue) = dead_letter_queue.filter(|queue| queue.as_str() != COMMAND_QUEUE)
        else {
            tracing::warn!(%queue_manager, queue, %reason, "a message without a place is dropped, there is no dead-letter queue");
            return Ok(());
        };
        let message = *dead_letter::with_header(Box::new(message), queue, queue_manager, reason, now());
        let mut buried = self.done(put(dead_letter_queue.clone(), message.clone(), true)).await;
        if buried.as_ref().err() == Some(&Reason::SyncpointLimitReached) {
            // The command itself is as many as MAXUMSGS allows.
            buried = self.done(put(dead_letter_queue.clone(), message, false)).await;
        }
        match buried {
            Err(refused) if is_for_the_next(refused) => Err(refused),
            Err(refused) => {
                tracing::warn!(
                    %queue_manager, queue, %reason, %dead_letter_queue, %refused,
                    "a message without a place is dropped, the dead-letter queue does not take it"
                );
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }
}

/// Whether whoever serves next has to do it, or do it once more; else it is what the queue manager has to say.
pub fn is_for_the_next(reason: Reason) -> bool {
    reason.says_not_served() || matches!(reason, Reason::CallInterrupted | Reason::HconnError)
}

fn next_command() -> Call {
    Call::Get(Get {
        handle: COMMANDS,
        syncpoint: true,
        syncpoint_if_persistent: false,
        wait: Wait::Forever,
        mode: GetMode::Destructive,
        selection: Selection::default(),
        max_length: None,
        accept_truncated: false,
        extended: false,
        lock: false,
    })
}

/// MQPUT1. What the message does not say of its context comes from the session.
pub fn put(queue: ObjectName, message: Message, syncpoint: bool) -> Call {
    Call::Put(Put {
        to: PutTarget::Queue(queue),
        message: Box::new(message),
        syncpoint,
        logical_order: false,
        producer: None,
        dead_letter: false,
        context: Context::Default,
    })
}

fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallTime(since.as_millis() as i64)
}
