//! Start and stop of a node, in order.
//!
//! Start: log, directories, certificates, sockets, stores, recovery, minds, peers, listeners, ready.
//! Stop: no new sessions, leadership handed over, listeners drained, minds, peers, log and store.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::addresses::{self, Addresses};
use super::canary::{AllRounds, Canaries};
use super::channels::Channels;
use super::directories::Places;
use super::fatal::{Fatal, FatalReason, fatal};
use super::keeper::Keeper;
use super::minds::{self, Beginning, Minds, Shared};
use super::notices::{self, Standing};
use super::ports::{Floating, Ports};
use super::recover::Started;
use super::reserve::Reserve;
use super::shutdown::{Signals, Told};
use super::stores::{self, Stores};
use super::threads::Deck;
use super::{again, clock, diagnostics, directories, figures, ports, threads};
use crate::config::{self, Config, Descriptors, MONITOR_CONNECTIONS_MAX, PEER_CONNECTIONS_MAX, is_loopback};
use crate::listener::ports::{Bounds, Port, PortView};
use crate::listener::{self, Accepted, Client, Connected, Listener, NodeHandle};
use crate::log_store::{DiskWatch, RoomThresholds};
use crate::peer::{self, PeerService, Peers};
use crate::replica::{DiskRoom, Event, Inbox, Inboxes};
use crate::security::{self, AcceptLimits, Audience, ConnectionInfo, Principal, Tls};
use crate::types::{Account, ObjectName, QueueManagerId};

const DISK_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks at the disks between two tries to take a reserve again.
const RESTORE_LOOKS: u64 = 50;
/// And at whether all files are where they were, every so many.
const PLACES_LOOKS: u64 = 5;
/// Connections that may wait to be taken on a port, as with a LISTENER that says nothing else: who finds no place there tries again a
/// second later.
const BACKLOG: u32 = 1024;
const CERTIFICATES_LOOK_EVERY: Duration = Duration::from_secs(5);

/// Runs a node until it is told to stop.
pub fn run(mut config: Config) -> Result<(), Fatal> {
    let began = Instant::now();
    directories::keep_to_ourselves();
    again::note_begin();
    diagnostics::start_log(&config.log);
    diagnostics::end_on_panic();
    tracing::info!(
        cluster = config.cluster,
        node = config.name,
        id = config.node.0,
        release = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    // Before anything is written: a name of the cluster that its certificates do not have would stay in the directories.
    let tls = match config.tls_options() {
        None => None,
        Some(options) => {
            let loaded = Tls::load(options).map_err(|error| Fatal::new(FatalReason::Configuration, error))?;
            Some(Arc::new(loaded))
        }
    };
    let directories = directories::prepare(&config, &|| Reserve::find(&config).make_more_room())?;
    let standing = Standing::default();
    config.limits.connections = raise_descriptors(&config, &standing);
    addresses::end_left_agent(&config)?;
    let sockets = Sockets::bind(&config)?;
    let agent = Addresses::start(&config, &sockets.peer, &standing)?;
    let reserve = Arc::new(Reserve::find(&config));
    let (stores, started) = stores::open(&config, &standing, &reserve)?;
    let deck = |deck| {
        let made = threads::runtime(deck, config.threads);
        made.map_err(|error| Fatal::new(FatalReason::System, format!("start the async runtime: {error}")))
    };
    let (minds, clients) = (deck(Deck::Minds)?, deck(Deck::Clients)?);
    let for_clients = clients.handle().clone();
    let disk = directories.disk;
    let result = minds.block_on(async {
        let node = Node::start(
            config,
            tls,
            sockets,
            agent,
            standing,
            stores,
            started,
            reserve,
            began,
            disk,
            for_clients,
        )?;
        node.until_stopped().await
    });
    // What still runs then is a client that does not end its stream.
    clients.shutdown_timeout(Duration::from_millis(200));
    minds.shutdown_timeout(Duration::from_millis(200));
    result
}

/// How many ports listeners may open; where nobody says how many files there may be, as with the fewest that are usual.
fn ports_max() -> usize {
    const USUAL: u64 = 1024;
    Descriptors::look(0).unwrap_or(Descriptors::share(USUAL, 0)).ports
}

/// How many connections clients may have: what is configured, or what the system has room for beside the stores and the
/// peers.
fn raise_descriptors(config: &Config, standing: &Standing) -> usize {
    let configured = config.limits.connections;
    match Descriptors::raise(configured) {
        Ok(descriptors) => {
            match descriptors.shortage(configured) {
                Some(text) if descriptors.are_few() => standing.report(text),
                Some(text) => tracing::info!("{text}"),
                None => {}
            }
            descriptors.connections
        }
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read or raised");
            configured
        }
    }
}

