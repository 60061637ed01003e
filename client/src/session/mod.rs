//! One session (MQCONN) as the client sees it: calls on their way, answers that are awaited, handles that are open.
//!
//! A session has two lives. A *surviving* session is the connection's own: when its stream breaks it keeps what
//! was not answered, and [`Session::attach`] sends it again over the next stream, puts in their old order and with
//! their old producer sequence, so that each is stored once. A *unit* session ends with its stream, as its unit of
//! work does.
//!
//! Batching needs no timer: a call goes to the outbox and wakes the stream's task; whatever else was called until
//! that task runs leaves in the same `SessionRequest`. Nothing here does IO; `reconnect` finds the streams.
//!
//! `slots` counts what is under way and finds it again, `sending` fills and empties the outbox, `answers` gives each
//! completion to the one who waits for it, `stream` is the life of a session from one stream to the next.

mod answers;
mod sending;
mod slots;
mod stream;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use trimaran_proto::{message::v1 as message, queue::v1 as wire};

use crate::{
    error::{Error, Result},
    outcome::Placed,
    reasons::reason,
};

pub(crate) use stream::{Gate, Outgoing};

/// A longer body travels in parts of this size.
pub(crate) const PART_BYTES: usize = 1024 * 1024;
/// The longest body of MQ.
pub(crate) const BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
/// The queue manager remembers 10,000 sequences of a producer; nothing may be repeated that is older.
const UNANSWERED_SPAN: usize = 8_000;

/// The end of a session follows the answers that say that it is broken; later it is not waited for.
const END_PATIENCE: Duration = Duration::from_millis(250);

/// What may be on its way at a time; a call beyond waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// 1 to 8,000, so that all are within [`UNANSWERED_SPAN`].
    pub calls: usize,
    /// Of bodies that are put, with 128 more for each; at least 1.
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Purpose {
    /// MQOO_OUTPUT.
    pub output: bool,
    /// MQOO_INPUT_SHARED.
    pub input: bool,
    /// MQOO_BROWSE.
    pub browse: bool,
    /// MQOO_INQUIRE.
    pub inquire: bool,
}

/// One call other than a surviving session's put.
pub(crate) struct Request {
    /// What is asked; its token is given when it is sent.
    pub call: wire::call::Call,
    /// Opened first when it is not open.
    pub handle: Option<u32>,
    /// Harmless to send again when the stream broke before the answer came.
    pub repeat: bool,
    /// A get that may wait: its silence means nothing.
    pub waits: bool,
    /// Only over this very stream: what it refers to (a cursor) ends with it.
    pub generation: Option<u64>,
}

impl Request {
    pub(crate) fn new(call: wire::call::Call) -> Request {
        Request { call, handle: None, repeat: false, waits: false, generation: None }
    }

    pub(crate) fn on(mut self, handle: u32) -> Request {
        self.handle = Some(handle);
        self
    }

    pub(crate) fn repeatable(mut self) -> Request {
        self.repeat = true;
        self
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// Reason of a warning, 0 for none.
    pub warning: u32,
    /// None where there is nothing to say beside the outcome.
    pub data: Option<wire::completion::Data>,
    /// Pieces of the body of a message that was got, in order, where it is too long for `data`; else none.
    pub parts: Vec<Bytes>,
}

pub(crate) struct Session {
    state: Mutex<State>,
    room: Notify,
    lost: Notify,
    /// Messages that arrived for gets nobody waited for any more; see `Handle::stashed`.
    stashed: AtomicUsize,
    limits: Limits,
    survives: bool,
    producer: Producer,
}

/// Under which name puts are numbered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producer {
    /// 1 to 64 bytes; empty for sessions of units, which number no puts.
    pub name: String,
    /// An earlier run of the program may have tried them.
    pub repeating: bool,
}

struct State {
    phase: Phase,
    /// Grows with each stream; what belongs to an older one is ignored.
    generation: u64,
    outbox: VecDeque<wire::Call>,
    outbox_bytes: usize,
    /// The stream's task, when it waits for something in the outbox.
    waker: Option<Waker>,
    reader: Option<AbortHandle>,
    /// Numbers calls and puts in the order the program made them, to send them again in that order.
    order: u64,
    /// Sequenced puts that are not answered, and answered ones behind them, without a gap from `first_put` on.
    puts: VecDeque<PutSlot>,
    first_put: u64,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    serial: u64,
    handles: HashMap<u32, Handle>,
    next_handle: u32,
    in_flight: usize,
    in_flight_bytes: usize,
    waiting_for_room: usize,
    /// Unanswered calls that should be answered soon, in contrast to gets that wait.
    awaited: usize,
    heard_at: Instant,
    /// Since a node answered that the session is broken; its end comes behind the other answers.
    ends_since: Option<Instant>,
    /// Why the last stream ended.
    lost_because: Option<String>,
    /// Address of the node that serves instead, if the last one said so.
    hint: Option<String>,
    /// The most units of work that the queue manager has said to have decided.
    units_decided: u64,
}

