//! Which queue managers the cluster has, and had: records of the nodes' own queue manager ([`QueueManagerId::CLUSTER`]).
//!
//! It is an ordinary queue manager of a group of its own, which no program connects to: log, store, snapshots, votes and versions are
//! as everywhere. A record says who a queue manager is and with which members its group begins; each node makes its part of it when it
//! applies the record, and at any later start where it is not there. One that was deleted leaves its record, without most of what it said:
//! ids are given once, and a node that was away finds out what it has too much. `replica/registering.rs` asks for records,
//! `runtime/keeper.rs` follows them.

use std::collections::BTreeMap;

use prost::Message as _;
use trimaran_proto::replica::v1::{By, Registered};

use super::digest::Digest;
use crate::types::{QueueManagerId, Reason, WallTime};

/// Ids below are people's, who write them into cluster files.
pub const FIRST_CREATED: QueueManagerId = QueueManagerId(1 << 16);

/// Whether a record says that no queue manager of this id has this name: it was deleted, or one of the two is another's.
pub fn contradicts(record: &Registered, id: QueueManagerId, name: &str) -> bool {
    match (record.id == id.0, record.name == name) {
        (true, true) => record.deleted,
        (true, false) => true,
        (false, true) => !record.deleted,
        (false, false) => false,
    }
}

#[derive(Debug, Default)]
pub struct Register(BTreeMap<QueueManagerId, Registered>);

impl Register {
    /// In the order of their ids, with those that were deleted.
    pub fn iter(&self) -> impl Iterator<Item = &Registered> {
        self.0.values()
    }

    pub fn get(&self, id: QueueManagerId) -> Option<&Registered> {
        self.0.get(&id)
    }

    /// The one that has this name now.
    pub fn named(&self, name: &str) -> Option<&Registered> {
        self.iter().find(|record| !record.deleted && record.name == name)
    }

    /// Those that are there.
    pub fn count(&self) -> usize {
        self.iter().filter(|record| !record.deleted).count()
    }

    /// A record without an id gets the next one. Of a cluster file, which every new leader says again, the first word counts.
    pub(super) fn add(&mut self, mut record: Registered, at: WallTime) -> Result<QueueManagerId, Reason> {
        debug_assert!(!record.deleted, "what begins is not deleted");
        if record.id != 0 && self.0.contains_key(&QueueManagerId(record.id)) {
            return Ok(QueueManagerId(record.id));
        }
        if self.named(&record.name).is_some() || record.name == QueueManagerId::CLUSTER_NAME {
            return Err(Reason::ObjectAlreadyExists);
        }
        if record.id == 0 {
            record.id = self.next_id().ok_or(Reason::ResourceProblem)?.0;
        }
        let id = QueueManagerId(record.id);
        if id == QueueManagerId::CLUSTER {
            return Err(Reason::AttrValueError);
        }
        record.at_ms = at.0;
        self.0.insert(id, record);
        Ok(id)
    }

    fn next_id(&self) -> Option<QueueManagerId> {
        let last = self.0.last_key_value().map_or(QueueManagerId(0), |(id, _)| *id);
        let next = QueueManagerId(last.0 + 1).max(FIRST_CREATED);
        debug_assert!(!self.0.contains_key(&next), "an id is given once");
        (next < QueueManagerId::CLUSTER).then_some(next)
    }

    pub(super) fn delete(&mut self, id: QueueManagerId, by: By, at: WallTime) -> Result<(), Reason> {
        let there = self.0.get_mut(&id).filter(|record| !record.deleted).ok_or(Reason::QMgrNameError)?;
        let Registered { id, name, of_file, disks, .. } = std::mem::take(there);
        let (by, at_ms) = (Some(by), at.0);
        *there = Registered { id, name, of_file, disks, deleted: true, by, at_ms, ..Registered::default() };
        Ok(())
    }

    pub(super) fn restore(&mut self, record: Registered) -> Result<(), String> {
        let id = QueueManagerId(record.id);
        let is_taken = !record.deleted && self.named(&record.name).is_some();
        if id == QueueManagerId(0) || id == QueueManagerId::CLUSTER || is_taken {
            return Err(format!("a record of queue manager {} with the id {id}", record.name));
        }
        self.0.insert(id, record);
        Ok(())
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.iter().map(Registered::encode_to_vec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u32, name: &str) -> Registered {
        Registered { id, name: name.into(), port: 1414, ..Registered::default() }
    }

    const NOW: WallTime = WallTime(7);

    #[test]
    fn an_id_is_given_once_and_a_name_again() {
        let mut register = Register::default();
        assert_eq!(register.add(record(1, "QM1"), NOW), Ok(QueueManagerId(1)));
        assert_eq!(register.add(record(0, "QM2"), NOW), Ok(FIRST_CREATED));
        assert_eq!(register.add(record(0, "QM2"), NOW), Err(Reason::ObjectAlreadyExists));
        assert_eq!(register.delete(FIRST_CREATED, By::default(), NOW), Ok(()));
        assert_eq!(register.delete(FIRST_CREATED, By::default(), NOW), Err(Reason::QMgrNameError));
        assert_eq!(register.add(record(0, "QM2"), NOW), Ok(QueueManagerId(FIRST_CREATED.0 + 1)));
        let all: Vec<_> = register.iter().map(|record| (record.id, record.deleted, record.port)).collect();
        assert_eq!(all, [(1, false, 1414), (65_536, true, 0), (65_537, false, 1414)]);
        assert_eq!(register.count(), 2);
    }

    #[test]
    fn a_cluster_file_brings_nothing_back_and_changes_nothing() {
        let mut register = Register::default();
        register.add(record(1, "QM1"), NOW).unwrap();
        let before = register.digest();
        assert_eq!(
            register.add(Registered { port: 1, ..record(1, "QM1") }, WallTime(9)),
            Ok(QueueManagerId(1))
        );
        assert_eq!(register.digest(), before, "every leader says what its file has");
        register.delete(QueueManagerId(1), By::default(), NOW).unwrap();
        assert_eq!(register.add(record(1, "QM1"), NOW), Ok(QueueManagerId(1)));
        assert_eq!(register.named("QM1"), None, "what was deleted stays deleted");
        assert_eq!(
            register.add(record(2, "QM1"), NOW),
            Ok(QueueManagerId(2)),
            "under another id it is another one"
        );
    }

    #[test]
    fn nobody_gets_the_id_or_the_name_of_the_nodes_own() {
        let mut register = Register::default();
        assert_eq!(register.add(record(0, "SYSTEM.CLUSTER"), NOW), Err(Reason::ObjectAlreadyExists));
        assert_eq!(register.add(record(u32::MAX, "QM1"), NOW), Err(Reason::AttrValueError));
        register.add(record(u32::MAX - 1, "LAST"), NOW).unwrap();
        assert_eq!(register.add(record(0, "MORE"), NOW), Err(Reason::ResourceProblem));
    }
}
