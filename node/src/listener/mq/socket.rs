//! One connection of a client, without IO: segments in, segments and asks out.
//!
//! ```text
//! on_bytes, on_connected, on_completion → take_out: bytes for the client
//!                                         take_asks: sessions and calls for the replica
//! ```
//!
//! First both ends agree (INITIAL DATA), then conversations share the socket, each an MQI connection of its own. What
//! breaks the protocol is answered with its STATUS, and ends the socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use trimaran_proto::mq::control::{SocketAction, Status, action, status};
use trimaran_proto::mq::initial::Initial;
use trimaran_proto::mq::segment::{Broken, Header, Kind, SEGMENT_BYTES_MAX, Segment, flags, types};
use trimaran_proto::mq::{Flow, Malformed, Order, Raw};

use super::conversation::{Conversation, Who};
use super::conversion::Converted;
use super::convert::Code;
use super::desk::{Ask, Desk};
use super::intake::Unfinished;
use super::negotiation::{self, Agreed, ENCODING};
use super::reading::Request;
use super::terms::Terms;
use crate::mqi::{ChannelTerms, Completion, Refusal};
use crate::types::{Token, WallTime};

/// Bytes of a segment that are logged when it is not understood.
const LOGGED_BYTES: usize = 256;

/// The conversation that is there from the agreement on.
const FIRST_CONVERSATION: u32 = 1;
/// Segments are handled so many at a time: a conversation runs on the worker of all others, and of the queue manager.
const SEGMENTS_TOGETHER: usize = 64;
/// A socket keeps no more memory than this for its next answers.
const OUT_BYTES_KEPT: usize = 64 * 1024;

#[derive(Debug)]
pub struct Socket {
    terms: Arc<Terms>,
    /// Given by chance, different for each socket.
    salt: [u8; 12],
    serial: u32,
    /// The STATUS that every client gets, where nobody can be served.
    refusal: Option<u32>,
    /// An offer that waits for the word of its channel; nothing else is read meanwhile.
    offer: Option<(Header, Box<Initial>)>,
    /// The channel that this is an instance of, and what it says.
    instance: Option<(String, ChannelTerms)>,
    agreed: Option<Agreed>,
    user: String,
    conversations: BTreeMap<u32, Conversation>,
    /// Calls of which a part came before the others.
    begun: u64,
    out: BytesMut,
    asks: Vec<(u32, Ask)>,
    closing: bool,
    violation: Option<String>,
}

impl Socket {
    /// `refusal` is the STATUS for a client that cannot be served here.
    pub fn new(terms: Arc<Terms>, serial: u32, salt: [u8; 12], refusal: Option<u32>) -> Socket {
        Socket {
            terms,
            salt,
            serial,
            refusal,
            offer: None,
            instance: None,
            agreed: None,
            user: String::new(),
            conversations: BTreeMap::new(),
            begun: 0,
            out: BytesMut::new(),
            asks: Vec::new(),
            closing: false,
            violation: None,
        }
    }

    /// Bytes for the client. The memory of a long answer goes with them, that of a short one is used again.
    pub fn take_out(&mut self) -> BytesMut {
        match self.out.capacity() > OUT_BYTES_KEPT {
            true => std::mem::take(&mut self.out),
            false => self.out.split(),
        }
    }

    /// Bytes that wait for [`Socket::take_out`].
    pub fn out_bytes(&self) -> usize {
        self.out.len()
    }

    /// The name of the queue manager that is served here.
    pub fn queue_manager(&self) -> &str {
        self.terms.queue_manager.as_str()
    }

    pub fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether one of its conversations is an MQI connection.
    pub fn is_connected(&self) -> bool {
        self.conversations.values().any(Conversation::is_connected)
    }

    /// What conversations want, in order.
    pub fn take_asks(&mut self) -> Vec<(u32, Ask)> {
        std::mem::take(&mut self.asks)
    }

