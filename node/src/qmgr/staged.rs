//! Bodies and large commands that came into the log in parts, until a command names them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::digest::Digest;
use super::{Applied, Command, Place, QueueManager, Verdict, command};
use crate::types::{Body, Reason, StagedBodyId, limits};

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

    fn take(&mut self, number: StagedBodyId) -> Vec<Bytes> {
        let Some(body) = self.by_number.remove(&number) else { return Vec::new() };
        self.bytes -= body.bytes;
        self.digest.take_all(body.digest);
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
        if self.staged.length(number) + data.len() > limits::BODY_BYTES_MAX {
            return Err(Reason::MsgTooBigForQMgr);
        }
        self.staged.push(number, data);
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

    pub(super) fn apply_staged(
        &mut self,
        number: StagedBodyId,
        length: usize,
        applied: &mut Applied,
    ) -> Result<Verdict, Reason> {
        let encoded = Body::from_parts(self.unstage(number));
        if encoded.len() != length {
            return Err(Reason::BackedOut);
        }
        match command::decode_one(encoded.to_bytes()) {
            Ok(Command::Staged { .. }) | Err(_) => Err(Reason::BackedOut),
            Ok(command) => self.carry_out(command, applied),
        }
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
