//! A node for the tests of this folder: a real inbox, and behind it a mind of forty lines that keeps one list of
//! messages for each queue.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use super::serve;
use crate::listener::{Accepted, Limits, Listener, NodeHandle};
use crate::mqi::{
    Admin, Call, Completion, Data, GetMode, ObjectView, Operate, Put, PutTarget, QueueView, StatusView,
    Terms, Wait,
};
use crate::replica::{Delivery, Mail, Mailbox, OutboxSender, Publisher, inbox};
use crate::types::definition::{Definition, ObjectRef};
use crate::types::limits::OBJECTS_A_PAGE;
use crate::types::{
    Account, HandleId, Index, Instant, Membership, Message, MessageId, NodeId, NodeInfo, ObjectName,
    QueueManagerId, Reason, RoleView, SessionId, Term, Token, Version,
};

pub struct FakeNode {
    pub listener: Listener,
    pub publisher: Publisher,
    pub stopping: watch::Sender<bool>,
    /// Ends every session with this reason.
    pub close_all: mpsc::UnboundedSender<Reason>,
    /// Frames of calls the mind has seen.
    pub batches: watch::Receiver<u64>,
    /// Connections for the node's gRPC listener.
    pub connections: mpsc::UnboundedSender<std::io::Result<Accepted<DuplexStream>>>,
    /// Tells that listener to close.
    pub closing: watch::Sender<bool>,
    /// Until it has ended.
    pub served: JoinHandle<Result<(), tonic::transport::Error>>,
    _warnings: watch::Sender<Vec<String>>,
}

/// The time of a test is that of its runtime, which may stand still.
fn clock() -> Instant {
    thread_local! { static BEGAN: tokio::time::Instant = tokio::time::Instant::now(); }
    Instant(BEGAN.with(tokio::time::Instant::elapsed).as_micros() as u64)
}

pub fn serving() -> RoleView {
    serving_for(Duration::from_secs(3600))
}

/// Serves with a lease that is good for so long.
pub fn serving_for(lease: Duration) -> RoleView {
    RoleView::Serving { term: Term(1), since: clock(), lease_until: clock() + lease }
}

pub fn follower(leader: Option<u64>) -> RoleView {
    RoleView::NotServing { term: Term(1), leader: leader.map(NodeId), recovering: false }
}

fn nodes() -> BTreeMap<NodeId, NodeInfo> {
    let info = |name: &str, port: u16| NodeInfo {
        name: name.into(),
        peer_address: format!("127.0.0.1:{}", port - 100),
        client_address: format!("127.0.0.1:{port}"),
    };
    [(NodeId(1), info("a", 7201)), (NodeId(2), info("b", 7202))].into()
}

/// Node `a` of two, with the queue manager `QM`.
pub fn fake_node(limits: Limits, role: RoleView) -> FakeNode {
    let name = ObjectName::new("QM").unwrap();
    let account = Account::new(2 << 30);
    let membership =
        Membership { voters: [NodeId(1), NodeId(2)].into(), nodes: nodes(), ..Membership::default() };
    let (inbox, mailbox, publisher) =
        inbox(QueueManagerId(1), name.clone(), Arc::default(), 0, account.clone(), role, membership);
    let (stopping, stopping_end) = watch::channel(false);
    let (warnings, warnings_end) = watch::channel(vec!["There is no TLS.".to_string()]);
    let node = NodeHandle {
        cluster: "demo".into(),
        node: NodeId(1),
        name: "a".into(),
        version: "0.0.0",
        clock,
        inboxes: [inbox].into_iter().collect(),
        nodes: nodes(),
        warnings: warnings_end,
        addresses: watch::channel(Vec::new()).1,
        ports: watch::channel(Vec::new()).1,
        stopping: stopping_end,
    };
    let (close_all, closes) = mpsc::unbounded_channel();
    let (batches, batches_end) = watch::channel(0);
    tokio::spawn(run(mailbox, closes, batches));
    let listener = Listener::new(Arc::new(node), limits, account);
    let (connections, incoming) = mpsc::unbounded_channel();
    let incoming = UnboundedReceiverStream::new(incoming);
    let (closing, mut closed) = watch::channel(false);
    let closed = async move {
        if closed.wait_for(|closing| *closing).await.is_err() {
            std::future::pending().await
        }
    };
    let served = tokio::spawn(serve(listener.clone(), incoming, closed));
    FakeNode {
        listener,
        publisher,
        stopping,
        close_all,
        batches: batches_end,
        connections,
        closing,
        served,
        _warnings: warnings,
    }
}

