//! Start: what log and message store gave back, put together for the replica. Neither store knows the other.

use std::time::Duration;

use crate::consensus::Recovered;
use crate::log_store::{LogError, Restart};
use crate::message_store::{RocksStore, StoreError, StoreOptions};
use crate::qmgr::{LoadError, QueueManager, RowSource};
use crate::types::{ObjectName, QueueManagerId, SnapshotMeta, Speaks};

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// A queue manager of the cluster file: who it is, and the state every member of its new group agrees on (index 1,
/// term 1, the file's members).
#[derive(Clone, Debug)]
pub struct Expected {
    pub id: QueueManagerId,
    pub name: ObjectName,
    pub initial: SnapshotMeta,
    /// By the program that starts.
    pub speaks: Speaks,
}

#[derive(Debug)]
pub struct Started {
    pub recovered: Recovered,
    pub queue_manager: QueueManager,
}

/// One queue manager: where its log's replay begins and what is in it. The sentences are for the error log.
pub fn recover(
    log: &mut impl Restart,
    store: &impl RowSource,
    id: QueueManagerId,
    initial: &SnapshotMeta,
) -> Result<(Recovered, Vec<String>), RecoverError> {
    let snapshot = store.meta().map_err(LoadError::Read)?.unwrap_or_else(|| initial.clone());
    debug_assert_eq!(snapshot.queue_manager, id);
    let found = log.recover(id, &snapshot)?;
    let recovered = Recovered {
        hard_state: found.hard_state,
        snapshot,
        entries: found.entries,
        recovering: !found.complete,
        since_start: Duration::ZERO,
        acknowledged: found.acknowledged,
        parted: found.parted,
    };
    Ok((recovered, found.sentences))
}

/// The message store and the queue managers it has, in the order of `expected`, with sentences for the error log.
pub struct FromStore {
    store: RocksStore,
    queue_managers: Vec<QueueManager>,
    sentences: Vec<String>,
}

impl FromStore {
    /// For the error log, should the log not open.
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }
}

/// Every queue manager of the node as the message store has it; the log is not asked. A store whose rows cannot be
/// read is moved aside; then all begin from what the log still has, or from their peers. One that another release wrote is
/// left as it is.
pub fn load(options: StoreOptions, expected: &[Expected]) -> Result<FromStore, RecoverError> {
    let (store, mut sentences) = RocksStore::open(options.clone())?;
    let load = |store: &RocksStore| -> Result<Vec<QueueManager>, LoadError> {
        let load =
            |one: &Expected| QueueManager::load(one.id, one.name.clone(), &store.rows(one.id), one.speaks);
        expected.iter().map(load).collect()
    };
    match load(&store) {
        Ok(queue_managers) => Ok(FromStore { store, queue_managers, sentences }),
        Err(LoadError::Version(error)) => Err(LoadError::Version(error).into()),
        Err(LoadError::Read(error)) => {
            if !store.condemn(&error.to_string()) {
                return Err(LoadError::Read(error).into());
            }
            drop(store);
            let (store, mut more) = RocksStore::open(options)?;
            sentences.append(&mut more);
            let queue_managers = load(&store)?;
            Ok(FromStore { store, queue_managers, sentences })
        }
    }
}

/// The same with what the log adds to it.
pub fn with_log(
    log: &mut impl Restart,
    loaded: FromStore,
    expected: &[Expected],
) -> Result<(RocksStore, Vec<Started>, Vec<String>), RecoverError> {
    let FromStore { store, queue_managers, mut sentences } = loaded;
    let mut started = Vec::new();
    for (one, queue_manager) in expected.iter().zip(queue_managers) {
        let (recovered, mut more) = recover(log, &store.rows(one.id), one.id, &one.initial)?;
        sentences.append(&mut more);
        started.push(Started { recovered, queue_manager });
    }
    Ok((store, started, sentences))
}

