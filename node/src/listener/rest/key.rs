//! An Idempotency-Key as the queue manager knows it: a producer of one put.
//!
//! So a key is remembered with the message, on every node, for as long as producers are (`qmgr/producers.rs`), and a repetition is
//! answered with the id of the first put. A key is its user's, and is about one queue.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::types::{ProducerId, ProducerSequence, Reason};

/// Characters of a key.
const KEY_CHARACTERS_MAX: usize = 255;
/// Of the hash: enough that no two keys meet, and as many as the name of a producer has room for.
const HASH_BYTES: usize = 24;

/// The producer and the only sequence of it.
///
/// # Errors
/// 400 for a key of none, too many or other characters.
pub fn producer(key: &str, user: &str, queue: &str) -> Result<ProducerSequence, Problem> {
    let is_key =
        (1..=KEY_CHARACTERS_MAX).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !is_key {
        let detail =
            format!("An Idempotency-Key is 1 to {KEY_CHARACTERS_MAX} printable characters of ASCII.");
        return Err(Problem::bad(Reason::OptionsError, detail));
    }
    let mut hash = Sha256::new();
    for part in [user, queue, key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let digits: String = hash[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    let producer = ProducerId(Bytes::from(format!("REST-KEY-{digits}")));
    Ok(ProducerSequence { producer, sequence: 1, repeated: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_users_and_about_one_queue() {
        let of = |key: &str, user: &str, queue: &str| producer(key, user, queue).unwrap();
        assert_eq!(of("1", "ann", "Q"), of("1", "ann", "Q"));
        let others = [of("2", "ann", "Q"), of("1", "bob", "Q"), of("1", "ann", "Q2"), of("Q1", "ann", "")];
        assert!(others.iter().all(|other| *other != of("1", "ann", "Q")));
        assert!(ProducerId::new(of("1", "ann", "Q").producer.0).is_ok());
        for key in ["", "a\tb", &"k".repeat(256)] {
            assert!(producer(key, "ann", "Q").is_err(), "{key:?}");
        }
    }
}
