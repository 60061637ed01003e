//! What a command of the log does: it is carried out as a whole, or refused and nothing happens. A unit of work takes as many turns
//! as it needs (`under_way`). What administrators ask for is in `administered`, definitions are in `catalog`, bodies that come in parts in
//! `staged`.

use super::told::{Before, Told};
use super::under_way::UnderWay;
use super::{Applied, Command, Place, QueueManager, Removal, Removed, Seen, Verdict, canary, command};
use crate::types::{Body, MessageId, Position, QueueId, Reason, UnitId, Version, WallTime};

/// What became of a command when it was begun.
enum Begun {
    Done(Result<Verdict, Reason>),
    /// There is more of it.
    Unit(UnderWay),
}

impl QueueManager {
    /// Carries out one committed command. [`QueueManager::set_time`] comes first, once an entry.
    pub fn apply(&mut self, command: Command) -> Applied {
        let mut applied = Applied::default();
        assert!(self.begin(command, usize::MAX, &mut applied), "a unit that never ends");
        applied
    }

    /// The same, without making memory for each command, and for about so many messages of a unit of work. False: there is
    /// more of it, for [`QueueManager::go_on`].
    pub fn begin(&mut self, command: Command, messages: usize, applied: &mut Applied) -> bool {
        assert!(self.under_way.is_none(), "a command begins when the one before is done");
        applied.clear();
        let (at, next_queue, units_decided) = (self.at, self.next_queue, self.outcomes.next());
        let verdict = match self.carry_out(command, applied) {
            Begun::Done(verdict) => verdict,
            Begun::Unit(unit) => {
                self.under_way = Some(unit);
                return self.go_on(messages, applied);
            }
        };
        applied.verdict = verdict;
        if applied.verdict.is_err() {
            applied.changed.clear();
            applied.renamed.clear();
            (applied.channel_changed, applied.listener_changed) = (false, false);
            debug_assert!(!applied.register_changed, "a record that was refused changed nothing");
        }
        debug_assert!(applied.verdict.is_ok() || applied.is_nothing(), "what was refused did nothing");
        debug_assert_eq!(self.at, at, "time comes with entries and not with commands");
        assert!(self.next_queue >= next_queue, "the number of a queue is given once");
        debug_assert!(
            (units_decided..=units_decided + 1).contains(&self.outcomes.next()),
            "a command decides one unit at most"
        );
        self.assert_applied(applied);
        true
    }

    /// Goes on with the unit of work that was begun. `applied` says what came and went this time; the verdict is one when it
    /// says true.
    pub fn go_on(&mut self, messages: usize, applied: &mut Applied) -> bool {
        applied.clear();
        let is_done = match self.go_on_for(messages, applied) {
            Some(verdict) => {
                applied.verdict = verdict;
                true
            }
            None => false,
        };
        assert_eq!(self.under_way.is_none(), is_done, "a unit is under way until it has a verdict");
        self.assert_applied(applied);
        is_done
    }

    /// What was done is what is said to be, and the store will be told.
    fn assert_applied(&self, applied: &Applied) {
        let is_there = |queue: QueueId, position: Position| {
            self.queue(queue).is_some_and(|queue| queue.slot(position).is_some())
        };
        debug_assert!(
            applied.placed.iter().all(|(queue, position)| is_there(*queue, *position)),
            "what was placed is there"
        );
        debug_assert!(
            !applied.removed.iter().any(|gone| is_there(gone.queue, gone.position)),
            "what was removed is there no more"
        );
        debug_assert!(
            applied.placed.iter().all(|(_, position)| position.is_persistent()),
            "what the log places is persistent"
        );
        debug_assert!(
            self.unwritten.placed.iter().rev().take(applied.placed.len()).eq(applied.placed.iter().rev()),
            "what was placed is noted for the store, in order"
        );
        debug_assert!(
            applied.removed.iter().all(|Removed { queue, position, slot }| {
                slot.packed.is_none_or(|packed| self.unwritten.packs.contains(&packed.key(*queue, *position)))
            }),
            "a pack that a message left is noted for the store"
        );
        debug_assert!(
            !matches!(applied.verdict, Ok(Verdict::Duplicate(_) | Verdict::Sealed { .. }))
                || applied.is_nothing(),
            "a repeated put and an inquiry move no message"
        );
        debug_assert!(
            applied
                .changed
                .iter()
                .all(|queue| { self.queues.contains(*queue) || self.unwritten.queues_gone.contains(queue) }),
            "a queue that was changed is there, or its rows are about to go"
        );
    }

