//! Which messages of a queue are reserved, and which one is the first that is free: of all, or of those that a selection
//! is about.
//!
//! What was passed once is not passed again. In each rank everything up to a *frontier* was looked at; what is free in
//! front of it since is in `returned`. So messages that are reserved, or have expired and are still there, cost one look
//! each and not one for every get. Messages of one id are found through indexes: the first selection of a kind builds
//! one, over as many turns as that takes, and it is dropped when nobody selects that way any more.
//!
//! Where a selector decides, it sees each message; one that is in the store only has to be read first, and the search goes on
//! behind it in a later turn.
//!
//! `returned` and the indexes give hints: what they name may be gone or have expired by now. That is seen when it is met,
//! and the hint is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Bound::{Excluded, Included};
use std::time::Duration;

use super::turn::{INDEX, LOOK, Turn};
use crate::qmgr::{Groups, Queue, QueueManager, Slot};
use crate::types::planted::{self, Bug};
use crate::types::{
    FixedHasher, GroupId, HandleId, Instant, LookupMap, MessageSelector, Position, QueueId, Selection,
    SessionId, WallTime,
};

/// Who may take a reserved message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A get outside of syncpoint: the message is given when its removal is applied.
    Get(SessionId),
    /// A unit of work, which was given the message.
    Unit(SessionId),
    /// A handle that has browsed the message and keeps it from others.
    Lock(SessionId, HandleId),
    /// The queue manager itself: a message that is being moved to its backout queue.
    Mover,
    /// The same: a message whose time is over and that asks to be told of it.
    Reporter,
}

/// What a [`Search`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Message(Position),
    Nothing,
    /// The turn is over. To be called again, with this as `behind`.
    NotYet(Option<Position>),
    /// The selector has to see a message that is in the store only. To be called again when it was read.
    Unread {
        at: Position,
        behind: Option<Position>,
    },
}

/// Which messages somebody looks for, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub selection: &'a Selection,
    pub selector: Option<&'a MessageSelector>,
    /// What the selector said of a message that may not be in memory any more.
    pub judged: Option<(Position, bool)>,
    /// Only messages behind this one.
    pub behind: Option<Position>,
    pub now: WallTime,
    pub instant: Instant,
}

/// Whether a free message is one that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
    /// That is known when it was read.
    Unread,
}

#[derive(Debug, Default)]
pub(super) struct Reservations {
    queues: LookupMap<QueueId, OfQueue>,
    /// Those that have indexes, and perhaps more.
    indexed: BTreeSet<QueueId>,
    chores: Chores,
}

/// What is left to be done about the queues, whoever comes to know of it.
#[derive(Debug, Default)]
struct Chores {
    /// Groups of which more may be had than before. None: perhaps of all groups of the queue.
    grown: BTreeSet<(QueueId, Option<GroupId>)>,
    /// When the next message of a group expires, of each queue whose groups are known and that has one.
    due: BTreeSet<(WallTime, QueueId)>,
    /// What nobody asks for any more. To give back the memory of a million messages takes longer than a turn may.
    litter: Vec<Litter>,
}

#[derive(Debug)]
struct OfQueue {
    reserved: BTreeMap<Position, Owner>,
    /// By rank: everything up to here was passed.
    frontier: [Position; RANKS],
    /// Bit r: rank r may have a free message, returned or behind its frontier.
    may_have: u16,
    /// Free messages that are not behind the frontier of their rank.
    returned: BTreeSet<Position>,
    /// By kind of id.
    indexes: [Option<Index>; 3],
    /// Free messages by their groups.
    grouping: Option<Grouping>,
    /// The last deadline of those that were passed because they had expired.
    expired_upto: Option<WallTime>,
    /// By rank: how far any [`Passed`] goes, and how often a message came back that one of them may have passed.
    passed_upto: [Position; RANKS],
    returns: [u64; RANKS],
}

/// How far the selector of a handle has looked, by rank: nothing up to there is free and selected, unless something came back
/// since.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed(Vec<Option<(Position, u64)>>);

const RANKS: usize = 10;

/// For so long an index is kept that nobody uses.
const INDEX_UNUSED_MAX: Duration = Duration::from_secs(60);

/// Free messages by one of their ids, as far as it is built. 16 bytes each, about 25 with the tree that holds them.
#[derive(Debug, Default)]
struct Index {
    entries: BTreeSet<u128>,
    built: Built,
    used: Instant,
}

/// An index that nobody uses any more.
#[derive(Debug)]
pub(super) enum Litter {
    Index(BTreeSet<u128>),
    Groups(Groups),
}

impl Litter {
    /// Gives back memory of these. False when the turn is over before all of it is.
    pub fn sweep(litter: &mut Vec<Litter>, turn: &mut Turn) -> bool {
        while let Some(last) = litter.last_mut() {
            if !turn.may(INDEX) {
                return false;
            }
            let some = match last {
                Litter::Index(entries) => entries.pop_first().is_some(),
                Litter::Groups(groups) => groups.take_apart(),
            };
            if !some {
                litter.pop();
            }
        }
        true
    }
}

/// Free messages by their groups, as far as that is built: memory of the messages that are queued, as their heads are.
#[derive(Debug)]
struct Grouping {
    groups: Groups,
    built: Built,
    used: Instant,
    /// What had expired by then is not in it any more.
    expired_upto: WallTime,
    /// What of it is in [`Chores::due`].
    due: Option<WallTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Built {
    Upto(Position),
    Whole,
}

impl Default for Built {
    fn default() -> Built {
        Built::Upto(Position::default())
    }
}

/// A kind of id that messages are selected by, and a hash of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    kind: usize,
    hash: u32,
}

