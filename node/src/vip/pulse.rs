//! Whether the agent goes on: the node asks it all the time what it holds, and what it answers is what status says.
//!
//! An agent that hangs holds nothing a second later, whatever its node does: the kernel sees to that (`keeper`). Its node would serve
//! on, and nobody would reach it. So whoever serves and was not answered for as long as an address lives has none any more, and ends,
//! as one whose agent is dead does: another node takes over. A node that is to hold nothing has more patience.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::policy::{LATENESS, LIFETIME};
use crate::types::Instant;

/// How often it is asked.
pub const ASK_EVERY: Duration = Duration::from_millis(100);
/// The patience of a node that is to hold an address: what the agent gave the kernel before its last answer is gone.
pub const PATIENCE: Duration = LIFETIME.saturating_add(LATENESS);
/// That of one whose agent has nothing to do.
pub const PATIENCE_IDLE: Duration = Duration::from_secs(5);
/// A look that comes later than this was kept from coming, as the agent may have been from answering.
const LOOK_COUNTS: Duration = Duration::from_millis(200);

/// What one node knows of its agent.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    looked: Option<Instant>,
    silence: Duration,
}

impl Pulse {
    /// The agent said something.
    pub fn heard(&mut self) {
        self.silence = Duration::ZERO;
    }

    /// To be called every [`ASK_EVERY`], after everything was heard that there is. Of time in which nobody looked little counts: this
    /// process may have been paused, and its agent with it.
    pub fn look(&mut self, now: Instant) {
        let since = self.looked.map_or(Duration::ZERO, |looked| now.since(looked));
        self.silence += since.min(LOOK_COUNTS);
        self.looked = Some(now);
    }

    /// Whether what the agent held, for this long at a time, is gone as far as anybody can know.
    pub fn has_lost(&self, lifetime: Duration) -> bool {
        self.silence >= lifetime + LATENESS
    }

    /// Whether the node has to end. `is_to_hold`: its agent was told to hold an address.
    pub fn is_over(&self, is_to_hold: bool) -> bool {
        self.silence >= if is_to_hold { PATIENCE } else { PATIENCE_IDLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    /// Looks from then until then.
    fn looked(pulse: &mut Pulse, from: u64, until: u64) {
        (from..=until).step_by(100).for_each(|ms| pulse.look(at(ms)));
    }

    #[test]
    fn whoever_is_to_hold_an_address_and_is_not_answered_for_a_lifetime_ends() {
        let mut pulse = Pulse::default();
        looked(&mut pulse, 60_000, 61_000);
        assert!(!pulse.is_over(true), "what it gave the kernel last may be there");
        pulse.look(at(61_100));
        assert!(pulse.is_over(true) && pulse.has_lost(LIFETIME));
        assert!(!pulse.is_over(false), "nobody misses an agent that has nothing to do, yet");
        looked(&mut pulse, 61_200, 65_000);
        assert!(pulse.is_over(false), "it could not take an address either");
        pulse.heard();
        assert!(!pulse.is_over(true) && !pulse.has_lost(LIFETIME));
    }

    #[test]
    fn behind_a_fence_an_address_is_lost_sooner() {
        let mut pulse = Pulse::default();
        looked(&mut pulse, 1_000, 1_400);
        assert!(pulse.has_lost(super::super::policy::FENCE) && !pulse.is_over(true));
    }

    #[test]
    fn a_node_that_was_paused_with_its_agent_waits_for_its_answer() {
        let mut pulse = Pulse::default();
        looked(&mut pulse, 1_000, 1_500);
        pulse.look(at(61_500));
        assert!(!pulse.is_over(true) && !pulse.has_lost(LIFETIME), "nobody looked for a minute");
    }
}
