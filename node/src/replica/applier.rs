//! Committed entries → queue manager → answers and wake-ups.

use super::Replica;
use super::proposals::{Item, Ride, Waiting};
use crate::consensus::{Entry, EntryKind};
use crate::mqi::{Completion, Data, UnitState};
use crate::qmgr::{Command, Outcome, command};
use crate::types::planted::{self, Bug};
use crate::types::{QueueId, Reason};

impl Replica {
    pub(super) fn apply_all(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let index = entry.index;
            self.stats.entries_applied += 1;
            self.compaction.note_applied(entry.data.len());
            match entry.kind {
                EntryKind::Membership => self.apply_membership(&entry),
                EntryKind::Normal if entry.data.is_empty() => {}
                EntryKind::Normal => self.apply_batch(entry),
            }
            self.consensus.applied(index);
        }
    }

    fn apply_batch(&mut self, entry: Entry) {
        let leading = self.standing.leading_mut();
        let mut items = leading
            .and_then(|leading| leading.proposals.applied(entry.index))
            .unwrap_or_default()
            .into_iter();
        let (at, commands) = match command::decode(entry.data) {
            Ok(batch) => batch,
            // A newer leader's command, or our own bug: going on without it would make this copy differ for ever.
            Err(error) => panic!("entry {} cannot be applied: {error}", entry.index),
        };
        self.state.set_time(at);
        for command in commands {
            let waiting = self.next_waiting(&mut items);
            if planted::is(Bug::ApplyTwice) && entry.index.0.is_multiple_of(64) {
                self.apply_command(command.clone(), Waiting::Nobody);
            }
            self.apply_command(command, waiting);
        }
        for item in items {
            if let Item::Ride(ride) = item {
                self.apply_ride(ride);
            }
        }
    }

    /// Who waits for the next command; what rides in front of it happens first.
    fn next_waiting(&mut self, items: &mut std::vec::IntoIter<Item>) -> Waiting {
        loop {
            match items.next() {
                Some(Item::Command(waiting)) => return waiting,
                Some(Item::Ride(ride)) => self.apply_ride(ride),
                None => return Waiting::Nobody,
            }
        }
    }

    fn apply_ride(&mut self, ride: Ride) {
        // The first put may have been persistent and under way, if its queue's default has changed since.
        let logged = ride.producer.and_then(|(producer, sequence)| self.logged_before(&producer, sequence));
        let completion = match logged {
            Some(message_id) => Completion::ok(Data::Placed { message_id, duplicate: true }),
            None => ride.completion,
        };
        match ride.message {
            Some((queue, message)) if logged.is_none() => self.place_not_persistent(queue, message),
            Some((queue, _)) => self.note_left(queue, 1),
            None => {}
        }
        self.answer(ride.session, ride.token, completion);
    }

    fn apply_command(&mut self, command: Command, waiting: Waiting) {
        let entering = match &command {
            Command::Place(place) => Some(place.queue),
            _ => None,
        };
        let removed = match &command {
            Command::Remove(removal) => Some((removal.queue, removal.positions.clone())),
            _ => None,
        };
        let outcome = self.state.apply(command);
        match waiting {
            Waiting::Nobody => {
                if let Outcome::Placed { queue, position, .. } = outcome {
                    self.note_free(queue, position);
                }
            }
            Waiting::Put { session, token, message_id, dead_lettered } => {
                self.end_proposed(session);
                self.note_left(entering.expect("a put is a place"), 1);
                let completion = match outcome {
                    Outcome::Placed { queue, position, .. } => {
                        self.note_free(queue, position);
                        match dead_lettered {
                            Some(reason) => {
                                Completion::warning(reason, Data::Placed { message_id, duplicate: false })
                            }
                            None => Completion::ok(Data::Placed { message_id, duplicate: false }),
                        }
                    }
                    Outcome::Duplicate { message_id } => {
                        self.stats.duplicates_suppressed += 1;
                        Completion::ok(Data::Placed { message_id, duplicate: true })
                    }
                    Outcome::Refused(reason) => Completion::failed(reason),
                    other => unreachable!("a put became {other:?}"),
                };
                self.answer(session, token, completion);
            }
            Waiting::Get { session, token, cut } => {
                let (queue, positions) = removed.expect("a get is a removal");
                positions
                    .iter()
                    .for_each(|position| self.standing.own_mut().reservations.release(queue, *position));
                match outcome {
                    Outcome::Removed(slots) => {
                        let (_, slot) = slots.into_iter().next().expect("one position, one slot");
                        let message = slot.message.expect("it was in memory when its removal was proposed");
                        self.answer_with(session, token, message, cut);
                    }
                    Outcome::Refused(reason) => self.answer(session, token, Completion::failed(reason)),
                    other => unreachable!("a removal became {other:?}"),
                }
            }
            Waiting::Commit { session, token, gets, puts, not_persistent } => {
                self.end_proposed(session);
                puts.iter().for_each(|(queue, count)| self.note_left(*queue, *count));
                match outcome {
                    Outcome::Committed(committed) => {
                        for (queue, position) in &gets {
                            if position.is_persistent() {
                                self.standing.own_mut().reservations.release(*queue, *position);
                            }
                        }
                        let volatile: Vec<_> =
                            gets.into_iter().filter(|(_, at)| !at.is_persistent()).collect();
                        for (queue, position) in committed.placed {
                            self.note_free(queue, position);
                        }
                        self.commit_not_persistent(not_persistent, &volatile);
                        self.answer(session, token, Completion::done());
                    }
                    Outcome::Refused(reason) => {
                        for put in &not_persistent {
                            self.note_left(put.queue(), 1);
                        }
                        gets.into_iter().for_each(|(queue, position)| self.free(queue, position));
                        self.answer(session, token, Completion::failed(reason));
                    }
                    other => unreachable!("a unit became {other:?}"),
                }
            }
            Waiting::Backout { answer, gets } => {
                for (queue, position) in gets {
                    if self.wants_move(queue, position) {
                        self.load_to_move(queue, position);
                    } else {
                        self.free(queue, position);
                    }
                }
                if let Some((session, token)) = answer {
                    self.answer(session, token, Completion::done());
                }
            }
            Waiting::Expire { queue } => {
                if let Outcome::Removed(slots) = outcome {
                    self.stats.expired += slots.len() as u64;
                    slots.iter().for_each(|(position, _)| {
                        self.standing.own_mut().reservations.release(queue, *position)
                    });
                }
            }
            Waiting::Seal { session, token } => {
                let state = match outcome {
                    Outcome::Sealed { committed: true } => UnitState::Committed,
                    _ => UnitState::BackedOut,
                };
                self.answer(session, token, Completion::ok(Data::Unit(state)));
            }
            Waiting::Admin { session, token, queue } => self.end_admin(session, token, queue, outcome),
            Waiting::Move { from: (queue, position), to } => {
                self.note_left(to, 1);
                match outcome {
                    Outcome::Committed(committed) => {
                        self.standing.own_mut().reservations.release(queue, position);
                        committed.placed.into_iter().for_each(|(queue, at)| self.note_free(queue, at));
                    }
                    _ => self.free(queue, position),
                }
            }
            Waiting::Staged { session, number } => {
                self.standing.own_mut().staging.part_applied();
                // Its session ended before the message was ordered, and nobody will ever name it again.
                if self.sessions.get(session).is_none() && !self.standing.own().staging.has(number) {
                    self.propose(Command::DropStaged(vec![number]), Waiting::Nobody);
                }
            }
            Waiting::BeginTerm => self.begin_serving(),
        }
    }

    fn end_proposed(&mut self, session: crate::types::SessionId) {
        if let Some(state) = self.sessions.get_mut(session) {
            state.proposed -= 1;
        }
    }

    fn end_admin(
        &mut self,
        session: crate::types::SessionId,
        token: crate::types::Token,
        queue: Option<QueueId>,
        outcome: Outcome,
    ) {
        if let Some(queue) = queue {
            self.standing.own_mut().locked.remove(&queue);
            if matches!(outcome, Outcome::Done | Outcome::Cleared { .. }) {
                self.standing.own_mut().reservations.forget_queue(queue);
            }
            if self.state.queue(queue).is_none() {
                for waiter in self.standing.own_mut().waiters.take_queue(queue) {
                    self.answer(waiter.session, waiter.token, Completion::failed(Reason::QDeleted));
                }
            }
        }
        let completion = match outcome {
            Outcome::Refused(reason) => Completion::failed(reason),
            _ => Completion::done(),
        };
        self.answer(session, token, completion);
        self.stir_all();
    }

    /// An altered queue may be open for gets again.
    fn stir_all(&mut self) {
        let leading = self.standing.own_mut();
        for queue in leading.waiters.queues() {
            if let Some(contents) = self.state.queue(queue) {
                let free = contents.iter().map(|(position, _)| (queue, position)).take(10_000);
                leading.stirred.extend(free);
            }
        }
    }

    fn apply_membership(&mut self, entry: &Entry) {
        let before = self.consensus.membership().removed.clone();
        let membership = self.consensus.apply_membership(entry);
        membership.removed.difference(&before).for_each(|node| self.greet(*node));
        self.publish_membership();
    }
}
