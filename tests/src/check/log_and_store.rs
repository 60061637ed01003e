//! The message store is always behind the log or equal to it, and the log is never cut above what the store has on
//! disk: between them every applied entry is kept.

use std::collections::BTreeMap;

use trimaran_node::types::{Index, QueueManagerId};

use crate::sim::node::{Node, queue_manager_id};

pub const NAME: &str = "log and store";

pub fn cut(node: u64, queue_manager: QueueManagerId, upto: Index, flushed: Index) -> Option<String> {
    (upto > flushed).then(|| {
        format!(
            "node {node} cuts the log of {queue_manager} at {upto}, its store is flushed to {flushed} only"
        )
    })
}

/// Of nodes that run. A snapshot that was installed stands for the log in front of it.
pub fn check(nodes: &BTreeMap<u64, Node>) -> Option<String> {
    nodes.values().find_map(|node| {
        let minds = node.process.as_ref()?.minds.iter().enumerate();
        minds.filter(|(_, mind)| !mind.removed).find_map(|(number, mind)| {
            let id = queue_manager_id(number);
            let (flushed, last) = (node.disk.flushed_index(id), node.disk.durable_last(id).0);
            (flushed > last.max(mind.installed)).then(|| {
                format!("the store of node {} has {id} at {flushed} on disk, its log ends at {last}", node.id)
            })
        })
    })
}