    /// Whether the socket ends when everything was sent.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// What a client did that it must not do, once, for the log.
    pub fn take_violation(&mut self) -> Option<String> {
        self.violation.take()
    }

    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// The name of the channel; empty until there is one.
    pub fn channel(&self) -> &str {
        self.instance.as_ref().map_or("", |(name, _)| name)
    }

    /// Whose rights the programs have, if the channel says it.
    pub fn channel_user(&self) -> Option<&str> {
        self.instance.as_ref().and_then(|(_, channel)| channel.user.as_deref())
    }

    /// Handles segments that have come completely: some of them, and none while too much is not answered. False when
    /// there is nothing left to be handled, or nothing before the channel has answered.
    pub fn on_bytes(&mut self, received: &mut BytesMut, now: WallTime) -> bool {
        for _ in 0..SEGMENTS_TOGETHER {
            if self.closing || self.offer.is_some() {
                return false;
            }
            if self.is_full() {
                return !received.is_empty();
            }
            let bytes_max = self.agreed.as_ref().map_or(SEGMENT_BYTES_MAX, |agreed| agreed.segment_bytes_max);
            match Segment::take(received, bytes_max) {
                Ok(Some(segment)) => self.on_segment(segment, now),
                Ok(None) => return false,
                Err(broken) => {
                    self.on_broken(broken, received);
                    return false;
                }
            }
        }
        !received.is_empty()
    }

    /// Too much of a conversation is not answered, or an open of it waits for its turn: nothing is handled until then. Those that
    /// share its socket wait with it.
    pub fn is_full(&self) -> bool {
        self.conversations.values().any(Conversation::is_full)
    }

    /// Whether callbacks wait until their queue lets gets in: [`Socket::retry`] sees it.
    pub fn has_paused(&self) -> bool {
        self.conversations.values().any(Conversation::has_paused)
    }

