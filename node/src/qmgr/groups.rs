//! Groups of messages (MQMF_MSG_IN_GROUP) among those of a queue that somebody may have: which are whole, and which
//! message begins one. Each message costs what a step into a map costs, whatever the size of its group.
//!
//! Kept by the leader, for queues whose programs ask for groups (`replica::free`); a message that nobody may have is not in it, and
//! one whose time is over leaves it when it is told so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::Slot;
use crate::types::{GroupId, InGroup, Position, WallTime};

#[derive(Debug, Default)]
pub struct Groups {
    by_id: BTreeMap<GroupId, Group>,
    /// Messages of no group.
    alone: BTreeSet<Position>,
    /// The first message of each group of which all messages are there, and of each that lacks some.
    whole: BTreeSet<Position>,
    broken: BTreeSet<Position>,
    /// When messages of groups expire: the group, and the number in it.
    expires: BTreeMap<(WallTime, Position), (GroupId, u32)>,
}

#[derive(Debug, Default)]
struct Group {
    /// By their numbers. A program may give a number twice.
    members: BTreeSet<(u32, Position)>,
    /// Those that are said to be the last one.
    lasts: BTreeSet<(u32, Position)>,
    /// How many numbers there are.
    numbers: u32,
}

impl Group {
    fn has(&self, number: u32) -> bool {
        self.with(number, None).next().is_some()
    }

    /// The messages of a number, behind this position.
    fn with(&self, number: u32, behind: Option<Position>) -> impl Iterator<Item = Position> {
        let from = behind.map_or(Included((number, FIRST)), |behind| Excluded((number, behind)));
        let upto = number.checked_add(1).map_or(Unbounded, |next| Excluded((next, FIRST)));
        self.members.range((from, upto)).map(|(_, position)| *position)
    }

    /// The message that begins it. Where a program gave the number twice the others are passed over while this one is there: to go
    /// through all of them whenever the group becomes whole would cost what a program likes.
    fn first(&self) -> Option<Position> {
        self.with(1, None).next()
    }

    /// All from 1 on, up to one that is said to be the last.
    fn is_whole(&self) -> bool {
        let highest = self.members.last().map_or(0, |(number, _)| *number);
        debug_assert!(self.numbers <= highest, "numbers are counted once, and begin with 1");
        highest == self.numbers && self.lasts.last().is_some_and(|(number, _)| *number == highest)
    }
}

const FIRST: Position = Position { rank: 0, sequence: 0, minor: 0 };

impl Groups {
    /// The message may be had. Its group, if more than that message may be had of it now.
    pub fn add(&mut self, position: Position, slot: &Slot) -> Option<GroupId> {
        let Some(InGroup { group_id, sequence_number, is_last }) = slot.in_group() else {
            let is_new = self.alone.insert(position);
            debug_assert!(is_new, "a message is there once");
            return None;
        };
        let group = self.by_id.entry(group_id).or_default();
        let before = (group.is_whole(), group.first());
        group.numbers += u32::from(!group.has(sequence_number));
        let is_new = group.members.insert((sequence_number, position));
        debug_assert!(is_new, "a message is there once");
        group.lasts.extend(is_last.then_some((sequence_number, position)));
        self.expires.extend(slot.expires().map(|at| ((at, position), (group_id, sequence_number))));
        self.settle(group_id, before)
    }

    /// The message may not be had any more. Nothing happens when it is not there. Its group, if more may be had of it now: one that
    /// lacked a number in front of this one is whole without it, and what was behind it begins the group.
    pub fn remove(&mut self, position: Position, slot: &Slot) -> Option<GroupId> {
        let Some(InGroup { group_id, sequence_number, .. }) = slot.in_group() else {
            self.alone.remove(&position);
            return None;
        };
        if let Some(at) = slot.expires() {
            self.expires.remove(&(at, position));
        }
        self.take_out(group_id, sequence_number, position)
    }

    /// When the next message of a group expires.
    pub fn next_expiry(&self) -> Option<WallTime> {
        self.expires.first_key_value().map(|((at, _), _)| *at)
    }

    /// That message has expired: it counts for nothing any more. As [`Groups::remove`].
    pub fn remove_expired(&mut self) -> Option<GroupId> {
        let ((_, position), (group_id, number)) = self.expires.pop_first()?;
        self.take_out(group_id, number, position)
    }

