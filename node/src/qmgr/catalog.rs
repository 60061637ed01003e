//! What is defined, and what its names stand for.
//!
//! Definitions of every kind are here, those of local queues too; a [`Queue`] has its messages and its rules. Queues of
//! all types share one namespace, as in MQ. What may be defined is checked before it is proposed; here changes are
//! merged with what they meet, and nothing depends on which attributes this program knows, so that nodes of different
//! versions agree.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::definition_codec::encoded;
use super::digest::Digest;
use super::rules::{AliasRules, AliasWords, ManagerRules, QueueRules};
use super::{Applied, Queue, QueueManager, Verdict};
use crate::types::definition::{
    self as selector, Changes, Definition, Fault, ObjectKind, ObjectRef, RecordAction, Settings, Value,
};
use crate::types::{ObjectName, QueueId, Reason, WallTime, limits};

/// Definitions by what they define.
#[derive(Debug)]
pub struct Catalog {
    manager: Definition,
    queues: BTreeMap<ObjectName, Entry>,
    others: BTreeMap<ObjectRef, Definition>,
    /// Of all definitions but the queue manager's own, which is there once.
    digest: Digest,
}

/// A queue of any type.
#[derive(Debug)]
struct Entry {
    definition: Definition,
    /// Of a local queue.
    id: Option<QueueId>,
    alias: Option<AliasRules>,
}

impl Entry {
    fn new(definition: Definition, id: Option<QueueId>) -> Entry {
        debug_assert!(definition.kind().is_queue(), "only queues share one space of names");
        let alias = AliasRules::of(&definition);
        debug_assert!(id.is_none() || alias.is_none(), "a queue has messages, or leads to one that has");
        Entry { alias, definition, id }
    }
}

/// What the name of a queue stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the messages are.
    pub queue: QueueId,
    /// What the alias says that was named, if it was one.
    pub alias: Option<AliasWords>,
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            manager: Definition::new(ObjectRef::manager()),
            queues: BTreeMap::new(),
            others: BTreeMap::new(),
            digest: Digest::default(),
        }
    }
}

impl Catalog {
    /// The queue manager's own definition.
    pub fn manager(&self) -> &Definition {
        &self.manager
    }

    pub fn get(&self, object: &ObjectRef) -> Option<&Definition> {
        match object.kind {
            ObjectKind::QueueManager => Some(&self.manager),
            kind if kind.is_queue() => {
                let found = self.queue_named(&object.name).filter(|definition| definition.kind() == kind);
                debug_assert!(
                    found.is_none_or(|definition| definition.object.name == object.name),
                    "a queue is found by the name that its definition has"
                );
                found
            }
            _ => self.others.get(object),
        }
    }

    /// A queue of whatever type.
    pub fn queue_named(&self, name: &str) -> Option<&Definition> {
        let name = ObjectName::new(name).ok()?;
        self.queues.get(&name).map(|entry| &entry.definition)
    }

