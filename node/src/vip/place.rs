//! One address, and where it belongs on this machine: the interface and what is kept open for it, or the user's program.

use std::io;
use std::time::Duration;

use super::fence::Fence;
use super::frames;
use super::keeper::Keeper;
use super::netlink::{Found, Interface, whole};
use super::packet::Packets;
use super::program::{Program, Verb};
use super::trouble::Troubles;
use super::{Address, Mode, Options};
use crate::types::{Instant, QueueManagerId};

/// When an address that was taken is announced: at once, soon again for whoever missed it, and then every
/// [`REFRESH`], because switches forget sooner than hosts.
const ANNOUNCE_AT: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
const REFRESH: Duration = Duration::from_secs(30);

/// One address and where it belongs on this machine.
pub struct Place {
    pub address: Address,
    pub interface: Option<Interface>,
    pub packets: Option<Packets>,
    /// Of mode fast.
    pub fence: Option<Fence>,
    /// Of mode exec.
    pub program: Option<Program>,
    pub keeper: Keeper,
    pub taken_at: Instant,
    /// Why it can be nowhere on this machine, as things are.
    pub problem: Option<String>,
    /// Since it was taken, or its interface came up.
    announced: usize,
    announced_from: Instant,
    pub next_announcement: Option<Instant>,
    pub next_conflict: Instant,
    /// When a stranger had it last.
    pub gave_way_at: Option<Instant>,
    /// Until when the node wants it here, as far as it said.
    pub wanted_until: Instant,
    /// The user's program did not release it, and is to be called for that again.
    pub release_at: Option<Instant>,
    /// It runs for that.
    pub releases_again: bool,
    pub troubles: Troubles,
    /// It is no address of the queue manager's any more, and has gone by then, if nothing else is in the way.
    pub leaves_by: Option<Instant>,
}

/// Why an address cannot be held.
pub enum Unsettled {
    /// It is no address of a network of this machine's, as things are.
    Nowhere(String),
    /// The agent cannot do its work.
    Unfit(String),
}

impl Place {
    pub fn new(address: Address, options: &Options) -> Place {
        let about = || [address.ip.to_string(), address.name.to_string()];
        let program = options.program.clone().filter(|_| options.mode == Mode::Exec);
        let program = program.map(|path| Program::new(path, options.program_limit, about()));
        Place {
            address,
            program,
            interface: None,
            problem: None,
            packets: None,
            fence: None,
            keeper: Keeper::new(options.mode.lifetime()),
            taken_at: Instant(0),
            announced: 0,
            announced_from: Instant(0),
            next_announcement: None,
            next_conflict: Instant(0),
            gave_way_at: None,
            wanted_until: Instant(0),
            release_at: None,
            releases_again: false,
            troubles: Troubles::default(),
            leaves_by: None,
        }
    }

    /// By the user's program, which is called for it the first time: nobody waits for more.
    pub fn is_being_released(&self) -> bool {
        !self.releases_again && self.program.as_ref().and_then(Program::running) == Some(Verb::Release)
    }

    /// As it still is when the node has no right to the address any more.
    pub fn is_released_late(&self, now: Instant) -> bool {
        let deadline = self.keeper.deadline();
        self.is_being_released() && deadline > Instant(0) && now >= deadline
    }

    /// As far as the kernel was told, or the user's program has done it.
    pub fn is_here(&self, now: Instant) -> bool {
        self.keeper.is_held(now) && self.program.as_ref().is_none_or(|program| program.running().is_none())
    }

    /// Whether it is an address of the queue manager's.
    pub fn is_of(&self, queue_manager: QueueManagerId) -> bool {
        self.address.queue_manager == queue_manager && self.leaves_by.is_none()
    }

    /// Whether it is no address any more, and not here.
    pub fn has_left(&self, now: Instant) -> bool {
        let is_idle = self.release_at.is_none()
            && self.program.as_ref().is_none_or(|program| program.running().is_none());
        self.leaves_by.is_some_and(|by| now >= by) && is_idle && !self.keeper.is_held(now)
    }

