//! Room on this node's disks: without it puts are refused, and whoever has some should lead.

use std::time::Duration;

use trimaran_proto::admin::v1::handing_over::Why;

use super::{DiskRoom, Replica};
use crate::types::Instant;

#[derive(Debug)]
pub(super) struct Room {
    disk: DiskRoom,
    /// Since when there is none, or since the last try to hand over because of that.
    lacking_since: Option<Instant>,
}

/// How long a leader waits for room before it hands over. A store that moves on, and files that are given back, are
/// often all it takes.
const PATIENCE: Duration = Duration::from_secs(2);

impl Default for Room {
    fn default() -> Room {
        Room { disk: DiskRoom::Enough, lacking_since: None }
    }
}

impl Room {
    /// Whether room is missing since then, or before; or is not.
    pub fn is_since(&self, now: Instant) -> bool {
        self.lacking_since.is_none_or(|since| since <= now)
    }
}

impl Replica {
    /// Why puts are refused until something was removed and its room is there again.
    pub(super) fn lack_of_room(&self) -> Option<String> {
        match &self.room.disk {
            DiskRoom::Low { text } => Some(text.clone()),
            DiskRoom::Enough if self.compaction.is_refused() => Some("the message store has no room".into()),
            DiskRoom::Enough => None,
        }
    }

    pub(super) fn on_disk(&mut self, room: DiskRoom) {
        self.room.disk = room;
        self.cut_log();
    }

    /// Tells the peers, and leaves the lead to one that has room. If none has, this node serves on: gets make room.
    pub(super) fn drive_room(&mut self) {
        let Some(since) = self.room.lacking_since else {
            if self.lack_of_room().is_some() {
                self.room.lacking_since = Some(self.now.instant);
                self.greet_all();
            }
            return;
        };
        if self.lack_of_room().is_none() {
            self.room.lacking_since = None;
            return self.greet_all();
        }
        let serving = self.standing.serving_mut();
        let is_free = serving.is_some_and(|leading| leading.handover.is_none()) && !self.draining;
        if !is_free || self.now.instant.since(since) < PATIENCE {
            return;
        }
        self.room.lacking_since = Some(self.now.instant);
        let mut peers = self.consensus.progress();
        peers.retain(|peer| peer.voter && peer.active && peer.node != self.options.node);
        peers.retain(|peer| self.peers.may_lead(peer.node) && self.peers.has_room(peer.node));
        if let Some(best) = peers.iter().max_by_key(|peer| (peer.matched, std::cmp::Reverse(peer.node))) {
            self.begin_handover(Why::NoRoom, Some(best.node), None);
        }
    }
}