#[derive(Default)]
struct Session {
    handles: BTreeMap<HandleId, (ObjectName, usize)>,
    waiting: Vec<(Token, HandleId)>,
    outbox: Option<OutboxSender>,
}

#[derive(Default)]
struct Mind {
    sessions: BTreeMap<SessionId, Session>,
    queues: BTreeMap<ObjectName, VecDeque<Message>>,
    puts: u64,
    told: Vec<(SessionId, Token, Completion)>,
}

async fn run(mut mailbox: Mailbox, mut closes: mpsc::UnboundedReceiver<Reason>, batches: watch::Sender<u64>) {
    let mut mind = Mind::default();
    loop {
        let (mut mails, mut events) = (Vec::new(), Vec::new());
        tokio::select! {
            open = std::future::poll_fn(|cx| mailbox.poll_take(cx, &mut mails, 64, &mut events, 64)) => {
                if !open { return }
            }
            Some(reason) = closes.recv() => {
                for (_, session) in std::mem::take(&mut mind.sessions) {
                    let _ = session.outbox.expect("open").send(Delivery::Closed { reason, all_answered: false });
                }
            }
        }
        for mail in mails {
            match mail {
                Mail::Connect { session, admitted, outbox, .. } => {
                    let _ = admitted.send(Ok(Terms::default()));
                    mind.sessions.insert(session, Session { outbox: Some(outbox), ..Session::default() });
                }
                Mail::Closed { session } => {
                    mind.sessions.remove(&session);
                }
                Mail::Calls { session, calls } => {
                    batches.send_modify(|count| *count += 1);
                    for (token, call) in calls {
                        if is_held(&call) {
                            continue;
                        }
                        // Answers may wait; their bytes need not.
                        mailbox.give_back(session, mailbox.weight(&call));
                        if mind.sessions.contains_key(&session) {
                            mind.on_call(session, token, call);
                        }
                    }
                }
            }
        }
        let mut groups: BTreeMap<SessionId, Vec<(Token, Completion)>> = BTreeMap::new();
        for (session, token, completion) in mind.told.drain(..) {
            groups.entry(session).or_default().push((token, completion));
        }
        for (session, group) in groups {
            if let Some(session) = mind.sessions.get(&session) {
                let _ = session.outbox.as_ref().expect("open").send(Delivery::Completions(group));
            }
        }
    }
}

/// A call that is never answered, and leaves nearly no room for others.
pub fn held_put() -> Call {
    let body = Bytes::from(vec![0; crate::types::limits::BODY_BYTES_MAX]).into();
    Call::Put(Put {
        to: PutTarget::Queue(ObjectName::new("HELD").unwrap()),
        message: Box::new(Message { body, ..Message::default() }),
        syncpoint: false,
        logical_order: false,
        producer: None,
        dead_letter: false,
        context: Default::default(),
    })
}

fn is_held(call: &Call) -> bool {
    matches!(call, Call::Put(Put { to: PutTarget::Queue(queue), .. }) if queue.as_str() == "HELD")
}

