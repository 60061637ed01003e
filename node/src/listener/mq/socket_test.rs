//! Dialogues of whole sockets as text: what the client sends, what it is told, and what the replica is asked.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::call::{Attributes, Body, Call as WireCall, Conn, Get, Open, Put};
use trimaran_proto::mq::constants::{get, object, open, put};
use trimaran_proto::mq::control::{Notification, SocketAction, action, notice};
use trimaran_proto::mq::delivery::{
    RequestFields, RequestMessages, STARTED, SYNCHRONOUS, Selection, WITH_SELECTION,
};
use trimaran_proto::mq::initial::Initial;
use trimaran_proto::mq::message::{Gmo, Md, Mde, Pmo};
use trimaran_proto::mq::object::{Od, OdFields, VariableText};
use trimaran_proto::mq::segment::{Header, Kind, Segment, flags, types};
use trimaran_proto::mq::stat::{Stat, Sts, kind};
use trimaran_proto::mq::wire::Writer;

use trimaran_proto::mq::{Flow, Order, Raw, Text, spi, split};

use super::conversion::{Conversion, Wanted};
use super::desk::Ask;
use super::intake::Unfinished;
use super::reading::AHEAD_MAX;
use super::socket::Socket;
use super::terms::Terms;
use super::unanswered::CALLS_MAX;
use crate::mqi::{Call, ChannelTerms, Completion, Context, Data, ObjectView, Opened, Refusal};
use crate::types::definition::{Definition, ObjectRef};
use crate::types::limits::HANDLES_MAX;
use crate::types::{
    Descriptor, GroupId, Message, MessageId, ObjectName, Persistence, Reason, Token, WallTime, message_flags,
};

/// A client of one socket, and the replica behind it.
struct Dialogue {
    socket: Socket,
    received: BytesMut,
    order: Order,
    kind: Kind,
    asked: Vec<(u32, Token)>,
    conversions: Vec<(u32, Token, Conversion)>,
    /// Of messages that the client was sent, and has not said to have consumed.
    consumed_bytes: u32,
}

impl Dialogue {
    fn new() -> Dialogue {
        let terms = Arc::new(Terms::new(ObjectName::new("QM1").unwrap(), "cluster"));
        Dialogue {
            socket: Socket::new(terms, 7, [0; 12], None),
            received: BytesMut::new(),
            order: Order::Big,
            kind: Kind::Plain,
            asked: Vec::new(),
            conversions: Vec::new(),
            consumed_bytes: 0,
        }
    }

    /// A client that has agreed on the channel and has a connection.
    fn connected() -> Dialogue {
        let mut dialogue = Dialogue::new();
        dialogue.agree();
        dialogue.connect();
        dialogue
    }

    fn agree(&mut self) {
        assert_eq!(self.send(types::INITIAL, &Flow::Initial(Box::new(offer()))), Vec::<String>::new());
        assert_eq!(self.asks(), ["Instance of SYSTEM.DEF.SVRCONN"]);
        self.socket.on_channel(Ok(channel()));
        assert_eq!(self.told(), ["INITIAL flags 0x02"]);
        (self.order, self.kind) = (Order::Little, Kind::Multiplexed { conversation: 1, request: 0 });
    }

    fn connect(&mut self) {
        let conn = Conn::default();
        assert_eq!(self.call(types::CONN, 0, Body::Conn(Box::new(conn))), Vec::<String>::new());
        assert_eq!(self.asks(), ["Connect"]);
        self.socket.on_connected(1, Ok(9), WallTime(0));
        assert_eq!(self.told(), ["[1] 0x91 0 handle 0"]);
    }

    fn header(&self, segment: u8) -> Header {
        Header {
            kind: self.kind,
            order: self.order,
            segment,
            flags: flags::WHOLE,
            flags2: 0,
            luwid: Raw::default(),
            encoding: 273,
            ccsid: 819,
            reserved: 0,
        }
    }

    fn send(&mut self, segment: u8, flow: &Flow) -> Vec<String> {
        let header = self.header(segment);
        let body = flow.body(segment, header.order);
        Segment { header, body }.encode(&mut self.received);
        self.hand_over()
    }

    fn call(&mut self, segment: u8, handle: i32, body: Body) -> Vec<String> {
        self.send(segment, &Flow::Call(WireCall { handle, body, ..WireCall::default() }))
    }

    fn hand_over(&mut self) -> Vec<String> {
        while self.socket.on_bytes(&mut self.received, WallTime(0)) && !self.socket.is_full() {}
        self.told()
    }

    /// What the client is told since the last time.
    fn told(&mut self) -> Vec<String> {
        let mut out = self.socket.take_out();
        let mut told = Vec::new();
        while let Some(segment) = Segment::take(&mut out, 32_748).unwrap() {
            self.consumed_bytes += message_bytes(&segment);
            told.push(shown(&segment));
        }
        told
    }

    /// What the replica is asked since the last time.
    fn asks(&mut self) -> Vec<String> {
        let asks = self.socket.take_asks();
        let shown = asks.iter().map(|(_, ask)| match ask {
            Ask::Instance(channel) => format!("Instance of {channel}"),
            Ask::Connect(_) => "Connect".to_string(),
            Ask::Disconnect => "Disconnect".to_string(),
            Ask::Translate => "Translate".to_string(),
            Ask::EndWaits(unique) => format!("EndWaits of {unique}"),
            Ask::Convert(_, conversion) => format!("Convert {} bytes", conversion.bytes()),
            Ask::Call(_, call) => match call {
                Call::Open { queue, selector: Some(selector), .. } => {
                    format!("Open {queue}, {}", selector.text())
                }
                Call::Open { queue, .. } => format!("Open {queue}"),
                Call::Put(put) => {
                    format!("Put {} bytes, syncpoint {}", put.message.body.len(), put.syncpoint)
                }
                Call::Get(get) => format!("Get {:?} {:?}", get.mode, get.wait),
                other => format!("{other:?}").split_whitespace().next().unwrap_or_default().to_string(),
            },
        });
        let shown = shown.collect();
        for (id, ask) in asks {
            match ask {
                Ask::Call(token, _) => self.asked.push((id, token)),
                Ask::Convert(token, conversion) => self.conversions.push((id, token, conversion)),
                _ => {}
            }
        }
        shown
    }

    /// Answers the oldest call that is not answered.
    fn answer(&mut self, completion: Completion) -> Vec<String> {
        let (id, token) = self.asked.remove(0);
        self.socket.on_completion(id, token, completion, WallTime(0));
        self.told()
    }

    fn open(&mut self, name: &str, options: u32) {
        self.open_as(name, options, 2);
    }

    fn open_as(&mut self, name: &str, options: u32, handle: i32) {
        let fields = OdFields {
            version: 1,
            object_type: object::QUEUE,
            object: Text::new(name),
            ..OdFields::default()
        };
        let wanted = Open { od: Od::new(fields), options, ..Open::default() };
        self.call(types::OPEN, 0, Body::Open(Box::new(wanted)));
        assert_eq!(self.asks(), [format!("Open {name}")]);
        let resolved = ObjectName::new(name).unwrap();
        let opened = Opened { made: None, resolved, defpsist: true, read_ahead: 0, put_response: 1 };
        let told = self.answer(Completion::ok(Data::Opened(opened)));
        assert!(told[0].ends_with(&format!("0x93 0 handle {handle}")), "{told:?}");
    }

    fn open_manager(&mut self) -> Vec<String> {
        assert!(self.call(types::OPEN, 0, open_queue_manager()).is_empty());
        assert_eq!(self.asks(), ["OpenManager"]);
        self.answer(Completion::done())
    }

    fn request(&mut self, options: u32, wait_interval: i32, requested_bytes: u32) -> Vec<String> {
        let fields = RequestFields {
            version: 1,
            handle: 2,
            received_bytes: std::mem::take(&mut self.consumed_bytes),
            options,
            wait_interval,
            requested_bytes,
            message_bytes_max: -1,
            flags: SYNCHRONOUS,
            ..RequestFields::default()
        };
        self.send_request(fields)
    }

    /// The client's wait is over: is there nothing?
    fn request_confirmed(&mut self, options: u32) -> Vec<String> {
        let (version, handle, requested_bytes) = (1, 2, 1);
        let fields = RequestFields {
            version,
            handle,
            requested_bytes,
            options,
            message_bytes_max: -1,
            flags: SYNCHRONOUS,
            ..RequestFields::default()
        };
        let request = RequestMessages { fields, selection: None };
        self.send_confirmed(types::REQUEST_MESSAGES, &Flow::RequestMessages(Box::new(request)))
    }

    fn send_confirmed(&mut self, segment: u8, flow: &Flow) -> Vec<String> {
        let mut header = self.header(segment);
        header.flags |= flags::CONFIRM;
        let body = flow.body(segment, header.order);
        Segment { header, body }.encode(&mut self.received);
        self.hand_over()
    }

    /// A request for a program that is called when there is a message.
    fn request_for_callback(&mut self, flags: u32) -> Vec<String> {
        let received_bytes = std::mem::take(&mut self.consumed_bytes);
        self.request_one_for_callback(flags, 0, received_bytes)
    }

    fn request_one_for_callback(&mut self, flags: u32, options: u32, received_bytes: u32) -> Vec<String> {
        self.send_request(RequestFields {
            version: 1,
            handle: 2,
            received_bytes,
            requested_bytes: 1,
            options,
            flags,
            ..RequestFields::default()
        })
    }

    fn send_request(&mut self, fields: RequestFields) -> Vec<String> {
        let request = RequestMessages { fields, selection: None };
        self.send(types::REQUEST_MESSAGES, &Flow::RequestMessages(Box::new(request)))
    }

    /// Callbacks of the connection are started or stopped (MQCTL); the latter wants a reply.
    fn control(&mut self, value: u32) -> Vec<String> {
        let notification = Notification { version: 1, handle: -1, code: notice::CONN_STATE, value };
        match value {
            0 => self.send_confirmed(types::NOTIFICATION, &Flow::Notification(notification)),
            _ => self.send(types::NOTIFICATION, &Flow::Notification(notification)),
        }
    }
}

