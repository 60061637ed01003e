//! A client of port 1414 without IO: calls of its program become segments, and segments what became of them.
//!
//! What a client of MQ has no call for (names of producers and units of work) is an error of the harness.
//!
//! How messages come that were asked for with REQUEST_MSGS is in `inbox.rs`.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use trimaran_node::mqi::{
    Call, CloseOption, Completion, Data, Get, GetMode, ObjectView, Put, PutTarget, QueueView, Wait,
};
use trimaran_node::types::definition::{Definition, ObjectKind, ObjectRef};
use trimaran_node::types::{
    CompletionCode, GroupId, HandleId, InGroup, MessageId, Reason, Token, message_flags,
};
use trimaran_proto::mq::call::{
    Attributes, Body as WireBody, Call as WireCall, Conn, Get as WireGet, Open, Put as WirePut,
};
use trimaran_proto::mq::constants::{application, close, completion};
use trimaran_proto::mq::control::{Notification, notice};
use trimaran_proto::mq::delivery::{
    AsyncMessage, First, RequestFields, RequestMessages, STARTED, SYNCHRONOUS, WITH_SELECTION,
};
use trimaran_proto::mq::initial::{self, Initial};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::segment::SEGMENT_BYTES_MAX;
use trimaran_proto::mq::split::{self, Joiner};
use trimaran_proto::mq::wire::{Reader, Writer};
use trimaran_proto::mq::{Flow, Header, Kind, Order, Raw, Segment, Text, flags, types};

use super::inbox::{Came, Inbox, ROOM_BYTES};
use super::structures;
use crate::model::tongue::Manner;

/// Programs on channels come through this one.
pub const CHANNEL: &str = "PROGRAMS";
/// The only conversation of a socket whose segments have numbers.
pub const CONVERSATION: u32 = 1;
/// The level of the protocol that is spoken: the newest.
const FAP: u8 = 17;
/// The longest message there is.
const MESSAGE_BYTES_MAX: u32 = 104_857_600;
/// Structures that a reply may have beside its data.
const REPLY_BYTES_MORE: usize = 64 * 1024;
/// MQIA_CURRENT_Q_DEPTH.
const DEPTH: i32 = 3;
/// MQRC_NO_MSG_LOCKED.
const NO_MSG_LOCKED: i32 = 2209;
/// Values of CONN_STATE.
const START: u32 = 2;
const STOP: u32 = 0;
/// Clients agree on less than the most now and then, so that calls go in several segments.
const SEGMENT_BYTES: [u32; 3] = [1_024, 5_000, SEGMENT_BYTES_MAX as u32];

#[derive(Debug)]
pub struct Client {
    manner: Manner,
    segment_bytes: usize,
    out: BytesMut,
    /// What the queue manager calls the handles of the program.
    handles: BTreeMap<HandleId, i32>,
    /// Calls that are not answered, by the number of their request.
    asked: BTreeMap<u32, (Token, Call)>,
    requests: u32,
    /// What came for a handle.
    inboxes: BTreeMap<i32, Inbox>,
    /// A get of a program that is called back.
    called: Option<Called>,
    joiner: Joiner,
    /// A message whose segments have not all come, and its request.
    arriving: Option<(u32, First, BytesMut)>,
}

/// A get whose message a callback is given, while the connection is started.
#[derive(Debug)]
struct Called {
    request: u32,
    handle: i32,
    /// The request by which the connection is to be stopped.
    stopping: Option<u32>,
    /// What became of the get. It is told when the connection is stopped.
    told: Option<Completion>,
}

/// What came, and whose it is.
type Heard = (u32, Segment);

impl Client {
    pub fn new(manner: Manner, session: u64) -> Client {
        let segment_bytes = SEGMENT_BYTES[session as usize % SEGMENT_BYTES.len()] as usize;
        Client {
            manner,
            segment_bytes,
            out: BytesMut::new(),
            handles: BTreeMap::new(),
            asked: BTreeMap::new(),
            requests: 0,
            inboxes: BTreeMap::new(),
            called: None,
            joiner: Joiner::default(),
            arriving: None,
        }
    }

    /// Bytes for the node.
    pub fn take_out(&mut self) -> BytesMut {
        self.out.split()
    }

