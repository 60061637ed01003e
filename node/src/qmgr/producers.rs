//! Producer sequences: a put that is repeated after a lost reply is stored once and answered as the first time.
//!
//! Bounded three times (see [`Retention`]): the newest sequences of each producer, the producers that put last, and
//! the names of those that put before. A repetition that falls out of all three is refused, never stored again.

use std::collections::BTreeMap;

use super::Retention;
use super::digest::Digest;
use super::producer_names::{NameHash, ProducerNames};
use crate::types::planted::{self, Bug};
use crate::types::{MessageId, ProducerId, ProducerSequence, WallTime};

/// With each put so many producers are forgotten at most: each may have 10,000 sequences, and a hundred thousand that grew
/// old together leave over many turns.
const FORGOTTEN_A_TIME: usize = 2;

/// What is remembered of every producer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Producers {
    producers: BTreeMap<ProducerId, Producer>,
    by_use: BTreeMap<u64, ProducerId>,
    next_use: u64,
    /// Of all producers together.
    sequences: usize,
    names: ProducerNames,
    /// Of the producers; the names have their own.
    digest: Digest,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Producer {
    /// Sequences at or below that are not in `placed` may have been placed: nobody can tell.
    pub forgotten_upto: u64,
    pub placed: BTreeMap<u64, MessageId>,
    /// Larger is more recently used.
    pub used: u64,
    pub used_at: WallTime,
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

/// What the store has to be told after a put was remembered, besides the producer itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Their sequences are gone.
    pub producers: Vec<ProducerId>,
    /// Names that came or went.
    pub names: Vec<NameHash>,
}

impl Producer {
    fn digest(&self, id: &ProducerId) -> Digest {
        let mut digest = Digest::of(self.placed.iter().map(|(sequence, message)| (id, *sequence, *message)));
        digest.add(self.history(id));
        digest
    }

    /// What is a fact besides its sequences.
    fn history<'a>(&self, id: &'a ProducerId) -> (&'a ProducerId, u64, WallTime, bool) {
        (id, self.forgotten_upto, self.used_at, true)
    }

    fn lowest(&self) -> u64 {
        self.placed.first_key_value().map_or(0, |(first, _)| *first)
    }

    fn highest(&self) -> u64 {
        self.placed.last_key_value().map_or(0, |(last, _)| *last).max(self.forgotten_upto)
    }
}

impl Producers {
    pub fn seen(&self, put: &ProducerSequence, keep: &Retention) -> Seen {
        let (producer, sequence) = (&put.producer, put.sequence);
        if let Some(known) = self.producers.get(producer).filter(|_| !planted::is(Bug::SecondCopy)) {
            return match known.placed.get(&sequence) {
                Some(id) => Seen::Before(*id),
                None if sequence <= known.forgotten_upto => Seen::Forgotten,
                // It was forgotten with its name, and came again with a later put: what it placed before that nobody knows.
                None if self.names.any_forgotten() && put.repeated && sequence < known.lowest() => {
                    Seen::Forgotten
                }
                None => Seen::New,
            };
        }
        if planted::is(Bug::ForgetProducers) {
            return Seen::New;
        }
        match self.names.upto(producer) {
            Some(upto) if sequence <= upto => Seen::Forgotten,
            Some(_) => Seen::New,
            // It may be one whose name was forgotten. Who begins begins at 1, and says when it repeats.
            None if self.names.any_forgotten() && (put.repeated || sequence > keep.sequences_max as u64) => {
                Seen::Forgotten
            }
            None => Seen::New,
        }
    }