    /// All definitions of a kind in the order of their names.
    pub fn of_kind(&self, kind: ObjectKind) -> Box<dyn Iterator<Item = &Definition> + '_> {
        let is_of = move |definition: &&Definition| definition.kind() == kind;
        match kind {
            ObjectKind::QueueManager => Box::new(std::iter::once(&self.manager)),
            kind if kind.is_queue() => {
                Box::new(self.queues.values().map(|entry| &entry.definition).filter(is_of))
            }
            _ => Box::new(self.others.values().filter(is_of)),
        }
    }

    /// Objects of one kind that is no queue, in the order of their names, behind this name.
    pub fn others_behind(&self, kind: ObjectKind, name: &str) -> impl Iterator<Item = &Definition> {
        debug_assert!(!kind.is_queue(), "queues have a place of their own");
        let behind = (Bound::Excluded(ObjectRef::new(kind, name)), Bound::Unbounded);
        let others = self.others.range(behind).map(|(_, definition)| definition);
        others.take_while(move |definition| definition.kind() == kind)
    }

    /// Of every kind; local queues among them.
    pub fn all(&self) -> impl Iterator<Item = &Definition> {
        let queues = self.queues.values().map(|entry| &entry.definition);
        std::iter::once(&self.manager).chain(queues).chain(self.others.values())
    }

    /// Of these kinds, those whose names match, behind this name (empty: all), in the order of names.
    pub fn listed<'a>(
        &'a self,
        kinds: &'a [ObjectKind],
        pattern: &'a str,
        after: &'a str,
    ) -> Box<dyn Iterator<Item = &'a Definition> + 'a> {
        if kinds.iter().all(|kind| kind.is_queue()) {
            let named = self.queues_named(pattern, after);
            return Box::new(named.filter(|definition| kinds.contains(&definition.kind())));
        }
        let found = kinds.iter().flat_map(|kind| self.of_kind(*kind));
        let mut found: Vec<&Definition> = found
            .filter(|definition| definition.object.matches(pattern))
            .filter(|definition| after.is_empty() || definition.object.name.as_str() > after)
            .collect();
        found.sort_by(|one, other| one.object.name.cmp(&other.object.name));
        Box::new(found.into_iter())
    }

    fn queues_named<'a>(
        &'a self,
        pattern: &'a str,
        after: &str,
    ) -> impl Iterator<Item = &'a Definition> + use<'a> {
        let first = ObjectName::new(pattern.strip_suffix('*').unwrap_or(pattern)).ok();
        let from = match (ObjectName::new(after).ok(), first) {
            (Some(after), Some(first)) if after < first => Bound::Included(first),
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(first)) => Bound::Included(first),
            (None, None) => Bound::Unbounded,
        };
        let named = self.queues.range((from, Bound::Unbounded));
        // A name without a star stands in front of all that begin with it.
        let matching = named.take_while(|(name, _)| name.matches(pattern));
        matching.map(|(_, entry)| &entry.definition)
    }

    pub fn queue_id(&self, name: &ObjectName) -> Option<QueueId> {
        let entry = self.queues.get(name)?;
        debug_assert_eq!(
            entry.id.is_some(),
            entry.definition.kind() == ObjectKind::LocalQueue,
            "local queues have numbers"
        );
        entry.id
    }

    /// Local queues in the order of their names.
    pub fn local_queues(&self) -> impl Iterator<Item = (&ObjectName, QueueId)> {
        self.queues.iter().filter_map(|(name, entry)| Some((name, entry.id?)))
    }

    /// The queue that a program means by this name. The one place where names of queues are looked up.
    ///
    /// # Errors
    /// MQ's reason, with a sentence where the name is there and leads nowhere.
    pub fn resolve(&self, name: &ObjectName, queue_manager: &ObjectName) -> Result<Target, Fault> {
        let unknown = Fault::new(Reason::UnknownObjectName, "");
        let entry = self.queues.get(name).ok_or(unknown)?;
        if let Some(queue) = entry.id {
            return Ok(Target { queue, alias: None });
        }
        let Some(alias) = &entry.alias else {
            let detail =
                format!("{name} is a model queue: open it, and a queue is made that takes messages.");
            return Err(Fault::new(Reason::ObjectTypeError, detail));
        };
        let target = alias.target.as_ref().map_or("", ObjectName::as_str);
        if let Some(there) = alias.elsewhere(queue_manager) {
            let detail = format!(
                "{name} is the queue {target} of queue manager {there}; messages do not travel between queue managers yet."
            );
            return Err(Fault::new(Reason::UnknownRemoteQMgr, detail));
        }
        let Some(entry) = alias.target.as_ref().and_then(|target| self.queues.get(target)) else {
            let detail = format!("The alias {name} names {target:?}.");
            return Err(Fault::new(Reason::UnknownAliasBaseQ, detail));
        };
        let Some(queue) = entry.id else {
            let what = entry.definition.kind().facts().words;
            let detail = format!("The alias {name} names {target}, which is a {what}.");
            return Err(Fault::new(Reason::AliasBaseQTypeError, detail));
        };
        Ok(Target { queue, alias: Some(alias.words) })
    }

    /// The model of this name.
    pub fn model(&self, name: &ObjectName) -> Option<&Definition> {
        let definition = &self.queues.get(name)?.definition;
        debug_assert_eq!(definition.object.name, name.as_str(), "a queue is found under its name");
        (definition.kind() == ObjectKind::ModelQueue).then_some(definition)
    }

    /// What another name of a queue stands for.
    fn alias(&self, name: &ObjectName) -> Option<&AliasRules> {
        self.queues.get(name)?.alias.as_ref()
    }

    /// Whether what aliases do is what is defined.
    pub(super) fn check_aliases(&self) -> Result<(), String> {
        match self.queues.iter().find(|(_, entry)| entry.alias != AliasRules::of(&entry.definition)) {
            Some((name, _)) => Err(format!("{name} does not do what its definition says")),
            None => Ok(()),
        }
    }

    /// Of what a new object is made: LIKE, or the kind's default object, or nothing.
    ///
    /// # Errors
    /// 2085 when there is no object to be like.
    pub fn basis(&self, object: &ObjectRef, like: &str) -> Result<Settings, Fault> {
        let named = |name: &str| self.get(&ObjectRef::new(object.kind, name));
        // A channel that is like one that was stopped takes connections, and nobody has started or stopped a new listener.
        let settings = |of: &Definition| {
            of.settings.clone().without(selector::CHANNEL_STATE).without(selector::LISTENER_STATE)
        };
        if like.is_empty() {
            let default = object.kind.facts().default_object;
            let found = named(default).filter(|_| object.name != default);
            return Ok(found.map(settings).unwrap_or_default());
        }
        match named(like) {
            Some(definition) => Ok(settings(definition)),
            None => {
                let detail = format!("There is no {} {like} to be like.", object.kind.facts().words);
                Err(Fault::new(Reason::UnknownObjectName, detail))
            }
        }
    }

    /// Whether the object can be defined now.
    ///
    /// # Errors
    /// 2100 when it is there and shall not be replaced, 4002 when a queue of another type has the name.
    pub fn check_new(&self, object: &ObjectRef, replace: bool) -> Result<(), Reason> {
        let there = if object.kind.is_queue() { self.queue_named(&object.name) } else { self.get(object) };
        match there {
            None => Ok(()),
            Some(there) if there.kind() != object.kind => Err(Reason::ObjectWrongType),
            Some(_) if !replace => Err(Reason::ObjectAlreadyExists),
            Some(_) => Ok(()),
        }
    }

    /// In the place of what was there.
    pub(super) fn insert(&mut self, definition: Definition, id: Option<QueueId>) {
        assert_eq!(id.is_some(), definition.kind() == ObjectKind::LocalQueue, "local queues have numbers");
        debug_assert!(
            definition.object.key.is_empty() || definition.kind().is_record(),
            "only records have keys"
        );
        if definition.kind() == ObjectKind::QueueManager {
            self.manager = definition;
            return;
        }
        self.digest.add(fact(&definition, id));
        if definition.kind().is_queue() {
            let name = ObjectName::new(&definition.object.name).expect("names of queues are checked");
            if let Some(before) = self.queues.insert(name, Entry::new(definition, id)) {
                self.digest.take(fact(&before.definition, before.id));
            }
        } else if let Some(before) = self.others.insert(definition.object.clone(), definition) {
            self.digest.take(fact(&before, None));
        }
    }

    fn alter(&mut self, object: &ObjectRef, changes: &Changes, at: WallTime) -> Option<&Definition> {
        let mut digest = self.digest;
        let mut alias = None;
        let (definition, id) = match object.kind {
            ObjectKind::QueueManager => (&mut self.manager, None),
            kind if kind.is_queue() => {
                let entry = self.queues.get_mut(&ObjectName::new(&object.name).ok()?)?;
                alias = Some(&mut entry.alias);
                (&mut entry.definition, entry.id)
            }
            _ => (self.others.get_mut(object)?, None),
        };
        if definition.kind() != object.kind {
            return None;
        }
        let is_counted = object.kind != ObjectKind::QueueManager;
        if is_counted {
            digest.take(fact(definition, id));
        }
        definition.settings.merge(changes);
        definition.altered = at;
        alias.into_iter().for_each(|alias| *alias = AliasRules::of(definition));
        if is_counted {
            digest.add(fact(definition, id));
        }
        self.digest = digest;
        Some(definition)
    }

    fn remove(&mut self, object: &ObjectRef) {
        debug_assert_ne!(object.kind, ObjectKind::QueueManager, "the queue manager stays defined");
        debug_assert!(self.get(object).is_some(), "only what is defined is removed");
        if object.kind.is_queue() {
            let gone = ObjectName::new(&object.name).ok().and_then(|name| self.queues.remove(&name));
            gone.into_iter().for_each(|gone| self.digest.take(fact(&gone.definition, gone.id)));
        } else if let Some(gone) = self.others.remove(object) {
            self.digest.take(fact(&gone, None));
        }
    }

    /// Of what all definitions say: kept up to date, and counted anew.
    pub(super) fn digest(&self) -> Digest {
        self.with_manager(self.digest)
    }

    pub(super) fn recount_digest(&self) -> Digest {
        let queues = self.queues.values().map(|entry| fact(&entry.definition, entry.id));
        let others = self.others.values().map(|definition| fact(definition, None));
        self.with_manager(Digest::of(queues.chain(others)))
    }

    fn with_manager(&self, mut digest: Digest) -> Digest {
        digest.add(fact(&self.manager, None));
        digest
    }
}

