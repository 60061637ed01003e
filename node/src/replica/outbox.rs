//! The way back to one session: its deliveries, and how much of them nobody has taken yet.
//!
//! Not bounded by itself: a listener bounds the calls it has in flight, and every call is answered once. But ten
//! thousand gets may bring ten thousand long bodies, and a client that reads none of them must not keep them in
//! memory for ever. [`Backlog`] is how its listener sees that while it cannot take anything itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc;

use crate::mqi::{Completion, Data};
use crate::types::{Account, Reason, Share, Token};

/// What a session is told, in the order it happened.
#[derive(Debug)]
pub enum Delivery {
    /// All that one turn had to answer.
    Completions(Vec<(Token, Completion)>),
    /// The last delivery: the queue manager ended the session, its unit of work is backed out.
    /// With `all_answered` a call that has no answer by now never reached the mind, or was not begun.
    Closed { reason: Reason, all_answered: bool },
}

/// The session's end.
#[derive(Debug)]
pub struct Outbox {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    backlog: Arc<Backlog>,
}

/// The mind's end.
#[derive(Debug)]
pub struct OutboxSender {
    deliveries: mpsc::UnboundedSender<Delivery>,
    backlog: Arc<Backlog>,
}

/// Bytes of bodies on their way to a session, counted in the node's account.
#[derive(Debug)]
pub struct Backlog {
    account: Arc<Account>,
    sent: AtomicU64,
    taken: AtomicU64,
}

pub(super) fn outbox(account: Arc<Account>) -> (OutboxSender, Outbox) {
    let (sender, deliveries) = mpsc::unbounded_channel();
    let backlog = Arc::new(Backlog { account, sent: AtomicU64::new(0), taken: AtomicU64::new(0) });
    (OutboxSender { deliveries: sender, backlog: backlog.clone() }, Outbox { deliveries, backlog })
}

impl OutboxSender {
    /// False when the listener is gone; it drops its handle then, and the session is closed.
    pub fn send(&self, delivery: Delivery) -> bool {
        let bytes = body_bytes(&delivery);
        if bytes > 0 {
            self.backlog.sent.fetch_add(bytes, Relaxed);
            self.backlog.account.add(Share::Answers, bytes);
        }
        self.deliveries.send(delivery).is_ok()
    }
}

impl Outbox {
    /// The next delivery; None when the mind has ended. Its bodies count as waiting until [`Backlog::take`].
    pub async fn recv(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// The next delivery if it is there already.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// So many bytes of bodies went on to the client.
    pub fn take(&self, bytes: u64) {
        self.backlog.take(bytes);
    }

    /// To be looked at by somebody else than who takes the deliveries.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.backlog.clone()
    }
}

impl Backlog {
    /// Bytes of bodies that nobody took.
    pub fn unread(&self) -> u64 {
        self.sent.load(Relaxed).saturating_sub(self.taken.load(Relaxed))
    }

    /// So many bytes of bodies went on to the client.
    pub fn take(&self, bytes: u64) {
        if bytes > 0 {
            let before = self.taken.fetch_add(bytes, Relaxed);
            debug_assert!(before + bytes <= self.sent.load(Relaxed), "no more is taken than was sent");
            self.account.give(Share::Answers, bytes);
        }
    }

    /// Bytes taken since the session began.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.account.give(Share::Answers, self.unread());
    }
}

fn body_bytes(delivery: &Delivery) -> u64 {
    let Delivery::Completions(completions) = delivery else { return 0 };
    completions.iter().map(|(_, completion)| answer_bytes(completion)).sum()
}

/// Bytes of the body in an answer: what it counts for in a [`Backlog`].
pub fn answer_bytes(completion: &Completion) -> u64 {
    match &completion.data {
        Data::Got { message, .. } => message.body.len() as u64,
        _ => 0,
    }
}
