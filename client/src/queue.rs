//! A queue: put, get, browse.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::oneshot;
use trimaran_proto::queue::v1 as wire;

use crate::{
    connection::Connection,
    core::QueueShared,
    error::{Error, Result},
    get_options::{FOREVER, GetOptions, message_of, none_if_no_message, unexpected},
    message::Message,
    outcome::Placed,
    reasons::reason,
    session::{Answer, Purpose, Request, Session},
    unit_of_work::UnitOfWork,
};

pub use trimaran_proto::queue::v1::QueueStatus;

/// Messages a browse has asked for ahead of the program, at most, and bytes of them, roughly.
const BROWSE_AHEAD: usize = 32;
const BROWSE_AHEAD_BYTES: usize = 4 * 1024 * 1024;
/// Messages, by their ids, that a cursor remembers to find its place again after a reconnect.
const SEEN_MAX: usize = 1_000_000;

/// A queue of a [`Connection`]. Cheap to clone. Opened by its first call and closed with its last clone.
#[derive(Clone)]
pub struct Queue {
    connection: Connection,
    shared: Arc<QueueShared>,
}

impl Connection {
    /// A queue of the queue manager. Nothing is sent; the queue is opened by the first call on it, and whether it
    /// exists shows then.
    pub fn queue(&self, name: impl AsRef<str>) -> Queue {
        Queue::new(self.clone(), name.as_ref())
    }
}

/// The answer to a put that is on its way; await it for the result.
///
/// Dropping it does not take the put back.
#[derive(Debug)]
pub struct PutAnswer {
    sequence: u64,
    answer: oneshot::Receiver<Result<Placed>>,
}

