//! Which channel a client shall use and where it is, as IBM MQ's own clients are told: by MQSERVER, or by a client channel
//! definition table (CCDT) in JSON.
//!
//! Text to definitions, and no socket: [`crate::channel`] connects. The variables are read by [`Source::of_environment`].

mod definition;
mod ccdt;
mod order;
mod environment;

pub use definition::{Affinity, Definition};
pub use environment::Source;
pub use order::{Chance, asked_of};
