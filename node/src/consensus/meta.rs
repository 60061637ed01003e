//! What a snapshot is of, as it travels between nodes and as the message store keeps it.

use std::collections::BTreeSet;

use trimaran_proto::replica::v1 as wire;

use crate::types::{Index, Membership, NodeId, NodeInfo, QueueManagerId, SnapshotMeta, Term, TermStarts};

pub fn meta_to_wire(meta: &SnapshotMeta) -> wire::SnapshotMeta {
    let said = wire::SnapshotMeta {
        queue_manager: meta.queue_manager.0,
        index: meta.index.0,
        term: meta.term.0,
        membership: Some(membership_to_wire(&meta.membership)),
        terms: terms_to_wire(&meta.terms),
        installed: meta.installed,
    };
    debug_assert_eq!(
        meta_from_wire(said.clone()).as_ref(),
        Some(meta),
        "what a snapshot is of is read as it was written"
    );
    said
}

pub fn membership_to_wire(membership: &Membership) -> wire::Membership {
    let ids = |nodes: &BTreeSet<NodeId>| nodes.iter().map(|node| node.0).collect();
    let node = |(id, info): (&NodeId, &NodeInfo)| wire::NodeInfo {
        id: id.0,
        name: info.name.clone(),
        peer_address: info.peer_address.clone(),
        client_address: info.client_address.clone(),
    };
    wire::Membership {
        voters: ids(&membership.voters),
        voters_outgoing: ids(&membership.voters_outgoing),
        learners: ids(&membership.learners),
        learners_next: ids(&membership.learners_next),
        auto_leave: membership.auto_leave,
        nodes: membership.nodes.iter().map(node).collect(),
        removed: ids(&membership.removed),
    }
}

pub fn membership_from_wire(membership: wire::Membership) -> Membership {
    let ids = |nodes: Vec<u64>| nodes.into_iter().map(NodeId).collect();
    let node = |node: wire::NodeInfo| {
        let info = NodeInfo {
            name: node.name,
            peer_address: node.peer_address,
            client_address: node.client_address,
        };
        (NodeId(node.id), info)
    };
    Membership {
        voters: ids(membership.voters),
        voters_outgoing: ids(membership.voters_outgoing),
        learners: ids(membership.learners),
        learners_next: ids(membership.learners_next),
        auto_leave: membership.auto_leave,
        nodes: membership.nodes.into_iter().map(node).collect(),
        removed: ids(membership.removed),
    }
}

pub fn terms_to_wire(terms: &TermStarts) -> Vec<wire::TermBegins> {
    terms.runs().iter().map(|(term, index)| wire::TermBegins { term: term.0, index: index.0 }).collect()
}

/// None where they are in no order that terms can have.
pub fn terms_from_wire(terms: Vec<wire::TermBegins>) -> Option<TermStarts> {
    TermStarts::from_runs(terms.into_iter().map(|begins| (Term(begins.term), Index(begins.index))).collect())
}

/// None when it does not say who has part in the group, or is not in order.
pub fn meta_from_wire(meta: wire::SnapshotMeta) -> Option<SnapshotMeta> {
    Some(SnapshotMeta {
        queue_manager: QueueManagerId(meta.queue_manager),
        index: Index(meta.index),
        term: Term(meta.term),
        membership: membership_from_wire(meta.membership?),
        terms: terms_from_wire(meta.terms)?,
        installed: meta.installed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_of_a_snapshot_survives_the_wire() {
        let info = NodeInfo { name: "a".into(), peer_address: "h:1".into(), client_address: "h:2".into() };
        let membership = Membership {
            voters: [NodeId(1), NodeId(2)].into(),
            learners: [NodeId(3)].into(),
            nodes: [(NodeId(1), info)].into(),
            removed: [NodeId(9)].into(),
            ..Membership::default()
        };
        let terms = TermStarts::from_runs(vec![(Term(1), Index(1)), (Term(2), Index(5))]).unwrap();
        let meta = SnapshotMeta {
            queue_manager: QueueManagerId(4),
            index: Index(7),
            term: Term(2),
            membership,
            terms,
            installed: true,
        };
        assert_eq!(meta_from_wire(meta_to_wire(&meta)), Some(meta));
    }
}
