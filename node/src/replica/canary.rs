//! The canary's way into the log (`runtime/canary.rs` puts and gets, `qmgr/canary.rs` keeps what it saw).
//!
//! Every node that does not serve watches, so that it needs no agreement who does, and who is cut off alone counts for nothing. A
//! good round is told to the leader over the line of the peers, and not to the address that was tried: a leader that hears no
//! follower there has no majority, and does not serve. Who serves puts it into the log, a command a second from each, beside the
//! two that the round itself cost.

use std::time::Duration;

use trimaran_proto::failover::CANARY_QUEUE;
use trimaran_proto::replica::v1::{Watched, peer_message::Message as PeerMessage};

use super::proposals::Waiting;
use super::{Action, Replica};
use crate::qmgr::Command;
use crate::types::definition::{ObjectKind, ObjectRef};
use crate::types::{NodeId, Version};

/// Who serves for so long and hears of no good round takes it that nobody watches.
const LAPSED_AFTER: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Replica {
    /// A round of this node's canary was good: `silent` is for how long none was before, and None for its first.
    pub(super) fn on_canary_good(&mut self, silent: Option<Duration>) {
        if self.is_serving() {
            return self.note_canary(self.options.node, silent);
        }
        let leader = self.consensus.leader().filter(|leader| self.peers.is_connected(*leader));
        if let Some(to) = leader.filter(|_| self.state.version() >= Version::RECORDS) {
            let watched = Watched { silent_ms: silent.map(|silent| silent.as_millis() as u64) };
            self.out.push(Action::Send { to, message: PeerMessage::Watched(watched) });
        }
    }

    pub(super) fn on_watched(&mut self, from: NodeId, watched: &Watched) {
        debug_assert_ne!(from, self.options.node, "nobody tells itself");
        if self.is_serving() {
            self.note_canary(from, watched.silent_ms.map(Duration::from_millis));
        }
    }

    fn note_canary(&mut self, node: NodeId, silent: Option<Duration>) {
        debug_assert!(self.is_serving(), "whoever serves proposes what is replicated");
        // Without the time of a majority nobody could say when it was.
        if self.state.version() >= Version::RECORDS && self.time.is_some() {
            self.propose(Command::CanaryGood { node, silent }, Waiting::Nobody);
        }
    }

    /// Nobody watches any more: what is between the last good round and the next one is then no outage by itself.
    pub(super) fn drive_canary(&mut self) {
        let now = self.now.instant;
        let Some(leading) = self.standing.serving() else { return };
        if now < leading.next_canary_look || self.time.is_none() {
            return;
        }
        let serves_long = leading.serving_since.is_some_and(|since| now.since(since) >= LAPSED_AFTER);
        let silent_ms = |good_ms: i64| self.wall().0.saturating_sub(good_ms);
        let is_silent = self.state.canary().is_some_and(|canary| {
            !canary.lapsed && silent_ms(canary.good_ms) >= LAPSED_AFTER.as_millis() as i64
        });
        self.standing.own_mut().next_canary_look = now + LOOK_EVERY;
        if serves_long && is_silent {
            self.propose(Command::CanaryLapsed, Waiting::Nobody);
        }
    }

    /// Whoever begins to serve, and is told that there are canaries, sees to it that they have a queue.
    pub(super) fn define_canary_queue(&mut self) {
        let object = ObjectRef::new(ObjectKind::LocalQueue, CANARY_QUEUE);
        if !self.options.canary || self.state.catalog().get(&object).is_some() {
            return;
        }
        let said = [("DESCR", "Messages of canaries, which are got at once"), ("MAXDEPTH", "1000")];
        self.define_own(object, &said);
    }
}
