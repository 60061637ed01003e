//! How this node came to serve, for the record of failovers (`qmgr/failovers.rs`).
//!
//! While it follows it keeps in mind when it heard the leader last, and what that one said of its clients. Elected, it
//! notes when what happened, looks for some time whether the one before comes back and as what, and then gives the last of its
//! account. What it knows when it is elected, and when it serves, it says at once: it may be gone a moment later, and who comes
//! next has heard it, and not how long nobody was heard before. Nothing here decides anything.

use std::collections::BTreeMap;
use std::time::Duration;

use trimaran_proto::admin::v1::failover_account::Cause;
use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::admin::v1::moment::Step;
use trimaran_proto::admin::v1::{Classified, Dropped, Failover, FailoverAccount, HandingOver, Moment};
use trimaran_proto::failover::{BECAUSE_MAX, Class};
use trimaran_proto::replica::v1::{Greeting, Service, peer_message::Message as PeerMessage};

use super::proposals::Waiting;
use super::{Action, Replica};
use crate::consensus;
use crate::mqi::{Completion, Data, KeptFailovers, Refusal};
use crate::qmgr::Command;
use crate::types::definition::By;
use crate::types::{Index, Instant, NodeId, Reason, SessionId, Token, Version};

/// For how long whoever took over looks for what becomes of the one before and of its clients.
const ACCOUNT_AFTER: Duration = Duration::from_secs(30);
/// How often it is looked whether followers know what a failover would cost.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Queues with messages that are not persistent that are told of.
const QUEUES_TOLD: usize = 20;
/// Turns further apart are no busy machine any more: the process, or the machine, stood still.
const STALL_MIN: Duration = Duration::from_millis(500);
/// For how long after it a stall is told of.
const STALL_TOLD: Duration = Duration::from_secs(60);

/// What a node sees of who serves, itself included.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness {
    /// When the first turn of this process began.
    started: Option<Instant>,
    /// How long the process stood still the last time, and when that was over.
    stalled: Option<(Duration, Instant)>,
    leader: Option<NodeId>,
    heard: Instant,
    /// When one was heard last that served; not all who are elected come to that.
    served: Option<Instant>,
    /// Until when this node itself served, or may at least.
    served_until: Option<Instant>,
    /// Since then: its process is gone, its connection broke, this node stood for election.
    is_gone: bool,
    is_lost: bool,
    stood: Option<Instant>,
    /// What it said last of its clients.
    service: Service,
    /// What each follower knows of that.
    told: BTreeMap<NodeId, Service>,
    next_told: Instant,
}

/// What a process says of itself: for how long it has run, how long it stood still the last time, and how long ago that was over.
pub(super) struct Own {
    pub running_ms: u64,
    pub stalled_ms: u64,
    pub since_stall_ms: u64,
    /// None where it serves, or never did.
    pub unserved_ms: Option<u64>,
}

/// A leader's own way there.
#[derive(Debug)]
pub(super) struct Takeover {
    /// As it was when this node was elected; what is seen of the one before since then is noted in it, too.
    seen: Witness,
    moments: BTreeMap<Step, Instant>,
    last_index: Index,
    /// That this node counted until then.
    puts_before: u64,
    /// The one before was heard again, and asked.
    is_asked: bool,
    /// It had ceased to serve before it was not heard any more: no majority answered it.
    lacked_quorum: bool,
    returned: Option<Returned>,
    told: Told,
}

/// How much of a leader's account is on its way into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// That it was elected.
    Elected,
    /// That it serves.
    Serves,
    All,
}

/// What the one before was when it was heard again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returned {
    /// The same process, which stood still.
    Stalled,
    /// The same process, which ran all the time.
    Parted,
    Another,
}

impl Witness {
    pub fn begin_turn(&mut self, before: Instant, now: Instant) {
        debug_assert!(before <= now, "turns come one after the other");
        if self.started.is_none() {
            self.started = Some(now);
            return;
        }
        self.stalled = self.stalled.filter(|(_, ended)| now.since(*ended) < STALL_TOLD);
        let stall = now.since(before);
        if stall >= STALL_MIN {
            self.stalled = Some((stall, now));
        }
    }

