//! Our words to raft-rs's and back, and the border check for what peers send.
//!
//! Bodies are moved as `Bytes`, never copied, and nothing from the network is decoded by protobuf 2. A message is
//! either well-formed in every number or dropped here: raft-rs stops the process when it meets what it thinks
//! impossible.

use bytes::Bytes;
use raft::eraftpb::{self, EntryType, MessageType};
use trimaran_proto::replica::v1 as proto;

use super::{Entry, EntryKind, membership};
use crate::types::{Index, NodeId, Term, WallTime};

/// Kinds on the wire; raft-rs's own numbers, for the messages that may travel.
const KINDS: [(u32, MessageType); 9] = [
    (3, MessageType::MsgAppend),
    (4, MessageType::MsgAppendResponse),
    (5, MessageType::MsgRequestVote),
    (6, MessageType::MsgRequestVoteResponse),
    (8, MessageType::MsgHeartbeat),
    (9, MessageType::MsgHeartbeatResponse),
    (14, MessageType::MsgTimeoutNow),
    (17, MessageType::MsgRequestPreVote),
    (18, MessageType::MsgRequestPreVoteResponse),
];

const ENTRY_NORMAL: u32 = 0;
const ENTRY_MEMBERSHIP: u32 = 2;
/// Terms and indexes beyond this are nonsense, and sums below it do not overflow.
const NUMBER_MAX: u64 = 1 << 62;
/// Heartbeat rounds and the mark of a handed-over candidacy; nothing longer travels in a context.
const CONTEXT_BYTES_MAX: usize = 64;
const _: () = assert!(
    2 * size_of::<u64>() <= CONTEXT_BYTES_MAX && super::HANDED_OVER.len() <= CONTEXT_BYTES_MAX,
    "a round with a clock, and a candidacy that was handed over, are let in"
);

/// None for what is not sent to peers.
pub(super) fn message_out(message: eraftpb::Message) -> Option<proto::RaftMessage> {
    let (kind, _) = KINDS.iter().find(|(_, kind)| *kind == message.msg_type)?;
    debug_assert!(message.from != message.to && message.to != 0, "a message goes to a peer");
    debug_assert!(
        message.entries.is_empty() || message.msg_type == MessageType::MsgAppend,
        "only appends have entries"
    );
    debug_assert!(message.term > 0, "nobody speaks to a peer before the first term");
    debug_assert!(message.context.len() <= CONTEXT_BYTES_MAX, "a context is one that the peer lets in");
    let out = proto::RaftMessage {
        kind: *kind,
        from: message.from,
        to: message.to,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.into_iter().map(entry_to_wire).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
        request_snapshot: 0, // a node that needs a snapshot rejects appends, it does not ask
    };
    debug_assert!(
        out.kind != MessageType::MsgAppend as u32 || check_append(&out),
        "an append leaves as its receiver wants it"
    );
    Some(out)
}

/// None when the message is malformed, damaged, not ours, or of a kind that does not travel.
pub(super) fn message_in(from: NodeId, me: NodeId, message: proto::RaftMessage) -> Option<eraftpb::Message> {
    let (_, kind) = KINDS.iter().find(|(kind, _)| *kind == message.kind)?;
    let addressed = message.from == from.0 && message.to == me.0 && from != me && from.0 != 0;
    let numbers = [
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.commit_term,
        message.reject_hint,
    ];
    if !addressed
        || message.term == 0
        || numbers.iter().any(|number| *number > NUMBER_MAX)
        || message.context.len() > CONTEXT_BYTES_MAX
        || (*kind != MessageType::MsgAppend && !message.entries.is_empty())
        || (*kind == MessageType::MsgAppend && !check_append(&message))
    {
        return None;
    }
    Some(eraftpb::Message {
        msg_type: *kind,
        from: message.from,
        to: message.to,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.into_iter().map(entry_from_wire).collect::<Vec<_>>().into(),
        commit: message.commit,
        commit_term: message.commit_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
        ..Default::default()
    })
}

