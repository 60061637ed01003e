//! Puts and gets of one connection.

use bytes::Bytes;
use trimaran_proto::mq::call::{Body as WireBody, Call as WireCall, Get as WireGet};
use trimaran_proto::mq::constants::{completion, get, object, put, reason};
use trimaran_proto::mq::control::{Notification, notice};
use trimaran_proto::mq::delivery::{Selection as WireSelection, SelectionFields};
use trimaran_proto::mq::segment::{Header, flags, types};
use trimaran_proto::mq::{Flow, Raw, Text};

use super::contexts;
use super::conversation::{Conversation, fail, message_id};
use super::conversion::{Told, Wanted};
use super::convert::{self, Code, Sum};
use super::desk::Desk;
use super::extension;
use super::handles::Object;
use super::objects::{self, what_is_opened};
use super::reading::{AHEAD_MAX, Others, Reading, Request, Step};
use super::unanswered::Waiting;
use crate::mqi::{Call, Completion, Context, Data, Get, GetMode, OpenOptions, Put, PutTarget};
use crate::types::{Body, CompletionCode, HandleId, InGroup, ObjectName, Selection, Token};

/// The value of CONN_STATE that starts a connection; 0 stops it, 3 suspends it.
const STARTED: u32 = 2;
/// A body that is no longer is copied: else it would keep what was read together with it in memory, for as long as it is queued.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// What MQGMO of version 1 matches by.
const MATCH_DEFAULT: u32 = 3;

impl Conversation {
    pub(super) fn on_put(
        &mut self,
        desk: &mut Desk<'_>,
        header: Header,
        mut call: WireCall,
        more: (Vec<Bytes>, Sum),
    ) {
        let is_of_unit = self.is_persistent_in_unit(&call);
        match self.asked_put(desk, &mut call, more) {
            Ok((put, queue)) => {
                self.in_unit |= put.syncpoint;
                let waiting = match is_async(&call) {
                    true => {
                        self.async_puts.begin();
                        Waiting::AsyncPut { queue, is_of_unit }
                    }
                    false => Waiting::Put { header, call, queue },
                };
                self.ask(desk, Call::Put(put), waiting);
            }
            Err(code) if is_async(&call) => {
                let queue = self.objects.name_of(call.handle);
                self.async_puts.spoils_unit |= is_of_unit;
                self.async_puts.note(CompletionCode::Failed, code, queue);
            }
            Err(code) => fail(desk, &header, call, code),
        }
    }

    /// Whether a put is part of the unit of work, of a message that is persistent, as far as is known here.
    fn is_persistent_in_unit(&self, call: &WireCall) -> bool {
        let WireBody::Put(asked) = &call.body else { return false };
        let as_queue = || match self.objects.get(call.handle) {
            Some(Object::Queue { defpsist, .. }) => *defpsist,
            _ => true,
        };
        asked.pmo.options & put::SYNCPOINT != 0
            && (asked.md.persistence == 1 || (asked.md.persistence == 2 && as_queue()))
    }

