//! Drives one socket: bytes from the client to [`Socket`], its asks to the replica, and everything back.
//!
//! One task a connection. A client that does not read what it is sent is not read either, and is hung up on in the end. Of
//! what has come, from the client or for it, a part is handled at a time, and others have their turn in between. Whatever is
//! waited for, the end of the client is seen: nothing waits for what only the end of its own session could free.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Sleep};

use super::super::Listener;
use super::super::backlogs::Of;
use super::super::client::Client;
use super::super::counters::add;
use super::super::gate::{Admission, Gate, NotAdmitted};
use super::super::guarded::Guarded;
use super::super::link::Link;
use super::super::traffic::Counted;
use super::super::unread::Unread;
use super::conversion::{Conversion, Converted};
use super::convert::Code;
use super::desk::{Ask, Connect};
use super::intake::Intake;
use super::socket::Socket;
use super::waits::{Entry, Told, Waits};
use crate::mqi::{Call, ChannelTerms, Completion, Identity, Refusal};
use crate::replica::{Delivery, answer_bytes};
use crate::types::definition::Tongue;
use crate::types::{Held, ObjectName, Reason, Share, Token, WallTime};

/// What is read at a time.
const READ_BYTES: usize = 32 * 1024;
/// A client that is not connected to the queue manager by then, or has nothing connected any more for so long, is hung up on: who it
/// is, is asked when it connects.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Below this, a heartbeat that is not answered is waited for once more as long; from it on, this much longer.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(60);
/// Answers that wait are sent when so many bytes have come together, or so many answers; long inquiries are several.
const SEND_BYTES: usize = 256 * 1024;
const ANSWERS_TOGETHER: usize = 64;
/// A client that sends on and on while what it sent cannot be handled, and of whose end nothing could be seen, is hung up on.
const UNHANDLED_PATIENCE: Duration = Duration::from_secs(60);
/// So often is seen whether a queue lets gets in again that a callback waits for.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// When the queue manager has ended the instance of the channel, or one of its sessions, the others may have answers on their way,
/// such as that of a commit, and say by themselves that they have ended: they have so long.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const UNHANDLED: &str = "it sends more than can be handled, and waits for none of it";

/// A connection and its sessions.
pub struct Driver<IO> {
    listener: Listener,
    gate: Gate,
    io: Guarded<IO>,
    socket: Socket,
    received: BytesMut,
    /// Something of what was received can be handled when there is room for it.
    is_left: bool,
    /// Since when nothing is handled and nothing more is read.
    unhandled_since: Option<Instant>,
    /// When it is seen whether callbacks may go on, if some wait.
    retry_at: Option<Instant>,
    intake: Intake,
    links: BTreeMap<u32, Open>,
    /// Which of its connections are not to wait any longer.
    told: Told,
    /// Text that is converted elsewhere, and what is held for it.
    conversions: JoinSet<Option<Done>>,
    /// What is written to the client.
    unread: Unread,
    /// Bytes of bodies that are in the socket's answers and not written: by whom, and how many.
    answered: Vec<(u32, u64)>,
    /// Of the channel, once the client has said which.
    instance: Option<Link>,
    /// What goes through it.
    counted: Option<Counted>,
    /// The queue manager has ended the instance: by then the connection ends, too.
    ending: Option<Instant>,
    /// When the client was heard last.
    heard: Instant,
    /// Since when it has no session, if it has none.
    unconnected: Instant,
    asked: bool,
    /// Wakes when the silence may mean something: set anew when it did not, and not each time that something is heard.
    quiet: Pin<Box<Sleep>>,
}

/// Whose text was converted, and what was held for it.
type Done = (u32, Token, Converted, Held);

/// A session of one conversation. In this order: the session ends before its place is free.
struct Open {
    link: Link,
    /// Answers that the conversation has not got.
    arrived: std::vec::IntoIter<(Token, Completion)>,
    /// The one before them waits for its text.
    converting: Option<AbortHandle>,
    entry: Entry,
    _admission: Admission,
}

impl Open {
    fn may_answer(&self) -> bool {
        self.converting.is_none() && !self.arrived.as_slice().is_empty()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(converting) = &self.converting {
            converting.abort();
        }
    }
}

