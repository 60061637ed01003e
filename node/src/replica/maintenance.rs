//! Which nodes are in maintenance: `node drain` and `node resume`, and when they are refused.
//!
//! That a node is in maintenance is a replicated fact (`qmgr`, `Command::Maintain`), and a promise to whoever asked for it: the node
//! can be stopped, and so can all the others that are. So the nodes that are left must be a majority, whenever one more is
//! taken, and when a vote comes or goes; nodes that are down are not left either. What they do meanwhile is told in `placement.rs`.
//!
//! The leader decides, when it proposes, and counts what it has proposed and not applied as if it were applied. That is enough:
//! its entries are applied in the order in which they were proposed or not at all, and whoever serves after it has applied what
//! came before. So an entry means the same for every release, and no two administrators can overtake each other.

use std::collections::BTreeSet;

use super::Replica;
use super::proposals::Waiting;
use crate::mqi::{Completion, InstanceView, MembershipRequest, Refusal};
use crate::qmgr::Command;
use crate::types::planted::{self, Bug};
use crate::types::{NodeId, Reason, SessionId, Token, Version};

const IN_MAINTENANCE: &str = "in maintenance";

impl Replica {
    pub(super) fn on_maintain(
        &mut self,
        session: SessionId,
        token: Token,
        node: NodeId,
        begins: bool,
        force: bool,
    ) {
        debug_assert!(self.is_serving(), "whoever serves proposes what is replicated");
        let is_decided = !self.standing.own().maintaining.iter().any(|(one, _)| *one == node);
        let is_so_already = is_decided && self.state.is_maintained(node) == begins;
        let mut asked = self.check_maintain(node);
        if begins && !force && !is_so_already {
            asked = asked.and_then(|()| self.check_not_needed(node));
        }
        match asked {
            Err(refusal) => self.answer(session, token, refusal.into()),
            Ok(()) if is_so_already => self.answer(session, token, Completion::done()),
            Ok(()) => {
                self.standing.own_mut().maintaining.push_back((node, begins));
                let by = self.by(session).into();
                let name = if self.keeps_trail() { self.name_of(node) } else { String::new() };
                let maintain = Command::Maintain { node, begins, by, name };
                self.propose(maintain, Waiting::Maintain { session, token });
            }
        }
    }

    /// It is applied, and every node knows it from now on.
    pub(super) fn end_maintain(&mut self, session: SessionId, token: Token, verdict: Result<(), Reason>) {
        let ended = self.standing.own_mut().maintaining.pop_front();
        let (node, begins) = ended.expect("what is applied was proposed, in this order");
        debug_assert!(verdict.is_err() || self.state.is_maintained(node) == begins, "what is applied is so");
        self.answer(session, token, verdict.map_or_else(Completion::failed, |()| Completion::done()));
    }