impl PutAnswer {
    /// The producer sequence of the put; see [`crate::Builder::producer`].
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Future for PutAnswer {
    type Output = Result<Placed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Placed>> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

impl Queue {
    pub(crate) fn new(connection: Connection, name: &str) -> Queue {
        let shared = {
            let core = &connection.core;
            let mut queues = core.queues.lock().expect("nothing panics here");
            match queues.get(name).and_then(Weak::upgrade) {
                Some(shared) => shared,
                None => {
                    let session = core.session.clone();
                    let handle = |purpose| session.add_handle(name, "", purpose);
                    let output = handle(Purpose { output: true, ..Purpose::default() });
                    let input = handle(Purpose { input: true, ..Purpose::default() });
                    let inquire = handle(Purpose { inquire: true, ..Purpose::default() });
                    let (name, selecting) = (name.to_string(), Mutex::default());
                    let shared = Arc::new(QueueShared { name, session, output, input, inquire, selecting });
                    queues.retain(|_, queue| queue.strong_count() > 0);
                    queues.insert(shared.name.clone(), Arc::downgrade(&shared));
                    shared
                }
            }
        };
        Queue { connection, shared }
    }

    /// As it was opened; of a dynamic queue the name that it was given.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Puts one message and waits until it is safe: a persistent one is on disk on a majority of nodes then.
    ///
    /// Exactly once: if the connection breaks before the answer came, the put is repeated over the next one with
    /// the same producer sequence, and the queue manager stores it once.
    ///
    /// ```no_run
    /// # async fn example(connection: trimaran_client::Connection) -> trimaran_client::Result<()> {
    /// use trimaran_client::Message;
    ///
    /// let placed = connection.queue("HA.QUEUE").put(Message::text("Hello").priority(5)).await?;
    /// println!("message id {}", trimaran_client::hex(&placed.message_id));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] with MQ's reason: 2053 when the queue is full, 2051 when puts are inhibited, 2085 when there is no such
    /// queue, 2030 when it takes no body of this length. [`Error::Unreachable`] when nobody serves for as long as calls are kept.
    pub async fn put(&self, message: impl Into<Message>) -> Result<Placed> {
        self.start_put(message).await?.await
    }

    /// Puts one message into line and returns when there was room for it; what this returns is awaited for the
    /// answer. Many puts on their way at a time are what makes a producer fast; their order is the order of these
    /// calls.
    ///
    /// ```no_run
    /// # async fn example(queue: trimaran_client::Queue) -> trimaran_client::Result<()> {
    /// let first = queue.start_put("one").await?;
    /// let second = queue.start_put("two").await?;
    /// first.await?;
    /// second.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn start_put(&self, message: impl Into<Message>) -> Result<PutAnswer> {
        self.start(message.into(), false).await
    }

    /// Like [`Queue::put`], but what the queue does not take (full, inhibited, too long, unknown) goes to the
    /// dead-letter queue; [`Placed::warning`] says why.
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn put_or_dead_letter(&self, message: impl Into<Message>) -> Result<Placed> {
        self.start(message.into(), true).await?.await
    }

    async fn start(&self, message: Message, dead_letter: bool) -> Result<PutAnswer> {
        let message = message.into_wire();
        let (sequence, answer) = self.shared.session.put(self.shared.output, message, dead_letter).await?;
        Ok(PutAnswer { sequence, answer })
    }

    /// Puts many messages, as many at a time as the window allows, and gives the answer to each.
    ///
    /// # Errors
    /// When there is no connection to put into any more; what is refused is in the answers.
    pub async fn put_many<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<Result<Placed>>> {
        let mut answers = Vec::new();
        for message in messages {
            answers.push(self.start_put(message).await?);
        }
        let mut placed = Vec::with_capacity(answers.len());
        for answer in answers {
            placed.push(answer.await);
        }
        Ok(placed)
    }

    /// Gets the first message, waiting for one at most this long; None when there is none (reason 2033).
    ///
    /// The message is gone from its queue when this returns. If the connection breaks in between, nobody can say
    /// whether it was taken (reason 2549, [`Error::is_interrupted`]); where that must not happen use
    /// [`Queue::get_under_syncpoint`] or [`Queue::messages`].
    ///
    /// It is safe to drop the future, in `select!` for example: a message that arrives for it is handed to the
    /// next get on this queue with the same selector, if that is one of the last eight.
    ///
    /// # Errors
    /// [`Error::Refused`] with MQ's reason: 2016 when gets are inhibited, 2085 when there is no such queue, 2549 when nobody can say
    /// whether a message was taken. [`Error::Damaged`] when the body is not the one that was put.
    pub async fn get(&self, wait: Duration) -> Result<Option<Message>> {
        self.get_with(wait).await
    }

    /// [`Queue::get`] of a certain message.
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub async fn get_with(&self, options: impl Into<GetOptions>) -> Result<Option<Message>> {
        let options = options.into();
        let session = &self.shared.session;
        let selecting = (!options.selector.is_empty()).then(|| self.shared.selecting(&options.selector));
        let input = selecting.as_ref().map_or(self.shared.input, |selecting| selecting.handle);
        if let Some((got, parts)) = session.take_stashed(input, |descriptor| options.matches(descriptor)) {
            return message_of(got, parts).map(Some);
        }
        let call = wire::call::Call::Get(options.to_wire(input));
        let mut request = Request::new(call).on(input);
        request.waits = !options.wait.is_zero();
        none_if_no_message(session.call(request).await)
    }

    /// Gets up to so many messages that are there now, with one request in place of one after the other. In the order
    /// of the queue; an error stands in the place of the message it is about.
    pub async fn get_many(&self, count: usize) -> Vec<Result<Message>> {
        let gets = (0..count).map(|_| self.get(Duration::ZERO));
        futures::future::join_all(gets).await.into_iter().filter_map(Result::transpose).collect()
    }

    /// Gets the first message in a unit of work of its own: the message is reserved now and gone after
    /// [`Delivery::commit`]; when the program dies before that, or drops the delivery, somebody else gets it.
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub async fn get_under_syncpoint(&self, options: impl Into<GetOptions>) -> Result<Option<Delivery>> {
        let mut unit = self.connection.unit_of_work().await?;
        match unit.get(&self.shared.name, options).await? {
            Some(message) => Ok(Some(Delivery { message, unit })),
            None => {
                unit.backout().await?;
                Ok(None)
            }
        }
    }

    /// The messages of the queue as they come, for ever. Each is got under syncpoint, and committed when the next
    /// one is asked for: a program that dies in the middle of a message gives it back.
    ///
    /// # Errors
    /// After a lost connection the stream says 2003 for the message that was not committed yet, and goes on: that message comes
    /// again. Any other error is the last thing that it says.
    ///
    /// ```no_run
    /// # async fn example(queue: trimaran_client::Queue) -> trimaran_client::Result<()> {
    /// use futures::StreamExt;
    ///
    /// let mut messages = std::pin::pin!(queue.messages());
    /// while let Some(message) = messages.next().await {
    ///     match message {
    ///         Ok(message) => println!("{:?}", message.as_text()),
    ///         Err(error) if error.is_backed_out() => println!("the last one will come again"),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self) -> impl Stream<Item = Result<Message>> + Send + 'static {
        let start = (self.clone(), None::<UnitOfWork>, false);
        stream::unfold(start, |(queue, unit, failed)| async move {
            if failed {
                return None;
            }
            if let Some(unit) = unit
                && let Err(error) = unit.commit().await
            {
                let failed = !error.is_backed_out();
                return Some((Err(error), (queue, None, failed)));
            }
            loop {
                let mut unit = match queue.connection.unit_of_work().await {
                    Ok(unit) => unit,
                    Err(error) => return Some((Err(error), (queue, None, true))),
                };
                match unit.get(&queue.shared.name, FOREVER).await {
                    Ok(Some(message)) => return Some((Ok(message), (queue, Some(unit), false))),
                    Ok(None) => {}
                    // Nothing was handed out yet, so nobody needs to hear of it.
                    Err(error) if error.is_backed_out() => {}
                    Err(error) => return Some((Err(error), (queue, None, true))),
                }
            }
        })
    }

