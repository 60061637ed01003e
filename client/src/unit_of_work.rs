//! A unit of work: puts and gets that become true together, or not at all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use trimaran_proto::queue::v1 as wire;

use crate::{
    connection::Connection,
    error::{Error, Result},
    get_options::{GetOptions, none_if_no_message},
    message::Message,
    outcome::{self, Placed, UnitOutcome},
    reasons::reason,
    reconnect,
    session::{Answer, Purpose, Request, Session},
};

/// A unit of work: puts and gets on any number of queues that become true together at
/// [`commit`](UnitOfWork::commit), or not at all. Made by [`Connection::unit_of_work`].
///
/// A unit lives on one connection to one node. When that is lost the unit is backed out and its calls say so with
/// reason 2003 ([`Error::is_backed_out`]): begin a new one and do the work again. A unit that has nothing yet has nothing to
/// lose: its first call, a get that waits for example, goes on over the next connection. A commit whose answer was lost is
/// looked into: the library asks the queue manager what became of it, so `commit` always gives a definite answer.
///
/// ```no_run
/// # async fn example(connection: trimaran_client::Connection) -> trimaran_client::Result<()> {
/// use std::time::Duration;
///
/// let mut unit = connection.unit_of_work().await?;
/// if let Some(order) = unit.get("ORDERS", Duration::from_secs(1)).await? {
///     unit.put("INVOICES", "an invoice for it").await?;
///     unit.put("SHIPMENTS", order).await?;
/// }
/// unit.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// Dropped without a commit it is backed out.
pub struct UnitOfWork {
    connection: Connection,
    session: Option<Arc<Session>>,
    id: [u8; 24],
    state: State,
}

/// For so long a node that says that the queue manager quiesces is asked once more: a node that is stopped says so, too, and its
/// connection ends at once.
const QUIESCES_FOR: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Working,
    /// A call's future was dropped before it was answered: nobody knows what is in the unit.
    Unclear,
    BackedOut,
}

impl Connection {
    /// Begins a unit of work: puts and gets on any number of queues that become true together at commit.
    ///
    /// Waits while the connection is being made again.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody serves within the time that was given, 2161 while the queue manager quiesces,
    /// [`Error::Closed`].
    pub async fn unit_of_work(&self) -> Result<UnitOfWork> {
        let session = self.unit_session().await?;
        Ok(UnitOfWork::new(self.clone(), session))
    }

    /// What became of the unit of work with this id? Final: what is not committed now can not be committed
    /// afterwards. [`UnitOfWork::commit`] asks by itself; this is for a program that noted the id of
    /// [`UnitOfWork::id`] before it died. One that noted [`UnitOfWork::units_decided`], too, had better ask with
    /// [`Connection::unit_outcome_since`]: a unit that is not known is [`UnitOutcome::Forgotten`] here as soon as the
    /// queue manager has forgotten any unit.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an id that is empty or longer than 24 bytes; else what the queue manager refuses.
    pub async fn unit_outcome(&self, unit: impl AsRef<[u8]>) -> Result<UnitOutcome> {
        self.unit_outcome_since(unit, 0).await
    }

    /// As [`Connection::unit_outcome`], of a unit whose commit was sent when so many units had been decided, or later:
    /// [`UnitOutcome::Forgotten`] only if one that was decided since then was forgotten.
    ///
    /// # Errors
    ///
    /// As [`Connection::unit_outcome`].
    pub async fn unit_outcome_since(
        &self,
        unit: impl AsRef<[u8]>,
        units_decided: u64,
    ) -> Result<UnitOutcome> {
        self.ask_outcome(unit.as_ref(), units_decided).await.map(|(outcome, _)| outcome)
    }

    /// The outcome, and whether nothing was known of the unit before.
    ///
    /// # Errors
    ///
    /// As [`Connection::unit_outcome`].
    pub async fn ask_outcome(&self, unit: &[u8], units_decided: u64) -> Result<(UnitOutcome, bool)> {
        let unit_id = Bytes::copy_from_slice(unit);
        if unit_id.is_empty() || unit_id.len() > 24 {
            return Err(Error::Invalid("the id of a unit of work has 1 to 24 bytes".into()));
        }
        let call = wire::call::Call::UnitOutcome(wire::UnitOutcome { unit_id, units_decided });
        let answer = self.core.session.call(Request::new(call).repeatable()).await?;
        let status = match answer.data {
            Some(wire::completion::Data::Unit(status)) => status,
            _ => wire::UnitStatus::default(),
        };
        let outcome = match status.state() {
            wire::unit_status::State::Committed => UnitOutcome::Committed,
            wire::unit_status::State::BackedOut => UnitOutcome::BackedOut,
            wire::unit_status::State::Forgotten => UnitOutcome::Forgotten,
            wire::unit_status::State::Unspecified => {
                let text = "The queue manager answered the question for a unit of work without an outcome.";
                return Err(Error::refused(reason::UNEXPECTED_ERROR, text));
            }
        };
        Ok((outcome, status.sealed))
    }

