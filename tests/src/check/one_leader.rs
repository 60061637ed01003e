//! One leader per term: Raft's election safety, from the roles that nodes publish.

use std::collections::BTreeMap;

use trimaran_node::types::{RoleView, Term};

#[derive(Clone, Debug, Default)]
pub struct OneLeader {
    leaders: BTreeMap<(usize, Term), u64>,
}

impl OneLeader {
    pub fn on_role(&mut self, node: u64, queue_manager: usize, role: &RoleView) -> Option<String> {
        let term = match role {
            RoleView::Elected { term, .. } | RoleView::Serving { term, .. } => *term,
            RoleView::NotServing { .. } | RoleView::Removed => return None,
        };
        let first = *self.leaders.entry((queue_manager, term)).or_insert(node);
        (first != node).then(|| {
            format!("nodes {first} and {node} both lead queue manager {queue_manager} in term {term}")
        })
    }

    pub fn terms_led(&self) -> usize {
        self.leaders.len()
    }
}
