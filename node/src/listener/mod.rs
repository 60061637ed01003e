//! Bytes to calls and back (L4): one folder a protocol, and the hall that they share. No queue knowledge, no storage,
//! no role of its own: calls go to the replica's inbox, and a client is told what the replica says.
//!
//! `grpc` is the client API and administration, `mq` the channels of IBM MQ's clients, `rest` its REST API, `http` is for machines that watch
//! machines (health, metrics), `commands` is for those whose line is a queue: PCF.
//! `runtime::run` makes one [`Listener`] per node and gives each protocol its sockets.
//!
//! A protocol needs this much of the hall, and nothing in it knows a protocol's types:
//!
//! ```text
//! node      Listener, NodeHandle     what all of them are given
//! gate      Accepted, Gate           a connection is counted, a session is let in: Client, Admission
//! serving   find, check_serving      which queue manager, and where to go instead: Refused, Unserved, Elsewhere
//! link      Link                     a session that lasts: calls there, deliveries back, hanging up on who does not read
//! errand    Errand                   a session for one task
//! flights   Flights                  what is not answered, its bounds, and 2549 or not when the session ends
//! arrival   is_too_slow              how long a message may take to arrive
//! guarded   Guarded, Patience        a connection that ends when its client does not take what is sent to it
//! unread    Unread                   what a connection was given: counted until it let go of it
//! connected Connected, Noted         the ends of all connections, for whoever takes an address over
//! hang_up   HangUps                  connections that the node ends, counted and said
//! counters  Counters                 what the metrics page shows
//! traffic   Traffic, Counted         what goes through channels, for DISPLAY CHSTATUS and metrics
//! ports     wanted, Part, PortView   which port is open where, by the listeners that are defined
//! wording   Wording                  long answers are worded part by part, one client at a time
//! waits     sentence                 why nobody serves, as this node sees it
//! ```

mod accepted;
mod arrival;
mod backlogs;
mod client;
mod connected;
mod counters;
mod errand;
mod flights;
mod gate;
mod guarded;
mod hang_up;
mod limits;
mod link;
mod node;
mod patience;
mod serving;
mod traffic;
mod unread;
mod wording;

pub mod commands;
pub mod grpc;
pub mod http;
pub mod mq;
pub mod ports;
pub mod rest;
pub mod waits;

pub use accepted::Accepted;
pub use client::Client;
pub use connected::Connected;
pub use counters::Counters;
pub use limits::Limits;
pub use node::{Listener, NodeHandle};