struct Sockets {
    peer: StdListener,
    client: StdListener,
    http: StdListener,
    /// Of the REST API, where the node has one.
    rest: Option<StdListener>,
    /// For the channels of these queue managers.
    mq: Vec<(ObjectName, StdListener)>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Sockets, Fatal> {
        let this = config.this();
        let bind = |what: &str, address: &str| {
            let refused = |reason: String| {
                let text =
                    format!("listen for {what} on {address}: {reason}; trimaran-node check says what to do");
                Fatal::new(FatalReason::Listen, text)
            };
            let addresses = config::resolve(address).map_err(&refused)?;
            let socket = match floating(config, &addresses) {
                Some(address) => ports::listen(address, BACKLOG, true),
                None => listen_patiently(&addresses),
            };
            let socket = socket.map_err(|error| refused(error.to_string()))?;
            socket.set_nonblocking(true).map_err(|error| refused(error.to_string()))?;
            Ok::<_, Fatal>(socket)
        };
        let mut mq = Vec::new();
        for name in config.queue_managers.values() {
            if let Some(address) = this.mq_listen.get(name.as_str()) {
                mq.push((name.clone(), bind("MQ clients", address)?));
            }
        }
        Ok(Sockets {
            mq,
            peer: bind("peers", &this.peer_listen)?,
            client: bind("clients", &this.client_listen)?,
            http: bind("monitors", &this.http_listen)?,
            rest: this.rest.as_ref().map(|rest| bind("REST", &rest.listen)).transpose()?,
        })
    }
}

/// The one of these that floats: it may be on another machine now.
fn floating(config: &Config, addresses: &[SocketAddr]) -> Option<SocketAddr> {
    addresses.iter().copied().find(|address| config.floating.contains_key(&address.ip()))
}

/// A node that was killed just now may have the port still, and its agent has it for as long as it takes to remove the
/// addresses.
fn listen_patiently(addresses: &[SocketAddr]) -> io::Result<StdListener> {
    let until = Instant::now() + directories::PATIENCE;
    loop {
        match ports::listen_on_any(addresses, BACKLOG) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            bound => return bound,
        }
    }
}

/// A node that runs.
struct Node {
    config: Arc<Config>,
    tls: Option<Arc<Tls>>,
    standing: Standing,
    stores: Stores,
    inboxes: Inboxes,
    peers: Arc<Peers>,
    agent: Option<addresses::Listening>,
    signals: Signals,
    stopping: watch::Sender<bool>,
    /// Closed listeners: set after leadership was handed over.
    closing: watch::Sender<bool>,
    keeper: JoinHandle<Minds>,
    listeners: Listeners,
    helpers: Vec<JoinHandle<()>>,
}

