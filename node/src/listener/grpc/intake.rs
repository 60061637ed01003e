//! Requests on their way in: what has arrived of an unfinished message is held in the node's account, and has to arrive in
//! time.
//!
//! A message that fits into what came with its head costs nothing here. Of a longer one the head says how much follows
//! (5 bytes before every message of gRPC), and its whole length is taken from the account before it is read on: who has a
//! part waits for nobody, who has none waits. A long put, over 1 MiB, keeps it until it is answered: a hundred clients that
//! each send 100 MiB take the memory of a few. While a share is nearly used up, whoever is slow loses what it holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::server::NamedService;

use super::super::arrival::{
    COUNTED_BYTES, LONG_BYTES, LOOK_EVERY, LOOK_FOR_ROOM_EVERY, ROOM_PATIENCE, is_too_slow,
};
use crate::types::{Account, Held, Share};

/// The memory of one long put, kept in its request's extensions until it is answered.
#[derive(Clone, Debug, Default)]
pub struct Room(Arc<Mutex<Option<Held>>>);

/// The body of a request.
pub struct Intake {
    inner: tonic::body::Body,
    account: Arc<Account>,
    /// Some for a put, which may be long.
    room: Option<Room>,
    /// One message and the end, both in time; else a stream, which may be silent between its messages.
    single: bool,
    /// The unfinished message in [`Share::Receiving`]; long ones are in their room.
    held: Held,
    arriving: Arriving,
    state: State,
}

enum State {
    /// Nothing is unfinished, or so it was when it was looked last.
    Quiet,
    /// The message of this number is unfinished since.
    Unfinished { message: u64, since: Instant, look: Pin<Box<Sleep>> },
    /// The message waits for its memory.
    Waiting { since: Instant, look: Pin<Box<Sleep>> },
}

impl Intake {
    pub fn of_stream(inner: tonic::body::Body, account: Arc<Account>) -> Intake {
        let held = Held::nothing(account.clone(), Share::Receiving);
        let (arriving, state) = (Arriving::default(), State::Quiet);
        Intake { inner, account, room: None, single: false, held, arriving, state }
    }

    pub fn of_call(inner: tonic::body::Body, account: Arc<Account>) -> Intake {
        Intake { single: true, ..Intake::of_stream(inner, account) }
    }

    pub fn of_put(inner: tonic::body::Body, account: Arc<Account>, room: Room) -> Intake {
        Intake { room: Some(room), ..Intake::of_call(inner, account) }
    }

    /// Ready when what is unfinished has its memory, or will not get it.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            if self.takes_room() {
                if matches!(self.state, State::Waiting { .. }) {
                    self.state = State::Quiet;
                }
                return Poll::Ready(Ok(()));
            }
            match &mut self.state {
                State::Waiting { since, look } => {
                    ready!(look.as_mut().poll(context));
                    if since.elapsed() > ROOM_PATIENCE {
                        return Poll::Ready(Err(Status::resource_exhausted(
                            "2102: too many unfinished messages are being sent to this node; send this one again later.",
                        )));
                    }
                    look.as_mut().reset(Instant::now() + LOOK_FOR_ROOM_EVERY);
                }
                _ => {
                    let look = Box::pin(tokio::time::sleep(LOOK_FOR_ROOM_EVERY));
                    self.state = State::Waiting { since: Instant::now(), look };
                }
            }
        }
    }

    /// Takes memory for the whole of what is unfinished; false when there is none.
    fn takes_room(&mut self) -> bool {
        let length = self.arriving.length;
        let long = self.room.as_ref().filter(|_| length > LONG_BYTES && !self.arriving.is_between());
        let Some(room) = long else {
            let is_counted = self.arriving.arrived() >= COUNTED_BYTES;
            // What is longer than the share is longer than any message, and refused for that.
            let length = (length as u64).min(self.account.limit(Share::Receiving));
            return self.held.hold_beside(if is_counted { length } else { 0 });
        };
        if room.0.lock().is_some() {
            return true;
        }
        let mut held = Held::nothing(self.account.clone(), Share::Bodies);
        if held.hold_beside(length as u64) {
            *room.0.lock() = Some(held);
            self.held.clear();
            return true;
        }
        false
    }

    /// Ready when the unfinished message takes too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        loop {
            let unfinished = (self.single || !self.arriving.is_between()).then_some(self.arriving.complete);
            let share = if self.held.bytes() > 0 { Share::Receiving } else { Share::Bodies };
            let holds = self.held.bytes() > 0 || self.arriving.length > LONG_BYTES;
            let tight = holds && self.account.is_tight(share);
            match (&mut self.state, unfinished) {
                (State::Unfinished { message, since, look }, _) => {
                    // One timer for many messages: it is looked at when it ends, not with every message.
                    ready!(look.as_mut().poll(context));
                    if unfinished == Some(*message) {
                        if is_too_slow(self.arriving.arrived(), since.elapsed(), tight) {
                            let length = self.arriving.length;
                            let text =
                                format!("The message of {length} bytes comes too slowly, or not at all.");
                            return Poll::Ready(Status::deadline_exceeded(text));
                        }
                        look.as_mut().reset(Instant::now() + LOOK_EVERY);
                    } else {
                        self.state = State::Quiet;
                    }
                }
                (_, Some(message)) => {
                    let look = Box::pin(tokio::time::sleep(LOOK_EVERY));
                    self.state = State::Unfinished { message, since: Instant::now(), look };
                }
                (_, None) => return Poll::Pending,
            }
        }
    }
}

