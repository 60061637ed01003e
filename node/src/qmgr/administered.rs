//! Commands that somebody asked for: what they do, and the record that is kept of it in the trail, with what was before and after.
//!
//! What the queue manager does by itself, and queues that programs make by opening a model, leave no record.

use std::collections::BTreeSet;

use trimaran_proto::admin::v1::audit_record::Verb;
use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::admin::v1::{AuditChange, AuditRecord, AuditValue, Classified};
use trimaran_proto::audit::{SECRET, SECRETS};
use trimaran_proto::failover::Class;
use trimaran_proto::replica::v1::{Arrange, MembershipChange, NodeInfo, Registered};

use super::definition_codec::{by_from_wire, by_to_wire};
use super::{Applied, Command, QueueManager, Verdict, canary};
use crate::types::definition::{By, ObjectKind, ObjectRef, Selector, Settings, Tongue, Value};
use crate::types::planted::{self, Bug};
use crate::types::{QueueManagerId, Reason, RunState, Version};

/// A record that will be kept when its command is done.
struct Noted {
    record: AuditRecord,
    /// Whose settings are looked at once more then.
    object: Option<(ObjectRef, Option<Settings>)>,
}

impl QueueManager {
    /// Does what somebody asked for, and keeps a record of it when it is done.
    pub(super) fn carry_out_asked(
        &mut self,
        command: Command,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let noted = self.note(&command);
        let verdict = self.administer(command, applied)?;
        debug_assert_eq!(verdict, Verdict::Done, "what somebody asks for is done, or refused");
        if let Some(Noted { mut record, object }) = noted {
            if let Some((object, before)) = object {
                let after = self.catalog.get(&object).map(|definition| &definition.settings);
                record.changes.extend(differences(before.as_ref(), after));
            }
            self.keep(record, applied);
        }
        Ok(verdict)
    }

    /// A committed change of the members was applied.
    pub fn note_members(&mut self, change: &MembershipChange, applied: &mut Applied) {
        let by = by_from_wire(change.by.clone());
        let verb = match (change.add_voters.is_empty(), change.remove.is_empty()) {
            (false, true) => Verb::AddNode,
            (false, false) => Verb::ReplaceNode,
            (true, false) => Verb::RemoveNode,
            // It learns only: a record is made when it gets its vote.
            (true, true) => return,
        };
        if !self.is_kept(&by) {
            return;
        }
        debug_assert_ne!(verb, Verb::None, "votes come here, or go");
        let told = |ids: &[u64]| {
            let Some(id) = ids.first().copied() else { return NodeInfo::default() };
            let found = change.told.iter().find(|info| info.id == id).cloned();
            found.unwrap_or_else(|| NodeInfo { id, ..NodeInfo::default() })
        };
        let text = |text: &str| (!text.is_empty()).then(|| AuditValue::text(text));
        let (added, removed) = (told(&change.add_voters), told(&change.remove));
        let pairs = [
            ("id", number(removed.id), number(added.id)),
            ("name", text(&removed.name), text(&added.name)),
            ("peer_address", text(&removed.peer_address), text(&added.peer_address)),
            ("client_address", text(&removed.client_address), text(&added.client_address)),
        ];
        let changes = pairs.into_iter().filter(|(_, before, after)| before != after);
        let name = if verb == Verb::RemoveNode { removed.name } else { added.name };
        let changes = changes.map(|(word, before, after)| said(word, before, after)).collect();
        let record = self.record(verb, by);
        let at_ms = if change.at_ms == 0 { record.at_ms } else { change.at_ms };
        self.keep(AuditRecord { name, changes, at_ms, ..record }, applied);
    }

    /// Whether what these ask for leaves a record.
    fn is_kept(&self, by: &By) -> bool {
        by.tongue != Tongue::None && self.version >= Version::TRAIL
    }

    fn record(&self, verb: Verb, by: By) -> AuditRecord {
        debug_assert_ne!(by.tongue, Tongue::None, "who asked for it spoke some language");
        let By { user, application, address, channel, tongue } = by;
        AuditRecord {
            at_ms: self.at.0,
            verb: verb.into(),
            user,
            application,
            address,
            channel,
            tongue: tongue.into(),
            ..AuditRecord::default()
        }
    }

