//! Messages that are in the store only, on their way into memory; who waits for them; and which messages that the
//! store has stay in memory as well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::mqi::Get;
use crate::qmgr::packs::Pack;
use crate::qmgr::{PackKey, keys};
use crate::types::{LookupMap, Position, QueueId, RequestId, SessionId, Token};

/// Whom a message is read for, and so what is done with it once it is there.
#[derive(Debug)]
pub(super) enum Recipient {
    /// Answer a browse, which goes on if the message leaves meanwhile; or a get under syncpoint whose reservation stands.
    Show { session: SessionId, token: Token, cut: Option<usize>, browse: Option<Box<Get>> },
    /// Propose the removal, then answer. The reservation stands.
    Take { session: SessionId, token: Token, cut: Option<usize> },
    /// Move it to its backout queue.
    Move,
    /// Tell the search of a get what its selector says of it. The call is parked, and answered as such.
    Judge { session: SessionId, token: Token },
    /// Offer it to those who wait, of whom some have selectors.
    Offer,
    /// Report that its time is over. The queue manager has reserved it.
    Expire,
}

/// What was asked of the store and has not come. Every node loads: packs that are mostly gone are packed anew by all.
#[derive(Debug, Default)]
pub(super) struct Loads {
    next: u64,
    requests: BTreeMap<RequestId, Vec<Wanted>>,
    under_way: BTreeSet<PackKey>,
}

/// Who waits for messages of the packs under way, and how far reads have gone.
#[derive(Debug, Default)]
pub(super) struct Readers {
    waiting: BTreeMap<PackKey, Vec<(Position, Recipient)>>,
    ahead: LookupMap<QueueId, ReadAhead>,
}

/// How far the reads of a queue went. Somebody who reads on where they ended is given twice as much each time, and the
/// next part before it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAhead {
    /// Where the newest read began.
    pub begun: Position,
    /// What comes behind it.
    pub next: Position,
    /// Messages that were asked for.
    pub messages: u32,
}

/// One pack of a request: its row of heads and this many rows of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub pack: PackKey,
    pub chunks: u32,
}

impl Wanted {
    pub fn new(key: PackKey, pack: &Pack) -> Wanted {
        debug_assert!(pack.live() > 0, "a pack of which nothing is left is not read");
        Wanted { pack: key, chunks: keys::chunks(pack.bytes()) }
    }
}

impl Loads {
    pub fn is_loading(&self, pack: PackKey) -> bool {
        self.under_way.contains(&pack)
    }

    /// Notes the request; the caller sends it.
    pub fn begin(&mut self, wanted: Vec<Wanted>) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        assert!(!wanted.is_empty(), "a request asks for some pack");
        debug_assert!(
            wanted.iter().all(|one| !self.is_loading(one.pack)),
            "a pack is asked for once at a time"
        );
        self.under_way.extend(wanted.iter().map(|one| one.pack));
        self.requests.insert(request, wanted);
        request
    }

    /// What the request was for.
    pub fn end(&mut self, request: RequestId) -> Vec<Wanted> {
        self.requests.remove(&request).unwrap_or_default()
    }

    pub fn arrived(&mut self, pack: PackKey) {
        let was_asked_for = self.under_way.remove(&pack);
        debug_assert!(was_asked_for, "a pack that arrives was asked for");
    }

    pub fn assert_holds(&self) {
        let wanted = || self.requests.values().flatten();
        debug_assert_eq!(wanted().count(), self.under_way.len(), "a pack is in one request");
        debug_assert!(wanted().all(|one| self.is_loading(one.pack)), "what was asked for is on its way");
        debug_assert!(
            self.requests.last_key_value().is_none_or(|(last, _)| last.0 <= self.next),
            "requests are numbered upwards"
        );
    }
}

impl Readers {
    pub fn wait(&mut self, pack: PackKey, position: Position, delivery: Recipient) {
        debug_assert_eq!(
            (pack.queue > QueueId(0), pack.rank),
            (true, position.rank),
            "a message is in a pack of its rank"
        );
        self.waiting.entry(pack).or_default().push((position, delivery));
    }

    /// Who waits for messages of a pack that has arrived.
    pub fn take(&mut self, pack: PackKey) -> Vec<(Position, Recipient)> {
        self.waiting.remove(&pack).unwrap_or_default()
    }

    pub fn read_ahead(&self, queue: QueueId) -> Option<ReadAhead> {
        self.ahead.get(&queue).copied()
    }

    /// None: there is nothing more to read.
    pub fn set_read_ahead(&mut self, queue: QueueId, ahead: Option<ReadAhead>) {
        debug_assert!(ahead.is_none_or(|ahead| ahead.begun < ahead.next), "what comes next comes behind");
        match ahead {
            Some(ahead) => self.ahead.insert(queue, ahead),
            None => self.ahead.remove(&queue),
        };
    }

    /// Packs that somebody waits for.
    pub fn packs(&self) -> impl Iterator<Item = PackKey> {
        self.waiting.keys().copied()
    }

    /// How many messages this session waits for.
    pub fn of_session(&self, session: SessionId) -> usize {
        let callers = self.waiting.values().flatten().filter_map(|(_, delivery)| delivery.caller());
        callers.filter(|(caller, _)| *caller == session).count()
    }

    /// Whether a call waits for what is read.
    pub fn are_for_callers(&self) -> bool {
        self.waiting.values().flatten().any(|(_, delivery)| delivery.caller().is_some())
    }

    /// How many are read to be offered.
    pub fn offers(&self) -> usize {
        self.waiting.values().flatten().filter(|(_, delivery)| matches!(delivery, Recipient::Offer)).count()
    }

