//! What administrators and metrics see.

use std::time::Duration;

use super::{FailBack, Replica};
use crate::consensus::PeerProgress;
use crate::mqi::{InstanceView, StatusView};
use crate::types::{NodeId, OutOfSync, Role, WallTime};

/// A peer this close to the end of the log is in sync: what it lacks is on its way.
const IN_SYNC_ENTRIES: u64 = 64;
const STATS_INTERVAL: Duration = Duration::from_millis(100);

impl Replica {
    pub(super) fn status(&self) -> StatusView {
        let membership = self.consensus.membership().clone();
        let instances = self.instances();
        let leads = self.consensus.is_leader();
        let live =
            instances.iter().filter(|instance| instance.voter && instance.out_of_sync.is_none()).count();
        let role = self.role_view().at(self.now.instant).role();
        let since = self.standing.serving().and_then(|leading| leading.serving_since);
        let serving_for = since.filter(|_| role == Role::Active).map(|since| self.now.instant.since(since));
        StatusView {
            role,
            leader: self.consensus.leader(),
            serving_for: serving_for.unwrap_or_default(),
            term: self.consensus.term(),
            commit: self.consensus.commit_index(),
            applied: self.consensus.applied_index(),
            quorum_live: if leads { live as u32 } else { 0 },
            quorum_of: membership.voters.len() as u32,
            membership,
            instances,
            queues: self.state.queue_count() as u64,
            messages: self.state.sums().messages,
            not_persistent: self.state.sums().not_persistent,
            sessions: self.sessions.programs() as u64,
            dead_letter_queue: self.state.deadq().cloned(),
            last: self.log_end(),
            acknowledged: self.acknowledged(),
            version: self.state.version(),
            run: self.state.run(),
            takeovers: self.state.takeovers(),
            unserved_for: match role {
                // Its lease may be over before it gives up the lead.
                Role::Active => self.witness.own_unserved(self.now.instant).unwrap_or_default(),
                _ => self.witness.unserved(self.now.instant).unwrap_or_else(|| self.since_newest_entry()),
            },
            clocks_differ: self.clocks.undecided().cloned(),
            preferred: self.options.placement.preferred,
            fail_back: match self.options.placement.fail_back {
                FailBack::Never => String::new(),
                when => when.to_string(),
            },
            canary: self.options.canary,
            // Nobody puts to a node that does not serve, so it refuses none, however full its disk is.
            waits_for: self.waits_for(),
            puts_refused: self.lack_of_room().filter(|_| self.is_serving()),
        }
    }

    /// The leader knows all; another node speaks for itself only.
    pub(super) fn instances(&self) -> Vec<InstanceView> {
        let membership = self.consensus.membership();
        if !self.consensus.is_leader() {
            let node = self.options.node;
            let out_of_sync = match self.role_view().role() {
                Role::Removed => Some(OutOfSync::Removed),
                _ if self.parting.is_parted() => Some(OutOfSync::OtherHistory),
                Role::Recovering => Some(OutOfSync::Recovering),
                Role::NoLeader => Some(OutOfSync::NobodyLeads),
                _ => None,
            };
            return vec![InstanceView {
                node,
                voter: membership.voters.contains(&node),
                out_of_sync,
                backlog_entries: self.consensus.commit_index().0 - self.consensus.applied_index().0,
                backlog_bytes: 0,
                backlog: Duration::ZERO,
                clock_off_ms: 0,
                speaks: self.speaks(node),
                in_maintenance: self.state.is_maintained(node),
                round_trip: None,
                catching_up_percent: None,
            }];
        }
        let of_peer = |peer: &PeerProgress| {
            let out_of_sync = match peer {
                peer if self.is_another(peer.node).is_some() => self.is_another(peer.node),
                // One whose connection just broke was heard a moment ago.
                peer if !peer.active || !self.peers.is_connected(peer.node) => Some(OutOfSync::NotConnected),
                peer if peer.snapshot => Some(OutOfSync::ReceivingSnapshot),
                peer if self.peers.recovers(peer.node) => Some(OutOfSync::Recovering),
                peer if self.stalls.is_hung(peer.node, self.now.instant) => Some(OutOfSync::NotWriting),
                peer if peer.lag > IN_SYNC_ENTRIES => Some(OutOfSync::CatchingUp),
                _ => None,
            };
            InstanceView {
                node: peer.node,
                voter: peer.voter,
                out_of_sync,
                backlog_entries: peer.lag,
                backlog_bytes: self.consensus.bytes_after(peer.matched) as u64,
                backlog: out_of_sync.map_or(Duration::ZERO, |_| self.lag(peer.node)),
                clock_off_ms: self.clocks.off_ms(peer.node),
                speaks: self.speaks(peer.node),
                in_maintenance: self.state.is_maintained(peer.node),
                round_trip: peer.round_trip,
                catching_up_percent: Some(self.catching_up_percent(peer.node)),
            }
        };
        let mut views: Vec<InstanceView> = self.consensus.progress().iter().map(of_peer).collect();
        views.push(InstanceView {
            node: self.options.node,
            voter: membership.voters.contains(&self.options.node),
            out_of_sync: self.is_another(self.options.node),
            backlog_entries: 0,
            backlog_bytes: 0,
            backlog: Duration::ZERO,
            clock_off_ms: self.clocks.off_ms(self.options.node),
            speaks: self.speaks(self.options.node),
            in_maintenance: self.state.is_maintained(self.options.node),
            round_trip: None,
            catching_up_percent: None,
        });
        views.sort_by_key(|view| view.node);
        debug_assert!(views.windows(2).all(|pair| pair[0].node != pair[1].node), "a node is shown once");
        views
    }