    /// INITIAL DATA.
    pub fn offer(&mut self) {
        let mut offer = Initial::default();
        let fields = &mut offer.fields;
        fields.fap = FAP;
        fields.capabilities1 = initial::CAN_CONVERT | initial::CAN_SPLIT | initial::MQ_REQUEST;
        fields.segment_bytes_max = self.segment_bytes as u32;
        fields.message_bytes_max = MESSAGE_BYTES_MAX;
        fields.channel = Text::new(CHANNEL);
        fields.conversations = if self.manner == Manner::Alone { 0 } else { 1 };
        let header = Header { kind: Kind::Plain, ..self.header(types::INITIAL, 0) };
        let body = Flow::Initial(Box::new(offer)).body(types::INITIAL, header.order);
        Segment { header, body }.encode(&mut self.out);
    }

    /// MQCONN.
    pub fn connect(&mut self) {
        let mut conn = Conn::default();
        conn.fields.application = Text::new("program");
        conn.fields.application_type = application::UNIX;
        self.put_call(types::CONN, 0, WireBody::Conn(Box::new(conn)), Bytes::new(), 0);
    }

    /// Whether this call may be sent now: programs that wait for a message, or for a handle, have no other call meanwhile.
    pub fn may_send(&self, call: &Call) -> bool {
        let opens = |handle| {
            let mut asked = self.asked.values();
            asked.any(|(_, asked)| matches!(asked, Call::Open { handle: opened, .. } if *opened == handle))
        };
        let waits = self.asked.values().any(|(_, asked)| self.is_requested(asked));
        !waits
            && (self.manner != Manner::Alone || self.asked.is_empty())
            && !handle_of(call).is_some_and(opens)
    }

    /// Whether it is a get whose message comes by itself.
    fn is_requested(&self, call: &Call) -> bool {
        !matches!(self.manner, Manner::Alone | Manner::Shared) && matches!(call, Call::Get(_))
    }

    /// Whether it is about any message of its queue, and takes it at once: others like it may be there before they are asked for.
    fn is_read_ahead(&self, get: &Get) -> bool {
        matches!(self.manner, Manner::Ahead | Manner::Callbacks) && Inbox::is_for(get)
    }

    /// Whether the program waits for something.
    pub fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The program has waited long enough for this get, if it waits for it at all.
    pub fn cancel(&mut self, token: Token) {
        let waits = |called: &&mut Called| called.stopping.is_none();
        let is_its = |request| self.asked.get(&request).is_some_and(|(of, _)| *of == token);
        if let Some(called) = self.called.as_mut().filter(waits)
            && is_its(called.request)
        {
            self.stop();
        }
    }

    /// Sends a call. What became of it, where the client knows that itself.
    pub fn send(&mut self, token: Token, call: Call) -> Result<Option<Completion>, String> {
        let handle = match handle_of(&call).map(|handle| self.handles.get(&handle)) {
            Some(None) => return Ok(Some(Completion::failed(Reason::HobjError))),
            Some(Some(handle)) => *handle,
            None => 0,
        };
        self.requests += 1;
        let number = self.requests;
        match &call {
            Call::Get(get) if self.is_requested(&call) => {
                let inbox = self.inboxes.entry(handle).or_default();
                if Inbox::is_for(get)
                    && let Some(told) = inbox.next(get)
                {
                    return told.map(Some);
                }
                match self.manner {
                    Manner::Callbacks => self.call_back(number, handle, get),
                    _ => self.request(number, handle, get),
                }
            }
            Call::Ping => {
                let header =
                    Header { flags: flags::WHOLE | flags::CONFIRM, ..self.header(types::HEARTBEAT, number) };
                Segment { header, body: Bytes::new() }.encode(&mut self.out);
            }
            other => {
                let (segment, body, data) = structured(other)?;
                self.put_call(segment, handle, body, data, number);
            }
        }
        self.asked.insert(number, (token, call));
        Ok(None)
    }

    fn header(&self, segment: u8, request: u32) -> Header {
        Header {
            kind: match self.manner {
                Manner::Alone => Kind::Plain,
                _ => Kind::Multiplexed { conversation: CONVERSATION, request },
            },
            order: Order::Little,
            segment,
            flags: flags::WHOLE,
            flags2: 0,
            luwid: Raw::default(),
            encoding: 0x222,
            ccsid: 819,
            reserved: 0,
        }
    }

