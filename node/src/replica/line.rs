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
            self.order.push_back((session, turn));
        }
    }

    pub fn next(&mut self) -> Option<SessionId> {
        let (session, _) = self.order.pop_front()?;
        self.known.remove(&session);
        Some(session)
    }

    pub fn leave(&mut self, session: SessionId) {
        if self.known.remove(&session) {
            self.order.retain(|(other, _)| *other != session);
        }
    }

    /// The turn in which the first of them joined.
    pub fn first_joined(&self) -> Option<u64> {
        self.order.front().map(|(_, turn)| *turn)
    }
}
