//! Producer sequences: a put that is repeated after a lost reply is stored once and answered as the first time.
//!
//! Bounded three times (see [`Retention`]): the newest sequences of each producer, the producers that put last, and
//! the names of those that put before. A repetition that falls out of all three is refused, never stored again. What
//! the first answer said besides the id is remembered since [`Version::RECORDS`](crate::types::Version::RECORDS), for as many
//! puts as [`limits::PRODUCER_TOLD_MAX`] allows: see [`Producer::told_behind`].

use std::collections::BTreeMap;

use super::Retention;
use super::digest::Digest;
use super::producer_names::{NameHash, ProducerNames};
use super::told::{Before, Stretches, Told};
use crate::types::planted::{self, Bug};
use crate::types::{MessageId, ProducerId, ProducerSequence, WallTime, limits};

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
    /// The same of what they were told.
    stretches: usize,
    names: ProducerNames,
    /// Of the producers; the names have their own.
    digest: Digest,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Producer {
    /// Sequences at or below that are not in `placed` may have been placed: nobody can tell.
    pub forgotten_upto: u64,
    pub placed: BTreeMap<u64, MessageId>,
    /// What was told with those, where it was more than the id.
    pub told: Stretches,
    /// Of sequences above that, what is not in `told` was the id alone; of the others nobody knows. None: of nobody, because none was
    /// placed since that is remembered.
    pub told_behind: Option<u64>,
    /// Larger is more recently used.
    pub used: u64,
    pub used_at: WallTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Never seen: place it.
    New,
    Before(Before),
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
        let mut digest = self.history(id);
        for (sequence, message) in &self.placed {
            digest.add((id, *sequence, *message));
            digest.add_all(told_fact(id, *sequence, self.told.at(*sequence)));
        }
        digest
    }

    /// What is a fact besides its sequences.
    fn history(&self, id: &ProducerId) -> Digest {
        let mut digest = Digest::of_one((id, self.forgotten_upto, self.used_at, true));
        if let Some(behind) = self.told_behind {
            digest.add((id, behind, "told behind"));
        }
        digest
    }

    fn before(&self, sequence: u64, message_id: MessageId) -> Before {
        let is_known = self.told_behind.is_some_and(|behind| sequence > behind);
        let told = self.told.at(sequence).or(is_known.then(Told::default));
        Before { message_id, told }
    }

    /// A put is about to be remembered with what it was told; its digest is of what was known before.
    fn remember_told(&mut self, id: &ProducerId, sequence: u64, told: Told, digest: &mut Digest) {
        let behind =
            *self.told_behind.get_or_insert(self.placed.last_key_value().map_or(0, |(last, _)| *last));
        self.forget_told(id, sequence, digest);
        if told != Told::default() || sequence <= behind {
            self.told.add(sequence, told);
            digest.add_all(told_fact(id, sequence, Some(told)));
        }
        debug_assert_eq!(
            self.before(sequence, MessageId::default()).told,
            Some(told),
            "what was told is known"
        );
        while self.told.len() > limits::PRODUCER_TOLD_MAX {
            let (first, stretch) = self.told.lowest().expect("more than none");
            (first..=stretch.last).for_each(|sequence| {
                digest.take_all(told_fact(id, sequence, self.told.at(sequence)));
            });
            self.told.pop_lowest();
            self.told_behind = self.told_behind.max(Some(stretch.last));
        }
    }

    fn forget_told(&mut self, id: &ProducerId, sequence: u64, digest: &mut Digest) {
        digest.take_all(told_fact(id, sequence, self.told.at(sequence)));
        self.told.forget(sequence);
    }

    fn lowest(&self) -> u64 {
        self.placed.first_key_value().map_or(0, |(first, _)| *first)
    }

    fn highest(&self) -> u64 {
        self.placed.last_key_value().map_or(0, |(last, _)| *last).max(self.forgotten_upto)
    }
}

fn told_fact(id: &ProducerId, sequence: u64, told: Option<Told>) -> Digest {
    told.map_or(Digest::default(), |told| Digest::of_one((id, sequence, told)))
}

