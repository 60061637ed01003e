//! A node as its listeners see it, and what they share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::backlogs::Backlogs;
use super::connected::Connected;
use super::counters::Counters;
use super::hang_up::HangUps;
use super::limits::Limits;
use super::ports::PortView;
use super::traffic::Traffic;
use super::wording::Wording;
use crate::replica::{Inbox, Inboxes};
use crate::types::{
    self, Account, FloatingAddress, NodeId, NodeInfo, ObjectName, QueueManagerId, RoleView, Share,
    WhyNotServing,
};

/// A node: its queue managers, its name, and what an operator should be reminded of.
#[derive(Debug)]
pub struct NodeHandle {
    pub cluster: String,
    pub node: NodeId,
    pub name: String,
    pub version: &'static str,
    /// The time of the roles that queue managers publish, now.
    pub clock: fn() -> types::Instant,
    /// Those that there are now, and the nodes' own, which no program sees.
    pub inboxes: Inboxes,
    /// Every node of the configuration, this one too.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// Standing warnings (no TLS, a peer of another version, …); repeated by status.
    pub warnings: watch::Receiver<Vec<String>>,
    /// Floating addresses, and which of them this node has.
    pub addresses: watch::Receiver<Vec<FloatingAddress>>,
    /// The listeners of the queue managers that this node serves, and how each is.
    pub ports: watch::Receiver<Vec<PortView>>,
    /// True once the node has been told to stop: no new sessions.
    pub stopping: watch::Receiver<bool>,
}

impl NodeHandle {
    /// By name, in order of name.
    pub fn queue_managers(&self) -> BTreeMap<ObjectName, Inbox> {
        self.inboxes.of_programs().into_iter().map(|inbox| (inbox.name().clone(), inbox)).collect()
    }

    /// The queue manager of this name; the only one when the name is empty.
    pub fn queue_manager(&self, name: &str) -> Option<Inbox> {
        let mut all = self.inboxes.of_programs();
        if name.is_empty() {
            return all.pop().filter(|_| all.is_empty());
        }
        all.into_iter().find(|inbox| inbox.name().as_str() == name)
    }

    /// The queue manager's role as it is now: nobody serves without a lease, however long the queue manager has had no turn.
    pub fn role(&self, inbox: &Inbox) -> RoleView {
        inbox.role().at((self.clock)())
    }

    /// Whether a queue manager that is not here is nowhere. A node that was started does not know before it has heard who leads the
    /// nodes' own. Where that has not begun, because not all nodes run a release that has it, the cluster file says it.
    pub fn knows_all(&self) -> bool {
        !self.cluster_inbox().is_some_and(|own| match own.role() {
            RoleView::NotServing { leader, recovering, .. } => leader.is_none() && !recovering,
            RoleView::Elected { why, .. } => why == WhyNotServing::Starting,
            RoleView::Serving { .. } | RoleView::Removed => false,
        })
    }

    /// The nodes' own.
    pub fn cluster_inbox(&self) -> Option<Inbox> {
        self.inboxes.get(QueueManagerId::CLUSTER)
    }
}

/// What the listeners of one node share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Listener {
    pub node: Arc<NodeHandle>,
    pub limits: Arc<Limits>,
    pub counters: Arc<Counters>,
    /// What clients make the node hold.
    pub account: Arc<Account>,
    /// Places for connections and for sessions, over all protocols.
    pub connections: Arc<Semaphore>,
    pub sessions: Arc<Semaphore>,
    /// One session at a time translates long selectors.
    pub translations: Arc<Semaphore>,
    /// Long answers are worded part by part, over all protocols.
    pub wording: Wording,
    /// Places for work on bodies that is done beside the queue managers, which need the processors, too.
    pub bodies: Arc<Semaphore>,
    pub hang_ups: Arc<HangUps>,
    pub backlogs: Arc<Backlogs>,
    /// Who is connected, over all protocols.
    pub connected: Arc<Connected>,
    /// What goes through channels.
    pub traffic: Arc<Traffic>,
    /// Queue managers whose commands are taken as messages just now.
    pub command_servers: watch::Sender<BTreeSet<QueueManagerId>>,
    started: Instant,
}

impl Listener {
    pub fn new(node: Arc<NodeHandle>, limits: Limits, account: Arc<Account>) -> Listener {
        let counters = Arc::<Counters>::default();
        let hang_ups = HangUps::new(counters.clone());
        let backlogs = Backlogs::new(account.clone(), hang_ups.clone(), limits.patience());
        let connections = Arc::new(Semaphore::new(limits.connections_max));
        let sessions = Arc::new(Semaphore::new(limits.sessions_max));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let bodies = Arc::new(Semaphore::new((processors / 2).max(1)));
        let connected = Arc::<Connected>::default();
        let (limits, started) = (Arc::new(limits), Instant::now());
        Listener {
            node,
            limits,
            counters,
            account,
            connections,
            sessions,
            translations: Arc::new(Semaphore::new(1)),
            wording: Wording::default(),
            bodies,
            hang_ups,
            backlogs,
            connected,
            traffic: Arc::default(),
            command_servers: watch::Sender::default(),
            started,
        }
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether a session or a call is under way, or an answer of one that its client has not taken.
    pub fn is_busy(&self) -> bool {
        let free = self.sessions.available_permits();
        debug_assert!(free <= self.limits.sessions_max, "no more places are free than there are");
        free < self.limits.sessions_max || self.account.used(Share::Answers) > 0
    }

    pub fn is_stopping(&self) -> bool {
        *self.node.stopping.borrow()
    }
}
