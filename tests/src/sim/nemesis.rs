//! The nemesis: begins faults, ends them, and heals the world for the last phase.

use trimaran_node::mqi::{MembershipRequest, Operate};
use trimaran_node::replica::Event;
use trimaran_node::types::{Instant, NodeId, RoleView, Version};

use super::disk::Depth;
use super::net::Quality;
use super::node::queue_manager_id;
use super::schedule::{Fault, FaultEnd};
use super::world::{Paused, Program, Step, World, new_node, node_info};

/// A call of an operator who waits no longer is over by then, wherever it was.
const RAISE_US_MAX: u64 = 10_000_000;

impl World {
    /// One visit of the nemesis: perhaps two faults at once, as real bad days have them.
    pub fn strike(&mut self) {
        if !self.nemesis_on {
            return;
        }
        let mut rng = self.rng.fork(11);
        let count = if rng.chance(300) { 2 } else { 1 };
        for _ in 0..count {
            if let Some(fault) = rng.pick(&self.plan.schedule.enabled).copied() {
                self.begin_fault(fault);
            }
        }
        let gap = rng.between(self.plan.schedule.gap_us_min, self.plan.schedule.gap_us_max);
        self.schedule(self.now + gap, Step::Nemesis);
    }

    fn some_member(&mut self) -> Option<u64> {
        let members: Vec<u64> = self.members.iter().copied().collect();
        self.rng.pick(&members).copied()
    }

    fn running_member(&mut self) -> Option<u64> {
        let running: Vec<u64> =
            self.members.iter().copied().filter(|id| self.nodes[id].is_running()).collect();
        self.rng.pick(&running).copied()
    }

    fn leader(&mut self) -> Option<u64> {
        let queue_manager = self.rng.below(self.plan.setup.queue_managers as u64) as usize;
        self.serving(queue_manager)
    }

    /// Nobody has lost anything that only others still have.
    fn all_whole(&self) -> bool {
        self.members.iter().all(|id| !self.nodes[id].is_recovering())
            && self.nodes.values().all(|node| node.retired || node.member)
    }

    fn someone_lost_data(&self) -> bool {
        !self.all_whole()
            || self.checks.damage_open(&self.nodes)
            || self.nodes.values().any(|node| node.disk.has_damaged_rows())
    }

    /// Between two configurations a majority of the old members counts too, and one of them may be gone for good:
    /// who loses a disk then is one too many. Without a leader nobody knows.
    fn members_are_changing(&self) -> bool {
        (0..self.plan.setup.queue_managers).any(|number| {
            let leader = self.serving(number).and_then(|leader| self.nodes[&leader].process.as_ref());
            leader.is_none_or(|process| {
                let membership = &process.minds[number].membership;
                let voters = membership.voters.iter().map(|node| node.0);
                !membership.voters_outgoing.is_empty() || !voters.eq(self.members.iter().copied())
            })
        })
    }

    /// Of the nemesis's own: where the plan wants one, it has nodes enough for both.
    fn is_failure_due(&self) -> bool {
        self.plan.disk_failure.is_none() && self.nodes.values().any(|node| node.disk.is_failure_due())
    }

    /// And stays so for now.
    fn is_everybody_up(&self) -> bool {
        self.members.iter().all(|id| {
            let node = &self.nodes[id];
            node.is_running() && !node.is_paused(self.now) && !node.is_about_to_end(self.now)
        })
    }

    fn length(&mut self) -> u64 {
        let max = self.plan.schedule.length_us_max;
        self.rng.skewed(20_000, max)
    }

    fn end_later(&mut self, end: FaultEnd) {
        let at = self.now + self.length();
        self.schedule(at, Step::FaultEnds(end));
    }

