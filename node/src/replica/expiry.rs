//! Messages whose time is over leave: no get shows one, and none takes the room of a message that is put.
//!
//! In slices, one command each, as many as are due and as fast as the log takes them. What a unit of work holds stays
//! until the unit ends, as in MQ.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Replica;
use super::calls::BACKLOG_BYTES_MAX;
use super::free::Owner;
use super::loads::Recipient;
use super::proposals::Waiting;
use super::turn::LEAVE;
use crate::qmgr::{Command, Due, Removal};
use crate::types::planted::{self, Bug};
use crate::types::{Cause, Instant, LookupMap, Position, QueueId, SessionId, Version, WallTime, limits};

/// Messages of one command: an entry of 16 KiB.
const SLICE: usize = 1_000;
/// Messages of all queues that are on their way out at a time.
const LEAVING_MAX: u64 = 4_000;
/// Queues that have something due and are looked at in a turn.
const QUEUES: usize = 500;
/// Of one queue that leave at a time with a report each, and bytes of reports.
const REPORTS: usize = 100;
const REPORTS_BYTES: usize = limits::ENTRY_BYTES_SOFT;
/// How often a serving replica looks at all that is due, also at what it passed by because a unit held it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const _: () = assert!(SLICE as u64 <= LEAVING_MAX, "one slice may always leave");
const _: () = assert!(SLICE * 16 < limits::ENTRY_BYTES_SOFT, "a slice has room in an entry");

/// What becomes of messages that ask to be told that their time is over. A report makes no reports, so that there is an end to
/// them: what makes room for one leaves them for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Too,
    Later,
}

/// What a leader knows of the messages that leave.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Proposed and not applied.
    by_queue: LookupMap<QueueId, u64>,
    in_all: u64,
    /// The same with a report each, and those that are read for it. They are nobody else's until they are gone.
    reporting: LookupMap<QueueId, u64>,
    /// What was looked at, of the queues that have more.
    passed: LookupMap<QueueId, Due>,
    more: bool,
    /// The queue that was looked at last, where a turn was too short for all that have something due.
    last: QueueId,
    /// One of those before it has more.
    again: bool,
    next_look: Instant,
}

impl Leaving {
    /// On their way out: they count for nothing any more.
    pub fn of(&self, queue: QueueId) -> u64 {
        self.by_queue.get(&queue).copied().unwrap_or(0)
    }

    /// The same, with those that are reported: they count for no depth.
    pub fn with_reports(&self, queue: QueueId) -> u64 {
        self.of(queue) + self.reporting.get(&queue).copied().unwrap_or(0)
    }

    fn may_begin(&self) -> bool {
        self.in_all < LEAVING_MAX
    }

    /// Whether just these leave.
    pub fn is(&self, leaving: &BTreeMap<QueueId, u64>) -> bool {
        let in_all = self.by_queue.values().chain(self.reporting.values()).sum::<u64>();
        debug_assert_eq!(in_all, self.in_all, "who leaves, leaves some queue");
        self.by_queue.len() == leaving.len() && leaving.iter().all(|(queue, count)| self.of(*queue) == *count)
    }

    fn note_proposed(&mut self, queue: QueueId, messages: u64) {
        debug_assert!(messages > 0, "a command that expires has messages");
        *self.by_queue.entry(queue).or_default() += messages;
        self.in_all += messages;
    }

    fn note_reporting(&mut self, queue: QueueId) {
        *self.reporting.entry(queue).or_default() += 1;
        self.in_all += 1;
    }

    fn note_reported(&mut self, queue: QueueId) {
        let of = self.reporting.get_mut(&queue).expect("it was to be reported");
        assert!(*of > 0 && self.in_all > 0, "what is reported was counted");
        *of -= 1;
        if *of == 0 {
            self.reporting.remove(&queue);
        }
        self.in_all -= 1;
    }

    fn note_applied(&mut self, queue: QueueId, messages: u64) {
        assert!(self.in_all >= messages, "what leaves was counted");
        self.in_all -= messages;
        let of = self.by_queue.get_mut(&queue).expect("it was proposed");
        assert!(*of >= messages, "what leaves was counted, by queue");
        *of -= messages;
        if *of == 0 {
            self.by_queue.remove(&queue);
        }
    }
}

