//! Days on which operators create queue managers, give them addresses and delete them, all with the same names and addresses, under
//! whatever the nemesis thinks of. Whatever is asked for, and whoever leads: `check/registered.rs` and `sim/world/registers.rs`.

use trimaran_node::types::Version;
use trimaran_proto::replica::v1::Registered;

use super::run::{self, Knobs, Verdict};
use super::schedule::Fault;
use super::world::{Plan, Program, World};
use crate::check::registered;
use crate::model::registrar::{Registrar, Request};

/// At the same time.
const REGISTRARS: u64 = 4;

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    let knobs = &Knobs { programs: knobs.programs.or(Some(1)), ..knobs.clone() };
    run::run_day(plan(seed, knobs), knobs, live).0
}

/// Of the version whose records have addresses. Nodes stay who they are: an address is free when all of them have given it up.
fn plan(seed: u64, knobs: &Knobs) -> Plan {
    let mut plan = Plan::draw(seed, knobs).unplaced();
    plan.newest = Version::PLACES;
    let changes = |fault: &Fault| matches!(fault, Fault::ReplaceNode | Fault::AddRemoveNode);
    plan.schedule.enabled.retain(|fault| !fault.is_of_releases() && !changes(fault));
    plan
}

fn live(world: &mut World, knobs: &Knobs) {
    let mut rng = world.rng.fork(89);
    world.registers = Some(Default::default());
    run::set_up(world);
    world.history.promised = world.plan.setup.retention;
    run::add_programs(world, knobs, &mut rng);
    for number in 0..REGISTRARS {
        let registrar = Registrar::new(rng.fork(number));
        world.add_and_wake(Program::Registrar(Box::new(registrar)));
    }
    run::under_faults(world);
    if !world.violations.is_empty() {
        return;
    }
    world.heal();
    run::settle(world, &mut rng);
    if world.violations.is_empty() {
        judge(world);
    }
    run::judge(world);
}

fn judge(world: &mut World) {
    let requests = world.programs.iter().flat_map(|program| match program {
        Program::Registrar(registrar) => registrar.requests.clone(),
        _ => Vec::new(),
    });
    let requests: Vec<Request> = requests.collect();
    let mut of_nodes = world.nodes.values().filter_map(|node| {
        let state = node.process.as_ref()?.minds[0].replica.queue_manager();
        Some((node.id, state.register().iter().cloned().collect::<Vec<Registered>>()))
    });
    let (first, records) = of_nodes.next().expect("all of them run");
    let differs = of_nodes.find(|(_, others)| *others != records).map(|(node, _)| node);
    if let Some(node) = differs {
        return world.fail(registered::NAME, format!("nodes {first} and {node} have other records"));
    }
    match registered::check(&requests, &records) {
        Ok(count) => {
            let registers = world.registers.take().unwrap_or_default();
            world.counters.marks_add("requests for queue managers accounted for", count);
            world.counters.marks_add("queue managers created", records.len() as u64);
            world.counters.marks_add("registers published", registers.published);
            world.counters.marks_add("addresses given up", registers.given_up);
        }
        Err(sentence) => world.fail(registered::NAME, sentence),
    }
}
