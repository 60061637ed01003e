//! What a node says of itself in numbers (L3): names, units and help in one place, plain counters turned into text.
//!
//! Nothing here counts. Whoever counts keeps plain numbers ([`crate::replica::Stats`] and its like); when a monitor
//! asks, they are written on a [`Page`] under names of the [`catalog`].

pub mod catalog;
pub mod dashboards;
mod page;
mod publish;
mod shown;

pub use page::Page;
pub use publish::{
    ChannelLine, FailedCalls, ListenerFigures, QueueManagerFigures, publish_account, publish_listener,
    publish_process, publish_queue_manager,
};
pub use shown::{Choice, QUEUES_SHOWN_MAX, Shown};
