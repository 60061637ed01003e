//! The store thread's work without the thread: batches are applied, and flushed when enough has gathered. Whoever
//! drives it tells the time and waits for room: `writer` with a thread and the clock, the simulator in virtual time.

use std::time::Duration;

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

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    Done(T),
    /// Nothing was done; to be tried again. The sentence comes with the first refusal only.
    NoRoom {
        sentence: Option<String>,
    },
}

pub struct StoreWork<S> {
    store: S,
    options: StoreThreadOptions,
    gathered: usize,
    /// When the oldest of what is not flushed was applied.
    oldest: Option<Duration>,
    is_full: bool,
}

impl<S: MessageStore> StoreWork<S> {
    pub fn new(store: S, options: StoreThreadOptions) -> StoreWork<S> {
        StoreWork { store, options, gathered: 0, oldest: None, is_full: false }
    }

    /// `now` is the time since some moment that stays the same in all calls.
    pub fn apply(&mut self, batch: &StoreBatch, now: Duration) -> Result<Attempt<()>, StoreError> {
        let result = self.store.apply(batch);
        let attempt = self.attempt(result)?;
        if attempt == Attempt::Done(()) {
            self.gathered += batch.bytes();
            self.oldest.get_or_insert(now);
        }
        Ok(attempt)
    }

    /// Makes what was applied durable; answers the queue managers that moved.
    pub fn flush(&mut self) -> Result<Attempt<Vec<(QueueManagerId, Index)>>, StoreError> {
        if self.oldest.is_none() {
            return Ok(Attempt::Done(Vec::new()));
        }
        let result = self.store.flush();
        let attempt = self.attempt(result)?;
        if let Attempt::Done(_) = &attempt {
            self.gathered = 0;
            self.oldest = None;
        }
        Ok(attempt)
    }

    /// Removes a queue manager that is deleted.
    pub fn forget(&mut self, queue_manager: QueueManagerId) -> Result<Attempt<()>, StoreError> {
        let result = self.store.forget(queue_manager);
        self.attempt(result)
    }

    /// Enough has gathered.
    pub fn is_flush_due(&self) -> bool {
        self.gathered >= self.options.flush_bytes
    }

    /// The moment at which what was applied has waited long enough.
    pub fn flush_at(&self) -> Option<Duration> {
        self.oldest.map(|oldest| oldest + self.options.flush_every)
    }

    fn attempt<T>(&mut self, result: Result<T, StoreError>) -> Result<Attempt<T>, StoreError> {
        match result {
            Ok(value) => {
                self.is_full = false;
                Ok(Attempt::Done(value))
            }
            Err(StoreError::NoRoom { text }) => {
                let is_news = !std::mem::replace(&mut self.is_full, true);
                Ok(Attempt::NoRoom { sentence: is_news.then(|| format!("{text}; it goes on by itself")) })
            }
            Err(error) => Err(error),
        }
    }
}
