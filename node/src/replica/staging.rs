//! Bodies and large units go into the log in parts, ahead of the command that orders them, and never so many parts at
//! once that a small message would wait for them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::Replica;
use super::proposals::Waiting;
use crate::qmgr::{Command, Place, command};
use crate::types::{Body, SessionId, StagedBodyId, Token, limits};

/// Bytes of staged parts that may be proposed and not applied: enough to keep the disks busy, little enough that a
/// small message never waits for more than this.
const STAGED_BYTES_IN_FLIGHT: usize = 512 << 10;

/// Bodies and large commands on their way into the log, part by part.
#[derive(Debug, Default)]
pub(super) struct Stagings {
    queue: VecDeque<Staging>,
    next: u64,
    /// Parts that were proposed and are not applied.
    in_flight: usize,
}

#[derive(Debug)]
struct Staging {
    session: SessionId,
    number: StagedBodyId,
    parts: VecDeque<Bytes>,
    /// Proposed behind the last part.
    then: Option<(Command, Waiting)>,
}

impl Stagings {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Callers whose last command was not proposed.
    pub fn callers(self) -> impl Iterator<Item = (SessionId, Token)> {
        self.queue.into_iter().filter_map(|staging| staging.then?.1.caller())
    }

    /// Whether parts of this number are still to come.
    pub fn has(&self, number: StagedBodyId) -> bool {
        self.queue.iter().any(|staging| staging.number == number)
    }

    pub fn part_applied(&mut self) {
        assert!(self.in_flight > 0, "a part that is applied was proposed");
        self.in_flight -= 1;
    }
}

impl Replica {
    /// A large body leaves its message and goes ahead in parts.
    pub(super) fn stage_body(&mut self, place: &mut Place) -> Option<(StagedBodyId, VecDeque<Bytes>)> {
        let length = place.message.body.len();
        if length <= limits::CHUNK_BYTES {
            return None;
        }
        let number = self.staged_number();
        let body = std::mem::take(&mut place.message.body);
        place.staged = Some((number, length));
        let parts = parts_of(&body);
        debug_assert_eq!(parts.iter().map(Bytes::len).sum::<usize>(), length, "the parts are the whole body");
        Some((number, parts))
    }

    /// A command that is larger than an entry goes ahead in parts as well.
    pub(super) fn stage_command(&mut self, session: SessionId, command: Command, waiting: Waiting) {
        let encoded = command::encode_one(command);
        let number = self.staged_number();
        let staged = Command::Staged { number, length: encoded.len() };
        let parts = parts_of(&Body::from(encoded));
        self.begin_staging(session, number, parts, Some((staged, waiting)));
    }

    /// Unique over all leaders, like message ids.
    fn staged_number(&mut self) -> StagedBodyId {
        let leading = self.standing.own_mut();
        leading.staging.next += 1;
        StagedBodyId((leading.term.0 << 40) + leading.staging.next)
    }

    pub(super) fn begin_staging(
        &mut self,
        session: SessionId,
        number: StagedBodyId,
        parts: VecDeque<Bytes>,
        then: Option<(Command, Waiting)>,
    ) {
        assert!(!parts.is_empty(), "what is staged has parts");
        if let Some(state) = self.sessions.get_mut(session) {
            state.staging += 1;
        }
        self.standing.own_mut().staging.queue.push_back(Staging { session, number, parts, then });
    }

    /// A part is in the log.
    pub(super) fn end_part(&mut self, session: SessionId, number: StagedBodyId) {
        let stagings = &mut self.standing.own_mut().staging;
        stagings.part_applied();
        // Its session ended before the message was ordered, and nobody will ever name it again.
        if self.sessions.get(session).is_none() && !stagings.has(number) {
            self.propose(Command::DropStaged(vec![number]), Waiting::Nobody);
        }
    }

    /// Proposes the next parts, of one body after the other, never more than a few at once.
    pub(super) fn stage_more(&mut self) {
        while let Some(stagings) = self.standing.leading_mut().map(|leading| &mut leading.staging) {
            if stagings.in_flight * limits::CHUNK_BYTES >= STAGED_BYTES_IN_FLIGHT {
                return;
            }
            let Some(staging) = stagings.queue.front_mut() else { return };
            let (session, number) = (staging.session, staging.number);
            if let Some(data) = staging.parts.pop_front() {
                stagings.in_flight += 1;
                self.propose(Command::StageBody { number, data }, Waiting::Staged { session, number });
                continue;
            }
            let staging = stagings.queue.pop_front().expect("just seen");
            if let Some((command, waiting)) = staging.then {
                self.propose(command, waiting);
            }
            match self.sessions.get_mut(session) {
                Some(state) => {
                    assert!(state.staging > 0, "what is staged for a session is counted");
                    state.staging -= 1;
                    self.standing.own_mut().line.join(session, self.stats.turns);
                }
                None => self.standing.own_mut().line.leave(session),
            }
        }
    }
}

/// The body in parts of exactly [`limits::CHUNK_BYTES`], the last one shorter. Copies only where a part of the body
/// crosses such a border.
fn parts_of(body: &Body) -> VecDeque<Bytes> {
    let mut parts = VecDeque::with_capacity(body.len().div_ceil(limits::CHUNK_BYTES));
    let mut open = BytesMut::new();
    for part in body.parts() {
        let mut rest = part.clone();
        while !rest.is_empty() {
            let taken = rest.split_to(rest.len().min(limits::CHUNK_BYTES - open.len()));
            if taken.len() == limits::CHUNK_BYTES {
                parts.push_back(taken);
                continue;
            }
            open.extend_from_slice(&taken);
            if open.len() == limits::CHUNK_BYTES {
                parts.push_back(std::mem::take(&mut open).freeze());
            }
        }
    }
    if !open.is_empty() {
        parts.push_back(open.freeze());
    }
    debug_assert!(
        parts.iter().rev().skip(1).all(|part| part.len() == limits::CHUNK_BYTES),
        "only the last part is short"
    );
    parts
}
