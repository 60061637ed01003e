//! Definitions as they are meant: what the hot path asks for, as plain fields, made anew when a definition changes.

use crate::types::definition::{self as selector, Definition, ObjectKind, ObjectRef};
use crate::types::{ObjectName, limits};

/// What a local queue does. See the attribute table for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRules {
    pub maxdepth: u32,
    pub maxmsgl: u32,
    pub put_enabled: bool,
    pub get_enabled: bool,
    pub defpsist: bool,
    pub defprty: u8,
    pub msgdlvsq_fifo: bool,
    pub share: bool,
    pub bothresh: u32,
    pub boqname: Option<ObjectName>,
    pub backout_move: bool,
}

/// Of a queue with every attribute at its default.
impl Default for QueueRules {
    fn default() -> QueueRules {
        QueueRules::of(&Definition::new(ObjectRef::new(ObjectKind::LocalQueue, "")))
    }
}

impl QueueRules {
    pub fn of(definition: &Definition) -> QueueRules {
        debug_assert_eq!(definition.kind(), ObjectKind::LocalQueue, "only local queues have messages");
        let number = |selector| definition.number(selector);
        QueueRules {
            maxdepth: number(selector::MAXDEPTH).max(0) as u32,
            maxmsgl: number(selector::MAXMSGL).max(0) as u32,
            put_enabled: number(selector::INHIBIT_PUT) == 0,
            get_enabled: number(selector::INHIBIT_GET) == 0,
            defpsist: number(selector::DEFPSIST) == 1,
            defprty: number(selector::DEFPRTY).clamp(0, 9) as u8,
            msgdlvsq_fifo: number(selector::MSGDLVSQ) == 1,
            share: number(selector::SHARE) == 1,
            bothresh: number(selector::BOTHRESH).max(0) as u32,
            boqname: definition.name(selector::BOQNAME),
            backout_move: number(selector::BACKOUT_MOVE) == 1,
        }
    }

    pub fn body_bytes_max(&self) -> usize {
        (self.maxmsgl as usize).min(limits::BODY_BYTES_MAX)
    }
}

/// What the queue manager itself does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerRules {
    pub deadq: Option<ObjectName>,
    pub maxumsgs: u32,
}

impl ManagerRules {
    pub fn of(definition: &Definition) -> ManagerRules {
        debug_assert_eq!(
            definition.kind(),
            ObjectKind::QueueManager,
            "the queue manager obeys its own definition"
        );
        ManagerRules {
            deadq: definition.name(selector::DEADQ),
            maxumsgs: definition.number(selector::MAXUMSGS).max(1) as u32,
        }
    }
}
