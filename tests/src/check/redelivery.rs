//! A message that was taken for good is never seen again; one that comes again was given back before, and says so in
//! its backout count (promise 3).

use super::Complaint;
use super::facts::{Certainty, Delivery, Facts, name, seconds};
use crate::model::body::BodyKey;
use crate::model::history::{Fate, History};

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut complaints = Vec::new();
    let once = |key: &BodyKey| !facts.is_perhaps_twice(*key);
    for (key, deliveries) in facts.deliveries.iter().filter(|(key, _)| once(key)) {
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
            // A get that waits may have been asked for long before the one that was given the message first. A unit
            // whose fate is not known can have been backed out just as well.
            let given_back = deliveries
                .iter()
                .enumerate()
                .filter(|(other, d)| *other != place && d.begun < later.ended && d.taken != Certainty::Yes)
                .count();
            let count = later.backout_count as usize;
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
            let surely = deliveries.iter().filter(|d| surely_backed_out(history, d, later.begun)).count();
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

#[cfg(test)]
mod tests {
    use trimaran_node::types::MessageId;

    use super::*;
    use crate::model::history::{self, Answer, Get, Put, QueueFacts, What};

    const KEY: BodyKey = BodyKey { producer: 1, sequence: 1 };

    fn get(unit: u64, backout_count: u32) -> What {
        let got = history::Delivery { key: KEY, id: MessageId::default(), priority: 0, backout_count };
        What::Get(Get { queue: 0, unit, selective: false, got: Some(got) })
    }

    /// A get that waited for long is served after one that was asked for later and backed out.
    fn history(backout_count: u32) -> History {
        let mut history = History::default();
        history.queues.push(QueueFacts {
            queue_manager: 0,
            name: "Q".into(),
            ordered: true,
            fifo: false,
            may_lose: false,
        });
        let unit = history.begin_unit(2, 200);
        let mut add = |begun: u64, ended: u64, what: What| {
            let number = history.begin(1, 1, begun, what);
            history.operations[number].ended = Some(ended);
            history.operations[number].answer = Answer::Ok;
        };
        add(100, 900, get(0, backout_count));
        add(200, 400, get(unit, 0));
        let put = Put {
            key: KEY,
            queue: 0,
            priority: 0,
            persistent: true,
            expires: false,
            unit: 0,
            producer_sequence: None,
            repeats: 0,
            ids: Vec::new(),
            told: Vec::new(),
            unjudged: false,
        };
        add(300, 350, What::Put(put));
        let unit = history.unit_mut(unit).expect("begun above");
        (unit.fate, unit.ended, unit.backout_answered) = (Fate::BackedOut, Some(500), true);
        history
    }

    #[test]
    fn a_get_that_waited_comes_after_one_that_was_asked_for_later_and_backed_out() {
        assert_eq!(check(&history(1)), []);
        assert_eq!(check(&history(2)).len(), 1);
    }
}
