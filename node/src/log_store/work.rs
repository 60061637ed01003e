//! The log thread's work without the thread: jobs are taken, written as one batch with at most one sync, and what
//! follows from that is done. Whoever drives it tells the time: `writer` with a thread and the clock, the simulator
//! in virtual time.

use std::time::Duration;

use raft_engine::env::FileSystem;

use super::direct::LogFs;
use super::entry_codec::stored_bytes;
use super::mark::MarkSync;
use super::raft_engine::{LogReader, RaftEngineLog};
use super::recovery::{RecoveredLog, Restart};
use super::{LogError, LogStore};
use crate::consensus::{LogWrite, Parted};
use crate::types::{Index, QueueManagerId, SnapshotMeta, WriteNumber};

#[derive(Clone, Debug)]
pub struct LogThreadOptions {
    /// Jobs that may wait; whoever brings more waits.
    pub queue: usize,
    /// A batch is closed when it has grown past this.
    pub batch_bytes: usize,
    pub batch_writes: usize,
    /// How long the mark may lag behind on disk.
    pub mark_sync_every: Duration,
    pub purge_every: Duration,
    /// The whole log is read and verified this often, in steps, while nobody reads.
    pub scrub_every: Duration,
    pub scrub_step_bytes: usize,
    pub scrub_pause: Duration,
}

impl Default for LogThreadOptions {
    fn default() -> LogThreadOptions {
        LogThreadOptions {
            queue: 4096,
            batch_bytes: 4 << 20,
            batch_writes: 256,
            mark_sync_every: Duration::from_millis(50),
            purge_every: Duration::from_secs(5),
            scrub_every: Duration::from_secs(24 * 3600),
            scrub_step_bytes: 4 << 20,
            scrub_pause: Duration::from_millis(50),
        }
    }
}

pub enum LogJob {
    Write(LogWrite),
    Truncate {
        queue_manager: QueueManagerId,
        upto: Index,
    },
    CaughtUp {
        queue_manager: QueueManagerId,
    },
    NoteParted {
        queue_manager: QueueManagerId,
        parted: Option<Parted>,
    },
    /// A queue manager begins while the others run. `is_younger`: than this disk ([`Restart::begin`]).
    Begin {
        store: Box<SnapshotMeta>,
        is_younger: bool,
        answer: LogBeginning,
    },
    /// One is deleted.
    Forget {
        queue_manager: QueueManagerId,
        answer: Box<dyn FnOnce() + Send>,
    },
}

/// Told what the log has of a queue manager that begins.
pub type LogBeginning = Box<dyn FnOnce(RecoveredLog) + Send>;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is where its writes wanted it: on disk, or at least on the way there.
    Done,
    /// Nothing was written and the batch waits for the next try. The sentence comes with the first refusal only.
    NoRoom { sentence: Option<String> },
}

pub struct LogWork<F: FileSystem = LogFs> {
    log: RaftEngineLog<F>,
    options: LogThreadOptions,
    /// Kept between batches, so that a batch allocates nothing here.
    writes: Vec<LogWrite>,
    others: Vec<LogJob>,
    newest: Vec<(QueueManagerId, WriteNumber)>,
    bytes: usize,
    mark_is_behind: bool,
    is_full: bool,
    mark_synced: Duration,
    purged: Duration,
}

impl<F: FileSystem> LogWork<F> {
    /// `now` is the time since some moment that stays the same, here and in all calls.
    pub fn new(log: RaftEngineLog<F>, options: LogThreadOptions, now: Duration) -> LogWork<F> {
        LogWork {
            log,
            options,
            writes: Vec::new(),
            others: Vec::new(),
            newest: Vec::new(),
            bytes: 0,
            mark_is_behind: false,
            is_full: false,
            mark_synced: now,
            purged: now,
        }
    }

    pub fn reader(&self) -> LogReader<F> {
        self.log.reader()
    }