/// The same on every node that has the same definition, whatever else the nodes are.
fn fact(definition: &Definition, id: Option<QueueId>) -> (Vec<u8>, Option<QueueId>) {
    (encoded(definition), id)
}

impl QueueManager {
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub fn resolve(&self, name: &ObjectName) -> Result<Target, Fault> {
        let target = self.catalog.resolve(name, &self.name);
        debug_assert!(
            target.as_ref().is_ok_and(|target| self.queues.contains(target.queue)) || target.is_err(),
            "what a name stands for is there"
        );
        target
    }

    /// What the alias says through which a queue was opened.
    ///
    /// # Errors
    /// 2041 when it is gone or leads elsewhere by now.
    pub fn alias_of(&self, queue: &Queue, alias: &ObjectName) -> Result<AliasWords, Reason> {
        let rules = self.catalog.alias(alias).filter(|rules| rules.elsewhere(&self.name).is_none());
        let rules = rules.filter(|rules| rules.target.as_ref() == Some(&queue.name));
        rules.map(|rules| rules.words).ok_or(Reason::ObjectChanged)
    }

    pub fn queue_id(&self, name: &ObjectName) -> Option<QueueId> {
        self.catalog.queue_id(name)
    }

    /// The definition of a local queue.
    pub fn definition_of(&self, queue: &Queue) -> &Definition {
        debug_assert_eq!(self.queue_id(&queue.name), Some(queue.id), "a queue is the one that has its name");
        self.catalog.get(&ObjectRef::local_queue(&queue.name)).expect("a queue has a definition")
    }