impl Replica {
    /// Some of the messages whose time is over leave.
    pub(super) fn expire(&mut self) {
        let now = self.wall();
        if self.is_half_applied() {
            return;
        }
        let Some(leading) = self.standing.serving_mut().filter(|_| !planted::is(Bug::LateExpiry)) else {
            return;
        };
        let leaving = &mut leading.leaving;
        if self.now.instant >= leaving.next_look {
            leaving.next_look = self.now.instant + LOOK_INTERVAL;
            leaving.passed.clear();
            let waiters = &leading.waiters;
            leading.reservations.drop_indexes(self.now.instant, |queue| waiters.wait_for_groups(queue));
        } else if !leaving.more {
            return;
        }
        leaving.more = std::mem::take(&mut leaving.again);
        let (mut last, mut looked_at) = (std::mem::take(&mut leaving.last), 0);
        while let Some(queue) = self.state.next_due(now, last) {
            let leading = self.standing.own_mut();
            if !leading.leaving.may_begin() || leading.proposals.backlog_bytes() > BACKLOG_BYTES_MAX {
                leading.leaving.more = true;
                return;
            }
            self.expire_some(queue, now, Asked::Too);
            self.turn.spend(LEAVE);
            (last, looked_at) = (queue, looked_at + 1);
            if looked_at == QUEUES {
                let leaving = &mut self.standing.own_mut().leaving;
                (leaving.last, leaving.again, leaving.more) = (last, leaving.more, true);
                return;
            }
        }
    }

    /// There is more that could leave now: a turn must begin soon.
    pub(super) fn expiry_deadline(&self) -> Option<Instant> {
        let leading = self.standing.serving()?;
        let may = leading.leaving.may_begin() && leading.proposals.backlog_bytes() <= BACKLOG_BYTES_MAX;
        (leading.leaving.more && may).then_some(self.now.instant)
    }