const MESSAGE: usize = 0;
const CORRELATION: usize = 1;
const GROUP: usize = 2;

impl Default for OfQueue {
    fn default() -> OfQueue {
        OfQueue {
            reserved: BTreeMap::new(),
            frontier: std::array::from_fn(|rank| front(rank as u8)),
            may_have: (1 << RANKS) - 1,
            returned: BTreeSet::new(),
            indexes: Default::default(),
            grouping: None,
            expired_upto: None,
            passed_upto: std::array::from_fn(|rank| front(rank as u8)),
            returns: [0; RANKS],
        }
    }
}

impl Chores {
    /// Nobody asks for these indexes any more.
    fn note_unused(&mut self, indexes: impl IntoIterator<Item = Index>) {
        self.litter.extend(indexes.into_iter().map(|index| Litter::Index(index.entries)));
    }
}

impl Search<'_> {
    fn is_by_selector_only(&self) -> bool {
        self.selection.is_any() && self.selector.is_some()
    }

    fn wants(&self, groups: Option<&Grouping>, position: Position, slot: &Slot, turn: &mut Turn) -> Wanted {
        if !slot.matches(self.selection) {
            return Wanted::No;
        }
        if self.selection.wants_whole() && !is_whole(groups, slot) {
            return Wanted::No;
        }
        let selects = match (self.selector, self.judged, &slot.message) {
            (None, ..) => true,
            (_, Some((at, selects)), _) if at == position => selects,
            (_, _, None) => return Wanted::Unread,
            (Some(selector), _, Some(message)) => {
                let verdict = selector.judge(message);
                debug_assert!(verdict.looks > LOOK, "to read what a message says is more than to look at it");
                turn.spend(verdict.looks);
                verdict.selects
            }
        };
        if selects { Wanted::Yes } else { Wanted::No }
    }
}

impl Reservations {
    pub fn owner(&self, queue: QueueId, position: Position) -> Option<Owner> {
        self.queues.get(&queue)?.reserved.get(&position).copied()
    }

    pub fn is_reserved(&self, queue: QueueId, position: Position) -> bool {
        self.owner(queue, position).is_some()
    }

    pub fn count(&self, queue: QueueId) -> usize {
        self.queues.get(&queue).map_or(0, |of| of.reserved.len())
    }

    pub fn reserve(&mut self, queue: &Queue, position: Position, owner: Owner) {
        let of = self.queues.entry(queue.id).or_default();
        let before = of.reserved.insert(position, owner);
        assert!(
            before.is_none() || planted::is(Bug::NoOwnerCheck),
            "{position:?} of queue {} was reserved already",
            queue.id
        );
        debug_assert!(queue.slot(position).is_some(), "what is reserved is there");
        of.returned.remove(&position);
        if let Some(slot) = of.is_indexed().then(|| queue.slot(position)).flatten() {
            for (kind, index) in of.indexes.iter_mut().enumerate() {
                index.iter_mut().for_each(|index| index.note_reserved(kind, position, slot));
            }
            let grown = of.grouping.as_mut().and_then(|grouping| grouping.note_reserved(position, slot));
            self.chores.grown.extend(grown.map(|group| (queue.id, Some(group))));
        }
    }

    /// The message is gone, or free again (then call [`Reservations::note_free`] too).
    pub fn release(&mut self, queue: QueueId, position: Position) {
        if let Some(of) = self.queues.get_mut(&queue) {
            of.reserved.remove(&position);
        }
    }

    /// A message was placed, or a reservation ended with the message still there.
    pub fn note_free(&mut self, state: &QueueManager, queue: QueueId, position: Position) {
        let Some(of) = self.queues.get_mut(&queue) else { return };
        let rank = usize::from(position.rank);
        debug_assert!(rank < RANKS, "there are ten ranks");
        debug_assert!(!of.reserved.contains_key(&position), "what is free is nobody's");
        of.may_have |= 1 << rank;
        if position <= of.frontier[rank] {
            of.returned.insert(position);
        }
        of.returns[rank] += u64::from(position <= of.passed_upto[rank]);
        let slot = || state.queue(queue).and_then(|queue| queue.slot(position));
        let Some(slot) = of.is_indexed().then(slot).flatten() else { return };
        for (kind, index) in of.indexes.iter_mut().enumerate() {
            index.iter_mut().for_each(|index| index.note_free(kind, position, slot));
        }
        if let Some(grouping) = &mut of.grouping {
            let grown = grouping.note_free(position, slot);
            self.chores.grown.extend(grown.map(|group| (queue, Some(group))));
            grouping.remind(queue, &mut self.chores.due);
        }
    }

    /// Whether all of the message's group is free, as far as somebody has asked for groups. None when the turn is over before that
    /// is known.
    pub fn is_whole(&mut self, queue: QueueId, slot: &Slot, now: WallTime, turn: &mut Turn) -> Option<bool> {
        let Reservations { queues, chores, .. } = self;
        let Some(of) = queues.get_mut(&queue).filter(|of| of.grouping.is_some()) else {
            return Some(is_whole(None, slot));
        };
        let is_known = of.regroup(queue, now, turn, chores);
        is_known.then(|| is_whole(of.grouping.as_ref(), slot))
    }

    /// What has expired meanwhile is in no group any more. False when the turn is over before all of it is not.
    pub fn regroup(&mut self, now: WallTime, turn: &mut Turn) -> bool {
        let Reservations { queues, chores, .. } = self;
        while let Some((_, queue)) = chores.due.first().copied().filter(|(at, _)| *at <= now) {
            let of = queues.get_mut(&queue).expect("its groups are known");
            if !of.regroup(queue, now, turn, chores) {
                return false;
            }
        }
        true
    }

