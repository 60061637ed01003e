//! Tells clients that their connection is gone with the node that had it, by one bare ACK each.
//!
//! A client that waits for an answer sends nothing, and would never learn that the other end is another machine now. A
//! segment that fits nowhere makes its kernel repeat where it is (a challenge ACK, RFC 5961); that goes to the new holder
//! of the address, whose kernel knows no such connection and answers with a reset. A client that has no such connection
//! answers with a reset itself, and a connection that is alive takes no harm.
//!
//! The source is an address of this agent's own that is here now. Destinations come from the node; that gives it no right
//! that it does not have: whoever can open a socket on this machine can send a segment from its address to anybody. They are
//! no more than [`BATCH`] every [`PAUSE`], and nobody is sent more than he may answer.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::frames::checksum;
use crate::types::{Ends, Instant};

/// 20,000 a second.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);
/// A kernel repeats itself at most twice a second for one connection, and a frame may be lost.
const AGAIN_AFTER: Duration = Duration::from_millis(600);
/// As far from each other as can be: one of them is outside of what the client expects.
const SEQUENCES: [u32; 2] = [0, 1 << 31];
const TCP: u8 = 6;
const TCP_BYTES: usize = 20;

/// Who is still to be told.
#[derive(Debug, Default)]
pub struct Tickles {
    fresh: VecDeque<Ends>,
    again: VecDeque<(Instant, Ends)>,
    /// Nothing before.
    next: Instant,
    /// Clients to whom the first was sent, since that was reported.
    pub told: u64,
}

impl Tickles {
    /// What is more than one agent tells is left to the clients' own timeouts.
    pub fn push(&mut self, ends: Ends) {
        if self.fresh.len() + self.again.len() < Ends::TOLD_MAX {
            self.fresh.push_back(ends);
        }
    }

    /// Nobody waits to be told for the first time.
    pub fn is_through(&self) -> bool {
        self.fresh.is_empty()
    }

    /// When [`Tickles::due`] has something.
    pub fn next(&self) -> Option<Instant> {
        let again = self.again.front().map(|(at, _)| *at);
        let first = (!self.fresh.is_empty()).then_some(self.next);
        first.or(again).map(|at| at.max(self.next))
    }

    /// Who is to be told now, and for which time.
    pub fn due(&mut self, now: Instant) -> Vec<(Ends, usize)> {
        if now < self.next {
            return Vec::new();
        }
        let mut due = Vec::new();
        while due.len() < BATCH {
            if let Some(ends) = self.fresh.pop_front() {
                self.again.push_back((now + AGAIN_AFTER, ends));
                due.push((ends, 0));
            } else if self.again.front().is_some_and(|(at, _)| *at <= now) {
                due.extend(self.again.pop_front().map(|(_, ends)| (ends, 1)));
            } else {
                break;
            }
        }
        if !due.is_empty() {
            self.next = now + PAUSE;
        }
        due
    }
}

/// A packet from the one end to the other, with its header. `time` is 0 for the first, 1 for the second.
pub fn packet(ends: Ends, time: usize) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(TCP_BYTES);
    tcp.extend(ends.local.port().to_be_bytes());
    tcp.extend(ends.client.port().to_be_bytes());
    tcp.extend(SEQUENCES[time % SEQUENCES.len()].to_be_bytes());
    tcp.extend([0; 4]); // acknowledges nothing that was ever sent
    tcp.extend([0x50, 0x10]); // a header of 20 bytes, ACK
    tcp.extend(1234_u16.to_be_bytes()); // window
    tcp.extend([0; 4]); // checksum below, urgent pointer

    let mut packet = Vec::with_capacity(40 + TCP_BYTES);
    let mut summed = Vec::new();
    match (ends.local.ip(), ends.client.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            summed.extend(from.octets());
            summed.extend(to.octets());
            summed.extend([0, TCP, 0, TCP_BYTES as u8]);
            packet.extend([0x45, 0, 0, 20 + TCP_BYTES as u8]);
            packet.extend([0, 0, 0x40, 0]); // the kernel numbers it; not to be cut
            packet.extend([64, TCP, 0, 0]); // the kernel sums it up
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            summed.extend(from.octets());
            summed.extend(to.octets());
            summed.extend([0, 0, 0, TCP_BYTES as u8, 0, 0, 0, TCP]);
            packet.extend([0x60, 0, 0, 0, 0, TCP_BYTES as u8, TCP, 64]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        _ => return Vec::new(),
    }
    summed.extend(&tcp);
    tcp[16..18].copy_from_slice(&checksum(&summed).to_be_bytes());
    packet.extend(tcp);
    packet
}

