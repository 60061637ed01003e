//! Units of work whose end takes longer than a turn may: what is not in the log of one that is committed, and all of one
//! that is backed out.
//!
//! What a commit brings is seen as a whole: while a half of it is there, calls wait and nothing else is applied, as in the
//! middle of a unit of the log (`applier`). A back-out goes on beside everything else: each message is free when it is.

use std::collections::VecDeque;

use super::Replica;
use super::calls::BACKLOG_BYTES_MAX;
use super::proposals::{Answer, Waiting};
use super::turn::UNIT;
use super::units::{NotPersistent, Unit, as_removals};
use crate::mqi::Completion;
use crate::qmgr::{Command, Seen, Slot};
use crate::types::{Persistence, Pieces, Position, QueueId, SessionId, StagedBodyId, Token};

/// Messages of one step, and of one command when a unit is backed out.
const PIECE: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Endings {
    half: Option<Half>,
    undone: VecDeque<Undone>,
}

/// What is left of the part of a committed unit that is not in the log.
#[derive(Debug)]
pub(super) struct Half {
    pub puts: Pieces<NotPersistent>,
    pub gets: std::vec::IntoIter<(QueueId, Position)>,
    /// Answered when all is there.
    pub caller: (SessionId, Token),
}

/// What is left of a unit that did not happen.
#[derive(Debug)]
struct Undone {
    unit: Unit,
    /// Gets that are free at once: those that are not in the log.
    volatile: Vec<(QueueId, Position)>,
    /// The answer of the back-out, or of a commit that was refused, and who waits.
    answer: Option<Answer>,
}

impl Endings {
    pub fn is_empty(&self) -> bool {
        self.half.is_none() && self.undone.is_empty()
    }

    pub fn is_half_there(&self) -> bool {
        self.half.is_some()
    }

    /// The queues of messages that were let in and are neither there nor given up.
    pub fn incoming(&self) -> impl Iterator<Item = QueueId> {
        let coming = self.half.iter().flat_map(|half| half.puts.iter());
        let undone = self.undone.iter().flat_map(|undone| undone.unit.not_persistent.iter());
        coming.chain(undone).flat_map(NotPersistent::queues)
    }

    /// Messages that are neither gone nor free again.
    pub fn held(&self) -> impl Iterator<Item = (QueueId, Position)> {
        let going = self.half.iter().flat_map(|half| half.gets.as_slice());
        let undone = self.undone.iter().flat_map(|undone| undone.unit.gets.iter().chain(&undone.volatile));
        going.chain(undone).copied()
    }

    /// Leadership is lost. Whose commit was on its way, and whose back-outs.
    pub fn callers(self) -> (Option<(SessionId, Token)>, impl Iterator<Item = (SessionId, Token)>) {
        let undone = self.undone.into_iter().filter_map(|undone| undone.answer);
        (self.half.map(|half| half.caller), undone.map(|(session, token, _)| (session, token)))
    }
}

impl Replica {
    /// In the middle of a unit of work: nobody looks at messages.
    pub(super) fn is_half_applied(&self) -> bool {
        let leading = self.standing.leading();
        self.state.is_half_applied() || leading.is_some_and(|leading| leading.endings.is_half_there())
    }

    /// The part of a unit that is not in the log becomes part of the queue manager.
    pub(super) fn commit_not_persistent(&mut self, half: Half) {
        let endings = &mut self.standing.own_mut().endings;
        assert!(endings.half.is_none(), "one unit is in its middle, and calls wait");
        debug_assert!(
            half.gets.as_slice().iter().all(|(_, position)| !position.is_persistent()),
            "what is in the log is removed by the log"
        );
        endings.half = Some(half);
        self.go_on_with_half();
    }

    /// Whether messages may be looked at: all of the unit is there.
    pub(super) fn go_on_with_half(&mut self) -> bool {
        let Some(leading) = self.standing.leading_mut() else { return true };
        let Some(mut half) = leading.endings.half.take() else { return true };
        let slice = self.turn.slice();
        let gets = half.gets.len().min(slice);
        let puts = half.puts.len().min(slice - gets);
        half.gets
            .by_ref()
            .take(gets)
            .for_each(|(queue, position)| drop(self.remove_not_persistent(queue, position)));
        for _ in 0..puts {
            let put = half.puts.pop_front().expect("counted");
            self.place_committed(put);
        }
        debug_assert!(gets + puts <= slice, "a turn does no more of a unit than its slice");
        self.turn.note_applied(gets + puts);
        if half.gets.len() == 0 && half.puts.is_empty() {
            let (session, token) = half.caller;
            self.answer(session, token, Completion::done());
            return true;
        }
        self.standing.own_mut().endings.half = Some(half);
        self.is_not_done = true;
        false
    }

    /// What was reserved leaves its queue; None where the queue is gone.
    pub(super) fn remove_not_persistent(&mut self, queue: QueueId, position: Position) -> Option<Slot> {
        debug_assert!(!position.is_persistent(), "only what is not in the log goes without it");
        let (leading, now) = (self.standing.own_mut(), self.now.instant);
        leading.reservations.release(queue, position);
        leading.depths.note_got(queue, now);
        self.state.change(queue)?.remove(position)
    }

