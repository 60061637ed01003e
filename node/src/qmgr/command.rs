//! Everything a log entry may say, and its encoding.
//!
//! One entry holds one `replica.v1.Batch`. The leader appends commands to a [`BatchEncoder`] as calls arrive, so a
//! body is copied once, from the buffer it was received in to the entry; [`decode`] gives bodies as slices of the
//! entry.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use trimaran_proto::admin::v1::{self as wire_admin, Classified, FailoverAccount, HandingOver};
use trimaran_proto::replica::v1::{self as wire, Arrange, Registered, command::Command as Kind};

use super::definition_codec as codec;
use crate::types::definition::{By, Changes, ObjectRef, RecordAction, Tongue};
use crate::types::fields::{Field, Fields, Malformed, Value};
use crate::types::{
    Body, Descriptor, EncodedDescriptor, Message, MessageId, NodeId, NotSpoken, ObjectName, Persistence,
    Position, ProducerId, ProducerSequence, QueueId, QueueManagerId, Reason, RunState, Speaks, StagedBodyId,
    Term, UnitId, Version, WallTime, limits,
};

/// One item of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Place(Place),
    Remove(Removal),
    CommitUnit {
        /// With how many units had been decided before its commit was sent, at least.
        unit: Option<(UnitId, u64)>,
        places: Vec<Place>,
        removals: Vec<Removal>,
    },
    Backout(Vec<Removal>),
    Expire(Vec<Removal>),
    SealUnit {
        unit: UnitId,
        /// How many had been decided before its commit was sent, as far as its program knows.
        units_decided: u64,
    },
    StageBody {
        number: StagedBodyId,
        data: Bytes,
    },
    DropStaged(Vec<StagedBodyId>),
    /// The object is made of what it is like and of the changes.
    Define {
        object: ObjectRef,
        /// The name of an object of the same kind, or empty for the kind's default object.
        like: String,
        replace: bool,
        changes: Changes,
        by: Box<By>,
    },
    Alter {
        object: ObjectRef,
        changes: Changes,
        by: Box<By>,
    },
    Delete {
        object: ObjectRef,
        purge: bool,
        by: Box<By>,
    },
    Clear {
        object: ObjectRef,
        by: Box<By>,
    },
    SetRecord {
        record: ObjectRef,
        action: RecordAction,
        changes: Changes,
        by: Box<By>,
    },
    /// A leader of a new term begins to serve.
    BeginTerm {
        /// Who it is, and in which term; since [`Version::RECORDS`].
        leader: Option<(NodeId, Term)>,
    },
    /// Who serves is about to hand over; nobody asked for it where it does so by itself.
    HandOver {
        said: HandingOver,
        by: Box<By>,
        /// What the node is called to which it shall go, where somebody asked for it; empty: any.
        to: String,
    },
    /// What the leader of a term says of how it came to serve.
    Account {
        term: Term,
        account: Box<FailoverAccount>,
        /// It will know no more.
        is_last: bool,
    },
    /// The queue manager has this version from here on.
    Raise {
        to: Version,
        /// Who serves, and in which term: records begin with it.
        leader: (NodeId, Term),
        /// Nobody where a new queue manager begins with it.
        by: Box<By>,
    },
    /// The node is in maintenance from here on, or is not any more.
    Maintain {
        node: NodeId,
        begins: bool,
        by: Box<By>,
        /// What it is called; empty where the queue manager is older than [`Version::TRAIL`].
        name: String,
    },
    /// The queue manager is started or ended.
    Run {
        state: RunState,
        by: Box<By>,
    },
    /// There is a queue manager more; with the id 0 it gets one.
    Register(Box<Registered>),
    /// Where a queue manager that was created should be is changed.
    Arrange(Box<Arrange>),
    /// A queue manager is deleted.
    Deregister {
        id: QueueManagerId,
        by: Box<By>,
    },
    /// A person says what a record of a failover counts as.
    Classify(Box<Classified>),
    /// A canary got through.
    CanaryGood {
        node: NodeId,
        /// For how long it had watched without getting through; None where this is its first round.
        silent: Option<Duration>,
    },
    /// Somebody has served for long, and heard of no canary.
    CanaryLapsed,
    /// Carry out the unit whose parts were staged under this number, with this length in all. Each part is the encoding of a
    /// [`Command::CommitUnit`] with some of its messages; one of them names it.
    Staged {
        number: StagedBodyId,
        length: usize,
    },
}

// A command is handed on often, and most are places.
const _: () = assert!(size_of::<Command>() <= 120, "what is seldom has memory of its own");

impl Command {
    /// The version that brought it, in this form: a queue manager that has an older one is not given it.
    pub fn since(&self) -> Version {
        match self {
            Command::BeginTerm { leader: Some(_) }
            | Command::Account { .. }
            | Command::Classify(_)
            | Command::CanaryGood { .. }
            | Command::CanaryLapsed => Version::RECORDS,
            Command::HandOver { by, .. } if **by != By::default() => Version::TRAIL,
            Command::HandOver { .. } => Version::RECORDS,
            Command::Maintain { by, .. } | Command::Run { by, .. } | Command::Deregister { by, .. } => {
                by.since().max(Version::RECORDS)
            }
            Command::Register(record) => {
                let is_told = record.by.as_ref().is_some_and(|by| by.tongue() != Tongue::None);
                match record.canary || !record.addresses.is_empty() {
                    true => Version::PLACES,
                    false if is_told => Version::TRAIL,
                    false => Version::RECORDS,
                }
            }
            Command::Arrange(_) => Version::PLACES,
            Command::Define { by, .. }
            | Command::Alter { by, .. }
            | Command::Delete { by, .. }
            | Command::Clear { by, .. }
            | Command::SetRecord { by, .. } => by.since(),
            Command::Place(place) => place.since(),
            Command::CommitUnit { places, .. } => {
                places.iter().map(Place::since).max().unwrap_or(Version::FIRST)
            }
            _ => Version::FIRST,
        }
    }

