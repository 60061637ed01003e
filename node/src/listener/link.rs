//! A session that lasts: calls go to the replica, deliveries come back, and whoever takes none of them is hung up on.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;

use super::backlogs::{Of, Watch};
use super::client::Client;
use super::node::Listener;
use super::serving::{Elsewhere, Refused, Unserved, elsewhere, find_served};
use crate::mqi::{Call, Connect, Terms};
use crate::replica::{Delivery, Inbox, Outbox, SessionHandle};
use crate::types::{NodeId, Reason, SessionId, Token};

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
    /// What was delivered while calls waited to be handed over.
    arrived: VecDeque<Delivery>,
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
        Ok(Link {
            listener: listener.clone(),
            inbox,
            handle,
            outbox,
            arrived: VecDeque::new(),
            _watch: watch,
        })
    }

    /// Its session, by which it is known where it is served.
    pub fn session(&self) -> SessionId {
        self.handle.session()
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

    /// Calls in the order they were made. Waits while too many bytes are unanswered or the mind is behind, and no longer than the
    /// session lasts: that it has ended is its last delivery. A token that is in use may not be used again.
    ///
    /// # Errors
    /// Why the session has to end: 2162 when the node stops, 2102 when there was no room for a get that waits for a minute.
    pub async fn send(&mut self, calls: Vec<(Token, Call)>) -> Result<(), Reason> {
        let Link { handle, outbox, arrived, .. } = self;
        if matches!(arrived.back(), Some(Delivery::Closed { .. })) {
            return Ok(());
        }
        let handle = &*handle;
        let mut sending = pin!(handle.send_many(calls));
        if let Some(sent) = (&mut sending).now_or_never() {
            return sent.map_err(|_| Reason::QMgrStopping);
        }
        let mut look = pin!(tokio::time::sleep(ROOM_PATIENCE));
        loop {
            let delivery = tokio::select! {
                biased;
                sent = &mut sending => return sent.map_err(|_| Reason::QMgrStopping),
                delivery = outbox.recv() => delivery.ok_or(Reason::QMgrStopping)?,
                () = &mut look => {
                    if handle.waits_for_waits() {
                        return Err(Reason::ResourceProblem);
                    }
                    look.as_mut().reset(tokio::time::Instant::now() + ROOM_PATIENCE);
                    continue;
                }
            };
            let is_last = matches!(delivery, Delivery::Closed { .. });
            arrived.push_back(delivery);
            if is_last {
                return Ok(());
            }
        }
    }

    /// The next delivery; None when the mind has ended. Its bodies count as not read until [`Link::sent`].
    pub async fn recv(&mut self) -> Option<Delivery> {
        match self.arrived.pop_front() {
            Some(delivery) => Some(delivery),
            None => self.outbox.recv().await,
        }
    }

    /// The next delivery if it is there already.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        self.arrived.pop_front().or_else(|| self.outbox.try_recv())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Limits;
    use crate::listener::grpc::testing::{fake_node, held_put, serving};
    use crate::types::Reason;

    #[tokio::test(start_paused = true)]
    async fn calls_that_wait_for_room_wait_no_longer_than_their_session_lasts() {
        let mut node = fake_node(Limits::default(), serving());
        let mut link = Link::open(&node.listener, &Client::default(), "QM", String::new()).await.unwrap();
        link.send(vec![(Token(1), Call::Ping), (Token(2), held_put())]).await.unwrap();
        node.batches.wait_for(|batches| *batches >= 1).await.unwrap();
        node.close_all.send(Reason::QMgrQuiescing).unwrap();
        for _ in 0..2 {
            link.send(vec![(Token(3), held_put())]).await.unwrap();
        }
        assert!(matches!(link.recv().await, Some(Delivery::Completions(told)) if told[0].0 == Token(1)));
        let last = link.recv().await;
        assert!(matches!(last, Some(Delivery::Closed { reason: Reason::QMgrQuiescing, .. })), "{last:?}");
    }
}
