//! Our connection to a peer: connects, stays connected, and tells the queue managers when that changes.
//!
//! *Connected* when the peer answered our hello, *lost* when the connection broke, *gone* when it broke and the peer's
//! port refuses a new one: then its process is dead, and nobody has to wait for an election timeout. A connection that
//! ends in the other direction counts as a reason to look (`Link::nudge`).
//!
//! What a turn has to say is written by the turn itself when it is short and the line is free: a task would have to be
//! woken for it. Everything else is left to the connection's task, so that no turn copies long frames.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use trimaran_proto::plain;
use trimaran_proto::replica::v1::peer_ack::Refusal;
use trimaran_proto::replica::v1::peer_hello::Purpose;
use trimaran_proto::replica::v1::{
    self as wire, ClientConnections, PeerAck, PeerFrame, PeerHello, PeerMessage,
};

use super::frame::{self, FrameReader, FrameWriter};
use super::{Link, LinkCounters, PeerTls, Peers, SNAPSHOT_SILENCE_MAX};
use crate::replica::Event;
use crate::types::{NodeId, NodeInfo, Speaks, Version};

/// Waits between attempts to connect: at once, then soon, never longer than the last.
const BACKOFF_MS: [u64; 8] = [0, 5, 10, 20, 50, 100, 200, 400];
/// After a refusal in words there is no hurry: somebody has to change something.
const BACKOFF_REFUSED: Duration = Duration::from_secs(1);
/// Who was removed never comes back.
const BACKOFF_REMOVED: Duration = Duration::from_secs(3600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that ended sooner is not tried again at once: whoever ended it would do so again, and again.
const STEADY_AFTER: Duration = Duration::from_secs(1);
/// A machine that acknowledges nothing for so long, not even that it is there, is not; and one that has room for nothing
/// more for so long is left, too (tcp(7), TCP_USER_TIMEOUT). Whether the process behind it turns is for Raft to notice.
pub const SILENCE_MAX: Duration = Duration::from_secs(6);
/// What a turn writes itself.
const WRITTEN_BY_TURN_MAX: usize = 16 * 1024;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Broken {
    /// The port refuses connections: nobody listens there.
    NobodyThere,
    /// The peer answered, and wants nothing of us.
    Refused(String),
    /// The peer knows that this node was removed from every queue manager.
    Removed,
    Other(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::NobodyThere => f.write_str("nobody listens there any more"),
            Broken::Removed => f.write_str("the peer knows that this node was removed"),
            Broken::Refused(reason) | Broken::Other(reason) => f.write_str(&plain::error(reason)),
        }
    }
}

pub(super) fn start(peers: Arc<Peers>, node: NodeId, info: NodeInfo) -> Arc<Link> {
    let link = Arc::new(Link {
        node,
        info: watch::Sender::new(info),
        outgoing: Outgoing::new(),
        connected: AtomicBool::new(false),
        was_up: AtomicBool::new(false),
        nudge: Notify::new(),
        counters: LinkCounters::default(),
        refused: Mutex::new(None),
        hearing: Mutex::new(None),
        processes: Mutex::default(),
        snapshots_heard: AtomicUsize::new(0),
        knows_clients: Mutex::default(),
        hardware: Mutex::default(),
        closed: watch::Sender::new(false),
    });
    tokio::spawn(run(peers, link.clone()));
    link
}

