//! A call arrives: who, may they, is there room, what must be proposed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::proposals::{Ride, Waiting};
use super::sessions::{Handle, Session};
use super::units::{Owner, Unit, UnitPut, as_removals};
use super::waiters::Waiter;
use super::{Action, Identity, Replica};
use crate::mqi::{
    Admin, Call, Completion, Data, Get, GetMode, OpenOptions, Put, PutTarget, QueueView, UnitState, Wait,
};
use crate::qmgr::{Command, Place, Seen, command, dead_letter};
use crate::types::{
    Body, DefaultContext, HandleId, Message, MessageId, ObjectName, Persistence, Position, ProducerId,
    QueueId, Reason, SessionId, StagedBodyId, Token, UnitId, WallTime, limits,
};

/// Bytes of staged parts that may be proposed and not applied: enough to keep the disks busy, little enough that a
/// small message never waits for more than this.
const STAGED_BYTES_IN_FLIGHT: usize = 512 << 10;
/// Batches that wait for consensus; more calls are parked until there are fewer.
const BACKLOG_BYTES_MAX: usize = 8 << 20;

/// Bodies and large commands on their way into the log, part by part.
#[derive(Debug, Default)]
pub(super) struct Stagings {
    queue: VecDeque<Staging>,
    next: u64,
    /// Parts that were proposed and are not applied.
    in_flight: usize,
}

#[derive(Debug)]
struct Staging {
    session: SessionId,
    number: StagedBodyId,
    parts: VecDeque<Bytes>,
    /// Proposed behind the last part.
    then: Option<(Command, Waiting)>,
}

impl Stagings {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Callers whose last command was not proposed.
    pub fn drain(&mut self) -> Vec<(SessionId, Token)> {
        self.in_flight = 0;
        let queue = std::mem::take(&mut self.queue);
        queue.into_iter().filter_map(|staging| staging.then?.1.caller()).collect()
    }

    /// Whether parts of this number are still to come.
    pub fn has(&self, number: StagedBodyId) -> bool {
        self.queue.iter().any(|staging| staging.number == number)
    }

