//! What a queue manager has when nobody has defined anything: proposed by the first that serves it.
//!
//! They are ordinary definitions. Who deletes one does not get it again; who has none at all, because the queue manager is
//! new or as old as the time before there were any, gets them with the next service.

use trimaran_proto::attribute::SYSTEM_OBJECTS;

use super::Replica;
use super::proposals::Waiting;
use crate::qmgr::Command;
use crate::types::definition::{By, Changes, ObjectRef};

/// Who is said to have defined them.
const APPLICATION: &str = "queue manager";

impl Replica {
    /// Once in a service, when this node has applied all that was ever committed.
    pub(super) fn define_system_objects(&mut self) {
        let is_due = self.standing.serving().is_some_and(|leading| leading.objects_due);
        if !is_due || self.is_to_be_raised_first() {
            return;
        }
        self.standing.own_mut().objects_due = false;
        self.raise_new();
        self.define_canary_queue();
        if !self.options.system_objects || self.has_system_objects() {
            return;
        }
        self.define_beginnings();
        for (kind, name, said) in SYSTEM_OBJECTS {
            self.define_own(ObjectRef::new(*kind, *name), said);
        }
    }

    /// Defines an object that nobody asked for, with what is said of it.
    pub(super) fn define_own(&mut self, object: ObjectRef, said: &[(&str, &str)]) {
        let changes = Changes::parse(object.kind, said.iter().copied());
        let changes = changes.unwrap_or_else(|fault| panic!("{}: {}", object.name, fault.text));
        let by = by_itself().into();
        let define = Command::Define { object, like: String::new(), replace: false, changes, by };
        self.propose(define, Waiting::Nobody);
    }

    pub(super) fn has_system_objects(&self) -> bool {
        let catalog = self.state.catalog();
        SYSTEM_OBJECTS.iter().any(|(kind, name, _)| catalog.get(&ObjectRef::new(*kind, *name)).is_some())
    }
}

/// Who it was that nobody asked.
pub(super) fn by_itself() -> By {
    By { application: APPLICATION.to_string(), ..By::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_object_can_be_defined() {
        for (kind, name, said) in SYSTEM_OBJECTS {
            let changes = Changes::parse(*kind, said.iter().copied())
                .unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            changes.check(*kind, false).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            ObjectRef::new(*kind, *name).check().unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        }
    }
}
