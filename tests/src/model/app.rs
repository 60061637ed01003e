//! A simulated MQ program: it decides what to ask next, remembers what it was told, and survives what goes wrong.
//!
//! A pure machine like everything else here: the world hands it inputs and carries its outputs. What it knows goes
//! to the history, which the checkers judge; the program itself only complains about what no checker could see
//! later (a body with a wrong checksum).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use trimaran_node::mqi::{
    Admin, Call, Completion, Data, Get as MqGet, GetMode, OpenOptions, Operate, Put as MqPut, PutTarget,
    Selection, UnitState, Wait,
};
use trimaran_node::types::{
    CorrelationId, Descriptor, GroupId, HandleId, Message, MessageId, Persistence, ProducerId,
    ProducerSequence, Reason, ReportOptions, Token, UnitId, message_flags,
};
use trimaran_proto::message::v1 as wire;

use super::body::{self, BodyKey, Content};
use super::history::{Answer, Browse, Delivery, Fate, Get, History, Put, UnitNumber, What};
use super::tongue::Tongue;
use super::workload::{self, Habits, QUEUES, queue_name, queue_number};
use crate::sim::rng::Rng;

#[derive(Debug)]
pub enum Input {
    Connected {
        session: u64,
    },
    /// Nobody serves there; perhaps this node does.
    NotConnected {
        hint: Option<u64>,
    },
    Answer {
        token: Token,
        completion: Completion,
        /// How many units had been decided, as far as the node said up to now; 0 when it did not.
        units_decided: u64,
    },
    Broken {
        reason: Reason,
    },
    Wake,
}

#[derive(Debug)]
pub enum Output {
    Connect { node: Option<u64> },
    Disconnect,
    Call { token: Token, call: Call },
    Wake { at: u64 },
}

#[derive(Clone, Debug)]
enum Todo {
    Put {
        queue: usize,
        syncpoint: bool,
    },
    Repeat {
        sequence: u64,
    },
    Get {
        queue: usize,
        syncpoint: bool,
        wait_ms: u64,
    },
    GetById {
        queue: usize,
        by: By,
        wait_ms: u64,
    },
    Flood {
        queue: usize,
    },
    Inhibit {
        queue: usize,
        enabled: bool,
    },
    Browse {
        queue: usize,
        walk: u32,
        first: bool,
    },
    /// What was locked by this operation, if something was.
    TakeUnderCursor {
        queue: usize,
        locked: Option<usize>,
    },
    /// `is_sure`: nothing can have ended the lock.
    Unlock {
        queue: usize,
        locked: usize,
        is_sure: bool,
    },
    Commit,
    Backout,
    Disconnect,
    Think {
        us: u64,
    },
    Inquire {
        queue: usize,
    },
    Ping,
    Administer,
    Ask {
        asking: Asking,
    },
    DrainNext,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Message(MessageId),
    Correlation(CorrelationId),
    Group(GroupId),
}

#[derive(Clone, Debug)]
struct Pending {
    operation: Option<usize>,
    deadline: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Open,
    Put { sequence: Option<u64>, syncpoint: bool },
    Get { queue: usize, syncpoint: bool, locked: Option<usize> },
    Unlock { locked: usize, is_sure: bool },
    Browse { queue: usize, walk: u32 },
    Commit,
    Backout,
    Ask { asking: Asking },
    Depth,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up { session: u64 },
}

pub struct App {
    pub number: u32,
    pub queue_manager: usize,
    pub tongue: Tongue,
    habits: Habits,
    rng: Rng,
    link: Link,
    hint: Option<u64>,
    todo: VecDeque<Todo>,
    pending: BTreeMap<u64, Pending>,
    token_last: u64,
    body_last: u32,
    sequence_last: u64,
    /// Puts with a sequence that were not answered for good: operation, call, and whether one try may have worked.
    unanswered: BTreeMap<u64, (usize, MqPut, bool)>,
    unit: UnitNumber,
    walk_last: u32,
    asking: VecDeque<Asking>,
    /// What it last heard of how many units were decided.
    counted: Counted,
    /// The same when the commit that is under way was sent.
    counted_before: Counted,
    /// Where messages of ours were put and may still be.
    placed: VecDeque<(usize, MessageId, CorrelationId)>,
    not_before: u64,
    finishing: bool,
    draining: Option<Drain>,
    asks_for_reports: bool,
    pub finished: bool,
    /// Things that are wrong whatever the rest of the history says.
    pub complaints: Vec<String>,
}

/// A unit whose commit was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asking {
    unit: UnitNumber,
    counted: Counted,
}

/// So many units had been decided, heard at this time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    units: u64,
    at: u64,
}

#[derive(Clone, Debug, Default)]
struct Drain {
    queue: usize,
    got_in_pass: u64,
    empty_passes: u32,
    counted: bool,
}

/// Where reports go that messages ask for.
pub const REPORTS: &str = "REPORTS";
const PASS_CORREL_ID: u32 = 0x40;
const COA_WITH_FULL_DATA: u32 = 0x700;
const COD: u32 = 0x800;
const EXPIRATION: u32 = 0x0020_0000;

const ANSWER_MAX_US: u64 = 6_000_000;
/// Of one program: queues stay short enough to be drained, and a run is about faults more than about load.
const PUTS_MAX: u32 = 400;
const CALLS_AT_FULL_PACE: u64 = 1_000;

