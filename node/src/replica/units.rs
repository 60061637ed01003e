//! Units of work in flight on this leader: puts nobody sees yet and gets nobody else may take (`free` knows which).
//!
//! Volatile by design. A unit that loses its leader is backed out, as MQ programs expect; only the outcome of a
//! committed unit is replicated. Called by `calls` and `applier`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mqi::{Groups, Which};
use crate::qmgr::{Before, Place, Removal, Told};
use crate::types::{
    Account, HandleId, Held, Message, Pieces, Position, ProducerId, ProducerSequence, QueueId, Reason, Share,
};

/// What a session has done under syncpoint since its last commit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// What was put and goes into the log, and what does not.
    pub places: Pieces<Place>,
    pub not_persistent: Pieces<NotPersistent>,
    /// How many messages go into the log, by queue, and how many bytes of it they take at most.
    pub logged: BTreeMap<QueueId, u64>,
    pub weight: usize,
    pub gets: Vec<(QueueId, Position)>,
    /// Of the bodies that were put.
    pub bytes: usize,
    /// The same in the node's account, and what is around each.
    held: Option<Held>,
    /// How many units had been decided when this one began; None before its first call.
    pub units_decided: Option<u64>,
    /// What was put with a producer's sequence.
    sequences: BTreeMap<ProducerId, BTreeMap<u64, Before>>,
    /// What handles knew of groups before it.
    pub groups: KnownBefore,
}

/// By handle, and by what it did with groups.
pub(super) type KnownBefore = BTreeMap<(HandleId, Which), Groups>;

#[derive(Debug)]
pub(super) struct NotPersistent {
    pub queue: QueueId,
    pub message: Box<Message>,
    pub producer: Option<ProducerSequence>,
    /// What its program was told with it.
    pub warning: Option<Reason>,
    /// The report about it, which comes with it.
    pub report: Option<(QueueId, Box<Message>)>,
}

impl NotPersistent {
    /// The queues on which a message is placed.
    pub fn queues(&self) -> impl Iterator<Item = QueueId> {
        [Some(self.queue), self.report.as_ref().map(|(queue, _)| *queue)].into_iter().flatten()
    }
}

impl Unit {
    /// Takes memory for one more message; false when the node has no more for units of work.
    pub fn hold(&mut self, account: &Arc<Account>, bytes: u64) -> bool {
        let held = self.held.get_or_insert_with(|| Held::nothing(account.clone(), Share::Units));
        debug_assert!(held.bytes() >= self.bytes as u64, "the bodies of a unit are held in the account");
        held.grow(bytes)
    }

    /// Its first call has come, when so many units had been decided.
    pub fn begin(&mut self, units_decided: u64) {
        self.units_decided.get_or_insert(units_decided);
    }

    /// A call of the unit has moved what a handle knows of groups.
    pub fn note_groups(&mut self, handle: HandleId, which: Which, before: Groups, after: &Groups) {
        if after.differs(which, &before) {
            self.groups.entry((handle, which)).or_insert(before);
        }
    }

    pub fn put(&mut self, place: Place, warning: Option<Reason>) {
        self.note_sequence(place.producer.as_ref(), &place.message, warning);
        place.queues().for_each(|queue| *self.logged.entry(queue).or_default() += 1);
        self.weight += place.weight();
        self.places.push(place);
    }

    pub fn put_not_persistent(&mut self, put: NotPersistent) {
        self.note_sequence(put.producer.as_ref(), &put.message, put.warning);
        self.not_persistent.push(put);
    }

    fn note_sequence(
        &mut self,
        producer: Option<&ProducerSequence>,
        message: &Message,
        warning: Option<Reason>,
    ) {
        if let Some(ProducerSequence { producer, sequence, .. }) = producer {
            let of = self.sequences.entry(producer.clone()).or_default();
            let told = Told { warning, in_group: message.descriptor.in_group() };
            of.insert(*sequence, Before { message_id: message.descriptor.message_id, told: Some(told) });
        }
    }

    /// What was put in this unit with the same sequence.
    pub fn repeated(&self, put: &ProducerSequence) -> Option<Before> {
        self.sequences.get(&put.producer)?.get(&put.sequence).copied()
    }

    /// Forgets so many of the sequences, so that what a large unit remembers goes piece by piece.
    pub fn forget_sequences(&mut self, count: usize) {
        for _ in 0..count {
            let Some(mut of) = self.sequences.first_entry() else { return };
            of.get_mut().pop_first();
            if of.get().is_empty() {
                of.remove();
            }
        }
    }

    /// Nobody asks for it any more: about so much of its memory comes back. How much it was; 0 when nothing is left.
    pub fn take_apart(&mut self, count: usize) -> usize {
        self.gets = Vec::new();
        let puts = self.places.take_front(count).count() + self.not_persistent.take_front(count).count();
        let sequences = if self.sequences.is_empty() { 0 } else { count };
        self.forget_sequences(sequences);
        puts + sequences
    }

    /// Whether there is something to commit or to back out.
    pub fn is_open(&self) -> bool {
        self.messages() > 0
    }

    /// Nothing was put, or all of that is gone.
    pub fn has_only_gets(&self) -> bool {
        self.places.is_empty() && self.not_persistent.is_empty() && self.sequences.is_empty()
    }

    pub fn messages(&self) -> usize {
        self.places.len() + self.not_persistent.len() + self.gets.len()
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
