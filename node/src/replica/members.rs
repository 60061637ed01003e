//! Membership changes, step by step: a new node first learns, and becomes a voter when it has caught up; the old one
//! leaves in the same joint change (Ongaro's thesis, 4.2 and 4.3).

use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::replica::v1 as wire;

use super::{Action, Replica};
use crate::mqi::{Completion, Data, MembershipRequest, Refusal};
use crate::qmgr::by_to_wire;
use crate::types::definition::By;
use crate::types::{Index, Instant, NodeId, NodeInfo, Reason, SessionId, Token};

#[derive(Debug)]
pub(super) struct MembershipOperation {
    request: MembershipRequest,
    /// Who asked for it first.
    by: By,
    session: SessionId,
    token: Token,
    step: Step,
    next_report: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Not proposed yet, or refused for the moment.
    Begin,
    /// The learner is in the log at this index.
    Learning { node: NodeId, proposed: Index },
    /// The voters change with this entry, until it is applied and no joint configuration is left.
    Changing { proposed: Index },
    /// The new configuration is in force, and this entry was proposed after that; done when it is applied and all who
    /// can hear know that, so that none of them is bound to the old one when this node dies or all start again.
    Settling { since: Index },
}

/// What is left to do of a change that may be asked for.
enum Asked {
    ToDo,
    /// It is so already.
    Done,
}

/// A learner this close to the end of the log may vote.
const CAUGHT_UP_ENTRIES: u64 = 64;
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

impl Replica {
    pub(super) fn on_change_membership(
        &mut self,
        session: SessionId,
        token: Token,
        request: MembershipRequest,
    ) {
        if self.take_over_operation(session, token, &request) {
            return;
        }
        match self.check_membership(&request) {
            Err((reason, detail)) => {
                return self.answer(session, token, Completion::failed_because(reason, detail));
            }
            Ok(Asked::Done) => return self.answer(session, token, Completion::done()),
            Ok(Asked::ToDo) => {}
        }
        if let Err(refusal) = self.check_voters(&request) {
            return self.answer(session, token, refusal.into());
        }
        if let MembershipRequest::Remove { node } | MembershipRequest::Replace { old: node, .. } = &request
            && *node == self.options.node
        {
            // The leader hands over first; the administrator's tool repeats the request at the new one.
            self.begin_handover(Why::Remove, None, None, None);
            let detail = "This node is the active one and hands over first; repeat the request in a moment.";
            return self.answer(session, token, Completion::failed_because(Reason::QMgrQuiescing, detail));
        }
        let (next_report, by) = (self.now.instant, self.by(session));
        assert!(
            self.standing.own().membership_change.is_none(),
            "an operation is not put in the place of another one"
        );
        self.standing.own_mut().membership_change =
            Some(MembershipOperation { request, by, session, token, step: Step::Begin, next_report });
    }

    /// A change that waits, for a node that does not come most of all, is not the end of it: who asks for the same again
    /// follows it from there, and who removes the node that has not come gives it up. True when that answers the call.
    fn take_over_operation(&mut self, session: SessionId, token: Token, request: &MembershipRequest) -> bool {
        let Some(operation) = &mut self.standing.own_mut().membership_change else { return false };
        if operation.request == *request {
            let before = (operation.session, operation.token);
            (operation.session, operation.token) = (session, token);
            operation.next_report = self.now.instant;
            let detail = "The same change was asked for again, and is followed from there.";
            self.answer(before.0, before.1, Completion::failed_because(Reason::CallInterrupted, detail));
            return true;
        }
        let removed = match request {
            MembershipRequest::Remove { node } => Some(*node),
            _ => None,
        };
        let waits = match operation.step {
            Step::Begin => true,
            Step::Learning { proposed, .. } => self.consensus.applied_index() >= proposed,
            Step::Changing { .. } | Step::Settling { .. } => false,
        };
        if removed.is_some() && operation.added() == removed && waits {
            let (session, token) = (operation.session, operation.token);
            self.standing.own_mut().membership_change = None;
            let detail = "The node was removed again before it had a vote.";
            self.answer(session, token, Completion::failed_because(Reason::CallInterrupted, detail));
        }
        false
    }

