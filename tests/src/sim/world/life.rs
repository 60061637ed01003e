//! The lives of nodes: they start from their disks, are killed, lose power, and end because a disk failed.

use trimaran_node::replica::Event;
use trimaran_node::types::{Reason, Version};

use super::{Paused, Step, World, room};
use crate::check::versions;
use crate::model::app::Input;
use crate::sim::disk::{DiskFailed, Failure, StartFailed};
use crate::sim::schedule::FaultEnd;

impl World {
    pub fn start_node(&mut self, id: u64) {
        let seed = self.rng.number();
        let (now, setup) = (self.now, self.plan.setup.clone());
        let node = self.node_mut(id);
        if node.is_running() || node.retired {
            return;
        }
        // Whoever starts a service ends what is left of it before.
        node.agents.clear();
        self.resume(Paused::Process(id));
        self.resume(Paused::Agents(id));
        let node = self.node_mut(id);
        match node.start(&setup, now, seed) {
            Ok(start) => {
                let recovering = node.recovering.len() as u64;
                self.start_agents(id);
                self.counters.starts += 1;
                self.counters.marks_add("started recovering", recovering);
                self.counters.marks_add("entries replayed at start", start.replayed);
                let low = self.node(id).disk_low;
                self.trace.line(now, || format!("node {id} starts: {start:?}"));
                for mind in 0..setup.queue_managers {
                    let process = self.nodes[&id].process.as_ref().expect("just started");
                    if let Some((checker, sentence)) = self.checks.on_start(id, mind, process) {
                        self.fail(checker, sentence);
                    }
                    self.hand_in(id, mind, Event::Disk { room: room(low) });
                }
                self.start_servers(id);
                self.schedule(now + 200, Step::Connector { regular: false });
            }
            Err(StartFailed::Disk(failed)) => {
                self.trace.line(now, || format!("node {id} does not start: {failed:?}"));
                self.counters.mark("start failed because the disk failed");
                self.counters.mark(failed.call);
                let mut rng = self.rng.fork(id);
                let node = self.node_mut(id);
                node.machine_up = failed.how != Failure::Crash;
                node.down_since = now;
                node.disk.crash(failed.how == Failure::Crash, &mut rng);
                self.restart_later(id);
            }
            Err(StartFailed::Version(sentence)) => {
                self.node_mut(id).down_since = now;
                self.on_stuck(id, sentence);
            }
            Err(StartFailed::Broken(error)) => {
                self.fail("recovery", format!("node {id} cannot start: {error}"))
            }
        }
    }

    /// The process ends at once; with `power_cut` the machine too.
    pub fn crash(&mut self, id: u64, power_cut: bool) {
        let mut rng = self.rng.fork(id);
        let now = self.now;
        let detect = if power_cut { rng.between(800_000, 4_000_000) } else { rng.between(300, 3_000) };
        let node = self.node_mut(id);
        let Some(process) = node.process.take() else { return };
        process.minds.iter().for_each(|mind| self.counters.add_stats(mind.replica.stats()));
        let node = self.node_mut(id);
        node.machine_up = !power_cut;
        node.down_since = now;
        node.disk.crash(power_cut, &mut rng);
        self.trace.line(now, || format!("node {id} {}", if power_cut { "loses power" } else { "is killed" }));
        self.resume(Paused::Process(id));
        self.end_agents(id, power_cut);
        for (session, open) in process.sessions {
            let input = Box::new(Input::Broken { reason: Reason::ConnectionBroken });
            self.schedule(now + detect, Step::ToProgram { program: open.program, session, input });
        }
        self.schedule(now + 600, Step::Connector { regular: false });
    }

    pub fn restart_later(&mut self, id: u64) {
        let delay = self.rng.between(self.plan.restart_us.0, self.plan.restart_us.1);
        self.schedule(self.now + delay, Step::FaultEnds(FaultEnd::Start { node: id }));
    }

    /// What `runtime::fatal` does: the process ends, and the disk's promises are those of a crash.
    pub(super) fn on_disk_failed(&mut self, id: u64, failed: DiskFailed) {
        self.trace.line(self.now, || format!("node {id} ends: {failed:?}"));
        self.counters.mark("process ended because its disk failed");
        self.counters.mark(failed.call);
        let power_cut = failed.how == Failure::Crash;
        self.crash(id, power_cut);
        self.restart_later(id);
    }

    /// A program met what a newer one wrote, and ends with a sentence: whoever reads it starts the newer release.
    pub(super) fn on_stuck(&mut self, id: u64, sentence: String) {
        self.trace.line(self.now, || format!("node {id} ends: {sentence}"));
        if let Some(broken) = self.checks.versions.on_stuck(&self.nodes[&id], &sentence) {
            self.fail(versions::NAME, broken);
        }
        self.counters.mark("older release ended with a sentence");
        self.crash(id, false);
        self.node_mut(id).newest = Version::TRAIL;
        self.restart_later(id);
    }

    /// What `runtime/stores.rs` does: the store is condemned and the process ends.
    pub(super) fn on_unreadable(&mut self, id: u64, reason: String) {
        self.trace.line(self.now, || format!("node {id} ends: {reason}"));
        self.counters.mark("process ended because a row was damaged");
        self.crash(id, false);
        self.checks.on_damage(id, &self.nodes);
        self.restart_later(id);
    }
}
