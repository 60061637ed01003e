//! Messages that are in the store only, on their way into memory; who waits for them; and which messages that the
//! store has stay in memory as well.

use std::collections::{BTreeMap, VecDeque};

use super::Identity;
use crate::qmgr::packs::{Pack, PackKey};
use crate::qmgr::rows;
use crate::types::{Message, Position, QueueId, RequestId, SessionId, Token};

/// What to do with a message once it is there.
#[derive(Debug)]
pub(super) enum Delivery {
    /// Answer a browse, or a get under syncpoint whose reservation stands.
    Show { session: SessionId, token: Token, cut: Option<usize>, browse: bool },
    /// Propose the removal, then answer. The reservation stands.
    Take { session: SessionId, token: Token, cut: Option<usize> },
    /// Move it to its backout queue.
    Move,
}

#[derive(Debug, Default)]
pub(super) struct Loads {
    next: u64,
    requests: BTreeMap<RequestId, Vec<Wanted>>,
    /// Packs under way, and who waits for which of their messages.
    waiting: BTreeMap<PackKey, Vec<(Position, Delivery)>>,
}

/// One pack of a request: its row of heads and this many rows of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub pack: PackKey,
    pub chunks: u32,
}

impl Wanted {
    pub fn new(key: PackKey, pack: &Pack) -> Wanted {
        Wanted { pack: key, chunks: rows::chunks(pack.bytes()) }
    }
}

impl Loads {
    pub fn is_loading(&self, pack: PackKey) -> bool {
        self.waiting.contains_key(&pack)
    }

    /// Notes the request; the caller sends it.
    pub fn begin(&mut self, wanted: Vec<Wanted>) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        for one in &wanted {
            self.waiting.entry(one.pack).or_default();
        }
        self.requests.insert(request, wanted);
        request
    }

    pub fn wait(&mut self, pack: PackKey, position: Position, delivery: Delivery) {
        self.waiting.entry(pack).or_default().push((position, delivery));
    }

    pub fn end(&mut self, request: RequestId) -> Vec<Wanted> {
        self.requests.remove(&request).unwrap_or_default()
    }

    pub fn take_waiting(&mut self, pack: PackKey) -> Vec<(Position, Delivery)> {
        self.waiting.remove(&pack).unwrap_or_default()
    }

    /// Everybody who waits; requests under way are forgotten, their answers ignored.
    pub fn drain(&mut self) -> Vec<Delivery> {
        self.requests.clear();
        std::mem::take(&mut self.waiting).into_values().flatten().map(|(_, delivery)| delivery).collect()
    }
}

/// Bounds what stays in memory of messages that the store has.
#[derive(Debug)]
pub(super) struct Residents {
    /// Written by the last moves of the store, oldest first: the newest is released first, so heads stay.
    survivors: VecDeque<(QueueId, Position, usize)>,
    survivors_bytes: usize,
    /// Loaded because somebody reads there: the oldest is released first.
    loaded: VecDeque<(QueueId, Position, usize)>,
    loaded_bytes: usize,
    bytes_max: usize,
}

impl Residents {
    pub fn new(bytes_max: usize) -> Residents {
        Residents {
            survivors: VecDeque::new(),
            survivors_bytes: 0,
            loaded: VecDeque::new(),
            loaded_bytes: 0,
            bytes_max,
        }
    }

    pub fn add_survivor(&mut self, queue: QueueId, position: Position, weight: usize) {
        self.survivors.push_back((queue, position, weight));
        self.survivors_bytes += weight;
    }

    pub fn add_loaded(&mut self, queue: QueueId, position: Position, weight: usize) {
        self.loaded.push_back((queue, position, weight));
        self.loaded_bytes += weight;
    }

    /// The next message that must leave memory, if any. It may have left its queue before; that is the caller's look.
    pub fn next_to_release(&mut self) -> Option<(QueueId, Position)> {
        if self.survivors_bytes > self.bytes_max {
            let (queue, position, weight) = self.survivors.pop_back()?;
            self.survivors_bytes -= weight;
            return Some((queue, position));
        }
        if self.loaded_bytes > self.bytes_max {
            let (queue, position, weight) = self.loaded.pop_front()?;
            self.loaded_bytes -= weight;
            return Some((queue, position));
        }
        None
    }

    pub fn clear(&mut self) {
        *self = Residents::new(self.bytes_max);
    }
}

/// Context fields a message gets from its session (MQ's default context).
pub(super) fn set_context(message: &mut Message, identity: &Identity, application: &str) {
    let rest = &mut message.descriptor.rest;
    if rest.user_identifier.is_empty() {
        rest.user_identifier = identity.user.chars().take(12).collect();
    }
    if rest.put_application_name.is_empty() {
        rest.put_application_name = application.chars().take(28).collect();
    }
}
