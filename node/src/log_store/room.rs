//! Room on the disks: a ballast that is given up when the device is full, a watch that says so long before, and what the
//! kernel knows of a device.

use std::ffi::CString;
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
        let ballast = Ballast::find(path, bytes);
        ballast.restore();
        ballast
    }

    /// Holds the file if it is there and holds room, however much, and makes none.
    pub fn find(path: impl Into<PathBuf>, bytes: u64) -> Ballast {
        let path = path.into();
        let held = Mutex::new(fs::metadata(&path).is_ok_and(|file| file.len() > 0));
        Ballast { path, bytes, held }
    }

    /// How much room it holds, when it holds any.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
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
        let bytes = fs::metadata(&self.path).map_or(0, |file| file.len());
        let released = fs::remove_file(&self.path).is_ok();
        if released {
            tracing::error!(ballast = %self.path.display(), bytes, "device full, reserve given up");
        }
        released
    }

    /// Takes the room again when there is enough of it.
    pub fn restore(&self) {
        let mut held = self.held.lock();
        if self.bytes == 0 || *held {
            return;
        }
        if free_bytes(self.directory()).is_ok_and(|free| free > 2 * self.bytes) {
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

/// What a path lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    pub kind: String,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Asks the kernel. The path must exist.
pub fn filesystem(path: &Path) -> io::Result<Filesystem> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends in a zero, and the kernel fills the structure when it returns 0.
    let answer = unsafe {
        if libc::statfs(path.as_ptr(), answer.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        answer.assume_init()
    };
    let kind = match answer.f_type as i64 & 0xFFFF_FFFF {
        0xEF53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683E => "btrfs",
        0x2FC1_2FC1 => "zfs",
        0xF2F5_2010 => "f2fs",
        0x0102_1994 => "tmpfs",
        0x8584_58F6 => "ramfs",
        0x6969 => "nfs",
        0xFF53_4D42 | 0xFE53_4D42 => "cifs",
        0x6573_5546 => "fuse",
        0x794C_7630 => "overlay",
        other => &format!("file system {other:#x}"),
    };
    // As `statvfs` counts: where the two differ, the other one is what transfers are best made of.
    let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize as u64);
    Ok(Filesystem {
        kind: kind.to_owned(),
        free_bytes: bytes(answer.f_bavail),
        total_bytes: bytes(answer.f_blocks),
    })
}

/// Bytes an unprivileged process may still write on the device of `directory`.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    Ok(filesystem(directory)?.free_bytes)
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

/// Looks at the directories a node writes to. Ask it some times a second: a fast device takes 100 MiB in that time.
pub struct DiskWatch {
    directories: Vec<Watched>,
    said: Option<DiskRoom>,
}

struct Watched {
    path: PathBuf,
    thresholds: RoomThresholds,
    /// The message store lies there, and will take what is owed to it.
    has_store: bool,
    low: bool,
}

impl DiskWatch {
    pub fn new(log: &Path, data: &Path, thresholds: RoomThresholds) -> DiskWatch {
        let watched =
            |path: &Path, has_store| Watched { path: path.to_path_buf(), thresholds, has_store, low: false };
        DiskWatch { directories: vec![watched(log, false), watched(data, true)], said: None }
    }

    /// How much room there is, if it is not what was said last. `owed` bytes were taken into the log and the message
    /// store has yet to write them: they are as good as gone.
    pub fn look(&mut self, owed: u64) -> Option<DiskRoom> {
        self.look_with(owed, free_bytes)
    }

    fn look_with(&mut self, owed: u64, free_bytes: impl Fn(&Path) -> io::Result<u64>) -> Option<DiskRoom> {
        let mut room = DiskRoom::Enough;
        for Watched { path, thresholds, has_store, low } in &mut self.directories {
            // A directory that cannot be asked is not a reason to refuse work; writing to it will tell.
            let Ok(free) = free_bytes(path) else { continue };
            let owed = if *has_store { owed } else { 0 };
            let left = free.saturating_sub(owed);
            *low = left < if *low { thresholds.enough_bytes } else { thresholds.low_bytes };
            if *low && room == DiskRoom::Enough {
                room = DiskRoom::Low {
                    text: format!(
                        "directory {} has less than {} MiB left beside what the message store is yet to write; queue managers that \
                         this node serves take no puts until it has {} MiB: get messages, or give it room",
                        path.display(),
                        thresholds.low_bytes >> 20,
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
        let (log, data) = (Path::new("/log"), Path::new("/data"));
        let mut watch = DiskWatch::new(log, data, RoomThresholds::low_at(100 << 20));
        let free = |free: u64| {
            move |path: &Path| if path == log { Err(io::ErrorKind::NotFound.into()) } else { Ok(free << 20) }
        };
        let mut look = |left: u64| watch.look_with(0, free(left));
        assert_eq!(look(500), Some(DiskRoom::Enough));
        assert_eq!(look(101), None);
        let Some(DiskRoom::Low { text }) = look(99) else { panic!("not low") };
        assert!(
            text.contains("/data has less than 100 MiB left") && text.contains("until it has 125 MiB"),
            "{text}"
        );
        assert_eq!(look(110), None);
        assert_eq!(look(90), None);
        assert_eq!(look(125), Some(DiskRoom::Enough));
    }

    #[test]
    fn what_is_owed_to_the_store_is_not_room() {
        let (log, data) = (Path::new("/log"), Path::new("/data"));
        let mut watch = DiskWatch::new(log, data, RoomThresholds::low_at(64 << 20));
        let mut look = |owed: u64, data_free: u64| {
            let free = move |path: &Path| Ok(if path == data { data_free << 20 } else { 70 << 20 });
            watch.look_with(owed << 20, free)
        };
        assert_eq!(look(40, 200), Some(DiskRoom::Enough), "the log owes nobody anything");
        let Some(DiskRoom::Low { text }) = look(40, 100) else { panic!("not low") };
        assert!(
            text.contains("/data has less than 64 MiB left beside what the message store is yet"),
            "{text}"
        );
        assert!(text.contains("until it has 80 MiB"), "{text}");
        assert_eq!(look(0, 100), Some(DiskRoom::Enough), "it was written, and took no more than that");
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
    }

    #[test]
    fn the_kernel_knows_what_a_directory_lies_on() {
        let directory = tempfile::tempdir().unwrap();
        let system = filesystem(directory.path()).unwrap();
        assert!(system.free_bytes > 0 && system.free_bytes <= system.total_bytes, "{system:?}");
        assert_eq!(free_bytes(Path::new("/no/such/path")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
