//! The mind's task: hands a replica its events, turn by turn, and carries out what it asks for.
//!
//! ```text
//!   wait for mail or the next deadline
//!   read the clock once → begin_turn → handle … handle → end_turn → carry out the actions, in order
//! ```
//! The simulator's world does the same with the same enum. Nothing here decides anything, and nothing here waits
//! within a turn: what goes out goes through queues whose length somebody else bounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Sleep;
use trimaran_proto::replica::v1::PeerMessage;

use super::{clock, notices};
use crate::consensus::{LogWrite, Parted};
use crate::listener::waits;
use crate::mqi::{Data, Refusal, Terms};
use crate::qmgr::{LoadRequest, StoreBatch};
use crate::replica::{Action, Delivery, Event, Mail, Mailbox, OutboxSender, Publisher, Replica, Weight};
use crate::types::{
    Index, Instant, LookupMap, Membership, NodeId, Reason, RequestId, RoleView, SessionId, Token, Version,
    WriteNumber,
};

/// Events of one turn; what is left comes in the next.
const EVENTS_A_TURN: usize = 1024;
const MAILS_A_TURN: usize = 1024;
/// A turn begins at least so often: elapsed time must become ticks.
const TURN_EVERY: Duration = Duration::from_millis(10);
/// With so many log writes of calls on their way, calls wait for the oldest: they make one entry together instead of
/// many. Writes that no call made do not count: parts of large bodies follow each other for as long as there are any.
const WRITES_AHEAD: usize = 2;
/// A turn that took less is not the longest one that anybody asks for.
const LONG_TURN: Duration = Duration::from_millis(1);
const STATS_EVERY: Duration = Duration::from_millis(200);
/// For how long a node is not heard before the log says that it is waited for.
const WAITS_SAID_AFTER: Duration = Duration::from_secs(3);

/// What carries out a replica's actions on disks and lines. Nothing in here waits for the mind.
pub trait Hands: Send + 'static {
    fn persist(&mut self, write: LogWrite);
    fn store(&mut self, batch: StoreBatch);
    fn load_rows(&mut self, request: LoadRequest);
    fn load_entries(&mut self, request: RequestId, first: Index, until: Index, bytes_max: usize);
    fn truncate_log(&mut self, upto: Index);
    /// The replica is no longer recovering: its log counts again.
    fn caught_up(&mut self);
    /// To be known after a restart: this node has another history than a leader, or no longer so.
    fn note_parted(&mut self, parted: Option<Parted>);
    /// All that one turn had to say to one peer.
    fn send(&mut self, to: NodeId, messages: Vec<PeerMessage>);
    fn send_snapshot(&mut self, to: NodeId, term: u64);
    fn set_membership(&mut self, membership: Membership);
    fn set_version(&mut self, version: Version);
    /// This program is too old to go on.
    fn stuck(&mut self, sentence: String);
    /// Each role that is published, in order.
    fn role(&mut self, role: &RoleView);
    /// The node was removed from the group for good.
    fn removed(&mut self);
    /// The store is not trusted any more.
    fn get_state_again(&mut self, reason: String);
    /// Everything one turn asked for has been said.
    fn turn_ended(&mut self);
}

pub struct Driver<H> {
    replica: Replica,
    queue_manager: u32,
    name: String,
    mailbox: Mailbox,
    publisher: Publisher,
    hands: H,
    sessions: LookupMap<SessionId, Session>,
    /// Sessions with something in `pending`, in the order they got it.
    answered: Vec<SessionId>,
    outgoing: Vec<(NodeId, Vec<PeerMessage>)>,
    written: WriteNumber,
    persisted: WriteNumber,
    ahead: Ahead,
    recovering: bool,
    stats_published: Instant,
    /// What it waits for since when, and whether the log has it.
    waits: Option<Waits>,
}

struct Waits {
    sentence: String,
    since: Instant,
    is_said: bool,
}

struct Session {
    /// Who asked for it, until that is answered.
    admitted: Option<oneshot::Sender<Result<Terms, Refusal>>>,
    outbox: OutboxSender,
    /// What each unanswered call holds. By token, which programs count up: those lie side by side.
    held: BTreeMap<Token, Weight>,
    /// All of them.
    holds: Weight,
    /// Those that were answered in this turn.
    given: Weight,
    pending: Vec<(Token, crate::mqi::Completion)>,
}

/// Log writes of turns that took calls, not on disk yet.
#[derive(Default)]
struct Ahead(VecDeque<WriteNumber>);

