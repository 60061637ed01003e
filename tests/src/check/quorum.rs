//! What a leader calls committed is on stable storage of a majority of voters at that moment.

use std::collections::{BTreeMap, BTreeSet};

use trimaran_node::types::{Index, Membership, NodeId};

use crate::sim::disk::DurableAt;
use crate::sim::node::{Node, queue_manager_id};

/// None when it is so, or when the membership is not known well enough to say.
pub fn check(
    leader: u64,
    queue_manager: usize,
    commit: Index,
    membership: &Membership,
    damaged: &[u64],
    nodes: &BTreeMap<u64, Node>,
) -> Option<String> {
    for voters in [&membership.voters, &membership.voters_outgoing] {
        if voters.is_empty() {
            continue;
        }
        let have = durable_on(queue_manager, commit, voters, damaged, nodes);
        let needed = voters.len() / 2 + 1;
        if have.len() < needed {
            return Some(format!(
                "node {leader} committed index {commit} of queue manager {queue_manager}, which is on stable storage of nodes {have:?} only; {needed} of {voters:?} are needed"
            ));
        }
    }
    None
}

/// Nodes that have one and the same entry at the index, or a flushed state behind it: the largest such group.
fn durable_on(
    queue_manager: usize,
    index: Index,
    voters: &BTreeSet<NodeId>,
    damaged: &[u64],
    nodes: &BTreeMap<u64, Node>,
) -> Vec<u64> {
    let mut by_term: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut cut = Vec::new();
    for voter in voters {
        let Some(node) = nodes.get(&voter.0) else { continue };
        match node.disk.durable_term_at(queue_manager_id(queue_manager), index) {
            DurableAt::Term(term) => by_term.entry(term.0).or_default().push(voter.0),
            DurableAt::Cut => cut.push(voter.0),
            DurableAt::Missing if damaged.contains(&voter.0) => cut.push(voter.0),
            DurableAt::Missing => {}
        }
    }
    let mut most = by_term.into_values().max_by_key(Vec::len).unwrap_or_default();
    most.extend(cut);
    most.sort_unstable();
    most
}
