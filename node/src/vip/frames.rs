//! What is said on the network about an address, byte by byte: ARP (RFC 826, 5227), neighbour solicitations and advertisements (RFC
//! 4861, 4862).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

type Hardware = [u8; 6];

const EVERYBODY: Hardware = [0xff; 6];
/// ff02::1 on Ethernet.
const ALL_NODES: Hardware = [0x33, 0x33, 0, 0, 0, 1];
const SHORTEST: usize = 60;
/// Of Ethernet and IPv6; what is said in ICMPv6 follows.
const HEADERS_SIX: usize = 14 + 40;
const SOLICITATION: u8 = 135;
pub const ADVERTISEMENT: u8 = 136;
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

/// "Who else has it?", asked without claiming it.
pub fn probe(address: IpAddr, hardware: Hardware) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(REQUEST, hardware, Ipv4Addr::UNSPECIFIED, [0; 6], address),
        IpAddr::V6(address) => solicitation(address, hardware),
    }
}

/// Who claims what in a frame. None for others, and for whoever only asks.
pub fn claim(frame: &[u8]) -> Option<(Hardware, IpAddr)> {
    let (hardware, address) = match frame.get(12..14)? {
        [8, 6] => arp_claim(frame).map(|(hardware, address)| (hardware, IpAddr::V4(address)))?,
        [0x86, 0xdd] => advertised(frame).map(|(hardware, address)| (hardware, IpAddr::V6(address)))?,
        _ => return None,
    };
    Some((hardware, address))
}

fn arp_claim(frame: &[u8]) -> Option<(Hardware, Ipv4Addr)> {
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

/// Whoever has the address says so to everybody, because who asks has none (RFC 4861, 7.2.4).
fn solicitation(address: Ipv6Addr, hardware: Hardware) -> Vec<u8> {
    let [.., a, b, c] = address.octets();
    // The group of all addresses that end so (RFC 4291, 2.7.1).
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&[a, b, c]);
    let mut said = vec![SOLICITATION, 0, 0, 0]; // checksum below
    said.extend([0; 4]);
    said.extend(address.octets());
    six([0x33, 0x33, 0xff, a, b, c], hardware, (Ipv6Addr::UNSPECIFIED, group.into()), said)
}

/// Who claims what in a neighbour advertisement.
fn advertised(frame: &[u8]) -> Option<(Hardware, Ipv6Addr)> {
    let said = frame.get(HEADERS_SIX..)?;
    let length = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
    let said = said.get(..length).filter(|said| said.len() >= 24)?;
    // From this very network: what came through a router has fewer hops left.
    if frame[20..22] != [58, 255] || said[..2] != [ADVERTISEMENT, 0] || sum_six(frame, said) != 0 {
        return None;
    }
    let target: [u8; 16] = said[8..24].try_into().expect("sixteen bytes");
    let own = match said.get(24..32) {
        Some([2, 1, hardware @ ..]) => hardware,
        _ => &frame[6..12],
    };
    Some((own.try_into().expect("six bytes"), target.into()))
}

fn advertisement(address: Ipv6Addr, hardware: Hardware) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut said = vec![ADVERTISEMENT, 0, 0, 0]; // checksum below
    said.extend([0x20, 0, 0, 0]); // override what was known
    said.extend(address.octets());
    said.extend([2, 1]); // target link-layer address, 8 bytes
    said.extend(hardware);
    six(ALL_NODES, hardware, (address, all_nodes), said)
}

/// A frame of ICMPv6, whose checksum is filled in.
fn six(to: Hardware, from: Hardware, (source, group): (Ipv6Addr, Ipv6Addr), said: Vec<u8>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADERS_SIX + said.len());
    frame.extend(to);
    frame.extend(from);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((said.len() as u16).to_be_bytes());
    frame.extend([58, 255]); // ICMPv6, and never from behind a router
    frame.extend(source.octets());
    frame.extend(group.octets());
    let sum = sum_six(&frame, &said);
    frame.extend(said);
    frame[HEADERS_SIX + 2..HEADERS_SIX + 4].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// What is missing to a sum of zero, with the pseudo-header of the frame's addresses (RFC 8200, 8.1).
fn sum_six(frame: &[u8], said: &[u8]) -> u16 {
    let mut summed = frame[22..HEADERS_SIX].to_vec();
    summed.extend((said.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, 58]);
    summed.extend(said);
    checksum(&summed)
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
            assert_eq!(claim(frame), Some((OURS, address.into())));
            assert_eq!(frame[38..42], address.octets(), "of itself");
        }
        assert_eq!(claim(&probe(IpAddr::V4(address), OURS)), None);
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
        assert_eq!(claim(frame), Some((OURS, address.into())));
    }

    #[test]
    fn whoever_asks_for_an_address_of_ipv6_claims_nothing_and_is_answered_by_who_has_it() {
        let address: Ipv6Addr = "fd00::12:3456".parse().unwrap();
        let asked = probe(IpAddr::V6(address), OURS);
        assert_eq!((&asked[..6], asked.len()), (&[0x33, 0x33, 0xff, 0x12, 0x34, 0x56][..], HEADERS_SIX + 24));
        let source: [u8; 16] = asked[22..38].try_into().unwrap();
        let group: [u8; 16] = asked[38..54].try_into().unwrap();
        assert_eq!((source, Ipv6Addr::from(group)), ([0; 16], "ff02::1:ff12:3456".parse().unwrap()));
        assert_eq!((claim(&asked), sum_six(&asked, &asked[HEADERS_SIX..])), (None, 0));

        // Linux answers so, as another machine of the network does.
        let theirs = [2, 0, 0, 0, 0, 9];
        let answer = announcements(IpAddr::V6(address), theirs).remove(0);
        assert_eq!(claim(&answer), Some((theirs, address.into())));
        let mut without_option = answer.clone();
        without_option.truncate(HEADERS_SIX + 24);
        without_option[19] = 24;
        without_option[56..58].copy_from_slice(&[0, 0]);
        let sum = sum_six(&without_option, &without_option[HEADERS_SIX..]);
        without_option[56..58].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(claim(&without_option), Some((theirs, address.into())), "the sender's own");

        for (place, why) in
            [(21, "through a router"), (56, "damaged"), (54, "no advertisement"), (20, "no ICMPv6")]
        {
            let mut wrong = answer.clone();
            wrong[place] ^= 1;
            assert_eq!(claim(&wrong), None, "{why}");
        }
        for length in 0..answer.len() {
            assert_eq!(claim(&answer[..length]), None, "{length} bytes of it");
        }
    }
}
