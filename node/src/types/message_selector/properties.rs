//! What a selector can ask a message for: properties of its MQRFH2 folders, fields of its descriptor, and the names that JMS has
//! for both. IBM MQ documentation, "Property name restrictions" and "Mapping JMS fields onto IBM MQ fields".

use std::collections::{BTreeMap, BTreeSet};

use trimaran_proto::message::v1::Descriptor as Rest;
use trimaran_proto::mq::rfh2::{self, FIXED_BYTES, Header};

use super::lexer::Mistake;
use super::value::Value;
use crate::types::fields::Fields;
use crate::types::{Descriptor, Message, Persistence, native};

/// MQRFH2 headers of one message, one behind the other, and bytes of all of them; one that has more is selected by nobody.
const HEADERS_MAX: usize = 16;
const HEADER_BYTES_MAX: usize = 256 * 1024;

/// The properties that a selector names, by number.
#[derive(Debug, Default)]
pub struct Properties {
    sources: Vec<Source>,
    /// Names of properties in folders, and who wants them.
    by_name: BTreeMap<Box<str>, Wanted>,
    /// That they are in.
    folders: BTreeSet<Box<str>>,
    weight: usize,
    /// A name with its folder in front, while it is looked for: most are named more than once.
    name: String,
}

/// What the place of a name takes, beside the name: itself and its part of a tree.
const ENTRY_BYTES: usize = 2 * (size_of::<Box<str>>() + size_of::<Wanted>());

/// Where a property is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Field(Field),
    /// By its name with the folder in front.
    Folder,
}

/// Numbers of the properties that a name in a folder is the value of.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    itself: Option<u16>,
    /// Of a field that the folder says better.
    field: Option<u16>,
}

/// What the descriptor says, or knows in place of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `ID:` and 48 digits; unknown where there is none, as all ids of JMS.
    JmsMessageId,
    /// The same, but for a text of the program's own in `jms.Cid`.
    JmsCorrelationId,
    /// PERSISTENT or NON_PERSISTENT; as a number 2 or 1.
    JmsDeliveryMode,
    /// Milliseconds since 1970: of `jms.Tms`, or when it was put.
    JmsTimestamp,
    /// Milliseconds since 1970; 0 for never.
    JmsExpiration,
    /// Whether it was backed out before.
    JmsRedelivered,
    /// One more than BackoutCount.
    JmsDeliveryCount,
    /// A text of `jms.Gid`, or else as [`Field::JmsMessageId`].
    JmsGroupId,
    /// A number of `jms.Seq`, or else as [`Field::SequenceNumber`].
    JmsGroupSequence,
    Report,
    /// 8 (MQMT_DATAGRAM) where nothing is said.
    MessageType,
    /// Tenths of a second, as it was put; -1 for unlimited.
    Expiry,
    Feedback,
    /// 546 (numbers as x86 has them) where nothing is said.
    Encoding,
    /// 1208 (UTF-8) where nothing is said.
    CharacterSet,
    Format,
    /// 0 to 9.
    Priority,
    /// 1 or 0.
    Persistence,
    MessageId,
    CorrelationId,
    /// How often it was backed out.
    BackoutCount,
    ReplyToQueue,
    ReplyToQueueManager,
    UserIdentifier,
    /// 32 bytes, zeros at the end.
    AccountingToken,
    IdentityData,
    ApplicationType,
    ApplicationName,
    /// YYYYMMDD, in UTC.
    PutDate,
    /// HHMMSSTH, in UTC.
    PutTime,
    OriginData,
    GroupId,
    /// From 1 on; also 1 of a message in no group.
    SequenceNumber,
    Offset,
    MessageFlags,
    /// Bytes of the message that a report or segment is about; -1 where nothing is said.
    OriginalLength,
}

