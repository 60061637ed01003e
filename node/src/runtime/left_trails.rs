//! The audit trail of a queue manager that was deleted stays on every node that had it: a file of JSON lines, as `trimaran --json
//! audit --all` prints them, and one line more that says who deleted it.
//!
//! It is written before anything is removed, and under another name until it is whole: a node that dies meanwhile writes it again.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::admin::v1::audit_record::Verb;
use trimaran_proto::audit::{tongue_in_words, verb_in_words};
use trimaran_proto::calendar::Moment;
use trimaran_proto::replica::v1::Registered;

use crate::mqi::{Call, Connect, Data, Identity, Operate, Purpose};
use crate::replica::{Delivery, Inbox};
use crate::types::Token;

/// In the data directory.
const DIRECTORY: &str = "deleted";

/// Where the trail of a queue manager is when it was deleted. Its id tells it from others that had its name.
pub fn path_of(data: &Path, name: &str, id: u32) -> PathBuf {
    debug_assert!(!name.is_empty(), "a queue manager has a name");
    let name: String = name.chars().map(|c| if c == '/' || c == '%' { '_' } else { c }).collect();
    data.join(DIRECTORY).join(format!("{name}.{id}.audit.jsonl"))
}

/// All records that its copy on this node has; None where it does not answer.
pub async fn read(inbox: &Inbox) -> Option<Vec<AuditRecord>> {
    let connect = Connect { purpose: Purpose::Errand, ..Connect::new(Identity::of("deletion"), "deletion") };
    let (handle, mut outbox) = inbox.open_session(connect).await.ok()?;
    let mut records: Vec<AuditRecord> = Vec::new();
    loop {
        let after = records.last().map_or(0, |last| last.number);
        handle.send(Token(1), Call::from(Operate::Trail { after })).await.ok()?;
        let Delivery::Completions(completions) = outbox.recv().await? else { return None };
        let Data::Trail(page) = completions.into_iter().next()?.1.data else { return None };
        records.extend(page.records);
        if !page.more {
            return Some(records);
        }
    }
}

/// # Errors
/// Those of the file system.
pub fn write(data: &Path, records: &[AuditRecord], deleted: &Registered) -> io::Result<PathBuf> {
    debug_assert!(deleted.deleted, "the last line says who deleted it");
    let path = path_of(data, &deleted.name, deleted.id);
    let directory = path.parent().expect("it is in a directory");
    std::fs::create_dir_all(directory)?;
    let unfinished = directory.join("unfinished");
    let mut lines: Vec<u8> = Vec::new();
    for line in records.iter().map(AuditRecord::as_json).chain([last_line(deleted)]) {
        writeln!(lines, "{line}")?;
    }
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(&lines)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, &path)?;
    std::fs::File::open(directory)?.sync_all()?;
    Ok(path)
}

/// Of the queue manager's end, which is in the trail of SYSTEM.CLUSTER, too.
fn last_line(deleted: &Registered) -> Value {
    let by = deleted.by.clone().unwrap_or_default();
    json!({
        "at": Moment::of(deleted.at_ms).to_string(),
        "user": by.user,
        "application": by.application,
        "address": by.address,
        "channel": by.channel,
        "by": tongue_in_words(by.tongue()),
        "command": verb_in_words(Verb::Drop),
        "object": deleted.name,
    })
}

#[cfg(test)]
mod tests {
    use trimaran_proto::replica::v1::By;

    use super::*;

    #[test]
    fn what_is_left_of_a_trail_ends_with_who_deleted_the_queue_manager() {
        let data = tempfile::tempdir().unwrap();
        let by = By { user: "joe".into(), address: "10.0.0.9:5000".into(), ..By::default() };
        let (name, at_ms) = ("QM/1".to_string(), 951_827_696_789);
        let deleted = Registered { id: 7, name, deleted: true, by: Some(by), at_ms, ..Registered::default() };
        let record = |number| AuditRecord { number, user: "ann".into(), ..AuditRecord::default() };
        let path = write(data.path(), &[record(1), record(2)], &deleted).unwrap();
        assert_eq!(path, data.path().join("deleted/QM_1.7.audit.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[1]["number"], &lines[1]["user"]), (3, &json!(2), &json!("ann")));
        assert_eq!((&lines[2]["user"], &lines[2]["address"]), (&json!("joe"), &json!("10.0.0.9:5000")));
        assert_eq!(lines[2]["at"], "2000-02-29T12:34:56.789Z");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is unfinished");
    }
}
