//! Records that are sealed one to the other: a chain.
//!
//! A seal is SHA-256 over the record's Protobuf encoding without the seal, fields in the order of their numbers. Each record
//! has the seal of the one before in it, so that none can be changed, taken out or put in without all later ones.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

/// A record of a chain.
pub trait Link: Message + Clone + PartialEq {
    /// From 1 on, without gaps.
    fn number(&self) -> u64;

    /// Empty for the first.
    fn sealed_before(&self) -> &Bytes;

    /// Empty while more of the record is to come.
    fn seal(&self) -> &Bytes;

    /// The same with this seal.
    fn sealed(self, seal: Bytes) -> Self;
}

/// What a record is sealed with, whatever its seal says.
pub fn seal_of(record: &impl Link) -> Bytes {
    let unsealed = record.clone().sealed(Bytes::new());
    Bytes::copy_from_slice(&Sha256::digest(unsealed.encode_to_vec()))
}

/// What is wrong with a chain of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The record is not what was sealed.
    Changed { number: u64 },
    /// It is not sealed to the one before.
    Unchained { number: u64 },
    /// Records in front of this one are missing.
    Missing { number: u64 },
    /// It has no seal, and is not the last one.
    Open { number: u64 },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Changed { number } => write!(f, "record {number} is not what was sealed"),
            Broken::Unchained { number } => {
                write!(f, "record {number} is not sealed to record {}", number - 1)
            }
            Broken::Missing { number } => write!(f, "records in front of {number} are missing"),
            Broken::Open { number } => write!(f, "record {number} has no seal, and later ones have"),
        }
    }
}

/// Looks at records in the order of their numbers. The newest one may be open: more of it is to come.
///
/// # Errors
/// The first place where they are not a chain. What is in front of the first record is not looked at.
pub fn verify<L: Link>(records: &[L]) -> Result<(), Broken> {
    for (place, record) in records.iter().enumerate() {
        let number = record.number();
        if let Some(before) = place.checked_sub(1).map(|place| &records[place]) {
            if before.number() + 1 != number {
                return Err(Broken::Missing { number });
            }
            if before.seal() != record.sealed_before() {
                return Err(Broken::Unchained { number });
            }
        }
        let is_last = place + 1 == records.len();
        match record.seal().is_empty() {
            true if is_last => {}
            true => return Err(Broken::Open { number }),
            false if seal_of(record) != *record.seal() => return Err(Broken::Changed { number }),
            false => {}
        }
    }
    Ok(())
}

/// The first record of `other` that is not the one of `chain` with its number, as far as both are sealed.
pub fn differs<'a, L: Link>(chain: &[L], other: &'a [L]) -> Option<&'a L> {
    let of_both = |record: &&L| {
        let there = chain.iter().find(|mine| mine.number() == record.number());
        there.is_some_and(|mine| !mine.seal().is_empty() && mine.seal() != record.seal())
    };
    other.iter().filter(|record| !record.seal().is_empty()).find(of_both)
}
