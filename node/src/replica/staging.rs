//! Bodies and large units go into the log in parts, ahead of the command that orders them, and never so many parts at
//! once that a small message would wait for them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::Replica;
use super::proposals::Waiting;
use crate::qmgr::{Command, Place, Removal, command};
use crate::types::{Pieces, SessionId, StagedBodyId, Token, UnitId, limits};

/// Bytes of staged parts that may be proposed and not applied: enough to keep the disks busy, little enough that a
/// small message never waits for more than this.
const STAGED_BYTES_IN_FLIGHT: usize = 512 << 10;
const _: () = assert!(STAGED_BYTES_IN_FLIGHT >= limits::CHUNK_BYTES, "one part may always be on its way");

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
    parts: Parts,
    /// Of the parts that were proposed.
    bytes: usize,
    /// Proposed behind the last part.
    then: Option<(Command, Waiting)>,
}

/// What is still to come.
#[derive(Debug)]
pub(super) enum Parts {
    Body(VecDeque<Bytes>),
    Unit { unit: Option<(UnitId, u64)>, places: Pieces<Place>, removals: Vec<Removal> },
}

/// Positions of removed messages in one part of a unit.
const REMOVALS_MAX: usize = 8_000;
const _: () =
    assert!(REMOVALS_MAX * 16 < limits::ENTRY_BYTES_SOFT, "the positions of one part have room in an entry");

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

    /// Who waits for what is behind the last parts.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.iter().filter_map(|staging| staging.then.as_ref().map(|(_, waiting)| waiting))
    }

    /// How many bodies and units of a session are on their way.
    pub fn of_session(&self, session: SessionId) -> usize {
        self.queue.iter().filter(|staging| staging.session == session).count()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn assert_holds(&self) {
        debug_assert!(
            self.in_flight <= STAGED_BYTES_IN_FLIGHT.div_ceil(limits::CHUNK_BYTES),
            "so many parts are on their way at most"
        );
        debug_assert!(
            self.queue.iter().skip(1).all(|staging| staging.bytes == 0),
            "one body goes ahead after the other"
        );
    }

    pub fn part_applied(&mut self) {
        assert!(self.in_flight > 0, "a part that is applied was proposed");
        self.in_flight -= 1;
    }
}

impl Replica {
    /// A large body leaves its message and goes ahead in parts.
    pub(super) fn stage_body(&mut self, place: &mut Place) -> Option<(StagedBodyId, Parts)> {
        let length = place.message.body.len();
        if length <= limits::CHUNK_BYTES {
            return None;
        }
        debug_assert!(place.staged.is_none(), "a body is staged once");
        let number = self.staged_number();
        let body = std::mem::take(&mut place.message.body);
        place.staged = Some((number, length));
        Some((number, Parts::Body(body.parts().iter().cloned().collect())))
    }

    /// A unit of work that is larger than an entry goes ahead in parts as well.
    pub(super) fn stage_unit(
        &mut self,
        session: SessionId,
        unit: Option<(UnitId, u64)>,
        places: Pieces<Place>,
        removals: Vec<Removal>,
        waiting: Waiting,
    ) {
        debug_assert!(!(places.is_empty() && removals.is_empty()), "a unit that goes in parts has messages");
        let number = self.staged_number();
        let parts = Parts::Unit { unit, places, removals };
        self.begin_staging(session, number, parts, Some((Command::Staged { number, length: 0 }, waiting)));
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
        parts: Parts,
        then: Option<(Command, Waiting)>,
    ) {
        if let Some(state) = self.sessions.get_mut(session) {
            state.staging += 1;
        }
        let staging = Staging { session, number, parts, bytes: 0, then };
        let stagings = &mut self.standing.own_mut().staging;
        debug_assert!(!stagings.has(number), "a number is that of one body or unit");
        stagings.queue.push_back(staging);
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
            if let Some(data) = staging.parts.next() {
                staging.bytes += data.len();
                stagings.in_flight += 1;
                self.propose(Command::StageBody { number, data }, Waiting::Staged { session, number });
                continue;
            }
            let staging = stagings.queue.pop_front().expect("just seen");
            if let Some((mut command, waiting)) = staging.then {
                if let Command::Staged { length, .. } = &mut command {
                    *length = staging.bytes;
                }
                self.propose(command, waiting);
            }
            match self.sessions.get_mut(session) {
                Some(state) => {
                    assert!(state.staging > 0, "what is staged for a session is counted");
                    state.staging -= 1;
                    self.standing.own_mut().line.join(session, self.rounds);
                }
                None => self.standing.own_mut().line.leave(session),
            }
        }
    }
}

