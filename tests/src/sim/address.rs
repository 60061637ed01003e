//! What holds a queue manager's address on a simulated node: the agent's mind, and the kernel that it tells.
//!
//! The policy and the keeper are the product's. Both are told late, the agent may be paused with or without the node, and
//! the kernel removes what nobody renews by the machine's own clock, as late as it may. In mode fast it also closes a fence
//! by that clock: whoever has the address behind it says nothing, and what counts is who answers.

use trimaran_node::types::{Instant, RoleView};
use trimaran_node::vip::Mode;
use trimaran_node::vip::keeper::{Act, Keeper};
use trimaran_node::vip::policy::{LATENESS, LIFETIME, Order};

/// Whether a node whose published role is `role` may serve when its clock shows `local`.
pub fn may_serve(role: &RoleView, local: Instant) -> bool {
    matches!(role, RoleView::Serving { lease_until, .. } if local < *lease_until)
}

/// What agents do that have a bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    #[default]
    None,
    /// What they have they keep.
    KeepsAddress,
    /// The fence stays open for as long as the kernel has the address.
    OpenFence,
}

/// The agent of one queue manager's address on one machine. It outlives the node's process.
#[derive(Clone, Debug)]
pub struct Agent {
    mode: Mode,
    flaw: Flaw,
    keeper: Keeper,
    /// When the kernel removes it.
    kernel_until: Option<Instant>,
    /// Of mode fast: when the kernel closes the fence.
    open_until: Instant,
    /// Orders come one after the other.
    pub next_at: u64,
    /// The port of the peers stays open beside the node's own until the agent is gone.
    pub has_port: bool,
    is_dead: bool,
}

impl Agent {
    pub fn started(mode: Mode, flaw: Flaw) -> Agent {
        let (keeper, open_until) = (Keeper::new(mode.lifetime()), Instant(0));
        let (kernel_until, next_at, has_port, is_dead) = (None, 0, true, false);
        Agent { mode, flaw, keeper, kernel_until, open_until, next_at, has_port, is_dead }
    }

    /// Follows an order, and says what it did.
    pub fn follow(&mut self, order: Order, local: Instant) -> Option<Act> {
        if self.is_dead {
            return None;
        }
        let act = self.keeper.follow(order, local);
        self.carry_out(act, local);
        act
    }

    /// From one moment to the next. What it gave the kernel is there until its time is over: the answer.
    pub fn kill(&mut self) -> Instant {
        (self.is_dead, self.has_port) = (true, false);
        self.kernel_until.unwrap_or(Instant(0))
    }

    /// The node's process is gone: everything is removed, then the port closes.
    pub fn end(&mut self, local: Instant) {
        if self.is_dead {
            return;
        }
        let act = self.keeper.let_go();
        self.carry_out(act, local);
        self.has_port = false;
    }

    fn carry_out(&mut self, act: Option<Act>, local: Instant) {
        match act {
            Some(Act::Take | Act::Renew) => {
                // Elements of a set have their own time, addresses whole seconds.
                let open = if self.flaw == Flaw::OpenFence { LIFETIME } else { self.mode.lifetime() };
                self.open_until = local + open + LATENESS;
                self.kernel_until = Some(local + LIFETIME + LATENESS);
            }
            Some(Act::Remove) if self.flaw != Flaw::KeepsAddress => self.kernel_until = None,
            Some(Act::Remove) | None => {}
        }
    }

    /// Whether the machine answers where the address is asked for.
    pub fn answers(&self, local: Instant) -> bool {
        let is_open = self.mode != Mode::Fast || local < self.open_until;
        let is_there = self.kernel_until.is_some_and(|until| local < until);
        (is_there && is_open) || (self.kernel_until.is_some() && self.flaw == Flaw::KeepsAddress)
    }

    /// Whether the machine has the address and a fence keeps it from saying so.
    pub fn is_silent(&self, local: Instant) -> bool {
        self.kernel_until.is_some_and(|until| local < until) && !self.answers(local)
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
        let mut agent = Agent::started(Mode::Kernel, Flaw::None);
        let until = Instant(1_200_000);
        let order = Order::Hold { term: Term(1), deadline: until };
        assert_eq!(agent.follow(order, Instant(100_000)), Some(Act::Take));
        assert!(agent.answers(Instant(1_149_999)));
        assert!(!agent.answers(Instant(1_150_000)));
        assert_eq!(agent.follow(order, Instant(1_160_000)), None);
        assert!(!agent.answers(Instant(1_160_000)));
    }

    #[test]
    fn behind_a_fence_a_machine_has_the_address_and_does_not_answer() {
        let mut agent = Agent::started(Mode::Fast, Flaw::None);
        let order = Order::Hold { term: Term(1), deadline: Instant(500_000) };
        assert_eq!(agent.follow(order, Instant(100_000)), Some(Act::Take));
        assert!(agent.answers(Instant(449_999)) && !agent.is_silent(Instant(449_999)));
        assert!(!agent.answers(Instant(450_000)) && agent.is_silent(Instant(450_000)));
        assert!(!agent.is_silent(Instant(1_150_000)), "the kernel took it back");
        let order = Order::Hold { term: Term(1), deadline: Instant(1_900_000) };
        assert_eq!(agent.follow(order, Instant(1_550_001)), None, "the fence would not close in time");
        assert_eq!(agent.follow(order, Instant(1_550_000)), Some(Act::Take));
    }
}
