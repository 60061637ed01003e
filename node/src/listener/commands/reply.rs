//! A command as it came, and its replies as messages (IBM MQ Reference, "Message descriptor for a PCF command" and "for a PCF
//! response").

use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::characters::Written;
use trimaran_proto::pcf;

use crate::mqi::Identity;
use crate::types::definition::Tongue;
use crate::types::{Body, CorrelationId, Descriptor, Message, MessageId, ReportOptions, native};

/// MQFMT_ADMIN.
const FORMAT: &str = "MQADMIN";
/// As MQ's command server calls itself.
pub const APPLICATION: &str = "amqpcsea";
const MQMT_REPLY: u32 = 2;
/// A longer one is none: the queue that a queue manager has for them takes 32 KiB.
const COMMAND_BYTES_MAX: usize = 1024 * 1024;

/// A message on the command queue.
pub struct Incoming {
    pub message: Box<Message>,
    /// What its descriptor says besides.
    rest: wire::Descriptor,
}

/// What a message turned out to be.
pub enum Read {
    Command(pcf::Message),
    /// A header of a command, and something wrong behind it.
    Refused {
        command: i32,
        fault: pcf::Fault,
    },
    /// Nobody can say what it is.
    Nothing(pcf::Fault),
}

impl Incoming {
    pub fn new(message: Box<Message>) -> Incoming {
        let rest = message.descriptor.rest();
        Incoming { message, rest }
    }

    pub fn read(&self) -> Read {
        let format = self.rest.format.trim_end_matches([' ', '\0']);
        if format != FORMAT {
            let why = format!("The format of a command is {FORMAT}, and not {format:?}.");
            return Read::Nothing(pcf::Fault::new(pcf::reason::MD_FORMAT_ERROR, why));
        }
        if self.message.body.len() > COMMAND_BYTES_MAX {
            let why = format!("A command has at most {COMMAND_BYTES_MAX} bytes.");
            return Read::Nothing(pcf::Fault::new(pcf::reason::MSG_LENGTH_ERROR, why));
        }
        let (bytes, written) = (self.message.body.to_bytes(), self.written());
        match (pcf::read(&bytes, written), pcf::header(&bytes, written)) {
            (Ok(message), _) => Read::Command(message),
            (Err(fault), Ok(header)) => Read::Refused { command: header.command, fault },
            (Err(fault), Err(_)) => Read::Nothing(fault),
        }
    }

    fn written(&self) -> Written {
        let ccsid = self.rest.coded_character_set.filter(|ccsid| *ccsid != 0).unwrap_or(native::CCSID);
        Written { ccsid, is_big: self.encoding() & 0xF == 1 }
    }

    fn encoding(&self) -> i32 {
        self.rest.encoding.unwrap_or(native::ENCODING)
    }

    /// Whose rights count: the user of its context.
    pub fn identity(&self) -> Identity {
        Identity { tongue: Tongue::Pcf, ..Identity::of(self.rest.user_identifier.trim_end()) }
    }

    /// The program that put it.
    pub fn application(&self) -> String {
        self.rest.put_application_name.trim_end().chars().take(28).collect()
    }

    /// Where its replies go; None where nobody waits for any.
    pub fn replies_to(&self) -> Option<&str> {
        Some(self.rest.reply_to_queue.trim_end()).filter(|queue| !queue.is_empty())
    }

    /// The queue manager that has that queue, if it is said.
    pub fn replies_to_manager(&self) -> &str {
        self.rest.reply_to_queue_manager.trim_end()
    }

    /// Whether a reply that has no place is dropped.
    pub fn drops_replies(&self) -> bool {
        self.message.descriptor.report.has(ReportOptions::DISCARD_MSG)
    }

    /// In the byte order and character set of the command, where that is one in which texts can be written.
    pub fn reply(&self, reply: &pcf::Message) -> Message {
        let ccsid =
            Some(self.written().ccsid).filter(|ccsid| pcf::can_write(*ccsid)).unwrap_or(native::CCSID);
        let body = Body::from(reply.write(Written { ccsid, ..self.written() }).freeze());
        let command = &self.message.descriptor;
        let has = |option: u32| command.report.has(option);
        let mut descriptor = Descriptor {
            message_id: if has(ReportOptions::PASS_MSG_ID) {
                command.message_id
            } else {
                MessageId::default()
            },
            correlation_id: match has(ReportOptions::PASS_CORREL_ID) {
                true => command.correlation_id,
                false => CorrelationId(command.message_id.0),
            },
            priority: command.priority,
            persistence: command.persistence,
            ..Descriptor::default()
        };
        if has(ReportOptions::PASS_DISCARD_AND_EXPIRY) {
            descriptor.expiry = command.expiry;
            descriptor.report = ReportOptions(command.report.0 & ReportOptions::DISCARD_MSG);
        }
        descriptor.set_rest(&wire::Descriptor {
            message_type: Some(MQMT_REPLY),
            encoding: Some(self.encoding()),
            coded_character_set: Some(ccsid),
            format: FORMAT.into(),
            put_application_type: native::MQAT_QMGR,
            put_application_name: APPLICATION.into(),
            ..wire::Descriptor::default()
        });
        let body_crc = body.crc32c();
        Message { descriptor, body, body_crc }
    }
}
