//! Bodies and large commands that came into the log in parts, until a command names them.

use bytes::Bytes;

use super::{Applied, Command, Place, QueueManager, Verdict, command};
use crate::types::{Body, Reason, StagedBodyId, limits};

impl QueueManager {
    pub(super) fn apply_stage_body(&mut self, number: StagedBodyId, data: Bytes) -> Result<Verdict, Reason> {
        let parts = self.staged.entry(number).or_default();
        let there: usize = parts.iter().map(Bytes::len).sum();
        if there + data.len() > limits::BODY_BYTES_MAX {
            return Err(Reason::MsgTooBigForQMgr);
        }
        parts.push(data);
        Ok(Verdict::Done)
    }

    /// Bytes of bodies that no message has yet.
    pub fn staged_bytes(&self) -> usize {
        self.staged.values().flatten().map(Bytes::len).sum()
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
        self.staged.remove(&number).unwrap_or_default()
    }
}
