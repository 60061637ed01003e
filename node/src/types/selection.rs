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

    /// And by what the other one says where this says nothing.
    pub fn and(&self, other: &Selection) -> Selection {
        let both = Selection {
            message_id: self.message_id.or(other.message_id),
            correlation_id: self.correlation_id.or(other.correlation_id),
            group_id: self.group_id.or(other.group_id),
        };
        debug_assert_eq!(both.is_any(), self.is_any() && other.is_any(), "whoever says nothing adds nothing");
        both
    }
}
