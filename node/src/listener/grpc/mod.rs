//! The gRPC listener: messages, administration, health and reflection on one port.
//!
//! `conversation` is the dialogue of a session without IO, `session` drives it, `unary` says single calls in a session
//! each, `service` bounds both, `convert` knows every field. Nothing here knows TLS: the acceptor gives connections that
//! are ready.

mod accept;
mod admin;
pub mod conversation;
mod convert;
mod frame;
mod frames;
mod intake;
mod outflow;
mod parts;
mod service;
mod session;
mod unary;

#[cfg(test)]
mod grpc_test;
#[cfg(test)]
pub mod testing;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::layer::util::{Identity, Stack};
use trimaran_proto::admin::v1::admin_server::AdminServer;

pub(in crate::listener) use self::admin::status_of;
pub(in crate::listener) use self::convert::{changed_object, record_action, refresh};
pub use self::convert::{object_details, session_details};

use self::admin::Administration;
use self::frames::Watched;
use self::intake::TakenIn;
use self::outflow::OutflowLayer;
use self::service::QueueService;
use self::unary::Messaging;
use super::gate::Gate;
use super::{Accepted, Listener};
use crate::types::RoleView;

pub use frame::{FRAME_BYTES_MAX, Frame, read_frame};

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service names whose health says whether this node serves a queue manager.
const HEALTH_NAMES: [&str; 2] = ["", trimaran_proto::queue::v1::queue_server::SERVICE_NAME];

/// For what was written last: who is there takes it, and then the connection is closed.
const FAREWELL: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Serves until `shutdown`, then refuses what is new and ends when all connections have, or soon after nothing is under way over any of
/// them, or after the grace that the limits allow. `incoming` gives connections after TLS, with TCP_NODELAY set.
pub async fn serve<IO>(
    listener: Listener,
    incoming: impl Stream<Item = io::Result<Accepted<IO>>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let gate = Gate::new(&listener);
    let reporter = HealthReporter::new();
    let router = router(&listener, gate.clone(), reporter.clone());
    let counting = listener.clone();
    let incoming = incoming.filter_map(move |accepted| {
        let (listener, gate) = (counting.clone(), gate.clone());
        async move {
            match accepted {
                Ok(accepted) => accepted.counted(&listener, &gate).map(|io| Ok(Watched::new(io))),
                Err(error) => {
                    // Out of file descriptors, mostly: asking again at once would only keep a core busy.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Some(Err(error))
                }
            }
        }
    });
    let (stopped, stop) = tokio::sync::oneshot::channel::<()>();
    let served = router.serve_with_incoming_shutdown(incoming, async {
        shutdown.await;
        let _ = stopped.send(());
    });
    tokio::select! {
        served = served => served,
        () = report_health(&listener, &reporter) => Ok(()),
        () = async { let _ = stop.await; farewell(&listener).await } => Ok(()),
    }
}

/// A client that has said nothing, does not answer, or watches health for ever keeps its connection open, and nothing is lost with it.
async fn farewell(listener: &Listener) {
    let nothing_is_left = async {
        while listener.is_busy() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(FAREWELL).await;
    };
    let _ = tokio::time::timeout(listener.limits.grace, nothing_is_left).await;
}

fn router(
    listener: &Listener,
    gate: Gate,
    reporter: HealthReporter,
) -> Router<Stack<OutflowLayer, Identity>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(trimaran_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let account = || listener.account.clone();
    Server::builder()
        .max_concurrent_streams(listener.limits.streams_max)
        // A client whose machine answers and whose program does not is noticed within 15 s, and its unit of work is backed
        // out. One whose machine is gone is noticed sooner (`security/acceptor.rs`).
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .http2_max_pending_accept_reset_streams(Some(64))
        // Thirty-two streams of a connection may stand still before they hold up the others.
        .initial_stream_window_size(512 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024)
        .max_frame_size(64 * 1024)
        .layer(OutflowLayer(listener.backlogs.clone()))
        .add_service(QueueService::new(Messaging::new(listener.clone(), gate.clone())))
        .add_service(TakenIn::calls(AdminServer::new(Administration::new(listener.clone(), gate)), account()))
        .add_service(TakenIn::calls(
            HealthServer::new(HealthService::from_health_reporter(reporter)),
            account(),
        ))
        .add_service(TakenIn::streams(
            reflection().build_v1().expect("our own descriptors are sound"),
            account(),
        ))
        .add_service(TakenIn::streams(
            reflection().build_v1alpha().expect("our own descriptors are sound"),
            account(),
        ))
}

/// Keeps the health service true for as long as it is polled: by the name of each queue manager whether this node serves
/// it, and by the names of [`HEALTH_NAMES`] whether it serves any.
async fn report_health(listener: &Listener, reporter: &HealthReporter) {
    let mut there = listener.node.inboxes.changes();
    let mut told = BTreeMap::<String, bool>::new();
    loop {
        there.mark_unchanged();
        let inboxes = listener.node.inboxes.of_programs();
        let mut roles: Vec<(&str, _)> =
            inboxes.iter().map(|inbox| (inbox.name().as_str(), inbox.published().role.clone())).collect();
        // All of them are looked at, or the ones that were not would count as changed at once.
        let at = (listener.node.clock)();
        let of = |(name, role): &mut (_, watch::Receiver<RoleView>)| {
            (*name, role.borrow_and_update().clone().at(at))
        };
        let seen: Vec<(&str, RoleView)> = roles.iter_mut().map(of).collect();
        // A lease that nobody renews ends without a word.
        let lease_until = seen.iter().filter_map(|(_, role)| role.lease_until()).min();
        let served: Vec<(&str, bool)> = seen.iter().map(|(name, role)| (*name, role.is_serving())).collect();
        let any = served.iter().any(|(_, is_serving)| *is_serving);
        let now: BTreeMap<&str, bool> =
            HEALTH_NAMES.map(|name| (name, any)).into_iter().chain(served).collect();
        for (name, is_serving) in &now {
            // A role is published with every renewal of its lease.
            if told.insert((*name).to_owned(), *is_serving) != Some(*is_serving) {
                let status = if *is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
                reporter.set_service_status(*name, status).await;
            }
        }
        // What was deleted is known no more.
        let gone: Vec<String> =
            told.keys().filter(|name| !now.contains_key(name.as_str())).cloned().collect();
        for name in gone {
            told.remove(&name);
            reporter.clone().clear_service_status(&name).await;
        }
        // A role whose sender is gone never changes again.
        let changes = roles.iter_mut().map(|(_, role)| {
            Box::pin(async move {
                if role.changed().await.is_err() {
                    std::future::pending().await
                }
            })
        });
        let changes: Vec<_> = changes.collect();
        tokio::select! {
            _ = there.changed() => {}
            () = async {
                match lease_until {
                    Some(until) => tokio::time::sleep(until.since(at)).await,
                    None => std::future::pending().await,
                }
            } => {}
            () = async {
                match changes.is_empty() {
                    true => std::future::pending().await,
                    false => drop(futures::future::select_all(changes).await),
                }
            } => {}
        }
    }
}
