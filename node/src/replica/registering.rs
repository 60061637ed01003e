//! Queue managers are registered: created and deleted by operators, and said by the cluster file (`qmgr/register.rs` has the records).
//!
//! The leader of the nodes' own group takes the request and proposes the record; what follows from it is each node's own affair
//! (`Action::PublishRegister`). A group that is new begins when a majority of its members has made its part of it. For that each must
//! know that it never had one, or it could vote twice: a disk with nothing on it may be a new one in the place of a lost one. So the
//! record says what the members' disks said that they are. A disk that is still the same has had everything since before there was
//! the queue manager, so nothing of it means that nothing was, also on a node that was away meanwhile. Who has another disk by now
//! recovers as everybody does who lost his log: it votes when it has caught up.
//!
//! What is in the log and not applied at a start may be a deletion that was answered: until it is known whether it was, the queue
//! manager is not begun.

use std::collections::BTreeSet;
use std::sync::Arc;

use trimaran_proto::replica::v1::{NodeDisk, Registered};

use super::arranging::written;
use super::proposals::Waiting;
use super::{Action, Replica};
use crate::consensus::{Entry, EntryKind, membership_to_wire};
use crate::mqi::{CreateRequest, Refusal};
use crate::qmgr::{Command, by_to_wire, command};
use crate::types::definition::{Changes, ObjectKind, ObjectRef};
use crate::types::planted::{self, Bug};
use crate::types::{
    Index, Membership, NodeId, ObjectName, QueueManagerId, Reason, RunState, SessionId, Speaks, Token,
    Version,
};

/// Queue managers of a cluster: each takes memory on every node for its messages and its log.
const COUNT_MAX: usize = 100;
/// The listener that a queue manager begins with, as MQ calls it.
const LISTENER: &str = "SYSTEM.LISTENER.TCP.1";

/// What a queue manager that somebody created begins with, beside what all have. It begins as one that was ended, as MQ's do, and in
/// the version of the nodes' own: all of them speak that, also who is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginsWith {
    pub version: Version,
    /// Empty: none.
    pub dead_letter_queue: String,
    /// Of a listener; 0: none.
    pub port: u16,
}

/// What is published of the records.
#[derive(Debug, Default)]
pub(super) struct Registering {
    due: bool,
    held: BTreeSet<QueueManagerId>,
    held_until: Index,
}

impl Registering {
    /// Of entries that are not applied.
    pub fn new(entries: &[Entry]) -> Registering {
        let (held, held_until) = match planted::is(Bug::BeginDeleted) {
            true => Default::default(),
            false => may_be_deleted(entries),
        };
        Registering { due: true, held, held_until }
    }

    pub fn note_changed(&mut self) {
        self.due = true;
    }
}

/// Queue managers of which entries say that they are deleted, and the last of these entries.
pub fn may_be_deleted(entries: &[Entry]) -> (BTreeSet<QueueManagerId>, Index) {
    let (mut held, mut until) = (BTreeSet::new(), Index(0));
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Normal && !entry.data.is_empty()) {
        let Ok((_, commands)) = command::decode(entry.data.clone(), Speaks::RELEASE) else { continue };
        for command in commands {
            if let Command::Deregister { id, .. } = command {
                held.insert(id);
                until = entry.index;
            }
        }
    }
    debug_assert_eq!(held.is_empty(), until == Index(0), "who may be deleted is so by an entry");
    (held, until)
}

impl Replica {
    pub(super) fn on_create(&mut self, session: SessionId, token: Token, request: CreateRequest) {
        debug_assert!(self.is_serving(), "whoever leads proposes what is replicated");
        match self.record_of(session, request) {
            Ok(record) => {
                debug_assert!(record.id == 0 && !record.of_file, "its id is given when it is applied");
                let waiting = Waiting::Admin { session, token, queue: None };
                self.propose(Command::Register(Box::new(record)), waiting);
            }
            Err(refusal) => self.answer(session, token, refusal.into()),
        }
    }

