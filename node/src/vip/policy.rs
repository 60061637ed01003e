//! Where a floating address may be: what a mind says of its part, turned into orders for the agent that holds it.
//!
//! Never on two nodes, for these reasons:
//!
//! 1. An address is wanted only while the mind serves, and for no longer than its lease. The lease ends before any other
//!    node can be elected (`consensus/lease.rs`), and what the agent puts into the kernel has a lifetime of its own that ends
//!    before the order's deadline (`keeper`). Nobody has to be alive for that.
//! 2. The kernel counts lifetimes in whole seconds. A lease that is too short for one is followed by a *tail*: the address
//!    may stay so much longer, and whoever serves next waits so long before it takes it.
//! 3. A handover breaks the lease. So the leader lets go of the address first, and asks the other node to take over when the
//!    agent has said that it is gone, or when its time is over (`replica/leadership.rs`).
//! 4. A dead process breaks the lease too: its peers stand for election as soon as its port refuses them. The agent holds
//!    that port beside the node, and closes it when it has removed the addresses.
//!
//! Who holds an address says nothing about who may answer: that is the lease's alone.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use crate::types::{Instant, RoleView, Term};

/// What the kernel is told to give an address before it removes it by itself. It counts in whole seconds.
pub const LIFETIME: Duration = Duration::from_secs(1);
/// In mode fast: for how long the fence around an address is opened at a time.
pub const FENCE: Duration = Duration::from_millis(300);
/// By how much the kernel may be late with either: 36 ms at most were measured for a lifetime of a second beside fourteen processes that
/// wanted two processors, with what `companions` does, and 243 ms without. Where an agent has addresses of several queue managers, one
/// that was renewed before another is removed with it, up to a round of heartbeats later.
pub const LATENESS: Duration = Duration::from_millis(50);
/// Time that an order may take from the mind to the agent, at least, after the round of heartbeats that confirmed the lease.
const ON_THE_WAY: Duration = Duration::from_millis(25);

/// For how long after the end of a lease of this length an address may still be there that is given this lifetime.
pub fn tail(lifetime: Duration, lease: Duration) -> Duration {
    (lifetime + LATENESS + ON_THE_WAY).saturating_sub(lease)
}

/// What the agent is told about one address. Times are of the machine's clock, which node and agent share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It shall be here, and be gone by the deadline.
    Hold { term: Term, deadline: Instant },
    /// It shall go now. The answer repeats the deadline of the newest order to hold it.
    Release { deadline: Instant },
}

/// Follows one queue manager's role on one node.
#[derive(Clone, Debug)]
pub struct Policy {
    tail: Duration,
    /// Of the newest order to hold the address.
    deadline: Instant,
    told: Option<Order>,
}

impl Policy {
    pub fn new(tail: Duration) -> Policy {
        Policy { tail, deadline: Instant(0), told: None }
    }

    /// The order that follows from the role, if it is another one than the agent has.
    pub fn follow(&mut self, role: &RoleView, now: Instant) -> Option<Order> {
        let order = match role {
            RoleView::Serving { term, since, lease_until }
                if now < *lease_until && now >= self.free_from(*since) =>
            {
                self.deadline = self.deadline.max(*lease_until + self.tail);
                Order::Hold { term: *term, deadline: self.deadline }
            }
            _ => Order::Release { deadline: self.deadline },
        };
        let is_new = self.told != Some(order);
        self.told = Some(order);
        is_new.then_some(order)
    }

    /// Whether the agent was told to hold it.
    pub fn is_to_hold(&self) -> bool {
        matches!(self.told, Some(Order::Hold { .. }))
    }

    /// From when on no other node can have it. The clocks of two machines go differently fast, by one in a hundred at most.
    fn free_from(&self, since: Instant) -> Instant {
        since + self.tail + self.tail / 50
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::WhyNotServing;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    fn serving(since: u64, until: u64) -> RoleView {
        RoleView::Serving { term: Term(3), since: at(since), lease_until: at(until) }
    }

    fn hold(deadline: u64) -> Option<Order> {
        Some(Order::Hold { term: Term(3), deadline: at(deadline) })
    }

    #[test]
    fn an_address_is_wanted_while_the_node_serves_and_no_longer_than_its_lease() {
        let mut policy = Policy::new(Duration::ZERO);
        let follower = RoleView::NotServing { term: Term(3), leader: None, recovering: false };
        assert_eq!(policy.follow(&follower, at(0)), Some(Order::Release { deadline: at(0) }));
        assert_eq!(policy.follow(&serving(10, 1_100), at(10)), hold(1_100));
        assert_eq!(policy.follow(&serving(10, 1_100), at(50)), None, "said already");
        assert_eq!(policy.follow(&serving(10, 1_200), at(110)), hold(1_200));
        let no_lease = RoleView::Elected { term: Term(3), why: WhyNotServing::NoLease };
        assert_eq!(policy.follow(&no_lease, at(300)), Some(Order::Release { deadline: at(1_200) }));
        assert_eq!(policy.follow(&serving(10, 1_300), at(1_300)), None, "the lease is over");
    }

    #[test]
    fn whoever_follows_a_short_lease_waits_for_its_tail() {
        let tail = tail(LIFETIME, ms(360));
        assert_eq!(tail, ms(715));
        let mut policy = Policy::new(tail);
        let release = policy.follow(&serving(1_000, 1_360), at(1_001));
        assert_eq!(release, Some(Order::Release { deadline: at(0) }));
        assert_eq!(policy.follow(&serving(1_000, 2_060), at(1_720)), None);
        assert_eq!(policy.follow(&serving(1_000, 2_080), at(1_740)), hold(2_080 + 715));
        assert_eq!(super::tail(LIFETIME, ms(1_125)), Duration::ZERO, "the default lease is long enough");
        assert_eq!(super::tail(FENCE, ms(360)), ms(15), "with a fence the short one is, nearly");
    }
}
