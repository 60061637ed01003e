//! Between nodes: one connection each way for every pair of nodes, shared by all queue managers (L3).
//!
//! Reading order: [`Peers`] here, `frame` (what travels and how it is encoded), `outbound` (our connection to a peer, and
//! when it counts as up, lost or gone), `inbound` (a peer's connection to us), `snapshot_stream` (state transfer),
//! `clients` (who is connected where), `hardware` (what nodes are called on the clients' network), `processes` (two under one name). Nothing here knows what the messages mean; what a peer says becomes events of the
//! queue manager it is for.

pub mod frame;
mod inbound;
mod outbound;
mod snapshot_stream;
mod clients;
mod hardware;
mod processes;

#[cfg(test)]
mod peer_test;

pub use clients::Clients;
pub use hardware::Hardware;
pub use inbound::{Accepted, PeerService};
pub use outbound::{ProbeError, SILENCE_MAX, probe, spoken};
pub use snapshot_stream::{SnapshotReader, SnapshotStore, SnapshotTransfer, SnapshotWriter};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use trimaran_proto::replica::v1::PeerMessage;

use crate::replica::{Event, Inbox, Inboxes};
use crate::types::{Account, Ends, Membership, NodeId, NodeInfo, QueueManagerId, Speaks, Term, Version};

/// Both ends of a snapshot give up when nothing came for so long; Raft asks again.
const SNAPSHOT_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Options {
    pub cluster: String,
    pub node: NodeId,
    /// Drawn at the start of this process, and not 0.
    pub process: u64,
    pub speaks: Speaks,
    /// Unsent bytes for one peer; what is over it is dropped.
    pub unsent_bytes: usize,
    pub snapshot_bytes_per_second: u64,
    pub account: Arc<Account>,
}

/// Gives the TLS of a connection to the node of this name; None for plain connections.
pub type PeerTls = Arc<dyn Fn(&str) -> Result<Option<Arc<rustls::ClientConfig>>, String> + Send + Sync>;

/// All peers of this node.
pub struct Peers {
    options: Options,
    tls: PeerTls,
    inboxes: Inboxes,
    snapshots: Arc<dyn SnapshotStore>,
    links: ArcSwap<BTreeMap<NodeId, Arc<Link>>>,
    /// Where the nodes are: from the configuration, then from the groups' memberships.
    known: Mutex<Known>,
    transfers: snapshot_stream::Transfers,
    clients: Clients,
    /// Of this node: see `hardware`.
    hardware: Mutex<BTreeSet<Hardware>>,
}

#[derive(Debug, Default)]
struct Known {
    configured: BTreeMap<NodeId, NodeInfo>,
    memberships: BTreeMap<QueueManagerId, Membership>,
    /// What the queue managers were raised to.
    versions: BTreeMap<QueueManagerId, Version>,
}

/// One peer as seen from here.
#[derive(Debug)]
struct Link {
    node: NodeId,
    info: watch::Sender<NodeInfo>,
    outgoing: outbound::Outgoing,
    connected: AtomicBool,
    /// There was a connection since the peer was last reported gone.
    was_up: AtomicBool,
    /// The other direction changed: look at once whether the peer is still there.
    nudge: Notify,
    counters: LinkCounters,
    /// The sentence with which the peer refused us last.
    refused: Mutex<Option<String>>,
    /// Whoever hears the peer's newest connection to us stops when this goes.
    hearing: Mutex<Option<oneshot::Sender<()>>>,
    /// Which of the peer's processes made its connections to us.
    processes: Mutex<processes::Processes>,
    /// Its connections that bring snapshots.
    snapshots_heard: AtomicUsize,
    /// Of these it was told on its connection who is connected; from then on differences will do.
    knows_clients: Mutex<BTreeSet<QueueManagerId>>,
    /// What it said last.
    hardware: Mutex<BTreeSet<Hardware>>,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct LinkCounters {
    frames_sent: AtomicU64,
    messages_sent: AtomicU64,
    bytes_sent: AtomicU64,
    messages_dropped: AtomicU64,
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
    connects: AtomicU64,
}

/// One peer, for status and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    pub node: NodeId,
    pub name: String,
    pub address: String,
    pub connected: bool,
    pub refused: Option<String>,
    /// Two processes say that they are this node, and one of them is not heard.
    pub is_doubled: bool,
    pub unsent_bytes: usize,
    pub frames_sent: u64,
    pub messages_sent: u64,
    pub bytes_sent: u64,
    pub messages_dropped: u64,
    pub messages_received: u64,
    pub bytes_received: u64,
    pub connects: u64,
}