impl Node {
    fn start(
        config: Config,
        tls: Option<Arc<Tls>>,
        sockets: Sockets,
        agent: Option<addresses::Started>,
        standing: Standing,
        opened: stores::Opened,
        started: Vec<Started>,
        reserve: Arc<Reserve>,
        began: Instant,
        disk: u64,
        for_clients: runtime::Handle,
    ) -> Result<Node, Fatal> {
        let system =
            |what: &str, error: std::io::Error| Fatal::new(FatalReason::System, format!("{what}: {error}"));
        let signals = Signals::listen().map_err(|error| system("listen to signals", error))?;
        let config = Arc::new(config);
        let account = Account::new(config.limits.memory_bytes);
        let inboxes = Inboxes::default();
        let shared = Shared {
            config: config.clone(),
            inboxes: inboxes.clone(),
            account: account.clone(),
            session_ids: Arc::default(),
            began,
            disk,
            floating: Floating::new(config.floating.keys().copied()),
        };
        let floating = shared.floating.clone();
        let cluster_raises = minds::cluster_raises(&started);
        let beginnings: Vec<Beginning> = started.into_iter().map(|one| shared.prepare(one)).collect();
        let stores = opened.start(inboxes.clone(), &standing)?;
        let peers = Peers::start(
            peer::Options {
                cluster: config.cluster.clone(),
                node: config.node,
                process: RandomState::new().hash_one(std::process::id()).max(1),
                speaks: config.speaks,
                unsent_bytes: config.limits.peer_unsent_bytes,
                snapshot_bytes_per_second: config.limits.snapshot_bytes_per_second,
                account: account.clone(),
            },
            config::peer_tls(tls.clone()),
            inboxes.clone(),
            stores.snapshots(),
            config.nodes.iter().map(|(id, node)| (*id, node.info.clone())).collect(),
        );

        let addresses = agent.as_ref().map(|agent| agent.addresses.clone());
        let (stopping, stopping_seen) = watch::channel(false);
        let mut minds = Minds::new(
            shared,
            stores.handles(),
            peers.clone(),
            standing.clone(),
            addresses.clone(),
            cluster_raises,
        );
        beginnings.into_iter().for_each(|beginning| minds.begin(beginning, None));
        let mut canaries = Canaries::new(config.clone(), tls.clone());
        let rounds = canaries.rounds();
        canaries.start(&inboxes.all());
        let keeper = tokio::spawn(Keeper::new(minds, canaries).keep(stopping_seen.clone()));

        let agent = agent.map(|agent| agent.listen(inboxes.clone(), peers.clone())).transpose();
        let agent = agent.map_err(|error| system("start a thread", error))?;

        let (warnings, warnings_seen) = watch::channel(config.standing_warnings());
        let (closing, closing_seen) = watch::channel(false);
        let (port_views, port_views_seen) = watch::channel(Vec::new());
        let shown = addresses.as_ref().map_or_else(|| watch::channel(Vec::new()).1, Addresses::floating);
        let handle = Arc::new(NodeHandle {
            cluster: config.cluster.clone(),
            node: config.node,
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            clock: clock::instant,
            inboxes: inboxes.clone(),
            nodes: config.nodes.iter().map(|(id, node)| (*id, node.info.clone())).collect(),
            warnings: warnings_seen,
            addresses: shown,
            ports: port_views_seen,
            stopping: stopping_seen,
        });
        let listeners = start_listeners(
            &config,
            &tls,
            sockets,
            handle,
            account.clone(),
            &peers,
            &stores,
            addresses.clone(),
            rounds,
            floating,
            port_views,
            closing_seen,
            &for_clients,
        )?;

        let mut helpers = vec![
            tokio::spawn(watch_disks(&config, inboxes.clone(), standing.clone(), reserve)),
            tokio::spawn(notices::keep(
                config.standing_warnings(),
                standing.clone(),
                peers.clone(),
                tls.clone(),
                account.clone(),
                inboxes.clone(),
                warnings,
            )),
            tokio::spawn(watch_certificates(tls.clone(), standing.clone())),
            tokio::spawn(feed_watchdog(inboxes.clone())),
        ];
        if let Some(addresses) = addresses {
            let connected = listeners.connected.clone();
            helpers.push(tokio::spawn(addresses.tell_peers(connected, peers.clone(), inboxes.clone())));
        }
        for warning in config.standing_warnings().into_iter().chain(config.unheard_addresses()) {
            tracing::warn!("{warning}");
        }
        Ok(Node {
            config,
            tls,
            standing,
            stores,
            inboxes,
            peers,
            agent,
            signals,
            stopping,
            closing,
            keeper,
            listeners,
            helpers,
        })
    }

