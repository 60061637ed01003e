//! State transfer: the rows of one queue manager, from our message store to a peer's.
//!
//! ```text
//! sender                                   receiver
//!   number 0: meta, stream, leader_term  →   staging for (sender, stream) is found or begun
//!                                        ←   number n: chunks up to n are on disk
//!   number n+1 …: rows, crc              →   written to the staging
//!                                        ←   number n+1 …
//!   done: rows_total, crc of crcs        →   checked, installed
//!                                        ←   installed
//! ```
//!
//! It has a connection of its own and a limit of bytes a second, so that live traffic does not wait behind it. A
//! break is survived as long as the sender has the snapshot open and still keeps the chunks that were not
//! acknowledged; otherwise it begins again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prost::Message;
use trimaran_proto::replica::v1::peer_hello::Purpose;
use trimaran_proto::replica::v1::{Row, SnapshotAck, SnapshotChunk};

use super::frame::{FrameReader, FrameWriter};
use super::outbound::{self, Broken};
use super::{Link, Peers, SNAPSHOT_SILENCE_MAX};
use crate::consensus::{meta_from_wire, meta_to_wire};
use crate::qmgr::QueueManager;
use crate::replica::Event;
use crate::types::{Held, NodeId, QueueManagerId, Share, SnapshotMeta, Version};

const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that are on their way and may have to be sent again.
const CHUNKS_UNACKNOWLEDGED_MAX: usize = 32;
/// An unfinished staging is thrown away when its sender was silent for so long.
const STAGING_KEPT: Duration = Duration::from_secs(60);
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// Where snapshots come from and go to: the message store. Every call may block on the disk.
pub trait SnapshotStore: Send + Sync + 'static {
    /// The newest flushed state of a queue manager, as it is now; later changes do not show.
    fn open(&self, queue_manager: QueueManagerId) -> Result<Box<dyn SnapshotReader>, String>;
    /// Begins to receive: replaces an unfinished staging of the same queue manager.
    fn begin(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotWriter>, String>;
}

pub trait SnapshotReader: Send {
    fn meta(&self) -> SnapshotMeta;
    fn bytes_estimate(&self) -> u64;
    /// The next rows in key order, about `bytes_max` of them; empty at the end.
    fn next_rows(&mut self, bytes_max: usize) -> Result<Vec<Row>, String>;
}

pub trait SnapshotWriter: Send {
    /// Durable or lost as a whole: only `install` must survive a crash.
    fn write(&mut self, rows: Vec<Row>) -> Result<(), String>;
    /// Puts the rows in the place of the queue manager's state, durably, and loads it. None: the state here is as new,
    /// nothing was done, and the sender can go on behind the snapshot all the same.
    fn install(self: Box<Self>) -> Result<Option<Box<QueueManager>>, String>;
}

/// A snapshot on its way, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTransfer {
    pub queue_manager: QueueManagerId,
    pub peer: NodeId,
    pub sending: bool,
    pub bytes: u64,
    pub bytes_estimate: u64,
    pub running_for: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Transfers {
    running: Mutex<BTreeMap<u64, Arc<Running>>>,
    streams: AtomicU64,
    stagings: Mutex<BTreeMap<(QueueManagerId, NodeId), Staging>>,
}

#[derive(Debug)]
struct Running {
    queue_manager: QueueManagerId,
    peer: NodeId,
    sending: bool,
    bytes: AtomicU64,
    bytes_estimate: AtomicU64,
    begun: Instant,
}

/// What arrived of a snapshot before its stream broke.
struct Staging {
    stream: u64,
    meta: SnapshotMeta,
    writer: Box<dyn SnapshotWriter>,
    number: u64,
    rows: u64,
    crc: u32,
    touched: Instant,
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staging").field("stream", &self.stream).field("number", &self.number).finish()
    }
}

impl Transfers {
    pub fn views(&self) -> Vec<SnapshotTransfer> {
        let view = |running: &Arc<Running>| SnapshotTransfer {
            queue_manager: running.queue_manager,
            peer: running.peer,
            sending: running.sending,
            bytes: running.bytes.load(Ordering::Relaxed),
            bytes_estimate: running.bytes_estimate.load(Ordering::Relaxed),
            running_for: running.begun.elapsed(),
        };
        self.running.lock().values().map(view).collect()
    }

