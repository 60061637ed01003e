//! What is defined, and what its names stand for.
//!
//! Definitions of every kind are here, those of local queues too; a [`Queue`] has its messages and its rules. Queues of
//! all types share one namespace, as in MQ. What may be defined is checked before it is proposed; here changes are
//! merged with what they meet, and nothing depends on which attributes this program knows, so that nodes of different
//! versions agree.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::definition_codec::encoded;
use super::digest::Digest;
use super::rules::{AliasRules, AliasWords, ManagerRules, QueueRules};
use super::{Applied, Queue, QueueManager, Verdict};
use crate::types::definition::{
    self as selector, By, Changes, Definition, Fault, ObjectKind, ObjectRef, RecordAction, Settings, Value,
};
use crate::types::{ObjectName, QueueId, Reason, Version, WallTime, limits};

/// Definitions by what they define.
#[derive(Debug)]
pub struct Catalog {
    manager: Definition,
    queues: BTreeMap<ObjectName, Entry>,
    /// Names of queues, by what type they are of.
    names: BTreeMap<ObjectKind, BTreeSet<ObjectName>>,
    others: BTreeMap<ObjectRef, Definition>,
    /// What all definitions weigh.
    weight: u64,
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
        let manager = Definition::new(ObjectRef::manager());
        Catalog {
            weight: manager.weight() as u64,
            manager,
            queues: BTreeMap::new(),
            names: BTreeMap::new(),
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
        self.named(kind, "", "")
    }

    /// The records of a profile.
    pub fn of_profile<'a>(&'a self, record: &'a ObjectRef) -> impl Iterator<Item = &'a Definition> {
        debug_assert!(record.kind.is_record(), "only records have profiles");
        let of_name =
            move |other: &&Definition| other.kind() == record.kind && other.object.name == record.name;
        self.others_from(record.kind, record.name.clone()).take_while(of_name)
    }

    /// What all definitions weigh; the same on every node.
    pub fn weight(&self) -> u64 {
        debug_assert!(self.weight >= self.manager.weight() as u64, "the queue manager's own is counted");
        self.weight
    }

    /// What all definitions take in memory, with the queues that are defined; the same on every node.
    pub fn memory(&self) -> u64 {
        let objects = 1 + self.queues.len() + self.others.len();
        let local_queues = self.names.get(&ObjectKind::LocalQueue).map_or(0, BTreeSet::len);
        debug_assert!(local_queues <= self.queues.len(), "the name of a queue is kept by its type");
        self.weight() + (limits::OBJECT_BYTES * objects + limits::LOCAL_QUEUE_BYTES * local_queues) as u64
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

    /// Of these kinds, those whose names match, behind this name (empty: all), in the order of names. Nothing else is looked at,
    /// however much there is.
    pub fn listed<'a>(
        &'a self,
        kinds: &[ObjectKind],
        pattern: &'a str,
        after: &str,
    ) -> impl Iterator<Item = &'a Definition> + use<'a> {
        let of_kinds = kinds.iter().map(|kind| self.named(*kind, pattern, after).peekable());
        let mut of_kinds: Vec<_> = of_kinds.collect();
        std::iter::from_fn(move || {
            let heads = of_kinds.iter_mut().enumerate();
            let heads = heads.filter_map(|(at, of)| Some((of.peek()?.object.name.as_str(), at)));
            let (_, first) = heads.min()?;
            of_kinds[first].next()
        })
    }

