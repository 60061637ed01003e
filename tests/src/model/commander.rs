//! A program that administers by messages: it puts commands in PCF on SYSTEM.ADMIN.COMMAND.QUEUE, each with a number of its own, and at the
//! end gets the replies. Each of its queues is created by one command and deleted by another one at most, so what must come of each
//! is known. The judge is `check/commands.rs`.

use std::collections::BTreeMap;

use trimaran_node::mqi::{
    Call, Completion, Context, Data, Get, GetMode, OpenOptions, Put, PutTarget, Selection, Wait,
};
use trimaran_node::types::{
    Body, CorrelationId, Descriptor, HandleId, Message, ObjectName, Persistence, Reason, ReportOptions, Token,
};
use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::characters::Written;
use trimaran_proto::pcf::{self, Header, Parameter, parameter};

use super::app::{Input, Output};
use crate::sim::rng::Rng;

const COMMANDS: &str = "SYSTEM.ADMIN.COMMAND.QUEUE";
/// One for all of a queue manager's.
pub const REPLIES: &str = "COMMANDERS.REPLIES";
const ANSWER_MAX_US: u64 = 5_000_000;
const THINK_US: (u64, u64) = (2_000, 400_000);
const HANDLE: HandleId = HandleId(1);
const MQQT_LOCAL: i32 = 1;
const WRITTEN: Written = Written { ccsid: 1208, is_big: false };

/// What a command does with the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Create,
    Delete,
}

/// One that was put.
#[derive(Clone, Debug)]
pub struct Command {
    pub does: Does,
    pub queue: String,
    /// Its put was answered; else it may be there or not.
    pub is_put: bool,
    /// Completion code and reason of each answer.
    pub replies: Vec<(i32, i32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Opened,
    Put(u64),
    Got,
}

pub struct Commander {
    number: u32,
    pub queue_manager: usize,
    rng: Rng,
    up: bool,
    connecting: bool,
    opened: bool,
    hint: Option<u64>,
    token_last: u64,
    waiting: Option<(Token, Waits, u64)>,
    not_before: u64,
    finishing: bool,
    /// The replies are got, of all commanders of the queue manager: by one that puts no commands.
    reads: bool,
    pub is_finished: bool,
    /// By their numbers, which are their correlation ids.
    pub commands: BTreeMap<u64, Command>,
    /// What one that reads has got: the number of each command and what its reply says.
    pub read: Vec<(u64, i32, i32)>,
    /// Of replies behind which there is another one.
    why: BTreeMap<u64, i32>,
    /// An answer to a get was lost.
    pub is_uncertain: bool,
    next_delete: Option<String>,
}

impl Commander {
    pub fn new(number: u32, queue_manager: usize, rng: Rng) -> Commander {
        Commander {
            number,
            queue_manager,
            rng,
            up: false,
            connecting: false,
            opened: false,
            hint: None,
            token_last: 0,
            waiting: None,
            not_before: 0,
            finishing: false,
            reads: false,
            is_finished: false,
            commands: BTreeMap::new(),
            read: Vec::new(),
            why: BTreeMap::new(),
            is_uncertain: false,
            next_delete: None,
        }
    }

    /// One that gets all replies, and ends when there is none any more.
    pub fn reader(number: u32, queue_manager: usize, rng: Rng) -> Commander {
        Commander { reads: true, ..Commander::new(number, queue_manager, rng) }
    }

    pub fn finish(&mut self) {
        self.finishing = true;
    }

    pub fn state(&self) -> String {
        format!(
            "commander {} of queue manager {} waits for {:?}",
            self.number, self.queue_manager, self.waiting
        )
    }

    pub fn handle(&mut self, now: u64, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected { .. } => (self.up, self.connecting) = (true, false),
            Input::NotConnected { hint } => {
                self.hint = hint;
                self.lost(now);
            }
            Input::Broken { .. } => self.lost(now),
            Input::Answer { token, completion, .. } => {
                if let Some((_, waits, _)) = self.waiting.filter(|(waiting, ..)| *waiting == token) {
                    self.on_answer(waits, completion, now, out);
                }
            }
            Input::Wake => {}
        }
        if self.waiting.is_some_and(|(.., deadline)| deadline <= now) {
            out.push(Output::Disconnect);
            self.lost(now);
        }
        self.go_on(now, out);
    }

    fn lost(&mut self, now: u64) {
        self.is_uncertain |= self.waiting.is_some_and(|(_, waits, _)| waits == Waits::Got);
        (self.up, self.connecting, self.opened, self.waiting) = (false, false, false, None);
        self.not_before = now + self.rng.between(20_000, 200_000);
    }

