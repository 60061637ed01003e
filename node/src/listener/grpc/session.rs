//! A session over gRPC: one stream and one task.
//!
//! Frames are read, turned into calls and handed to the replica in one go, answers are turned into frames, all of it
//! when the client's stream wants its next frame. A client that does not read its answers is therefore not read either.

use std::time::Duration;

use futures::{FutureExt, stream};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use trimaran_proto::queue::v1 as wire;

use super::super::arrival::is_too_slow;
use super::ResponseStream;
use super::conversation::{Conversation, Step, Violation};
use super::convert;
use super::frame::{FRAME_BYTES_MAX, Frame};
use crate::listener::Listener;
use crate::listener::counters::add;
use crate::listener::gate::Admission;
use crate::listener::link::Link;
use crate::listener::serving::Unserved;
use crate::mqi::{Completion, Data};
use crate::replica::Delivery;
use crate::types::{Reason, Share, Token};

/// Frames that are there already are read until so many calls wait to be sent to the replica together.
const CALLS_TOGETHER: usize = 512;
/// Answers that are sent, or taken from the queue manager, before others have their turn.
const ANSWERS_TOGETHER: usize = 1024;
/// How often an unfinished body is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a body that there is no room for tries again, and for how long.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_millis(50);
const ROOM_PATIENCE: Duration = Duration::from_secs(20);
/// A body of which nothing came for so long is dropped.
const STOPPED_PATIENCE: Duration = Duration::from_secs(20);

pub struct Session {
    listener: Listener,
    admission: Admission,
    requests: Streaming<Frame>,
    /// The client has not closed its half.
    reading: bool,
    conversation: Conversation,
    /// Some once connected.
    link: Option<Link>,
    stopping: tokio::sync::watch::Receiver<bool>,
    /// Nothing comes any more but what is waiting to be sent.
    ended: bool,
    hello_until: Instant,
    no_room_since: Option<Instant>,
    coming: Option<Coming>,
    /// Answers that were sent since others had their turn.
    sent: usize,
}

enum Wake {
    Delivery(Option<Delivery>),
    Frame(Result<Option<Frame>, Status>),
    /// Something is unfinished, or waits for room: look how it goes on.
    Look,
    /// Nobody said hello.
    Silent,
    Stopping,
}

/// A long body that comes in parts, as it was when it was looked at last.
struct Coming {
    bytes: usize,
    since: Instant,
    /// When more of it came.
    moved: Instant,
}

impl Session {
    /// The answers of a session whose calls come in `requests`. It ends when they are dropped.
    pub fn serve(
        listener: Listener,
        admission: Admission,
        requests: Streaming<Frame>,
    ) -> ResponseStream<wire::SessionResponse> {
        let session = Box::new(Session {
            conversation: Conversation::new(
                listener.limits.clone(),
                listener.counters.clone(),
                listener.account.clone(),
            ),
            hello_until: Instant::now() + listener.limits.hello_patience,
            no_room_since: None,
            coming: None,
            sent: 0,
            stopping: listener.node.stopping.clone(),
            listener,
            admission,
            requests,
            reading: true,
            link: None,
            ended: false,
        });
        Box::pin(stream::unfold(session, |mut session| async move {
            session.next().await.map(|response| (response, session))
        }))
    }

