//! Threads, clock, start and stop (L6): knows every module, decides nothing.
//!
//! Reading order: `run` (start and stop), `driver` (the mind's task), `clock`, `threads`, `shutdown`, `directories`,
//! `notices` (standing warnings), `diagnostics` and `fatal` (how a process ends).

mod clock;
mod diagnostics;
mod directories;
mod driver;
mod fatal;
mod notices;
mod shutdown;
mod threads;

pub use driver::{Driver, Hands};
pub use fatal::{Fatal, FatalReason};
