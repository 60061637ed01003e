//! A reported depth lies between what must be on the queue and what may be: monitoring tells the truth.

use super::Complaint;
use super::facts::{Certainty, Facts, seconds};
use crate::model::history::{Fate, History, What};

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut complaints = Vec::new();
    for operation in &history.operations {
        let What::Depth { queue, depth: Some(depth) } = operation.what else { continue };
        let (Some(ended), true) = (operation.ended, history.queues[queue as usize].ordered) else { continue };
        let begun = operation.begun;
        let (mut least, mut most) = (0i64, 0i64);
        for (key, put) in facts.puts.iter().filter(|(_, put)| put.put.queue == queue) {
            let deliveries = facts.of(*key);
            let surely_gone = deliveries
                .iter()
                .any(|d| d.taken == Certainty::Yes && d.taking_ended.is_some_and(|at| at < begun));
            let perhaps_gone = deliveries.iter().any(|d| d.taken != Certainty::No && d.begun <= ended);
            let surely_there = put.visible == Certainty::Yes
                && put.put.persistent
                && !put.put.expires
                && put.ended.is_some_and(|at| at < begun);
            // What is in a unit may be counted; a unit that was over before is not.
            let over = history.unit(put.put.unit).is_some_and(|unit| {
                unit.fate == Fate::BackedOut
                    && unit.backout_answered
                    && unit.ended.is_some_and(|at| at < begun)
            });
            let refused = put.put.unit == 0 && put.visible == Certainty::No;
            least += i64::from(surely_there && !perhaps_gone);
            most += i64::from(put.perhaps_twice);
            most += i64::from(
                put.begun.min(first_asked(history, put)) <= ended && !surely_gone && !over && !refused,
            );
        }
        least -= facts.uncertain_plain(queue) as i64;
        if (depth as i64) < least || (depth as i64) > most {
            complaints.push(Complaint::new(
                "depth",
                format!(
                    "{} was reported {depth} deep at {}; at least {} and at most {most} messages can have been there",
                    history.queues[queue as usize].name,
                    seconds(ended),
                    least.max(0)
                ),
            ));
        }
    }
    complaints
}

fn first_asked(history: &History, put: &super::facts::PutFact<'_>) -> u64 {
    history.unit(put.put.unit).map_or(put.begun, |unit| unit.begun)
}
