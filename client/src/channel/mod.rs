//! An MQI connection over a channel, in the protocol that IBM MQ clients speak (`trimaran_proto::mq`).
//!
//! One conversation on a socket of its own, one call at a time: what `trimaran send` and `receive` need when they are given a
//! channel, what `amqsput` and the like need, and what tests and measurements need, which also have many calls on their way
//! ([`Channel::begin_put`] and others) and are sent messages as they come ([`Channel::request`]). Programs are better served by
//! [`crate::Connection`], which finds the node that serves.

mod in_flight;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use trimaran_proto::mq::call::{Body, Call, Conn, Get, Open, Put};
use trimaran_proto::mq::constants::{close, object};
use trimaran_proto::mq::control::status;
use trimaran_proto::mq::initial::{self, Initial};
use trimaran_proto::mq::message::{Gmo, Md, Pmo};
use trimaran_proto::mq::object::{Od, OdFields};
use trimaran_proto::mq::security::{ConAuth, UserId, UserIdFields};
use trimaran_proto::mq::segment::{Header, Kind, SEGMENT_BYTES_MAX, Segment, flags, types};
use trimaran_proto::mq::split::Joiner;
use trimaran_proto::mq::{Flow, Order, Raw, Text};
use trimaran_proto::plain;

use crate::dial::{Wire, dial, explain};
use crate::error::{Error, Result};
use crate::reasons::text_of;
use crate::tls::{Shown, Tls};

/// Latin 1: all names of MQ are in it.
const CCSID: u16 = 819;
/// MQENC_NATIVE of a little-endian platform.
const ENCODING: u32 = 0x222;
/// The longest message there is.
const MESSAGE_BYTES_MAX: u32 = 104_857_600;
/// Structures that a reply may have beside its data.
const REPLY_BYTES_MORE: usize = 64 * 1024;
/// The level of the protocol that is spoken.
const FAP: u8 = 13;
/// The conversation of a socket that has one.
const CONVERSATION: u32 = 1;
/// What is read at a time.
const READ_BYTES: usize = 16 * 1024;
/// MQCSP_AUTH_USER_ID_AND_PWD.
const USER_ID_AND_PASSWORD: u32 = 1;
/// MQRC_PASSWORD_PROTECTION_ERROR, which only clients give.
const PASSWORD_PROTECTION_ERROR: u32 = 2594;

/// Numbers of the MQI, for options.
pub use trimaran_proto::mq::constants;

use in_flight::Arriving;
pub use in_flight::{Asked, Delivered, Heard};

/// A connection to a queue manager over a channel. Dropped, it is as if it had broken: what is not committed is backed out.
#[derive(Debug)]
pub struct Channel {
    stream: Box<dyn Wire>,
    received: BytesMut,
    queue_manager: String,
    /// Segments carry a conversation and a request (TSHM).
    is_shared: bool,
    /// Calls that were begun.
    begun: u32,
    /// What is not sent yet.
    out: BytesMut,
    joiner: Joiner,
    arriving: Option<Arriving>,
    /// What came while a call was waited for.
    set_aside: VecDeque<Heard>,
    is_broken: bool,
}

/// How a connection is made.
#[derive(Default)]
struct Manner<'a> {
    tls: Option<&'a Tls>,
    login: Option<&'a Login>,
    is_shared: bool,
}

/// A message that was got.
#[derive(Clone, Debug)]
pub struct Got {
    /// In version 2, as the queue manager has it.
    pub md: Md,
    /// As much of it as there was room for.
    pub body: Bytes,
    /// Longer than the body when it was cut (2079), or when it was too long and stays where it is (2080).
    pub message_bytes: usize,
    /// The reason of a warning; 0 is none.
    pub reason: u32,
    /// The queue that it is on, where an alias was opened.
    pub queue: String,
}

/// User and password as a program gives them in MQCSP.
#[derive(Clone)]
pub struct Login {
    /// CSPUserId: at most 1024 bytes.
    pub user: String,
    /// CSPPassword: at most 256 bytes.
    pub password: Bytes,
}

impl std::fmt::Debug for Login {
    /// Without the password: this is logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login {{ user: {:?}, … }}", self.user)
    }
}

