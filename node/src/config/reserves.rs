//! Room that is held back for the worst moments: which files hold it, how much, and what is missing of it. `runtime::reserve`
//! and the log hold it; here is what they are to hold, for a node that runs and for `trimaran-node check`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Config;
use crate::log_store::{LogOptions, filesystem};

/// The store needs a window of messages at a time, and as much again while it is being written.
const WINDOWS: u64 = 2;
/// What RocksDB writes before it has written a row.
const BESIDES: u64 = 16 << 20;
/// A reserve takes this share of the device at most.
const SHARE: u64 = 16;

/// A file that holds room, or should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveFile {
    pub path: PathBuf,
    pub bytes: u64,
}

impl Config {
    /// How much is held back in a directory for a start, and as much for the store.
    pub fn reserve_bytes(&self, directory: &Path) -> u64 {
        let windows = self.limits.window_bytes as u64 * self.queue_managers.len().max(1) as u64;
        (WINDOWS * windows + BESIDES).min(device_bytes(directory) / SHARE)
    }

    pub fn is_on_one_device(&self) -> bool {
        let device =
            |path: &Path| existing(path).and_then(|path| fs::metadata(path).ok()).map(|file| file.dev());
        device(&self.log_directory) == device(&self.data_directory)
    }

    /// All that this node is to hold.
    pub fn reserves(&self) -> Vec<ReserveFile> {
        let (log, data) = (&self.log_directory, &self.data_directory);
        let file = |directory: &Path, name: &str| ReserveFile {
            path: directory.join(name),
            bytes: self.reserve_bytes(directory),
        };
        let of_log = LogOptions::new(log).on_device_of(device_bytes(log)).ballast_bytes;
        let mut files = vec![file(data, "ballast.start"), file(data, "ballast")];
        files.extend((!self.is_on_one_device()).then(|| file(log, "ballast.start")));
        files.push(ReserveFile { path: log.join("ballast"), bytes: of_log });
        files
    }
}

/// What of these is not held and cannot be, as a sentence.
pub fn lacking(files: &[ReserveFile], free_bytes: impl Fn(&Path) -> io::Result<u64>) -> Option<String> {
    let lacks = |file: &&ReserveFile| {
        let is_held = fs::metadata(&file.path).is_ok_and(|held| held.len() > 0);
        let directory = file.path.parent().and_then(existing);
        let free = directory.and_then(|directory| free_bytes(&directory).ok());
        // It is made where there is room for it twice.
        !is_held && free.is_some_and(|free| free <= 2 * file.bytes)
    };
    let lacking: Vec<String> = files
        .iter()
        .filter(lacks)
        .map(|file| format!("{} of {} MiB", file.path.display(), file.bytes.div_ceil(1 << 20)))
        .collect();
    let most = files.iter().map(|file| file.bytes).max().unwrap_or_default();
    (!lacking.is_empty()).then(|| {
        format!(
            "there is no room to hold back {}: a start that finds the disk full may not work. Free some space, or enlarge the \
             device: a reserve is made where twice as much is free, up to {} MiB",
            lacking.join(" and "),
            (2 * most).div_ceil(1 << 20)
        )
    })
}

fn device_bytes(directory: &Path) -> u64 {
    let device = existing(directory).and_then(|directory| filesystem(&directory).ok());
    device.map_or(u64::MAX, |device| device.total_bytes)
}

/// Where a directory is, or will be made. The last ancestor of a relative path is empty: the working directory.
pub(super) fn existing(path: &Path) -> Option<PathBuf> {
    let place =
        |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() };
    path.ancestors().map(place).find(|ancestor| ancestor.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_held_back_is_said_and_what_is_held_or_will_be_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, mib: u64| ReserveFile { path: directory.path().join(name), bytes: mib << 20 };
        let files = [file("ballast.start", 8), file("ballast", 8), file("not/yet/made/ballast", 16)];
        let free = |mib: u64| move |_: &Path| Ok(mib << 20);
        assert_eq!(lacking(&files, free(33)), None);
        let text = lacking(&files, free(30)).unwrap();
        assert!(
            text.contains("not/yet/made/ballast of 16 MiB: a start") && text.contains("up to 32 MiB"),
            "{text}"
        );
        fs::write(&files[0].path, "x").unwrap();
        let text = lacking(&files, free(3)).unwrap();
        assert!(text.contains("/ballast of 8 MiB and") && !text.contains("ballast.start"), "{text}");
    }

    #[test]
    fn a_small_device_has_reserves_of_its_size() {
        for (mib, ballast) in [(126, 15), (600, 64), (100_000, 64)] {
            let options = LogOptions::new("log").on_device_of(mib << 20);
            assert_eq!(options.ballast_bytes >> 20, ballast, "on {mib} MiB");
            assert!(options.file_bytes + options.ballast_bytes <= (mib << 20) / 4, "on {mib} MiB");
        }
    }
}
