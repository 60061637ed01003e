//! Events of queues that are full, or whose depth is high or low: messages on SYSTEM.ADMIN.PERFM.EVENT, where PERFMEV of the queue
//! manager and an attribute of the queue say so (IBM MQ documentation, "Queue depth events").
//!
//! An event switches itself off and others on, as in MQ: the queue's own attributes say what is told next, so that this goes
//! on with whoever serves next. They change by an entry of the queue manager's own, and until that is applied nothing more is told of
//! the queue. The message goes to its queue as a put of anybody would; where it has no room, or there is no such queue, it is dropped,
//! and what it is about goes on. Figures begin anew with each event, and with each service. While PERFMEV is off nothing is counted.
//!
//! Volatile, and the leader's.

use std::collections::BTreeMap;

use trimaran_proto::pcf::event;

use super::Replica;
use super::events::{PERFORMANCE, is_of_events};
use super::proposals::Waiting;
use super::system_objects::by_itself;
use crate::qmgr::Command;
use crate::types::definition::{Changes, ObjectKind, ObjectRef};
use crate::types::{CorrelationId, Instant, QueueId};

/// What an event and the change of attributes take in an entry, at most.
const EVENT_BYTES: usize = 4 * 1024;
/// Queues that are looked at in a turn.
const A_TURN: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Full,
    High,
    Low,
}

/// Since an event was told, or the service began.
#[derive(Clone, Copy, Debug)]
struct Figures {
    since: Instant,
    put: u64,
    got: u64,
    /// The highest depth.
    most: u64,
}

/// What happened to a queue since it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Touched {
    came: bool,
    left: bool,
    /// It took a message no more.
    full: bool,
}

#[derive(Debug, Default)]
pub(super) struct Depths {
    /// PERFMEV.
    is_on: bool,
    touched: BTreeMap<QueueId, Touched>,
    /// Whose attributes are about to change, and how they were touched since.
    telling: BTreeMap<QueueId, Touched>,
    figures: BTreeMap<QueueId, Figures>,
}

impl Depths {
    pub fn note_put(&mut self, queue: QueueId, now: Instant) {
        if self.is_on {
            self.figures(queue, now).put += 1;
            self.touched.entry(queue).or_default().came = true;
        }
    }

    pub fn note_got(&mut self, queue: QueueId, now: Instant) {
        if self.is_on {
            self.figures(queue, now).got += 1;
            self.touched.entry(queue).or_default().left = true;
        }
    }

    pub fn note_full(&mut self, queue: QueueId) {
        if self.is_on {
            self.touched.entry(queue).or_default().full = true;
        }
    }

    /// It was cleared, or is gone.
    pub fn note_emptied(&mut self, queue: QueueId) {
        if self.is_on {
            self.touched.entry(queue).or_default().left = true;
        }
    }

    fn figures(&mut self, queue: QueueId, now: Instant) -> &mut Figures {
        self.figures.entry(queue).or_insert(Figures { since: now, put: 0, got: 0, most: 0 })
    }

    /// What PERFMEV says from now on.
    fn set(&mut self, is_on: bool) {
        if self.is_on && !is_on {
            *self = Depths { telling: std::mem::take(&mut self.telling), ..Depths::default() };
        }
        self.is_on = is_on;
    }
}

impl Replica {
    /// Once in a turn.
    pub(super) fn drive_depths(&mut self) {
        let is_on = self.state.tells().depths;
        let Some(leading) = self.standing.serving_mut() else { return };
        leading.depths.set(is_on);
        debug_assert!(
            is_on || leading.depths.touched.is_empty(),
            "while nothing is told nobody is looked at"
        );
        for _ in 0..A_TURN {
            let Some((queue, touched)) = self.standing.own_mut().depths.touched.pop_first() else { return };
            self.look_at_depth(queue, touched);
        }
        self.is_not_done = true;
    }

    fn look_at_depth(&mut self, id: QueueId, touched: Touched) {
        debug_assert_ne!(touched, Touched::default(), "a queue is looked at when something happened to it");
        let now = self.now.instant;
        let queue = self.state.queue(id).filter(|queue| !is_of_events(&queue.name));
        let Some((events, maxdepth)) = queue.map(|queue| (queue.rules.events, queue.rules.maxdepth)) else {
            self.standing.own_mut().depths.figures.remove(&id);
            return;
        };
        let depth = self.depth_to_be(id);
        let depths = &mut self.standing.own_mut().depths;
        let figures = depths.figures(id, now);
        figures.most = figures.most.max(depth);
        if let Some(since) = depths.telling.get_mut(&id) {
            let Touched { came, left, full } = touched;
            *since = Touched { came: since.came | came, left: since.left | left, full: since.full | full };
            return;
        }
        let most = u64::from(maxdepth);
        let told = match (events.high, events.low) {
            _ if touched.full && events.full => Told::Full,
            (Some(high), _) if touched.came && depth * 100 >= most * u64::from(high) => Told::High,
            (_, Some(low)) if touched.left && depth * 100 <= most * u64::from(low) => Told::Low,
            _ => return,
        };
        self.tell_depth(id, told);
    }

    fn tell_depth(&mut self, id: QueueId, told: Told) {
        let name = self.state.queue(id).expect("the caller has seen it").name.clone();
        let (reason, off, on): (i32, &str, &[&str]) = match told {
            Told::Full => (event::Q_FULL, "QDPMAXEV", &["QDPLOEV"]),
            Told::High => (event::Q_DEPTH_HIGH, "QDPHIEV", &["QDPLOEV", "QDPMAXEV"]),
            Told::Low => (event::Q_DEPTH_LOW, "QDPLOEV", &["QDPHIEV", "QDPMAXEV"]),
        };
        let kind = ObjectKind::LocalQueue;
        let changes = Changes::default().with(kind, off, "DISABLED");
        let changes = on.iter().fold(changes, |changes, attribute| changes.with(kind, attribute, "ENABLED"));
        let now = self.now.instant;
        let depths = &mut self.standing.own_mut().depths;
        let before = depths.telling.insert(id, Touched::default());
        debug_assert!(before.is_none(), "of a queue one event is told after the other");
        let Figures { since, put, got, most } = *depths.figures(id, now);
        debug_assert!(since <= now, "figures begin before they are told");
        depths.figures.remove(&id);
        let object = ObjectRef::local_queue(&name);
        self.standing.own_mut().proposals.keep_together(EVENT_BYTES);
        let alter = Command::Alter { object, changes, by: by_itself().into() };
        self.propose(alter, Waiting::Event { into: None, about: Some(id) });
        let figures = event::Figures { seconds: now.since(since).as_secs(), highest: most, put, got };
        let message = event::of_depth(reason, self.options.name.as_str(), name.as_str(), figures);
        self.put_event(PERFORMANCE, &message, CorrelationId::default());
    }

    /// The queue's attributes say what is told next.
    pub(super) fn end_telling(&mut self, queue: QueueId) {
        let depths = &mut self.standing.own_mut().depths;
        let since = depths.telling.remove(&queue);
        debug_assert!(since.is_some(), "what ends has begun");
        if let Some(since) = since.filter(|since| *since != Touched::default() && depths.is_on) {
            depths.touched.insert(queue, since);
            self.is_not_done = true;
        }
    }
}
