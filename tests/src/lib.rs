//! The simulator, the simple truth it compares with, the checkers, the scripts, what is done to borders with any
//! bytes, the tests with real processes, and what reads the sources.

pub mod model;
pub mod check;
pub mod sim;
pub mod script;
pub mod fuzz;
pub mod process;
pub mod sources;
