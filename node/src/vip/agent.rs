//! The process that holds the addresses: it alone may change interfaces, and does nothing else.
//!
//! It hears orders over its standard input, one line each, and answers there. Its standard output is the node's port of the
//! peers, which it never uses and which stays open for as long as it is: the peers must not take the node for dead while an
//! address is still here. It ends when the node's end of the pair closes, after it removed what it held.
//!
//! ```text
//! orders ──► Keeper ──► kernel (netlink, a lifetime each) ──► announcements ──► the network
//!                 ▲                                                                │
//!                 └───────────────── somebody else claims it ◄─────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use trimaran_proto::plain;

use super::companions::{Companions, loopback};
use super::connections;
use super::fence::Fence;
use super::frames;
use super::keeper::Act;
use super::netlink::{Changes, Found, Route};
use super::orders::{Line, Report, Said, encode};
use super::place::{Place, Unsettled, not_allowed};
use super::policy::{LATENESS, LIFETIME, Order};
use super::program::{Ended, Verb};
use super::strays::{self, Stray};
use super::tickle::{self, Raw, Tickles};
use super::trouble::Trouble;
use super::{Address, Mode, Options};
use crate::types::{Ends, InNetwork, Instant, ObjectName, QueueManagerId, Term};

/// Whoever answers so soon after it was taken had it before.
const PROBE_WINDOW: Duration = Duration::from_millis(200);
/// A stranger is given so much time to go before the address is tried again.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// The first time less: a node that died together with its agent has the address for a lifetime, and may have told nobody yet what its
/// interface is called.
const REFUSED_FOR_FIRST: Duration = LIFETIME.saturating_add(Duration::from_millis(200));
/// A program that failed is called again so late.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// A program that takes so long keeps clients waiting.
const SLOW: Duration = Duration::from_secs(1);
/// And once more when the node is gone, if it failed so soon: the agent has to end.
const FAILED_SOON: Duration = Duration::from_millis(500);
const CONFLICT_EVERY: Duration = Duration::from_secs(1);
/// What happened and is over, as a claim or an address that was removed, is in status for so long.
const SHOWN_FOR: Duration = Duration::from_secs(60);
/// How often it is looked whether what a person has to remove was removed.
const LEFT_LOOK: Duration = Duration::from_secs(1);

struct Agent {
    options: Options,
    clock: fn() -> Instant,
    control: UnixStream,
    /// Of mode kernel.
    kernel: Option<Kernel>,
    companions: Companions,
    places: Vec<Place>,
    /// Clients of those who had the addresses before.
    tickles: BTreeMap<QueueManagerId, Tickles>,
    /// What the interfaces of the addresses are called, as the node was told.
    own: BTreeSet<[u8; 6]>,
    /// What those of other nodes are, as they say.
    peers: BTreeSet<[u8; 6]>,
    /// Those that have an address whose interface is down.
    cut_off: BTreeSet<QueueManagerId>,
    /// Releases that are answered when the addresses are gone.
    owed: BTreeMap<QueueManagerId, Instant>,
    /// The newest line with addresses of a queue manager that was created, if it is not answered.
    unsettled: Option<u64>,
    /// Addresses that are wanted, of a queue manager that was created, while they are leaving.
    later: Vec<(QueueManagerId, ObjectName, InNetwork)>,
    /// What the node was told that is here, and whether it wants to know.
    told: BTreeSet<IpAddr>,
    is_asked: bool,
    unread: Vec<u8>,
    /// When it is looked for those that a person has to remove.
    next_left_look: Instant,
}

/// What is kept open to the kernel.
struct Kernel {
    route: Route,
    changes: Changes,
    raw: Raw,
}

/// Runs until the node is gone. `control` is the agent's end of the pair.
pub fn run(options: Options, control: UnixStream, clock: fn() -> Instant) -> io::Result<()> {
    let (mut agent, found) = match Agent::begin(options, control.try_clone()?, clock) {
        Ok(begun) => begun,
        Err(sentence) => {
            (&control).write_all(&encode(&Report::Unfit { sentence }))?;
            return Ok(());
        }
    };
    agent.report(&Report::Ready);
    agent.report_strays(&found);
    for number in 0..agent.places.len() {
        if let Some(problem) = agent.places[number].problem.clone() {
            agent.trouble(number, Trouble::Nowhere, problem, None);
        }
    }
    agent.report_interfaces();
    agent.until_node_is_gone();
    agent.give_all_back();
    Ok(())
}

impl Agent {
    /// Whoever has the addresses on this machine, and what an earlier agent left, is removed before anything else: the sentences are
    /// about that. An address that has no place here is none of the others' business.
    fn begin(
        options: Options,
        control: UnixStream,
        clock: fn() -> Instant,
    ) -> Result<(Agent, Vec<Stray>), String> {
        control.set_nonblocking(true).map_err(|error| error.to_string())?;
        let mut places: Vec<Place> =
            options.addresses.iter().map(|address| Place::new(address.clone(), &options)).collect();
        let (mut kernel, mut found) = (None, Vec::new());
        if options.mode.is_kernels() {
            let netlink = |error: io::Error| format!("netlink: {error}");
            let list =
                |route: &mut Route| route.interfaces().map_err(|error| format!("list interfaces: {error}"));
            let mut route = Route::open().map_err(netlink)?;
            let changes = Changes::open().map_err(netlink)?;
            let before = list(&mut route)?;
            found = strays::remove(&mut route, &options.addresses, &before, |_| true)
                .map_err(|error| format!("floating addresses: {}", not_allowed(&error)))?;
            let interfaces = list(&mut route)?;
            for place in &mut places {
                Fence::remove(place.address.ip);
                match place.settle(&options, &interfaces, clock()) {
                    Ok(()) => {}
                    Err(Unsettled::Nowhere(sentence)) => place.problem = Some(sentence),
                    Err(Unsettled::Unfit(sentence)) => return Err(sentence),
                }
            }
            let raw = Raw::open().map_err(|error| format!("floating addresses: {}", not_allowed(&error)))?;
            kernel = Some(Kernel { route, changes, raw });
        }
        release_all(&mut places, clock)?;
        let agent = Agent {
            options,
            clock,
            control,
            kernel,
            companions: Companions::new(std::process::id()),
            places,
            tickles: BTreeMap::new(),
            own: BTreeSet::new(),
            peers: BTreeSet::new(),
            cut_off: BTreeSet::new(),
            owed: BTreeMap::new(),
            unsettled: None,
            later: Vec::new(),
            told: BTreeSet::new(),
            is_asked: false,
            unread: Vec::new(),
            next_left_look: Instant(0),
        };
        Ok((agent, found))
    }

