//! Which queue managers this node has is what the cluster's records say (`qmgr/register.rs`): they are followed while the node runs, and
//! again at each start.
//!
//! Nothing else remembers what was made and what was not. A record whose queue manager is not here begins it, with whatever log and
//! store have of it; one that was deleted is removed from both, each time a node starts, which costs nothing where nothing is left. So
//! a crash in the middle, a node that was away, and one that lost its disk are the same case.
//!
//! So it is with where they should be: the mind, the address agent, the canaries and the ports are told what the record says, whenever it
//! says something else. When what went is gone, the nodes' own is told so (`replica/arranging.rs`), and which addresses this node
//! could hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use trimaran_proto::replica::v1::{AddressAgent, Registered};

use super::addresses::Addresses;
use super::canary::Canaries;
use super::directories;
use super::fatal::{FatalReason, fatal};
use super::left_trails;
use super::minds::{Minds, placement_of};
use super::recover::{Expected, in_doubt};
use crate::consensus::membership_from_wire;
use crate::qmgr::register::floating;
use crate::replica::{Event, Inbox, Placement};
use crate::types::{InNetwork, Index, ObjectName, QueueManagerId, SnapshotMeta, Term, TermStarts};
use crate::vip::Mode;

/// How often it is looked which addresses this node could hold.
const AGENT_LOOK: Duration = Duration::from_secs(5);
/// A queue manager that is deleted says its audit trail within this, or it is lost on this node.
const TRAIL_PATIENCE: Duration = Duration::from_secs(10);

pub struct Keeper {
    minds: Minds,
    canaries: Canaries,
    /// Nothing of them is left here.
    removed: BTreeSet<QueueManagerId>,
    /// What the minds of queue managers that were created were told, or began with.
    placed: BTreeMap<QueueManagerId, (Placement, bool)>,
    /// The change of addresses up to which the records are followed, but for what has yet to go.
    revision: u64,
    told_revision: u64,
    told_agent: Option<AddressAgent>,
}

impl Keeper {
    pub fn new(minds: Minds, canaries: Canaries) -> Keeper {
        Keeper {
            minds,
            canaries,
            removed: BTreeSet::new(),
            placed: BTreeMap::new(),
            revision: 0,
            told_revision: 0,
            told_agent: None,
        }
    }

