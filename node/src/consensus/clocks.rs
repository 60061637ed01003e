//! What the clocks of a group say, as far as its leader was told.
//!
//! A heartbeat's answer carries the wall clock of whoever answers. Each reading is kept as its distance from this
//! node's monotonic clock, so that a wall clock that jumps, this node's own most of all, moves nothing but itself. The
//! time that goes into the log is made of all of them ([`Clocks::majority`]): one clock that is wrong, whoever's it
//! is, changes nothing.
//!
//! A reading is as good as the round trip that brought it: it lies in the middle of that, and the lease takes no answer
//! to a round that is older than an election timeout. So it is wrong by half of that at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{ClocksDiffer, Instant, Membership, NodeId, Now, WallTime};

/// A clock that is not heard again for so long is not known any more.
const AGE_MAX: Duration = Duration::from_secs(10);
/// Clocks that differ by more do not agree (`trimaran-node check` says so from there on, too).
const DIFFERENCE_MAX_MS: i64 = 2_000;

/// The time of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Majority {
    /// A majority of the voters' clocks has come this far. Never ahead of all but a minority.
    pub reached: WallTime,
    /// The same of a majority whose clocks agree with each other, if there is one.
    pub agreed: Option<WallTime>,
}

/// The leader's side; empty on others.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    readings: BTreeMap<NodeId, Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Milliseconds that the wall clock was ahead of this node's monotonic clock.
    ahead_ms: i64,
    at: Instant,
}

impl Clocks {
    /// A new term of leadership.
    pub fn begin(&mut self) {
        self.readings.clear();
    }

    /// `node`'s clock was read between `asked` and `now`.
    pub fn hear(&mut self, node: NodeId, wall: WallTime, asked: Instant, now: Instant) {
        debug_assert!(asked <= now, "an answer comes after its question");
        let middle = Instant(asked.0 + now.0.saturating_sub(asked.0) / 2);
        let ahead_ms = wall.0.saturating_sub(ms(middle));
        self.readings.insert(node, Reading { ahead_ms, at: now });
    }

    /// None while too few clocks of a majority are known.
    pub fn majority(&self, me: NodeId, membership: &Membership, now: Now) -> Option<Majority> {
        let ahead = self.ahead(me, now);
        let new = Half::of(&membership.voters, &ahead)?;
        let (reached, agreed) = match Half::of(&membership.voters_outgoing, &ahead) {
            None if membership.voters_outgoing.is_empty() => (new.reached, new.agreed),
            None => return None,
            Some(old) => (new.reached.min(old.reached), new.agreed.zip(old.agreed).map(|(a, b)| a.min(b))),
        };
        let wall = |ahead_ms: i64| WallTime(ahead_ms.saturating_add(ms(now.instant)));
        Some(Majority { reached: wall(reached), agreed: agreed.map(wall) })
    }

    /// By how many milliseconds each known clock of a member is ahead of what a majority agrees on, where that is too
    /// much. Nobody where no majority agrees: [`Clocks::undecided`].
    pub fn off(&self, me: NodeId, membership: &Membership, now: Now) -> BTreeMap<NodeId, i64> {
        let agreed = self.majority(me, membership, now).and_then(|majority| majority.agreed);
        let Some(agreed) = agreed else { return BTreeMap::new() };
        let base = agreed.0.saturating_sub(ms(now.instant));
        let members = self.ahead(me, now).into_iter().filter(|(node, _)| membership.nodes.contains_key(node));
        let off = members.map(|(node, ahead_ms)| (node, ahead_ms.saturating_sub(base)));
        let off: BTreeMap<NodeId, i64> = off.filter(|(_, off_ms)| off_ms.abs() > DIFFERENCE_MAX_MS).collect();
        debug_assert!(
            !membership.voters_outgoing.is_empty()
                || agreed.0 == i64::MAX // a sum that ends there says less than its parts
                || 2 * off.keys().filter(|node| membership.voters.contains(node)).count()
                    < membership.voters.len(),
            "fewer than half of the clocks differ from those of a majority"
        );
        off
    }

    /// Where enough clocks are known and no majority of them agrees: each of them may be the one that is right.
    pub fn undecided(&self, me: NodeId, membership: &Membership, now: Now) -> Option<ClocksDiffer> {
        let majority = self.majority(me, membership, now)?;
        if majority.agreed.is_some() {
            return None;
        }
        let voters = &membership.voters | &membership.voters_outgoing;
        let mut known = self.ahead(me, now);
        known.retain(|node, _| voters.contains(node));
        let (ahead, most) = known.iter().max_by_key(|(_, ahead_ms)| **ahead_ms)?;
        let (behind, least) = known.iter().min_by_key(|(_, ahead_ms)| **ahead_ms)?;
        let by_ms = most.saturating_sub(*least);
        debug_assert!(by_ms > DIFFERENCE_MAX_MS, "clocks that are together agree");
        let unheard = voters.iter().filter(|voter| !known.contains_key(voter)).copied().collect();
        Some(ClocksDiffer { ahead: *ahead, behind: *behind, by_ms, unheard })
    }

    fn ahead(&self, me: NodeId, now: Now) -> BTreeMap<NodeId, i64> {
        let known = self.readings.iter().filter(|(_, reading)| now.instant.since(reading.at) <= AGE_MAX);
        let mut ahead: BTreeMap<NodeId, i64> =
            known.map(|(node, reading)| (*node, reading.ahead_ms)).collect();
        let own = ahead.insert(me, now.wall.0.saturating_sub(ms(now.instant)));
        debug_assert!(own.is_none(), "a node asks others for their clocks, not itself");
        ahead
    }
}

