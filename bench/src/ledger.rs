//! What was acknowledged and what came back: nothing lost, nothing twice, nothing out of order.

use crate::work::{Header, read_body};

/// One bit for each number from 0 on.
#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    /// False when it was set before.
    fn set(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1u64 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += fresh as u64;
        fresh
    }

    fn count_not_in(&self, other: &Bits) -> u64 {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter().zip(others).map(|(mine, theirs)| (mine & !theirs).count_ones() as u64).sum()
    }
}

/// Of one run; knows every message by producer and number.
pub struct Ledger {
    run: u32,
    acknowledged: Vec<Bits>,
    seen: Vec<Bits>,
    duplicates: u64,
    foreign: u64,
    out_of_order: u64,
}

/// What one consumer saw last of each producer.
pub struct Order {
    next: Vec<u64>,
}

impl Ledger {
    pub fn new(run: u32, producers: usize) -> Ledger {
        let bits = || (0..producers).map(|_| Bits::default()).collect();
        Ledger { run, acknowledged: bits(), seen: bits(), duplicates: 0, foreign: 0, out_of_order: 0 }
    }

    pub fn order(&self) -> Order {
        Order { next: vec![0; self.seen.len()] }
    }

    pub fn acknowledged(&mut self, producer: u32, sequence: u64) {
        self.acknowledged[producer as usize].set(sequence);
    }

    /// Checks a message that a consumer got. None when it is not one of this run.
    pub fn received(&mut self, order: &mut Order, body: &[u8]) -> Option<Header> {
        let known = |header: &Header| header.run == self.run && (header.producer as usize) < self.seen.len();
        let Some(header) = read_body(body).filter(known) else {
            self.foreign += 1;
            return None;
        };
        if !self.seen[header.producer as usize].set(header.sequence) {
            self.duplicates += 1;
            return Some(header);
        }
        let next = &mut order.next[header.producer as usize];
        self.out_of_order += (header.sequence < *next) as u64;
        *next = header.sequence.max(*next) + 1;
        Some(header)
    }

    /// Checks a message that stays on its queue: its content only, since it may be seen again.
    pub fn browsed(&mut self, body: &[u8]) {
        let sent = read_body(body).is_some_and(|header| header.run == self.run);
        self.foreign += !sent as u64;
    }

    pub fn acknowledged_count(&self) -> u64 {
        self.acknowledged.iter().map(|bits| bits.count).sum()
    }

    pub fn seen_count(&self) -> u64 {
        self.seen.iter().map(|bits| bits.count).sum()
    }

    pub fn lost(&self) -> u64 {
        self.acknowledged.iter().zip(&self.seen).map(|(sent, seen)| sent.count_not_in(seen)).sum()
    }

    pub fn verdict(&self) -> Verdict {
        Verdict {
            acknowledged: self.acknowledged_count(),
            received: self.seen_count(),
            lost: self.lost(),
            duplicates: self.duplicates,
            foreign: self.foreign,
            out_of_order: self.out_of_order,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    pub acknowledged: u64,
    pub received: u64,
    /// Acknowledged and not received.
    pub lost: u64,
    pub duplicates: u64,
    /// Changed on the way, or of another run.
    pub foreign: u64,
    /// A consumer saw a producer's message after a later one of the same producer.
    pub out_of_order: u64,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.foreign == 0 && self.out_of_order == 0
    }

    pub fn describe(&self) -> String {
        if self.is_good() {
            return format!("all {} acknowledged messages came back, once and in order", self.acknowledged);
        }
        format!(
            "of {} acknowledged messages {} are LOST; {} duplicates, {} damaged or foreign, {} out of order",
            self.acknowledged, self.lost, self.duplicates, self.foreign, self.out_of_order
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::make_body;

    #[test]
    fn losses_duplicates_and_disorder_are_counted() {
        let mut ledger = Ledger::new(3, 2);
        let mut order = ledger.order();
        let body = |producer, sequence| make_body(&Header { run: 3, producer, sequence, due_ns: 0 }, 100);
        for sequence in 0..200 {
            ledger.acknowledged(1, sequence);
        }
        for sequence in (0..200).filter(|sequence| *sequence != 130) {
            assert!(ledger.received(&mut order, &body(1, sequence)).is_some());
        }
        assert_eq!(ledger.lost(), 1);
        ledger.received(&mut order, &body(1, 130));
        ledger.received(&mut order, &body(1, 131));
        assert!(ledger.received(&mut order, b"something else").is_none());
        let verdict = ledger.verdict();
        assert_eq!(
            (verdict.lost, verdict.out_of_order, verdict.duplicates, verdict.foreign),
            (0, 1, 1, 1),
            "{verdict:?}"
        );
        assert!(!verdict.is_good());
    }

    #[test]
    fn a_message_that_was_not_acknowledged_may_come_or_not() {
        let mut ledger = Ledger::new(3, 1);
        let mut order = ledger.order();
        ledger.acknowledged(0, 0);
        for sequence in [0, 1] {
            ledger.received(&mut order, &make_body(&Header { run: 3, producer: 0, sequence, due_ns: 0 }, 64));
        }
        let verdict = ledger.verdict();
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!((verdict.acknowledged, verdict.received), (1, 2));
    }

    #[test]
    fn order_is_each_consumers_own() {
        let mut ledger = Ledger::new(3, 1);
        let (mut one, mut other) = (ledger.order(), ledger.order());
        let body = |sequence| make_body(&Header { run: 3, producer: 0, sequence, due_ns: 0 }, 64);
        ledger.received(&mut one, &body(1));
        ledger.received(&mut other, &body(0));
        ledger.received(&mut one, &body(2));
        assert_eq!(ledger.verdict().out_of_order, 0);
    }

    #[test]
    fn browsing_twice_is_no_duplicate_and_damage_shows() {
        let mut ledger = Ledger::new(3, 1);
        let body = make_body(&Header { run: 3, producer: 0, sequence: 5, due_ns: 0 }, 64);
        ledger.browsed(&body);
        ledger.browsed(&body);
        assert!(ledger.verdict().is_good());
        let mut damaged = body.to_vec();
        damaged[40] ^= 1;
        ledger.browsed(&damaged);
        assert_eq!(ledger.verdict().foreign, 1);
    }
}
