//! Connections that the node ends: counted, and said in the log, but not as often as somebody would like to fill it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::client::Client;
use super::counters::{Counters, add};

/// Between two lines in the log.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct HangUps {
    counters: Arc<Counters>,
    /// When the last line was written, and how many were not since.
    said: Mutex<Option<(Instant, u64)>>,
}

impl HangUps {
    pub fn new(counters: Arc<Counters>) -> Arc<HangUps> {
        Arc::new(HangUps { counters, said: Mutex::default() })
    }

    /// Ends the client's connection with everything on it. `because` completes "hung up on a client: ".
    pub fn hang_up(&self, client: &Client, because: &'static str) {
        client.hang_up();
        self.note(client, because);
    }

    fn note(&self, client: &Client, because: &'static str) {
        add(&self.counters.hung_up, 1);
        let mut said = self.said.lock();
        match &mut *said {
            Some((at, more)) if at.elapsed() < QUIET => *more += 1,
            before => {
                let more = before.map_or(0, |(_, more)| more);
                let address = client.address.map_or("unknown".to_owned(), |address| address.to_string());
                let user = &client.identity.user;
                tracing::warn!(address, user, because, not_said_before = more, "hung up on a client");
                *before = Some((Instant::now(), 0));
            }
        }
    }
}