    fn check_membership(&self, request: &MembershipRequest) -> Result<Asked, (Reason, String)> {
        if let Some(operation) = &self.standing.own().membership_change {
            return Err((Reason::CallInProgress, operation.in_words()));
        }
        if self.standing.own().raising.is_some() {
            return Err((Reason::CallInProgress, "The version is being raised; repeat the request.".into()));
        }
        let membership = self.consensus.membership();
        if !membership.voters_outgoing.is_empty() {
            return Err((Reason::CallInProgress, "An earlier membership change is being completed.".into()));
        }
        let known = |node: &NodeId| membership.voters.contains(node) || membership.learners.contains(node);
        let (added, info, removed) = match request {
            MembershipRequest::Add { node, info } => (Some(*node), Some(info), None),
            MembershipRequest::Remove { node } => (None, None, Some(*node)),
            MembershipRequest::Replace { old, node, info } => (Some(*node), Some(info), Some(*old)),
        };
        if let Some(node) = added {
            if node == NodeId(0) || membership.removed.contains(&node) {
                let text = format!("Id {node} was used before; give the new node an id that never was.");
                return Err((Reason::OptionsError, text));
            }
            let is_same = info.is_some() && membership.nodes.get(&node) == info;
            if membership.voters.contains(&node) {
                // A change whose answer was lost may be asked for again.
                let done = is_same && removed.is_none_or(|removed| !known(&removed));
                let text = format!("Node {node} has a part in it already.");
                return if done { Ok(Asked::Done) } else { Err((Reason::ObjectAlreadyExists, text)) };
            }
            let others = membership.nodes.iter().filter(|(id, _)| **id != node && Some(**id) != removed);
            if let Some(text) = info.and_then(|info| taken(info, others)) {
                return Err((Reason::ObjectAlreadyExists, text));
            }
        }
        if let Some(node) = removed {
            if added.is_none() && membership.removed.contains(&node) {
                return Ok(Asked::Done);
            }
            if !known(&node) {
                return Err((Reason::UnknownObjectName, format!("Node {node} has no part in it.")));
            }
            if membership.voters.len() == 1 && added.is_none() {
                return Err((Reason::OptionsError, "The last node cannot be removed.".into()));
            }
        }
        Ok(Asked::ToDo)
    }

    pub(super) fn drive_membership(&mut self) {
        let Some(leading) = self.standing.serving_mut() else { return };
        let Some(mut operation) = leading.membership_change.take() else { return };
        match self.advance_membership(&mut operation) {
            Ok(true) => return self.answer(operation.session, operation.token, Completion::done()),
            Ok(false) => {}
            Err(refusal) => return self.answer(operation.session, operation.token, refusal.into()),
        }
        if self.now.instant >= operation.next_report {
            operation.next_report = self.now.instant + REPORT_INTERVAL;
            if let Some(node) = operation.added().filter(|node| !self.peers.may_vote(*node)) {
                self.greet_and_ask(node, true);
            }
            let (step, fraction) = self.membership_progress(&operation);
            let completion = Completion::ok(Data::Progress { step, fraction });
            self.answer(operation.session, operation.token, completion);
        }
        self.standing.own_mut().membership_change = Some(operation);
    }

    pub(super) fn members_deadline(&self) -> Option<Instant> {
        self.standing.leading()?.membership_change.as_ref().map(|operation| operation.next_report)
    }

