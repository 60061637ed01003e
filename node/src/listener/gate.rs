//! Who comes in: connections and sessions are counted, and let in while there is a place, the node does not stop and the
//! client has a user. Who somebody is was found out before ([`Client`]); whether that user may connect, and over which channel, is decided by
//! the mind (`replica/admission.rs`, `channels.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::Client;
use super::connected::{Connected, Noted};
use super::counters::{Counters, add, subtract};
use super::node::Listener;
use crate::types::account::CONNECTION_BYTES;
use crate::types::{Account, Ends, Held, Reason, Share};

/// Places of each port when all others are taken: for single calls of administrators, and to tell programs why they are not let in.
/// Nobody has one for longer than [`RESERVED_FOR`].
const RESERVED: usize = 32;
pub const RESERVED_FOR: Duration = Duration::from_secs(10);

/// A connection that is counted, for as long as it lasts.
#[derive(Debug)]
pub struct ConnectionSlot {
    /// It has one of the places that are kept for administrators: programs are told so.
    pub is_reserved: bool,
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
    reserved: Arc<Semaphore>,
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
    /// 2025.
    #[error(
        "{} All places for connections of this node, or the memory for them, are taken (limits.connections, limits.memory_bytes): end \
         programs that connect and do not disconnect.",
        Reason::MaxConnsLimitReached.text()
    )]
    Crowded,
}

impl Gate {
    pub fn new(listener: &Listener) -> Gate {
        Gate {
            connections: listener.connections.clone(),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            sessions: listener.sessions.clone(),
            sessions_max: listener.limits.sessions_max,
            stopping: listener.node.stopping.clone(),
            counters: listener.counters.clone(),
            account: listener.account.clone(),
            connected: listener.connected.clone(),
        }
    }

    /// Counts a connection, and notes its ends; None when there are too many, and nothing is left of what is reserved.
    pub fn count(&self, ends: Option<Ends>) -> Option<ConnectionSlot> {
        let permit = self.connections.clone().try_acquire_owned().ok();
        let mut held = Held::nothing(self.account.clone(), Share::Connections);
        let free = permit.filter(|_| held.grow(CONNECTION_BYTES));
        let is_reserved = free.is_none();
        match free.or_else(|| self.reserved.clone().try_acquire_owned().ok()) {
            Some(permit) => {
                held.set(CONNECTION_BYTES);
                add(&self.counters.connections, 1);
                let noted = ends.map(|ends| self.connected.note(ends));
                Some(ConnectionSlot {
                    is_reserved,
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

    /// The same of a program: where only places are left that are kept for administrators, it has none.
    pub fn admit_program(&self, client: Client) -> Result<Admission, NotAdmitted> {
        let is_crowded = client.is_crowded;
        let admission = self.admit(client)?;
        if is_crowded {
            add(&self.counters.sessions_refused, 1);
            return Err(NotAdmitted::Crowded);
        }
        Ok(admission)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::grpc::testing::{fake_node, serving};
    use crate::listener::{Accepted, Limits};

    #[tokio::test(start_paused = true)]
    async fn a_full_node_says_so_to_programs_and_has_places_for_administrators() {
        use tokio::io::AsyncReadExt;

        let node = fake_node(Limits::default(), serving());
        let gate = Gate::new(&node.listener);
        let account = &node.listener.account;
        let full = account.limit(Share::Connections) - account.used(Share::Connections);
        assert!(account.take(Share::Connections, full));
        let (near, far) = tokio::io::duplex(24);
        let mut io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).expect("a place");
        let refused = gate.admit_program(io.client().clone()).unwrap_err();
        assert_eq!(refused, NotAdmitted::Crowded);
        assert!(refused.to_string().starts_with(Reason::MaxConnsLimitReached.text()), "{refused}");
        assert!(gate.admit(io.client().clone()).is_ok(), "an administrator is let in");

        let others: Vec<_> = (1..RESERVED).map(|_| gate.count(None).expect("a place")).collect();
        assert!(gate.count(None).is_none() && Gate::new(&node.listener).count(None).is_some());
        let began = tokio::time::Instant::now();
        assert!(io.read_u8().await.is_err());
        assert_eq!(began.elapsed(), RESERVED_FOR, "nobody keeps such a place");
        drop((io, far));
        assert!(gate.count(None).is_some_and(|slot| slot.is_reserved));
        drop(others);

        account.give(Share::Connections, full);
        assert!(gate.count(None).is_some_and(|slot| !slot.is_reserved));
        assert!(gate.admit_program(Client::default()).is_ok());
    }
}
