//! Which queue managers the cluster has, and had: records of the nodes' own queue manager ([`QueueManagerId::CLUSTER`]).
//!
//! It is an ordinary queue manager of a group of its own, which no program connects to: log, store, snapshots, votes and versions are
//! as everywhere. A record says who a queue manager is and with which members its group begins; each node makes its part of it when it
//! applies the record, and at any later start where it is not there. One that was deleted leaves its record, without most of what it said:
//! ids are given once, and a node that was away finds out what it has too much. `replica/registering.rs` asks for records,
//! `runtime/keeper.rs` follows them.

//!
//! An address is one queue manager's at a time, and so it is where nodes follow the records later than others: one that was given up is
//! *former*, and nobody else's until every node is known to have followed the records so far (`followed`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use prost::Message as _;
use trimaran_proto::replica::v1::{Arrange, By, Registered};

use super::digest::Digest;
use crate::types::planted::{self, Bug};
use crate::types::{InNetwork, QueueManagerId, Reason, WallTime};

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

/// The addresses of a record, or of a request. What cannot be read is none.
pub fn floating(addresses: &[String]) -> impl Iterator<Item = InNetwork> {
    addresses.iter().filter_map(|text| InNetwork::parse(text))
}

fn has(addresses: &[String], ip: IpAddr) -> bool {
    floating(addresses).any(|address| address.ip == ip)
}

