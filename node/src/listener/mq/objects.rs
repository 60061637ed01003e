//! Opens, closes and attributes of one connection's objects.
//!
//! Handles of the client are those of the session: what may be done by them, the mind decides.

use trimaran_proto::mq::call::{Attributes, Body as WireBody, Call as WireCall};
use trimaran_proto::mq::constants::{close, completion, object, open, reason};
use trimaran_proto::mq::object::Od;
use trimaran_proto::mq::segment::Header;
use trimaran_proto::mq::spi::{self, ReserveReply, verb};
use trimaran_proto::mq::{Raw, Text};

use super::attributes;
use super::conversation::{Conversation, fail, message_id};
use super::convert::{self, Code};
use super::desk::{Ask, Desk};
use super::handles::Object;
use super::reading::Reading;
use super::unanswered::{Opening, Waiting};
use crate::mqi::{Call, CloseOption, Completion, Data, OpenOptions, Opened, queue_named};
use crate::types::{HandleId, ObjectName, Reason};

/// The queue that messages go to whose protection failed: said, and never used.
const PROTECTION_QUEUE: &str = "SYSTEM.PROTECTION.ERROR.QUEUE";
/// Verbs of the SPI by number, with the versions of their structures; those that are not served are zeros.
const VERBS: [[u32; 5]; 12] = {
    let mut verbs = [[0; 5]; 12];
    verbs[verb::QUERY as usize - 1] = [verb::QUERY, 2, 2, 2, 1];
    verbs[verb::RESERVE as usize - 1] = [verb::RESERVE, 1, 1, 1, 1];
    verbs[verb::NOTIFY as usize - 1] = [verb::NOTIFY, 1, 1, 1, 1];
    verbs[verb::OPEN as usize - 1] = [verb::OPEN, 1, 2, 2, 1];
    verbs
};

/// Where the bytes of a reserved id begin that the client counts in. It refuses a reply (2195) whose first id leaves no room there
/// for as many as it asked for.
const COUNTED_FROM: u32 = 20;

/// Bytes of selectors that are translated between two turns of a conversation, beside the one that waited for the turn: that may
/// be one of the longest, which takes about a millisecond.
const TRANSLATED_MAX: usize = 1024;

/// Bits of the internal options of the SPI's open: save identity, save origin.
const SAVES: u32 = 0x3;

/// What an open is about.
pub(super) enum Wanted {
    QueueManager,
    Queue(ObjectName),
}

impl Conversation {
    pub(super) fn on_open(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall) {
        let WireBody::Open(wanted) = &call.body else {
            return fail(desk, &header, call, reason::OD_ERROR);
        };
        let (od, options) = (wanted.od.clone(), wanted.options);
        self.open(desk, header, call, &od, options);
    }

    fn open(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall, od: &Od, options: u32) {
        let asked = convert::open_options(options);
        let (name, options) = match asked.and_then(|asked| Ok((what_is_opened(desk, od, asked)?, asked))) {
            Ok((Wanted::QueueManager, asked)) => return self.open_queue_manager(desk, header, call, asked),
            Ok((Wanted::Queue(name), asked)) => (name, asked),
            Err(code) => return fail(desk, &header, call, code),
        };
        let opening = Opening { header, call, name, od: od.clone(), options };
        self.translated += convert::selector_bytes(od);
        if self.translated <= TRANSLATED_MAX {
            return self.go_on_with(desk, opening);
        }
        desk.ask(Ask::Translate);
        self.opening = Some(Box::new(opening));
    }

    /// The conversation's turn has come: the open that waits goes on.
    pub fn translate(&mut self, desk: &mut Desk<'_>) {
        self.translated = 0;
        if let Some(opening) = self.opening.take() {
            self.go_on_with(desk, *opening);
        }
    }

    fn go_on_with(&mut self, desk: &mut Desk<'_>, opening: Opening) {
        let Opening { header, call, name: queue, od, options } = opening;
        match convert::selector(&od, &header) {
            Ok(selector) => {
                let dynamic = od.fields.dynamic_queue.text();
                // The client's handle is chosen when it is known that there is one.
                let opening = Call::Open { handle: HandleId(0), queue, options, dynamic, selector };
                self.open_queue(desk, header, call, opening);
            }
            Err(code) => fail(desk, &header, call, code),
        }
    }