impl Channel {
    /// Connects to `host:port`, agrees on the channel and connects to the queue manager; an empty name means whichever is there.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody listens there or what answers is no queue manager, and [`Error::Refused`] with 2540 for a
    /// channel that does not exist, 2058 for another queue manager's name, 2035 for a user that is not let in, 2543
    /// where another node serves.
    pub async fn connect(
        address: &str,
        channel: &str,
        queue_manager: &str,
        application: &str,
    ) -> Result<Channel> {
        let manner = Manner::default();
        Channel::connect_in(manner, address, channel, queue_manager, application).await
    }

    /// The same as one of several conversations that the channel may have on a socket, as far as SHARECNV of the channel allows it: only so
    /// are answers told apart whose calls are on their way together, and messages sent as they come.
    ///
    /// # Errors
    /// As [`Channel::connect`].
    pub async fn connect_shared(
        address: &str,
        channel: &str,
        queue_manager: &str,
        application: &str,
    ) -> Result<Channel> {
        let manner = Manner { is_shared: true, ..Manner::default() };
        Channel::connect_in(manner, address, channel, queue_manager, application).await
    }

    /// The same over TLS, where `tls` is given: for a channel with SSLCIPH, and for no other.
    ///
    /// # Errors
    /// As [`Channel::connect`]; [`Error::Unreachable`] when TLS is not agreed on, and [`Error::Refused`] with 2393 for a channel
    /// that demands TLS, none, or another suite, 2397 for one that demands a certificate, 2398 for one that demands another name.
    pub async fn connect_over(
        tls: Option<&Tls>,
        address: &str,
        channel: &str,
        queue_manager: &str,
        application: &str,
    ) -> Result<Channel> {
        let manner = Manner { tls, ..Manner::default() };
        Channel::connect_in(manner, address, channel, queue_manager, application).await
    }

    /// [`Channel::connect_over`] with a user and a password.
    ///
    /// # Errors
    /// As [`Channel::connect_over`], and [`Error::Refused`] with 2594 before the password goes in the clear to another machine.
    pub async fn connect_as(
        tls: Option<&Tls>,
        address: &str,
        channel: &str,
        queue_manager: &str,
        application: &str,
        login: Option<&Login>,
    ) -> Result<Channel> {
        let manner = Manner { tls, login, is_shared: false };
        Channel::connect_in(manner, address, channel, queue_manager, application).await
    }

    async fn connect_in(
        manner: Manner<'_>,
        address: &str,
        channel: &str,
        queue_manager: &str,
        application: &str,
    ) -> Result<Channel> {
        let Manner { tls, login, is_shared } = manner;
        let shown = Shown::of(tls);
        let wired = wire(tls, address).await;
        let (stream, peer) = wired.map_err(|error| {
            let text = explain(address, &error.to_string(), shown);
            unreachable(queue_manager, is_disagreement(&error), text)
        })?;
        let mut connected = Channel {
            stream,
            received: BytesMut::new(),
            queue_manager: queue_manager.to_string(),
            is_shared: false,
            begun: 0,
            out: BytesMut::new(),
            joiner: Joiner::default(),
            arriving: None,
            set_aside: VecDeque::new(),
            is_broken: false,
        };
        let agreed = connected.agree(channel, is_shared).await;
        agreed.map_err(|error| match connected.stranger() {
            Some(stranger) => unreachable(queue_manager, true, format!("{address}: {stranger}")),
            None => in_agreement(error, channel, shown),
        })?;
        if let Some(login) = login {
            if tls.is_none() && !peer.ip().is_loopback() {
                return Err(in_the_clear(peer));
            }
            connected.log_in(login).await?;
        }
        let mut conn = Conn::default();
        conn.fields.queue_manager = Text::new(queue_manager);
        conn.fields.application = Text::new(application);
        conn.fields.application_type = constants::application::UNIX;
        // MQCONNX.
        conn.fields.options = 3;
        let call = connected.call(types::CONN, 0, Body::Conn(Box::new(conn)), &[]).await;
        call.map_err(|error| match error.reason() {
            Some(crate::reason::NOT_AUTHORIZED) if shown != Shown::Certificate => Error::refused(
                crate::reason::NOT_AUTHORIZED,
                "The user is not let in. Whoever comes from another machine has to show a certificate: --tls-ca, --tls-cert and \
                 --tls-key, for a channel with SSLCIPH.",
            ),
            _ => error.about(queue_manager),
        })?;
        Ok(connected)
    }

