//! What a connection was given and has not let go of: encoded answers, counted in the node's account from when they are
//! there until nobody has a byte of them any more, and watched as long.
//!
//! Whatever writes them keeps them for as long as it has to: HTTP/2 until its client opens its window and the kernel takes
//! them, long after whoever made the answer is done with it. So it is the bytes themselves that are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use super::backlogs::{Backlogs, Of, Untaken, Watch};
use super::client::Client;
use crate::types::{Account, Share};

/// What is kept beside the bytes of an answer to send it.
const AROUND_BYTES: u64 = 256;

/// The answers of one stream, of one call, or of one connection where it has but one stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Unread(Arc<Given>);

#[derive(Debug)]
struct Given {
    account: Arc<Account>,
    figures: Arc<Figures>,
    _watch: Option<Watch>,
}

#[derive(Debug, Default)]
struct Figures {
    held: AtomicU64,
    taken: AtomicU64,
}

impl Untaken for Figures {
    fn bytes(&self) -> u64 {
        self.held.load(Relaxed)
    }

    fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

impl Unread {
    /// Who does not take them is hung up on.
    pub fn watched(backlogs: &Arc<Backlogs>, client: Client, of: Of) -> Unread {
        let figures = Arc::<Figures>::default();
        let watch = backlogs.watch(figures.clone(), client, of);
        Unread(Arc::new(Given { account: backlogs.account().clone(), figures, _watch: Some(watch) }))
    }

    /// For a connection that looks after itself.
    pub fn counted(account: Arc<Account>) -> Unread {
        Unread(Arc::new(Given { account, figures: Arc::default(), _watch: None }))
    }

    /// These bytes, counted until the last part of them is dropped. What of them the client takes is said with
    /// [`Unread::part`] or [`Unread::note_taken`].
    pub fn hold(&self, bytes: Bytes) -> Bytes {
        self.kept(bytes.len() as u64 + AROUND_BYTES, 0, bytes)
    }

    /// A part of what is held, taken when it is dropped.
    pub fn part(&self, bytes: Bytes) -> Bytes {
        self.kept(0, bytes.len() as u64, bytes)
    }

    /// Both in one.
    pub fn hold_and_part(&self, bytes: Bytes) -> Bytes {
        let length = bytes.len() as u64;
        self.kept(length + AROUND_BYTES, length, bytes)
    }

    /// So many bytes of what is held went on to the client.
    pub fn note_taken(&self, bytes: u64) {
        self.0.figures.taken.fetch_add(bytes, Relaxed);
    }

    fn kept(&self, counted: u64, taken: u64, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        self.0.figures.held.fetch_add(counted, Relaxed);
        self.0.account.add(Share::Answers, counted);
        Bytes::from_owner(Kept { bytes, counted, taken, given: self.0.clone() })
    }
}

struct Kept {
    bytes: Bytes,
    /// In the account.
    counted: u64,
    /// What the client has taken when this is dropped.
    taken: u64,
    given: Arc<Given>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let figures = &self.given.figures;
        figures.taken.fetch_add(self.taken, Relaxed);
        figures.held.fetch_sub(self.counted, Relaxed);
        self.given.account.give(Share::Answers, self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_counted_until_its_last_part_is_gone() {
        let account = Account::new(1 << 30);
        let unread = Unread::counted(account.clone());
        let figures = unread.0.figures.clone();
        let mut bytes = unread.hold(Bytes::from(vec![7; 1000]));
        assert_eq!((account.used(Share::Answers), &bytes[..]), (1256, &[7; 1000][..]));
        let part = unread.part(bytes.split_to(300));
        assert_eq!((figures.bytes(), figures.taken()), (1256, 0));
        drop((unread, part));
        assert_eq!((figures.bytes(), figures.taken()), (1256, 300));
        drop(bytes);
        assert_eq!((figures.bytes(), account.used(Share::Answers)), (0, 0));
    }
}
