//! The log thread of a node, for all its queue managers: takes everything that waits, writes it with one sync, says
//! so. No timers: a batch is what arrived during the last sync. A second thread reads beside it: old entries for
//! peers that lag, the scrub, and the sync of the mark, which must not hold up the log.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use raft_engine::env::FileSystem;

use super::LogError;
use super::figures::{Batch, Counters, LogFigures};
use super::mark::MarkSync;
use super::raft_engine::{LogReader, RaftEngineLog};
use super::work::{LogBeginning, LogJob, LogThreadOptions, LogWork, Written};
use crate::consensus::{Entry, LogWrite, Parted};
use crate::jobs::{JobReceiver, JobSender, NoJob, queue};
use crate::types::{Index, QueueManagerId, SnapshotMeta, WriteNumber};

/// Who is there to be scrubbed; asked at each step, as they come and go.
pub type LogOwners = Box<dyn Fn() -> Vec<QueueManagerId> + Send>;

/// Entries that were asked for, or none when they are not in the log (any more) or damaged.
pub type LogReading = Box<dyn FnOnce(Vec<Entry>) + Send>;

enum Job {
    Log(LogJob),
    Stop,
}

enum ReadJob<F: FileSystem> {
    Read { queue_manager: QueueManagerId, first: Index, until: Index, bytes_max: usize, answer: LogReading },
    SyncMark(MarkSync<F>),
    Stop,
}

/// The way to the log, for as many as want it.
#[derive(Clone)]
pub struct LogHandle {
    jobs: JobSender<Job>,
    counters: Arc<Counters>,
    read: Arc<dyn Fn(QueueManagerId, Index, Index, usize, LogReading) + Send + Sync>,
}

impl LogHandle {
    /// Answered by `persisted` with this or a later number. Waits when the log is too far behind.
    pub fn write(&self, write: LogWrite) {
        // A log thread that ended took the process with it, or the node is stopping: nobody waits for the answer.
        self.jobs.send(Job::Log(LogJob::Write(write)));
    }

    pub fn truncate(&self, queue_manager: QueueManagerId, upto: Index) {
        self.jobs.send(Job::Log(LogJob::Truncate { queue_manager, upto }));
    }

    /// See [`LogStore::caught_up`]. To be said when a replica's role shows `recovering` no more.
    pub fn caught_up(&self, queue_manager: QueueManagerId) {
        self.jobs.send(Job::Log(LogJob::CaughtUp { queue_manager }));
    }

    /// See [`LogStore::note_parted`].
    pub fn note_parted(&self, queue_manager: QueueManagerId, parted: Option<Parted>) {
        self.jobs.send(Job::Log(LogJob::NoteParted { queue_manager, parted }));
    }

    /// What the log has of a queue manager that begins while the others run; before its first write. See [`Restart::begin`].
    ///
    /// [`Restart::begin`]: super::Restart::begin
    pub fn begin(&self, store: SnapshotMeta, is_younger: bool, answer: LogBeginning) {
        self.jobs.send(Job::Log(LogJob::Begin { store: Box::new(store), is_younger, answer }));
    }

    /// See [`LogStore::forget`]. Behind the last write of the queue manager; answered when nothing of it is left.
    pub fn forget(&self, queue_manager: QueueManagerId, answer: Box<dyn FnOnce() + Send>) {
        self.jobs.send(Job::Log(LogJob::Forget { queue_manager, answer }));
    }

    /// What the log thread has written so far.
    pub fn figures(&self) -> LogFigures {
        self.counters.figures()
    }

    /// Answered on the reading thread; without entries when too many reads wait already.
    pub fn read(
        &self,
        queue_manager: QueueManagerId,
        first: Index,
        until: Index,
        bytes_max: usize,
        answer: LogReading,
    ) {
        (self.read)(queue_manager, first, until, bytes_max, answer);
    }
}

pub struct LogThread {
    handle: LogHandle,
    writer: Option<JoinHandle<()>>,
    stop_reader: Box<dyn Fn() + Send>,
    reader: Option<JoinHandle<()>>,
}

impl LogThread {
    /// `persisted` is told the newest write of each queue manager that is on disk; `fatal` must end the process;
    /// `report` takes sentences for the operator; `damaged` hears of every entry that cannot be read any more.
    pub fn start<F: FileSystem + 'static>(
        log: RaftEngineLog<F>,
        queue_managers: LogOwners,
        options: LogThreadOptions,
        persisted: Box<dyn Fn(QueueManagerId, WriteNumber) + Send>,
        fatal: Arc<dyn Fn(LogError) + Send + Sync>,
        report: Arc<dyn Fn(String) + Send + Sync>,
        damaged: Box<dyn Fn(QueueManagerId, Index) + Send>,
    ) -> std::io::Result<LogThread> {
        let (jobs, jobs_in) = queue(options.queue);
        let counters = Arc::<Counters>::default();
        let (reads, reads_in) = queue::<ReadJob<F>>(256);
        let reader = {
            let reading = Reading {
                reader: log.reader(),
                queue_managers,
                options: options.clone(),
                fatal: fatal.clone(),
                report: report.clone(),
                damaged,
            };
            thread::Builder::new().name("log-read".into()).spawn(move || reading.run(reads_in))?
        };
        let writer = {
            let begun = Instant::now();
            let work = LogWork::new(log, options, begun.elapsed());
            let writing = Writing {
                work,
                begun,
                reads: reads.clone(),
                persisted,
                fatal,
                report,
                counters: counters.clone(),
            };
            thread::Builder::new().name("log".into()).spawn(move || writing.run(jobs_in))?
        };
        let stop = reads.clone();
        let read = Arc::new(move |queue_manager, first, until, bytes_max, answer| {
            let job = ReadJob::Read { queue_manager, first, until, bytes_max, answer };
            if let Err(refused) = reads.try_send(job)
                && let ReadJob::Read { answer, .. } = refused
            {
                answer(Vec::new());
            }
        });
        Ok(LogThread {
            handle: LogHandle { jobs, counters, read },
            writer: Some(writer),
            stop_reader: Box::new(move || stop.send(ReadJob::Stop)),
            reader: Some(reader),
        })
    }

    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }

    /// Writes what waits, makes the mark durable and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.handle.jobs.send(Job::Stop);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
            (self.stop_reader)();
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.end();
    }
}

