//! What administrators ask of the node that serves: definitions, and views of objects.
//!
//! What may be is checked here, against the table; what is logged are changes, merged when they are applied.

use std::time::Duration;

use super::Replica;
use super::proposals::Waiting;
use super::turn::DESCRIBE;
use crate::mqi::{Admin, Completion, Data, ObjectView, QueueView, Refusal, SessionView};
use crate::qmgr::{Command, Verdict};
use crate::types::definition::{By, Changes, Definition, KindWords, ObjectKind, ObjectRef, RecordAction};
use crate::types::planted::{self, Bug};
use crate::types::{ObjectName, QueueId, Reason, SessionId, Token, limits};

impl Replica {
    pub(super) fn on_admin(&mut self, session: SessionId, token: Token, admin: Admin) {
        debug_assert!(self.is_serving(), "definitions are made and shown by whoever serves");
        let command = match admin {
            Admin::Define { object, like, replace, changes } => {
                let by = self.by(session);
                self.check_define(&object, &like, replace, &changes)
                    .map(|()| (Command::Define { object, like, replace, changes, by }, None))
            }
            Admin::Alter { object, changes } => {
                let by = self.by(session);
                self.check_alter(&object, &changes).map(|definition| {
                    let whole = planted::is(Bug::AlterWhole);
                    let changes = if whole { definition.as_changes() } else { changes };
                    (Command::Alter { object, changes, by }, None)
                })
            }
            Admin::Delete { object, purge } => {
                let by = self.by(session);
                self.check_delete(&object, purge).map(|queue| (Command::Delete { object, purge, by }, queue))
            }
            Admin::Clear { queue } => {
                let (object, by) = (ObjectRef::local_queue(&queue), self.by(session));
                self.check_clear(&queue).map(|id| (Command::Clear { object, by }, Some(id)))
            }
            Admin::SetRecord { record, action, changes } => {
                let by = self.by(session);
                self.check_set_record(&record, action, &changes)
                    .map(|()| (Command::SetRecord { record, action, changes, by }, None))
            }
            Admin::Display { kinds, pattern, after } => {
                let objects = self.objects(&kinds, &pattern, &after);
                self.turn.spend(DESCRIBE * objects.len() as u64);
                return self.answer(session, token, Completion::ok(Data::Objects(objects)));
            }
            Admin::Sessions { after } => {
                let sessions = self.sessions.views(after, &self.standing.own().waiters);
                let described: usize = sessions.iter().map(SessionView::described).sum();
                self.turn.spend(DESCRIBE * described as u64);
                return self.answer(session, token, Completion::ok(Data::Sessions(sessions)));
            }
        };
        match command {
            Ok((command, queue)) => {
                if let Some(queue) = queue {
                    let is_first = self.standing.own_mut().locked.insert(queue);
                    assert!(is_first, "a queue that is locked is not locked again");
                }
                self.propose(command, Waiting::Admin { session, token, queue });
            }
            Err(refused) => self.answer(session, token, refused.into()),
        }
    }

    pub(super) fn end_admin(
        &mut self,
        session: SessionId,
        token: Token,
        queue: Option<QueueId>,
        verdict: Result<Verdict, Reason>,
    ) {
        if let Some(queue) = queue {
            let was_locked = self.standing.own_mut().locked.remove(&queue);
            debug_assert!(was_locked, "a queue was locked for as long as its command was under way");
        }
        self.answer(session, token, verdict.map_or_else(Completion::failed, |_| Completion::done()));
    }

