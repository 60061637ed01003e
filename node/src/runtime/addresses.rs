//! The node's end of the address agent: starts it, gives up the rights that only it needs, tells it what the minds' roles
//! ask for, and the minds what became of that. Peers are told who is connected through the addresses that are here, and
//! the agent who was connected to the node that had them before.
//!
//! A node whose agent ended cannot hold an address any more, and may not serve where clients look for it: it waits until
//! the kernel has removed what is left, and ends, so that another node takes over.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use caps::{CapSet, Capability, CapsHashSet};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::clock;
use super::diagnostics;
use super::fatal::{Fatal, FatalReason, fatal};
use super::notices::Standing;
use crate::config::Config;
use crate::consensus;
use crate::listener::Connected;
use crate::peer::Peers;
use crate::replica::{Event, Inbox};
use crate::types::{Ends, FloatingAddress, Instant, QueueManagerId, RoleView};
use crate::vip::orders::{Line, Report, encode};
use crate::vip::policy::{self, LATENESS, LIFETIME, Order, Policy};
use crate::vip::{self, HOW_TO_GET_RIGHTS, Mode};

/// An agent that has not removed left-overs by then does not work.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// The same for one that is to end, and a program of the user's that it may have to call.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

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
    /// For status.
    floating: watch::Sender<Vec<FloatingAddress>>,
    standing: Standing,
}

#[derive(Debug)]
struct ToAgent {
    line: UnixStream,
    /// It was told that the node ends.
    is_over: bool,
    /// The rest of a line that did not fit: an agent that is paused reads nothing.
    unsent: Vec<u8>,
}

/// What the agent said last.
#[derive(Debug, Default)]
struct Seen {
    held: BTreeSet<QueueManagerId>,
    conflicts: BTreeMap<QueueManagerId, u64>,
    moves: BTreeMap<QueueManagerId, u64>,
    tickled: BTreeMap<QueueManagerId, u64>,
    /// Clients of the node that had the addresses before, of whom the agent was not told yet.
    to_tickle: BTreeMap<QueueManagerId, Vec<Ends>>,
}