impl App {
    pub fn new(number: u32, queue_manager: usize, habits: Habits, rng: Rng) -> App {
        App {
            number,
            queue_manager,
            tongue: Tongue::Frames,
            habits,
            rng,
            link: Link::Down,
            hint: None,
            todo: VecDeque::new(),
            pending: BTreeMap::new(),
            token_last: 0,
            body_last: 0,
            sequence_last: 0,
            unanswered: BTreeMap::new(),
            unit: 0,
            walk_last: 0,
            asking: VecDeque::new(),
            counted: Counted::default(),
            counted_before: Counted::default(),
            placed: VecDeque::new(),
            not_before: 0,
            finishing: false,
            draining: None,
            asks_for_reports: false,
            finished: false,
            complaints: Vec::new(),
        }
    }

    /// The same in this tongue.
    pub fn speaking(self, tongue: Tongue) -> App {
        let habits = if tongue.is_channel() { self.habits.over_a_channel() } else { self.habits };
        App { tongue, habits, ..self }
    }

    /// A program that takes everything from every queue and ends.
    pub fn drainer(number: u32, queue_manager: usize, rng: Rng) -> App {
        let mut rng = rng;
        let habits = Habits::draw(&mut rng, true, false, false);
        App { draining: Some(Drain::default()), ..App::new(number, queue_manager, habits, rng) }
    }

    /// Every message that it puts asks to be told when it is on its queue, with its body, and when it leaves it, without.
    pub fn ask_for_reports(&mut self) {
        self.asks_for_reports = true;
    }

    /// No new activity; what was begun is brought to an end.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// For the report of a program that does not finish.
    pub fn state(&self) -> String {
        format!(
            "program {} of queue manager {}: {:?}, {} calls unanswered, {} puts to repeat, {} outcomes to ask, {:?}",
            self.number,
            self.queue_manager,
            self.link,
            self.pending.len(),
            self.unanswered.len(),
            self.asking.len(),
            self.todo.iter().take(3).collect::<Vec<_>>()
        )
    }

    pub fn handle(&mut self, now: u64, input: Input, history: &mut History, out: &mut Vec<Output>) {
        match input {
            Input::Connected { session } => self.on_connected(session, now, out),
            Input::NotConnected { hint } => {
                self.link = Link::Down;
                self.hint = hint;
                self.not_before = now + self.rng.between(20_000, 200_000);
            }
            Input::Answer { token, completion, units_decided } => {
                if units_decided > 0 {
                    self.counted = Counted { units: units_decided.max(self.counted.units), at: now };
                }
                self.on_answer(token, completion, now, history, out)
            }
            Input::Broken { reason: _ } => self.on_broken(now, history),
            Input::Wake => {}
        }
        if matches!(self.link, Link::Up { .. })
            && self.pending.values().any(|pending| pending.deadline <= now)
        {
            out.push(Output::Disconnect);
            self.on_broken(now, history);
        }
        self.go_on(now, history, out);
    }

    fn on_connected(&mut self, session: u64, now: u64, out: &mut Vec<Output>) {
        self.link = Link::Up { session };
        self.unit = 0;
        for queue in 0..QUEUES.len() {
            let options = OpenOptions {
                output: true,
                input: true,
                browse: true,
                inquire: true,
                ..OpenOptions::default()
            };
            let call = Call::Open {
                handle: HandleId(queue as u32 + 1),
                queue: queue_name(queue as u32),
                options,
                dynamic: String::new(),
                selector: None,
            };
            self.call(call, None, Kind::Open, now, 0, out);
        }
        self.asking.iter().rev().for_each(|asking| self.todo.push_front(Todo::Ask { asking: *asking }));
        for sequence in self.unanswered.keys().rev() {
            self.todo.push_front(Todo::Repeat { sequence: *sequence });
        }
    }

    /// The connection is lost: whatever was not answered is not known.
    fn on_broken(&mut self, now: u64, history: &mut History) {
        let committing = self.pending.values().any(|pending| matches!(pending.kind, Kind::Commit));
        for pending in std::mem::take(&mut self.pending).into_values() {
            match pending.kind {
                Kind::Put { sequence: Some(sequence), .. } => {
                    if let Some(unanswered) = self.unanswered.get_mut(&sequence) {
                        unanswered.2 = true;
                    }
                }
                Kind::Put { syncpoint: true, .. } | Kind::Get { syncpoint: true, .. } => {
                    if let Some(unit) = history.unit_mut(self.unit) {
                        unit.uncertain_members = true;
                    }
                }
                _ => {}
            }
        }
        if self.unit != 0 {
            self.end_unit(if committing { Fate::Unknown } else { Fate::BackedOut }, now, history);
        }
        self.link = Link::Down;
        self.not_before = now + self.rng.between(5_000, 150_000);
        self.todo.clear();
    }

    fn end_unit(&mut self, fate: Fate, now: u64, history: &mut History) {
        let number = std::mem::take(&mut self.unit);
        if let Some(unit) = history.unit_mut(number) {
            unit.fate = fate;
            unit.ended = (fate != Fate::Unknown).then_some(now);
            if fate == Fate::Unknown && self.habits.names_units {
                self.asking.push_back(Asking { unit: number, counted: self.counted_before });
            }
        }
    }

