//! Which node leads where several could: moves that an operator asks for, nodes in maintenance, the preferred node.
//!
//! Everything here is a planned move (`leadership.rs`, `begin_handover`): units of work in flight have a time to end, and
//! nothing that was acknowledged is touched. Whether a node may be in maintenance is decided in `maintenance.rs`. One that is votes
//! and has a full copy as before, hands over what it leads, and stands for election only when nobody else was elected for
//! several election timeouts (`consensus`, `set_reluctant`). So a cluster whose other nodes fail meanwhile is served by
//! it all the same, later than otherwise: maintenance is a wish, and an outage that nobody chose is worse than a wish
//! that is not granted. As soon as another node can, it hands over again.
//!
//! A fail-back comes from what the cluster file, or the record of a queue manager that was created, prefers. It is done by the leader, which must have served for a while
//! (`Options::tenure`), so that a preferred node that comes and goes does not take its clients along each time.

use std::fmt;
use std::time::Duration;

use trimaran_proto::admin::v1::handing_over::Why;

use super::Replica;
use crate::consensus::PeerProgress;
use crate::mqi::{Completion, Refusal};
use crate::types::planted::{self, Bug};
use crate::types::{NodeId, Reason, SessionId, Token, WallTime};

/// How often a leader looks whether another node should have what it leads.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A move that came to nothing is tried again after so long.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A node that clients did not reach is back when they have for so long: a cable that comes up may go again.
const REACHED_FOR: Duration = Duration::from_secs(5);
/// Whoever lacks no more entries than this has everything but what is on its way.
const LAG_MAX: u64 = 64;
const DAY_MINUTES: i64 = 24 * 60;

/// What the cluster file, or its record, says of a queue manager's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub preferred: Option<NodeId>,
    pub fail_back: FailBack,
}

/// When a queue manager moves back to its preferred node, which can have it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailBack {
    #[default]
    Never,
    Now,
    /// Minutes of the day, UTC; the end is not in it. From a later to an earlier one it goes over midnight.
    Within {
        from: u16,
        until: u16,
    },
}

impl FailBack {
    /// As a cluster file says it.
    ///
    /// # Errors
    /// A sentence about what to write instead.
    pub fn parse(text: &str) -> Result<FailBack, &'static str> {
        const WRONG: &str = "write \"never\", \"now\", or a part of the day in UTC, for example \"02:00-04:00\" or \"23:00-01:00\"";
        match text {
            "never" => Ok(FailBack::Never),
            "now" => Ok(FailBack::Now),
            window => {
                let (from, until) = window.split_once('-').ok_or(WRONG)?;
                match (minute_of_day(from), minute_of_day(until)) {
                    (Some(from), Some(until)) if from == until => {
                        Err("nothing lies between; write \"now\" for the whole day")
                    }
                    (Some(from), Some(until)) => Ok(FailBack::Within { from, until }),
                    _ => Err(WRONG),
                }
            }
        }
    }

    /// Whether it may begin at this time, which is the one that a majority of the clocks has reached.
    pub fn is_due(self, at: WallTime) -> bool {
        let minute = (at.0 / 60_000).rem_euclid(DAY_MINUTES);
        debug_assert!((0..DAY_MINUTES).contains(&minute), "a day has so many minutes");
        match self {
            FailBack::Never => false,
            FailBack::Now => true,
            FailBack::Within { from, until } => {
                let (from, until) = (i64::from(from), i64::from(until));
                debug_assert!(from != until && from.max(until) < DAY_MINUTES, "a window is a part of a day");
                match from < until {
                    true => (from..until).contains(&minute),
                    false => minute >= from || minute < until,
                }
            }
        }
    }
}

/// As it is parsed.
impl fmt::Display for FailBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailBack::Never => f.write_str("never"),
            FailBack::Now => f.write_str("now"),
            FailBack::Within { from, until } => {
                write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
            }
        }
    }
}

/// `02:30`, from 00:00 to 23:59.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str, most: u16| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| is_number && *number <= most)
    };
    Some(number(hour, 23)? * 60 + number(minute, 59)?)
}

