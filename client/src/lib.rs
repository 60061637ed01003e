//! Client of Trimaran: put, get and browse on replicated queues, exactly once also when the node that serves dies in
//! the middle of it.
//!
//! ```no_run
//! use std::time::Duration;
//! use trimaran_client::{Connection, Message};
//!
//! #[tokio::main]
//! async fn main() -> trimaran_client::Result<()> {
//!     let connection = Connection::builder(["127.0.0.1:7201", "127.0.0.1:7202", "127.0.0.1:7203"])
//!         .queue_manager("ha.queue.manager")
//!         .connect()
//!         .await?;
//!     let queue = connection.queue("HA.QUEUE");
//!
//!     queue.put(Message::text("Hello")).await?;
//!     if let Some(message) = queue.get(Duration::from_secs(1)).await? {
//!         println!("{}", message.as_text().unwrap_or("(not text)"));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What holds over a failure of the node that serves, with nothing to do for the program:
//!
//! * a put that was answered is safe, one that was not is repeated and stored once ([`Queue::put`]);
//! * a commit has a definite answer ([`UnitOfWork::commit`]);
//! * a message got under syncpoint is never lost ([`Queue::get_under_syncpoint`], [`Queue::messages`]);
//! * a browse finds its place again ([`Queue::browse`]).
//!
//! Where a unit of work was in flight the program hears reason 2003 and does it again.
#![warn(clippy::missing_errors_doc)]

mod reasons;
mod error;
mod outcome;
mod message;
mod tls;
mod session;
mod dial;
mod core;
mod reconnect;
mod connection;
mod get_options;
mod queue;
mod unit_of_work;
mod admin;
pub mod channel;
mod got;
pub mod client_channel;

pub use admin::{
    Admin, ArrangeQueueManagerRequest, Attribute, Attributes, ClocksDiffer, CreateQueueManagerRequest,
    HandleDetails, InstanceStatus, MaintainRequest, MembershipProgress, MemoryShare, ObjectDetails,
    QueueManagerStatus, RecordAction, RecoverRequest, RunRequest, RunState, SessionDetails, StatusResponse,
};
pub use connection::{Builder, Connection, FIRST_SEQUENCE_MAX};
pub use core::ConnectionState;
pub use dial::{
    CLUSTER, KeptFailovers, arrange_queue_manager, audit, cluster_leader, create_queue_manager,
    delete_queue_manager, failovers, maintain, recover, run, status, status_with_cluster, upgrade_cluster,
};
pub use error::{Error, Result};
pub use get_options::{FOREVER, GetOptions};
pub use message::{Descriptor, Message, Persistence, hex, unhex};
pub use outcome::{Placed, UnitOutcome};
pub use queue::{Cursor, Delivery, PutAnswer, Queue, QueueStatus};
pub use reasons::{REASONS, name_of, reason};
pub use tls::Tls;
pub use unit_of_work::UnitOfWork;

/// The wire formats, for what this library has no words for.
pub use trimaran_proto as proto;
