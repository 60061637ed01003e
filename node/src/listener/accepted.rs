//! A client's connection as the acceptor gives it: bytes (after TLS, if there is any), and who is at the other end.

use super::client::Client;
use super::gate::Gate;
use super::guarded::Guarded;
use super::node::Listener;

/// An accepted connection with its [`Client`].
#[derive(Debug)]
pub struct Accepted<IO> {
    io: IO,
    client: Client,
}

impl<IO> Accepted<IO> {
    pub fn new(io: IO, client: Client) -> Accepted<IO> {
        Accepted { io, client }
    }

    /// The connection as it is served, counted while it lasts; None when there are too many.
    pub fn counted(self, listener: &Listener, gate: &Gate) -> Option<Guarded<IO>> {
        let slot = gate.count()?;
        let hang_ups = listener.hang_ups.clone();
        Some(Guarded::new(self.io, self.client, hang_ups, listener.limits.patience()).counted(slot))
    }
}
