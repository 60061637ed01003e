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
mod expiring;
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
mod chained;
mod failovers;
mod trail;
mod canary;
pub mod register;
mod under_way;
mod unwritten;
mod moving;
mod apply;
mod administered;
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
pub use register::Register;
pub use retention::Retention;
pub use rules::{AliasWords, ManagerRules, QueueRules, Tells};
pub use slot::Slot;
pub use store_batch::*;
pub use sums::Sums;
pub use told::{Before, Told};

use std::collections::BTreeSet;

use trimaran_proto::admin::v1::{AuditRecord, Canary, Classified, Failover, HandingOver};

use crate::types::definition::{Definition, ObjectRef};
use crate::types::{
    Message, NodeId, ObjectName, Persistence, Position, ProducerSequence, QueueId, QueueManagerId, RunState,
    Speaks, Term, UnitId, UnitState, Version, WallTime,
};
use expiring::Expiring;
use failovers::Failovers;
use moving::Moving;
use outcomes::Outcomes;
use queues::Queues;
use rubbish::Rubbish;
use staged::Staged;
use trail::Trail;
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
    trail: Trail,
    canary: Option<Canary>,
    /// Of the nodes' own queue manager.
    register: Register,
    /// Nodes that are in maintenance. Ids are never given again, so one that was removed does no harm here.
    maintained: BTreeSet<NodeId>,
    run: RunState,
    retention: Retention,
    producers: Producers,
    outcomes: Outcomes,
    staged: Staged,
    /// Queues that have messages that expire; looked at by a leader only.
    expiring: Expiring,
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
            trail: Trail::default(),
            canary: None,
            register: Register::default(),
            maintained: BTreeSet::new(),
            run: RunState::default(),
            retention: Retention::default(),
            producers: Producers::default(),
            outcomes: Outcomes::default(),
            staged: Staged::default(),
            expiring: Expiring::default(),
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
            for queue in manager.queues.iter() {
                if let Some(at) = queue.expiries().next() {
                    manager.expiring.note(queue.id, at);
                }
            }
            manager.unwritten.outcomes_from = manager.outcomes.next();
            manager.unwritten.outcomes_first = manager.outcomes.first();
            manager.unwritten.staged = manager.staged_parts();
            manager.unwritten.failovers_from = manager.first_unsealed();
            manager.unwritten.failovers_first = manager.failovers.first();
            (manager.unwritten.trail_from, manager.unwritten.trail_first) =
                (manager.trail.next(), manager.trail.first());
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

    /// Records of what administrators changed from this number on, since the queue manager has [`Version::TRAIL`].
    pub fn trail(&self, from: u64) -> impl Iterator<Item = &AuditRecord> {
        self.trail.from(from)
    }

    /// What who serves said of handing over.
    pub fn handing_over(&self) -> Option<&HandingOver> {
        self.failovers.handing_over()
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

    /// Which queue managers there are; of all but the nodes' own it is empty.
    pub fn register(&self) -> &Register {
        &self.register
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

    /// What is told on queues of events.
    pub fn tells(&self) -> Tells {
        self.rules.tells
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

    /// Gives back memory of messages that went at once with many others, for about this many `messages`. False when there is no more.
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
        let expires = message.descriptor.expiry.is_some();
        let position = contents.place_not_persistent(message);
        if let Some(at) = contents.expiries().next().filter(|_| expires) {
            self.expiring.note(queue, at);
        }
        Some(position)
    }

    /// The next queue behind `last` that has messages whose time is over.
    pub fn next_due(&mut self, now: WallTime, last: QueueId) -> Option<QueueId> {
        self.expiring.next_due(now, last, |queue| self.queues.get(queue)?.expiries().next())
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
}
