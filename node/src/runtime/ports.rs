//! The ports of listeners: what `listener/ports.rs` wants is opened, what it does not want any more is closed.
//!
//! One task a node looks whenever a queue manager begins or ends to be served here, or its listeners change. A port that
//! cannot be opened is said once, and tried again; nothing that a listener says ends the node. Who is connected stays
//! connected when a port is closed, as with MQ; an instance of its channel ends with the service.
//!
//! There may be many listeners, and programs may change them all the time: a look is made on a thread that nobody waits for,
//! and the next one keeps a distance that grows with what the last one took. What is tried again is what failed, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::select_all;
use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::listener::ports::{self, Bounds, Part, Port, PortState, PortView, Served, place};
use crate::replica::{Inbox, Inboxes};
use crate::types::definition::Definition;
use crate::types::{ObjectName, QueueManagerId, RoleView};

/// A port that is taken is tried again after the first, then after twice as long, up to the second.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_MOST: Duration = Duration::from_secs(5);
/// From so many failures on somebody has the port; before, whoever had it may be about to close it: another node of this
/// machine, or this one.
const FAILURES: u32 = 3;

/// Between two looks: the first, and so many times what the last look took.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_PART: u32 = 10;
/// New reasons that are logged at a look, one by one.
const SAID_MAX: usize = 20;

/// What the node gives to its ports.
pub struct Options {
    /// What the cluster file opens.
    pub fixed: Vec<Port>,
    /// Addresses that may be on another machine when a port is opened on them.
    pub floating: Floating,
    pub bounds: Bounds,
}

/// Floating addresses, which come and go with queue managers that are created. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Floating(Arc<Mutex<BTreeSet<IpAddr>>>);

impl Floating {
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Floating {
        Floating(Arc::new(Mutex::new(addresses.into_iter().collect())))
    }

    pub fn set(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        *self.0.lock() = addresses.into_iter().collect();
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.lock().contains(&address)
    }
}

/// Ports that are open, and those that could not be.
pub struct Ports<S> {
    options: Options,
    there: watch::Receiver<Arc<BTreeMap<QueueManagerId, Inbox>>>,
    queue_managers: Vec<Watched>,
    open: BTreeMap<Port, Open>,
    /// By what they should have open.
    failed: BTreeMap<Port, Failed>,
    /// Why listeners do not run, as it was logged.
    said: BTreeMap<(ObjectName, String), String>,
    views: watch::Sender<Vec<PortView>>,
    serve: S,
    /// Those that are open, and those that were closed and have clients.
    served: JoinSet<()>,
}

/// A queue manager, as this node has it.
struct Watched {
    name: ObjectName,
    role: watch::Receiver<RoleView>,
    listeners: watch::Receiver<Arc<Vec<Definition>>>,
    /// As of the last look.
    is_served: bool,
}

struct Open {
    started_ms: i64,
    /// Dropped, it ends the accepting.
    _closes: oneshot::Sender<()>,
}

struct Failed {
    /// Which of the views is its listener's.
    view: usize,
    why: String,
    tries: u32,
    again_at: Instant,
}

enum Wake {
    Closing,
    /// A role, or the listeners of a queue manager.
    Changed,
    /// A queue manager is there now, or gone.
    There,
    /// What failed may be tried again.
    Again,
}

impl Failed {
    fn state(&self) -> PortState {
        if self.tries < FAILURES { PortState::Starting } else { PortState::Retrying }
    }
}

impl Watched {
    fn new(inbox: &Inbox) -> Watched {
        let published = inbox.published();
        Watched {
            name: inbox.name().clone(),
            role: published.role.clone(),
            listeners: published.listeners.clone(),
            is_served: false,
        }
    }

    /// Whatever was published since [`Watched::look`] counts.
    async fn changed(&mut self) {
        let is_served = self.is_served;
        let is_gone = tokio::select! {
            role = self.role.wait_for(|role| role.is_serving() != is_served) => role.is_err(),
            listeners = self.listeners.changed() => listeners.is_err(),
        };
        if is_gone {
            // The mind has ended, and the node ends with it.
            std::future::pending::<()>().await;
        }
    }