    fn check_maintain(&self, node: NodeId) -> Result<(), Refusal> {
        let version = self.state.version();
        if version < Version::RECORDS {
            let detail = format!(
                "Maintenance is a fact of version {}, and the queue manager has version {version}: when every node runs this \
                 release, raise it with `trimaran cluster upgrade`.",
                Version::RECORDS
            );
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        let membership = self.consensus.membership();
        let name = self.name_of(node);
        if !membership.nodes.contains_key(&node) {
            let detail = format!("Node {name} has no part in this queue manager.");
            return Err(Refusal::because(Reason::OptionsError, detail));
        }
        Ok(())
    }

    /// Whether the others can serve without the node, and without all that are in maintenance. One that does not vote is missed
    /// by nobody.
    fn check_not_needed(&self, node: NodeId) -> Result<(), Refusal> {
        let membership = self.consensus.membership();
        let name = self.name_of(node);
        if !membership.voters.contains(&node) {
            return Ok(());
        }
        if self.consensus.membership_changes() {
            let detail = "A node is being added or removed; repeat the command when that is done.";
            return Err(Refusal::because(Reason::CallInProgress, detail));
        }
        let instances = self.instances();
        let others = instances.iter().filter(|one| one.voter && one.node != node);
        let (mut left, mut lacking) = (0, Vec::new());
        for other in others {
            match self.why_not_left(other) {
                None => left += 1,
                Some(why) => lacking.push(format!("{} ({why})", self.name_of(other.node))),
            }
        }
        let (voters, needed) = (membership.voters.len(), majority_of(membership.voters.len()));
        debug_assert!(left + lacking.len() < voters, "the node itself votes, and is not counted");
        if left >= needed {
            return Ok(());
        }
        let lacking = match lacking.is_empty() {
            true => String::new(),
            false => format!("; not counted: {}", lacking.join(", ")),
        };
        let detail = format!(
            "Without node {name} there would be no majority that can serve: {left} of {voters} nodes would be left, {needed} are \
             needed{lacking}. Wait until nodes are in sync, take those in maintenance back with `trimaran node resume`, or accept \
             it with --force."
        );
        Err(Refusal::because(Reason::HostNotAvailable, detail))
    }

    /// Why the node is not counted among those that serve while others are stopped.
    fn why_not_left(&self, of: &InstanceView) -> Option<&'static str> {
        match of.out_of_sync {
            _ if self.may_be_stopped(of.node) => Some(IN_MAINTENANCE),
            Some(out_of_sync) => Some(out_of_sync.as_str()),
            None if self.peers.is_stopping(of.node) => Some("stopping"),
            None => None,
        }
    }

    /// Whether somebody was told that the node can be stopped, or is about to be.
    fn may_be_stopped(&self, node: NodeId) -> bool {
        let mut under_way = self.standing.own().maintaining.iter();
        let is_begun = under_way.any(|(one, begins)| *one == node && *begins);
        (is_begun || self.state.is_maintained(node)) && !planted::is(Bug::ForgetMaintenance)
    }

    /// Whether nodes that are there and not in maintenance stay a majority when nodes come or go like that. Where they are none
    /// before, by force or because too many are down, nothing is lost by a change, and it may be the way out. A node that
    /// comes is there when it gets its vote.
    pub(super) fn check_voters(&self, request: &MembershipRequest) -> Result<(), Refusal> {
        let before = &self.consensus.membership().voters;
        let mut after = before.clone();
        let (comes, goes) = match request {
            MembershipRequest::Add { node, .. } => (Some(*node), None),
            MembershipRequest::Remove { node } => (None, Some(*node)),
            MembershipRequest::Replace { old, node, .. } => (Some(*node), Some(*old)),
        };
        goes.map(|node| after.remove(&node));
        after.extend(comes);
        let instances = self.instances();
        let why_not_left = |node: &NodeId| match instances.iter().find(|one| one.node == *node) {
            Some(instance) if comes != Some(*node) => self.why_not_left(instance),
            _ => self.may_be_stopped(*node).then_some(IN_MAINTENANCE),
        };
        let left =
            |voters: &BTreeSet<NodeId>| voters.iter().filter(|node| why_not_left(node).is_none()).count();
        let (left_before, left_after) = (left(before), left(&after));
        let needed = majority_of(after.len());
        if left_after >= needed || left_before < majority_of(before.len()) {
            return Ok(());
        }
        let lacking = after.iter().filter_map(|node| Some((node, why_not_left(node)?)));
        let lacking: Vec<String> =
            lacking.map(|(node, why)| format!("{} ({why})", self.name_of(*node))).collect();
        debug_assert!(!lacking.is_empty(), "a majority is all nodes, or some are not counted");
        let detail = format!(
            "There would be no majority that can serve: {left_after} of {} nodes would be left, {needed} are needed; not counted: \
             {}. Start nodes that are down, take those in maintenance back with `trimaran node resume`, or remove one of them \
             first.",
            after.len(),
            lacking.join(", ")
        );
        Err(Refusal::because(Reason::HostNotAvailable, detail))
    }
}

pub(super) fn majority_of(voters: usize) -> usize {
    voters / 2 + 1
}