    /// The node is gone. A program that does not release an address is called once more; the next agent calls it again.
    fn give_all_back(&mut self) {
        let began = (self.clock)();
        for number in 0..self.places.len() {
            let act = self.places[number].keeper.let_go();
            self.carry_out(number, act, None);
            if act.is_none() && self.places[number].release_at.is_some() {
                self.release_again(number);
            }
        }
        let left = self.finish_programs();
        if !left.is_empty() && (self.clock)().since(began) < FAILED_SOON {
            std::thread::sleep(FAILED_FOR);
            left.into_iter().for_each(|number| self.release_again(number));
            self.finish_programs();
        }
        for place in self.places.iter().filter(|place| place.fence.is_some()) {
            Fence::remove(place.address.ip);
        }
    }

    /// Waits for all that run. Those that failed.
    fn finish_programs(&mut self) -> Vec<usize> {
        let mut left = Vec::new();
        for (number, place) in self.places.iter_mut().enumerate() {
            let Some(program) = &mut place.program else { continue };
            let (address, is_release) = (place.address.ip, program.running() == Some(Verb::Release));
            match program.finish(self.clock) {
                Ok(()) if is_release => said_given_back(address, self.options.mode),
                Ok(()) => {}
                Err(error) => {
                    tracing::error!("address {address}: {error}");
                    left.push(number);
                }
            }
        }
        left
    }

    fn until_node_is_gone(&mut self) {
        loop {
            self.wait();
            let Ok(orders) = self.read_orders() else { return };
            for (queue_manager, order) in orders {
                self.follow(queue_manager, order);
            }
            self.look_at_changes();
            for number in 0..self.places.len() {
                self.on_time(number);
                self.listen(number);
                self.look_at_program(number);
            }
            self.look_at_left();
            self.take_out_left();
            self.answer_releases();
            self.tell_clients();
            self.say_what_is_here();
        }
    }

    fn say_what_is_here(&mut self) {
        let now = (self.clock)();
        let here = self.places.iter().filter(|place| place.is_here(now)).map(|place| place.address.ip);
        let here: BTreeSet<IpAddr> = here.collect();
        if std::mem::take(&mut self.is_asked) || here != self.told {
            self.told.clone_from(&here);
            self.report(&Report::Holding { addresses: here });
        }
    }

