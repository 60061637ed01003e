//! Changes of membership: how they stand in the log, and what they make of the membership.
//!
//! The data of a membership entry is raft-rs's `ConfChangeV2` (raft-rs reads it when it is proposed), with our
//! `MembershipChange` as its context. It is encoded and decoded here with prost. Empty data is the second half of
//! a joint change: the old configuration is left.

use bytes::Bytes;
use prost::Message as _;
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};
use trimaran_proto::replica::v1::MembershipChange;

use crate::types::{Membership, NodeId, NodeInfo};

/// Longer data is not a change of membership.
const BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, PartialEq, prost::Message)]
struct Change {
    #[prost(int32, tag = "1")]
    transition: i32,
    #[prost(message, repeated, tag = "2")]
    singles: Vec<Single>,
    #[prost(bytes = "bytes", tag = "3")]
    context: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Single {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint64, tag = "2")]
    node: u64,
}

const IMPLICIT: i32 = 1;
const ADD_VOTER: i32 = 0;
const REMOVE: i32 = 1;
const ADD_LEARNER: i32 = 2;

/// The data of the entry that begins this change. Always by joint consensus, left by the leader on its own.
pub(super) fn encode(change: &MembershipChange) -> Bytes {
    let singles = |nodes: &[u64], kind| nodes.iter().map(move |node| Single { kind, node: *node }).collect();
    let all: [Vec<Single>; 3] = [
        singles(&change.add_voters, ADD_VOTER),
        singles(&change.add_learners, ADD_LEARNER),
        singles(&change.remove, REMOVE),
    ];
    let context = change.encode_to_vec().into();
    let data = Change { transition: IMPLICIT, singles: all.concat(), context }.encode_to_vec().into();
    debug_assert!(
        decode(&data).is_some_and(|(_, ours)| ours == *change),
        "a change is read as it was written"
    );
    data
}

/// None for what `encode` cannot have made.
pub(super) fn decode(data: &Bytes) -> Option<(ConfChangeV2, MembershipChange)> {
    if data.len() > BYTES_MAX {
        return None;
    }
    let change = Change::decode(data.clone()).ok()?;
    let ours = MembershipChange::decode(change.context).ok()?;
    let mut theirs = ConfChangeV2::default();
    match change.transition {
        IMPLICIT => theirs.set_transition(ConfChangeTransition::Implicit),
        0 if change.singles.is_empty() => (),
        _ => return None,
    }
    for single in change.singles {
        let mut one = ConfChangeSingle { node_id: single.node, ..Default::default() };
        one.set_change_type(match single.kind {
            ADD_VOTER => ConfChangeType::AddNode,
            REMOVE => ConfChangeType::RemoveNode,
            ADD_LEARNER => ConfChangeType::AddLearnerNode,
            _ => return None,
        });
        theirs.mut_changes().push(one);
    }
    Some((theirs, ours))
}

/// Why this change makes no sense, beyond what raft-rs checks.
pub(super) fn refuse(membership: &Membership, change: &MembershipChange) -> Option<&'static str> {
    let added = || change.add_voters.iter().chain(&change.add_learners);
    let all: Vec<u64> = added().chain(&change.remove).copied().collect();
    let member = |node: &u64| is_member(membership, NodeId(*node));
    if all.is_empty() {
        return Some("the change names no node");
    }
    if all.contains(&0) {
        return Some("node ids begin at 1");
    }
    if all.iter().enumerate().any(|(place, node)| all[..place].contains(node)) {
        return Some("the change names a node twice");
    }
    if added().any(|node| membership.removed.contains(&NodeId(*node))) {
        return Some("a removed node's id never comes back: give the node a new id");
    }
    if !change.remove.iter().all(member) {
        return Some("the node to be removed is not a member");
    }
    let known = |node: &u64| member(node) || change.nodes.iter().any(|info| info.id == *node);
    if !added().all(known) {
        return Some("the change does not say where the new node is");
    }
    None
}

pub(super) fn is_member(membership: &Membership, node: NodeId) -> bool {
    membership.voters.contains(&node)
        || membership.voters_outgoing.contains(&node)
        || membership.learners.contains(&node)
        || membership.learners_next.contains(&node)
}

/// The membership after raft-rs made `state` of it.
pub(super) fn after(old: &Membership, state: &ConfState, change: &MembershipChange) -> Membership {
    let set = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
    let mut new = Membership {
        voters: set(&state.voters),
        voters_outgoing: set(&state.voters_outgoing),
        learners: set(&state.learners),
        learners_next: set(&state.learners_next),
        auto_leave: state.auto_leave,
        nodes: old.nodes.clone(),
        removed: old.removed.clone(),
    };
    for info in &change.nodes {
        let place = NodeInfo {
            name: info.name.clone(),
            peer_address: info.peer_address.clone(),
            client_address: info.client_address.clone(),
        };
        new.nodes.insert(NodeId(info.id), place);
    }
    let mut nodes = std::mem::take(&mut new.nodes);
    nodes.retain(|node, _| is_member(&new, *node));
    new.nodes = nodes;
    let were = old.voters.iter().chain(&old.voters_outgoing).chain(&old.learners).chain(&old.learners_next);
    let gone: Vec<NodeId> = were.copied().filter(|node| !is_member(&new, *node)).collect();
    // A node with empty disks whose cluster file does not have the old node any more never knew it as a member.
    let unknown = change.remove.iter().map(|node| NodeId(*node)).filter(|node| !is_member(&new, *node));
    let unknown: Vec<NodeId> = unknown.collect();
    new.removed.extend(gone.into_iter().chain(unknown));
    debug_assert!(new.voters.is_disjoint(&new.learners), "a node votes or learns");
    debug_assert!(new.removed.is_superset(&old.removed), "a removed node's id never comes back");
    debug_assert!(new.nodes.keys().all(|node| is_member(&new, *node)), "addresses are those of members");
    new
}

