//! What a node tells its own listeners, pages and address agent about its part in a queue manager.

use super::{Instant, NodeId, Term};

/// Published whenever it changes; read by listeners, health, status and the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleView {
    /// Not serving, and this is who does as far as this node knows.
    NotServing { term: Term, leader: Option<NodeId>, recovering: bool },
    /// Elected; its first entry is not applied yet, or the lease has not been confirmed.
    Elected { term: Term },
    /// Leads, has applied its own first entry, and holds the lease.
    Serving { term: Term, since: Instant, lease_until: Instant },
}

impl RoleView {
    pub fn is_serving(&self) -> bool {
        matches!(self, RoleView::Serving { .. })
    }
}
