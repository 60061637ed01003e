//! The dialogue of one session, without IO: frames in, calls out; completions in, frames out.
//!
//! Keeps what a session may do right now: connect first, tokens that are its own, a bounded number of calls and of
//! bytes that are not answered. Driven by `messaging`, which owns the stream and the way to the replica:
//!
//! ```text
//! on_frame → step … → take_calls  → the replica
//! take_response     ← on_completions ← the replica
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use trimaran_proto::queue::v1 as wire;

use super::super::Limits;
use super::super::counters::{Counters, add, subtract};
use super::convert::{self, Asked, Refused, refused};
use super::parts::Parts;
use crate::mqi::{Call, Completion, Data, Put};
use crate::types::{CompletionCode, NodeId, Reason, Token};

/// A response is closed when it has grown past this; with one answer more it stays under the 4 MiB that clients of
/// gRPC take by default.
const RESPONSE_BYTES: usize = 512 * 1024;
/// What an answer without a body counts for.
const ANSWER_BYTES: usize = 96;

/// The client broke the protocol in a way that no answer could tell: the stream ends with INVALID_ARGUMENT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// What the driver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that came is converted: read another frame.
    Read,
    /// Too much is not answered: wait for answers, do not read.
    Full,
    /// Connect to this queue manager, then say so with [`Conversation::connected`] or [`Conversation::answer`].
    Connect { token: Token, queue_manager: String, application: String },
}

#[derive(Debug)]
pub struct Conversation {
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    connected: bool,
    /// Calls of the last frame that there was no room for.
    backlog: std::vec::IntoIter<wire::Call>,
    /// For the replica, in order.
    calls: Vec<(Token, Call)>,
    in_flight: HashMap<u64, Flight>,
    bytes_in_flight: usize,
    /// Calls and bytes in flight as the node's counters have them.
    counted: (u64, u64),
    parts: Parts,
    body_bytes_received: u64,
    answers: Vec<wire::Completion>,
    answer_bytes: usize,
    /// The number of the last body that went out in parts.
    body_number: u64,
}

/// A call that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Flight {
    bytes: usize,
    /// It may have happened although nobody says so (a put, a commit): 2549 instead of 2009.
    uncertain: bool,
}

impl Conversation {
    pub fn new(limits: Arc<Limits>, counters: Arc<Counters>) -> Conversation {
        let parts = Parts::new(limits.part_bytes_max, counters.clone());
        add(&counters.streams, 1);
        Conversation {
            limits,
            counters,
            connected: false,
            backlog: Vec::new().into_iter(),
            calls: Vec::new(),
            in_flight: HashMap::new(),
            bytes_in_flight: 0,
            counted: (0, 0),
            parts,
            body_bytes_received: 0,
            answers: Vec::new(),
            answer_bytes: 0,
            body_number: 0,
        }
    }

    /// A frame came. Only after [`Step::Read`].
    pub fn on_frame(&mut self, frame: wire::SessionRequest) {
        debug_assert!(self.backlog.as_slice().is_empty(), "a frame was read before the last one was done");
        add(&self.counters.frames_received, 1);
        self.backlog = frame.calls.into_iter();
    }

    /// Turns what came into calls as far as there is room.
    pub fn step(&mut self) -> Result<Step, Violation> {
        let step = self.advance();
        add(&self.counters.body_bytes_received, std::mem::take(&mut self.body_bytes_received));
        self.count_in_flight();
        step
    }

    fn advance(&mut self) -> Result<Step, Violation> {
        let mut received = 0;
        let step = loop {
            if self.in_flight.len() >= self.limits.calls_in_flight_max
                || self.bytes_in_flight >= self.limits.session_bytes_max
            {
                break Step::Full;
            }
            let Some(call) = self.backlog.next() else { break Step::Read };
            received += 1;
            if let Some(connect) = self.on_call(call)? {
                break connect;
            }
        };
        add(&self.counters.calls_received, received);
        Ok(step)
    }

