//! Two looks at the whole state: is it the same as on another node, and does it hold together.

use super::{ManagerRules, QueueManager, QueueRules};
use crate::types::FixedHasher;

impl QueueManager {
    /// A hash of every replicated fact: equal on every node at the same applied index.
    pub fn digest(&self) -> u64 {
        use std::hash::{Hash, Hasher};
        let mut hasher = FixedHasher::default();
        (self.next_queue, self.at).hash(&mut hasher);
        self.catalog.encoded().for_each(|definition| definition.hash(&mut hasher));
        for queue in self.queues.values() {
            (queue.id, &queue.name, queue.next_sequence()).hash(&mut hasher);
            for (position, slot) in queue.iter().filter(|(position, _)| position.is_persistent()) {
                (position, slot.message_id, slot.correlation_id(), slot.group_id()).hash(&mut hasher);
                (slot.body_length, slot.backout_count, slot.put_at, slot.expires()).hash(&mut hasher);
            }
        }
        for (id, producer) in self.producers.iter() {
            (id, producer.forgotten_upto, &producer.placed).hash(&mut hasher);
        }
        for outcome in self.outcomes.from(0) {
            outcome.hash(&mut hasher);
        }
        for (number, parts) in &self.staged {
            (number, parts).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What must hold whatever happened. Says what does not.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (name, id) in self.catalog.local_queues() {
            match self.queues.get(&id) {
                Some(queue) if queue.name == *name => {}
                _ => return Err(format!("{name} does not name its queue")),
            }
        }
        for queue in self.queues.values() {
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
        Ok(())
    }

    /// Whether what is obeyed is what is defined. Says what is not.
    pub fn check_rules(&self) -> Result<(), String> {
        if self.rules != ManagerRules::of(self.catalog.manager()) {
            return Err("the queue manager does not do what its definition says".into());
        }
        for queue in self.queues.values() {
            if queue.rules != QueueRules::of(self.definition_of(queue)) {
                return Err(format!("{} does not do what its definition says", queue.name));
            }
        }
        Ok(())
    }
}
