//! A node whose message store is damaged begins again: same process id, same arguments. The store is condemned by
//! then, and a start sets a condemned store aside and gets its rows from the log and the peers.
//!
//! Not for anything else that ends a node: after a failed sync, or with a bug, somebody should look first.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::fatal::{FatalReason, fatal};

/// Set in a process that began again by itself.
const AGAIN: &str = "TRIMARAN_BEGAN_AGAIN";
/// One that did so and finds damage again this soon has a machine that should not be trusted.
const TOO_SOON: Duration = Duration::from_secs(600);

static BEGAN: OnceLock<Instant> = OnceLock::new();

/// To be called when the process begins.
pub fn note_begin() {
    BEGAN.get_or_init(Instant::now);
}

/// From whichever thread found the damage. Does not return: no row of this store may be served any more.
pub fn begin_again(reason: impl fmt::Display) -> ! {
    // systemd starts the node again, and waits for it as long as a start may take; to it, this process is the same one,
    // whose watchdog has to be fed meanwhile.
    let is_supervised = std::env::var_os("NOTIFY_SOCKET").is_some();
    let ran = BEGAN.get().map_or(Duration::ZERO, Instant::elapsed);
    let is_too_soon = std::env::var_os(AGAIN).is_some() && ran < TOO_SOON;
    if is_supervised || is_too_soon {
        fatal(FatalReason::Store, reason);
    }
    let mut arguments = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else {
        fatal(FatalReason::Store, reason);
    };
    tracing::error!("{reason}; this node begins again");
    let error = Command::new(program).arg0(name).args(arguments).env(AGAIN, "1").exec();
    fatal(FatalReason::Store, format_args!("{reason}; and it cannot begin again: {error}"))
}
