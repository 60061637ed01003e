//! One node's mind for one queue manager (L2).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod event;
mod inbox;
mod stats;

pub use action::*;
pub use event::*;
pub use inbox::*;
pub use stats::Stats;

use crate::consensus::Recovered;
use crate::qmgr::QueueManager;
use crate::types::{Instant, NodeId, Now, ObjectName, QueueManagerId};

#[derive(Clone, Debug)]
pub struct Options {
    pub queue_manager: QueueManagerId,
    pub name: ObjectName,
    pub node: NodeId,
    /// Log and messages kept in memory, and log written between two moves of the message store.
    pub window_bytes: usize,
    /// How much applied log is kept on disk for peers that were away.
    pub log_retain_bytes: usize,
}

/// One node's copy and mind of one queue manager. Single owner; never waits.
pub struct Replica {
    options: Options,
    state: QueueManager,
    stats: Stats,
}

impl Replica {
    /// `seed` decides election timeouts and nothing else.
    pub fn new(options: Options, recovered: Recovered, state: QueueManager, seed: u64) -> Replica {
        let _ = (recovered, seed);
        Replica { options, state, stats: Stats::default() }
    }

    /// Takes the time of the turn. Elapsed time is turned into ticks before any event is handled.
    pub fn begin_turn(&mut self, now: Now) {
        let _ = now;
    }

    pub fn handle(&mut self, event: Event) {
        let _ = event;
    }

    /// Appends what the world is asked to do, in the order it must be carried out.
    pub fn end_turn(&mut self, actions: &mut Vec<Action>) {
        let _ = (actions, &self.options);
    }

    /// When a turn must begin even if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The replicated state, for digests and inspection.
    pub fn queue_manager(&self) -> &QueueManager {
        &self.state
    }
}