    /// Whether clients do not come here, whoever holds it.
    pub fn is_cut_off(&self) -> bool {
        match &self.interface {
            Some(interface) => !interface.is_up,
            None => self.problem.is_some(),
        }
    }

    /// Whether this is what the agent put there, or will be with the next renewal.
    pub fn is_own(&self, found: &Found, now: Instant) -> bool {
        found.ip == self.address.ip
            && found.prefix == whole(found.ip)
            && self.interface.as_ref().is_some_and(|interface| interface.index == found.index)
            && self.keeper.is_held(now)
    }

    /// Follows the interface that the address belongs on: it may come later, go, and come back as another one by its number.
    pub fn settle(
        &mut self,
        options: &Options,
        interfaces: &[Interface],
        now: Instant,
    ) -> Result<(), Unsettled> {
        let found = match &self.interface {
            Some(own) => interfaces.iter().find(|found| found.name == own.name),
            None => Some(options.interface_of(&self.address, interfaces).map_err(Unsettled::Nowhere)?),
        };
        let Some(found) = found else {
            self.interface.iter_mut().for_each(|own| own.is_up = false);
            return Ok(());
        };
        let is_new = self.interface.as_ref().is_none_or(|own| own.index != found.index);
        if is_new {
            let packets = Packets::open(found, self.address.ip);
            self.packets = Some(packets.map_err(|error| {
                let Address { ip, name, .. } = &self.address;
                Unsettled::Unfit(format!("address {ip} of queue manager {name}: {}", not_allowed(&error)))
            })?);
            if options.mode == Mode::Fast {
                self.fence = Some(Fence::build(&found.name, self.address.ip).map_err(Unsettled::Unfit)?);
            }
        }
        let was_up = !is_new && self.interface.as_ref().is_some_and(|own| own.is_up);
        self.interface = Some(found.clone());
        // Its neighbours may have forgotten the address.
        if found.is_up && !was_up && self.keeper.is_held(now) {
            self.announce_from(now);
        }
        Ok(())
    }

    /// The hardware address of somebody else who claims it, as far as frames that came say so.
    pub fn claimed_by(&self) -> Option<[u8; 6]> {
        let (packets, interface) = (self.packets.as_ref()?, self.interface.as_ref()?);
        let mut buffer = [0; 128];
        let mut other = None;
        while let Some(frame) = packets.hear(&mut buffer) {
            if let Some((hardware, address)) = frames::claim(frame)
                && address == self.address.ip
                && hardware != interface.hardware
            {
                other = Some(hardware);
            }
        }
        other
    }

    /// At once and then as [`ANNOUNCE_AT`] has it.
    pub fn announce_from(&mut self, now: Instant) {
        (self.announced, self.announced_from) = (0, now);
        self.announce(now);
    }

    pub fn announce(&mut self, now: Instant) {
        let (Some(packets), Some(interface)) = (&self.packets, &self.interface) else { return };
        for frame in frames::announcements(self.address.ip, interface.hardware) {
            if let Err(error) = packets.send(&frame) {
                tracing::warn!(address = %self.address.ip, %error, "the address could not be announced");
            }
        }
        self.announced += 1;
        let next = ANNOUNCE_AT.get(self.announced).map(|after| self.announced_from + *after);
        self.next_announcement = Some(next.filter(|next| *next > now).unwrap_or(now + REFRESH));
    }

    /// As old tools show it: `eth0:0`.
    pub fn label(&self) -> String {
        let name = self.interface.as_ref().map_or("", |interface| interface.name.as_str());
        format!("{name}:{}", self.address.number)
    }
}

pub fn not_allowed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; {}", super::HOW_TO_GET_RIGHTS),
        _ => error.to_string(),
    }
}