/// What a channel says that was defined without attributes.
fn channel() -> ChannelTerms {
    ChannelTerms { message_bytes_max: 4_194_304, heartbeat_seconds: 300, conversations: 10, user: None }
}

fn offer() -> Initial {
    let mut offer = Initial::default();
    let fields = &mut offer.fields;
    (fields.fap, fields.capabilities1, fields.capabilities2, fields.capabilities3) = (17, 0x26, 0x51, 0x28);
    (fields.segment_bytes_max, fields.message_bytes_max) = (32_748, 1 << 20);
    (fields.heartbeat, fields.conversations) = (300, 10);
    fields.channel = Text::new("SYSTEM.DEF.SVRCONN");
    offer
}

fn shown(segment: &Segment) -> String {
    let conversation = segment.header.conversation().map_or(String::new(), |id| format!("[{id}] "));
    let what = match Flow::read(segment).unwrap() {
        Flow::Initial(_) => format!("INITIAL flags {:#04x}", segment.header.flags),
        Flow::Status(status) => format!("STATUS {:?}", status.map(|status| status.code)),
        Flow::SocketAction(action) => format!("SOCKET_ACTION {} {}", action.conversation, action.action),
        Flow::AsyncMessage(message) => {
            let reason = message.first.map_or(0, |first| first.fields.reason);
            format!("ASYNC_MESSAGE {} reason {reason} {:?}", message.part.index, message.data)
        }
        Flow::Notification(Notification { code: notice::STREAMING_FAILURE, value, .. }) => {
            format!("NOTIFICATION {} of {value}", notice::STREAMING_FAILURE)
        }
        Flow::Notification(notice) => format!("NOTIFICATION {}", notice.code),
        Flow::Call(WireCall { body: Body::Stat(stat), reason, .. }) => {
            let Sts { put_successes, put_warnings, put_failures, completion, reason: why, object, .. } =
                stat.sts;
            let counts = format!("{put_successes} {put_warnings} {put_failures}, {completion} {why}");
            format!("{:#04x} {reason} {counts} {}", segment.header.segment, object.text())
        }
        Flow::Call(call) => {
            format!("{:#04x} {} handle {}", segment.header.segment, call.reason, call.handle)
        }
        other => format!("{other:?}"),
    };
    conversation + &what
}

/// What a client counts of a segment, if it is one of a message.
fn message_bytes(segment: &Segment) -> u32 {
    let Flow::AsyncMessage(message) = Flow::read(segment).unwrap() else { return 0 };
    let md = match message.first.and_then(|first| first.md) {
        Some(md) if md.version < 2 => Md::BYTES_1,
        Some(_) => Md::BYTES,
        None => 0,
    };
    if message.data.is_empty() { 0 } else { (md + message.data.len()) as u32 }
}

fn put_call(data: &[u8], options: u32) -> Body {
    let md = Md { version: 1, message_type: 8, expiry: -1, priority: -1, persistence: 2, ..Md::default() };
    let pmo = Pmo { version: 1, options, ..Pmo::default() };
    let (length, data) = (data.len() as u32, Bytes::copy_from_slice(data));
    Body::Put(Box::new(Put { od: None, md, pmo, length, data }))
}

fn got(body: &'static str) -> Completion {
    let message = Message { descriptor: Descriptor::default(), body: Bytes::from(body).into(), body_crc: 0 };
    Completion::ok(Data::Got { body_length: body.len(), message: Box::new(message) })
}

/// A message that is of this user and program.
fn got_of(user: &str, application: &str) -> Completion {
    let said = wire::Descriptor {
        user_identifier: user.to_string(),
        put_application_name: application.to_string(),
        ..wire::Descriptor::default()
    };
    let put_at = WallTime(1_735_734_896_789);
    let descriptor = Descriptor { put_at, ..Descriptor::from_wire(said).unwrap() };
    let message = Message { descriptor, body: Bytes::from_static(b"hello").into(), body_crc: 0 };
    Completion::ok(Data::Got { body_length: 5, message: Box::new(message) })
}

fn none() -> Completion {
    Completion::failed(Reason::NoMsgAvailable)
}

#[test]
fn a_client_agrees_connects_puts_commits_and_goes() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    assert!(dialogue.call(types::PUT, 2, put_call(b"hello", put::SYNCPOINT)).is_empty());
    assert_eq!(dialogue.asks(), ["Put 5 bytes, syncpoint true"]);
    let message_id = MessageId([7; 24]);
    let placed =
        Completion::ok(Data::Placed { message_id, in_group: None, duplicate: false, only_id_known: false });
    assert_eq!(dialogue.answer(placed), ["[1] 0x96 0 handle 2"]);
    // The normal end commits.
    assert!(dialogue.call(types::DISC, 0, Body::Nothing).is_empty());
    assert_eq!(dialogue.asks(), ["Commit"]);
    assert_eq!(dialogue.answer(Completion::done()), ["[1] 0x92 0 handle 0"]);
    assert_eq!(dialogue.asks(), ["Disconnect"]);
}

#[test]
fn what_became_of_puts_that_nobody_waited_for_is_told_when_it_is_known() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    for _ in 0..3 {
        assert!(dialogue.call(types::PUT, 2, put_call(b"hello", put::ASYNC_RESPONSE)).is_empty());
    }
    assert_eq!(dialogue.asks().len(), 3);
    let stat = |kind| {
        Body::Stat(Box::new(Stat { kind, sts: Sts { version: 1, ..Sts::default() }, ..Stat::default() }))
    };
    assert!(dialogue.call(types::STAT, 0, stat(kind::ASYNC_ERROR)).is_empty(), "the puts are under way");
    let placed = || Data::Placed {
        message_id: MessageId([7; 24]),
        in_group: None,
        duplicate: false,
        only_id_known: false,
    };
    assert!(dialogue.answer(Completion::ok(placed())).is_empty());
    assert!(dialogue.answer(Completion::failed(Reason::QFull)).is_empty());
    let told = dialogue.answer(Completion::warning(Reason::PriorityExceedsMax, placed()));
    assert_eq!(told, ["[1] 0x9d 0 1 1 1, 2 2053 ORDERS"]);
    let again = dialogue.call(types::STAT, 0, stat(kind::ASYNC_ERROR));
    assert_eq!(again, ["[1] 0x9d 0 0 0 0, 0 0 "], "it is told once");
    assert_eq!(dialogue.call(types::STAT, 0, stat(kind::RECONNECTION)), ["[1] 0x9d 2012 0 0 0, 0 0 "]);
    assert_eq!(dialogue.call(types::STAT, 0, stat(9)), ["[1] 0x9d 2430 0 0 0, 0 0 "]);
}

/// IBM's client waits for the answer.
#[test]
fn a_put_that_is_to_be_answered_and_not_to_be_answered_is_refused() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    let both = put::ASYNC_RESPONSE | put::SYNC_RESPONSE;
    assert_eq!(dialogue.call(types::PUT, 2, put_call(b"hello", both)), ["[1] 0x96 2046 handle 2"]);
    assert!(dialogue.call(types::PUT, 2, put_call(b"hello", put::SYNC_RESPONSE)).is_empty());
    dialogue.asks();
    assert_eq!(dialogue.answer(placed()), ["[1] 0x96 0 handle 2"]);
}

fn placed() -> Completion {
    let message_id = MessageId([7; 24]);
    Completion::ok(Data::Placed { message_id, in_group: None, duplicate: false, only_id_known: false })
}

/// A put of a message with this persistence that nobody waits for, in the unit of work.
fn asynchronous(persistence: i32) -> Body {
    let Body::Put(mut put) = put_call(b"hello", put::SYNCPOINT | put::ASYNC_RESPONSE) else {
        panic!("a put is one")
    };
    put.md.persistence = persistence;
    Body::Put(put)
}

#[test]
fn a_unit_of_which_a_persistent_message_could_not_be_put_is_not_committed() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    for persistence in [1, 2, 0] {
        // The queue's default is persistent.
        assert!(dialogue.call(types::PUT, 2, asynchronous(persistence)).is_empty());
        assert!(dialogue.call(types::PUT, 2, asynchronous(persistence)).is_empty());
        assert!(dialogue.call(types::CMIT, 0, Body::Nothing).is_empty());
        let puts = ["Put 5 bytes, syncpoint true"; 2];
        assert_eq!(dialogue.asks(), puts, "what became of the puts is known before");
        assert!(dialogue.answer(Completion::failed(Reason::QFull)).is_empty());
        assert!(dialogue.answer(placed()).is_empty());
        let (asked, told) = match persistence {
            0 => ("Commit", "[1] 0x9a 0 handle 0"),
            _ => ("Backout", "[1] 0x9a 2003 handle 0"),
        };
        assert_eq!(dialogue.asks(), [asked]);
        assert_eq!(dialogue.answer(Completion::done()), [told]);
    }
    // The next one is whole.
    assert!(dialogue.call(types::PUT, 2, asynchronous(1)).is_empty());
    dialogue.asks();
    dialogue.answer(placed());
    dialogue.call(types::CMIT, 0, Body::Nothing);
    assert_eq!(dialogue.asks(), ["Commit"]);
}

#[test]
fn the_end_of_a_connection_backs_out_what_cannot_be_committed() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    dialogue.call(types::PUT, 2, asynchronous(1));
    dialogue.call(types::DISC, 0, Body::Nothing);
    assert_eq!(dialogue.asks(), ["Put 5 bytes, syncpoint true"]);
    dialogue.answer(Completion::failed(Reason::QFull));
    assert_eq!(dialogue.asks(), ["Backout"]);
    assert_eq!(dialogue.answer(Completion::done()), ["[1] 0x92 2003 handle 0"]);
    assert_eq!(dialogue.asks(), ["Disconnect"]);
}

/// A put that says so of its context, with that of a handle.
fn with_context(options: u32, context: i32) -> Body {
    let Body::Put(mut put) = put_call(b"hello", options) else { panic!("a put is one") };
    put.pmo.context = context;
    put.md.user = Text::new("me");
    Body::Put(put)
}

