//! One session (MQCONN) as the client sees it: calls on their way, answers that are awaited, handles that are open.
//!
//! A session has two lives. A *surviving* session is the connection's own: when its stream breaks it keeps what
//! was not answered, and [`Session::attach`] sends it again over the next stream, puts in their old order and with
//! their old producer sequence, so that each is stored once. A *unit* session ends with its stream, as its unit of
//! work does.
//!
//! Batching needs no timer: a call goes to the outbox and wakes the stream's task; whatever else was called until
//! that task runs leaves in the same `SessionRequest`. Nothing here does IO; `reconnect` finds the streams.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use trimaran_proto::{message::v1 as message, queue::v1 as wire};

use crate::{
    error::{Error, Result},
    outcome::{self, Placed},
    reasons::reason,
};

/// A longer body travels in parts of this size.
pub(crate) const PART_BYTES: usize = 1024 * 1024;
/// The longest body of MQ.
pub(crate) const BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
/// A `SessionRequest` is closed when it has grown past this.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_CALLS: usize = 1000;
/// The queue manager remembers 10,000 sequences of a producer; nothing may be repeated that is older.
const UNANSWERED_SPAN: usize = 8_000;

/// What may be on its way at a time; a call beyond waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub calls: usize,
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Purpose {
    pub output: bool,
    pub input: bool,
    pub browse: bool,
    pub inquire: bool,
}

/// One call other than a surviving session's put.
pub(crate) struct Request {
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
    pub data: Option<wire::completion::Data>,
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
    pub(crate) fn add_handle(&self, queue: &str, purpose: Purpose) -> u32 {
        let mut state = self.lock();
        let handle = state.next_handle;
        state.next_handle =
            state.next_handle.checked_add(1).expect("four thousand million handles are enough");
        let entry = Handle {
            queue: queue.to_string(),
            purpose,
            state: HandleState::Closed,
            stashed: VecDeque::new(),
        };
        state.handles.insert(handle, entry);
        handle
    }

