//! Hangs up on clients that do not take what they asked for: whoever writes to a client does not run while the client
//! does not read, so somebody else has to look.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::client::Client;
use super::hang_up::HangUps;
use super::patience::{Patience, Waiting};
use crate::replica::Backlog;
use crate::types::{Account, Share, limits};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// While the node's share of answers is nearly used up, so much is too much.
const TIGHT_BYTES_MAX: u64 = 1024 * 1024;
/// And this is how it is waited for.
const TIGHT_PATIENCE: Patience = Patience { time: Duration::from_secs(2), bytes: 2 * TIGHT_BYTES_MAX };

/// While it is used up: who takes anything is not the first to go.
const STUCK: Patience = Patience { time: LOOK_EVERY, bytes: 1 };

/// Bytes that wait for a client to take them.
pub trait Untaken: Debug + Send + Sync {
    /// How many wait now.
    fn bytes(&self) -> u64;
    /// How many went on to the client since this began.
    fn taken(&self) -> u64;
}

impl Untaken for Backlog {
    fn bytes(&self) -> u64 {
        self.unread()
    }

    fn taken(&self) -> u64 {
        Backlog::taken(self)
    }
}

/// What of it a client may leave lying.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// A stream: a program asks ahead, and takes it when it gets to it.
    Stream,
    /// The answer to a call, which its caller waits for: nothing.
    Call,
}

/// What waits for each client of a node.
#[derive(Debug)]
pub struct Backlogs {
    account: Arc<Account>,
    hang_ups: Arc<HangUps>,
    patience: Patience,
    watched: Mutex<AllWatched>,
}

#[derive(Debug, Default)]
struct AllWatched {
    next: u64,
    watched: BTreeMap<u64, Watched>,
    /// Somebody looks at them.
    looked_at: bool,
}

#[derive(Debug)]
struct Watched {
    untaken: Arc<dyn Untaken>,
    client: Client,
    of: Of,
    /// Since it is too much.
    waiting: Waiting,
    /// Since nothing of it is taken, or nothing waits.
    stuck: Waiting,
}

/// Something that is watched until this is dropped.
#[derive(Debug)]
pub struct Watch {
    backlogs: Arc<Backlogs>,
    number: u64,
}

impl Backlogs {
    pub fn new(account: Arc<Account>, hang_ups: Arc<HangUps>, patience: Patience) -> Arc<Backlogs> {
        Arc::new(Backlogs { account, hang_ups, patience, watched: Mutex::default() })
    }

    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub fn watch(self: &Arc<Backlogs>, untaken: Arc<dyn Untaken>, client: Client, of: Of) -> Watch {
        let waiting = Waiting::new(untaken.taken(), Instant::now());
        let mut all = self.watched.lock();
        all.next += 1;
        let number = all.next;
        all.watched.insert(number, Watched { untaken, client, of, waiting, stuck: waiting });
        if !std::mem::replace(&mut all.looked_at, true) {
            tokio::spawn(look_again_and_again(Arc::downgrade(self)));
        }
        Watch { backlogs: self.clone(), number }
    }

    /// `again`: as was done just before.
    fn look(&self, again: bool) {
        let tight = self.account.is_tight(Share::Answers);
        let now = Instant::now();
        for watched in self.watched.lock().watched.values_mut() {
            let (bytes, taken) = (watched.untaken.bytes(), watched.untaken.taken());
            let (bytes_max, patience) = self.rule(watched.of, tight);
            if bytes <= bytes_max || !again {
                watched.waiting = Waiting::new(taken, now);
            } else if patience.is_over(&mut watched.waiting, taken, now) {
                watched.hang_up(&self.hang_ups, "it does not read its messages");
            }
            if bytes == 0 || !again {
                watched.stuck = Waiting::new(taken, now);
            }
        }
        let excess = self.account.used(Share::Answers).saturating_sub(self.account.limit(Share::Answers));
        if excess > 0 {
            self.make_room(excess, now);
        }
    }

    /// How many bytes may lie for as long as their client likes, and how more of them are waited for.
    fn rule(&self, of: Of, tight: bool) -> (u64, Patience) {
        match (of, tight) {
            (Of::Call, false) => (0, self.patience),
            (Of::Stream, false) => (limits::UNREAD_BYTES_MAX as u64, Patience { bytes: 1, ..self.patience }),
            (of, true) => {
                let bytes_max = if matches!(of, Of::Stream) { TIGHT_BYTES_MAX } else { 0 };
                (bytes_max, Patience { time: TIGHT_PATIENCE.time.min(self.patience.time), ..TIGHT_PATIENCE })
            }
        }
    }

