//! Dynamic queues: made when somebody opens a model queue (MQOPEN), and temporary ones deleted when whoever made them closes
//! them or is gone. IBM MQ documentation, "Dynamic and model queues", and MQOD, DynamicQName.
//!
//! A dynamic queue is an ordinary definition in the log, with a DEFTYPE that nobody can set. Temporary ones live as long as
//! their handle, so no longer than a service: a new leader deletes those that it finds.

use std::collections::BTreeMap;

use super::Replica;
use super::handles::Wanted;
use super::proposals::Waiting;
use super::turn::{CALL, LOOK};
use crate::mqi::{Completion, Data, Opened, Refusal};
use crate::qmgr::Command;
use crate::types::definition::{
    By, Changes, DEFTYPE, Definition, ObjectKind, ObjectRef, PERMANENT_DYNAMIC, TEMPORARY_DYNAMIC, Value,
};
use crate::types::{ObjectName, QueueId, Reason, SessionId, Token};

/// What a program gets that does not say how the queue shall be called.
const PATTERN: &str = "AMQ.*";
/// Digits in the place of the star.
const DIGITS: usize = 16;
/// Queues that are deleted in a turn.
const A_TURN: usize = 64;
/// Queues that are looked at for that: where more are to go, the others have their turn in the next ones.
const LOOKED_AT: usize = 1_000;

impl Replica {
    /// Puts a queue into the log that is like this model, and opens it when it is there.
    pub(super) fn make_dynamic(
        &mut self,
        session: SessionId,
        token: Token,
        wanted: Wanted,
        model: &Definition,
    ) -> Result<(), Refusal> {
        debug_assert!(self.is_serving(), "whoever serves makes queues");
        let state = self.sessions.get(session).ok_or(Reason::HconnError)?;
        state.check_handle(wanted.handle, self.state.maxhands())?;
        let name = self.dynamic_name(&wanted.dynamic)?;
        let object = ObjectRef::local_queue(&name);
        self.state.catalog().check_new(&object, false).map_err(Refusal::from)?;
        // Programs make these, and it is no change of an administrator's.
        let by = self.by(session).silent().into();
        let changes = as_local(model);
        let made = Definition {
            settings: self.state.catalog().basis(&object, "")?,
            ..Definition::new(object.clone())
        };
        let made = made.with(&changes);
        self.turn.spend_bytes(2 * made.weight());
        let grows = self.check_room(None, &made)?;
        self.standing.own_mut().defining.begin(&object, grows);
        let command = Command::Define { object, like: String::new(), replace: false, changes, by };
        self.sessions.get_mut(session).expect("just seen").opening += 1;
        self.turn.spend(CALL);
        self.propose(command, Waiting::Made { session, token, wanted: Box::new(wanted), name });
        Ok(())
    }

    /// The name that a pattern stands for.
    fn dynamic_name(&mut self, pattern: &str) -> Result<ObjectName, Refusal> {
        let pattern = if pattern.is_empty() { PATTERN } else { pattern };
        let name = match pattern.strip_suffix('*') {
            Some(before) if before.len() + DIGITS > ObjectName::LENGTH_MAX => {
                let detail = format!(
                    "In front of its star it has at most {} characters.",
                    ObjectName::LENGTH_MAX - DIGITS
                );
                return Err(Refusal::because(Reason::DynamicQNameError, detail));
            }
            Some(before) => {
                let leading = self.standing.own_mut();
                leading.next_unique += 1;
                format!("{before}{:016X}", leading.next_unique)
            }
            None => pattern.to_string(),
        };
        ObjectName::new(&name).map_err(|_| {
            let detail = "It is a name of an object, or the beginning of one and a star.";
            Refusal::because(Reason::DynamicQNameError, detail)
        })
    }

    /// The queue is in the log, or it may not be.
    pub(super) fn end_making(
        &mut self,
        session: SessionId,
        token: Token,
        wanted: Wanted,
        name: ObjectName,
        verdict: Result<(), Reason>,
    ) {
        self.end_defining(&ObjectRef::local_queue(&name));
        if let Some(state) = self.sessions.get_mut(session) {
            assert!(state.opening > 0, "what was made was asked for");
            state.opening -= 1;
        }
        if let Err(reason) = verdict {
            return self.answer(session, token, Completion::failed(reason));
        }
        let queue = self.state.queue_id(&name).expect("just defined");
        debug_assert!(
            self.state.queue(queue).is_some_and(|made| made.depth() == 0),
            "a queue that was just made is empty"
        );
        let handle = wanted.handle;
        let opened = self.open(session, Wanted { queue: name.clone(), ..wanted });
        if self.is_temporary(queue) {
            match self.sessions.get_mut(session).and_then(|state| state.handles.get_mut(&handle)) {
                Some(own) if opened.is_ok() => own.made = true,
                // Whoever wanted it is gone.
                _ => self.doom(queue, By::default()),
            }
        }
        let completion = match opened {
            Ok(opened) => Completion::ok(Data::Opened(Opened { made: Some(name), ..opened })),
            Err(refused) => refused.into(),
        };
        self.answer(session, token, completion);
    }

    pub(super) fn is_temporary(&self, queue: QueueId) -> bool {
        self.state.queue(queue).is_some_and(|queue| queue.rules.temporary)
    }

