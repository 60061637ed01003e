//! Follower → elected → serving, and back. Three facts stay apart: *leads* (Raft), *serves* (has applied its own
//! first entry and holds a lease), *holds the address* (kernel).

use std::time::Duration;

use super::proposals::{Item, Waiting};
use super::{Action, Replica};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Command, Producers};
use crate::types::planted::{self, Bug};
use crate::types::{Instant, NodeId, Reason, RoleView, SessionId, Term, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Following,
    /// Leads, and waits until the first entry of its own term is applied.
    Elected {
        term: Term,
    },
    Serving {
        term: Term,
        since: Instant,
    },
}

/// A planned move: no new calls, everything that was let in is applied, then the leadership goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// None: whoever is most up to date.
    pub to: Option<NodeId>,
    pub answer: Option<(SessionId, Token)>,
    /// Given up then, and serving goes on.
    pub until: Instant,
}

/// A handover that takes longer than this is given up.
const HANDOVER_MAX: Duration = Duration::from_secs(3);

impl Replica {
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.standing, Standing::Serving { .. })
    }

    /// Whether an answer may be given from this node's state alone: nobody else can be serving now.
    pub(super) fn has_lease(&self) -> bool {
        self.consensus.lease_until().is_some_and(|until| self.now.instant < until)
            || (planted::is(Bug::ServeWithoutLease) && self.consensus.is_leader())
    }

    /// Brings the standing in line with what consensus says.
    pub(super) fn follow_leadership(&mut self) {
        let term = self.consensus.term();
        match self.standing {
            Standing::Following if self.consensus.is_leader() => {
                self.standing = Standing::Elected { term };
                self.stats.elections_won += 1;
                // Unique over all leaders: a term has one.
                self.next_unique = term.0 << 40;
                let at = self.wall();
                self.proposals.add(Command::BeginTerm, at, Waiting::BeginTerm);
            }
            Standing::Elected { term: of } | Standing::Serving { term: of, .. }
                if !self.consensus.is_leader() || of != term =>
            {
                self.stop_serving();
                self.follow_leadership();
            }
            _ => {}
        }
    }

    /// The first entry of this leader's own term is applied: everything that was ever acknowledged is.
    pub(super) fn begin_serving(&mut self) {
        if let Standing::Elected { term } = self.standing {
            self.standing = Standing::Serving { term, since: self.now.instant };
            self.next_expiry_scan = self.now.instant;
        }
    }

    /// Every outstanding call is answered: 2549 where nobody here can know what became of it, 2009 else. Units are
    /// backed out, what is not persistent is gone, sessions end.
    fn stop_serving(&mut self) {
        self.standing = Standing::Following;
        if let Some((session, token)) = self.handover.take().and_then(|handover| handover.answer) {
            self.answer(session, token, Completion::done());
        }
        let (unknown, never) = self.proposals.drain();
        for (items, reason) in [(unknown, Reason::CallInterrupted), (never, Reason::ConnectionBroken)] {
            for item in items {
                match item {
                    Item::Command(waiting) => {
                        if let Some((session, token)) = waiting.caller() {
                            self.answer(session, token, self.lost(reason));
                        }
                    }
                    // It was in this node's memory only.
                    Item::Ride(ride) => {
                        self.answer(ride.session, ride.token, self.lost(Reason::ConnectionBroken))
                    }
                }
            }
        }
        for waiter in self.waiters.take_all() {
            self.answer(waiter.session, waiter.token, self.lost(Reason::ConnectionBroken));
        }
        for delivery in self.loads.drain() {
            if let Some((session, token)) = delivery.caller() {
                self.answer(session, token, self.lost(Reason::ConnectionBroken));
            }
        }
        for (session, token) in self.staging.drain() {
            self.answer(session, token, self.lost(Reason::ConnectionBroken));
        }
        self.end_membership_operation(Reason::CallInterrupted);
        let sessions: Vec<SessionId> = self.sessions.by_id.keys().copied().collect();
        for session in sessions {
            let parked = self.sessions.get_mut(session).map(|of| std::mem::take(&mut of.parked));
            for (token, _) in parked.unwrap_or_default() {
                self.answer(session, token, self.lost(Reason::ConnectionBroken));
            }
            self.out.push(Action::CloseSession { session, reason: Reason::ConnectionBroken });
            self.sessions.close(session);
        }
        self.reservations.clear();
        self.parked.clear();
        self.stirred.clear();
        self.locked.clear();
        self.incoming.clear();
        self.volatile_producers = Producers::default();
        let queues: Vec<_> = self.state.queues().map(|queue| queue.id).collect();
        for queue in queues {
            self.state.queue_mut(queue).expect("listed").drop_not_persistent();
        }
    }

    fn lost(&self, reason: Reason) -> Completion {
        Completion {
            data: Data::NotServing { leader: self.consensus.leader() },
            ..Completion::failed(reason)
        }
    }

    /// The node is stopping: it hands over first, and takes over from nobody any more.
    pub(super) fn on_drain(&mut self) {
        self.draining = true;
        self.consensus.withdraw();
        self.greet_all();
    }

    pub(super) fn begin_handover(&mut self, to: Option<NodeId>, answer: Option<(SessionId, Token)>) {
        if self.is_serving() {
            self.handover = Some(Handover { to, answer, until: self.now.instant + HANDOVER_MAX });
        }
    }

    pub(super) fn drive_handover(&mut self) {
        if self.draining && self.handover.is_none() {
            self.begin_handover(None, None);
        }
        let Some(handover) = self.handover else { return };
        if self.now.instant >= handover.until {
            self.handover = None;
            if let Some((session, token)) = handover.answer {
                let detail = "the other node did not catch up and take over within 3 s; this node serves on";
                self.answer(session, token, Completion::failed_because(Reason::QMgrNotAvailable, detail));
            }
            return;
        }
        let mut peers = self.consensus.progress();
        peers.retain(|peer| peer.voter && peer.node != self.options.node);
        peers.retain(|peer| match handover.to {
            Some(to) => to == peer.node,
            None => peer.active && self.peers.may_lead(peer.node),
        });
        let is_idle = self.proposals.is_idle() && self.staging.is_empty();
        if self.draining && peers.is_empty() && (is_idle || !self.has_lease()) {
            // There is nobody to wait for.
            self.consensus.resign();
            return self.follow_leadership();
        }
        if !is_idle {
            return;
        }
        if let Some(best) = peers.iter().max_by_key(|peer| (peer.matched, std::cmp::Reverse(peer.node))) {
            self.consensus.transfer_to(best.node);
        }
    }

    pub(super) fn publish_role(&mut self) {
        let leads = self.consensus.leader();
        if leads.is_some() && leads != self.leader_known {
            self.leader_known = leads;
            self.stats.leader_changes += 1;
        }
        let leader = self.consensus.leader().filter(|leader| *leader != self.options.node);
        let view = match self.standing {
            Standing::Following if self.removed => RoleView::Removed,
            Standing::Following => RoleView::NotServing {
                term: self.consensus.term(),
                leader,
                recovering: self.consensus.is_recovering(),
            },
            Standing::Elected { term } => RoleView::Elected { term },
            Standing::Serving { term, since, .. } if planted::is(Bug::ServeWithoutLease) => {
                RoleView::Serving { term, since, lease_until: self.now.instant + Duration::from_secs(5) }
            }
            Standing::Serving { term, since, .. } => match self.consensus.lease_until() {
                Some(lease_until) => RoleView::Serving { term, since, lease_until },
                None => RoleView::Elected { term },
            },
        };
        if self.published.as_ref() != Some(&view) {
            self.published = Some(view.clone());
            self.out.push(Action::PublishRole(view));
        }
    }
}
