//! Room that is held back for the worst moments, as files that can be given up. A node whose disk is full must still
//! start, replay what its log has, and let programs get what is on the queues: nothing else makes room.
//!
//! ```text
//! data/ballast.start   for a start that finds less than half of that; in the log directory too, if that is another
//!                      device. A running node never touches it
//! data/ballast         for the message store, when less than that is left
//! log/ballast          for the log, when a write finds the device full        (log_store holds it)
//! ```
//!
//! A running node gives up what is held for whoever needs it. A start gives up the first of these that is left on the
//! device, then, while it has less than it needs or fails for want of room, the next: a disk that was filled again after
//! a start took room has the other two. The log's goes last, because a node that started logs gets with it. They come back
//! while the node runs, each as soon as there is room for it twice: the ones for starts first.

use std::path::Path;
use std::sync::Arc;

use crate::config::{self, Config, ReserveFile};
use crate::log_store::{Ballast, free_bytes};

pub struct Reserve {
    files: Vec<ReserveFile>,
    store: Arc<Ballast>,
    devices: Vec<Device>,
}

/// What a start may give up on one device.
struct Device {
    start: Ballast,
    /// In this order, when the start's own is gone.
    others: Vec<Arc<Ballast>>,
}

impl Device {
    fn directory(&self) -> &Path {
        self.start.directory()
    }

    /// With less a start may fail.
    fn needed_bytes(&self) -> u64 {
        self.start.bytes() / 2
    }

    fn give_one(&self) -> bool {
        self.start.release() || self.others.iter().any(|other| other.release())
    }
}

impl Reserve {
    /// Finds what an earlier process held back. Nothing is taken before [`Reserve::restore`].
    pub fn find(config: &Config) -> Reserve {
        let (log, data) = (&config.log_directory, &config.data_directory);
        let found = Reserve::find_in(log, data, config.is_on_one_device(), |directory| {
            config.reserve_bytes(directory)
        });
        Reserve { files: config.reserves(), ..found }
    }

    fn find_in(log: &Path, data: &Path, is_one_device: bool, bytes: impl Fn(&Path) -> u64) -> Reserve {
        let start = |directory: &Path| Ballast::find(directory.join("ballast.start"), bytes(directory));
        let store = Arc::new(Ballast::find(data.join("ballast"), bytes(data)));
        // Of the size that the log makes it, and made by nobody else.
        let of_log = Arc::new(Ballast::find(log.join("ballast"), 0));
        let devices = match is_one_device {
            true => vec![Device { start: start(data), others: vec![store.clone(), of_log] }],
            false => vec![
                Device { start: start(data), others: vec![store.clone()] },
                Device { start: start(log), others: vec![of_log] },
            ],
        };
        Reserve { files: Vec::new(), store, devices }
    }

    /// Before anything is opened. True: something was given up.
    pub fn make_room_to_start(&self) -> bool {
        self.make_room_with(free_bytes)
    }

    fn make_room_with(&self, free_bytes: impl Fn(&Path) -> std::io::Result<u64>) -> bool {
        let lacks = |device: &Device| {
            free_bytes(device.directory()).is_ok_and(|free_bytes| free_bytes < device.needed_bytes())
        };
        let mut gave = false;
        for device in &self.devices {
            while lacks(device) && device.give_one() {
                gave = true;
            }
        }
        gave
    }

    /// Something could not be opened for want of room. False: there is nothing left to give up.
    pub fn make_more_room(&self) -> bool {
        let gave: Vec<bool> = self.devices.iter().map(Device::give_one).collect();
        gave.contains(&true)
    }