    /// Whether a queue manager of an older version carries it out, but for what the version brought.
    pub(super) fn is_of_any_version(&self) -> bool {
        matches!(self, Command::Place(_) | Command::BeginTerm { .. })
    }
}

/// One message becomes visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub queue: QueueId,
    /// Priority and persistence are resolved, the message id is set. The body is empty when it was staged. In the memory in
    /// which it will be on the queue: a place is handed on often.
    pub message: Box<Message>,
    /// The id is the queue manager's own: its last 8 bytes. Saves 16 bytes a message in the log.
    pub unique: Option<u64>,
    pub producer: Option<ProducerSequence>,
    /// With which warning its program is answered, or that there is none: for its repetitions. None where the put has no sequence, or was
    /// let in before [`Version::RECORDS`].
    pub warning: Option<Option<Reason>>,
    pub staged: Option<(StagedBodyId, usize)>,
    /// Placed with it.
    pub report: Option<Box<Report>>,
}

impl Place {
    /// Of a message with its body, that nobody repeats.
    pub fn new(queue: QueueId, message: Box<Message>, unique: Option<u64>) -> Place {
        Place { queue, message, unique, producer: None, warning: None, staged: None, report: None }
    }
}

/// A report about the message of a [`Place`], placed with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub queue: QueueId,
    /// Its body is what stands in front of the data, and its checksum that of the whole.
    pub message: Box<Message>,
    /// As in a [`Place`].
    pub unique: Option<u64>,
    /// Which bytes of the other message's body are its data: from where on, and how many.
    pub data: (usize, usize),
}

/// Messages of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub queue: QueueId,
    pub positions: Vec<Position>,
}

impl Place {
    /// What is around the body and what programs say of it: ids, numbers, lengths.
    const AROUND_BYTES: usize = 192;

    /// Bytes that it takes in a log entry, at most.
    pub fn weight(&self) -> usize {
        let producer = self.producer.as_ref().map_or(0, |of| of.producer.0.len());
        let of = |message: &Message| Place::AROUND_BYTES + message.body.len() + message.descriptor.rest.len();
        of(&self.message) + producer + self.report.as_ref().map_or(0, |report| of(&report.message))
    }

    /// The queues on which a message is placed.
    pub fn queues(&self) -> impl Iterator<Item = QueueId> {
        [Some(self.queue), self.report.as_ref().map(|report| report.queue)].into_iter().flatten()
    }

    fn since(&self) -> Version {
        match (&self.report, self.warning) {
            (None, None) => Version::FIRST,
            _ => Version::RECORDS,
        }
    }
}

