//! Drives one socket: bytes from the client to [`Socket`], its asks to the replica, and everything back.
//!
//! One task a connection. A client that does not read what it is sent is not read either, and is hung up on in the end.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::super::Listener;
use super::super::backlogs::Of;
use super::super::client::Client;
use super::super::counters::add;
use super::super::gate::{Admission, Gate, NotAdmitted};
use super::super::guarded::Guarded;
use super::super::link::Link;
use super::super::unread::Unread;
use super::convert::Code;
use super::desk::{Ask, Connect};
use super::intake::Intake;
use super::socket::Socket;
use crate::mqi::{Call, ChannelTerms, Identity, Refusal};
use crate::replica::{Delivery, answer_bytes};
use crate::types::{ObjectName, Reason, Token, WallTime};

/// What is read at a time.
const READ_BYTES: usize = 32 * 1024;
/// A client that has not agreed on a channel by then is hung up on.
const AGREE_WITHIN: Duration = Duration::from_secs(10);
/// Below this, a heartbeat that is not answered is waited for once more as long; from it on, this much longer.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(60);
/// Answers that wait are sent when so many bytes have come together.
const SEND_BYTES: usize = 256 * 1024;

/// A connection and its sessions.
pub struct Driver<IO> {
    listener: Listener,
    gate: Gate,
    io: Guarded<IO>,
    socket: Socket,
    received: BytesMut,
    intake: Intake,
    links: BTreeMap<u32, Open>,
    /// What is written to the client.
    unread: Unread,
    /// Bytes of bodies that are in the socket's answers and not written: by whom, and how many.
    answered: Vec<(u32, u64)>,
    /// Of the channel, once the client has said which.
    instance: Option<Link>,
    /// When the client was heard last.
    heard: Instant,
    asked: bool,
}

/// A session of one conversation. In this order: the session ends before its place is free.
struct Open {
    link: Link,
    _admission: Admission,
}

enum Wake {
    Delivery(u32, Option<Delivery>),
    /// The queue manager ends the instance of the channel.
    Ended,
    Read(std::io::Result<usize>),
    /// Time to look at what is unfinished.
    Look,
    Quiet,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    pub fn new(listener: Listener, gate: Gate, io: Guarded<IO>, socket: Socket) -> Driver<IO> {
        let received = BytesMut::new();
        let links = BTreeMap::new();
        let intake = Intake::new(listener.account.clone());
        let unread = Unread::watched(&listener.backlogs, io.client().clone(), Of::Call);
        Driver {
            listener,
            gate,
            io,
            socket,
            received,
            intake,
            links,
            unread,
            answered: Vec::new(),
            instance: None,
            heard: Instant::now(),
            asked: false,
        }
    }

    /// Until the client or the queue manager ends it, or `closing`.
    pub async fn run(mut self, closing: impl Future<Output = ()>) {
        let mut closing = pin!(closing);
        loop {
            if self.carry_out().await.is_err() || self.socket.is_closing() {
                break;
            }
            let may_read = self.intake.hold(self.socket.unfinished());
            let quiet_at = self.quiet_at();
            let look = self.intake.look_at();
            let wake = {
                let Driver { io, received, links, instance, .. } = &mut self;
                received.reserve(READ_BYTES);
                tokio::select! {
                    biased;
                    () = &mut closing => break,
                    () = ended(instance) => Wake::Ended,
                    (id, delivery) = next_delivery(links) => Wake::Delivery(id, delivery),
                    read = io.read_buf(received), if may_read => Wake::Read(read),
                    () = tokio::time::sleep_until(look.unwrap_or(quiet_at)), if look.is_some() => Wake::Look,
                    () = tokio::time::sleep_until(quiet_at), if may_read => Wake::Quiet,
                }
            };
            match wake {
                Wake::Ended => self.socket.on_session_ended(),
                Wake::Delivery(id, delivery) => self.on_delivery(id, delivery),
                Wake::Read(Ok(0) | Err(_)) => break,
                Wake::Read(Ok(_)) => {
                    // Until there is an agreement the time runs on: a byte now and then is none.
                    if self.socket.agreed().is_some() {
                        (self.heard, self.asked) = (Instant::now(), false);
                    }
                    add(&self.listener.counters.frames_received, 1);
                    self.socket.on_bytes(&mut self.received, now());
                }
                Wake::Look if self.intake.is_over() => {
                    let because = "it does not finish what it sends, or there is no memory for it";
                    self.listener.hang_ups.hang_up(self.io.client(), because);
                    break;
                }
                Wake::Look => {}
                Wake::Quiet if self.asked || self.socket.agreed().is_none() => {
                    tracing::info!(client = self.address(), "a client was not heard any more");
                    break;
                }
                Wake::Quiet => {
                    self.asked = true;
                    self.socket.heartbeat(now());
                }
            }
        }
        if let Some(why) = self.socket.take_violation() {
            add(&self.listener.counters.violations, 1);
            tracing::warn!(client = self.address(), channel = self.socket.channel(), "{why}");
        }
        let _ = self.io.shutdown().await;
    }

