//! Start: what log and message store gave back, put together for the replica. Neither store knows the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::consensus::Recovered;
use crate::log_store::{LogError, RecoveredLog, Restart};
use crate::message_store::{RocksStore, StoreError, StoreOptions};
use crate::qmgr::{LoadError, QueueManager, RowSource};
use crate::replica::may_be_deleted;
use crate::types::{ObjectName, QueueManagerId, SnapshotMeta, Speaks};

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The cluster file contradicts the records of queue managers.
    #[error("{0}")]
    Register(String),
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
    let mut found = log.recover(id, &snapshot)?;
    let sentences = std::mem::take(&mut found.sentences);
    Ok((recovered(snapshot, found), sentences))
}

/// What a mind begins with, of what the log gave back.
pub(super) fn recovered(snapshot: SnapshotMeta, found: RecoveredLog) -> Recovered {
    Recovered {
        hard_state: found.hard_state,
        snapshot,
        entries: found.entries,
        recovering: !found.complete,
        since_start: Duration::ZERO,
        acknowledged: found.acknowledged,
        parted: found.parted,
    }
}

/// Why queue managers of the cluster file are not begun: they were deleted, or may have been. `own` is the nodes' own.
///
/// # Errors
/// A sentence: the file means another queue manager than the records.
fn barred(own: &Started, expected: &[Expected]) -> Result<BTreeMap<QueueManagerId, String>, String> {
    let register = own.queue_manager.register();
    let (doubtful, _) = may_be_deleted(&own.recovered.entries);
    let mut barred = BTreeMap::new();
    for Expected { id, name, .. } in expected.iter().filter(|one| one.id != QueueManagerId::CLUSTER) {
        let record = register.get(*id);
        let other = register.named(name.as_str()).filter(|other| other.id != id.0);
        match (record, other) {
            (Some(record), _) if record.name != name.as_str() => {
                let was = if record.deleted { "was that of" } else { "is that of" };
                let why = if record.deleted { ", which was deleted" } else { "" };
                return Err(format!(
                    "queue manager {name} has the id {id} in the cluster file, which {was} {}{why}: an id is given once; choose \
                     another one for {name}",
                    record.name
                ));
            }
            (_, Some(other)) => {
                return Err(format!(
                    "queue manager {name} has the id {} in the cluster's records, and {id} in the cluster file: its messages are kept \
                     under the id; put the old one back, or delete the queue manager first, with dltmqm",
                    other.id
                ));
            }
            (Some(record), None) if record.deleted => {
                let text = format!(
                    "the cluster file names queue manager {name}, which was deleted: it is not begun; take it out of the file"
                );
                barred.insert(*id, text);
            }
            _ if doubtful.contains(id) => {
                let text = format!(
                    "queue manager {name} may have been deleted: it is not begun before the other nodes say"
                );
                barred.insert(*id, text);
            }
            _ => {}
        }
    }
    Ok(barred)
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
    let mut not_begun = BTreeMap::new();
    for (one, queue_manager) in expected.iter().zip(queue_managers) {
        if let Some(sentence) = not_begun.remove(&one.id) {
            sentences.push(sentence);
            continue;
        }
        let (recovered, mut more) = recover(log, &store.rows(one.id), one.id, &one.initial)?;
        sentences.append(&mut more);
        let begins = Started { recovered, queue_manager };
        if one.id == QueueManagerId::CLUSTER {
            debug_assert!(started.is_empty(), "it comes first, and says who does not come");
            not_begun = barred(&begins, expected).map_err(RecoverError::Register)?;
        }
        started.push(begins);
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
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::consensus::{Entry, EntryKind, HardState, LogWrite};
    use crate::log_store::{LogOptions, LogStore, RaftEngineLog};
    use crate::message_store::MessageStore;
    use trimaran_proto::replica::v1::Registered;

    use crate::qmgr::{Command, StoreBatch};
    use crate::types::{Index, Membership, NodeId, Term, TermStarts, Version, WriteNumber};

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

    #[test]
    fn what_was_deleted_does_not_begin_and_a_file_that_contradicts_the_records_is_refused() {
        let record = |id: u32, name: &str| Registered { id, name: name.into(), ..Registered::default() };
        let own = |commands: Vec<Command>| {
            let directory = tempfile::tempdir().unwrap();
            let (mut log, options) = at(directory.path());
            let id = QueueManagerId::CLUSTER;
            let name = ObjectName::new(QueueManagerId::CLUSTER_NAME).unwrap();
            let initial = SnapshotMeta { queue_manager: id, ..expected().initial };
            let expected = Expected { id, name, initial, speaks: Speaks::RELEASE };
            let mut own = start(&mut log, options, &[expected]).unwrap().1.remove(0);
            let raise =
                Command::Raise { to: Version::RECORDS, leader: (NodeId(1), Term(1)), by: Box::default() };
            for command in std::iter::once(raise).chain(commands) {
                own.queue_manager.apply(command).verdict.unwrap();
            }
            own
        };
        let register = |id, name| Command::Register(Box::new(record(id, name)));
        let delete = |id| Command::Deregister { id: QueueManagerId(id), by: Box::default() };
        let judged = |commands| barred(&own(commands), &[expected()]);
        assert_eq!(judged(vec![]), Ok(BTreeMap::new()), "a first start");
        assert_eq!(judged(vec![register(1, "QM")]), Ok(BTreeMap::new()));
        let deleted = judged(vec![register(1, "QM"), delete(1)]).unwrap();
        assert!(
            deleted[&ID].contains("which was deleted: it is not begun; take it out of the file"),
            "{deleted:?}"
        );
        let other = judged(vec![register(1, "OTHER")]).unwrap_err();
        assert!(
            other.contains("has the id 1 in the cluster file, which is that of OTHER: an id is given once"),
            "{other}"
        );
        let used = judged(vec![register(1, "OTHER"), delete(1)]).unwrap_err();
        assert!(used.contains("which was that of OTHER, which was deleted"), "{used}");
        let moved = judged(vec![register(5, "QM")]).unwrap_err();
        assert!(
            moved.contains("has the id 5 in the cluster's records, and 1 in the cluster file"),
            "{moved}"
        );
        assert_eq!(judged(vec![register(5, "QM"), delete(5)]), Ok(BTreeMap::new()), "its name is free again");
    }
}