    pub fn own(&self, now: Instant) -> Own {
        let running = self.started.map_or(Duration::ZERO, |started| now.since(started));
        let (stalled, ended) = self.stalled.unwrap_or((Duration::ZERO, now));
        Own {
            running_ms: running.as_millis() as u64,
            stalled_ms: stalled.as_millis() as u64,
            since_stall_ms: now.since(ended).as_millis() as u64,
            unserved_ms: self.own_unserved(now).map(|unserved| unserved.as_millis() as u64),
        }
    }

    /// `serves`: what it began its term with is committed.
    pub fn hear(&mut self, leader: NodeId, serves: bool, now: Instant) {
        debug_assert!(self.heard <= now, "what is heard now is newer than what was");
        if serves {
            self.served = Some(now);
        }
        if self.leader.replace(leader) != Some(leader) {
            self.service = Service::default();
        }
        (self.heard, self.is_gone, self.is_lost, self.stood) = (now, false, false, None);
    }

    /// This node serves until then, unless something comes between.
    pub fn serve_until(&mut self, lease_until: Instant) {
        self.served_until = self.served_until.max(Some(lease_until));
    }

    /// It does not, from now on.
    pub fn stop_serving(&mut self, now: Instant) {
        self.served_until = self.served_until.map(|until| until.min(now));
    }

    /// Until when this node itself served, now at most.
    pub fn served_until(&self, now: Instant) -> Instant {
        self.served_until.unwrap_or_default().min(now)
    }

    /// For how long this node itself has not served. None where it does, or never has.
    pub fn own_unserved(&self, now: Instant) -> Option<Duration> {
        self.served_until.filter(|until| *until < now).map(|until| now.since(until))
    }

    /// For how long nobody has served, as far as this node knows. None where it never heard of anybody.
    pub fn unserved(&self, now: Instant) -> Option<Duration> {
        let last = self.served.max(self.served_until)?;
        Some(if last < now { now.since(last) } else { Duration::ZERO })
    }

    /// This node itself led until now, and served until then, if it did.
    pub fn serve_no_more(&mut self, node: NodeId, service: Service, served: Option<Instant>, now: Instant) {
        debug_assert!(served.is_none_or(|served| served <= now), "its service is over");
        self.hear(node, false, now);
        self.served = served.or(self.served);
        self.service = service;
        self.told.clear();
    }

    pub fn stand(&mut self, now: Instant) {
        debug_assert!(self.started.is_some(), "a turn has begun");
        self.stood.get_or_insert(now);
    }

    pub fn on_lost(&mut self, node: NodeId, is_gone: bool) {
        self.told.remove(&node);
        if self.leader == Some(node) {
            self.is_lost = true;
            self.is_gone |= is_gone;
        }
    }

    pub fn on_service(&mut self, from: NodeId, service: Service) {
        if self.leader == Some(from) {
            self.service = service;
        }
    }
}

impl Takeover {
    pub fn new(seen: Witness, now: Instant, last_index: Index, puts_before: u64) -> Takeover {
        debug_assert!(seen.heard <= now, "who was heard was heard before");
        let mut moments = BTreeMap::from([(Step::Elected, now)]);
        moments.insert(Step::Stands, seen.stood.unwrap_or(now));
        Takeover {
            seen,
            moments,
            last_index,
            puts_before,
            is_asked: false,
            lacked_quorum: false,
            returned: None,
            told: Told::Elected,
        }
    }

    /// The first time that it happened.
    pub fn note(&mut self, step: Step, at: Instant) {
        self.moments.entry(step).or_insert(at);
    }

    /// It has to be asked again.
    pub fn on_lost(&mut self, node: NodeId, is_gone: bool) {
        self.seen.on_lost(node, is_gone);
        self.is_asked &= self.seen.leader != Some(node);
    }

    /// Whether the node should say what it is: it served before, and was not heard since.
    fn asks(&self, node: NodeId) -> bool {
        self.seen.leader == Some(node) && self.returned.is_none() && !self.is_asked && self.told < Told::All
    }

