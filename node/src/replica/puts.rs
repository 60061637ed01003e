//! A put: which queue, is there room, was it put before; then into the log, into memory, or into the unit of work.

use super::Replica;
use super::proposals::{Ride, Waiting};
use super::sessions::Handle;
use super::units::UnitPut;
use crate::mqi::{Completion, Data, Put, PutTarget, Refusal};
use crate::qmgr::{
    AliasRules, Command, Place, Seen, Target, Verdict, command, dead_letter, not_persistent_weight,
};
use crate::types::{
    Message, MessageId, ObjectName, Persistence, ProducerSequence, QueueId, Reason, SessionId, Token,
    WallTime, limits,
};

impl Replica {
    pub(super) fn on_put(&mut self, session: SessionId, token: Token, put: Put) {
        self.turn.spend_bytes(put.message.body.len().min(limits::CHUNK_BYTES));
        let (syncpoint, dead_letter) = (put.syncpoint, put.dead_letter);
        let (target, name) = self.put_target(session, &put.to);
        let alias = target.as_ref().ok().and_then(|target| self.alias_rules(target));
        let admitted = target.and_then(|target| match alias {
            Some(alias) if !alias.put_enabled => Err(Reason::PutInhibited.into()),
            _ => self.admit_put(target.queue, &put.message).map(|()| target.queue),
        });
        if admitted.is_err()
            && let Some(producer) = &put.producer
        {
            // What was placed before is answered as then, also if its queue has no room now.
            let is_persistent = put.message.descriptor.persistence != Persistence::NotPersistent;
            if self.answer_repeated(session, token, producer, is_persistent) {
                return;
            }
        }
        let (queue, message, dead_lettered) = match admitted {
            Ok(queue) => (queue, put.message, None),
            Err(refused)
                if dead_letter && !matches!(refused.reason, Reason::HobjError | Reason::NotOpenForOutput) =>
            {
                match self.dead_letter_target(put.message, &name, refused.reason) {
                    Ok((queue, message)) => (queue, message, Some(refused.reason)),
                    Err(_) => return self.answer(session, token, refused.into()),
                }
            }
            Err(refused) => return self.answer(session, token, refused.into()),
        };
        let alias = alias.filter(|_| dead_lettered.is_none());
        self.place(session, token, queue, alias, message, put.producer, syncpoint, dead_lettered);
    }

    /// Where it is to go, and the name by which it was told so.
    fn put_target(&self, session: SessionId, to: &PutTarget) -> (Result<Target, Refusal>, String) {
        match to {
            PutTarget::Handle(id) => {
                let session = self.sessions.get(session).ok_or(Reason::HconnError);
                match session.and_then(|session| session.handle(*id)) {
                    Ok(handle) => (self.behind_handle(handle), handle.name.to_string()),
                    Err(reason) => (Err(reason.into()), String::new()),
                }
            }
            PutTarget::Queue(name) => (self.behind_name(name), name.to_string()),
        }
    }

    fn behind_handle(&self, handle: &Handle) -> Result<Target, Refusal> {
        if !handle.options.output {
            return Err(Reason::NotOpenForOutput.into());
        }
        match self.state.queue(handle.queue) {
            Some(queue) => {
                Ok(Target { queue: queue.id, alias: handle.is_alias.then(|| handle.name.clone()) })
            }
            None => Err(Reason::QDeleted.into()),
        }
    }

    fn behind_name(&self, name: &ObjectName) -> Result<Target, Refusal> {
        let target = self.state.resolve(name)?;
        if self.standing.own().locked.contains(&target.queue) {
            Err(Reason::ObjectInUse.into())
        } else {
            Ok(target)
        }
    }

    pub(super) fn alias_rules(&self, target: &Target) -> Option<AliasRules> {
        self.state.catalog().alias_rules(target.alias.as_ref()?)
    }

    /// Whether one more message has room.
    pub(super) fn admit_put(&mut self, id: QueueId, message: &Message) -> Result<(), Refusal> {
        let queue = self.state.queue(id).ok_or(Reason::UnknownObjectName)?;
        let rules = &queue.rules;
        if !rules.put_enabled {
            return Err(Reason::PutInhibited.into());
        }
        let length = message.body.len();
        if length > rules.body_bytes_max() {
            let detail = format!("the body has {length} bytes, MAXMSGL is {}", rules.maxmsgl);
            return Err(Refusal::because(Reason::MsgTooBigForQ, detail));
        }
        if let Some(text) = self.lack_of_room() {
            return Err(Refusal::because(Reason::StorageMediumFull, text));
        }
        let maxdepth = rules.maxdepth;
        if self.depth_to_be(id) >= u64::from(maxdepth) {
            self.make_room(id);
        }
        if self.depth_to_be(id) >= u64::from(maxdepth) {
            return Err(Refusal::because(Reason::QFull, format!("MAXDEPTH is {maxdepth}")));
        }
        Ok(())
    }

