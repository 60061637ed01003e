//! What a request wants to know of a queue manager or to be done there, asked step by step. Without IO; `service` asks.

use trimaran_proto::mqsc::{Reply, Request};

use super::problem::Problem;
use crate::types::Reason;

/// Of what one answer shows.
pub const SHOWN_BYTES_MAX: usize = 16 * 1024 * 1024;

pub trait Steps {
    /// Whether it changes something: then it may have been done although nobody answers.
    fn changes(&self) -> bool;

    /// What is to be asked next; None when it is done.
    fn next_request(&mut self) -> Option<Request>;

    /// What came back, of the request that was given out last; there may be more pages of it. True where the next one is wanted.
    ///
    /// # Errors
    /// Why it goes no further.
    fn on_reply(&mut self, reply: &Reply, more: bool) -> Result<bool, Problem>;

    /// What is held of the answer until it is given.
    fn shown_bytes(&self) -> u64;
}

/// There is more to show than one answer has.
pub fn too_much() -> Problem {
    let detail = format!(
        "There are more than {} MiB to show: ask for fewer names or attributes.",
        SHOWN_BYTES_MAX >> 20
    );
    Problem::because(http::StatusCode::UNPROCESSABLE_ENTITY, Reason::ResourceProblem, detail)
}
