//! What the listeners count. Written by many tasks, once per frame and not per message; read by the metrics page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::metrics::{FailedCalls, ListenerFigures};
use crate::types::Reason;

macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        /// One number for each line of [`ListenerFigures`], which says what it counts.
        #[derive(Debug)]
        pub struct Counters {
            $(pub $field: AtomicU64,)*
            failed: Box<[AtomicU64]>,
        }

        impl Default for Counters {
            fn default() -> Counters {
                Counters {
                    $($field: AtomicU64::new(0),)*
                    failed: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
                }
            }
        }

        impl Counters {
            pub fn figures(&self) -> ListenerFigures {
                ListenerFigures {
                    $($field: self.$field.load(Relaxed),)*
                    failed: self.failed(),
                }
            }
        }
    };
}

counters!(
    connections,
    connections_refused,
    streams,
    sessions_refused,
    frames_received,
    calls_received,
    frames_sent,
    answers_sent,
    body_bytes_received,
    body_bytes_sent,
    unary_calls,
    calls_in_flight,
    bytes_in_flight,
    violations,
    hung_up,
);

impl Counters {
    pub fn count_failed(&self, reason: Reason) {
        if let Some(at) = Reason::ALL.iter().position(|known| *known == reason) {
            add(&self.failed[at], 1);
        }
    }

    fn failed(&self) -> Vec<FailedCalls> {
        let counts = Reason::ALL.iter().zip(&self.failed);
        counts
            .map(|(reason, count)| FailedCalls { reason: *reason, count: count.load(Relaxed) })
            .filter(|failed| failed.count > 0)
            .collect()
    }
}

pub fn add(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Relaxed);
    }
}

pub fn subtract(gauge: &AtomicU64, by: u64) {
    if by > 0 {
        gauge.fetch_sub(by, Relaxed);
    }
}