impl Body for Intake {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Err(status) = ready!(this.poll_room(context)) {
            return Poll::Ready(Some(Err(status)));
        }
        let frame = Pin::new(&mut this.inner).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.arriving.pass(data);
                }
            }
            Poll::Pending => {
                let status = ready!(this.poll_patience(context));
                return Poll::Ready(Some(Err(status)));
            }
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Where in the messages of a request its bytes are: each is one byte of flags, four of length, and the message.
#[derive(Debug, Default)]
struct Arriving {
    head: [u8; 5],
    head_bytes: usize,
    /// Of the message that arrives, or arrived last.
    length: usize,
    missing: usize,
    /// Messages that came as a whole.
    complete: u64,
}

impl Arriving {
    fn is_between(&self) -> bool {
        self.head_bytes == 0
    }

    /// Bytes of the unfinished message.
    fn arrived(&self) -> usize {
        if self.is_between() { 0 } else { self.head_bytes + self.length - self.missing }
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.head_bytes < self.head.len() {
                let taken = bytes.len().min(self.head.len() - self.head_bytes);
                self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
                self.head_bytes += taken;
                bytes = &bytes[taken..];
                let [_, length @ ..] = self.head;
                let known = self.head_bytes == self.head.len();
                self.length = if known { u32::from_be_bytes(length) as usize } else { 0 };
                self.missing = self.length;
            }
            let taken = bytes.len().min(self.missing);
            self.missing -= taken;
            bytes = &bytes[taken..];
            if self.missing == 0 && self.head_bytes == self.head.len() {
                self.head_bytes = 0;
                self.complete += 1;
            }
        }
    }
}

/// A service whose requests are taken in like this.
#[derive(Clone, Debug)]
pub struct TakenIn<S> {
    inner: S,
    account: Arc<Account>,
    streams: bool,
}

impl<S> TakenIn<S> {
    /// All its requests are single messages.
    pub fn calls(inner: S, account: Arc<Account>) -> TakenIn<S> {
        TakenIn { inner, account, streams: false }
    }

    /// Its requests are streams of messages.
    pub fn streams(inner: S, account: Arc<Account>) -> TakenIn<S> {
        TakenIn { inner, account, streams: true }
    }
}

