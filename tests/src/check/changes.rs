//! An acknowledged change of a definition is there until a later one of the same attribute, whoever else changed what
//! at that moment; and nothing is shown that nobody set.

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::seconds;
use crate::model::history::{Answer, History, What};

/// One attribute of one object was given a value.
#[derive(Clone, Copy, Debug)]
struct Change<'a> {
    value: &'a str,
    begun: u64,
    /// None: it may have happened, and at any time after it was asked for.
    ended: Option<u64>,
}

pub fn check(history: &History) -> Vec<Complaint> {
    let changes = gather(history);
    let mut complaints = Vec::new();
    for operation in &history.operations {
        let What::Display { object, shown: Some(shown) } = &operation.what else { continue };
        let Some(ended) = operation.ended else { continue };
        for (attribute, value) in shown {
            let Some(changes) = changes.get(&(object.as_str(), attribute.as_str())) else { continue };
            if let Some(lost) = lost(changes, value, operation.begun, ended) {
                complaints.push(Complaint::new(
                    "changes",
                    format!(
                        "{object} was shown with {attribute}({value}) at {}, although {attribute}({}) was \
                         acknowledged at {} and nobody changed it back",
                        seconds(ended),
                        lost.value,
                        seconds(lost.ended.unwrap_or_default()),
                    ),
                ));
            }
        }
    }
    complaints
}

/// By object and attribute, those that happened or may have.
fn gather(history: &History) -> BTreeMap<(&str, &str), Vec<Change<'_>>> {
    let mut gathered: BTreeMap<(&str, &str), Vec<Change>> = BTreeMap::new();
    for operation in &history.operations {
        let What::Alter { object, changes } = &operation.what else { continue };
        if matches!(operation.answer, Answer::Refused(_)) {
            continue;
        }
        for (attribute, value) in changes {
            let change = Change { value, begun: operation.begun, ended: operation.ended };
            gathered.entry((object, attribute)).or_default().push(change);
        }
    }
    gathered
}

/// An acknowledged change that a look between these times should have met, and did not.
fn lost<'a>(changes: &'a [Change<'a>], shown: &str, begun: u64, ended: u64) -> Option<&'a Change<'a>> {
    // What nobody gave it, it had before all changes.
    let before_all = Change { value: shown, begun: 0, ended: Some(0) };
    let given = changes.iter().filter(|change| change.value == shown && change.begun <= ended);
    let mut possible: Vec<Change> = given.copied().collect();
    if possible.is_empty() {
        possible.push(before_all);
    }
    let replaced = |change: &Change| {
        let end = change.ended?;
        changes.iter().find(|later| {
            later.value != shown && later.begun > end && later.ended.is_some_and(|at| at < begun)
        })
    };
    let mut replaced_by = possible.iter().map(replaced);
    // One that was not replaced explains it.
    let first = replaced_by.next()??;
    replaced_by.all(|later| later.is_some()).then_some(first)
}
