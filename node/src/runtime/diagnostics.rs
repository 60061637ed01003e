//! The log for people, and what happens when an assertion does not hold.

use std::backtrace::Backtrace;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use super::fatal::{FatalReason, fatal};
use crate::config::LogOptions;

/// Begins to log to standard error, as the configuration says; the environment's RUST_LOG goes before the file.
pub fn start_log(options: &LogOptions) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => {
            EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"))
        }
        _ => EnvFilter::try_new(&options.level).unwrap_or_else(|_| EnvFilter::new("info")),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (tests) keeps the first.
    let _ = if options.json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        registry.with(layer.with_ansi(ansi).with_target(false)).try_init()
    };
}

/// A panic anywhere ends the process: a wrong queue is worse than an absent one, and the other nodes carry on.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = Backtrace::force_capture();
        eprintln!("{backtrace}");
        let place =
            panic.location().map_or_else(String::new, |at| format!(" ({}:{})", source(at.file()), at.line()));
        let said = panic.payload_as_str().unwrap_or("panicked");
        fatal(
            FatalReason::Bug,
            format_args!("thread {}: {said}{place}", thread.name().unwrap_or("without a name")),
        );
    }));
}

/// A file of ours as it is in the repository, one of a library from its name on: not where the program was built.
fn source(file: &str) -> &str {
    match file.split_once("/registry/src/") {
        Some((_, library)) => library.split_once('/').map_or(library, |(_, library)| library),
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_sources_says_nothing_of_the_machine_that_built_them() {
        let library = "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/raft-0.7.0/src/raft.rs";
        assert_eq!(source(library), "raft-0.7.0/src/raft.rs");
        assert_eq!(source("node/src/main.rs"), "node/src/main.rs");
    }
}