    /// Sees whether queues let gets in again that callbacks wait for.
    pub fn retry(&mut self, now: WallTime) {
        let paused = self.conversations.iter().filter(|(_, conversation)| conversation.has_paused());
        for id in paused.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Ok((conversation, mut desk)) = self.at(id, now) {
                conversation.retry(&mut desk);
            }
        }
    }

    /// Memory of calls that are not answered.
    pub fn kept_bytes(&self) -> usize {
        self.conversations.values().map(Conversation::kept_bytes).sum()
    }

    fn on_broken(&mut self, broken: Broken, received: &[u8]) {
        let code = match broken {
            Broken::Length(_) => status::LENGTH,
            Broken::Eyecatcher | Broken::Order(_) => status::INVALID_DATA,
        };
        let order = self.agreed.as_ref().map_or(Order::Big, |agreed| agreed.order);
        // A record of TLS with a handshake in it.
        let why = match (received, &self.agreed) {
            ([0x16, 3, ..], None) => {
                "the client uses TLS, and this node has no certificate: write [tls] ca, certificate and key into the cluster \
                 file, or take the CipherSpec from the client"
                    .to_string()
            }
            _ => format!("{broken}: {}", hex(received)),
        };
        self.refuse(&plain(order), code, why);
    }

    /// Says a STATUS and ends.
    fn refuse(&mut self, header: &Header, code: u32, why: String) {
        self.say_status(header, code);
        self.violation = Some(why);
        self.closing = true;
    }

    fn say_status(&mut self, header: &Header, code: u32) {
        let header = header.answer(types::STATUS, flags::ERROR | flags::CLOSE);
        let kind = if header.kind == Kind::Socket { Kind::Plain } else { header.kind };
        let flow = Flow::Status(Some(Status { code, value: None }));
        let body = flow.body(types::STATUS, header.order);
        Segment { header: Header { kind, ..header }, body }.encode(&mut self.out);
    }

    fn on_segment(&mut self, segment: Segment, now: WallTime) {
        let header = segment.header.clone();
        let shown = segment.body.clone();
        if let Err(malformed) = self.on_flow(segment, now) {
            let code = match malformed.what {
                UNKNOWN_TYPE => status::SEGMENT_TYPE,
                UNKNOWN_CONVERSATION => status::CONVERSATION,
                _ => status::INVALID_DATA,
            };
            let why = format!("segment type {:#04x}: {malformed}: {}", header.segment, hex(&shown));
            self.refuse(&header, code, why);
        }
    }

    fn on_flow(&mut self, segment: Segment, now: WallTime) -> Result<(), Malformed> {
        let header = segment.header.clone();
        if header.segment >= types::CALLS {
            return self.on_call(segment, now);
        }
        let flow = Flow::read(&segment)?;
        if let Flow::Initial(offer) = flow {
            self.on_initial(header, offer);
            return Ok(());
        }
        if self.agreed.is_none() {
            return Err(wrong("the first segment is no INITIAL DATA"));
        }
        match flow {
            Flow::UserId(user) => self.user = user.user(),
            Flow::ConAuth(given) => {
                let id = header.conversation().unwrap_or(0);
                let user = String::from_utf8_lossy(&given.user).into_owned();
                let (state, mut desk) = self.at(id, now)?;
                state.on_credentials(user, given.password);
                desk.say(types::STATUS, 0, flags::ACCEPTED, &Flow::Status(None));
            }
            Flow::SocketAction(asked) => self.on_action(&header, asked, now),
            Flow::RequestMessages(asked) => {
                let Kind::Multiplexed { conversation, request } = header.kind else {
                    return Err(wrong(UNKNOWN_CONVERSATION));
                };
                let (state, mut desk) = self.at(conversation, now)?;
                let is_confirmed = header.flags & flags::CONFIRM != 0;
                state.on_request(&mut desk, Request { id: request, is_confirmed, asked: *asked });
            }
            Flow::Notification(asked) => {
                let Kind::Multiplexed { conversation, request } = header.kind else {
                    return Err(wrong(UNKNOWN_CONVERSATION));
                };
                let (state, mut desk) = self.at(conversation, now)?;
                let is_confirmed = header.flags & flags::CONFIRM != 0;
                state.on_notification(&mut desk, request, asked, is_confirmed);
            }
            Flow::Heartbeat => {
                if header.flags & flags::CONFIRM != 0 {
                    let header = header.answer(types::HEARTBEAT, 0);
                    Segment { header, body: segment.body }.encode(&mut self.out);
                }
            }
            // A client that is about to go says why.
            Flow::Status(Some(said)) => {
                self.violation = Some(format!("the client says STATUS {:#04x}", said.code));
                self.closing = true;
            }
            Flow::Status(None) => {}
            _ => return Err(wrong(UNKNOWN_TYPE)),
        }
        Ok(())
    }

    fn on_initial(&mut self, header: Header, offer: Box<Initial>) {
        if let Some(code) = self.refusal {
            return self.refuse(&header, code, format!("nobody is served here: STATUS {code:#04x}"));
        }
        if self.is_connected() {
            return self.refuse(&header, status::SEGMENT, "INITIAL DATA in the middle".to_string());
        }
        let name = offer.fields.channel.text();
        if let Err(code) = negotiation::check(&offer) {
            return self.refuse(&header, code, format!("channel {name}: STATUS {code:#04x}"));
        }
        // A client that is answered with changes says it again, of the same channel.
        match &self.instance {
            Some((known, channel)) if *known == name => {
                let channel = channel.clone();
                self.agree(&header, &offer, &channel);
            }
            Some(_) => self.refuse(&header, status::SEGMENT, format!("channel {name} after another one")),
            None => {
                self.offer = Some((header, offer));
                self.asks.push((0, Ask::Instance(name)));
            }
        }
    }

    fn agree(&mut self, header: &Header, offer: &Initial, channel: &ChannelTerms) {
        let (reply, agreed) = negotiation::answer(offer, channel, &self.terms, Raw(self.salt), self.serial);
        let changed = negotiation::is_changed(&reply);
        let own = Header {
            order: agreed.order,
            ccsid: agreed.ccsid,
            encoding: if header.kind == Kind::Plain { header.encoding } else { ENCODING },
            ..header.answer(types::INITIAL, if changed { flags::ERROR } else { 0 })
        };
        let body = Flow::Initial(Box::new(reply)).body(types::INITIAL, own.order);
        Segment { header: own, body }.encode(&mut self.out);
        if self.conversations.is_empty() {
            let first = if agreed.is_multiplexed() { FIRST_CONVERSATION } else { 0 };
            self.conversations.insert(first, Conversation::default());
        }
        self.agreed = Some(agreed);
    }

    /// The first conversation of a socket is there with the agreement; others begin with a socket action.
    fn at(&mut self, id: u32, now: WallTime) -> Result<(&mut Conversation, Desk<'_>), Malformed> {
        let Some(agreed) = &self.agreed else { return Err(wrong("the first segment is no INITIAL DATA")) };
        let state = self.conversations.get_mut(&id).ok_or(wrong(UNKNOWN_CONVERSATION))?;
        let (out, asks) = (&mut self.out, &mut self.asks);
        Ok((state, Desk { conversation: id, agreed, terms: &self.terms, now, out, asks }))
    }

    fn on_call(&mut self, segment: Segment, now: WallTime) -> Result<(), Malformed> {
        if segment.header.segment > types::LAST || segment.header.segment & types::REPLY != 0 {
            return Err(wrong(UNKNOWN_TYPE));
        }
        let id = segment.header.conversation().unwrap_or(0);
        // Who it is, is asked once.
        let who = match segment.header.segment {
            types::CONN => (self.channel().to_string(), self.user.clone()),
            _ => Default::default(),
        };
        let number = self.begun + 1;
        let (state, mut desk) = self.at(id, now)?;
        state.on_call(&mut desk, segment, &Who { channel: &who.0, user: &who.1 }, number)?;
        self.begun += u64::from(state.unfinished().is_some_and(|call| call.oldest == number));
        Ok(())
    }

    /// What has come of calls that are not complete.
    pub fn unfinished(&self) -> Unfinished {
        let calls = self.conversations.values().filter_map(Conversation::unfinished);
        calls
            .reduce(|one, other| Unfinished {
                oldest: one.oldest.min(other.oldest),
                arrived: one.arrived + other.arrived,
                whole: one.whole + other.whole,
            })
            .unwrap_or_default()
    }

    fn on_action(&mut self, header: &Header, asked: SocketAction, now: WallTime) {
        let Some(agreed) = &self.agreed else { return };
        match asked.action {
            action::START => {
                let full = self.conversations.len() >= agreed.conversations.max(1) as usize;
                if full || self.conversations.contains_key(&asked.conversation) {
                    let why = format!("conversation {} begins twice, or too many do", asked.conversation);
                    return self.refuse(header, status::CONVERSATION, why);
                }
                let serials = agreed.serials;
                let count = self.conversations.len() as u32;
                self.conversations.insert(asked.conversation, Conversation::default());
                let started = SocketAction {
                    action: action::STARTED,
                    parameter1: serials.0,
                    parameter2: serials.1 + count,
                    ..asked
                };
                let (id, flow) = (asked.conversation, Flow::SocketAction(started));
                if let Ok((_, mut desk)) = self.at(id, now) {
                    desk.say(types::SOCKET_ACTION, 0, 0, &flow);
                }
            }
            action::END => {
                if self.conversations.remove(&asked.conversation).is_some() {
                    self.asks.push((asked.conversation, Ask::Disconnect));
                }
                self.closing |= header.flags & flags::CLOSE != 0 && self.conversations.is_empty();
            }
            _ => self.violation = Some(format!("socket action {} is not known", asked.action)),
        }
    }

    // ---- from the replica -------------------------------------------------------------------------------------

    /// The instance that [`Ask::Instance`] asked for: what its channel says, or why there is none. What has come meanwhile
    /// is read with the next [`Socket::on_bytes`].
    pub fn on_channel(&mut self, opened: Result<ChannelTerms, Refusal>) {
        let Some((header, offer)) = self.offer.take() else { return };
        let name = offer.fields.channel.text();
        match opened {
            Ok(channel) => {
                self.instance = Some((name, channel.clone()));
                self.agree(&header, &offer, &channel);
            }
            Err(refusal) => {
                let code = negotiation::status_of(refusal.reason);
                self.refuse(&header, code, format!("channel {name}: {}", refusal.sentence()));
            }
        }
    }

    /// The session that [`Ask::Connect`] asked for, or why there is none. `unique` is given to no other session.
    pub fn on_connected(&mut self, id: u32, opened: Result<u64, Code>, now: WallTime) {
        if self.conversations.contains_key(&id)
            && let Ok((state, mut desk)) = self.at(id, now)
        {
            state.on_connected(&mut desk, opened);
        }
    }

    pub fn on_completion(&mut self, id: u32, token: Token, completion: Completion, now: WallTime) {
        if self.conversations.contains_key(&id)
            && let Ok((state, mut desk)) = self.at(id, now)
        {
            state.on_completion(&mut desk, token, completion);
        }
    }

    /// How many plain answers could be made in the time that this completion takes.
    pub fn weight(&self, id: u32, token: Token) -> usize {
        self.conversations.get(&id).map_or(1, |state| state.weight(token))
    }

    /// Ends the waits of the connection of this `unique`.
    pub fn end_waits(&mut self, unique: u64, now: WallTime) {
        let of = self.conversations.iter().find(|(_, state)| state.is(unique)).map(|(id, _)| *id);
        if let Some(id) = of
            && let Ok((state, mut desk)) = self.at(id, now)
        {
            state.end_waits(&mut desk);
        }
    }

    /// The turn that [`Ask::Translate`] asked for has come.
    pub fn translate(&mut self, id: u32, now: WallTime) {
        if self.conversations.contains_key(&id)
            && let Ok((state, mut desk)) = self.at(id, now)
        {
            state.translate(&mut desk);
        }
    }

    /// Whether the next completion for this conversation has to wait for [`Socket::on_converted`].
    pub fn is_converting(&self, id: u32) -> bool {
        self.conversations.get(&id).is_some_and(Conversation::is_converting)
    }

    /// What became of [`Ask::Convert`].
    pub fn on_converted(&mut self, id: u32, token: Token, converted: Converted, now: WallTime) {
        if self.conversations.contains_key(&id)
            && let Ok((state, mut desk)) = self.at(id, now)
        {
            state.on_converted(&mut desk, token, converted);
        }
    }

    /// The replica ended a session. What it did not answer may have happened: the socket ends without a word, and the client
    /// says 2009, or connects again.
    pub fn on_session_ended(&mut self) {
        if let Some(agreed) = self.agreed.as_ref().filter(|_| !self.closing) {
            // The client makes a reason of its own of it, and comes back at once if it reconnects.
            self.say_status(&plain(agreed.order), status::QMGR_TERMINATING);
        }
        self.closing = true;
    }

    /// Says that this end is there, after the channel was quiet for a heartbeat's time.
    pub fn heartbeat(&mut self, now: WallTime) {
        let Some(id) = self.conversations.keys().next().copied() else { return };
        if let Ok((_, mut desk)) = self.at(id, now) {
            desk.say(types::HEARTBEAT, 0, flags::CONFIRM, &Flow::Heartbeat);
        }
    }
}

/// Of a STATUS that answers no segment.
fn plain(order: Order) -> Header {
    Header {
        kind: Kind::Plain,
        order,
        segment: types::STATUS,
        flags: 0,
        flags2: 0,
        luwid: Raw::default(),
        encoding: ENCODING,
        ccsid: 819,
        reserved: 0,
    }
}

const UNKNOWN_TYPE: &str = "there is no segment of this type here";
const UNKNOWN_CONVERSATION: &str = "there is no conversation of this number";

fn wrong(what: &'static str) -> Malformed {
    Malformed { what, at: 0 }
}

fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(LOGGED_BYTES)];
    shown.iter().map(|byte| format!("{byte:02x}")).collect()
}
