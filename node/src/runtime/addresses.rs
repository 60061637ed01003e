//! The node's end of the address agent: starts it, gives up the rights that only it needs, tells it what the minds' roles
//! ask for, and the minds what became of that. Peers are told who is connected through the addresses that are here, and
//! the agent who was connected to the node that had them before. Addresses of queue managers that were created come and go with the
//! cluster's records (`keeper`), also where the cluster file has none, if it has a section `[address]`.
//!
//! A node whose agent ended, or does not answer any more (`vip/pulse.rs`), cannot hold an address, and may not serve where clients look
//! for it: it ends the agent, waits until the kernel has removed what is left, and ends, so that another node takes over.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use caps::{CapSet, Capability, CapsHashSet};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use trimaran_proto::replica::v1::AddressAgent;

use super::clock;
use super::diagnostics;
use super::fatal::{Fatal, FatalReason, fatal};
use super::left_agent;
use super::notices::Standing;
use crate::config::Config;
use crate::consensus;
use crate::listener::Connected;
use crate::peer::Peers;
use crate::qmgr::register::FIRST_CREATED;
use crate::replica::{Event, Inboxes};
use crate::types::{Ends, FloatingAddress, InNetwork, Instant, ObjectName, QueueManagerId, RoleView};
use crate::vip::netlink::Route;
use crate::vip::orders::{Line, Report, encode};
use crate::vip::policy::{self, LATENESS, LIFETIME, Order, Policy};
use crate::vip::pulse::{ASK_EVERY, Pulse};
use crate::vip::trouble::Trouble;
use crate::vip::{self, HOW_TO_GET_RIGHTS, Mode};

/// An agent that has not removed left-overs by then, beside the time of a program of the user's, does not work.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// The same for one that is to end, beside the time of a program of the user's. Who outlives its node keeps the port of the peers.
const ENDED_WITHIN: Duration = Duration::from_secs(3);

/// How what is said of an agent that hangs begins.
const SILENT: &str = "the address agent of this node does not answer";

/// How often it is looked whether the kernel has removed what a dead agent held.
const GONE_LOOK: Duration = Duration::from_millis(5);

/// So many clients the agent is told of at a time: a line that fits into the pair of sockets beside orders.
const CLIENTS_A_LINE: usize = 500;
/// Clients that come together are said together.
const CLIENTS_SAID_AFTER: Duration = Duration::from_millis(20);
/// Whoever has a new connection to this node waits no longer for what others know.
const CLIENTS_SAID_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Addresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: vip::Options,
    tail: Duration,
    to_agent: Mutex<ToAgent>,
    seen: Mutex<Seen>,
    /// Of queue managers that were created, and the number of the last line with such.
    created: Mutex<(Vec<vip::Address>, u64)>,
    /// What the agent said of these lines.
    settled: watch::Sender<u64>,
    /// For status.
    floating: watch::Sender<Vec<FloatingAddress>>,
    standing: Standing,
}

#[derive(Debug)]
struct ToAgent {
    line: UnixStream,
    /// Of these it is to hold the addresses.
    to_hold: BTreeSet<QueueManagerId>,
    /// When it was told that the node ends.
    over_since: Option<Instant>,
    /// The rest of a line that did not fit: an agent that is paused reads nothing.
    unsent: Vec<u8>,
}

/// What the agent said last.
#[derive(Debug, Default)]
struct Seen {
    held: BTreeSet<IpAddr>,
    conflicts: BTreeMap<IpAddr, u64>,
    moves: BTreeMap<IpAddr, u64>,
    tickled: BTreeMap<QueueManagerId, u64>,
    /// Clients of the node that had the addresses before, of whom the agent was not told yet.
    to_tickle: BTreeMap<QueueManagerId, Vec<Ends>>,
}

/// How often something happened to an address on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// It came here.
    pub moves: u64,
    /// Somebody else claimed it while it was here.
    pub conflicts: u64,
    /// Clients that were told that it did, or another one of the queue manager's.
    pub tickled: u64,
}