    /// Follows the records until the node stops; then the minds are handed back as they are.
    pub async fn keep(mut self, mut stopping: watch::Receiver<bool>) -> Minds {
        let cluster = self.minds.shared.inboxes.get(QueueManagerId::CLUSTER);
        let Some(cluster) = cluster else { return self.minds };
        let mut register = cluster.published().register.clone();
        let settled = self.minds.addresses.as_ref().map(Addresses::settled);
        let mut settled = settled.unwrap_or_else(|| watch::channel(0).1);
        let mut looks = tokio::time::interval(AGENT_LOOK);
        loop {
            if *stopping.borrow() {
                return self.minds;
            }
            let records = register.borrow_and_update().clone();
            let all = || records.iter().flat_map(|records| records.iter());
            // Names of those that are gone are free again.
            for record in all().filter(|record| record.deleted).chain(all().filter(|record| !record.deleted))
            {
                self.follow(record).await;
            }
            self.open_floating(all());
            self.revision = all().map(|record| record.revision).max().unwrap_or(0);
            loop {
                self.tell_followed(&cluster).await;
                let is_to_look = tokio::select! {
                    changed = register.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return self.minds,
                    },
                    Ok(()) = settled.changed() => false,
                    _ = looks.tick() => true,
                    _ = stopping.wait_for(|stopping| *stopping) => return self.minds,
                };
                if is_to_look {
                    self.tell_agent(&cluster).await;
                }
            }
        }
    }

    /// All that went is gone, here.
    async fn tell_followed(&mut self, cluster: &Inbox) {
        let is_settled = self.minds.addresses.as_ref().is_none_or(Addresses::is_settled);
        if is_settled && self.revision > self.told_revision {
            self.told_revision = self.revision;
            let _ = cluster.deliver(Event::RegisterFollowed { revision: self.revision }).await;
        }
    }

    async fn tell_agent(&mut self, cluster: &Inbox) {
        let agent = match &self.minds.addresses {
            Some(addresses) => addresses.can_hold(),
            None => no_agent(),
        };
        if self.told_agent.as_ref() != Some(&agent) {
            self.told_agent = Some(agent.clone());
            let _ = cluster.deliver(Event::AddressAgent(Box::new(agent))).await;
        }
    }

    /// A listener may be at an address that is elsewhere just now.
    fn open_floating<'a>(&self, records: impl Iterator<Item = &'a Registered>) {
        let of_file = self.minds.shared.config.floating.keys().copied();
        let created = records.flat_map(|record| floating(&record.addresses).map(|address| address.ip));
        self.minds.shared.floating.set(of_file.chain(created));
    }

    /// Of a queue manager that was created and is here: what its record says of its place is so from here on.
    async fn place(&mut self, record: &Registered) {
        let (minds, id) = (&self.minds, QueueManagerId(record.id));
        let Some(inbox) = minds.shared.inboxes.get(id) else { return };
        let said = (placement_of(record), record.canary);
        if self.placed.insert(id, said).is_some_and(|before| before != said) {
            let (placement, canary) = said;
            let _ = inbox.deliver(Event::Arranged { placement, canary }).await;
        }
        let addresses: Vec<InNetwork> = floating(&record.addresses).collect();
        match minds.addresses.as_ref().filter(|held| held.may_have(id)) {
            Some(held) => held.set_created(id, inbox.name(), &addresses),
            None => {
                let what = format!("addresses of queue manager {} cannot be on this node", inbox.name());
                match addresses.is_empty() {
                    true => minds.standing.take_back(&what),
                    false => minds.standing.report(format!("{what}: it {}", no_agent().refusal)),
                }
            }
        }
        let is_dry_run = minds.addresses.as_ref().is_none_or(|held| held.mode() == Mode::DryRun);
        match record.canary {
            true => {
                let address = addresses.first().map(|address| address.ip).filter(|_| !is_dry_run);
                self.canaries.set(&inbox, address);
            }
            false => self.canaries.end(id),
        }
    }

    async fn follow(&mut self, record: &Registered) {
        let id = QueueManagerId(record.id);
        if !self.removed.contains(&id) {
            let (config, record) = (self.minds.shared.config.clone(), record.clone());
            let forgotten = tokio::task::spawn_blocking(move || directories::forget(&config, &[record]));
            forgotten.await.expect("it does not panic");
        }
        match (record.deleted, self.minds.shared.inboxes.get(id)) {
            (true, _) if self.removed.contains(&id) => {}
            (true, _) => self.remove(id, record).await,
            (false, None) => {
                self.begin(record).await;
                self.placed.insert(id, (placement_of(record), record.canary));
            }
            (false, Some(here)) if here.name().as_str() == record.name => {}
            (false, Some(here)) => fatal(
                FatalReason::Configuration,
                format_args!(
                    "queue manager {id} is {} in the cluster's records and {} in this node's cluster file: correct the file, a new \
                     queue manager needs an id of its own",
                    record.name,
                    here.name()
                ),
            ),
        }
        if !record.deleted && !self.is_named(id) {
            self.place(record).await;
        }
    }

    fn is_named(&self, id: QueueManagerId) -> bool {
        self.minds.shared.config.queue_managers.contains_key(&id)
    }

    async fn begin(&mut self, record: &Registered) {
        let minds = &mut self.minds;
        let Some(expected) = expected(record, minds) else {
            return tracing::error!(queue_manager = record.name, id = record.id, "its record cannot be read");
        };
        if let Some(other) = minds.shared.inboxes.all().values().find(|other| *other.name() == expected.name)
        {
            fatal(
                FatalReason::Configuration,
                format_args!(
                    "queue manager {} has the id {} in the cluster's records and {} in this node's cluster file: correct the file",
                    record.name,
                    record.id,
                    other.queue_manager()
                ),
            );
        }
        let own = (minds.shared.config.node.0, minds.shared.disk);
        let is_younger = own.1 != 0 && record.disks.iter().any(|known| (known.node, known.disk) == own);
        let Some(started) = minds.stores.begin(expected, is_younger).await else { return };
        tracing::info!(
            queue_manager = record.name,
            id = record.id,
            store = started.recovered.snapshot.index.0,
            recovering = started.recovered.recovering,
            "begun, as the cluster's records have it"
        );
        minds.standing.take_back(&in_doubt(&record.name));
        let beginning = minds.shared.prepare(started);
        // What the cluster file says of it is newer.
        let is_named = self.is_named(QueueManagerId(record.id));
        let minds = &mut self.minds;
        minds.begin(beginning, Some(record).filter(|_| !is_named));
        if let Some(inbox) = minds.shared.inboxes.get(QueueManagerId(record.id)) {
            minds.peers.introduce(&inbox).await;
        }
    }

    async fn remove(&mut self, id: QueueManagerId, record: &Registered) {
        let name = record.name.as_str();
        let was_here = self.minds.has(id);
        self.leave_trail(id, record).await;
        self.canaries.end(id);
        self.placed.remove(&id);
        let name_of = ObjectName::new(name).ok().filter(|_| !self.is_named(id));
        if let (Some(held), Some(name)) =
            (self.minds.addresses.as_ref().filter(|held| held.may_have(id)), name_of)
        {
            held.set_created(id, &name, &[]);
        }
        self.minds.end(id).await;
        self.minds.stores.forget(id).await;
        self.removed.insert(id);
        if was_here {
            tracing::info!(queue_manager = name, id = id.0, "deleted: nothing of it is left here");
        }
    }
}

impl Keeper {
    /// Who changed what is known after it is deleted, too.
    async fn leave_trail(&mut self, id: QueueManagerId, record: &Registered) {
        let name = record.name.as_str();
        let Some(inbox) = self.minds.shared.inboxes.get(id) else { return };
        let read = tokio::time::timeout(TRAIL_PATIENCE, left_trails::read(&inbox)).await;
        let Ok(Some(records)) = read else {
            tracing::warn!(
                queue_manager = name,
                "its audit trail could not be read before it was removed here"
            );
            return;
        };
        let (data, record) = (self.minds.shared.config.data_directory.clone(), record.clone());
        let written = tokio::task::spawn_blocking(move || left_trails::write(&data, &records, &record)).await;
        match written.expect("it does not panic") {
            Ok(path) => {
                tracing::info!(queue_manager = name, path = %path.display(), "its audit trail stays here");
            }
            Err(error) => {
                tracing::warn!(queue_manager = name, %error, "its audit trail could not be written before it was removed here");
            }
        }
    }
}

fn no_agent() -> AddressAgent {
    let refusal = "holds no floating addresses: write mode = \"kernel\" in a section [address] of its cluster file, and start it again";
    AddressAgent { refusal: refusal.to_owned(), ..AddressAgent::default() }
}

fn expected(record: &Registered, minds: &Minds) -> Option<Expected> {
    let id = QueueManagerId(record.id);
    let initial = SnapshotMeta {
        queue_manager: id,
        index: Index(1),
        term: Term(1),
        membership: membership_from_wire(record.members.clone()?),
        terms: TermStarts::default(),
        installed: false,
    };
    let name = ObjectName::new(&record.name).ok()?;
    Some(Expected { id, name, initial, speaks: minds.shared.config.speaks })
}
