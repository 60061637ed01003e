//! The store thread: applies batches, flushes when enough has gathered, says what is on disk. A full device is waited
//! out here, with the batch in hand; nobody else waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::work::{Attempt, StoreThreadOptions, StoreWork};
use super::{MessageStore, StoreError};
use crate::jobs::{JobReceiver, JobSender, NoJob, queue};
use crate::qmgr::StoreBatch;
use crate::types::{Index, QueueManagerId};

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
    /// A queue manager is deleted; answered when it has no row any more.
    Forget(QueueManagerId, Box<dyn FnOnce() + Send>),
    Stop,
}

#[derive(Clone)]
pub struct StoreHandle {
    jobs: JobSender<Job>,
}

impl StoreHandle {
    /// Gives the batch back when too many wait (a full device): try again with a later turn.
    pub fn store(&self, batch: StoreBatch) -> Result<(), StoreBatch> {
        match self.jobs.try_send(Job::Apply(batch)) {
            Err(Job::Apply(batch)) => Err(batch),
            _ => Ok(()),
        }
    }

    /// See [`MessageStore::forget`]: behind the last batch of the queue manager. Waits when the store is too far behind.
    pub fn forget(&self, queue_manager: QueueManagerId, answer: Box<dyn FnOnce() + Send>) {
        self.jobs.send(Job::Forget(queue_manager, answer));
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
        let (jobs, waiting) = queue(options.queue);
        let stopping = Arc::new(AtomicBool::new(false));
        let retry_every = options.retry_every;
        let work = Working {
            work: StoreWork::new(store, options),
            begun: Instant::now(),
            retry_every,
            answers,
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
        self.handle.jobs.send(Job::Stop);
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
    work: StoreWork<S>,
    begun: Instant,
    retry_every: Duration,
    answers: StoreAnswers,
    stopping: Arc<AtomicBool>,
}

impl<S: MessageStore> Working<S> {
    fn run(mut self, jobs: JobReceiver<Job>) {
        if let Err(error) = self.work(&jobs) {
            (self.answers.fatal)(error);
        }
    }

    fn work(&mut self, jobs: &JobReceiver<Job>) -> Result<(), StoreError> {
        loop {
            let flush_at = self.work.flush_at();
            let wait = flush_at
                .map_or(Duration::from_secs(3600), |flush_at| flush_at.saturating_sub(self.begun.elapsed()));
            let (flush, stop) = match jobs.next_within(wait) {
                Ok(Job::Apply(batch)) => {
                    let (queue_manager, index) = (batch.meta.queue_manager, batch.meta.index);
                    let now = self.begun.elapsed();
                    let refuse = |answers: &StoreAnswers| (answers.refused)(queue_manager, index);
                    if self.persist(&|work| work.apply(&batch, now), &refuse)?.is_none() {
                        return Ok(());
                    }
                    (self.work.is_flush_due(), false)
                }
                Ok(Job::Forget(queue_manager, answer)) => {
                    if self.persist(&|work| work.forget(queue_manager), &|_| {})?.is_none() {
                        return Ok(());
                    }
                    answer();
                    (false, false)
                }
                Ok(Job::Flush) | Err(NoJob::Late) => (true, false),
                Ok(Job::Stop) | Err(NoJob::Over) => (true, true),
            };
            if flush {
                let Some(moved) = self.persist(&StoreWork::flush, &|_| {})? else { return Ok(()) };
                for (queue_manager, index) in moved {
                    (self.answers.flushed)(queue_manager, index);
                }
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Tries until there is room. None: the node stops and there is none; the log has it all.
    fn persist<T>(
        &mut self,
        attempt: &dyn Fn(&mut StoreWork<S>) -> Result<Attempt<T>, StoreError>,
        refuse: &dyn Fn(&StoreAnswers),
    ) -> Result<Option<T>, StoreError> {
        let mut waited = false;
        loop {
            match attempt(&mut self.work)? {
                Attempt::Done(value) => {
                    if waited {
                        (self.answers.report)("the message store has room again and goes on".into());
                    }
                    return Ok(Some(value));
                }
                Attempt::NoRoom { sentence } => {
                    if let Some(sentence) = sentence {
                        (self.answers.report)(sentence);
                        refuse(&self.answers);
                    }
                    waited = true;
                    thread::sleep(self.retry_every);
                    if self.stopping.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                }
            }
        }
    }
}
