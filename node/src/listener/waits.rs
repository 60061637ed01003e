//! Why nobody serves a queue manager, as one node sees it: for the log, for status, and for clients that it refuses.

use crate::types::{Membership, NodeId, Role, WaitsFor};

/// Whom or what node `own` waits for. None when it waits for nothing, or only for an election.
pub fn sentence(own: NodeId, waits_for: &WaitsFor, membership: &Membership) -> Option<String> {
    // Those that have the queue manager do not know a node that was not added yet, and do not hear it.
    if !waits_for.nodes.is_empty() && !membership.nodes.contains_key(&own) {
        return Some(
            "Waits for `trimaran node add`: the nodes that have the queue manager do not count this one among them, not \
             yet or not any more."
                .to_owned(),
        );
    }
    waits_for.sentence(membership)
}

/// As [`sentence`], and what is to be done where nobody leads and this node, `name`, may not vote for anybody.
pub fn sentence_with_recovery(
    (own, name): (NodeId, &str),
    role: Role,
    waits_for: &WaitsFor,
    membership: &Membership,
) -> Option<String> {
    let recovers = || {
        format!(
            "Node {name} does not vote until another one has given it what its log lacks. If nobody serves for longer than a \
             few seconds, too many logs are damaged: `trimaran recover` says what each node has and what can be done."
        )
    };
    sentence(own, waits_for, membership).or_else(|| (role == Role::Recovering).then(recovers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeInfo;

    fn membership() -> Membership {
        let nodes = [(NodeId(1), NodeInfo { name: "a".into(), ..NodeInfo::default() })].into();
        Membership { voters: [NodeId(1)].into(), nodes, ..Membership::default() }
    }

    #[test]
    fn a_node_that_was_not_added_waits_for_that_and_not_for_nodes_that_run() {
        let waits_for = WaitsFor { nodes: [NodeId(1)].into(), to_begin: true };
        let joins = sentence(NodeId(4), &waits_for, &membership()).unwrap();
        assert!(joins.starts_with("Waits for `trimaran node add`:"), "{joins}");
        let begins = sentence(NodeId(1), &waits_for, &membership()).unwrap();
        assert!(begins.starts_with("Waits for node a at"), "{begins}");
        assert_eq!(sentence(NodeId(4), &WaitsFor::default(), &membership()), None);
    }

    #[test]
    fn where_too_many_logs_are_damaged_the_way_out_is_named() {
        let said = |role| sentence_with_recovery((NodeId(1), "a"), role, &WaitsFor::default(), &membership());
        assert!(said(Role::Recovering).unwrap().contains("`trimaran recover` says"));
        assert_eq!(said(Role::NoLeader), None, "an election takes no time");
    }
}
