//! A session for one task: what single calls and administration do is said in a session that ends with them.
//!
//! When the caller goes away its errand is dropped, the session with it, and what it waited for is over.

use super::backlogs::{Of, Watch};
use super::client::Client;
use super::counters::add;
use super::node::Listener;
use super::serving::{Elsewhere, Refused, elsewhere};
use crate::mqi::{Call, Completion, Connect, Data, Identity, Purpose};
use crate::replica::{Delivery, Inbox, Outbox, SessionHandle, answer_bytes};
use crate::types::{NodeId, Reason, Token};

pub struct Errand {
    listener: Listener,
    inbox: Inbox,
    handle: SessionHandle,
    outbox: Outbox,
    arrived: std::vec::IntoIter<(Token, Completion)>,
    next_token: u64,
}

impl Errand {
    pub async fn begin(
        listener: &Listener,
        inbox: &Inbox,
        identity: &Identity,
        application: &str,
    ) -> Result<Errand, Refused> {
        add(&listener.counters.unary_calls, 1);
        Errand::begin_as(listener, inbox, Connect::new(identity.clone(), application)).await
    }

    /// Let in also where nobody is served.
    pub async fn to_administer(
        listener: &Listener,
        inbox: &Inbox,
        identity: &Identity,
        application: &str,
    ) -> Result<Errand, Refused> {
        add(&listener.counters.unary_calls, 1);
        let connect = Connect::new(identity.clone(), application);
        Errand::begin_as(listener, inbox, Connect { purpose: Purpose::Errand, ..connect }).await
    }

    /// The session of a program of the queue manager's own.
    pub async fn of_server(listener: &Listener, inbox: &Inbox, application: &str) -> Result<Errand, Refused> {
        let connect = Connect::new(Identity::default(), application);
        Errand::begin_as(listener, inbox, Connect { purpose: Purpose::Server, ..connect }).await
    }

    /// As [`Errand::to_administer`], for a command that came as a message.
    pub async fn of_command(
        listener: &Listener,
        inbox: &Inbox,
        identity: Identity,
        application: String,
    ) -> Result<Errand, Refused> {
        let connect = Connect { purpose: Purpose::Errand, ..Connect::new(identity, application) };
        Errand::begin_as(listener, inbox, connect).await
    }

    async fn begin_as(listener: &Listener, inbox: &Inbox, connect: Connect) -> Result<Errand, Refused> {
        let (handle, outbox) = inbox.open_session(connect).await?;
        let arrived = Vec::new().into_iter();
        Ok(Errand {
            listener: listener.clone(),
            inbox: inbox.clone(),
            handle,
            outbox,
            arrived,
            next_token: 0,
        })
    }

    /// Hangs up on the client when it does not take what was asked for ahead of it.
    pub fn watch(&self, client: &Client) -> Watch {
        self.listener.backlogs.watch(self.outbox.backlog(), client.clone(), Of::Stream)
    }

    /// Sends calls in one go; their tokens, in order.
    pub async fn send(&mut self, calls: Vec<Call>) -> Result<Vec<Token>, Refused> {
        let first = self.next_token + 1;
        self.next_token += calls.len() as u64;
        let tokens: Vec<Token> = (first..=self.next_token).map(Token).collect();
        let calls = tokens.iter().copied().zip(calls).collect();
        let sent = self.handle.send_many(calls).await;
        sent.map(|()| tokens).map_err(|_| Box::new(Completion::failed(Reason::QMgrStopping)))
    }

    /// The next answer, or what became of the session.
    pub async fn next(&mut self) -> Result<(Token, Completion), Refused> {
        loop {
            if let Some((token, completion)) = self.arrived.next() {
                self.outbox.take(answer_bytes(&completion));
                if completion.is_failed() {
                    self.listener.counters.count_failed(completion.reason);
                }
                return Ok((token, completion));
            }
            match self.outbox.recv().await {
                Some(Delivery::Completions(completions)) => self.arrived = completions.into_iter(),
                Some(Delivery::Closed { reason, .. }) => return Err(Box::new(Completion::failed(reason))),
                None => return Err(Box::new(Completion::failed(Reason::QMgrStopping))),
            }
        }
    }

    /// One call and its answer.
    pub async fn call(&mut self, call: Call) -> Completion {
        let answered = async {
            let sent = self.send(vec![call]).await?[0];
            loop {
                let (token, completion) = self.next().await?;
                let is_progress = matches!(completion.data, Data::Progress { .. });
                if token == sent && !is_progress {
                    return Ok::<_, Refused>(completion);
                }
            }
        };
        answered.await.unwrap_or_else(|refused| *refused)
    }

    /// Where to go instead, if that is the answer.
    pub fn elsewhere(&self, completion: &Completion) -> Option<Elsewhere> {
        match completion.data {
            Data::NotServing { leader } => Some(self.leader(leader)),
            _ => None,
        }
    }

    fn leader(&self, leader: Option<NodeId>) -> Elsewhere {
        elsewhere(&self.listener, &self.inbox, leader)
    }
}
