//! Whatever happens to its messages, a queue manager that is loaded from the rows is the one that wrote them.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use trimaran_proto::replica::v1 as wire;

use super::keys::{self, PackKey};
use super::packs::unpack;
use super::{
    Command, Family, Place, QueueManager, Removal, RowChange, RowSource, StoreBatch, StoreReadError,
};
use crate::types::definition::{Changes, ObjectKind, ObjectRef};
use crate::types::{
    Body, Descriptor, Index, Membership, Message, MessageId, ObjectName, Persistence, Position, QueueId,
    QueueManagerId, SnapshotMeta, Speaks, Term, TermStarts, WallTime,
};

const ID: QueueManagerId = QueueManagerId(7);
const QUEUE: QueueId = QueueId(1);

/// A message store in memory.
#[derive(Default)]
pub(super) struct Store {
    rows: BTreeMap<(Family, Bytes), Bytes>,
    meta: Option<SnapshotMeta>,
}

impl Store {
    pub(super) fn apply(&mut self, batch: StoreBatch) {
        for change in batch.changes {
            match change {
                RowChange::Put { family, key, value } => drop(self.rows.insert((family, key), value)),
                RowChange::PutParts { family, key, parts } => {
                    drop(self.rows.insert((family, key), parts.concat().into()));
                }
                RowChange::Delete { family, key } => drop(self.rows.remove(&(family, key))),
                RowChange::DeleteRange { family, from, until } => {
                    self.rows.retain(|(of, key), _| *of != family || *key < from || *key >= until);
                }
            }
        }
        self.meta = Some(batch.meta);
    }

    fn count(&self, family: Family) -> usize {
        self.rows.keys().filter(|(of, _)| *of == family).count()
    }

    pub(super) fn load(&self) -> QueueManager {
        QueueManager::load(ID, ObjectName::new("QM").unwrap(), self, Speaks::RELEASE).unwrap()
    }
}

impl RowSource for Store {
    fn scan(&self, family: Family, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreReadError> {
        self.rows.iter().filter(|((of, _), _)| *of == family).for_each(|((_, key), value)| row(key, value));
        Ok(())
    }

    fn meta(&self) -> Result<Option<SnapshotMeta>, StoreReadError> {
        Ok(self.meta.clone())
    }
}

/// A queue manager with one queue, and the store that follows it.
struct Story {
    manager: QueueManager,
    store: Store,
    index: u64,
    placed: u64,
    /// The digest of the state at which the newest move began.
    began: u64,
}

impl Story {
    fn new() -> Story {
        let mut manager = QueueManager::new(ID, ObjectName::new("QM").unwrap());
        manager.apply(Command::Define {
            object: ObjectRef::new(ObjectKind::LocalQueue, "ORDERS"),
            like: String::new(),
            replace: false,
            changes: Changes::default(),
            by: Box::default(),
        });
        Story { manager, store: Store::default(), index: 1, placed: 0, began: 0 }
    }

    fn put(&mut self, priority: u8, length: usize) {
        self.placed += 1;
        let body = body(self.placed, length);
        let message = Message {
            descriptor: Descriptor {
                message_id: id(self.placed),
                priority: Some(priority),
                persistence: Persistence::Persistent,
                put_at: WallTime(self.placed as i64),
                ..Descriptor::default()
            },
            body_crc: body.crc32c(),
            body,
        };
        self.manager.apply(Command::Place(Place {
            queue: QUEUE,
            message: Box::new(message),
            unique: None,
            producer: None,
            warning: None,
            staged: None,
            report: None,
        }));
    }

    fn positions(&self) -> Vec<Position> {
        self.manager.queue(QUEUE).unwrap().iter().map(|(position, _)| position).collect()
    }

    fn remove(&mut self, positions: Vec<Position>) {
        self.manager.apply(Command::Remove(Removal { queue: QUEUE, positions }));
    }

    /// The store moves, and is then all that a second queue manager needs to be the same.
    fn move_store(&mut self) {
        self.begin_move();
        self.go_on_moving(usize::MAX);
    }

    fn begin_move(&mut self) {
        let base = Index(self.index);
        self.index += 1;
        let meta = SnapshotMeta {
            queue_manager: ID,
            index: Index(self.index),
            term: Term(1),
            membership: Membership::default(),
            terms: TermStarts::default(),
            installed: false,
        };
        self.began = self.manager.digest();
        self.manager.begin_store_batch(base, meta);
    }

