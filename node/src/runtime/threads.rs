//! The async runtimes: what clients make work for has workers of its own, so that no program keeps the minds from their heartbeats.
//! Log and store have threads of their own, too.

use std::io;

/// Who works on a runtime.
#[derive(Clone, Copy, Debug)]
pub enum Deck {
    /// The minds, peers, monitors, and what looks after the node.
    Minds,
    /// Connections of clients, in whatever tongue.
    Clients,
}

/// Where many connections have something to do, a worker looks so often, in steps of theirs, whether something came for another one: by
/// default after 61, each of which may take a fraction of a millisecond.
const LOOKS_EVERY: u32 = 16;

/// `threads` workers; blocking work (snapshots, names) goes to a few more that come and go.
pub fn runtime(deck: Deck, threads: usize) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Deck::Clients = deck {
        builder.event_interval(LOOKS_EVERY).global_queue_interval(LOOKS_EVERY);
    }
    builder
        .worker_threads(threads)
        .max_blocking_threads(8)
        .thread_name(match deck {
            Deck::Minds => "minds",
            Deck::Clients => "clients",
        })
        .enable_all()
        .build()
}
