//! How much is remembered for programs that ask again.

use crate::types::limits;

/// The same on every node of a group, because what was forgotten is part of the replicated state; so it is no setting of
/// a cluster file. The simulator takes little, so that forgetting happens often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Outcomes of units: the newest so many stay whatever their age.
    pub outcomes_min: usize,
    /// Outcomes of units, of any age: there are never more.
    pub outcomes_max: usize,
    /// Producers with their sequences: those that put last, whatever their age.
    pub producers_min: usize,
    /// Producers with their sequences, of any age: there are never more.
    pub producers_max: usize,
    /// Sequences of one producer.
    pub sequences_max: usize,
    /// Sequences of all producers together.
    pub sequences_in_all_max: usize,
    /// Producers of which only the highest sequence is known.
    pub names_max: usize,
    /// What is younger stays, as long as there is room. Milliseconds of the log's time.
    pub age_ms: i64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            outcomes_min: limits::OUTCOMES_MIN,
            outcomes_max: limits::OUTCOMES_MAX,
            producers_min: limits::PRODUCERS_MIN,
            producers_max: limits::PRODUCERS_MAX,
            sequences_max: limits::PRODUCER_WINDOW,
            sequences_in_all_max: limits::SEQUENCES_MAX,
            names_max: limits::PRODUCER_NAMES_MAX,
            age_ms: limits::REMEMBERED_MS,
        }
    }
}