enum Wake {
    Delivery(u32, Option<Delivery>),
    Converted(Option<Done>),
    /// A connection is to wait no longer.
    EndWaits(u64),
    /// Others had their turn.
    GoOn,
    /// The queue manager ends the instance of the channel.
    Ending,
    Ended,
    Read(std::io::Result<usize>),
    /// Time to look at what is unfinished.
    Look,
    Quiet,
    Retry,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    /// `waits` are those of the listener.
    pub fn new(listener: Listener, gate: Gate, io: Guarded<IO>, socket: Socket, waits: &Waits) -> Driver<IO> {
        let received = BytesMut::new();
        let links = BTreeMap::new();
        let intake = Intake::new(listener.account.clone());
        let unread = Unread::watched(&listener.backlogs, io.client().clone(), Of::Call);
        Driver {
            listener,
            gate,
            io,
            socket,
            received,
            is_left: false,
            unhandled_since: None,
            retry_at: None,
            intake,
            links,
            told: waits.socket(),
            conversions: JoinSet::new(),
            unread,
            answered: Vec::new(),
            instance: None,
            counted: None,
            ending: None,
            heard: Instant::now(),
            unconnected: Instant::now(),
            asked: false,
            quiet: Box::pin(tokio::time::sleep(CONNECT_WITHIN)),
        }
    }