    /// Gives back memory of what nobody asks for any more. False when the turn is over before all of it is.
    pub fn sweep(&mut self, turn: &mut Turn) -> bool {
        Litter::sweep(&mut self.chores.litter, turn)
    }

    pub fn has_grown(&self) -> bool {
        !self.chores.grown.is_empty()
    }

    /// Takes a group of which more may be had than before: its queue, and the free message that begins it; None where nothing is known
    /// of the queue's groups any more.
    pub fn take_grown(&mut self) -> Option<(QueueId, Option<Position>)> {
        while let Some((queue, group)) = self.chores.grown.pop_first() {
            let Some(group) = group else { return Some((queue, None)) };
            let grouping = self.queues.get(&queue).and_then(|of| of.grouping.as_ref());
            // It may be gone by now.
            if let Some(first) = grouping.and_then(|grouping| grouping.groups.first_of(group)) {
                return Some((queue, Some(first)));
            }
        }
        None
    }

    /// The first message that nobody reserved, that matches and that has not expired. `passed` is what the selector's handle
    /// remembers of searches before.
    pub fn first_free(
        &mut self,
        queue: &Queue,
        search: Search<'_>,
        passed: &mut Passed,
        turn: &mut Turn,
    ) -> Found {
        let of = self.queues.entry(queue.id).or_default();
        if of.expired_upto.is_some_and(|upto| search.now < upto) {
            // The clock went back: what had expired has not.
            let reserved = std::mem::take(&mut of.reserved);
            let returns = of.returns.map(|returns| returns + 1);
            let grouping = of.grouping.take();
            let indexes = std::mem::take(&mut of.indexes);
            self.chores.note_unused(indexes.into_iter().flatten());
            *of = OfQueue { reserved, returns, grouping, ..OfQueue::default() };
        }
        if search.selection.is_of_groups() {
            self.indexed.insert(queue.id);
            if !of.group(queue, search, turn, &mut self.chores) {
                return Found::NotYet(search.behind);
            }
        }
        let Selection { group_id, sequence_number, .. } = search.selection;
        let found = match (Tag::sought(search.selection), group_id, sequence_number) {
            (Some(Tag { kind: GROUP, .. }), Some(group), Some(number)) => {
                of.first_numbered((*group, *number), queue, search, turn)
            }
            (Some(tag), ..) => {
                self.indexed.insert(queue.id);
                of.first_of(tag, queue, search, turn)
            }
            (None, _, Some(1)) => of.first_of_groups(queue, search, turn),
            (None, ..) if search.is_by_selector_only() => of.first_selected(queue, search, passed, turn),
            (None, ..) => of.first(queue, search, turn),
        };
        if let Found::Message(position) = found {
            debug_assert!(
                queue.slot(position).is_some_and(|slot| {
                    slot.matches(search.selection) && of.is_free(position, slot, search.now)
                }),
                "a message that was found is free, and one that was looked for"
            );
            debug_assert!(search.behind.is_none_or(|behind| behind < position), "a search goes forward");
        }
        found
    }

    /// Everything that is reserved.
    pub fn iter(&self) -> impl Iterator<Item = (QueueId, Position, Owner)> {
        self.queues.iter().flat_map(|(queue, of)| of.reserved.iter().map(|(at, owner)| (*queue, *at, *owner)))
    }

    pub fn assert_holds(&self) {
        for (queue, of) in &self.queues {
            debug_assert!(
                !of.is_indexed() || self.indexed.contains(queue),
                "a queue with an index is looked at when those that nobody uses go"
            );
            debug_assert!(
                of.grouping
                    .iter()
                    .all(|grouping| grouping.due.is_none_or(|at| self.chores.due.contains(&(at, *queue)))),
                "a queue is looked at when a message of its groups expires"
            );
            of.assert_holds();
        }
    }

    /// Indexes that nobody has used for a while give their memory back. To be called now and then. Groups are kept where
    /// somebody waits for one.
    pub fn drop_indexes(&mut self, now: Instant, waits_for_groups: impl Fn(QueueId) -> bool) {
        let is_unused = |used: Instant| now.since(used) > INDEX_UNUSED_MAX;
        for queue in &self.indexed {
            let Some(of) = self.queues.get_mut(queue) else { continue };
            for index in &mut of.indexes {
                let unused = index.take_if(|index| is_unused(index.used));
                self.chores.note_unused(unused);
            }
            let unused =
                of.grouping.take_if(|grouping| is_unused(grouping.used) && !waits_for_groups(*queue));
            unused.into_iter().for_each(|grouping| grouping.end(*queue, &mut self.chores));
        }
        self.indexed.retain(|queue| self.queues.get(queue).is_some_and(OfQueue::is_indexed));
        debug_assert!(self.indexed.len() <= self.queues.len(), "only queues that are known have indexes");
    }

    /// Leadership is lost: what comes back in pieces.
    pub fn into_litter(mut self) -> Vec<Litter> {
        for OfQueue { grouping, indexes, .. } in self.queues.into_values() {
            self.chores.litter.extend(grouping.map(|grouping| Litter::Groups(grouping.groups)));
            self.chores.note_unused(indexes.into_iter().flatten());
        }
        self.chores.litter
    }

