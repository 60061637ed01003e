//! Our stream to a peer: connects, stays connected, and tells the queue managers when that changes.
//!
//! *Connected* when the peer acknowledged our greeting, *lost* when the stream broke, *gone* when it broke and the
//! peer's port refuses a new connection: then its process is dead, and nobody has to wait for an election timeout.
//! A closed stream in the other direction counts as a reason to look (`Link::nudge`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tonic::codec::Streaming;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};
use trimaran_proto::replica::v1::{PeerAck, PeerFrame, PeerMessage};

use super::frame::{self, FrameCodec};
use super::{Link, LinkCounters, PeerTls, Peers};
use crate::replica::Event;
use crate::types::{NodeId, NodeInfo};

/// Waits between attempts to connect: at once, then soon, never longer than the last.
const BACKOFF_MS: [u64; 8] = [0, 5, 10, 20, 50, 100, 200, 400];
/// After a refusal in words there is no hurry: somebody has to change something.
const BACKOFF_REFUSED: Duration = Duration::from_secs(1);
/// Who was removed never comes back.
const BACKOFF_REMOVED: Duration = Duration::from_secs(3600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const GREETING_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no stream.
#[derive(Debug)]
enum Broken {
    /// The port refuses connections: nobody listens there.
    NobodyThere,
    /// The peer answered, and wants nothing of us.
    Refused(String),
    /// The peer knows that this node was removed from every queue manager.
    Removed,
    Other(String),
}

pub(super) fn start(peers: Arc<Peers>, node: NodeId, info: NodeInfo) -> Arc<Link> {
    let (frames, queue) = mpsc::channel(super::FRAMES_QUEUED_MAX);
    let link = Arc::new(Link {
        node,
        info: watch::Sender::new(info),
        frames,
        unsent_bytes: AtomicUsize::new(0),
        connected: AtomicBool::new(false),
        was_up: AtomicBool::new(false),
        nudge: Notify::new(),
        counters: LinkCounters::default(),
        refused: Mutex::new(None),
        reader: Mutex::new(None),
        closed: watch::Sender::new(false),
    });
    tokio::spawn(run(peers, link.clone(), queue));
    link
}

async fn run(peers: Arc<Peers>, link: Arc<Link>, queue: mpsc::Receiver<Vec<PeerMessage>>) {
    let mut closed = link.closed.subscribe();
    let queue = Arc::new(tokio::sync::Mutex::new(queue));
    tokio::select! {
        () = keep_connected(&peers, &link, &queue) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    if link.connected.swap(false, Ordering::Relaxed) {
        peers.tell_all(|| Event::PeerLost { node: link.node }).await;
    }
}

async fn keep_connected(
    peers: &Arc<Peers>,
    link: &Arc<Link>,
    queue: &Arc<tokio::sync::Mutex<mpsc::Receiver<Vec<PeerMessage>>>>,
) {
    let mut attempt = 0;
    loop {
        let broken = match open(peers, link, queue).await {
            Ok((acks, alive)) => {
                attempt = 0;
                link.connected.store(true, Ordering::Relaxed);
                link.was_up.store(true, Ordering::Relaxed);
                link.counters.connects.fetch_add(1, Ordering::Relaxed);
                *link.refused.lock() = None;
                tracing::info!(peer = link.info.borrow().name, "connected to peer");
                peers.tell_all(|| Event::PeerConnected { node: link.node }).await;
                let broken = until_broken(link, acks, alive).await;
                link.connected.store(false, Ordering::Relaxed);
                tracing::info!(peer = link.info.borrow().name, reason = ?broken, "connection to peer ended");
                peers.tell_all(|| Event::PeerLost { node: link.node }).await;
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
                peers.tell_all(|| Event::Removed).await;
                wait = BACKOFF_REMOVED;
            }
            Broken::Other(reason) => {
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

/// Connects and greets. The streams are up when this returns.
async fn open(
    peers: &Arc<Peers>,
    link: &Arc<Link>,
    queue: &Arc<tokio::sync::Mutex<mpsc::Receiver<Vec<PeerMessage>>>>,
) -> Result<(Streaming<PeerAck>, Channel), Broken> {
    let info = link.info.borrow().clone();
    let channel = connect(&info.peer_address, &info.name, &peers.tls).await?;
    // Free as soon as the connection before is torn down.
    let mut queue = tokio::time::timeout(GREETING_TIMEOUT, queue.clone().lock_owned())
        .await
        .map_err(|_| Broken::Other("the connection before is still being torn down".to_owned()))?;
    // What was meant for an earlier connection has been repeated by now.
    while let Ok(stale) = queue.try_recv() {
        link.unsent_bytes.fetch_sub(frame::weight(&stale), Ordering::Relaxed);
    }
    let hello = frame::hello(&peers.options.cluster, peers.options.node.0, link.node.0, false);
    let frames = Frames { hello: Some(hello), queue, link: link.clone(), next: None };
    let (acks, _) = tokio::time::timeout(GREETING_TIMEOUT, greet(channel.clone(), frames))
        .await
        .map_err(|_| Broken::Other("the peer did not answer the greeting".to_owned()))??;
    Ok((acks, channel))
}

async fn greet<S>(channel: Channel, frames: S) -> Result<(Streaming<PeerAck>, PeerAck), Broken>
where
    S: Stream<Item = PeerFrame> + Send + 'static,
{
    let mut grpc = tonic::client::Grpc::new(channel)
        .max_decoding_message_size(frame::FRAME_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Broken::Other(chain(&error)))?;
    let path = http::uri::PathAndQuery::from_static("/trimaran.replica.v1.Peer/Exchange");
    let codec = FrameCodec::<PeerFrame, PeerAck>::default();
    let mut acks = grpc.streaming(Request::new(frames), path, codec).await.map_err(refusal)?.into_inner();
    match acks.message().await.map_err(refusal)? {
        Some(ack) => Ok((acks, ack)),
        None => Err(Broken::Other("the peer ended the stream".to_owned())),
    }
}

/// An error with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn refusal(status: Status) -> Broken {
    match status.code() {
        tonic::Code::FailedPrecondition | tonic::Code::PermissionDenied | tonic::Code::Unimplemented => {
            Broken::Refused(status.message().to_owned())
        }
        tonic::Code::NotFound => Broken::Removed,
        _ => {
            let mut reason = status.message().to_owned();
            if let Some(cause) = std::error::Error::source(&status) {
                reason = format!("{reason}: {}", chain(cause));
            }
            // With TLS 1.3 the other end says what it thinks of our certificate only after the handshake.
            match reason.contains("received fatal alert") {
                true => Broken::Refused(reason),
                false => Broken::Other(reason),
            }
        }
    }
}

/// Returns when the stream has ended, or when the other direction ended and nobody listens there any more.
async fn until_broken(link: &Link, mut acks: Streaming<PeerAck>, _alive: Channel) -> Broken {
    loop {
        tokio::select! {
            ack = acks.message() => match ack {
                Ok(Some(_)) => {}
                Ok(None) => return Broken::Other("the peer ended the stream".to_owned()),
                Err(status) => return refusal(status),
            },
            () = link.nudge.notified() => {
                let address = link.info.borrow().peer_address.clone();
                if let Err(Broken::NobodyThere) = dial(&address).await {
                    return Broken::NobodyThere;
                }
            }
        }
    }
}

async fn dial(address: &str) -> Result<TcpStream, Broken> {
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
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(Duration::from_secs(5))
            .with_interval(Duration::from_secs(2))
            .with_retries(3);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)
    };
    options().map_err(|error: io::Error| Broken::Other(error.to_string()))?;
    Ok(stream)
}

/// One HTTP/2 connection to the node of this name.
async fn connect(address: &str, name: &str, tls: &PeerTls) -> Result<Channel, Broken> {
    let tcp = dial(address).await?;
    let stream: Box<dyn Duplex> = match tls(name).map_err(Broken::Other)? {
        None => Box::new(tcp),
        Some(config) => {
            // The name is not looked at: the verifier wants this node's own name in the certificate.
            let server = rustls_pki_types::ServerName::try_from("trimaran").expect("a fixed name");
            let handshake = tokio_rustls::TlsConnector::from(config).connect(server, tcp);
            match tokio::time::timeout(GREETING_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => Box::new(stream),
                // A certificate that one of the two does not like; everything else is the line's fault.
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(Broken::Refused(format!("TLS with {address}: {error}")));
                }
                Ok(Err(error)) => return Err(Broken::Other(format!("TLS with {address}: {error}"))),
                Err(_) => return Err(Broken::Other(format!("TLS with {address} took too long"))),
            }
        }
    };
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    Endpoint::from_static("http://peer.trimaran")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(4))
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| Broken::Other(format!("{address}: {}", chain(&error))))
}