async fn run(peers: Arc<Peers>, link: Arc<Link>) {
    let mut closed = link.closed.subscribe();
    tokio::select! {
        () = keep_connected(&peers, &link) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    link.outgoing.disconnect();
    if link.connected.swap(false, Ordering::Relaxed) {
        peers.tell_all(|| Event::PeerLost { node: link.node }).await;
    }
}

async fn keep_connected(peers: &Arc<Peers>, link: &Arc<Link>) {
    let mut attempt = 0;
    loop {
        let broken = match dial_peer(peers, link, Purpose::Messages).await {
            Ok((reader, writer)) => {
                let connected_at = Instant::now();
                link.knows_clients.lock().clear();
                link.outgoing.connect(writer);
                peers.say_hardware(link);
                link.connected.store(true, Ordering::Relaxed);
                link.was_up.store(true, Ordering::Relaxed);
                link.counters.connects.fetch_add(1, Ordering::Relaxed);
                *link.refused.lock() = None;
                tracing::info!(peer = link.info.borrow().name, "connected to peer");
                let told = peers.tell_all(|| Event::PeerConnected { node: link.node });
                let (broken, ()) = tokio::join!(until_broken(link, reader), told);
                link.connected.store(false, Ordering::Relaxed);
                link.outgoing.disconnect();
                tracing::info!(peer = link.info.borrow().name, %broken, "connection to peer ended");
                peers.tell_all(|| Event::PeerLost { node: link.node }).await;
                if connected_at.elapsed() >= STEADY_AFTER {
                    attempt = 0;
                }
                broken
            }
            Err(broken) => broken,
        };
        let mut wait = Duration::from_millis(BACKOFF_MS[attempt.min(BACKOFF_MS.len() - 1)]);
        attempt += 1;
        match broken {
            Broken::NobodyThere => {
                if link.was_up.swap(false, Ordering::Relaxed) {
                    tracing::warn!(
                        peer = link.info.borrow().name,
                        "peer is gone: nobody listens at its address"
                    );
                    peers.tell_all(|| Event::PeerGone { node: link.node }).await;
                }
                wait = wait.max(Duration::from_millis(50));
            }
            Broken::Refused(sentence) => {
                let sentence = plain::error(&sentence);
                let news = link.refused.lock().replace(sentence.clone()).as_ref() != Some(&sentence);
                if news {
                    tracing::warn!(
                        peer = link.info.borrow().name,
                        refused = sentence,
                        "peer refuses this node"
                    );
                }
                wait = BACKOFF_REFUSED;
            }
            Broken::Removed => {
                peers.tell_all(|| Event::RemovedSays { node: link.node }).await;
                wait = BACKOFF_REMOVED;
            }
            Broken::Other(reason) => {
                let reason = plain::error(&reason);
                // The first attempts after a break fail for reasons that are nobody's business.
                if attempt == BACKOFF_MS.len() {
                    tracing::warn!(
                        peer = link.info.borrow().name,
                        reason,
                        "no connection to peer; trying on"
                    );
                } else {
                    tracing::debug!(peer = link.info.borrow().name, reason, "no connection to peer");
                }
            }
        }
        let mut moved = link.info.subscribe();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // The peer has just connected to us, or its stream to us has just ended.
            () = link.nudge.notified() => {}
            _ = moved.changed() => attempt = 0,
        }
    }
}

/// Returns when the connection has ended, or when the other direction ended and nobody listens there any more.
async fn until_broken(link: &Link, mut reader: FrameReader) -> Broken {
    let mut look = None;
    loop {
        tokio::select! {
            // Nothing comes in this direction but the end.
            said = reader.next::<PeerAck>() => match said {
                Ok(Some(_)) => {}
                Ok(None) => return Broken::Other("the peer closed it".to_owned()),
                Err(error) => return Broken::Other(error.to_string()),
            },
            () = link.outgoing.wanted.0.notified() => {
                if let Err(error) = link.outgoing.go_on(&link.counters) {
                    return Broken::Other(error.to_string());
                }
            }
            () = link.nudge.notified(), if look.is_none() => {
                let address = link.info.borrow().peer_address.clone();
                look = Some(Box::pin(async move { dial(&address, SILENCE_MAX).await }));
            }
            seen = async { look.as_mut().expect("asked for by the guard").await }, if look.is_some() => {
                look = None;
                if let Err(Broken::NobodyThere) = seen {
                    return Broken::NobodyThere;
                }
            }
        }
    }
}

