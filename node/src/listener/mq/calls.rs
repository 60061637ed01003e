//! Which part of a conversation a call is for, and which part its answer.

use bytes::Bytes;
use trimaran_proto::mq::Malformed;
use trimaran_proto::mq::call::{Body as WireBody, Call as WireCall};
use trimaran_proto::mq::constants::completion::WARNING;
use trimaran_proto::mq::constants::reason;
use trimaran_proto::mq::segment::{Header, Segment, types};
use trimaran_proto::mq::wire::Reader;

use super::conversation::{Arriving, Conversation, Who, fail};
use super::conversion::{Conversion, Converted, Told, Wanted};
use super::convert::{self, Code, Sum};
use super::desk::Desk;
use super::handles::Object;
use super::unanswered::Waiting;
use super::{messages, objects};
use crate::mqi::{Completion, Data};
use crate::types::{CompletionCode, Token};

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
        let body = segment.body.clone();
        let Some(joined) = self.joiner.add(segment, bytes_max)? else {
            match &mut self.arriving {
                Some(Arriving { sum: Some(sum), .. }) => sum.add(&body),
                Some(_) => {}
                None => {
                    let (said, sum) = self.joiner.first().map_or((0, None), begun);
                    self.arriving = Some(Arriving { number, said: said.min(bytes_max), sum });
                }
            }
            return Ok(());
        };
        let sum = self.arriving.take().and_then(|arriving| arriving.sum).unwrap_or_default();
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
        self.dispatch(desk, header, call, (more, sum), who);
        Ok(())
    }

    fn dispatch(
        &mut self,
        desk: &mut Desk<'_>,
        header: Header,
        call: WireCall,
        more: (Vec<Bytes>, Sum),
        who: &Who<'_>,
    ) {
        if header.segment == types::CONN {
            return self.on_connect(desk, header, call, who);
        }
        if !self.is_connected() {
            return fail(desk, &header, call, reason::HCONN_ERROR);
        }
        match header.segment {
            types::DISC | types::CMIT | types::BACK => self.end_unit(desk, header),
            types::OPEN => self.on_open(desk, header, call),
            types::SPI => self.on_spi(desk, header, call),
            types::CLOSE => self.on_close(desk, header, call),
            types::PUT | types::PUT1 => self.on_put(desk, header, call, more),
            types::GET => self.on_get(desk, header, call),
            types::INQ => self.on_inquire(desk, header, call),
            types::SET => self.on_set(desk, header, call),
            types::STAT => self.on_stat(desk, header, call),
            _ => fail(
                desk,
                &header,
                WireCall { handle: call.handle, ..WireCall::default() },
                reason::FUNCTION_NOT_SUPPORTED,
            ),
        }
    }

    pub fn on_completion(&mut self, desk: &mut Desk<'_>, token: Token, mut completion: Completion) {
        if matches!(completion.data, Data::Progress { .. }) {
            return;
        }
        let mut told = Told::default();
        if let (Data::Got { message, .. }, CompletionCode::Ok) = (&mut completion.data, completion.code)
            && let Some(wanted) = self.wanted_text(token)
        {
            match Conversion::of(message, wanted) {
                Ok(conversion) if conversion.is_long() => {
                    return self.convert_elsewhere(desk, (token, completion), conversion);
                }
                Ok(conversion) => told = with_text(&mut completion, conversion.run()),
                Err(code) => told.code = code,
            }
        }
        self.on_answer(desk, token, completion, told);
    }

    /// What became of the text that was converted elsewhere.
    pub fn on_converted(&mut self, desk: &mut Desk<'_>, token: Token, converted: Converted) {
        // A connection may have ended meanwhile, and another one begun.
        let Some((_, mut completion)) = self.converting.take_if(|(of, _)| *of == token) else { return };
        let told = with_text(&mut completion, converted);
        self.on_answer(desk, token, completion, told);
    }

    /// How many plain answers could be made in the time that this one takes.
    pub fn weight(&self, token: Token) -> usize {
        self.waiting.get(token).map_or(1, Waiting::weight)
    }

    /// What the get of this token wants of the text of its message, if it wants it converted.
    fn wanted_text(&self, token: Token) -> Option<Wanted> {
        match self.waiting.get(token)? {
            Waiting::Get { call, .. } => {
                let WireBody::Get(asked) = &call.body else { return None };
                messages::wanted_text(asked)
            }
            Waiting::Message { handle, .. } => {
                let Some(Object::Queue { reading, .. }) = self.objects.get(*handle) else { return None };
                reading.wanted_text()
            }
            _ => None,
        }
    }

    fn on_answer(&mut self, desk: &mut Desk<'_>, token: Token, completion: Completion, told: Told) {
        let Some(waiting) = self.waiting.take(token) else { return };
        let (code, why) = (completion.code as i32, completion.reason.number() as Code);
        match waiting {
            Waiting::Nobody => {}
            Waiting::Open { header, call } => self.opened(desk, &header, call, completion),
            Waiting::Inquire { header, call } => objects::inquired(desk, &header, call, completion),
            Waiting::Put { header, call, queue } => {
                self.on_placed(desk, &header, call, queue.as_ref(), completion);
            }
            Waiting::AsyncPut { queue, is_of_unit } => {
                self.on_async_placed(desk, (completion.code, why), queue, is_of_unit);
            }
            Waiting::Get { header, call, queue } => {
                if let (Data::Got { message, .. }, WireBody::Get(asked)) = (&completion.data, &call.body) {
                    let is_browse = convert::is_browse(asked.gmo.options);
                    self.objects.note_got(call.handle, &message.descriptor, is_browse);
                }
                messages::got(desk, &header, call, queue.as_ref(), (completion, told));
            }
            Waiting::Message { handle, is_ahead } => {
                self.ahead -= usize::from(is_ahead);
                self.on_message(desk, handle, token, (completion, told));
            }
            Waiting::Simple { header, handle } => {
                let call = WireCall { completion: code, reason: why, handle, ..WireCall::default() };
                desk.reply(&header, call);
            }
            Waiting::Disconnect { header, backed_out: true } if !completion.is_failed() => {
                self.disconnect(desk, &header, WARNING, reason::BACKED_OUT);
            }
            Waiting::Disconnect { header, .. } => self.disconnect(desk, &header, code, why),
            Waiting::BackedOut { header } => {
                let code = if completion.is_failed() { why } else { reason::BACKED_OUT };
                fail(desk, &header, WireCall::default(), code);
            }
            Waiting::Close { header, handle } => self.closed(desk, &header, handle, &completion),
        }
        self.note_ended(desk, token);
    }
}

/// Puts the text where the message's body was.
fn with_text(completion: &mut Completion, Converted { body, length, told }: Converted) -> Told {
    if let Data::Got { message, body_length } = &mut completion.data {
        *body_length = length;
        message.body = body;
    }
    told
}

/// How long the call will be that begins with this segment, if it says so: a put has its data behind everything else, and the
/// sum of what is here begins.
fn begun(first: &Segment) -> (usize, Option<Sum>) {
    let length = first.body.len();
    let mut reader = Reader::new(first.body.clone(), first.header.order);
    match WireCall::read(&mut reader, first.header.segment).map(|call| call.body) {
        Ok(WireBody::Put(put)) => {
            let mut sum = Sum::default();
            sum.add(&put.data);
            (length - put.data.len() + put.length as usize, Some(sum))
        }
        _ => (length, None),
    }
}
