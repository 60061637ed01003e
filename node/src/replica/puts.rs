//! A put: which queue, is there room, was it put before; then into the log, into memory, or into the unit of work.

use super::Replica;
use super::expiry::Asked;
use super::proposals::{Ride, Waiting};
use super::repeats::{repeated, warned};
use super::reports::Routed;
use super::sessions::Handle;
use super::units::NotPersistent;
use crate::mqi::{Completion, Context, Data, GroupCall, Put, PutPlace, PutTarget, Refusal, Which};
use crate::qmgr::{AliasWords, Command, Place, Target, Verdict, command, dead_letter, not_persistent_weight};
use crate::types::definition::{COMMAND_QUEUE, sentence};
use crate::types::{
    Cause, Descriptor, GroupId, HandleId, InGroup, Message, MessageId, ObjectName, Persistence,
    ProducerSequence, QueueId, Reason, SessionId, Token, Version, WallTime, limits,
};

/// A put that has room.
struct LetIn {
    queue: QueueId,
    message: Box<Message>,
    producer: Option<ProducerSequence>,
    syncpoint: bool,
    /// Why it goes to the dead-letter queue, if it does, or what else its program should know.
    warning: Option<Reason>,
    /// Its program left its persistence to the queue.
    as_queue: bool,
    /// By which it came.
    handle: Option<HandleId>,
    logical_order: bool,
    context: Context,
}

impl LetIn {
    /// Decided once its defaults are.
    fn is_persistent(&self) -> bool {
        self.message.descriptor.persistence == Persistence::Persistent
    }

    fn group_call(&self) -> GroupCall {
        let (in_logical_order, in_unit) = (self.logical_order, self.syncpoint);
        GroupCall { in_logical_order, in_unit, is_persistent: self.is_persistent() }
    }
}

/// A mistake of the program's own, which no dead-letter queue is for.
fn is_the_programs_own(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::HobjError
            | Reason::NotOpenForOutput
            | Reason::NotOpenForPassAll
            | Reason::NotOpenForPassIdent
            | Reason::NotOpenForSetAll
            | Reason::NotOpenForSetIdent
            | Reason::MsgTooBigForQMgr
    )
}

impl Replica {
    pub(super) fn on_put(&mut self, session: SessionId, token: Token, mut put: Put) {
        self.turn.spend_bytes(put.message.body.len().min(limits::CHUNK_BYTES));
        let (syncpoint, dead_letter) = (put.syncpoint, put.dead_letter);
        let has_unknown = put.message.descriptor.report.check() == Ok(true);
        let unknown = has_unknown.then_some(Reason::UnknownReportOption);
        let lowered = put.message.descriptor.lower_priority().then_some(Reason::PriorityExceedsMax);
        let (target, name) = self.put_target(session, &put);
        let alias = target.as_ref().ok().and_then(|target| target.alias);
        let wanted = target.as_ref().ok().map(|target| (target.queue, target.alias));
        let admitted = target.and_then(|target| match alias {
            Some(alias) if !alias.put_enabled => Err(Reason::PutInhibited.into()),
            _ => self.admit_put(target.queue, &put.message).map(|()| target.queue),
        });
        let handle = match put.to {
            PutTarget::Handle(handle) => Some(handle),
            PutTarget::Queue(_) => None,
        };
        let logical_order = put.logical_order;
        if admitted.is_err()
            && let Some(producer) = &put.producer
        {
            // What was placed before is answered as then, also if its queue has no room now.
            let persistence = put.message.descriptor.persistence;
            let is_persistent = wanted.map_or(persistence != Persistence::NotPersistent, |(queue, alias)| {
                self.decided_persistence(queue, alias, persistence) == Persistence::Persistent
            });
            let call = GroupCall { in_logical_order: logical_order, in_unit: syncpoint, is_persistent };
            if self.answer_repeated(session, token, producer, handle, call) {
                return;
            }
        }
        let (queue, message, dead_lettered) = match admitted {
            Ok(queue) => (queue, put.message, None),
            Err(refused) if dead_letter && !is_the_programs_own(refused.reason) => {
                match self.dead_letter_target(put.message, &name, refused.reason, Asked::Too) {
                    Ok((queue, message)) => (queue, message, Some(refused.reason)),
                    Err(_) => return self.answer(session, token, refused.into()),
                }
            }
            Err(refused) => return self.answer(session, token, refused.into()),
        };
        let alias = alias.filter(|_| dead_lettered.is_none());
        let producer = put.producer;
        let warning = dead_lettered.or(lowered).or(unknown);
        let (as_queue, context) = (false, put.context);
        let let_in =
            LetIn { queue, message, producer, syncpoint, warning, as_queue, handle, logical_order, context };
        self.place(session, token, let_in, alias);
    }

