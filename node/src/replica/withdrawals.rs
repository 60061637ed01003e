//! Gets are not let in any more where somebody waits: the queue or its other name says so, leads elsewhere, or is gone. Who waits
//! there is told, as turns have time for it: a queue may have a hundred thousand of them.
//!
//! What a command said stays said. Who waited when it was applied is told of it although the next one lets gets in again,
//! and who came since waits on. Until all are told nothing of the queue is offered, so that nobody gets a message by a
//! name that does not lead there any more. A change that keeps nobody out costs nothing, however many wait.

use std::collections::BTreeMap;

use super::Replica;
use super::turn::{LEAVE, LOOK};
use super::waiters::{Place, Ticket};
use crate::mqi::Completion;
use crate::types::{ObjectName, QueueId, Reason};

/// Finding a session and its handle.
const LOOK_AT_HANDLE: u64 = 4 * LOOK;

/// Where gets are not let in: at a queue, or through one of its other names.
type Withdrawn = (QueueId, Option<ObjectName>);

#[derive(Debug, Default)]
pub(super) struct Withdrawals {
    under_way: BTreeMap<Withdrawn, Withdrawal>,
}

#[derive(Debug)]
struct Withdrawal {
    reason: Reason,
    /// Who came later is not meant.
    upto: Ticket,
    /// How far it has come.
    at: Option<Place>,
    /// It was said once more, when others had come: then it goes round once more.
    again: bool,
}

impl Withdrawals {
    fn say(&mut self, of: Withdrawn, reason: Reason, upto: Ticket) {
        let begun = self.under_way.entry(of).or_insert(Withdrawal { reason, upto, at: None, again: false });
        debug_assert!(upto >= begun.upto, "tickets are given in order");
        begun.reason = reason;
        begun.again |= begun.at.is_some() && upto > begun.upto;
        begun.upto = upto;
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether somebody has to be told who waits at the queue.
    pub fn holds(&self, queue: QueueId) -> bool {
        let next = self.under_way.range((queue, None)..).next();
        next.is_some_and(|((of, _), _)| *of == queue)
    }

    pub fn assert_holds(&self, newest: Ticket) {
        debug_assert!(
            self.under_way.values().all(|withdrawal| withdrawal.upto <= newest),
            "nobody is told of what was said before it came"
        );
    }
}

impl Replica {
    /// A queue is not what it was.
    pub(super) fn note_changed(&mut self, queue: QueueId) {
        let contents = self.state.queue(queue);
        let reason = match contents {
            None => Some(Reason::QDeleted),
            Some(queue) => (!queue.rules.get_enabled).then_some(Reason::GetInhibited),
        };
        let is_empty = contents.is_none_or(|queue| queue.depth() == 0);
        let Some(leading) = self.standing.leading_mut() else { return };
        if is_empty {
            leading.reservations.forget_queue(queue, contents.is_none());
        }
        if let Some(reason) = reason {
            self.withdraw((queue, None), reason);
        }
    }

    /// Another name of the queue is not what it was.
    pub(super) fn note_renamed(&mut self, queue: QueueId, name: &ObjectName) {
        // Who waits at a queue that is gone is told that.
        let Some(contents) = self.state.queue(queue) else { return };
        let reason = match self.state.alias_of(contents, name) {
            Ok(alias) if alias.get_enabled => return,
            Ok(_) => Reason::GetInhibited,
            Err(reason) => reason,
        };
        self.withdraw((queue, Some(name.clone())), reason);
    }

    fn withdraw(&mut self, of: Withdrawn, reason: Reason) {
        debug_assert_ne!(reason, Reason::None, "who is told is told why");
        let Some(leading) = self.standing.leading_mut() else { return };
        if leading.waiters.next_at(of.0, None).is_some() {
            leading.withdrawals.say(of, reason, leading.waiters.newest());
            let _ = self.tell_withdrawn();
        }
    }

    /// Goes on telling those who wait where gets are not let in.
    pub(super) fn end_withdrawn(&mut self) {
        if self.standing.leading().is_some_and(|leading| !leading.withdrawals.is_empty()) {
            self.turn.next_phase();
            self.is_not_done |= !self.tell_withdrawn();
        }
    }

    /// Whether all are told, or the turn is over before. Where they are few, they know it before whoever gave the command is answered.
    fn tell_withdrawn(&mut self) -> bool {
        while let Some(leading) = self.standing.leading_mut()
            && let Some((of, mut withdrawal)) = leading.withdrawals.under_way.pop_first()
        {
            if !self.go_round(&of, &mut withdrawal) {
                self.standing.own_mut().withdrawals.under_way.insert(of, withdrawal);
                return false;
            }
        }
        debug_assert!(
            self.standing.leading().is_none_or(|leading| leading.withdrawals.is_empty()),
            "all are told"
        );
        true
    }

    /// Whether all who are meant are told, or the turn is over before.
    fn go_round(&mut self, (queue, name): &Withdrawn, withdrawal: &mut Withdrawal) -> bool {
        while !self.turn.is_over() {
            let leading = self.standing.own_mut();
            let Some((place, ticket)) = leading.waiters.next_at(*queue, withdrawal.at) else {
                withdrawal.at = None;
                if !std::mem::take(&mut withdrawal.again) {
                    return true;
                }
                continue;
            };
            withdrawal.at = Some(place);
            self.turn.spend(LOOK);
            if ticket > withdrawal.upto {
                continue;
            }
            if let Some(name) = name {
                self.turn.spend(LOOK_AT_HANDLE);
                let waiter = leading.waiters.get(ticket);
                let session = self.sessions.get(waiter.session);
                let handle = session.and_then(|session| session.handles.get(&waiter.get.handle));
                if !handle.is_some_and(|handle| handle.is_alias && handle.name == *name) {
                    continue;
                }
            }
            self.turn.spend(LEAVE);
            let waiter = leading.waiters.remove(ticket).expect("just seen");
            debug_assert_eq!(waiter.queue, *queue, "who waits elsewhere is not meant");
            self.answer(waiter.session, waiter.token, Completion::failed(withdrawal.reason));
        }
        false
    }
}
