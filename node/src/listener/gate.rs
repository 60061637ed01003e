//! Who comes in: connections and sessions are counted, and let in while there is a place, the node does not stop and the
//! client has a user. Who somebody is was found out before ([`Client`]); whether that user may connect, and over which channel, is decided by
//! the mind (`replica/admission.rs`, `channels.rs`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::Client;
use super::connected::{Connected, Noted};
use super::counters::{Counters, add, subtract};
use super::node::Listener;
use crate::types::account::CONNECTION_BYTES;
use crate::types::{Account, Ends, Held, Reason, Share};

/// A connection that is counted, for as long as it lasts.
#[derive(Debug)]
pub struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    _held: Held,
    _noted: Option<Noted>,
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
    account: Arc<Account>,
    connected: Arc<Connected>,
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
        Gate {
            connections: listener.connections.clone(),
            sessions: listener.sessions.clone(),
            sessions_max: listener.limits.sessions_max,
            stopping: listener.node.stopping.clone(),
            counters: listener.counters.clone(),
            account: listener.account.clone(),
            connected: listener.connected.clone(),
        }
    }

    /// Counts a connection, and notes its ends; None when there are too many.
    pub fn count(&self, ends: Option<Ends>) -> Option<ConnectionSlot> {
        let permit = self.connections.clone().try_acquire_owned().ok();
        let mut held = Held::nothing(self.account.clone(), Share::Connections);
        match permit.filter(|_| held.grow(CONNECTION_BYTES)) {
            Some(permit) => {
                add(&self.counters.connections, 1);
                let noted = ends.map(|ends| self.connected.note(ends));
                Some(ConnectionSlot {
                    _permit: permit,
                    _held: held,
                    _noted: noted,
                    counters: self.counters.clone(),
                })
            }
            None => {
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