    fn asked_put(
        &mut self,
        desk: &Desk<'_>,
        call: &mut WireCall,
        (more, sum): (Vec<Bytes>, Sum),
    ) -> Result<(Put, Option<ObjectName>), Code> {
        let handle = call.handle;
        let WireBody::Put(asked) = &mut call.body else { return Err(reason::MD_ERROR) };
        let options = asked.pmo.options;
        let data = std::mem::take(&mut asked.data);
        let (to, queue) = match &asked.od {
            Some(od) => {
                let output = OpenOptions { output: true, ..OpenOptions::default() };
                match what_is_opened(desk, od, output)? {
                    objects::Wanted::Queue(name) => (PutTarget::Queue(name.clone()), Some(name)),
                    objects::Wanted::QueueManager => return Err(reason::OBJECT_TYPE_ERROR),
                }
            }
            None => (PutTarget::Handle(HandleId(handle as u32)), self.objects.name_of(handle)),
        };
        convert::check_put_response(options)?;
        let syncpoint = convert::put_syncpoint(options)?;
        let context = contexts::of_put(options)?;
        contexts::complete(&mut asked.md, context, self.objects.saved(asked.pmo.context))?;
        let data = if data.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(&data) } else { data };
        let body =
            Body::from_parts(std::iter::once(data).chain(more).filter(|part| !part.is_empty()).collect());
        let length = asked.length as usize;
        if body.len() < length {
            return Err(reason::BUFFER_LENGTH_ERROR);
        }
        // Clients fill their last segment up to a multiple of 4.
        let body = body.truncated(length);
        if options & put::NEW_CORREL_ID != 0 {
            self.ids += 1;
            asked.md.correlation_id = Raw(message_id(desk, self.unique, self.ids));
        }
        let extended = extension::taken_off(&asked.md, &body)?;
        let (md, body, sum) = match &extended {
            Some((md, body)) => (md, body.clone(), Sum::default()),
            None => (&asked.md, body, sum),
        };
        let descriptor = convert::descriptor(md, options, context, self.application_type)?;
        let message = Box::new(convert::message(descriptor, body, sum)?);
        let logical_order = options & put::LOGICAL_ORDER != 0;
        let put = Put { to, message, syncpoint, logical_order, producer: None, dead_letter: false, context };
        Ok((put, queue))
    }

    // ---- gets -------------------------------------------------------------------------------------------------

    /// MQGET, as it is on a channel that is not multiplexed.
    pub(super) fn on_get(&mut self, desk: &mut Desk<'_>, header: Header, mut call: WireCall) {
        let WireBody::Get(asked) = &mut call.body else {
            return fail(desk, &header, call, reason::MD_ERROR);
        };
        // A get may wait for long, and would keep all that came with it.
        asked.data = Bytes::new();
        let queue = self.objects.name_of(call.handle);
        match asked_get(call.handle, asked) {
            Ok(get) => {
                self.in_unit |= get.syncpoint || get.syncpoint_if_persistent;
                self.ask(desk, Call::Get(get), Waiting::Get { header, call, queue });
            }
            Err(code) => fail(desk, &header, call, code),
        }
    }

    /// REQUEST_MSGS.
    pub fn on_request(&mut self, desk: &mut Desk<'_>, request: Request) {
        let handle = request.asked.fields.handle;
        self.look_around(handle);
        let step = match self.objects.get_mut(handle) {
            Some(Object::Queue { reading, saved, .. }) => {
                if let (Some(saved), ..=1) = (saved, request.asked.fields.requested_bytes) {
                    saved.keep_last();
                }
                reading.on_request(desk, request, self.callbacks.are_started)
            }
            _ => {
                let value = reason::HOBJ_ERROR as u32;
                let notice = Notification { version: 1, handle, code: notice::STREAMING_FAILURE, value };
                return desk.say(types::NOTIFICATION, request.id, flags::FIRST, &Flow::Notification(notice));
            }
        };
        self.read_on(desk, handle, step);
        self.share_unit(desk);
    }

    /// A unit of work has ended: what was put off until then comes.
    pub(super) fn resume(&mut self, desk: &mut Desk<'_>) {
        for handle in self.objects.all().collect::<Vec<_>>() {
            self.look_around(handle);
            if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) {
                let step = reading.resume(desk);
                self.read_on(desk, handle, step);
            }
        }
        self.share_unit(desk);
    }

    /// What the others of its callbacks have in the unit of work, for a handle that goes on.
    fn look_around(&mut self, handle: i32) {
        let others = self.others_of(handle);
        if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) {
            reading.beside(others);
        }
    }

    fn others_of(&self, handle: i32) -> Others {
        let mut others = Others::None;
        for (_, reading) in self.objects.readings_by_handle().filter(|(other, _)| *other != handle) {
            if reading.is_busy_in_unit() {
                return Others::Busy;
            }
            if reading.is_callback_in_unit() {
                others = Others::Idle;
            }
        }
        others
    }

    /// Something has changed that callbacks of one unit of work may wait for: the next of them has its turn.
    pub(super) fn share_unit(&mut self, desk: &mut Desk<'_>) {
        if self.objects.readings().filter(|reading| reading.is_callback_in_unit()).count() < 2
            && !self.objects.readings().any(Reading::waits_for_turn)
        {
            return;
        }
        let last = self.last_turn;
        let mut handles: Vec<i32> = self.objects.all().collect();
        let after = handles.partition_point(|handle| *handle <= last);
        handles.rotate_left(after);
        for handle in handles {
            let others = self.others_of(handle);
            let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) else { continue };
            let ends = reading.beside(others);
            let has_turn = reading.waits_for_turn() && others != Others::Busy;
            if ends {
                self.cancel_gets(desk, handle);
            }
            if has_turn && let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) {
                self.last_turn = handle;
                let step = reading.take_turn(desk);
                self.read_on(desk, handle, step);
            }
        }
    }

    /// Whether [`Conversation::retry`] has something to do.
    pub fn has_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Whether queues let gets in again, for callbacks that wait for it.
    pub fn retry(&mut self, desk: &mut Desk<'_>) {
        for handle in std::mem::take(&mut self.paused) {
            self.look_around(handle);
            if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) {
                let step = reading.retry(desk);
                self.read_on(desk, handle, step);
            }
        }
    }

    fn read_on(&mut self, desk: &mut Desk<'_>, handle: i32, step: Step) {
        if step.cancels {
            self.cancel_gets(desk, handle);
        }
        if let Some(get) = step.get {
            self.read_with(desk, handle, get, false);
        }
        if let Some(Object::Queue { reading, .. }) = self.objects.get(handle)
            && reading.is_paused()
        {
            self.paused.insert(handle);
        }
        for _ in 0..step.ahead.min(AHEAD_MAX - self.ahead) {
            let Some(Object::Queue { reading, .. }) = self.objects.get(handle) else { return };
            let Some(get) = reading.ahead_get() else { return };
            self.ahead += 1;
            self.read_with(desk, handle, get, true);
        }
    }

    fn read_with(&mut self, desk: &mut Desk<'_>, handle: i32, get: Get, is_ahead: bool) {
        self.in_unit |= get.syncpoint || get.syncpoint_if_persistent;
        let token = self.ask(desk, Call::Get(get), Waiting::Message { handle, is_ahead });
        if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) {
            reading.began(token, is_ahead);
        }
    }

    /// Ends the waits of all gets that read this handle.
    pub(super) fn cancel_gets(&mut self, desk: &mut Desk<'_>, handle: i32) -> Vec<Token> {
        let Some(Object::Queue { reading, .. }) = self.objects.get(handle) else { return Vec::new() };
        let gets: Vec<Token> = reading.gets().collect();
        for token in &gets {
            self.ask(desk, Call::CancelGet { token: *token }, Waiting::Nobody);
        }
        gets
    }

    /// NOTIFICATION of a client; a confirmed one wants its reply.
    pub fn on_notification(
        &mut self,
        desk: &mut Desk<'_>,
        request: u32,
        asked: Notification,
        is_confirmed: bool,
    ) {
        let is_start = asked.code == notice::CONN_STATE && asked.value == STARTED;
        match asked.code {
            notice::CONN_STATE if is_start => self.start_callbacks(desk),
            notice::CONN_STATE => self.stop_callbacks(desk),
            _ => {}
        }
        if !is_confirmed {
            return;
        }
        self.callbacks.stopping = Some((request, asked));
        self.reply_when_ended(desk);
    }

    fn start_callbacks(&mut self, desk: &mut Desk<'_>) {
        self.callbacks.are_started = true;
        let handles: Vec<i32> = self.objects.all().collect();
        for handle in handles {
            self.look_around(handle);
            if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) {
                let step = reading.go_on(desk);
                self.read_on(desk, handle, step);
            }
        }
    }

    fn stop_callbacks(&mut self, desk: &mut Desk<'_>) {
        self.callbacks.are_started = false;
        let handles: Vec<i32> = self.objects.all().collect();
        for handle in handles {
            if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle)
                && reading.hold()
            {
                let gets = self.cancel_gets(desk, handle);
                self.callbacks.ending.extend(gets);
            }
        }
    }

    /// A get has ended that a stop may wait for.
    pub(super) fn note_ended(&mut self, desk: &mut Desk<'_>, token: Token) {
        if self.callbacks.ending.remove(&token) {
            self.reply_when_ended(desk);
        }
    }

    fn reply_when_ended(&mut self, desk: &mut Desk<'_>) {
        if !self.callbacks.ending.is_empty() {
            return;
        }
        let Some((request, asked)) = self.callbacks.stopping.take() else { return };
        let code = match asked.code {
            notice::CONN_STATE => notice::CONN_STATE_REPLY,
            notice::Q_STATE => notice::Q_STATE_REPLY,
            notice::TXN_REVOKE => notice::TXN_REVOKE_REPLY,
            other => other,
        };
        let flow = Flow::Notification(Notification { code, ..asked });
        desk.say(types::NOTIFICATION, request, flags::FIRST, &flow);
    }

    /// The answer to a get that a request started.
    pub(super) fn on_message(
        &mut self,
        desk: &mut Desk<'_>,
        handle: i32,
        token: Token,
        answer: (Completion, Told),
    ) {
        let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) else { return };
        let is_browse = reading.is_browse();
        // It may have been asked before a commit.
        self.in_unit |= matches!(answer.0.data, Data::Got { .. }) && reading.is_in_unit();
        if let Data::Got { message, .. } = &answer.0.data {
            self.objects.note_got(handle, &message.descriptor, is_browse);
        }
        self.look_around(handle);
        let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle) else { return };
        let step = reading.on_completion(desk, token, answer, self.callbacks.are_started);
        let closing = reading.take_closing();
        self.read_on(desk, handle, step);
        if let Some((header, close)) = closing {
            self.close(desk, header, handle, close);
        }
        self.share_unit(desk);
        if !self.objects.readings().any(Reading::is_under_way)
            && let Some(header) = self.disconnecting.take()
        {
            self.end_unit(desk, header);
        }
    }

    /// The answer to a put.
    pub(super) fn on_placed(
        &mut self,
        desk: &mut Desk<'_>,
        header: &Header,
        mut call: WireCall,
        queue: Option<&ObjectName>,
        completion: Completion,
    ) {
        let resolved = Text::new(queue.map_or("", ObjectName::as_str));
        let Data::Placed { message_id, in_group, .. } = completion.data else {
            return fail(desk, header, call, completion.reason.number() as Code);
        };
        (call.completion, call.reason) = (completion.code as i32, completion.reason.number() as Code);
        if let WireBody::Put(asked) = &mut call.body {
            if let Some(od) = &mut asked.od {
                od.fields.known_destinations = 1;
                od.fields.resolved_queue = resolved;
                od.fields.resolved_queue_manager = Text::new(desk.terms.queue_manager.as_str());
                od.fields.resolved_type = object::QUEUE;
            }
            asked.pmo.known_destinations = 1;
            asked.pmo.resolved_queue = resolved;
            asked.pmo.resolved_queue_manager = Text::new(desk.terms.queue_manager.as_str());
            let context = contexts::of_put(asked.pmo.options).unwrap_or_default();
            let md = &mut asked.md;
            md.message_id = Raw(message_id.0);
            if let Some(InGroup { group_id, sequence_number, .. }) = in_group {
                (md.group_id, md.sequence_number) = (Raw(group_id.0), sequence_number as i32);
            }
            if context == Context::Default {
                md.user = Text::new(&self.user);
            }
            if !convert::says_origin(context) {
                (md.put_date, md.put_time) = convert::date_and_time(desk.now);
                md.put_application_type = self.application_type;
                md.put_application = Text::new(&self.application);
            }
        }
        desk.reply(header, call);
    }
}