    fn keep(&mut self, record: AuditRecord, applied: &mut Applied) {
        debug_assert!(self.version >= Version::TRAIL, "the trail begins with the version that has it");
        debug_assert_ne!(record.verb(), Verb::None, "a record says what was asked for");
        if planted::is(Bug::ForgetDeletion) && record.verb() == Verb::Delete {
            return;
        }
        self.trail.add(record, &mut applied.gone_from_trail);
    }

    /// What is to be known before the command is done. None where it leaves no record.
    fn note(&self, command: &Command) -> Option<Noted> {
        let of_object = |verb, object: &ObjectRef, by: &By| {
            let before = self.catalog.get(object).map(|definition| definition.settings.clone());
            let ObjectRef { kind, name, key } = object.clone();
            let record = AuditRecord { kind: kind as u32, name, key, ..self.record(verb, by.clone()) };
            Noted { record, object: Some((object.clone(), before)) }
        };
        let of_manager = |verb, by: &By, changes| {
            let kind = ObjectKind::QueueManager as u32;
            Noted { record: AuditRecord { kind, changes, ..self.record(verb, by.clone()) }, object: None }
        };
        let named = |verb, by: &By, name: String, changes| Noted {
            record: AuditRecord { name, changes, ..self.record(verb, by.clone()) },
            object: None,
        };
        Some(match command {
            Command::Raise { to, by, .. }
                if *to >= Version::TRAIL && !(by.user.is_empty() && by.address.is_empty()) =>
            {
                let [before, after] = [self.version, *to].map(|version| number(u64::from(version.0)));
                let by = By { tongue: Tongue::Grpc, ..(**by).clone() };
                of_manager(Verb::Upgrade, &by, vec![said("version", before, after)])
            }
            Command::Classify(of) if self.version >= Version::TRAIL => {
                let by = By {
                    user: of.user.clone(),
                    application: of.application.clone(),
                    address: of.address.clone(),
                    channel: of.channel.clone(),
                    tongue: Tongue::Grpc,
                };
                named(Verb::Classify, &by, of.number.to_string(), self.reclassified(of))
            }
            Command::Register(record) => {
                let by = by_from_wire(record.by.clone());
                self.is_kept(&by)
                    .then(|| named(Verb::Create, &by, record.name.clone(), begins_with(record)))?
            }
            Command::Arrange(said) => {
                let by = by_from_wire(said.by.clone());
                let record = self.register.get(QueueManagerId(said.id)).filter(|_| self.is_kept(&by))?;
                named(Verb::Arrange, &by, record.name.clone(), rearranged(record, said))
            }
            Command::Deregister { id, by } if self.is_kept(by) => {
                let name = self.register.get(*id).map(|record| record.name.clone()).unwrap_or_default();
                named(Verb::Drop, by, name, Vec::new())
            }
            Command::Define { object, by, .. } if self.is_kept(by) => of_object(Verb::Define, object, by),
            Command::Alter { object, by, .. } if self.is_kept(by) => of_object(Verb::Alter, object, by),
            Command::SetRecord { record, by, .. } if self.is_kept(by) => {
                let mut noted = of_object(Verb::Set, record, by);
                noted.record.changes = self.others_of_profile(command);
                noted
            }
            Command::Delete { object, by, .. } if self.is_kept(by) => {
                let mut noted = of_object(Verb::Delete, object, by);
                noted.record.changes.extend(self.messages_lost(object, None));
                noted
            }
            Command::Clear { object, by } if self.is_kept(by) => {
                let mut noted = of_object(Verb::Clear, object, by);
                noted.record.changes.extend(self.messages_lost(object, Some(0)));
                noted
            }
            Command::Run { state, by } if self.is_kept(by) => {
                let verb = if *state == RunState::Running { Verb::Start } else { Verb::End };
                let after = if self.run.may_become(*state) { *state } else { self.run };
                let [before, after] = [self.run, after].map(|state| Some(AuditValue::text(in_words(state))));
                let is_changed = before != after;
                let changes = is_changed.then(|| said("state", before, after)).into_iter().collect();
                of_manager(verb, by, changes)
            }
            Command::Maintain { node, begins, by, name } if self.is_kept(by) => {
                let verb = if *begins { Verb::Drain } else { Verb::Resume };
                let word = |is_so: bool| Some(AuditValue::text(if is_so { "yes" } else { "no" }));
                let (before, after) = (self.maintained.contains(node), *begins);
                let changes = (before != after).then(|| said("maintenance", word(before), word(after)));
                named(verb, by, name.clone(), changes.into_iter().collect())
            }
            Command::HandOver { said: why, by, to } if self.is_kept(by) && why.why() == Why::Move => {
                let to = (!to.is_empty())
                    .then(|| said("to", None, Some(AuditValue::text(to))))
                    .into_iter()
                    .collect();
                of_manager(Verb::Move, by, to)
            }
            _ => return None,
        })
    }

