//! What comes back: each completion to the one who waits for it.

use std::{sync::atomic::Ordering, time::Instant};

use trimaran_proto::{message::v1 as message, queue::v1 as wire};

use super::{Answer, Done, HandleState, Phase, Session, SlotKind, State};
use crate::{
    error::Error,
    outcome::{self, Placed},
    reasons::reason,
};

impl Session {
    /// False when the stream is not the session's any more.
    pub(super) fn on_response(&self, generation: u64, response: wire::SessionResponse) -> bool {
        let mut done = Vec::with_capacity(response.completions.len());
        let mut moved = None;
        let wake_up = {
            let mut state = self.lock();
            if generation != state.generation || !matches!(state.phase, Phase::Attached) {
                return false;
            }
            state.heard_at = Instant::now();
            state.units_decided = state.units_decided.max(response.units_decided);
            let before = state.in_flight;
            for completion in response.completions {
                if let Some(because) = state.on_completion(completion, self, &mut done) {
                    moved.get_or_insert(because);
                }
            }
            (before - state.in_flight.min(before)).min(state.waiting_for_room)
        };
        done.into_iter().for_each(Done::hand_over);
        for _ in 0..wake_up {
            self.room.notify_one();
        }
        match moved {
            None => true,
            Some(because) => {
                self.lose(generation, &because);
                false
            }
        }
    }
}

impl State {
    /// Some when the answer says that this node does not serve any more.
    fn on_completion(
        &mut self,
        completion: wire::Completion,
        session: &Session,
        done: &mut Vec<Done>,
    ) -> Option<String> {
        if completion.token & 1 == 1 {
            self.on_put_completion(completion, done)
        } else {
            self.on_call_completion(completion, session, done)
        }
    }

    fn on_put_completion(&mut self, completion: wire::Completion, done: &mut Vec<Done>) -> Option<String> {
        let sequence = completion.token >> 1;
        let index = usize::try_from(sequence.checked_sub(self.first_put)?).ok()?;
        let handle = self.puts.get(index).filter(|slot| slot.answer.is_some())?.handle;
        let result = match outcome::check(completion.outcome) {
            Ok(warning) => {
                let placed = match completion.data {
                    Some(wire::completion::Data::Placed(placed)) => placed,
                    _ => wire::Placed::default(),
                };
                Ok(Placed {
                    message_id: placed.message_id,
                    duplicate: placed.duplicate,
                    warning,
                    only_id_known: placed.only_id_known,
                })
            }
            // It stays in line for the next stream. The end of this one comes behind what else is answered.
            Err(error) if error.reason() == Some(reason::CONNECTION_BROKEN) => {
                self.ends_since.get_or_insert_with(Instant::now);
                return None;
            }
            Err(error) if error.reason().is_some_and(outcome::says_that_service_moved) => {
                return Some(error.to_string());
            }
            Err(error) => Err(self.on_refusal(Some(handle), error)),
        };
        let slot = &mut self.puts[index];
        let answer = slot.answer.take().expect("seen above");
        slot.message = message::Message::default();
        let weight = slot.weight;
        self.uncount_call(weight, true);
        done.push(Done::Put(answer, result));
        while self.puts.front().is_some_and(|slot| slot.answer.is_none()) {
            self.puts.pop_front();
            self.first_put += 1;
        }
        None
    }