impl Removal {
    /// Bytes that it takes in a log entry, at most.
    pub fn weight(&self) -> usize {
        16 + 16 * self.positions.len()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the entry is not a batch: {0}")]
    Malformed(#[from] Malformed),
    #[error("the entry has a command that cannot be read: {0}")]
    Command(#[from] prost::DecodeError),
    #[error(transparent)]
    Version(#[from] NotSpoken),
    #[error(
        "it has a command of a kind that this program does not know: start the newer release that the other nodes run"
    )]
    Unknown,
    #[error("the entry has version {has}, and a command that came with version {since}")]
    TooNew { has: Version, since: Version },
    #[error("the entry has an invalid {0}")]
    Field(&'static str),
}

impl From<codec::Invalid> for DecodeError {
    fn from(invalid: codec::Invalid) -> DecodeError {
        DecodeError::Field(invalid.0)
    }
}

/// For at most this many commands of a batch memory is reserved before they are read.
const COMMANDS_GUESSED_MAX: usize = 512;

/// Collects the commands of one turn into the data of one entry.
#[derive(Debug)]
pub struct BatchEncoder {
    version: Version,
    buffer: BytesMut,
    commands: usize,
    /// How long batches were of late: memory that grows is copied.
    expected: usize,
}

impl Default for BatchEncoder {
    fn default() -> BatchEncoder {
        BatchEncoder { version: Version::FIRST, buffer: BytesMut::new(), commands: 0, expected: 0 }
    }
}

impl BatchEncoder {
    /// The queue manager has this version: batches that begin from now on say so, and may have what it allows.
    pub fn speak(&mut self, version: Version) {
        assert!(self.is_empty(), "a batch has one version");
        debug_assert!(version >= self.version, "a version is never taken back");
        self.version = version;
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }

    pub fn commands(&self) -> usize {
        self.commands
    }

    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    pub fn append(&mut self, command: Command, at: WallTime) {
        assert!(command.since() <= self.version, "{command:?} is not known in version {}", self.version);
        debug_assert_eq!(
            self.commands == 0,
            self.buffer.is_empty(),
            "a batch has bytes when it has commands"
        );
        if self.commands == 0 {
            self.buffer.reserve(self.expected);
            let head = wire::Batch { version: self.version.0, at_ms: at.0, commands: Vec::new() };
            head.encode(&mut self.buffer).expect("BytesMut grows");
        }
        let mut announced = 0;
        put_command(command, &mut self.buffer, |length, into| {
            into.reserve(field_length(length));
            begin_field(3, length, into);
            announced = into.len() + length;
        });
        assert_eq!(self.buffer.len(), announced, "a command is as long as was announced");
        self.commands += 1;
    }

    /// The entry's data, and an empty encoder.
    pub fn take(&mut self) -> Bytes {
        assert!(self.commands > 0, "an entry has a command");
        self.commands = 0;
        let data = std::mem::take(&mut self.buffer);
        self.expected = (data.len() + data.len() / 8).max(self.expected - self.expected / 8);
        // Messages stay in memory as slices of it.
        if data.capacity() > 2 * data.len() { Bytes::copy_from_slice(&data) } else { data.freeze() }
    }
}

/// What prost would make of a `Message`, with every length found once and nothing copied but the message.
struct MessageEncoding<'a> {
    length: usize,
    descriptor: EncodedDescriptor<'a>,
    body: &'a Body,
    body_crc: u32,
}

impl<'a> MessageEncoding<'a> {
    const CRC_BYTES: usize = 5;

    fn of(message: &'a mut Message, unique: Option<u64>) -> MessageEncoding<'a> {
        debug_assert!(unique != Some(0), "an id of the queue manager's own is from 1 on");
        debug_assert_ne!(
            message.descriptor.persistence,
            Persistence::NotPersistent,
            "only persistent messages are logged"
        );
        if unique.is_some() {
            message.descriptor.message_id = MessageId::default();
        }
        let message = &*message;
        let descriptor = message.descriptor.encoded(message.descriptor.backout_count);
        let length = field_length(descriptor.len()) + field_length(message.body.len()) + Self::CRC_BYTES;
        MessageEncoding { length, descriptor, body: &message.body, body_crc: message.body_crc }
    }

    /// As a field with this tag.
    fn put(&self, tag: u32, into: &mut BytesMut) {
        begin_field(tag, self.length, into);
        let end = into.len() + self.length;
        begin_field(1, self.descriptor.len(), into);
        self.descriptor.put(into);
        begin_field(2, self.body.len(), into);
        self.body.parts().iter().for_each(|part| into.put_slice(part));
        encode_key(3, WireType::ThirtyTwoBit, into);
        into.put_u32_le(self.body_crc);
        debug_assert_eq!(into.len(), end, "a message ends where its field does");
    }
}

/// The same of a `Place`.
struct PlaceEncoding<'a> {
    length: usize,
    fields: wire::Place,
    message: MessageEncoding<'a>,
    report: Option<ReportEncoding<'a>>,
}

/// The same of a `Report`.
struct ReportEncoding<'a> {
    length: usize,
    fields: wire::Report,
    message: MessageEncoding<'a>,
}

impl<'a> PlaceEncoding<'a> {
    fn of(place: &'a mut Place) -> PlaceEncoding<'a> {
        debug_assert!(
            place.staged.is_none() || place.message.body.is_empty(),
            "a body that was staged is not sent along"
        );
        debug_assert!(
            place.staged.is_none_or(|(number, length)| number.0 > 0 && length > 0),
            "a body that was staged has a number from 1 on, and bytes"
        );
        debug_assert!(
            place.producer.as_ref().is_none_or(|put| put.sequence > 0),
            "a sequence of 0 would be read as none"
        );
        let (producer, producer_sequence, repeated) = match place.producer.take() {
            Some(of) => (of.producer.0, of.sequence, of.repeated),
            None => Default::default(),
        };
        let (staged_body, staged_length) =
            place.staged.map_or((0, 0), |(number, length)| (number.0, length as u64));
        let report = place.report.as_deref_mut().map(|report| {
            let fields = wire::Report {
                queue: report.queue.0,
                message: None,
                unique: report.unique.unwrap_or(0),
                data_from: report.data.0 as u64,
                data_length: report.data.1 as u64,
            };
            let message = MessageEncoding::of(&mut report.message, report.unique);
            let length = fields.encoded_len() + field_length(message.length);
            ReportEncoding { length, fields, message }
        });
        let fields = wire::Place {
            queue: place.queue.0,
            message: None,
            producer,
            producer_sequence,
            staged_body,
            staged_length,
            unique: place.unique.unwrap_or(0),
            repeated,
            report: None,
            warning: place.warning.map(|warning| warning.map_or(0, Reason::number)),
        };
        let message = MessageEncoding::of(&mut place.message, place.unique);
        let of_report = report.as_ref().map_or(0, |report| field_length(report.length));
        let length = fields.encoded_len() + field_length(message.length) + of_report;
        PlaceEncoding { length, fields, message, report }
    }

    /// As a field with this tag.
    fn put(&self, tag: u32, into: &mut BytesMut) {
        begin_field(tag, self.length, into);
        let end = into.len() + self.length;
        self.fields.encode_raw(into);
        self.message.put(2, into);
        if let Some(report) = &self.report {
            begin_field(9, report.length, into);
            report.fields.encode_raw(into);
            report.message.put(2, into);
        }
        debug_assert_eq!(into.len(), end, "a place ends where its field does");
    }
}

/// A field with a tag below 16 and so many bytes in it.
pub(super) fn field_length(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// Tag and length of a field; its bytes follow.
pub(super) fn begin_field(tag: u32, length: usize, into: &mut impl BufMut) {
    debug_assert!((1..16).contains(&tag), "a tag has one byte");
    encode_key(tag, WireType::LengthDelimited, into);
    encode_varint(length as u64, into);
}

/// The batch's time and its commands.
///
/// # Errors
/// It has a version that is not spoken, raises to one, has a command that its version does not have, or is not a batch.
pub fn decode(data: Bytes, speaks: Speaks) -> Result<(WallTime, Vec<Command>), DecodeError> {
    let (mut version, mut at) = (Version(0), WallTime(0));
    let mut commands = Vec::new();
    for field in Fields::of(&data) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => version = Version(value.number() as u32),
            2 => at = WallTime(value.number() as i64),
            // What a version that we do not know says is not looked into.
            3 if speaks.has(version) => {
                let command = value.bytes();
                if commands.is_empty() {
                    // Most are as long as the first.
                    commands.reserve((data.len() / command.len().max(1)).min(COMMANDS_GUESSED_MAX));
                }
                commands.push(decode_command(&data, command, speaks)?);
            }
            _ => {}
        }
    }
    speaks.check("it", version)?;
    match commands.iter().map(Command::since).max() {
        Some(since) if since > version => Err(DecodeError::TooNew { has: version, since }),
        _ => Ok((at, commands)),
    }
}

/// The first field says what it is: places, removals and units, which are most, are read where they lie.
fn decode_command(data: &Bytes, at: &[u8], speaks: Speaks) -> Result<Command, DecodeError> {
    match Fields::of(at).next().transpose()? {
        Some(Field { tag: 1, value: Value::Bytes(place), .. }) => {
            Ok(Command::Place(decode_place(data, place)?))
        }
        Some(Field { tag: 2, value: Value::Bytes(removal), .. }) => {
            Ok(Command::Remove(decode_removal(removal)?))
        }
        Some(Field { tag: 3, value: Value::Bytes(unit), .. }) => decode_unit(data, unit),
        _ => from_wire(wire::Command::decode(data.slice_ref(at))?, speaks),
    }
}

fn decode_unit(data: &Bytes, at: &[u8]) -> Result<Command, DecodeError> {
    let (mut unit, mut units_decided, mut places, mut removals) = (None, 0, Vec::new(), Vec::new());
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => unit = Some(UnitId(Bytes::copy_from_slice(value.bytes()))),
            2 => places.push(decode_place(data, value.bytes())?),
            3 => removals.push(decode_removal(value.bytes())?),
            4 => units_decided = value.number(),
            _ => {}
        }
    }
    let unit = unit.map(|unit| (unit, units_decided));
    Ok(Command::CommitUnit { unit, places, removals })
}

