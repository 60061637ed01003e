//! What must hold between the parts of a mind at the end of a turn, whatever happened in it.
//!
//! Each part looks after itself (its own `assert_holds`); here they are compared with each other: what is counted in one
//! with what is kept in another. With debug assertions only, and called by `end_turn` as often as the state is checked.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::free::Owner;
use super::leading::Leading;
use super::leaving::Left;
use super::locks::{Lock, locks_of};
use super::proposals::{Item, Waiting};
use super::sessions::Session;
use super::units::NotPersistent;
use crate::mqi::{Purpose, Wait};
use crate::qmgr::Place;
use crate::types::{Persistence, Position, QueueId, SessionId};

/// What was proposed by this leader and is not applied, or ends over turns, summed up by who is waited for.
#[derive(Debug, Default)]
struct UnderWay {
    /// Puts and commits.
    of_session: BTreeMap<SessionId, u32>,
    /// Messages that were let in.
    incoming: BTreeMap<QueueId, u64>,
    /// Messages that are reserved for what was proposed.
    held: BTreeSet<(QueueId, Position)>,
    staged_parts: usize,
    maintaining: usize,
    leaving: BTreeMap<QueueId, u64>,
    /// The same of those that ask to be told of it.
    reporting: BTreeMap<QueueId, u64>,
    locked: BTreeSet<QueueId>,
    defining: usize,
}

impl UnderWay {
    fn of(leading: &Leading) -> UnderWay {
        let mut all = UnderWay::default();
        for item in leading.proposals.items() {
            match item {
                Item::Command(waiting) => all.add(waiting),
                Item::Ride(ride) => {
                    ride.messages().for_each(|(queue, _)| *all.incoming.entry(*queue).or_default() += 1);
                }
            }
        }
        leading.staging.waiting().for_each(|waiting| all.add(waiting));
        leading.endings.incoming().for_each(|queue| *all.incoming.entry(queue).or_default() += 1);
        leading.endings.held().for_each(|message| all.hold(message));
        all
    }

    fn add(&mut self, waiting: &Waiting) {
        if let Some(session) = waiting.in_order_of() {
            *self.of_session.entry(session).or_default() += 1;
        }
        waiting.let_in().for_each(|(queue, count)| *self.incoming.entry(queue).or_default() += count);
        match waiting {
            Waiting::Get { from, .. } | Waiting::Move { from, .. } => self.hold(*from),
            Waiting::Expired { from, .. } => {
                self.hold(*from);
                *self.reporting.entry(from.0).or_default() += 1;
            }
            Waiting::Commit { unit, .. } => {
                unit.gets.iter().for_each(|get| self.hold(*get));
                let queues = unit.not_persistent.iter().flat_map(NotPersistent::queues);
                queues.for_each(|queue| *self.incoming.entry(queue).or_default() += 1);
            }
            Waiting::Backout { gets, .. } => gets.iter().for_each(|get| self.hold(*get)),
            Waiting::Expire { queue, messages } => *self.leaving.entry(*queue).or_default() += messages,
            Waiting::Admin { queue: Some(queue), .. } | Waiting::Gone { queue } => {
                let is_first = self.locked.insert(*queue);
                debug_assert!(is_first, "a queue is emptied or deleted by one command at a time");
            }
            Waiting::Staged { .. } => self.staged_parts += 1,
            Waiting::Maintain { .. } => self.maintaining += 1,
            Waiting::Define { .. } | Waiting::Made { .. } => self.defining += 1,
            Waiting::Nobody
            | Waiting::Event { .. }
            | Waiting::Put { .. }
            | Waiting::Seal { .. }
            | Waiting::Admin { queue: None, .. }
            | Waiting::BeginTerm => {}
        }
    }

    fn hold(&mut self, message: (QueueId, Position)) {
        let is_first = self.held.insert(message);
        debug_assert!(is_first, "a message is waited for by one command");
    }
}

