//! Gets that wait for a message: deadlines, and who gets the next message.
//!
//! Waiters of a queue are served in the order they came. Each is found by all that it selects by, so that a message costs nothing for
//! those who do not want it: a thousand requesters that wait for their replies do not make each reply slow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::RangeInclusive;

use crate::mqi::Get;
use crate::qmgr::Slot;
use crate::types::Selection;
use crate::types::{CorrelationId, GroupId, HandleId, Instant, MessageId, QueueId, SessionId, Token};

/// Order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Through those who wait at a queue for something of groups, as they were when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// Of those who do not look again when a group has become whole, and of those who do.
    next: [Ticket; 2],
    upto: Ticket,
}

#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub session: SessionId,
    pub token: Token,
    pub queue: QueueId,
    pub get: Get,
    /// None waits for ever.
    pub until: Option<Instant>,
}

/// All that a message must be for somebody who waits; None is whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wants {
    message_id: Option<MessageId>,
    correlation_id: Option<CorrelationId>,
    group_id: Option<GroupId>,
    sequence_number: Option<u32>,
    /// All of its group is there.
    whole: bool,
}

/// Which parts of [`Wants`] say something.
type Shape = [bool; 5];

impl Wants {
    /// Of no group, or the first one of a group that is whole.
    const FIRST_OF_WHOLE: Wants = Wants {
        message_id: None,
        correlation_id: None,
        group_id: None,
        sequence_number: Some(1),
        whole: true,
    };

    fn of(selection: &Selection) -> Wants {
        let Selection { message_id, correlation_id, group_id, sequence_number, .. } = *selection;
        Wants { message_id, correlation_id, group_id, sequence_number, whole: selection.wants_whole() }
    }

    fn shape(&self) -> Shape {
        [
            self.message_id.is_some(),
            self.correlation_id.is_some(),
            self.group_id.is_some(),
            self.sequence_number.is_some(),
            self.whole,
        ]
    }

    /// What of this shape the message is. None when it is nothing of it.
    fn met_by(slot: &Slot, is_whole: bool, shape: Shape) -> Option<Wants> {
        let [by_message, by_correlation, by_group, by_number, whole] = shape;
        let group_id = slot.group_id().filter(|_| by_group);
        let is_met = (!by_group || group_id.is_some()) && (!whole || is_whole);
        is_met.then(|| Wants {
            message_id: by_message.then_some(slot.message_id),
            correlation_id: by_correlation.then(|| slot.correlation_id()),
            group_id,
            sequence_number: by_number.then(|| slot.sequence_number()),
            whole,
        })
    }
}

/// Where somebody stands among those who wait at a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(Wants, Ticket);

#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    by_ticket: BTreeMap<Ticket, Waiter>,
    by_call: BTreeMap<(SessionId, Token), Ticket>,
    by_handle: BTreeSet<(SessionId, HandleId, Ticket)>,
    by_deadline: BTreeSet<(Instant, Ticket)>,
    by_queue: BTreeMap<(QueueId, Wants), BTreeSet<Ticket>>,
    /// How many different wishes of each shape there are.
    shapes: BTreeMap<(QueueId, Shape), usize>,
    /// Those who want something of groups, and whether they look again when a group has become whole.
    by_groups: BTreeSet<(QueueId, bool, Ticket)>,
}

impl Waiters {
    pub fn len(&self) -> usize {
        self.by_ticket.len()
    }

    pub fn add(&mut self, waiter: Waiter) {
        self.next += 1;
        let ticket = Ticket(self.next);
        let before = self.by_call.insert((waiter.session, waiter.token), ticket);
        debug_assert!(before.is_none(), "a call waits once");
        self.by_handle.insert((waiter.session, waiter.get.handle, ticket));
        if let Some(until) = waiter.until {
            self.by_deadline.insert((until, ticket));
        }
        let selection = &waiter.get.selection;
        let wants = Wants::of(selection);
        let alike = self.by_queue.entry((waiter.queue, wants)).or_default();
        if alike.is_empty() {
            *self.shapes.entry((waiter.queue, wants.shape())).or_default() += 1;
        }
        alike.insert(ticket);
        if selection.is_of_groups() {
            self.by_groups.insert((waiter.queue, looks_again(selection), ticket));
        }
        self.by_ticket.insert(ticket, waiter);
        debug_assert!(self.by_deadline.len() <= self.by_ticket.len(), "a wait ends once");
    }

