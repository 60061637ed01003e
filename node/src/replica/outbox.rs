//! The way back to one session: its deliveries, and how much of them nobody has taken yet.
//!
//! Not bounded by itself: a listener bounds the calls it has in flight, and every call is answered once. But ten
//! thousand gets may bring ten thousand long bodies, and a client that reads none of them must not keep them in
//! memory for ever. [`Backlog`] is how its listener sees that while it cannot take anything itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::{Notify, mpsc};

use super::Delivery;
use crate::mqi::Data;
use crate::types::limits;

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

/// Bytes of bodies on their way to a session.
#[derive(Debug, Default)]
pub struct Backlog {
    sent: AtomicU64,
    taken: AtomicU64,
    overfull: Notify,
}

pub(super) fn outbox() -> (OutboxSender, Outbox) {
    let (sender, deliveries) = mpsc::unbounded_channel();
    let backlog = Arc::<Backlog>::default();
    (OutboxSender { deliveries: sender, backlog: backlog.clone() }, Outbox { deliveries, backlog })
}

impl OutboxSender {
    /// False when the listener is gone; it drops its handle then, and the session is closed.
    pub fn send(&self, delivery: Delivery) -> bool {
        let bytes = body_bytes(&delivery);
        if bytes > 0 {
            self.backlog.sent.fetch_add(bytes, Relaxed);
            if self.backlog.is_overfull() {
                self.backlog.overfull.notify_one();
            }
        }
        self.deliveries.send(delivery).is_ok()
    }
}

impl Outbox {
    /// The next delivery; None when the mind has ended.
    pub async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await?;
        self.backlog.taken.fetch_add(body_bytes(&delivery), Relaxed);
        Some(delivery)
    }

    /// The next delivery if it is there already.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.try_recv().ok()?;
        self.backlog.taken.fetch_add(body_bytes(&delivery), Relaxed);
        Some(delivery)
    }

    /// To be looked at by somebody else than who takes the deliveries.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.backlog.clone()
    }
}

impl Backlog {
    /// Resolves when there is more than [`limits::UNREAD_BYTES_MAX`].
    pub async fn overfull(&self) {
        while !self.is_overfull() {
            self.overfull.notified().await;
        }
    }

    pub fn is_overfull(&self) -> bool {
        self.sent.load(Relaxed).saturating_sub(self.taken.load(Relaxed)) > limits::UNREAD_BYTES_MAX as u64
    }

    /// Bytes taken since the session began.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

fn body_bytes(delivery: &Delivery) -> u64 {
    let Delivery::Completions(completions) = delivery else { return 0 };
    let bodies = completions.iter().map(|(_, completion)| match &completion.data {
        Data::Got { message, .. } => message.body.len() as u64,
        _ => 0,
    });
    bodies.sum()
}