    /// Until there is something to read, or to do.
    fn wait(&self) {
        let now = (self.clock)();
        let due = self
            .places
            .iter()
            .flat_map(|place| {
                let program = place.program.as_ref().and_then(|program| program.next(now));
                let leaves = place.leaves_by.filter(|by| *by > now);
                [place.keeper.next(), place.next_announcement, program, place.release_at, leaves]
            })
            .chain(self.tickles.values().map(Tickles::next))
            .flatten()
            .min();
        let timeout = due.map_or(1_000, |due| due.since(now).as_millis().min(1_000) as i32 + 1);
        let descriptors = std::iter::once(self.control.as_raw_fd())
            .chain(self.kernel.iter().map(|kernel| kernel.changes.as_raw_fd()))
            .chain(self.places.iter().filter_map(|place| place.packets.as_ref()).map(AsRawFd::as_raw_fd));
        let mut polled: Vec<libc::pollfd> =
            descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
        // SAFETY: the kernel writes into the vector's own elements. A signal only ends the wait early.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    }

    /// The newest order for each queue manager; who is to be told is noted. An error when the node is gone.
    fn read_orders(&mut self) -> io::Result<BTreeMap<QueueManagerId, Order>> {
        let mut buffer = [0; 4096];
        loop {
            match self.control.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut orders = BTreeMap::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line: Line = serde_json::from_slice(&line)?;
            match line.said() {
                Said::Ask => self.is_asked = true,
                Said::Peers(hardware) => self.peers = hardware,
                Said::Order(queue_manager, order) => drop(orders.insert(queue_manager, order)),
                Said::Tickle(queue_manager, clients) => self.note_clients(queue_manager, clients),
                Said::Addresses(queue_manager, name, addresses, number) => {
                    self.unsettled = Some(number);
                    self.set_addresses(queue_manager, &name, &addresses);
                }
            }
        }
        Ok(orders)
    }

    /// Of what the node says only what concerns an address of this agent's counts.
    fn note_clients(&mut self, queue_manager: QueueManagerId, clients: Vec<Ends>) {
        let own = |ends: &Ends| {
            let of = |place: &Place| {
                place.address.queue_manager == queue_manager && place.address.ip == ends.local.ip()
            };
            self.places.iter().any(of) && ends.client.is_ipv4() == ends.local.is_ipv4()
        };
        let own: Vec<Ends> = clients.into_iter().filter(own).collect();
        let tickles = self.tickles.entry(queue_manager).or_default();
        own.into_iter().for_each(|ends| tickles.push(ends));
        if tickles.is_through() {
            self.report(&Report::Tickled { queue_manager: queue_manager.0, count: 0 });
        }
    }

    /// The clients whose turn it is, as long as the address that they know is here.
    fn tell_clients(&mut self) {
        let now = (self.clock)();
        let mut reports = Vec::new();
        for (queue_manager, tickles) in &mut self.tickles {
            let was_through = tickles.is_through();
            for (ends, time) in tickles.due(now) {
                let held = |place: &Place| place.address.ip == ends.local.ip() && place.keeper.is_held(now);
                if self.places.iter().any(held) && is_sent(self.kernel.as_ref(), ends, time) {
                    tickles.told += u64::from(time == 0);
                }
            }
            if !was_through && tickles.is_through() {
                let count = std::mem::take(&mut tickles.told);
                reports.push(Report::Tickled { queue_manager: queue_manager.0, count });
            }
        }
        reports.iter().for_each(|report| self.report(report));
    }

    /// What the kernel says of interfaces and addresses.
    fn look_at_changes(&mut self) {
        let now = (self.clock)();
        let Some(kernel) = &mut self.kernel else { return };
        let changed = kernel.changes.take();
        let is_stray = |found: &Found| {
            let of = |place: &Place| place.address.ip == found.ip && !place.is_own(found, now);
            strays::is_stray(found) && self.places.iter().any(of)
        };
        if changed.some_lost || changed.addresses.iter().any(is_stray) {
            self.remove_strays();
        }
        // The network that an address belongs to may have come.
        let waits = !changed.addresses.is_empty() && self.places.iter().any(|place| place.problem.is_some());
        if changed.links || changed.some_lost || waits {
            self.look_at_interfaces();
        }
    }

    fn remove_strays(&mut self) {
        let now = (self.clock)();
        let Some(Kernel { route, .. }) = &mut self.kernel else { return };
        let places = &self.places;
        let is_to_go =
            |found: &Found| strays::is_stray(found) && !places.iter().any(|place| place.is_own(found, now));
        let addresses: Vec<Address> = places.iter().map(|place| place.address.clone()).collect();
        let removed = route
            .interfaces()
            .and_then(|interfaces| strays::remove(route, &addresses, &interfaces, is_to_go));
        match removed {
            Ok(found) => self.report_strays(&found),
            Err(error) => tracing::error!(%error, "an address that no agent put there cannot be removed"),
        }
    }

    /// All that were found.
    fn report_strays(&mut self, strays: &[Stray]) {
        (0..self.places.len()).for_each(|number| self.report_strays_of(number, strays));
    }

    fn report_strays_of(&mut self, number: usize, strays: &[Stray]) {
        let (now, ip) = ((self.clock)(), self.places[number].address.ip);
        let sentences = |is_left: bool| {
            let found = strays.iter().filter(|stray| stray.ip == ip && stray.is_left == is_left);
            found.map(|stray| stray.sentence.as_str()).collect::<Vec<_>>().join("; ")
        };
        match sentences(true) {
            none if none.is_empty() => self.is_over(number, Trouble::Left),
            left => self.trouble(number, Trouble::Left, left, None),
        }
        let removed = sentences(false);
        if !removed.is_empty() {
            self.trouble(number, Trouble::Removed, removed, Some(now + SHOWN_FOR));
        }
    }

    /// Whether somebody has removed what the agent may not.
    fn look_at_left(&mut self) {
        let now = (self.clock)();
        let is_any = self.places.iter().any(|place| place.troubles.stands(Trouble::Left));
        if is_any && now >= self.next_left_look {
            self.next_left_look = now + LEFT_LOOK;
            self.remove_strays();
        }
    }

    /// Says it, where it is news.
    fn trouble(&mut self, number: usize, trouble: Trouble, sentence: String, until: Option<Instant>) {
        let place = &mut self.places[number];
        let address = place.address.ip;
        if place.troubles.note(trouble, &sentence, until) {
            self.report(&Report::Trouble { address, trouble, sentence: Some(sentence) });
        }
    }

    /// Says so, where it stood.
    fn is_over(&mut self, number: usize, trouble: Trouble) {
        let place = &mut self.places[number];
        let address = place.address.ip;
        if place.troubles.over(trouble) {
            self.report(&Report::Trouble { address, trouble, sentence: None });
        }
    }

    fn look_at_interfaces(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        let Ok(interfaces) = kernel.route.interfaces() else { return };
        let now = (self.clock)();
        let mut changed = Vec::new();
        for (number, place) in self.places.iter_mut().enumerate() {
            let problem = match place.settle(&self.options, &interfaces, now) {
                Ok(()) => None,
                Err(Unsettled::Nowhere(sentence)) => Some(sentence),
                Err(Unsettled::Unfit(sentence)) => {
                    tracing::error!("{sentence}");
                    continue;
                }
            };
            if place.problem != problem {
                place.problem.clone_from(&problem);
                changed.push((number, problem));
            }
        }
        for (number, problem) in changed {
            match problem {
                Some(problem) => self.trouble(number, Trouble::Nowhere, problem, None),
                None => self.is_over(number, Trouble::Nowhere),
            }
        }
        self.report_interfaces();
    }

    /// Whose clients are cut off here, and whose are not any more; and what the interfaces are called.
    fn report_interfaces(&mut self) {
        let interfaces = self.places.iter().filter_map(|place| place.interface.as_ref());
        let own: BTreeSet<[u8; 6]> =
            interfaces.map(|found| found.hardware).filter(|hardware| *hardware != [0; 6]).collect();
        if own != self.own {
            self.own.clone_from(&own);
            self.report(&Report::Hardware { own });
        }
        let down = self.places.iter().filter(|place| place.is_cut_off());
        let down = down.map(|place| place.address.queue_manager);
        let down: BTreeSet<QueueManagerId> = down.collect();
        let before = std::mem::replace(&mut self.cut_off, down.clone());
        for changed in before.symmetric_difference(&down) {
            let is_up = !down.contains(changed);
            self.report(&Report::Interface { queue_manager: changed.0, is_up });
        }
    }

    fn follow(&mut self, queue_manager: QueueManagerId, order: Order) {
        let numbers = (0..self.places.len()).filter(|n| self.places[*n].is_of(queue_manager));
        for number in numbers.collect::<Vec<_>>() {
            let place = &mut self.places[number];
            let is_hold = matches!(order, Order::Hold { .. });
            place.wanted_until = match order {
                Order::Hold { deadline, .. } => place.wanted_until.max(deadline),
                Order::Release { .. } => Instant(0),
            };
            if is_hold && (place.problem.is_some() || place.is_being_released()) {
                // The next renewal comes soon enough.
                continue;
            }
            let act = place.keeper.follow(order, (self.clock)());
            self.carry_out(number, act, Some(order));
        }
        if let Order::Release { deadline } = order {
            self.owed.insert(queue_manager, deadline);
            self.answer_releases();
        }
    }

    /// Of a queue manager that was created. Whatever the node says, nothing of the file's is touched.
    fn set_addresses(&mut self, queue_manager: QueueManagerId, name: &str, wanted: &[InNetwork]) {
        let Ok(name) = ObjectName::new(name) else { return };
        if self.options.of(queue_manager).next().is_some() {
            return tracing::error!(%name, "its addresses are said by the cluster file, and by nobody else");
        }
        for number in 0..self.places.len() {
            let place = &self.places[number];
            let Address { ip, prefix, .. } = place.address;
            if place.is_of(queue_manager) && !wanted.contains(&InNetwork { ip, prefix }) {
                self.let_leave(number);
            }
        }
        self.later.retain(|(of, ..)| *of != queue_manager);
        for address in wanted {
            let has = |place: &Place| place.address.ip == address.ip;
            match self.places.iter().find(|place| has(place)) {
                None => self.add_place(queue_manager, &name, *address),
                Some(place) if place.leaves_by.is_some() => {
                    self.later.push((queue_manager, name.clone(), *address));
                }
                Some(place) if place.is_of(queue_manager) && place.address.prefix == address.prefix => {}
                Some(place) => tracing::error!(
                    address = %address.ip,
                    queue_manager = %name,
                    other = %place.address.name,
                    "the address is another one's here: it is held for that one only"
                ),
            }
        }
        self.report_interfaces();
    }

    /// It goes now. What the kernel did not remove ends by itself.
    fn let_leave(&mut self, number: usize) {
        let now = (self.clock)();
        self.places[number].leaves_by = Some(now);
        let act = self.places[number].keeper.let_go();
        self.carry_out(number, act, None);
        let place = &mut self.places[number];
        if place.troubles.stands(Trouble::Failed) {
            place.leaves_by = Some(now + LIFETIME + LATENESS);
        }
    }

    /// As at the start: whoever has it on this machine, and what an earlier agent left, goes first.
    fn add_place(&mut self, queue_manager: QueueManagerId, name: &ObjectName, address: InNetwork) {
        let now = (self.clock)();
        let is_free = |number: &usize| self.places.iter().all(|place| place.address.number != *number);
        let number = (0..).find(is_free).expect("there are fewer addresses than numbers");
        let InNetwork { ip, prefix } = address;
        let address = Address { queue_manager, name: name.clone(), ip, prefix, number };
        let mut place = Place::new(address.clone(), &self.options);
        let mut strays = Vec::new();
        if let Some(Kernel { route, .. }) = &mut self.kernel {
            Fence::remove(ip);
            let interfaces = route.interfaces();
            let removed = interfaces.and_then(|interfaces| {
                strays = strays::remove(route, std::slice::from_ref(&address), &interfaces, |_| true)?;
                route.interfaces()
            });
            place.problem = match removed {
                Err(error) => Some(format!("address {ip} of queue manager {name}: {}", plain::error(error))),
                Ok(interfaces) => match place.settle(&self.options, &interfaces, now) {
                    Ok(()) => None,
                    Err(Unsettled::Nowhere(sentence) | Unsettled::Unfit(sentence)) => Some(sentence),
                },
            };
        }
        let problem = place.problem.clone();
        self.places.push(place);
        let last = self.places.len() - 1;
        if self.places[last].program.is_some() {
            self.release_again(last);
            // Not to be held before.
            self.places[last].releases_again = false;
        }
        self.report_strays_of(last, &strays);
        if let Some(problem) = problem {
            self.trouble(last, Trouble::Nowhere, problem, None);
        }
    }

    /// Those that have left are forgotten, and with the last of them the node is answered.
    fn take_out_left(&mut self) {
        let now = (self.clock)();
        while let Some(number) = self.places.iter().position(|place| place.has_left(now)) {
            let place = self.places.remove(number);
            let address = place.address.ip;
            if place.fence.is_some() {
                Fence::remove(address);
            }
            for trouble in place.troubles.standing() {
                self.report(&Report::Trouble { address, trouble, sentence: None });
            }
            tracing::info!(%address, queue_manager = %place.address.name, "no address of the queue manager any more");
            self.report_interfaces();
            let comes = self.later.iter().position(|(.., wanted)| wanted.ip == address);
            if let Some((queue_manager, name, wanted)) = comes.map(|at| self.later.remove(at)) {
                self.add_place(queue_manager, &name, wanted);
            }
        }
        if !self.places.iter().any(|place| place.leaves_by.is_some())
            && let Some(number) = self.unsettled.take()
        {
            self.report(&Report::Settled { number });
        }
    }

    /// Those whose addresses are gone: programs may take their time.
    fn answer_releases(&mut self) {
        for (queue_manager, deadline) in std::mem::take(&mut self.owed) {
            let going =
                |place: &Place| place.address.queue_manager == queue_manager && place.is_being_released();
            match self.places.iter().any(going) {
                true => drop(self.owed.insert(queue_manager, deadline)),
                false => {
                    self.report(&Report::Released { queue_manager: queue_manager.0, deadline: deadline.0 })
                }
            }
        }
    }

    /// Whether the user's program has come to its end.
    fn look_at_program(&mut self, number: usize) {
        let now = (self.clock)();
        let place = &mut self.places[number];
        let Some(Ended { verb, term, result }) = place.program.as_mut().and_then(|program| program.look(now))
        else {
            return;
        };
        match (verb, result) {
            (Verb::Acquire, Ok(())) => self.on_taken(number, term, now),
            (Verb::Release, Ok(())) => {
                said_given_back(place.address.ip, self.options.mode);
                self.is_over(number, Trouble::NotGivenBack);
            }
            (Verb::Acquire, Err(error)) => {
                // What it did before it failed is undone.
                let act = place.keeper.refuse(now + FAILED_FOR);
                self.on_failure(number, &error);
                self.carry_out(number, act, None);
            }
            (Verb::Release, Err(error)) => self.on_not_released(number, &error),
        }
    }

    /// Nobody waits for it: whoever takes the address takes it from here, where the network lets it.
    fn on_not_released(&mut self, number: usize, error: &io::Error) {
        let now = (self.clock)();
        let place = &mut self.places[number];
        place.release_at = Some(now + FAILED_FOR);
        let sentence = format!(
            "address {}: {}: this node could not give it back, and two machines may have it until it has; the program is called \
             again every {} s",
            place.address.ip,
            plain::error(error),
            FAILED_FOR.as_secs()
        );
        self.trouble(number, Trouble::NotGivenBack, sentence, None);
    }

    fn release_again(&mut self, number: usize) {
        let now = (self.clock)();
        let place = &mut self.places[number];
        let Some(program) = &mut place.program else { return };
        (place.release_at, place.releases_again) = (None, true);
        if let Err(error) = program.start(Verb::Release, Term(0), Duration::ZERO, now) {
            self.on_not_released(number, &error);
        }
    }

    fn on_time(&mut self, number: usize) {
        let now = (self.clock)();
        let place = &mut self.places[number];
        if let Some(act) = place.keeper.on_time(now) {
            tracing::warn!(address = %place.address.ip, "the node did not renew the address in time: removed");
            self.carry_out(number, Some(act), None);
        }
        let place = &mut self.places[number];
        if place.next_announcement.is_some_and(|due| now >= due) {
            place.announce(now);
        }
        if place.release_at.is_some_and(|due| now >= due) {
            self.release_again(number);
        }
        self.look_at_slow_program(number, now);
        self.look_at_troubles(number, now);
    }

    /// Clients wait for it, or another node does not.
    fn look_at_slow_program(&mut self, number: usize, now: Instant) {
        let place = &self.places[number];
        let (Some(program), address) = (&place.program, place.address.ip) else { return };
        if place.is_released_late(now) {
            let sentence = format!(
                "address {address}: {} still runs after the end of the lease: unless a planned move waits for it, two machines \
                 may have the address until it is done",
                program.call(Verb::Release)
            );
            self.trouble(number, Trouble::NotGivenBack, sentence, None);
        } else if program.runs_for(SLOW, now) == Some(Verb::Acquire)
            && !place.troubles.stands(Trouble::Failed)
        {
            let sentence = format!(
                "address {address}: {} has run for more than {SLOW:?}: clients have no address until it is done; it may take {:?}",
                program.call(Verb::Acquire),
                program.limit()
            );
            self.trouble(number, Trouble::Failed, sentence, None);
        }
    }

    /// Which of them are over.
    fn look_at_troubles(&mut self, number: usize, now: Instant) {
        let place = &mut self.places[number];
        let is_wanted = now < place.wanted_until;
        let is_alone = place.is_here(now) && now >= place.taken_at + PROBE_WINDOW;
        let address = place.address.ip;
        for trouble in place.troubles.on_time(now) {
            self.report(&Report::Trouble { address, trouble, sentence: None });
        }
        if !is_wanted {
            self.is_over(number, Trouble::Failed);
        }
        if !is_wanted || is_alone {
            self.is_over(number, Trouble::Stranger);
        }
    }

    /// Whether somebody else claims the address.
    fn listen(&mut self, number: usize) {
        let now = (self.clock)();
        let place = &mut self.places[number];
        let Some(hardware) = place.claimed_by() else { return };
        if !place.keeper.is_held(now) || now < place.next_conflict {
            return;
        }
        place.next_conflict = now + CONFLICT_EVERY;
        let shown = hardware.map(|byte| format!("{byte:02x}")).join(":");
        let neighbours = self.kernel.as_mut().and_then(|kernel| kernel.route.neighbours().ok());
        let is_peer =
            self.peers.contains(&hardware) || self.options.is_peer(hardware, &neighbours.unwrap_or_default());
        // Another node's lease is over, and so is its right to the address. Nobody can tell a stranger that.
        let gives_way = !is_peer && now < place.taken_at + PROBE_WINDOW;
        let address = place.address.ip;
        if gives_way {
            let gave_way = place.gave_way_at.replace(now);
            let is_first = gave_way.is_none_or(|before| now.since(before) > 2 * REFUSED_FOR);
            let act = place.keeper.refuse(now + if is_first { REFUSED_FOR_FIRST } else { REFUSED_FOR });
            self.carry_out(number, act, None);
            let sentence = format!(
                "address {address} is in use by a machine with hardware address {shown}, which is no node of this cluster: it was \
                 not taken; stop that machine, or give the queue manager another address"
            );
            self.trouble(number, Trouble::Stranger, sentence, None);
        } else {
            place.announce(now);
            let sentence =
                format!("address {address} was also claimed by the machine with hardware address {shown}");
            self.trouble(number, Trouble::Claimed, sentence, Some(now + SHOWN_FOR));
        }
        self.report(&Report::Conflict { address });
    }

    fn carry_out(&mut self, number: usize, act: Option<Act>, order: Option<Order>) {
        let Some(act) = act else { return };
        let done = match self.options.mode {
            Mode::Kernel | Mode::Fast => self.tell_kernel(number, act, order),
            Mode::Exec => self.call_program(number, act, order),
            Mode::DryRun => Ok(()),
        };
        let now = (self.clock)();
        let place = &mut self.places[number];
        if let Err(error) = done {
            match self.options.mode {
                Mode::Exec => drop(place.keeper.refuse(now + FAILED_FOR)),
                _ => drop(place.keeper.let_go()),
            }
            return match (self.options.mode, act) {
                (Mode::Exec, Act::Remove) => self.on_not_released(number, &error),
                _ => self.on_failure(number, &error),
            };
        }
        if matches!(act, Act::Take | Act::Renew) && self.options.mode != Mode::Exec {
            self.is_over(number, Trouble::Failed);
        }
        let place = &mut self.places[number];
        match (act, order) {
            // In mode exec when its program has done it.
            (Act::Take, Some(Order::Hold { term, .. })) if self.options.mode != Mode::Exec => {
                self.on_taken(number, term, now);
            }
            (Act::Remove, _) if self.options.mode != Mode::Exec => {
                place.next_announcement = None;
                said_given_back(place.address.ip, self.options.mode);
            }
            _ => {}
        }
    }

    fn on_taken(&mut self, number: usize, term: Term, now: Instant) {
        let place = &mut self.places[number];
        let (queue_manager, address) = (place.address.queue_manager.0, place.address.ip);
        place.taken_at = now;
        place.announce_from(now);
        let announced = (self.clock)().0;
        tracing::info!(%address, term = term.0, mode = self.options.mode.as_str(), "address taken");
        self.report(&Report::Taken { queue_manager, address, term: term.0, claimed: now.0, announced });
        self.is_over(number, Trouble::Failed);
        self.is_over(number, Trouble::NotGivenBack);
    }

    fn on_failure(&mut self, number: usize, error: &io::Error) {
        // Each renewal may fail for the same reason.
        let sentence = format!("address {}: {}", self.places[number].address.ip, plain::error(error));
        self.trouble(number, Trouble::Failed, sentence, None);
    }

    /// Does not wait for it.
    fn call_program(&mut self, number: usize, act: Act, order: Option<Order>) -> io::Result<()> {
        let now = (self.clock)();
        let verb = match act {
            Act::Take => Verb::Acquire,
            Act::Remove => Verb::Release,
            Act::Renew => return Ok(()),
        };
        let (term, lease) = match order {
            Some(Order::Hold { term, deadline }) => (term, deadline.since(now)),
            _ => (Term(0), Duration::ZERO),
        };
        let place = &mut self.places[number];
        (place.release_at, place.releases_again) = (None, false);
        match &mut place.program {
            Some(program) => program.start(verb, term, lease, now),
            None => Ok(()),
        }
    }

    fn tell_kernel(&mut self, number: usize, act: Act, order: Option<Order>) -> io::Result<()> {
        let (Some(Kernel { route, .. }), place) = (&mut self.kernel, &mut self.places[number]) else {
            return Ok(());
        };
        let Some(interface) = &place.interface else { return Ok(()) };
        let address = place.address.ip;
        if act == Act::Remove {
            // While the address is there: the ends of the connections learn it by a reset that comes from it.
            if let Err(error) = connections::destroy_all(address) {
                tracing::warn!(%address, %error, "the connections that used the address are left to their timeouts");
            }
            return route.remove(interface, address).map(|_| ());
        }
        if act == Act::Take
            && let Some(packets) = &place.packets
        {
            // Whoever has it answers within a fraction of a millisecond; nobody waits for that.
            packets.send(&frames::probe(address, interface.hardware))?;
        }
        let (clock, lifetime) = (self.clock, self.options.mode.lifetime());
        let is_in_time = || match order {
            Some(Order::Hold { deadline, .. }) => clock() + lifetime < deadline,
            _ => false,
        };
        if let Some(fence) = &mut place.fence {
            let mut opened = fence.open(lifetime, is_in_time);
            // Whoever loads the rules of a firewall anew removes all others.
            if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                *fence = Fence::build(&interface.name, address).map_err(io::Error::other)?;
                opened = fence.open(lifetime, is_in_time);
            }
            opened?;
        }
        // A fence is closed in time whatever the kernel does.
        if place.fence.is_none()
            && let Some(companion) = self.companions.due(address, clock())
            && let Err(error) = route.set(&loopback(), companion, "lo:0", LIFETIME.as_secs() as u32, || true)
        {
            tracing::debug!(%companion, %error, "the kernel may be late to remove the address");
        }
        route.set(interface, address, &place.label(), LIFETIME.as_secs() as u32, is_in_time)
    }