    /// Where it is to go, and the name by which it was told so.
    fn put_target(&self, session: SessionId, put: &Put) -> (Result<Target, Refusal>, String) {
        match &put.to {
            PutTarget::Handle(id) => {
                let session = self.sessions.get(session).ok_or(Reason::HconnError);
                match session.and_then(|session| session.handle(*id, Reason::NotOpenForOutput)) {
                    Ok(handle) => (self.behind_handle(handle, put.context), handle.name.to_string()),
                    Err(reason) => (Err(reason.into()), String::new()),
                }
            }
            PutTarget::Queue(name) => (self.behind_name(name), name.to_string()),
        }
    }

    fn behind_handle(&self, handle: &Handle, context: Context) -> Result<Target, Refusal> {
        if !handle.options.output {
            return Err(Reason::NotOpenForOutput.into());
        }
        handle.options.check_context(context)?;
        let queue = self.state.queue(handle.queue).ok_or(Reason::QDeleted)?;
        let alias = handle.is_alias.then(|| self.state.alias_of(queue, &handle.name)).transpose()?;
        Ok(Target { queue: queue.id, alias })
    }

    pub(super) fn behind_name(&self, name: &ObjectName) -> Result<Target, Refusal> {
        let target = self.state.resolve(name)?;
        if self.standing.own().locked.contains(&target.queue) {
            Err(Reason::ObjectInUse.into())
        } else {
            Ok(target)
        }
    }

    /// Whether one more message has room.
    pub(super) fn admit_put(&mut self, id: QueueId, message: &Message) -> Result<(), Refusal> {
        self.admit_message(id, message, Asked::Too)
    }

    /// The same; whether what asks for a report may go, too, to make room.
    pub(super) fn admit_message(
        &mut self,
        id: QueueId,
        message: &Message,
        asked: Asked,
    ) -> Result<(), Refusal> {
        let queue = self.state.queue(id).ok_or(Reason::UnknownObjectName)?;
        let rules = &queue.rules;
        if !rules.put_enabled {
            return Err(Reason::PutInhibited.into());
        }
        if rules.temporary && message.descriptor.persistence == Persistence::Persistent {
            let detail = "It is a temporary dynamic queue.";
            return Err(Refusal::because(Reason::PersistentNotAllowed, detail));
        }
        let (length, most) = (message.body.len(), self.state.maxmsgl());
        if length > most {
            let detail = format!("The body has {length} bytes, MAXMSGL of the queue manager is {most}.");
            return Err(Refusal::because(Reason::MsgTooBigForQMgr, detail));
        }
        if length > rules.body_bytes_max() {
            let detail = format!("The body has {length} bytes, MAXMSGL is {}.", rules.maxmsgl);
            return Err(Refusal::because(Reason::MsgTooBigForQ, detail));
        }
        if let Some(text) = self.lack_of_room() {
            return Err(Refusal::because(Reason::StorageMediumFull, sentence(&text)));
        }
        let maxdepth = rules.maxdepth;
        if self.depth_to_be(id) >= u64::from(maxdepth) {
            self.make_room(id, asked);
            if self.depth_to_be(id) >= u64::from(maxdepth) {
                self.standing.own_mut().depths.note_full(id);
                return Err(Refusal::because(Reason::QFull, format!("MAXDEPTH is {maxdepth}.")));
            }
        }
        Ok(())
    }

    /// The queue's depth when what is under way has happened.
    pub(super) fn depth_to_be(&self, queue: QueueId) -> u64 {
        debug_assert!(self.is_serving(), "only whoever serves lets in");
        let (depth, leading) =
            (self.state.queue(queue).map_or(0, |queue| queue.depth()), self.standing.own());
        let leaving = leading.leaving.with_reports(queue);
        debug_assert!(leaving <= depth, "what is on its way out is still there");
        depth + leading.incoming(queue) - leaving
    }