/// Whether these are its voters and learners.
pub(super) fn is_of(membership: &Membership, state: &ConfState) -> bool {
    let same = |ids: &[u64], set: &std::collections::BTreeSet<NodeId>| {
        ids.len() == set.len() && ids.iter().all(|id| set.contains(&NodeId(*id)))
    };
    same(&state.voters, &membership.voters)
        && same(&state.voters_outgoing, &membership.voters_outgoing)
        && same(&state.learners, &membership.learners)
        && same(&state.learners_next, &membership.learners_next)
}

pub(super) fn conf_state(membership: &Membership) -> ConfState {
    debug_assert!(!membership.voters.contains(&NodeId(0)), "node ids begin at 1");
    let ids = |set: &std::collections::BTreeSet<NodeId>| set.iter().map(|node| node.0).collect();
    ConfState {
        voters: ids(&membership.voters),
        voters_outgoing: ids(&membership.voters_outgoing),
        learners: ids(&membership.learners),
        learners_next: ids(&membership.learners_next),
        auto_leave: membership.auto_leave,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use protobuf::Message as _;
    use trimaran_proto::replica::v1::NodeInfo as WireNode;

    use super::*;

    fn set<const N: usize>(ids: [u64; N]) -> std::collections::BTreeSet<NodeId> {
        ids.map(NodeId).into()
    }

    fn change(voters: &[u64], learners: &[u64], remove: &[u64]) -> MembershipChange {
        let place = |id: &u64| WireNode { id: *id, name: format!("n{id}"), ..WireNode::default() };
        MembershipChange {
            add_voters: voters.into(),
            add_learners: learners.into(),
            remove: remove.into(),
            nodes: voters.iter().chain(learners).map(place).collect(),
            by: None,
            told: Vec::new(),
            at_ms: 0,
        }
    }

    #[test]
    fn raft_rs_reads_what_we_write() {
        let change = change(&[4], &[5], &[1, 2]);
        let data = encode(&change);
        let mut theirs = ConfChangeV2::default();
        theirs.merge_from_bytes(&data).unwrap();
        let (decoded, ours) = decode(&data).unwrap();
        assert_eq!(ours, change);
        assert_eq!(decoded.get_changes(), theirs.get_changes());
        assert_eq!(theirs.get_transition(), ConfChangeTransition::Implicit);
        assert_eq!(theirs.enter_joint(), Some(true));
        assert!(decode(&Bytes::new()).unwrap().0.leave_joint());
    }

    #[test]
    fn nonsense_is_no_change() {
        assert!(decode(&Bytes::from_static(b"\xff\xff\xff")).is_none());
        assert!(decode(&Bytes::from(vec![0; BYTES_MAX + 1])).is_none());
        let explicit = Change { transition: 2, singles: vec![], context: Bytes::new() };
        assert!(decode(&explicit.encode_to_vec().into()).is_none());
        let simple = Change { transition: 0, singles: vec![Single { kind: 0, node: 4 }], ..explicit };
        assert!(decode(&simple.encode_to_vec().into()).is_none());
    }

    #[test]
    fn who_was_removed_is_so_also_for_a_node_that_never_knew_it() {
        let begun = |voters: &[u64]| Membership {
            voters: voters.iter().map(|node| NodeId(*node)).collect(),
            ..Membership::default()
        };
        let removed = |old: &Membership| {
            let joint =
                ConfState { voters: vec![1, 2, 4], voters_outgoing: vec![1, 2, 3], ..Default::default() };
            let joint = match old.voters.contains(&NodeId(3)) {
                true => joint,
                false => ConfState { voters_outgoing: vec![1, 2, 4], ..joint },
            };
            let entered = after(old, &joint, &change(&[4], &[], &[3]));
            let left = ConfState { voters: vec![1, 2, 4], ..Default::default() };
            after(&entered, &left, &MembershipChange::default())
        };
        let (knew, never_knew) = (removed(&begun(&[1, 2, 3])), removed(&begun(&[1, 2, 4])));
        assert_eq!((knew.voters, knew.removed), (set([1, 2, 4]), set([3])));
        assert_eq!((never_knew.voters, never_knew.removed), (set([1, 2, 4]), set([3])));
    }

    #[test]
    fn who_disappears_is_removed_for_good() {
        let place = |id| (NodeId(id), NodeInfo::default());
        let old = Membership {
            voters: set([2, 3, 4]),
            voters_outgoing: set([1, 2, 3]),
            nodes: [place(1), place(2), place(3), place(4)].into(),
            ..Membership::default()
        };
        let state = ConfState { voters: vec![2, 3, 4], ..Default::default() };
        let new = after(&old, &state, &MembershipChange::default());
        assert_eq!(new.removed, set([1]));
        assert_eq!(new.nodes.keys().copied().collect::<std::collections::BTreeSet<_>>(), set([2, 3, 4]));
        assert!(refuse(&new, &change(&[1], &[], &[])).unwrap().contains("never comes back"));
        assert!(refuse(&new, &change(&[5], &[], &[1])).unwrap().contains("not a member"));
        assert!(refuse(&new, &change(&[5], &[5], &[])).unwrap().contains("twice"));
        assert!(refuse(&new, &change(&[0], &[], &[])).is_some());
        assert!(refuse(&new, &change(&[], &[], &[])).is_some());
        let nowhere = MembershipChange { nodes: vec![], ..change(&[5], &[], &[]) };
        assert!(refuse(&new, &nowhere).unwrap().contains("where"));
        assert_eq!(refuse(&new, &change(&[5], &[], &[2])), None);
    }
}