    /// The handle of a session for units, which has one per queue and purpose.
    pub(crate) fn named_handle(&self, queue: &str, purpose: Purpose) -> u32 {
        let found = {
            let state = self.lock();
            let mut handles = state.handles.iter();
            handles
                .find(|(_, entry)| entry.queue == queue && entry.purpose == purpose)
                .map(|(handle, _)| *handle)
        };
        found.unwrap_or_else(|| self.add_handle(queue, purpose))
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
            got.message.as_ref().and_then(|message| message.descriptor.as_ref()).is_some_and(&matches)
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

    // ------------------------------------------------------------------------------------------------
    // Streams

    /// The stream that `gate` belongs to carries the session from now on. Opens the handles again and repeats
    /// what was not answered, in its old order.
    pub(crate) fn attach(
        self: &Arc<Self>,
        gate: &Gate,
        responses: tonic::Streaming<wire::SessionResponse>,
    ) -> Result<u64> {
        let mut done = Vec::new();
        let generation = {
            let mut state = self.lock();
            if let Phase::Closed(error) = &state.phase {
                return Err(error.clone());
            }
            state.detach(self.survives, &mut done);
            state.generation += 1;
            state.phase = Phase::Attached;
            state.heard_at = Instant::now();
            state.lost_because = None;
            state.send_everything_again(&self.producer, &mut done);
            let generation = state.generation;
            gate.open(generation);
            let reader = tokio::spawn(read(self.clone(), generation, responses));
            state.reader = Some(reader.abort_handle());
            generation
        };
        done.into_iter().for_each(Done::hand_over);
        Ok(generation)
    }

    /// The stream of this generation is gone or useless.
    pub(crate) fn lose(&self, generation: u64, because: &str) {
        let mut done = Vec::new();
        let waker = {
            let mut state = self.lock();
            if generation != state.generation || !matches!(state.phase, Phase::Attached) {
                return;
            }
            let waker = state.detach(self.survives, &mut done);
            state.lost_because = Some(because.to_string());
            if !self.survives {
                let text = format!("The connection was lost ({because}).");
                state.phase = Phase::Closed(Error::refused(reason::CONNECTION_BROKEN, text));
            }
            waker
        };
        wake(waker);
        done.into_iter().for_each(Done::hand_over);
        self.lost.notify_one();
        self.room.notify_one();
    }

    pub(crate) fn lose_any(&self, because: &str) {
        let generation = self.lock().generation;
        self.lose(generation, because);
    }

    /// Returns when the session has no stream.
    pub(crate) async fn until_lost(&self) -> String {
        loop {
            {
                let state = self.lock();
                if !matches!(state.phase, Phase::Attached) {
                    return state.lost_because.clone().unwrap_or_default();
                }
            }
            self.lost.notified().await;
        }
    }

    /// Where the last node said that the queue manager is served now.
    pub(crate) fn take_hint(&self) -> Option<String> {
        self.lock().hint.take()
    }

    /// Ends the session for good; everything under way fails with `error`.
    pub(crate) fn close(&self, error: Error) {
        let mut done = Vec::new();
        let waker = {
            let mut state = self.lock();
            let waker = state.detach(false, &mut done);
            state.phase = Phase::Closed(error.clone());
            waker
        };
        wake(waker);
        for one in done {
            match one {
                Done::Put(sender, _) => drop(sender.send(Err(error.clone()))),
                Done::Call(sender, _) => drop(sender.send(Err(error.clone()))),
            }
        }
        self.lost.notify_one();
        self.room.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.lock().phase, Phase::Closed(_))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
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

    /// False when the stream is not the session's any more.
    fn on_response(&self, generation: u64, response: wire::SessionResponse) -> bool {
        let mut done = Vec::with_capacity(response.completions.len());
        let mut moved = None;
        let wake_up = {
            let mut state = self.lock();
            if generation != state.generation || !matches!(state.phase, Phase::Attached) {
                return false;
            }
            state.heard_at = Instant::now();
            state.units_decided = state.units_decided.max(response.units_decided);
            let before = state.in_flight;
            for completion in response.completions {
                if let Some(because) = state.on_completion(completion, self, &mut done) {
                    moved.get_or_insert(because);
                }
            }
            (before - state.in_flight.min(before)).min(state.waiting_for_room)
        };
        done.into_iter().for_each(Done::hand_over);
        for _ in 0..wake_up {
            self.room.notify_one();
        }
        match moved {
            None => true,
            Some(because) => {
                self.lose(generation, &because);
                false
            }
        }
    }
}

impl State {
    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn has_room(&self, limits: &Limits) -> bool {
        self.in_flight < limits.calls
            && self.in_flight_bytes < limits.bytes
            && self.puts.len() < UNANSWERED_SPAN
    }

    fn count_call(&mut self, weight: usize, awaited: bool) {
        self.in_flight += 1;
        self.in_flight_bytes += weight;
        if awaited {
            if self.awaited == 0 {
                self.heard_at = Instant::now();
            }
            self.awaited += 1;
        }
    }

    fn uncount_call(&mut self, weight: usize, awaited: bool) {
        self.in_flight -= 1;
        self.in_flight_bytes -= weight;
        if awaited {
            self.awaited -= 1;
        }
    }

    // Tokens: a sequenced put has its sequence in it, anything else its slot. The lowest bit tells them apart.