    async fn next(&mut self) -> Option<Result<wire::SessionResponse, Status>> {
        let mut turn = None;
        if self.sent >= ANSWERS_TOGETHER {
            self.sent = 0;
            tokio::task::yield_now().await;
        }
        loop {
            if let Some(response) = self.conversation.take_response() {
                self.sent += response.completions.len();
                if let Some(link) = &self.link {
                    link.sent(self.conversation.body_bytes_taken());
                }
                return Some(Ok(response));
            }
            if self.ended {
                return None;
            }
            let step = self.conversation.step();
            if let Some(turn) = turn.take() {
                // Whoever else has something to do on this worker comes before the next one who translates.
                tokio::task::yield_now().await;
                drop(turn);
            }
            if step != Ok(Step::NoRoom) {
                self.no_room_since = None;
            }
            let may_read = match &step {
                Ok(Step::Read) => self.reading,
                Ok(Step::Full | Step::Translate) => false,
                Ok(Step::Pause) => {
                    // What is ready goes on when others had their turn, the queue manager first.
                    if self.conversation.calls_waiting() >= CALLS_TOGETHER {
                        self.send_calls().await;
                    }
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(Step::NoRoom) => {
                    self.no_room_since.get_or_insert_with(Instant::now);
                    false
                }
                Ok(Step::Connect { token, queue_manager, application }) => {
                    self.connect(*token, queue_manager, application.clone()).await;
                    continue;
                }
                Err(violation) => return Some(Err(self.on_violation(violation.clone()))),
            };
            if !may_read {
                // What is not read cannot come.
                self.coming = None;
            }
            let waiting = self.conversation.calls_waiting();
            if may_read
                && (1..CALLS_TOGETHER).contains(&waiting)
                && !self.conversation.has_answers()
                && let Some(frame) = self.requests.message().now_or_never()
            {
                if let Err(status) = self.on_frame(frame) {
                    return Some(Err(status));
                }
                continue;
            }
            if waiting > 0 {
                self.send_calls().await;
                continue;
            }
            if self.conversation.has_answers() {
                continue;
            }
            if !self.reading && self.conversation.is_idle() {
                return None;
            }
            if step == Ok(Step::Translate) {
                if let Some(delivery) = self.link.as_mut().and_then(Link::try_recv) {
                    self.on_delivery(Some(delivery));
                    continue;
                }
                turn = self.listener.translations.clone().acquire_owned().await.ok();
                self.conversation.translate();
                continue;
            }
            match self.wait(may_read).await {
                Wake::Delivery(delivery) => self.on_delivery(delivery),
                Wake::Frame(frame) => {
                    if let Err(status) = self.on_frame(frame) {
                        return Some(Err(status));
                    }
                    if self.conversation.unfinished_body().is_some() {
                        // A part now and then is no body either.
                        self.look_after_body();
                    }
                }
                Wake::Look => self.look_after_body(),
                Wake::Silent => {
                    self.ended = true;
                    let text = format!(
                        "No connect came within {} s.",
                        self.listener.limits.hello_patience.as_secs()
                    );
                    return Some(Err(Status::deadline_exceeded(text)));
                }
                Wake::Stopping => {
                    self.ended = true;
                    return Some(Err(Status::unavailable("The node is stopping; connect to another one.")));
                }
            }
        }
    }

    async fn wait(&mut self, may_read: bool) -> Wake {
        let look_after = match (self.no_room_since, self.conversation.unfinished_body()) {
            (Some(_), _) => Some(LOOK_FOR_ROOM_EVERY),
            (None, Some(_)) => Some(LOOK_EVERY),
            (None, None) => None,
        };
        let look = async {
            match look_after {
                Some(look_after) => tokio::time::sleep(look_after).await,
                None => std::future::pending().await,
            }
        };
        match &mut self.link {
            Some(link) => tokio::select! {
                biased;
                delivery = link.recv() => Wake::Delivery(delivery),
                frame = self.requests.message(), if may_read => Wake::Frame(frame),
                () = look => Wake::Look,
            },
            None => tokio::select! {
                frame = self.requests.message(), if may_read => Wake::Frame(frame),
                () = tokio::time::sleep_until(self.hello_until) => Wake::Silent,
                _ = self.stopping.wait_for(|stopping| *stopping) => Wake::Stopping,
            },
        }
    }

    /// Frees what is held for a body that does not come on, and ends a wait for room that there is none of.
    fn look_after_body(&mut self) {
        let now = Instant::now();
        if let Some(since) = self.no_room_since {
            if now - since > ROOM_PATIENCE {
                self.conversation.give_up_room();
            }
        } else if let Some(bytes) = self.conversation.unfinished_body() {
            let coming = self.coming.get_or_insert(Coming { bytes, since: now, moved: now });
            if bytes < coming.bytes {
                // Another one.
                *coming = Coming { bytes, since: now, moved: now };
            } else if bytes > coming.bytes {
                (coming.bytes, coming.moved) = (bytes, now);
            }
            let tight = self.listener.account.is_tight(Share::Bodies);
            if now - coming.moved > STOPPED_PATIENCE || is_too_slow(bytes, now - coming.since, tight) {
                self.conversation
                    .drop_unfinished_body("The parts of the body came too slowly, or not at all.");
            }
        } else {
            self.coming = None;
        }
    }

    fn on_frame(&mut self, frame: Result<Option<Frame>, Status>) -> Result<(), Status> {
        match frame {
            Ok(Some(frame)) => {
                if frame.is_empty() {
                    self.admission.client.note_idle();
                }
                self.conversation.on_frame(frame);
            }
            Ok(None) => self.reading = false,
            Err(status) => {
                self.ended = true;
                self.link = None;
                return Err(match status.code() {
                    Code::OutOfRange => Status::invalid_argument(format!(
                        "A frame of a session has at most {FRAME_BYTES_MAX} bytes; send long bodies as body parts."
                    )),
                    _ => status,
                });
            }
        }
        Ok(())
    }

    fn on_violation(&mut self, Violation(text): Violation) -> Status {
        add(&self.listener.counters.violations, 1);
        self.ended = true;
        self.link = None;
        Status::invalid_argument(text)
    }

    async fn send_calls(&mut self) {
        let calls = self.conversation.take_calls();
        let link = self.link.as_mut().expect("calls are made by connected sessions only");
        if let Err(reason) = link.send(calls).await {
            self.close(reason, false);
        }
    }

    fn on_delivery(&mut self, mut delivery: Option<Delivery>) {
        let mut taken = 0;
        loop {
            let Some(link) = &mut self.link else { return };
            match delivery {
                Some(Delivery::Completions(completions)) => {
                    taken += completions.len();
                    self.conversation.note_units_decided(link.units_decided());
                    let serving = |leader| convert::serving(link.elsewhere(leader));
                    self.conversation.on_completions(completions, serving);
                }
                Some(Delivery::Closed { reason, all_answered }) => return self.close(reason, all_answered),
                None => return self.close(Reason::QMgrStopping, false),
            }
            if taken >= ANSWERS_TOGETHER {
                return;
            }
            match link.try_recv() {
                Some(more) => delivery = Some(more),
                None => return,
            }
        }
    }

    /// The replica ended the session.
    fn close(&mut self, reason: Reason, all_answered: bool) {
        let Some(link) = self.link.take() else { return };
        self.conversation.close(reason, all_answered, Some(convert::serving(link.successor())));
        self.ended = true;
    }

    async fn connect(&mut self, token: Token, queue_manager: &str, application: String) {
        match Link::open(&self.listener, &self.admission.client, queue_manager, application).await {
            Ok(link) => {
                self.conversation.note_units_decided(link.units_decided());
                let node = self.listener.node.name.clone();
                self.conversation.connected(token, link.queue_manager(), node);
                self.link = Some(link);
            }
            Err(Unserved { refusal, elsewhere: None }) => {
                self.conversation.answer(token, *refusal, |_| wire::Serving::default());
            }
            Err(Unserved { refusal, elsewhere: Some(elsewhere) }) => {
                let completion = Completion { data: Data::NotServing { leader: None }, ..*refusal };
                self.conversation.answer(token, completion, |_| convert::serving(elsewhere));
            }
        }
    }
}