/// What [`removal_to_wire`] made, without a wire form in between.
fn decode_removal(at: &[u8]) -> Result<Removal, DecodeError> {
    let mut removal = Removal { queue: QueueId(0), positions: Vec::new() };
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => removal.queue = QueueId(value.number() as u32),
            2 => removal.positions.push(decode_position(value.bytes())?),
            _ => {}
        }
    }
    Ok(removal)
}

fn decode_position(at: &[u8]) -> Result<Position, DecodeError> {
    let mut position = Position::default();
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => position.rank = u8::try_from(value.number()).map_err(|_| DecodeError::Field("rank"))?,
            2 => position.sequence = value.number(),
            _ => {}
        }
    }
    Ok(position)
}

/// What [`PlaceEncoding::put`] wrote, without a wire form in between: body and descriptor are slices of the entry.
fn decode_place(data: &Bytes, at: &[u8]) -> Result<Place, DecodeError> {
    let mut place = Place {
        queue: QueueId(0),
        message: Box::default(),
        unique: None,
        producer: None,
        warning: None,
        staged: None,
        report: None,
    };
    let (mut producer, mut sequence, mut repeated) = (&[][..], 0, false);
    let (mut staged, mut staged_length) = (0, 0);
    let mut message = None;
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => place.queue = QueueId(value.number() as u32),
            2 => message = Some(value.bytes()),
            3 => producer = value.bytes(),
            4 => sequence = value.number(),
            5 => staged = value.number(),
            6 => staged_length = value.number(),
            7 => place.unique = Some(value.number()),
            8 => repeated = value.number() != 0,
            9 => place.report = Some(Box::new(decode_report(data, value.bytes())?)),
            10 => place.warning = Some(warning_from_wire(value.number())?),
            _ => {}
        }
    }
    *place.message = decode_message(data, message.ok_or(DecodeError::Field("message"))?)?;
    if sequence != 0 {
        let producer = ProducerId(Bytes::copy_from_slice(producer));
        place.producer = Some(ProducerSequence { producer, sequence, repeated });
    }
    if staged != 0 {
        place.staged = Some((StagedBodyId(staged), staged_length as usize));
    }
    Ok(place)
}

fn warning_from_wire(number: u64) -> Result<Option<Reason>, DecodeError> {
    if number == 0 {
        return Ok(None);
    }
    let reason = u32::try_from(number).ok().and_then(Reason::from_number);
    reason.map(Some).ok_or(DecodeError::Field("warning"))
}

fn decode_message(data: &Bytes, at: &[u8]) -> Result<Message, DecodeError> {
    let mut message = Message::default();
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => message.descriptor = Descriptor::from_encoded(data, value.bytes())?,
            2 if !value.bytes().is_empty() => message.body = Body::from(data.slice_ref(value.bytes())),
            3 => message.body_crc = value.number() as u32,
            _ => {}
        }
    }
    Ok(message)
}

/// A place in a body, or a length of one.
fn data_number(value: Value<'_>) -> Result<usize, DecodeError> {
    let number = usize::try_from(value.number()).ok();
    number.filter(|number| *number <= limits::BODY_BYTES_MAX).ok_or(DecodeError::Field("report"))
}

fn decode_report(data: &Bytes, at: &[u8]) -> Result<Report, DecodeError> {
    let mut report = Report { queue: QueueId(0), message: Box::default(), unique: None, data: (0, 0) };
    for field in Fields::of(at) {
        let Field { tag, value, .. } = field?;
        match tag {
            1 => report.queue = QueueId(value.number() as u32),
            2 => *report.message = decode_message(data, value.bytes())?,
            3 => report.unique = Some(value.number()),
            4 => report.data.0 = data_number(value)?,
            5 => report.data.1 = data_number(value)?,
            _ => {}
        }
    }
    // What is not persistent is not in the log, nor is a report about it.
    match report.message.descriptor.persistence {
        Persistence::Persistent => Ok(report),
        _ => Err(DecodeError::Field("report")),
    }
}