    fn begin(&self, queue_manager: QueueManagerId, peer: NodeId, sending: bool) -> Transfer<'_> {
        let number = self.next_number();
        let running = Arc::new(Running {
            queue_manager,
            peer,
            sending,
            bytes: AtomicU64::new(0),
            bytes_estimate: AtomicU64::new(0),
            begun: Instant::now(),
        });
        self.running.lock().insert(number, running.clone());
        Transfer { transfers: self, number, running }
    }

    fn next_number(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Listed while it lives.
struct Transfer<'a> {
    transfers: &'a Transfers,
    number: u64,
    running: Arc<Running>,
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.transfers.running.lock().remove(&self.number);
    }
}

impl Peers {
    /// Sends the newest flushed state to a peer; answered by `SnapshotSent` to the queue manager's inbox.
    pub fn send_snapshot(self: &Arc<Self>, queue_manager: QueueManagerId, to: NodeId, leader_term: u64) {
        let peers = self.clone();
        tokio::spawn(async move {
            let arrived = match peers.link(to) {
                None => false,
                Some(link) => match send(&peers, &link, queue_manager, leader_term).await {
                    Ok(bytes) => {
                        tracing::info!(
                            queue_manager = queue_manager.0,
                            to = to.0,
                            bytes,
                            "snapshot installed by peer"
                        );
                        true
                    }
                    Err(reason) => {
                        tracing::warn!(
                            queue_manager = queue_manager.0,
                            to = to.0,
                            reason,
                            "snapshot not sent"
                        );
                        false
                    }
                },
            };
            if let Some(inbox) = peers.inboxes.get(queue_manager) {
                let _ = inbox.deliver(Event::SnapshotSent { to, arrived }).await;
            }
        });
    }
}

/// The snapshot as the sender goes through it.
struct Sending {
    reader: Box<dyn SnapshotReader>,
    /// Chunks the receiver has not acknowledged, the oldest first.
    unacknowledged: VecDeque<SnapshotChunk>,
    next_number: u64,
    rows: u64,
    crc: u32,
    read_all: bool,
    acknowledged: u64,
}

