//! Who stands for election, when, and who does not: it recovers, is in maintenance, was withdrawn, is no voter, or promised
//! a leader to wait.

use std::time::Duration;

use raft::StateRole;

use super::lease::Promise;
use super::timeouts::draw;
use super::{Consensus, HANDED_OVER, RECOVERY_PATIENCE, RELUCTANCE};
use crate::types::{Instant, NodeId, Term, WriteNumber};

impl Consensus {
    /// Stands for election now, unless this node may not: it is recovering, withdrawn, no voter, or bound by a promise.
    pub fn campaign(&mut self) {
        if self.may_stand() {
            let _ = self.raw.campaign();
            self.settle();
        }
    }

    pub(super) fn may_stand(&self) -> bool {
        let raft = &self.raw.raft;
        let me = self.options.node;
        let bound = self.now.is_none_or(|now| {
            let forbids =
                |p: Promise| p.forbids(me, raft.term + 1, false, me, &self.membership, &self.gone, now);
            self.promise.is_some_and(forbids)
        });
        // A candidate whose vote nobody refused waits for those that are still on their way.
        let is_free = match raft.state {
            StateRole::Follower | StateRole::PreCandidate => true,
            StateRole::Candidate => self.refused,
            StateRole::Leader => false,
        };
        is_free
            && raft.promotable()
            && !self.may_not_vote()
            && !self.withdrawn
            && !self.holds_back()
            && !bound
            && self.log_is_on_disk()
    }

    /// Its log may lack what it acknowledged, or belongs to another history than its leader's.
    pub(super) fn may_not_vote(&self) -> bool {
        self.recovering || self.parted.is_some()
    }

    /// Nobody is elected with a log that is not on its disk (raft-rs insists).
    pub(super) fn log_is_on_disk(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        self.write_number == self.persisted
            && log.persisted == log.last_index()
            && self.raw.raft.snap().is_none()
    }

    /// While writes are on their way to the disk: the last one that is there.
    pub fn last_before_unwritten(&self) -> Option<WriteNumber> {
        (self.write_number != self.persisted).then_some(WriteNumber(self.persisted))
    }

    /// Whether it asks for votes.
    pub fn stands(&self) -> bool {
        matches!(self.raw.raft.state, StateRole::Candidate | StateRole::PreCandidate)
    }

    /// Two that stood at once have each other's refusal, and of three voters with one away neither will be elected: whoever
    /// asks again first is, and need not wait for another election timeout.
    pub(super) fn on_vote_refused(&mut self) {
        self.refused = true;
        if let Some(now) = self.now
            && self.raw.raft.leader_id == 0
            && self.campaign.is_none()
        {
            let delay = self.options.gone_spread + self.campaign_delay();
            self.campaign = Some((now + delay, now + self.options.election));
        }
    }

    /// The others may not know yet that the leader is gone, or somebody stood at once: ask again until there is a leader.
    pub(super) fn campaign_again(&mut self, now: Instant) {
        let Some((_, until)) = self.campaign else { return };
        if self.raw.raft.leader_id != 0 || now > until {
            self.campaign = None;
            return;
        }
        self.campaign();
        if self.raw.raft.leader_id == 0 {
            let delay = self.options.gone_spread + self.campaign_delay();
            self.campaign = Some((now + delay, until));
        } else {
            self.campaign = None;
        }
    }

    pub(super) fn campaign_delay(&self) -> Duration {
        let now = self.now.unwrap_or_default().0;
        let spread = self.options.gone_spread.as_micros() as u64;
        Duration::from_micros(draw(self.options.seed, [self.options.node.0, self.raw.raft.term, now], spread))
    }

    pub(super) fn start_delay(&self) -> Duration {
        self.campaign_delay() + self.options.start_delay
    }

    /// Asks all for a sign of life: they answer a round of heartbeats that leaves now ([`Consensus::has_answered`]).
    pub fn sound(&mut self) {
        self.raw.ping();
        self.settle();
    }