    pub fn begin_fault(&mut self, fault: Fault) {
        if fault.takes_nodes() && self.someone_lost_data() {
            return;
        }
        if self.rolled_back.is_some_and(|node| self.checks.is_damaged(node, &self.nodes)) {
            return;
        }
        if fault.loses_data() && (!self.is_everybody_up() || self.members_are_changing()) {
            return;
        }
        // A call that fails may cost a node its store.
        if (fault.loses_data() || fault == Fault::AddRemoveNode) && self.is_failure_due() {
            return;
        }
        if self.try_fault(fault).is_some() {
            let now = self.now;
            self.trace.line(now, || format!("nemesis: {}", fault.name()));
            self.count_fault(fault);
        }
    }

    /// None when it could not be done just now.
    fn try_fault(&mut self, fault: Fault) -> Option<()> {
        let now = self.now;
        let members: Vec<u64> = self.members.iter().copied().collect();
        match fault {
            Fault::KillProcess | Fault::KillLeader => {
                let node = if fault == Fault::KillLeader { self.leader()? } else { self.running_member()? };
                self.crash(node, false);
                self.restart_later(node);
            }
            Fault::KillAll | Fault::PowerCutAll => {
                for node in members {
                    self.crash(node, fault == Fault::PowerCutAll);
                    self.restart_later(node);
                }
            }
            Fault::PowerCut => {
                let node = self.running_member()?;
                self.crash(node, true);
                self.restart_later(node);
            }
            Fault::Pause | Fault::PauseLeader => {
                let node = if fault == Fault::PauseLeader { self.leader()? } else { self.running_member()? };
                // The process alone, its agent alone, or the whole machine.
                let (with_node, with_agent) =
                    *self.rng.pick(&[(true, false), (true, true), (true, true), (false, true)])?;
                let mut until = now + self.length();
                // Longer than its node may be patient.
                if !with_node && self.rng.chance(500) {
                    until += 4_000_000;
                }
                if with_node {
                    self.pause(Paused::Process(node), until);
                }
                if with_agent {
                    self.pause(Paused::Agents(node), until);
                }
            }
            Fault::SlowNode => {
                let node = self.some_member()?;
                let slow = *self.rng.pick(&[5_000, 30_000, 120_000])?;
                self.node_mut(node).turn_us = (slow / 10, slow);
                self.end_later(FaultEnd::SlowNode { node });
            }
            Fault::Isolate => {
                let node = self.some_member()?;
                let cuts: Vec<_> = members
                    .iter()
                    .filter(|other| **other != node)
                    .flat_map(|other| [(node, *other), (*other, node)])
                    .collect();
                self.cut(cuts);
                if self.rng.chance(400) {
                    self.cut_clients(node);
                }
            }
            Fault::Split => {
                let mut order = members;
                self.rng.shuffle(&mut order);
                let at = self.rng.between(1, order.len() as u64 - 1) as usize;
                let (here, there) = order.split_at(at);
                let across = |a: &u64| there.iter().flat_map(|b| [(*a, *b), (*b, *a)]).collect::<Vec<_>>();
                self.cut(here.iter().flat_map(across).collect());
            }
            Fault::Bridge => {
                let (a, b) = self.pair()?;
                self.cut(vec![(a, b), (b, a)]);
            }
            Fault::OneWay => {
                let (a, b) = self.pair()?;
                let cuts = if self.rng.chance(500) {
                    vec![(a, b)]
                } else {
                    members.iter().filter(|other| **other != a).map(|other| (a, *other)).collect()
                };
                self.cut(cuts);
            }
            Fault::CutClients => {
                let node = self.some_member()?;
                self.cut_clients(node);
            }
            Fault::Swizzle => {
                let mut order = members;
                self.rng.shuffle(&mut order);
                for (place, node) in order.iter().enumerate() {
                    let cuts: Vec<_> = order
                        .iter()
                        .filter(|other| *other != node)
                        .flat_map(|other| [(*node, *other), (*other, *node)])
                        .collect();
                    cuts.iter().for_each(|(from, to)| self.net.cut(*from, *to, now));
                    let restored = self.rng.between(50_000, 900_000) + 200_000 * place as u64;
                    self.schedule(now + restored, Step::FaultEnds(FaultEnd::Mend { cuts }));
                }
            }
            Fault::SlowLinks | Fault::Loss | Fault::Duplicates | Fault::Reorders => {
                let mut quality = self.net.base().clone();
                match fault {
                    Fault::SlowLinks => {
                        quality.delay_us_min = self.rng.between(500, 20_000);
                        quality.delay_us_max = quality.delay_us_min * self.rng.between(2, 12);
                    }
                    Fault::Loss => quality.loss_per_mille = self.rng.between(5, 300),
                    Fault::Duplicates => quality.duplicate_per_mille = self.rng.between(5, 300),
                    _ => quality.reorder_per_mille = self.rng.between(5, 400),
                }
                let chosen = if self.rng.chance(500) { vec![self.pair()?] } else { all_pairs(&members) };
                chosen.iter().for_each(|(from, to)| {
                    let quality = Quality { ..quality.clone() };
                    self.net.set_quality(*from, *to, quality);
                });
                self.end_later(FaultEnd::RestoreQuality { links: chosen });
            }
            Fault::DiskCallFails => {
                if self.is_failure_due() || self.members_are_changing() {
                    return None;
                }
                let node = self.running_member()?;
                let call = self.nodes[&node].disk.calls_made() + self.rng.between(1, 12);
                let how = *self.rng.pick(&super::disk::Failure::ALL)?;
                self.node_mut(node).disk.plan_failure(call, how);
                self.end_later(FaultEnd::GoodCalls { node });
            }
            Fault::SlowDisk => {
                let node = self.some_member()?;
                let slow = *self.rng.pick(&[20_000, 100_000, 500_000, 4_000_000])?;
                let node_mut = self.node_mut(node);
                node_mut.sync_us = (slow / 4, slow);
                node_mut.flush_us = (slow, slow * 4);
                self.end_later(FaultEnd::SlowDisk { node });
            }
            Fault::DamagedRows => {
                let node = self.some_member()?;
                match self.plan.depth {
                    Depth::A => self.node_mut(node).row_damage_per_mille = 200,
                    // Whoever meets the damage loses the store.
                    Depth::B if self.someone_lost_data() || !self.is_everybody_up() => return None,
                    Depth::B => self.node_mut(node).disk.damage_rows().then_some(())?,
                }
                self.end_later(FaultEnd::GoodRows { node });
            }
            Fault::ShortLog => {
                let node = self.running_member()?;
                let number = self.rng.below(self.plan.setup.queue_managers as u64) as usize;
                let lost = self.rng.between(2, 40);
                self.crash(node, false);
                let shortened = self.node_mut(node).disk.shorten_log(queue_manager_id(number), lost);
                self.checks.on_damage(node, &self.nodes);
                self.restart_later(node);
                shortened.then_some(())?;
            }
            Fault::LostDisk => {
                let victims = self.plan.victims.clone();
                let node = self.rng.pick(&victims).copied().or_else(|| self.running_member())?;
                self.crash(node, true);
                self.node_mut(node).disk.lose_everything();
                self.checks.on_damage(node, &self.nodes);
                self.restart_later(node);
            }
            Fault::LostStore => {
                let node = self.running_member()?;
                self.crash(node, true);
                self.node_mut(node).disk.lose_store();
                self.checks.on_damage(node, &self.nodes);
                self.restart_later(node);
            }
            Fault::OldDisk => {
                let node = self.running_member()?;
                // A rolled-back disk looks whole. That it is not is known to the leader the node acknowledged to,
                // who must be there and be heard; what a leader itself has is remembered by nobody.
                let remembered = (0..self.plan.setup.queue_managers)
                    .all(|number| self.serving(number).is_some_and(|leader| leader != node));
                if !remembered || !self.net.is_whole() {
                    return None;
                }
                match self.node_mut(node).backup.take() {
                    Some(backup) => {
                        self.crash(node, true);
                        self.node_mut(node).disk.restore(backup.as_ref());
                        self.rolled_back = Some(node);
                        self.checks.on_damage(node, &self.nodes);
                        self.restart_later(node);
                    }
                    None => {
                        let node = self.node_mut(node);
                        node.backup = Some(node.disk.copy());
                        return None;
                    }
                }
            }
            Fault::DiskLow => {
                let node = self.some_member()?;
                self.set_disk_low(node, true);
                self.end_later(FaultEnd::DiskRoom { node });
            }
            Fault::StoreFull => {
                let node = self.some_member()?;
                self.set_store_full(node, true);
                self.end_later(FaultEnd::StoreRoom { node });
            }
            Fault::WallJump => {
                let node = self.some_member()?;
                let size = *self.rng.pick(&[50, 3_000, 600_000, 86_400_000])?;
                let by = self.rng.below(2 * size + 1) as i64 - size as i64;
                self.node_mut(node).clock.jump_wall(by);
            }
            Fault::Drift => {
                let node = self.some_member()?;
                let ppm = self.rng.below(2 * 4_500 + 1) as i64 - 4_500;
                self.node_mut(node).clock.drift(now, ppm);
                self.end_later(FaultEnd::NoDrift { node });
            }
            Fault::MoveLeader => {
                let queue_manager = self.rng.below(self.plan.setup.queue_managers as u64) as usize;
                let to = self.some_member().map(NodeId).filter(|_| now.is_multiple_of(2));
                if !self.operator(queue_manager).is_idle() {
                    return None;
                }
                self.ask_operator(queue_manager, Operate::Move { to, units_within: None }, true);
            }
            Fault::Maintain => {
                let queue_manager = self.rng.below(self.plan.setup.queue_managers as u64) as usize;
                let node = NodeId(self.some_member()?);
                // Where nobody ever forces it, a judge counts those that are left.
                let forces = self.plan.seed.is_multiple_of(2);
                let (begins, force) = (self.rng.chance(600), self.rng.chance(300) && forces);
                if !self.operator(queue_manager).is_idle() {
                    return None;
                }
                self.ask_operator(queue_manager, Operate::Maintain { node, begins, force }, true);
                if self.rng.chance(300) {
                    let other = NodeId(self.some_member()?);
                    self.ask_another_operator(
                        queue_manager,
                        Operate::Maintain { node: other, begins, force },
                    );
                }
            }
            Fault::Drain => {
                let node = self.running_member()?;
                for mind in 0..self.plan.setup.queue_managers {
                    self.hand_in(node, mind, Event::Drain);
                }
                let ends = now + self.rng.between(100_000, 1_500_000);
                self.schedule(ends, Step::FaultEnds(FaultEnd::Drained { node }));
                let ends_at = &mut self.node_mut(node).ends_at;
                *ends_at = (*ends_at).max(Some(ends));
            }
            Fault::ChangeRelease => {
                let node = self.running_member()?;
                self.change_release(node)?;
            }
            Fault::RaiseVersion => self.ask_to_raise()?,
            Fault::ReplaceNode => self.change_members(true)?,
            Fault::AddRemoveNode => self.change_members(false)?,
            Fault::BreakSessions => {
                let node = self.running_member()?;
                let sessions: Vec<u64> =
                    self.nodes[&node].process.as_ref()?.sessions.keys().copied().collect();
                for session in sessions {
                    if self.rng.chance(500) {
                        self.break_session(node, session);
                    }
                }
            }
        }
        Some(())
    }