    pub(super) fn apply_define(
        &mut self,
        object: ObjectRef,
        like: &str,
        replace: bool,
        changes: &Changes,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        if object.kind == ObjectKind::QueueManager || object.kind.is_record() {
            return Err(Reason::FunctionNotSupported);
        }
        self.catalog.check_new(&object, replace)?;
        let mut settings = self.catalog.basis(&object, like).map_err(|fault| fault.reason)?;
        let before = self.catalog.get(&object);
        if let Some(before) = before.filter(|before| before.kind() == ObjectKind::Listener) {
            // Who replaces a listener neither starts nor stops it.
            settings = settings.with_that_of(&before.settings, selector::LISTENER_STATE);
        }
        settings.merge(changes);
        let before = before.map(|definition| definition.created);
        let definition = Definition {
            settings,
            created: before.unwrap_or(self.at),
            altered: self.at,
            ..Definition::new(object)
        };
        if before.is_none() && !self.has_room_for(definition.kind()) {
            return Err(Reason::ResourceProblem);
        }
        match definition.kind() {
            ObjectKind::LocalQueue => self.define_local_queue(definition, applied),
            _ => {
                self.note_behind(&definition.object, applied);
                self.unwritten.definitions.insert(definition.object.clone());
                self.catalog.insert(definition, None);
                Ok(Verdict::Done)
            }
        }
    }

    fn has_room_for(&self, kind: ObjectKind) -> bool {
        debug_assert!(self.queues.len() <= self.catalog.queues.len(), "every queue has a definition");
        match kind {
            // A number is given once.
            ObjectKind::LocalQueue => {
                self.queues.len() < limits::QUEUES_MAX && self.next_queue < QueueId(u32::MAX)
            }
            _ => {
                self.catalog.others.len() + self.catalog.queues.len() - self.queues.len() < limits::QUEUES_MAX
            }
        }
    }