    /// Takes a job into the next batch. True: the batch is large enough.
    pub fn take(&mut self, job: LogJob) -> bool {
        match job {
            LogJob::Write(write) => {
                self.bytes += write.entries.iter().map(stored_bytes).sum::<usize>();
                match self.newest.iter_mut().find(|(queue_manager, _)| *queue_manager == write.queue_manager)
                {
                    Some((_, number)) => *number = write.number,
                    None => self.newest.push((write.queue_manager, write.number)),
                }
                self.writes.push(write);
            }
            other => self.others.push(other),
        }
        self.bytes >= self.options.batch_bytes || self.writes.len() >= self.options.batch_writes
    }

    /// The writes of the next batch.
    pub fn batch(&self) -> &[LogWrite] {
        &self.writes
    }

    /// Tries to write the batch. After `Done`, [`LogWork::persisted`] says what is persisted.
    pub fn write(&mut self) -> Result<Written, LogError> {
        match self.log.write_batch(&mut self.writes) {
            Ok(()) => {
                self.writes.clear();
                self.bytes = 0;
                self.is_full = false;
                self.mark_is_behind = true;
                Ok(Written::Done)
            }
            Err(error @ LogError::NoRoom { .. }) => {
                let is_news = !std::mem::replace(&mut self.is_full, true);
                // Files that are not needed any more may be all it takes.
                match self.log.purge() {
                    Err(error @ LogError::Sync { .. }) => Err(error),
                    _ => Ok(Written::NoRoom { sentence: is_news.then(|| error.to_string()) }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The newest write of each queue manager in the batch that was written.
    pub fn persisted(&mut self) -> impl Iterator<Item = (QueueManagerId, WriteNumber)> + '_ {
        self.newest.drain(..)
    }

    /// What comes after the writes of a batch: the mark, which must never say more than the log has, and the other
    /// jobs.
    pub fn follow_up(&mut self) -> Result<(), LogError> {
        if std::mem::take(&mut self.mark_is_behind) {
            self.log.write_mark(false)?;
        }
        for job in std::mem::take(&mut self.others) {
            match job {
                LogJob::Truncate { queue_manager, upto } => match self.log.truncate(queue_manager, upto) {
                    // Asked for again with the next truncation.
                    Err(LogError::NoRoom { .. }) => {}
                    result => result?,
                },
                LogJob::CaughtUp { queue_manager } => self.log.caught_up(queue_manager)?,
                LogJob::NoteParted { queue_manager, parted } => {
                    self.log.note_parted(queue_manager, parted)?;
                }
                LogJob::Begin { store, is_younger, answer } => {
                    let begun = match is_younger {
                        true => self.log.begin(store.queue_manager, &store),
                        false => self.log.recover(store.queue_manager, &store),
                    };
                    answer(begun?);
                }
                LogJob::Forget { queue_manager, answer } => match self.log.forget(queue_manager) {
                    // The next start forgets it.
                    Err(LogError::NoRoom { .. }) => answer(),
                    forgotten => forgotten.map(|()| answer())?,
                },
                LogJob::Write(_) => unreachable!("take keeps these elsewhere"),
            }
        }
        Ok(())
    }

    /// How long nothing needs to be tended.
    pub fn idle_for(&self, now: Duration) -> Duration {
        match self.log.mark_is_unsynced() {
            true => self.options.mark_sync_every.saturating_sub(now.saturating_sub(self.mark_synced)),
            false => self.options.purge_every,
        }
    }

    /// What is due now and then. A sync of the mark that is handed out is the caller's to do, wherever it holds up
    /// nobody.
    pub fn tend(&mut self, now: Duration) -> Result<Option<MarkSync<F>>, LogError> {
        let since = |then: Duration| now.saturating_sub(then);
        let mut mark = None;
        if self.log.mark_is_unsynced() && since(self.mark_synced) >= self.options.mark_sync_every {
            self.log.write_mark(false)?;
            mark = Some(self.log.mark_sync());
            self.mark_synced = now;
        }
        if self.log.is_purge_due() || since(self.purged) >= self.options.purge_every {
            match self.log.purge_if_worth_it() {
                Err(LogError::NoRoom { .. }) => {}
                result => result?,
            }
            self.log.restore_ballast();
            self.purged = now;
        }
        Ok(mark)
    }

    /// Makes the mark durable, before the end.
    pub fn stop(&mut self) -> Result<(), LogError> {
        self.log.write_mark(true)
    }
}