impl Replica {
    /// An operator wants another node to serve. What cannot be is said before anything is interrupted.
    pub(super) fn on_move(
        &mut self,
        session: SessionId,
        token: Token,
        to: Option<NodeId>,
        units_within: Option<Duration>,
    ) {
        debug_assert!(self.is_serving(), "whoever serves is asked to hand over");
        debug_assert!(
            self.standing.own().handover.is_none(),
            "who asks for a move while one is under way waits for its end"
        );
        if to == Some(self.options.node) {
            return self.answer(session, token, Completion::done());
        }
        let peers = self.consensus.progress();
        let refused = match to {
            Some(to) => self.check_successor(to, &peers).err(),
            None => self.check_any_successor(&peers).err(),
        };
        match refused {
            Some(refusal) => self.answer(session, token, refusal.into()),
            None => self.begin_handover(Why::Move, to, Some((session, token)), units_within),
        }
    }

    fn check_any_successor(&self, peers: &[PeerProgress]) -> Result<(), Refusal> {
        let mut reasons = Vec::new();
        for peer in peers.iter().filter(|peer| peer.voter) {
            match self.check_successor(peer.node, peers) {
                Ok(()) => return Ok(()),
                Err(refusal) => reasons.push(refusal.sentence()),
            }
        }
        match reasons.is_empty() {
            true => Err(Refusal::because(Reason::OptionsError, "There is no other node that votes.")),
            false => {
                let text = format!("No other node can take over just now: {}", reasons.join(" "));
                Err(Refusal::because(Reason::HostNotAvailable, text))
            }
        }
    }

    /// Whether the node can take over, as far as is known here. One that lacks entries gets them meanwhile, or not in time.
    fn check_successor(&self, node: NodeId, peers: &[PeerProgress]) -> Result<(), Refusal> {
        debug_assert_ne!(node, self.options.node, "nobody is the successor of itself");
        let name = self.name_of(node);
        let Some(peer) = peers.iter().find(|peer| peer.node == node && peer.voter) else {
            let text = format!("Node {name} does not vote in this queue manager, so it cannot lead it.");
            return Err(Refusal::because(Reason::OptionsError, text));
        };
        let why = match self.is_another(node) {
            Some(differs) => differs.as_str(),
            None if !peer.active || !self.peers.is_connected(node) => "is not connected",
            None if self.peers.recovers(node) => {
                "is recovering: it has to fetch what it lost before it may lead"
            }
            None if self.peers.is_stopping(node) => "is stopping",
            None if peer.snapshot => "is receiving a snapshot",
            None if self.state.is_maintained(node) => {
                let text = format!("Node {name} is in maintenance; `trimaran node resume {name}` ends that.");
                return Err(Refusal::because(Reason::HostNotAvailable, text));
            }
            // Where clients do not reach this node either, they are no worse off.
            None if !self.peers.is_reached(node) && !self.reach.is_down() => {
                let text = format!(
                    "Clients do not reach node {name} by the floating address: its interface there is down, or it has none in the address's \
                     network. `trimaran status` of that node says what is wrong."
                );
                return Err(Refusal::because(Reason::HostNotAvailable, text));
            }
            None => return Ok(()),
        };
        Err(Refusal::because(Reason::HostNotAvailable, format!("Node {name} {why}.")))
    }

    /// Whether the peer could take over and is not in maintenance, as far as this node was told.
    pub(super) fn may_take_over(&self, node: NodeId) -> bool {
        self.peers.may_lead(node) && !self.is_spared(node)
    }

    /// Whether the node is to lead only where no other could.
    pub(super) fn is_spared(&self, node: NodeId) -> bool {
        self.state.is_maintained(node) && !planted::is(Bug::LeadInMaintenance)
    }

    // ---- the leader looks -------------------------------------------------------------------------------------

    /// Hands over where another node should lead: this one is in maintenance, or another one is preferred.
    pub(super) fn drive_placement(&mut self) {
        self.consensus.set_reluctant(self.is_spared(self.options.node));
        let now = self.now.instant;
        let Some(leading) = self.standing.serving() else { return };
        if now < leading.next_placement_look || leading.handover.is_some() || self.draining {
            return;
        }
        self.standing.own_mut().next_placement_look = now + LOOK_EVERY;
        let is_spared = self.is_spared(self.options.node);
        let target = if is_spared { self.best_successor() } else { self.preferred_if_due() };
        let Some(target) = target else { return };
        debug_assert!(!self.is_spared(target), "nothing is handed to a node in maintenance");
        self.standing.own_mut().next_placement_look = now + AGAIN_AFTER;
        self.stats.fail_backs += u64::from(!is_spared);
        let why = if is_spared { Why::Drain } else { Why::FailBack };
        self.begin_handover(why, Some(target), None, None);
    }