    fn take_out(&mut self, group_id: GroupId, number: u32, position: Position) -> Option<GroupId> {
        let group = self.by_id.get_mut(&group_id)?;
        let before = (group.is_whole(), group.first());
        if !group.members.remove(&(number, position)) {
            return None;
        }
        group.numbers -= u32::from(!group.has(number));
        group.lasts.remove(&(number, position));
        self.settle(group_id, before)
    }

    /// Its first message is where it belongs, and nothing is kept of a group that is gone. `before`: whether it was whole, and its
    /// first message then. The group, if it is whole only now, or begins with a message that stood behind another one.
    fn settle(&mut self, group_id: GroupId, before: (bool, Option<Position>)) -> Option<GroupId> {
        let group = self.by_id.get(&group_id)?;
        let now = (group.is_whole(), group.first());
        if group.members.is_empty() {
            debug_assert!(group.lasts.is_empty(), "nothing is left of it");
            self.by_id.remove(&group_id);
        }
        if now == before {
            return None;
        }
        if let (was_whole, Some(first)) = before {
            let was_there = self.firsts(was_whole).remove(&first);
            debug_assert!(was_there, "a first message is where its group was");
        }
        if let (is_whole, Some(first)) = now {
            self.firsts(is_whole).insert(first);
        }
        let has_grown = now.0 && !before.0 || before.1.is_some() && now.1 > before.1;
        has_grown.then_some(group_id)
    }

    fn firsts(&mut self, of_whole: bool) -> &mut BTreeSet<Position> {
        if of_whole { &mut self.whole } else { &mut self.broken }
    }

    /// Whether all messages of a group are there.
    pub fn is_whole(&self, group_id: GroupId) -> bool {
        self.by_id.get(&group_id).is_some_and(Group::is_whole)
    }

    /// The message that begins it, if that is there.
    pub fn first_of(&self, group_id: GroupId) -> Option<Position> {
        self.by_id.get(&group_id)?.first()
    }

    /// The messages of a number of a group, behind this position.
    pub fn numbered(
        &self,
        group_id: GroupId,
        number: u32,
        behind: Option<Position>,
    ) -> impl Iterator<Item = Position> {
        self.by_id.get(&group_id).into_iter().flat_map(move |group| group.with(number, behind))
    }

    /// Nobody asks for it any more: some of its memory comes back. False when nothing is left.
    pub fn take_apart(&mut self) -> bool {
        let mut some = false;
        if let Some(mut group) = self.by_id.first_entry() {
            some = true;
            let of = group.get_mut();
            let members = [of.members.pop_first(), of.lasts.pop_first()];
            if members == [None, None] {
                group.remove();
            }
        }
        for firsts in [&mut self.alone, &mut self.whole, &mut self.broken] {
            some |= firsts.pop_first().is_some();
        }
        some | self.expires.pop_first().is_some()
    }

    /// The next message behind this position that is of no group or begins one; one of which all is there if that is wanted.
    pub fn next_first(&self, behind: Option<Position>, whole: bool) -> Option<Position> {
        let next = |of: &BTreeSet<Position>| {
            of.range((behind.map_or(Unbounded, Excluded), Unbounded)).next().copied()
        };
        let broken = if whole { None } else { next(&self.broken) };
        let found = [next(&self.alone), next(&self.whole), broken].into_iter().flatten().min();
        debug_assert!(found.is_none_or(|found| behind < Some(found)), "a search goes forward");
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Descriptor, Message, message_flags};

    fn at(sequence: u64) -> Position {
        Position { rank: 5, sequence, minor: 0 }
    }

    fn id(name: &str) -> GroupId {
        GroupId::from_slice(name.as_bytes()).unwrap()
    }

    /// `name` None is a message of no group; tenths of a second it lives.
    fn slot(name: Option<&str>, number: u32, is_last: bool, expiry: Option<u32>) -> Slot {
        let mut descriptor = Descriptor { expiry, ..Descriptor::default() };
        if let Some(name) = name {
            descriptor.set_in_group(InGroup { group_id: id(name), sequence_number: number, is_last });
            descriptor.message_flags |= if is_last { message_flags::LAST_MSG_IN_GROUP } else { 0 };
        }
        Slot::new(Box::new(Message { descriptor, ..Message::default() }))
    }

