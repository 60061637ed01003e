//! A put that is repeated with the same producer and sequence is stored once and always answered with the same
//! message id; no two messages share one (promise 7). For one that is not persistent that holds as long as the same
//! leader serves.

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::name;
use crate::model::body::BodyKey;
use crate::model::history::{History, What};

pub fn check(history: &History) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut owner: BTreeMap<_, BodyKey> = BTreeMap::new();
    let mut ids: BTreeMap<BodyKey, _> = BTreeMap::new();
    for operation in &history.operations {
        let What::Put(put) = &operation.what else { continue };
        let Some(first) = put.ids.first() else { continue };
        let twice = history.may_be_stored_twice(operation);
        if put.ids.iter().any(|id| id != first) && !twice {
            complaints.push(Complaint::new(
                "repeated put",
                format!("{} was answered with {} different message ids", name(put.key), put.ids.len()),
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
