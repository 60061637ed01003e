//! A message that came over a channel, as programs of this library hold it. What has MQ's default is left out, as a queue
//! manager leaves it out over gRPC.

use bytes::Bytes;
use trimaran_proto::calendar::Moment;
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::{Raw, Text};

use crate::channel::Got;
use crate::message::{Descriptor, Message, Persistence};

impl Got {
    /// With every field of its descriptor, put time in milliseconds among them.
    pub fn into_message(self) -> Message {
        Message { descriptor: descriptor(&self.md), body: self.body }
    }
}

fn descriptor(md: &Md) -> Descriptor {
    let persistence = match md.persistence {
        0 => Persistence::NotPersistent,
        _ => Persistence::Persistent,
    };
    Descriptor {
        report: md.report,
        message_type: Some(md.message_type).filter(|kind| *kind != 8),
        expiry: u32::try_from(md.expiry).ok(),
        feedback: md.feedback,
        encoding: Some(md.encoding).filter(|encoding| *encoding != 546),
        coded_character_set: Some(md.ccsid).filter(|ccsid| *ccsid != 1208),
        format: md.format.text(),
        priority: u32::try_from(md.priority).ok(),
        persistence: persistence as i32,
        message_id: Bytes::copy_from_slice(&md.message_id.0),
        correlation_id: id(&md.correlation_id),
        backout_count: md.backout_count.max(0) as u32,
        reply_to_queue: md.reply_to_queue.text(),
        reply_to_queue_manager: md.reply_to_queue_manager.text(),
        user_identifier: md.user.text(),
        accounting_token: id(&md.accounting_token),
        application_identity_data: md.identity_data.text(),
        put_application_type: md.put_application_type.max(0) as u32,
        put_application_name: md.put_application.text(),
        put_time_ms: put_time_ms(&md.put_date, &md.put_time).unwrap_or_default(),
        application_origin_data: md.origin_data.text(),
        put_date_and_time: None,
        group_id: id(&md.group_id),
        message_sequence_number: u32::try_from(md.sequence_number).ok().filter(|number| *number > 1),
        offset: md.offset.max(0) as u32,
        message_flags: md.message_flags,
        original_length: u32::try_from(md.original_length).ok(),
    }
}

/// Nothing for zeros, which stand for no id.
fn id<const N: usize>(id: &Raw<N>) -> Bytes {
    if id.is_zero() { Bytes::new() } else { Bytes::copy_from_slice(&id.0) }
}

/// PutDate (YYYYMMDD) and PutTime (HHMMSSTH, the last two hundredths of a second), both UTC.
fn put_time_ms(date: &Text<8>, time: &Text<8>) -> Option<i64> {
    let (date, time) = (date.text(), time.text());
    let is_time = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_time(&date) || !is_time(&time) {
        return None;
    }
    let second = Moment::parse(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..6]
    ))?;
    Some(second + time[6..].parse::<i64>().ok()? * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(md: Md) -> Message {
        Got { md, body: Bytes::from_static(b"Hello"), message_bytes: 5, reason: 0, queue: "Q".into() }
            .into_message()
    }

    #[test]
    fn defaults_are_left_out_and_the_rest_is_kept() {
        let md = Md { message_id: Raw::new(b"id"), persistence: 1, ..crate::channel::datagram() };
        let plain = got(Md { priority: 0, original_length: -1, sequence_number: 1, ..md.clone() });
        let expected = Descriptor {
            priority: Some(0),
            persistence: Persistence::Persistent as i32,
            message_id: Bytes::copy_from_slice(&Raw::<24>::new(b"id").0),
            ..Descriptor::default()
        };
        assert_eq!((plain.descriptor, plain.body.as_ref()), (expected, &b"Hello"[..]));

        let full = got(Md {
            message_type: 1,
            expiry: 300,
            ccsid: 819,
            encoding: 273,
            persistence: 0,
            correlation_id: Raw::new(b"mine"),
            put_date: Text::new("20261129"),
            put_time: Text::new("14245461"),
            sequence_number: 2,
            original_length: 0,
            ..md
        });
        let found = &full.descriptor;
        assert!(!full.is_persistent() && found.correlation_id.starts_with(b"mine\0"));
        assert_eq!(
            (found.message_type, found.expiry, found.message_sequence_number),
            (Some(1), Some(300), Some(2))
        );
        assert_eq!(
            (found.coded_character_set, found.encoding, found.original_length),
            (Some(819), Some(273), Some(0))
        );
        assert_eq!(found.put_time_ms, Moment::parse("2026-11-29T14:24:54Z").unwrap() + 610);
    }

    #[test]
    fn a_time_that_is_none_is_no_time() {
        for (date, time) in
            [("", ""), ("20261129", "1424546x"), ("20261399", "14245461"), ("2026é12", "14245461")]
        {
            assert_eq!(put_time_ms(&Text::new(date), &Text::new(time)), None, "{date} {time}");
        }
    }
}
