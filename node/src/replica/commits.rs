//! The end of a unit of work: committed, backed out, or asked about.

use std::collections::BTreeMap;

use super::Replica;
use super::proposals::Waiting;
use super::turn::UNIT;
use super::units::{Unit, UnitPut, as_removals};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Command, Seen, Verdict};
use crate::types::{Position, QueueId, Reason, SessionId, StagedBodyId, Token, UnitId, limits};

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
        let mut puts: BTreeMap<QueueId, u64> = BTreeMap::new();
        let mut places = Vec::new();
        let mut not_persistent = Vec::new();
        for put in unit.puts {
            match put {
                UnitPut::Persistent(place) => {
                    *puts.entry(place.queue).or_default() += 1;
                    places.push(place);
                }
                volatile => not_persistent.push(volatile),
            }
        }
        let (removals, volatile_gets) = as_removals(&unit.gets);
        if places.is_empty() && removals.is_empty() && unit_id.is_none() {
            self.commit_not_persistent(not_persistent, &volatile_gets);
            return self.answer(session, token, Completion::done());
        }
        state.proposed += 1;
        let size: usize = places.iter().map(|place| place.message.weight()).sum::<usize>()
            + removals.iter().map(|removal| removal.positions.len() * 16).sum::<usize>();
        // Its program knows better than this node when it sent this: it may have been on its way for long.
        let decided = decided.or(unit.units_decided).unwrap_or(decided_now);
        let unit_id = unit_id.map(|id| (id, decided));
        let command = Command::CommitUnit { unit: unit_id, places, removals };
        let waiting = Waiting::Commit { session, token, gets: unit.gets, puts, not_persistent };
        if size <= limits::ENTRY_BYTES_SOFT {
            return self.propose(command, waiting);
        }
        self.stage_command(session, command, waiting);
    }

    /// The part of the unit that is in the log was applied.
    pub(super) fn end_commit(
        &mut self,
        session: SessionId,
        token: Token,
        gets: Vec<(QueueId, Position)>,
        not_persistent: Vec<UnitPut>,
        verdict: Result<Verdict, Reason>,
    ) {
        match verdict {
            Ok(_) => {
                let volatile: Vec<_> = gets.into_iter().filter(|(_, at)| !at.is_persistent()).collect();
                self.commit_not_persistent(not_persistent, &volatile);
                self.answer(session, token, Completion::done());
            }
            Err(reason) => {
                not_persistent.iter().for_each(|put| self.note_left(put.queue(), 1));
                gets.into_iter().for_each(|(queue, position)| self.free(queue, position));
                self.answer(session, token, Completion::failed(reason));
            }
        }
    }

    /// The part of a unit that is not in the log.
    pub(super) fn commit_not_persistent(&mut self, puts: Vec<UnitPut>, gets: &[(QueueId, Position)]) {
        for (queue, position) in gets {
            self.standing.own_mut().reservations.release(*queue, *position);
            if let Some(mut contents) = self.state.change(*queue) {
                contents.remove(*position);
            }
        }
        for put in puts {
            let UnitPut::NotPersistent { queue, message, producer } = put else { continue };
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
        let staged: Vec<StagedBodyId> = unit
            .puts
            .iter()
            .filter_map(|put| match put {
                UnitPut::Persistent(place) => place.staged.map(|(number, _)| number),
                UnitPut::NotPersistent { .. } => None,
            })
            .collect();
        for put in &unit.puts {
            self.note_left(put.queue(), 1);
        }
        if !self.is_serving() {
            return;
        }
        if !staged.is_empty() {
            self.propose(Command::DropStaged(staged), Waiting::Nobody);
        }
        let (removals, volatile) = as_removals(&unit.gets);
        for (queue, position) in volatile {
            if let Some(slot) = self.state.queue_mut(queue).and_then(|queue| queue.slot_mut(position)) {
                slot.backout_count += 1;
                if let Some(message) = &mut slot.message {
                    message.descriptor.backout_count = slot.backout_count;
                }
            }
            self.free(queue, position);
        }
        if removals.is_empty() {
            if let Some((session, token)) = answer {
                self.answer(session, token, Completion::done());
            }
            return;
        }
        let gets = unit.gets.into_iter().filter(|(_, position)| position.is_persistent()).collect();
        self.propose(Command::Backout(removals), Waiting::Backout { answer, gets });
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
