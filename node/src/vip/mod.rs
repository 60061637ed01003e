//! Floating addresses: each belongs to a queue manager and is on the node that serves it, and on no other.
//!
//! [`policy`] and [`pulse`] (the node's side) and [`keeper`] (the agent's) decide, without a clock or a socket. [`orders`] is what the
//! two processes say to each other, [`agent`] the process that holds the addresses, [`place`] one of them and where it belongs, [`trouble`] what is wrong with it, [`strays`]
//! those that somebody else put there, with [`netlink`], [`companions`] and [`fence`] (the kernel), [`program`] (of the user's, in place of the kernel), [`packet`] and
//! [`frames`] (the network), [`connections`] (those that use an address which goes) and [`tickle`] (those that used an
//! address before it came).

pub mod policy;
pub mod pulse;
pub mod keeper;
pub mod orders;
pub mod netlink;
pub mod strays;
pub mod companions;
pub mod packet;
pub mod fence;
pub mod program;
pub mod frames;
pub mod connections;
pub mod tickle;
pub mod place;
pub mod trouble;
pub mod agent;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use caps::{CapSet, Capability};

use crate::types::network::{is_near, network_of, role_of};
use crate::types::{ObjectName, QueueManagerId};
use netlink::Interface;

/// For a node that may not change interfaces.
pub const HOW_TO_GET_RIGHTS: &str = "run the node as root, or give it CAP_NET_ADMIN and CAP_NET_RAW (systemd: \
    AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW), or do without with mode = \"none\" under [address]";

/// What the agent needs, and nobody else in a node.
pub const RIGHTS: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Whether this process may change interfaces.
pub fn has_rights() -> bool {
    RIGHTS.iter().all(|right| caps::has_cap(None, CapSet::Effective, *right).unwrap_or(false))
}

/// How addresses are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the kernel of this machine, on one of its interfaces.
    Kernel,
    /// The same, and what passes to and from it is let through for some hundred milliseconds at a time.
    Fast,
    /// A program of the user's is called.
    Exec,
    /// Everything but the last step: the log says what would be done.
    DryRun,
}

impl Mode {
    /// Whether the kernel holds them, and rights are needed for that.
    pub fn is_kernels(self) -> bool {
        matches!(self, Mode::Kernel | Mode::Fast)
    }

    /// For how long an address is good when nobody renews it.
    pub fn lifetime(self) -> Duration {
        match self {
            Mode::Fast => policy::FENCE,
            Mode::Kernel | Mode::Exec | Mode::DryRun => policy::LIFETIME,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Kernel => "kernel",
            Mode::Fast => "fast",
            Mode::Exec => "exec",
            Mode::DryRun => "dry-run",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub queue_manager: QueueManagerId,
    pub name: ObjectName,
    pub ip: IpAddr,
    /// Length of the network that it belongs to; it is held as an address of its own.
    pub prefix: u8,
    /// Counts the addresses of the file, for the label.
    pub number: usize,
}

/// What a node is told about its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub mode: Mode,
    pub addresses: Vec<Address>,
    /// None: the one that has an address in the same network.
    pub interface: Option<String>,
    /// Of mode exec.
    pub program: Option<PathBuf>,
    pub program_limit: Duration,
    /// Where the other nodes are: a claim from one of them is no stranger's.
    pub peers: Vec<IpAddr>,
}

impl Options {
    /// How long the user's program may take, in the mode that has one.
    pub fn program_time(&self) -> Duration {
        if self.mode == Mode::Exec { self.program_limit } else { Duration::ZERO }
    }

