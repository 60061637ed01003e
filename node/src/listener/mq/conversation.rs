//! One MQI connection of a client: its calls become calls of a session, and completions become replies.
//!
//! A reply has the structures of its request with the output fields filled in, so a call is kept until it is answered. A call
//! that is not served here is answered with 2298; nothing is ever answered by silence.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use trimaran_proto::mq::call::{Attributes, Body as WireBody, Call as WireCall, Conn, Fcno, FcnoFields};
use trimaran_proto::mq::constants::{completion, connect, reason};
use trimaran_proto::mq::control::Notification;
use trimaran_proto::mq::segment::{Header, types};
use trimaran_proto::mq::split::Joiner;
use trimaran_proto::mq::{Raw, Text, spi};

use super::async_puts::AsyncPuts;
use super::conversion::Conversion;
use super::convert::{Code, Sum};
use super::desk::{Ask, Connect, Desk};
use super::handles::{Handles, Object};
use super::intake::Unfinished;
use super::reading::Reading;
use super::unanswered::{Opening, Unanswered, Waiting};
use crate::mqi::{Call, Completion};
use crate::types::{Reason, Token};

#[derive(Debug, Default)]
pub struct Conversation {
    pub(super) joiner: Joiner,
    /// The call of which a part has come.
    pub(super) arriving: Option<Arriving>,
    /// User and password of CONAUTH.
    credentials: Option<(String, Bytes)>,
    state: State,
    pub(super) application: String,
    pub(super) application_type: i32,
    pub(super) user: String,
    pub(super) objects: Handles,
    pub(super) waiting: Unanswered,
    /// The answer whose text is converted elsewhere; the answers behind it are kept back by who brings them.
    pub(super) converting: Option<(Token, Completion)>,
    /// The open that waits for its turn to have its selector translated.
    pub(super) opening: Option<Box<Opening>>,
    /// Bytes of selectors, since its last turn.
    pub(super) translated: usize,
    pub(super) tokens: u64,
    /// Gets that are ahead of what was asked for.
    pub(super) ahead: usize,
    /// Handles whose callbacks wait until their queue lets gets in.
    pub(super) paused: BTreeSet<i32>,
    /// Whether there may be something to commit.
    pub(super) in_unit: bool,
    /// An MQDISC that waits until it is known what the gets of its unit have taken.
    pub(super) disconnecting: Option<Header>,
    /// A handle was closed while there was something in the unit that it was sent and nobody may have seen.
    pub(super) unseen_closed: bool,
    /// The client has thrown something of that away, which it had read ahead.
    pub(super) thrown_away: bool,
    /// The handle that had the last turn of those that share the unit of work ([`Conversation::share_unit`]).
    pub(super) last_turn: i32,
    /// Makes ids different from those of all other conversations.
    pub(super) unique: u64,
    pub(super) ids: u64,
    pub(super) async_puts: AsyncPuts,
    pub(super) callbacks: Callbacks,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving {
    /// Given to every call of the socket of which a part came, in order.
    pub number: u64,
    /// What its first segment says that it will be.
    pub said: usize,
    /// Of the data of a put.
    pub sum: Option<Sum>,
}

/// Whether messages are given to callbacks (MQCTL).
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    pub are_started: bool,
    /// A stop that is answered when nothing is under way any more: the request, and what was asked.
    pub stopping: Option<(u32, Notification)>,
    /// Gets that it waits for.
    pub ending: HashSet<Token>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Apart,
    Connecting {
        header: Header,
        call: WireCall,
    },
    Connected,
}

/// Who is at the other end of the socket.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub channel: &'a str,
    pub user: &'a str,
}