    async fn unit_session(&self) -> Result<Arc<Session>> {
        let mut quiesces_since: Option<Instant> = None;
        loop {
            if let Some(session) = self.core.idle_unit() {
                return Ok(session);
            }
            let link = self.link().await?;
            let session = Session::for_units(self.core.options.limits);
            let node = self.core.nodes().into_iter().find(|node| node.address == link.address);
            let Some(node) = node else { continue };
            match reconnect::greet(&self.core, &node, &session, reconnect::GREETING_PATIENCE).await {
                Ok(greeted) => {
                    session.attach(&greeted.gate, greeted.responses)?;
                    self.core.lease(&session);
                    return Ok(session);
                }
                Err(failure) => {
                    let number = failure.error.reason().unwrap_or_default();
                    if !crate::outcome::says_that_service_moved(number) {
                        return Err(failure.error);
                    }
                    // Whoever stayed until it is over would hold up the end that it is about.
                    quiesces_since = match number {
                        reason::Q_MGR_QUIESCING => quiesces_since.or_else(|| Some(Instant::now())),
                        _ => None,
                    };
                    if quiesces_since.is_some_and(|since| since.elapsed() >= QUIESCES_FOR) {
                        return Err(failure.error);
                    }
                    // The connection's own session will notice, too; until then this one would spin.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

impl UnitOfWork {
    pub(crate) fn new(connection: Connection, session: Arc<Session>) -> UnitOfWork {
        let id = connection.core.next_unit_id();
        UnitOfWork { connection, session: Some(session), id, state: State::Empty }
    }

    /// Names the unit. A program that notes it before the commit can ask
    /// [`Connection::unit_outcome`](crate::Connection::unit_outcome) after a crash of its own.
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// How many units of work the queue manager has decided up to now, for
    /// [`Connection::unit_outcome_since`](crate::Connection::unit_outcome_since).
    pub fn units_decided(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.units_decided())
    }

    /// Puts one message; nobody sees it before the commit.
    ///
    /// # Errors
    /// As [`Queue::put`](crate::Queue::put), and 2024 when the unit has as many messages as MAXUMSGS allows. After 2003 it is backed out.
    pub async fn put(&mut self, queue: impl AsRef<str>, message: impl Into<Message>) -> Result<Placed> {
        let put = put_of(message.into());
        let output = Purpose { output: true, ..Purpose::default() };
        let result = self.call(|session| on_queue(session, (queue.as_ref(), ""), output, put.clone())).await;
        result.map(placed)
    }

    /// Puts many messages without waiting for each; fails with the first refusal, and then the unit should be
    /// backed out.
    ///
    /// # Errors
    /// The first refusal, as [`UnitOfWork::put`].
    pub async fn put_many<M: Into<Message>>(
        &mut self,
        queue: impl AsRef<str>,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<Placed>> {
        let puts: Vec<_> = messages.into_iter().map(|message| put_of(message.into())).collect();
        let output = Purpose { output: true, ..Purpose::default() };
        let requests = |session: &Session| {
            puts.iter().map(|put| on_queue(session, (queue.as_ref(), ""), output, put.clone())).collect()
        };
        self.calls(requests, |answer| answer.map(placed)).await
    }

    /// Gets as many messages as there are options, one for each, without waiting for one before the next is asked for; None where
    /// there is no such message. None of the gets may wait.
    ///
    /// # Errors
    /// The first refusal, as [`UnitOfWork::get`]; then the unit should be backed out.
    pub async fn get_many(
        &mut self,
        queue: impl AsRef<str>,
        options: impl IntoIterator<Item = GetOptions>,
    ) -> Result<Vec<Option<Message>>> {
        let gets: Vec<_> = options.into_iter().map(|options| options.wait(Duration::ZERO)).collect();
        let input = Purpose { input: true, ..Purpose::default() };
        let requests = |session: &Session| {
            let get = |options: &GetOptions| wire::Get { syncpoint: true, ..options.to_wire(0) };
            let of_queue = |options: &GetOptions| {
                let source = (queue.as_ref(), options.selector.as_str());
                on_queue(session, source, input, wire::call::Call::Get(get(options)))
            };
            gets.iter().map(of_queue).collect()
        };
        self.calls(requests, none_if_no_message).await
    }

    /// All on their way at once; the first refusal is the result.
    async fn calls<T>(
        &mut self,
        requests: impl Fn(&Session) -> Vec<Request>,
        take: impl Fn(Result<Answer>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let is_first = self.state == State::Empty;
        loop {
            self.begin_call()?;
            let session = self.session()?;
            let mut answers = Vec::new();
            let mut first_error = None;
            for request in requests(&session) {
                match session.start_call(request).await {
                    Ok((_, answer)) => answers.push(answer),
                    Err(error) => {
                        first_error = Some(error);
                        break;
                    }
                }
            }
            let mut all = Vec::with_capacity(answers.len());
            for answer in answers {
                match take(answer.await.unwrap_or(Err(Error::Closed))) {
                    Ok(taken) => all.push(taken),
                    Err(error) => drop(first_error.get_or_insert(error)),
                }
            }
            match first_error {
                None => {
                    self.state = State::Working;
                    return Ok(all);
                }
                Some(error) if is_first && has_moved(&error) => self.begin_again().await?,
                Some(error) => return Err(self.end_call(error)),
            }
        }
    }

    /// Gets one message; it is reserved now, and gone for good after the commit. None when there is none.
    ///
    /// If the future is dropped before it is ready, the unit can only be backed out: it may hold a message that
    /// nobody has seen.
    ///
    /// # Errors
    /// As [`Queue::get`](crate::Queue::get), and 2024. After 2003 the unit is backed out. Of a unit that has nothing yet: 2161 when the
    /// queue manager quiesces, and [`Error::Unreachable`] when the wait is over, and the time in which a connection is made, and
    /// nobody serves.
    pub async fn get(
        &mut self,
        queue: impl AsRef<str>,
        options: impl Into<GetOptions>,
    ) -> Result<Option<Message>> {
        let options = options.into();
        let input = Purpose { input: true, ..Purpose::default() };
        let was_empty = self.state == State::Empty;
        let until = Instant::now().checked_add(options.wait);
        let patience = options.wait.max(self.connection.core.options.connect_within);
        let result = self.call_within(patience, |session| {
            // A wait that goes on over another connection is no longer for that.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let options = options.clone().wait(left.unwrap_or(options.wait).min(options.wait));
            let get = wire::Get { syncpoint: true, ..options.to_wire(0) };
            let source = (queue.as_ref(), options.selector.as_str());
            let mut request = on_queue(session, source, input, wire::call::Call::Get(get));
            request.waits = !options.wait.is_zero();
            request
        });
        let got = none_if_no_message(result.await);
        if was_empty && matches!(got, Ok(None)) {
            self.state = State::Empty;
        }
        got
    }

    /// Makes all of it true. Ok means committed; [`Error::is_backed_out`] means that nothing of it is true and nothing
    /// ever will be. The answer is definite also when the connection broke while the commit was under way:
    /// then this waits for the next connection and asks.
    ///
    /// # Errors
    ///
    /// [`Error::is_backed_out`], or what the queue manager refuses. Reason 2549 if it took so long to ask that the queue
    /// manager does not know any more (after 10 minutes and 100,000 other units at least).
    pub async fn commit(mut self) -> Result<()> {
        match self.state {
            State::Empty => {
                self.give_back();
                return Ok(());
            }
            State::Working => {}
            State::Unclear => return Err(unclear()),
            State::BackedOut => return Err(backed_out()),
        }
        let session = self.session()?;
        let unit_id = Bytes::copy_from_slice(&self.id);
        let units_decided = session.units_decided();
        let commit = wire::Commit { unit_id, units_decided: Some(units_decided) };
        let commit = wire::call::Call::Commit(commit);
        let error = match session.call(Request::new(commit)).await {
            Ok(_) => {
                self.give_back();
                return Ok(());
            }
            Err(error) => error,
        };
        if error.is_backed_out() {
            self.give_back();
            return Err(error);
        }
        if !error.reason().is_some_and(outcome::says_that_service_moved) {
            return Err(error);
        }
        match self.connection.unit_outcome_since(self.id, units_decided).await? {
            UnitOutcome::Committed => Ok(()),
            UnitOutcome::BackedOut => Err(backed_out()),
            UnitOutcome::Forgotten => Err(forgotten()),
        }
    }

    /// Takes all of it back: puts vanish, messages go back to their places with a higher backout count.
    ///
    /// # Errors
    /// What kept the word from the queue manager. The unit is backed out all the same, with the end of its session.
    pub async fn backout(mut self) -> Result<()> {
        if matches!(self.state, State::Empty) {
            self.give_back();
            return Ok(());
        }
        if matches!(self.state, State::BackedOut) {
            return Ok(());
        }
        let session = self.session()?;
        let backout = wire::call::Call::Backout(wire::Backout {});
        match session.call(Request::new(backout)).await {
            Ok(_) => {
                self.give_back();
                Ok(())
            }
            // A lost connection backs out, too.
            Err(error) if error.reason().is_some_and(outcome::says_that_service_moved) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call(&mut self, request: impl Fn(&Session) -> Request) -> Result<Answer> {
        self.call_within(Duration::MAX, request).await
    }

    /// `patience`: how long another node is looked for that serves, from now.
    async fn call_within(
        &mut self,
        patience: Duration,
        request: impl Fn(&Session) -> Request,
    ) -> Result<Answer> {
        let is_first = self.state == State::Empty;
        let began = Instant::now();
        loop {
            self.begin_call()?;
            let session = self.session()?;
            match session.call(request(&session)).await {
                Ok(answer) => {
                    self.state = State::Working;
                    return Ok(answer);
                }
                // To a call this is the queue manager's own word; of a node that stops only the session's end says it.
                Err(error) if is_first && error.reason() == Some(reason::Q_MGR_QUIESCING) => {
                    self.state = State::BackedOut;
                    return Err(error);
                }
                Err(error) if is_first && has_moved(&error) => {
                    let left = patience.saturating_sub(began.elapsed());
                    match tokio::time::timeout(left, self.begin_again()).await {
                        Ok(begun) => begun?,
                        Err(_) => return Err(self.connection.core.unreachable(began.elapsed())),
                    }
                }
                Err(error) => return Err(self.end_call(error)),
            }
        }
    }

    /// The first call went down with its connection, and whatever it did with it: the unit is as new, on the next one.
    async fn begin_again(&mut self) -> Result<()> {
        if let Some(session) = self.session.take() {
            session.close(Error::Closed);
        }
        // There is nothing to back out where no other is found.
        self.state = State::BackedOut;
        self.session = Some(self.connection.unit_session().await?);
        self.state = State::Empty;
        Ok(())
    }

    fn begin_call(&mut self) -> Result<()> {
        match self.state {
            State::BackedOut => Err(backed_out()),
            State::Unclear => Err(unclear()),
            State::Empty | State::Working => {
                self.state = State::Unclear;
                Ok(())
            }
        }
    }

    /// A lost connection means that the unit is backed out; any other refusal leaves it as it was.
    fn end_call(&mut self, error: Error) -> Error {
        let lost = has_moved(&error);
        self.state = if lost || error.is_backed_out() { State::BackedOut } else { State::Working };
        if lost { backed_out() } else { error }
    }

    fn session(&self) -> Result<Arc<Session>> {
        self.session.clone().ok_or(Error::Closed)
    }

    fn give_back(&mut self) {
        if let Some(session) = self.session.take() {
            self.connection.core.give_back(session);
        }
    }
}

impl Drop for UnitOfWork {
    fn drop(&mut self) {
        // The end of its session backs a unit out. An empty one leaves the session as good as new.
        match self.session.take() {
            Some(session) if self.state == State::Empty => self.connection.core.give_back(session),
            Some(session) => session.close(Error::Closed),
            None => {}
        }
    }
}

impl std::fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnitOfWork").field("id", &crate::message::hex(&self.id)).finish_non_exhaustive()
    }
}

/// The connection was lost, or its node does not serve any more.
fn has_moved(error: &Error) -> bool {
    error.reason().is_some_and(outcome::says_that_service_moved)
}

fn put_of(message: Message) -> wire::call::Call {
    wire::call::Call::Put(wire::Put {
        message: Some(message.into_wire()),
        syncpoint: true,
        ..wire::Put::default()
    })
}

/// The call on the session's handle for this queue and purpose.
/// `source` is the queue, and which of its messages.
fn on_queue(
    session: &Session,
    (queue, selector): (&str, &str),
    purpose: Purpose,
    mut call: wire::call::Call,
) -> Request {
    let handle = session.named_handle(queue, selector, purpose);
    match &mut call {
        wire::call::Call::Put(put) => put.to = Some(wire::put::To::Handle(handle)),
        wire::call::Call::Get(get) => get.handle = handle,
        _ => {}
    }
    Request::new(call).on(handle)
}

fn placed(answer: Answer) -> Placed {
    let placed = match answer.data {
        Some(wire::completion::Data::Placed(placed)) => placed,
        _ => wire::Placed::default(),
    };
    Placed {
        message_id: placed.message_id,
        duplicate: placed.duplicate,
        warning: answer.warning,
        only_id_known: placed.only_id_known,
    }
}

fn backed_out() -> Error {
    let text = "The unit of work was backed out as a whole; do its calls again and commit again.";
    Error::refused(reason::BACKED_OUT, text)
}

fn forgotten() -> Error {
    let text = "The connection was lost while the unit of work was committed, and the queue manager does not know any \
                more what became of it; look whether its effects are there before doing it again.";
    Error::refused(reason::CALL_INTERRUPTED, text)
}

fn unclear() -> Error {
    let text =
        "A call of this unit of work was dropped before it was answered; back the unit out and do it again.";
    Error::Invalid(text.to_string())
}
