//! The simulator itself: it repeats to the bit, its judges judge, and a handful of seeds keep every promise.

use std::collections::BTreeSet;
use std::process::Command;

use trimaran_node::types::Reason;
use trimaran_tests::check;
use trimaran_tests::model::history::{Answer, Fate, History, Operation, What};
use trimaran_tests::sim::disk::{Depth, Failure};
use trimaran_tests::sim::run::{Knobs, nth_call_knobs, nth_call_plan, quiet_panics, run, run_plan};
use trimaran_tests::sim::world::Plan;

fn short() -> Knobs {
    Knobs { ticks: 300, ..Knobs::default() }
}

fn calm() -> Knobs {
    Knobs { ticks: 200, faults: Vec::new(), programs: Some(6), ..Knobs::default() }
}

#[test]
fn some_seeds_keep_every_promise() {
    quiet_panics();
    for seed in 1..=12 {
        let verdict = run(seed, &short());
        assert_eq!(verdict.violation, None, "seed {seed}");
    }
}

#[test]
fn a_seed_repeats_to_the_bit_in_one_process_and_in_another() {
    quiet_panics();
    for seed in [3, 4] {
        let here = run(seed, &short()).hash;
        assert_eq!(run(seed, &short()).hash, here, "seed {seed} in this process");
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--replay", &seed.to_string(), "--ticks", "300"])
            .output()
            .expect("the simulator starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("trace hash {here:016x}")), "seed {seed} in another process: {text}");
    }
    assert_ne!(run(3, &short()).hash, run(4, &short()).hash);
}

#[test]
fn over_the_production_stores_too_a_seed_repeats_to_the_bit() {
    quiet_panics();
    let knobs = Knobs { depth: Depth::B, ..short() };
    for seed in [5, 6] {
        let here = run(seed, &knobs);
        assert_eq!(here.violation, None, "seed {seed}");
        assert_eq!(run(seed, &knobs).hash, here.hash, "seed {seed} in this process");
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--depth", "b", "--replay", &seed.to_string(), "--ticks", "300"])
            .output()
            .expect("the simulator starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("trace hash {:016x}", here.hash);
        assert!(text.contains(&expected), "seed {seed} in another process: {text}");
    }
}

#[test]
fn the_nth_call_of_the_production_stores_fails_and_no_promise_is_broken() {
    quiet_panics();
    let knobs =
        Knobs { depth: Depth::B, ticks: 60, faults: Vec::new(), programs: Some(3), ..Knobs::default() };
    let recorded = run_plan(Plan::draw(9, &knobs), &knobs);
    assert_eq!(recorded.0.violation, None);
    let calls = recorded.1.nodes[&1].disk.calls_made();
    assert!(calls > 100, "only {calls} calls");
    for (place, call) in (1..=calls).step_by((calls as usize / 24).max(1)).enumerate() {
        let how = Failure::ALL[place % Failure::ALL.len()];
        let mut plan = Plan::draw(9, &knobs);
        plan.disk_failure = Some((1, call, how));
        let (verdict, _) = run_plan(plan, &knobs);
        assert_eq!(verdict.violation, None, "call {call} of {calls} fails with {how:?}");
    }
}

#[test]
fn a_history_is_written_in_the_form_of_jepsen() {
    let edn = run(5, &calm()).history.to_edn();
    assert!(edn.lines().count() > 100);
    assert!(edn.lines().all(|line| line.starts_with("{:index ") && line.ends_with('}')));
    assert!(edn.contains(":type :ok") && edn.contains(":f :enqueue") && edn.contains(":f :dequeue"));
}

/// A calm run in which everything can be accounted for.
fn good_histories() -> Vec<History> {
    let mut histories = Vec::new();
    for seed in 1.. {
        let verdict = run(seed, &calm());
        let history = verdict.history;
        let plain_lost = history.operations.iter().any(|operation| {
            matches!(&operation.what, What::Get(get) if get.got.is_none())
                && operation.answer == Answer::Unknown
        });
        if verdict.violation.is_none() && !plain_lost && check::judge(&history).is_empty() {
            histories.push(history);
        }
        if histories.len() == 3 || seed == 40 {
            break;
        }
    }
    assert!(histories.len() >= 2, "calm runs must be good");
    histories
}

/// Operations that took a message for good which may not be lost, the only delivery of it.
fn certain_gets(history: &History) -> Vec<usize> {
    let facts = check::facts::Facts::gather(history);
    let certain = |operation: &Operation| match &operation.what {
        What::Get(get) => get.got.as_ref().is_some_and(|got| {
            let put = &facts.puts[&got.key];
            history.queues[get.queue as usize].ordered
                && facts.of(got.key).len() == 1
                && facts.of(got.key)[0].taken == check::facts::Certainty::Yes
                && put.visible == check::facts::Certainty::Yes
                && put.put.persistent
                && !put.put.expires
        }),
        _ => false,
    };
    (0..history.operations.len()).filter(|number| certain(&history.operations[*number])).take(60).collect()
}

fn flagged(history: &History, by: &[&str]) -> bool {
    check::judge(history).iter().any(|complaint| by.contains(&complaint.checker))
}

#[test]
fn a_dropped_message_is_flagged() {
    for history in good_histories() {
        let gets = certain_gets(&history);
        assert!(!gets.is_empty());
        for number in gets {
            let mut bad = history.clone();
            bad.operations[number].answer = Answer::Refused(Reason::NoMsgAvailable);
            if let What::Get(get) = &mut bad.operations[number].what {
                get.got = None;
            }
            assert!(flagged(&bad, &["lost"]), "operation {number}");
        }
    }
}

#[test]
fn a_duplicated_delivery_is_flagged() {
    for history in good_histories() {
        for number in certain_gets(&history) {
            let mut bad = history.clone();
            let mut again = bad.operations[number].clone();
            if let What::Get(get) = &mut again.what {
                get.unit = 0;
            }
            again.begun += 60_000_000;
            again.ended = again.ended.map(|ended| ended + 60_000_000);
            bad.operations.push(again);
            assert!(flagged(&bad, &["duplicate"]), "operation {number}");
        }
    }
}

#[test]
fn two_swapped_deliveries_are_flagged() {
    let mut swaps = 0;
    for history in good_histories() {
        let facts = check::facts::Facts::gather(&history);
        let gets = certain_gets(&history);
        for (place, one) in gets.iter().enumerate() {
            for other in &gets[place + 1..] {
                let (first, second) = (&history.operations[*one], &history.operations[*other]);
                let (What::Get(a), What::Get(b)) = (&first.what, &second.what) else { continue };
                let (Some(got_a), Some(got_b)) = (&a.got, &b.got) else { continue };
                let (put_a, put_b) = (&facts.puts[&got_a.key], &facts.puts[&got_b.key]);
                let apart = a.queue == b.queue
                    && !a.selective
                    && !b.selective
                    && put_a.put.priority == put_b.put.priority
                    && put_a.ended < Some(put_b.begun)
                    && put_b.ended < Some(first.begun)
                    && first.ended < Some(second.begun);
                if !apart {
                    continue;
                }
                let mut bad = history.clone();
                let (left, right) = (got_a.clone(), got_b.clone());
                if let What::Get(get) = &mut bad.operations[*one].what {
                    get.got = Some(right);
                }
                if let What::Get(get) = &mut bad.operations[*other].what {
                    get.got = Some(left);
                }
                swaps += 1;
                assert!(flagged(&bad, &["order"]), "operations {one} and {other}");
            }
        }
    }
    assert!(swaps > 0, "no two deliveries could be swapped");
}

#[test]
fn a_split_unit_is_flagged() {
    let mut splits = 0;
    for history in good_histories() {
        let facts = check::facts::Facts::gather(&history);
        let gets: BTreeSet<usize> = certain_gets(&history).into_iter().collect();
        for number in 1..=history.units.len() as u64 {
            let members: Vec<_> = facts.puts.iter().filter(|(_, put)| put.put.unit == number).collect();
            let delivered = |key| {
                gets.iter().find(|get| match &history.operations[**get].what {
                    What::Get(get) => get.got.as_ref().is_some_and(|got| got.key == key),
                    _ => false,
                })
            };
            let seen: Vec<_> = members.iter().filter_map(|(key, _)| delivered(**key)).collect();
            if history.unit(number).map(|unit| unit.fate) != Some(Fate::Committed) || seen.len() < 2 {
                continue;
            }
            // The commit's answer was lost, and half of the unit never came.
            let mut bad = history.clone();
            bad.unit_mut(number).expect("it exists").fate = Fate::Unknown;
            bad.unit_mut(number).expect("it exists").ended = None;
            bad.operations[*seen[0]].answer = Answer::Refused(Reason::NoMsgAvailable);
            if let What::Get(get) = &mut bad.operations[*seen[0]].what {
                get.got = None;
            }
            splits += 1;
            assert!(flagged(&bad, &["unit"]), "unit {number}");
        }
    }
    assert!(splits > 0, "no unit could be split");
}

#[test]
fn a_get_before_its_put_is_flagged() {
    for history in good_histories() {
        let facts = check::facts::Facts::gather(&history);
        for number in certain_gets(&history) {
            let mut bad = history.clone();
            let What::Get(get) = &history.operations[number].what else { continue };
            let put = &facts.puts[&get.got.as_ref().expect("it is a delivery").key];
            bad.operations[number].begun = put.begun.saturating_sub(2_000);
            bad.operations[number].ended = Some(put.begun.saturating_sub(1_000));
            assert!(flagged(&bad, &["phantom", "unit"]), "operation {number}");
        }
    }
}

/// A few of all: `sim --nth-call` does every call with every failure.
#[test]
fn the_nth_call_to_the_disk_fails_and_no_promise_is_broken() {
    quiet_panics();
    let knobs = nth_call_knobs(&Knobs::default());
    let recorded = run_plan(nth_call_plan(9, &knobs), &knobs);
    assert_eq!(recorded.0.violation, None);
    let calls = recorded.1.nodes[&1].disk.calls_made();
    assert!(calls > 40, "only {calls} calls");
    for (place, call) in (1..=calls).step_by((calls as usize / 24).max(1)).enumerate() {
        let how = Failure::ALL[place % Failure::ALL.len()];
        let mut plan = nth_call_plan(9, &knobs);
        plan.disk_failure = Some((1, call, how));
        let (verdict, _) = run_plan(plan, &knobs);
        assert_eq!(verdict.violation, None, "call {call} of {calls} fails with {how:?}");
    }
}
