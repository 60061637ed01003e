//! What is said on the network about an address, byte by byte: ARP (RFC 826, 5227) and neighbour advertisements (RFC 4861).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

type Hardware = [u8; 6];

const EVERYBODY: Hardware = [0xff; 6];
/// ff02::1 on Ethernet.
const ALL_NODES: Hardware = [0x33, 0x33, 0, 0, 0, 1];
const SHORTEST: usize = 60;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// "The address is here", in each form that somebody may want.
pub fn announcements(address: IpAddr, hardware: Hardware) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => vec![
            arp(REQUEST, hardware, address, [0; 6], address),
            arp(REPLY, hardware, address, EVERYBODY, address),
        ],
        IpAddr::V6(address) => vec![advertisement(address, hardware)],
    }
}

/// "Who else has it?", asked without claiming it. None for IPv6.
pub fn probe(address: IpAddr, hardware: Hardware) -> Option<Vec<u8>> {
    match address {
        IpAddr::V4(address) => Some(arp(REQUEST, hardware, Ipv4Addr::UNSPECIFIED, [0; 6], address)),
        IpAddr::V6(_) => None,
    }
}

/// Who claims what in an ARP frame. None for others, and for whoever only asks.
pub fn claim(frame: &[u8]) -> Option<(Hardware, Ipv4Addr)> {
    if frame.len() < 42 || frame[12..20] != [8, 6, 0, 1, 8, 0, 6, 4] {
        return None;
    }
    let sender: [u8; 4] = frame[28..32].try_into().expect("four bytes");
    let hardware: Hardware = frame[22..28].try_into().expect("six bytes");
    let sender = Ipv4Addr::from(sender);
    (!sender.is_unspecified()).then_some((hardware, sender))
}

fn arp(operation: u16, from: Hardware, from_ip: Ipv4Addr, to: Hardware, to_ip: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(SHORTEST);
    frame.extend(EVERYBODY);
    frame.extend(from);
    frame.extend([8, 6]); // ARP
    frame.extend([0, 1, 8, 0, 6, 4]); // of Ethernet and IPv4
    frame.extend(operation.to_be_bytes());
    frame.extend(from);
    frame.extend(from_ip.octets());
    frame.extend(to);
    frame.extend(to_ip.octets());
    frame.resize(SHORTEST, 0);
    frame
}

fn advertisement(address: Ipv6Addr, hardware: Hardware) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut said = vec![136, 0, 0, 0]; // neighbour advertisement, checksum below
    said.extend([0x20, 0, 0, 0]); // override what was known
    said.extend(address.octets());
    said.extend([2, 1]); // target link-layer address, 8 bytes
    said.extend(hardware);
    let length = said.len() as u16;

    let mut summed = Vec::new();
    summed.extend(address.octets());
    summed.extend(all_nodes.octets());
    summed.extend(u32::from(length).to_be_bytes());
    summed.extend([0, 0, 0, 58]);
    summed.extend(&said);
    said[2..4].copy_from_slice(&checksum(&summed).to_be_bytes());

    let mut frame = Vec::new();
    frame.extend(ALL_NODES);
    frame.extend(hardware);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([58, 255]); // ICMPv6, and never from behind a router
    frame.extend(address.octets());
    frame.extend(all_nodes.octets());
    frame.extend(said);
    frame
}

/// RFC 1071.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Hardware = [2, 0, 0, 0, 0, 1];

    #[test]
    fn an_announcement_claims_and_a_probe_does_not() {
        let address: Ipv4Addr = "10.0.0.50".parse().unwrap();
        let frames = announcements(IpAddr::V4(address), OURS);
        assert_eq!(frames.len(), 2);
        for (frame, operation) in frames.iter().zip([1, 2]) {
            assert_eq!((frame.len(), frame[21]), (60, operation));
            assert_eq!(claim(frame), Some((OURS, address)));
            assert_eq!(frame[38..42], address.octets(), "of itself");
        }
        assert_eq!(claim(&probe(IpAddr::V4(address), OURS).unwrap()), None);
        assert_eq!(claim(&frames[0][..41]), None, "cut off");
    }

    #[test]
    fn an_advertisement_sums_up_to_nothing() {
        let address: Ipv6Addr = "fd00::50".parse().unwrap();
        let frame = &announcements(IpAddr::V6(address), OURS)[0];
        assert_eq!(frame.len(), 14 + 40 + 32);
        let mut summed = frame[22..54].to_vec();
        summed.extend([0, 0, 0, 32, 0, 0, 0, 58]);
        summed.extend(&frame[54..]);
        assert_eq!(checksum(&summed), 0);
        assert_eq!(frame[62..78], address.octets());
    }
}
