//! What a client has for one handle that asks with REQUEST_MSGS: messages that came before their program asked for them (read ahead),
//! and what it has to say with its next request.

use std::collections::VecDeque;

use bytes::Bytes;
use trimaran_node::mqi::{Completion, Data, Get, GetMode};
use trimaran_node::types::{Body, Message, Reason, Selection};
use trimaran_proto::mq::delivery::Selection as WireSelection;
use trimaran_proto::mq::message::Md;

use super::structures;

/// Room for messages that are read ahead, as IBM's clients have it at least.
pub const ROOM_BYTES: u32 = 102_400;

#[derive(Debug, Default)]
pub struct Inbox {
    /// Read ahead and not asked for.
    came: VecDeque<Came>,
    /// Bytes of messages that the program has consumed since the last request.
    consumed_bytes: u32,
    /// What was said last of which messages are wanted, and how often something was said.
    selected: Option<Selection>,
    selections: u16,
}

/// A message as it came.
#[derive(Debug)]
pub struct Came {
    pub md: Md,
    pub body: Bytes,
    /// Of the whole body.
    pub body_length: usize,
}

impl Came {
    /// What a get is told whose message it is.
    pub fn got(self) -> Result<Completion, String> {
        let Came { md, body, body_length } = self;
        let (descriptor, body) = (structures::descriptor(&md)?, Body::from(body));
        let message = Box::new(Message { descriptor, body_crc: body.crc32c(), body });
        Ok(Completion::ok(Data::Got { message, body_length }))
    }

    fn room_bytes(&self) -> u32 {
        (Md::BYTES + self.body.len()) as u32
    }
}

impl Inbox {
    /// Whether what is here may be for this get: one that takes any message at once.
    pub fn is_for(get: &Get) -> bool {
        let is_any = get.selection == Selection::default();
        is_any && get.mode == GetMode::Destructive && !get.syncpoint && !get.syncpoint_if_persistent
    }

    pub fn add(&mut self, came: Came) {
        self.came.push_back(came);
    }

    /// The next message for a get of [`Inbox::is_for`]; one that is too long stays.
    pub fn next(&mut self, get: &Get) -> Option<Result<Completion, String>> {
        let body_length = self.came.front()?.body_length;
        if get.max_length.is_some_and(|most| most < body_length) {
            let data = Data::TooLong { body_length };
            return Some(Ok(Completion { data, ..Completion::failed(Reason::TruncatedMsgFailed) }));
        }
        let came = self.came.pop_front().expect("just seen");
        self.consume(&came);
        Some(came.got())
    }

    /// The program has this one.
    pub fn consume(&mut self, came: &Came) {
        self.consumed_bytes += came.room_bytes();
    }

    /// What came is why there is no message, with an MQMD in its place, which is counted like a message's.
    pub fn consume_none(&mut self, md: Option<&Md>) {
        let bytes = if md.is_some_and(|md| md.version >= 2) { Md::BYTES } else { Md::BYTES_1 };
        self.consumed_bytes += bytes as u32;
    }

    /// What the next request says of that.
    pub fn take_consumed(&mut self) -> u32 {
        std::mem::take(&mut self.consumed_bytes)
    }

    /// What a request has to say of which messages are wanted: nothing where that is what the last one said, or it says it `always`.
    pub fn select(&mut self, wanted: &Selection, always: bool) -> Option<WireSelection> {
        if self.selected.as_ref() == Some(wanted) && !always {
            return None;
        }
        self.selected = Some(*wanted);
        self.selections += 1;
        let mut selection = structures::selection(wanted);
        selection.fields.index = self.selections;
        Some(selection)
    }
}