    /// Until the client or the queue manager ends it, or `closing`.
    pub async fn run(mut self, closing: impl Future<Output = ()>) {
        let mut closing = pin!(closing);
        loop {
            if self.carry_out(closing.as_mut()).await.is_err() || self.socket.is_closing() {
                break;
            }
            let has_room = self.intake.hold(self.socket.unfinished(), self.socket.kept_bytes());
            let may_handle = has_room && !self.socket.is_full() && self.ending.is_none();
            let goes_on = (may_handle && self.is_left) || self.links.values().any(Open::may_answer);
            // A little is read ahead, so that the end of the client is seen.
            let may_read = (may_handle && !self.is_left) || self.received.len() < READ_BYTES;
            let is_unhandled = !may_handle && !may_read;
            let unhandled_since = is_unhandled.then(|| self.unhandled_since.unwrap_or_else(Instant::now));
            self.unhandled_since = unhandled_since;
            let unhandled_until = unhandled_since.unwrap_or_else(Instant::now) + UNHANDLED_PATIENCE;
            let quiet_at = self.quiet_at();
            let look = self.intake.look_at();
            let has_paused = self.socket.has_paused();
            self.retry_at = has_paused.then(|| self.retry_at.unwrap_or_else(|| Instant::now() + RETRY_EVERY));
            let retry_at = self.retry_at.unwrap_or(quiet_at);
            if quiet_at < self.quiet.deadline() {
                self.quiet.as_mut().reset(quiet_at);
            }
            let wake = {
                let Driver { io, received, links, told, instance, ending, conversions, quiet, .. } =
                    &mut self;
                received.reserve(READ_BYTES);
                tokio::select! {
                    biased;
                    () = &mut closing => break,
                    (id, delivery) = next_delivery(links) => Wake::Delivery(id, delivery),
                    unique = told.next() => Wake::EndWaits(unique),
                    Some(converted) = conversions.join_next() => match converted {
                        Ok(converted) => Wake::Converted(converted),
                        Err(ended) if ended.is_cancelled() => Wake::Look,
                        Err(_) => Wake::Converted(None),
                    },
                    () = ended(instance), if ending.is_none() => Wake::Ending,
                    () = tokio::time::sleep_until(ending.unwrap_or(quiet_at)), if ending.is_some() => Wake::Ended,
                    () = tokio::task::yield_now(), if goes_on => Wake::GoOn,
                    read = io.read_buf(received), if may_read => Wake::Read(read),
                    () = tokio::time::sleep_until(look.unwrap_or(quiet_at)), if look.is_some() => Wake::Look,
                    () = tokio::time::sleep_until(unhandled_until), if is_unhandled => {
                        self.io.hang_up(UNHANDLED);
                        break;
                    }
                    () = tokio::time::sleep_until(retry_at), if has_paused => Wake::Retry,
                    () = quiet.as_mut(), if may_read => Wake::Quiet,
                }
            };
            match wake {
                // What was answered before comes before: the sessions have ended in the same moment, or soon.
                Wake::Ending if !self.links.is_empty() => self.end_soon(),
                Wake::Ending | Wake::Ended => self.socket.on_session_ended(),
                Wake::Delivery(id, delivery) => {
                    self.take_delivery(id, delivery);
                    self.answer(id);
                }
                Wake::EndWaits(unique) => self.socket.end_waits(unique, now()),
                Wake::Converted(None) => self.socket.on_session_ended(),
                Wake::Converted(Some((id, token, converted, _held))) => {
                    self.socket.on_converted(id, token, converted, now());
                    if let Some(open) = self.links.get_mut(&id)
                        && !self.socket.is_converting(id)
                    {
                        open.converting = None;
                        self.answer(id);
                    }
                }
                Wake::GoOn => {
                    let answered = self.links.iter().filter(|(_, open)| open.may_answer());
                    for id in answered.map(|(id, _)| *id).collect::<Vec<_>>() {
                        self.answer(id);
                    }
                    if may_handle && self.is_left {
                        self.handle();
                    }
                }
                Wake::Read(Ok(0) | Err(_)) => break,
                Wake::Read(Ok(bytes)) => {
                    self.counted.iter().for_each(|counted| counted.received(bytes as u64));
                    // Until there is an agreement the time runs on: a byte now and then is none.
                    if self.socket.agreed().is_some() {
                        (self.heard, self.asked) = (Instant::now(), false);
                    }
                    add(&self.listener.counters.frames_received, 1);
                    match may_handle && !self.is_left {
                        true => self.handle(),
                        false => self.is_left = true,
                    }
                }
                Wake::Look if self.intake.is_over() => {
                    let because = "it does not finish what it sends, or there is no memory for it";
                    self.listener.hang_ups.hang_up(self.io.client(), because);
                    break;
                }
                Wake::Look => {}
                Wake::Retry => {
                    self.retry_at = None;
                    self.socket.retry(now());
                }
                Wake::Quiet if Instant::now() < quiet_at => self.quiet.as_mut().reset(quiet_at),
                Wake::Quiet if self.asked || !self.socket.is_connected() => {
                    tracing::info!(client = self.address(), "a client was not heard any more");
                    break;
                }
                Wake::Quiet => {
                    self.asked = true;
                    let quiet_at = self.quiet_at();
                    self.quiet.as_mut().reset(quiet_at);
                    self.socket.heartbeat(now());
                }
            }
        }
        if let Some(why) = self.socket.take_violation() {
            add(&self.listener.counters.violations, 1);
            tracing::warn!(client = self.address(), channel = self.socket.channel(), "{why}");
        }
        let _ = self.io.shutdown().await;
    }

    fn handle(&mut self) {
        self.is_left = self.socket.on_bytes(&mut self.received, now());
    }

    /// When the silence of the client means something.
    fn quiet_at(&self) -> Instant {
        let Some(agreed) = self.socket.agreed().filter(|_| self.socket.is_connected()) else {
            return self.unconnected + CONNECT_WITHIN;
        };
        let heartbeat = Duration::from_secs(u64::from(agreed.heartbeat_seconds));
        match (heartbeat, self.asked) {
            (Duration::ZERO, _) => self.heard + Duration::from_secs(365 * 86_400),
            (heartbeat, false) => self.heard + heartbeat,
            (heartbeat, true) => self.heard + heartbeat + heartbeat.min(HEARTBEAT_PATIENCE),
        }
    }

