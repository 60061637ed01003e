//! The two ends of a client's connection.

use std::net::SocketAddr;

/// Both of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ends {
    /// Of this machine, as the client knows it.
    pub local: SocketAddr,
    /// Of the client, as this machine sees it.
    pub client: SocketAddr,
}

impl Ends {
    /// How many connections through one address other nodes are told of at most, and keep. Clients beyond that are left to
    /// their own timeouts when the address moves.
    pub const TOLD_MAX: usize = 20_000;

    /// A socket of all addresses has clients by IPv4 as IPv6: they are who they are all the same.
    pub fn new(local: SocketAddr, client: SocketAddr) -> Ends {
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let ends = Ends { local: plain(local), client: plain(client) };
        debug_assert_eq!(ends.local.is_ipv4(), ends.client.is_ipv4(), "a connection has one family");
        ends
    }
}
