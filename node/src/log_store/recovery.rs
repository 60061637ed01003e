//! What a restart makes of the log and the mark (reliability rules 1, 2, 3, 5, 6).
//!
//! The log counts when it reaches at least as far as the mark says and is whole from the message store's state on.
//! Otherwise the good prefix is kept, the rest is cut off on disk, and the node is `recovering`: it stays so, in the
//! mark, over any number of restarts, until it caught up with its group.

use raft_engine::env::FileSystem;

use super::entry_codec::check_entry;
use super::mark::Acknowledged;
use super::raft_engine::{RaftEngineLog, region};
use super::{LogError, LogStore};
use crate::consensus::{Entry, HardState, Parted};
use crate::types::{Index, QueueManagerId, SnapshotMeta, Term};

/// A message store that has no more than this is that of a new node.
const FIRST: Index = Index(1);
const FIRST_TERM: Term = Term(1);

/// What the log gave back.
#[derive(Clone, Debug)]
pub struct RecoveredLog {
    pub hard_state: HardState,
    /// Behind the store's state, in order, without a gap, verified.
    pub entries: Vec<Entry>,
    /// Nothing this node acknowledged is missing. False also for a node that has never had part in the group.
    pub complete: bool,
    /// The highest entry this node ever acknowledged, by what it noted beside the log; None where that note was lost, or
    /// was begun with empty disks and the node has not caught up since.
    pub acknowledged: Option<Index>,
    /// What it has committed is not what a leader had, as far as that is still in the log.
    pub parted: Option<Parted>,
    /// For the operator: what is damaged, where, and what follows from it.
    pub sentences: Vec<String>,
}

/// What a start asks a log, before anything else is done with it.
pub trait Restart {
    /// Reads back everything behind `store` (the state of the message store, or the initial state of the group when
    /// the store is empty) and verifies it. Cuts off, on disk, what must never be read again. Call it once per queue
    /// manager before its first write.
    ///
    /// # Errors
    /// When the device does not answer; what is damaged is told in the answer.
    fn recover(
        &mut self,
        queue_manager: QueueManagerId,
        store: &SnapshotMeta,
    ) -> Result<RecoveredLog, LogError>;

    /// The same for a queue manager that is known to be younger than this disk: where nothing of it is here nothing was, and this
    /// node may vote at once.
    ///
    /// # Errors
    /// As [`Restart::recover`].
    fn begin(
        &mut self,
        queue_manager: QueueManagerId,
        store: &SnapshotMeta,
    ) -> Result<RecoveredLog, LogError>;
}

impl<F: FileSystem> Restart for RaftEngineLog<F> {
    fn recover(
        &mut self,
        queue_manager: QueueManagerId,
        store: &SnapshotMeta,
    ) -> Result<RecoveredLog, LogError> {
        recover(self, queue_manager, store, false)
    }

    fn begin(
        &mut self,
        queue_manager: QueueManagerId,
        store: &SnapshotMeta,
    ) -> Result<RecoveredLog, LogError> {
        recover(self, queue_manager, store, true)
    }
}

