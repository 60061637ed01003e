//! A session for one task: what single calls and administration do is said in a session that ends with them.
//!
//! When the caller goes away its errand is dropped, the session with it, and what it waited for is over.

use std::collections::BTreeMap;

use super::backlogs::{Of, Watch};
use super::client::Client;
use super::counters::add;
use super::flights::{Flights, outcome};
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
    flights: Flights,
    /// Why the session ended.
    ended: Option<Reason>,
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
        let flights = Flights::new(listener.limits.clone(), listener.counters.clone());
        Ok(Errand {
            listener: listener.clone(),
            inbox: inbox.clone(),
            handle,
            outbox,
            arrived,
            flights,
            ended: None,
            next_token: 0,
        })
    }

    /// Hangs up on the client when it does not take what was asked for ahead of it.
    pub fn watch(&self, client: &Client) -> Watch {
        self.listener.backlogs.watch(self.outbox.backlog(), client.clone(), Of::Stream)
    }

    /// Sends calls in one go; their tokens, in order.
    ///
    /// # Errors
    /// Why the session ended, or 2162 when the node stops: the last of the calls was not handed over.
    pub async fn send(&mut self, calls: Vec<Call>) -> Result<Vec<Token>, Refused> {
        if let Some(reason) = self.ended {
            return Err(Box::new(Completion::failed(reason)));
        }
        let first = self.next_token + 1;
        self.next_token += calls.len() as u64;
        let tokens: Vec<Token> = (first..=self.next_token).map(Token).collect();
        let calls: Vec<(Token, Call)> = tokens.iter().copied().zip(calls).collect();
        calls.iter().for_each(|(token, call)| self.flights.begin(*token, call));
        let sent = self.handle.send_many(calls).await;
        sent.map(|()| tokens).map_err(|_| Box::new(Completion::failed(Reason::QMgrStopping)))
    }

    /// The next answer. When the session ends, each call that has none gets the one that is true then: why it ended, or 2549 where
    /// nobody says whether the call was done.
    ///
    /// # Errors
    /// Why the session ended, when no call is left to answer.
    pub async fn next(&mut self) -> Result<(Token, Completion), Refused> {
        loop {
            if let Some((token, completion)) = self.arrived.next() {
                self.outbox.take(answer_bytes(&completion));
                if completion.is_failed() {
                    self.listener.counters.count_failed(completion.reason);
                }
                if !is_progress(&completion) {
                    self.flights.finish(token);
                }
                return Ok((token, completion));
            }
            if let Some(reason) = self.ended {
                return Err(Box::new(Completion::failed(reason)));
            }
            match self.outbox.recv().await {
                Some(Delivery::Completions(completions)) => self.arrived = completions.into_iter(),
                Some(Delivery::Closed { reason, all_answered }) => self.end(reason, all_answered),
                None => self.end(Reason::QMgrStopping, false),
            }
        }
    }

    fn end(&mut self, because: Reason, all_answered: bool) {
        self.ended = Some(because);
        let open = self.flights.end(because, all_answered).into_iter();
        let told: Vec<_> = open.map(|(token, reason)| (token, Completion::failed(reason))).collect();
        self.arrived = told.into_iter();
    }

    /// Calls of which each needs the one before, and what became of all of them: see [`outcome`].
    pub async fn call_all(&mut self, calls: Vec<Call>) -> Result<Completion, Refused> {
        let tokens = self.send(calls).await?;
        let mut answers = BTreeMap::new();
        while answers.len() < tokens.len() {
            let (token, completion) = self.next().await?;
            if !is_progress(&completion) {
                answers.insert(token, completion);
            }
        }
        Ok(outcome(answers.into_values().collect()))
    }

    /// One call and its answer.
    pub async fn call(&mut self, call: Call) -> Completion {
        let answered = async {
            let sent = self.send(vec![call]).await?[0];
            loop {
                let (token, completion) = self.next().await?;
                if token == sent && !is_progress(&completion) {
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

/// More is to come.
fn is_progress(completion: &Completion) -> bool {
    matches!(completion.data, Data::Progress { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Limits;
    use crate::listener::grpc::testing::{fake_node, serving};
    use crate::mqi::{Get, GetMode, OpenOptions, Selection, Wait};
    use crate::types::{HandleId, ObjectName};

    fn open() -> Call {
        let (queue, options) = (ObjectName::new("Q").unwrap(), OpenOptions::default());
        Call::Open { handle: HandleId(1), queue, options, dynamic: String::new(), selector: None }
    }

    fn waiting(mode: GetMode, syncpoint: bool) -> Call {
        Call::Get(Get {
            handle: HandleId(1),
            syncpoint,
            wait: Wait::Forever,
            mode,
            selection: Selection::default(),
            syncpoint_if_persistent: false,
            max_length: None,
            accept_truncated: false,
            extended: false,
            lock: false,
        })
    }

    #[tokio::test]
    async fn only_what_leaves_nothing_behind_is_told_why_the_session_ended() {
        let mut node = fake_node(Limits::default(), serving());
        let inbox = node.listener.node.queue_manager("QM").unwrap();
        let mut errand = Errand::begin(&node.listener, &inbox, &Identity::default(), "").await.unwrap();
        let browse = waiting(GetMode::BrowseFirst, false);
        let gets = [false, true].map(|syncpoint| waiting(GetMode::Destructive, syncpoint));
        errand.send([open(), browse].into_iter().chain(gets).collect()).await.unwrap();
        node.batches.wait_for(|batches| *batches >= 1).await.unwrap();
        node.close_all.send(Reason::QMgrStopping).unwrap();
        let mut told = Vec::new();
        let end = loop {
            match errand.next().await {
                Ok((_, completion)) => told.push(completion.reason),
                Err(end) => break end.reason,
            }
        };
        let (stopping, unknown) = (Reason::QMgrStopping, Reason::CallInterrupted);
        assert_eq!(told, [Reason::None, stopping, unknown, stopping], "open, browse, get, get in a unit");
        assert_eq!(end, stopping);
        let late = errand.call(waiting(GetMode::Destructive, false)).await;
        assert_eq!(late.reason, stopping, "what comes later is not done");
    }
}
