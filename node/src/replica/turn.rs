//! How much a turn does for clients. What is counted stands for time, and is the same in every run.
//!
//! A turn has phases: new calls, what was committed, messages that became free, calls that wait for their turn, what has
//! expired. Each may do so much and leaves the rest to the next turn, so that ticks, peers and other sessions come in
//! between however much one of them asks for. Called by whatever looks at messages or takes calls.

use crate::types::planted::{self, Bug};

/// A message that is looked at, about 50 ns: the unit of everything here.
pub(super) const LOOK: u64 = 1;
/// A call, besides what it looks at and moves.
pub(super) const CALL: u64 = 20;
/// A command that is applied, besides the messages it moves.
const APPLY: u64 = 8;
/// A message that comes or goes when a command is applied.
const APPLY_MESSAGE: u64 = 8;
/// A large unit of work goes on by so many messages at least.
const SLICE_MIN: usize = 16;
/// A message whose memory is given back.
pub(super) const SWEEP: u64 = 2;
/// A message of a unit that is committed or backed out.
pub(super) const UNIT: u64 = 4;
/// A get that waits no more, a handle that is closed with its session, a call that is not begun.
pub(super) const LEAVE: u64 = 8;
/// Bytes of a selector that are made or given back in the time of a look: most of them are those of short names.
pub(super) const SELECTOR_BYTES_A_LOOK: u64 = 256;
/// A message on its way into an index.
pub(super) const INDEX: u64 = 4;
/// A queue, a session or one of its handles that is described.
pub(super) const DESCRIBE: u64 = 20;
/// Bytes that cost as much as a look.
const BYTES_A_LOOK: usize = 1024;
/// A search that has its turn goes on by at least this, so that it ends some day.
const SEARCH_MIN: u64 = 256;

/// What new calls of a turn may do, see [`super::Options::turn_work`]: about 1,000 puts of 1 KiB, or 20,000 messages
/// looked at. Every other phase may do half of it. A put of somebody else waits for the turns in which it comes, is
/// written, and is known to be on a majority: about four.
pub const TURN_WORK: u64 = 20_000;

#[derive(Debug)]
pub(super) struct Turn {
    calls: u64,
    done: u64,
    applied: u64,
    /// Where the phase ends.
    limit: u64,
    /// Where the search that is under way ends, if that is later.
    search_limit: u64,
}

impl Turn {
    pub fn new(calls: u64) -> Turn {
        assert!(calls > 0, "a turn may do something");
        Turn { calls, done: 0, applied: 0, limit: calls, search_limit: 0 }
    }

    pub fn begin(&mut self) {
        (self.done, self.applied, self.limit, self.search_limit) = (0, 0, self.calls, 0);
    }

    /// The next phase has a share of its own, whatever those before it did.
    pub fn next_phase(&mut self) {
        self.limit = self.done + self.calls / 2;
        debug_assert!(self.calls < 2 || self.limit > self.done, "a phase begins with something to do");
    }

    pub fn next_search(&mut self) {
        self.search_limit = self.done + SEARCH_MIN.min(self.calls);
        debug_assert!(self.search_limit > self.done, "a search that has its turn may look");
    }

    /// What the phase may still do; something at least.
    pub fn left(&self) -> u64 {
        match planted::is(Bug::EndlessTurn) {
            true => u64::MAX >> 1,
            false => self.limit.saturating_sub(self.done).max(SLICE_MIN as u64),
        }
    }

    /// So many objects, sessions or handles are described in one go.
    pub fn page(&self) -> usize {
        match planted::is(Bug::EndlessTurn) {
            true => usize::MAX,
            false => ((self.calls / DESCRIBE) as usize).max(1),
        }
    }

    pub fn spend(&mut self, work: u64) {
        self.done += work;
    }

    pub fn spend_bytes(&mut self, bytes: usize) {
        self.done += (bytes / BYTES_A_LOOK) as u64;
    }

    /// Counts one more look; false when it is one too many.
    #[must_use]
    pub fn look(&mut self) -> bool {
        self.may(LOOK)
    }

    /// Counts this; false when it is too much.
    #[must_use]
    pub fn may(&mut self, work: u64) -> bool {
        self.done += work;
        self.done < self.search_limit || !self.is_over()
    }

    /// Whatever comes now is for the next turn.
    pub fn is_over(&self) -> bool {
        self.done >= self.limit && !planted::is(Bug::EndlessTurn)
    }

    /// A command was applied, or a part of it.
    pub fn note_applied(&mut self, messages: usize) {
        self.applied += APPLY + APPLY_MESSAGE * messages as u64;
    }

    pub fn note_applied_bytes(&mut self, bytes: usize) {
        self.applied += (bytes / BYTES_A_LOOK) as u64;
    }

    /// What else was committed is applied in the next turn.
    pub fn has_applied_enough(&self) -> bool {
        self.applied >= self.calls && !planted::is(Bug::EndlessTurn)
    }

    /// So many messages of a unit of work may come or go now.
    pub fn slice(&self) -> usize {
        if planted::is(Bug::EndlessTurn) {
            return usize::MAX;
        }
        ((self.calls.saturating_sub(self.applied) / APPLY_MESSAGE) as usize).max(SLICE_MIN)
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_share_however_much_was_done_before() {
        let mut turn = Turn::new(100);
        turn.begin();
        assert!(turn.may(99) && !turn.is_over());
        assert!(!turn.may(1_000));
        turn.next_phase();
        assert!(turn.may(49) && !turn.may(1));
    }

    #[test]
    fn a_search_goes_on_even_in_a_turn_that_is_nearly_over() {
        let mut turn = Turn::new(1_000);
        turn.begin();
        turn.spend(1_000);
        assert!(turn.is_over());
        turn.next_search();
        assert_eq!((0..1_000).take_while(|_| turn.look()).count() as u64, SEARCH_MIN - 1);
    }
}
