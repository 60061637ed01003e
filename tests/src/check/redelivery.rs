//! A message that was taken for good is never seen again; one that comes again was given back before, and says so in
//! its backout count (promise 3).

use super::Complaint;
use super::facts::{Certainty, Delivery, Facts, name, seconds};
use crate::model::history::{Fate, History};

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut complaints = Vec::new();
    for (key, deliveries) in &facts.deliveries {
        for (place, later) in deliveries.iter().enumerate() {
            for earlier in deliveries.iter().filter(|earlier| !std::ptr::eq(*earlier, later)) {
                if let Some(sentence) = again(earlier, later) {
                    complaints.push(Complaint::new("redelivery", format!("{} {sentence}", name(*key))));
                }
            }
            let queue = later.get.queue;
            let lost_answers = facts
                .uncertain
                .get(&queue)
                .map_or(0, |list| list.iter().filter(|get| get.begun < later.ended).count());
            let given_back = deliveries[..place].iter().filter(|d| d.taken != Certainty::Yes).count();
            let count = later.backout_count as usize;
            // A unit whose fate is not known can have been backed out just as well.
            if count > given_back + lost_answers && history.queues[queue as usize].ordered {
                complaints.push(Complaint::new(
                    "backout count",
                    format!(
                        "{} came at {} with backout count {count} after {given_back} deliveries that were given back",
                        name(*key),
                        seconds(later.ended)
                    ),
                ));
            }
            let surely =
                deliveries[..place].iter().filter(|d| surely_backed_out(history, d, later.begun)).count();
            if count < surely && history.queues[queue as usize].ordered {
                complaints.push(Complaint::new(
                    "backout count",
                    format!(
                        "{} came at {} with backout count {count} after {surely} answered back-outs",
                        name(*key),
                        seconds(later.ended)
                    ),
                ));
            }
        }
    }
    complaints
}

fn again(earlier: &Delivery<'_>, later: &Delivery<'_>) -> Option<String> {
    if earlier.get.unit != 0 && earlier.get.unit == later.get.unit && earlier.begun < later.begun {
        return Some(format!("was delivered twice within unit {}", earlier.get.unit));
    }
    if earlier.taken != Certainty::Yes {
        return None;
    }
    if earlier.taking_ended.is_some_and(|ended| later.begun > ended) {
        return Some(format!(
            "was taken for good by program {} at {} and delivered again to program {} at {}",
            earlier.program,
            seconds(earlier.taking_ended.unwrap_or_default()),
            later.program,
            seconds(later.ended)
        ));
    }
    // Held by a unit that went on to commit: nobody else may see it in between.
    let held_from = earlier.ended;
    let held_until = earlier.taking_begun?;
    (earlier.get.unit != 0 && later.begun > held_from && later.ended < held_until).then(|| {
        format!(
            "was held by unit {} of program {} from {} to {} and delivered to program {} at {}",
            earlier.get.unit,
            earlier.program,
            seconds(held_from),
            seconds(held_until),
            later.program,
            seconds(later.ended)
        )
    })
}

fn surely_backed_out(history: &History, delivery: &Delivery<'_>, before: u64) -> bool {
    history.unit(delivery.get.unit).is_some_and(|unit| {
        unit.fate == Fate::BackedOut
            && unit.backout_answered
            && unit.ended.is_some_and(|ended| ended < before)
    })
}