impl Replica {
    pub(super) fn assert_holds(&self) {
        self.assert_applying_holds();
        self.assert_state_holds();
        self.sessions.assert_holds(self.left.iter().flat_map(Left::handles));
        self.loads.assert_holds();
        self.residents.assert_holds();
        self.clocks.assert_holds();
        self.comparison.assert_holds(self.consensus.term());
        self.recovery.assert_holds(self.consensus.term());
        match self.standing.serving() {
            Some(leading) => self.assert_serving_holds(leading),
            None => self.sessions.by_id.values().for_each(|session| self.assert_not_served(session)),
        }
        if let Some(leading) = self.standing.leading() {
            leading.assert_holds(self.now.instant);
            leading.proposals.assert_holds(self.consensus.applied_index(), self.consensus.last_index());
            debug_assert!(leading.term <= self.consensus.term(), "nobody leads in a term that is to come");
            debug_assert!(
                leading.locked.iter().all(|queue| self.state.queue(*queue).is_some()),
                "a queue that is locked is there until it is decided what becomes of it"
            );
            if let Some(operation) = &leading.membership_change {
                operation.assert_holds(self.consensus.last_index());
            }
        }
    }

    fn assert_applying_holds(&self) {
        debug_assert!(self.applied.is_nothing(), "what a command did was dealt with when it had been done");
        debug_assert!(
            !self.state.is_under_way() || self.applying.is_in_entry(),
            "a unit of work is carried out within an entry"
        );
    }

    fn assert_state_holds(&self) {
        debug_assert!(
            self.state.sums().not_persistent == 0 || self.is_serving(),
            "what is not persistent is with whoever serves"
        );
        debug_assert_eq!(
            self.published,
            Some(self.role_view()),
            "a node says of its part in the queue manager what is so when a turn ends"
        );
        debug_assert_eq!(
            self.version_published,
            self.state.version(),
            "who speaks for the node knows the version of the queue manager"
        );
        debug_assert!(
            self.parting.says(self.consensus.parted()),
            "a node says of its history what it knows of it"
        );
        debug_assert!(
            self.room.is_since(self.now.instant),
            "room has been missing since some time that has passed"
        );
    }

    /// Every node lets sessions in, and only one that serves does anything for them.
    fn assert_not_served(&self, session: &Session) {
        debug_assert!(session.handles.is_empty(), "only a node that serves opens queues");
        debug_assert!(session.parked.is_empty(), "calls wait for a node that serves, or are refused");
        debug_assert_eq!(session.unit.messages(), 0, "only a node that serves has units of work");
        debug_assert_eq!(
            (session.staging, session.loading, session.proposed),
            (0, 0, 0),
            "nothing is under way for a session of a node that does not serve"
        );
    }

    fn assert_serving_holds(&self, leading: &Leading) {
        self.assert_waiters_hold(leading);
        self.assert_line_holds(leading);
        for (id, session) in &self.sessions.by_id {
            self.assert_session_holds(leading, *id, session);
        }
        debug_assert!(
            leading.readers.packs().all(|pack| self.loads.is_loading(pack)),
            "a pack that is waited for is on its way"
        );
        debug_assert_eq!(
            leading.offers.reading(),
            leading.readers.offers(),
            "a queue whose next message is read waits for one"
        );
        // Who waits for the rest of an entry is known to the applier alone.
        if !self.applying.is_in_entry() && !self.is_stuck {
            self.assert_under_way_holds(leading, &UnderWay::of(leading));
        }
    }

    fn assert_waiters_hold(&self, leading: &Leading) {
        leading.waiters.assert_holds();
        for waiter in leading.waiters.iter() {
            let Some(session) = self.sessions.get(waiter.session) else {
                let is_leaving = self.left.iter().any(|left| left.is_of(waiter.session));
                debug_assert!(is_leaving, "who waits is connected, or what it leaves is taken away");
                continue;
            };
            let handle = session.handles.get(&waiter.get.handle);
            debug_assert_eq!(
                handle.map(|handle| handle.queue),
                Some(waiter.queue),
                "who waits has the queue open at which it waits"
            );
            debug_assert!(
                handle.is_some_and(|handle| match waiter.get.mode.is_browse() {
                    true => handle.options.browse,
                    false => handle.options.input,
                }),
                "who waits may have what it waits for"
            );
            debug_assert_ne!(waiter.get.wait, Wait::No, "who waits wanted to");
            debug_assert!(
                self.is_not_done || waiter.until.is_none_or(|until| until >= self.now.instant),
                "a wait whose time was over at the begin of a turn has ended with it, or in one of the next"
            );
        }
    }