    fn on_call_completion(
        &mut self,
        completion: wire::Completion,
        session: &Session,
        done: &mut Vec<Done>,
    ) -> Option<String> {
        if completion.token == 0 {
            // The queue manager ends the session and says where to go instead. It has answered all that it had, so what has
            // no answer never came there.
            self.slots.iter_mut().flatten().for_each(|slot| slot.repeat = true);
            if let Some(wire::completion::Data::Serving(serving)) = completion.data {
                self.hint = Some(serving.address).filter(|address| !address.is_empty());
            }
            return Some(
                outcome::check(completion.outcome)
                    .err()
                    .map_or_else(|| "the node ended the session".to_string(), |error| error.to_string()),
            );
        }
        let slot = self.slot_mut(completion.token)?;
        if let Some(wire::completion::Data::BodyPart(part)) = completion.data {
            slot.parts.push(part.data);
            return None;
        }
        let checked = outcome::check(completion.outcome);
        if let Err(error) = &checked
            && let Some(number) = error.reason()
            && outcome::says_that_service_moved(number)
        {
            let because = error.to_string();
            // 2549 apart, the node says that the call was not carried out, so it may be sent again.
            if session.survives && number == reason::CONNECTION_BROKEN {
                slot.repeat = true;
                self.ends_since.get_or_insert_with(Instant::now);
                return None;
            }
            if session.survives && number != reason::CALL_INTERRUPTED {
                slot.repeat = true;
                return Some(because);
            }
            if session.survives && slot.repeat {
                return Some(because);
            }
        }
        let mut slot = self.take_slot(completion.token).expect("seen above");
        self.uncount_call(slot.weight, !slot.waits);
        let handle = slot.handle;
        let parts = std::mem::take(&mut slot.parts);
        match (&mut slot.kind, checked) {
            (SlotKind::Open(handle), Err(error)) => {
                let moved = error.reason().is_some_and(outcome::says_that_service_moved);
                let because = moved.then(|| error.to_string());
                if let Some(entry) = self.handles.get_mut(handle) {
                    entry.state = HandleState::Refused(error);
                }
                because
            }
            (SlotKind::Open(_) | SlotKind::Ignored, _) => None,
            (SlotKind::Call(None), Ok(_)) => {
                // Nobody waits for this message any more, but it has left its queue.
                if session.survives
                    && let Some(wire::completion::Data::Got(got)) = completion.data
                    && is_destructive(slot.call.as_ref())
                    && let Some(entry) = handle.and_then(|handle| self.handles.get_mut(&handle))
                {
                    entry.stashed.push_back((got, parts));
                    session.stashed.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
            (SlotKind::Call(_), Ok(warning)) => {
                let answer = Answer { warning, data: completion.data, parts };
                slot.answer_with(Ok(answer), done);
                None
            }
            (SlotKind::Call(_), Err(error)) => {
                let moved = error.reason().is_some_and(outcome::says_that_service_moved);
                let because = moved.then(|| error.to_string());
                let error = self.on_refusal(handle, error);
                slot.answer_with(Err(error), done);
                because
            }
        }
    }

    /// A call on a handle that could not be opened fails with the reason of the open.
    fn on_refusal(&mut self, handle: Option<u32>, error: Error) -> Error {
        let Some(entry) = handle.and_then(|handle| self.handles.get_mut(&handle)) else { return error };
        let error =
            if error.reason().is_some_and(is_of_the_queue) { error.about(&entry.queue) } else { error };
        match (error.reason(), &entry.state) {
            (Some(reason::HOBJ_ERROR), HandleState::Refused(refusal)) => refusal.clone().about(&entry.queue),
            (Some(reason::OBJECT_CHANGED | reason::Q_DELETED), HandleState::Open) => {
                entry.state = HandleState::Stale;
                error
            }
            _ => error,
        }
    }
}

/// Reasons that lie with the queue, so that a program with several of them wants its name.
fn is_of_the_queue(number: u32) -> bool {
    use reason::*;
    matches!(
        number,
        ALIAS_BASE_Q_TYPE_ERROR
            | GET_INHIBITED
            | MSG_TOO_BIG_FOR_Q
            | OBJECT_CHANGED
            | OBJECT_IN_USE
            | OBJECT_TYPE_ERROR
            | PERSISTENT_NOT_ALLOWED
            | PUT_INHIBITED
            | Q_DELETED
            | Q_FULL
            | Q_SPACE_NOT_AVAILABLE
            | Q_TYPE_ERROR
            | UNKNOWN_ALIAS_BASE_Q
            | UNKNOWN_OBJECT_NAME
            | OBJECT_NAME_ERROR
    )
}

fn is_destructive(call: Option<&wire::call::Call>) -> bool {
    matches!(call, Some(wire::call::Call::Get(get)) if get.browse == wire::Browse::None as i32)
}
