//! A queue manager of a few hundred lines for the tests of the library: several "nodes", each a gRPC server on a
//! runtime of its own, share one store as if it were replicated. A node can be killed, made to swallow its answers,
//! or made to hang, and the service can be moved.
#![allow(dead_code, reason = "each test file needs a part of it")]

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use trimaran_proto::{
    message::v1::Message,
    queue::v1::{
        self as wire,
        call::Call,
        completion::Data,
        queue_server::{Queue, QueueServer},
    },
};

#[derive(Clone)]
pub struct Cluster {
    pub store: Arc<Mutex<Store>>,
    serving: Arc<AtomicUsize>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

#[derive(Default)]
pub struct Store {
    pub queues: HashMap<String, VecDeque<Message>>,
    producers: HashMap<(String, u64), Bytes>,
    outcomes: HashMap<Bytes, bool>,
    next_id: u64,
    pub duplicates: usize,
}

pub struct Node {
    pub address: String,
    index: usize,
    cluster: Cluster,
    pub faults: Arc<Faults>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
pub struct Faults {
    /// Calls are carried out, and their answers thrown away.
    pub swallow_answers: AtomicBool,
    /// Nothing is read any more, as if the process were stopped.
    pub hang: AtomicBool,
    /// Its cluster file does not have the queue manager yet.
    pub knows_no_queue_manager: AtomicBool,
    /// The queue manager quiesces: nobody is let in, and gets that wait end.
    pub quiesces: AtomicBool,
    /// Commits are neither carried out nor answered.
    pub ignore_commits: AtomicBool,
    /// MAXUMSGS, unless it is 0.
    pub unit_messages_max: AtomicUsize,
    pub requests: AtomicUsize,
    pub calls: AtomicUsize,
    pub open_handles: AtomicUsize,
}

impl Cluster {
    pub fn new(nodes: usize) -> (Cluster, Vec<Node>) {
        let cluster = Cluster {
            store: Arc::default(),
            serving: Arc::new(AtomicUsize::new(0)),
            addresses: Arc::default(),
        };
        for queue in ["HA.QUEUE", "OTHER", "DLQ"] {
            cluster.store().queues.insert(queue.into(), VecDeque::new());
        }
        let nodes = (0..nodes).map(|index| Node::start(cluster.clone(), index)).collect();
        (cluster, nodes)
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub fn move_service_to(&self, node: &Node) {
        self.serving.store(node.index, Ordering::SeqCst);
    }

    pub fn bodies(&self, queue: &str) -> Vec<String> {
        let store = self.store();
        store.queues[queue]
            .iter()
            .map(|message| String::from_utf8_lossy(&message.body).into_owned())
            .collect()
    }
}

impl Node {
    fn start(cluster: Cluster, index: usize) -> Node {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).unwrap()
        };
        let address = listener.local_addr().unwrap();
        cluster.addresses.lock().unwrap().push(address);
        let faults = Arc::new(Faults::default());
        let service = Service { index, cluster: cluster.clone(), faults: faults.clone() };
        let service = QueueServer::new(service).max_decoding_message_size(8 << 20);
        let incoming = TcpListenerStream::new(listener);
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Node { address: address.to_string(), index, cluster, faults, runtime: Some(runtime) }
    }

    /// As SIGKILL: connections close, the port refuses.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub fn calls(&self) -> usize {
        self.faults.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        let _ = &self.cluster;
    }
}

struct Service {
    index: usize,
    cluster: Cluster,
    faults: Arc<Faults>,
}

type Responses = Pin<Box<dyn Stream<Item = Result<wire::SessionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Queue for Service {
    type SessionStream = Responses;
    type BrowseStream = ReceiverStream<Result<wire::BrowseResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let (answers, outgoing) = mpsc::unbounded_channel();
        let session = Session {
            index: self.index,
            cluster: self.cluster.clone(),
            faults: self.faults.clone(),
            answers,
            handles: HashMap::new(),
            cursors: HashMap::new(),
            parts: HashMap::new(),
            unit: Unit::default(),
            cancelled: Arc::default(),
            connected: false,
        };
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(outgoing))))
    }

    async fn put(&self, _: Request<wire::PutRequest>) -> Result<Response<wire::PutResponse>, Status> {
        Err(Status::unimplemented("the tests use sessions"))
    }

    async fn get(&self, _: Request<wire::GetRequest>) -> Result<Response<wire::GetResponse>, Status> {
        Err(Status::unimplemented("the tests use sessions"))
    }

    async fn browse(&self, _: Request<wire::BrowseRequest>) -> Result<Response<Self::BrowseStream>, Status> {
        Err(Status::unimplemented("the tests use sessions"))
    }
}

