//! What was proposed and who waits for it: closed batches that still wait for consensus, and proposed entries that
//! are not applied yet.

use std::collections::btree_map::OccupiedEntry;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::handles::Wanted;
use super::units::{KnownBefore, NotPersistent};
use crate::mqi::Completion;
use crate::qmgr::{BatchEncoder, Command};
use crate::types::definition::ObjectRef;
use crate::types::{
    Index, Message, ObjectName, Pieces, Position, ProducerSequence, QueueId, SessionId, StagedBodyId, Token,
    UnitId, Version, WallTime, limits,
};

/// Who is answered, and with what.
pub(super) type Answer = (SessionId, Token, Completion);

/// Who is answered, and how, when a command was applied. One for each command of a batch, in order.
#[derive(Debug)]
pub(super) enum Waiting {
    Nobody,
    /// A put outside syncpoint, and its answer if it is stored. That is a warning when the message went to the dead-letter queue
    /// instead, or is not quite what its program said.
    Put {
        session: SessionId,
        token: Token,
        queue: QueueId,
        /// Where the report about it goes.
        report: Option<QueueId>,
        /// Of a message that has to do with groups: whoever repeats it goes on where it is.
        of_group: Option<Box<ProducerSequence>>,
        answer: Box<Completion>,
    },
    /// A get outside syncpoint; its message is in memory.
    Get {
        session: SessionId,
        token: Token,
        from: (QueueId, Position),
        cut: Option<usize>,
        /// What it is answered with where a report is made of it, and where that goes.
        reported: Option<(QueueId, Box<Message>)>,
    },
    Commit {
        session: SessionId,
        token: Token,
        unit: Box<Committing>,
    },
    /// Backout counts are in the log: the messages are free again. Nobody is answered when the session is gone.
    Backout {
        answer: Option<Box<Answer>>,
        gets: Vec<(QueueId, Position)>,
    },
    Expire {
        queue: QueueId,
        messages: u64,
    },
    /// A message whose time is over, with the report about that, if some queue takes it.
    Expired {
        from: (QueueId, Position),
        report: Option<QueueId>,
    },
    Seal {
        session: SessionId,
        token: Token,
    },
    Admin {
        session: SessionId,
        token: Token,
        queue: Option<QueueId>,
    },
    /// A node is in maintenance, or not any more (`Leading::maintaining`).
    Maintain {
        session: SessionId,
        token: Token,
    },
    /// A definition is made or changed.
    Define {
        session: SessionId,
        token: Token,
        object: Box<ObjectRef>,
    },
    /// A message moves to its backout queue or to the dead-letter queue, or is discarded.
    Move {
        from: (QueueId, Position),
        to: Option<QueueId>,
        report: Option<QueueId>,
    },
    /// The parts of a staged body are counted, so that no more than a few are on their way.
    Staged {
        session: SessionId,
        number: StagedBodyId,
    },
    /// A queue is made from a model, and then opened.
    Made {
        session: SessionId,
        token: Token,
        wanted: Box<Wanted>,
        name: ObjectName,
    },
    /// A dynamic queue is deleted.
    Gone {
        queue: QueueId,
    },
    /// What the queue manager tells of a queue: the message that goes onto one, and the change of attributes of the one that it is
    /// about.
    Event {
        into: Option<QueueId>,
        about: Option<QueueId>,
    },
    BeginTerm,
}

/// A unit of work that is in the log.
#[derive(Debug)]
pub(super) struct Committing {
    pub id: Option<UnitId>,
    pub gets: Vec<(QueueId, Position)>,
    /// How many messages of it go onto which queue.
    pub puts: BTreeMap<QueueId, u64>,
    pub not_persistent: Pieces<NotPersistent>,
    /// What handles knew of groups before it.
    pub groups: KnownBefore,
}

/// Something of the log's order that is not in the log: it happens right after the command in front of it.
#[derive(Debug)]
pub(super) struct Ride {
    pub session: SessionId,
    pub token: Token,
    /// None: the put was repeated while the first may still ride in front, and is answered when that one is there.
    pub message: Option<(QueueId, Box<Message>)>,
    /// The report about it.
    pub report: Option<(QueueId, Box<Message>)>,
    pub producer: Option<ProducerSequence>,
    pub completion: Completion,
}