    fn assert_line_holds(&self, leading: &Leading) {
        let waiting = self.sessions.by_id.values().filter(|session| !session.parked.is_empty()).count();
        debug_assert!(leading.line.len() >= waiting, "a session whose calls wait stands in the line");
        debug_assert!(leading.line.len() <= self.sessions.by_id.len(), "only sessions stand in the line");
        debug_assert!(
            leading.line.first_joined().is_none_or(|round| round <= self.rounds),
            "nobody joined the line in a round that is to come"
        );
        let mut searches: BTreeMap<QueueId, usize> = BTreeMap::new();
        for search in self.sessions.by_id.values().filter_map(|session| session.search) {
            *searches.entry(search.queue).or_default() += 1;
        }
        debug_assert_eq!(
            searches,
            leading.searches.under_way(),
            "a search that is under way is some session's"
        );
    }

    fn assert_session_holds(&self, leading: &Leading, id: SessionId, session: &Session) {
        let unit = &session.unit;
        debug_assert_eq!(
            unit.logged.values().sum::<u64>(),
            unit.places.iter().flat_map(Place::queues).count() as u64,
            "what a unit puts into the log is counted by queue"
        );
        debug_assert!(
            unit.units_decided.is_some() || unit.messages() == 0,
            "a unit began with its first message"
        );
        debug_assert!(
            unit.bytes == 0 || !(unit.places.is_empty() && unit.not_persistent.is_empty()),
            "a unit holds the bodies that it put"
        );
        debug_assert!(
            session.handles.values().all(|handle| {
                handle.is_alias
                    || self.state.queue(handle.queue).is_none_or(|queue| queue.name == handle.name)
            }),
            "a queue that is not open by an alias is open by its name"
        );
        debug_assert!(
            unit.units_decided.is_none_or(|decided| decided <= self.state.units_decided()),
            "a unit did not begin after outcomes that are to come"
        );
        debug_assert!(
            unit.places
                .iter()
                .all(|place| { place.message.descriptor.persistence == Persistence::Persistent }),
            "what a unit puts into the log is persistent"
        );
        debug_assert!(
            unit.not_persistent
                .iter()
                .all(|put| { put.message.descriptor.persistence == Persistence::NotPersistent }),
            "what a unit keeps out of the log is not persistent"
        );
        debug_assert!(
            unit.gets.iter().all(|(queue, position)| {
                leading.reservations.owner(*queue, *position) == Some(Owner::Unit(id))
            }),
            "what a unit got is reserved for it"
        );
        debug_assert!(
            session.search.is_none_or(|search| {
                session.parked.front().is_some_and(|(token, _)| *token == search.token)
            }),
            "a search is that of the first call that waits"
        );
        debug_assert_eq!(
            session.staging as usize,
            leading.staging.of_session(id),
            "bodies on their way into the log are counted by session"
        );
        debug_assert_eq!(
            session.loading as usize,
            leading.readers.of_session(id),
            "messages on their way from the store are counted by session"
        );
        debug_assert!(
            matches!(session.purpose, Purpose::Program | Purpose::Server) || session.handles.is_empty(),
            "an instance of a channel opens nothing"
        );
    }