fn recover<F: FileSystem>(
    log: &mut RaftEngineLog<F>,
    queue_manager: QueueManagerId,
    store: &SnapshotMeta,
    is_younger: bool,
) -> Result<RecoveredLog, LogError> {
    let mut sentences = std::mem::take(&mut log.checked.sentences);
    let mut wrong: Vec<String> = Vec::new();
    let directory = log.directory().display().to_string();
    let mark = log.marks().get(queue_manager).copied();
    let span = log.span(queue_manager);
    let stored = log.stored_hard_state(queue_manager);
    let has_nothing = mark.is_none() && span.is_none() && stored.is_none() && store.index <= FIRST;
    // Of a mark that is damaged nobody knows that it was not this one's.
    let is_new = has_nothing && !log.marks().has_lost();
    let mark_is_lost = mark.is_none() && !is_new;
    if mark_is_lost {
        wrong.push(format!("the mark of what it acknowledged is missing or damaged in {directory}"));
    }
    let mark = mark.unwrap_or_default();

    // The entries behind the store.
    let base = (store.term, store.index);
    let mut entries = Vec::new();
    let mut cut = false;
    if let Some((first, last)) = span {
        if first > store.index.next() {
            wrong.push(format!(
                "the log begins at entry {first}, but the message store ends at {}: what lies between is lost",
                store.index
            ));
            cut = true;
        } else if last < store.index {
            // The store is ahead (a snapshot, or a log that lost its end): the log begins anew behind it.
            cut = true;
        } else {
            if first <= store.index {
                match log.read(queue_manager, store.index, store.index.next(), 1) {
                    Ok(run) if run.first().is_some_and(|entry| entry.term != store.term) => {
                        wrong.push(format!(
                            "entry {} is of term {} in the log and of term {} in the message store",
                            store.index, run[0].term, store.term
                        ));
                        cut = true;
                    }
                    // Below the store's state the log is only for peers that lag: damage there costs a snapshot.
                    _ => {}
                }
            }
            if !cut {
                let (good, damage) = log.read_good(queue_manager, store.index.next(), last);
                entries = good;
                if entries.first().is_some_and(|entry| entry.term < store.term) {
                    wrong
                        .push(format!("entry {} has an older term than the message store", entries[0].index));
                    entries.clear();
                    cut = true;
                }
                if let Some((index, reason)) = damage {
                    let place = log.checked.damaged.iter().find(|damaged| {
                        damaged.region == region(queue_manager)
                            && (damaged.first..=damaged.last).contains(&index.0)
                    });
                    let place = place.map_or(format!("in {directory}"), |damaged| damaged.place.clone());
                    wrong.push(format!("entry {index} cannot be read ({place}): {reason}"));
                    cut = true;
                }
            }
        }
    }
    // What is in the store came by the log, or whole from a leader, and the store says which.
    let logged = span.map_or(mark.last.1, |(_, last)| last.max(mark.last.1));
    // A log whose entries are all in the store has none; then the mark alone knows that it had them.
    let is_known = span.is_some() || !mark_is_lost;
    let is_older = logged < store.index && is_known && !store.installed && !is_new;
    if is_older {
        let ends = if mark_is_lost { "the log ends" } else { "the log and its mark end" };
        wrong.push(format!(
            "the message store is at entry {}, but {ends} at {logged}: an older log was put in the place of the one that had the \
             rest",
            store.index
        ));
    }
    debug_assert!(entries.iter().all(|entry| check_entry(entry).is_ok()));
    // Nobody can read them, the engine neither: it would fail when it moves them to another file.
    let unreadable = log.checked.damaged.iter().filter(|damaged| damaged.region == region(queue_manager));
    if let Some(upto) = unreadable.map(|damaged| Index(damaged.last).min(store.index)).max()
        && !cut
    {
        log.truncate(queue_manager, upto)?;
    }

    let last = entries.last().map_or(base, |entry| (entry.term, entry.index));
    if last < mark.last {
        // A file that was cut between two batches looks whole: then only the directory is known.
        let tail =
            log.checked.tail.as_ref().map_or(format!("; its files are in {directory}/engine"), |tail| {
                format!("; the log ends at {tail}")
            });
        wrong.push(format!(
            "the log ends at entry {} of term {}, but this node acknowledged entry {} of term {}{tail}",
            last.1, last.0, mark.last.1, mark.last.0
        ));
    }
    if log.begun_anew {
        wrong.push(format!("the log in {directory} could not be used"));
    }

    // Term and vote: the log's, unless the mark remembers newer ones. Entries of a term are a memory of it, but not
    // of a vote in it.
    let mut hard_state = stored.unwrap_or_default();
    if hard_state.term < last.0 {
        hard_state = HardState { term: last.0, vote: None, ..hard_state };
    }
    let (logged, marked) = ((hard_state.term, hard_state.vote), (mark.hard_state.term, mark.hard_state.vote));
    if logged.0 < marked.0 || (logged.0 == marked.0 && marked.1.is_some() && logged.1 != marked.1) {
        wrong.push(format!(
            "term and vote in the log (of term {}) are older than what it promised in term {}",
            logged.0, marked.0
        ));
        hard_state = mark.hard_state;
    }
    let committed_when_parted = mark.parted.map_or(Index(0), |parted| parted.commit);
    hard_state.commit = hard_state.commit.max(mark.hard_state.commit).max(committed_when_parted);
    hard_state.commit = hard_state.commit.min(last.1).max(store.index);

    let was_recovering = mark.is_recovering_with(&hard_state);
    let complete = wrong.is_empty() && (!is_new || is_younger) && !was_recovering;
    let recovering = match (complete, mark.recovering.filter(|_| was_recovering)) {
        (true, _) => None,
        (false, Some(since)) => Some(since),
        (false, None) => Some((hard_state.term, hard_state.vote)),
    };
    // An older mark came with the older log.
    let forgot = mark_is_lost || is_older || (was_recovering && mark.forgot);
    // What was cut off is no history of this node any more.
    let parted = mark.parted.filter(|parted| parted.index <= hard_state.commit);
    let decided = Acknowledged { last: mark.last.max(last), hard_state, recovering, forgot, parted };
    // Before the log is cut: a start behind a crash in between would find a log that is only shorter, and a mark that is
    // synced now and then need not know how long it was.
    log.set_mark(queue_manager, decided)?;
    if cut {
        log.rewrite_region(queue_manager, hard_state, &entries)?;
    } else if !is_new
        && stored.map(|stored| (stored.term, stored.vote)) != Some((hard_state.term, hard_state.vote))
    {
        log.write_hard_state(queue_manager, &hard_state)?;
    }
    log.begin_region(queue_manager, last, hard_state);

    if wrong.is_empty() && was_recovering && span.is_some() {
        sentences.push(format!(
            "queue manager {queue_manager} was still catching up with its group when this node ended, and goes on with it"
        ));
    }
    if !wrong.is_empty() {
        sentences.push(format!(
            "queue manager {queue_manager}: {}; {} entries behind {} are kept, and the node does not vote before it \
             has fetched the rest from its peers",
            wrong.join("; "),
            entries.len(),
            store.index
        ));
    }
    // Nobody is elected in the first term: the disks were empty, and what may have been on others before them is not known.
    let began_empty = recovering.is_some_and(|since| since == (FIRST_TERM, None)) && decided.last.1 > FIRST;
    let acknowledged = (!forgot && !began_empty).then_some(decided.last.1);
    Ok(RecoveredLog { hard_state, entries, complete, acknowledged, parted, sentences })
}

impl Acknowledged {
    /// As `is_recovering`, for the hard state that is in the log, which may be newer than the mark's.
    fn is_recovering_with(&self, hard_state: &HardState) -> bool {
        Acknowledged { hard_state: *hard_state, ..*self }.is_recovering()
    }
}
