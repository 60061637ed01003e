//! The dialogue of one session, without IO: frames in, calls out; completions in, frames out.
//!
//! Keeps what a session may do right now: connect first, tokens that are its own, a bounded number of calls and of
//! bytes that are not answered. Driven by `session`, which owns the stream and the way to the replica:
//!
//! ```text
//! on_frame → step … → take_calls  → the replica
//! take_response     ← on_completions ← the replica
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use prost::DecodeError;
use trimaran_proto::queue::v1 as wire;

use super::convert::{self, Asked};
use super::frame::Frame;
use super::parts::Parts;
use crate::listener::Limits;
use crate::listener::counters::{Counters, add, subtract};
use crate::listener::flights::{Flights, body_bytes};
use crate::listener::serving::{Refused, refused};
use crate::mqi::{Call, Completion, Data, Put};
use crate::types::{Account, CompletionCode, NodeId, Reason, Token, limits};

/// Calls are converted so many at a time: a conversation runs on the worker of all others, and of the queue manager.
const CALLS_A_STEP: u64 = 128;
/// A response is closed when it has grown past this; with one answer more it stays under the 4 MiB that clients of
/// gRPC take by default.
const RESPONSE_BYTES: usize = 512 * 1024;
/// A response has no more of them, beside parts of bodies: to make ten thousand would keep others waiting.
const ANSWERS_TOGETHER: usize = 1024;
/// What an answer without a body counts for.
const ANSWER_BYTES: usize = 96;

/// Bytes of selectors that a session translates before it has to wait for its turn, at first, and with each turn: one
/// of the longest, which takes about a millisecond.
const SELECTOR_BYTES_FREE: usize = 1024;
const SELECTOR_BYTES_A_TURN: usize = limits::SELECTOR_BYTES_MAX;

/// The client broke the protocol in a way that no answer could tell: the stream ends with INVALID_ARGUMENT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// What the driver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that came is converted: read another frame.
    Read,
    /// There is more to convert: let others have their turn, and step again.
    Pause,
    /// Too much is not answered: wait for answers, do not read.
    Full,
    /// Too many long bodies are on their way to this node: wait a moment and step again, do not read.
    NoRoom,
    /// As many selectors were translated as fit between two turns of others: let those come first, and only one session of the node
    /// at a time go on ([`Conversation::translate`]), then step again.
    Translate,
    /// Connect to this queue manager, then say so with [`Conversation::connected`] or [`Conversation::answer`].
    Connect { token: Token, queue_manager: String, application: String },
}

#[derive(Debug)]
pub struct Conversation {
    counters: Arc<Counters>,
    connected: bool,
    /// What of the last frame there was no room for, or no time.
    backlog: Frame,
    /// For the replica, in order.
    calls: Vec<(Token, Call)>,
    flights: Flights,
    parts: Parts,
    no_room_is_final: bool,
    /// Of selectors, that may be translated now.
    selector_bytes: usize,
    body_bytes_received: u64,
    /// Of what was taken and not asked for with [`Conversation::body_bytes_taken`].
    body_bytes_taken: u64,
    /// Answers in order. As long as they wait here their bodies are shared; in a frame they may be copies.
    waiting: VecDeque<Answer>,
    /// What goes into the next frames.
    answers: Vec<wire::Completion>,
    answer_bytes: usize,
    /// The number of the last body that went out in parts.
    body_number: u64,
    units_decided: UnitsDecided,
}

/// How many units with an id were decided: what is known, and what the client was told.
#[derive(Clone, Copy, Debug, Default)]
struct UnitsDecided {
    known: u64,
    told: u64,
}

#[derive(Debug)]
enum Answer {
    Completion(Token, Completion),
    Wire(wire::Completion),
}

impl Conversation {
    pub fn new(limits: Arc<Limits>, counters: Arc<Counters>, account: Arc<Account>) -> Conversation {
        let parts = Parts::new(account);
        add(&counters.streams, 1);
        Conversation {
            flights: Flights::new(limits, counters.clone()),
            counters,
            connected: false,
            backlog: Frame::default(),
            calls: Vec::new(),
            parts,
            no_room_is_final: false,
            selector_bytes: SELECTOR_BYTES_FREE,
            body_bytes_received: 0,
            body_bytes_taken: 0,
            waiting: VecDeque::new(),
            answers: Vec::new(),
            answer_bytes: 0,
            body_number: 0,
            units_decided: UnitsDecided::default(),
        }
    }

