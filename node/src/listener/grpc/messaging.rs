//! Puts, gets and browses over gRPC.
//!
//! A session is one stream and one task: frames are read, turned into calls and handed to the replica in one go,
//! answers are turned into frames, all of it when the client's stream wants its next frame. A client that does not
//! read its answers is therefore not read either. The unary calls are sessions that last for one call.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, stream};
use tokio::sync::Semaphore;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};
use trimaran_proto::queue::v1 as wire;
use trimaran_proto::queue::v1::queue_server::{Queue, QueueServer};

use super::super::Listener;
use super::super::counters::add;
use super::accept::{Admission, Gate, Peer};
use super::conversation::{Conversation, Step, Violation};
use super::convert::{self, Refused};
use super::errand::{self, Errand};
use super::frame::{FRAME_BYTES_MAX, SessionCodec};
use super::upload::{Place, Upload};
use crate::mqi::{Call, Completion, Data, Get, GetMode, OpenOptions, Put, PutTarget, Selection, Wait};
use crate::replica::{Backlog, Delivery, Inbox, Outbox, SessionHandle};
use crate::types::{HandleId, Reason, RoleView, Token, limits};

/// Frames that are there already are read until so many calls wait to be sent to the replica together.
const CALLS_TOGETHER: usize = 512;
/// What a unary browse asks for ahead of its client.
const BROWSE_AHEAD: usize = 32;
/// As far as bodies let it.
const BROWSE_AHEAD_BYTES: usize = 1024 * 1024;
/// Who unary calls say they are.
const UNARY: &str = "gRPC unary";

pub type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Debug)]
pub struct Messaging {
    listener: Listener,
    gate: Gate,
}

impl Messaging {
    pub(super) fn new(listener: Listener, gate: Gate) -> Messaging {
        Messaging { listener, gate }
    }

    fn open(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<ResponseStream<wire::SessionResponse>, Status> {
        let admission = self.gate.admit(request.extensions())?;
        let session = Box::new(Session {
            conversation: Conversation::new(self.listener.limits.clone(), self.listener.counters.clone()),
            stopping: self.listener.node.stopping.clone(),
            listener: self.listener.clone(),
            admission,
            requests: request.into_inner(),
            reading: true,
            link: None,
            ended: false,
        });
        Ok(Box::pin(stream::unfold(session, |mut session| async move {
            session.next().await.map(|response| (response, session))
        })))
    }

    /// Lets a unary call in and begins its errand; the refusal is MQ's and goes into the response.
    async fn errand(
        &self,
        admission: &Admission,
        queue_manager: &str,
    ) -> Result<Errand, (Refused, Option<wire::Serving>)> {
        let inbox = errand::find(&self.listener, queue_manager).map_err(|refusal| (refusal, None))?;
        errand::check_serving(&self.listener, inbox)
            .map_err(|(refusal, serving)| (refusal, Some(serving)))?;
        let begun = Errand::begin(&self.listener, inbox, &admission.peer.identity, UNARY).await;
        begun.map_err(|refusal| (refusal, None))
    }
}

// ---------------------------------------------------------------------------------------------------------
// The session

struct Session {
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

/// The way to the replica and back.
struct Link {
    inbox: Inbox,
    handle: SessionHandle,
    outbox: Outbox,
    _watch: BacklogWatch,
}

/// Hangs up on a client that takes nothing although too much waits for it. A task of its own: the session's stream
/// does not run while the client does not read.
struct BacklogWatch(tokio::task::JoinHandle<()>);

impl BacklogWatch {
    fn start(backlog: Arc<Backlog>, peer: Peer, listener: Listener) -> BacklogWatch {
        let patience = listener.limits.unread_patience;
        BacklogWatch(tokio::spawn(async move {
            loop {
                backlog.overfull().await;
                let taken = backlog.taken();
                tokio::time::sleep(patience).await;
                if backlog.is_overfull() && backlog.taken() == taken {
                    add(&listener.counters.hung_up, 1);
                    tracing::warn!(peer = ?peer.address, "hung up on a client that does not read its messages");
                    return peer.hang_up();
                }
            }
        }))
    }
}

impl Drop for BacklogWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Wake {
    Delivery(Option<Delivery>),
    Frame(Result<Option<wire::SessionRequest>, Status>),
    Stopping,
}

impl Session {
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
                delivery = link.outbox.recv() => Wake::Delivery(delivery),
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
        if link.handle.send_many(calls).await.is_err() {
            self.close(Reason::QMgrStopping);
        }
    }

