//! Which messages a get or browse is about.

use super::{CorrelationId, GroupId, MessageId};

/// MQMO_MATCH_*: only messages that match everything that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub message_id: Option<MessageId>,
    pub correlation_id: Option<CorrelationId>,
    pub group_id: Option<GroupId>,
}

impl Selection {
    pub fn is_any(&self) -> bool {
        *self == Selection::default()
    }
}
