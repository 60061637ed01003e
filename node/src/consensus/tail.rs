//! The recent log in memory: what raft-rs reads. Older entries are asked back from the log on disk.
//!
//! Entries come here before raft-rs is told that they are being written (it reads them from here at once) and stay
//! until they are applied and on disk and the tail has grown past its bound. The term of every entry of the log is
//! kept for good, as runs: questions about terms never wait.
//!
//! ```text
//!   snapshot ... | first            memory_first                      last
//!        cut off | on disk only     | in memory (and on disk up to persisted)
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use raft::eraftpb::{self, ConfState};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::membership;
use crate::types::{Membership, NodeId, RequestId, SnapshotMeta};

/// Runs of loaded entries kept at a time.
const LOADED_MAX: usize = 4;
/// Peers that wait for the same load.
const WAITING_MAX: usize = 16;

/// Old entries somebody needs: `first..until`, at most `bytes_max` of them (but at least one).
#[derive(Debug)]
pub(super) struct Want {
    /// Set once the load was asked for.
    pub request: Option<RequestId>,
    pub first: u64,
    pub until: u64,
    pub bytes_max: usize,
    pub waiting: Vec<GetEntriesContext>,
}

pub(super) struct Tail {
    hard_state: eraftpb::HardState,
    snapshot: SnapshotMeta,
    /// Lowest index the log on disk has; the term of the one before it is known.
    first: u64,
    memory_first: u64,
    entries: VecDeque<eraftpb::Entry>,
    bytes: usize,
    /// (first index, term) of each run of equal terms; the first run begins at or before `first - 1`.
    terms: VecDeque<(u64, u64)>,
    /// Indexes up to here could not be read back from disk: peers that need them get a snapshot.
    unreadable_upto: u64,
    load_bytes_max: usize,
    wants: RefCell<Vec<Want>>,
    loaded: VecDeque<Vec<eraftpb::Entry>>,
    snapshot_too_old: Cell<bool>,
}

impl Tail {
    pub fn new(
        hard_state: eraftpb::HardState,
        snapshot: SnapshotMeta,
        entries: Vec<eraftpb::Entry>,
        load_bytes_max: usize,
    ) -> Tail {
        let begin = snapshot.index.0;
        let mut tail = Tail {
            hard_state,
            first: begin + 1,
            memory_first: begin + 1,
            entries: VecDeque::new(),
            bytes: 0,
            terms: VecDeque::from([(begin, snapshot.term.0)]),
            snapshot,
            unreadable_upto: 0,
            load_bytes_max,
            wants: RefCell::default(),
            loaded: VecDeque::new(),
            snapshot_too_old: Cell::new(false),
        };
        tail.append(entries);
        debug_assert!(tail.last() >= begin, "the log goes on behind its snapshot");
        tail
    }