    /// What listens there, when it is no queue manager; by the first bytes that it sent.
    fn stranger(&self) -> Option<&'static str> {
        match self.received[..] {
            // A record of TLS: an alert, or the handshake.
            [0x15 | 0x16, 3, ..] => Some(
                "this port wants TLS from everybody, so it is none for channels; name the port that `mq` in the cluster file or a \
                 listener has for channels, or leave --channel out and use --connect with --tls-ca",
            ),
            // A frame of HTTP/2: its SETTINGS come first.
            [0, _, _, 4, ..] => Some(
                "this is the port of gRPC clients; leave --channel out, or name the port that `mq` in the cluster file \
                 or a listener has for channels",
            ),
            [b'H', b'T', b'T', b'P', ..] => Some(
                "what listens there speaks HTTP; name the port that `mq` in the cluster file or a listener has for channels",
            ),
            _ => None,
        }
    }

    /// The name of the queue manager that is connected to.
    pub fn queue_manager(&self) -> &str {
        &self.queue_manager
    }

    /// Whether a call failed without an answer: what became of it nobody said, and what is not committed is backed out.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    async fn agree(&mut self, channel: &str, is_shared: bool) -> Result<()> {
        let mut offer = Initial::default();
        let fields = &mut offer.fields;
        fields.fap = FAP;
        fields.capabilities1 = initial::CAN_CONVERT | initial::CAN_SPLIT | initial::MQ_REQUEST;
        fields.segment_bytes_max = SEGMENT_BYTES_MAX as u32;
        fields.message_bytes_max = MESSAGE_BYTES_MAX;
        fields.channel = Text::new(channel);
        fields.ccsid = CCSID;
        fields.queue_manager = Text::new(&self.queue_manager);
        fields.header_compression = Raw([0, 0xFF]);
        fields.message_compression = Raw([0xFF; 16]);
        fields.message_compression.0[0] = 0;
        fields.process = std::process::id();
        fields.conversations = i32::from(is_shared);
        fields.product = Text::new("MQCC09010000");
        // None: a password is sent as it is, or not at all.
        fields.protections.0[0] = 0;
        let asked = self.ask(types::INITIAL, &Flow::Initial(Box::new(offer))).await;
        let Flow::Initial(reply) = asked? else {
            return Err(unreachable(
                &self.queue_manager,
                true,
                "what answers there speaks another protocol".into(),
            ));
        };
        self.queue_manager = reply.fields.queue_manager.text();
        self.is_shared = reply.fields.conversations > 0;
        let user = std::env::var("USER").unwrap_or_default();
        let fields = UserIdFields {
            short_user: Text::new(&user.to_uppercase()),
            user: Text::new(&user),
            ..UserIdFields::default()
        };
        self.say(types::USER_ID, &Flow::UserId(Box::new(UserId { size: 2, fields }))).await
    }

    /// Says user and password, in the clear: how IBM's clients protect them without TLS is not public. What the queue manager
    /// makes of them is in its reply to MQCONN.
    async fn log_in(&mut self, login: &Login) -> Result<()> {
        let user = Bytes::copy_from_slice(login.user.as_bytes());
        let given = ConAuth {
            kind: USER_ID_AND_PASSWORD,
            user_length_max: user.len() as u32,
            password_length_max: login.password.len() as u32,
            token: None,
            user,
            password: login.password.clone(),
        };
        self.say(types::CONAUTH, &Flow::ConAuth(given)).await
    }

    /// MQOPEN of a queue; `options` are those of [`constants::open`]. The handle.
    ///
    /// # Errors
    /// Every call of a channel: [`Error::Refused`] with the queue manager's reason, or 2009 when the connection broke.
    pub async fn open(&mut self, queue: &str, options: u32) -> Result<i32> {
        self.open_object(queue_of_name(queue), options).await
    }

    /// MQOPEN of what an object descriptor says: with another queue manager's name, or that of a dynamic queue.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn open_object(&mut self, fields: OdFields, options: u32) -> Result<i32> {
        let name = fields.object.text();
        let open = Open { od: Od::new(fields), options, ..Open::default() };
        let opened = self.call(types::OPEN, 0, Body::Open(Box::new(open)), &[]).await;
        Ok(opened.map_err(|error| error.about(&name))?.0.handle)
    }

    /// MQCLOSE.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn close(&mut self, handle: i32) -> Result<()> {
        self.close_with(handle, close::NONE).await
    }

    /// MQCLOSE with options ([`constants::close`]).
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn close_with(&mut self, handle: i32, options: u32) -> Result<()> {
        self.call(types::CLOSE, handle, Body::Close(options), &[]).await.map(|_| ())
    }

    /// MQPUT of a text or of bytes with these options ([`constants::put`]). The message id.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn put(&mut self, handle: i32, md: Md, body: Bytes, options: u32) -> Result<[u8; 24]> {
        let (reply, _) = self.call(types::PUT, handle, put_of(md, options, &body), &[body]).await?;
        match reply.body {
            Body::Put(put) => Ok(put.md.message_id.0),
            _ => Err(broken("an answer without its message")),
        }
    }

    /// MQGET with these options ([`constants::get`]), for any message; None when there is none (2033).
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn get(&mut self, handle: i32, options: u32, wait_ms: i32) -> Result<Option<Got>> {
        self.get_up_to(handle, options, wait_ms, MESSAGE_BYTES_MAX).await
    }

    /// [`Channel::get`] with room for so many bytes of the message. One that is longer is cut where the options accept that (2079),
    /// and otherwise stays on the queue (2080); [`Got::reason`] says so.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn get_up_to(
        &mut self,
        handle: i32,
        options: u32,
        wait_ms: i32,
        bytes_max: u32,
    ) -> Result<Option<Got>> {
        match self.call(types::GET, handle, get_of(options, wait_ms, bytes_max), &[]).await {
            Ok((Call { body: Body::Get(got), reason, .. }, body)) => {
                let message_bytes = got.length as usize;
                // What comes with a message that stays is in place of it.
                let is_left = reason as u32 == crate::reason::TRUNCATED_MSG_FAILED;
                let body = if is_left { Bytes::new() } else { body.slice(..body.len().min(message_bytes)) };
                let queue = got.gmo.resolved_queue.text();
                Ok(Some(Got { md: got.md, body, message_bytes, reason: reason as u32, queue }))
            }
            Ok(_) => Err(broken("an answer without its message")),
            Err(Error::Refused { reason, .. }) if reason == crate::reason::NO_MSG_AVAILABLE => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// MQCMIT.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn commit(&mut self) -> Result<()> {
        self.call(types::CMIT, 0, Body::Nothing, &[]).await.map(|_| ())
    }

    /// MQBACK.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn backout(&mut self) -> Result<()> {
        self.call(types::BACK, 0, Body::Nothing, &[]).await.map(|_| ())
    }

    /// MQDISC: what is not committed is.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn disconnect(mut self) -> Result<()> {
        self.call(types::DISC, 0, Body::Nothing, &[]).await.map(|_| ())
    }

    // ---- segments ---------------------------------------------------------------------------------------------

    fn header(&self, segment: u8, request: u32) -> Header {
        Header {
            kind: match self.is_shared {
                true => Kind::Multiplexed { conversation: CONVERSATION, request },
                false => Kind::Plain,
            },
            order: Order::Little,
            segment,
            flags: flags::WHOLE,
            flags2: 0,
            luwid: Raw::default(),
            encoding: ENCODING,
            ccsid: CCSID,
            reserved: 0,
        }
    }

    /// One call and its reply, with the data behind it.
    async fn call(&mut self, segment: u8, handle: i32, body: Body, data: &[Bytes]) -> Result<(Call, Bytes)> {
        let number = self.begin(segment, handle, body, data);
        match self.answer(number).await {
            Ok(outcome) => outcome.map(|(call, data)| (*call, data)),
            Err(error) => {
                self.is_broken = true;
                Err(error)
            }
        }
    }

    /// An error when the connection broke before there was one.
    async fn answer(&mut self, number: u32) -> Result<Result<(Box<Call>, Bytes)>> {
        self.flush().await?;
        loop {
            match self.next_heard().await? {
                Heard::Answer(of, outcome) if of == number => return Ok(outcome),
                other => self.set_aside.push_back(other),
            }
        }
    }

    async fn say(&mut self, segment: u8, flow: &Flow) -> Result<()> {
        self.begin_flow(segment, flow, flags::WHOLE);
        self.flush().await
    }

    async fn ask(&mut self, segment: u8, flow: &Flow) -> Result<Flow> {
        self.say(segment, flow).await?;
        let answer = self.next().await?;
        Flow::read(&answer).map_err(broken)
    }

    /// The next segment that is no heartbeat; a STATUS is an error. Nothing is lost when it is dropped while it waits.
    async fn next(&mut self) -> Result<Segment> {
        loop {
            if let Some(segment) = self.take()? {
                return Ok(segment);
            }
            self.received.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.received).await.map_err(broken)? == 0 {
                return Err(broken("the other end closed it"));
            }
        }
    }

    /// The next segment if it is there.
    fn take(&mut self) -> Result<Option<Segment>> {
        while let Some(segment) = Segment::take(&mut self.received, SEGMENT_BYTES_MAX).map_err(broken)? {
            match segment.header.segment {
                types::HEARTBEAT => {}
                types::STATUS => {
                    if let Ok(Flow::Status(Some(status))) = Flow::read(&segment) {
                        return Err(refusal(status.code));
                    }
                }
                _ => return Ok(Some(segment)),
            }
        }
        Ok(None)
    }
}

