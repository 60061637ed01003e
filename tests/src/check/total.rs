//! What goes in must come out, once: nothing acknowledged is lost, nothing is taken twice, nothing comes from nowhere
//! (promises 1, 2 and 3).

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::{Certainty, Facts, name, seconds};
use crate::model::history::{History, What};

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut complaints = Vec::new();
    for (key, deliveries) in &facts.deliveries {
        let first = &deliveries[0];
        let queue = &history.queues[first.get.queue as usize].name;
        match facts.puts.get(key).map(|put| put.visible) {
            None => complaints.push(Complaint::new(
                "phantom",
                format!("{} was got from {queue} and nobody put it", name(*key)),
            )),
            Some(Certainty::No) => complaints.push(Complaint::new(
                "phantom",
                format!(
                    "{} was got from {queue} at {}, though its put was refused or its unit backed out",
                    name(*key),
                    seconds(first.ended)
                ),
            )),
            _ => {}
        }
        if facts.puts.get(key).is_some_and(|put| first.ended < put.begun) {
            complaints.push(Complaint::new(
                "phantom",
                format!("{} was got from {queue} at {}, before it was put", name(*key), seconds(first.ended)),
            ));
        }
        if facts.is_perhaps_twice(*key) {
            continue;
        }
        let taken: Vec<_> = deliveries.iter().filter(|delivery| delivery.taken == Certainty::Yes).collect();
        if let [one, two, ..] = taken.as_slice() {
            complaints.push(Complaint::new(
                "duplicate",
                format!(
                    "{} was taken for good twice: at {} by program {} and at {} by program {}",
                    name(*key),
                    seconds(one.ended),
                    one.program,
                    seconds(two.ended),
                    two.program
                ),
            ));
        }
    }
    complaints.extend(lost(history, &facts));
    complaints
}

/// Gets outside syncpoint whose answer was lost took at most one message each: so many may be missing on a queue.
fn lost(history: &History, facts: &Facts<'_>) -> Vec<Complaint> {
    let mut missing: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for (key, put) in &facts.puts {
        let certain = put.visible == Certainty::Yes && put.put.persistent && !put.put.expires;
        if !certain || history.queues[put.put.queue as usize].may_lose {
            continue;
        }
        let taken = facts.of(*key).iter().any(|delivery| delivery.taken != Certainty::No);
        if !taken {
            missing.entry(put.put.queue).or_default().push((*key, put.ended));
        }
    }
    let mut complaints = Vec::new();
    for (queue, missing) in missing {
        // A queue's messages may also be taken from where the queue manager moves them.
        let moved_to = moved_to(history, queue);
        let excused = facts.uncertain_plain(queue) + moved_to.map_or(0, |to| facts.uncertain_plain(to));
        if missing.len() > excused {
            let (key, ended) = missing[0];
            let queue = &history.queues[queue as usize].name;
            complaints.push(Complaint::new(
                "lost",
                format!(
                    "{} acknowledged at {} on {queue} is lost ({} missing there, {excused} of them may have been taken by gets whose answer was lost)",
                    name(key),
                    ended.map_or("?".to_string(), seconds),
                    missing.len()
                ),
            ));
        }
    }
    complaints
}

fn moved_to(history: &History, queue: u32) -> Option<u32> {
    let facts = &history.queues[queue as usize];
    let parked = facts.name.replace('@', ".PARKED@");
    history.queues.iter().position(|other| other.name == parked).map(|number| number as u32)
}

/// Whether the history ends with every queue empty: without a drain a missing message proves nothing.
pub fn is_drained(history: &History) -> bool {
    let mut last_empty = BTreeMap::new();
    for operation in &history.operations {
        if let What::Get(get) = &operation.what {
            last_empty.insert(get.queue, get.got.is_none());
        }
    }
    last_empty.values().all(|empty| *empty)
}