#[derive(Default)]
struct Unit {
    puts: Vec<(String, Message)>,
    /// Queue, place, message.
    gets: Vec<(String, Message)>,
}

struct Session {
    index: usize,
    cluster: Cluster,
    faults: Arc<Faults>,
    answers: mpsc::UnboundedSender<Result<wire::SessionResponse, Status>>,
    handles: HashMap<u32, String>,
    /// Id of the message each cursor stands on.
    cursors: HashMap<u32, Bytes>,
    parts: HashMap<u64, Vec<u8>>,
    unit: Unit,
    cancelled: Arc<Mutex<Vec<u64>>>,
    connected: bool,
}

impl Session {
    async fn run(mut self, mut requests: Streaming<wire::SessionRequest>) {
        while let Some(Ok(request)) = requests.next().await {
            while self.faults.hang.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.faults.requests.fetch_add(1, Ordering::SeqCst);
            self.faults.calls.fetch_add(request.calls.len(), Ordering::SeqCst);
            let mut completions = Vec::new();
            for call in request.calls {
                self.on_call(call.token, call.call.expect("a call"), &mut completions);
            }
            if !completions.is_empty() && !self.faults.swallow_answers.load(Ordering::SeqCst) {
                let _ = self.answers.send(Ok(wire::SessionResponse { completions, units_decided: 0 }));
            }
        }
        self.back_out();
        self.faults.open_handles.fetch_sub(self.handles.len(), Ordering::SeqCst);
    }

    fn on_call(&mut self, token: u64, call: Call, completions: &mut Vec<wire::Completion>) {
        if let Call::BodyPart(part) = call {
            assert!(part.data.len() <= 1 << 20, "a part has at most 1 MiB");
            self.parts.entry(part.number).or_default().extend_from_slice(&part.data);
            return;
        }
        if !self.connected && !matches!(call, Call::Connect(_)) {
            return completions.push(refused(token, 2018));
        }
        match call {
            Call::Connect(connect) => completions.push(self.on_connect(token, connect)),
            Call::Open(open) => {
                let exists = self.cluster.store().queues.contains_key(&open.queue);
                assert!(!self.handles.contains_key(&open.handle), "handle {} is open", open.handle);
                if exists {
                    self.handles.insert(open.handle, open.queue);
                    self.faults.open_handles.fetch_add(1, Ordering::SeqCst);
                    completions.push(done(token, None));
                } else {
                    completions.push(refused(token, 2085));
                }
            }
            Call::Close(close) => {
                if self.handles.remove(&close.handle).is_some() {
                    self.faults.open_handles.fetch_sub(1, Ordering::SeqCst);
                }
                completions.push(done(token, None));
            }
            Call::Put(put) => completions.push(self.on_put(token, put)),
            Call::Get(get) => self.on_get(token, get, completions),
            Call::Commit(commit) => {
                if self.faults.ignore_commits.load(Ordering::SeqCst) {
                    return;
                }
                completions.push(self.on_commit(token, commit.unit_id));
            }
            Call::Backout(_) => {
                self.back_out();
                completions.push(done(token, None));
            }
            Call::UnitOutcome(unit) => {
                let committed = *self.cluster.store().outcomes.entry(unit.unit_id).or_insert(false);
                let state = if committed {
                    wire::unit_status::State::Committed
                } else {
                    wire::unit_status::State::BackedOut
                };
                let status = wire::UnitStatus { state: state as i32, sealed: false };
                completions.push(done(token, Some(Data::Unit(status))));
            }
            Call::Inquire(inquire) => {
                let Some(queue) = self.handles.get(&inquire.handle) else {
                    return completions.push(refused(token, 2019));
                };
                let depth = self.cluster.store().queues[queue].len() as u64;
                let status = wire::QueueStatus { queue: queue.clone(), depth, ..Default::default() };
                completions.push(done(token, Some(Data::Queue(status))));
            }
            Call::CancelGet(cancel) => {
                self.cancelled.lock().unwrap().push(cancel.token);
                completions.push(done(token, None));
            }
            Call::Ping(_) => completions.push(done(token, None)),
            Call::BodyPart(_) => unreachable!(),
        }
    }

