//! What a peer may say to a replica. Only peers with a certificate of the cluster get this far, but a peer may run another
//! release, or have lost its mind with its memory.

use bytes::Bytes;
use prost::Message as _;
use trimaran_node::consensus::{self, HardState, Recovered};
use trimaran_node::qmgr::{BatchEncoder, Command, QueueManager};
use trimaran_node::replica::{Action, Event, Options, Replica};
use trimaran_node::types::{Index, Instant, Membership, NodeId, Now, SnapshotMeta, Term, WallTime};
use trimaran_proto::replica::v1::{
    Comparison, Entry, Greeting, PeerFrame, PeerMessage, RaftMessage, peer_message::Message,
};

use super::Target;
use super::pieces::{Pieces, joined};
use super::samples::{ID, meta, name};

pub const TARGET: Target =
    Target { name: "minds", about: "what peers say to a replica of three", run, seeds };

/// Pieces: frames, from node 2 and node 3 in turn, 50 ms apart.
fn run(bytes: &[u8]) {
    let mut mind = mind();
    let mut now = Now { instant: Instant(1), wall: WallTime(1_000_000) };
    for (number, piece) in Pieces(bytes).enumerate().take(40) {
        let from = NodeId(2 + number as u64 % 2);
        let Ok(frame) = PeerFrame::decode(piece) else { continue };
        now.instant = Instant(now.instant.0 + 50_000_000);
        mind.begin_turn(now);
        if number < 2 {
            mind.handle(Event::PeerConnected { node: from });
        }
        for message in frame.messages.into_iter().filter_map(|message| message.message) {
            mind.handle(Event::Peer { from, message });
        }
        end_turn(&mut mind, now);
    }
}

fn end_turn(mind: &mut Replica, now: Now) {
    let mut actions = Vec::new();
    mind.end_turn(&mut actions);
    for _ in 0..4 {
        let written = actions.drain(..).filter_map(|action| match action {
            Action::Persist(write) => Some(write.number),
            _ => None,
        });
        let Some(write) = written.max() else { return };
        mind.begin_turn(now);
        mind.handle(Event::LogPersisted { write });
        mind.end_turn(&mut actions);
    }
}

/// Node 1 of three.
fn mind() -> Replica {
    let options = consensus::Options { node: NodeId(1), ..consensus::Options::default() };
    let membership = Membership { voters: [1, 2, 3].map(NodeId).into(), ..Membership::default() };
    let snapshot = SnapshotMeta { membership, ..meta() };
    let recovered = Recovered {
        hard_state: HardState { term: Term(1), vote: None, commit: Index(1) },
        snapshot,
        entries: Vec::new(),
        recovering: false,
        since_start: std::time::Duration::ZERO,
        acknowledged: Some(Index(1)),
        parted: None,
    };
    Replica::new(Options::new(ID, name(), options), recovered, QueueManager::new(ID, name()), 7)
}

fn seeds() -> Vec<Vec<u8>> {
    let mut batch = BatchEncoder::default();
    batch.append(Command::BeginTerm { leader: None }, WallTime(7));
    let data: Bytes = batch.take();
    let entry = Entry { kind: 0, term: 2, index: 2, crc32c: crc32c::crc32c(&data), data };
    let raft = |kind, index, entries, commit| {
        Message::Raft(RaftMessage {
            kind,
            from: 2,
            to: 1,
            term: 2,
            log_term: if kind == 3 { 1 } else { 0 },
            index,
            entries,
            commit,
            ..RaftMessage::default()
        })
    };
    let messages = [
        Message::Greeting(Greeting {
            established: true,
            term: 2,
            last_index: 2,
            commit: 1,
            ..Greeting::default()
        }),
        raft(5, 2, Vec::new(), 0),
        raft(17, 2, Vec::new(), 0),
        raft(3, 1, vec![entry], 1),
        raft(8, 0, Vec::new(), 2),
        Message::Comparison(Comparison { term: 2, index: 2, digest: Some(7), differs: false }),
    ];
    let frames = messages.map(|message| {
        let messages = vec![PeerMessage { queue_manager: ID.0, message: Some(message) }];
        PeerFrame { messages, ..PeerFrame::default() }.encode_to_vec()
    });
    // Those at even places come from node 2, which says them all.
    vec![joined(frames.iter().flat_map(|frame| [&frame[..], &[]]))]
}
