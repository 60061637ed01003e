//! Committed entries → queue manager → answers and wake-ups.
//!
//! As much as a turn may do, in order: the rest goes on in the next one, behind an entry, between two commands of one, or
//! in the middle of a large unit of work. Commands of an entry are calls of their own, so that who reads between two of
//! them reads what one could always read. In the middle of a unit nobody reads: calls wait, and no message is offered or
//! expires. The store and digests are of whole entries.

use std::collections::VecDeque;

use trimaran_proto::replica::v1::MembershipChange;

use super::proposals::{Item, Ride, Waiting};
use super::repeats::repeated;
use super::{Action, Replica};
use crate::consensus::{Entry, EntryKind};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Applied, Command, DecodeError, QueueManager, Removed, Verdict, command};
use crate::types::planted::{self, Bug};
use crate::types::{Index, Speaks};

/// What is committed and not applied.
#[derive(Debug, Default)]
pub(super) struct Applying {
    entries: VecDeque<Entry>,
    batch: Option<Batch>,
    /// What came into force of the members, by entries that may be applied once more: what the members were then is not known then.
    members: VecDeque<(Index, MembershipChange)>,
}

/// The entry that is being applied.
#[derive(Debug)]
struct Batch {
    entry: Entry,
    commands: std::vec::IntoIter<Command>,
    /// Commands that are applied.
    done: usize,
    /// Who waits for those that are not, and what rides between them.
    items: VecDeque<Item>,
    /// Who waits for the unit of work that is under way.
    waiting: Option<Waiting>,
}

impl Applying {
    pub fn is_empty(&self) -> bool {
        self.batch.is_none() && self.entries.is_empty()
    }

    /// Some of an entry's commands may be applied and others not.
    pub fn is_in_entry(&self) -> bool {
        self.batch.is_some()
    }

    /// Who waits for what of an entry is not applied yet.
    pub fn waiting(&self) -> impl Iterator<Item = &Item> {
        self.batch.iter().flat_map(|batch| &batch.items)
    }

    pub fn add(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries);
    }

    /// Leadership is lost. What is committed is applied all the same, and nobody here is told.
    pub fn lose_items(&mut self) -> Vec<Item> {
        let Some(batch) = &mut self.batch else { return Vec::new() };
        let waiting = batch.waiting.as_mut().map(|waiting| std::mem::replace(waiting, Waiting::Nobody));
        waiting.map(Item::Command).into_iter().chain(batch.items.drain(..)).collect()
    }

    /// A snapshot has everything up to this index: what it makes needless.
    pub fn drop_upto(&mut self, upto: Index) -> Vec<Entry> {
        let begun = self.batch.take_if(|batch| batch.entry.index <= upto).map(|batch| batch.entry);
        let needless = self.entries.iter().take_while(|entry| entry.index <= upto).count();
        begun.into_iter().chain(self.entries.drain(..needless)).collect()
    }

    /// The change of the members by this entry, if it came into force.
    pub fn members_by(&self, entry: Index) -> Option<&MembershipChange> {
        self.members.iter().find(|(index, _)| *index == entry).map(|(_, change)| change)
    }

    /// Another state takes the place of the one that the entry is being applied to: it is brought to where that one was,
    /// and a unit of work begins again.
    pub fn catch_up(&mut self, state: &mut QueueManager) {
        let Some(batch) = &mut self.batch else { return };
        let (at, commands) =
            command::decode(batch.entry.data.clone(), Speaks::RELEASE).expect("decoded before");
        state.set_time(at);
        batch.commands = commands.into_iter();
        batch.commands.by_ref().take(batch.done).for_each(|command| drop(state.apply(command)));
    }
}

impl Replica {
    /// Applies what was committed, as much as a turn may. Whether an entry ended.
    pub(super) fn apply_some(&mut self) -> bool {
        let mut any = false;
        while self.go_on_with_half() && !self.applying.is_empty() && !self.is_stuck {
            if self.turn.has_applied_enough() && self.may_rest() {
                // What is proposed before the entry ends may be of the version that it began with.
                self.follow_version();
                self.is_not_done = true;
                return any;
            }
            any |= self.apply_next();
        }
        any
    }

    /// The store moves to whole entries: a turn ends behind one when that is due.
    fn may_rest(&self) -> bool {
        !self.applying.is_in_entry() || self.state.is_under_way() || !self.is_move_due()
    }

    /// One command, or a part of it. Whether an entry ended.
    fn apply_next(&mut self) -> bool {
        if self.applying.is_in_entry() {
            return self.apply_command();
        }
        let entry = self.applying.entries.pop_front().expect("the caller looked");
        let index = entry.index;
        assert!(index > self.consensus.applied_index(), "entries are applied one after the other, and once");
        self.stats.entries_applied += 1;
        self.compaction.note_applied(entry.data.len());
        match entry.kind {
            EntryKind::Membership => self.apply_membership(&entry),
            EntryKind::Normal if entry.data.is_empty() => {}
            EntryKind::Normal => {
                self.begin_batch(entry);
                return false;
            }
        }
        self.end_entry(index);
        true
    }

