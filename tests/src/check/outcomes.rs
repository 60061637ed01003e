//! What the outcome inquiry says is true, final, and agrees with what the commit was answered; "forgotten" is said only of
//! what may be forgotten (promise 8).

use std::collections::BTreeMap;

use trimaran_node::types::UnitState;

use super::Complaint;
use super::facts::seconds;
use crate::model::history::{Answer, History, What};

/// How long a response may be on its way: what it counted is that old when it comes.
const HEARD_LATE_US: u64 = 2_000_000;

pub fn check(history: &History) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut told: BTreeMap<u64, UnitState> = BTreeMap::new();
    for operation in &history.operations {
        let What::Outcome { unit, told: Some(state), counted } = operation.what else { continue };
        match told.insert(unit, state) {
            Some(before) if before != state && state != UnitState::Forgotten => {
                complaints.push(Complaint::new(
                    "outcome",
                    format!("the outcome of unit {unit} was first {} and then {}", word(before), word(state)),
                ))
            }
            _ => {}
        }
        if state == UnitState::Forgotten
            && let Some(counted) = counted
        {
            let decided = decided_since(history, counted.saturating_sub(HEARD_LATE_US), operation.ended);
            if decided < history.promised.outcomes_min {
                complaints.push(Complaint::new(
                    "outcome",
                    format!(
                        "unit {unit} is said to be forgotten, and not more than {decided} units were decided since {}",
                        seconds(counted)
                    ),
                ));
            }
        }
    }
    for operation in &history.operations {
        let What::Commit { unit } = operation.what else { continue };
        match (operation.answer, told.get(&unit)) {
            (Answer::Ok, Some(UnitState::BackedOut)) => complaints.push(Complaint::new(
                "outcome",
                format!("the commit of unit {unit} was answered Ok and its outcome is said to be backed out"),
            )),
            (Answer::Refused(reason), Some(UnitState::Committed)) => complaints.push(Complaint::new(
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

/// Commits and inquiries that may have decided a unit in the interval.
fn decided_since(history: &History, from: u64, until: Option<u64>) -> usize {
    let may_decide = |what: &What| matches!(what, What::Commit { .. } | What::Outcome { .. });
    let within = |begun: u64, ended: Option<u64>| {
        until.is_none_or(|until| begun <= until) && ended.is_none_or(|ended| ended >= from)
    };
    let operations = history.operations.iter();
    operations.filter(|of| may_decide(&of.what) && within(of.begun, of.ended)).count()
}

fn word(state: UnitState) -> &'static str {
    match state {
        UnitState::Committed => "committed",
        UnitState::BackedOut => "backed out",
        UnitState::Forgotten => "forgotten",
    }
}
