//! Threads, clock, start and stop (L6): knows every module, decides nothing.
//!
//! Reading order: `run` (start and stop), `driver` (the mind's task), `clock`, `threads`, `shutdown`, `directories`,
//! `recover` and `snapshots` (the two stores together, and towards the peers), `notices` (standing warnings), `diagnostics` and `fatal` (how a process ends).

mod clock;
mod diagnostics;
mod directories;
mod driver;
mod fatal;
mod notices;
pub mod recover;
mod shutdown;
pub mod snapshots;
mod threads;

pub use driver::{Driver, Hands};
pub use fatal::{Fatal, FatalReason};
