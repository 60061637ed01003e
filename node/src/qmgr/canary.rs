//! What canaries saw of this queue manager from outside: whether a small persistent message can be put and got as clients do it,
//! each second (`runtime/canary.rs` does it, `replica/canary.rs` brings what came of it).
//!
//! Only good rounds are known here. That nobody got through is the time between two of them, so it is seen by whoever gets
//! through next, needs nobody who was there, and is no matter of one canary that is cut off: it counts where no canary of any node
//! had a good round. The queue manager that nobody serves is found down by the first round after it, whatever became of the nodes.
//! A time in which somebody served and no canary was heard of says nothing, unless a canary comes that watched all the while.

use std::time::Duration;

use prost::Message as _;
use trimaran_proto::admin::v1::{Canary, CanaryGap};
use trimaran_proto::failover::GAPS_KEPT;

use crate::types::planted::{self, Bug};
use crate::types::{NodeId, WallTime};

/// A round begins each second and has one for itself: good ones are further apart only when one was not.
const GOOD_APART_MS_MAX: i64 = 2_000;

impl super::QueueManager {
    /// None where no canary was ever heard of.
    pub fn canary(&self) -> Option<&Canary> {
        debug_assert!(
            self.canary.as_ref().is_none_or(|canary| canary.since_ms <= canary.good_ms),
            "it watches since a good round, or an earlier one"
        );
        self.canary.as_ref()
    }
}

/// A round was good, now.
pub(super) fn note_good(canary: &mut Option<Canary>, node: NodeId, silent: Option<Duration>, at: WallTime) {
    debug_assert_ne!(node, NodeId(0), "a round is some node's");
    let first = || Canary { since_ms: at.0, good_ms: at.0, ..Canary::default() };
    let canary = canary.get_or_insert_with(first);
    if planted::is(Bug::CanaryAlone) {
        canary.good_ms = canary.good_ms.min(at.0 - silent.map_or(0, |silent| silent.as_millis() as i64));
    }
    let gap_ms = at.0.saturating_sub(canary.good_ms);
    if gap_ms > GOOD_APART_MS_MAX {
        let silent_ms = silent.map_or(0, |silent| i64::try_from(silent.as_millis()).unwrap_or(i64::MAX));
        let unwatched = canary.lapsed && silent_ms.saturating_add(GOOD_APART_MS_MAX) < gap_ms;
        if !unwatched {
            canary.outages = canary.outages.saturating_add(1);
            canary.down_ms = canary.down_ms.saturating_add(gap_ms as u64);
        }
        canary.gaps.push(CanaryGap { from_ms: canary.good_ms, to_ms: at.0, unwatched, node: node.0 });
        if canary.gaps.len() > GAPS_KEPT {
            canary.since_ms = canary.gaps.remove(0).to_ms;
        }
        debug_assert!(canary.gaps.len() <= GAPS_KEPT, "so many are kept");
    }
    canary.lapsed = false;
    // The log's time may have gone back.
    canary.good_ms = canary.good_ms.max(at.0);
}

/// Somebody served for long, and heard of no good round.
pub(super) fn lapse(canary: &mut Option<Canary>) {
    if let Some(canary) = canary {
        canary.lapsed = true;
    }
}

/// Somebody had ended the queue manager, so that nobody could get through, and starts it again.
pub(super) fn watch_anew(canary: &mut Option<Canary>, at: WallTime) {
    let Some(canary) = canary else { return };
    if at.0 > canary.good_ms {
        let gap = CanaryGap { from_ms: canary.good_ms, to_ms: at.0, unwatched: true, node: 0 };
        canary.gaps.push(gap);
        if canary.gaps.len() > GAPS_KEPT {
            canary.since_ms = canary.gaps.remove(0).to_ms;
        }
        canary.good_ms = at.0;
    }
    debug_assert!(canary.gaps.len() <= GAPS_KEPT, "so many are kept");
}

/// Of a row. Says what is wrong with it.
pub(super) fn load(row: &[u8]) -> Result<Canary, String> {
    let canary = Canary::decode(row).map_err(|error| error.to_string())?;
    let times = canary.gaps.iter().flat_map(|gap| [gap.from_ms, gap.to_ms]);
    let times: Vec<i64> = std::iter::once(canary.since_ms).chain(times).chain([canary.good_ms]).collect();
    if canary.gaps.len() > GAPS_KEPT || !times.is_sorted() {
        return Err("what canaries saw is not in the order of time".into());
    }
    Ok(canary)
}

