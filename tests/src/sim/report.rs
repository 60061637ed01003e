//! What a set of runs did: speed, faults, answers, marks; and how a failing run is told.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::clock::TICK_US;
use super::commit::commit;
use super::counters::Counters;
use super::run::Verdict;
use super::schedule::Fault;

/// Things that must happen in any good set of runs; one that never does means that the design of the runs is bad.
pub const MARKS_WANTED: &[&str] = &[
    "began to serve",
    "canaries' gaps looked at",
    "canary got through",
    "channel had no place",
    "duplicates suppressed",
    "entries replayed at start",
    "log cut",
    "membership changed",
    "membership published",
    "messages expired",
    "node learned of its removal",
    "old entries loaded for a peer",
    "peer's process found gone",
    "process ended because its disk failed",
    "program connected over a channel",
    "program connected that is called back",
    "program connected that reads ahead",
    "rows loaded",
    "rows stored",
    "session closed by its node",
    "snapshot begun",
    "snapshot broke on its way",
    "snapshot installed",
    "started recovering",
    "states compared",
    "states loaded from rows",
    "store flushed",
    "store refused for lack of space",
    "times without a good round",
    "units backed out",
    "units committed",
    "waits",
];

/// Enough runs for every kind of fault and every mark to come up.
pub const RUNS_FOR_MARKS: u64 = 1000;

#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub runs: u64,
    pub failures: Vec<(u64, String)>,
    pub virtual_us: u64,
    pub ticks: u64,
    pub operations: u64,
    pub counters: Counters,
}

impl Summary {
    pub fn add(&mut self, verdict: &Verdict) {
        self.runs += 1;
        self.virtual_us += verdict.virtual_us;
        self.ticks += verdict.ticks;
        self.operations += verdict.operations as u64;
        self.counters.merge(&verdict.counters);
        if let Some(violation) = &verdict.violation {
            self.failures.push((verdict.seed, format!("{}: {}", violation.checker, violation.sentence)));
        }
    }

    /// Kinds of faults and marks that never came up, when there were runs enough to expect them.
    pub fn never_hit(&self, faults: &[Fault]) -> Vec<String> {
        if self.runs < RUNS_FOR_MARKS {
            return Vec::new();
        }
        let hit: BTreeSet<Fault> = self.counters.faults.0.keys().copied().collect();
        let faults = faults
            .iter()
            .filter(|fault| !hit.contains(fault))
            .map(|fault| format!("fault \"{}\"", fault.name()));
        let marks = MARKS_WANTED
            .iter()
            .filter(|mark| !self.counters.marks.contains_key(**mark))
            .map(|mark| format!("mark \"{mark}\""));
        faults.chain(marks).collect()
    }

    pub fn text(&self, took: Duration) -> String {
        let mut text = String::new();
        let seconds = took.as_secs_f64().max(0.001);
        let _ = writeln!(
            text,
            "{} runs, {} failed, in {seconds:.1} s: {:.2} seeds/s, {:.0} x real time ({:.1} h of virtual time, {} ticks)",
            self.runs,
            self.failures.len(),
            self.runs as f64 / seconds,
            self.virtual_us as f64 / 1e6 / seconds,
            self.virtual_us as f64 / 3.6e9,
            self.ticks
        );
        let counters = &self.counters;
        let _ = writeln!(
            text,
            "{} operations of programs, {} calls, {} turns, {} events, {} peer messages, {} starts",
            self.operations,
            counters.calls,
            counters.turns,
            counters.events,
            counters.messages,
            counters.starts
        );
        let _ = writeln!(text, "\nfaults injected");
        for (fault, count) in &counters.faults.0 {
            let _ = writeln!(text, "  {count:>9}  {}", fault.name());
        }
        let _ = writeln!(text, "\ncalls by outcome");
        for (outcome, count) in &counters.outcomes {
            let _ = writeln!(text, "  {count:>9}  {outcome}");
        }
        let _ = writeln!(text, "\nmarks");
        for (mark, count) in &counters.marks {
            let _ = writeln!(text, "  {count:>9}  {mark}");
        }
        text
    }
}

/// What somebody must know of a failing run, ending with the one command that repeats it.
pub fn failure(verdict: &Verdict, command: &str) -> String {
    let Some(violation) = &verdict.violation else { return String::new() };
    let mut text = String::new();
    let _ = writeln!(text, "seed {} FAILED at tick {}", verdict.seed, violation.at / TICK_US);
    let _ = writeln!(text, "  commit   {}", commit());
    let _ = writeln!(text, "  promise  {}", violation.checker);
    let _ = writeln!(text, "  {}", violation.sentence);
    if !verdict.lines.is_empty() {
        let _ = writeln!(text, "  the last of it:");
        for line in &verdict.lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(text, "  again: {command}");
    text
}
