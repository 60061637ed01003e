//! A peer's connection to us: checks who it is, then turns frames into events of the queue managers they are for.
//!
//! Waiting for a full inbox is the back-pressure: the connection is not read meanwhile.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use trimaran_proto::replica::v1::peer_ack::Refusal;
use trimaran_proto::replica::v1::peer_hello::Purpose;
use trimaran_proto::replica::v1::{PeerAck, PeerFrame, PeerHello};

use super::frame::{self, FrameReader, FrameWriter, weight};
use super::{Link, Peers, hardware, snapshot_stream};
use crate::replica::Event;
use crate::types::{NodeId, QueueManagerId, Speaks, Version};

const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A frame that is not complete after twice this long is none.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);
/// Connections that have not said who they are; with one more the oldest of them ends.
const STRANGERS_MAX: usize = 32;
/// Whoever was refused is given so long to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that somebody made to the peers' port.
pub struct Accepted<IO> {
    pub io: IO,
    /// Whose certificate it showed; None without TLS.
    pub shown: Option<String>,
}

/// What listens at the peers' port.
#[derive(Clone)]
pub struct PeerService {
    peers: Arc<Peers>,
}

/// Whoever says nothing for long makes room for those who come after him: nodes say who they are at once.
fn make_room(strangers: &mut VecDeque<(Arc<AtomicBool>, AbortHandle)>) {
    strangers.retain(|(greeted, connection)| !greeted.load(Ordering::Relaxed) && !connection.is_finished());
    if strangers.len() > STRANGERS_MAX
        && let Some((_, oldest)) = strangers.pop_front()
    {
        oldest.abort();
    }
}

/// One of the few connections that bring snapshots from a peer.
struct SnapshotPlace<'a>(&'a Link);

