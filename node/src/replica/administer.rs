//! What administrators ask of the node that serves: definitions, and views of objects.
//!
//! What may be is checked here, against the table; what is logged are changes, merged when they are applied.

use std::time::Duration;

use super::Replica;
use super::proposals::Waiting;
use super::sessions::Session;
use super::turn::DESCRIBE;
use crate::mqi::{
    Admin, Completion, Data, Listing, ObjectView, Page, QueueActivity, QueueView, Refusal, SessionView,
};
use crate::qmgr::{Command, Verdict, set_record};
use crate::types::definition::{By, Changes, Definition, KindWords, ObjectKind, ObjectRef, RecordAction};
use crate::types::planted::{self, Bug};
use crate::types::{ObjectName, QueueId, Reason, SessionId, Share, Token, limits};

/// Bytes of a definition that cost as much as a look.
const AS_A_LOOK: usize = 1024;

fn short(text: &str) -> String {
    let short: String = text.chars().take(limits::BY_CHARACTERS_MAX).collect();
    debug_assert!(text.starts_with(&short), "a name is cut at its end");
    short
}

/// Who is said to have done what this session does.
pub(super) fn by_of(session: &Session) -> By {
    let identity = &session.identity;
    By {
        user: short(&identity.user),
        application: short(session.context.application()),
        address: identity.address.map(|address| address.to_string()).unwrap_or_default(),
        channel: identity.channel.as_ref().map(ToString::to_string).unwrap_or_default(),
        tongue: identity.tongue,
    }
}

impl Replica {
    pub(super) fn on_admin(&mut self, session: SessionId, token: Token, admin: Admin) {
        debug_assert!(self.is_serving(), "definitions are made and shown by whoever serves");
        let noted = self.note_asked(session, &admin);
        let checked = match admin {
            Admin::Define { object, like, replace, changes } => {
                let by = self.by(session).into();
                self.check_define(&object, &like, replace, &changes).map(|grows| {
                    let command = Command::Define { object: object.clone(), like, replace, changes, by };
                    (command, Some((object, grows)), None)
                })
            }
            Admin::Alter { object, changes } => {
                let by = self.by(session).into();
                self.check_alter(&object, &changes).map(|(definition, grows)| {
                    if planted::is(Bug::AlterWhole) {
                        // And waits for nobody, as it would before there was `defining`.
                        let changes = definition.as_changes();
                        return (Command::Alter { object, changes, by }, None, None);
                    }
                    (Command::Alter { object: object.clone(), changes, by }, Some((object, grows)), None)
                })
            }
            Admin::SetRecord { record, action, changes } => {
                let by = self.by(session).into();
                self.check_set_record(&record, action, &changes).map(|grows| {
                    let command = Command::SetRecord { record: record.clone(), action, changes, by };
                    (command, Some((record, grows)), None)
                })
            }
            Admin::Delete { object, purge } => {
                let by = self.by(session).into();
                self.check_delete(&object, purge)
                    .map(|queue| (Command::Delete { object, purge, by }, None, queue))
            }
            Admin::Clear { queue } => {
                let (object, by) = (ObjectRef::local_queue(&queue), self.by(session).into());
                self.check_clear(&queue).map(|id| (Command::Clear { object, by }, None, Some(id)))
            }
            Admin::Display { kinds, pattern, after } => {
                let page = self.objects(&kinds, &pattern, &after);
                self.turn.spend(DESCRIBE * page.objects.len() as u64);
                self.turn.spend_bytes(page.objects.iter().map(ObjectView::weight).sum());
                noted.into_iter().for_each(|noted| self.tell(*noted));
                return self.answer(session, token, Completion::ok(Data::Objects(page.into())));
            }
            Admin::Refresh(refresh) => {
                noted.into_iter().for_each(|noted| self.tell(*noted));
                return self.on_refresh(session, token, &refresh);
            }
            Admin::Sessions { after, handles } => {
                let most = self.turn.page();
                let page = self.sessions.views(after, handles, most, &self.standing.own().waiters);
                let described: usize = page.sessions.iter().map(SessionView::described).sum();
                self.turn.spend(DESCRIBE * described as u64);
                noted.into_iter().for_each(|noted| self.tell(*noted));
                return self.answer(session, token, Completion::ok(Data::Sessions(page.into())));
            }
        };
        match checked {
            Ok((command, Some((object, grows)), _)) => {
                self.tell_later(session, token, noted);
                self.standing.own_mut().defining.begin(&object, grows);
                let object = Box::new(object);
                self.propose(command, Waiting::Define { session, token, object });
            }
            Ok((command, None, queue)) => {
                self.tell_later(session, token, noted);
                if let Some(queue) = queue {
                    let is_first = self.standing.own_mut().locked.insert(queue);
                    assert!(is_first, "a queue that is locked is not locked again");
                }
                self.propose(command, Waiting::Admin { session, token, queue });
            }
            Err(refused) => self.answer(session, token, refused.into()),
        }
    }