    /// Whether the store has moved: to the state at which it began, whatever happened since.
    fn go_on_moving(&mut self, mut work: usize) -> bool {
        let made = self.manager.go_on_with_store_batch(&mut work);
        self.manager.check_invariants().unwrap();
        let Some((batch, _)) = made else { return false };
        self.store.apply(batch);
        let loaded = self.store.load();
        loaded.check_invariants().unwrap();
        assert_eq!(loaded.digest(), self.began);
        self.check_messages(&loaded);
        true
    }

    /// Every message comes out of its pack as it was put.
    fn check_messages(&self, manager: &QueueManager) {
        let queue = manager.queue(QUEUE).unwrap();
        let mut packs = BTreeMap::new();
        for (position, slot) in queue.iter() {
            let key = slot.packed.expect("the store has everything").key(QUEUE, position);
            let messages = packs.entry(key).or_insert_with(|| {
                let pack = queue.packs().get(key).unwrap();
                let heads = &self.store.rows[&(Family::Heads, keys::heads_key(ID, key))];
                let bodies = (0..keys::chunks(pack.bytes())).map(|chunk| {
                    self.store.rows[&(Family::Bodies, keys::bodies_key(ID, key, chunk))].clone()
                });
                unpack(key.first, heads, bodies.collect()).unwrap()
            });
            let message = messages.iter().find(|one| one.sequence == position.sequence).unwrap();
            let message = message.message.as_ref().unwrap();
            assert_eq!(message.descriptor.message_id, slot.message_id);
            let number = message.descriptor.put_at.0 as u64;
            assert_eq!(message.body.to_bytes(), body(number, slot.body_length as usize).to_bytes());
        }
    }
}

fn id(number: u64) -> MessageId {
    MessageId::from_slice(&number.to_be_bytes()).unwrap()
}

fn body(number: u64, length: usize) -> Body {
    Body::from(Bytes::from((0..length).map(|at| (number as usize * 31 + at) as u8).collect::<Vec<_>>()))
}

#[test]
fn many_messages_share_a_row_and_the_rows_go_with_the_last_of_them() {
    let mut story = Story::new();
    (0..130).for_each(|_| story.put(4, 100));
    story.move_store();
    assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (3, 3));

    let mut positions = story.positions();
    let last = positions.pop().unwrap();
    story.remove(positions);
    story.move_store();
    assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (1, 1));

    story.remove(vec![last]);
    story.move_store();
    assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (0, 0));
}

#[test]
fn a_row_with_sequences_that_no_queue_reaches_is_damage() {
    let mut story = Story::new();
    story.put(4, 100);
    story.move_store();
    let load = |next_sequence: u64| {
        let mut store = Store { rows: story.store.rows.clone(), meta: story.store.meta.clone() };
        let key = keys::state_key(ID, b'q', &QUEUE.0.to_be_bytes());
        let row = store.rows.get_mut(&(Family::State, key)).unwrap();
        let queue = wire::QueueRow { next_sequence, ..wire::QueueRow::decode(row.clone()).unwrap() };
        *row = queue.encode_to_vec().into();
        QueueManager::load(ID, ObjectName::new("QM").unwrap(), &store, Speaks::RELEASE)
    };
    assert!(load(Position::SEQUENCE_MAX / 2).is_ok());
    let refused = load(Position::SEQUENCE_MAX / 2 + 1).unwrap_err().to_string();
    assert!(refused.contains("the next sequence cannot be 140737488355328"), "{refused}");
}

#[test]
fn a_long_body_has_a_pack_of_its_own_with_several_rows() {
    let mut story = Story::new();
    story.put(4, 10);
    story.put(4, 600 << 10);
    story.put(4, 10);
    story.move_store();
    assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (3, 5));
    let long = story.positions()[1];
    story.remove(vec![long]);
    story.move_store();
    assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (2, 2));
}

#[test]
fn packs_that_are_mostly_gone_are_packed_again() {
    let mut story = Story::new();
    (0..640).for_each(|_| story.put(4, 1000));
    story.move_store();
    let (kept, removed): (Vec<Position>, Vec<Position>) =
        story.positions().into_iter().partition(|position| position.sequence % 8 == 0);
    story.remove(removed);
    story.move_store();
    let sparse: Vec<PackKey> = story.manager.sparse_packs(100_000).collect();
    assert_eq!(sparse.len(), story.store.count(Family::Heads));
    assert_eq!(story.manager.sparse_packs(1_000_000).count(), 0);
    assert_eq!(story.store.load().sparse_packs(100_000).count(), sparse.len());

    sparse.into_iter().for_each(|key| story.manager.repack(key));
    story.move_store();
    assert_eq!(story.positions(), kept);
    assert_eq!(story.store.count(Family::Heads), 2);
    assert_eq!(story.store.count(Family::State), story.store.rows.len() - 4);
    assert_eq!(story.manager.sparse_packs(0).count(), 0);
}