    /// For whoever has to make room now, because there is nothing left to give up.
    pub fn what_to_do(&self) -> String {
        let device = |device: &Device| {
            let directory = device.directory();
            let free = free_bytes(directory)
                .map_or("an unknown number of".to_owned(), |free| (free >> 20).to_string());
            format!(
                "{} has {free} MiB left and should have {}",
                directory.display(),
                device.needed_bytes().div_ceil(1 << 20)
            )
        };
        let devices: Vec<String> = self.devices.iter().map(device).collect();
        format!(
            "there is no room to start, and every reserve was given up: {}. Remove files that are not this node's from the \
             device, and what it set aside and only keeps to be looked at (store.damaged-*, engine.damaged-*), or enlarge the device; \
             then start the node again. Nothing it has is lost meanwhile, and queues can be drained over the other nodes",
            devices.join(", ")
        )
    }

    /// What is left for the store in its directory. When that is little, its reserve is given up.
    pub fn left_for_store(&self, directory: &Path) -> std::io::Result<u64> {
        let free = free_bytes(directory)?;
        if free < self.store.bytes() && self.store.release() { free_bytes(directory) } else { Ok(free) }
    }

    /// What is not held and cannot be, the log's too.
    pub fn lacking(&self) -> Option<String> {
        config::lacking(&self.files, free_bytes)
    }

    /// Takes again what was given up, where there is room enough. The one for starts first: without it, a full disk is
    /// the end.
    pub fn restore(&self) {
        self.devices.iter().for_each(|device| device.start.restore());
        self.store.restore();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A device of which others left this much beside the node's own reserves.
    fn device(directory: &Path, left: u64) -> impl Fn(&Path) -> std::io::Result<u64> {
        move |_| {
            let files = ["ballast.start", "ballast", "log/ballast"].map(|name| directory.join(name));
            let held: u64 =
                files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
            Ok(left.saturating_sub(held))
        }
    }

    #[test]
    fn a_start_gives_up_its_own_reserve_first_and_whatever_is_left_when_the_disk_is_filled_again() {
        let directory = tempfile::tempdir().unwrap();
        let (data, log) = (directory.path(), directory.path().join("log"));
        fs::create_dir(&log).unwrap();
        let has = || ["ballast.start", "ballast", "log/ballast"].map(|name| data.join(name).exists());
        let find = || Reserve::find_in(&log, data, true, |_| MIB);
        assert!(!find().make_room_with(|_| Ok(0)), "there was no process before that held something back");
        find().restore();
        let _log = Ballast::prepare(log.join("ballast"), MIB);
        assert_eq!(has(), [true; 3]);
        assert!(!find().make_room_with(device(data, 3 * MIB + 600_000)), "that is enough");
        assert!(find().make_room_with(device(data, 3 * MIB)));
        assert_eq!(has(), [false, true, true]);
        // What was given up is taken, and the node starts again; twice.
        assert!(find().make_room_with(device(data, 2 * MIB)));
        assert_eq!(has(), [false, false, true]);
        assert!(find().make_room_with(device(data, MIB)));
        assert_eq!(has(), [false; 3]);
        let full = find();
        assert!(!full.make_room_with(device(data, 0)), "there is nothing left to give up");
        assert!(!full.make_more_room());
        assert!(full.what_to_do().contains("should have 1. Remove files"), "{}", full.what_to_do());
        full.restore();
        assert_eq!(has(), [true, true, false], "the log takes its own");
    }

    #[test]
    fn a_start_that_needs_more_than_it_should_gets_the_next_reserve_of_each_device() {
        let directory = tempfile::tempdir().unwrap();
        let (data, log) = (directory.path().join("data"), directory.path().join("log"));
        [&data, &log].into_iter().for_each(|directory| fs::create_dir(directory).unwrap());
        let reserve = Reserve::find_in(&log, &data, false, |_| MIB);
        reserve.restore();
        let has = |directory: &Path| ["ballast.start", "ballast"].map(|name| directory.join(name).exists());
        assert_eq!((has(&data), has(&log)), ([true, true], [true, false]));
        assert!(reserve.make_more_room());
        assert_eq!((has(&data), has(&log)), ([false, true], [false, false]));
        assert!(reserve.make_more_room());
        assert_eq!(has(&data), [false, false]);
        assert!(!reserve.make_more_room());
    }
}
