//! raft-engine remembers, for each thread, the block of entries that it read last, by the number of its file and its place
//! in there, and not by its engine. In production a process has one engine. Here all nodes of a world share a thread, one
//! node's block could be taken for another's at the same place, and each process of a node begins with no memory.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tempfile::TempDir;
use trimaran_node::consensus::{Entry, EntryKind, LogWrite};
use trimaran_node::log_store::{LogOptions, LogStore, RaftEngineLog, Restart};
use trimaran_node::types::{Index, Membership, QueueManagerId, Term, WriteNumber};

use crate::sim::disk::initial_snapshot;

/// A process of a node that has, or had, the engine of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u64);

impl Process {
    pub fn begin() -> Process {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Process(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// What this thread reads from here on is read by this process, which remembers no other's blocks.
    pub fn takes_over(self) {
        READER.with(|reader| {
            if reader.replace(Some(self)) != Some(self) {
                STRANGER.with(|stranger| stranger.get_or_init(Stranger::new).read());
            }
        });
    }
}

thread_local! {
    static READER: Cell<Option<Process>> = const { Cell::new(None) };
    static STRANGER: OnceCell<Stranger> = const { OnceCell::new() };
}

/// No node writes an entry of this length.
const STRANGE_BYTES: usize = 65_537;

/// A log of nobody: whoever reads its entry forgets the block before.
struct Stranger {
    log: RaftEngineLog,
    _directory: TempDir,
}

impl Stranger {
    fn new() -> Stranger {
        let (log, directory) = log_with_an_entry(Term(1), STRANGE_BYTES);
        Stranger { log, _directory: directory }
    }

    fn read(&self) {
        read_entry(&self.log);
    }
}

const ID: QueueManagerId = QueueManagerId(1);
const INDEX: Index = Index(2);

fn log_with_an_entry(term: Term, bytes: usize) -> (RaftEngineLog, TempDir) {
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let opened = RaftEngineLog::open(LogOptions::small(directory.path()));
    let mut log = opened.expect("an empty directory becomes a log");
    log.begin(ID, &initial_snapshot(ID, &Membership::default())).expect("nothing is there");
    let data = Bytes::from(vec![0; bytes]);
    let crc = crc32c::crc32c(&data);
    let write = LogWrite {
        queue_manager: ID,
        number: WriteNumber(1),
        hard_state: None,
        restart_after: None,
        entries: vec![Entry { kind: EntryKind::Normal, term, index: INDEX, data, crc }],
        sync: false,
    };
    log.write_batch(&mut vec![write]).expect("a temporary directory takes an entry");
    (log, directory)
}

fn read_entry(log: &RaftEngineLog) -> Entry {
    let mut run = log.read(ID, INDEX, INDEX.next(), STRANGE_BYTES).expect("what was written can be read");
    run.pop().expect("it is not cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_reads_its_own_log_and_not_what_its_thread_read_of_another() {
        let (old, _old_directory) = log_with_an_entry(Term(2), 10);
        let (new, _new_directory) = log_with_an_entry(Term(3), 10);
        assert_eq!(read_entry(&old).term, Term(2));
        assert_eq!(
            read_entry(&new).term,
            Term(2),
            "the engine keeps them apart: this file is not needed any more"
        );
        let (old_process, new_process) = (Process::begin(), Process::begin());
        for _ in 0..2 {
            new_process.takes_over();
            assert_eq!(read_entry(&new).term, Term(3));
            old_process.takes_over();
            assert_eq!(read_entry(&old).term, Term(2));
        }
    }
}