impl Parts {
    /// Cut when its turn comes: a turn has no time for all of a long body or of a large unit.
    fn next(&mut self) -> Option<Bytes> {
        let part = match self {
            Parts::Body(parts) => next_of_body(parts),
            Parts::Unit { unit, places, removals } => next_of_unit(unit, places, removals),
        };
        debug_assert!(
            part.as_ref().is_none_or(|part| part.len() < limits::ENTRY_BYTES_MAX),
            "a part has room in an entry"
        );
        part
    }
}

/// Exactly [`limits::CHUNK_BYTES`], the last part less. Copies only where a part of the body crosses such a border.
fn next_of_body(parts: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = parts.front_mut()?;
    if first.len() > limits::CHUNK_BYTES {
        return Some(first.split_to(limits::CHUNK_BYTES));
    }
    if first.len() == limits::CHUNK_BYTES || parts.len() == 1 {
        return parts.pop_front();
    }
    let mut joined = BytesMut::with_capacity(limits::CHUNK_BYTES);
    while joined.len() < limits::CHUNK_BYTES
        && let Some(mut part) = parts.pop_front()
    {
        let taken = part.split_to(part.len().min(limits::CHUNK_BYTES - joined.len()));
        joined.extend_from_slice(&taken);
        if !part.is_empty() {
            parts.push_front(part);
        }
    }
    Some(joined.freeze())
}

/// The encoding of a unit with some of the messages: more than one only if they are short. The first one names the unit.
fn next_of_unit(
    unit: &mut Option<(UnitId, u64)>,
    rest: &mut Pieces<Place>,
    removals: &mut Vec<Removal>,
) -> Option<Bytes> {
    let mut places = Vec::new();
    let mut bytes = 0;
    while let Some(place) = rest.front()
        && (places.is_empty() || bytes + place.weight() <= limits::CHUNK_BYTES)
    {
        bytes += place.weight();
        places.extend(rest.pop_front());
    }
    let gone = if places.is_empty() { next_removal(removals) } else { None };
    let is_over = places.is_empty() && gone.is_none();
    debug_assert!(!is_over || unit.is_none(), "the first part names the unit");
    let removals = gone.into_iter().collect();
    (!is_over).then(|| command::encode_one(Command::CommitUnit { unit: unit.take(), places, removals }))
}

