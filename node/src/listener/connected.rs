//! Who is connected to this node, and at which of its addresses: what another node has to know to tell them, should an
//! address become its own. Who is told what is the runtime's business.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::types::Ends;

/// Bounded as connections are: each entry belongs to one that was counted.
#[derive(Debug, Default)]
pub struct Connected {
    all: Mutex<BTreeSet<Ends>>,
    changed: Notify,
}

/// A connection that is known for as long as this lasts.
#[derive(Debug)]
pub struct Noted {
    ends: Ends,
    connected: Arc<Connected>,
}

impl Connected {
    pub fn note(self: &Arc<Self>, ends: Ends) -> Noted {
        self.all.lock().insert(ends);
        self.changed.notify_one();
        Noted { ends, connected: self.clone() }
    }

    /// Those who came to this address, in their order and no more than are told.
    pub fn at(&self, address: IpAddr) -> Vec<Ends> {
        let all = self.all.lock();
        all.iter().filter(|ends| ends.local.ip() == address).take(Ends::TOLD_MAX).copied().collect()
    }

    /// Somebody came or went since this was asked last. For one task.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.connected.all.lock().remove(&self.ends);
        self.connected.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_at_its_address_for_as_long_as_it_lasts() {
        let connected = Arc::<Connected>::default();
        let ends = |local: &str, client: &str| Ends::new(local.parse().unwrap(), client.parse().unwrap());
        let floating = ends("10.0.0.50:7201", "10.0.0.9:4000");
        let held = connected.note(floating);
        let _own = connected.note(ends("10.0.0.1:7201", "10.0.0.9:4001"));
        // As a socket of all addresses has it.
        let _mapped = connected.note(ends("[::ffff:10.0.0.50]:1414", "[::ffff:10.0.0.8]:5000"));
        let at = |address: &str| connected.at(address.parse().unwrap());
        assert_eq!(at("10.0.0.50"), [ends("10.0.0.50:1414", "10.0.0.8:5000"), floating]);
        drop(held);
        assert_eq!(at("10.0.0.50"), [ends("10.0.0.50:1414", "10.0.0.8:5000")]);
        assert_eq!(at("10.0.0.51"), []);
    }
}
