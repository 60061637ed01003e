//! Which part of a conversation a call is for, and which part its answer.

use bytes::Bytes;
use trimaran_proto::mq::Malformed;
use trimaran_proto::mq::call::{Body as WireBody, Call as WireCall};
use trimaran_proto::mq::constants::reason;
use trimaran_proto::mq::segment::{Header, Segment, types};
use trimaran_proto::mq::wire::Reader;

use super::conversation::{Arriving, Conversation, Waiting, Who, fail};
use super::convert::Code;
use super::desk::Desk;
use super::{messages, objects};
use crate::mqi::{Call, Completion, Data};
use crate::types::Token;

/// Structures and strings that a call may have beside its data.
const CALL_BYTES_MORE: usize = 64 * 1024;

impl Conversation {
    /// A segment of a call. `number` is for a call of which others follow.
    pub fn on_call(
        &mut self,
        desk: &mut Desk<'_>,
        segment: Segment,
        who: &Who<'_>,
        number: u64,
    ) -> Result<(), Malformed> {
        let bytes_max = desk.agreed.message_bytes_max + CALL_BYTES_MORE;
        let Some(joined) = self.joiner.add(segment, bytes_max)? else {
            let said = || self.joiner.first().map_or(0, said_bytes).min(bytes_max);
            self.arriving.get_or_insert_with(|| Arriving { number, said: said() });
            return Ok(());
        };
        self.arriving = None;
        let header = joined.first.header.clone();
        if header.segment >= types::XA {
            // XA has a header of its own and its own code for "not here" (XAER_RMFAIL).
            let call = WireCall { completion: -7, ..WireCall::default() };
            desk.reply(&header, call);
            return Ok(());
        }
        let read = |body: Bytes| WireCall::read(&mut Reader::new(body, header.order), header.segment);
        let (call, more) = match read(joined.first.body.clone()) {
            Ok(call) => (call, joined.more),
            // A structure goes over the end of the first segment.
            Err(_) if !joined.more.is_empty() => (read(joined.whole().body)?, Vec::new()),
            Err(malformed) => return Err(malformed),
        };
        self.dispatch(desk, header, call, more, who);
        Ok(())
    }

    fn dispatch(
        &mut self,
        desk: &mut Desk<'_>,
        header: Header,
        call: WireCall,
        more: Vec<Bytes>,
        who: &Who<'_>,
    ) {
        if header.segment == types::CONN {
            return self.on_connect(desk, header, call, who);
        }
        if !self.is_connected() {
            return fail(desk, &header, call, reason::HCONN_ERROR);
        }
        match header.segment {
            types::DISC => self.on_disconnect(desk, header),
            types::OPEN => self.on_open(desk, header, call),
            types::SPI => self.on_spi(desk, header, call),
            types::CLOSE => self.on_close(desk, header, call),
            types::PUT | types::PUT1 => self.on_put(desk, header, call, more),
            types::GET => self.on_get(desk, header, call),
            types::INQ => self.on_inquire(desk, header, call),
            types::SET => self.on_set(desk, header, call),
            types::STAT => self.on_stat(desk, header, call),
            types::CMIT => {
                self.in_unit = false;
                self.ask(
                    desk,
                    Call::Commit { unit: None, units_decided: None },
                    Waiting::Simple { header, handle: 0 },
                );
            }
            types::BACK => {
                self.in_unit = false;
                self.ask(desk, Call::Backout, Waiting::Simple { header, handle: 0 });
            }
            _ => fail(
                desk,
                &header,
                WireCall { handle: call.handle, ..WireCall::default() },
                reason::FUNCTION_NOT_SUPPORTED,
            ),
        }
    }

    pub fn on_completion(&mut self, desk: &mut Desk<'_>, token: Token, completion: Completion) {
        if matches!(completion.data, Data::Progress { .. }) {
            return;
        }
        let Some(waiting) = self.waiting.remove(&token) else { return };
        let (code, reason) = (completion.code as i32, completion.reason.number() as Code);
        match waiting {
            Waiting::Nobody => {}
            Waiting::Open { described } => {
                if let Some(Waiting::Describe { failed, made, .. }) = self.waiting.get_mut(&described) {
                    *failed = completion.is_failed().then_some(reason);
                    if let Data::Opened { queue } = completion.data {
                        *made = Some(queue);
                    }
                }
            }
            Waiting::Describe { header, call, failed, made } => {
                self.opened(desk, &header, call, (failed, made), completion)
            }
            Waiting::Inquire { header, call } => objects::inquired(desk, &header, call, completion),
            Waiting::Put { header, call, queue } => self.on_placed(desk, &header, call, &queue, completion),
            Waiting::AsyncPut { queue } => self.on_async_placed(desk, completion.code, reason, queue),
            Waiting::Get { header, call, queue } => messages::got(desk, &header, call, &queue, completion),
            Waiting::Message { handle } => self.on_message(desk, handle, completion),
            Waiting::Simple { header, handle } => {
                desk.reply(&header, WireCall { completion: code, reason, handle, ..WireCall::default() });
            }
            Waiting::Disconnect { header } => self.disconnect(desk, &header, code, reason),
            Waiting::CloseAfter { header, handle, close } => {
                self.on_message(desk, handle, completion);
                self.close(desk, header, handle, close);
            }
            Waiting::Close { header, handle } => self.closed(desk, &header, handle, &completion),
        }
        self.note_ended(desk, token);
    }
}

/// How long the call will be that begins with this segment, if it says so: a put has its data behind everything else.
fn said_bytes(first: &Segment) -> usize {
    let length = first.body.len();
    let mut reader = Reader::new(first.body.clone(), first.header.order);
    match WireCall::read(&mut reader, first.header.segment).map(|call| call.body) {
        Ok(WireBody::Put(put)) => length - put.data.len() + put.length as usize,
        _ => length,
    }
}
