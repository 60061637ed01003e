//! The listeners that are defined, said to whoever opens ports (`listener/ports.rs`): a mind has none itself.

use super::{Action, Replica};
use crate::types::definition::ObjectKind;

impl Replica {
    /// By the node that serves, which has applied all that was ever committed.
    pub(super) fn publish_listeners(&mut self) {
        let is_due = self.standing.leading_mut().is_some_and(|leading| {
            leading.serving_since.is_some() && std::mem::take(&mut leading.listeners_due)
        });
        if !is_due {
            return;
        }
        let listeners: Vec<_> = self.state.catalog().of_kind(ObjectKind::Listener).cloned().collect();
        debug_assert!(
            listeners.is_sorted_by(|one, other| one.object.name < other.object.name),
            "a name is there once, and in its place"
        );
        if self.listeners_published != listeners {
            self.listeners_published.clone_from(&listeners);
            self.out.push(Action::PublishListeners(listeners));
        }
    }
}
