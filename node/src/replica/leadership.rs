//! Follower → elected → serving, and back. Three facts stay apart: *leads* (Raft), *serves* (has applied its own
//! first entry and holds a lease), *holds the address* (kernel).

use std::time::Duration;

use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::admin::v1::moment::Step;

use super::failovers::Takeover;
use super::leading::{Handover, Leading, Standing};
use super::maintenance::majority_of;
use super::placement::AGAIN_AFTER;
use super::proposals::{Item, Waiting};
use super::sessions::Session;
use super::turn::LEAVE;
use super::waiters::Waiter;
use super::{Action, Replica};
use crate::consensus::PeerProgress;
use crate::mqi::{Call, Completion, Data, Purpose, Wait};
use crate::qmgr::Command;
use crate::types::definition::By;
use crate::types::planted::{self, Bug};
use crate::types::{
    Instant, NodeId, Reason, RoleView, SessionId, Term, Token, Version, WallTime, WhyNotServing,
};

/// A handover that takes longer than this is given up.
const HANDOVER_MAX: Duration = Duration::from_secs(3);
/// How long a successor is waited for to give a sign of life.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);
/// What was announced a moment ago says well enough when nobody was answered any more.
const ANNOUNCED_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// What programs are told before a floating address goes has so long to leave by it.
const FAREWELL: Duration = Duration::from_millis(20);

impl Replica {
    pub(super) fn is_serving(&self) -> bool {
        self.standing.serving().is_some()
    }

    /// Whether an answer may be given from this node's state alone: nobody else can be serving now.
    pub(super) fn has_lease(&self) -> bool {
        self.consensus.lease_until().is_some_and(|until| self.now.instant < until)
            || (planted::is(Bug::ServeWithoutLease) && self.consensus.is_leader())
    }

    /// Brings the standing in line with what consensus says.
    pub(super) fn follow_leadership(&mut self) {
        let term = self.consensus.term();
        let leads = self.consensus.is_leader();
        if self.consensus.stands() {
            self.witness.stand(self.now.instant);
        }
        match self.standing.leading() {
            Some(leading) if !leads || leading.term != term => {
                self.stop_leading();
                self.follow_leadership();
            }
            None if leads => self.begin_leading(term),
            _ => {}
        }
        debug_assert_eq!(
            self.standing.leading().map(|leading| leading.term),
            self.consensus.is_leader().then(|| self.consensus.term()),
            "whoever was elected leads, and nobody else"
        );
    }

    fn begin_leading(&mut self, term: Term) {
        assert!(
            self.standing.leading().is_none(),
            "what an earlier term left is taken away before a new one begins"
        );
        assert!(self.consensus.is_leader() && self.consensus.term() == term, "whoever leads was elected");
        self.stats.elections_won += 1;
        let version = self.state.version();
        let takeover = Takeover::new(
            self.witness.clone(),
            self.now.instant,
            self.consensus.last_index(),
            self.stats.puts,
        );
        self.standing = Standing::Leading(Box::new(Leading::new(term, version, takeover, self.now.instant)));
        // Other clocks are not known yet, and the log's own is where it was applied to: time stands.
        let leader = (version >= Version::RECORDS).then_some((self.options.node, term));
        let begin = Command::BeginTerm { leader };
        self.standing.own_mut().proposals.add(begin, WallTime(0), Waiting::BeginTerm);
        self.stats.commands_proposed += 1;
        if leader.is_some() {
            let account = self.account_for_election();
            self.standing.own_mut().proposals.add(account, WallTime(0), Waiting::Nobody);
            self.stats.commands_proposed += 1;
        }
        self.compare_with_all();
    }

    /// The first entry of this leader's own term is applied: everything that was ever acknowledged is.
    pub(super) fn begin_serving(&mut self) {
        let leading = self.standing.own_mut();
        assert!(leading.serving_since.is_none(), "a leader begins to serve once");
        leading.serving_since = Some(self.now.instant);
        leading.objects_due = true;
        leading.listeners_due = true;
        leading.takeover.note(Step::Serves, self.now.instant);
        self.doom_temporary();
    }