    pub(super) fn dead_letter_target(
        &mut self,
        message: Box<Message>,
        queue: &str,
        reason: Reason,
        asked: Asked,
    ) -> Result<(QueueId, Box<Message>), Refusal> {
        let name = self.state.deadq().ok_or(reason)?;
        let target = self.state.queue_id(name).ok_or(reason)?;
        if self.standing.own().locked.contains(&target) {
            return Err(Reason::ObjectInUse.into());
        }
        let message = dead_letter::with_header(message, queue, self.state.name(), reason, self.wall());
        self.admit_message(target, &message, asked)?;
        Ok((target, message))
    }

    /// A put that was let in becomes a message with everything it says decided, and goes where it belongs: into the log,
    /// into memory, or into the unit of work.
    fn place(&mut self, session: SessionId, token: Token, mut put: LetIn, alias: Option<AliasWords>) {
        self.decide_defaults(&mut put, alias);
        if let Some(producer) = &put.producer
            && self.answer_repeated(session, token, producer, put.handle, put.group_call())
        {
            return;
        }
        let is_of_groups = match self.place_in_group(session, &mut put) {
            Ok(is_of_groups) => is_of_groups,
            Err(reason) => return self.answer(session, token, Completion::failed(reason)),
        };
        if let Err(refused) = self.take_memory(session, &put) {
            return self.answer(session, token, refused.into());
        }
        if is_of_groups {
            self.note_group(session, &put);
        }
        let Some(context) = self.sessions.get(session).map(|state| &state.context) else { return };
        match put.context {
            Context::Default => put.message.descriptor.set_default_context(context),
            Context::PassIdentity | Context::Identity => put.message.descriptor.set_default_origin(context),
            Context::Blank | Context::PassAll | Context::All => {}
        }
        // A command is done as whoever put it: +setall makes nobody another user in the audit trail.
        if self.state.queue(put.queue).is_some_and(|queue| queue.name.as_str() == COMMAND_QUEUE) {
            put.message.descriptor.set_user(context);
        }
        let unique = self.name_message(&mut put.message);
        self.stats.puts += 1;
        self.stats.put_bytes += put.message.body.len() as u64;
        let now = self.now.instant;
        self.standing.own_mut().let_in(put.queue, now);
        if put.syncpoint {
            let decided = self.state.units_decided();
            let unit = &mut self.sessions.get_mut(session).expect("just seen").unit;
            unit.bytes += put.message.body.len();
            unit.begin(decided);
        }
        match put.is_persistent() {
            true => self.put_persistent(session, token, put, unique, is_of_groups),
            false => self.put_not_persistent(session, token, put),
        }
    }

    /// What the queue or its alias says where the program said nothing.
    fn decide_defaults(&self, put: &mut LetIn, alias: Option<AliasWords>) {
        let rules = &self.state.queue(put.queue).expect("admitted").rules;
        let defprty = alias.map_or(rules.defprty, |alias| alias.defprty);
        let descriptor = &mut put.message.descriptor;
        put.as_queue = descriptor.persistence == Persistence::AsQueue;
        descriptor.priority = Some(descriptor.priority.unwrap_or(defprty));
        descriptor.persistence = self.decided_persistence(put.queue, alias, descriptor.persistence);
        descriptor.backout_count = 0;
        descriptor.put_at = WallTime(0);
    }

    fn decided_persistence(
        &self,
        queue: QueueId,
        alias: Option<AliasWords>,
        given: Persistence,
    ) -> Persistence {
        let Some(queue) = self.state.queue(queue).filter(|_| given == Persistence::AsQueue) else {
            return given;
        };
        let defpsist = alias.map_or(queue.rules.defpsist, |alias| alias.defpsist);
        match defpsist && !queue.rules.temporary {
            true => Persistence::Persistent,
            false => Persistence::NotPersistent,
        }
    }