/// Names with a meaning of their own. All others that begin with `Root.` are none.
const FIELDS: [(&str, Field); 44] = [
    ("JMSMessageID", Field::JmsMessageId),
    ("JMSCorrelationID", Field::JmsCorrelationId),
    ("JMSDeliveryMode", Field::JmsDeliveryMode),
    ("JMSTimestamp", Field::JmsTimestamp),
    ("JMSExpiration", Field::JmsExpiration),
    ("JMSRedelivered", Field::JmsRedelivered),
    ("JMSPriority", Field::Priority),
    ("JMSXDeliveryCount", Field::JmsDeliveryCount),
    ("JMSXGroupID", Field::JmsGroupId),
    ("JMSXGroupSeq", Field::JmsGroupSequence),
    ("JMSXUserID", Field::UserIdentifier),
    ("JMSXAppID", Field::ApplicationName),
    ("JMS_IBM_MsgType", Field::MessageType),
    ("JMS_IBM_Feedback", Field::Feedback),
    ("JMS_IBM_PutApplType", Field::ApplicationType),
    ("JMS_IBM_PutDate", Field::PutDate),
    ("JMS_IBM_PutTime", Field::PutTime),
    ("Root.MQMD.Report", Field::Report),
    ("Root.MQMD.MsgType", Field::MessageType),
    ("Root.MQMD.Expiry", Field::Expiry),
    ("Root.MQMD.Feedback", Field::Feedback),
    ("Root.MQMD.Encoding", Field::Encoding),
    ("Root.MQMD.CodedCharSetId", Field::CharacterSet),
    ("Root.MQMD.Format", Field::Format),
    ("Root.MQMD.Priority", Field::Priority),
    ("Root.MQMD.Persistence", Field::Persistence),
    ("Root.MQMD.MsgId", Field::MessageId),
    ("Root.MQMD.CorrelId", Field::CorrelationId),
    ("Root.MQMD.BackoutCount", Field::BackoutCount),
    ("Root.MQMD.ReplyToQ", Field::ReplyToQueue),
    ("Root.MQMD.ReplyToQMgr", Field::ReplyToQueueManager),
    ("Root.MQMD.UserIdentifier", Field::UserIdentifier),
    ("Root.MQMD.AccountingToken", Field::AccountingToken),
    ("Root.MQMD.ApplIdentityData", Field::IdentityData),
    ("Root.MQMD.PutApplType", Field::ApplicationType),
    ("Root.MQMD.PutApplName", Field::ApplicationName),
    ("Root.MQMD.PutDate", Field::PutDate),
    ("Root.MQMD.PutTime", Field::PutTime),
    ("Root.MQMD.ApplOriginData", Field::OriginData),
    ("Root.MQMD.GroupId", Field::GroupId),
    ("Root.MQMD.MsgSeqNumber", Field::SequenceNumber),
    ("Root.MQMD.Offset", Field::Offset),
    ("Root.MQMD.MsgFlags", Field::MessageFlags),
    ("Root.MQMD.OriginalLength", Field::OriginalLength),
];

/// JMS's names for properties of the folders that it writes.
const FOLDERS: [(&str, &str); 3] =
    [("JMSType", "mcd.Type"), ("JMSDestination", "jms.Dst"), ("JMSReplyTo", "jms.Rto")];

impl Field {
    /// What says it better than the descriptor, where it is there.
    fn folder(self) -> Option<&'static str> {
        match self {
            Field::JmsCorrelationId => Some("jms.Cid"),
            Field::JmsTimestamp => Some("jms.Tms"),
            Field::JmsGroupId => Some("jms.Gid"),
            Field::JmsGroupSequence => Some("jms.Seq"),
            _ => None,
        }
    }

    /// Whether it is among what stays encoded in a descriptor.
    fn is_in_rest(self) -> bool {
        !matches!(
            self,
            Field::JmsMessageId
                | Field::JmsCorrelationId
                | Field::JmsDeliveryMode
                | Field::JmsTimestamp
                | Field::JmsExpiration
                | Field::JmsRedelivered
                | Field::JmsDeliveryCount
                | Field::JmsGroupId
                | Field::Priority
                | Field::Persistence
                | Field::Expiry
                | Field::MessageId
                | Field::CorrelationId
                | Field::GroupId
                | Field::BackoutCount
                | Field::PutDate
                | Field::PutTime
        )
    }
}

impl Properties {
    /// The number of a property, by the name that a selector has for it.
    ///
    /// # Errors
    /// When nothing can be called so.
    pub fn number(&mut self, name: &str, at: usize) -> Result<u16, Mistake> {
        let source = source(name, &mut self.name).map_err(|what| Mistake { at, what })?;
        let known = match source {
            Source::Field(_) => self.sources.iter().position(|other| *other == source).map(|at| at as u16),
            Source::Folder => self.by_name.get(self.name.as_str()).and_then(|wanted| wanted.itself),
        };
        if let Some(number) = known {
            return Ok(number);
        }
        let number = u16::try_from(self.sources.len()).map_err(|_| Mistake { at, what: "too many names" })?;
        let in_folder = match source {
            Source::Field(field) => field.folder(),
            Source::Folder => Some(self.name.as_str()),
        };
        self.weight += size_of::<Source>();
        if let Some(name) = in_folder {
            let (folder, _) = name.split_once('.').expect("a property is in a folder");
            if !self.folders.contains(folder) {
                self.folders.insert(folder.into());
                self.weight += ENTRY_BYTES + folder.len();
            }
            self.weight += ENTRY_BYTES + name.len();
            let wanted = match self.by_name.get_mut(name) {
                Some(wanted) => wanted,
                None => self.by_name.entry(name.into()).or_default(),
            };
            match source {
                Source::Field(_) => wanted.field = Some(number),
                Source::Folder => wanted.itself = Some(number),
            }
        }
        self.sources.push(source);
        debug_assert_eq!(self.sources.len(), usize::from(number) + 1, "each source has a number of its own");
        Ok(number)
    }

