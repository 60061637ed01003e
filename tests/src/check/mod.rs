//! The promises as programs: one small file each. See `tests/PROMISES.md` for the words.
//!
//! `instant` conducts those that look at nodes while a run goes on; the others judge a whole history afterwards and
//! know nothing of nodes, so that any history can be given to them.

pub mod instant;
pub mod one_leader;
pub mod one_server;
pub mod never_back;
pub mod committed;
pub mod quorum;
pub mod log_and_store;
pub mod answered;
pub mod waits;
pub mod turns;
pub mod equal_states;
pub mod replay;
pub mod log_time;
pub mod expiry;
pub mod versions;
pub mod failovers;
pub mod trail;
pub mod canaries;
pub mod instances;
pub mod placement;
pub mod registered;
pub mod commands;

pub mod facts;
pub mod total;
pub mod redelivery;
pub mod units;
pub mod order;
pub mod browse;
pub mod repeats;
pub mod outcomes;
pub mod depth;
pub mod changes;
pub mod reports;

use crate::model::history::History;

/// A sentence that says which promise is broken, by which message or unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub checker: &'static str,
    pub sentence: String,
}

impl Complaint {
    pub fn new(checker: &'static str, sentence: String) -> Complaint {
        Complaint { checker, sentence }
    }
}

/// Every judge of whole histories, in the order of the promises.
pub const JUDGES: [(&str, fn(&History) -> Vec<Complaint>); 10] = [
    ("total", total::check),
    ("redelivery", redelivery::check),
    ("units", units::check),
    ("order", order::check),
    ("browse", browse::check),
    ("repeats", repeats::check),
    ("outcomes", outcomes::check),
    ("depth", depth::check),
    ("changes", changes::check),
    ("reports", reports::check),
];

/// The history must end with a full drain.
pub fn judge(history: &History) -> Vec<Complaint> {
    JUDGES.iter().flat_map(|(_, judge)| judge(history)).collect()
}
