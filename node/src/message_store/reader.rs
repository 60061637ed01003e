//! Threads that read rows for those who must not wait, and the whole store once a day: damage should be found while
//! the other copies are good, and not when a body is asked for.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{MessageStore, ResumeKey};
use crate::jobs::{JobReceiver, JobSender, NoJob, queue};
use crate::qmgr::LoadRequest;
use crate::types::{QueueManagerId, RequestId};

const RECLAIM_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct StoreReaderOptions {
    pub threads: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// The whole store is read this often, in steps, with pauses in which requests come first.
    pub scrub_every: Duration,
    pub scrub_step_bytes: usize,
    pub scrub_pause: Duration,
}

impl Default for StoreReaderOptions {
    fn default() -> StoreReaderOptions {
        StoreReaderOptions {
            threads: 2,
            queue: 1024,
            scrub_every: Duration::from_secs(24 * 3600),
            scrub_step_bytes: 4 << 20,
            scrub_pause: Duration::from_millis(50),
        }
    }
}

/// Answer to a request; the fields of `Event::RowsLoaded`.
#[derive(Debug)]
pub struct Loaded {
    pub queue_manager: QueueManagerId,
    pub request: RequestId,
    /// As many as were asked for.
    pub rows: Vec<Option<Bytes>>,
    /// A row could not be read; the store should be condemned and the node restarted.
    pub damaged: Option<String>,
}

/// Reading threads over one store.
pub struct StoreReaders {
    requests: Option<JobSender<LoadRequest>>,
    threads: Vec<JoinHandle<()>>,
}

impl StoreReaders {
    /// `answer` is called on the reading threads, and so is `damaged`, with what nobody had asked for.
    pub fn start<S: MessageStore + Clone + Send + 'static>(
        store: S,
        options: StoreReaderOptions,
        answer: Arc<dyn Fn(Loaded) + Send + Sync>,
        damaged: Arc<dyn Fn(String) + Send + Sync>,
    ) -> io::Result<StoreReaders> {
        let (requests, waiting) = queue(options.queue);
        let threads = (0..options.threads.max(1))
            .map(|number| {
                let (waiting, answer) = (waiting.clone(), answer.clone());
                let care = (number == 0).then(|| Care::new(options.clone(), damaged.clone()));
                let store = store.clone();
                let name = format!("store-read-{number}");
                thread::Builder::new().name(name).spawn(move || read(&store, care, &waiting, &*answer))
            })
            .collect::<io::Result<_>>()?;
        Ok(StoreReaders { requests: Some(requests), threads })
    }

    /// Gives the request back when too many wait.
    pub fn load(&self, request: LoadRequest) -> Result<(), LoadRequest> {
        self.requests.as_ref().expect("taken in drop only").try_send(request)
    }
}

impl Drop for StoreReaders {
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read(
    store: &impl MessageStore,
    mut care: Option<Care>,
    requests: &JobReceiver<LoadRequest>,
    answer: &(dyn Fn(Loaded) + Send + Sync),
) {
    loop {
        let wait = care.as_ref().map_or(RECLAIM_EVERY, Care::wait);
        let request = match requests.next_within(wait) {
            Ok(request) => request,
            Err(NoJob::Late) => {
                if let Some(care) = &mut care {
                    care.step(store);
                }
                continue;
            }
            Err(NoJob::Over) => return,
        };
        let (rows, damaged) = match store.load(&request) {
            Ok(rows) => (rows, None),
            Err(error) => (vec![None; request.keys.len()], Some(error.to_string())),
        };
        answer(Loaded { queue_manager: request.queue_manager, request: request.request, rows, damaged });
    }
}

/// What the first of the threads does when it has had nothing to read for a while: it gives room back, and scrubs.
struct Care {
    options: StoreReaderOptions,
    damaged: Arc<dyn Fn(String) + Send + Sync>,
    scrub_due: Instant,
    scrub: Option<ResumeKey>,
}

impl Care {
    fn new(options: StoreReaderOptions, damaged: Arc<dyn Fn(String) + Send + Sync>) -> Care {
        let scrub_due = Instant::now() + options.scrub_every;
        Care { options, damaged, scrub_due, scrub: None }
    }

    fn wait(&self) -> Duration {
        match self.scrub {
            Some(_) => self.options.scrub_pause,
            None => RECLAIM_EVERY.min(self.scrub_due.saturating_duration_since(Instant::now())),
        }
    }

    fn step(&mut self, store: &impl MessageStore) {
        if self.scrub.is_none() && Instant::now() < self.scrub_due {
            return store.reclaim();
        }
        match store.scrub(self.scrub.as_ref(), self.options.scrub_step_bytes) {
            Ok(next) => self.scrub = next,
            Err(error) => {
                self.scrub = None;
                (self.damaged)(error.to_string());
            }
        }
        if self.scrub.is_none() {
            self.scrub_due = Instant::now() + self.options.scrub_every;
        }
    }
}
