//! A run of whatever kind of day was asked for.

use super::run::{self, Day, Knobs, Verdict};
use super::{commands, events, old_image, registers, reports};

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    match knobs.day {
        Day::Any => run::run(seed, knobs),
        Day::OldImage => old_image::run(seed, knobs),
        Day::Reports => reports::run(seed, knobs),
        Day::Events => events::run(seed, knobs),
        Day::Registers => registers::run(seed, knobs),
        Day::Commands => commands::run(seed, knobs),
    }
}