    fn put_call(&mut self, segment: u8, handle: i32, body: WireBody, data: Bytes, number: u32) {
        let header = self.header(segment, number);
        let mut head = Writer::new(header.order);
        WireCall { handle, body, ..WireCall::default() }.write(&mut head, segment);
        split::put_call(&header, &head.out, &[data], self.segment_bytes, &mut self.out);
    }

    /// REQUEST_MSGS for one message, or for more behind it.
    fn request(&mut self, number: u32, handle: i32, get: &Get) {
        let is_ahead = self.is_read_ahead(get);
        let inbox = self.inboxes.entry(handle).or_default();
        let selection = inbox.select(&get.selection, self.manner == Manner::Requests);
        let from = if self.manner == Manner::Callbacks { STARTED } else { SYNCHRONOUS };
        let fields = RequestFields {
            version: 1,
            handle,
            received_bytes: inbox.take_consumed(),
            requested_bytes: if is_ahead { ROOM_BYTES } else { 1 },
            message_bytes_max: get.max_length.map_or(-1, |most| most as i32),
            options: structures::get_options(get),
            wait_interval: structures::wait_ms(get.wait),
            flags: from | if selection.is_some() { WITH_SELECTION } else { 0 },
            ..RequestFields::default()
        };
        let request = RequestMessages { fields, selection };
        let header = self.header(types::REQUEST_MESSAGES, number);
        let body = Flow::RequestMessages(Box::new(request)).body(header.segment, header.order);
        Segment { header, body }.encode(&mut self.out);
    }

    /// MQCB and MQCTL, in this order or the other. Who does not wait stops the connection at once.
    fn call_back(&mut self, number: u32, handle: i32, get: &Get) {
        debug_assert!(self.called.is_none(), "a program has one get at a time");
        let is_started_first = number.is_multiple_of(2);
        if is_started_first {
            self.notify(0, START);
        }
        self.request(number, handle, get);
        if !is_started_first {
            self.notify(0, START);
        }
        self.called = Some(Called { request: number, handle, stopping: None, told: None });
        if get.wait == Wait::No {
            self.stop();
        }
    }

    /// The connection is to be stopped, if it is not to be already.
    fn stop(&mut self) {
        self.requests += 1;
        let number = self.requests;
        if let Some(called) = self.called.as_mut().filter(|called| called.stopping.is_none()) {
            called.stopping = Some(number);
            self.notify(number, STOP);
        }
    }

    /// Nothing is given to a callback of this handle any more when the connection is started again: there is room for nothing.
    fn deregister(&mut self, handle: i32) {
        self.requests += 1;
        let received_bytes = self.inboxes.entry(handle).or_default().take_consumed();
        let fields =
            RequestFields { version: 1, handle, received_bytes, flags: STARTED, ..RequestFields::default() };
        let request = RequestMessages { fields, selection: None };
        let header = self.header(types::REQUEST_MESSAGES, self.requests);
        let body = Flow::RequestMessages(Box::new(request)).body(header.segment, header.order);
        Segment { header, body }.encode(&mut self.out);
    }

    /// CONN_STATE. Who stops waits until nothing is on its way any more.
    fn notify(&mut self, number: u32, value: u32) {
        let confirm = if value == STOP { flags::CONFIRM } else { 0 };
        let header = Header { flags: flags::WHOLE | confirm, ..self.header(types::NOTIFICATION, number) };
        let notification = Notification { version: 1, handle: -1, code: notice::CONN_STATE, value };
        let body = Flow::Notification(notification).body(header.segment, header.order);
        Segment { header, body }.encode(&mut self.out);
    }

    // ---- what comes -------------------------------------------------------------------------------------------

    /// The reply to the offer, or to the connect.
    pub fn hear_one(&mut self, mut bytes: BytesMut) -> Result<Flow, String> {
        let heard = self.take(&mut bytes)?.ok_or("nothing was answered")?;
        Flow::read(&heard.1).map_err(|malformed| malformed.to_string())
    }

