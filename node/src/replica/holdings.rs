//! What a queue manager holds by itself, in the node's account: brought up to date when the statistics are.

use std::sync::Arc;

use super::loads::Residents;
use crate::qmgr::{Producers, QueueManager};
use crate::types::{Account, Held, Share};

#[derive(Debug)]
pub(super) struct Holdings {
    /// Messages that are not persistent: those that were put since the statistics were brought up to date, and all that
    /// were there then.
    pub not_persistent: Held,
    loaded: Held,
    staged: Held,
    producers: Held,
    definitions: Held,
}

impl Holdings {
    pub fn new(account: &Arc<Account>) -> Holdings {
        let nothing = |share| Held::nothing(account.clone(), share);
        Holdings {
            not_persistent: nothing(Share::NotPersistent),
            loaded: nothing(Share::Loaded),
            staged: nothing(Share::Staged),
            producers: nothing(Share::Producers),
            definitions: nothing(Share::Definitions),
        }
    }

    /// Whether the node has room for definitions of this queue manager that take so much together.
    pub fn has_room_for_definitions(&self, account: &Account, memory: u64) -> bool {
        let held = account.used(Share::Definitions);
        debug_assert!(held >= self.definitions.bytes(), "what is held is counted");
        let of_others = held.saturating_sub(self.definitions.bytes());
        of_others.saturating_add(memory) <= account.limit(Share::Definitions)
    }

    /// `volatile`: what the leader that serves remembers of puts that are not persistent.
    pub fn note(&mut self, state: &QueueManager, residents: &Residents, volatile: Option<&Producers>) {
        self.not_persistent.set(state.sums().not_persistent_bytes);
        self.loaded.set(residents.loaded_bytes());
        self.staged.set(state.staged_bytes() as u64);
        self.definitions.set(state.catalog().memory());
        self.producers.set(state.producers().bytes() + volatile.map_or(0, Producers::bytes));
    }
}
