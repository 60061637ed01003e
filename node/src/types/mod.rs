//! Plain values of the domain (L0), and what reads and writes the ones that a put hands on: `message` and `fields` are a codec for
//! Protobuf (ARCHITECTURE.md, decision 18), `message_selector` translates selectors and evaluates them. Nothing here decides,
//! waits or does IO.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![warn(clippy::missing_errors_doc)]

pub mod ids;
pub mod time;
pub mod reason;
pub mod name;
pub mod fields;
pub mod message;
pub mod report;
pub mod definition;
pub mod term_starts;
pub mod group;
pub mod selection;
pub mod message_selector;
pub mod inspected;
pub mod role;
pub mod run_state;
pub mod ends;
pub mod network;
pub mod unit;
pub mod version;
pub mod limits;
pub mod account;
mod authenticated;
pub mod pieces;
pub mod planted;

pub use account::{Account, Held, Share};
pub use authenticated::{Authenticated, Proof};
pub use ends::Ends;
pub use group::{Membership, NodeInfo, SnapshotMeta};
pub use ids::*;
pub use inspected::{Inspected, Inspector};
pub use message::{
    Body, CorrelationId, DefaultContext, Descriptor, EncodedDescriptor, GroupId, InGroup, Message, MessageId,
    Persistence, WrongDescriptor, message_flags, native,
};
pub use message_selector::{MessageSelector, SelectorError};
pub use name::ObjectName;
pub use network::InNetwork;
pub use pieces::Pieces;
pub use reason::{CompletionCode, Reason};
pub use report::{Cause, ReportData, ReportOptions};
pub use role::{ClocksDiffer, FloatingAddress, OutOfSync, Role, RoleView, WaitsFor, WhyNotServing};
pub use run_state::RunState;
pub use selection::Selection;
pub use term_starts::TermStarts;
pub use time::{Instant, Now, WallTime};
pub use unit::{ProducerId, ProducerSequence, UnitId, UnitState};
pub use version::{NotSpoken, Speaks, Version};

/// A map that is only looked up, never iterated where order matters: fixed hash, so that a run repeats to the bit.
#[allow(clippy::disallowed_types)]
pub type LookupMap<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<FixedHasher>>;
/// The set that goes with [`LookupMap`].
#[allow(clippy::disallowed_types)]
pub type LookupSet<K> = std::collections::HashSet<K, std::hash::BuildHasherDefault<FixedHasher>>;

/// Multiply-and-rotate hasher without a seed. Not resistant to chosen keys: bounded maps of our own ids only.
#[derive(Default, Clone, Copy)]
pub struct FixedHasher(u64);

impl std::hash::Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        // The high bits are the well mixed ones; hashbrown uses both ends.
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(5);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
