//! The message store's rows are exactly the state at their index: a queue manager loaded from them is the one that
//! applied the log to there.

use std::collections::BTreeMap;

use trimaran_node::qmgr::QueueManager;
use trimaran_node::types::{Index, Speaks};

use super::equal_states::EqualStates;
use crate::sim::node::{Node, queue_manager_id, queue_manager_name};

#[derive(Clone, Debug, Default)]
pub struct Replay {
    checked: BTreeMap<(u64, usize), Index>,
    pub loads: u64,
}

impl Replay {
    pub fn check(
        &mut self,
        queue_manager: usize,
        states: &EqualStates,
        apart: Option<u64>,
        nodes: &mut BTreeMap<u64, Node>,
    ) -> Option<String> {
        let id = queue_manager_id(queue_manager);
        for node in nodes.values_mut().filter(|node| Some(node.id) != apart) {
            let flushed = node.disk.rows_index(id);
            if self.checked.insert((node.id, queue_manager), flushed) == Some(flushed) {
                continue;
            }
            let Some(expected) = states.at(queue_manager, flushed) else { continue };
            let rows = node.disk.rows(id);
            let loaded =
                match QueueManager::load(id, queue_manager_name(queue_manager), &rows, Speaks::RELEASE) {
                    Ok(loaded) => loaded,
                    Err(error) => return Some(format!("node {} cannot load its own rows: {error}", node.id)),
                };
            self.loads += 1;
            let digest = loaded.digest();
            if digest != expected {
                return Some(format!(
                    "the rows of queue manager {queue_manager} on node {} at index {flushed} load to state {digest:016x}, the log's is {expected:016x}",
                    node.id
                ));
            }
        }
        None
    }
}
