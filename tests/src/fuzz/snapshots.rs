//! What comes on a connection that brings a snapshot: its meta, and rows that become a queue manager.

use prost::Message as _;
use trimaran_node::consensus::{meta_from_wire, meta_to_wire};
use trimaran_node::peer::frame::CHUNK_FRAME_BYTES_MAX;
use trimaran_node::qmgr::Family;
use trimaran_proto::replica::v1::{Row, SnapshotChunk};

use super::Target;
use super::frames::{now, reader_of, written};
use super::rows::load;
use super::samples::{self, ID, written_store};
use crate::sim::disk::StoredRows;

pub const TARGET: Target =
    Target { name: "snapshots", about: "a stream of chunks, and the state that they make", run, seeds };

fn run(bytes: &[u8]) {
    let mut store = StoredRows { meta: Some(samples::meta()), ..StoredRows::default() };
    now(async {
        let mut reader = reader_of(bytes);
        reader.take_frames_up_to(CHUNK_FRAME_BYTES_MAX);
        while let Ok(Some(chunk)) = reader.next::<SnapshotChunk>().await {
            if let Some(meta) = chunk.meta.and_then(meta_from_wire) {
                assert_eq!(meta_from_wire(meta_to_wire(&meta)), Some(meta), "a meta travels as it is");
            }
            for Row { family, key, value } in chunk.rows {
                // Others are refused by whoever writes them down.
                if let Some(family) = Family::from_number(family)
                    && key.starts_with(&ID.0.to_be_bytes())
                {
                    store.rows.insert((family, key), value);
                }
            }
        }
    });
    load(&store);
}

fn seeds() -> Vec<Vec<u8>> {
    let row = |((family, key), value): (&(Family, bytes::Bytes), &bytes::Bytes)| Row {
        family: *family as u32,
        key: key.clone(),
        value: value.clone(),
    };
    let opening = SnapshotChunk { meta: Some(meta_to_wire(&samples::meta())), ..SnapshotChunk::default() };
    let rows = SnapshotChunk {
        number: 1,
        rows: written_store().rows.iter().map(row).collect(),
        ..SnapshotChunk::default()
    };
    let done = SnapshotChunk { number: 2, done: true, rows_total: 9, ..SnapshotChunk::default() };
    let frames = [opening, rows, done].map(|chunk| chunk.encode_to_vec());
    vec![written(frames.iter().map(Vec::as_slice), false)]
}