/// The encoding of one command, to be staged.
pub fn encode_one(command: Command) -> Bytes {
    let mut encoded = BytesMut::new();
    put_command(command, &mut encoded, |length, into| into.reserve(length));
    encoded.freeze()
}

/// The command that [`encode_one`] encoded.
pub fn decode_one(data: Bytes) -> Result<Command, DecodeError> {
    decode_command(&data, &data, Speaks::RELEASE)
}

/// Its encoding; `begin` is told before how long that will be.
fn put_command(command: Command, into: &mut BytesMut, begin: impl FnOnce(usize, &mut BytesMut)) {
    let kind = match command {
        Command::Place(mut place) => {
            let place = PlaceEncoding::of(&mut place);
            begin(field_length(place.length), into);
            return place.put(1, into);
        }
        Command::CommitUnit { unit, mut places, removals } => {
            debug_assert!(
                unit.as_ref().is_none_or(|(unit, _)| !unit.0.is_empty()),
                "an empty name would be read as none"
            );
            let (unit_id, units_decided) = unit.map(|(unit, decided)| (unit.0, decided)).unwrap_or_default();
            let removes = removals_to_wire(removals);
            let fields = wire::CommitUnit { unit_id, places: Vec::new(), removes, units_decided };
            let places: Vec<PlaceEncoding> = places.iter_mut().map(PlaceEncoding::of).collect();
            let of_places: usize = places.iter().map(|place| field_length(place.length)).sum();
            let length = fields.encoded_len() + of_places;
            begin(field_length(length), into);
            begin_field(3, length, into);
            fields.encode_raw(into);
            return places.iter().for_each(|place| place.put(2, into));
        }
        Command::Remove(removal) => {
            let remove = removal_to_wire(removal);
            let length = remove.encoded_len();
            begin(field_length(length), into);
            begin_field(2, length, into);
            return remove.encode_raw(into);
        }
        Command::Backout(removals) => Kind::Backout(wire::Backout { messages: removals_to_wire(removals) }),
        Command::Expire(removals) => Kind::Expire(wire::Expire { messages: removals_to_wire(removals) }),
        Command::SealUnit { unit, units_decided } => {
            Kind::SealUnit(wire::SealUnit { unit_id: unit.0, units_decided })
        }
        Command::StageBody { number, data } => Kind::StageBody(wire::StageBody { number: number.0, data }),
        Command::DropStaged(numbers) => Kind::DropStaged(wire::DropStaged {
            numbers: numbers.into_iter().map(|number| number.0).collect(),
        }),
        Command::Define { object, like, replace, changes, by } => Kind::Define(wire::Define {
            object: Some(codec::object_to_wire(&object)),
            like,
            replace,
            changes: codec::changes_to_wire(&changes),
            by: Some(codec::by_to_wire(*by)),
        }),
        Command::Alter { object, changes, by } => Kind::Alter(wire::Alter {
            object: Some(codec::object_to_wire(&object)),
            changes: codec::changes_to_wire(&changes),
            by: Some(codec::by_to_wire(*by)),
        }),
        Command::Delete { object, purge, by } => Kind::Delete(wire::Delete {
            object: Some(codec::object_to_wire(&object)),
            purge,
            by: Some(codec::by_to_wire(*by)),
        }),
        Command::Clear { object, by } => Kind::Clear(wire::Clear {
            object: Some(codec::object_to_wire(&object)),
            by: Some(codec::by_to_wire(*by)),
        }),
        Command::SetRecord { record, action, changes, by } => Kind::SetRecord(wire::SetRecord {
            record: Some(codec::object_to_wire(&record)),
            action: codec::action_to_wire(action),
            changes: codec::changes_to_wire(&changes),
            by: Some(codec::by_to_wire(*by)),
        }),
        Command::BeginTerm { leader } => {
            let (node, term) = leader.map_or((0, 0), |(node, term)| (node.0, term.0));
            Kind::BeginTerm(wire::BeginTerm { node, term })
        }
        Command::HandOver { said, by, .. } if *by == By::default() => Kind::HandingOver(said),
        Command::HandOver { said, by, to } => {
            Kind::HandOver(wire::HandOver { said: Some(said), by: Some(codec::by_to_wire(*by)), to_name: to })
        }
        Command::Account { term, account, is_last } => {
            Kind::Account(wire::Account { term: term.0, account: Some(*account), open: !is_last })
        }
        Command::Raise { to, leader: (node, term), by } => {
            let by = Some(codec::by_to_wire(*by));
            Kind::Raise(wire::Raise { version: to.0, node: node.0, term: term.0, by })
        }
        Command::Maintain { node, begins, by, name } => {
            let by = Some(codec::by_to_wire(*by));
            Kind::Maintain(wire::Maintain { node: node.0, begins, by, name })
        }
        Command::Run { state, by } => {
            Kind::Run(wire::Run { state: run_state_to_wire(state).into(), by: Some(codec::by_to_wire(*by)) })
        }
        Command::Register(record) => Kind::Register(*record),
        Command::Arrange(said) => Kind::Arrange(*said),
        Command::Deregister { id, by } => {
            Kind::Deregister(wire::Deregister { id: id.0, by: Some(codec::by_to_wire(*by)) })
        }
        Command::Classify(said) => Kind::Classified(*said),
        Command::CanaryGood { node, silent } => {
            let silent_ms = silent.map(|silent| silent.as_millis() as u64);
            Kind::Observe(wire::Observe { node: node.0, silent_ms })
        }
        Command::CanaryLapsed => Kind::Observe(wire::Observe::default()),
        Command::Staged { number, length } => {
            Kind::Staged(wire::Staged { number: number.0, length: length as u64 })
        }
    };
    let command = wire::Command { command: Some(kind) };
    begin(command.encoded_len(), into);
    command.encode_raw(into);
}

