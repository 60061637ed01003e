//! A unit of work becomes part of the queue manager: read if it was staged, checked as a whole, then carried out message by
//! message.
//!
//! A large one in slices, so that heartbeats and peers come in between. Nothing else is applied before it is done; once
//! [`QueueManager::is_half_applied`] nobody may look at messages either, and whoever has this queue manager sees to that.

use std::collections::VecDeque;

use bytes::Bytes;

use super::command::{self, Place, Removal};
use super::{Applied, Command, QueueManager, Seen, Verdict};
use crate::types::{Pieces, Position, QueueId, Reason, StagedBodyId, UnitId, UnitState};

/// A unit of work that is being carried out.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Of one that was staged: commands of their own, that were not read yet.
    parts: VecDeque<Bytes>,
    unit: Option<(UnitId, u64)>,
    /// What was read and not looked at.
    unchecked: Work,
    /// What can happen.
    checked: Work,
    /// None of it happens, and what is left of it goes.
    is_refused: bool,
    is_half_applied: bool,
}

/// What comes and what goes with a unit.
#[derive(Debug, Default)]
struct Work {
    removals: Pieces<(QueueId, Position)>,
    places: Pieces<Place>,
}

impl UnderWay {
    pub fn new(unit: Option<(UnitId, u64)>, places: Vec<Place>, removals: Vec<Removal>) -> UnderWay {
        let mut one = UnderWay::default();
        one.add(unit, places, removals);
        one
    }

    fn add(&mut self, unit: Option<(UnitId, u64)>, places: Vec<Place>, removals: Vec<Removal>) {
        self.unit = self.unit.take().or(unit);
        self.unchecked.places.extend(places);
        for Removal { queue, positions } in removals {
            self.unchecked.removals.extend(positions.into_iter().map(|position| (queue, position)));
        }
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.removals.is_empty() && self.places.is_empty()
    }

    fn messages(&self) -> usize {
        self.removals.len() + self.places.len()
    }
}

impl QueueManager {
    /// A large unit is under way: [`QueueManager::go_on`] is to be called before anything else is applied.
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Some of its messages are there, or gone, and others not.
    pub fn is_half_applied(&self) -> bool {
        self.under_way.as_ref().is_some_and(|unit| unit.is_half_applied)
    }

    /// The unit that was staged under this number with this length.
    pub(super) fn staged_unit(&mut self, number: StagedBodyId, length: usize) -> Option<UnderWay> {
        let parts = VecDeque::from(self.unstage(number));
        let is_whole = parts.iter().map(Bytes::len).sum::<usize>() == length;
        is_whole.then(|| UnderWay { parts, ..UnderWay::default() })
    }

    /// Goes on with the unit for about so many messages, each counted when it is read, when it is checked and when it comes
    /// or goes. None: it is not done.
    pub(super) fn go_on_for(
        &mut self,
        messages: usize,
        applied: &mut Applied,
    ) -> Option<Result<Verdict, Reason>> {
        let mut unit = self.under_way.take().expect("the caller began it");
        let begun_with = messages.max(1);
        let mut left = begun_with;
        let verdict = self.work_on(&mut unit, &mut left, applied);
        applied.looks = begun_with - left;
        if verdict.is_none() {
            self.under_way = Some(unit);
        }
        verdict
    }

    fn work_on(
        &mut self,
        unit: &mut UnderWay,
        left: &mut usize,
        applied: &mut Applied,
    ) -> Option<Result<Verdict, Reason>> {
        if !unit.is_refused {
            match read(unit, left) {
                false => self.refuse(unit),
                true if !unit.parts.is_empty() => return None,
                true => self.check_unit(unit, left),
            }
        }
        if unit.is_refused {
            return self.drop_refused(unit, left).then_some(Err(Reason::BackedOut));
        }
        if !unit.unchecked.is_empty() {
            return None;
        }
        while *left > 0
            && let Some((queue, position)) = unit.checked.removals.pop_front()
        {
            *left -= 1;
            unit.is_half_applied = true;
            self.remove(queue, position, applied);
        }
        while *left > 0
            && let Some(place) = unit.checked.places.pop_front()
        {
            *left -= 1;
            unit.is_half_applied = true;
            // The unit may have it twice itself.
            match self.was_placed(&place) {
                Seen::Before(_) => self.drop_staged_of(&place),
                Seen::New | Seen::Forgotten => self.place_with_report(place, applied),
            }
        }
        if !unit.checked.is_empty() {
            return None;
        }
        self.decide(unit.unit.take(), UnitState::Committed);
        Some(Ok(Verdict::Done))
    }

    /// Whether all of it can happen: what was looked at can.
    fn check_unit(&mut self, unit: &mut UnderWay, left: &mut usize) {
        if unit.is_half_applied {
            return;
        }
        if let Some((id, decided)) = &unit.unit
            && !self.outcomes.may_commit(id, *decided)
        {
            // A unit has one outcome. This is a second unit under the same name, or one that was sealed before.
            unit.is_refused = true;
            return;
        }
        while *left > 0
            && let Some((queue, at)) = unit.unchecked.removals.pop_front()
        {
            *left -= 1;
            if self.queue(queue).is_none_or(|queue| queue.slot(at).is_none()) {
                return self.refuse(unit);
            }
            unit.checked.removals.push((queue, at));
        }
        while *left > 0
            && let Some(place) = unit.unchecked.places.pop_front()
        {
            *left -= 1;
            match self.check_place(&place) {
                Ok(None) => unit.checked.places.push(place),
                // It was placed before, and is not placed again because what the unit brings makes that forgotten.
                Ok(Some(_)) => self.drop_staged_of(&place),
                Err(_) => {
                    unit.checked.places.push(place);
                    return self.refuse(unit);
                }
            }
        }
    }

    /// None of it happens.
    fn refuse(&mut self, unit: &mut UnderWay) {
        debug_assert!(!unit.is_half_applied, "a unit happens as a whole or not at all");
        unit.is_refused = true;
        self.decide(unit.unit.take(), UnitState::BackedOut);
    }

    /// Whether nothing of it is left: neither bodies that were staged for it nor its own memory.
    fn drop_refused(&mut self, unit: &mut UnderWay, left: &mut usize) -> bool {
        debug_assert!(unit.is_refused && !unit.is_half_applied, "what is dropped never happened");
        for work in [&mut unit.unchecked, &mut unit.checked] {
            while *left > 0
                && let Some(place) = work.places.pop_front()
            {
                *left -= 1;
                self.drop_staged_of(&place);
            }
        }
        unit.unchecked.places.is_empty() && unit.checked.places.is_empty()
    }

    fn decide(&mut self, unit: Option<(UnitId, u64)>, state: UnitState) {
        if let Some((unit, _)) = unit {
            self.outcomes.decide(&unit, state, self.at, &self.retention);
        }
    }
}

/// Reads parts of a unit that was staged. False: one of them is no part of a unit.
fn read(unit: &mut UnderWay, left: &mut usize) -> bool {
    while *left > 0
        && let Some(part) = unit.parts.pop_front()
    {
        let Ok(Command::CommitUnit { unit: id, places, removals }) = command::decode_one(part) else {
            return false;
        };
        let before = unit.unchecked.messages();
        unit.add(id, places, removals);
        *left = left.saturating_sub(unit.unchecked.messages() - before);
    }
    true
}
