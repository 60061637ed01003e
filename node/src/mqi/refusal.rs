//! Why a call was not carried out.

use super::{Completion, Data};
use crate::types::definition::Fault;
use crate::types::{NodeId, Reason, RoleView, WhyNotServing};

/// A reason, and what it does not say by itself: which limit, which name, which value. Becomes the call's completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Never none.
    pub reason: Reason,
    /// Sentences for the user.
    pub detail: Option<String>,
}

impl Refusal {
    /// With sentences for the user.
    pub fn because(reason: Reason, detail: impl Into<String>) -> Refusal {
        debug_assert_ne!(reason, Reason::None, "what is refused has a reason");
        let detail = detail.into();
        debug_assert!(detail.ends_with('.'), "what is said beside a reason are sentences: {detail}");
        Refusal { reason, detail: Some(detail) }
    }

    /// 2055, of a queue with so many messages.
    pub fn not_empty(messages: u64) -> Refusal {
        debug_assert!(messages > 0, "a queue without a message is empty");
        let word = if messages == 1 { "message" } else { "messages" };
        Refusal::because(Reason::QNotEmpty, format!("It has {messages} {word}."))
    }

    /// For a log: the sentences if there are any, or the reason's name.
    pub fn sentence(&self) -> String {
        self.detail.clone().unwrap_or_else(|| format!("{} ({})", self.reason.name(), self.reason.number()))
    }
}

/// What a failed completion says.
impl From<Completion> for Refusal {
    fn from(completion: Completion) -> Refusal {
        debug_assert!(completion.is_failed(), "what was carried out was not refused");
        Refusal { reason: completion.reason, detail: completion.detail }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        debug_assert_ne!(reason, Reason::None, "what is refused has a reason");
        Refusal { reason, detail: None }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        debug_assert!(
            fault.text.is_empty() || fault.text.ends_with('.'),
            "what is said beside a reason are sentences"
        );
        Refusal { reason: fault.reason, detail: Some(fault.text).filter(|text| !text.is_empty()) }
    }
}

impl From<Refusal> for Completion {
    fn from(Refusal { reason, detail }: Refusal) -> Completion {
        Completion { detail, ..Completion::failed(reason) }
    }
}

impl From<Refusal> for Box<Completion> {
    fn from(refusal: Refusal) -> Box<Completion> {
        Box::new(refusal.into())
    }
}

impl Completion {
    /// The call is for a node that serves; this one says who does, if anybody.
    pub fn not_serving(leader: Option<NodeId>) -> Completion {
        let refused: Completion = not_serving(leader).into();
        debug_assert_eq!(
            refused.reason == Reason::StandbyQMgr,
            leader.is_some(),
            "a standby is one while another node serves"
        );
        Completion { data: Data::NotServing { leader }, ..refused }
    }
}

impl RoleView {
    /// What a client is told that wants to be served here; None while this node serves.
    pub fn refusal(&self) -> Option<Refusal> {
        debug_assert!(!self.is_serving() || self.leader().is_none(), "one node serves");
        match self {
            RoleView::Elected { why: WhyNotServing::Ended, .. } => Some(ended()),
            _ => (!self.is_serving()).then(|| not_serving(self.leader())),
        }
    }
}

/// 2059: an operator has ended the queue manager.
pub fn ended() -> Refusal {
    Refusal::because(Reason::QMgrNotAvailable, "It was ended (endmqm); strmqm starts it again.")
}

/// 2059: this node hands over.
pub fn moves() -> Refusal {
    Refusal::because(Reason::QMgrNotAvailable, "It moves to another node just now: connect again.")
}

/// 2543 when another node serves, 2059 when nobody does.
fn not_serving(leader: Option<NodeId>) -> Refusal {
    match leader {
        Some(_) => Reason::StandbyQMgr.into(),
        None => Reason::QMgrNotAvailable.into(),
    }
}
