//! What only the leader has, as one value: it begins with an election, and whoever takes it away when leadership is lost
//! answers what is in it. Nothing in it is replicated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::defining::Defining;
use super::depths::Depths;
use super::endings::Endings;
use super::events::Events;
use super::expiry::Leaving;
use super::failovers::Takeover;
use super::free::Reservations;
use super::line::Line;
use super::listeners::Gathering;
use super::loads::Readers;
use super::members::MembershipOperation;
use super::monitored::Monitored;
use super::offers::Offers;
use super::proposals::Proposals;
use super::raising::Raising;
use super::searches::Searches;
use super::staging::Stagings;
use super::waiters::{Pass, Waiters};
use super::withdrawals::Withdrawals;
use crate::qmgr::{Producers, QueueManager};
use crate::types::definition::By;
use crate::types::{Instant, LookupMap, NodeId, Position, QueueId, SessionId, Term, Token, Version};

#[derive(Debug)]
pub(super) enum Standing {
    Following,
    Leading(Box<Leading>),
}

#[derive(Debug)]
pub(super) struct Leading {
    pub term: Term,
    /// When it was elected.
    pub since: Instant,
    /// When each peer last had everything, as far as this leader has seen.
    pub in_sync_at: BTreeMap<NodeId, Instant>,
    /// For how long each peer has been there and lacked something, to about 100 ms.
    pub caught_up_for: BTreeMap<NodeId, Duration>,
    /// None until the first entry of its own term is applied.
    pub serving_since: Option<Instant>,
    /// Whether this service has yet to look whether the queue manager is new, and has system objects.
    pub objects_due: bool,
    /// What the cluster file names is still to be registered.
    pub file_due: bool,
    /// The version that it begins with was proposed.
    pub begins_raised: bool,
    /// A channel was changed: who is connected through one that is stopped now?
    pub channels_due: bool,
    /// This service has just begun, or a listener was changed: which are there?
    pub listeners_due: bool,
    /// Some while they are gathered.
    pub listeners: Option<Gathering>,

    pub proposals: Proposals,
    pub staging: Stagings,
    pub endings: Endings,
    pub reservations: Reservations,
    pub waiters: Waiters,
    pub withdrawals: Withdrawals,
    pub readers: Readers,
    /// Sessions that have parked calls.
    pub line: Line,
    pub searches: Searches,
    /// Free messages that those who wait were not offered yet.
    pub offers: Offers,
    /// Queues on which a group has become whole, so that whoever waits for one of its messages has to look again.
    pub regrouped: BTreeMap<QueueId, Pass>,
    /// Where somebody looked again last: the other queues come before it.
    pub looked_again_at: QueueId,
    /// Queues an administrator is emptying or deleting.
    pub locked: BTreeSet<QueueId>,
    /// Definitions that are on their way into the log.
    pub defining: Defining,
    /// Dynamic queues that go as soon as they can.
    pub doomed: BTreeMap<QueueId, By>,
    /// Of so many that a turn does not look at all of them: where the next one begins.
    pub doomed_from: QueueId,
    /// Puts that were let in and are not applied, by queue: they count for MAXDEPTH.
    incoming: LookupMap<QueueId, u64>,
    /// Sequences of puts that are not persistent, and so not in the log.
    pub volatile_producers: Producers,
    /// The counter in the newest message id. Unique over all leaders: a term has one.
    pub next_unique: u64,
    pub leaving: Leaving,
    /// What is to be told of the depths of queues.
    pub depths: Depths,
    /// What happened to queues.
    pub monitored: Monitored,
    /// What is to be told of commands when they are done.
    pub events: Events,
    /// Nodes whose maintenance was proposed to begin or to end, and is not applied, in the log's order.
    pub maintaining: VecDeque<(NodeId, bool)>,
    pub membership_change: Option<MembershipOperation>,
    pub handover: Option<Handover>,
    pub raising: Option<Raising>,
    pub ending: Ending,
    /// How this node came to lead, for the record.
    pub takeover: Takeover,
    /// When it is looked again whether a canary was heard of.
    pub next_canary_look: Instant,
    /// Whether another node should lead is looked at again then.
    pub next_placement_look: Instant,
    /// The number of the newest question to peers. Unique over all leaders: a term has one.
    pub questions: u64,
}