impl Conversation {
    pub fn on_credentials(&mut self, user: String, password: Bytes) {
        self.credentials = Some((user, password));
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected)
    }

    /// What has come of a call that is not complete.
    pub fn unfinished(&self) -> Option<Unfinished> {
        let Arriving { number, said, .. } = self.arriving?;
        let arrived = self.joiner.held_bytes();
        Some(Unfinished { oldest: number, arrived, whole: said.max(arrived) })
    }

    pub(super) fn ask(&mut self, desk: &mut Desk<'_>, call: Call, waiting: Waiting) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.waiting.begin(token, &call, waiting);
        desk.ask(Ask::Call(token, call));
        token
    }

    /// Too much is not answered, or an open waits for its turn: nothing more is handled.
    pub fn is_full(&self) -> bool {
        self.opening.is_some() || self.waiting.is_full()
    }

    /// Memory of the calls that are not answered.
    pub fn kept_bytes(&self) -> usize {
        self.waiting.kept_bytes()
    }

    /// The next answer waits until [`Conversation::on_converted`].
    pub fn is_converting(&self) -> bool {
        self.converting.is_some()
    }

    /// Others would wait too long for this: it is done elsewhere, and the answer goes on with what became of it.
    pub(super) fn convert_elsewhere(
        &mut self,
        desk: &mut Desk<'_>,
        answer: (Token, Completion),
        conversion: Conversion,
    ) {
        debug_assert!(self.converting.is_none(), "answers behind one that is converted are kept back");
        desk.ask(Ask::Convert(answer.0, conversion));
        self.converting = Some(answer);
    }

    // ---- connections ------------------------------------------------------------------------------------------

    pub(super) fn on_connect(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall, who: &Who<'_>) {
        let WireBody::Conn(conn) = &call.body else {
            return fail(desk, &header, call, reason::UNEXPECTED_ERROR);
        };
        if !matches!(self.state, State::Apart) {
            return fail(desk, &header, call, Reason::AlreadyConnected.number() as Code);
        }
        if !desk.terms.is_meant(&conn.fields.queue_manager.text()) {
            return fail(desk, &header, call, reason::Q_MGR_NAME_ERROR);
        }
        self.application = conn.fields.application.text();
        self.application_type = conn.fields.application_type;
        let asked = Connect {
            channel: who.channel.to_string(),
            asserted_user: who.user.to_string(),
            credentials: self.credentials.clone(),
            application: self.application.clone(),
        };
        self.user = asked.credentials.as_ref().map_or(asked.asserted_user.clone(), |(user, _)| user.clone());
        self.state = State::Connecting { header, call };
        desk.ask(Ask::Connect(asked));
    }

    /// A session was opened, or why not. `unique` is given to no other connection.
    pub fn on_connected(&mut self, desk: &mut Desk<'_>, opened: Result<u64, Code>) {
        let State::Connecting { header, mut call } = std::mem::take(&mut self.state) else { return };
        let unique = match opened {
            Ok(unique) => unique,
            Err(code) => return fail(desk, &header, call, code),
        };
        self.unique = unique;
        self.state = State::Connected;
        if let WireBody::Conn(conn) = &mut call.body {
            let Conn { fields, more } = &mut **conn;
            if let Some(more) = more {
                let wants_tag = fields.connect_options & connect::GENERATE_CONN_TAG != 0;
                let tag = wants_tag.then(|| connection_tag(desk, unique, &self.application));
                *more = connected(more, &connection_id(desk, unique), tag);
            }
        }
        (call.completion, call.reason, call.handle) = (completion::OK, reason::NONE, 0);
        desk.reply(&header, call);
    }

    /// MQCMIT, MQBACK, or MQDISC, which commits. What nobody waited for is known before: a unit of work of which a persistent message
    /// could not be put is backed out, and so is one that ends with its connection and has a message that no program has seen.
    pub(super) fn end_unit(&mut self, desk: &mut Desk<'_>, header: Header) {
        let is_disconnect = header.segment == types::DISC;
        if self.async_puts.under_way > 0 {
            self.async_puts.ending = Some(header);
            return;
        }
        if is_disconnect && self.in_unit && self.objects.readings().any(Reading::is_under_way) {
            self.objects.readings_mut().for_each(Reading::end_with_connection);
            for handle in self.objects.all().collect::<Vec<_>>() {
                self.cancel_gets(desk, handle);
            }
            self.disconnecting = Some(header);
            return;
        }
        let is_backout = header.segment == types::BACK;
        let is_spoilt = std::mem::take(&mut self.async_puts.spoils_unit);
        let is_unseen = self.thrown_away || (is_disconnect && self.has_unseen_in_unit());
        let has_unit = self.in_unit || is_spoilt || is_unseen;
        let backed_out = (is_spoilt || is_unseen) && !is_backout;
        self.forget_unit();
        let call = match backed_out || is_backout {
            true => Call::Backout,
            false => Call::Commit { unit: None, units_decided: None },
        };
        let waiting = match header.segment {
            types::DISC if !has_unit => return self.disconnect(desk, &header, completion::OK, reason::NONE),
            // A program that never saw a message has lost nothing, and is told nothing.
            types::DISC => Waiting::Disconnect { header, backed_out: is_spoilt },
            _ if backed_out => Waiting::BackedOut { header },
            _ => Waiting::Simple { header, handle: 0 },
        };
        self.ask(desk, call, waiting);
        if !is_disconnect {
            self.resume(desk);
        }
    }

    /// Another thread of the program, or another connection of it, wants the get that waits here to end (the SPI's NOTIFY).
    pub(super) fn on_notify(&mut self, desk: &mut Desk<'_>, connection: &[u8; 24]) {
        match *connection == connection_id(desk, self.unique) {
            true => self.end_waits(desk),
            false => desk.ask(Ask::EndWaits(unique_of(connection))),
        }
    }

    /// Ends the wait of what its program waits for; callbacks stay.
    pub fn end_waits(&mut self, desk: &mut Desk<'_>) {
        let gets: Vec<Token> = self.waiting.gets().collect();
        for token in gets {
            self.ask(desk, Call::CancelGet { token }, Waiting::Nobody);
        }
        let handles: Vec<i32> = self.objects.all().collect();
        for handle in handles {
            if let Some(Object::Queue { reading, .. }) = self.objects.get_mut(handle)
                && reading.end_wait()
            {
                self.cancel_gets(desk, handle);
            }
        }
    }

    /// Whether this is the connection with this `unique` of [`Conversation::on_connected`].
    pub fn is(&self, unique: u64) -> bool {
        self.is_connected() && self.unique == unique
    }

    /// Whether messages are in the unit of work that were sent before a program asked for them, and that none may have seen.
    fn has_unseen_in_unit(&self) -> bool {
        self.unseen_closed || self.objects.readings().any(Reading::has_unseen_in_unit)
    }

    /// The unit of work is committed or backed out.
    fn forget_unit(&mut self) {
        (self.in_unit, self.unseen_closed, self.thrown_away) = (false, false, false);
        self.objects.readings_mut().for_each(Reading::end_unit);
    }

    pub(super) fn disconnect(&mut self, desk: &mut Desk<'_>, header: &Header, code: i32, reason: Code) {
        desk.reply(header, WireCall { completion: code, reason, ..WireCall::default() });
        desk.ask(Ask::Disconnect);
        self.state = State::Apart;
        self.objects.clear();
        self.waiting.clear();
        (self.unseen_closed, self.thrown_away) = (false, false);
        self.ahead = 0;
        self.paused.clear();
        self.converting = None;
        self.async_puts = AsyncPuts::default();
    }
}

