//! What an error of RocksDB means for the node: the device is full, the store is damaged, or the device failed.
//!
//! A store that is damaged is set aside and got again from the log and the peers. So what is read counts: a table that
//! is missing, is something else now, or lies on sectors that cannot be read is damage, and it does not get better. A
//! device that takes no writes, and files that this process may not open, say nothing of what lies there: the node
//! ends, with everything in its place, and somebody should look.

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoRoom,
    Damage,
    Device,
}

const NO_ROOM: [&str; 2] = ["No space left", "Disk quota exceeded"];
/// Of the process or its rights, whatever it was doing.
const NOT_OF_THE_FILES: [&str; 6] = [
    "Permission denied",
    "Operation not permitted",
    "Too many open files",
    "Cannot allocate memory",
    "lock hold",
    "lock file",
];
/// What RocksDB was doing (`env/fs_posix.cc`, `env/io_posix.cc`).
const READING: [&str; 8] = [
    "While open a file for random read",
    "While opening a file for sequentially reading",
    "While opening file for sequentially read",
    "While reading file sequentially",
    "While pread",
    "While prefetching",
    "while stat a file",
    "io_uring",
];
/// Kinds of RocksDB that are neither of the files nor of the device: nothing is known of either.
const OTHER_KINDS: [&str; 6] = [
    "Busy:",
    "Timed out",
    "TimedOut",
    "Shutdown in progress",
    "Operation aborted",
    "Operation failed. Try again",
];

/// By the text, which is all that an error of a read or an open keeps. One that is not RocksDB's is ours: a row that
/// was read and makes no sense.
pub(super) fn of(error: &str) -> Fault {
    let has = |texts: &[&str]| texts.iter().any(|text| error.contains(text));
    let is_reading = has(&READING) || error.contains("No such file or directory");
    if has(&NO_ROOM) {
        Fault::NoRoom
    } else if has(&OTHER_KINDS) || (error.contains("IO error") && (has(&NOT_OF_THE_FILES) || !is_reading)) {
        Fault::Device
    } else {
        Fault::Damage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_consequence() {
        let table = "/data/store/000012.sst";
        for (error, fault) in [
            (
                "IO error: No space left on device: While appending to file: TABLE: No space left on device",
                Fault::NoRoom,
            ),
            (
                "Corruption: block checksum mismatch: stored = 1, computed = 2 in TABLE offset 3 size 4",
                Fault::Damage,
            ),
            (
                "Corruption: Can't access /000012.sst: IO error: No such file or directory: TABLE",
                Fault::Damage,
            ),
            ("IO error: No such file or directory: While open a file for random read: TABLE", Fault::Damage),
            ("IO error: While pread offset 0 len 4096: TABLE: Input/output error", Fault::Damage),
            ("IO error: While pread offset 0 len 4096: TABLE: Is a directory", Fault::Damage),
            (
                "IO error: While open a file for random read: TABLE: Too many levels of symbolic links",
                Fault::Damage,
            ),
            ("IO error: While open a file for random read: TABLE: Permission denied", Fault::Device),
            ("IO error: While open a file for random read: TABLE: Too many open files", Fault::Device),
            ("IO error: While appending to file: TABLE: Input/output error", Fault::Device),
            ("IO error: While fdatasync: TABLE: Input/output error", Fault::Device),
            ("IO error: While open a file for appending: TABLE: Read-only file system", Fault::Device),
            ("IO error: While lock file: /data/store/LOCK: Resource temporarily unavailable", Fault::Device),
            ("Busy: ", Fault::Device),
            ("/data (meta of queue manager 1): it ends too early", Fault::Damage),
        ] {
            let error = error.replace("TABLE", table);
            assert_eq!(of(&error), fault, "{error}");
        }
    }
}
