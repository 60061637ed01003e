//! At most one node serves a queue manager at any moment of true time, and only a serving node has the address.

use std::collections::BTreeMap;

use trimaran_node::types::{Instant, RoleView};

use crate::sim::address::may_hold;
use crate::sim::node::Node;

/// Called whenever a role is published: only then can an overlap begin.
pub fn on_role(queue_manager: usize, now: u64, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    let serving: Vec<(u64, String)> = nodes
        .values()
        .filter_map(|node| {
            let local = Instant(node.clock.local(now));
            let role = &node.process.as_ref()?.minds[queue_manager].role;
            may_hold(role, local).then(|| {
                let left = match role {
                    RoleView::Serving { lease_until, .. } => lease_until.since(local).as_micros(),
                    _ => 0,
                };
                (node.id, format!("node {} with {left} us of its lease left ({role:?})", node.id))
            })
        })
        .collect();
    (serving.len() > 1).then(|| {
        let who: Vec<String> = serving.into_iter().map(|(_, text)| text).collect();
        format!(
            "queue manager {queue_manager} is served by {} nodes at once: {}",
            who.len(),
            who.join(" and ")
        )
    })
}

/// The address: never on two nodes, never where nobody serves.
pub fn address(now: u64, keeps: bool, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    let queue_managers =
        nodes.values().filter_map(|node| node.process.as_ref()).map(|p| p.minds.len()).max()?;
    for queue_manager in 0..queue_managers {
        let mut holder = None;
        for node in nodes.values() {
            let Some(process) = &node.process else { continue };
            let mind = &process.minds[queue_manager];
            let local = Instant(node.clock.local(now));
            if !mind.address.is_held(local, keeps) {
                continue;
            }
            if let Some(other) = holder.replace(node.id) {
                return Some(format!(
                    "the address of queue manager {queue_manager} is on node {other} and on node {}",
                    node.id
                ));
            }
            if !may_hold(&mind.role, local) {
                return Some(format!(
                    "the address of queue manager {queue_manager} is on node {}, which does not serve ({:?})",
                    node.id, mind.role
                ));
            }
        }
    }
    None
}
