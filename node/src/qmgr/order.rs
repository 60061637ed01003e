//! A map from positions, made for queues: what comes is added at the end of its rank, what goes leaves at the front, and
//! there may be millions in between.
//!
//! Leaves of up to 64 lie one behind the other in a small tree, full ones but for those that something was removed
//! from or put in between. The tree of the standard library fills its nodes of eleven by half when keys come in order: a queue took two
//! and a half times the memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::types::Position;

const LEAF: usize = 64;

#[derive(Debug)]
pub struct Order<T> {
    /// In order, none empty, each by a position that is not behind its first and behind the last of the one before.
    leaves: BTreeMap<Position, Leaf<T>>,
    len: usize,
}

type Leaf<T> = VecDeque<(Position, T)>;

impl<T> Default for Order<T> {
    fn default() -> Order<T> {
        Order { leaves: BTreeMap::new(), len: 0 }
    }
}

impl<T> Order<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// About so many go, the first ones. False when none are left.
    pub fn drop_first(&mut self, count: usize) -> bool {
        let until = self.len.saturating_sub(count);
        while self.len > until
            && let Some((_, leaf)) = self.leaves.pop_first()
        {
            self.len -= leaf.len();
        }
        debug_assert!(self.len > 0 || self.leaves.is_empty(), "what is not counted any more is gone");
        self.len > 0
    }

    pub fn get(&self, position: Position) -> Option<&T> {
        let (_, leaf) = self.leaves.range(..=position).next_back()?;
        let place = place_of(leaf, position).ok()?;
        Some(&leaf[place].1)
    }

    pub fn get_mut(&mut self, position: Position) -> Option<&mut T> {
        let (_, leaf) = self.leaf_mut(position)?;
        let place = place_of(leaf, position).ok()?;
        Some(&mut leaf[place].1)
    }

    /// Each of these, or None where it is not there, until `with` says false; whether it never did. Those that follow each other
    /// are found without a search.
    pub fn each(
        &self,
        positions: impl IntoIterator<Item = Position>,
        mut with: impl FnMut(Position, Option<&T>) -> bool,
    ) -> bool {
        let mut leaf: Option<&Leaf<T>> = None;
        let mut before = Position::default();
        positions.into_iter().all(|position| {
            if !leaf.is_some_and(|leaf| before < position && ends_behind(leaf, position)) {
                leaf = self.leaves.range(..=position).next_back().map(|(_, leaf)| leaf);
            }
            before = position;
            let value = leaf.and_then(|leaf| Some(&leaf[place_of(leaf, position).ok()?].1));
            with(position, value)
        })
    }

    /// Each of these, or None where it is not there. Those that follow each other are found without a search.
    pub fn each_mut(
        &mut self,
        positions: impl IntoIterator<Item = Position>,
        mut with: impl FnMut(Position, Option<&mut T>),
    ) {
        let mut positions = positions.into_iter().peekable();
        while let Some(position) = positions.next() {
            let Some((_, leaf)) = self.leaf_mut(position) else {
                with(position, None);
                continue;
            };
            with(position, place_of(leaf, position).ok().map(|place| &mut leaf[place].1));
            while let Some(next) = positions.next_if(|next| *next > position && ends_behind(leaf, *next)) {
                with(next, place_of(leaf, next).ok().map(|place| &mut leaf[place].1));
            }
        }
    }

    /// False, and nothing changes, when the position is taken.
    #[must_use]
    pub fn insert(&mut self, position: Position, value: T) -> bool {
        if self.leaves.first_key_value().is_some_and(|(first, _)| *first > position)
            && let Some((_, first)) = self.leaves.pop_first()
        {
            self.leaves.insert(position, first);
        }
        let Some((_, leaf)) = self.leaf_mut(position) else {
            assert!(self.leaves.is_empty(), "only an empty order has no leaf for a position");
            self.leaves.insert(position, VecDeque::from([(position, value)]));
            self.len = 1;
            return true;
        };
        let Err(place) = place_of(leaf, position) else { return false };
        if leaf.len() < LEAF {
            leaf.insert(place, (position, value));
        } else if place == LEAF {
            let mut next = VecDeque::with_capacity(LEAF);
            next.push_back((position, value));
            self.leaves.insert(position, next);
        } else {
            let mut behind = leaf.split_off(LEAF / 2);
            match place.checked_sub(LEAF / 2) {
                Some(place) if place > 0 => behind.insert(place, (position, value)),
                _ => leaf.insert(place, (position, value)),
            }
            debug_assert!(
                leaf.back().is_some_and(|(last, _)| *last < behind[0].0),
                "a leaf ends before the next"
            );
            debug_assert!(
                leaf.len() <= LEAF && behind.len() <= LEAF,
                "a split leaf is two that are not too long"
            );
            self.leaves.insert(behind[0].0, behind);
        }
        self.len += 1;
        debug_assert!(self.leaves.len() <= self.len, "no leaf is empty");
        true
    }

    pub fn remove(&mut self, position: Position) -> Option<T> {
        let (first, leaf) = self.leaf_mut(position)?;
        let place = place_of(leaf, position).ok()?;
        let (_, value) = leaf.remove(place)?;
        if leaf.is_empty() {
            self.leaves.remove(&first);
        } else if leaf.len() * 4 <= leaf.capacity() {
            // What a selection leaves behind, one here and one there, must not keep whole leaves.
            leaf.shrink_to(leaf.len() * 2);
        }
        assert!(self.len > 0, "what is removed was counted");
        self.len -= 1;
        debug_assert_eq!(self.leaves.is_empty(), self.len == 0, "no leaf is empty");
        Some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Position, &T)> {
        self.leaves.values().flatten().map(|(position, value)| (*position, value))
    }

    pub fn iter_mut_from(&mut self, from: Position) -> impl Iterator<Item = (Position, &mut T)> {
        let first = self.leaf_of(from);
        let leaves = self.leaves.range_mut(first..);
        let all = leaves.flat_map(|(_, leaf)| leaf.iter_mut()).map(|(position, value)| (*position, value));
        all.skip_while(move |(position, _)| *position < from)
    }

    pub fn iter_from(&self, from: Bound<Position>) -> impl Iterator<Item = (Position, &T)> {
        let (first, skipped) = match from {
            Bound::Unbounded => (Position::default(), 0),
            Bound::Included(from) => self.place_from(from, |position| position < from),
            Bound::Excluded(from) => self.place_from(from, |position| position <= from),
        };
        let all = self.leaves.range(first..).flat_map(|(_, leaf)| leaf);
        all.skip(skipped).map(|(position, value)| (*position, value))
    }

    /// The leaf that a position would be in.
    fn leaf_mut(&mut self, position: Position) -> Option<(Position, &mut Leaf<T>)> {
        // The last one, nearly always, for what comes, and the first one for what goes.
        let entry = if self.leaves.last_key_value().is_some_and(|(last, _)| *last <= position) {
            self.leaves.last_entry()
        } else if self.leaves.first_key_value().is_some_and(|(_, leaf)| ends_behind(leaf, position)) {
            self.leaves.first_entry().filter(|first| *first.key() <= position)
        } else {
            let (first, leaf) = self.leaves.range_mut(..=position).next_back()?;
            return Some((*first, leaf));
        };
        entry.map(|entry| (*entry.key(), entry.into_mut()))
    }

    /// The same, by its key.
    fn leaf_of(&self, position: Position) -> Position {
        let first = self.leaves.range(..=position).next_back().map_or(position, |(first, _)| *first);
        debug_assert!(first <= position, "a leaf begins with its first position or before");
        first
    }

    /// Where to begin, and how many of that leaf are `before`.
    fn place_from(&self, from: Position, before: impl Fn(Position) -> bool) -> (Position, usize) {
        let first = self.leaf_of(from);
        let skipped = self.leaves.get(&first).map_or(0, |leaf| leaf.partition_point(|(at, _)| before(*at)));
        debug_assert!(skipped <= LEAF, "no leaf is longer than it may be");
        (first, skipped)
    }
}