    /// The queue has no messages any more, or `is_gone`.
    pub fn forget_queue(&mut self, queue: QueueId, is_gone: bool) {
        let Some(OfQueue { grouping, reserved, indexes, .. }) = self.queues.remove(&queue) else { return };
        debug_assert!(reserved.is_empty() || planted::is(Bug::NoOwnerCheck), "what is reserved is there");
        match grouping {
            // Somebody may wait for a group that is to come.
            Some(mut grouping) if !is_gone => {
                self.chores.litter.push(Litter::Groups(std::mem::take(&mut grouping.groups)));
                grouping.remind(queue, &mut self.chores.due);
                self.queues.insert(queue, OfQueue { grouping: Some(grouping), ..OfQueue::default() });
            }
            gone => gone.into_iter().for_each(|grouping| grouping.end(queue, &mut self.chores)),
        }
        self.chores.note_unused(indexes.into_iter().flatten());
    }
}

impl OfQueue {
    fn assert_holds(&self) {
        debug_assert!(
            self.frontier.iter().enumerate().all(|(rank, at)| usize::from(at.rank) == rank),
            "each rank has a frontier of its own"
        );
        debug_assert!(
            !self.returned.iter().any(|at| self.reserved.contains_key(at)),
            "what came back is nobody's, or not known to have come back"
        );
        debug_assert!(
            self.returned.iter().all(|at| *at <= self.frontier[usize::from(at.rank)]),
            "only what was passed can come back"
        );
        debug_assert!(
            self.returned.iter().all(|at| self.may_have & (1 << at.rank) != 0),
            "a rank to which something came back is looked at"
        );
    }

    fn first(&mut self, queue: &Queue, search: Search<'_>, turn: &mut Turn) -> Found {
        let first_rank = search.behind.map_or(0, |at| at.rank);
        debug_assert!(usize::from(first_rank) < RANKS, "there are ten ranks");
        debug_assert_eq!(self.may_have >> RANKS, 0, "there are ten ranks");
        let mut ranks = self.may_have >> first_rank << first_rank;
        while ranks != 0 {
            let rank = ranks.trailing_zeros() as u8;
            ranks &= ranks - 1;
            let behind = search.behind.filter(|at| at.rank == rank).unwrap_or(front(rank));
            match self.first_in_rank(queue, search, behind, turn) {
                Found::Nothing => {}
                // What was passed need not be passed again: the next time begins where this one did.
                Found::NotYet(None) if search.behind.is_none() && search.selection.is_any() => {
                    return Found::NotYet(None);
                }
                Found::NotYet(None) => return Found::NotYet(Some(behind)),
                Found::Unread { at, behind: None } => return Found::Unread { at, behind: Some(behind) },
                ended => return ended,
            }
        }
        Found::Nothing
    }

    /// As [`OfQueue::first`], without those that the selector has passed before.
    fn first_selected(
        &mut self,
        queue: &Queue,
        search: Search<'_>,
        passed: &mut Passed,
        turn: &mut Turn,
    ) -> Found {
        let first_rank = search.behind.map_or(0, |at| at.rank);
        passed.0.resize(RANKS, None);
        for rank in first_rank..RANKS as u8 {
            let at = usize::from(rank);
            if self.may_have & (1 << rank) == 0 {
                continue;
            }
            let behind = search.behind.filter(|at| at.rank == rank).unwrap_or(front(rank));
            let returns = self.returns[at];
            let known =
                passed.0[at].filter(|(_, then)| *then == returns).map_or(front(rank), |(upto, _)| upto);
            let begin = behind.max(known);
            let found = self.first_in_rank(queue, search, begin, turn);
            let upto = match found {
                Found::Message(at) => in_front_of(at),
                Found::NotYet(behind) | Found::Unread { behind, .. } => behind.unwrap_or(begin),
                Found::Nothing => queue.newest(rank),
            };
            // What lies between two browses was not looked at.
            if behind <= known {
                debug_assert!(upto >= known, "what was passed is passed");
                passed.0[at] = Some((upto, returns));
                self.passed_upto[at] = self.passed_upto[at].max(upto);
            }
            match found {
                Found::Nothing => {}
                Found::NotYet(_) => return Found::NotYet(Some(upto)),
                Found::Unread { at, .. } => return Found::Unread { at, behind: Some(upto) },
                Found::Message(_) => return found,
            }
        }
        Found::Nothing
    }

    fn first_in_rank(
        &mut self,
        queue: &Queue,
        search: Search<'_>,
        behind: Position,
        turn: &mut Turn,
    ) -> Found {
        let rank = usize::from(behind.rank);
        // Where to go on: None as long as the frontier, or what is not in `returned` any more, says it.
        let mut passed = None;
        loop {
            let from = passed.unwrap_or(behind);
            let next = self.returned.range((Excluded(from), Included(back(behind.rank)))).next().copied();
            let Some(position) = next else { break };
            if !turn.look() {
                return Found::NotYet(passed);
            }
            let Some(slot) = queue.slot(position).filter(|slot| self.is_free(position, slot, search.now))
            else {
                self.returned.remove(&position);
                continue;
            };
            match search.wants(self.grouping.as_ref(), position, slot, turn) {
                Wanted::Yes => return Found::Message(position),
                Wanted::No => passed = Some(position),
                Wanted::Unread => return Found::Unread { at: position, behind: passed },
            }
        }
        debug_assert_eq!(usize::from(self.frontier[rank].rank), rank, "a frontier is in its rank");
        let begin = behind.max(self.frontier[rank]);
        let mut at_frontier = begin == self.frontier[rank];
        for (position, slot) in queue.behind_in_rank(begin) {
            let next_time = if at_frontier { passed } else { passed.max(Some(begin)) };
            if !turn.look() {
                return Found::NotYet(next_time);
            }
            if self.is_free(position, slot, search.now) {
                match search.wants(self.grouping.as_ref(), position, slot, turn) {
                    Wanted::Yes => return Found::Message(position),
                    Wanted::No => at_frontier = false,
                    Wanted::Unread => return Found::Unread { at: position, behind: next_time },
                }
            }
            if at_frontier {
                debug_assert!(self.frontier[rank] < position, "a frontier moves forward");
                self.pass(slot, search.now);
                self.frontier[rank] = position;
            } else {
                passed = Some(position);
            }
        }
        let returned = (Excluded(front(behind.rank)), Included(back(behind.rank)));
        if at_frontier && self.returned.range(returned).next().is_none() {
            self.may_have &= !(1 << rank);
        }
        Found::Nothing
    }