    pub fn last(&self) -> u64 {
        debug_assert!(self.memory_first >= self.first, "what is in memory was not cut off");
        self.memory_first + self.entries.len() as u64 - 1
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Of the entries behind this one that are in memory.
    pub fn bytes_after(&self, index: u64) -> usize {
        let after = self.entries.iter().rev().take_while(|entry| entry.index > index).map(size).sum();
        debug_assert!(after <= self.bytes, "what is behind an entry is part of what is in memory");
        after
    }

    pub fn snapshot_meta(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    pub fn entry(&self, index: u64) -> Option<&eraftpb::Entry> {
        let place = index.checked_sub(self.memory_first)?;
        let entry = self.entries.get(place as usize)?;
        debug_assert_eq!(entry.index, index, "entries follow each other without a gap");
        Some(entry)
    }

    /// The entries replace what was there from their first index on.
    pub fn append(&mut self, entries: Vec<eraftpb::Entry>) {
        let Some(first) = entries.first() else { return };
        let first = first.index;
        assert!(
            self.memory_first <= first && first <= self.last() + 1,
            "append at {first} to a tail of {}..={}",
            self.memory_first,
            self.last()
        );
        while self.last() >= first {
            let entry = self.entries.pop_back().expect("last() counts it");
            self.bytes -= size(&entry);
        }
        while self.terms.back().is_some_and(|(begin, _)| *begin >= first) {
            self.terms.pop_back();
        }
        debug_assert!(self.terms.front().is_some(), "the term before the first entry is known");
        for entry in entries {
            debug_assert_eq!(entry.index, self.last() + 1, "entries follow each other without a gap");
            debug_assert!(self.terms.back().is_none_or(|(_, term)| *term <= entry.term), "terms never sink");
            if self.terms.back().is_none_or(|(_, term)| *term != entry.term) {
                self.terms.push_back((entry.index, entry.term));
            }
            self.bytes += size(&entry);
            self.entries.push_back(entry);
        }
    }

    /// A snapshot was installed: the log begins anew behind it.
    pub fn restart(&mut self, snapshot: SnapshotMeta) {
        let begin = snapshot.index.0;
        assert!(begin > 0, "a snapshot is of the state behind some entry");
        debug_assert!(begin + 1 >= self.first, "a log begins anew behind what was cut off, not in it");
        self.first = begin + 1;
        self.memory_first = begin + 1;
        self.entries.clear();
        self.bytes = 0;
        self.terms = VecDeque::from([(begin, snapshot.term.0)]);
        self.snapshot = snapshot;
        self.wants.borrow_mut().clear();
        self.loaded.clear();
        debug_assert_eq!(
            (self.first(), self.last()),
            (begin + 1, begin),
            "a log that begins anew has no entry yet"
        );
    }

    pub fn store_snapshot(&mut self, meta: SnapshotMeta) {
        if meta.index > self.snapshot.index {
            self.snapshot = meta;
            self.snapshot_too_old.set(false);
        }
    }

    /// The log on disk is cut up to here. Never beyond the snapshot: a peer that needs what was cut must find its
    /// continuation in the log.
    pub fn compact(&mut self, upto: u64) {
        let upto = upto.min(self.snapshot.index.0).min(self.last());
        if upto < self.first {
            return;
        }
        self.first = upto + 1;
        while self.memory_first <= upto {
            self.release_front();
        }
        while self.terms.get(1).is_some_and(|(begin, _)| *begin <= upto) {
            self.terms.pop_front();
        }
        assert!(self.term_of(upto).is_some(), "the term before the first entry is known");
        debug_assert!(
            self.first <= self.snapshot.index.0 + 1,
            "whoever needs what was cut finds the rest behind a snapshot"
        );
        self.loaded.retain(|run| run.last().is_some_and(|entry| entry.index > upto));
        debug_assert_eq!(
            self.bytes,
            self.entries.iter().map(size).sum::<usize>(),
            "what stays in memory is counted to the byte"
        );
    }

    /// Entries at or below `upto`, oldest first, leave memory while it holds more than `bytes_max`.
    pub fn release(&mut self, upto: u64, bytes_max: usize) {
        while self.bytes > bytes_max && self.memory_first <= upto && !self.entries.is_empty() {
            self.release_front();
        }
    }

    fn release_front(&mut self) {
        let entry = self.entries.pop_front().expect("the caller saw it");
        assert!(self.bytes >= size(&entry), "the bytes of all entries are counted");
        debug_assert_eq!(entry.index, self.memory_first, "the oldest entry leaves memory first");
        self.bytes -= size(&entry);
        self.memory_first += 1;
    }

    /// The log on disk goes further back than the snapshot: `runs` are its terms, (first index, term), from the
    /// entry before `first` on.
    pub fn extend_down(&mut self, first: u64, runs: Vec<(u64, u64)>) {
        let Some((begin, term)) = self.terms.front().copied() else { return };
        let known = runs.first().is_some_and(|(begin, _)| *begin < first)
            && runs.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
            && runs.last().is_some_and(|(last, last_term)| *last <= begin && *last_term <= term);
        if first >= self.first || !known {
            return;
        }
        self.first = first;
        if runs.last().is_some_and(|(_, last_term)| *last_term == term) {
            self.terms.pop_front();
        }
        for run in runs.into_iter().rev() {
            self.terms.push_front(run);
        }
        debug_assert!(self.terms.iter().is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "terms never sink");
    }

    pub fn term_of(&self, index: u64) -> Option<u64> {
        if index + 1 < self.first || index > self.last() {
            return None;
        }
        // Nearly every question is about the newest run.
        let term = self.terms.iter().rev().find(|(begin, _)| *begin <= index).map(|(_, term)| *term);
        debug_assert!(term.is_some(), "the term of every entry of the log is known");
        term
    }

    /// The next load to ask for under this number, if any peer waits for one: first, until, bytes at most.
    pub fn ask(&mut self, request: RequestId) -> Option<(u64, u64, usize)> {
        let want = self.wants.get_mut().iter_mut().find(|want| want.request.is_none())?;
        want.request = Some(request);
        debug_assert!(want.first < want.until, "one entry at least is wanted");
        Some((want.first, want.until, want.bytes_max))
    }

    /// What was asked for under this number, unless it is not wanted any more.
    pub fn take_want(&mut self, request: RequestId) -> Option<Want> {
        let wants = self.wants.get_mut();
        let place = wants.iter().position(|want| want.request == Some(request))?;
        Some(wants.remove(place))
    }

    /// Keeps what was loaded until the peers that waited have been served (or others came).
    pub fn keep_loaded(&mut self, entries: Vec<eraftpb::Entry>) {
        if self.loaded.len() == LOADED_MAX {
            self.loaded.pop_front();
        }
        debug_assert!(!entries.is_empty(), "what was loaded is something");
        debug_assert!(
            entries.windows(2).all(|pair| pair[0].index + 1 == pair[1].index),
            "what is loaded at once is one run of the log"
        );
        self.loaded.push_back(entries);
        debug_assert!(self.loaded.len() <= LOADED_MAX, "few loads are kept");
    }

    pub fn drop_loaded(&mut self) {
        self.loaded.clear();
    }

    pub fn give_up_below(&mut self, upto: u64) {
        debug_assert!(upto < self.memory_first, "what is in memory can be read");
        self.unreadable_upto = self.unreadable_upto.max(upto);
    }

    /// A peer needs a snapshot that holds the change of membership that made it a member; said once.
    pub fn take_snapshot_too_old(&self) -> bool {
        self.snapshot_too_old.replace(false)
    }

    /// As many of `entries` from `low` to before `high` as fit into `bytes_max`, at least one.
    fn limited<'a>(
        entries: impl Iterator<Item = &'a eraftpb::Entry>,
        high: u64,
        bytes_max: u64,
    ) -> Vec<eraftpb::Entry> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        for entry in entries {
            bytes += size(entry) as u64;
            if entry.index >= high || (bytes > bytes_max && !taken.is_empty()) {
                break;
            }
            taken.push(entry.clone());
        }
        taken
    }

