//! An administrator who alters definitions, sets records, and looks at them while another one does the same, and writes down
//! what each call was answered. Some objects are deleted and defined anew.
//!
//! Two of them share each queue manager: what one of them was acknowledged must be there, whatever the other did at
//! that moment. The judge is `check/changes.rs`, to whom each call is what it makes of attributes: whether an object is defined is
//! one, and so is each member of a record's list. Values of real attributes are given once in a run, so that they say whose they are.

use trimaran_node::mqi::{Admin, Call, Completion, Data};
use trimaran_node::types::definition::{Changes, Definition, ObjectRef, RecordAction};
use trimaran_node::types::{Reason, Token};

use super::app::{Input, Output};
use super::history::{Answer, History, Settings, What};
use super::workload::{self, Record};
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
            Data::Objects(page) => {
                let looked_at = waiting.looks_at.map(|number| &self.objects[number]);
                let found = page.objects.first().map(|object| &object.definition);
                if let (What::Display { shown, .. }, Some(object)) = (&mut operation.what, looked_at) {
                    *shown = shown_of(object, found);
                    if self.finishing && shown.is_some() {
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
        if let Some(record) = Record::of(&object) {
            return self.set(object, record);
        }
        if workload::REMADE.contains(&object.name.as_str()) && self.rng.chance(400) {
            return self.remake(object);
        }
        let value = self.next_value();
        let said = workload::harmless_change(&mut self.rng, &object, value);
        let attributes = said.iter().map(|(name, value)| (*name, value.as_str()));
        let changes = Changes::parse(object.kind, attributes).expect("valid");
        let said = said.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        (None, What::Alter { object: self.name_of(&object), changes: said }, Admin::Alter { object, changes })
    }

    /// Every number is given once.
    fn next_value(&mut self) -> u32 {
        self.values_given += 1;
        self.number * 10_000 + self.values_given
    }

    /// Deletes the object, or defines it, in the place of what is there or not.
    fn remake(&mut self, object: ObjectRef) -> (Option<usize>, What, Admin) {
        let name = self.name_of(&object);
        if self.rng.chance(400) {
            let changes = vec![(DEFINED.to_string(), "NO".to_string())];
            return (None, What::Alter { object: name, changes }, Admin::Delete { object, purge: false });
        }
        let value = self.next_value();
        let said = workload::harmless_change(&mut self.rng, &object, value);
        let attributes = said.iter().map(|(name, value)| (*name, value.as_str()));
        let said = Changes::parse(object.kind, attributes).expect("valid");
        // What is not said is as it is by default, whatever it was before.
        let mut made = Definition::new(object.clone()).with(&workload::definition_of(&object));
        made = made.with(&said);
        let changes = shown_of(&object, Some(&made)).expect("it is defined");
        let define = Admin::Define {
            object,
            like: String::new(),
            replace: self.rng.chance(600),
            changes: made.as_changes(),
        };
        (None, What::Alter { object: name, changes }, define)
    }

    fn set(&mut self, object: ObjectRef, record: &Record) -> (Option<usize>, What, Admin) {
        use RecordAction::{Add, Remove, RemoveAll, Replace};
        let actions = [Add, Add, Add, Remove, Remove, Remove, Replace, Replace, RemoveAll];
        let action = *self.rng.pick(&actions).expect("not empty");
        let first = self.rng.below(3) as usize;
        let count = 1 + self.rng.below(2) as usize;
        let twice = [record.members, record.members].concat();
        let named = &twice[first..first + count];
        let said = |is_member: bool| if is_member { "YES" } else { "NO" }.to_string();
        let changes = record.members.iter().filter_map(|member| {
            let is_named = named.contains(member);
            let becomes = match action {
                Add => is_named.then_some(true),
                Remove => is_named.then_some(false),
                Replace => Some(is_named),
                RemoveAll => Some(false),
            };
            becomes.map(|is_member| (member.to_string(), said(is_member)))
        });
        let what = What::Alter { object: self.name_of(&object), changes: changes.collect() };
        let changes = match action {
            RemoveAll => Changes::default(),
            _ => record.changes(named),
        };
        (None, what, Admin::SetRecord { record: object, action, changes })
    }

    fn name_of(&self, object: &ObjectRef) -> String {
        format!("{object}@{}", self.queue_manager)
    }
}

/// An attribute that only the judge knows: whether the object is there.
const DEFINED: &str = "DEFINED";

/// What is said of an object by whoever finds this of it; None where something must be found and is not.
fn shown_of(object: &ObjectRef, found: Option<&Definition>) -> Option<Settings> {
    let settings = found.into_iter().flat_map(Definition::attributes);
    let settings = settings.map(|(attribute, value)| (attribute.name.to_string(), value));
    let word = |is_so: bool| if is_so { "YES" } else { "NO" }.to_string();
    if let Some(record) = Record::of(object) {
        let list = settings.filter(|(name, _)| name == record.list).map(|(_, members)| members).next();
        let list = list.unwrap_or_default();
        let is_member = |member: &&str| list.split(',').any(|one| one.trim_matches('\'') == *member);
        let members = record.members.iter();
        return Some(members.map(|member| (member.to_string(), word(is_member(member)))).collect());
    }
    let may_be_gone = workload::REMADE.contains(&object.name.as_str());
    let is_defined = may_be_gone.then(|| (DEFINED.to_string(), word(found.is_some())));
    (found.is_some() || may_be_gone).then(|| settings.chain(is_defined).collect())
}
