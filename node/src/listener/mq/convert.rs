//! Between MQMD and the descriptor of the queue manager, and options to those of the waist.

use std::sync::Arc;

use bytes::Bytes;
use trimaran_proto::message::v1 as message;
use trimaran_proto::mq::characters::{self, Written};
use trimaran_proto::mq::constants::{get, open, put, reason};
use trimaran_proto::mq::delivery::{Selection as WireSelection, SelectionFields, matching};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::object::Od;
use trimaran_proto::mq::segment::Header;
use trimaran_proto::mq::{Order, Raw, Text};

use crate::mqi::{Context, GetMode, OpenOptions, Refusal, Wait, check_body};
use crate::types::limits::SELECTOR_BYTES_MAX;
use crate::types::planted::{self, Bug};
use crate::types::{
    Body, CorrelationId, Descriptor, GroupId, Message, MessageId, MessageSelector, Persistence, Reason,
    Selection, WallTime, message_flags, native,
};

/// The number of a reason of MQ.
pub type Code = i32;

/// The character set that 0 (MQCCSI_Q_MGR) means in a message.
pub const CCSID: i32 = native::CCSID;
/// MQMF_* of a message that is in a group.
pub const IN_GROUP: u32 = message_flags::MSG_IN_GROUP | message_flags::LAST_MSG_IN_GROUP;
/// MQENC_NATIVE, for messages that do not say.
pub const ENCODING: i32 = native::ENCODING;

/// What a put says of its message. Ids that the put wants new are left empty, and the queue manager makes them.
pub fn descriptor(
    md: &Md,
    options: u32,
    context: Context,
    application_type: i32,
) -> Result<Descriptor, Code> {
    let expiry = match md.expiry {
        -1 => None,
        1.. => Some(md.expiry as u32),
        _ => return Err(reason::EXPIRY_ERROR),
    };
    let priority = match md.priority {
        -1 => None,
        0.. => Some(md.priority as u32),
        _ => return Err(reason::PRIORITY_ERROR),
    };
    let persistence = match md.persistence {
        0 => message::Persistence::NotPersistent,
        1 => message::Persistence::Persistent,
        2 => message::Persistence::AsQueue,
        _ => return Err(reason::PERSISTENCE_ERROR),
    };
    if !(1..=999_999_999).contains(&md.message_type) {
        return Err(reason::MSG_TYPE_ERROR);
    }
    let id = |id: &Raw<24>, is_new: bool| {
        if is_new || id.is_zero() { Bytes::new() } else { Bytes::copy_from_slice(&id.0) }
    };
    let mut wire = message::Descriptor {
        report: md.report,
        message_type: Some(md.message_type),
        expiry,
        feedback: md.feedback,
        encoding: Some(md.encoding),
        coded_character_set: Some(if md.ccsid == 0 { CCSID } else { md.ccsid }),
        format: md.format.text(),
        priority,
        persistence: persistence.into(),
        message_id: id(&md.message_id, options & put::NEW_MSG_ID != 0),
        correlation_id: id(&md.correlation_id, false),
        reply_to_queue: md.reply_to_queue.text(),
        reply_to_queue_manager: md.reply_to_queue_manager.text(),
        put_application_type: application_type as u32,
        ..message::Descriptor::default()
    };
    if md.version >= 2 {
        wire.group_id = id(&md.group_id, false);
        // In logical order the queue manager knows it better.
        let is_given = options & put::LOGICAL_ORDER == 0 && md.message_flags & IN_GROUP != 0;
        if is_given && md.sequence_number < 1 {
            return Err(Reason::MsgSeqNumberError.number() as Code);
        }
        let number = u32::try_from(md.sequence_number).ok().filter(|number| is_given && *number > 1);
        wire.message_sequence_number = number;
        wire.message_flags = md.message_flags;
        wire.original_length = u32::try_from(md.original_length).ok();
    }
    if context != Context::Default {
        wire.user_identifier = md.user.text();
        wire.accounting_token = Bytes::copy_from_slice(&md.accounting_token.0);
        wire.application_identity_data = md.identity_data.text();
    }
    if says_origin(context) {
        let said = format!("{:<8}{}", md.put_date.text(), md.put_time.text());
        wire.put_date_and_time = Some(said.trim_end().to_string());
        wire.put_application_type = md.put_application_type as u32;
        wire.put_application_name = md.put_application.text();
        wire.application_origin_data = md.origin_data.text();
    }
    Descriptor::from_wire(wire).map_err(|wrong| wrong.reason.number() as Code)
}

