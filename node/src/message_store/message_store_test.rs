//! The store as its callers see it, over crashes, full devices and damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use trimaran_proto::replica::v1::Row;

use super::*;
use crate::qmgr::{Family, RowChange, RowSource};
use crate::types::{Inspected, Membership, NodeId, RequestId, Term, TermStarts};

const QM: QueueManagerId = QueueManagerId(7);
const OTHER: QueueManagerId = QueueManagerId(8);

type Truth = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

fn options(directory: &Path) -> StoreOptions {
    StoreOptions {
        write_buffer_bytes: 1 << 20,
        blob_file_bytes: 256 << 10,
        reserve_bytes: 0,
        ..StoreOptions::new(directory, Arc::new(|_| Ok(1 << 40)))
    }
}

fn open(directory: &Path) -> RocksStore {
    let (store, sentences) = RocksStore::open(options(directory)).unwrap();
    assert!(sentences.is_empty(), "{sentences:?}");
    store
}

/// As it is kept where it came whole from a leader.
fn installed(index: u64) -> SnapshotMeta {
    SnapshotMeta { installed: true, ..meta(QM, index) }
}

fn meta(queue_manager: QueueManagerId, index: u64) -> SnapshotMeta {
    let membership = Membership { voters: [NodeId(1), NodeId(2)].into(), ..Membership::default() };
    SnapshotMeta {
        queue_manager,
        index: Index(index),
        term: Term(3),
        membership,
        terms: TermStarts::default(),
        installed: false,
    }
}

fn key(queue_manager: QueueManagerId, number: u64) -> Bytes {
    [&queue_manager.0.to_be_bytes()[..], &number.to_be_bytes()].concat().into()
}

fn body(number: u64, bytes: usize) -> Bytes {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(next).collect::<Vec<u8>>().into()
}

/// A message: its head and its body.
fn puts(queue_manager: QueueManagerId, numbers: std::ops::Range<u64>, bytes: usize) -> Vec<RowChange> {
    numbers
        .flat_map(|number| {
            let key = key(queue_manager, number);
            let head = RowChange::Put { family: Family::Heads, key: key.clone(), value: body(number, 60) };
            [head, RowChange::Put { family: Family::Bodies, key, value: body(number, bytes) }]
        })
        .collect()
}

fn removes(queue_manager: QueueManagerId, from: u64, until: u64) -> Vec<RowChange> {
    let range = |family| RowChange::DeleteRange {
        family,
        from: key(queue_manager, from),
        until: key(queue_manager, until),
    };
    vec![range(Family::Heads), range(Family::Bodies)]
}

fn batch(queue_manager: QueueManagerId, base: u64, index: u64, changes: Vec<RowChange>) -> StoreBatch {
    StoreBatch { base: Index(base), meta: meta(queue_manager, index), changes }
}

fn rows(source: &impl RowSource) -> Result<Truth, StoreReadError> {
    let mut rows = Truth::new();
    for family in Family::ALL {
        source.scan(family, &mut |key, value| drop(rows.insert((family, key.to_vec()), value.to_vec())))?;
    }
    Ok(rows)
}

#[test]
fn only_what_was_flushed_comes_back_and_all_families_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(store.meta(QM).unwrap(), None);
    store.apply(&batch(QM, 1, 10, puts(QM, 0..50, 1000))).unwrap();
    store.apply(&batch(OTHER, 1, 5, puts(OTHER, 0..10, 100))).unwrap();
    assert_eq!(store.flush().unwrap(), [(QM, Index(10)), (OTHER, Index(5))]);
    store.apply(&batch(QM, 10, 20, removes(QM, 0, 40))).unwrap();
    assert_eq!(store.flush().unwrap(), [(QM, Index(20))]);
    let kept = rows(&store.rows(QM)).unwrap();
    assert_eq!(kept.len(), 20);
    let request = LoadRequest {
        queue_manager: QM,
        request: RequestId(1),
        keys: vec![(Family::Bodies, key(QM, 45)), (Family::Bodies, key(QM, 3)), (Family::Heads, key(QM, 49))],
    };
    assert_eq!(store.load(&request).unwrap(), [Some(body(45, 1000)), None, Some(body(49, 60))]);

    // Not flushed: a crash forgets it. A copy of the files is what a crash leaves.
    store.apply(&batch(QM, 20, 30, puts(QM, 50..60, 1000))).unwrap();
    assert_eq!(rows(&store.rows(QM)).unwrap().len(), 40);
    let crashed = tempfile::tempdir().unwrap();
    copy(directory.path(), crashed.path());
    let store = open(crashed.path());
    assert_eq!(store.meta(QM).unwrap(), Some(meta(QM, 20)));
    assert_eq!(rows(&store.rows(QM)).unwrap(), kept);
    assert_eq!(rows(&store.rows(OTHER)).unwrap().len(), 20);
}

