//! What holds a queue manager's address on a simulated node: the agent's mind, and the kernel that it tells.
//!
//! The policy and the keeper are the product's. Both are told late, the agent may be paused with or without the node, and
//! the kernel removes what nobody renews by the machine's own clock, as late as it may.

use trimaran_node::types::{Instant, RoleView};
use trimaran_node::vip::keeper::{Act, Keeper};
use trimaran_node::vip::policy::{LATENESS, LIFETIME, Order};

/// Whether a node whose published role is `role` may serve when its clock shows `local`.
pub fn may_serve(role: &RoleView, local: Instant) -> bool {
    matches!(role, RoleView::Serving { lease_until, .. } if local < *lease_until)
}

/// The agent of one queue manager's address on one machine. It outlives the node's process.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    keeper: Keeper,
    /// When the kernel removes it.
    kernel_until: Option<Instant>,
    /// Orders come one after the other.
    pub next_at: u64,
    /// The port of the peers stays open beside the node's own until the agent is gone.
    pub has_port: bool,
    /// Planted: it keeps what it has.
    pub keeps: bool,
}

impl Agent {
    pub fn started(keeps: bool) -> Agent {
        Agent { has_port: true, keeps, ..Agent::default() }
    }

    /// Follows an order, and says what it did.
    pub fn follow(&mut self, order: Order, local: Instant) -> Option<Act> {
        let act = self.keeper.follow(order, local);
        self.carry_out(act, local);
        act
    }

    /// The node's process is gone: everything is removed, then the port closes.
    pub fn end(&mut self, local: Instant) {
        let act = self.keeper.let_go();
        self.carry_out(act, local);
        self.has_port = false;
    }

    fn carry_out(&mut self, act: Option<Act>, local: Instant) {
        match act {
            Some(Act::Take | Act::Renew) => self.kernel_until = Some(local + LIFETIME + LATENESS),
            Some(Act::Remove) if !self.keeps => self.kernel_until = None,
            Some(Act::Remove) | None => {}
        }
    }

    /// Whether the kernel has the address.
    pub fn is_held(&self, local: Instant) -> bool {
        self.kernel_until.is_some_and(|until| self.keeps || local < until)
    }

    /// By when the newest lease wanted it to be gone.
    pub fn deadline(&self) -> Instant {
        self.keeper.deadline()
    }
}

#[cfg(test)]
mod tests {
    use trimaran_node::types::Term;

    use super::*;

    #[test]
    fn the_address_goes_with_the_lease_even_if_nobody_says_so() {
        let mut agent = Agent::started(false);
        let until = Instant(1_200_000);
        let order = Order::Hold { term: Term(1), deadline: until };
        assert_eq!(agent.follow(order, Instant(100_000)), Some(Act::Take));
        assert!(agent.is_held(Instant(1_149_999)));
        assert!(!agent.is_held(Instant(1_150_000)));
        assert_eq!(agent.follow(order, Instant(1_160_000)), None);
        assert!(!agent.is_held(Instant(1_160_000)));
    }
}