impl Addresses {
    /// Starts the agent, and returns when no address is left of an earlier one. To be called before there are other
    /// threads: what a thread may do is its own.
    pub fn start(
        config: &Config,
        peers: &TcpListener,
        standing: &Standing,
    ) -> Result<Option<Started>, Fatal> {
        let Some(options) = config.addresses.clone() else { return Ok(None) };
        let refused = |text: String| Fatal::new(FatalReason::System, text);
        if options.mode.is_kernels() && !vip::has_rights() {
            let what = match options.addresses.first() {
                Some(address) => format!("address {} of queue manager {}", address.ip, address.name),
                None => "an address of a queue manager that is created".to_owned(),
            };
            return Err(refused(format!("{what} cannot be held by this process: {HOW_TO_GET_RIGHTS}")));
        }
        let cannot = |error: io::Error| refused(format!("start the address agent: {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
        let child = spawn(theirs, peers).map_err(cannot)?;
        let within = READY_WITHIN + options.program_time();
        ours.set_read_timeout(Some(within)).map_err(cannot)?;
        let mut reports = BufReader::new(ours.try_clone().map_err(cannot)?);
        hear_ready(&mut reports, within).map_err(refused)?;
        ours.set_read_timeout(None).map_err(cannot)?;
        if options.mode.is_kernels() {
            keep_rights(&[]).map_err(refused)?;
        }
        let to_agent = ToAgent { line: ours, to_hold: BTreeSet::new(), over_since: None, unsent: Vec::new() };
        let to_agent = Mutex::new(to_agent);
        let tail = tail(config, options.mode);
        let floating = watch::Sender::new(
            options.addresses.iter().map(|address| floating(address, options.mode)).collect(),
        );
        let (seen, standing) = (Mutex::default(), standing.clone());
        let (created, settled) = (Mutex::default(), watch::Sender::new(0));
        let inner = Inner { options, tail, to_agent, seen, created, settled, floating, standing };
        Ok(Some(Started { addresses: Addresses(Arc::new(inner)), reports, child }))
    }

    /// For the mind of a queue manager that has an address, or may be given one.
    pub fn policy(&self, queue_manager: QueueManagerId) -> Option<Policy> {
        self.may_have(queue_manager).then(|| Policy::new(self.0.tail))
    }

    /// How long an address may outlast a lease.
    pub fn tail(&self) -> Duration {
        self.0.tail
    }

    /// How long a planned move waits for an address that does not go by itself: for one call of the user's program.
    pub fn goes_within(&self) -> Duration {
        match self.0.options.mode {
            Mode::Exec => self.0.options.program_time() + LIFETIME,
            _ => Duration::ZERO,
        }
    }

    /// Whoever may have one gives it away before it hands over, whether it has one just then or not.
    pub fn may_have(&self, queue_manager: QueueManagerId) -> bool {
        let is_created = queue_manager >= FIRST_CREATED && queue_manager != QueueManagerId::CLUSTER;
        is_created || self.0.options.of(queue_manager).next().is_some()
    }

    pub fn mode(&self) -> Mode {
        self.0.options.mode
    }

    /// Of queue managers of the cluster file, and of those that were created.
    pub fn all(&self) -> Vec<vip::Address> {
        let of_file = self.0.options.addresses.iter();
        of_file.chain(&self.0.created.lock().0).cloned().collect()
    }

    fn of(&self, queue_manager: QueueManagerId) -> Vec<vip::Address> {
        let mut all = self.all();
        all.retain(|address| address.queue_manager == queue_manager);
        all
    }

    /// These are the addresses of a queue manager that was created from here on. The agent is told, if they are others than before; when
    /// those that went are gone is said by [`Addresses::settled`].
    pub fn set_created(&self, queue_manager: QueueManagerId, name: &ObjectName, wanted: &[InNetwork]) {
        debug_assert!(self.may_have(queue_manager), "the file says those of its own");
        let mut created = self.0.created.lock();
        let (all, number) = &mut *created;
        let before = all.iter().filter(|address| address.queue_manager == queue_manager);
        let before: Vec<InNetwork> = before.map(|of| InNetwork { ip: of.ip, prefix: of.prefix }).collect();
        if before == wanted {
            return;
        }
        *number += 1;
        all.retain(|address| address.queue_manager != queue_manager);
        let address = |of: &InNetwork| {
            let InNetwork { ip, prefix } = *of;
            vip::Address { queue_manager, name: name.clone(), ip, prefix, number: 0 }
        };
        all.extend(wanted.iter().map(address));
        self.0.floating.send_modify(|shown| {
            for one in shown.iter_mut().filter(|one| one.queue_manager == queue_manager) {
                one.is_former = !wanted.iter().any(|of| of.ip == one.ip);
            }
            for of in wanted {
                if !shown.iter().any(|one| one.queue_manager == queue_manager && one.ip == of.ip) {
                    shown.push(floating(&address(of), self.0.options.mode));
                }
            }
        });
        let line = Line::Addresses {
            queue_manager: queue_manager.0,
            name: name.to_string(),
            addresses: wanted.iter().map(InNetwork::to_string).collect(),
            number: *number,
        };
        let mut to_agent = self.0.to_agent.lock();
        if wanted.is_empty() {
            to_agent.to_hold.remove(&queue_manager);
        }
        to_agent.send(&line, false);
    }

    /// Which addresses this node could hold, as its interfaces are now.
    pub fn can_hold(&self) -> AddressAgent {
        let options = &self.0.options;
        if !options.mode.is_kernels() || options.interface.is_some() {
            return AddressAgent { anywhere: true, ..AddressAgent::default() };
        }
        let interfaces = Route::open().and_then(|mut route| route.interfaces()).unwrap_or_default();
        let own = interfaces.iter().flat_map(|interface| &interface.addresses);
        let own = own.filter(|(ip, _)| !ip.is_loopback());
        // Those that float say nothing of a place.
        let own = own.filter(|(ip, prefix)| *prefix < if ip.is_ipv4() { 32 } else { 128 });
        let own = own.map(|(ip, prefix)| InNetwork { ip: *ip, prefix: *prefix }.to_string()).collect();
        AddressAgent { own, ..AddressAgent::default() }
    }

    /// Whether nothing is left here of what went with [`Addresses::set_created`].
    pub fn is_settled(&self) -> bool {
        *self.0.settled.borrow() >= self.0.created.lock().1
    }

    /// Changes when the agent has answered.
    pub fn settled(&self) -> watch::Receiver<u64> {
        self.0.settled.subscribe()
    }

    /// Does not wait.
    pub fn order(&self, queue_manager: QueueManagerId, order: Order) {
        let is_hold = matches!(order, Order::Hold { .. });
        let has_none = self.of(queue_manager).is_empty();
        let mut to_agent = self.0.to_agent.lock();
        if is_hold && has_none {
            to_agent.to_hold.remove(&queue_manager);
            return;
        }
        match is_hold {
            true => to_agent.to_hold.insert(queue_manager),
            false => to_agent.to_hold.remove(&queue_manager),
        };
        to_agent.send(&Line::new(queue_manager, order), is_hold);
    }

    /// For status: changes when an address comes or goes.
    pub fn floating(&self) -> watch::Receiver<Vec<FloatingAddress>> {
        self.0.floating.subscribe()
    }

    /// Whether the address is on this node.
    pub fn is_held(&self, ip: IpAddr) -> bool {
        self.0.seen.lock().held.contains(&ip)
    }

    pub fn counts(&self, address: &vip::Address) -> Counts {
        let seen = self.0.seen.lock();
        let of = |counts: &BTreeMap<IpAddr, u64>| counts.get(&address.ip).copied().unwrap_or(0);
        let tickled = seen.tickled.get(&address.queue_manager).copied().unwrap_or(0);
        Counts { moves: of(&seen.moves), conflicts: of(&seen.conflicts), tickled }
    }

    fn set_held(&self, held: BTreeSet<IpAddr>) {
        self.change_floating(|one| one.is_here = held.contains(&one.ip));
        self.0.seen.lock().held = held;
    }

    /// Asks the agent what it holds, where it has answered so far; else why it cannot be relied on any more.
    fn look_after(&self, pulse: &mut Pulse) -> Result<(), String> {
        let mut to_agent = self.0.to_agent.lock();
        if let Some(since) = to_agent.over_since {
            let is_late = clock::instant().since(since) >= self.ends_within();
            return if is_late { Err("does not end".to_owned()) } else { Ok(()) };
        }
        pulse.look(clock::instant());
        if pulse.is_over(!to_agent.to_hold.is_empty()) {
            return Err("does not answer any more".to_owned());
        }
        to_agent.send(&Line::Ask, true);
        drop(to_agent);
        match pulse.has_lost(LIFETIME) {
            true => {
                self.0.standing.report(format!("{SILENT}: it could not take an address over, and ends soon"))
            }
            false => self.0.standing.take_back(SILENT),
        }
        if pulse.has_lost(self.0.options.mode.lifetime()) && !self.0.seen.lock().held.is_empty() {
            tracing::warn!("the address agent does not answer: what it held is gone");
            self.set_held(BTreeSet::new());
        }
        Ok(())
    }

    /// How long an agent may take that is told to end.
    fn ends_within(&self) -> Duration {
        ENDED_WITHIN + self.0.options.program_time()
    }

    /// Tells the agent of some more clients. It answers when they were told.
    fn tickle(&self, queue_manager: QueueManagerId) {
        let mut seen = self.0.seen.lock();
        let Some(clients) = seen.to_tickle.get_mut(&queue_manager).filter(|clients| !clients.is_empty())
        else {
            return;
        };
        let some = clients.split_off(clients.len().saturating_sub(CLIENTS_A_LINE));
        drop(seen);
        self.0.to_agent.lock().send(&Line::tickle(queue_manager, &some), false);
    }

    /// Tells the peers who is connected through the addresses, while these are here; and the agent what they are called.
    pub async fn tell_peers(self, connected: Arc<Connected>, peers: Arc<Peers>, inboxes: Inboxes) {
        let mut known = BTreeSet::new();
        loop {
            let _ = tokio::time::timeout(CLIENTS_SAID_EVERY, connected.changed()).await;
            tokio::time::sleep(CLIENTS_SAID_AFTER).await;
            let hardware = peers.hardware();
            if hardware != known {
                known.clone_from(&hardware);
                self.0.to_agent.lock().send(&Line::Peers { hardware }, false);
            }
            for inbox in &inboxes.of_programs() {
                let id = inbox.queue_manager();
                let RoleView::Serving { term, .. } = *inbox.published().role.borrow() else { continue };
                let mut here = self.of(id);
                here.retain(|address| self.is_held(address.ip));
                if !here.is_empty() {
                    let clients = here.into_iter().flat_map(|address| connected.at(address.ip));
                    peers.tell_clients(id, term, clients.collect());
                }
            }
        }
    }

    fn on_report(&self, report: Report, inboxes: &Inboxes, peers: &Peers) {
        let tell = |id: &QueueManagerId, event: Event| {
            if let Some(inbox) = inboxes.get(*id) {
                let _ = inbox.deliver_blocking(event);
            }
        };
        let mut seen = self.0.seen.lock();
        match report {
            Report::Ready => {}
            Report::Unfit { sentence } => self.0.standing.report(sentence),
            Report::Taken { queue_manager, address, claimed, announced, .. } => {
                let id = QueueManagerId(queue_manager);
                *seen.moves.entry(address).or_default() += 1;
                seen.to_tickle.entry(id).or_default().extend(peers.take_clients(id));
                drop(seen);
                self.tickle(id);
                let (taken, announced) = (Instant(claimed), Instant(announced));
                tell(&id, Event::AddressHere { taken, announced });
            }
            Report::Tickled { queue_manager, count } => {
                let id = QueueManagerId(queue_manager);
                *seen.tickled.entry(id).or_default() += count;
                drop(seen);
                self.tickle(id);
            }
            Report::Released { queue_manager, deadline } => {
                drop(seen);
                tell(&QueueManagerId(queue_manager), Event::AddressGone { deadline: Instant(deadline) });
            }
            Report::Holding { addresses } => {
                drop(seen);
                self.set_held(addresses);
            }
            Report::Trouble { address, trouble, sentence } => {
                drop(seen);
                self.on_trouble(address, trouble, sentence);
            }
            Report::Interface { queue_manager, is_up } => {
                drop(seen);
                match is_up {
                    true => tracing::info!(queue_manager, "the interface of the floating address is up"),
                    false => tracing::warn!(
                        queue_manager,
                        "no interface of the floating address is up: clients do not reach this node there"
                    ),
                }
                tell(&QueueManagerId(queue_manager), Event::Interface { is_up });
            }
            Report::Settled { number } => {
                drop(seen);
                self.0.settled.send_replace(number);
                if self.is_settled() {
                    self.0.floating.send_modify(|shown| shown.retain(|one| !one.is_former));
                }
            }
            Report::Conflict { address } => *seen.conflicts.entry(address).or_default() += 1,
            Report::Hardware { own } => {
                drop(seen);
                peers.tell_hardware(own);
            }
        }
    }
}

impl Addresses {
    /// It is logged at once: it may be over soon.
    fn on_trouble(&self, address: IpAddr, trouble: Trouble, sentence: Option<String>) {
        match (&sentence, trouble) {
            (Some(sentence), _) => tracing::warn!("{sentence}"),
            (None, Trouble::Nowhere) => {
                tracing::info!(%address, "the floating address has a place on this machine now");
            }
            (None, _) => {}
        }
        if trouble == Trouble::NotGivenBack {
            self.change_floating(|one| {
                if one.ip == address {
                    one.not_given_back = sentence.is_some();
                }
            });
        }
        self.0.standing.address(address, trouble, sentence);
    }

    fn change_floating(&self, change: impl FnMut(&mut FloatingAddress)) {
        self.0.floating.send_if_modified(|all| {
            let before = all.clone();
            all.iter_mut().for_each(change);
            *all != before
        });
    }

    /// Until the agent is gone, or cannot be relied on: why, if that is known.
    fn hear(&self, reports: &mut BufReader<UnixStream>, inboxes: &Inboxes, peers: &Peers) -> Option<String> {
        let (mut pulse, mut line, mut asked) = (Pulse::default(), String::new(), Instant(0));
        loop {
            match reports.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {
                    let Ok(report) = serde_json::from_str(&line) else {
                        return Some(format!("says what nobody understands ({})", line.trim_end()));
                    };
                    line.clear();
                    pulse.heard();
                    self.on_report(report, inboxes, peers);
                }
                // What came of a line stays.
                Err(error) if is_silence(&error) => {}
                Err(_) => return None,
            }
            let now = clock::instant();
            if now.since(asked) >= ASK_EVERY {
                asked = now;
                if let Err(why) = self.look_after(&mut pulse) {
                    return Some(why);
                }
            }
        }
    }

    /// Ends the agent, and returns when the kernel has removed what it held, as it does within a second, and what there is to be said
    /// of the agent. It was not waited for before: its id names nobody else.
    fn wait_until_gone(&self, child: &mut Child, why: Option<String>) -> String {
        let _ = child.kill();
        let until = clock::instant() + LIFETIME + LATENESS;
        loop {
            let status = child.try_wait();
            let is_over = clock::instant() >= until;
            if is_over || matches!(status, Ok(Some(_))) && !self.is_in_kernel() {
                let ended = || match status {
                    Ok(Some(status)) => format!("ended ({status})"),
                    _ => "does not end".to_owned(),
                };
                return why.unwrap_or_else(ended);
            }
            std::thread::sleep(GONE_LOOK);
        }
    }

    /// Whether an interface of this machine has one of the addresses. Where nobody can say, it may.
    fn is_in_kernel(&self) -> bool {
        let all = self.all();
        let ours = |ip: IpAddr| all.iter().any(|address| address.ip == ip);
        let found = || Route::open().and_then(|mut route| route.addresses());
        self.0.options.mode.is_kernels() && found().map_or(true, |all| all.iter().any(|found| ours(found.ip)))
    }
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

impl ToAgent {
    fn send(&mut self, line: &Line, may_be_lost: bool) {
        // Its time is over before an agent that does not read comes to it.
        if !self.flush() && may_be_lost {
            return;
        }
        self.unsent.extend(encode(line));
        self.flush();
    }

    /// Whether nothing is left.
    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            match socket2::SockRef::from(&self.line).send_with_flags(&self.unsent, flags) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(_) => return false,
            }
        }
        true
    }
}

