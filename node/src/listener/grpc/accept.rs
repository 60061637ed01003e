//! Who comes in. The one place where a connection gets an identity and a session is let in or refused: rights and
//! channel rules hook in at [`Gate::admit`]; rights to objects hook in where the replica opens them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;
use tonic::{Extensions, Status};

use super::super::counters::{Counters, add, subtract};
use super::super::{Limits, Listener};
use crate::replica::Identity;
use crate::types::Reason;

/// The other end of a connection, as the acceptor established it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub identity: Identity,
    /// Why it has no sessions, whatever it asks for.
    refusal: Option<Arc<str>>,
    hang_up: Arc<HangUp>,
}

impl Peer {
    pub fn new(address: Option<SocketAddr>, identity: Identity) -> Peer {
        Peer { address, identity, refusal: None, hang_up: Arc::default() }
    }

    /// Somebody who is no user, and is told so in this sentence.
    pub fn refused(address: Option<SocketAddr>, sentence: impl Into<Arc<str>>) -> Peer {
        Peer { refusal: Some(sentence.into()), ..Peer::new(address, Identity::default()) }
    }

    /// Ends the connection with everything on it.
    pub fn hang_up(&self) {
        self.hang_up.asked.store(true, Relaxed);
        self.hang_up.reader.wake();
    }
}

#[derive(Debug, Default)]
struct HangUp {
    asked: AtomicBool,
    reader: AtomicWaker,
}

/// An accepted connection (after TLS, if there is any) with its [`Peer`].
#[derive(Debug)]
pub struct Accepted<IO> {
    io: IO,
    peer: Peer,
    slot: Option<ConnectionSlot>,
}

impl<IO> Accepted<IO> {
    pub fn new(io: IO, peer: Peer) -> Accepted<IO> {
        Accepted { io, peer, slot: None }
    }

    /// Counts the connection while it lasts; None when there are too many.
    pub(super) fn counted(mut self, gate: &Gate) -> Option<Accepted<IO>> {
        match gate.connections.clone().try_acquire_owned() {
            Ok(permit) => {
                add(&gate.counters.connections, 1);
                self.slot = Some(ConnectionSlot { _permit: permit, counters: gate.counters.clone() });
                Some(self)
            }
            Err(_) => {
                add(&gate.counters.connections_refused, 1);
                None
            }
        }
    }
}

#[derive(Debug)]
struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    counters: Arc<Counters>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        subtract(&self.counters.connections, 1);
    }
}

impl<IO> Connected for Accepted<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Accepted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.peer.hang_up.reader.register(context.waker());
        if self.peer.hang_up.asked.load(Relaxed) {
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
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
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

/// Lets connections and sessions in.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    connections: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    sessions_max: usize,
    stopping: tokio::sync::watch::Receiver<bool>,
    counters: Arc<Counters>,
}

/// A session that was let in; its place is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    pub peer: Peer,
    _place: OwnedSemaphorePermit,
}

impl Gate {
    pub fn new(listener: &Listener) -> Gate {
        let Limits { connections_max, sessions_max, .. } = *listener.limits;
        Gate {
            connections: Arc::new(Semaphore::new(connections_max)),
            sessions: Arc::new(Semaphore::new(sessions_max)),
            sessions_max,
            stopping: listener.node.stopping.clone(),
            counters: listener.counters.clone(),
        }
    }

    /// Decides whether the caller may have a session at all.
    pub fn admit(&self, extensions: &Extensions) -> Result<Admission, Status> {
        if *self.stopping.borrow() {
            return Err(Status::unavailable("The node is stopping; connect to another one."));
        }
        let peer = extensions.get::<Peer>().cloned().unwrap_or_default();
        if let Some(sentence) = &peer.refusal {
            return Err(Status::permission_denied(format!("2035: {sentence}")));
        }
        let place = self.sessions.clone().try_acquire_owned().map_err(|_| {
            add(&self.counters.sessions_refused, 1);
            let text = Reason::MaxConnsLimitReached.text();
            Status::resource_exhausted(format!("2025: {text} The limit is {}.", self.sessions_max))
        })?;
        Ok(Admission { peer, _place: place })
    }
}