#[test]
fn the_context_of_a_message_that_was_got_is_passed_on() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("IN", open::INPUT_SHARED | open::SAVE_ALL_CONTEXT);
    dialogue.open_as("OUT", open::OUTPUT | open::PASS_ALL_CONTEXT, 4);
    let refused = |dialogue: &mut Dialogue, options, context| {
        let told = dialogue.call(types::PUT, 4, with_context(options, context));
        assert!(dialogue.asks().is_empty());
        told
    };
    assert_eq!(refused(&mut dialogue, put::PASS_ALL_CONTEXT, 2), ["[1] 0x96 2098 handle 4"]);
    assert_eq!(refused(&mut dialogue, put::PASS_ALL_CONTEXT, 4), ["[1] 0x96 2097 handle 4"]);
    assert_eq!(refused(&mut dialogue, put::PASS_ALL_CONTEXT, 6), ["[1] 0x96 2097 handle 4"]);
    let two = put::NO_CONTEXT | put::SET_ALL_CONTEXT;
    assert_eq!(refused(&mut dialogue, two, 0), ["[1] 0x96 2046 handle 4"]);
    dialogue.request(0, 0, 1);
    dialogue.asks();
    dialogue.answer(got_of("joe", "orders"));
    dialogue.asks();
    let put = |dialogue: &mut Dialogue, options| {
        assert!(dialogue.call(types::PUT, 4, with_context(options, 2)).is_empty());
        let asks = dialogue.socket.take_asks();
        let [(_, Ask::Call(_, Call::Put(asked)))] = &asks[..] else { panic!("{asks:?}") };
        let rest = asked.message.descriptor.rest();
        let date = rest.put_date_and_time.clone();
        (asked.context, rest.user_identifier, rest.put_application_name, date)
    };
    let said = |user: &str, application: &str, date: Option<&str>| {
        (user.to_string(), application.to_string(), date.map(str::to_string))
    };
    let mut of = |options| {
        let (context, user, application, date) = put(&mut dialogue, options);
        (context, (user, application, date))
    };
    let all = said("joe", "orders", Some("2025010112345678"));
    assert_eq!(of(put::PASS_ALL_CONTEXT), (Context::PassAll, all));
    assert_eq!(of(put::PASS_IDENTITY_CONTEXT), (Context::PassIdentity, said("joe", "", None)));
    assert_eq!(of(put::NO_CONTEXT), (Context::Blank, said("", "", Some(""))));
    assert_eq!(of(put::SET_ALL_CONTEXT), (Context::All, said("me", "", Some(""))));
    assert_eq!(of(0), (Context::Default, said("", "", None)));
}

#[test]
fn a_get_that_waits_ends_when_another_thread_of_its_program_says_so() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, -1, 1);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    let told = dialogue.call(types::SPI, 0, notify(9));
    assert_eq!(told, ["[1] 0x9c 0 handle 0"]);
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 14 of 2107"], "not one that is over");
    // Of another connection it is somebody else's.
    assert_eq!(dialogue.call(types::SPI, 0, notify(10)), ["[1] 0x9c 0 handle 0"]);
    assert_eq!(dialogue.asks(), ["EndWaits of 10"]);
    dialogue.answer(Completion::done());
    dialogue.request_for_callback(0x01);
    dialogue.control(2);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    dialogue.call(types::SPI, 0, notify(9));
    assert!(dialogue.asks().is_empty(), "a callback is no wait");
}

/// Ends the waits of the connection of this number.
fn notify(unique: u64) -> Body {
    let mut connection_id = *b"AMQCQM1                 ";
    connection_id[16..].copy_from_slice(&unique.to_be_bytes());
    let wanted = spi::NotifyRequest { options: 1, reason: 2107, connection_id: Raw(connection_id) };
    let envelope = spi::Envelope { verb: spi::verb::NOTIFY, version: 1, length_hint: 12 };
    Body::Spi(Box::new(spi::Spi { envelope, body: spi::Body::NotifyRequest(wanted) }))
}

#[test]
fn an_unknown_channel_is_told_so_before_anything_else() {
    let mut dialogue = Dialogue::new();
    let mut unknown = offer();
    unknown.fields.channel = Text::new("NO.SUCH.CHANNEL");
    dialogue.send(types::INITIAL, &Flow::Initial(Box::new(unknown)));
    assert_eq!(dialogue.asks(), ["Instance of NO.SUCH.CHANNEL"]);
    dialogue.socket.on_channel(Err(Reason::UnknownChannelName.into()));
    assert_eq!(dialogue.told(), ["STATUS Some(1)"]);
    assert!(dialogue.socket.is_closing());
}

#[test]
fn a_full_channel_is_told_so() {
    let mut dialogue = Dialogue::new();
    dialogue.send(types::INITIAL, &Flow::Initial(Box::new(offer())));
    dialogue.asks();
    let full = Refusal::because(Reason::ChannelNotAvailable, "Channel APP has 2 connections and may have 2.");
    dialogue.socket.on_channel(Err(full));
    assert_eq!(dialogue.told(), ["STATUS Some(22)"]);
    assert!(dialogue.socket.take_violation().unwrap().contains("may have 2"));
}

#[test]
fn what_a_client_sends_before_its_channel_answered_is_read_afterwards() {
    let mut dialogue = Dialogue::new();
    dialogue.send(types::INITIAL, &Flow::Initial(Box::new(offer())));
    dialogue.send(types::INITIAL, &Flow::Initial(Box::new(offer())));
    assert_eq!(dialogue.asks(), ["Instance of SYSTEM.DEF.SVRCONN"]);
    dialogue.socket.on_channel(Ok(channel()));
    dialogue.socket.on_bytes(&mut dialogue.received, WallTime(0));
    assert_eq!(dialogue.told(), ["INITIAL flags 0x02", "INITIAL flags 0x02"]);
    assert_eq!(dialogue.asks(), Vec::<String>::new(), "one connection is one instance");
}

#[test]
fn another_queue_manager_s_name_is_2058() {
    let mut dialogue = Dialogue::new();
    dialogue.agree();
    let mut conn = Conn::default();
    conn.fields.queue_manager = Text::new("OTHER");
    let told = dialogue.call(types::CONN, 0, Body::Conn(Box::new(conn)));
    assert_eq!(told, ["[1] 0x91 2058 handle 0"]);
}

#[test]
fn a_call_that_is_not_served_is_2298_and_the_next_one_goes_on() {
    let mut dialogue = Dialogue::connected();
    assert_eq!(dialogue.call(types::SUB, 0, Body::Other(Bytes::new())), ["[1] 0x9e 2298 handle 0"]);
    assert_eq!(dialogue.call(types::CLOSE, 4, Body::Close(0)), ["[1] 0x94 2019 handle 4"]);
}

#[test]
fn a_get_with_wait_ends_with_a_message_or_with_none() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, 5000, 1);
    assert_eq!(dialogue.asks(), ["Get Destructive For(5s)"]);
    assert_eq!(dialogue.answer(got("one")), [r#"[1] ASYNC_MESSAGE 1 reason 0 b"one""#]);
    dialogue.request(get::WAIT, 5000, 1);
    dialogue.asks();
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 11"]);
}

/// IBM's client lost the second of two, and took the first for as long as that was.
#[test]
fn a_message_that_comes_when_the_wait_is_over_is_the_only_one() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, 100, 1);
    dialogue.asks();
    assert!(dialogue.request_confirmed(get::WAIT).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    let told = dialogue.answer(got("one"));
    assert_eq!(told, [r#"[1] ASYNC_MESSAGE 1 reason 0 b"one""#, "[1] NOTIFICATION 11"]);
    assert!(dialogue.asks().is_empty());

    // It and the question may cross on their way, too.
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, 100, 1);
    dialogue.asks();
    assert_eq!(dialogue.answer(got("one")).len(), 1);
    assert_eq!(dialogue.request_confirmed(get::WAIT), ["[1] NOTIFICATION 11"]);
    assert!(dialogue.asks().is_empty());

    // With nothing, it is looked once more.
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, 100, 1);
    dialogue.asks();
    dialogue.request_confirmed(get::WAIT);
    dialogue.asks();
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Get Destructive No"]);
}

/// The client has the second message only where it says that it has consumed the first.
#[test]
fn what_a_client_has_consumed_it_says_of_what_came_before() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, 100, 1);
    dialogue.asks();
    dialogue.answer(got("one"));
    let received_bytes = std::mem::take(&mut dialogue.consumed_bytes);
    assert_eq!(received_bytes, Md::BYTES_1 as u32 + 3);
    assert!(
        dialogue.request(get::WAIT, 100, 1).is_empty() && dialogue.asks().is_empty(),
        "it has not said so"
    );
    let consumed = RequestFields {
        version: 1,
        handle: 2,
        received_bytes,
        requested_bytes: 1,
        options: get::WAIT,
        message_bytes_max: -1,
        flags: SYNCHRONOUS,
        ..RequestFields::default()
    };
    let request = RequestMessages { fields: consumed, selection: None };
    dialogue.send_confirmed(types::REQUEST_MESSAGES, &Flow::RequestMessages(Box::new(request)));
    assert_eq!(dialogue.asks().len(), 1, "it has now");
    assert_eq!(dialogue.answer(got("one")), [one(2), "[1] NOTIFICATION 11".to_string()]);
    assert!(dialogue.asks().is_empty(), "it has room for one, and has not seen that");
}

