//! The queue manager: every replicated fact, as a pure function of the log (L1).
//!
//! [`QueueManager::apply`] is the only way a replicated fact changes. What changed since the last
//! [`QueueManager::begin_store_batch`] is remembered, so that the message store can be moved to exactly this state; a
//! message that was placed and removed in between leaves no trace there.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod digest;
mod store_batch;
pub mod keys;
mod slot;
mod order;
mod pack_rows;
pub mod packs;
mod expiries;
mod groups;
mod sums;
mod queue;
mod queues;
mod rubbish;
mod producer_names;
mod told;
mod producers;
mod outcomes;
mod applied;
mod retention;
pub mod command;
pub mod dead_letter;
pub mod report;
mod rules;
mod definition_codec;
pub mod catalog;
mod authority;
mod staged;
mod failovers;
mod canary;
mod under_way;
mod unwritten;
mod moving;
mod rows;
mod check;

pub use applied::{Applied, Removed, Verdict};
pub use authority::{Access, Object, Who};
pub use catalog::{Catalog, Target, set_record};
pub use command::{BatchEncoder, Command, DecodeError, Place, Removal, Report};
pub use definition_codec::by_to_wire;
pub use expiries::Due;
pub use groups::Groups;
pub use keys::PackKey;
pub use producers::{Producers, Seen};
pub use queue::{Queue, not_persistent_weight};
pub use retention::Retention;
pub use rules::{AliasWords, ManagerRules, QueueRules};
pub use slot::Slot;
pub use store_batch::*;
pub use sums::Sums;
pub use told::{Before, Told};

use std::collections::BTreeSet;

use trimaran_proto::admin::v1::{Canary, Classified, Failover};

use crate::types::definition::{Definition, ObjectRef};
use crate::types::{
    Body, Message, MessageId, NodeId, ObjectName, Persistence, Position, ProducerSequence, QueueId,
    QueueManagerId, Reason, RunState, Speaks, Term, UnitId, UnitState, Version, WallTime,
};
use failovers::Failovers;
use moving::Moving;
use outcomes::Outcomes;
use queues::Queues;
use rubbish::Rubbish;
use staged::Staged;
use under_way::UnderWay;
use unwritten::Unwritten;

#[cfg(test)]
mod packs_test;
#[cfg(test)]
mod properties_test;

#[derive(Debug)]
pub struct QueueManager {
    id: QueueManagerId,
    name: ObjectName,
    queues: Queues,
    catalog: Catalog,
    /// Of the queue manager's own definition.
    rules: ManagerRules,
    next_queue: QueueId,
    /// What may be written of it; see [`Version`].
    version: Version,
    failovers: Failovers,
    canary: Option<Canary>,
    /// Nodes that are in maintenance. Ids are never given again, so one that was removed does no harm here.
    maintained: BTreeSet<NodeId>,
    run: RunState,
    retention: Retention,
    producers: Producers,
    outcomes: Outcomes,
    staged: Staged,
    /// Queues that may have messages that expire; looked at by a leader only.
    expiring: BTreeSet<QueueId>,
    /// Time of the newest entry; see [`QueueManager::set_time`].
    at: WallTime,
    /// Packs that are mostly gone.
    sparse: BTreeSet<PackKey>,
    /// What was on queues that were cleared or deleted: nobody asks for it any more.
    rubbish: Vec<Rubbish>,
    /// A unit of work that is being carried out.
    under_way: Option<UnderWay>,
    unwritten: Unwritten,
    /// A move of the message store whose rows are being made.
    moving: Option<Box<Moving>>,
}

/// A log's time that is ahead of the clocks by more goes back to theirs, by less it stands until they have caught up.
const AHEAD_MS_MAX: i64 = 10_000;

/// Whether a log's time at `at` goes back when a majority of clocks agrees on `clocks`.
pub fn is_far_ahead(at: WallTime, clocks: WallTime) -> bool {
    at.0.saturating_sub(clocks.0) > AHEAD_MS_MAX
}

