//! A unit of work is all or nothing, and nothing of it is seen before its commit is asked for (promise 4).

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::{Certainty, Delivery, Facts, PutFact, name, seconds};
use crate::model::body::BodyKey;
use crate::model::history::{Fate, History, UnitNumber, What};

#[derive(Default)]
struct Members<'a, 'h> {
    puts: Vec<(BodyKey, &'a PutFact<'h>)>,
    gets: Vec<&'a Delivery<'h>>,
}

pub fn check(history: &History) -> Vec<Complaint> {
    let facts = Facts::gather(history);
    let mut units: BTreeMap<UnitNumber, Members<'_, '_>> = BTreeMap::new();
    for (key, put) in facts.puts.iter().filter(|(_, put)| put.put.unit != 0) {
        units.entry(put.put.unit).or_default().puts.push((*key, put));
    }
    for delivery in facts.deliveries.values().flatten().filter(|delivery| delivery.get.unit != 0) {
        units.entry(delivery.get.unit).or_default().gets.push(delivery);
    }
    let browsed = first_browsed(history);
    let mut complaints = Vec::new();
    for (number, members) in &units {
        let Some(unit) = history.unit(*number) else { continue };
        for (key, put) in &members.puts {
            if let Some(seen) = first_seen(&browsed, &facts, *key).filter(|seen| *seen < put.begun) {
                complaints.push(Complaint::new(
                    "unit",
                    format!(
                        "{} of unit {number} was seen at {}, before its commit was asked for",
                        name(*key),
                        seconds(seen)
                    ),
                ));
            }
        }
        let doubtful = unit.fate == Fate::Unknown && !unit.uncertain_members;
        if doubtful {
            complaints.extend(split(&facts, *number, members));
        }
    }
    complaints
}

fn first_browsed(history: &History) -> BTreeMap<BodyKey, u64> {
    let mut first = BTreeMap::new();
    for operation in &history.operations {
        if let (What::Browse(browse), Some(ended)) = (&operation.what, operation.ended)
            && let Some(got) = &browse.got
        {
            let at = first.entry(got.key).or_insert(ended);
            *at = ended.min(*at);
        }
    }
    first
}

fn first_seen(browsed: &BTreeMap<BodyKey, u64>, facts: &Facts<'_>, key: BodyKey) -> Option<u64> {
    let got = facts.of(key).iter().map(|delivery| delivery.ended).min();
    got.into_iter().chain(browsed.get(&key).copied()).min()
}

/// A unit whose fate nobody was told: its traces must all say the same.
fn split(facts: &Facts<'_>, number: UnitNumber, members: &Members<'_, '_>) -> Option<Complaint> {
    let mut committed = Vec::new();
    let mut backed_out = Vec::new();
    for (key, put) in &members.puts {
        if put.visible == Certainty::No {
            continue;
        }
        if !facts.of(*key).is_empty() {
            committed.push(format!("{} became visible", name(*key)));
        } else if put.put.persistent && !put.put.expires && facts.uncertain_plain(put.put.queue) == 0 {
            backed_out.push(format!("{} never did", name(*key)));
        }
    }
    for delivery in &members.gets {
        let from = delivery.taking_begun.unwrap_or(delivery.ended);
        let came_back = !facts.is_perhaps_twice(delivery.key)
            && facts.of(delivery.key).iter().any(|other| other.begun > from && other.get.unit != number);
        let certain = facts.puts.get(&delivery.key).is_some_and(|put| put.put.persistent && !put.put.expires);
        if came_back {
            backed_out.push(format!("{} came back", name(delivery.key)));
        } else if certain && facts.uncertain_plain(delivery.get.queue) == 0 {
            // Somebody else may still have it in a unit of unknown fate.
            let elsewhere = facts
                .of(delivery.key)
                .iter()
                .any(|other| other.get.unit != number && other.taken != Certainty::No);
            if !elsewhere {
                committed.push(format!("{} was taken", name(delivery.key)));
            }
        }
    }
    (!committed.is_empty() && !backed_out.is_empty()).then(|| {
        Complaint::new(
            "unit",
            format!("unit {number} is neither all nor nothing: {}, {}", committed[0], backed_out[0]),
        )
    })
}
