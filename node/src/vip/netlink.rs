//! Addresses of interfaces, as the kernel has them.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// An interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    /// Zero where it has none.
    pub hardware: [u8; 6],
    pub is_up: bool,
    /// Addresses and the lengths of their networks.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// An address of an interface, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub ip: IpAddr,
    pub prefix: u8,
    /// The interface's number.
    pub index: u32,
    /// What is left of its lifetime; None: it stays.
    pub seconds: Option<u32>,
    /// It goes with another one of its network, unless the kernel promotes it.
    pub is_secondary: bool,
    /// How the kernel calls it: this end's and, of a line between two, the other's.
    names: Vec<AddressAttribute>,
}

impl Found {
    #[cfg(test)]
    pub fn new(ip: IpAddr, prefix: u8, index: u32, is_secondary: bool) -> Found {
        Found { ip, prefix, index, seconds: None, is_secondary, names: Vec::new() }
    }

    fn of(message: AddressMessage) -> Option<Found> {
        let (header, mut found) = (message.header, None);
        let (mut ip, mut seconds, mut names) = (None, None, Vec::new());
        for attribute in message.attributes {
            match &attribute {
                AddressAttribute::Local(address) => {
                    ip = Some(*address);
                    names.push(attribute);
                }
                AddressAttribute::Address(address) => {
                    found = Some(*address);
                    names.push(attribute);
                }
                AddressAttribute::CacheInfo(info) => {
                    seconds = Some(info.ifa_valid).filter(|left| *left != u32::MAX);
                }
                _ => {}
            }
        }
        let is_secondary = header.flags.contains(AddressHeaderFlags::Secondary);
        let ip = ip.or(found)?;
        Some(Found { ip, prefix: header.prefix_len, index: header.index, seconds, is_secondary, names })
    }
}

/// Hears that something about the interfaces of this machine changed.
#[derive(Debug)]
pub struct Changes(Socket);

/// What did. What there is now is asked anew: some changes may have been lost.
#[derive(Debug, Default)]
pub struct Changed {
    pub links: bool,
    /// Addresses that came, or were given another lifetime.
    pub addresses: Vec<Found>,
    pub some_lost: bool,
}

impl Changes {
    pub fn open() -> io::Result<Changes> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        socket.bind(&SocketAddr::new(0, groups as u32))?;
        socket.set_non_blocking(true)?;
        Ok(Changes(socket))
    }

    pub fn take(&mut self) -> Changed {
        let mut changed = Changed::default();
        loop {
            match self.0.recv_from_full() {
                Ok((bytes, _)) => {
                    for message in messages(&bytes) {
                        match message.map(|message| message.payload) {
                            Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address))) => {
                                changed.addresses.extend(Found::of(address));
                            }
                            Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(_))) => {}
                            Ok(_) => changed.links = true,
                            Err(_) => changed.some_lost = true,
                        }
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => changed.some_lost = true,
                Err(_) => return changed,
            }
        }
    }
}

impl AsRawFd for Changes {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The messages of one datagram.
fn messages(bytes: &[u8]) -> impl Iterator<Item = io::Result<NetlinkMessage<RouteNetlinkMessage>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
        let length = message.as_ref().map_or(rest.len(), |message| message.header.length as usize);
        rest = &rest[length.next_multiple_of(4).clamp(1, rest.len())..];
        Some(message)
    })
}

#[derive(Debug)]
pub struct Route {
    socket: Socket,
    sequence: u32,
}