/// What copies have alike: of the gaps, which are only added to, the newest stands for all.
pub(super) fn digest(canary: &Canary) -> impl std::hash::Hash + use<> {
    let Canary { since_ms, good_ms, lapsed, outages, down_ms, .. } = *canary;
    debug_assert!(good_ms >= since_ms, "a round was good when it began to watch");
    let last = canary.gaps.last().map(CanaryGap::encode_to_vec);
    (since_ms, good_ms, lapsed, outages, down_ms, canary.gaps.len(), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn good(canary: &mut Option<Canary>, node: NodeId, silent_s: Option<u64>, at_s: i64) {
        note_good(canary, node, silent_s.map(Duration::from_secs), WallTime(at_s * 1000));
    }

    fn gaps(canary: &Option<Canary>) -> Vec<(i64, i64, bool)> {
        let gaps = canary.as_ref().map(|canary| canary.gaps.as_slice()).unwrap_or_default();
        gaps.iter().map(|gap| (gap.from_ms / 1000, gap.to_ms / 1000, gap.unwatched)).collect()
    }

    #[test]
    fn down_is_from_a_good_round_of_any_node_to_the_next_one_of_any() {
        let mut canary = None;
        good(&mut canary, A, None, 100);
        good(&mut canary, B, None, 101);
        // A is cut off, and B is not.
        (102..=120).for_each(|at| good(&mut canary, B, Some(1), at));
        good(&mut canary, A, Some(20), 121);
        assert_eq!(gaps(&canary), []);
        good(&mut canary, B, Some(9), 130);
        assert_eq!(gaps(&canary), [(121, 130, false)]);
        let canary = canary.unwrap();
        assert_eq!((canary.since_ms, canary.outages, canary.down_ms), (100_000, 1, 9_000));
    }

    #[test]
    fn when_all_were_down_the_first_round_after_it_knows_since_when() {
        let mut canary = None;
        good(&mut canary, A, None, 100);
        good(&mut canary, B, None, 400);
        assert_eq!(gaps(&canary), [(100, 400, false)]);
    }

    #[test]
    fn a_time_in_which_nobody_watched_is_no_outage_unless_somebody_watched_after_all() {
        let mut canary = None;
        lapse(&mut canary);
        assert_eq!(canary, None, "nobody ever watched");
        good(&mut canary, A, None, 100);
        lapse(&mut canary);
        good(&mut canary, A, None, 4_000);
        assert_eq!(gaps(&canary), [(100, 4_000, true)], "it was off");
        // The address was not reached, and somebody served.
        lapse(&mut canary);
        good(&mut canary, A, Some(200), 4_200);
        assert_eq!(gaps(&canary)[1..], [(4_000, 4_200, false)]);
        assert_eq!(canary.as_ref().map(|canary| (canary.outages, canary.down_ms)), Some((1, 200_000)));
        // Who watches since its own start knows less.
        lapse(&mut canary);
        good(&mut canary, B, Some(100), 4_500);
        assert_eq!(gaps(&canary)[2..], [(4_200, 4_500, true)]);
    }

    #[test]
    fn the_oldest_gaps_go_and_what_is_known_begins_later() {
        let mut canary = None;
        for round in 0..GAPS_KEPT as i64 + 6 {
            good(&mut canary, A, Some(10), round * 10);
        }
        let canary = canary.unwrap();
        assert_eq!((canary.gaps.len(), canary.outages), (GAPS_KEPT, GAPS_KEPT as u64 + 5));
        assert_eq!(canary.since_ms, canary.gaps[0].from_ms);
        assert_eq!(load(&canary.encode_to_vec()), Ok(canary.clone()));
        let turned = Canary { since_ms: 2, good_ms: 1, ..Canary::default() };
        assert!(load(&turned.encode_to_vec()).is_err());
    }

    #[test]
    fn a_log_whose_time_went_back_makes_no_gap() {
        let mut canary = None;
        good(&mut canary, A, None, 100);
        good(&mut canary, A, Some(1), 50);
        assert_eq!(canary.as_ref().map(|canary| canary.good_ms), Some(100_000));
        assert_eq!(gaps(&canary), []);
    }
}