/// A planned move: open units of work may end, then there are no new calls, everything that was let in is applied, and the
/// leadership goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// None: whoever is most up to date.
    pub to: Option<NodeId>,
    pub answer: Option<(SessionId, Token)>,
    pub begun: Instant,
    /// Units of work that are open may go on until then, and what is no part of one goes on as always. None: there are no open
    /// ones any more, or their time is over.
    pub units_until: Option<Instant>,
    /// Given up then, and serving goes on.
    pub until: Instant,
    /// When nothing was left to finish, and the others were asked for a sign of life.
    pub sounded: Option<Instant>,
    /// Programs were told, by the floating address, which stays until then for that.
    pub told_until: Option<Instant>,
    /// Nothing is left to finish: the floating address may go.
    pub parting: bool,
    /// Who was asked to take over, and when.
    pub asked: Option<(NodeId, Instant)>,
}

/// What the leader of a queue manager that ends has done about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// It was proposed that a queue manager which quiesces has ended.
    pub is_proposed: bool,
    /// Programs are told that their connection broke.
    pub reconnect: bool,
    /// When it is looked again whether a program is left.
    pub next_look: Instant,
}

impl Standing {
    pub fn leading(&self) -> Option<&Leading> {
        match self {
            Standing::Following => None,
            Standing::Leading(leading) => Some(leading),
        }
    }

    pub fn leading_mut(&mut self) -> Option<&mut Leading> {
        match self {
            Standing::Following => None,
            Standing::Leading(leading) => Some(leading),
        }
    }

    pub fn serving(&self) -> Option<&Leading> {
        self.leading().filter(|leading| leading.serving_since.is_some())
    }

    pub fn serving_mut(&mut self) -> Option<&mut Leading> {
        self.leading_mut().filter(|leading| leading.serving_since.is_some())
    }

    /// The leader's own, for the stories of calls and of what they proposed: only a leader comes there.
    pub fn own(&self) -> &Leading {
        self.leading().expect("calls are let in by a leader only")
    }

    /// See [`Standing::own`].
    pub fn own_mut(&mut self) -> &mut Leading {
        self.leading_mut().expect("calls are let in by a leader only")
    }

    /// Leadership is over: who asks for it answers what is in it.
    pub fn stop(&mut self) -> Option<Leading> {
        match std::mem::replace(self, Standing::Following) {
            Standing::Following => None,
            Standing::Leading(leading) => Some(*leading),
        }
    }
}

impl Leading {
    pub fn new(term: Term, version: Version, takeover: Takeover, now: Instant) -> Leading {
        debug_assert!(term > Term(0), "nobody is elected before the first term");
        let mut proposals = Proposals::default();
        proposals.speak(version);
        Leading {
            term,
            since: now,
            in_sync_at: BTreeMap::new(),
            caught_up_for: BTreeMap::new(),
            serving_since: None,
            objects_due: false,
            file_due: true,
            begins_raised: false,
            channels_due: false,
            listeners_due: false,
            listeners: None,
            proposals,
            staging: Stagings::default(),
            endings: Endings::default(),
            reservations: Reservations::default(),
            waiters: Waiters::default(),
            withdrawals: Withdrawals::default(),
            readers: Readers::default(),
            line: Line::default(),
            searches: Searches::default(),
            offers: Offers::default(),
            regrouped: BTreeMap::new(),
            looked_again_at: QueueId(0),
            locked: BTreeSet::new(),
            defining: Defining::default(),
            doomed: BTreeMap::new(),
            doomed_from: QueueId(0),
            incoming: LookupMap::default(),
            volatile_producers: Producers::default(),
            next_unique: term.0 << 40,
            leaving: Leaving::default(),
            depths: Depths::default(),
            monitored: Monitored::default(),
            events: Events::default(),
            maintaining: VecDeque::new(),
            membership_change: None,
            handover: None,
            raising: None,
            ending: Ending::default(),
            takeover,
            next_canary_look: Instant(0),
            next_placement_look: Instant(0),
            questions: term.0 << 32,
        }
    }

    /// A put was let in.
    pub fn let_in(&mut self, queue: QueueId, now: Instant) {
        self.depths.note_put(queue, now);
        self.monitored.note_put(queue, now);
        *self.incoming.entry(queue).or_default() += 1;
    }

    /// Messages that were let in have arrived, or never will.
    pub fn note_left(&mut self, queue: QueueId, messages: u64) {
        debug_assert!(
            messages == 0 || self.incoming.contains_key(&queue),
            "what has arrived, or never will, was let in"
        );
        if let Some(incoming) = self.incoming.get_mut(&queue) {
            debug_assert!(*incoming >= messages, "what was let in comes once, or never");
            *incoming = incoming.saturating_sub(messages);
            if *incoming == 0 {
                self.incoming.remove(&queue);
            }
        }
    }