/// Both, one after the other; a node opens its log meanwhile.
pub fn start(
    log: &mut impl Restart,
    options: StoreOptions,
    expected: &[Expected],
) -> Result<(RocksStore, Vec<Started>, Vec<String>), RecoverError> {
    with_log(log, load(options, expected)?, expected)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::consensus::{Entry, EntryKind, HardState, LogWrite};
    use crate::log_store::{LogOptions, LogStore, RaftEngineLog};
    use crate::message_store::MessageStore;
    use crate::qmgr::StoreBatch;
    use crate::types::{Index, Membership, NodeId, Term, TermStarts, WriteNumber};

    const ID: QueueManagerId = QueueManagerId(1);

    fn expected() -> Expected {
        let membership =
            Membership { voters: [NodeId(1)].into(), nodes: BTreeMap::new(), ..Membership::default() };
        let initial = SnapshotMeta {
            queue_manager: ID,
            index: Index(1),
            term: Term(1),
            membership,
            terms: TermStarts::default(),
            installed: false,
        };
        Expected { id: ID, name: ObjectName::new("QM").unwrap(), initial, speaks: Speaks::RELEASE }
    }

    fn at(directory: &std::path::Path) -> (RaftEngineLog, StoreOptions) {
        let log = RaftEngineLog::open(LogOptions::small(directory.join("log"))).unwrap();
        (log, StoreOptions::new(directory.join("data"), Arc::new(|_| Ok(1 << 40))))
    }

    #[test]
    fn the_log_goes_on_where_the_store_ends_and_covers_for_it_when_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let meta = |index| SnapshotMeta { index: Index(index), term: Term(2), ..expected().initial };
        {
            let (mut log, options) = at(directory.path());
            let (store, started, sentences) = start(&mut log, options, &[expected()]).unwrap();
            assert!(started[0].recovered.recovering, "a new node does not know whether it is the first");
            assert_eq!(started[0].recovered.snapshot, expected().initial);
            assert!(sentences.is_empty(), "{sentences:?}");
            let entry = |index| Entry {
                kind: EntryKind::Normal,
                term: Term(2),
                index: Index(index),
                data: Bytes::from_static(b"x"),
                crc: crc32c::crc32c(b"x"),
            };
            let write = LogWrite {
                queue_manager: ID,
                number: WriteNumber(1),
                hard_state: Some(HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(9) }),
                restart_after: None,
                entries: (2..=10).map(entry).collect(),
                sync: true,
            };
            log.write_batch(&mut vec![write]).unwrap();
            log.write_mark(true).unwrap();
            store.apply(&StoreBatch { base: Index(1), meta: meta(6), changes: Vec::new() }).unwrap();
            store.flush().unwrap();
        }
        {
            let (mut log, options) = at(directory.path());
            let (_, started, _) = start(&mut log, options, &[expected()]).unwrap();
            let recovered = &started[0].recovered;
            assert!(!recovered.recovering);
            assert_eq!(recovered.snapshot, meta(6));
            assert_eq!(recovered.entries.len(), 4);
            assert_eq!(recovered.hard_state.commit, Index(9));
        }
        // The store is gone and the log has everything since the beginning.
        std::fs::remove_dir_all(directory.path().join("data")).unwrap();
        {
            let (mut log, options) = at(directory.path());
            let (_, started, _) = start(&mut log, options, &[expected()]).unwrap();
            assert!(!started[0].recovered.recovering);
            assert_eq!(started[0].recovered.entries.len(), 9);
            log.truncate(ID, Index(5)).unwrap();
        }
        // Now it has not.
        let (mut log, options) = at(directory.path());
        let (_, started, sentences) = start(&mut log, options, &[expected()]).unwrap();
        assert!(started[0].recovered.recovering);
        assert!(started[0].recovered.entries.is_empty());
        assert!(sentences[0].contains("what lies between is lost"), "{sentences:?}");
    }
}