    /// A message of a group has its place there, by its handle's word or by its own. Whether its handle has to do with groups.
    fn place_in_group(&mut self, session: SessionId, put: &mut LetIn) -> Result<bool, Reason> {
        let says_in_group = put.message.descriptor.says_in_group();
        let state = self.sessions.get(session);
        let handle = state.and_then(|state| state.handles.get(&put.handle?));
        let begun = handle.map(|handle| &handle.groups).filter(|groups| groups.has_begun_to_put());
        if begun.is_none() && !says_in_group && !put.logical_order {
            return Ok(false);
        }
        let groups = begun.copied().unwrap_or_default();
        if !put.logical_order {
            put.warning = put.warning.or(groups.warning_of_put(false));
            if says_in_group {
                let descriptor = &put.message.descriptor;
                let (group_id, sequence_number) = (descriptor.group_id, descriptor.sequence_number.max(1));
                self.set_in_group(put, Some(group_id), sequence_number);
            }
            return Ok(true);
        }
        match groups.place(says_in_group, put.group_call())? {
            PutPlace::Alone => {
                let descriptor = &mut put.message.descriptor;
                (descriptor.group_id, descriptor.sequence_number) = (GroupId::default(), 0);
            }
            PutPlace::First => self.set_in_group(put, None, 1),
            PutPlace::Next { group_id, sequence_number } => {
                self.set_in_group(put, Some(group_id), sequence_number);
            }
        }
        Ok(true)
    }

    /// A group without an id gets a new one.
    fn set_in_group(&mut self, put: &mut LetIn, group_id: Option<GroupId>, sequence_number: u32) {
        let given = group_id.filter(|id| !id.is_none());
        let group_id = given.unwrap_or_else(|| GroupId(self.new_id().1.0));
        put.message.descriptor.set_in_group(InGroup { group_id, sequence_number, is_last: false });
    }

    fn note_group(&mut self, session: SessionId, put: &LetIn) {
        let in_group = put.message.descriptor.in_group();
        let (Some(state), Some(handle)) = (self.sessions.get_mut(session), put.handle) else { return };
        let Some(of) = state.handles.get_mut(&handle) else { return };
        let before = of.groups;
        of.groups.note_put(in_group, put.group_call());
        if !put.producer.as_ref().is_some_and(|producer| of.is_behind(producer)) {
            of.put_upto = put.producer.clone();
        }
        if put.syncpoint {
            state.unit.note_groups(handle, Which::Put, before, &of.groups);
        }
    }

    /// Units of work, and messages that are not persistent, are in memory.
    fn take_memory(&mut self, session: SessionId, put: &LetIn) -> Result<(), Refusal> {
        let length = put.message.body.len();
        let weight = not_persistent_weight(length) + self.arrival_weight(&put.message);
        if !put.syncpoint {
            let fits = put.is_persistent() || self.holdings.not_persistent.grow(weight);
            let detail = "The messages that are not persistent take all the memory that this node has for them; get some.";
            return fits.then_some(()).ok_or_else(|| Refusal::because(Reason::ResourceProblem, detail));
        }
        let maxumsgs = self.state.maxumsgs() as usize;
        let unit = &mut self.sessions.get_mut(session).ok_or(Reason::HconnError)?.unit;
        if unit.messages() >= maxumsgs {
            return Err(Reason::SyncpointLimitReached.into());
        }
        if unit.bytes + length > limits::UNIT_BYTES_MAX {
            let detail = "The bodies of a unit of work have at most 128 MiB.";
            return Err(Refusal::because(Reason::SyncpointLimitReached, detail));
        }
        if !unit.hold(&self.options.account, weight) {
            let detail =
                "The open units of work take all the memory that this node has for them; commit or back out.";
            return Err(Refusal::because(Reason::ResourceProblem, detail));
        }
        Ok(())
    }

    /// Gives it an id when its program did not: what the log needs to know of that.
    pub(super) fn name_message(&mut self, message: &mut Message) -> Option<u64> {
        if !message.descriptor.message_id.is_none() {
            return None;
        }
        let (unique, id) = self.new_id();
        message.descriptor.message_id = id;
        Some(unique)
    }

    /// An id that no other message has, and what the log needs to know of it.
    pub(super) fn new_id(&mut self) -> (u64, MessageId) {
        let leading = self.standing.own_mut();
        leading.next_unique += 1;
        let unique = leading.next_unique;
        (unique, command::message_id(&self.options.name, unique))
    }

