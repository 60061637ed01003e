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
    /// DEFSOPT(EXCL).
    pub opened_exclusive: bool,
    pub bothresh: u32,
    pub boqname: Option<ObjectName>,
    pub backout_move: bool,
    /// Made from a model for as long as one handle lasts; takes no persistent messages.
    pub temporary: bool,
    pub events: DepthEvents,
}

/// What is told of the depth of a queue, where the queue manager tells anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthEvents {
    /// Percent of MAXDEPTH; None where it is not told.
    pub high: Option<u8>,
    pub low: Option<u8>,
    pub full: bool,
}

impl DepthEvents {
    fn of(definition: &Definition) -> DepthEvents {
        let number = |selector| definition.number(selector);
        let percent = |event, limit| (number(event) == 1).then(|| number(limit).clamp(0, 100) as u8);
        DepthEvents {
            high: percent(selector::QDPHIEV, selector::QDEPTHHI),
            low: percent(selector::QDPLOEV, selector::QDEPTHLO),
            full: number(selector::QDPMAXEV) == 1,
        }
    }
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
            opened_exclusive: number(selector::DEFSOPT) == selector::EXCLUSIVE,
            bothresh: number(selector::BOTHRESH).max(0) as u32,
            boqname: definition.name(selector::BOQNAME),
            backout_move: number(selector::BACKOUT_MOVE) == 1,
            temporary: number(selector::DEFTYPE) == selector::TEMPORARY_DYNAMIC,
            events: DepthEvents::of(definition),
        }
    }

    pub fn body_bytes_max(&self) -> usize {
        (self.maxmsgl as usize).min(limits::BODY_BYTES_MAX)
    }
}

/// What another name of a local queue stands for: an alias, or a remote definition that names this queue manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasRules {
    pub target: Option<ObjectName>,
    /// Where a remote definition says that the target is.
    pub queue_manager: Option<String>,
    pub words: AliasWords,
}

/// What an alias itself says of puts and gets; the local queue behind it has its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasWords {
    pub put_enabled: bool,
    pub get_enabled: bool,
    pub defprty: u8,
    pub defpsist: bool,
}

impl AliasRules {
    /// None for what is no other name.
    pub fn of(definition: &Definition) -> Option<AliasRules> {
        let (target, queue_manager) = match definition.kind() {
            ObjectKind::AliasQueue => (selector::TARGET, None),
            ObjectKind::RemoteQueue => {
                (selector::RNAME, Some(definition.text(selector::RQMNAME).to_string()))
            }
            _ => return None,
        };
        let number = |selector| definition.number(selector);
        let words = AliasWords {
            put_enabled: number(selector::INHIBIT_PUT) == 0,
            get_enabled: number(selector::INHIBIT_GET) == 0,
            defprty: number(selector::DEFPRTY).clamp(0, 9) as u8,
            defpsist: number(selector::DEFPSIST) == 1,
        };
        Some(AliasRules { target: definition.name(target), queue_manager, words })
    }

    /// Of a remote definition that names another queue manager than this one.
    pub fn elsewhere(&self, here: &ObjectName) -> Option<&str> {
        self.queue_manager.as_deref().filter(|there| *there != here.as_str())
    }
}

/// What the queue manager itself does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerRules {
    pub deadq: Option<ObjectName>,
    pub maxumsgs: u32,
    /// Never more than [`limits::HANDLES_MAX`].
    pub maxhands: usize,
    pub maxmsgl: usize,
    /// What the queue manager tells on its queues of events.
    pub tells: Tells,
}

/// PERFMEV, CONFIGEV and CMDEV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tells {
    /// Queues that are full, high or low.
    pub depths: bool,
    /// Definitions that are made, changed or deleted.
    pub changes: bool,
    /// Commands, and whether those that only display something are among them.
    pub commands: bool,
    pub displays: bool,
}

impl Tells {
    fn of(definition: &Definition) -> Tells {
        let commands = definition.number(selector::CMDEV);
        Tells {
            depths: definition.number(selector::PERFMEV) == 1,
            changes: definition.number(selector::CONFIGEV) == 1,
            commands: commands != 0,
            displays: commands == 1,
        }
    }
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
            maxhands: (definition.number(selector::MAXHANDS).max(1) as usize).min(limits::HANDLES_MAX),
            maxmsgl: (definition.number(selector::MAXMSGL).max(0) as usize).min(limits::BODY_BYTES_MAX),
            tells: Tells::of(definition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::definition::Changes;

    fn with(kind: ObjectKind, said: &[(&str, &str)]) -> Definition {
        let changes = Changes::parse(kind, said.iter().copied()).unwrap();
        Definition::new(ObjectRef::new(kind, "Q")).with(&changes)
    }

    #[test]
    fn what_is_told_of_a_depth_is_what_is_switched_on() {
        let events = |said: &[(&str, &str)]| DepthEvents::of(&with(ObjectKind::LocalQueue, said));
        assert_eq!(events(&[]), DepthEvents { high: None, low: None, full: true });
        let both =
            [("QDPHIEV", "ENABLED"), ("QDPLOEV", "ENABLED"), ("QDPMAXEV", "DISABLED"), ("QDEPTHHI", "90")];
        assert_eq!(events(&both), DepthEvents { high: Some(90), low: Some(20), full: false });
    }

    #[test]
    fn nothing_is_told_unless_the_queue_manager_says_so() {
        let tells = |said: &[(&str, &str)]| Tells::of(&with(ObjectKind::QueueManager, said));
        let nothing = Tells { depths: false, changes: false, commands: false, displays: false };
        assert_eq!(tells(&[]), nothing);
        assert_eq!(tells(&[("PERFMEV", "ENABLED")]), Tells { depths: true, ..nothing });
        assert_eq!(tells(&[("CONFIGEV", "ENABLED")]), Tells { changes: true, ..nothing });
        assert_eq!(tells(&[("CMDEV", "NODISPLAY")]), Tells { commands: true, ..nothing });
        assert_eq!(tells(&[("CMDEV", "ENABLED")]), Tells { commands: true, displays: true, ..nothing });
    }
}