fn floating(address: &vip::Address, mode: Mode) -> FloatingAddress {
    FloatingAddress {
        queue_manager: address.queue_manager,
        ip: address.ip,
        is_here: false,
        is_dry_run: mode == Mode::DryRun,
        not_given_back: false,
        is_former: false,
        is_by_program: mode == Mode::Exec,
    }
}

/// How long an address may outlast a lease.
fn tail(config: &Config, mode: Mode) -> Duration {
    let election = config.timing.election;
    policy::tail(mode.lifetime(), consensus::Options { election, ..consensus::Options::default() }.lease())
}

/// An agent that is ready.
pub struct Started {
    pub addresses: Addresses,
    reports: BufReader<UnixStream>,
    child: Child,
}

impl Started {
    /// Hears the agent for as long as it lives.
    pub fn listen(self, inboxes: Inboxes, peers: Arc<Peers>) -> io::Result<Listening> {
        let Started { addresses, mut reports, mut child } = self;
        let to_agent = addresses.clone();
        let (ended, is_ended) = oneshot::channel();
        reports.get_ref().set_read_timeout(Some(ASK_EVERY))?;
        let hear = move || {
            let why = addresses.hear(&mut reports, &inboxes, &peers);
            if addresses.0.to_agent.lock().over_since.is_some() {
                if let Some(why) = why {
                    tracing::warn!("the address agent {why}: it is killed");
                    let _ = child.kill();
                }
                let _ = child.wait();
                drop(ended);
                return;
            }
            let why = addresses.wait_until_gone(&mut child, why);
            fatal(
                FatalReason::System,
                format_args!("the address agent {why}: this node ends, so that another one takes over"),
            );
        };
        std::thread::Builder::new().name("addresses".into()).spawn(hear)?;
        Ok(Listening { addresses: to_agent, is_ended })
    }
}

