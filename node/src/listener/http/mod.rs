//! For machines that watch machines: health and metrics over plain HTTP, on every node, at all times.

mod health;
mod metrics;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::routing::get;
use futures::{Stream, StreamExt};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::warn;

use super::guarded::Guarded;
use super::patience::Patience;
use super::{Client, Listener};
use crate::metrics::{Page, Shown};
use crate::types::ObjectName;

/// Monitors of one node at the same time; with one more the oldest that asks for metrics loses its connection, or else the
/// oldest that says nothing, or else the oldest of all. A probe is answered in a millisecond: what is old then is idle or does not read.
const CONNECTIONS_MAX: usize = 64;
/// Whoever says nothing is not told to go before: 1,000 that only connect keep the next one out for 0.8 s.
const SPEAKS_WITHIN: Duration = Duration::from_millis(50);
/// Where all of them have just come, the next one waits until that is seen again.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A monitor has so long to say what it wants.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
/// And so long to take the answer, all of it.
const ANSWER_PATIENCE: Patience = Patience::once(Duration::from_secs(10));
const METRICS: &str = "/metrics";
/// Pages of metrics that are made at the same time; whoever asks for one more waits, for longer than they took.
const PAGES_MAX: usize = 2;

/// Adds what other parts of the node know to a page of metrics: log, store, peers, disks.
/// Given the names of the queue managers, for what IBM MQ has by queue manager.
pub type Source = Arc<dyn Fn(&mut Page, &[ObjectName]) + Send + Sync>;

#[derive(Clone)]
struct Watched {
    listener: Listener,
    sources: Arc<[Source]>,
    /// The queues that have lines of their own.
    shown: Arc<Shown>,
    pages: Arc<Semaphore>,
    /// One at a time is written: the queue managers need the processors, too.
    writing: Arc<Semaphore>,
}

/// What a monitor asked for last. Where room has to be made, whoever asks for pages goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Metrics,
    Nothing,
    Health,
}

/// A monitor that is connected.
struct Monitor {
    task: AbortHandle,
    since: Instant,
    last: Arc<Mutex<Last>>,
}

/// Notes what a monitor asked for last.
struct Noting {
    router: TowerToHyperService<Router>,
    last: Arc<Mutex<Last>>,
}

impl Service<Request<Incoming>> for Noting {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        *self.last.lock() = if request.uri().path() == METRICS { Last::Metrics } else { Last::Health };
        self.router.call(request)
    }
}

/// One of many monitors makes room: who asks for health beside a crowd that asks for pages and does not read them, or that says
/// nothing, is not told to go for it. False when it has just come, and what it wants may be on its way.
fn make_room(monitors: &mut VecDeque<Monitor>) -> bool {
    let turns = monitors.iter().map(|monitor| *monitor.last.lock()).enumerate();
    let Some((last, index)) = turns.map(|(index, last)| (last, index)).min() else { return true };
    if last == Last::Nothing && monitors[index].since.elapsed() < SPEAKS_WITHIN {
        return false;
    }
    monitors.remove(index).expect("it is there").task.abort();
    true
}

/// `/health/live`, `/health/ready`, `/health/active`, `/health/active/QMNAME`, `/metrics`.
pub fn router(listener: Listener, sources: Vec<Source>, shown: Shown) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/active", get(health::active))
        .route("/health/active/{queue_manager}", get(health::active_for))
        .route(METRICS, get(metrics::page))
        .with_state(Watched {
            listener,
            sources: sources.into(),
            shown: Arc::new(shown),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            writing: Arc::new(Semaphore::new(1)),
        })
}

