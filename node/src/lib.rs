//! A Trimaran node. The modules in reading order; `ARCHITECTURE.md` is the map.

pub mod types; // L0  plain values
pub mod jobs; //  L0  queues between threads

pub mod mqi; //       L1  what a client can ask, what it is told
pub mod qmgr; //      L1  the queue manager: a pure function of the log
pub mod consensus; // L1  Raft in our words

pub mod replica; //   L2  one node's mind for one queue manager

pub mod log_store; //     L3  the log on disk
pub mod message_store; // L3  what outlives the log window
pub mod peer; //          L3  between nodes
pub mod security; //      L3  TLS and identities
pub mod metrics; //       L3  names, units, help
pub mod vip; //           L3  floating addresses (policy: L1, keeper and pulse: L2)

pub mod listener; // L4  bytes to calls and back
pub mod config; //   L5  the file
pub mod runtime; //  L6  threads, clock, start and stop
