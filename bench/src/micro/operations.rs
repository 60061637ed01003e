//! What is measured, each on messages of 1 KiB in batches as they come under load.

use std::hint::black_box;

use bytes::Bytes;
use prost::Message as _;
use trimaran_node::consensus::{Entry, EntryKind, LogWrite};
use trimaran_node::log_store::{LogOptions, LogStore, RaftEngineLog, Restart};
use trimaran_node::qmgr::{
    Applied, BatchEncoder, Command, Place, Queue, QueueManager, QueueRules, Removal, command,
};
use trimaran_node::types::definition::{Changes, ObjectRef};
use trimaran_node::types::{
    Body, Descriptor, Index, Membership, Message, MessageId, ObjectName, Persistence, Position, QueueId,
    QueueManagerId, SnapshotMeta, Speaks, Term, TermStarts, WallTime, WriteNumber,
};
use trimaran_proto::message::v1::Message as WireMessage;
use trimaran_proto::queue::v1 as wire;

const BATCH: usize = 100;
const BODY_BYTES: usize = 1024;
const MANAGER: QueueManagerId = QueueManagerId(7);
const QUEUE: QueueId = QueueId(1);

pub struct Operation {
    pub name: &'static str,
    /// Handled by one call of what `prepare` gives.
    pub messages: usize,
    pub prepare: fn() -> Box<dyn FnMut()>,
}

pub const OPERATIONS: [Operation; 11] = [
    Operation { name: "session: decode puts", messages: BATCH, prepare: decode_puts },
    Operation { name: "session: encode answers to puts", messages: BATCH, prepare: encode_placed },
    Operation { name: "session: encode messages got", messages: BATCH, prepare: encode_got },
    Operation { name: "message: check and take over", messages: BATCH, prepare: take_over },
    Operation { name: "entry: encode places", messages: BATCH, prepare: encode_entry },
    Operation { name: "entry: decode places", messages: BATCH, prepare: decode_entry },
    Operation { name: "queue: place and remove, 1,000 deep", messages: 1, prepare: queue_shallow },
    Operation { name: "queue: place and remove, 1,000,000 deep", messages: 1, prepare: queue_deep },
    Operation { name: "apply: places and removals", messages: BATCH, prepare: apply },
    Operation { name: "apply: and the batch for the store", messages: BATCH, prepare: apply_and_store },
    Operation { name: "log: write and sync an entry", messages: BATCH, prepare: log_write },
];

pub fn by_name(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

fn body() -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let bytes = (0..BODY_BYTES).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    bytes.collect()
}

fn wire_message() -> WireMessage {
    let body = body();
    WireMessage { descriptor: None, body_crc32c: Some(crc32c::crc32c(&body)), body }
}

fn decode_puts() -> Box<dyn FnMut()> {
    let calls = (0..BATCH as u64).map(|token| {
        let put = wire::Put {
            to: Some(wire::put::To::Handle(1)),
            message: Some(wire_message()),
            ..wire::Put::default()
        };
        wire::Call { token, call: Some(wire::call::Call::Put(put)) }
    });
    let encoded: Bytes = wire::SessionRequest { calls: calls.collect() }.encode_to_vec().into();
    Box::new(move || {
        black_box(wire::SessionRequest::decode(encoded.clone()).expect("encoded above"));
    })
}

fn answers(data: impl Fn(u64) -> wire::completion::Data) -> Box<dyn FnMut()> {
    let completions = (0..BATCH as u64)
        .map(|token| wire::Completion { token, outcome: None, data: Some(data(token)) })
        .collect();
    let response = wire::SessionResponse { completions, units_decided: 0 };
    let mut buffer = Vec::new();
    Box::new(move || {
        buffer.clear();
        response.encode(&mut buffer).expect("a vector grows");
        black_box(&buffer);
    })
}

fn encode_placed() -> Box<dyn FnMut()> {
    let message_id = Bytes::from_static(&[7; 24]);
    answers(move |_| {
        wire::completion::Data::Placed(wire::Placed {
            message_id: message_id.clone(),
            ..wire::Placed::default()
        })
    })
}

fn encode_got() -> Box<dyn FnMut()> {
    answers(|_| {
        wire::completion::Data::Got(wire::Got {
            message: Some(wire_message()),
            body_parts: 0,
            body_length: BODY_BYTES as u64,
        })
    })
}

/// What a listener does with each message of a frame: the descriptor's fields and the body's checksum.
fn take_over() -> Box<dyn FnMut()> {
    let message = wire_message();
    Box::new(move || {
        for _ in 0..BATCH {
            let message = black_box(message.clone());
            let descriptor =
                Descriptor::from_wire(*message.descriptor.unwrap_or_default()).expect("a default");
            let body = Body::from(message.body);
            assert_eq!(Some(body.crc32c()), message.body_crc32c);
            black_box((descriptor, body));
        }
    })
}

fn message() -> Message {
    let body = body();
    let descriptor = Descriptor {
        priority: Some(0),
        persistence: Persistence::Persistent,
        message_id: MessageId([7; 24]),
        ..Descriptor::default()
    };
    Message { descriptor, body_crc: crc32c::crc32c(&body), body: body.into() }
}

fn place(unique: u64) -> Command {
    let place = Place {
        queue: QUEUE,
        message: Box::new(message()),
        unique: Some(unique),
        producer: None,
        warning: None,
        staged: None,
        report: None,
    };
    Command::Place(place)
}