    /// The next release, or the one before: back only while nobody has raised the version, or is about to.
    fn change_release(&mut self, node: u64) -> Option<()> {
        let is_old = self.nodes[&node].newest == Version::FIRST;
        if !is_old && (self.is_raising() || self.checks.versions.is_raised()) {
            return None;
        }
        let newest = if is_old { Version::TRAIL } else { Version::FIRST };
        self.crash(node, false);
        self.node_mut(node).newest = newest;
        self.restart_later(node);
        Some(())
    }

    /// Whether a queue manager that was asked to raise its version may still do so.
    fn is_raising(&mut self) -> bool {
        let now = self.now;
        (0..self.plan.setup.queue_managers).any(|number| {
            let operator = self.operator(number);
            !operator.is_idle() || operator.ended_at.is_some_and(|ended| now < ended + RAISE_US_MAX)
        })
    }

    fn ask_to_raise(&mut self) -> Option<()> {
        let numbers = 0..self.plan.setup.queue_managers;
        if !numbers.clone().all(|number| self.operator(number).is_idle()) {
            return None;
        }
        for number in numbers {
            self.ask_operator(number, Operate::Raise { to: Some(Version::TRAIL) }, true);
        }
        Some(())
    }

    fn cut(&mut self, cuts: Vec<(u64, u64)>) {
        let now = self.now;
        cuts.iter().for_each(|(from, to)| self.net.cut(*from, *to, now));
        self.end_later(FaultEnd::Mend { cuts });
    }

