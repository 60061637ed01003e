//! An address and the network that it belongs to, as cluster files and commands write it: `10.0.0.50/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of IPv4 or IPv6, and the length of its network in bits: 1 to 32, or 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InNetwork {
    /// The address.
    pub ip: IpAddr,
    /// Without one in what was written the address is a network of its own.
    pub prefix: u8,
}

impl InNetwork {
    /// `10.0.0.50/24`, `fd00::50/64`, or an address alone. None for anything else.
    pub fn parse(text: &str) -> Option<InNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().ok()?;
        let most = length_of(ip);
        let prefix = prefix.map_or(Some(most), |prefix| prefix.parse().ok())?;
        (prefix > 0 && prefix <= most).then_some(InNetwork { ip, prefix })
    }

    /// What keeps it from being an address that moves from machine to machine; None where nothing does. Goes on behind the
    /// address.
    pub fn why_not_floating(self) -> Option<String> {
        let InNetwork { ip, prefix } = self;
        debug_assert!(prefix > 0, "all addresses there are, are no network");
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
            return Some(": no address that could move from machine to machine".to_owned());
        }
        if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Some(
                " is link-local: who connects to it would have to say by which interface; write one of a network, for example \
                 \"fd00::50/64\""
                    .to_owned(),
            );
        }
        let role = role_of(ip, prefix)?;
        Some(format!(" is {role} {}: no machine can have it", network_of(ip, prefix)))
    }
}

impl fmt::Display for InNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Bits of an address.
fn length_of(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Whether `other` lies in the network of an address, and is not the address itself.
pub fn is_near(ip: IpAddr, prefix: u8, other: IpAddr) -> bool {
    let is_one_family = ip.is_ipv4() == other.is_ipv4();
    debug_assert!(!is_one_family || prefix <= length_of(ip), "no network is longer than its addresses");
    let shift = |bits: u8| bits.saturating_sub(prefix);
    match (ip, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            a != b && a.to_bits().checked_shr(shift(32).into()) == b.to_bits().checked_shr(shift(32).into())
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            a != b && a.to_bits().checked_shr(shift(128).into()) == b.to_bits().checked_shr(shift(128).into())
        }
        _ => false,
    }
}

/// The network of an address, as people write it.
pub fn network_of(ip: IpAddr, prefix: u8) -> String {
    debug_assert!(prefix <= length_of(ip), "no network is longer than its addresses");
    let first: IpAddr = match ip {
        IpAddr::V4(ip) => {
            Ipv4Addr::from_bits(ip.to_bits() & !u32::MAX.checked_shr(prefix.into()).unwrap_or(0)).into()
        }
        IpAddr::V6(ip) => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::MAX.checked_shr(prefix.into()).unwrap_or(0)).into()
        }
    };
    format!("{first}/{prefix}")
}

/// What an address is in a network of this length, if no machine can have it.
pub fn role_of(ip: IpAddr, prefix: u8) -> Option<&'static str> {
    debug_assert!(prefix <= length_of(ip), "no network is longer than its addresses");
    match ip {
        // A line between two machines has neither.
        IpAddr::V4(_) if prefix > 30 => None,
        IpAddr::V4(ip) => {
            let hosts = u32::MAX >> prefix;
            match ip.to_bits() & hosts {
                0 => Some("the address of the network itself,"),
                host if host == hosts => Some("the broadcast address of the network"),
                _ => None,
            }
        }
        IpAddr::V6(_) if prefix > 126 => None,
        IpAddr::V6(ip) => {
            let is_router_s = ip.to_bits() & (u128::MAX >> prefix) == 0;
            is_router_s.then_some("the address of all routers of the network")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for (text, again) in [
            ("10.0.0.50/24", "10.0.0.50/24"),
            ("10.0.0.50", "10.0.0.50/32"),
            ("fd00:0::50/64", "fd00::50/64"),
            ("fd00::50", "fd00::50/128"),
        ] {
            let address = InNetwork::parse(text).unwrap();
            assert_eq!((address.to_string(), address.why_not_floating()), (again.to_owned(), None));
        }
        for wrong in ["", "10.0.0.50/33", "10.0.0.50/0", "10.0.0/24", "eth0", "10.0.0.50/", "10.0.0.50/24/24"]
        {
            assert_eq!(InNetwork::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_float_is_told_why() {
        for (text, why) in [
            ("127.0.0.2/8", "from machine to machine"),
            ("0.0.0.0", "from machine to machine"),
            ("fe80::50/64", "is link-local"),
            ("10.0.0.255/24", "is the broadcast address of the network 10.0.0.0/24: no machine"),
        ] {
            let said = InNetwork::parse(text).unwrap().why_not_floating().unwrap();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_network_is_called_by_its_first_address() {
        for (ip, prefix, network) in [
            ("10.67.0.255", 24, "10.67.0.0/24"),
            ("10.67.0.50", 32, "10.67.0.50/32"),
            ("10.67.200.1", 17, "10.67.128.0/17"),
            ("fd00:1::50", 64, "fd00:1::/64"),
            ("fd00:1::50", 128, "fd00:1::50/128"),
        ] {
            assert_eq!(network_of(ip.parse().unwrap(), prefix), network);
        }
    }
}
