//! The store thread: applies batches, flushes when enough has gathered, says what is on disk. A full device is waited
//! out here, with the batch in hand; nobody else waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::{MessageStore, StoreError};
use crate::qmgr::StoreBatch;
use crate::types::{Index, QueueManagerId};

#[derive(Clone, Debug)]
pub struct StoreThreadOptions {
    /// Batches that may wait.
    pub queue: usize,
    /// A flush begins when this much has gathered,
    pub flush_bytes: usize,
    /// or when the oldest of it has waited for so long.
    pub flush_every: Duration,
    /// How often a full device is asked again.
    pub retry_every: Duration,
}

impl Default for StoreThreadOptions {
    fn default() -> StoreThreadOptions {
        StoreThreadOptions {
            queue: 256,
            flush_bytes: 32 << 20,
            flush_every: Duration::from_secs(1),
            retry_every: Duration::from_millis(500),
        }
    }
}

/// What the store thread has to say, called on it.
pub struct StoreAnswers {
    /// `Event::StoreFlushed`.
    pub flushed: Box<dyn Fn(QueueManagerId, Index) + Send>,
    /// `Event::StoreRefused`, once until it fits.
    pub refused: Box<dyn Fn(QueueManagerId, Index) + Send>,
    /// The store failed: ends the process.
    pub fatal: Box<dyn Fn(StoreError) + Send>,
    /// Sentences for the operator.
    pub report: Arc<dyn Fn(String) + Send + Sync>,
}

enum Job {
    Apply(StoreBatch),
    Flush,
    Stop,
}

#[derive(Clone)]
pub struct StoreHandle {
    jobs: Sender<Job>,
}

impl StoreHandle {
    /// Gives the batch back when too many wait (a full device): try again with a later turn.
    pub fn store(&self, batch: StoreBatch) -> Result<(), StoreBatch> {
        match self.jobs.try_send(Job::Apply(batch)) {
            Err(TrySendError::Full(Job::Apply(batch))) => Err(batch),
            // A store thread that ended took the process with it, or the node is stopping.
            _ => Ok(()),
        }
    }

    /// Flushes what was given so far soon, because the log should be cut.
    pub fn flush(&self) {
        let _ = self.jobs.try_send(Job::Flush);
    }
}

pub struct StoreThread {
    handle: StoreHandle,
    thread: Option<JoinHandle<()>>,
    /// Nobody waits for room any more.
    stopping: Arc<AtomicBool>,
}

impl StoreThread {
    pub fn start<S: MessageStore + Send + 'static>(
        store: S,
        options: StoreThreadOptions,
        answers: StoreAnswers,
    ) -> io::Result<StoreThread> {
        let (jobs, waiting) = bounded(options.queue);
        let stopping = Arc::new(AtomicBool::new(false));
        let work = Working {
            store,
            options,
            answers,
            gathered: 0,
            oldest: None,
            refused: false,
            stopping: stopping.clone(),
        };
        let thread = thread::Builder::new().name("store".into()).spawn(move || work.run(waiting))?;
        Ok(StoreThread { handle: StoreHandle { jobs }, thread: Some(thread), stopping })
    }

    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Applies and flushes what waits, then ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.handle.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.end();
    }
}

struct Working<S> {
    store: S,
    options: StoreThreadOptions,
    answers: StoreAnswers,
    gathered: usize,
    oldest: Option<Instant>,
    refused: bool,
    stopping: Arc<AtomicBool>,
}

impl<S: MessageStore> Working<S> {
    fn run(mut self, jobs: Receiver<Job>) {
        if let Err(error) = self.work(&jobs) {
            (self.answers.fatal)(error);
        }
    }

    fn work(&mut self, jobs: &Receiver<Job>) -> Result<(), StoreError> {
        loop {
            let until = self.oldest.map(|oldest| oldest + self.options.flush_every);
            let wait = until
                .map_or(Duration::from_secs(3600), |until| until.saturating_duration_since(Instant::now()));
            let job = jobs.recv_timeout(wait);
            let (flush, stop) = match job {
                Ok(Job::Apply(batch)) => {
                    let bytes = batch.bytes();
                    let (queue_manager, index) = (batch.meta.queue_manager, batch.meta.index);
                    if !self.persist(&|store| store.apply(&batch), &|answers| {
                        (answers.refused)(queue_manager, index)
                    })? {
                        return Ok(());
                    }
                    self.gathered += bytes;
                    self.oldest.get_or_insert_with(Instant::now);
                    (self.gathered >= self.options.flush_bytes, false)
                }
                Ok(Job::Flush) | Err(RecvTimeoutError::Timeout) => (true, false),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => (true, true),
            };
            if flush && self.oldest.is_some() {
                let moved = std::cell::Cell::new(Vec::new());
                if !self.persist(&|store| store.flush().map(|all| moved.set(all)), &|_| {})? {
                    return Ok(());
                }
                self.gathered = 0;
                self.oldest = None;
                for (queue_manager, index) in moved.take() {
                    (self.answers.flushed)(queue_manager, index);
                }
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Tries until there is room. False: the node stops and there is none; the log has it all.
    fn persist(
        &mut self,
        attempt: &dyn Fn(&S) -> Result<(), StoreError>,
        refuse: &dyn Fn(&StoreAnswers),
    ) -> Result<bool, StoreError> {
        loop {
            match attempt(&self.store) {
                Ok(()) => {
                    if std::mem::take(&mut self.refused) {
                        (self.answers.report)("the message store has room again and goes on".into());
                    }
                    return Ok(true);
                }
                Err(StoreError::NoRoom { text }) => {
                    if !std::mem::replace(&mut self.refused, true) {
                        (self.answers.report)(text);
                        refuse(&self.answers);
                    }
                    thread::sleep(self.options.retry_every);
                    if self.stopping.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