    pub(super) fn on_spi(&mut self, desk: &mut Desk<'_>, header: Header, mut call: WireCall) {
        let WireBody::Spi(asked) = &mut call.body else {
            return fail(desk, &header, WireCall::default(), reason::FUNCTION_NOT_SUPPORTED);
        };
        match &mut asked.body {
            spi::Body::Query(query) => {
                query.verbs = VERBS.to_vec();
                (call.completion, call.reason) = (completion::OK, reason::NONE);
                desk.reply(&header, call);
            }
            spi::Body::Open(wanted) => {
                let (od, options) = (wanted.od.clone(), wanted.lpoo.fields.options);
                self.open(desk, header, call, &od, options);
            }
            spi::Body::ReserveRequest(wanted) => {
                self.ids += 1;
                let own = self.unique.wrapping_add(self.ids);
                let first = Raw(first_reserved(message_id(desk, 0, 0), own));
                let (count, increment_offset) = (wanted.count, COUNTED_FROM);
                asked.body = spi::Body::ReserveReply(ReserveReply { count, increment_offset, first });
                (call.completion, call.reason) = (completion::OK, reason::NONE);
                desk.reply(&header, call);
            }
            spi::Body::NotifyRequest(wanted) => {
                let connection = wanted.connection_id;
                asked.body = spi::Body::NotifyReply;
                (call.completion, call.reason) = (completion::OK, reason::NONE);
                desk.reply(&header, call);
                self.on_notify(desk, &connection.0);
            }
            spi::Body::ReserveReply(_) | spi::Body::NotifyReply | spi::Body::Other(_) => {
                fail(desk, &header, WireCall::default(), reason::FUNCTION_NOT_SUPPORTED);
            }
        }
    }

    fn open_queue_manager(
        &mut self,
        desk: &mut Desk<'_>,
        header: Header,
        mut call: WireCall,
        options: OpenOptions,
    ) {
        let Some(number) = self.objects.next() else {
            return fail(desk, &header, call, Reason::HandleNotAvailable.number() as Code);
        };
        call.handle = number;
        self.objects.insert(number, Object::QueueManager);
        let opening = Call::OpenManager { handle: HandleId(number as u32), options };
        self.ask(desk, opening, Waiting::Open { header, call });
    }

    fn open_queue(&mut self, desk: &mut Desk<'_>, header: Header, mut call: WireCall, opening: Call) {
        let Call::Open { queue, options, dynamic, selector, .. } = opening else { return };
        let Some(number) = self.objects.next() else {
            return fail(desk, &header, call, Reason::HandleNotAvailable.number() as Code);
        };
        call.handle = number;
        let reading = Box::new(Reading::new(number, queue.as_str()));
        let saved = saves_context(&call).then(Box::default);
        self.objects.insert(number, Object::Queue { name: queue.clone(), reading, saved, defpsist: true });
        let handle = HandleId(number as u32);
        let opening = Call::Open { handle, queue, options, dynamic, selector };
        self.ask(desk, opening, Waiting::Open { header, call });
    }

    pub(super) fn on_close(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall) {
        let handle = call.handle;
        let close = match call.body {
            WireBody::Close(options) if options & close::DELETE_PURGE != 0 => CloseOption::Purge,
            WireBody::Close(options) if options & close::DELETE != 0 => CloseOption::Delete,
            _ => CloseOption::Keep,
        };
        match self.objects.get_mut(handle) {
            None => fail(desk, &header, WireCall { handle, ..WireCall::default() }, reason::HOBJ_ERROR),
            Some(Object::QueueManager) => self.close(desk, header, handle, CloseOption::Keep),
            Some(Object::Queue { reading, .. }) => match reading.on_close(&header, close) {
                true => self.close(desk, header, handle, close),
                false => drop(self.cancel_gets(desk, handle)),
            },
        }
    }

    pub(super) fn close(&mut self, desk: &mut Desk<'_>, header: Header, handle: i32, close: CloseOption) {
        let waiting = Waiting::Close { header, handle };
        self.ask(desk, Call::Close { handle: HandleId(handle as u32), close }, waiting);
    }