impl Route {
    pub fn open() -> io::Result<Route> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Route { socket, sequence: 0 })
    }

    /// Gives an interface an address for so many seconds, or for so many more if it has it.
    pub fn set(
        &mut self,
        interface: &Interface,
        address: IpAddr,
        label: &str,
        seconds: u32,
        is_in_time: impl FnOnce() -> bool,
    ) -> io::Result<()> {
        let mut message = of(interface, address);
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_valid = seconds;
        // An IPv6 address that is preferred would become the source of other connections of this machine.
        lifetime.ifa_preferred = if address.is_ipv4() { seconds } else { 0 };
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        match address {
            IpAddr::V4(_) => message.attributes.push(AddressAttribute::Label(label.to_owned())),
            // Duplicate detection takes a second or two, and leaves an address that is of no use for ever.
            IpAddr::V6(_) => {
                let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
                message.attributes.push(AddressAttribute::Flags(flags));
            }
        }
        let request =
            self.encode(RouteNetlinkMessage::NewAddress(message), NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
        // The last thing before the kernel has it: this process may have been paused until now.
        if !is_in_time() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the lease was too short for it by now"));
        }
        self.exchange(&request).map(|_| ())
    }

    /// What [`Route::set`] gave. Whether it was there.
    pub fn remove(&mut self, interface: &Interface, address: IpAddr) -> io::Result<bool> {
        self.delete(of(interface, address))
    }

    /// What anybody gave. Whether it was there.
    pub fn remove_found(&mut self, found: &Found) -> io::Result<bool> {
        let mut message = AddressMessage::default();
        message.header.family = family(found.ip);
        (message.header.prefix_len, message.header.index) = (found.prefix, found.index);
        message.attributes.clone_from(&found.names);
        self.delete(message)
    }

    fn delete(&mut self, message: AddressMessage) -> io::Result<bool> {
        let request = self.encode(RouteNetlinkMessage::DelAddress(message), NLM_F_ACK);
        match self.exchange(&request) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let request = self.encode(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP);
        let mut interfaces = Vec::new();
        for message in self.exchange(&request)? {
            let RouteNetlinkMessage::NewLink(link) = message else { continue };
            let mut interface = Interface {
                index: link.header.index,
                name: String::new(),
                hardware: [0; 6],
                is_up: link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
                addresses: Vec::new(),
            };
            for attribute in link.attributes {
                match attribute {
                    LinkAttribute::IfName(name) => interface.name = name,
                    LinkAttribute::Address(hardware) => {
                        if let Ok(hardware) = hardware.try_into() {
                            interface.hardware = hardware;
                        }
                    }
                    _ => {}
                }
            }
            interfaces.push(interface);
        }
        for found in self.addresses()? {
            let interface = interfaces.iter_mut().find(|interface| interface.index == found.index);
            if let Some(interface) = interface {
                interface.addresses.push((found.ip, found.prefix));
            }
        }
        Ok(interfaces)
    }

    /// Of all interfaces.
    pub fn addresses(&mut self) -> io::Result<Vec<Found>> {
        let request = self.encode(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP);
        let answers = self.exchange(&request)?.into_iter();
        let found = answers.filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(address) => Found::of(address),
            _ => None,
        });
        Ok(found.collect())
    }

    /// Neighbours of this machine, as far as the kernel knows them.
    pub fn neighbours(&mut self) -> io::Result<Vec<(IpAddr, [u8; 6])>> {
        let request = self.encode(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), NLM_F_DUMP);
        let mut neighbours = Vec::new();
        for message in self.exchange(&request)? {
            let RouteNetlinkMessage::NewNeighbour(found) = message else { continue };
            let (mut address, mut hardware) = (None, None);
            for attribute in found.attributes {
                match attribute {
                    NeighbourAttribute::Destination(NeighbourAddress::Inet(four)) => {
                        address = Some(IpAddr::V4(four));
                    }
                    NeighbourAttribute::Destination(NeighbourAddress::Inet6(six)) => {
                        address = Some(IpAddr::V6(six));
                    }
                    NeighbourAttribute::LinkLayerAddress(bytes) => hardware = bytes.try_into().ok(),
                    _ => {}
                }
            }
            neighbours.extend(address.zip(hardware));
        }
        Ok(neighbours)
    }

    fn encode(&mut self, message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// Sends a request and reads its answers. The kernel has them ready when the request was sent.
    fn exchange(&mut self, request: &[u8]) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.socket.send(request, 0)?;
        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            for message in messages(&bytes) {
                let message = message?;
                // What is left of an exchange that ended with an error.
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    _ => {}
                }
            }
        }
    }
}

/// A whole address of its own: in a network with others it would go when they do, and be chosen in their place.
fn of(interface: &Interface, address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    (message.header.family, message.header.prefix_len) = (family(address), whole(address));
    message.header.index = interface.index;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// The length of a network that is one address.
pub fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