/// The MQMD of a message that is got.
pub fn md(descriptor: &Descriptor, version: u32) -> Md {
    let rest = descriptor.rest();
    let (put_date, put_time) = descriptor.date_and_time(&rest);
    let (put_date, put_time) = (Text::new(&put_date), Text::new(&put_time));
    Md {
        version,
        report: descriptor.report.0,
        message_type: rest.message_type.unwrap_or(8),
        expiry: descriptor.expiry.map_or(-1, |tenths| tenths as i32),
        feedback: rest.feedback,
        encoding: rest.encoding.unwrap_or(ENCODING),
        ccsid: rest.coded_character_set.unwrap_or(CCSID),
        format: Text::new(&rest.format),
        priority: descriptor.priority.map_or(0, i32::from),
        persistence: i32::from(descriptor.persistence == Persistence::Persistent),
        message_id: Raw(descriptor.message_id.0),
        correlation_id: Raw(descriptor.correlation_id.0),
        backout_count: descriptor.backout_count as i32,
        reply_to_queue: Text::new(&rest.reply_to_queue),
        reply_to_queue_manager: Text::new(&rest.reply_to_queue_manager),
        user: Text::new(&rest.user_identifier),
        accounting_token: Raw::new(&rest.accounting_token),
        identity_data: Text::new(&rest.application_identity_data),
        put_application_type: rest.put_application_type as i32,
        put_application: Text::new(&rest.put_application_name),
        put_date,
        put_time,
        origin_data: Text::new(&rest.application_origin_data),
        group_id: Raw(descriptor.group_id.0),
        sequence_number: descriptor.sequence_number.max(1) as i32,
        offset: rest.offset as i32,
        message_flags: descriptor.message_flags,
        original_length: rest.original_length.map_or(-1, |length| length as i32),
    }
}

/// PutDate and PutTime, for a client.
pub fn date_and_time(at: WallTime) -> (Text<8>, Text<8>) {
    let (date, time) = at.date_and_time();
    (Text::new(&date), Text::new(&time))
}

pub fn code_of(refusal: Refusal) -> Code {
    refusal.reason.number() as Code
}

/// What an open asks of the queue manager.
pub fn open_options(options: u32) -> Result<OpenOptions, Code> {
    let any = open::INPUT_AS_Q_DEF | open::INPUT_SHARED | open::INPUT_EXCLUSIVE;
    let known = options & !open::ALL == 0;
    let inputs = (options & any).count_ones();
    if !known || inputs > 1 {
        return Err(reason::OPTIONS_ERROR);
    }
    let has = |bit| options & bit != 0;
    if has(open::SAVE_ALL_CONTEXT) && inputs == 0 {
        return Err(reason::OPTIONS_ERROR);
    }
    let one = |all, identity, (if_all, if_identity): (Context, Context)| match (has(all), has(identity)) {
        (true, _) => if_all,
        (false, true) => if_identity,
        (false, false) => Context::Default,
    };
    let (sets, passes) = ((Context::All, Context::Identity), (Context::PassAll, Context::PassIdentity));
    Ok(OpenOptions {
        output: has(open::OUTPUT),
        input: inputs > 0,
        exclusive: has(open::INPUT_EXCLUSIVE),
        as_defined: has(open::INPUT_AS_Q_DEF),
        browse: has(open::BROWSE),
        inquire: has(open::INQUIRE),
        set: has(open::SET),
        context: one(open::SET_ALL_CONTEXT, open::SET_IDENTITY_CONTEXT, sets),
        passes: one(open::PASS_ALL_CONTEXT, open::PASS_IDENTITY_CONTEXT, passes),
        alternate_user: has(open::ALTERNATE_USER_AUTHORITY),
    })
}

