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
    use crate::qmgr::Command;
    use crate::types::{ObjectName, QueueManagerId};

    #[test]
    fn a_unit_is_staged_whose_bodies_are_longer_together_than_one_may_be() {
        let mut manager = QueueManager::new(QueueManagerId(1), ObjectName::new("QM1").unwrap());
        let data = Bytes::from(vec![7; 8 << 20]);
        for _ in 0..limits::UNIT_BYTES_MAX / data.len() {
            let stage = Command::StageBody { number: StagedBodyId(1), data: data.clone() };
            assert_eq!(manager.apply(stage).verdict, Ok(Verdict::Done));
        }
        assert_eq!(manager.staged_bytes(), limits::UNIT_BYTES_MAX);
    }
}
