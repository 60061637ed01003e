//! Until when a leader may be sure that nobody else leads.
//!
//! The leader numbers its heartbeats (a *round* goes to everybody at one time) and a follower's answer carries the
//! number back. `lease_until` is the time at which the newest round that a quorum answered was *sent*, plus the
//! minimum election timeout, less what clocks may drift. It is good because everyone who answered gave a promise:
//!
//! 1. Who hears a leader of the current term grants no (pre-)vote to others, and does not stand itself, for a
//!    minimum election timeout counted from when the message was handled ([`Promise`]). raft-rs does this too, but
//!    forgets it when any message of a higher term arrives; the promise here does not.
//! 2. Every election needs a majority of each half of the configuration, and the lease was confirmed by one: they
//!    share a node that keeps its promise. Configurations change by joint consensus, the leader is the first who
//!    knows that a change is committed, and it proposes the second half after it applied the first: what another
//!    node may use for its election always overlaps with what the leader used for its lease.
//! 3. A restarted node forgot what it promised. So it promises to whoever may lead, for one minimum election
//!    timeout from the start of its process (stores that take long to open count). Only a node that never took part (no log, no vote, first term) need not: an answer to
//!    a heartbeat is held back until its term is on disk, so such a node cannot have answered one.
//! 4. A promise ends early only when the leader it protects is out of the way: its process is gone
//!    (`on_peer_gone`), it stands for election itself in a later term, or it handed its leadership over.
//!    A leader that gives its part away (`resign`) owes the same to itself until what it had as a leader is gone (`has_cleared`).
//! 5. Handing over is the one election that breaks promises, so there is no lease from the moment it begins. When it
//!    comes to nothing, the order to take over may still be under way. Therefore the lease comes back only when the
//!    node that was asked has answered a later round, which makes it deaf to the old order (it remembers the highest
//!    round it saw); if that takes longer than an election timeout the leader steps down and a new term starts clean.
//! 6. It need not wait for that long (`take_back`): while it has no lease, and nothing of what it had as a leader, it may stand in
//!    the next term, as whoever it asked may. Those who promised it to wait owe that to nobody else (4). The order that is still under
//!    way is one to stand in that same term, in which nobody votes twice; once somebody leads in it, promises to that one hold.
//!
//! Send times are the time at which the leader's turn began, promises run from the time at which the follower's turn
//! began: read the clock after taking the events of a turn from the inbox, never before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::types::{Instant, Membership, NodeId};

/// The leader's side.
#[derive(Debug)]
pub(super) struct Lease {
    length: Duration,
    /// Of the newest round sent in this term; 0 before the first.
    round: u64,
    /// When the rounds `round - sent.len() + 1 ..= round` were sent.
    sent: VecDeque<Instant>,
    /// When the newest round that this node answered was sent.
    answered: BTreeMap<NodeId, (u64, Instant)>,
    /// For people: how long answers took, averaged.
    round_trips: BTreeMap<NodeId, Duration>,
    /// A transfer came to nothing: who was asked, the round of that moment, and when it was.
    disarming: Option<(NodeId, u64, Instant)>,
}

impl Lease {
    pub fn new(election: Duration, drift_percent: u32) -> Lease {
        Lease {
            length: Lease::length(election, drift_percent),
            round: 0,
            sent: VecDeque::new(),
            answered: BTreeMap::new(),
            round_trips: BTreeMap::new(),
            disarming: None,
        }
    }

    /// What clocks may drift is taken off.
    pub fn length(election: Duration, drift_percent: u32) -> Duration {
        election * (100 - drift_percent.min(99)) / 100
    }

    /// A new term of leadership: rounds and answers of earlier ones mean nothing.
    pub fn begin(&mut self) {
        self.round = 0;
        self.sent.clear();
        self.answered.clear();
        self.round_trips.clear();
        self.disarming = None;
        assert!(!self.length.is_zero(), "a lease lasts for some time");
    }

    pub fn round(&self) -> u64 {
        self.round
    }

    /// Whether it is time for another round. A leader that hears nobody may still be heard, for as long as its connections
    /// carry what is not confirmed, and keeps its followers from an election: it sends one round, and the next when a quorum
    /// answered or after `patience`.
    pub fn is_due(&self, me: NodeId, membership: &Membership, now: Instant, patience: Duration) -> bool {
        let Some(last) = self.sent.back() else { return true };
        let is_answered = |voters| self.confirmed(me, voters, now).is_some_and(|sent| sent >= *last);
        let answered = is_answered(&membership.voters) && is_answered(&membership.voters_outgoing);
        answered || now.since(*last) >= patience
    }

