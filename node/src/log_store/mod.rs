//! The log on disk (L3): what consensus must not forget, for every queue manager of the node.
//!
//! Reading order: [`LogStore`] here, `raft_engine` (the log itself), `mark` (what this node acknowledged, kept beside
//! the log), `recovery` (what a restart makes of both), `files` (raft-engine's files, read and verified without it),
//! `work` (jobs, batch by batch), `writer` (the thread that does it), `room` (free space), `inspect`.
//!
//! The promise: what `write_batch` has answered with a sync is returned by `recover`, or `recover` says
//! `complete: false` and why. It never returns something else.

mod blocks;
mod direct;
mod entry_codec;
mod figures;
mod files;
mod fs;
mod mark;
mod raft_engine;
mod recovery;
mod room;
mod work;
mod writer;

pub mod inspect;

#[cfg(test)]
mod blocks_test;
#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod log_store_test;
#[cfg(test)]
mod start_test;

pub use self::blocks::BlockFs;
pub use self::figures::{LogFigures, SYNC_BOUNDS};
pub use self::mark::{Acknowledged, Mark, MarkFile, MarkSync};
pub use self::raft_engine::{LogReader, RaftEngineLog};
pub use self::recovery::{RecoveredLog, Restart};
pub use self::room::{Ballast, DiskWatch, Filesystem, RoomThresholds, filesystem, free_bytes};
pub use self::work::{LogBeginning, LogJob, LogThreadOptions, LogWork, Written};
pub use self::writer::{LogHandle, LogOwners, LogReading, LogThread};

use std::io;
use std::path::PathBuf;

use crate::consensus::{Entry, LogWrite, Parted};
use crate::types::{Index, QueueManagerId};

/// The log of a node. Synchronous; one caller. What goes wrong is the world's fault and said in a sentence.
pub trait LogStore {
    /// One write and at most one sync for everything in `writes`, in order. After `Ok` everything with `sync` is
    /// durable. After [`LogError::NoRoom`] nothing of it was written and it may be tried again; after any other
    /// error the process must end, because what is on disk is not known any more.
    fn write_batch(&mut self, writes: &mut Vec<LogWrite>) -> Result<(), LogError>;

    /// Entries from `first` to before `until`, as far as `bytes_max` allows but at least one. Empty when `first`
    /// is not in the log (any more). Every entry was verified.
    fn read(
        &self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, LogError>;

    /// Nothing at or below `upto` is needed any more. Frees nothing by itself: `purge` does.
    fn truncate(&mut self, queue_manager: QueueManagerId, upto: Index) -> Result<(), LogError>;

    /// Gives room back. Cheap when there is nothing to do; call it every few seconds.
    fn purge(&mut self) -> Result<(), LogError>;

    /// The replica has caught up with its group: its log counts again (rule 3). Durable on return.
    fn caught_up(&mut self, queue_manager: QueueManagerId) -> Result<(), LogError>;

    /// The replica has committed entries that a leader does not have, or no longer so. Durable on return.
    fn note_parted(&mut self, queue_manager: QueueManagerId, parted: Option<Parted>) -> Result<(), LogError>;

    /// Nothing of the queue manager is left: no entry, no vote, no mark. It is deleted, and nobody asks for it again. Durable on return.
    fn forget(&mut self, queue_manager: QueueManagerId) -> Result<(), LogError>;

    /// Writes the mark of what was acknowledged; `sync` also makes it durable. After `write_batch`, never before.
    fn write_mark(&mut self, sync: bool) -> Result<(), LogError>;
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log directory {directory}: {reason}")]
    Open { directory: PathBuf, reason: String },
    #[error(
        "no room left on the device of log directory {directory}: free some space; puts resume by themselves"
    )]
    NoRoom { directory: PathBuf },
    #[error(
        "write to the log in {directory}: {reason}; the node ends here and checks its log when it is started again"
    )]
    Write { directory: PathBuf, reason: String },
    #[error(
        "sync of the log in {directory}: {reason}; what the disk holds is unknown, so the node ends here and checks its log when it is started again"
    )]
    Sync { directory: PathBuf, reason: String },
    #[error("entry {index} of queue manager {queue_manager} in the log is damaged ({place}): {reason}")]
    Damaged { queue_manager: QueueManagerId, index: Index, place: String, reason: String },
    #[error("mark of acknowledged entries {file}: {reason}")]
    Mark { file: PathBuf, reason: String },
}

impl LogError {
    fn mark(file: &std::path::Path, error: io::Error) -> LogError {
        LogError::Mark { file: file.to_path_buf(), reason: error.to_string() }
    }
}

/// What the log is told at start.
#[derive(Clone, Debug)]
pub struct LogOptions {
    pub directory: PathBuf,
    /// A file is closed when it has grown past this.
    pub file_bytes: u64,
    /// Files wholly below the truncation point are given back (for reuse) above this.
    pub purge_bytes: u64,
    /// LZ4 for writes of at least this many bytes; 0 never. It pays for text, and costs for random bytes.
    pub compress_from_bytes: u64,
    /// Bytes of files written full of zeros at first start, so that syncs need no extent conversion from the first
    /// minute on. Takes 1 to 3 s per GB. Later files are reused either way.
    pub prefill_bytes: u64,
    /// Kept free for the worst moment: given up when the device is full, taken again when there is room.
    pub ballast_bytes: u64,
    pub recovery_threads: usize,
}

/// However small the device is.
const FILE_BYTES_MIN: u64 = 4 << 20;

impl LogOptions {
    pub fn new(directory: impl Into<PathBuf>) -> LogOptions {
        LogOptions {
            directory: directory.into(),
            file_bytes: 64 << 20,
            purge_bytes: 512 << 20,
            compress_from_bytes: 0,
            prefill_bytes: 0,
            ballast_bytes: 64 << 20,
            recovery_threads: 2,
        }
    }

    /// Room for what is kept for peers that are away, of all queue managers together. With less, the engine would copy
    /// kept entries to other files again and again to get rid of the old ones. Beyond it, what is kept for a peer that
    /// catches up holds purges up until enough of it is cut off.
    pub fn retaining(self, bytes: u64) -> LogOptions {
        LogOptions { purge_bytes: self.purge_bytes.max(bytes.saturating_mul(2)), ..self }
    }

    /// On a small device files are smaller and given back sooner, and copied for that if they must, and less is kept free.
    pub fn on_device_of(self, bytes: u64) -> LogOptions {
        let file_bytes = self.file_bytes.min((bytes / 8).max(FILE_BYTES_MIN));
        let most = (bytes / 4).max(2 * file_bytes);
        LogOptions {
            file_bytes,
            purge_bytes: self.purge_bytes.min(most),
            ballast_bytes: self.ballast_bytes.min(bytes / 8),
            ..self
        }
    }

    /// Small files for tests and simulations.
    pub fn small(directory: impl Into<PathBuf>) -> LogOptions {
        LogOptions {
            file_bytes: 64 << 10,
            purge_bytes: 256 << 10,
            ballast_bytes: 0,
            recovery_threads: 1,
            ..LogOptions::new(directory)
        }
    }
}

/// A damaged place that `scrub` or `recover` found; the text names file and offset where they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub queue_manager: QueueManagerId,
    pub first: Index,
    pub last: Index,
    pub text: String,
}
