//! The message: its descriptor (MQMD version 2) and its body.

use bytes::{BufMut, Bytes};
use prost::Message as _;
use prost::encoding::WireType;
use trimaran_proto::message::v1 as wire;

use super::fields::{Field, Fields, Malformed};
use super::{Reason, ReportOptions, WallTime};

macro_rules! padded_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 24]);

        impl $name {
            /// Pads with zeros, as MQ does. None when there are more than 24 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<$name> {
                let mut id = [0; 24];
                id.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some($name(id))
            }

            /// All zeros: MQMI_NONE, MQCI_NONE, MQGI_NONE.
            pub fn is_none(&self) -> bool {
                self.0 == [0; 24]
            }

            /// Without the zeros at the end; empty when none.
            pub fn trimmed(&self) -> &[u8] {
                let words = self.0.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
                let last = words.enumerate().rfind(|(_, word)| *word != 0);
                let end = last.map_or(0, |(at, word)| 8 * (at + 1) - word.leading_zeros() as usize / 8);
                debug_assert_eq!(end == 0, self.is_none(), "only no id has no bytes");
                &self.0[..end]
            }
        }
    };
}

padded_id!(/// MsgId.
    MessageId);
padded_id!(/// CorrelId.
    CorrelationId);
padded_id!(/// GroupId.
    GroupId);

/// MQPER_*: whether a message outlives the node that serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persistence {
    /// As DEFPSIST of the queue says; never on a message that was placed.
    #[default]
    AsQueue,
    /// MQPER_PERSISTENT: it is replicated and on disk.
    Persistent,
    /// MQPER_NOT_PERSISTENT: it is in the memory of the node that serves, and gone with it.
    NotPersistent,
}

impl Persistence {
    fn from_number(number: i32) -> Option<Persistence> {
        [Persistence::AsQueue, Persistence::Persistent, Persistence::NotPersistent]
            .into_iter()
            .find(|persistence| persistence.number() == number)
    }

    fn number(self) -> i32 {
        match self {
            Persistence::AsQueue => 0,
            Persistence::Persistent => 1,
            Persistence::NotPersistent => 2,
        }
    }
}

/// A body in one piece (the usual case) or in the chunks it was staged in. Cloning copies no bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    parts: Parts,
    length: usize,
}

/// The usual case has no list of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Parts {
    #[default]
    None,
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Body {
    /// Of pieces in order, which are not copied.
    pub fn from_parts(mut parts: Vec<Bytes>) -> Body {
        match parts.len() {
            0 => Body::default(),
            1 => Body::from(parts.remove(0)),
            _ => {
                let length = parts.iter().map(Bytes::len).sum();
                debug_assert!(parts.len() > 1, "a body of one part has no list of parts");
                Body { parts: Parts::Many(parts), length }
            }
        }
    }

    /// Bytes, of all pieces.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes, as MQ allows.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Its pieces in order; none of an empty body.
    pub fn parts(&self) -> &[Bytes] {
        match &self.parts {
            Parts::None => &[],
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }

    /// One piece; copies only when there are several.
    pub fn to_bytes(&self) -> Bytes {
        match &self.parts {
            Parts::None => Bytes::new(),
            Parts::One(one) => one.clone(),
            Parts::Many(many) => {
                let mut joined = Vec::with_capacity(self.length);
                many.iter().for_each(|part| joined.extend_from_slice(part));
                debug_assert_eq!(joined.len(), self.length, "a body is as long as its parts");
                joined.into()
            }
        }
    }

    /// The checksum of all of it (RFC 3720), made anew each time.
    pub fn crc32c(&self) -> u32 {
        debug_assert_eq!(
            self.parts().iter().map(Bytes::len).sum::<usize>(),
            self.length,
            "a body is as long as its parts"
        );
        self.parts().iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
    }

    /// The first `length` bytes.
    pub fn truncated(&self, length: usize) -> Body {
        self.slice(0, length)
    }

    /// At most `length` bytes from `from` on; shares memory with this body.
    pub fn slice(&self, from: usize, length: usize) -> Body {
        let (mut skip, mut left) = (from, length);
        let mut parts = Vec::new();
        for part in self.parts() {
            let begin = skip.min(part.len());
            let end = part.len().min(begin + left);
            if end > begin {
                parts.push(part.slice(begin..end));
            }
            skip -= begin;
            left -= end - begin;
        }
        let body = Body::from_parts(parts);
        debug_assert_eq!(
            body.length,
            self.length.saturating_sub(from).min(length),
            "a slice is as long as was asked for, or goes to the end of the body"
        );
        body
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        match bytes.len() {
            0 => Body::default(),
            length => Body { parts: Parts::One(bytes), length },
        }
    }
}

/// What the queue manager says of its own messages, and what holds of a message that does not say it.
pub mod native {
    /// UTF-8.
    pub const CCSID: i32 = 1208;
    /// MQENC_NATIVE of the machines that this runs on: little endian.
    pub const ENCODING: i32 = 546;
    /// MQAT_QMGR: what put a message was a queue manager.
    pub const MQAT_QMGR: u32 = 7;
}

/// MQMF_*: bits of a message's flags.
pub mod message_flags {
    /// The message may be cut into segments; nothing here does.
    pub const SEGMENTATION_ALLOWED: u32 = 0x1;
    /// It is one; such a put is refused.
    pub const SEGMENT: u32 = 0x2;
    /// It is the last one.
    pub const LAST_SEGMENT: u32 = 0x4;
    /// It belongs to a group.
    pub const MSG_IN_GROUP: u32 = 0x8;
    /// It ends its group; goes with [`MSG_IN_GROUP`] or without.
    pub const LAST_MSG_IN_GROUP: u32 = 0x10;
}

/// A message's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InGroup {
    /// Never none.
    pub group_id: GroupId,
    /// From 1 on, [`InGroup::NUMBER_MAX`] at most.
    pub sequence_number: u32,
    /// Whether the group ends with it.
    pub is_last: bool,
}

