//! One node is one process. A new one takes the place of an old one that has ended, whether that was noticed here or not; two that live
//! side by side under one name and id (a directory that was copied, a file that was given to two machines) take each other's place again
//! and again. Whoever comes back after another one was there proves that both live: then the first is heard and the other is not.

use std::time::{Duration, Instant};

/// Whoever is refused tries again each second.
const REFUSED_LATELY: Duration = Duration::from_secs(5);
/// Of more than these, which had each other's place, nobody keeps count.
const REPLACED_MAX: usize = 8;

/// The processes of one peer, as their connections to this node tell.
#[derive(Debug, Default)]
pub(super) struct Processes {
    heard: u64,
    /// Whose place was taken, in order. They should have ended.
    replaced: Vec<u64>,
    /// Lives beside the one that is heard.
    second: Option<u64>,
    refused_at: Option<Instant>,
}

impl Processes {
    /// A process says hello. `is_heard`: the connection of the one before still stands. Whether it is heard from now on. Number 0 is
    /// nobody in particular, as of an older release.
    pub fn admit(&mut self, process: u64, is_heard: bool, now: Instant) -> bool {
        if process == 0 || process == self.heard {
            return true;
        }
        if is_heard && self.is_second(process) {
            self.refused_at = Some(now);
            return false;
        }
        let came_back = self.replaced.contains(&process);
        self.replaced.retain(|other| *other != process);
        let before = std::mem::replace(&mut self.heard, process);
        self.second = (came_back && before != 0).then_some(before);
        if before != 0 && !came_back {
            self.replaced.push(before);
            let over = self.replaced.len().saturating_sub(REPLACED_MAX);
            self.replaced.drain(..over);
        }
        true
    }

    /// Whether it is known to live beside the one that is heard.
    pub fn is_second(&self, process: u64) -> bool {
        process != 0 && self.second == Some(process)
    }

    pub fn is_doubled(&self, now: Instant) -> bool {
        self.refused_at.is_some_and(|at| now.duration_since(at) < REFUSED_LATELY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_started_anew_takes_the_place_of_the_one_before() {
        let (mut processes, now) = (Processes::default(), Instant::now());
        for process in 1..30 {
            assert!(processes.admit(process, true, now), "the old one's end may not be known yet");
        }
        assert!(processes.admit(29, true, now) && processes.admit(0, true, now));
        assert!(!processes.is_doubled(now));
    }

    #[test]
    fn of_two_that_live_side_by_side_the_first_is_heard() {
        let (mut processes, now) = (Processes::default(), Instant::now());
        let said = |processes: &mut Processes, process| processes.admit(process, true, now);
        assert!(said(&mut processes, 7) && said(&mut processes, 8));
        assert!(said(&mut processes, 7), "it lives, and was first");
        assert!(!said(&mut processes, 8) && !said(&mut processes, 8));
        assert!(processes.is_second(8) && processes.is_doubled(now));
        assert!(!processes.is_doubled(now + REFUSED_LATELY));
        // The first one ended, or only its connection did.
        assert!(processes.admit(8, false, now));
        assert!(!processes.is_second(8));
        assert!(said(&mut processes, 9), "a third one is new");
        assert!(said(&mut processes, 8), "and lives beside the second");
        assert!(!said(&mut processes, 9));
    }
}
