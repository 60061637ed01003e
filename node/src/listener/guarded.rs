//! The one guard around every connection that is served, whatever its protocol: it ends when the node hangs up on it, and
//! when the other end does not take what is sent to it.
//!
//! A write that has to wait may do so as [`Patience`] says, from the first byte that was not taken until all of it is on
//! its way, the farewell too.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::client::Client;
use super::gate::{ConnectionSlot, RESERVED_FOR};
use super::hang_up::HangUps;
use super::patience::{Patience, Waiting};

#[derive(Debug)]
pub struct Guarded<IO> {
    io: IO,
    client: Client,
    hang_ups: Arc<HangUps>,
    patience: Patience,
    /// Bytes that the other end, or the kernel for it, took.
    taken: u64,
    /// Some while what was written is not all on its way.
    waiting: Option<(Waiting, Pin<Box<Sleep>>)>,
    /// When a place ends that is kept for administrators.
    over: Option<Pin<Box<Sleep>>>,
    /// Some where it is counted.
    _slot: Option<ConnectionSlot>,
}

impl<IO> Guarded<IO> {
    pub fn new(io: IO, client: Client, hang_ups: Arc<HangUps>, patience: Patience) -> Guarded<IO> {
        Guarded { io, client, hang_ups, patience, taken: 0, waiting: None, over: None, _slot: None }
    }

    /// A connection that is counted while it lasts.
    pub fn counted(self, slot: ConnectionSlot) -> Guarded<IO> {
        let over = slot.is_reserved.then(|| Box::pin(tokio::time::sleep(RESERVED_FOR)));
        Guarded { over, _slot: Some(slot), ..self }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the connection with everything on it. `because` completes "hung up on a client: ".
    pub fn hang_up(&self, because: &'static str) -> io::Error {
        self.hang_ups.hang_up(&self.client, because);
        io::ErrorKind::ConnectionAborted.into()
    }

    /// What a write became: one that has to wait ends with the connection or with the patience.
    fn wait<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        if self.client.is_hung_up_on_writer(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let now = Instant::now();
        let (waiting, look) = self.waiting.get_or_insert_with(|| {
            (Waiting::new(self.taken, now), Box::pin(tokio::time::sleep(self.patience.time)))
        });
        let mut over = self.patience.is_over(waiting, self.taken, now);
        while !over {
            // One timer for many writes: it is moved on when it ends, not with every write.
            ready!(look.as_mut().poll(context));
            over = self.patience.is_over(waiting, self.taken, Instant::now());
            look.as_mut().reset(self.patience.end(waiting));
        }
        Poll::Ready(Err(self.hang_up("it does not take what is sent to it")))
    }

    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.taken += bytes as u64;
        }
        self.wait(context, written)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.client.is_hung_up(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.over.as_mut().is_some_and(|over| over.as_mut().poll(context).is_ready()) {
            self.over = None;
            let because =
                "all places for connections are taken, and the last ones are kept for administrators";
            return Poll::Ready(Err(self.hang_up(because)));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        if flushed.is_ready() {
            self.waiting = None;
        }
        self.wait(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        self.wait(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::listener::Counters;

    const TIME: Duration = Duration::from_secs(10);

    fn guarded(patience: Patience) -> (Guarded<DuplexStream>, DuplexStream, Arc<Counters>) {
        let (near, far) = tokio::io::duplex(100);
        let counters = Arc::<Counters>::default();
        (Guarded::new(near, Client::default(), HangUps::new(counters.clone()), patience), far, counters)
    }

    /// A reader that takes so many bytes every second.
    fn reader(mut far: DuplexStream, bytes: usize) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            while far.read_exact(&mut vec![0; bytes]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_byte_now_and_then_is_given_up_all_the_same() {
        for patience in [Patience::once(TIME), Patience { time: TIME, bytes: 50 }] {
            let (mut near, far, counters) = guarded(patience);
            let reading = reader(far, 1);
            let began = Instant::now();
            let written = near.write_all(&[7; 1000]).await.unwrap_err();
            assert_eq!((written.kind(), began.elapsed()), (io::ErrorKind::ConnectionAborted, TIME));
            assert_eq!(counters.figures().hung_up, 1);
            // Nor does it read on, or wait for a farewell.
            near.read_u8().await.unwrap_err();
            drop(near);
            reading.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_waited_for_as_long_as_it_reads() {
        let (mut near, far, counters) = guarded(Patience { time: TIME, bytes: 40 });
        let reading = reader(far, 5);
        let began = Instant::now();
        near.write_all(&[7; 1000]).await.unwrap();
        near.flush().await.unwrap();
        assert!(began.elapsed() > 15 * TIME, "{:?}", began.elapsed());
        assert_eq!(counters.figures().hung_up, 0);
        drop(near);
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_each_answer_in_time_is_waited_for_again() {
        let (mut near, mut far, _) = guarded(Patience::once(TIME));
        let reading = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                far.read_exact(&mut [0; 150]).await.unwrap();
            }
        });
        for _ in 0..5 {
            near.write_all(&[7; 150]).await.unwrap();
            near.flush().await.unwrap();
        }
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_ends_when_somebody_hangs_up() {
        let (mut near, _far, _) = guarded(Patience::once(TIME));
        let client = near.client().clone();
        let writing = tokio::spawn(async move { near.write_all(&[7; 1000]).await.unwrap_err().kind() });
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.hang_up();
        let began = Instant::now();
        assert_eq!(writing.await.unwrap(), io::ErrorKind::ConnectionAborted);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