/// An agent that works.
pub struct Listening {
    addresses: Addresses,
    is_ended: oneshot::Receiver<Infallible>,
}

impl Listening {
    /// Returns when nothing of the agent's is left in the kernel: who stops a service may end whatever outlives the node.
    pub async fn end(self) {
        {
            let mut to_agent = self.addresses.0.to_agent.lock();
            to_agent.over_since = Some(clock::instant());
            let _ = to_agent.line.shutdown(Shutdown::Write);
        }
        let _ = self.is_ended.await;
    }
}

/// That it begins, or why it does not.
fn hear_ready(reports: &mut BufReader<UnixStream>, within: Duration) -> Result<(), String> {
    let mut line = String::new();
    let why = match reports.read_line(&mut line) {
        Ok(0) => "it ended".to_owned(),
        Err(error) if is_silence(&error) => format!("it said nothing for {within:?}"),
        Err(error) => error.to_string(),
        Ok(_) => match serde_json::from_str(&line) {
            Ok(Report::Ready) => return Ok(()),
            Ok(Report::Unfit { sentence }) => return Err(sentence),
            _ => format!("it says what nobody understands ({})", line.trim_end()),
        },
    };
    Err(format!("the address agent does not begin: {why}"))
}

/// The same program with the same arguments, but for the first.
fn spawn(control: UnixStream, peers: &TcpListener) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("hold-addresses")
        .args(std::env::args_os().skip(2))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::from(OwnedFd::from(control)))
        .stdout(Stdio::from(OwnedFd::from(peers.try_clone()?)))
        .spawn()
}