/// Whether which program put a message is the put's word, and not the session's.
pub fn says_origin(context: Context) -> bool {
    matches!(context, Context::Blank | Context::PassAll | Context::All)
}

/// Whether a get with these options takes no message.
pub fn is_browse(options: u32) -> bool {
    options & (get::BROWSE_FIRST | get::BROWSE_NEXT | get::BROWSE_MSG_UNDER_CURSOR) != 0
}

/// Bytes of an open's selector that will be looked at.
pub fn selector_bytes(od: &Od) -> usize {
    let length = if od.has_selection() { od.fields.selection.length as usize } else { 0 };
    Some(length).filter(|length| *length <= SELECTION_BYTES_MAX).unwrap_or(0)
}

/// The message selector of an open, if it has one.
pub fn selector(od: &Od, header: &Header) -> Result<Option<Arc<MessageSelector>>, Code> {
    if !od.has_selection() {
        return Ok(None);
    }
    let text = &od.fields.selection;
    if text.length as usize > SELECTION_BYTES_MAX {
        return Err(Reason::SelectionStringError.number() as Code);
    }
    let bytes = od.string(text).ok_or(Reason::SelectionStringError.number() as Code)?;
    // What the program did not say is what its client speaks.
    let said = [text.ccsid, i32::from(header.ccsid)].into_iter().find(|ccsid| *ccsid > 0);
    let ccsid = said.unwrap_or(CCSID);
    let is_big = header.order == Order::Big;
    let (from, to) = (Written { ccsid, is_big }, Written { ccsid: CCSID, is_big });
    let utf8 = characters::converted(&bytes, from, to);
    let utf8 = utf8.ok_or(reason::SOURCE_CCSID_ERROR)?;
    let text = std::str::from_utf8(&utf8).map_err(|_| reason::SOURCE_CCSID_ERROR)?;
    MessageSelector::new(text.trim_end_matches('\0')).map_err(|error| error.reason().number() as Code)
}

/// A longer SelectionString is a selector that is too long, whatever its characters are: UTF-16 has two bytes for one of UTF-8.
const SELECTION_BYTES_MAX: usize = 2 * SELECTOR_BYTES_MAX;

/// Whether a put is under syncpoint.
pub fn put_syncpoint(options: u32) -> Result<bool, Code> {
    match (options & put::SYNCPOINT != 0, options & put::NO_SYNCPOINT != 0) {
        (true, true) => Err(reason::OPTIONS_ERROR),
        (syncpoint, _) => Ok(syncpoint && !planted::is(Bug::ChannelSyncpoint)),
    }
}

/// # Errors
/// 2046 for a put that is to be waited for and is not.
pub fn check_put_response(options: u32) -> Result<(), Code> {
    let both = put::ASYNC_RESPONSE | put::SYNC_RESPONSE;
    if options & both == both { Err(reason::OPTIONS_ERROR) } else { Ok(()) }
}

/// MQGMO_* that are not done: signals, marks. There are no segments, so COMPLETE_MSG and ALL_SEGMENTS_AVAILABLE are
/// true of every message.
const GET_NOT_DONE: u32 = get::SET_SIGNAL
    | get::MARK_BROWSE_HANDLE
    | get::MARK_BROWSE_CO_OP
    | get::UNMARK_BROWSE_CO_OP
    | get::UNMARK_BROWSE_HANDLE
    | get::UNMARKED_BROWSE_MSG;

