//! HTTP/2 frames as they pass, before anybody works for them: who says no hello, never ends a frame, or sends control
//! frames as fast as it can loses its connection.
//!
//! Only heads are read: nine bytes for every frame, and of messages the five that say how long they are. A client needs few
//! PING, SETTINGS, PRIORITY and RST_STREAM frames, and WINDOW_UPDATE frames as it takes what we send; each costs us a wake-up, and
//! most an answer. What they may be is a credit that grows with time and with what is sent (RFC 9113, 10.5).
//!
//! So it is with what looks like work and is none: requests without a message, or taken back, those for calls that nobody knows,
//! messages without a byte, and messages in many small pieces. A request that is a call costs nothing, and pays for the windows
//! that its answer is received with; small messages cost nothing here either, however many there are: they are bounded by what
//! they ask for.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use crate::listener::Client;
use crate::listener::guarded::Guarded;

/// For the preface and the first frame, and for every frame from its first byte to its last.
const FRAME_PATIENCE: Duration = Duration::from_secs(10);
/// "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

/// Control frames that are free, each second's more, and one more for so many bytes that we sent.
const BURST: u64 = 1000;
const PER_SECOND: u64 = 200;
const BYTES_SENT_EACH: u64 = 20;

/// What a request costs that asks for nothing, and one that is taken back without a message.
const IDLE_REQUEST: u64 = 5;
const TAKEN_BACK: u64 = 2;
/// Control frames that go with a request that is a call: its client widens the windows of stream and connection.
const CALL_EARNS: u64 = 2;
/// A frame in the middle of a message is a small piece if it is shorter. One that is the rest of a window is nothing special:
/// there may be one for so many bytes that come.
const PIECE_BYTES: usize = 256;
/// Streams whose messages are followed. Whoever has more of them at once is told apart from nobody.
const STREAMS_MAX: usize = 256;

/// A connection whose frames are looked at.
pub struct Watched<IO> {
    io: Guarded<IO>,
    frames: Frames,
    credit: Credit,
    /// Some while a frame, or the hello, is not complete.
    patience: Option<Pin<Box<Sleep>>>,
    /// Frames that were complete when the patience began.
    complete: u64,
}

impl<IO> Watched<IO> {
    pub fn new(io: Guarded<IO>) -> Watched<IO> {
        let patience = Some(Box::pin(tokio::time::sleep(FRAME_PATIENCE)));
        let credit = Credit { spent: 0, bytes_sent: 0, began: Instant::now() };
        Watched { io, frames: Frames::default(), credit, patience, complete: 0 }
    }

    fn hang_up(&self, because: &'static str) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.io.hang_up(because)))
    }

    /// Ready when what is unfinished was so for too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let unfinished = !self.frames.is_between();
            match &mut self.patience {
                // One timer for many frames: it is looked at when it ends, not with every frame.
                None if !unfinished => return Poll::Pending,
                None => {
                    self.patience = Some(Box::pin(tokio::time::sleep(FRAME_PATIENCE)));
                    self.complete = self.frames.complete;
                }
                Some(patience) => {
                    ready!(patience.as_mut().poll(context));
                    if unfinished && self.frames.complete == self.complete {
                        return Poll::Ready(());
                    }
                    self.patience = None;
                }
            }
        }
    }
}

impl<IO> Connected for Watched<IO> {
    type ConnectInfo = Client;

    fn connect_info(&self) -> Client {
        self.io.client().clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            this.credit.spent += this.frames.pass(&buffer.filled()[before..]);
            this.credit.spent += this.io.client().take_idle() * IDLE_REQUEST;
            if this.credit.is_overdrawn(this.frames.calls) {
                // An error says that nothing was read.
                buffer.set_filled(before);
                return this.hang_up("more control frames than any program needs");
            }
        } else if read.is_pending() && this.poll_patience(context).is_ready() {
            return match this.frames.complete {
                0 => this.hang_up("it does not say hello"),
                _ => this.hang_up("it does not finish what it sends"),
            };
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        self.credit.bytes_sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices))?;
        self.credit.bytes_sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Control frames of a connection against what it may send.
#[derive(Debug)]
struct Credit {
    spent: u64,
    bytes_sent: u64,
    began: Instant,
}

impl Credit {
    /// `calls`: requests that came as a whole.
    fn is_overdrawn(&self, calls: u64) -> bool {
        let earned = BURST + self.bytes_sent / BYTES_SENT_EACH + calls * CALL_EARNS;
        // The clock is asked only then.
        self.spent > earned && self.spent > earned + self.began.elapsed().as_secs() * PER_SECOND
    }
}

