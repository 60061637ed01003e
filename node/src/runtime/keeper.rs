//! Which queue managers this node has is what the cluster's records say (`qmgr/register.rs`): they are followed while the node runs, and
//! again at each start.
//!
//! Nothing else remembers what was made and what was not. A record whose queue manager is not here begins it, with whatever log and
//! store have of it; one that was deleted is removed from both, each time a node starts, which costs nothing where nothing is left. So
//! a crash in the middle, a node that was away, and one that lost its disk are the same case.

use std::collections::BTreeSet;

use tokio::sync::watch;
use trimaran_proto::replica::v1::Registered;

use super::directories;
use super::fatal::{FatalReason, fatal};
use super::minds::Minds;
use super::recover::{Expected, in_doubt};
use crate::consensus::membership_from_wire;
use crate::types::{Index, ObjectName, QueueManagerId, SnapshotMeta, Term, TermStarts};

pub struct Keeper {
    minds: Minds,
    /// Nothing of them is left here.
    removed: BTreeSet<QueueManagerId>,
}

impl Keeper {
    pub fn new(minds: Minds) -> Keeper {
        Keeper { minds, removed: BTreeSet::new() }
    }

    /// Follows the records until the node stops; then the minds are handed back as they are.
    pub async fn keep(mut self, mut stopping: watch::Receiver<bool>) -> Minds {
        let cluster = self.minds.shared.inboxes.get(QueueManagerId::CLUSTER);
        let Some(mut register) = cluster.map(|inbox| inbox.published().register.clone()) else {
            return self.minds;
        };
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
            tokio::select! {
                changed = register.changed() => if changed.is_err() {
                    return self.minds;
                },
                _ = stopping.wait_for(|stopping| *stopping) => return self.minds,
            }
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
            (true, _) => self.remove(id, &record.name).await,
            (false, None) => self.begin(record).await,
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
        let named = minds.shared.config.queue_managers.contains_key(&QueueManagerId(record.id));
        minds.begin(beginning, Some(record).filter(|_| !named));
        if let Some(inbox) = minds.shared.inboxes.get(QueueManagerId(record.id)) {
            minds.peers.introduce(&inbox).await;
        }
    }

    async fn remove(&mut self, id: QueueManagerId, name: &str) {
        let was_here = self.minds.has(id);
        self.minds.end(id).await;
        self.minds.stores.forget(id).await;
        self.removed.insert(id);
        if was_here {
            tracing::info!(queue_manager = name, id = id.0, "deleted: nothing of it is left here");
        }
    }
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
