//! A session that lasts: calls go to the replica, deliveries come back, and whoever takes none of them is hung up on.

use std::time::Duration;

use futures::FutureExt;

use super::backlogs::{Of, Watch};
use super::client::Client;
use super::node::Listener;
use super::serving::{Elsewhere, Refused, Unserved, elsewhere, find_served};
use crate::mqi::{Call, Connect, Terms};
use crate::replica::{Delivery, Inbox, Outbox, SessionHandle};
use crate::types::{NodeId, Reason, Token};

/// So long a session is kept waiting because too many gets wait for messages. A connection is not read meanwhile, so nobody
/// would notice that its client is gone, and what that has waits for ever.
const ROOM_PATIENCE: Duration = Duration::from_secs(60);

/// The way to the replica and back. Dropped, it ends the session: its unit of work is backed out.
#[derive(Debug)]
pub struct Link {
    listener: Listener,
    inbox: Inbox,
    handle: SessionHandle,
    outbox: Outbox,
    _watch: Watch,
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
        let connect = Connect::new(client.identity.clone(), application);
        Link::open_as(listener, client, queue_manager, connect).await
    }

    /// An instance of the client's channel; see [`Link::terms`].
    ///
    /// # Errors
    /// As [`Link::open`]; 2540 for a channel that is not defined, 2537 for one that has as many instances as it may have.
    pub async fn open_instance(
        listener: &Listener,
        client: &Client,
        queue_manager: &str,
    ) -> Result<Link, Unserved> {
        let connect = Connect::instance(client.identity.clone());
        Link::open_as(listener, client, queue_manager, connect).await
    }

    async fn open_as(
        listener: &Listener,
        client: &Client,
        queue_manager: &str,
        connect: Connect,
    ) -> Result<Link, Unserved> {
        let inbox = find_served(listener, queue_manager)?;
        let opened = inbox.open_session(connect).await;
        let (handle, outbox) = opened.map_err(Refused::from)?;
        let watch = listener.backlogs.watch(outbox.backlog(), client.clone(), Of::Stream);
        Ok(Link { listener: listener.clone(), inbox: inbox.clone(), handle, outbox, _watch: watch })
    }

    /// What was agreed.
    pub fn terms(&self) -> &Terms {
        self.handle.terms()
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
    ///
    /// # Errors
    /// Why the session has to end: 2162 when the node stops, 2102 when there was no room for a get that waits for a minute.
    pub async fn send(&self, calls: Vec<(Token, Call)>) -> Result<(), Reason> {
        let sent = self.handle.send_many(calls);
        tokio::pin!(sent);
        if let Some(sent) = (&mut sent).now_or_never() {
            return sent.map_err(|_| Reason::QMgrStopping);
        }
        loop {
            tokio::select! {
                biased;
                sent = &mut sent => return sent.map_err(|_| Reason::QMgrStopping),
                () = tokio::time::sleep(ROOM_PATIENCE) => {
                    if self.handle.waits_for_waits() {
                        return Err(Reason::ResourceProblem);
                    }
                }
            }
        }
    }

    /// The next delivery; None when the mind has ended. Its bodies count as not read until [`Link::sent`].
    pub async fn recv(&mut self) -> Option<Delivery> {
        self.outbox.recv().await
    }

    /// The next delivery if it is there already.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        self.outbox.try_recv()
    }

    /// So many bytes of bodies went on to the client's connection.
    pub fn sent(&self, bytes: u64) {
        self.outbox.take(bytes);
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