impl Mind {
    fn on_call(&mut self, id: SessionId, token: Token, call: Call) {
        let session = self.sessions.get_mut(&id).expect("open");
        let completion = match call {
            Call::Open { handle, queue, .. } => match queue.as_str() {
                "NOPE" => Completion::failed(Reason::UnknownObjectName),
                _ => {
                    session.handles.insert(handle, (queue, 0));
                    Completion::done()
                }
            },
            Call::Put(put) => {
                let queue = match put.to {
                    PutTarget::Queue(queue) => queue,
                    PutTarget::Handle(handle) => session.handles[&handle].0.clone(),
                };
                if queue.as_str() == "FORGOTTEN" {
                    let detail = "Nobody can tell whether this sequence was put before.";
                    let refused = Completion::failed_because(Reason::UnexpectedError, detail);
                    return self.told.push((id, token, refused));
                }
                self.puts += 1;
                let message_id = MessageId::from_slice(&self.puts.to_be_bytes()).unwrap();
                self.queues.entry(queue.clone()).or_default().push_back(*put.message);
                self.told.push((
                    id,
                    token,
                    Completion::ok(Data::Placed {
                        message_id,
                        in_group: None,
                        duplicate: false,
                        only_id_known: false,
                    }),
                ));
                return self.serve_waiters(&queue);
            }
            Call::Get(get) => {
                let Some((queue, cursor)) = session.handles.get_mut(&get.handle) else {
                    return self.told.push((id, token, Completion::failed(Reason::HobjError)));
                };
                let messages = self.queues.entry(queue.clone()).or_default();
                let message = match get.mode {
                    GetMode::BrowseFirst | GetMode::BrowseNext => {
                        *cursor = if get.mode == GetMode::BrowseFirst { 0 } else { *cursor };
                        *cursor += 1;
                        messages.get(*cursor - 1).cloned()
                    }
                    _ => messages.pop_front(),
                };
                match message {
                    Some(message)
                        if !get.accept_truncated
                            && get.max_length.is_some_and(|most| message.body.len() > most) =>
                    {
                        let data = Data::TooLong { body_length: message.body.len() };
                        if !get.mode.is_browse() {
                            messages.push_front(message);
                        }
                        Completion { data, ..Completion::failed(Reason::TruncatedMsgFailed) }
                    }
                    Some(message) => got(message),
                    None if get.wait != Wait::No => return session.waiting.push((token, get.handle)),
                    None => Completion::failed(Reason::NoMsgAvailable),
                }
            }
            Call::CancelGet { token: cancelled } => {
                if let Some(at) = session.waiting.iter().position(|(token, _)| *token == cancelled) {
                    session.waiting.remove(at);
                    self.told.push((id, cancelled, Completion::failed(Reason::NoMsgAvailable)));
                }
                Completion::done()
            }
            Call::Operate(Operate::Status) => Completion::ok(Data::Status(Box::new(status()))),
            Call::Admin(Admin::Display { after, .. }) => {
                let behind = self.queues.iter().filter(|(name, _)| name.as_str() > after.as_str());
                let mut objects = behind.map(|(name, messages)| {
                    let definition = Definition::new(ObjectRef::local_queue(name));
                    let queue = QueueView {
                        definition: definition.clone(),
                        depth: messages.len() as u64,
                        not_persistent: 0,
                        uncommitted: 0,
                        open_input: 0,
                        open_output: 0,
                        oldest_age: Duration::ZERO,
                        activity: Default::default(),
                    };
                    ObjectView { definition, queue: Some(queue) }
                });
                let page = objects.by_ref().take(OBJECTS_A_PAGE).collect();
                let listing = crate::mqi::Listing { objects: page, more: objects.next().is_some() };
                Completion::ok(Data::Objects(listing.into()))
            }
            Call::Operate(Operate::Members(_)) => {
                let progress = Data::Progress { step: "catching up".into(), fraction: 0.5 };
                self.told.push((id, token, Completion::ok(progress)));
                Completion::done()
            }
            _ => Completion::done(),
        };
        self.told.push((id, token, completion));
    }

    fn serve_waiters(&mut self, queue: &ObjectName) {
        for (id, session) in &mut self.sessions {
            let handles = &session.handles;
            let Some(at) = session.waiting.iter().position(|(_, handle)| handles[handle].0 == *queue) else {
                continue;
            };
            let Some(message) = self.queues.get_mut(queue).and_then(VecDeque::pop_front) else { return };
            let (token, _) = session.waiting.remove(at);
            self.told.push((*id, token, got(message)));
        }
    }
}

fn got(message: Message) -> Completion {
    Completion::ok(Data::Got { body_length: message.body.len(), message: Box::new(message) })
}

fn status() -> StatusView {
    StatusView {
        role: crate::types::Role::Active,
        leader: Some(NodeId(1)),
        serving_for: Duration::from_secs(5),
        term: Term(1),
        commit: crate::types::Index(7),
        applied: crate::types::Index(7),
        quorum_live: 2,
        quorum_of: 2,
        membership: Membership { nodes: nodes(), ..Membership::default() },
        instances: Vec::new(),
        queues: 1,
        messages: 0,
        not_persistent: 0,
        sessions: 1,
        dead_letter_queue: None,
        puts_refused: None,
        waits_for: Default::default(),
        last: (Term(3), Index(9)),
        acknowledged: Some(Index(9)),
        version: Version::FIRST,
        run: Default::default(),
        takeovers: 0,
        unserved_for: Duration::ZERO,
        clocks_differ: None,
        preferred: None,
        fail_back: String::new(),
        canary: false,
    }
}

/// A body whose frames come through a channel.
struct Frames(mpsc::UnboundedReceiver<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }
}

/// A body, and who sends its frames.
pub fn body() -> (mpsc::UnboundedSender<Bytes>, tonic::body::Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, tonic::body::Body::new(Frames(receiver)))
}