    /// Every outstanding call is answered: 2549 where nobody here can know what became of it, 2009 else. Units are
    /// backed out, what is not persistent is gone, sessions end. Of gets that wait as many are answered as the turn has time for;
    /// the end of their session says the same of all others.
    fn stop_leading(&mut self) {
        let service = self.service();
        let Some(leading) = self.standing.stop() else { return };
        let now = self.now.instant;
        // Without a lease it served nobody.
        let served = leading.serving_since.map(|since| self.witness.served_until(now).max(since));
        self.witness.serve_no_more(self.options.node, service, served, now);
        let Leading { handover, proposals, mut waiters, readers, staging, endings, .. } = leading;
        let Leading { membership_change, raising, reservations, .. } = leading;
        if let Some((session, token)) = handover.and_then(|handover| handover.answer) {
            self.answer(session, token, Completion::done());
        }
        let (unknown, never) = proposals.into_lost();
        let unknown = self.applying.lose_items().into_iter().chain(unknown);
        self.answer_lost(unknown, Reason::CallInterrupted);
        self.answer_lost(never, Reason::ConnectionBroken);
        self.turn.next_phase();
        while !self.turn.is_over()
            && let Some(waiter) = waiters.take_first()
        {
            self.turn.spend(LEAVE);
            self.answer(waiter.session, waiter.token, self.lost(Reason::ConnectionBroken));
        }
        let reading = readers.into_all().filter_map(|delivery| delivery.answers());
        for (session, token) in reading.chain(staging.callers()) {
            self.answer(session, token, self.lost(Reason::ConnectionBroken));
        }
        let (committed, undone) = endings.callers();
        for (session, token) in undone {
            self.answer(session, token, self.lost(Reason::ConnectionBroken));
        }
        // What of it was in the log has happened.
        if let Some((session, token)) = committed {
            self.answer(session, token, self.lost(Reason::CallInterrupted));
        }
        if let Some((session, token)) = membership_change.map(|operation| operation.caller()) {
            self.answer(session, token, Completion::failed(Reason::CallInterrupted));
        }
        // It was not proposed yet.
        if let Some((session, token)) = raising.map(|raising| raising.caller()) {
            self.answer(session, token, self.lost(Reason::ConnectionBroken));
        }
        self.end_sessions();
        self.remains.add(waiters, reservations.into_litter());
        let queues: Vec<_> = self.state.queues().map(|queue| queue.id).collect();
        for queue in queues {
            self.state.change(queue).expect("listed").drop_not_persistent();
        }
        assert!(self.sessions.by_id.is_empty(), "sessions end with the leadership");
        debug_assert!(
            self.state.queues().all(|queue| queue.not_persistent() == 0),
            "what is not persistent is gone"
        );
    }

