//! A list that may have millions and takes no turn long: what comes moves nothing that is there, and what goes gives its
//! memory back piece by piece. A `Vec` that grows copies all it has.

use std::collections::VecDeque;

/// How many lie in one piece.
const PIECE: usize = 512;

/// First in, first out.
#[derive(Clone, Debug, PartialEq)]
pub struct Pieces<T> {
    /// None empty.
    pieces: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Pieces<T> {
    fn default() -> Pieces<T> {
        Pieces { pieces: VecDeque::new(), len: 0 }
    }
}

impl<T> Pieces<T> {
    /// Kept, and not counted.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        debug_assert_eq!(self.len == 0, self.pieces.is_empty(), "no piece is empty");
        self.len == 0
    }

    /// Behind all others.
    pub fn push(&mut self, one: T) {
        match self.pieces.back_mut().filter(|last| last.len() < PIECE) {
            Some(last) => last.push_back(one),
            None => self.pieces.push_back(VecDeque::from([one])),
        }
        self.len += 1;
        debug_assert!(
            self.pieces.len() < 2 || self.len > (self.pieces.len() - 2) * PIECE,
            "only the first piece and the last one are not full"
        );
    }

    /// The one that came first; None where nothing is there.
    pub fn front(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    /// In the order in which they came, or back from the newest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// The one that came first leaves, and its piece with the last one of it.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let one = first.pop_front();
        debug_assert!(one.is_some(), "no piece is empty");
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.len -= 1;
        one
    }

    /// The first ones, so many at most, leave.
    pub fn take_front(&mut self, count: usize) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.pop_front()).take(count)
    }
}

impl<T> Extend<T> for Pieces<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| self.push(one));
    }
}

impl<T> FromIterator<T> for Pieces<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Pieces<T> {
        let mut pieces = Pieces::default();
        pieces.extend(all);
        pieces
    }
}

impl<T> IntoIterator for Pieces<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::collections::vec_deque::IntoIter<VecDeque<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_goes_first_however_many_there_are() {
        let mut pieces = Pieces::default();
        pieces.extend(0..2_000);
        assert_eq!((pieces.len(), pieces.front()), (2_000, Some(&0)));
        assert!(pieces.take_front(700).eq(0..700));
        pieces.push(2_000);
        assert_eq!((pieces.len(), pieces.pop_front()), (1_301, Some(700)));
        assert!(pieces.clone().into_iter().eq(701..=2_000));
        assert_eq!(pieces.take_front(usize::MAX).count(), 1_300);
        assert!(pieces.is_empty() && pieces.front().is_none());
    }
}