    pub fn of(&self, queue_manager: QueueManagerId) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.queue_manager == queue_manager)
    }

    /// Where the address belongs on this machine, or a sentence that says why nowhere.
    pub fn interface_of<'a>(
        &self,
        address: &Address,
        interfaces: &'a [Interface],
    ) -> Result<&'a Interface, String> {
        let names = || interfaces.iter().map(|found| found.name.as_str()).collect::<Vec<_>>().join(", ");
        let what = format!("address {} of queue manager {}", address.ip, address.name);
        let found = match &self.interface {
            Some(name) => interfaces.iter().find(|found| found.name == *name).ok_or_else(|| {
                format!("{what}: this machine has no interface {name}; it has {}: write interface = \"…\" at the node", names())
            }),
            None => interfaces
                .iter()
                .find(|found| {
                    found.addresses.iter().any(|(own, _)| is_near(address.ip, address.prefix, *own))
                })
                .ok_or_else(|| {
                    format!(
                        "{what}: no interface of this machine has an address in {}; it has {}: write interface = \"…\" at the \
                         node",
                        network_of(address.ip, address.prefix),
                        names()
                    )
                }),
        }?;
        if found.addresses.iter().any(|(own, _)| own.is_loopback()) {
            return Err(format!(
                "{what}: nobody reaches this machine at its interface {}: write the one that clients come by, interface = \"…\" at \
                 the node",
                found.name
            ));
        }
        let networks = found.addresses.iter().filter(|(own, _)| *own != address.ip);
        for (own, prefix) in networks.filter(|(own, prefix)| is_near(address.ip, *prefix, *own)) {
            if let Some(role) = role_of(address.ip, *prefix) {
                return Err(format!(
                    "{what} is {role} {} of {}: give the queue manager another one",
                    network_of(*own, *prefix),
                    found.name
                ));
            }
        }
        Ok(found)
    }

    /// By the neighbours that the kernel knows.
    fn is_peer(&self, hardware: [u8; 6], neighbours: &[(IpAddr, [u8; 6])]) -> bool {
        neighbours.iter().any(|(address, known)| *known == hardware && self.peers.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_eth0(own: &str, prefix: u8) -> Vec<Interface> {
        let addresses = vec![(own.parse().unwrap(), prefix)];
        vec![Interface { index: 2, name: "eth0".into(), hardware: [2; 6], is_up: true, addresses }]
    }

    fn where_is(ip: &str, prefix: u8, interface: Option<&str>, found: &[Interface]) -> Result<u32, String> {
        let name = ObjectName::new("QM").unwrap();
        let address =
            Address { queue_manager: QueueManagerId(1), name, ip: ip.parse().unwrap(), prefix, number: 0 };
        let options = Options {
            mode: Mode::Kernel,
            addresses: vec![address.clone()],
            interface: interface.map(str::to_owned),
            program: None,
            program_limit: Duration::from_secs(1),
            peers: Vec::new(),
        };
        options.interface_of(&address, found).map(|interface| interface.index)
    }

    #[test]
    fn an_address_belongs_where_its_network_is() {
        let found = on_eth0("10.66.0.2", 24);
        assert_eq!(where_is("10.66.0.50", 24, None, &found), Ok(2));
        let elsewhere = where_is("10.67.0.50", 24, None, &found).unwrap_err();
        assert!(
            elsewhere.contains("no interface of this machine has an address in 10.67.0.0/24"),
            "{elsewhere}"
        );
        assert!(where_is("10.67.0.50", 24, Some("eth1"), &found).unwrap_err().contains("no interface eth1"));
    }

    #[test]
    fn an_address_that_is_a_network_s_own_is_no_machine_s() {
        for (ip, prefix) in [("10.66.0.255", 24), ("10.66.0.0", 24), ("fd00::", 64)] {
            assert!(role_of(ip.parse().unwrap(), prefix).is_some(), "{ip}/{prefix}");
        }
        for (ip, prefix) in [("10.66.0.255", 16), ("10.66.0.255", 31), ("10.66.0.255", 32), ("fd00::50", 64)]
        {
            assert_eq!(role_of(ip.parse().unwrap(), prefix), None, "{ip}/{prefix}");
        }
        let own = vec![("127.0.0.1".parse().unwrap(), 8)];
        let lo = Interface { index: 1, name: "lo".into(), hardware: [0; 6], is_up: true, addresses: own };
        let refused = where_is("10.66.0.50", 24, Some("lo"), &[lo]).unwrap_err();
        assert!(refused.contains("nobody reaches this machine at its interface lo"), "{refused}");
        // The file says less than the interface does.
        let refused = where_is("10.66.0.255", 32, Some("eth0"), &on_eth0("10.66.0.2", 24)).unwrap_err();
        assert!(
            refused.contains("is the broadcast address of the network 10.66.0.0/24 of eth0"),
            "{refused}"
        );
    }
}