/// A client that has connected again asks three times. The second of two messages was committed together with the first, and gone.
#[test]
fn a_listener_that_has_room_for_one_message_is_sent_one_however_often_it_asks() {
    let mut dialogue = Dialogue::listening();
    let ask = |dialogue: &mut Dialogue, received_bytes| {
        let options = get::SYNCPOINT_IF_PERSISTENT;
        assert!(dialogue.request_one_for_callback(STARTED, options, received_bytes).is_empty());
        dialogue.asks()
    };
    assert_eq!(ask(&mut dialogue, 0), ["Get Destructive Forever"]);
    assert_eq!(ask(&mut dialogue, 0), ["CancelGet"]);
    assert_eq!(dialogue.answer(got("one")), [one(1)], "it came before the wait was ended");
    assert!(dialogue.asks().is_empty(), "it is not consumed");
    assert!(ask(&mut dialogue, 0).is_empty());
    // Nor does more come when the connection is stopped and started in between.
    assert_eq!(dialogue.control(0), ["[1] NOTIFICATION 4"]);
    dialogue.control(2);
    assert!(dialogue.asks().is_empty());
    let received_bytes = std::mem::take(&mut dialogue.consumed_bytes);
    assert_eq!(ask(&mut dialogue, received_bytes), ["Get Destructive Forever"]);
    dialogue.answer(Completion::done());
    assert_eq!(dialogue.answer(got("one")), [one(2)]);
}

/// The first waits for its answer, and says which messages are wanted from then on.
#[test]
fn a_request_in_place_of_one_that_waits_goes_on_with_what_that_one_said() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, 5000, 1000);
    dialogue.asks();
    let fields = RequestFields {
        version: 1,
        handle: 2,
        requested_bytes: 1000,
        options: get::WAIT,
        message_bytes_max: -1,
        flags: SYNCHRONOUS | WITH_SELECTION,
        ..RequestFields::default()
    };
    let mut selection = Selection { message_id: Raw::new(b"wanted"), ..Selection::default() };
    selection.fields.match_options = 1;
    let request = RequestMessages { fields, selection: Some(selection) };
    assert!(
        dialogue
            .send_confirmed(types::REQUEST_MESSAGES, &Flow::RequestMessages(Box::new(request)))
            .is_empty()
    );
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    assert!(
        dialogue.request_confirmed(get::WAIT).is_empty()
            && dialogue.request(get::WAIT, 5000, 1000).is_empty()
    );
    dialogue.asks();
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 11", "[1] NOTIFICATION 11"]);
    let asks = dialogue.socket.take_asks();
    let [(_, Ask::Call(_, Call::Get(get)))] = &asks[..] else { panic!("{asks:?}") };
    assert_eq!(get.selection.message_id.map(|id| id.0), Some(Raw::new(b"wanted").0));
}

/// IBM's client gives what comes in a message's place as a warning, with an empty MQMD in place of the program's.
#[test]
fn why_there_is_no_message_is_not_in_place_of_one() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    for (reason, code) in
        [(Reason::NoMsgAvailable, "11"), (Reason::GetInhibited, "1"), (Reason::QDeleted, "14 of 2052")]
    {
        dialogue.request(get::WAIT, 5000, 1);
        dialogue.asks();
        assert_eq!(dialogue.answer(Completion::failed(reason)), [format!("[1] NOTIFICATION {code}")]);
    }
    assert_eq!(dialogue.request(get::SET_SIGNAL, 0, 1), ["[1] NOTIFICATION 14 of 2298"]);
}

/// Its listener was given an empty message, and another one for each time that it asked.
#[test]
fn a_callback_waits_until_its_queue_lets_gets_in() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_for_callback(STARTED);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    let inhibited = || Completion::failed(Reason::GetInhibited);
    assert!(!dialogue.socket.has_paused());
    assert_eq!(dialogue.answer(inhibited()), ["[1] NOTIFICATION 1"]);
    assert!(dialogue.asks().is_empty() && dialogue.socket.has_paused());
    for _ in 0..2 {
        dialogue.socket.retry(WallTime(0));
        assert!(!dialogue.socket.has_paused(), "it is tried");
        assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
        assert!(dialogue.answer(inhibited()).is_empty(), "the client knows");
    }
    // Stopped meanwhile, it begins when it is started.
    assert_eq!(dialogue.control(0), ["[1] NOTIFICATION 4"]);
    dialogue.socket.retry(WallTime(0));
    assert!(dialogue.asks().is_empty() && !dialogue.socket.has_paused());
    dialogue.control(2);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    dialogue.answer(inhibited());
    dialogue.socket.retry(WallTime(0));
    dialogue.asks();
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
}

#[test]
fn a_connection_that_is_started_before_its_stop_has_ended_the_gets_goes_on() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_for_callback(STARTED);
    dialogue.asks();
    assert!(dialogue.control(3).is_empty() && dialogue.control(2).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
}

#[test]
fn a_callback_that_is_closed_is_told_no_reason() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_for_callback(STARTED);
    dialogue.asks();
    assert!(dialogue.call(types::CLOSE, 2, Body::Close(0)).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Close"]);
}

/// It would wait for as long as that one does.
#[test]
fn a_close_does_not_wait_for_a_request_that_waits_itself() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_for_callback(STARTED);
    dialogue.asks();
    assert!(dialogue.request_for_callback(STARTED).is_empty());
    assert!(dialogue.call(types::CLOSE, 2, Body::Close(0)).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet", "CancelGet"]);
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Close"]);
}

/// The client does not count it: what it has room for would be taken for full for ever.
#[test]
fn what_is_unlocked_takes_no_room() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED | open::BROWSE);
    dialogue.request(get::UNLOCK, 0, 1);
    assert_eq!(dialogue.asks(), ["Get Unlock No"]);
    assert_eq!(dialogue.answer(Completion::done()), [r#"[1] ASYNC_MESSAGE 0 reason 0 b"""#]);
    dialogue.request(get::NO_SYNCPOINT | get::WAIT, 100, 102_400);
    assert_eq!(dialogue.asks(), ["Get Destructive For(100ms)"]);
}

#[test]
fn who_has_too_little_room_can_ask_for_the_same_message_once_more() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    let fields = RequestFields {
        version: 1,
        handle: 2,
        requested_bytes: 1,
        message_bytes_max: 1,
        flags: SYNCHRONOUS | WITH_SELECTION,
        ..RequestFields::default()
    };
    let mut selection = Selection { correlation_id: Raw::new(b"wanted"), ..Selection::default() };
    (selection.fields.match_options, selection.fields.md_version, selection.fields.ccsid) = (2, 2, 819);
    let request = RequestMessages { fields, selection: Some(selection) };
    dialogue.send(types::REQUEST_MESSAGES, &Flow::RequestMessages(Box::new(request)));
    dialogue.asks();
    let refused = Completion::failed(Reason::TruncatedMsgFailed);
    let (id, token) = dialogue.asked.remove(0);
    let too_long = Completion { data: Data::TooLong { body_length: 3 }, ..refused };
    dialogue.socket.on_completion(id, token, too_long, WallTime(0));
    let told = Segment::take(&mut dialogue.socket.take_out(), 32_748).unwrap().unwrap();
    let Flow::AsyncMessage(message) = Flow::read(&told).unwrap() else { panic!("{told:?}") };
    let first = message.first.unwrap();
    let md = first.md.unwrap();
    assert_eq!((first.fields.reason, first.fields.message_bytes), (2080, 3));
    assert_eq!((md.correlation_id, md.ccsid), (Raw::new(b"wanted"), 819));
}

impl Dialogue {
    /// A request for a callback with room for so many messages of three bytes.
    fn request_ahead(&mut self, options: u32, messages: u32, received: u32) -> Vec<String> {
        let of = |messages: u32| messages * (Md::BYTES_1 as u32 + 3);
        self.send_request(RequestFields {
            version: 1,
            handle: 2,
            options,
            received_bytes: of(received),
            requested_bytes: of(messages),
            message_bytes_max: -1,
            flags: STARTED,
            ..RequestFields::default()
        })
    }

    fn listening() -> Dialogue {
        let mut dialogue = Dialogue::connected();
        dialogue.open("ORDERS", open::INPUT_SHARED);
        dialogue.control(2);
        dialogue
    }
}

/// What the client is told of `b"one"`, and in which place.
fn one(index: u32) -> String {
    format!(r#"[1] ASYNC_MESSAGE {index} reason 0 b"one""#)
}

fn not_ahead() -> Completion {
    Completion { data: Data::NotAhead, ..none() }
}

#[test]
fn messages_come_ahead_as_far_as_the_client_has_room() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 4, 0);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
    // Messages come, so there are more gets: the one that was asked for, and one that nobody asked for.
    assert_eq!(dialogue.asks(), ["Get Ahead Forever", "Get Ahead For(200ms)"]);
    assert_eq!(dialogue.answer(got("one")), [one(2)]);
    assert_eq!(dialogue.asks(), ["Get Ahead For(200ms)"], "there is room for two");
    assert_eq!(dialogue.answer(got("one")), [one(3)]);
    assert_eq!(dialogue.answer(got("one")), [one(4)]);
    assert!(dialogue.asks().is_empty(), "it has no more room");
    // Some of it is consumed: as many come as there is room for, at once.
    dialogue.request_ahead(get::NO_SYNCPOINT, 4, 3);
    assert_eq!(dialogue.asks(), ["Get Ahead Forever", "Get Ahead For(200ms)", "Get Ahead For(200ms)"]);
    // Nothing comes for a moment: one goes on waiting, and says nothing.
    assert!(dialogue.answer(got("one")).len() == 1 && dialogue.answer(none()).is_empty());
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Get Ahead Forever"]);
}

#[test]
fn what_is_persistent_is_got_when_everything_before_it_is_consumed() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 0);
    dialogue.asks();
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
    dialogue.asks();
    assert!(dialogue.answer(not_ahead()).is_empty() && dialogue.answer(not_ahead()).is_empty());
    assert!(dialogue.asks().is_empty(), "the program has one that it may not have seen");
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 1);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    assert_eq!(dialogue.answer(got("one")), [one(2)]);

    // In a unit of work nothing is lost, and anything may be ahead.
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::SYNCPOINT, 3, 0);
    dialogue.asks();
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever", "Get Destructive For(200ms)"]);
}

fn got_persistent(body: &'static str) -> Completion {
    let descriptor = Descriptor { persistence: Persistence::Persistent, ..Descriptor::default() };
    let message = Message { descriptor, body: Bytes::from(body).into(), body_crc: 0 };
    Completion::ok(Data::Got { body_length: body.len(), message: Box::new(message) })
}

