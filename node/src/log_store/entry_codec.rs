//! An [`Entry`] as raft-engine stores it: the wire format of Raft's `eraftpb.Entry`, written by hand so that the data
//! is copied once and consensus keeps its library to itself.
//!
//! ```text
//! 1: entry_type (varint, left out when 0)   2: term   3: index   4: data   6: context = CRC-32C of data, LE
//! ```

use std::any::Any;
use std::sync::OnceLock;

use bytes::Bytes;
use protobuf::{CodedInputStream, CodedOutputStream, Message, ProtobufError, ProtobufResult, UnknownFields};

use crate::consensus::{Entry, EntryKind};
use crate::types::{Index, Term};

/// Membership entries carry the number Raft gives to `EntryConfChangeV2`.
const KIND_MEMBERSHIP: u64 = 2;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredEntry(pub Entry);

impl Default for StoredEntry {
    fn default() -> StoredEntry {
        StoredEntry(Entry {
            kind: EntryKind::Normal,
            term: Term(0),
            index: Index(0),
            data: Bytes::new(),
            crc: 0,
        })
    }
}

/// Tells raft-engine how to read the index of an entry.
#[derive(Clone, Copy)]
pub(super) struct StoredEntryExt;

impl raft_engine::MessageExt for StoredEntryExt {
    type Entry = StoredEntry;

    fn index(entry: &StoredEntry) -> u64 {
        entry.0.index.0
    }
}

/// Bytes an entry takes in the log, a little over the truth.
pub(super) fn stored_bytes(entry: &Entry) -> usize {
    entry.data.len() + 40
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: u64) -> u32 {
    (64 - (value | 1).leading_zeros()).div_ceil(7)
}

impl StoredEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        let entry = &self.0;
        out.reserve(stored_bytes(entry));
        if entry.kind == EntryKind::Membership {
            out.push(0x08);
            put_varint(out, KIND_MEMBERSHIP);
        }
        out.push(0x10);
        put_varint(out, entry.term.0);
        out.push(0x18);
        put_varint(out, entry.index.0);
        if !entry.data.is_empty() {
            out.push(0x22);
            put_varint(out, entry.data.len() as u64);
            out.extend_from_slice(&entry.data);
        }
        out.push(0x32);
        out.push(4);
        out.extend_from_slice(&entry.crc.to_le_bytes());
    }
}

impl protobuf::Clear for StoredEntry {
    fn clear(&mut self) {
        *self = StoredEntry::default();
    }
}

impl Message for StoredEntry {
    fn descriptor(&self) -> &'static protobuf::reflect::MessageDescriptor {
        unreachable!("raft-engine never asks for a descriptor of an entry that is always initialized")
    }

    fn is_initialized(&self) -> bool {
        true
    }

    fn merge_from(&mut self, input: &mut CodedInputStream) -> ProtobufResult<()> {
        let entry = &mut self.0;
        while !input.eof()? {
            match input.read_raw_varint32()? {
                0x08 => {
                    entry.kind = match input.read_raw_varint64()? {
                        0 => EntryKind::Normal,
                        KIND_MEMBERSHIP => EntryKind::Membership,
                        _ => return Err(not_an_entry()),
                    }
                }
                0x10 => entry.term = Term(input.read_raw_varint64()?),
                0x18 => entry.index = Index(input.read_raw_varint64()?),
                0x22 => {
                    let len = input.read_raw_varint32()?;
                    entry.data = Bytes::from(input.read_raw_bytes(len)?);
                }
                0x32 => {
                    let context = input.read_bytes()?;
                    let crc: [u8; 4] = context.as_slice().try_into().map_err(|_| not_an_entry())?;
                    entry.crc = u32::from_le_bytes(crc);
                }
                _ => return Err(not_an_entry()),
            }
        }
        Ok(())
    }

    fn write_to_with_cached_sizes(&self, output: &mut CodedOutputStream) -> ProtobufResult<()> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        output.write_raw_bytes(&bytes)
    }

    fn write_to_vec(&self, out: &mut Vec<u8>) -> ProtobufResult<()> {
        self.encode(out);
        Ok(())
    }

    fn compute_size(&self) -> u32 {
        let entry = &self.0;
        let kind = if entry.kind == EntryKind::Membership { 2 } else { 0 };
        let data = match entry.data.len() as u64 {
            0 => 0,
            len => 1 + varint_len(len) + len as u32,
        };
        kind + 1 + varint_len(entry.term.0) + 1 + varint_len(entry.index.0) + data + 6
    }

    fn get_cached_size(&self) -> u32 {
        self.compute_size()
    }

    fn get_unknown_fields(&self) -> &UnknownFields {
        static NONE: OnceLock<UnknownFields> = OnceLock::new();
        NONE.get_or_init(UnknownFields::new)
    }

    fn mut_unknown_fields(&mut self) -> &mut UnknownFields {
        unreachable!("an unknown field of an entry is refused when it is read")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn new() -> StoredEntry {
        StoredEntry::default()
    }

    fn default_instance() -> &'static StoredEntry {
        static DEFAULT: OnceLock<StoredEntry> = OnceLock::new();
        DEFAULT.get_or_init(StoredEntry::default)
    }
}

fn not_an_entry() -> ProtobufError {
    ProtobufError::WireError(protobuf::error::WireError::Other)
}

/// Why the entry that was read is not the one that was written, if so.
pub(super) fn check_entry(entry: &Entry) -> Result<(), String> {
    let crc = crc32c::crc32c(&entry.data);
    if crc == entry.crc {
        Ok(())
    } else {
        Err(format!("its checksum is {:08x}, its data has {crc:08x}", entry.crc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryKind, index: u64, data: &'static [u8]) -> StoredEntry {
        let data = Bytes::from_static(data);
        let crc = crc32c::crc32c(&data);
        StoredEntry(Entry { kind, term: Term(300), index: Index(index), data, crc })
    }

    #[test]
    fn an_entry_comes_back_as_it_was_and_as_long_as_it_said() {
        for entry in [
            entry(EntryKind::Normal, 1, b""),
            entry(EntryKind::Membership, 128, b"x"),
            entry(EntryKind::Normal, u64::MAX, &[7; 300]),
        ] {
            let mut bytes = Vec::new();
            entry.write_to_vec(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u32, entry.compute_size());
            assert_eq!(entry, StoredEntry::parse_from_bytes(&bytes).unwrap());
            assert_eq!(entry.write_to_bytes().unwrap(), bytes);
        }
    }
}
