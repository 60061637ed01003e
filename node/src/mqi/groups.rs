//! What a handle knows of the groups that were put, got and browsed through it, and what of that a call may ask.
//!
//! Three sets, as MQ has them (MQBACK, usage notes): of the last put, the last get and the last browse. IBM MQ Reference, "MQPMO" and
//! "MQGMO", tables of group and segment information. Segments of messages are not there.

use super::Get;
use super::GetMode;
use crate::types::{GroupId, InGroup, Reason, Selection};

/// Group information of one handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    put: Option<Begun>,
    got: Option<Begun>,
    browsed: Option<Begun>,
    /// Whether the last browse was in logical order; None before there was one.
    browses_logically: Option<bool>,
}

/// A group of which the last message has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Begun {
    group_id: GroupId,
    /// Of its last message that came.
    sequence_number: u32,
    in_unit: bool,
    is_persistent: bool,
    in_logical_order: bool,
}

/// One of the sets that a unit of work restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The group of the last put through the handle.
    Put,
    /// The group of the last get that was no browse.
    Got,
}

/// How a call is with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCall {
    /// MQPMO_LOGICAL_ORDER, MQGMO_LOGICAL_ORDER.
    pub in_logical_order: bool,
    /// Its message is part of a unit of work.
    pub in_unit: bool,
    /// Its message is persistent.
    pub is_persistent: bool,
}

/// Where a put in logical order has its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutPlace {
    /// In no group.
    Alone,
    /// It begins a group, which gets an id.
    First,
    /// It goes on with the group that was begun: the number behind that of the last message.
    Next { group_id: GroupId, sequence_number: u32 },
}

impl Groups {
    /// Where a message is put in logical order.
    ///
    /// # Errors
    /// 2241 when it is in no group and one was begun, 2185 and 2245 when it is not put as its group was begun, 2250 when the group has as
    /// many messages as there are numbers.
    pub fn place(&self, says_in_group: bool, call: GroupCall) -> Result<PutPlace, Reason> {
        debug_assert!(call.in_logical_order, "whoever does not put in logical order says where");
        match (self.put, says_in_group) {
            (None, false) => Ok(PutPlace::Alone),
            (None, true) => Ok(PutPlace::First),
            (Some(_), false) => Err(Reason::IncompleteGroup),
            (Some(begun), true) if begun.is_persistent != call.is_persistent => {
                Err(Reason::InconsistentPersistence)
            }
            (Some(begun), true) if begun.in_unit != call.in_unit => Err(Reason::InconsistentUow),
            (Some(begun), true) if begun.sequence_number >= InGroup::NUMBER_MAX => {
                Err(Reason::MsgSeqNumberError)
            }
            (Some(Begun { group_id, sequence_number, .. }), true) => {
                Ok(PutPlace::Next { group_id, sequence_number: sequence_number + 1 })
            }
        }
    }

    /// 2241 of a put that leaves logical order in the middle of a group.
    pub fn warning_of_put(&self, in_logical_order: bool) -> Option<Reason> {
        warning(self.put, in_logical_order)
    }

    /// The same of a get that is not a browse.
    pub fn warning_of_get(&self, get: &Get) -> Option<Reason> {
        match get.mode {
            GetMode::Destructive | GetMode::Ahead | GetMode::UnderCursor => {
                warning(self.got, get.selection.logical_order)
            }
            GetMode::BrowseFirst | GetMode::BrowseNext | GetMode::BrowseUnderCursor | GetMode::Unlock => None,
        }
    }

    /// 2241 of a handle that is closed in the middle of a group.
    pub fn warning_of_close(&self) -> Option<Reason> {
        warning(self.put, false).or(warning(self.got, false))
    }

    /// Whether puts through the handle have to do with groups whatever they say themselves.
    pub fn has_begun_to_put(&self) -> bool {
        self.put.is_some()
    }

    /// A message was put through the handle: with it a group begins, goes on or ends.
    pub fn note_put(&mut self, message: Option<InGroup>, call: GroupCall) {
        self.put = begun(message, call);
        debug_assert!(
            message.is_some_and(|group| !group.is_last) == self.put.is_some(),
            "a last message ends its group"
        );
    }