    /// Nothing is named any more.
    pub fn finish(&mut self) {
        self.sources.shrink_to_fit();
        self.name = String::new();
    }

    /// Whether the selector names none, and says the same of every message.
    pub fn is_empty(&self) -> bool {
        debug_assert!(self.folders.len() <= self.by_name.len(), "a folder is looked into for something");
        self.sources.is_empty()
    }

    /// Bytes in memory, about.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Whether a property is this field.
    pub fn is(&self, number: u16, field: Field) -> bool {
        debug_assert!(usize::from(number) < self.sources.len(), "a property has a number");
        self.sources[usize::from(number)] == Source::Field(field)
    }

    /// What the message says of each, by number, and how many bytes of headers were looked at. No values where the headers cannot
    /// be read: such a message is selected by nobody who asks for what may be in them.
    pub fn of<'m>(&self, message: &'m Message) -> (Option<Vec<Value<'m>>>, usize) {
        let mut values = vec![Value::Unknown; self.sources.len()];
        let mut read = 0;
        if !self.by_name.is_empty() && self.read_headers(message, &mut values, &mut read).is_none() {
            return (None, read);
        }
        let descriptor = &message.descriptor;
        let in_rest = |source: &Source| matches!(source, Source::Field(field) if field.is_in_rest());
        let rest = if self.sources.iter().any(in_rest) { descriptor.rest() } else { Rest::default() };
        for (source, value) in self.sources.iter().zip(&mut values) {
            if let Source::Field(field) = source {
                let in_folder = std::mem::replace(value, Value::Unknown);
                *value = of_field(*field, in_folder, descriptor, &rest);
            }
        }
        debug_assert_eq!(values.len(), self.sources.len(), "each property has a value, or it is unknown");
        (Some(values), read)
    }

    /// None when they are malformed or too long.
    fn read_headers(&self, message: &Message, values: &mut [Value<'_>], read: &mut usize) -> Option<()> {
        let mut is_followed = format(&message.descriptor) == rfh2::FORMAT.as_bytes();
        for _ in 0..HEADERS_MAX {
            if !is_followed {
                return Some(());
            }
            let header = Header::read(&message.body.slice(*read, FIXED_BYTES).to_bytes()).ok()?;
            let end = read.checked_add(header.bytes)?;
            if end > message.body.len() || end > HEADER_BYTES_MAX {
                return None;
            }
            let folders = message.body.slice(*read + FIXED_BYTES, header.bytes - FIXED_BYTES).to_bytes();
            let wants = |folder: &str| self.folders.contains(folder);
            let result = header.properties(&folders, wants, |property| {
                let Some(wanted) = self.by_name.get(property.name) else { return Ok(()) };
                let value = Value::from(property.value()?);
                for number in [wanted.itself, wanted.field].into_iter().flatten() {
                    let place = &mut values[usize::from(number)];
                    // The first one counts.
                    if *place == Value::Unknown {
                        *place = value.owned();
                    }
                }
                Ok(())
            });
            result.ok()?;
            debug_assert!(end >= *read + FIXED_BYTES, "a header takes bytes");
            *read = end;
            is_followed = header.is_followed;
        }
        (!is_followed).then_some(())
    }
}

fn source(name: &str, in_folder: &mut String) -> Result<Source, &'static str> {
    debug_assert!(!name.is_empty(), "a name has characters");
    in_folder.clear();
    if name.starts_with("JMS") || name.starts_with("Root.") {
        if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
            return Ok(Source::Field(*field));
        }
        if let Some((_, folder)) = FOLDERS.iter().find(|(known, _)| *known == name) {
            in_folder.push_str(folder);
            return Ok(Source::Folder);
        }
        if name.starts_with("Root.") {
            return Err("behind Root there is a field of the message descriptor, as in Root.MQMD.MsgType");
        }
    }
    if name.contains('.') {
        if name.split('.').any(str::is_empty) {
            return Err("a dot in a name stands between a folder and a property");
        }
    } else {
        in_folder.push_str("usr.");
    }
    in_folder.push_str(name);
    Ok(Source::Folder)
}

/// The format of a message, without decoding what else is there.
fn format(descriptor: &Descriptor) -> &[u8] {
    const FORMAT: u32 = 7;
    let mut fields = Fields::of(&descriptor.rest).flatten();
    fields.find(|field| field.tag == FORMAT).map_or(&[][..], |field| field.value.bytes().trim_ascii_end())
}

