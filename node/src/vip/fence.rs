//! Mode fast: a fence around an address, open for some hundred milliseconds at a time. The kernel counts lifetimes of addresses
//! in whole seconds; elements of a set of nftables it counts in milliseconds. What has to do with the address passes only
//! while the address is in the set, ARP and neighbour discovery too, so that a machine whose node or agent hangs is silent
//! at once, whatever its interface has.
//!
//! A table of its own for each address: made anew at the start, and taken away when the agent ends. One that was left is
//! closed, and holds up nobody but the address on this machine.
//!
//! ```text
//! batch   = begin, new element, end: a netlink message each
//! message = netlink header (16) | family, version, subsystem (4) | attributes
//! ```

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

/// Since this release the time of an element can be set anew.
const LINUX: (u32, u32) = (6, 12);
const NETDEV: u8 = 5;
const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_ELEMENT: u16 = NFTABLES << 8 | 12;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const ERROR: u16 = 2;
const NESTED: u16 = 1 << 15;
const SET: &[u8] = b"lease\0";

#[derive(Debug)]
pub struct Fence {
    socket: Socket,
    table: String,
    address: IpAddr,
}

/// Whether this machine can have fences.
///
/// # Errors
/// A sentence that says what is missing.
pub fn check() -> Result<(), String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !is_enough(&release) {
        return Err(format!(
            "mode = \"fast\" under [address] needs Linux {}.{} or newer, and this is {}: write mode = \"kernel\"",
            LINUX.0,
            LINUX.1,
            release.trim()
        ));
    }
    let found = Command::new("nft").arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    found.map(drop).map_err(|error| needs_nftables(&format!("nft: {error}")))
}

fn needs_nftables(why: &str) -> String {
    format!(
        "mode = \"fast\" under [address] needs nftables (package nftables): {why}; or write mode = \"kernel\""
    )
}

impl Fence {
    /// Closed.
    ///
    /// # Errors
    /// A sentence that says what is missing on this machine.
    pub fn build(interface: &str, address: IpAddr) -> Result<Fence, String> {
        check()?;
        let table = table_of(address);
        nft(&text(&table, interface, address)).map_err(|why| needs_nftables(&why))?;
        let opened = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = opened().map_err(|error: io::Error| format!("nftables: {error}"))?;
        Ok(Fence { socket, table, address })
    }

    /// Open for so long from now on. `is_in_time` is asked right before the kernel is.
    ///
    /// # Errors
    /// `NotFound` where somebody has removed the table: it is to be built again.
    pub fn open(&mut self, time: Duration, is_in_time: impl FnOnce() -> bool) -> io::Result<()> {
        let batch = renewal(&self.table, self.address, time);
        if !is_in_time() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the lease was too short for it by now"));
        }
        self.socket.send(&batch, 0)?;
        let (answer, _) = self.socket.recv_from_full()?;
        match code_of(&answer) {
            Some(0) => Ok(()),
            Some(code) if -code == libc::ENOENT => {
                let why =
                    format!("its table {} is not in nftables any more: something removed it", self.table);
                Err(io::Error::new(io::ErrorKind::NotFound, why))
            }
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "nftables answered something else")),
        }
    }

    /// What an earlier agent left, or this one made.
    pub fn remove(address: IpAddr) {
        let table = table_of(address);
        // There is none, most of the time, and no nft where there never was one.
        let _ = nft(&format!("delete table netdev {table}\n"));
    }
}

fn table_of(address: IpAddr) -> String {
    let digits: String = octets(address).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("trimaran_{digits}")
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

/// Whether the release of a kernel, `6.18.44-x`, is at least [`LINUX`].
fn is_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let found: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= LINUX
}