    fn first_of(&mut self, tag: Tag, queue: &Queue, search: Search<'_>, turn: &mut Turn) -> Found {
        let index = self.indexes[tag.kind].get_or_insert_default();
        index.used = search.instant;
        if !index.build(tag.kind, queue, &self.reserved, turn) {
            return Found::NotYet(search.behind);
        }
        let mut behind = search.behind;
        loop {
            let index = self.indexes[tag.kind].as_ref().expect("just built");
            let Some(entry) = index.first(tag.hash, behind) else { return Found::Nothing };
            if !turn.look() {
                return Found::NotYet(behind);
            }
            let position = position_of(entry);
            let slot = queue.slot(position);
            let Some(free) = slot.filter(|slot| self.is_free(position, slot, search.now)) else {
                slot.into_iter().for_each(|slot| self.pass(slot, search.now));
                self.indexes[tag.kind].as_mut().expect("just built").entries.remove(&entry);
                continue;
            };
            match search.wants(self.grouping.as_ref(), position, free, turn) {
                Wanted::Yes => return Found::Message(position),
                // Another id that looks the same, or another part of the selection says no.
                Wanted::No => behind = Some(position),
                Wanted::Unread => return Found::Unread { at: position, behind },
            }
        }
    }

    /// Finds out which groups there are. False when the turn is over before all is known.
    fn group(&mut self, queue: &Queue, search: Search<'_>, turn: &mut Turn, chores: &mut Chores) -> bool {
        let new = || Grouping {
            groups: Groups::default(),
            built: Built::default(),
            used: search.instant,
            expired_upto: WallTime::default(),
            due: None,
        };
        self.end_early_grouping(queue.id, search.now, chores);
        let grouping = self.grouping.get_or_insert_with(new);
        grouping.used = search.instant;
        grouping.build(queue, &self.reserved, turn) && self.regroup(queue.id, search.now, turn, chores)
    }

    /// What has expired is in no group any more. False when the turn is over before all of it is not.
    fn regroup(&mut self, queue: QueueId, now: WallTime, turn: &mut Turn, chores: &mut Chores) -> bool {
        self.end_early_grouping(queue, now, chores);
        let Some(grouping) = &mut self.grouping else { return true };
        let mut is_known = true;
        while let Some(at) = grouping.groups.next_expiry().filter(|at| *at <= now) {
            is_known = turn.may(INDEX);
            if !is_known {
                break;
            }
            chores.grown.extend(grouping.groups.remove_expired().map(|group| (queue, Some(group))));
            grouping.expired_upto = grouping.expired_upto.max(at);
        }
        grouping.remind(queue, &mut chores.due);
        is_known
    }

    /// Where the clock went back, what had expired has not: nothing is known of the queue's groups any more.
    fn end_early_grouping(&mut self, queue: QueueId, now: WallTime, chores: &mut Chores) {
        if let Some(grouping) = self.grouping.take_if(|grouping| now < grouping.expired_upto) {
            grouping.end(queue, chores);
            chores.grown.insert((queue, None));
        }
    }

    /// The message that has this number in its group.
    fn first_numbered(
        &mut self,
        (group, number): (GroupId, u32),
        queue: &Queue,
        search: Search<'_>,
        turn: &mut Turn,
    ) -> Found {
        let grouping = self.grouping.as_ref();
        let numbered = grouping.map(|grouping| grouping.groups.numbered(group, number, search.behind));
        let mut behind = search.behind;
        for position in numbered.into_iter().flatten() {
            if !turn.look() {
                return Found::NotYet(behind);
            }
            if let Some(slot) = queue.slot(position).filter(|slot| self.is_free(position, slot, search.now)) {
                match search.wants(grouping, position, slot, turn) {
                    Wanted::Yes => return Found::Message(position),
                    Wanted::No => {}
                    Wanted::Unread => return Found::Unread { at: position, behind },
                }
            }
            behind = Some(position);
        }
        Found::Nothing
    }

    /// The first message that is in no group, or begins one.
    fn first_of_groups(&mut self, queue: &Queue, search: Search<'_>, turn: &mut Turn) -> Found {
        let Some(grouping) = self.grouping.as_ref() else { return Found::Nothing };
        let mut behind = search.behind;
        while let Some(position) = grouping.groups.next_first(behind, search.selection.wants_whole()) {
            if !turn.look() {
                return Found::NotYet(behind);
            }
            if let Some(slot) = queue.slot(position).filter(|slot| self.is_free(position, slot, search.now)) {
                match search.wants(Some(grouping), position, slot, turn) {
                    Wanted::Yes => return Found::Message(position),
                    Wanted::No => {}
                    Wanted::Unread => return Found::Unread { at: position, behind },
                }
            }
            behind = Some(position);
        }
        Found::Nothing
    }

    fn is_indexed(&self) -> bool {
        self.grouping.is_some() || self.indexes.iter().any(Option::is_some)
    }

