//! What is in a log directory, in words: for `trimaran-node inspect-log`. Reads only, also beside a running node.

use std::io;
use std::path::Path;

use raft_engine::env::DefaultFileSystem;

use super::files::{Item, files_of, read_batches};
use super::fs::read_file;
use super::mark::MarkFile;
use super::raft_engine::decode_hard_state;
use crate::types::{Inspected, Inspector, QueueManagerId};

/// Reports every batch of every file, of one queue manager if asked, and the mark. Returns how many places are damaged.
pub fn inspect(directory: &Path, only: Option<QueueManagerId>, report: Inspector<'_>) -> io::Result<usize> {
    let mut damaged = 0;
    let engine = directory.join("engine");
    if !engine.exists() {
        let text = "there is no log; name the log directory of a node";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let mut bytes = Vec::new();
    for (suffix, kind) in [(".rewrite", "moved"), (".raftlog", "written")] {
        let files = files_of(&engine, suffix)?;
        let newest = files.last().map(|(number, _)| *number);
        for (number, path) in files {
            read_file(&DefaultFileSystem, &path, &mut bytes)?;
            let found = |text: String| Inspected { file: path.clone(), text, ..Inspected::default() };
            let shared = |text: String| Inspected { is_shared: true, ..found(text) };
            report(Inspected { bytes: Some(bytes.len() as u64), ..shared(kind.to_owned()) })?;
            let mut batches = Vec::new();
            let end = read_batches(&bytes, number, &mut |batch| batches.push(batch));
            for batch in batches {
                let offset = Some(batch.offset as u64);
                let items: Vec<String> =
                    batch.items.iter().filter(|item| wanted(item, only)).map(describe).collect();
                if !items.is_empty() {
                    let bytes = Some(batch.bytes as u64);
                    report(Inspected { offset, bytes, ..found(items.join("; ")) })?;
                }
                if let Some(reason) = batch.damage {
                    damaged += 1;
                    report(Inspected { offset, damaged: true, ..found(reason.to_string()) })?;
                }
            }
            let text = match end.reason {
                Some(reason) if !end.blank => {
                    // The newest file ends like this after a crash, and when a used file is used again.
                    damaged += usize::from(Some(number) != newest);
                    format!("ends here: {reason}")
                }
                _ => "end".to_owned(),
            };
            report(Inspected { offset: Some(end.good as u64), ..shared(text) })?;
        }
    }
    let mark = directory.join("mark");
    let found = |text: String| Inspected { file: mark.clone(), text, ..Inspected::default() };
    if !mark.exists() {
        report(Inspected { damaged: true, ..found("missing".to_owned()) })?;
        return Ok(damaged + 1);
    }
    let mut sentences = Vec::new();
    let marks = MarkFile::open(&DefaultFileSystem, &mark, &mut sentences)?;
    damaged += sentences.len();
    for sentence in sentences {
        report(Inspected { damaged: true, ..found(sentence) })?;
    }
    for queue_manager in marks.queue_managers().filter(|id| only.is_none_or(|only| only == *id)) {
        let mark = marks.get(queue_manager).expect("listed");
        report(found(format!(
            "queue manager {queue_manager} acknowledged entry {} of term {}; term {}, vote {}, commit {}{}",
            mark.last.1,
            mark.last.0,
            mark.hard_state.term,
            mark.hard_state.vote.map_or("none".to_string(), |node| node.to_string()),
            mark.hard_state.commit,
            if mark.is_recovering() { "; recovering" } else { "" }
        )))?;
    }
    Ok(damaged)
}

fn wanted(item: &Item, only: Option<QueueManagerId>) -> bool {
    let (Item::Entries { region, .. }
    | Item::Clean { region }
    | Item::Compact { region, .. }
    | Item::Put { region, .. }
    | Item::Delete { region, .. }) = item;
    only.is_none_or(|only| u64::from(only.0) == *region)
}

fn describe(item: &Item) -> String {
    match item {
        Item::Entries { region, first, count } => {
            format!("queue manager {region}: entries {first}..={}", first + count.saturating_sub(1))
        }
        Item::Clean { region } => format!("queue manager {region}: begins anew"),
        Item::Compact { region, until } => format!("queue manager {region}: cut before entry {until}"),
        Item::Put { region, value, key } => match decode_hard_state(value) {
            Some(hard_state) => format!(
                "queue manager {region}: term {}, vote {}, commit {}",
                hard_state.term,
                hard_state.vote.map_or("none".to_string(), |node| node.to_string()),
                hard_state.commit
            ),
            None => {
                format!("queue manager {region}: {} = {} bytes", String::from_utf8_lossy(key), value.len())
            }
        },
        Item::Delete { region, key } => {
            format!("queue manager {region}: {} deleted", String::from_utf8_lossy(key))
        }
    }
}