    /// Which messages a get is about, when what was begun is known. The same when it is asked again.
    ///
    /// # Errors
    /// 2247 when a program that is in a group names a message, 2245 when it does not get as it began, 2259 when a browse goes on in
    /// another order.
    pub fn seek(&self, get: &Get) -> Result<Selection, Reason> {
        let asked = get.selection;
        let begun = match get.mode {
            GetMode::UnderCursor | GetMode::BrowseUnderCursor | GetMode::Unlock => return Ok(asked),
            GetMode::BrowseNext if self.browses_logically.is_some_and(|is| is != asked.logical_order) => {
                return Err(Reason::InconsistentBrowse);
            }
            GetMode::BrowseFirst => None,
            GetMode::BrowseNext => self.browsed,
            GetMode::Destructive | GetMode::Ahead => self.got,
        };
        if !asked.logical_order {
            return Ok(asked);
        }
        let Some(begun) = begun else { return Ok(Selection { sequence_number: Some(1), ..asked }) };
        if !get.mode.is_browse() && get.is_in_unit(begun.is_persistent) != begun.in_unit {
            return Err(Reason::InconsistentUow);
        }
        let next = Selection {
            group_id: Some(begun.group_id),
            sequence_number: Some(begun.sequence_number + 1),
            logical_order: true,
            whole_groups: asked.whole_groups,
            ..Selection::default()
        };
        let names_one =
            asked.message_id.is_some() || asked.correlation_id.is_some() || asked.group_id.is_some();
        if names_one && asked != next {
            return Err(Reason::MatchOptionsError);
        }
        Ok(next)
    }

    /// A get or browse has found this message.
    pub fn note_got(&mut self, get: &Get, message: Option<InGroup>, call: GroupCall) {
        match get.mode {
            GetMode::Destructive | GetMode::Ahead | GetMode::UnderCursor => self.got = begun(message, call),
            GetMode::BrowseFirst | GetMode::BrowseNext => {
                self.browsed = begun(message, call);
                self.browses_logically = Some(call.in_logical_order);
            }
            GetMode::BrowseUnderCursor | GetMode::Unlock => {}
        }
        debug_assert!(
            self.browsed.is_none() || self.browses_logically.is_some(),
            "who has browsed did so in some order"
        );
    }

    /// Whether the browse cursor is in the middle of a group.
    pub fn browses_on(&self) -> bool {
        self.browsed.is_some()
    }

    /// A unit of work was backed out: one set is as it was before it.
    pub fn restore(&mut self, which: Which, before: Groups) {
        match which {
            Which::Put => self.put = before.put,
            Which::Got => self.got = before.got,
        }
    }

    /// Whether a set is not as it was.
    pub fn differs(&self, which: Which, before: &Groups) -> bool {
        match which {
            Which::Put => self.put != before.put,
            Which::Got => self.got != before.got,
        }
    }
}

fn begun(message: Option<InGroup>, call: GroupCall) -> Option<Begun> {
    let GroupCall { in_logical_order, in_unit, is_persistent } = call;
    let InGroup { group_id, sequence_number, .. } = message.filter(|group| !group.is_last)?;
    debug_assert!(sequence_number > 0, "messages of a group have numbers");
    Some(Begun { group_id, sequence_number, in_unit, is_persistent, in_logical_order })
}