    fn is_free(&self, position: Position, slot: &Slot, now: WallTime) -> bool {
        let reserved = self.reserved.contains_key(&position) && !planted::is(Bug::NoOwnerCheck);
        !reserved && !slot.is_expired(now)
    }

    fn pass(&mut self, slot: &Slot, now: WallTime) {
        if slot.is_expired(now) {
            self.expired_upto = self.expired_upto.max(slot.expires());
        }
    }
}

fn is_whole(groups: Option<&Grouping>, slot: &Slot) -> bool {
    let Some(group) = slot.in_group() else { return true };
    groups.is_some_and(|grouping| grouping.groups.is_whole(group.group_id))
}

impl Built {
    fn covers(self, position: Position) -> bool {
        match self {
            Built::Upto(upto) => position <= upto,
            Built::Whole => true,
        }
    }
}

impl Grouping {
    /// False when the turn is over before all is known.
    fn build(&mut self, queue: &Queue, reserved: &BTreeMap<Position, Owner>, turn: &mut Turn) -> bool {
        let Built::Upto(upto) = self.built else { return true };
        for (position, slot) in queue.after(Some(upto)) {
            if !turn.may(INDEX) {
                return false;
            }
            if !reserved.contains_key(&position) {
                self.groups.add(position, slot);
            }
            self.built = Built::Upto(position);
        }
        self.built = Built::Whole;
        true
    }

    fn note_free(&mut self, position: Position, slot: &Slot) -> Option<GroupId> {
        if !self.built.covers(position) {
            return None;
        }
        self.groups.add(position, slot)
    }

    fn note_reserved(&mut self, position: Position, slot: &Slot) -> Option<GroupId> {
        self.groups.remove(position, slot)
    }

    /// Its queue is looked at when the next message expires.
    fn remind(&mut self, queue: QueueId, due: &mut BTreeSet<(WallTime, QueueId)>) {
        let next = self.groups.next_expiry();
        if next != self.due {
            if let Some(at) = self.due.take() {
                due.remove(&(at, queue));
            }
            due.extend(next.map(|at| (at, queue)));
            self.due = next;
        }
    }

    /// Nobody has to know of its groups any more.
    fn end(self, queue: QueueId, chores: &mut Chores) {
        if let Some(at) = self.due {
            chores.due.remove(&(at, queue));
        }
        chores.litter.push(Litter::Groups(self.groups));
    }
}

impl Index {
    /// False when the turn is over before it is whole.
    fn build(
        &mut self,
        kind: usize,
        queue: &Queue,
        reserved: &BTreeMap<Position, Owner>,
        turn: &mut Turn,
    ) -> bool {
        let Built::Upto(upto) = self.built else { return true };
        for (position, slot) in queue.after(Some(upto)) {
            if !turn.may(INDEX) {
                return false;
            }
            if !reserved.contains_key(&position) {
                self.entries.extend(Tag::has(kind, slot).map(|tag| entry(tag.hash, position)));
            }
            self.built = Built::Upto(position);
        }
        self.built = Built::Whole;
        true
    }

    fn note_free(&mut self, kind: usize, position: Position, slot: &Slot) {
        if self.built.covers(position) {
            self.entries.extend(Tag::has(kind, slot).map(|tag| entry(tag.hash, position)));
        }
    }

    fn note_reserved(&mut self, kind: usize, position: Position, slot: &Slot) {
        if let Some(tag) = Tag::has(kind, slot) {
            self.entries.remove(&entry(tag.hash, position));
        }
    }

    fn first(&self, hash: u32, behind: Option<Position>) -> Option<u128> {
        let from = entry(hash, behind.unwrap_or_default());
        self.entries.range((Excluded(from), Included(entry(hash, back(15))))).next().copied()
    }
}

impl Tag {
    /// The id that tells most. None: an index would not help.
    fn sought(selection: &Selection) -> Option<Tag> {
        let message = selection.message_id.filter(|id| !id.is_none()).map(|id| Tag::of(MESSAGE, &id.0));
        let correlation = selection.correlation_id.filter(|id| !id.is_none());
        let group = selection.group_id.filter(|id| !id.is_none());
        message
            .or_else(|| correlation.map(|id| Tag::of(CORRELATION, &id.0)))
            .or_else(|| group.map(|id| Tag::of(GROUP, &id.0)))
    }

    /// Of a message: None when it has no such id, and nobody finds it by one.
    fn has(kind: usize, slot: &Slot) -> Option<Tag> {
        match kind {
            MESSAGE => Some(slot.message_id.0),
            CORRELATION => Some(slot.correlation_id()).filter(|id| !id.is_none()).map(|id| id.0),
            _ => slot.group_id().map(|id| id.0),
        }
        .map(|id| Tag::of(kind, &id))
    }

    fn of(kind: usize, id: &[u8; 24]) -> Tag {
        let mut hasher = FixedHasher::default();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        Tag { kind, hash: (hash ^ hash >> 32) as u32 }
    }
}

/// Behind everything that stands in front of this one.
fn in_front_of(at: Position) -> Position {
    match at.minor {
        0 => Position { sequence: at.sequence - 1, ..back(at.rank) },
        minor => Position { minor: minor - 1, ..at },
    }
}

/// In front of every message of a rank.
fn front(rank: u8) -> Position {
    Position { rank, sequence: 0, minor: 0 }
}

/// Behind every message of a rank.
fn back(rank: u8) -> Position {
    Position { rank, sequence: Position::SEQUENCE_MAX, minor: (1 << MINOR_BITS) - 1 }
}