    /// `election`: after a quarter more than that a leader that nobody answers does not lead any more, with the time of its lease.
    fn on_greeting(&mut self, from: NodeId, greeting: &Greeting, election: Duration, now: Instant) {
        if self.seen.leader != Some(from) || self.returned.is_some() {
            return;
        }
        debug_assert!(self.seen.heard <= now, "it was heard before it came back");
        let silent = now.since(self.seen.heard).as_millis() as u64;
        // Words of its that were long on their way, or that it said without a majority, are no service.
        let ended = greeting.unserved_ms.map(|ms| Instant(now.0.saturating_sub(ms.saturating_mul(1000))));
        if let (Some(ended), Some(served)) = (ended, &mut self.seen.served)
            && ended < *served
        {
            *served = ended;
            self.lacked_quorum |= self.seen.heard.since(ended) >= election * 5 / 4;
        }
        self.returned = Some(match greeting.running_ms {
            running if running < silent => Returned::Another,
            // One that was over before nobody heard it any more is not why.
            _ if greeting.stalled_ms > 0 && greeting.since_stall_ms < silent => Returned::Stalled,
            _ => Returned::Parted,
        });
    }

    fn clients_before(&self) -> u64 {
        self.seen.service.clients
    }

    fn cause(&self, own: NodeId, is_planned: bool) -> Cause {
        // Who was elected, and did not come to serve, is none that was there before.
        match self.seen.leader.filter(|_| self.seen.served.is_some()) {
            None => Cause::Start,
            Some(_) if is_planned => Cause::Planned,
            Some(before) if before == own || self.lacked_quorum => Cause::NoQuorum,
            Some(_) if self.seen.is_gone => Cause::Crash,
            Some(_) => match self.returned {
                Some(Returned::Another) => Cause::Restart,
                Some(Returned::Stalled) => Cause::Hang,
                Some(Returned::Parted) => Cause::Partition,
                None if self.seen.is_lost => Cause::Unreachable,
                None => Cause::Hang,
            },
        }
    }

    /// Whether nothing that is still to come could say more.
    fn is_settled(&self, cause: Cause) -> bool {
        let is_sure = self.returned.is_some()
            || matches!(cause, Cause::Planned | Cause::Crash | Cause::NoQuorum | Cause::Start);
        let are_back = self.clients_before() > 0 && self.moments.contains_key(&Step::ClientsBack);
        is_sure && are_back && self.moments.contains_key(&Step::FirstPut)
    }

    /// Since one was heard last that served, or since this process began.
    fn moments(&self, cause: Cause, timing: &consensus::Options) -> Vec<Moment> {
        let base = self.seen.served.or(self.seen.started).unwrap_or_default();
        let moment = |(step, at): (&Step, &Instant)| Moment {
            step: (*step).into(),
            after_us: at.since(base).as_micros() as u64,
        };
        let mut all = self.moments.clone();
        if matches!(cause, Cause::Hang | Cause::Unreachable | Cause::Partition | Cause::Restart) {
            all.insert(Step::Missed, self.seen.heard + timing.heartbeat);
            all.insert(Step::Fenced, self.seen.heard + timing.lease());
        }
        let mut moments: Vec<Moment> = all.iter().map(moment).collect();
        moments.sort_by_key(|moment| (moment.after_us, moment.step));
        debug_assert!(self.moments.contains_key(&Step::Elected), "who gives an account was elected");
        moments
    }
}

impl Replica {
    pub(super) fn note_moment(&mut self, step: Step, at: Instant) {
        if let Some(leading) = self.standing.leading_mut() {
            leading.takeover.note(step, at);
        }
    }

    /// A message of Raft came from there.
    pub(super) fn note_heard(&mut self, from: NodeId) {
        if self.consensus.leader() == Some(from) {
            let serves = self.consensus.committed().0 == self.consensus.term();
            self.witness.hear(from, serves, self.now.instant);
        }
        // Whoever served before says what became of it.
        let asks = self.standing.leading().is_some_and(|leading| leading.takeover.asks(from));
        if asks && self.peers.is_connected(from) {
            self.standing.own_mut().takeover.is_asked = true;
            self.greet_and_ask(from, true);
        }
    }

    pub(super) fn note_lost(&mut self, node: NodeId, is_gone: bool) {
        self.witness.on_lost(node, is_gone);
        if let Some(leading) = self.standing.leading_mut() {
            leading.takeover.on_lost(node, is_gone);
        }
    }

    pub(super) fn note_what_became_of(&mut self, node: NodeId, greeting: &Greeting) {
        let (now, election) = (self.now.instant, self.options.consensus.election);
        if let Some(leading) = self.standing.leading_mut() {
            leading.takeover.on_greeting(node, greeting, election, now);
        }
    }

    pub(super) fn drive_failovers(&mut self) {
        let Some(leading) = self.standing.serving() else { return };
        if leading.takeover.told < Told::All {
            self.watch_takeover();
        }
        self.tell_followers();
    }

