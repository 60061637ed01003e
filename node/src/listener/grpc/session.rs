//! A session over gRPC: one stream and one task.
//!
//! Frames are read, turned into calls and handed to the replica in one go, answers are turned into frames, all of it
//! when the client's stream wants its next frame. A client that does not read its answers is therefore not read either.

use futures::{FutureExt, stream};
use tonic::{Code, Status, Streaming};
use trimaran_proto::queue::v1 as wire;

use super::ResponseStream;
use super::conversation::{Conversation, Step, Violation};
use super::convert;
use super::frame::FRAME_BYTES_MAX;
use crate::listener::Listener;
use crate::listener::counters::add;
use crate::listener::gate::Admission;
use crate::listener::link::Link;
use crate::listener::serving::Unserved;
use crate::mqi::{Completion, Data};
use crate::replica::Delivery;
use crate::types::{Reason, Token};

/// Frames that are there already are read until so many calls wait to be sent to the replica together.
const CALLS_TOGETHER: usize = 512;

pub struct Session {
    listener: Listener,
    admission: Admission,
    requests: Streaming<wire::SessionRequest>,
    /// The client has not closed its half.
    reading: bool,
    conversation: Conversation,
    /// Some once connected.
    link: Option<Link>,
    stopping: tokio::sync::watch::Receiver<bool>,
    /// Nothing comes any more but what is waiting to be sent.
    ended: bool,
}

enum Wake {
    Delivery(Option<Delivery>),
    Frame(Result<Option<wire::SessionRequest>, Status>),
    Stopping,
}

impl Session {
    /// The answers of a session whose calls come in `requests`. It ends when they are dropped.
    pub fn serve(
        listener: Listener,
        admission: Admission,
        requests: Streaming<wire::SessionRequest>,
    ) -> ResponseStream<wire::SessionResponse> {
        let session = Box::new(Session {
            conversation: Conversation::new(listener.limits.clone(), listener.counters.clone()),
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
        loop {
            if let Some(response) = self.conversation.take_response() {
                return Some(Ok(response));
            }
            if self.ended {
                return None;
            }
            let may_read = match self.conversation.step() {
                Ok(Step::Read) => self.reading,
                Ok(Step::Full) => false,
                Ok(Step::Connect { token, queue_manager, application }) => {
                    self.connect(token, &queue_manager, application).await;
                    continue;
                }
                Err(violation) => return Some(Err(self.on_violation(violation))),
            };
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
            match self.wait(may_read).await {
                Wake::Delivery(delivery) => self.on_delivery(delivery),
                Wake::Frame(frame) => {
                    if let Err(status) = self.on_frame(frame) {
                        return Some(Err(status));
                    }
                }
                Wake::Stopping => {
                    self.ended = true;
                    return Some(Err(Status::unavailable("The node is stopping; connect to another one.")));
                }
            }
        }
    }

    async fn wait(&mut self, may_read: bool) -> Wake {
        match &mut self.link {
            Some(link) => tokio::select! {
                biased;
                delivery = link.recv() => Wake::Delivery(delivery),
                frame = self.requests.message(), if may_read => Wake::Frame(frame),
            },
            None => tokio::select! {
                frame = self.requests.message(), if may_read => Wake::Frame(frame),
                _ = self.stopping.wait_for(|stopping| *stopping) => Wake::Stopping,
            },
        }
    }

    fn on_frame(&mut self, frame: Result<Option<wire::SessionRequest>, Status>) -> Result<(), Status> {
        match frame {
            Ok(Some(frame)) => self.conversation.on_frame(frame),
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
        let link = self.link.as_ref().expect("calls are made by connected sessions only");
        if link.send(calls).await.is_err() {
            self.close(Reason::QMgrStopping);
        }
    }

    fn on_delivery(&mut self, mut delivery: Option<Delivery>) {
        loop {
            let Some(link) = &mut self.link else { return };
            match delivery {
                Some(Delivery::Completions(completions)) => {
                    self.conversation.note_units_decided(link.units_decided());
                    let serving = |leader| convert::serving(link.elsewhere(leader));
                    self.conversation.on_completions(completions, serving);
                }
                Some(Delivery::Closed { reason }) => return self.close(reason),
                None => return self.close(Reason::QMgrStopping),
            }
            match link.try_recv() {
                Some(more) => delivery = Some(more),
                None => return,
            }
        }
    }

    /// The replica ended the session.
    fn close(&mut self, reason: Reason) {
        let Some(link) = self.link.take() else { return };
        self.conversation.close(reason, Some(convert::serving(link.successor())));
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
