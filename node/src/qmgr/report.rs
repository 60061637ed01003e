//! What the queue manager reports about a message (IBM MQ Reference, "MQMD - Report").
//!
//! A report is an ordinary message that goes into the log, so that every node has the same one. The leader words it, because
//! it alone has the message at hand; others may have that in the store only. What confirms a put goes with the put
//! ([`Report`]): it is placed right behind it or, where the put was a repetition, not at all. What tells of a get or of the
//! end of a message's time is placed by the unit of work that removes the message.

use bytes::Bytes;

use super::{Place, QueueManager, Report};
use crate::types::{
    Body, Cause, CorrelationId, Message, MessageId, ObjectName, Persistence, Position, QueueId, ReportData,
    ReportOptions, WallTime, native,
};

const MQMT_REPORT: u32 = 4;
const APPLICATION_NAME_MAX: usize = 28;
/// Application data of a report that has the first of them.
const FIRST_BYTES: usize = 100;
/// In tenths of a second: for how long a report stays that a message's time was over, where it has a time at all.
const EXPIRATION_STAYS: u32 = 600;
/// Formats of messages that are on their way or went astray: their arrival and delivery is reported to nobody.
const ASTRAY: [&str; 2] = ["MQXMIT", super::dead_letter::FORMAT];

impl Report {
    /// As it is placed, behind a message with this body.
    fn with_data_of(self, body: &Body) -> Place {
        let Report { queue, mut message, unique, data: (from, length) } = self;
        let data = body.slice(from, length);
        message.body = match message.body.is_empty() {
            true => data,
            false => Body::from_parts(message.body.parts().iter().chain(data.parts()).cloned().collect()),
        };
        Place::new(queue, message, unique)
    }
}

impl QueueManager {
    /// A message was placed: so is the report about it. Nobody deletes a queue while something is on its way there; where one is
    /// gone all the same, so is the report.
    pub(super) fn place_report(&mut self, report: Report, body: &Body) -> Option<(QueueId, Position)> {
        let place = report.with_data_of(body);
        debug_assert_eq!(
            place.message.descriptor.persistence,
            Persistence::Persistent,
            "a report is as persistent as what it is about"
        );
        self.queues.contains(place.queue).then(|| self.place(place))
    }
}

/// The report about a message that is on its queue, or leaves it. None where nobody asked for it. Without an id where it is to
/// have one of its own.
pub fn about(original: &Message, cause: Cause, queue_manager: &ObjectName, at: WallTime) -> Option<Message> {
    let options = original.descriptor.report;
    if !options.wants(cause) {
        return None;
    }
    let mut rest = original.descriptor.rest();
    if matches!(cause, Cause::Arrival | Cause::Delivery) && ASTRAY.contains(&rest.format.trim_end()) {
        return None;
    }
    let data = options.data(cause);
    let length = data_length(original, data, &rest.format);
    let body = original.body.truncated(length);
    let body_crc = if length == original.body.len() { original.body_crc } else { body.crc32c() };
    let passes = options.has(ReportOptions::PASS_DISCARD_AND_EXPIRY);
    rest.message_type = Some(MQMT_REPORT);
    rest.feedback = cause.feedback();
    if data == ReportData::Nothing {
        // IBM's JMS client takes a report for poison that has the format of a header and no header.
        rest.format.clear();
    }
    rest.reply_to_queue.clear();
    rest.reply_to_queue_manager = queue_manager.as_str().into();
    rest.put_application_type = native::MQAT_QMGR;
    rest.put_application_name = queue_manager.as_str().chars().take(APPLICATION_NAME_MAX).collect();
    rest.application_origin_data.clear();
    rest.put_date_and_time = None;
    rest.original_length = rest.original_length.or(u32::try_from(original.body.len()).ok());
    let mut descriptor = original.descriptor.clone();
    descriptor.set_rest(&rest);
    descriptor.report =
        if passes { ReportOptions(options.0 & ReportOptions::DISCARD_MSG) } else { ReportOptions::NONE };
    descriptor.backout_count = 0;
    descriptor.put_at = at;
    descriptor.expiry = match cause {
        _ if !passes => None,
        Cause::Expiration => Some(EXPIRATION_STAYS),
        // Its time begins when it is placed.
        Cause::Arrival => original.descriptor.expiry,
        _ => original.descriptor.expiry_left(at),
    };
    if !options.has(ReportOptions::PASS_CORREL_ID) {
        descriptor.correlation_id = CorrelationId(original.descriptor.message_id.0);
    }
    if !options.has(ReportOptions::PASS_MSG_ID) {
        descriptor.message_id = MessageId::default();
    }
    debug_assert!(
        !descriptor.report.wants_any(),
        "nobody asks for a report about a report: there is no end to them"
    );
    Some(Message { descriptor, body, body_crc })
}

