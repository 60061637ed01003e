//! What an administrator was told that it is changed is in the audit trail exactly once, under the administrator's name, whoever served
//! then; what was refused is not; and the records are a chain.

use std::collections::BTreeMap;

use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::attribute::Kind;
use trimaran_proto::chain::verify;

use super::facts::seconds;
use crate::model::history::{Answer, History, What};

pub const NAME: &str = "every change is in the trail";

/// How often an administrator changed an object: as far as was answered, and at most.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    done: usize,
    at_most: usize,
    last: u64,
}

/// Of a queue manager that keeps a trail since before anybody was told of a change, and has all that was asked for in it. How many
/// changes were looked at, or what is wrong.
pub fn check(history: &History, queue_manager: usize, trail: &[AuditRecord]) -> Result<u64, String> {
    verify(trail).map_err(|broken| format!("of the trail of queue manager {queue_manager} {broken}"))?;
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in trail {
        *found.entry((record.user.clone(), object_of(record))).or_default() += 1;
    }
    let asked = asked(history, queue_manager);
    let none = Asked::default();
    for ((user, object), found) in &found {
        let Asked { at_most, .. } = asked.get(&(user.clone(), object.clone())).unwrap_or(&none);
        // Others than administrators write no history of what they change.
        if asked.keys().any(|(administrator, _)| administrator == user) && found > at_most {
            return Err(format!(
                "{user} asked {at_most} times at most for a change of {object} of queue manager {queue_manager}, and {found} are in \
                 the trail"
            ));
        }
    }
    for ((user, object), Asked { done, last, .. }) in &asked {
        let found = found.get(&(user.clone(), object.clone())).copied().unwrap_or_default();
        if found < *done {
            return Err(format!(
                "{user} was told {done} times, the last time at {}, that {object} of queue manager {queue_manager} was changed, and \
                 {found} of these are in the trail",
                seconds(*last)
            ));
        }
    }
    Ok(asked.values().map(|asked| asked.done as u64).sum())
}

/// By the user and the object.
fn asked(history: &History, queue_manager: usize) -> BTreeMap<(String, String), Asked> {
    let mut asked: BTreeMap<(String, String), Asked> = BTreeMap::new();
    let at = format!("@{queue_manager}");
    for operation in &history.operations {
        let What::Alter { object, .. } = &operation.what else { continue };
        let Some(object) = object.strip_suffix(&at) else { continue };
        let user = format!("user{}", operation.program);
        let of = asked.entry((user, object.to_string())).or_default();
        match operation.answer {
            Answer::Refused(_) => {}
            Answer::Unknown => of.at_most += 1,
            Answer::Ok => {
                (of.done, of.at_most) = (of.done + 1, of.at_most + 1);
                of.last = operation.ended.unwrap_or_default();
            }
        }
    }
    asked
}

/// As administrators write it in the history.
fn object_of(record: &AuditRecord) -> String {
    match record.of_kind() {
        Some(Kind::QueueManager) => "QMGR()".to_string(),
        _ => record.object(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trimaran_node::types::Reason;
    use trimaran_proto::chain::{Link, seal_of};

    use super::*;

    fn history(answers: &[Answer]) -> History {
        let mut history = History::default();
        for answer in answers {
            let what = What::Alter { object: "QLOCAL(A)@0".into(), changes: Vec::new() };
            let number = history.begin(3, 1, 10, what);
            history.operations[number].answer = *answer;
        }
        history
    }

    fn trail(count: u64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for number in 1..=count {
            let sealed_before = records.last().map_or(Bytes::new(), |last| last.seal.clone());
            let (user, name) = ("user3".to_string(), "A".to_string());
            let kind = Kind::LocalQueue as u32;
            let record = AuditRecord { number, user, name, kind, sealed_before, ..AuditRecord::default() };
            let seal = seal_of(&record);
            records.push(record.sealed(seal));
        }
        records
    }

    #[test]
    fn what_was_answered_is_there_once_and_what_was_not_at_most_once() {
        let answers = [Answer::Ok, Answer::Unknown, Answer::Refused(Reason::QFull)];
        assert_eq!(check(&history(&answers), 0, &trail(1)), Ok(1));
        assert_eq!(check(&history(&answers), 0, &trail(2)), Ok(1));
        assert!(check(&history(&answers), 0, &trail(3)).unwrap_err().contains("3 are in the trail"));
        assert!(check(&history(&answers), 0, &[]).unwrap_err().contains("0 of these are in the trail"));
        let mut changed = trail(2);
        changed[0].user = "user4".into();
        assert!(check(&history(&answers), 0, &changed).unwrap_err().contains("record 1 is not what"));
    }
}
