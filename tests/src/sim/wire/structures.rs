//! What programs say and are told, in the structures of the MQI: as a client of MQ fills them in, not as the node reads them.

use bytes::Bytes;
use trimaran_node::mqi::{Context, Get, GetMode, OpenOptions, Put, Wait};
use trimaran_node::types::{Descriptor, ObjectName, Selection};
use trimaran_proto::message::v1 as message;
use trimaran_proto::mq::constants::{get, object, open, put};
use trimaran_proto::mq::delivery::{Selection as WireSelection, SelectionFields, matching};
use trimaran_proto::mq::message::{Gmo, Md, Pmo};
use trimaran_proto::mq::object::{Od, OdFields};
use trimaran_proto::mq::{Raw, Text};

/// MQMT_DATAGRAM, MQENC_NATIVE of a little-endian platform, UTF-8.
const DATAGRAM: u32 = 8;
const ENCODING: i32 = 0x222;
const CCSID: i32 = 1208;

pub fn od(queue: &ObjectName) -> Od {
    let object = Text::new(queue.as_str());
    Od::new(OdFields { version: 1, object_type: object::QUEUE, object, ..OdFields::default() })
}

pub fn open_options(options: &OpenOptions) -> u32 {
    let input = match (options.input, options.exclusive) {
        (false, _) => 0,
        (true, _) if options.as_defined => open::INPUT_AS_Q_DEF,
        (true, true) => open::INPUT_EXCLUSIVE,
        (true, false) => open::INPUT_SHARED,
    };
    let others = [
        (options.output, open::OUTPUT),
        (options.browse, open::BROWSE),
        (options.inquire, open::INQUIRE),
        (options.set, open::SET),
    ];
    others.into_iter().filter(|(asked, _)| *asked).fold(input, |all, (_, bit)| all | bit)
}

pub fn pmo(asked: &Put) -> Pmo {
    let syncpoint = if asked.syncpoint { put::SYNCPOINT } else { put::NO_SYNCPOINT };
    let order = if asked.logical_order { put::LOGICAL_ORDER } else { 0 };
    let context = match asked.context {
        Context::Default => 0,
        Context::Blank => put::NO_CONTEXT,
        Context::PassIdentity => put::PASS_IDENTITY_CONTEXT,
        Context::PassAll => put::PASS_ALL_CONTEXT,
        Context::Identity => put::SET_IDENTITY_CONTEXT,
        Context::All => put::SET_ALL_CONTEXT,
    };
    Pmo { version: 1, options: syncpoint | order | context, timeout: -1, ..Pmo::default() }
}

/// The MQMD of a message that is put.
pub fn md(descriptor: &Descriptor) -> Md {
    let said = descriptor.to_wire();
    Md {
        version: 2,
        report: said.report,
        message_type: said.message_type.unwrap_or(DATAGRAM),
        expiry: said.expiry.map_or(-1, |tenths| tenths as i32),
        feedback: said.feedback,
        encoding: said.encoding.unwrap_or(ENCODING),
        ccsid: said.coded_character_set.unwrap_or(CCSID),
        format: Text::new(&said.format),
        priority: said.priority.map_or(-1, |priority| priority as i32),
        persistence: match said.persistence() {
            message::Persistence::NotPersistent => 0,
            message::Persistence::Persistent => 1,
            message::Persistence::AsQueue => 2,
        },
        message_id: Raw::new(&said.message_id),
        correlation_id: Raw::new(&said.correlation_id),
        reply_to_queue: Text::new(&said.reply_to_queue),
        reply_to_queue_manager: Text::new(&said.reply_to_queue_manager),
        group_id: Raw::new(&said.group_id),
        sequence_number: said.message_sequence_number.unwrap_or(1) as i32,
        message_flags: said.message_flags,
        original_length: -1,
        ..Md::default()
    }
}