    fn add_slot(&mut self, mut slot: Slot) -> u64 {
        self.serial = (self.serial + 1) & 0xff_ffff_ffff;
        slot.serial = self.serial;
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() as u32 - 1
            }
        };
        token_of(self.serial, index)
    }

    fn add_ignored(&mut self) -> u64 {
        let order = self.next_order();
        self.add_slot(Slot::internal(order, SlotKind::Ignored))
    }

    fn slot_mut(&mut self, token: u64) -> Option<&mut Slot> {
        let (serial, index) = slot_of(token);
        self.slots.get_mut(index)?.as_mut().filter(|slot| slot.serial == serial)
    }

    fn take_slot(&mut self, token: u64) -> Option<Slot> {
        self.slot_mut(token)?;
        let (_, index) = slot_of(token);
        self.free.push(index as u32);
        self.slots[index].take()
    }

    // Sending

    fn send(&mut self, token: u64, mut call: wire::call::Call, weight: usize) {
        if let wire::call::Call::Put(put) = &mut call {
            self.send_parts(token, put);
        }
        self.outbox_bytes += weight + 32;
        self.outbox.push_back(wire::Call { token, call: Some(call) });
    }

    /// A body over 1 MiB goes ahead in parts.
    fn send_parts(&mut self, number: u64, put: &mut wire::Put) {
        let Some(message) = put.message.as_mut().filter(|message| message.body.len() > PART_BYTES) else {
            return;
        };
        let mut body = std::mem::take(&mut message.body);
        while !body.is_empty() {
            let data = body.split_to(body.len().min(PART_BYTES));
            self.outbox_bytes += data.len() + 32;
            let part = wire::BodyPart { number, data };
            self.outbox.push_back(wire::Call { token: 0, call: Some(wire::call::Call::BodyPart(part)) });
        }
        put.body_parts = number;
    }

    fn send_put(&mut self, index: usize, producer: &Producer) {
        let sequence = self.first_put + index as u64;
        let slot = &mut self.puts[index];
        let repeated = std::mem::replace(&mut slot.sent, true) || producer.repeating;
        let producer = producer.name.clone();
        let (handle, weight) = (slot.handle, slot.weight);
        // A put that may go to the dead-letter queue needs no queue that can be opened (MQPUT1).
        let by_name = slot.dead_letter.then(|| self.handles.get(&handle)).flatten();
        let to = match by_name {
            Some(entry) => wire::put::To::Queue(entry.queue.clone()),
            None => wire::put::To::Handle(handle),
        };
        let open_first = by_name.is_none();
        let put = wire::Put {
            to: Some(to),
            message: Some(slot.message.clone()),
            syncpoint: false,
            producer_sequence: Some(wire::ProducerSequence { producer, sequence, repeated }),
            body_parts: 0,
            dead_letter: slot.dead_letter,
        };
        if open_first {
            self.open_handle(handle);
        }
        self.send((sequence << 1) | 1, wire::call::Call::Put(put), weight);
    }

    fn open_handle(&mut self, handle: u32) {
        let Some(entry) = self.handles.get_mut(&handle) else { return };
        if matches!(entry.state, HandleState::Open) {
            return;
        }
        let stale = matches!(entry.state, HandleState::Stale);
        entry.state = HandleState::Open;
        let open = wire::Open {
            handle,
            queue: entry.queue.clone(),
            output: entry.purpose.output,
            input: entry.purpose.input,
            exclusive: false,
            browse: entry.purpose.browse,
            inquire: entry.purpose.inquire,
        };
        if stale {
            self.close_handle(handle);
        }
        let order = self.next_order();
        let token = self.add_slot(Slot::internal(order, SlotKind::Open(handle)));
        self.count_call(0, true);
        self.send(token, wire::call::Call::Open(open), 0);
    }

    fn close_handle(&mut self, handle: u32) {
        let token = self.add_ignored();
        self.count_call(0, true);
        self.send(token, wire::call::Call::Close(wire::Close { handle }), 0);
    }

    fn send_everything_again(&mut self, producer: &Producer, done: &mut Vec<Done>) {
        let mut handles: Vec<u32> = self.handles.keys().copied().collect();
        handles.sort_unstable();
        for handle in handles {
            let entry = self.handles.get_mut(&handle).expect("just listed");
            let was_open = matches!(entry.state, HandleState::Open | HandleState::Stale);
            entry.state = HandleState::Closed;
            if was_open {
                self.open_handle(handle);
            }
        }
        enum Item {
            Put(usize),
            Call(u64),
        }
        let mut items: Vec<(u64, Item)> = Vec::new();
        for (index, put) in self.puts.iter().enumerate() {
            if put.answer.is_some() {
                items.push((put.order, Item::Put(index)));
            }
        }
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(slot) = slot
                && matches!(slot.kind, SlotKind::Call(_))
            {
                items.push((slot.order, Item::Call(token_of(slot.serial, index as u32))));
            }
        }
        items.sort_unstable_by_key(|(order, _)| *order);
        let generation = self.generation;
        for (_, item) in items {
            match item {
                Item::Put(index) => self.send_put(index, producer),
                Item::Call(token) => {
                    let slot = self.slot_mut(token).expect("just listed");
                    if slot.generation.is_some_and(|wanted| wanted != generation) {
                        let slot = self.take_slot(token).expect("just listed");
                        self.uncount_call(slot.weight, !slot.waits);
                        slot.answer_with(Err(interrupted()), done);
                        continue;
                    }
                    slot.parts.clear();
                    let mut call = slot.call.clone().expect("a surviving session keeps its calls");
                    // A get and the like are repeated as long as they were never on the wire, not after.
                    slot.repeat = is_harmless(&call);
                    if let (wire::call::Call::Get(get), Some(deadline)) = (&mut call, slot.deadline) {
                        let left = deadline.saturating_duration_since(Instant::now());
                        get.wait_ms = left.as_millis().min(i32::MAX as u128) as i32;
                    }
                    let (handle, weight) = (slot.handle, slot.weight);
                    if let Some(handle) = handle {
                        self.open_handle(handle);
                    }
                    self.send(token, call, weight);
                }
            }
        }
    }

    /// Leaves the stream. What cannot be sent again is answered; what can stays.
    fn detach(&mut self, survives: bool, done: &mut Vec<Done>) -> Option<Waker> {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Detached) {
            Phase::Closed(error) => Phase::Closed(error),
            _ => Phase::Detached,
        };
        self.outbox.clear();
        self.outbox_bytes = 0;
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
        for index in 0..self.slots.len() {
            let Some(slot) = &self.slots[index] else { continue };
            let keep = survives && slot.repeat && matches!(slot.kind, SlotKind::Call(Some(_)));
            if !keep {
                let token = token_of(slot.serial, index as u32);
                let slot = self.take_slot(token).expect("just seen");
                self.uncount_call(slot.weight, !slot.waits);
                let error = if survives {
                    interrupted()
                } else {
                    Error::refused(reason::CONNECTION_BROKEN, "The connection was lost.")
                };
                slot.answer_with(Err(error), done);
            }
        }
        if !survives {
            for put in std::mem::take(&mut self.puts) {
                if let Some(answer) = put.answer {
                    self.uncount_call(put.weight, true);
                    done.push(Done::Put(answer, Err(interrupted())));
                }
            }
        }
        self.waker.take()
    }

    // Answers

    /// Some when the answer says that this node does not serve any more.
    fn on_completion(
        &mut self,
        completion: wire::Completion,
        session: &Session,
        done: &mut Vec<Done>,
    ) -> Option<String> {
        if completion.token & 1 == 1 {
            self.on_put_completion(completion, done)
        } else {
            self.on_call_completion(completion, session, done)
        }
    }

    fn on_put_completion(&mut self, completion: wire::Completion, done: &mut Vec<Done>) -> Option<String> {
        let sequence = completion.token >> 1;
        let index = usize::try_from(sequence.checked_sub(self.first_put)?).ok()?;
        let handle = self.puts.get(index).filter(|slot| slot.answer.is_some())?.handle;
        let result = match outcome::check(completion.outcome) {
            Ok(warning) => {
                let placed = match completion.data {
                    Some(wire::completion::Data::Placed(placed)) => placed,
                    _ => wire::Placed::default(),
                };
                Ok(Placed { message_id: placed.message_id, duplicate: placed.duplicate, warning })
            }
            Err(error) if error.reason().is_some_and(outcome::says_that_service_moved) => {
                return Some(error.to_string());
            }
            Err(error) => Err(self.on_refusal(Some(handle), error)),
        };
        let slot = &mut self.puts[index];
        let answer = slot.answer.take().expect("seen above");
        slot.message = message::Message::default();
        let weight = slot.weight;
        self.uncount_call(weight, true);
        done.push(Done::Put(answer, result));
        while self.puts.front().is_some_and(|slot| slot.answer.is_none()) {
            self.puts.pop_front();
            self.first_put += 1;
        }
        None
    }

    fn on_call_completion(
        &mut self,
        completion: wire::Completion,
        session: &Session,
        done: &mut Vec<Done>,
    ) -> Option<String> {
        if completion.token == 0 {
            // The queue manager ends the session and says where to go instead.
            if let Some(wire::completion::Data::Serving(serving)) = completion.data {
                self.hint = Some(serving.address).filter(|address| !address.is_empty());
            }
            return Some(
                outcome::check(completion.outcome)
                    .err()
                    .map_or_else(|| "the node ended the session".to_string(), |error| error.to_string()),
            );
        }
        let slot = self.slot_mut(completion.token)?;
        if let Some(wire::completion::Data::BodyPart(part)) = completion.data {
            slot.parts.push(part.data);
            return None;
        }
        let checked = outcome::check(completion.outcome);
        if let Err(error) = &checked
            && let Some(number) = error.reason()
            && outcome::says_that_service_moved(number)
        {
            let because = error.to_string();
            // 2549 apart, the node says that the call was not carried out, so it may be sent again.
            if session.survives && number != reason::CALL_INTERRUPTED {
                slot.repeat = true;
                return Some(because);
            }
            if session.survives && slot.repeat {
                return Some(because);
            }
        }
        let mut slot = self.take_slot(completion.token).expect("seen above");
        self.uncount_call(slot.weight, !slot.waits);
        let handle = slot.handle;
        let parts = std::mem::take(&mut slot.parts);
        match (&mut slot.kind, checked) {
            (SlotKind::Open(handle), Err(error)) => {
                let moved = error.reason().is_some_and(outcome::says_that_service_moved);
                let because = moved.then(|| error.to_string());
                if let Some(entry) = self.handles.get_mut(handle) {
                    entry.state = HandleState::Refused(error);
                }
                because
            }
            (SlotKind::Open(_) | SlotKind::Ignored, _) => None,
            (SlotKind::Call(None), Ok(_)) => {
                // Nobody waits for this message any more, but it has left its queue.
                if session.survives
                    && let Some(wire::completion::Data::Got(got)) = completion.data
                    && is_destructive(slot.call.as_ref())
                    && let Some(entry) = handle.and_then(|handle| self.handles.get_mut(&handle))
                {
                    entry.stashed.push_back((got, parts));
                    session.stashed.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
            (SlotKind::Call(_), Ok(warning)) => {
                let answer = Answer { warning, data: completion.data, parts };
                slot.answer_with(Ok(answer), done);
                None
            }
            (SlotKind::Call(_), Err(error)) => {
                let moved = error.reason().is_some_and(outcome::says_that_service_moved);
                let because = moved.then(|| error.to_string());
                let error = self.on_refusal(handle, error);
                slot.answer_with(Err(error), done);
                because
            }
        }
    }

    /// A call on a handle that could not be opened fails with the reason of the open.
    fn on_refusal(&mut self, handle: Option<u32>, error: Error) -> Error {
        let Some(entry) = handle.and_then(|handle| self.handles.get_mut(&handle)) else { return error };
        match (error.reason(), &entry.state) {
            (Some(reason::HOBJ_ERROR), HandleState::Refused(refusal)) => refusal.clone(),
            (Some(reason::OBJECT_CHANGED | reason::Q_DELETED), HandleState::Open) => {
                entry.state = HandleState::Stale;
                error
            }
            _ => error,
        }
    }
}

impl Slot {
    fn internal(order: u64, kind: SlotKind) -> Slot {
        Slot {
            serial: 0,
            order,
            kind,
            call: None,
            handle: None,
            repeat: false,
            waits: false,
            generation: None,
            deadline: None,
            weight: 0,
            parts: Vec::new(),
        }
    }

    fn answer_with(self, result: Result<Answer>, done: &mut Vec<Done>) {
        if let SlotKind::Call(Some(sender)) = self.kind {
            done.push(Done::Call(sender, result));
        }
    }
}

fn token_of(serial: u64, index: u32) -> u64 {
    debug_assert!(index < 1 << 20);
    ((serial << 20) | u64::from(index)) << 1
}

fn slot_of(token: u64) -> (u64, usize) {
    (token >> 21, ((token >> 1) & 0xf_ffff) as usize)
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

fn is_destructive(call: Option<&wire::call::Call>) -> bool {
    matches!(call, Some(wire::call::Call::Get(get)) if get.browse == wire::Browse::None as i32)
}

fn is_harmless(call: &wire::call::Call) -> bool {
    use wire::call::Call;
    matches!(call, Call::Ping(_) | Call::Inquire(_) | Call::UnitOutcome(_))
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

async fn read(
    session: Arc<Session>,
    generation: u64,
    mut responses: tonic::Streaming<wire::SessionResponse>,
) {
    loop {
        match responses.message().await {
            Ok(Some(response)) => {
                if !session.on_response(generation, response) {
                    return;
                }
            }
            Ok(None) => return session.lose(generation, "the node ended the session"),
            Err(status) => return session.lose(generation, &outcome::from_status(&status).to_string()),
        }
    }
}

/// Holds a new stream back after its greeting until it is known whether the session wants it.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
}

#[derive(Default)]
struct GateState {
    generation: Option<u64>,
    waker: Option<Waker>,
}

impl Gate {
    fn open(&self, generation: u64) {
        let waker = {
            let mut state = self.state.lock().expect("no panic while the gate is locked");
            state.generation = Some(generation);
            state.waker.take()
        };
        wake(waker);
    }
}

/// What goes out over one stream: a greeting, and then, once attached, what is in the session's outbox.
pub(crate) struct Outgoing {
    greeting: Option<wire::SessionRequest>,
    session: Arc<Session>,
    gate: Arc<Gate>,
    generation: Option<u64>,
}

impl Outgoing {
    pub(crate) fn new(greeting: wire::SessionRequest, session: Arc<Session>) -> (Outgoing, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        let outgoing = Outgoing { greeting: Some(greeting), session, gate: gate.clone(), generation: None };
        (outgoing, gate)
    }
}

impl Stream for Outgoing {
    type Item = wire::SessionRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<wire::SessionRequest>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        let generation = match self.generation {
            Some(generation) => generation,
            None => {
                let mut gate = self.gate.state.lock().expect("no panic while the gate is locked");
                let Some(generation) = gate.generation else {
                    gate.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                };
                drop(gate);
                self.generation = Some(generation);
                generation
            }
        };
        let mut state = self.session.lock();
        if generation != state.generation || !matches!(state.phase, Phase::Attached) {
            return Poll::Ready(None);
        }
        if state.outbox.is_empty() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(Some(wire::SessionRequest { calls: state.take_batch() }))
    }
}

impl State {
    fn take_batch(&mut self) -> Vec<wire::Call> {
        if self.outbox_bytes <= BATCH_BYTES && self.outbox.len() <= BATCH_CALLS {
            self.outbox_bytes = 0;
            let next = VecDeque::with_capacity(self.outbox.len());
            return std::mem::replace(&mut self.outbox, next).into();
        }
        let mut calls = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && calls.len() < BATCH_CALLS {
            let Some(call) = self.outbox.pop_front() else { break };
            bytes += 32
                + match &call.call {
                    Some(wire::call::Call::BodyPart(part)) => part.data.len(),
                    Some(call @ wire::call::Call::Put(_)) => weight_of(call),
                    _ => 0,
                };
            calls.push(call);
        }
        self.outbox_bytes = if self.outbox.is_empty() { 0 } else { self.outbox_bytes.saturating_sub(bytes) };
        calls
    }
}