#[test]
fn a_move_takes_as_many_turns_as_it_needs_and_leads_to_where_it_began() {
    let mut story = Story::new();
    (0..1_000).for_each(|_| story.put(4, 10));
    story.move_store();
    let left = story.positions().into_iter().step_by(3).collect();
    story.remove(left);
    (0..3_000).for_each(|_| story.put(4, 10));
    story.begin_move();
    let mut turns = 0;
    while !story.go_on_moving(500) {
        turns += 1;
        // Some leave that have their rows, some that have none yet, and some came since.
        let left: Vec<Position> = story.positions().into_iter().skip(turns).step_by(40).collect();
        let backed_out = left.iter().map(|at| Position { sequence: at.sequence + 1, ..*at }).collect();
        story.manager.apply(Command::Backout(vec![Removal { queue: QUEUE, positions: backed_out }]));
        story.remove(left);
        story.put(4, 10);
    }
    // 3,000 messages of eight looks each.
    assert!((45..=60).contains(&turns), "{turns} turns");
    story.move_store();
}

#[test]
fn a_queue_that_is_cleared_while_the_store_moves_is_there_in_the_move_and_gone_in_the_next() {
    let mut story = Story::new();
    (0..500).for_each(|_| story.put(4, 10));
    story.move_store();
    story.remove(story.positions().into_iter().step_by(2).collect());
    (0..500).for_each(|_| story.put(4, 10));
    story.begin_move();
    story.go_on_moving(1_000);
    story.remove(story.positions().into_iter().step_by(7).collect());
    let object = ObjectRef::new(ObjectKind::LocalQueue, "ORDERS");
    story.manager.apply(Command::Clear { object: object.clone(), by: Box::default() });
    (0..10).for_each(|_| story.put(4, 10));
    assert!(!story.go_on_moving(100));
    story.manager.apply(Command::Delete { object, purge: true, by: Box::default() });
    assert!(story.go_on_moving(usize::MAX));
    story.begin_move();
    assert!(story.manager.go_on_with_store_batch(&mut usize::MAX.clone()).is_some_and(|(batch, _)| {
        story.store.apply(batch);
        true
    }));
    assert_eq!(story.store.load().digest(), story.manager.digest());
    assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (0, 0));
}

#[test]
fn random_lives_leave_the_rows_that_they_should() {
    for seed in 1..16u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut story = Story::new();
        for _ in 0..30 {
            for _ in 0..random(200) {
                let length = if random(20) == 0 { random(700_000) } else { random(3000) };
                story.put(random(2) as u8, length as usize);
            }
            if story.manager.is_moving() {
                story.go_on_moving(random(2_000) as usize);
            }
            let share = random(4);
            let removed: Vec<Position> =
                story.positions().into_iter().filter(|_| random(4) < share).collect();
            let backed_out = story.positions().into_iter().filter(|_| random(10) == 0).collect();
            story.manager.apply(Command::Backout(vec![Removal { queue: QUEUE, positions: backed_out }]));
            story.remove(removed);
            if random(25) == 0 {
                let object = ObjectRef::new(ObjectKind::LocalQueue, "ORDERS");
                story.manager.apply(Command::Clear { object, by: Box::default() });
            }
            let sparse: Vec<PackKey> = story.manager.sparse_packs(random(2) * 50_000).collect();
            sparse.into_iter().for_each(|key| story.manager.repack(key));
            match (story.manager.is_moving(), random(3)) {
                (true, _) => drop(story.go_on_moving(random(600) as usize)),
                (false, 0) => story.move_store(),
                (false, 1) => story.begin_move(),
                (false, _) => {}
            }
        }
        if story.manager.is_moving() {
            story.go_on_moving(usize::MAX);
        }
        story.move_store();
        let left = story.positions();
        story.remove(left);
        story.move_store();
        assert_eq!((story.store.count(Family::Heads), story.store.count(Family::Bodies)), (0, 0));
        let others = story.store.rows.keys().filter(|(_, key)| matches!(key[4], b't' | b'b')).count();
        assert_eq!(others, 0, "seed {seed}");
    }
}