#[test]
fn a_snapshot_stays_as_it_was_goes_out_in_pieces_and_replaces_what_was_there() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(from.path());
    assert!(store.snapshot(QM).unwrap().is_none());
    let state = RowChange::Put { family: Family::State, key: key(QM, 1), value: body(1, 10) };
    store.apply(&batch(QM, 1, 9, vec![state])).unwrap();
    store.apply(&batch(QM, 9, 10, puts(QM, 0..100, 5000))).unwrap();
    store.apply(&batch(OTHER, 1, 3, puts(OTHER, 0..3, 10))).unwrap();
    store.flush().unwrap();
    let truth = rows(&store.rows(QM)).unwrap();
    let snapshot = store.snapshot(QM).unwrap().unwrap();
    assert_eq!(*snapshot.meta(), meta(QM, 10));
    assert!(snapshot.bytes_estimate() > 100_000, "{}", snapshot.bytes_estimate());
    store.apply(&batch(QM, 10, 11, removes(QM, 0, 100))).unwrap();

    let target = open(to.path());
    target.apply(&batch(QM, 1, 2, puts(QM, 500..600, 100))).unwrap();
    target.apply(&batch(OTHER, 1, 2, puts(OTHER, 0..5, 100))).unwrap();
    let mut incoming = target.receive(snapshot.meta(), 1).unwrap();
    let (mut after, mut pieces) = (None, 0);
    loop {
        let (rows, last) = snapshot.rows(after.as_ref(), 64 << 10).unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.iter().map(|row| row.key.len() + row.value.len()).sum::<usize>() <= 64 << 10);
        incoming.write(rows).unwrap();
        (after, pieces) = (last, pieces + 1);
    }
    assert!(pieces > 5);
    assert_eq!(incoming.install().unwrap(), meta(QM, 10));
    // A batch from before, that was still waiting for the store thread.
    target.apply(&batch(QM, 2, 3, puts(QM, 900..901, 10))).unwrap();
    target.flush().unwrap();
    drop(target);
    let target = open(to.path());
    assert_eq!(rows(&target.rows(QM)).unwrap(), truth);
    assert_eq!(target.meta(QM).unwrap(), Some(installed(10)));
    assert_eq!(rows(&target.rows(OTHER)).unwrap().len(), 10, "others were flushed with it");
    assert_eq!(fs::read_dir(to.path().join("incoming")).map_or(0, |files| files.count()), 0);

    let mut incoming = target.receive(&meta(QM, 99), 2).unwrap();
    let foreign = Row { family: 1, key: key(OTHER, 1), value: Bytes::new() };
    assert!(incoming.write(vec![foreign]).unwrap_err().contains("not one of queue manager 7"));
    drop(incoming);
    assert_eq!(rows(&target.rows(QM)).unwrap(), truth);
}

