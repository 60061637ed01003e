//! Mode exec: a program of the user's moves an address, by an interface of a cloud for example. It may take seconds, and the agent
//! goes on meanwhile: it has to hear that the address is not wanted any more.
//!
//! Arguments: `acquire` or `release`, the address, the queue manager, the term, and the milliseconds that are left of the lease.
//!
//! A script calls tools that do the work, and one that goes on when the script has ended would undo what a later call does. So each
//! call is a process group of its own, and is over when none of the group's processes runs any more.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::types::{Instant, Term};

/// How often it is looked whether it came to its end.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Processes that are killed are gone by then, unless they hang in the kernel.
const GONE_WITHIN: Duration = Duration::from_millis(300);
const GONE_LOOK: Duration = Duration::from_millis(1);

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
    /// Of a call before, killed and not gone: no other one may begin.
    left: Option<Group>,
}

#[derive(Debug)]
struct Running {
    verb: Verb,
    term: Term,
    group: Group,
    since: Instant,
    until: Instant,
}

/// A process and what it started. Nobody waits for the first before the others are gone: until then its number means this group.
#[derive(Debug)]
struct Group(Child);

/// What became of it.
#[derive(Debug)]
pub struct Ended {
    pub verb: Verb,
    pub term: Term,
    pub result: io::Result<()>,
}

impl Program {
    pub fn new(path: PathBuf, limit: Duration, about: [String; 2]) -> Program {
        Program { path, limit, about, running: None, left: None }
    }

    pub fn running(&self) -> Option<Verb> {
        self.running.as_ref().map(|running| running.verb)
    }

    /// What runs of it, if it has for so long.
    pub fn runs_for(&self, time: Duration, now: Instant) -> Option<Verb> {
        self.running.as_ref().filter(|running| now >= running.since + time).map(|running| running.verb)
    }

    /// As the log names a call.
    pub fn call(&self, verb: Verb) -> String {
        format!("{} {}", self.path.display(), verb.as_str())
    }

    /// After that it is ended.
    pub fn limit(&self) -> Duration {
        self.limit
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
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))?;
        self.running = Some(Running { verb, term, group: Group(child), since: now, until: now + self.limit });
        Ok(())
    }

    /// Looks whether it ended. One that takes too long is ended, and so is what it left running.
    pub fn look(&mut self, now: Instant) -> Option<Ended> {
        let running = self.running.as_ref()?;
        let (verb, term) = (running.verb, running.term);
        let what = self.call(verb);
        let is_late = now >= running.until;
        let ended = match running.group.has_ended() {
            Ok(false) if !is_late => return None,
            Ok(has_ended) => self.end().map(|status| status.filter(|_| has_ended)),
            Err(error) => self.end().and(Err(error)),
        };
        let result = ended.and_then(|status| match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(io::Error::other(format!("{what} ended with {status}"))),
            None => Err(io::Error::other(format!("{what} took more than {:?}", self.limit))),
        });
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

    /// Nothing runs of it afterwards.
    fn end(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(mut group) = self.left.take().or(self.running.take().map(|running| running.group)) else {
            return Ok(None);
        };
        match group.end() {
            Ok(status) => Ok(Some(status)),
            Err(error) => {
                self.left = Some(group);
                Err(io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
            }
        }
    }
}

impl Group {
    fn number(&self) -> libc::pid_t {
        self.0.id() as libc::pid_t
    }

    /// Whether its first process has.
    fn has_ended(&self) -> io::Result<bool> {
        // SAFETY: all zeros are a value of it; the kernel fills it in, and a number of 0 says that nothing ended.
        let mut ended: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: the kernel writes into the structure alone.
        match unsafe { libc::waitid(libc::P_PID, self.0.id(), &raw mut ended, flags) } {
            // SAFETY: it was filled in for a child that ended, or is all zeros.
            0 => Ok(unsafe { ended.si_pid() } != 0),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Kills what runs of it, and waits for that.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let began = std::time::Instant::now();
        loop {
            // SAFETY: the first process is waited for below and not before, so the number is nobody else's.
            unsafe { libc::kill(-self.number(), libc::SIGKILL) };
            if !self.is_running()? {
                return self.0.wait();
            }
            if began.elapsed() >= GONE_WITHIN {
                return Err(io::Error::other("what it started was killed, and does not end"));
            }
            std::thread::sleep(GONE_LOOK);
        }
    }

    /// Who ended and was not waited for, by whoever has to, runs no more.
    fn is_running(&self) -> io::Result<bool> {
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(number) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            else {
                continue;
            };
            // It may end meanwhile.
            let Ok(line) = fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
            // Number, (name), state, parent, group: a name may have brackets and blanks.
            let mut words = line.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
            let is_over = matches!(words.next(), None | Some("Z" | "X"));
            if !is_over && words.nth(1) == Some(&self.number().to_string()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        static BEGAN: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        Instant(BEGAN.elapsed().as_micros() as u64)
    }

    /// A program that does this; `$0` is called with the verb, and `$own` is a file of the test's.
    fn program(script: &str, limit: Duration) -> (Program, tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (path, own) = (directory.path().join("program"), directory.path().join("own"));
        let text = format!("#!/bin/sh\nown={}\n{script}\n", own.display());
        // By another process: one that has it open for writing, and forks, would keep it from being run.
        let mut shell = Command::new("sh");
        let write = "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"";
        assert!(shell.args(["-c", write, "sh"]).arg(&path).arg(text).status().unwrap().success());
        let program = Program::new(path, limit, ["10.0.0.50".to_owned(), "QM".to_owned()]);
        (program, directory, own)
    }

    /// The number of a process that a script wrote down.
    fn number(own: &PathBuf) -> String {
        loop {
            if let Ok(text) = fs::read_to_string(own)
                && let Some(number) = text.strip_suffix('\n')
            {
                return number.to_owned();
            }
            std::thread::sleep(GONE_LOOK);
        }
    }

    fn runs(number: &str) -> bool {
        let line = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        line.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    const TOOL_GOES_ON: &str = "[ $1 = release ] && exit 0; sleep 1000 & echo $! >$own; wait";

    #[test]
    fn what_a_call_started_does_not_outlive_it() {
        let (mut program, _directory, own) = program(TOOL_GOES_ON, Duration::from_secs(60));
        program.start(Verb::Acquire, Term(3), Duration::ZERO, now()).unwrap();
        let tool = number(&own);
        assert!(runs(&tool), "it does what takes its time");
        program.start(Verb::Release, Term(0), Duration::ZERO, now()).unwrap();
        assert!(!runs(&tool), "it could take the address after the release has given it back");
        program.finish(now).unwrap();
    }

    #[test]
    fn nor_one_that_takes_too_long_or_leaves_it_behind() {
        let (mut late, _directory, own) = program(TOOL_GOES_ON, Duration::from_millis(500));
        late.start(Verb::Acquire, Term(3), Duration::ZERO, now()).unwrap();
        let tool = number(&own);
        let said = late.finish(now).unwrap_err().to_string();
        assert!(said.ends_with("program acquire took more than 500ms"), "{said}");
        assert!(!runs(&tool), "nobody looks after it");

        for (script, is_done) in [("exit 0", true), ("exit 7", false)] {
            let script = format!("sleep 1000 & echo $! >$own; {script}");
            let (mut hasty, _directory, own) = program(&script, Duration::from_secs(60));
            hasty.start(Verb::Release, Term(0), Duration::ZERO, now()).unwrap();
            assert_eq!(hasty.finish(now).is_ok(), is_done);
            assert!(!runs(&number(&own)), "the call is over");
        }
    }
}
