//! Canaries: programs that live with a node's process, find the address as clients do, and tell their node's mind what they saw.

use trimaran_node::replica::Event;
use trimaran_node::types::Instant;

use super::{Program, World};
use crate::model::app::{Input, Output};
use crate::model::canary::{Canary, Good, Sight};
use crate::sim::node::Node;
use crate::sim::schedule::Fault;

impl World {
    /// Of every node, where the plan wants them.
    pub fn add_canaries(&mut self) {
        self.checks.canaries.jumps = self.plan.schedule.enabled.contains(&Fault::WallJump);
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.add_canaries_of(id);
        }
    }

    pub fn add_canaries_of(&mut self, id: u64) {
        if !self.plan.setup.canaries {
            return;
        }
        for number in 0..self.plan.setup.queue_managers {
            self.add_and_wake(Program::Canary(Canary::new(id, number)));
        }
    }

    /// The node with which a program is paused.
    pub(super) fn home_of(&self, program: usize) -> Option<u64> {
        match &self.programs[program] {
            Program::Canary(canary) => Some(canary.node),
            _ => None,
        }
    }

    pub(super) fn tell_canary(&mut self, program: usize, input: Input, out: &mut Vec<Output>) {
        let Program::Canary(canary) = &self.programs[program] else { return };
        let (id, number, now) = (canary.node, canary.queue_manager, self.now);
        let sight = self.sight(id, number);
        let Program::Canary(canary) = &mut self.programs[program] else { return };
        if let Some(Good { silent }) = canary.handle(now, input, sight, out) {
            self.counters.mark("canary got through");
            self.checks.canaries.on_good(number, id, now);
            self.hand_in(id, number, Event::CanaryGood { silent });
        }
    }

    fn sight(&self, id: u64, number: usize) -> Sight {
        let answers = |node: &&Node| {
            let local = Instant(node.clock.local(self.now));
            node.machine_up && node.agents.get(number).is_some_and(|agent| agent.answers(local))
        };
        let node = &self.nodes[&id];
        let mind = node.process.as_ref().map(|process| &process.minds[number]);
        Sight {
            incarnation: mind.filter(|mind| !mind.removed).map(|_| node.incarnation),
            leads: mind.is_some_and(|mind| mind.role.leads()),
            target: self.nodes.values().find(answers).map(|node| node.id),
        }
    }
}
