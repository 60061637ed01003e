//! HTTP/2 frames as they pass, before anybody works for them: who says no hello, never ends a frame, or sends control
//! frames as fast as it can loses its connection.
//!
//! Only heads are read: nine bytes for every frame, and where the next one begins. A client needs few PING, SETTINGS,
//! PRIORITY and RST_STREAM frames, and WINDOW_UPDATE frames as it takes what we send; each costs us a wake-up, and most an
//! answer. What they may be is a credit that grows with time and with what travels in both directions (RFC 9113, 10.5).

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
            if this.credit.is_overdrawn() {
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
    fn is_overdrawn(&self) -> bool {
        let earned = BURST + self.bytes_sent / BYTES_SENT_EACH;
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
}

impl Frames {
    /// No frame has begun that did not end, and the first one came.
    fn is_between(&self) -> bool {
        self.head_bytes == 0 && self.missing == 0 && self.complete > 0
    }

    /// How many of these bytes' frames are control frames.
    fn pass(&mut self, mut bytes: &[u8]) -> u64 {
        let mut control = 0;
        let preface = bytes.len().min(PREFACE_BYTES - self.preface);
        self.preface += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.missing > 0 {
                let passed = bytes.len().min(self.missing);
                self.missing -= passed;
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
                let [high, middle, low, kind, flags, ..] = self.head;
                self.missing = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.complete += u64::from(self.missing == 0);
                control += u64::from(is_control(kind, flags, self.missing));
            }
        }
        control
    }
}

/// PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, kinds that nobody knows, and DATA without data that ends
/// nothing. HEADERS ask for something, and are bounded by what they ask for.
fn is_control(kind: u8, flags: u8, length: usize) -> bool {
    const END_STREAM: u8 = 1;
    match kind {
        0 => length == 0 && flags & END_STREAM == 0,
        1 => false,
        _ => true,
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
            assert!(!credit.is_overdrawn());
        }
        // Pings, each with an answer of seventeen bytes.
        let mut credit = Credit { spent: 0, bytes_sent: 0, began: Instant::now() };
        let pings = (0..1_000_000).take_while(|_| {
            credit.bytes_sent += 17;
            credit.spent += 1;
            !credit.is_overdrawn()
        });
        assert!(pings.count() < 100_000);
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
    async fn a_flood_of_pings_ends_the_connection() {
        let (mut near, mut far, counters) = watched();
        far.write_all(PREFACE).await.unwrap();
        let flood = frame(6, 8).repeat(20_000);
        let _ = far.write_all(&flood).await;
        assert!(near.read_to_end(&mut Vec::new()).await.is_err());
        assert_eq!(counters.figures().hung_up, 1);
    }
}