    fn call(
        &mut self,
        call: Call,
        operation: Option<usize>,
        kind: Kind,
        now: u64,
        wait_us: u64,
        out: &mut Vec<Output>,
    ) {
        self.token_last += 1;
        let deadline = now + ANSWER_MAX_US + wait_us;
        self.pending.insert(self.token_last, Pending { operation, deadline, kind });
        out.push(Output::Call { token: Token(self.token_last), call });
    }

    fn on_answer(
        &mut self,
        token: Token,
        completion: Completion,
        now: u64,
        history: &mut History,
        out: &mut Vec<Output>,
    ) {
        if matches!(completion.data, Data::Progress { .. }) {
            return;
        }
        let Some(pending) = self.pending.remove(&token.0) else { return };
        let reason = completion.reason;
        // The node said that it moved on: nothing was done (2009 and its like), or nobody knows (2549).
        let moved = reason.says_not_served();
        let unknown = reason == Reason::CallInterrupted;
        if let Data::NotServing { leader } = &completion.data {
            self.hint = leader.map(|leader| leader.0);
        }
        if let Some(number) = pending.operation {
            let operation = &mut history.operations[number];
            if !unknown {
                operation.ended = Some(now);
                operation.answer = if completion.is_failed() { Answer::Refused(reason) } else { Answer::Ok };
            }
        }
        if reason == Reason::NoMsgAvailable {
            self.check_wait(&pending, now, history);
        }
        match pending.kind.clone() {
            Kind::Open | Kind::Other => {}
            Kind::Put { sequence, syncpoint } => {
                self.on_put_answered(&pending, sequence, syncpoint, &completion, moved, unknown, history)
            }
            Kind::Get { queue, syncpoint, locked } => {
                match locked {
                    // It was refused for another reason, and what was locked may still be so.
                    Some(locked) if completion.is_failed() && reason != Reason::NoMsgUnderCursor => {
                        self.todo.push_front(Todo::Unlock { queue, locked, is_sure: false });
                    }
                    Some(locked) => self.on_lock_ended(locked, true, &completion, now, history),
                    None => {}
                }
                self.on_got(&pending, queue, syncpoint, completion, unknown, now, history)
            }
            // After a lost connection the lock goes with its session.
            Kind::Unlock { .. } if completion.is_failed() => {}
            Kind::Unlock { locked, is_sure } => {
                self.on_lock_ended(locked, is_sure, &completion, now, history);
            }
            Kind::Browse { queue, walk } => self.on_browsed(&pending, queue, walk, completion, history),
            Kind::Commit => {
                let fate = match (completion.is_failed(), unknown) {
                    (false, _) => Fate::Committed,
                    (true, true) => Fate::Unknown,
                    (true, false) => Fate::BackedOut,
                };
                // A refusal such as "no space" leaves the unit open: then it is backed out.
                let backed_out = reason == Reason::BackedOut || moved;
                if completion.is_failed() && !unknown && !backed_out {
                    self.todo.push_front(Todo::Backout);
                } else {
                    self.end_unit(fate, now, history);
                }
            }
            Kind::Backout => {
                if let Some(unit) = history.unit_mut(self.unit) {
                    unit.backout_answered = !completion.is_failed();
                }
                self.end_unit(Fate::BackedOut, now, history);
            }
            Kind::Ask { asking } => self.on_outcome(&pending, asking, &completion, now, history),
            Kind::Depth => {
                if let (Data::Inquired(object), Some(number)) = (&completion.data, pending.operation)
                    && let (What::Depth { depth, .. }, Some(queue)) =
                        (&mut history.operations[number].what, &object.queue)
                {
                    *depth = Some(queue.depth);
                }
            }
        }
        if moved || unknown {
            out.push(Output::Disconnect);
            self.on_broken(now, history);
        }
    }

    /// There is no message: that is known when the time to wait is over, by a clock that may be a little fast.
    fn check_wait(&mut self, pending: &Pending, now: u64, history: &History) {
        let Some(number) = pending.operation else { return };
        let begun = history.operations[number].begun;
        let wait_us = pending.deadline - ANSWER_MAX_US - begun;
        if now < begun + wait_us - wait_us / 100 {
            let waited = now - begun;
            self.complaints
                .push(format!("a get was to wait for {wait_us} us, and was told 2033 after {waited}"));
        }
    }

