//! What a command did when it was applied: one shape for all commands, the same on every node.

use trimaran_proto::admin::v1::AuditRecord;

use super::{Before, Slot};
use crate::types::{ObjectName, Position, QueueId, Reason, UnitState};

/// What is noted and who is told follows from this and from nothing else, whichever command it was.
#[derive(Debug, PartialEq)]
pub struct Applied {
    /// Refusals are as deterministic as everything else. What was refused did nothing.
    pub verdict: Result<Verdict, Reason>,
    /// Messages that are on a queue now, in order.
    pub placed: Vec<(QueueId, Position)>,
    /// Messages that left, as they left.
    pub removed: Vec<Removed>,
    /// Messages that stay where they are, and were backed out once more.
    pub backed_out: usize,
    /// Queues that were created, altered, cleared or deleted.
    pub changed: Vec<QueueId>,
    /// Other names of queues, and to which each led until now: they say something else, or are gone.
    pub renamed: Vec<(QueueId, ObjectName)>,
    /// Messages of a unit of work that were read, checked, came or went: each as often as that. Of a definition, what of it was
    /// merged and written: members of lists, and so many bytes as a message takes.
    pub looks: usize,
    /// A channel was defined, altered or deleted.
    pub channel_changed: bool,
    /// A listener was defined, altered or deleted.
    pub listener_changed: bool,
    /// A queue manager was registered or deleted.
    pub register_changed: bool,
    /// Records of the audit trail that are not kept any more.
    pub gone_from_trail: Vec<AuditRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// A producer sequence that was placed before.
    Duplicate(Before),
    /// What became of a unit of work, for good.
    Sealed {
        state: UnitState,
        /// Nothing was known of it before.
        is_new: bool,
    },
}

#[derive(Debug, PartialEq)]
pub struct Removed {
    pub queue: QueueId,
    pub position: Position,
    pub slot: Slot,
}

/// What is kept of a large unit's memory for the commands behind it, in messages.
const KEPT_MAX: usize = 1024;

impl Default for Applied {
    fn default() -> Applied {
        Applied {
            verdict: Ok(Verdict::Done),
            placed: Vec::new(),
            removed: Vec::new(),
            backed_out: 0,
            changed: Vec::new(),
            renamed: Vec::new(),
            looks: 0,
            channel_changed: false,
            listener_changed: false,
            register_changed: false,
            gone_from_trail: Vec::new(),
        }
    }
}

impl Applied {
    /// Nothing was placed, removed or changed.
    pub fn is_nothing(&self) -> bool {
        self.messages() == 0 && self.changed.is_empty() && self.renamed.is_empty()
    }

    /// How many came, left or changed.
    pub fn messages(&self) -> usize {
        self.placed.len() + self.removed.len() + self.backed_out
    }

    /// Makes room for the next command, in the same memory.
    pub fn clear(&mut self) {
        self.verdict = Ok(Verdict::Done);
        self.placed.clear();
        self.placed.shrink_to(KEPT_MAX);
        self.removed.clear();
        self.removed.shrink_to(KEPT_MAX);
        self.changed.clear();
        self.renamed.clear();
        self.gone_from_trail.clear();
        (self.channel_changed, self.listener_changed, self.register_changed) = (false, false, false);
        self.looks = 0;
        self.backed_out = 0;
        debug_assert!(self.is_nothing(), "the next command has done nothing yet");
        debug_assert!(
            self.placed.capacity() <= 2 * KEPT_MAX && self.removed.capacity() <= 2 * KEPT_MAX,
            "a large unit leaves no large memory behind"
        );
    }
}