enum Phase {
    Detached,
    Attached,
    Closed(Error),
}

struct PutSlot {
    handle: u32,
    message: message::Message,
    dead_letter: bool,
    /// It was on a stream before.
    sent: bool,
    order: u64,
    weight: usize,
    /// None once answered.
    answer: Option<oneshot::Sender<Result<Placed>>>,
}

struct Slot {
    serial: u64,
    order: u64,
    kind: SlotKind,
    /// Kept by a surviving session, to send it again.
    call: Option<wire::call::Call>,
    handle: Option<u32>,
    repeat: bool,
    waits: bool,
    generation: Option<u64>,
    deadline: Option<Instant>,
    weight: usize,
    parts: Vec<Bytes>,
}

enum SlotKind {
    /// None when the program dropped the future.
    Call(Option<oneshot::Sender<Result<Answer>>>),
    Open(u32),
    /// An answer nobody needs.
    Ignored,
}

struct Handle {
    queue: String,
    /// Which messages it is about; empty for all.
    selector: String,
    purpose: Purpose,
    state: HandleState,
    /// Got outside syncpoint for a future that was dropped meanwhile; the next get takes them.
    stashed: VecDeque<(wire::Got, Vec<Bytes>)>,
}

enum HandleState {
    Closed,
    /// Open is sent or answered with yes.
    Open,
    /// Open was answered with no.
    Refused(Error),
    /// The queue changed under the handle: close it, open it again.
    Stale,
}

/// An answer and who waits for it; given away after the lock is released.
enum Done {
    Put(oneshot::Sender<Result<Placed>>, Result<Placed>),
    Call(oneshot::Sender<Result<Answer>>, Result<Answer>),
}

impl Done {
    fn hand_over(self) {
        match self {
            Done::Put(sender, result) => drop(sender.send(result)),
            Done::Call(sender, result) => drop(sender.send(result)),
        }
    }
}

impl Session {
    /// The connection's own session. Puts are numbered from `first_sequence` on under the name `producer`.
    pub(crate) fn surviving(limits: Limits, producer: Producer, first_sequence: u64) -> Arc<Session> {
        Arc::new(Session::new(limits, true, producer, first_sequence))
    }

    /// A session for units of work.
    pub(crate) fn for_units(limits: Limits) -> Arc<Session> {
        Arc::new(Session::new(limits, false, Producer::default(), 1))
    }

