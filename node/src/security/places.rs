//! Places for connections, and who of them has not said a word yet.
//!
//! Whoever is silent keeps its place while there are others. When all are taken, the one that has been silent for longest
//! makes way for the next, so that a crowd that only connects keeps nobody out. Who has spoken keeps its place; protocols
//! have limits of their own for what somebody leaves unfinished.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// Everybody may be silent for so long: the first word of a client of ours, or of a node, is on its way by then.
const SILENCE: Duration = Duration::from_secs(1);

/// For as many connections as were said, over one port or more.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    silent: Mutex<Silent>,
}

#[derive(Debug, Default)]
struct Silent {
    came: u64,
    /// In the order in which they came.
    all: BTreeMap<u64, (Instant, oneshot::Sender<()>)>,
}

/// The place of one connection, for as long as this lasts.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    /// Some while it is silent.
    newcomer: Option<Newcomer>,
}

#[derive(Debug)]
struct Newcomer {
    number: u64,
    makes_way: oneshot::Receiver<()>,
    places: Arc<Places>,
}

impl Places {
    pub fn new(connections: usize) -> Arc<Places> {
        Arc::new(Places { free: Arc::new(Semaphore::new(connections)), silent: Mutex::default() })
    }

    /// A place for one that is silent yet. Waits where all are taken by those who have spoken.
    pub async fn take(self: &Arc<Self>) -> Place {
        let mut not_before = Instant::now();
        loop {
            // While nobody is silent somebody may come at another port.
            let next = self.silent_since().unwrap_or_else(Instant::now) + SILENCE;
            tokio::select! {
                biased;
                permit = self.free.clone().acquire_owned() => {
                    return self.place(permit.expect("the semaphore is never closed"));
                }
                () = tokio::time::sleep_until(next.max(not_before)) => {}
            }
            if self.make_room() {
                // Its place is free when it has gone.
                not_before = Instant::now() + SILENCE;
            }
        }
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let (tell, makes_way) = oneshot::channel();
        let mut silent = self.silent.lock();
        silent.came += 1;
        let number = silent.came;
        silent.all.insert(number, (Instant::now(), tell));
        Place { _permit: permit, newcomer: Some(Newcomer { number, makes_way, places: self.clone() }) }
    }

    /// Since when the one that came first is silent.
    fn silent_since(&self) -> Option<Instant> {
        self.silent.lock().all.first_key_value().map(|(_, (since, _))| *since)
    }

    /// Tells the one that has been silent for longest; false where nobody has been for long.
    fn make_room(&self) -> bool {
        let mut silent = self.silent.lock();
        let first = silent.all.first_entry().filter(|first| first.get().0.elapsed() >= SILENCE);
        first.is_some_and(|first| first.remove().1.send(()).is_ok())
    }
}

impl Place {
    /// Nobody takes it away from now on.
    pub fn keep(&mut self) {
        self.newcomer = None;
    }

    /// Until it has to make way, which it has not once it has spoken.
    pub async fn makes_way(&mut self) {
        std::future::poll_fn(|context| self.poll_makes_way(context)).await;
    }

    pub fn poll_makes_way(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(newcomer) = &mut self.newcomer else { return Poll::Pending };
        let told = Pin::new(&mut newcomer.makes_way).poll(context).map(drop);
        if told.is_ready() {
            self.newcomer = None;
        }
        told
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.places.silent.lock().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn where_all_places_are_taken_the_one_that_is_silent_for_longest_makes_way() {
        let places = Places::new(2);
        let (mut first, mut second) = (places.take().await, places.take().await);
        let began = Instant::now();
        let third = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        first.makes_way().await;
        assert_eq!(began.elapsed(), SILENCE, "whoever has just come is given time");
        assert!(!third.is_finished(), "its place is not free before it has gone");
        drop(first);
        let _third = third.await.unwrap();
        assert_eq!(began.elapsed(), SILENCE);
        let still = tokio::time::timeout(10 * SILENCE, second.makes_way()).await;
        assert!(still.is_err(), "nobody came after that");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spoken_keeps_its_place() {
        let places = Places::new(1);
        let mut only = places.take().await;
        only.keep();
        let next = places.take();
        tokio::select! {
            _ = next => panic!("there is no place"),
            () = only.makes_way() => panic!("it has spoken"),
            () = tokio::time::sleep(100 * SILENCE) => {}
        }
        drop(only);
        drop(places.take().await);
    }
}
