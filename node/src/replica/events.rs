//! Event messages: what the queue manager tells on its SYSTEM.ADMIN queues where PERFMEV, CONFIGEV and CMDEV say so (IBM MQ
//! documentation, "Event monitoring"). What is told of queues that are full, high or low is in `depths`; here is what administrators
//! ask for, and the way of every event to its queue.
//!
//! An event is put as a message of anybody would be, as persistent and urgent as its queue says. Where it has no room, or there is no such queue,
//! it is dropped, and what it is about goes on. What is told of a command goes into the log behind it, as soon as it is applied: a
//! leader that ends in between has done it and told nobody. Who wants to know of every change reads the audit trail.
//!
//! Volatile, and the leader's.

use std::collections::BTreeMap;

use trimaran_proto::admin::v1::{Attribute as Said, ObjectDetails};
use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::characters::Written;
use trimaran_proto::pcf;
use trimaran_proto::pcf::event::{self, Asked as Verb, Asker, Images};

use super::Replica;
use super::administer::by_of;
use super::expiry::Asked;
use super::proposals::Waiting;
use crate::mqi::{Admin, Refusal};
use crate::qmgr::{Command, Place, not_persistent_weight};
use crate::types::definition::{
    CONFIGEV, Changes, Definition, ObjectKind, ObjectRef, RecordAction, Tongue, Value,
};
use crate::types::{
    Body, CorrelationId, Descriptor, HandleId, Message, ObjectName, Persistence, QueueId, Reason, SessionId,
    Token, limits, native,
};

pub(super) const PERFORMANCE: &str = "SYSTEM.ADMIN.PERFM.EVENT";
const CONFIGURATION: &str = "SYSTEM.ADMIN.CONFIG.EVENT";
const COMMANDS: &str = "SYSTEM.ADMIN.COMMAND.EVENT";
const MQMT_DATAGRAM: u32 = 8;
/// MQ_APPL_NAME_LENGTH.
const APPLICATION_MAX: usize = 28;

/// Whether of this queue nothing is told: events about the queues of events would have no end.
pub(super) fn is_of_events(queue: &ObjectName) -> bool {
    let name = queue.as_str();
    name.starts_with("SYSTEM.ADMIN.") && name.ends_with(".EVENT")
}

/// Commands of administrators that are told of when they are done.
#[derive(Debug, Default)]
pub(super) struct Events {
    under_way: BTreeMap<(SessionId, Token), Box<Noted>>,
}

/// What was known of a command when it was let in.
#[derive(Debug)]
pub(super) struct Noted {
    asker: Asker,
    /// None where commands are not told.
    command: Option<pcf::Message>,
    /// What it changes, as it was before; nothing where changes are not told.
    objects: Vec<(ObjectRef, Option<ObjectDetails>)>,
}

impl Replica {
    /// Before a command is carried out. None where nothing is to be told of it.
    pub(super) fn note_asked(&self, session: SessionId, admin: &Admin) -> Option<Box<Noted>> {
        let rules = self.state.tells();
        // What switches events of changes on is the first that is told.
        let changes = rules.changes || switches_on(admin);
        if !rules.commands && !changes {
            return None;
        }
        let asker = self.asker(session).filter(|asker| asker.tongue != Tongue::None)?;
        // MQSET is a call, and no command.
        let is_told = rules.commands && asker.tongue != Tongue::Channel;
        let asked = is_told.then(|| asked(admin)).flatten();
        let asked = asked.filter(|(verb, _)| rules.displays || !verb.is_display());
        let command = asked.map(|(verb, said)| event::of_command(&asker, verb, &said));
        let objects = if changes { self.changed_by(admin) } else { Vec::new() };
        debug_assert!(changes || objects.is_empty(), "changes are told where that is switched on");
        debug_assert!(rules.commands || command.is_none(), "commands are told where that is switched on");
        (command.is_some() || !objects.is_empty()).then(|| Noted { asker, command, objects }.into())
    }

    /// Who asks; None where nobody is connected any more.
    pub(super) fn asker(&self, session: SessionId) -> Option<Asker> {
        let by = by_of(self.sessions.get(session)?);
        Some(Asker {
            queue_manager: self.options.name.to_string(),
            user: by.user,
            application: by.application,
            tongue: by.tongue,
        })
    }

