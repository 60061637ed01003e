//! The async runtime that the mind, the listeners and the peers share. Log and store have threads of their own.

use std::io;

/// `threads` workers; blocking work (snapshots, names) goes to a few more that come and go.
pub fn runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(8)
        .thread_name("deck")
        .enable_all()
        .build()
}
