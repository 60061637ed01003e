//! What a node tells its own listeners, pages and address agent about its part in a queue manager.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Instant, Membership, NodeId, QueueManagerId, Term};

/// Published whenever it changes; read by listeners, health, status and the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleView {
    /// Not serving, and this is who does as far as this node knows.
    NotServing { term: Term, leader: Option<NodeId>, recovering: bool },
    /// Was removed from the group, has no part in it and never will again under this id.
    Removed,
    /// Leads and does not serve.
    Elected { term: Term, why: WhyNotServing },
    /// Leads, has applied its own first entry, and holds the lease.
    Serving { term: Term, since: Instant, lease_until: Instant },
}

/// Why a leader does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNotServing {
    /// Its first entry is not applied yet.
    Starting,
    /// No majority confirms its lease.
    NoLease,
    /// The lease was given up to hand over.
    HandingOver,
    /// The queue manager was ended.
    Ended,
}

/// Whom a node waits for that knows of nobody who leads: without them nobody can be elected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitsFor {
    /// Voters that this node has not heard. Empty when it waits for nobody, or only for an election.
    pub nodes: BTreeSet<NodeId>,
    /// The queue manager has not begun anywhere, as far as this node knows: a first start needs every one of its nodes once.
    pub to_begin: bool,
}

impl WaitsFor {
    /// For people; None when nobody is waited for.
    pub fn sentence(&self, membership: &Membership) -> Option<String> {
        debug_assert!(!self.nodes.contains(&NodeId(0)), "node ids begin at 1");
        let named = |node: &NodeId| match membership.nodes.get(node) {
            Some(info) => format!("{} at {}", info.name, info.peer_address),
            None => format!("with id {node}"),
        };
        let named: Vec<String> = self.nodes.iter().map(named).collect();
        let nodes = match named.len() {
            0 => return None,
            1 => format!("node {}", named[0]),
            _ => format!("nodes {}", named.join(" and ")),
        };
        let (why, or) = match self.to_begin {
            true => (
                "the first start of a queue manager needs every node of the cluster file once",
                ", or whether the queue manager is in its cluster file",
            ),
            false => ("without a majority of its nodes nobody serves", ""),
        };
        Some(format!(
            "Waits for {nodes}: {why}. Start what does not run, or look why it cannot be reached{or}."
        ))
    }
}

/// A queue manager's floating address, as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatingAddress {
    /// Whose address it is.
    pub queue_manager: QueueManagerId,
    /// IPv4 or IPv6.
    pub ip: IpAddr,
    /// Whether this machine answers for it.
    pub is_here: bool,
    /// It would answer: with mode dry-run no machine does.
    pub is_dry_run: bool,
    /// It may answer though another one does: the user's program did not take the address away.
    pub not_given_back: bool,
    /// The queue manager does not have it any more, and it was not said yet that it is gone from here.
    pub is_former: bool,
    /// A program of the user's takes it away, which may take its time, or fail.
    pub is_by_program: bool,
}

/// The part a node has in a queue manager, in the words of status, metrics, health and log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves.
    Active,
    /// Was elected, and does not serve yet.
    Starting,
    /// Leads, and no majority confirms it.
    NoQuorum,
    /// Leads, and gives that to another node.
    HandingOver,
    /// Follows one that leads.
    Replica,
    /// Has to catch up before it may vote.
    Recovering,
    /// Knows of nobody who leads.
    NoLeader,
    /// Was removed from the group.
    Removed,
    /// Leads a queue manager that was ended.
    Ended,
}

impl Role {
    /// Metrics have a series for each.
    pub const ALL: [Role; 9] = [
        Role::Active,
        Role::Starting,
        Role::NoQuorum,
        Role::HandingOver,
        Role::Replica,
        Role::Recovering,
        Role::NoLeader,
        Role::Removed,
        Role::Ended,
    ];

    /// One word, or two with a hyphen.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Active => "active",
            Role::Starting => "starting",
            Role::NoQuorum => "no-quorum",
            Role::HandingOver => "handing-over",
            Role::Replica => "replica",
            Role::Recovering => "recovering",
            Role::NoLeader => "no-leader",
            Role::Removed => "removed",
            Role::Ended => "ended",
        }
    }
}

/// Why a node's copy is not in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfSync {
    /// The leader has not heard it for an election timeout.
    NotConnected,
    /// The leader's log does not go back to what it lacks: it is sent the state.
    ReceivingSnapshot,
    /// May not vote before it has what it lost.
    Recovering,
    /// It lacks more than 64 entries of the log.
    CatchingUp,
    /// It answers, and what it was sent some seconds ago is not on its disk.
    NotWriting,
    /// It has committed entries that the leader does not have: its history is another one.
    OtherHistory,
    /// It applied the same entries, and its state is another one.
    OtherState,
    /// The same, and no majority is in one state: it may be the one that is right.
    StatesDiffer,
    /// The node speaks for itself, and knows of nobody who leads.
    NobodyLeads,
    /// The node speaks for itself, and is no member any more.
    Removed,
}