impl SnapshotPlace<'_> {
    fn take(link: &Link, most: usize) -> Option<SnapshotPlace<'_>> {
        let place = SnapshotPlace(link);
        (link.snapshots_heard.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for SnapshotPlace<'_> {
    fn drop(&mut self) {
        self.0.snapshots_heard.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why somebody is not heard.
struct HelloRefused(Refusal, String);

impl HelloRefused {
    fn because(sentence: String) -> HelloRefused {
        HelloRefused(Refusal::Refused, sentence)
    }
}

impl PeerService {
    pub fn new(peers: Arc<Peers>) -> PeerService {
        PeerService { peers }
    }

    /// Serves until `incoming` ends. Dropped, it ends every connection.
    pub async fn serve<IO>(self, mut incoming: impl futures::Stream<Item = Accepted<IO>> + Unpin)
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let mut strangers = VecDeque::new();
        loop {
            tokio::select! {
                accepted = incoming.next() => match accepted {
                    Some(accepted) => {
                        let greeted = Arc::<AtomicBool>::default();
                        let connection = connections.spawn(self.clone().hear(accepted, greeted.clone()));
                        strangers.push_back((greeted, connection));
                        make_room(&mut strangers);
                    }
                    None => return,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn hear<IO>(self, Accepted { io, shown }: Accepted<IO>, greeted: Arc<AtomicBool>)
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (mut reader, mut writer) = frame::split(io);
        let hello = match tokio::time::timeout(HELLO_TIMEOUT, first(&mut reader)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => return tracing::debug!(%error, "no hello at the peers' port"),
            Err(_) => return tracing::debug!("no hello within 5 s at the peers' port"),
        };
        let judged = self.judge(&hello, shown);
        let refused =
            judged.as_ref().err().map(|HelloRefused(refusal, sentence)| (*refusal, sentence.clone()));
        writer.push_magic();
        if writer.send(&self.ack(refused)).await.is_err() {
            return;
        }
        greeted.store(true, Ordering::Relaxed);
        reader.take_frames_up_to(match hello.purpose() {
            Purpose::Snapshot => frame::CHUNK_FRAME_BYTES_MAX,
            _ => frame::FRAME_BYTES_MAX,
        });
        match (judged, hello.purpose()) {
            (Ok(Some(link)), Purpose::Messages) => self.read(link, reader).await,
            (Ok(Some(link)), Purpose::Snapshot) => {
                let Some(_place) = SnapshotPlace::take(&link, 2 * self.peers.inboxes.all().len()) else {
                    tracing::debug!(peer = link.info.borrow().name, "too many snapshots at the same time");
                    return;
                };
                if snapshot_stream::receive(&self.peers, link.node, &mut reader, &mut writer).await.is_err() {
                    self.part(reader, writer).await;
                }
            }
            _ => self.part(reader, writer).await,
        }
    }

    /// Leaves time to read what was said last.
    async fn part(&self, mut reader: FrameReader, mut writer: FrameWriter) {
        let _ = tokio::time::timeout(FAREWELL, async {
            writer.shut_down().await;
            reader.drain().await;
        })
        .await;
    }

    fn ack(&self, refused: Option<(Refusal, String)>) -> PeerAck {
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let release = env!("CARGO_PKG_VERSION").to_owned();
        let (refusal, sentence) = refused.unwrap_or_default();
        let (node, speaks) = (self.peers.options.node.0, self.peers.options.speaks);
        PeerAck {
            node,
            version: speaks.newest.0,
            oldest_version: speaks.oldest.0,
            wall_ms,
            release,
            refusal: refusal.into(),
            sentence,
        }
    }

    /// The sender's link; None when this node asks itself, which `check` does of a running node.
    fn judge(&self, hello: &PeerHello, shown: Option<String>) -> Result<Option<Arc<Link>>, HelloRefused> {
        let own = self.peers.options.node;
        if hello.to != own.0 {
            return Err(HelloRefused::because(format!(
                "this is node {own} and not node {}: the peer addresses of the two are mixed up in the cluster file",
                hello.to
            )));
        }
        let theirs = Speaks { oldest: Version(hello.oldest_version), newest: Version(hello.version) };
        if let Some(sentence) = self.peers.cannot_talk(NodeId(hello.from), theirs) {
            return Err(HelloRefused::because(sentence));
        }
        if hello.cluster != self.peers.options.cluster {
            return Err(HelloRefused::because(format!(
                "this node belongs to cluster {:?} and not to {:?}: check the peer addresses in the cluster file",
                self.peers.options.cluster, hello.cluster
            )));
        }
        match NodeId(hello.from) {
            from if from == own && hello.purpose() == Purpose::Probe => Ok(None),
            from => {
                let link = self.sender(from, shown)?;
                if hello.purpose() == Purpose::Probe || is_the_one(&link, hello) {
                    return Ok(Some(link));
                }
                let name = link.info.borrow().name.clone();
                Err(HelloRefused::because(format!(
                    "another process says that it is node {name} (id {from}), too, and this node hears that one: there can be one only; \
                     stop the one that should not run, whose directories may be a copy, and give it a name and an id of its own"
                )))
            }
        }
    }

    /// That the sender is a node of this cluster, and the one it says.
    fn sender(&self, from: NodeId, shown: Option<String>) -> Result<Arc<Link>, HelloRefused> {
        let Some(link) = self.peers.link(from) else {
            if self.peers.known.lock().is_removed(from) {
                let sentence = format!("node {from} was removed from every queue manager");
                return Err(HelloRefused(Refusal::Removed, sentence));
            }
            return Err(HelloRefused::because(format!(
                "node {from} is not known here: it was not added yet (trimaran node add)"
            )));
        };
        let name = link.info.borrow().name.clone();
        match shown {
            Some(shown) if shown != name => Err(HelloRefused::because(format!(
                "node {from} is {name:?} and not {shown:?}, whose certificate was shown"
            ))),
            _ => Ok(link),
        }
    }

    /// Until the connection ends, or a newer one of the same peer takes its place.
    async fn read(&self, link: Arc<Link>, mut reader: FrameReader) {
        let (newest, replaced) = oneshot::channel();
        link.was_up.store(true, Ordering::Relaxed);
        drop(link.hearing.lock().replace(newest));
        if *link.closed.borrow() {
            return;
        }
        // It is there: no reason to wait with our own attempt.
        if !link.connected.load(Ordering::Relaxed) {
            link.nudge.notify_one();
        }
        tokio::select! {
            _ = replaced => {}
            ended = self.deliver_all(&link, &mut reader) => {
                if let Err(error) = ended {
                    tracing::debug!(peer = link.info.borrow().name, %error, "the connection of a peer ended");
                }
                // Perhaps its process died: the other direction finds out.
                link.nudge.notify_one();
            }
        }
    }

    async fn deliver_all(&self, link: &Link, reader: &mut FrameReader) -> io::Result<()> {
        let mut patience = pin!(tokio::time::sleep(FRAME_PATIENCE));
        let (mut frames, mut unfinished) = (0u64, None);
        let mut has_misunderstood = false;
        loop {
            let frame = tokio::select! {
                biased;
                frame = reader.next::<PeerFrame>() => frame?,
                () = &mut patience => {
                    // One timer for many frames: it is looked at when it ends, not with every frame.
                    if unfinished == Some(frames) {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "a frame did not come to its end"));
                    }
                    unfinished = reader.is_within_frame().then_some(frames);
                    patience.as_mut().reset(Instant::now() + FRAME_PATIENCE);
                    continue;
                }
            };
            let Some(frame) = frame else { return Ok(()) };
            frames += 1;
            let count = frame.messages.len() as u64;
            link.counters.messages_received.fetch_add(count, Ordering::Relaxed);
            link.counters
                .bytes_received
                .fetch_add(frame.messages.iter().map(weight).sum::<usize>() as u64, Ordering::Relaxed);
            for said in frame.clients {
                if self.peers.inboxes.has(QueueManagerId(said.queue_manager)) {
                    self.peers.clients.hear(link.node, said);
                }
            }
            if let Some(said) = frame.hardware {
                *link.hardware.lock() = hardware::read(&said);
            }
            for message in frame.messages {
                let Some(inbox) = self.peers.inboxes.get(QueueManagerId(message.queue_manager)) else {
                    continue;
                };
                let Some(message) = message.message else {
                    // Whoever speaks a newer version must not say what this one does not have.
                    if !std::mem::replace(&mut has_misunderstood, true) {
                        tracing::warn!(
                            peer = link.info.borrow().name,
                            speaks = %self.peers.options.speaks,
                            "peer says something that this release does not know; run the same release on all nodes"
                        );
                    }
                    continue;
                };
                if inbox.deliver(Event::Peer { from: link.node, message }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether the process that says hello is the one that is heard of its node from now on.
fn is_the_one(link: &Link, hello: &PeerHello) -> bool {
    let is_heard = link.hearing.lock().as_ref().is_some_and(|heard| !heard.is_closed());
    let mut processes = link.processes.lock();
    match hello.purpose() {
        Purpose::Messages => processes.admit(hello.process, is_heard, std::time::Instant::now()),
        _ => !is_heard || !processes.is_second(hello.process),
    }
}

async fn first(reader: &mut FrameReader) -> io::Result<PeerHello> {
    reader.magic().await?;
    reader.next().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
