//! Dead letters: what an MQDLH says (IBM MQ Reference, "MQDLH - Dead-letter header").

use serde_json::{Value, json};
use trimaran_client::{Error, GetOptions, Message, UnitOfWork, name_of};

const HEADER_BYTES: usize = 172;

/// Where a message should have gone, and why it did not.
#[derive(Debug, PartialEq)]
pub struct DeadLetter {
    pub reason: u32,
    pub queue: String,
    pub queue_manager: String,
    /// UTC, `2026-11-21 05:30:00`.
    pub time: String,
    /// The message as it was put.
    pub message: Message,
}

impl DeadLetter {
    /// None when the message does not begin with an MQDLH of version 1.
    pub fn of(message: &Message) -> Option<DeadLetter> {
        let body = &message.body;
        let is_header = body.len() >= HEADER_BYTES && body.starts_with(b"DLH ");
        if message.descriptor.format.trim_end() != "MQDEAD" || !is_header {
            return None;
        }
        // Whoever wrote it used its own byte order; the version is 1 in either.
        let is_little = body[4] == 1;
        let number = |at: usize| {
            let bytes: [u8; 4] = body[at..at + 4].try_into().expect("4 bytes");
            if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
        };
        let text = |at: usize, length: usize| {
            let bytes = body[at..at + length].split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(bytes).trim_end().to_string()
        };
        let (date, time) = (text(156, 8), text(164, 8));
        let part = |text: &str, from: usize, to: usize| text.get(from..to).unwrap_or_default().to_string();
        let mut inner = message.clone();
        inner.body = body.slice(HEADER_BYTES..);
        inner.descriptor.encoding = Some(number(108) as i32);
        inner.descriptor.coded_character_set = Some(number(112) as i32);
        inner.descriptor.format = text(116, 8);
        Some(DeadLetter {
            reason: number(8),
            queue: text(12, 48),
            queue_manager: text(60, 48),
            time: format!(
                "{}-{}-{} {}:{}:{}",
                part(&date, 0, 4),
                part(&date, 4, 6),
                part(&date, 6, 8),
                part(&time, 0, 2),
                part(&time, 2, 4),
                part(&time, 4, 6)
            ),
            message: inner,
        })
    }

    pub fn as_json(&self) -> Value {
        json!({
            "reason": self.reason, "name": name_of(self.reason), "queue": self.queue,
            "queue_manager": self.queue_manager, "time": self.time,
        })
    }

    /// In front of its body where a line has room for one message.
    pub fn one_line(&self) -> String {
        format!(
            "for {} because of {} {}, since {}:",
            self.queue,
            self.reason,
            name_of(self.reason),
            self.time
        )
    }
}

/// Gets the message with this id that is a dead letter and wanted, with the letter.
pub async fn take(
    unit: &mut UnitOfWork,
    queue: &str,
    id: &[u8],
    is_wanted: impl Fn(&DeadLetter) -> bool,
) -> Result<Option<(Message, DeadLetter)>, Error> {
    take_one(unit, queue, id, |message| DeadLetter::of(message).filter(&is_wanted)).await
}

/// Gets the message with this id that is chosen, with what was chosen it for; None when there is none any more. Programs may
/// give several messages one id: those that are not wanted are put back, behind the others.
pub async fn take_one<T>(
    unit: &mut UnitOfWork,
    queue: &str,
    id: &[u8],
    choose: impl Fn(&Message) -> Option<T>,
) -> Result<Option<(Message, T)>, Error> {
    let mut others = Vec::new();
    let found = loop {
        let Some(message) = unit.get(queue, GetOptions::new().message_id(id)).await? else { break None };
        match choose(&message) {
            Some(chosen) => break Some((message, chosen)),
            None => others.push(message),
        }
    };
    for message in others {
        unit.put(queue, message).await?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(queue: &str) -> Message {
        let mut body = b"DLH \x01\0\0\0".to_vec();
        body.extend_from_slice(&2053_u32.to_le_bytes());
        body.extend_from_slice(format!("{queue:<48}{:<48}", "QM1").as_bytes());
        body.extend_from_slice(&546_u32.to_le_bytes());
        body.extend_from_slice(&1208_u32.to_le_bytes());
        body.extend_from_slice(b"MQSTR   \x07\0\0\0");
        body.extend_from_slice(format!("{:<28}2026112105300012", "trimaran").as_bytes());
        assert_eq!(body.len(), HEADER_BYTES);
        body.extend_from_slice(b"Hello");
        Message::new(body).format("MQDEAD")
    }

    #[test]
    fn a_dead_letter_says_where_it_should_have_gone_and_why_it_did_not() {
        let letter = DeadLetter::of(&dead("ORDERS")).unwrap();
        assert_eq!((letter.reason, letter.queue.as_str()), (2053, "ORDERS"));
        assert_eq!(letter.time, "2026-11-21 05:30:00");
        assert_eq!(letter.message.as_text(), Some("Hello"));
        assert_eq!(letter.message.descriptor.format, "MQSTR");
        assert_eq!(letter.one_line(), "for ORDERS because of 2053 Q_FULL, since 2026-11-21 05:30:00:");
    }

    #[test]
    fn what_has_no_header_is_no_dead_letter() {
        assert_eq!(DeadLetter::of(&Message::text("DLH ")), None);
        let mut cut = dead("ORDERS");
        cut.body.truncate(100);
        assert_eq!(DeadLetter::of(&cut), None);
    }
}