/// Sockets for packets with a header of their own. Which interface they leave by is the routing table's business, as with
/// every answer to the client.
#[derive(Debug)]
pub struct Raw {
    v4: OwnedFd,
    /// None where the machine has no IPv6.
    v6: Option<OwnedFd>,
}

impl Raw {
    pub fn open() -> io::Result<Raw> {
        Ok(Raw { v4: open(libc::AF_INET)?, v6: open(libc::AF_INET6).ok() })
    }

    pub fn send(&self, ends: Ends, time: usize) -> io::Result<()> {
        // The port is none: the kernel wants it empty.
        let to = socket2::SockAddr::from(SocketAddr::new(ends.client.ip(), 0));
        let socket = match (ends.client.ip(), &self.v6) {
            (IpAddr::V4(_), _) => &self.v4,
            (IpAddr::V6(_), Some(socket)) => socket,
            (IpAddr::V6(_), None) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let packet = packet(ends, time);
        // SAFETY: packet and address live until the call returns, and the lengths are their own.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_DONTWAIT,
                to.as_ptr().cast(),
                to.len(),
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn open(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; the result is checked before it is owned.
    let descriptor = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(local: &str, client: &str) -> Ends {
        Ends::new(local.parse().unwrap(), client.parse().unwrap())
    }

    fn client(number: u16) -> Ends {
        Ends::new(([10, 0, 0, 50], 7201).into(), ([10, 0, 0, 9], number).into())
    }

    #[test]
    fn a_packet_is_a_bare_acknowledgement_that_sums_up() {
        let four = packet(ends("10.0.0.50:7201", "10.1.2.3:4000"), 0);
        assert_eq!((four.len(), four[9], u16::from_be_bytes([four[2], four[3]])), (40, TCP, 40));
        assert_eq!((&four[12..16], &four[16..20]), (&[10, 0, 0, 50][..], &[10, 1, 2, 3][..]));
        assert_eq!((four[20..24].to_vec(), four[33]), (vec![0x1c, 0x21, 0x0f, 0xa0], 0x10));
        let mut summed = four[12..20].to_vec();
        summed.extend([0, TCP, 0, 20]);
        summed.extend(&four[20..]);
        assert_eq!(checksum(&summed), 0);

        let six = packet(ends("[fd00::50]:7201", "[fd00::9]:4000"), 1);
        assert_eq!((six.len(), six[6], six[5], &six[44..48]), (60, TCP, 20, &[0x80, 0, 0, 0][..]));
        let mut summed = six[8..40].to_vec();
        summed.extend([0, 0, 0, 20, 0, 0, 0, TCP]);
        summed.extend(&six[40..]);
        assert_eq!(checksum(&summed), 0);
    }

    #[test]
    fn each_is_told_twice_and_no_more_than_twenty_thousand_a_second() {
        let mut tickles = Tickles::default();
        (0..1000).for_each(|number| tickles.push(client(number)));
        let (mut now, mut told) = (Instant(0), Vec::new());
        while let Some(next) = tickles.next() {
            now = now.max(next);
            let due = tickles.due(now);
            assert!(!due.is_empty() && due.len() <= BATCH, "{} at {now:?}", due.len());
            told.extend(due.into_iter().map(|(ends, time)| (ends.client.port(), time, now)));
        }
        assert_eq!(told.len(), 2000);
        let at = |port: u16, time: usize| {
            told.iter().find(|one| (one.0, one.1) == (port, time)).expect("it was told").2
        };
        assert_eq!((at(0, 0), at(999, 0)), (Instant(0), Instant(45_000)));
        assert_eq!((at(0, 1), at(999, 1)), (Instant(600_000), Instant(645_000)));
    }

    #[test]
    fn more_than_a_node_tells_are_left_out() {
        let mut tickles = Tickles::default();
        (0..=Ends::TOLD_MAX).for_each(|number| tickles.push(client(number as u16)));
        assert_eq!(tickles.fresh.len(), Ends::TOLD_MAX);
        assert_eq!(tickles.due(Instant(0)).len(), BATCH);
        assert_eq!(tickles.due(Instant(4_999)), []);
    }
}
