//! No session keeps the others waiting: a turn does not take longer than it may, and in each turn those go first who have
//! waited for longest.

use trimaran_node::replica::Replica;

pub const NAME: &str = "no session stops the others";

/// What all calls together may add to a turn, and with it to the wait of somebody else's put; and what is applied.
pub const TURN_US_MAX: u64 = 20_000;

/// Looks are slow in a run, so that a few of them matter. A group that applied as slowly would never be done.
const APPLIED_A_LOOK: u64 = 8;

/// How long the turn took that a replica just had.
pub fn duration_us(replica: &Replica, look_us: u64) -> u64 {
    let (calls, applied) = replica.turn_work();
    (calls + applied / APPLIED_A_LOOK) * look_us
}

pub fn after_turn(node: u64, sessions: usize, replica: &Replica, look_us: u64) -> Option<String> {
    let (calls, applied) = replica.turn_work();
    for (work, what) in [(calls, "calls"), (applied / APPLIED_A_LOOK, "what was committed")] {
        if work * look_us > TURN_US_MAX {
            return Some(format!("node {node} spent {} us of a turn on {what}", work * look_us));
        }
    }
    // Of those in front of it everybody has had a call carried out, or a part of it.
    let (waiting, turns) = replica.line();
    (turns > 2 + sessions as u64)
        .then(|| format!("a session on node {node} has waited for {turns} turns, in a line of {waiting}"))
}