    /// Persistent messages that a queue has and is about to lose.
    fn messages_lost(&self, queue: &ObjectRef, left: Option<u64>) -> Option<AuditChange> {
        let name = crate::types::ObjectName::new(&queue.name).ok()?;
        let queue = self.queue(self.queue_id(&name).filter(|_| queue.kind == ObjectKind::LocalQueue)?)?;
        debug_assert!(queue.depth() >= queue.not_persistent(), "each message is counted");
        let there = queue.depth() - queue.not_persistent();
        let value = |count| AuditValue::number(count);
        (there > 0).then(|| said("persistent messages", Some(value(there)), left.map(value)))
    }

    /// Of all records of a profile that go at once, what they said.
    fn others_of_profile(&self, command: &Command) -> Vec<AuditChange> {
        use crate::types::definition::RecordAction::RemoveAll;
        let Command::SetRecord { record, action: RemoveAll, .. } = command else { return Vec::new() };
        let others = self.catalog.of_profile(record).filter(|other| other.object != *record);
        let changes = others.flat_map(|other| {
            let key = &other.object.key;
            differences(Some(&other.settings), None)
                .into_iter()
                .map(move |change| AuditChange { key: key.clone(), ..change })
        });
        let changes: Vec<AuditChange> = changes.collect();
        debug_assert!(
            changes.iter().all(|change| change.after.is_none()),
            "nothing is left of what goes at once"
        );
        changes
    }

    fn reclassified(&self, of: &Classified) -> Vec<AuditChange> {
        let before = self.failovers.classified(of.number).next().filter(|said| said.number == of.number);
        let word = |of: &Classified| {
            Class::from_wire(of.class()).map(|class| AuditValue::text(format!("{class}: {}", of.because)))
        };
        vec![said("class", before.and_then(word), word(of))]
    }

    /// Does it. Every one of them is done at once.
    fn administer(&mut self, command: Command, applied: &mut Applied) -> Result<Verdict, Reason> {
        match command {
            Command::Define { object, like, replace, changes, by } => {
                self.apply_define(object, &like, replace, (&changes, *by), applied)
            }
            Command::Alter { object, changes, by } => self.apply_alter(&object, (&changes, *by), applied),
            Command::Delete { object, purge, by: _ } => self.apply_delete(&object, purge, applied),
            Command::Clear { object, by: _ } => self.apply_clear(&object, applied),
            Command::SetRecord { record, action, changes, by } => {
                self.apply_set_record(record, action, (&changes, *by), applied)
            }
            Command::Raise { to, leader: (node, term), by: _ } => {
                if self.version < Version::RECORDS && to >= Version::RECORDS {
                    self.failovers.begin(node, term, self.at);
                }
                self.version = self.version.max(to);
                Ok(Verdict::Done)
            }
            Command::HandOver { said, .. } => {
                self.failovers.announce(said, self.at);
                Ok(Verdict::Done)
            }
            Command::Maintain { node, begins: true, .. } => {
                self.maintained.insert(node);
                Ok(Verdict::Done)
            }
            Command::Maintain { node, begins: false, .. } => {
                self.maintained.remove(&node);
                Ok(Verdict::Done)
            }
            Command::Run { state: RunState::Running, .. } if self.run == RunState::Quiescing => {
                Err(Reason::QMgrQuiescing)
            }
            Command::Run { state, by: _ } => {
                self.apply_run(state);
                Ok(Verdict::Done)
            }
            Command::Register(record) => {
                let registered = self.register.add(*record, self.at);
                self.note_registered(registered, applied)
            }
            Command::Arrange(said) => {
                let registered = self.register.arrange(*said);
                self.note_registered(registered, applied)
            }
            Command::Deregister { id, by } => {
                let registered = self.register.delete(id, by_to_wire(*by), self.at);
                self.note_registered(registered.map(|()| id), applied)
            }
            Command::Classify(said) => self.apply_classify(*said),
            other => unreachable!("{other:?} is asked for by nobody"),
        }
    }

