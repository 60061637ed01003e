//! The listeners that are defined, said to whoever opens ports (`listener/ports.rs`): a mind has none itself.
//!
//! There may be many, so they are gathered over as many turns as that takes, and what is said is shared and not copied.

use std::sync::Arc;

use super::{Action, Replica};
use crate::types::RoleView;
use crate::types::definition::{Definition, ObjectKind};

/// Listeners that a turn gathers.
const A_TURN: usize = 500;

/// Those that were gathered so far, in the order of their names.
#[derive(Debug)]
pub(super) struct Gathering {
    found: Vec<Definition>,
    /// Each of them is as it was published.
    is_known: bool,
}

impl Replica {
    /// By the node that serves, which has applied all that was ever committed. Whatever changes while they are gathered is gathered
    /// again.
    pub(super) fn publish_listeners(&mut self) {
        let leading = self.standing.leading_mut().filter(|leading| leading.serving_since.is_some());
        let Some(leading) = leading else { return };
        let mut gathering = match leading.listeners.take() {
            Some(gathering) => gathering,
            None if std::mem::take(&mut leading.listeners_due) => {
                Gathering { found: Vec::new(), is_known: true }
            }
            None => return,
        };
        let before = gathering.found.len();
        let after = gathering.found.last().map(|listener| listener.object.name.clone()).unwrap_or_default();
        let behind = self.state.catalog().others_behind(ObjectKind::Listener, &after);
        gathering.found.extend(behind.take(A_TURN).cloned());
        let new = &gathering.found[before..];
        self.turn.spend(new.len() as u64);
        debug_assert!(
            new.is_sorted_by(|one, other| one.object.name < other.object.name),
            "a name is there once, and in its place"
        );
        debug_assert!(new.len() <= A_TURN, "a turn is short");
        gathering.is_known &= self.listeners_published.get(before..gathering.found.len()) == Some(new);
        if new.len() < A_TURN {
            if !gathering.is_known || self.listeners_published.len() != gathering.found.len() {
                self.say_listeners(gathering.found);
            }
            return;
        }
        // Who opens ports looks when the role is published, and what an earlier service said must not be what it sees.
        if !gathering.is_known && !self.published.as_ref().is_some_and(RoleView::is_serving) {
            self.say_listeners(gathering.found.clone());
        }
        self.standing.own_mut().listeners = Some(gathering);
        self.is_not_done = true;
    }

    fn say_listeners(&mut self, listeners: Vec<Definition>) {
        debug_assert!(self.is_serving(), "who serves has all that was committed");
        debug_assert!(
            listeners.iter().all(|of| of.kind() == ObjectKind::Listener),
            "what has a port is a listener"
        );
        debug_assert!(
            listeners.is_sorted_by(|one, other| one.object.name < other.object.name),
            "those of one turn are behind those of the turn before"
        );
        self.listeners_published = Arc::new(listeners);
        self.out.push(Action::PublishListeners(self.listeners_published.clone()));
    }
}
