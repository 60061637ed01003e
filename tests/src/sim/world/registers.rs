//! The records of queue managers, as each node follows them (`runtime/keeper.rs`): which there are, and which addresses it may hold. In worlds
//! of the days that are about them.
//!
//! What is published counts at once; what went goes when the node's address agent has taken it away, a while later. Two nodes that may
//! hold one address for two queue managers could both do so, whoever leads these.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use trimaran_node::qmgr::register::floating;
use trimaran_node::replica::Event;
use trimaran_proto::replica::v1::Registered;

use super::{Step, World};

/// Of the first queue manager, which has the records.
const HAS_RECORDS: usize = 0;
/// An agent may be paused, and a program of the user's take its time.
const TAKEN_AWAY_US_MAX: u64 = 3_000_000;

/// What every node knows.
#[derive(Debug, Default)]
pub struct Registers {
    views: BTreeMap<u64, View>,
    pub published: u64,
    pub given_up: u64,
}

#[derive(Debug, Default)]
struct View {
    incarnation: u64,
    publications: u64,
    /// Whose each address is.
    addresses: BTreeMap<IpAddr, u32>,
    /// Those that went, with the publication in which they did.
    going: Vec<(u64, IpAddr, u32)>,
    /// Published as deleted by this node since it lost something last.
    deleted: BTreeSet<u32>,
}

impl View {
    fn may_hold(&self) -> impl Iterator<Item = (IpAddr, u32)> {
        let here = self.addresses.iter().map(|(ip, id)| (*ip, *id));
        here.chain(self.going.iter().map(|(_, ip, id)| (*ip, *id)))
    }

    /// Takes over what is published now. The id of one that this node knew to be deleted, and that is back.
    fn follow(&mut self, records: &[Registered]) -> Option<u32> {
        self.publications += 1;
        let there = || records.iter().filter(|record| !record.deleted);
        let of = |record: &Registered| {
            let id = record.id;
            floating(&record.addresses).map(move |address| (address.ip, id)).collect::<Vec<_>>()
        };
        let now: BTreeMap<IpAddr, u32> = there().flat_map(of).collect();
        let publication = self.publications;
        let went = self.addresses.iter().filter(|(ip, id)| now.get(*ip) != Some(*id));
        self.going.extend(went.map(|(ip, id)| (publication, *ip, *id)));
        self.addresses = now;
        self.deleted.extend(records.iter().filter(|record| record.deleted).map(|record| record.id));
        there().map(|record| record.id).find(|id| self.deleted.contains(id))
    }
}

impl World {
    pub(super) fn on_register(&mut self, id: u64, number: usize, records: &[Registered]) {
        if self.registers.is_none() || number != HAS_RECORDS {
            return;
        }
        let delay = self.rng.skewed(1_000, TAKEN_AWAY_US_MAX);
        let is_damaged = self.checks.is_damaged(id, &self.nodes);
        let incarnation = self.nodes[&id].incarnation;
        let registers = self.registers.as_mut().expect("just looked at");
        registers.published += 1;
        let view = registers.views.entry(id).or_default();
        if view.incarnation != incarnation {
            // Agents end with their process.
            let deleted = std::mem::take(&mut view.deleted);
            *view = View { incarnation, deleted, ..View::default() };
        }
        if is_damaged {
            view.deleted.clear();
        }
        let is_back = view.follow(records);
        registers.given_up += view.going.len() as u64;
        let publication = view.publications;
        if let Some(back) = is_back {
            self.fail(
                "registers",
                format!("node {id} begins queue manager {back} again, which it knew to be deleted"),
            );
        }
        let revision = records.iter().map(|record| record.revision).max().unwrap_or(0);
        let step = Step::RegisterFollowed { node: id, incarnation, publication, revision };
        self.schedule(self.now + delay, step);
        self.check_held_once(id);
    }

    /// The agent has taken away all that went so far.
    pub(super) fn on_register_followed(&mut self, id: u64, publication: u64, revision: u64) {
        let Some(registers) = self.registers.as_mut() else { return };
        let Some(view) = registers.views.get_mut(&id) else { return };
        view.going.retain(|(went, ..)| *went > publication);
        self.hand_in(id, HAS_RECORDS, Event::RegisterFollowed { revision });
    }

    fn check_held_once(&mut self, id: u64) {
        let Some(registers) = &self.registers else { return };
        let is_there = |node: &u64, view: &View| {
            self.nodes.get(node).is_some_and(|node| node.is_running() && node.incarnation == view.incarnation)
        };
        let Some(own) = registers.views.get(&id) else { return };
        for (other, view) in
            registers.views.iter().filter(|(other, view)| **other != id && is_there(other, view))
        {
            let twice = own.may_hold().find_map(|(ip, of)| {
                view.may_hold()
                    .find(|(held, whose)| *held == ip && *whose != of)
                    .map(|(_, whose)| (ip, of, whose))
            });
            if let Some((ip, of, whose)) = twice {
                let sentence = format!(
                    "node {id} may hold {ip} for queue manager {of}, and node {other} for queue manager {whose}"
                );
                return self.fail("registers", sentence);
            }
        }
    }
}