/// How often something happened to the addresses of a queue manager on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They came here.
    pub moves: u64,
    /// Somebody else claimed one that was here.
    pub conflicts: u64,
    /// Clients that were told that they did.
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
            let address = &options.addresses[0];
            return Err(refused(format!(
                "address {} of queue manager {} cannot be held by this process: {HOW_TO_GET_RIGHTS}",
                address.ip, address.name
            )));
        }
        let cannot = |error: io::Error| refused(format!("start the address agent: {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
        let child = spawn(theirs, peers).map_err(cannot)?;
        ours.set_read_timeout(Some(READY_WITHIN)).map_err(cannot)?;
        let mut reports = BufReader::new(ours.try_clone().map_err(cannot)?);
        match next_report(&mut reports) {
            Some(Report::Ready) => {}
            Some(Report::Unfit { sentence }) => return Err(refused(sentence)),
            other => return Err(refused(format!("the address agent does not begin: {other:?}"))),
        }
        ours.set_read_timeout(None).map_err(cannot)?;
        if options.mode.is_kernels() {
            keep_rights(&[]).map_err(refused)?;
        }
        let to_agent = Mutex::new(ToAgent { line: ours, is_over: false, unsent: Vec::new() });
        let tail = tail(config, options.mode);
        let floating = watch::Sender::new(options.addresses.iter().map(floating).collect());
        let (seen, standing) = (Mutex::default(), standing.clone());
        let inner = Inner { options, tail, to_agent, seen, floating, standing };
        Ok(Some(Started { addresses: Addresses(Arc::new(inner)), reports, child }))
    }

    /// For the mind of a queue manager that has an address.
    pub fn policy(&self, queue_manager: QueueManagerId) -> Option<Policy> {
        self.has(queue_manager).then(|| Policy::new(self.0.tail))
    }

    /// How long an address may outlast a lease.
    pub fn tail(&self) -> Duration {
        self.0.tail
    }

    pub fn has(&self, queue_manager: QueueManagerId) -> bool {
        self.0.options.of(queue_manager).next().is_some()
    }

    pub fn options(&self) -> &vip::Options {
        &self.0.options
    }

    /// Does not wait.
    pub fn order(&self, queue_manager: QueueManagerId, order: Order) {
        self.0.to_agent.lock().send(&Line::new(queue_manager, order), matches!(order, Order::Hold { .. }));
    }

    /// For status: changes when an address comes or goes.
    pub fn floating(&self) -> watch::Receiver<Vec<FloatingAddress>> {
        self.0.floating.subscribe()
    }

    /// Whether the addresses of the queue manager are on this node.
    pub fn is_held(&self, queue_manager: QueueManagerId) -> bool {
        self.0.seen.lock().held.contains(&queue_manager)
    }

    pub fn counts(&self, queue_manager: QueueManagerId) -> Counts {
        let seen = self.0.seen.lock();
        let of = |counts: &BTreeMap<QueueManagerId, u64>| counts.get(&queue_manager).copied().unwrap_or(0);
        Counts { moves: of(&seen.moves), conflicts: of(&seen.conflicts), tickled: of(&seen.tickled) }
    }

    fn on_report(&self, report: Report, inboxes: &BTreeMap<QueueManagerId, Inbox>, peers: &Peers) {
        self.take_down(report, inboxes, peers);
        let seen = self.0.seen.lock();
        self.0.floating.send_modify(|all| {
            all.iter_mut().for_each(|one| one.is_here = seen.held.contains(&one.queue_manager));
        });
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

    /// Tells the peers who is connected through the addresses, while these are here.
    pub async fn tell_peers(self, connected: Arc<Connected>, peers: Arc<Peers>, inboxes: Vec<Inbox>) {
        loop {
            let _ = tokio::time::timeout(CLIENTS_SAID_EVERY, connected.changed()).await;
            tokio::time::sleep(CLIENTS_SAID_AFTER).await;
            for inbox in &inboxes {
                let id = inbox.queue_manager();
                let RoleView::Serving { term, .. } = *inbox.published().role.borrow() else { continue };
                if self.is_held(id) {
                    let clients = self.0.options.of(id).flat_map(|address| connected.at(address.ip));
                    peers.tell_clients(id, term, clients.collect());
                }
            }
        }
    }

    fn take_down(&self, report: Report, inboxes: &BTreeMap<QueueManagerId, Inbox>, peers: &Peers) {
        let tell = |id: &QueueManagerId, event: Event| {
            if let Some(inbox) = inboxes.get(id) {
                let _ = inbox.deliver_blocking(event);
            }
        };
        let mut seen = self.0.seen.lock();
        match report {
            Report::Ready => {}
            Report::Unfit { sentence } => self.0.standing.report(sentence),
            Report::Taken { queue_manager, claimed, announced, .. } => {
                let id = QueueManagerId(queue_manager);
                seen.held.insert(id);
                *seen.moves.entry(id).or_default() += 1;
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
                let id = QueueManagerId(queue_manager);
                seen.held.remove(&id);
                drop(seen);
                tell(&id, Event::AddressGone { deadline: Instant(deadline) });
            }
            Report::Expired { queue_manager } => {
                seen.held.remove(&QueueManagerId(queue_manager));
            }
            Report::Interface { queue_manager, is_up } => {
                drop(seen);
                match is_up {
                    true => tracing::info!(queue_manager, "the interface of the floating address is up"),
                    false => tracing::warn!(
                        queue_manager,
                        "the interface of the floating address is down: clients do not reach this node there"
                    ),
                }
                tell(&QueueManagerId(queue_manager), Event::Interface { is_up });
            }
            Report::Conflict { queue_manager, address, hardware, gave_way } => {
                *seen.conflicts.entry(QueueManagerId(queue_manager)).or_default() += 1;
                let sentence = match gave_way {
                    true => {
                        seen.held.remove(&QueueManagerId(queue_manager));
                        format!(
                            "address {address} is in use by a machine with hardware address {hardware}, which is no node \
                             of this cluster: it was not taken; stop that machine, or give the queue manager another address"
                        )
                    }
                    false => format!(
                        "address {address} was also claimed by the machine with hardware address {hardware}"
                    ),
                };
                tracing::error!("{sentence}");
                self.0.standing.report(sentence);
            }
            Report::Failed { queue_manager, sentence } => {
                seen.held.remove(&QueueManagerId(queue_manager));
                self.0.standing.report(sentence);
            }
        }
    }
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

fn floating(address: &vip::Address) -> FloatingAddress {
    FloatingAddress { queue_manager: address.queue_manager, ip: address.ip, is_here: false }
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
    pub fn listen(
        self,
        inboxes: Arc<BTreeMap<QueueManagerId, Inbox>>,
        peers: Arc<Peers>,
    ) -> io::Result<Listening> {
        let Started { addresses, mut reports, mut child } = self;
        let to_agent = addresses.clone();
        let (ended, is_ended) = oneshot::channel();
        let hear = move || {
            while let Some(report) = next_report(&mut reports) {
                addresses.on_report(report, &inboxes, &peers);
            }
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            if addresses.0.to_agent.lock().is_over {
                drop(ended);
                return;
            }
            std::thread::sleep(LIFETIME + LATENESS);
            fatal(FatalReason::System, format_args!("the address agent ended ({status}): so does the node"));
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
            to_agent.is_over = true;
            let _ = to_agent.line.shutdown(Shutdown::Write);
        }
        if tokio::time::timeout(ENDED_WITHIN, self.is_ended).await.is_err() {
            tracing::warn!("the address agent does not end: stopping all the same");
        }
    }
}

fn next_report(reports: &mut BufReader<UnixStream>) -> Option<Report> {
    let mut line = String::new();
    match reports.read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => serde_json::from_str(&line).ok(),
    }
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

/// What the agent's process does; see `vip::agent`.
pub fn hold_addresses(config: Config) -> Result<(), Fatal> {
    diagnostics::start_log(&config.log);
    diagnostics::end_on_panic();
    let refused = |text: String| Fatal::new(FatalReason::System, text);
    let Some(options) = config.addresses else { return Ok(()) };
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
