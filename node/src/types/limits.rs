//! Bounds that hold everywhere. What is over one of them waits or is refused with a reason code.

/// Longest body, MQ's own limit (MAXMSGL).
pub const BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
/// A body longer than this is staged in the log in chunks of this size before its message is ordered.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes that are staged under one number: a body, or a unit of work with its bodies and what is around them.
pub const STAGED_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// A log entry is closed when it has grown past this, and no command is longer: larger units are staged.
pub const ENTRY_BYTES_SOFT: usize = 512 * 1024;
/// So no log entry of this node's is larger: what it had, and one more command with what is around them.
pub const ENTRY_BYTES_MAX: usize = 2 * ENTRY_BYTES_SOFT + 1024;
/// Open handles of one session (MAXHANDS).
pub const HANDLES_MAX: usize = 256;
/// Longest message selector, in bytes (MQ_SELECTOR_LENGTH).
pub const SELECTOR_BYTES_MAX: usize = 10_240;
/// Bytes of memory that the selectors of a session's handles take: of a few dozen with a hundred conditions each.
pub const SELECTORS_BYTES_MAX: u64 = 1024 * 1024;
/// Calls of one session that are not answered yet; a listener stops reading there.
pub const CALLS_IN_FLIGHT_MAX: usize = 10_000;
/// Messages of one unit of work, default of MAXUMSGS.
pub const UNIT_MESSAGES_DEFAULT: u32 = 10_000;
/// Bytes of message bodies one unit of work may hold.
pub const UNIT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Sequences remembered of one producer: its newest.
pub const PRODUCER_WINDOW: usize = 10_000;
/// Of one producer, of how many stretches of its puts it is remembered what else they were told than the id: a stretch is a group that was
/// put in order, or puts behind each other that had the same warning.
pub const PRODUCER_TOLD_MAX: usize = 1_000;
/// Producers whose sequences are remembered whatever their age: those that put last.
pub const PRODUCERS_MIN: usize = 10_000;
/// Producers whose sequences are remembered at most.
pub const PRODUCERS_MAX: usize = 100_000;
/// Sequences remembered of all producers together: about 500 MB. Beyond, producers that were quiet for longest go.
pub const SEQUENCES_MAX: usize = 10_000_000;
/// Producers remembered by name and highest sequence only, after their sequences were forgotten: about 60 MB.
pub const PRODUCER_NAMES_MAX: usize = 1_000_000;
/// Outcomes of units remembered whatever their age: the newest.
pub const OUTCOMES_MIN: usize = 100_000;
/// Outcomes of units remembered at most: about 150 MB.
pub const OUTCOMES_MAX: usize = 1_000_000;
/// What programs may ask for again is remembered for ten minutes, unless that would be more than the limits above.
pub const REMEMBERED_MS: i64 = 600_000;
/// Objects that one answer lists at most; who wants to know of more asks again. They are worded, by whoever answers, in about a
/// millisecond.
pub const OBJECTS_A_PAGE: usize = 100;
/// An answer lists no more objects when what they say weighs so much.
pub const PAGE_BYTES: usize = 512 * 1024;
/// Records of one profile, which one answer lists together.
pub const RECORDS_A_PROFILE_MAX: usize = 500;
/// What they weigh together.
pub const PROFILE_BYTES_MAX: usize = 1024 * 1024;
/// Queues of one queue manager.
pub const QUEUES_MAX: usize = 1_000_000;
/// What one definition weighs ([`super::definition::Definition::weight`]).
pub const DEFINITION_BYTES_MAX: usize = 64 * 1024;
/// What all definitions of a node take, if its memory is not too little for that (`Share::Definitions`): those of a million queues that
/// say little.
pub const DEFINITIONS_BYTES_MAX: usize = 2560 * 1024 * 1024;
/// What an object takes beside what its definition weighs: its places by name, and its settings, which are a node of a tree however few
/// they are. Measured: 20,000 channels and remote queues took 1,270 bytes each, and weigh 510.
pub const OBJECT_BYTES: usize = 700;
/// What a local queue takes besides: its place by number, its rules, and the queue itself. Measured: 60,000 that say little took 2,150
/// bytes each, and weigh 500.
pub const LOCAL_QUEUE_BYTES: usize = 1_000;
/// Characters of a user's or application's name that a log entry says.
pub const BY_CHARACTERS_MAX: usize = 256;
/// Bytes of bodies that wait for a client to take them; over it, a client that takes nothing for ten seconds loses
/// its connection.
pub const UNREAD_BYTES_MAX: usize = 64 * 1024 * 1024;

// What the bounds promise each other.
const _: () = assert!(CHUNK_BYTES < ENTRY_BYTES_SOFT, "a part of a body leaves room for other commands");
const _: () =
    assert!(ENTRY_BYTES_SOFT + CHUNK_BYTES < ENTRY_BYTES_MAX, "an entry has room for the part that ends it");
const _: () = assert!(
    3 * DEFINITION_BYTES_MAX + 16 * BY_CHARACTERS_MAX < ENTRY_BYTES_SOFT,
    "a command that defines has what is said, two names that weigh no more, and who said it"
);
const _: () = assert!(DEFINITION_BYTES_MAX <= PROFILE_BYTES_MAX, "a profile may have one record");
const _: () = assert!(BODY_BYTES_MAX <= UNIT_BYTES_MAX, "the longest body can be put under syncpoint");
const _: () =
    assert!(UNIT_BYTES_MAX < STAGED_BYTES_MAX, "the largest unit can be staged, and what is around it");
const _: () = assert!(BODY_BYTES_MAX <= u32::MAX as usize, "a slot has 32 bits for the length of a body");
const _: () = assert!(QUEUES_MAX < u32::MAX as usize, "there are more numbers than queues");
const _: () = assert!(PRODUCERS_MIN <= PRODUCERS_MAX, "some producers are remembered whatever their age");
const _: () =
    assert!(PRODUCERS_MAX <= PRODUCER_NAMES_MAX, "every producer that is forgotten leaves a name behind");
const _: () = assert!(PRODUCER_WINDOW <= SEQUENCES_MAX, "one producer cannot have more than all");
const _: () = assert!(OUTCOMES_MIN <= OUTCOMES_MAX, "some outcomes are remembered whatever their age");
