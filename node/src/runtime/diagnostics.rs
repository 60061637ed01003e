//! The log for people, and what happens when an assertion does not hold.

use std::backtrace::Backtrace;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use super::fatal::{FatalReason, fatal};
use crate::config::LogOptions;

/// Begins to log to standard error, as the configuration says; the environment's RUST_LOG goes before the file.
pub fn start_log(options: &LogOptions) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter_of(&filter),
        _ => filter_of(&options.level),
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

/// What a library says of its files is ours to say: after a kill raft-engine warns of a broken batch that is no more than the
/// end of what was being written, and what a log lacks is said by `log_store/recovery.rs`; rustls warns whenever a program in Java
/// closes its connection. A level that names one has its way.
const LIBRARIES: &str = "raft_engine=error,rustls=error";

fn filter_of(level: &str) -> EnvFilter {
    let with_libraries = |level: &str| EnvFilter::try_new(format!("{LIBRARIES},{level}"));
    with_libraries(level).or_else(|_| with_libraries("info")).unwrap_or_else(|_| EnvFilter::new("info"))
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
    fn a_library_is_heard_when_its_level_is_said_and_a_wrong_level_is_info() {
        assert_eq!(filter_of("info").to_string(), "raft_engine=error,rustls=error,info");
        assert_eq!(filter_of("info,raft_engine=debug").to_string(), "raft_engine=debug,rustls=error,info");
        assert_eq!(filter_of("no=such=level").to_string(), "raft_engine=error,rustls=error,info");
    }

    #[test]
    fn a_place_in_the_sources_says_nothing_of_the_machine_that_built_them() {
        let library = "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/raft-0.7.0/src/raft.rs";
        assert_eq!(source(library), "raft-0.7.0/src/raft.rs");
        assert_eq!(source("node/src/main.rs"), "node/src/main.rs");
    }
}