    fn note_registered(
        &mut self,
        registered: Result<QueueManagerId, Reason>,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let id = registered?;
        debug_assert!(self.register.get(id).is_some(), "also what was deleted has a record");
        self.unwritten.registered.insert(id);
        applied.register_changed = true;
        Ok(Verdict::Done)
    }

    fn apply_classify(&mut self, said: Classified) -> Result<Verdict, Reason> {
        let number = said.number;
        self.failovers.classify(said, self.at).ok_or(Reason::AttrValueError)?;
        debug_assert!(
            self.failovers.classified(number).next().is_some_and(|said| said.number == number),
            "what was said of a record is known"
        );
        self.unwritten.classified.insert(number);
        Ok(Verdict::Done)
    }

    /// What is so already stays so: two operators may have asked.
    fn apply_run(&mut self, state: RunState) {
        if !self.run.may_become(state) {
            return;
        }
        debug_assert!(self.version >= Version::RECORDS, "to be ended came with a version");
        if self.run.is_ended() && self.canary.is_some() {
            canary::watch_anew(&mut self.canary, self.at);
            self.unwritten.canary = true;
        }
        self.run = state;
    }
}

fn said(word: &str, before: Option<AuditValue>, after: Option<AuditValue>) -> AuditChange {
    AuditChange { word: word.to_string(), before, after, ..AuditChange::default() }
}

/// None for 0, which is no number of anything.
fn number(number: u64) -> Option<AuditValue> {
    (number != 0).then(|| AuditValue::number(number))
}

fn begins_with(record: &Registered) -> Vec<AuditChange> {
    debug_assert!(!record.name.is_empty(), "a queue manager that is created has a name");
    let text = |text: &str| (!text.is_empty()).then(|| AuditValue::text(text));
    let begins = [
        ("id of the preferred node", number(record.preferred)),
        ("fail_back", text(&record.fail_back)),
        ("DEADQ", text(&record.dead_letter_queue)),
        ("PORT", number(u64::from(record.port))),
        ("addresses", text(&record.addresses.join(" "))),
        ("canary", text(if record.canary { "yes" } else { "" })),
    ];
    begins
        .into_iter()
        .filter(|(_, after)| after.is_some())
        .map(|(word, after)| said(word, None, after))
        .collect()
}

fn rearranged(record: &Registered, said_of_it: &Arrange) -> Vec<AuditChange> {
    debug_assert_eq!(record.id, said_of_it.id, "what is said of it is what changes");
    let text = |text: &str| (!text.is_empty()).then(|| AuditValue::text(text));
    let yes = |is: bool| Some(AuditValue::text(if is { "yes" } else { "no" }));
    let addresses = said_of_it.addresses.as_ref().map(|wanted| text(&wanted.addresses.join(" ")));
    let fail_back = said_of_it.fail_back.as_ref().map(|wanted| text(wanted));
    let pairs = [
        ("addresses", text(&record.addresses.join(" ")), addresses),
        ("id of the preferred node", number(record.preferred), said_of_it.preferred.map(number)),
        ("fail_back", text(&record.fail_back), fail_back),
        ("canary", yes(record.canary), said_of_it.canary.map(yes)),
    ];
    let changed = pairs.into_iter().filter_map(|(word, before, after)| Some((word, before, after?)));
    changed
        .filter(|(_, before, after)| before != after)
        .map(|(word, before, after)| said(word, before, after))
        .collect()
}

fn in_words(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Quiescing => "quiescing",
        RunState::EndedNormally => "ended normally",
        RunState::EndedImmediately => "ended immediately",
    }
}

/// What is not as it was. Who is not there says nothing.
fn differences(before: Option<&Settings>, after: Option<&Settings>) -> Vec<AuditChange> {
    let [before, after] = [before, after].map(|settings| settings.cloned().unwrap_or_default());
    let all = before.iter().chain(after.iter()).map(|(selector, _)| selector);
    let all: BTreeSet<Selector> = all.collect();
    let differ = all.into_iter().filter(|selector| before.get(*selector) != after.get(*selector));
    let changes = differ.map(|selector| {
        let shown = |value: &Value| match SECRETS.contains(&selector) {
            true => AuditValue::text(SECRET),
            false => AuditValue::of(value),
        };
        let [before, after] = [&before, &after].map(|settings| settings.get(selector).map(shown));
        AuditChange { selector, before, after, ..AuditChange::default() }
    });
    let changes: Vec<AuditChange> = changes.collect();
    debug_assert!(
        changes.iter().all(|change| change.before.is_some() || change.after.is_some()),
        "what is not as it was is said now, or was before"
    );
    changes
}