    fn on_connect(&mut self, token: u64, connect: wire::Connect) -> wire::Completion {
        let serving = self.cluster.serving.load(Ordering::SeqCst);
        let is_unknown = self.faults.knows_no_queue_manager.load(Ordering::SeqCst);
        if is_unknown || !matches!(connect.queue_manager.as_str(), "" | "ha.queue.manager") {
            return refused(token, 2058);
        }
        if serving != self.index {
            let address = self.cluster.addresses.lock().unwrap()[serving].to_string();
            let node = format!("n{serving}");
            let data = wire::Serving { queue_manager: "ha.queue.manager".into(), node, address };
            return wire::Completion { data: Some(Data::Serving(data)), ..refused(token, 2543) };
        }
        if self.faults.quiesces.load(Ordering::SeqCst) {
            return refused(token, 2161);
        }
        self.connected = true;
        let data =
            wire::Connected { queue_manager: "ha.queue.manager".into(), node: format!("n{}", self.index) };
        done(token, Some(Data::Connected(data)))
    }

    fn on_put(&mut self, token: u64, put: wire::Put) -> wire::Completion {
        let queue = match &put.to {
            Some(wire::put::To::Handle(handle)) => match self.handles.get(handle) {
                Some(queue) => queue.clone(),
                None => return refused(token, 2019),
            },
            Some(wire::put::To::Queue(queue)) => queue.clone(),
            None => return refused(token, 2046),
        };
        let mut message = put.message.expect("a message");
        if put.body_parts != 0 {
            message.body = self.parts.remove(&put.body_parts).expect("parts came before").into();
        }
        if put.syncpoint && self.unit_is_full() {
            return refused(token, 2024);
        }
        assert_eq!(message.body_crc32c, Some(crc32c::crc32c(&message.body)), "checksum of the producer");
        let mut store = self.cluster.store();
        let unknown = !store.queues.contains_key(&queue);
        let queue = if unknown && put.dead_letter { "DLQ".to_string() } else { queue };
        if let Some(producer) = &put.producer_sequence {
            let key = (producer.producer.clone(), producer.sequence);
            if let Some(message_id) = store.producers.get(&key).cloned() {
                store.duplicates += 1;
                return done(
                    token,
                    Some(Data::Placed(wire::Placed {
                        message_id,
                        duplicate: true,
                        ..wire::Placed::default()
                    })),
                );
            }
        }
        store.next_id += 1;
        let message_id = Bytes::from(format!("id{:010}", store.next_id));
        let descriptor = message.descriptor.get_or_insert_default();
        if descriptor.message_id.is_empty() {
            descriptor.message_id = message_id;
        }
        let message_id = descriptor.message_id.clone();
        let is_lowered = descriptor.priority.is_some_and(|priority| priority > 9);
        if is_lowered {
            descriptor.priority = Some(9);
        }
        if let Some(producer) = put.producer_sequence {
            store.producers.insert((producer.producer, producer.sequence), message_id.clone());
        }
        if put.syncpoint {
            self.unit.puts.push((queue, message));
        } else {
            store.queues.get_mut(&queue).expect("open").push_back(message);
        }
        let placed = done(token, Some(Data::Placed(wire::Placed { message_id, ..wire::Placed::default() })));
        let warning = match (unknown, is_lowered) {
            (true, _) => 2085,
            (false, true) => 2049,
            (false, false) => return placed,
        };
        let outcome = wire::Outcome { code: 1, reason: warning, text: "A warning.".into() };
        wire::Completion { outcome: Some(outcome), ..placed }
    }

