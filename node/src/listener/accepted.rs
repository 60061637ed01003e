//! A client's connection as the acceptor gives it: bytes (after TLS, if there is any), who is at the other end, and which
//! of the machine's addresses it came to.

use std::net::SocketAddr;

use super::client::Client;
use super::gate::Gate;
use super::guarded::Guarded;
use super::node::Listener;
use crate::types::Ends;

/// An accepted connection with its [`Client`].
#[derive(Debug)]
pub struct Accepted<IO> {
    io: IO,
    client: Client,
    local: Option<SocketAddr>,
}

impl<IO> Accepted<IO> {
    pub fn new(io: IO, client: Client) -> Accepted<IO> {
        Accepted { io, client, local: None }
    }

    /// The address that it came to.
    pub fn at(self, local: Option<SocketAddr>) -> Accepted<IO> {
        Accepted { local, ..self }
    }

    /// The connection as it is served, counted while it lasts; None when there are too many.
    pub fn counted(self, listener: &Listener, gate: &Gate) -> Option<Guarded<IO>> {
        let ends = self.local.zip(self.client.address).map(|(local, client)| Ends::new(local, client));
        let slot = gate.count(ends)?;
        let hang_ups = listener.hang_ups.clone();
        let client = self.client.with_place(slot.is_reserved);
        Some(Guarded::new(self.io, client, hang_ups, listener.limits.patience()).counted(slot))
    }
}
