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

/// `threads` workers; blocking work (snapshots, names) goes to a few more that come and go.
pub fn runtime(deck: Deck, threads: usize) -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(8)
        .thread_name(match deck {
            Deck::Minds => "minds",
            Deck::Clients => "clients",
        })
        .enable_all()
        .build()
}
