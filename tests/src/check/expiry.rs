//! What has expired leaves its queue soon, unless a unit of work holds it (promise 11: it does not take the room of what
//! is put).

use std::collections::BTreeMap;
use std::time::Duration;

use trimaran_node::types::Index;

use crate::sim::node::Node;

pub const NAME: &str = "expiry on time";

/// Behind its time by the log's clock: from here on it is looked at.
const LATE: Duration = Duration::from_secs(2);
/// True time in which the leader may propose that it leaves.
const GRACE_US: u64 = 3_000_000;

/// Since when some message is late, and where the log ended when the leader must have seen that.
#[derive(Clone, Copy, Debug)]
struct Lateness {
    incarnation: u64,
    since: u64,
    logged: Option<Index>,
}

/// By node and queue manager.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    late: BTreeMap<(u64, usize), Lateness>,
}

impl Expiry {
    pub fn check(&mut self, now: u64, nodes: &BTreeMap<u64, Node>) -> Option<String> {
        for (id, node) in nodes {
            let minds = node.process.iter().flat_map(|process| process.minds.iter().enumerate());
            for (number, mind) in minds {
                let overdue = mind.replica.overdue();
                if overdue < LATE || node.is_paused(now) {
                    self.late.remove(&(*id, number));
                    continue;
                }
                let new = Lateness { incarnation: node.incarnation, since: now, logged: None };
                let late = self.late.entry((*id, number)).or_insert(new);
                if late.incarnation != node.incarnation {
                    *late = new;
                }
                let consensus = mind.replica.consensus();
                match late.logged {
                    None if now >= late.since + GRACE_US => late.logged = Some(consensus.last_index()),
                    // What was proposed until then is applied, and it was not that the message leaves.
                    Some(logged) if consensus.applied_index() > logged => {
                        return Some(format!(
                            "node {id} serves queue manager {number} and has a message on it whose time was over \
                             {overdue:?} ago"
                        ));
                    }
                    _ => {}
                }
            }
        }
        None
    }
}
