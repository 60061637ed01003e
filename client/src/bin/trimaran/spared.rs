//! Whether a node can be stopped, and with it all the others that are in maintenance.

use trimaran_client::{InstanceStatus, QueueManagerStatus};

/// Why the queue manager could not be served without the node, and without all that are in maintenance.
pub fn why_it_is_needed(manager: &QueueManagerStatus, node: &str) -> Option<String> {
    let voters: Vec<&InstanceStatus> = manager.instances.iter().filter(|one| one.voter).collect();
    let needed = voters.len() / 2 + 1;
    let votes = voters.iter().any(|one| one.node == node);
    let (left, lacking): (Vec<&InstanceStatus>, Vec<&InstanceStatus>) =
        voters.into_iter().filter(|one| one.node != node).partition(|one| one.in_sync && !one.in_maintenance);
    (votes && left.len() < needed).then(|| {
        let lacking: Vec<String> = lacking.into_iter().map(why_it_is_not_left).collect();
        format!(
            "{} needs {needed} nodes, and of the others {} would be left{}",
            manager.name,
            left.len(),
            lacking.concat()
        )
    })
}

fn why_it_is_not_left(other: &InstanceStatus) -> String {
    match (other.in_maintenance, other.in_sync) {
        (true, true) => format!("; {} is in maintenance, too", other.node),
        (true, false) => format!("; {} is in maintenance, too ({})", other.node, other.reason),
        (false, _) => format!("; {} is not in sync ({})", other.node, other.reason),
    }
}

/// What an operator is told of a node in maintenance, behind its name.
pub fn how_it_is(manager: &QueueManagerStatus, node: &str) -> String {
    let serves = manager.role == "active" && manager.active_node == node;
    let is_there = manager.instances.iter().any(|one| one.node == node && one.in_sync);
    match why_it_is_needed(manager, node).filter(|_| is_there && manager.role == "active") {
        Some(why) if serves => format!("serves all the same, and cannot be stopped without an outage: {why}"),
        Some(why) => format!("cannot be stopped without an outage: {why}"),
        None if serves => "serves all the same: no other node can take over".into(),
        None => "leads only where no other node could".into(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Served by a, with these nodes: whether each is in sync, and in maintenance.
    pub fn manager(instances: &[(&str, bool, bool)]) -> QueueManagerStatus {
        let instance = |(node, in_sync, in_maintenance): &(&str, bool, bool)| InstanceStatus {
            node: (*node).into(),
            voter: true,
            in_sync: *in_sync,
            in_maintenance: *in_maintenance,
            reason: if *in_sync { String::new() } else { "catching up".into() },
            ..InstanceStatus::default()
        };
        QueueManagerStatus {
            name: "q".into(),
            role: "active".into(),
            active_node: "a".into(),
            instances: instances.iter().map(instance).collect(),
            ..QueueManagerStatus::default()
        }
    }

    #[test]
    fn a_node_can_be_stopped_where_a_majority_of_the_others_has_everything_and_is_in_service() {
        let all = manager(&[("a", true, false), ("b", true, true), ("c", true, false)]);
        assert_eq!(why_it_is_needed(&all, "b"), None);
        let why = why_it_is_needed(&all, "c");
        assert_eq!(
            why.as_deref(),
            Some("q needs 2 nodes, and of the others 1 would be left; b is in maintenance, too")
        );
        let behind = manager(&[("a", true, false), ("b", true, true), ("c", false, false)]);
        assert_eq!(
            why_it_is_needed(&behind, "b").as_deref(),
            Some("q needs 2 nodes, and of the others 1 would be left; c is not in sync (catching up)")
        );
        let stopped = manager(&[("a", true, false), ("b", false, true), ("c", true, true)]);
        assert!(why_it_is_needed(&stopped, "c").unwrap().ends_with("b is in maintenance, too (catching up)"));
        let alone = manager(&[("a", true, false)]);
        assert!(why_it_is_needed(&alone, "a").unwrap().ends_with("of the others 0 would be left"));
        assert_eq!(why_it_is_needed(&alone, "d"), None, "who has no vote is missed by nobody");
    }

    #[test]
    fn a_node_in_maintenance_that_is_needed_now_is_said_to_be() {
        let behind = manager(&[("a", true, false), ("b", true, true), ("c", false, false)]);
        assert!(how_it_is(&behind, "b").starts_with("cannot be stopped without an outage: q needs 2 nodes"));
        let all = manager(&[("a", true, false), ("b", true, true), ("c", true, false)]);
        assert_eq!(how_it_is(&all, "b"), "leads only where no other node could");
        let serving = manager(&[("a", true, true), ("b", true, false), ("c", true, false)]);
        assert_eq!(how_it_is(&serving, "a"), "serves all the same: no other node can take over");
        let stopped = manager(&[("a", true, false), ("b", false, true), ("c", true, false)]);
        assert_eq!(how_it_is(&stopped, "b"), "leads only where no other node could");
    }
}