impl InGroup {
    /// The highest sequence number.
    pub const NUMBER_MAX: u32 = 999_999_999;

    /// MQMF_* bits that say the same.
    pub fn flags(self) -> u32 {
        let last = if self.is_last { message_flags::LAST_MSG_IN_GROUP } else { 0 };
        message_flags::MSG_IN_GROUP | last
    }
}

/// MQMD version 2 in the form the node works with. What it does not look into stays as it came (`rest`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descriptor {
    /// MsgId. Never none on a message that was placed.
    pub message_id: MessageId,
    /// CorrelId; none where the program gave none.
    pub correlation_id: CorrelationId,
    /// GroupId; none where the message is in no group.
    pub group_id: GroupId,
    /// None: DEFPRTY of the queue. Always Some, and at most 9, on a message that was placed.
    pub priority: Option<u8>,
    /// As the queue says by DEFPSIST, until it is put.
    pub persistence: Persistence,
    /// Tenths of a second from the put; None is unlimited.
    pub expiry: Option<u32>,
    /// BackoutCount: how often it was got and came back.
    pub backout_count: u32,
    /// PutDate and PutTime, by the log's clock; 0 until it is placed.
    pub put_at: WallTime,
    /// MsgSeqNumber; 0 where nothing was said, which means 1.
    pub sequence_number: u32,
    /// MQMF_*, see [`message_flags`].
    pub message_flags: u32,
    /// What it asks to be told of its fate.
    pub report: ReportOptions,
    /// Every other field, encoded as in a `Descriptor` of the wire. Cloning copies no bytes.
    pub rest: Bytes,
}

/// Tags of the fields that have a place of their own in [`Descriptor`].
const REPORT: u32 = 1;
const EXPIRY: u32 = 3;
const PRIORITY: u32 = 8;
/// The highest priority.
const PRIORITY_MAX: u64 = 9;
const PERSISTENCE: u32 = 9;
const MESSAGE_ID: u32 = 10;
const CORRELATION_ID: u32 = 11;
const BACKOUT_COUNT: u32 = 12;
const USER_IDENTIFIER: u32 = 15;
const PUT_APPLICATION_NAME: u32 = 19;
const PUT_TIME: u32 = 20;
const GROUP_ID: u32 = 22;
const SEQUENCE_NUMBER: u32 = 23;
const MESSAGE_FLAGS: u32 = 25;

