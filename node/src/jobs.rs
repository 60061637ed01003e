//! Bounded queues of jobs between threads. Whoever waits sleeps at once.
//!
//! The usual channels spin and yield first. Before a sync, which takes a hundred times as long, that costs as much CPU as
//! a small sync does; and on a machine whose CPUs are all busy, a thread that yields gets its CPU back a time slice
//! later, where one that sleeps is woken in front of the others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The end that brings jobs.
pub struct JobSender<J>(Arc<Queue<J>>);

/// The end that takes them: one thread, or several that share the work.
pub struct JobReceiver<J>(Arc<Queue<J>>);

/// Why there is no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoJob {
    /// None came in time.
    Late,
    /// None will come: every sender is gone, and what they brought is done.
    Over,
}

struct Queue<J> {
    state: Mutex<State<J>>,
    some: Condvar,
    room: Condvar,
    max: usize,
}

struct State<J> {
    jobs: VecDeque<J>,
    senders: usize,
    receivers: usize,
}

/// A queue for at most `max` jobs.
pub fn queue<J>(max: usize) -> (JobSender<J>, JobReceiver<J>) {
    let state = Mutex::new(State { jobs: VecDeque::new(), senders: 1, receivers: 1 });
    let queue = Arc::new(Queue { state, some: Condvar::new(), room: Condvar::new(), max });
    (JobSender(queue.clone()), JobReceiver(queue))
}

impl<J> JobSender<J> {
    /// Waits while there is no room. The job is dropped when nobody takes jobs any more.
    pub fn send(&self, job: J) {
        let mut state = self.0.state.lock();
        self.0.room.wait_while(&mut state, |state| state.jobs.len() >= self.0.max && state.receivers > 0);
        if state.receivers > 0 {
            state.jobs.push_back(job);
            drop(state);
            self.0.some.notify_one();
        }
    }

    /// Gives the job back when there is no room, or nobody to take it.
    pub fn try_send(&self, job: J) -> Result<(), J> {
        let mut state = self.0.state.lock();
        if state.jobs.len() >= self.0.max || state.receivers == 0 {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.0.some.notify_one();
        Ok(())
    }
}

impl<J> JobReceiver<J> {
    /// The next job, waiting for it no longer than `patience`.
    pub fn next_within(&self, patience: Duration) -> Result<J, NoJob> {
        let mut state = self.0.state.lock();
        if state.jobs.is_empty() && state.senders > 0 {
            let nothing = |state: &mut State<J>| state.jobs.is_empty() && state.senders > 0;
            self.0.some.wait_while_for(&mut state, nothing, patience);
        }
        let over = state.senders == 0;
        self.take(&mut state).ok_or(if over { NoJob::Over } else { NoJob::Late })
    }

    /// A job that is there already.
    pub fn next_now(&self) -> Option<J> {
        self.take(&mut self.0.state.lock())
    }

    fn take(&self, state: &mut State<J>) -> Option<J> {
        let job = state.jobs.pop_front()?;
        if state.jobs.len() + 1 == self.0.max {
            self.0.room.notify_all();
        }
        Some(job)
    }
}

impl<J> Clone for JobSender<J> {
    fn clone(&self) -> JobSender<J> {
        self.0.state.lock().senders += 1;
        JobSender(self.0.clone())
    }
}

impl<J> Clone for JobReceiver<J> {
    fn clone(&self) -> JobReceiver<J> {
        self.0.state.lock().receivers += 1;
        JobReceiver(self.0.clone())
    }
}

impl<J> Drop for JobSender<J> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            self.0.some.notify_all();
        }
    }
}

impl<J> Drop for JobReceiver<J> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receivers -= 1;
        if state.receivers == 0 {
            let left = std::mem::take(&mut state.jobs);
            self.0.room.notify_all();
            drop(state);
            // Outside the lock: a job may hold a sender.
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn jobs_come_in_order_and_whoever_brings_too_many_waits() {
        let (sender, receiver) = queue(2);
        let bringing = thread::spawn(move || (0..100).for_each(|job| sender.send(job)));
        for job in 0..100 {
            assert_eq!(receiver.next_within(LONG), Ok(job));
            assert!(receiver.0.state.lock().jobs.len() <= 2);
        }
        assert_eq!(receiver.next_within(LONG), Err(NoJob::Over));
        bringing.join().unwrap();
    }

    #[test]
    fn several_threads_share_the_work_and_all_end() {
        let (sender, receiver) = queue(8);
        let taking = |receiver: JobReceiver<u64>| {
            thread::spawn(move || std::iter::from_fn(|| receiver.next_within(LONG).ok()).sum::<u64>())
        };
        let threads = [taking(receiver.clone()), taking(receiver)];
        (1..=1000).for_each(|job| sender.send(job));
        drop(sender);
        assert_eq!(threads.map(|thread| thread.join().unwrap()).iter().sum::<u64>(), 500_500);
    }

    #[test]
    fn a_full_queue_gives_a_job_back_and_patience_ends() {
        let (sender, receiver) = queue(1);
        assert_eq!(receiver.next_within(Duration::ZERO), Err(NoJob::Late));
        assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Err(2)));
        assert_eq!((receiver.next_now(), receiver.next_now()), (Some(1), None));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_ended() {
        let (sender, receiver) = queue(1);
        sender.send(1);
        let bringing = thread::spawn(move || {
            sender.send(2);
            sender.try_send(3)
        });
        drop(receiver);
        assert_eq!(bringing.join().unwrap(), Err(3));
    }
}
