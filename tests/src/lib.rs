//! The simulator, the simple truth it compares with, the checkers, the scripts, and the tests with real processes.

pub mod model;
pub mod check;
pub mod sim;
pub mod script;
pub mod process;
