//! Who comes in. The one place where a connection gets an identity and a session is let in or refused: rights and
//! channel rules hook in at [`Gate::admit`]; rights to objects hook in where the replica opens them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;

use futures::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counters::{Counters, add, subtract};
use super::limits::Limits;
use super::node::Listener;
use crate::mqi::Identity;
use crate::types::Reason;

/// The other end of a connection, as the acceptor established it.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub address: Option<SocketAddr>,
    pub identity: Identity,
    /// Why it has no sessions, whatever it asks for.
    refusal: Option<Arc<str>>,
    hang_up: Arc<HangUp>,
}

impl Client {
    pub fn new(address: Option<SocketAddr>, identity: Identity) -> Client {
        let identity = Identity { address, ..identity };
        Client { address, identity, refusal: None, hang_up: Arc::default() }
    }

    /// Somebody who is no user, and is told so in this sentence.
    pub fn refused(address: Option<SocketAddr>, sentence: impl Into<Arc<str>>) -> Client {
        Client { refusal: Some(sentence.into()), ..Client::new(address, Identity::default()) }
    }

    /// The same connection, of the user that it says to be. For protocols that say it after they are connected.
    pub fn with_identity(&self, identity: Identity) -> Client {
        Client { identity: Identity { address: self.address, ..identity }, ..self.clone() }
    }

    /// Ends the connection with everything on it.
    pub fn hang_up(&self) {
        self.hang_up.asked.store(true, Relaxed);
        self.hang_up.reader.wake();
    }

    /// Whether the connection is to end; if not, the reader is woken when it is.
    pub fn is_hung_up(&self, reader: &Waker) -> bool {
        self.hang_up.reader.register(reader);
        self.hang_up.asked.load(Relaxed)
    }
}

#[derive(Debug, Default)]
struct HangUp {
    asked: AtomicBool,
    reader: AtomicWaker,
}

/// A connection that is counted, for as long as it lasts.
#[derive(Debug)]
pub struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    counters: Arc<Counters>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        subtract(&self.counters.connections, 1);
    }
}

/// Lets connections and sessions in.
#[derive(Clone, Debug)]
pub struct Gate {
    connections: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    sessions_max: usize,
    stopping: tokio::sync::watch::Receiver<bool>,
    counters: Arc<Counters>,
}

/// A session that was let in; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Admission {
    pub client: Client,
    _place: OwnedSemaphorePermit,
}

/// Why a client has no session. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    #[error("The node is stopping; connect to another one.")]
    Stopping,
    /// 2035.
    #[error("{0}")]
    NoUser(Arc<str>),
    /// 2025.
    #[error("{} The limit is {sessions_max}.", Reason::MaxConnsLimitReached.text())]
    TooMany { sessions_max: usize },
}

impl Gate {
    pub fn new(listener: &Listener) -> Gate {
        let Limits { connections_max, sessions_max, .. } = *listener.limits;
        Gate {
            connections: Arc::new(Semaphore::new(connections_max)),
            sessions: Arc::new(Semaphore::new(sessions_max)),
            sessions_max,
            stopping: listener.node.stopping.clone(),
            counters: listener.counters.clone(),
        }
    }

    /// Counts a connection; None when there are too many.
    pub fn count(&self) -> Option<ConnectionSlot> {
        match self.connections.clone().try_acquire_owned() {
            Ok(permit) => {
                add(&self.counters.connections, 1);
                Some(ConnectionSlot { _permit: permit, counters: self.counters.clone() })
            }
            Err(_) => {
                add(&self.counters.connections_refused, 1);
                None
            }
        }
    }

    /// Decides whether the client may have a session at all.
    pub fn admit(&self, client: Client) -> Result<Admission, NotAdmitted> {
        if *self.stopping.borrow() {
            return Err(NotAdmitted::Stopping);
        }
        if let Some(sentence) = &client.refusal {
            return Err(NotAdmitted::NoUser(sentence.clone()));
        }
        let place = self.sessions.clone().try_acquire_owned().map_err(|_| {
            add(&self.counters.sessions_refused, 1);
            NotAdmitted::TooMany { sessions_max: self.sessions_max }
        })?;
        Ok(Admission { client, _place: place })
    }
}
