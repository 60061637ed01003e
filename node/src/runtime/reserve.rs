//! Room that is held back for the worst moments, as files that can be given up. A node whose disk is full must still
//! start, replay what its log has, and let programs get what is on the queues: nothing else makes room.
//!
//! ```text
//! log/ballast          for the log, when a write finds the device full        (log_store holds it)
//! data/ballast         for the message store, when less than that is left
//! data/ballast.start   for a start that finds less than half of that; in the log directory too, if that is another
//!                      device. A running node never touches it
//! ```

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::log_store::{Ballast, filesystem, free_bytes};

/// The store needs a window of messages at a time, and as much again while it is being written.
const WINDOWS: u64 = 2;
/// What RocksDB writes before it has written a row.
const BESIDES: u64 = 16 << 20;
/// A reserve takes this share of the device at most.
const SHARE: u64 = 16;

pub struct Reserve {
    store: Ballast,
    starts: Vec<Ballast>,
}

impl Reserve {
    /// Finds what an earlier process held back. Nothing is taken before [`Reserve::restore`].
    pub fn find(config: &Config) -> Reserve {
        let window = config.limits.window_bytes as u64 * config.queue_managers.len().max(1) as u64;
        let (log, data) = (&config.log_directory, &config.data_directory);
        let device = |path: &PathBuf| fs::metadata(path).map(|file| file.dev()).ok();
        let other = (device(log) != device(data)).then_some(log);
        let start =
            |directory: &PathBuf| Ballast::find(directory.join("ballast.start"), bytes_of(directory, window));
        Reserve {
            store: Ballast::find(data.join("ballast"), bytes_of(data, window)),
            starts: [Some(data), other].into_iter().flatten().map(start).collect(),
        }
    }

    /// Before anything is opened. True: something was given up.
    pub fn make_room_to_start(&self) -> bool {
        self.make_room_with(free_bytes)
    }

    fn make_room_with(&self, free_bytes: impl Fn(&Path) -> std::io::Result<u64>) -> bool {
        let mut gave = false;
        for ballast in &self.starts {
            let free = free_bytes(ballast.directory()).unwrap_or(u64::MAX);
            gave |= free < ballast.bytes() / 2 && ballast.release();
        }
        gave
    }

    /// What is left for the store in its directory. When that is little, its reserve is given up.
    pub fn left_for_store(&self, directory: &Path) -> std::io::Result<u64> {
        let free = free_bytes(directory)?;
        if free < self.store.bytes() && self.store.release() { free_bytes(directory) } else { Ok(free) }
    }

    /// Takes again what was given up, where there is room enough. The one for starts first: without it, a full disk is
    /// the end.
    pub fn restore(&self) {
        self.starts.iter().for_each(Ballast::restore);
        self.store.restore();
    }
}

fn bytes_of(directory: &Path, window: u64) -> u64 {
    let device = filesystem(directory).map_or(u64::MAX, |device| device.total_bytes);
    (WINDOWS * window + BESIDES).min(device / SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_finds_room_leaves_the_reserve_and_one_that_does_not_gives_up_its_own_only() {
        let directory = tempfile::tempdir().unwrap();
        let has = |name: &str| directory.path().join(name).exists();
        let find = || Reserve {
            store: Ballast::find(directory.path().join("ballast"), 1 << 20),
            starts: vec![Ballast::find(directory.path().join("ballast.start"), 1 << 20)],
        };
        assert!(!find().make_room_with(|_| Ok(0)), "there was no process before that held something back");
        find().restore();
        assert!(has("ballast") && has("ballast.start"));
        assert!(!find().make_room_with(|_| Ok(600 << 10)), "that is enough");
        let full = find();
        assert!(full.make_room_with(|_| Ok(500 << 10)));
        assert!(has("ballast") && !has("ballast.start"));
        assert!(!full.make_room_with(|_| Ok(0)), "there is nothing left to give up");
        full.restore();
        assert!(has("ballast.start"));
    }
}