/// At 100,000 messages a second a leader needs 5 years for so many.
const MINOR_BITS: u32 = 44;
const _: () =
    assert!(32 + 4 + Position::SEQUENCE_BITS + MINOR_BITS == u128::BITS, "hash and position fill a number");
const _: () =
    assert!(RANKS <= 1 << 4 && RANKS <= u16::BITS as usize, "a rank has 4 bits, and a bit of its own");

/// Hash, rank, sequence, minor: in order of position for one hash.
fn entry(hash: u32, at: Position) -> u128 {
    debug_assert!(
        at.sequence <= Position::SEQUENCE_MAX && at.minor < 1 << MINOR_BITS,
        "{at:?} has room in an entry"
    );
    let (rank, sequence, minor) = (u128::from(at.rank), u128::from(at.sequence), u128::from(at.minor));
    u128::from(hash) << 96 | rank << 92 | sequence << MINOR_BITS | minor
}

fn position_of(entry: u128) -> Position {
    Position {
        rank: (entry >> 92) as u8 & 0xf,
        sequence: (entry >> MINOR_BITS) as u64 & Position::SEQUENCE_MAX,
        minor: entry as u64 & ((1 << MINOR_BITS) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::definition::{Changes, ObjectRef};
    use crate::types::{CorrelationId, Descriptor, GroupId, Message, ObjectName};

    /// One priority, or more, with a correlation id each.
    struct Desk {
        state: QueueManager,
        reservations: Reservations,
        /// By the one selector that there is.
        passed: Passed,
        turn: Turn,
        now: WallTime,
    }

    const QUEUE: QueueId = QueueId(1);

    impl Desk {
        fn new() -> Desk {
            let name = |text| ObjectName::new(text).unwrap();
            let mut state = QueueManager::new(crate::types::QueueManagerId(1), name("QM"));
            state.apply(crate::qmgr::Command::Define {
                object: ObjectRef::local_queue(&name("Q")),
                like: String::new(),
                replace: false,
                changes: Changes::default(),
                by: Box::default(),
            });
            let reservations = Reservations::default();
            let passed = Passed::default();
            Desk { state, reservations, passed, turn: Turn::new(1 << 40), now: WallTime(0) }
        }

        fn put(&mut self, priority: u8, correlation: &str, expiry: Option<u32>) -> Position {
            let descriptor = Descriptor {
                priority: Some(priority),
                correlation_id: CorrelationId::from_slice(correlation.as_bytes()).unwrap(),
                group_id: GroupId::from_slice(b"g").unwrap(),
                expiry,
                ..Descriptor::default()
            };
            let queue = self.state.change(QUEUE).unwrap();
            let position = queue.place(Box::new(Message { descriptor, ..Message::default() }));
            self.reservations.note_free(&self.state, QUEUE, position);
            position
        }

        fn search(&mut self, selection: Selection, behind: Option<Position>) -> Found {
            self.search_by(selection, None, behind)
        }

        fn search_by(
            &mut self,
            selection: Selection,
            selector: Option<&MessageSelector>,
            behind: Option<Position>,
        ) -> Found {
            self.turn.begin();
            let (now, instant) = (self.now, Instant(0));
            let search = Search { selection: &selection, selector, judged: None, behind, now, instant };
            let queue = self.state.queue(QUEUE).unwrap();
            self.reservations.first_free(queue, search, &mut self.passed, &mut self.turn)
        }

        fn get(&mut self, selection: Selection) -> Option<Position> {
            let Found::Message(position) = self.search(selection, None) else { return None };
            self.reservations.reserve(self.state.queue(QUEUE).unwrap(), position, Owner::Mover);
            Some(position)
        }

        fn free(&mut self, position: Position) {
            self.reservations.release(QUEUE, position);
            self.reservations.note_free(&self.state, QUEUE, position);
        }
    }

    fn any() -> Selection {
        Selection::default()
    }

    fn by(correlation: &str) -> Selection {
        let correlation_id = CorrelationId::from_slice(correlation.as_bytes());
        Selection { correlation_id, ..Selection::default() }
    }

    #[test]
    fn the_first_free_message_has_the_highest_priority_and_is_the_oldest_of_it() {
        let mut desk = Desk::new();
        for priority in [0, 5, 5] {
            desk.put(priority, "", None);
        }
        let order: Vec<u64> = std::iter::from_fn(|| desk.get(any())).map(|at| at.sequence).collect();
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn a_message_that_is_given_back_is_found_again_in_its_old_place() {
        let mut desk = Desk::new();
        (0..3).for_each(|_| {
            desk.put(0, "a", None);
        });
        for selection in [any(), by("a")] {
            let first = desk.get(selection).unwrap();
            let second = desk.get(selection).unwrap();
            assert!(second > first);
            desk.free(first);
            assert_eq!(desk.get(selection), Some(first));
            desk.free(first);
            desk.free(second);
        }
    }

    #[test]
    fn what_was_passed_is_not_passed_again() {
        let mut desk = Desk::new();
        for selection in [any(), by("a"), Selection { group_id: GroupId::from_slice(b"g"), ..any() }] {
            let positions: Vec<Position> = (0..1_000).map(|_| desk.put(0, "a", None)).collect();
            desk.get(selection);
            let most = (1..1_000)
                .map(|_| {
                    desk.get(selection).unwrap();
                    desk.turn.done()
                })
                .max();
            assert!(most <= Some(3), "{most:?}");
            assert_eq!(desk.get(selection), None);
            for position in positions {
                desk.state.change(QUEUE).unwrap().remove(position);
                desk.reservations.release(QUEUE, position);
            }
        }
    }

    #[test]
    fn what_a_selector_has_passed_is_not_passed_again_until_it_comes_back() {
        let mut desk = Desk::new();
        let selector = MessageSelector::new("JMSPriority = 7 OR JMSXDeliveryCount = 2").unwrap();
        let others: Vec<Position> = (0..1_000).map(|n| desk.put(n as u8 % 3, "", None)).collect();
        let search = |desk: &mut Desk| desk.search_by(any(), selector.as_deref(), None);
        assert_eq!(search(&mut desk), Found::Nothing);
        assert!(desk.turn.done() > 3_000);
        let sought = desk.put(7, "", None);
        assert_eq!(search(&mut desk), Found::Message(sought));
        assert!(desk.turn.done() < 20, "{}", desk.turn.done());
        desk.state.change(QUEUE).unwrap().remove(sought);
        // One that comes back may say something else.
        let queue = desk.state.queue(QUEUE).unwrap();
        desk.reservations.reserve(queue, others[500], Owner::Mover);
        assert_eq!(search(&mut desk), Found::Nothing);
        let queue = desk.state.change(QUEUE).unwrap();
        queue.slot_mut(others[500]).unwrap().message.as_mut().unwrap().descriptor.backout_count = 1;
        desk.free(others[500]);
        assert_eq!(search(&mut desk), Found::Message(others[500]));
    }

    #[test]
    fn what_has_expired_is_passed_once_and_comes_back_with_the_clock() {
        let mut desk = Desk::new();
        let old: Vec<Position> = (0..1_000).map(|_| desk.put(0, "a", Some(10))).collect();
        let young = desk.put(0, "a", None);
        desk.now = WallTime(5_000);
        for selection in [any(), by("a")] {
            for _ in 0..3 {
                assert_eq!(desk.search(selection, None), Found::Message(young));
            }
            assert!(desk.turn.done() <= 2);
        }
        desk.now = WallTime(500);
        assert_eq!(desk.search(any(), None), Found::Message(old[0]));
        assert_eq!(desk.search(by("a"), None), Found::Message(old[0]));
    }

    #[test]
    fn an_id_that_nobody_has_costs_nothing_once_the_index_is_there() {
        let mut desk = Desk::new();
        (0..1_000).for_each(|_| {
            desk.put(0, "a", None);
        });
        assert_eq!(desk.get(by("b")), None);
        assert_eq!(desk.get(by("b")), None);
        assert_eq!(desk.turn.done(), 0);
        let late = desk.put(3, "b", None);
        assert_eq!(desk.get(by("b")), Some(late));
        desk.reservations.drop_indexes(Instant(61_000_000), |_| false);
        assert_eq!(desk.get(by("b")), None);
        assert!(desk.turn.done() > 1_000);
    }

    /// As a plain search through all messages, whatever happens and however short the turns are.
    #[test]
    fn it_finds_what_a_look_at_every_message_finds() {
        let mut desk = Desk::new();
        let not_the_middle = MessageSelector::new("JMSPriority <> 1").unwrap();
        let mut reserved = BTreeSet::new();
        let mut seed = 7u64;
        let mut draw = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for round in 0..6_000 {
            desk.turn = Turn::new(8 + draw(40));
            let positions: Vec<Position> =
                desk.state.queue(QUEUE).unwrap().iter().map(|(position, _)| position).collect();
            let some = positions.get(draw(positions.len().max(1) as u64) as usize).copied();
            match draw(8) {
                0..3 => {
                    let expiry = (draw(3) == 0).then(|| 1 + draw(50) as u32);
                    desk.put(draw(3) as u8, ["", "a", "b"][draw(3) as usize], expiry);
                }
                3 => {
                    if let Some(at) = some.filter(|at| !reserved.remove(at)) {
                        desk.reservations.reserve(desk.state.queue(QUEUE).unwrap(), at, Owner::Mover);
                        desk.reservations.release(QUEUE, at);
                        desk.state.change(QUEUE).unwrap().remove(at);
                    } else if let Some(at) = some {
                        desk.free(at);
                    }
                }
                4 => desk.now = WallTime(draw(8_000) as i64),
                _ => {
                    let selection = match draw(4) {
                        0 | 1 => any(),
                        2 => by(["", "a", "b", "c"][draw(4) as usize]),
                        _ => Selection { group_id: GroupId::from_slice(b"g"), ..by("a") },
                    };
                    let behind = some.filter(|_| draw(2) == 0);
                    let selector = not_the_middle.as_deref().filter(|_| draw(3) == 0);
                    let expected = desk
                        .state
                        .queue(QUEUE)
                        .unwrap()
                        .after(behind)
                        .find(|(at, slot)| {
                            !reserved.contains(at)
                                && !slot.is_expired(desk.now)
                                && slot.matches(&selection)
                                && (selector.is_none() || at.rank != 8)
                        })
                        .map(|(at, _)| at);
                    let mut found = desk.search_by(selection, selector, behind);
                    let mut turns = 0;
                    while let Found::NotYet(behind) = found {
                        turns += 1;
                        assert!(turns < 10_000, "round {round}: it never ends");
                        found = desk.search_by(selection, selector, behind);
                    }
                    let found = match found {
                        Found::Message(at) => Some(at),
                        _ => None,
                    };
                    assert_eq!(found, expected, "round {round}, {selection:?} behind {behind:?}");
                    if let Some(at) = found.filter(|_| draw(2) == 0) {
                        desk.reservations.reserve(desk.state.queue(QUEUE).unwrap(), at, Owner::Mover);
                        reserved.insert(at);
                    }
                }
            }
        }
    }
}