    /// True when it is complete.
    fn advance_membership(&mut self, operation: &mut MembershipOperation) -> Result<bool, Refusal> {
        match operation.step {
            Step::Begin => {
                let change = match &operation.request {
                    MembershipRequest::Add { node, info } | MembershipRequest::Replace { node, info, .. } => {
                        if self.consensus.membership().voters.contains(node) {
                            operation.step = Step::Changing { proposed: self.consensus.applied_index() };
                            return Ok(false);
                        }
                        if self.consensus.membership().learners.contains(node) {
                            let proposed = self.consensus.applied_index();
                            operation.step = Step::Learning { node: *node, proposed };
                            return Ok(false);
                        }
                        wire::MembershipChange {
                            add_learners: vec![node.0],
                            nodes: vec![node_info(*node, info)],
                            by: Some(by_to_wire(operation.by.clone())),
                            ..wire::MembershipChange::default()
                        }
                    }
                    MembershipRequest::Remove { node } => {
                        self.check_voters(&operation.request)?;
                        let (remove, by) = (vec![node.0], Some(by_to_wire(operation.by.clone())));
                        let (told, at_ms) = (self.told(&operation.request), self.told_at_ms());
                        wire::MembershipChange {
                            remove,
                            by,
                            told,
                            at_ms,
                            ..wire::MembershipChange::default()
                        }
                    }
                };
                // Refused while another change is applied: tried again next turn.
                if let Ok(proposed) = self.consensus.propose_membership(change) {
                    operation.step = match operation.request {
                        MembershipRequest::Remove { .. } => Step::Changing { proposed },
                        MembershipRequest::Add { node, .. } | MembershipRequest::Replace { node, .. } => {
                            Step::Learning { node, proposed }
                        }
                    };
                }
                Ok(false)
            }
            Step::Learning { node, proposed } => {
                if self.consensus.applied_index() < proposed {
                    return Ok(false);
                }
                if !self.consensus.membership().learners.contains(&node) {
                    let detail = "Another change of the membership came in between; repeat the request.";
                    return Err(Refusal::because(Reason::UnexpectedError, detail));
                }
                if let Some(refusal) = self.is_too_old(node, self.state.version()) {
                    return Err(refusal);
                }
                let progress = self.consensus.progress();
                let matched =
                    progress.iter().find(|peer| peer.node == node).map_or(Index(0), |peer| peer.matched);
                if matched == Index(0) || matched.0 + CAUGHT_UP_ENTRIES < self.consensus.last_index().0 {
                    return Ok(false);
                }
                // A voter that may not vote yet would only make the quorum larger.
                if !self.peers.may_vote(node) {
                    return Ok(false);
                }
                self.check_voters(&operation.request)?;
                let remove = match &operation.request {
                    MembershipRequest::Replace { old, .. } => vec![old.0],
                    _ => Vec::new(),
                };
                let change = wire::MembershipChange {
                    add_voters: vec![node.0],
                    remove,
                    by: Some(by_to_wire(operation.by.clone())),
                    told: self.told(&operation.request),
                    at_ms: self.told_at_ms(),
                    ..wire::MembershipChange::default()
                };
                if let Ok(proposed) = self.consensus.propose_membership(change) {
                    operation.step = Step::Changing { proposed };
                }
                Ok(false)
            }
            Step::Changing { proposed } => {
                let changed = self.consensus.applied_index() >= proposed
                    && self.consensus.membership().voters_outgoing.is_empty();
                // Whoever has an entry from after the change on disk also has on disk that the change was committed,
                // and is bound by the new configuration when it starts again. Were the answer to come before a
                // majority is, the node that left could be switched off and still be missed after a restart.
                if changed && let Ok(since) = self.consensus.propose(Bytes::new()) {
                    operation.step = Step::Settling { since };
                }
                Ok(false)
            }
            Step::Settling { since } => {
                let mut voters = self.consensus.progress();
                voters.retain(|peer| peer.voter && peer.active);
                let all_know = voters.iter().all(|peer| peer.commit >= since);
                Ok(self.consensus.applied_index() >= since && all_know)
            }
        }
    }

    /// The nodes that get a vote or leave, for the audit trail.
    fn told(&self, request: &MembershipRequest) -> Vec<wire::NodeInfo> {
        if !self.keeps_trail() {
            return Vec::new();
        }
        let known = |node: &NodeId| {
            let info = self.consensus.membership().nodes.get(node);
            info.map(|info| node_info(*node, info))
        };
        let (added, removed) = match request {
            MembershipRequest::Add { node, info } => (Some(node_info(*node, info)), None),
            MembershipRequest::Remove { node } => (None, known(node)),
            MembershipRequest::Replace { old, node, info } => (Some(node_info(*node, info)), known(old)),
        };
        added.into_iter().chain(removed).collect()
    }

    /// When it is proposed, for the audit trail; the time of the log stands while nothing happens.
    fn told_at_ms(&self) -> i64 {
        if self.keeps_trail() { self.wall().0 } else { 0 }
    }