    fn on_put_answered(
        &mut self,
        pending: &Pending,
        sequence: Option<u64>,
        syncpoint: bool,
        completion: &Completion,
        moved: bool,
        unknown: bool,
        history: &mut History,
    ) {
        let Some(number) = pending.operation else { return };
        if let Data::Placed { message_id, in_group, duplicate, only_id_known } = &completion.data
            && let What::Put(put) = &mut history.operations[number].what
        {
            put.ids.push(*message_id);
            put.told.push((!only_id_known).then_some((completion.reason, *in_group)));
            if *duplicate && put.producer_sequence.is_none() {
                self.complaints.push(format!("{:?} was called a duplicate and has no sequence", put.key));
            }
            let queue = put.queue as usize % QUEUES.len();
            let correlation = correlation_of(put.key);
            self.placed.push_back((queue, *message_id, correlation));
            if self.placed.len() > 8 {
                self.placed.pop_front();
            }
        }
        let Some(sequence) = sequence else {
            if syncpoint
                && unknown
                && let Some(unit) = history.unit_mut(self.unit)
            {
                unit.uncertain_members = true;
            }
            return;
        };
        if !completion.is_failed() {
            self.unanswered.remove(&sequence);
            return;
        }
        let Some(unanswered) = self.unanswered.get_mut(&sequence) else { return };
        unanswered.2 |= unknown;
        if unanswered.2 && completion.reason == Reason::UnexpectedError {
            // Nobody can tell any more: repeating it will not help.
            self.unanswered.remove(&sequence);
            history.operations[number].answer = Answer::Unknown;
            history.operations[number].ended = None;
            if let What::Put(put) = &mut history.operations[number].what {
                put.unjudged = true;
            }
            return;
        }
        if moved || unknown || unanswered.2 {
            // It is repeated until somebody knows.
            history.operations[number].answer = Answer::Unknown;
            history.operations[number].ended = None;
            if !moved && !unknown {
                self.todo.push_front(Todo::Repeat { sequence });
                self.todo.push_front(Todo::Think { us: 200_000 });
            }
        } else {
            self.unanswered.remove(&sequence);
        }
    }

    fn on_got(
        &mut self,
        pending: &Pending,
        queue: usize,
        syncpoint: bool,
        completion: Completion,
        unknown: bool,
        now: u64,
        history: &mut History,
    ) {
        let Some(number) = pending.operation else { return };
        if unknown
            && syncpoint
            && let Some(unit) = history.unit_mut(self.unit)
        {
            unit.uncertain_members = true;
        }
        if completion.reason == Reason::BackedOut {
            self.end_unit(Fate::BackedOut, now, history);
        }
        if let Some(delivery) = self.delivery(queue, &completion) {
            if let Some(drain) = &mut self.draining {
                drain.got_in_pass += 1;
            }
            if let What::Get(get) = &mut history.operations[number].what {
                get.got = Some(delivery);
            }
        }
    }

    /// What was locked was taken or unlocked: it was there, and nobody else's.
    fn on_lock_ended(
        &mut self,
        locked: usize,
        is_sure: bool,
        completion: &Completion,
        now: u64,
        history: &mut History,
    ) {
        let What::Browse(browse) = &mut history.operations[locked].what else { return };
        browse.unlocked = Some(now);
        let Some(key) = browse.got.as_ref().map(|got| got.key) else { return };
        if is_sure && matches!(completion.reason, Reason::NoMsgUnderCursor | Reason::NoMsgLocked) {
            self.complaints.push(format!("{key:?} was locked, and then was not: {}", completion.reason));
        }
    }

    fn on_browsed(
        &mut self,
        pending: &Pending,
        queue: usize,
        walk: u32,
        completion: Completion,
        history: &mut History,
    ) {
        let Some(number) = pending.operation else { return };
        let expires =
            matches!(&completion.data, Data::Got { message, .. } if message.descriptor.expiry.is_some());
        let delivery = self.delivery(queue, &completion);
        let more = delivery.is_some();
        if let What::Browse(browse) = &mut history.operations[number].what {
            browse.got = delivery;
            browse.end = completion.reason == Reason::NoMsgAvailable;
        }
        // Most walks end before a long queue does: otherwise browsing is most of what a run does.
        if more && locks(&self.habits, walk) {
            // At once, so that it is known for how long nobody else saw it.
            let todo = match walk.is_multiple_of(2) && !expires {
                true => Todo::TakeUnderCursor { queue, locked: Some(number) },
                false => Todo::Unlock { queue, locked: number, is_sure: true },
            };
            self.todo.push_front(todo);
            return;
        }
        if more && !self.rng.chance(30) {
            if self.habits.take_under_cursor > 0 && self.rng.chance(300) {
                self.todo.push_front(Todo::TakeUnderCursor { queue, locked: None });
            } else {
                self.todo.push_front(Todo::Browse { queue, walk, first: false });
            }
        }
    }

    fn on_outcome(
        &mut self,
        pending: &Pending,
        asking: Asking,
        completion: &Completion,
        now: u64,
        history: &mut History,
    ) {
        let Data::Unit { state, .. } = completion.data else {
            if completion.is_failed() && matches!(self.link, Link::Up { .. }) {
                self.todo.push_back(Todo::Think { us: 200_000 });
                self.todo.push_back(Todo::Ask { asking });
            }
            return;
        };
        if let Some(operation) = pending.operation
            && let What::Outcome { told, .. } = &mut history.operations[operation].what
        {
            *told = Some(state);
        }
        self.asking.retain(|asked| asked.unit != asking.unit);
        let fate = match state {
            UnitState::Committed => Fate::Committed,
            UnitState::BackedOut => Fate::BackedOut,
            UnitState::Forgotten => return,
        };
        if let Some(unit) = history.unit_mut(asking.unit)
            && unit.fate == Fate::Unknown
        {
            unit.fate = fate;
            unit.ended = Some(now);
        }
    }

