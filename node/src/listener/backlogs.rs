//! Hangs up on clients that take nothing although too much waits for them: whoever writes to a client does not run while
//! the client does not read, so somebody else has to look.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::client::Client;
use super::hang_up::HangUps;
use crate::replica::Backlog;
use crate::types::{Account, Share, limits};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// While the node's share of answers is nearly used up, so much is too much.
const TIGHT_BYTES_MAX: u64 = 1024 * 1024;
/// And this is how long it may wait.
const TIGHT_PATIENCE: Duration = Duration::from_secs(2);

/// What waits for each session of a node.
#[derive(Debug)]
pub struct Backlogs {
    account: Arc<Account>,
    hang_ups: Arc<HangUps>,
    patience: Duration,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    next: u64,
    watched: BTreeMap<u64, Watched>,
    /// Somebody looks at them.
    looked_at: bool,
}

#[derive(Debug)]
struct Watched {
    backlog: Arc<Backlog>,
    client: Client,
    /// What it had taken when that was new.
    taken: u64,
    since: Instant,
}

/// A session that is watched until this is dropped.
#[derive(Debug)]
pub struct Watch {
    backlogs: Arc<Backlogs>,
    number: u64,
}

impl Backlogs {
    pub fn new(account: Arc<Account>, hang_ups: Arc<HangUps>, patience: Duration) -> Arc<Backlogs> {
        Arc::new(Backlogs { account, hang_ups, patience, sessions: Mutex::default() })
    }

    pub fn watch(self: &Arc<Backlogs>, backlog: Arc<Backlog>, client: Client) -> Watch {
        let mut sessions = self.sessions.lock();
        sessions.next += 1;
        let number = sessions.next;
        let watched = Watched { taken: backlog.taken(), backlog, client, since: Instant::now() };
        sessions.watched.insert(number, watched);
        if !std::mem::replace(&mut sessions.looked_at, true) {
            tokio::spawn(look_again_and_again(Arc::downgrade(self)));
        }
        Watch { backlogs: self.clone(), number }
    }

    fn look(&self) {
        let tight = self.account.is_tight(Share::Answers);
        let (bytes_max, patience) = match tight {
            true => (TIGHT_BYTES_MAX, TIGHT_PATIENCE.min(self.patience)),
            false => (limits::UNREAD_BYTES_MAX as u64, self.patience),
        };
        let now = Instant::now();
        for watched in self.sessions.lock().watched.values_mut() {
            let taken = watched.backlog.taken();
            if watched.backlog.unread() <= bytes_max || taken != watched.taken {
                (watched.taken, watched.since) = (taken, now);
            } else if now - watched.since >= patience {
                watched.since = now;
                self.hang_ups.hang_up(&watched.client, "it does not read its messages");
            }
        }
        if self.account.used(Share::Answers) > self.account.limit(Share::Answers) {
            self.make_room(now);
        }
    }

    /// More waits than there may be: nobody waits for who has most of it and does not read just now.
    fn make_room(&self, now: Instant) {
        let mut sessions = self.sessions.lock();
        let stuck = sessions.watched.values_mut().filter(|watched| now - watched.since >= LOOK_EVERY);
        let most = stuck.max_by_key(|watched| watched.backlog.unread());
        if let Some(watched) = most.filter(|watched| watched.backlog.unread() > TIGHT_BYTES_MAX) {
            watched.since = now;
            self.hang_ups.hang_up(&watched.client, "it has more unread messages than there is memory for");
        }
    }
}

async fn look_again_and_again(backlogs: Weak<Backlogs>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(backlogs) = backlogs.upgrade() else { return };
        // Nothing waits for anybody, mostly.
        if backlogs.account.used(Share::Answers) > TIGHT_BYTES_MAX {
            backlogs.look();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.backlogs.sessions.lock().watched.remove(&self.number);
    }
}
