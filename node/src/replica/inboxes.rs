//! The inboxes of all minds of a node, which come and go while it runs (`runtime/keeper.rs` adds and removes them).
//!
//! Whoever gets something for a queue manager looks here: log, store, peers, listeners. One that is not here is not of this node, and
//! what comes for it is nobody's.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::Inbox;
use crate::types::QueueManagerId;

/// Shared by all who look. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Inboxes(watch::Sender<Arc<BTreeMap<QueueManagerId, Inbox>>>);

impl Inboxes {
    pub fn get(&self, queue_manager: QueueManagerId) -> Option<Inbox> {
        self.0.borrow().get(&queue_manager).cloned()
    }

    pub fn has(&self, queue_manager: QueueManagerId) -> bool {
        self.0.borrow().contains_key(&queue_manager)
    }

    /// Those that are here now, in the order of their ids.
    pub fn all(&self) -> Arc<BTreeMap<QueueManagerId, Inbox>> {
        self.0.borrow().clone()
    }

    /// Those that programs know: all but the nodes' own.
    pub fn of_programs(&self) -> Vec<Inbox> {
        let all = self.all();
        let known = all.iter().filter(|(id, _)| **id != QueueManagerId::CLUSTER);
        let known: Vec<Inbox> = known.map(|(_, inbox)| inbox.clone()).collect();
        debug_assert!(known.len() + 1 >= all.len(), "the nodes have one of their own");
        known
    }

    /// Told whenever one came or went.
    pub fn changes(&self) -> watch::Receiver<Arc<BTreeMap<QueueManagerId, Inbox>>> {
        self.0.subscribe()
    }

    /// # Panics
    /// When there is one of this queue manager: it has one mind.
    pub fn add(&self, inbox: Inbox) {
        self.0.send_modify(|all| {
            let before = Arc::make_mut(all).insert(inbox.queue_manager(), inbox);
            assert!(before.is_none(), "a queue manager has one mind on a node");
        });
    }

    pub fn remove(&self, queue_manager: QueueManagerId) -> Option<Inbox> {
        let mut removed = None;
        self.0.send_modify(|all| removed = Arc::make_mut(all).remove(&queue_manager));
        debug_assert!(
            removed.as_ref().is_none_or(|inbox: &Inbox| inbox.queue_manager() == queue_manager),
            "an inbox is found by the queue manager that it is of"
        );
        removed
    }
}

impl FromIterator<Inbox> for Inboxes {
    fn from_iter<I: IntoIterator<Item = Inbox>>(inboxes: I) -> Inboxes {
        let all = Inboxes::default();
        inboxes.into_iter().for_each(|inbox| all.add(inbox));
        all
    }
}
