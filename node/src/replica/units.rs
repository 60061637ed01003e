//! Units of work in flight on this leader: puts nobody sees yet and gets nobody else may take (`free` knows which).
//!
//! Volatile by design. A unit that loses its leader is backed out, as MQ programs expect; only the outcome of a
//! committed unit is replicated. Called by `calls` and `applier`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::qmgr::{Place, Removal};
use crate::types::{
    Account, Held, Message, MessageId, Position, ProducerId, ProducerSequence, QueueId, Share,
};

/// What a session has done under syncpoint since its last commit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub puts: Vec<UnitPut>,
    pub gets: Vec<(QueueId, Position)>,
    /// Of the bodies that were put.
    pub bytes: usize,
    /// The same in the node's account.
    held: Option<Held>,
    /// How many units had been decided when this one began; None before its first call.
    pub units_decided: Option<u64>,
    /// The highest sequence of each producer: programs count upwards, so that one look nearly always tells.
    highest: BTreeMap<ProducerId, u64>,
}

#[derive(Debug)]
pub(super) enum UnitPut {
    Persistent(Place),
    NotPersistent { queue: QueueId, message: Box<Message>, producer: Option<ProducerSequence> },
}

impl UnitPut {
    pub fn queue(&self) -> QueueId {
        match self {
            UnitPut::Persistent(place) => place.queue,
            UnitPut::NotPersistent { queue, .. } => *queue,
        }
    }

    fn message(&self) -> &Message {
        match self {
            UnitPut::Persistent(place) => &place.message,
            UnitPut::NotPersistent { message, .. } => message,
        }
    }

    fn producer(&self) -> Option<&ProducerSequence> {
        match self {
            UnitPut::Persistent(Place { producer, .. }) | UnitPut::NotPersistent { producer, .. } => {
                producer.as_ref()
            }
        }
    }
}

impl Unit {
    /// Takes memory for one more body; false when the node has no more for units of work.
    pub fn hold(&mut self, account: &Arc<Account>, bytes: usize) -> bool {
        let held = self.held.get_or_insert_with(|| Held::nothing(account.clone(), Share::Units));
        debug_assert!(held.bytes() >= self.bytes as u64, "the bodies of a unit are held in the account");
        held.grow(bytes as u64)
    }

    /// Its first call has come, when so many units had been decided.
    pub fn begin(&mut self, units_decided: u64) {
        self.units_decided.get_or_insert(units_decided);
    }

    pub fn put(&mut self, put: UnitPut) {
        if let Some(ProducerSequence { producer, sequence, .. }) = put.producer() {
            let highest = self.highest.entry(producer.clone()).or_default();
            *highest = (*highest).max(*sequence);
        }
        debug_assert!(self.units_decided.is_some(), "a unit begins before something is put in it");
        self.puts.push(put);
    }

    /// The message that was put in this unit with the same sequence.
    pub fn repeated(&self, put: &ProducerSequence) -> Option<MessageId> {
        if self.highest.get(&put.producer).is_none_or(|highest| *highest < put.sequence) {
            return None;
        }
        let is_same = |of: &ProducerSequence| (&of.producer, of.sequence) == (&put.producer, put.sequence);
        let same = |own: &&UnitPut| own.producer().is_some_and(is_same);
        self.puts.iter().find(same).map(|put| put.message().descriptor.message_id)
    }

    pub fn messages(&self) -> usize {
        self.puts.len() + self.gets.len()
    }
}

/// Positions by queue, as removals for the log; those that are not persistent apart.
pub(super) fn as_removals(gets: &[(QueueId, Position)]) -> (Vec<Removal>, Vec<(QueueId, Position)>) {
    let mut by_queue: BTreeMap<QueueId, Vec<Position>> = BTreeMap::new();
    let mut not_persistent = Vec::new();
    for (queue, position) in gets {
        if position.is_persistent() {
            by_queue.entry(*queue).or_default().push(*position);
        } else {
            not_persistent.push((*queue, *position));
        }
    }
    let removals: Vec<Removal> =
        by_queue.into_iter().map(|(queue, positions)| Removal { queue, positions }).collect();
    debug_assert_eq!(
        removals.iter().map(|removal| removal.positions.len()).sum::<usize>() + not_persistent.len(),
        gets.len(),
        "every message that was got is removed one way or the other"
    );
    (removals, not_persistent)
}