    fn answer_lost(&mut self, items: impl Iterator<Item = Item>, reason: Reason) {
        debug_assert!(self.standing.leading().is_none(), "nothing is lost while this node leads");
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

    pub(super) fn lost(&self, reason: Reason) -> Completion {
        Completion {
            data: Data::NotServing { leader: self.consensus.leader() },
            ..Completion::failed(reason)
        }
    }

    /// The node is stopping: it hands over first, and takes over from nobody any more.
    pub(super) fn on_drain(&mut self) {
        self.draining = true;
        self.drain_units_until = self.now.instant + self.options.units_within;
        self.successor_until = self.now.instant + self.options.successor_within;
        self.consensus.withdraw();
        self.greet_all();
    }

    /// `units_within`: how long open units of work may go on; None: as the options say.
    pub(super) fn begin_handover(
        &mut self,
        why: Why,
        to: Option<NodeId>,
        answer: Option<(SessionId, Token)>,
        units_within: Option<Duration>,
    ) {
        debug_assert_ne!(to, Some(self.options.node), "nobody hands over to itself");
        let units_until = self.now.instant + units_within.unwrap_or(self.options.units_within);
        if let Some(leading) = self.standing.serving() {
            debug_assert!(leading.handover.is_none(), "one move is done before the next begins");
            let (units_until, until) = (Some(units_until), units_until + HANDOVER_MAX);
            let by = answer.map(|(session, _)| self.by(session)).unwrap_or_default();
            let leading = self.standing.own_mut();
            leading.handover = Some(Handover {
                to,
                answer,
                begun: self.now.instant,
                units_until,
                until,
                sounded: None,
                told_until: None,
                parting: false,
                asked: None,
            });
            self.announce_handover(why, to, by);
        }
    }

    /// Whether a call waits until it is decided where this goes on. While open units of work may end, only what would begin
    /// another one does, and what operators ask for.
    pub(super) fn waits_for_handover(&self, handover: &Handover, session: SessionId, call: &Call) -> bool {
        if handover.units_until.is_none() {
            return true;
        }
        let is_open = || self.sessions.get(session).is_some_and(|session| session.unit.is_open());
        match call {
            Call::Put(put) => put.syncpoint && !is_open(),
            Call::Get(get) => get.is_in_unit(true) && !get.mode.is_browse() && !is_open(),
            Call::Operate(_) => true,
            _ => false,
        }
    }

    /// Who was waiting would begin something now: that waits as if it had just come.
    pub(super) fn park_waiter(&mut self, waiter: Waiter) {
        let Waiter { session, token, mut get, until, .. } = waiter;
        debug_assert!(self.is_serving(), "nobody waits for a leader that does not serve");
        if let Some(until) = until {
            get.wait = Wait::For(until.since(self.now.instant));
        }
        self.park(session, token, get.into());
    }

    /// Whether nobody's unit of work holds up the move any more.
    fn are_units_over(&mut self) -> bool {
        let Some(handover) = self.standing.own_mut().handover.as_mut() else { return true };
        let Some(units_until) = handover.units_until else { return true };
        // Without a lease nothing that they ask for is answered.
        let has_lease = self.consensus.lease_until().is_some_and(|until| self.now.instant < until);
        if self.now.instant < units_until && has_lease && self.sessions.has_open_unit() {
            return false;
        }
        handover.units_until = None;
        handover.until = self.now.instant + HANDOVER_MAX;
        debug_assert!(
            !handover.parting && handover.told_until.is_none(),
            "the address stays for as long as units may go on"
        );
        if self.now.instant.since(handover.begun) >= ANNOUNCED_AGAIN_AFTER {
            self.announce_handover_again();
        }
        true
    }

    pub(super) fn drive_handover(&mut self) {
        let Some(leading) = self.standing.serving_mut() else { return };
        if self.draining && leading.handover.is_none() {
            if self.waits_for_successor() {
                return;
            }
            let units_within = self.drain_units_until.since(self.now.instant);
            self.begin_handover(Why::Stop, None, None, Some(units_within));
        }
        if !self.are_units_over() || self.is_order_out() {
            return;
        }
        let Some(handover) = self.standing.own().handover else { return };
        if self.now.instant >= handover.until {
            // Nobody could be asked when the address was gone.
            self.let_down = handover.to.filter(|_| handover.parting).map(|to| (to, self.now.instant));
            return self.give_up_handover(
                "The other node did not catch up and take over in time; this node serves on.",
            );
        }
        let mut peers = self.consensus.progress();
        peers.retain(|peer| peer.voter && peer.node != self.options.node);
        peers.retain(|peer| match handover.to {
            Some(to) => to == peer.node,
            // One in maintenance is better than none, and worse than any other.
            None => peer.active && self.peers.may_lead(peer.node),
        });
        let leading = self.standing.own();
        let is_idle = leading.proposals.is_idle()
            && leading.staging.is_empty()
            && leading.endings.is_empty()
            && self.applying.is_empty()
            // Who is sent away while a message is read for him has not had it, and it would come back as if he had.
            && !leading.readers.are_for_callers();
        if self.draining && peers.is_empty() && (is_idle || !self.has_lease()) {
            // There is nobody to wait for, but for programs that are told.
            if !self.has_lease() || self.is_farewell_over() {
                self.consensus.resign(self.address_until);
                self.follow_leadership();
            }
            return;
        }
        if peers.is_empty() || !is_idle {
            return;
        }
        if let Some(successor) = self.successor_among(&peers)
            && self.is_farewell_over()
            && self.address_is_gone()
        {
            self.ask_to_take_over(successor);
        }
    }

    /// From here on nobody serves, and nobody has the floating address, so nothing takes long any more.
    fn ask_to_take_over(&mut self, successor: NodeId) {
        let (now, within) = (self.now.instant, self.options.consensus.takes_over_within());
        let is_asked = self.consensus.transfer_to(successor);
        self.is_not_done |= is_asked;
        if let Some(handover) = &mut self.standing.own_mut().handover {
            debug_assert!(handover.asked.is_none(), "one is asked at a time");
            handover.asked = is_asked.then_some((successor, now));
            handover.until = handover.until.min(now + within);
        }
    }

    /// Whether somebody was asked to take over, and may do so. Who hung or was cut off after its sign of life does not: this node stands for
    /// election itself before anybody misses a leader. It serves on, or hands over to another one.
    fn is_order_out(&mut self) -> bool {
        let Some(handover) = self.standing.own().handover else { return false };
        let Some((asked, since)) = handover.asked else { return false };
        let now = self.now.instant;
        if !self.consensus.is_transferring() {
            // It is gone, and the order with it.
            self.let_down = Some((asked, now));
            if let Some(handover) = &mut self.standing.own_mut().handover {
                handover.asked = None;
            }
            if handover.to.is_some() {
                let name = self.name_of(asked);
                self.give_up_handover(&format!("Node {name} is gone; this node serves on."));
            }
            return false;
        }
        let is_late = now.since(since) >= self.options.consensus.takes_over_within();
        if is_late && self.consensus.take_back() {
            self.let_down = Some((asked, now));
            let name = self.name_of(asked);
            self.give_up_handover(&format!(
                "Node {name} did not take over; `trimaran status` says who serves now."
            ));
            self.follow_leadership();
        }
        true
    }

    /// Whether the node was asked to take over a while ago, and did not.
    pub(super) fn has_let_down(&self, node: NodeId) -> bool {
        self.let_down.is_some_and(|(asked, at)| asked == node && self.now.instant.since(at) < AGAIN_AFTER)
    }

    /// The best of them, once it has given a sign of life: whoever died or hangs since it was heard last would leave everybody without
    /// address and queue manager for as long as an election takes. The others are asked when nothing else is left to do, and the best is
    /// waited for a little. Where none answers a move is given up, and a node that stops asks again.
    fn successor_among(&mut self, peers: &[PeerProgress]) -> Option<NodeId> {
        let now = self.now.instant;
        let sounded = self.standing.own().handover.and_then(|handover| handover.sounded);
        let sounded = sounded.unwrap_or_else(|| {
            self.consensus.sound();
            self.is_not_done = true;
            now
        });
        let is_late = now.since(sounded) >= ANSWERS_WITHIN;
        let answers = |peer: &&PeerProgress| self.consensus.has_answered(peer.node, sounded);
        let wins = |node| !self.draining || self.serves_without_us(node);
        let candidates = peers.iter().filter(|peer| !is_late || answers(peer));
        let best = candidates.max_by_key(|peer| (wins(peer.node), self.merit(peer)));
        let successor = best.filter(answers).map(|peer| peer.node);
        let is_asked_again = best.is_none() && self.draining;
        if best.is_none() && !is_asked_again {
            self.give_up_handover("The other node does not answer; this node serves on.");
        } else if let Some(handover) = &mut self.standing.own_mut().handover {
            handover.sounded = Some(sounded).filter(|_| !is_asked_again);
        }
        successor
    }

    fn give_up_handover(&mut self, detail: &str) {
        let Some(handover) = self.standing.own_mut().handover.take() else { return };
        self.announce_handover(Why::None, None, By::default());
        if let Some((session, token)) = handover.answer {
            self.answer(session, token, Completion::failed_because(Reason::HostNotAvailable, detail));
        }
    }

    /// Whether this node, which stops, serves on for now: no other one says that it could serve without it, and some may soon. They are
    /// asking each other, or the line between them is just mended. Whoever was elected by this node's own vote would not serve for
    /// longer than this node stays.
    fn waits_for_successor(&self) -> bool {
        if self.now.instant >= self.successor_until || !self.has_lease() {
            return false;
        }
        let voters = &self.consensus.membership().voters;
        let staying = || voters.iter().copied().filter(|voter| self.peers.stays(*voter));
        debug_assert!(!self.peers.stays(self.options.node), "nobody is a peer of itself");
        staying().count() >= majority_of(voters.len()) && !staying().any(|node| self.serves_without_us(node))
    }

    /// Whether the peer reaches a majority without this node, as it says itself.
    fn serves_without_us(&self, node: NodeId) -> bool {
        debug_assert_ne!(node, self.options.node, "it is asked of the others");
        let voters = &self.consensus.membership().voters;
        let reached = self.peers.reached_by(node);
        let has_vote = |voter: &&NodeId| {
            **voter == node
                || (self.peers.stays(**voter) && reached.is_some_and(|reached| reached.contains(voter)))
        };
        self.peers.may_lead(node) && voters.iter().filter(has_vote).count() >= majority_of(voters.len())
    }

    /// With the floating address go the connections that use it, and whoever is not answered by then can say of a get outside of a unit
    /// only that it may have got a message. So every program is told while the address is here, and that has time to leave. Nothing
    /// of theirs is under way any more: what is not answered did not happen.
    fn is_farewell_over(&mut self) -> bool {
        if self.options.address_tail.is_none() {
            return true;
        }
        if !self.send_programs_away() {
            self.is_not_done = true;
            return false;
        }
        let now = self.now.instant;
        let Some(handover) = self.standing.own_mut().handover.as_mut() else { return false };
        debug_assert!(handover.units_until.is_none(), "programs stay for as long as units may go on");
        now >= *handover.told_until.get_or_insert(now + FAREWELL)
    }

    /// Whether none is left, or the turn is over before. Whoever changes something that goes on in steps is told what becomes of it.
    fn send_programs_away(&mut self) -> bool {
        if planted::is(Bug::CutWaitsOff) {
            return true;
        }
        let leading = self.standing.own();
        let moves = leading.handover.and_then(|handover| handover.answer).map(|(session, _)| session);
        let changes = leading.membership_change.as_ref().map(|operation| operation.caller().0);
        let raises = leading.raising.as_ref().map(|raising| raising.caller().0);
        let stays = |id: &SessionId| [moves, changes, raises].contains(&Some(*id));
        let is_to_go = |session: &Session| match session.purpose {
            Purpose::Program | Purpose::Instance => true,
            // One call.
            Purpose::Errand => !session.parked.is_empty(),
            // It came by no address.
            Purpose::Server => false,
        };
        let all = self.sessions.by_id.iter().filter(|(id, session)| !stays(id) && is_to_go(session));
        let all: Vec<SessionId> = all.map(|(id, _)| *id).collect();
        self.turn.next_phase();
        for session in all {
            if self.turn.is_over() {
                return false;
            }
            let reason = Reason::ConnectionBroken;
            self.out.push(Action::CloseSession { session, reason, all_answered: true });
            self.on_session_closed(session);
        }
        true
    }

    /// When the floating address may go.
    pub(super) fn farewell_deadline(&self) -> Option<Instant> {
        let handover = self.standing.leading().and_then(|leading| leading.handover);
        handover.and_then(|handover| handover.told_until).filter(|until| *until > self.now.instant)
    }

    /// Whether programs were sent away, and none is let in until this node has handed over or gives that up.
    pub(super) fn has_said_farewell(&self) -> bool {
        let handover = self.standing.leading().and_then(|leading| leading.handover);
        handover.is_some_and(|handover| handover.told_until.is_some())
    }

    /// Handing over is the one election that breaks the lease. So the floating address goes before, or its time is over.
    fn address_is_gone(&mut self) -> bool {
        let within = self.options.address_goes_within;
        if let Some(handover) = &mut self.standing.own_mut().handover
            && self.options.address_tail.is_some()
            && !handover.parting
        {
            handover.parting = true;
            handover.until = handover.until + within;
            self.address_awaited = self.now.instant + within;
        }
        self.now.instant >= self.address_until.max(self.address_awaited)
    }

    pub(super) fn on_address_gone(&mut self, deadline: Instant) {
        // It may be wanted again by now, or have been.
        let is_wanted = self.published.as_ref().is_some_and(RoleView::is_serving);
        if !is_wanted && deadline >= self.address_until {
            self.address_until = self.now.instant;
            self.address_awaited = self.now.instant;
            self.consensus.has_cleared();
        }
    }

    pub(super) fn publish_role(&mut self) {
        let leads = self.consensus.leader();
        if leads.is_some() && leads != self.leader_known {
            self.leader_known = leads;
            self.stats.leader_changes += 1;
        }
        let view = self.role_view();
        if let (RoleView::Serving { lease_until, .. }, Some(tail)) = (&view, self.options.address_tail) {
            self.address_until = self.address_until.max(*lease_until + tail);
        }
        match &view {
            RoleView::Serving { lease_until, .. } => self.witness.serve_until(*lease_until),
            _ => self.witness.stop_serving(self.now.instant),
        }
        debug_assert!(
            !view.is_serving() || self.is_serving(),
            "whoever says that it serves has applied its first entry"
        );
        debug_assert!(
            !view.is_serving() || self.consensus.is_leader() || planted::is(Bug::ServeWithoutLease),
            "whoever says that it serves leads"
        );
        if self.published.as_ref() != Some(&view) {
            self.published = Some(view.clone());
            self.out.push(Action::PublishRole(view));
        }
    }

    /// This node's part in the queue manager, as its listeners, pages and administrators are told.
    pub(super) fn role_view(&self) -> RoleView {
        let Some(leading) = self.standing.leading() else {
            if self.removed {
                return RoleView::Removed;
            }
            return RoleView::NotServing {
                term: self.consensus.term(),
                leader: self.consensus.leader().filter(|leader| *leader != self.options.node),
                recovering: self.consensus.is_recovering() || self.consensus.parted().is_some(),
            };
        };
        let term = leading.term;
        let Some(since) = leading.serving_since else {
            return RoleView::Elected { term, why: WhyNotServing::Starting };
        };
        if self.state.run().is_ended() {
            return RoleView::Elected { term, why: WhyNotServing::Ended };
        }
        let lease_until = match planted::is(Bug::ServeWithoutLease) {
            true => Some(self.now.instant + Duration::from_secs(5)),
            false => self.consensus.lease_until(),
        };
        match lease_until {
            Some(_) if leading.handover.is_some_and(|handover| handover.parting) => {
                RoleView::Elected { term, why: WhyNotServing::HandingOver }
            }
            Some(lease_until) => RoleView::Serving { term, since, lease_until },
            None if leading.handover.is_some() => RoleView::Elected { term, why: WhyNotServing::HandingOver },
            None => RoleView::Elected { term, why: WhyNotServing::NoLease },
        }
    }
}
