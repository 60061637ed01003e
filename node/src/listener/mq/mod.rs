//! Port 1414: the channels that IBM MQ clients speak, unchanged. The bytes are `trimaran_proto::mq`'s.
//!
//! `socket` is one connection without IO: it negotiates, and gives each conversation its segments. `conversation` is one
//! MQI connection, whose calls become those of a session; `calls` gives them to `objects`, `messages` and `reading`, its parts; `handles` has what is
//! open, `unanswered` what waits, `contexts` whose messages are. `connection` drives a socket and does what takes long elsewhere (`conversion`), and `intake` holds what has
//! come of calls that are not complete, and what is kept of those that are. `terms` says who answers, `convert`, `attributes` and
//! `extension` know every field.
//!
//! ```text
//! bytes → socket → conversation → Ask → the replica
//!   out ← socket ← conversation ← completion
//! ```
//!
//! Not served, and answered with 2298: topics and subscriptions (MQSUB, MQSUBRQ), distribution lists, segments of messages,
//! marks of browses. XA is answered XAER_RMFAIL.

mod async_puts;
mod attributes;
mod calls;
mod connection;
mod contexts;
mod conversation;
mod conversion;
mod convert;
mod desk;
mod extension;
mod handles;
mod intake;
mod messages;
mod negotiation;
mod objects;
mod reading;
mod socket;
mod stat;
mod terms;
mod unanswered;
mod waits;

#[cfg(test)]
mod socket_test;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

pub use self::conversion::{Conversion, Converted};
pub use self::desk::Ask;
pub use self::socket::Socket;
pub use self::terms::Terms;

use self::connection::{Driver, unique};
use self::waits::Waits;
use super::gate::Gate;
use super::serving::find_served;
use super::{Accepted, Listener};

/// Serves the queue manager of `terms` until `shutdown`, then ends all connections. `incoming` gives connections after
/// TLS, with TCP_NODELAY set; where it ends before, it is dropped, and who is connected stays for as long as they like.
pub async fn serve<IO>(
    listener: Listener,
    terms: Terms,
    incoming: impl Stream<Item = io::Result<Accepted<IO>>>,
    shutdown: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let gate = Gate::new(&listener);
    let terms = Arc::new(terms);
    let (close, closing) = tokio::sync::watch::channel(false);
    let waits = Waits::default();
    let mut connections = JoinSet::new();
    let mut incoming = Some(Box::pin(incoming));
    let mut shutdown = std::pin::pin!(shutdown);
    while incoming.is_some() || !connections.is_empty() {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = next(&mut incoming) => accepted,
        };
        let io = match accepted {
            None => {
                incoming = None;
                continue;
            }
            Some(Ok(accepted)) => accepted,
            Some(Err(_)) => {
                // Out of file descriptors, mostly: asking again at once would only keep a core busy.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Some(io) = io.counted(&listener, &gate) else { continue };
        let socket = socket(&listener, &terms);
        let driver = Driver::new(listener.clone(), gate.clone(), io, socket, &waits);
        let mut closing = closing.clone();
        connections.spawn(driver.run(async move {
            let _ = closing.wait_for(|closing| *closing).await;
        }));
    }
    close.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(listener.limits.grace, ended).await;
}

/// The next one of those who still come.
async fn next<S: Stream + Unpin>(incoming: &mut Option<S>) -> Option<S::Item> {
    match incoming {
        Some(incoming) => incoming.next().await,
        None => std::future::pending().await,
    }
}

/// A new socket, which refuses everybody where the queue manager is not served: a client with a list of addresses goes on
/// to the next.
fn socket(listener: &Listener, terms: &Arc<Terms>) -> Socket {
    let refusal = match find_served(listener, terms.queue_manager.as_str()) {
        Ok(_) => None,
        Err(unserved) => Some(negotiation::status_of(unserved.refusal.reason)),
    };
    let mut salt = [0; 12];
    salt[..8].copy_from_slice(&unique().to_le_bytes());
    salt[8..].copy_from_slice(&unique().to_le_bytes()[..4]);
    Socket::new(terms.clone(), unique() as u32 >> 12, salt, refusal)
}
