//! Within a queue and a priority messages come in the order in which they became visible; higher priorities come
//! first (promise 5).
//!
//! Real time decides: if `a` was visible for certain before `b` was asked for, and `b` was delivered before anybody
//! even asked for what turned out to be `a`, the order was broken, unless somebody may have held `a` meanwhile.

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::{Certainty, Facts, HOLD_US_MAX, name, seconds};
use crate::model::body::BodyKey;
use crate::model::history::History;

#[derive(Clone, Copy, Debug)]
struct Life {
    key: BodyKey,
    priority: u8,
    unit: u64,
    put_begun: u64,
    put_ended: u64,
    /// The first delivery: its get was begun and ended.
    got_begun: u64,
    got_ended: u64,
    /// Taken from where it stood by id or under a cursor.
    selective: bool,
}

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut queues: BTreeMap<u32, Vec<Life>> = BTreeMap::new();
    for (key, put) in &facts.puts {
        let Some(put_ended) = put.ended.filter(|_| put.visible == Certainty::Yes) else { continue };
        let Some(first) = facts.of(*key).first() else { continue };
        if put.put.expires || !put.put.persistent || first.get.queue != put.put.queue {
            continue;
        }
        queues.entry(put.put.queue).or_default().push(Life {
            key: *key,
            priority: put.put.priority,
            unit: put.put.unit,
            put_begun: put.begun,
            put_ended,
            got_begun: first.begun,
            got_ended: first.ended,
            selective: first.get.selective,
        });
    }
    let mut complaints = Vec::new();
    for (queue, lives) in &queues {
        let about = &history.queues[*queue as usize];
        if !about.ordered {
            continue;
        }
        let held =
            |from: u64, until: u64| facts.may_have_been_held(*queue, from.saturating_sub(HOLD_US_MAX), until);
        for later in lives.iter().filter(|life| !life.selective) {
            if held(later.got_begun, later.got_ended) {
                continue;
            }
            let before = lives.iter().find(|earlier| overtaken(earlier, later, about.fifo));
            if let Some(earlier) = before {
                complaints.push(Complaint::new(
                    "order",
                    format!(
                        "{} (priority {}, visible at {}) was got from {} at {}, before {} (priority {}, visible at {}), which came at {}",
                        name(later.key),
                        later.priority,
                        seconds(later.put_ended),
                        about.name,
                        seconds(later.got_ended),
                        name(earlier.key),
                        earlier.priority,
                        seconds(earlier.put_ended),
                        seconds(earlier.got_begun)
                    ),
                ));
            }
        }
    }
    complaints
}

/// Whether `later` was delivered though `earlier` stood before it and was there.
fn overtaken(earlier: &Life, later: &Life, fifo: bool) -> bool {
    if later.got_ended >= earlier.got_begun {
        return false;
    }
    let same_unit = earlier.unit != 0 && earlier.unit == later.unit;
    let first_in =
        earlier.put_ended < later.put_begun || (same_unit && earlier.key.sequence < later.key.sequence);
    let there = earlier.put_ended < later.got_begun;
    match (fifo, earlier.priority.cmp(&later.priority)) {
        (true, _) | (false, std::cmp::Ordering::Equal) => first_in,
        (false, std::cmp::Ordering::Greater) => there,
        (false, std::cmp::Ordering::Less) => false,
    }
}