/// Whether the client goes on without an answer, and would not understand one.
fn is_async(call: &WireCall) -> bool {
    let both = put::ASYNC_RESPONSE | put::SYNC_RESPONSE;
    matches!(&call.body, WireBody::Put(asked) if asked.pmo.options & both == put::ASYNC_RESPONSE)
}

fn asked_get(handle: i32, asked: &WireGet) -> Result<Get, Code> {
    let options = asked.gmo.options;
    let manner = convert::manner(options)?;
    let match_options = if asked.gmo.version >= 2 { asked.gmo.match_options } else { MATCH_DEFAULT };
    let selection = WireSelection {
        fields: SelectionFields {
            match_options,
            sequence_number: asked.md.sequence_number,
            offset: asked.md.offset,
            ..SelectionFields::default()
        },
        message_id: asked.md.message_id,
        correlation_id: asked.md.correlation_id,
        group_id: asked.md.group_id,
        token: asked.gmo.token,
    };
    Ok(Get {
        handle: HandleId(handle as u32),
        syncpoint: manner.syncpoint,
        syncpoint_if_persistent: manner.syncpoint_if_persistent,
        wait: convert::wait(options, asked.gmo.wait_interval)?,
        mode: manner.mode,
        selection: match manner.mode {
            // No message is looked for, whatever the MQMD says.
            GetMode::Unlock => Selection::default(),
            _ => convert::selection(&selection, options)?,
        },
        max_length: Some(asked.length as usize),
        accept_truncated: options & get::ACCEPT_TRUNCATED_MSG != 0,
        extended: asked.md.version < 2,
        lock: manner.lock,
    })
}