    fn on_call(&mut self, wire::Call { token, call }: wire::Call) -> Result<Option<Step>, Violation> {
        if let Some(wire::call::Call::BodyPart(part)) = call {
            return self.on_part(part).map(|()| None);
        }
        let token_is_new = match self.in_flight.entry(token) {
            Entry::Vacant(entry) => {
                entry.insert(Flight { bytes: 0, uncertain: false });
                true
            }
            Entry::Occupied(_) => false,
        };
        if !token_is_new {
            let text = format!("Token {token} is in use: the call that it names is not answered yet.");
            return Err(Violation(text));
        }
        let token = Token(token);
        match convert::asked(call) {
            Err(refusal) => self.answer_refused(token, refusal),
            Ok(Asked::Connect { .. }) if self.connected => {
                self.answer_refused(token, Box::new(Completion::failed(Reason::AlreadyConnected)));
            }
            Ok(Asked::Connect { queue_manager, application }) => {
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
        self.parts.add(part);
        Ok(())
    }

    fn put_with_parts(&mut self, put: Put, number: u64, crc: Option<u32>) -> Result<Call, Refused> {
        let body = self.parts.finish(number)?;
        let message = convert::finish_message(put.message.descriptor, body, crc)?;
        Ok(Call::Put(Put { message, ..put }))
    }

    fn push_call(&mut self, token: Token, call: Call) {
        let bytes = body_bytes(&call);
        let uncertain = match &call {
            Call::Put(put) => !put.syncpoint,
            Call::Commit { .. } | Call::Admin(_) => true,
            _ => false,
        };
        self.in_flight.insert(token.0, Flight { bytes, uncertain });
        self.bytes_in_flight += bytes;
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
        self.finish(token);
        self.push_answer(wire::Completion { token: token.0, outcome: None, data: Some(data) }, ANSWER_BYTES);
    }

    /// What one turn of the replica had to answer.
    pub fn on_completions(
        &mut self,
        completions: Vec<(Token, Completion)>,
        serving: impl Fn(Option<NodeId>) -> wire::Serving,
    ) {
        self.answers.reserve(completions.len());
        for (token, completion) in completions {
            if !matches!(completion.data, Data::Progress { .. }) {
                self.push_completion(token, completion, &serving);
            }
        }
        self.count_in_flight();
    }

    /// Answers one call.
    pub fn answer(
        &mut self,
        token: Token,
        completion: Completion,
        serving: impl FnOnce(Option<NodeId>) -> wire::Serving,
    ) {
        self.push_completion(token, completion, serving);
        self.count_in_flight();
    }

    fn push_completion(
        &mut self,
        token: Token,
        mut completion: Completion,
        serving: impl FnOnce(Option<NodeId>) -> wire::Serving,
    ) {
        if !self.finish(token) {
            debug_assert!(false, "token {token} is answered twice");
            return;
        }
        if completion.code == CompletionCode::Failed {
            self.counters.count_failed(completion.reason);
        }
        let mut body_bytes = 0;
        let mut body_parts = 0;
        if let Data::Got { message, .. } = &mut completion.data {
            body_bytes = message.body.len();
            add(&self.counters.body_bytes_sent, body_bytes as u64);
            if body_bytes > convert::PART_BYTES_MAX {
                self.body_number += 1;
                body_parts = self.body_number;
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
        let mut answer = convert::completion_to_wire(token, completion, serving);
        if let (1.., Some(wire::completion::Data::Got(got))) = (body_parts, &mut answer.data) {
            got.body_parts = body_parts;
        }
        self.push_answer(answer, body_bytes + ANSWER_BYTES);
    }

    fn answer_refused(&mut self, token: Token, refusal: Refused) {
        self.finish(token);
        self.counters.count_failed(refusal.reason);
        let outcome = convert::outcome_of(&refusal);
        self.push_answer(wire::Completion { token: token.0, outcome, data: None }, ANSWER_BYTES);
    }

    fn push_answer(&mut self, answer: wire::Completion, bytes: usize) {
        self.answer_bytes += bytes;
        self.answers.push(answer);
    }

    /// False when nothing of this token was in flight.
    fn finish(&mut self, token: Token) -> bool {
        let flight = self.in_flight.remove(&token.0);
        self.bytes_in_flight -= flight.map_or(0, |flight| flight.bytes);
        flight.is_some()
    }

    fn count_in_flight(&mut self) {
        let now = (self.in_flight.len() as u64, self.bytes_in_flight as u64);
        add(&self.counters.calls_in_flight, now.0.saturating_sub(self.counted.0));
        subtract(&self.counters.calls_in_flight, self.counted.0.saturating_sub(now.0));
        add(&self.counters.bytes_in_flight, now.1.saturating_sub(self.counted.1));
        subtract(&self.counters.bytes_in_flight, self.counted.1.saturating_sub(now.1));
        self.counted = now;
    }

    /// The next frame of answers, if there are any: all of them unless they are long.
    pub fn take_response(&mut self) -> Option<wire::SessionResponse> {
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
        Some(wire::SessionResponse { completions })
    }

    /// Nothing is left to answer.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.answers.is_empty() && self.backlog.as_slice().is_empty()
    }

    /// The session is over, and this is why. What is not answered gets the answer that is true then; the last answer
    /// has token 0, which names no call then, and says where to go instead.
    pub fn close(&mut self, reason: Reason, serving: Option<wire::Serving>) {
        let mut open: Vec<(u64, Flight)> =
            self.in_flight.iter().map(|(token, flight)| (*token, *flight)).collect();
        open.sort_unstable_by_key(|(token, _)| *token);
        for (token, flight) in open {
            let reason = if flight.uncertain { Reason::CallInterrupted } else { Reason::ConnectionBroken };
            self.answer_refused(Token(token), Box::new(Completion::failed(reason)));
        }
        self.calls.clear();
        let never_started: Vec<u64> = self
            .backlog
            .by_ref()
            .filter(|call| !matches!(call.call, Some(wire::call::Call::BodyPart(_))))
            .map(|call| call.token)
            .collect();
        for token in never_started {
            let detail = "The call was not started.";
            self.answer_refused(Token(token), refused(Reason::ConnectionBroken, detail));
        }
        let outcome = convert::outcome(CompletionCode::Failed, reason, None);
        let data = serving.map(wire::completion::Data::Serving);
        self.push_answer(wire::Completion { token: 0, outcome, data }, ANSWER_BYTES);
        self.count_in_flight();
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        subtract(&self.counters.streams, 1);
        subtract(&self.counters.calls_in_flight, self.counted.0);
        subtract(&self.counters.bytes_in_flight, self.counted.1);
    }
}

fn body_bytes(call: &Call) -> usize {
    match call {
        Call::Put(put) => put.message.body.len(),
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
