//! An administrator who alters definitions and looks at them while another one does the same, and writes down what
//! each call was answered.
//!
//! Two of them share each queue manager: what one of them was acknowledged must be there, whatever the other did at
//! that moment. The judge is `check/changes.rs`; every value is given once in a run, so that it says whose it is.

use trimaran_node::mqi::{Admin, Call, Completion, Data};
use trimaran_node::types::definition::{Changes, Definition, ObjectRef};
use trimaran_node::types::{Reason, Token};

use super::app::{Input, Output};
use super::history::{Answer, History, Settings, What};
use super::workload;
use crate::sim::rng::Rng;

pub struct Administrator {
    number: u32,
    pub queue_manager: usize,
    rng: Rng,
    link: Link,
    hint: Option<u64>,
    token_last: u64,
    values_given: u32,
    waiting: Option<Waiting>,
    /// Everything there is to alter.
    objects: Vec<ObjectRef>,
    /// What was altered last, as a place in `objects`: a look at it is worth most.
    altered: Option<usize>,
    not_before: u64,
    /// No more changes; each object is looked at once more.
    finishing: bool,
    to_look_at: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up { session: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    token: Token,
    operation: usize,
    /// Which object is looked at.
    looks_at: Option<usize>,
    deadline: u64,
}

const ANSWER_MAX_US: u64 = 5_000_000;
const THINK_US: (u64, u64) = (20_000, 800_000);

impl Administrator {
    pub fn new(number: u32, queue_manager: usize, rng: Rng) -> Administrator {
        let objects = workload::altered_objects();
        Administrator {
            number,
            queue_manager,
            rng,
            link: Link::Down,
            hint: None,
            token_last: 0,
            values_given: 0,
            waiting: None,
            altered: None,
            not_before: 0,
            finishing: false,
            to_look_at: (0..objects.len()).collect(),
            objects,
        }
    }

    pub fn finish(&mut self) {
        self.finishing = true;
    }

    pub fn is_finished(&self) -> bool {
        self.finishing && self.to_look_at.is_empty()
    }

    /// For the report of one that does not finish.
    pub fn state(&self) -> String {
        format!(
            "administrator {} of queue manager {}: {:?}, waits for {:?}, has {} objects to look at",
            self.number,
            self.queue_manager,
            self.link,
            self.waiting,
            self.to_look_at.len()
        )
    }

    pub fn handle(&mut self, now: u64, input: Input, history: &mut History, out: &mut Vec<Output>) {
        match input {
            Input::Connected { session } => self.link = Link::Up { session },
            Input::NotConnected { hint } => {
                self.hint = hint;
                self.lost(now);
            }
            Input::Broken { .. } => self.lost(now),
            Input::Answer { token, completion, .. } => {
                if let Some(waiting) = self.waiting.filter(|waiting| waiting.token == token) {
                    self.on_answer(waiting, completion, now, history, out);
                }
            }
            Input::Wake => {}
        }
        if self.waiting.is_some_and(|waiting| waiting.deadline <= now) {
            out.push(Output::Disconnect);
            self.lost(now);
        }
        self.go_on(now, history, out);
    }

    /// What was asked and not answered happened or did not: the history says so already.
    fn lost(&mut self, now: u64) {
        self.link = Link::Down;
        self.waiting = None;
        self.not_before = now + self.rng.between(20_000, 200_000);
    }

    fn on_answer(
        &mut self,
        waiting: Waiting,
        completion: Completion,
        now: u64,
        history: &mut History,
        out: &mut Vec<Output>,
    ) {
        self.waiting = None;
        self.not_before = now + self.rng.skewed(THINK_US.0, THINK_US.1);
        let operation = &mut history.operations[waiting.operation];
        if completion.reason != Reason::CallInterrupted {
            operation.ended = Some(now);
            operation.answer =
                if completion.is_failed() { Answer::Refused(completion.reason) } else { Answer::Ok };
        }
        match completion.data {
            Data::NotServing { leader } => {
                self.hint = leader.map(|leader| leader.0);
                out.push(Output::Disconnect);
                self.lost(now);
            }
            Data::Objects(objects) => {
                if let (What::Display { shown, .. }, [object]) = (&mut operation.what, objects.as_slice()) {
                    *shown = Some(shown_of(&object.definition));
                    if self.finishing {
                        self.to_look_at.retain(|object| Some(*object) != waiting.looks_at);
                    }
                }
            }
            _ => {}
        }
    }

    fn go_on(&mut self, now: u64, history: &mut History, out: &mut Vec<Output>) {
        if self.is_finished() || self.link == Link::Connecting {
            return;
        }
        if let Some(waiting) = self.waiting {
            return out.push(Output::Wake { at: waiting.deadline });
        }
        if now < self.not_before {
            return out.push(Output::Wake { at: self.not_before });
        }
        match self.link {
            Link::Up { session } => self.ask(session, now, history, out),
            _ => {
                self.link = Link::Connecting;
                out.push(Output::Connect { node: self.hint.take() });
            }
        }
    }

    fn ask(&mut self, session: u64, now: u64, history: &mut History, out: &mut Vec<Output>) {
        let (looks_at, what, call) = match (self.finishing, self.altered.take()) {
            (true, _) => self.look_at(*self.to_look_at.first().expect("not finished")),
            (false, Some(queue)) if self.rng.chance(600) => self.look_at(queue),
            _ => self.alter(),
        };
        self.token_last += 1;
        let token = Token(self.token_last);
        let operation = history.begin(self.number, session, now, what);
        let deadline = now + ANSWER_MAX_US;
        self.waiting = Some(Waiting { token, operation, looks_at, deadline });
        out.push(Output::Call { token, call: Call::Admin(call) });
        out.push(Output::Wake { at: deadline });
    }

    fn look_at(&self, number: usize) -> (Option<usize>, What, Admin) {
        let object = &self.objects[number];
        let call =
            Admin::Display { kinds: vec![object.kind], pattern: object.name.clone(), after: String::new() };
        (Some(number), What::Display { object: self.name_of(object), shown: None }, call)
    }

    fn alter(&mut self) -> (Option<usize>, What, Admin) {
        // Half of all changes meet one of the queues that programs use.
        let until = if self.rng.chance(500) { workload::USED.len() } else { self.objects.len() };
        let number = self.rng.below(until as u64) as usize;
        let object = self.objects[number].clone();
        self.altered = Some(number);
        self.values_given += 1;
        let value = self.number * 10_000 + self.values_given;
        let said = workload::harmless_change(&mut self.rng, &object, value);
        let attributes = said.iter().map(|(name, value)| (*name, value.as_str()));
        let changes = Changes::parse(object.kind, attributes).expect("valid");
        let said = said.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        (None, What::Alter { object: self.name_of(&object), changes: said }, Admin::Alter { object, changes })
    }

    fn name_of(&self, object: &ObjectRef) -> String {
        format!("{object}@{}", self.queue_manager)
    }
}

fn shown_of(definition: &Definition) -> Settings {
    definition.attributes().map(|(attribute, value)| (attribute.name.to_string(), value)).collect()
}
