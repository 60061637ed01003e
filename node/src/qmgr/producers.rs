//! Producer sequences: a put that is repeated after a lost reply is stored once and answered as the first time.

use std::collections::BTreeMap;

use super::digest::Digest;
use crate::types::planted::{self, Bug};
use crate::types::{MessageId, ProducerId, limits};

/// What is remembered of every producer. Bounded: each producer's newest [`limits::PRODUCER_WINDOW`] sequences, and
/// [`limits::PRODUCERS_MAX`] producers, of which the one that was quiet for longest is forgotten first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Producers {
    producers: BTreeMap<ProducerId, Producer>,
    by_use: BTreeMap<u64, ProducerId>,
    next_use: u64,
    digest: Digest,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Producer {
    /// Sequences at or below are forgotten.
    pub forgotten_upto: u64,
    pub placed: BTreeMap<u64, MessageId>,
    /// Larger is more recently used.
    pub used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Never seen: place it.
    New,
    /// Placed before with this id.
    Before(MessageId),
    /// Too old to tell; placing it could make a second copy.
    Forgotten,
}

impl Producers {
    pub fn seen(&self, producer: &ProducerId, sequence: u64) -> Seen {
        match self.producers.get(producer).filter(|_| !planted::is(Bug::SecondCopy)) {
            // Once so many are known that some were forgotten, an unknown producer may be one of those. Its numbers
            // tell: who begins begins at 1.
            None if sequence > limits::PRODUCER_WINDOW as u64
                && self.producers.len() >= limits::PRODUCERS_MAX =>
            {
                Seen::Forgotten
            }
            None => Seen::New,
            Some(known) => match known.placed.get(&sequence) {
                Some(id) => Seen::Before(*id),
                None if sequence <= known.forgotten_upto => Seen::Forgotten,
                None => Seen::New,
            },
        }
    }

    /// Returns the producer that was forgotten to make room, if any.
    pub fn remember(&mut self, producer: &ProducerId, sequence: u64, id: MessageId) -> Option<ProducerId> {
        self.next_use += 1;
        let known = self.producers.entry(producer.clone()).or_default();
        self.by_use.remove(&known.used);
        known.used = self.next_use;
        self.by_use.insert(known.used, producer.clone());
        if let Some(before) = known.placed.insert(sequence, id) {
            self.digest.take((producer, sequence, before));
        }
        self.digest.add((producer, sequence, id));
        while known.placed.len() > limits::PRODUCER_WINDOW {
            let (oldest, id) = known.placed.pop_first().expect("longer than the window");
            self.digest.take((producer, oldest, id));
            self.digest.take_all(known.digest_of_forgotten(producer));
            known.forgotten_upto = known.forgotten_upto.max(oldest);
            self.digest.add_all(known.digest_of_forgotten(producer));
        }
        if self.producers.len() <= limits::PRODUCERS_MAX {
            return None;
        }
        let (_, quiet) = self.by_use.pop_first().expect("as many as producers");
        let forgotten = self.producers.remove(&quiet).expect("it was used");
        self.digest.take_all(forgotten.digest(&quiet));
        Some(quiet)
    }

    /// Kept up to date, and counted anew.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn recount_digest(&self) -> Digest {
        let mut digest = Digest::default();
        self.iter().for_each(|(id, producer)| digest.add_all(producer.digest(id)));
        digest
    }

    pub fn get(&self, producer: &ProducerId) -> Option<&Producer> {
        self.producers.get(producer)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ProducerId, &Producer)> {
        self.producers.iter()
    }

    /// Puts back what a row of the store says.
    pub fn restore(&mut self, id: ProducerId, producer: Producer) {
        self.next_use = self.next_use.max(producer.used);
        self.by_use.insert(producer.used, id.clone());
        self.digest.add_all(producer.digest(&id));
        self.producers.insert(id, producer);
    }
}

impl Producer {
    fn digest(&self, id: &ProducerId) -> Digest {
        let mut digest = Digest::of(self.placed.iter().map(|(sequence, message)| (id, *sequence, *message)));
        digest.add_all(self.digest_of_forgotten(id));
        digest
    }

    /// Nothing, as long as everything is remembered.
    fn digest_of_forgotten(&self, id: &ProducerId) -> Digest {
        Digest::of(Some(self.forgotten_upto).filter(|upto| *upto > 0).map(|upto| (id, upto)).into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MessageId {
        MessageId::from_slice(&[number]).unwrap()
    }

    #[test]
    fn a_repeated_sequence_is_known_and_a_gap_may_be_filled() {
        let mut producers = Producers::default();
        let app = ProducerId("app".into());
        producers.remember(&app, 1, id(1));
        producers.remember(&app, 3, id(3));
        assert_eq!(producers.seen(&app, 3), Seen::Before(id(3)));
        assert_eq!(producers.seen(&app, 2), Seen::New);
    }

    #[test]
    fn what_left_the_window_is_refused_rather_than_placed_twice() {
        let mut producers = Producers::default();
        let app = ProducerId("app".into());
        for sequence in 1..=limits::PRODUCER_WINDOW as u64 + 1 {
            producers.remember(&app, sequence, id(1));
        }
        assert_eq!(producers.seen(&app, 1), Seen::Forgotten);
    }

    #[test]
    fn an_unknown_producer_that_does_not_begin_is_refused_once_some_were_forgotten() {
        let mut producers = Producers::default();
        let stranger = ProducerId("stranger".into());
        assert_eq!(producers.seen(&stranger, 1_000_000), Seen::New, "its puts before were not persistent");
        for number in 0..=limits::PRODUCERS_MAX {
            producers.remember(&ProducerId(number.to_string().into()), 1, id(1));
        }
        assert_eq!(producers.seen(&stranger, 1_000_000), Seen::Forgotten);
        assert_eq!(producers.seen(&stranger, 1), Seen::New);
    }
}