#[cfg(test)]
mod tests {
    use trimaran_proto::chain::verify;
    use trimaran_proto::replica::v1::FloatingAddresses;

    use super::*;
    use crate::types::definition::{Changes, RecordAction};
    use crate::types::{NodeId, ObjectName, Term, WallTime};

    fn by(tongue: Tongue) -> Box<By> {
        let address = "10.0.0.1:5000".to_string();
        Box::new(By { user: "joe".into(), address, tongue, ..By::default() })
    }

    fn manager() -> QueueManager {
        let mut manager = QueueManager::new(QueueManagerId(1), ObjectName::new("QM").unwrap());
        manager.set_time(WallTime(5_000));
        let leader = (NodeId(1), Term(1));
        manager.apply(Command::Raise { to: Version::TRAIL, leader, by: Box::default() });
        manager
    }

    fn queue() -> ObjectRef {
        ObjectRef::new(ObjectKind::LocalQueue, "ORDERS")
    }

    fn define(maxdepth: u32, replace: bool) -> Command {
        let changes = Changes::default().with(ObjectKind::LocalQueue, "MAXDEPTH", maxdepth);
        Command::Define { object: queue(), like: String::new(), replace, changes, by: by(Tongue::Mqsc) }
    }

    /// Each record: what was asked for, of what, and what is not as it was.
    fn told(manager: &QueueManager) -> Vec<String> {
        let of_record = |record: &AuditRecord| {
            let changes = record.changes_in_words().map(|(name, before, after)| {
                let [before, after] = [before, after].map(|value| value.unwrap_or_else(|| "-".into()));
                format!(" {name} {before} > {after}")
            });
            let verb = trimaran_proto::audit::verb_in_words(record.verb());
            format!("{verb} {}{}", record.object(), changes.collect::<String>())
        };
        manager.trail(0).map(of_record).collect()
    }

    #[test]
    fn each_change_has_a_record_with_what_was_before_and_after() {
        let mut manager = manager();
        assert!(manager.apply(define(100, false)).verdict.is_ok());
        assert!(manager.apply(define(100, false)).verdict.is_err(), "it is there already");
        let changes = Changes::default().with(ObjectKind::LocalQueue, "MAXDEPTH", 200);
        let changes = changes.with(ObjectKind::LocalQueue, "DESCR", "of the shop");
        manager.apply(Command::Alter { object: queue(), changes, by: by(Tongue::Pcf) });
        manager.apply(define(200, true));
        manager.apply(Command::Delete { object: queue(), purge: false, by: by(Tongue::Grpc) });
        assert_eq!(
            told(&manager),
            [
                "DEFINE QLOCAL(ORDERS) MAXDEPTH - > 100",
                "ALTER QLOCAL(ORDERS) MAXDEPTH 100 > 200 DESCR  > of the shop",
                "DEFINE QLOCAL(ORDERS) DESCR of the shop > -",
                "DELETE QLOCAL(ORDERS) MAXDEPTH 200 > -",
            ]
        );
        let records: Vec<AuditRecord> = manager.trail(0).cloned().collect();
        assert_eq!(verify(&records), Ok(()));
        let first = &records[0];
        assert_eq!(
            (first.user.as_str(), first.address.as_str(), first.tongue(), first.at_ms),
            ("joe", "10.0.0.1:5000", Tongue::Mqsc, 5_000)
        );
        assert_eq!(manager.check_invariants(), Ok(()));
    }

    #[test]
    fn a_password_is_in_no_record_and_that_it_was_changed_is() {
        let mut manager = manager();
        let object = ObjectRef::new(ObjectKind::AuthInfo, "LDAP");
        let changes = Changes::default().with_value(2048, Value::Text("s3cret".into()));
        let define =
            Command::Define { object, like: String::new(), replace: false, changes, by: by(Tongue::Grpc) };
        manager.apply(define);
        assert_eq!(told(&manager), ["DEFINE AUTHINFO(LDAP) LDAPPWD - > ********"]);
    }

