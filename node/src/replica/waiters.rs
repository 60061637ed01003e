//! Gets that wait for a message: deadlines, and who gets the next message.
//!
//! Waiters of a queue are served in the order they came. A waiter that selects by an id is found by that id, so that a thousand requesters waiting for their replies do not make each reply slow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

use crate::mqi::Get;
use crate::qmgr::Slot;
use crate::types::Selection;
use crate::types::{CorrelationId, GroupId, HandleId, Instant, MessageId, QueueId, SessionId, Token};

/// Order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub session: SessionId,
    pub token: Token,
    pub queue: QueueId,
    pub get: Get,
    /// None waits for ever.
    pub until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wants {
    Any,
    /// Of no group, or the first one of a group.
    First,
    /// The same, and all of its group is there.
    Whole,
    Message(MessageId),
    Correlation(CorrelationId),
    Group(GroupId),
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
    by_queue: BTreeSet<(QueueId, Wants, Ticket)>,
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
        self.by_queue.insert((waiter.queue, wants(selection), ticket));
        if selection.is_of_groups() {
            self.by_groups.insert((waiter.queue, looks_again(selection), ticket));
        }
        self.by_ticket.insert(ticket, waiter);
        debug_assert_eq!(self.by_queue.len(), self.by_ticket.len(), "whoever waits is found by queue");
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
        let was_there = self.by_queue.remove(&(waiter.queue, wants(&waiter.get.selection), ticket));
        assert!(was_there, "whoever waits is found by queue");
        self.by_groups.remove(&(waiter.queue, looks_again(&waiter.get.selection), ticket));
        debug_assert!(
            self.by_groups.len() <= self.by_ticket.len(),
            "whoever wants something of groups waits"
        );
        debug_assert_eq!(self.by_queue.len(), self.by_ticket.len(), "whoever waits is found by queue");
        Some(waiter)
    }

    /// Whether somebody waits who has to know of groups.
    pub fn wait_for_groups(&self, queue: QueueId) -> bool {
        let all = (queue, false, Ticket(0))..=(queue, true, Ticket(u64::MAX));
        self.by_groups.range(all).next().is_some()
    }

    /// Those who look again when a group has become whole.
    pub fn looking_again(&self, queue: QueueId) -> Vec<Ticket> {
        let all = (queue, true, Ticket(0))..=(queue, true, Ticket(u64::MAX));
        self.by_groups.range(all).map(|(.., ticket)| *ticket).collect()
    }

    /// The first that came after `last` and wants such a message. `is_whole`: all of its group is there.
    pub fn next_for(&self, queue: QueueId, slot: &Slot, is_whole: bool, last: Ticket) -> Option<Ticket> {
        let of = |wants: Wants| {
            let later = (Excluded((queue, wants, last)), Included((queue, wants, Ticket(u64::MAX))));
            let tickets = self.by_queue.range(later).map(|(_, _, ticket)| *ticket);
            tickets.into_iter().find(|ticket| {
                let selection = &self.by_ticket[ticket].get.selection;
                slot.matches(selection) && (is_whole || !selection.wants_whole())
            })
        };
        let is_first = slot.sequence_number() == 1;
        let group = slot.group_id().map(Wants::Group);
        [Wants::Any, Wants::Message(slot.message_id), Wants::Correlation(slot.correlation_id())]
            .into_iter()
            .chain(group)
            .chain(is_first.then_some(Wants::First))
            .chain((is_first && is_whole).then_some(Wants::Whole))
            .filter_map(of)
            .min()
            .inspect(|found| debug_assert!(*found > last, "nobody is asked twice"))
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

    pub fn take_handle(&mut self, session: SessionId, handle: HandleId) -> Vec<Waiter> {
        let tickets: Vec<Ticket> = self.through(session, handle).collect();
        tickets.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    /// The waits through a handle, in order of arrival.
    fn through(&self, session: SessionId, handle: HandleId) -> impl Iterator<Item = Ticket> {
        let of_handle = (session, handle, Ticket(0))..=(session, handle, Ticket(u64::MAX));
        self.by_handle.range(of_handle).map(|(_, _, ticket)| *ticket)
    }

    pub fn waits(&self, session: SessionId, handle: HandleId) -> bool {
        self.through(session, handle).next().is_some()
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
        let Place(wants, ticket) = behind.unwrap_or(Place(Wants::Any, Ticket(0)));
        let last = Wants::Group(GroupId([u8::MAX; 24]));
        let all = (Excluded((queue, wants, ticket)), Included((queue, last, Ticket(u64::MAX))));
        let (_, wants, ticket) = *self.by_queue.range(all).next()?;
        debug_assert!(ticket > Ticket(0), "tickets begin at 1");
        Some((Place(wants, ticket), ticket))
    }

    /// Everybody who waits, in order of arrival.
    pub fn into_all(self) -> impl Iterator<Item = Waiter> {
        self.by_ticket.into_values()
    }
}

fn wants(selection: &Selection) -> Wants {
    match (selection.message_id, selection.correlation_id, selection.group_id) {
        (Some(id), _, _) => Wants::Message(id),
        (None, Some(id), _) => Wants::Correlation(id),
        (None, None, Some(id)) => Wants::Group(id),
        (None, None, None) if selection.sequence_number != Some(1) => Wants::Any,
        (None, None, None) if selection.wants_whole() => Wants::Whole,
        (None, None, None) => Wants::First,
    }
}

/// Whoever wants any message of a whole group: the one that makes it whole may not be the one that is wanted. In logical order it is
/// the first one, which is offered again.
fn looks_again(selection: &Selection) -> bool {
    selection.wants_whole() && !(selection.logical_order && wants(selection) == Wants::Whole)
}
