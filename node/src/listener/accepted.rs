//! A client's connection as a protocol has it: bytes, and who is at the other end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Client;
use super::gate::{ConnectionSlot, Gate};

/// An accepted connection (after TLS, if there is any) with its [`Client`].
#[derive(Debug)]
pub struct Accepted<IO> {
    io: IO,
    client: Client,
    /// Some once it is counted.
    _slot: Option<ConnectionSlot>,
}

impl<IO> Accepted<IO> {
    pub fn new(io: IO, client: Client) -> Accepted<IO> {
        Accepted { io, client, _slot: None }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What a write became: one that waits ends when the connection does.
    fn unless_hung_up<T>(&self, context: &Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written.is_pending() && self.client.is_hung_up_on_writer(context.waker()) {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            false => written,
        }
    }

    /// Counts the connection while it lasts; None when there are too many.
    pub fn counted(self, gate: &Gate) -> Option<Accepted<IO>> {
        gate.count().map(|slot| Accepted { _slot: Some(slot), ..self })
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Accepted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.client.is_hung_up(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Accepted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.unless_hung_up(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.unless_hung_up(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.unless_hung_up(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