    fn new(limits: Limits, survives: bool, producer: Producer, first_sequence: u64) -> Session {
        let state = State {
            phase: Phase::Detached,
            units_decided: 0,
            generation: 0,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            waker: None,
            reader: None,
            order: 0,
            puts: VecDeque::new(),
            first_put: first_sequence,
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
            handles: HashMap::new(),
            next_handle: 1,
            in_flight: 0,
            in_flight_bytes: 0,
            waiting_for_room: 0,
            awaited: 0,
            heard_at: Instant::now(),
            ends_since: None,
            lost_because: None,
            hint: None,
        };
        Session {
            state: Mutex::new(state),
            room: Notify::new(),
            lost: Notify::new(),
            stashed: AtomicUsize::new(0),
            limits,
            survives,
            producer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the session is locked")
    }

    // ------------------------------------------------------------------------------------------------
    // Handles

    /// Reserves a handle; it is opened by the first call on it.
    pub(crate) fn add_handle(&self, queue: &str, selector: &str, purpose: Purpose) -> u32 {
        let mut state = self.lock();
        let handle = state.next_handle;
        state.next_handle =
            state.next_handle.checked_add(1).expect("four thousand million handles are enough");
        let entry = Handle {
            queue: queue.to_string(),
            selector: selector.to_string(),
            purpose,
            state: HandleState::Closed,
            stashed: VecDeque::new(),
        };
        state.handles.insert(handle, entry);
        handle
    }

    /// The handle of a session for units, which has one per queue and purpose, and one more for the selector that was used last.
    pub(crate) fn named_handle(&self, queue: &str, selector: &str, purpose: Purpose) -> u32 {
        let (found, other) = {
            let state = self.lock();
            let of_queue =
                state.handles.iter().filter(|(_, entry)| entry.queue == queue && entry.purpose == purpose);
            let (mut found, mut other) = (None, None);
            for (handle, entry) in of_queue {
                match entry.selector == selector {
                    true => found = Some(*handle),
                    false if !entry.selector.is_empty() => other = Some(*handle),
                    false => {}
                }
            }
            (found, other)
        };
        if found.is_none() && !selector.is_empty() {
            other.into_iter().for_each(|other| self.remove_handle(other));
        }
        found.unwrap_or_else(|| self.add_handle(queue, selector, purpose))
    }

    pub(crate) fn remove_handle(&self, handle: u32) {
        let waker = {
            let mut state = self.lock();
            let Some(entry) = state.handles.remove(&handle) else { return };
            self.stashed.fetch_sub(entry.stashed.len(), Ordering::Relaxed);
            let open = matches!(entry.state, HandleState::Open | HandleState::Stale);
            if !open || !matches!(state.phase, Phase::Attached) {
                return;
            }
            state.close_handle(handle);
            state.waker.take()
        };
        wake(waker);
    }

    /// A message that an earlier get took for a future that was dropped.
    pub(crate) fn take_stashed(
        &self,
        handle: u32,
        matches: impl Fn(&message::Descriptor) -> bool,
    ) -> Option<(wire::Got, Vec<Bytes>)> {
        if self.stashed.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut state = self.lock();
        let stashed = &mut state.handles.get_mut(&handle)?.stashed;
        let at = stashed.iter().position(|(got, _)| {
            got.message.as_ref().and_then(|message| message.descriptor.as_deref()).is_some_and(&matches)
        })?;
        let found = stashed.remove(at);
        self.stashed.fetch_sub(1, Ordering::Relaxed);
        found
    }

    // ------------------------------------------------------------------------------------------------
    // Calls

    /// Waits for room, then puts the message into line. The order of puts is the order in which this returns.
    pub(crate) async fn put(
        &self,
        handle: u32,
        message: message::Message,
        dead_letter: bool,
    ) -> Result<(u64, oneshot::Receiver<Result<Placed>>)> {
        debug_assert!(self.survives);
        check_length(&message)?;
        let mut message = Some(message);
        self.when_there_is_room(|state| {
            let (sender, receiver) = oneshot::channel();
            let message = message.take().expect("there is room once");
            let weight = message.body.len() + 128;
            let order = state.next_order();
            let answer = Some(sender);
            let slot = PutSlot { handle, message, dead_letter, sent: false, order, weight, answer };
            state.puts.push_back(slot);
            state.count_call(weight, true);
            let index = state.puts.len() - 1;
            if matches!(state.phase, Phase::Attached) {
                state.send_put(index, &self.producer);
            }
            (state.first_put + index as u64, receiver)
        })
        .await
    }

    /// Waits for room, makes the call and waits for its answer.
    ///
    /// Dropping the future of a get that waits ends the wait on the other side too.
    pub(crate) async fn call(&self, request: Request) -> Result<Answer> {
        let (token, receiver) = self.start_call(request).await?;
        let mut guard = DropGuard { session: self, token, armed: true };
        let answer = receiver.await;
        guard.armed = false;
        answer.unwrap_or(Err(Error::Closed))
    }

    /// The first half of [`Session::call`]: the call is in line when this returns.
    pub(crate) async fn start_call(
        &self,
        request: Request,
    ) -> Result<(u64, oneshot::Receiver<Result<Answer>>)> {
        if let wire::call::Call::Put(wire::Put { message: Some(message), .. }) = &request.call {
            check_length(message)?;
        }
        let mut request = Some(request);
        self.when_there_is_room(|state| {
            let request = request.take().expect("there is room once");
            let (sender, receiver) = oneshot::channel();
            let attached = matches!(state.phase, Phase::Attached);
            if request.generation.is_some_and(|generation| generation != state.generation || !attached) {
                drop(sender.send(Err(interrupted())));
                return (0, receiver);
            }
            let deadline = match &request.call {
                wire::call::Call::Get(get) if get.wait_ms > 0 => {
                    Some(Instant::now() + Duration::from_millis(get.wait_ms as u64))
                }
                _ => None,
            };
            let weight = weight_of(&request.call);
            let order = state.next_order();
            let slot = Slot {
                serial: 0,
                order,
                kind: SlotKind::Call(Some(sender)),
                call: self.survives.then(|| request.call.clone()),
                handle: request.handle,
                // On the wire nobody knows whether it was carried out, until it is answered.
                repeat: request.repeat || !attached,
                waits: request.waits,
                generation: request.generation,
                deadline,
                weight,
                parts: Vec::new(),
            };
            let token = state.add_slot(slot);
            state.count_call(weight, !request.waits);
            if attached {
                if let Some(handle) = request.handle {
                    state.open_handle(handle);
                }
                state.send(token, request.call, weight);
            }
            (token, receiver)
        })
        .await
    }

    async fn when_there_is_room<T>(&self, mut submit: impl FnMut(&mut State) -> T) -> Result<T> {
        let mut waiting = RoomGuard { session: self, counted: false };
        loop {
            {
                let mut state = self.lock();
                if let Phase::Closed(error) = &state.phase {
                    // Whoever else waits for room shall see it too.
                    self.room.notify_one();
                    return Err(error.clone());
                }
                if state.has_room(&self.limits) {
                    waiting.uncount(&mut state);
                    let result = submit(&mut state);
                    let more = state.waiting_for_room > 0 && state.has_room(&self.limits);
                    let waker = if state.outbox.is_empty() { None } else { state.waker.take() };
                    drop(state);
                    wake(waker);
                    if more {
                        self.room.notify_one();
                    }
                    return Ok(result);
                }
                waiting.count(&mut state);
            }
            // A notification that comes between the unlock and here is kept by `Notify`.
            self.room.notified().await;
        }
    }

    /// A ping whose answer only proves that somebody is there.
    pub(crate) fn ping(&self) {
        let waker = {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Attached) {
                return;
            }
            let token = state.add_ignored();
            state.count_call(0, true);
            state.send(token, wire::call::Call::Ping(wire::Ping {}), 0);
            state.waker.take()
        };
        wake(waker);
    }

