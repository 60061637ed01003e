//! Browsing shows nothing that is not committed or is gone, and a whole walk misses nothing that was there all the
//! time (promise 6).

use std::collections::{BTreeMap, BTreeSet};

use super::Complaint;
use super::facts::{Certainty, Facts, name, seconds};
use crate::model::body::BodyKey;
use crate::model::history::{History, What};

#[derive(Default)]
struct Walk {
    queue: u32,
    begun: u64,
    ended: u64,
    complete: bool,
    seen: BTreeSet<BodyKey>,
    twice: Option<BodyKey>,
}

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut complaints = Vec::new();
    let mut walks: BTreeMap<(u32, u32), Walk> = BTreeMap::new();
    for operation in &history.operations {
        let What::Browse(browse) = &operation.what else { continue };
        let Some(ended) = operation.ended else { continue };
        let walk = walks.entry((operation.program, browse.walk)).or_default();
        if browse.first {
            walk.begun = operation.begun;
            walk.queue = browse.queue;
        }
        walk.ended = ended;
        walk.complete |= browse.end;
        let Some(got) = &browse.got else { continue };
        let twice = facts.is_perhaps_twice(got.key);
        if !walk.seen.insert(got.key) && !twice {
            walk.twice = Some(got.key);
        }
        let shown = format!("{} was browsed at {}", name(got.key), seconds(ended));
        match facts.puts.get(&got.key) {
            None => complaints.push(Complaint::new("browse", format!("{shown} and nobody put it"))),
            Some(put) if put.visible == Certainty::No => complaints
                .push(Complaint::new("browse", format!("{shown}, though its put was refused or backed out"))),
            Some(put) if ended < put.begun => {
                complaints.push(Complaint::new("browse", format!("{shown}, before its commit was asked for")))
            }
            _ => {}
        }
        let gone = facts.of(got.key).iter().find(|delivery| {
            delivery.taken == Certainty::Yes
                && delivery.taking_ended.is_some_and(|ended| ended < operation.begun)
                && !twice
        });
        if let Some(delivery) = gone {
            complaints.push(Complaint::new(
                "browse",
                format!("{shown}, though program {} had taken it for good before", delivery.program),
            ));
        }
    }
    for ((program, number), walk) in walks.iter().filter(|(_, walk)| walk.complete && walk.begun > 0) {
        if let Some(key) = walk.twice {
            complaints.push(Complaint::new(
                "browse",
                format!("walk {number} of program {program} showed {} twice", name(key)),
            ));
        }
        if history.queues[walk.queue as usize].ordered {
            complaints.extend(missed(history, &facts, *program, *number, walk));
        }
    }
    complaints
}

fn missed(history: &History, facts: &Facts<'_>, program: u32, number: u32, walk: &Walk) -> Option<Complaint> {
    if facts.may_have_been_held(walk.queue, walk.begun, walk.ended) {
        return None;
    }
    let missed = facts.puts.iter().find(|(key, put)| {
        put.put.queue == walk.queue
            && put.visible == Certainty::Yes
            && put.put.persistent
            && !put.put.expires
            && put.ended.is_some_and(|ended| ended < walk.begun)
            && !walk.seen.contains(key)
            && !facts.of(**key).is_empty()
            && facts.of(**key).iter().all(|delivery| delivery.begun > walk.ended)
    });
    missed.map(|(key, _)| {
        Complaint::new(
            "browse",
            format!(
                "walk {number} of program {program} over {} from {} to {} did not show {}, which was there all the time",
                history.queues[walk.queue as usize].name,
                seconds(walk.begun),
                seconds(walk.ended),
                name(*key)
            ),
        )
    })
}