    /// Until its account is given.
    fn watch_takeover(&mut self) {
        let now = self.now.instant;
        let clients = self.sessions.programs() as u64;
        let Some(leading) = self.standing.serving_mut() else { return };
        if self.stats.puts > leading.takeover.puts_before {
            leading.takeover.note(Step::FirstPut, now);
        }
        let before = leading.takeover.clients_before();
        if before > 0 && clients * 100 >= before * 99 {
            leading.takeover.note(Step::ClientsBack, now);
        }
        let since = leading.serving_since.expect("it serves");
        let takeover = &leading.takeover;
        let Some(open) = self.state.open_failover(leading.term) else { return };
        let is_settled = takeover.is_settled(takeover.cause(self.options.node, open.planned.is_some()));
        if is_settled || now.since(since) >= ACCOUNT_AFTER {
            self.account_for_service(Told::All);
        } else if takeover.told < Told::Serves && self.time.is_some() {
            self.account_for_service(Told::Serves);
        }
    }

    /// Says how this service began, as far as is known now; [`Told::All`] is said once, and the last word.
    fn account_for_service(&mut self, told: Told) {
        let leading = self.standing.own();
        debug_assert!(leading.serving_since.is_some(), "what became of its election is known");
        let term = leading.term;
        let open = self.state.open_failover(term).filter(|_| leading.takeover.told < told);
        let Some(Failover { before, planned, .. }) = open else { return };
        let before = Some(NodeId(*before)).filter(|before| before.0 != 0);
        let account = self.account(before, planned.is_some());
        self.standing.own_mut().takeover.told = told;
        let is_last = told == Told::All;
        self.propose(Command::Account { term, account: Box::new(account), is_last }, Waiting::Nobody);
    }

    /// What is known at the election, for the entry that begins the record: whoever comes next could not say it.
    pub(super) fn account_for_election(&self) -> Command {
        let leading = self.standing.own();
        debug_assert!(leading.serving_since.is_none(), "it is elected just now");
        Command::Account { term: leading.term, account: Box::new(self.account(None, false)), is_last: false }
    }

    /// What is known now.
    fn account(&self, before: Option<NodeId>, is_planned: bool) -> FailoverAccount {
        debug_assert!(
            self.state.version() >= Version::RECORDS,
            "records begin with the version that has them"
        );
        let leading = self.standing.own();
        let takeover = &leading.takeover;
        let cause = takeover.cause(self.options.node, is_planned);
        let served_for = leading.serving_since.map_or(Duration::ZERO, |since| self.now.instant.since(since));
        let before = before.or(takeover.seen.leader);
        let service = &takeover.seen.service;
        FailoverAccount {
            cause: cause.into(),
            served_ms: self.wall().0 - served_for.as_millis() as i64,
            moments: takeover.moments(cause, &self.options.consensus),
            units_backed_out: service.units,
            dropped: service.not_persistent.clone(),
            clients_before: service.clients,
            clients_after: self.sessions.programs() as u64,
            last_index: takeover.last_index.0,
            node_name: self.name_of(self.options.node),
            before_name: before.map_or_else(String::new, |before| self.name_of(before)),
        }
    }

    /// Puts into the log that this node hands over, so that whoever takes over knows why; `Why::None` takes it back.
    pub(super) fn announce_handover(&mut self, why: Why, to: Option<NodeId>, by: By) {
        if self.state.version() < Version::RECORDS || self.standing.serving().is_none() {
            return;
        }
        self.account_for_service(Told::All);
        let said =
            HandingOver { why: why.into(), to: to.map_or(0, |node| node.0), user: by.user.clone(), at_ms: 0 };
        let (by, to) = match self.keeps_trail() {
            true => (by.into(), to.map(|node| self.name_of(node)).unwrap_or_default()),
            false => Default::default(),
        };
        self.propose(Command::HandOver { said, by, to }, Waiting::Nobody);
    }

    /// Says it once more where units of work could end first: from here on nobody is answered, and that is what the record counts from.
    pub(super) fn announce_handover_again(&mut self) {
        if let Some(said) = self.state.handing_over().cloned() {
            let (by, to) = Default::default();
            self.propose(Command::HandOver { said, by, to }, Waiting::Nobody);
        }
    }