const FIRST_AND_ON: u32 = get::BROWSE_FIRST | get::BROWSE_NEXT;

/// How a get is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub mode: GetMode,
    pub syncpoint: bool,
    pub syncpoint_if_persistent: bool,
    pub lock: bool,
}

/// What may be said beside MQGMO_UNLOCK, and means nothing then.
const BESIDE_UNLOCK: u32 = get::UNLOCK | get::NO_SYNCPOINT | get::FAIL_IF_QUIESCING;

pub fn manner(options: u32) -> Result<Manner, Code> {
    if options & GET_NOT_DONE != 0 {
        return Err(reason::FUNCTION_NOT_SUPPORTED);
    }
    let syncpoints = options & (get::SYNCPOINT | get::NO_SYNCPOINT | get::SYNCPOINT_IF_PERSISTENT);
    if syncpoints.count_ones() > 1 {
        return Err(reason::OPTIONS_ERROR);
    }
    let modes = options
        & (get::BROWSE_FIRST | get::BROWSE_NEXT | get::MSG_UNDER_CURSOR | get::BROWSE_MSG_UNDER_CURSOR);
    let mode = match modes {
        0 => GetMode::Destructive,
        get::BROWSE_FIRST => GetMode::BrowseFirst,
        // What a client that reads ahead means: the first, and what follows.
        FIRST_AND_ON => GetMode::BrowseFirst,
        get::BROWSE_NEXT => GetMode::BrowseNext,
        get::MSG_UNDER_CURSOR => GetMode::UnderCursor,
        get::BROWSE_MSG_UNDER_CURSOR => GetMode::BrowseUnderCursor,
        _ => return Err(reason::OPTIONS_ERROR),
    };
    let mode = match options & get::UNLOCK {
        0 => mode,
        _ if options & !BESIDE_UNLOCK != 0 => return Err(reason::OPTIONS_ERROR),
        _ => GetMode::Unlock,
    };
    let syncpoint = syncpoints == get::SYNCPOINT;
    let syncpoint_if_persistent = syncpoints == get::SYNCPOINT_IF_PERSISTENT;
    Ok(Manner { mode, syncpoint, syncpoint_if_persistent, lock: options & get::LOCK != 0 })
}

pub fn wait(options: u32, interval_ms: i32) -> Result<Wait, Code> {
    match options & get::WAIT != 0 {
        false => Ok(Wait::No),
        true => Wait::of_ms(interval_ms).map_err(code_of),
    }
}

/// Which messages. Ids of zeros match any, as MQ says.
pub fn selection(selection: &WireSelection, options: u32) -> Result<Selection, Code> {
    let SelectionFields { match_options: given, sequence_number, offset, .. } = selection.fields;
    let asks_for_segment = given & matching::OFFSET != 0 && offset != 0;
    if asks_for_segment || (given & matching::TOKEN != 0 && !selection.token.is_zero()) {
        return Err(reason::FUNCTION_NOT_SUPPORTED);
    }
    let logical_order = options & get::LOGICAL_ORDER != 0;
    let number = (given & matching::SEQUENCE_NUMBER != 0 && !logical_order)
        .then(|| u32::try_from(sequence_number).map_err(|_| Reason::MsgSeqNumberError.number() as Code))
        .transpose()?;
    let some = |bit, id: &Raw<24>| (given & bit != 0 && !id.is_zero()).then_some(id.0);
    Ok(Selection {
        message_id: some(matching::MESSAGE_ID, &selection.message_id).map(MessageId),
        correlation_id: some(matching::CORRELATION_ID, &selection.correlation_id).map(CorrelationId),
        group_id: some(matching::GROUP_ID, &selection.group_id).map(GroupId),
        sequence_number: number,
        logical_order,
        whole_groups: options & get::ALL_MSGS_AVAILABLE != 0,
    })
}