impl Peers {
    /// `configured` are the nodes of the cluster file; connections to them begin at once. To be called within the
    /// async runtime.
    pub fn start(
        options: Options,
        tls: PeerTls,
        inboxes: Inboxes,
        snapshots: Arc<dyn SnapshotStore>,
        configured: BTreeMap<NodeId, NodeInfo>,
    ) -> Arc<Peers> {
        let clients = Clients::new(options.account.clone());
        let peers = Arc::new(Peers {
            options,
            clients,
            hardware: Mutex::default(),
            tls,
            inboxes,
            snapshots,
            links: ArcSwap::default(),
            known: Mutex::new(Known { configured, ..Known::default() }),
            transfers: snapshot_stream::Transfers::default(),
        });
        peers.connect_known();
        peers
    }

    /// Sends what one turn had to say to one peer. Never waits: without a connection, or with too much unsent, the
    /// messages are dropped and counted; Raft repeats them.
    pub fn send(&self, to: NodeId, messages: Vec<PeerMessage>) {
        let links = self.links.load();
        let Some(link) = links.get(&to) else { return };
        let count = messages.len() as u64;
        let connected = link.connected.load(Ordering::Relaxed);
        if !connected || !link.outgoing.offer(messages, self.options.unsent_bytes, &link.counters) {
            link.counters.messages_dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Tells every peer who is connected through the addresses of a queue manager that this node serves in this term. Never
    /// waits; to be called when that changes and now and then.
    pub fn tell_clients(&self, queue_manager: QueueManagerId, term: Term, ends: BTreeSet<Ends>) {
        let news = self.clients.tell(queue_manager, term, ends);
        for link in self.links.load().values() {
            let mut known = link.knows_clients.lock();
            if news.begins {
                known.remove(&queue_manager);
            }
            let is_connected = link.connected.load(Ordering::Relaxed);
            let said = if known.contains(&queue_manager) { news.difference() } else { Some(news.whole()) };
            let Some(said) = said.filter(|_| is_connected) else { continue };
            match link.outgoing.offer_clients(said, self.options.unsent_bytes) {
                true => known.insert(queue_manager),
                false => known.remove(&queue_manager),
            };
        }
    }

    /// Who was connected to the node that served the queue manager before this one, as far as it said so. To be asked once:
    /// they are forgotten.
    pub fn take_clients(&self, queue_manager: QueueManagerId) -> Vec<Ends> {
        self.clients.take(queue_manager)
    }

    /// Tells every peer what this node's interfaces with floating addresses are called, from now on. Never waits.
    pub fn tell_hardware(&self, own: BTreeSet<Hardware>) {
        *self.hardware.lock() = own;
        self.links.load().values().for_each(|link| self.say_hardware(link));
    }

    /// Where there is no connection it is said on the next one.
    fn say_hardware(&self, link: &Link) {
        let own = self.hardware.lock();
        if !own.is_empty() {
            link.outgoing.offer_hardware(hardware::write(&own));
        }
    }

    /// What those of all peers are called, as far as they said so.
    pub fn hardware(&self) -> BTreeSet<Hardware> {
        self.links.load().values().flat_map(|link| link.hardware.lock().clone()).collect()
    }

    /// The members of a group changed: connects to who is new and leaves who is no longer anywhere.
    pub fn set_membership(self: &Arc<Self>, queue_manager: QueueManagerId, membership: Membership) {
        self.known.lock().memberships.insert(queue_manager, membership);
        self.connect_known();
    }

    /// Tells a mind that begins while others run who is there. Its inbox is known already: what happens from then on it hears as
    /// they do.
    pub async fn introduce(&self, inbox: &Inbox) {
        for (node, link) in self.links.load_full().iter() {
            if !link.connected.load(Ordering::Relaxed) {
                continue;
            }
            let _ = inbox.deliver(Event::PeerConnected { node: *node }).await;
            // It may have gone meanwhile, and been said to have before it was said to be there.
            if !link.connected.load(Ordering::Relaxed) {
                let _ = inbox.deliver(Event::PeerLost { node: *node }).await;
            }
        }
    }

    /// The queue manager is deleted: its members are peers for what else they have.
    pub fn forget(self: &Arc<Self>, queue_manager: QueueManagerId) {
        let mut known = self.known.lock();
        known.memberships.remove(&queue_manager);
        known.versions.remove(&queue_manager);
        drop(known);
        self.clients.take(queue_manager);
        self.connect_known();
    }

    /// From now on nobody is a peer who does not speak this.
    pub fn set_version(&self, queue_manager: QueueManagerId, version: Version) {
        self.known.lock().versions.insert(queue_manager, version);
    }

    /// The version of a queue manager, as far as it is known.
    fn version_of(&self, queue_manager: QueueManagerId) -> Version {
        self.known.lock().versions.get(&queue_manager).copied().unwrap_or(Version::FIRST)
    }

    /// Why a node with this range cannot be talked with.
    fn cannot_talk(&self, node: NodeId, theirs: Speaks) -> Option<String> {
        let own = self.options.speaks;
        if !own.meets(theirs) {
            return Some(format!(
                "node {node} speaks {theirs} and node {} {own}: upgrade one release at a time",
                self.options.node
            ));
        }
        let known = self.known.lock();
        let (queue_manager, version) = known.versions.iter().max_by_key(|(_, version)| **version)?;
        (!theirs.has(*version)).then(|| {
            format!(
                "queue manager {queue_manager} was raised to version {version} and node {node} speaks {theirs}: start \
                 the newer release there"
            )
        })
    }

    /// Every peer, in order of id.
    pub fn views(&self) -> Vec<PeerView> {
        self.links.load().values().map(|link| link.view()).collect()
    }

    /// Snapshots on their way, in both directions.
    pub fn transfers(&self) -> Vec<SnapshotTransfer> {
        self.transfers.views()
    }

    /// Ends every connection to peers.
    pub fn stop(&self) {
        for link in self.links.swap(Arc::default()).values() {
            link.close();
        }
    }

    fn connect_known(self: &Arc<Self>) {
        let wanted = self.known.lock().peers(self.options.node);
        let links = self.links.load();
        let mut next = BTreeMap::new();
        for (node, info) in &wanted {
            let link = match links.get(node) {
                Some(link) => {
                    link.info.send_if_modified(|known| {
                        let moved = *known != *info;
                        known.clone_from(info);
                        moved
                    });
                    link.clone()
                }
                None => outbound::start(self.clone(), *node, info.clone()),
            };
            next.insert(*node, link);
        }
        for (node, link) in links.iter() {
            if !wanted.contains_key(node) {
                link.close();
            }
        }
        self.links.store(Arc::new(next));
    }

    fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        self.links.load().get(&node).cloned()
    }

    /// Tells every queue manager, in order.
    async fn tell_all(&self, event: impl Fn() -> Event) {
        for inbox in self.inboxes.all().values() {
            let _ = inbox.deliver(event()).await;
        }
    }
}

impl Known {
    /// Everybody but `own`. What a group agreed on is newer than the file; who was removed from all groups is left.
    fn peers(&self, own: NodeId) -> BTreeMap<NodeId, NodeInfo> {
        let mut peers = self.configured.clone();
        for membership in self.memberships.values() {
            peers.extend(membership.nodes.iter().map(|(node, info)| (*node, info.clone())));
        }
        peers.retain(|node, _| *node != own && !self.is_removed(*node));
        peers
    }

    /// Whether the node has no part in any group any more.
    fn is_removed(&self, node: NodeId) -> bool {
        !self.memberships.is_empty() && self.memberships.values().all(|group| group.removed.contains(&node))
    }
}

impl Link {
    fn close(&self) {
        self.closed.send_replace(true);
        self.hearing.lock().take();
    }

    fn view(&self) -> PeerView {
        let info = self.info.borrow();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PeerView {
            node: self.node,
            name: info.name.clone(),
            address: info.peer_address.clone(),
            connected: self.connected.load(Ordering::Relaxed),
            refused: self.refused.lock().clone(),
            is_doubled: self.processes.lock().is_doubled(Instant::now()),
            unsent_bytes: self.outgoing.unsent_bytes(),
            frames_sent: count(&self.counters.frames_sent),
            messages_sent: count(&self.counters.messages_sent),
            bytes_sent: count(&self.counters.bytes_sent),
            messages_dropped: count(&self.counters.messages_dropped),
            messages_received: count(&self.counters.messages_received),
            bytes_received: count(&self.counters.bytes_received),
            connects: count(&self.counters.connects),
        }
    }
}