    #[test]
    fn a_group_is_whole_when_all_its_numbers_are_there_in_whatever_order_they_came() {
        let mut groups = Groups::default();
        assert_eq!(groups.add(at(1), &slot(Some("g"), 3, true, None)), None);
        assert_eq!(groups.add(at(2), &slot(Some("g"), 1, false, None)), None);
        assert_eq!(
            groups.add(at(3), &slot(Some("h"), 1, true, None)),
            Some(id("h")),
            "one message is a group"
        );
        assert_eq!(groups.next_first(None, true), Some(at(3)));
        assert_eq!(groups.next_first(None, false), Some(at(2)));
        assert_eq!(groups.add(at(4), &slot(Some("g"), 2, false, None)), Some(id("g")));
        assert!(groups.is_whole(id("g")));
        assert_eq!(groups.next_first(None, true), Some(at(2)));
        assert_eq!(groups.numbered(id("g"), 3, None).next(), Some(at(1)));
        groups.remove(at(4), &slot(Some("g"), 2, false, None));
        assert!(!groups.is_whole(id("g")));
        assert_eq!(groups.next_first(None, true), Some(at(3)));
    }

    #[test]
    fn a_number_that_is_there_twice_counts_once() {
        let mut groups = Groups::default();
        groups.add(at(1), &slot(Some("g"), 1, false, None));
        groups.add(at(2), &slot(Some("g"), 1, false, None));
        assert_eq!(groups.add(at(3), &slot(Some("g"), 3, true, None)), None, "the second one lacks");
        assert_eq!(
            groups.remove(at(1), &slot(Some("g"), 1, false, None)),
            Some(id("g")),
            "the second one begins it"
        );
        assert_eq!(groups.add(at(4), &slot(Some("g"), 2, false, None)), Some(id("g")));
        assert_eq!(groups.next_first(None, true), Some(at(2)));
    }

    #[test]
    fn a_group_is_whole_when_one_leaves_that_stood_behind_a_gap() {
        let mut groups = Groups::default();
        groups.add(at(1), &slot(Some("g"), 1, false, None));
        groups.add(at(2), &slot(Some("g"), 4, false, None));
        assert_eq!(groups.add(at(3), &slot(Some("g"), 2, true, None)), None);
        assert_eq!(groups.remove(at(2), &slot(Some("g"), 4, false, None)), Some(id("g")));
        assert!(groups.is_whole(id("g")));
        assert_eq!(groups.remove(at(2), &slot(Some("g"), 4, false, None)), None, "it was not there any more");
    }

    #[test]
    fn what_has_expired_is_lacking_and_hides_nothing() {
        let mut groups = Groups::default();
        groups.add(at(1), &slot(Some("g"), 1, false, Some(4)));
        groups.add(at(2), &slot(Some("g"), 1, false, None));
        groups.add(at(3), &slot(Some("g"), 2, true, Some(5)));
        groups.add(at(4), &slot(Some("g"), 2, true, Some(6)));
        assert_eq!(
            (groups.next_first(None, false), groups.next_expiry()),
            (Some(at(1)), Some(WallTime(400)))
        );
        assert_eq!(groups.remove_expired(), Some(id("g")));
        assert_eq!(groups.next_first(None, true), Some(at(2)));
        assert_eq!(groups.remove_expired(), None, "the other one is there");
        assert!(groups.is_whole(id("g")));
        assert_eq!((groups.remove_expired(), groups.next_expiry()), (None, None));
        assert!(!groups.is_whole(id("g")));
        assert_eq!(groups.remove(at(4), &slot(Some("g"), 2, true, Some(6))), None);
    }

    #[test]
    fn nothing_is_left_of_what_was_removed() {
        let mut groups = Groups::default();
        let all = [(Some("g"), 1), (Some("g"), 2), (None, 1)];
        for (name, number) in all {
            groups.add(at(u64::from(number) + 5), &slot(name, number, number == 2, Some(3)));
            if name.is_none() {
                continue;
            }
            groups.remove(at(u64::from(number) + 5), &slot(name, number, number == 2, Some(3)));
        }
        groups.remove(at(6), &slot(None, 1, false, None));
        assert!(!groups.take_apart());
        let trees = [groups.by_id.len(), groups.alone.len(), groups.whole.len(), groups.broken.len()];
        assert_eq!((trees, groups.expires.len()), ([0; 4], 0));
    }
}
