//! What is counted in a run.

use std::collections::BTreeMap;

use trimaran_node::replica::Stats;

use super::schedule::FaultCounts;

#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub turns: u64,
    pub events: u64,
    pub messages: u64,
    pub calls: u64,
    pub starts: u64,
    pub faults: FaultCounts,
    /// Outcome name to count.
    pub outcomes: BTreeMap<String, u64>,
    /// Coverage marks: interesting things that happened.
    pub marks: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub fn mark(&mut self, mark: &'static str) {
        *self.marks.entry(mark).or_default() += 1;
    }

    /// What a replica counted in its life.
    pub fn add_stats(&mut self, stats: &Stats) {
        self.marks_add("duplicates suppressed", stats.duplicates_suppressed);
        self.marks_add("messages expired", stats.expired);
        self.marks_add("elections won", stats.elections_won);
        self.marks_add("units backed out", stats.backouts);
        self.marks_add("units committed", stats.commits);
        self.marks_add("waits", stats.waits);
        self.marks_add("entries applied", stats.entries_applied);
        self.marks_add("puts", stats.puts);
        self.marks_add("gets", stats.gets);
        self.marks_add("browses", stats.browses);
    }

    pub fn merge(&mut self, other: &Counters) {
        self.turns += other.turns;
        self.events += other.events;
        self.messages += other.messages;
        self.calls += other.calls;
        self.starts += other.starts;
        self.faults.merge(&other.faults);
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        for (mark, count) in &other.marks {
            self.marks_add(mark, *count);
        }
    }

    pub fn marks_add(&mut self, mark: &'static str, count: u64) {
        if count > 0 {
            *self.marks.entry(mark).or_default() += count;
        }
    }
}