    fn best_successor(&self) -> Option<NodeId> {
        debug_assert!(self.is_spared(self.options.node), "who is in service looks for no successor");
        self.best_fit(|_| true)
    }

    /// The best of those that could take over at once and are wanted.
    pub(super) fn best_fit(&self, is_wanted: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let peers = self.consensus.progress();
        let fit = peers.iter().filter(|peer| self.is_fit(peer) && is_wanted(peer.node));
        fit.max_by_key(|peer| self.merit(peer)).map(|peer| peer.node)
    }

    /// Whether it could take over at once.
    fn is_fit(&self, peer: &PeerProgress) -> bool {
        peer.voter
            && peer.active
            && !self.has_let_down(peer.node)
            && !peer.snapshot
            && peer.lag <= LAG_MAX
            && self.may_take_over(peer.node)
            && self.is_another(peer.node).is_none()
    }

    /// What makes one successor better than another: whether it took over when it was asked last, is in service, clients reach it, it has room, is on time; then how
    /// much it has.
    pub(super) fn merit(&self, peer: &PeerProgress) -> impl Ord + use<> {
        let (has_room, is_on_time) = (self.peers.has_room(peer.node), self.clocks.off_ms(peer.node) == 0);
        let is_reached = self.peers.is_reached(peer.node);
        (
            !self.has_let_down(peer.node),
            !self.is_spared(peer.node),
            is_reached,
            has_room,
            is_on_time,
            peer.matched,
            std::cmp::Reverse(peer.node),
        )
    }

    /// The node that the cluster file prefers, where a fail-back is due and could be done at once.
    fn preferred_if_due(&self) -> Option<NodeId> {
        let Placement { preferred, fail_back } = self.options.placement;
        let preferred = preferred.filter(|node| *node != self.options.node)?;
        let leading = self.standing.serving()?;
        let since = leading.serving_since?;
        let has_tenure = self.now.instant.since(since) >= self.options.tenure;
        let is_busy = leading.membership_change.is_some() || leading.raising.is_some();
        if is_busy || !(has_tenure || planted::is(Bug::FailBackAtOnce)) || !fail_back.is_due(self.wall()) {
            return None;
        }
        let peers = self.consensus.progress();
        let peer = peers.iter().find(|peer| peer.node == preferred)?;
        let is_well = self.peers.has_room(preferred)
            && self.peers.is_reached(preferred)
            && self.now.instant.since(self.peers.reached_since(preferred)) >= REACHED_FOR
            && self.clocks.off_ms(preferred) == 0;
        debug_assert_ne!(peer.node, self.options.node, "progress is that of others");
        (self.is_fit(peer) && is_well).then_some(preferred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_of_the_day_in_utc_and_may_go_over_midnight() {
        let at = |hour: i64, minute: i64| WallTime(((20_000 * 24 + hour) * 60 + minute) * 60_000 + 59_999);
        let night = FailBack::Within { from: 2 * 60, until: 4 * 60 };
        for (hour, minute, is_due) in
            [(1, 59, false), (2, 0, true), (3, 59, true), (4, 0, false), (14, 0, false)]
        {
            assert_eq!(night.is_due(at(hour, minute)), is_due, "{hour}:{minute}");
        }
        let midnight = FailBack::Within { from: 23 * 60 + 30, until: 30 };
        for (hour, minute, is_due) in
            [(23, 29, false), (23, 30, true), (0, 0, true), (0, 29, true), (0, 30, false)]
        {
            assert_eq!(midnight.is_due(at(hour, minute)), is_due, "{hour}:{minute}");
        }
        assert!(FailBack::Now.is_due(at(5, 0)) && !FailBack::Never.is_due(at(5, 0)));
        assert!(night.is_due(WallTime(-1_000 * 60 * 60 * 22 + 60_000)), "before 1970 there were nights, too");
    }
}
