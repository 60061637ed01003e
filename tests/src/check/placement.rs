//! A node in maintenance serves only where no other node could, those that are in service are a majority unless somebody forced it,
//! and nobody moves back to a preferred node before the leader has served for a while.

use std::collections::BTreeMap;

use trimaran_node::mqi::{Call, Operate};
use trimaran_node::types::{NodeId, RoleView, Term};

use crate::sim::node::{Node, Setup};

pub const NAME: &str = "placement";

/// A node in maintenance looks for a successor all the time, and tries again after 5 s where one did not take over.
const PATIENCE_US: u64 = 12_000_000;

#[derive(Clone, Debug, Default)]
pub struct Placements {
    /// When each leader was elected in its term, by queue manager and node.
    began: BTreeMap<(usize, u64), (Term, u64)>,
    /// How many fail-backs each process has begun.
    fail_backs: BTreeMap<(u64, u64, usize), u64>,
    /// Since when a queue manager is served by a node in maintenance although another one could.
    wrong_since: BTreeMap<usize, u64>,
    /// Somebody has taken nodes into maintenance with force: what can be stopped is that person's affair.
    is_forced: bool,
    /// Fail-backs that were looked at.
    pub looked_at: u64,
}

impl Placements {
    pub fn on_role(&mut self, node: u64, queue_manager: usize, role: &RoleView, now: u64) {
        // A lease may come later than the first entry, with which its tenure begins.
        if let RoleView::Elected { term, .. } | RoleView::Serving { term, .. } = role {
            let began = self.began.entry((queue_manager, node)).or_insert((*term, now));
            if began.0 != *term {
                *began = (*term, now);
            }
        }
    }

    /// A program asks for this.
    pub fn on_call(&mut self, call: &Call) {
        self.is_forced |= matches!(call, Call::Operate(Operate::Maintain { begins: true, force: true, .. }));
    }

    /// Everybody was told that the nodes in maintenance can be stopped, all of them.
    fn stopped_majority(&self, node: &Node, queue_manager: usize) -> Option<String> {
        let replica = &node.process.as_ref()?.minds[queue_manager].replica;
        let membership = replica.consensus().membership();
        if self.is_forced || !membership.voters_outgoing.is_empty() {
            return None;
        }
        let is_left = |voter: &&NodeId| !replica.queue_manager().is_maintained(**voter);
        let (left, voters) = (membership.voters.iter().filter(is_left).count(), membership.voters.len());
        (left <= voters / 2).then(|| {
            format!(
                "at node {}, {left} of {voters} voters of queue manager {queue_manager} are not in maintenance, and nobody forced it",
                node.id
            )
        })
    }

    /// Clocks of nodes run up to half a percent faster or slower than time.
    pub fn after_turn(
        &mut self,
        node: &Node,
        queue_manager: usize,
        setup: &Setup,
        now: u64,
    ) -> Option<String> {
        if let Some(sentence) = self.stopped_majority(node, queue_manager) {
            return Some(sentence);
        }
        let replica = &node.process.as_ref()?.minds[queue_manager].replica;
        let count = replica.stats().fail_backs;
        let known = self.fail_backs.entry((node.id, node.incarnation, queue_manager)).or_default();
        if std::mem::replace(known, count) == count {
            return None;
        }
        self.looked_at += 1;
        let (_, began) = self.began.get(&(queue_manager, node.id))?;
        let (served, tenure) = (now - began, setup.tenure.as_micros() as u64);
        (served < tenure - tenure / 100).then(|| {
            format!(
                "node {} moves queue manager {queue_manager} back after it served for {served} us, and its tenure is {tenure} us",
                node.id
            )
        })
    }

    pub fn every_tick(
        &mut self,
        now: u64,
        healed_at: Option<u64>,
        nodes: &BTreeMap<u64, Node>,
    ) -> Option<String> {
        let healed = healed_at?;
        let minds =
            nodes.values().filter_map(|node| node.process.as_ref()).map(|process| process.minds.len());
        for queue_manager in 0..minds.max().unwrap_or(0) {
            let Some((server, better)) = misplaced(queue_manager, now, nodes) else {
                self.wrong_since.remove(&queue_manager);
                continue;
            };
            let since = *self.wrong_since.entry(queue_manager).or_insert(now);
            if now > since.max(healed) + PATIENCE_US {
                return Some(format!(
                    "queue manager {queue_manager} is served by node {server}, which is in maintenance, and node {better} could \
                     have served it since {since} us"
                ));
            }
        }
        None
    }
}

/// Who serves although it is in maintenance, and another node that is well and not.
fn misplaced(queue_manager: usize, now: u64, nodes: &BTreeMap<u64, Node>) -> Option<(u64, u64)> {
    let server = nodes.values().find(|node| {
        let mind = node.process.as_ref().map(|process| &process.minds[queue_manager]);
        mind.is_some_and(|mind| mind.role.is_serving())
    })?;
    let mind = &server.process.as_ref()?.minds[queue_manager];
    let is_spared = |id: u64| mind.replica.queue_manager().is_maintained(NodeId(id));
    let voters = &mind.replica.consensus().membership().voters;
    let is_well = |node: &&Node| {
        let theirs = node.process.as_ref().map(|process| &process.minds[queue_manager]);
        let has_all = theirs.is_some_and(|theirs| theirs.applied >= mind.applied);
        voters.contains(&NodeId(node.id))
            && has_all
            && !node.is_paused(now)
            && !node.is_recovering()
            && !is_spared(node.id)
    };
    let better = nodes.values().find(|node| node.id != server.id && is_well(node))?;
    is_spared(server.id).then_some((server.id, better.id))
}
