//! Makes the kernel remove an address when its lifetime is over, and not up to a quarter of a second later.
//!
//! Linux looks at the lifetimes of all addresses of a family together: at once when it is told of one, then when the first of them ends,
//! but not sooner than a second later; and if a whole second of its own clock ends within a quarter of a second behind that, only then
//! (`check_lifetime` in net/ipv4/devinet.c, `addrconf_verify_rtnl` in net/ipv6/addrconf.c). So one that was given a second goes after 1.0 to
//! 1.25 s. But where another one ends sooner, the next look is after that second, whatever its clock shows. Beside the floating addresses
//! there are therefore two of the loopback interface, which nobody uses, renewed in turn: one of them always ends soon.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::netlink::Interface;
use crate::types::Instant;

/// A companion that is as old is renewed: before its own second is over, also where the next renewal comes a little late.
const RENEW_AFTER: Duration = Duration::from_millis(800);
/// The other one is as old then at least: it ends soon enough for the kernel's look to fall on the second.
const APART: Duration = Duration::from_millis(350);

/// Those of one agent.
#[derive(Clone, Debug)]
pub struct Companions {
    /// Of this process: no two agents of a machine have the same.
    own: u32,
    /// Of IPv4 and of IPv6, when each was renewed.
    renewed: [[Option<Instant>; 2]; 2],
}

impl Companions {
    pub fn new(process: u32) -> Companions {
        Companions { own: process, renewed: [[None; 2]; 2] }
    }

    /// To be asked whenever a floating address is about to be given a second: the companion that is to be given one before it.
    pub fn due(&mut self, floating: IpAddr, now: Instant) -> Option<IpAddr> {
        let renewed = &mut self.renewed[usize::from(floating.is_ipv6())];
        let older = usize::from(renewed[1] < renewed[0]);
        let is_over =
            |renewed: Option<Instant>, after: Duration| renewed.is_none_or(|at| now.since(at) >= after);
        if !is_over(renewed[older], RENEW_AFTER) || !is_over(renewed[1 - older], APART) {
            return None;
        }
        renewed[older] = Some(now);
        Some(self.address(floating.is_ipv6(), older as u16))
    }

    fn address(&self, six: bool, which: u16) -> IpAddr {
        let [high, low] = [(self.own >> 16) as u16, self.own as u16];
        match six {
            // The upper half of what is loopback.
            false => {
                Ipv4Addr::from_bits(0x7f80_0000 | (self.own << 1 & 0x007f_ffff) | u32::from(which)).into()
            }
            true => Ipv6Addr::new(0xfd74, 0x7269, 0x6d61, 0x7261, 0x6e00, high, low, which).into(),
        }
    }
}

/// Where they are.
pub fn loopback() -> Interface {
    Interface { index: 1, name: "lo".into(), hardware: [0; 6], is_up: true, addresses: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOATING: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 50));

    /// Whether, of the companions, one ends between the moment and three quarters of a second later.
    fn one_ends_soon(companions: &Companions, now: Instant) -> bool {
        let age = |at: &Option<Instant>| at.map(|at| now.since(at));
        let ends_soon = |age: Duration| age >= Duration::from_millis(250) && age < Duration::from_millis(980);
        companions.renewed[0].iter().filter_map(age).any(ends_soon)
    }

    #[test]
    fn from_half_a_second_on_one_of_them_always_ends_soon() {
        for every_ms in [50, 100, 130] {
            let mut companions = Companions::new(77);
            for number in 0..200_u64 {
                let now = Instant(9_000_000 + number * every_ms * 1_000);
                companions.due(FLOATING, now);
                assert!(
                    number * every_ms < 500 || one_ends_soon(&companions, now),
                    "{number} of {every_ms} ms"
                );
            }
        }
    }

    #[test]
    fn after_a_pause_they_are_half_a_second_apart_again() {
        let mut companions = Companions::new(77);
        let at = |ms: u64| Instant(9_000_000 + ms * 1_000);
        for number in 0..30 {
            companions.due(FLOATING, at(number * 100));
        }
        let renewed: Vec<_> =
            (0..10).map(|number| companions.due(FLOATING, at(60_000 + number * 100))).collect();
        assert!(renewed[0].is_some() && renewed[1..4].iter().all(Option::is_none) && renewed[4].is_some());
        assert_ne!(renewed[0], renewed[4]);
    }

    #[test]
    fn each_agent_has_its_own_and_each_family() {
        let first = |process, floating: IpAddr| Companions::new(process).due(floating, Instant(5)).unwrap();
        let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(first(77, FLOATING), IpAddr::from([127, 128, 0, 154]));
        assert_ne!(first(77, FLOATING), first(78, FLOATING));
        assert_eq!(
            first(0x3f_ffff, FLOATING),
            IpAddr::from([127, 255, 255, 254]),
            "the highest number that Linux gives"
        );
        assert_eq!(first(77, six).to_string(), "fd74:7269:6d61:7261:6e00:0:4d:0");
    }
}