    /// The same of every queue.
    pub fn all_incoming(&self) -> BTreeMap<QueueId, u64> {
        self.incoming.iter().map(|(queue, count)| (*queue, *count)).collect()
    }

    pub fn assert_holds(&self, now: Instant) {
        let serves = self.serving_since.is_some();
        debug_assert!(
            self.serving_since.is_none_or(|since| self.since <= since && since <= now),
            "a leader serves after it was elected, and not from a later time on"
        );
        debug_assert!(
            self.in_sync_at.values().all(|at| self.since <= *at && *at <= now),
            "a peer had everything while this leader looked"
        );
        debug_assert_eq!(
            self.next_unique >> 40,
            self.term.0 & 0xff_ffff,
            "a message id has the term of its leader"
        );
        debug_assert_eq!(
            self.questions >> 32,
            self.term.0 & 0xffff_ffff,
            "a question has the term of its leader"
        );
        debug_assert!(serves || self.handover.is_none(), "who does not serve yet has nothing to hand over");
        if let Some(handover) = self.handover {
            debug_assert!(
                handover.units_until.is_none_or(|units_until| units_until <= handover.until),
                "a move is not given up while units may go on"
            );
            debug_assert!(
                !handover.parting || handover.units_until.is_none(),
                "the address stays for as long as units may go on"
            );
            debug_assert!(
                !handover.parting || handover.told_until.is_some_and(|until| until <= now),
                "the address goes when programs were told"
            );
        }
        debug_assert!(
            serves || (self.membership_change.is_none() && self.raising.is_none()),
            "the group is changed by a leader that serves"
        );
        debug_assert!(
            self.membership_change.is_none() || self.raising.is_none(),
            "a version is raised while nobody comes or goes"
        );
        debug_assert!(
            serves || (self.waiters.len() == 0 && self.line.len() == 0),
            "nobody waits for a leader that does not serve yet"
        );
        debug_assert!(serves || self.staging.is_empty(), "nothing is staged before a leader serves");
        debug_assert!(
            serves || self.reservations.iter().next().is_none(),
            "nothing is reserved before a leader serves"
        );
        debug_assert!(serves || self.readers.packs().next().is_none(), "nobody reads before a leader serves");
        debug_assert!(
            serves || (self.incoming.is_empty() && self.locked.is_empty() && self.offers.is_empty()),
            "nothing is let in before a leader serves"
        );
        debug_assert!(
            serves || self.maintaining.is_empty(),
            "no maintenance begins or ends before a leader serves"
        );
        debug_assert!(serves || !self.objects_due, "system objects are looked for by a leader that serves");
        debug_assert!(
            self.incoming.values().all(|count| *count > 0),
            "a queue is counted while something comes"
        );
        self.staging.assert_holds();
        self.searches.assert_holds();
        self.offers.assert_holds();
        self.withdrawals.assert_holds(self.waiters.newest());
        if let Some(raising) = &self.raising {
            raising.assert_holds(self.questions, now);
        }
    }

    /// Messages of the queue that were let in and are not on it.
    pub fn incoming(&self, queue: QueueId) -> u64 {
        self.incoming.get(&queue).copied().unwrap_or(0)
    }

    /// Messages of the queue that were put or got and may still be backed out.
    pub fn uncommitted(&self, queue: QueueId) -> u64 {
        debug_assert!(
            self.leaving.of(queue) <= self.reservations.count(queue) as u64,
            "what is on its way out is reserved"
        );
        self.reservations.count(queue) as u64 - self.leaving.of(queue) + self.incoming(queue)
    }

    /// Whether messages come or go just now.
    pub fn is_busy(&self, queue: QueueId) -> bool {
        self.uncommitted(queue) > 0
    }

    /// What those who wait are offered next, at or behind this. Those of locked queues are offered when it is decided what becomes
    /// of the queue, and where gets are not let in any more, when who waits there knows it.
    pub fn next_offer(&self, from: (QueueId, Position)) -> Option<(QueueId, Position)> {
        let is_held = |queue| self.locked.contains(&queue) || self.withdrawals.holds(queue);
        let next = self.offers.next(from, is_held);
        debug_assert!(next.is_none_or(|next| next >= from), "messages are offered in their order");
        next
    }

    /// The message is nobody's: whoever waits may have it.
    pub fn note_free(&mut self, state: &QueueManager, queue: QueueId, position: Position) {
        self.reservations.note_free(state, queue, position);
        self.searches.note_free(queue, position);
        debug_assert!(!self.reservations.is_reserved(queue, position), "what is free is nobody's");
        if self.waiters.len() > 0 {
            self.offers.add(queue, position);
        }
    }
}