    fn want(&self, low: u64, context: GetEntriesContext) {
        debug_assert!(low < self.memory_first, "what is in memory is not loaded");
        let mut wants = self.wants.borrow_mut();
        let room = wants.len() < WAITING_MAX;
        match wants.iter_mut().find(|want| want.first == low) {
            Some(want) if want.waiting.len() < WAITING_MAX => want.waiting.push(context),
            Some(_) => (),
            None if room => wants.push(Want {
                request: None,
                first: low,
                until: self.memory_first,
                bytes_max: self.load_bytes_max,
                waiting: vec![context],
            }),
            None => (), // raft-rs asks again at the peer's next answer to a heartbeat
        }
    }
}

/// What an entry costs in memory, near enough.
fn size(entry: &eraftpb::Entry) -> usize {
    entry.data.len() + 128
}

impl Storage for Tail {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), membership::conf_state(&self.snapshot.membership)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        if low < self.first || low <= self.unreadable_upto {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if low >= self.memory_first {
            let begin = (low - self.memory_first) as usize;
            let found = Self::limited(self.entries.range(begin.min(self.entries.len())..), high, bytes_max);
            debug_assert!(
                found.first().is_none_or(|entry| entry.index == low),
                "a read begins where it was asked for"
            );
            return Ok(found);
        }
        let run = self.loaded.iter().find(|run| {
            run.first().is_some_and(|e| e.index <= low) && run.last().is_some_and(|e| e.index >= low)
        });
        if let Some(run) = run {
            debug_assert!(low < self.memory_first, "what was loaded was not in memory");
            return Ok(Self::limited(run.iter().skip_while(|entry| entry.index < low), high, bytes_max));
        }
        if !context.can_async() {
            // Unapplied entries never leave memory, and nothing else is read without a peer that can wait.
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        self.want(low, context);
        Err(raft::Error::Store(StorageError::LogTemporarilyUnavailable))
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index + 1 < self.first {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        self.term_of(index).ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        let meta = &self.snapshot;
        // raft-rs refuses a snapshot that does not list its receiver: a new member waits for the next one.
        let listed = members(&meta.membership).any(|node| node == NodeId(to));
        if meta.index.0 < request_index || meta.index.0 == 0 || !listed {
            self.snapshot_too_old.set(true);
            return Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(snapshot_of(meta))
    }
}

fn members(membership: &Membership) -> impl Iterator<Item = NodeId> + '_ {
    let Membership { voters, voters_outgoing, learners, .. } = membership;
    voters.iter().chain(voters_outgoing).chain(learners).copied()
}

/// raft-rs's snapshot without data: the rows travel on their own.
pub(super) fn snapshot_of(meta: &SnapshotMeta) -> eraftpb::Snapshot {
    let mut snapshot = eraftpb::Snapshot::default();
    let metadata = snapshot.mut_metadata();
    metadata.index = meta.index.0;
    metadata.term = meta.term.0;
    let conf_state: ConfState = membership::conf_state(&meta.membership);
    metadata.set_conf_state(conf_state);
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Index, QueueManagerId, Term, TermStarts};