    /// The queues of messages that are read to report that their time is over.
    pub fn expired(&self) -> impl Iterator<Item = QueueId> {
        let of_queues =
            self.waiting.iter().flat_map(|(pack, all)| all.iter().map(|one| (pack.queue, &one.1)));
        let expired = of_queues.filter(|(_, delivery)| matches!(delivery, Recipient::Expire));
        expired.map(|(queue, _)| queue)
    }

    /// Messages that are read for somebody who has them already, or will.
    pub fn reserved(&self) -> BTreeSet<(QueueId, Position)> {
        let waiting = self.waiting.iter().flat_map(|(pack, all)| all.iter().map(|one| (pack.queue, one)));
        let is_reserved = |delivery: &Recipient| match delivery {
            Recipient::Show { browse, .. } => browse.is_none(),
            Recipient::Take { .. } | Recipient::Move | Recipient::Expire => true,
            Recipient::Judge { .. } | Recipient::Offer => false,
        };
        let reserved = waiting.filter(|(_, (_, delivery))| is_reserved(delivery));
        reserved.map(|(queue, (position, _))| (queue, *position)).collect()
    }

    /// Everybody who waits.
    pub fn into_all(self) -> impl Iterator<Item = Recipient> {
        self.waiting.into_values().flatten().map(|(_, delivery)| delivery)
    }
}

/// Bounds what stays in memory of messages that the store has: whole packs, because messages of one pack come and go
/// together and share memory.
#[derive(Debug)]
pub(super) struct Residents {
    /// Written by the last moves of the store, oldest first: the newest is released first, so heads stay.
    survivors: VecDeque<(PackKey, u64)>,
    survivors_bytes: u64,
    /// Loaded because somebody reads there, or given back: the oldest is released first.
    loaded: VecDeque<(PackKey, u64)>,
    loaded_bytes: u64,
    /// How often each pack is among these.
    listed: LookupMap<PackKey, usize>,
    bytes_max: u64,
}

impl Residents {
    pub fn new(bytes_max: usize) -> Residents {
        Residents {
            survivors: VecDeque::new(),
            survivors_bytes: 0,
            loaded: VecDeque::new(),
            loaded_bytes: 0,
            listed: LookupMap::default(),
            bytes_max: bytes_max as u64,
        }
    }

    pub fn add_survivor(&mut self, pack: PackKey, weight: u64) {
        self.survivors.push_back((pack, weight));
        self.survivors_bytes += weight;
        *self.listed.entry(pack).or_default() += 1;
    }

    pub fn add_loaded(&mut self, pack: PackKey, weight: u64) {
        self.loaded.push_back((pack, weight));
        self.loaded_bytes += weight;
        *self.listed.entry(pack).or_default() += 1;
    }

    /// A message was given back that is in memory. Where its pack is to be released, it goes with that, and is counted.
    pub fn add_returned(&mut self, pack: PackKey, weight: u64) {
        if !self.listed.contains_key(&pack) {
            self.add_loaded(pack, weight);
        }
    }

    fn note_released(&mut self, pack: PackKey) -> PackKey {
        let times = self.listed.get_mut(&pack).expect("it was among them");
        *times -= 1;
        if *times == 0 {
            self.listed.remove(&pack);
        }
        pack
    }

    /// The next pack whose messages must leave memory, if any. They may be gone already; that is the caller's look.
    pub fn next_to_release(&mut self) -> Option<PackKey> {
        if self.survivors_bytes > self.bytes_max {
            let (pack, weight) = self.survivors.pop_back()?;
            assert!(self.survivors_bytes >= weight, "what stays in memory is counted");
            self.survivors_bytes -= weight;
            return Some(self.note_released(pack));
        }
        if self.loaded_bytes > self.bytes_max {
            let (pack, weight) = self.loaded.pop_front()?;
            assert!(self.loaded_bytes >= weight, "what was loaded is counted");
            self.loaded_bytes -= weight;
            return Some(self.note_released(pack));
        }
        debug_assert!(
            self.survivors_bytes <= self.bytes_max && self.loaded_bytes <= self.bytes_max,
            "what stays in memory is bounded"
        );
        None
    }

    pub fn assert_holds(&self) {
        let sum = |packs: &VecDeque<(PackKey, u64)>| packs.iter().map(|(_, weight)| *weight).sum::<u64>();
        debug_assert_eq!(sum(&self.survivors), self.survivors_bytes, "what survived is counted pack by pack");
        debug_assert_eq!(sum(&self.loaded), self.loaded_bytes, "what was read is counted pack by pack");
        debug_assert_eq!(
            self.listed.values().sum::<usize>(),
            self.survivors.len() + self.loaded.len(),
            "a pack is known to be among those that are released"
        );
    }

    /// Bytes of what was read.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes
    }

    pub fn clear(&mut self) {
        *self = Residents::new(self.bytes_max as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_given_back_again_and_again_is_counted_once() {
        let pack = |first| PackKey { queue: QueueId(1), rank: 5, first };
        let mut residents = Residents::new(1_000);
        residents.add_loaded(pack(1), 600);
        residents.add_survivor(pack(2), 600);
        for _ in 0..100 {
            (1..=3).for_each(|first| residents.add_returned(pack(first), 300));
        }
        assert_eq!((residents.loaded_bytes(), residents.next_to_release()), (900, None));
        residents.add_loaded(pack(4), 200);
        assert_eq!(residents.next_to_release(), Some(pack(1)));
        // It was somebody's when its pack was released.
        residents.add_returned(pack(1), 100);
        assert_eq!((residents.loaded_bytes(), residents.next_to_release()), (600, None));
        residents.assert_holds();
    }
}