    fn cut_clients(&mut self, node: u64) {
        self.net.cut_clients(node);
        self.end_later(FaultEnd::MendClients { node });
    }

    fn pair(&mut self) -> Option<(u64, u64)> {
        let mut members: Vec<u64> = self.members.iter().copied().collect();
        self.rng.shuffle(&mut members);
        Some((*members.first()?, *members.get(1)?))
    }

    /// A new node comes; an old one dies for good first (replace) or goes in good order (add, then remove).
    fn change_members(&mut self, dies_first: bool) -> Option<()> {
        let idle = (0..self.plan.setup.queue_managers).all(|number| self.operator(number).is_idle());
        if !idle || self.nodes.len() >= 7 {
            return None;
        }
        let old = self.running_member()?;
        let id = self.nodes.keys().max().copied()? + 1;
        let mut rng = self.rng.fork(id);
        let mut node = new_node(id, &self.plan, &mut rng);
        node.member = false;
        if self.is_raising() || self.checks.versions.is_raised() {
            node.newest = Version::TRAIL;
        }
        self.nodes.insert(id, node);
        self.start_node(id);
        self.add_canaries_of(id);
        if dies_first {
            self.crash(old, true);
        }
        let retire = FaultEnd::Retire { node: old, replaced_by: id, asked: false };
        self.schedule(self.now + 200_000, Step::FaultEnds(retire));
        Some(())
    }

