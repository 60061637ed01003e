//! What administrators and metrics see.

use std::time::Duration;

use super::Replica;
use crate::consensus::PeerProgress;
use crate::mqi::{InstanceView, StatusView};
use crate::types::NodeId;

/// A peer this close to the end of the log is in sync: what it lacks is on its way.
const IN_SYNC_ENTRIES: u64 = 64;

impl Replica {
    pub(super) fn status(&self) -> StatusView {
        let membership = self.consensus.membership().clone();
        let instances = self.instances();
        let leads = self.consensus.is_leader();
        let live = instances.iter().filter(|instance| instance.voter && instance.reason.is_empty()).count();
        let leader = self.consensus.leader();
        let (role, serving_for) = match self.standing.leading().map(|leading| leading.serving_since) {
            Some(Some(since)) if self.has_lease() => ("active", self.now.instant.since(since)),
            Some(Some(_)) => ("no quorum", Duration::ZERO),
            Some(None) => ("starting", Duration::ZERO),
            None if self.removed => ("removed", Duration::ZERO),
            None if self.consensus.is_recovering() => ("recovering", Duration::ZERO),
            None if leader.is_none() => ("no quorum", Duration::ZERO),
            None => ("replica", Duration::ZERO),
        };
        StatusView {
            role,
            leader,
            serving_for,
            term: self.consensus.term(),
            commit: self.consensus.commit_index(),
            applied: self.consensus.applied_index(),
            quorum_live: if leads { live as u32 } else { 0 },
            quorum_of: membership.voters.len() as u32,
            membership,
            instances,
            queues: self.state.queue_count() as u64,
            messages: self.state.message_count(),
            not_persistent: self.state.queues().map(|queue| queue.not_persistent()).sum(),
            sessions: self.sessions.by_id.len() as u64,
            dead_letter_queue: self.state.deadq().cloned(),
            last: self.log_end(),
            acknowledged: self.recovery.promised.max(self.consensus.persisted_index()),
            // Nobody puts to a node that does not serve, so it refuses none, however full its disk is.
            puts_refused: self.lack_of_room().filter(|_| self.is_serving()),
        }
    }

    /// The leader knows all; another node speaks for itself only.
    fn instances(&self) -> Vec<InstanceView> {
        let membership = self.consensus.membership();
        if !self.consensus.is_leader() {
            let node = self.options.node;
            let recovering = self.consensus.is_recovering();
            let reason = match self.removed {
                true => "removed",
                false if recovering => "recovering",
                false if self.consensus.leader().is_none() => "nobody leads",
                false => "",
            };
            return vec![InstanceView {
                node,
                voter: membership.voters.contains(&node),
                in_sync: reason.is_empty(),
                reason: reason.into(),
                backlog_entries: self.consensus.commit_index().0 - self.consensus.applied_index().0,
                backlog_bytes: 0,
                backlog: Duration::ZERO,
            }];
        }
        let of_peer = |peer: &PeerProgress| {
            let recovering = self.peers.recovers(peer.node);
            let in_sync = peer.active && peer.lag <= IN_SYNC_ENTRIES && !recovering;
            let reason = match peer {
                peer if !peer.active => "not connected",
                peer if peer.snapshot => "receiving a snapshot",
                _ if recovering => "recovering",
                _ if !in_sync => "catching up",
                _ => "",
            };
            InstanceView {
                node: peer.node,
                voter: peer.voter,
                in_sync,
                reason: reason.into(),
                backlog_entries: peer.lag,
                backlog_bytes: self.consensus.bytes_after(peer.matched) as u64,
                backlog: self.lag(peer.node, in_sync),
            }
        };
        let mut views: Vec<InstanceView> = self.consensus.progress().iter().map(of_peer).collect();
        views.push(InstanceView {
            node: self.options.node,
            voter: membership.voters.contains(&self.options.node),
            in_sync: true,
            reason: String::new(),
            backlog_entries: 0,
            backlog_bytes: 0,
            backlog: Duration::ZERO,
        });
        views.sort_by_key(|view| view.node);
        views
    }

    fn lag(&self, node: NodeId, in_sync: bool) -> Duration {
        if in_sync {
            return Duration::ZERO;
        }
        let since = self.in_sync_at.get(&node).copied().unwrap_or(self.led_since);
        self.now.instant.since(since)
    }

    /// Once in a while: who had everything, and the counters that say "now".
    pub(super) fn note_stats(&mut self) {
        if self.now.instant < self.next_stats {
            return;
        }
        self.next_stats = self.now.instant + Duration::from_millis(100);
        if self.consensus.is_leader() {
            for peer in self.consensus.progress() {
                if peer.active && peer.lag <= IN_SYNC_ENTRIES {
                    self.in_sync_at.insert(peer.node, self.now.instant);
                }
            }
        } else {
            self.led_since = self.now.instant;
            self.in_sync_at.clear();
        }
        self.stats.sessions = self.sessions.by_id.len() as u64;
        self.stats.messages = self.state.message_count();
        self.stats.not_persistent = self.state.queues().map(|queue| queue.not_persistent()).sum();
        self.stats.term = self.consensus.term().0;
        self.stats.commit_index = self.consensus.commit_index().0;
        self.stats.applied_index = self.consensus.applied_index().0;
    }
}