#[test]
fn an_interrupted_installation_is_finished_or_leaves_nothing() {
    for damage in [false, true] {
        let (directory, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = open(directory.path());
        store.apply(&batch(QM, 1, 2, puts(QM, 500..600, 100))).unwrap();
        store.flush().unwrap();
        let mut incoming = store.receive(&meta(QM, 50), 4).unwrap();
        for number in 0..20 {
            let value = body(number, 3000);
            incoming.write(vec![Row { family: Family::Bodies as u32, key: key(QM, number), value }]).unwrap();
        }
        // As after a crash behind the marker: the staging is whole, the marker is flushed, half of the rows are in.
        let staging = install::interrupt(incoming);
        let old = removes(QM, 0, u64::MAX);
        store.apply(&batch(QM, 2, 3, old)).unwrap();
        store.flush().unwrap();
        copy(directory.path(), crashed.path());
        if damage {
            let staging = crashed.path().join("incoming").join(staging.file_name().unwrap());
            let mut bytes = fs::read(&staging).unwrap();
            bytes[5000] ^= 1;
            fs::write(&staging, bytes).unwrap();
        }
        let (store, sentences) = RocksStore::open(options(crashed.path())).unwrap();
        assert_eq!(sentences.len(), 1, "{sentences:?}");
        let found = rows(&store.rows(QM)).unwrap();
        if damage {
            assert!(sentences[0].contains("checksum"), "{sentences:?}");
            assert!(found.is_empty() && store.meta(QM).unwrap().is_none());
        } else {
            assert_eq!(found.len(), 20);
            assert_eq!(store.meta(QM).unwrap(), Some(installed(50)));
        }
        drop(store);
        open(crashed.path());
    }
}

#[test]
fn what_gives_room_back_may_use_the_reserve_and_what_takes_it_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.free_bytes = Arc::new(|_| Ok(8 << 20));
    options.reserve_bytes = 16 << 20;
    let (store, _) = RocksStore::open(options).unwrap();
    store.apply(&batch(QM, 1, 2, puts(QM, 0..10, 1000))).unwrap();
    let refused = store.apply(&batch(QM, 2, 3, puts(QM, 10..9010, 1000))).unwrap_err().to_string();
    assert!(refused.contains("8 MiB are left"), "{refused}");
    store.apply(&batch(QM, 2, 3, puts(QM, 10..20, 1000))).unwrap();
}

#[test]
fn the_store_thread_waits_out_a_full_device_and_readers_answer() {
    let directory = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(1 << 40));
    let asked = free.clone();
    let mut options = options(directory.path());
    options.free_bytes = Arc::new(move |_| Ok(asked.load(Ordering::SeqCst)));
    options.reserve_bytes = 1 << 20;
    let (store, _) = RocksStore::open(options).unwrap();
    let (say_flushed, flushed) = crossbeam_channel::unbounded();
    let (say_refused, refused) = crossbeam_channel::unbounded();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let report = reports.clone();
    let thread = StoreThread::start(
        store.clone(),
        StoreThreadOptions {
            retry_every: Duration::from_millis(5),
            flush_bytes: 1 << 20,
            ..Default::default()
        },
        StoreAnswers {
            flushed: Box::new(move |id, index| say_flushed.send((id, index)).unwrap()),
            refused: Box::new(move |id, index| say_refused.send((id, index)).unwrap()),
            fatal: Box::new(|error| panic!("{error}")),
            report: Arc::new(move |text| report.lock().push(text)),
        },
    )
    .unwrap();
    let wait = Duration::from_secs(20);
    let handle = thread.handle();
    handle.store(batch(QM, 1, 2, puts(QM, 0..10, 1000))).unwrap();
    handle.flush();
    assert_eq!(flushed.recv_timeout(wait), Ok((QM, Index(2))));

    free.store(100, Ordering::SeqCst);
    handle.store(batch(QM, 2, 3, puts(QM, 10..9010, 1000))).unwrap();
    assert_eq!(refused.recv_timeout(wait), Ok((QM, Index(3))));
    assert_eq!(store.meta(QM).unwrap().unwrap().index, Index(2));
    free.store(1 << 40, Ordering::SeqCst);
    assert_eq!(
        flushed.recv_timeout(wait),
        Ok((QM, Index(3))),
        "it went on by itself, and flushed for its size"
    );
    assert!(reports.lock()[0].contains("no room for the message store"), "{:?}", reports.lock());
    assert_eq!(reports.lock().len(), 2);

    let (say, loaded) = crossbeam_channel::unbounded();
    let options = StoreReaderOptions { queue: 16, ..StoreReaderOptions::default() };
    let answer = Arc::new(move |answer| say.send(answer).unwrap());
    let readers = StoreReaders::start(store, options, answer, Arc::new(|text| panic!("{text}"))).unwrap();
    let keys = vec![(Family::Bodies, key(QM, 9000)), (Family::Bodies, key(QM, 10_000))];
    readers.load(LoadRequest { queue_manager: QM, request: RequestId(3), keys }).unwrap();
    let answer = loaded.recv_timeout(wait).unwrap();
    assert_eq!((answer.queue_manager, answer.request, answer.damaged), (QM, RequestId(3), None));
    assert_eq!(answer.rows, [Some(body(9000, 1000)), None]);

    // A stop while the device is full ends all the same; the log has what the store has not.
    free.store(0, Ordering::SeqCst);
    handle.store(batch(QM, 3, 4, puts(QM, 0..9000, 1000))).unwrap();
    thread.stop();
}

fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
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

/// Random damage to the files of a closed store. What is then read is what was written, at the index the store says;
/// or an error says so; or the store begins empty, with a sentence.
#[test]
fn a_damaged_store_is_whole_or_says_that_it_is_not() {
    let rounds = std::env::var("TRIMARAN_DAMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(300u64);
    let original = tempfile::tempdir().unwrap();
    // The state at every index that was ever flushed.
    let mut truths: BTreeMap<u64, Truth> = [(1, Truth::new())].into();
    {
        let store = open(original.path());
        for index in 1..=12u64 {
            let first = (index - 1) * 60;
            let mut changes = puts(QM, first..first + 60, if index % 3 == 0 { 100 } else { 2500 });
            changes.extend(removes(QM, first.saturating_sub(120), first.saturating_sub(90)));
            let state = RowChange::Put { family: Family::State, key: key(QM, 1), value: body(index, 30) };
            changes.push(state);
            store.apply(&batch(QM, index, index + 1, changes)).unwrap();
            store.apply(&batch(OTHER, index, index + 1, puts(OTHER, index..index + 1, 100))).unwrap();
            store.flush().unwrap();
            truths.insert(index + 1, rows(&store.rows(QM)).unwrap());
        }
    }
    let mut seed = 99u64;
    let mut chance = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n.max(1)
    };
    let (mut whole, mut older, mut moved, mut said) = (0, 0, 0, 0);
    for round in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let files = copy(original.path(), directory.path());
        let matters = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            fs::metadata(file).unwrap().len() > 0 && !name.starts_with("LOG") && name != "IDENTITY"
        };
        let files: Vec<_> = files.into_iter().filter(matters).collect();
        let file = &files[chance(files.len() as u64) as usize];
        let mut bytes = fs::read(file).unwrap();
        let at = chance(bytes.len() as u64) as usize;
        let what = match chance(8) {
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
                bytes[at] ^= 1 << chance(8);
                "flipped"
            }
        };
        if what != "removed" {
            fs::write(file, &bytes).unwrap();
        }
        let what = format!("round {round}: {} {what} at {at}", file.display());
        let (store, sentences) =
            RocksStore::open_verified(options(directory.path()), &[QM, OTHER]).expect(&what);
        if !sentences.is_empty() {
            moved += 1;
            assert_eq!(store.meta(QM).unwrap(), None, "{what}: {sentences:?}");
            assert!(rows(&store.rows(QM)).unwrap().is_empty(), "{what}");
            continue;
        }
        // With its newest list of files cut short RocksDB goes back to an older state, even to none. That is not silent:
        // the log behind the newer state is cut, or its mark is ahead, and `log_store::recovery` says so.
        let index = store.meta(QM).unwrap().map_or(1, |meta| meta.index.0);
        let found = rows(&store.rows(QM));
        match found {
            Ok(found) => {
                assert!(found == truths[&index], "{what}: not the state at {index}");
                // An older index is not silent: the log behind the newer one is cut, and recovery sees the gap.
                if index == 13 { whole += 1 } else { older += 1 }
            }
            Err(error) => {
                said += 1;
                store.condemn(&error.to_string());
                drop(store);
                let (store, sentences) = RocksStore::open(options(directory.path())).expect(&what);
                assert!(
                    sentences[0].contains("damaged-1") && store.meta(QM).unwrap().is_none(),
                    "{sentences:?}"
                );
            }
        }
    }
    println!(
        "{rounds} damages: {whole} stores whole, {older} at an older index, {moved} moved aside, {said} said when read, silent 0"
    );
    assert!(whole > 0 && moved > 0 && said > 0);
}