/// One that outlived its node, and hangs.
pub fn end_left_agent(config: &Config) -> Result<(), Fatal> {
    let Some(options) = &config.addresses else { return Ok(()) };
    left_agent::end(&config.data_directory, options.program_time())
        .map_err(|text| Fatal::new(FatalReason::System, text))
}

/// What the agent's process does; see `vip::agent`.
pub fn hold_addresses(config: Config) -> Result<(), Fatal> {
    diagnostics::start_log(&config.log);
    diagnostics::end_on_panic();
    let refused = |text: String| Fatal::new(FatalReason::System, text);
    let Some(options) = config.addresses else { return Ok(()) };
    let _lock = left_agent::lock(&config.data_directory).inspect_err(
        |error| tracing::warn!(%error, "a node that starts later would not find this agent if it hung"),
    );
    // It ends with the node, and not before: who stops a service signals all of its processes.
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: no handler runs; the kernel only ignores the signal from now on.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    if options.mode.is_kernels() {
        keep_rights(&vip::RIGHTS).map_err(refused)?;
    }
    if options.mode == Mode::Fast {
        // For nft, which makes the fence.
        let rights: CapsHashSet = vip::RIGHTS.into();
        caps::set(None, CapSet::Ambient, &rights)
            .map_err(|error| refused(format!("keep rights: {error}")))?;
    }
    let control = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let control = control.map_err(|error| refused(format!("the node's orders: {error}")))?;
    vip::agent::run(options, control, clock::instant).map_err(|error| refused(error.to_string()))
}

