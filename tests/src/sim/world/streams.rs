//! What lies between nodes: streams that come up and break, peer messages and snapshots on their way.

use trimaran_node::replica::Event;
use trimaran_node::types::NodeId;
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

use super::{Step, World};
use crate::sim::disk::{Installed, StoredRows};
use crate::sim::node::{Node, queue_manager_id, queue_manager_name};

impl World {
    /// What every node's `peer` module does all the time: keeps streams up and tells when they break.
    pub(super) fn connect_streams(&mut self, regular: bool) {
        let now = self.now;
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        for &from in &ids {
            let Some(process) = &self.nodes[&from].process else { continue };
            if self.nodes[&from].is_paused(now) {
                continue;
            }
            let from_incarnation = self.nodes[&from].incarnation;
            for to in process.known.iter().copied().collect::<Vec<_>>() {
                if self.nodes.contains_key(&to) {
                    self.tend_stream(from, from_incarnation, to);
                }
            }
        }
        if regular {
            self.schedule(now + 20_000, Step::Connector { regular });
        }
    }

    pub(super) fn tend_stream(&mut self, from: u64, from_incarnation: u64, to: u64) {
        let now = self.now;
        let timeout = self.plan.stream_timeout_us;
        let target = &self.nodes[&to];
        let (running, incarnation, machine_up) = (target.is_running(), target.incarnation, target.machine_up);
        let (down_since, paused) = (target.down_since, target.is_paused(now));
        let refuses = target.refuses_connections();
        let cut_since = self.net.cut_since(from, to);
        match self.net.stream(from, to) {
            Some(stream) => {
                let own = stream.from_incarnation == from_incarnation;
                let dead = !running || incarnation != stream.to_incarnation;
                // A dead process' kernel resets the connection, if the reset gets through.
                let reset = dead && machine_up && cut_since.is_none();
                let silent = cut_since.is_some_and(|since| now > since + timeout)
                    || (dead && !machine_up && now > down_since + timeout);
                if !own || reset || silent {
                    self.net.disconnect(from, to);
                    if own {
                        self.hand_in_all(from, || Event::PeerLost { node: NodeId(to) });
                    }
                    if own && reset && refuses {
                        self.tell_gone(from, to);
                    }
                }
            }
            None if cut_since.is_none() && running && !paused => {
                self.net.connect(from, from_incarnation, to, incarnation);
                let from_process = self.node_mut(from).process.as_mut().expect("checked by the caller");
                from_process.was_connected.insert(to);
                from_process.told_gone.remove(&to);
                if let Some(to_process) = self.node_mut(to).process.as_mut() {
                    to_process.known.insert(from);
                }
                self.hand_in_all(from, || Event::PeerConnected { node: NodeId(to) });
            }
            None if cut_since.is_none() && refuses => self.tell_gone(from, to),
            None => {}
        }
    }

    /// The port refuses connections: said once for each death.
    pub(super) fn tell_gone(&mut self, from: u64, to: u64) {
        let process = self.node_mut(from).process.as_mut().expect("checked by the caller");
        if process.was_connected.contains(&to) && process.told_gone.insert(to) {
            self.counters.mark("peer's process found gone");
            self.hand_in_all(from, || Event::PeerGone { node: NodeId(to) });
        }
    }

    pub(super) fn send(&mut self, from: u64, to: u64, number: usize, message: PeerMessage) {
        let Some(stream) = self.net.stream(from, to) else { return };
        if from == to || self.nodes[&from].incarnation != stream.from_incarnation {
            return;
        }
        self.checks.on_sent(from, number, &message);
        let sent = self.net.send(from, to, self.now, &mut self.rng);
        self.counters.messages += 1;
        let mut message = Some(message);
        for (place, at) in sent.arrivals.iter().enumerate() {
            let copy = if place + 1 == sent.arrivals.len() { message.take() } else { message.clone() };
            let message = Box::new(copy.expect("taken with the last arrival only"));
            self.schedule(*at, Step::Deliver { from, to, stream: stream.number, mind: number, message });
        }
    }

    pub(super) fn send_snapshot(&mut self, from: u64, to: u64, number: usize, term: u64) {
        let queue_manager = queue_manager_id(number);
        let node = self.node_mut(from);
        let incarnation = node.incarnation;
        let rows = match node.disk.snapshot(queue_manager) {
            Ok(rows) => rows,
            Err(reason) => return self.on_unreadable(from, reason),
        };
        let reachable = self.net.stream(from, to).is_some();
        let Some(rows) = rows.filter(|_| reachable) else {
            let step = Step::SnapshotSent { node: from, incarnation, mind: number, to, arrived: false };
            let delay = self.rng.between(100, 5_000);
            self.schedule(self.now + delay, step);
            return;
        };
        self.counters.mark("snapshot begun");
        let delay = self.rng.skewed(2_000, 200_000) + rows.bytes() as u64 / 50;
        let broken = self.nemesis_on && self.rng.chance(100);
        let rows = Box::new(rows);
        let step = Step::SnapshotArrives { from, incarnation, to, mind: number, term, rows, broken };
        self.schedule(self.now + delay, step);
    }

    pub(super) fn on_snapshot(
        &mut self,
        from: u64,
        incarnation: u64,
        to: u64,
        number: usize,
        term: u64,
        rows: StoredRows,
        broken: bool,
    ) {
        let meta = rows.meta.clone().expect("checked when it was sent");
        let alive = self.nodes.get(&to).is_some_and(Node::is_running) && self.is_current(from, incarnation);
        let mut arrives =
            alive && !broken && self.net.stream(from, to).is_some() && !self.net.is_cut(from, to);
        if broken {
            self.counters.mark("snapshot broke on its way");
        }
        if arrives {
            let name = queue_manager_name(number);
            match self.node_mut(to).disk.install(&rows, name) {
                Ok(Installed::Done(state)) => {
                    self.counters.mark("snapshot installed");
                    if let Some(process) = &mut self.node_mut(to).process {
                        process.minds[number].installed = meta.index;
                    }
                    let event = Event::SnapshotInstalled { from: NodeId(from), term, meta, state };
                    self.hand_in(to, number, event);
                }
                // The sender goes on behind it, or it would send the same again and again.
                Ok(Installed::Late) => self.counters.mark("snapshot came late"),
                // The sender sees its stream break.
                Err(failed) => {
                    self.on_disk_failed(to, failed);
                    arrives = false;
                }
            }
        }
        let delay = self.rng.between(100, 5_000);
        let step = Step::SnapshotSent { node: from, incarnation, mind: number, to, arrived: arrives };
        self.schedule(self.now + delay, step);
    }
}