impl QueueManager {
    /// A queue manager nobody has used yet.
    pub fn new(id: QueueManagerId, name: ObjectName) -> QueueManager {
        QueueManager {
            id,
            name,
            queues: Queues::default(),
            rules: ManagerRules::of(&Definition::new(ObjectRef::manager())),
            catalog: Catalog::default(),
            next_queue: QueueId(1),
            version: Version::FIRST,
            failovers: Failovers::default(),
            canary: None,
            maintained: BTreeSet::new(),
            run: RunState::default(),
            retention: Retention::default(),
            producers: Producers::default(),
            outcomes: Outcomes::default(),
            staged: Staged::default(),
            expiring: BTreeSet::new(),
            at: WallTime(0),
            sparse: BTreeSet::new(),
            rubbish: Vec::new(),
            under_way: None,
            unwritten: Unwritten::default(),
            moving: None,
        }
    }

    /// The queue manager whose rows `source` has.
    ///
    /// # Errors
    /// A row cannot be read, or all are of a version that is not spoken.
    pub fn load(
        id: QueueManagerId,
        name: ObjectName,
        source: &dyn RowSource,
        speaks: Speaks,
    ) -> Result<QueueManager, LoadError> {
        let mut manager = QueueManager::new(id, name);
        if source.meta()?.is_some() {
            rows::load(&mut manager, source, speaks)?;
            let expiring = manager.queues.iter().filter(|queue| queue.expiries().next().is_some());
            manager.expiring = expiring.map(|queue| queue.id).collect();
            manager.unwritten.outcomes_from = manager.outcomes.next();
            manager.unwritten.outcomes_first = manager.outcomes.first();
            manager.unwritten.staged = manager.staged_parts();
            manager.unwritten.failovers_from = manager.first_unsealed();
            manager.unwritten.failovers_first = manager.failovers.first();
            debug_assert!(
                manager.unwritten.placed.is_empty() && manager.unwritten.packs.is_empty(),
                "what was read is written already"
            );
        }
        Ok(manager)
    }

    pub fn id(&self) -> QueueManagerId {
        self.id
    }

    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// How often another node than before began to serve, since the queue manager has [`Version::RECORDS`].
    pub fn takeovers(&self) -> u64 {
        self.failovers.takeovers()
    }

    /// Records of failovers from this number on, since the queue manager has [`Version::RECORDS`].
    pub fn failovers(&self, from: u64) -> impl Iterator<Item = &Failover> {
        self.failovers.from(from)
    }

    /// What people said of records from this number on, in the order of their numbers.
    pub fn classified(&self, from: u64) -> impl Iterator<Item = &Classified> {
        self.failovers.classified(from)
    }

    /// The record of the leader of this term, while its account is to come.
    pub fn open_failover(&self, term: Term) -> Option<&Failover> {
        debug_assert!(
            self.version >= Version::RECORDS || self.failovers.open().is_none(),
            "records begin with the version that has them"
        );
        self.failovers.open().filter(|open| open.term == term.0)
    }

    /// From which number on the store does not have records as they will be.
    fn first_unsealed(&self) -> u64 {
        self.failovers.next() - u64::from(self.failovers.open().is_some())
    }

    /// Whether the node is in maintenance: it follows and votes, and leads only where no other node could.
    pub fn is_maintained(&self, node: NodeId) -> bool {
        self.maintained.contains(&node)
    }

    /// Whether it serves programs, as an operator wants it.
    pub fn run(&self) -> RunState {
        debug_assert!(
            self.run == RunState::Running || self.version >= Version::RECORDS,
            "to be ended came with a version"
        );
        self.run
    }

    pub fn deadq(&self) -> Option<&ObjectName> {
        self.rules.deadq.as_ref()
    }

    /// Handles that a session may have.
    pub fn maxhands(&self) -> usize {
        debug_assert!(self.rules.maxhands > 0, "a session may open something");
        self.rules.maxhands
    }

    /// Bytes of the longest body that any queue takes.
    pub fn maxmsgl(&self) -> usize {
        self.rules.maxmsgl
    }

    pub fn maxumsgs(&self) -> u32 {
        self.rules.maxumsgs
    }

    /// Time of the newest applied entry.
    pub fn at(&self) -> WallTime {
        self.at
    }

    pub fn queue(&self, id: QueueId) -> Option<&Queue> {
        self.queues.get(id)
    }

    /// For what is not replicated and no message more or less: messages in memory.
    pub fn queue_mut(&mut self, id: QueueId) -> Option<&mut Queue> {
        self.queues.get_mut(id)
    }

