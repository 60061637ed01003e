//! Makes a failing run smaller while it goes on failing: fewer kinds of faults, fewer programs, fewer ticks.

use super::clock::TICK_US;
use super::days::run;
use super::run::{Knobs, Verdict};

pub struct Shrunk {
    pub knobs: Knobs,
    pub verdict: Verdict,
    pub tries: u64,
}

/// The seed stays; only what it may do gets less. `tries_max` bounds the work.
pub fn shrink(seed: u64, knobs: &Knobs, failed: Verdict, tries_max: u64) -> Shrunk {
    let mut best = Shrunk { knobs: knobs.clone(), verdict: failed, tries: 0 };
    let mut again = true;
    while again && best.tries < tries_max {
        again = false;
        let candidates = smaller(&best);
        for candidate in candidates {
            if best.tries >= tries_max {
                break;
            }
            best.tries += 1;
            let verdict = run(seed, &candidate);
            if same_promise(&verdict, &best.verdict) {
                (best.knobs, best.verdict) = (candidate, verdict);
                again = true;
            }
        }
    }
    best
}

fn same_promise(one: &Verdict, other: &Verdict) -> bool {
    match (&one.violation, &other.violation) {
        (Some(one), Some(other)) => one.checker == other.checker,
        _ => false,
    }
}

/// What to try next, the boldest first.
fn smaller(best: &Shrunk) -> Vec<Knobs> {
    let mut candidates = Vec::new();
    let failed_at = best.verdict.violation.as_ref().map_or(0, |violation| violation.at / TICK_US);
    for ticks in [failed_at / 2, failed_at + 1, best.knobs.ticks / 2, best.knobs.ticks * 3 / 4] {
        if ticks < best.knobs.ticks && ticks > 0 {
            candidates.push(Knobs { ticks, ..best.knobs.clone() });
        }
    }
    let programs = best.knobs.programs.unwrap_or(8);
    for fewer in [programs / 2, programs.saturating_sub(1)] {
        if fewer > 0 && fewer < programs {
            candidates.push(Knobs { programs: Some(fewer), ..best.knobs.clone() });
        }
    }
    let injected: Vec<_> = best.verdict.counters.faults.0.keys().copied().collect();
    if injected.len() < best.knobs.faults.len() {
        candidates.push(Knobs { faults: injected.clone(), ..best.knobs.clone() });
    }
    if injected.len() > 3 {
        let (one, other) = injected.split_at(injected.len() / 2);
        candidates.push(Knobs { faults: one.to_vec(), ..best.knobs.clone() });
        candidates.push(Knobs { faults: other.to_vec(), ..best.knobs.clone() });
    }
    for without in &injected {
        let faults: Vec<_> = injected.iter().copied().filter(|fault| fault != without).collect();
        candidates.push(Knobs { faults, ..best.knobs.clone() });
    }
    candidates
}
