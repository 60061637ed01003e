//! Random damage to the files of a stopped log: whatever was acknowledged comes back as it was, or the log says that
//! it is not complete. A log that is silently shorter is the one thing that must never be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::log_store_test::{QM, entry, meta, write};
use super::*;
use crate::types::{SnapshotMeta, Term};

/// Damages to try; more by hand: `TRIMARAN_DAMAGES=2000`.
fn rounds() -> u64 {
    std::env::var("TRIMARAN_DAMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}

pub(super) fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            files.extend(copy(&file.path(), &target));
        } else {
            fs::copy(file.path(), &target).unwrap();
            files.push(target);
        }
    }
    files.sort();
    files
}

#[test]
fn a_damaged_log_is_whole_or_says_that_it_is_not() {
    let original = tempfile::tempdir().unwrap();
    let other = QueueManagerId(8);
    let mut truth: BTreeMap<QueueManagerId, Vec<Entry>> = BTreeMap::new();
    {
        let mut log = RaftEngineLog::open(LogOptions::small(original.path())).unwrap();
        for queue_manager in [QM, other] {
            log.recover(queue_manager, &SnapshotMeta { queue_manager, ..meta(1, 1) }).unwrap();
            log.caught_up(queue_manager).unwrap();
        }
        let mut chance = Chance(11);
        let mut next = BTreeMap::from([(QM, 2), (other, 2)]);
        for number in 0..400 {
            let mut writes = Vec::new();
            for queue_manager in [QM, other] {
                let term = 2 + number / 100;
                let at = next.get_mut(&queue_manager).unwrap();
                let entries: Vec<Entry> =
                    (0..chance.below(4)).map(|i| entry(*at + i, term, chance.below(1500) as usize)).collect();
                *at += entries.len() as u64;
                truth.entry(queue_manager).or_default().extend(entries.iter().cloned());
                writes.push(LogWrite { queue_manager, ..write(number, term, entries) });
            }
            log.write_batch(&mut writes).unwrap();
            log.write_mark(false).unwrap();
            if number == 250 {
                // One goes on cutting its log, the other keeps it.
                log.truncate(QM, Index(next[&QM] - 40)).unwrap();
                log.purge().unwrap();
            }
        }
        log.write_mark(true).unwrap();
    }

    let mut chance = Chance(4711);
    let (mut whole, mut said) = (0, 0);
    for round in 0..rounds() {
        let directory = tempfile::tempdir().unwrap();
        let files = copy(original.path(), directory.path());
        let files: Vec<_> = files.into_iter().filter(|file| fs::metadata(file).unwrap().len() > 0).collect();
        let file = &files[chance.below(files.len() as u64) as usize];
        let mut bytes = fs::read(file).unwrap();
        let at = chance.below(bytes.len() as u64) as usize;
        let what = match chance.below(8) {
            0 => {
                bytes.truncate(at);
                "cut"
            }
            1 => {
                let end = bytes.len().min(at + 512);
                bytes[at..end].fill(0);
                "zeroed"
            }
            2 => {
                fs::remove_file(file).unwrap();
                "removed"
            }
            _ => {
                bytes[at] ^= 1 << chance.below(8);
                "flipped"
            }
        };
        if what != "removed" {
            fs::write(file, &bytes).unwrap();
        }
        let what = format!("round {round}: {} {what} at {at}", file.display());

        let mut log = RaftEngineLog::open(LogOptions::small(directory.path())).expect(&what);
        for (queue_manager, truth) in &truth {
            let last = truth.last().unwrap().index;
            let base = Index(last.0 - 30);
            let term = truth.iter().find(|entry| entry.index == base).unwrap().term;
            let store = SnapshotMeta { queue_manager: *queue_manager, ..meta(base.0, term.0) };
            let recovered = log.recover(*queue_manager, &store).expect(&what);
            let expected = &truth[truth.len() - 30..];
            assert!(
                recovered.entries.len() <= 30 && recovered.entries == expected[..recovered.entries.len()],
                "{what}: not what was written: {:?}",
                recovered.sentences
            );
            if recovered.complete {
                whole += 1;
                assert_eq!(recovered.entries.len(), 30, "{what}: silently shorter");
                assert_eq!(recovered.hard_state.term, Term(5), "{what}");
                assert_eq!(recovered.hard_state.vote, Some(crate::types::NodeId(2)), "{what}");
            } else {
                said += 1;
                assert!(
                    recovered.sentences.iter().any(|sentence| !sentence.is_empty()),
                    "{what}: without a word"
                );
            }
            // It goes on from there, and what it has is still there the next time.
            let next = recovered.entries.last().map_or(base, |entry| entry.index).next();
            let more = LogWrite { queue_manager: *queue_manager, ..write(1, 9, vec![entry(next.0, 9, 100)]) };
            log.write_batch(&mut vec![more]).expect(&what);
            log.write_mark(true).unwrap();
        }
        drop(log);
        let mut log = RaftEngineLog::open(LogOptions::small(directory.path())).expect(&what);
        for (queue_manager, truth) in &truth {
            let base = truth[truth.len() - 31].index;
            let term = truth[truth.len() - 31].term;
            let store = SnapshotMeta { queue_manager: *queue_manager, ..meta(base.0, term.0) };
            let recovered = log.recover(*queue_manager, &store).expect(&what);
            assert_eq!(recovered.entries.last().unwrap().term, Term(9), "{what}: {:?}", recovered.sentences);
        }
    }
    println!("{} damages: {whole} logs whole, {said} said that they are not, silent 0", rounds());
    assert!(whole > 0 && said > 0);
}
