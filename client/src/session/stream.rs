//! The streams that carry a session, one after the other: attached, lost, closed.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use futures::Stream;
use trimaran_proto::queue::v1 as wire;

use super::{Done, Phase, Session, SlotKind, State, interrupted, slots::token_of, wake};
use crate::{
    error::{Error, Result},
    outcome,
    reasons::reason,
};

impl Session {
    /// The stream that `gate` belongs to carries the session from now on. Opens the handles again and repeats
    /// what was not answered, in its old order.
    pub(crate) fn attach(
        self: &Arc<Self>,
        gate: &Gate,
        responses: tonic::Streaming<wire::SessionResponse>,
    ) -> Result<u64> {
        let mut done = Vec::new();
        let generation = {
            let mut state = self.lock();
            if let Phase::Closed(error) = &state.phase {
                return Err(error.clone());
            }
            state.detach(self.survives, &mut done);
            state.generation += 1;
            state.phase = Phase::Attached;
            state.heard_at = Instant::now();
            (state.lost_because, state.ends_since) = (None, None);
            state.send_everything_again(&self.producer, &mut done);
            let generation = state.generation;
            gate.open(generation);
            let reader = tokio::spawn(read(self.clone(), generation, responses));
            state.reader = Some(reader.abort_handle());
            generation
        };
        done.into_iter().for_each(Done::hand_over);
        Ok(generation)
    }

    /// The stream of this generation is gone or useless.
    pub(crate) fn lose(&self, generation: u64, because: &str) {
        let mut done = Vec::new();
        let waker = {
            let mut state = self.lock();
            if generation != state.generation || !matches!(state.phase, Phase::Attached) {
                return;
            }
            let waker = state.detach(self.survives, &mut done);
            state.lost_because = Some(because.to_string());
            if !self.survives {
                let text = format!("The connection was lost ({because}).");
                state.phase = Phase::Closed(Error::refused(reason::CONNECTION_BROKEN, text));
            }
            waker
        };
        wake(waker);
        done.into_iter().for_each(Done::hand_over);
        self.lost.notify_one();
        self.room.notify_one();
    }

    pub(crate) fn lose_any(&self, because: &str) {
        let generation = self.lock().generation;
        self.lose(generation, because);
    }

    /// Returns when the session has no stream.
    pub(crate) async fn until_lost(&self) -> String {
        loop {
            {
                let state = self.lock();
                if !matches!(state.phase, Phase::Attached) {
                    return state.lost_because.clone().unwrap_or_default();
                }
            }
            self.lost.notified().await;
        }
    }

    /// Where the last node said that the queue manager is served now.
    pub(crate) fn take_hint(&self) -> Option<String> {
        self.lock().hint.take()
    }

    /// Ends the session for good; everything under way fails with `error`.
    pub(crate) fn close(&self, error: Error) {
        let mut done = Vec::new();
        let waker = {
            let mut state = self.lock();
            let waker = state.detach(false, &mut done);
            state.phase = Phase::Closed(error.clone());
            waker
        };
        wake(waker);
        for one in done {
            match one {
                Done::Put(sender, _) => drop(sender.send(Err(error.clone()))),
                Done::Call(sender, _) => drop(sender.send(Err(error.clone()))),
            }
        }
        self.lost.notify_one();
        self.room.notify_one();
    }
}

impl State {
    /// Leaves the stream. What cannot be sent again is answered; what can stays.
    pub(super) fn detach(&mut self, survives: bool, done: &mut Vec<Done>) -> Option<Waker> {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Detached) {
            Phase::Closed(error) => Phase::Closed(error),
            _ => Phase::Detached,
        };
        self.outbox.clear();
        self.outbox_bytes = 0;
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
        for index in 0..self.slots.len() {
            let Some(slot) = &self.slots[index] else { continue };
            let keep = survives && slot.repeat && matches!(slot.kind, SlotKind::Call(Some(_)));
            if !keep {
                let token = token_of(slot.serial, index as u32);
                let slot = self.take_slot(token).expect("just seen");
                self.uncount_call(slot.weight, !slot.waits);
                let error = if survives {
                    interrupted()
                } else {
                    Error::refused(reason::CONNECTION_BROKEN, "The connection was lost.")
                };
                slot.answer_with(Err(error), done);
            }
        }
        if !survives {
            for put in std::mem::take(&mut self.puts) {
                if let Some(answer) = put.answer {
                    self.uncount_call(put.weight, true);
                    done.push(Done::Put(answer, Err(interrupted())));
                }
            }
        }
        self.waker.take()
    }
}

async fn read(
    session: Arc<Session>,
    generation: u64,
    mut responses: tonic::Streaming<wire::SessionResponse>,
) {
    loop {
        match responses.message().await {
            Ok(Some(response)) => {
                if !session.on_response(generation, response) {
                    return;
                }
            }
            Ok(None) => return session.lose(generation, "the node ended the session"),
            Err(status) => return session.lose(generation, &outcome::from_status(&status).to_string()),
        }
    }
}

/// Holds a new stream back after its greeting until it is known whether the session wants it. When it is dropped before, the
/// stream ends, and with it a connection that nobody else uses.
#[derive(Default)]
pub(crate) struct Gate {
    state: Arc<Mutex<GateState>>,
}

#[derive(Default)]
struct GateState {
    generation: Option<u64>,
    is_dropped: bool,
    waker: Option<Waker>,
}

impl Gate {
    fn open(&self, generation: u64) {
        self.change(|state| state.generation = Some(generation));
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        let waker = {
            let mut state = self.state.lock().expect("no panic while the gate is locked");
            change(&mut state);
            state.waker.take()
        };
        wake(waker);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.change(|state| state.is_dropped = true);
    }
}

/// What goes out over one stream: a greeting, and then, once attached, what is in the session's outbox.
pub(crate) struct Outgoing {
    greeting: Option<wire::SessionRequest>,
    session: Arc<Session>,
    gate: Arc<Mutex<GateState>>,
    generation: Option<u64>,
}

impl Outgoing {
    pub(crate) fn new(greeting: wire::SessionRequest, session: Arc<Session>) -> (Outgoing, Gate) {
        let gate = Gate::default();
        let state = gate.state.clone();
        let outgoing = Outgoing { greeting: Some(greeting), session, gate: state, generation: None };
        (outgoing, gate)
    }
}

impl Stream for Outgoing {
    type Item = wire::SessionRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<wire::SessionRequest>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        let generation = match self.generation {
            Some(generation) => generation,
            None => {
                let mut gate = self.gate.lock().expect("no panic while the gate is locked");
                let Some(generation) = gate.generation else {
                    if gate.is_dropped {
                        return Poll::Ready(None);
                    }
                    gate.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                };
                drop(gate);
                self.generation = Some(generation);
                generation
            }
        };
        let mut state = self.session.lock();
        if generation != state.generation || !matches!(state.phase, Phase::Attached) {
            return Poll::Ready(None);
        }
        if state.outbox.is_empty() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(Some(wire::SessionRequest { calls: state.take_batch() }))
    }
}