/// All of them.
const OWN_FIELDS: [u32; 11] = [
    REPORT,
    EXPIRY,
    PRIORITY,
    PERSISTENCE,
    MESSAGE_ID,
    CORRELATION_ID,
    BACKOUT_COUNT,
    PUT_TIME,
    GROUP_ID,
    SEQUENCE_NUMBER,
    MESSAGE_FLAGS,
];

/// What MQ refuses of message type, report options, flags and sequence number (IBM MQ Reference, "MQMD"): of bits that it
/// does not know those that its masks say must be refused.
fn check_options(wire: &wire::Descriptor) -> Result<(), Reason> {
    const REQUEST: u32 = 1;
    const FLAGS_REJECT_MASK: u32 = 0x0FFF;
    const FLAGS: u32 = 0x1F;
    const NUMBER_MAX: u32 = InGroup::NUMBER_MAX;
    let is_type = |number: u32| matches!(number, 1 | 2 | 4 | 8 | 112 | 113 | 65_536..=NUMBER_MAX);
    if wire.message_type.is_some_and(|number| !is_type(number)) {
        return Err(Reason::MsgTypeError);
    }
    let report = ReportOptions(wire.report);
    report.check()?;
    let is_answered = wire.message_type == Some(REQUEST) || report.wants_any();
    if is_answered && wire.reply_to_queue.trim_end().is_empty() {
        return Err(Reason::MissingReplyToQ);
    }
    if wire.message_flags & FLAGS_REJECT_MASK & !FLAGS != 0 {
        return Err(Reason::MsgFlagsError);
    }
    if wire.message_sequence_number.is_some_and(|number| !(1..=NUMBER_MAX).contains(&number)) {
        return Err(Reason::MsgSeqNumberError);
    }
    if wire.offset > NUMBER_MAX {
        return Err(Reason::OffsetError);
    }
    if wire.feedback > NUMBER_MAX {
        return Err(Reason::FeedbackError);
    }
    Ok(())
}

/// Why a descriptor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongDescriptor {
    pub reason: Reason,
    /// Of 2026 (MD_ERROR), which stands for many fields: the one that is too long, and how many bytes it has at most.
    pub field: Option<(&'static str, usize)>,
}

impl WrongDescriptor {
    /// What the reason does not say by itself.
    pub fn detail(&self) -> Option<String> {
        debug_assert!(
            self.field.is_none() || self.reason == Reason::MdError,
            "a reason of its own says which field it is about"
        );
        self.field.map(|(name, most)| format!("{name} has more than {most} bytes."))
    }
}

impl From<Reason> for WrongDescriptor {
    fn from(reason: Reason) -> WrongDescriptor {
        WrongDescriptor { reason, field: None }
    }
}

/// The fields that share 2026 (MD_ERROR).
fn check_lengths(wire: &wire::Descriptor) -> Result<(), WrongDescriptor> {
    let fields = [
        ("reply_to_queue", wire.reply_to_queue.len(), 48),
        ("reply_to_queue_manager", wire.reply_to_queue_manager.len(), 48),
        ("user_identifier", wire.user_identifier.len(), 12),
        ("accounting_token", wire.accounting_token.len(), 32),
        ("application_identity_data", wire.application_identity_data.len(), 32),
        ("put_application_name", wire.put_application_name.len(), 28),
        ("application_origin_data", wire.application_origin_data.len(), 4),
        ("put_date_and_time", wire.put_date_and_time.as_ref().map_or(0, String::len), 16),
    ];
    match fields.into_iter().find(|(_, length, most)| length > most) {
        Some((name, _, most)) => Err(WrongDescriptor { reason: Reason::MdError, field: Some((name, most)) }),
        None => Ok(()),
    }
}

/// Tenths of a second; more would be negative in MQ's 32 bits, which is unlimited.
const EXPIRY_MAX: u32 = i32::MAX as u32;

