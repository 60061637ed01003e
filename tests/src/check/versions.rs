//! Nobody applies what its program does not speak, and a version is raised only when every voter's program speaks it.

use std::collections::BTreeMap;

use trimaran_node::types::Version;

use crate::sim::node::Node;

pub const NAME: &str = "everybody can follow";

#[derive(Clone, Debug, Default)]
pub struct Versions {
    /// How often each process, and queue manager in it, has put a raise into the log.
    proposed: BTreeMap<(u64, u64, usize), u64>,
}

impl Versions {
    /// Whether somebody has ever put a raise into a log.
    pub fn is_raised(&self) -> bool {
        !self.proposed.is_empty()
    }

    pub fn after_turn(
        &mut self,
        id: u64,
        queue_manager: usize,
        nodes: &BTreeMap<u64, Node>,
    ) -> Option<String> {
        let node = &nodes[&id];
        let mind = &node.process.as_ref()?.minds[queue_manager];
        let version = mind.replica.queue_manager().version();
        if !node.speaks(version) {
            let newest = node.newest;
            return Some(format!("node {id} is at version {version}, and its program speaks up to {newest}"));
        }
        let proposed = mind.replica.stats().raises_proposed;
        if proposed == 0
            || self.proposed.insert((id, node.incarnation, queue_manager), proposed) == Some(proposed)
        {
            return None;
        }
        let members = mind.replica.consensus().membership();
        let mut voters =
            members.voters.union(&members.voters_outgoing).filter_map(|voter| nodes.get(&voter.0));
        voters.find(|voter| !voter.speaks(Version::TRAIL)).map(|voter| {
            let (other, newest) = (voter.id, voter.newest);
            format!("node {id} raises the version, and the program of node {other} speaks up to {newest}")
        })
    }

    /// A program found that it is too old: it is, and somebody did raise the version.
    pub fn on_stuck(&self, node: &Node, sentence: &str) -> Option<String> {
        let id = node.id;
        if !self.is_raised() {
            return Some(format!(
                "node {id} says that it is too old, and nobody raised anything: {sentence}"
            ));
        }
        node.speaks(Version::TRAIL)
            .then(|| format!("node {id} speaks everything there is, and says: {sentence}"))
    }
}