fn from_wire(command: wire::Command, speaks: Speaks) -> Result<Command, DecodeError> {
    let command = match command.command.ok_or(DecodeError::Unknown)? {
        // Something else came first.
        Kind::Place(_) | Kind::CommitUnit(_) => return Err(DecodeError::Field("command")),
        Kind::Remove(removal) => Command::Remove(removal_from_wire(removal)?),
        Kind::Backout(backout) => Command::Backout(removals_from_wire(backout.messages)?),
        Kind::Expire(expire) => Command::Expire(removals_from_wire(expire.messages)?),
        Kind::SealUnit(seal) => {
            Command::SealUnit { unit: UnitId(detached(&seal.unit_id)), units_decided: seal.units_decided }
        }
        Kind::StageBody(stage) => Command::StageBody { number: StagedBodyId(stage.number), data: stage.data },
        Kind::DropStaged(drop) => Command::DropStaged(drop.numbers.into_iter().map(StagedBodyId).collect()),
        Kind::Define(define) => Command::Define {
            object: codec::object_from_wire(define.object)?,
            like: define.like,
            replace: define.replace,
            changes: codec::changes_from_wire(define.changes)?,
            by: by_from_wire(define.by),
        },
        Kind::Alter(alter) => Command::Alter {
            object: codec::object_from_wire(alter.object)?,
            changes: codec::changes_from_wire(alter.changes)?,
            by: by_from_wire(alter.by),
        },
        Kind::Delete(delete) => Command::Delete {
            object: codec::object_from_wire(delete.object)?,
            purge: delete.purge,
            by: by_from_wire(delete.by),
        },
        Kind::Clear(clear) => {
            Command::Clear { object: codec::object_from_wire(clear.object)?, by: by_from_wire(clear.by) }
        }
        Kind::SetRecord(set) => Command::SetRecord {
            record: codec::object_from_wire(set.record)?,
            action: codec::action_from_wire(set.action)?,
            changes: codec::changes_from_wire(set.changes)?,
            by: by_from_wire(set.by),
        },
        Kind::BeginTerm(wire::BeginTerm { node: 0, .. }) => Command::BeginTerm { leader: None },
        Kind::BeginTerm(begin) => {
            Command::BeginTerm { leader: Some(leader_from_wire(begin.node, begin.term)?) }
        }
        Kind::HandingOver(said) => Command::HandOver { said, by: Box::default(), to: String::new() },
        Kind::HandOver(hand_over) => Command::HandOver {
            said: hand_over.said.ok_or(DecodeError::Field("handover"))?,
            by: by_from_wire(hand_over.by),
            to: hand_over.to_name,
        },
        Kind::Account(said) => Command::Account {
            term: Term(said.term),
            account: Box::new(said.account.ok_or(DecodeError::Field("account"))?),
            is_last: !said.open,
        },
        Kind::Raise(raise) => {
            let to = Version(raise.version);
            speaks.check("what it raises the queue manager to", to)?;
            let (leader, by) = (leader_from_wire(raise.node, raise.term)?, by_from_wire(raise.by));
            Command::Raise { to, leader, by }
        }
        Kind::Maintain(wire::Maintain { node: 0, .. }) => return Err(DecodeError::Field("node")),
        Kind::Maintain(maintain) => {
            let (node, by) = (NodeId(maintain.node), by_from_wire(maintain.by));
            Command::Maintain { node, begins: maintain.begins, by, name: maintain.name }
        }
        Kind::Run(run) => Command::Run {
            state: run_state_from_wire(run.state).ok_or(DecodeError::Field("state"))?,
            by: by_from_wire(run.by),
        },
        Kind::Register(record)
            if record.name.is_empty()
                || record.deleted
                || record.revision != 0
                || !record.former.is_empty() =>
        {
            return Err(DecodeError::Field("register"));
        }
        Kind::Register(record) => Command::Register(Box::new(record)),
        Kind::Arrange(said) => Command::Arrange(Box::new(said)),
        Kind::Deregister(said) => {
            Command::Deregister { id: QueueManagerId(said.id), by: by_from_wire(said.by) }
        }
        Kind::Classified(said) => Command::Classify(Box::new(said)),
        Kind::Observe(wire::Observe { node: 0, .. }) => Command::CanaryLapsed,
        Kind::Observe(observed) => {
            let silent = observed.silent_ms.map(Duration::from_millis);
            Command::CanaryGood { node: NodeId(observed.node), silent }
        }
        Kind::Staged(staged) => {
            Command::Staged { number: StagedBodyId(staged.number), length: staged.length as usize }
        }
    };
    Ok(command)
}

fn by_from_wire(by: Option<wire::By>) -> Box<By> {
    Box::new(codec::by_from_wire(by))
}

/// Nodes and terms are counted from 1 on.
fn leader_from_wire(node: u64, term: u64) -> Result<(NodeId, Term), DecodeError> {
    match (node, term) {
        (0, _) => Err(DecodeError::Field("node")),
        (_, 0) => Err(DecodeError::Field("term")),
        _ => Ok((NodeId(node), Term(term))),
    }
}

pub(super) fn run_state_to_wire(state: RunState) -> wire_admin::RunState {
    match state {
        RunState::Running => wire_admin::RunState::Running,
        RunState::Quiescing => wire_admin::RunState::Quiescing,
        RunState::EndedNormally => wire_admin::RunState::EndedNormally,
        RunState::EndedImmediately => wire_admin::RunState::EndedImmediately,
    }
}

