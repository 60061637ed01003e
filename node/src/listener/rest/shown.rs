//! JSON that is written while it is found: what is shown at last is not one piece of work, as other clients are on this worker.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::answer::{self, Answer};
use crate::types::Body;

/// Of one piece of a body.
const PIECE_BYTES: usize = 64 * 1024;

/// The members of a list.
#[derive(Debug, Default)]
pub struct Shown {
    full: Vec<Bytes>,
    last: Vec<u8>,
    bytes: usize,
}

impl Shown {
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn add(&mut self, member: &impl Serialize) {
        let before = self.last.len();
        if !self.is_empty() {
            self.last.push(b',');
        }
        serde_json::to_writer(&mut self.last, member)
            .expect("memory takes what is written, and keys are text");
        self.bytes += self.last.len() - before;
        debug_assert!(self.bytes > 1, "a member has a text");
        if self.last.len() >= PIECE_BYTES {
            self.full.push(std::mem::take(&mut self.last).into());
        }
    }

    /// All of it, between what stands in front of the first member and behind the last one.
    pub fn answer(self, front: &str, behind: &str) -> Answer {
        let front = Bytes::copy_from_slice(front.as_bytes());
        let behind = Bytes::copy_from_slice(behind.as_bytes());
        let parts = std::iter::once(front).chain(self.full).chain([self.last.into(), behind]);
        let parts = parts.filter(|part| !part.is_empty()).collect();
        answer::text(StatusCode::OK, answer::JSON, Body::from_parts(parts))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_long_list_is_as_many_pieces_as_it_takes_and_reads_as_one() {
        let members: Vec<Value> =
            (0..5_000).map(|n| json!({ "n": n, "said": "a \"word\"".repeat(5) })).collect();
        let mut shown = Shown::default();
        members.iter().for_each(|member| shown.add(member));
        let bytes = shown.bytes();
        let answer = shown.answer("{\"all\":[", "]}");
        assert_eq!(answer.body().len(), bytes + 10);
        assert!(answer.body().parts().len() > 4, "{}", answer.body().parts().len());
        assert!(answer.body().parts().iter().all(|part| part.len() < 2 * PIECE_BYTES));
        let read: Value = serde_json::from_slice(&answer.body().to_bytes()).unwrap();
        assert_eq!(read, json!({ "all": members }));
        assert_eq!(Shown::default().answer("[", "]").body().to_bytes(), "[]");
    }
}
