//! Who holds a queue manager's address: a table that follows what the product's address policy may do.
//!
//! Hold only while the role says Serving and the lease has not run out on the node's own clock. A kernel lease does
//! the second half, so it also holds for a process that hangs.

use trimaran_node::types::{Instant, RoleView};

/// Whether a node whose published role is `role` may have the address when its clock shows `local`.
pub fn may_hold(role: &RoleView, local: Instant) -> bool {
    matches!(role, RoleView::Serving { lease_until, .. } if local < *lease_until)
}

/// What one node does with the address of one queue manager.
#[derive(Clone, Debug, Default)]
pub struct Address {
    pub held: bool,
    /// The lease as the kernel was told.
    pub until: Instant,
}

impl Address {
    /// The policy at a change of role: take it, keep it longer, or give it back.
    pub fn follow(&mut self, role: &RoleView, local: Instant, keeps_after_lease: bool) {
        match role {
            RoleView::Serving { lease_until, .. } if local < *lease_until => {
                self.held = true;
                self.until = *lease_until;
            }
            _ if keeps_after_lease => {}
            _ => self.held = false,
        }
    }

    pub fn is_held(&self, local: Instant, keeps_after_lease: bool) -> bool {
        self.held && (keeps_after_lease || local < self.until)
    }
}

#[cfg(test)]
mod tests {
    use trimaran_node::types::Term;

    use super::*;

    #[test]
    fn the_address_goes_with_the_lease_even_if_nobody_says_so() {
        let mut address = Address::default();
        let serving = RoleView::Serving { term: Term(1), since: Instant(0), lease_until: Instant(100) };
        address.follow(&serving, Instant(10), false);
        assert!(address.is_held(Instant(99), false));
        assert!(!address.is_held(Instant(100), false));
        address.follow(
            &RoleView::NotServing { term: Term(2), leader: None, recovering: false },
            Instant(50),
            false,
        );
        assert!(!address.is_held(Instant(50), false));
    }
}
