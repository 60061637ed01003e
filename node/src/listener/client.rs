//! Who is at the other end of a connection, and the way to end it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Waker;

use futures::task::AtomicWaker;

use crate::mqi::Identity;

/// The other end of a connection, as the acceptor established it.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub address: Option<SocketAddr>,
    pub identity: Identity,
    /// Why it has no sessions, whatever it asks for.
    pub(super) refusal: Option<Arc<str>>,
    /// Its place is one of the last, which are kept for administrators.
    pub(super) is_crowded: bool,
    hang_up: Arc<HangUp>,
}

impl Client {
    pub fn new(address: Option<SocketAddr>, identity: Identity) -> Client {
        let identity = Identity { address, ..identity };
        Client { address, identity, refusal: None, is_crowded: false, hang_up: Arc::default() }
    }

    /// Somebody who is no user, and is told so in this sentence.
    pub fn refused(address: Option<SocketAddr>, sentence: impl Into<Arc<str>>) -> Client {
        Client { refusal: Some(sentence.into()), ..Client::new(address, Identity::default()) }
    }

    /// The same connection, of the user that it says to be. For protocols that say it after they are connected.
    pub fn with_identity(&self, identity: Identity) -> Client {
        Client { identity: Identity { address: self.address, ..identity }, ..self.clone() }
    }

    /// The same connection, on one of the last places or not.
    pub(super) fn with_place(self, is_crowded: bool) -> Client {
        Client { is_crowded, ..self }
    }

    /// Why it has no sessions, if it has none.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Ends the connection with everything on it.
    pub fn hang_up(&self) {
        self.hang_up.asked.store(true, Relaxed);
        self.hang_up.reader.wake();
        self.hang_up.writer.wake();
    }

    /// Whether the connection is to end.
    pub fn was_hung_up_on(&self) -> bool {
        self.hang_up.asked.load(Relaxed)
    }

    /// It asked for nothing that there is: a call that nobody knows, or a frame without a call.
    pub fn note_idle(&self) {
        self.hang_up.idle.fetch_add(1, Relaxed);
    }

    /// How often that was, since this was asked last.
    pub fn take_idle(&self) -> u64 {
        // Mostly it was never, and a load is cheaper than an exchange.
        match self.hang_up.idle.load(Relaxed) {
            0 => 0,
            _ => self.hang_up.idle.swap(0, Relaxed),
        }
    }

    /// Whether the connection is to end; if not, the reader is woken when it is.
    pub fn is_hung_up(&self, reader: &Waker) -> bool {
        self.hang_up.reader.register(reader);
        self.hang_up.asked.load(Relaxed)
    }

    /// The same for a writer that has to wait.
    pub fn is_hung_up_on_writer(&self, writer: &Waker) -> bool {
        self.hang_up.writer.register(writer);
        self.hang_up.asked.load(Relaxed)
    }
}

#[derive(Debug, Default)]
struct HangUp {
    asked: AtomicBool,
    /// Requests that asked for nothing and were not counted yet.
    idle: AtomicU64,
    reader: AtomicWaker,
    writer: AtomicWaker,
}