fn places() -> Bytes {
    let mut encoder = BatchEncoder::default();
    (1..=BATCH as u64).for_each(|unique| encoder.append(place(unique), WallTime(1)));
    encoder.take()
}

fn encode_entry() -> Box<dyn FnMut()> {
    let mut encoder = BatchEncoder::default();
    let command = place(1);
    Box::new(move || {
        for _ in 0..BATCH {
            encoder.append(black_box(command.clone()), WallTime(1));
        }
        black_box(encoder.take());
    })
}

fn decode_entry() -> Box<dyn FnMut()> {
    let data = places();
    Box::new(move || {
        black_box(command::decode(data.clone(), Speaks::RELEASE).expect("encoded above"));
    })
}

fn queue(depth: u64) -> Box<dyn FnMut()> {
    let name = ObjectName::new("Q").expect("a name");
    let mut queue = Queue::new(QUEUE, name, QueueRules::default(), 1);
    // A queue so deep has its bodies in the store only.
    let bare = Message { body: Body::default(), ..message() };
    for _ in 0..depth {
        let at = queue.place(Box::new(bare.clone()));
        queue.slot_mut(at).expect("just placed").message = None;
    }
    let mut first = Position { rank: queue.rank(0), sequence: 1, minor: 0 };
    Box::new(move || {
        black_box(queue.place(Box::new(bare.clone())));
        black_box(queue.remove(first).expect("placed in this order"));
        first.sequence += 1;
    })
}

fn queue_shallow() -> Box<dyn FnMut()> {
    queue(1_000)
}

fn queue_deep() -> Box<dyn FnMut()> {
    queue(1_000_000)
}

fn manager() -> QueueManager {
    let mut manager = QueueManager::new(MANAGER, ObjectName::new("QM").expect("a name"));
    let name = ObjectName::new("Q").expect("a name");
    let created = manager.apply(Command::Define {
        object: ObjectRef::local_queue(&name),
        like: String::new(),
        replace: false,
        changes: Changes::default(),
        by: Box::default(),
    });
    assert_eq!(created.changed, [QUEUE]);
    manager
}

/// Places what an entry says, as a leader and its followers do under puts.
fn place_all(manager: &mut QueueManager, data: &Bytes) -> Vec<Position> {
    let (at, commands) = command::decode(data.clone(), Speaks::RELEASE).expect("encoded above");
    manager.set_time(at);
    let mut positions = Vec::with_capacity(BATCH);
    let mut applied = Applied::default();
    for command in commands {
        assert!(manager.begin(command, usize::MAX, &mut applied), "a put is no unit");
        positions.extend(applied.placed.iter().map(|(_, position)| *position));
    }
    positions
}

/// And removes it again, as under puts and gets.
fn place_and_remove(manager: &mut QueueManager, data: &Bytes) {
    let positions = place_all(manager, data);
    let applied = manager.apply(Command::Remove(Removal { queue: QUEUE, positions }));
    assert!(applied.verdict.is_ok(), "a removal was refused: {:?}", applied.verdict);
    black_box(applied.removed);
}

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta {
        queue_manager: MANAGER,
        index: Index(index),
        term: Term(1),
        membership: Membership::default(),
        terms: TermStarts::default(),
        installed: false,
    }
}

fn apply() -> Box<dyn FnMut()> {
    let mut manager = manager();
    let data = places();
    let mut rounds = 0;
    Box::new(move || {
        place_and_remove(&mut manager, &data);
        rounds += 1;
        // What was placed and removed within a window leaves nothing; a window ends now and then.
        if rounds % 256 == 0 {
            black_box(manager.take_store_batch(Index(rounds - 256), meta(rounds)));
        }
    })
}

/// Removals one window late: each message is written to the store, and deleted from it.
fn apply_and_store() -> Box<dyn FnMut()> {
    let mut manager = manager();
    let data = places();
    let mut index = 0;
    let mut before: Vec<Position> = Vec::new();
    Box::new(move || {
        let positions = place_all(&mut manager, &data);
        let old = std::mem::replace(&mut before, positions);
        black_box(manager.apply(Command::Remove(Removal { queue: QUEUE, positions: old })));
        black_box(manager.take_store_batch(Index(index), meta(index + 1)));
        index += 1;
    })
}

/// On the disk that the build directory lies on.
fn log_write() -> Box<dyn FnMut()> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), std::path::PathBuf::from);
    std::fs::create_dir_all(&target).expect("create the target directory");
    let directory = tempfile::tempdir_in(target).expect("a directory in the target directory");
    let mut log = RaftEngineLog::open(LogOptions::new(directory.path())).expect("open a new log");
    log.recover(MANAGER, &meta(1)).expect("recover a new log");
    let data = places();
    let crc = crc32c::crc32c(&data);
    let mut index = 1;
    Box::new(move || {
        index += 1;
        let entry =
            Entry { kind: EntryKind::Normal, term: Term(1), index: Index(index), data: data.clone(), crc };
        let write = LogWrite {
            queue_manager: MANAGER,
            number: WriteNumber(index),
            hard_state: None,
            restart_after: None,
            entries: vec![entry],
            sync: true,
        };
        log.write_batch(&mut vec![write]).expect("write to the log");
        if index % 512 == 0 {
            log.truncate(MANAGER, Index(index - 1)).expect("truncate the log");
            log.purge().expect("purge the log");
        }
        // The directory goes with this closure.
        black_box(directory.path());
    })
}