async fn send(
    peers: &Arc<Peers>,
    link: &Arc<Link>,
    queue_manager: QueueManagerId,
    leader_term: u64,
) -> Result<u64, String> {
    let mut held = Held::nothing(peers.options.account.clone(), Share::Snapshots);
    if !held.grow((CHUNKS_UNACKNOWLEDGED_MAX * CHUNK_BYTES) as u64) {
        return Err("the node's share of memory for snapshots is used up".to_owned());
    }
    let transfer = peers.transfers.begin(queue_manager, link.node, true);
    let store = peers.snapshots.clone();
    let reader = blocking(move || store.open(queue_manager)).await?;
    let meta = reader.meta();
    transfer.running.bytes_estimate.store(reader.bytes_estimate(), Ordering::Relaxed);
    // The start time keeps streams of an earlier process apart.
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let stream = wall.map_or(0, |since| since.as_nanos() as u64) ^ transfer.number;
    tracing::info!(
        queue_manager = queue_manager.0,
        to = link.node.0,
        index = meta.index.0,
        "sending a snapshot"
    );
    let opening = SnapshotChunk {
        meta: Some(meta_to_wire(&meta)),
        stream,
        number: 0,
        bytes_total_estimate: reader.bytes_estimate(),
        leader_term,
        version: peers.version_of(queue_manager).0,
        ..SnapshotChunk::default()
    };
    let mut sending = Sending {
        reader,
        unacknowledged: VecDeque::new(),
        next_number: 1,
        rows: 0,
        crc: 0,
        read_all: false,
        acknowledged: 0,
    };
    let mut progress = Instant::now();
    loop {
        let before = sending.acknowledged;
        let (state, result) = attempt(peers, link, &opening, sending, &transfer.running).await;
        sending = state;
        match result {
            Ok(()) => return Ok(transfer.running.bytes.load(Ordering::Relaxed)),
            Err(Attempt::Final(reason)) => return Err(reason),
            Err(Attempt::Broken(reason)) => {
                if sending.acknowledged > before {
                    progress = Instant::now();
                }
                if progress.elapsed() > SNAPSHOT_SILENCE_MAX || *link.closed.borrow() {
                    return Err(reason);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

enum Attempt {
    /// Worth another try.
    Broken(String),
    Final(String),
}

async fn attempt(
    peers: &Arc<Peers>,
    link: &Arc<Link>,
    opening: &SnapshotChunk,
    mut sending: Sending,
    running: &Running,
) -> (Sending, Result<(), Attempt>) {
    let mut line = match outbound::dial_peer(peers, link, Purpose::Snapshot).await {
        Ok((reader, writer)) => ChunkLine { reader, writer },
        Err(broken) => return (sending, Err(broken.into())),
    };
    let result = match line.send(opening).await {
        Ok(()) => exchange(&mut sending, &mut line, running, peers.options.snapshot_bytes_per_second).await,
        Err(broken) => Err(broken),
    };
    (sending, result)
}

impl From<Broken> for Attempt {
    fn from(broken: Broken) -> Attempt {
        match broken {
            Broken::Refused(sentence) => Attempt::Final(sentence),
            Broken::Removed => Attempt::Broken("it knows that this node was removed".to_owned()),
            Broken::NobodyThere => Attempt::Broken("nobody listens at its address".to_owned()),
            Broken::Other(reason) => Attempt::Broken(reason),
        }
    }
}

/// The connection of one attempt, as the sender has it.
struct ChunkLine {
    reader: FrameReader,
    writer: FrameWriter,
}

impl ChunkLine {
    /// Acknowledgements are small and few: they wait in the socket meanwhile. One that refuses is read all the same.
    async fn send(&mut self, chunk: &SnapshotChunk) -> Result<(), Attempt> {
        let Err(error) = self.writer.send(chunk).await else { return Ok(()) };
        while let Ok(Some(ack)) = self.reader.next::<SnapshotAck>().await {
            if !ack.refused.is_empty() {
                return Err(Attempt::Final(ack.refused));
            }
        }
        Err(Attempt::Broken(error.to_string()))
    }

    async fn next_ack(&mut self, wait: Duration) -> Result<SnapshotAck, Attempt> {
        let ack = tokio::time::timeout(wait, self.reader.next::<SnapshotAck>())
            .await
            .map_err(|_| Attempt::Broken(format!("the peer did not answer for {} s", wait.as_secs())))?
            .map_err(|error| Attempt::Broken(error.to_string()))?
            .ok_or_else(|| Attempt::Broken("the peer ended the stream".to_owned()))?;
        if ack.refused.is_empty() { Ok(ack) } else { Err(Attempt::Final(ack.refused)) }
    }
}

async fn exchange(
    sending: &mut Sending,
    line: &mut ChunkLine,
    running: &Running,
    bytes_per_second: u64,
) -> Result<(), Attempt> {
    let first = line.next_ack(SNAPSHOT_SILENCE_MAX).await?;
    let oldest = sending.unacknowledged.front().map_or(sending.next_number, |chunk| chunk.number);
    if first.number + 1 < oldest || first.number >= sending.next_number {
        return Err(Attempt::Final(format!(
            "the peer has {} chunks and those behind them are not kept any more: it begins anew",
            first.number
        )));
    }
    sending.on_ack(&first);
    for chunk in &sending.unacknowledged {
        line.send(chunk).await?;
    }
    let began = Instant::now();
    let mut sent_bytes = 0u64;
    loop {
        while sending.unacknowledged.len() >= CHUNKS_UNACKNOWLEDGED_MAX || sending.read_all {
            let wait = if sending.read_all { INSTALL_TIMEOUT } else { SNAPSHOT_SILENCE_MAX };
            let ack = line.next_ack(wait).await?;
            sending.on_ack(&ack);
            if ack.installed {
                return Ok(());
            }
        }
        let chunk = sending.read_chunk().await.map_err(Attempt::Final)?;
        let bytes = chunk.rows.iter().map(|row| (row.key.len() + row.value.len()) as u64).sum::<u64>();
        running.bytes.fetch_add(bytes, Ordering::Relaxed);
        line.send(&chunk).await?;
        sent_bytes += bytes;
        let due = Duration::from_secs_f64(sent_bytes as f64 / bytes_per_second.max(1) as f64);
        if let Some(early) = due.checked_sub(began.elapsed()) {
            tokio::time::sleep(early).await;
        }
    }
}

impl Sending {
    fn on_ack(&mut self, ack: &SnapshotAck) {
        while self.unacknowledged.front().is_some_and(|chunk| chunk.number <= ack.number) {
            self.unacknowledged.pop_front();
        }
        self.acknowledged = self.acknowledged.max(ack.number);
    }

    /// The next chunk, kept until it is acknowledged. The last one says `done`.
    async fn read_chunk(&mut self) -> Result<SnapshotChunk, String> {
        struct Ended;
        impl SnapshotReader for Ended {
            fn meta(&self) -> SnapshotMeta {
                unreachable!("the reader is in the blocking call")
            }
            fn bytes_estimate(&self) -> u64 {
                0
            }
            fn next_rows(&mut self, _: usize) -> Result<Vec<Row>, String> {
                Err("an earlier read failed".to_owned())
            }
        }
        let mut reader = std::mem::replace(&mut self.reader, Box::new(Ended));
        let (reader, rows) = blocking(move || {
            let rows = reader.next_rows(CHUNK_BYTES)?;
            Ok((reader, rows))
        })
        .await?;
        self.reader = reader;
        let mut chunk = SnapshotChunk { number: self.next_number, ..SnapshotChunk::default() };
        if rows.is_empty() {
            chunk.done = true;
            chunk.rows_total = self.rows;
            chunk.crc32c = self.crc;
            self.read_all = true;
        } else {
            self.rows += rows.len() as u64;
            chunk.crc32c = rows_crc(&rows);
            self.crc = crc32c::crc32c_append(self.crc, &chunk.crc32c.to_le_bytes());
            chunk.rows = rows;
        }
        self.next_number += 1;
        self.unacknowledged.push_back(chunk.clone());
        Ok(chunk)
    }
}

/// Over the encoded rows, one after the other.
fn rows_crc(rows: &[Row]) -> u32 {
    let mut buffer = Vec::new();
    let mut crc = 0;
    for row in rows {
        buffer.clear();
        row.encode(&mut buffer).expect("a vector grows as needed");
        crc = crc32c::crc32c_append(crc, &buffer);
    }
    crc
}

/// The receiver refuses to go on, and has told the sender why.
pub(super) struct RefusedSnapshot;

/// Receives chunks until the snapshot is installed or the connection breaks. What arrived stays then, for a while.
pub(super) async fn receive(
    peers: &Arc<Peers>,
    from: NodeId,
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
) -> Result<(), RefusedSnapshot> {
    match receive_all(peers, from, reader, writer).await {
        Ok(()) => Ok(()),
        Err(Attempt::Broken(reason)) => {
            tracing::warn!(from = from.0, reason, "the stream of a snapshot broke");
            Ok(())
        }
        Err(Attempt::Final(reason)) => {
            tracing::warn!(from = from.0, reason, "snapshot refused");
            let refused = SnapshotAck { refused: reason, ..SnapshotAck::default() };
            let _ = writer.send(&refused).await;
            Err(RefusedSnapshot)
        }
    }
}

async fn next_chunk(reader: &mut FrameReader) -> Result<SnapshotChunk, Attempt> {
    match tokio::time::timeout(SNAPSHOT_SILENCE_MAX, reader.next()).await {
        Ok(Ok(Some(chunk))) => Ok(chunk),
        Ok(Ok(None)) => Err(Attempt::Broken("the sender ended the stream".to_owned())),
        Ok(Err(error)) => Err(Attempt::Broken(error.to_string())),
        Err(_) => {
            Err(Attempt::Broken(format!("the sender said nothing for {} s", SNAPSHOT_SILENCE_MAX.as_secs())))
        }
    }
}

async fn receive_all(
    peers: &Arc<Peers>,
    from: NodeId,
    reader: &mut FrameReader,
    acks: &mut FrameWriter,
) -> Result<(), Attempt> {
    let opening = next_chunk(reader).await?;
    let meta =
        opening.meta.and_then(meta_from_wire).ok_or_else(|| Attempt::Final("no meta in it".to_owned()))?;
    let queue_manager = meta.queue_manager;
    let Some(inbox) = peers.inboxes.get(queue_manager) else {
        return Err(Attempt::Final(format!(
            "queue manager {queue_manager} is not in this node's cluster file"
        )));
    };
    let spoken = peers.options.speaks.check("the snapshot", Version(opening.version));
    spoken.map_err(|error| Attempt::Final(error.to_string()))?;
    let mut held = Held::nothing(peers.options.account.clone(), Share::Snapshots);
    if !held.grow(2 * CHUNK_BYTES as u64) {
        return Err(Attempt::Broken("the node's share of memory for snapshots is used up".to_owned()));
    }
    let transfer = peers.transfers.begin(queue_manager, from, false);
    transfer.running.bytes_estimate.store(opening.bytes_total_estimate, Ordering::Relaxed);

    let key = (queue_manager, from);
    let kept = {
        let mut stagings = peers.transfers.stagings.lock();
        stagings.retain(|_, staging| staging.touched.elapsed() < STAGING_KEPT);
        stagings.remove(&key).filter(|staging| staging.stream == opening.stream && staging.meta == meta)
    };
    let mut staging = match kept {
        Some(staging) => staging,
        None => {
            tracing::info!(
                queue_manager = queue_manager.0,
                from = from.0,
                index = meta.index.0,
                "receiving a snapshot"
            );
            let (store, begun) = (peers.snapshots.clone(), meta.clone());
            let writer = blocking(move || store.begin(&begun)).await.map_err(Attempt::Final)?;
            let touched = Instant::now();
            Staging {
                stream: opening.stream,
                meta: meta.clone(),
                writer,
                number: 0,
                rows: 0,
                crc: 0,
                touched,
            }
        }
    };
    let mut acknowledge = async |number: u64, installed: bool| {
        let ack = SnapshotAck { stream: opening.stream, number, installed, refused: String::new() };
        acks.send(&ack).await.map_err(|_| Attempt::Broken("the sender is gone".to_owned()))
    };
    let mut result = acknowledge(staging.number, false).await;
    while result.is_ok() {
        let chunk = match next_chunk(reader).await {
            Ok(chunk) => chunk,
            Err(broken) => {
                result = Err(broken);
                break;
            }
        };
        if chunk.number != staging.number + 1 {
            return Err(Attempt::Final(format!("chunk {} came after {}", chunk.number, staging.number)));
        }
        if chunk.done {
            if chunk.rows_total != staging.rows || chunk.crc32c != staging.crc {
                let (sent, here) = (chunk.rows_total, staging.rows);
                return Err(Attempt::Final(format!(
                    "{sent} rows were sent and {here} arrived, or their checksum differs"
                )));
            }
            let rows = staging.rows;
            let state = blocking(move || staging.writer.install()).await.map_err(Attempt::Final)?;
            let Some(state) = state else {
                tracing::info!(
                    queue_manager = queue_manager.0,
                    from = from.0,
                    index = meta.index.0,
                    "a snapshot came late: the state here is as new"
                );
                return acknowledge(chunk.number, true).await;
            };
            tracing::info!(
                queue_manager = queue_manager.0,
                from = from.0,
                index = meta.index.0,
                rows,
                "snapshot installed"
            );
            let installed = Event::SnapshotInstalled { from, term: opening.leader_term, meta, state };
            inbox.deliver(installed).await.map_err(|error| Attempt::Final(error.to_string()))?;
            return acknowledge(chunk.number, true).await;
        }
        if rows_crc(&chunk.rows) != chunk.crc32c {
            return Err(Attempt::Final(format!("chunk {} was damaged on its way", chunk.number)));
        }
        let bytes = chunk.rows.iter().map(|row| (row.key.len() + row.value.len()) as u64).sum::<u64>();
        transfer.running.bytes.fetch_add(bytes, Ordering::Relaxed);
        staging.rows += chunk.rows.len() as u64;
        staging.crc = crc32c::crc32c_append(staging.crc, &chunk.crc32c.to_le_bytes());
        staging.number = chunk.number;
        staging.touched = Instant::now();
        let mut writer = staging.writer;
        staging.writer =
            blocking(move || writer.write(chunk.rows).map(|()| writer)).await.map_err(Attempt::Final)?;
        result = acknowledge(staging.number, false).await;
    }
    peers.transfers.stagings.lock().insert(key, staging);
    result
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(format!("the read or write ended: {error}")))
}