struct Writing<F: FileSystem> {
    work: LogWork<F>,
    begun: Instant,
    reads: JobSender<ReadJob<F>>,
    persisted: Box<dyn Fn(QueueManagerId, WriteNumber) + Send>,
    fatal: Arc<dyn Fn(LogError) + Send + Sync>,
    report: Arc<dyn Fn(String) + Send + Sync>,
    counters: Arc<Counters>,
}

impl<F: FileSystem> Writing<F> {
    fn run(mut self, jobs: JobReceiver<Job>) {
        if let Err(error) = self.work(&jobs) {
            (self.fatal)(error);
        }
    }

    fn work(&mut self, jobs: &JobReceiver<Job>) -> Result<(), LogError> {
        loop {
            let first = match jobs.next_within(self.work.idle_for(self.begun.elapsed())) {
                Ok(job) => Some(job),
                Err(NoJob::Late) => None,
                Err(NoJob::Over) => Some(Job::Stop),
            };
            let stop = self.collect(first, jobs);
            if !self.work.batch().is_empty() {
                self.write_all()?;
                for (queue_manager, number) in self.work.persisted() {
                    (self.persisted)(queue_manager, number);
                }
            }
            self.work.follow_up()?;
            if stop {
                return self.work.stop();
            }
            if let Some(mark) = self.work.tend(self.begun.elapsed())? {
                self.sync_mark(mark)?;
            }
        }
    }

    /// Takes what waits. True: the thread is asked to end after it.
    fn collect(&mut self, first: Option<Job>, jobs: &JobReceiver<Job>) -> bool {
        let mut next = first;
        while let Some(job) = next {
            match job {
                Job::Stop => return true,
                Job::Log(job) => {
                    if self.work.take(job) {
                        return false;
                    }
                }
            }
            next = jobs.next_now();
        }
        false
    }

    /// A full device is waited out: nothing was written, nothing was answered, and others may make room.
    fn write_all(&mut self) -> Result<(), LogError> {
        let batch = Batch::of(self.work.batch());
        let mut waited = false;
        loop {
            let begun = Instant::now();
            match self.work.write()? {
                Written::Done => {
                    self.counters.count(&batch, begun.elapsed());
                    if waited {
                        (self.report)("the log has room again and goes on".into());
                    }
                    return Ok(());
                }
                Written::NoRoom { sentence } => {
                    if let Some(sentence) = sentence {
                        (self.report)(sentence);
                    }
                    waited = true;
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// On the reading thread, unless too much waits there.
    fn sync_mark(&self, mark: MarkSync<F>) -> Result<(), LogError> {
        match self.reads.try_send(ReadJob::SyncMark(mark)) {
            Err(ReadJob::SyncMark(mark)) => mark.sync(),
            _ => Ok(()),
        }
    }
}

struct Reading<F: FileSystem> {
    reader: LogReader<F>,
    queue_managers: LogOwners,
    options: LogThreadOptions,
    fatal: Arc<dyn Fn(LogError) + Send + Sync>,
    report: Arc<dyn Fn(String) + Send + Sync>,
    damaged: Box<dyn Fn(QueueManagerId, Index) + Send>,
}

impl<F: FileSystem> Reading<F> {
    fn run(self, jobs: JobReceiver<ReadJob<F>>) {
        let mut scrub_due = Instant::now() + self.options.scrub_every;
        // Which queue manager is being scrubbed, and where; None: until the next round.
        let mut scrub: Option<(usize, Index)> = None;
        loop {
            let wait = match scrub {
                Some(_) => self.options.scrub_pause,
                None => scrub_due.saturating_duration_since(Instant::now()),
            };
            match jobs.next_within(wait) {
                Ok(ReadJob::Read { queue_manager, first, until, bytes_max, answer }) => {
                    answer(self.reader.read(queue_manager, first, until, bytes_max).unwrap_or_else(
                        |error| {
                            (self.report)(error.to_string());
                            if let LogError::Damaged { queue_manager, index, .. } = error {
                                (self.damaged)(queue_manager, index);
                            }
                            Vec::new()
                        },
                    ));
                }
                Ok(ReadJob::SyncMark(mark)) => {
                    if let Err(error) = mark.sync() {
                        (self.fatal)(error);
                        return;
                    }
                }
                Ok(ReadJob::Stop) | Err(NoJob::Over) => return,
                Err(NoJob::Late) => {
                    scrub = self.scrub_step(scrub.unwrap_or((0, Index(0))));
                    if scrub.is_none() {
                        scrub_due = Instant::now() + self.options.scrub_every;
                    }
                }
            }
        }
    }

    fn scrub_step(&self, (position, from): (usize, Index)) -> Option<(usize, Index)> {
        let queue_manager = *(self.queue_managers)().get(position)?;
        let (damages, next) = self.reader.scrub(queue_manager, from, self.options.scrub_step_bytes);
        for damage in damages {
            (self.report)(damage.text);
            (self.damaged)(queue_manager, damage.last);
        }
        Some(next.map_or((position + 1, Index(0)), |next| (position, next)))
    }
}