impl Descriptor {
    /// Checks what MQ checks. The reason says which field is wrong.
    ///
    /// # Errors
    /// MQ's reason for the field that is wrong, 2026 (MD_ERROR) for what has no reason of its own.
    pub fn from_wire(mut wire: wire::Descriptor) -> Result<Descriptor, WrongDescriptor> {
        let message_id = MessageId::from_slice(&wire.message_id).ok_or(Reason::MsgIdError)?;
        let correlation_id = CorrelationId::from_slice(&wire.correlation_id).ok_or(Reason::CorrelIdError)?;
        let group_id = GroupId::from_slice(&wire.group_id).ok_or(Reason::GroupIdError)?;
        // What is too high is put all the same, with a warning: see `lower_priority`.
        let priority = wire.priority.map(|priority| u8::try_from(priority).unwrap_or(u8::MAX));
        if wire.expiry.is_some_and(|expiry| !(1..=EXPIRY_MAX).contains(&expiry)) {
            return Err(Reason::ExpiryError.into());
        }
        if wire.format.len() > 8 {
            return Err(Reason::FormatError.into());
        }
        check_options(&wire)?;
        check_lengths(&wire)?;
        let persistence = Persistence::from_number(wire.persistence).ok_or(Reason::PersistenceError)?;
        let descriptor = Descriptor {
            message_id,
            correlation_id,
            group_id,
            priority,
            persistence,
            expiry: wire.expiry,
            backout_count: wire.backout_count,
            put_at: WallTime(wire.put_time_ms),
            sequence_number: wire.message_sequence_number.unwrap_or(0),
            message_flags: wire.message_flags,
            report: ReportOptions(wire.report),
            rest: {
                wire.report = 0;
                wire.message_id = Bytes::new();
                wire.correlation_id = Bytes::new();
                wire.group_id = Bytes::new();
                wire.priority = None;
                wire.persistence = 0;
                wire.expiry = None;
                wire.backout_count = 0;
                wire.put_time_ms = 0;
                wire.message_sequence_number = None;
                wire.message_flags = 0;
                wire.encode_to_vec().into()
            },
        };
        debug_assert!(
            !descriptor.has_field_of_its_own_in_rest(),
            "what has a place was taken out of the rest"
        );
        Ok(descriptor)
    }

    /// Whether its flags say that it is in a group.
    pub fn says_in_group(&self) -> bool {
        self.message_flags & (message_flags::MSG_IN_GROUP | message_flags::LAST_MSG_IN_GROUP) != 0
    }

    /// None for a message of no group: a group id alone makes none.
    pub fn in_group(&self) -> Option<InGroup> {
        let in_group = InGroup {
            group_id: self.group_id,
            sequence_number: self.sequence_number.max(1),
            is_last: self.message_flags & message_flags::LAST_MSG_IN_GROUP != 0,
        };
        (self.says_in_group() && !self.group_id.is_none()).then_some(in_group)
    }

    /// Puts the message there.
    pub fn set_in_group(&mut self, group: InGroup) {
        debug_assert!(!group.group_id.is_none(), "a group has an id");
        debug_assert!(
            (1..=InGroup::NUMBER_MAX).contains(&group.sequence_number),
            "messages of a group have numbers"
        );
        self.group_id = group.group_id;
        self.sequence_number = group.sequence_number;
        self.message_flags |= message_flags::MSG_IN_GROUP;
        debug_assert_eq!(
            self.in_group().map(|group| group.sequence_number),
            Some(group.sequence_number),
            "it is there"
        );
    }

    /// A priority above the highest becomes the highest; whether it was.
    pub fn lower_priority(&mut self) -> bool {
        let is_above = self.priority.is_some_and(|priority| u64::from(priority) > PRIORITY_MAX);
        if is_above {
            self.priority = Some(PRIORITY_MAX as u8);
        }
        debug_assert!(
            self.priority.is_none_or(|priority| u64::from(priority) <= PRIORITY_MAX),
            "priorities go from 0 to 9"
        );
        is_above
    }