impl Ride {
    pub fn messages(&self) -> impl Iterator<Item = &(QueueId, Box<Message>)> {
        self.message.iter().chain(&self.report)
    }
}

#[derive(Debug)]
pub(super) enum Item {
    Command(Waiting),
    Ride(Box<Ride>),
}

// There is one for each command, and it is handed on often.
const _: () = assert!(size_of::<Item>() <= 96, "who waits is as small as is said");

#[derive(Debug)]
struct Closed {
    data: Bytes,
    items: Vec<Item>,
}

#[derive(Debug, Default)]
pub(super) struct Proposals {
    encoder: BatchEncoder,
    items: Vec<Item>,
    /// Batches that consensus has not taken yet.
    closed: VecDeque<Closed>,
    closed_bytes: usize,
    /// Entries of this leader, not applied yet.
    proposed: BTreeMap<Index, Vec<Item>>,
}

impl Proposals {
    pub fn add(&mut self, command: Command, at: WallTime, waiting: Waiting) {
        let before = self.encoder.bytes();
        self.encoder.append(command, at);
        debug_assert!(
            self.encoder.bytes() - before <= limits::ENTRY_BYTES_SOFT + 512,
            "no command is longer than it may be: whoever proposes looked"
        );
        self.items.push(Item::Command(waiting));
        debug_assert!(
            self.encoder.commands() <= self.items.len(),
            "somebody waits for every command, if only nobody"
        );
        if self.encoder.bytes() >= limits::ENTRY_BYTES_SOFT {
            self.close();
        }
    }

    /// What is proposed next and takes so many bytes at most is one entry, so that all of it happens or nothing.
    pub fn keep_together(&mut self, bytes: usize) {
        debug_assert!(bytes <= limits::ENTRY_BYTES_SOFT, "an entry has room for it");
        if self.encoder.bytes() + bytes > limits::ENTRY_BYTES_SOFT {
            self.close();
        }
    }

    /// The queue manager has this version: what is proposed from now on may be what it allows.
    pub fn speak(&mut self, version: Version) {
        self.close();
        self.encoder.speak(version);
    }

    /// What rides behind everything that was proposed up to now; None where nothing was.
    pub fn newest(&mut self) -> Option<&mut Vec<Item>> {
        if !self.encoder.is_empty() {
            return Some(&mut self.items);
        }
        match self.closed.back_mut() {
            Some(last) => Some(&mut last.items),
            None => self.proposed.last_entry().map(OccupiedEntry::into_mut),
        }
    }

    pub fn close(&mut self) {
        if self.encoder.is_empty() {
            return;
        }
        let data = self.encoder.take();
        debug_assert!(data.len() <= limits::ENTRY_BYTES_MAX, "an entry of {} bytes", data.len());
        self.closed_bytes += data.len();
        self.closed.push_back(Closed { data, items: std::mem::take(&mut self.items) });
    }

    /// Bytes that wait for consensus.
    pub fn backlog_bytes(&self) -> usize {
        self.closed_bytes + self.encoder.bytes()
    }

    /// The oldest batch that waits. Give it to consensus, then call [`Proposals::taken`].
    pub fn next(&self) -> Option<Bytes> {
        self.closed.front().map(|closed| closed.data.clone())
    }

    pub fn taken(&mut self, index: Index) {
        let closed = self.closed.pop_front().expect("next() gave it");
        assert!(self.closed_bytes >= closed.data.len(), "what waits for consensus is counted");
        assert!(
            self.proposed.last_key_value().is_none_or(|(last, _)| *last < index),
            "entries are proposed one behind the other"
        );
        self.closed_bytes -= closed.data.len();
        self.proposed.insert(index, closed.items);
    }

    /// Who waits for this entry.
    pub fn applied(&mut self, index: Index) -> Option<Vec<Item>> {
        debug_assert!(
            self.proposed.first_key_value().is_none_or(|(first, _)| *first >= index),
            "an entry is not applied before those that were proposed in front of it"
        );
        self.proposed.remove(&index)
    }

