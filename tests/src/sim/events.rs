//! Days on which each queue tells when its depth is high and when it is low, under whatever the nemesis thinks of.
//!
//! High is what is not empty, and low what is, and an event switches itself off and the other one on by an entry of the log. So how
//! many events there are, and which one is told next, agree for ever: where one had come without the other, or twice, they would not.
//! Nobody gets them.

use trimaran_node::mqi::Admin;
use trimaran_node::types::ObjectName;

use super::run::{self, Knobs, Verdict};
use super::schedule::Fault;
use super::world::{Plan, World};
use crate::model::workload;

const NAME: &str = "events";
const EVENTS: &str = "SYSTEM.ADMIN.PERFM.EVENT";
/// In which what has expired leaves, and in which the last event is told.
const EXPIRED_US_MAX: u64 = 20_000_000;
const TOLD_US: u64 = 1_000_000;
/// In which operators have switched the events on, before there are faults.
const SWITCHED_US_MAX: u64 = 20_000_000;

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    run::run_day(plan(seed, knobs), knobs, live).0
}

/// On a full disk there is room for no event, and they are dropped. Queues of canaries would never be empty.
fn plan(seed: u64, knobs: &Knobs) -> Plan {
    let mut plan = Plan::draw(seed, knobs);
    plan.setup.canaries = false;
    plan.schedule.enabled.retain(|fault| !matches!(fault, Fault::DiskLow | Fault::StoreFull));
    plan
}

fn live(world: &mut World, knobs: &Knobs) {
    let mut rng = world.rng.fork(83);
    let events = ObjectName::new(EVENTS).expect("a valid name");
    let queue_managers = world.plan.setup.queue_managers;
    for number in 0..queue_managers {
        let many = [("MAXDEPTH", "1000000"), ("DEFPSIST", "YES")];
        world.ask_operator(number, Admin::define_local(&events, &many), false);
        world.ask_operator(number, Admin::alter_manager(&[("PERFMEV", "ENABLED")]), false);
    }
    run::set_up(world);
    for number in 0..queue_managers {
        for queue in 0..workload::QUEUES.len() as u32 {
            let tells = [("QDPHIEV", "ENABLED"), ("QDEPTHHI", "0"), ("QDEPTHLO", "0")];
            let alter = Admin::alter_local(&workload::queue_name(queue), &tells);
            world.ask_operator(number, alter, false);
        }
    }
    // Asked again later, they would switch on what an event has switched off.
    run::wait(world, SWITCHED_US_MAX, "switch the events on", |world| {
        (0..queue_managers).all(|number| world.operator(number).is_idle())
    });
    world.history.promised = world.plan.setup.retention;
    run::add_programs(world, knobs, &mut rng);
    run::under_faults(world);
    if !world.violations.is_empty() {
        return;
    }
    world.heal();
    run::settle(world, &mut rng);
    run::wait(world, EXPIRED_US_MAX, "empty every queue but that of events", |world| {
        (0..queue_managers).all(|number| is_empty_but_for(world, number, &events))
    });
    world.run_until(world.now + TOLD_US);
    if world.violations.is_empty() {
        (0..queue_managers).for_each(|number| look_at(world, number, &events));
    }
    run::judge(world);
}

fn is_empty_but_for(world: &World, queue_manager: usize, events: &ObjectName) -> bool {
    let Some(node) = world.serving(queue_manager) else { return false };
    let Some(process) = &world.nodes[&node].process else { return false };
    let mut queues = process.minds[queue_manager].replica.queue_manager().queues();
    queues.all(|queue| queue.depth() == 0 || queue.name == *events)
}

fn look_at(world: &mut World, queue_manager: usize, events: &ObjectName) {
    let node = world.serving(queue_manager).and_then(|node| world.nodes[&node].process.as_ref());
    let Some(process) = node else { return };
    let state = process.minds[queue_manager].replica.queue_manager();
    let queue = |name: &ObjectName| state.queue_id(name).and_then(|id| state.queue(id));
    let told = queue(events).expect("it was defined").depth();
    let next = (0..workload::QUEUES.len() as u32).filter_map(|number| queue(&workload::queue_name(number)));
    let next: Vec<Next> = next
        .map(|queue| Next { high: queue.rules.events.high.is_some(), low: queue.rules.events.low.is_some() })
        .collect();
    world.counters.marks_add("events", told);
    if let Some(sentence) = complaint(told, &next) {
        world.fail(NAME, sentence);
    }
}

/// Which event a queue tells next.
#[derive(Clone, Copy)]
struct Next {
    high: bool,
    low: bool,
}

/// Of queues that began with telling when they are high.
fn complaint(told: u64, next: &[Next]) -> Option<String> {
    if let Some(Next { high, low }) = next.iter().find(|next| next.high == next.low) {
        return Some(format!("a queue tells next when it is high ({high}) and when it is low ({low})"));
    }
    let odd = next.iter().filter(|next| next.low).count() as u64;
    let fits = told % 2 == odd % 2 && told >= odd;
    (!fits).then(|| format!("{told} events were told, and {odd} queues have told an odd number of them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_missing_or_there_twice_is_seen() {
        let high = Next { high: true, low: false };
        let low = Next { high: false, low: true };
        assert_eq!(complaint(4, &[high, high]), None);
        assert_eq!(complaint(3, &[high, low]), None);
        assert!(complaint(4, &[high, low]).is_some(), "one is there twice");
        assert!(complaint(2, &[high, low]).is_some(), "one is missing");
        assert!(complaint(0, &[low, low]).is_some(), "two are missing");
        assert!(complaint(2, &[high, Next { high: true, low: true }]).is_some());
    }
}
