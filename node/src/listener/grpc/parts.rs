//! Long bodies on their way in: parts of one session are put together until a put claims them.
//!
//! One unfinished body a session, at most 100 MiB, held in the node's account. Parts are not answered, so what is wrong
//! with them is kept and becomes the answer of the put.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use trimaran_proto::queue::v1::BodyPart;

use super::convert::PART_BYTES_MAX;
use crate::listener::serving::{Refused, refused};
use crate::types::{Account, Body, Held, Reason, Share, limits};

/// A smaller part is copied to its neighbours: a slice of its own would keep a whole frame in memory.
const SLICE_BYTES_MIN: usize = 64 * 1024;
/// Copied parts are closed at this size.
const JOINED_BYTES: usize = 256 * 1024;

/// The parts of one session.
#[derive(Debug)]
pub struct Parts {
    unfinished: Option<Unfinished>,
    account: Arc<Account>,
}

#[derive(Debug)]
struct Unfinished {
    number: u64,
    parts: Vec<Bytes>,
    joined: BytesMut,
    length: usize,
    /// What the put will be told.
    refusal: Option<Refused>,
    held: Held,
}

impl Parts {
    pub fn new(account: Arc<Account>) -> Parts {
        Parts { unfinished: None, account }
    }

    /// Whether the account has room for a part of this length.
    pub fn has_room(&self, length: usize) -> bool {
        let there = self.unfinished().unwrap_or_default();
        self.account.has_room_beside(Share::Bodies, length as u64, (there + length) as u64)
    }

    /// Bytes of the body that is being sent; None when there is none, or it is refused already.
    pub fn unfinished(&self) -> Option<usize> {
        self.unfinished.as_ref().filter(|body| body.refusal.is_none()).map(|body| body.length)
    }

    /// Holds nothing of the unfinished body any more; its put is told why.
    pub fn refuse(&mut self, refusal: Refused) {
        if let Some(body) = &mut self.unfinished {
            body.refuse(refusal);
        }
    }

    /// Takes one part. A part of another number begins a new body and drops the unfinished one.
    pub fn add(&mut self, part: BodyPart) {
        if self.unfinished.as_ref().is_none_or(|body| body.number != part.number) {
            self.unfinished = Some(Unfinished {
                number: part.number,
                parts: Vec::new(),
                joined: BytesMut::new(),
                length: 0,
                refusal: None,
                held: Held::nothing(self.account.clone(), Share::Bodies),
            });
        }
        let body = self.unfinished.as_mut().expect("made above");
        if body.refusal.is_some() {
            return;
        }
        if let Err(refusal) = body.add(part.data) {
            body.refuse(refusal);
        }
    }

    /// The body a put names, in the order its parts came.
    pub fn finish(&mut self, number: u64) -> Result<Body, Refused> {
        let Some(body) = self.unfinished.take_if(|body| body.number == number) else {
            return Err(refused(
                Reason::UnexpectedError,
                format!("No body parts of number {number} came before; parts of another number end a body."),
            ));
        };
        let mut body = body;
        if let Some(refusal) = body.refusal.take() {
            return Err(refusal);
        }
        body.close_joined();
        Ok(Body::from_parts(std::mem::take(&mut body.parts)))
    }
}

impl Unfinished {
    fn refuse(&mut self, refusal: Refused) {
        self.parts = Vec::new();
        self.joined = BytesMut::new();
        self.held.clear();
        self.refusal = Some(refusal);
    }

    fn add(&mut self, data: Bytes) -> Result<(), Refused> {
        if data.len() > PART_BYTES_MAX {
            return Err(refused(
                Reason::UnexpectedError,
                format!("A body part has at most {PART_BYTES_MAX} bytes, this one has {}.", data.len()),
            ));
        }
        self.length += data.len();
        if self.length > limits::BODY_BYTES_MAX {
            let detail = format!("The body parts are more than {} bytes together.", limits::BODY_BYTES_MAX);
            return Err(refused(Reason::MsgTooBigForQMgr, detail));
        }
        if !self.held.hold_beside(self.length as u64) {
            return Err(refused(
                Reason::ResourceProblem,
                "Too many long bodies are being sent to this node at the same time; send this one again later.",
            ));
        }
        if data.len() < SLICE_BYTES_MIN {
            self.joined.extend_from_slice(&data);
            if self.joined.len() >= JOINED_BYTES {
                self.close_joined();
            }
        } else {
            self.close_joined();
            self.parts.push(data);
        }
        Ok(())
    }

    fn close_joined(&mut self) {
        if !self.joined.is_empty() {
            self.parts.push(self.joined.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, length: usize) -> BodyPart {
        BodyPart { number, data: Bytes::from(vec![number as u8; length]) }
    }

    #[test]
    fn parts_become_a_body_in_the_order_they_came() {
        let account = Account::new(1 << 30);
        let mut parts = Parts::new(account.clone());
        for data in ["ab", "cd", "e"] {
            parts.add(BodyPart { number: 3, data: Bytes::from(data) });
        }
        assert_eq!(account.used(Share::Bodies), 5);
        let body = parts.finish(3).unwrap();
        assert_eq!(body.to_bytes(), "abcde");
        assert_eq!(body.parts().len(), 1);
        assert_eq!(account.used(Share::Bodies), 0);

        parts.add(part(4, PART_BYTES_MAX));
        parts.add(part(4, 7));
        let body = parts.finish(4).unwrap();
        assert_eq!(body.len(), PART_BYTES_MAX + 7);
        assert_eq!(parts.finish(4).unwrap_err().reason, Reason::UnexpectedError);
    }

    #[test]
    fn what_is_over_a_bound_is_the_answer_of_the_put_and_holds_nothing() {
        let account = Account::new(2 << 30);
        let mut parts = Parts::new(account.clone());
        (0..101).for_each(|_| parts.add(part(1, PART_BYTES_MAX)));
        assert_eq!(account.used(Share::Bodies), 0);
        assert_eq!(parts.finish(1).unwrap_err().reason, Reason::MsgTooBigForQMgr);

        parts.add(part(2, PART_BYTES_MAX + 1));
        assert_eq!(parts.finish(2).unwrap_err().reason, Reason::UnexpectedError);
    }

    #[test]
    fn all_sessions_share_one_account() {
        // As much as one body of the largest size.
        let account = Account::new(256 << 20);
        let mut first = Parts::new(account.clone());
        let mut second = Parts::new(account.clone());
        (0..100).for_each(|_| first.add(part(1, PART_BYTES_MAX)));
        assert!(!second.has_room(2 * PART_BYTES_MAX));
        (0..2).for_each(|_| second.add(part(1, PART_BYTES_MAX)));
        assert_eq!(second.finish(1).unwrap_err().reason, Reason::ResourceProblem);
        first.refuse(refused(Reason::ResourceProblem, "Too slow."));
        assert_eq!((first.unfinished(), account.used(Share::Bodies)), (None, 0));
        second.add(part(1, 600_000));
        assert_eq!(second.finish(1).unwrap().len(), 600_000);
        assert_eq!(first.finish(1).unwrap_err().detail.as_deref(), Some("Too slow."));
    }
}