    fn delivery(&mut self, queue: usize, completion: &Completion) -> Option<Delivery> {
        let Data::Got { message, body_length } = &completion.data else { return None };
        let bytes = message.body.to_bytes();
        if *body_length != bytes.len() {
            self.complaints.push(format!("a body of {} bytes says it has {body_length}", bytes.len()));
        }
        if message.body.crc32c() != message.body_crc && !bytes.starts_with(b"DLH ") {
            self.complaints.push(format!(
                "message {:?} was delivered with a body that does not match its checksum",
                message.descriptor.message_id
            ));
        }
        let bare = if bytes.starts_with(b"DLH ") { bytes.slice(172.min(bytes.len())..) } else { bytes };
        match body::decode(&bare) {
            Ok(content) => {
                let here = queue_number(self.queue_manager, queue);
                let moved_here = QUEUES[queue].contains("PARKED") || QUEUES[queue].contains("DEAD");
                if content.queue != here && !moved_here {
                    self.complaints.push(format!(
                        "{:?} was put on queue {} and got from {here}",
                        content.key, content.queue
                    ));
                }
                let priority = message.descriptor.priority.unwrap_or(255);
                if content.priority != priority {
                    self.complaints.push(format!(
                        "{:?} has priority {priority} and was put with {}",
                        content.key, content.priority
                    ));
                }
                Some(Delivery {
                    key: content.key,
                    id: message.descriptor.message_id,
                    priority,
                    backout_count: message.descriptor.backout_count,
                })
            }
            Err(text) => {
                self.complaints.push(text);
                None
            }
        }
    }

    /// Does as much as can be done now and says when to come back.
    fn go_on(&mut self, now: u64, history: &mut History, out: &mut Vec<Output>) {
        loop {
            if self.finished {
                return;
            }
            match self.link {
                Link::Connecting => return,
                Link::Down => {
                    if self.finishing && self.nothing_left() {
                        self.finished = true;
                        return;
                    }
                    if now < self.not_before {
                        out.push(Output::Wake { at: self.not_before });
                        return;
                    }
                    self.link = Link::Connecting;
                    out.push(Output::Connect { node: self.hint.take() });
                    return;
                }
                Link::Up { session } => {
                    if now < self.not_before {
                        out.push(Output::Wake { at: self.not_before });
                        return;
                    }
                    if self.todo.is_empty() && self.pending.is_empty() && self.unit == 0 {
                        if self.finishing && self.nothing_left() {
                            out.push(Output::Disconnect);
                            self.link = Link::Down;
                            self.finished = true;
                            return;
                        }
                        self.think_of_something();
                    }
                    if self.todo.is_empty() && self.unit != 0 && self.pending.is_empty() {
                        self.todo.push_back(Todo::Commit);
                    }
                    if !self.may_send_next() {
                        if let Some(deadline) = self.pending.values().map(|pending| pending.deadline).min() {
                            out.push(Output::Wake { at: deadline });
                        }
                        return;
                    }
                    let Some(next) = self.todo.pop_front() else { return };
                    self.act(session, next, now, history, out);
                }
            }
        }
    }

    fn nothing_left(&self) -> bool {
        self.unanswered.is_empty() && self.asking.is_empty() && self.draining.is_none()
    }

    fn may_send_next(&self) -> bool {
        match self.todo.front() {
            None => false,
            Some(_) if self.pending.is_empty() => true,
            Some(Todo::Put { syncpoint: false, .. } | Todo::Repeat { .. }) => {
                (self.pending.len() as u64) < self.habits.window
                    && self
                        .pending
                        .values()
                        .all(|pending| matches!(pending.kind, Kind::Put { syncpoint: false, .. }))
            }
            Some(_) => false,
        }
    }

