//! A day on which a disk is taken back to an older image while nobody is there who knows better.
//!
//! One of three nodes is cut off and lags. The other two go on; then the leader dies, and the third one's machine comes
//! back with the image of its disk from before the cut. The two that are left elect one of them and serve, without what
//! was acknowledged meanwhile: that much is lost (`tests/PROMISES.md`), and nothing else may be. Then the old leader
//! comes back with all of it. Within a minute both it and its new leader must know that they parted, and it counts for
//! nothing; a person decides for what the others have and gives it empty disks.

use trimaran_node::consensus::Consensus;
use trimaran_node::types::NodeId;

use super::node::queue_manager_id;
use super::rng::Rng;
use super::run::{self, Knobs, Verdict};
use super::world::{Plan, World, initial_membership};

/// So soon a node with another history is named.
const NAMED_US_MAX: u64 = 60_000_000;
/// What three nodes need for an election, with much to spare.
const ELECTED_US_MAX: u64 = 30_000_000;

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    run::run_day(plan(seed, knobs), knobs, live).0
}

/// Three nodes and one queue manager, without faults of other kinds.
fn plan(seed: u64, knobs: &Knobs) -> Plan {
    let mut plan = Plan::draw(seed, knobs).unplaced();
    plan.nodes = 3;
    plan.setup.initial = initial_membership(plan.nodes);
    plan.setup.queue_managers = 1;
    plan.schedule.enabled.clear();
    plan
}

fn live(world: &mut World, knobs: &Knobs) {
    let mut rng = world.rng.fork(78);
    run::set_up(world);
    run::add_programs(world, knobs, &mut rng);
    let calm = rng.between(500_000, 4_000_000);
    world.run_until(world.now + calm);
    let Some(leader) = serving(world) else { return };
    let mut others: Vec<u64> = world.members.iter().copied().filter(|id| *id != leader).collect();
    rng.shuffle(&mut others);
    let (taken_back, lagging) = (others[0], others[1]);

    let image = world.node(taken_back).disk.copy();
    let (from, cut) = (world.now, [leader, taken_back].map(|other| [(lagging, other), (other, lagging)]));
    cut.iter().flatten().for_each(|(from, to)| world.net.cut(*from, *to, world.now));
    let apart = rng.between(300_000, 3_000_000);
    world.run_until(world.now + apart);
    if serving(world) != Some(leader) {
        // The leader lost its lease for some reason: another story.
        cut.iter().flatten().for_each(|(from, to)| world.net.mend(*from, *to));
        return finish(world, &mut rng, None);
    }
    world.crash(leader, rng.chance(500));
    world.crash(taken_back, true);
    world.node_mut(taken_back).disk.restore(image.as_ref());
    world.checks.on_damage(taken_back, &world.nodes);
    let kept = world.node(taken_back).disk.durable_last(queue_manager_id(0)).0;
    world.checks.on_taken_back(0, kept, leader);
    cut.iter().flatten().for_each(|(from, to)| world.net.mend(*from, *to));
    let lost = (from, world.now);

    world.start_node(taken_back);
    run::wait(world, ELECTED_US_MAX, "elect one of the two that are left", |world| serving(world).is_some());
    let gone_on = rng.between(0, 3_000_000);
    world.run_until(world.now + gone_on);
    world.start_node(leader);
    watch(world, leader);
    if world.violations.is_empty() {
        decide(world, leader);
    }
    finish(world, &mut rng, Some(lost));
}

fn serving(world: &World) -> Option<u64> {
    world.serving(0)
}

fn consensus(world: &World, node: u64) -> Option<&Consensus> {
    Some(world.nodes[&node].process.as_ref()?.minds[0].replica.consensus())
}

/// Whether the old leader knows an entry to be committed that the node which serves does not have.
fn has_parted(world: &World, old: u64) -> Option<bool> {
    let serving = consensus(world, serving(world)?)?;
    let (term, index) = consensus(world, old)?.committed();
    Some(serving.term_at(index).map_or(index > serving.last_index(), |own| own != term))
}

/// Until both say so, if they parted; or the old leader is found to have nothing that the others lack.
fn watch(world: &mut World, old: u64) {
    let until = world.now + NAMED_US_MAX;
    let mut parted = false;
    while world.violations.is_empty() {
        world.run_until(world.now + 50_000);
        parted |= has_parted(world, old) == Some(true);
        let leader = serving(world);
        let named = leader.and_then(|leader| consensus(world, leader)).is_some_and(|consensus| {
            let counts = consensus.progress().iter().any(|peer| peer.node == NodeId(old) && peer.active);
            consensus.is_excluded(NodeId(old)) && !counts
        });
        let knows = consensus(world, old).is_some_and(|consensus| consensus.parted().is_some());
        if parted && named && knows {
            return world.counters.mark("node with another history named");
        }
        let follows = consensus(world, old).is_some_and(|consensus| {
            consensus.leader() == leader.map(NodeId) && consensus.term_at(consensus.commit_index()).is_some()
        });
        if !parted && follows && world.is_settled() {
            return world.counters.mark("disk taken back and nothing lost by it");
        }
        if world.now >= until {
            let committed = consensus(world, old).map(Consensus::committed);
            return world.fail(
                "divergence",
                format!(
                    "node {old} knows {committed:?} (term, index) to be committed, node {leader:?} serves without it, and \
                     within a minute nobody said so (parted {parted}, excluded {named}, known to itself {knows})"
                ),
            );
        }
    }
}

/// A person lets the two go on: the third one gets empty disks.
fn decide(world: &mut World, old: u64) {
    world.crash(old, true);
    world.node_mut(old).disk.lose_everything();
    world.checks.on_damage(old, &world.nodes);
    world.checks.on_decided(old);
    world.start_node(old);
}

fn finish(world: &mut World, rng: &mut Rng, lost: Option<(u64, u64)>) {
    if !world.violations.is_empty() {
        return;
    }
    world.heal();
    run::settle(world, rng);
    if let Some((from, upto)) = lost {
        world.history = world.history.without(from, upto);
        // Nor is a repetition told from a new put, of what was put in that time.
        world.history.promised.producers_min = 0;
    }
    run::judge(world);
}