    pub(super) fn on_delete_queue_manager(&mut self, session: SessionId, token: Token, name: &ObjectName) {
        debug_assert!(self.is_serving(), "whoever leads proposes what is replicated");
        if let Err(refusal) = self.check_register() {
            return self.answer(session, token, refusal.into());
        }
        let Some(record) = self.state.register().named(name.as_str()) else {
            let detail = format!("There is no queue manager {name}.");
            return self.answer(session, token, Refusal::because(Reason::QMgrNameError, detail).into());
        };
        let (id, by) = (QueueManagerId(record.id), self.by(session).into());
        debug_assert!(
            !record.deleted && id != QueueManagerId::CLUSTER,
            "a name is of one that can be deleted"
        );
        self.propose(Command::Deregister { id, by }, Waiting::Admin { session, token, queue: None });
    }

    /// Whether this group has records, and all that the leader's cluster file names.
    pub(super) fn check_register(&self) -> Result<(), Refusal> {
        let version = self.state.version();
        if version < Version::RECORDS {
            let detail = format!(
                "Which queue managers there are is a fact of version {}, and {} has version {version}: when every node runs this \
                 release, raise it with `trimaran cluster upgrade`.",
                Version::RECORDS,
                self.options.name
            );
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        match self.unregistered().next() {
            Some(_) => {
                let detail = "What the cluster file names is being registered; ask again in a moment.";
                Err(Refusal::because(Reason::CallInProgress, detail))
            }
            None => Ok(()),
        }
    }

    fn record_of(&self, session: SessionId, request: CreateRequest) -> Result<Registered, Refusal> {
        let CreateRequest { name, preferred, fail_back, dead_letter_queue, port, addresses, canary } =
            request;
        self.check_register()?;
        let register = self.state.register();
        if register.named(name.as_str()).is_some() || name.as_str() == QueueManagerId::CLUSTER_NAME {
            let detail = format!("There is a queue manager {name} already.");
            return Err(Refusal::because(Reason::ObjectAlreadyExists, detail));
        }
        if register.count() >= COUNT_MAX {
            let detail = format!("A cluster has {COUNT_MAX} queue managers at most: delete one first.");
            return Err(Refusal::because(Reason::ResourceProblem, detail));
        }
        let membership = self.consensus.membership();
        if !membership.voters_outgoing.is_empty() || self.standing.own().membership_change.is_some() {
            let detail = "A node is being added or removed; create it when that is done.";
            return Err(Refusal::because(Reason::CallInProgress, detail));
        }
        let preferred = self.preferred_named(&preferred)?;
        self.check_fail_back(&fail_back, preferred != 0)?;
        if canary || !addresses.is_empty() {
            self.check_places()?;
            self.check_addresses(None, &addresses)?;
        }
        if canary {
            self.check_canary()?;
        }
        Ok(Registered {
            name: name.to_string(),
            members: Some(membership_to_wire(&beginning_with(membership))),
            disks: self.disks(),
            preferred,
            fail_back,
            dead_letter_queue,
            port: u32::from(port),
            version: self.state.version().0,
            followed: if addresses.is_empty() { 0 } else { self.followed_by_all() },
            addresses: written(&addresses),
            canary,
            by: Some(by_to_wire(self.by(session))),
            ..Registered::default()
        })
    }

    /// What the voters said last of their disks. Who is away and comes back with another one says another number then.
    fn disks(&self) -> Vec<NodeDisk> {
        let before = |node: &NodeId| {
            let records = self.state.register().iter().flat_map(|record| &record.disks);
            records.filter(|known| known.node == node.0).map(|known| known.disk).last()
        };
        let disk = |node: &NodeId| match *node == self.options.node {
            true => Some(self.options.disk),
            false => self.peers.disk(*node).or_else(|| before(node)),
        };
        let voters = self.consensus.membership().voters.iter();
        let known = voters.filter_map(|node| Some(NodeDisk { node: node.0, disk: disk(node)? }));
        let known: Vec<NodeDisk> = known.filter(|known| known.disk != 0).collect();
        debug_assert!(known.is_sorted_by_key(|known| known.node), "a node has one disk");
        known
    }

    /// What the cluster file of this node names.
    pub(super) fn of_file(&self) -> impl Iterator<Item = &Registered> {
        self.options.register.iter().flat_map(|of_file| of_file.iter())
    }

    /// And nobody has registered yet.
    fn unregistered(&self) -> impl Iterator<Item = &Registered> {
        self.of_file().filter(|record| self.state.register().get(QueueManagerId(record.id)).is_none())
    }

    /// Once in a service, as soon as the group may have records.
    pub(super) fn register_of_file(&mut self) {
        if self.options.register.is_none() || self.state.version() < Version::RECORDS {
            return;
        }
        if !self.standing.serving().is_some_and(|leading| leading.file_due) {
            return;
        }
        self.standing.own_mut().file_due = false;
        let records: Vec<Registered> = self.unregistered().cloned().collect();
        debug_assert!(
            records.iter().all(|record| record.id != 0 && record.of_file),
            "a file numbers what it names"
        );
        let disks = self.disks();
        for mut record in records {
            record.disks.clone_from(&disks);
            // Where it should be is said by the file alone.
            record.addresses.clear();
            self.propose(Command::Register(Box::new(record)), Waiting::Nobody);
        }
    }

    /// On every node, whoever leads.
    pub(super) fn publish_register(&mut self) {
        if self.options.register.is_none() {
            return;
        }
        let are_known_now = self.addresses_become_known();
        let registering = &mut self.registering;
        let have_addresses = || self.state.register().iter().any(|record| !record.addresses.is_empty());
        registering.due |= are_known_now && have_addresses();
        if !registering.held.is_empty() {
            // What was never committed may be gone from the log.
            debug_assert!(registering.held_until > Index(0), "who may be deleted is so by an entry");
            registering.held_until = registering.held_until.min(self.consensus.last_index());
            if self.consensus.applied_index() >= registering.held_until {
                registering.held.clear();
                registering.due = true;
            }
        }
        if !std::mem::take(&mut registering.due) {
            return;
        }
        let held = &registering.held;
        let known = self.state.register().iter();
        let mut records: Vec<Registered> =
            known.filter(|record| !held.contains(&QueueManagerId(record.id))).cloned().collect();
        if !self.arranging.is_known {
            // They may be another's by now.
            records.iter_mut().for_each(|record| (record.addresses, record.revision) = (Vec::new(), 0));
        }
        debug_assert!(records.is_sorted_by_key(|record| record.id), "they are in the order of their ids");
        self.out.push(Action::PublishRegister(Arc::new(records)));
    }

    /// Whether a queue manager that somebody created has yet to get the version that it begins with.
    pub(super) fn is_to_be_raised_first(&mut self) -> bool {
        let Some(to) = self.options.begins_with.as_ref().map(|begins| begins.version) else { return false };
        let to = to.min(self.options.speaks.newest);
        if self.has_system_objects() || self.state.version() >= to {
            return false;
        }
        if !std::mem::replace(&mut self.standing.own_mut().begins_raised, true) {
            self.propose_raise(to, super::system_objects::by_itself(), Waiting::Nobody);
        }
        true
    }

    /// What a queue manager that somebody created has from the start, in one entry with its system objects: whoever finds these finds
    /// that it was ended, too, or started since.
    pub(super) fn define_beginnings(&mut self) {
        let Some(BeginsWith { dead_letter_queue, port, .. }) = self.options.begins_with.clone() else {
            return;
        };
        debug_assert_ne!(
            self.options.name.as_str(),
            QueueManagerId::CLUSTER_NAME,
            "nobody created the nodes' own"
        );
        let by = super::system_objects::by_itself().into();
        self.propose(Command::Run { state: RunState::EndedImmediately, by }, Waiting::Nobody);
        if port != 0 {
            let said = [("TRPTYPE", "TCP"), ("CONTROL", "QMGR"), ("PORT", &port.to_string())];
            self.define_own(ObjectRef::new(ObjectKind::Listener, LISTENER), &said);
        }
        if !dead_letter_queue.is_empty() {
            let changes = Changes::parse(ObjectKind::QueueManager, [("DEADQ", dead_letter_queue.as_str())]);
            let changes = changes.expect("its name was checked when it was asked for");
            let by = super::system_objects::by_itself().into();
            self.propose(Command::Alter { object: ObjectRef::manager(), changes, by }, Waiting::Nobody);
        }
    }
}

/// Those who have a vote now; who was removed from the nodes' own group is a stranger to a new one.
fn beginning_with(membership: &Membership) -> Membership {
    let voters = membership.voters.clone();
    let nodes = membership.nodes.iter().filter(|(node, _)| voters.contains(node));
    let nodes = nodes.map(|(node, info)| (*node, info.clone())).collect();
    debug_assert!(!voters.is_empty(), "whoever leads has a vote");
    debug_assert!(membership.voters_outgoing.is_empty(), "none begins while members change");
    Membership { voters, nodes, ..Membership::default() }
}