/// What an MQGET wants of the text of its message, if it wants it converted.
pub(super) fn wanted_text(asked: &WireGet) -> Option<Wanted> {
    (asked.gmo.options & get::CONVERT != 0).then_some(Wanted {
        ccsid: asked.md.ccsid,
        encoding: asked.md.encoding,
        room: Some(asked.length as usize),
        accepts_truncated: asked.gmo.options & get::ACCEPT_TRUNCATED_MSG != 0,
        is_extended: asked.md.version < 2,
    })
}

/// The answer to an MQGET.
pub(super) fn got(
    desk: &mut Desk<'_>,
    header: &Header,
    mut call: WireCall,
    queue: Option<&ObjectName>,
    (completed, told): (Completion, Told),
) {
    let code = completed.reason.number() as Code;
    let WireBody::Get(asked) = &mut call.body else { return };
    match completed.data {
        Data::Got { message, body_length } => {
            let mut md = convert::md(&message.descriptor, asked.md.version);
            let wanted = wanted_text(asked);
            (call.completion, call.reason) = (completed.code as i32, code);
            if told.code != reason::NONE {
                (call.completion, call.reason) = (completion::WARNING, told.code);
            }
            told.describe(&mut md);
            let statuses = convert::statuses(&message.descriptor);
            let (body, body_length) = extension::put_on(&mut md, message.body, body_length, wanted);
            // One that was accepted may have room for a part of the MQMDE only.
            let body = match asked.length as usize {
                room if room < body.len() => body.truncated(room),
                _ => body,
            };
            asked.length = body_length as u32;
            asked.md = md;
            [asked.gmo.group_status, asked.gmo.segment_status, asked.gmo.segmentation] = statuses;
            asked.gmo.resolved_queue = Text::new(queue.map_or("", ObjectName::as_str));
            asked.gmo.returned_length = body.len() as i32;
            desk.reply_with(header, call, body.parts());
        }
        Data::TooLong { body_length } => {
            // A client waits for as much data as it has room for. What there would be of a message that stays is not loaded.
            let room = body_length.min(asked.length as usize);
            asked.length = body_length as u32;
            (call.completion, call.reason) = (completion::WARNING, code);
            desk.reply_with(header, call, &[Bytes::from(vec![0; room])]);
        }
        // Something was unlocked, or nothing was locked.
        Data::Nothing if completed.code != CompletionCode::Failed => {
            asked.length = 0;
            (call.completion, call.reason) = (completed.code as i32, code);
            desk.reply(header, call);
        }
        _ => fail(desk, header, call, code),
    }
}