    /// A node that does not read loses reports, and nothing else.
    fn report(&mut self, report: &Report) {
        let _ = self.control.write_all(&encode(report));
    }
}

/// What an earlier agent left, by the user's programs, side by side.
fn release_all(places: &mut [Place], clock: fn() -> Instant) -> Result<(), String> {
    let mut failed = Vec::new();
    for is_begin in [true, false] {
        for place in &mut *places {
            let Some(program) = &mut place.program else { continue };
            let done = match is_begin {
                true => program.start(Verb::Release, Term(0), Duration::ZERO, clock()),
                false => program.finish(clock),
            };
            failed.extend(done.err().map(|error| format!("address {}: {error}", place.address.ip)));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

fn said_given_back(address: IpAddr, mode: Mode) {
    tracing::info!(%address, mode = mode.as_str(), "address given back");
}

/// In a dry run it is only said.
fn is_sent(kernel: Option<&Kernel>, ends: Ends, time: usize) -> bool {
    let Some(kernel) = kernel else {
        let packet: String = tickle::packet(ends, time).iter().map(|byte| format!("{byte:02x}")).collect();
        tracing::info!(client = %ends.client, packet, "a client would be told");
        return true;
    };
    let sent = kernel.raw.send(ends, time);
    if let Err(error) = &sent {
        tracing::debug!(client = %ends.client, %error, "a client was not told");
    }
    sent.is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;
    use crate::types::{ObjectName, Term};

    const ID: QueueManagerId = QueueManagerId(1);

    fn now() -> Instant {
        static BEGAN: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        Instant(5_000_000 + BEGAN.elapsed().as_micros() as u64)
    }

    #[test]
    fn only_clients_of_an_address_that_is_here_are_told() {
        let name = ObjectName::new("QM").unwrap();
        let address = |queue_manager, ip: [u8; 4], number| Address {
            queue_manager,
            name: name.clone(),
            ip: ip.into(),
            prefix: 24,
            number,
        };
        let options = Options {
            mode: Mode::DryRun,
            addresses: vec![address(ID, [10, 0, 0, 50], 0), address(QueueManagerId(2), [10, 0, 0, 51], 1)],
            interface: None,
            program: None,
            program_limit: Duration::from_secs(1),
            peers: Vec::new(),
        };
        let (mut node, control) = UnixStream::pair().unwrap();
        let agent = std::thread::spawn(move || run(options, control, now));
        let mut lines = BufReader::new(node.try_clone().unwrap()).lines();
        let mut report = move || serde_json::from_str::<Report>(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(report(), Report::Ready);
        let holding =
            |of: &[[u8; 4]]| Report::Holding { addresses: of.iter().map(|ip| IpAddr::from(*ip)).collect() };
        node.write_all(&encode(&Line::Ask)).unwrap();
        assert_eq!(report(), holding(&[]));

        let ends =
            |ip: [u8; 4], client: &str| Ends { local: (ip, 7201).into(), client: client.parse().unwrap() };
        let tell = |clients: &[Ends]| encode(&Line::tickle(ID, clients));
        let before = now();
        let hold = Line::new(ID, Order::Hold { term: Term(3), deadline: before + 60 * LIFETIME });
        node.write_all(&tell(&[ends([10, 0, 0, 50], "10.0.0.9:1")])).unwrap();
        assert_eq!(report(), Report::Tickled { queue_manager: 1, count: 0 }, "it is not here");
        let own = [10, 0, 0, 50];
        let some = [ends(own, "10.0.0.9:1"), ends(own, "[fd00::9]:2"), ends([10, 0, 0, 51], "10.0.0.9:3")];
        // Together: an address that nobody renews is held for a second only.
        node.write_all(&[encode(&hold), tell(&some)].concat()).unwrap();
        let Report::Taken { queue_manager: 1, term: 3, address, claimed, announced } = report() else {
            panic!("not taken")
        };
        assert_eq!(address, IpAddr::from(own));
        node.write_all(&encode(&Line::Ask)).unwrap();
        assert!(before.0 <= claimed && claimed <= announced && announced <= now().0);
        // What it holds is said without being asked, too; clients are told when that takes its time, or before.
        let rest = [report(), report(), report()];
        let held = rest.iter().filter(|report| **report == holding(&[own])).count();
        assert_eq!(held, 2, "{rest:?}");
        let told = Report::Tickled { queue_manager: 1, count: 1 };
        assert!(rest.contains(&told), "neither another family nor another's: {rest:?}");
        node.write_all(&tell(&[ends([10, 0, 0, 1], "10.0.0.9:4")])).unwrap();
        let rest = [report(), report()];
        assert!(
            rest.contains(&Report::Tickled { queue_manager: 1, count: 0 }),
            "no address of the agent: {rest:?}"
        );
        assert!(rest.contains(&holding(&[])), "nobody renews it: {rest:?}");
        drop((node, report));
        agent.join().unwrap().unwrap();
    }

    fn created(queue_manager: u32, addresses: &[&str], number: u64) -> Vec<u8> {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        encode(&Line::Addresses { queue_manager, name: "NEW".into(), addresses, number })
    }

    #[test]
    fn addresses_of_queue_managers_that_are_created_come_and_go_while_it_runs() {
        let name = ObjectName::new("QM").unwrap();
        let of_file = Address { queue_manager: ID, name, ip: [10, 0, 0, 50].into(), prefix: 24, number: 0 };
        let options = Options {
            mode: Mode::DryRun,
            addresses: vec![of_file],
            interface: None,
            program: None,
            program_limit: Duration::from_secs(1),
            peers: Vec::new(),
        };
        let (mut node, control) = UnixStream::pair().unwrap();
        std::thread::spawn(move || run(options, control, now));
        let mut lines = BufReader::new(node.try_clone().unwrap()).lines();
        let mut report = move || serde_json::from_str::<Report>(&lines.next().unwrap().unwrap()).unwrap();
        let holding =
            |of: &[[u8; 4]]| Report::Holding { addresses: of.iter().map(|ip| IpAddr::from(*ip)).collect() };
        assert_eq!(report(), Report::Ready);

        let hold = |of: u32| {
            let deadline = now() + 60 * LIFETIME;
            encode(&Line::new(QueueManagerId(of), Order::Hold { term: Term(3), deadline }))
        };
        let both = ["10.0.0.60/24", "10.0.0.61/24"];
        node.write_all(&[created(65_536, &both, 1), hold(65_536)].concat()).unwrap();
        for _ in both {
            assert!(matches!(report(), Report::Taken { queue_manager: 65_536, .. }));
        }
        assert_eq!(report(), Report::Settled { number: 1 });
        assert_eq!(report(), holding(&[[10, 0, 0, 60], [10, 0, 0, 61]]));

        // What is taken away and given back before the agent has looked is there again.
        node.write_all(&[created(65_536, &[], 6), created(65_536, &both, 7), hold(65_536)].concat()).unwrap();
        assert_eq!(report(), Report::Settled { number: 7 });
        assert_eq!(report(), holding(&[]));
        node.write_all(&hold(65_536)).unwrap();
        for _ in both {
            assert!(matches!(report(), Report::Taken { queue_manager: 65_536, .. }));
        }
        assert_eq!(report(), holding(&[[10, 0, 0, 60], [10, 0, 0, 61]]));

        // Neither the file's nor another one's becomes somebody else's by that.
        node.write_all(&[created(1, &[], 2), created(65_537, &["10.0.0.50/24", "10.0.0.60/24"], 3)].concat())
            .unwrap();
        node.write_all(&hold(65_537)).unwrap();
        assert_eq!(report(), Report::Settled { number: 3 });
        node.write_all(&created(65_536, &["10.0.0.61/24"], 4)).unwrap();
        assert_eq!(report(), Report::Settled { number: 4 }, "it is not here any more when that is said");
        assert_eq!(report(), holding(&[[10, 0, 0, 61]]));
        node.write_all(&[created(65_537, &["10.0.0.60/24"], 5), hold(65_537)].concat()).unwrap();
        assert!(matches!(report(), Report::Taken { queue_manager: 65_537, .. }));
        assert_eq!(report(), Report::Settled { number: 5 });
    }

    #[test]
    fn what_a_program_holds_is_gone_when_it_has_released_it() {
        let (mut node, mut report, directory) =
            with_program(RELEASES_LATER, Duration::from_secs(60), &[], |report| {
                matches!(report, Report::Ready | Report::Taken { .. } | Report::Settled { .. })
            });
        assert_eq!(report(), Report::Ready);
        node.write_all(&created(65_536, &["10.0.0.60/24"], 1)).unwrap();
        assert_eq!(report(), Report::Settled { number: 1 });
        loop {
            // Not before the program was called to release it, as at a start.
            let deadline = now() + 2 * LIFETIME;
            let hold = Order::Hold { term: Term(3), deadline };
            node.write_all(&encode(&Line::new(QueueManagerId(65_536), hold))).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            if called(&directory).iter().any(|line| line.starts_with("acquire 10.0.0.60")) {
                break;
            }
        }
        assert!(matches!(report(), Report::Taken { queue_manager: 65_536, .. }));
        node.write_all(&created(65_536, &[], 2)).unwrap();
        let asked = now();
        assert_eq!(report(), Report::Settled { number: 2 });
        assert!(now().since(asked) >= FAILED_FOR, "its first release failed");
        let of_it: Vec<String> =
            called(&directory).into_iter().filter(|line| line.contains("10.0.0.60")).collect();
        assert_eq!(
            of_it,
            [
                "release 10.0.0.60 NEW 0",
                "acquire 10.0.0.60 NEW 3",
                "release 10.0.0.60 NEW 0",
                "release 10.0.0.60 NEW 0"
            ]
        );
    }

    /// A node's end of the pair, and an agent that calls this script for 10.0.0.50 and these.
    fn with_program(
        script: &str,
        limit: Duration,
        more: &[u8],
        is_wanted: fn(&Report) -> bool,
    ) -> (UnixStream, impl FnMut() -> Report, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        let text = format!("#!/bin/sh\ncd {}\necho \"$@\" >>called\n{script}\n", directory.path().display());
        // By another process: one that has it open for writing, and forks, would keep it from being run.
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(&program);
        let mut writes = shell.stdin(std::process::Stdio::piped()).spawn().unwrap();
        writes.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(writes.wait().unwrap().success());
        let (name, more) = (ObjectName::new("QM").unwrap(), more.iter().enumerate());
        let address =
            |number, ip: IpAddr| Address { queue_manager: ID, name: name.clone(), ip, prefix: 24, number };
        let more = more.map(|(number, ip)| address(number + 1, IpAddr::from([10, 0, 0, *ip])));
        let options = Options {
            mode: Mode::Exec,
            addresses: std::iter::once(address(0, IpAddr::from([10, 0, 0, 50]))).chain(more).collect(),
            interface: None,
            program: Some(program),
            program_limit: limit,
            peers: Vec::new(),
        };
        let (node, control) = UnixStream::pair().unwrap();
        std::thread::spawn(move || run(options, control, now));
        let mut lines = BufReader::new(node.try_clone().unwrap()).lines();
        let report = move || loop {
            let report = serde_json::from_str::<Report>(&lines.next().unwrap().unwrap()).unwrap();
            if is_wanted(&report) {
                return report;
            }
        };
        (node, report, directory)
    }

    fn is_no_state(report: &Report) -> bool {
        !matches!(report, Report::Holding { .. } | Report::Trouble { sentence: None, .. })
    }

    fn is_of_release(report: &Report) -> bool {
        !matches!(report, Report::Holding { .. } | Report::Trouble { trouble: Trouble::Failed, .. })
    }

    /// Releases once more than it says that it did.
    const RELEASES_LATER: &str = "[ $1 = release ] || exec touch held; [ -e held ] || exit 0; [ -e tried ] || { touch tried; exit 7; }";

    fn called(directory: &tempfile::TempDir) -> Vec<String> {
        let text = std::fs::read_to_string(directory.path().join("called")).unwrap();
        // Who is called with what, without what is left of the lease.
        text.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    }

    fn renew(node: &mut UnixStream) {
        let deadline = now() + 2 * LIFETIME;
        node.write_all(&encode(&Line::new(ID, Order::Hold { term: Term(3), deadline }))).unwrap();
    }

    #[test]
    fn a_program_that_takes_longer_than_a_lifetime_is_called_once_and_the_release_is_answered_when_it_is_done()
     {
        let script = "[ $1 = release ] || sleep 1.5";
        let (mut node, mut report, directory) =
            with_program(script, Duration::from_secs(60), &[], is_no_state);
        assert_eq!(report(), Report::Ready);
        let begun = now();
        let mut renewing = node.try_clone().unwrap();
        let renews = std::thread::spawn(move || {
            for _ in 0..20 {
                renew(&mut renewing);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let Report::Trouble { trouble: Trouble::Failed, sentence: Some(sentence), .. } = report() else {
            panic!("nobody says why clients have no address")
        };
        assert!(sentence.contains("program acquire has run for more than 1s: "), "{sentence}");
        let Report::Taken { term: 3, claimed, .. } = report() else { panic!("not taken") };
        assert!(Instant(claimed).since(begun) >= Duration::from_millis(1_500), "when it is there");
        renews.join().unwrap();
        let release = Order::Release { deadline: now() };
        node.write_all(&encode(&Line::new(ID, release))).unwrap();
        assert!(matches!(report(), Report::Released { .. }));
        assert_eq!(
            called(&directory),
            ["release 10.0.0.50 QM 0", "acquire 10.0.0.50 QM 3", "release 10.0.0.50 QM 0"]
        );
    }

    #[test]
    fn a_program_that_hangs_or_fails_is_ended_named_and_undone() {
        for (script, said) in [
            ("[ $1 = release ] || exec sleep 1000", "took more than 200ms"),
            ("[ $1 = release ] || exit 7", "ended with exit status: 7"),
        ] {
            let (mut node, mut report, directory) =
                with_program(script, Duration::from_millis(200), &[], is_no_state);
            assert_eq!(report(), Report::Ready);
            renew(&mut node);
            let Report::Trouble { trouble: Trouble::Failed, sentence: Some(sentence), .. } = report() else {
                panic!("it did not fail")
            };
            assert!(sentence.starts_with("address 10.0.0.50: ") && sentence.contains(said), "{sentence}");
            // Not at once again.
            renew(&mut node);
            let release = Order::Release { deadline: now() };
            node.write_all(&encode(&Line::new(ID, release))).unwrap();
            assert!(matches!(report(), Report::Released { .. }));
            assert_eq!(
                called(&directory),
                ["release 10.0.0.50 QM 0", "acquire 10.0.0.50 QM 3", "release 10.0.0.50 QM 0"]
            );
        }
    }

    #[test]
    fn a_release_that_outlasts_the_lease_is_said_while_it_runs() {
        let script = "[ $1 = acquire ] && exec touch held; [ -e held ] && exec sleep 3; exit 0";
        let (mut node, mut report, _directory) =
            with_program(script, Duration::from_secs(60), &[], |report| {
                !matches!(report, Report::Holding { .. })
            });
        assert_eq!(report(), Report::Ready);
        let deadline = now() + 2 * LIFETIME;
        node.write_all(&encode(&Line::new(ID, Order::Hold { term: Term(3), deadline }))).unwrap();
        assert!(matches!(report(), Report::Taken { .. }));
        node.write_all(&encode(&Line::new(ID, Order::Release { deadline }))).unwrap();
        let Report::Trouble { trouble: Trouble::NotGivenBack, sentence: Some(sentence), .. } = report()
        else {
            panic!("another node may have it, and nobody says so")
        };
        assert!(now() >= deadline, "until then it is this node's");
        assert!(sentence.contains("program release still runs after the end of the lease: "), "{sentence}");
        assert!(is_given_back(&report()));
        assert!(matches!(report(), Report::Released { .. }), "when it is done");
    }

    #[test]
    fn what_is_left_of_several_addresses_is_released_side_by_side() {
        // Each waits for the other.
        let script = "touch $2; until [ -e 10.0.0.50 ] && [ -e 10.0.0.51 ]; do sleep 0.01; done";
        let (_node, mut report, _directory) =
            with_program(script, Duration::from_secs(5), &[51], is_no_state);
        assert_eq!(report(), Report::Ready);
    }

    /// Takes the address, and gives it back in vain.
    fn not_given_back() -> (UnixStream, impl FnMut() -> Report, tempfile::TempDir) {
        let (mut node, mut report, directory) =
            with_program(RELEASES_LATER, Duration::from_secs(60), &[], is_of_release);
        assert_eq!(report(), Report::Ready);
        renew(&mut node);
        assert!(matches!(report(), Report::Taken { .. }));
        let ordered = now();
        let release = Order::Release { deadline: ordered };
        node.write_all(&encode(&Line::new(ID, release))).unwrap();
        let Report::Trouble { trouble: Trouble::NotGivenBack, sentence: Some(sentence), .. } = report()
        else {
            panic!("nobody says that it is still here")
        };
        let said =
            "ended with exit status: 7: this node could not give it back, and two machines may have it";
        assert!(sentence.starts_with("address 10.0.0.50: ") && sentence.contains(said), "{sentence}");
        assert!(matches!(report(), Report::Released { .. }));
        assert!(now().since(ordered) < FAILED_FOR, "whoever is next does not wait for more than one try");
        (node, report, directory)
    }

    fn is_given_back(report: &Report) -> bool {
        matches!(report, Report::Trouble { trouble: Trouble::NotGivenBack, sentence: None, .. })
    }

    #[test]
    fn a_program_that_does_not_release_is_called_until_it_has_and_nobody_waits_for_that() {
        let (_node, mut report, directory) = not_given_back();
        assert!(is_given_back(&report()));
        assert_eq!(
            called(&directory),
            [
                "release 10.0.0.50 QM 0",
                "acquire 10.0.0.50 QM 3",
                "release 10.0.0.50 QM 0",
                "release 10.0.0.50 QM 0"
            ]
        );
    }

    #[test]
    fn an_address_that_was_not_given_back_and_is_to_be_here_again_is_taken() {
        let (mut node, mut report, directory) = not_given_back();
        renew(&mut node);
        assert!(matches!(report(), Report::Taken { .. }));
        assert!(is_given_back(&report()), "it is not to be");
        drop(node);
        assert_eq!(
            called(&directory),
            [
                "release 10.0.0.50 QM 0",
                "acquire 10.0.0.50 QM 3",
                "release 10.0.0.50 QM 0",
                "acquire 10.0.0.50 QM 3"
            ]
        );
    }

    #[test]
    fn of_two_addresses_the_one_that_is_here_is_said_to_be_and_the_other_is_not() {
        let script = "[ $1 = release ] || [ $2 != 10.0.0.51 ] || exit 7";
        let wanted = |report: &Report| matches!(report, Report::Holding { .. } | Report::Trouble { .. });
        let (node, mut report, _directory) = with_program(script, Duration::from_secs(5), &[51], wanted);
        let mut renewing = node.try_clone().unwrap();
        let renews = std::thread::spawn(move || {
            for _ in 0..20 {
                renew(&mut renewing);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let (mut failed, mut held) = (false, Vec::new());
        while !failed || held.is_empty() {
            match report() {
                Report::Trouble { sentence: Some(sentence), .. } => {
                    failed = sentence.starts_with("address 10.0.0.51: ")
                }
                Report::Holding { addresses } => held = addresses.into_iter().collect(),
                _ => {}
            }
        }
        assert_eq!(held, [IpAddr::from([10, 0, 0, 50])]);
        renews.join().unwrap();
    }
}