    /// One slice of one queue; nothing of one that is about to be emptied.
    fn expire_some(&mut self, queue: QueueId, now: WallTime, asked: Asked) {
        let leading = self.standing.own_mut();
        let Some(contents) = self.state.queue(queue).filter(|_| !leading.locked.contains(&queue)) else {
            return;
        };
        let mut last = leading.leaving.passed.get(&queue).copied();
        let knows_reports = self.state.version() >= Version::RECORDS;
        let (mut positions, mut reported, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (looked_at, due) in contents.expiries().due(now, last).enumerate() {
            if looked_at == SLICE || reported.len() == REPORTS || bytes >= REPORTS_BYTES {
                leading.leaving.more = true;
                break;
            }
            last = Some(due);
            if leading.reservations.is_reserved(queue, due.1) {
                continue;
            }
            let slot = contents.slot(due.1).expect("what is due is there");
            if !knows_reports || !slot.reports().wants(Cause::Expiration) {
                positions.push(due.1);
            } else if asked == Asked::Too {
                reported.push(due.1);
                bytes += slot.body_length as usize;
            }
        }
        if let Some(last) = last {
            leading.leaving.passed.insert(queue, last);
        }
        self.send_away(queue, positions);
        // All are on their way out before the first is reported: it may go to the queue that it leaves.
        for position in &reported {
            let leading = self.standing.own_mut();
            let contents = self.state.queue(queue).expect("seen above");
            leading.reservations.reserve(contents, *position, Owner::Reporter);
            leading.leaving.note_reporting(queue);
        }
        for position in reported {
            let slot = self.state.queue(queue).and_then(|queue| queue.slot(position));
            match slot.is_some_and(|slot| slot.message.is_some()) {
                true => self.report_expired(queue, position),
                false => self.load(queue, position, Recipient::Expire),
            }
        }
    }

    /// The message is in memory: it leaves, and whoever it says is told.
    pub(super) fn report_expired(&mut self, queue: QueueId, position: Position) {
        debug_assert_eq!(
            self.standing.own().reservations.owner(queue, position),
            Some(Owner::Reporter),
            "what is reported is the queue manager's"
        );
        let slot = self.state.queue(queue).and_then(|queue| queue.slot(position)).expect("it is reserved");
        let message = slot.message.clone().expect("the caller has seen it");
        let report = self.make_report(&message, Cause::Expiration);
        if position.is_persistent() {
            let (from, to) = ((queue, position), report.as_ref().map(|report| report.queue));
            let waiting = Waiting::Expired { from, report: to };
            return self.propose_removals(
                SessionId(0),
                Removal { queue, positions: vec![position] },
                report,
                waiting,
            );
        }
        let gone = self.state.change(queue).and_then(|contents| contents.remove(position));
        debug_assert!(gone.is_some(), "what expires was there");
        report.into_iter().for_each(|report| self.place_report_not_persistent(report));
        let (leading, now) = (self.standing.own_mut(), self.now.instant);
        leading.reservations.release(queue, position);
        leading.depths.note_got(queue, now);
        self.note_expired(queue);
    }

    fn note_expired(&mut self, queue: QueueId) {
        self.standing.own_mut().leaving.note_reported(queue);
        self.stats.expired += 1;
    }

    /// A message that was to leave with a report has left, or stays.
    pub(super) fn end_expired(&mut self, from: (QueueId, Position), is_gone: bool) {
        if is_gone {
            return self.note_expired(from.0);
        }
        self.standing.own_mut().leaving.note_reported(from.0);
        self.free(from.0, from.1);
    }

    fn send_away(&mut self, queue: QueueId, positions: Vec<Position>) {
        let (persistent, volatile): (Vec<Position>, Vec<Position>) =
            positions.into_iter().partition(Position::is_persistent);
        let (leading, now) = (self.standing.own_mut(), self.now.instant);
        let contents = self.state.change(queue).expect("the caller has it");
        for position in volatile {
            // Nobody looks for it any more.
            leading.reservations.reserve(contents, position, Owner::Mover);
            leading.reservations.release(queue, position);
            leading.depths.note_got(queue, now);
            let gone = contents.remove(position);
            debug_assert!(gone.is_some(), "what expires was there");
            self.stats.expired += 1;
        }
        if persistent.is_empty() {
            return;
        }
        for position in &persistent {
            leading.reservations.reserve(contents, *position, Owner::Mover);
        }
        debug_assert!(persistent.len() <= SLICE, "a slice is one short command");
        let messages = persistent.len() as u64;
        leading.leaving.note_proposed(queue, messages);
        let removal = Removal { queue, positions: persistent };
        self.propose(Command::Expire(vec![removal]), Waiting::Expire { queue, messages });
    }

    /// The removal of `messages` is applied, and `left` of them were there.
    pub(super) fn end_expire(&mut self, queue: QueueId, messages: u64, left: usize) {
        debug_assert!(left as u64 <= messages, "no more leave than were to");
        self.standing.own_mut().leaving.note_applied(queue, messages);
        self.stats.expired += left as u64;
    }

    /// A queue is full: what has expired makes room, in front of the put that is about to come.
    pub(super) fn make_room(&mut self, queue: QueueId, asked: Asked) {
        let now = self.wall();
        let contents = self.state.queue(queue);
        let is_due = contents.is_some_and(|contents| contents.expiries().next().is_some_and(|at| at <= now));
        if is_due && !planted::is(Bug::LateExpiry) {
            self.expire_some(queue, now, asked);
        }
    }

    /// How long ago the time of some message was over that is still here and that no unit holds, by the time of the
    /// newest entry; zero where nobody serves. For judges.
    pub fn overdue(&self) -> Duration {
        let Some(leading) = self.standing.serving() else { return Duration::ZERO };
        let at = self.state.at();
        let stays = |queue: QueueId, position: Position| {
            matches!(leading.reservations.owner(queue, position), None | Some(Owner::Mover | Owner::Reporter))
        };
        let late = self.state.queues().filter_map(|queue| {
            queue.expiries().due(at, None).find(|(_, position)| stays(queue.id, *position))
        });
        let first = late.map(|(expired, _)| expired).min();
        Duration::from_millis(first.map_or(0, |expired| (at.0 - expired.0) as u64))
    }
}