impl Dialogue {
    /// A client that reads ahead, was sent a persistent message first, and then what `more` says, and closes its handle.
    fn closed_with_a_persistent_message(options: u32, more: &[&'static str]) -> Dialogue {
        let mut dialogue = Dialogue::listening();
        dialogue.request_ahead(options, 8, 0);
        assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
        assert_eq!(dialogue.answer(got_persistent("one")), [one(1)]);
        for body in more {
            dialogue.asks();
            assert_eq!(dialogue.answer(got(body)).len(), 1);
        }
        dialogue.asks();
        dialogue.control(0);
        dialogue.asks();
        while !dialogue.asked.is_empty() {
            dialogue.answer(none());
            dialogue.asks();
        }
        dialogue
    }

    fn close(&mut self) {
        assert!(self.call(types::CLOSE, 2, Body::Close(0)).is_empty());
        assert_eq!(self.asks(), ["Close"]);
        assert_eq!(self.answer(Completion::done()), ["[1] 0x94 0 handle -1"]);
    }

    fn end(&mut self) -> Vec<String> {
        self.call(types::DISC, 0, Body::Nothing);
        self.asks()
    }

    /// What becomes of the unit of work that is to be committed, and is told so.
    fn commit(&mut self) -> Vec<String> {
        self.call(types::CMIT, 0, Body::Nothing);
        let asked = self.asks();
        let told = if asked[0] == "Backout" { "[1] 0x9a 2003 handle 0" } else { "[1] 0x9a 0 handle 0" };
        assert_eq!(self.answer(Completion::done()), [told]);
        asked
    }

    /// A request as IBM's client says it that reads ahead: what it has got, and the room that is left beside what it keeps of that.
    fn request_beside(&mut self, flags: u32, got: u32, kept: u32) -> Vec<String> {
        let of = |messages: u32| messages * (Md::BYTES_1 as u32 + 3);
        self.send_request(RequestFields {
            version: 1,
            handle: 2,
            options: get::SYNCPOINT_IF_PERSISTENT,
            received_bytes: of(got),
            requested_bytes: of(8 - kept),
            message_bytes_max: -1,
            flags,
            ..RequestFields::default()
        })
    }
}

/// A listener that reads ahead was sent a second persistent message when the client had the first. Its MQCMIT of that committed both, and
/// the second was lost where the listener ended before it was its turn.
#[test]
fn no_second_persistent_message_is_in_the_unit_while_a_client_that_reads_ahead_keeps_the_first() {
    let mut dialogue = Dialogue::listening();
    assert!(dialogue.request_beside(STARTED, 0, 0).is_empty());
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever", "Get Ahead For(200ms)"]);
    assert_eq!(dialogue.answer(got_persistent("one")), [one(2)]);
    let takes_more = |dialogue: &mut Dialogue| dialogue.asks().iter().any(|ask| ask.contains("Destructive"));
    assert!(!takes_more(&mut dialogue));
    assert_eq!(dialogue.answer(got("one")), [one(3)]);
    while !dialogue.asked.is_empty() {
        assert!(!takes_more(&mut dialogue), "what is not persistent may come");
        assert!(dialogue.answer(not_ahead()).is_empty());
    }
    assert!(dialogue.asks().is_empty(), "what comes next is persistent");
    // All have come, and the listener has had the first of them.
    dialogue.request_beside(STARTED, 3, 2);
    assert_eq!(dialogue.asks(), ["Get Ahead Forever"]);
    assert!(dialogue.answer(not_ahead()).is_empty());
    assert!(dialogue.asks().is_empty());
    // It has had the second now. Of the third it may not say for good that it has had it.
    assert_eq!(dialogue.commit(), ["Commit", "Get Destructive Forever"]);
    assert_eq!(dialogue.answer(got_persistent("one")), [one(4)]);
    assert!(!takes_more(&mut dialogue));
}

impl Dialogue {
    /// A request of a listener that has room for one message.
    fn request_of(&mut self, handle: i32, options: u32, got: u32) {
        let received_bytes = got * (Md::BYTES_1 as u32 + 3);
        let (version, requested_bytes, flags) = (1, 1, STARTED);
        let fields = RequestFields {
            version,
            handle,
            received_bytes,
            requested_bytes,
            options,
            flags,
            ..RequestFields::default()
        };
        assert!(self.send_request(fields).is_empty());
    }
}

/// A session with two consumers: what the listener of one commits is all that is in its unit of work. A message that the other one had
/// been sent, and not given to its listener, was lost with the program.
#[test]
fn of_two_listeners_of_a_unit_of_work_one_has_a_message_at_a_time() {
    for options in [get::SYNCPOINT_IF_PERSISTENT, get::SYNCPOINT] {
        let mut dialogue = Dialogue::listening();
        dialogue.open_as("OTHERS", open::INPUT_SHARED, 4);
        dialogue.request_of(2, options, 0);
        assert_eq!(dialogue.asks(), ["Get Destructive Forever"], "there is no other yet");
        dialogue.request_of(4, options, 0);
        assert_eq!(dialogue.asks(), ["Get Ahead Forever", "CancelGet"]);
        assert!(dialogue.answer(none()).is_empty());
        assert_eq!(dialogue.asks(), ["Get Ahead Forever"], "nothing is taken before its turn");
        // There is one for each. The oldest calls are the get of the second, the end of the wait, and the get of the first.
        assert!(dialogue.answer(not_ahead()).is_empty());
        assert_eq!(dialogue.asks(), ["Get Destructive No"]);
        dialogue.answer(Completion::done());
        assert!(dialogue.answer(not_ahead()).is_empty());
        assert!(dialogue.asks().is_empty(), "the other one is about to take one");
        assert_eq!(dialogue.answer(got_persistent("one")), [one(1)]);
        assert!(dialogue.asks().is_empty(), "its listener may not have seen it");
        assert_eq!(dialogue.commit(), ["Commit", "Get Destructive No"], "it has seen it by then");
        dialogue.request_of(4, options, 1);
        assert_eq!(dialogue.asks(), ["Get Ahead Forever"]);
        // Somebody else has taken what was there for the first.
        assert!(dialogue.answer(none()).is_empty());
        assert_eq!(dialogue.asks(), ["Get Ahead Forever"]);
        // The only one takes what comes, as ever.
        dialogue.call(types::CLOSE, 4, Body::Close(0));
        assert_eq!(dialogue.asks(), ["CancelGet"]);
        dialogue.answer(none());
        assert_eq!(dialogue.asks(), ["Close"]);
        dialogue.asked.rotate_left(1);
        dialogue.answer(Completion::done());
        assert_eq!(dialogue.answer(Completion::done()), ["[1] 0x94 0 handle -1"]);
        assert!(dialogue.answer(not_ahead()).is_empty());
        assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    }
}

/// Only what another one of its consumers has seen may be meant.
#[test]
fn what_was_read_ahead_and_thrown_away_is_not_committed() {
    for kept in [0, 1, 2] {
        let mut dialogue = Dialogue::closed_with_a_persistent_message(get::SYNCPOINT_IF_PERSISTENT, &["two"]);
        dialogue.request_beside(STARTED, 2, kept);
        dialogue.close();
        let asked = dialogue.commit();
        assert_eq!(asked, [if kept == 2 { "Backout" } else { "Commit" }], "the first of {kept}, or none");
        assert_eq!(dialogue.end(), ["Disconnect"]);
    }
    // Who waits for a message has it.
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request_beside(SYNCHRONOUS, 0, 0);
    dialogue.asks();
    assert_eq!(dialogue.answer(got_persistent("one")), [one(1)]);
    dialogue.asks();
    while !dialogue.asked.is_empty() {
        dialogue.answer(none());
        dialogue.asks();
    }
    dialogue.close();
    assert_eq!(dialogue.commit(), ["Commit"]);
}

/// The normal end of a connection commits what its program has got, and not what it was sent.
#[test]
fn what_nobody_may_have_seen_is_backed_out_when_the_connection_ends() {
    for options in [get::SYNCPOINT_IF_PERSISTENT, get::SYNCPOINT] {
        let mut dialogue = Dialogue::closed_with_a_persistent_message(options, &["two", "two"]);
        dialogue.close();
        assert_eq!(dialogue.end(), ["Backout"]);
        assert_eq!(dialogue.answer(Completion::done()), ["[1] 0x92 0 handle 0"]);
        assert_eq!(dialogue.asks(), ["Disconnect"]);
    }
    // The handle need not be closed.
    let mut dialogue = Dialogue::closed_with_a_persistent_message(get::SYNCPOINT_IF_PERSISTENT, &[]);
    assert_eq!(dialogue.end(), ["Backout"]);
    // Nor need it have come before the connection was to end.
    let listens = || {
        let mut dialogue = Dialogue::listening();
        dialogue.request_one_for_callback(STARTED, get::SYNCPOINT_IF_PERSISTENT, 0);
        assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
        assert_eq!(dialogue.end(), ["CancelGet"]);
        dialogue
    };
    let mut dialogue = listens();
    assert_eq!(dialogue.answer(got_persistent("one")), [one(1)]);
    assert_eq!(dialogue.asks(), ["Backout"]);
    let mut dialogue = listens();
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Commit"], "nothing is in the unit that nobody has seen");
}

#[test]
fn what_a_program_has_got_is_committed_when_the_connection_ends() {
    // It says that it has consumed the first, and what came behind that is in no unit of work.
    let mut dialogue = Dialogue::closed_with_a_persistent_message(get::SYNCPOINT_IF_PERSISTENT, &["two"]);
    dialogue.request_ahead(get::SYNCPOINT_IF_PERSISTENT, 8, 1);
    dialogue.close();
    assert_eq!(dialogue.end(), ["Commit"]);

    // It has committed it, and only the message behind it is not seen.
    let mut dialogue = Dialogue::closed_with_a_persistent_message(get::SYNCPOINT_IF_PERSISTENT, &["two"]);
    assert_eq!(dialogue.commit(), ["Commit"]);
    dialogue.close();
    assert_eq!(dialogue.end(), ["Disconnect"]);

    // Who waits for one message has seen it.
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::SYNCPOINT | get::WAIT, 100, 1);
    dialogue.asks();
    dialogue.answer(got_persistent("one"));
    assert_eq!(dialogue.end(), ["Commit"]);
}