impl Producers {
    pub fn seen(&self, put: &ProducerSequence, keep: &Retention) -> Seen {
        let (producer, sequence) = (&put.producer, put.sequence);
        if let Some(known) = self.producers.get(producer).filter(|_| !planted::is(Bug::SecondCopy)) {
            return match known.placed.get(&sequence) {
                Some(id) => Seen::Before(known.before(sequence, *id)),
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

    /// The put was placed, with this id; what its program was told besides, where that is remembered.
    pub fn remember(
        &mut self,
        put: &ProducerSequence,
        Before { message_id: id, told }: Before,
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
            self.digest.take_all(known.history(&put.producer));
        }
        let stretches = known.told.len();
        match told {
            Some(told) => known.remember_told(&put.producer, put.sequence, told, &mut self.digest),
            None => {
                known.forget_told(&put.producer, put.sequence, &mut self.digest);
                known.told_behind = known.told_behind.map(|behind| behind.max(put.sequence));
            }
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
            known.forget_told(&put.producer, oldest, &mut self.digest);
            known.forgotten_upto = known.forgotten_upto.max(oldest);
            self.sequences -= 1;
        }
        debug_assert!(self.stretches >= stretches, "what one was told is among what all were told");
        self.stretches = self.stretches + known.told.len() - stretches;
        self.digest.add_all(known.history(&put.producer));
        for _ in 0..FORGOTTEN_A_TIME {
            if self.has_too_many(at, keep) {
                self.forget_quietest(&mut forgotten);
            }
        }
        debug_assert!(self.stretches <= self.sequences, "nobody is told more often than he puts");
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
        let too_long = self.sequences + self.stretches > keep.sequences_in_all_max && count > 1;
        too_long || count > keep.producers_max || (count > keep.producers_min && !is_young)
    }

    fn forget_quietest(&mut self, forgotten: &mut Forgotten) {
        let (used, quietest) = self.by_use.pop_first().expect("there are too many");
        let producer = self.producers.remove(&quietest).expect("as many as uses");
        debug_assert_eq!(producer.used, used, "a producer was used last when it says");
        assert!(self.sequences >= producer.placed.len(), "the sequences of one are among those of all");
        self.sequences -= producer.placed.len();
        assert!(self.stretches >= producer.told.len(), "what one was told is among what all were told");
        self.stretches -= producer.told.len();
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
        self.stretches += producer.told.len();
        self.by_use.insert(producer.used, id.clone());
        self.digest.add_all(producer.digest(&id));
        let before = self.producers.insert(id, producer);
        debug_assert!(before.is_none(), "a producer has one row");
    }

    /// Of memory, about.
    pub fn bytes(&self) -> u64 {
        const SEQUENCE_BYTES: usize = 56;
        const STRETCH_BYTES: usize = 96;
        const PRODUCER_BYTES: usize = 288;
        let producers = self.producers.len() * PRODUCER_BYTES
            + self.sequences * SEQUENCE_BYTES
            + self.stretches * STRETCH_BYTES;
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
    use crate::types::{GroupId, InGroup, Reason};

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
        producers.remember(&put(producer, sequence), before(sequence), WallTime(at), &LITTLE)
    }

    /// Nothing but the id was told.
    fn before(sequence: u64) -> Before {
        Before { message_id: id(sequence as u8), told: Some(Told::default()) }
    }

    #[test]
    fn a_repeated_sequence_is_known_and_a_gap_may_be_filled() {
        let mut producers = Producers::default();
        remember(&mut producers, "app", 1, 0);
        remember(&mut producers, "app", 3, 0);
        assert_eq!(producers.seen(&again("app", 3), &LITTLE), Seen::Before(before(3)));
        assert_eq!(producers.seen(&again("app", 2), &LITTLE), Seen::New);
    }

    const FULL: Told = Told { warning: Some(Reason::QFull), in_group: None };

    fn tell(producers: &mut Producers, sequence: u64, told: Option<Told>) {
        let before = Before { told, ..before(sequence) };
        producers.remember(&put("app", sequence), before, WallTime(0), &LITTLE);
        assert_eq!(producers.digest(), producers.recount_digest());
    }

    fn told(producers: &Producers, sequence: u64) -> Option<Told> {
        match producers.seen(&again("app", sequence), &LITTLE) {
            Seen::Before(before) => before.told,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_told_is_known_as_long_as_the_sequence() {
        let mut producers = Producers::default();
        (1..=6).for_each(|sequence| tell(&mut producers, sequence, Some(FULL)));
        tell(&mut producers, 7, Some(Told::default()));
        assert_eq!((told(&producers, 6), told(&producers, 7)), (Some(FULL), Some(Told::default())));
        assert_eq!(producers.seen(&again("app", 3), &LITTLE), Seen::Forgotten);
        assert_eq!(producers.stretches, 1);
        let mut others = Producers::default();
        producers.iter().for_each(|(id, producer)| others.restore(id.clone(), producer.clone()));
        assert_eq!(
            (told(&others, 6), others.digest(), others.stretches),
            (Some(FULL), producers.digest(), 1)
        );
    }

    #[test]
    fn of_what_was_put_before_answers_were_remembered_nobody_says_that_they_had_no_warning() {
        let mut producers = Producers::default();
        tell(&mut producers, 3, None);
        assert_eq!(told(&producers, 3), None);
        tell(&mut producers, 2, Some(Told::default()));
        tell(&mut producers, 4, Some(Told::default()));
        assert_eq!([2, 3, 4].map(|sequence| told(&producers, sequence).is_some()), [true, false, true]);
        // A unit of work that was begun before and is committed now.
        tell(&mut producers, 5, None);
        assert_eq!(told(&producers, 5), None);
        tell(&mut producers, 6, Some(Told::default()));
        assert_eq!(told(&producers, 6), Some(Told::default()));
    }

    #[test]
    fn one_who_is_told_much_is_told_the_ids_alone_of_the_oldest() {
        let keep = Retention { sequences_max: 10_000, sequences_in_all_max: 20_000, ..LITTLE };
        let mut producers = Producers::default();
        let last = limits::PRODUCER_TOLD_MAX as u64 + 1;
        for sequence in 1..=last {
            let in_group =
                Some(InGroup { group_id: GroupId([sequence as u8; 24]), sequence_number: 1, is_last: true });
            let before = Before { told: Some(Told { warning: None, in_group }), ..before(sequence) };
            producers.remember(&put("app", sequence), before, WallTime(0), &keep);
        }
        assert_eq!(producers.stretches, limits::PRODUCER_TOLD_MAX);
        assert_eq!(producers.digest(), producers.recount_digest());
        assert_eq!([1, 2, last].map(|sequence| told(&producers, sequence).is_some()), [false, true, true]);
    }

    #[test]
    fn what_left_the_window_is_refused_rather_than_placed_twice() {
        let mut producers = Producers::default();
        (1..=5).for_each(|sequence| drop(remember(&mut producers, "app", sequence, 0)));
        assert_eq!(producers.seen(&put("app", 1), &LITTLE), Seen::Forgotten);
        assert_eq!(producers.seen(&put("app", 2), &LITTLE), Seen::Before(before(2)));
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
        assert_eq!(producers.seen(&put("idle", 2), &LITTLE), Seen::Before(before(2)));
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
        assert_eq!(producers.seen(&again("idle", 104), &LITTLE), Seen::Before(before(104)));
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