/// Connects and says hello. The peer wants to hear us when this returns.
pub(super) async fn dial_peer(
    peers: &Peers,
    link: &Link,
    purpose: Purpose,
) -> Result<(FrameReader, FrameWriter), Broken> {
    let info = link.info.borrow().clone();
    let own = &peers.options;
    let hello =
        PeerHello { process: own.process, ..hello(&own.cluster, own.node, own.speaks, link.node, purpose) };
    let silence = if purpose == Purpose::Snapshot { SNAPSHOT_SILENCE_MAX } else { SILENCE_MAX };
    let (reader, writer, ack) = introduce(&info, &peers.tls, &hello, silence).await?;
    let speaks = spoken(&ack);
    match peers.cannot_talk(link.node, speaks) {
        None => Ok((reader, writer)),
        Some(sentence) => {
            peers.tell_all(|| Event::PeerTooOld { node: link.node, speaks }).await;
            Err(Broken::Refused(sentence))
        }
    }
}

/// What the node that was dialled says that it speaks.
pub fn spoken(ack: &PeerAck) -> Speaks {
    Speaks { oldest: Version(ack.oldest_version), newest: Version(ack.version) }
}

fn hello(cluster: &str, from: NodeId, speaks: Speaks, to: NodeId, purpose: Purpose) -> PeerHello {
    PeerHello {
        cluster: cluster.to_owned(),
        from: from.0,
        to: to.0,
        version: speaks.newest.0,
        oldest_version: speaks.oldest.0,
        purpose: purpose.into(),
        process: 0,
    }
}

async fn introduce(
    info: &NodeInfo,
    tls: &PeerTls,
    hello: &PeerHello,
    silence: Duration,
) -> Result<(FrameReader, FrameWriter, PeerAck), Broken> {
    let (mut reader, mut writer) = connect(&info.peer_address, &info.name, tls, silence).await?;
    let asked = async {
        writer.push_magic();
        // Whoever does not like our certificate may have closed by now, and said why.
        let sent = writer.send(hello).await;
        reader.magic().await.map_err(|error| match &sent {
            Err(unsent) if error.kind() != io::ErrorKind::InvalidData => io::Error::from(unsent.kind()),
            _ => error,
        })?;
        reader.next::<PeerAck>().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let ack = match tokio::time::timeout(HELLO_TIMEOUT, asked).await {
        Ok(Ok(ack)) => ack,
        // With TLS 1.3 the other end says what it thinks of our certificate only after the handshake; and a stranger
        // stays one.
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(Broken::Refused(error.to_string()));
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(Broken::Other("the peer closed the connection".to_owned()));
        }
        Ok(Err(error)) => return Err(Broken::Other(error.to_string())),
        Err(_) => return Err(Broken::Other("the peer did not answer the hello within 3 s".to_owned())),
    };
    match ack.refusal() {
        Refusal::None => {
            // Acknowledgements are short.
            reader.take_frames_up_to(frame::CHUNK_FRAME_BYTES_MAX);
            Ok((reader, writer, ack))
        }
        Refusal::Refused => Err(Broken::Refused(ack.sentence)),
        Refusal::Removed => Err(Broken::Removed),
    }
}

async fn dial(address: &str, silence: Duration) -> Result<TcpStream, Broken> {
    let stream = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(Broken::NobodyThere);
        }
        Ok(Err(error)) => return Err(Broken::Other(error.to_string())),
        Err(_) => return Err(Broken::Other(format!("{address} did not answer within {CONNECT_TIMEOUT:?}"))),
    };
    let options = || {
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(&stream);
        let keepalive =
            socket2::TcpKeepalive::new().with_time(SILENCE_MAX / 3).with_interval(SILENCE_MAX / 6);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(silence))
    };
    options().map_err(|error: io::Error| Broken::Other(error.to_string()))?;
    Ok(stream)
}

