//! The end of a unit of work: committed, backed out, or asked about.

use super::Replica;
use super::proposals::Waiting;
use super::turn::UNIT;
use super::units::{NotPersistent, Unit, as_removals};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Command, Seen, Verdict};
use crate::types::{Position, QueueId, Reason, SessionId, StagedBodyId, Token, UnitId, UnitState, limits};

/// Why a unit was backed out, where the reason's own sentence would make its program do the work twice, or for ever.
const COMMITTED_BEFORE: &str = "A unit of this id was committed before; what was asked for now was backed out. Unless it is other work under \
                                the same id, it is done: do not do it again.";
const ANOTHER_ID: &str = "The unit of work was backed out as a whole, and nothing is committed under this id any more: do its calls again \
                          and commit them under another id.";

/// Messages of one command, when a unit is backed out.
const BACKOUT_PIECE: usize = 1_000;

impl Replica {
    pub(super) fn on_commit(
        &mut self,
        session: SessionId,
        token: Token,
        unit_id: Option<UnitId>,
        decided: Option<u64>,
    ) {
        let decided_now = self.state.units_decided();
        let Some(state) = self.sessions.get_mut(session) else { return };
        let unit = std::mem::take(&mut state.unit);
        self.stats.commits += 1;
        self.turn.spend(UNIT * unit.messages() as u64);
        let Unit { places, not_persistent, logged, gets, weight, units_decided, .. } = unit;
        let (removals, volatile_gets) = as_removals(&gets);
        if places.is_empty() && removals.is_empty() && unit_id.is_none() {
            self.commit_not_persistent(not_persistent, &volatile_gets);
            return self.answer(session, token, Completion::done());
        }
        debug_assert_eq!(
            logged.values().sum::<u64>(),
            places.len() as u64,
            "every put that is placed was let in"
        );
        state.proposed += 1;
        let size = weight + removals.iter().map(|removal| removal.positions.len() * 16).sum::<usize>();
        // Its program knows better than this node when it sent this: it may have been on its way for long.
        let decided = decided.or(units_decided).unwrap_or(decided_now);
        let unit = unit_id.clone().map(|id| (id, decided));
        let waiting = Waiting::Commit { session, token, unit: unit_id, gets, puts: logged, not_persistent };
        if size <= limits::ENTRY_BYTES_SOFT {
            return self.propose(Command::CommitUnit { unit, places, removals }, waiting);
        }
        self.stage_unit(session, unit, places, removals, waiting);
    }

    /// The part of the unit that is in the log was applied.
    pub(super) fn end_commit(
        &mut self,
        session: SessionId,
        token: Token,
        unit: Option<UnitId>,
        gets: Vec<(QueueId, Position)>,
        not_persistent: Vec<NotPersistent>,
        verdict: Result<Verdict, Reason>,
    ) {
        match verdict {
            Ok(_) => {
                let volatile: Vec<_> = gets.into_iter().filter(|(_, at)| !at.is_persistent()).collect();
                self.commit_not_persistent(not_persistent, &volatile);
                self.answer(session, token, Completion::done());
            }
            Err(reason) => {
                not_persistent.iter().for_each(|put| self.note_left(put.queue, 1));
                gets.into_iter().for_each(|(queue, position)| self.free(queue, position));
                let decided = unit.and_then(|unit| self.state.outcome_of(&unit));
                let completion = match decided {
                    Some(UnitState::Committed) => Completion::failed_because(reason, COMMITTED_BEFORE),
                    Some(_) => Completion::failed_because(reason, ANOTHER_ID),
                    None => Completion::failed(reason),
                };
                self.answer(session, token, completion);
            }
        }
    }

    /// The part of a unit that is not in the log.
    pub(super) fn commit_not_persistent(&mut self, puts: Vec<NotPersistent>, gets: &[(QueueId, Position)]) {
        for (queue, position) in gets {
            self.standing.own_mut().reservations.release(*queue, *position);
            if let Some(mut contents) = self.state.change(*queue) {
                contents.remove(*position);
            }
        }
        for NotPersistent { queue, message, producer } in puts {
            if let Some(put) = &producer {
                // It may have been put since, by another unit or by itself.
                let volatile = self.standing.own().volatile_producers.seen(put, self.state.retention());
                if self.logged_before(put).is_some() || matches!(volatile, Seen::Before(_)) {
                    self.note_left(queue, 1);
                    continue;
                }
                self.remember_volatile(put, message.descriptor.message_id);
            }
            self.place_not_persistent(queue, message);
        }
    }

    pub(super) fn on_backout(&mut self, session: SessionId, token: Token) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        let unit = std::mem::take(&mut state.unit);
        self.stats.backouts += 1;
        self.back_out(unit, Some((session, token)));
    }

    /// Puts vanish; gets go back to their places once their backout counts are in the log.
    pub(super) fn back_out(&mut self, unit: Unit, answer: Option<(SessionId, Token)>) {
        self.turn.spend(UNIT * unit.messages() as u64);
        let staged: Vec<StagedBodyId> =
            unit.places.iter().filter_map(|place| Some(place.staged?.0)).collect();
        unit.logged.iter().for_each(|(queue, count)| self.note_left(*queue, *count));
        unit.not_persistent.iter().for_each(|put| self.note_left(put.queue, 1));
        if !self.is_serving() {
            return;
        }
        if !staged.is_empty() {
            self.propose(Command::DropStaged(staged), Waiting::Nobody);
        }
        let (gets, volatile): (Vec<_>, Vec<_>) =
            unit.gets.into_iter().partition(|(_, position)| position.is_persistent());
        for (queue, position) in volatile {
            if let Some(slot) = self.state.queue_mut(queue).and_then(|queue| queue.slot_mut(position)) {
                slot.backout_count += 1;
                if let Some(message) = &mut slot.message {
                    message.descriptor.backout_count = slot.backout_count;
                }
            }
            self.free(queue, position);
        }
        if gets.is_empty() {
            if let Some((session, token)) = answer {
                self.answer(session, token, Completion::done());
            }
            return;
        }
        // Each is free when it is: there is nothing that all of them must wait for.
        let pieces = gets.len().div_ceil(BACKOUT_PIECE);
        for (number, gets) in gets.chunks(BACKOUT_PIECE).enumerate() {
            let answer = answer.filter(|_| number + 1 == pieces);
            let (removals, _) = as_removals(gets);
            debug_assert!(
                removals.iter().all(|removal| !removal.positions.is_empty()),
                "a queue of a unit has messages of it"
            );
            let waiting = Waiting::Backout { answer, gets: gets.to_vec() };
            self.propose(Command::Backout(removals), waiting);
        }
    }

    /// Backout counts are in the log.
    pub(super) fn end_backout(&mut self, answer: Option<(SessionId, Token)>, gets: Vec<(QueueId, Position)>) {
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

    pub(super) fn on_unit_outcome(
        &mut self,
        session: SessionId,
        token: Token,
        unit: UnitId,
        units_decided: u64,
    ) {
        match self.state.outcome_of(&unit) {
            Some(state) => {
                self.answer(session, token, Completion::ok(Data::Unit { state, sealed: false }));
            }
            // Its commit may be on its way, or still to come over an old connection: the log decides, for good.
            None => {
                let seal = Command::SealUnit { unit, units_decided };
                self.propose(seal, Waiting::Seal { session, token });
            }
        }
    }
}