/// Bytes of the body that a report has: MQ's own headers are no application data, and stand in front of them.
fn data_length(message: &Message, data: ReportData, format: &str) -> usize {
    match data {
        ReportData::Nothing => 0,
        ReportData::All => message.body.len(),
        ReportData::First => {
            let headers = headers_length(&message.body, format);
            message.body.len().min(headers + FIRST_BYTES)
        }
    }
}

/// Headers that are followed; behind that everything is application data.
const HEADERS_MAX: usize = 16;
/// What is looked at of a header: an MQDLH says latest what follows it.
const HEADER_LOOK: usize = 124;
/// StrucLength of every header that has one, and the format of what follows it.
const LENGTH_AT: usize = 8;
const FORMAT_AT: usize = 20;
/// The format in an MQDLH, which is as long as all of its kind.
const DEAD_FORMAT_AT: usize = 116;

/// How long the headers are that begin the body, as far as they can be read.
fn headers_length(body: &Body, format: &str) -> usize {
    let mut length = 0;
    let mut format = Bytes::copy_from_slice(format.trim_end().as_bytes());
    for _ in 0..HEADERS_MAX {
        let look = body.slice(length, HEADER_LOOK).to_bytes();
        let (bytes, next) = match &format[..] {
            b"MQDEAD" => (super::dead_letter::HEADER_BYTES, DEAD_FORMAT_AT),
            b"MQHRF" | b"MQHRF2" | b"MQHMDE" | b"MQCICS" | b"MQIMS" | b"MQHREF" | b"MQHSAP" | b"MQHWIH" => {
                let Some(bytes) = structure_length(&look) else { break };
                (bytes, FORMAT_AT)
            }
            _ => break,
        };
        let Some(following) = look.get(next..next + 8).filter(|_| bytes <= body.len() - length) else {
            break;
        };
        length += bytes;
        format = Bytes::copy_from_slice(following.trim_ascii_end());
    }
    debug_assert!(length <= body.len(), "headers are a part of the body");
    length
}

/// StrucLength; how its number is written is seen at the version in front of it, which is a small one.
fn structure_length(header: &[u8]) -> Option<usize> {
    let version: [u8; 4] = header.get(4..LENGTH_AT)?.try_into().ok()?;
    let length: [u8; 4] = header.get(LENGTH_AT..LENGTH_AT + 4)?.try_into().ok()?;
    let is_big = u32::from_be_bytes(version) < u32::from_le_bytes(version);
    let length = if is_big { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) };
    // One that is shorter than what it says of what follows is none.
    usize::try_from(length).ok().filter(|length| *length >= FORMAT_AT + 8)
}

#[cfg(test)]
mod tests {
    use trimaran_proto::message::v1 as wire;

    use super::*;
    use crate::types::{Descriptor, GroupId, Reason};

    fn name() -> ObjectName {
        ObjectName::new("A.QUEUE.MANAGER.WITH.A.LONG.NAME").unwrap()
    }

    fn message(report: u32, format: &str, body: impl Into<Vec<u8>>) -> Message {
        let body = Body::from(Bytes::from(body.into()));
        let wire = wire::Descriptor {
            report,
            format: format.into(),
            message_type: Some(8),
            reply_to_queue: "ANSWERS".into(),
            user_identifier: "joe".into(),
            application_identity_data: "identity".into(),
            put_application_type: 28,
            put_application_name: "orders".into(),
            application_origin_data: "orig".into(),
            coded_character_set: Some(819),
            encoding: Some(273),
            message_sequence_number: Some(3),
            expiry: Some(50),
            ..wire::Descriptor::default()
        };
        let mut descriptor = Descriptor {
            message_id: MessageId([1; 24]),
            correlation_id: CorrelationId([2; 24]),
            group_id: GroupId([3; 24]),
            priority: Some(7),
            persistence: Persistence::Persistent,
            put_at: WallTime(1_000),
            ..Descriptor::from_wire(wire).unwrap()
        };
        descriptor.backout_count = 4;
        Message { descriptor, body_crc: body.crc32c(), body }
    }

    fn report(original: &Message, cause: Cause) -> Option<Message> {
        about(original, cause, &name(), WallTime(3_000))
    }

    #[test]
    fn the_descriptor_of_a_report_is_that_of_the_message_but_for_what_the_manual_says() {
        let original = message(0x100, "MQSTR", "hello");
        let Message { descriptor, body, .. } = report(&original, Cause::Arrival).unwrap();
        assert!(body.is_empty());
        assert!(descriptor.message_id.is_none(), "the queue manager makes one");
        assert_eq!(descriptor.correlation_id.0, [1; 24], "the message id says which message it is about");
        assert_eq!((descriptor.priority, descriptor.persistence), (Some(7), Persistence::Persistent));
        assert_eq!((descriptor.expiry, descriptor.backout_count), (None, 0));
        assert_eq!((descriptor.put_at, descriptor.report), (WallTime(3_000), ReportOptions::NONE));
        assert_eq!((descriptor.group_id, descriptor.sequence_number), (GroupId([3; 24]), 3));
        let expected = wire::Descriptor {
            message_type: Some(4),
            feedback: 259,
            coded_character_set: Some(819),
            encoding: Some(273),
            reply_to_queue_manager: name().as_str().into(),
            user_identifier: "joe".into(),
            application_identity_data: "identity".into(),
            put_application_type: 7,
            put_application_name: "A.QUEUE.MANAGER.WITH.A.LONG.".into(),
            original_length: Some(5),
            ..wire::Descriptor::default()
        };
        assert_eq!(descriptor.rest(), expected);
    }

