//! Sessions whose calls wait, in the order in which they have their turns: one call each, then from the front again.

use std::collections::BTreeMap;

use crate::types::{LookupMap, SessionId};

#[derive(Debug, Default)]
pub(super) struct Line {
    next: u64,
    /// With the round of turns that each joined in.
    order: BTreeMap<u64, (SessionId, u64)>,
    places: LookupMap<SessionId, u64>,
}

impl Line {
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// At the end, unless it stands there already.
    pub fn join(&mut self, session: SessionId, round: u64) {
        if !self.places.contains_key(&session) {
            self.next += 1;
            self.places.insert(session, self.next);
            self.order.insert(self.next, (session, round));
        }
        debug_assert_eq!(self.order.len(), self.places.len(), "a session stands in the line once");
    }

    pub fn next(&mut self) -> Option<SessionId> {
        let (_, (session, _)) = self.order.pop_first()?;
        let place = self.places.remove(&session);
        assert!(place.is_some(), "whoever stands in the line has a place");
        Some(session)
    }

    pub fn leave(&mut self, session: SessionId) {
        if let Some(place) = self.places.remove(&session) {
            self.order.remove(&place);
        }
        debug_assert_eq!(self.order.len(), self.places.len(), "a session stands in the line once");
    }

    /// The round in which the first of them joined.
    pub fn first_joined(&self) -> Option<u64> {
        self.order.first_key_value().map(|(_, (_, round))| *round)
    }
}
