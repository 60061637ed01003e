//! What is counted over the messages of one queue, or of all.

use super::digest::Digest;

/// Over the messages of one queue, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub messages: u64,
    pub not_persistent: u64,
    /// What these take in memory, about.
    pub not_persistent_bytes: u64,
    /// Of every replicated fact of the queue but its definition.
    pub(super) digest: Digest,
}

impl Sums {
    pub(super) fn add(&mut self, one: Sums) {
        self.messages += one.messages;
        self.not_persistent += one.not_persistent;
        self.not_persistent_bytes += one.not_persistent_bytes;
        self.digest.add_all(one.digest);
    }

    pub(super) fn take(&mut self, one: Sums) {
        assert!(self.messages >= one.messages, "the messages of one queue are among those of all");
        assert!(self.not_persistent <= self.messages, "whoever is not persistent is counted with all");
        assert!(
            self.not_persistent_bytes >= one.not_persistent_bytes,
            "the memory that one queue takes is part of what all take"
        );
        self.messages -= one.messages;
        self.not_persistent -= one.not_persistent;
        self.not_persistent_bytes -= one.not_persistent_bytes;
        self.digest.take_all(one.digest);
    }
}
