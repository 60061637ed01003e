//! The queue manager: every replicated fact, as a pure function of the log (L1).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod store_batch;

pub use store_batch::*;