#[test]
fn who_asks_for_more_while_a_get_waits_is_waited_for_as_long_as_it_says() {
    let mut dialogue = Dialogue::listening();
    let room = 8 * (Md::BYTES_1 as u32 + 3);
    let request = |received: u32| RequestFields {
        version: 1,
        handle: 2,
        options: get::NO_SYNCPOINT | get::WAIT,
        wait_interval: 100,
        received_bytes: received * (Md::BYTES_1 as u32 + 3),
        requested_bytes: room,
        message_bytes_max: -1,
        flags: SYNCHRONOUS,
        ..RequestFields::default()
    };
    dialogue.send_request(request(0));
    dialogue.asks();
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
    assert_eq!(dialogue.asks(), ["Get Ahead For(100ms)", "Get Ahead For(200ms)"]);
    // The program has it, and asks for the next one when the get has waited for a while.
    dialogue.send_request(request(1));
    dialogue.asks();
    assert!(dialogue.answer(none()).is_empty(), "that wait was another one");
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["Get Destructive For(100ms)"]);
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 11"]);

    // Or asks when that wait is over, and what is ahead has not ended yet.
    let mut dialogue = Dialogue::listening();
    dialogue.send_request(request(0));
    dialogue.asks();
    dialogue.answer(got("one"));
    assert_eq!(dialogue.asks(), ["Get Ahead For(100ms)", "Get Ahead For(200ms)"]);
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    dialogue.send_request(request(1));
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    assert!(dialogue.answer(none()).is_empty(), "that wait was another one");
    assert_eq!(dialogue.asks(), ["Get Destructive For(100ms)"]);
    for _cancel in 0..2 {
        assert!(dialogue.answer(Completion::done()).is_empty());
    }
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 11"]);
}

#[test]
fn a_message_that_is_much_longer_than_others_is_not_got_ahead() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 0);
    dialogue.asks();
    dialogue.answer(got("one"));
    dialogue.asks();
    dialogue.answer(got("one"));
    let long = || Completion {
        data: Data::TooLong { body_length: 100_000 },
        ..Completion::failed(Reason::TruncatedMsgFailed)
    };
    for _ in dialogue.asks() {
        assert!(dialogue.answer(long()).is_empty());
    }
    assert!(dialogue.answer(long()).is_empty());
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 2);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
}

#[test]
fn messages_come_in_the_order_in_which_they_were_asked_for() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::SYNCPOINT, 8, 0);
    dialogue.asks();
    dialogue.answer(got("one"));
    assert_eq!(dialogue.asks().len(), 2);
    // What the first of them found lies in the store, and is loaded.
    dialogue.asked.swap(0, 1);
    assert!(dialogue.answer(got("one")).is_empty());
    assert_eq!(dialogue.answer(got("two")), [r#"[1] ASYNC_MESSAGE 2 reason 0 b"two""#.to_string(), one(3)]);
    assert_eq!(dialogue.asks().len(), 4, "the client has room for more");
}

#[test]
fn what_came_early_is_sent_when_the_get_before_it_ends_without_a_message() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 0);
    dialogue.asks();
    dialogue.answer(got("one"));
    assert_eq!(dialogue.asks().len(), 2);
    assert!(dialogue.control(0).is_empty());
    dialogue.asks();
    dialogue.asked.swap(0, 1);
    assert!(dialogue.answer(got("one")).is_empty());
    assert_eq!(dialogue.answer(none()), [one(2), "[1] NOTIFICATION 4".to_string()]);
}

/// A persistent message that is got outside of a unit of work, and one behind it that is not: who was given the second could not tell
/// that the first may be gone.
#[test]
fn behind_a_get_whose_outcome_nobody_knows_nothing_comes() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 1, 0);
    dialogue.asks();
    dialogue.answer(got("one"));
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 1);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever", "Get Ahead For(200ms)"]);
    dialogue.asked.swap(0, 1);
    assert!(dialogue.answer(got("two")).is_empty(), "it has its turn behind the first");
    let told = dialogue.answer(Completion::failed(Reason::CallInterrupted));
    assert!(told.iter().all(|flow| !flow.contains("ASYNC_MESSAGE")), "{told:?}");
}

#[test]
fn what_is_under_way_when_a_handle_is_stopped_or_closed_comes_and_nothing_after_it() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 0);
    dialogue.asks();
    dialogue.answer(got("one"));
    assert_eq!(dialogue.asks().len(), 2);
    assert!(dialogue.control(0).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet", "CancelGet"]);
    assert_eq!(dialogue.answer(got("one")), [one(2)]);
    assert!(dialogue.asks().is_empty(), "it is stopped");
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 4"], "behind all that came");
    dialogue.answer(Completion::done());
    dialogue.answer(Completion::done());

    dialogue.control(2);
    assert_eq!(dialogue.asks(), ["Get Ahead Forever"]);
    assert_eq!(dialogue.answer(got("one")), [one(3)]);
    assert_eq!(dialogue.asks().len(), 2);
    assert!(dialogue.call(types::CLOSE, 2, Body::Close(0)).is_empty());
    let cancelled = dialogue.asks();
    assert!(cancelled.len() >= 2 && cancelled.iter().all(|ask| ask == "CancelGet"), "{cancelled:?}");
    for index in 0..cancelled.len() {
        assert_eq!(dialogue.answer(got("one")), [one(4 + index as u32)]);
    }
    assert_eq!(dialogue.asks(), ["Close"]);
}

#[test]
fn gets_that_were_refused_together_are_one_refusal() {
    let mut dialogue = Dialogue::listening();
    dialogue.request_ahead(get::NO_SYNCPOINT, 8, 0);
    dialogue.asks();
    dialogue.answer(got("one"));
    assert_eq!(dialogue.asks().len(), 2);
    let inhibited = || Completion::failed(Reason::GetInhibited);
    assert!(dialogue.answer(inhibited()).is_empty());
    assert_eq!(dialogue.answer(inhibited()), ["[1] NOTIFICATION 1"]);
}

#[test]
fn who_does_not_wait_is_told_at_once_that_there_is_nothing() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::NO_SYNCPOINT, 0, 1000);
    assert_eq!(dialogue.asks(), ["Get Destructive No"]);
    assert_eq!(dialogue.answer(got("one")), [one(1)]);
    assert_eq!(dialogue.asks(), ["Get Ahead No", "Get Ahead For(200ms)"]);
    assert!(dialogue.answer(none()).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"], "what is ahead is not waited for");
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 11"]);
}

/// Else what stands ahead could keep the client from being heard, which alone could end it.
#[test]
fn a_connection_has_so_many_gets_ahead_and_no_more() {
    let mut dialogue = Dialogue::listening();
    let mut gets = 1;
    dialogue.request_ahead(get::NO_SYNCPOINT, 1000, 0);
    dialogue.asks();
    while gets > 0 && gets < 2 * AHEAD_MAX {
        dialogue.answer(got("one"));
        gets += dialogue.asks().len();
        gets -= 1;
        if gets > AHEAD_MAX {
            break;
        }
        if gets == AHEAD_MAX {
            let before = gets;
            dialogue.answer(got("one"));
            gets = before - 1 + dialogue.asks().len();
            assert_eq!(gets, AHEAD_MAX);
            return;
        }
    }
    panic!("{gets} gets are under way");
}

#[test]
fn a_close_waits_for_the_get_that_is_under_way() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::WAIT, -1, 1);
    dialogue.asks();
    assert!(dialogue.call(types::CLOSE, 2, Body::Close(0)).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    // The message was on its way: the client gets it.
    assert_eq!(dialogue.answer(got("one")).len(), 1);
    assert_eq!(dialogue.asks(), ["Close"]);
    dialogue.answer(Completion::done());
    assert_eq!(dialogue.answer(Completion::done()), ["[1] 0x94 0 handle -1"]);
}

