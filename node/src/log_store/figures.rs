//! What the log thread counts: how often it wrote, how much, and how long the device took.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::entry_codec::stored_bytes;
use crate::consensus::LogWrite;

/// Upper bounds of [`LogFigures::buckets`]: from a good device that is idle to one that is in trouble.
pub const SYNC_BOUNDS: [Duration; 14] = [
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// Since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogFigures {
    /// Each covers every queue manager that had something.
    pub writes: u64,
    /// Those that were synced.
    pub syncs: u64,
    pub entries: u64,
    pub bytes: u64,
    /// Syncs that took at most the bound of the same place in [`SYNC_BOUNDS`].
    pub buckets: [u64; SYNC_BOUNDS.len()],
    /// All of them together.
    pub sync_time: Duration,
    /// What a sync takes, averaged: the newest is an eighth of it. None before the first.
    pub sync_takes: Option<Duration>,
}

/// Written by the log thread, read by anybody.
#[derive(Debug, Default)]
pub(super) struct Counters {
    writes: AtomicU64,
    syncs: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    buckets: [AtomicU64; SYNC_BOUNDS.len()],
    sync_us: AtomicU64,
    sync_takes_us: AtomicU64,
}

/// One batch, before it is written.
pub(super) struct Batch {
    entries: u64,
    bytes: u64,
    sync: bool,
}

impl Batch {
    pub fn of(writes: &[LogWrite]) -> Batch {
        let entries = || writes.iter().flat_map(|write| &write.entries);
        Batch {
            entries: entries().count() as u64,
            bytes: entries().map(stored_bytes).sum::<usize>() as u64,
            sync: writes.iter().any(|write| write.sync),
        }
    }
}

impl Counters {
    pub fn count(&self, batch: &Batch, took: Duration) {
        self.writes.fetch_add(1, Relaxed);
        self.entries.fetch_add(batch.entries, Relaxed);
        self.bytes.fetch_add(batch.bytes, Relaxed);
        if batch.sync {
            let (took_us, before) = (took.as_micros() as u64, self.sync_takes_us.load(Relaxed));
            let is_first = self.syncs.fetch_add(1, Relaxed) == 0;
            let average = if is_first { took_us } else { (before * 7 + took_us) / 8 };
            self.sync_takes_us.store(average, Relaxed);
            self.sync_us.fetch_add(took.as_micros() as u64, Relaxed);
            if let Some(at) = SYNC_BOUNDS.iter().position(|bound| took <= *bound) {
                self.buckets[at].fetch_add(1, Relaxed);
            }
        }
    }

    pub fn figures(&self) -> LogFigures {
        let mut upto = 0;
        let buckets = self.buckets.each_ref().map(|bucket| {
            upto += bucket.load(Relaxed);
            upto
        });
        LogFigures {
            writes: self.writes.load(Relaxed),
            // The buckets were read first: a sync that is counted meanwhile is in neither.
            syncs: self.syncs.load(Relaxed).max(upto),
            entries: self.entries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            buckets,
            sync_time: Duration::from_micros(self.sync_us.load(Relaxed)),
            sync_takes: Some(Duration::from_micros(self.sync_takes_us.load(Relaxed)))
                .filter(|_| self.syncs.load(Relaxed) > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_only_syncs_are_timed() {
        let counters = Counters::default();
        assert_eq!(counters.figures().sync_takes, None);
        let batch = |sync| Batch { entries: 2, bytes: 100, sync };
        counters.count(&batch(true), Duration::from_micros(150));
        counters.count(&batch(true), Duration::from_millis(3));
        // (150 * 7 + 3000) / 8
        assert_eq!(counters.figures().sync_takes, Some(Duration::from_micros(506)));
        counters.count(&batch(true), Duration::from_secs(60));
        counters.count(&batch(false), Duration::from_secs(60));
        let figures = counters.figures();
        assert_eq!((figures.writes, figures.syncs, figures.entries, figures.bytes), (4, 3, 8, 400));
        assert_eq!(figures.buckets[..6], [0, 1, 1, 1, 1, 2]);
        assert_eq!(figures.buckets[SYNC_BOUNDS.len() - 1], 2);
        assert_eq!(figures.sync_time, Duration::from_micros(60_003_150));
    }
}