    #[test]
    fn records_of_a_profile_that_go_at_once_are_told_one_by_one() {
        let mut manager = manager();
        let record =
            |key: &str| ObjectRef { kind: ObjectKind::ChannelAuth, name: "APP.*".into(), key: key.into() };
        let set = |key, action, changes| Command::SetRecord {
            record: record(key),
            action,
            changes,
            by: by(Tongue::Mqsc),
        };
        let users = || Changes::default().with_value(3568, Value::List(vec!["ann".into()]));
        manager.apply(set("TYPE(BLOCKUSER)", RecordAction::Add, users()));
        manager.apply(set("", RecordAction::RemoveAll, Changes::default()));
        assert_eq!(
            told(&manager),
            [
                "SET CHLAUTH(APP.*) TYPE(BLOCKUSER) USERLIST - > ann",
                "SET CHLAUTH(APP.*) USERLIST of TYPE(BLOCKUSER) ann > -",
            ]
        );
    }

    #[test]
    fn the_queue_manager_itself_leaves_no_record_and_an_older_one_keeps_none() {
        let mut manager = manager();
        let mut unasked = define(1, false);
        if let Command::Define { by, .. } = &mut unasked {
            **by = By { application: "queue manager".into(), ..By::default() };
        }
        assert!(manager.apply(unasked).verdict.is_ok());
        assert_eq!(manager.trail(0).count(), 0);
        let mut older = QueueManager::new(QueueManagerId(1), ObjectName::new("QM").unwrap());
        let refused = older.apply(define(1, false));
        assert_eq!(refused.verdict, Err(Reason::FunctionNotSupported), "no leader writes that");
        let by = By { tongue: Tongue::None, ..*by(Tongue::None) };
        let to = Version::TRAIL;
        older.apply(Command::Raise { to, leader: (NodeId(1), Term(1)), by: by.into() });
        assert_eq!(told(&older), ["cluster upgrade QMGR version 2 > 4"], "it begins with who began it");
    }

    #[test]
    fn operators_have_records_too() {
        let mut manager = manager();
        let node = NodeId(2);
        let maintain = |begins| Command::Maintain { node, begins, by: by(Tongue::Grpc), name: "b".into() };
        manager.apply(maintain(true));
        manager.apply(maintain(false));
        let run = |state| Command::Run { state, by: by(Tongue::Grpc) };
        manager.apply(run(RunState::EndedImmediately));
        manager.apply(run(RunState::Running));
        let change = MembershipChange {
            add_voters: vec![4],
            remove: vec![2],
            told: vec![
                NodeInfo { id: 4, name: "d".into(), ..NodeInfo::default() },
                NodeInfo { id: 2, name: "b".into(), ..NodeInfo::default() },
            ],
            by: Some(by_to_wire(*by(Tongue::Grpc))),
            at_ms: manager.at().0 + 3_600_000,
            ..MembershipChange::default()
        };
        manager.note_members(&change, &mut Applied::default());
        let at_ms = manager.trail(0).last().map(|record| record.at_ms);
        assert_eq!(at_ms, Some(change.at_ms), "whenever the entry in front of it was written");
        let record = Registered {
            name: "QM2".into(),
            port: 1415,
            by: Some(by_to_wire(*by(Tongue::Grpc))),
            ..Registered::default()
        };
        manager.apply(Command::Register(Box::new(record)));
        let leader = (NodeId(1), Term(1));
        manager.apply(Command::Raise { to: Version::PLACES, leader, by: Box::default() });
        let arrange = Arrange {
            id: 65_536,
            addresses: Some(FloatingAddresses { addresses: vec!["10.0.0.50/24".into()] }),
            preferred: Some(0),
            canary: Some(true),
            by: Some(by_to_wire(*by(Tongue::Grpc))),
            ..Arrange::default()
        };
        manager.apply(Command::Arrange(Box::new(arrange)));
        manager.apply(Command::Deregister { id: QueueManagerId(65_536), by: by(Tongue::Grpc) });
        assert_eq!(
            told(&manager),
            [
                "node drain b maintenance no > yes",
                "node resume b maintenance yes > no",
                "endmqm QMGR state running > ended immediately",
                "strmqm QMGR state ended immediately > running",
                "node replace d id 2 > 4 name b > d",
                "crtmqm QM2 PORT - > 1415",
                "place QM2 addresses - > 10.0.0.50/24 canary no > yes",
                "dltmqm QM2",
            ]
        );
        assert_eq!(manager.check_invariants(), Ok(()));
    }
}
