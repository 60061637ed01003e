//! Two looks at the whole state: is it the same as on another node, and does it hold together.

use super::QueueManager;
use crate::types::FixedHasher;

impl QueueManager {
    /// A hash of every replicated fact: equal on every node at the same applied index.
    pub fn digest(&self) -> u64 {
        use std::hash::{Hash, Hasher};
        let mut hasher = FixedHasher::default();
        (self.next_queue, &self.deadq, self.maxumsgs, self.at).hash(&mut hasher);
        for queue in self.queues.values() {
            (queue.id, format!("{:?}", queue.definition), queue.next_sequence()).hash(&mut hasher);
            for (position, slot) in queue.iter().filter(|(position, _)| position.is_persistent()) {
                (position, slot.message_id, slot.correlation_id(), slot.group_id()).hash(&mut hasher);
                (slot.body_length, slot.backout_count, slot.put_at, slot.expires()).hash(&mut hasher);
            }
        }
        for (id, producer) in self.producers.iter() {
            (id, producer.forgotten_upto, &producer.placed, producer.used_at).hash(&mut hasher);
        }
        self.producers.names().any_forgotten().hash(&mut hasher);
        for name in self.producers.names().iter() {
            name.hash(&mut hasher);
        }
        self.outcomes.refusals_forgotten().hash(&mut hasher);
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
        for (name, id) in &self.by_name {
            match self.queues.get(id) {
                Some(queue) if queue.definition.name == *name => {}
                _ => return Err(format!("{name} does not name its queue")),
            }
        }
        for queue in self.queues.values() {
            let name = &queue.definition.name;
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
}
