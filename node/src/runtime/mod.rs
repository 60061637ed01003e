//! Threads, clock, start and stop (L6): knows every module, decides nothing.
//!
//! Reading order: `run` (start and stop), `minds` (begun and ended while others run), `keeper` (as the cluster's records have it), `left_trails` (what stays of one that is deleted), `driver` (the mind's task), `hands` (what carries out its actions), `stores`,
//! `recover` and `snapshots` (the two stores together, and towards the peers), `clock`, `threads`, `shutdown`,
//! `directories`, `addresses` (the agent of floating addresses), `ports` (of listeners), `channels` (who comes there), `canary` (tries the service as clients do), `notices` (standing warnings), `figures` (for the page of metrics), `diagnostics` and `fatal` (how a
//! process ends), `again` (how one begins again).

mod addresses;
mod again;
mod canary;
mod channels;
mod clock;
mod diagnostics;
mod directories;
mod driver;
mod fatal;
mod figures;
mod hands;
mod keeper;
mod left_agent;
mod left_trails;
mod minds;
mod notices;
mod ports;
pub mod recover;
mod reserve;
mod run;
mod shutdown;
pub mod snapshots;
mod stores;
mod threads;

pub use addresses::hold_addresses;
pub use driver::{Driver, Hands};
pub use fatal::{Fatal, FatalReason};
pub use run::run;
