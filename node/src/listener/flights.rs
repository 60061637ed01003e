//! The calls of one session that are not answered yet: how many, how many bytes, and what is true of them when the
//! session ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counters::{Counters, add, subtract};
use super::limits::Limits;
use crate::mqi::{Call, Completion};
use crate::types::{Reason, Token};

/// Calls in flight, counted with those of all sessions once [`Flights::count`] is called.
#[derive(Debug)]
pub struct Flights {
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    /// By token. Programs count them up, so that those that are in flight lie side by side here; in a map by hashes each look-up waited
    /// for memory.
    flights: BTreeMap<u64, Flight>,
    bytes: usize,
    /// Calls and bytes as the node's counters have them.
    counted: (u64, u64),
}

/// A call that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Flight {
    bytes: usize,
    /// It may have happened although nobody says so (a put, a get, a commit): 2549 at the end of the session.
    uncertain: bool,
}

impl Flights {
    pub fn new(limits: Arc<Limits>, counters: Arc<Counters>) -> Flights {
        Flights { limits, counters, flights: BTreeMap::new(), bytes: 0, counted: (0, 0) }
    }

    /// No more calls for now: too many of them, or of their bytes, are not answered.
    pub fn is_full(&self) -> bool {
        self.flights.len() >= self.limits.calls_in_flight_max || self.bytes >= self.limits.session_bytes_max
    }

    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    pub fn contains(&self, token: Token) -> bool {
        self.flights.contains_key(&token.0)
    }

    /// A call for the replica. Its token is not in use.
    pub fn begin(&mut self, token: Token, call: &Call) {
        let uncertain = call.may_have_happened();
        let bytes = body_bytes(call);
        self.bytes += bytes;
        let before = self.flights.insert(token.0, Flight { bytes, uncertain });
        debug_assert!(before.is_none(), "token {token} is in flight twice");
    }

    /// A connect, which is answered here and leaves nothing behind.
    pub fn begin_connect(&mut self, token: Token) {
        self.flights.insert(token.0, Flight { bytes: 0, uncertain: false });
    }

    /// The call is answered. False when nothing of this token was in flight.
    pub fn finish(&mut self, token: Token) -> bool {
        let flight = self.flights.remove(&token.0);
        self.bytes -= flight.map_or(0, |flight| flight.bytes);
        flight.is_some()
    }

    /// The session is over: what is not answered, in order of tokens, with the answer that is true then: `not_done`, or 2549. Where
    /// the replica answered all that it had, these never reached it.
    pub fn end(&mut self, not_done: Reason, all_answered: bool) -> Vec<(Token, Reason)> {
        debug_assert_ne!(not_done, Reason::CallInterrupted, "2549 says nothing of a call");
        self.bytes = 0;
        let reason = |flight: Flight| match flight.uncertain && !all_answered {
            true => Reason::CallInterrupted,
            false => not_done,
        };
        let open = std::mem::take(&mut self.flights).into_iter();
        open.map(|(token, flight)| (Token(token), reason(flight))).collect()
    }

    /// Brings the node's counters up to date.
    pub fn count(&mut self) {
        let now = (self.flights.len() as u64, self.bytes as u64);
        add(&self.counters.calls_in_flight, now.0.saturating_sub(self.counted.0));
        subtract(&self.counters.calls_in_flight, self.counted.0.saturating_sub(now.0));
        add(&self.counters.bytes_in_flight, now.1.saturating_sub(self.counted.1));
        subtract(&self.counters.bytes_in_flight, self.counted.1.saturating_sub(now.1));
        self.counted = now;
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        subtract(&self.counters.calls_in_flight, self.counted.0);
        subtract(&self.counters.bytes_in_flight, self.counted.1);
    }
}

/// The part of a call that counts as bytes in flight.
pub fn body_bytes(call: &Call) -> usize {
    match call {
        Call::Put(put) => put.message.body.len(),
        _ => 0,
    }
}

/// What became of calls of which each needs the one before: the first refusal, unless nobody knows what became of the last. That may
/// be while the answer to an earlier one is lost as well.
pub fn outcome(mut completions: Vec<Completion>) -> Completion {
    let last = completions.pop().expect("every call is answered");
    if last.reason == Reason::CallInterrupted {
        return last;
    }
    completions.into_iter().find(Completion::is_failed).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqi::Admin;
    use crate::types::ObjectName;

    #[test]
    fn what_may_have_happened_is_2549_unless_all_was_answered() {
        let clear = Call::Admin(Admin::Clear { queue: ObjectName::new("Q").unwrap() });
        for (all_answered, expected) in [(false, Reason::CallInterrupted), (true, Reason::QMgrStopping)] {
            let mut flights = Flights::new(Arc::default(), Arc::default());
            flights.begin(Token(1), &clear);
            flights.begin(Token(2), &Call::Ping);
            flights.begin(Token(3), &clear);
            assert!(flights.finish(Token(3)), "it is answered");
            let told = flights.end(Reason::QMgrStopping, all_answered);
            assert_eq!(told, [(Token(1), expected), (Token(2), Reason::QMgrStopping)], "{all_answered}");
            assert!(flights.is_empty());
        }
    }

    #[test]
    fn a_get_that_may_have_got_a_message_is_not_said_to_have_no_queue() {
        let failed = |reasons: [Reason; 2]| outcome(reasons.map(Completion::failed).into()).reason;
        let (broken, unknown) = (Reason::ConnectionBroken, Reason::CallInterrupted);
        assert_eq!(failed([Reason::UnknownObjectName, Reason::HobjError]), Reason::UnknownObjectName);
        assert_eq!(failed([broken, unknown]), unknown);
        assert_eq!(failed([broken, broken]), broken);
    }
}