/// Answers that a call failed: its structures as they came, and no handle.
pub(super) fn fail(desk: &mut Desk<'_>, header: &Header, mut call: WireCall, code: Code) {
    (call.completion, call.reason) = (completion::FAILED, code);
    if matches!(header.segment, types::OPEN | types::SPI) {
        call.handle = -1;
    }
    match &mut call.body {
        WireBody::Put(put) => put.data = Bytes::new(),
        WireBody::Close(_) => call.body = WireBody::Nothing,
        WireBody::Get(get) => get.length = 0,
        WireBody::Open(open) => open.fopa.iter_mut().for_each(|fopa| fopa.more_length = 0),
        WireBody::Spi(asked) => {
            if let spi::Body::Open(open) = &mut asked.body {
                open.lpoo.fields.more_length = 0;
            }
        }
        WireBody::Attributes(asked) => {
            *asked = Attributes { selectors: std::mem::take(&mut asked.selectors), ..Attributes::default() };
        }
        _ => {}
    }
    desk.reply(header, call);
}

/// FCNO of a reply: the connection id, and the tag if the client wanted one.
fn connected(asked: &Fcno, connection_id: &[u8; 24], tag: Option<Vec<u8>>) -> Fcno {
    let mut rest = vec![0; asked.rest.len()];
    let place = rest.len().min(128);
    let tag = tag.unwrap_or_else(|| asked.fields.tag.0.to_vec());
    if place == 128 {
        rest[..tag.len().min(place)].copy_from_slice(&tag[..tag.len().min(place)]);
    }
    let fields = FcnoFields {
        version: asked.fields.version.min(3),
        capabilities: asked.fields.capabilities | 1,
        tag: Raw::new(connection_id),
    };
    Fcno { fields, rest: rest.into() }
}

/// "AMQC", twelve characters of the queue manager's name, and what no other connection has.
fn connection_id(desk: &Desk<'_>, unique: u64) -> [u8; 24] {
    let mut id = message_id(desk, unique, 0);
    id[3] = b'C';
    id
}

/// The `unique` of a connection id.
fn unique_of(connection_id: &[u8; 24]) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *connection_id;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// An id as queue managers make them: "AMQ ", twelve characters of the name, and eight bytes of its own.
pub(super) fn message_id(desk: &Desk<'_>, unique: u64, number: u64) -> [u8; 24] {
    let mut id = [b' '; 24];
    id[..4].copy_from_slice(b"AMQ ");
    id[4..16].copy_from_slice(&Text::<12>::new(desk.terms.queue_manager.as_str()).0);
    id[16..].copy_from_slice(&(unique ^ number.rotate_right(20)).to_be_bytes());
    id
}

/// MQCT, the unique bytes in hexadecimal, the queue manager's identifier and the program's name.
fn connection_tag(desk: &Desk<'_>, unique: u64, application: &str) -> Vec<u8> {
    format!("MQCT{unique:016X}{}{application}", desk.terms.identifier).into_bytes()
}
