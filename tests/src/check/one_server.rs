//! At most one node serves a queue manager at any moment of true time, and only a serving node has the address.

use std::collections::BTreeMap;

use trimaran_node::types::{Instant, RoleView};

use crate::sim::address::may_serve;
use crate::sim::node::Node;

/// Called whenever a role is published: only then can an overlap begin.
pub fn on_role(queue_manager: usize, now: u64, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    let serving: Vec<(u64, String)> = nodes
        .values()
        .filter_map(|node| {
            let local = Instant(node.clock.local(now));
            let role = &node.process.as_ref()?.minds[queue_manager].role;
            may_serve(role, local).then(|| {
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

/// The address: never do two nodes answer for it, and none does after the end of the lease that it was held under.
pub fn address(now: u64, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    let queue_managers = nodes.values().map(|node| node.agents.len()).max()?;
    for queue_manager in 0..queue_managers {
        let mut holder = None;
        for node in nodes.values() {
            let Some(agent) = node.agents.get(queue_manager) else { continue };
            let local = Instant(node.clock.local(now));
            if !agent.answers(local) {
                continue;
            }
            if let Some(other) = holder.replace(node.id) {
                return Some(format!(
                    "the address of queue manager {queue_manager} is on node {other} and on node {}",
                    node.id
                ));
            }
            if local >= agent.deadline() {
                return Some(format!(
                    "the address of queue manager {queue_manager} is on node {}, whose lease was over {} us ago",
                    node.id,
                    local.since(agent.deadline()).as_micros()
                ));
            }
        }
    }
    None
}

/// How long a node may serve while its agent does nothing: until the address is gone, that is noticed, and the node has ended.
const UNREACHED_US: u64 = 2_500_000;

/// A node whose agent hangs does not serve on: nobody would reach it.
pub fn unreached(now: u64, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    nodes.values().filter(|node| now < node.agents_paused_until).find_map(|node| {
        let local = Instant(node.clock.local(now));
        let mut minds = node.process.as_ref()?.minds.iter().enumerate();
        minds.find_map(|(queue_manager, mind)| {
            let since = node.agents_paused_from.max(node.paused_until).max(mind.leased_from);
            (mind.role.is_serving() && may_serve(&mind.role, local) && now > since + UNREACHED_US).then(
                || {
                    format!(
                        "node {} serves queue manager {queue_manager} {} us after its agent stopped",
                        node.id,
                        now - node.agents_paused_from
                    )
                },
            )
        })
    })
}

/// How long after the last fault, and after it began to serve, a node may be without the address.
const PATIENCE_US: u64 = 3_000_000;

/// Who serves in peace has the address.
pub fn address_missing(now: u64, healed_at: Option<u64>, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    if healed_at.is_none_or(|healed| now < healed + PATIENCE_US) {
        return None;
    }
    nodes.values().find_map(|node| {
        let local = Instant(node.clock.local(now));
        let minds = node.process.as_ref()?.minds.iter().enumerate();
        minds.zip(&node.agents).find_map(|((queue_manager, mind), agent)| {
            // A hand-over that came to nothing gave the address back and takes it again.
            let long = mind.role.is_serving() && now > mind.served_from + PATIENCE_US;
            (long && may_serve(&mind.role, local) && !agent.answers(local))
                .then(|| format!("node {} serves queue manager {queue_manager} without its address", node.id))
        })
    })
}
