//! The session of one request: calls, and an answer to each that is true whatever becomes of the session.

use std::collections::BTreeMap;

use super::problem::Problem;
use crate::listener::client::Client;
use crate::listener::counters::add;
use crate::listener::flights::Flights;
use crate::listener::link::Link;
use crate::listener::node::Listener;
use crate::listener::serving::{Elsewhere, Unserved};
use crate::mqi::{Call, Completion, Data};
use crate::replica::{Delivery, answer_bytes};
use crate::types::{Reason, Token};

/// Who the sessions say they are.
pub const APPLICATION: &str = "REST";

pub struct Dialogue {
    listener: Listener,
    link: Link,
    flights: Flights,
    tokens: u64,
}

impl Dialogue {
    /// # Errors
    /// As [`Link::open`].
    pub async fn begin(listener: &Listener, client: &Client, manager: &str) -> Result<Dialogue, Unserved> {
        add(&listener.counters.unary_calls, 1);
        let link = Link::open(listener, client, manager, APPLICATION.to_owned()).await?;
        let flights = Flights::new(listener.limits.clone(), listener.counters.clone());
        Ok(Dialogue { listener: listener.clone(), link, flights, tokens: 0 })
    }

    /// The answers, in the order of the calls. A call of which nobody knows whether it was done is answered 2549, one that was not,
    /// 2009.
    pub async fn ask(&mut self, calls: Vec<Call>) -> Vec<Completion> {
        let first = self.tokens + 1;
        self.tokens += calls.len() as u64;
        let calls: Vec<(Token, Call)> = (first..).map(Token).zip(calls).collect();
        calls.iter().for_each(|(token, call)| self.flights.begin(*token, call));
        self.flights.count();
        let mut answers = BTreeMap::new();
        if let Err(reason) = self.link.send(calls).await {
            // They were not handed over.
            let open = self.flights.end(reason, true).into_iter();
            answers.extend(open.map(|(token, reason)| (token, Completion::failed(reason))));
        }
        while !self.flights.is_empty() {
            match self.link.recv().await {
                Some(Delivery::Completions(completions)) => {
                    for (token, completion) in completions {
                        self.link.sent(answer_bytes(&completion));
                        self.flights.finish(token);
                        answers.insert(token, completion);
                    }
                }
                Some(Delivery::Closed { reason, all_answered }) => {
                    self.end(reason, all_answered, &mut answers)
                }
                None => self.end(Reason::QMgrStopping, false, &mut answers),
            }
        }
        self.flights.count();
        let failed = answers.values().filter(|answer| answer.is_failed());
        failed.for_each(|answer| self.listener.counters.count_failed(answer.reason));
        answers.into_values().collect()
    }

    fn end(&mut self, because: Reason, all_answered: bool, answers: &mut BTreeMap<Token, Completion>) {
        let why = format!("The session ended: {}", because.text());
        let open = self.flights.end(Reason::ConnectionBroken, all_answered).into_iter();
        answers.extend(open.map(|(token, reason)| (token, Completion::failed_because(reason, why.clone()))));
    }

    /// Where to go instead, if that is why it failed.
    pub fn elsewhere(&self, completion: &Completion) -> Option<Elsewhere> {
        match completion.data {
            Data::NotServing { leader } => Some(self.link.elsewhere(leader)),
            _ => None,
        }
    }
}

/// Why a call failed, with what is known besides.
pub fn problem(completion: Completion, unknown: &str) -> Problem {
    match completion.reason {
        reason @ Reason::CallInterrupted => Problem::of(reason, Some(unknown.to_owned())),
        _ => Problem::of_failed(completion),
    }
}
