//! Sessions whose calls wait, in the order in which they have their turns: one call each, then from the front again.

use std::collections::{BTreeSet, VecDeque};

use crate::types::SessionId;

#[derive(Debug, Default)]
pub(super) struct Line {
    /// With the replica's turn that each joined in.
    order: VecDeque<(SessionId, u64)>,
    known: BTreeSet<SessionId>,
}

impl Line {
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// At the end, unless it stands there already.
    pub fn join(&mut self, session: SessionId, turn: u64) {
        if self.known.insert(session) {
            debug_assert!(
                self.order.back().is_none_or(|(_, last)| *last <= turn),
                "turns come one after the other"
            );
            self.order.push_back((session, turn));
        }
        debug_assert_eq!(self.order.len(), self.known.len(), "a session stands in the line once");
    }

    pub fn next(&mut self) -> Option<SessionId> {
        let (session, _) = self.order.pop_front()?;
        let was_known = self.known.remove(&session);
        assert!(was_known, "whoever stands in the line is known to");
        Some(session)
    }

    pub fn leave(&mut self, session: SessionId) {
        if self.known.remove(&session) {
            self.order.retain(|(other, _)| *other != session);
        }
        debug_assert_eq!(self.order.len(), self.known.len(), "a session stands in the line once");
    }

    /// The turn in which the first of them joined.
    pub fn first_joined(&self) -> Option<u64> {
        self.order.front().map(|(_, turn)| *turn)
    }
}
