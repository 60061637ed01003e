//! Two looks at the whole state: is it the same as on another node, and does it hold together.

use std::hash::{Hash, Hasher};

use super::{ManagerRules, QueueManager, QueueRules, canary};
use crate::types::{FixedHasher, RunState, Version};

impl QueueManager {
    /// A hash of every replicated fact: equal on every node at the same applied index. All sums in it are kept up to date,
    /// so that it costs the same however many facts there are.
    pub fn digest(&self) -> u64 {
        debug_assert!(!self.is_half_applied(), "a digest is of whole units of work");
        let mut hasher = FixedHasher::default();
        (self.next_queue, self.at).hash(&mut hasher);
        // Nodes of different releases compare theirs: what a version brought counts from that version on.
        if self.version > Version::FIRST {
            (self.version, self.failovers.digest(), &self.maintained).hash(&mut hasher);
        }
        // Who was not ended runs.
        if self.run != RunState::Running {
            self.run.hash(&mut hasher);
        }
        if self.register.iter().next().is_some() {
            self.register.digest().hash(&mut hasher);
        }
        // What no canary saw, and nobody said, is no fact.
        if let Some(canary) = &self.canary {
            canary::digest(canary).hash(&mut hasher);
        }
        if let Some(said) = self.failovers.digest_of_classified() {
            said.hash(&mut hasher);
        }
        if let Some(trail) = self.trail.digest() {
            trail.hash(&mut hasher);
        }
        (self.catalog.digest(), self.queues.sums().digest, self.staged.digest()).hash(&mut hasher);
        (self.producers.digest(), self.producers.names().digest()).hash(&mut hasher);
        self.producers.names().any_forgotten().hash(&mut hasher);
        (self.outcomes.digest(), self.outcomes.refusals_forgotten()).hash(&mut hasher);
        hasher.finish()
    }

    /// What must hold whatever happened. Says what does not.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.assert_holds();
        for (name, id) in self.catalog.local_queues() {
            match self.queues.get(id) {
                Some(queue) if queue.name == *name => {}
                _ => return Err(format!("{name} does not name its queue")),
            }
        }
        for queue in self.queues.iter() {
            let name = &queue.name;
            for (position, slot) in queue.iter() {
                if position.sequence >= queue.next_sequence() {
                    return Err(format!("{name} has {position:?} at or behind {}", queue.next_sequence()));
                }
                if slot.message.is_none() && slot.packed.is_none() {
                    return Err(format!("the message at {position:?} of {name} is nowhere"));
                }
            }
            queue.packs().check(queue.id, queue.iter()).map_err(|text| format!("{name}: {text}"))?;
            let counted = queue.iter().filter(|(position, _)| !position.is_persistent()).count() as u64;
            if counted != queue.not_persistent() {
                return Err(format!(
                    "{name} counts {} not persistent and has {counted}",
                    queue.not_persistent()
                ));
            }
        }
        self.catalog.check()?;
        self.check_digests()
    }

    /// Between what is known of queues here and there, and what is noted for the store.
    fn assert_holds(&self) {
        let unwritten = &self.unwritten;
        debug_assert!(
            self.maintained.is_empty() || self.version >= Version::RECORDS,
            "maintenance came with a version"
        );
        debug_assert!(
            self.register.iter().next().is_none() || self.version >= Version::RECORDS,
            "records of queue managers came with a version"
        );
        debug_assert!(
            unwritten.registered.iter().all(|id| self.register.get(*id).is_some()),
            "a record that is to be written is there"
        );
        debug_assert!(
            self.canary.is_none() || self.version >= Version::RECORDS,
            "what canaries see came with a version"
        );
        debug_assert!(
            self.queues.iter().all(|queue| queue.id < self.next_queue),
            "the next queue gets a number that none has"
        );
        debug_assert!(
            self.queues
                .iter()
                .all(|queue| queue.expiries().next().is_none_or(|at| self.expiring.knows(queue.id, at))),
            "a queue whose messages expire is looked at when time goes on"
        );
        debug_assert!(
            self.sparse.iter().all(|key| {
                self.queues.get(key.queue).is_some_and(|queue| queue.packs().get(*key).is_some())
            }),
            "a pack that is mostly gone is one of its queue"
        );
        debug_assert!(
            unwritten.queues.iter().all(|queue| self.queues.contains(*queue)),
            "a queue whose row is to be written is there"
        );
        debug_assert!(
            !unwritten.queues_gone.iter().any(|queue| self.queues.contains(*queue)),
            "a queue whose rows are to be deleted is gone"
        );
        debug_assert!(
            unwritten.packs.iter().chain(&unwritten.repack).all(|pack| self.queues.contains(pack.queue)),
            "a queue that goes takes along what was noted of its packs"
        );
        debug_assert!(
            unwritten.heads.iter().all(|(_, position)| position.is_persistent()),
            "only of what the store has it is told how often it was backed out"
        );
        debug_assert!(
            unwritten.outcomes_first <= unwritten.outcomes_from,
            "the first outcome that the store has is in front of the first that it lacks"
        );
        debug_assert!(
            unwritten.outcomes_first <= self.outcomes.first(),
            "an outcome that was forgotten does not come back"
        );
        debug_assert!(
            unwritten.trail_from <= self.trail.next(),
            "what the store is to have of the trail was done"
        );
        debug_assert!(
            unwritten.failovers_from <= self.first_unsealed(),
            "a record that is sealed after the store has it is written again"
        );
        let staged = self.staged_parts();
        debug_assert!(
            unwritten.staged.iter().all(|(number, written)| staged.get(number) >= Some(written)),
            "the store has no more parts of what is staged than came"
        );
    }

    fn check_digests(&self) -> Result<(), String> {
        if let Some(queue) = self.queues.iter().find(|queue| queue.digest() != queue.recount_digest()) {
            return Err(format!("the digest of {} is not the one of its messages", queue.name));
        }
        if self.queues.sums() != self.queues.recount() {
            return Err("the sums over all queues are not those of the queues".into());
        }
        if self.catalog.digest() != self.catalog.recount_digest() {
            return Err("the digest of the definitions is not theirs".into());
        }
        if self.staged.digest() != self.staged.recount_digest() {
            return Err("the digest of what is staged is not that of its parts".into());
        }
        if self.producers.digest() != self.producers.recount_digest() {
            return Err("the digest of the producers is not theirs".into());
        }
        if self.producers.names().digest() != self.producers.names().recount_digest() {
            return Err("the digest of the producers' names is not that of what they are".into());
        }
        self.failovers.check()?;
        self.failovers.check_classified()?;
        self.trail.check()?;
        if self.outcomes.digest() != self.outcomes.recount_digest() {
            return Err("the digest of the outcomes is not theirs".into());
        }
        Ok(())
    }

    /// Whether what is obeyed is what is defined. Says what is not.
    pub fn check_rules(&self) -> Result<(), String> {
        if self.rules != ManagerRules::of(self.catalog.manager()) {
            return Err("the queue manager does not do what its definition says".into());
        }
        self.catalog.check_aliases()?;
        for queue in self.queues.iter() {
            if queue.rules != QueueRules::of(self.definition_of(queue)) {
                return Err(format!("{} does not do what its definition says", queue.name));
            }
        }
        Ok(())
    }
}
