//! What a cluster file may say of names and addresses: one rule each for the node that reads it, and for the commands that
//! write it and make certificates for it.

use std::net::{IpAddr, SocketAddr};

/// Characters that the name of a cluster or a node has at most.
pub const NAME_LENGTH_MAX: usize = 48;

/// Whether a cluster or a node can be named so: names go into certificates, directories and log lines.
///
/// # Errors
/// What to write, after `what` and the name.
pub fn check_name(what: &str, name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.') {
        true => Ok(()),
        false => Err(format!(
            "{what} {name:?}: use 1 to {NAME_LENGTH_MAX} of A-Z a-z 0-9 - _ . and begin with no dot"
        )),
    }
}

/// Whether this is `host:port` with a port of 1 to 65535.
///
/// # Errors
/// What to write, after `what` and the address.
pub fn check_address(what: &str, address: &str) -> Result<(), String> {
    let port = address.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
    match port {
        Some((true, Ok(1..))) => Ok(()),
        Some((true, _)) if address.rsplit(':').next().is_some_and(is_number) => {
            Err(format!("{what} = {address:?}: a port is a number from 1 to 65535"))
        }
        _ => Err(format!("{what} = {address:?}: write it as host:port, for example \"127.0.0.1:7101\"")),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether others can reach a node by this `host:port`: `0.0.0.0` and `[::]` are every address of whoever asks.
///
/// # Errors
/// What to write, after `what` and the address.
pub fn check_reachable(what: &str, address: &str) -> Result<(), String> {
    match address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified()) {
        false => Ok(()),
        true => Err(format!(
            "{what} = {address:?} is an address to listen on, and others cannot reach it: write there what they reach this \
             node by, and this one into {what}_listen"
        )),
    }
}

/// The same of a host without a port.
///
/// # Errors
/// What to write.
pub fn check_reachable_host(node: &str, host: &str) -> Result<(), String> {
    match host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        false => Ok(()),
        true => Err(format!(
            "node {node}: {host} is an address to listen on, and others cannot reach it: write what they reach the node by"
        )),
    }
}

/// The first that is there twice.
pub fn twice<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_that_a_cluster_cannot_have_are_refused() {
        for name in ["a", "node-1.example", &"x".repeat(48)] {
            assert_eq!(check_name("cluster", name), Ok(()), "{name}");
        }
        for name in ["", "a b", ".a", "a/b", &"x".repeat(49)] {
            assert!(check_name("cluster", name).is_err(), "{name}");
        }
        for address in ["a:1", "[::1]:65535"] {
            assert_eq!(check_address("peer", address), Ok(()), "{address}");
        }
        for address in ["a", ":1", "a:0", "a:65536", "a:x"] {
            assert!(check_address("peer", address).is_err(), "{address}");
        }
        for address in ["127.0.0.1:99999", "a:0", "[::1]:65536"] {
            let said = check_address("http", address).unwrap_err();
            assert!(said.ends_with("a port is a number from 1 to 65535"), "{said}");
        }
        assert!(check_reachable("peer", "0.0.0.0:1").is_err() && check_reachable("peer", "[::]:1").is_err());
        assert!(check_reachable_host("a", "::").is_err() && check_reachable_host("a", "::1").is_ok());
        assert_eq!((twice(["a", "b", "a"]), twice(["a", "b"])), (Some("a"), None));
    }
}
