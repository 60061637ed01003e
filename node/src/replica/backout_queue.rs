//! Messages that were backed out too often move to their backout queue, or to the dead-letter queue, if they may.

use super::Replica;
use super::loads::Delivery;
use super::proposals::Waiting;
use crate::qmgr::{Command, Place, Removal};
use crate::types::{Message, Persistence, Position, QueueId, Reason, SessionId};

impl Replica {
    pub(super) fn wants_move(&self, queue: QueueId, position: Position) -> bool {
        let Some(contents) = self.state.queue(queue) else { return false };
        let rules = &contents.rules;
        rules.backout_move
            && rules.bothresh > 0
            && contents.slot(position).is_some_and(|slot| slot.backout_count >= rules.bothresh)
    }

    pub(super) fn load_to_move(&mut self, queue: QueueId, position: Position) {
        let slot = self.state.queue(queue).and_then(|queue| queue.slot(position)).expect("wants to move");
        debug_assert!(
            self.standing.own().reservations.is_reserved(queue, position),
            "a message that was backed out too often is not given before it has moved"
        );
        if slot.message.is_some() {
            self.move_backed_out(queue, position);
        } else {
            self.load(queue, position, Delivery::Move);
        }
    }

    /// To BOQNAME, or with an MQDLH to the dead-letter queue, or it stays.
    pub(super) fn move_backed_out(&mut self, queue: QueueId, position: Position) {
        let contents = self.state.queue(queue).expect("it is reserved");
        let name = contents.name.to_string();
        let message = contents.slot(position).and_then(|slot| slot.message.clone()).expect("just loaded");
        debug_assert!(
            self.standing.own().reservations.is_reserved(queue, position),
            "a message that moves is nobody's until it is where it goes"
        );
        let to = contents.rules.boqname.as_ref().and_then(|name| self.state.queue_id(name));
        let admitted = to.filter(|to| self.admit_put(*to, &message).is_ok());
        let target = match admitted {
            Some(to) => Some((to, message)),
            None => self.dead_letter_target(message, &name, Reason::BackoutThresholdReached).ok(),
        };
        let Some((to, mut message)) = target else { return self.free(queue, position) };
        message.descriptor.priority = message.descriptor.priority.or(Some(0));
        self.standing.own_mut().let_in(to);
        self.propose_move(queue, position, to, message);
    }

    /// One unit: the message leaves its queue and arrives on the other.
    fn propose_move(&mut self, queue: QueueId, position: Position, to: QueueId, message: Box<Message>) {
        debug_assert_eq!(
            position.is_persistent(),
            message.descriptor.persistence == Persistence::Persistent,
            "a message that moves is as persistent as it was"
        );
        debug_assert!(message.descriptor.priority.is_some(), "a message that moves has a rank where it goes");
        if !position.is_persistent() {
            self.standing.own_mut().reservations.release(queue, position);
            self.state.change(queue).expect("it is reserved").remove(position);
            return self.place_not_persistent(to, message);
        }
        let waiting = Waiting::Move { from: (queue, position), to };
        let mut place = Place { queue: to, message, unique: None, producer: None, staged: None };
        let parts = self.stage_body(&mut place);
        let removals = vec![Removal { queue, positions: vec![position] }];
        let command = Command::CommitUnit { unit: None, places: vec![place], removals };
        match parts {
            Some((number, parts)) => {
                self.begin_staging(SessionId(0), number, parts, Some((command, waiting)))
            }
            None => self.propose(command, waiting),
        }
    }
}