    /// A queue that is to be deleted and cannot be stays open (MQCLOSE).
    pub(super) fn closed(
        &mut self,
        desk: &mut Desk<'_>,
        header: &Header,
        handle: i32,
        completion: &Completion,
    ) {
        let code = completion.reason.number() as Code;
        if completion.is_failed() && code != reason::HOBJ_ERROR {
            return fail(desk, header, WireCall { handle, ..WireCall::default() }, code);
        }
        if let Some(Object::Queue { reading, .. }) = self.objects.get(handle)
            && reading.has_unseen_in_unit()
        {
            self.unseen_closed = true;
            self.thrown_away |= reading.reads_ahead();
        }
        self.objects.remove(handle);
        let completion = completion.code as i32;
        desk.reply(header, WireCall { completion, reason: code, handle: -1, ..WireCall::default() });
        self.share_unit(desk);
    }

    // ---- attributes -------------------------------------------------------------------------------------------

    pub(super) fn on_inquire(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall) {
        let WireBody::Attributes(_) = &call.body else {
            return fail(desk, &header, call, reason::SELECTOR_ERROR);
        };
        let handle = HandleId(call.handle as u32);
        self.ask(desk, Call::Inquire { handle }, Waiting::Inquire { header, call });
    }

    pub(super) fn on_set(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall) {
        let WireBody::Attributes(asked) = &call.body else {
            return fail(desk, &header, call, reason::SELECTOR_ERROR);
        };
        match attributes::changes(asked) {
            Err(code) => fail(desk, &header, call, code),
            Ok(changes) => {
                let (id, handle) = (HandleId(call.handle as u32), call.handle);
                self.ask(desk, Call::Set { handle: id, changes }, Waiting::Simple { header, handle });
            }
        }
    }

    fn rename(&mut self, desk: &Desk<'_>, call: &mut WireCall, made: ObjectName) {
        match &mut call.body {
            WireBody::Open(open) => name_object(desk, &mut open.od, &made),
            WireBody::Spi(asked) => {
                if let spi::Body::Open(open) = &mut asked.body {
                    name_object(desk, &mut open.od, &made);
                }
            }
            _ => {}
        }
        if let Some(Object::Queue { name, reading, .. }) = self.objects.get_mut(call.handle) {
            **reading = Reading::new(call.handle, made.as_str());
            *name = made;
        }
    }

    /// An open was answered: of a queue, or of the queue manager itself.
    pub(super) fn opened(
        &mut self,
        desk: &mut Desk<'_>,
        header: &Header,
        mut call: WireCall,
        completion: Completion,
    ) {
        if completion.is_failed() {
            self.objects.remove(call.handle);
            return fail(desk, header, call, completion.reason.number() as Code);
        }
        let queue = match completion.data {
            Data::Opened(opened) => Some(opened),
            _ => None,
        };
        if let (Some(opened), Some(Object::Queue { defpsist, .. })) =
            (&queue, self.objects.get_mut(call.handle))
        {
            *defpsist = opened.defpsist;
        }
        if let Some(made) = queue.as_ref().and_then(|queue| queue.made.clone()) {
            self.rename(desk, &mut call, made);
        }
        describe(desk, &mut call, queue.as_ref());
        desk.reply(header, call);
    }
}

/// Whether what is opened keeps whose the messages are that are got through it. With the SPI's open a client says it otherwise.
fn saves_context(call: &WireCall) -> bool {
    match &call.body {
        WireBody::Open(wanted) => wanted.options & open::SAVE_ALL_CONTEXT != 0,
        WireBody::Spi(asked) => match &asked.body {
            spi::Body::Open(wanted) => {
                let fields = &wanted.lpoo.fields;
                fields.options & open::SAVE_ALL_CONTEXT != 0 || fields.internal_options & SAVES != 0
            }
            _ => false,
        },
        _ => false,
    }
}

/// A queue that was made is called so from here on.
fn name_object(desk: &Desk<'_>, od: &mut Od, made: &ObjectName) {
    od.fields.object = Text::new(made.as_str());
    od.fields.object_queue_manager = Text::new(desk.terms.queue_manager.as_str());
}

