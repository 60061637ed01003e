//! What a node tells its own listeners, pages and address agent about its part in a queue manager.

use super::{Instant, NodeId, Term};

/// Published whenever it changes; read by listeners, health, status and the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleView {
    /// Not serving, and this is who does as far as this node knows.
    NotServing { term: Term, leader: Option<NodeId>, recovering: bool },
    /// Was removed from the group, has no part in it and never will again under this id.
    Removed,
    /// Leads and does not serve: its first entry is not applied yet, or it has no lease, because no majority confirms one
    /// or because it was given up to hand over.
    Elected { term: Term },
    /// Leads, has applied its own first entry, and holds the lease.
    Serving { term: Term, since: Instant, lease_until: Instant },
}

impl RoleView {
    /// Whether this node leads, serving or about to.
    pub fn leads(&self) -> bool {
        matches!(self, RoleView::Elected { .. } | RoleView::Serving { .. })
    }

    pub fn is_serving(&self) -> bool {
        matches!(self, RoleView::Serving { .. })
    }
}
