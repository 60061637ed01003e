//! The time of the log is what a majority of clocks says: expiry goes by it, and put times. Looked at when every fault
//! has ended and an operator has had something changed, so that the log has an entry of then: clocks that jumped
//! have moved nothing, and a log that was far ahead came back.

use std::collections::BTreeMap;

use crate::sim::node::Node;

pub const NAME: &str = "time of the log";

/// What a new leader needs to hear the clocks of the others. What is asked for earlier may get the time of the entry
/// before.
pub const HEARD_US: u64 = 3_000_000;
/// Clocks that differ by less agree.
const AGREE_MS: i64 = 2_000;
/// A log that is ahead by less stands until the clocks have caught up.
const AHEAD_MS_MAX: i64 = 13_000;
const BEHIND_MS_MAX: i64 = 3_000;

/// `altered_at` is when each queue manager had an entry of then.
pub fn check(now: u64, altered_at: &[u64], nodes: &BTreeMap<u64, Node>) -> Option<String> {
    let processes = nodes.iter().filter_map(|(id, node)| Some((id, node.process.as_ref()?)));
    let minds =
        processes.flat_map(|(id, process)| process.minds.iter().enumerate().map(move |mind| (id, mind)));
    minds.filter(|(_, (_, mind))| mind.role.is_serving()).find_map(|(id, (number, mind))| {
        let voters = mind.membership.voters.iter().filter_map(|voter| nodes.get(&voter.0));
        let agreed = agreed(voters.map(|node| node.clock.now(now).wall.0).collect())?;
        let ahead = mind.replica.queue_manager().at().0 - agreed;
        let since_ms = (now - altered_at[number]) as i64 / 1_000;
        let is_wrong = !(-BEHIND_MS_MAX - since_ms..=AHEAD_MS_MAX).contains(&ahead);
        is_wrong.then(|| {
            format!(
                "the log of queue manager {number} on node {id} is {ahead} ms ahead of what a majority of clocks says"
            )
        })
    })
}

/// What a majority's clocks have come to, where there is one whose clocks agree.
fn agreed(mut clocks: Vec<i64>) -> Option<i64> {
    clocks.sort_unstable_by(|a, b| b.cmp(a));
    let majority = clocks.len() / 2 + 1;
    let agree = |together: &&[i64]| together[0] - together[majority - 1] <= AGREE_MS;
    clocks.windows(majority).find(agree).map(|together| together[majority - 1])
}