    /// A frame came. Only after [`Step::Read`].
    pub fn on_frame(&mut self, frame: impl Into<Frame>) {
        debug_assert!(self.backlog.is_empty(), "a frame was read before the last one was done");
        add(&self.counters.frames_received, 1);
        self.backlog = frame.into();
    }

    /// Turns what came into calls as far as there is room, some of it at a time.
    pub fn step(&mut self) -> Result<Step, Violation> {
        let step = self.advance();
        add(&self.counters.body_bytes_received, std::mem::take(&mut self.body_bytes_received));
        self.flights.count();
        step
    }

    fn advance(&mut self) -> Result<Step, Violation> {
        let mut received = 0;
        let step = loop {
            if self.flights.is_full() {
                break Step::Full;
            }
            if received >= CALLS_A_STEP && !self.backlog.is_empty() {
                break Step::Pause;
            }
            let Some(next) = self.backlog.first().map_err(no_call)? else { break Step::Read };
            let part_bytes = part_bytes(next);
            match self.selector_bytes.checked_sub(selector_bytes(next)) {
                Some(left) => self.selector_bytes = left,
                None => break Step::Translate,
            }
            if part_bytes.is_some_and(|bytes| !self.no_room_is_final && !self.parts.has_room(bytes)) {
                break Step::NoRoom;
            }
            let call = self.backlog.take().map_err(no_call)?.expect("just seen");
            received += 1;
            if let Some(connect) = self.on_call(call)? {
                break connect;
            }
        };
        add(&self.counters.calls_received, received);
        Ok(step)
    }

    /// The session's turn has come: the next step translates as many selectors as fit into it.
    pub fn translate(&mut self) {
        self.selector_bytes = SELECTOR_BYTES_A_TURN;
    }

    /// Room is waited for no more: the put of the body that there was none for is refused.
    pub fn give_up_room(&mut self) {
        self.no_room_is_final = true;
    }

    /// Bytes that came of a long body whose put has not come; None when there is none.
    pub fn unfinished_body(&self) -> Option<usize> {
        self.parts.unfinished()
    }

    /// Holds nothing of the unfinished body any more: its put is refused with 2102 and this sentence.
    pub fn drop_unfinished_body(&mut self, sentence: &str) {
        self.parts.refuse(refused(Reason::ResourceProblem, sentence));
    }

    fn on_call(&mut self, wire::Call { token, call }: wire::Call) -> Result<Option<Step>, Violation> {
        if let Some(wire::call::Call::BodyPart(part)) = call {
            return self.on_part(part).map(|()| None);
        }
        let token = Token(token);
        if self.flights.contains(token) {
            let text = format!("Token {} is in use: the call that it names is not answered yet.", token.0);
            return Err(Violation(text));
        }
        match convert::asked(call) {
            Err(refusal) => self.answer_refused(token, refusal),
            Ok(Asked::Connect { .. }) if self.connected => {
                self.answer_refused(token, Box::new(Completion::failed(Reason::AlreadyConnected)));
            }
            Ok(Asked::Connect { queue_manager, application }) => {
                self.flights.begin_connect(token);
                return Ok(Some(Step::Connect { token, queue_manager, application }));
            }
            Ok(_) if !self.connected => {
                self.answer_refused(token, Box::new(Completion::failed(Reason::HconnError)));
            }
            Ok(Asked::Call(call)) => {
                self.body_bytes_received += body_bytes(&call) as u64;
                self.push_call(token, call);
            }
            Ok(Asked::PutParts { put, number, crc }) => match self.put_with_parts(put, number, crc) {
                Ok(call) => self.push_call(token, call),
                Err(refusal) => self.answer_refused(token, refusal),
            },
            Ok(Asked::BodyPart(part)) => self.on_part(part)?,
        }
        Ok(None)
    }

    fn on_part(&mut self, part: wire::BodyPart) -> Result<(), Violation> {
        if part.number == 0 {
            return Err(Violation("The number of a body part is any number but 0.".into()));
        }
        self.body_bytes_received += part.data.len() as u64;
        self.no_room_is_final = false;
        self.parts.add(part);
        Ok(())
    }

