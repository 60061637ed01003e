//! Mode exec: a program of the user's moves an address, by an interface of a cloud for example. It may take seconds, and the agent
//! goes on meanwhile: it has to hear that the address is not wanted any more.
//!
//! Arguments: `acquire` or `release`, the address, the queue manager, the term, and the milliseconds that are left of the lease.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::types::{Instant, Term};

/// How often it is looked whether it came to its end.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Acquire,
    Release,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Verb::Acquire => "acquire",
            Verb::Release => "release",
        }
    }
}

/// The program for one address. At most one of it runs.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    limit: Duration,
    /// The address and the name of its queue manager.
    about: [String; 2],
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    verb: Verb,
    term: Term,
    child: Child,
    until: Instant,
}

/// What became of it.
#[derive(Debug)]
pub struct Ended {
    pub verb: Verb,
    pub term: Term,
    pub result: io::Result<()>,
}

impl Program {
    pub fn new(path: PathBuf, limit: Duration, about: [String; 2]) -> Program {
        Program { path, limit, about, running: None }
    }

    pub fn running(&self) -> Option<Verb> {
        self.running.as_ref().map(|running| running.verb)
    }

    /// What runs of it is ended before.
    pub fn start(&mut self, verb: Verb, term: Term, lease: Duration, now: Instant) -> io::Result<()> {
        self.end()?;
        let child = Command::new(&self.path)
            .arg(verb.as_str())
            .args(&self.about)
            .args([term.0.to_string(), lease.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))?;
        self.running = Some(Running { verb, term, child, until: now + self.limit });
        Ok(())
    }

    /// Looks whether it ended. One that takes too long is ended.
    pub fn look(&mut self, now: Instant) -> Option<Ended> {
        let running = self.running.as_mut()?;
        let failed = |what: String| Err(io::Error::other(what));
        let what = format!("{} {}", self.path.display(), running.verb.as_str());
        let result = match running.child.try_wait() {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => failed(format!("{what} ended with {status}")),
            Ok(None) if now < running.until => return None,
            Ok(None) => failed(format!("{what} took more than {:?}", self.limit)),
            Err(error) => Err(error),
        };
        let (verb, term) = (running.verb, running.term);
        let result = self.end().and(result);
        Some(Ended { verb, term, result })
    }

    /// Waits for it, with nothing else to do.
    pub fn finish(&mut self, clock: fn() -> Instant) -> io::Result<()> {
        while self.running.is_some() {
            if let Some(Ended { result, .. }) = self.look(clock()) {
                return result;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// When to look.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.running.as_ref().map(|running| (now + LOOK_EVERY).min(running.until))
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(mut running) = self.running.take() {
            // One that ended is only waited for.
            running.child.kill()?;
            running.child.wait()?;
        }
        Ok(())
    }
}
