//! Whose turn it is to word a part of a long answer. Of all who do, one at a time on a node: whoever else is on their worker waits for one
//! part, however many ask.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Objects, with all that can be said of them, or sessions that are worded in one go: about a millisecond, whatever the language is.
pub const PART: usize = 16;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wording {
    next: Arc<Semaphore>,
}

impl Default for Wording {
    fn default() -> Wording {
        Wording { next: Arc::new(Semaphore::new(1)) }
    }
}

impl Wording {
    /// Ends when it is the caller's turn, and others on this worker had theirs. What comes up to the next await is one part. Nothing is
    /// held beyond, so a caller whose client is slow keeps nobody.
    pub async fn turn(&self) {
        let _next = self.next.acquire().await.expect("it is never closed");
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn somebody_else_waits_for_one_part_however_many_word_an_answer() {
        const PARTS: usize = 50;
        let (wording, worded) = (Wording::default(), Arc::new(AtomicUsize::new(0)));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (wording, worded) = (wording.clone(), worded.clone());
            all.spawn(async move {
                for _ in 0..PARTS {
                    wording.turn().await;
                    worded.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut before, mut turns) = (0, 0);
        while !all.is_empty() {
            tokio::task::yield_now().await;
            let now = worded.load(Ordering::Relaxed);
            assert!(now - before <= 2, "{} parts were worded between two turns of another", now - before);
            (before, turns) = (now, turns + 1);
            while all.try_join_next().is_some() {}
        }
        assert!(before == 100 * PARTS && turns >= before / 2, "{before} parts, {turns} turns");
    }
}
