//! The time of the log is what a majority of clocks says: expiry goes by it, and put times. Looked at when every fault
//! has ended, where a majority of the clocks agrees; one clock that jumped moves nothing, and a log that was far ahead
//! comes back.

use std::collections::BTreeMap;

use trimaran_node::types::{Index, Term};

use crate::sim::node::Node;

pub const NAME: &str = "time of the log";

/// What a leader needs to hear all clocks, when everybody is there again and when it is a new one: with four of seven it
/// goes by the slowest of them.
const SETTLE_US: u64 = 3_000_000;
/// From so many entries on some had a time in them.
const ENTRIES: u64 = 20;
/// Clocks that differ by less agree.
const AGREE_MS: i64 = 2_000;
/// A log that is ahead by less stands until the clocks have caught up.
const AHEAD_MS_MAX: i64 = 13_000;
const BEHIND_MS_MAX: i64 = 3_000;

#[derive(Clone, Debug, Default)]
pub struct LogTime {
    /// Since when a node serves in its term, and where it was then.
    since: BTreeMap<(u64, usize), (Term, Index, u64)>,
    /// Where it was at the last look: a log that nothing is added to stands still, and its time with it.
    applied: BTreeMap<(u64, usize), Index>,
}

impl LogTime {
    pub fn check(&mut self, now: u64, healed_at: Option<u64>, nodes: &BTreeMap<u64, Node>) -> Option<String> {
        // A leader does not ask a node that recovers for its clock.
        let is_away = |node: &Node| node.member && (!node.is_running() || node.is_recovering());
        let is_early = healed_at.is_none_or(|healed| now < healed + SETTLE_US);
        if is_early || nodes.values().any(is_away) {
            self.since.clear();
            return None;
        }
        for (id, node) in nodes {
            for (number, mind) in node.process.iter().flat_map(|process| &process.minds).enumerate() {
                if !mind.role.is_serving() {
                    self.since.remove(&(*id, number));
                    continue;
                }
                let here = (mind.term, mind.applied, now);
                let since = self.since.entry((*id, number)).or_insert(here);
                if since.0 != mind.term {
                    *since = here;
                }
                let is_still = self.applied.insert((*id, number), mind.applied) == Some(mind.applied);
                if is_still || mind.applied.0 < since.1.0 + ENTRIES || now < since.2 + SETTLE_US {
                    continue;
                }
                let voters = mind.membership.voters.iter().filter_map(|voter| nodes.get(&voter.0));
                let Some(agreed) = agreed(voters.map(|node| node.clock.now(now).wall.0).collect()) else {
                    continue;
                };
                let ahead = mind.replica.queue_manager().at().0 - agreed;
                if !(-BEHIND_MS_MAX..=AHEAD_MS_MAX).contains(&ahead) {
                    return Some(format!(
                        "the log of queue manager {number} on node {id} is {ahead} ms ahead of what a majority of clocks says"
                    ));
                }
            }
        }
        None
    }
}

fn agreed(mut clocks: Vec<i64>) -> Option<i64> {
    clocks.sort_unstable_by(|a, b| b.cmp(a));
    let majority = clocks.len() / 2 + 1;
    let agree = |together: &&[i64]| together[0] - together[majority - 1] <= AGREE_MS;
    clocks.windows(majority).find(agree).map(|together| together[majority - 1])
}
