//! A session that lasts: calls go to the replica, deliveries come back, and whoever takes none of them is hung up on.

use std::sync::Arc;

use super::counters::add;
use super::gate::Client;
use super::node::Listener;
use super::serving::{Elsewhere, Refused, Unserved, elsewhere, find_served};
use crate::mqi::{Call, Connect};
use crate::replica::{Backlog, Delivery, Inbox, Outbox, SessionHandle, Stopped};
use crate::types::{NodeId, Token};

/// The way to the replica and back. Dropped, it ends the session: its unit of work is backed out.
#[derive(Debug)]
pub struct Link {
    listener: Listener,
    inbox: Inbox,
    handle: SessionHandle,
    outbox: Outbox,
    _watch: BacklogWatch,
}

impl Link {
    /// A session of this client with the queue manager it names, as `application` (at most 28 characters).
    ///
    /// # Errors
    /// 2058 for a name that is none of this node's, 2543 and 2059 with where to go instead unless this node serves
    /// it, 2162 when the node stops.
    pub async fn open(
        listener: &Listener,
        client: &Client,
        queue_manager: &str,
        application: String,
    ) -> Result<Link, Unserved> {
        let inbox = find_served(listener, queue_manager)?;
        let opened = inbox.open_session(Connect::new(client.identity.clone(), application)).await;
        let (handle, outbox) = opened.map_err(Refused::from)?;
        let watch = BacklogWatch::start(outbox.backlog(), client.clone(), listener.clone());
        Ok(Link { listener: listener.clone(), inbox: inbox.clone(), handle, outbox, _watch: watch })
    }

    /// The name of the queue manager.
    pub fn queue_manager(&self) -> String {
        self.inbox.name().to_string()
    }

    /// How many units of work with an id the queue manager has decided up to the newest delivery, at least.
    pub fn units_decided(&self) -> u64 {
        self.inbox.units_decided()
    }

    /// Calls in the order they were made. Waits while too many bytes are unanswered or the mind is behind. A token that
    /// is in use may not be used again.
    pub async fn send(&self, calls: Vec<(Token, Call)>) -> Result<(), Stopped> {
        self.handle.send_many(calls).await
    }

    /// The next delivery; None when the mind has ended.
    pub async fn recv(&mut self) -> Option<Delivery> {
        self.outbox.recv().await
    }

    /// The next delivery if it is there already.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        self.outbox.try_recv()
    }

    /// Where this node is, as far as this one knows.
    pub fn elsewhere(&self, leader: Option<NodeId>) -> Elsewhere {
        elsewhere(&self.listener, &self.inbox, leader)
    }

    /// Who serves now that this session has ended, as far as this node knows.
    pub fn successor(&self) -> Elsewhere {
        self.elsewhere(self.inbox.role().leader())
    }
}

/// Hangs up on a client that takes nothing although too much waits for it. A task of its own: whoever writes to the
/// client does not run while the client does not read.
#[derive(Debug)]
struct BacklogWatch(tokio::task::JoinHandle<()>);

impl BacklogWatch {
    fn start(backlog: Arc<Backlog>, client: Client, listener: Listener) -> BacklogWatch {
        let patience = listener.limits.unread_patience;
        BacklogWatch(tokio::spawn(async move {
            loop {
                backlog.overfull().await;
                let taken = backlog.taken();
                tokio::time::sleep(patience).await;
                if backlog.is_overfull() && backlog.taken() == taken {
                    add(&listener.counters.hung_up, 1);
                    tracing::warn!(client = ?client.address, "hung up on a client that does not read its messages");
                    return client.hang_up();
                }
            }
        }))
    }
}

impl Drop for BacklogWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
