//! The minds of a node: begun one by one, and ended, while the others run.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use trimaran_proto::replica::v1::Registered;

use super::addresses::Addresses;
use super::driver::Driver;
use super::hands::NodeHands;
use super::notices::Standing;
use super::ports::Floating;
use super::recover::Started;
use super::stores::Handles;
use crate::config::Config;
use crate::consensus::{self, membership_to_wire};
use crate::log_store::filesystem;
use crate::peer::Peers;
use crate::replica::{self, BeginsWith, FailBack, Inbox, Inboxes, Mailbox, Placement, Publisher, Replica};
use crate::types::{Account, Index, NodeId, QueueManagerId, RoleView, Version, WallTime};

/// What all minds of a node share, before there is one.
#[derive(Clone)]
pub struct Shared {
    pub config: Arc<Config>,
    pub inboxes: Inboxes,
    pub account: Arc<Account>,
    pub session_ids: Arc<AtomicU64>,
    /// When the process began.
    pub began: Instant,
    /// What this node's disk is, by its own number.
    pub disk: u64,
    pub floating: Floating,
}

/// A mind that is about to begin: it has its inbox, and does not turn yet.
pub struct Beginning {
    started: Started,
    inbox: Inbox,
    mailbox: Mailbox,
    publisher: Publisher,
}

/// All of them, and how to begin another one.
pub struct Minds {
    pub shared: Shared,
    pub stores: Handles,
    pub peers: Arc<Peers>,
    pub standing: Standing,
    pub addresses: Option<Addresses>,
    /// Whether the nodes' own may have the newest version from the start.
    pub cluster_raises: bool,
    tasks: BTreeMap<QueueManagerId, JoinHandle<()>>,
}

impl Shared {
    /// What comes for the queue manager from here on waits for its mind.
    pub fn prepare(&self, started: Started) -> Beginning {
        let role = RoleView::NotServing {
            term: started.recovered.hard_state.term,
            leader: None,
            recovering: started.recovered.recovering,
        };
        let (inbox, mailbox, publisher) = replica::inbox(
            started.queue_manager.id(),
            started.queue_manager.name().clone(),
            self.session_ids.clone(),
            self.config.limits.unanswered_bytes,
            self.account.clone(),
            role,
            started.recovered.snapshot.membership.clone(),
        );
        self.inboxes.add(inbox.clone());
        Beginning { started, inbox, mailbox, publisher }
    }
}

impl Minds {
    pub fn new(
        shared: Shared,
        stores: Handles,
        peers: Arc<Peers>,
        standing: Standing,
        addresses: Option<Addresses>,
        cluster_raises: bool,
    ) -> Minds {
        Minds { shared, stores, peers, standing, addresses, cluster_raises, tasks: BTreeMap::new() }
    }

    pub fn has(&self, queue_manager: QueueManagerId) -> bool {
        self.tasks.contains_key(&queue_manager)
    }

    /// It turns from here on. `record`: what the cluster has of it, where no cluster file names it.
    pub fn begin(&mut self, beginning: Beginning, record: Option<&Registered>) {
        let Beginning { mut started, inbox, mailbox, publisher } = beginning;
        started.recovered.since_start = self.shared.began.elapsed();
        let id = started.queue_manager.id();
        let name = started.queue_manager.name().to_string();
        self.peers.set_version(id, started.queue_manager.version());
        self.peers.set_membership(id, started.recovered.snapshot.membership.clone());
        let addresses = self.addresses.as_ref();
        let hands = NodeHands::new(inbox, &self.stores, self.peers.clone(), self.standing.clone(), addresses);
        let mut options = self.options(&started, record);
        options.address_tail = addresses.filter(|all| all.may_have(id)).map(Addresses::tail);
        options.address_goes_within = addresses.map_or(Duration::ZERO, Addresses::goes_within);
        let replica = Replica::new(options, started.recovered, started.queue_manager, seed());
        let driver = Driver::new(replica, id.0, name, mailbox, publisher, hands);
        let before = self.tasks.insert(id, tokio::spawn(driver.run()));
        assert!(before.is_none(), "a queue manager has one mind on a node");
    }

    /// It turns no more, and nobody finds it. Its sessions end with it.
    pub async fn end(&mut self, queue_manager: QueueManagerId) {
        self.shared.inboxes.remove(queue_manager);
        if let Some(task) = self.tasks.remove(&queue_manager) {
            task.abort();
            let _ = task.await;
        }
        self.peers.forget(queue_manager);
    }

    /// All of them, between two turns each.
    pub async fn end_all(self) {
        for task in self.tasks.into_values() {
            task.abort();
            let _ = task.await;
        }
    }