/// Entries follow each other and what came before, in terms that never sink, with intact data.
fn check_append(message: &proto::RaftMessage) -> bool {
    if (message.log_term == 0) != (message.index == 0) || message.log_term > message.term {
        return false;
    }
    let mut term = message.log_term;
    let mut index = message.index;
    for entry in &message.entries {
        let follows = entry.index == index + 1 && term <= entry.term && entry.term <= message.term;
        if !follows || entry.term == 0 || crc32c::crc32c(&entry.data) != entry.crc32c {
            return false;
        }
        match entry.kind {
            ENTRY_NORMAL => (),
            ENTRY_MEMBERSHIP if membership::decode(&entry.data).is_some() => (),
            _ => return false,
        }
        (term, index) = (entry.term, entry.index);
    }
    true
}

fn entry_to_wire(entry: eraftpb::Entry) -> proto::Entry {
    proto::Entry {
        kind: match entry.entry_type {
            EntryType::EntryNormal => ENTRY_NORMAL,
            _ => ENTRY_MEMBERSHIP,
        },
        term: entry.term,
        index: entry.index,
        crc32c: crc_of(&entry),
        data: entry.data,
    }
}

fn entry_from_wire(entry: proto::Entry) -> eraftpb::Entry {
    let mut out = eraftpb::Entry::default();
    if entry.kind == ENTRY_MEMBERSHIP {
        out.entry_type = EntryType::EntryConfChangeV2;
    }
    out.term = entry.term;
    out.index = entry.index;
    out.context = context_of(entry.crc32c, &entry.data);
    out.data = entry.data;
    out
}

pub(super) fn entry_out(entry: &eraftpb::Entry) -> Entry {
    Entry {
        kind: match entry.entry_type {
            EntryType::EntryNormal => EntryKind::Normal,
            _ => EntryKind::Membership,
        },
        term: Term(entry.term),
        index: Index(entry.index),
        data: entry.data.clone(),
        crc: crc_of(entry),
    }
}

pub(super) fn entry_in(entry: &Entry) -> eraftpb::Entry {
    let mut out = eraftpb::Entry::default();
    if entry.kind == EntryKind::Membership {
        out.entry_type = EntryType::EntryConfChangeV2;
    }
    out.term = entry.term.0;
    out.index = entry.index.0;
    out.context = context_of(entry.crc, &entry.data);
    out.data = entry.data.clone();
    out
}

/// A new entry of this leader; raft-rs gives it term and index.
pub(super) fn new_entry(kind: EntryKind, data: Bytes) -> eraftpb::Entry {
    let crc = crc32c::crc32c(&data);
    let entry = entry_in(&Entry { kind, term: Term(0), index: Index(0), data, crc });
    debug_assert_eq!(crc_of(&entry), crc, "the checksum of a new entry travels with it");
    entry
}

/// The checksum travels in raft-rs's entry as its context. raft-rs makes empty entries itself, without a context:
/// the checksum of nothing is 0.
fn context_of(crc: u32, data: &Bytes) -> Bytes {
    match data.is_empty() {
        true => Bytes::new(),
        false => Bytes::copy_from_slice(&crc.to_le_bytes()),
    }
}

fn crc_of(entry: &eraftpb::Entry) -> u32 {
    entry.context.as_ref().try_into().map_or(0, u32::from_le_bytes)
}

/// A round of heartbeats as it travels in a context.
pub(super) fn round_out(round: u64) -> Bytes {
    Bytes::copy_from_slice(&round.to_le_bytes())
}

pub(super) fn round_in(context: &[u8]) -> Option<u64> {
    context.try_into().ok().map(u64::from_le_bytes)
}

/// The answer to a round, which came in this context: the same, and what the clock here says.
///
/// ```text
///   0         8                 16
///   | round   | wall clock, ms  |    both little-endian
/// ```
pub(super) fn answer_out(round: &Bytes, wall: WallTime) -> Bytes {
    let answer: Bytes = match round_in(round) {
        Some(_) => [round.as_ref(), &wall.0.to_le_bytes()].concat().into(),
        None => Bytes::new(),
    };
    debug_assert_eq!(
        answer_in(&answer),
        round_in(round).map(|round| (round, wall)),
        "an answer is read as it was written"
    );
    answer
}

