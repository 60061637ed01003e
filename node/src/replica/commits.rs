//! The end of a unit of work: committed, backed out, or asked about.

use super::Replica;
use super::endings::Half;
use super::proposals::{Answer, Committing, Waiting};
use super::units::{KnownBefore, Unit, as_removals};
use crate::mqi::{Completion, Data};
use crate::qmgr::{Command, Place, Removal, Verdict};
use crate::types::{Position, QueueId, Reason, SessionId, Token, UnitId, UnitState, limits};

/// Why a unit was backed out, where the reason's own sentence would make its program do the work twice, or for ever.
const COMMITTED_BEFORE: &str = "A unit of this id was committed before; what was asked for now was backed out. Unless it is other work under \
                                the same id, it is done: do not do it again.";
const ANOTHER_ID: &str = "The unit of work was backed out as a whole, and nothing is committed under this id any more: do its calls again \
                          and commit them under another id.";

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
        let mut unit = std::mem::take(&mut state.unit);
        self.stats.commits += 1;
        // Its messages are counted when they come and go.
        self.turn.spend(unit.messages() as u64 / 8);
        let places = std::mem::take(&mut unit.places);
        let not_persistent = std::mem::take(&mut unit.not_persistent);
        let (logged, gets) = (std::mem::take(&mut unit.logged), std::mem::take(&mut unit.gets));
        let (weight, units_decided) = (unit.weight, unit.units_decided);
        let groups = std::mem::take(&mut unit.groups);
        self.leave_behind(unit);
        let (removals, volatile_gets) = as_removals(&gets);
        if places.is_empty() && removals.is_empty() && unit_id.is_none() {
            let gets = volatile_gets.into_iter();
            return self.commit_not_persistent(Half { puts: not_persistent, gets, caller: (session, token) });
        }
        debug_assert_eq!(
            logged.values().sum::<u64>(),
            places.iter().flat_map(Place::queues).count() as u64,
            "every put that is placed was let in"
        );
        if let Some(state) = self.sessions.get_mut(session) {
            state.proposed += 1;
        }
        let size = weight + removals.iter().map(Removal::weight).sum::<usize>();
        // Its program knows better than this node when it sent this: it may have been on its way for long.
        let decided = decided.or(units_decided).unwrap_or(decided_now);
        let unit = unit_id.clone().map(|id| (id, decided));
        let committing = Committing { id: unit_id, gets, puts: logged, not_persistent, groups };
        let waiting = Waiting::Commit { session, token, unit: Box::new(committing) };
        if size <= limits::ENTRY_BYTES_SOFT {
            let places = places.into_iter().collect();
            return self.propose(Command::CommitUnit { unit, places, removals }, waiting);
        }
        self.stage_unit(session, unit, places, removals, waiting);
    }

    /// The part of the unit that is in the log was applied.
    pub(super) fn end_commit(
        &mut self,
        session: SessionId,
        token: Token,
        unit: Committing,
        verdict: Result<Verdict, Reason>,
    ) {
        let Committing { id, gets, not_persistent, groups, .. } = unit;
        match verdict {
            Ok(_) => {
                let volatile: Vec<_> = gets.into_iter().filter(|(_, at)| !at.is_persistent()).collect();
                let (gets, caller) = (volatile.into_iter(), (session, token));
                self.commit_not_persistent(Half { puts: not_persistent, gets, caller });
            }
            Err(reason) => {
                let decided = id.and_then(|id| self.state.outcome_of(&id));
                let completion = match decided {
                    Some(UnitState::Committed) => Completion::failed_because(reason, COMMITTED_BEFORE),
                    Some(_) => Completion::failed_because(reason, ANOTHER_ID),
                    None => Completion::failed(reason),
                };
                self.know_as_before(session, groups);
                let mut unit = Unit::default();
                (unit.gets, unit.not_persistent) = (gets, not_persistent);
                self.back_out(unit, Some((session, token, completion)));
            }
        }
    }

    pub(super) fn on_backout(&mut self, session: SessionId, token: Token) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        let mut unit = std::mem::take(&mut state.unit);
        self.know_as_before(session, std::mem::take(&mut unit.groups));
        self.stats.backouts += 1;
        self.back_out(unit, Some((session, token, Completion::done())));
    }

    /// What was begun of groups is as it was before the unit.
    fn know_as_before(&mut self, session: SessionId, groups: KnownBefore) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        for ((handle, which), before) in groups {
            if let Some(handle) = state.handles.get_mut(&handle) {
                handle.groups.restore(which, before);
            }
        }
    }

    /// Backout counts are in the log.
    pub(super) fn end_backout(&mut self, answer: Option<Box<Answer>>, gets: Vec<(QueueId, Position)>) {
        for (queue, position) in gets {
            if self.wants_move(queue, position) {
                self.load_to_move(queue, position);
            } else {
                self.free(queue, position);
            }
        }
        if let Some((session, token, completion)) = answer.map(|answer| *answer) {
            self.answer(session, token, completion);
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
