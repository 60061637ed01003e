//! Definitions that are on their way into the log. One change of an object waits for the one before, so that what was checked
//! is what comes of it; and what all of them will take is counted as if it were there.
//!
//! Volatile, and the leader's. Called by `calls` (who waits), `administer` and `dynamic` (who defines).

use std::collections::BTreeMap;

use crate::mqi::Admin;
use crate::types::definition::{ObjectKind, ObjectRef};

/// Records of one profile are displayed together, and counted so.
type Named = (ObjectKind, String);

#[derive(Debug, Default)]
pub(super) struct Defining {
    /// By how much each grows.
    under_way: BTreeMap<Named, u64>,
    grows: u64,
}

fn named(object: &ObjectRef) -> Named {
    (object.kind, object.name.clone())
}

impl Defining {
    pub fn is_empty(&self) -> bool {
        debug_assert!(self.grows == 0 || !self.under_way.is_empty(), "what grows is under way");
        self.under_way.is_empty()
    }

    /// Whether this object, or another record of its profile, is being changed.
    pub fn has(&self, object: &ObjectRef) -> bool {
        !self.is_empty() && self.under_way.contains_key(&named(object))
    }

    /// Whether what is asked for depends on a change that is under way.
    pub fn holds_up(&self, admin: &Admin) -> bool {
        if self.is_empty() {
            return false;
        }
        match admin {
            Admin::Define { object, like, .. } => {
                let basis = if like.is_empty() { object.kind.facts().default_object } else { like };
                self.has(object) || self.under_way.contains_key(&(object.kind, basis.to_string()))
            }
            Admin::Alter { object, .. } => self.has(object),
            Admin::SetRecord { record, .. } => self.has(record),
            Admin::Delete { .. }
            | Admin::Clear { .. }
            | Admin::Display { .. }
            | Admin::Refresh(_)
            | Admin::Sessions { .. } => false,
        }
    }

    pub fn begin(&mut self, object: &ObjectRef, grows: u64) {
        let before = self.under_way.insert(named(object), grows);
        assert!(before.is_none(), "{object} is changed once at a time");
        self.grows += grows;
    }

    /// The change is applied, or refused by the log.
    pub fn end(&mut self, object: &ObjectRef) {
        let grows = self.under_way.remove(&named(object)).expect("what ends has begun");
        assert!(self.grows >= grows, "what is under way is counted");
        self.grows -= grows;
    }

    /// By how much all of them grow.
    pub fn grows(&self) -> u64 {
        debug_assert_eq!(self.grows, self.under_way.values().sum::<u64>(), "what is under way is counted");
        self.grows
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }
}
