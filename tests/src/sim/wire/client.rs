//! A client of port 1414 without IO: calls of its program become segments, and segments what became of them.
//!
//! What a client of MQ has no call for (names of producers and units of work) is an error of the harness.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use trimaran_node::mqi::{Call, CloseOption, Completion, Data, Get, ObjectView, Put, PutTarget, QueueView};
use trimaran_node::types::definition::{Definition, ObjectKind, ObjectRef};
use trimaran_node::types::{
    Body, CompletionCode, GroupId, HandleId, InGroup, Message, MessageId, Reason, Token, message_flags,
};
use trimaran_proto::mq::call::{
    Attributes, Body as WireBody, Call as WireCall, Conn, Get as WireGet, Open, Put as WirePut,
};
use trimaran_proto::mq::constants::{application, close, completion};
use trimaran_proto::mq::delivery::{
    AsyncMessage, First, RequestFields, RequestMessages, SYNCHRONOUS, WITH_SELECTION,
};
use trimaran_proto::mq::initial::{self, Initial};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::segment::SEGMENT_BYTES_MAX;
use trimaran_proto::mq::split::{self, Joiner};
use trimaran_proto::mq::wire::{Reader, Writer};
use trimaran_proto::mq::{Flow, Header, Kind, Order, Raw, Segment, Text, flags, types};

use super::structures;
use crate::model::tongue::Manner;

/// Programs on channels come through this one.
pub const CHANNEL: &str = "APP.SVRCONN";
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
    /// Bytes of messages that came for a handle since it was asked for one.
    consumed: BTreeMap<i32, u32>,
    joiner: Joiner,
    /// A message whose segments have not all come, and its request.
    arriving: Option<(u32, First, BytesMut)>,
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
            consumed: BTreeMap::new(),
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
        self.manner == Manner::Requests && matches!(call, Call::Get(_))
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
            Call::Get(get) if self.is_requested(&call) => self.request(number, handle, get),
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

    /// REQUEST_MSGS for one message, which the program waits for.
    fn request(&mut self, number: u32, handle: i32, get: &Get) {
        let fields = RequestFields {
            version: 1,
            handle,
            received_bytes: self.consumed.remove(&handle).unwrap_or(0),
            requested_bytes: 1,
            message_bytes_max: get.max_length.map_or(-1, |most| most as i32),
            options: structures::get_options(get),
            wait_interval: structures::wait_ms(get.wait),
            flags: SYNCHRONOUS | WITH_SELECTION,
            ..RequestFields::default()
        };
        let request = RequestMessages { fields, selection: Some(structures::selection(&get.selection)) };
        let header = self.header(types::REQUEST_MESSAGES, number);
        let body = Flow::RequestMessages(Box::new(request)).body(header.segment, header.order);
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
                types::HEARTBEAT => Some(Completion::done()),
                types::ASYNC_MESSAGE => self.on_message(segment)?,
                types::CALLS.. => self.on_reply(number, segment)?,
                other => return Err(format!("a segment of type {other:#04x} came")),
            };
            if let Some(told) = told {
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

    fn on_message(&mut self, segment: Segment) -> Result<Option<Completion>, String> {
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
        if first.fields.reason != 0 {
            return refused(first.fields.reason, body_length).map(Some);
        }
        *self.consumed.entry(part.handle).or_default() += (Md::BYTES + all.len()) as u32;
        let md = first.md.ok_or("a message without its MQMD")?;
        got(&md, all.freeze(), body_length).map(Some)
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
            let length = told.length as usize;
            return got(&told.md, told.data.slice(..told.data.len().min(length)), length);
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

fn got(md: &Md, body: Bytes, body_length: usize) -> Result<Completion, String> {
    let (descriptor, body) = (structures::descriptor(md)?, Body::from(body));
    let message = Box::new(Message { descriptor, body_crc: body.crc32c(), body });
    Ok(Completion::ok(Data::Got { message, body_length }))
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
    };
    ObjectView { definition, queue: Some(queue) }
}