/// The bytes of a connection, and who is at the other end.
async fn wire(tls: Option<&Tls>, address: &str) -> io::Result<(Box<dyn Wire>, SocketAddr)> {
    let stream = dial(address).await?;
    let peer = stream.peer_addr()?;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok((Box::new(stream), peer)) };
    // Without the brackets of an IPv6 address.
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    Ok((Box::new(tls.wrap_channel(host, stream).await?), peer))
}

fn put_of(md: Md, options: u32, body: &Bytes) -> Body {
    let pmo = Pmo { version: 1, options, timeout: -1, ..Pmo::default() };
    Body::Put(Box::new(Put { md, pmo, length: body.len() as u32, ..Put::default() }))
}

fn get_of(options: u32, wait_ms: i32, bytes_max: u32) -> Body {
    let gmo = Gmo { version: 1, options, wait_interval: wait_ms, ..Gmo::default() };
    let md = Md { version: 2, ..datagram() };
    Body::Get(Box::new(Get { md, gmo, length: bytes_max, data: Bytes::new() }))
}

fn in_the_clear(peer: SocketAddr) -> Error {
    Error::Refused {
        code: 2,
        reason: PASSWORD_PROTECTION_ERROR,
        name: "PASSWORD_PROTECTION_ERROR",
        text: format!(
            "The password would go to {peer} in the clear; use TLS, give no user, or connect to a port on a loopback address."
        ),
    }
}

