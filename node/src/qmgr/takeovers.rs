//! Who served last, and how often that was another one than before: for whoever asks how quiet a cluster was.

use crate::types::NodeId;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Takeovers {
    /// None until a leader said who it is.
    pub served_by: Option<NodeId>,
    pub count: u64,
}

impl Takeovers {
    /// A leader of a new term begins to serve. Older ones do not say who they are.
    pub fn note(&mut self, node: Option<NodeId>) {
        if let Some(node) = node {
            self.count += u64::from(self.served_by.is_some_and(|before| before != node));
            self.served_by = Some(node);
        }
    }
}
