//! What the interfaces of floating addresses are called on their networks: each node says it of its own, and whoever takes an address
//! that somebody has still knows by it that this is a node, whose lease is over, and not a stranger (`vip/agent.rs`). Where nodes talk over a
//! network of their own the kernel knows none of them on that of the clients.
//!
//! What a peer said last stays true when it is gone: then it is wanted.

use std::collections::BTreeSet;

use bytes::Bytes;
use trimaran_proto::replica::v1 as wire;

/// As a frame of Ethernet has it.
pub type Hardware = [u8; 6];

/// A node has as many interfaces with floating addresses at most, as far as others remember.
const MAX: usize = 64;

pub(super) fn write(own: &BTreeSet<Hardware>) -> wire::Hardware {
    let addresses = own.iter().take(MAX).map(|address| Bytes::copy_from_slice(address));
    wire::Hardware { addresses: addresses.collect() }
}

/// What makes no sense is passed over.
pub(super) fn read(said: &wire::Hardware) -> BTreeSet<Hardware> {
    let read = |address: &Bytes| Hardware::try_from(address.as_ref()).ok();
    said.addresses.iter().take(MAX).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let own = BTreeSet::from([[2, 0, 0, 0, 1, 0], [2, 0, 0, 0, 1, 1]]);
        let mut said = write(&own);
        assert_eq!(read(&said), own);
        said.addresses.insert(0, Bytes::from_static(b"short"));
        said.addresses.push(Bytes::from_static(b"longer than six"));
        assert_eq!(read(&said), own);
        said.addresses = (0..200_u8).map(|last| Bytes::copy_from_slice(&[2, 0, 0, 0, 2, last])).collect();
        assert_eq!(read(&said).len(), MAX, "a peer is not let fill the memory");
    }
}