/// What the MQMD of a message that was got says.
pub fn descriptor(md: &Md) -> Result<Descriptor, String> {
    let id = |id: &Raw<24>| if id.is_zero() { Bytes::new() } else { Bytes::copy_from_slice(&id.0) };
    let persistence = match md.persistence {
        0 => message::Persistence::NotPersistent,
        1 => message::Persistence::Persistent,
        other => return Err(format!("a message with persistence {other}")),
    };
    let said = message::Descriptor {
        report: md.report,
        message_type: Some(md.message_type),
        expiry: u32::try_from(md.expiry).ok(),
        feedback: md.feedback,
        encoding: Some(md.encoding),
        coded_character_set: Some(md.ccsid),
        format: md.format.text(),
        priority: u32::try_from(md.priority).ok(),
        persistence: persistence.into(),
        message_id: id(&md.message_id),
        correlation_id: id(&md.correlation_id),
        backout_count: md.backout_count as u32,
        reply_to_queue: md.reply_to_queue.text(),
        reply_to_queue_manager: md.reply_to_queue_manager.text(),
        group_id: id(&md.group_id),
        message_sequence_number: u32::try_from(md.sequence_number).ok().filter(|number| *number > 1),
        message_flags: md.message_flags,
        ..message::Descriptor::default()
    };
    Descriptor::from_wire(said)
        .map_err(|wrong| format!("a descriptor that nobody may send: {}", wrong.reason))
}

pub fn gmo(asked: &Get) -> Gmo {
    let match_options = selection(&asked.selection).fields.match_options;
    let (options, wait_interval) = (get_options(asked), wait_ms(asked.wait));
    Gmo { version: 2, options, wait_interval, match_options, ..Gmo::default() }
}

pub fn get_options(asked: &Get) -> u32 {
    let syncpoint = match (asked.syncpoint, asked.syncpoint_if_persistent) {
        (true, _) => get::SYNCPOINT,
        (false, true) => get::SYNCPOINT_IF_PERSISTENT,
        (false, false) => get::NO_SYNCPOINT,
    };
    let mode = match asked.mode {
        GetMode::Destructive | GetMode::Ahead => 0,
        GetMode::UnderCursor => get::MSG_UNDER_CURSOR,
        GetMode::BrowseFirst => get::BROWSE_FIRST,
        GetMode::BrowseNext => get::BROWSE_NEXT,
        GetMode::BrowseUnderCursor => get::BROWSE_MSG_UNDER_CURSOR,
        GetMode::Unlock => get::UNLOCK,
    };
    let others = [
        (asked.wait != Wait::No, get::WAIT),
        (asked.accept_truncated, get::ACCEPT_TRUNCATED_MSG),
        (asked.lock, get::LOCK),
        (asked.selection.logical_order, get::LOGICAL_ORDER),
        (asked.selection.whole_groups, get::ALL_MSGS_AVAILABLE),
    ];
    others.into_iter().filter(|(asked, _)| *asked).fold(syncpoint | mode, |all, (_, bit)| all | bit)
}

pub fn wait_ms(wait: Wait) -> i32 {
    match wait {
        Wait::No => 0,
        Wait::For(time) => time.as_millis() as i32,
        Wait::Forever => -1,
    }
}

pub fn selection(wanted: &Selection) -> WireSelection {
    let ids = [
        (wanted.message_id.is_some(), matching::MESSAGE_ID),
        (wanted.correlation_id.is_some(), matching::CORRELATION_ID),
        (wanted.group_id.is_some(), matching::GROUP_ID),
        (wanted.sequence_number.is_some(), matching::SEQUENCE_NUMBER),
    ];
    let match_options = ids.into_iter().filter(|(asked, _)| *asked).fold(0, |all, (_, bit)| all | bit);
    let fields = SelectionFields {
        index: 1,
        md_version: 2,
        ccsid: CCSID,
        encoding: ENCODING,
        sequence_number: wanted.sequence_number.unwrap_or(0) as i32,
        match_options,
        ..SelectionFields::default()
    };
    WireSelection {
        fields,
        message_id: wanted.message_id.map(|id| Raw(id.0)).unwrap_or_default(),
        correlation_id: wanted.correlation_id.map(|id| Raw(id.0)).unwrap_or_default(),
        group_id: wanted.group_id.map(|id| Raw(id.0)).unwrap_or_default(),
        ..WireSelection::default()
    }
}
