//! Whether clients reach this node: the interface that the floating address belongs on has a carrier.
//!
//! Where the nodes talk over another interface, a node whose clients are cut off leads on with a good lease, and nobody would
//! take over. So it hands over, as planned as a move can be, to a node in sync whose own interface is up. Where they talk over the same
//! one it hears no majority, and its lease is over before this is looked at.

use std::time::Duration;

use trimaran_proto::admin::v1::handing_over::Why;

use super::Replica;
use crate::types::Instant;

/// Whoever plugs a cable again, or sets an interface up anew, is done sooner. Longer than the lease by default.
const PATIENCE: Duration = Duration::from_secs(2);
/// A move that came to nothing is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Reach {
    down_since: Option<Instant>,
    next: Instant,
}

impl Reach {
    pub fn is_down(&self) -> bool {
        self.down_since.is_some()
    }

    /// Whether it is time to look for another node.
    fn is_lost(&self, now: Instant) -> bool {
        self.down_since.is_some_and(|since| now.since(since) >= PATIENCE) && now >= self.next
    }
}

impl Replica {
    /// What the agent says of the interface.
    pub(super) fn on_interface(&mut self, is_up: bool) {
        if is_up != self.reach.is_down() {
            return;
        }
        self.reach.down_since = (!is_up).then_some(self.now.instant);
        self.greet_all();
    }

    /// Hands over where clients cannot come. If no other node is better off, this one serves those who reach it otherwise.
    pub(super) fn drive_reach(&mut self) {
        let now = self.now.instant;
        if !self.reach.is_lost(now) || !self.has_lease() || self.draining {
            return;
        }
        if self.standing.serving().is_none_or(|leading| leading.handover.is_some()) {
            return;
        }
        let Some(better) = self.best_fit(|peer| self.peers.is_reached(peer)) else { return };
        debug_assert!(
            self.peers.is_reached(better),
            "nothing is handed to a node whose interface is down, too"
        );
        self.reach.next = now + AGAIN_AFTER;
        self.begin_handover(Why::Interface, Some(better), None, None);
    }
}