    /// A round of heartbeats leaves now.
    pub fn send(&mut self, now: Instant) -> u64 {
        // An answer to a round older than the lease is long would be worth nothing.
        while self.sent.len() > 1 && self.sent.front().is_some_and(|sent| *sent + self.length < now) {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        self.round += 1;
        debug_assert!(self.sent.len() as u64 <= self.round, "no more rounds are remembered than were sent");
        debug_assert!(self.sent.iter().is_sorted(), "rounds are sent one after the other");
        self.round
    }

    /// When the round was sent, unless that is too long ago, or it never was.
    pub fn on_answer(&mut self, from: NodeId, round: u64) -> Option<Instant> {
        let age = self.round.checked_sub(round)?;
        let place = (self.sent.len() as u64).checked_sub(age + 1)?;
        let sent = self.sent[place as usize];
        debug_assert!(round > 0, "rounds are numbered from 1 on");
        let newest = self.answered.entry(from).or_insert((round, sent));
        debug_assert!(
            if newest.0 <= round { newest.1 <= sent } else { newest.1 >= sent },
            "a later round was not sent earlier"
        );
        if newest.0 < round {
            *newest = (round, sent);
        }
        if self.disarming.is_some_and(|(node, at, _)| node == from && round > at) {
            self.disarming = None;
        }
        Some(sent)
    }

    /// The node answered a round after so long. Each answer is an eighth of the average.
    pub fn note_round_trip(&mut self, from: NodeId, took: Duration) {
        debug_assert!(self.answered.contains_key(&from), "whose answer is timed has answered");
        let average = self.round_trips.entry(from).or_insert(took);
        *average = (*average * 7 + took) / 8;
    }

    pub fn round_trip(&self, node: NodeId) -> Option<Duration> {
        self.round_trips.get(&node).copied()
    }

    /// When the newest round that the node answered was sent.
    pub fn answered(&self, node: NodeId) -> Option<Instant> {
        self.answered.get(&node).map(|(_, sent)| *sent)
    }

    /// A transfer of leadership to `node` came to nothing.
    pub fn disarm(&mut self, node: NodeId, now: Instant) {
        debug_assert!(self.disarming.is_none(), "one transfer is waited out at a time");
        self.disarming = Some((node, self.round, now));
    }

    /// The process that might have held the order to take over is gone, and the order with it.
    pub fn on_peer_gone(&mut self, node: NodeId) {
        if self.disarming.is_some_and(|(asked, ..)| asked == node) {
            self.disarming = None;
        }
        self.answered.remove(&node);
    }

    /// When the transfer that is being waited out ended.
    pub fn disarming_since(&self) -> Option<Instant> {
        self.disarming.map(|(.., since)| since)
    }

    /// None while no quorum has answered, or a transfer may still take effect.
    pub fn until(&self, me: NodeId, membership: &Membership, now: Instant) -> Option<Instant> {
        if self.disarming.is_some() {
            return None;
        }
        debug_assert!(!self.answered.contains_key(&me), "a leader needs no answer of its own");
        let base = self.confirmed(me, &membership.voters, now)?;
        let base = base.min(self.confirmed(me, &membership.voters_outgoing, now)?);
        debug_assert!(base <= now, "no round was answered before it was sent");
        Some(base + self.length)
    }

    /// The send time of the newest round that a majority of `voters` answered; the leader answers itself at once.
    fn confirmed(&self, me: NodeId, voters: &BTreeSet<NodeId>, now: Instant) -> Option<Instant> {
        let mut times: Vec<Instant> = voters
            .iter()
            .filter_map(|voter| match *voter == me {
                true => Some(now),
                false => self.answered(*voter),
            })
            .collect();
        if voters.is_empty() {
            return Some(now);
        }
        debug_assert!(times.len() <= voters.len(), "a voter answers once");
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(voters.len() / 2).copied()
    }
}

/// The follower's side: whom this node protects from elections, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// None after a start: whoever may lead.
    pub to: Option<NodeId>,
    pub term: u64,
    pub until: Instant,
}