    pub fn part_applied(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

impl Replica {
    pub(super) fn on_session_opened(&mut self, session: SessionId, identity: Identity, application: String) {
        self.sessions.by_id.insert(session, Session::new(DefaultContext::new(&identity.user, &application)));
    }

    /// The client is gone: its unit is backed out. What it had proposed goes on; nobody is told.
    pub(super) fn on_session_closed(&mut self, session: SessionId) {
        self.waiters.take_session(session);
        self.parked.remove(&session);
        let Some(closed) = self.sessions.close(session) else { return };
        self.back_out(closed.unit, None);
    }

    pub(super) fn on_call(&mut self, session: SessionId, token: Token, call: Call) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        // A cancel must reach the get it cancels even if that get is parked; a ping asks for nothing.
        if !state.parked.is_empty() && !matches!(call, Call::CancelGet { .. } | Call::Ping) {
            state.parked.push_back((token, call));
            return;
        }
        self.dispatch(session, token, call);
    }

    pub(super) fn retry_parked(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let sessions: Vec<SessionId> = std::mem::take(&mut self.parked).into_iter().collect();
        for session in sessions {
            let Some(state) = self.sessions.get_mut(session) else { continue };
            let mut calls = std::mem::take(&mut state.parked);
            while let Some((token, call)) = calls.pop_front() {
                self.dispatch(session, token, call);
                let Some(state) = self.sessions.get_mut(session) else { break };
                if !state.parked.is_empty() {
                    // It parked itself again: the rest stays behind it.
                    state.parked.append(&mut calls);
                    break;
                }
            }
        }
    }

    fn park(&mut self, session: SessionId, token: Token, call: Call) {
        if let Some(state) = self.sessions.get_mut(session) {
            state.parked.push_back((token, call));
            self.parked.insert(session);
        }
    }

    pub(super) fn dispatch(&mut self, session: SessionId, token: Token, call: Call) {
        if let Call::Admin(Admin::Status) = call {
            let status = self.status();
            return self.answer(session, token, Completion::ok(Data::Status(Box::new(status))));
        }
        if let Call::Admin(Admin::Recover(request)) = call {
            let completion = self.on_recover(request);
            return self.answer(session, token, completion);
        }
        if let Call::Ping = call {
            return self.answer(session, token, Completion::done());
        }
        if !self.is_serving() {
            let leader = self.consensus.leader().filter(|leader| *leader != self.options.node);
            let reason = if leader.is_some() { Reason::StandbyQMgr } else { Reason::QMgrNotAvailable };
            let completion = Completion { data: Data::NotServing { leader }, ..Completion::failed(reason) };
            return self.answer(session, token, completion);
        }
        if self.must_wait(session, &call) {
            return self.park(session, token, call);
        }
        match call {
            Call::Open { handle, queue, options } => self.on_open(session, token, handle, queue, options),
            Call::Close { handle } => self.on_close(session, token, handle),
            Call::Put(put) => self.on_put(session, token, put),
            Call::Get(get) => self.on_get(session, token, get),
            Call::CancelGet { token: of } => self.on_cancel_get(session, token, of),
            Call::Commit { unit } => self.on_commit(session, token, unit),
            Call::Backout => self.on_backout(session, token),
            Call::UnitOutcome { unit } => self.on_unit_outcome(session, token, unit),
            Call::Inquire { handle } => self.on_inquire(session, token, handle),
            Call::Admin(admin) => self.on_admin(session, token, admin),
            Call::Ping => unreachable!("answered above"),
        }
    }

    /// Nothing grows without bound: while the log or the store cannot take more, or the lease is not confirmed, or an
    /// earlier body of the session is still on its way, calls wait in their session.
    fn must_wait(&self, session: SessionId, call: &Call) -> bool {
        // A handover lasts for moments: then the call goes on here, or the session ends and it never happened.
        let moving = |session: &Session| session.staging > 0 || session.loading > 0;
        let held = self.handover.is_some() || self.sessions.get(session).is_some_and(moving);
        match call {
            Call::Put(_) => {
                held || self.proposals.backlog_bytes() > BACKLOG_BYTES_MAX || self.compaction.is_behind()
            }
            Call::Commit { .. } | Call::Backout => held || self.proposals.backlog_bytes() > BACKLOG_BYTES_MAX,
            Call::Get(_) | Call::Inquire { .. } | Call::UnitOutcome { .. } | Call::Admin(_) => {
                held || !self.has_lease()
            }
            Call::Open { .. } | Call::Close { .. } | Call::CancelGet { .. } | Call::Ping => held,
        }
    }

    fn on_open(
        &mut self,
        session: SessionId,
        token: Token,
        handle: HandleId,
        name: ObjectName,
        options: OpenOptions,
    ) {
        let completion = match self.open(session, handle, name, options) {
            Ok(()) => Completion::done(),
            Err(reason) => Completion::failed(reason),
        };
        self.answer(session, token, completion);
    }

    fn open(
        &mut self,
        session: SessionId,
        handle: HandleId,
        name: ObjectName,
        options: OpenOptions,
    ) -> Result<(), Reason> {
        if !(options.input || options.output || options.browse || options.inquire)
            || (options.exclusive && !options.input)
        {
            return Err(Reason::OptionsError);
        }
        let queue = self.state.queue_id(&name).ok_or(Reason::UnknownObjectName)?;
        if self.locked.contains(&queue) {
            return Err(Reason::ObjectInUse);
        }
        let share = self.state.queue(queue).expect("named").definition.share;
        let options = OpenOptions { exclusive: options.input && (options.exclusive || !share), ..options };
        self.sessions.check_open(queue, options, share)?;
        let state = self.sessions.get_mut(session).ok_or(Reason::HconnError)?;
        state.open(handle, Handle { queue, name, options, cursor: None })?;
        self.sessions.note_open(queue, options);
        Ok(())
    }

    fn on_close(&mut self, session: SessionId, token: Token, handle: HandleId) {
        let closed = self.sessions.get_mut(session).and_then(|session| session.handles.remove(&handle));
        let completion = match closed {
            Some(closed) => {
                self.sessions.note_close(&closed);
                Completion::done()
            }
            None => Completion::failed(Reason::HobjError),
        };
        self.answer(session, token, completion);
    }

    // ---- puts -------------------------------------------------------------------------------------------------

    fn on_put(&mut self, session: SessionId, token: Token, put: Put) {
        let (syncpoint, dead_letter) = (put.syncpoint, put.dead_letter);
        if syncpoint && dead_letter {
            return self.answer(session, token, Completion::failed(Reason::OptionsError));
        }
        let (target, name) = match self.put_target(session, &put.to) {
            Ok((queue, name)) => (Ok(queue), name),
            Err((reason, name)) => (Err(reason), name),
        };
        let admitted = target.and_then(|queue| self.admit_put(queue, &put.message).map(|()| queue));
        let (queue, message, dead_lettered) = match admitted {
            Ok(queue) => (queue, put.message, None),
            Err(refused)
                if dead_letter && !matches!(refused.0, Reason::HobjError | Reason::NotOpenForOutput) =>
            {
                match self.dead_letter_target(put.message, &name, refused.0) {
                    Ok((queue, message)) => (queue, message, Some(refused.0)),
                    Err(_) => return self.answer(session, token, refused.completion()),
                }
            }
            Err(refused) => return self.answer(session, token, refused.completion()),
        };
        self.place(session, token, queue, message, put.producer, syncpoint, dead_lettered);
    }

    fn put_target(&self, session: SessionId, to: &PutTarget) -> Result<(QueueId, String), (Refused, String)> {
        match to {
            PutTarget::Handle(handle) => {
                let state =
                    self.sessions.get(session).ok_or((Refused(Reason::HconnError, None), String::new()))?;
                let handle =
                    state.handle(*handle).map_err(|reason| (Refused(reason, None), String::new()))?;
                let name = handle.name.to_string();
                if !handle.options.output {
                    return Err((Refused(Reason::NotOpenForOutput, None), name));
                }
                match self.state.queue(handle.queue) {
                    Some(queue) => Ok((queue.id, name)),
                    None => Err((Refused(Reason::QDeleted, None), name)),
                }
            }
            PutTarget::Queue(name) => match self.state.queue_id(name) {
                Some(queue) if !self.locked.contains(&queue) => Ok((queue, name.to_string())),
                Some(_) => Err((Refused(Reason::ObjectInUse, None), name.to_string())),
                None => Err((Refused(Reason::UnknownObjectName, None), name.to_string())),
            },
        }
    }

    /// Whether one more message has room.
    pub(super) fn admit_put(&self, id: QueueId, message: &Message) -> Result<(), Refused> {
        let queue = self.state.queue(id).ok_or(Refused(Reason::UnknownObjectName, None))?;
        let definition = &queue.definition;
        if !definition.put_enabled {
            return Err(Refused(Reason::PutInhibited, None));
        }
        let length = message.body.len();
        if length > limits::BODY_BYTES_MAX {
            return Err(Refused(Reason::MsgTooBigForQMgr, None));
        }
        if length > definition.body_bytes_max() {
            let detail = format!("the body has {length} bytes, MAXMSGL is {}", definition.maxmsgl);
            return Err(Refused(Reason::MsgTooBigForQ, Some(detail)));
        }
        if let Some(text) = self.lack_of_room() {
            return Err(Refused(Reason::StorageMediumFull, Some(text)));
        }
        let depth = queue.depth() + self.incoming.get(&id).copied().unwrap_or(0);
        if depth >= u64::from(definition.maxdepth) {
            return Err(Refused(Reason::QFull, Some(format!("MAXDEPTH is {}", definition.maxdepth))));
        }
        Ok(())
    }

    pub(super) fn dead_letter_target(
        &self,
        message: Message,
        queue: &str,
        reason: Reason,
    ) -> Result<(QueueId, Message), Refused> {
        let refused = Refused(reason, None);
        let name = self.state.deadq().ok_or(refused)?;
        let target = self.state.queue_id(name).ok_or(Refused(reason, None))?;
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
        mut message: Message,
        producer: Option<(ProducerId, u64)>,
        syncpoint: bool,
        dead_lettered: Option<Reason>,
    ) {
        let definition = &self.state.queue(queue).expect("admitted").definition;
        let descriptor = &mut message.descriptor;
        let as_queue = descriptor.persistence == Persistence::AsQueue;
        descriptor.priority = Some(descriptor.priority.unwrap_or(definition.defprty));
        descriptor.persistence = match descriptor.persistence {
            Persistence::AsQueue if definition.defpsist => Persistence::Persistent,
            Persistence::AsQueue => Persistence::NotPersistent,
            given => given,
        };
        descriptor.backout_count = 0;
        descriptor.put_at = WallTime(0);
        if let Some((producer, sequence)) = &producer {
            if producer.0.is_empty() || producer.0.len() > 64 || *sequence == 0 {
                let detail = "a producer has 1 to 64 bytes and sequences from 1 on";
                return self.answer(session, token, Completion::failed_because(Reason::OptionsError, detail));
            }
            let is_persistent = descriptor.persistence == Persistence::Persistent;
            if self.answer_repeated(session, token, producer, *sequence, is_persistent) {
                return;
            }
            let state = self.sessions.get(session).filter(|_| syncpoint);
            if let Some(message_id) = state.and_then(|state| state.unit.repeated(producer, *sequence)) {
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
        }
        message.descriptor.set_default_context(&state.context);
        let unique = message.descriptor.message_id.is_none().then(|| {
            self.next_unique += 1;
            self.next_unique
        });
        if let Some(unique) = unique {
            message.descriptor.message_id = command::message_id(&self.options.name, unique);
        }
        let message_id = message.descriptor.message_id;
        let placed = Completion::ok(Data::Placed { message_id, duplicate: false });
        self.stats.puts += 1;
        self.stats.put_bytes += message.body.len() as u64;
        if message.descriptor.persistence == Persistence::NotPersistent {
            message.descriptor.put_at = self.now.wall.max(self.state.at());
            let message = Box::new(message);
            *self.incoming.entry(queue).or_default() += 1;
            let state = self.sessions.get_mut(session).expect("just seen");
            if syncpoint {
                state.unit.bytes += message.body.len();
                state.unit.put(UnitPut::NotPersistent { queue, message, producer });
                return self.answer(session, token, placed);
            }
            // What is under way may be the first put of this sequence, if its queue's default was another then.
            let behind = state.proposed > 0 || (as_queue && producer.is_some());
            if let Some((producer, sequence)) = &producer {
                self.volatile_producers.remember(producer, *sequence, message_id);
            }
            let completion = match dead_lettered {
                Some(reason) => Completion::warning(reason, placed.data),
                None => placed,
            };
            if behind && !self.proposals.is_idle() {
                let message = Some((queue, message));
                return self.proposals.ride(Ride { session, token, message, producer, completion });
            }
            self.place_not_persistent(queue, message);
            return self.answer(session, token, completion);
        }
        *self.incoming.entry(queue).or_default() += 1;
        let mut place = Place { queue, message, unique, producer, staged: None };
        let state = self.sessions.get_mut(session).expect("just seen");
        if syncpoint {
            state.unit.bytes += place.message.body.len();
        } else {
            state.proposed += 1;
        }
        let parts = self.stage_body(&mut place);
        let state = self.sessions.get_mut(session).expect("just seen");
        let then = if syncpoint {
            state.unit.put(UnitPut::Persistent(place));
            self.answer(session, token, placed);
            None
        } else {
            Some((Command::Place(place), Waiting::Put { session, token, message_id, dead_lettered }))
        };
        match (parts, then) {
            (Some((number, parts)), then) => self.begin_staging(session, number, parts, then),
            (None, Some((command, waiting))) => self.propose(command, waiting),
            (None, None) => {}
        }
    }

    /// Whether the put was put before, or nobody can tell: then it is answered. The log knows of those that are
    /// persistent; of the others only the leader that they were put on does.
    fn answer_repeated(
        &mut self,
        session: SessionId,
        token: Token,
        producer: &ProducerId,
        sequence: u64,
        is_persistent: bool,
    ) -> bool {
        let logged = self.state.producers().seen(producer, sequence);
        let volatile = self.volatile_producers.seen(producer, sequence);
        let is_new = if is_persistent { logged == Seen::New } else { volatile == Seen::New };
        let (message_id, is_logged) = match (logged, volatile) {
            (Seen::Before(message_id), _) => (message_id, true),
            (_, Seen::Before(message_id)) => (message_id, false),
            _ if is_new => return false,
            _ => {
                let detail = "the sequence is older than the 10,000 that are remembered of a producer; \
                              it cannot be told whether it was put before";
                let completion = Completion::failed_because(Reason::UnexpectedError, detail);
                self.answer(session, token, completion);
                return true;
            }
        };
        self.stats.duplicates_suppressed += 1;
        let completion = Completion::ok(Data::Placed { message_id, duplicate: true });
        if is_logged || self.proposals.is_idle() {
            self.answer(session, token, completion);
        } else {
            let producer = Some((producer.clone(), sequence));
            self.proposals.ride(Ride { session, token, message: None, producer, completion });
        }
        true
    }

    /// The message that the log has of this sequence.
    pub(super) fn logged_before(&self, producer: &ProducerId, sequence: u64) -> Option<MessageId> {
        match self.state.producers().seen(producer, sequence) {
            Seen::Before(message_id) => Some(message_id),
            Seen::New | Seen::Forgotten => None,
        }
    }

    /// A large body leaves its message and goes ahead in parts.
    fn stage_body(&mut self, place: &mut Place) -> Option<(StagedBodyId, VecDeque<Bytes>)> {
        let length = place.message.body.len();
        if length <= limits::CHUNK_BYTES {
            return None;
        }
        let number = self.staged_number();
        let body = std::mem::take(&mut place.message.body);
        place.staged = Some((number, length));
        Some((number, parts_of(&body)))
    }

    /// Unique over all leaders, like message ids.
    fn staged_number(&mut self) -> StagedBodyId {
        self.staging.next += 1;
        StagedBodyId((self.consensus.term().0 << 40) + self.staging.next)
    }

    fn begin_staging(
        &mut self,
        session: SessionId,
        number: StagedBodyId,
        parts: VecDeque<Bytes>,
        then: Option<(Command, Waiting)>,
    ) {
        if let Some(state) = self.sessions.get_mut(session) {
            state.staging += 1;
        }
        self.staging.queue.push_back(Staging { session, number, parts, then });
    }

    /// Proposes the next parts, of one body after the other, never more than a few at once.
    pub(super) fn stage_more(&mut self) {
        while self.staging.in_flight * limits::CHUNK_BYTES < STAGED_BYTES_IN_FLIGHT {
            let Some(staging) = self.staging.queue.front_mut() else { return };
            let (session, number) = (staging.session, staging.number);
            if let Some(data) = staging.parts.pop_front() {
                self.staging.in_flight += 1;
                self.propose(Command::StageBody { number, data }, Waiting::Staged { session, number });
                continue;
            }
            let staging = self.staging.queue.pop_front().expect("just seen");
            if let Some((command, waiting)) = staging.then {
                self.propose(command, waiting);
            }
            match self.sessions.get_mut(session) {
                Some(state) => {
                    state.staging -= 1;
                    self.parked.insert(session);
                }
                None => self.parked.retain(|parked| *parked != session),
            }
        }
    }

    pub(super) fn propose(&mut self, command: Command, waiting: Waiting) {
        let at = self.wall();
        self.stats.commands_proposed += 1;
        self.proposals.add(command, at, waiting);
    }

    /// One unit: the message leaves its queue and arrives on the other.
    pub(super) fn propose_move(&mut self, queue: QueueId, position: Position, to: QueueId, message: Message) {
        if !position.is_persistent() {
            self.reservations.release(queue, position);
            self.state.queue_mut(queue).expect("it is reserved").remove(position);
            return self.place_not_persistent(to, Box::new(message));
        }
        let waiting = Waiting::Move { from: (queue, position), to };
        let place = Place { queue: to, message, unique: None, producer: None, staged: None };
        let size = place.message.weight();
        let removals = vec![crate::qmgr::Removal { queue, positions: vec![position] }];
        let command = Command::CommitUnit { unit: None, places: vec![place], removals };
        if size <= limits::CHUNK_BYTES {
            return self.propose(command, waiting);
        }
        let encoded = command::encode_one(command);
        let number = self.staged_number();
        let staged = Command::Staged { number, length: encoded.len() };
        let parts = parts_of(&Body::from(encoded));
        self.begin_staging(SessionId(0), number, parts, Some((staged, waiting)));
    }

    pub(super) fn place_not_persistent(&mut self, queue: QueueId, message: Box<Message>) {
        self.note_left(queue, 1);
        let Some(contents) = self.state.queue_mut(queue) else { return };
        let position = contents.place_not_persistent(message);
        self.note_free(queue, position);
    }

    /// Messages that were let in have arrived, or never will.
    pub(super) fn note_left(&mut self, queue: QueueId, messages: u64) {
        if let Some(incoming) = self.incoming.get_mut(&queue) {
            *incoming = incoming.saturating_sub(messages);
            if *incoming == 0 {
                self.incoming.remove(&queue);
            }
        }
    }

    // ---- gets -------------------------------------------------------------------------------------------------

    fn on_get(&mut self, session: SessionId, token: Token, get: Get) {
        let queue = match self.check_get(session, &get) {
            Ok(queue) => queue,
            Err(reason) => return self.answer(session, token, Completion::failed(reason)),
        };
        if self.try_get(session, token, queue, &get) {
            return;
        }
        let until = match get.wait {
            Wait::No => return self.answer(session, token, Completion::failed(Reason::NoMsgAvailable)),
            Wait::For(duration) => Some(self.now.instant + duration.min(Duration::from_secs(1 << 31))),
            Wait::Forever => None,
        };
        if matches!(get.mode, GetMode::UnderCursor | GetMode::BrowseUnderCursor) {
            return self.answer(session, token, Completion::failed(Reason::NoMsgUnderCursor));
        }
        self.stats.waits += 1;
        self.waiters.add(Waiter { session, token, queue, get, until });
    }

    fn check_get(&self, session: SessionId, get: &Get) -> Result<QueueId, Reason> {
        let state = self.sessions.get(session).ok_or(Reason::HconnError)?;
        let handle = state.handle(get.handle)?;
        if get.mode.is_browse() && get.syncpoint {
            return Err(Reason::OptionsError);
        }
        if get.mode.is_browse() && !handle.options.browse {
            return Err(Reason::NotOpenForBrowse);
        }
        if !get.mode.is_browse() && !handle.options.input {
            return Err(Reason::NotOpenForInput);
        }
        if get.mode == GetMode::UnderCursor && !handle.options.browse {
            return Err(Reason::NotOpenForBrowse);
        }
        let queue = self.state.queue(handle.queue).ok_or(Reason::QDeleted)?;
        if !queue.definition.get_enabled {
            return Err(Reason::GetInhibited);
        }
        if self.locked.contains(&queue.id) {
            return Err(Reason::ObjectInUse);
        }
        if get.syncpoint && state.unit.messages() >= self.state.maxumsgs() as usize {
            return Err(Reason::SyncpointLimitReached);
        }
        Ok(queue.id)
    }

    /// False when there is no message now. Everything else is answered, now or when the message is loaded or its
    /// removal applied.
    pub(super) fn try_get(&mut self, session: SessionId, token: Token, queue: QueueId, get: &Get) -> bool {
        let now = self.wall();
        let cursor = self.sessions.get(session).and_then(|session| session.handles.get(&get.handle)?.cursor);
        let Some(contents) = self.state.queue_mut(queue) else {
            self.answer(session, token, Completion::failed(Reason::QDeleted));
            return true;
        };
        let reservations = &mut self.reservations;
        let free = |position: &Position| !reservations.is_reserved(queue, *position);
        let found = match get.mode {
            GetMode::Destructive => reservations.first_free(contents, &get.selection, now),
            GetMode::UnderCursor | GetMode::BrowseUnderCursor => cursor
                .filter(|position| contents.slot(*position).is_some_and(|slot| !slot.is_expired(now)))
                .filter(free),
            GetMode::BrowseFirst | GetMode::BrowseNext => {
                let after = cursor.filter(|_| get.mode == GetMode::BrowseNext);
                let shows = |contents: &crate::qmgr::Queue, position: &Position| {
                    contents.slot(*position).is_some_and(|slot| !slot.is_expired(now)) && free(position)
                };
                if get.selection.is_any() {
                    contents
                        .after(after)
                        .find(|(position, slot)| !slot.is_expired(now) && free(position))
                        .map(|(position, _)| position)
                } else {
                    let matching = contents.matching(&get.selection, after);
                    matching.into_iter().find(|position| shows(contents, position))
                }
            }
        };
        let Some(position) = found else { return false };
        let length = contents.slot(position).expect("found").body_length as usize;
        let cut = get.max_length.filter(|max| *max < length);
        if get.mode.is_browse() {
            // MQ moves the cursor even if the message does not fit.
            let handle =
                self.sessions.get_mut(session).and_then(|session| session.handles.get_mut(&get.handle));
            handle.expect("checked").cursor = Some(position);
        }
        if cut.is_some() && !get.accept_truncated {
            let detail = format!("the body has {length} bytes");
            self.answer(session, token, Completion::failed_because(Reason::TruncatedMsgFailed, detail));
            return true;
        }
        if get.mode.is_browse() {
            self.stats.browses += 1;
            self.show(session, token, queue, position, cut, true);
            return true;
        }
        self.stats.gets += 1;
        self.stats.get_bytes += length as u64;
        self.reservations.reserve(queue, position, Owner::Session(session));
        if get.syncpoint {
            self.sessions.get_mut(session).expect("checked").unit.gets.push((queue, position));
            self.show(session, token, queue, position, cut, false);
        } else {
            self.take(session, token, queue, position, cut);
        }
        true
    }

    fn on_cancel_get(&mut self, session: SessionId, token: Token, of: Token) {
        if let Some(waiter) = self.waiters.cancel(session, of) {
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::NoMsgAvailable));
        } else if let Some(state) = self.sessions.get_mut(session) {
            // It may be parked: then it is found without waiting.
            for (token, call) in &mut state.parked {
                if let (true, Call::Get(get)) = (*token == of, call) {
                    get.wait = Wait::No;
                }
            }
        }
        self.answer(session, token, Completion::done());
    }