    /// What [`Descriptor::encoded`] wrote, or another program of the same format: `at` of `data`. What nobody looks into
    /// stays a slice of it. Checked when it was put, and not again.
    ///
    /// # Errors
    /// The byte at which it is none.
    pub fn from_encoded(data: &Bytes, at: &[u8]) -> Result<Descriptor, Malformed> {
        let mut descriptor = Descriptor::default();
        let mut rest = 0..0;
        let mut scattered = Vec::new();
        for field in Fields::of(at) {
            let Field { tag, value, place } = field?;
            let malformed = Malformed(place.start);
            match tag {
                EXPIRY => descriptor.expiry = Some(value.number() as u32),
                PRIORITY if value.number() > PRIORITY_MAX => return Err(malformed),
                PRIORITY => descriptor.priority = Some(value.number() as u8),
                PERSISTENCE => {
                    let number = value.number() as i32;
                    descriptor.persistence = Persistence::from_number(number).ok_or(malformed)?;
                }
                MESSAGE_ID => {
                    descriptor.message_id = MessageId::from_slice(value.bytes()).ok_or(malformed)?;
                }
                CORRELATION_ID => {
                    descriptor.correlation_id = CorrelationId::from_slice(value.bytes()).ok_or(malformed)?;
                }
                GROUP_ID => descriptor.group_id = GroupId::from_slice(value.bytes()).ok_or(malformed)?,
                BACKOUT_COUNT => descriptor.backout_count = value.number() as u32,
                PUT_TIME => descriptor.put_at = WallTime(value.number() as i64),
                SEQUENCE_NUMBER => descriptor.sequence_number = value.number() as u32,
                MESSAGE_FLAGS => descriptor.message_flags = value.number() as u32,
                REPORT => descriptor.report = ReportOptions(value.number() as u32),
                _ if rest.is_empty() => rest = place,
                _ if rest.end == place.start => rest.end = place.end,
                _ => scattered.extend_from_slice(&at[place]),
            }
        }
        if !rest.is_empty() {
            descriptor.rest = data.slice_ref(&at[rest]);
        }
        if !scattered.is_empty() {
            descriptor.rest = [&descriptor.rest[..], &scattered].concat().into();
        }
        Ok(descriptor)
    }

    /// As clients and the store have it.
    pub fn to_wire(&self) -> wire::Descriptor {
        debug_assert!(
            self.priority.is_none_or(|priority| u64::from(priority) <= PRIORITY_MAX),
            "priorities go from 0 to 9"
        );
        let mut wire = self.rest();
        wire.message_id = Bytes::copy_from_slice(self.message_id.trimmed());
        wire.correlation_id = Bytes::copy_from_slice(self.correlation_id.trimmed());
        wire.group_id = Bytes::copy_from_slice(self.group_id.trimmed());
        wire.priority = self.priority.map(u32::from);
        wire.persistence = self.persistence.number();
        wire.expiry = self.expiry;
        wire.backout_count = self.backout_count;
        wire.put_time_ms = self.put_at.0;
        wire.message_sequence_number = (self.sequence_number > 0).then_some(self.sequence_number);
        wire.message_flags = self.message_flags;
        wire.report = self.report.0;
        wire
    }

    fn has_field_of_its_own_in_rest(&self) -> bool {
        Fields::of(&self.rest).flatten().any(|field| OWN_FIELDS.contains(&field.tag))
    }

    /// Tenths of a second that are left of its time, one at least; None where it has no end.
    pub fn expiry_left(&self, now: WallTime) -> Option<u32> {
        let age_tenths = ((now.0 - self.put_at.0).max(0) / 100) as u32;
        let left = self.expiry.map(|tenths| tenths.saturating_sub(age_tenths).max(1));
        debug_assert!(left <= self.expiry.map(|tenths| tenths.max(1)), "no message is given time");
        left
    }

    /// PutDate and PutTime: when it was put, unless its program said something else of it, which is `rest`'s.
    pub fn date_and_time(&self, rest: &wire::Descriptor) -> (String, String) {
        let Some(said) = &rest.put_date_and_time else { return self.put_at.date_and_time() };
        let (date, time): (String, String) = (said.chars().take(8).collect(), said.chars().skip(8).collect());
        debug_assert!(time.chars().count() <= 8, "a date and a time have sixteen characters at most");
        (date, time)
    }

    /// The fields that have no place of their own here.
    pub fn rest(&self) -> wire::Descriptor {
        // It was encoded by us, or came through the checksums of log and store.
        wire::Descriptor::decode(self.rest.clone()).unwrap_or_default()
    }