    fn end_entry(&mut self, index: Index) {
        self.consensus.applied(index);
        self.answer_comparison(index);
    }

    /// Going on without it would make this copy differ for ever.
    fn get_stuck(&mut self, entry: Index, error: DecodeError) {
        self.is_stuck = true;
        let name = &self.options.name;
        let sentence = format!("entry {entry} of queue manager {name} cannot be applied: {error}");
        self.out.push(Action::Stuck { sentence });
    }

    fn begin_batch(&mut self, entry: Entry) {
        let leading = self.standing.leading_mut();
        let items = leading.and_then(|leading| leading.proposals.applied(entry.index)).unwrap_or_default();
        let (at, commands) = match command::decode(entry.data.clone(), self.options.speaks) {
            Ok(batch) => batch,
            Err(error) => return self.get_stuck(entry.index, error),
        };
        self.turn.note_applied_bytes(entry.data.len());
        self.state.set_time(at);
        let (commands, items) = (commands.into_iter(), items.into());
        self.applying.batch = Some(Batch { entry, commands, done: 0, items, waiting: None });
    }

    fn apply_command(&mut self) -> bool {
        let batch = self.applying.batch.as_mut().expect("the caller looked");
        let index = batch.entry.index;
        let waiting = batch.waiting.take();
        let command = if waiting.is_some() { None } else { batch.commands.next() };
        let (waiting, command) = match (waiting, command) {
            (Some(waiting), _) if self.state.is_under_way() => (waiting, None),
            // The unit was begun on a state that another one took the place of.
            (Some(waiting), _) => (waiting, self.next_command()),
            (None, Some(command)) => (self.next_waiting(), Some(command)),
            (None, None) => {
                self.end_batch();
                self.end_entry(index);
                return true;
            }
        };
        if planted::is(Bug::ApplyTwice)
            && index.0.is_multiple_of(64)
            && let Some(command) = &command
        {
            let twice = self.state.apply(command.clone());
            self.note_applied(&twice);
        }
        let mut applied = std::mem::take(&mut self.applied);
        let slice = self.turn.slice();
        let is_done = match command {
            Some(command) => self.state.begin(command, slice, &mut applied),
            None => self.state.go_on(slice, &mut applied),
        };
        self.note_applied(&applied);
        let batch = self.applying.batch.as_mut().expect("seen above");
        if is_done {
            batch.done += 1;
            self.note_ended(&waiting);
            self.end(waiting, &mut applied);
        } else {
            batch.waiting = Some(waiting);
        }
        applied.clear();
        self.applied = applied;
        false
    }

    fn next_command(&mut self) -> Option<Command> {
        self.applying.batch.as_mut()?.commands.next()
    }

    /// Who waits for the next command; what rides in front of it happens first.
    fn next_waiting(&mut self) -> Waiting {
        loop {
            match self.applying.batch.as_mut().and_then(|batch| batch.items.pop_front()) {
                Some(Item::Command(waiting)) => return waiting,
                Some(Item::Ride(ride)) => self.apply_ride(*ride),
                None => return Waiting::Nobody,
            }
        }
    }

    /// All its commands are applied: what rides behind the last one happens.
    fn end_batch(&mut self) {
        let batch = self.applying.batch.take().expect("the caller looked");
        debug_assert!(!self.state.is_half_applied(), "an entry ends with whole units of work");
        debug_assert!(batch.waiting.is_none(), "who waits for a command is answered with it");
        for item in batch.items {
            if let Item::Ride(ride) = item {
                self.apply_ride(*ride);
            }
        }
        self.follow_version();
    }

    /// Nothing that was proposed is still to be applied.
    pub(super) fn is_idle(&self) -> bool {
        self.standing.own().proposals.is_idle() && !self.applying.is_in_entry()
    }

    /// Rides behind everything that was proposed up to now; where all of that is applied, it happens at once.
    pub(super) fn ride(&mut self, ride: Ride) {
        match (self.standing.own_mut().proposals.newest(), &mut self.applying.batch) {
            (Some(items), _) => items.push(Item::Ride(Box::new(ride))),
            (None, Some(batch)) => batch.items.push_back(Item::Ride(Box::new(ride))),
            (None, None) => self.apply_ride(ride),
        }
    }

    fn apply_ride(&mut self, ride: Ride) {
        // The first put may have been persistent and under way, if its queue's default has changed since.
        let logged = ride.producer.and_then(|put| self.logged_before(&put));
        let completion = match logged {
            Some(before) => repeated(before),
            None => ride.completion,
        };
        for (queue, message) in ride.message.into_iter().chain(ride.report) {
            match logged {
                None => self.place_not_persistent(queue, message),
                Some(_) => self.note_left(queue, 1),
            }
        }
        self.answer(ride.session, ride.token, completion);
    }

