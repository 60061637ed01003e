//! Calls that are on their way together, and messages that come as they are there (asynchronous consume, MQCB).
//!
//! `begin_*` adds to what [`Channel::flush`] sends; [`Channel::hear`] has what comes, in the order in which it comes.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use trimaran_proto::mq::call::{Body, Call};
use trimaran_proto::mq::constants::completion;
use trimaran_proto::mq::control::{Notification, notice};
use trimaran_proto::mq::delivery::{
    AsyncMessage, First, RequestFields, RequestMessages, STARTED, Selection, SelectionFields, WITH_SELECTION,
};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::segment::{SEGMENT_BYTES_MAX, Segment, flags, types};
use trimaran_proto::mq::wire::{Reader, Writer};
use trimaran_proto::mq::{Flow, split};

use super::{Channel, ENCODING, MESSAGE_BYTES_MAX, REPLY_BYTES_MORE, broken, get_of, put_of};
use crate::error::{Error, Result};
use crate::reasons::text_of;

/// The character set that messages are wanted in.
const CCSID_OF_MESSAGES: i32 = 1208;
/// The value of CONN_STATE that starts a connection.
const STARTED_STATE: u32 = 2;
/// The queue manager's conversation, which has no handle.
const NO_HANDLE: i32 = -1;

/// What came from the queue manager.
#[derive(Debug)]
pub enum Heard {
    /// The answer to the call with this number, and its data: 0 on a channel whose segments have no number.
    Answer(u32, Result<(Box<Call>, Bytes)>),
    /// For a handle that messages were asked for with [`Channel::request`].
    Message(Box<Delivered>),
    /// `notice::*`: what the queue manager says unasked, as that it is ending, or in answer to [`Channel::begin_start`].
    Notice(Notification),
}

/// A message that was sent for a handle, or why there is none.
#[derive(Debug)]
pub struct Delivered {
    /// For which it was asked for.
    pub handle: i32,
    /// 0, a warning, or why no message comes.
    pub reason: u32,
    /// None where no message comes.
    pub md: Option<Md>,
    /// Empty where no message comes.
    pub body: Bytes,
}

impl Delivered {
    /// What it takes of the room that a program says that it has.
    pub fn room(&self) -> u32 {
        room_of(self.body.len())
    }
}

/// The room that a message takes whose body has so many bytes.
fn room_of(body_bytes: usize) -> u32 {
    (Md::BYTES + body_bytes) as u32
}

/// Messages that a program wants sent to it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// MQGMO_*.
    pub options: u32,
    /// Bytes that were consumed since it asked last.
    pub consumed: u32,
    /// Room for so many messages with bodies of `body_bytes`, those included that it has not consumed.
    pub messages: u32,
    /// What a body is taken for, in bytes.
    pub body_bytes: usize,
    /// It asks for the first time, or for others than before.
    pub is_new: bool,
}

impl Asked {
    /// Bytes that there is room for.
    pub fn room(&self) -> u32 {
        self.messages.saturating_mul(room_of(self.body_bytes))
    }
}

/// A message whose segments have not all come.
#[derive(Debug)]
pub(super) struct Arriving {
    handle: i32,
    first: First,
    data: BytesMut,
}

impl Channel {
    /// Whether answers have numbers, and messages can be asked for with [`Channel::request`].
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// MQPUT; the number of its answer. With MQPMO_ASYNC_RESPONSE there is none.
    pub fn begin_put(&mut self, handle: i32, md: Md, body: Bytes, options: u32) -> u32 {
        self.begin(types::PUT, handle, put_of(md, options, &body), &[body])
    }

    /// MQGET of any message; the number of its answer.
    pub fn begin_get(&mut self, handle: i32, options: u32, wait_ms: i32) -> u32 {
        self.begin(types::GET, handle, get_of(options, wait_ms, MESSAGE_BYTES_MAX), &[])
    }

    /// MQCMIT; the number of its answer.
    pub fn begin_commit(&mut self) -> u32 {
        self.begin(types::CMIT, 0, Body::Nothing, &[])
    }

    /// MQCTL: messages that were asked for may come.
    pub fn begin_start(&mut self) {
        let (version, code, value) = (1, notice::CONN_STATE, STARTED_STATE);
        let start = Notification { version, handle: NO_HANDLE, code, value };
        self.begin_flow(types::NOTIFICATION, &Flow::Notification(start), flags::WHOLE);
    }

    /// Asks for messages of a handle, which come as [`Heard::Message`] when they are there.
    pub fn request(&mut self, handle: i32, asked: Asked) {
        let fields = RequestFields {
            version: 1,
            handle,
            received_bytes: asked.consumed,
            requested_bytes: asked.room(),
            message_bytes_max: -1,
            options: asked.options,
            wait_interval: -1,
            flags: STARTED | if asked.is_new { WITH_SELECTION } else { 0 },
            ..RequestFields::default()
        };
        let selection = asked.is_new.then(|| Selection {
            fields: SelectionFields {
                index: 1,
                md_version: 2,
                ccsid: CCSID_OF_MESSAGES,
                encoding: ENCODING as i32,
                ..SelectionFields::default()
            },
            ..Selection::default()
        });
        let request = Box::new(RequestMessages { fields, selection });
        self.begin_flow(types::REQUEST_MESSAGES, &Flow::RequestMessages(request), flags::WHOLE);
    }

