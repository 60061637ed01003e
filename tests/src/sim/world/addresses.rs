//! What becomes of the addresses: orders on their way to the agents, and what these do.

use trimaran_node::replica::Event;
use trimaran_node::types::{Instant, RoleView};
use trimaran_node::vip::keeper::Act;
use trimaran_node::vip::policy::Order;

use super::{Step, World};
use crate::sim::address::Agent;
use crate::sim::node::Node;

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
        self.node_mut(id).agents = agents;
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