    fn on_delivery(&mut self, mut delivery: Option<Delivery>) {
        loop {
            let Some(link) = &mut self.link else { return };
            match delivery {
                Some(Delivery::Completions(completions)) => {
                    let (listener, inbox) = (&self.listener, &link.inbox);
                    let serving = |leader| errand::serving(listener, inbox, leader);
                    self.conversation.on_completions(completions, serving);
                }
                Some(Delivery::Closed { reason }) => return self.close(reason),
                None => return self.close(Reason::QMgrStopping),
            }
            match link.outbox.try_recv() {
                Some(more) => delivery = Some(more),
                None => return,
            }
        }
    }

    /// The replica ended the session.
    fn close(&mut self, reason: Reason) {
        let Some(link) = self.link.take() else { return };
        let leader = match link.inbox.role() {
            RoleView::NotServing { leader, .. } => leader.filter(|leader| *leader != self.listener.node.node),
            _ => None,
        };
        self.conversation.close(reason, Some(errand::serving(&self.listener, &link.inbox, leader)));
        self.ended = true;
    }

    async fn connect(&mut self, token: Token, queue_manager: &str, application: String) {
        match self.link_to(queue_manager, application).await {
            Ok(link) => {
                let name = link.inbox.name().to_string();
                self.conversation.connected(token, name, self.listener.node.name.clone());
                self.link = Some(link);
            }
            Err((refusal, None)) => self.conversation.answer(token, *refusal, |_| wire::Serving::default()),
            Err((refusal, Some(serving))) => {
                let completion = Completion { data: Data::NotServing { leader: None }, ..*refusal };
                self.conversation.answer(token, completion, |_| serving);
            }
        }
    }

