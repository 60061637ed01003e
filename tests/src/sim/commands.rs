//! Days on which programs administer by messages: commands in PCF on SYSTEM.ADMIN.COMMAND.QUEUE, done by the production command servers
//! (`sim/world/servers.rs`), under whatever the nemesis thinks of. The judge is `check/commands.rs`.

use std::collections::{BTreeMap, BTreeSet};

use trimaran_node::mqi::Admin;
use trimaran_node::types::{ObjectName, Version};

use super::run::{self, Knobs, Verdict};
use super::schedule::Fault;
use super::world::{Plan, Program, World};
use crate::check::commands;
use crate::model::commander::{Command, Commander, REPLIES};

/// Of each queue manager.
const COMMANDERS: u64 = 2;
/// In which the last commands are done when there are no faults any more.
const DONE_US_MAX: u64 = 60_000_000;

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    let knobs = &Knobs { programs: knobs.programs.or(Some(1)), ..knobs.clone() };
    run::run_day(plan(seed, knobs), knobs, live).0
}

/// With the objects that the command server needs. On a full disk its replies have no place.
fn plan(seed: u64, knobs: &Knobs) -> Plan {
    let mut plan = Plan::draw(seed, knobs).unplaced();
    (plan.newest, plan.setup.system_objects) = (Version::TRAIL, true);
    let is_full = |fault: &Fault| matches!(fault, Fault::DiskLow | Fault::StoreFull);
    plan.schedule.enabled.retain(|fault| !fault.is_of_releases() && !is_full(fault));
    plan
}

fn live(world: &mut World, knobs: &Knobs) {
    let mut rng = world.rng.fork(97);
    world.servers = Some(Default::default());
    world.nodes.keys().copied().collect::<Vec<_>>().into_iter().for_each(|node| world.start_servers(node));
    let replies = ObjectName::new(REPLIES).expect("a valid name");
    let queue_managers = world.plan.setup.queue_managers;
    for number in 0..queue_managers {
        world.ask_operator(number, Admin::define_local(&replies, &[("MAXDEPTH", "1000000")]), false);
    }
    run::set_up(world);
    world.history.promised = world.plan.setup.retention;
    run::add_programs(world, knobs, &mut rng);
    for queue_manager in 0..queue_managers {
        for _ in 0..COMMANDERS {
            let number = world.programs.len() as u32;
            let commander = Commander::new(number, queue_manager, rng.fork(u64::from(number)));
            world.add_and_wake(Program::Commander(Box::new(commander)));
        }
    }
    run::under_faults(world);
    if !world.violations.is_empty() {
        return;
    }
    world.heal();
    run::wait(world, DONE_US_MAX, "do every command", |world| {
        (0..queue_managers).all(|number| are_done(world, number))
    });
    for queue_manager in 0..queue_managers {
        let number = world.programs.len() as u32;
        let reader = Commander::reader(number, queue_manager, rng.fork(u64::from(number)));
        world.add_and_wake(Program::Commander(Box::new(reader)));
    }
    run::settle(world, &mut rng);
    if world.violations.is_empty() {
        (0..queue_managers).for_each(|number| judge(world, number));
    }
    run::judge(world);
}

fn commanders(world: &World, queue_manager: usize) -> impl Iterator<Item = &Commander> {
    world.programs.iter().filter_map(move |program| match program {
        Program::Commander(one) if one.queue_manager == queue_manager => Some(&**one),
        _ => None,
    })
}

/// Nobody puts a command any more, and none is left on the queue.
fn are_done(world: &World, number: usize) -> bool {
    let node = world.serving(number).and_then(|node| world.nodes[&node].process.as_ref());
    let Some(process) = node else { return false };
    let state = process.minds[number].replica.queue_manager();
    let name = ObjectName::new("SYSTEM.ADMIN.COMMAND.QUEUE").expect("a valid name");
    let depth = state.queue_id(&name).and_then(|id| state.queue(id)).map_or(0, |queue| queue.depth());
    depth == 0 && commanders(world, number).all(|one| one.is_finished)
}

fn judge(world: &mut World, number: usize) {
    let mut all: BTreeMap<u64, Command> = BTreeMap::new();
    commanders(world, number).for_each(|one| all.extend(one.commands.clone()));
    let is_uncertain = commanders(world, number).any(|one| one.is_uncertain);
    if is_uncertain {
        return world.counters.mark("replies that nobody knows of");
    }
    let read: Vec<(u64, i32, i32)> = commanders(world, number).flat_map(|one| one.read.clone()).collect();
    for (command, code, reason) in read {
        if let Some(command) = all.get_mut(&command) {
            command.replies.push((code, reason));
        }
    }
    let node = world.serving(number).and_then(|node| world.nodes[&node].process.as_ref());
    let Some(process) = node else { return };
    let queues = process.minds[number].replica.queue_manager().queues();
    let queues: BTreeSet<String> = queues.map(|queue| queue.name.to_string()).collect();
    let repeated = all.values().flat_map(|command| &command.replies).filter(|(code, _)| *code != 0).count();
    match commands::check(&all, &queues) {
        Ok(count) => {
            world.counters.marks_add("commands accounted for", count);
            world.counters.marks_add("commands that were repeated", repeated as u64);
        }
        Err(sentence) => world.fail(commands::NAME, format!("queue manager {number}: {sentence}")),
    }
}
