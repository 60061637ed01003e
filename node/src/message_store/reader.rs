//! Threads that read rows for those who must not wait.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::MessageStore;
use crate::qmgr::LoadRequest;
use crate::types::{QueueManagerId, RequestId};

const RECLAIM_EVERY: Duration = Duration::from_secs(60);

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
    requests: Option<Sender<LoadRequest>>,
    threads: Vec<JoinHandle<()>>,
}

impl StoreReaders {
    /// `answer` is called on the reading threads.
    pub fn start<S: MessageStore + Clone + Send + 'static>(
        store: S,
        threads: usize,
        queue: usize,
        answer: Arc<dyn Fn(Loaded) + Send + Sync>,
    ) -> io::Result<StoreReaders> {
        let (requests, waiting) = bounded(queue);
        let threads = (0..threads.max(1))
            .map(|number| {
                let (store, waiting, answer) = (store.clone(), waiting.clone(), answer.clone());
                let name = format!("store-read-{number}");
                thread::Builder::new().name(name).spawn(move || read(&store, number == 0, &waiting, &*answer))
            })
            .collect::<io::Result<_>>()?;
        Ok(StoreReaders { requests: Some(requests), threads })
    }

    /// Gives the request back when too many wait.
    pub fn load(&self, request: LoadRequest) -> Result<(), LoadRequest> {
        match self.requests.as_ref().expect("taken in drop only").try_send(request) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => Err(request),
        }
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

/// The first of the threads also gives room back, when it has had nothing to read for a while.
fn read(
    store: &impl MessageStore,
    tidies: bool,
    requests: &Receiver<LoadRequest>,
    answer: &(dyn Fn(Loaded) + Send + Sync),
) {
    loop {
        let request = match requests.recv_timeout(RECLAIM_EVERY) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                if tidies {
                    store.reclaim();
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let (rows, damaged) = match store.load(&request) {
            Ok(rows) => (rows, None),
            Err(error) => (vec![None; request.keys.len()], Some(error.to_string())),
        };
        answer(Loaded { queue_manager: request.queue_manager, request: request.request, rows, damaged });
    }
}