    async fn until_stopped(mut self) -> Result<(), Fatal> {
        let this = self.config.this();
        tracing::info!(
            peers = this.peer_listen,
            clients = this.client_listen,
            http = this.http_listen,
            rest = this.rest.as_ref().map(|rest| rest.listen.as_str()),
            tls = self.tls.is_some(),
            "ready"
        );
        notify_systemd(&[sd_notify::NotifyState::Ready]);
        while self.signals.next().await == Told::Reload {
            self.reload();
        }
        tracing::info!("told to stop: handing over");
        notify_systemd(&[sd_notify::NotifyState::Stopping]);
        let Node {
            config,
            stores,
            inboxes,
            peers,
            agent,
            mut signals,
            stopping,
            closing,
            keeper,
            listeners,
            helpers,
            ..
        } = self;
        let stopped = async {
            stop(&config, stores, inboxes, peers, stopping, closing, keeper, listeners, helpers).await;
            if let Some(agent) = agent {
                agent.end().await;
            }
        };
        tokio::select! {
            () = stopped => {}
            never = signals.second() => never,
        }
        tracing::info!("stopped");
        Ok(())
    }

    fn reload(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(()) => {
                tracing::info!("certificates loaded again");
                self.standing.certificates(None);
            }
            Err(error) => {
                tracing::error!(%error, "certificates not loaded; those from before stay in use");
                self.standing.certificates(Some(error.to_string()));
            }
        }
    }
}