/// Which object an MQOD names, if it is one that is here.
pub(super) fn what_is_opened(desk: &Desk<'_>, od: &Od, options: OpenOptions) -> Result<Wanted, Code> {
    let fields = &od.fields;
    if fields.records_present > 0 {
        return Err(reason::FUNCTION_NOT_SUPPORTED);
    }
    if od.has_selection() {
        options.check_selector().map_err(convert::code_of)?;
    }
    let other = fields.object_queue_manager.text();
    if !other.is_empty() && other != desk.terms.queue_manager.as_str() {
        return Err(reason::UNKNOWN_OBJECT_Q_MGR);
    }
    match fields.object_type {
        object::QUEUE_MANAGER => Ok(Wanted::QueueManager),
        object::QUEUE | object::LOCAL_QUEUE => {
            queue_named(&fields.object.text()).map(Wanted::Queue).map_err(convert::code_of)
        }
        object::TOPIC => Err(reason::FUNCTION_NOT_SUPPORTED),
        _ => Err(reason::OBJECT_TYPE_ERROR),
    }
}

/// Fills in what the reply to an open tells: where the object is, and the defaults of a queue.
fn describe(desk: &Desk<'_>, call: &mut WireCall, queue: Option<&Opened>) {
    (call.completion, call.reason) = (completion::OK, reason::NONE);
    let [persistence, read_ahead, put_response, property_control] = match queue {
        Some(queue) => [i32::from(queue.defpsist), queue.read_ahead, queue.put_response, 0],
        None => [-1; 4],
    };
    let name = queue.map(|queue| queue.resolved.as_str());
    match &mut call.body {
        WireBody::Open(open) => {
            describe_object(desk, &mut open.od, name);
            if let Some(fopa) = &mut open.fopa {
                fopa.default_persistence = persistence;
                fopa.default_put_response = put_response;
                (fopa.default_read_ahead, fopa.property_control) = (read_ahead, property_control);
                (fopa.more_offset, fopa.more_length) = (fopa.length, 0);
            }
        }
        WireBody::Spi(asked) => {
            let spi::Body::Open(open) = &mut asked.body else { return };
            describe_object(desk, &mut open.od, name);
            let head = 12 + open.lpoo.encoded_bytes() + open.od.encoded_bytes();
            let fields = &mut open.lpoo.fields;
            fields.default_persistence = persistence;
            fields.default_put_response = put_response;
            (fields.default_read_ahead, fields.property_control) = (read_ahead, property_control);
            fields.protection_queue = Text::new(PROTECTION_QUEUE);
            (fields.more_offset, fields.more_length) = (head as u32, 0);
        }
        _ => {}
    }
}

fn describe_object(desk: &Desk<'_>, od: &mut Od, queue: Option<&str>) {
    let fields = &mut od.fields;
    fields.known_destinations = 1;
    if let Some(name) = queue {
        fields.resolved_queue = Text::new(name);
        fields.resolved_queue_manager = Text::new(desk.terms.queue_manager.as_str());
        fields.resolved_type = object::QUEUE;
    }
}

/// The answer to an inquiry.
pub(super) fn inquired(desk: &mut Desk<'_>, header: &Header, mut call: WireCall, completion: Completion) {
    let (WireBody::Attributes(asked), Data::Inquired(view)) = (&call.body, &completion.data) else {
        return fail(desk, header, call, completion.reason.number() as Code);
    };
    let terms = desk.terms;
    let (told, code) = attributes::inquire(asked, |selector| attributes::of_object(view, terms, selector));
    finish_inquiry(&mut call, told, code);
    desk.reply(header, call);
}

fn finish_inquiry(call: &mut WireCall, told: Attributes, code: Code) {
    call.completion = match code {
        reason::NONE => completion::OK,
        reason::SELECTOR_NOT_FOR_TYPE | reason::CHAR_ATTRS_TOO_SHORT | reason::INT_ATTR_COUNT_TOO_SMALL => {
            completion::WARNING
        }
        _ => completion::FAILED,
    };
    call.reason = code;
    call.body = WireBody::Attributes(told);
}

/// The first of the ids that a client gives to its own messages: `id`, with room to count behind what tells this reservation
/// from all others.
fn first_reserved(mut id: [u8; 24], reservation: u64) -> [u8; 24] {
    id[8..16].copy_from_slice(&reservation.to_be_bytes());
    id[16..].fill(0);
    id
}

#[cfg(test)]
mod tests {
    use super::first_reserved;

    #[test]
    fn a_reserved_id_leaves_room_to_count_and_tells_reservations_apart() {
        let first = |reservation| first_reserved([0xFF; 24], reservation);
        assert_eq!(first(u64::MAX)[16..], [0; 8]);
        for bit in 0..64 {
            assert_ne!(first(0), first(1 << bit));
        }
    }
}
