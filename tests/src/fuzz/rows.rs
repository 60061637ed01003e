//! What a start finds in the message store.

use bytes::Bytes;
use trimaran_node::qmgr::{Family, QueueManager};
use trimaran_node::types::{Index, Speaks};

use super::Target;
use super::pieces::{Pieces, joined};
use super::samples::{ID, everything, meta, name, written_store};
use crate::sim::disk::StoredRows;

pub const TARGET: Target = Target { name: "rows", about: "a start on rows of the message store", run, seeds };

/// Pieces: the first byte of one says which family, the rest is the key without the queue manager's id; the value follows.
fn run(bytes: &[u8]) {
    let mut store = StoredRows { meta: Some(meta()), ..StoredRows::default() };
    let mut pieces = Pieces(bytes);
    while let (Some(key), Some(value)) = (pieces.next(), pieces.next()) {
        let Some((family, rest)) = key.split_first() else { continue };
        let family = Family::ALL[usize::from(*family) % Family::ALL.len()];
        store.rows.insert((family, [&ID.0.to_be_bytes(), rest].concat().into()), value);
    }
    load(&store);
}

/// What is loaded can be looked at, written again, and goes on: what follows in the log does to it what it does to any other.
pub fn load(store: &StoredRows) {
    if let Ok(mut manager) = QueueManager::load(ID, name(), store, Speaks::RELEASE) {
        let found = manager.check_invariants();
        manager.digest();
        manager.take_store_batch(Index(1), meta());
        for command in everything() {
            manager.apply(command);
        }
        if found.is_ok() {
            assert_eq!(manager.check_invariants(), Ok(()), "what held goes on to hold");
        }
        manager.take_store_batch(Index(1), meta());
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let rows = written_store().rows;
    let pieces = rows.iter().flat_map(|((family, key), value)| {
        [Bytes::from([&[*family as u8], &key[4..]].concat()), value.clone()]
    });
    vec![joined(pieces)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_of_the_seeds_is_one() {
        let store = written_store();
        assert!(Family::ALL.iter().all(|family| store.rows.keys().any(|(of, _)| of == family)));
        let loaded = QueueManager::load(ID, name(), &store, Speaks::RELEASE).unwrap();
        assert_eq!(loaded.check_invariants(), Ok(()));
        assert!(loaded.sums().messages > 0);
    }
}
