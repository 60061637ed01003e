//! The time of the log, and what becomes of a node whose clock is wrong: it is named, and leads only where no other can.

use std::collections::BTreeMap;
use std::time::Duration;

use trimaran_proto::admin::v1::handing_over::Why;

use super::Replica;
use crate::consensus::Majority;
use crate::qmgr;
use crate::types::planted::{self, Bug};
use crate::types::{ClocksDiffer, Instant, NodeId, WallTime};

/// How often the clocks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A node with a wrong clock tries to hand over this often: the others may have reasons not to take it.
const HAND_OVER_EVERY: Duration = Duration::from_secs(30);
const _: () = assert!(
    LOOK_EVERY.as_nanos() < HAND_OVER_EVERY.as_nanos(),
    "a clock is looked at again before a second try"
);

#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    next: Instant,
    next_handover: Instant,
    /// Whose clock is off by how many milliseconds, at the last look.
    off: BTreeMap<NodeId, i64>,
    /// Where nobody knows whose it is: with two clocks that differ either may be right, so no node is named, and none is
    /// taken for the better one.
    undecided: Option<ClocksDiffer>,
}

impl ClockWatch {
    pub fn off_ms(&self, node: NodeId) -> i64 {
        self.off.get(&node).copied().unwrap_or(0)
    }

    pub fn undecided(&self) -> Option<&ClocksDiffer> {
        self.undecided.as_ref()
    }

    pub fn assert_holds(&self) {
        debug_assert!(
            self.undecided.is_none() || self.off.is_empty(),
            "where nobody knows whose clock is wrong nobody is named"
        );
        debug_assert!(
            self.undecided.as_ref().is_none_or(|differ| differ.ahead != differ.behind && differ.by_ms > 0),
            "two clocks that differ are of two nodes"
        );
    }
}

impl Replica {
    /// The time that goes into entries: what a majority of the group's clocks has reached. It stands while too few are
    /// known, and where they went back a little; where a majority agrees that the log's is far ahead, it goes back.
    pub(super) fn wall(&self) -> WallTime {
        let at = self.state.at();
        if planted::is(Bug::OwnClock) {
            return self.now.wall.max(at);
        }
        let wall = match self.time {
            Some(Majority { agreed: Some(agreed), .. }) if qmgr::is_far_ahead(at, agreed) => agreed,
            Some(Majority { reached, .. }) => reached.max(at),
            None => at,
        };
        debug_assert!(wall >= at || qmgr::is_far_ahead(at, wall), "time goes back only from far ahead");
        wall
    }

    pub(super) fn watch_clocks(&mut self) {
        if self.now.instant < self.clocks.next {
            return;
        }
        self.clocks.next = self.now.instant + LOOK_EVERY;
        let off = self.consensus.clocks_off();
        let before = std::mem::replace(&mut self.clocks.off, off);
        let news: Vec<NodeId> =
            self.clocks.off.keys().copied().filter(|node| !before.contains_key(node)).collect();
        for node in news {
            debug_assert_ne!(self.clocks.off_ms(node), 0, "a clock that is named is off by something");
            let off_s = self.clocks.off_ms(node) as f64 / 1000.0;
            self.report(format!(
                "the clock of node {node} is off by {off_s:.1} s: start a time service (chrony) there"
            ));
        }
        let undecided = self.consensus.clocks_undecided();
        let was_undecided = std::mem::replace(&mut self.clocks.undecided, undecided).is_some();
        if let Some(ClocksDiffer { ahead, behind, by_ms, .. }) = self.clocks.undecided()
            && !was_undecided
        {
            let by_s = *by_ms as f64 / 1000.0;
            self.report(format!(
                "no majority of clocks agrees: the one of node {ahead} is {by_s:.1} s ahead of the one of node {behind}, and which of \
                 them is right is not known. Start a time service (chrony) on every node; until then the time of messages may \
                 stand, and they may expire late"
            ));
        }
        self.leave_it_to_a_better_clock();
    }

    fn leave_it_to_a_better_clock(&mut self) {
        let is_due =
            self.clocks.off_ms(self.options.node) != 0 && self.now.instant >= self.clocks.next_handover;
        let idle = self.standing.serving().is_some_and(|leading| leading.handover.is_none());
        if !is_due || !idle {
            return;
        }
        let peers = self.consensus.progress().into_iter().filter(|peer| peer.voter && peer.active);
        let better = peers
            .filter(|peer| self.peers.may_lead(peer.node) && self.clocks.off_ms(peer.node) == 0)
            .max_by_key(|peer| (peer.matched, std::cmp::Reverse(peer.node)));
        if let Some(better) = better {
            self.clocks.next_handover = self.now.instant + HAND_OVER_EVERY;
            self.report(format!("node {} has a better clock than this one and takes over", better.node));
            self.begin_handover(Why::Clock, Some(better.node), None);
        }
    }
}
