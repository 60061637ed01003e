//! For machines that watch machines: health and metrics over plain HTTP, on every node, at all times.

mod health;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::warn;

use super::Listener;
use crate::metrics::Page;

/// Monitors of one node at the same time; more wait.
const CONNECTIONS_MAX: usize = 64;
/// A monitor has so long to say what it wants.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);

/// Adds what other parts of the node know to a page of metrics: log, store, peers, disks.
pub type Source = Arc<dyn Fn(&mut Page) + Send + Sync>;

#[derive(Clone)]
struct Watched {
    listener: Listener,
    sources: Arc<[Source]>,
}

/// `/health/live`, `/health/ready`, `/health/active`, `/metrics`.
pub fn router(listener: Listener, sources: Vec<Source>) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/active", get(health::active))
        .route("/metrics", get(metrics::page))
        .with_state(Watched { listener, sources: sources.into() })
}

/// Serves until `shutdown`.
pub async fn serve(
    socket: TcpListener,
    listener: Listener,
    sources: Vec<Source>,
    shutdown: impl Future<Output = ()>,
) {
    let router = router(listener, sources);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let place = places.clone().acquire_owned();
        let accepted = async {
            let place = place.await.expect("the semaphore is never closed");
            (socket.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => return,
        };
        let connection = match accepted {
            Ok((connection, _)) => connection,
            Err(error) => {
                warn!(%error, "a monitor could not connect");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _place = place;
            // A monitor that hangs up in the middle is no news.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}