    /// When the silence of the client means something.
    fn quiet_at(&self) -> Instant {
        let Some(agreed) = self.socket.agreed() else { return self.heard + AGREE_WITHIN };
        let heartbeat = Duration::from_secs(u64::from(agreed.heartbeat_seconds));
        match (heartbeat, self.asked) {
            (Duration::ZERO, _) => self.heard + Duration::from_secs(365 * 86_400),
            (heartbeat, false) => self.heard + heartbeat,
            (heartbeat, true) => self.heard + heartbeat + heartbeat.min(HEARTBEAT_PATIENCE),
        }
    }

    /// Hands asks to the replica and bytes to the client, until there are none.
    async fn carry_out(&mut self) -> std::io::Result<()> {
        loop {
            let asks = self.socket.take_asks();
            if asks.is_empty() {
                break;
            }
            let mut calls: Vec<(Token, Call)> = Vec::new();
            let mut caller = None;
            for (id, ask) in asks {
                if caller != Some(id) || !matches!(ask, Ask::Call(..)) {
                    self.send(caller, std::mem::take(&mut calls)).await;
                    caller = Some(id);
                }
                match ask {
                    Ask::Call(token, call) => calls.push((token, call)),
                    Ask::Instance(channel) => self.begin_instance(&channel).await,
                    Ask::Connect(asked) => self.connect(id, asked).await,
                    Ask::Disconnect => drop(self.links.remove(&id)),
                }
            }
            self.send(caller, calls).await;
        }
        if self.socket.has_out() {
            add(&self.listener.counters.frames_sent, 1);
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> std::io::Result<()> {
        let mut out = self.unread.hold(self.socket.take_out().freeze());
        for (id, bytes) in self.answered.drain(..) {
            if let Some(open) = self.links.get(&id) {
                open.link.sent(bytes);
            }
        }
        while !out.is_empty() {
            match self.io.write_buf(&mut out).await? {
                0 => return Err(std::io::ErrorKind::WriteZero.into()),
                written => self.unread.note_taken(written as u64),
            }
        }
        self.io.flush().await
    }

    async fn send(&mut self, id: Option<u32>, calls: Vec<(Token, Call)>) {
        if calls.is_empty() {
            return;
        }
        add(&self.listener.counters.calls_received, calls.len() as u64);
        let open = id.and_then(|id| self.links.get(&id));
        let Some(open) = open else { return };
        if open.link.send(calls).await.is_err() {
            self.socket.on_session_ended();
        }
    }

    async fn begin_instance(&mut self, channel: &str) {
        let opened = self.open_instance(channel).await;
        self.socket.on_channel(opened);
        // What came behind the offer.
        self.socket.on_bytes(&mut self.received, now());
    }

    async fn open_instance(&mut self, channel: &str) -> Result<ChannelTerms, Refusal> {
        let known = self.io.client();
        let name = ObjectName::new(channel).map_err(|_| Reason::UnknownChannelName)?;
        let client = known.with_identity(Identity { channel: Some(name), ..known.identity.clone() });
        let opened = Link::open_instance(&self.listener, &client, self.socket.queue_manager()).await;
        let link = opened.map_err(|unserved| Refusal::from(*unserved.refusal))?;
        let terms = link.terms().channel.clone().ok_or(Reason::UnknownChannelName)?;
        self.instance = Some(link);
        Ok(terms)
    }

    fn address(&self) -> String {
        self.io.client().address.map_or_else(String::new, |address| address.to_string())
    }

    async fn connect(&mut self, id: u32, asked: Connect) {
        let opened = self.open(&asked).await;
        let opened = match opened {
            Ok(open) => {
                self.links.insert(id, open);
                Ok(unique())
            }
            Err((reason, why)) => {
                let code = reason.number() as Code;
                tracing::warn!(
                    client = self.address(),
                    channel = asked.channel,
                    user = asked.asserted_user,
                    application = asked.application,
                    reason = code,
                    "a program was not let in: {why}"
                );
                Err(code)
            }
        };
        self.socket.on_connected(id, opened, now());
    }

    /// The session, or the reason that the program is told and why, for the log.
    async fn open(&mut self, asked: &Connect) -> Result<Open, (Reason, String)> {
        let admission = self.gate.admit(self.client(asked)).map_err(|refused| {
            let reason = match refused {
                NotAdmitted::Stopping => Reason::QMgrQuiescing,
                NotAdmitted::NoUser(_) => Reason::NotAuthorized,
                NotAdmitted::TooMany { .. } => Reason::MaxConnsLimitReached,
            };
            (reason, refused.to_string())
        })?;
        let name = self.socket.queue_manager();
        let application = asked.application.clone();
        let link = Link::open(&self.listener, &admission.client, name, application).await;
        let link = link.map_err(|unserved| {
            let refusal = Refusal::from(*unserved.refusal);
            (refusal.reason, refusal.sentence())
        })?;
        Ok(Open { link, _admission: admission })
    }

    /// The channel says whose rights count. If it does not, the certificate says who it is, and where there is none, the client
    /// does: whoever reaches this listener is believed.
    fn client(&self, asked: &Connect) -> Client {
        let known = self.io.client();
        let identity = match (self.socket.channel_user(), known.identity.user.is_empty()) {
            (Some(user), _) => Identity { user: user.to_string(), ..known.identity.clone() },
            (None, false) => known.identity.clone(),
            (None, true) => {
                let user = asked.credentials.as_ref().map_or(&asked.asserted_user, |(user, _)| user);
                Identity { user: user.clone(), ..known.identity.clone() }
            }
        };
        let channel = ObjectName::new(self.socket.channel()).ok();
        known.with_identity(Identity { channel, ..identity })
    }

    fn on_delivery(&mut self, id: u32, delivery: Option<Delivery>) {
        let mut next = delivery;
        let mut sent = 0;
        loop {
            match next {
                Some(Delivery::Completions(completions)) => {
                    sent += completions.len() as u64;
                    let bytes = completions.iter().map(|(_, completion)| answer_bytes(completion)).sum();
                    if bytes > 0 {
                        self.answered.push((id, bytes));
                    }
                    for (token, completion) in completions {
                        if completion.is_failed() {
                            self.listener.counters.count_failed(completion.reason);
                        }
                        self.socket.on_completion(id, token, completion, now());
                    }
                }
                Some(Delivery::Closed { .. }) | None => {
                    self.socket.on_session_ended();
                    break;
                }
            }
            if self.socket.out_bytes() > SEND_BYTES {
                break;
            }
            match self.links.get_mut(&id).and_then(|open| open.link.try_recv()) {
                Some(more) => next = Some(more),
                None => break,
            }
        }
        add(&self.listener.counters.answers_sent, sent);
    }
}

/// When the queue manager ends the instance.
async fn ended(instance: &mut Option<Link>) {
    let Some(link) = instance else { return std::future::pending().await };
    while let Some(delivery) = link.recv().await {
        if matches!(delivery, Delivery::Closed { .. }) {
            return;
        }
    }
}

/// What the first session has to say that has something.
async fn next_delivery(links: &mut BTreeMap<u32, Open>) -> (u32, Option<Delivery>) {
    poll_fn(|context| {
        for (id, open) in links.iter_mut() {
            // A receiver keeps its waker when the future that polled it is gone.
            if let Poll::Ready(delivery) = pin!(open.link.recv()).poll_unpin(context) {
                return Poll::Ready((*id, delivery));
            }
        }
        Poll::Pending
    })
    .await
}

fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    WallTime(since.map_or(0, |since| since.as_millis() as i64))
}

/// Different for every connection of every node: from the seed that the standard library takes from the system.
pub fn unique() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::listener::grpc::testing::{fake_node, serving};
    use crate::listener::mq::Terms;
    use crate::listener::mq::socket_test::long_put;
    use crate::listener::{Accepted, Limits};
    use crate::types::Share;