/// HTTP/2 flow control: large enough that a round trip over a long line does not slow a full stream.
pub(super) const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

pub(super) async fn connect_for_snapshot(peers: &Peers, link: &Link) -> Result<Channel, String> {
    let info = link.info.borrow().clone();
    connect(&info.peer_address, &info.name, &peers.tls).await.map_err(|broken| match broken {
        Broken::NobodyThere => format!("nobody listens at {}", info.peer_address),
        Broken::Removed => "it knows that this node was removed".to_owned(),
        Broken::Refused(reason) | Broken::Other(reason) => reason,
    })
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What one stream sends: the greeting, then what turns had to say, merged while the line is busy.
struct Frames {
    hello: Option<PeerFrame>,
    queue: tokio::sync::OwnedMutexGuard<mpsc::Receiver<Vec<PeerMessage>>>,
    link: Arc<Link>,
    next: Option<Vec<PeerMessage>>,
}

impl Stream for Frames {
    type Item = PeerFrame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PeerFrame>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(hello));
        }
        let mut messages = match self.next.take() {
            Some(messages) => messages,
            None => match self.queue.poll_recv(context) {
                Poll::Ready(Some(messages)) => messages,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            },
        };
        let mut bytes = frame::weight(&messages);
        while let Ok(more) = self.queue.try_recv() {
            let more_bytes = frame::weight(&more);
            if bytes + more_bytes > frame::FRAME_BYTES_SOFT {
                self.next = Some(more);
                break;
            }
            bytes += more_bytes;
            messages.extend(more);
        }
        self.link.unsent_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let counters = &self.link.counters;
        let add = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Ordering::Relaxed);
        add(&counters.frames_sent, 1);
        add(&counters.messages_sent, messages.len() as u64);
        add(&counters.bytes_sent, bytes as u64);
        Poll::Ready(Some(PeerFrame { messages, ..PeerFrame::default() }))
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Some(next) = self.next.take() {
            self.link.unsent_bytes.fetch_sub(frame::weight(&next), Ordering::Relaxed);
        }
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
    to: NodeId,
    info: &NodeInfo,
    tls: &PeerTls,
) -> Result<PeerAck, ProbeError> {
    let hello = frame::hello(cluster, from.0, to.0, true);
    let asked = async {
        let channel = connect(&info.peer_address, &info.name, tls).await?;
        greet(channel, futures::stream::iter([hello])).await
    };
    let answered = tokio::time::timeout(GREETING_TIMEOUT, asked).await;
    match answered.unwrap_or_else(|_| Err(Broken::Other("no answer within 3 s".to_owned()))) {
        Ok((_, ack)) => Ok(ack),
        Err(Broken::NobodyThere) => Err(ProbeError::NobodyThere),
        Err(Broken::Removed) => Err(ProbeError::Refused(
            "this node was removed from every queue manager; stop it, or give it a new id and add it"
                .to_owned(),
        )),
        Err(Broken::Refused(reason)) => Err(ProbeError::Refused(reason)),
        Err(Broken::Other(reason)) => Err(ProbeError::Unreachable(reason)),
    }
}