    /// What the queue manager does not look into, encoded.
    pub fn set_rest(&mut self, rest: &wire::Descriptor) {
        let own = [&rest.message_id, &rest.correlation_id, &rest.group_id];
        debug_assert!(own.iter().all(|id| id.is_empty()), "ids have a place of their own");
        self.rest = rest.encode_to_vec().into();
    }

    /// What is not set of a message's context comes from its session (MQ's default context).
    pub fn set_default_context(&mut self, context: &DefaultContext) {
        if self.rest.is_empty() {
            self.rest = context.encoded.clone();
            return;
        }
        let mut has = Fields::of(&self.rest).flatten().map(|field| field.tag);
        if !has.any(|tag| tag == USER_IDENTIFIER || tag == PUT_APPLICATION_NAME) {
            self.rest = [&self.rest[..], &context.encoded].concat().into();
            return;
        }
        let mut rest = self.rest();
        if rest.user_identifier.is_empty() {
            rest.user_identifier.clone_from(&context.user_identifier);
        }
        if rest.put_application_name.is_empty() {
            rest.put_application_name.clone_from(&context.put_application_name);
        }
        self.set_rest(&rest);
    }

    /// The same where the program has said whose message it is, and maybe that it is nobody's: only which program put it comes from the
    /// session.
    pub fn set_default_origin(&mut self, context: &DefaultContext) {
        let mut rest = self.rest();
        if rest.put_application_name.is_empty() {
            rest.put_application_name.clone_from(&context.put_application_name);
            self.set_rest(&rest);
        }
        debug_assert_eq!(self.rest().user_identifier, rest.user_identifier, "whose it is was said");
    }

    /// Whose message it is comes from the session, whatever its program says.
    pub fn set_user(&mut self, context: &DefaultContext) {
        let mut rest = self.rest();
        if rest.user_identifier != context.user_identifier {
            rest.user_identifier.clone_from(&context.user_identifier);
            self.set_rest(&rest);
        }
        debug_assert_eq!(self.rest().user_identifier, context.user_identifier, "the session's user is in it");
    }

    /// Ready to be written as a `Descriptor` of the wire, with a backout count of its own.
    pub fn encoded(&self, backout_count: u32) -> EncodedDescriptor<'_> {
        let mut known = KnownFields { bytes: [0; KNOWN_BYTES_MAX], length: 0 };
        known.id(MESSAGE_ID, self.message_id.trimmed());
        known.id(CORRELATION_ID, self.correlation_id.trimmed());
        known.id(GROUP_ID, self.group_id.trimmed());
        if let Some(expiry) = self.expiry {
            known.number(EXPIRY, u64::from(expiry));
        }
        if let Some(priority) = self.priority {
            known.number(PRIORITY, u64::from(priority));
        }
        debug_assert!(
            self.priority.is_none_or(|priority| u64::from(priority) <= PRIORITY_MAX),
            "priorities go from 0 to 9"
        );
        debug_assert!(!self.has_field_of_its_own_in_rest(), "no field is written twice");
        let persistence = self.persistence.number();
        for (tag, number) in [
            (PERSISTENCE, persistence as u64),
            (BACKOUT_COUNT, u64::from(backout_count)),
            (PUT_TIME, self.put_at.0 as u64),
            (SEQUENCE_NUMBER, u64::from(self.sequence_number)),
            (MESSAGE_FLAGS, u64::from(self.message_flags)),
            (REPORT, u64::from(self.report.0)),
        ] {
            if number != 0 {
                known.number(tag, number);
            }
        }
        EncodedDescriptor { known, rest: &self.rest }
    }
}

/// Context fields that a session gives to its messages, ready to be appended to those of a descriptor.
#[derive(Clone, Debug, Default)]
pub struct DefaultContext {
    user_identifier: String,
    put_application_name: String,
    encoded: Bytes,
}