    fn put_with_parts(&mut self, put: Put, number: u64, crc: Option<u32>) -> Result<Call, Refused> {
        let body = self.parts.finish(number)?;
        let message = Box::new(convert::finish_message(put.message.descriptor, body, crc)?);
        Ok(Call::Put(Put { message, ..put }))
    }

    fn push_call(&mut self, token: Token, call: Call) {
        self.flights.begin(token, &call);
        self.calls.push((token, call));
    }

    /// What goes to the replica, in one go.
    pub fn take_calls(&mut self) -> Vec<(Token, Call)> {
        std::mem::take(&mut self.calls)
    }

    pub fn calls_waiting(&self) -> usize {
        self.calls.len()
    }

    /// The connect that [`Step::Connect`] asked for was done.
    pub fn connected(&mut self, token: Token, queue_manager: String, node: String) {
        self.connected = true;
        let data = wire::completion::Data::Connected(wire::Connected { queue_manager, node });
        self.flights.finish(token);
        let connected = wire::Completion { token: token.0, outcome: None, data: Some(data) };
        self.waiting.push_back(Answer::Wire(connected));
    }

    /// What one turn of the replica had to answer.
    pub fn on_completions(
        &mut self,
        completions: Vec<(Token, Completion)>,
        serving: impl Fn(Option<NodeId>) -> wire::Serving,
    ) {
        for (token, completion) in completions {
            if !matches!(completion.data, Data::Progress { .. }) {
                self.finish(token, completion, &serving);
            }
        }
        self.flights.count();
    }

    /// The queue manager has decided so many units with an id; the next response says so.
    pub fn note_units_decided(&mut self, units: u64) {
        self.units_decided.known = self.units_decided.known.max(units);
    }

    /// Answers one call.
    pub fn answer(
        &mut self,
        token: Token,
        completion: Completion,
        serving: impl FnOnce(Option<NodeId>) -> wire::Serving,
    ) {
        self.finish(token, completion, serving);
        self.flights.count();
    }

    fn finish(
        &mut self,
        token: Token,
        completion: Completion,
        serving: impl FnOnce(Option<NodeId>) -> wire::Serving,
    ) {
        if !self.flights.finish(token) {
            debug_assert!(false, "token {token} is answered twice");
            return;
        }
        if completion.code == CompletionCode::Failed {
            self.counters.count_failed(completion.reason);
        }
        self.waiting.push_back(match completion.data {
            // Where somebody else is, is known now.
            Data::NotServing { .. } => Answer::Wire(convert::completion_to_wire(token, completion, serving)),
            _ => Answer::Completion(token, completion),
        });
    }

    fn push_completion(&mut self, token: Token, mut completion: Completion) {
        let mut body_bytes = 0;
        let mut body_parts = 0;
        let mut crc = None;
        if let Data::Got { message, body_length } = &mut completion.data {
            body_bytes = message.body.len();
            add(&self.counters.body_bytes_sent, body_bytes as u64);
            self.body_bytes_taken += body_bytes as u64;
            if body_bytes > convert::PART_BYTES_MAX {
                self.body_number += 1;
                body_parts = self.body_number;
                crc = (body_bytes == *body_length).then_some(message.body_crc);
                body_bytes = 0;
                let body = std::mem::take(&mut message.body);
                for data in convert::parts(&body) {
                    let bytes = data.len();
                    let part = wire::completion::Data::BodyPart(wire::BodyPart { number: body_parts, data });
                    let part = wire::Completion { token: token.0, outcome: None, data: Some(part) };
                    self.push_answer(part, bytes + ANSWER_BYTES);
                }
            }
        }
        let mut answer = convert::completion_to_wire(token, completion, |_| wire::Serving::default());
        if let (1.., Some(wire::completion::Data::Got(got))) = (body_parts, &mut answer.data) {
            got.body_parts = body_parts;
            got.message.get_or_insert_default().body_crc32c = crc;
        }
        self.push_answer(answer, body_bytes + ANSWER_BYTES);
    }

    /// Answers a call that never was in flight.
    fn answer_refused(&mut self, token: Token, refusal: Refused) {
        self.counters.count_failed(refusal.reason);
        let outcome = convert::outcome_of(&refusal);
        self.waiting.push_back(Answer::Wire(wire::Completion { token: token.0, outcome, data: None }));
    }

    fn push_answer(&mut self, answer: wire::Completion, bytes: usize) {
        self.answer_bytes += bytes;
        self.answers.push(answer);
    }