/// The MQMD of a datagram with everything else as the queue says.
pub fn datagram() -> Md {
    Md {
        version: 1,
        message_type: 8,
        expiry: -1,
        encoding: ENCODING as i32,
        ccsid: 1208,
        priority: -1,
        persistence: 2,
        ..Md::default()
    }
}

/// The object descriptor of a queue.
pub fn queue_of_name(queue: &str) -> OdFields {
    OdFields { version: 1, object_type: object::QUEUE, object: Text::new(queue), ..OdFields::default() }
}

/// What a STATUS means to a program.
fn refusal(code: u32) -> Error {
    use crate::reason::*;
    let (reason, text) = match code {
        status::NO_CHANNEL => (UNKNOWN_CHANNEL_NAME, text_of(UNKNOWN_CHANNEL_NAME)),
        status::WRONG_CHANNEL_TYPE => (CHANNEL_CONFIG_ERROR, "The channel is not one for clients."),
        status::CHANNEL_UNAVAILABLE => (CHANNEL_NOT_AVAILABLE, text_of(CHANNEL_NOT_AVAILABLE)),
        status::QMGR_UNAVAILABLE => {
            (Q_MGR_NOT_AVAILABLE, "Nobody serves the queue manager just now; try again.")
        }
        status::QMGR_TERMINATING => (Q_MGR_STOPPING, text_of(Q_MGR_STOPPING)),
        status::SECURITY => (NOT_AUTHORIZED, "The user is not let in."),
        status::STANDBY_QMGR => (STANDBY_Q_MGR, text_of(STANDBY_Q_MGR)),
        status::CIPHER_SPEC => (SSL_INITIALIZATION_ERROR, text_of(SSL_INITIALIZATION_ERROR)),
        status::PEER_NAME => (SSL_PEER_NAME_MISMATCH, text_of(SSL_PEER_NAME_MISMATCH)),
        status::CLIENT_CERTIFICATE => (JSSE_ERROR, text_of(JSSE_ERROR)),
        _ => return broken(format!("it was refused with STATUS {code:#04x}")),
    };
    Error::refused(reason, text)
}

