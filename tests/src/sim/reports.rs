//! Days on which every message asks to be told when it is on its queue and when it leaves it (`check/reports.rs`), under
//! whatever the nemesis thinks of.
//!
//! Reports of arrivals have the message's body, those of departures have none, and all have its correlation id: so what is
//! known of each message in memory says which report it is. Nobody gets them.

use trimaran_node::mqi::Admin;
use trimaran_node::types::{CorrelationId, ObjectName, Version};

use super::run::{self, Knobs, Verdict};
use super::schedule::Fault;
use super::world::{Plan, Program, World};
use crate::model::app::{REPORTS, about};
use crate::model::history::Report;

/// In which what has expired leaves.
const EXPIRED_US_MAX: u64 = 20_000_000;

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    run::run_day(plan(seed, knobs), knobs, live).0
}

/// Of the version that has reports. On a full disk there is room for none, and they are dropped. Queues of canaries would never be
/// empty.
fn plan(seed: u64, knobs: &Knobs) -> Plan {
    let mut plan = Plan::draw(seed, knobs);
    plan.newest = Version::TRAIL;
    plan.setup.canaries = false;
    plan.schedule
        .enabled
        .retain(|fault| !fault.is_of_releases() && !matches!(fault, Fault::DiskLow | Fault::StoreFull));
    plan
}

fn live(world: &mut World, knobs: &Knobs) {
    let mut rng = world.rng.fork(79);
    let reports = ObjectName::new(REPORTS).expect("a valid name");
    let queue_managers = world.plan.setup.queue_managers;
    for number in 0..queue_managers {
        world.ask_operator(number, Admin::define_local(&reports, &[("MAXDEPTH", "100000")]), false);
    }
    run::set_up(world);
    world.history.promised = world.plan.setup.retention;
    run::add_programs(world, knobs, &mut rng);
    for program in &mut world.programs {
        if let Program::App(app) = program {
            app.ask_for_reports();
        }
    }
    run::under_faults(world);
    if !world.violations.is_empty() {
        return;
    }
    world.heal();
    run::settle(world, &mut rng);
    run::wait(world, EXPIRED_US_MAX, "empty every queue but that of reports", |world| {
        (0..queue_managers).all(|number| is_empty_but_for(world, number, &reports))
    });
    if world.violations.is_empty() {
        let found = (0..queue_managers).flat_map(|number| found(world, number, &reports));
        let found: Vec<Report> = found.collect();
        world.counters.marks_add("reports", found.len() as u64);
        world.history.reports = Some(found);
    }
    run::judge(world);
}

fn is_empty_but_for(world: &World, queue_manager: usize, reports: &ObjectName) -> bool {
    let Some(node) = world.serving(queue_manager) else { return false };
    let Some(process) = &world.nodes[&node].process else { return false };
    let mut queues = process.minds[queue_manager].replica.queue_manager().queues();
    queues.all(|queue| queue.depth() == 0 || queue.name == *reports)
}

fn found(world: &World, queue_manager: usize, reports: &ObjectName) -> Vec<Report> {
    let node = world.serving(queue_manager).and_then(|node| world.nodes[&node].process.as_ref());
    let state = node.expect("it has just been looked at").minds[queue_manager].replica.queue_manager();
    let queue = state.queue_id(reports).and_then(|id| state.queue(id)).expect("it was defined");
    let report = |correlation_id: CorrelationId, length: u32| Report {
        about: about(correlation_id).expect("a report has the correlation id of the message"),
        is_arrival: length > 0,
    };
    queue.iter().map(|(_, slot)| report(slot.correlation_id(), slot.body_length)).collect()
}
