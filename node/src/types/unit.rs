//! What programs name so that they can ask again: units of work, and puts by producer and sequence.

/// A unit of work as its program names it: 1 to 24 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub bytes::Bytes);

/// What became of a unit of work. Once told it is final, except that it may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnitState {
    /// All of it happened.
    Committed,
    /// Nothing of it happened, so it may be done again.
    BackedOut,
    /// Not known any more: it may have been committed once. It cannot be committed from now on.
    Forgotten,
}

/// A program that numbers its puts: 1 to 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub bytes::Bytes);

/// Names one put of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSequence {
    /// Whose numbers they are: each producer counts its own.
    pub producer: ProducerId,
    /// From 1 on.
    pub sequence: u64,
    /// The program has tried this put before: where nobody can tell whether that worked, it is refused.
    pub repeated: bool,
}