    fn think_of_something(&mut self) {
        let habits = self.habits.clone();
        if let Some(drain) = &self.draining {
            let pause = if drain.queue == 0 && drain.empty_passes > 0 { 500_000 } else { 0 };
            self.todo.push_back(Todo::Think { us: pause });
            self.todo.push_back(Todo::DrainNext);
            return;
        }
        let tired = self.token_last > CALLS_AT_FULL_PACE;
        let think_us_max = if tired { habits.think_us_max * 20 } else { habits.think_us_max };
        self.todo.push_back(Todo::Think { us: self.rng.skewed(0, think_us_max) });
        if self.finishing {
            return;
        }
        let puts = u64::from(self.body_last < PUTS_MAX);
        let weights = [
            habits.put * puts,
            habits.put_unit * puts,
            habits.get,
            habits.get_unit,
            habits.transfer,
            habits.browse,
            habits.take_under_cursor,
            habits.get_by_id,
            habits.inquire,
            habits.administer,
            habits.ping,
            habits.get_by_group,
            habits.flood,
            habits.inhibit,
        ];
        let mut ticket = self.rng.below(weights.iter().sum());
        let mut choice = 0;
        while ticket >= weights[choice] {
            ticket -= weights[choice];
            choice += 1;
        }
        let queue = *self.rng.pick(&workload::USED).expect("not empty");
        match choice {
            0 => {
                for _ in 0..self.rng.between(1, habits.window * 2) {
                    self.todo.push_back(Todo::Put { queue, syncpoint: false });
                }
            }
            1 => {
                // Now and then one that is applied in several turns.
                let most = if self.rng.chance(20) { 60 } else { 5 };
                for _ in 0..self.rng.between(1, most) {
                    let queue = *self.rng.pick(&workload::USED).expect("not empty");
                    self.todo.push_back(Todo::Put { queue, syncpoint: true });
                }
                self.end_of_unit();
            }
            2 => {
                let wait_ms = self.draw_wait();
                self.todo.push_back(Todo::Get { queue, syncpoint: false, wait_ms });
            }
            3 => {
                for _ in 0..self.rng.between(1, 4) {
                    let wait_ms = self.draw_wait();
                    self.todo.push_back(Todo::Get { queue, syncpoint: true, wait_ms });
                }
                self.end_of_unit();
            }
            4 => {
                let to = *self.rng.pick(&workload::USED).expect("not empty");
                let wait_ms = self.draw_wait();
                self.todo.push_back(Todo::Get { queue, syncpoint: true, wait_ms });
                self.todo.push_back(Todo::Put { queue: to, syncpoint: true });
                self.end_of_unit();
            }
            5 | 6 => {
                self.walk_last += 1;
                self.todo.push_back(Todo::Browse { queue, walk: self.walk_last, first: true });
            }
            7 => match self.placed.pop_front() {
                Some((queue, id, correlation)) => {
                    let by =
                        if self.rng.chance(500) { By::Message(id) } else { By::Correlation(correlation) };
                    self.todo.push_back(Todo::GetById { queue, by, wait_ms: 0 });
                }
                None => self.todo.push_back(Todo::Put { queue, syncpoint: false }),
            },
            8 => self.todo.push_back(Todo::Inquire { queue }),
            9 => self.todo.push_back(Todo::Administer),
            11 => {
                let (by, wait_ms) = (By::Group(group_of(self.rng.below(3))), self.draw_wait());
                self.todo.push_back(Todo::GetById { queue, by, wait_ms });
            }
            12 => self.todo.push_back(Todo::Flood { queue }),
            13 => {
                self.todo.push_back(Todo::Inhibit { queue, enabled: false });
                self.todo.push_back(Todo::Think { us: self.rng.skewed(0, 500_000) });
                self.todo.push_back(Todo::Inhibit { queue, enabled: true });
            }
            _ => self.todo.push_back(Todo::Ping),
        }
        if self.rng.chance(habits.disconnects_per_mille) {
            // In the middle of it, not only at its end.
            let at = self.rng.between(1, self.todo.len() as u64) as usize;
            self.todo.insert(at, Todo::Disconnect);
        }
    }

    fn draw_wait(&mut self) -> u64 {
        *self.rng.pick(&[0, 0, 50, 500, 3_000]).expect("not empty")
    }

    fn end_of_unit(&mut self) {
        if self.rng.chance(200) {
            self.todo.push_back(Todo::Think { us: self.rng.skewed(0, 400_000) });
        }
        let backs_out = self.rng.chance(self.habits.backs_out_per_mille);
        self.todo.push_back(if backs_out { Todo::Backout } else { Todo::Commit });
    }

