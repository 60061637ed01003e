//! A disk that hangs: whoever serves and cannot write gives its part away, so that the others go on without it.
//!
//! A device that fails says so, and ends the process. One that hangs says nothing: heartbeats go on, and every put waits. A node
//! whose log is not on its disk is elected by nobody (`consensus`), so it does not come back before its disk does.

use std::collections::BTreeMap;
use std::time::Duration;

use trimaran_proto::admin::v1::handing_over::Why;

use super::Replica;
use crate::consensus::PeerProgress;
use crate::types::definition::By;
use crate::types::{Index, Instant, NodeId, WriteNumber};

/// A write that takes so long will not come. Slow devices have stalls of a second or two.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// The others are told why before.
const TOLD_WITHIN: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// Which write was the last to reach the disk while others were on their way, and since when.
    since: Option<(WriteNumber, Instant)>,
    is_told: bool,
    /// Of a leader: how far each peer's log was when that was seen to be short of something, and since when.
    peers: BTreeMap<NodeId, (Index, Instant)>,
}

impl Stalls {
    /// How far the peers are, by the leader.
    pub fn note_peers<'a>(&mut self, peers: impl Iterator<Item = &'a PeerProgress>, now: Instant) {
        for peer in peers {
            match self.peers.get(&peer.node) {
                _ if peer.lag == 0 || !peer.active => {
                    self.peers.remove(&peer.node);
                }
                Some((matched, _)) if *matched == peer.matched => {}
                _ => {
                    self.peers.insert(peer.node, (peer.matched, now));
                }
            }
        }
    }

    pub fn forget_peers(&mut self) {
        self.peers.clear();
    }

    /// Whether the peer has written nothing for long of what it was sent.
    pub fn is_hung(&self, peer: NodeId, now: Instant) -> bool {
        self.peers.get(&peer).is_some_and(|(_, since)| now.since(*since) >= HANGS_AFTER)
    }
}

impl Replica {
    pub(super) fn drive_stalls(&mut self) {
        let now = self.now.instant;
        let Some(last) = self.consensus.last_before_unwritten() else {
            (self.stalls.since, self.stalls.is_told) = (None, false);
            return;
        };
        let since = match self.stalls.since {
            Some((before, since)) if before == last => since,
            _ => {
                (self.stalls.since, self.stalls.is_told) = (Some((last, now)), false);
                now
            }
        };
        debug_assert!(since <= now, "a write is waited for from when it was seen first");
        let hung_for = now.since(since);
        if hung_for < HANGS_AFTER || self.standing.serving().is_none() || !self.could_another_lead() {
            return;
        }
        if !self.stalls.is_told {
            self.stalls.is_told = true;
            self.report(format!(
                "a write to the log has not come back for {} s: the disk hangs, and another node takes over",
                HANGS_AFTER.as_secs()
            ));
            self.announce_handover(Why::Disk, None, By::default());
        } else if hung_for >= HANGS_AFTER + TOLD_WITHIN {
            self.consensus.resign(self.address_until);
            self.follow_leadership();
            debug_assert!(self.standing.leading().is_none(), "who gave its part away leads no longer");
        }
    }

    /// Whether enough of the others are there to elect one of them.
    fn could_another_lead(&self) -> bool {
        let peers = self.consensus.progress();
        let there =
            peers.iter().filter(|peer| peer.voter && peer.active && self.peers.may_lead(peer.node)).count();
        debug_assert!(self.consensus.is_leader(), "only whoever leads knows who is there");
        there > self.consensus.membership().voters.len() / 2
    }
}
