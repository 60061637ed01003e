//! What the outcome inquiry says is true, final, and agrees with what the commit was answered (promise 8).

use std::collections::BTreeMap;

use super::Complaint;
use crate::model::history::{Answer, History, What};

pub fn check(history: &History) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut told: BTreeMap<u64, bool> = BTreeMap::new();
    for operation in &history.operations {
        if let What::Outcome { unit, committed: Some(committed) } = operation.what
            && told.insert(unit, committed).is_some_and(|before| before != committed)
        {
            complaints.push(Complaint::new(
                "outcome",
                format!("the outcome of unit {unit} was first {} and then {committed}", !committed),
            ));
        }
    }
    for operation in &history.operations {
        let What::Commit { unit } = operation.what else { continue };
        match (operation.answer, told.get(&unit)) {
            (Answer::Ok, Some(false)) => complaints.push(Complaint::new(
                "outcome",
                format!("the commit of unit {unit} was answered Ok and its outcome is said to be backed out"),
            )),
            (Answer::Refused(reason), Some(true)) => complaints.push(Complaint::new(
                "outcome",
                format!(
                    "the commit of unit {unit} was refused ({reason}) and its outcome is said to be committed"
                ),
            )),
            _ => {}
        }
    }
    complaints
}
