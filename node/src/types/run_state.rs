//! Whether a queue manager serves programs, as an operator wants it (IBM MQ Reference, "strmqm", "endmqm").
//!
//! A replicated fact of the queue manager itself, which its group keeps while it is ended: copies, votes and catching up go on, so
//! that to start it again is one entry of its log.

/// In the order in which it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunState {
    /// Programs are let in; a new queue manager begins so.
    #[default]
    Running,
    /// Nobody is let in any more, and it ends when the last program has left.
    Quiescing,
    /// Nobody was left when it ended.
    EndedNormally,
    /// Programs were disconnected.
    EndedImmediately,
}

impl RunState {
    /// Whether programs are sent away.
    pub fn is_ended(self) -> bool {
        self >= RunState::EndedNormally
    }

    /// Whether a queue manager of this state may come to be in that one: who has ended is started first, and a quiescing one is
    /// not called back.
    pub fn may_become(self, next: RunState) -> bool {
        let may = match next {
            RunState::Running => self.is_ended(),
            RunState::Quiescing => self == RunState::Running,
            RunState::EndedNormally | RunState::EndedImmediately => !self.is_ended(),
        };
        debug_assert!(!may || self != next, "to be what it is already is no change");
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_is_started_and_who_runs_is_ended() {
        use RunState::*;
        let from = |state: RunState| {
            let all = [Running, Quiescing, EndedNormally, EndedImmediately];
            all.into_iter().filter(|next| state.may_become(*next)).collect::<Vec<_>>()
        };
        assert_eq!(from(Running), [Quiescing, EndedNormally, EndedImmediately]);
        assert_eq!(from(Quiescing), [EndedNormally, EndedImmediately]);
        assert_eq!(from(EndedNormally), [Running]);
        assert_eq!(from(EndedImmediately), [Running]);
    }
}
