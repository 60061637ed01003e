//! Room on the disks: a ballast that is given up when the device is full, and a watch that says so long before.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::replica::DiskRoom;

/// A file that holds room for the worst moment: removes and acknowledgements must still work on a full device.
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
    /// Taken while the file is made or given up.
    held: Mutex<bool>,
}

impl Ballast {
    /// Makes the file if it is not there and there is room for it twice. `bytes` 0: no ballast.
    pub fn prepare(path: impl Into<PathBuf>, bytes: u64) -> Ballast {
        let ballast = Ballast { path: path.into(), bytes, held: Mutex::new(false) };
        ballast.restore();
        ballast
    }

    pub fn is_held(&self) -> bool {
        *self.held.lock()
    }

    /// Gives the room up. False when there was none to give.
    pub fn release(&self) -> bool {
        let mut held = self.held.lock();
        if !std::mem::take(&mut *held) {
            return false;
        }
        let released = fs::remove_file(&self.path).is_ok();
        tracing::error!(ballast = %self.path.display(), bytes = self.bytes, "device full, reserve given up");
        released
    }

    /// Takes the room again when there is enough of it.
    pub fn restore(&self) {
        let mut held = self.held.lock();
        if self.bytes == 0 || *held {
            return;
        }
        if fs::metadata(&self.path).is_ok_and(|file| file.len() == self.bytes) {
            *held = true;
            return;
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        if free_bytes(directory).is_ok_and(|free| free > 2 * self.bytes) {
            match self.make() {
                Ok(()) => *held = true,
                Err(_) => {
                    let _ = fs::remove_file(&self.path);
                }
            }
        }
    }

    fn make(&self) -> io::Result<()> {
        let file = File::create(&self.path)?;
        // SAFETY: the descriptor belongs to `file`, which lives until after the call; no memory is passed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, self.bytes as libc::off_t) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Bytes an unprivileged process may still write on the device of `directory`.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let name = std::ffi::CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `name` ends with a NUL and `stat` is writable; both outlive the call.
    if unsafe { libc::statvfs(name.as_ptr(), &mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(stat.f_bavail as u64 * stat.f_frsize as u64)
}

#[derive(Clone, Copy, Debug)]
pub struct RoomThresholds {
    /// Puts are refused below this.
    pub low_bytes: u64,
    /// And taken again above this.
    pub enough_bytes: u64,
}

impl RoomThresholds {
    pub fn low_at(low_bytes: u64) -> RoomThresholds {
        RoomThresholds { low_bytes, enough_bytes: low_bytes + low_bytes / 4 }
    }
}

/// Looks at the directories a node writes to. Ask it every second or so.
pub struct DiskWatch {
    directories: Vec<(PathBuf, RoomThresholds, bool)>,
    said: Option<DiskRoom>,
}

impl DiskWatch {
    pub fn new(directories: impl IntoIterator<Item = (PathBuf, RoomThresholds)>) -> DiskWatch {
        let directories =
            directories.into_iter().map(|(path, thresholds)| (path, thresholds, false)).collect();
        DiskWatch { directories, said: None }
    }

    /// How much room there is, if it is not what was said last.
    pub fn look(&mut self) -> Option<DiskRoom> {
        self.look_with(free_bytes)
    }

    fn look_with(&mut self, free_bytes: impl Fn(&Path) -> io::Result<u64>) -> Option<DiskRoom> {
        let mut room = DiskRoom::Enough;
        for (path, thresholds, low) in &mut self.directories {
            // A directory that cannot be asked is not a reason to refuse work; writing to it will tell.
            let Ok(free) = free_bytes(path) else { continue };
            *low = free < if *low { thresholds.enough_bytes } else { thresholds.low_bytes };
            if *low && room == DiskRoom::Enough {
                room = DiskRoom::Low {
                    text: format!(
                        "directory {} has {} MiB left; queue managers that this node serves take no puts until it has \
                         {} MiB",
                        path.display(),
                        free >> 20,
                        thresholds.enough_bytes >> 20
                    ),
                };
            }
        }
        let changed = match (&self.said, &room) {
            (Some(DiskRoom::Low { .. }), DiskRoom::Low { .. }) => false,
            (said, room) => said.as_ref() != Some(room),
        };
        changed.then(|| {
            self.said = Some(room.clone());
            room
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_room_is_said_once_and_taken_back_with_a_margin() {
        let mut watch = DiskWatch::new([(PathBuf::from("/data"), RoomThresholds::low_at(100 << 20))]);
        let mut look = |free: u64| watch.look_with(|_| Ok(free << 20));
        assert_eq!(look(500), Some(DiskRoom::Enough));
        assert_eq!(look(101), None);
        let Some(DiskRoom::Low { text }) = look(99) else { panic!("not low") };
        assert!(text.contains("/data has 99 MiB left") && text.contains("until it has 125 MiB"), "{text}");
        assert_eq!(look(110), None);
        assert_eq!(look(90), None);
        assert_eq!(look(125), Some(DiskRoom::Enough));
    }

    #[test]
    fn the_ballast_is_given_up_once_and_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ballast");
        let ballast = Ballast::prepare(&path, 1 << 20);
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
        assert!(ballast.release());
        assert!(!path.exists());
        assert!(!ballast.release());
        ballast.restore();
        assert!(ballast.is_held() && path.exists());
        assert!(free_bytes(directory.path()).unwrap() > 0);
    }
}
