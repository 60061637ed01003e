//! Addresses of the cluster's that are on this machine and that no agent put there: somebody added one by hand, or another tool did, or
//! it was left over, whatever the length of its network and whichever interface it is on. Two kernels would answer for it.
//!
//! An agent's own end by themselves within a second (`keeper`); what stays longer is somebody else's, and is removed. Not what other
//! addresses of the machine would go with, nor what looks like the machine's own: that is a person's to do.

use std::fs;
use std::io;
use std::net::IpAddr;

use super::Address;
use super::netlink::{Found, Interface, Route, whole};
use super::policy::LIFETIME;
use crate::types::network::is_near;

/// Whether an agent would not have put it there like this.
pub fn is_stray(found: &Found) -> bool {
    found.seconds.is_none_or(|left| u64::from(left) > LIFETIME.as_secs())
}

/// Why it may not be taken away, and what to do.
fn why_it_stays(found: &Found, all: &[Found], promotes: bool, interface: &str) -> Option<String> {
    let (ip, prefix) = (found.ip, found.prefix);
    let is_near = |other: &Found| is_near(ip, prefix, other.ip);
    let takes_along =
        |other: &Found| other.index == found.index && other.prefix == prefix && other.is_secondary;
    if !promotes && !found.is_secondary && all.iter().any(|other| takes_along(other) && is_near(other)) {
        return Some(format!(
            "others of that network would go with it: sysctl net.ipv4.conf.{interface}.promote_secondaries=1, then ip addr del \
             {ip}/{prefix} dev {interface}"
        ));
    }
    let is_network_s = |other: &Found| other.prefix < whole(other.ip) && is_near(other);
    (prefix < whole(ip) && !all.iter().any(is_network_s)).then(|| {
        format!(
            "no other address of this machine is in that network, so it looks like the machine's own: ip addr del \
             {ip}/{prefix} dev {interface}, or give the queue manager another address"
        )
    })
}

/// One that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    pub ip: IpAddr,
    pub sentence: String,
    /// A person has to remove it.
    pub is_left: bool,
}

/// Removes those of `addresses` that `is_to_go` says. Each that an agent would not have put there is told of.
pub fn remove(
    route: &mut Route,
    addresses: &[Address],
    interfaces: &[Interface],
    is_to_go: impl Fn(&Found) -> bool,
) -> io::Result<Vec<Stray>> {
    let all = route.addresses()?;
    let mut strays = Vec::new();
    let mut tell = |ip, is_left, sentence| strays.push(Stray { ip, sentence, is_left });
    for found in &all {
        let Some(address) = addresses.iter().find(|address| address.ip == found.ip) else { continue };
        if !is_to_go(found) {
            continue;
        }
        let interface = interfaces.iter().find(|interface| interface.index == found.index);
        let interface = interface.map_or("?", |interface| interface.name.as_str());
        let what = format!(
            "address {}/{} of queue manager {} is on {interface}, and no agent put it there",
            found.ip, found.prefix, address.name
        );
        if let Some(why) = why_it_stays(found, &all, promotes(interface), interface) {
            tell(found.ip, true, format!("{what}; it was left there, as {why}"));
        } else if route.remove_found(found)? && is_stray(found) {
            let sentence =
                format!("{what}: it was removed, as only the node that serves may have it; see what adds it");
            tell(found.ip, false, sentence);
        }
    }
    Ok(strays)
}

/// Whether an address stays when the one that it came after is removed.
fn promotes(interface: &str) -> bool {
    let is_set = |of: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{of}/promote_secondaries");
        fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
    };
    is_set("all") || is_set(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ip: &str, prefix: u8, index: u32, is_secondary: bool) -> Found {
        Found::new(ip.parse().unwrap(), prefix, index, is_secondary)
    }

    fn stays(of: &Found, others: &[Found], promotes: bool) -> Option<String> {
        let all: Vec<Found> = others.iter().chain([of]).cloned().collect();
        why_it_stays(of, &all, promotes, "eth0")
    }

    #[test]
    fn what_ends_by_itself_is_an_agent_s() {
        let mut held = found("10.66.0.50", 32, 2, false);
        assert!(is_stray(&held));
        held.seconds = Some(1);
        assert!(!is_stray(&held));
        held.seconds = Some(60);
        assert!(is_stray(&held));
    }

    #[test]
    fn whatever_network_it_is_in_and_wherever_it_is_it_goes() {
        let own = [found("10.66.0.2", 24, 2, false), found("fd00::2", 64, 2, false)];
        for stray in [
            found("10.66.0.50", 24, 2, true),
            found("10.66.0.50", 24, 3, false),
            found("10.66.0.50", 32, 3, false),
            found("fd00::50", 64, 2, false),
        ] {
            assert_eq!(stays(&stray, &own, false), None, "{stray:?}");
        }
    }

    #[test]
    fn nothing_of_the_machine_s_own_is_lost() {
        let first = found("10.66.0.50", 24, 2, false);
        let own = [found("10.66.0.2", 24, 2, true)];
        let why = stays(&first, &own, false).unwrap();
        assert!(
            why.contains("would go with it") && why.contains("ip addr del 10.66.0.50/24 dev eth0"),
            "{why}"
        );
        assert_eq!(stays(&first, &own, true), None, "the kernel promotes it");
        let alone = stays(&first, &[found("10.66.0.51", 32, 2, false)], true).unwrap();
        assert!(alone.contains("looks like the machine's own"), "{alone}");
    }
}