    /// The same of one kind. A name without a star stands in front of all that begin with it, so what matches is a range.
    fn named<'a>(
        &'a self,
        kind: ObjectKind,
        pattern: &'a str,
        after: &str,
    ) -> Box<dyn Iterator<Item = &'a Definition> + 'a> {
        let prefix = pattern.strip_suffix('*').unwrap_or(pattern);
        match kind {
            ObjectKind::QueueManager => {
                let is_shown = after.is_empty() && self.manager.object.matches(pattern);
                Box::new(is_shown.then_some(&self.manager).into_iter())
            }
            kind if kind.is_queue() => {
                let from = match (behind(after), ObjectName::new(prefix).ok()) {
                    (Some(after), Some(first)) if after < first => Bound::Included(first),
                    (Some(after), _) => Bound::Included(after),
                    (None, Some(first)) => Bound::Included(first),
                    (None, None) => Bound::Unbounded,
                };
                let after = after.to_owned();
                let names = self.names.get(&kind).into_iter();
                let names = names.flat_map(move |names| names.range((from.clone(), Bound::Unbounded)));
                let names = names.skip_while(move |name| name.as_str() <= after.as_str());
                let matching = names.take_while(move |name| name.matches(pattern));
                Box::new(matching.map(|name| &self.queues.get(name).expect("a name that is kept").definition))
            }
            _ => {
                let first = match after {
                    after if after.is_empty() || prefix > after => prefix.to_string(),
                    after => format!("{after}\0"),
                };
                let found = self.others_from(kind, first);
                Box::new(found.take_while(move |other| other.kind() == kind && other.object.matches(pattern)))
            }
        }
    }

    fn others_from(&self, kind: ObjectKind, name: String) -> impl Iterator<Item = &Definition> {
        debug_assert!(!kind.is_queue(), "names of queues are kept by their types");
        let first = ObjectRef { kind, name, key: String::new() };
        self.others.range(first..).map(|(_, definition)| definition)
    }

    /// The local queue of this name, where nothing else will do: for administrators' commands, and for DEADQ, which names a local
    /// queue in MQ too. What a program names is resolved ([`Catalog::resolve`]).
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

    /// The queue that a program means by this name, or an administrator by BOQNAME: the one place where one name stands for
    /// another. A model stands for no queue; whoever opens one asks for it first ([`Catalog::model`]).
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
        self.weight += definition.weight() as u64;
        if definition.kind() == ObjectKind::QueueManager {
            self.weight -= self.manager.weight() as u64;
            self.manager = definition;
            return;
        }
        self.digest.add(fact(&definition, id));
        if definition.kind().is_queue() {
            let name = ObjectName::new(&definition.object.name).expect("names of queues are checked");
            let kind = definition.kind();
            if let Some(before) = self.queues.insert(name.clone(), Entry::new(definition, id)) {
                self.forget_name(before.definition.kind(), &name);
                self.forget_fact(&before.definition, before.id);
            }
            let is_new = self.names.entry(kind).or_default().insert(name);
            debug_assert!(is_new, "a queue is of one type");
        } else if let Some(before) = self.others.insert(definition.object.clone(), definition) {
            self.forget_fact(&before, None);
        }
    }

    fn forget_name(&mut self, kind: ObjectKind, name: &ObjectName) {
        let was_kept = self.names.get_mut(&kind).is_some_and(|names| names.remove(name));
        debug_assert!(was_kept, "the name of a queue is kept by its type");
    }

    /// It is defined no more.
    fn forget_fact(&mut self, definition: &Definition, id: Option<QueueId>) {
        let weight = definition.weight() as u64;
        assert!(self.weight >= weight, "what is defined is counted");
        self.weight -= weight;
        self.digest.take(fact(definition, id));
    }

    fn alter(
        &mut self,
        object: &ObjectRef,
        changes: &Changes,
        (at, by): (WallTime, By),
    ) -> Option<&Definition> {
        let (mut digest, mut weight) = (self.digest, self.weight);
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
        weight -= definition.weight() as u64;
        definition.settings.merge(changes);
        (definition.altered, definition.altered_by) = (at, by);
        weight += definition.weight() as u64;
        alias.into_iter().for_each(|alias| *alias = AliasRules::of(definition));
        if is_counted {
            digest.add(fact(definition, id));
        }
        (self.digest, self.weight) = (digest, weight);
        Some(definition)
    }

    fn remove(&mut self, object: &ObjectRef) {
        debug_assert_ne!(object.kind, ObjectKind::QueueManager, "the queue manager stays defined");
        debug_assert!(self.get(object).is_some(), "only what is defined is removed");
        if object.kind.is_queue() {
            let Ok(name) = ObjectName::new(&object.name) else { return };
            if let Some(gone) = self.queues.remove(&name) {
                self.forget_name(gone.definition.kind(), &name);
                self.forget_fact(&gone.definition, gone.id);
            }
        } else if let Some(gone) = self.others.remove(object) {
            self.forget_fact(&gone, None);
        }
        debug_assert!(self.get(object).is_none(), "what was removed is found no more");
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

    /// Whether what is counted and kept beside the definitions is so.
    pub(super) fn check(&self) -> Result<(), String> {
        let weight: usize = self.all().map(Definition::weight).sum();
        if self.weight != weight as u64 {
            return Err(format!("the definitions weigh {weight}, and {} is counted", self.weight));
        }
        let names: usize = self.names.values().map(BTreeSet::len).sum();
        let is_kept = |(name, entry): (&ObjectName, &Entry)| {
            self.names.get(&entry.definition.kind()).is_some_and(|names| names.contains(name))
        };
        match names == self.queues.len() && self.queues.iter().all(is_kept) {
            true => Ok(()),
            false => Err("names of queues are not those of their types".into()),
        }
    }

    fn with_manager(&self, mut digest: Digest) -> Digest {
        digest.add(fact(&self.manager, None));
        digest
    }
}

