//! Breaks the TCP connections that use an address, while it is still there: both ends learn at once that it moves.
//! A client that only waits would not learn it from silence.
//!
//! ```text
//! request  = netlink header (16) | family, protocol, extensions, - (1 each) | states (4) | socket id (48)
//! answer   = netlink header (16) | family, state, timer, retransmits (1 each) | socket id (48) | …
//! socket id = source port (2) | destination port (2) | source (16) | destination (16) | interface (4) | cookie (8)
//! ```

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const ACK: u16 = 4;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const HEADER: usize = 16;
const ID: usize = 48;
/// All states but LISTEN: the ports stay open.
const STATES: u32 = !(1 << 10);

/// Clients that lost their connection come again within milliseconds, so it is looked once more where there were some.
const LOOKS_MAX: usize = 4;

/// How many there were, those included that were made meanwhile.
pub fn destroy_all(address: IpAddr) -> io::Result<usize> {
    let mut count = 0;
    for _ in 0..LOOKS_MAX {
        match destroy(address)? {
            0 => break,
            found => count += found,
        }
    }
    Ok(count)
}

/// How many there were.
fn destroy(address: IpAddr) -> io::Result<usize> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut count = 0;
    for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
        for id in dump(&socket, family)?.into_iter().filter(|id| is_of(id, family, address)) {
            socket.send(&request(DESTROY, REQUEST | ACK, family, &id), 0)?;
            // One that ended meanwhile is as good.
            let _ = socket.recv_from_full()?;
            count += 1;
        }
    }
    Ok(count)
}

fn dump(socket: &Socket, family: u8) -> io::Result<Vec<[u8; ID]>> {
    socket.send(&request(BY_FAMILY, REQUEST | DUMP, family, &[0; ID]), 0)?;
    let mut ids = Vec::new();
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while rest.len() >= HEADER {
            let length = u32::from_ne_bytes(rest[..4].try_into().expect("four bytes")) as usize;
            match u16::from_ne_bytes([rest[4], rest[5]]) {
                DONE | ERROR => return Ok(ids),
                _ => ids.extend(
                    rest.get(HEADER + 4..HEADER + 4 + ID).and_then(|id| <[u8; ID]>::try_from(id).ok()),
                ),
            }
            rest = rest.get(length.next_multiple_of(4).max(HEADER)..).unwrap_or_default();
        }
    }
}

fn request(kind: u16, flags: u16, family: u8, id: &[u8; ID]) -> Vec<u8> {
    let length = HEADER + 8 + ID;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, sender
    bytes.extend([family, libc::IPPROTO_TCP as u8, 0, 0]);
    bytes.extend(STATES.to_ne_bytes());
    bytes.extend(id);
    bytes
}

fn is_of(id: &[u8; ID], family: u8, address: IpAddr) -> bool {
    let source: [u8; 16] = id[4..20].try_into().expect("sixteen bytes");
    match address {
        IpAddr::V4(address) if i32::from(family) == libc::AF_INET => source[..4] == address.octets(),
        // A socket that listens for both has it in this form.
        IpAddr::V4(address) => Ipv6Addr::from(source) == address.to_ipv6_mapped(),
        IpAddr::V6(address) => i32::from(family) == libc::AF_INET6 && Ipv6Addr::from(source) == address,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_of_an_address_are_told_from_others() {
        // An address of loopback that no other test uses. Where this may not be done, nothing is broken.
        let address: IpAddr = "127.77.16.1".parse().unwrap();
        let listener = TcpListener::bind((address, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _server = listener.accept().unwrap();
        assert_eq!(destroy("127.77.16.2".parse().unwrap()).unwrap_or(0), 0);
        match destroy(address) {
            Ok(0) | Err(_) => {}
            Ok(_) => assert!(client.read(&mut [0]).is_err(), "the client learns it"),
        }
        drop(listener);
    }
}