    /// The messages on the queue from the front, without taking them; ends behind the last one.
    ///
    /// A lost connection does not end it: it finds its place again and shows no message twice.
    ///
    /// # Errors
    /// As those of [`Queue::get`]; an error is the last thing that the stream says.
    ///
    /// ```no_run
    /// # async fn example(queue: trimaran_client::Queue) -> trimaran_client::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let mut messages = std::pin::pin!(queue.browse());
    /// while let Some(message) = messages.try_next().await? {
    ///     println!("{:?}", message.as_text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn browse(&self) -> impl Stream<Item = Result<Message>> + Send + 'static {
        self.browse_with(GetOptions::new())
    }

    /// [`Queue::browse`] of the messages that match.
    ///
    /// # Errors
    /// As those of [`Queue::browse`].
    pub fn browse_with(&self, options: GetOptions) -> impl Stream<Item = Result<Message>> + Send + 'static {
        let mut cursor = Cursor::new(self.clone(), options, Purpose { browse: true, ..Purpose::default() });
        cursor.ahead_max = BROWSE_AHEAD;
        stream::unfold(Some(cursor), |cursor| async move {
            let mut cursor = cursor?;
            match cursor.next().await {
                Ok(Some(message)) => Some((Ok(message), Some(cursor))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// A browse cursor that can also take the message it stands on.
    pub fn cursor(&self) -> Cursor {
        let purpose = Purpose { browse: true, input: true, ..Purpose::default() };
        Cursor::new(self.clone(), GetOptions::new(), purpose)
    }

    /// Depth, limits and who has the queue open.
    ///
    /// # Errors
    /// 2085 when there is no such queue, and as [`Queue::get`].
    pub async fn status(&self) -> Result<QueueStatus> {
        let handle = self.shared.inquire;
        let request =
            Request::new(wire::call::Call::Inquire(wire::Inquire { handle })).on(handle).repeatable();
        match self.shared.session.call(request).await?.data {
            Some(wire::completion::Data::Queue(status)) => Ok(status),
            _ => Err(unexpected("the status of a queue")),
        }
    }
}

impl AsRef<str> for Queue {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// A message that is reserved for this program until it commits; made by [`Queue::get_under_syncpoint`].
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    unit: UnitOfWork,
}

impl Delivery {
    /// What was got, or looked at.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// To put answers in the same unit of work: they become visible when the message is gone.
    pub fn unit(&mut self) -> &mut UnitOfWork {
        &mut self.unit
    }

    /// The message is gone for good when this returns Ok.
    ///
    /// # Errors
    /// As [`UnitOfWork::commit`].
    pub async fn commit(self) -> Result<Message> {
        self.unit.commit().await?;
        Ok(self.message)
    }

    /// The message goes back to its place, with a backout count that is one higher.
    ///
    /// # Errors
    /// As [`UnitOfWork::backout`].
    pub async fn backout(self) -> Result<()> {
        self.unit.backout().await
    }
}

impl std::ops::Deref for Delivery {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

/// A browse cursor: steps over the messages from the front and can take the one it stands on.
///
/// ```no_run
/// # async fn example(queue: trimaran_client::Queue) -> trimaran_client::Result<()> {
/// let mut cursor = queue.cursor();
/// while let Some(message) = cursor.next().await? {
///     if message.as_text() == Some("take me") {
///         cursor.get().await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Cursor {
    queue: Queue,
    session: Arc<Session>,
    handle: u32,
    options: GetOptions,
    /// The stream that the cursor on the other side belongs to; None before the first step.
    generation: Option<u64>,
    seen: Seen,
    current: Option<Bytes>,
    ahead: VecDeque<oneshot::Receiver<Result<Answer>>>,
    ahead_max: usize,
    ended: bool,
    shown: u64,
    shown_bytes: u64,
}

impl Cursor {
    fn new(queue: Queue, options: GetOptions, purpose: Purpose) -> Cursor {
        let session = queue.shared.session.clone();
        let handle = session.add_handle(queue.name(), &options.selector, purpose);
        Cursor {
            queue,
            session,
            handle,
            options,
            generation: None,
            seen: Seen::default(),
            current: None,
            ahead: VecDeque::new(),
            ahead_max: 1,
            ended: false,
            shown: 0,
            shown_bytes: 0,
        }
    }

    /// The next message, None behind the last one. After that the cursor can be asked again for what came since.
    ///
    /// # Errors
    /// As [`Queue::get`]; a connection that broke is not one of them.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            self.ask_ahead().await?;
            let receiver = self.ahead.front_mut().expect("at least one was asked for");
            let answer = receiver.await.unwrap_or(Err(Error::Closed));
            self.ahead.pop_front();
            match none_if_no_message(answer) {
                Ok(Some(message)) => {
                    if !self.seen.is_news(&message.descriptor.message_id) {
                        continue;
                    }
                    self.shown += 1;
                    self.shown_bytes += message.body.len() as u64;
                    self.current = Some(Bytes::copy_from_slice(&message.descriptor.message_id));
                    return Ok(Some(message));
                }
                Ok(None) => {
                    self.ahead.clear();
                    self.ended = true;
                    self.current = None;
                    return Ok(None);
                }
                Err(error) if error.is_interrupted() && !self.seen.is_full() => {
                    // The cursor is gone with its stream. Begin again and skip what was shown.
                    self.ahead.clear();
                    self.generation = None;
                    self.seen.begin_again();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the message the cursor stands on, that very one. None when somebody else was faster (reason 2034). After a reconnect
    /// the message is known by its id only: of several with one id the first is taken.
    ///
    /// # Errors
    /// 2034 when it stands on no message, and as [`Queue::get`].
    pub async fn get(&mut self) -> Result<Option<Message>> {
        let Some(message_id) = self.current.clone() else {
            let text = "The cursor stands on no message; step to one first.";
            return Err(Error::refused(reason::NO_MSG_UNDER_CURSOR, text));
        };
        let by_id = GetOptions::new().message_id(&message_id);
        if self.generation != Some(self.session.generation()) {
            // The connection was made anew since: the cursor is gone, but the message has a name.
            return self.queue.get_with(by_id).await;
        }
        let call = wire::Get { under_cursor: true, ..GetOptions::new().to_wire(self.handle) };
        match none_if_no_message(self.session.call(self.over_here(call)).await) {
            Err(error) if error.is_interrupted() => match self.queue.get_with(by_id).await? {
                Some(message) => Ok(Some(message)),
                None => Err(error),
            },
            other => other,
        }
    }

    /// MQGMO_LOCK: keeps the message that the cursor stands on from everybody else, until it is taken with [`Cursor::get`], the cursor steps
    /// on, [`Cursor::unlock`], or the end of the connection. False when somebody else has it already.
    ///
    /// # Errors
    /// 2034 when it stands on no message, or the connection was made anew since; and as [`Queue::get`].
    pub async fn lock(&mut self) -> Result<bool> {
        let here = self.generation.filter(|generation| *generation == self.session.generation());
        if self.current.is_none() || here.is_none() {
            let text = "The cursor stands on no message of this connection; step to one first.";
            return Err(Error::refused(reason::NO_MSG_UNDER_CURSOR, text));
        }
        let browse = wire::Browse::UnderCursor as i32;
        // What it says was shown already.
        let call = wire::Get {
            browse,
            lock: true,
            ..GetOptions::new().max_length(1).accept_truncated().to_wire(self.handle)
        };
        none_if_no_message(self.session.call(self.over_here(call)).await).map(|locked| locked.is_some())
    }

    /// MQGMO_UNLOCK: the message that was locked is there for others again. False when there was none.
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub async fn unlock(&mut self) -> Result<bool> {
        if self.generation != Some(self.session.generation()) {
            return Ok(false);
        }
        let call = wire::Get { handle: self.handle, unlock: true, ..wire::Get::default() };
        self.session.call(self.over_here(call)).await.map(|answer| answer.warning == 0)
    }

    /// On the stream that the cursor on the other side belongs to.
    fn over_here(&self, get: wire::Get) -> Request {
        let mut request = Request::new(wire::call::Call::Get(get)).on(self.handle);
        request.generation = self.generation;
        request
    }

    async fn ask_ahead(&mut self) -> Result<()> {
        let mut first = false;
        if self.generation.is_none() {
            self.queue.connection.link().await?;
            self.generation = Some(self.session.generation());
            self.ended = false;
            first = true;
        }
        let average = self.shown_bytes.checked_div(self.shown).unwrap_or(0) as usize;
        let fits = (BROWSE_AHEAD_BYTES / (average + 1)).max(1);
        // Doubles with what was read, so that a look at the first message does not fetch thirty.
        let wanted = self.ahead_max.min(fits).min(self.shown as usize + 1);
        while self.ahead.len() < wanted.max(1) {
            let browse = if first { wire::Browse::First } else { wire::Browse::Next };
            first = false;
            let call = wire::Get { browse: browse as i32, ..self.options.to_wire(self.handle) };
            let mut request = Request::new(wire::call::Call::Get(call)).on(self.handle);
            request.generation = self.generation;
            request.waits = !self.options.wait.is_zero();
            let (_, receiver) = self.session.start_call(request).await?;
            self.ahead.push_back(receiver);
        }
        Ok(())
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.session.remove_handle(self.handle);
    }
}

/// What a cursor was shown, to find its place again where the other side does not know it any more.
#[derive(Debug, Default)]
struct Seen {
    /// How many messages with an id. Programs may give several the same one.
    times: HashMap<[u8; 24], u32>,
    /// How many of them are still to be met since the cursor began again.
    again: HashMap<[u8; 24], u32>,
}

impl Seen {
    /// Too many for the place to be found again.
    fn is_full(&self) -> bool {
        self.times.len() >= SEEN_MAX
    }

    /// From the first message on.
    fn begin_again(&mut self) {
        self.again.clone_from(&self.times);
    }

    /// Whether the next message was not shown before. Of several with one id as many are news as came since.
    fn is_news(&mut self, id: &[u8]) -> bool {
        let id = padded(id);
        if let Some(left) = self.again.get_mut(&id) {
            *left -= 1;
            if *left == 0 {
                self.again.remove(&id);
            }
            return false;
        }
        if !self.is_full() || self.times.contains_key(&id) {
            *self.times.entry(id).or_default() += 1;
        }
        true
    }
}

fn padded(id: &[u8]) -> [u8; 24] {
    let mut padded = [0; 24];
    let length = id.len().min(24);
    padded[..length].copy_from_slice(&id[..length]);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(seen: &mut Seen, ids: &[u8]) -> Vec<u8> {
        ids.iter().copied().filter(|id| seen.is_news(&[*id])).collect()
    }

    #[test]
    fn several_messages_with_one_id_are_all_shown() {
        assert_eq!(news(&mut Seen::default(), b"aaba"), *b"aaba");
    }

    #[test]
    fn a_cursor_that_begins_again_shows_what_it_did_not_show_before() {
        let mut seen = Seen::default();
        news(&mut seen, b"aab");
        seen.begin_again();
        // Others came meanwhile.
        assert_eq!(news(&mut seen, b"cabadd"), *b"cdd");
        seen.begin_again();
        assert_eq!(news(&mut seen, b"cabadda"), *b"a");
    }
}
