//! Bodies and large units of work that came into the log in parts, until a command names them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::digest::Digest;
use super::{Place, QueueManager, Verdict};
use crate::types::{Reason, StagedBodyId, limits};

#[derive(Debug, Default)]
pub(super) struct Staged {
    by_number: BTreeMap<StagedBodyId, StagedBody>,
    bytes: usize,
    /// Of all parts.
    digest: Digest,
}

#[derive(Debug, Default)]
pub(super) struct StagedBody {
    pub parts: Vec<Bytes>,
    bytes: usize,
    digest: Digest,
}

impl Staged {
    pub fn push(&mut self, number: StagedBodyId, part: Bytes) {
        let body = self.by_number.entry(number).or_default();
        let fact = Digest::of_one((number, body.parts.len(), part.len(), crc32c::crc32c(&part)));
        body.digest.add_all(fact);
        self.digest.add_all(fact);
        body.bytes += part.len();
        self.bytes += part.len();
        body.parts.push(part);
    }

    /// How many bytes of a body have come.
    pub fn length(&self, number: StagedBodyId) -> usize {
        self.by_number.get(&number).map_or(0, |body| body.bytes)
    }

    fn parts(&self, number: StagedBodyId) -> usize {
        self.by_number.get(&number).map_or(0, |body| body.parts.len())
    }

    fn take(&mut self, number: StagedBodyId) -> Vec<Bytes> {
        let Some(body) = self.by_number.remove(&number) else { return Vec::new() };
        debug_assert_eq!(
            body.bytes,
            body.parts.iter().map(Bytes::len).sum::<usize>(),
            "what was staged is as long as was counted when it came"
        );
        assert!(self.bytes >= body.bytes, "the bytes of one body are among those of all");
        self.bytes -= body.bytes;
        self.digest.take_all(body.digest);
        debug_assert!(
            !self.by_number.is_empty() || (self.bytes == 0 && self.digest == Digest::default()),
            "where nothing is staged, nothing is left of what was"
        );
        body.parts
    }

    pub fn numbers(&self) -> Vec<StagedBodyId> {
        self.by_number.keys().copied().collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (StagedBodyId, &StagedBody)> {
        self.by_number.iter().map(|(number, body)| (*number, body))
    }

    /// Kept up to date, and counted anew.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn recount_digest(&self) -> Digest {
        let mut anew = Staged::default();
        for (number, body) in self.iter() {
            body.parts.iter().for_each(|part| anew.push(number, part.clone()));
        }
        anew.digest
    }
}

impl QueueManager {
    pub(super) fn apply_stage_body(&mut self, number: StagedBodyId, data: Bytes) -> Result<Verdict, Reason> {
        if self.staged.length(number) + data.len() > limits::STAGED_BYTES_MAX {
            return Err(Reason::MsgTooBigForQMgr);
        }
        self.staged.push(number, data);
        debug_assert!(
            self.unwritten.staged.get(&number).is_none_or(|written| *written < self.staged.parts(number)),
            "a part that has just come is not written"
        );
        Ok(Verdict::Done)
    }

    /// How many parts each has.
    pub(super) fn staged_parts(&self) -> BTreeMap<StagedBodyId, usize> {
        self.staged.iter().map(|(number, body)| (number, body.parts.len())).collect()
    }

    /// Bytes of bodies that no message has yet.
    pub fn staged_bytes(&self) -> usize {
        self.staged.bytes
    }

    pub(super) fn apply_drop_staged(&mut self, numbers: Vec<StagedBodyId>) -> Result<Verdict, Reason> {
        for number in numbers {
            self.unstage(number);
        }
        Ok(Verdict::Done)
    }

    pub(super) fn drop_staged_of(&mut self, place: &Place) {
        if let Some((number, _)) = place.staged {
            self.unstage(number);
        }
    }

    pub(super) fn unstage(&mut self, number: StagedBodyId) -> Vec<Bytes> {
        if self.unwritten.staged.remove(&number).is_some() {
            self.unwritten.staged_gone.insert(number);
        }
        self.staged.take(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmgr::{Command, command};
    use crate::types::definition::{Changes, ObjectRef};
    use crate::types::{Body, Message, MessageId, ObjectName, Persistence, QueueId, QueueManagerId};

    #[test]
    fn a_unit_of_many_messages_may_have_more_than_one_body() {
        let name = |text| ObjectName::new(text).unwrap();
        let mut manager = QueueManager::new(QueueManagerId(1), name("QM"));
        manager.apply(Command::Define {
            object: ObjectRef::local_queue(&name("Q")),
            like: String::new(),
            replace: false,
            changes: Changes::default(),
            by: Box::default(),
        });
        let body = Body::from(Bytes::from(vec![7; 200_000]));
        let mut message = Message { body_crc: body.crc32c(), body, ..Message::default() };
        message.descriptor.persistence = Persistence::Persistent;
        message.descriptor.priority = Some(4);
        let number = StagedBodyId(1);
        let (mut length, mut messages) = (0, 0u64);
        while length <= limits::BODY_BYTES_MAX {
            messages += 1;
            message.descriptor.message_id = MessageId::from_slice(&messages.to_be_bytes()).unwrap();
            let place = Place {
                queue: QueueId(1),
                message: Box::new(message.clone()),
                unique: None,
                producer: None,
                warning: None,
                staged: None,
                report: None,
            };
            let data = command::encode_one(Command::CommitUnit {
                unit: None,
                places: vec![place],
                removals: Vec::new(),
            });
            length += data.len();
            assert_eq!(manager.apply(Command::StageBody { number, data }).verdict, Ok(Verdict::Done));
        }
        assert!(manager.apply(Command::Staged { number, length }).verdict.is_ok());
        assert_eq!(manager.queue(QueueId(1)).unwrap().depth(), messages);
    }
}