/// Gives up every right but these, for this thread and all that it starts, and for good.
fn keep_rights(rights: &[Capability]) -> Result<(), String> {
    let kept: CapsHashSet = rights.iter().copied().collect();
    let drop = || {
        if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
            for right in caps::all().difference(&kept) {
                // The kernel may be older than the list.
                let _ = caps::drop(None, CapSet::Bounding, *right);
            }
        }
        caps::clear(None, CapSet::Ambient)?;
        for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
            caps::set(None, set, &kept)?;
        }
        Ok(())
    };
    drop().map_err(|error: caps::errors::CapsError| format!("give up rights: {error}"))?;
    // SAFETY: it sets a bit of this thread.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(format!("give up rights: {}", io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn why_an_agent_does_not_begin_is_a_sentence() {
        let within = Duration::from_millis(20);
        let heard = |said: Option<&str>| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_read_timeout(Some(within)).unwrap();
            let kept = said.map(|said| {
                theirs.write_all(said.as_bytes()).unwrap();
                theirs
            });
            let heard = hear_ready(&mut BufReader::new(ours), within);
            drop(kept);
            heard.unwrap_err()
        };
        assert_eq!(heard(None), "the address agent does not begin: it ended");
        assert_eq!(heard(Some("")), "the address agent does not begin: it said nothing for 20ms");
        let unfit = serde_json::to_string(&Report::Unfit { sentence: "no rights".to_owned() }).unwrap();
        assert_eq!(heard(Some(&format!("{unfit}\n"))), "no rights");
    }
}