    #[test]
    fn ids_are_passed_where_the_message_says_so() {
        let original = message(0x0020_00C0, "", "");
        let descriptor = report(&original, Cause::Expiration).unwrap().descriptor;
        assert_eq!((descriptor.message_id.0, descriptor.correlation_id.0), ([1; 24], [2; 24]));
        assert_eq!(descriptor.rest().feedback, 258);
    }

    #[test]
    fn whether_it_is_discarded_and_what_is_left_of_its_time_is_passed_where_the_message_says_so() {
        let exception = Cause::Exception(Reason::BackoutThresholdReached);
        let passing = message(0x0920_4000, "", "");
        let descriptor = report(&passing, exception).unwrap().descriptor;
        assert_eq!((descriptor.report, descriptor.expiry), (ReportOptions(0x0800_0000), Some(30)));
        assert_eq!(descriptor.rest().feedback, 2362);
        assert_eq!(report(&passing, Cause::Expiration).unwrap().descriptor.expiry, Some(600));
        let descriptor = report(&message(0x0900_0000, "", ""), exception).unwrap().descriptor;
        assert_eq!((descriptor.report, descriptor.expiry), (ReportOptions::NONE, None));
    }

    #[test]
    fn nothing_is_reported_that_nobody_asked_for_nor_of_what_went_astray() {
        let original = message(0x100, "", "");
        assert!(report(&original, Cause::Delivery).is_none());
        assert!(report(&original, Cause::Expiration).is_none());
        for format in ["MQDEAD", "MQXMIT  "] {
            let astray = message(0x0020_0900, format, "");
            assert!(report(&astray, Cause::Arrival).is_none(), "{format}");
            assert!(report(&astray, Cause::Delivery).is_none(), "{format}");
            assert!(report(&astray, Cause::Expiration).is_some(), "{format}");
        }
    }

    #[test]
    fn a_report_has_headers_and_a_hundred_bytes_or_everything() {
        let rfh2 = |order: fn(u32) -> [u8; 4], format: &[u8; 8], folders: usize| {
            let mut header = b"RFH ".to_vec();
            header.extend(order(2));
            header.extend(order(36 + folders as u32));
            header.extend([0; 8]);
            header.extend(format);
            header.extend(vec![0; 8 + folders]);
            header
        };
        let text = vec![b'x'; 300];
        let plain = message(0x1800, "MQSTR", text.clone());
        let first = report(&plain, Cause::Delivery).unwrap();
        assert_eq!((first.body.len(), first.body_crc), (100, first.body.crc32c()));
        assert_eq!(report(&message(0x300, "MQSTR", "short"), Cause::Arrival).unwrap().body.len(), 5);

        let big = rfh2(u32::to_be_bytes, b"MQHRF2  ", 40);
        let little = rfh2(u32::to_le_bytes, b"MQSTR   ", 8);
        let body = [big, little, text.clone()].concat();
        let first = report(&message(0x300, "MQHRF2", body.clone()), Cause::Arrival).unwrap();
        assert_eq!(first.body.len(), 76 + 44 + 100);
        assert_eq!(first.body.to_bytes(), body[..220]);
        let all = report(&message(0x700, "MQHRF2", body.clone()), Cause::Arrival).unwrap();
        assert_eq!((all.body.to_bytes(), all.body_crc), (Bytes::from(body.clone()), crc32c::crc32c(&body)));

        let too_long = rfh2(u32::to_be_bytes, b"MQSTR   ", 1 << 20);
        let cut = [&too_long[..36], &text].concat();
        assert_eq!(report(&message(0x300, "MQHRF2", cut), Cause::Arrival).unwrap().body.len(), 100);
        let no_length = [b"RFH \0\0\0\x02\0\0\0\0".as_slice(), &text].concat();
        assert_eq!(report(&message(0x300, "MQHRF2", no_length), Cause::Arrival).unwrap().body.len(), 100);
    }

    #[test]
    fn the_headers_of_a_dead_letter_are_all_in_its_report() {
        let inner = message(0x0300_0000, "MQSTR", vec![b'x'; 300]);
        let dead =
            super::super::dead_letter::with_header(Box::new(inner), "Q", &name(), Reason::QFull, WallTime(0));
        let report = report(&dead, Cause::Exception(Reason::QFull)).unwrap();
        assert_eq!(report.body.len(), 172 + 100);
    }
}
