//! What an entry of the log may say to a queue manager, and what its message store is told of it.

use trimaran_node::qmgr::command::{decode, decode_one};
use trimaran_node::qmgr::{BatchEncoder, Command, QueueManager};
use trimaran_node::types::{Index, Speaks, WallTime};

use super::Target;
use super::pieces::{Pieces, joined};
use super::samples::{ID, everything, manager, meta, name};
use crate::sim::disk::{StoredRows, apply_changes};

pub const TARGET: Target =
    Target { name: "commands", about: "entries of the log, applied; the store that follows", run, seeds };

/// Pieces: entries. Whatever they say, the store that follows is the same queue manager.
fn run(bytes: &[u8]) {
    let mut manager = manager();
    let mut store = StoredRows { meta: Some(meta()), ..StoredRows::default() };
    for (number, entry) in Pieces(bytes).enumerate() {
        let _ = decode_one(entry.clone());
        let Ok((at, commands)) = decode(entry, Speaks::RELEASE) else { continue };
        manager.set_time(at);
        for command in commands {
            manager.apply(command);
        }
        let mut meta = meta();
        meta.index = Index(number as u64 + 1);
        let (batch, _) = manager.take_store_batch(Index(number as u64), meta);
        apply_changes(&mut store.rows, &batch.changes);
    }
    assert_eq!(manager.check_invariants(), Ok(()));
    assert_eq!(manager.check_rules(), Ok(()));
    let loaded = QueueManager::load(ID, name(), &store, Speaks::RELEASE).expect("what was written is read");
    assert_eq!(loaded.check_invariants(), Ok(()));
    assert_eq!(loaded.digest(), manager.digest(), "the store is the queue manager");
}

fn seeds() -> Vec<Vec<u8>> {
    let entry = |commands: &[Command]| {
        let mut encoder = BatchEncoder::default();
        encoder.speak(Speaks::RELEASE.newest);
        commands.iter().for_each(|command| encoder.append(command.clone(), WallTime(7)));
        encoder.take()
    };
    let all = everything();
    vec![joined([entry(&all)]), joined(all.iter().map(|command| entry(std::slice::from_ref(command))))]
}
