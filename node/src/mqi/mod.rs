//! The waist: everything a client can ask and everything it can be told, whatever protocol it speaks (L1).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod call;
mod completion;

pub use call::*;
pub use completion::*;

pub use crate::types::Selection;