    pub fn is_idle(&self) -> bool {
        debug_assert_eq!(self.closed.is_empty(), self.closed_bytes == 0, "a batch that waits has bytes");
        debug_assert!(
            !self.encoder.is_empty() || self.items.is_empty(),
            "whoever waits for a batch waits for a command of it"
        );
        self.encoder.is_empty() && self.closed.is_empty() && self.proposed.is_empty()
    }

    /// Everything that was proposed and is not applied, in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let closed = self.closed.iter().flat_map(|closed| &closed.items);
        self.proposed.values().flatten().chain(closed).chain(&self.items)
    }

    pub fn assert_holds(&self, applied: Index, last: Index) {
        debug_assert_eq!(
            self.closed.iter().map(|closed| closed.data.len()).sum::<usize>(),
            self.closed_bytes,
            "the bytes of batches that wait are counted"
        );
        let is_command = |item: &&Item| matches!(item, Item::Command(_));
        debug_assert_eq!(
            self.items.iter().filter(is_command).count(),
            self.encoder.commands(),
            "each command of the open batch is waited for, if only by nobody"
        );
        debug_assert!(
            self.closed.iter().all(|closed| !closed.items.is_empty()),
            "a batch that is closed is waited for"
        );
        debug_assert!(
            self.proposed.first_key_value().is_none_or(|(first, _)| *first > applied),
            "who waits, waits for an entry that is not applied"
        );
        debug_assert!(
            self.proposed.last_key_value().is_none_or(|(index, _)| *index <= last),
            "who waits, waits for an entry of the log"
        );
    }

    /// Leadership is lost: what was proposed may or may not happen, the rest did not.
    pub fn into_lost(self) -> (impl Iterator<Item = Item>, impl Iterator<Item = Item>) {
        let never = self.closed.into_iter().flat_map(|closed| closed.items).chain(self.items);
        (self.proposed.into_values().flatten(), never)
    }
}

impl Waiting {
    /// Puts that were let in with the command, by queue: they have arrived with it, or never will.
    pub fn let_in(&self) -> impl Iterator<Item = (QueueId, u64)> {
        let (few, many) = match self {
            Waiting::Put { queue, report, .. } => ([Some(*queue), *report], None),
            Waiting::Move { to, report, .. } => ([*to, *report], None),
            Waiting::Expired { report, .. } => ([*report, None], None),
            Waiting::Event { into, .. } => ([*into, None], None),
            Waiting::Get { reported, .. } => ([reported.as_ref().map(|(queue, _)| *queue), None], None),
            Waiting::Commit { unit, .. } => ([None, None], Some(&unit.puts)),
            _ => ([None, None], None),
        };
        let few = few.into_iter().flatten().map(|queue| (queue, 1));
        few.chain(many.into_iter().flatten().map(|(queue, count)| (*queue, *count)))
    }

    /// The session whose put or commit it was: what is not persistent must not overtake these.
    pub fn in_order_of(&self) -> Option<SessionId> {
        match self {
            Waiting::Put { session, .. } | Waiting::Commit { session, .. } => Some(*session),
            _ => None,
        }
    }

    /// Whose call is answered by this.
    pub fn caller(&self) -> Option<(SessionId, Token)> {
        match self {
            Waiting::Put { session, token, .. }
            | Waiting::Get { session, token, .. }
            | Waiting::Commit { session, token, .. }
            | Waiting::Seal { session, token }
            | Waiting::Made { session, token, .. }
            | Waiting::Maintain { session, token }
            | Waiting::Define { session, token, .. }
            | Waiting::Admin { session, token, .. } => Some((*session, *token)),
            Waiting::Backout { answer, .. } => answer.as_ref().map(|answer| (answer.0, answer.1)),
            Waiting::Nobody
            | Waiting::Expire { .. }
            | Waiting::Expired { .. }
            | Waiting::Move { .. }
            | Waiting::Staged { .. }
            | Waiting::Gone { .. }
            | Waiting::Event { .. }
            | Waiting::BeginTerm => None,
        }
    }
}