    async fn link_to(
        &self,
        queue_manager: &str,
        application: String,
    ) -> Result<Link, (Refused, Option<wire::Serving>)> {
        let inbox = errand::find(&self.listener, queue_manager).map_err(|refusal| (refusal, None))?;
        errand::check_serving(&self.listener, inbox)
            .map_err(|(refusal, serving)| (refusal, Some(serving)))?;
        let opened = inbox.open_session(self.admission.peer.identity.clone(), application).await;
        match opened {
            Ok((handle, outbox)) => {
                let (peer, listener) = (self.admission.peer.clone(), self.listener.clone());
                let watch = BacklogWatch::start(outbox.backlog(), peer, listener);
                Ok(Link { inbox: inbox.clone(), handle, outbox, _watch: watch })
            }
            Err(_) => Err((Box::new(Completion::failed(Reason::QMgrStopping)), None)),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// One call each

#[tonic::async_trait]
impl Queue for Messaging {
    type SessionStream = ResponseStream<wire::SessionResponse>;
    type BrowseStream = ResponseStream<wire::BrowseResponse>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.open(request).map(Response::new)
    }

    async fn put(&self, request: Request<wire::PutRequest>) -> Result<Response<wire::PutResponse>, Status> {
        let admission = self.gate.admit(request.extensions())?;
        // The extensions have the place of a long message: kept to the end.
        let (_, _extensions, request) = request.into_parts();
        let response = match self.put_once(&admission, request).await {
            Ok((completion, errand)) => {
                let mut response =
                    wire::PutResponse { outcome: convert::outcome_of(&completion), ..Default::default() };
                match completion.data {
                    Data::Placed { message_id, duplicate } => {
                        response.message_id = bytes::Bytes::copy_from_slice(message_id.trimmed());
                        response.duplicate = duplicate;
                    }
                    Data::NotServing { leader } => response.serving = Some(errand.serving(leader)),
                    _ => {}
                }
                response
            }
            Err((refusal, serving)) => {
                wire::PutResponse { outcome: convert::outcome_of(&refusal), serving, ..Default::default() }
            }
        };
        Ok(Response::new(response))
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::GetResponse>, Status> {
        let admission = self.gate.admit(request.extensions())?;
        let response = match self.get_once(&admission, request.into_inner()).await {
            Ok((completion, errand)) => {
                let outcome = convert::outcome_of(&completion);
                let (message, serving) = match completion.data {
                    Data::Got { message, body_length } => {
                        add(&self.listener.counters.body_bytes_sent, message.body.len() as u64);
                        (Some(convert::message_to_wire(*message, body_length)), None)
                    }
                    Data::NotServing { leader } => (None, Some(errand.serving(leader))),
                    _ => (None, None),
                };
                wire::GetResponse { outcome, message, serving }
            }
            Err((refusal, serving)) => {
                wire::GetResponse { outcome: convert::outcome_of(&refusal), message: None, serving }
            }
        };
        Ok(Response::new(response))
    }

    async fn browse(
        &self,
        request: Request<wire::BrowseRequest>,
    ) -> Result<Response<Self::BrowseStream>, Status> {
        let admission = self.gate.admit(request.extensions())?;
        let browsing = match self.begin_browse(admission, request.into_inner()).await {
            Ok(browsing) => browsing,
            Err((refusal, serving)) => {
                let outcome = convert::outcome_of(&refusal);
                let last = wire::BrowseResponse { outcome, message: None, serving };
                return Ok(Response::new(Box::pin(stream::once(async { Ok(last) }))));
            }
        };
        Ok(Response::new(Box::pin(stream::unfold(Some(browsing), |browsing| async {
            let mut browsing = browsing?;
            let response = browsing.next().await;
            let ended = response.message.is_none();
            Some((Ok(response), (!ended).then_some(browsing)))
        }))))
    }
}

type Unserved = (Refused, Option<wire::Serving>);

impl Messaging {
    async fn put_once(
        &self,
        admission: &Admission,
        request: wire::PutRequest,
    ) -> Result<(Completion, Errand), Unserved> {
        let refuse = |refusal| (refusal, None);
        let queue = convert::object_name(&request.queue).map_err(refuse)?;
        let message = convert::message_from_wire(request.message.unwrap_or_default()).map_err(refuse)?;
        let producer = convert::producer(request.producer_sequence).map_err(refuse)?;
        add(&self.listener.counters.body_bytes_received, message.body.len() as u64);
        let mut errand = self.errand(admission, &request.queue_manager).await?;
        let to = PutTarget::Queue(queue);
        let put = Put { to, message, syncpoint: false, producer, dead_letter: false };
        Ok((errand.call(Call::Put(put)).await, errand))
    }

    async fn get_once(
        &self,
        admission: &Admission,
        request: wire::GetRequest,
    ) -> Result<(Completion, Errand), Unserved> {
        let refuse = |refusal| (refusal, None);
        let open = open_call(&request.queue, OpenOptions { input: true, ..OpenOptions::default() });
        let open = open.map_err(refuse)?;
        let selection = convert::selection(&request.message_id, &request.correlation_id, &request.group_id)
            .map_err(refuse)?;
        let wait = convert::wait(request.wait_ms).map_err(refuse)?;
        let get = Get { wait, ..get(GetMode::Destructive, selection) };
        let mut errand = self.errand(admission, &request.queue_manager).await?;
        let tokens = errand.send(vec![open, Call::Get(get)]).await.map_err(refuse)?;
        loop {
            let (token, completion) = errand.next().await.map_err(refuse)?;
            if token == tokens[1] || completion.is_failed() {
                return Ok((completion, errand));
            }
        }
    }

    async fn begin_browse(
        &self,
        admission: Admission,
        request: wire::BrowseRequest,
    ) -> Result<Browsing, Unserved> {
        let refuse = |refusal| (refusal, None);
        let open = open_call(&request.queue, OpenOptions { browse: true, ..OpenOptions::default() });
        let open = open.map_err(refuse)?;
        let selection = convert::selection(&request.message_id, &request.correlation_id, &request.group_id)
            .map_err(refuse)?;
        let mut errand = self.errand(&admission, &request.queue_manager).await?;
        let opened = errand.call(open).await;
        if opened.is_failed() {
            let serving = match opened.data {
                Data::NotServing { leader } => Some(errand.serving(leader)),
                _ => None,
            };
            return Err((Box::new(opened), serving));
        }
        Ok(Browsing {
            listener: self.listener.clone(),
            _admission: admission,
            errand,
            selection,
            asked: VecDeque::new(),
            arrived: BTreeMap::new(),
            left: if request.limit == 0 { u64::MAX } else { request.limit },
            to_ask: if request.limit == 0 { u64::MAX } else { request.limit },
            started: false,
            ahead: 1,
        })
    }
}

/// The only handle of a session that lasts for one call.
const HANDLE: HandleId = HandleId(1);

fn open_call(queue: &str, options: OpenOptions) -> Result<Call, Refused> {
    Ok(Call::Open { handle: HANDLE, queue: convert::object_name(queue)?, options })
}

fn get(mode: GetMode, selection: Selection) -> Get {
    Get {
        handle: HANDLE,
        syncpoint: false,
        wait: Wait::No,
        mode,
        selection,
        max_length: None,
        accept_truncated: false,
    }
}

/// A unary browse under way: asks a little ahead of its client, gives in order.
struct Browsing {
    listener: Listener,
    _admission: Admission,
    errand: Errand,
    selection: Selection,
    asked: VecDeque<Token>,
    arrived: BTreeMap<Token, Completion>,
    /// Messages the client may still get.
    left: u64,
    to_ask: u64,
    started: bool,
    /// How many messages are asked for ahead; fewer when they are long.
    ahead: usize,
}

impl Browsing {
    /// The next message, or what ended the browse (then without a message).
    async fn next(&mut self) -> wire::BrowseResponse {
        if self.left == 0 {
            let outcome = Some(wire::Outcome::default());
            return wire::BrowseResponse { outcome, message: None, serving: None };
        }
        let completion = self.next_completion().await.unwrap_or_else(|refusal| *refusal);
        let outcome = convert::outcome_of(&completion);
        match completion.data {
            Data::Got { message, body_length } => {
                self.left -= 1;
                self.ahead = (BROWSE_AHEAD_BYTES / body_length.max(1)).clamp(1, BROWSE_AHEAD);
                add(&self.listener.counters.body_bytes_sent, message.body.len() as u64);
                let message = Some(convert::message_to_wire(*message, body_length));
                wire::BrowseResponse { outcome, message, serving: None }
            }
            Data::NotServing { leader } => {
                wire::BrowseResponse { outcome, message: None, serving: Some(self.errand.serving(leader)) }
            }
            _ => wire::BrowseResponse { outcome, message: None, serving: None },
        }
    }

    async fn next_completion(&mut self) -> Result<Completion, Refused> {
        if self.asked.len() * 2 <= self.ahead {
            let wanted = (self.ahead - self.asked.len()) as u64;
            let calls: Vec<Call> = (0..wanted.min(self.to_ask)).map(|_| self.ask()).collect();
            self.to_ask -= calls.len() as u64;
            self.asked.extend(self.errand.send(calls).await?);
        }
        let token = *self.asked.front().expect("there is more to get, so more was asked for");
        while !self.arrived.contains_key(&token) {
            let (token, completion) = self.errand.next().await?;
            self.arrived.insert(token, completion);
        }
        self.asked.pop_front();
        Ok(self.arrived.remove(&token).expect("it is there"))
    }

    fn ask(&mut self) -> Call {
        let mode = if self.started { GetMode::BrowseNext } else { GetMode::BrowseFirst };
        self.started = true;
        Call::Get(get(mode, self.selection))
    }
}

// ---------------------------------------------------------------------------------------------------------
// The service, with a limit of its own for each kind of message

/// `trimaran.queue.v1.Queue` as a tower service.
#[derive(Clone)]
pub struct QueueService {
    messaging: Arc<Messaging>,
    unary: QueueServer<Messaging>,
    large_puts: Arc<Semaphore>,
    calls_max: usize,
}

impl QueueService {
    pub fn new(messaging: Messaging) -> QueueService {
        let messaging = Arc::new(messaging);
        let limits = messaging.listener.limits.clone();
        let put_bytes_max = limits::BODY_BYTES_MAX + 1024 * 1024;
        QueueService {
            unary: QueueServer::from_arc(messaging.clone()).max_decoding_message_size(put_bytes_max),
            messaging,
            large_puts: Arc::new(Semaphore::new(limits.large_puts_max)),
            calls_max: limits.calls_in_flight_max,
        }
    }
}

impl NamedService for QueueService {
    const NAME: &'static str = trimaran_proto::queue::v1::queue_server::SERVICE_NAME;
}

impl tower::Service<http::Request<tonic::body::Body>> for QueueService {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        match request.uri().path().rsplit('/').next() {
            Some("Session") => {
                let mut grpc = Grpc::new(SessionCodec { calls_max: self.calls_max })
                    .max_decoding_message_size(FRAME_BYTES_MAX);
                let session = SessionRoute(self.messaging.clone());
                Box::pin(async move { Ok(grpc.streaming(session, request).await) })
            }
            Some("Put") => {
                let place = Place::default();
                request.extensions_mut().insert(place.clone());
                let places = self.large_puts.clone();
                let request = request.map(|body| tonic::body::Body::new(Upload::new(body, places, place)));
                tower::Service::call(&mut self.unary, request)
            }
            _ => tower::Service::call(&mut self.unary, request),
        }
    }
}

struct SessionRoute(Arc<Messaging>);

impl StreamingService<wire::SessionRequest> for SessionRoute {
    type Response = wire::SessionResponse;
    type ResponseStream = ResponseStream<wire::SessionResponse>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<wire::SessionRequest>>) -> Self::Future {
        let messaging = self.0.clone();
        Box::pin(async move { messaging.open(request).map(Response::new) })
    }
}