    fn membership_progress(&self, operation: &MembershipOperation) -> (String, f64) {
        match operation.step {
            Step::Begin => ("waiting to begin".into(), 0.0),
            Step::Learning { .. } => {
                let (MembershipRequest::Add { node, info } | MembershipRequest::Replace { node, info, .. }) =
                    &operation.request
                else {
                    return ("leaving".into(), 0.5);
                };
                let progress = self.consensus.progress();
                let peer = progress.iter().find(|peer| peer.node == *node);
                let matched = peer.map_or(0, |peer| peer.matched.0);
                let last = self.consensus.last_index().0.max(1);
                match peer {
                    Some(peer) if peer.snapshot => ("receiving a snapshot".into(), 0.1),
                    Some(_) if matched == last && self.peers.recovers(*node) => {
                        ("waiting until the node may vote".into(), 0.9)
                    }
                    Some(_) if matched > 0 => {
                        (format!("catching up: {matched} of {last}"), matched as f64 / last as f64)
                    }
                    Some(_) if self.peers.is_heard(*node) => {
                        ("waiting until the message store has on disk what the node begins with".into(), 0.05)
                    }
                    _ => {
                        let (name, address) = (&info.name, &info.peer_address);
                        let text = format!(
                            "waiting for the node to connect: start {name} with a cluster file that has it with joins = \
                             true, and look whether {address} is reached"
                        );
                        (text, 0.0)
                    }
                }
            }
            Step::Changing { .. } => ("changing the voters".into(), 0.95),
            Step::Settling { .. } => ("telling all nodes".into(), 0.99),
        }
    }

    /// Who belongs to the group has changed, or may have.
    pub(super) fn publish_membership(&mut self) {
        let membership = self.consensus.membership().clone();
        if membership.removed.contains(&self.options.node) {
            self.on_removed();
        }
        self.out.push(Action::PublishMembership(membership));
    }

    /// This node has no part in the group any more. It keeps what it has and says so; nothing brings it back.
    pub(super) fn on_removed(&mut self) {
        if !self.removed {
            self.removed = true;
            self.consensus.withdraw();
            self.out.push(Action::Removed);
        }
    }
}

impl MembershipOperation {
    /// Where the log ends at `last`.
    pub fn assert_holds(&self, last: Index) {
        let is_removal = matches!(self.request, MembershipRequest::Remove { .. });
        debug_assert!(
            !is_removal || !matches!(self.step, Step::Learning { .. }),
            "who leaves does not learn first"
        );
        let waits_for = match self.step {
            Step::Begin => None,
            Step::Learning { proposed, .. } | Step::Changing { proposed } => Some(proposed),
            Step::Settling { since } => Some(since),
        };
        debug_assert!(waits_for.is_none_or(|index| index <= last), "a step waits for an entry of the log");
        debug_assert_eq!(self.added().is_none(), is_removal, "who does not remove adds");
    }

    pub fn caller(&self) -> (SessionId, Token) {
        (self.session, self.token)
    }

    /// For somebody else who wants a change.
    fn in_words(&self) -> String {
        let waits = "it waits for that node as long as it takes. Ask for the same again to see how far it is, or remove that \
                     node to end it";
        match &self.request {
            MembershipRequest::Add { info, .. } => format!("Node {} is being added: {waits}.", info.name),
            MembershipRequest::Replace { info, .. } => {
                format!("Node {} is taking the place of another: {waits}.", info.name)
            }
            MembershipRequest::Remove { node } => format!("Node {node} is being removed; wait until it is."),
        }
    }

    /// The node that shall vote.
    fn added(&self) -> Option<NodeId> {
        match &self.request {
            MembershipRequest::Add { node, .. } | MembershipRequest::Replace { node, .. } => Some(*node),
            MembershipRequest::Remove { .. } => None,
        }
    }
}

/// Why a node cannot be called or reached like that: another one is.
fn taken<'a>(
    wanted: &NodeInfo,
    mut others: impl Iterator<Item = (&'a NodeId, &'a NodeInfo)>,
) -> Option<String> {
    others.find_map(|(node, other)| {
        let addresses = [&other.peer_address, &other.client_address];
        let address = [&wanted.peer_address, &wanted.client_address]
            .into_iter()
            .find(|address| !address.is_empty() && addresses.contains(address));
        match address {
            _ if wanted.name == other.name => {
                Some(format!("Node {node} has the name {} already; every node has its own.", other.name))
            }
            Some(address) => Some(format!("Node {node}, {}, has the address {address} already.", other.name)),
            None => None,
        }
    })
}

fn node_info(node: NodeId, info: &NodeInfo) -> wire::NodeInfo {
    wire::NodeInfo {
        id: node.0,
        name: info.name.clone(),
        peer_address: info.peer_address.clone(),
        client_address: info.client_address.clone(),
    }
}
