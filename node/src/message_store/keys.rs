//! Keys begin with the queue manager's id, big-endian, so that a queue manager is one range of each family.

use bytes::Bytes;
use prost::Message;
use trimaran_proto::replica::v1 as wire;

use crate::consensus::{meta_from_wire, meta_to_wire};
use crate::qmgr::Family;
use crate::types::{QueueManagerId, SnapshotMeta};

/// Where reading rows goes on: with the row after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeKey {
    pub family: Family,
    pub key: Bytes,
}

/// Row of the state family that says what the rows are the state of.
pub(super) fn meta_key(queue_manager: QueueManagerId) -> [u8; 8] {
    let mut key = *b"....meta";
    key[..4].copy_from_slice(&queue_manager.0.to_be_bytes());
    key
}

/// Half open range of a queue manager's keys.
pub(super) fn range_of(queue_manager: QueueManagerId) -> ([u8; 4], Vec<u8>) {
    let until = match queue_manager.0.checked_add(1) {
        Some(next) => next.to_be_bytes().to_vec(),
        // No key of ours goes on with this many.
        None => vec![0xff; 64],
    };
    (queue_manager.0.to_be_bytes(), until)
}

pub(super) fn encode_meta(meta: &SnapshotMeta) -> Vec<u8> {
    meta_to_wire(meta).encode_to_vec()
}

pub(super) fn decode_meta(bytes: &[u8]) -> Result<SnapshotMeta, prost::DecodeError> {
    let mut meta = wire::SnapshotMeta::decode(bytes)?;
    // A row without one is of a group of nobody.
    meta.membership.get_or_insert_default();
    Ok(meta_from_wire(meta).expect("it has a membership"))
}