    pub fn end_fault(&mut self, end: FaultEnd) {
        match end {
            FaultEnd::Start { node } => self.start_node(node),
            FaultEnd::Mend { cuts } => cuts.iter().for_each(|(from, to)| self.net.mend(*from, *to)),
            FaultEnd::MendClients { node } => self.net.mend_clients(node),
            FaultEnd::RestoreQuality { links } => {
                links.iter().for_each(|(from, to)| self.net.restore_quality(*from, *to))
            }
            FaultEnd::SlowNode { node } => self.node_mut(node).turn_us = self.plan.turn_us,
            FaultEnd::GoodCalls { node } => {
                self.node_mut(node).disk.plan_failure(0, super::disk::Failure::Error)
            }
            FaultEnd::SlowDisk { node } => {
                let (sync_us, flush_us) = (self.plan.sync_us, self.plan.flush_us);
                let node = self.node_mut(node);
                (node.sync_us, node.flush_us) = (sync_us, flush_us);
            }
            FaultEnd::GoodRows { node } => {
                let node = self.node_mut(node);
                node.row_damage_per_mille = 0;
                node.disk.mend_rows();
            }
            FaultEnd::DiskRoom { node } => self.set_disk_low(node, false),
            FaultEnd::StoreRoom { node } => self.set_store_full(node, false),
            FaultEnd::NoDrift { node } => {
                let now = self.now;
                self.node_mut(node).clock.drift(now, 0);
            }
            FaultEnd::Drained { node } => {
                if self.nodes[&node].is_running() {
                    self.crash(node, false);
                    self.restart_later(node);
                }
            }
            FaultEnd::Retire { node, replaced_by, asked } => self.go_on_retiring(node, replaced_by, asked),
        }
    }