impl DefaultContext {
    /// Cut to the lengths that MQ has for them.
    pub fn new(user: &str, application: &str) -> DefaultContext {
        let fields = wire::Descriptor {
            user_identifier: user.chars().take(12).collect(),
            put_application_name: application.chars().take(28).collect(),
            ..wire::Descriptor::default()
        };
        debug_assert!(
            fields.user_identifier.chars().count() <= 12,
            "a user has at most 12 characters in a message"
        );
        debug_assert!(
            fields.put_application_name.chars().count() <= 28,
            "an application has at most 28 characters in a message"
        );
        let encoded: Bytes = fields.encode_to_vec().into();
        debug_assert!(
            Fields::of(&encoded)
                .flatten()
                .all(|field| { field.tag == USER_IDENTIFIER || field.tag == PUT_APPLICATION_NAME }),
            "a session says who puts, and nothing else of a message"
        );
        DefaultContext {
            encoded,
            user_identifier: fields.user_identifier,
            put_application_name: fields.put_application_name,
        }
    }

    /// UserIdentifier: at most 12 characters.
    pub fn user(&self) -> &str {
        &self.user_identifier
    }

    /// PutApplName: at most 28 characters.
    pub fn application(&self) -> &str {
        &self.put_application_name
    }
}

/// The encoding of a descriptor, made without a wire descriptor that would be written once and dropped.
pub struct EncodedDescriptor<'a> {
    known: KnownFields,
    rest: &'a Bytes,
}

impl EncodedDescriptor<'_> {
    /// Bytes that [`EncodedDescriptor::put`] appends.
    pub fn len(&self) -> usize {
        self.known.length + self.rest.len()
    }

    /// Of a descriptor with every field at its default.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends it.
    ///
    /// # Panics
    /// When `into` has no room for [`EncodedDescriptor::len`] bytes.
    pub fn put(&self, into: &mut impl BufMut) {
        let room = into.remaining_mut();
        into.put_slice(&self.known.bytes[..self.known.length]);
        into.put_slice(self.rest);
        debug_assert_eq!(room - into.remaining_mut(), self.len(), "as much is put as was announced");
    }
}

/// Three ids of 24 bytes with tags and lengths, and eight numbers.
const KNOWN_BYTES_MAX: usize = 3 * 27 + 7 * 7 + 12;

/// The fields that are not in `rest`. Fields may come in any order.
struct KnownFields {
    bytes: [u8; KNOWN_BYTES_MAX],
    length: usize,
}

impl KnownFields {
    fn id(&mut self, tag: u32, id: &[u8]) {
        debug_assert!(id.len() <= 24, "an id has at most 24 bytes");
        if !id.is_empty() {
            self.varint(u64::from(tag << 3 | WireType::LengthDelimited as u32));
            self.varint(id.len() as u64);
            self.bytes[self.length..][..id.len()].copy_from_slice(id);
            self.length += id.len();
        }
    }

    fn number(&mut self, tag: u32, number: u64) {
        self.varint(u64::from(tag << 3 | WireType::Varint as u32));
        self.varint(number);
    }

    /// Nearly all have one byte.
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    fn byte(&mut self, byte: u8) {
        debug_assert!(self.length < KNOWN_BYTES_MAX, "all known fields have room");
        self.bytes[self.length] = byte;
        self.length += 1;
    }
}

