//! Every call of a start is the last one of its process, with the power and without, and some call of the next start too.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use trimaran_node::consensus::{Entry, EntryKind, HardState, LogWrite};
use trimaran_node::log_store::{BlockFs, LogOptions, LogStore, RaftEngineLog, RecoveredLog, Restart};
use trimaran_node::types::{
    Index, Membership, NodeId, QueueManagerId, SnapshotMeta, Term, TermStarts, WriteNumber,
};
use trimaran_tests::sim::depth_b::CrashFs;
use trimaran_tests::sim::rng::Rng;

const ID: QueueManagerId = QueueManagerId(1);
/// Synced up to here.
const LAST: u64 = 120;

fn group() -> SnapshotMeta {
    SnapshotMeta {
        queue_manager: ID,
        index: Index(1),
        term: Term(1),
        membership: Membership::default(),
        terms: TermStarts::default(),
        installed: false,
    }
}

fn entry(index: u64) -> Entry {
    let data = Bytes::from(vec![index as u8 | 1; 900]);
    let crc = crc32c::crc32c(&data);
    Entry { kind: EntryKind::Normal, term: Term(2), index: Index(index), data, crc }
}

/// A process that is killed, if it writes `more` between the write of a batch and its sync: `last` was synced, and the mark
/// now and then.
fn killed_log(seed: u64, last: u64, more: bool) -> (TempDir, CrashFs) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let device = CrashFs::new(seed);
    let fs = Arc::new(BlockFs::over(device.for_process(), |_| true));
    let mut log = RaftEngineLog::open_with(LogOptions::small(directory.path()), fs).expect("a new log");
    log.recover(ID, &group()).expect("a new group");
    for index in 2..=last + u64::from(more) {
        let write = LogWrite {
            queue_manager: ID,
            number: WriteNumber(index),
            hard_state: Some(HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(index - 1) }),
            restart_after: None,
            entries: vec![entry(index)],
            sync: index <= last,
        };
        log.write_batch(&mut vec![write]).expect("it has room");
        log.write_mark(index % 10 == 0).expect("it has room");
    }
    device.kill();
    (directory, device)
}

/// None: the process was killed in between.
fn start(device: &CrashFs, directory: &Path, dies_in: Option<u64>) -> Option<RecoveredLog> {
    let fs = device.for_process();
    if let Some(calls) = dies_in {
        fs.die_in(calls);
    }
    let opened =
        RaftEngineLog::open_with(LogOptions::small(directory), Arc::new(BlockFs::over(fs, |_| true)));
    let recovered = opened.and_then(|mut log| {
        let recovered = log.recover(ID, &group());
        device.kill();
        recovered
    });
    match (recovered, dies_in) {
        (Ok(recovered), _) => Some(recovered),
        (Err(_), Some(_)) => None,
        (Err(error), None) => panic!("a start that nobody killed failed: {error}"),
    }
}

#[test]
fn whatever_call_of_a_start_is_its_last_nothing_that_was_synced_is_lost() {
    for first in 0.. {
        let mut is_over = false;
        for variant in 0..6 {
            let (directory, device) = killed_log(first, LAST, true);
            let mut rng = Rng::new(first * 100 + variant);
            let mut cut = |per_mille: u64| {
                if rng.chance(per_mille) {
                    device.cut_power(&mut Rng::new(rng.number()));
                }
                rng.below(first + 2)
            };
            cut(500);
            is_over = start(&device, directory.path(), Some(first)).is_some();
            let second = cut(700);
            start(&device, directory.path(), Some(second));
            cut(700);
            let recovered = start(&device, directory.path(), None).expect("nobody kills it");
            let what = format!("killed after {first} calls and after {second}, variant {variant}");
            assert!(recovered.complete, "{what}: {:?}", recovered.sentences);
            let found = recovered.entries.len() as u64 + 1;
            assert!((LAST..=LAST + 1).contains(&found), "{what}: the log ends at {found}");
            assert!(recovered.entries.iter().zip(2..).all(|(got, index)| *got == entry(index)), "{what}");
        }
        if is_over {
            assert!(first > 20, "a start makes {first} calls only");
            return;
        }
    }
}

/// The mark of the end was written and not synced. Before a start has put it on the device nobody could know of that end.
#[test]
fn whatever_call_of_a_start_is_its_last_a_log_that_lost_its_end_is_not_taken_for_whole() {
    let mut cuts = 0;
    for first in 0.. {
        let (directory, device) = killed_log(first, LAST + 5, false);
        let log = device.files().into_iter().map(|(path, _)| path);
        let log = log.filter(|path| path.extension().is_some_and(|of| of == "raftlog")).max().expect("a log");
        let end = device.bytes(&log).iter().rposition(|byte| *byte != 0).expect("it has entries");
        assert!(device.flip(&log, end - 500, 1), "in the last entry");
        let is_over = start(&device, directory.path(), Some(first)).is_some();
        if device.is_synced(&directory.path().join("mark")) {
            device.cut_power(&mut Rng::new(first));
            cuts += 1;
        }
        let recovered = start(&device, directory.path(), None).expect("nobody kills it");
        let ends = recovered.entries.len() as u64 + 1;
        assert!(
            !recovered.complete,
            "killed after {first} calls: the log ends at {ends}, and that is believed"
        );
        if is_over {
            assert!(cuts > 10, "the power was cut {cuts} times only");
            return;
        }
    }
}
