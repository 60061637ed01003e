//! Keys begin with the queue manager's id, big-endian, so that a queue manager is one range of each family.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use trimaran_proto::replica::v1 as wire;

use crate::types::{Index, Membership, NodeId, NodeInfo, QueueManagerId, SnapshotMeta, Term};

/// Row of the state family that says what the rows are the state of.
pub(super) fn meta_key(queue_manager: QueueManagerId) -> [u8; 8] {
    let mut key = *b"....meta";
    key[..4].copy_from_slice(&queue_manager.0.to_be_bytes());
    key
}

/// Half open range of a queue manager's keys.
pub(super) fn range_of(queue_manager: QueueManagerId) -> ([u8; 4], Vec<u8>) {
    let until = match queue_manager.0.checked_add(1) {
        Some(next) => next.to_be_bytes().to_vec(),
        // No key of ours goes on with this many.
        None => vec![0xff; 64],
    };
    (queue_manager.0.to_be_bytes(), until)
}

pub(super) fn encode_meta(meta: &SnapshotMeta) -> Vec<u8> {
    let ids = |nodes: &BTreeSet<NodeId>| nodes.iter().map(|node| node.0).collect();
    let membership = &meta.membership;
    let node = |(id, info): (&NodeId, &NodeInfo)| wire::NodeInfo {
        id: id.0,
        name: info.name.clone(),
        peer_address: info.peer_address.clone(),
        client_address: info.client_address.clone(),
    };
    let meta = wire::SnapshotMeta {
        queue_manager: meta.queue_manager.0,
        index: meta.index.0,
        term: meta.term.0,
        membership: Some(wire::Membership {
            voters: ids(&membership.voters),
            voters_outgoing: ids(&membership.voters_outgoing),
            learners: ids(&membership.learners),
            learners_next: ids(&membership.learners_next),
            auto_leave: membership.auto_leave,
            nodes: membership.nodes.iter().map(node).collect(),
            removed: ids(&membership.removed),
        }),
    };
    meta.encode_to_vec()
}

pub(super) fn decode_meta(bytes: &[u8]) -> Result<SnapshotMeta, prost::DecodeError> {
    let meta = wire::SnapshotMeta::decode(bytes)?;
    let ids = |nodes: Vec<u64>| -> BTreeSet<NodeId> { nodes.into_iter().map(NodeId).collect() };
    let membership = meta.membership.unwrap_or_default();
    let node = |node: wire::NodeInfo| {
        let info = NodeInfo {
            name: node.name,
            peer_address: node.peer_address,
            client_address: node.client_address,
        };
        (NodeId(node.id), info)
    };
    Ok(SnapshotMeta {
        queue_manager: QueueManagerId(meta.queue_manager),
        index: Index(meta.index),
        term: Term(meta.term),
        membership: Membership {
            voters: ids(membership.voters),
            voters_outgoing: ids(membership.voters_outgoing),
            learners: ids(membership.learners),
            learners_next: ids(membership.learners_next),
            auto_leave: membership.auto_leave,
            nodes: membership.nodes.into_iter().map(node).collect::<BTreeMap<_, _>>(),
            removed: ids(membership.removed),
        },
    })
}
