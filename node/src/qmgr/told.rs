//! What a put was answered with besides the id of its message: the warning, and the place in a group.
//!
//! Most puts are answered with neither, and for those nothing is kept. The others are kept in stretches: puts of one producer
//! whose sequences follow each other, that have the same warning and follow each other in one group, so a group that was put
//! in order is one, however long it is. Kept by `producers`, with the sequences.

use std::collections::BTreeMap;

use crate::types::{InGroup, MessageId, Reason};

/// What the first answer said besides the message's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    pub warning: Option<Reason>,
    pub in_group: Option<InGroup>,
}

/// A put that was placed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    pub message_id: MessageId,
    /// None: nobody knows any more, or it was put when the queue manager had a version that did not remember it.
    pub told: Option<Told>,
}

/// Sequences that follow each other, up to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub last: u64,
    /// Of the first of them; the numbers of the others follow. Only the last one may be the last of its group.
    pub told: Told,
}

/// Of one producer, by their first sequences. They do not overlap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stretches {
    by_first: BTreeMap<u64, Stretch>,
}

impl Stretch {
    fn told(&self, first: u64, sequence: u64) -> Told {
        debug_assert!((first..=self.last).contains(&sequence), "a stretch tells of its own sequences");
        let in_group = self.told.in_group.map(|group| InGroup {
            sequence_number: group.sequence_number + (sequence - first) as u32,
            is_last: group.is_last && sequence == self.last,
            ..group
        });
        Told { in_group, ..self.told }
    }

    /// Whether this put is the next one of it.
    fn goes_on(&self, first: u64, sequence: u64, told: Told) -> bool {
        if self.last.checked_add(1) != Some(sequence) || self.told.warning != told.warning {
            return false;
        }
        match (self.told.in_group, told.in_group) {
            (None, None) => true,
            (Some(of), Some(next)) => {
                let number = u64::from(of.sequence_number) + (sequence - first);
                !of.is_last && of.group_id == next.group_id && number == u64::from(next.sequence_number)
            }
            _ => false,
        }
    }
}

impl Stretches {
    pub fn len(&self) -> usize {
        self.by_first.len()
    }

    pub fn at(&self, sequence: u64) -> Option<Told> {
        let (first, stretch) = self.by_first.range(..=sequence).next_back()?;
        (sequence <= stretch.last).then(|| stretch.told(*first, sequence))
    }

    /// The put with this sequence was told that.
    pub fn add(&mut self, sequence: u64, told: Told) {
        debug_assert!(
            told.in_group.is_none_or(|group| group.sequence_number > 0),
            "numbers in a group are from 1 on"
        );
        self.forget(sequence);
        let before = self.by_first.range_mut(..sequence).next_back();
        if let Some((first, stretch)) = before
            && stretch.goes_on(*first, sequence, told)
        {
            stretch.last = sequence;
            if let (Some(of), Some(last)) = (&mut stretch.told.in_group, told.in_group) {
                of.is_last = last.is_last;
            }
        } else {
            self.by_first.insert(sequence, Stretch { last: sequence, told });
        }
        debug_assert_eq!(self.at(sequence), Some(told), "what was told is known");
    }

    /// What the put with this sequence was told, if it was kept, is known no more.
    pub fn forget(&mut self, sequence: u64) {
        let Some((&first, &stretch)) = self.by_first.range(..=sequence).next_back() else { return };
        if sequence > stretch.last {
            return;
        }
        self.by_first.remove(&first);
        if first < sequence {
            let mut told = stretch.told;
            if let Some(group) = &mut told.in_group {
                group.is_last = false;
            }
            self.by_first.insert(first, Stretch { last: sequence - 1, told });
        }
        if sequence < stretch.last {
            let mut told = stretch.told(first, sequence + 1);
            if let (Some(group), Some(of)) = (&mut told.in_group, stretch.told.in_group) {
                group.is_last = of.is_last;
            }
            self.by_first.insert(sequence + 1, Stretch { last: stretch.last, told });
        }
        debug_assert!(self.at(sequence).is_none(), "what is forgotten is in no stretch");
        debug_assert!(sequence == first || self.at(sequence - 1).is_some(), "those in front of it stay");
        debug_assert!(sequence == stretch.last || self.at(sequence + 1).is_some(), "those behind it stay");
    }