pub(super) fn run_state_from_wire(state: i32) -> Option<RunState> {
    Some(match wire_admin::RunState::try_from(state).ok()? {
        wire_admin::RunState::Running => RunState::Running,
        wire_admin::RunState::Quiescing => RunState::Quiescing,
        wire_admin::RunState::EndedNormally => RunState::EndedNormally,
        wire_admin::RunState::EndedImmediately => RunState::EndedImmediately,
    })
}

fn removal_to_wire(removal: Removal) -> wire::Remove {
    wire::Remove {
        queue: removal.queue.0,
        positions: removal
            .positions
            .into_iter()
            .inspect(|position| debug_assert!(position.is_persistent(), "{position:?} is not replicated"))
            .map(|position| wire::Position { rank: u32::from(position.rank), sequence: position.sequence })
            .collect(),
    }
}

fn removals_to_wire(removals: Vec<Removal>) -> Vec<wire::Remove> {
    removals.into_iter().map(removal_to_wire).collect()
}

fn removal_from_wire(removal: wire::Remove) -> Result<Removal, DecodeError> {
    let position = |position: wire::Position| {
        let rank = u8::try_from(position.rank).map_err(|_| DecodeError::Field("rank"))?;
        Ok(Position { rank, sequence: position.sequence, minor: 0 })
    };
    Ok(Removal {
        queue: QueueId(removal.queue),
        positions: removal.positions.into_iter().map(position).collect::<Result<_, DecodeError>>()?,
    })
}

fn removals_from_wire(removals: Vec<wire::Remove>) -> Result<Vec<Removal>, DecodeError> {
    removals.into_iter().map(removal_from_wire).collect()
}

