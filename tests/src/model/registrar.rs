//! An operator who creates queue managers, moves their addresses, and deletes them, while others do the same with the same names and
//! addresses, and who writes down what each was answered. The judge is `check/registered.rs`.

use trimaran_node::mqi::{ArrangeRequest, Call, Completion, CreateRequest, Data, Operate};
use trimaran_node::types::{ObjectName, Reason, Token};

use super::app::{Input, Output};
use crate::sim::rng::Rng;

const NAMES: [&str; 4] = ["ONE", "TWO", "THREE", "FOUR"];
const ADDRESSES: [&str; 3] = ["10.0.0.61/24", "10.0.0.62/24", "10.0.0.63/24"];
const ANSWER_MAX_US: u64 = 5_000_000;
const THINK_US: (u64, u64) = (10_000, 700_000);

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Create,
    Arrange,
    Delete,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// And nothing was done.
    Refused(Reason),
    /// Nobody knows.
    Unknown,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub asked: Asked,
    pub name: &'static str,
    /// Those that it is to have, of a creation or a change.
    pub addresses: Vec<&'static str>,
    pub began: u64,
    /// None where nobody answered.
    pub ended: Option<u64>,
    pub fate: Fate,
}

pub struct Registrar {
    rng: Rng,
    up: bool,
    connecting: bool,
    hint: Option<u64>,
    token_last: u64,
    waiting: Option<(Token, u64)>,
    not_before: u64,
    finishing: bool,
    pub requests: Vec<Request>,
}

impl Registrar {
    pub fn new(rng: Rng) -> Registrar {
        Registrar {
            rng,
            up: false,
            connecting: false,
            hint: None,
            token_last: 0,
            waiting: None,
            not_before: 0,
            finishing: false,
            requests: Vec::new(),
        }
    }

    pub fn finish(&mut self) {
        self.finishing = true;
    }

    pub fn is_finished(&self) -> bool {
        self.finishing && self.waiting.is_none()
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
                if self.waiting.is_some_and(|(waiting, _)| waiting == token) {
                    self.on_answer(completion, now, out);
                }
            }
            Input::Wake => {}
        }
        if self.waiting.is_some_and(|(_, deadline)| deadline <= now) {
            out.push(Output::Disconnect);
            self.lost(now);
        }
        self.go_on(now, out);
    }

    /// What was asked for and not answered stands as not known.
    fn lost(&mut self, now: u64) {
        (self.up, self.connecting, self.waiting) = (false, false, None);
        self.not_before = now + self.rng.between(20_000, 200_000);
    }

    fn on_answer(&mut self, completion: Completion, now: u64, out: &mut Vec<Output>) {
        self.waiting = None;
        self.not_before = now + self.rng.skewed(THINK_US.0, THINK_US.1);
        let request = self.requests.last_mut().expect("it was asked for");
        if completion.reason != Reason::CallInterrupted {
            request.ended = Some(now);
            request.fate = if completion.is_failed() { Fate::Refused(completion.reason) } else { Fate::Done };
        }
        if let Data::NotServing { leader } = completion.data {
            self.hint = leader.map(|leader| leader.0);
            out.push(Output::Disconnect);
            self.lost(now);
        }
    }

    fn go_on(&mut self, now: u64, out: &mut Vec<Output>) {
        if self.connecting {
            return;
        }
        if let Some((_, deadline)) = self.waiting {
            return out.push(Output::Wake { at: deadline });
        }
        if self.finishing {
            return;
        }
        if now < self.not_before {
            return out.push(Output::Wake { at: self.not_before });
        }
        if !self.up {
            self.connecting = true;
            return out.push(Output::Connect { node: self.hint.take() });
        }
        let (request, operate) = self.next(now);
        self.requests.push(request);
        self.token_last += 1;
        let (token, deadline) = (Token(self.token_last), now + ANSWER_MAX_US);
        self.waiting = Some((token, deadline));
        out.push(Output::Call { token, call: Call::Operate(operate) });
        out.push(Output::Wake { at: deadline });
    }

    fn next(&mut self, now: u64) -> (Request, Operate) {
        let text = *self.rng.pick(&NAMES).expect("not empty");
        let name = ObjectName::new(text).expect("a valid name");
        let asked = match self.rng.below(10) {
            0..4 => Asked::Create,
            4..7 => Asked::Arrange,
            _ => Asked::Delete,
        };
        let mut addresses: Vec<&'static str> =
            ADDRESSES.into_iter().filter(|_| self.rng.chance(400) && asked != Asked::Delete).collect();
        addresses.truncate(2);
        let written = || addresses.iter().map(ToString::to_string).collect();
        let operate = match asked {
            Asked::Create => Operate::Create(Box::new(CreateRequest {
                name,
                preferred: String::new(),
                fail_back: String::new(),
                dead_letter_queue: String::new(),
                port: 0,
                addresses: written(),
                canary: false,
            })),
            Asked::Arrange => Operate::Arrange(Box::new(ArrangeRequest {
                name,
                addresses: Some(written()),
                preferred: None,
                fail_back: None,
                canary: None,
            })),
            Asked::Delete => Operate::Delete { name },
        };
        let request = Request { asked, name: text, addresses, began: now, ended: None, fate: Fate::Unknown };
        (request, operate)
    }
}