/// Whose address it is, or was as far as a node may know that has not followed the records further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken<'a> {
    By(&'a Registered),
    Before(&'a Registered),
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

    /// The number of the last change of addresses.
    pub fn revision(&self) -> u64 {
        self.iter().map(|record| record.revision).max().unwrap_or(0)
    }

    /// Why a queue manager other than `own` cannot have the address, when every node has followed the records up to `followed`.
    pub fn taken(&self, ip: IpAddr, own: Option<QueueManagerId>, followed: u64) -> Option<Taken<'_>> {
        debug_assert!(own.is_none_or(|own| self.get(own).is_some()), "whoever asks has a record");
        let others = || self.iter().filter(|record| own.is_none_or(|own| record.id != own.0));
        let by = others().find(|record| has(&record.addresses, ip));
        let before = || others().find(|record| record.revision > followed && has(&record.former, ip));
        debug_assert!(by.is_none_or(|by| !by.deleted), "what was deleted has no address");
        by.map(Taken::By).or_else(|| before().map(Taken::Before))
    }

    fn check_free(
        &self,
        addresses: &[String],
        own: Option<QueueManagerId>,
        followed: u64,
    ) -> Result<(), Reason> {
        for (number, text) in addresses.iter().enumerate() {
            let address = InNetwork::parse(text).ok_or(Reason::AttrValueError)?;
            match self.taken(address.ip, own, followed) {
                Some(Taken::By(_)) => return Err(Reason::AttrValueError),
                Some(Taken::Before(_)) => return Err(Reason::CallInProgress),
                None if has(&addresses[..number], address.ip) => return Err(Reason::AttrValueError),
                None => {}
            }
        }
        Ok(())
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
        if let Some(known) = self.named(&record.name).filter(|_| planted::is(Bug::CreateTwice)) {
            return Ok(QueueManagerId(known.id));
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
        self.check_free(&record.addresses, None, record.followed)?;
        let revision = if record.addresses.is_empty() { 0 } else { self.revision() + 1 };
        debug_assert!(record.former.is_empty(), "what begins had nothing");
        record = Registered { revision, former: Vec::new(), followed: 0, at_ms: at.0, ..record };
        self.0.insert(id, record);
        Ok(id)
    }

    fn next_id(&self) -> Option<QueueManagerId> {
        let last = self.0.last_key_value().map_or(QueueManagerId(0), |(id, _)| *id);
        let next = QueueManagerId(last.0 + 1).max(FIRST_CREATED);
        debug_assert!(!self.0.contains_key(&next), "an id is given once");
        (next < QueueManagerId::CLUSTER).then_some(next)
    }

    pub(super) fn arrange(&mut self, said: Arrange) -> Result<QueueManagerId, Reason> {
        let id = QueueManagerId(said.id);
        if self.get(id).is_none_or(|record| record.deleted) {
            return Err(Reason::QMgrNameError);
        }
        if let Some(wanted) = &said.addresses {
            self.check_free(&wanted.addresses, Some(id), said.followed)?;
        }
        let next = self.revision() + 1;
        let record = self.0.get_mut(&id).expect("it is there");
        debug_assert!(record.revision < next, "changes are counted upwards");
        if let Some(wanted) = said.addresses.filter(|wanted| wanted.addresses != record.addresses) {
            if record.revision <= said.followed {
                record.former.clear();
            }
            record.former.append(&mut record.addresses);
            record
                .former
                .retain(|text| !floating(std::slice::from_ref(text)).any(|of| has(&wanted.addresses, of.ip)));
            (record.addresses, record.revision) = (wanted.addresses, next);
        }
        debug_assert!(
            record.addresses.iter().all(|text| InNetwork::parse(text).is_some()),
            "they were looked at"
        );
        record.preferred = said.preferred.unwrap_or(record.preferred);
        record.fail_back = said.fail_back.unwrap_or_else(|| record.fail_back.clone());
        record.canary = said.canary.unwrap_or(record.canary);
        Ok(id)
    }

    pub(super) fn delete(&mut self, id: QueueManagerId, by: By, at: WallTime) -> Result<(), Reason> {
        let next = self.revision() + 1;
        let there = self.0.get_mut(&id).filter(|record| !record.deleted).ok_or(Reason::QMgrNameError)?;
        let Registered { id, name, of_file, disks, addresses, mut former, revision, .. } =
            std::mem::take(there);
        let revision = if addresses.is_empty() { revision } else { next };
        debug_assert!(revision <= next, "changes are counted upwards");
        former.extend(addresses);
        let (by, at_ms) = (Some(by), at.0);
        let gone = Registered { id, name, of_file, disks, former, revision, ..Registered::default() };
        *there = Registered { deleted: true, by, at_ms, ..gone };
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

    fn with(name: &str, addresses: &[&str], followed: u64) -> Registered {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        Registered { addresses, followed, ..record(0, name) }
    }

    fn arranged(id: QueueManagerId, addresses: &[&str], followed: u64) -> Arrange {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let addresses = Some(trimaran_proto::replica::v1::FloatingAddresses { addresses });
        Arrange { id: id.0, addresses, followed, ..Arrange::default() }
    }

    #[test]
    fn an_address_is_of_one_at_a_time() {
        let mut register = Register::default();
        let one = register.add(with("ONE", &["10.0.0.50/24"], 0), NOW).unwrap();
        assert_eq!(register.add(with("TWO", &["10.0.0.50/16"], 9), NOW), Err(Reason::AttrValueError));
        let twice = with("TWO", &["10.0.0.51/24", "10.0.0.51/24"], 9);
        assert_eq!(register.add(twice, NOW), Err(Reason::AttrValueError));
        assert_eq!(register.add(with("TWO", &["somewhere"], 9), NOW), Err(Reason::AttrValueError));
        let two = register.add(with("TWO", &["10.0.0.51/24"], 9), NOW).unwrap();
        assert_eq!(register.arrange(arranged(two, &["10.0.0.50/24"], 9)), Err(Reason::AttrValueError));
        assert_eq!(register.arrange(arranged(one, &["10.0.0.50/24", "fd00::50/64"], 0)), Ok(one));
        assert_eq!(register.get(one).unwrap().former, [""; 0], "it has what it had");
        assert_eq!(register.revision(), 3);
    }

    #[test]
    fn what_was_given_up_is_nobody_s_until_every_node_knows() {
        let mut register = Register::default();
        let one = register.add(with("ONE", &["10.0.0.50/24", "10.0.0.51/24"], 0), NOW).unwrap();
        let two = register.add(with("TWO", &[], 0), NOW).unwrap();
        register.arrange(arranged(one, &["10.0.0.51/24"], 1)).unwrap();
        assert_eq!(register.arrange(arranged(two, &["10.0.0.50/24"], 1)), Err(Reason::CallInProgress));
        register.delete(one, By::default(), NOW).unwrap();
        assert_eq!(register.revision(), 3);
        let third = |followed| with("THREE", &["10.0.0.51/24"], followed);
        assert_eq!(register.add(third(2), NOW), Err(Reason::CallInProgress), "it was deleted since");
        assert!(register.add(third(3), NOW).is_ok());
        assert!(register.arrange(arranged(two, &["10.0.0.50/24"], 4)).is_ok());
        // Back again, and nothing is remembered that every node has followed.
        register.arrange(arranged(two, &["10.0.0.60/24"], 5)).unwrap();
        register.arrange(arranged(two, &["10.0.0.50/24"], 6)).unwrap();
        assert_eq!(register.get(two).unwrap().former, ["10.0.0.60/24"]);
    }

    #[test]
    fn what_is_not_said_of_a_place_stays() {
        let mut register = Register::default();
        let id = register.add(Registered { preferred: 2, ..with("QM", &["10.0.0.50/24"], 0) }, NOW).unwrap();
        let said =
            Arrange { id: id.0, fail_back: Some("now".into()), canary: Some(true), ..Arrange::default() };
        register.arrange(said).unwrap();
        let record = register.get(id).unwrap();
        assert_eq!((record.preferred, record.fail_back.as_str(), record.canary), (2, "now", true));
        assert_eq!((record.addresses.len(), record.revision), (1, 1));
        register.delete(id, By::default(), NOW).unwrap();
        assert_eq!(register.arrange(Arrange { id: id.0, ..Arrange::default() }), Err(Reason::QMgrNameError));
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
