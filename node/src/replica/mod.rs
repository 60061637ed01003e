//! One node's mind for one queue manager (L2).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod event;

pub use action::*;
pub use event::*;