/// A closed store with bodies in several files, and its files.
fn closed(directory: &Path) -> Vec<PathBuf> {
    let store = open(directory);
    store.apply(&batch(QM, 1, 2, puts(QM, 0..300, 2500))).unwrap();
    store.flush().unwrap();
    drop(store);
    let files = fs::read_dir(directory.join("store")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn ends_with(files: &[PathBuf], suffix: &str) -> PathBuf {
    let found = files.iter().find(|file| file.to_string_lossy().ends_with(suffix));
    found.unwrap_or_else(|| panic!("there is a file {suffix}: {files:?}")).clone()
}

#[test]
fn files_that_vanish_from_a_running_store_are_damage_to_whoever_reads_and_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.apply(&batch(QM, 1, 2, puts(QM, 0..300, 2500))).unwrap();
    store.flush().unwrap();
    for file in fs::read_dir(directory.path().join("store")).unwrap() {
        let path = file.unwrap().path();
        let is_table = path.extension().is_some_and(|extension| extension == "sst" || extension == "blob");
        if is_table {
            fs::remove_file(path).unwrap();
        }
    }
    let error = store.scrub(None, usize::MAX).unwrap_err();
    assert!(error.reason.contains("No such file or directory"), "{error}");
    let condemned = directory.path().join("store.condemned");
    assert!(condemned.exists(), "{error}");

    // The same, found by a compaction, which has nobody to tell but the next write.
    fs::remove_file(condemned).unwrap();
    store.compact();
    store
        .apply(&batch(QM, 2, 3, puts(QM, 300..400, 2500)))
        .and_then(|()| store.flush().map(drop))
        .unwrap_or_else(|error| assert!(matches!(error, StoreError::Damaged { .. }), "{error}"));
    drop(store);
    fs::write(directory.path().join("store.condemned"), "it was").unwrap();
    let (store, sentences) = RocksStore::open(options(directory.path())).unwrap();
    assert!(sentences[0].contains("is rebuilt from the log and the peers"), "{sentences:?}");
    assert_eq!(store.meta(QM).unwrap(), None);
}

#[test]
fn a_store_that_is_given_up_says_file_and_offset() {
    let flip = |file: &Path, at: u64| {
        let mut bytes = fs::read(file).unwrap();
        bytes[at as usize] ^= 4;
        fs::write(file, bytes).unwrap();
    };
    let list = |files: &[PathBuf]| {
        files.iter().find(|file| file.to_string_lossy().contains("MANIFEST")).expect("it has one").clone()
    };
    // Which file, which byte of it, and where the record begins that it belongs to.
    type Which = fn(&[PathBuf]) -> PathBuf;
    let blob: Which = |files| ends_with(files, ".blob");
    let body_bytes = 32 + 12 + 2500;
    for (which, at, begins) in [
        (blob, 3, 0),
        (blob, 30 + 5, 30),
        (blob, 30 + 32 + 12 + 7, 30),
        (blob, 30 + 2 * body_bytes + 32 + 99, 30 + 2 * body_bytes),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = which(&closed(directory.path()));
        flip(&file, at);
        // Rows are there, and a body is damaged: seen when it is read.
        let store = open(directory.path());
        assert!(rows(&store.rows(QM)).is_err(), "byte {at}");
        drop(store);
        let (_, sentences) = RocksStore::open(options(directory.path())).unwrap();
        let place = format!("file {}, offset {begins}: ", file.display());
        assert!(sentences[0].contains(&place), "byte {at}: {sentences:?}");
        let mut text = String::new();
        let mut report = |found: Inspected| {
            text += &format!("{found}\n");
            Ok(())
        };
        let aside = directory.path().join("aside");
        fs::create_dir(&aside).unwrap();
        fs::rename(directory.path().join("store.damaged-1"), aside.join("store")).unwrap();
        let damaged = inspect::inspect(&aside, None, &mut report).unwrap();
        assert!(damaged > 0 && text.contains(&format!(", offset {begins}: ")), "byte {at}: {text}");
    }
    // The list of files.
    let directory = tempfile::tempdir().unwrap();
    let file = list(&closed(directory.path()));
    flip(&file, 9);
    let (_, sentences) = RocksStore::open(options(directory.path())).unwrap();
    assert!(sentences[0].contains(&format!("file {}, offset 0: ", file.display())), "{sentences:?}");
}

#[test]
fn a_damaged_store_is_kept_when_there_is_room_for_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let aside = |n: u32| directory.path().join(format!("store.damaged-{n}"));
    for round in 1..=3 {
        let store = open(directory.path());
        store.apply(&batch(QM, 1, 2, puts(QM, 0..300, 2500))).unwrap();
        store.flush().unwrap();
        store.condemn("a test says so");
        drop(store);
        // The third time the device is nearly full.
        let free = if round < 3 { 1 << 40 } else { 100_000 };
        let options = StoreOptions { free_bytes: Arc::new(move |_| Ok(free)), ..options(directory.path()) };
        let (_, sentences) = RocksStore::open(options).unwrap();
        let kept = if round < 3 { format!("moved to {}", aside(round).display()) } else { "removed".into() };
        assert!(sentences[0].contains(&kept), "{sentences:?}");
        assert_eq!((1..=3).filter(|n| aside(*n).exists()).count(), usize::from(round < 3), "the newest only");
    }
}