impl OutOfSync {
    /// As `status` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            OutOfSync::NotConnected => "not connected",
            OutOfSync::ReceivingSnapshot => "receiving a snapshot",
            OutOfSync::Recovering => "recovering",
            OutOfSync::CatchingUp => "catching up",
            OutOfSync::NotWriting => "does not write: its disk may hang",
            OutOfSync::OtherHistory => "has another history; see the error log",
            OutOfSync::OtherState => "is in another state; see the error log",
            OutOfSync::StatesDiffer => {
                "it and the active node differ in state, and which is right is not known; see the error log"
            }
            OutOfSync::NobodyLeads => "nobody leads",
            OutOfSync::Removed => "removed",
        }
    }
}

/// Clocks of voters differ, and no majority of them agrees: each may be the one that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClocksDiffer {
    /// The two that are furthest apart, and by how many milliseconds.
    pub ahead: NodeId,
    /// Whose clock says the earliest time.
    pub behind: NodeId,
    /// Milliseconds between the two.
    pub by_ms: i64,
    /// Voters whose clocks are not known.
    pub unheard: BTreeSet<NodeId>,
}

impl RoleView {
    /// The word for it.
    pub fn role(&self) -> Role {
        let role = match self {
            RoleView::Serving { .. } => Role::Active,
            RoleView::Elected { why: WhyNotServing::Starting, .. } => Role::Starting,
            RoleView::Elected { why: WhyNotServing::NoLease, .. } => Role::NoQuorum,
            RoleView::Elected { why: WhyNotServing::HandingOver, .. } => Role::HandingOver,
            RoleView::Elected { why: WhyNotServing::Ended, .. } => Role::Ended,
            RoleView::NotServing { recovering: true, .. } => Role::Recovering,
            RoleView::NotServing { leader: Some(_), .. } => Role::Replica,
            RoleView::NotServing { leader: None, .. } => Role::NoLeader,
            RoleView::Removed => Role::Removed,
        };
        debug_assert_eq!(role == Role::Active, self.is_serving(), "who serves is active, and nobody else");
        debug_assert!(
            self.leads()
                || !matches!(role, Role::Starting | Role::NoQuorum | Role::HandingOver | Role::Ended),
            "only who leads is about to serve, or does not serve any more"
        );
        role
    }

    /// The same as it is at that time: a leader whose lease is over does not serve, whether or not it has had a turn since to
    /// find that out.
    pub fn at(self, now: Instant) -> RoleView {
        match self {
            RoleView::Serving { term, lease_until, .. } if lease_until <= now => {
                RoleView::Elected { term, why: WhyNotServing::NoLease }
            }
            role => role,
        }
    }

    /// Whether this node leads, serving or about to.
    pub fn leads(&self) -> bool {
        matches!(self, RoleView::Elected { .. } | RoleView::Serving { .. })
    }

    /// Whether programs are served here.
    pub fn is_serving(&self) -> bool {
        matches!(self, RoleView::Serving { .. })
    }

    /// Until when this node may be sure that it alone serves.
    pub fn lease_until(&self) -> Option<Instant> {
        match self {
            RoleView::Serving { lease_until, .. } => Some(*lease_until),
            RoleView::NotServing { .. } | RoleView::Elected { .. } | RoleView::Removed => None,
        }
    }

    /// The other node that serves, as far as this one knows.
    pub fn leader(&self) -> Option<NodeId> {
        match self {
            RoleView::NotServing { leader, .. } => *leader,
            RoleView::Serving { .. } | RoleView::Elected { .. } | RoleView::Removed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeInfo;

    #[test]
    fn who_is_waited_for_is_named_with_an_address_and_a_reason() {
        let info = |name: &str| NodeInfo {
            name: name.into(),
            peer_address: format!("{name}.example:7101"),
            ..NodeInfo::default()
        };
        let nodes = [(NodeId(2), info("b")), (NodeId(3), info("c"))].into();
        let membership = Membership { nodes, ..Membership::default() };
        let said = |nodes: &[u64], to_begin| {
            let nodes = nodes.iter().map(|node| NodeId(*node)).collect();
            WaitsFor { nodes, to_begin }.sentence(&membership)
        };
        assert_eq!(said(&[], true), None);
        let first = said(&[3], true).unwrap();
        assert!(first.starts_with("Waits for node c at c.example:7101: the first start"), "{first}");
        let later = said(&[2, 3], false).unwrap();
        assert!(
            later.starts_with("Waits for nodes b at b.example:7101 and c at c.example:7101: without"),
            "{later}"
        );
    }
}