#[expect(clippy::too_many_arguments)]
async fn stop(
    config: &Config,
    stores: Stores,
    inboxes: Inboxes,
    peers: Arc<Peers>,
    stopping: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    keeper: JoinHandle<Minds>,
    listeners: Listeners,
    helpers: Vec<JoinHandle<()>>,
) {
    stopping.send_replace(true);
    // None begins any more.
    let minds = match keeper.await {
        Ok(minds) => minds,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let inboxes = inboxes.all();
    for inbox in inboxes.values() {
        let _ = inbox.deliver(Event::Drain).await;
    }
    let handed_over = async {
        for inbox in inboxes.values() {
            let mut role = inbox.published().role.clone();
            let _ = role.wait_for(|role| !role.leads()).await;
        }
    };
    if tokio::time::timeout(config.timing.stop, handed_over).await.is_err() {
        tracing::warn!(
            after_ms = config.timing.stop.as_millis() as u64,
            "nobody took over in time: stopping all the same"
        );
    }
    closing.send_replace(true);
    for listener in listeners.drained {
        let _ = listener.await;
    }
    for task in helpers {
        task.abort();
        let _ = task.await;
    }
    minds.end_all().await;
    // While a mind turns it hears its peers; a port that refuses them says that this node is dead.
    listeners.peers.abort();
    peers.stop();
    // Joins the threads: whatever was promised is synced before.
    let _ = tokio::task::spawn_blocking(move || stores.stop()).await;
}

struct Listeners {
    /// Told to close, they end when their last session has.
    drained: Vec<JoinHandle<()>>,
    /// Ended with the minds: connections of peers never end by themselves.
    peers: JoinHandle<()>,
    connected: Arc<Connected>,
}

#[expect(clippy::too_many_arguments)]
fn start_listeners(
    config: &Config,
    tls: &Option<Arc<Tls>>,
    sockets: Sockets,
    handle: Arc<NodeHandle>,
    account: Arc<Account>,
    peers: &Arc<Peers>,
    stores: &Stores,
    addresses: Option<Addresses>,
    rounds: AllRounds,
    floating: Floating,
    port_views: watch::Sender<Vec<PortView>>,
    closing: watch::Receiver<bool>,
    for_clients: &runtime::Handle,
) -> Result<Listeners, Fatal> {
    let socket = |socket: StdListener| {
        TcpListener::from_std(socket).map_err(|error| Fatal::new(FatalReason::Listen, error))
    };
    let limits = listener::Limits {
        connections_max: config.limits.connections,
        sessions_max: config.limits.sessions,
        ..listener::Limits::default()
    };
    let listener = Listener::new(handle, limits, account);

    // What is made and begun from here on is on the clients' runtime.
    let entered = for_clients.enter();
    let client_limits = AcceptLimits::connections(config.limits.connections);
    let incoming =
        security::incoming(socket(sockets.client)?, tls.clone(), Audience::Clients, client_limits.clone());
    let incoming = incoming.map(|accepted| accepted.map(user));
    let clients = listener::grpc::serve(listener.clone(), incoming, closed(closing.clone()));
    let clients = tokio::spawn(async move {
        if let Err(error) = clients.await {
            fatal(FatalReason::Listen, format_args!("listener of clients: {error}"));
        }
    });

    let mut drained = vec![clients];
    if let Some(rest) = sockets.rest {
        let incoming = security::incoming(socket(rest)?, tls.clone(), Audience::Rest, client_limits.clone());
        let incoming = incoming.map(|accepted| accepted.map(user));
        let serving =
            listener::rest::serve(listener.clone(), places(config), incoming, closed(closing.clone()));
        drained.push(tokio::spawn(serving));
    }
    let channels = Channels {
        listener: listener.clone(),
        tls: tls.clone(),
        insecure: config.insecure,
        cluster: config.cluster.clone(),
        limits: client_limits,
    };
    let mut fixed = Vec::new();
    for (name, mq) in sockets.mq {
        let address = mq.local_addr().map_err(|error| Fatal::new(FatalReason::Listen, error))?;
        fixed.push(Port { queue_manager: name.clone(), listener: None, address, backlog: 0 });
        let (no_more, closing) = (std::future::pending::<()>(), closed(closing.clone()));
        drained.push(tokio::spawn(channels.clone().serve(name, socket(mq)?, no_more, closing)));
    }
    let options = ports::Options {
        fixed,
        floating,
        bounds: Bounds { strangers: config.lets_strangers_in(), ports_max: ports_max() },
    };
    let until = closing.clone();
    let serve =
        move |name, socket, no_more| channels.clone().serve(name, socket, no_more, closed(until.clone()));
    let ports = Ports::new(options, &listener.node.inboxes, port_views, serve);
    drained.push(tokio::spawn(ports.keep(closed(closing.clone()))));
    drained.push(tokio::spawn(listener::commands::serve(listener.clone(), closed(closing.clone()))));
    drop(entered);

    let incoming = security::incoming(
        socket(sockets.peer)?,
        tls.clone(),
        Audience::Peers,
        AcceptLimits { silence: Some(peer::SILENCE_MAX), ..AcceptLimits::connections(PEER_CONNECTIONS_MAX) },
    );
    let cluster = config.cluster.clone();
    let incoming = incoming.filter_map(move |accepted| {
        let accepted = accepted.ok().map(|connection| peer::Accepted {
            shown: shown_name(&cluster, connection.info()),
            io: connection,
        });
        std::future::ready(accepted)
    });
    let service = PeerService::new(peers.clone());
    let peer_service = tokio::spawn(service.serve(incoming));

    let connected = listener.connected.clone();
    let sources = figures::sources(config, tls.clone(), peers.clone(), stores, addresses, rounds);
    // Health and metrics are read by programs without certificates; on loopback they need no TLS either.
    let http_tls = tls.clone().filter(|_| !is_loopback(&config.this().http_listen));
    let incoming = security::incoming(
        socket(sockets.http)?,
        http_tls,
        Audience::Monitors,
        AcceptLimits::connections(MONITOR_CONNECTIONS_MAX),
    );
    let http = tokio::spawn(listener::http::serve(
        incoming,
        listener,
        sources,
        config.queues_shown.clone(),
        closed(closing.clone()),
    ));
    drained.push(http);
    Ok(Listeners { drained, peers: peer_service, connected })
}

/// A connection of who shows a certificate, or need not.
fn user(connection: security::Connection) -> Accepted<security::Connection> {
    let info = connection.info();
    let client = match info.identity() {
        Ok(identity) => Client::new(info.remote, identity),
        Err(sentence) => Client::refused(info.remote, sentence),
    };
    let local = info.local;
    Accepted::new(connection, client).at(local)
}

/// Where the REST API of each node is.
fn places(config: &Config) -> listener::rest::Places {
    let named = config.nodes.values().filter_map(|node| {
        let rest = node.rest.as_ref()?;
        Some((node.info.name.clone(), rest.address.clone()))
    });
    listener::rest::Places { addresses: named.collect(), secure: config.tls.is_some() }
}

async fn closed(mut closing: watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// The node whose certificate a connection of a peer showed; None without TLS.
fn shown_name(own: &str, info: &ConnectionInfo) -> Option<String> {
    info.secured.as_ref().map(|_| match &info.principal {
        Principal::Node { cluster, name } if cluster == own => name.clone(),
        other => format!("{other:?}"),
    })
}

fn watch_disks(
    config: &Config,
    inboxes: Inboxes,
    standing: Standing,
    reserve: Arc<Reserve>,
) -> impl Future<Output = ()> + Send + 'static {
    let thresholds = RoomThresholds::low_at(config.limits.disk_reserve_bytes);
    let mut disks = DiskWatch::new(&config.log_directory, &config.data_directory, thresholds);
    let mut places = Places::of(config);
    // Since the last look that saw them.
    let mut unseen = false;
    // How it is, and who was told.
    let (mut known, mut told) = (DiskRoom::Enough, BTreeSet::new());
    async move {
        for look in 1.. {
            if u64::is_multiple_of(look, PLACES_LOOKS) {
                match places.gone() {
                    Ok(None) => unseen = false,
                    Ok(Some(path)) => {
                        let text = format_args!(
                            "{} was removed or replaced while this node ran, so nobody would find again what it writes: it \
                             acknowledges nothing more. Put it back as it was, or give the node empty directories, and start it \
                             again",
                            path.display()
                        );
                        fatal(FatalReason::Directory, text);
                    }
                    Err(error) if !std::mem::replace(&mut unseen, true) => {
                        tracing::error!(%error, "whether the directories are still there cannot be seen; it is looked again");
                    }
                    Err(_) => {}
                }
            }
            if u64::is_multiple_of(look, RESTORE_LOOKS) {
                reserve.restore();
                standing.reserves(reserve.lacking());
            }
            let inboxes = inboxes.all();
            let owed = inboxes.values().map(|inbox| inbox.published().stats.borrow().unstored_bytes).sum();
            if let Some(room) = disks.look(owed) {
                match &room {
                    DiskRoom::Low { text } => tracing::error!("{text}"),
                    DiskRoom::Enough => tracing::info!("the disks have room"),
                }
                standing.disk(&room);
                (known, told) = (room, BTreeSet::new());
            }
            for inbox in inboxes.values().filter(|inbox| !told.contains(&inbox.queue_manager())) {
                let _ = inbox.deliver(Event::Disk { room: known.clone() }).await;
            }
            told = inboxes.keys().copied().collect();
            tokio::time::sleep(DISK_LOOK_EVERY).await;
        }
    }
}

async fn watch_certificates(tls: Option<Arc<Tls>>, standing: Standing) {
    let Some(tls) = tls else { return };
    loop {
        tokio::time::sleep(CERTIFICATES_LOOK_EVERY).await;
        match tls.reload_if_changed() {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("certificates changed on disk and were loaded");
                standing.certificates(None);
            }
            Err(error) => {
                tracing::error!(%error, "certificates changed on disk and cannot be used; those from before stay");
                standing.certificates(Some(error.to_string()));
            }
        }
    }
}

/// Tells systemd that the minds still turn, if it wants to know.
async fn feed_watchdog(inboxes: Inboxes) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut turned = BTreeMap::new();
    loop {
        tokio::time::sleep(limit / 3).await;
        let turns = |(id, inbox): (&QueueManagerId, &Inbox)| (*id, inbox.published().stats.borrow().turns);
        let turns: BTreeMap<QueueManagerId, u64> = inboxes.all().iter().map(turns).collect();
        // A mind begins a turn every few milliseconds, whether there is work or not.
        if turns.iter().all(|(id, now)| *now > turned.get(id).copied().unwrap_or_default()) {
            notify_systemd(&[sd_notify::NotifyState::Watchdog]);
        }
        turned = turns;
    }
}

fn notify_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