    /// What became of which calls.
    pub fn hear(&mut self, mut bytes: BytesMut) -> Result<Vec<(Token, Completion)>, String> {
        let mut answers = Vec::new();
        while let Some((number, segment)) = self.take(&mut bytes)? {
            let told = match segment.header.segment {
                types::HEARTBEAT => Some((number, Completion::done())),
                types::ASYNC_MESSAGE => self.on_message(segment)?,
                types::NOTIFICATION => self.on_notification(number, &segment)?,
                types::CALLS.. => self.on_reply(number, segment)?.map(|told| (number, told)),
                other => return Err(format!("a segment of type {other:#04x} came")),
            };
            if let Some((number, told)) = told {
                let asked = self.asked.remove(&number);
                let (token, _) = asked.ok_or_else(|| format!("request {number} is answered twice"))?;
                answers.push((token, told));
            }
        }
        match bytes.is_empty() {
            true => Ok(answers),
            false => Err(format!("{} bytes are no segment", bytes.len())),
        }
    }

    fn take(&mut self, bytes: &mut BytesMut) -> Result<Option<Heard>, String> {
        let taken = Segment::take(bytes, self.segment_bytes).map_err(|broken| broken.to_string())?;
        let only = self.asked.keys().next().copied().unwrap_or(0);
        Ok(taken.map(|segment| match self.manner {
            Manner::Alone => (only, segment),
            _ => (segment.header.request(), segment),
        }))
    }

    /// What became of which request.
    fn on_message(&mut self, segment: Segment) -> Result<Option<(u32, Completion)>, String> {
        let (number, is_last) = (segment.header.request(), segment.header.flags & flags::LAST != 0);
        let from = &mut Reader::new(segment.body, segment.header.order);
        let AsyncMessage { part, first, data } =
            AsyncMessage::read(from).map_err(|malformed| malformed.to_string())?;
        let (request, first, mut all) = match (first, self.arriving.take()) {
            (Some(first), None) => (number, first, BytesMut::new()),
            (None, Some(arriving)) => arriving,
            _ => return Err("a message goes on that did not begin, or begins twice".into()),
        };
        all.extend_from_slice(&data);
        if request != number {
            return Err(format!("a message for request {request} goes on for {number}"));
        }
        if !is_last {
            self.arriving = Some((request, first, all));
            return Ok(None);
        }
        let body_length = first.fields.message_bytes as usize;
        let get = match self.asked.get(&number) {
            Some((_, Call::Get(get))) => Some(get.clone()),
            _ => None,
        };
        let inbox = self.inboxes.entry(part.handle).or_default();
        let has_one = self.called.as_ref().is_some_and(|called| called.told.is_some());
        let unlocks = get.as_ref().is_some_and(|get| get.mode == GetMode::Unlock);
        let told = if unlocks && matches!(first.fields.reason, 0 | NO_MSG_LOCKED) {
            Some(unlocked(first.fields.reason)?)
        } else if first.fields.reason != 0 {
            inbox.consume_none(first.md.as_ref());
            // Nobody waits for what there is no more of, or for why a callback that has its message is given none.
            get.filter(|_| !has_one).map(|_| refused(first.fields.reason, body_length)).transpose()?
        } else {
            let md = first.md.ok_or("a message without its MQMD")?;
            let came = Came { md, body: all.freeze(), body_length };
            match get {
                Some(get) if !Inbox::is_for(&get) => {
                    inbox.consume(&came);
                    Some(came.got()?)
                }
                Some(get) => {
                    inbox.add(came);
                    if has_one { None } else { inbox.next(&get).transpose()? }
                }
                None if self.manner == Manner::Requests => {
                    return Err(format!("a message came for request {number}, which nobody waits for"));
                }
                None => {
                    inbox.add(came);
                    None
                }
            }
        };
        Ok(told.and_then(|told| self.called_back(number, told)))
    }

    /// A callback keeps what it was given until the connection is stopped. A second message is one that was read ahead.
    fn called_back(&mut self, number: u32, told: Completion) -> Option<(u32, Completion)> {
        let Some(called) = self.called.as_mut().filter(|called| called.request == number) else {
            return Some((number, told));
        };
        debug_assert!(called.told.is_none(), "a get has one answer");
        called.told = Some(told);
        self.stop();
        None
    }

