//! What one end of a connection has for the other.

use trimaran_node::mqi::{Call, Completion};
use trimaran_node::types::Token;

#[derive(Debug, Default)]
pub struct Passed {
    pub calls: Vec<(Token, Call)>,
    pub answers: Vec<(Token, Completion)>,
    /// The newest that a response said of the units that were decided.
    pub units_decided: u64,
}
