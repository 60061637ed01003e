//! Raft in our words; raft-rs is inside and its types stay here (L1).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod entry;

pub use entry::*;