    /// Who is said to have changed something.
    pub(super) fn by(&self, session: SessionId) -> By {
        let Some(session) = self.sessions.get(session) else { return By::default() };
        let identity = &session.identity;
        By {
            user: identity.user.clone(),
            application: session.context.application().to_string(),
            address: identity.address.map(|address| address.to_string()).unwrap_or_default(),
            channel: identity.channel.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// A page, and the rest of those that have the last one's name.
    fn objects(&self, kinds: &[ObjectKind], pattern: &str, after: &str) -> Vec<ObjectView> {
        let mut objects: Vec<ObjectView> = Vec::new();
        for definition in self.state.catalog().listed(kinds, pattern, after) {
            let is_new =
                objects.last().is_none_or(|last| last.definition.object.name != definition.object.name);
            if is_new && objects.len() >= limits::OBJECTS_A_PAGE {
                break;
            }
            objects.push(ObjectView { definition: definition.clone(), queue: self.view_of(definition) });
        }
        let name = |object: &ObjectView| object.definition.object.name.clone();
        debug_assert!(objects.is_sorted_by_key(name), "a page is in the order of names");
        debug_assert!(
            objects.iter().all(|object| kinds.contains(&object.definition.kind())),
            "a page has what was asked for"
        );
        debug_assert!(
            objects
                .iter()
                .skip(limits::OBJECTS_A_PAGE)
                .all(|object| objects.last().map(name) == Some(name(object))),
            "a page that is too long ends with one name"
        );
        objects
    }

    fn view_of(&self, definition: &Definition) -> Option<QueueView> {
        if definition.kind() != ObjectKind::LocalQueue {
            return None;
        }
        self.queue_view(self.state.queue_id(&ObjectName::new(&definition.object.name).ok()?)?)
    }

    fn check_define(
        &self,
        object: &ObjectRef,
        like: &str,
        replace: bool,
        changes: &Changes,
    ) -> Result<(), Refusal> {
        let kind = object.kind;
        if kind == ObjectKind::QueueManager || kind.is_record() {
            let detail = format!("{} is not defined; it is altered or set.", kind.a());
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        object.check()?;
        changes.check(kind, false)?;
        let catalog = self.state.catalog();
        catalog.check_new(object, replace).map_err(Refusal::from)?;
        let settings = catalog.basis(object, like)?;
        let definition = Definition { settings, ..Definition::new(object.clone()) }.with(changes);
        definition.check()?;
        Ok(())
    }

    /// What the object would be if nobody else changed it.
    fn check_alter(&self, object: &ObjectRef, changes: &Changes) -> Result<Definition, Refusal> {
        if object.kind.is_record() {
            let detail = "A record is not altered; it is set.".to_string();
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        let definition = self.defined(object)?;
        definition.new_in(changes).check(object.kind, true)?;
        let altered = definition.with(changes);
        altered.check()?;
        Ok(altered)
    }

    fn check_set_record(
        &self,
        record: &ObjectRef,
        action: RecordAction,
        changes: &Changes,
    ) -> Result<(), Refusal> {
        if !record.kind.is_record() {
            let detail = format!("{} is not set; it is defined and altered.", record.kind.a());
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        record.check()?;
        changes.check(record.kind, false)?;
        if action == RecordAction::RemoveAll {
            return Ok(());
        }
        if action == RecordAction::Remove {
            return self.defined(record).map(|_| ());
        }
        // Only lists are added to (IBM MQ Reference, "SET CHLAUTH", ACTION).
        let is_there = action == RecordAction::Add && self.state.catalog().get(record).is_some();
        if is_there && record.kind == ObjectKind::ChannelAuth && !changes.has_lists() {
            return Err(Reason::ObjectAlreadyExists.into());
        }
        Definition::new(record.clone()).with(changes).check()?;
        Ok(())
    }

    /// The definition of an object that nobody is deleting just now.
    pub(super) fn defined(&self, object: &ObjectRef) -> Result<&Definition, Refusal> {
        let unknown = || {
            let facts = object.kind.facts();
            let detail = format!("There is no {} {}; names are case-sensitive.", facts.words, object.name);
            Refusal::because(Reason::UnknownObjectName, detail)
        };
        let definition = self.state.catalog().get(object).ok_or_else(unknown)?;
        if object.kind == ObjectKind::LocalQueue {
            self.named(&object.name)?;
        }
        Ok(definition)
    }

    fn named(&self, name: &str) -> Result<QueueId, Refusal> {
        let id = ObjectName::new(name).ok().and_then(|name| self.state.queue_id(&name));
        let id = id.ok_or(Reason::UnknownObjectName)?;
        if self.standing.own().locked.contains(&id) { Err(Reason::ObjectInUse.into()) } else { Ok(id) }
    }

    /// The local queue that is locked until it is gone.
    fn check_delete(&self, object: &ObjectRef, purge: bool) -> Result<Option<QueueId>, Refusal> {
        if object.kind == ObjectKind::QueueManager || object.kind.is_record() {
            let detail = format!("{} is not deleted so.", object.kind.a());
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        self.defined(object)?;
        if object.kind != ObjectKind::LocalQueue {
            return Ok(None);
        }
        let id = self.named(&object.name)?;
        let queue = self.state.queue(id).expect("named");
        if self.sessions.counts(id).is_open() || self.standing.own().is_busy(id) {
            return Err(Reason::ObjectInUse.into());
        }
        if queue.depth() > 0 && !purge {
            return Err(Refusal::because(Reason::QNotEmpty, format!("it has {} messages", queue.depth())));
        }
        Ok(Some(id))
    }

    fn check_clear(&self, name: &ObjectName) -> Result<QueueId, Refusal> {
        let id = self.named(name.as_str())?;
        if self.sessions.counts(id).input > 0 || self.standing.own().is_busy(id) {
            return Err(Reason::ObjectInUse.into());
        }
        Ok(id)
    }

    pub(super) fn queue_view(&self, id: QueueId) -> Option<QueueView> {
        let queue = self.state.queue(id)?;
        let counts = self.sessions.counts(id);
        debug_assert_eq!(
            queue.depth() == 0,
            queue.oldest_put().is_none(),
            "a queue that has messages has an oldest one"
        );
        let oldest = queue.oldest_put().map_or(0, |at| (self.wall().0 - at.0).max(0));
        Some(QueueView {
            definition: self.state.definition_of(queue).clone(),
            depth: queue.depth(),
            not_persistent: queue.not_persistent(),
            uncommitted: self.standing.leading().map_or(0, |leading| leading.uncommitted(id)),
            open_input: counts.input,
            open_output: counts.output,
            oldest_age: Duration::from_millis(oldest as u64),
        })
    }
}