    /// The put was placed, with this id.
    pub fn remember(
        &mut self,
        put: &ProducerSequence,
        id: MessageId,
        at: WallTime,
        keep: &Retention,
    ) -> Forgotten {
        assert_ne!(put.sequence, 0, "a put with a sequence has one from 1 on");
        let mut forgotten = Forgotten::default();
        self.next_use += 1;
        let known = self.producers.entry(put.producer.clone()).or_default();
        if let Some((name, upto)) = self.names.take(&put.producer) {
            known.forgotten_upto = upto;
            forgotten.names.push(name);
        }
        if self.by_use.remove(&known.used).is_some() {
            self.digest.take(known.history(&put.producer));
        }
        (known.used, known.used_at) = (self.next_use, at);
        self.by_use.insert(known.used, put.producer.clone());
        self.digest.add((&put.producer, put.sequence, id));
        match known.placed.insert(put.sequence, id) {
            Some(before) => self.digest.take((&put.producer, put.sequence, before)),
            None => self.sequences += 1,
        }
        debug_assert!(self.sequences >= known.placed.len(), "the sequences of one are among those of all");
        while known.placed.len() > keep.sequences_max {
            let (oldest, id) = known.placed.pop_first().expect("longer than the window");
            self.digest.take((&put.producer, oldest, id));
            known.forgotten_upto = known.forgotten_upto.max(oldest);
            self.sequences -= 1;
        }
        self.digest.add(known.history(&put.producer));
        for _ in 0..FORGOTTEN_A_TIME {
            if self.has_too_many(at, keep) {
                self.forget_quietest(&mut forgotten);
            }
        }
        while let Some(name) = self.names.forget_over(keep.names_max) {
            forgotten.names.push(name);
        }
        assert_eq!(self.by_use.len(), self.producers.len(), "every producer has one last use");
        debug_assert!(self.producers.contains_key(&put.producer), "who put last is not forgotten");
        debug_assert_eq!(
            self.by_use.last_key_value(),
            Some((&self.next_use, &put.producer)),
            "who put last was used last"
        );
        forgotten
    }

    fn has_too_many(&self, at: WallTime, keep: &Retention) -> bool {
        let (_, quietest) = self.by_use.first_key_value().expect("one was just used");
        let is_young = self.producers[quietest].used_at.0.saturating_add(keep.age_ms) > at.0;
        let count = self.producers.len();
        let too_long = self.sequences > keep.sequences_in_all_max && count > 1;
        too_long || count > keep.producers_max || (count > keep.producers_min && !is_young)
    }

    fn forget_quietest(&mut self, forgotten: &mut Forgotten) {
        let (used, quietest) = self.by_use.pop_first().expect("there are too many");
        let producer = self.producers.remove(&quietest).expect("as many as uses");
        debug_assert_eq!(producer.used, used, "a producer was used last when it says");
        assert!(self.sequences >= producer.placed.len(), "the sequences of one are among those of all");
        self.sequences -= producer.placed.len();
        self.digest.take_all(producer.digest(&quietest));
        forgotten.names.push(self.names.add(&quietest, producer.highest()));
        forgotten.producers.push(quietest);
    }

    /// Whether some producer put last with this number.
    pub fn is_used(&self, used: u64) -> bool {
        self.by_use.contains_key(&used)
    }

    pub fn get(&self, producer: &ProducerId) -> Option<&Producer> {
        self.producers.get(producer)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ProducerId, &Producer)> {
        self.producers.iter()
    }

    pub fn names(&self) -> &ProducerNames {
        &self.names
    }

    pub fn names_mut(&mut self) -> &mut ProducerNames {
        &mut self.names
    }

    /// Puts back what a row of the store says.
    pub fn restore(&mut self, id: ProducerId, producer: Producer) {
        assert!(!self.by_use.contains_key(&producer.used), "two producers never put last at the same time");
        self.next_use = self.next_use.max(producer.used);
        self.sequences += producer.placed.len();
        self.by_use.insert(producer.used, id.clone());
        self.digest.add_all(producer.digest(&id));
        let before = self.producers.insert(id, producer);
        debug_assert!(before.is_none(), "a producer has one row");
    }