    fn on_answer(&mut self, waits: Waits, completion: Completion, now: u64, out: &mut Vec<Output>) {
        self.waiting = None;
        let think = if self.reads { 0 } else { self.rng.skewed(THINK_US.0, THINK_US.1) };
        self.not_before = now + think;
        match waits {
            Waits::Opened => self.opened = !completion.is_failed(),
            Waits::Put(number) => match completion.reason {
                Reason::None => {
                    let command = self.commands.get_mut(&number).expect("it was put");
                    command.is_put = true;
                    if command.does == Does::Create {
                        self.next_delete = Some(command.queue.clone()).filter(|_| self.rng.chance(500));
                    }
                }
                Reason::CallInterrupted => {}
                // Not there, and nobody waits for its reply.
                _ => drop(self.commands.remove(&number)),
            },
            Waits::Got => match &completion.data {
                Data::Got { message, .. } => self.on_reply(message),
                _ if completion.reason == Reason::NoMsgAvailable => self.is_finished = true,
                _ => self.is_uncertain |= completion.reason == Reason::CallInterrupted,
            },
        }
        if let Data::NotServing { leader } = completion.data {
            self.hint = leader.map(|leader| leader.0);
            out.push(Output::Disconnect);
            self.lost(now);
        }
    }

    /// Of a command that failed the last one only says so, and the one before it why.
    fn on_reply(&mut self, message: &Message) {
        let number = message.descriptor.correlation_id.0[..8].try_into().expect("8 bytes");
        let number = u64::from_be_bytes(number);
        let header = pcf::read(&message.body.to_bytes(), WRITTEN).expect("replies are PCF").header;
        match header.is_last {
            true => {
                let reason = self.why.remove(&number).unwrap_or(header.reason);
                self.read.push((number, header.completion, reason));
            }
            false => drop(self.why.insert(number, header.reason)),
        }
    }

    fn go_on(&mut self, now: u64, out: &mut Vec<Output>) {
        if self.connecting || self.is_finished {
            return;
        }
        if let Some((.., deadline)) = self.waiting {
            return out.push(Output::Wake { at: deadline });
        }
        if self.finishing && !self.reads {
            self.is_finished = true;
            return;
        }
        if now < self.not_before {
            return out.push(Output::Wake { at: self.not_before });
        }
        if !self.up {
            self.connecting = true;
            return out.push(Output::Connect { node: self.hint.take() });
        }
        let (waits, call) = match (self.reads, self.opened) {
            (true, false) => (Waits::Opened, open()),
            (true, true) => (Waits::Got, get()),
            (false, _) => self.next(),
        };
        self.token_last += 1;
        let (token, deadline) = (Token(self.token_last), now + ANSWER_MAX_US);
        self.waiting = Some((token, waits, deadline));
        out.push(Output::Call { token, call });
        out.push(Output::Wake { at: deadline });
    }

    fn next(&mut self) -> (Waits, Call) {
        let number = u64::from(self.number) << 32 | (self.token_last + 1);
        let (does, queue) = match self.next_delete.take() {
            Some(queue) => (Does::Delete, queue),
            None => (Does::Create, format!("BY.{}.{}", self.number, self.token_last + 1)),
        };
        let command = Command { does, queue: queue.clone(), is_put: false, replies: Vec::new() };
        self.commands.insert(number, command);
        let mut parameters = vec![Parameter::text(parameter::Q_NAME, queue)];
        let code = match does {
            Does::Create => pcf::commands::CREATE_Q,
            Does::Delete => pcf::commands::DELETE_Q,
        };
        parameters.push(Parameter::number(parameter::Q_TYPE, MQQT_LOCAL));
        let command = pcf::Message { header: Header::command(code), parameters };
        (Waits::Put(number), put(number, &command))
    }
}

fn put(number: u64, command: &pcf::Message) -> Call {
    let mut descriptor = Descriptor {
        correlation_id: correlation(number),
        persistence: Persistence::Persistent,
        report: ReportOptions(ReportOptions::PASS_CORREL_ID),
        ..Descriptor::default()
    };
    descriptor.set_rest(&wire::Descriptor {
        format: "MQADMIN".into(),
        encoding: Some(546),
        coded_character_set: Some(WRITTEN.ccsid),
        reply_to_queue: REPLIES.into(),
        ..wire::Descriptor::default()
    });
    let body = Body::from(command.write(WRITTEN).freeze());
    let body_crc = body.crc32c();
    Call::Put(Put {
        to: PutTarget::Queue(ObjectName::new(COMMANDS).expect("a valid name")),
        message: Box::new(Message { descriptor, body, body_crc }),
        syncpoint: false,
        logical_order: false,
        producer: None,
        dead_letter: false,
        context: Context::Default,
    })
}

fn open() -> Call {
    let queue = ObjectName::new(REPLIES).expect("a valid name");
    let options = OpenOptions { input: true, ..OpenOptions::default() };
    Call::Open { handle: HANDLE, queue, options, dynamic: String::new(), selector: None }
}

fn get() -> Call {
    Call::Get(Get {
        handle: HANDLE,
        syncpoint: false,
        syncpoint_if_persistent: false,
        wait: Wait::No,
        mode: GetMode::Destructive,
        selection: Selection::default(),
        max_length: None,
        accept_truncated: false,
        extended: false,
        lock: false,
    })
}

fn correlation(number: u64) -> CorrelationId {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    CorrelationId(bytes)
}