    /// The queue's depth when what is under way has happened.
    fn depth_to_be(&self, queue: QueueId) -> u64 {
        debug_assert!(self.is_serving(), "only whoever serves lets in");
        let (depth, leading) =
            (self.state.queue(queue).map_or(0, |queue| queue.depth()), self.standing.own());
        debug_assert!(leading.leaving.of(queue) <= depth, "what is on its way out is still there");
        depth + leading.incoming(queue) - leading.leaving.of(queue)
    }

    pub(super) fn dead_letter_target(
        &mut self,
        message: Message,
        queue: &str,
        reason: Reason,
    ) -> Result<(QueueId, Message), Refusal> {
        let name = self.state.deadq().ok_or(reason)?;
        let target = self.state.queue_id(name).ok_or(reason)?;
        let message = dead_letter::with_header(message, queue, self.state.name(), reason, self.wall());
        self.admit_put(target, &message)?;
        Ok((target, message))
    }

    #[allow(clippy::too_many_arguments)]
    fn place(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        alias: Option<AliasRules>,
        mut message: Message,
        producer: Option<ProducerSequence>,
        syncpoint: bool,
        dead_lettered: Option<Reason>,
    ) {
        let rules = &self.state.queue(queue).expect("admitted").rules;
        let (defprty, defpsist) =
            alias.map_or((rules.defprty, rules.defpsist), |alias| (alias.defprty, alias.defpsist));
        let descriptor = &mut message.descriptor;
        let as_queue = descriptor.persistence == Persistence::AsQueue;
        descriptor.priority = Some(descriptor.priority.unwrap_or(defprty));
        descriptor.persistence = match descriptor.persistence {
            Persistence::AsQueue if defpsist => Persistence::Persistent,
            Persistence::AsQueue => Persistence::NotPersistent,
            given => given,
        };
        descriptor.backout_count = 0;
        descriptor.put_at = WallTime(0);
        if let Some(put) = &producer {
            let is_persistent = descriptor.persistence == Persistence::Persistent;
            if self.answer_repeated(session, token, put, is_persistent) {
                return;
            }
            let state = self.sessions.get(session).filter(|_| syncpoint);
            if let Some(message_id) = state.and_then(|state| state.unit.repeated(put)) {
                self.stats.duplicates_suppressed += 1;
                let completion = Completion::ok(Data::Placed { message_id, duplicate: true });
                return self.answer(session, token, completion);
            }
        }
        let Some(state) = self.sessions.get_mut(session) else { return };
        if syncpoint {
            if state.unit.messages() >= self.state.maxumsgs() as usize {
                return self.answer(session, token, Completion::failed(Reason::SyncpointLimitReached));
            }
            if state.unit.bytes + message.body.len() > limits::UNIT_BYTES_MAX {
                let detail = "the bodies of a unit of work have at most 128 MiB";
                let completion = Completion::failed_because(Reason::SyncpointLimitReached, detail);
                return self.answer(session, token, completion);
            }
            if !state.unit.hold(&self.options.account, message.body.len()) {
                let detail = "the open units of work take all the memory that this node has for them; commit or back out";
                let completion = Completion::failed_because(Reason::ResourceProblem, detail);
                return self.answer(session, token, completion);
            }
        } else if message.descriptor.persistence == Persistence::NotPersistent
            && !self.volatile.grow(not_persistent_weight(message.body.len()))
        {
            let detail = "the messages that are not persistent take all the memory that this node has for them; get some";
            let completion = Completion::failed_because(Reason::ResourceProblem, detail);
            return self.answer(session, token, completion);
        }
        message.descriptor.set_default_context(&state.context);
        let unique = message.descriptor.message_id.is_none().then(|| {
            let leading = self.standing.own_mut();
            leading.next_unique += 1;
            leading.next_unique
        });
        if let Some(unique) = unique {
            message.descriptor.message_id = command::message_id(&self.options.name, unique);
        }
        let message_id = message.descriptor.message_id;
        let decided = self.state.units_decided();
        self.stats.puts += 1;
        self.stats.put_bytes += message.body.len() as u64;
        if message.descriptor.persistence == Persistence::NotPersistent {
            message.descriptor.put_at = self.wall();
            let message = Box::new(message);
            self.standing.own_mut().let_in(queue);
            let state = self.sessions.get_mut(session).expect("just seen");
            if syncpoint {
                state.unit.bytes += message.body.len();
                state.unit.begin(decided);
                state.unit.put(UnitPut::NotPersistent { queue, message, producer });
                return self.answer(session, token, placed(message_id, None));
            }
            // What is under way may be the first put of this sequence, if its queue's default was another then.
            let behind = state.proposed > 0 || (as_queue && producer.is_some());
            if let Some(put) = &producer {
                self.remember_volatile(put, message_id);
            }
            let completion = placed(message_id, dead_lettered);
            if behind && !self.standing.own().proposals.is_idle() {
                let message = Some((queue, message));
                return self.standing.own_mut().proposals.ride(Ride {
                    session,
                    token,
                    message,
                    producer,
                    completion,
                });
            }
            self.place_not_persistent(queue, message);
            return self.answer(session, token, completion);
        }
        if syncpoint || message.body.len() > limits::CHUNK_BYTES {
            // Its place in the log comes later than its put, and the time of its put and its expiry begin now.
            message.descriptor.put_at = self.wall();
        }
        debug_assert_eq!(
            message.descriptor.persistence,
            Persistence::Persistent,
            "only persistent messages are logged"
        );
        debug_assert!(!message.descriptor.message_id.is_none(), "every message has an id");
        self.standing.own_mut().let_in(queue);
        let mut place = Place { queue, message, unique, producer, staged: None };
        let state = self.sessions.get_mut(session).expect("just seen");
        if syncpoint {
            state.unit.bytes += place.message.body.len();
            state.unit.begin(decided);
        } else {
            state.proposed += 1;
        }
        let parts = self.stage_body(&mut place);
        let state = self.sessions.get_mut(session).expect("just seen");
        let then = if syncpoint {
            state.unit.put(UnitPut::Persistent(place));
            self.answer(session, token, placed(message_id, None));
            None
        } else {
            Some((Command::Place(place), Waiting::Put { session, token, queue, message_id, dead_lettered }))
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
        message_id: MessageId,
        dead_lettered: Option<Reason>,
        verdict: Result<Verdict, Reason>,
    ) {
        let completion = match verdict {
            Ok(Verdict::Duplicate { message_id }) => {
                self.stats.duplicates_suppressed += 1;
                Completion::ok(Data::Placed { message_id, duplicate: true })
            }
            Ok(_) => placed(message_id, dead_lettered),
            Err(reason) => Completion::failed(reason),
        };
        self.answer(session, token, completion);
    }

    /// Whether the put was put before, or nobody can tell: then it is answered. The log knows of those that are
    /// persistent; of the others only the leader that they were put on does.
    fn answer_repeated(
        &mut self,
        session: SessionId,
        token: Token,
        put: &ProducerSequence,
        is_persistent: bool,
    ) -> bool {
        let logged = self.state.seen(put);
        let volatile = self.standing.own().volatile_producers.seen(put, self.state.retention());
        let is_new = if is_persistent { logged == Seen::New } else { volatile == Seen::New };
        let (message_id, is_logged) = match (logged, volatile) {
            (Seen::Before(message_id), _) => (message_id, true),
            (_, Seen::Before(message_id)) => (message_id, false),
            _ if is_new => return false,
            _ => {
                let detail = "nobody can tell whether this sequence was put before: it is older than the 10,000 that are \
                              remembered of a producer, or so many others have put since this producer did that \
                              its sequences were forgotten. It was not put now; look whether the message is there";
                let completion = Completion::failed_because(Reason::UnexpectedError, detail);
                self.answer(session, token, completion);
                return true;
            }
        };
        self.stats.duplicates_suppressed += 1;
        let completion = Completion::ok(Data::Placed { message_id, duplicate: true });
        if is_logged || self.standing.own().proposals.is_idle() {
            self.answer(session, token, completion);
        } else {
            let producer = Some(put.clone());
            self.standing.own_mut().proposals.ride(Ride {
                session,
                token,
                message: None,
                producer,
                completion,
            });
        }
        true
    }

    /// The message that the log has of this sequence.
    pub(super) fn logged_before(&self, put: &ProducerSequence) -> Option<MessageId> {
        match self.state.seen(put) {
            Seen::Before(message_id) => Some(message_id),
            Seen::New | Seen::Forgotten => None,
        }
    }

    pub(super) fn remember_volatile(&mut self, put: &ProducerSequence, message_id: MessageId) {
        let (at, keep) = (self.wall(), self.state.retention());
        self.standing.own_mut().volatile_producers.remember(put, message_id, at, keep);
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

/// `dead_lettered` says why the message is on the dead-letter queue, if it is.
fn placed(message_id: MessageId, dead_lettered: Option<Reason>) -> Completion {
    let data = Data::Placed { message_id, duplicate: false };
    match dead_lettered {
        Some(reason) => Completion::warning(reason, data),
        None => Completion::ok(data),
    }
}
