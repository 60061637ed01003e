//! Which queue manager a client means, who serves it, and what is told to those who ask somebody else.

use super::node::Listener;
use super::waits;
use crate::mqi::{Completion, Refusal};
use crate::replica::Inbox;
use crate::types::{NodeId, NodeInfo, ObjectName, Reason, RoleView};

/// A refusal before the replica was asked. Boxed: it is the rare way out of functions that run for every message.
pub type Refused = Box<Completion>;

pub fn refused(reason: Reason, detail: impl Into<String>) -> Refused {
    Box::new(Completion::failed_because(reason, detail))
}

/// Where to go instead; name and address of the node are empty when nobody is known to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    pub queue_manager: String,
    pub node: String,
    /// Where clients reach the node, `host:port`.
    pub address: String,
}

impl Elsewhere {
    pub fn of(queue_manager: &ObjectName, leader: Option<&NodeInfo>) -> Elsewhere {
        Elsewhere {
            queue_manager: queue_manager.to_string(),
            node: leader.map(|info| info.name.clone()).unwrap_or_default(),
            address: leader.map(|info| info.client_address.clone()).unwrap_or_default(),
        }
    }
}

/// A refusal, and where to go instead if that is why.
#[derive(Debug)]
pub struct Unserved {
    pub refusal: Refused,
    pub elsewhere: Option<Elsewhere>,
}

impl From<Refused> for Unserved {
    fn from(refusal: Refused) -> Unserved {
        Unserved { refusal, elsewhere: None }
    }
}

impl From<Refusal> for Unserved {
    fn from(refusal: Refusal) -> Unserved {
        Refused::from(refusal).into()
    }
}

/// The queue manager a client named; 2058 when there is none of that name, 2059 while this node cannot know that: it has the records of
/// queue managers as far as it had applied them, and finds the other nodes first.
pub fn find(listener: &Listener, name: &str) -> Result<Inbox, Refused> {
    listener.node.queue_manager(name).ok_or_else(|| {
        let names: Vec<String> = listener.node.queue_managers().keys().map(ToString::to_string).collect();
        let names = names.join(", ");
        if !name.is_empty() && !listener.node.knows_all() {
            let detail = format!(
                "Whether there is a queue manager {name} is not known before the nodes have found each other."
            );
            return refused(Reason::QMgrNotAvailable, detail);
        }
        let detail = match name {
            _ if names.is_empty() => "There is no queue manager: create one with crtmqm.".to_owned(),
            "" => format!("Name one of {names}."),
            name => format!("{name:?} is none of {names}."),
        };
        refused(Reason::QMgrNameError, detail)
    })
}

/// As [`find`], for those who look after the nodes' own too.
pub fn find_any(listener: &Listener, name: &str) -> Result<Inbox, Refused> {
    match listener.node.cluster_inbox().filter(|inbox| inbox.name().as_str() == name) {
        Some(inbox) => Ok(inbox),
        None => find(listener, name),
    }
}

/// As [`find`], and refused unless this node serves it: 2543 when another does, 2059 when nobody does.
pub fn find_served(listener: &Listener, name: &str) -> Result<Inbox, Unserved> {
    let inbox = find(listener, name)?;
    check_serving(listener, &inbox)?;
    Ok(inbox)
}

/// Refuses unless this node serves the queue manager: 2543 when another does, 2059 when nobody does.
pub fn check_serving(listener: &Listener, inbox: &Inbox) -> Result<(), Unserved> {
    let role = inbox.role();
    match role.refusal() {
        None => Ok(()),
        Some(_) if role == RoleView::Removed => Err(removed(listener, inbox)),
        Some(refusal) => {
            let elsewhere = elsewhere(listener, inbox, role.leader());
            let published = inbox.published();
            let node = (listener.node.node, listener.node.name.as_str());
            let (waits_for, membership) = (published.waits_for.borrow(), published.membership.borrow());
            let waits = waits::sentence_with_recovery(node, role.role(), &waits_for, &membership);
            let refusal = match waits.filter(|_| role.leader().is_none()) {
                Some(sentence) => refused(refusal.reason, sentence),
                None => refusal.into(),
            };
            Err(Unserved { refusal, elsewhere: Some(elsewhere) })
        }
    }
}

/// This node left the group, and knows who was in it then.
fn removed(listener: &Listener, inbox: &Inbox) -> Unserved {
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
    let address = others.first().map(|(_, info)| info.client_address.clone()).unwrap_or_default();
    let elsewhere = Elsewhere { address, ..Elsewhere::of(inbox.name(), None) };
    Unserved { refusal: refused(Reason::QMgrNotAvailable, text), elsewhere: Some(elsewhere) }
}

/// Where this node is, as far as this one knows.
pub fn elsewhere(listener: &Listener, inbox: &Inbox, leader: Option<NodeId>) -> Elsewhere {
    let membership = inbox.published().membership.borrow();
    let info =
        leader.and_then(|leader| membership.nodes.get(&leader).or_else(|| listener.node.nodes.get(&leader)));
    Elsewhere::of(inbox.name(), info)
}