/// A message as it is put, kept and given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// MQMD.
    pub descriptor: Descriptor,
    /// At most `limits::BODY_BYTES_MAX`.
    pub body: Body,
    /// CRC-32C of the body as its producer (or the first node) made it.
    pub body_crc: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_descriptor_is_that_of_its_wire_form() {
        let wire = wire::Descriptor {
            format: "MQSTR".into(),
            report: 7,
            reply_to_queue: "ANSWERS".into(),
            user_identifier: "alice".into(),
            correlation_id: Bytes::from_static(b"order 7"),
            ..wire::Descriptor::default()
        };
        let full = Descriptor {
            message_id: MessageId([0xff; 24]),
            group_id: GroupId([1; 24]),
            priority: Some(9),
            persistence: Persistence::NotPersistent,
            expiry: Some(u32::MAX),
            backout_count: u32::MAX,
            put_at: WallTime(-1),
            sequence_number: InGroup::NUMBER_MAX,
            message_flags: u32::MAX,
            ..Descriptor::from_wire(wire).unwrap()
        };
        for descriptor in [full, Descriptor::default()] {
            let encoded = descriptor.encoded(descriptor.backout_count);
            let mut bytes = Vec::new();
            encoded.put(&mut bytes);
            assert_eq!(bytes.len(), encoded.len());
            assert_eq!(wire::Descriptor::decode(&bytes[..]).unwrap(), descriptor.to_wire());
            let bytes = Bytes::from(bytes);
            assert_eq!(Descriptor::from_encoded(&bytes, &bytes), Ok(descriptor));
        }
    }

    #[test]
    fn whoever_wants_an_answer_says_where_to() {
        let put = |message_type, report, reply_to_queue: &str| {
            let reply_to_queue = reply_to_queue.into();
            let wire = wire::Descriptor { message_type, report, reply_to_queue, ..Default::default() };
            Descriptor::from_wire(wire).map(|descriptor| descriptor.report.0).map_err(|wrong| wrong.reason)
        };
        assert_eq!(put(Some(1), 0, ""), Err(Reason::MissingReplyToQ));
        assert_eq!(put(Some(8), 0x100, "   "), Err(Reason::MissingReplyToQ));
        assert_eq!(put(None, 0x2, ""), Err(Reason::MissingReplyToQ), "a program reports, too");
        assert_eq!(put(Some(1), 0x100, "ANSWERS"), Ok(0x100));
        assert_eq!(put(None, 0x0800_40C4, ""), Ok(0x0800_40C4), "this asks for no report");
        assert_eq!(put(None, 0x0004_0100, "ANSWERS"), Err(Reason::ReportOptionsError));
    }

    #[test]
    fn no_number_is_negative_to_a_program_of_mq() {
        let put = |expiry, feedback| {
            Descriptor::from_wire(wire::Descriptor { expiry, feedback, ..Default::default() })
                .map(drop)
                .map_err(|wrong| wrong.reason)
        };
        assert_eq!(put(Some(i32::MAX as u32), 999_999_999), Ok(()));
        assert_eq!(put(Some(1 << 31), 0), Err(Reason::ExpiryError));
        assert_eq!(put(None, u32::MAX), Err(Reason::FeedbackError));
    }

    #[test]
    fn fields_may_come_in_any_order() {
        let wire = wire::Descriptor {
            report: 1,
            expiry: Some(2),
            format: "MQSTR".into(),
            priority: Some(3),
            offset: 4,
            ..wire::Descriptor::default()
        };
        let bytes = Bytes::from(wire.encode_to_vec());
        assert_eq!(Descriptor::from_encoded(&bytes, &bytes).unwrap().to_wire(), wire);
        assert!(Descriptor::from_encoded(&bytes, &bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn context_that_is_not_set_comes_from_the_session() {
        let session = DefaultContext::new("a user with a long name", "billing");
        let of = |wire: wire::Descriptor| {
            let mut descriptor = Descriptor::from_wire(wire).unwrap();
            descriptor.set_default_context(&session);
            let rest = descriptor.rest();
            (rest.user_identifier, rest.put_application_name, rest.format)
        };
        let expected = |user: &str, application: &str, format: &str| {
            (user.to_string(), application.to_string(), format.to_string())
        };
        assert_eq!(of(wire::Descriptor::default()), expected("a user with ", "billing", ""));
        let format = wire::Descriptor { format: "MQSTR".into(), ..wire::Descriptor::default() };
        assert_eq!(of(format.clone()), expected("a user with ", "billing", "MQSTR"));
        let named = wire::Descriptor { put_application_name: "orders".into(), ..format };
        assert_eq!(of(named), expected("a user with ", "orders", "MQSTR"));
    }

    #[test]
    fn a_slice_of_a_body_goes_over_its_parts() {
        let body = Body::from_parts(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cdef")]);
        assert_eq!(body.slice(1, 3).to_bytes(), "bcd");
        assert_eq!(body.slice(2, 100).to_bytes(), "cdef");
        assert_eq!(body.slice(4, 1), Body::from(Bytes::from_static(b"e")));
        assert!(body.slice(6, 1).is_empty());
        assert_eq!(body.truncated(3).len(), 3);
    }
}