/// `in_folder` is what [`Field::folder`] said.
fn of_field<'m>(field: Field, in_folder: Value<'m>, descriptor: &'m Descriptor, rest: &Rest) -> Value<'m> {
    debug_assert!(
        in_folder == Value::Unknown || field.folder().is_some(),
        "what a folder does not have is the descriptor's"
    );
    let bytes = |id: &'m [u8; 24]| Value::Bytes(id[..].into());
    let text = |text: &str| Value::Text(text.to_string().into());
    let number = |number: i64| Value::Integer(number);
    let is_persistent = descriptor.persistence == Persistence::Persistent;
    match field {
        Field::JmsMessageId => id_text(&descriptor.message_id.0),
        // Bytes of an id are the descriptor's; a folder has what is none.
        Field::JmsCorrelationId => match in_folder {
            Value::Text(text) if !text.starts_with("ID:") => Value::Text(text),
            _ => id_text(&descriptor.correlation_id.0),
        },
        Field::JmsGroupId => match in_folder {
            Value::Text(text) => Value::Text(text),
            _ => id_text(&descriptor.group_id.0),
        },
        Field::JmsGroupSequence => match in_folder {
            Value::Unknown => number(descriptor.sequence_number.max(1).into()),
            there => as_number(there),
        },
        Field::JmsTimestamp => match in_folder {
            Value::Unknown => number(descriptor.put_at.0),
            there => as_number(there),
        },
        Field::JmsDeliveryMode if is_persistent => Value::Named(2, "PERSISTENT"),
        Field::JmsDeliveryMode => Value::Named(1, "NON_PERSISTENT"),
        Field::JmsExpiration => {
            let at =
                descriptor.expiry.map(|tenths| descriptor.put_at.0.saturating_add(i64::from(tenths) * 100));
            number(at.unwrap_or(0))
        }
        Field::JmsRedelivered => Value::Truth(descriptor.backout_count > 0),
        Field::JmsDeliveryCount => number(i64::from(descriptor.backout_count) + 1),
        Field::Report => number(descriptor.report.0.into()),
        Field::MessageType => number(rest.message_type.unwrap_or(8).into()),
        Field::Expiry => number(descriptor.expiry.map_or(-1, i64::from)),
        Field::Feedback => number(rest.feedback.into()),
        Field::Encoding => number(rest.encoding.unwrap_or(native::ENCODING).into()),
        Field::CharacterSet => number(rest.coded_character_set.unwrap_or(native::CCSID).into()),
        Field::Format => text(&rest.format),
        Field::Priority => number(descriptor.priority.unwrap_or(0).into()),
        Field::Persistence => number(is_persistent.into()),
        Field::MessageId => bytes(&descriptor.message_id.0),
        Field::CorrelationId => bytes(&descriptor.correlation_id.0),
        Field::GroupId => bytes(&descriptor.group_id.0),
        Field::BackoutCount => number(descriptor.backout_count.into()),
        Field::ReplyToQueue => text(&rest.reply_to_queue),
        Field::ReplyToQueueManager => text(&rest.reply_to_queue_manager),
        Field::UserIdentifier => text(&rest.user_identifier),
        Field::AccountingToken => {
            let mut token = [0; 32];
            let length = rest.accounting_token.len().min(32);
            token[..length].copy_from_slice(&rest.accounting_token[..length]);
            Value::Bytes(token.to_vec().into())
        }
        Field::IdentityData => text(&rest.application_identity_data),
        Field::ApplicationType => number(rest.put_application_type.into()),
        Field::ApplicationName => text(&rest.put_application_name),
        Field::PutDate => text(&descriptor.date_and_time(rest).0),
        Field::PutTime => text(&descriptor.date_and_time(rest).1),
        Field::OriginData => text(&rest.application_origin_data),
        Field::SequenceNumber => number(descriptor.sequence_number.max(1).into()),
        Field::Offset => number(rest.offset.into()),
        Field::MessageFlags => number(descriptor.message_flags.into()),
        Field::OriginalLength => number(rest.original_length.map_or(-1, i64::from)),
    }
}

/// JMS writes these without a type.
fn as_number(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) => text.trim().parse().map_or(Value::Unknown, Value::Integer),
        other => other,
    }
}

/// As JMS shows an id; none is NULL.
fn id_text(id: &[u8; 24]) -> Value<'static> {
    if *id == [0; 24] {
        return Value::Unknown;
    }
    let mut text = String::with_capacity(51);
    text.push_str("ID:");
    for byte in id {
        let digit = |half: u8| char::from_digit(half.into(), 16).expect("half a byte is a digit");
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    debug_assert_eq!(text.len(), 51, "an id is 48 digits");
    Value::Text(text.into())
}