    /// The one that begins with the lowest sequence.
    pub fn lowest(&self) -> Option<(u64, Stretch)> {
        self.by_first.first_key_value().map(|(first, stretch)| (*first, *stretch))
    }

    pub fn pop_lowest(&mut self) -> Option<(u64, Stretch)> {
        self.by_first.pop_first()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Stretch)> {
        self.by_first.iter().map(|(first, stretch)| (*first, stretch))
    }

    /// Puts back what a row says, in order. False: it overlaps the one before, or has numbers that no group has.
    pub fn restore(&mut self, first: u64, stretch: Stretch) -> bool {
        let before = self.by_first.last_key_value().map_or(0, |(_, before)| before.last);
        let has_numbers = stretch.told.in_group.is_none_or(|group| {
            let number = u64::from(group.sequence_number);
            let more = stretch.last.saturating_sub(first);
            number > 0 && number.saturating_add(more) <= u64::from(InGroup::NUMBER_MAX)
        });
        let fits = first > before && stretch.last >= first && has_numbers;
        if fits {
            self.by_first.insert(first, stretch);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::GroupId;

    fn member(group: u8, sequence_number: u32, is_last: bool) -> Told {
        let in_group = Some(InGroup { group_id: GroupId([group; 24]), sequence_number, is_last });
        Told { warning: None, in_group }
    }

    const FULL: Told = Told { warning: Some(Reason::QFull), in_group: None };

    #[test]
    fn a_group_that_was_put_in_order_is_one_stretch() {
        let mut kept = Stretches::default();
        (1..=99).for_each(|number| kept.add(u64::from(number) + 6, member(1, number, false)));
        kept.add(106, member(1, 100, true));
        kept.add(107, member(2, 1, false));
        assert_eq!(kept.len(), 2);
        assert_eq!(kept.at(7), Some(member(1, 1, false)));
        assert_eq!(kept.at(105), Some(member(1, 99, false)));
        assert_eq!(kept.at(106), Some(member(1, 100, true)));
        assert_eq!(kept.at(107), Some(member(2, 1, false)));
        assert_eq!((kept.at(6), kept.at(108)), (None, None));
    }

    #[test]
    fn another_warning_a_gap_and_another_number_begin_a_stretch() {
        let mut kept = Stretches::default();
        kept.add(1, FULL);
        kept.add(2, FULL);
        kept.add(3, Told { warning: Some(Reason::PutInhibited), ..FULL });
        kept.add(5, FULL);
        kept.add(6, member(1, 1, false));
        kept.add(7, member(1, 3, false));
        assert_eq!(kept.len(), 5);
        assert_eq!((kept.at(2), kept.at(4), kept.at(5)), (Some(FULL), None, Some(FULL)));
        assert_eq!(kept.at(7), Some(member(1, 3, false)));
    }

    #[test]
    fn what_is_forgotten_leaves_the_rest_of_its_stretch() {
        let mut kept = Stretches::default();
        (1..=4).for_each(|number| kept.add(u64::from(number), member(1, number, number == 4)));
        kept.forget(1);
        assert_eq!((kept.at(1), kept.at(2)), (None, Some(member(1, 2, false))));
        kept.forget(3);
        assert_eq!(
            (kept.at(2), kept.at(3), kept.at(4)),
            (Some(member(1, 2, false)), None, Some(member(1, 4, true)))
        );
        kept.add(4, FULL);
        assert_eq!((kept.at(2), kept.at(4)), (Some(member(1, 2, false)), Some(FULL)));
    }

    #[test]
    fn stretches_that_overlap_or_have_no_numbers_are_not_restored() {
        let mut kept = Stretches::default();
        assert!(kept.restore(3, Stretch { last: 5, told: FULL }));
        assert!(!kept.restore(5, Stretch { last: 6, told: FULL }));
        assert!(!kept.restore(7, Stretch { last: 6, told: FULL }));
        assert!(!kept.restore(7, Stretch { last: 7, told: member(1, 0, false) }));
        assert!(!kept.restore(7, Stretch { last: u64::MAX, told: member(1, 1, false) }));
        assert!(kept.restore(6, Stretch { last: 6, told: member(1, 1, true) }));
    }
}
