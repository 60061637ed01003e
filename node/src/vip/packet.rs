//! A socket for whole frames of one interface. Kept open: opening one for each frame takes milliseconds.

use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::frames::ADVERTISEMENT;
use super::netlink::Interface;

#[derive(Debug)]
pub struct Packets {
    socket: OwnedFd,
    index: u32,
}

impl Packets {
    /// Hears what the interface's neighbours say of addresses like this one (ARP, or neighbour advertisements), and may send
    /// anything.
    pub fn open(interface: &Interface, address: IpAddr) -> io::Result<Packets> {
        let protocol = match address {
            IpAddr::V4(_) => libc::ETH_P_ARP,
            IpAddr::V6(_) => libc::ETH_P_IPV6,
        };
        let protocol = (protocol as u16).to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no memory is passed; the result is checked before it is owned.
        let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(protocol)) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just opened, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        if address.is_ipv6() {
            hear_advertisements_only(&socket)?;
        }
        let place = place(interface.index, protocol);
        // SAFETY: the structure lives until the call returns, and the length is its own.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const place).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Packets { socket, index: interface.index })
    }

    /// A whole frame, with its header.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let kind = u16::from_be_bytes([frame[12], frame[13]]).to_be();
        let place = place(self.index, kind);
        // SAFETY: both structures live until the call returns, and the lengths are their own.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const place).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next frame that was heard; None when there is none now.
    pub fn hear<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        // SAFETY: the kernel writes into a buffer of ours, and no more than it has room for.
        let heard =
            unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        usize::try_from(heard).ok().map(|length| &buffer[..length])
    }
}

impl AsRawFd for Packets {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

/// All other IPv6 of the machine would wake the agent for nothing. Of a frame that is let through, 128 bytes are.
fn hear_advertisements_only(socket: &OwnedFd) -> io::Result<()> {
    let (load, jump_equal, give) = (
        (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16,
        (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        (libc::BPF_RET | libc::BPF_K) as u16,
    );
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(load, 0, 0, 20), // the next header
        step(jump_equal, 0, 3, 58),
        step(load, 0, 0, 54), // the kind of ICMPv6
        step(jump_equal, 0, 1, u32::from(ADVERTISEMENT)),
        step(give, 0, 0, 128),
        step(give, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: program and steps live until the call returns, which copies them; the lengths are their own.
    let attached = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if attached < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn place(index: u32, protocol: u16) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0xff; 8],
    }
}
