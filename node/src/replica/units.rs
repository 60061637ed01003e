//! Units of work in flight on this leader: puts nobody sees yet and gets nobody else may take (`free` knows which).
//!
//! Volatile by design. A unit that loses its leader is backed out, as MQ programs expect; only the outcome of a
//! committed unit is replicated. Called by `calls` and `applier`.

use std::collections::BTreeMap;

use crate::qmgr::{Place, Removal};
use crate::types::{Message, MessageId, Position, ProducerId, QueueId};

/// What a session has done under syncpoint since its last commit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub puts: Vec<UnitPut>,
    pub gets: Vec<(QueueId, Position)>,
    /// Of the bodies that were put.
    pub bytes: usize,
    /// The highest sequence of each producer: programs count upwards, so that one look nearly always tells.
    highest: BTreeMap<ProducerId, u64>,
}

#[derive(Debug)]
pub(super) enum UnitPut {
    Persistent(Place),
    NotPersistent { queue: QueueId, message: Box<Message>, producer: Option<(ProducerId, u64)> },
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

    fn producer(&self) -> Option<&(ProducerId, u64)> {
        match self {
            UnitPut::Persistent(Place { producer, .. }) | UnitPut::NotPersistent { producer, .. } => {
                producer.as_ref()
            }
        }
    }
}

impl Unit {
    pub fn put(&mut self, put: UnitPut) {
        if let Some((producer, sequence)) = put.producer() {
            let highest = self.highest.entry(producer.clone()).or_default();
            *highest = (*highest).max(*sequence);
        }
        self.puts.push(put);
    }

    /// The message that was put in this unit with the same sequence.
    pub fn repeated(&self, producer: &ProducerId, sequence: u64) -> Option<MessageId> {
        if self.highest.get(producer).is_none_or(|highest| *highest < sequence) {
            return None;
        }
        let same =
            |put: &&UnitPut| put.producer().is_some_and(|(own, at)| own == producer && *at == sequence);
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
    let removals = by_queue.into_iter().map(|(queue, positions)| Removal { queue, positions }).collect();
    (removals, not_persistent)
}