fn ends_behind<T>(leaf: &Leaf<T>, position: Position) -> bool {
    leaf.back().is_some_and(|(last, _)| *last >= position)
}

fn place_of<T>(leaf: &Leaf<T>, position: Position) -> Result<usize, usize> {
    // What comes is behind everything, nearly always; and where nothing is missing, a position is as far behind the first
    // as its sequence is.
    let Some((first, _)) = leaf.front() else { return Err(0) };
    let likely = position.sequence.wrapping_sub(first.sequence) as usize;
    if leaf.get(likely).is_some_and(|(at, _)| *at == position) {
        return Ok(likely);
    }
    match leaf.back() {
        Some((last, _)) if *last < position => Err(leaf.len()),
        _ => leaf.binary_search_by(|(at, _)| at.cmp(&position)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rank: u8, sequence: u64, minor: u64) -> Position {
        Position { rank, sequence, minor }
    }

    fn check(order: &Order<u64>, model: &BTreeMap<Position, u64>) {
        assert_eq!(order.len(), model.len());
        assert!(
            order.iter().map(|(position, value)| (position, *value)).eq(model.iter().map(|(p, v)| (*p, *v)))
        );
        assert!(order.leaves.values().all(|leaf| !leaf.is_empty() && leaf.len() <= LEAF));
        for (first, leaf) in &order.leaves {
            assert!(*first <= leaf[0].0);
        }
    }

    /// The same as the map of the standard library, whatever is asked of both.
    #[test]
    fn it_is_a_map() {
        let mut order = Order::default();
        let mut model = BTreeMap::new();
        let mut seed = 1u64;
        let mut draw = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for round in 0..20_000u64 {
            let position = at(draw(3) as u8, draw(400), draw(2));
            match draw(5) {
                0..3 => {
                    let is_new = !model.contains_key(&position);
                    assert_eq!(order.insert(position, round), is_new);
                    model.entry(position).or_insert(round);
                }
                3 => assert_eq!(order.remove(position), model.remove(&position)),
                _ => {
                    assert_eq!(order.get(position), model.get(&position));
                    assert_eq!(order.get_mut(position), model.get_mut(&position));
                    for bound in [Bound::Included(position), Bound::Excluded(position), Bound::Unbounded] {
                        let expected = model.range((bound, Bound::Unbounded)).map(|(p, v)| (*p, v));
                        assert!(order.iter_from(bound).take(70).eq(expected.take(70)));
                    }
                    let some = [position, at(0, draw(400), 0), at(1, draw(400), 1), at(2, draw(400), 0)];
                    let mut found = Vec::new();
                    order.each_mut(some, |position, value| found.push((position, value.copied())));
                    assert_eq!(found, some.map(|position| (position, model.get(&position).copied())));
                    let mut seen = Vec::new();
                    let each = order.each(some, |position, value| {
                        seen.push((position, value.copied()));
                        value.is_some()
                    });
                    assert_eq!(each, found.iter().all(|(_, value)| value.is_some()));
                    let until = found.iter().position(|(_, value)| value.is_none()).unwrap_or(some.len() - 1);
                    assert_eq!(seen, found[..=until]);
                    let expected: Vec<_> = model.range(position..).map(|(p, v)| (*p, *v)).take(70).collect();
                    let found = order.iter_mut_from(position).map(|(position, value)| (position, *value));
                    assert!(found.take(70).eq(expected));
                }
            }
            if round % 100 == 0 {
                check(&order, &model);
            }
        }
        check(&order, &model);
        let (depth, mut swept) = (order.len(), 0);
        while order.drop_first(100) {
            swept += 1;
            assert!(order.len() <= depth - swept * 100 && order.len() + swept * (100 + LEAF) >= depth);
        }
        check(&order, &BTreeMap::new());
    }

    #[test]
    fn what_comes_in_order_fills_its_leaves() {
        let mut order = Order::default();
        for sequence in 0..6400 {
            assert!(order.insert(at(4, sequence, 0), sequence));
            // A few of a higher priority between them.
            assert!(sequence % 64 != 0 || order.insert(at(0, sequence, 0), sequence));
        }
        // Where the two ranks met, a leaf was split now and then.
        assert!(order.leaves.len() <= 105, "{} leaves for {}", order.leaves.len(), order.len());
    }

    #[test]
    fn what_is_left_here_and_there_keeps_no_whole_leaves() {
        let mut order = Order::default();
        (0..6400).for_each(|sequence| assert!(order.insert(at(0, sequence, 0), sequence)));
        (0..6400).filter(|sequence| sequence % 64 != 7).for_each(|sequence| {
            assert_eq!(order.remove(at(0, sequence, 0)), Some(sequence));
        });
        assert_eq!(order.len(), 100);
        assert!(order.leaves.values().all(|leaf| leaf.capacity() <= 8));
    }

    #[test]
    fn what_comes_back_to_the_front_does_not_get_leaves_of_its_own() {
        let mut order = Order::default();
        (0..640u64).rev().for_each(|sequence| assert!(order.insert(at(0, sequence, 0), sequence)));
        assert!(order.leaves.len() <= 640 / (LEAF / 2));
        assert!(order.iter().map(|(position, _)| position.sequence).eq(0..640));
    }
}
