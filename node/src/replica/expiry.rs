//! Messages whose time is over leave.

use std::time::Duration;

use super::Replica;
use super::free::Owner;
use super::proposals::Waiting;
use crate::qmgr::{Command, Removal};
use crate::types::{Position, QueueId};

/// How often a serving replica looks for messages whose time is over. A get never shows one, however late the scan.
const EXPIRY_SCAN_INTERVAL: Duration = Duration::from_secs(1);

impl Replica {
    /// Messages whose time is over leave, unless a unit holds them.
    pub(super) fn expire(&mut self) {
        let now = self.wall();
        let Some(leading) = self.standing.serving_mut() else { return };
        if self.now.instant < leading.next_expiry_scan {
            return;
        }
        leading.next_expiry_scan = self.now.instant + EXPIRY_SCAN_INTERVAL;
        leading.reservations.drop_indexes(self.now.instant);
        let due: Vec<(QueueId, Vec<Position>)> = self
            .state
            .queues()
            .filter(|queue| queue.next_expiry().is_some_and(|at| at <= now))
            .map(|queue| {
                let free = |position: &Position| !leading.reservations.is_reserved(queue.id, *position);
                (queue.id, queue.expired(now).filter(free).take(1000).collect())
            })
            .collect();
        for (queue, positions) in due {
            let (persistent, volatile): (Vec<Position>, Vec<Position>) =
                positions.into_iter().partition(Position::is_persistent);
            let reservations = &mut self.standing.own_mut().reservations;
            let contents = self.state.queue_mut(queue).expect("listed");
            for position in volatile {
                // Nobody looks for it any more.
                reservations.reserve(contents, position, Owner::Mover);
                reservations.release(queue, position);
                contents.remove(position);
                self.stats.expired += 1;
            }
            if persistent.is_empty() {
                continue;
            }
            for position in &persistent {
                reservations.reserve(contents, *position, Owner::Mover);
            }
            let removal = Removal { queue, positions: persistent };
            self.propose(Command::Expire(vec![removal]), Waiting::Expire);
        }
    }
}
