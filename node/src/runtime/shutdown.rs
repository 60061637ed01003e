//! How a node is told to stop, and to look at its certificates again.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::fatal::{FatalReason, fatal};

const SAME_SIGNAL: Duration = Duration::from_millis(50);

/// SIGTERM and SIGINT stop, SIGHUP reloads.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Stop,
    Reload,
}

impl Signals {
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// While the node stops: a second signal ends it at once. One that comes with the first is the same: `timeout` and
    /// some supervisors signal the process and its group.
    pub async fn second(&mut self) -> ! {
        let told = Instant::now();
        loop {
            if self.next().await == Told::Stop && told.elapsed() > SAME_SIGNAL {
                fatal(FatalReason::StoppedAtOnce, "told to stop a second time: stopping at once");
            }
        }
    }
}