    /// A queue that is replaced keeps its messages.
    fn define_local_queue(
        &mut self,
        definition: Definition,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let name = ObjectName::new(&definition.object.name).expect("names of queues are checked");
        let rules = QueueRules::of(&definition);
        if let Some(id) = self.queue_id(&name) {
            self.queues.get_mut(id).expect("named").rules = rules;
            self.unwritten.queues.insert(id);
            self.catalog.insert(definition, Some(id));
            applied.changed.push(id);
            return Ok(Verdict::Done);
        }
        let id = self.next_queue;
        self.next_queue = QueueId(id.0 + 1);
        self.queues.insert(Queue::new(id, name, rules, 1));
        self.catalog.insert(definition, Some(id));
        self.unwritten.queues.insert(id);
        debug_assert_eq!(
            self.queues.get(id).and_then(|queue| self.queue_id(&queue.name)),
            Some(id),
            "the name of a new queue stands for it"
        );
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    /// The changes meet the definition as it is now, with whatever others changed while they were under way.
    pub(super) fn apply_alter(
        &mut self,
        object: &ObjectRef,
        changes: &Changes,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let at = self.at;
        self.note_behind(object, applied);
        let Some(definition) = self.catalog.alter(object, changes, at) else {
            return Err(Reason::UnknownObjectName);
        };
        match object.kind {
            ObjectKind::QueueManager => {
                self.rules = ManagerRules::of(&self.catalog.manager);
                self.unwritten.definitions.insert(object.clone());
            }
            ObjectKind::LocalQueue => {
                let rules = QueueRules::of(definition);
                let name = ObjectName::new(&object.name).expect("names of queues are checked");
                let id = self.queue_id(&name).expect("it has a definition");
                self.queues.get_mut(id).expect("named").rules = rules;
                self.unwritten.queues.insert(id);
                applied.changed.push(id);
            }
            _ => {
                self.unwritten.definitions.insert(object.clone());
            }
        }
        Ok(Verdict::Done)
    }

    pub(super) fn apply_delete(
        &mut self,
        object: &ObjectRef,
        purge: bool,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        if object.kind == ObjectKind::QueueManager || self.catalog.get(object).is_none() {
            return Err(Reason::UnknownObjectName);
        }
        if object.kind == ObjectKind::LocalQueue {
            return self.delete_local_queue(object, purge, applied);
        }
        self.note_behind(object, applied);
        self.forget(object);
        Ok(Verdict::Done)
    }

    /// What programs came by is about to be another one or none: a channel, or another name of a queue, at which they may
    /// wait.
    fn note_behind(&self, object: &ObjectRef, applied: &mut Applied) {
        applied.channel_changed |= object.kind == ObjectKind::Channel;
        applied.listener_changed |= object.kind == ObjectKind::Listener;
        let is_alias = matches!(object.kind, ObjectKind::AliasQueue | ObjectKind::RemoteQueue);
        let name = ObjectName::new(&object.name).ok().filter(|_| is_alias);
        let target = name.and_then(|name| self.resolve(&name).ok());
        applied.changed.extend(target.map(|target| target.queue));
    }

    /// Of everything but local queues.
    fn forget(&mut self, object: &ObjectRef) {
        debug_assert_ne!(
            object.kind,
            ObjectKind::LocalQueue,
            "a local queue is not forgotten beside its messages"
        );
        self.catalog.remove(object);
        self.unwritten.definitions.insert(object.clone());
    }

    fn delete_local_queue(
        &mut self,
        object: &ObjectRef,
        purge: bool,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let name = ObjectName::new(&object.name).expect("names of queues are checked");
        let id = self.queue_id(&name).expect("it has a definition");
        let queue = self.queues.get(id).expect("named");
        assert_eq!(queue.name, name, "the queue that is deleted is the one that was named");
        // Messages that are not persistent are not replicated: whether they are there must not decide.
        if queue.depth() > queue.not_persistent() && !purge {
            return Err(Reason::QNotEmpty);
        }
        self.write_before_clear(id);
        self.catalog.remove(object);
        let mut queue = self.queues.remove(id).expect("named");
        self.discard(id, queue.clear());
        debug_assert!(self.catalog.get(object).is_none(), "a name that was deleted stands for nothing");
        self.unwritten.forget_messages_of(id);
        self.sparse.retain(|pack| pack.queue != id);
        self.unwritten.queues.remove(&id);
        self.unwritten.queues_cleared.remove(&id);
        self.unwritten.queues_gone.insert(id);
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    pub(super) fn apply_clear(
        &mut self,
        object: &ObjectRef,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let name = ObjectName::new(&object.name).ok();
        let Some(id) = name.and_then(|name| self.queue_id(&name)) else {
            return Err(Reason::UnknownObjectName);
        };
        self.write_before_clear(id);
        let rubbish = self.queues.change(id).expect("named").clear();
        debug_assert_eq!(
            self.queues.get(id).map(|queue| (queue.depth(), queue.expiries().next())),
            Some((0, None)),
            "nothing is left on a queue that was cleared"
        );
        self.discard(id, rubbish);
        self.unwritten.forget_messages_of(id);
        self.sparse.retain(|pack| pack.queue != id);
        self.unwritten.queues_cleared.insert(id);
        self.unwritten.queues.insert(id);
        applied.changed.push(id);
        Ok(Verdict::Done)
    }

    /// SET CHLAUTH and SET AUTHREC. Lists grow and shrink by their members; a record whose lists are empty is gone.
    pub(super) fn apply_set_record(
        &mut self,
        record: ObjectRef,
        action: RecordAction,
        changes: &Changes,
    ) -> Result<Verdict, Reason> {
        if !record.kind.is_record() {
            return Err(Reason::FunctionNotSupported);
        }
        if action == RecordAction::RemoveAll {
            let gone = self.catalog.of_kind(record.kind).filter(|other| other.object.name == record.name);
            let gone: Vec<ObjectRef> = gone.map(|definition| definition.object.clone()).collect();
            gone.iter().for_each(|object| self.forget(object));
            return Ok(Verdict::Done);
        }
        let before = self.catalog.get(&record).cloned();
        if before.is_none() && action == RecordAction::Remove {
            return Err(Reason::UnknownObjectName);
        }
        if before.is_none() && !self.has_room_for(record.kind) {
            return Err(Reason::ResourceProblem);
        }
        let mut definition = match before {
            Some(definition) if action != RecordAction::Replace => definition,
            before => {
                let created = before.map_or(self.at, |definition| definition.created);
                Definition { created, ..Definition::new(record.clone()) }
            }
        };
        let is_empty = merge_record(&mut definition.settings, action, changes);
        if action == RecordAction::Remove && is_empty {
            self.forget(&record);
            return Ok(Verdict::Done);
        }
        definition.altered = self.at;
        self.unwritten.definitions.insert(record);
        self.catalog.insert(definition, None);
        Ok(Verdict::Done)
    }
}

/// Whether nothing is left that the record could say.
fn merge_record(settings: &mut Settings, action: RecordAction, changes: &Changes) -> bool {
    debug_assert_ne!(action, RecordAction::RemoveAll, "who removes all looks at no members");
    let mut left = 0;
    let mut lists = 0;
    let merged = changes.iter().map(|(selector, value)| {
        let Some(Value::List(said)) = value else { return (selector, value.cloned()) };
        let mut members = match settings.get(selector) {
            Some(Value::List(members)) => members.clone(),
            _ => Vec::new(),
        };
        members.retain(|member| !said.contains(member));
        if action != RecordAction::Remove {
            members.extend(said.iter().cloned());
        }
        lists += 1;
        left += members.len();
        (selector, (!members.is_empty()).then_some(Value::List(members)))
    });
    let merged: Changes = merged.collect();
    settings.merge(&merged);
    lists == 0 || left == 0
}

/// What the rows of a store said.
impl QueueManager {
    pub(super) fn load_definition(&mut self, definition: Definition) {
        if definition.kind() == ObjectKind::QueueManager {
            self.rules = ManagerRules::of(&definition);
        }
        self.catalog.insert(definition, None);
    }

    pub(super) fn load_queue(&mut self, id: QueueId, definition: Definition, next_sequence: u64) {
        assert!(id < self.next_queue, "the number of a queue was given before it was written");
        let name = ObjectName::new(&definition.object.name).expect("checked by the caller");
        self.queues.insert(Queue::new(id, name, QueueRules::of(&definition), next_sequence));
        self.catalog.insert(definition, Some(id));
    }
}
