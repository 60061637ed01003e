//! Where a conversation leaves what it has to say: segments for its client, and calls for the replica.

use bytes::{Bytes, BytesMut};
use trimaran_proto::mq::call::Call as WireCall;
use trimaran_proto::mq::delivery::AsyncMessage;
use trimaran_proto::mq::segment::{Header, Kind, Segment, flags, types};
use trimaran_proto::mq::wire::{Raw, Writer};
use trimaran_proto::mq::{Flow, split};

use super::conversion::Conversion;
use super::negotiation::{Agreed, ENCODING};
use super::terms::Terms;
use crate::mqi::Call;
use crate::types::{Token, WallTime};

/// What a conversation wants of its driver.
#[derive(Debug)]
pub enum Ask {
    /// An instance of this channel, for the socket. Answered with `Socket::on_channel`.
    Instance(String),
    /// A session of this user. Answered with `Socket::on_connected`.
    Connect(Connect),
    Call(Token, Call),
    /// Text that takes too long to be converted here. Answered with `Socket::on_converted`, before the next answer of the session.
    Convert(Token, Conversion),
    /// The conversation's turn to translate selectors. Answered with `Socket::translate`; nothing else of it is handled before.
    Translate,
    /// The gets end that wait in the connection of this `unique`, if it is one of the same user.
    EndWaits(u64),
    /// The session is over; what is not committed is backed out.
    Disconnect,
}

/// Who wants a session, as far as the client says it.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    pub channel: String,
    /// The user that the client's operating system knows. Nothing proves it.
    pub asserted_user: String,
    /// User and password that the program gave.
    pub credentials: Option<(String, Bytes)>,
    pub application: String,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connect {{ {}, {}, {}, … }}", self.channel, self.asserted_user, self.application)
    }
}

/// The desk of one conversation for as long as it handles one event.
pub struct Desk<'a> {
    pub conversation: u32,
    pub agreed: &'a Agreed,
    pub terms: &'a Terms,
    pub now: WallTime,
    pub out: &'a mut BytesMut,
    pub asks: &'a mut Vec<(u32, Ask)>,
}

impl Desk<'_> {
    pub fn ask(&mut self, ask: Ask) {
        self.asks.push((self.conversation, ask));
    }

    /// Answers a call.
    pub fn reply(&mut self, header: &Header, call: WireCall) {
        self.reply_with(header, call, &[]);
    }

    /// Answers a call with data behind its structures.
    pub fn reply_with(&mut self, header: &Header, mut call: WireCall, data: &[Bytes]) {
        let header = header.answer(header.segment + types::REPLY, flags::WHOLE);
        let mut head = Writer::new(header.order);
        call.write_reply(&mut head, header.segment, data.iter().map(Bytes::len).sum());
        split::put_call(&header, &head.out, data, self.agreed.segment_bytes_max, self.out);
    }

    /// The header of a segment that answers no call.
    fn header(&self, segment: u8, request: u32, flags: u8) -> Header {
        let kind = match self.agreed.is_multiplexed() {
            true => Kind::Multiplexed { conversation: self.conversation, request },
            false => Kind::Plain,
        };
        Header {
            kind,
            order: self.agreed.order,
            segment,
            flags,
            flags2: 0,
            luwid: Raw::default(),
            encoding: ENCODING,
            ccsid: self.agreed.ccsid,
            reserved: 0,
        }
    }

    pub fn say(&mut self, segment: u8, request: u32, flags: u8, flow: &Flow) {
        let header = self.header(segment, request, flags);
        let body = flow.body(segment, header.order);
        Segment { header, body }.encode(self.out);
    }

    pub fn message(&mut self, request: u32, message: &AsyncMessage, data: &[Bytes]) {
        let header = self.header(types::ASYNC_MESSAGE, request, flags::WHOLE);
        split::put_message(&header, message, data, self.agreed.segment_bytes_max, self.out);
    }
}