    /// Hands asks to the replica and bytes to the client, until there are none. Fails when the client ends, or `closing` says so.
    async fn carry_out(&mut self, mut closing: Pin<&mut impl Future<Output = ()>>) -> std::io::Result<()> {
        loop {
            let asks = self.socket.take_asks();
            if asks.is_empty() {
                break;
            }
            let mut calls: Vec<(Token, Call)> = Vec::new();
            let mut caller = None;
            for (id, ask) in asks {
                if caller != Some(id) || !matches!(ask, Ask::Call(..)) {
                    self.send(caller, std::mem::take(&mut calls), closing.as_mut()).await?;
                    caller = Some(id);
                }
                match ask {
                    Ask::Call(token, call) => calls.push((token, call)),
                    Ask::Convert(token, conversion) => self.convert(id, token, conversion),
                    Ask::EndWaits(unique) => {
                        let user = self.links.get(&id).map(|open| open.link.terms().user.as_str());
                        user.into_iter().for_each(|user| self.told.end(unique, user));
                    }
                    Ask::Translate => self.translate(id, closing.as_mut()).await?,
                    Ask::Instance(channel) => self.begin_instance(&channel, closing.as_mut()).await?,
                    Ask::Connect(asked) => self.connect(id, asked, closing.as_mut()).await?,
                    Ask::Disconnect => {
                        self.links.remove(&id);
                        self.unconnected = Instant::now();
                    }
                }
            }
            self.send(caller, calls, closing.as_mut()).await?;
        }
        if self.socket.has_out() {
            add(&self.listener.counters.frames_sent, 1);
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> std::io::Result<()> {
        let mut out = self.unread.hold(self.socket.take_out().freeze());
        for (id, bytes) in self.answered.drain(..) {
            if let Some(open) = self.links.get(&id) {
                open.link.sent(bytes);
            }
        }
        while !out.is_empty() {
            match self.io.write_buf(&mut out).await? {
                0 => return Err(std::io::ErrorKind::WriteZero.into()),
                written => {
                    self.counted.iter().for_each(|counted| counted.sent(written as u64));
                    self.unread.note_taken(written as u64);
                }
            }
        }
        self.io.flush().await
    }

    async fn send(
        &mut self,
        id: Option<u32>,
        calls: Vec<(Token, Call)>,
        closing: Pin<&mut impl Future<Output = ()>>,
    ) -> std::io::Result<()> {
        if calls.is_empty() {
            return Ok(());
        }
        add(&self.listener.counters.calls_received, calls.len() as u64);
        self.counted.iter().for_each(|counted| counted.called(calls.len() as u64, now()));
        let open = id.and_then(|id| self.links.get_mut(&id));
        let Some(open) = open else { return Ok(()) };
        let before = self.received.len();
        let sent = while_there(&mut self.io, &mut self.received, closing, open.link.send(calls)).await?;
        self.is_left |= self.received.len() > before;
        if sent.is_err() {
            self.socket.on_session_ended();
        }
        Ok(())
    }

    /// Text is converted where it keeps nobody waiting, and counted meanwhile.
    fn convert(&mut self, id: u32, token: Token, conversion: Conversion) {
        let Some(open) = self.links.get_mut(&id) else { return };
        let mut held = Held::nothing(self.listener.account.clone(), Share::Answers);
        held.set(conversion.bytes() as u64);
        let places = self.listener.bodies.clone();
        let converting = async move {
            let place = places.acquire_owned().await;
            // The place is taken until it is done, also when nobody waits for it any more.
            let run = tokio::task::spawn_blocking(move || {
                let converted = conversion.run();
                drop(place);
                converted
            });
            let converted = run.await.ok()?;
            held.set(converted.body.len() as u64);
            Some((id, token, converted, held))
        };
        open.converting = Some(self.conversions.spawn(converting));
    }

    /// One client of the node at a time has selectors translated, and others have their turn in between.
    async fn translate(
        &mut self,
        id: u32,
        closing: Pin<&mut impl Future<Output = ()>>,
    ) -> std::io::Result<()> {
        let turns = self.listener.translations.clone();
        let before = self.received.len();
        let turn = while_there(&mut self.io, &mut self.received, closing, turns.acquire_owned()).await?;
        self.is_left |= self.received.len() > before;
        self.socket.translate(id, now());
        tokio::task::yield_now().await;
        drop(turn);
        Ok(())
    }

    async fn begin_instance(
        &mut self,
        channel: &str,
        closing: Pin<&mut impl Future<Output = ()>>,
    ) -> std::io::Result<()> {
        let opened = self.open_instance(channel, closing).await?;
        self.socket.on_channel(opened);
        // What came behind the offer.
        self.handle();
        Ok(())
    }

    async fn open_instance(
        &mut self,
        channel: &str,
        closing: Pin<&mut impl Future<Output = ()>>,
    ) -> std::io::Result<Result<ChannelTerms, Refusal>> {
        let known = self.io.client();
        let Ok(name) = ObjectName::new(channel) else { return Ok(Err(Reason::UnknownChannelName.into())) };
        let client = known.with_identity(Identity { channel: Some(name), ..known.identity.clone() });
        let opening = Link::open_instance(&self.listener, &client, self.socket.queue_manager());
        Ok(match while_there(&mut self.io, &mut self.received, closing, opening).await? {
            Ok(link) => {
                let terms = link.terms().channel.clone();
                if let (Ok(queue_manager), Some(channel)) =
                    (ObjectName::new(&link.queue_manager()), client.identity.channel.clone())
                {
                    let of = (queue_manager, link.session());
                    self.counted = Some(self.listener.traffic.begin(of, channel, now()));
                }
                self.instance = Some(link);
                terms.ok_or(Reason::UnknownChannelName.into())
            }
            Err(unserved) => Err(Refusal::from(*unserved.refusal)),
        })
    }

    fn address(&self) -> String {
        self.io.client().address.map_or_else(String::new, |address| address.to_string())
    }

    async fn connect(
        &mut self,
        id: u32,
        asked: Connect,
        closing: Pin<&mut impl Future<Output = ()>>,
    ) -> std::io::Result<()> {
        let opened = self.open(&asked, closing).await?;
        let opened = match opened {
            Ok(open) => {
                let unique = open.entry.unique();
                self.links.insert(id, open);
                Ok(unique)
            }
            Err((reason, why)) => {
                let code = reason.number() as Code;
                tracing::warn!(
                    client = self.address(),
                    channel = asked.channel,
                    user = asked.asserted_user,
                    application = asked.application,
                    reason = code,
                    "a program was not let in: {why}"
                );
                Err(code)
            }
        };
        self.socket.on_connected(id, opened, now());
        Ok(())
    }

    /// The session, or the reason that the program is told and why, for the log.
    async fn open(
        &mut self,
        asked: &Connect,
        closing: Pin<&mut impl Future<Output = ()>>,
    ) -> std::io::Result<Result<Open, (Reason, String)>> {
        let admission = match self.gate.admit_program(self.client(asked)) {
            Ok(admission) => admission,
            Err(refused) => {
                let reason = match refused {
                    NotAdmitted::Stopping => Reason::QMgrQuiescing,
                    NotAdmitted::NoUser(_) => Reason::NotAuthorized,
                    NotAdmitted::TooMany { .. } | NotAdmitted::Crowded => Reason::MaxConnsLimitReached,
                };
                return Ok(Err((reason, refused.to_string())));
            }
        };
        let name = self.socket.queue_manager();
        let application = asked.application.clone();
        let before = self.received.len();
        let opening = Link::open(&self.listener, &admission.client, name, application);
        let opened = while_there(&mut self.io, &mut self.received, closing, opening).await?;
        self.is_left |= self.received.len() > before;
        Ok(match opened {
            Ok(link) => {
                let arrived = Vec::new().into_iter();
                let entry = self.told.add(unique(), &link.terms().user);
                Ok(Open { link, arrived, converting: None, entry, _admission: admission })
            }
            Err(unserved) => {
                let refusal = Refusal::from(*unserved.refusal);
                Err((refusal.reason, refusal.sentence()))
            }
        })
    }

    /// The channel says whose rights count. If it does not, the certificate says who it is, and where there is none, the client
    /// does: whoever reaches this listener is believed.
    fn client(&self, asked: &Connect) -> Client {
        let known = self.io.client();
        let identity = match (self.socket.channel_user(), known.identity.user.is_empty()) {
            (Some(user), _) => Identity { user: user.to_string(), ..known.identity.clone() },
            (None, false) => known.identity.clone(),
            (None, true) => {
                let user = asked.credentials.as_ref().map_or(&asked.asserted_user, |(user, _)| user);
                Identity { user: user.clone(), ..known.identity.clone() }
            }
        };
        let channel = ObjectName::new(self.socket.channel()).ok();
        known.with_identity(Identity { channel, tongue: Tongue::Channel, ..identity })
    }

    fn take_delivery(&mut self, id: u32, delivery: Option<Delivery>) {
        match (delivery, self.links.get_mut(&id)) {
            (Some(Delivery::Completions(completions)), Some(open)) => {
                debug_assert!(open.arrived.as_slice().is_empty(), "answers come in order");
                open.arrived = completions.into_iter();
            }
            (Some(Delivery::Completions(_)), None) => {}
            (Some(Delivery::Closed { .. }) | None, _) => self.on_closed(id),
        }
    }

    /// The last session takes the connection with it. Before, nothing more is begun, and the others are waited for.
    fn on_closed(&mut self, id: u32) {
        self.links.remove(&id);
        match self.links.is_empty() {
            true => self.socket.on_session_ended(),
            false => self.end_soon(),
        }
    }

    fn end_soon(&mut self) {
        self.ending.get_or_insert_with(|| Instant::now() + LAST_ANSWERS_WITHIN);
    }

    /// Gives a conversation answers that are there: some of them.
    fn answer(&mut self, id: u32) {
        let (mut sent, mut weight) = (0, 0);
        while weight < ANSWERS_TOGETHER && self.socket.out_bytes() <= SEND_BYTES && !self.socket.is_closing()
        {
            let Some(open) = self.links.get_mut(&id).filter(|open| open.converting.is_none()) else { break };
            let Some((token, completion)) = open.arrived.next() else {
                let Some(more) = open.link.try_recv() else { break };
                self.take_delivery(id, Some(more));
                continue;
            };
            let bytes = answer_bytes(&completion);
            if bytes > 0 {
                self.answered.push((id, bytes));
            }
            if completion.is_failed() {
                self.listener.counters.count_failed(completion.reason);
            }
            sent += 1;
            weight += self.socket.weight(id, token);
            self.socket.on_completion(id, token, completion, now());
            if self.socket.is_converting(id) {
                break;
            }
        }
        add(&self.listener.counters.answers_sent, sent as u64);
    }
}

/// What the replica is asked for, unless the client ends first, or `closing` says so.
async fn while_there<IO: AsyncRead + Unpin, T>(
    io: &mut Guarded<IO>,
    received: &mut BytesMut,
    closing: Pin<&mut impl Future<Output = ()>>,
    asked: impl Future<Output = T>,
) -> std::io::Result<T> {
    tokio::select! {
        biased;
        answered = asked => Ok(answered),
        () = closing => Err(std::io::ErrorKind::ConnectionAborted.into()),
        ended = end(io, received) => Err(ended),
    }
}

/// How the client ends: it says so, or it sends on and on, and its end could not be seen.
async fn end<IO: AsyncRead + Unpin>(io: &mut Guarded<IO>, received: &mut BytesMut) -> std::io::Error {
    while received.len() < READ_BYTES {
        received.reserve(READ_BYTES);
        match io.read_buf(received).await {
            Ok(0) => return std::io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    tokio::time::sleep(UNHANDLED_PATIENCE).await;
    io.hang_up(UNHANDLED)
}

/// When the queue manager ends the instance.
async fn ended(instance: &mut Option<Link>) {
    let Some(link) = instance else { return std::future::pending().await };
    while let Some(delivery) = link.recv().await {
        if matches!(delivery, Delivery::Closed { .. }) {
            return;
        }
    }
}

/// What the first session has to say that has something.
async fn next_delivery(links: &mut BTreeMap<u32, Open>) -> (u32, Option<Delivery>) {
    poll_fn(|context| {
        for (id, open) in links.iter_mut() {
            if open.converting.is_some() || open.may_answer() {
                continue;
            }
            // A receiver keeps its waker when the future that polled it is gone.
            if let Poll::Ready(delivery) = pin!(open.link.recv()).poll_unpin(context) {
                return Poll::Ready((*id, delivery));
            }
        }
        Poll::Pending
    })
    .await
}

fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    WallTime(since.map_or(0, |since| since.as_millis() as i64))
}

/// Different for every connection of every node: from the seed that the standard library takes from the system.
pub fn unique() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::DuplexStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::listener::grpc::testing::{FakeNode, fake_node, held_put, serving};
    use crate::listener::mq::Terms;
    use crate::listener::mq::socket_test::{agreed, long_put};
    use crate::listener::{Accepted, Limits};
    use crate::mqi;
    use crate::replica::{Outbox, SessionHandle};
    use crate::types::Share;

    #[tokio::test(start_paused = true)]
    async fn what_a_client_does_not_take_is_counted_and_costs_its_connection() {
        let node = fake_node(Limits::default(), serving());
        let (near, mut far) = tokio::io::duplex(24);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let terms = Terms::new(ObjectName::new("QM").unwrap(), "demo");
        let socket = Socket::new(Arc::new(terms), 1, [7; 12], None);
        let driver = Driver::new(node.listener.clone(), gate, io, socket, &Waits::default());
        let began = Instant::now();
        let driven = tokio::spawn(driver.run(std::future::pending()));
        // No segment: the answer is a STATUS, which does not fit into the line.
        far.write_all(&[b'?'; 24]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(node.listener.account.used(Share::Answers) > 24);
        driven.await.unwrap();
        assert_eq!((began.elapsed().as_secs(), node.listener.counters.figures().hung_up), (10, 1));
        assert_eq!(node.listener.account.used(Share::Answers), 0);
    }

    /// A connection whose program has put a message of 900,000 bytes and a byte of another call, and for which there is no
    /// room, because another session has all of it.
    async fn without_room(node: &FakeNode) -> (JoinHandle<()>, DuplexStream, (SessionHandle, Outbox)) {
        let inbox = node.listener.node.queue_manager("QM").unwrap();
        let other = inbox.open_session(mqi::Connect::default()).await.unwrap();
        other.0.send(Token(1), held_put()).await.unwrap();
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let (socket, mut put) = long_put(900_000);
        let mut driver = Driver::new(node.listener.clone(), gate.clone(), io, socket, &Waits::default());
        let admission = gate.admit(Client::new(None, Identity::of("test"))).unwrap();
        let link = Link::open(&node.listener, &admission.client, "QM", String::new()).await.unwrap();
        let arrived = Vec::new().into_iter();
        let entry = driver.told.add(1, &link.terms().user);
        driver.links.insert(1, Open { link, arrived, converting: None, entry, _admission: admission });
        let driven = tokio::spawn(driver.run(std::future::pending()));
        put.extend_from_slice(b"T");
        far.write_all(&put).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!driven.is_finished(), "it waits for room");
        (driven, far, other)
    }

    #[tokio::test(start_paused = true)]
    async fn who_agrees_on_a_channel_and_connects_to_nothing_gives_its_place_back() {
        let node = fake_node(Limits::default(), serving());
        let (near, far) = tokio::io::duplex(1 << 20);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let socket = agreed();
        assert!(socket.agreed().is_some() && !socket.is_connected());
        let began = Instant::now();
        Driver::new(node.listener.clone(), gate, io, socket, &Waits::default())
            .run(std::future::pending())
            .await;
        assert_eq!(began.elapsed(), CONNECT_WITHIN);
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_while_its_calls_wait_for_room_leaves_nothing() {
        let node = fake_node(Limits::default(), serving());
        let places = node.listener.sessions.available_permits();
        let (driven, far, _other) = without_room(&node).await;
        drop(far);
        let ended = tokio::time::timeout(Duration::from_secs(1), driven).await;
        ended.expect("its end is seen").unwrap();
        assert_eq!(node.listener.sessions.available_permits(), places);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_on_and_on_while_its_calls_wait_for_room_is_hung_up_on() {
        let node = fake_node(Limits::default(), serving());
        let (driven, mut far, _other) = without_room(&node).await;
        let began = Instant::now();
        let flood = tokio::spawn(async move { while far.write_all(&[b'T'; 4096]).await.is_ok() {} });
        driven.await.unwrap();
        let (took, hung_up) = (began.elapsed(), node.listener.counters.figures().hung_up);
        assert!(hung_up == 1 && took < UNHANDLED_PATIENCE + Duration::from_secs(2), "{took:?}, {hung_up}");
        flood.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ends_while_its_calls_wait_for_room_ends_its_connection() {
        let node = fake_node(Limits::default(), serving());
        let (driven, mut far, _other) = without_room(&node).await;
        node.close_all.send(Reason::QMgrQuiescing).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(1), driven).await;
        ended.expect("it is told").unwrap();
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();
        assert!(told.starts_with(b"TSH"), "with a STATUS: {told:?}");
    }

    /// In a planned move the instance of its channel and its sessions end in one moment, and what was let in was done before.
    #[tokio::test(start_paused = true)]
    async fn what_was_answered_is_sent_before_the_end_of_the_channel() {
        let node = fake_node(Limits::default(), serving());
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let mut driver = Driver::new(node.listener.clone(), gate.clone(), io, agreed(), &Waits::default());
        let admission = gate.admit(Client::new(None, Identity::of("test"))).unwrap();
        let channel = Some(ObjectName::new("C").unwrap());
        let of_channel = Client::new(None, Identity { channel, ..Identity::of("test") });
        let instance = Link::open_instance(&node.listener, &of_channel, "QM").await.unwrap();
        let mut link = Link::open(&node.listener, &admission.client, "QM", String::new()).await.unwrap();
        link.send(vec![(Token(1), Call::Ping)]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        node.close_all.send(Reason::QMgrQuiescing).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let arrived = Vec::new().into_iter();
        let entry = driver.told.add(1, &link.terms().user);
        driver.links.insert(1, Open { link, arrived, converting: None, entry, _admission: admission });
        driver.instance = Some(instance);
        driver.run(std::future::pending()).await;
        assert_eq!(node.listener.counters.figures().answers_sent, 1);
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();
        assert!(told.starts_with(b"TSH"), "and then a STATUS: {told:?}");
    }

    /// STOP CHANNEL ends sessions that have nothing under way, and others of the same socket when it is done.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_has_ended_leaves_the_others_of_its_socket_time_for_their_answers() {
        let node = fake_node(Limits::default(), serving());
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let mut driver = Driver::new(node.listener.clone(), gate.clone(), io, agreed(), &Waits::default());
        for id in [1, 3] {
            let admission = gate.admit(Client::new(None, Identity::of("test"))).unwrap();
            let mut link = Link::open(&node.listener, &admission.client, "QM", String::new()).await.unwrap();
            link.send(vec![(Token(1), Call::Ping)]).await.unwrap();
            let (arrived, entry) = (Vec::new().into_iter(), driver.told.add(id.into(), &link.terms().user));
            driver.links.insert(id, Open { link, arrived, converting: None, entry, _admission: admission });
        }
        driver.on_closed(1);
        assert!(!driver.socket.is_closing(), "the other one has an answer on its way");
        let began = Instant::now();
        driver.run(std::future::pending()).await;
        assert_eq!(
            (began.elapsed(), node.listener.counters.figures().answers_sent),
            (LAST_ANSWERS_WITHIN, 1)
        );
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();
        assert!(told.starts_with(b"TSH"), "and then a STATUS: {told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_that_does_not_come_to_its_end_is_counted_and_costs_its_connection() {
        let node = fake_node(Limits::default(), serving());
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let gate = Gate::new(&node.listener);
        let io = Accepted::new(near, Client::default()).counted(&node.listener, &gate).unwrap();
        let (socket, put) = long_put(900_000);
        let driver = Driver::new(node.listener.clone(), gate, io, socket, &Waits::default());
        let began = Instant::now();
        let driven = tokio::spawn(driver.run(std::future::pending()));
        far.write_all(&put[..500_000]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let held = node.listener.account.used(Share::Receiving);
        assert!((900_000..902_000).contains(&held), "all of it is held before it is there: {held}");
        driven.await.unwrap();
        let (took, hung_up) = (began.elapsed().as_secs(), node.listener.counters.figures().hung_up);
        assert!((20..60).contains(&took) && hung_up == 1, "{took} s, {hung_up}");
        assert_eq!(node.listener.account.used(Share::Receiving), 0);
    }
}