    pub fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.by_ticket.remove(&ticket)?;
        let of_call = self.by_call.remove(&(waiter.session, waiter.token));
        debug_assert_eq!(of_call, Some(ticket), "a call has the ticket of its wait");
        let had_handle = self.by_handle.remove(&(waiter.session, waiter.get.handle, ticket));
        debug_assert!(had_handle, "whoever waits is found by handle");
        if let Some(until) = waiter.until {
            let had_deadline = self.by_deadline.remove(&(until, ticket));
            debug_assert!(had_deadline, "a deadline goes with its wait, and not before");
        }
        self.forget_wish(waiter.queue, Wants::of(&waiter.get.selection), ticket);
        self.by_groups.remove(&(waiter.queue, looks_again(&waiter.get.selection), ticket));
        debug_assert!(
            self.by_groups.len() <= self.by_ticket.len(),
            "whoever wants something of groups waits"
        );
        Some(waiter)
    }

    fn forget_wish(&mut self, queue: QueueId, wants: Wants, ticket: Ticket) {
        let alike = self.by_queue.get_mut(&(queue, wants)).expect("whoever waits is found by queue");
        let was_there = alike.remove(&ticket);
        assert!(was_there, "whoever waits is found by queue");
        if !alike.is_empty() {
            return;
        }
        self.by_queue.remove(&(queue, wants));
        let of_shape = self.shapes.get_mut(&(queue, wants.shape())).expect("each wish has a shape");
        *of_shape -= 1;
        if *of_shape == 0 {
            self.shapes.remove(&(queue, wants.shape()));
        }
    }

    /// Whether somebody waits who has to know of groups.
    pub fn wait_for_groups(&self, queue: QueueId) -> bool {
        self.by_groups.range(all_of(queue)).next().is_some()
    }

    /// All who wait now for something of groups are to look again, or those that look again when a group has become whole.
    pub fn pass(&self, all: bool) -> Pass {
        Pass { next: [Ticket(if all { 0 } else { u64::MAX }), Ticket(0)], upto: Ticket(self.next) }
    }

    /// The next of a pass through a queue.
    pub fn next_of(&self, queue: QueueId, pass: &mut Pass) -> Option<Ticket> {
        for (looks_again, next) in [false, true].into_iter().zip(&mut pass.next) {
            let rest = (queue, looks_again, *next)..=(queue, looks_again, pass.upto.max(*next));
            let found = self.by_groups.range(rest).next().map(|(.., ticket)| *ticket);
            if let Some(ticket) = found.filter(|ticket| *ticket <= pass.upto) {
                *next = Ticket(ticket.0 + 1);
                return Some(ticket);
            }
            *next = Ticket(u64::MAX);
        }
        None
    }

    /// The first that came after `last` and wants such a message. `is_whole`: all of its group is there.
    pub fn next_for(&self, queue: QueueId, slot: &Slot, is_whole: bool, last: Ticket) -> Option<Ticket> {
        let shapes = self.shapes.range((queue, Shape::default())..=(queue, [true; 5]));
        shapes
            .filter_map(|((_, shape), _)| Wants::met_by(slot, is_whole, *shape))
            .filter_map(|wants| self.by_queue.get(&(queue, wants)))
            .filter_map(|alike| alike.range((Excluded(last), Unbounded)).next().copied())
            .min()
            .inspect(|found| debug_assert!(slot.matches(&self.get(*found).get.selection), "it is wanted"))
    }

    pub fn get(&self, ticket: Ticket) -> &Waiter {
        &self.by_ticket[&ticket]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.by_ticket.values()
    }

    pub fn assert_holds(&self) {
        debug_assert_eq!(self.by_call.len(), self.by_ticket.len(), "whoever waits is found by call");
        debug_assert_eq!(self.by_handle.len(), self.by_ticket.len(), "whoever waits is found by handle");
        debug_assert_eq!(
            self.by_deadline.len(),
            self.iter().filter(|waiter| waiter.until.is_some()).count(),
            "whoever does not wait for ever has a deadline"
        );
        debug_assert_eq!(
            self.by_queue.values().map(BTreeSet::len).sum::<usize>(),
            self.by_ticket.len(),
            "whoever waits is found by queue"
        );
        debug_assert_eq!(self.shapes.values().sum::<usize>(), self.by_queue.len(), "each wish has a shape");
        debug_assert!(
            self.by_ticket.last_key_value().is_none_or(|(last, _)| last.0 <= self.next),
            "who comes next comes last"
        );
    }

    pub fn take_due(&mut self, now: Instant) -> Option<Waiter> {
        let (at, ticket) = *self.by_deadline.first()?;
        if at > now {
            return None;
        }
        let due = self.remove(ticket);
        debug_assert_eq!(due.as_ref().and_then(|waiter| waiter.until), Some(at), "a wait ends when it said");
        due
    }

    /// Whoever has waited longest.
    pub fn take_first(&mut self) -> Option<Waiter> {
        let (ticket, _) = self.by_ticket.first_key_value()?;
        self.remove(*ticket)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(at, _)| *at)
    }

    pub fn cancel(&mut self, session: SessionId, token: Token) -> Option<Waiter> {
        let ticket = *self.by_call.get(&(session, token))?;
        let waiter = self.remove(ticket);
        debug_assert_eq!(
            waiter.as_ref().map(|waiter| (waiter.session, waiter.token)),
            Some((session, token)),
            "a call that is cancelled is the one that was named"
        );
        waiter
    }

    /// Who has waited longest by a handle.
    pub fn first_by(&self, session: SessionId, handle: HandleId) -> Option<Ticket> {
        let of_handle = (session, handle, Ticket(0))..=(session, handle, Ticket(u64::MAX));
        self.by_handle.range(of_handle).next().map(|(_, _, ticket)| *ticket)
    }

    pub fn waits(&self, session: SessionId, handle: HandleId) -> bool {
        self.first_by(session, handle).is_some()
    }

    /// So many of a session's at most, and how many they were.
    pub fn take_away(&mut self, session: SessionId, count: usize) -> usize {
        let calls = self.by_call.range((session, Token(0))..=(session, Token(u64::MAX)));
        let tickets: Vec<Ticket> = calls.map(|(_, ticket)| *ticket).take(count).collect();
        tickets.into_iter().filter_map(|ticket| self.remove(ticket)).count()
    }

    /// Who came last.
    pub fn newest(&self) -> Ticket {
        Ticket(self.next)
    }

    /// The next one who waits at the queue, behind this place: who wants the same in order of arrival.
    pub fn next_at(&self, queue: QueueId, behind: Option<Place>) -> Option<(Place, Ticket)> {
        let Place(wants, ticket) = behind.unwrap_or(Place(Wants::default(), Ticket(0)));
        let all = (queue, wants)..(QueueId(queue.0 + 1), Wants::default());
        let next_of = |alike: &BTreeSet<Ticket>, behind: Ticket| {
            alike.range((Excluded(behind), Unbounded)).next().copied()
        };
        self.by_queue.range(all).find_map(|((_, next), alike)| {
            let behind = if *next == wants { ticket } else { Ticket(0) };
            next_of(alike, behind).map(|ticket| (Place(*next, ticket), ticket))
        })
    }

    /// Nobody is told any more: memory of so many comes back. False when nothing is left.
    pub fn take_apart(&mut self, count: usize) -> bool {
        let mut some = false;
        for _ in 0..count {
            some |= self.by_ticket.pop_first().is_some();
            some |= self.by_call.pop_first().is_some();
            some |= self.by_handle.pop_first().is_some();
            some |= self.by_deadline.pop_first().is_some();
            some |= self.by_groups.pop_first().is_some();
            if let Some(mut alike) = self.by_queue.first_entry() {
                some = true;
                alike.get_mut().pop_first();
                if alike.get().is_empty() {
                    alike.remove();
                }
            }
        }
        some
    }
}

fn all_of(queue: QueueId) -> RangeInclusive<(QueueId, bool, Ticket)> {
    (queue, false, Ticket(0))..=(queue, true, Ticket(u64::MAX))
}

/// Whoever wants any message of a whole group: the one that makes it whole may not be the one that is wanted. In logical order it is
/// the first one, which is offered again.
fn looks_again(selection: &Selection) -> bool {
    selection.wants_whole() && !(selection.logical_order && Wants::of(selection) == Wants::FIRST_OF_WHOLE)
}
