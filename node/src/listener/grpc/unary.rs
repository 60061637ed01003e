//! One call each over gRPC: put, get and browse in a session that lasts for one call.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use futures::stream;
use tonic::{Request, Response, Status, Streaming};
use trimaran_proto::message::v1 as wire_message;
use trimaran_proto::queue::v1 as wire;
use trimaran_proto::queue::v1::queue_server::Queue;

use super::ResponseStream;
use super::accept::admit_program;
use super::convert;
use super::frame::Frame;
use super::session::Session;
use crate::listener::Listener;
use crate::listener::backlogs::Watch;
use crate::listener::counters::add;
use crate::listener::errand::Errand;
use crate::listener::gate::{Admission, Gate};
use crate::listener::serving::{Refused, Unserved, find_served, refused};
use crate::mqi::{
    self, Call, Completion, Context, Data, Get, GetMode, OpenOptions, Put, PutTarget, Selection, Wait,
};
use crate::types::{HandleId, Message, Reason, Token};

/// What a browse asks for ahead of its client.
const BROWSE_AHEAD: usize = 32;
/// As far as bodies let it.
const BROWSE_AHEAD_BYTES: usize = 1024 * 1024;
/// Who unary calls say they are.
const APPLICATION: &str = "gRPC unary";

/// `trimaran.queue.v1.Queue`: sessions, and calls that are sessions of their own.
#[derive(Debug)]
pub struct Messaging {
    listener: Listener,
    gate: Gate,
}

impl Messaging {
    pub fn new(listener: Listener, gate: Gate) -> Messaging {
        Messaging { listener, gate }
    }

    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The answers to a stream of requests.
    pub fn session(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<ResponseStream<wire::SessionResponse>, Status> {
        let admission = admit_program(&self.gate, request.extensions())?;
        Ok(Session::serve(self.listener.clone(), admission, request.into_inner()))
    }
}

#[tonic::async_trait]
impl Queue for Messaging {
    type SessionStream = ResponseStream<wire::SessionResponse>;
    type BrowseStream = ResponseStream<wire::BrowseResponse>;

    async fn session(
        &self,
        _: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        unreachable!("sessions have a codec and a route of their own, see `service`")
    }