    /// How old what this node has of the log is, by its own clock.
    fn since_newest_entry(&self) -> Duration {
        let at = self.state.at();
        let since_ms = if at > WallTime(0) { self.now.wall.0.saturating_sub(at.0).max(0) } else { 0 };
        Duration::from_millis(since_ms as u64)
    }

    /// For how long the peer has not had everything.
    fn lag(&self, node: NodeId) -> Duration {
        let Some(leading) = self.standing.leading() else { return Duration::ZERO };
        let since = leading.in_sync_at.get(&node).copied().unwrap_or(leading.since);
        self.now.instant.since(since)
    }

    /// Of the time for which this node leads, the share in which the peer was there and lacked something.
    fn catching_up_percent(&self, node: NodeId) -> f64 {
        let Some(leading) = self.standing.leading() else { return 0.0 };
        let lacked = leading.caught_up_for.get(&node).copied().unwrap_or_default();
        let led = self.now.instant.since(leading.since).max(STATS_INTERVAL);
        let percent = (lacked.as_secs_f64() / led.as_secs_f64() * 100.0).min(100.0);
        debug_assert!((0.0..=100.0).contains(&percent), "it lacked something for a part of that time");
        percent
    }

    /// Once in a while: who had everything, and the counters that say "now".
    pub(super) fn note_stats(&mut self) {
        if self.now.instant < self.next_stats {
            return;
        }
        let passed = self.now.instant.since(std::mem::replace(&mut self.noted_stats, self.now.instant));
        self.next_stats = self.now.instant + STATS_INTERVAL;
        match self.standing.leading_mut() {
            Some(leading) => {
                let progress = self.consensus.progress();
                self.stalls.note_peers(progress.iter(), self.now.instant);
                let in_sync = progress.iter().filter(|peer| peer.active && peer.lag <= IN_SYNC_ENTRIES);
                leading.in_sync_at.extend(in_sync.map(|peer| (peer.node, self.now.instant)));
                let passed = passed.min(self.now.instant.since(leading.since));
                for peer in progress.iter().filter(|peer| peer.active && peer.lag > IN_SYNC_ENTRIES) {
                    *leading.caught_up_for.entry(peer.node).or_default() += passed;
                }
            }
            None => self.stalls.forget_peers(),
        }
        self.stats.sessions = self.sessions.programs() as u64;
        let sums = self.state.sums();
        (self.stats.messages, self.stats.not_persistent) = (sums.messages, sums.not_persistent);
        let volatile = self.standing.leading().map(|leading| &leading.volatile_producers);
        self.holdings.note(&self.state, &self.residents, volatile);
        self.stats.version = u64::from(self.state.version().0);
        self.stats.takeovers = self.state.takeovers();
        if let Some(canary) = self.state.canary() {
            (self.stats.canary_outages, self.stats.canary_down_ms) = (canary.outages, canary.down_ms);
            self.stats.canary_good_at_ms = canary.good_ms.max(0) as u64;
        }
        self.stats.in_maintenance = self.state.is_maintained(self.options.node);
        self.stats.term = self.consensus.term().0;
        self.stats.commit_index = self.consensus.commit_index().0;
        self.stats.applied_index = self.consensus.applied_index().0;
        self.stats.unstored_bytes = self.compaction.unstored_bytes();
    }
}