    fn act(&mut self, session: u64, todo: Todo, now: u64, history: &mut History, out: &mut Vec<Output>) {
        match todo {
            Todo::Think { us } => self.not_before = now + us,
            Todo::Disconnect => {
                out.push(Output::Disconnect);
                self.on_broken(now, history);
            }
            Todo::Put { queue, syncpoint } => self.put(session, queue, syncpoint, now, history, out),
            Todo::Repeat { sequence } => {
                if let Some((operation, call, _)) = self.unanswered.get(&sequence) {
                    let (operation, mut call) = (*operation, call.clone());
                    if let Some(producer) = &mut call.producer {
                        producer.repeated = self.habits.says_repeated;
                    }
                    if let What::Put(put) = &mut history.operations[operation].what {
                        put.repeats += 1;
                    }
                    let kind = Kind::Put { sequence: Some(sequence), syncpoint: false };
                    self.call(Call::Put(call), Some(operation), kind, now, 0, out);
                }
            }
            Todo::Get { queue, syncpoint, wait_ms } => {
                let short = self.rng.chance(self.habits.short_per_mille) && self.draining.is_none();
                let max_length = short.then(|| self.rng.between(20, 200) as usize);
                let get = MqGet { max_length, ..plain_get(queue, syncpoint, wait_of(wait_ms)) };
                self.get(session, queue, get, false, now, history, out);
            }
            Todo::GetById { queue, by, wait_ms } => {
                let mut selection = Selection::default();
                match by {
                    By::Message(id) => selection.message_id = Some(id),
                    By::Correlation(id) => selection.correlation_id = Some(id),
                    By::Group(id) => selection.group_id = Some(id),
                }
                let get = MqGet { selection, ..plain_get(queue, true, wait_of(wait_ms)) };
                self.todo.push_front(Todo::Commit);
                self.get(session, queue, get, true, now, history, out);
            }
            Todo::TakeUnderCursor { queue, locked } => {
                let get = MqGet { mode: GetMode::UnderCursor, ..plain_get(queue, true, Wait::No) };
                self.todo.push_front(Todo::Commit);
                self.get(session, queue, get, true, now, history, out);
                if let Some(Pending { kind: Kind::Get { locked: takes, .. }, .. }) =
                    self.pending.get_mut(&self.token_last)
                {
                    *takes = locked;
                }
            }
            Todo::Unlock { queue, locked, is_sure } => {
                let get = MqGet { mode: GetMode::Unlock, ..plain_get(queue, false, Wait::No) };
                self.call(Call::Get(get), None, Kind::Unlock { locked, is_sure }, now, 0, out);
            }
            Todo::Flood { queue } => {
                let group_id = GroupId::from_slice(b"nobody's");
                for _ in 0..self.rng.between(50, 300) {
                    let selection = Selection { group_id, ..Selection::default() };
                    let get = MqGet { selection, ..plain_get(queue, false, Wait::No) };
                    self.call(Call::Get(get), None, Kind::Other, now, 0, out);
                }
            }
            Todo::Inhibit { queue, enabled } => {
                let get = if enabled { "ENABLED" } else { "DISABLED" };
                let call = Admin::alter_local(&queue_name(queue as u32), &[("GET", get)]);
                self.call(Call::Admin(call), None, Kind::Other, now, 0, out);
            }
            Todo::Browse { queue, walk, first } => {
                let mode = if first { GetMode::BrowseFirst } else { GetMode::BrowseNext };
                let wait_ms = if self.rng.chance(100) { self.draw_wait() } else { 0 };
                let lock = locks(&self.habits, walk);
                let get = MqGet { mode, lock, ..plain_get(queue, false, wait_of(wait_ms)) };
                let number = queue_number(self.queue_manager, queue);
                let what = What::Browse(Browse {
                    queue: number,
                    walk,
                    first,
                    got: None,
                    end: false,
                    locks: lock,
                    unlocked: None,
                });
                let operation = history.begin(self.number, session, now, what);
                let wait_us = wait_ms * 1_000;
                self.call(Call::Get(get), Some(operation), Kind::Browse { queue, walk }, now, wait_us, out);
            }
            Todo::Commit => {
                if self.unit == 0 {
                    return;
                }
                let unit = self.unit;
                let operation = history.begin(self.number, session, now, What::Commit { unit });
                let named = self.habits.names_units.then(|| unit_id(unit));
                self.counted_before = self.counted;
                let counts = self.habits.counts_units && self.counted.units > 0;
                let units_decided = counts.then_some(self.counted.units);
                let call = Call::Commit { unit: named, units_decided };
                self.call(call, Some(operation), Kind::Commit, now, 0, out);
            }
            Todo::Backout => {
                if self.unit == 0 {
                    return;
                }
                let unit = self.unit;
                let operation = history.begin(self.number, session, now, What::Backout { unit });
                self.call(Call::Backout, Some(operation), Kind::Backout, now, 0, out);
            }
            Todo::Inquire { queue } => {
                let call = Call::Inquire { handle: HandleId(queue as u32 + 1) };
                let number = queue_number(self.queue_manager, queue);
                let what = What::Depth { queue: number, depth: None };
                let operation = history.begin(self.number, session, now, what);
                self.call(call, Some(operation), Kind::Depth, now, 0, out);
            }
            Todo::Ping => self.call(Call::Ping, None, Kind::Other, now, 0, out),
            Todo::Administer => {
                let call: Call = match self.rng.below(3) {
                    0 => Admin::display_local("").into(),
                    1 => Operate::Status.into(),
                    _ => Admin::Clear { queue: queue_name(workload::SCRATCH as u32) }.into(),
                };
                self.call(call, None, Kind::Other, now, 0, out);
            }
            Todo::Ask { asking } => {
                let Asking { unit, counted } = asking;
                let counts = self.habits.counts_units;
                let what = What::Outcome { unit, told: None, counted: counts.then_some(counted.at) };
                let operation = history.begin(self.number, session, now, what);
                let units_decided = if counts { counted.units } else { 0 };
                let call = Call::UnitOutcome { unit: unit_id(unit), units_decided };
                self.call(call, Some(operation), Kind::Ask { asking }, now, 0, out);
            }
            Todo::DrainNext => self.drain_next(session, now, history, out),
        }
    }

    fn put(
        &mut self,
        session: u64,
        queue: usize,
        syncpoint: bool,
        now: u64,
        history: &mut History,
        out: &mut Vec<Output>,
    ) {
        let number = queue_number(self.queue_manager, queue);
        if syncpoint && self.unit == 0 {
            self.unit = history.begin_unit(self.number, now);
        }
        self.body_last += 1;
        let key = BodyKey { producer: self.number, sequence: self.body_last };
        let priority = self.rng.below(4) as u8 * 3;
        let unit = if syncpoint { self.unit } else { 0 };
        let content = Content { key, queue: number, priority, unit };
        let length = if self.rng.chance(self.habits.large_per_mille) {
            self.rng.between(200_000, 1_400_000)
        } else {
            self.rng.skewed(0, self.habits.body_bytes_max)
        };
        let bytes = body::encode(&content, length as usize);
        let persistent = !self.rng.chance(self.habits.not_persistent_per_mille);
        let expiry = self.rng.chance(self.habits.expiry_per_mille).then(|| self.rng.between(1, 60) as u32);
        let mut message = message(bytes, priority, persistent, expiry, correlation_of(key));
        message.descriptor.group_id = group_of(self.rng.below(6));
        if key.sequence.is_multiple_of(4) {
            message.descriptor.message_flags = message_flags::MSG_IN_GROUP;
            message.descriptor.sequence_number = key.sequence;
        }
        if self.asks_for_reports {
            message.descriptor.report = ReportOptions(COA_WITH_FULL_DATA | COD | EXPIRATION | PASS_CORREL_ID);
            let reply_to_queue = REPORTS.into();
            message.descriptor.set_rest(&wire::Descriptor { reply_to_queue, ..wire::Descriptor::default() });
        }
        let sequence = (self.habits.sequences && !syncpoint).then(|| {
            self.sequence_last += 1;
            self.sequence_last
        });
        let producer = sequence.map(|sequence| {
            let producer = ProducerId(Bytes::from(format!("producer-{}", self.number)));
            ProducerSequence { producer, sequence, repeated: false }
        });
        let call = MqPut {
            to: PutTarget::Handle(HandleId(queue as u32 + 1)),
            message: Box::new(message),
            syncpoint,
            logical_order: false,
            producer,
            dead_letter: false,
            context: Default::default(),
        };
        let what = What::Put(Put {
            key,
            queue: number,
            priority,
            persistent,
            expires: expiry.is_some(),
            unit,
            producer_sequence: sequence,
            repeats: 0,
            ids: Vec::new(),
            told: Vec::new(),
            unjudged: false,
        });
        let operation = history.begin(self.number, session, now, what);
        if let Some(sequence) = sequence {
            self.unanswered.insert(sequence, (operation, call.clone(), false));
        }
        self.call(Call::Put(call), Some(operation), Kind::Put { sequence, syncpoint }, now, 0, out);
    }