    /// Units of work begin; all else is done at once.
    fn carry_out(&mut self, command: Command, applied: &mut Applied) -> Begun {
        // No leader proposes what the version does not have: an entry that says so was not written by one.
        if command.since() > self.version && !command.is_of_any_version() {
            return Begun::Done(Err(Reason::FunctionNotSupported));
        }
        Begun::Done(match command {
            Command::CommitUnit { unit, places, removals } => {
                return Begun::Unit(UnderWay::new(unit, places, removals));
            }
            Command::Staged { number, length } => match self.staged_unit(number, length) {
                Some(unit) => return Begun::Unit(unit),
                None => Err(Reason::BackedOut),
            },
            Command::Place(place) => self.apply_place(place, applied),
            Command::Remove(removal) => self.apply_remove(removal, applied),
            Command::Backout(removals) => self.apply_backout(removals, applied),
            Command::Expire(removals) => self.apply_expire(removals, applied),
            Command::SealUnit { unit, units_decided } => self.apply_seal_unit(unit, units_decided),
            Command::StageBody { number, data } => self.apply_stage_body(number, data),
            Command::DropStaged(numbers) => self.apply_drop_staged(numbers),
            Command::BeginTerm { leader } => {
                if let Some((node, term)) = leader.filter(|_| self.version >= Version::RECORDS) {
                    self.failovers.begin(node, term, self.at);
                }
                let dropped = self.apply_drop_staged(self.staged.numbers());
                debug_assert_eq!(
                    self.staged_bytes(),
                    0,
                    "a new leader finds nothing that an earlier one staged"
                );
                dropped
            }
            Command::Account { term, account, is_last } => {
                self.failovers.account(term, *account, is_last);
                Ok(Verdict::Done)
            }
            Command::CanaryGood { node, silent } => {
                canary::note_good(&mut self.canary, node, silent, self.at);
                self.unwritten.canary = true;
                Ok(Verdict::Done)
            }
            Command::CanaryLapsed => {
                canary::lapse(&mut self.canary);
                self.unwritten.canary = true;
                Ok(Verdict::Done)
            }
            asked @ (Command::Define { .. }
            | Command::Alter { .. }
            | Command::Delete { .. }
            | Command::Clear { .. }
            | Command::SetRecord { .. }
            | Command::Raise { .. }
            | Command::HandOver { .. }
            | Command::Maintain { .. }
            | Command::Run { .. }
            | Command::Register(_)
            | Command::Arrange(_)
            | Command::Deregister { .. }
            | Command::Classify(_)) => self.carry_out_asked(asked, applied),
        })
    }

    fn apply_place(&mut self, place: Place, applied: &mut Applied) -> Result<Verdict, Reason> {
        match self.check_place(&place) {
            Ok(None) => {
                self.place_with_report(place, applied);
                Ok(Verdict::Done)
            }
            Ok(Some(before)) => {
                self.drop_staged_of(&place);
                Ok(Verdict::Duplicate(before))
            }
            Err(reason) => {
                self.drop_staged_of(&place);
                Err(reason)
            }
        }
    }

    /// Whether its sequence was placed before.
    pub(super) fn was_placed(&self, place: &Place) -> Seen {
        place.producer.as_ref().map_or(Seen::New, |producer| self.seen(producer))
    }

    /// What was placed when this is a repetition.
    pub(super) fn check_place(&self, place: &Place) -> Result<Option<Before>, Reason> {
        match self.was_placed(place) {
            Seen::New => {}
            Seen::Before(before) => return Ok(Some(before)),
            Seen::Forgotten => return Err(Reason::UnexpectedError),
        }
        if !self.queues.contains(place.queue) {
            return Err(Reason::QDeleted);
        }
        if place.staged.is_some_and(|(number, length)| self.staged.length(number) != length) {
            return Err(Reason::CallInterrupted);
        }
        Ok(None)
    }

    fn id_of(&self, place: &Place) -> MessageId {
        match place.unique {
            Some(unique) => command::message_id(&self.name, unique),
            None => place.message.descriptor.message_id,
        }
    }

    pub(super) fn place_with_report(&mut self, mut place: Place, applied: &mut Applied) {
        let report = place.report.take();
        let (queue, position) = self.place(place);
        applied.placed.push((queue, position));
        if let Some(report) = report {
            let slot = self.queue(queue).and_then(|queue| queue.slot(position));
            let body = slot.and_then(|slot| slot.message.as_ref()).expect("just placed").body.clone();
            applied.placed.extend(self.place_report(*report, &body));
        }
    }

