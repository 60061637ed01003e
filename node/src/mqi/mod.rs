//! The waist: everything a client can ask and everything it can be told, whatever protocol it speaks (L1).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![warn(clippy::missing_errors_doc)]

mod secured;
mod connect;
mod call;
mod groups;
mod admin;
mod completion;
mod refusal;
mod asked;
mod check;

pub use admin::*;
pub use asked::{kind_named, kinds_named, kinds_told, object_named, port_numbered, queue_manager_named};
pub use call::*;
pub use check::{check_body, queue_named};
pub use completion::*;
pub use connect::{ChannelTerms, Connect, Identity, Purpose, Terms};
pub use groups::{GroupCall, Groups, PutPlace, Which};
pub use refusal::{Refusal, ended, moves};
pub use secured::Secured;

pub use crate::types::{Selection, UnitState};
