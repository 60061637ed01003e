//! What becomes of the addresses: orders on their way to the agents, and what these do.

use trimaran_node::replica::Event;
use trimaran_node::types::{Instant, RoleView};
use trimaran_node::vip::keeper::Act;
use trimaran_node::vip::policy::{LATENESS, LIFETIME, Order};
use trimaran_node::vip::pulse::ASK_EVERY;

use super::{Step, World};
use crate::sim::address::Agent;
use crate::sim::node::Node;

const ASK_EVERY_US: u64 = ASK_EVERY.as_micros() as u64;
/// By then the kernel has removed whatever it was given.
const GONE_US_MAX: u64 = (LIFETIME.as_micros() + LATENESS.as_micros()) as u64;

impl World {
    /// What `runtime/hands.rs` does when a mind publishes its role.
    pub(super) fn order_address(&mut self, id: u64, number: usize, role: &RoleView) {
        let local = Instant(self.nodes[&id].clock.local(self.now));
        let process = self.node_mut(id).process.as_mut().expect("it is having a turn");
        if let Some(order) = process.minds[number].policy.follow(role, local) {
            self.tell_agent(id, number, Some(order));
        }
    }

    fn tell_agent(&mut self, id: u64, number: usize, order: Option<Order>) {
        let at = self.now + self.rng.skewed(20, 3_000);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let agent = &mut node.agents[number];
        agent.next_at = at.max(agent.next_at + 1);
        let at = agent.next_at;
        self.schedule(at, Step::Agent { node: id, incarnation, mind: number, order });
    }

    /// The first thing an agent does is to remove what another one left.
    pub(super) fn start_agents(&mut self, id: u64) {
        let (setup, flaw) = (&self.plan.setup, self.plan.agents_flaw);
        let agents = (0..setup.queue_managers).map(|_| Agent::started(setup.address_mode, flaw)).collect();
        let node = self.node_mut(id);
        node.agents = agents;
        let incarnation = node.incarnation;
        self.schedule(self.now + ASK_EVERY_US, Step::Pulse { node: id, incarnation });
    }

    /// What `runtime/addresses.rs` does: it asks the agents what they hold, and ends them and itself if they do not answer.
    pub(super) fn on_pulse(&mut self, id: u64) {
        let (now, trusted) = (self.now, self.plan.agents_trusted);
        let node = self.node_mut(id);
        let (incarnation, local) = (node.incarnation, Instant(node.clock.local(now)));
        let process = node.process.as_mut().expect("it is current");
        process.pulse.look(local);
        if process.pulse.is_over(process.minds.iter().any(|mind| mind.policy.is_to_hold())) && !trusted {
            let left = node.agents.iter_mut().map(Agent::kill).max().unwrap_or(local);
            let gone = node.clock.true_time(left.0).clamp(now + 1, now + GONE_US_MAX);
            self.trace.line(now, || format!("agents of node {id} do not answer"));
            return self.schedule(gone, Step::AgentsGone { node: id, incarnation });
        }
        self.schedule(now + 100, Step::Asked { node: id, incarnation });
        self.schedule(now + ASK_EVERY_US, Step::Pulse { node: id, incarnation });
    }

    pub(super) fn on_asked(&mut self, id: u64) {
        let process = self.node_mut(id).process.as_mut().expect("it is current");
        process.pulse.heard();
    }

    pub(super) fn on_agents_gone(&mut self, id: u64) {
        self.counters.mark("node ended because its agent hung");
        self.crash(id, false);
        self.restart_later(id);
    }

    /// The node's process is gone, or the machine.
    pub(super) fn end_agents(&mut self, id: u64, power_cut: bool) {
        if power_cut {
            self.node_mut(id).agents.clear();
        }
        for number in 0..self.nodes[&id].agents.len() {
            self.tell_agent(id, number, None);
        }
    }

    pub(super) fn on_agent(&mut self, id: u64, incarnation: u64, number: usize, order: Option<Order>) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.incarnation == incarnation) else {
            return;
        };
        let local = Instant(node.clock.local(now));
        let Some(agent) = node.agents.get_mut(number) else { return };
        let Some(order) = order else {
            agent.end(local);
            return self.schedule(now + 200, Step::Connector { regular: false });
        };
        let act = agent.follow(order, local);
        let is_taken = act == Some(Act::Take);
        match (act, order) {
            (Some(Act::Take), _) => self.counters.mark("address taken"),
            (Some(Act::Renew), _) => self.counters.mark("address renewed"),
            (Some(Act::Remove), _) => self.counters.mark("address given back"),
            (None, Order::Hold { .. }) => self.counters.mark("order to hold the address came too late"),
            (None, Order::Release { .. }) => {}
        }
        let is_silent = |node: &Node| {
            let local = Instant(node.clock.local(now));
            node.id != id && node.agents.get(number).is_some_and(|agent| agent.is_silent(local))
        };
        if is_taken && self.nodes.values().any(is_silent) {
            self.counters.mark("address taken from behind a fence");
        }
        self.trace.line(now, || format!("agent of node {id}, queue manager {number}: {order:?}"));
        if is_taken && self.is_current(id, incarnation) {
            self.hand_in(id, number, Event::AddressHere { taken: local, announced: local });
        }
        if let Order::Release { deadline } = order
            && self.is_current(id, incarnation)
        {
            self.hand_in(id, number, Event::AddressGone { deadline });
        }
        if let Some((checker, sentence)) = self.checks.on_address(now, &self.nodes) {
            self.fail(checker, sentence);
        }
    }
}