/// GroupStatus, SegmentStatus and Segmentation of a message that is got (MQGS_*, MQSS_*, MQSEG_*).
pub fn statuses(descriptor: &Descriptor) -> [u8; 3] {
    let group = match descriptor.in_group() {
        Some(group) if group.is_last => b'L',
        Some(_) => b'G',
        None => b' ',
    };
    [group, b' ', b' ']
}

/// The checksum of a body as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    bytes: usize,
    crc: u32,
}

impl Sum {
    pub fn add(&mut self, data: &[u8]) {
        self.bytes += data.len();
        self.crc = crc32c::crc32c_append(self.crc, data);
    }

    /// Of the whole body. What was added is the beginning of it, or more than it.
    fn finish(mut self, body: &Body) -> u32 {
        if self.bytes > body.len() {
            return body.crc32c();
        }
        body.slice(self.bytes, body.len()).parts().iter().for_each(|part| self.add(part));
        self.crc
    }
}

/// A message as it is put, with its checksum. `sum` is that of what came before its last segment: a long body is looked at as it
/// comes, and not at its end.
pub fn message(descriptor: Descriptor, body: Body, sum: Sum) -> Result<Message, Code> {
    check_body(body.len()).map_err(code_of)?;
    let body_crc = sum.finish(&body);
    debug_assert_eq!(body_crc, body.crc32c(), "the sum of the parts is that of the whole");
    Ok(Message { descriptor, body, body_crc })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_got_as_it_was_put() {
        let put = Md {
            version: 2,
            report: 7,
            message_type: 1,
            expiry: 50,
            encoding: 273,
            ccsid: 819,
            format: Text::new("MQSTR"),
            priority: 3,
            persistence: 1,
            correlation_id: Raw::new(b"order 7"),
            reply_to_queue: Text::new("ANSWERS"),
            sequence_number: 1,
            original_length: -1,
            ..Md::default()
        };
        let mut descriptor = descriptor(&put, 0, Context::Default, 28).unwrap();
        descriptor.put_at = WallTime(1_735_734_896_789);
        let got = md(&descriptor, 2);
        assert_eq!((got.put_date.text().as_str(), got.put_time.text().as_str()), ("20250101", "12345678"));
        let (put_date, put_time) = (got.put_date, got.put_time);
        assert_eq!(got, Md { put_application_type: 28, put_date, put_time, ..put });
    }

    #[test]
    fn a_browse_locks_and_an_unlock_is_asked_for_alone() {
        let locks = manner(get::BROWSE_FIRST | get::LOCK).unwrap();
        assert!(locks.lock && locks.mode == GetMode::BrowseFirst);
        assert_eq!(manner(get::UNLOCK | get::NO_SYNCPOINT).unwrap().mode, GetMode::Unlock);
        for more in [get::BROWSE_NEXT, get::LOCK, get::WAIT, get::SYNCPOINT] {
            assert_eq!(manner(get::UNLOCK | more), Err(reason::OPTIONS_ERROR));
        }
    }

    #[test]
    fn fields_that_cannot_be_are_refused_with_their_reason() {
        let md =
            Md { version: 1, message_type: 8, expiry: -1, priority: -1, persistence: 2, ..Md::default() };
        let with = |md: Md| descriptor(&md, 0, Context::Default, 28).unwrap_err();
        assert!(descriptor(&md, 0, Context::Default, 28).is_ok());
        assert_eq!(with(Md { expiry: 0, ..md.clone() }), 2013);
        assert_eq!(with(Md { priority: -2, ..md.clone() }), 2050);
        assert!(
            descriptor(&Md { priority: 10, ..md.clone() }, 0, Context::Default, 28).is_ok(),
            "it is put with a warning"
        );
        assert_eq!(with(Md { persistence: 3, ..md.clone() }), 2047);
        assert_eq!(with(Md { message_type: 0, ..md }), 2029);
    }
}