    fn put_not_persistent(&mut self, session: SessionId, token: Token, put: LetIn) {
        let answer = placed(&put.message.descriptor, put.warning);
        let LetIn { queue, mut message, producer, syncpoint, as_queue, warning, .. } = put;
        message.descriptor.put_at = self.wall();
        let report = self.make_report(&message, Cause::Arrival).map(Routed::into_message);
        let state = self.sessions.get_mut(session).expect("just seen");
        if syncpoint {
            state.unit.put_not_persistent(NotPersistent { queue, message, producer, warning, report });
            return self.answer(session, token, answer);
        }
        // What is under way may be the first put of this sequence, if its queue's default was another then.
        let behind = state.proposed > 0 || (as_queue && producer.is_some());
        if let Some(put) = &producer {
            self.remember_volatile(put, &message.descriptor, warning);
        }
        let completion = answer;
        if behind && !self.is_idle() {
            let message = Some((queue, message));
            return self.ride(Ride { session, token, message, report, producer, completion });
        }
        self.place_not_persistent(queue, message);
        if let Some((queue, report)) = report {
            self.place_not_persistent(queue, report);
        }
        self.answer(session, token, completion);
    }

    fn put_persistent(
        &mut self,
        session: SessionId,
        token: Token,
        put: LetIn,
        unique: Option<u64>,
        is_of_groups: bool,
    ) {
        let answer = placed(&put.message.descriptor, put.warning);
        let LetIn { queue, mut message, producer, syncpoint, warning: told, .. } = put;
        if syncpoint || message.body.len() > limits::CHUNK_BYTES {
            // Its place in the log comes later than its put, and the time of its put and its expiry begin now.
            message.descriptor.put_at = self.wall();
        }
        let report = self.make_report(&message, Cause::Arrival).map(|routed| routed.into_report(0));
        let of_group = producer.as_ref().filter(|_| is_of_groups && !syncpoint).cloned().map(Box::new);
        let remembers = producer.is_some() && self.state.version() >= Version::RECORDS;
        let warning = remembers.then_some(told);
        let mut place = Place { queue, message, unique, producer, warning, staged: None, report };
        let parts = self.stage_body(&mut place);
        let state = self.sessions.get_mut(session).expect("just seen");
        let then = if syncpoint {
            state.unit.put(place, told);
            self.answer(session, token, answer);
            None
        } else {
            state.proposed += 1;
            let report = place.report.as_ref().map(|report| report.queue);
            let waiting = Waiting::Put { session, token, queue, report, of_group, answer: Box::new(answer) };
            Some((Command::Place(place), waiting))
        };
        match (parts, then) {
            (Some((number, parts)), then) => self.begin_staging(session, number, parts, then),
            (None, Some((command, waiting))) => self.propose(command, waiting),
            (None, None) => {}
        }
    }

    /// A put outside syncpoint was applied.
    pub(super) fn end_put(
        &mut self,
        session: SessionId,
        token: Token,
        answer: Completion,
        verdict: Result<Verdict, Reason>,
    ) {
        let completion = match verdict {
            Ok(Verdict::Duplicate(before)) => {
                self.stats.duplicates_suppressed += 1;
                repeated(before)
            }
            Ok(_) => answer,
            Err(reason) => Completion::failed(reason),
        };
        self.answer(session, token, completion);
    }

    pub(super) fn place_not_persistent(&mut self, queue: QueueId, message: Box<Message>) {
        self.note_left(queue, 1);
        let Some(position) = self.state.place_not_persistent(queue, message) else { return };
        self.note_free(queue, position);
    }

    /// Messages that were let in have arrived, or never will.
    pub(super) fn note_left(&mut self, queue: QueueId, messages: u64) {
        if let Some(leading) = self.standing.leading_mut() {
            leading.note_left(queue, messages);
        }
    }
}

fn placed(descriptor: &Descriptor, warning: Option<Reason>) -> Completion {
    let (message_id, in_group) = (descriptor.message_id, descriptor.in_group());
    warned(warning, Data::Placed { message_id, in_group, duplicate: false, only_id_known: false })
}
