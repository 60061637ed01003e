//! A peer's stream to us: checks who it is, then turns frames into events of the queue managers they are for.
//!
//! Waiting for a full inbox is the back-pressure: the stream is not read meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::Streaming;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status};
use trimaran_proto::replica::v1::{PeerAck, PeerFrame, SnapshotAck, SnapshotChunk};

use super::frame::{FRAME_BYTES_MAX, FrameCodec, weight};
use super::{Link, PROTOCOL_VERSION, PeerName, Peers, snapshot_stream};
use crate::replica::Event;
use crate::types::{NodeId, QueueManagerId};

const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(5);

/// The gRPC service `trimaran.replica.v1.Peer`.
#[derive(Clone)]
pub struct PeerService {
    peers: Arc<Peers>,
    name: PeerName,
}

impl PeerService {
    pub fn new(peers: Arc<Peers>, name: PeerName) -> PeerService {
        PeerService { peers, name }
    }

    /// Serves until `stopped` resolves, then until the open streams have ended.
    pub async fn serve<I, IO>(self, incoming: I, stopped: impl Future<Output = ()>) -> Result<(), String>
    where
        I: futures::Stream<Item = std::io::Result<IO>>,
        IO: tokio::io::AsyncRead
            + tokio::io::AsyncWrite
            + tonic::transport::server::Connected
            + Send
            + Unpin
            + 'static,
    {
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(super::outbound::WINDOW_BYTES)
            .initial_connection_window_size(2 * super::outbound::WINDOW_BYTES)
            .max_frame_size(256 * 1024)
            .max_concurrent_streams(16)
            .http2_max_header_list_size(16 * 1024)
            .http2_keepalive_interval(Some(Duration::from_secs(2)))
            .http2_keepalive_timeout(Some(Duration::from_secs(4)))
            .add_service(self)
            .serve_with_incoming_shutdown(incoming, stopped);
        server.await.map_err(|error| format!("listener of peers: {error}"))
    }
}

impl NamedService for PeerService {
    const NAME: &'static str = "trimaran.replica.v1.Peer";
}

impl tower::Service<http::Request<Body>> for PeerService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        match request.uri().path() {
            "/trimaran.replica.v1.Peer/Exchange" => Box::pin(async move {
                let codec = FrameCodec::<PeerAck, PeerFrame>::default();
                let mut grpc = Grpc::new(codec).max_decoding_message_size(FRAME_BYTES_MAX);
                Ok(grpc.streaming(Exchange(service), request).await)
            }),
            "/trimaran.replica.v1.Peer/InstallSnapshot" => Box::pin(async move {
                let codec = FrameCodec::<SnapshotAck, SnapshotChunk>::default();
                let mut grpc = Grpc::new(codec).max_decoding_message_size(FRAME_BYTES_MAX);
                Ok(grpc.streaming(Install(service), request).await)
            }),
            _ => Box::pin(async move { Ok(Status::unimplemented("no such call between nodes").into_http()) }),
        }
    }
}

struct Exchange(PeerService);

impl StreamingService<PeerFrame> for Exchange {
    type Response = PeerAck;
    type ResponseStream = ReceiverStream<Result<PeerAck, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<PeerFrame>>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move { service.exchange(request).await })
    }
}

struct Install(PeerService);

impl StreamingService<SnapshotChunk> for Install {
    type Response = SnapshotAck;
    type ResponseStream = ReceiverStream<Result<SnapshotAck, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<SnapshotChunk>>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move { service.install(request).await })
    }
}

