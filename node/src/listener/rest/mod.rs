//! The REST API, with IBM MQ's paths: messages, and administration by objects and by MQSC, over HTTP/1.1.
//!
//! What a request wants is found without IO: `path` says which resource, `request` reads method, query and headers, `message` knows every
//! header of a message, `key` makes a producer of an Idempotency-Key, `mqsc` is a command and its answer, `inquiry` (with `filter`) shows queues and
//! other objects, `change` makes, alters and deletes them, `names` is what their attributes are called here, `steps` what all of these have in
//! common, `manager` describes a queue manager, `answer` words what came back, and `problem` every refusal. `intake` takes a body in, `given` gives one out, `dialogue` is the session of a request, `service`
//! drives one request, `connection` one connection. `openapi.json` describes all of it, and a test holds it against the paths.
//!
//! Every request is a session of its own: what it did is done when it is answered. A put with a key is stored once however often it is
//! repeated; a get that is not answered may have taken its message, so that who must not lose one browses first.

mod answer;
mod problem;
mod path;
mod message;
mod key;
mod request;
mod steps;
mod shown;
mod mqsc;
mod names;
mod filter;
mod inquiry;
mod change;
mod manager;
mod intake;
mod given;
mod dialogue;
mod service;
mod connection;

#[cfg(test)]
mod openapi_test;
#[cfg(test)]
mod rest_test;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use self::service::Service;
use super::gate::Gate;
use super::{Accepted, Listener};

/// Where the API of each node is reached, to say it to who asks another one.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `host:port` by the name of the node, where it has one.
    pub addresses: BTreeMap<String, String>,
    /// Whether they speak TLS.
    pub secure: bool,
}

/// Serves until `shutdown`, then answers what is under way and ends. `incoming` gives connections after TLS.
pub async fn serve<IO>(
    listener: Listener,
    places: Places,
    incoming: impl Stream<Item = io::Result<Accepted<IO>>>,
    shutdown: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let gate = Gate::new(&listener);
    let places = Arc::new(places);
    let (close, closing) = tokio::sync::watch::channel(false);
    let mut connections = JoinSet::new();
    let mut incoming = std::pin::pin!(incoming);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = incoming.next() => accepted,
        };
        let accepted = match accepted {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(_)) => {
                // Out of file descriptors, mostly: asking again at once would only keep a core busy.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Some(io) = accepted.counted(&listener, &gate) else { continue };
        let service = Service::new(listener.clone(), gate.clone(), places.clone(), io.client().clone());
        let mut closing = closing.clone();
        connections.spawn(connection::run(io, service, async move {
            let _ = closing.wait_for(|closing| *closing).await;
        }));
    }
    close.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(listener.limits.grace, ended).await;
}