    /// Asks `node` to take over. False when it cannot soon: no voter, too far behind, silent, or the configuration
    /// is changing. Proposals are refused until it did, or an election timeout has passed.
    pub fn transfer_to(&mut self, node: NodeId) -> bool {
        let raft = &self.raw.raft;
        let fit = raft.state == StateRole::Leader
            && node != self.options.node
            && raft.lead_transferee.is_none()
            && self.lease.disarming_since().is_none()
            && self.membership.voters.contains(&node)
            && self.membership.voters_outgoing.is_empty()
            && !raft.has_pending_conf()
            && self.is_heard(node)
            && raft.prs().get(node.0).is_some_and(|progress| {
                let lag = raft.raft_log.last_index().saturating_sub(progress.matched);
                lag <= self.options.transfer_lag_max
            });
        if fit {
            assert!(self.is_voter(node), "whoever takes over may vote");
            self.transferring = Some(node);
            self.raw.transfer_leader(node.0);
            self.settle();
        }
        fit
    }

    /// Nobody took over whom this leader asked to: it stands for election itself at once, in the next term. False while it cannot: nobody
    /// was asked, or its log is not on disk yet. Why the others need not wait is said in [`super::lease`], 6.
    pub fn take_back(&mut self) -> bool {
        let raft = &self.raw.raft;
        let may = raft.state == StateRole::Leader
            && raft.lead_transferee.is_some()
            && raft.promotable()
            && !self.may_not_vote()
            && self.log_is_on_disk();
        if may {
            debug_assert!(self.lease_until().is_none(), "who asked another one to lead has no lease");
            self.step_down();
            self.raw.raft.campaign(HANDED_OVER);
            self.settle();
        }
        may
    }

    /// While true this node neither stands for election nor grants votes; it accepts what a leader appends.
    pub fn set_recovering(&mut self, recovering: bool) {
        if self.recovering == recovering {
            return;
        }
        self.recovering = recovering;
        if recovering {
            self.step_down();
        } else if let Some(now) = self.now {
            self.raw.raft.election_elapsed = 0;
            if self.raw.raft.leader_id == 0 {
                // A cluster that just started has no leader to wait for.
                self.campaign = Some((now + self.start_delay(), now + self.options.election));
            }
        }
        self.settle();
    }

    pub fn is_recovering(&self) -> bool {
        self.recovering
    }

    /// Too many logs are damaged for an election, and somebody decided to go on with what this node has left: it
    /// stands at once, as if its log were whole.
    pub fn accept_own_log(&mut self) {
        self.parted = None;
        self.set_recovering(false);
        if let Some(now) = self.now {
            self.campaign = Some((now, now + RECOVERY_PATIENCE));
        }
    }

    /// The same decision, on the other nodes: they may vote for `node`.
    pub fn trust(&mut self, node: NodeId) {
        self.trusted = Some(node);
    }

    /// From now on this node does not stand for election. It leads on until it hands over or resigns.
    pub fn withdraw(&mut self) {
        self.withdrawn = true;
        self.campaign = None;
    }

    /// While true this node stands for election only when no leader was heard for [`RELUCTANCE`] election timeouts. It votes as
    /// before, and takes over when a leader asks it to.
    pub fn set_reluctant(&mut self, reluctant: bool) {
        self.reluctant = reluctant;
        if !reluctant {
            self.held_back_since = None;
        }
    }

    pub(super) fn holds_back(&self) -> bool {
        let now = self.now.unwrap_or_default();
        debug_assert!(
            self.held_back_since.is_none_or(|since| since <= now),
            "nobody holds back from a later time on"
        );
        let patience = self.options.election * RELUCTANCE;
        self.reluctant && self.held_back_since.is_none_or(|since| now.since(since) < patience)
    }

    /// Leads no longer, without a successor: the others elect one when they miss it. What this node had as a leader, such as a
    /// floating address, may be here until then, so it helps nobody else into its place before, or before [`Consensus::has_cleared`].
    pub fn resign(&mut self, until: Instant) {
        self.step_down();
        if self.now.is_some_and(|now| now < until) {
            let (to, term) = (Some(self.options.node), self.raw.raft.term);
            self.promise = Some(Promise { to, term, until });
        }
    }

    /// Nothing of what this node had as a leader is here any more.
    pub fn has_cleared(&mut self) {
        self.promise.take_if(|promise| promise.to == Some(self.options.node));
    }

    /// No message below this term counts from now on. For a node that lost its hard state: what it promised in terms
    /// up to the highest one its peers know of must not be broken.
    pub fn raise_term(&mut self, term: Term) {
        if self.raw.raft.term < term.0 {
            self.raw.raft.become_follower(term.0, 0);
            self.settle();
        }
    }

    pub(super) fn step_down(&mut self) {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Follower {
            let term = raft.term;
            raft.become_follower(term, 0);
            self.settle();
        }
    }
}