/// A connection to the node of this name.
async fn connect(
    address: &str,
    name: &str,
    tls: &PeerTls,
    silence: Duration,
) -> Result<(FrameReader, FrameWriter), Broken> {
    let tcp = dial(address, silence).await?;
    let Some(config) = tls(name).map_err(Broken::Other)? else { return Ok(frame::split(tcp)) };
    // The name is not looked at: the verifier wants the node's own name in the certificate.
    let server = rustls_pki_types::ServerName::try_from("trimaran").expect("a fixed name");
    let handshake = tokio_rustls::TlsConnector::from(config).connect(server, tcp);
    match tokio::time::timeout(HELLO_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Ok(frame::split(stream)),
        // A certificate that one of the two does not like; everything else is the line's fault.
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Broken::Refused(format!("TLS with {address}: {error}")))
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Broken::Other(format!(
            "TLS with {address}: it went away; it may be without TLS: does its cluster file have [tls]? ({error})"
        ))),
        Ok(Err(error)) => Err(Broken::Other(format!("TLS with {address}: {error}"))),
        Err(_) => Err(Broken::Other(format!("TLS with {address} took too long"))),
    }
}

/// What turns had to say to a peer, on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    waiting: Mutex<Waiting>,
    line: Mutex<Line>,
    wanted: Arc<Wanted>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<PeerMessage>,
    clients: VecDeque<ClientConnections>,
    /// A few bytes.
    hardware: Option<wire::Hardware>,
    /// What they take on the wire, about.
    bytes: usize,
}

/// Tells the connection's task that it has to go on: the socket takes more again, or a turn left something to it.
#[derive(Debug, Default)]
struct Wanted(Notify);

impl Wake for Wanted {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

#[derive(Debug)]
enum Line {
    Down,
    Up(FrameWriter),
    /// A turn found out; the connection's task takes it from here.
    Broken(io::Error),
}

impl Outgoing {
    fn new() -> Outgoing {
        let wanted = Arc::<Wanted>::default();
        Outgoing {
            waiting: Mutex::default(),
            line: Mutex::new(Line::Down),
            waker: Waker::from(wanted.clone()),
            wanted,
        }
    }

    fn connect(&self, writer: FrameWriter) {
        self.forget();
        *self.line.lock() = Line::Up(writer);
    }

    fn disconnect(&self) {
        *self.line.lock() = Line::Down;
        self.forget();
    }

    /// What waits was for a connection that is gone. Raft repeats it on the next one.
    fn forget(&self) {
        *self.waiting.lock() = Waiting::default();
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        self.waiting.lock().bytes
    }

    /// False when too much waits already. Never waits: see the head of this file.
    pub(super) fn offer(
        &self,
        messages: Vec<PeerMessage>,
        unsent_max: usize,
        counters: &LinkCounters,
    ) -> bool {
        let bytes: usize = messages.iter().map(frame::weight).sum();
        let unsent = {
            let mut waiting = self.waiting.lock();
            let unsent = waiting.bytes;
            // What one turn has to say always fits, however much it is.
            if unsent > 0 && unsent + bytes > unsent_max {
                return false;
            }
            waiting.bytes += bytes;
            waiting.messages.extend(messages);
            unsent
        };
        let line = if unsent == 0 && bytes <= WRITTEN_BY_TURN_MAX { self.line.try_lock() } else { None };
        let Some(mut line) = line else {
            self.wanted.0.notify_one();
            return true;
        };
        // What is left of a long frame goes on when the socket takes more: that wakes the task.
        if let Line::Up(writer) = &mut *line
            && writer.is_idle()
            && let Err(error) = self.write(writer, counters)
        {
            *line = Line::Broken(error);
            self.wanted.0.notify_one();
        }
        true
    }

