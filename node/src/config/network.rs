//! Names and addresses of the network, as they stand in the file.

use std::net::{SocketAddr, ToSocketAddrs};

/// Whether every address that the name stands for stays on this machine. A name that nobody knows does not.
pub fn is_loopback(address: &str) -> bool {
    match resolve(address) {
        Ok(addresses) => addresses.iter().all(|address| address.ip().is_loopback()),
        Err(_) => false,
    }
}

/// The addresses that `host:port` stands for; at least one.
pub fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let addresses: Vec<SocketAddr> = match address.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(format!("{address}: {error}; write it as host:port and check the name")),
    };
    if addresses.is_empty() { Err(format!("{address}: the name has no address")) } else { Ok(addresses) }
}