    async fn put(&self, request: Request<wire::PutRequest>) -> Result<Response<wire::PutResponse>, Status> {
        let admission = admit_program(&self.gate, request.extensions())?;
        // The extensions have the place of a long message: kept to the end.
        let (_, _extensions, request) = request.into_parts();
        let response = match self.put_once(&admission, request).await {
            Ok((completion, errand)) => {
                let outcome = convert::outcome_of(&completion);
                let serving = errand.elsewhere(&completion).map(convert::serving);
                let (message_id, duplicate, only_id_known) = match completion.data {
                    Data::Placed { message_id, duplicate, only_id_known, .. } => {
                        (Bytes::copy_from_slice(message_id.trimmed()), duplicate, only_id_known)
                    }
                    _ => Default::default(),
                };
                wire::PutResponse { outcome, message_id, duplicate, serving, only_id_known }
            }
            Err(unserved) => {
                let (outcome, serving) = told(unserved);
                wire::PutResponse { outcome, serving, ..Default::default() }
            }
        };
        Ok(Response::new(response))
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::GetResponse>, Status> {
        let admission = admit_program(&self.gate, request.extensions())?;
        let response = match self.get_once(&admission, request.into_inner()).await {
            Ok((completion, errand)) => {
                let outcome = outcome_of(&completion);
                let serving = errand.elsewhere(&completion).map(convert::serving);
                let message = match completion.data {
                    Data::Got { message, body_length } => {
                        add(&self.listener.counters.body_bytes_sent, message.body.len() as u64);
                        Some(convert::message_to_wire(*message, body_length))
                    }
                    _ => None,
                };
                wire::GetResponse { outcome, message, serving }
            }
            Err(unserved) => {
                let (outcome, serving) = told(unserved);
                wire::GetResponse { outcome, message: None, serving }
            }
        };
        Ok(Response::new(response))
    }

    async fn browse(
        &self,
        request: Request<wire::BrowseRequest>,
    ) -> Result<Response<Self::BrowseStream>, Status> {
        let admission = admit_program(&self.gate, request.extensions())?;
        let browsing = match self.begin_browse(admission, request.into_inner()).await {
            Ok(browsing) => browsing,
            Err(unserved) => {
                let (outcome, serving) = told(unserved);
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

/// What the response to a call that was not made says.
fn told(Unserved { refusal, elsewhere }: Unserved) -> (Option<wire::Outcome>, Option<wire::Serving>) {
    (convert::outcome_of(&refusal), elsewhere.map(convert::serving))
}

/// A longer body is checked elsewhere: the queue manager may run on this worker, and a hundred mebibytes take longer than
/// it can wait.
const CHECKED_HERE_BYTES: usize = 1 << 20;

async fn checked(message: wire_message::Message) -> Result<Message, Refused> {
    if message.body.len() <= CHECKED_HERE_BYTES {
        return convert::message_from_wire(message);
    }
    let checking = tokio::task::spawn_blocking(move || convert::message_from_wire(message));
    checking.await.unwrap_or_else(|_| Err(refused(Reason::UnexpectedError, "The body could not be checked.")))
}

impl Messaging {
    /// Lets a call in and begins its errand.
    async fn errand(&self, admission: &Admission, queue_manager: &str) -> Result<Errand, Unserved> {
        let inbox = find_served(&self.listener, queue_manager)?;
        let identity = &admission.client.identity;
        Ok(Errand::begin(&self.listener, &inbox, identity, APPLICATION).await?)
    }

    async fn put_once(
        &self,
        admission: &Admission,
        request: wire::PutRequest,
    ) -> Result<(Completion, Errand), Unserved> {
        let queue = mqi::queue_named(&request.queue)?;
        let message = checked(request.message.unwrap_or_default()).await?;
        let producer = convert::producer(request.producer_sequence)?;
        add(&self.listener.counters.body_bytes_received, message.body.len() as u64);
        let mut errand = self.errand(admission, &request.queue_manager).await?;
        let to = PutTarget::Queue(queue);
        let message = Box::new(message);
        let (syncpoint, logical_order, dead_letter, context) = (false, false, false, Context::Default);
        let put = Put { to, message, syncpoint, logical_order, producer, dead_letter, context };
        Ok((errand.call(Call::Put(put)).await, errand))
    }

    async fn get_once(
        &self,
        admission: &Admission,
        request: wire::GetRequest,
    ) -> Result<(Completion, Errand), Unserved> {
        let open = open_call(&request.queue, OpenOptions { input: true, ..OpenOptions::default() })?;
        let selection = Selection::of_ids(&request.message_id, &request.correlation_id, &request.group_id)?;
        let wait = Wait::of_ms(request.wait_ms)?;
        let get = get(GetMode::Destructive, selection, longest(request.max_length));
        let get = Get { wait, ..get };
        let mut errand = self.errand(admission, &request.queue_manager).await?;
        let completion = errand.call_all(vec![open, Call::Get(get)]).await?;
        Ok((completion, errand))
    }

    async fn begin_browse(
        &self,
        admission: Admission,
        request: wire::BrowseRequest,
    ) -> Result<Browsing, Unserved> {
        let open = open_call(&request.queue, OpenOptions { browse: true, ..OpenOptions::default() })?;
        let selection = Selection::of_ids(&request.message_id, &request.correlation_id, &request.group_id)?;
        let mut errand = self.errand(&admission, &request.queue_manager).await?;
        let opened = errand.call(open).await;
        if opened.is_failed() {
            let elsewhere = errand.elsewhere(&opened);
            return Err(Unserved { refusal: Box::new(opened), elsewhere });
        }
        Ok(Browsing {
            listener: self.listener.clone(),
            _watch: errand.watch(&admission.client),
            _admission: admission,
            errand,
            selection,
            longest: longest(request.max_length),
            asked: VecDeque::new(),
            arrived: BTreeMap::new(),
            left: if request.limit == 0 { u64::MAX } else { request.limit },
            to_ask: if request.limit == 0 { u64::MAX } else { request.limit },
            started: false,
            ahead: 1,
        })
    }
}

/// Clients of gRPC refuse an answer of more than 4 MiB unless they are told otherwise, and a message that was got would be gone.
const BODY_BYTES_DEFAULT: usize = 3 * 1024 * 1024;

/// Bytes of a body that the client can take, by what it says of that.
fn longest(max_length: u32) -> usize {
    if max_length == 0 { BODY_BYTES_DEFAULT } else { max_length as usize }
}

/// A unary call can raise its limit, and nothing else.
fn outcome_of(completion: &Completion) -> Option<wire::Outcome> {
    let outcome = convert::outcome_of(completion);
    let Data::TooLong { body_length } = completion.data else { return outcome };
    let text = format!(
        "The message stays on the queue: its body has {body_length} bytes, and max_length of the request is less (0 means 3 \
         MiB). Ask with a larger one, and let the client take answers of that length."
    );
    outcome.map(|outcome| wire::Outcome { text, ..outcome })
}

/// The only handle of a session that lasts for one call.
const HANDLE: HandleId = HandleId(1);

fn open_call(queue: &str, options: OpenOptions) -> Result<Call, Refused> {
    Ok(Call::Open {
        handle: HANDLE,
        queue: mqi::queue_named(queue)?,
        options,
        dynamic: String::new(),
        selector: None,
    })
}

fn get(mode: GetMode, selection: Selection, longest: usize) -> Get {
    Get {
        handle: HANDLE,
        syncpoint: false,
        wait: Wait::No,
        mode,
        selection,
        syncpoint_if_persistent: false,
        max_length: Some(longest),
        accept_truncated: false,
        extended: false,
        lock: false,
    }
}

/// A unary browse under way: asks a little ahead of its client, gives in order.
struct Browsing {
    listener: Listener,
    _admission: Admission,
    _watch: Watch,
    errand: Errand,
    selection: Selection,
    /// Bytes of a body that the client can take.
    longest: usize,
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
        let outcome = outcome_of(&completion);
        let serving = self.errand.elsewhere(&completion).map(convert::serving);
        let Data::Got { message, body_length } = completion.data else {
            return wire::BrowseResponse { outcome, message: None, serving };
        };
        self.left -= 1;
        self.ahead = (BROWSE_AHEAD_BYTES / body_length.max(1)).clamp(1, BROWSE_AHEAD);
        add(&self.listener.counters.body_bytes_sent, message.body.len() as u64);
        let message = Some(convert::message_to_wire(*message, body_length));
        wire::BrowseResponse { outcome, message, serving }
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
        Call::Get(get(mode, self.selection, self.longest))
    }
}
