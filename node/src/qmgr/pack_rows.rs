//! The rows of packs: written once, thinned as messages leave, deleted when the last one has.

use bytes::Bytes;

use super::keys::{PackKey, bodies_key, chunks, heads_key, message_state_key};
use super::{Family, RowChange};
use crate::types::{QueueManagerId, limits};

/// The rows of a new pack. A pack of one message with a long body has several rows of bodies.
pub(super) fn pack_rows(
    manager: QueueManagerId,
    pack: PackKey,
    heads: Bytes,
    mut bodies: Vec<Bytes>,
    changes: &mut Vec<RowChange>,
) {
    assert!(!heads.is_empty(), "a pack has messages, and so heads");
    let (before, bytes) = (changes.len(), bodies.iter().map(Bytes::len).sum::<usize>() as u64);
    changes.push(RowChange::Put { family: Family::Heads, key: heads_key(manager, pack), value: heads });
    let family = Family::Bodies;
    let mut chunk = 0..;
    let mut next_key = || bodies_key(manager, pack, chunk.next().expect("a body has an end"));
    match bodies.as_slice() {
        [] => {}
        [_, ..] if bodies.iter().map(Bytes::len).sum::<usize>() <= limits::CHUNK_BYTES => {
            let key = next_key();
            changes.push(match bodies.len() {
                1 => RowChange::Put { family, key, value: bodies.remove(0) },
                _ => RowChange::PutParts { family, key, parts: bodies },
            });
        }
        // Bodies of several parts were staged in parts of exactly CHUNK_BYTES; a body of one part may be longer only
        // by what an entry can hold.
        parts => {
            for part in parts {
                for start in (0..part.len()).step_by(limits::CHUNK_BYTES) {
                    let value = part.slice(start..part.len().min(start + limits::CHUNK_BYTES));
                    changes.push(RowChange::Put { family, key: next_key(), value });
                }
            }
        }
    }
    debug_assert_eq!(
        changes.len() - before,
        1 + chunks(bytes) as usize,
        "a pack has as many rows as are read, and deleted at last"
    );
}

/// Which messages of a pack are still there.
pub(super) fn pack_thinned(manager: QueueManagerId, pack: PackKey, live: u64) -> RowChange {
    debug_assert!(live != 0, "a pack of which nothing is there goes as a whole");
    let key = message_state_key(manager, b't', pack.queue, pack.rank, pack.first);
    RowChange::Put { family: Family::State, key, value: live.to_be_bytes().to_vec().into() }
}

pub(super) fn pack_thinned_gone(manager: QueueManagerId, pack: PackKey) -> RowChange {
    let key = message_state_key(manager, b't', pack.queue, pack.rank, pack.first);
    RowChange::Delete { family: Family::State, key }
}

/// A pack with so many rows of bodies goes.
pub(super) fn pack_gone(manager: QueueManagerId, pack: PackKey, chunks: u32, changes: &mut Vec<RowChange>) {
    changes.push(RowChange::Delete { family: Family::Heads, key: heads_key(manager, pack) });
    let family = Family::Bodies;
    match chunks {
        0 => {}
        1 => changes.push(RowChange::Delete { family, key: bodies_key(manager, pack, 0) }),
        _ => changes.push(RowChange::DeleteRange {
            family,
            from: bodies_key(manager, pack, 0),
            until: bodies_key(manager, pack, chunks),
        }),
    }
}

/// All packs from the first to the last one go; there are no others between.
pub(super) fn packs_gone(
    manager: QueueManagerId,
    first: PackKey,
    last: PackKey,
    changes: &mut Vec<RowChange>,
) {
    assert!(first < last, "a run of packs has two at least");
    debug_assert_eq!(first.queue, last.queue, "a run of packs is of one queue");
    let behind = PackKey { first: last.first + 1, ..last };
    changes.push(RowChange::DeleteRange {
        family: Family::Heads,
        from: heads_key(manager, first),
        until: heads_key(manager, behind),
    });
    changes.push(RowChange::DeleteRange {
        family: Family::Bodies,
        from: bodies_key(manager, first, 0),
        until: bodies_key(manager, behind, 0),
    });
}