    fn place_committed(&mut self, put: NotPersistent) {
        let NotPersistent { queue, message, producer, warning, report } = put;
        debug_assert_eq!(
            message.descriptor.persistence,
            Persistence::NotPersistent,
            "what is persistent is placed by the log"
        );
        if let Some(put) = &producer {
            // It may have been put since, by another unit or by itself.
            let volatile = self.standing.own().volatile_producers.seen(put, self.state.retention());
            if self.logged_before(put).is_some() || matches!(volatile, Seen::Before(_)) {
                report.iter().for_each(|(queue, _)| self.note_left(*queue, 1));
                return self.note_left(queue, 1);
            }
            self.remember_volatile(put, &message.descriptor, warning);
        }
        self.place_not_persistent(queue, message);
        if let Some((queue, report)) = report {
            self.place_not_persistent(queue, report);
        }
    }

    fn note_all_left(&mut self, put: &NotPersistent) {
        put.queues().for_each(|queue| self.note_left(queue, 1));
    }

    /// Puts vanish; gets go back to their places once their backout counts are in the log.
    pub(super) fn back_out(&mut self, mut unit: Unit, answer: Option<Answer>) {
        unit.logged.iter().for_each(|(queue, count)| self.note_left(*queue, *count));
        if !self.is_serving() {
            unit.not_persistent.into_iter().for_each(|put| self.note_all_left(&put));
            return;
        }
        let gets = std::mem::take(&mut unit.gets).into_iter();
        let (gets, volatile) = gets.partition(|(_, position)| position.is_persistent());
        unit.gets = gets;
        self.undo(Undone { unit, volatile, answer });
    }

    /// What a committed unit leaves that nobody asks for any more: its memory comes back in pieces.
    pub(super) fn leave_behind(&mut self, unit: Unit) {
        if unit.messages() > 0 || !unit.has_only_gets() {
            self.undo(Undone { unit, volatile: Vec::new(), answer: None });
        }
    }

    /// A short one is done at once.
    fn undo(&mut self, mut undone: Undone) {
        debug_assert!(self.is_serving(), "what another node took over needs no undoing");
        if self.turn.is_over() || !self.undo_piece(&mut undone) {
            self.standing.own_mut().endings.undone.push_back(undone);
        }
    }

    /// Goes on with what is to be undone, a piece of each in turn.
    pub(super) fn undo_more(&mut self) {
        if self.standing.leading().is_none_or(|leading| leading.endings.undone.is_empty()) {
            return;
        }
        self.turn.next_phase();
        while let Some(leading) = self.standing.serving_mut()
            && leading.proposals.backlog_bytes() <= BACKLOG_BYTES_MAX
            && let Some(mut undone) = leading.endings.undone.pop_front()
        {
            if !self.undo_piece(&mut undone) {
                self.standing.own_mut().endings.undone.push_back(undone);
            }
            if self.turn.is_over() {
                self.is_not_done |= !self.standing.own().endings.undone.is_empty();
                return;
            }
        }
    }

    /// Whether nothing is left. Gets that are in the log come last: with them the caller is answered.
    fn undo_piece(&mut self, undone: &mut Undone) -> bool {
        let before = undone.unit.messages() + undone.volatile.len();
        let places = undone.unit.places.take_front(PIECE);
        let staged: Vec<StagedBodyId> = places.filter_map(|place| Some(place.staged?.0)).collect();
        if !staged.is_empty() {
            self.propose(Command::DropStaged(staged), Waiting::Nobody);
        }
        undone.unit.not_persistent.take_front(PIECE).for_each(|put| self.note_all_left(&put));
        undone.unit.forget_sequences(2 * PIECE);
        let rest = undone.volatile.len().saturating_sub(PIECE);
        for (queue, position) in undone.volatile.split_off(rest) {
            self.count_volatile(queue, position);
            self.free(queue, position);
        }
        let mut gets = Vec::new();
        if undone.volatile.is_empty() && undone.unit.has_only_gets() {
            gets = undone.unit.gets.split_off(undone.unit.gets.len().saturating_sub(PIECE));
        }
        let left = undone.unit.messages() + undone.volatile.len();
        debug_assert!(left <= before, "what is undone becomes less");
        self.turn.spend(UNIT * (before - left) as u64);
        let is_done = left == 0 && undone.unit.has_only_gets();
        let answer = undone.answer.take_if(|_| is_done);
        if !gets.is_empty() {
            let (removals, _) = as_removals(&gets);
            debug_assert!(
                removals.iter().all(|removal| !removal.positions.is_empty()),
                "a queue of a unit has messages of it"
            );
            let waiting = Waiting::Backout { answer: answer.map(Box::new), gets };
            self.propose(Command::Backout(removals), waiting);
        } else if let Some((session, token, completion)) = answer {
            self.answer(session, token, completion);
        }
        is_done
    }

    fn count_volatile(&mut self, queue: QueueId, position: Position) {
        debug_assert!(!position.is_persistent(), "what is in the log is counted there");
        if let Some(slot) = self.state.queue_mut(queue).and_then(|queue| queue.slot_mut(position)) {
            slot.backout_count += 1;
            if let Some(message) = &mut slot.message {
                message.descriptor.backout_count = slot.backout_count;
            }
        }
    }
}