    fn meta(index: u64, term: u64) -> SnapshotMeta {
        let membership = Membership { voters: [NodeId(1), NodeId(2)].into(), ..Membership::default() };
        SnapshotMeta {
            queue_manager: QueueManagerId(1),
            index: Index(index),
            term: Term(term),
            membership,
            terms: TermStarts::default(),
            installed: false,
        }
    }

    fn entries(first: u64, terms: &[u64]) -> Vec<eraftpb::Entry> {
        let entry = |(index, term): (u64, &u64)| eraftpb::Entry {
            index,
            term: *term,
            data: vec![0; 100].into(),
            ..Default::default()
        };
        (first..).zip(terms).map(entry).collect()
    }

    /// Entries 11..=18 behind a snapshot at 10 of term 2.
    fn tail() -> Tail {
        Tail::new(eraftpb::HardState::default(), meta(10, 2), entries(11, &[2, 2, 3, 3, 3, 5, 5, 5]), 1000)
    }

    fn read(tail: &Tail, low: u64, high: u64, bytes_max: u64) -> raft::Result<Vec<u64>> {
        let found = tail.entries(low, high, bytes_max, GetEntriesContext::empty(true))?;
        Ok(found.iter().map(|entry| entry.index).collect())
    }

    fn storage<T>(error: StorageError) -> raft::Result<T> {
        Err(raft::Error::Store(error))
    }

    #[test]
    fn terms_are_known_from_before_the_first_entry_on() {
        let mut tail = tail();
        let terms = |tail: &Tail| (9..=19).map(|index| tail.term_of(index).unwrap_or(0)).collect::<Vec<_>>();
        assert_eq!(terms(&tail), [0, 2, 2, 2, 3, 3, 3, 5, 5, 5, 0]);
        tail.append(entries(15, &[4, 4]));
        assert_eq!(terms(&tail), [0, 2, 2, 2, 3, 3, 4, 4, 0, 0, 0]);
        assert_eq!((tail.last(), tail.bytes()), (16, 6 * 228));
        tail.append(entries(15, &[3]));
        assert_eq!(terms(&tail), [0, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0]);
    }

    #[test]
    fn a_read_is_limited_and_never_empty() {
        let tail = tail();
        assert_eq!(read(&tail, 11, 19, u64::MAX), Ok((11..19).collect()));
        assert_eq!(read(&tail, 13, 15, u64::MAX), Ok(vec![13, 14]));
        assert_eq!(read(&tail, 11, 19, 0), Ok(vec![11]));
        assert_eq!(read(&tail, 11, 19, 3 * 228), Ok(vec![11, 12, 13]));
        assert_eq!(read(&tail, 10, 19, 0), storage(StorageError::Compacted));
    }

