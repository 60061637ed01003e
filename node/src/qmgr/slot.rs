//! What is known of one message on a queue: what order, selection and expiry need, and the message while it is in
//! memory.

use super::keys::{PackKey, Packed};
use crate::types::{
    CorrelationId, Descriptor, GroupId, InGroup, Message, MessageId, Position, ReportOptions, Selection,
    WallTime, limits,
};

/// There is one for every message on every queue, in memory: 72 bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub message_id: MessageId,
    /// What most messages do not have.
    related: Option<Box<Related>>,
    pub body_length: u32,
    pub backout_count: u32,
    pub put_at: WallTime,
    /// [`NEVER`], for most.
    expires: WallTime,
    /// The store has (or is about to have) this message, here.
    pub packed: Option<Packed>,
    /// None: in the store only.
    pub message: Option<Box<Message>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Related {
    correlation_id: CorrelationId,
    reports: ReportOptions,
    grouped: Option<Box<Grouped>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Grouped {
    group_id: GroupId,
    /// What else its message says of a group that it is in.
    in_group: Option<(u32, bool)>,
}

// A queue may have millions of them.
const _: () = assert!(size_of::<Slot>() <= 72, "a slot is as small as is said");
const _: () = assert!(size_of::<(Position, Slot)>() <= 96, "with its position, too");
const _: () = assert!(size_of::<Related>() <= 40 && size_of::<Grouped>() <= 40, "and so is what it has more");

const NEVER: WallTime = WallTime(i64::MAX);

impl Slot {
    pub fn new(message: Box<Message>) -> Slot {
        let descriptor = &message.descriptor;
        let expires = descriptor.expiry.map(|tenths| {
            let put_at = descriptor.put_at.0;
            WallTime(put_at.saturating_add(i64::from(tenths) * 100))
        });
        debug_assert!(message.body.len() <= limits::BODY_BYTES_MAX, "no body is longer than MQ allows");
        let slot = Slot::of(descriptor, message.body.len() as u32, expires);
        Slot { message: Some(message), ..slot }
    }

    /// Without the message itself.
    pub(super) fn of(descriptor: &Descriptor, body_length: u32, expires: Option<WallTime>) -> Slot {
        let Descriptor { message_id, correlation_id, group_id, backout_count, put_at, .. } = *descriptor;
        let reports = descriptor.report;
        let is_related = !correlation_id.is_none() || !group_id.is_none() || reports.wants_any();
        let in_group = descriptor.in_group().map(|group| (group.sequence_number, group.is_last));
        let grouped = || (!group_id.is_none()).then(|| Box::new(Grouped { group_id, in_group }));
        let related = || Box::new(Related { correlation_id, reports, grouped: grouped() });
        Slot {
            message_id,
            related: is_related.then(related),
            body_length,
            backout_count,
            put_at,
            expires: expires.unwrap_or(NEVER),
            packed: None,
            message: None,
        }
    }

    /// What every replica knows of the message alike.
    pub(super) fn facts(&self) -> impl std::hash::Hash {
        let group_id = self.group_id().unwrap_or_default();
        let related = self.related.as_ref().map(|related| (related.correlation_id, group_id));
        // What a message asks for is in its descriptor: nothing here that the release before would not count.
        let related =
            related.filter(|(correlation_id, group_id)| !correlation_id.is_none() || !group_id.is_none());
        (self.message_id, related, self.body_length, self.backout_count, self.put_at, self.expires)
    }

    pub fn correlation_id(&self) -> CorrelationId {
        self.related.as_ref().map_or(CorrelationId::default(), |related| related.correlation_id)
    }

    pub fn group_id(&self) -> Option<GroupId> {
        self.grouped().map(|grouped| grouped.group_id)
    }

    fn grouped(&self) -> Option<&Grouped> {
        self.related.as_ref()?.grouped.as_deref()
    }

    /// None for a message of no group.
    pub fn in_group(&self) -> Option<InGroup> {
        let Grouped { group_id, in_group } = self.grouped()?;
        let (sequence_number, is_last) = (*in_group)?;
        debug_assert!(sequence_number > 0, "messages of a group have numbers");
        Some(InGroup { group_id: *group_id, sequence_number, is_last })
    }

    /// MsgSeqNumber: 1 for a message of no group.
    pub fn sequence_number(&self) -> u32 {
        self.in_group().map_or(1, |group| group.sequence_number)
    }

    /// What the message asks to be told of its fate.
    pub fn reports(&self) -> ReportOptions {
        self.related.as_ref().map_or(ReportOptions::NONE, |related| related.reports)
    }

    pub fn expires(&self) -> Option<WallTime> {
        (self.expires != NEVER).then_some(self.expires)
    }

    pub fn matches(&self, selection: &Selection) -> bool {
        selection.message_id.is_none_or(|id| id == self.message_id)
            && selection.correlation_id.is_none_or(|id| id == self.correlation_id())
            && selection.group_id.is_none_or(|id| self.group_id() == Some(id))
            && selection.sequence_number.is_none_or(|number| number == self.sequence_number())
    }

    /// Whether the pack is the one that this message, at its position, lies in.
    pub(super) fn is_in(&self, pack: PackKey, at: Position) -> bool {
        debug_assert!(self.packed.is_none() || at.is_persistent(), "only persistent messages are packed");
        self.packed.is_some_and(|packed| packed.key(pack.queue, at) == pack)
    }

    pub fn is_expired(&self, now: WallTime) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }
}
