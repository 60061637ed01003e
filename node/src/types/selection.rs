//! Which messages a get or browse is about.

use super::{CorrelationId, GroupId, MessageId};

/// MQMO_MATCH_*: only messages that match everything that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// MQMO_MATCH_MSG_ID.
    pub message_id: Option<MessageId>,
    /// MQMO_MATCH_CORREL_ID.
    pub correlation_id: Option<CorrelationId>,
    /// MQMO_MATCH_GROUP_ID.
    pub group_id: Option<GroupId>,
    /// MsgSeqNumber; a message of no group has 1.
    pub sequence_number: Option<u32>,
    /// MQGMO_LOGICAL_ORDER: what its handle has begun decides which message is next.
    pub logical_order: bool,
    /// MQGMO_ALL_MSGS_AVAILABLE: messages of groups of which all are there.
    pub whole_groups: bool,
}

impl Selection {
    /// Whether every message will do.
    pub fn is_any(&self) -> bool {
        *self == Selection::default()
    }

    /// Whether the group of a message has to be there as a whole: in logical order that is asked of the first one only.
    pub fn wants_whole(&self) -> bool {
        let goes_on = self.logical_order && self.sequence_number.is_some_and(|number| number > 1);
        debug_assert!(
            !goes_on || self.group_id.is_some(),
            "what goes on in logical order goes on with a group"
        );
        self.whole_groups && !goes_on
    }

    /// Whether groups have to be known to find such a message.
    pub fn is_of_groups(&self) -> bool {
        self.sequence_number.is_some() || self.whole_groups
    }

    /// And by what the other one says where this says nothing.
    pub fn and(&self, other: &Selection) -> Selection {
        let both = Selection {
            message_id: self.message_id.or(other.message_id),
            correlation_id: self.correlation_id.or(other.correlation_id),
            group_id: self.group_id.or(other.group_id),
            sequence_number: self.sequence_number.or(other.sequence_number),
            logical_order: self.logical_order | other.logical_order,
            whole_groups: self.whole_groups | other.whole_groups,
        };
        debug_assert_eq!(both.is_any(), self.is_any() && other.is_any(), "whoever says nothing adds nothing");
        both
    }
}