fn next_removal(removals: &mut Vec<Removal>) -> Option<Removal> {
    debug_assert!(removals.iter().all(|of| !of.positions.is_empty()), "a removal is of messages");
    let last = removals.last_mut()?;
    if last.positions.len() <= REMOVALS_MAX {
        return removals.pop();
    }
    let positions = last.positions.split_off(last.positions.len() - REMOVALS_MAX);
    Some(Removal { queue: last.queue, positions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Body, Message, Position, QueueId};

    fn bytes(length: usize, of: u8) -> Bytes {
        Bytes::from(vec![of; length])
    }

    #[test]
    fn a_body_is_cut_into_parts_of_one_size_wherever_its_own_end() {
        let long = limits::CHUNK_BYTES;
        for lengths in
            [vec![3 * long + 5], vec![172, 2 * long, 7], vec![long, long], vec![1, long - 1, 1], vec![9]]
        {
            let parts: VecDeque<Bytes> =
                lengths.iter().zip(1..).map(|(length, of)| bytes(*length, of)).collect();
            let whole: Vec<u8> = parts.iter().flatten().copied().collect();
            let mut parts = Parts::Body(parts);
            let cut: Vec<Bytes> = std::iter::from_fn(|| parts.next()).collect();
            assert!(cut.iter().rev().skip(1).all(|part| part.len() == long), "{lengths:?}");
            assert!(cut.last().is_some_and(|part| (1..=long).contains(&part.len())), "{lengths:?}");
            assert!(cut.concat() == whole, "{lengths:?}");
        }
    }

    #[test]
    fn no_command_is_longer_than_it_weighs() {
        use crate::qmgr::Command;
        use crate::types::{
            CorrelationId, Descriptor, GroupId, MessageId, ProducerId, ProducerSequence, WallTime,
        };
        let long = |length: usize| "x".repeat(length);
        let wire = trimaran_proto::message::v1::Descriptor {
            reply_to_queue: long(48),
            reply_to_queue_manager: long(48),
            user_identifier: long(12),
            put_application_name: long(28),
            application_identity_data: long(32),
            ..Default::default()
        };
        let descriptor = Descriptor {
            message_id: MessageId([255; 24]),
            correlation_id: CorrelationId([255; 24]),
            group_id: GroupId([255; 24]),
            priority: Some(9),
            expiry: Some(u32::MAX),
            backout_count: u32::MAX,
            put_at: WallTime(i64::MAX),
            ..Descriptor::from_wire(wire).unwrap()
        };
        for length in [0, 1, 100, limits::CHUNK_BYTES] {
            let body = Body::from(bytes(length, 1));
            let producer = ProducerId(bytes(ProducerId::BYTES_MAX, 1));
            let place = Place {
                queue: QueueId(u32::MAX),
                message: Box::new(Message { descriptor: descriptor.clone(), body, body_crc: u32::MAX }),
                unique: Some(u64::MAX),
                producer: Some(ProducerSequence { producer, sequence: u64::MAX, repeated: true }),
                warning: Some(Some(crate::types::Reason::QFull)),
                staged: (length == 0).then_some((StagedBodyId(u64::MAX), usize::MAX)),
                report: None,
            };
            let weight = place.weight();
            let encoded = command::encode_one(Command::Place(place)).len();
            assert!(encoded <= weight && weight < encoded + 100, "{encoded} bytes weigh {weight}");
        }
        let at = Position { rank: 9, sequence: Position::SEQUENCE_MAX, minor: 0 };
        for count in [1, 2, 1000] {
            let removal = Removal { queue: QueueId(u32::MAX), positions: vec![at; count] };
            let weight = removal.weight();
            let encoded = command::encode_one(Command::Remove(removal)).len();
            assert!(encoded <= weight, "{encoded} bytes weigh {weight}");
        }
    }

    #[test]
    fn a_unit_is_cut_into_commands_that_have_all_of_it() {
        let position = |sequence| Position { rank: 5, sequence, minor: 0 };
        let place = |length| Place {
            queue: QueueId(1),
            message: Box::new(Message { body: Body::from(bytes(length, 1)), ..Default::default() }),
            unique: None,
            producer: None,
            warning: None,
            staged: None,
            report: None,
        };
        let places: Vec<Place> = (0..40).map(|number| place(1 + number * 6_000)).collect();
        let positions: Vec<_> = (0..2 * REMOVALS_MAX as u64 + 3).map(position).collect();
        let removals = vec![Removal { queue: QueueId(1), positions: positions.clone() }];
        let unit = Some((UnitId(Bytes::from_static(b"unit")), 7));
        let mut parts =
            Parts::Unit { unit: unit.clone(), places: places.iter().cloned().collect(), removals };
        let (mut named, mut put, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(part) = parts.next() {
            assert!(part.len() <= limits::ENTRY_BYTES_SOFT, "{} bytes", part.len());
            let Ok(Command::CommitUnit { unit, places, removals }) = command::decode_one(part) else {
                panic!()
            };
            named.extend(unit);
            put.extend(places);
            gone.extend(removals.into_iter().flat_map(|removal| removal.positions));
        }
        gone.sort_unstable();
        assert_eq!((named, gone), (Vec::from_iter(unit), positions));
        assert!(put == places);
    }
}