    /// Why no message comes for a request, or that the connection is stopped.
    fn on_notification(
        &mut self,
        number: u32,
        segment: &Segment,
    ) -> Result<Option<(u32, Completion)>, String> {
        let Flow::Notification(said) = Flow::read(segment).map_err(|malformed| malformed.to_string())? else {
            return Err("a notification that is none".into());
        };
        let reason = match said.code {
            notice::CHECK_MSG => Reason::NoMsgAvailable.number() as i32,
            notice::GET_INHIBITED | notice::STREAMING_FAILURE => said.value as i32,
            notice::GET_ALLOWED => return Ok(None),
            _ => return self.on_stopped(number, &said).map(Some),
        };
        let is_asked = matches!(self.asked.get(&number), Some((_, Call::Get(_))));
        let has_one = self.called.as_ref().is_some_and(|called| called.told.is_some());
        if !is_asked || has_one {
            return Ok(None);
        }
        let told = refused(reason, 0)?;
        Ok(self.called_back(number, told))
    }

    /// The connection is stopped: the program goes on with what its callback was given.
    fn on_stopped(&mut self, number: u32, said: &Notification) -> Result<(u32, Completion), String> {
        let is_reply = said.code == notice::CONN_STATE_REPLY && said.value == STOP;
        let called = self.called.take_if(|called| is_reply && called.stopping == Some(number));
        let called = called.ok_or_else(|| format!("{said:?} came for request {number}"))?;
        self.deregister(called.handle);
        let none = || Completion::failed(Reason::NoMsgAvailable);
        Ok((called.request, called.told.unwrap_or_else(none)))
    }

    fn on_reply(&mut self, number: u32, segment: Segment) -> Result<Option<Completion>, String> {
        let bytes_max = MESSAGE_BYTES_MAX as usize + REPLY_BYTES_MORE;
        let joined = self.joiner.add(segment, bytes_max).map_err(|malformed| malformed.to_string())?;
        let Some(whole) = joined.map(split::Joined::whole) else { return Ok(None) };
        let from = &mut Reader::new(whole.body, whole.header.order);
        let reply = WireCall::read(from, whole.header.segment).map_err(|malformed| malformed.to_string())?;
        let Some((_, call)) = self.asked.get(&number) else {
            return Err(format!("request {number} is answered twice"));
        };
        if let Call::Open { handle, .. } = call
            && reply.completion != completion::FAILED
        {
            self.handles.insert(*handle, reply.handle);
        }
        if matches!(call, Call::Get(Get { mode: GetMode::Unlock, .. }))
            && reply.completion != completion::FAILED
        {
            return unlocked(reply.reason).map(Some);
        }
        told(reply).map(Some)
    }
}

/// The handle that a call needs.
fn handle_of(call: &Call) -> Option<HandleId> {
    match call {
        Call::Put(Put { to: PutTarget::Handle(handle), .. })
        | Call::Get(Get { handle, .. })
        | Call::Close { handle, .. }
        | Call::Inquire { handle } => Some(*handle),
        _ => None,
    }
}