/// The same on every node that has the same definition, whatever else the nodes are.
/// A name that stands in front of all that stand behind this text, which may be no name of a queue: as much of it as is one.
fn behind(text: &str) -> Option<ObjectName> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let found = ends.filter_map(|end| ObjectName::new(&text[..end]).ok()).next_back();
    debug_assert!(found.as_ref().is_none_or(|found| text.starts_with(found.as_str())), "it stands in front");
    found
}

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
        (changes, by): (&Changes, By),
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
            altered_by: self.kept_by(by),
            ..Definition::new(object)
        };
        if before.is_none() && !self.has_room_for(definition.kind()) {
            return Err(Reason::ResourceProblem);
        }
        applied.looks = looks(&definition);
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

    /// Who is said to have altered a definition. What an older queue manager keeps is what the release before can read.
    fn kept_by(&self, by: By) -> By {
        if self.version >= Version::RECORDS { by.silent() } else { By::default() }
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
        (changes, by): (&Changes, By),
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let altered = (self.at, self.kept_by(by));
        self.note_behind(object, applied);
        let Some(definition) = self.catalog.alter(object, changes, altered) else {
            return Err(Reason::UnknownObjectName);
        };
        applied.looks = looks(definition);
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
        let led = name.and_then(|name| Some((self.resolve(&name).ok()?.queue, name)));
        applied.renamed.extend(led);
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
        (changes, by): (&Changes, By),
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        if !record.kind.is_record() {
            return Err(Reason::FunctionNotSupported);
        }
        if action == RecordAction::RemoveAll {
            let gone = self.catalog.of_profile(&record);
            let gone: Vec<ObjectRef> = gone.map(|definition| definition.object.clone()).collect();
            applied.looks = gone.len();
            gone.iter().for_each(|object| self.forget(object));
            debug_assert!(self.catalog.of_profile(&record).next().is_none(), "nothing is left of a profile");
            return Ok(Verdict::Done);
        }
        let before = self.catalog.get(&record);
        if before.is_none() && action == RecordAction::Remove {
            return Err(Reason::UnknownObjectName);
        }
        if before.is_none() && !self.has_room_for(record.kind) {
            return Err(Reason::ResourceProblem);
        }
        applied.looks = before.map_or(0, looks) + members(changes.iter().filter_map(|(_, value)| value));
        let created = before.map_or(self.at, |definition| definition.created);
        let Some(settings) = set_record(before.map(|before| &before.settings), action, changes) else {
            self.forget(&record);
            return Ok(Verdict::Done);
        };
        let (altered, altered_by) = (self.at, self.kept_by(by));
        let definition =
            Definition { settings, created, altered, altered_by, ..Definition::new(record.clone()) };
        self.unwritten.definitions.insert(record);
        self.catalog.insert(definition, None);
        Ok(Verdict::Done)
    }
}

