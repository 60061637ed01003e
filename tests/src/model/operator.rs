//! The administrator of a run: does a list of tasks one after the other, on whoever serves, until each is done.

use std::collections::VecDeque;

use trimaran_node::mqi::{Call, Completion, Data, MembershipRequest, Operate};
use trimaran_node::types::{Reason, Token};

use super::app::{Input, Output};

#[derive(Clone, Debug)]
pub struct Task {
    pub call: Call,
    /// Tried once and forgotten, whatever the answer.
    pub once: bool,
}

pub struct Operator {
    pub queue_manager: usize,
    tasks: VecDeque<Task>,
    up: bool,
    connecting: bool,
    hint: Option<u64>,
    token_last: u64,
    waiting: Option<(Token, u64)>,
    not_before: u64,
    pub done: u64,
    /// When the last task ended, one way or the other.
    pub ended_at: Option<u64>,
    /// What the last refusal said.
    pub refused: Option<String>,
}

const ANSWER_MAX_US: u64 = 5_000_000;

impl Operator {
    pub fn new(queue_manager: usize) -> Operator {
        Operator {
            queue_manager,
            tasks: VecDeque::new(),
            up: false,
            connecting: false,
            hint: None,
            token_last: 0,
            waiting: None,
            not_before: 0,
            done: 0,
            ended_at: None,
            refused: None,
        }
    }

    pub fn ask(&mut self, call: Call, once: bool) {
        self.tasks.push_back(Task { call, once });
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Forgets what was not done: the end of the faults makes some tasks pointless.
    pub fn state(&self) -> String {
        format!(
            "operator of queue manager {}: {} tasks, first {:?}, last refusal {:?}",
            self.queue_manager,
            self.tasks.len(),
            self.tasks.front(),
            self.refused
        )
    }

    pub fn handle(&mut self, now: u64, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected { .. } => (self.up, self.connecting) = (true, false),
            Input::NotConnected { hint } => {
                self.connecting = false;
                self.hint = hint;
                self.not_before = now + 50_000;
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

    fn lost(&mut self, now: u64) {
        self.up = false;
        self.connecting = false;
        if self.waiting.take().is_some() && self.tasks.front().is_some_and(|task| task.once) {
            self.tasks.pop_front();
            self.ended_at = Some(now);
        }
        self.not_before = now + 50_000;
    }

    fn on_answer(&mut self, completion: Completion, now: u64, out: &mut Vec<Output>) {
        if matches!(completion.data, Data::Progress { .. }) {
            self.waiting = self.waiting.map(|(token, _)| (token, now + ANSWER_MAX_US));
            return;
        }
        self.waiting = None;
        let task = self.tasks.front();
        let once = task.is_some_and(|task| task.once);
        // The answer to an earlier attempt was lost: what is to be there is there, what is to go is gone.
        let done_before = match task.map(|task| &task.call) {
            Some(Call::Operate(Operate::Members(MembershipRequest::Remove { .. }))) => {
                completion.reason == Reason::UnknownObjectName
            }
            _ => completion.reason == Reason::ObjectAlreadyExists,
        };
        if !completion.is_failed() || done_before || once {
            self.tasks.pop_front();
            self.ended_at = Some(now);
            self.done += 1;
        } else {
            self.refused = Some(format!("{} {:?}", completion.reason, completion.detail));
            if let Data::NotServing { leader } = completion.data {
                self.hint = leader.map(|leader| leader.0);
            }
            out.push(Output::Disconnect);
            self.up = false;
            self.not_before = now + 100_000;
        }
    }

    fn go_on(&mut self, now: u64, out: &mut Vec<Output>) {
        if self.tasks.is_empty() || self.connecting {
            return;
        }
        if now < self.not_before {
            out.push(Output::Wake { at: self.not_before });
            return;
        }
        if !self.up {
            self.connecting = true;
            out.push(Output::Connect { node: self.hint.take() });
        } else if let Some((_, deadline)) = self.waiting {
            out.push(Output::Wake { at: deadline });
        } else if let Some(task) = self.tasks.front() {
            self.token_last += 1;
            let token = Token(self.token_last);
            self.waiting = Some((token, now + ANSWER_MAX_US));
            out.push(Output::Call { token, call: task.call.clone() });
            out.push(Output::Wake { at: now + ANSWER_MAX_US });
        }
    }
}