    /// The listeners of a queue manager that is served here. In this order: they are published before the role.
    fn look(&mut self) -> Option<Arc<Vec<Definition>>> {
        self.is_served = self.role.borrow_and_update().is_serving();
        let listeners = self.listeners.borrow_and_update().clone();
        self.is_served.then_some(listeners)
    }
}

impl<S, F> Ports<S>
where
    S: Fn(ObjectName, TcpListener, oneshot::Receiver<()>) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// `serve` takes the clients of a queue manager from a socket until the receiver hears that no more are taken, and ends
    /// with the last of them.
    pub fn new(
        options: Options,
        inboxes: &Inboxes,
        views: watch::Sender<Vec<PortView>>,
        serve: S,
    ) -> Ports<S> {
        Ports {
            options,
            there: inboxes.changes(),
            queue_managers: inboxes.of_programs().iter().map(Watched::new).collect(),
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            said: BTreeMap::new(),
            views,
            serve,
            served: JoinSet::new(),
        }
    }

    /// Until `closing`, which has to end what is served too.
    pub async fn keep(mut self, closing: impl Future<Output = ()>) {
        let mut closing = std::pin::pin!(closing);
        loop {
            let began = Instant::now();
            self = match tokio::task::spawn_blocking(move || self.followed()).await {
                Ok(followed) => followed,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime ends.
                Err(_) => return,
            };
            let next_at = Instant::now() + LOOK_EVERY.max(began.elapsed() * LOOK_PART);
            loop {
                while self.served.try_join_next().is_some() {}
                let changed = self.queue_managers.iter_mut().map(|watched| Box::pin(watched.changed()));
                let again_at = self.failed.values().map(|failed| failed.again_at).min();
                let again = async {
                    match again_at {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                let wake = tokio::select! {
                    () = &mut closing => Wake::Closing,
                    Ok(()) = self.there.changed() => Wake::There,
                    () = any(changed) => Wake::Changed,
                    () = again => Wake::Again,
                };
                match wake {
                    Wake::Closing => return self.close().await,
                    Wake::Changed => break,
                    Wake::There => {
                        self.watch_those_there();
                        break;
                    }
                    Wake::Again => self.try_again(),
                }
            }
            tokio::select! {
                () = &mut closing => return self.close().await,
                () = tokio::time::sleep_until(next_at) => {}
            }
        }
    }

    fn watch_those_there(&mut self) {
        let there = self.there.borrow_and_update().clone();
        let of_programs = there.iter().filter(|(id, _)| **id != QueueManagerId::CLUSTER);
        self.queue_managers = of_programs.map(|(_, inbox)| Watched::new(inbox)).collect();
    }

    async fn close(mut self) {
        self.open.clear();
        while self.served.join_next().await.is_some() {}
    }

    fn followed(mut self) -> Ports<S> {
        self.follow();
        self
    }

    /// Wanted against actual.
    fn follow(&mut self) {
        let listeners: Vec<Option<Arc<Vec<Definition>>>> =
            self.queue_managers.iter_mut().map(Watched::look).collect();
        let names: Vec<ObjectName> = self.queue_managers.iter().map(|watched| watched.name.clone()).collect();
        let served: Vec<Served<'_>> = names
            .iter()
            .zip(&listeners)
            .filter_map(|(queue_manager, listeners)| {
                listeners.as_deref().map(|listeners| Served { queue_manager, listeners })
            })
            .collect();
        let open: Vec<Port> = self.open.keys().cloned().collect();
        let parts = ports::wanted(&served, &self.options.fixed, &open, self.options.bounds);
        self.close_all_but(&parts);
        let all = served
            .iter()
            .flat_map(|served| served.listeners.iter().map(|listener| (served.queue_manager, listener)));
        let views = all.zip(&parts).enumerate().map(|(at, ((queue_manager, listener), part))| {
            let (state, started_ms, reason) = self.carry_out(part, at);
            let (queue_manager, listener) = (queue_manager.clone(), listener.clone());
            PortView { queue_manager, listener, state, reason, started_ms }
        });
        let views: Vec<PortView> = views.collect();
        self.say(&views);
        self.views.send_if_modified(|known| {
            let is_new = *known != views;
            *known = views;
            is_new
        });
    }

    /// What could not be opened, and whose time has come.
    fn try_again(&mut self) {
        let now = Instant::now();
        let due = self.failed.iter().filter(|(_, failed)| failed.again_at <= now);
        let due: Vec<(Port, usize)> = due.map(|(port, failed)| (port.clone(), failed.view)).collect();
        for (port, at) in due {
            let (state, started_ms, reason) = self.open(&port, at);
            let said = self.views.send_if_modified(|views| {
                let view = &mut views[at];
                debug_assert_eq!(Some(&view.listener.object.name), port.listener.as_ref(), "it is its view");
                let is_new = (view.state, &view.reason) != (state, &reason);
                (view.state, view.started_ms, view.reason) = (state, started_ms, reason);
                is_new
            });
            if said {
                let view = self.views.borrow()[at].clone();
                self.say_one(&view);
            }
        }
    }

    fn close_all_but(&mut self, parts: &[Part]) {
        let wanted: BTreeSet<&Port> = parts.iter().filter_map(Part::port).collect();
        self.open.retain(|port, _| {
            let stays = wanted.contains(port);
            if !stays {
                let Port { queue_manager, listener, address, .. } = port;
                tracing::info!(
                    queue_manager = queue_manager.as_str(),
                    listener,
                    address = place(*address),
                    "port closed"
                );
            }
            stays
        });
        self.failed.retain(|port, _| wanted.contains(port));
    }

    /// State of the listener that has this view, since when it is open, and a reason.
    fn carry_out(&mut self, part: &Part, view: usize) -> (PortState, i64, String) {
        match part {
            Part::Stopped => (PortState::Stopped, 0, String::new()),
            Part::Refused(sentence) => (PortState::Stopped, 0, sentence.clone()),
            Part::OpenAnyway => {
                let reason =
                    "The cluster file has this port open, and it stays open when the listener is stopped.";
                (PortState::Running, 0, reason.to_string())
            }
            Part::Open(port) => match (self.open.get(port), self.failed.get_mut(port)) {
                (Some(open), _) => (PortState::Running, open.started_ms, String::new()),
                (None, Some(failed)) if Instant::now() < failed.again_at => {
                    failed.view = view;
                    (failed.state(), 0, failed.why.clone())
                }
                (None, _) => self.open(port, view),
            },
        }
    }

    fn open(&mut self, port: &Port, view: usize) -> (PortState, i64, String) {
        let name = port.listener.as_deref().unwrap_or_default();
        let floats = self.options.floating.has(port.address.ip());
        match listen(port.address, port.backlog, floats).and_then(TcpListener::from_std) {
            Ok(socket) => {
                self.failed.remove(port);
                let (closes, closed) = oneshot::channel();
                self.served.spawn((self.serve)(port.queue_manager.clone(), socket, closed));
                let started_ms = now_ms();
                self.open.insert(port.clone(), Open { started_ms, _closes: closes });
                tracing::info!(
                    queue_manager = port.queue_manager.as_str(),
                    listener = name,
                    address = place(port.address),
                    "port open"
                );
                (PortState::Running, started_ms, String::new())
            }
            Err(error) => {
                let tries = self.failed.get(port).map_or(0, |failed| failed.tries);
                let again_at = Instant::now() + AGAIN_MOST.min(AGAIN_FIRST * 2_u32.saturating_pow(tries));
                let why = why_not(port, name, &error);
                let failed = Failed { view, why: why.clone(), tries: tries + 1, again_at };
                let state = failed.state();
                self.failed.insert(port.clone(), failed);
                (state, 0, why)
            }
        }
    }

    /// Once for each new reason why a listener that should run does not.
    fn say(&mut self, views: &[PortView]) {
        let before = std::mem::take(&mut self.said);
        let mut new = 0;
        for (key, reason) in views.iter().filter_map(said) {
            if before.get(&key) != Some(reason) {
                new += 1;
                if new <= SAID_MAX {
                    log(&key, reason);
                }
            }
            self.said.insert(key, reason.clone());
        }
        if new > SAID_MAX {
            tracing::error!(listeners = new - SAID_MAX, "more do not run; DISPLAY LSSTATUS(*) says why");
        }
    }

    fn say_one(&mut self, view: &PortView) {
        if let Some((key, reason)) = said(view)
            && self.said.get(&key) != Some(reason)
        {
            log(&key, reason);
            self.said.insert(key, reason.clone());
        }
    }
}

/// The first of them; where there is none, none.
async fn any<F: Future<Output = ()> + Unpin>(changes: impl Iterator<Item = F>) {
    let changes: Vec<F> = changes.collect();
    match changes.is_empty() {
        true => std::future::pending().await,
        false => drop(select_all(changes).await),
    }
}

/// Why a listener does not run, if that is to be said.
fn said(view: &PortView) -> Option<((ObjectName, String), &String)> {
    let is_said = matches!(view.state, PortState::Retrying | PortState::Stopped) && !view.reason.is_empty();
    is_said.then(|| ((view.queue_manager.clone(), view.listener.object.name.clone()), &view.reason))
}

fn log((queue_manager, listener): &(ObjectName, String), reason: &str) {
    tracing::error!(queue_manager = queue_manager.as_str(), listener, "{reason}");
}

fn why_not(port: &Port, name: &str, error: &io::Error) -> String {
    let place = place(port.address);
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => format!(
            "It cannot listen on {place}: {error}. It is tried again; let the process open more files, with LimitNOFILE in the \
             unit, or ulimit -Hn."
        ),
        _ => format!(
            "It cannot listen on {place}: {error}. It is tried again; end the program that has the port, or ALTER \
             LISTENER({name}) TRPTYPE(TCP) PORT(…) or IPADDR(…)."
        ),
    }
}