    pub(super) fn place(&mut self, place: Place) -> (QueueId, Position) {
        let message_id = self.id_of(&place);
        let mut message = place.message;
        message.descriptor.message_id = message_id;
        if message.descriptor.put_at == WallTime(0) {
            message.descriptor.put_at = self.at;
        }
        if let Some((number, _)) = place.staged {
            message.body = Body::from_parts(self.unstage(number));
        }
        if let Some(put) = &place.producer {
            // Not by the version alone: what was let in before it was raised may come behind that. Older nodes remember none of it.
            let in_group = message.descriptor.in_group();
            let told = place.warning.filter(|_| self.version >= Version::RECORDS);
            let told = told.map(|warning| Told { warning, in_group });
            let before = Before { message_id, told };
            let forgotten = self.producers.remember(put, before, self.at, &self.retention);
            self.unwritten.producers.extend(forgotten.producers);
            self.unwritten.producer_names.extend(forgotten.names);
            if !self.unwritten.producers.contains(&put.producer) {
                self.unwritten.producers.insert(put.producer.clone());
            }
        }
        let queue = self.queues.change(place.queue).expect("checked");
        let bytes = message.body.len();
        let expires = message.descriptor.expiry.is_some();
        let position = queue.place(message);
        if let Some(at) = queue.expiries().next().filter(|_| expires) {
            self.expiring.note(place.queue, at);
        }
        self.unwritten.note_placed(place.queue, position, bytes);
        (place.queue, position)
    }

    fn apply_remove(&mut self, removal: Removal, applied: &mut Applied) -> Result<Verdict, Reason> {
        let queue = self.queues.get(removal.queue).ok_or(Reason::QDeleted)?;
        if !queue.each_slot(removal.positions.iter().copied(), |_, slot| slot.is_some()) {
            return Err(Reason::NoMsgAvailable);
        }
        let asked = removal.positions.len();
        self.remove_all(removal, applied);
        debug_assert!(applied.removed.len() <= asked, "no more leave than were asked to");
        Ok(Verdict::Done)
    }

    /// Those that are there leave.
    fn remove_all(&mut self, Removal { queue, positions }: Removal, applied: &mut Applied) {
        positions.into_iter().for_each(|position| self.remove(queue, position, applied));
    }

    pub(super) fn remove(&mut self, queue: QueueId, position: Position, applied: &mut Applied) {
        let is_moving = self.moving.is_some() && self.keep_for_move(queue, position);
        let slot = self.queues.change(queue).and_then(|contents| contents.remove(position));
        if let Some(slot) = slot {
            if slot.packed.is_none() && !is_moving {
                self.unwritten.gone_bytes += slot.body_length as usize;
            }
            self.unwritten.note_removed(queue, position, &slot);
            applied.removed.push(Removed { queue, position, slot });
        }
    }

    fn apply_backout(&mut self, removals: Vec<Removal>, applied: &mut Applied) -> Result<Verdict, Reason> {
        for removal in removals {
            if self.moving.is_some() {
                let positions = removal.positions.iter();
                positions.for_each(|position| self.count_for_move(removal.queue, *position));
            }
            let Some(queue) = self.queues.change(removal.queue) else { continue };
            for position in removal.positions {
                let Some(slot) = queue.back_out(position) else { continue };
                applied.backed_out += 1;
                if slot.packed.is_some() {
                    self.unwritten.heads.insert((removal.queue, position));
                }
            }
        }
        Ok(Verdict::Done)
    }

    fn apply_expire(&mut self, removals: Vec<Removal>, applied: &mut Applied) -> Result<Verdict, Reason> {
        removals.into_iter().for_each(|removal| self.remove_all(removal, applied));
        Ok(Verdict::Done)
    }

    fn apply_seal_unit(&mut self, unit: UnitId, units_decided: u64) -> Result<Verdict, Reason> {
        if let Some(state) = self.outcomes.state(&unit) {
            return Ok(Verdict::Sealed { state, is_new: false });
        }
        let state = self.outcomes.judge_unknown(units_decided);
        self.outcomes.decide(&unit, state, self.at, &self.retention);
        debug_assert_eq!(self.outcomes.state(&unit), Some(state), "what was decided last is known");
        Ok(Verdict::Sealed { state, is_new: true })
    }
}