    /// What a failover would cost now.
    pub(super) fn service(&self) -> Service {
        let units = self.sessions.by_id.values().filter(|session| session.unit.messages() > 0).count();
        let mut queues = Vec::new();
        if self.state.sums().not_persistent > 0 {
            let with = self.state.queues().filter(|queue| queue.not_persistent() > 0);
            queues.extend(
                with.map(|queue| Dropped { queue: queue.name.to_string(), messages: queue.not_persistent() }),
            );
            queues.sort_by(|one, other| {
                other.messages.cmp(&one.messages).then_with(|| one.queue.cmp(&other.queue))
            });
            queues.truncate(QUEUES_TOLD);
        }
        debug_assert!(
            queues.iter().all(|dropped| dropped.messages > 0),
            "a queue that would lose nothing is not told of"
        );
        Service {
            term: self.consensus.term().0,
            clients: self.sessions.programs() as u64,
            units: units as u64,
            not_persistent: queues,
        }
    }

    /// Followers know what a failover would cost, because who could say it afterwards is gone.
    fn tell_followers(&mut self) {
        // Programs that were sent away in a planned move were here before it.
        let is_over = self.has_said_farewell();
        if is_over || self.now.instant < self.witness.next_told || self.state.version() < Version::RECORDS {
            return;
        }
        self.witness.next_told = self.now.instant + TELL_EVERY;
        let service = self.service();
        for node in self.peers.heard() {
            let known = self.witness.told.get(&node);
            if self.peers.is_connected(node) && known != Some(&service) {
                self.witness.told.insert(node, service.clone());
                self.out.push(Action::Send { to: node, message: PeerMessage::Service(service.clone()) });
            }
        }
    }

    /// Every node has them.
    pub(super) fn on_failovers(&mut self, session: SessionId, token: Token, after: u64) {
        let from = after.saturating_add(1);
        let failovers: Vec<Failover> =
            self.state.failovers(from).take(trimaran_proto::failover::A_PAGE).cloned().collect();
        debug_assert!(
            failovers.windows(2).all(|pair| pair[0].number + 1 == pair[1].number),
            "a page is in the order of numbers"
        );
        self.turn.spend(super::turn::DESCRIBE * failovers.len() as u64);
        let upto = failovers.last().map_or(after, |last| last.number);
        let classified =
            self.state.classified(from).take_while(|said| said.number <= upto).cloned().collect();
        let canary = self.state.canary().cloned();
        let kept = KeptFailovers { records: failovers, classified, canary };
        self.answer(session, token, Completion::ok(Data::Failovers(Box::new(kept))));
    }

    /// A person says what a record counts as. The record stays as it was sealed.
    pub(super) fn on_classify(&mut self, session: SessionId, token: Token, said: Classified) {
        debug_assert!(self.is_serving(), "whoever serves proposes what is replicated");
        if let Err(refusal) = self.check_classify(&said) {
            return self.answer(session, token, refusal.into());
        }
        let By { user, application, address, channel, .. } = self.by(session);
        let because = said.because.trim().to_string();
        let said = Classified { because, user, at_ms: 0, application, address, channel, ..said };
        self.propose(Command::Classify(Box::new(said)), Waiting::Admin { session, token, queue: None });
    }

    fn check_classify(&self, said: &Classified) -> Result<(), Refusal> {
        let version = self.state.version();
        if version < Version::RECORDS {
            let detail = format!(
                "Records of failovers are kept since version {}, and the queue manager has version {version}: raise it with \
                 `trimaran cluster upgrade`.",
                Version::RECORDS
            );
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        let wrong = |detail: String| Err(Refusal::because(Reason::AttrValueError, detail));
        if Class::from_wire(said.class()).is_none() {
            return wrong(format!(
                "That is no class: say one of {}.",
                Class::ALL.map(Class::word).join(", ")
            ));
        }
        if !(1..=BECAUSE_MAX).contains(&said.because.trim().chars().count()) {
            return wrong(format!("Say why, in 1 to {BECAUSE_MAX} characters."));
        }
        let mut kept = self.state.failovers(0).map(|record| record.number);
        let number = said.number;
        match (kept.next(), self.state.failovers(number).next()) {
            (None, _) => wrong(format!("There is no record {number}, nor any other.")),
            (Some(first), found) if number < first || found.is_none() => {
                let last = kept.last().unwrap_or(first);
                wrong(format!("There is no record {number}: from {first} to {last} are kept."))
            }
            _ => Ok(()),
        }
    }
}