/// The type of its segments, its structures, and what lies behind them.
fn structured(call: &Call) -> Result<(u8, WireBody, Bytes), String> {
    let nothing = |segment| Ok((segment, WireBody::Nothing, Bytes::new()));
    match call {
        Call::Open { queue, options, selector: None, .. } => {
            let options = structures::open_options(options);
            let open = Open { od: structures::od(queue), options, ..Open::default() };
            Ok((types::OPEN, WireBody::Open(Box::new(open)), Bytes::new()))
        }
        Call::Close { close: option, .. } => {
            let options = match option {
                CloseOption::Keep => close::NONE,
                CloseOption::Delete => close::DELETE,
                CloseOption::Purge => close::DELETE_PURGE,
            };
            Ok((types::CLOSE, WireBody::Close(options), Bytes::new()))
        }
        Call::Put(put) if put.producer.is_none() && !put.dead_letter => {
            let (segment, od) = match &put.to {
                PutTarget::Handle(_) => (types::PUT, None),
                PutTarget::Queue(queue) => (types::PUT1, Some(structures::od(queue))),
            };
            let data = put.message.body.to_bytes();
            let (md, pmo) = (structures::md(&put.message.descriptor), structures::pmo(put));
            let put = WirePut { od, md, pmo, length: data.len() as u32, data: Bytes::new() };
            Ok((segment, WireBody::Put(Box::new(put)), data))
        }
        Call::Get(get) => {
            let wanted = structures::selection(&get.selection);
            let md = Md {
                version: 2,
                message_id: wanted.message_id,
                correlation_id: wanted.correlation_id,
                group_id: wanted.group_id,
                sequence_number: wanted.fields.sequence_number,
                ..Md::default()
            };
            let length = get.max_length.map_or(MESSAGE_BYTES_MAX, |most| most as u32);
            let get = WireGet { md, gmo: structures::gmo(get), length, data: Bytes::new() };
            Ok((types::GET, WireBody::Get(Box::new(get)), Bytes::new()))
        }
        Call::Inquire { .. } => {
            let asked = Attributes { selectors: vec![DEPTH], integer_count: 1, ..Attributes::default() };
            Ok((types::INQ, WireBody::Attributes(asked), Bytes::new()))
        }
        Call::Commit { unit: None, units_decided: None } => nothing(types::CMIT),
        Call::Backout => nothing(types::BACK),
        other => Err(format!("there is no call of MQ for {other:?}")),
    }
}

/// What a reply says.
fn told(reply: WireCall) -> Result<Completion, String> {
    let (code, reason) = match reply.completion {
        completion::OK => (CompletionCode::Ok, Reason::None),
        completion::WARNING => (CompletionCode::Warning, known(reply.reason)?),
        completion::FAILED => return refused(reply.reason, 0),
        code => return Err(format!("there is no completion code {code}")),
    };
    let data = match reply.body {
        WireBody::Get(got) if reason == Reason::TruncatedMsgFailed => {
            return refused(reply.reason, got.length as usize);
        }
        WireBody::Get(told) => {
            let body_length = told.length as usize;
            let body = told.data.slice(..told.data.len().min(body_length));
            return Came { md: told.md, body, body_length }.got();
        }
        WireBody::Put(put) => Data::Placed {
            message_id: MessageId(put.md.message_id.0),
            in_group: in_group(&put.md),
            duplicate: false,
            only_id_known: false,
        },
        WireBody::Attributes(told) => {
            let depth = told.integers.first().ok_or("an inquiry without its value")?;
            Data::Inquired(Box::new(of_depth(*depth as u64)))
        }
        _ => Data::Nothing,
    };
    Ok(Completion { code, reason, data, detail: None })
}

/// What an MQGMO_UNLOCK is told: that it is so, or was.
fn unlocked(reason: i32) -> Result<Completion, String> {
    Ok(match known(reason)? {
        Reason::None => Completion::done(),
        reason => Completion::warning(reason, Data::Nothing),
    })
}

fn known(reason: i32) -> Result<Reason, String> {
    let found = u32::try_from(reason).ok().and_then(Reason::from_number);
    found.ok_or_else(|| format!("reason {reason}, which nobody knows"))
}

fn refused(reason: i32, body_length: usize) -> Result<Completion, String> {
    let refusal = Completion::failed(known(reason)?);
    Ok(match refusal.reason {
        Reason::TruncatedMsgFailed => Completion { data: Data::TooLong { body_length }, ..refusal },
        _ => refusal,
    })
}

fn in_group(md: &Md) -> Option<InGroup> {
    let is_last = md.message_flags & message_flags::LAST_MSG_IN_GROUP != 0;
    let is_in_one = is_last || md.message_flags & message_flags::MSG_IN_GROUP != 0;
    is_in_one.then_some(InGroup {
        group_id: GroupId(md.group_id.0),
        sequence_number: md.sequence_number as u32,
        is_last,
    })
}

/// All that is asked of a queue.
fn of_depth(depth: u64) -> ObjectView {
    let definition = Definition::new(ObjectRef::new(ObjectKind::LocalQueue, "asked"));
    let queue = QueueView {
        definition: definition.clone(),
        depth,
        not_persistent: 0,
        uncommitted: 0,
        open_input: 0,
        open_output: 0,
        oldest_age: Default::default(),
        activity: Default::default(),
    };
    ObjectView { definition, queue: Some(queue) }
}