    fn on_get(&mut self, token: u64, get: wire::Get, completions: &mut Vec<wire::Completion>) {
        let Some(queue) = self.handles.get(&get.handle).cloned() else {
            return completions.push(refused(token, 2019));
        };
        let selects = |message: &Message| {
            let descriptor = message.descriptor.clone().unwrap_or_default();
            (get.message_id.is_empty() || get.message_id == descriptor.message_id)
                && (get.correlation_id.is_empty() || get.correlation_id == descriptor.correlation_id)
        };
        let id_of = |message: &Message| message.descriptor.clone().unwrap_or_default().message_id;
        match get.browse() {
            wire::Browse::None => {}
            browse => {
                let store = self.cluster.store();
                let messages = &store.queues[&queue];
                let after = match (browse, self.cursors.get(&get.handle)) {
                    (wire::Browse::Next, Some(id)) => Some(id.clone()),
                    _ => None,
                };
                // Ids of this fake grow with the place on the queue.
                let found = messages
                    .iter()
                    .find(|message| selects(message) && after.as_ref().is_none_or(|id| id_of(message) > *id))
                    .cloned();
                drop(store);
                match found {
                    Some(message) => {
                        self.cursors.insert(get.handle, id_of(&message));
                        got(token, message, completions);
                    }
                    None => completions.push(refused(token, 2033)),
                }
                return;
            }
        }
        if get.syncpoint && self.unit_is_full() {
            return completions.push(refused(token, 2024));
        }
        let take = {
            let cluster = self.cluster.clone();
            let under_cursor =
                get.under_cursor.then(|| self.cursors.get(&get.handle).cloned().unwrap_or_default());
            let (message_id, correlation_id) = (get.message_id.clone(), get.correlation_id.clone());
            let queue = queue.clone();
            move || {
                let mut store = cluster.store();
                let messages = store.queues.get_mut(&queue)?;
                let place = messages.iter().position(|message| {
                    let descriptor = message.descriptor.clone().unwrap_or_default();
                    under_cursor.as_ref().is_none_or(|id| *id == descriptor.message_id)
                        && (message_id.is_empty() || message_id == descriptor.message_id)
                        && (correlation_id.is_empty() || correlation_id == descriptor.correlation_id)
                })?;
                messages.remove(place)
            }
        };
        if let Some(message) = take() {
            if get.syncpoint {
                self.unit.gets.push((queue, message.clone()));
            }
            return got(token, message, completions);
        }
        if get.wait_ms == 0 {
            let reason = if get.under_cursor { 2034 } else { 2033 };
            return completions.push(refused(token, reason));
        }
        assert!(!get.syncpoint || get.wait_ms < 60_000, "this fake waits under syncpoint only for a while");
        if get.syncpoint {
            // The unit belongs to this task, so the wait blocks the session; the tests know.
            let until = Instant::now() + Duration::from_millis(get.wait_ms as u64);
            while Instant::now() < until {
                if self.faults.quiesces.load(Ordering::SeqCst) {
                    return completions.push(refused(token, 2161));
                }
                if let Some(message) = take() {
                    self.unit.gets.push((queue, message.clone()));
                    return got(token, message, completions);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            return completions.push(refused(token, 2033));
        }
        let (answers, faults, cancelled) =
            (self.answers.clone(), self.faults.clone(), self.cancelled.clone());
        let until = (get.wait_ms > 0).then(|| Instant::now() + Duration::from_millis(get.wait_ms as u64));
        tokio::spawn(async move {
            let mut completions = Vec::new();
            loop {
                let is_cancelled = cancelled.lock().unwrap().contains(&token);
                if is_cancelled || until.is_some_and(|until| Instant::now() > until) {
                    completions.push(refused(token, 2033));
                    break;
                }
                if answers.is_closed() {
                    return;
                }
                if let Some(message) = take() {
                    got(token, message, &mut completions);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if !faults.swallow_answers.load(Ordering::SeqCst) {
                let _ = answers.send(Ok(wire::SessionResponse { completions, units_decided: 0 }));
            }
        });
    }

    fn unit_is_full(&self) -> bool {
        let most = self.faults.unit_messages_max.load(Ordering::SeqCst);
        most > 0 && self.unit.puts.len() + self.unit.gets.len() >= most
    }

    fn on_commit(&mut self, token: u64, unit_id: Bytes) -> wire::Completion {
        let unit = std::mem::take(&mut self.unit);
        let mut store = self.cluster.store();
        if store.outcomes.get(&unit_id) == Some(&false) {
            drop(store);
            self.unit = unit;
            self.back_out();
            return refused(token, 2003);
        }
        for (queue, message) in unit.puts {
            store.queues.get_mut(&queue).expect("open").push_back(message);
        }
        if !unit_id.is_empty() {
            store.outcomes.insert(unit_id, true);
        }
        done(token, None)
    }

    fn back_out(&mut self) {
        let unit = std::mem::take(&mut self.unit);
        let mut store = self.cluster.store();
        for (queue, mut message) in unit.gets.into_iter().rev() {
            message.descriptor.get_or_insert_default().backout_count += 1;
            store.queues.get_mut(&queue).expect("open").push_front(message);
        }
    }
}

fn done(token: u64, data: Option<Data>) -> wire::Completion {
    wire::Completion { token, outcome: None, data }
}

fn refused(token: u64, reason: u32) -> wire::Completion {
    let outcome = wire::Outcome { code: 2, reason, text: format!("The fake says {reason}.") };
    wire::Completion { token, outcome: Some(outcome), data: None }
}

fn got(token: u64, mut message: Message, completions: &mut Vec<wire::Completion>) {
    let body_length = message.body.len() as u64;
    let mut body_parts = 0;
    if body_length > 1 << 20 {
        let mut body = std::mem::take(&mut message.body);
        while !body.is_empty() {
            let data = body.split_to(body.len().min(1 << 20));
            completions.push(done(token, Some(Data::BodyPart(wire::BodyPart { number: token, data }))));
            body_parts = token;
        }
    }
    let got = wire::Got { message: Some(message), body_parts, body_length };
    completions.push(done(token, Some(Data::Got(got))));
}

/// An address that leads to a node, until it is gone.
pub struct Way {
    pub address: String,
    socket: SocketAddr,
    /// Of the connections that go on.
    stalls: Arc<Mutex<watch::Sender<bool>>>,
    accepting: tokio::task::JoinHandle<()>,
    listener: Arc<TcpListener>,
    /// They have taken all places of the listener.
    strangers: Vec<TcpStream>,
}

impl Way {
    pub fn to(node: &Node) -> Way {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = Arc::new(socket.listen(1).unwrap());
        let socket = listener.local_addr().unwrap();
        let stalls = Arc::new(Mutex::new(watch::Sender::new(false)));
        let accepting = {
            let (listener, stalls, to) = (listener.clone(), stalls.clone(), node.address.clone());
            tokio::spawn(async move {
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    let stalled = stalls.lock().unwrap().subscribe();
                    let Ok(far) = TcpStream::connect(&to).await else { continue };
                    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                    tokio::spawn(carry(from_near, to_far, stalled.clone()));
                    tokio::spawn(carry(from_far, to_near, stalled));
                }
            })
        };
        Way { address: socket.to_string(), socket, stalls, accepting, listener, strangers: Vec::new() }
    }

    /// Nothing goes on over the connections of before, and new ones are good. Ends when true is sent no more.
    pub fn stall(&self) -> watch::Sender<bool> {
        let stalled = std::mem::replace(&mut *self.stalls.lock().unwrap(), watch::Sender::new(false));
        stalled.send_replace(true);
        stalled
    }

    /// Nor does anybody answer who dials.
    pub async fn vanish(&mut self) -> watch::Sender<bool> {
        let stalled = self.stall();
        self.accepting.abort();
        loop {
            let dial = TcpStream::connect(self.socket);
            match tokio::time::timeout(Duration::from_millis(100), dial).await {
                Ok(stranger) => self.strangers.push(stranger.unwrap()),
                Err(_) => return stalled,
            }
        }
    }

    /// Sockets of the client that lead here, or might.
    pub fn sockets(&self) -> usize {
        sockets_to(self.socket) - self.strangers.len()
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut stalled: watch::Receiver<bool>) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        let _ = stalled.wait_for(|stalled| !stalled).await;
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Sockets of this process that are connected there, or dial.
pub fn sockets_to(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { panic!("the tests use IPv4") };
    let there = format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    // The place of a socket that was closed has no inode.
    rows.filter(|row| row.get(2) == Some(&there.as_str()) && row.get(9).is_some_and(|inode| *inode != "0"))
        .count()
}
