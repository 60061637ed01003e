//! What is defined, and what its names stand for.

use std::ops::Bound;

use super::{Applied, Queue, QueueManager, Verdict};
use crate::types::{ObjectName, QueueDefinition, QueueId, Reason, limits};

impl QueueManager {
    pub fn queue_id(&self, name: &ObjectName) -> Option<QueueId> {
        self.by_name.get(name).copied()
    }

    /// Queues whose names match, behind this one, in the order of names.
    pub fn queues_named<'a>(
        &'a self,
        pattern: &'a str,
        after: Option<&'a ObjectName>,
    ) -> impl Iterator<Item = &'a Queue> {
        let prefix = pattern.strip_suffix('*').unwrap_or(pattern);
        let first = ObjectName::new(prefix).ok();
        let from = match (after, &first) {
            (Some(after), Some(first)) if after < first => Bound::Included(first),
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(first)) => Bound::Included(first),
            (None, None) => Bound::Unbounded,
        };
        let named = self.by_name.range((from.cloned(), Bound::Unbounded));
        // A name without a star stands in front of all that begin with it.
        named.take_while(|(name, _)| name.matches(pattern)).map(|(_, id)| &self.queues[id])
    }

    pub(super) fn apply_create_queue(
        &mut self,
        definition: QueueDefinition,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        if self.by_name.contains_key(&definition.name) {
            return Err(Reason::ObjectAlreadyExists);
        }
        if self.queues.len() >= limits::QUEUES_MAX {
            return Err(Reason::ResourceProblem);
        }
        let id = self.next_queue;
        self.next_queue = QueueId(id.0 + 1);
        self.by_name.insert(definition.name.clone(), id);
        self.queues.insert(id, Queue::new(id, definition, 1));
        self.unwritten.manager = true;
        self.unwritten.queues.insert(id);
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    pub(super) fn apply_alter_queue(
        &mut self,
        definition: QueueDefinition,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let id = self.queue_id(&definition.name).ok_or(Reason::UnknownObjectName)?;
        self.queues.get_mut(&id).expect("named").definition = definition;
        self.unwritten.queues.insert(id);
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    pub(super) fn apply_delete_queue(
        &mut self,
        name: ObjectName,
        purge: bool,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let id = self.queue_id(&name).ok_or(Reason::UnknownObjectName)?;
        let queue = &self.queues[&id];
        // Messages that are not persistent are not replicated: whether they are there must not decide.
        if queue.depth() > queue.not_persistent() && !purge {
            return Err(Reason::QNotEmpty);
        }
        self.by_name.remove(&name);
        self.queues.remove(&id);
        self.unwritten.forget_messages_of(id);
        self.sparse.retain(|pack| pack.queue != id);
        self.unwritten.queues.remove(&id);
        self.unwritten.queues_cleared.remove(&id);
        self.unwritten.queues_gone.insert(id);
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    pub(super) fn apply_clear_queue(
        &mut self,
        name: ObjectName,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let id = self.queue_id(&name).ok_or(Reason::UnknownObjectName)?;
        self.queues.get_mut(&id).expect("named").clear();
        self.unwritten.forget_messages_of(id);
        self.sparse.retain(|pack| pack.queue != id);
        self.unwritten.queues_cleared.insert(id);
        self.unwritten.queues.insert(id);
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    pub(super) fn apply_alter_manager(
        &mut self,
        deadq: Option<Option<ObjectName>>,
        maxumsgs: Option<u32>,
    ) -> Result<Verdict, Reason> {
        if let Some(deadq) = deadq {
            self.deadq = deadq;
        }
        if let Some(maxumsgs) = maxumsgs {
            self.maxumsgs = maxumsgs;
        }
        self.unwritten.manager = true;
        Ok(Verdict::Done)
    }
}
