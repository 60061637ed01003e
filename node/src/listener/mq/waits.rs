//! Connections whose waits another connection of the same user may end (the SPI's NOTIFY), however many sockets a program has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Of one listener.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    known: Arc<Mutex<HashMap<u64, Known>>>,
}

#[derive(Debug)]
struct Known {
    user: String,
    socket: UnboundedSender<u64>,
}

/// The side of one socket: told which of its connections are not to wait any longer.
#[derive(Debug)]
pub struct Told {
    waits: Waits,
    sender: UnboundedSender<u64>,
    receiver: UnboundedReceiver<u64>,
}

/// A connection that can be found; not any more when it is dropped.
#[derive(Debug)]
pub struct Entry {
    waits: Waits,
    unique: u64,
}

impl Waits {
    pub fn socket(&self) -> Told {
        let (sender, receiver) = unbounded_channel();
        Told { waits: self.clone(), sender, receiver }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, Known>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Told {
    /// The connection of this `unique` is one of this socket, and of `user`.
    pub fn add(&self, unique: u64, user: &str) -> Entry {
        let known = Known { user: user.to_string(), socket: self.sender.clone() };
        let before = self.waits.with(|all| all.insert(unique, known));
        debug_assert!(before.is_none(), "no two connections have one number");
        Entry { waits: self.waits.clone(), unique }
    }

    /// Ends the waits of this connection, if it is of this `user`.
    pub fn end(&self, unique: u64, user: &str) {
        self.waits.with(|all| {
            if let Some(known) = all.get(&unique).filter(|known| known.user == user) {
                // A socket that is gone waits for nothing.
                let _ = known.socket.send(unique);
            }
        });
    }

    /// The next one of this socket's whose waits are to end.
    pub async fn next(&mut self) -> u64 {
        // It holds a sender itself, so there is always a next one to wait for.
        self.receiver.recv().await.expect("the sender is here")
    }
}

impl Entry {
    pub fn unique(&self) -> u64 {
        self.unique
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.waits.with(|all| all.remove(&self.unique));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_wait_is_ended_by_its_user_from_any_socket_and_by_nobody_else() {
        let waits = Waits::default();
        let (mut one, other) = (waits.socket(), waits.socket());
        let entry = one.add(7, "joe");
        other.end(7, "ann");
        other.end(8, "joe");
        assert_eq!(one.next().now_or_never(), None);
        other.end(7, "joe");
        assert_eq!(one.next().now_or_never(), Some(7));
        drop(entry);
        other.end(7, "joe");
        assert_eq!(one.next().now_or_never(), None, "it is gone");
    }
}
