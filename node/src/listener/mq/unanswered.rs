//! The calls of one conversation that the replica has not answered: what is kept of them, and how much that may be.
//!
//! Programs have one call at a time, beside the gets of their handles and the puts that they do not wait for. A client that
//! sends more is not read until some are answered.

use std::collections::HashMap;

use trimaran_proto::mq::call::{Body as WireBody, Call as WireCall, Get, Open, Put};
use trimaran_proto::mq::object::Od;
use trimaran_proto::mq::segment::Header;
use trimaran_proto::mq::spi::{self, Spi};

use super::super::flights::body_bytes;
use super::reading::AHEAD_MAX;
use crate::mqi::{Call, OpenOptions};
use crate::types::limits::HANDLES_MAX;
use crate::types::{ObjectName, Token};

/// More are not begun.
pub const CALLS_MAX: usize = 1000;
/// Nor are any while the bodies of those that were have so many bytes.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Attributes that are told take as long as another answer.
const ATTRIBUTES_AN_ANSWER: usize = 8;
const _: () = assert!(
    CALLS_MAX > 3 * HANDLES_MAX + 2 * AHEAD_MAX,
    "each handle may have a get that waits, and that is ended, and so may what is ahead"
);

/// A call of the client that the replica has not answered.
#[derive(Debug)]
pub(super) enum Waiting {
    Open {
        header: Header,
        call: WireCall,
    },
    Inquire {
        header: Header,
        call: WireCall,
    },
    Put {
        header: Header,
        call: WireCall,
        queue: Option<ObjectName>,
    },
    Get {
        header: Header,
        call: WireCall,
        queue: Option<ObjectName>,
    },
    /// A put whose program does not wait for the answer (MQPMO_ASYNC_RESPONSE).
    AsyncPut {
        queue: Option<ObjectName>,
        /// It is persistent, and part of the unit of work.
        is_of_unit: bool,
    },
    /// A get for a handle that is read with requests; ahead of what was asked for, or not.
    Message {
        handle: i32,
        is_ahead: bool,
    },
    /// Nobody waits for the answer.
    Nobody,
    /// Answered with a header only.
    Simple {
        header: Header,
        handle: i32,
    },
    /// MQDISC: the session ends with the answer. What it says where the unit of work was backed out instead of committed.
    Disconnect {
        header: Header,
        backed_out: bool,
    },
    /// MQCMIT of a unit of work that is backed out instead.
    BackedOut {
        header: Header,
    },
    Close {
        header: Header,
        handle: i32,
    },
}

impl Waiting {
    /// What the reply is made of.
    pub fn call(&self) -> Option<&WireCall> {
        match self {
            Waiting::Open { call, .. }
            | Waiting::Inquire { call, .. }
            | Waiting::Put { call, .. }
            | Waiting::Get { call, .. } => Some(call),
            _ => None,
        }
    }

    /// How many plain answers could be made in the time that this one takes.
    pub fn weight(&self) -> usize {
        match self {
            Waiting::Inquire { call: WireCall { body: WireBody::Attributes(asked), .. }, .. } => {
                1 + asked.selectors.len() / ATTRIBUTES_AN_ANSWER
            }
            _ => 1,
        }
    }
}

/// An open that waits for its turn to have its selector translated.
#[derive(Debug)]
pub(super) struct Opening {
    pub header: Header,
    pub call: WireCall,
    pub name: ObjectName,
    pub od: Od,
    pub options: OpenOptions,
}

#[derive(Debug, Default)]
pub(super) struct Unanswered {
    calls: HashMap<Token, Entry>,
    body_bytes: usize,
    kept_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    body_bytes: usize,
    kept_bytes: usize,
}

impl Unanswered {
    pub fn begin(&mut self, token: Token, call: &Call, waiting: Waiting) {
        self.add(token, body_bytes(call), waiting);
    }

    fn add(&mut self, token: Token, body_bytes: usize, waiting: Waiting) {
        let entry = Entry { body_bytes, kept_bytes: kept_bytes(&waiting), waiting };
        self.body_bytes += entry.body_bytes;
        self.kept_bytes += entry.kept_bytes;
        let before = self.calls.insert(token, entry);
        debug_assert!(before.is_none(), "token {token} is given to one call");
    }

    /// The call is answered.
    pub fn take(&mut self, token: Token) -> Option<Waiting> {
        let entry = self.calls.remove(&token)?;
        self.body_bytes -= entry.body_bytes;
        self.kept_bytes -= entry.kept_bytes;
        Some(entry.waiting)
    }

    pub fn get(&self, token: Token) -> Option<&Waiting> {
        self.calls.get(&token).map(|entry| &entry.waiting)
    }

    /// The gets by MQGET.
    pub fn gets(&self) -> impl Iterator<Item = Token> + '_ {
        let gets = self.calls.iter().filter(|(_, entry)| matches!(entry.waiting, Waiting::Get { .. }));
        gets.map(|(token, _)| *token)
    }

    pub fn clear(&mut self) {
        *self = Unanswered::default();
    }

    /// No more calls for now.
    pub fn is_full(&self) -> bool {
        self.calls.len() >= CALLS_MAX || self.body_bytes >= BODY_BYTES_MAX
    }

    /// Memory of what is kept, without bodies of messages: those are the replica's.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }
}

fn kept_bytes(waiting: &Waiting) -> usize {
    // The place in the map, and around it.
    2 * size_of::<Entry>() + waiting.call().map_or(0, structure_bytes)
}

fn structure_bytes(call: &WireCall) -> usize {
    match &call.body {
        WireBody::Put(put) => size_of::<Put>() + put.od.as_ref().map_or(0, |od| od.strings.len()),
        WireBody::Get(_) => size_of::<Get>(),
        WireBody::Open(open) => size_of::<Open>() + open.od.strings.len() + open.rest.len(),
        WireBody::Attributes(asked) => {
            (asked.selectors.len() + asked.integers.len()) * 4 + asked.characters.len()
        }
        WireBody::Spi(asked) => match &asked.body {
            spi::Body::Open(open) => size_of::<Spi>() + open.od.strings.len() + open.more.len(),
            _ => size_of::<Spi>(),
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_given_back_with_the_answers() {
        let mut unanswered = Unanswered::default();
        for token in 0..CALLS_MAX as u64 {
            assert!(!unanswered.is_full());
            unanswered.begin(Token(token), &Call::Ping, Waiting::Message { handle: 2, is_ahead: false });
        }
        let kept = unanswered.kept_bytes();
        assert!(unanswered.is_full() && kept > CALLS_MAX * 100, "{kept}");
        for token in 0..CALLS_MAX as u64 {
            assert!(unanswered.take(Token(token)).is_some() && unanswered.take(Token(token)).is_none());
        }
        assert_eq!((unanswered.kept_bytes(), unanswered.is_full()), (0, false));
    }
}