    #[test]
    fn released_entries_are_asked_back_once_and_read_from_what_came() {
        let mut tail = tail();
        tail.release(14, 0);
        assert_eq!((tail.first(), tail.bytes()), (11, 4 * 228));
        assert!(tail.entry(14).is_none());
        assert_eq!(tail.term_of(12), Some(2), "terms stay");
        for _ in 0..3 {
            assert_eq!(read(&tail, 12, 19, 9999), storage(StorageError::LogTemporarilyUnavailable));
        }
        assert_eq!(tail.ask(RequestId(1)), Some((12, 15, 1000)));
        assert_eq!(read(&tail, 12, 19, 9999), storage(StorageError::LogTemporarilyUnavailable));
        assert_eq!(tail.ask(RequestId(2)), None, "it is on its way");
        assert_eq!(tail.take_want(RequestId(1)).unwrap().waiting.len(), 4);
        assert!(tail.take_want(RequestId(1)).is_none());
        tail.keep_loaded(entries(12, &[2, 3, 3]));
        assert_eq!(read(&tail, 12, 19, 9999), Ok(vec![12, 13, 14]));
        assert_eq!(read(&tail, 13, 19, 0), Ok(vec![13]));
        tail.give_up_below(12);
        assert_eq!(read(&tail, 12, 19, 9999), storage(StorageError::Compacted), "then a snapshot");
        // What must not wait (unapplied entries, which are never released) does not.
        let now = tail.entries(11, 19, None, GetEntriesContext::empty(false));
        assert_eq!(now, storage(StorageError::Compacted));
    }

    #[test]
    fn the_log_is_never_cut_beyond_the_snapshot() {
        let mut tail = tail();
        tail.compact(15);
        assert_eq!(tail.first(), 11);
        tail.store_snapshot(meta(14, 3));
        tail.store_snapshot(meta(12, 2));
        tail.compact(17);
        assert_eq!((tail.first(), tail.term_of(13), tail.term_of(14)), (15, None, Some(3)));
        assert_eq!(read(&tail, 14, 19, 9999), storage(StorageError::Compacted));
        assert_eq!(read(&tail, 15, 19, 9999), Ok(vec![15, 16, 17, 18]));
    }

    #[test]
    fn a_snapshot_is_for_those_it_lists() {
        let tail = tail();
        assert_eq!(tail.snapshot(0, 2).unwrap().get_metadata().index, 10);
        assert!(!tail.take_snapshot_too_old());
        assert_eq!(tail.snapshot(0, 3), storage(StorageError::SnapshotTemporarilyUnavailable));
        assert!(tail.take_snapshot_too_old());
        assert!(!tail.take_snapshot_too_old());
    }

    #[test]
    fn after_a_start_the_log_may_go_further_back() {
        let mut tail = tail();
        tail.extend_down(6, vec![(5, 1), (8, 2)]);
        assert_eq!((tail.first(), tail.term_of(4), tail.term_of(5)), (6, None, Some(1)));
        assert_eq!((tail.term_of(7), tail.term_of(8), tail.term_of(11)), (Some(1), Some(2), Some(2)));
        assert_eq!(
            read(&tail, 6, 19, 9999),
            Ok(vec![11]).and(storage(StorageError::LogTemporarilyUnavailable))
        );
        // What does not fit together is not believed.
        for runs in [vec![], vec![(3, 1)], vec![(1, 9)], vec![(1, 2), (2, 1)]] {
            let before = tail.first();
            tail.extend_down(if runs.len() == 1 { 3 } else { 2 }, runs);
            assert_eq!(tail.first(), before);
        }
    }

    #[test]
    fn a_restart_leaves_only_the_snapshot() {
        let mut tail = tail();
        tail.restart(meta(30, 7));
        assert_eq!((tail.first(), tail.last(), tail.bytes()), (31, 30, 0));
        assert_eq!((tail.term_of(30), tail.term_of(18)), (Some(7), None));
        tail.append(entries(31, &[7]));
        assert_eq!(tail.last(), 31);
    }
}