/// IBM's client gives its listener whatever comes for a stopped handle, reasons too, again and again.
#[test]
fn a_listener_that_is_stopped_gets_messages_and_no_reason() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    assert!(dialogue.control(2).is_empty());
    dialogue.request_for_callback(STARTED);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    assert_eq!(dialogue.answer(got("one")), [r#"[1] ASYNC_MESSAGE 1 reason 0 b"one""#]);
    // Its thread is closing it while it asks for more, and the client says so in the request.
    assert!(dialogue.request_for_callback(0).is_empty());
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    assert!(dialogue.control(0).is_empty(), "it is answered behind what the get brings");
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    assert_eq!(dialogue.answer(none()), ["[1] NOTIFICATION 4"]);
    dialogue.answer(Completion::done());
    // Started again, it goes on.
    dialogue.control(2);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
}

#[test]
fn conversations_share_a_socket_and_each_has_its_own_connection() {
    let mut dialogue = Dialogue::connected();
    let start = |conversation| {
        Flow::SocketAction(SocketAction { conversation, action: action::START, ..SocketAction::default() })
    };
    dialogue.kind = Kind::Socket;
    assert_eq!(dialogue.send(types::SOCKET_ACTION, &start(3)), ["[3] SOCKET_ACTION 3 8"]);
    dialogue.kind = Kind::Multiplexed { conversation: 3, request: 0 };
    assert_eq!(dialogue.call(types::CMIT, 0, Body::Nothing), ["[3] 0x9a 2018 handle 0"]);
    dialogue.kind = Kind::Socket;
    assert_eq!(dialogue.send(types::SOCKET_ACTION, &start(3)), ["STATUS Some(30)"]);
}

/// Programs that connect at the same time: another conversation may come before the first has said anything.
#[test]
fn the_first_conversation_of_a_socket_is_there_from_the_beginning() {
    let mut dialogue = Dialogue::new();
    dialogue.agree();
    let start = SocketAction { conversation: 3, action: action::START, ..SocketAction::default() };
    dialogue.kind = Kind::Socket;
    let told = dialogue.send(types::SOCKET_ACTION, &Flow::SocketAction(start));
    assert_eq!(told, ["[3] SOCKET_ACTION 3 8"]);
    dialogue.kind = Kind::Multiplexed { conversation: 1, request: 0 };
    dialogue.connect();
    dialogue.kind = Kind::Multiplexed { conversation: 5, request: 0 };
    let told = dialogue.call(types::CONN, 0, Body::Conn(Box::default()));
    assert_eq!(told, ["[5] STATUS Some(30)"], "nobody has begun that one");
}

#[test]
fn an_open_has_a_message_selector_behind_its_structure() {
    let wanted = |text: &str, ccsid: i32, object_type: i32, options: u32| {
        let mut strings: Vec<u8> = match ccsid {
            1200 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => text.into(),
        };
        let length = strings.len() as i32;
        strings.resize(strings.len().next_multiple_of(4), 0);
        let strings = Bytes::from(strings);
        let selection = VariableText { offset: 400, length, ccsid, ..VariableText::default() };
        let fields =
            OdFields { version: 4, object_type, object: Text::new("Q"), selection, ..OdFields::default() };
        Body::Open(Box::new(Open { od: Od { fields, strings }, options, ..Open::default() }))
    };
    let queue = object::QUEUE;
    for (text, ccsid, object_type, options, reason) in [
        ("color =", 1208, queue, open::INPUT_SHARED, 2459),
        ("1 = 2", 1208, queue, open::BROWSE, 2504),
        ("n = 1", 1208, queue, open::OUTPUT, 2516),
        ("n = 1", 1208, object::QUEUE_MANAGER, open::INQUIRE, 2516),
        ("n = 1", 500, queue, open::INPUT_SHARED, 2111),
    ] {
        let told = Dialogue::connected().call(types::OPEN, 0, wanted(text, ccsid, object_type, options));
        assert_eq!(told, [format!("[1] 0x93 {reason} handle -1")], "{text}");
    }
    for ccsid in [1208, 0, 819, 1200] {
        let mut dialogue = Dialogue::connected();
        dialogue.call(types::OPEN, 0, wanted("n = 1", ccsid, queue, open::INPUT_SHARED));
        assert_eq!(dialogue.asks(), ["Open Q, n = 1"]);
    }
    // A long one waits for its turn, and what comes behind it waits too.
    let mut dialogue = Dialogue::connected();
    let long = format!("n = {}1", " ".repeat(2_000));
    for text in [&long, &long, "n = 1"] {
        dialogue.call(types::OPEN, 0, wanted(text, 1208, queue, open::INPUT_SHARED));
    }
    let opens = [format!("Open Q, {long}")];
    for _ in 0..2 {
        assert_eq!((dialogue.asks(), dialogue.socket.is_full()), (vec!["Translate".to_string()], true));
        dialogue.socket.translate(1, WallTime(0));
        assert_eq!(dialogue.asks(), opens);
        dialogue.hand_over();
    }
    assert_eq!((dialogue.asks(), dialogue.socket.is_full()), (vec!["Open Q, n = 1".to_string()], false));
    // One that is longer than any is refused without a look at it.
    let told = dialogue.call(types::OPEN, 0, wanted(&" ".repeat(30_000), 1208, queue, open::INPUT_SHARED));
    assert_eq!(told, ["[1] 0x93 2519 handle -1"]);
    let Body::Open(mut outside) = wanted("n = 1", 1208, queue, open::INPUT_SHARED) else { unreachable!() };
    outside.od.fields.selection.offset = 404;
    let mut dialogue = Dialogue::connected();
    let told = dialogue.call(types::OPEN, 0, Body::Open(outside));
    assert!(!told.is_empty() && dialogue.asks().is_empty(), "{told:?}");
}

#[test]
fn the_queue_manager_is_opened_and_inquired_by_the_session() {
    let mut dialogue = Dialogue::connected();
    assert_eq!(dialogue.open_manager(), ["[1] 0x93 0 handle 2"]);
    let asked = Attributes {
        selectors: vec![31, 2015],
        integer_count: 1,
        character_length: 48,
        ..Attributes::default()
    };
    assert!(dialogue.call(types::INQ, 2, Body::Attributes(asked)).is_empty());
    assert_eq!(dialogue.asks(), ["Inquire"]);
    let view = ObjectView { definition: Definition::new(ObjectRef::manager()), queue: None };
    let told = dialogue.answer(Completion::ok(Data::Inquired(Box::new(view))));
    assert_eq!(told, ["[1] 0x99 0 handle 2"]);
}

/// How many of them are told in one go counts what they tell.
#[test]
fn an_inquiry_weighs_what_it_tells() {
    let mut dialogue = Dialogue::connected();
    dialogue.open_manager();
    for (attributes, weight) in [(1, 1), (7, 1), (8, 2), (256, 33)] {
        let asked = Attributes { selectors: vec![2015; attributes], ..Attributes::default() };
        dialogue.call(types::INQ, 2, Body::Attributes(asked));
        assert_eq!(dialogue.asks(), ["Inquire"]);
        let (id, token) = dialogue.asked[0];
        assert_eq!(dialogue.socket.weight(id, token), weight, "{attributes} attributes");
        let view = ObjectView { definition: Definition::new(ObjectRef::manager()), queue: None };
        dialogue.answer(Completion::ok(Data::Inquired(Box::new(view))));
        assert_eq!(dialogue.socket.weight(id, token), 1, "it is answered");
    }
}

fn open_queue_manager() -> Body {
    let fields = OdFields { version: 1, object_type: object::QUEUE_MANAGER, ..OdFields::default() };
    Body::Open(Box::new(Open { od: Od::new(fields), options: open::INQUIRE, ..Open::default() }))
}

#[test]
fn a_connection_has_so_many_handles_whatever_they_are_of() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    for number in 2..=HANDLES_MAX {
        assert_eq!(dialogue.open_manager(), [format!("[1] 0x93 0 handle {}", number * 2)]);
    }
    assert_eq!(dialogue.call(types::OPEN, 0, open_queue_manager()), ["[1] 0x93 2017 handle -1"]);
    let queue =
        OdFields { version: 1, object_type: object::QUEUE, object: Text::new("Q"), ..OdFields::default() };
    let queue = Open { od: Od::new(queue), options: open::OUTPUT, ..Open::default() };
    assert_eq!(dialogue.call(types::OPEN, 0, Body::Open(Box::new(queue))), ["[1] 0x93 2017 handle -1"]);
    assert!(dialogue.asks().is_empty());
    assert!(dialogue.call(types::CLOSE, 8, Body::Close(0)).is_empty());
    assert_eq!(dialogue.asks(), ["Close"]);
    assert_eq!(dialogue.answer(Completion::done()), ["[1] 0x94 0 handle -1"]);
    assert_eq!(dialogue.open_manager(), ["[1] 0x93 0 handle 8"]);
}

#[test]
fn calls_are_handled_some_at_a_time() {
    let mut dialogue = Dialogue::connected();
    for _ in 0..200 {
        let header = dialogue.header(types::CLOSE);
        let flow = Flow::Call(WireCall { handle: 4, body: Body::Close(0), ..WireCall::default() });
        Segment { body: flow.body(types::CLOSE, header.order), header }.encode(&mut dialogue.received);
    }
    let mut told = Vec::new();
    while {
        let more = dialogue.socket.on_bytes(&mut dialogue.received, WallTime(0));
        told.push(dialogue.told().len());
        more
    } {}
    assert_eq!(told, [64, 64, 64, 8]);
}

#[test]
fn a_client_is_not_heard_while_too_many_of_its_calls_are_not_answered() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    for _ in 0..CALLS_MAX + 1 {
        assert!(dialogue.call(types::PUT, 2, put_call(b"hello", put::ASYNC_RESPONSE)).is_empty());
    }
    assert_eq!(dialogue.asks().len(), CALLS_MAX);
    assert!(dialogue.socket.is_full() && !dialogue.received.is_empty());
    assert!(dialogue.socket.kept_bytes() > CALLS_MAX * 100);
    dialogue.answer(Completion::failed(Reason::QFull));
    dialogue.hand_over();
    assert_eq!(dialogue.asks().len(), 1);
    assert!(dialogue.received.is_empty());

    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    for _ in 0..20 {
        dialogue.send_long_put(1_000_000);
        dialogue.hand_over();
    }
    assert_eq!(dialogue.asks().len(), 17, "nor while its bodies are as long as this");
}

impl Dialogue {
    /// A message of so many characters in UTF-8, two bytes each.
    fn got_text(&mut self, length: usize) -> Vec<String> {
        let mut descriptor = Descriptor::default();
        let mut rest = descriptor.rest();
        (rest.format, rest.coded_character_set) = ("MQSTR".to_string(), Some(1208));
        descriptor.set_rest(&rest);
        let message = Message { descriptor, body: Bytes::from("é".repeat(length)).into(), body_crc: 0 };
        self.answer(Completion::ok(Data::Got { body_length: message.body.len(), message: Box::new(message) }))
    }

    /// The driver has done the oldest conversion.
    fn convert(&mut self) -> Vec<String> {
        let (id, token, conversion) = self.conversions.remove(0);
        self.socket.on_converted(id, token, conversion.run(), WallTime(0));
        self.told()
    }
}