    fn abandon(&self, token: u64) {
        let waker = {
            let mut state = self.lock();
            let attached = matches!(state.phase, Phase::Attached);
            let Some(slot) = state.slot_mut(token) else { return };
            slot.kind = match &slot.kind {
                SlotKind::Call(_) => SlotKind::Call(None),
                _ => return,
            };
            if !attached {
                // It was never sent over this stream and nobody wants it any more.
                let slot = state.take_slot(token).expect("seen above");
                state.uncount_call(slot.weight, !slot.waits);
                return;
            }
            if !slot.waits {
                return;
            }
            let cancel = wire::CancelGet { token };
            let own = state.add_ignored();
            state.count_call(0, true);
            state.send(own, wire::call::Call::CancelGet(cancel), 0);
            state.waker.take()
        };
        wake(waker);
    }

    /// What a node said of how many units of work were decided.
    pub(crate) fn note_units_decided(&self, units: u64) {
        let mut state = self.lock();
        state.units_decided = state.units_decided.max(units);
    }

    pub(crate) fn units_decided(&self) -> u64 {
        self.lock().units_decided
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.lock().phase, Phase::Closed(_))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Whether the node says that the session is broken, and does not come to its end.
    pub(crate) fn is_late_to_end(&self) -> bool {
        let state = self.lock();
        let is_late = state.ends_since.is_some_and(|since| since.elapsed() > END_PATIENCE);
        matches!(state.phase, Phase::Attached) && is_late
    }

    /// How long answers have been overdue; None when none is.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        let state = self.lock();
        (matches!(state.phase, Phase::Attached) && state.awaited > 0).then(|| state.heard_at.elapsed())
    }

    /// Since anything was heard, when gets wait and nothing else is under way.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        let state = self.lock();
        (matches!(state.phase, Phase::Attached) && state.awaited == 0).then(|| state.heard_at.elapsed())
    }

    pub(crate) fn has_waiting_gets(&self) -> bool {
        let state = self.lock();
        state.in_flight > state.awaited
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.lock().in_flight
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn weight_of(call: &wire::call::Call) -> usize {
    match call {
        wire::call::Call::Put(put) => put.message.as_ref().map_or(0, |message| message.body.len()) + 128,
        _ => 0,
    }
}

fn check_length(message: &message::Message) -> Result<()> {
    if message.body.len() <= BODY_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "The message has {} bytes; no queue takes more than {BODY_BYTES_MAX} (100 MiB).",
        message.body.len()
    );
    Err(Error::refused(reason::MSG_TOO_BIG_FOR_Q_MGR, text))
}

pub(crate) fn interrupted() -> Error {
    let text = "The connection was lost while the call was under way, and nobody can say whether it was carried \
                out; use a unit of work where this must not happen.";
    Error::refused(reason::CALL_INTERRUPTED, text)
}

struct RoomGuard<'a> {
    session: &'a Session,
    counted: bool,
}

impl RoomGuard<'_> {
    fn count(&mut self, state: &mut State) {
        if !std::mem::replace(&mut self.counted, true) {
            state.waiting_for_room += 1;
        }
    }

    fn uncount(&mut self, state: &mut State) {
        if std::mem::replace(&mut self.counted, false) {
            state.waiting_for_room -= 1;
        }
    }
}

impl Drop for RoomGuard<'_> {
    fn drop(&mut self) {
        if self.counted {
            self.session.lock().waiting_for_room -= 1;
        }
    }
}

struct DropGuard<'a> {
    session: &'a Session,
    token: u64,
    armed: bool,
}

impl Drop for DropGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.session.abandon(self.token);
        }
    }
}
