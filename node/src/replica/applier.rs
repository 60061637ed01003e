//! Committed entries → queue manager → answers and wake-ups.

use super::Replica;
use super::proposals::{Item, Ride, Waiting};
use crate::consensus::{Entry, EntryKind};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Applied, Command, Removed, Verdict, command};
use crate::types::planted::{self, Bug};

impl Replica {
    pub(super) fn apply_all(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let index = entry.index;
            assert_eq!(
                index,
                self.consensus.applied_index().next(),
                "entries are applied one after the other"
            );
            self.stats.entries_applied += 1;
            self.compaction.note_applied(entry.data.len());
            match entry.kind {
                EntryKind::Membership => self.apply_membership(&entry),
                EntryKind::Normal if entry.data.is_empty() => {}
                EntryKind::Normal => self.apply_batch(entry),
            }
            self.consensus.applied(index);
            self.answer_comparison(index);
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
        let logged = ride.producer.and_then(|put| self.logged_before(&put));
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
        let mut applied = std::mem::take(&mut self.applied);
        self.state.apply_into(command, &mut applied);
        self.note_applied(&applied, &waiting);
        self.end(waiting, &mut applied);
        applied.clear();
        self.applied = applied;
    }

    /// What follows from every command, whichever it was and whoever waits for it.
    fn note_applied(&mut self, applied: &Applied, waiting: &Waiting) {
        if let Some(state) = waiting.in_order_of().and_then(|session| self.sessions.get_mut(session)) {
            assert!(state.proposed > 0, "what is applied for a session was proposed");
            state.proposed -= 1;
        }
        let Some(leading) = self.standing.leading_mut() else { return };
        self.turn.note_applied(applied.removed.len() + applied.placed.len());
        waiting.let_in().for_each(|(queue, count)| leading.note_left(queue, count));
        for Removed { queue, position, .. } in &applied.removed {
            leading.reservations.release(*queue, *position);
        }
        for (queue, position) in &applied.placed {
            leading.note_free(&self.state, *queue, *position);
        }
        applied.changed.iter().for_each(|queue| self.note_changed(*queue));
    }

    /// The words for who waits.
    fn end(&mut self, waiting: Waiting, applied: &mut Applied) {
        let verdict = applied.verdict;
        match waiting {
            Waiting::Nobody => {}
            Waiting::Put { session, token, message_id, dead_lettered, .. } => {
                self.end_put(session, token, message_id, dead_lettered, verdict);
            }
            Waiting::Get { session, token, from, cut } => match verdict {
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
            Waiting::Commit { session, token, gets, not_persistent, .. } => {
                self.end_commit(session, token, gets, not_persistent, verdict);
            }
            Waiting::Backout { answer, gets } => self.end_backout(answer, gets),
            Waiting::Expire { queue, messages } => self.end_expire(queue, messages, applied.removed.len()),
            Waiting::Seal { session, token } => {
                let Ok(Verdict::Sealed { state, is_new }) = verdict else {
                    unreachable!("a seal became {verdict:?}")
                };
                self.answer(session, token, Completion::ok(Data::Unit { state, sealed: is_new }));
            }
            Waiting::Admin { session, token, queue } => self.end_admin(session, token, queue, verdict),
            Waiting::Move { from: (queue, position), .. } => {
                if verdict.is_err() {
                    self.free(queue, position);
                }
            }
            Waiting::Staged { session, number } => self.end_part(session, number),
            Waiting::BeginTerm => self.begin_serving(),
        }
    }

    fn apply_membership(&mut self, entry: &Entry) {
        let before = self.consensus.membership().removed.clone();
        let membership = self.consensus.apply_membership(entry);
        membership.removed.difference(&before).for_each(|node| self.greet(*node));
        self.publish_membership();
    }
}