/// One half of a configuration: how far its clocks are ahead of the leader's monotonic one.
struct Half {
    reached: i64,
    agreed: Option<i64>,
}

impl Half {
    fn of(voters: &BTreeSet<NodeId>, ahead: &BTreeMap<NodeId, i64>) -> Option<Half> {
        let mut known: Vec<i64> = voters.iter().filter_map(|voter| ahead.get(voter)).copied().collect();
        known.sort_unstable_by(|a, b| b.cmp(a));
        let majority = voters.len() / 2 + 1;
        let reached = *known.get(majority - 1)?;
        let agree =
            |together: &&[i64]| together[0].saturating_sub(together[majority - 1]) <= DIFFERENCE_MAX_MS;
        let agreed = known.windows(majority).find(agree).map(|together| together[majority - 1]);
        debug_assert!(known.len() <= voters.len(), "a voter has one clock");
        debug_assert!(
            agreed.is_none_or(|agreed| agreed <= reached),
            "those who agree have come no further than some majority"
        );
        debug_assert!(
            known.iter().filter(|ahead| **ahead >= reached).count() >= majority,
            "a majority has come this far"
        );
        Some(Half { reached, agreed })
    }
}

fn ms(instant: Instant) -> i64 {
    (instant.0 / 1000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeInfo;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);
    const DAY: i64 = 86_400_000;

    fn three() -> Membership {
        let nodes = [A, B, C];
        Membership {
            voters: nodes.into(),
            nodes: nodes.map(|node| (node, NodeInfo::default())).into(),
            ..Membership::default()
        }
    }

    fn now(instant_ms: u64, wall: i64) -> Now {
        Now { instant: Instant(instant_ms * 1000), wall: WallTime(wall) }
    }

    /// B and C were asked at 1000 ms and heard at 1020 ms, and read their clocks in between.
    fn heard(b: i64, c: i64) -> Clocks {
        let mut clocks = Clocks::default();
        clocks.hear(B, WallTime(b), Instant(1_000_000), Instant(1_020_000));
        clocks.hear(C, WallTime(c), Instant(1_000_000), Instant(1_020_000));
        clocks
    }

    fn time(clocks: &Clocks, own: Now) -> Option<(i64, Option<i64>)> {
        let majority = clocks.majority(A, &three(), own)?;
        Some((majority.reached.0, majority.agreed.map(|agreed| agreed.0)))
    }

    #[test]
    fn the_time_is_what_a_majority_of_clocks_has_reached() {
        let clocks = heard(500_000, 500_004);
        assert_eq!(time(&clocks, now(2010, 501_002)), Some((501_002, Some(501_002))));
        assert_eq!(time(&clocks, now(2010, 501_002 + DAY)), Some((501_004, Some(501_000))));
        assert_eq!(time(&clocks, now(2010, 501_002 - DAY)), Some((501_000, Some(501_000))));
        assert_eq!(time(&heard(500_000 + DAY, 500_000), now(2010, 501_001)), Some((501_001, Some(501_000))));
    }

    #[test]
    fn alone_among_three_no_clock_is_believed_and_an_old_reading_is_none() {
        assert_eq!(time(&Clocks::default(), now(2010, 501_002)), None);
        assert_eq!(time(&heard(500_000, 500_000), now(1020 + 10_001, 510_000)), None);
    }

    #[test]
    fn where_no_majority_agrees_the_time_is_still_one_that_a_majority_has_reached() {
        let mut clocks = Clocks::default();
        clocks.hear(B, WallTime(500_000 - DAY), Instant(1_000_000), Instant(1_020_000));
        assert_eq!(time(&clocks, now(2010, 501_000)), Some((501_000 - DAY, None)));
    }

    #[test]
    fn where_no_majority_agrees_no_clock_is_accused() {
        let own = now(2010, 501_000);
        let mut two = Clocks::default();
        two.hear(B, WallTime(500_000 - DAY), Instant(1_000_000), Instant(1_020_000));
        assert_eq!(two.off(A, &three(), own), [].into());
        let differ = |unheard: &[NodeId]| ClocksDiffer {
            ahead: A,
            behind: B,
            by_ms: DAY,
            unheard: unheard.iter().copied().collect(),
        };
        assert_eq!(two.undecided(A, &three(), own), Some(differ(&[C])));
        let three_apart = heard(500_000 - DAY, 500_000 - DAY / 2);
        assert_eq!(three_apart.off(A, &three(), own), [].into());
        assert_eq!(three_apart.undecided(A, &three(), own), Some(differ(&[])));
        // The third decides.
        assert_eq!(heard(500_000 - DAY, 500_000).undecided(A, &three(), own), None);
        assert_eq!(Clocks::default().undecided(A, &three(), own), None);
    }

    #[test]
    fn a_clock_that_is_off_is_known_by_how_much() {
        let off = |b, c, own| heard(b, c).off(A, &three(), now(2010, own));
        assert_eq!(off(500_000, 501_900, 501_000), [].into());
        assert_eq!(off(500_000, 500_000, 501_000 + DAY), [(A, DAY)].into());
        assert_eq!(off(500_000 - DAY, 500_000, 501_000), [(B, -DAY)].into());
    }
}
