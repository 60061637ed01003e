//! Messages that were backed out too often move to their backout queue, or to the dead-letter queue, if they may.

use super::Replica;
use super::expiry::Asked;
use super::loads::Recipient;
use super::proposals::Waiting;
use super::reports::Routed;
use crate::qmgr::{Command, Place, Removal, dead_letter};
use crate::types::{Cause, Message, Persistence, Position, QueueId, Reason, ReportOptions, SessionId};

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
            self.load(queue, position, Recipient::Move);
        }
    }

    /// To BOQNAME, or with an MQDLH to the dead-letter queue, or it stays. What may not go to the dead-letter queue is discarded.
    /// A message that does not go where its queue says is reported, if it asks for that.
    pub(super) fn move_backed_out(&mut self, queue: QueueId, position: Position) {
        let contents = self.state.queue(queue).expect("it is reserved");
        let name = contents.name.to_string();
        let message = contents.slot(position).and_then(|slot| slot.message.clone()).expect("just loaded");
        debug_assert!(
            self.standing.own().reservations.is_reserved(queue, position),
            "a message that moves is nobody's until it is where it goes"
        );
        // As a program would put it there; another name of this queue is no way out of it.
        let to = contents.rules.boqname.as_ref().and_then(|name| self.state.resolve(name).ok());
        let to = to.filter(|to| to.queue != queue && to.alias.is_none_or(|alias| alias.put_enabled));
        let to = to.map(|to| to.queue);
        let admitted = to.filter(|to| self.admit_put(*to, &message).is_ok());
        let reason = Reason::BackoutThresholdReached;
        let original = message.clone();
        let target = match admitted {
            Some(to) => Some((to, message)),
            None if original.descriptor.report.has(ReportOptions::DISCARD_MSG) => {
                return self.discard(queue, position, &original);
            }
            None => self.dead_letter_target(message, &name, reason, Asked::Too).ok(),
        };
        let Some((to, mut message)) = target else { return self.free(queue, position) };
        message.descriptor.priority = message.descriptor.priority.or(Some(0));
        let now = self.now.instant;
        self.standing.own_mut().let_in(to, now);
        let is_astray = admitted.is_none();
        let report = is_astray.then(|| self.make_report(&original, Cause::Exception(reason))).flatten();
        self.propose_move(queue, position, to, message, report);
    }

    /// It leaves, and nobody has it.
    fn discard(&mut self, queue: QueueId, position: Position, message: &Message) {
        let report = self.make_report(message, Cause::Exception(Reason::BackoutThresholdReached));
        if !position.is_persistent() {
            self.remove_not_persistent(queue, position).expect("it is reserved");
            return report.into_iter().for_each(|report| self.place_report_not_persistent(report));
        }
        let (from, to) = ((queue, position), report.as_ref().map(|report| report.queue));
        let waiting = Waiting::Move { from, to: None, report: to };
        self.propose_removals(SessionId(0), Removal { queue, positions: vec![position] }, report, waiting);
    }

    /// One unit: the message leaves its queue and arrives on the other.
    fn propose_move(
        &mut self,
        queue: QueueId,
        position: Position,
        to: QueueId,
        message: Box<Message>,
        report: Option<Routed>,
    ) {
        debug_assert_eq!(
            position.is_persistent(),
            message.descriptor.persistence == Persistence::Persistent,
            "a message that moves is as persistent as it was"
        );
        debug_assert!(message.descriptor.priority.is_some(), "a message that moves has a rank where it goes");
        if !position.is_persistent() {
            self.remove_not_persistent(queue, position).expect("it is reserved");
            self.place_not_persistent(to, message);
            return report.into_iter().for_each(|report| self.place_report_not_persistent(report));
        }
        let from = (queue, position);
        let waiting =
            Waiting::Move { from, to: Some(to), report: report.as_ref().map(|report| report.queue) };
        // Only a message with an MQDLH is reported.
        let report = report.map(|report| report.into_report(dead_letter::HEADER_BYTES));
        let mut place =
            Place { queue: to, message, unique: None, producer: None, warning: None, staged: None, report };
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