#[test]
fn damage_is_found_before_a_row_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let blob = ends_with(&closed(directory.path()), ".blob");
    let found = || {
        let (said, damages) = crossbeam_channel::unbounded();
        let options = StoreReaderOptions {
            scrub_every: Duration::from_millis(1),
            scrub_step_bytes: 100_000,
            scrub_pause: Duration::from_millis(1),
            ..StoreReaderOptions::default()
        };
        let damaged = Arc::new(move |text: String| drop(said.send(text)));
        let store = open(directory.path());
        let whole = store.clone();
        let readers = StoreReaders::start(store, options, Arc::new(|_| {}), damaged).unwrap();
        (whole, readers, damages)
    };
    let (store, readers, damages) = found();
    // Every row is passed once, however small the steps are.
    let mut at = None;
    let mut steps = 0;
    while let Some(next) = store.scrub(at.as_ref(), 100_000).unwrap() {
        assert!(at.as_ref().is_none_or(|at: &ResumeKey| (at.family, &at.key) < (next.family, &next.key)));
        at = Some(next);
        steps += 1;
    }
    assert!((6..12).contains(&steps), "{steps} steps through 768 KB");
    assert!(damages.try_recv().is_err(), "nothing is wrong yet");
    drop((store, readers));

    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let (_store, _readers, damages) = found();
    let text = damages.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(text.contains(&directory.path().display().to_string()), "{text}");
    assert!(directory.path().join("store.condemned").exists());
}

#[test]
fn a_file_of_bodies_that_nobody_lists_is_no_damage_and_one_that_was_cut_off_is() {
    let directory = tempfile::tempdir().unwrap();
    let blob = ends_with(&closed(directory.path()), ".blob");
    // What a node leaves that is killed while it writes one; RocksDB keeps it when its number is high.
    let half = fs::read(&blob).unwrap()[..5000].to_vec();
    fs::write(blob.with_file_name("000999.blob"), &half).unwrap();
    let store = open(directory.path());
    assert_eq!(rows(&store.rows(QM)).unwrap().len(), 600);
    drop(store);

    fs::write(&blob, half).unwrap();
    let (store, sentences) = RocksStore::open(options(directory.path())).unwrap();
    let place = format!("file {}, offset 5000: it ends here and should have ", blob.display());
    assert!(sentences[0].contains(&place), "{sentences:?}");
    assert_eq!(store.meta(QM).unwrap(), None);
}

#[test]
fn a_file_of_bodies_that_is_missing_is_noticed_at_the_start_and_one_that_ends_early_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let blob = ends_with(&closed(directory.path()), ".blob");
    fs::remove_file(&blob).unwrap();
    let (store, sentences) = RocksStore::open(options(directory.path())).unwrap();
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    assert!(
        sentences[0].contains(&format!("file {}, offset 0: it is missing", blob.display())),
        "{sentences:?}"
    );
    assert!(sentences[0].contains("is rebuilt from the log and the peers"), "{sentences:?}");
    assert_eq!(store.meta(QM).unwrap(), None);
    drop(store);

    // It is cut off while the store is in use.
    let directory = tempfile::tempdir().unwrap();
    let blob = ends_with(&closed(directory.path()), ".blob");
    let store = open(directory.path());
    fs::OpenOptions::new().write(true).open(&blob).unwrap().set_len(100).unwrap();
    let keys = (0..300).map(|number| (Family::Bodies, key(QM, number))).collect();
    let error = store.load(&LoadRequest { queue_manager: QM, request: RequestId(1), keys }).unwrap_err();
    assert!(directory.path().join("store.condemned").exists(), "{error}");
    drop(store);
    let (store, sentences) = RocksStore::open(options(directory.path())).unwrap();
    assert!(sentences[0].contains("is rebuilt from the log and the peers"), "{sentences:?}");
    assert_eq!(store.meta(QM).unwrap(), None);
}