    fn assert_under_way_holds(&self, leading: &Leading, under_way: &UnderWay) {
        for (id, session) in &self.sessions.by_id {
            debug_assert_eq!(
                session.proposed,
                under_way.of_session.get(id).copied().unwrap_or(0),
                "puts and commits that were proposed are counted by session"
            );
        }
        self.assert_incoming_holds(leading, under_way);
        self.assert_reservations_hold(leading, under_way);
        debug_assert_eq!(
            leading.staging.in_flight(),
            under_way.staged_parts,
            "parts in flight are parts that were proposed"
        );
        debug_assert_eq!(
            leading.maintaining.len(),
            under_way.maintaining,
            "maintenance that is under way was proposed"
        );
        debug_assert!(
            leading.leaving.is(&under_way.leaving),
            "messages leave by commands that were proposed"
        );
        debug_assert_eq!(
            leading.locked, under_way.locked,
            "a queue is locked while a command to empty it is under way"
        );
        debug_assert_eq!(
            leading.defining.len(),
            under_way.defining,
            "a definition that is under way is waited for"
        );
    }

    /// What counts for the depth of a queue comes sometime, or is counted no more.
    fn assert_incoming_holds(&self, leading: &Leading, under_way: &UnderWay) {
        let mut incoming = under_way.incoming.clone();
        for unit in self.sessions.by_id.values().map(|session| &session.unit) {
            for (queue, count) in &unit.logged {
                *incoming.entry(*queue).or_default() += count;
            }
            for queue in unit.not_persistent.iter().flat_map(NotPersistent::queues) {
                *incoming.entry(queue).or_default() += 1;
            }
        }
        incoming.retain(|_, count| *count > 0);
        debug_assert_eq!(incoming, leading.all_incoming(), "what was let in is in a unit, or was proposed");
    }

    /// Nothing is reserved for ever: somebody has it, or is about to.
    fn assert_reservations_hold(&self, leading: &Leading, under_way: &UnderWay) {
        leading.reservations.assert_holds();
        let units = self.sessions.by_id.values().flat_map(|session| &session.unit.gets).copied();
        let count = units.clone().count();
        let units: BTreeSet<(QueueId, Position)> = units.collect();
        debug_assert_eq!(units.len(), count, "a message is in one unit, and once");
        debug_assert!(
            units.is_disjoint(&under_way.held),
            "a message is in a unit, or its command was proposed"
        );
        let reading = leading.readers.reserved();
        let of_sessions = self.sessions.by_id.iter().flat_map(|(id, of)| locks_of(*id, &of.handles));
        let locks: Vec<Lock> = of_sessions.chain(self.left.iter().flat_map(Left::locks)).collect();
        debug_assert!(
            locks.iter().all(|(queue, at, owner)| {
                let is_there = self.state.queue(*queue).is_some_and(|queue| queue.slot(*at).is_some());
                !is_there || leading.reservations.owner(*queue, *at) == Some(*owner)
            }),
            "what a handle has locked is nobody else's"
        );
        let (mut leaving, mut reporting): (BTreeMap<QueueId, u64>, BTreeMap<QueueId, u64>) =
            Default::default();
        for (queue, position, owner) in leading.reservations.iter() {
            debug_assert!(
                self.state.queue(queue).is_some_and(|queue| queue.slot(position).is_some()),
                "what is reserved is still there"
            );
            *leaving.entry(queue).or_default() += u64::from(owner == Owner::Mover);
            *reporting.entry(queue).or_default() += u64::from(owner == Owner::Reporter);
            let message = (queue, position);
            let is_held = units.contains(&message)
                || under_way.held.contains(&message)
                || reading.contains(&message)
                || locks.contains(&(queue, position, owner));
            debug_assert!(
                is_held || owner == Owner::Mover,
                "{position:?} of queue {queue} is reserved for {owner:?}, and nobody waits for it"
            );
        }
        leaving.retain(|_, count| *count > 0);
        reporting.retain(|_, count| *count > 0);
        debug_assert_eq!(
            leaving, under_way.leaving,
            "the queue manager has what it sends away, and nothing else"
        );
        let mut reported = under_way.reporting.clone();
        leading.readers.expired().for_each(|queue| *reported.entry(queue).or_default() += 1);
        debug_assert_eq!(reporting, reported, "what is to be reported is read, or was proposed to leave");
        debug_assert!(
            under_way.held.iter().all(|(queue, at)| leading.reservations.is_reserved(*queue, *at)),
            "what was proposed to leave is nobody else's"
        );
    }
}