impl PeerService {
    async fn exchange(
        &self,
        request: Request<Streaming<PeerFrame>>,
    ) -> Result<Response<ReceiverStream<Result<PeerAck, Status>>>, Status> {
        let shown = (self.name)(request.extensions());
        let mut frames = request.into_inner();
        let hello = first(&mut frames).await?;
        let own = self.peers.options.node;
        if hello.to != own.0 {
            return Err(Status::failed_precondition(format!(
                "this is node {own} and not node {}: the peer addresses of the two are mixed up in the cluster file",
                hello.to
            )));
        }
        if hello.version != PROTOCOL_VERSION {
            return Err(Status::failed_precondition(format!(
                "node {} speaks version {} between nodes and this node version {PROTOCOL_VERSION}: run the same \
                 release on all nodes, or upgrade one release at a time",
                hello.from, hello.version
            )));
        }
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let release = env!("CARGO_PKG_VERSION").to_owned();
        let ack = PeerAck { node: own.0, version: PROTOCOL_VERSION, wall_ms, release };
        let (acks, answers) = mpsc::channel(1);
        // `check` asks this of a running node about itself as well.
        let link = match NodeId(hello.from) {
            from if hello.probe && from == own => {
                self.check_cluster(&hello.cluster)?;
                None
            }
            from => Some(self.check_sender(&hello.cluster, from, shown)?),
        };
        acks.try_send(Ok(ack)).expect("the channel is new and has room for one");
        if let (Some(link), false) = (link, hello.probe) {
            let reading = tokio::spawn(read(self.peers.clone(), link.clone(), frames, acks));
            link.was_up.store(true, Ordering::Relaxed);
            if let Some(older) = link.reader.lock().replace(reading.abort_handle()) {
                older.abort();
            }
            // It is there: no reason to wait with our own attempt.
            if !link.connected.load(Ordering::Relaxed) {
                link.nudge.notify_one();
            }
        }
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn install(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<ReceiverStream<Result<SnapshotAck, Status>>>, Status> {
        let shown = (self.name)(request.extensions());
        let mut chunks = request.into_inner();
        let hello = first(&mut chunks).await?;
        let from = NodeId(hello.from);
        self.check_sender(&hello.cluster, from, shown)?;
        let (acks, answers) = mpsc::channel(16);
        tokio::spawn(snapshot_stream::receive(self.peers.clone(), from, hello, chunks, acks));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    fn check_cluster(&self, cluster: &str) -> Result<(), Status> {
        let own = &self.peers.options.cluster;
        if cluster == own {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this node belongs to cluster {own:?} and not to {cluster:?}: check the peer addresses in the cluster file"
        )))
    }

    /// That the sender is a node of this cluster, and the one it says.
    fn check_sender(&self, cluster: &str, from: NodeId, shown: Option<String>) -> Result<Arc<Link>, Status> {
        self.check_cluster(cluster)?;
        let Some(link) = self.peers.link(from) else {
            if self.peers.known.lock().is_removed(from) {
                return Err(Status::not_found(format!("node {from} was removed from every queue manager")));
            }
            return Err(Status::failed_precondition(format!(
                "node {from} is not known here: it was not added yet (trimaran node add)"
            )));
        };
        let name = link.info.borrow().name.clone();
        match shown {
            Some(shown) if shown != name => Err(Status::permission_denied(format!(
                "node {from} is {name:?} and not {shown:?}, whose certificate was shown"
            ))),
            _ => Ok(link),
        }
    }
}

/// The first message of a stream; who connects and says nothing is not waited for.
async fn first<T>(stream: &mut Streaming<T>) -> Result<T, Status> {
    let message = tokio::time::timeout(FIRST_FRAME_TIMEOUT, stream.message()).await;
    let message = message.map_err(|_| Status::deadline_exceeded("no greeting within 5 s"))?;
    message?.ok_or_else(|| Status::invalid_argument("the stream ended without a greeting"))
}

/// Ends with the stream, or when a newer stream of the same peer takes its place.
async fn read(
    peers: Arc<Peers>,
    link: Arc<Link>,
    mut frames: Streaming<PeerFrame>,
    _acks: mpsc::Sender<Result<PeerAck, Status>>,
) {
    loop {
        match frames.message().await {
            Ok(Some(frame)) => {
                let count = frame.messages.len() as u64;
                link.counters.messages_received.fetch_add(count, Ordering::Relaxed);
                link.counters.bytes_received.fetch_add(weight(&frame.messages) as u64, Ordering::Relaxed);
                for message in frame.messages {
                    let Some(inbox) = peers.inboxes.get(&QueueManagerId(message.queue_manager)) else {
                        continue;
                    };
                    let Some(message) = message.message else { continue };
                    if inbox.deliver(Event::Peer { from: link.node, message }).await.is_err() {
                        return;
                    }
                }
            }
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(peer = link.info.borrow().name, %status, "stream of peer ended");
                break;
            }
        }
    }
    // Perhaps its process died: the other direction finds out.
    link.nudge.notify_one();
}