    /// The queue goes as soon as no message of it is in a unit of work; nobody deletes it (the default of `by`) where it goes by
    /// itself.
    pub(super) fn doom(&mut self, queue: QueueId, by: By) {
        debug_assert!(
            self.state.queue(queue).is_none_or(|queue| self.state.definition_of(queue).number(DEFTYPE) != 1),
            "a queue that somebody defined does not go by itself"
        );
        if let Some(leading) = self.standing.leading_mut() {
            leading.doomed.entry(queue).or_insert(by.silent());
        }
    }

    /// Whoever made these is gone with the service before.
    pub(super) fn doom_temporary(&mut self) {
        debug_assert!(
            self.standing.leading().is_some_and(|leading| leading.doomed.is_empty()),
            "nothing was given up before a leader serves"
        );
        let left: Vec<QueueId> =
            self.state.queues().filter(|queue| queue.rules.temporary).map(|queue| queue.id).collect();
        left.into_iter().for_each(|queue| self.doom(queue, By::default()));
    }

    pub(super) fn delete_doomed(&mut self) {
        let Some(leading) = self.standing.serving() else { return };
        if leading.doomed.is_empty() || leading.handover.is_some() {
            return;
        }
        let may_go = |queue| !leading.locked.contains(&queue) && !leading.is_busy(queue);
        let (going, looked_at, next) = some_of(&leading.doomed, leading.doomed_from, may_go);
        debug_assert!(looked_at <= LOOKED_AT as u64, "a turn looks at so many");
        self.standing.own_mut().doomed_from = next;
        self.turn.spend(LOOK * looked_at);
        for (queue, by) in going {
            let Some(name) = self.state.queue(queue).map(|queue| queue.name.clone()) else {
                self.standing.own_mut().doomed.remove(&queue);
                continue;
            };
            self.standing.own_mut().locked.insert(queue);
            let object = ObjectRef::local_queue(&name);
            self.propose(Command::Delete { object, purge: true, by: by.into() }, Waiting::Gone { queue });
        }
    }

    pub(super) fn end_deleting(&mut self, queue: QueueId) {
        let leading = self.standing.own_mut();
        let was_locked = leading.locked.remove(&queue);
        debug_assert!(was_locked, "a queue was locked for as long as its command was under way");
        leading.doomed.remove(&queue);
        leading.depths.note_emptied(queue);
        leading.monitored.forget(queue);
    }
}

/// Those at or behind `from` that may go, then those in front of it; how many were looked at for that, and where the next turn begins:
/// where a turn looks at all of them, with the first.
fn some_of(
    doomed: &BTreeMap<QueueId, By>,
    from: QueueId,
    may_go: impl Fn(QueueId) -> bool,
) -> (Vec<(QueueId, By)>, u64, QueueId) {
    let (mut going, mut looked_at, mut next) = (Vec::new(), 0, from);
    for (queue, by) in doomed.range(from..).chain(doomed.range(..from)).take(LOOKED_AT) {
        (looked_at, next) = (looked_at + 1, QueueId(queue.0 + 1));
        if may_go(*queue) {
            going.push((*queue, by.clone()));
        }
        if going.len() == A_TURN {
            break;
        }
    }
    debug_assert!(going.len() <= A_TURN, "no more go in a turn");
    (going, looked_at, if doomed.len() > LOOKED_AT { next } else { QueueId(0) })
}

/// What makes a local queue that is like the model, whatever the default of local queues says.
fn as_local(model: &Definition) -> Changes {
    debug_assert_eq!(model.kind(), ObjectKind::ModelQueue, "queues are made from models");
    let plain = Definition::new(ObjectRef::new(ObjectKind::LocalQueue, ""));
    let said = plain
        .as_changes()
        .iter()
        .map(|(selector, _)| (selector, model.settings.get(selector).cloned()))
        .collect();
    let made = if model.number(DEFTYPE) == PERMANENT_DYNAMIC { PERMANENT_DYNAMIC } else { TEMPORARY_DYNAMIC };
    let said: Changes = said;
    debug_assert!(said.iter().all(|(selector, _)| selector != DEFTYPE), "nobody sets how a queue came to be");
    said.with_value(DEFTYPE, Value::Number(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doomed(count: u32) -> BTreeMap<QueueId, By> {
        (1..=count).map(|queue| (QueueId(queue), By::default())).collect()
    }

    #[test]
    fn a_turn_looks_at_so_many_queues_and_none_is_passed_by_for_good() {
        let all = doomed(10 * LOOKED_AT as u32);
        let last = QueueId(all.len() as u32);
        let (mut from, mut turns) = (QueueId(0), 0);
        // All but the last are in use.
        let going = loop {
            let (going, looked_at, next) = some_of(&all, from, |queue| queue == last);
            assert!(looked_at <= LOOKED_AT as u64);
            (from, turns) = (next, turns + 1);
            if !going.is_empty() {
                break going;
            }
        };
        assert_eq!((going[0].0, turns), (last, 10));
        let (going, ..) = some_of(&all, from, |queue| queue == QueueId(1));
        assert_eq!(going.len(), 1, "behind the last comes the first");
    }

    #[test]
    fn few_queues_go_in_their_order() {
        let (going, looked_at, next) = some_of(&doomed(100), QueueId(0), |_| true);
        assert_eq!((going.len(), looked_at, next), (A_TURN, A_TURN as u64, QueueId(0)));
        assert!(going.is_sorted_by_key(|(queue, _)| *queue));
    }
}
