//! Pauses: a process or the agents beside it stand still, and what comes for them waits. It comes in its order when they
//! go on, before whatever comes at that same moment.

use super::{Step, World};

/// Who of a node stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    Process(u64),
    Agents(u64),
}

impl World {
    /// Does nothing until then, or for longer if it was told so before.
    pub fn pause(&mut self, who: Paused, until: u64) {
        let now = self.now;
        match who {
            Paused::Process(id) => {
                let node = self.node_mut(id);
                node.paused_until = node.paused_until.max(until);
            }
            Paused::Agents(id) => {
                let node = self.node_mut(id);
                if node.agents_paused_until <= now {
                    node.agents_paused_from = now;
                }
                node.agents_paused_until = node.agents_paused_until.max(until);
            }
        }
        self.schedule_first(until, Step::Resumes { who });
    }

    /// Goes on now, however long it was to stand still.
    pub fn resume(&mut self, who: Paused) {
        let now = self.now;
        let until = match who {
            Paused::Process(id) => &mut self.node_mut(id).paused_until,
            Paused::Agents(id) => &mut self.node_mut(id).agents_paused_until,
        };
        *until = now.min(*until);
        for step in self.held.remove(&who).unwrap_or_default() {
            self.schedule_first(now, step);
        }
    }

    pub(super) fn resume_if_due(&mut self, who: Paused) {
        if self.paused_until(who).is_some_and(|until| until <= self.now) {
            self.resume(who);
        }
    }

    /// Whom this step has to wait for.
    pub(super) fn held_back(&self, step: &Step) -> Option<Paused> {
        let who = match step {
            Step::Agent { node, .. } | Step::Asked { node, .. } => Paused::Agents(*node),
            Step::Turn { node, .. }
            | Step::LogWritten { node, .. }
            | Step::Stored { node, .. }
            | Step::Flush { node, .. }
            | Step::RowsRead { node, .. }
            | Step::EntriesRead { node, .. }
            | Step::SnapshotSent { node, .. }
            | Step::Pulse { node, .. }
            | Step::Serve { node, .. }
            | Step::RegisterFollowed { node, .. }
            | Step::AgentsGone { node, .. }
            | Step::Connect { node, .. }
            | Step::CallArrives { node, .. }
            | Step::SessionEnds { node, .. } => Paused::Process(*node),
            Step::Deliver { to, .. } | Step::SnapshotArrives { to, .. } => Paused::Process(*to),
            Step::Connected { program, .. }
            | Step::Refused { program, .. }
            | Step::ToProgram { program, .. }
            | Step::Wake { program } => Paused::Process(self.home_of(*program)?),
            Step::Connector { .. }
            | Step::Resumes { .. }
            | Step::Nemesis
            | Step::FaultEnds(_)
            | Step::Check => {
                return None;
            }
        };
        (self.now < self.paused_until(who)?).then_some(who)
    }

    fn paused_until(&self, who: Paused) -> Option<u64> {
        match who {
            Paused::Process(id) => Some(self.nodes.get(&id)?.paused_until),
            Paused::Agents(id) => Some(self.nodes.get(&id)?.agents_paused_until),
        }
    }
}