    // ---- units of work ----------------------------------------------------------------------------------------

    fn on_commit(&mut self, session: SessionId, token: Token, unit_id: Option<UnitId>) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        let unit = std::mem::take(&mut state.unit);
        if unit_id.as_ref().is_some_and(|unit| unit.0.is_empty() || unit.0.len() > 24) {
            state.unit = unit;
            let detail = "the id of a unit of work has 1 to 24 bytes";
            return self.answer(session, token, Completion::failed_because(Reason::OptionsError, detail));
        }
        self.stats.commits += 1;
        let mut puts: BTreeMap<QueueId, u64> = BTreeMap::new();
        let mut places = Vec::new();
        let mut not_persistent = Vec::new();
        for put in unit.puts {
            match put {
                UnitPut::Persistent(place) => {
                    *puts.entry(place.queue).or_default() += 1;
                    places.push(place);
                }
                volatile => not_persistent.push(volatile),
            }
        }
        let (removals, volatile_gets) = as_removals(&unit.gets);
        if places.is_empty() && removals.is_empty() && unit_id.is_none() {
            self.commit_not_persistent(not_persistent, &volatile_gets);
            return self.answer(session, token, Completion::done());
        }
        state.proposed += 1;
        let size: usize = places.iter().map(|place| place.message.weight()).sum::<usize>()
            + removals.iter().map(|removal| removal.positions.len() * 16).sum::<usize>();
        let command = Command::CommitUnit { unit: unit_id, places, removals };
        let waiting = Waiting::Commit { session, token, gets: unit.gets, puts, not_persistent };
        if size <= limits::ENTRY_BYTES_SOFT {
            return self.propose(command, waiting);
        }
        let encoded = command::encode_one(command);
        let number = self.staged_number();
        let staged = Command::Staged { number, length: encoded.len() };
        let parts = parts_of(&Body::from(encoded));
        self.begin_staging(session, number, parts, Some((staged, waiting)));
    }

    /// The part of a unit that is not in the log.
    pub(super) fn commit_not_persistent(&mut self, puts: Vec<UnitPut>, gets: &[(QueueId, Position)]) {
        for (queue, position) in gets {
            self.reservations.release(*queue, *position);
            if let Some(contents) = self.state.queue_mut(*queue) {
                contents.remove(*position);
            }
        }
        for put in puts {
            let UnitPut::NotPersistent { queue, message, producer } = put else { continue };
            if let Some((producer, sequence)) = &producer {
                // It may have been put since, by another unit or by itself.
                let before = self.logged_before(producer, *sequence).is_some()
                    || matches!(self.volatile_producers.seen(producer, *sequence), Seen::Before(_));
                if before {
                    self.note_left(queue, 1);
                    continue;
                }
                self.volatile_producers.remember(producer, *sequence, message.descriptor.message_id);
            }
            self.place_not_persistent(queue, message);
        }
    }

    fn on_backout(&mut self, session: SessionId, token: Token) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        let unit = std::mem::take(&mut state.unit);
        self.stats.backouts += 1;
        self.back_out(unit, Some((session, token)));
    }

    /// Puts vanish; gets go back to their places once their backout counts are in the log.
    fn back_out(&mut self, unit: Unit, answer: Option<(SessionId, Token)>) {
        let staged: Vec<StagedBodyId> = unit
            .puts
            .iter()
            .filter_map(|put| match put {
                UnitPut::Persistent(place) => place.staged.map(|(number, _)| number),
                UnitPut::NotPersistent { .. } => None,
            })
            .collect();
        for put in &unit.puts {
            self.note_left(put.queue(), 1);
        }
        if !self.is_serving() {
            return;
        }
        if !staged.is_empty() {
            self.propose(Command::DropStaged(staged), Waiting::Nobody);
        }
        let (removals, volatile) = as_removals(&unit.gets);
        for (queue, position) in volatile {
            if let Some(slot) = self.state.queue_mut(queue).and_then(|queue| queue.slot_mut(position)) {
                slot.backout_count += 1;
                if let Some(message) = &mut slot.message {
                    message.descriptor.backout_count = slot.backout_count;
                }
            }
            self.free(queue, position);
        }
        if removals.is_empty() {
            if let Some((session, token)) = answer {
                self.answer(session, token, Completion::done());
            }
            return;
        }
        let gets = unit.gets.into_iter().filter(|(_, position)| position.is_persistent()).collect();
        self.propose(Command::Backout(removals), Waiting::Backout { answer, gets });
    }

    fn on_unit_outcome(&mut self, session: SessionId, token: Token, unit: UnitId) {
        if unit.0.is_empty() || unit.0.len() > 24 {
            let detail = "the id of a unit of work has 1 to 24 bytes";
            return self.answer(session, token, Completion::failed_because(Reason::OptionsError, detail));
        }
        match self.state.outcome_of(&unit) {
            Some(committed) => {
                let state = if committed { UnitState::Committed } else { UnitState::BackedOut };
                self.answer(session, token, Completion::ok(Data::Unit(state)));
            }
            // Its commit may be on its way, or still to come over an old connection: the log decides, for good.
            None => self.propose(Command::SealUnit(unit), Waiting::Seal { session, token }),
        }
    }

    // ---- inquiries and administration -------------------------------------------------------------------------

    fn on_inquire(&mut self, session: SessionId, token: Token, handle: HandleId) {
        let view = self.sessions.get(session).ok_or(Reason::HconnError).and_then(|session| {
            let handle = session.handle(handle)?;
            let options = handle.options;
            if !(options.inquire || options.browse || options.input) {
                return Err(Reason::NotOpenForInquire);
            }
            self.queue_view(handle.queue).ok_or(Reason::QDeleted)
        });
        let completion = match view {
            Ok(view) => Completion::ok(Data::Queues(vec![view])),
            Err(reason) => Completion::failed(reason),
        };
        self.answer(session, token, completion);
    }

    pub(super) fn queue_view(&self, id: QueueId) -> Option<QueueView> {
        let queue = self.state.queue(id)?;
        let counts = self.sessions.counts(id);
        let oldest = queue.oldest_put().map_or(0, |at| (self.wall().0 - at.0).max(0));
        Some(QueueView {
            definition: queue.definition.clone(),
            depth: queue.depth(),
            not_persistent: queue.not_persistent(),
            uncommitted: self.reservations.count(id) as u64 + self.incoming.get(&id).copied().unwrap_or(0),
            open_input: counts.input,
            open_output: counts.output,
            oldest_age: Duration::from_millis(oldest as u64),
        })
    }

    fn on_admin(&mut self, session: SessionId, token: Token, admin: Admin) {
        let command = match admin {
            Admin::CreateQueue(definition) => {
                self.check_definition(&definition).map(|()| (Command::CreateQueue(definition), None))
            }
            Admin::AlterQueue { queue, changes } => self.named(&queue).and_then(|id| {
                let mut definition = self.state.queue(id).expect("named").definition.clone();
                changes.apply_to(&mut definition);
                self.check_definition(&definition)?;
                Ok((Command::AlterQueue(definition), None))
            }),
            Admin::DeleteQueue { queue, purge } => self
                .check_delete(&queue, purge)
                .map(|id| (Command::DeleteQueue { name: queue, purge }, Some(id))),
            Admin::ClearQueue { queue } => {
                self.check_clear(&queue).map(|id| (Command::ClearQueue { name: queue }, Some(id)))
            }
            Admin::AlterQueueManager { deadq, maxumsgs } => match (&deadq, maxumsgs) {
                (_, Some(0 | 1_000_000_000..)) => {
                    Err(Refused(Reason::OptionsError, Some("MAXUMSGS is 1 to 999999999".into())))
                }
                _ => Ok((Command::AlterQueueManager { deadq, maxumsgs }, None)),
            },
            Admin::ShowQueues { pattern } => {
                let named =
                    self.state.queues_by_name().filter(|queue| queue.definition.name.matches(&pattern));
                let views = named.filter_map(|queue| self.queue_view(queue.id)).collect();
                return self.answer(session, token, Completion::ok(Data::Queues(views)));
            }
            Admin::Status | Admin::Recover(_) => unreachable!("answered by every replica, see dispatch"),
            Admin::Switch { to } => return self.on_switch(session, token, to),
            Admin::ChangeMembership(request) => return self.on_change_membership(session, token, request),
        };
        match command {
            Ok((command, queue)) => {
                if let Some(queue) = queue {
                    self.locked.insert(queue);
                }
                self.propose(command, Waiting::Admin { session, token, queue });
            }
            Err(refused) => self.answer(session, token, refused.completion()),
        }
    }

    fn named(&self, name: &ObjectName) -> Result<QueueId, Refused> {
        let id = self.state.queue_id(name).ok_or(Refused(Reason::UnknownObjectName, None))?;
        if self.locked.contains(&id) { Err(Refused(Reason::ObjectInUse, None)) } else { Ok(id) }
    }

    fn check_definition(&self, definition: &crate::types::QueueDefinition) -> Result<(), Refused> {
        let wrong = |text: &str| Err(Refused(Reason::OptionsError, Some(text.into())));
        if definition.descr.chars().count() > 64 {
            return wrong("DESCR has at most 64 characters");
        }
        if definition.maxdepth > 999_999_999 {
            return wrong("MAXDEPTH is 0 to 999999999");
        }
        if definition.maxmsgl as usize > limits::BODY_BYTES_MAX {
            return wrong("MAXMSGL is 0 to 104857600");
        }
        if definition.defprty > 9 {
            return wrong("DEFPRTY is 0 to 9");
        }
        if definition.bothresh > 999_999_999 {
            return wrong("BOTHRESH is 0 to 999999999");
        }
        if definition.boqname.as_ref() == Some(&definition.name) {
            return wrong("BOQNAME must be another queue");
        }
        Ok(())
    }

    fn check_delete(&self, name: &ObjectName, purge: bool) -> Result<QueueId, Refused> {
        let id = self.named(name)?;
        let queue = self.state.queue(id).expect("named");
        if self.sessions.counts(id).is_open()
            || self.reservations.count(id) > 0
            || self.incoming.contains_key(&id)
        {
            return Err(Refused(Reason::ObjectInUse, None));
        }
        if queue.depth() > 0 && !purge {
            return Err(Refused(Reason::QNotEmpty, Some(format!("it has {} messages", queue.depth()))));
        }
        Ok(id)
    }

    fn check_clear(&self, name: &ObjectName) -> Result<QueueId, Refused> {
        let id = self.named(name)?;
        if self.sessions.counts(id).input > 0
            || self.reservations.count(id) > 0
            || self.incoming.contains_key(&id)
        {
            return Err(Refused(Reason::ObjectInUse, None));
        }
        Ok(id)
    }

    fn on_switch(&mut self, session: SessionId, token: Token, to: Option<crate::types::NodeId>) {
        if to == Some(self.options.node) {
            return self.answer(session, token, Completion::done());
        }
        let voters = self.consensus.membership();
        if to.is_some_and(|to| !voters.voters.contains(&to)) || voters.voters.len() < 2 {
            let detail = "the node is not a voter of this queue manager, or there is no other";
            return self.answer(session, token, Completion::failed_because(Reason::OptionsError, detail));
        }
        self.begin_handover(to, Some((session, token)));
    }

    pub(super) fn end_waits(&mut self) {
        while let Some(waiter) = self.waiters.take_due(self.now.instant) {
            self.answer(waiter.session, waiter.token, Completion::failed(Reason::NoMsgAvailable));
        }
    }

    /// Messages whose time is over leave, unless a unit holds them.
    pub(super) fn expire(&mut self) {
        if !self.is_serving() || self.now.instant < self.next_expiry_scan {
            return;
        }
        self.next_expiry_scan = self.now.instant + super::EXPIRY_SCAN_INTERVAL;
        let now = self.wall();
        let due: Vec<(QueueId, Vec<Position>)> = self
            .state
            .queues()
            .filter(|queue| queue.next_expiry().is_some_and(|at| at <= now))
            .map(|queue| {
                let free = |position: &Position| !self.reservations.is_reserved(queue.id, *position);
                (queue.id, queue.expired(now).filter(free).take(1000).collect())
            })
            .collect();
        for (queue, positions) in due {
            let (persistent, volatile): (Vec<Position>, Vec<Position>) =
                positions.into_iter().partition(Position::is_persistent);
            for position in volatile {
                self.state.queue_mut(queue).expect("listed").remove(position);
                self.stats.expired += 1;
            }
            if persistent.is_empty() {
                continue;
            }
            for position in &persistent {
                self.reservations.reserve(queue, *position, Owner::Mover);
            }
            let removal = crate::qmgr::Removal { queue, positions: persistent };
            self.propose(Command::Expire(vec![removal]), Waiting::Expire { queue });
        }
    }

    pub(super) fn load_rows(&mut self, request: crate::qmgr::LoadRequest) {
        self.out.push(Action::LoadRows(request));
    }
}

/// Why a call was refused, with more than the reason's own text where more is known.
#[derive(Debug)]
pub(super) struct Refused(pub Reason, pub Option<String>);

impl Refused {
    pub fn completion(self) -> Completion {
        Completion { detail: self.1, ..Completion::failed(self.0) }
    }
}

/// The body in parts of exactly [`limits::CHUNK_BYTES`], the last one shorter. Copies only where a part of the body
/// crosses such a border.
fn parts_of(body: &Body) -> VecDeque<Bytes> {
    let mut parts = VecDeque::with_capacity(body.len().div_ceil(limits::CHUNK_BYTES));
    let mut open = BytesMut::new();
    for part in body.parts() {
        let mut rest = part.clone();
        while !rest.is_empty() {
            let taken = rest.split_to(rest.len().min(limits::CHUNK_BYTES - open.len()));
            if taken.len() == limits::CHUNK_BYTES {
                parts.push_back(taken);
                continue;
            }
            open.extend_from_slice(&taken);
            if open.len() == limits::CHUNK_BYTES {
                parts.push_back(std::mem::take(&mut open).freeze());
            }
        }
    }
    if !open.is_empty() {
        parts.push_back(open.freeze());
    }
    parts
}