impl Ahead {
    fn written(&mut self, write: WriteNumber) {
        self.0.push_back(write);
    }

    fn persisted(&mut self, upto: WriteNumber) {
        while self.0.front().is_some_and(|write| *write <= upto) {
            self.0.pop_front();
        }
    }

    fn is_far(&self) -> bool {
        self.0.len() > WRITES_AHEAD
    }
}

impl<H: Hands> Driver<H> {
    pub fn new(
        replica: Replica,
        queue_manager: u32,
        name: String,
        mailbox: Mailbox,
        publisher: Publisher,
        hands: H,
    ) -> Self {
        let recovering = matches!(*publisher.role.borrow(), RoleView::NotServing { recovering: true, .. });
        Driver {
            replica,
            queue_manager,
            name,
            mailbox,
            publisher,
            hands,
            sessions: LookupMap::default(),
            answered: Vec::new(),
            outgoing: Vec::new(),
            written: WriteNumber::default(),
            persisted: WriteNumber::default(),
            ahead: Ahead::default(),
            recovering,
            stats_published: Instant::default(),
            waits: None,
        }
    }

    /// Runs until every inbox is gone. To be aborted otherwise, which ends it between two turns.
    pub async fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS_A_TURN);
        let mut mails = Vec::with_capacity(MAILS_A_TURN);
        let mut actions = Vec::new();
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            if !self.wait(&mut timer, &mut events, &mut mails).await {
                return;
            }
            if self.is_writing() && !mails.is_empty() {
                // The log is busy anyhow: what other sessions are about to say comes into the same turn.
                tokio::task::yield_now().await;
                let mails_max = MAILS_A_TURN.saturating_sub(mails.len()).max(1);
                self.take_more(&mut events, &mut mails, mails_max).await;
            }
            self.turn(&mut events, &mut mails, &mut actions);
        }
    }

    /// Until there is mail, or a deadline has come. False when nobody can send any more.
    async fn wait(
        &mut self,
        timer: &mut Pin<Box<Sleep>>,
        events: &mut Vec<Event>,
        mails: &mut Vec<Mail>,
    ) -> bool {
        if self.replica.is_not_done() {
            // Others on this worker come in between, and what they have for the mind comes first.
            tokio::task::yield_now().await;
            return self.take_more(events, mails, self.mails_wanted()).await;
        }
        let due = match self.replica.next_deadline() {
            None => TURN_EVERY,
            Some(deadline) => deadline.since(clock::instant()).min(TURN_EVERY),
        };
        let due = tokio::time::Instant::now() + due;
        // An earlier alarm than needed is only a turn with nothing to do; setting it anew each turn costs more.
        if timer.is_elapsed() || due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        let mails_max = self.mails_wanted();
        poll_fn(|context| {
            let taken = self.mailbox.poll_take(context, mails, mails_max, events, EVENTS_A_TURN);
            if let Poll::Ready(open) = taken {
                return Poll::Ready(open);
            }
            timer.as_mut().poll(context).map(|()| true)
        })
        .await
    }

    /// What has come meanwhile; does not wait. False when nobody can send any more.
    async fn take_more(&mut self, events: &mut Vec<Event>, mails: &mut Vec<Mail>, mails_max: usize) -> bool {
        let events_max = EVENTS_A_TURN.saturating_sub(events.len()).max(1);
        poll_fn(|context| match self.mailbox.poll_take(context, mails, mails_max, events, events_max) {
            Poll::Ready(open) => Poll::Ready(open),
            Poll::Pending => Poll::Ready(true),
        })
        .await
    }

    fn is_writing(&self) -> bool {
        self.written > self.persisted
    }

    fn mails_wanted(&self) -> usize {
        if self.ahead.is_far() { 0 } else { MAILS_A_TURN }
    }

    fn turn(&mut self, events: &mut Vec<Event>, mails: &mut Vec<Mail>, actions: &mut Vec<Action>) {
        let now = clock::now();
        let cpu = clock::thread_cpu_us_lately(now.instant);
        self.replica.begin_turn(now);
        for event in events.drain(..) {
            if let Event::LogPersisted { write } = event {
                self.persisted = self.persisted.max(write);
            }
            self.replica.handle(event);
        }
        self.ahead.persisted(self.persisted);
        let (written, calls) = (self.written, !mails.is_empty());
        for mail in mails.drain(..) {
            self.on_mail(mail);
        }
        self.replica.end_turn(actions);
        for action in actions.drain(..) {
            self.carry_out(action);
        }
        if calls && self.written > written {
            self.ahead.written(self.written);
        }
        self.flush();
        self.hands.turn_ended();
        // The processor's clock costs a system call: where a turn was short, nobody asks once more. What was read before it may
        // be as old as a long turn is long; no turn uses more of a processor than time went by.
        let took = clock::instant().since(now.instant);
        if took >= LONG_TURN {
            let used = clock::thread_cpu_us() - cpu;
            self.replica.note_turn_cpu(used.min(took.as_micros() as u64));
        }
        if now.instant.since(self.stats_published) >= STATS_EVERY {
            self.stats_published = now.instant;
            let stats = self.replica.stats();
            self.publisher.stats.send_if_modified(|published| {
                let changed = published != stats;
                published.clone_from(stats);
                changed
            });
            self.publish_waits_for(now.instant);
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Connect { session, connect, admitted, outbox } => {
                let asked = Session {
                    admitted: Some(admitted),
                    outbox,
                    held: BTreeMap::new(),
                    holds: Weight::default(),
                    given: Weight::default(),
                    pending: Vec::new(),
                };
                self.sessions.insert(session, asked);
                self.replica.handle(Event::Connect { session, connect });
            }
            Mail::Calls { session, calls } => {
                let Some(known) = self.sessions.get_mut(&session) else {
                    // It was closed by the queue manager, and does not know yet.
                    let weights = calls.iter().map(|(_, call)| self.mailbox.weight(call));
                    self.mailbox.give_back(session, weights.fold(Weight::default(), Weight::plus));
                    return;
                };
                // All of them first: they were written by another thread, and are so fetched from its processor at the same time.
                let weights: Vec<Weight> = calls.iter().map(|(_, call)| self.mailbox.weight(call)).collect();
                for ((token, call), weight) in calls.into_iter().zip(weights) {
                    known.holds = known.holds.plus(weight);
                    if let Some(replaced) = known.held.insert(token, weight) {
                        known.holds = known.holds.minus(replaced);
                        self.mailbox.give_back(session, replaced);
                    }
                    self.replica.handle(Event::Call { session, token, call });
                }
            }
            Mail::Closed { session } => {
                if let Some(closed) = self.sessions.remove(&session) {
                    self.mailbox.give_back(session, closed.holds.plus(closed.given));
                    self.replica.handle(Event::SessionClosed { session });
                }
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Persist(write) => {
                self.written = self.written.max(write.number);
                self.hands.persist(write);
            }
            Action::Send { to, message } => {
                let message = PeerMessage { queue_manager: self.queue_manager, message: Some(message) };
                match self.outgoing.iter_mut().find(|(node, _)| *node == to) {
                    Some((_, messages)) => messages.push(message),
                    None => self.outgoing.push((to, vec![message])),
                }
            }
            Action::SendSnapshot { to, term } => self.hands.send_snapshot(to, term),
            Action::Complete { session, token, completion } => self.complete(session, token, completion),
            Action::Store(batch) => self.hands.store(batch),
            Action::LoadRows(request) => self.hands.load_rows(request),
            Action::LoadEntries { request, first, until, bytes_max } => {
                self.hands.load_entries(request, first, until, bytes_max);
            }
            Action::Admit { session, admitted } => self.admit(session, admitted),
            Action::CloseSession { session, reason, all_answered } => {
                self.close(session, reason, all_answered)
            }
            Action::PublishRole(role) => self.publish_role(role),
            Action::PublishListeners(listeners) => {
                self.publisher.listeners.send_replace(listeners);
            }
            Action::PublishRegister(register) => {
                self.publisher.register.send_replace(Some(register));
            }
            Action::TruncateLog { upto } => self.hands.truncate_log(upto),
            Action::PublishMembership(membership) => {
                tracing::info!(
                    queue_manager = self.name,
                    voters = names(&membership.voters, &membership),
                    learners = names(&membership.learners, &membership),
                    removed_ids = names(&membership.removed, &membership),
                    "members"
                );
                self.publisher.membership.send_replace(membership.clone());
                self.hands.set_membership(membership);
            }
            Action::PublishVersion(version) => {
                tracing::info!(queue_manager = self.name, version = version.0, "version");
                self.hands.set_version(version);
            }
            Action::Stuck { sentence } => self.hands.stuck(sentence),
            Action::NoteParted { parted } => self.hands.note_parted(parted),
            Action::Removed => self.hands.removed(),
            Action::TrailEnds(record) => notices::trail_ends(&self.name, &record),
            Action::Report { sentence } => tracing::error!(queue_manager = self.name, "{sentence}"),
            Action::GetStateAgain { reason } => self.hands.get_state_again(reason),
        }
    }

    fn complete(&mut self, session: SessionId, token: Token, completion: crate::mqi::Completion) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        if !matches!(completion.data, Data::Progress { .. })
            && let Some(weight) = known.held.remove(&token)
        {
            known.holds = known.holds.minus(weight);
            known.given = known.given.plus(weight);
        }
        if known.pending.is_empty() {
            self.answered.push(session);
        }
        known.pending.push((token, completion));
    }

    fn admit(&mut self, session: SessionId, admitted: Result<Terms, Refusal>) {
        let Some(asked) = self.sessions.get_mut(&session).and_then(|asked| asked.admitted.take()) else {
            return;
        };
        if admitted.is_err() {
            self.sessions.remove(&session);
        }
        // Who went away meanwhile has dropped the handle, and the session is closed then.
        let _ = asked.send(admitted);
    }

    fn close(&mut self, session: SessionId, reason: Reason, all_answered: bool) {
        let Some(closed) = self.sessions.remove(&session) else { return };
        self.mailbox.give_back(session, closed.holds.plus(closed.given));
        if !closed.pending.is_empty() {
            let _ = closed.outbox.send(Delivery::Completions(closed.pending));
        }
        let _ = closed.outbox.send(Delivery::Closed { reason, all_answered });
    }

    fn publish_role(&mut self, role: RoleView) {
        match &role {
            RoleView::NotServing { term, leader, recovering } => tracing::info!(
                queue_manager = self.name,
                term = term.0,
                leader = leader.map(|node| node.0),
                recovering,
                "not serving"
            ),
            // The sentence of `removed` says it.
            RoleView::Removed => {}
            RoleView::Elected { term, .. } => {
                let role = role.role().as_str();
                tracing::info!(queue_manager = self.name, term = term.0, role, "leads and does not serve");
            }
            RoleView::Serving { term, .. } if !self.publisher.role.borrow().is_serving() => {
                tracing::info!(queue_manager = self.name, term = term.0, "serving");
            }
            // The lease was renewed.
            RoleView::Serving { .. } => {}
        }
        let recovering = matches!(role, RoleView::NotServing { recovering: true, .. });
        if self.recovering && !recovering && role != RoleView::Removed {
            self.hands.caught_up();
        }
        self.recovering = recovering;
        self.hands.role(&role);
        self.publisher.role.send_replace(role);
    }

    /// The log has it when it stands, not while nodes find each other or one learns that it was removed.
    fn publish_waits_for(&mut self, now: Instant) {
        let waits_for = self.replica.waits_for();
        let own = self.replica.consensus().node();
        let sentence = waits::sentence(own, &waits_for, &self.publisher.membership.borrow());
        self.publisher.waits_for.send_if_modified(|published| {
            let changed = *published != waits_for;
            *published = waits_for;
            changed
        });
        match (sentence, &mut self.waits) {
            (None, waits) => *waits = None,
            (Some(sentence), Some(waits)) if waits.sentence == sentence => {
                if !waits.is_said && now.since(waits.since) >= WAITS_SAID_AFTER {
                    waits.is_said = true;
                    tracing::info!(queue_manager = self.name, "{sentence}");
                }
            }
            (Some(sentence), waits) => *waits = Some(Waits { sentence, since: now, is_said: false }),
        }
    }

    /// Answers and peer messages leave once a turn, in one piece each.
    fn flush(&mut self) {
        let units_decided = self.replica.queue_manager().units_decided();
        self.publisher.publish_units_decided(units_decided);
        for (to, messages) in self.outgoing.drain(..) {
            self.hands.send(to, messages);
        }
        for session in self.answered.drain(..) {
            if let Some(known) = self.sessions.get_mut(&session) {
                let pending = std::mem::take(&mut known.pending);
                self.mailbox.give_back(session, std::mem::take(&mut known.given));
                // A listener that is gone drops its handle, and the session is closed then.
                let _ = known.outbox.send(Delivery::Completions(pending));
            }
        }
    }
}

/// Nodes for the log: by their names, and by their ids where they have none any more.
fn names(nodes: &BTreeSet<NodeId>, membership: &Membership) -> String {
    let name =
        |node: &NodeId| membership.nodes.get(node).map_or_else(|| node.to_string(), |info| info.name.clone());
    nodes.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "driver_test.rs"]
mod tests;