    /// For messages that are not replicated, to come and to go.
    pub fn change(&mut self, id: QueueId) -> Option<&mut Queue> {
        self.queues.change(id)
    }

    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.iter()
    }

    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Over all queues.
    pub fn sums(&self) -> Sums {
        self.queues.sums()
    }

    /// Gives back memory of messages that went at once with many others, for about so many of them. False when there is no more.
    pub fn sweep(&mut self, messages: usize) -> bool {
        while let Some(last) = self.rubbish.last_mut() {
            if last.sweep(messages) {
                return true;
            }
            self.rubbish.pop();
        }
        false
    }

    /// Another state takes the place of this one, which goes piece by piece.
    pub fn replace(&mut self, with: QueueManager) {
        assert_eq!(self.id, with.id, "a state takes the place of one of the same queue manager");
        debug_assert!(with.under_way.is_none(), "a state that is put in place is between two commands");
        let before = std::mem::replace(self, with);
        self.rubbish.extend(before.rubbish);
        self.rubbish.extend(before.queues.into_all().filter_map(|mut queue| queue.clear()));
    }

    /// How much is remembered from now on; the same on every node.
    pub fn set_retention(&mut self, retention: Retention) {
        assert!(retention.outcomes_min <= retention.outcomes_max, "some outcomes stay whatever their age");
        assert!(retention.producers_min <= retention.producers_max, "some producers stay whatever their age");
        assert!(retention.sequences_max > 0, "the last put of a producer is remembered");
        self.retention = retention;
    }

    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    pub fn outcome_of(&self, unit: &UnitId) -> Option<UnitState> {
        self.outcomes.state(unit)
    }

    /// How many units with an id were ever decided.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    pub fn units_decided(&self) -> u64 {
        self.outcomes.next()
    }

    /// Not replicated. None when the queue is gone.
    pub fn place_not_persistent(&mut self, queue: QueueId, message: Box<Message>) -> Option<Position> {
        debug_assert_ne!(
            message.descriptor.persistence,
            Persistence::Persistent,
            "a persistent message comes by the log"
        );
        let contents = self.queues.change(queue)?;
        if message.descriptor.expiry.is_some() {
            self.expiring.insert(queue);
        }
        Some(contents.place_not_persistent(message))
    }

    /// Queues that have messages whose time is over.
    pub fn queues_due(&mut self, now: WallTime) -> Vec<QueueId> {
        let next = |queue: &QueueId| self.queues.get(*queue)?.expiries().next();
        self.expiring.retain(|queue| next(queue).is_some());
        self.expiring.iter().filter(|queue| next(queue).is_some_and(|at| at <= now)).copied().collect()
    }

    /// Whether the log knows of this put.
    pub fn seen(&self, put: &ProducerSequence) -> Seen {
        self.producers.seen(put, &self.retention)
    }

    /// The time of an entry. It stands where the clocks went back a little, and where a leader knew too few of them
    /// (0). Where it was far ahead it follows them back: then a majority of the clocks was wrong before.
    pub fn set_time(&mut self, at: WallTime) {
        if at > self.at || (at != WallTime(0) && is_far_ahead(self.at, at)) {
            self.at = at;
        }
    }

    /// Carries out one committed command. [`QueueManager::set_time`] comes first, once an entry.
    pub fn apply(&mut self, command: Command) -> Applied {
        let mut applied = Applied::default();
        assert!(self.begin(command, usize::MAX, &mut applied), "a unit that never ends");
        applied
    }

    /// The same, without making memory for each command, and for about so many messages of a unit of work. False: there is
    /// more of it, for [`QueueManager::go_on`].
    pub fn begin(&mut self, command: Command, messages: usize, applied: &mut Applied) -> bool {
        assert!(self.under_way.is_none(), "a command begins when the one before is done");
        applied.clear();
        let unit = match command {
            Command::CommitUnit { unit, places, removals } => Some(UnderWay::new(unit, places, removals)),
            Command::Staged { number, length } => self.staged_unit(number, length),
            command => {
                let (at, next_queue, units_decided) = (self.at, self.next_queue, self.outcomes.next());
                applied.verdict = self.carry_out(command, applied);
                if applied.verdict.is_err() {
                    applied.changed.clear();
                    applied.renamed.clear();
                    (applied.channel_changed, applied.listener_changed) = (false, false);
                }
                debug_assert!(
                    applied.verdict.is_ok() || applied.is_nothing(),
                    "what was refused did nothing"
                );
                debug_assert_eq!(self.at, at, "time comes with entries and not with commands");
                assert!(self.next_queue >= next_queue, "the number of a queue is given once");
                debug_assert!(
                    (units_decided..=units_decided + 1).contains(&self.outcomes.next()),
                    "a command decides one unit at most"
                );
                self.assert_applied(applied);
                return true;
            }
        };
        let Some(unit) = unit else {
            applied.verdict = Err(Reason::BackedOut);
            return true;
        };
        self.under_way = Some(unit);
        self.go_on(messages, applied)
    }

    /// Goes on with the unit of work that was begun. `applied` says what came and went this time; the verdict is one when it
    /// says true.
    pub fn go_on(&mut self, messages: usize, applied: &mut Applied) -> bool {
        applied.clear();
        let is_done = match self.go_on_for(messages, applied) {
            Some(verdict) => {
                applied.verdict = verdict;
                true
            }
            None => false,
        };
        assert_eq!(self.under_way.is_none(), is_done, "a unit is under way until it has a verdict");
        self.assert_applied(applied);
        is_done
    }

    /// What was done is what is said to be, and the store will be told.
    fn assert_applied(&self, applied: &Applied) {
        let is_there = |queue: QueueId, position: Position| {
            self.queue(queue).is_some_and(|queue| queue.slot(position).is_some())
        };
        debug_assert!(
            applied.placed.iter().all(|(queue, position)| is_there(*queue, *position)),
            "what was placed is there"
        );
        debug_assert!(
            !applied.removed.iter().any(|gone| is_there(gone.queue, gone.position)),
            "what was removed is there no more"
        );
        debug_assert!(
            applied.placed.iter().all(|(_, position)| position.is_persistent()),
            "what the log places is persistent"
        );
        debug_assert!(
            self.unwritten.placed.iter().rev().take(applied.placed.len()).eq(applied.placed.iter().rev()),
            "what was placed is noted for the store, in order"
        );
        debug_assert!(
            applied.removed.iter().all(|Removed { queue, position, slot }| {
                slot.packed.is_none_or(|packed| self.unwritten.packs.contains(&packed.key(*queue, *position)))
            }),
            "a pack that a message left is noted for the store"
        );
        debug_assert!(
            !matches!(applied.verdict, Ok(Verdict::Duplicate(_) | Verdict::Sealed { .. }))
                || applied.is_nothing(),
            "a repeated put and an inquiry move no message"
        );
        debug_assert!(
            applied
                .changed
                .iter()
                .all(|queue| { self.queues.contains(*queue) || self.unwritten.queues_gone.contains(queue) }),
            "a queue that was changed is there, or its rows are about to go"
        );
    }

    fn carry_out(&mut self, command: Command, applied: &mut Applied) -> Result<Verdict, Reason> {
        match command {
            Command::Place(place) => self.apply_place(place, applied),
            Command::Remove(removal) => self.apply_remove(removal, applied),
            Command::Backout(removals) => self.apply_backout(removals, applied),
            Command::Expire(removals) => self.apply_expire(removals, applied),
            Command::SealUnit { unit, units_decided } => self.apply_seal_unit(unit, units_decided),
            Command::StageBody { number, data } => self.apply_stage_body(number, data),
            Command::DropStaged(numbers) => self.apply_drop_staged(numbers),
            Command::Define { object, like, replace, changes, by } => {
                self.apply_define(object, &like, replace, (&changes, by), applied)
            }
            Command::Alter { object, changes, by } => self.apply_alter(&object, (&changes, by), applied),
            Command::Delete { object, purge, by: _ } => self.apply_delete(&object, purge, applied),
            Command::Clear { object, by: _ } => self.apply_clear(&object, applied),
            Command::SetRecord { record, action, changes, by } => {
                self.apply_set_record(record, action, (&changes, by), applied)
            }
            Command::BeginTerm { leader } => {
                if let Some((node, term)) = leader {
                    self.failovers.begin(node, term, self.at);
                }
                let dropped = self.apply_drop_staged(self.staged.numbers());
                debug_assert_eq!(
                    self.staged_bytes(),
                    0,
                    "a new leader finds nothing that an earlier one staged"
                );
                dropped
            }
            Command::Raise { to, leader: (node, term), by: _ } => {
                if self.version < Version::RECORDS && to >= Version::RECORDS {
                    self.failovers.begin(node, term, self.at);
                }
                self.version = self.version.max(to);
                Ok(Verdict::Done)
            }
            Command::HandOver(said) => {
                self.failovers.announce(said, self.at);
                Ok(Verdict::Done)
            }
            Command::Account { term, account } => {
                self.failovers.account(term, account);
                Ok(Verdict::Done)
            }
            // No leader proposes that: an entry that says so was not written by one.
            Command::Maintain { .. } if self.version < Version::RECORDS => Err(Reason::FunctionNotSupported),
            Command::Maintain { node, begins: true, by: _ } => {
                self.maintained.insert(node);
                Ok(Verdict::Done)
            }
            Command::Maintain { node, begins: false, by: _ } => {
                self.maintained.remove(&node);
                Ok(Verdict::Done)
            }
            Command::Run { .. } if self.version < Version::RECORDS => Err(Reason::FunctionNotSupported),
            Command::Run { state: RunState::Running, .. } if self.run == RunState::Quiescing => {
                Err(Reason::QMgrQuiescing)
            }
            Command::Run { state, by: _ } => {
                self.apply_run(state);
                Ok(Verdict::Done)
            }
            Command::Classify(said) => {
                let number = said.number;
                self.failovers.classify(said, self.at).ok_or(Reason::AttrValueError)?;
                self.unwritten.classified.insert(number);
                Ok(Verdict::Done)
            }
            Command::CanaryGood { .. } | Command::CanaryLapsed if self.version < Version::RECORDS => {
                Err(Reason::FunctionNotSupported)
            }
            Command::CanaryGood { node, silent } => {
                canary::note_good(&mut self.canary, node, silent, self.at);
                self.unwritten.canary = true;
                Ok(Verdict::Done)
            }
            Command::CanaryLapsed => {
                canary::lapse(&mut self.canary);
                self.unwritten.canary = true;
                Ok(Verdict::Done)
            }
            Command::CommitUnit { .. } | Command::Staged { .. } => unreachable!("a unit is begun"),
        }
    }

    /// What is so already stays so: two operators may have asked.
    fn apply_run(&mut self, state: RunState) {
        if !self.run.may_become(state) {
            return;
        }
        if self.run.is_ended() && self.canary.is_some() {
            canary::watch_anew(&mut self.canary, self.at);
            self.unwritten.canary = true;
        }
        self.run = state;
    }

    fn apply_place(&mut self, place: Place, applied: &mut Applied) -> Result<Verdict, Reason> {
        match self.check_place(&place) {
            Ok(None) => {
                self.place_with_report(place, applied);
                Ok(Verdict::Done)
            }
            Ok(Some(before)) => {
                self.drop_staged_of(&place);
                Ok(Verdict::Duplicate(before))
            }
            Err(reason) => {
                self.drop_staged_of(&place);
                Err(reason)
            }
        }
    }

    /// Whether its sequence was placed before.
    fn was_placed(&self, place: &Place) -> Seen {
        place.producer.as_ref().map_or(Seen::New, |producer| self.seen(producer))
    }

    /// What was placed when this is a repetition.
    fn check_place(&self, place: &Place) -> Result<Option<Before>, Reason> {
        match self.was_placed(place) {
            Seen::New => {}
            Seen::Before(before) => return Ok(Some(before)),
            Seen::Forgotten => return Err(Reason::UnexpectedError),
        }
        if !self.queues.contains(place.queue) {
            return Err(Reason::QDeleted);
        }
        if place.staged.is_some_and(|(number, length)| self.staged.length(number) != length) {
            return Err(Reason::CallInterrupted);
        }
        Ok(None)
    }

    fn id_of(&self, place: &Place) -> MessageId {
        match place.unique {
            Some(unique) => command::message_id(&self.name, unique),
            None => place.message.descriptor.message_id,
        }
    }

    fn place_with_report(&mut self, mut place: Place, applied: &mut Applied) {
        let report = place.report.take();
        let (queue, position) = self.place(place);
        applied.placed.push((queue, position));
        if let Some(report) = report {
            let slot = self.queue(queue).and_then(|queue| queue.slot(position));
            let body = slot.and_then(|slot| slot.message.as_ref()).expect("just placed").body.clone();
            applied.placed.extend(self.place_report(*report, &body));
        }
    }

    fn place(&mut self, place: Place) -> (QueueId, Position) {
        let message_id = self.id_of(&place);
        let mut message = place.message;
        message.descriptor.message_id = message_id;
        if message.descriptor.put_at == WallTime(0) {
            message.descriptor.put_at = self.at;
        }
        if let Some((number, _)) = place.staged {
            message.body = Body::from_parts(self.unstage(number));
        }
        if let Some(put) = &place.producer {
            // Not by the version alone: what was let in before it was raised may come behind that. Older nodes remember none of it.
            let in_group = message.descriptor.in_group();
            let told = place.warning.filter(|_| self.version >= Version::RECORDS);
            let told = told.map(|warning| Told { warning, in_group });
            let before = Before { message_id, told };
            let forgotten = self.producers.remember(put, before, self.at, &self.retention);
            self.unwritten.producers.extend(forgotten.producers);
            self.unwritten.producer_names.extend(forgotten.names);
            if !self.unwritten.producers.contains(&put.producer) {
                self.unwritten.producers.insert(put.producer.clone());
            }
        }
        if message.descriptor.expiry.is_some() {
            self.expiring.insert(place.queue);
        }
        let queue = self.queues.change(place.queue).expect("checked");
        let bytes = message.body.len();
        let position = queue.place(message);
        self.unwritten.note_placed(place.queue, position, bytes);
        (place.queue, position)
    }

    fn apply_remove(&mut self, removal: Removal, applied: &mut Applied) -> Result<Verdict, Reason> {
        let queue = self.queues.get(removal.queue).ok_or(Reason::QDeleted)?;
        if !queue.each_slot(removal.positions.iter().copied(), |_, slot| slot.is_some()) {
            return Err(Reason::NoMsgAvailable);
        }
        let asked = removal.positions.len();
        self.remove_all(removal, applied);
        debug_assert!(applied.removed.len() <= asked, "no more leave than were asked to");
        Ok(Verdict::Done)
    }

    /// Those that are there leave.
    fn remove_all(&mut self, Removal { queue, positions }: Removal, applied: &mut Applied) {
        positions.into_iter().for_each(|position| self.remove(queue, position, applied));
    }

    fn remove(&mut self, queue: QueueId, position: Position, applied: &mut Applied) {
        let is_moving = self.moving.is_some() && self.keep_for_move(queue, position);
        let slot = self.queues.change(queue).and_then(|contents| contents.remove(position));
        if let Some(slot) = slot {
            if slot.packed.is_none() && !is_moving {
                self.unwritten.gone_bytes += slot.body_length as usize;
            }
            self.unwritten.note_removed(queue, position, &slot);
            applied.removed.push(Removed { queue, position, slot });
        }
    }

    fn apply_backout(&mut self, removals: Vec<Removal>, applied: &mut Applied) -> Result<Verdict, Reason> {
        for removal in removals {
            if self.moving.is_some() {
                let positions = removal.positions.iter();
                positions.for_each(|position| self.count_for_move(removal.queue, *position));
            }
            let Some(queue) = self.queues.change(removal.queue) else { continue };
            for position in removal.positions {
                let Some(slot) = queue.back_out(position) else { continue };
                applied.backed_out += 1;
                if slot.packed.is_some() {
                    self.unwritten.heads.insert((removal.queue, position));
                }
            }
        }
        Ok(Verdict::Done)
    }

    fn apply_expire(&mut self, removals: Vec<Removal>, applied: &mut Applied) -> Result<Verdict, Reason> {
        removals.into_iter().for_each(|removal| self.remove_all(removal, applied));
        Ok(Verdict::Done)
    }

    fn apply_seal_unit(&mut self, unit: UnitId, units_decided: u64) -> Result<Verdict, Reason> {
        if let Some(state) = self.outcomes.state(&unit) {
            return Ok(Verdict::Sealed { state, is_new: false });
        }
        let state = self.outcomes.judge_unknown(units_decided);
        self.outcomes.decide(&unit, state, self.at, &self.retention);
        Ok(Verdict::Sealed { state, is_new: true })
    }
}
