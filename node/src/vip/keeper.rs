//! The agent's mind for one address: which orders it still follows, and until when the kernel may have it.
//!
//! Knows no socket and no clock. What it asks for is done at once by `agent`, and by the simulator's kernel.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::policy::{LATENESS, LIFETIME, Order};
use crate::types::{Instant, Term};

/// What shall happen in the kernel, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It was not there: add it with a full lifetime, and say so on the network.
    Take,
    /// It is there: give it a full lifetime again.
    Renew,
    Remove,
}

#[derive(Clone, Debug)]
pub struct Keeper {
    /// What the kernel is told each time.
    lifetime: Duration,
    /// Highest term whose orders were followed; lower ones are not any more.
    term: Term,
    /// Highest deadline of any order.
    deadline: Instant,
    /// When the kernel was last given the address; None when it was taken back.
    given_at: Option<Instant>,
    /// A stranger has the address: not to be taken before.
    refused_until: Instant,
}

impl Default for Keeper {
    fn default() -> Keeper {
        Keeper::new(LIFETIME)
    }
}

impl Keeper {
    pub fn new(lifetime: Duration) -> Keeper {
        let none = Instant(0);
        Keeper { lifetime, term: Term(0), deadline: none, given_at: None, refused_until: none }
    }

    /// Follows an order. `now` has to be read after the order was, and the act done before anything else: a process that
    /// was paused finds orders whose time is over.
    pub fn follow(&mut self, order: Order, now: Instant) -> Option<Act> {
        match order {
            Order::Hold { term, .. } if term < self.term => None,
            Order::Hold { term, deadline } => {
                self.term = term;
                self.deadline = self.deadline.max(deadline);
                if now + self.lifetime + LATENESS > deadline || now < self.refused_until {
                    return None;
                }
                let was_there = self.is_held(now);
                self.given_at = Some(now);
                Some(if was_there { Act::Renew } else { Act::Take })
            }
            Order::Release { .. } => self.let_go(),
        }
    }

    /// The node is gone, somebody else has the address, or the interface is.
    pub fn let_go(&mut self) -> Option<Act> {
        self.given_at.take().map(|_| Act::Remove)
    }

    /// As [`Keeper::let_go`], and not taken again before that time.
    pub fn refuse(&mut self, until: Instant) -> Option<Act> {
        self.refused_until = until;
        self.let_go()
    }

    /// Nobody renewed it in time.
    pub fn on_time(&mut self, now: Instant) -> Option<Act> {
        match self.next() {
            Some(due) if now >= due => self.let_go(),
            _ => None,
        }
    }

    /// When [`Keeper::on_time`] has something to do.
    pub fn next(&self) -> Option<Instant> {
        // A tenth before the kernel removes it the agent does, who can also break the connections that used it.
        self.given_at.map(|given| given + self.lifetime * 9 / 10)
    }

    pub fn is_held(&self, now: Instant) -> bool {
        self.given_at.is_some_and(|given| now < given + self.lifetime)
    }

    /// See [`Order::Release`].
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    fn hold(term: u64, deadline: u64) -> Order {
        Order::Hold { term: Term(term), deadline: at(deadline) }
    }

    #[test]
    fn the_kernel_never_has_it_beyond_the_deadline() {
        let mut keeper = Keeper::default();
        assert_eq!(keeper.follow(hold(1, 1_100), at(40)), Some(Act::Take));
        assert_eq!(keeper.follow(hold(1, 1_200), at(140)), Some(Act::Renew));
        assert_eq!(keeper.follow(hold(1, 1_300), at(251)), None, "a lifetime would not fit in");
        assert!(keeper.is_held(at(1_139)));
        assert_eq!(keeper.on_time(at(1_039)), None);
        assert_eq!(keeper.on_time(at(1_040)), Some(Act::Remove), "before the kernel does");
        assert_eq!(keeper.on_time(at(1_050)), None);
    }

    #[test]
    fn a_process_that_was_paused_does_not_put_it_back() {
        let mut keeper = Keeper::default();
        keeper.follow(hold(1, 1_100), at(0));
        assert_eq!(keeper.follow(hold(1, 1_200), at(60_000)), None);
        assert_eq!(
            keeper.follow(hold(1, 61_100), at(60_000)),
            Some(Act::Take),
            "who serves again has a new lease"
        );
    }

    #[test]
    fn orders_of_an_earlier_term_are_over() {
        let mut keeper = Keeper::default();
        keeper.follow(hold(2, 1_100), at(0));
        assert_eq!(keeper.follow(Order::Release { deadline: at(1_100) }, at(10)), Some(Act::Remove));
        assert_eq!(keeper.follow(hold(1, 5_000), at(20)), None);
        assert_eq!(keeper.deadline(), at(1_100));
    }

    #[test]
    fn a_stranger_has_it_for_a_while() {
        let mut keeper = Keeper::default();
        keeper.follow(hold(1, 1_100), at(0));
        assert_eq!(keeper.refuse(at(10_000)), Some(Act::Remove));
        assert_eq!(keeper.follow(hold(1, 9_000), at(5_000)), None);
        assert_eq!(keeper.follow(hold(1, 12_000), at(10_000)), Some(Act::Take));
    }
}