impl<S: NamedService> NamedService for TakenIn<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: tower::Service<http::Request<tonic::body::Body>>> tower::Service<http::Request<tonic::body::Body>>
    for TakenIn<S>
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> S::Future {
        let (account, streams) = (self.account.clone(), self.streams);
        self.inner.call(request.map(|body| {
            tonic::body::Body::new(match streams {
                true => Intake::of_stream(body, account),
                false => Intake::of_call(body, account),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::super::testing::body;
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((length as u32).to_be_bytes());
        bytes.resize(5 + length, 7);
        bytes
    }

    async fn next(intake: &mut Intake) -> Option<Result<usize, Status>> {
        let frame = poll_fn(|context| Pin::new(&mut *intake).poll_frame(context)).await?;
        Some(frame.map(|frame| frame.data_ref().map_or(0, Bytes::len)))
    }

    #[test]
    fn messages_are_followed_wherever_the_line_cuts() {
        let bytes: Vec<u8> = [0, 3, 70_000, 1, 0].iter().flat_map(|length| message(*length)).collect();
        for size in [1, 2, 5, 6, 1000, 100_000] {
            let mut arriving = Arriving::default();
            bytes.chunks(size).for_each(|bytes| arriving.pass(bytes));
            assert_eq!((arriving.complete, arriving.is_between()), (5, true), "{size}");
        }
        let mut arriving = Arriving::default();
        arriving.pass(&message(70_000)[..50_000]);
        assert_eq!((arriving.arrived(), arriving.length), (50_000, 70_000));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unfinished_message_is_counted_and_ends_with_its_time() {
        let account = Account::new(1 << 30);
        let (sender, inner) = body();
        let mut intake = Intake::of_stream(inner, account.clone());
        sender.send(message(10).into()).unwrap();
        sender.send(message(1_000_000)[..600_000].to_vec().into()).unwrap();
        assert_eq!(next(&mut intake).await.unwrap().unwrap(), 15);
        assert_eq!(account.used(Share::Receiving), 0);
        assert_eq!(next(&mut intake).await.unwrap().unwrap(), 600_000);
        // Before it is read on.
        assert!(tokio::time::timeout(Duration::from_millis(1), next(&mut intake)).await.is_err());
        assert_eq!(account.used(Share::Receiving), 1_000_000);
        // A byte now and then does not help.
        let trickle = tokio::spawn(async move {
            while sender.send(Bytes::from_static(&[7])).is_ok() {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        });
        let began = Instant::now();
        let status = loop {
            if let Err(status) = next(&mut intake).await.unwrap() {
                break status;
            }
        };
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert!((20..40).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        drop(intake);
        trickle.await.unwrap();
        assert_eq!(account.used(Share::Receiving), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn half_sent_messages_take_their_share_and_make_room_for_others() {
        let account = Account::new(1 << 30);
        let begin = |sent: usize| {
            let (sender, inner) = body();
            sender.send(message(4_000_000)[..sent].to_vec().into()).unwrap();
            (sender, Intake::of_stream(inner, account.clone()))
        };
        // As many as there is room for beside what they leave to short ones, and some that wait for theirs.
        let room = (account.limit(Share::Receiving) - 8_000_000) / 4_000_000;
        let mut stopped = tokio::task::JoinSet::new();
        for _ in 0..room + 5 {
            let (sender, mut intake) = begin(3_900_000);
            stopped.spawn(async move {
                let status = loop {
                    if let Err(status) = next(&mut intake).await.unwrap() {
                        break status;
                    }
                };
                drop(sender);
                status.code()
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(account.used(Share::Receiving), room * 4_000_000);
        // Who sends all of it gets its room when those who stopped have lost theirs.
        let (sender, mut other) = begin(10_000);
        let began = Instant::now();
        assert_eq!(next(&mut other).await.unwrap().unwrap(), 10_000);
        sender.send(message(4_000_000)[10_000..].to_vec().into()).unwrap();
        assert_eq!(next(&mut other).await.unwrap().unwrap(), 3_990_005);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        while let Some(code) = stopped.join_next().await {
            assert_eq!(code.unwrap(), tonic::Code::DeadlineExceeded);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_long_puts_make_room_for_others() {
        // 161 MB of them are for bodies.
        let account = Account::new((5 << 30) / 4);
        let put = |length: usize| {
            let (sender, inner) = body();
            sender.send(message(length)[..2 << 20].to_vec().into()).unwrap();
            (sender, Intake::of_put(inner, account.clone(), Room::default()))
        };
        // Two that have sent two of 45 MiB each, and stop; there is no room for fifty more, which leave some to short ones.
        let (_first, mut first) = put(45 << 20);
        let (_second, mut second) = put(45 << 20);
        let (sender, mut third) = put(50 << 20);
        let began = Instant::now();
        for stopped in [&mut first, &mut second, &mut third] {
            next(stopped).await.unwrap().unwrap();
        }
        let stuck = tokio::spawn(async move {
            let end = next(&mut first).await.unwrap();
            drop(first);
            end
        });
        let also_stuck = tokio::spawn(async move { next(&mut second).await.unwrap() });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(account.is_tight(Share::Bodies));
        sender.send(vec![7; 48 << 20].into()).unwrap();
        assert_eq!(next(&mut third).await.unwrap().unwrap(), 48 << 20);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(stuck.await.unwrap().unwrap_err().code(), tonic::Code::DeadlineExceeded);
        also_stuck.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_to_begin_and_to_end_in_time_and_a_stream_may_be_silent() {
        for sent in [0, 15] {
            let (sender, inner) = body();
            let mut call = Intake::of_call(inner, Account::new(1 << 30));
            if sent > 0 {
                sender.send(message(10).into()).unwrap();
                next(&mut call).await.unwrap().unwrap();
            }
            assert_eq!(next(&mut call).await.unwrap().unwrap_err().code(), tonic::Code::DeadlineExceeded);
        }
        let (_sender, inner) = body();
        let mut stream = Intake::of_stream(inner, Account::new(1 << 30));
        assert!(tokio::time::timeout(Duration::from_secs(3600), next(&mut stream)).await.is_err());
    }
}