pub(super) fn answer_in(context: &[u8]) -> Option<(u64, WallTime)> {
    let (round, wall) = context.split_at_checked(8)?;
    Some((round_in(round)?, WallTime(wall.try_into().ok().map(i64::from_le_bytes)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn entry(index: u64, term: u64, data: &'static [u8]) -> proto::Entry {
        proto::Entry {
            kind: ENTRY_NORMAL,
            term,
            index,
            crc32c: crc32c::crc32c(data),
            data: Bytes::from_static(data),
        }
    }

    fn append(index: u64, log_term: u64, entries: Vec<proto::Entry>) -> proto::RaftMessage {
        proto::RaftMessage {
            kind: 3,
            from: 1,
            to: 2,
            term: 7,
            log_term,
            index,
            entries,
            ..Default::default()
        }
    }

    #[test]
    fn a_message_comes_back_as_it_went_and_bodies_are_not_copied() {
        let sent = append(4, 6, vec![entry(5, 6, b"five"), entry(6, 7, b""), entry(7, 7, b"seven")]);
        let inside = message_in(A, B, sent.clone()).unwrap();
        assert_eq!(inside.entries[0].data.as_ptr(), sent.entries[0].data.as_ptr());
        let back = message_out(inside).unwrap();
        assert_eq!(back, sent);
        assert_eq!(back.entries[2].data.as_ptr(), sent.entries[2].data.as_ptr());
    }

    #[test]
    fn the_answer_to_a_round_brings_the_clock() {
        let answer = answer_out(&round_out(7), WallTime(-5));
        assert_eq!(answer_in(&answer), Some((7, WallTime(-5))));
        assert_eq!(answer_out(&Bytes::from_static(b"short"), WallTime(1)), Bytes::new());
        for length in [0, 7, 8, 15, 17, 64] {
            assert_eq!(answer_in(&vec![1; length]), None, "{length} bytes");
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_went() {
        let data = Bytes::from_static(b"some data");
        let crc = crc32c::crc32c(&data);
        let entry = Entry { kind: EntryKind::Normal, term: Term(3), index: Index(9), data, crc };
        assert_eq!(entry_out(&entry_in(&entry)), entry);
        let empty = Entry { kind: EntryKind::Membership, data: Bytes::new(), crc: 0, ..entry };
        assert_eq!(entry_out(&entry_in(&empty)), empty);
        assert_eq!(crc_of(&new_entry(EntryKind::Normal, Bytes::from_static(b"some data"))), crc);
    }

    #[test]
    fn only_well_formed_messages_come_in() {
        let good = append(4, 6, vec![entry(5, 6, b"five")]);
        assert!(message_in(A, B, good.clone()).is_some());
        let refused = |change: &dyn Fn(&mut proto::RaftMessage)| {
            let mut message = good.clone();
            change(&mut message);
            assert!(message_in(A, B, message.clone()).is_none(), "{message:?}");
        };
        refused(&|m| m.from = 3);
        refused(&|m| m.to = 3);
        refused(&|m| m.term = 0);
        refused(&|m| m.term = u64::MAX);
        refused(&|m| m.index = u64::MAX);
        refused(&|m| m.reject_hint = u64::MAX);
        refused(&|m| m.log_term = 0);
        refused(&|m| m.log_term = 8);
        refused(&|m| m.context = Bytes::from(vec![0; 65]));
        refused(&|m| m.entries[0].index = 6);
        refused(&|m| m.entries[0].term = 5);
        refused(&|m| m.entries[0].term = 8);
        refused(&|m| m.entries[0].crc32c ^= 1);
        refused(&|m| m.entries[0].kind = 1);
        refused(&|m| m.entries[0].kind = 2);
        refused(&|m| m.kind = 4);
        for kind in [0, 1, 2, 7, 10, 11, 12, 13, 15, 16, 19, 1000] {
            refused(&|m| {
                m.kind = kind;
                m.entries.clear();
            });
        }
        assert!(message_in(B, B, proto::RaftMessage { from: 2, ..good }).is_none(), "from itself");
    }
}