/// Where in the frames the connection is.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the preface that came.
    preface: usize,
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Bytes of the frame's payload that are still to come.
    missing: usize,
    /// Frames that came as a whole.
    complete: u64,
    /// The frame that is coming, if it has data.
    data: Option<Piece>,
    /// Of the streams that are being sent.
    messages: BTreeMap<u32, Message>,
    /// Small pieces, and bytes of data.
    pieces: u64,
    data_bytes: u64,
    /// Streams that ended with a message.
    calls: u64,
}

/// A DATA frame.
#[derive(Clone, Copy, Debug)]
struct Piece {
    stream: u32,
    length: usize,
    /// A message begins or ends in it.
    has_border: bool,
    /// It is the last of its stream.
    ends: bool,
}

/// Where in the messages of a stream the client is: five bytes before each say how long it is.
#[derive(Clone, Copy, Debug, Default)]
struct Message {
    head: [u8; 5],
    head_bytes: usize,
    missing: usize,
    /// One came as a whole.
    came: bool,
}

impl Message {
    /// Whether one began or ended, and how many of no length there were.
    fn pass(&mut self, mut bytes: &[u8]) -> (bool, u64) {
        let (mut has_border, mut empty) = (false, 0);
        while !bytes.is_empty() {
            if self.missing > 0 {
                let passed = bytes.len().min(self.missing);
                self.missing -= passed;
                bytes = &bytes[passed..];
                has_border |= self.missing == 0;
                self.came |= self.missing == 0;
                continue;
            }
            has_border |= self.head_bytes == 0;
            let taken = bytes.len().min(self.head.len() - self.head_bytes);
            self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.head_bytes += taken;
            bytes = &bytes[taken..];
            if self.head_bytes == self.head.len() {
                let [_, length @ ..] = self.head;
                self.head_bytes = 0;
                self.missing = u32::from_be_bytes(length) as usize;
                empty += u64::from(self.missing == 0);
                self.came |= self.missing == 0;
            }
        }
        (has_border, empty)
    }
}

impl Frames {
    /// No frame has begun that did not end, and the first one came.
    fn is_between(&self) -> bool {
        self.head_bytes == 0 && self.missing == 0 && self.complete > 0
    }