    fn go_on_retiring(&mut self, old: u64, new: u64, asked: bool) {
        let idle = (0..self.plan.setup.queue_managers).all(|number| self.operator(number).is_idle());
        let again = FaultEnd::Retire { node: old, replaced_by: new, asked: true };
        if !asked {
            let dead = !self.nodes[&old].is_running();
            for number in 0..self.plan.setup.queue_managers {
                let info = node_info(new);
                let (node, old) = (NodeId(new), NodeId(old));
                if dead {
                    let request = MembershipRequest::Replace { old, node, info };
                    self.ask_operator(number, Operate::Members(request), false);
                } else {
                    let request = MembershipRequest::Add { node, info };
                    self.ask_operator(number, Operate::Members(request), false);
                    let request = MembershipRequest::Remove { node: old };
                    self.ask_operator(number, Operate::Members(request), false);
                }
            }
            self.schedule(self.now + 100_000, Step::FaultEnds(again));
        } else if idle {
            self.crash(old, true);
            let retired = self.node_mut(old);
            (retired.retired, retired.member) = (true, false);
            self.node_mut(new).member = true;
            self.members.remove(&old);
            self.members.insert(new);
            self.counters.mark("membership changed");
        } else {
            self.schedule(self.now + 100_000, Step::FaultEnds(again));
        }
    }

    /// Every fault ends: links are whole, disks have room, clocks are steady, everybody runs.
    pub fn heal(&mut self) {
        self.nemesis_on = false;
        self.healed_at = Some(self.now);
        let now = self.now;
        let plan = self.plan.clone();
        self.net.mend_all();
        self.net.set_base(Quality::lan());
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let node = self.node_mut(id);
            (node.sync_us, node.flush_us, node.turn_us) = (plan.sync_us, plan.flush_us, plan.turn_us);
            node.row_damage_per_mille = 0;
            node.disk.mend_rows();
            if plan.disk_failure.is_none() {
                node.disk.plan_failure(0, super::disk::Failure::Error);
            }
            node.clock.drift(now, 0);
            self.resume(Paused::Process(id));
            self.resume(Paused::Agents(id));
            self.set_disk_low(id, false);
            self.set_store_full(id, false);
            self.flush_soon(id);
            self.start_unless_dead(id);
        }
        for program in &mut self.programs {
            match program {
                Program::App(app) => app.finish(),
                Program::Administrator(administrator) => administrator.finish(),
                Program::Registrar(registrar) => registrar.finish(),
                Program::Commander(commander) => commander.finish(),
                Program::Operator(_) | Program::Canary(_) | Program::Puppet(_) => {}
            }
        }
        for program in 0..self.programs.len() {
            self.schedule(now, Step::Wake { program });
        }
    }

    /// A node that is being replaced because it died stays dead.
    fn start_unless_dead(&mut self, id: u64) {
        let dying = self.steps_mention_retirement(id) && !self.nodes[&id].is_running();
        if !dying {
            self.start_node(id);
        }
    }

    /// Whether some member still has to catch up or to learn who leads.
    pub fn is_settled(&self) -> bool {
        (0..self.plan.setup.queue_managers).all(|number| {
            let Some(leader) = self.serving(number) else { return false };
            let Some(process) = &self.nodes[&leader].process else { return false };
            let applied = process.minds[number].applied;
            self.members.iter().all(|id| {
                let node = &self.nodes[id];
                let Some(process) = &node.process else { return false };
                let mind = &process.minds[number];
                mind.applied == applied && !matches!(mind.role, RoleView::NotServing { recovering: true, .. })
            })
        })
    }

    /// The node's clock now.
    pub fn local(&self, id: u64) -> Instant {
        Instant(self.nodes[&id].clock.local(self.now))
    }
}

fn all_pairs(members: &[u64]) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    for from in members {
        pairs.extend(members.iter().filter(|to| *to != from).map(|to| (*from, *to)));
    }
    pairs
}