    /// Whoever waited for this change of a definition has a turn.
    pub(super) fn end_defining(&mut self, object: &ObjectRef) {
        self.standing.own_mut().defining.end(object);
        debug_assert!(!self.standing.own().defining.has(object), "an object is changed once at a time");
        self.is_not_done |= self.line().0 > 0;
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
            self.standing.own_mut().depths.note_emptied(queue);
            if self.state.queue(queue).is_none() {
                self.standing.own_mut().monitored.forget(queue);
            }
        }
        self.tell_of(session, token, verdict.is_ok());
        self.answer(session, token, verdict.map_or_else(Completion::failed, |_| Completion::done()));
    }

    /// Who is said to have changed something; in which language, where the queue manager can be told.
    pub(super) fn by(&self, session: SessionId) -> By {
        let by = self.sessions.get(session).map(by_of).unwrap_or_default();
        if self.keeps_trail() { by } else { by.silent() }
    }

    /// A page, and the rest of those that have the last one's name. Nothing is looked at that is not shown.
    fn objects(&self, kinds: &[ObjectKind], pattern: &str, after: &str) -> Listing {
        let Listing { mut objects, mut more } = Listing::default();
        let mut page = Page::new(self.turn.page());
        for definition in self.state.catalog().listed(kinds, pattern, after) {
            let is_new =
                objects.last().is_none_or(|last| last.definition.object.name != definition.object.name);
            if is_new && page.is_full() {
                more = true;
                break;
            }
            let object = ObjectView { definition: definition.clone(), queue: self.view_of(definition) };
            page.add(&object);
            objects.push(object);
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
        Listing { objects, more }
    }

    fn view_of(&self, definition: &Definition) -> Option<QueueView> {
        if definition.kind() != ObjectKind::LocalQueue {
            return None;
        }
        self.queue_view(self.state.queue_id(&ObjectName::new(&definition.object.name).ok()?)?)
    }

    /// By how much it grows.
    fn check_define(
        &mut self,
        object: &ObjectRef,
        like: &str,
        replace: bool,
        changes: &Changes,
    ) -> Result<u64, Refusal> {
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
        let grows = self.check_room(catalog.get(object), &definition)?;
        self.turn.spend_bytes(definition.weight());
        Ok(grows)
    }

    /// What the object will be, and by how much it grows.
    fn check_alter(&mut self, object: &ObjectRef, changes: &Changes) -> Result<(Definition, u64), Refusal> {
        if object.kind.is_record() {
            let detail = "A record is not altered; it is set.".to_string();
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        let definition = self.defined(object)?;
        definition.new_in(changes).check(object.kind, true)?;
        let altered = definition.with(changes);
        altered.check()?;
        let grows = self.check_room(Some(definition), &altered)?;
        self.turn.spend_bytes(altered.weight());
        Ok((altered, grows))
    }

    /// By how much it grows.
    fn check_set_record(
        &mut self,
        record: &ObjectRef,
        action: RecordAction,
        changes: &Changes,
    ) -> Result<u64, Refusal> {
        if !record.kind.is_record() {
            let detail = format!("{} is not set; it is defined and altered.", record.kind.a());
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        record.check()?;
        changes.check(record.kind, false)?;
        if action == RecordAction::RemoveAll {
            return Ok(0);
        }
        let before = self.state.catalog().get(record);
        if action == RecordAction::Remove {
            self.defined(record)?;
        } else {
            // Only lists are added to (IBM MQ Reference, "SET CHLAUTH", ACTION).
            let is_there = action == RecordAction::Add && before.is_some();
            if is_there && record.kind == ObjectKind::ChannelAuth && !changes.has_lists() {
                return Err(Reason::ObjectAlreadyExists.into());
            }
            Definition::new(record.clone()).with(changes).check()?;
        }
        let settings = set_record(before.map(|before| &before.settings), action, changes);
        let after = Definition { settings: settings.unwrap_or_default(), ..Definition::new(record.clone()) };
        let grows = self.check_room(before, &after)?;
        let mut looked_at = after.weight() / AS_A_LOOK;
        if grows > 0 {
            looked_at += self.check_profile(record, before, &after)?;
        }
        self.turn.spend(looked_at as u64);
        Ok(grows)
    }

    /// Whether there is room for what an object is to become: by how much it grows.
    pub(super) fn check_room(&self, before: Option<&Definition>, after: &Definition) -> Result<u64, Refusal> {
        debug_assert!(
            before.is_none_or(|before| before.object == after.object),
            "an object grows beside itself"
        );
        after.check_growth(before)?;
        let around = match (before, after.kind()) {
            (None, ObjectKind::LocalQueue) => limits::OBJECT_BYTES + limits::LOCAL_QUEUE_BYTES,
            (None, _) => limits::OBJECT_BYTES,
            (Some(_), _) => 0,
        };
        let grows = (after.weight() + around).saturating_sub(before.map_or(0, Definition::weight)) as u64;
        debug_assert!(
            grows == 0 || after.weight() <= limits::DEFINITION_BYTES_MAX,
            "what grows has room in an entry"
        );
        let memory = self.state.catalog().memory() + self.standing.own().defining.grows() + grows;
        if grows > 0 && !self.holdings.has_room_for_definitions(&self.options.account, memory) {
            self.options.account.note_refused(Share::Definitions);
            let detail = "The definitions of objects and records take all the memory that there is for them; delete some.";
            return Err(Refusal::because(Reason::ResourceProblem, detail));
        }
        Ok(grows)
    }

    /// Records of one profile are displayed together, so there are only so many. How many were looked at.
    fn check_profile(
        &self,
        record: &ObjectRef,
        before: Option<&Definition>,
        after: &Definition,
    ) -> Result<usize, Refusal> {
        debug_assert!(record.kind.is_record(), "only records have profiles");
        let (mut count, mut weight) = (0, after.weight());
        for other in self.state.catalog().of_profile(record).filter(|other| other.object != *record) {
            (count, weight) = (count + 1, weight + other.weight());
            let is_new = before.is_none() && count >= limits::RECORDS_A_PROFILE_MAX;
            if is_new || weight > limits::PROFILE_BYTES_MAX {
                let detail = format!(
                    "A profile has at most {} records, and {} bytes with all that they say; use several profiles, or lists.",
                    limits::RECORDS_A_PROFILE_MAX,
                    limits::PROFILE_BYTES_MAX
                );
                return Err(Refusal::because(Reason::ResourceProblem, detail));
            }
        }
        Ok(count)
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
            return Err(Refusal::not_empty(queue.depth()));
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

    fn activity(&self, id: QueueId) -> QueueActivity {
        let leading = self.standing.leading();
        leading.map(|leading| leading.monitored.of(id, self.now.instant, self.wall())).unwrap_or_default()
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
            activity: self.activity(id),
        })
    }
}