/// What goes through a queue that never gets short, and what is left when it is drained; larger by hand:
/// `TRIMARAN_COSTS=2000000`, alone, for the figures to be this test's.
#[test]
fn bodies_are_written_about_once_and_heads_are_read_fast() {
    let total = std::env::var("TRIMARAN_COSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000u64);
    let (depth, step) = (total / 8, total / 100);
    let directory = tempfile::tempdir_in(std::env::var("TRIMARAN_COSTS_DIR").unwrap_or(".".into())).unwrap();
    let options = || StoreOptions::new(directory.path(), Arc::new(|_| Ok(1 << 40)));
    let (store, _) = RocksStore::open(options()).unwrap();
    let disk = || -> u64 {
        let io = fs::read_to_string("/proc/self/io").unwrap();
        io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
    };
    let (written, begun) = (disk(), std::time::Instant::now());
    let (mut index, mut first) = (1, 0);
    for first_of_step in (0..total).step_by(step as usize) {
        let mut changes = puts(QM, first_of_step..first_of_step + step, 1024);
        if first_of_step >= depth {
            changes.extend(removes(QM, first, first + step));
            first += step;
        }
        store.apply(&batch(QM, index, index + 1, changes)).unwrap();
        index += 1;
        if store.unflushed_bytes() > 32 << 20 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    println!(
        "{total} messages of 1 KiB, depth {depth}: {:.3} disk bytes a body byte, {:?}, {:?}",
        (disk() - written) as f64 / (total * 1024) as f64,
        begun.elapsed(),
        store.in_use()
    );
    let begun = std::time::Instant::now();
    drop(store);
    let (store, _) = RocksStore::open(options()).unwrap();
    let opened = begun.elapsed();
    let mut heads = 0;
    store.rows(QM).scan(Family::Heads, &mut |_, _| heads += 1).unwrap();
    println!("open {opened:?}, {heads} heads behind {first} removed in {:?}", begun.elapsed() - opened);
    assert_eq!(heads, total - first);
    let written = disk();
    store.apply(&batch(QM, index, index + 1, removes(QM, 0, total))).unwrap();
    store.flush().unwrap();
    store.reclaim();
    println!("drained: {} more bytes written, {:?}", disk() - written, store.in_use());
    assert!(rows(&store.rows(QM)).unwrap().is_empty());

    let many = total / 2;
    for first in (0..many).step_by(step as usize) {
        let heads = puts(QM, first..first + step, 1).into_iter().step_by(2).collect();
        index += 1;
        store.apply(&batch(QM, index, index + 1, heads)).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    let begun = std::time::Instant::now();
    let (store, _) = RocksStore::open(options()).unwrap();
    let (opened, mut bytes) = (begun.elapsed(), 0);
    store.rows(QM).scan(Family::Heads, &mut |key, value| bytes += key.len() + value.len()).unwrap();
    println!("open {opened:?}, {many} heads of {bytes} bytes read in {:?}", begun.elapsed() - opened);
}

#[test]
fn every_row_of_one_that_was_deleted_goes_and_no_row_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for queue_manager in [QM, OTHER] {
        store.apply(&batch(queue_manager, 1, 5, puts(queue_manager, 0..20, 500))).unwrap();
    }
    store.flush().unwrap();
    store.apply(&batch(QM, 5, 6, puts(QM, 20..30, 500))).unwrap();
    let rows = |store: &RocksStore, queue_manager| {
        let mut count = 0;
        store.rows(queue_manager).scan(Family::Heads, &mut |_, _| count += 1).unwrap();
        (count, store.meta(queue_manager).unwrap().map(|meta| meta.index))
    };
    for _ in 0..2 {
        store.forget(QM).unwrap();
        assert_eq!(rows(&store, QM), (0, None));
    }
    drop(store);
    let store = open(directory.path());
    assert_eq!(rows(&store, QM), (0, None));
    assert_eq!(rows(&store, OTHER), (20, Some(Index(5))));
}
