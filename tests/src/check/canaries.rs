//! What is on record of canaries is what they saw: no outage over a time in which one got through, none while nothing is wrong, and
//! one for every time in which nobody did.
//!
//! The record has the time of the log, the simulator true time. Where no wall clock jumps the one follows from the other, but for
//! what a round takes to come into the log.

use std::collections::{BTreeMap, BTreeSet};

use trimaran_node::qmgr::QueueManager;
use trimaran_proto::admin::v1::CanaryGap;

use super::facts::seconds;
use crate::sim::clock::EPOCH_MS;

pub const NAME: &str = "what canaries saw";

/// A good round may come so late into the log, and clocks may go so differently.
const LATE_MS: i64 = 3_000;
/// Good rounds that are further apart are an outage (`qmgr/canary.rs`).
const APART_MS: i64 = 2_000;
/// Nobody has to get through so soon after the last fault.
const PATIENCE_MS: i64 = 8_000;

#[derive(Clone, Debug, Default)]
pub struct Canaries {
    /// By queue manager.
    seen: BTreeMap<usize, Seen>,
    /// Whether a wall clock may jump in this run.
    pub jumps: bool,
    /// Gaps that were looked at, and times without a good round that have to be on record.
    pub gaps: u64,
    pub silences: u64,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// When each node's canary got through, in the order of time.
    rounds: Vec<Round>,
    /// By the time of the log, those that came into it.
    recorded: BTreeSet<i64>,
    gaps: Vec<CanaryGap>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    at: u64,
    node: u64,
}

impl Round {
    fn ms(self) -> i64 {
        EPOCH_MS + (self.at / 1_000) as i64
    }
}

impl Canaries {
    pub fn on_good(&mut self, queue_manager: usize, node: u64, now: u64) {
        self.seen.entry(queue_manager).or_default().rounds.push(Round { at: now, node });
    }

    pub fn after_turn(
        &mut self,
        queue_manager: usize,
        state: &QueueManager,
        healed_at: Option<u64>,
    ) -> Option<String> {
        let canary = state.canary()?;
        let seen = self.seen.entry(queue_manager).or_default();
        seen.recorded.insert(canary.good_ms);
        let known = seen.gaps.last().map_or(0, |gap| gap.to_ms);
        let news: Vec<CanaryGap> = canary.gaps.iter().filter(|gap| gap.to_ms > known).copied().collect();
        for gap in news {
            self.gaps += 1;
            seen.gaps.push(gap);
            let timed = if self.jumps { None } else { seen.wrong_times(&gap, healed_at) };
            if let Some(why) = seen.over_a_good_round(&gap).or(timed) {
                return Some(format!(
                    "on record of queue manager {queue_manager} is that nobody got through from {} to {}: {why}",
                    shown(gap.from_ms),
                    shown(gap.to_ms)
                ));
            }
        }
        None
    }

    /// Once, at the end of a run whose rounds are all in the log.
    pub fn at_the_end(&mut self) -> Option<String> {
        if self.jumps {
            return None;
        }
        let silences = &mut self.silences;
        self.seen.iter().find_map(|(queue_manager, seen)| {
            let first = *seen.recorded.first()?;
            let last = *seen.recorded.last()?;
            seen.rounds.windows(2).find_map(|two| {
                let (from, to) = (two[0].ms(), two[1].ms());
                let is_long = to - from > APART_MS + LATE_MS;
                if !is_long || from < first || to + LATE_MS > last {
                    return None;
                }
                *silences += 1;
                let covers =
                    |gap: &CanaryGap| gap.from_ms <= from + LATE_MS && gap.to_ms >= to - LATE_MS;
                (!seen.gaps.iter().any(covers)).then(|| {
                    format!(
                        "nobody got through to queue manager {queue_manager} from {} to {}, and that is not on record",
                        shown(from),
                        shown(to)
                    )
                })
            })
        })
    }
}

impl Seen {
    fn over_a_good_round(&self, gap: &CanaryGap) -> Option<String> {
        let between = self.recorded.range(gap.from_ms + 1..gap.to_ms).next()?;
        Some(format!("a canary did at {}, which is on record too", shown(*between)))
    }

    fn wrong_times(&self, gap: &CanaryGap, healed_at: Option<u64>) -> Option<String> {
        let near = |ms: i64| move |round: &&Round| (round.ms() - ms).abs() <= LATE_MS;
        if !self.rounds.iter().any(|round| near(gap.from_ms)(&round)) {
            return Some("no canary did when it began".into());
        }
        if !self.rounds.iter().any(|round| round.node == gap.node && near(gap.to_ms)(&round)) {
            return Some(format!("node {} did not when it ended", gap.node));
        }
        let peace = healed_at.map(|healed| EPOCH_MS + (healed / 1_000) as i64 + PATIENCE_MS);
        let is_calm = peace.is_some_and(|peace| gap.from_ms > peace);
        is_calm.then(|| "nothing was wrong then".into())
    }
}

fn shown(ms: i64) -> String {
    seconds((ms - EPOCH_MS).max(0) as u64 * 1_000)
}
