//! Two looks at the whole state: is it the same as on another node, and does it hold together.

use std::hash::{Hash, Hasher};

use super::{ManagerRules, QueueManager, QueueRules};
use crate::types::FixedHasher;

impl QueueManager {
    /// A hash of every replicated fact: equal on every node at the same applied index. All sums in it are kept up to date,
    /// so that it costs the same however many facts there are.
    pub fn digest(&self) -> u64 {
        let mut hasher = FixedHasher::default();
        (self.next_queue, self.at).hash(&mut hasher);
        (self.catalog.digest(), self.queues.sums().digest, self.staged.digest()).hash(&mut hasher);
        (self.producers.digest(), self.producers.names().digest()).hash(&mut hasher);
        self.producers.names().any_forgotten().hash(&mut hasher);
        (self.outcomes.digest(), self.outcomes.refusals_forgotten()).hash(&mut hasher);
        hasher.finish()
    }

    /// What must hold whatever happened. Says what does not.
    pub fn check_invariants(&self) -> Result<(), String> {
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
        self.check_digests()
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
        for queue in self.queues.iter() {
            if queue.rules != QueueRules::of(self.definition_of(queue)) {
                return Err(format!("{} does not do what its definition says", queue.name));
            }
        }
        Ok(())
    }
}