    #[tokio::test(start_paused = true)]
    async fn what_a_client_does_not_take_is_counted_and_costs_its_connection() {
        let node = fake_node(Limits::default(), serving());
        let (near, mut far) = tokio::io::duplex(24);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let terms = Terms::new(ObjectName::new("QM").unwrap(), "demo");
        let socket = Socket::new(Arc::new(terms), 1, [7; 12], None);
        let driver = Driver::new(node.listener.clone(), gate, io, socket);
        let began = Instant::now();
        let driven = tokio::spawn(driver.run(std::future::pending()));
        // No segment: the answer is a STATUS, which does not fit into the line.
        far.write_all(&[b'?'; 24]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(node.listener.account.used(Share::Answers) > 24);
        driven.await.unwrap();
        assert_eq!((began.elapsed().as_secs(), node.listener.counters.figures().hung_up), (10, 1));
        assert_eq!(node.listener.account.used(Share::Answers), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_that_does_not_come_to_its_end_is_counted_and_costs_its_connection() {
        let node = fake_node(Limits::default(), serving());
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let (socket, put) = long_put(900_000);
        let driver = Driver::new(node.listener.clone(), gate, io, socket);
        let began = Instant::now();
        let driven = tokio::spawn(driver.run(std::future::pending()));
        far.write_all(&put[..500_000]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let held = node.listener.account.used(Share::Receiving);
        assert!((900_000..902_000).contains(&held), "all of it is held before it is there: {held}");
        driven.await.unwrap();
        let (took, hung_up) = (began.elapsed().as_secs(), node.listener.counters.figures().hung_up);
        assert!((20..60).contains(&took) && hung_up == 1, "{took} s, {hung_up}");
        assert_eq!(node.listener.account.used(Share::Receiving), 0);
    }
}