    /// More waits than there may be: nobody waits for those who have most of it and do not read just now.
    fn make_room(&self, excess: u64, now: Instant) {
        let mut all = self.watched.lock();
        let mut stuck: Vec<(u64, &Watched)> = Vec::new();
        for watched in all.watched.values_mut() {
            if STUCK.is_over(&mut watched.stuck, watched.untaken.taken(), now) {
                stuck.push((watched.untaken.bytes(), watched));
            }
        }
        stuck.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let mut room = 0;
        for (bytes, watched) in stuck {
            if room >= excess {
                return;
            }
            watched.hang_up(&self.hang_ups, "it has more unread messages than there is memory for");
            room += bytes;
        }
    }
}

impl Watched {
    /// Once: a connection may have much that is watched.
    fn hang_up(&self, hang_ups: &HangUps, because: &'static str) {
        if !self.client.was_hung_up_on() {
            hang_ups.hang_up(&self.client, because);
        }
    }
}

async fn look_again_and_again(backlogs: Weak<Backlogs>) {
    let mut again = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(backlogs) = backlogs.upgrade() else { return };
        // Nothing waits for anybody, mostly. What was seen before that says nothing of what is seen then.
        let any = backlogs.account.used(Share::Answers) > TIGHT_BYTES_MAX;
        if any {
            backlogs.look(again);
        }
        again = any;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.backlogs.watched.lock().watched.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::listener::Counters;
    use crate::listener::unread::Unread;

    const TIME: Duration = Duration::from_secs(10);

    fn backlogs() -> (Arc<Backlogs>, Arc<Counters>) {
        let counters = Arc::<Counters>::default();
        let hang_ups = HangUps::new(counters.clone());
        // The least that a share of answers has: 101 MiB.
        let account = Account::new(64 << 20);
        (Backlogs::new(account, hang_ups, Patience { time: TIME, bytes: 1000 }), counters)
    }

    fn given(backlogs: &Arc<Backlogs>, of: Of, bytes: usize) -> (Unread, Bytes) {
        let (unread, held, _) = given_to(backlogs, of, bytes);
        (unread, held)
    }

    fn given_to(backlogs: &Arc<Backlogs>, of: Of, bytes: usize) -> (Unread, Bytes, Client) {
        let client = Client::default();
        let unread = Unread::watched(backlogs, client.clone(), of);
        let held = unread.hold(vec![7; bytes].into());
        (unread, held, client)
    }

    async fn seconds(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_call_has_its_time_and_a_stream_may_lie() {
        let (backlogs, counters) = backlogs();
        let (call, _held) = given(&backlogs, Of::Call, 2 << 20);
        let _stream = given(&backlogs, Of::Stream, 60 << 20);
        for _ in 0..20 {
            seconds(9).await;
            call.note_taken(1000);
        }
        assert_eq!(counters.figures().hung_up, 0);
        for _ in 0..20 {
            call.note_taken(10);
            seconds(1).await;
        }
        assert_eq!(counters.figures().hung_up, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_a_long_silence_has_its_time_too() {
        let (backlogs, counters) = backlogs();
        let (stream, held) = given(&backlogs, Of::Stream, 1);
        drop(held);
        seconds(3600).await;
        let _held = stream.hold(vec![7; 70 << 20].into());
        seconds(9).await;
        assert_eq!(counters.figures().hung_up, 0);
        seconds(2).await;
        assert_eq!(counters.figures().hung_up, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn when_nothing_is_left_those_who_have_little_and_do_not_read_go_as_well() {
        let (backlogs, counters) = backlogs();
        // 150 MiB of half a MiB each; one of them is read.
        let all: Vec<_> = (0..300).map(|_| given(&backlogs, Of::Stream, 512 * 1024)).collect();
        let (read, _held, reader) = given_to(&backlogs, Of::Stream, 600 * 1024);
        for _ in 0..50 {
            read.note_taken(1);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!((98..105).contains(&counters.figures().hung_up), "{}", counters.figures().hung_up);
        assert!(!reader.was_hung_up_on());
        drop(all);
        assert!(backlogs.account.used(Share::Answers) < 1 << 20);
    }
}