    /// Of memory, about.
    pub fn bytes(&self) -> u64 {
        const SEQUENCE_BYTES: usize = 56;
        const PRODUCER_BYTES: usize = 256;
        let producers = self.producers.len() * PRODUCER_BYTES + self.sequences * SEQUENCE_BYTES;
        producers as u64 + self.names.bytes()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: Retention = Retention {
        producers_min: 2,
        producers_max: 3,
        sequences_max: 4,
        sequences_in_all_max: 8,
        names_max: 2,
        age_ms: 1_000,
        outcomes_min: 1,
        outcomes_max: 1,
    };

    fn id(number: u8) -> MessageId {
        MessageId::from_slice(&[number]).unwrap()
    }

    fn put(producer: &str, sequence: u64) -> ProducerSequence {
        let producer = ProducerId(producer.to_string().into());
        ProducerSequence { producer, sequence, repeated: false }
    }

    fn again(producer: &str, sequence: u64) -> ProducerSequence {
        ProducerSequence { repeated: true, ..put(producer, sequence) }
    }

    fn remember(producers: &mut Producers, producer: &str, sequence: u64, at: i64) -> Forgotten {
        producers.remember(&put(producer, sequence), id(sequence as u8), WallTime(at), &LITTLE)
    }

    #[test]
    fn a_repeated_sequence_is_known_and_a_gap_may_be_filled() {
        let mut producers = Producers::default();
        remember(&mut producers, "app", 1, 0);
        remember(&mut producers, "app", 3, 0);
        assert_eq!(producers.seen(&again("app", 3), &LITTLE), Seen::Before(id(3)));
        assert_eq!(producers.seen(&again("app", 2), &LITTLE), Seen::New);
    }

    #[test]
    fn what_left_the_window_is_refused_rather_than_placed_twice() {
        let mut producers = Producers::default();
        (1..=5).for_each(|sequence| drop(remember(&mut producers, "app", sequence, 0)));
        assert_eq!(producers.seen(&put("app", 1), &LITTLE), Seen::Forgotten);
        assert_eq!(producers.seen(&put("app", 2), &LITTLE), Seen::Before(id(2)));
    }

    #[test]
    fn a_producer_that_was_idle_while_many_others_put_is_refused_its_repetition_and_goes_on() {
        let mut producers = Producers::default();
        remember(&mut producers, "idle", 1, 0);
        ["a", "b", "c"].iter().for_each(|other| drop(remember(&mut producers, other, 1, 0)));
        assert_eq!(producers.get(&put("idle", 1).producer), None);
        assert_eq!(producers.seen(&put("idle", 1), &LITTLE), Seen::Forgotten, "whether it says so or not");
        assert_eq!(producers.seen(&put("idle", 2), &LITTLE), Seen::New);
        remember(&mut producers, "idle", 2, 0);
        assert_eq!(producers.seen(&put("idle", 1), &LITTLE), Seen::Forgotten);
        assert_eq!(producers.seen(&put("idle", 2), &LITTLE), Seen::Before(id(2)));
    }

    #[test]
    fn one_whose_name_was_forgotten_too_is_refused_what_it_calls_a_repetition() {
        let mut producers = Producers::default();
        remember(&mut producers, "idle", 1, 0);
        ["a", "b", "c", "d", "e"].iter().for_each(|other| drop(remember(&mut producers, other, 1, 0)));
        assert_eq!(producers.names().upto(&put("idle", 1).producer), None);
        assert_eq!(producers.seen(&again("idle", 1), &LITTLE), Seen::Forgotten);
        assert_eq!(producers.seen(&put("new", 1), &LITTLE), Seen::New, "who begins begins");
        assert_eq!(producers.seen(&put("idle", 5), &LITTLE), Seen::Forgotten, "nobody begins there");
    }

    #[test]
    fn one_that_came_again_after_its_name_was_forgotten_is_refused_what_it_placed_before() {
        let mut producers = Producers::default();
        remember(&mut producers, "idle", 103, 0);
        ["a", "b", "c", "d", "e"].iter().for_each(|other| drop(remember(&mut producers, other, 1, 0)));
        // Its next put was on its way at the same time, and is its first as far as anybody knows.
        assert_eq!(producers.names().upto(&put("idle", 1).producer), None);
        remember(&mut producers, "idle", 104, 0);
        assert_eq!(producers.seen(&again("idle", 103), &LITTLE), Seen::Forgotten);
        assert_eq!(producers.seen(&again("idle", 104), &LITTLE), Seen::Before(id(104)));
        assert_eq!(producers.seen(&again("idle", 105), &LITTLE), Seen::New);
    }

    #[test]
    fn who_put_lately_stays_while_there_is_room() {
        let mut producers = Producers::default();
        for (at, producer) in [(0, "a"), (1, "b"), (2, "c")] {
            assert_eq!(remember(&mut producers, producer, 1, at), Forgotten::default());
        }
        let forgotten = remember(&mut producers, "c", 2, 1_000);
        assert_eq!(forgotten.producers, [put("a", 1).producer], "a second old, and more than two");
    }

    #[test]
    fn all_sequences_together_are_bounded() {
        let mut producers = Producers::default();
        (1..=4).for_each(|sequence| drop(remember(&mut producers, "a", sequence, 0)));
        (1..=4).for_each(|sequence| drop(remember(&mut producers, "b", sequence, 0)));
        assert_eq!(remember(&mut producers, "c", 1, 0).producers, [put("a", 1).producer]);
    }
}