    /// Sends what was begun. Nothing is lost when it is dropped while it waits.
    ///
    /// # Errors
    /// [`Error::Refused`] with 2009 when the connection broke.
    pub async fn flush(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            self.stream.write_buf(&mut self.out).await.map_err(broken)?;
        }
        self.stream.flush().await.map_err(broken)
    }

    /// What comes next. Nothing is lost when it is dropped while it waits.
    ///
    /// # Errors
    /// [`Error::Refused`] with 2009 when the connection broke, and with the reason of the queue manager where that ends it.
    pub async fn hear(&mut self) -> Result<Heard> {
        match self.set_aside.pop_front() {
            Some(heard) => Ok(heard),
            None => self.next_heard().await,
        }
    }

    /// What has come already.
    ///
    /// # Errors
    /// As [`Channel::hear`].
    pub fn try_hear(&mut self) -> Result<Option<Heard>> {
        if let Some(heard) = self.set_aside.pop_front() {
            return Ok(Some(heard));
        }
        while let Some(segment) = self.take()? {
            if let Some(heard) = self.on_segment(segment)? {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    pub(super) async fn next_heard(&mut self) -> Result<Heard> {
        loop {
            let segment = self.next().await?;
            if let Some(heard) = self.on_segment(segment)? {
                return Ok(heard);
            }
        }
    }

    /// Adds a call to what is sent; the number of its answer.
    pub(super) fn begin(&mut self, segment: u8, handle: i32, body: Body, data: &[Bytes]) -> u32 {
        self.begun = self.begun.wrapping_add(u32::from(self.is_shared));
        let header = self.header(segment, self.begun);
        let call = Call { handle, body, ..Call::default() };
        let mut head = Writer::new(header.order);
        call.write(&mut head, segment);
        split::put_call(&header, &head.out, data, SEGMENT_BYTES_MAX, &mut self.out);
        self.begun
    }

    pub(super) fn begin_flow(&mut self, segment: u8, flow: &Flow, flags: u8) {
        let mut header = self.header(segment, 1);
        header.flags = flags;
        let body = flow.body(segment, header.order);
        Segment { header, body }.encode(&mut self.out);
    }

    fn on_segment(&mut self, segment: Segment) -> Result<Option<Heard>> {
        match segment.header.segment {
            types::NOTIFICATION => match Flow::read(&segment).map_err(broken)? {
                Flow::Notification(notice) => Ok(Some(Heard::Notice(notice))),
                _ => Ok(None),
            },
            types::ASYNC_MESSAGE => self.on_message(segment),
            types::CALLS.. => self.on_reply(segment),
            other => Err(broken(format!("a segment of type {other:#04x} came"))),
        }
    }

    fn on_reply(&mut self, segment: Segment) -> Result<Option<Heard>> {
        let bytes_max = MESSAGE_BYTES_MAX as usize + REPLY_BYTES_MORE;
        let Some(joined) = self.joiner.add(segment, bytes_max).map_err(broken)? else { return Ok(None) };
        let whole = joined.whole();
        let number = if self.is_shared { whole.header.request() } else { 0 };
        let from = &mut Reader::new(whole.body, whole.header.order);
        let mut reply = Call::read(from, whole.header.segment).map_err(broken)?;
        if reply.completion == completion::FAILED {
            let reason = reply.reason as u32;
            return Ok(Some(Heard::Answer(number, Err(Error::refused(reason, text_of(reason))))));
        }
        let data = match &mut reply.body {
            Body::Get(got) => std::mem::take(&mut got.data),
            _ => Bytes::new(),
        };
        Ok(Some(Heard::Answer(number, Ok((Box::new(reply), data)))))
    }

    fn on_message(&mut self, segment: Segment) -> Result<Option<Heard>> {
        let is_last = segment.header.flags & flags::LAST != 0;
        let from = &mut Reader::new(segment.body, segment.header.order);
        let AsyncMessage { part, first, data } = AsyncMessage::read(from).map_err(broken)?;
        let delivered = |handle, first: First, body| {
            let reason = first.fields.reason as u32;
            Heard::Message(Box::new(Delivered { handle, reason, md: first.md, body }))
        };
        match (first, self.arriving.take()) {
            (Some(first), None) if is_last => Ok(Some(delivered(part.handle, first, data))),
            (Some(first), None) => {
                self.arriving =
                    Some(Arriving { handle: part.handle, first, data: BytesMut::from(&data[..]) });
                Ok(None)
            }
            (None, Some(mut arriving)) => {
                arriving.data.extend_from_slice(&data);
                if !is_last {
                    self.arriving = Some(arriving);
                    return Ok(None);
                }
                Ok(Some(delivered(arriving.handle, arriving.first, arriving.data.freeze())))
            }
            _ => Err(broken("a message goes on that did not begin, or begins twice")),
        }
    }
}
