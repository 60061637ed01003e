//! Replicas that applied the same index are in the same state: the state machine is a function of the log.

use std::collections::BTreeMap;

use trimaran_node::types::Index;

#[derive(Clone, Debug, Default)]
pub struct EqualStates {
    digests: BTreeMap<(usize, Index), (u64, u64)>,
    pub compared: u64,
}

impl EqualStates {
    pub fn note(&mut self, node: u64, queue_manager: usize, applied: Index, digest: u64) -> Option<String> {
        match self.digests.get(&(queue_manager, applied)) {
            None => {
                self.digests.insert((queue_manager, applied), (digest, node));
                None
            }
            Some((first, by)) => {
                self.compared += 1;
                (*first != digest).then(|| {
                    format!(
                        "nodes {by} and {node} applied index {applied} of queue manager {queue_manager} and differ: {first:016x} and {digest:016x}"
                    )
                })
            }
        }
    }

    pub fn forget_behind(&mut self, queue_manager: usize, kept: Index) {
        self.digests.retain(|(of, index), _| *of != queue_manager || *index <= kept);
    }

    pub fn at(&self, queue_manager: usize, index: Index) -> Option<u64> {
        self.digests.get(&(queue_manager, index)).map(|(digest, _)| *digest)
    }
}