    fn options(&self, started: &Started, record: Option<&Registered>) -> replica::Options {
        let config = &*self.shared.config;
        let (id, name) = (started.queue_manager.id(), started.queue_manager.name().clone());
        let placement = match record {
            Some(record) => placement_of(record),
            None => config.placements.get(&id).copied().unwrap_or_default(),
        };
        let timing = &config.timing;
        let consensus = consensus::Options {
            node: config.node,
            seed: seed(),
            heartbeat: timing.heartbeat,
            election: timing.election,
            election_spread: timing.election.mul_f64(0.2),
            tick: (timing.heartbeat / 2).max(Duration::from_millis(5)),
            ..consensus::Options::default()
        };
        let first = placement.preferred.or_else(|| config.stands_first(id));
        let is_first = first.is_none_or(|first| first == config.node);
        let has_nothing =
            started.recovered.entries.is_empty() && started.recovered.snapshot.index <= Index(1);
        let is_new_group = record.is_some() && has_nothing;
        // Nodes hear of one that is created one after the other, and the preferred one may be the last.
        let start_delay = match (is_first, is_new_group && placement.preferred.is_some()) {
            (true, _) => Duration::ZERO,
            (false, true) => timing.election * 2 / 3,
            (false, false) => consensus.gone_spread,
        };
        let consensus = consensus::Options { start_delay, is_new_group, ..consensus };
        let defaults = replica::Options::new(id, name, consensus);
        let is_cluster = id == QueueManagerId::CLUSTER;
        replica::Options {
            units_within: defaults.units_within.min(timing.stop / 2),
            successor_within: defaults.successor_within.min(timing.stop / 2),
            window_bytes: config.limits.window_bytes,
            log_retain_bytes: config.limits.log_retain_bytes,
            log_retain_present_bytes: self.retain_present(),
            account: self.shared.account.clone(),
            speaks: config.speaks,
            system_objects: !is_cluster,
            canary: match record {
                Some(record) => record.canary,
                None => config.canaries.queue_managers.contains(&id),
            },
            register: is_cluster.then(|| Arc::new(of_file(config))),
            no_canaries: config.no_canaries(),
            disk: self.shared.disk,
            raises_itself: !is_cluster || self.cluster_raises,
            begins_with: record.filter(|record| !record.of_file).map(begins_with),
            placement,
            ..defaults
        }
    }

    /// What a peer that catches up is worth to a queue manager: its share of an eighth of the device, of half of what is free,
    /// and no more than what comes in a few minutes.
    fn retain_present(&self) -> usize {
        const MOST: u64 = 16 << 30;
        let device = filesystem(&self.shared.config.log_directory);
        let room = device.map_or(0, |device| (device.total_bytes / 8).min(device.free_bytes / 2));
        (room / self.shared.inboxes.all().len().max(1) as u64).min(MOST) as usize
    }
}

/// Whether the nodes' own may begin with the newest version: a cluster that goes on with an older one could not go back to the
/// release that it came from.
pub fn cluster_raises(started: &[Started]) -> bool {
    let others =
        started.iter().map(|one| &one.queue_manager).filter(|one| one.id() != QueueManagerId::CLUSTER);
    others.into_iter().all(|one| one.at() == WallTime(0) || one.version() >= Version::RECORDS)
}

/// The records of what the cluster file names.
fn of_file(config: &Config) -> Vec<Registered> {
    let record = |(id, name): (&QueueManagerId, &crate::types::ObjectName)| Registered {
        id: id.0,
        name: name.to_string(),
        members: Some(membership_to_wire(&config.first_snapshot(*id).membership)),
        preferred: config
            .placements
            .get(id)
            .and_then(|placement| placement.preferred)
            .map_or(0, |node| node.0),
        addresses: config.floating_of(*id),
        of_file: true,
        ..Registered::default()
    };
    config.queue_managers.iter().map(record).collect()
}

pub fn placement_of(record: &Registered) -> Placement {
    Placement {
        preferred: (record.preferred != 0).then_some(NodeId(record.preferred)),
        fail_back: FailBack::parse(&record.fail_back).unwrap_or_default(),
    }
}

fn begins_with(record: &Registered) -> BeginsWith {
    let port = u16::try_from(record.port).unwrap_or_default();
    let version = Version(record.version).max(Version::RECORDS);
    BeginsWith { version, dead_letter_queue: record.dead_letter_queue.clone(), port }
}

/// From the operating system, by way of the hash seed: nodes must not draw the same election timeouts.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
