//! A session for one task: what unary calls and administration do is said in a session that ends with them.
//!
//! When the caller goes away its errand is dropped, the session with it, and what it waited for is over.

use trimaran_proto::queue::v1 as wire;

use super::super::Listener;
use super::super::counters::add;
use super::convert::{self, Refused, refused};
use crate::mqi::{Call, Completion};
use crate::replica::{Delivery, Identity, Inbox, Outbox, SessionHandle};
use crate::types::{NodeId, Reason, RoleView, Token};

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
        let opened = inbox.open_session(identity.clone(), application.to_string()).await;
        let (handle, outbox) = opened.map_err(|_| Box::new(Completion::failed(Reason::QMgrStopping)))?;
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
                if completion.is_failed() {
                    self.listener.counters.count_failed(completion.reason);
                }
                return Ok((token, completion));
            }
            match self.outbox.recv().await {
                Some(Delivery::Completions(completions)) => self.arrived = completions.into_iter(),
                Some(Delivery::Closed { reason }) => return Err(Box::new(Completion::failed(reason))),
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
                let is_progress = matches!(completion.data, crate::mqi::Data::Progress { .. });
                if token == sent && !is_progress {
                    return Ok::<_, Refused>(completion);
                }
            }
        };
        answered.await.unwrap_or_else(|refused| *refused)
    }

    pub fn serving(&self, leader: Option<NodeId>) -> wire::Serving {
        serving(&self.listener, &self.inbox, leader)
    }
}

/// The queue manager a client named.
pub fn find<'a>(listener: &'a Listener, name: &str) -> Result<&'a Inbox, Refused> {
    listener.node.queue_manager(name).ok_or_else(|| {
        let names: Vec<&str> = listener.node.queue_managers.keys().map(|name| name.as_str()).collect();
        let names = names.join(", ");
        let detail = match name {
            "" => format!("Name one of {names}."),
            name => format!("{name:?} is none of {names}."),
        };
        refused(Reason::QMgrNameError, detail)
    })
}

/// Refuses unless this node serves the queue manager: 2543 when another does, 2059 when nobody does.
pub fn check_serving(listener: &Listener, inbox: &Inbox) -> Result<(), (Refused, wire::Serving)> {
    let leader = match inbox.role() {
        RoleView::Serving { .. } => return Ok(()),
        RoleView::Elected { .. } => None,
        RoleView::NotServing { leader, .. } => leader.filter(|leader| *leader != listener.node.node),
        RoleView::Removed => return Err(removed(listener, inbox)),
    };
    let reason = if leader.is_some() { Reason::StandbyQMgr } else { Reason::QMgrNotAvailable };
    Err((Box::new(Completion::failed(reason)), serving(listener, inbox, leader)))
}

/// This node left the group, and knows who was in it then.
fn removed(listener: &Listener, inbox: &Inbox) -> (Refused, wire::Serving) {
    let own = listener.node.node;
    let membership = inbox.published().membership.borrow();
    let others: Vec<_> = membership.nodes.iter().filter(|(node, _)| **node != own).collect();
    let named: Vec<String> =
        others.iter().map(|(_, info)| format!("{} at {}", info.name, info.client_address)).collect();
    let text = format!(
        "Node {} was removed from queue manager {} and does not know who serves it now. Connect to the nodes that \
         have it, last known as {}, and take this one out of the list of addresses.",
        listener.node.name,
        inbox.name(),
        named.join(", ")
    );
    let first = others.first().map(|(_, info)| info.client_address.clone()).unwrap_or_default();
    let hint = wire::Serving { address: first, ..convert::serving(inbox.name(), None) };
    (refused(Reason::QMgrNotAvailable, text), hint)
}

/// Where to go instead, as far as this node knows.
pub fn serving(listener: &Listener, inbox: &Inbox, leader: Option<NodeId>) -> wire::Serving {
    let membership = inbox.published().membership.borrow();
    let info =
        leader.and_then(|leader| membership.nodes.get(&leader).or_else(|| listener.node.nodes.get(&leader)));
    convert::serving(inbox.name(), info)
}