    /// The next frame of answers, if there are any: all of them unless they are long, or many.
    pub fn take_response(&mut self) -> Option<wire::SessionResponse> {
        self.answers.reserve(self.waiting.len().min(ANSWERS_TOGETHER));
        while self.answer_bytes <= RESPONSE_BYTES
            && self.answers.len() < ANSWERS_TOGETHER
            && let Some(answer) = self.waiting.pop_front()
        {
            match answer {
                Answer::Completion(token, completion) => self.push_completion(token, completion),
                Answer::Wire(answer) => self.push_answer(answer, ANSWER_BYTES),
            }
        }
        if self.answers.is_empty() {
            return None;
        }
        let completions = if self.answer_bytes <= RESPONSE_BYTES {
            self.answer_bytes = 0;
            std::mem::take(&mut self.answers)
        } else {
            let mut bytes = 0;
            let cut = self.answers.iter().position(|answer| {
                bytes += answer_bytes(answer);
                bytes > RESPONSE_BYTES
            });
            let rest = self.answers.split_off(cut.map_or(self.answers.len(), |at| at + 1));
            self.answer_bytes = rest.iter().map(answer_bytes).sum();
            std::mem::replace(&mut self.answers, rest)
        };
        add(&self.counters.frames_sent, 1);
        add(&self.counters.answers_sent, completions.len() as u64);
        let UnitsDecided { known, told } = self.units_decided;
        self.units_decided.told = known;
        Some(wire::SessionResponse { completions, units_decided: if known > told { known } else { 0 } })
    }

    /// Bytes of bodies in the frames that were taken since this was asked last, or soon will be.
    pub fn body_bytes_taken(&mut self) -> u64 {
        std::mem::take(&mut self.body_bytes_taken)
    }

    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty() || !self.waiting.is_empty()
    }

    /// Nothing is left to answer.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && !self.has_answers() && self.backlog.is_empty()
    }

    /// The session is over, and this is why. What is not answered gets the answer that is true then; the last answer
    /// has token 0, which names no call then, and says where to go instead.
    pub fn close(&mut self, reason: Reason, all_answered: bool, serving: Option<wire::Serving>) {
        for (token, reason) in self.flights.end(Reason::ConnectionBroken, all_answered) {
            self.answer_refused(token, Box::new(Completion::failed(reason)));
        }
        self.calls.clear();
        while let Ok(Some(wire::Call { token, call })) = self.backlog.take() {
            if !matches!(call, Some(wire::call::Call::BodyPart(_))) {
                let detail = "The call was not started.";
                self.answer_refused(Token(token), refused(Reason::ConnectionBroken, detail));
            }
        }
        self.backlog = Frame::default();
        let outcome = convert::outcome(CompletionCode::Failed, reason, None);
        let data = serving.map(wire::completion::Data::Serving);
        self.waiting.push_back(Answer::Wire(wire::Completion { token: 0, outcome, data }));
        self.flights.count();
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        subtract(&self.counters.streams, 1);
    }
}

fn no_call(error: DecodeError) -> Violation {
    Violation(format!("The frame is not a SessionRequest: {error}."))
}

/// Bytes of a part of a long body.
fn part_bytes(call: &wire::Call) -> Option<usize> {
    match &call.call {
        Some(wire::call::Call::BodyPart(part)) => Some(part.data.len()),
        _ => None,
    }
}

/// Bytes of a call's selector that will be looked at.
fn selector_bytes(call: &wire::Call) -> usize {
    match &call.call {
        Some(wire::call::Call::Open(open)) if open.selector.len() <= limits::SELECTOR_BYTES_MAX => {
            open.selector.len()
        }
        _ => 0,
    }
}