    /// As [`Outgoing::offer`], and left to the connection's task: nobody waits for it.
    pub(super) fn offer_clients(&self, said: ClientConnections, unsent_max: usize) -> bool {
        let bytes = frame::weight_of_clients(&said);
        let mut waiting = self.waiting.lock();
        if waiting.bytes > 0 && waiting.bytes + bytes > unsent_max {
            return false;
        }
        waiting.bytes += bytes;
        waiting.clients.push_back(said);
        drop(waiting);
        self.wanted.0.notify_one();
        true
    }

    /// As [`Outgoing::offer_clients`], in place of what was offered and has not left.
    pub(super) fn offer_hardware(&self, said: wire::Hardware) {
        self.waiting.lock().hardware = Some(said);
        self.wanted.0.notify_one();
    }

    /// The connection's task: writes what waits as far as the line takes it.
    fn go_on(&self, counters: &LinkCounters) -> io::Result<()> {
        let mut line = self.line.lock();
        match &mut *line {
            Line::Up(writer) => self.write(writer, counters),
            Line::Down => Ok(()),
            broken => {
                let Line::Broken(error) = std::mem::replace(broken, Line::Down) else { return Ok(()) };
                Err(error)
            }
        }
    }

    /// Until nothing waits, or until the socket is full: then the task is woken when it takes more.
    fn write(&self, writer: &mut FrameWriter, counters: &LinkCounters) -> io::Result<()> {
        let mut context = Context::from_waker(&self.waker);
        while let Poll::Ready(sent) = writer.poll_send(&mut context) {
            sent?;
            let Some(frame) = self.next_frame(counters) else { break };
            writer.push(&frame);
        }
        Ok(())
    }

    /// As many messages as a frame should have.
    fn next_frame(&self, counters: &LinkCounters) -> Option<PeerFrame> {
        let mut waiting = self.waiting.lock();
        let (mut bytes, mut count) = (0, 0);
        while let Some(more) = waiting.messages.get(count).map(frame::weight)
            && (count == 0 || bytes + more <= frame::FRAME_BYTES_SOFT)
        {
            bytes += more;
            count += 1;
        }
        let clients: Vec<ClientConnections> = waiting.clients.pop_front().into_iter().collect();
        let hardware = waiting.hardware.take();
        if count == 0 && clients.is_empty() && hardware.is_none() {
            return None;
        }
        bytes += clients.iter().map(frame::weight_of_clients).sum::<usize>();
        let messages: Vec<PeerMessage> = waiting.messages.drain(..count).collect();
        waiting.bytes -= bytes;
        drop(waiting);
        let add = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Ordering::Relaxed);
        add(&counters.frames_sent, 1);
        add(&counters.messages_sent, messages.len() as u64);
        add(&counters.bytes_sent, bytes as u64);
        Some(PeerFrame { messages, clients, hardware })
    }
}

/// Why [`probe`] got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("nobody listens there")]
    NobodyThere,
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unreachable(String),
}

/// Asks the node at this address who it is, without becoming its peer. For `trimaran-node check`.
pub async fn probe(
    cluster: &str,
    from: NodeId,
    speaks: Speaks,
    to: NodeId,
    info: &NodeInfo,
    tls: &PeerTls,
) -> Result<PeerAck, ProbeError> {
    let hello = hello(cluster, from, speaks, to, Purpose::Probe);
    let asked = tokio::time::timeout(HELLO_TIMEOUT, introduce(info, tls, &hello, SILENCE_MAX)).await;
    match asked.unwrap_or_else(|_| Err(Broken::Other("no answer within 3 s".to_owned()))) {
        Ok((_, _, ack)) => Ok(ack),
        Err(Broken::NobodyThere) => Err(ProbeError::NobodyThere),
        Err(Broken::Removed) => Err(ProbeError::Refused(
            "this node was removed from every queue manager; stop it, or give it a new id and add it"
                .to_owned(),
        )),
        Err(Broken::Refused(reason)) => Err(ProbeError::Refused(plain::error(&reason))),
        Err(Broken::Other(reason)) => Err(ProbeError::Unreachable(plain::error(&reason))),
    }
}