/// Serves until `shutdown`. `incoming` gives connections after TLS, if there is any.
pub async fn serve<IO>(
    incoming: impl Stream<Item = io::Result<IO>>,
    listener: Listener,
    sources: Vec<Source>,
    shown: Shown,
    shutdown: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = router(listener.clone(), sources, shown);
    let mut monitors: VecDeque<Monitor> = VecDeque::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut incoming = std::pin::pin!(incoming);
    loop {
        let accepted = tokio::select! {
            accepted = incoming.next() => accepted,
            () = &mut shutdown => return,
        };
        let connection = match accepted {
            None => return,
            Some(Ok(connection)) => connection,
            Some(Err(error)) => {
                warn!(%error, "a monitor could not connect");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        monitors.retain(|monitor| !monitor.task.is_finished());
        while monitors.len() >= CONNECTIONS_MAX && !make_room(&mut monitors) {
            tokio::time::sleep(LOOK_EVERY).await;
            monitors.retain(|monitor| !monitor.task.is_finished());
        }
        let last = Arc::new(Mutex::new(Last::Nothing));
        let router = TowerToHyperService::new(router.clone());
        let service = Noting { router, last: last.clone() };
        let hang_ups = listener.hang_ups.clone();
        let connection = Guarded::new(connection, Client::default(), hang_ups, ANSWER_PATIENCE);
        let task = tokio::spawn(async move {
            // A monitor that hangs up in the middle is no news.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
        monitors.push_back(Monitor { task: task.abort_handle(), since: Instant::now(), last });
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tokio_stream::wrappers::TcpListenerStream;
    use tower::ServiceExt;

    use super::*;
    use crate::listener::Limits;
    use crate::listener::grpc::testing::{FakeNode, fake_node, follower, serving, serving_for};
    use crate::metrics::catalog;

    async fn ask(node: &FakeNode, path: &str) -> (StatusCode, String) {
        let source: Source = Arc::new(|page, _| page.add(&catalog::DISK_FREE, &[("directory", "log")], 7.0));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response =
            router(node.listener.clone(), vec![source], Shown::default()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn active_replica_and_not_ready_are_told_apart() {
        let node = fake_node(Limits::default(), serving());
        for (role, state, ready, active) in [
            (serving(), "active", 200, 200),
            (follower(Some(2)), "replica", 200, 503),
            (follower(None), "not-ready", 503, 503),
        ] {
            node.publisher.role.send(role).unwrap();
            let (code, body) = ask(&node, "/health/ready").await;
            assert_eq!(code, ready);
            let report: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((&report["state"], &report["queue_managers"]["QM"]), (&state.into(), &state.into()));
            assert_eq!(ask(&node, "/health/active").await.0, active);
            assert_eq!(ask(&node, "/health/live").await.0, 200);
        }
        node.publisher.role.send(serving()).unwrap();
        assert_eq!(ask(&node, "/health/active/QM").await.0, 200);
        let (code, body) = ask(&node, "/health/active/NOSUCH").await;
        assert!(code == 404 && !body.contains("\"state\"") && body.contains("has QM"), "{code} {body}");
        node.stopping.send(true).unwrap();
        assert_eq!(ask(&node, "/health/ready").await.0, 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_whose_lease_is_over_is_neither_active_nor_ready() {
        let node = fake_node(Limits::default(), serving_for(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(ask(&node, "/health/active").await.0, 200);
        // Its queue manager has no turn in which it could say so.
        tokio::time::advance(Duration::from_millis(1)).await;
        for path in ["/health/active", "/health/active/QM", "/health/ready"] {
            assert_eq!(ask(&node, path).await.0, 503, "{path}");
        }
        let (_, page) = ask(&node, "/metrics").await;
        assert!(page.contains("trimaran_role{queue_manager=\"QM\",role=\"no-quorum\"} 1"), "{page}");
        node.publisher.role.send(serving_for(Duration::from_secs(1))).unwrap();
        assert_eq!(ask(&node, "/health/active").await.0, 200);
    }

    #[tokio::test]
    async fn metrics_are_there_on_every_node() {
        let node = fake_node(Limits::default(), follower(Some(2)));
        let (code, text) = ask(&node, "/metrics").await;
        assert_eq!(code, 200);
        for line in [
            "trimaran_role{queue_manager=\"QM\",role=\"replica\"} 1",
            "trimaran_queue_manager_answers{queue_manager=\"QM\"} 1",
            "trimaran_disk_free_bytes{directory=\"log\"} 7",
            "trimaran_session_streams 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    /// Serves what comes in here.
    fn served(
        listener: &Listener,
    ) -> tokio::sync::mpsc::UnboundedSender<std::io::Result<tokio::io::DuplexStream>> {
        let (connections, incoming) = tokio::sync::mpsc::unbounded_channel();
        let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
        tokio::spawn(serve(incoming, listener.clone(), Vec::new(), Shown::default(), std::future::pending()));
        connections
    }

    #[tokio::test]
    async fn monitors_that_do_not_read_keep_nobody_from_asking() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let node = fake_node(Limits::default(), serving());
        let connections = served(&node.listener);
        // Before all of them, and slower than they are.
        let (mut near, far) = tokio::io::duplex(64);
        connections.send(Ok(far)).unwrap();
        let mut stuck = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            let (mut near, far) = tokio::io::duplex(64);
            connections.send(Ok(far)).unwrap();
            near.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            stuck.push(near);
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
        near.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        // The first of them made room.
        let mut end = Vec::new();
        stuck[0].read_to_end(&mut end).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_makes_no_room() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let node = fake_node(Limits::default(), serving());
        let connections = served(&node.listener);
        let connect = || {
            let (near, far) = tokio::io::duplex(4096);
            connections.send(Ok(far)).unwrap();
            near
        };
        // A probe whose request is on its way, and a crowd that connects and says nothing.
        let mut probe = connect();
        let crowd: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
        tokio::time::sleep(SPEAKS_WITHIN / 2).await;
        probe.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        probe.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        // The last one has its turn in the place of the first that still says nothing; the probe asks again.
        tokio::time::sleep(SPEAKS_WITHIN).await;
        let mut ends = crowd.into_iter();
        let mut end = Vec::new();
        ends.next().unwrap().read_to_end(&mut end).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        probe.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut more = [0; 4096];
        assert!(probe.read(&mut more).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn the_port_answers_until_it_is_told_to_stop() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let node = fake_node(Limits::default(), serving());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(serve(
            TcpListenerStream::new(socket),
            node.listener.clone(),
            Vec::new(),
            Shown::default(),
            async {
                let _ = stopped.await;
            },
        ));
        let mut monitor = tokio::net::TcpStream::connect(address).await.unwrap();
        monitor
            .write_all(b"GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        monitor.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"state\":\"active\""),
            "{answer}"
        );
        stop.send(()).unwrap();
        served.await.unwrap();
    }
}