    /// The objects that it is about, as they are.
    fn changed_by(&self, admin: &Admin) -> Vec<(ObjectRef, Option<ObjectDetails>)> {
        let object = match admin {
            Admin::Define { object, .. } | Admin::Alter { object, .. } | Admin::Delete { object, .. } => {
                object
            }
            Admin::SetRecord { record, action: RecordAction::RemoveAll, .. } => {
                let all = self.state.catalog().of_profile(record);
                return all.map(|record| (record.object.clone(), Some(details(record)))).collect();
            }
            Admin::SetRecord { record, .. } => record,
            Admin::Clear { .. } | Admin::Display { .. } | Admin::Refresh(_) | Admin::Sessions { .. } => {
                return Vec::new();
            }
        };
        if object.name == CONFIGURATION {
            return Vec::new();
        }
        vec![(object.clone(), self.image(object))]
    }

    fn image(&self, object: &ObjectRef) -> Option<ObjectDetails> {
        self.state.catalog().get(object).map(details)
    }

    /// The command is on its way into the log.
    pub(super) fn tell_later(&mut self, session: SessionId, token: Token, noted: Option<Box<Noted>>) {
        let Some(noted) = noted else { return };
        let before = self.standing.own_mut().events.under_way.insert((session, token), noted);
        debug_assert!(before.is_none(), "a call is one command");
    }

    /// A command was done, or refused when it was applied.
    pub(super) fn tell_of(&mut self, session: SessionId, token: Token, is_done: bool) {
        let noted = self.standing.own_mut().events.under_way.remove(&(session, token));
        if let Some(noted) = noted.filter(|_| is_done) {
            self.tell(*noted);
        }
    }

    /// A command was done.
    pub(super) fn tell(&mut self, noted: Noted) {
        let Noted { asker, command, objects } = noted;
        if let Some(command) = command {
            self.put_event(COMMANDS, &command, CorrelationId::default());
        }
        for (object, before) in objects {
            let after = self.image(&object);
            let events = event::of_object(&asker, &Images { before: before.as_ref(), after: after.as_ref() });
            debug_assert!(events.len() <= 2, "what was and what is are two messages at most");
            let pair =
                if events.len() == 2 { CorrelationId(self.new_id().1.0) } else { CorrelationId::default() };
            events.iter().for_each(|event| self.put_event(CONFIGURATION, event, pair));
        }
    }

    /// An event about one object, which belongs to no other event.
    pub(super) fn put_configuration_event(&mut self, event: &pcf::Message) {
        debug_assert!(event.header.is_last, "nothing belongs to it");
        self.put_event(CONFIGURATION, event, CorrelationId::default());
    }

    /// A message of the queue manager's own, which is dropped where it has no place.
    pub(super) fn put_event(&mut self, queue: &str, event: &pcf::Message, pair: CorrelationId) {
        debug_assert_eq!(event.header.kind, pcf::kind::EVENT, "on queues of events are events only");
        let written = Written { ccsid: native::CCSID, is_big: false };
        let body = Body::from(event.write(written).freeze());
        let mut descriptor =
            Descriptor { put_at: self.wall(), correlation_id: pair, ..Descriptor::default() };
        descriptor.set_rest(&wire::Descriptor {
            message_type: Some(MQMT_DATAGRAM),
            encoding: Some(native::ENCODING),
            coded_character_set: Some(native::CCSID),
            format: event::FORMAT.into(),
            reply_to_queue_manager: self.options.name.to_string(),
            put_application_type: native::MQAT_QMGR,
            put_application_name: self.options.name.as_str().chars().take(APPLICATION_MAX).collect(),
            ..wire::Descriptor::default()
        });
        let body_crc = body.crc32c();
        let mut message = Box::new(Message { descriptor, body, body_crc });
        match self.event_target(queue, &mut message) {
            Ok(target) => self.place_event(target, message),
            Err(_) => self.stats.event_messages_dropped += 1,
        }
    }

