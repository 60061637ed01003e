//! Groups of messages (MQMF_MSG_IN_GROUP) among those of a queue that somebody may have: which are whole, and which
//! message begins one. Each message costs what a step into a map costs, whatever the size of its group.
//!
//! Kept by the leader, for queues whose programs ask for groups (`replica::free`); a message that nobody may have is not in it.

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
    messages: usize,
}

#[derive(Debug, Default)]
struct Group {
    /// By their numbers. A program may give a number twice.
    members: BTreeSet<(u32, Position)>,
    /// Those that are said to be the last one.
    lasts: BTreeSet<(u32, Position)>,
    /// How many numbers there are.
    numbers: u32,
    /// When members expire.
    expires: BTreeSet<(WallTime, Position)>,
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

/// What a message in it takes in memory, about: two entries of trees that are half full.
const WEIGHT: u64 = 128;

impl Groups {
    /// The message may be had. Its group, if it is whole with it and was not before.
    pub fn add(&mut self, position: Position, slot: &Slot) -> Option<GroupId> {
        self.messages += 1;
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
        group.expires.extend(slot.expires().map(|at| (at, position)));
        let is_whole = group.is_whole();
        self.settle(group_id, before);
        (is_whole && !before.0).then_some(group_id)
    }

    /// The message may not be had any more. Nothing happens when it is not there.
    pub fn remove(&mut self, position: Position, slot: &Slot) {
        let Some(InGroup { group_id, sequence_number, .. }) = slot.in_group() else {
            self.messages -= usize::from(self.alone.remove(&position));
            return;
        };
        let Some(group) = self.by_id.get_mut(&group_id) else { return };
        let before = (group.is_whole(), group.first());
        if !group.members.remove(&(sequence_number, position)) {
            return;
        }
        self.messages -= 1;
        group.numbers -= u32::from(!group.has(sequence_number));
        group.lasts.remove(&(sequence_number, position));
        if let Some(at) = slot.expires() {
            group.expires.remove(&(at, position));
        }
        self.settle(group_id, before);
    }

    /// Its first message is where it belongs, and nothing is kept of a group that is gone. `before`: whether it was whole, and its
    /// first message then.
    fn settle(&mut self, group_id: GroupId, before: (bool, Option<Position>)) {
        let Some(group) = self.by_id.get(&group_id) else { return };
        let now = (group.is_whole(), group.first());
        if group.members.is_empty() {
            debug_assert!(group.lasts.is_empty() && group.expires.is_empty(), "nothing is left of it");
            self.by_id.remove(&group_id);
        }
        if now != before {
            if let (was_whole, Some(first)) = before {
                let was_there = self.firsts(was_whole).remove(&first);
                debug_assert!(was_there, "a first message is where its group was");
            }
            if let (is_whole, Some(first)) = now {
                self.firsts(is_whole).insert(first);
            }
        }
    }

    fn firsts(&mut self, of_whole: bool) -> &mut BTreeSet<Position> {
        if of_whole { &mut self.whole } else { &mut self.broken }
    }

    /// Whether all messages of a group are there, and none has expired.
    pub fn is_whole(&self, group_id: GroupId, now: WallTime) -> bool {
        let group = self.by_id.get(&group_id);
        group.is_some_and(|group| group.is_whole() && group.expires.first().is_none_or(|(at, _)| *at > now))
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

    /// How many bytes of memory it takes, about.
    pub fn weight(&self) -> u64 {
        debug_assert!(self.by_id.len() <= self.messages, "no group is empty");
        self.messages as u64 * WEIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Descriptor, Message, message_flags};

    const NOW: WallTime = WallTime(1_000);

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
        assert!(groups.is_whole(id("g"), NOW));
        assert_eq!(groups.next_first(None, true), Some(at(2)));
        assert_eq!(groups.numbered(id("g"), 3, None).next(), Some(at(1)));
        groups.remove(at(4), &slot(Some("g"), 2, false, None));
        assert!(!groups.is_whole(id("g"), NOW));
        assert_eq!(groups.next_first(None, true), Some(at(3)));
    }

    #[test]
    fn a_number_that_is_there_twice_counts_once() {
        let mut groups = Groups::default();
        groups.add(at(1), &slot(Some("g"), 1, false, None));
        groups.add(at(2), &slot(Some("g"), 1, false, None));
        assert_eq!(groups.add(at(3), &slot(Some("g"), 3, true, None)), None, "the second one lacks");
        groups.remove(at(1), &slot(Some("g"), 1, false, None));
        assert_eq!(groups.add(at(4), &slot(Some("g"), 2, false, None)), Some(id("g")));
        assert_eq!(groups.next_first(None, true), Some(at(2)));
    }

    #[test]
    fn what_expires_is_lacking_from_then_on() {
        let mut groups = Groups::default();
        groups.add(at(1), &slot(Some("g"), 1, false, None));
        groups.add(at(2), &slot(Some("g"), 2, true, Some(5)));
        assert!(groups.is_whole(id("g"), WallTime(499)) && !groups.is_whole(id("g"), WallTime(500)));
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
        assert_eq!((groups.weight(), groups.by_id.len(), groups.next_first(None, false)), (0, 0, None));
    }
}