    /// How many of these bytes' frames are control frames, or as good as that.
    fn pass(&mut self, mut bytes: &[u8]) -> u64 {
        let mut control = 0;
        let preface = bytes.len().min(PREFACE_BYTES - self.preface);
        self.preface += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.missing > 0 {
                let passed = bytes.len().min(self.missing);
                self.missing -= passed;
                control += self.pass_data(&bytes[..passed]);
                bytes = &bytes[passed..];
                self.complete += u64::from(self.missing == 0);
                continue;
            }
            let taken = bytes.len().min(HEAD_BYTES - self.head_bytes);
            self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.head_bytes += taken;
            bytes = &bytes[taken..];
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                let [high, middle, low, kind, flags, stream @ ..] = self.head;
                self.missing = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.complete += u64::from(self.missing == 0);
                control += self.begin(kind, flags, u32::from_be_bytes(stream) & (u32::MAX >> 1));
            }
        }
        control
    }

    /// A frame begins. PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE and kinds that nobody knows are control frames;
    /// DATA without data that ends nothing, or with padding, which nobody needs, is as good as one.
    fn begin(&mut self, kind: u8, flags: u8, stream: u32) -> u64 {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const END_STREAM: u8 = 1;
        const PADDED: u8 = 8;
        let length = self.missing;
        let ends = flags & END_STREAM != 0;
        self.data = (kind == DATA && length > 0).then_some(Piece { stream, length, has_border: false, ends });
        let was_sent_to = match (ends && self.data.is_none()) || kind == RST_STREAM {
            true => self.messages.remove(&stream).is_some_and(|message| message.came),
            false => self.messages.get(&stream).is_some_and(|message| message.came),
        };
        self.calls += u64::from(was_sent_to && kind == DATA && length == 0 && ends);
        match kind {
            DATA if length == 0 && ends && was_sent_to => 0,
            DATA if length == 0 && ends => IDLE_REQUEST,
            DATA => u64::from(length == 0 || flags & PADDED != 0),
            HEADERS if !ends => 0,
            HEADERS if !was_sent_to => IDLE_REQUEST,
            RST_STREAM if !was_sent_to => TAKEN_BACK,
            _ => 1,
        }
    }

    /// More of the frame that is coming. Those in the middle of a message, if they are many and small, are as good as control
    /// frames.
    fn pass_data(&mut self, bytes: &[u8]) -> u64 {
        let Some(piece) = &mut self.data else { return 0 };
        if !self.messages.contains_key(&piece.stream) && self.messages.len() >= STREAMS_MAX {
            self.messages.pop_first();
        }
        let (has_border, empty) = self.messages.entry(piece.stream).or_default().pass(bytes);
        piece.has_border |= has_border;
        self.data_bytes += bytes.len() as u64;
        let mut control = empty;
        if self.missing == 0 {
            if piece.ends {
                let came = self.messages.remove(&piece.stream).is_some_and(|message| message.came);
                self.calls += u64::from(came);
                control += if came { 0 } else { IDLE_REQUEST };
            }
            if !piece.has_border && piece.length < PIECE_BYTES {
                self.pieces += 1;
                control += u64::from(self.pieces * PIECE_BYTES as u64 > self.data_bytes);
            }
            self.data = None;
        }
        control
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::listener::hang_up::HangUps;
    use crate::listener::{Counters, Limits};

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = (payload as u32).to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, 0, 0, 0, 0, 0];
        bytes.resize(HEAD_BYTES + payload, 7);
        bytes
    }

    #[test]
    fn control_frames_are_counted_wherever_the_line_cuts() {
        let mut bytes = PREFACE.to_vec();
        for (kind, payload) in [(4, 18), (8, 4), (1, 40), (0, 700), (6, 8), (0, 0), (0, 3), (200, 1)] {
            bytes.extend(frame(kind, payload));
        }
        for size in [1, 2, 7, 100, 10_000] {
            let mut frames = Frames::default();
            let control: u64 = bytes.chunks(size).map(|bytes| frames.pass(bytes)).sum();
            assert_eq!((control, frames.complete), (5, 8), "{size}");
            assert!(frames.is_between());
        }
        let mut frames = Frames::default();
        frames.pass(&bytes[..bytes.len() - 1]);
        assert!(!frames.is_between());
    }

    #[test]
    fn windows_are_paid_for_by_what_is_read_and_pings_are_not() {
        let mut credit = Credit { spent: 0, bytes_sent: 0, began: Instant::now() };
        // A consumer that says of every answer, twice, that it took it.
        for _ in 0..1_000_000 {
            credit.bytes_sent += 100;
            credit.spent += 2;
            assert!(!credit.is_overdrawn(0));
        }
        // Pings, each with an answer of seventeen bytes.
        let mut credit = Credit { spent: 0, bytes_sent: 0, began: Instant::now() };
        let pings = (0..1_000_000).take_while(|_| {
            credit.bytes_sent += 17;
            credit.spent += 1;
            !credit.is_overdrawn(0)
        });
        assert!(pings.count() < 100_000);
    }

    /// A frame with these flags, of a stream.
    fn sent(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((length as u32).to_be_bytes());
        bytes.resize(5 + length, 7);
        bytes
    }

    #[test]
    fn small_messages_cost_nothing_and_small_pieces_of_one_do() {
        let mut frames = Frames::default();
        frames.pass(PREFACE);
        assert_eq!(frames.pass(&sent(1, 4, 1, b"head")), 0);
        // One message a frame, its head alone, and two in a frame.
        for _ in 0..100_000 {
            assert_eq!(frames.pass(&sent(0, 0, 1, &message(6))), 0);
        }
        for _ in 0..1000 {
            let message = message(40);
            assert_eq!(
                frames.pass(&sent(0, 0, 1, &message[..5])) + frames.pass(&sent(0, 0, 1, &message[5..])),
                0
            );
            assert_eq!(frames.pass(&sent(0, 0, 1, &[message.clone(), message].concat())), 0);
        }
        // A long one, where a window now and then has some bytes left.
        let long = message(4 << 20);
        for piece in long.chunks(16_394) {
            let parts = piece.chunks(16_384);
            assert_eq!(parts.map(|part| frames.pass(&sent(0, 0, 1, part))).sum::<u64>(), 0);
        }
        // What comes byte by byte, once what was sent before is used up.
        let mut frames = Frames::default();
        frames.pass(PREFACE);
        frames.pass(&sent(0, 0, 1, &message(1 << 20)[..5]));
        let pieces: u64 = (0..10_000).map(|_| frames.pass(&sent(0, 0, 1, b"7"))).sum();
        assert_eq!(pieces, 10_000);
    }

    #[test]
    fn requests_that_ask_for_nothing_are_control_frames_and_calls_are_not() {
        let mut credit = Credit { spent: 0, bytes_sent: 0, began: Instant::now() };
        let mut frames = Frames::default();
        frames.pass(PREFACE);
        for stream in (1..2_000_001).step_by(2) {
            let call = [sent(1, 4, stream, b"head"), sent(0, 1, stream, &message(20))].concat();
            credit.spent += frames.pass(&call);
            // Two heads and one message of an answer that says nothing, and windows of stream and connection.
            credit.bytes_sent += 36;
            credit.spent += frames.pass(&[sent(8, 0, 0, &[0; 4]), sent(8, 0, stream, &[0; 4])].concat());
            assert!(!credit.is_overdrawn(frames.calls));
        }
        assert!(frames.messages.len() <= STREAMS_MAX);
        for nothing in [
            sent(1, 5, 1, b"head"),
            [sent(1, 4, 1, b"head"), sent(0, 1, 1, b"")].concat(),
            [sent(1, 4, 1, b"head"), sent(3, 0, 1, &[0; 4])].concat(),
            sent(0, 0, 1, &message(0)),
            sent(0, 8, 1, &[255; 256]),
        ] {
            let mut credit = Credit { spent: 0, bytes_sent: 0, began: Instant::now() };
            let mut frames = Frames::default();
            frames.pass(PREFACE);
            let times = (0..1_000_000).take_while(|_| {
                credit.spent += frames.pass(&nothing);
                credit.bytes_sent += 13;
                !credit.is_overdrawn(frames.calls)
            });
            assert!(times.count() < 5_000, "{nothing:?}");
        }
    }

    fn watched() -> (Watched<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<Counters>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let counters = Arc::<Counters>::default();
        let hang_ups = HangUps::new(counters.clone());
        let guarded = Guarded::new(near, Client::default(), hang_ups, Limits::default().patience());
        (Watched::new(guarded), far, counters)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_who_says_nothing_is_hung_up_on_after_ten_seconds() {
        for words in [&b""[..], b"PRI", PREFACE, b"GET / HTTP/1.1\r\n\r\n"] {
            let (mut near, mut far, counters) = watched();
            far.write_all(words).await.unwrap();
            let began = tokio::time::Instant::now();
            let end = near.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!((end.kind(), began.elapsed().as_secs()), (io::ErrorKind::ConnectionAborted, 10));
            assert_eq!(counters.figures().hung_up, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_never_ends_costs_the_connection_and_silence_between_frames_does_not() {
        let (mut near, mut far, counters) = watched();
        far.write_all(PREFACE).await.unwrap();
        far.write_all(&frame(4, 0)).await.unwrap();
        let reading = tokio::spawn(async move { near.read_to_end(&mut Vec::new()).await });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(counters.figures().hung_up, 0);
        far.write_all(&frame(0, 5000)[..100]).await.unwrap();
        for _ in 0..30 {
            let _ = far.write_all(&[7]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(counters.figures().hung_up, 1);
    }

    #[tokio::test]
    async fn calls_that_nobody_knows_end_the_connection_when_they_are_many() {
        let (mut near, mut far, counters) = watched();
        far.write_all(PREFACE).await.unwrap();
        let client = near.io.client().clone();
        let mut calls = 0;
        while counters.figures().hung_up == 0 {
            // Something has to come, too.
            far.write_all(&sent(0, 0, 1, &message(1))).await.unwrap();
            client.note_idle();
            let _ = near.read(&mut [0; 64]).await;
            calls += 1;
        }
        assert!((BURST / IDLE_REQUEST..BURST / IDLE_REQUEST * 10).contains(&calls), "{calls}");
        assert_eq!(counters.figures().hung_up, 1);
    }

    #[tokio::test]
    async fn a_flood_of_pings_ends_the_connection() {
        let (mut near, mut far, counters) = watched();
        far.write_all(PREFACE).await.unwrap();
        let flood = frame(6, 8).repeat(20_000);
        let _ = far.write_all(&flood).await;
        assert!(near.read_to_end(&mut Vec::new()).await.is_err());
        assert_eq!(counters.figures().hung_up, 1);
    }
}