/// A copy of its own, so that a few bytes that are kept for long do not keep a whole entry in memory.
fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The id that `unique` stands for: "AMQ ", the first 12 characters of the queue manager's name, 8 unique bytes (the
/// form MQ's own ids have).
pub fn message_id(queue_manager: &ObjectName, unique: u64) -> MessageId {
    let mut id = [b' '; 24];
    id[..4].copy_from_slice(b"AMQ ");
    let name = queue_manager.as_str().as_bytes();
    let length = name.len().min(12);
    id[4..4 + length].copy_from_slice(&name[..length]);
    id[16..].copy_from_slice(&unique.to_be_bytes());
    MessageId(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Persistence;
    use crate::types::definition::ObjectKind;

    fn by() -> Box<By> {
        Box::new(By {
            user: "joe".into(),
            application: "test".into(),
            address: "10.0.0.1:5000".into(),
            channel: "APP.SVRCONN".into(),
            tongue: Tongue::Mqsc,
        })
    }

    /// What the release wrote that did not say by whom.
    #[test]
    fn a_raise_and_a_maintenance_by_nobody_are_read() {
        let raise = Kind::Raise(wire::Raise { version: 3, node: 2, term: 3, by: None });
        let maintain = wire::Maintain { node: 2, begins: true, by: None, name: String::new() };
        let maintain = Kind::Maintain(maintain);
        let commands = [raise, maintain].map(|kind| wire::Command { command: Some(kind) });
        let batch = wire::Batch { version: 3, at_ms: 1, commands: commands.to_vec() };
        let (_, read) = decode(batch.encode_to_vec().into(), Speaks::RELEASE).unwrap();
        let by = Box::<By>::default();
        let raise = Command::Raise { to: Version::RECORDS, leader: (NodeId(2), Term(3)), by: by.clone() };
        let maintain = Command::Maintain { node: NodeId(2), begins: true, by, name: String::new() };
        assert_eq!(read, [raise, maintain]);
    }

    #[test]
    fn a_batch_comes_back_as_it_was_and_bodies_are_slices_of_it() {
        let message = Message {
            descriptor: Descriptor {
                message_id: message_id(&ObjectName::new("QM").unwrap(), 7),
                priority: Some(3),
                persistence: Persistence::Persistent,
                ..Descriptor::default()
            },
            body: Body::from(Bytes::from_static(b"hello")),
            body_crc: crc32c::crc32c(b"hello"),
        };
        let producer = ProducerId(Bytes::from_static(b"app"));
        let producer = Some(ProducerSequence { producer, sequence: 7, repeated: true });
        let message = Box::new(message);
        let of_report = Message {
            descriptor: Descriptor { message_id: MessageId::default(), ..message.descriptor.clone() },
            body: Body::from(Bytes::from_static(b"in front")),
            body_crc: message.body_crc,
        };
        let report =
            Report { queue: QueueId(5), message: Box::new(of_report), unique: Some(7), data: (1, 3) };
        let mut place = Place {
            queue: QueueId(4),
            message,
            unique: None,
            producer,
            warning: None,
            staged: None,
            report: None,
        };
        let plain = place.clone();
        place.report = Some(Box::new(report));
        place.warning = Some(Some(Reason::QFull));
        let position = Position { rank: 9, sequence: 77, minor: 0 };
        let removal = Removal { queue: QueueId(4), positions: vec![position] };
        let commands = vec![
            Command::Place(Place { warning: Some(None), ..plain.clone() }),
            Command::Place(plain),
            Command::Place(place.clone()),
            Command::Remove(removal.clone()),
            Command::CommitUnit {
                unit: Some((UnitId(Bytes::from_static(b"unit")), 300)),
                places: vec![place],
                removals: vec![removal.clone()],
            },
            Command::Backout(vec![removal]),
            Command::SealUnit { unit: UnitId(Bytes::from_static(b"unit")), units_decided: 9 },
            Command::Alter {
                object: ObjectRef::manager(),
                changes: Changes::default().with(ObjectKind::QueueManager, "DEADQ", "").with(
                    ObjectKind::QueueManager,
                    "MAXUMSGS",
                    5,
                ),
                by: by(),
            },
            Command::BeginTerm { leader: None },
            Command::Raise { to: Version::TRAIL, leader: (NodeId(2), Term(3)), by: by() },
            Command::HandOver { said: HandingOver::default(), by: by(), to: "b".into() },
            Command::HandOver { said: HandingOver::default(), by: Box::default(), to: String::new() },
            Command::Maintain { node: NodeId(2), begins: true, by: by(), name: "b".into() },
            Command::Run { state: RunState::EndedImmediately, by: Box::default() },
            Command::Register(Box::new(Registered {
                name: "QM2".into(),
                port: 1415,
                ..Registered::default()
            })),
            Command::Register(Box::new(Registered {
                name: "QM3".into(),
                addresses: vec!["10.0.0.50/24".into()],
                canary: true,
                followed: 3,
                ..Registered::default()
            })),
            Command::Arrange(Box::new(Arrange {
                id: 65_536,
                addresses: Some(wire::FloatingAddresses::default()),
                preferred: Some(0),
                ..Arrange::default()
            })),
            Command::Deregister { id: QueueManagerId(65_536), by: Box::default() },
            Command::Classify(Box::new(Classified {
                number: 7,
                because: "a cable".into(),
                ..Classified::default()
            })),
            Command::CanaryGood { node: NodeId(2), silent: None },
            Command::CanaryGood { node: NodeId(2), silent: Some(Duration::from_millis(1_003)) },
            Command::CanaryLapsed,
        ];
        let mut encoder = BatchEncoder::default();
        encoder.speak(Version::PLACES);
        for command in &commands {
            encoder.append(command.clone(), WallTime(12));
        }
        let data = encoder.take();
        assert!(encoder.is_empty());

        let (at, decoded) = decode(data.clone(), Speaks::RELEASE).unwrap();
        assert_eq!(at, WallTime(12));
        assert_eq!(decoded, commands);
        let Command::Place(place) = &decoded[0] else { panic!("{decoded:?}") };
        let body = place.message.body.parts()[0].as_ptr() as usize;
        assert!((data.as_ptr() as usize..data.as_ptr() as usize + data.len()).contains(&body));
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        assert!(decode(Bytes::from_static(b"\xff\xff\xff"), Speaks::RELEASE).is_err());
        assert!(matches!(decode(Bytes::new(), Speaks::RELEASE), Err(DecodeError::Version(_))));
    }

    /// What a program with this range makes of a batch of that version.
    fn read(command: Command, version: Version, speaks: Speaks) -> Result<Vec<Command>, String> {
        let mut encoder = BatchEncoder::default();
        encoder.speak(version);
        encoder.append(command, WallTime(1));
        decode(encoder.take(), speaks).map(|(_, commands)| commands).map_err(|error| error.to_string())
    }

    #[test]
    fn an_older_program_refuses_what_a_newer_one_wrote_with_a_sentence() {
        let (old, new) = (Speaks::up_to(Version::FIRST), Speaks::RELEASE);
        let begin = Command::BeginTerm { leader: Some((NodeId(2), Term(3))) };
        assert_eq!(read(begin.clone(), Version::RECORDS, new), Ok(vec![begin.clone()]));
        let refused = read(begin, Version::RECORDS, old).unwrap_err();
        assert!(refused.contains("has version 3, and this program speaks version 2"), "{refused}");
        // Also one whose commands it would know.
        let removal = Command::Remove(Removal { queue: QueueId(1), positions: Vec::new() });
        assert!(read(removal.clone(), Version::RECORDS, old).is_err());
        assert_eq!(read(removal.clone(), Version::FIRST, old), Ok(vec![removal]));
        // The entry that raises is written in the version before.
        let raise = Command::Raise { to: Version::RECORDS, leader: (NodeId(2), Term(3)), by: by() };
        assert_eq!(read(raise.clone(), Version::FIRST, new), Ok(vec![raise.clone()]));
        assert!(read(raise, Version::FIRST, old).is_err());
        let unknown = wire::Batch { version: 2, at_ms: 0, commands: vec![wire::Command { command: None }] };
        let refused = decode(unknown.encode_to_vec().into(), new).unwrap_err().to_string();
        assert!(refused.contains("a kind that this program does not know"), "{refused}");
    }

    #[test]
    fn an_entry_that_no_leader_writes_is_refused() {
        let begin = |node, term| Kind::BeginTerm(wire::BeginTerm { node, term });
        let raise = |node, term| Kind::Raise(wire::Raise { version: 3, node, term, by: None });
        let read = |version, kind| {
            let command = wire::Command { command: Some(kind) };
            let batch = wire::Batch { version, at_ms: 0, commands: vec![command] };
            decode(batch.encode_to_vec().into(), Speaks::RELEASE)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(3, begin(2, 3)), Ok(()));
        let older = "the entry has version 2, and a command that came with version 3";
        assert_eq!(read(2, begin(2, 3)), Err(older.into()));
        assert_eq!(read(2, Kind::Observe(wire::Observe::default())), Err(older.into()));
        assert_eq!(read(3, begin(2, 0)), Err("the entry has an invalid term".into()));
        assert_eq!(read(2, raise(2, 3)), Ok(()));
        assert_eq!(read(2, raise(0, 3)), Err("the entry has an invalid node".into()));
        assert_eq!(read(2, raise(2, 0)), Err("the entry has an invalid term".into()));
    }

    #[test]
    #[should_panic(expected = "is not known in version 2")]
    fn what_is_newer_than_the_queue_manager_is_not_written() {
        let begin = Command::BeginTerm { leader: Some((NodeId(2), Term(3))) };
        BatchEncoder::default().append(begin, WallTime(1));
    }
}