fn answer_bytes(answer: &wire::Completion) -> usize {
    use wire::completion::Data;
    let body = match &answer.data {
        Some(Data::Got(got)) => got.message.as_ref().map_or(0, |message| message.body.len()),
        Some(Data::BodyPart(part)) => part.data.len(),
        _ => 0,
    };
    body + ANSWER_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trimaran_proto::message::v1 as message;
    use wire::call::Call as Wire;
    use wire::completion::Data as Told;

    use super::*;
    use crate::types::{Body, Message, MessageId};

    fn conversation(limits: Limits) -> Conversation {
        Conversation::new(Arc::new(limits), Arc::default(), Account::new(1 << 30))
    }

    fn connected(limits: Limits) -> Conversation {
        let mut conversation = conversation(limits);
        let connect = wire::Connect { queue_manager: "QM".into(), application_name: "app".into() };
        conversation.on_frame(frame([(1, Wire::Connect(connect))]));
        let step = conversation.step().unwrap();
        let Step::Connect { token, queue_manager, .. } = step else { panic!("{step:?}") };
        conversation.connected(token, queue_manager, "a".into());
        let response = conversation.take_response().unwrap();
        assert!(matches!(response.completions[0].data, Some(Told::Connected(_))));
        conversation
    }

    fn frame(calls: impl IntoIterator<Item = (u64, Wire)>) -> wire::SessionRequest {
        let calls = calls.into_iter().map(|(token, call)| wire::Call { token, call: Some(call) });
        wire::SessionRequest { calls: calls.collect() }
    }

    fn put(length: usize) -> Wire {
        let body = Bytes::from(vec![7; length]);
        let message = message::Message { body, ..Default::default() };
        let to = Some(wire::put::To::Handle(1));
        Wire::Put(wire::Put { to, message: Some(message), ..Default::default() })
    }

    fn ping() -> Wire {
        Wire::Ping(wire::Ping {})
    }

    fn told(conversation: &mut Conversation) -> Vec<(u64, u32)> {
        let completions =
            conversation.take_response().map(|response| response.completions).unwrap_or_default();
        let reason =
            |completion: &wire::Completion| completion.outcome.as_ref().map_or(0, |told| told.reason);
        completions.iter().map(|completion| (completion.token, reason(completion))).collect()
    }

    fn nowhere(_: Option<NodeId>) -> wire::Serving {
        wire::Serving::default()
    }

    #[test]
    fn calls_before_the_connect_are_answered_2018_and_a_second_connect_2002() {
        let mut early = conversation(Limits::default());
        early.on_frame(frame([(5, ping())]));
        assert_eq!(early.step(), Ok(Step::Read));
        assert_eq!(told(&mut early), [(5, 2018)]);

        let mut late = connected(Limits::default());
        late.on_frame(frame([(2, Wire::Connect(wire::Connect::default()))]));
        assert_eq!(late.step(), Ok(Step::Read));
        assert_eq!(told(&mut late), [(2, 2002)]);
    }

    #[test]
    fn a_frame_becomes_one_batch_of_calls_in_order() {
        let mut conversation = connected(Limits::default());
        conversation.on_frame(frame([(2, put(10)), (3, ping()), (4, put(20))]));
        assert_eq!(conversation.step(), Ok(Step::Read));
        let tokens: Vec<u64> = conversation.take_calls().iter().map(|(token, _)| token.0).collect();
        assert_eq!(tokens, [2, 3, 4]);
        assert!(!conversation.is_idle());
        let done = [3, 2, 4].map(|token| (Token(token), Completion::done())).to_vec();
        conversation.on_completions(done, nowhere);
        assert_eq!(told(&mut conversation), [(3, 0), (2, 0), (4, 0)]);
        assert!(conversation.is_idle());
    }

    #[test]
    fn a_long_frame_is_converted_some_calls_at_a_time() {
        let mut conversation = connected(Limits::default());
        conversation.on_frame(frame((2..302).map(|token| (token, ping()))));
        let mut steps = Vec::new();
        while steps.last() != Some(&Step::Read) {
            steps.push(conversation.step().unwrap());
        }
        assert_eq!(steps, [Step::Pause, Step::Pause, Step::Read]);
        assert_eq!(conversation.take_calls().len(), 300, "and is one batch if nobody takes them before");
    }

    #[test]
    fn nothing_is_read_while_too_many_calls_or_bytes_are_not_answered() {
        let limits = Limits { calls_in_flight_max: 2, session_bytes_max: 1000, ..Limits::default() };
        let mut conversation = connected(limits);
        conversation.on_frame(frame([(2, ping()), (3, ping()), (4, put(1000)), (5, ping())]));
        assert_eq!(conversation.step(), Ok(Step::Full));
        assert_eq!(conversation.take_calls().len(), 2);
        conversation.on_completions(vec![(Token(2), Completion::done())], nowhere);
        assert_eq!(conversation.step(), Ok(Step::Full));
        conversation.on_completions(vec![(Token(3), Completion::done())], nowhere);
        // There is room for a call, but none for bytes.
        assert_eq!(conversation.step(), Ok(Step::Full));
        assert_eq!(conversation.take_calls().len(), 1);
        assert_eq!(conversation.counters.figures().bytes_in_flight, 1000);
        conversation.on_completions(vec![(Token(4), Completion::done())], nowhere);
        assert_eq!(conversation.step(), Ok(Step::Read));
        let figures = conversation.counters.figures();
        assert_eq!((figures.calls_in_flight, figures.bytes_in_flight), (1, 0));
        let counters = conversation.counters.clone();
        drop(conversation);
        assert_eq!((counters.figures().calls_in_flight, counters.figures().streams), (0, 0));
    }

    #[test]
    fn long_selectors_are_translated_one_in_a_turn_and_short_ones_at_once() {
        let open = |handle: u32, selector: String| {
            Wire::Open(wire::Open { handle, queue: "Q".into(), input: true, selector, ..Default::default() })
        };
        let long = || format!("a = {}1", " ".repeat(limits::SELECTOR_BYTES_MAX - 5));
        let mut conversation = connected(Limits::default());
        let short = (2..12).map(|handle| (u64::from(handle), open(handle, "colour = 'red'".into())));
        conversation.on_frame(frame(short));
        assert_eq!(conversation.step(), Ok(Step::Read));
        let too_long = open(15, long() + " OR b = 1");
        let calls = [(12, open(12, long())), (13, open(13, long())), (14, ping()), (15, too_long)];
        conversation.on_frame(frame(calls));
        let waiting = |conversation: &mut Conversation, step: Step| {
            assert_eq!(conversation.step(), Ok(step));
            conversation.take_calls().len()
        };
        assert_eq!(waiting(&mut conversation, Step::Translate), 10);
        assert_eq!(waiting(&mut conversation, Step::Translate), 0, "others have not had their turn");
        conversation.translate();
        assert_eq!(waiting(&mut conversation, Step::Translate), 1);
        conversation.translate();
        assert_eq!(waiting(&mut conversation, Step::Read), 2, "what is not looked at waits for nobody");
        assert_eq!(told(&mut conversation), [(15, 2519)]);
    }

    #[test]
    fn a_token_in_use_ends_the_stream() {
        let mut conversation = connected(Limits::default());
        conversation.on_frame(frame([(2, ping()), (2, ping())]));
        let Violation(text) = conversation.step().unwrap_err();
        assert_eq!(text, "Token 2 is in use: the call that it names is not answered yet.");
    }

    #[test]
    fn a_call_that_says_nothing_is_refused_and_the_next_one_goes_on() {
        let mut conversation = connected(Limits::default());
        let calls = vec![wire::Call { token: 2, call: None }, wire::Call { token: 3, call: Some(ping()) }];
        conversation.on_frame(wire::SessionRequest { calls });
        assert_eq!(conversation.step(), Ok(Step::Read));
        assert_eq!(told(&mut conversation), [(2, 2298)]);
        assert_eq!(conversation.take_calls().len(), 1);
    }

    #[test]
    fn a_body_in_parts_is_put_as_one() {
        let mut conversation = connected(Limits::default());
        let part = |data: &'static str| Wire::BodyPart(wire::BodyPart { number: 9, data: Bytes::from(data) });
        let whole = |parts| match put(0) {
            Wire::Put(put) => Wire::Put(wire::Put { body_parts: parts, ..put }),
            _ => unreachable!(),
        };
        conversation.on_frame(frame([(0, part("Hel")), (0, part("lo")), (2, whole(9)), (3, whole(9))]));
        assert_eq!(conversation.step(), Ok(Step::Read));
        let calls = conversation.take_calls();
        let (Token(2), Call::Put(put)) = &calls[0] else { panic!("{calls:?}") };
        assert_eq!(put.message.body.to_bytes(), "Hello");
        assert_eq!(put.message.body_crc, crc32c::crc32c(b"Hello"));
        assert_eq!(told(&mut conversation), [(3, 2195)]);
    }

    #[test]
    fn a_long_body_leaves_in_parts_before_its_got() {
        let mut conversation = connected(Limits::default());
        let get = wire::Get { handle: 1, ..Default::default() };
        conversation.on_frame(frame([(2, Wire::Get(get))]));
        conversation.step().unwrap();
        let body = Body::from_parts(vec![Bytes::from(vec![1; 2_500_000]), Bytes::from(vec![2; 10])]);
        let message = Message { body_crc: body.crc32c(), body, ..Message::default() };
        let got = Data::Got { body_length: message.body.len(), message: Box::new(message) };
        conversation.on_completions(vec![(Token(2), Completion::ok(got))], nowhere);

        let mut lengths = Vec::new();
        let mut responses = 0;
        let got = 'got: loop {
            responses += 1;
            for completion in conversation.take_response().expect("the got comes last").completions {
                assert_eq!(completion.token, 2);
                match completion.data {
                    Some(Told::BodyPart(part)) => {
                        assert_eq!(part.number, 1);
                        lengths.push(part.data.len());
                    }
                    Some(Told::Got(got)) => break 'got got,
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(lengths, [1 << 20, 1 << 20, 2_500_000 - (2 << 20), 10]);
        assert_eq!((got.body_parts, got.body_length), (1, 2_500_010));
        assert!(got.message.as_ref().unwrap().body.is_empty());
        assert!(got.message.unwrap().body_crc32c.is_some());
        assert!(responses >= 3, "one response of {responses} would be over 4 MiB with longer bodies");
        assert!(conversation.is_idle());
    }

    #[test]
    fn the_end_of_a_session_answers_everything_and_says_where_to_go() {
        let limits = Limits { calls_in_flight_max: 2, ..Limits::default() };
        let mut conversation = connected(limits);
        conversation.on_frame(frame([(2, put(1)), (3, ping()), (4, ping())]));
        conversation.step().unwrap();
        conversation.take_calls();
        let serving = wire::Serving { node: "b".into(), ..Default::default() };
        conversation.close(Reason::ConnectionBroken, false, Some(serving.clone()));
        let completions = conversation.take_response().unwrap().completions;
        let reasons: Vec<(u64, u32)> =
            completions.iter().map(|told| (told.token, told.outcome.as_ref().unwrap().reason)).collect();
        assert_eq!(reasons, [(2, 2549), (3, 2009), (4, 2009), (0, 2009)]);
        assert_eq!(completions[3].data, Some(Told::Serving(serving)));
        assert!(conversation.is_idle());
    }

    #[test]
    fn what_never_reached_a_queue_manager_that_moved_in_good_order_did_not_happen() {
        let mut conversation = connected(Limits::default());
        conversation.on_frame(frame([(2, put(1))]));
        conversation.step().unwrap();
        conversation.take_calls();
        conversation.close(Reason::ConnectionBroken, true, None);
        let completions = conversation.take_response().unwrap().completions;
        assert_eq!(completions[0].outcome.as_ref().unwrap().reason, 2009);
    }

    #[test]
    fn answers_name_their_data() {
        let mut conversation = connected(Limits::default());
        conversation.on_frame(frame([(2, put(1)), (3, ping())]));
        conversation.step().unwrap();
        let message_id = MessageId::from_slice(b"AMQ 1").unwrap();
        let placed = Completion::ok(Data::Placed {
            message_id,
            in_group: None,
            duplicate: true,
            only_id_known: false,
        });
        let elsewhere = Completion {
            data: Data::NotServing { leader: Some(NodeId(2)) },
            ..Completion::failed_because(Reason::StandbyQMgr, "Ask b.")
        };
        let serving = |leader: Option<NodeId>| wire::Serving {
            node: leader.unwrap().to_string(),
            ..Default::default()
        };
        conversation.on_completions(vec![(Token(2), placed), (Token(3), elsewhere)], serving);
        let completions = conversation.take_response().unwrap().completions;
        let placed =
            wire::Placed { message_id: Bytes::from("AMQ 1"), duplicate: true, ..wire::Placed::default() };
        assert_eq!(
            completions[0],
            wire::Completion { token: 2, outcome: None, data: Some(Told::Placed(placed)) }
        );
        let outcome = completions[1].outcome.as_ref().unwrap();
        assert_eq!((outcome.code, outcome.reason), (2, 2543));
        assert_eq!(outcome.text, format!("{} Ask b.", Reason::StandbyQMgr.text()));
        let figures = conversation.counters.figures();
        assert_eq!(figures.failed[0].reason, Reason::StandbyQMgr);
        assert_eq!((figures.frames_received, figures.calls_received, figures.answers_sent), (2, 3, 3));
    }
}