#[test]
fn short_text_is_converted_at_once_and_long_text_elsewhere() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    let ask = |dialogue: &mut Dialogue| {
        let fields = RequestFields {
            version: 1,
            handle: 2,
            options: get::CONVERT,
            requested_bytes: 1,
            message_bytes_max: -1,
            flags: SYNCHRONOUS | WITH_SELECTION,
            ..RequestFields::default()
        };
        let mut selection = Selection::default();
        (selection.fields.ccsid, selection.fields.md_version) = (850, 1);
        let request = RequestMessages { fields, selection: Some(selection) };
        dialogue.send(types::REQUEST_MESSAGES, &Flow::RequestMessages(Box::new(request)));
        assert_eq!(dialogue.asks(), ["Get Destructive No"]);
    };
    ask(&mut dialogue);
    assert_eq!(dialogue.got_text(2), [r#"[1] ASYNC_MESSAGE 1 reason 0 b"\x82\x82""#]);

    ask(&mut dialogue);
    assert!(dialogue.got_text(20_000).is_empty());
    assert_eq!(dialogue.asks(), ["Convert 40000 bytes"]);
    assert!(dialogue.socket.is_converting(1));
    // To the client its get is under way until then.
    assert!(dialogue.call(types::CLOSE, 2, Body::Close(0)).is_empty());
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    let told = dialogue.convert();
    assert!(told[0].starts_with(r#"[1] ASYNC_MESSAGE 2 reason 0 b"\x82\x82"#), "{}", &told[0][..80]);
    assert!(!dialogue.socket.is_converting(1));
    assert_eq!(dialogue.asks(), ["Close"]);
}

#[test]
fn text_that_is_converted_for_a_connection_that_has_ended_is_nobody_s() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request(get::CONVERT, 0, 1);
    dialogue.asks();
    // CCSID 0 is UTF-8, which it has.
    assert_eq!(dialogue.got_text(20_000).len(), 2, "nothing is to be done");
    let mut rest = dialogue;
    rest.call(types::DISC, 0, Body::Nothing);
    assert_eq!(rest.asks(), ["Disconnect"]);
    let mut message = Message { body: Bytes::from("x").into(), ..Message::default() };
    let mut wire = message.descriptor.rest();
    wire.format = "MQSTR".to_string();
    message.descriptor.set_rest(&wire);
    let wanted = Wanted { ccsid: 819, encoding: 273, ..Wanted::default() };
    let conversion = Conversion::of(&mut message, wanted).unwrap();
    rest.socket.on_converted(1, Token(7), conversion.run(), WallTime(0));
    assert!(rest.told().is_empty() && !rest.socket.is_converting(1));
}

impl Dialogue {
    /// The client sends a put of so many bytes, in many segments.
    fn send_long_put(&mut self, length: usize) {
        let data = Bytes::from(vec![5; length]);
        let Body::Put(mut long) = put_call(b"", 0) else { unreachable!() };
        long.length = data.len() as u32;
        let call = WireCall { handle: 2, body: Body::Put(long), ..WireCall::default() };
        let mut head = Writer::new(Order::Little);
        call.write(&mut head, types::PUT);
        let header = self.header(types::PUT);
        split::put_call(&header, &head.out, &[data], 32_748, &mut self.received);
    }
}

/// A socket whose client has agreed on the channel, and is connected to nothing.
pub(super) fn agreed() -> Socket {
    let mut dialogue = Dialogue::new();
    dialogue.agree();
    dialogue.socket
}

/// A socket whose client has a queue open, and the bytes of a put to it.
pub(super) fn long_put(length: usize) -> (Socket, BytesMut) {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    dialogue.send_long_put(length);
    (dialogue.socket, dialogue.received)
}

#[test]
fn a_put_of_many_segments_is_one_message() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    dialogue.send_long_put(100_000);
    let rest = dialogue.received.split_off(80_000);
    dialogue.hand_over();
    let unfinished = dialogue.socket.unfinished();
    assert_eq!(unfinished.oldest, 1);
    assert!((60_000..80_000).contains(&unfinished.arrived), "{unfinished:?}");
    assert!(
        (100_000..101_000).contains(&unfinished.whole),
        "its head says how long it will be: {unfinished:?}"
    );
    dialogue.received.unsplit(rest);
    dialogue.hand_over();
    assert_eq!(dialogue.asks(), ["Put 100000 bytes, syncpoint false"]);
    assert_eq!(dialogue.socket.unfinished(), Unfinished::default());
    // The next one is another one.
    dialogue.send_long_put(100_000);
    dialogue.received.truncate(80_000);
    dialogue.hand_over();
    assert_eq!(dialogue.socket.unfinished().oldest, 2);
}

#[test]
fn what_is_no_segment_gets_its_status_and_an_end() {
    let mut dialogue = Dialogue::connected();
    dialogue.received.extend_from_slice(b"GET / HTTP/1.1");
    assert_eq!(dialogue.hand_over(), ["STATUS Some(12)"]);
    assert!(dialogue.socket.is_closing());
    assert!(dialogue.socket.take_violation().unwrap().ends_with("474554202f20485454502f312e31"));

    let mut dialogue = Dialogue::connected();
    let told = dialogue.send(types::INQ, &Flow::Other(Bytes::from_static(&[0; 17])));
    assert_eq!(told, ["[1] STATUS Some(12)"]);
}

#[test]
fn a_client_of_one_conversation_gets_with_mqget() {
    let mut dialogue = Dialogue::new();
    let mut old = offer();
    old.fields.conversations = 0;
    dialogue.send(types::INITIAL, &Flow::Initial(Box::new(old)));
    dialogue.asks();
    dialogue.socket.on_channel(Ok(channel()));
    dialogue.told();
    dialogue.order = Order::Little;
    dialogue.call(types::CONN, 0, Body::Conn(Box::default()));
    dialogue.asks();
    dialogue.socket.on_connected(0, Ok(9), WallTime(0));
    assert_eq!(dialogue.told(), ["0x91 0 handle 0"]);
    dialogue.open("ORDERS", open::INPUT_SHARED);
    let get = |options| {
        let gmo = Gmo { version: 1, options, wait_interval: 100, ..Gmo::default() };
        Body::Get(Box::new(Get {
            md: Md { version: 1, ..Md::default() },
            gmo,
            length: 3,
            data: Bytes::new(),
        }))
    };
    dialogue.call(types::GET, 2, get(get::WAIT));
    assert_eq!(dialogue.asks(), ["Get Destructive For(100ms)"]);
    assert_eq!(dialogue.answer(got("one")), ["0x95 0 handle 2"]);
    dialogue.call(types::GET, 2, get(0));
    dialogue.asks();
    let long = Completion {
        data: Data::TooLong { body_length: 9 },
        ..Completion::failed(Reason::TruncatedMsgFailed)
    };
    let (id, token) = dialogue.asked.remove(0);
    dialogue.socket.on_completion(id, token, long, WallTime(0));
    let told = Segment::take(&mut dialogue.socket.take_out(), 32_748).unwrap().unwrap();
    let Flow::Call(WireCall { body: Body::Get(told), reason: 2080, .. }) = Flow::read(&told).unwrap() else {
        panic!("{told:?}")
    };
    assert_eq!(
        (told.length, told.data.len()),
        (9, 3),
        "IBM's client waits for ever for what it has room for"
    );
    assert_eq!(dialogue.call(types::GET, 2, get(get::SET_SIGNAL)), ["0x95 2298 handle 2"]);
    assert_eq!(dialogue.call(types::GET, 2, get(get::UNLOCK | get::WAIT)), ["0x95 2046 handle 2"]);
    dialogue.call(types::GET, 2, get(get::UNLOCK));
    assert_eq!(dialogue.asks(), ["Get Unlock No"]);
    assert_eq!(dialogue.answer(Completion::done()), ["0x95 0 handle 2"]);
    dialogue.call(types::GET, 2, get(get::UNLOCK));
    dialogue.asks();
    let nothing = Completion::warning(Reason::NoMsgLocked, Data::Nothing);
    assert_eq!(dialogue.answer(nothing), ["0x95 2209 handle 2"]);
}

/// MQMDE, as it lies in memory on the platforms whose encoding is the queue manager's.
fn extension(sequence_number: i32) -> Vec<u8> {
    let format = Text::new("MQSTR");
    let (length, group_id) = (Mde::BYTES as i32, Raw::new(b"group"));
    let mde = Mde {
        version: 2,
        length,
        encoding: 546,
        ccsid: 1208,
        format,
        flags: 0,
        group_id,
        sequence_number,
        offset: 0,
        message_flags: message_flags::MSG_IN_GROUP,
        original_length: -1,
    };
    let mut writer = Writer::new(Order::Little);
    mde.write(&mut writer);
    writer.out.to_vec()
}

#[test]
fn an_mqmde_is_part_of_the_descriptor_of_what_is_put() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::OUTPUT);
    let put = |data: &[u8]| {
        let Body::Put(mut put) = put_call(data, 0) else { unreachable!("it is a put") };
        (put.md.format, put.md.encoding, put.md.ccsid) = (Text::new(Mde::FORMAT), 546, 1208);
        Body::Put(put)
    };
    assert!(dialogue.call(types::PUT, 2, put(&[extension(3), b"data".to_vec()].concat())).is_empty());
    let asks = dialogue.socket.take_asks();
    let [(_, Ask::Call(_, Call::Put(asked)))] = &asks[..] else { panic!("{asks:?}") };
    let descriptor = &asked.message.descriptor;
    assert_eq!(asked.message.body.to_bytes(), "data");
    assert_eq!(
        (descriptor.sequence_number, descriptor.group_id),
        (3, GroupId::from_slice(b"group").unwrap())
    );
    assert_eq!(descriptor.rest().format, "MQSTR");
    // What is wrong with its fields is refused as in an MQMD; what is none at all, as no MQMDE.
    assert_eq!(dialogue.call(types::PUT, 2, put(&extension(0))), ["[1] 0x96 2250 handle 2"]);
    assert_eq!(dialogue.call(types::PUT, 2, put(b"data")), ["[1] 0x96 2248 handle 2"]);
}

#[test]
fn who_is_called_back_no_more_has_room_for_nothing() {
    let mut dialogue = Dialogue::connected();
    dialogue.open("ORDERS", open::INPUT_SHARED);
    dialogue.request_for_callback(0x01);
    dialogue.control(2);
    assert_eq!(dialogue.asks(), ["Get Destructive Forever"]);
    dialogue.control(0);
    assert_eq!(dialogue.asks(), ["CancelGet"]);
    dialogue.answer(none());
    dialogue.answer(Completion::done());
    let nothing = RequestFields { version: 1, handle: 2, flags: 0x01, ..RequestFields::default() };
    assert!(dialogue.send_request(nothing).is_empty());
    dialogue.control(2);
    assert!(dialogue.asks().is_empty(), "nobody is there for a message");
}
