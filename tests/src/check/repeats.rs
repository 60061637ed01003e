//! A put that is repeated with the same producer and sequence is stored once and always answered with the same
//! message id, and with the same warning and place in its group where it is not said that they are forgotten; no two
//! messages share an id; nobody is told that his repetition cannot be judged before so many others put as is promised
//! (promise 7). For one that is not persistent that holds as long as the same leader serves.

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::name;
use crate::model::body::BodyKey;
use crate::model::history::{History, Put, What};

pub fn check(history: &History) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut owner: BTreeMap<_, BodyKey> = BTreeMap::new();
    let mut ids: BTreeMap<BodyKey, _> = BTreeMap::new();
    for operation in &history.operations {
        let What::Put(put) = &operation.what else { continue };
        if put.unjudged && must_be_judged(history, put) {
            complaints.push(Complaint::new(
                "repeated put",
                format!(
                    "the repetition of {} was not judged, although it must still be known",
                    name(put.key)
                ),
            ));
        }
        let Some(first) = put.ids.first() else { continue };
        let twice = history.may_be_stored_twice(operation);
        if put.ids.iter().any(|id| id != first) && !twice {
            complaints.push(Complaint::new(
                "repeated put",
                format!("{} was answered with {} different message ids", name(put.key), put.ids.len()),
            ));
        }
        let first_told = put.told.iter().flatten().next();
        if put.told.iter().flatten().any(|told| Some(told) != first_told) && !twice {
            complaints.push(Complaint::new(
                "repeated put",
                format!("{} was answered in different ways: {:?}", name(put.key), put.told),
            ));
        }
        if let Some(other) = owner.insert(*first, put.key).filter(|other| *other != put.key) {
            complaints.push(Complaint::new(
                "repeated put",
                format!("{} and {} have the same message id", name(other), name(put.key)),
            ));
        }
        if !twice {
            ids.insert(put.key, *first);
        }
    }
    for operation in &history.operations {
        let What::Get(get) = &operation.what else { continue };
        let Some(got) = &get.got else { continue };
        if ids.get(&got.key).is_some_and(|id| *id != got.id) {
            complaints.push(Complaint::new(
                "repeated put",
                format!(
                    "{} was delivered under another message id than its put was answered with",
                    name(got.key)
                ),
            ));
        }
    }
    complaints
}

/// Whether so few put with sequences in the whole run that this one cannot be forgotten.
fn must_be_judged(history: &History, put: &Put) -> bool {
    let queue_manager = history.queues[put.queue as usize].queue_manager;
    let mut producers: BTreeMap<u32, usize> = BTreeMap::new();
    for operation in &history.operations {
        if let What::Put(other) = &operation.what
            && other.producer_sequence.is_some()
            && history.queues[other.queue as usize].queue_manager == queue_manager
        {
            *producers.entry(other.key.producer).or_default() += 1;
        }
    }
    let own = producers.get(&put.key.producer).copied().unwrap_or(0);
    let promised = &history.promised;
    producers.len() <= promised.producers_min
        && own <= promised.sequences_max
        // What was told besides the id may count as one more.
        && 2 * producers.values().sum::<usize>() <= promised.sequences_in_all_max
}
