//! A node's canary, as `runtime/canary.rs` has it: each second a small persistent message is put through the address and got again,
//! unless its own node leads. A round that is not done within a second is a failed one, and the next begins at once.
//!
//! Lives and stops with its node's process. What it saw is told to the mind and to `check/canaries.rs`.

use std::time::Duration;

use bytes::Bytes;
use trimaran_node::mqi::{
    Call, Completion, Context, Data, Get, GetMode, OpenOptions, Put, PutTarget, Selection, Wait,
};
use trimaran_node::types::{Descriptor, HandleId, Message, MessageId, ObjectName, Persistence, Token};
use trimaran_proto::failover::CANARY_QUEUE;

use super::app::{Input, Output};

const EVERY_US: u64 = 1_000_000;
const ROUND_US_MAX: u64 = 1_000_000;
const AGAIN_AFTER_US: u64 = 50_000;
/// In tenths of a second.
const EXPIRY: u32 = 300;
const BODY: &[u8] = b"canary";
const HANDLE: HandleId = HandleId(1);

/// What a canary finds about its node, and of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Of the process that runs; None when there is none.
    pub incarnation: Option<u64>,
    /// Whoever leads reaches itself whatever clients do.
    pub leads: bool,
    /// Who answers for the address.
    pub target: Option<u64>,
}

/// A round came to its end, and for how long none did before; None for the first of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Good {
    pub silent: Option<Duration>,
}

#[derive(Debug)]
pub struct Canary {
    pub node: u64,
    pub queue_manager: usize,
    incarnation: Option<u64>,
    link: Link,
    /// What is asked of whom it is connected to.
    asked: Option<Token>,
    token_last: u64,
    round: Round,
    good_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down {
        not_before: u64,
    },
    Connecting,
    /// Whether it has its queue open.
    Up {
        opened: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Rests { until: u64 },
    Under { began: u64 },
}

impl Canary {
    pub fn new(node: u64, queue_manager: usize) -> Canary {
        Canary {
            node,
            queue_manager,
            incarnation: None,
            link: Link::Down { not_before: 0 },
            asked: None,
            token_last: 0,
            round: Round::Rests { until: 0 },
            good_at: None,
        }
    }

    pub fn handle(&mut self, now: u64, input: Input, sight: Sight, out: &mut Vec<Output>) -> Option<Good> {
        if sight.incarnation != self.incarnation || sight.leads {
            self.incarnation = sight.incarnation;
            self.begin_anew(now, out);
        }
        let mut good = None;
        match input {
            Input::Connected { .. } => self.link = Link::Up { opened: false },
            Input::NotConnected { .. } | Input::Broken { .. } => self.lost(now),
            Input::Answer { token, completion, .. } => {
                if self.asked == Some(token) {
                    good = self.on_answer(completion, now, out);
                }
            }
            Input::Wake => {}
        }
        self.go_on(now, sight, out);
        good
    }

    /// Its process is another one, or leads.
    fn begin_anew(&mut self, now: u64, out: &mut Vec<Output>) {
        self.hang_up(now, out);
        self.good_at = None;
        self.round = Round::Rests { until: now + EVERY_US };
    }

    fn hang_up(&mut self, now: u64, out: &mut Vec<Output>) {
        if matches!(self.link, Link::Up { .. }) {
            out.push(Output::Disconnect);
            self.lost(now);
        }
        self.asked = None;
    }

    fn lost(&mut self, now: u64) {
        self.link = Link::Down { not_before: now + AGAIN_AFTER_US };
        self.asked = None;
    }

    fn on_answer(&mut self, completion: Completion, now: u64, out: &mut Vec<Output>) -> Option<Good> {
        self.asked = None;
        let Round::Under { began } = self.round else { return None };
        match completion.data {
            _ if completion.is_failed() => self.hang_up(now, out),
            Data::Opened(_) => {
                self.link = Link::Up { opened: true };
                self.put(out);
            }
            Data::Placed { message_id, .. } => self.get(message_id, out),
            Data::Got { message, .. } => {
                assert_eq!(message.body.len(), BODY.len(), "what was put comes back");
                self.round = Round::Rests { until: now.max(began + EVERY_US) };
                let silent = self.good_at.replace(now).map(|at| Duration::from_micros(now - at));
                return Some(Good { silent });
            }
            _ => self.hang_up(now, out),
        }
        None
    }

    fn go_on(&mut self, now: u64, sight: Sight, out: &mut Vec<Output>) {
        let began = match self.round {
            Round::Rests { until } if now < until => return out.push(Output::Wake { at: until }),
            _ if sight.incarnation.is_none() || sight.leads => {
                return out.push(Output::Wake { at: now + EVERY_US });
            }
            Round::Rests { .. } => now,
            Round::Under { began } if now >= began + ROUND_US_MAX => {
                self.hang_up(now, out);
                now
            }
            Round::Under { began } => began,
        };
        self.round = Round::Under { began };
        match (self.link, sight.target) {
            (Link::Down { not_before }, _) if now < not_before => out.push(Output::Wake { at: not_before }),
            (Link::Down { .. }, Some(_)) => {
                self.link = Link::Connecting;
                out.push(Output::Connect { node: sight.target });
            }
            (Link::Down { .. }, None) => out.push(Output::Wake { at: now + AGAIN_AFTER_US }),
            (Link::Up { opened }, _) if self.asked.is_none() => match opened {
                true => self.put(out),
                false => self.open(out),
            },
            (Link::Up { .. } | Link::Connecting, _) => {}
        }
        out.push(Output::Wake { at: began + ROUND_US_MAX });
    }

    fn open(&mut self, out: &mut Vec<Output>) {
        let options = OpenOptions { input: true, ..OpenOptions::default() };
        let (queue, dynamic) = (queue(), String::new());
        self.ask(Call::Open { handle: HANDLE, queue, options, dynamic, selector: None }, out);
    }

    fn put(&mut self, out: &mut Vec<Output>) {
        let persistence = Persistence::Persistent;
        let descriptor = Descriptor { persistence, expiry: Some(EXPIRY), ..Descriptor::default() };
        let message =
            Message { descriptor, body: Bytes::from_static(BODY).into(), body_crc: crc32c::crc32c(BODY) };
        let to = PutTarget::Queue(queue());
        let message = Box::new(message);
        let (syncpoint, logical_order, dead_letter) = (false, false, false);
        let (producer, context) = (None, Context::Default);
        let put = Put { to, message, syncpoint, logical_order, producer, dead_letter, context };
        self.ask(Call::Put(put), out);
    }

    fn get(&mut self, message_id: MessageId, out: &mut Vec<Output>) {
        let get = Get {
            handle: HANDLE,
            syncpoint: false,
            syncpoint_if_persistent: false,
            wait: Wait::No,
            mode: GetMode::Destructive,
            selection: Selection { message_id: Some(message_id), ..Selection::default() },
            max_length: None,
            accept_truncated: false,
            extended: false,
            lock: false,
        };
        self.ask(Call::Get(get), out);
    }

    fn ask(&mut self, call: Call, out: &mut Vec<Output>) {
        self.token_last += 1;
        let token = Token(self.token_last);
        self.asked = Some(token);
        out.push(Output::Call { token, call });
    }
}

fn queue() -> ObjectName {
    ObjectName::new(CANARY_QUEUE).expect("a valid name")
}