    fn get(
        &mut self,
        session: u64,
        queue: usize,
        get: MqGet,
        selective: bool,
        now: u64,
        history: &mut History,
        out: &mut Vec<Output>,
    ) {
        if get.syncpoint && self.unit == 0 {
            self.unit = history.begin_unit(self.number, now);
        }
        let unit = if get.syncpoint { self.unit } else { 0 };
        let wait_us = match get.wait {
            Wait::For(wait) => wait.as_micros() as u64,
            Wait::No | Wait::Forever => 0,
        };
        let number = queue_number(self.queue_manager, queue);
        let what = What::Get(Get { queue: number, unit, selective, got: None });
        let operation = history.begin(self.number, session, now, what);
        let kind = Kind::Get { queue, syncpoint: get.syncpoint, locked: None };
        self.call(Call::Get(get), Some(operation), kind, now, wait_us, out);
    }

    /// Three passes over all queues that found nothing, with time between them for what others gave back.
    fn drain_next(&mut self, session: u64, now: u64, history: &mut History, out: &mut Vec<Output>) {
        let Some(drain) = &mut self.draining else { return };
        if drain.got_in_pass == 0 && drain.counted {
            drain.queue += 1;
            drain.counted = false;
        } else if drain.counted {
            drain.empty_passes = 0;
        }
        let found = std::mem::take(&mut drain.got_in_pass);
        if drain.queue == QUEUES.len() {
            drain.queue = 0;
            drain.empty_passes += 1;
            if drain.empty_passes >= 3 {
                self.draining = None;
                self.finishing = true;
                return;
            }
        }
        drain.counted = true;
        let queue = drain.queue;
        let _ = found;
        let get = plain_get(queue, false, Wait::No);
        self.get(session, queue, get, false, now, history, out);
    }
}

/// Whether a program locks what it browses on this walk: some of those that take what their cursor stands on.
fn locks(habits: &Habits, walk: u32) -> bool {
    habits.take_under_cursor > 0 && walk % 4 > 1
}

fn wait_of(wait_ms: u64) -> Wait {
    if wait_ms == 0 { Wait::No } else { Wait::For(Duration::from_millis(wait_ms)) }
}

fn group_of(number: u64) -> GroupId {
    GroupId::from_slice(format!("group-{number}").as_bytes()).expect("it is short")
}

fn plain_get(queue: usize, syncpoint: bool, wait: Wait) -> MqGet {
    MqGet {
        handle: HandleId(queue as u32 + 1),
        syncpoint,
        wait,
        mode: GetMode::Destructive,
        selection: Selection::default(),
        syncpoint_if_persistent: false,
        max_length: None,
        accept_truncated: false,
        extended: false,
        lock: false,
    }
}

pub fn unit_id(unit: UnitNumber) -> UnitId {
    UnitId(Bytes::from(format!("unit-{unit}")))
}

fn correlation_of(key: BodyKey) -> CorrelationId {
    CorrelationId::from_slice(format!("c{}.{}", key.producer, key.sequence).as_bytes()).unwrap_or_default()
}

/// The message that a report with this correlation id is about.
pub fn about(correlation_id: CorrelationId) -> Option<BodyKey> {
    let text = std::str::from_utf8(correlation_id.trimmed()).ok()?;
    let (producer, sequence) = text.strip_prefix('c')?.split_once('.')?;
    Some(BodyKey { producer: producer.parse().ok()?, sequence: sequence.parse().ok()? })
}

fn message(
    bytes: Bytes,
    priority: u8,
    persistent: bool,
    expiry: Option<u32>,
    correlation_id: CorrelationId,
) -> Message {
    let persistence = if persistent { Persistence::Persistent } else { Persistence::NotPersistent };
    let descriptor =
        Descriptor { priority: Some(priority), persistence, expiry, correlation_id, ..Descriptor::default() };
    let body_crc = crc32c::crc32c(&bytes);
    Message { descriptor, body: bytes.into(), body_crc }
}
