//! Every service has its record, under its term, with an account of the outage before it, and the records of every node are a
//! chain.

use std::collections::{BTreeMap, BTreeSet};

use trimaran_node::replica::Replica;
use trimaran_node::types::{RoleView, Term, Version};
use trimaran_proto::chain::verify;

pub const NAME: &str = "every failover is on record";

#[derive(Clone, Debug, Default)]
pub struct Failovers {
    /// What each node's queue managers had at the end of its turn before.
    versions: BTreeMap<(u64, usize), Version>,
    /// Whose first entry says who leads.
    named: BTreeSet<(usize, Term)>,
    looked_at: BTreeSet<(usize, Term)>,
    pub services: u64,
}

impl Failovers {
    pub fn after_turn(
        &mut self,
        node: u64,
        queue_manager: usize,
        role: &RoleView,
        replica: &Replica,
    ) -> Option<String> {
        let state = replica.queue_manager();
        let before = self.versions.insert((node, queue_manager), state.version());
        let term = match role {
            RoleView::Elected { term, .. } | RoleView::Serving { term, .. } => *term,
            RoleView::NotServing { .. } | RoleView::Removed => return None,
        };
        let is_named = before.is_some_and(|version| version >= Version::RECORDS);
        let service = (queue_manager, term);
        if !self.looked_at.contains(&service) && !self.named.contains(&service) {
            match is_named {
                true => self.named.insert(service),
                false => self.looked_at.insert(service),
            };
        }
        // The entry that begins a record also has its account.
        if !role.is_serving() || !replica.is_between_entries() || !self.looked_at.insert(service) {
            return None;
        }
        self.services += 1;
        let records: Vec<_> = state.failovers(0).cloned().collect();
        if let Err(broken) = verify(&records) {
            return Some(format!("on node {node}, of queue manager {queue_manager}: {broken}"));
        }
        // The first one may begin in the middle of a service, with the version that has records.
        if let Some(untold) = records.iter().find(|record| record.number > 1 && record.account.is_none()) {
            let number = untold.number;
            return Some(format!(
                "record {number} of queue manager {queue_manager} does not say for how long nobody served"
            ));
        }
        let own = records.last().is_some_and(|last| (last.term, last.node) == (term.0, node));
        (!own).then(|| {
            format!("node {node} serves queue manager {queue_manager} in term {term}, and no record says so")
        })
    }
}