impl Promise {
    /// May this node help `candidate` to be elected in `term`? `handed_over` says that the candidate was asked to
    /// stand by the leader of the term before.
    pub fn forbids(
        &self,
        candidate: NodeId,
        term: u64,
        handed_over: bool,
        me: NodeId,
        membership: &Membership,
        gone: &BTreeSet<NodeId>,
        now: Instant,
    ) -> bool {
        if now >= self.until || (handed_over && term == self.term + 1) {
            return false;
        }
        match self.to {
            Some(leader) => !gone.contains(&leader) && (candidate != leader || term <= self.term),
            None => {
                let mut others = membership.voters.iter().chain(&membership.voters_outgoing);
                others.any(|voter| *voter != me && *voter != candidate && !gone.contains(voter))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELECTION: Duration = Duration::from_millis(1000);
    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);
    const D: NodeId = NodeId(4);

    fn voters(ids: &[NodeId]) -> Membership {
        Membership { voters: ids.iter().copied().collect(), ..Membership::default() }
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    #[test]
    fn a_leader_that_hears_nobody_says_less() {
        let mut lease = Lease::new(ELECTION, 10);
        let (three, patience) = (voters(&[A, B, C]), Duration::from_millis(250));
        let is_due = |lease: &Lease, millis| lease.is_due(A, &three, at(millis), patience);
        assert!(is_due(&lease, 0), "the first round waits for nothing");
        lease.send(at(0));
        assert!(!is_due(&lease, 100), "nobody answered");
        lease.on_answer(C, 1);
        assert!(is_due(&lease, 100), "a majority did");
        lease.send(at(100));
        assert!(!is_due(&lease, 300));
        assert!(is_due(&lease, 350), "those who come back must hear of it");
        assert!(lease.is_due(A, &voters(&[A]), at(101), patience), "alone");
    }

    #[test]
    fn a_lease_counts_from_the_round_a_majority_answered() {
        let mut lease = Lease::new(ELECTION, 10);
        let three = voters(&[A, B, C]);
        assert_eq!(lease.until(A, &three, at(5)), None);
        assert_eq!(lease.send(at(0)), 1);
        assert_eq!(lease.send(at(100)), 2);
        lease.on_answer(B, 1);
        assert_eq!(lease.until(A, &three, at(150)), Some(at(900)));
        lease.on_answer(C, 2);
        assert_eq!(lease.until(A, &three, at(150)), Some(at(1000)));
        lease.on_answer(C, 1); // a late answer takes nothing back
        assert_eq!(lease.until(A, &three, at(150)), Some(at(1000)));
        lease.begin();
        assert_eq!(lease.until(A, &three, at(150)), None);
        assert_eq!(lease.until(A, &voters(&[A]), at(150)), Some(at(1050)), "alone");
    }

    #[test]
    fn rounds_nobody_sent_or_long_past_count_for_nothing() {
        let mut lease = Lease::new(ELECTION, 10);
        let three = voters(&[A, B, C]);
        lease.on_answer(B, 0);
        lease.on_answer(B, 7);
        lease.send(at(0));
        lease.on_answer(B, 2);
        assert_eq!(lease.until(A, &three, at(1)), None);
        for round in 1..100 {
            lease.send(at(round * 100));
        }
        assert!(lease.sent.len() < 12, "{}", lease.sent.len());
        lease.on_answer(B, 3);
        assert_eq!(lease.until(A, &three, at(9950)), None);
        lease.on_answer(B, 100);
        assert_eq!(lease.until(A, &three, at(9950)), Some(at(9900 + 900)));
    }

    #[test]
    fn a_joint_configuration_needs_both_majorities() {
        let mut lease = Lease::new(ELECTION, 10);
        let mut joint = voters(&[A, C, D]);
        joint.voters_outgoing = [A, B].into();
        lease.send(at(0));
        lease.on_answer(C, 1);
        lease.on_answer(D, 1);
        assert_eq!(lease.until(A, &joint, at(1)), None);
        lease.on_answer(B, 1);
        assert_eq!(lease.until(A, &joint, at(1)), Some(at(900)));
    }

    #[test]
    fn after_a_failed_transfer_the_one_who_was_asked_must_answer_again() {
        let mut lease = Lease::new(ELECTION, 10);
        let three = voters(&[A, B, C]);
        lease.send(at(0));
        lease.on_answer(C, 1);
        lease.disarm(B, at(10));
        assert_eq!(lease.until(A, &three, at(20)), None);
        lease.on_answer(B, 1);
        assert_eq!(lease.until(A, &three, at(20)), None, "answered before");
        lease.send(at(100));
        lease.on_answer(C, 2);
        assert_eq!(lease.until(A, &three, at(120)), None, "somebody else");
        lease.on_answer(B, 2);
        assert_eq!(lease.until(A, &three, at(120)), Some(at(1000)));
    }

    #[test]
    fn a_promise_ends_with_time_or_with_the_leader() {
        let three = voters(&[A, B, C]);
        let promise = Promise { to: Some(A), term: 5, until: at(1000) };
        let nobody = BTreeSet::new();
        let forbids = |candidate, term, over, gone: &BTreeSet<NodeId>, now| {
            promise.forbids(candidate, term, over, B, &three, gone, now)
        };
        assert!(forbids(C, 6, false, &nobody, at(999)));
        assert!(!forbids(C, 6, false, &nobody, at(1000)));
        assert!(!forbids(C, 6, false, &[A].into(), at(1)));
        assert!(forbids(C, 6, false, &[D].into(), at(1)));
        assert!(!forbids(C, 6, true, &nobody, at(1)), "handed over by the leader itself");
        assert!(forbids(C, 7, true, &nobody, at(1)), "handed over by a leader of another term");
        assert!(!forbids(A, 6, false, &nobody, at(1)), "no leader any more");
    }

    #[test]
    fn a_restarted_node_protects_whoever_may_lead() {
        let three = voters(&[A, B, C]);
        let promise = Promise { to: None, term: 5, until: at(1000) };
        assert!(promise.forbids(C, 6, false, B, &three, &BTreeSet::new(), at(1)));
        assert!(!promise.forbids(C, 6, false, B, &three, &[A].into(), at(1)));
        assert!(promise.forbids(A, 6, false, B, &three, &[A].into(), at(1)));
    }
}