    /// What follows from every command, whichever it was and whoever waits for it; of a large unit, from each part.
    fn note_applied(&mut self, applied: &Applied) {
        self.turn.note_applied(applied.messages().max(applied.looks));
        if applied.register_changed {
            self.registering.note_changed();
        }
        let gone = applied.gone_from_trail.iter().cloned();
        self.out.extend(gone.map(|record| Action::TrailEnds(Box::new(record))));
        let Some(leading) = self.standing.leading_mut() else { return };
        for Removed { queue, position, .. } in &applied.removed {
            leading.reservations.release(*queue, *position);
            leading.depths.note_got(*queue, self.now.instant);
        }
        for (queue, position) in &applied.placed {
            leading.note_free(&self.state, *queue, *position);
        }
        leading.channels_due |= applied.channel_changed;
        leading.listeners_due |= applied.listener_changed;
        applied.changed.iter().for_each(|queue| self.note_changed(*queue));
        applied.renamed.iter().for_each(|(queue, name)| self.note_renamed(*queue, name));
    }

    /// A command that this node proposed is applied.
    fn note_ended(&mut self, waiting: &Waiting) {
        if let Some(state) = waiting.in_order_of().and_then(|session| self.sessions.get_mut(session)) {
            assert!(state.proposed > 0, "what is applied for a session was proposed");
            state.proposed -= 1;
        }
        if let Some(leading) = self.standing.leading_mut() {
            waiting.let_in().for_each(|(queue, count)| leading.note_left(queue, count));
        }
    }

    /// The words for who waits.
    fn end(&mut self, waiting: Waiting, applied: &mut Applied) {
        let verdict = applied.verdict;
        match waiting {
            Waiting::Nobody => {}
            Waiting::Put { session, token, answer, .. } => {
                self.end_put(session, token, *answer, verdict);
            }
            Waiting::Get { session, token, cut, reported: Some((_, message)), .. } if verdict.is_ok() => {
                self.answer_with(session, token, message, cut);
            }
            Waiting::Get { session, token, from, cut, .. } => match verdict {
                Ok(_) => {
                    let removed = applied.removed.pop().expect("a removal of one message removes one");
                    let message = removed.slot.message;
                    let message = message.expect("it was in memory when its removal was proposed");
                    self.answer_with(session, token, message, cut);
                }
                Err(reason) => {
                    self.free(from.0, from.1);
                    self.answer(session, token, Completion::failed(reason));
                }
            },
            Waiting::Commit { session, token, unit } => self.end_commit(session, token, *unit, verdict),
            Waiting::Backout { answer, gets } => self.end_backout(answer, gets),
            Waiting::Expire { queue, messages } => self.end_expire(queue, messages, applied.removed.len()),
            Waiting::Expired { from, .. } => self.end_expired(from, verdict.is_ok()),
            Waiting::Seal { session, token } => {
                let Ok(Verdict::Sealed { state, is_new }) = verdict else {
                    unreachable!("a seal became {verdict:?}")
                };
                self.answer(session, token, Completion::ok(Data::Unit { state, sealed: is_new }));
            }
            Waiting::Define { session, token, object } => {
                self.end_defining(&object);
                self.end_admin(session, token, None, verdict);
            }
            Waiting::Admin { session, token, queue } => self.end_admin(session, token, queue, verdict),
            Waiting::Maintain { session, token } => self.end_maintain(session, token, verdict.map(|_| ())),
            Waiting::Move { from: (queue, position), .. } => {
                if verdict.is_err() {
                    self.free(queue, position);
                }
            }
            Waiting::Staged { session, number } => self.end_part(session, number),
            Waiting::Made { session, token, wanted, name } => {
                self.end_making(session, token, *wanted, name, verdict.map(|_| ()));
            }
            Waiting::Gone { queue } => self.end_deleting(queue),
            Waiting::Event { about, .. } => about.into_iter().for_each(|queue| self.end_telling(queue)),
            Waiting::BeginTerm => self.begin_serving(),
        }
    }

    fn apply_membership(&mut self, entry: &Entry) {
        let before = self.consensus.membership().removed.clone();
        let membership = self.consensus.apply_membership(entry);
        if let Some(change) = self.consensus.membership_change(entry) {
            let mut applied = Applied::default();
            self.state.note_members(&change, &mut applied);
            self.note_applied(&applied);
            self.applying.members.retain(|(index, _)| self.consensus.tail_entry(*index).is_some());
            self.applying.members.push_back((entry.index, change));
        }
        membership.removed.difference(&before).for_each(|node| self.greet(*node));
        self.publish_membership();
    }
}