/// A refusal of the channel names it, and the options that it is about. A port for other programs often closes the connection
/// without a word.
fn in_agreement(error: Error, channel: &str, shown: Shown) -> Error {
    use crate::reason::*;
    let Error::Refused { reason, text, .. } = error else { return error };
    match (reason, shown) {
        (CONNECTION_BROKEN, _) => {
            Error::refused(reason, format!("{text} Is this the port of a listener for channels?"))
        }
        (Q_MGR_NOT_AVAILABLE | STANDBY_Q_MGR, _) => Error::refused(reason, text),
        (SSL_INITIALIZATION_ERROR, Shown::NoTls) => {
            Error::refused(reason, "The channel demands TLS: --tls-ca, and --tls-cert with --tls-key.").about(channel)
        }
        (SSL_INITIALIZATION_ERROR, _) => Error::refused(
            reason,
            "SSLCIPH of the channel is blank, or demands another suite: leave --tls-ca (TRIMARAN_TLS_CA) out, or ALTER the \
             channel to SSLCIPH(ANY_TLS12_OR_HIGHER).",
        )
        .about(channel),
        (JSSE_ERROR, _) => {
            Error::refused(reason, format!("{text} Give --tls-cert and --tls-key.")).about(channel)
        }
        _ => Error::refused(reason, text).about(channel),
    }
}

fn broken(why: impl std::fmt::Display) -> Error {
    Error::refused(crate::reason::CONNECTION_BROKEN, format!("The connection broke: {}.", plain::error(why)))
}

/// Of TLS, of a certificate or of an address, in contrast to what networks and nodes that start or stop do.
fn is_disagreement(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other)
}

fn unreachable(queue_manager: &str, is_lasting: bool, text: String) -> Error {
    let queue_manager = match queue_manager {
        "" => "the queue manager".to_string(),
        name => format!("queue manager {name}"),
    };
    Error::Unreachable { queue_manager, within_s: 0.0, is_lasting, text }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn a_channel_that_is_stopped_or_not_there_is_named() {
        let said = |code| in_agreement(refusal(code), "APP.SVRCONN", Shown::NoTls);
        let stopped = said(status::CHANNEL_UNAVAILABLE);
        assert_eq!(stopped.reason(), Some(crate::reason::CHANNEL_NOT_AVAILABLE));
        assert!(
            stopped.to_string().starts_with("APP.SVRCONN: The channel is stopped or has as many"),
            "{stopped}"
        );
        let unknown = said(status::NO_CHANNEL).to_string();
        assert!(unknown.starts_with("APP.SVRCONN: There is no channel of this name"), "{unknown}");
    }

    #[test]
    fn a_channel_that_wants_other_protection_names_the_options() {
        for (code, shown, number, said) in [
            (status::CIPHER_SPEC, Shown::NoTls, 2393, "The channel demands TLS: --tls-ca"),
            (status::CIPHER_SPEC, Shown::Certificate, 2393, "leave --tls-ca (TRIMARAN_TLS_CA) out"),
            (status::CLIENT_CERTIFICATE, Shown::NoCertificate, 2397, "Give --tls-cert and --tls-key."),
            (status::PEER_NAME, Shown::Certificate, 2398, "another name than SSLPEER"),
        ] {
            let refused = in_agreement(refusal(code), "APP.SVRCONN", shown);
            assert_eq!(refused.reason(), Some(number));
            let text = refused.to_string();
            assert!(text.starts_with("APP.SVRCONN: ") && text.contains(said), "{text}");
        }
    }

    /// What a port sends at once, or when it is spoken to as a channel.
    async fn said_by(bytes: &'static [u8]) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 64];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        };
        let (refused, ()) = tokio::join!(Channel::connect(&address, "C", "QM1", "test"), serving);
        refused.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_port_for_others_is_told_apart() {
        let tls = said_by(&[0x15, 3, 3, 0, 2, 2, 10]).await;
        assert!(
            tls.contains("this port wants TLS from everybody")
                && tls.contains("reach a node that serves queue manager QM1: "),
            "{tls}"
        );
        assert!(
            said_by(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 64, 0]).await.contains("port of gRPC clients")
        );
        assert!(said_by(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.contains("speaks HTTP"));
        assert!(said_by(b"").await.contains("Is this the port of a listener for channels"));
    }
}