/// What of a definition is written, hashed and copied when it changes, in messages that come or go.
fn looks(definition: &Definition) -> usize {
    const BYTES_A_LOOK: usize = 256;
    let settings = definition.settings.iter().map(|(_, value)| value);
    definition.weight() / BYTES_A_LOOK + members(settings)
}

fn members<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    values.map(|value| if let Value::List(members) = value { members.len() } else { 0 }).sum()
}

/// What a record says that said this before; None when it says nothing any more.
pub fn set_record(before: Option<&Settings>, action: RecordAction, changes: &Changes) -> Option<Settings> {
    debug_assert_ne!(action, RecordAction::RemoveAll, "who removes all looks at no members");
    let before = before.filter(|_| action != RecordAction::Replace);
    let mut settings = before.cloned().unwrap_or_default();
    let (mut left, mut lists) = (0, 0);
    let merged = changes.iter().map(|(selector, value)| {
        let Some(Value::List(said)) = value else { return (selector, value.cloned()) };
        let members = match before.and_then(|before| before.get(selector)) {
            Some(Value::List(members)) => members.as_slice(),
            _ => &[],
        };
        let named: BTreeSet<&String> = said.iter().collect();
        let mut members: Vec<String> =
            members.iter().filter(|member| !named.contains(member)).cloned().collect();
        if action != RecordAction::Remove {
            members.extend(said.iter().cloned());
        }
        debug_assert!(
            action != RecordAction::Remove || members.iter().all(|member| !named.contains(member)),
            "what was removed is no member"
        );
        lists += 1;
        left += members.len();
        (selector, (!members.is_empty()).then_some(Value::List(members)))
    });
    let merged: Changes = merged.collect();
    settings.merge(&merged);
    let says_nothing = lists == 0 || left == 0;
    (action != RecordAction::Remove || !says_nothing).then_some(settings)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmgr::Command;
    use crate::types::{NodeId, QueueManagerId, Term};

    #[test]
    fn a_definition_says_who_altered_it_from_the_version_on_that_keeps_it() {
        let mut manager = QueueManager::new(QueueManagerId(1), ObjectName::new("QM").unwrap());
        let by = |user: &str| By { user: user.into(), address: "10.0.0.1:5000".into(), ..By::default() };
        let alter = |user: &str| Command::Alter {
            object: ObjectRef::manager(),
            changes: Changes::default().with(ObjectKind::QueueManager, "MAXUMSGS", 5),
            by: by(user).into(),
        };
        manager.apply(alter("ann"));
        assert_eq!(manager.catalog().manager().altered_by, By::default());
        manager.apply(Command::Raise {
            to: Version::RECORDS,
            leader: (NodeId(1), Term(1)),
            by: by("op").into(),
        });
        manager.apply(alter("joe"));
        assert_eq!(manager.catalog().manager().altered_by, by("joe"));
        let wire = super::super::definition_codec::definition_to_wire(manager.catalog().manager());
        let read = super::super::definition_codec::definition_from_wire(Some(wire)).unwrap();
        assert_eq!(&read, manager.catalog().manager());
        assert_eq!(manager.catalog().check(), Ok(()));
    }

    fn set(action: RecordAction, users: impl Iterator<Item = String>) -> Command {
        let users = Changes::default().with_value(3568, Value::List(users.collect()));
        let (name, key) = ("X".to_string(), "TYPE(BLOCKUSER)".to_string());
        let record = ObjectRef { kind: ObjectKind::ChannelAuth, name, key };
        Command::SetRecord { record, action, changes: users, by: Box::default() }
    }

    /// A log may have lists that nobody may say any more.
    #[test]
    fn a_list_is_merged_in_the_time_of_its_members_and_they_are_counted() {
        const MANY: usize = 30_000;
        let mut manager = QueueManager::new(QueueManagerId(1), ObjectName::new("QM").unwrap());
        let users = |of: &'static str| (0..MANY).map(move |n| format!("{of}{n}"));
        assert!(manager.apply(set(RecordAction::Add, users("a"))).looks >= MANY);
        assert!(manager.apply(set(RecordAction::Add, users("b"))).looks >= 2 * MANY);
        let removed = manager.apply(set(RecordAction::Remove, users("a")));
        assert!(removed.verdict.is_ok() && removed.looks >= 3 * MANY);
        let left = manager.catalog().of_kind(ObjectKind::ChannelAuth).next().unwrap();
        assert_eq!(left.value(3568), Some(Value::List(users("b").collect())));
        assert_eq!(manager.catalog().check(), Ok(()));
    }

    #[test]
    fn what_is_listed_is_what_matches_in_the_order_of_names() {
        let mut catalog = Catalog::default();
        let names = ["A", "A.B", "A.B.C", "AB", "B", "B.A", "Z"];
        for (number, name) in names.into_iter().enumerate() {
            let kinds = [ObjectKind::AliasQueue, ObjectKind::RemoteQueue, ObjectKind::ModelQueue];
            catalog.insert(Definition::new(ObjectRef::new(kinds[number % 3], name)), None);
            catalog.insert(Definition::new(ObjectRef::new(ObjectKind::Channel, name)), None);
            for key in ["TYPE(BLOCKUSER)", "TYPE(USERMAP)"] {
                let (kind, key) = (ObjectKind::ChannelAuth, key.to_string());
                catalog.insert(Definition::new(ObjectRef { kind, name: name.to_string(), key }), None);
            }
        }
        let all: Vec<ObjectKind> = ObjectKind::ALL.iter().map(|facts| facts.kind).collect();
        let queues: Vec<ObjectKind> = all.iter().copied().filter(|kind| kind.is_queue()).collect();
        let one = all.iter().map(std::slice::from_ref);
        for kinds in one.chain([&all[..], &queues[..]]) {
            for pattern in ["", "*", "A", "A*", "A.*", "B", "C*", "ZZ", "no name*"] {
                // Records have names that no queue can have.
                for after in ["", "A", "A.A", "A?", "A.B*", "* B", "AB", "Z", "ZZ", "é"] {
                    let mut expected: Vec<&ObjectRef> = catalog
                        .all()
                        .map(|definition| &definition.object)
                        .filter(|object| kinds.contains(&object.kind) && object.matches(pattern))
                        .filter(|object| after.is_empty() || object.name.as_str() > after)
                        .collect();
                    expected.sort_by_key(|object| (&object.name, object.kind, &object.key));
                    let found = catalog.listed(kinds, pattern, after);
                    let found: Vec<&ObjectRef> = found.map(|definition| &definition.object).collect();
                    assert_eq!(found, expected, "{kinds:?} {pattern:?} behind {after:?}");
                }
            }
        }
        let gone = ObjectRef::new(ObjectKind::RemoteQueue, "A.B");
        catalog.remove(&gone);
        assert_eq!(catalog.of_kind(ObjectKind::RemoteQueue).count(), 1);
        assert_eq!(catalog.check(), Ok(()));
    }

    /// Ten thousand times: minutes, if each looked at all queues.
    #[test]
    fn who_lists_one_kind_looks_at_no_other() {
        let mut catalog = Catalog::default();
        for number in 0..20_000 {
            let object = ObjectRef::new(ObjectKind::AliasQueue, format!("Q{number}"));
            catalog.insert(Definition::new(object), None);
        }
        catalog.insert(Definition::new(ObjectRef::new(ObjectKind::RemoteQueue, "R")), None);
        assert_eq!(catalog.names[&ObjectKind::RemoteQueue].len(), 1);
        for _ in 0..10_000 {
            assert_eq!(catalog.listed(&[ObjectKind::RemoteQueue], "*", "").count(), 1);
        }
    }
}