/// What there was is gone, and what is new is there, at the same moment.
fn text(table: &str, interface: &str, address: IpAddr) -> String {
    let (kind, inwards, outwards) = match address {
        IpAddr::V4(ip) => (
            "ipv4_addr",
            format!("ip daddr {ip} ip daddr != @lease drop; arp daddr ip {ip} arp daddr ip != @lease drop;"),
            format!("ip saddr {ip} ip saddr != @lease drop; arp saddr ip {ip} arp saddr ip != @lease drop;"),
        ),
        IpAddr::V6(ip) => (
            "ipv6_addr",
            format!("ip6 daddr {ip} ip6 daddr != @lease drop;"),
            format!("ip6 saddr {ip} ip6 saddr != @lease drop;"),
        ),
    };
    let chain = |name: &str, hook: &str, rules: &str| {
        format!(
            "chain {name} {{ type filter hook {hook} device \"{interface}\" priority -100; policy accept; {rules} }}\n"
        )
    };
    format!(
        "table netdev {table} {{ }}\ndelete table netdev {table}\ntable netdev {table} {{\nset lease {{ type {kind}; flags \
         timeout; }}\n{}{}}}\n",
        chain("in", "ingress", &inwards),
        chain("out", "egress", &outwards)
    )
}

fn nft(text: &str) -> Result<(), String> {
    let run = || {
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().expect("it is piped").write_all(text.as_bytes())?;
        child.wait_with_output()
    };
    match run() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("nft: {}", said.lines().next().unwrap_or("it failed").trim()))
        }
        Err(error) => Err(format!("nft: {error}")),
    }
}

/// The address is in the set for so long, whether it was there or not.
fn renewal(table: &str, address: IpAddr, time: Duration) -> Vec<u8> {
    let milliseconds = (time.as_millis() as u64).to_be_bytes();
    let key = attribute(1 | NESTED, &attribute(1, &octets(address)));
    let element = [key, attribute(4, &milliseconds), attribute(5, &milliseconds)].concat();
    let mut name = table.as_bytes().to_vec();
    name.push(0);
    let list = attribute(3 | NESTED, &attribute(1 | NESTED, &element));
    let attributes = [attribute(1, &name), attribute(2, SET), list].concat();
    [
        message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]),
        message(NEW_ELEMENT, REQUEST | CREATE | ACK, NETDEV, 0, &attributes),
        message(BATCH_END, REQUEST, 0, NFTABLES, &[]),
    ]
    .concat()
}

fn message(kind: u16, flags: u16, family: u8, subsystem: u16, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20 + attributes.len());
    bytes.extend((20 + attributes.len() as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, sender
    bytes.extend([family, 0]);
    bytes.extend(subsystem.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Of an answer: 0, or an error's number below.
fn code_of(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().expect("two bytes"));
    let code = answer.get(16..20)?.try_into().expect("four bytes");
    (kind == ERROR).then(|| i32::from_ne_bytes(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_names_table_set_and_address_and_its_time_twice() {
        let batch = renewal("trimaran_0a000032", IpAddr::from([10, 0, 0, 50]), Duration::from_millis(300));
        assert_eq!(batch.len() % 4, 0);
        let lengths: Vec<usize> = {
            let (mut at, mut lengths) = (0, Vec::new());
            while at < batch.len() {
                let length = u32::from_ne_bytes(batch[at..at + 4].try_into().unwrap()) as usize;
                lengths.push(length);
                at += length;
            }
            lengths
        };
        assert_eq!((lengths.len(), lengths[0], lengths[2]), (3, 20, 20));
        let count = |part: &[u8]| batch.windows(part.len()).filter(|window| *window == part).count();
        assert_eq!(count(b"trimaran_0a000032\0"), 1);
        assert_eq!(count(&[10, 0, 0, 50]), 1);
        assert_eq!(count(&300_u64.to_be_bytes()), 2);
    }

    #[test]
    fn kernels_that_cannot_renew_are_known_by_their_release() {
        for (release, enough) in [
            ("6.12.0", true),
            ("6.18.44-x", true),
            ("7.0", true),
            ("6.9.1", false),
            ("5.15", false),
            ("", false),
        ] {
            assert_eq!(is_enough(release), enough, "{release}");
        }
    }
}