fn warning(begun: Option<Begun>, in_logical_order: bool) -> Option<Reason> {
    let leaves = begun.is_some_and(|begun| begun.in_logical_order) && !in_logical_order;
    leaves.then_some(Reason::IncompleteGroup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqi::Wait;
    use crate::types::{HandleId, MessageId};

    const CALL: GroupCall = GroupCall { in_logical_order: true, in_unit: true, is_persistent: true };
    const GROUP: GroupId = GroupId([7; 24]);

    fn message(sequence_number: u32, is_last: bool) -> Option<InGroup> {
        Some(InGroup { group_id: GROUP, sequence_number, is_last })
    }

    fn get(mode: GetMode, logical_order: bool) -> Get {
        Get {
            handle: HandleId(1),
            syncpoint: !mode.is_browse(),
            syncpoint_if_persistent: false,
            wait: Wait::No,
            mode,
            selection: Selection { logical_order, whole_groups: true, ..Selection::default() },
            max_length: None,
            accept_truncated: false,
            extended: false,
            lock: false,
        }
    }

    #[test]
    fn a_group_is_put_to_its_end_as_it_was_begun() {
        let mut groups = Groups::default();
        assert_eq!(groups.place(false, CALL), Ok(PutPlace::Alone));
        assert_eq!(groups.place(true, CALL), Ok(PutPlace::First));
        groups.note_put(message(1, false), CALL);
        assert_eq!(groups.place(true, CALL), Ok(PutPlace::Next { group_id: GROUP, sequence_number: 2 }));
        assert_eq!(groups.place(false, CALL), Err(Reason::IncompleteGroup));
        let volatile = GroupCall { is_persistent: false, ..CALL };
        assert_eq!(groups.place(true, volatile), Err(Reason::InconsistentPersistence));
        assert_eq!(groups.place(true, GroupCall { in_unit: false, ..CALL }), Err(Reason::InconsistentUow));
        assert_eq!(groups.warning_of_put(false), Some(Reason::IncompleteGroup));
        assert_eq!(groups.warning_of_close(), Some(Reason::IncompleteGroup));
        groups.note_put(message(2, true), CALL);
        assert_eq!((groups.place(true, CALL), groups.warning_of_close()), (Ok(PutPlace::First), None));
    }

    #[test]
    fn a_group_that_was_put_up_to_somewhere_is_gone_on_with() {
        let mut groups = Groups::default();
        groups.note_put(message(41, false), GroupCall { in_logical_order: false, ..CALL });
        assert_eq!(groups.place(true, CALL), Ok(PutPlace::Next { group_id: GROUP, sequence_number: 42 }));
        assert_eq!(groups.warning_of_close(), None);
        groups.note_put(message(InGroup::NUMBER_MAX, false), CALL);
        assert_eq!(groups.place(true, CALL), Err(Reason::MsgSeqNumberError));
    }

    #[test]
    fn a_get_in_logical_order_is_about_a_first_message_and_then_about_the_next() {
        let mut groups = Groups::default();
        let get = get(GetMode::Destructive, true);
        let first = groups.seek(&get).unwrap();
        assert_eq!((first.group_id, first.sequence_number, first.wants_whole()), (None, Some(1), true));
        groups.note_got(&get, message(1, false), CALL);
        let next = groups.seek(&get).unwrap();
        assert_eq!((next.group_id, next.sequence_number, next.wants_whole()), (Some(GROUP), Some(2), false));
        assert_eq!(
            groups.seek(&Get { selection: next, ..get.clone() }),
            Ok(next),
            "and so when it is asked again"
        );
        assert_eq!(groups.seek(&Get { syncpoint: false, ..get.clone() }), Err(Reason::InconsistentUow));
        let named = Selection { message_id: Some(MessageId([1; 24])), ..get.selection };
        assert_eq!(groups.seek(&Get { selection: named, ..get.clone() }), Err(Reason::MatchOptionsError));
        groups.note_got(&get, message(2, true), CALL);
        assert_eq!(groups.seek(&get).map(|next| next.sequence_number), Ok(Some(1)));
    }

    #[test]
    fn a_browse_goes_on_in_the_order_in_which_it_began() {
        let mut groups = Groups::default();
        let (first, next) = (get(GetMode::BrowseFirst, true), get(GetMode::BrowseNext, true));
        groups.note_got(&first, message(1, false), CALL);
        assert!(groups.browses_on());
        assert_eq!(groups.seek(&next).map(|next| next.sequence_number), Ok(Some(2)));
        assert_eq!(groups.seek(&get(GetMode::BrowseNext, false)), Err(Reason::InconsistentBrowse));
        assert_eq!(
            groups.seek(&first).map(|first| first.sequence_number),
            Ok(Some(1)),
            "from the front again"
        );
        assert_eq!(groups.warning_of_close(), None, "nothing was taken");
    }

    #[test]
    fn a_unit_that_is_backed_out_leaves_what_was_before() {
        let mut groups = Groups::default();
        groups.note_put(message(3, false), CALL);
        let before = groups;
        groups.note_put(message(4, true), CALL);
        groups.note_got(&get(GetMode::Destructive, true), message(1, false), CALL);
        assert!(groups.differs(Which::Put, &before) && groups.differs(Which::Got, &before));
        groups.restore(Which::Put, before);
        assert!(!groups.differs(Which::Put, &before) && groups.differs(Which::Got, &before));
        groups.restore(Which::Got, before);
        assert_eq!(groups, before);
    }
}