/// A socket that listens. One whose address `floats` may be opened where the address is not.
pub fn listen(address: SocketAddr, backlog: u32, floats: bool) -> io::Result<StdListener> {
    let is_everywhere = address.ip() == Ipv6Addr::UNSPECIFIED;
    match listen_on(address, backlog, floats) {
        // A machine may have no IPv6 at all.
        Err(error) if is_everywhere && lacks_family(&error) => {
            listen_on(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()), backlog, floats)
        }
        listens => listens,
    }
}

/// The first of them on which it can be listened.
///
/// # Errors
/// Why not on the last one.
pub fn listen_on_any(addresses: &[SocketAddr], backlog: u32) -> io::Result<StdListener> {
    let mut refused = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match listen(*address, backlog, false) {
            Err(error) => refused = error,
            listens => return listens,
        }
    }
    Err(refused)
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn listen_on(address: SocketAddr, backlog: u32, floats: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(floats)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(!address.ip().is_unspecified())?;
            socket.set_freebind_v6(floats)?;
        }
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn as_many_as_are_said_may_wait_to_be_taken_on_the_first_address_that_is_here() {
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        let socket = listen_on_any(&[elsewhere, ([127, 0, 0, 1], 0).into()], 300).unwrap();
        let address = socket.local_addr().unwrap();
        let within = std::time::Duration::from_millis(500);
        let waiting: Vec<_> = (0..300).map(|_| TcpStream::connect_timeout(&address, within)).collect();
        assert!(waiting.iter().all(Result::is_ok), "nobody tries again a second later");
        assert_eq!(listen_on_any(&[elsewhere], 1).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn a_socket_of_all_addresses_is_reached_by_ipv4_and_has_the_port_alone() {
        let socket = listen("[::]:0".parse().unwrap(), 16, false).unwrap();
        let port = socket.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        let taken = listen(([127, 0, 0, 1], port).into(), 16, false).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn only_an_address_that_floats_is_listened_on_where_it_is_not() {
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        assert!(listen(elsewhere, 16, true).is_ok());
        assert_eq!(listen(elsewhere, 16, false).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