    /// Where it goes, as persistent and urgent as the queue says.
    fn event_target(&mut self, queue: &str, message: &mut Message) -> Result<QueueId, Refusal> {
        if message.body.len() > limits::CHUNK_BYTES {
            return Err(Reason::MsgTooBigForQ.into());
        }
        let target = self.open_to_puts(queue)?;
        let rules = &self.state.queue(target).ok_or(Reason::UnknownObjectName)?.rules;
        message.descriptor.priority = Some(rules.defprty);
        message.descriptor.persistence = match rules.defpsist && !rules.temporary {
            true => Persistence::Persistent,
            false => Persistence::NotPersistent,
        };
        self.admit_message(target, message, Asked::Later)?;
        Ok(target)
    }

    fn place_event(&mut self, queue: QueueId, mut message: Box<Message>) {
        let is_persistent = message.descriptor.persistence == Persistence::Persistent;
        if !is_persistent && !self.holdings.not_persistent.grow(not_persistent_weight(message.body.len())) {
            self.stats.event_messages_dropped += 1;
            return;
        }
        debug_assert!(message.body.len() <= limits::CHUNK_BYTES, "an event is no body that comes in parts");
        let unique = self.name_message(&mut message);
        debug_assert!(unique.is_some(), "an event has an id of its own");
        self.stats.event_messages += 1;
        let now = self.now.instant;
        self.standing.own_mut().let_in(queue, now);
        if !is_persistent {
            return self.place_not_persistent(queue, message);
        }
        let place = Place::new(queue, message, unique);
        self.propose(Command::Place(place), Waiting::Event { into: Some(queue), about: None });
    }
}

pub(super) fn details(definition: &Definition) -> ObjectDetails {
    let said =
        definition.attributes().map(|(attribute, value)| Said { name: attribute.name.to_string(), value });
    ObjectDetails {
        attributes: said.collect(),
        created_ms: definition.created.0,
        altered_ms: definition.altered.0,
        ..of_object(&definition.object)
    }
}

fn of_object(object: &ObjectRef) -> ObjectDetails {
    ObjectDetails {
        kind: object.kind.facts().name.to_string(),
        name: object.name.clone(),
        ..ObjectDetails::default()
    }
}

/// ALTER QMGR CONFIGEV(ENABLED).
fn switches_on(admin: &Admin) -> bool {
    let Admin::Alter { object, changes } = admin else { return false };
    object.kind == ObjectKind::QueueManager
        && changes.iter().any(|said| said == (CONFIGEV, Some(&Value::Number(1))))
}

/// What a command wants, and what it says of which object.
fn asked(admin: &Admin) -> Option<(Verb, ObjectDetails)> {
    let changed = |object: &ObjectRef, changes: &Changes| {
        let said = changes.iter().filter_map(|(selector, value)| {
            let attribute = object.kind.attribute(selector)?;
            let value = value.cloned().unwrap_or_else(|| attribute.default_value());
            Some(Said { name: attribute.name.to_string(), value: attribute.text(&value) })
        });
        ObjectDetails { attributes: said.collect(), ..of_object(object) }
    };
    Some(match admin {
        Admin::Define { object, replace, changes, .. } => {
            (Verb::Define { replace: *replace }, changed(object, changes))
        }
        Admin::Alter { object, changes } => (Verb::Alter, changed(object, changes)),
        Admin::Delete { object, purge } => (Verb::Delete { purge: *purge }, of_object(object)),
        Admin::Clear { queue } => (Verb::Clear, of_object(&ObjectRef::local_queue(queue))),
        Admin::SetRecord { record, action, changes } => {
            let verb = if *action == RecordAction::RemoveAll { Verb::RemoveAll } else { Verb::Set };
            (verb, changed(record, changes))
        }
        // A page behind the first belongs to the same command.
        Admin::Display { kinds, pattern, after } if after.is_empty() => {
            let kind = *kinds.first()?;
            let name = if pattern.is_empty() { "*" } else { pattern };
            (Verb::Display, of_object(&ObjectRef::new(kind, name)))
        }
        Admin::Refresh(refresh) if refresh.after.is_empty() => {
            (Verb::Refresh, of_object(&ObjectRef::new(ObjectKind::QueueManager, &refresh.pattern)))
        }
        Admin::Sessions { after, handles: None | Some(HandleId(0)) } if *after == SessionId::default() => {
            (Verb::DisplayConnections, of_object(&ObjectRef::new(ObjectKind::QueueManager, "")))
        }
        Admin::Display { .. } | Admin::Refresh(_) | Admin::Sessions { .. } => return None,
    })
}
